//! Links: authenticated, ordered, bounded channels between owners, that outlive connections.
//!
//! What a link promises between two correct owners, on each of its two lanes: a frame that was sent
//! arrives, once, in the order of sending, and came from whom it says; unless the peer was away for
//! so long that the [backlog](session) overflowed, in which case it is told that it
//! [missed](What::Missed) something. Nothing is promised between lanes. What a link bounds, whatever
//! the peer does: the memory that waits for it, the memory that it makes us keep, the time that it
//! takes others.
//!
//! | part | what it is |
//! |---|---|
//! | [`session`] | numbers, backlog, cursors, acknowledgements: a value, saved and rebuilt with the party |
//! | `parcel`, `names` | a body and its address, hashed once for all peers |
//! | `packet` | what travels, sealed under the key of its direction |
//! | [`handshake`] | who is there, and fresh keys |
//! | `line` | one connection in use |
//! | `keep`, `hall` | dials, accepts, tries again; bounds those who have not proved a name |
//! | [`tcp`], [`quic`], [`memory`] | three transports under one contract |
//! | `book`, `network` | who listens where, and which transport an owner uses |
//! | [`lab`] | faults on purpose |
//!
//! An owner makes its [`Links`], rebuilds them from its snapshot and log if it has any
//! ([`Links::load`], [`Links::restore`], and its frames sent again in the same order), and then opens
//! them with a transport and somebody who [receives](Receive). Everything runs on one thread, as
//! local tasks of a tokio `LocalSet` or an actix arbiter.

mod book;
mod hall;
pub mod handshake;
mod keep;
pub mod lab;
mod line;
mod links;
pub mod memory;
mod names;
mod network;
mod packet;
mod parcel;
#[doc(hidden)]
pub mod probe;
pub mod quic;
pub mod session;
pub mod tcp;
#[cfg(test)]
mod tests;
mod wire;

pub use book::ListenError;
use bytes::Bytes;
pub use handshake::{Guests, Passport, Refusal, guests};
pub use lab::{Lab, Liar, Tamper};
pub use links::{GUESTS_MAX, Links, Saved, SendError, Status};
use maftia_core::{crypto::Digest, effects::Lane, path::InstanceId, seat::Owner};
pub use network::{Bound, Network, Sockets};
pub use parcel::{BadParcel, Parcel};
pub use wire::End;

/// Something that came over a link. The link has checked who sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Who sent it.
    pub from: Owner,
    /// On which lane.
    pub lane: Lane,
    /// Its number on this lane from this owner. Numbers rise, and each comes once; a word has none,
    /// which is [`session::WORD`].
    pub number: u64,
    /// What it is.
    pub what: What,
}

/// What came over a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A frame.
    Frame {
        /// Whom it is for.
        instance: InstanceId,
        /// The message, encoded.
        body: Bytes,
        /// The digest of address and body, which the link has computed anyway.
        digest: Digest,
    },
    /// Frames up to this number are lost for good: they overflowed the sender's backlog, or went down
    /// with its memory.
    Missed,
}

/// The local side of the links of one owner. Calls come from the owner's own thread, never while a
/// method of [`Links`] runs, so methods of [`Links`] may be called from inside.
pub trait Receive {
    /// Takes what arrived, or gives it back because there is no room. Then nothing more is read from
    /// this peer until [`Links::room`] is called for it, and the same arrival comes again.
    ///
    /// What is taken is not acknowledged yet: [`Links::durable`] does that.
    fn take(&self, arrival: Arrival) -> Result<(), Box<Arrival>>;

    /// This guest's link was forgotten, to make room: if it comes again, its frames count from 1. All
    /// that was taken from it is durable.
    fn forgotten(&self, _guest: Owner) {}

    /// A line to this owner stands. May come twice without an end between: the newer line counts.
    fn connected(&self, _peer: Owner) {}

    /// The line to this owner ended. Nothing is lost by that; a new one is on its way.
    fn disconnected(&self, _peer: Owner, _why: &End) {}
}

/// An owner in words, for logs. Names of peers are numbers, so a log line has no text of theirs.
pub(crate) fn name(owner: Owner) -> maftia_core::id::Peer {
    owner.seen_from(None)
}
