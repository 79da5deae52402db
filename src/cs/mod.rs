//! The communication services: broadcasts, agreements and streams, which an application opens by name.
//!
//! The classes are those of MAFTIA's prototype. Similar ones share one interface, so that an application
//! changes one word to change protocol:
//!
//! | interface | classes | terms |
//! |---|---|---|
//! | [`Broadcast`](broadcast::Broadcast): `broadcast`, `deliver` | [`ReliableBroadcast`], [`ConsistentBroadcast`] | who speaks |
//! | [`Agreement`](agreement::Agreement): `propose`, `decide` | [`BinaryAgreement`], [`ValidatedAgreement`], [`ArrayAgreement`] | the predicate |
//! | [`Stream`](stream::Stream): `send`, `next`, `close` | [`ReliableStream`], [`ConsistentStream`], [`AtomicStream`], [`OpenStream`], [`SecureAtomicStream`] | |
//! | [`Reader`]: `next`, `proof` | what an [`Outsider`] reads: [`OpenStream`], [`PublicStream`] | |
//! | [`Writer`]: `send` | where an [`Outsider`] writes: [`PublicStream`] | |
//! | `toss` | [`ThresholdCoin`] | |
//! | `sign`, `verify` | [`ThresholdSignature`] | |
//! | `encrypt`, `open` | [`ThresholdCipher`] | |
//!
//! A stream of one order names the engine that orders it, if that is not the usual one:
//! `AtomicStream<Order, Rounds>`, and so for [`OpenStream`] and [`SecureAtomicStream`]. Engines promise the
//! same and cost differently: [`Fast`], [`Rounds`], [`Lanes`].
//!
//! ```no_run
//! use maftia::cs::{AtomicStream, Group};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! maftia::run(async {
//!     let group: Group = Group::embedded(4).await?;
//!     let mut orders = group.member(0).open::<AtomicStream<String>>("orders").await?;
//!     orders.send(&"two tons of tin".into()).await?;
//!     while let Some(delivery) = orders.next().await {
//!         println!("{}", delivery?.payload);
//!     }
//!     Ok(())
//! })
//! # }
//! ```
//!
//! *Names.* All members that open the same class, engine included, by the same name open one instance;
//! whoever opens it later finds what the others said to it, up to the quota of a [lobby](maftia_core::lobby) for each of
//! them. A name that was let go of and is opened again is another instance: all must do so equally
//! often. Names are the application's: nobody else may choose them, for two of 2^32 chosen ones can be
//! made to collide.
//!
//! *Payloads* are typed. What a member sends that is nothing of the type comes as an error that names
//! it. *Queues* are bounded: a stream that is not read fills its inbox and then loses what is above a
//! bound, and says so; `send` waits while too much is under way.
//!
//! *Letting go.* A handle that is dropped lets its instance go. It goes on for the sake of members that
//! are behind, until [`RELEASED_KEPT`](services::RELEASED_KEPT) younger ones were let go of.

pub mod agreement;
pub mod broadcast;
pub mod group;
pub mod outsider;
pub mod port;
pub mod public;
pub mod services;
pub mod stream;
pub mod threshold;

use std::fmt::Debug;

use bytes::Bytes;
pub use maftia_actors::node::Stopped;
pub use maftia_core::{agreement::Predicate, seat::Seat};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use self::{
    agreement::{AgreementError, ArrayAgreement, BinaryAgreement, ValidatedAgreement},
    broadcast::{BroadcastError, ConsistentBroadcast, ReliableBroadcast},
    group::{Group, Member, OpenError},
    outsider::{Outsider, ReadError, Readable, Reader},
    port::Port,
    public::{PublicStream, Writable, WriteError, Writer},
    stream::{
        AtomicStream, ConsistentStream, Delivery, Fast, Lanes, OpenStream, ReliableStream, Rounds,
        SecureAtomicStream, StreamError,
    },
    threshold::{CipherError, ThresholdCipher, ThresholdCoin, ThresholdSignature},
};

/// What can be sent: plain data, under the rules of [`wire`](maftia_core::wire).
pub trait Payload: Serialize + DeserializeOwned + Send + 'static {}
impl<T: Serialize + DeserializeOwned + Send + 'static> Payload for T {}

/// Reads a payload in a predicate: `None` if it is nothing of the type.
pub fn decode<T: DeserializeOwned>(payload: &[u8]) -> Option<T> {
    maftia_core::wire::decode(payload).ok()
}

/// What an instance is opened with.
#[derive(Debug)]
pub struct Terms<T> {
    /// Where it sits: who opens it, in which group, with which keys.
    pub seat: Seat,
    /// What the class asks for.
    pub terms: T,
}

/// A class of instances, in groups whose agreements know the predicate `Q`.
pub trait Class<Q: Predicate<Proof = Bytes>>: Sized {
    /// What all members must agree on beside the name.
    type Terms: Send;
    /// What it is called.
    const NAME: &str;
    /// How its instances are made.
    fn spec(terms: &Self::Terms) -> services::Spec<Q>;
    /// The application's end of one.
    fn over(port: Port, terms: Terms<Self::Terms>) -> Self;
}

/// The predicate that everything satisfies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anything;

impl Predicate for Anything {
    type Proof = Bytes;

    fn holds(&self, _: &Seat, _: &Bytes) -> bool {
        true
    }
}
