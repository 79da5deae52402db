//! The four sets of bits.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A set of bits: none, one of the two, or both.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct BoolSet(u8);

impl BoolSet {
    /// Neither bit.
    pub const EMPTY: Self = Self(0);
    /// Both bits.
    pub const BOTH: Self = Self(3);

    /// The set of this bit.
    pub const fn of(value: bool) -> Self {
        Self(1 << value as u8)
    }

    /// Whether the bit is in the set.
    pub const fn contains(self, value: bool) -> bool {
        Self::of(value).is_within(self)
    }

    /// Whether there is no bit in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether every bit of this set is in the other one.
    pub const fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// The bits that are in one of the sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Adds a bit; says whether it is new.
    pub fn insert(&mut self, value: bool) -> bool {
        let new = !self.contains(value);
        *self = self.union(Self::of(value));
        new
    }

    /// The bit, if there is exactly one.
    pub const fn single(self) -> Option<bool> {
        match self.0 {
            1 => Some(false),
            2 => Some(true),
            _ => None,
        }
    }
}

impl FromIterator<Self> for BoolSet {
    fn from_iter<I: IntoIterator<Item = Self>>(sets: I) -> Self {
        sets.into_iter().fold(Self::EMPTY, Self::union)
    }
}

impl fmt::Debug for BoolSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(["{}", "{0}", "{1}", "{0, 1}"][usize::from(self.0)])
    }
}

impl<'de> Deserialize<'de> for BoolSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            bits @ 0..=3 => Ok(Self(bits)),
            bits => Err(serde::de::Error::custom(format_args!("{bits} is no set of bits"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    #[test]
    fn sets_behave_like_sets() {
        let mut set = BoolSet::default();
        assert!(set.is_empty() && set.single().is_none() && set.is_within(BoolSet::EMPTY));
        assert!(set.insert(true) && !set.insert(true));
        assert_eq!(
            (set, set.single(), set.contains(false)),
            (BoolSet::of(true), Some(true), false)
        );
        assert!(set.is_within(BoolSet::BOTH) && !BoolSet::BOTH.is_within(set));
        let all: BoolSet = [BoolSet::of(false), BoolSet::of(true)].into_iter().collect();
        assert_eq!((all, all.single()), (BoolSet::BOTH, None));
    }

    #[test]
    fn a_fifth_set_is_refused() {
        for bits in 0..=3_u8 {
            assert_eq!(wire::decode(&wire::encode(&bits)), Ok(BoolSet(bits)));
        }
        assert!(wire::decode::<BoolSet>(&wire::encode(&4_u8)).is_err());
    }
}
