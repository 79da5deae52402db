//! What this party's user submitted and the stream has not ordered yet.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::{
    crypto::Digest,
    id::Round,
    stream::batch::Batch,
    wire::limits::{BATCH_BYTES_MAX, BATCH_PAYLOADS_MAX},
};

/// The most that may wait, in [`Batch::weight`]: what four full rounds take. A user that submits
/// more is faster than the group, and is told so.
pub(super) const WEIGHT_MAX: usize = 4 * BATCH_BYTES_MAX;

/// Submitted payloads, in order, until they are ordered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Queue {
    waiting: VecDeque<Batch>,
    weight: usize,
    /// The batch that is out: for which round, its name, and how many of `waiting` it holds.
    out: Option<Out>,
    /// How many payloads have left the queue for good.
    settled: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Out {
    round: Round,
    digest: Digest,
    count: usize,
}

impl Queue {
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

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The batch for `round`: as many of the submitted as fit, from the oldest on; none of them if
    /// none waits. They stay in the queue until they are ordered.
    pub(super) fn take(&mut self, round: Round) -> (Batch, Digest) {
        let (mut payloads, mut bytes) = (0, 0);
        let fits = |batch: &&Batch| {
            payloads += batch.len();
            bytes += batch.size();
            payloads <= BATCH_PAYLOADS_MAX && bytes <= BATCH_BYTES_MAX
        };
        let chosen: Vec<_> = self.waiting.iter().take_while(fits).cloned().collect();
        let batch = Batch::concat(&chosen);
        let digest = batch.digest();
        self.out = Some(Out { round, digest, count: chosen.len() });
        (batch, digest)
    }

    /// The round is decided, and `named` is the batch of this party that it orders, if it does.
    /// Tells how many payloads that are.
    pub(super) fn settle(&mut self, round: Round, named: Option<Digest>) -> u64 {
        let Some(out) = self.out.take_if(|out| out.round == round) else { return 0 };
        if named != Some(out.digest) {
            return 0;
        }
        self.drop_front(out.count).iter().map(|batch| batch.len() as u64).sum()
    }

    /// Gives up on the batch that is out, because the fate of its round will stay unknown.
    pub(super) fn abandon(&mut self) -> Batch {
        let count = self.out.take().map_or(0, |out| out.count);
        Batch::concat(&self.drop_front(count))
    }

    fn drop_front(&mut self, count: usize) -> Vec<Batch> {
        let gone: Vec<_> = self.waiting.drain(..count).collect();
        self.weight -= gone.iter().map(Batch::weight).sum::<usize>();
        self.settled += gone.iter().map(|batch| batch.len() as u64).sum::<u64>();
        gone
    }

    /// How many payloads have left the queue for good.
    pub(super) fn settled(&self) -> u64 {
        self.settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::limits::PAYLOAD_MAX;

    #[test]
    fn what_a_round_leaves_out_comes_first_in_the_next() {
        let mut queue = Queue::default();
        queue.submit(Batch::of(["a", "b"])).unwrap();
        queue.submit(Batch::of(["c"])).unwrap();
        let (first, digest) = queue.take(Round::new(0));
        assert_eq!(first, Batch::of(["a", "b", "c"]));
        queue.submit(Batch::of(["d"])).unwrap();
        assert_eq!(queue.settle(Round::new(0), None), 0);
        let (second, named) = queue.take(Round::new(1));
        assert_eq!(second, Batch::of(["a", "b", "c", "d"]));
        assert_eq!(queue.settle(Round::new(1), Some(digest)), 0, "the name of another batch");
        queue.take(Round::new(2));
        assert_eq!(queue.settle(Round::new(1), Some(named)), 0, "another round");
        assert_eq!(queue.settle(Round::new(2), Some(named)), 4);
        assert_eq!((queue.settled(), queue.is_empty(), queue.weight), (4, true, 0));
    }

    #[test]
    fn a_batch_keeps_to_its_limit_and_the_queue_to_its_own() {
        let mut queue = Queue::default();
        let large = Batch::of([vec![0; PAYLOAD_MAX], vec![1; PAYLOAD_MAX], vec![2; PAYLOAD_MAX]]);
        for _ in 0..5 {
            queue.submit(large.clone()).unwrap();
        }
        assert_eq!(queue.submit(large.clone()), Err(large.clone()));
        assert_eq!(queue.take(Round::FIRST).0, large, "two do not fit into one round");
        let giant = Batch::of([vec![0; PAYLOAD_MAX + 1]]);
        assert_eq!(Queue::default().submit(giant.clone()), Err(giant));
        let many = Batch::of(vec![""; BATCH_PAYLOADS_MAX + 1]);
        assert_eq!(Queue::default().submit(many.clone()), Err(many));
    }

    #[test]
    fn an_abandoned_batch_counts_as_settled() {
        let mut queue = Queue::default();
        queue.submit(Batch::of(["a"])).unwrap();
        queue.take(Round::FIRST);
        queue.submit(Batch::of(["b"])).unwrap();
        assert_eq!(queue.abandon(), Batch::of(["a"]));
        assert_eq!(queue.abandon(), Batch::default());
        assert_eq!((queue.settled(), queue.take(Round::FIRST).0), (1, Batch::of(["b"])));
    }
}
