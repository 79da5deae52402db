//! What is ordered and not yet delivered, because the user has given no credit.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::atomic::{Output, Position};
use crate::{
    id::{PartyId, Slot},
    stream::batch::Batch,
};

/// Ordered batches that wait for credit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Delivery {
    credit: Slot,
    waiting: VecDeque<Ordered>,
    weight: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Ordered {
    Batch { first: Slot, from: PartyId, batch: Batch },
    End(Position),
}

impl Delivery {
    /// Lets batches out that begin below `up_to`. Credit never shrinks.
    pub(super) fn pull(&mut self, up_to: Slot) {
        self.credit = self.credit.max(up_to);
    }

    /// Takes in a batch.
    pub(super) fn batch(&mut self, first: Slot, from: PartyId, batch: Batch) {
        self.weight += batch.weight();
        self.waiting.push_back(Ordered::Batch { first, from, batch });
    }

    /// Takes in the end of a round. It stands for the later rounds in which nothing is ordered, too, so
    /// that empty rounds take no room, and a slot has the same end for the fast and the slow.
    pub(super) fn end(&mut self, position: Position) {
        if !matches!(self.waiting.back(), Some(Ordered::End(_))) {
            self.waiting.push_back(Ordered::End(position));
        }
    }

    /// What may go to the user next, if anything.
    pub(super) fn next(&mut self) -> Option<Output> {
        let credit = self.credit;
        let may = match self.waiting.front()? {
            Ordered::Batch { first, .. } => *first < credit,
            Ordered::End(_) => true,
        };
        let ordered = if may { self.waiting.pop_front()? } else { return None };
        Some(match ordered {
            Ordered::Batch { first, from, batch } => {
                self.weight -= batch.weight();
                Output::Deliver { first, from, batch }
            }
            Ordered::End(position) => Output::RoundEnd { position },
        })
    }

    /// The slot of the first payload that waits.
    pub(super) fn first(&self) -> Option<Slot> {
        self.waiting.iter().find_map(|ordered| match ordered {
            Ordered::Batch { first, .. } => Some(*first),
            Ordered::End(_) => None,
        })
    }

    /// Drops all that waits if it is more than `most`. Tells where the gap begins.
    pub(super) fn overflow(&mut self, most: usize) -> Option<Slot> {
        if self.weight <= most {
            return None;
        }
        let start = self.first();
        self.clear();
        start
    }

    /// Drops what lies below `slot`, which a checkpoint of the user covers.
    pub(super) fn skip(&mut self, slot: Slot) {
        let covered = |ordered: &Ordered| match ordered {
            Ordered::Batch { first, batch, .. } => first.plus(batch.len() as u64) <= slot,
            Ordered::End(position) => position.slot <= slot,
        };
        while let Some(ordered) = self.waiting.pop_front_if(|ordered| covered(ordered)) {
            if let Ordered::Batch { batch, .. } = ordered {
                self.weight -= batch.weight();
            }
        }
    }

    fn clear(&mut self) {
        self.waiting.clear();
        self.weight = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Round;

    fn batch(payloads: usize) -> Batch {
        Batch::of(vec!["x"; payloads])
    }

    fn position(slot: u64) -> Position {
        Position { slot: Slot::new(slot), ..Position::default() }
    }

    fn drain(delivery: &mut Delivery) -> Vec<Output> {
        std::iter::from_fn(|| delivery.next()).collect()
    }

    #[test]
    fn nothing_begins_beyond_the_credit() {
        let (mut delivery, party) = (Delivery::default(), PartyId::new(0));
        delivery.batch(Slot::new(0), party, batch(2));
        delivery.batch(Slot::new(2), party, batch(2));
        delivery.end(position(4));
        delivery.end(Position { round: Round::new(9), ..position(4) });
        assert_eq!(drain(&mut delivery), []);
        delivery.pull(Slot::new(2));
        delivery.pull(Slot::new(1));
        let first = Output::Deliver { first: Slot::new(0), from: party, batch: batch(2) };
        assert_eq!(drain(&mut delivery), [first]);
        delivery.pull(Slot::new(3));
        let second = Output::Deliver { first: Slot::new(2), from: party, batch: batch(2) };
        let end = Output::RoundEnd { position: position(4) };
        assert_eq!(drain(&mut delivery), [second, end]);
        assert_eq!(delivery.weight, 0);
    }

    #[test]
    fn beyond_its_bound_it_drops_everything_and_says_from_where() {
        let (mut delivery, party) = (Delivery::default(), PartyId::new(0));
        delivery.batch(Slot::new(7), party, batch(2));
        assert_eq!(delivery.overflow(1_000), None);
        assert_eq!(delivery.overflow(100), Some(Slot::new(7)));
        delivery.pull(Slot::new(9));
        assert_eq!(drain(&mut delivery), []);
    }

    #[test]
    fn a_checkpoint_covers_what_lies_below_it() {
        let (mut delivery, party) = (Delivery::default(), PartyId::new(0));
        delivery.batch(Slot::new(0), party, batch(2));
        delivery.end(position(2));
        delivery.batch(Slot::new(2), party, batch(1));
        delivery.skip(Slot::new(2));
        delivery.pull(Slot::new(100));
        let rest = Output::Deliver { first: Slot::new(2), from: party, batch: batch(1) };
        assert_eq!(drain(&mut delivery), [rest]);
    }
}
