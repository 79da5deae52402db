//! What the console understands.
//!
//! [`table`] has one entry a command. The parser, the help, the completion and the manual are made
//! from it, so that none of them can know a command that the others do not.

use std::{path::PathBuf, time::Duration};

use crate::{
    cluster::{Account, FaultKind, Replica},
    failure::{Code, Failure, meant},
};

pub(crate) mod help;
pub(crate) mod table;
pub(crate) mod words;

use table::{Entry, TABLE};
use words::Given;

/// A command, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Explain all commands, or one.
    Help(Option<String>),
    /// Run the guided tour.
    Tour,
    /// Run the commands of a file.
    Source(PathBuf),
    /// Start a transaction, with this lease.
    Begin(Option<Duration>),
    /// Enter the transaction that a token opens.
    Join(String),
    /// Speak as another client from now on.
    As(String),
    /// Read a value.
    Read(Account),
    /// Write a value.
    Write(Account, i64),
    /// Move an amount.
    Transfer {
        /// Where it is taken from.
        from: Account,
        /// Where it goes.
        to: Account,
        /// How much.
        amount: i64,
    },
    /// Agree to commit.
    Commit,
    /// End the transaction without effect, for this reason.
    Abort(String),
    /// List the transactions.
    TxList,
    /// Show one transaction.
    TxShow(String),
    /// Show how the groups are doing, or one of them.
    Status(Option<String>),
    /// List the locks.
    Locks,
    /// Make a replica faulty.
    Fault {
        /// Which one.
        at: Replica,
        /// In which way.
        kind: FaultKind,
        /// Even if its group cannot bear it.
        force: bool,
    },
    /// Make a replica correct again, or all.
    Heal(Option<Replica>),
    /// List the newest items of evidence, at most this many.
    Evidence(Option<usize>),
    /// Wait until nothing is in flight.
    WaitQuiet,
    /// Leave.
    Quit,
}

impl Command {
    /// Whether it makes replicas work, so that one wants to see what they did.
    pub(crate) const fn is_work(&self) -> bool {
        !matches!(
            self,
            Self::Help(_)
                | Self::Tour
                | Self::Source(_)
                | Self::As(_)
                | Self::Status(_)
                | Self::Evidence(_)
                | Self::WaitQuiet
                | Self::Quit
        )
    }
}

/// Understands a line. `None` is a line without a command: empty, or only a comment.
pub(crate) fn parse(line: &str) -> Result<Option<Command>, Failure> {
    let words = words::split(line)?;
    let Some((name, rest)) = words.split_first() else { return Ok(None) };
    let entry = find(name)?;
    let given = Given::sort(entry, rest)?;
    (entry.build)(&given).map(Some).map_err(|failure| with_usage(failure, entry))
}

/// The entry of this name.
pub(crate) fn find(name: &str) -> Result<&'static Entry, Failure> {
    TABLE.iter().find(|entry| entry.name == name).ok_or_else(|| {
        let meant = meant(name, TABLE.iter().map(|entry| entry.name));
        Failure::new(
            Code::UnknownCommand,
            format!("there is no command `{}`", words::printable(name)),
            format!("{meant}`help` lists all commands"),
        )
    })
}

/// Says how the command is written, where the failure does not say better.
fn with_usage(mut failure: Failure, entry: &Entry) -> Failure {
    if failure.help.is_empty() {
        failure.help = format!("usage: {}", entry.usage());
    }
    failure
}

#[cfg(test)]
mod tests;
