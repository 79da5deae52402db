//! What the stream delivered since the last stable checkpoint: executed or to be executed.
//!
//! What was executed is kept so that a replica whose state turns out to differ from the group's can
//! load the group's and go on from there.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::{
    id::{PartyId, Slot},
    stream::atomic::Position,
    stream::batch::Batch,
};

/// The most executed entries that are kept, if no checkpoint becomes stable.
pub(super) const EXECUTED_MAX: usize = 4_096;

/// One thing that the stream delivered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Entry {
    Batch { first: Slot, from: PartyId, batch: Batch },
    End(Position),
}

impl Entry {
    /// The slot after it.
    fn end(&self) -> Slot {
        match self {
            Self::Batch { first, batch, .. } => first.plus(batch.len() as u64),
            Self::End(position) => position.slot,
        }
    }
}

/// The log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Log {
    entries: VecDeque<Entry>,
    /// How many of them were executed.
    executed: usize,
    /// Where it begins and ends.
    start: Slot,
    end: Slot,
}

impl Log {
    /// Takes what the stream delivered. False when something is missing before it.
    pub(super) fn push(&mut self, entry: Entry) -> bool {
        let first = match &entry {
            Entry::Batch { first, .. } => *first,
            Entry::End(position) => position.slot,
        };
        if first < self.end {
            return true;
        }
        let whole = first == self.end;
        if !whole {
            self.jump(first);
        }
        self.end = entry.end();
        if !self.ends_already(&entry) {
            self.entries.push_back(entry);
        }
        whole
    }

    /// Whether this is the end of an empty round, after an end at the same slot. The first one counts,
    /// so that members name the same position in their checkpoints whether they are fast or slow; and
    /// rounds in which nothing is ordered, of which a liar can cause any number, take no room.
    fn ends_already(&self, entry: &Entry) -> bool {
        let (Entry::End(end), Some(Entry::End(last))) = (entry, self.entries.back()) else {
            return false;
        };
        last.slot == end.slot
    }

    /// The next entry, if it is the one at `slot`.
    pub(super) fn next(&mut self, slot: Slot) -> Option<Entry> {
        loop {
            let entry = self.entries.get(self.executed)?;
            let now = match entry {
                Entry::Batch { first, .. } => *first == slot,
                Entry::End(position) => position.slot == slot,
            };
            let over = entry.end() < slot || (entry.end() == slot && !now);
            if !now && !over {
                return None;
            }
            self.executed += 1;
            if now {
                let entry = self.entries.get(self.executed - 1).cloned();
                self.bound();
                return entry;
            }
        }
    }

    /// Whether a state at `slot` can go on from here: nothing is missing above it.
    pub(super) fn reaches(&self, slot: Slot) -> bool {
        slot >= self.start
    }

    /// Goes on from `slot`, where a state was loaded. False when that is beyond the end.
    pub(super) fn rewind(&mut self, slot: Slot) -> bool {
        if slot > self.end {
            self.jump(slot);
            return false;
        }
        self.executed = self.entries.partition_point(|entry| entry.end() <= slot);
        true
    }

    /// Forgets what was executed below `slot`.
    pub(super) fn trim(&mut self, slot: Slot) {
        while self.executed > 0 && self.entries.front().is_some_and(|first| first.end() <= slot) {
            self.drop_first();
        }
    }

    fn jump(&mut self, slot: Slot) {
        *self = Self { entries: VecDeque::new(), executed: 0, start: slot, end: slot };
    }

    fn bound(&mut self) {
        while self.executed > EXECUTED_MAX {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some(first) = self.entries.pop_front() {
            self.start = first.end();
            self.executed -= 1;
        }
    }

    /// How many entries are kept.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Round;

    fn batch(first: u64, len: usize) -> Entry {
        let batch = Batch::of(vec!["x"; len]);
        Entry::Batch { first: Slot::new(first), from: PartyId::new(0), batch }
    }

    fn end(slot: u64) -> Entry {
        Entry::End(Position { slot: Slot::new(slot), ..Position::default() })
    }

    fn log() -> Log {
        let mut log = Log::default();
        for entry in [batch(0, 2), end(2), batch(2, 1), end(3)] {
            assert!(log.push(entry));
        }
        log
    }

    #[test]
    fn entries_come_in_order_once() {
        let mut log = log();
        assert!(log.push(batch(0, 2)), "a repetition is no gap");
        assert_eq!(log.next(Slot::new(0)), Some(batch(0, 2)));
        assert_eq!(log.next(Slot::new(2)), Some(end(2)));
        assert_eq!(log.next(Slot::new(2)), Some(batch(2, 1)));
        assert_eq!(log.next(Slot::new(3)), Some(end(3)));
        assert_eq!(log.next(Slot::new(3)), None);
    }

    #[test]
    fn a_loaded_state_goes_on_from_its_slot() {
        let mut log = log();
        while log.next(Slot::new(0)).is_some() {}
        assert!(log.rewind(Slot::new(2)));
        assert_eq!(log.next(Slot::new(2)), Some(batch(2, 1)));
        log.trim(Slot::new(2));
        assert!(!log.reaches(Slot::new(1)) && log.reaches(Slot::new(2)));
        assert!(!log.rewind(Slot::new(9)), "beyond the end the stream has to jump");
        assert!(log.push(batch(9, 1)));
    }

    #[test]
    fn empty_rounds_take_no_room_and_the_first_end_of_a_slot_counts() {
        let at = |round| {
            let round = Round::new(round);
            Entry::End(Position { round, slot: Slot::new(4), ..Position::default() })
        };
        for fast in [true, false] {
            let mut log = log();
            log.push(batch(3, 1));
            let mut seen = Vec::new();
            for round in 5..100 {
                assert!(log.push(at(round)));
                if fast {
                    seen.extend([0, 2, 3, 4].map(|slot| log.next(Slot::new(slot))));
                }
            }
            seen.extend([0, 2, 2, 3, 3, 4, 4].map(|slot| log.next(Slot::new(slot))));
            let ends: Vec<_> = seen.into_iter().flatten().collect();
            assert_eq!(ends.last(), Some(&at(5)), "the same for the fast and the slow");
            assert_eq!(log.len(), 6);
        }
    }

    #[test]
    fn a_gap_is_noticed_and_nothing_is_executed_across_it() {
        let mut log = log();
        assert!(!log.push(batch(7, 1)));
        assert_eq!(log.next(Slot::new(3)), None);
        assert!(!log.reaches(Slot::new(6)) && log.reaches(Slot::new(7)));
    }
}
