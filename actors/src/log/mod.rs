//! One log per party: all mail that its actors took, in one order.
//!
//! A party that fell is rebuilt from its log and says again, word for word, what it had said.
//! Therefore nothing leaves a party before the mail that caused it is durable. A log begins with a
//! snapshot of the whole party; when it has grown, a new segment with a new snapshot replaces it,
//! so it stays flat however old the party gets.

mod disk;
mod draft;
mod memory;
mod record;

use std::sync::Arc;

pub use disk::{Disk, probe};
pub use memory::{Memory, Store};
pub(crate) use record::Taking;
pub use record::{Entry, Inscribe, Origin, Record, Snapshot};
use tokio::sync::watch;

/// The place of a record in a party's log, counted from 1 over its whole life. 0: before all.
pub type Lsn = u64;

/// How much a segment grows before a snapshot replaces it, in bytes: a restart reads it in a second.
pub const SEGMENT_BYTES: u64 = 64 << 20;

/// What a log has made durable, or that it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Durable {
    /// Everything up to this record.
    UpTo(Lsn),
    /// A write or a sync failed; the party must stop, for it cannot know what the disk holds.
    Failed(Arc<str>),
}

/// What was in a log when it was opened.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The newest snapshot, if the party ever took mail.
    pub snapshot: Option<Snapshot>,
    /// The records after it, in order.
    pub records: Vec<(Lsn, Record)>,
}

impl Recovered {
    /// How much a segment that begins with such a snapshot grows before another one replaces it: a
    /// large party is not saved more often than it has written twice its size.
    pub(crate) fn segment_bytes(&self) -> u64 {
        segment_bytes(self.snapshot.as_ref().map_or(0, Snapshot::own))
    }
}

/// How much a segment grows whose snapshot has so many bytes of its own.
pub(crate) fn segment_bytes(snapshot: u64) -> u64 {
    SEGMENT_BYTES.max(2 * snapshot)
}

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The operating system says no.
    #[error("cannot use the log {path}: {source}")]
    Io {
        /// Which file or folder.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The middle of the log is damaged: a torn end is mended, this is not.
    #[error(
        "the log {path} is damaged at byte {offset}: {what}; this party must not guess what it \
         said, start it under a new epoch or restore the file"
    )]
    Damaged {
        /// Which file.
        path: String,
        /// Where.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// Another process uses the log.
    #[error("the log {path} is in use by another process")]
    InUse {
        /// Which folder.
        path: String,
    },
    /// The log is another party's, or of another configuration, deal or version.
    #[error("the log {path} was written by {found}, not by {expected}")]
    Foreign {
        /// Which file.
        path: String,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
}

/// Where a party remembers.
pub trait Log: Send {
    /// Appends a record and says its place. It waits for the next [`commit`](Self::commit).
    fn append(&mut self, record: &dyn Inscribe) -> Lsn;
    /// Writes what was appended, in one go. Durability is announced later, or has come when this
    /// returns.
    fn commit(&mut self);
    /// What is durable, as it changes.
    fn durable(&self) -> watch::Receiver<Durable>;
    /// How many bytes were appended since the last snapshot, in this life or an earlier one.
    fn grown(&self) -> u64;
    /// Replaces everything by a snapshot of the party as it is after its last record.
    fn replace(&mut self, snapshot: Snapshot);
    /// What the log holds now: to rebuild an instance that fell.
    fn reread(&mut self) -> Result<Recovered, LogError>;
    /// Makes everything durable, then returns.
    fn flush(&mut self);
}
