//! `maftia`: a console on replicated groups, the dealer of their keys, and the parties themselves.
//!
//! Read in this order: [`command`] what the console understands, [`cluster`] what it needs of a
//! cluster, [`shell`] what a command means, [`report`] and [`render`] what it gives, [`script`] and
//! [`console`] where commands come from; below the door, [`live`] makes transactions of requests and
//! [`reached`] carries those to groups; [`cli`], [`start`], [`party`] and [`up`] start all of it.
//! [`bench`] measures.

#![forbid(unsafe_code)]

mod bench;
mod carrier;
mod cli;
mod cluster;
mod command;
mod console;
mod exit;
mod failure;
mod itself;
mod live;
mod party;
mod reached;
mod render;
mod report;
mod screen;
mod script;
mod settings;
mod shell;
mod signals;
mod start;
mod up;

use std::{panic, process::ExitCode};

use clap::Parser;
use tracing_subscriber::EnvFilter;

use cli::{Cli, Demo, Task};
use exit::{Exit, Stop};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let exit = panic::catch_unwind(|| run(cli)).unwrap_or_else(|_| {
        let help = "this is our fault: please report it with the words above";
        Err(Stop::new(Exit::Bug, "the program fell over", help))
    });
    let exit = exit.unwrap_or_else(|stop| {
        // If nobody reads standard error, the exit code still tells.
        let _ = screen::talk(&stop.to_string());
        stop.exit
    });
    exit.into()
}

fn run(cli: Cli) -> Result<Exit, Stop> {
    let task = cli.command.unwrap_or_else(|| Task::Demo(Demo::default()));
    log(cli.log.as_deref(), &task)?;
    match task {
        Task::Demo(demo) => start::demo(&demo),
        Task::Deal(deal) => settings::deal(&deal),
        Task::Node(node) => party::run(&node),
        Task::Up(up) => up::run(&up),
        Task::Console(console) => start::console(&console),
        Task::Bench(bench) => bench::run(&bench),
        Task::Config(config) => settings::run(&config.task),
        Task::Manual => {
            screen::data(&command::help::manual())?;
            Ok(Exit::Fine)
        }
    }
}

/// Logs to standard error: what is wrong, and for a party also what happens.
fn log(filter: Option<&str>, task: &Task) -> Result<(), Stop> {
    // A console shows what its cluster does; a party that stops is no error there.
    let quiet = "error,maftia_actors::party=off";
    let usual = if matches!(task, Task::Node(_)) { "info" } else { quiet };
    let filter = filter.map(str::to_owned).or_else(|| std::env::var("RUST_LOG").ok());
    let filter = EnvFilter::try_new(filter.as_deref().unwrap_or(usual)).map_err(|error| {
        Stop::new(Exit::Failed, format!("that is no log filter: {error}"), "try --log debug")
    })?;
    let to_terminal =
        anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(to_terminal)
        .with_writer(std::io::stderr)
        .init();
    Ok(())
}
