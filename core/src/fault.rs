//! What no correct party does, and how sure we are that a party did it.

mod proof;

use std::fmt;

pub use proof::{Once, Proof, Statement};
use serde::{Deserialize, Serialize};

use crate::{
    crypto::{Digest, Scheme},
    id::{GroupId, Peer},
    path::InstanceId,
};

/// What a peer did that no correct one does. It is data: it never stops us.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Fault {
    /// Two values where one is allowed, both heard by this party.
    #[error("sent {second} after {first} where one value is allowed")]
    Equivocated {
        /// The digest of what came first.
        first: Digest,
        /// The digest of what came second.
        second: Digest,
    },
    /// Two signed statements where one is allowed: whoever has the public keys can check it.
    #[error("{0}")]
    SignedTwice(Box<Proof>),
    /// `f + 1` parties echo another value than the one that the sender gave to this party.
    #[error("told this party {told}, while f + 1 others heard {heard}")]
    ToldOtherwise {
        /// The digest of what this party was told.
        told: Digest,
        /// The digest of what the others heard.
        heard: Digest,
    },
    /// A share, signature or authenticator that does not verify.
    #[error("{what} does not verify")]
    BadProof {
        /// What did not verify.
        what: String,
    },
    /// A share of a scheme that the group does not have.
    #[error(
        "sent a share of {} where the group has `{ours}`",
        theirs.map_or("an unknown scheme".to_owned(), |theirs| format!("`{theirs}`"))
    )]
    OtherScheme {
        /// The scheme of the share, if it is known.
        theirs: Option<Scheme>,
        /// The scheme of the group.
        ours: Scheme,
    },
    /// Bytes that are no message of this protocol.
    #[error("message cannot be decoded: {0}")]
    Undecodable(String),
    /// A message that decodes, but that no correct party would send.
    #[error("message breaks a rule: {0}")]
    Improper(String),
    /// More than the quota of a sender.
    #[error("sent more than its quota: {0}")]
    Flooded(String),
    /// A message for an instance that its protocol cannot have.
    #[error("message for an instance that cannot exist")]
    NoSuchInstance,
    /// The answer of a replica differs from the one that `f + 1` gave.
    #[error("answered {answered} where f + 1 replicas answered {agreed}")]
    Outvoted {
        /// The digest of its answer.
        answered: Digest,
        /// The digest of the answer that counts.
        agreed: Digest,
    },
    /// The checkpoint of a replica differs from the one that `2f + 1` hold.
    #[error("holds state {held} at a slot where the group holds {agreed}")]
    Diverged {
        /// The digest of its state.
        held: Digest,
        /// The digest of the group's state.
        agreed: Digest,
    },
    /// Nothing was heard while others answered. A hint, never a proof.
    #[error("silent while others answered")]
    Silent,
}

impl Fault {
    /// A short word for tables and JSON.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Equivocated { .. } | Self::SignedTwice(_) | Self::ToldOtherwise { .. } => {
                "equivocation"
            }
            Self::BadProof { .. } => "bad-proof",
            Self::Undecodable(_) => "undecodable",
            Self::Improper(_) => "improper",
            Self::OtherScheme { .. } => "other-scheme",
            Self::Flooded(_) => "flood",
            Self::NoSuchInstance => "no-such-instance",
            Self::Outvoted { .. } => "outvoted",
            Self::Diverged { .. } => "diverged",
            Self::Silent => "silent",
        }
    }

    /// What convinces those who did not see it, if anything does.
    pub const fn proof(&self) -> Option<&Proof> {
        match self {
            Self::SignedTwice(proof) => Some(proof),
            _ => None,
        }
    }
}

/// How sure we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Silence: crash, mute, delay. A hint.
    Suspected,
    /// This client saw the answer outvoted.
    Observed,
    /// `f + 1` members accuse.
    Attested,
    /// Two signed statements that conflict; anyone can check it.
    Proven,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Suspected => "suspected",
            Self::Observed => "observed",
            Self::Attested => "attested",
            Self::Proven => "proven",
        })
    }
}

/// One party's word against another. Alone it condemns nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accusation {
    /// The group of the one who accuses.
    pub group: GroupId,
    /// Where it was seen.
    pub instance: InstanceId,
    /// Who did it, as the accuser sees it.
    pub peer: Peer,
    /// What it did.
    pub fault: Fault,
}
