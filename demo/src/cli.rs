//! The command line. Every flag can be given in the environment too, as `MAFTIA_` and its name.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::bench::flags::Bench;

/// Shown below `maftia --help`.
const EXAMPLES: &str = "\
Examples:
  maftia                                          a console on a cluster in this process
  maftia demo --exec demo/scripts/lies.maftia --json   a script, one JSON object a line
  echo 'read left/alice' | maftia demo            commands from a pipe
  maftia config init > cluster.toml               a complete sample configuration
  maftia deal --config cluster.toml --out keys    keys for all parties and clients
  maftia up --config cluster.toml --keys keys     every party as its own process
  maftia console --config cluster.toml --as alice a console on those
  maftia bench stream --rate 1000                 what a stream gives and costs

Exit codes: 0 fine, 1 failure, 2 usage, 3 a command of a script failed, 65 a file holds
nonsense, 70 internal, 74 I/O, 75 a quorum was lost, 77 keys or permissions, 78 configuration, 130 interrupted.";

/// Intrusion-tolerant transactions on replicated groups.
#[derive(Debug, Parser)]
#[command(name = "maftia", version, about, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// What to log to standard error, as in `info` or `maftia_actors=debug`.
    #[arg(long, global = true, env = "MAFTIA_LOG", value_name = "FILTER")]
    pub(crate) log: Option<String>,

    #[command(subcommand)]
    pub(crate) command: Option<Task>,
}

/// What the binary can be asked to do. Without a word, it is the demo.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// A console on a cluster in this process: three groups of four, keys dealt at start.
    #[command(after_help = "Example:\n  maftia demo --exec demo/scripts/transfer.maftia --json")]
    Demo(Demo),
    /// Deal the keys of a configuration: one protected file a party and client.
    #[command(after_help = "Example:\n  maftia deal --config cluster.toml --out keys")]
    Deal(Deal),
    /// Run one party in this process, over the links of the configuration.
    #[command(after_help = "Example:\n  maftia node --config cluster.toml --keys keys/left-2.key")]
    Node(Node),
    /// Run every party of a configuration as its own local process.
    #[command(after_help = "Example:\n  maftia up --config cluster.toml --keys keys --lab --json")]
    Up(Up),
    /// A console on a running cluster.
    #[command(after_help = "Example:\n  maftia console --config cluster.toml --as alice")]
    Console(Console),
    /// Measure what a stream gives and costs on this machine.
    Bench(Bench),
    /// Look at a configuration, or make a sample of one.
    Config(Config),
    /// Print the page of the manual about the console, in Markdown.
    Manual,
}

/// Where commands come from and how results look.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Script {
    /// Run the commands in this file, one a line; `-` is standard input.
    #[arg(long, env = "MAFTIA_EXEC", value_name = "FILE")]
    pub(crate) exec: Option<PathBuf>,

    /// One JSON object a line instead of text.
    #[arg(long, env = "MAFTIA_JSON")]
    pub(crate) json: bool,
}

/// Who speaks.
#[derive(Args, Clone, Debug)]
pub(crate) struct Speaker {
    /// The client to speak as at first.
    #[arg(long = "as", env = "MAFTIA_AS", value_name = "CLIENT", default_value = "you")]
    pub(crate) client: String,
}

impl Default for Speaker {
    fn default() -> Self {
        Self { client: "you".to_owned() }
    }
}

/// Where the configuration is.
#[derive(Args, Clone, Debug)]
pub(crate) struct Source {
    /// The configuration of the cluster.
    #[arg(long, env = "MAFTIA_CONFIG", value_name = "FILE", default_value = "cluster.toml")]
    pub(crate) config: PathBuf,
}

/// `maftia demo`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Demo {
    #[command(flatten)]
    pub(crate) script: Script,
    #[command(flatten)]
    pub(crate) speaker: Speaker,
}

/// `maftia deal`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Deal {
    #[command(flatten)]
    pub(crate) source: Source,
    /// The folder for the keys; it is made, and must be empty.
    #[arg(long, env = "MAFTIA_OUT", value_name = "DIR")]
    pub(crate) out: PathBuf,
}

/// `maftia node`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Node {
    #[command(flatten)]
    pub(crate) source: Source,
    /// The key file of the party.
    #[arg(long, env = "MAFTIA_KEYS", value_name = "FILE")]
    pub(crate) keys: PathBuf,
    /// Let clients inject faults into this party. Never where it matters.
    #[arg(long, env = "MAFTIA_LAB")]
    pub(crate) lab: bool,
    /// Stop when standard input ends: `maftia up` holds the other end.
    #[arg(long, hide = true)]
    pub(crate) leashed: bool,
}

/// `maftia up`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Up {
    #[command(flatten)]
    pub(crate) source: Source,
    /// The folder of the keys.
    #[arg(long, env = "MAFTIA_KEYS", value_name = "DIR")]
    pub(crate) keys: PathBuf,
    /// Where the logs of the parties go; without it, into `logs` beside the keys.
    #[arg(long, env = "MAFTIA_LOGS", value_name = "DIR")]
    pub(crate) logs: Option<PathBuf>,
    /// Start a party again when its process ends.
    #[arg(long, env = "MAFTIA_RESTART")]
    pub(crate) restart: bool,
    /// Let clients inject faults into the parties.
    #[arg(long, env = "MAFTIA_LAB")]
    pub(crate) lab: bool,
    /// One JSON object a party instead of a table.
    #[arg(long, env = "MAFTIA_JSON")]
    pub(crate) json: bool,
}

/// `maftia console`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Console {
    #[command(flatten)]
    pub(crate) source: Source,
    #[command(flatten)]
    pub(crate) script: Script,
    #[command(flatten)]
    pub(crate) speaker: Speaker,
}

/// `maftia config`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Config {
    #[command(subcommand)]
    pub(crate) task: ConfigTask,
}

/// What can be done with a configuration.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ConfigTask {
    /// Say whether a configuration is right, and fits the keys that were dealt for it.
    Check(Source),
    /// Say what a configuration means.
    Explain(Source),
    /// Print a complete sample.
    Init,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_long_flag_can_be_given_in_the_environment() {
        let cli = Cli::command();
        cli.clone().debug_assert();
        for task in cli.get_subcommands() {
            check(task, "MAFTIA");
            let below = task.get_subcommands().filter(|_| task.get_name() == "bench");
            below.for_each(|below| check(below, "MAFTIA_BENCH"));
        }
    }

    fn check(task: &clap::Command, prefix: &str) {
        for flag in task.get_arguments().filter(|flag| !flag.is_hide_set()) {
            let Some(name) = flag.get_long().filter(|name| *name != "help") else { continue };
            let expected = format!("{prefix}_{}", name.to_uppercase().replace('-', "_"));
            let variable = flag.get_env().and_then(|name| name.to_str());
            assert_eq!(variable, Some(expected.as_str()), "{} --{name}", task.get_name());
        }
    }
}
