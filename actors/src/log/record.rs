//! What is in a log.

use bytes::Bytes;
use maftia_core::{effects::Lane, path::InstanceId, seat::Owner};
use serde::{Deserialize, Serialize};

use super::Lsn;

/// Which frame of which link a piece of mail was. It is taken once, restarts or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Who sent it.
    pub from: Owner,
    /// On which lane.
    pub lane: Lane,
    /// Its number there.
    pub number: u64,
}

/// A piece of mail that an actor took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The root of the actor's tree.
    pub instance: InstanceId,
    /// The frame that it was, if it was one.
    pub origin: Option<Origin>,
    /// The mail, encoded.
    pub mail: Bytes,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// An actor took mail.
    Took(Entry),
    /// This record felled its actor and is to be skipped for ever.
    Skipped(Lsn),
}

/// A whole party at rest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The last record that is in it.
    pub at: Lsn,
    /// The trees of all actors.
    pub trees: Vec<(InstanceId, Bytes)>,
    /// The sessions of the links: what peers have not acknowledged, and what was taken from them.
    pub links: Bytes,
}
