//! What a member's own user submits, on its way into the lane.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::{
    stream::batch::Batch,
    wire::limits::{BATCH_BYTES_MAX, BATCH_PAYLOADS_MAX},
};

/// The most own batches under way: enough that the next one travels while one is ordered.
pub(super) const IN_FLIGHT_MAX: usize = 4;

/// Batches below this weight wait for others while two are under way, so that a busy group orders few,
/// full batches.
const SMALL: usize = 64 << 10;

/// What is submitted is cut into batches of about this size, so that they are hashed, sent and stored
/// one while another is under way.
const LARGE: usize = 512 << 10;

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

    /// The next batch for the lane with its number, if one is due.
    pub(super) fn next(&mut self) -> Option<(u64, Batch)> {
        let few = self.under_way.len() < 2;
        let due = few || self.weight >= SMALL;
        if self.waiting.is_empty() || self.under_way.len() >= IN_FLIGHT_MAX || !due {
            return None;
        }
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

    /// Whether anything is under way, or about to be.
    pub(super) fn is_under_way(&self) -> bool {
        !self.under_way.is_empty() || !self.waiting.is_empty()
    }
}
