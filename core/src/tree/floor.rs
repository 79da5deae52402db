//! Which children of one role are over.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The tombstones of one role: all below the floor is over, and some stretches above it.
///
/// Rounds and senders are numbered from 0 on, so for them there is little above. Names are numbered all
/// over the place, but the uses of one name in a row: what is left of it is one stretch, however often it
/// was used, and one more for each use that still goes on among those that are over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Floor {
    below: u64,
    /// The stretches, by their first numbers, with their last ones. There is a gap after each.
    above: BTreeMap<u64, u64>,
}

impl Floor {
    /// Whether the child with this number is over.
    pub(super) fn covers(&self, number: u64) -> bool {
        let stretch = self.above.range(..=number).next_back();
        number < self.below || stretch.is_some_and(|(_, last)| number <= *last)
    }

    /// The child with this number is over from now on.
    pub(super) fn close(&mut self, number: u64) {
        if self.covers(number) {
            return;
        }
        let (mut first, mut last) = (number, number);
        if let Some((start, end)) = self.above.range(..number).next_back()
            && end + 1 == number
        {
            first = *start;
        }
        if let Some(after) = number.checked_add(1)
            && let Some(end) = self.above.remove(&after)
        {
            last = end;
        }
        self.above.insert(first, last);
        // The last number of all is never used up.
        if first == self.below && last < u64::MAX {
            self.above.remove(&first);
            self.below = last + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_is_over_is_what_was_closed_in_any_order() {
        let mut dice = 9_u64;
        for _ in 0..200 {
            let (mut floor, mut closed) = (Floor::default(), BTreeSet::new());
            let near_the_end = dice.is_multiple_of(3);
            for _ in 0..40 {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let small = (dice >> 33) % 24;
                let number = if near_the_end { u64::MAX - small } else { small };
                floor.close(number);
                closed.insert(number);
                for small in 0..30 {
                    for number in [small, u64::MAX - small] {
                        assert_eq!(floor.covers(number), closed.contains(&number));
                    }
                }
                let gaps = closed.iter().filter(|number| !closed.contains(&number.wrapping_add(1)));
                assert!(floor.above.len() <= gaps.count());
            }
        }
    }

    #[test]
    fn numbers_in_a_row_leave_one_stretch_wherever_they_begin() {
        for start in [0, 7, 1 << 63] {
            let mut floor = Floor::default();
            for number in (start..start + 1_000).rev() {
                floor.close(number);
            }
            assert_eq!(floor.above.len(), usize::from(start > 0));
        }
    }
}
