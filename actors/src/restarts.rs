//! How often an instance may fall before its party gives up.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// More falls than this within [`WITHIN`] and the party stops: it limps, and `f` covers a party that
/// stops but not one that skips whatever it is sent.
pub const FALLS_MAX: usize = 3;

/// The window in which falls are counted.
pub const WITHIN: Duration = Duration::from_secs(10);

/// The recent falls of one party.
#[derive(Debug, Default)]
pub struct RestartLimit {
    falls: VecDeque<Instant>,
}

impl RestartLimit {
    /// Notes a fall at `now`; whether another restart is allowed.
    pub fn allows(&mut self, now: Instant) -> bool {
        self.falls.push_back(now);
        while self.falls.front().is_some_and(|fall| now.duration_since(*fall) > WITHIN) {
            self.falls.pop_front();
        }
        self.falls.len() <= FALLS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fourth_fall_in_ten_seconds_is_one_too_many() {
        let start = Instant::now();
        let mut limit = RestartLimit::default();
        for second in [0, 1, 2] {
            assert!(limit.allows(start + Duration::from_secs(second)));
        }
        assert!(!limit.allows(start + Duration::from_secs(3)));
        assert!(limit.allows(start + Duration::from_secs(12)));
    }
}
