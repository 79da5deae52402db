//! Configurations and keys: looked at, dealt, read.

use std::path::Path;

use maftia_actors::{
    dealer::{self, DealError},
    keyring::{self, KeyringError, Problem},
};
use maftia_core::{config::Config, crypto::deal::Keyring};

use crate::{
    cli::{ConfigTask, Deal, Source},
    exit::{Exit, Stop},
    screen,
};

/// `maftia config`.
pub(crate) fn run(task: &ConfigTask) -> Result<Exit, Stop> {
    match task {
        ConfigTask::Init => screen::data(Config::sample())?,
        ConfigTask::Explain(Source { config }) => screen::data(&read(config)?.explain())?,
        ConfigTask::Check(Source { config: path }) => check(path)?,
    }
    Ok(Exit::Fine)
}

/// Says whether a configuration is right, and whether the keys in its folder are for it.
fn check(path: &Path) -> Result<(), Stop> {
    let config = read(path)?;
    let parties: usize = config.groups().iter().map(|group| group.members.len()).sum();
    screen::data(&format!("{} is right: {parties} parties\n", path.display()))?;
    for group in config.groups().iter().filter(|group| group.thresholds.f() == 0) {
        screen::talk(&format!(
            "note: group `{}` tolerates nothing: one member that lies or stops breaks its promise\n",
            group.name
        ))?;
    }
    let folder = keyring::key_folder(&config, path);
    if folder.join(keyring::PUBLIC).exists() {
        keyring::load_public(&config, &folder).map_err(|error| stop(&error))?;
        screen::data(&format!("the keys in {} are for it\n", folder.display()))?;
    } else {
        screen::talk(&format!("no keys are dealt in {} yet\n", folder.display()))?;
    }
    Ok(())
}

/// `maftia deal`.
pub(crate) fn deal(deal: &Deal) -> Result<Exit, Stop> {
    let report = dealer::deal(&deal.source.config, &deal.out).map_err(|error| match error {
        DealError::Config(error) => stop(&error),
        other => worded(Exit::Io, &other.to_string()),
    })?;
    for file in &report.files {
        screen::data(&format!("{}\n", report.folder.join(file).display()))?;
    }
    screen::talk(&format!(
        "dealt {} files; hand each to its owner, and to nobody else\n",
        report.files.len()
    ))?;
    Ok(Exit::Fine)
}

/// Reads a configuration, or says all that is wrong with it.
pub(crate) fn read(path: &Path) -> Result<Config, Stop> {
    keyring::read_config(path).map_err(|error| {
        let exit = match error.problem {
            Problem::Io(_) => Exit::Io,
            _ => Exit::Configuration,
        };
        worded(exit, &error.to_string())
    })
}

/// Reads a key file that belongs to this configuration.
pub(crate) fn ring(config: &Config, path: &Path) -> Result<Keyring, Stop> {
    keyring::load(config, path).map_err(|error| stop(&error))
}

/// The keys of a client: dealt, or made here where the configuration admits that.
pub(crate) fn client(config: &Config, folder: &Path, name: &str) -> Result<Keyring, Stop> {
    client_ring(config, folder, name).map_err(|error| stop(&error))
}

/// The same for those who have words of their own for what is wrong.
pub(crate) fn client_ring(
    config: &Config,
    folder: &Path,
    name: &str,
) -> Result<Keyring, KeyringError> {
    if config.clients().open && !folder.join(format!("client-{name}.key")).exists() {
        keyring::make_client(config, folder, name)
    } else {
        keyring::load_client(config, folder, name)
    }
}

/// A key that cannot be used.
pub(crate) fn stop(error: &KeyringError) -> Stop {
    let exit = match error.problem {
        Problem::Config(_) => Exit::Configuration,
        Problem::Io(_) => Exit::Io,
        _ => Exit::Keys,
    };
    worded(exit, &error.to_string())
}

/// An end with the words of an error that brings its own help.
fn worded(exit: Exit, text: &str) -> Stop {
    match text.split_once("\n  help: ") {
        Some((message, help)) => Stop::new(exit, message, help),
        None => Stop::new(exit, text, "`maftia config init` prints a complete sample"),
    }
}
