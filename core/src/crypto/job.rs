//! Heavy, pure work that a protocol hands to the pool instead of doing it in a step.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Blame, Certificate, Ciphertext, Digest, Keys, Labelled, Share};
use crate::{id::PartyId, path::Tag};

/// What to compute. The result depends on the job and the keys, on nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Job {
    /// This party's share of a coin.
    CoinShare {
        /// The name of the coin.
        tag: Tag,
    },
    /// The value of a coin.
    CoinCombine {
        /// The name of the coin.
        tag: Tag,
        /// Shares of distinct parties, unchecked.
        shares: Vec<(PartyId, Share)>,
    },
    /// This party's share of the group's signature.
    SignatureShare {
        /// The domain.
        tag: Tag,
        /// What is signed.
        digest: Digest,
    },
    /// The group's signature.
    SignatureCombine {
        /// The domain.
        tag: Tag,
        /// What is signed.
        digest: Digest,
        /// Shares of distinct parties, unchecked.
        shares: Vec<(PartyId, Share)>,
    },
    /// Encrypts to the group. What is random about it follows from a signature of this party that it
    /// shows to nobody, so that the same job done twice makes the same ciphertext.
    Seal {
        /// The domain of that signature, used for nothing else.
        tag: Tag,
        /// A number that the party uses once.
        number: u64,
        /// What the ciphertext is bound to.
        label: Bytes,
        /// What is encrypted.
        plaintext: Bytes,
    },
    /// This party's share of each of these ciphertexts that is valid under its label.
    OpenShares {
        /// The ciphertexts.
        sealed: Vec<Labelled>,
    },
    /// Decrypts.
    OpenCombine {
        /// Ciphertexts that are valid, and of each shares of distinct parties, unchecked.
        sealed: Vec<(Labelled, Vec<(PartyId, Share)>)>,
    },
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// A share.
    Share(Share),
    /// The value of a coin, or whom to blame.
    Coin(Result<Digest, Blame>),
    /// The group's signature, or whom to blame.
    Signature(Result<Certificate, Blame>),
    /// What was encrypted.
    Sealed(Ciphertext),
    /// A share of each ciphertext; `None` if it is invalid.
    Opening(Vec<Option<Share>>),
    /// What was in each, or whom to blame.
    Opened(Vec<Result<Bytes, Blame>>),
}

impl Job {
    /// Does the work.
    pub fn perform(&self, keys: &Keys) -> Answer {
        match self {
            Self::CoinShare { tag } => Answer::Share(keys.coin.share(tag)),
            Self::CoinCombine { tag, shares } => Answer::Coin(keys.coin.combine(tag, shares)),
            Self::SignatureShare { tag, digest } => {
                Answer::Share(keys.signature.share(tag, digest))
            }
            Self::SignatureCombine { tag, digest, shares } => {
                Answer::Signature(keys.signature.combine(tag, digest, shares))
            }
            Self::Seal { tag, number, label, plaintext } => {
                let seed = seed(keys, tag, *number, label, plaintext);
                Answer::Sealed(keys.cipher.encrypt(label, plaintext, seed.as_bytes()))
            }
            Self::OpenShares { sealed } => Answer::Opening(keys.cipher.shares(sealed)),
            Self::OpenCombine { sealed } => Answer::Opened(keys.cipher.combine_all(sealed)),
        }
    }
}

/// Bits that nobody else can know: a signature that its maker keeps to itself, over all that it is for.
fn seed(keys: &Keys, tag: &Tag, number: u64, label: &[u8], plaintext: &[u8]) -> Digest {
    let parts: [&[u8]; 3] = [&number.to_le_bytes(), label, plaintext];
    let signature = keys.identity.sign(tag, &Digest::of_parts("sealed plaintext", &parts));
    Digest::of("seal seed", &signature.0)
}
