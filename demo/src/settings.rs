//! `maftia config`: look at a configuration, or make a sample of one.

use std::{fs, path::Path};

use maftia_core::config::Config;

use crate::{
    cli::{ConfigTask, Source},
    exit::{Exit, Stop},
    screen,
};

/// Does what was asked.
pub(crate) fn run(task: &ConfigTask) -> Result<Exit, Stop> {
    match task {
        ConfigTask::Init => screen::data(Config::sample())?,
        ConfigTask::Explain(Source { config }) => screen::data(&read(config)?.explain())?,
        ConfigTask::Check(Source { config }) => {
            let parties: usize =
                read(config)?.groups().iter().map(|group| group.members.len()).sum();
            screen::data(&format!("{} is right: {parties} parties\n", config.display()))?;
        }
    }
    Ok(Exit::Fine)
}

/// Reads a configuration, or says all that is wrong with it.
pub(crate) fn read(path: &Path) -> Result<Config, Stop> {
    let text = fs::read_to_string(path).map_err(|error| {
        let message = format!("cannot read the configuration {}: {error}", path.display());
        Stop::new(
            Exit::Configuration,
            message,
            "`maftia config init > cluster.toml` makes a sample",
        )
    })?;
    Config::parse(&text).map_err(|error| {
        let message = format!("the configuration {} is wrong\n{error}", path.display());
        Stop::new(Exit::Configuration, message, "`maftia config init` prints a complete sample")
    })
}
