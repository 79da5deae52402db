//! How many a rule must wait for. The arithmetic appears here and nowhere else.

use serde::{Deserialize, Serialize};

/// Named counts of a group of `n` parties of which at most `f` lie.
///
/// Without a trusted component `n >= 3f + 1` holds; with one, `n >= 2f + 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thresholds {
    n: u16,
    f: u16,
}

/// The group is too small for the faults that it shall tolerate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{n} parties cannot tolerate {f} faults: at least {needed} parties are needed")]
pub struct TooSmall {
    /// The parties there are.
    pub n: u16,
    /// The faults that were asked for.
    pub f: u16,
    /// The parties that would do.
    pub needed: u32,
}

impl Thresholds {
    /// The bound without timing assumptions or trusted components: `n >= 3f + 1`.
    pub fn asynchronous(n: u16, f: u16) -> Result<Self, TooSmall> {
        Self::checked(n, f, 3 * u32::from(f) + 1)
    }

    /// The bound when order comes from a trusted component: `n >= 2f + 1`.
    pub fn wormhole(n: u16, f: u16) -> Result<Self, TooSmall> {
        Self::checked(n, f, 2 * u32::from(f) + 1)
    }

    fn checked(n: u16, f: u16, needed: u32) -> Result<Self, TooSmall> {
        if u32::from(n) < needed { Err(TooSmall { n, f, needed }) } else { Ok(Self { n, f }) }
    }

    /// The size of the group.
    pub const fn n(self) -> u16 {
        self.n
    }

    /// The most that may be faulty.
    pub const fn f(self) -> u16 {
        self.f
    }

    /// `f + 1`: at least one of them is correct.
    pub const fn one_correct(self) -> usize {
        self.f as usize + 1
    }

    /// `2f + 1`: more than half of the correct are among them.
    pub const fn most_correct(self) -> usize {
        2 * self.f as usize + 1
    }

    /// `ceil((n + f + 1) / 2)`: any two such sets share a correct party.
    pub const fn quorum(self) -> usize {
        (self.n as usize + self.f as usize + 2) / 2
    }

    /// `n - f`: the most that is safe to wait for.
    pub const fn available(self) -> usize {
        (self.n - self.f) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_are_tight() {
        assert!(Thresholds::asynchronous(4, 1).is_ok());
        let error = Thresholds::asynchronous(5, 2).expect_err("5 < 7");
        assert_eq!(
            error.to_string(),
            "5 parties cannot tolerate 2 faults: at least 7 parties are needed"
        );
        assert!(Thresholds::wormhole(3, 1).is_ok());
        assert!(Thresholds::wormhole(2, 1).is_err());
    }

    #[test]
    fn quorums_meet_in_a_correct_party_and_can_be_reached() {
        for n in 1..=40 {
            for f in 0..=(n - 1) / 3 {
                let t = Thresholds::asynchronous(n, f).expect("within the bound");
                let (n, f) = (usize::from(n), usize::from(f));
                assert!(2 * t.quorum() - n > f, "n={n} f={f}");
                assert!(2 * (t.quorum() - 1) <= n + f, "the smallest such: n={n} f={f}");
                assert!(t.quorum() <= t.available(), "n={n} f={f}");
                assert!(t.most_correct() <= t.available(), "n={n} f={f}");
            }
        }
    }
}
