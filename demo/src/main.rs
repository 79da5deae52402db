//! `maftia`: a console on replicated groups, the dealer of their keys, and the parties themselves.
//!
//! Read in this order: [`command`] what the console understands, [`cluster`] what it needs of a
//! cluster, [`shell`] what a command means, [`report`] and [`render`] what it gives, [`script`] and
//! [`console`] where commands come from, [`cli`] and this file how all of it is started.
#![allow(dead_code, reason = "the console is ready before the cluster that it is for")]

mod carrier;
mod cli;
mod cluster;
mod command;
mod console;
mod exit;
mod failure;
mod live;
mod render;
mod report;
mod screen;
mod script;
mod settings;
mod shell;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Task};
use exit::{Exit, Stop};

fn main() -> ExitCode {
    let exit = run(Cli::parse()).unwrap_or_else(|stop| {
        // If nobody reads standard error, the exit code still tells.
        let _ = screen::talk(&stop.to_string());
        stop.exit
    });
    exit.into()
}

fn run(cli: Cli) -> Result<Exit, Stop> {
    match cli.command {
        Some(Task::Manual) => {
            screen::data(&command::help::manual())?;
            Ok(Exit::Fine)
        }
        Some(Task::Config(config)) => settings::run(&config.task),
        other => Err(Stop::new(Exit::Failed, format!("{other:?} is not built in yet"), "")),
    }
}
