//! `maftia deal`: one configuration in, a folder of keys out, all of it or nothing.
//!
//! The files are written into a hidden folder beside the wanted one, which is renamed when everything
//! is on the disk. A folder that is there and not empty is never touched.
//! Groups with RSA keys have a file `GROUP.pem` for ordinary verifiers.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use maftia_core::{
    config::Config,
    crypto::{Digest, deal::Deal},
};

use crate::keyring::{self, KeyringError};

/// What a deal has left on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The folder.
    pub folder: PathBuf,
    /// The names of the secret files in it: `left-2.key`, `client-you.key`.
    pub files: Vec<String>,
    /// The name of the deal, which all its files carry.
    pub name: Digest,
}

/// Why there is no deal. Nothing was left on the disk.
#[derive(Debug, thiserror::Error)]
pub enum DealError {
    /// The configuration cannot be read.
    #[error(transparent)]
    Config(#[from] KeyringError),
    /// There is something where the keys shall go.
    #[error(
        "{0}: it is there and not an empty folder; keys are never overwritten\n  \
         help: choose another folder with `--out`, or move this one away"
    )]
    Exists(PathBuf),
    /// The folder cannot be named, such as `..`.
    #[error("{0}: a deal needs a folder with a name\n  help: `--out keys`")]
    NoName(PathBuf),
    /// The disk or the random generator refused.
    #[error("{path}: {error}\n  help: check that the folder above exists and has room for it")]
    Io {
        /// Where.
        path: PathBuf,
        /// What.
        error: io::Error,
    },
}

/// Deals the keys for a configuration file into a new folder.
pub fn deal(config_path: &Path, out: &Path) -> Result<Report, DealError> {
    let config = keyring::read_config(config_path)?;
    let deal = in_memory(&config)?;
    write(&deal, out)
}

/// Deals keys that stay in this process, for an embedded cluster.
pub fn in_memory(config: &Config) -> Result<Deal, DealError> {
    let seed = keyring::fresh_seed()
        .map_err(|error| DealError::Io { path: "random generator".into(), error })?;
    Ok(Deal::new(config, &seed))
}

/// Writes a deal into a new folder.
pub fn write(deal: &Deal, out: &Path) -> Result<Report, DealError> {
    let name = out.file_name().ok_or_else(|| DealError::NoName(out.into()))?;
    if occupied(out) {
        return Err(DealError::Exists(out.into()));
    }
    let above = match out.parent() {
        Some(above) if above.as_os_str().is_empty() => Path::new("."),
        above => above.unwrap_or(Path::new(".")),
    };
    let part = above.join(format!(".{}.part-{}", name.to_string_lossy(), std::process::id()));
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |error| DealError::Io { path, error }
    };
    let files = fill(deal, &part).and_then(|files| fs::rename(&part, out).map(|()| files));
    let files = files.map_err(|error| {
        // What was begun holds secrets; if even this fails, the error below is the one to tell.
        let _ = fs::remove_dir_all(&part);
        if occupied(out) { DealError::Exists(out.into()) } else { failed(out)(error) }
    })?;
    File::open(above).and_then(|folder| folder.sync_all()).map_err(failed(above))?;
    Ok(Report { folder: out.into(), files, name: deal.public().name() })
}

/// Writes all files into a new folder that nobody else can enter.
fn fill(deal: &Deal, folder: &Path) -> io::Result<Vec<String>> {
    fs::DirBuilder::new().mode(0o700).create(folder)?;
    let mut names = Vec::new();
    for (name, text) in deal.files() {
        keyring::write_new(&folder.join(&name), &text, 0o600)?;
        names.push(name);
    }
    keyring::write_new(&folder.join(keyring::PUBLIC), &deal.public().to_toml(), 0o644)?;
    for (name, text) in deal.public().pem_files() {
        keyring::write_new(&folder.join(name), &text, 0o644)?;
    }
    File::open(folder)?.sync_all()?;
    Ok(names)
}

/// Whether something is there that a renamed folder could not take the place of without loss.
fn occupied(path: &Path) -> bool {
    match fs::symlink_metadata(path) {
        Ok(about) if about.is_dir() => {
            fs::read_dir(path).map_or(true, |mut list| list.next().is_some())
        }
        Ok(_) => true,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests;
