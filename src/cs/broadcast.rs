//! Broadcasts as an application sees them: one member speaks, the others hear it.

use std::marker::PhantomData;

use bytes::Bytes;
use maftia_actors::node::Stopped;
use maftia_core::{
    agreement::Predicate,
    broadcast::{consistent, reliable},
    id::PartyId,
    wire::{self, DecodeError, limits::PAYLOAD_MAX},
};

use super::{
    Class, Payload, Port, Terms,
    services::{Say, Spec, Told},
};

/// If one correct member delivers, all do, and they deliver the same. No signatures.
pub type ReliableBroadcast<T> = Broadcast<Reliable, T>;

/// Whoever delivers delivers the same; fewer messages, but some may deliver nothing if the sender lies.
pub type ConsistentBroadcast<T> = Broadcast<Consistent, T>;

/// Why a broadcast goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BroadcastError {
    /// Another member speaks in this broadcast.
    #[error("it is {0} who speaks here")]
    NotSender(PartyId),
    /// The payload is too large.
    #[error("{len} bytes are more than the {max} that a payload may have")]
    TooLarge {
        /// Its size, in bytes.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// All delivered what the sender said, and it is nothing of the expected type.
    #[error("{from} said what cannot be decoded: {error}")]
    Malformed {
        /// Who.
        from: PartyId,
        /// What is wrong with it.
        error: DecodeError,
    },
    /// The own member has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// A kind of broadcast.
pub trait Kind: Send + 'static {
    /// What the class is called.
    const NAME: &str;
    /// How it is made.
    fn spec<Q: Predicate<Proof = Bytes>>(sender: PartyId) -> Spec<Q>;
    /// What has it say this.
    fn say(payload: Bytes) -> Say;
    /// What it delivered, if this says so.
    fn delivered(told: Told) -> Option<Bytes>;
}

/// Of [`ReliableBroadcast`].
#[derive(Debug)]
pub enum Reliable {}

/// Of [`ConsistentBroadcast`].
#[derive(Debug)]
pub enum Consistent {}

impl Kind for Reliable {
    const NAME: &str = "reliable broadcast";

    fn spec<Q: Predicate<Proof = Bytes>>(sender: PartyId) -> Spec<Q> {
        Spec::Reliable(reliable::Spec { sender, limit: PAYLOAD_MAX })
    }

    fn say(payload: Bytes) -> Say {
        Say::Reliable(reliable::Input::Broadcast(payload))
    }

    fn delivered(told: Told) -> Option<Bytes> {
        match told {
            Told::Reliable(reliable::Output::Delivered(payload)) => Some(payload),
            _ => None,
        }
    }
}

impl Kind for Consistent {
    const NAME: &str = "consistent broadcast";

    fn spec<Q: Predicate<Proof = Bytes>>(sender: PartyId) -> Spec<Q> {
        Spec::Consistent(consistent::Spec { sender, limit: PAYLOAD_MAX, approve: false })
    }

    fn say(payload: Bytes) -> Say {
        Say::Consistent(consistent::Input::Broadcast(payload))
    }

    fn delivered(told: Told) -> Option<Bytes> {
        match told {
            Told::Consistent(consistent::Output::Delivered(closing)) => Some(closing.payload),
            _ => None,
        }
    }
}

/// One broadcast. Its terms are who speaks.
pub struct Broadcast<K, T> {
    port: Port,
    me: PartyId,
    sender: PartyId,
    marker: PhantomData<fn() -> (K, T)>,
}

impl<Q: Predicate<Proof = Bytes>, K: Kind, T: Payload> Class<Q> for Broadcast<K, T> {
    type Terms = PartyId;
    const NAME: &str = K::NAME;

    fn spec(sender: &PartyId) -> Spec<Q> {
        K::spec(*sender)
    }

    fn over(port: Port, at: Terms<PartyId>) -> Self {
        Self { port, me: at.seat.me(), sender: at.terms, marker: PhantomData }
    }
}

impl<K: Kind, T: Payload> Broadcast<K, T> {
    /// Says this to all, as the sender. What is said first counts.
    pub async fn broadcast(&self, payload: &T) -> Result<(), BroadcastError> {
        if self.me != self.sender {
            return Err(BroadcastError::NotSender(self.sender));
        }
        let payload = wire::encode(payload);
        if payload.len() > PAYLOAD_MAX {
            return Err(BroadcastError::TooLarge { len: payload.len(), max: PAYLOAD_MAX });
        }
        Ok(self.port.ask(K::say(payload)).await?)
    }

    /// Waits for what the sender says, which comes once.
    pub async fn deliver(mut self) -> Result<T, BroadcastError> {
        loop {
            if let Some(payload) = K::delivered(self.port.next().await?) {
                let malformed = |error| BroadcastError::Malformed { from: self.sender, error };
                return wire::decode(&payload).map_err(malformed);
            }
        }
    }
}
