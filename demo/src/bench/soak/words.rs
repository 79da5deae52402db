//! What the soak and its parties say to each other.

use std::path::PathBuf;

use maftia_core::stream::{atomic::Position, batch::Batch};
use serde::{Deserialize, Serialize};

use super::watcher::Mark;
use crate::bench::flags::Durability;

/// What a party is to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Role {
    /// The folder of the soak.
    pub(super) folder: PathBuf,
    /// Its place in the group.
    pub(super) party: u16,
    /// Where it remembers.
    pub(super) durability: Durability,
    /// How much it keeps for parties and subscribers that are behind, in bytes.
    pub(super) kept: usize,
    /// Where its subscriber goes on.
    pub(super) mark: Mark,
}

/// What a party is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// Payloads to be ordered.
    Submit(Batch),
    /// Cut off from everybody, or let back.
    Cut(bool),
    /// Go on from here: `f + 1` parties told this position.
    Resume(Box<Position>),
}

/// What a party tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Tale {
    /// It has read its log, and its subscriber what was kept.
    Ready,
    /// What its subscriber sees.
    Seen(Box<Seen>),
    /// A position that is the same everywhere.
    Place(Box<Position>),
    /// Others do not keep what it needs next.
    Behind,
    /// It cannot go on.
    Failed(String),
}

/// What a subscriber sees.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Seen {
    /// Where it is, and what it found wrong so far.
    pub(super) mark: Mark,
    /// The hashes of the windows that it saw whole since the last word, by number.
    pub(super) windows: Vec<(u64, u64)>,
    /// The longest latency since the last word, in microseconds.
    pub(super) slowest_us: u64,
}
