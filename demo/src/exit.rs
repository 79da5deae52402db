//! How the process ends: one table of exit codes, and the error that carries one.

use std::{fmt, io, process::ExitCode};

/// How the process ends. The numbers are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All went as commanded.
    Fine = 0,
    /// It failed for a reason without a number of its own.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// A command of a script failed.
    CommandFailed = 3,
    /// A file holds what it should not.
    BadData = 65,
    /// Our own wrong.
    Bug = 70,
    /// A file or socket failed.
    Io = 74,
    /// A quorum was lost; trying again may work.
    Temporary = 75,
    /// Keys are unreadable, readable by others, or not the ones that were dealt.
    Keys = 77,
    /// The configuration is wrong.
    Configuration = 78,
    /// Stopped by its user.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why the process ends: what, where, what to do, and with which code.
#[derive(Debug)]
pub(crate) struct Stop {
    /// The exit code.
    pub(crate) exit: Exit,
    /// What happened, and where.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) help: String,
}

impl Stop {
    /// An end with these words.
    pub(crate) fn new(exit: Exit, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { exit, message: message.into(), help: help.into() }
    }

    /// A file that cannot be used.
    pub(crate) fn file(path: &std::path::Path, doing: &str, error: &io::Error) -> Self {
        let message = format!("cannot {doing} {}: {error}", path.display());
        Self::new(Exit::Io, message, "check the path and its permissions")
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.is_empty() {
            return Ok(());
        }
        writeln!(f, "error: {}", self.message)?;
        if self.help.is_empty() { Ok(()) } else { writeln!(f, "  help: {}", self.help) }
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        // A reader that has seen enough, as `head` has, is nothing to complain about.
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(Exit::Io, "", "");
        }
        Self::new(Exit::Io, format!("cannot write: {error}"), "check where the output goes")
    }
}
