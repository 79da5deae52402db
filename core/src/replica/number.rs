//! The number of a client's command: a session, which has an era, a strand of it, and a count on that.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The most strands of one session.
pub const STRANDS_MAX: u16 = 256;

/// Which command of a client.
///
/// A session has strands, which know nothing of each other; on each the counts begin with 1 and take
/// effect in order. A later session of the same client ends all earlier ones, so a client that forgot
/// how far it had counted begins anew under a higher session. One of a later era is later, too: the
/// group says in which era it opens sessions of clients that the configuration does not name.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Number {
    era: u64,
    session: u32,
    strand: u16,
    count: u32,
}

impl Number {
    /// The command with this count on the first strand of a session, of the first era.
    pub const fn new(session: u32, count: u32) -> Self {
        Self { era: 0, session, strand: 0, count }
    }

    /// The one in the session of another era.
    #[must_use]
    pub const fn of_era(self, era: u64) -> Self {
        Self { era, ..self }
    }

    /// The one with the same count on another strand.
    #[must_use]
    pub const fn on(self, strand: u16) -> Self {
        Self { strand, ..self }
    }

    /// The era in which its session is opened, from 0.
    pub const fn era(self) -> u64 {
        self.era
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

    /// Era and session: a session is later than those below it.
    pub(super) const fn head(self) -> (u64, u32) {
        (self.era, self.session)
    }

    /// The command with another count on the same strand.
    pub(super) const fn at(self, count: u32) -> Self {
        Self { count, ..self }
    }

    /// The bytes that stand for it in hashes.
    pub(super) fn to_bytes(self) -> [u8; 18] {
        let mut bytes = [0; 18];
        bytes[..8].copy_from_slice(&self.era.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.session.to_le_bytes());
        bytes[12..14].copy_from_slice(&self.strand.to_le_bytes());
        bytes[14..].copy_from_slice(&self.count.to_le_bytes());
        bytes
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.era > 0 {
            write!(f, "{}:", self.era)?;
        }
        match self.strand {
            0 => write!(f, "{}.{}", self.session, self.count),
            strand => write!(f, "{}/{strand}.{}", self.session, self.count),
        }
    }
}
