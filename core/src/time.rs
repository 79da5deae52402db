//! Durations that a protocol may ask for. No protocol ever reads a clock.

use serde::{Deserialize, Serialize};

/// How long until an alarm, in microseconds of the host's time: real or simulated, never wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span(u64);

impl Span {
    /// So many microseconds.
    pub const fn micros(micros: u64) -> Self {
        Self(micros)
    }

    /// So many milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self(millis * 1_000)
    }

    /// In microseconds.
    pub const fn as_micros(self) -> u64 {
        self.0
    }
}
