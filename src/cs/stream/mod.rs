//! Streams as an application sees them: many payloads of everybody, in order.

mod kind;

use std::{collections::VecDeque, marker::PhantomData};

use bytes::Bytes;
use maftia_actors::node::Stopped;
use maftia_core::{
    agreement::Predicate,
    id::{PartyId, Slot},
    stream::batch::Batch,
    wire::{self, DecodeError},
};

pub use self::kind::{
    Atomic, Consistent, Event, Fast, Kind, Lanes, Open, Places, Reliable, Rounds, SecureAtomic,
};
use super::{
    Class, Payload, Port, Terms,
    services::{Spec, Told},
};

/// Everybody gets the same payloads of each sender in its order. No order between senders.
pub type ReliableStream<T> = Stream<Reliable, T>;

/// Nobody gets other payloads of a sender than others do, but of a sender that lies some may get none.
pub type ConsistentStream<T> = Stream<Consistent, T>;

/// Everybody gets the same payloads in the same order, and the end at the same place, by one of the engines
/// [`Fast`], [`Rounds`] and [`Lanes`]. Their promises are the same. Opened with different ones, a name means
/// different streams, which have nothing to do with each other.
pub type AtomicStream<T, E = Fast> = Stream<Atomic<E>, T>;

/// Like [`AtomicStream`], and [outsiders](crate::cs::Outsider) can read it with proof.
pub type OpenStream<T, E = Fast> = Stream<Open<E>, T>;

/// Like [`AtomicStream`], and nobody reads a payload before its place in the order is fixed.
pub type SecureAtomicStream<T, E = Fast> = Stream<SecureAtomic<E>, T>;

/// How many batches, or slots of an atomic stream, may wait for the application in its inbox.
const CREDIT: u64 = 64;

/// How many payloads of the application, and how many bytes of them, may be out at a time: a part of what
/// the streams let wait, so that they never refuse one.
const OUT_MAX: (usize, usize) = (1_024, 2 << 20);

/// One payload, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery<T, F = PartyId> {
    /// Who sent it: a member, or an outsider.
    pub from: F,
    /// Where it stands: its slot, or the place of its batch among those of its sender.
    pub at: u64,
    /// The payload.
    pub payload: T,
}

/// Why a stream goes wrong. Only the last two end it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The payload is too large: it was not sent.
    #[error("{len} bytes are more than the {max} that a payload may have")]
    TooLarge {
        /// Its size, in bytes.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// All got what a member sent, and it is nothing of the expected type.
    #[error("what {from} sent at {at} cannot be decoded: {error}")]
    Malformed {
        /// Who.
        from: PartyId,
        /// Where it stands.
        at: u64,
        /// What is wrong with it.
        error: DecodeError,
    },
    /// This member was away for too long, or its application too slow: what stands in between is lost to
    /// it. The stream goes on behind that.
    #[error("lost what stands from {first} to {to}: this member was too slow")]
    Lagged {
        /// Whose payloads; `None`: everybody's.
        from: Option<PartyId>,
        /// The first place that is lost.
        first: u64,
        /// The first place that may come again.
        to: u64,
    },
    /// This member came back to a place beyond which these payloads of its own may stand, or not. Send them
    /// again if they may come twice.
    #[error("nobody knows whether {payloads} own payloads were delivered")]
    Unsure {
        /// How many.
        payloads: u64,
    },
    /// The stream takes nothing any more: this member or enough others have closed it.
    #[error("the stream is closed")]
    Closed,
    /// The own member has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// One stream at one member.
pub struct Stream<K, T> {
    port: Port,
    limit: usize,
    /// What came while the application was sending.
    ready: VecDeque<Event>,
    /// The batch whose payloads are being handed out, and the place of the next.
    open: Option<(PartyId, u64, VecDeque<Bytes>)>,
    /// Up to which slot an atomic stream was taken, and how much of any was since credit was given.
    reached: Option<u64>,
    taken: u64,
    begun: bool,
    /// The sizes of own payloads that are out, and how many were before them.
    out: VecDeque<usize>,
    settled: u64,
    refuses: bool,
    over: bool,
    marker: PhantomData<fn() -> (K, T)>,
}

impl<Q: Predicate<Proof = Bytes>, K: Kind, T: Payload> Class<Q> for Stream<K, T> {
    type Terms = ();
    const NAME: &str = K::NAME;

    fn spec((): &()) -> Spec<Q> {
        K::spec()
    }

    fn over(port: Port, at: Terms<()>) -> Self {
        Self {
            port,
            limit: K::limit(at.seat.thresholds().n()),
            ready: VecDeque::new(),
            open: None,
            reached: None,
            taken: 0,
            begun: false,
            out: VecDeque::new(),
            settled: 0,
            refuses: false,
            over: false,
            marker: PhantomData,
        }
    }
}

impl<K: Kind, T: Payload> Stream<K, T> {
    /// Sends a payload to all. Waits while too many of this member's are under way; what was taken is
    /// delivered by all, unless the stream is closed before.
    pub async fn send(&mut self, payload: &T) -> Result<(), StreamError> {
        let payload = wire::encode(payload);
        if payload.len() > self.limit {
            return Err(StreamError::TooLarge { len: payload.len(), max: self.limit });
        }
        while self.is_full() && !self.refuses && !self.over {
            let told = self.port.next().await?;
            self.sort(told);
        }
        while let Some(told) = self.port.try_next() {
            self.sort(told);
        }
        if self.refuses || self.over {
            return Err(StreamError::Closed);
        }
        self.out.push_back(payload.len());
        Ok(self.port.ask(K::submit(Batch::of([payload]))).await?)
    }

    /// The largest payload that it carries, in bytes.
    pub fn payload_max(&self) -> usize {
        self.limit
    }

    /// Asks that the stream end. It does when `f + 1` members ask; this one sends no more.
    pub async fn close(&mut self) -> Result<(), StreamError> {
        self.refuses = true;
        Ok(self.port.ask(K::close()).await?)
    }

    /// What comes next; `None` when the stream has ended. Errors other than [`StreamError::Stopped`]
    /// leave it open.
    pub async fn next(&mut self) -> Option<Result<Delivery<T>, StreamError>> {
        loop {
            if let Some(delivery) = self.hand_out() {
                return Some(delivery);
            }
            if self.over {
                return None;
            }
            match self.event().await {
                Ok(Event::Deliver(from, at, batch)) => {
                    let each = K::PLACES == Places::SlotEach;
                    self.count(at, if each { batch.len() as u64 } else { 1 });
                    self.open = Some((from, at, batch.iter().collect()));
                }
                Ok(Event::Lagged(from, first, to)) => {
                    if K::PLACES != Places::BySender {
                        self.count(first, to - first);
                    }
                    return Some(Err(StreamError::Lagged { from, first, to }));
                }
                Ok(Event::Unsure(payloads)) => return Some(Err(StreamError::Unsure { payloads })),
                Ok(Event::Closed) => self.over = true,
                Ok(Event::Settled(_) | Event::Refused(_)) => {}
                Err(stopped) => {
                    self.over = true;
                    return Some(Err(stopped.into()));
                }
            }
        }
    }

    /// The next payload of the batch that is open.
    fn hand_out(&mut self) -> Option<Result<Delivery<T>, StreamError>> {
        let (from, next, payloads) = self.open.as_mut()?;
        let (from, at) = (*from, *next);
        let Some(payload) = payloads.pop_front() else {
            self.open = None;
            return None;
        };
        *next += u64::from(K::PLACES == Places::SlotEach);
        Some(match wire::decode(&payload) {
            Ok(payload) => Ok(Delivery { from, at, payload }),
            Err(error) => Err(StreamError::Malformed { from, at, error }),
        })
    }

    /// What the stream tells next, having given it credit.
    async fn event(&mut self) -> Result<Event, Stopped> {
        if !std::mem::replace(&mut self.begun, true) {
            self.port.take(CREDIT).await?;
        }
        if self.taken >= CREDIT / 2 {
            self.port.take(std::mem::take(&mut self.taken)).await?;
        }
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            let told = self.port.next().await?;
            self.sort(told);
        }
    }

    /// Keeps what is for the receiver, and notes what is for the sender.
    fn sort(&mut self, told: Told) {
        match K::event(told) {
            Some(Event::Settled(own)) => {
                while self.settled < own && self.out.pop_front().is_some() {
                    self.settled += 1;
                }
            }
            Some(Event::Refused(payloads)) => {
                self.refuses = true;
                let left = (self.out.len() as u64).saturating_sub(payloads);
                self.out.truncate(left as usize);
            }
            Some(event) => self.ready.push_back(event),
            None => {}
        }
    }

    /// Notes what was taken: batches, or slots, of which some bear nothing for the application.
    fn count(&mut self, at: u64, slots: u64) {
        if K::PLACES == Places::BySender {
            self.taken += 1;
        } else {
            let end = Slot::new(at).plus(slots).number();
            self.taken += end - self.reached.unwrap_or(at).min(end);
            self.reached = Some(end);
        }
    }

    fn is_full(&self) -> bool {
        self.out.len() >= OUT_MAX.0 || self.out.iter().sum::<usize>() > OUT_MAX.1
    }
}
