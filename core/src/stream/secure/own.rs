//! What this party's user submitted and the engine has not ordered: first as plaintext that waits,
//! then as a ciphertext in flight.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::message::{Envelope, PLAIN_MAX, room};
use crate::{
    crypto::Digest,
    stream::batch::Batch,
    wire::{
        self,
        limits::{BATCH_BYTES_MAX, BATCH_PAYLOADS_MAX, PAYLOAD_MAX},
    },
};

/// The most ciphertexts of this party that the engine has and did not order: outsiders' ones cannot share
/// one. No correct party has more of them in a batch of the engine.
pub(super) const FLIGHTS_MAX: usize = 16;

/// With so many of them under way, own payloads wait and share the next one, so that a busy party encrypts
/// few, large batches.
const BUSY: usize = 4;

/// The most bytes under way, but for one ciphertext: what a batch of the engine has room for, so that
/// its queue is never full of them.
const FLIGHT_BYTES_MAX: usize = BATCH_BYTES_MAX;

/// The most bytes of plaintext that may wait: as many as the queue of an atomic stream takes. A user
/// that submits more is faster than the group, and is told so.
const WEIGHT_MAX: usize = 4 * BATCH_BYTES_MAX;

/// What waits for a place among the flights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Item {
    /// Payloads of the user.
    Plain(Batch),
    /// An envelope of an outsider, encoded.
    Sealed(Bytes),
}

impl Item {
    fn weight(&self) -> usize {
        match self {
            Self::Plain(batch) => batch.weight(),
            Self::Sealed(bytes) => bytes.len() + 128,
        }
    }
}

/// A ciphertext that the engine has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Flight {
    name: Digest,
    /// Its length.
    bytes: usize,
    /// What is in it; nothing if it is an outsider's.
    batch: Batch,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Next {
    /// Encrypt.
    Seal { number: u64, plaintext: Bytes },
    /// Give it to the engine.
    Order(Bytes),
}

/// The queue before the engine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Own {
    waiting: VecDeque<Item>,
    weight: usize,
    /// What is being encrypted.
    sealing: Option<Batch>,
    /// How many were encrypted.
    number: u64,
    flights: VecDeque<Flight>,
    /// The flights that were settled last, in case the engine is not sure of them.
    landed: Vec<Flight>,
    /// How many ciphertexts the engine has settled.
    settled: u64,
    /// How many payloads of the user were in them.
    ordered: u64,
}

impl Own {
    /// Takes payloads; hands them back if the queue is full or a payload is too large.
    pub(super) fn submit(&mut self, batch: Batch) -> Result<(), Batch> {
        let Some(pieces) = pieces(&batch) else { return Err(batch) };
        let weight: usize = pieces.iter().map(Batch::weight).sum();
        if self.weight + weight > WEIGHT_MAX {
            return Err(batch);
        }
        self.weight += weight;
        self.waiting.extend(pieces.into_iter().map(Item::Plain));
        Ok(())
    }

    /// Takes an outsider's ciphertext, unless the queue is full or no engine would take it.
    pub(super) fn forward(&mut self, envelope: &Envelope) -> bool {
        let item = Item::Sealed(wire::encode(envelope));
        let room = item.weight() <= PAYLOAD_MAX && self.weight + item.weight() <= WEIGHT_MAX;
        if room {
            self.weight += item.weight();
            self.waiting.push_back(item);
        }
        room
    }

    /// What can be done now. One batch is encrypted at a time, so that order is kept.
    pub(super) fn next(&mut self) -> Option<Next> {
        let most = match self.waiting.front()? {
            Item::Plain(_) => BUSY,
            Item::Sealed(_) => FLIGHTS_MAX,
        };
        let bytes: usize = self.flights.iter().map(|flight| flight.bytes).sum();
        if self.sealing.is_some() || self.flights.len() >= most || bytes >= FLIGHT_BYTES_MAX {
            return None;
        }
        let item = self.waiting.pop_front()?;
        self.weight -= item.weight();
        match item {
            Item::Sealed(envelope) => {
                self.fly(&envelope, Batch::default());
                Some(Next::Order(envelope))
            }
            Item::Plain(first) => {
                let batch = self.gather(first);
                let plaintext = wire::encode(&batch);
                self.sealing = Some(batch);
                self.number += 1;
                Some(Next::Seal { number: self.number, plaintext })
            }
        }
    }

    /// As many of the payloads that wait next as fit beside these.
    fn gather(&mut self, first: Batch) -> Batch {
        let (mut payloads, mut bytes) = (first.len(), first.size());
        let mut all = vec![first];
        while let Some(Item::Plain(batch)) = self.waiting.front() {
            (payloads, bytes) = (payloads + batch.len(), bytes + batch.size());
            if payloads > BATCH_PAYLOADS_MAX || room(payloads, bytes) > PLAIN_MAX {
                break;
            }
            let Some(Item::Plain(batch)) = self.waiting.pop_front() else { break };
            self.weight -= batch.weight();
            all.push(batch);
        }
        Batch::concat(&all)
    }

    /// What was encrypted goes to the engine.
    pub(super) fn sealed(&mut self, envelope: &Envelope) -> Option<Bytes> {
        let batch = self.sealing.take()?;
        let bytes = wire::encode(envelope);
        self.fly(&bytes, batch);
        Some(bytes)
    }

    fn fly(&mut self, envelope: &Bytes, batch: Batch) {
        self.flights.push_back(Flight { name: name(envelope), bytes: envelope.len(), batch });
    }

    /// The engine has settled so many ciphertexts since the beginning. Tells how many payloads that
    /// makes, if it are more than before.
    pub(super) fn settle(&mut self, settled: u64) -> Option<u64> {
        let new = usize::try_from(settled.saturating_sub(self.settled)).unwrap_or(usize::MAX);
        self.settled = self.settled.max(settled);
        self.landed = self.flights.drain(..new.min(self.flights.len())).collect();
        let payloads: u64 = self.landed.iter().map(|flight| flight.batch.len() as u64).sum();
        self.ordered += payloads;
        (payloads > 0).then_some(self.ordered)
    }

    /// The payloads in these ciphertexts of this party.
    pub(super) fn inside(&self, ciphertexts: &Batch) -> Batch {
        let flown = || self.landed.iter().chain(&self.flights);
        let plain = |bytes: Bytes| {
            let name = name(&bytes);
            flown().find(|flight| flight.name == name).map(|flight| flight.batch.clone())
        };
        Batch::concat(&ciphertexts.iter().filter_map(plain).collect::<Vec<_>>())
    }

    /// The engine did not take the last of the ciphertexts. Tells how many payloads are in them.
    pub(super) fn refused(&mut self, ciphertexts: u64) -> u64 {
        let count = usize::try_from(ciphertexts).unwrap_or(usize::MAX).min(self.flights.len());
        let back = self.flights.split_off(self.flights.len() - count);
        back.iter().map(|flight| flight.batch.len() as u64).sum()
    }
}

/// The name of an envelope, encoded.
pub(super) fn name(envelope: &[u8]) -> Digest {
    Digest::of("sealed", envelope)
}

/// The payloads of a batch in pieces that can be encrypted; `None` if one of them is too large.
fn pieces(batch: &Batch) -> Option<Vec<Batch>> {
    batch.check().ok()?;
    if room(batch.len(), batch.size()) <= PLAIN_MAX {
        return Some(if batch.is_empty() { Vec::new() } else { vec![batch.clone()] });
    }
    let (mut pieces, mut piece, mut bytes) = (Vec::new(), Vec::new(), 0);
    for payload in batch.iter() {
        if room(1, payload.len()) > PLAIN_MAX {
            return None;
        }
        if room(piece.len() + 1, bytes + payload.len()) > PLAIN_MAX {
            pieces.push(Batch::of(piece.drain(..)));
            bytes = 0;
        }
        bytes += payload.len();
        piece.push(payload);
    }
    pieces.push(Batch::of(piece));
    Some(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{crypto::Ciphertext, id::PartyId, stream::secure::Author};

    fn envelope(text: &'static str) -> Envelope {
        Envelope { author: Author::Member(PartyId::new(1)), ciphertext: Ciphertext(text.into()) }
    }

    fn plaintext(own: &mut Own) -> Option<Batch> {
        match own.next()? {
            Next::Seal { plaintext, .. } => Some(wire::decode(&plaintext).unwrap()),
            Next::Order(_) => None,
        }
    }

    #[test]
    fn what_comes_while_all_flights_are_taken_shares_the_next_one() {
        let mut own = Own::default();
        for text in ["a", "b", "c", "d"] {
            assert_eq!(own.submit(Batch::of([text])), Ok(()));
            assert_eq!(plaintext(&mut own), Some(Batch::of([text])));
            assert_eq!(own.next(), None, "one at a time");
            assert!(own.sealed(&envelope(text)).is_some());
        }
        for text in ["e", "f", "g"] {
            own.submit(Batch::of([text])).unwrap();
        }
        assert_eq!(own.next(), None, "all flights are taken");
        assert_eq!(own.settle(1), Some(1));
        assert_eq!(own.settle(1), None);
        assert_eq!(plaintext(&mut own), Some(Batch::of(["e", "f", "g"])));
        assert_eq!(own.weight, 0);
        own.sealed(&envelope("efg"));
        let unsure = Batch::of([wire::encode(&envelope("efg")), wire::encode(&envelope("x"))]);
        assert_eq!(own.inside(&unsure), Batch::of(["e", "f", "g"]));
        assert_eq!(own.refused(1), 3);
        assert_eq!(own.settle(9), Some(4), "more than there are counts for nothing");
    }

    #[test]
    fn outsiders_fly_beside_each_other_up_to_a_bound() {
        let mut own = Own::default();
        for _ in 0..20 {
            assert!(own.forward(&envelope("small")));
        }
        let flown = std::iter::from_fn(|| own.next()).count();
        assert_eq!(flown, FLIGHTS_MAX);
        let large = Envelope { ciphertext: Ciphertext(vec![0; PLAIN_MAX].into()), ..envelope("") };
        let mut own = Own::default();
        (0..10).for_each(|_| assert!(own.forward(&large)));
        let flown = std::iter::from_fn(|| own.next()).count();
        assert_eq!(flown, FLIGHT_BYTES_MAX.div_ceil(wire::encode(&large).len()));
    }

    #[test]
    fn large_batches_are_cut_and_larger_payloads_refused() {
        let half = vec![7; PLAIN_MAX / 2];
        let three = Batch::of([&half, &half, &half]);
        let mut own = Own::default();
        own.submit(three).unwrap();
        let sizes = |own: &mut Own| {
            let batch = plaintext(own).map(|batch| batch.len());
            own.sealed(&envelope("x"));
            batch
        };
        assert_eq!(
            [sizes(&mut own), sizes(&mut own), sizes(&mut own)],
            [Some(1), Some(1), Some(1)]
        );
        let huge = Batch::of([vec![0; PLAIN_MAX]]);
        assert_eq!(own.submit(huge.clone()), Err(huge));
        assert_eq!(own.submit(Batch::default()), Ok(()));
        assert_eq!(own.next(), None);
    }

    #[test]
    fn a_full_queue_takes_nothing_more() {
        let mut own = Own::default();
        let large = Batch::of([vec![7; PLAIN_MAX - 100]]);
        let taken = (0..100).take_while(|_| own.submit(large.clone()).is_ok()).count();
        assert_eq!(taken, WEIGHT_MAX / large.weight());
        let outsiders =
            Envelope { ciphertext: Ciphertext(vec![0; PLAIN_MAX].into()), ..envelope("") };
        assert!(!own.forward(&outsiders));
        assert!(own.forward(&envelope("small")));
        let huge = Envelope { ciphertext: Ciphertext(vec![0; PAYLOAD_MAX].into()), ..envelope("") };
        assert!(!Own::default().forward(&huge));
    }
}
