//! Configurations and key files on disk: read only when nobody else could have.
//!
//! A key file must be a plain file of the user who runs this, without access for others. It is opened
//! without following a link and without waiting, and everything is judged on the open file, so that
//! nothing can be exchanged in between. `public.toml` stands in the same folder; it is not secret, and
//! the key files name its digest.
//!
//! Every error says which file, what is wrong with it, and the command that helps.

use std::{
    fmt,
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use maftia_core::{
    config::{Config, ConfigError},
    crypto::{
        SecretKey,
        deal::{self, KeyError, Keyring, PublicKeys},
    },
};
use rustix::fs::{Mode, OFlags};
use zeroize::Zeroizing;

/// The name of the file with the public keys.
pub const PUBLIC: &str = "public.toml";

/// The longest key file: ten times what the dealer writes.
const KEY_MAX: u64 = 16 << 10;
/// The longest file of public keys: 64 groups of 100 members take 5 MiB.
const PUBLIC_MAX: u64 = 8 << 20;
/// The longest configuration, as the parser has it.
const CONFIG_MAX: u64 = 1 << 20;

/// Why a file was not taken.
#[derive(Debug)]
pub struct KeyringError {
    /// Which file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
    /// Whether it is the configuration and not a file of keys.
    configuration: bool,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// There is none.
    #[error("there is no such file")]
    Missing,
    /// A symbolic link, a pipe, a device, a folder.
    #[error("it is no plain file (a link, a pipe, a device or a folder)")]
    NotPlain,
    /// Somebody else's.
    #[error("it belongs to user {owner}, not to user {user} who runs this")]
    Owner {
        /// Whose file it is.
        owner: u32,
        /// Who runs this.
        user: u32,
    },
    /// Others have access.
    #[error("others can read or change it (mode {:04o})", .0)]
    Mode(u32),
    /// Too long for what it should be.
    #[error("it is longer than {0} bytes")]
    TooLong(u64),
    /// Bytes that are no text.
    #[error("it is no text: some of its bytes are no UTF-8")]
    NotText,
    /// It cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Its contents do not fit.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// It is no valid configuration.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// A client's name that cannot stand in a file name.
    #[error("`{0}` is no name of a client: use a-z, 0-9, - and _, a letter first")]
    Name(String),
    /// There is a file already.
    #[error("there is such a file already")]
    Exists,
}

impl KeyringError {
    fn new(path: &Path, problem: impl Into<Problem>) -> Self {
        Self { path: path.into(), problem: problem.into(), configuration: false }
    }

    fn of_configuration(path: &Path, problem: impl Into<Problem>) -> Self {
        Self { configuration: true, ..Self::new(path, problem) }
    }

    /// What to do.
    pub fn help(&self) -> String {
        if self.configuration { self.help_with_configuration() } else { self.help_with_keys() }
    }

    fn help_with_configuration(&self) -> String {
        match &self.problem {
            Problem::Config(_) => "`maftia config init` prints a complete sample".into(),
            Problem::Io(_) => format!("`ls -l {}`", self.path.display()),
            _ => "name a configuration with --config; `maftia config init` prints a sample".into(),
        }
    }

    fn help_with_keys(&self) -> String {
        let path = self.path.display();
        let deal = "`maftia deal --config CONFIG --out DIR` makes all keys anew";
        match &self.problem {
            Problem::Missing | Problem::TooLong(_) => format!("check the path; {deal}"),
            Problem::NotPlain => format!("`cp --remove-destination KEYFILE {path}`"),
            Problem::Owner { user, .. } => format!("`chown {user} {path}`, or run as its owner"),
            Problem::Mode(_) => format!("`chmod 600 {path}`"),
            Problem::Io(_) => format!("`ls -l {path}`"),
            Problem::Key(KeyError::OtherConfig | KeyError::OtherDeal | KeyError::NoMember) => {
                format!("use the configuration and folder it was dealt with; {deal}")
            }
            Problem::Key(KeyError::Closed) => {
                "say `open = true` under [clients], or use a dealt key".into()
            }
            Problem::Key(_) | Problem::NotText => format!("restore it from a copy; {deal}"),
            Problem::Config(_) => "`maftia config init` prints a complete sample".into(),
            Problem::Name(_) => "choose another name".into(),
            Problem::Exists => format!("use it, or `rm {path}` if nobody needs it"),
        }
    }
}

impl fmt::Display for KeyringError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, problem) = (self.path.display(), &self.problem);
        match problem {
            Problem::Config(_) => write!(f, "{path}:\n{problem}"),
            _ => write!(f, "{path}: {problem}\n  help: {}", self.help()),
        }
    }
}

impl std::error::Error for KeyringError {}

/// Reads a configuration.
pub fn read_config(path: &Path) -> Result<Config, KeyringError> {
    let wrong = |problem: Problem| KeyringError::of_configuration(path, problem);
    let file = open(path, OFlags::empty()).map_err(wrong)?;
    let text = read(&file, CONFIG_MAX).map_err(wrong)?;
    Config::parse(&text).map_err(|error| wrong(error.into()))
}

/// The folder of the key files, which a configuration names relative to itself.
pub fn key_folder(config: &Config, config_path: &Path) -> PathBuf {
    config_path.parent().unwrap_or(Path::new("")).join(config.keys())
}

/// The folder of logs and checkpoints, which a configuration names relative to itself.
pub fn data_folder(config: &Config, config_path: &Path) -> PathBuf {
    config_path.parent().unwrap_or(Path::new("")).join(config.data())
}

/// Reads the public keys in this folder.
pub fn load_public(config: &Config, folder: &Path) -> Result<Arc<PublicKeys>, KeyringError> {
    let path = folder.join(PUBLIC);
    let wrong = |problem: Problem| KeyringError::new(&path, problem);
    let file = open(&path, OFlags::empty()).map_err(wrong)?;
    let text = read(&file, PUBLIC_MAX).map_err(wrong)?;
    PublicKeys::parse(config, &text).map(Arc::new).map_err(|error| wrong(error.into()))
}

/// Reads a key file of a party or a client, with the public keys beside it.
pub fn load(config: &Config, path: &Path) -> Result<Keyring, KeyringError> {
    let wrong = |problem: Problem| KeyringError::new(path, problem);
    let text = read_secret(path).map_err(wrong)?;
    let public = load_public(config, path.parent().unwrap_or(Path::new("")))?;
    Keyring::parse(config, public, &text).map_err(|error| wrong(error.into()))
}

/// Reads the key file of the client with this name in this folder.
pub fn load_client(config: &Config, folder: &Path, name: &str) -> Result<Keyring, KeyringError> {
    let path = folder.join(client_file(folder, name)?);
    load(config, &path)
}

/// Makes a key for a client that no dealer knows, and writes its file. The configuration must have
/// `clients.open = true`.
pub fn make_client(config: &Config, folder: &Path, name: &str) -> Result<Keyring, KeyringError> {
    let path = folder.join(client_file(folder, name)?);
    let wrong = |problem: Problem| KeyringError::new(&path, problem);
    if !config.clients().open {
        return Err(wrong(KeyError::Closed.into()));
    }
    let seed = fresh_seed().map_err(|error| wrong(error.into()))?;
    let text = deal::self_made(name, &SecretKey::from_seed(&seed));
    let part = path.with_extension("key.part");
    write_new(&part, &text, 0o600).map_err(|error| {
        // A part of a key is of no use, and there may be none.
        let _ = std::fs::remove_file(&part);
        wrong(error.into())
    })?;
    // A link, unlike a renaming, refuses to replace what is there.
    let linked = std::fs::hard_link(&part, &path);
    std::fs::remove_file(&part).map_err(|error| wrong(error.into()))?;
    linked.map_err(|error| wrong(opening(error)))?;
    load(config, &path)
}

/// 32 bytes from the operating system's random generator.
pub fn fresh_seed() -> io::Result<Zeroizing<[u8; 32]>> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(seed)
}

/// Writes a file that must not exist yet, through to the disk.
pub(crate) fn write_new(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn client_file(folder: &Path, name: &str) -> Result<String, KeyringError> {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let first = name.chars().next().is_some_and(|c| c.is_ascii_lowercase());
    if !first || name.len() > 32 || !name.chars().all(letter) {
        let shown = name.chars().filter(|c| !c.is_control()).take(40).collect();
        return Err(KeyringError::new(folder, Problem::Name(shown)));
    }
    Ok(format!("client-{name}.key"))
}

/// The text of a secret file, after all checks on the open file.
fn read_secret(path: &Path) -> Result<Zeroizing<String>, Problem> {
    let file = open(path, OFlags::NOFOLLOW)?;
    let about = file.metadata()?;
    let user = rustix::process::geteuid().as_raw();
    if !about.is_file() {
        return Err(Problem::NotPlain);
    }
    if about.uid() != user {
        return Err(Problem::Owner { owner: about.uid(), user });
    }
    if about.mode() & 0o077 != 0 {
        return Err(Problem::Mode(about.mode() & 0o7777));
    }
    read(&file, KEY_MAX)
}

/// Opens a file for reading, without waiting for whoever writes into a pipe.
fn open(path: &Path, more: OFlags) -> Result<File, Problem> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | more;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => Ok(File::from(file)),
        Err(rustix::io::Errno::LOOP) => Err(Problem::NotPlain),
        Err(error) => Err(opening(error.into())),
    }
}

fn read(file: &File, max: u64) -> Result<Zeroizing<String>, Problem> {
    if !file.metadata()?.is_file() {
        return Err(Problem::NotPlain);
    }
    let room = file.metadata()?.len().min(max) as usize + 1;
    let mut text = Zeroizing::new(String::with_capacity(room));
    file.take(max + 1).read_to_string(&mut text).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => Problem::NotText,
        _ => Problem::Io(error),
    })?;
    if text.len() as u64 > max { Err(Problem::TooLong(max)) } else { Ok(text) }
}

fn opening(error: io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::NotFound => Problem::Missing,
        io::ErrorKind::AlreadyExists => Problem::Exists,
        _ => Problem::Io(error),
    }
}

#[cfg(test)]
mod tests;
