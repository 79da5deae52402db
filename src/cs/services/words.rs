//! What the root and its instances say to each other, by class.

use std::collections::BTreeSet;

use bytes::Bytes;
use maftia_core::{
    agreement::{Predicate, binary, coin, multivalued, opening, signature, validated},
    broadcast::{consistent, reliable},
    id::{ClientId, Slot},
    protocol::Never,
    replica,
    stream::{
        atomic, certified, closing, fast, fifo,
        open::{Publish, shelved},
        secure,
    },
};
use serde::{Deserialize, Serialize};

/// How an instance is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub enum Spec<Q: Predicate<Proof = Bytes>> {
    /// A reliable broadcast.
    Reliable(reliable::Spec),
    /// A consistent broadcast.
    Consistent(consistent::Spec),
    /// A binary agreement.
    Binary(binary::Spec),
    /// A validated agreement.
    Validated(Q),
    /// An array agreement.
    Array(multivalued::Spec<Q>),
    /// A reliable stream.
    ReliableStream(fifo::Spec),
    /// A consistent stream.
    ConsistentStream(fifo::Spec),
    /// An atomic stream.
    Atomic(closing::Spec<fast::Spec>),
    /// The same, ordered in rounds.
    AtomicRounds(closing::Spec<atomic::Spec>),
    /// The same, ordered in lanes.
    AtomicLanes(closing::Spec<certified::Spec>),
    /// A secure atomic stream.
    Secure(closing::Spec<secure::Spec<fast::Spec>>),
    /// The same, ordered in rounds.
    SecureRounds(closing::Spec<secure::Spec<atomic::Spec>>),
    /// The same, ordered in lanes.
    SecureLanes(closing::Spec<secure::Spec<certified::Spec>>),
    /// An open stream.
    Open(closing::Spec<shelved::Spec<fast::Spec>>),
    /// The same, ordered in rounds.
    OpenRounds(closing::Spec<shelved::Spec<atomic::Spec>>),
    /// The same, ordered in lanes.
    OpenLanes(closing::Spec<shelved::Spec<certified::Spec>>),
    /// A public stream.
    Public(replica::Spec<Publish>),
    /// A coin.
    Coin(()),
    /// A signature of the group.
    Signature(()),
    /// A ciphertext to the group.
    Cipher(()),
}

impl<Q: Predicate<Proof = Bytes>> Spec<Q> {
    /// The same for the outsiders whom the configuration names, and for others if it lets them in.
    pub(in crate::cs) fn serving(mut self, registered: &BTreeSet<ClientId>, open: bool) -> Self {
        let readers = match &mut self {
            Self::Open(spec) => &mut spec.engine.shelf,
            Self::OpenRounds(spec) => &mut spec.engine.shelf,
            Self::OpenLanes(spec) => &mut spec.engine.shelf,
            Self::Public(spec) => {
                (spec.registered, spec.open) = (registered.clone(), open);
                &mut spec.service
            }
            _ => return self,
        };
        readers.registered.clone_from(registered);
        self
    }

    /// What asks a stream for all below this place; nothing else is asked so.
    pub(super) fn pull(&self, up_to: u64) -> Option<Say> {
        let slot = closing::Input::Pull { up_to: Slot::new(up_to) };
        Some(match self {
            Self::ReliableStream(_) => Say::ReliableStream(fifo::Input::Pull { up_to }),
            Self::ConsistentStream(_) => Say::ConsistentStream(fifo::Input::Pull { up_to }),
            Self::Atomic(_) | Self::AtomicRounds(_) | Self::AtomicLanes(_) => Say::Atomic(slot),
            Self::Secure(_) | Self::SecureRounds(_) | Self::SecureLanes(_) => Say::Secure(slot),
            Self::Open(_) | Self::OpenRounds(_) | Self::OpenLanes(_) => Say::Open(slot),
            _ => return None,
        })
    }
}

/// What is asked of an instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Say {
    /// Of a reliable broadcast.
    Reliable(reliable::Input),
    /// Of a consistent broadcast.
    Consistent(consistent::Input),
    /// Of a binary agreement.
    Binary(binary::Input),
    /// Of a validated agreement.
    Validated(validated::Input<Bytes>),
    /// Of an array agreement.
    Array(multivalued::Input),
    /// Of a reliable stream.
    ReliableStream(fifo::Input),
    /// Of a consistent stream.
    ConsistentStream(fifo::Input),
    /// Of an atomic stream.
    Atomic(closing::Input),
    /// Of a secure atomic stream.
    Secure(closing::Input),
    /// Of an open stream.
    Open(closing::Input),
    /// Of a public stream, which outsiders ask.
    Public(Never),
    /// Of a coin.
    Coin(coin::Input),
    /// Of a signature.
    Signature(signature::Input),
    /// Of a ciphertext.
    Cipher(opening::Input),
}

/// What an instance tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Told {
    /// A reliable broadcast.
    Reliable(reliable::Output),
    /// A consistent broadcast.
    Consistent(consistent::Output),
    /// A binary agreement.
    Binary(binary::Output),
    /// A validated agreement.
    Validated(validated::Output<Bytes>),
    /// An array agreement.
    Array(multivalued::Output),
    /// A reliable stream.
    ReliableStream(fifo::Output),
    /// A consistent stream.
    ConsistentStream(fifo::Output),
    /// An atomic stream.
    Atomic(closing::Output),
    /// A secure atomic stream.
    Secure(closing::Output),
    /// An open stream.
    Open(closing::Output),
    /// A public stream.
    Public(replica::Output),
    /// A coin.
    Coin(coin::Output),
    /// A signature.
    Signature(signature::Output),
    /// A ciphertext.
    Cipher(opening::Output),
    /// What was proposed does not satisfy the predicate, so it was not.
    Improper,
}

impl Told {
    /// Whether it is for nobody: a replica says how it stands, and does what is to be done itself.
    pub(super) fn is_for_nobody(&self) -> bool {
        matches!(self, Self::Public(_))
    }

    /// Whether more may follow.
    pub(super) fn is_of_a_stream(&self) -> bool {
        matches!(
            self,
            Self::ReliableStream(_)
                | Self::ConsistentStream(_)
                | Self::Atomic(_)
                | Self::Secure(_)
                | Self::Open(_)
        )
    }
}
