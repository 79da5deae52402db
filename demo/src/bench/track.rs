//! The numbers of one generator, as a subscriber sees them come.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Missing numbers that are remembered in order to tell late payloads from doubled ones. With more
/// missing than that, the run is spoilt anyway.
const MISSING_MAX: usize = 1 << 16;

/// What came of one generator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Track {
    next: u64,
    missing: BTreeSet<u64>,
    /// Missing numbers that are not remembered.
    forgotten: u64,
}

/// What a number is to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is new, whether some are missing before it or not.
    New,
    /// It came after a later one.
    Late,
    /// It came before.
    Again,
}

impl Track {
    /// Everything below this number is settled elsewhere.
    pub(crate) fn from(next: u64) -> Self {
        Self { next, ..Self::default() }
    }

    /// Nothing below this number comes any more.
    pub(crate) fn skip_to(&mut self, number: u64) {
        self.next = self.next.max(number);
    }

    /// The lowest number above all that came.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// How many numbers below that did not come.
    pub(crate) fn missing(&self) -> u64 {
        self.missing.len() as u64 + self.forgotten
    }

    /// Takes a number.
    pub(crate) fn take(&mut self, number: u64) -> Place {
        if number < self.next {
            return if self.missing.remove(&number) { Place::Late } else { Place::Again };
        }
        let room = (MISSING_MAX - self.missing.len()) as u64;
        let kept = number.min(self.next.saturating_add(room));
        self.missing.extend(self.next..kept);
        self.forgotten += number - kept;
        self.next = number + 1;
        Place::New
    }
}
