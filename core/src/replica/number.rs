//! The number of a client's command: a session, a strand of it, and a count on that.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The most strands of one session.
pub const STRANDS_MAX: u16 = 256;

/// Which command of a client.
///
/// A session has strands, which know nothing of each other; on each the counts begin with 1 and take
/// effect in order. A later session of the same client ends all earlier ones, so a client that forgot
/// how far it had counted begins anew under a higher session.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Number {
    session: u32,
    strand: u16,
    count: u32,
}

impl Number {
    /// The command with this count on the first strand of a session.
    pub const fn new(session: u32, count: u32) -> Self {
        Self { session, strand: 0, count }
    }

    /// The one with the same count on another strand.
    #[must_use]
    pub const fn on(self, strand: u16) -> Self {
        Self { strand, ..self }
    }

    /// The session.
    pub const fn session(self) -> u32 {
        self.session
    }

    /// The strand, below [`STRANDS_MAX`].
    pub const fn strand(self) -> u16 {
        self.strand
    }

    /// The count on the strand, from 1.
    pub const fn count(self) -> u32 {
        self.count
    }

    /// The bytes that stand for it in hashes.
    pub(super) fn to_bytes(self) -> [u8; 10] {
        let mut bytes = [0; 10];
        bytes[..4].copy_from_slice(&self.session.to_le_bytes());
        bytes[4..6].copy_from_slice(&self.strand.to_le_bytes());
        bytes[6..].copy_from_slice(&self.count.to_le_bytes());
        bytes
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.strand {
            0 => write!(f, "{}.{}", self.session, self.count),
            strand => write!(f, "{}/{strand}.{}", self.session, self.count),
        }
    }
}
