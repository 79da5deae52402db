//! The kinds of streams: what is asked of each, and how what it tells reads.

use std::marker::PhantomData;

use bytes::Bytes;
use maftia_core::{
    agreement::Predicate,
    id::PartyId,
    stream::{
        atomic,
        batch::Batch,
        certified, closing, fast,
        fifo::{self, lane::item_bytes_max},
        open::{shelf, shelved},
        secure,
    },
    wire::limits::PAYLOAD_MAX,
};

use crate::cs::services::{Say, Spec, Told};

/// What a stream of any kind tells.
#[derive(Debug)]
pub enum Event {
    /// A batch, and the place of its first payload; further ones stand behind it in an atomic stream.
    Deliver(PartyId, u64, Batch),
    /// Something is lost.
    Lagged(Option<PartyId>, u64, u64),
    /// So many own payloads are out of the stream's hands.
    Settled(u64),
    /// So many were not taken.
    Refused(u64),
    /// Nobody knows whether so many own payloads were delivered.
    Unsure(u64),
    /// The end.
    Closed,
}

/// What the places of a stream are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Places {
    /// Those of batches among the batches of their sender.
    BySender,
    /// The slots of batches in the order of all.
    Slot,
    /// The slots of payloads in the order of all.
    SlotEach,
}

/// A kind of stream.
pub trait Kind: Send + 'static {
    /// What the class is called.
    const NAME: &str;
    /// What places are.
    const PLACES: Places;
    /// The largest payload in a group of `n`, in bytes.
    fn limit(n: u16) -> usize;
    /// How it is made.
    fn spec<Q: Predicate<Proof = Bytes>>() -> Spec<Q>;
    /// What has it send this.
    fn submit(batch: Batch) -> Say;
    /// What asks it to end.
    fn close() -> Say;
    /// What it tells, if that concerns its user.
    fn event(told: Told) -> Option<Event>;
}

/// Of [`ReliableStream`](super::ReliableStream).
#[derive(Debug)]
pub enum Reliable {}

/// Of [`ConsistentStream`](super::ConsistentStream).
#[derive(Debug)]
pub enum Consistent {}

/// Of [`AtomicStream`](super::AtomicStream), over this engine.
#[derive(Debug)]
pub struct Atomic<E>(PhantomData<E>);

/// Of [`SecureAtomicStream`](super::SecureAtomicStream), over this engine.
#[derive(Debug)]
pub struct SecureAtomic<E>(PhantomData<E>);

/// Of [`OpenStream`](super::OpenStream), over this engine.
#[derive(Debug)]
pub struct Open<E>(PhantomData<E>);

/// The engine that is taken where none is named: a leader orders in three delays, with authenticators only;
/// if it does not, rounds of agreement do.
#[derive(Debug)]
pub enum Fast {}

/// An engine without a clock: rounds of signed batches, and an agreement on each.
#[derive(Debug)]
pub enum Rounds {}

/// An engine without a clock, for much data: batches travel in lanes of their members, and rounds order what
/// a quorum signed that it stores.
#[derive(Debug)]
pub enum Lanes {}

/// The two streams that order by sender.
macro_rules! by_sender {
    ($kind:ident, $class:ident, $name:literal) => {
        impl Kind for $kind {
            const NAME: &str = $name;
            const PLACES: Places = Places::BySender;

            fn limit(n: u16) -> usize {
                item_bytes_max(n) - BORDERS
            }

            fn spec<Q: Predicate<Proof = Bytes>>() -> Spec<Q> {
                Spec::$class(fifo::Spec::default())
            }

            fn submit(batch: Batch) -> Say {
                Say::$class(fifo::Input::Submit { batch })
            }

            fn close() -> Say {
                Say::$class(fifo::Input::Close)
            }

            fn event(told: Told) -> Option<Event> {
                match told {
                    Told::$class(output) => of_fifo(output),
                    _ => None,
                }
            }
        }
    };
}

/// What an item of a lane holds beside a payload at most, in bytes.
const BORDERS: usize = 32;

by_sender!(Reliable, ReliableStream, "reliable stream");
by_sender!(Consistent, ConsistentStream, "consistent stream");

fn of_fifo(output: fifo::Output) -> Option<Event> {
    Some(match output {
        fifo::Output::Deliver { from, number, batch } => Event::Deliver(from, number, batch),
        fifo::Output::Lagged { from, first, to } => Event::Lagged(Some(from), first, to),
        fifo::Output::Refused { payloads } => Event::Refused(payloads),
        fifo::Output::Settled { own } => Event::Settled(own),
        fifo::Output::Closed => Event::Closed,
        fifo::Output::Ended { .. } => return None,
    })
}

/// The streams of one order: a kind with each engine, and its names. Streams over different engines have
/// different names, so they are different instances even if the application calls them the same.
macro_rules! in_one_order {
    ($kind:ident, $class:ident, $places:expr, $limit:expr,
     $($engine:ident: $spec:ident, $name:literal, $made:expr;)+) => {$(
        impl Kind for $kind<$engine> {
            const NAME: &str = $name;
            const PLACES: Places = $places;

            fn limit(_: u16) -> usize {
                $limit
            }

            fn spec<Q: Predicate<Proof = Bytes>>() -> Spec<Q> {
                let lag_max = fast::Spec::default().lag_max;
                Spec::$spec(closing::Spec { engine: $made, lag_max })
            }

            fn submit(batch: Batch) -> Say {
                Say::$class(closing::Input::Submit { batch })
            }

            fn close() -> Say {
                Say::$class(closing::Input::Close)
            }

            fn event(told: Told) -> Option<Event> {
                match told {
                    Told::$class(output) => of_closing(output),
                    _ => None,
                }
            }
        }
    )+};
}

in_one_order!(
    Atomic, Atomic, Places::SlotEach, PAYLOAD_MAX - 1,
    Fast: Atomic, "atomic stream", fast::Spec::default();
    Rounds: AtomicRounds, "atomic stream in rounds", atomic::Spec::default();
    Lanes: AtomicLanes, "atomic stream in lanes", certified::Spec::default();
);
in_one_order!(
    SecureAtomic, Secure, Places::Slot, PAYLOAD_MAX - SEALED,
    Fast: Secure, "secure atomic stream", secure::Spec::default();
    Rounds: SecureRounds, "secure atomic stream in rounds", secure::Spec::default();
    Lanes: SecureLanes, "secure atomic stream in lanes", secure::Spec::default();
);
in_one_order!(
    Open, Open, Places::SlotEach, PAYLOAD_MAX - 1,
    Fast: Open, "open stream", shelved(fast::Spec::default());
    Rounds: OpenRounds, "open stream in rounds", shelved(atomic::Spec::default());
    Lanes: OpenLanes, "open stream in lanes", shelved(certified::Spec::default());
);

fn shelved<S>(engine: S) -> shelved::Spec<S> {
    shelved::Spec { engine, shelf: shelf::Spec::default() }
}

/// What a ciphertext holds beside a payload at most, in bytes.
const SEALED: usize = 1_024;

fn of_closing(output: closing::Output) -> Option<Event> {
    Some(match output {
        closing::Output::Stream(atomic::Output::Deliver { first, from, batch }) => {
            Event::Deliver(from, first.number(), batch)
        }
        closing::Output::Stream(atomic::Output::Lagged { from, to }) => {
            Event::Lagged(None, from.number(), to.number())
        }
        closing::Output::Stream(atomic::Output::Refused { payloads }) => Event::Refused(payloads),
        closing::Output::Stream(atomic::Output::Ordered { own }) => Event::Settled(own),
        closing::Output::Stream(atomic::Output::Unsure { batch }) => {
            Event::Unsure(batch.len() as u64)
        }
        closing::Output::Closed { .. } => Event::Closed,
        // It comes back by itself.
        closing::Output::Stream(atomic::Output::RoundEnd { .. } | atomic::Output::Behind)
        | closing::Output::Asked { .. } => return None,
    })
}
