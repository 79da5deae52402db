//! What a member's own user submits, on its way into the lane.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::{
    stream::batch::Batch,
    wire::limits::{BATCH_BYTES_MAX, BATCH_PAYLOADS_MAX},
};

/// The most own batches under way: enough that the next one travels while one is ordered.
pub(super) const IN_FLIGHT_MAX: usize = 4;

/// What is submitted is cut into batches, so that they are hashed, sent and stored one while another is
/// under way. Those that all members send at a time have about this size together: every member takes
/// the batches of all, so that the queues of a group of sixteen would be four times as long as those of
/// four if each of them sent as much.
const LARGE_OF_ALL: usize = 2 << 20;

/// Batches below this weight wait for others while two are under way, so that a busy group orders few,
/// full batches.
const SMALL: usize = 64 << 10;

/// The most that may wait, in [`Batch::weight`]: what four full batches take.
const WEIGHT_MAX: usize = 4 * BATCH_BYTES_MAX;

/// What this member's user submitted and items do not order yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Own {
    waiting: VecDeque<Batch>,
    weight: usize,
    /// How many payloads each batch under way has, by its number.
    under_way: VecDeque<(u64, u64)>,
    /// The last number.
    seq: u64,
    /// How many payloads are ordered.
    settled: u64,
}

impl Own {
    /// Takes a batch of the user; hands it back if the queue is full or the batch breaks a limit.
    pub(super) fn submit(&mut self, batch: Batch) -> Result<(), Batch> {
        let weight = batch.weight();
        if batch.check().is_err() || self.weight + weight > WEIGHT_MAX {
            return Err(batch);
        }
        if !batch.is_empty() {
            self.weight += weight;
            self.waiting.push_back(batch);
        }
        Ok(())
    }

    /// Whether nothing waits to be sent.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The next batch for the lane with its number, if one is due. So many members send batches.
    pub(super) fn next(&mut self, senders: usize) -> Option<(u64, Batch)> {
        let few = self.under_way.len() < 2;
        let due = few || self.weight >= SMALL;
        if self.waiting.is_empty() || self.under_way.len() >= IN_FLIGHT_MAX || !due {
            return None;
        }
        let large = (LARGE_OF_ALL / senders.max(1)).clamp(SMALL, LARGE_OF_ALL / 4);
        let (mut payloads, mut weight, mut chosen) = (0, 0, Vec::new());
        while let Some(batch) = self.waiting.pop_front() {
            payloads += batch.len();
            weight += batch.weight();
            let fits = payloads <= BATCH_PAYLOADS_MAX && weight <= large;
            if !fits && !chosen.is_empty() {
                self.waiting.push_front(batch);
                break;
            }
            self.weight -= batch.weight();
            if let Some((first, rest)) = batch.split(large) {
                self.weight += rest.weight();
                self.waiting.push_front(rest);
                chosen.push(first);
                break;
            }
            chosen.push(batch);
        }
        let batch = Batch::concat(&chosen);
        self.seq += 1;
        self.under_way.push_back((self.seq, batch.len() as u64));
        Some((self.seq, batch))
    }

    /// Items order the lane up to `seq`. Tells how many payloads are ordered since the beginning, if
    /// that changed.
    pub(super) fn settle(&mut self, seq: u64) -> Option<u64> {
        let before = self.settled;
        while let Some((_, payloads)) = self.under_way.pop_front_if(|(at, _)| *at <= seq) {
            self.settled += payloads;
        }
        self.seq = self.seq.max(seq);
        (self.settled > before).then_some(self.settled)
    }

    /// The number of the first batch that is under way.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.under_way.front().map(|(seq, _)| *seq)
    }

    /// The number of the last batch that is under way.
    pub(super) fn newest(&self) -> Option<u64> {
        self.under_way.back().map(|(seq, _)| *seq)
    }

    /// Whether anything is under way, or about to be.
    pub(super) fn is_under_way(&self) -> bool {
        !self.under_way.is_empty() || !self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A full queue of payloads of half a KiB, submitted so many at a time.
    fn full(at_a_time: usize) -> Own {
        let mut own = Own::default();
        let batch = Batch::of(vec![[0_u8; 512]; at_a_time]);
        while own.submit(batch.clone()).is_ok() {}
        own
    }

    #[test]
    fn what_a_group_has_under_way_does_not_grow_with_it() {
        for (n, most) in [(4, 512 << 10), (7, 300 << 10), (16, 128 << 10), (64, SMALL)] {
            for at_a_time in [1, 100, 8_000] {
                let mut own = full(at_a_time);
                let sent: Vec<_> = std::iter::from_fn(|| own.next(n)).collect();
                assert_eq!(sent.len(), IN_FLIGHT_MAX);
                for (_, batch) in sent {
                    assert!(batch.weight() <= most, "{n} send {}", batch.weight());
                    assert!(batch.weight() >= most * 3 / 4, "{n} send only {}", batch.weight());
                }
            }
        }
    }

    #[test]
    fn what_is_split_is_sent_in_order_and_counted_once() {
        let mut own = Own::default();
        let all: Vec<_> = (0..100_u32).map(|at| [at as u8; 10_000]).collect();
        own.submit(Batch::of(&all[..90])).expect("it fits");
        own.submit(Batch::of(&all[90..])).expect("it fits");
        let (mut sent, mut settled) = (Vec::new(), 0);
        while let Some((seq, batch)) = own.next(16) {
            sent.extend(batch.iter());
            settled = own.settle(seq).expect("more is ordered");
        }
        assert!(sent.iter().map(|it| &it[..]).eq(all.iter().map(|it| &it[..])), "in order");
        assert_eq!((settled, own.weight, own.is_under_way()), (100, 0, false));
    }
}
