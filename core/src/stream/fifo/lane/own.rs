//! What the sender of a lane has to say, until it has delivered it itself.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::{fault::Fault, stream::batch::Batch};
#[cfg(any(test, feature = "sim"))]
use crate::{seat::Seat, stream::contents::Content};

/// The most that waits to be spoken, in [`Batch::weight`]. A user that submits more is told so.
const QUEUE_MAX: usize = 4 << 20;

/// What a batch costs in an item beside its payloads, for each of them; and three times that once.
const BORDER: usize = 5;

/// What one broadcast carries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Item {
    Batch(Batch),
    /// Nothing comes after this.
    Close,
}

impl Item {
    /// Whether a receiver takes it.
    pub(super) fn check(&self) -> Result<(), Fault> {
        match self {
            Self::Batch(batch) if batch.is_empty() => {
                Err(Fault::Improper("an item without payloads".into()))
            }
            Self::Batch(batch) => batch.check().map_err(|error| Fault::Improper(error.to_string())),
            Self::Close => Ok(()),
        }
    }
}

#[cfg(any(test, feature = "sim"))]
impl Content for Item {
    const NAME: &'static str = "item of a sender";

    fn judge(&self, _: &Seat) -> bool {
        self.check().is_ok()
    }
}

/// What the sender itself has to say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Own {
    queue: VecDeque<Batch>,
    weight: usize,
    /// How many broadcasts it has spoken in.
    spoken: u64,
    /// How many payloads are in those that it has not delivered itself.
    out: BTreeMap<u64, u64>,
    /// How many of its payloads it has delivered itself.
    settled: u64,
    pub(super) closing: bool,
    closed: bool,
}

impl Own {
    /// Takes what the user submits, cut into pieces that a broadcast of `limit` bytes can carry; hands it
    /// back if it has no room, if a payload is too large, or if the end was asked for.
    pub(super) fn submit(&mut self, batch: Batch, limit: usize) -> Result<(), Batch> {
        let fits = batch.iter().all(|payload| cost(&[payload.len()]) <= limit);
        if self.closing || self.weight + batch.weight() > QUEUE_MAX || !fits {
            return Err(batch);
        }
        if cost_of(&batch) <= limit {
            self.push(batch);
            return Ok(());
        }
        let (mut piece, mut size) = (Vec::new(), cost(&[]));
        for payload in batch.iter() {
            if size + payload.len() + BORDER > limit {
                self.push(Batch::of(std::mem::take(&mut piece)));
                size = cost(&[]);
            }
            size += payload.len() + BORDER;
            piece.push(payload);
        }
        self.push(Batch::of(piece));
        Ok(())
    }

    fn push(&mut self, batch: Batch) {
        if !batch.is_empty() {
            self.weight += batch.weight();
            self.queue.push_back(batch);
        }
    }

    /// What to say next, and in which broadcast, which is below `end`: as many of the oldest batches as
    /// fit, or that this is the last.
    pub(super) fn item(&mut self, end: u64, limit: usize) -> Option<(u64, Item)> {
        if self.spoken >= end || self.closed {
            return None;
        }
        let mut size = cost(&[]);
        let fits = |batch: &&Batch| {
            size += batch.size() + BORDER * batch.len();
            size <= limit
        };
        let count = self.queue.iter().take_while(fits).count();
        if count == 0 && !self.closing {
            return None;
        }
        let number = self.spoken;
        self.spoken += 1;
        if count == 0 {
            self.closed = true;
            return Some((number, Item::Close));
        }
        let batches: Vec<_> = self.queue.drain(..count).collect();
        self.weight -= batches.iter().map(Batch::weight).sum::<usize>();
        let batch = Batch::concat(&batches);
        self.out.insert(number, batch.len() as u64);
        Some((number, Item::Batch(batch)))
    }

    /// All below `next` is delivered or passed over; how many payloads are, if that is news.
    pub(super) fn settle(&mut self, next: u64) -> Option<u64> {
        let out = self.out.split_off(&next);
        let settled: u64 = std::mem::replace(&mut self.out, out).values().sum();
        self.settled += settled;
        (settled > 0).then_some(self.settled)
    }
}

/// What an item with payloads of these lengths takes at most, in bytes.
fn cost(payloads: &[usize]) -> usize {
    payloads.iter().map(|payload| payload + BORDER).sum::<usize>() + 3 * BORDER
}

fn cost_of(batch: &Batch) -> usize {
    cost(&[]) + batch.size() + BORDER * batch.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    const LIMIT: usize = 1_000;

    #[test]
    fn an_item_keeps_to_its_limit_on_the_wire() {
        for sizes in [vec![0; 900], vec![300; 20], vec![980, 1, 0, 979], vec![7; 1]] {
            let mut own = Own::default();
            let batch = Batch::of(sizes.iter().map(|size| vec![1; *size]));
            own.submit(batch.clone(), LIMIT).unwrap();
            let mut payloads = Vec::new();
            while let Some((_, item)) = own.item(u64::MAX, LIMIT) {
                assert!(wire::encode(&item).len() <= LIMIT);
                let Item::Batch(batch) = item else { panic!("not the end") };
                payloads.extend(batch.iter());
            }
            assert_eq!(payloads, batch.iter().collect::<Vec<_>>(), "all, in order");
            assert_eq!(own.settle(u64::MAX), Some(sizes.len() as u64));
            assert_eq!((own.weight, own.settle(u64::MAX)), (0, None));
        }
    }

    #[test]
    fn what_cannot_be_carried_comes_back() {
        let mut own = Own::default();
        let large = Batch::of([vec![0; LIMIT]]);
        assert_eq!(own.submit(large.clone(), LIMIT), Err(large));
        let full = Batch::of(vec![[0; 100]; QUEUE_MAX / 104 - 2]);
        own.submit(full, LIMIT).unwrap();
        let more = Batch::of([[0; 400]]);
        assert_eq!(own.submit(more.clone(), LIMIT), Err(more));
    }

    #[test]
    fn the_end_comes_last_and_once() {
        let mut own = Own::default();
        own.submit(Batch::of(["a"]), LIMIT).unwrap();
        own.closing = true;
        assert!(own.submit(Batch::of(["b"]), LIMIT).is_err());
        assert_eq!(own.item(0, LIMIT), None, "no broadcast is open");
        assert_eq!(own.item(9, LIMIT), Some((0, Item::Batch(Batch::of(["a"])))));
        assert_eq!(own.item(9, LIMIT), Some((1, Item::Close)));
        assert_eq!(own.item(9, LIMIT), None);
    }
}
