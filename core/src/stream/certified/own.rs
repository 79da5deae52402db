//! What this member's user submitted and is not ordered yet.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::{
    stream::batch::Batch,
    wire::limits::{BATCH_BYTES_MAX, BATCH_PAYLOADS_MAX},
};

/// The most own batches under way: what is said of a lane between one round and the one after the next,
/// in batches that are worth a hash and a frame each.
pub(super) const UNDER_WAY_MAX: usize = 32;

/// The most bytes of own batches under way: below one full batch there may always be another one.
pub(super) const UNDER_WAY_BYTES_MAX: usize = 2 * BATCH_BYTES_MAX + 4 * BATCH_PAYLOADS_MAX + 128;

/// Batches below this weight wait for others while two are under way, so that a busy group hashes and
/// sends few, full batches.
const SMALL: usize = 64 << 10;

/// What is submitted is cut into batches of about this size, so that they are hashed, sent and stored
/// one while another is under way.
const LARGE: usize = 512 << 10;

/// The most that may wait, in [`Batch::weight`]: what four full batches take.
const WEIGHT_MAX: usize = 4 * BATCH_BYTES_MAX;

/// One batch under way.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Sent {
    seq: u64,
    payloads: u64,
    weight: usize,
}

/// Submitted payloads, in order, until they are ordered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Own {
    waiting: VecDeque<Batch>,
    weight: usize,
    under_way: VecDeque<Sent>,
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

    /// The next batch for the lane with its number, if one is due.
    pub(super) fn next(&mut self) -> Option<(u64, Batch)> {
        let under_way: usize = self.under_way.iter().map(|sent| sent.weight).sum();
        let room = self.under_way.len() < UNDER_WAY_MAX && under_way < BATCH_BYTES_MAX;
        let worth = self.under_way.len() < 2 || self.weight >= SMALL;
        if self.waiting.is_empty() || !room || !worth {
            return None;
        }
        let batch = self.cut();
        self.seq += 1;
        let (payloads, weight) = (batch.len() as u64, batch.weight());
        self.under_way.push_back(Sent { seq: self.seq, payloads, weight });
        Some((self.seq, batch))
    }

    /// As much of what waits as makes a good batch, and what the user gave in one piece at least.
    fn cut(&mut self) -> Batch {
        let (mut payloads, mut weight, mut chosen) = (0, 0, Vec::new());
        while let Some(batch) = self.waiting.front() {
            payloads += batch.len();
            weight += batch.weight();
            let fits = payloads <= BATCH_PAYLOADS_MAX && weight <= LARGE;
            if !fits && !chosen.is_empty() {
                break;
            }
            self.weight -= batch.weight();
            chosen.extend(self.waiting.pop_front());
        }
        Batch::concat(&chosen)
    }

    /// The lane is ordered up to `seq`. Tells how many payloads are ordered since the beginning, if that
    /// changed.
    pub(super) fn settle(&mut self, seq: u64) -> Option<u64> {
        let before = self.settled;
        while let Some(sent) = self.under_way.pop_front_if(|sent| sent.seq <= seq) {
            self.settled += sent.payloads;
        }
        self.seq = self.seq.max(seq);
        (self.settled > before).then_some(self.settled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::limits::PAYLOAD_MAX;

    #[test]
    fn what_comes_while_two_are_under_way_goes_together() {
        let mut own = Own::default();
        for payload in ["a", "b", "c", "d"] {
            own.submit(Batch::of([payload])).unwrap();
            if payload != "c" {
                continue;
            }
            assert_eq!(own.next(), Some((1, Batch::of(["a", "b", "c"]))));
        }
        assert_eq!(own.next(), Some((2, Batch::of(["d"]))));
        own.submit(Batch::of(["e"])).unwrap();
        own.submit(Batch::of(["f"])).unwrap();
        assert_eq!(own.next(), None);
        assert_eq!(own.settle(1), Some(3));
        assert_eq!(own.next(), Some((3, Batch::of(["e", "f"]))));
        assert_eq!((own.settle(1), own.settle(3), own.weight), (None, Some(6), 0));
    }

    #[test]
    fn no_more_is_under_way_than_others_have_room_for() {
        let full = || Batch::of(vec![vec![0; PAYLOAD_MAX]; 3]);
        let (mut own, mut bytes, mut batches) = (Own::default(), 0, 0);
        while own.submit(full()).is_ok() {}
        while let Some((_, batch)) = own.next() {
            bytes += batch.weight();
        }
        assert!(bytes <= UNDER_WAY_BYTES_MAX);
        let mut own = Own::default();
        for _ in 0..2 * UNDER_WAY_MAX {
            own.submit(Batch::of([vec![0; SMALL]])).unwrap();
            batches += usize::from(own.next().is_some());
        }
        assert_eq!(batches, UNDER_WAY_MAX);
    }

    #[test]
    fn a_queue_that_is_full_and_a_batch_that_breaks_a_limit_are_refused() {
        let mut own = Own::default();
        let giant = Batch::of([vec![0; PAYLOAD_MAX + 1]]);
        assert_eq!(own.submit(giant.clone()), Err(giant));
        let large = Batch::of(vec![vec![0; PAYLOAD_MAX]; 4]);
        let taken = (0..8).filter(|_| own.submit(large.clone()).is_ok()).count();
        assert_eq!(taken, 3, "the weight of a batch is a little more than its bytes");
    }
}
