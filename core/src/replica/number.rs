//! The number of a client's request: a session, and a count within it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which request of a client: its session above, the count within it, from 1, below.
///
/// A session begins with count 1. A later session of the same client ends all earlier ones, so a
/// client that forgot how far it had counted begins anew under a higher session.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Number(u64);

impl Number {
    /// The request with this count in this session.
    pub const fn new(session: u32, count: u32) -> Self {
        Self(((session as u64) << 32) | count as u64)
    }

    /// The session.
    pub const fn session(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The count within the session, from 1.
    pub const fn count(self) -> u32 {
        self.0 as u32
    }

    /// As the service sees it.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number that a service was shown.
    pub const fn of(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.session(), self.count())
    }
}
