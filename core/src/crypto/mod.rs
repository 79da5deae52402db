//! What is used for what.
//!
//! | need | tool | where |
//! |---|---|---|
//! | name bytes | BLAKE3 in a context | [`Digest`] |
//! | authenticate a link, a request | keyed BLAKE3 under a pairwise key | [`Identity::authenticate`] |
//! | convince a third party | P-256 signatures | [`Identity::sign`] |
//! | convince everybody that enough agreed | a [`ThresholdSignature`] | [`Keys::quorum`], [`Keys::service`] |
//! | sign a message in the name of the group | a [`ThresholdSignature`] | [`Keys::signature`] |
//! | toss a common coin | a [`ThresholdCoin`] | [`Keys::coin`] |
//! | keep a payload secret until it is ordered | a [`ThresholdCipher`] | [`Keys::cipher`] |
//!
//! Everything is computed over a [`Tag`] and the content, so nothing that was made for one group,
//! epoch, instance or step is worth anything in another. Each purpose is one trait: share, check
//! share, combine, blame. The real schemes and the simulator's ideal ones stand behind the same
//! traits.

pub(crate) mod bitmap;
mod cache;
pub mod deal;
mod digest;
pub mod identity;
mod job;
mod scheme;
pub mod threshold;

use std::{fmt, sync::Arc};

use bytes::Bytes;
pub use digest::Digest;
pub use identity::{P256Identity, PublicKey, Purpose, SecretKey};
pub use job::{Answer, Job};
pub use scheme::Scheme;
use serde::{Deserialize, Serialize};

use crate::{
    id::{ClientId, PartyId},
    path::Tag,
    seat::Owner,
};

/// An ordinary signature of one owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature(pub Bytes);

/// An authenticator under a pairwise key. It convinces its addressee and nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mac(#[serde(with = "serde_bytes")] pub [u8; 16]);

/// One party's part of a threshold operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share(pub Bytes);

/// Proof that enough parties signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate(pub Bytes);

/// A payload that only enough parties together can read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ciphertext(pub Bytes);

/// A ciphertext, and what it was made for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labelled {
    /// What the ciphertext is bound to.
    pub label: Bytes,
    /// The ciphertext.
    pub ciphertext: Ciphertext,
}

/// Why shares did not combine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Blame {
    /// There are too few of them.
    #[error("{have} shares are too few, {needed} are needed")]
    TooFew {
        /// Distinct shares given.
        have: usize,
        /// Distinct shares needed.
        needed: usize,
    },
    /// The shares of these parties are wrong.
    #[error("the shares of {} parties do not verify", .0.len())]
    Culprits(Vec<PartyId>),
}

/// The key pair of one owner, and the public keys of all others.
pub trait Identity: Send + Sync + fmt::Debug {
    /// Signs `digest` in the domain `tag`.
    fn sign(&self, tag: &Tag, digest: &Digest) -> Signature;
    /// Whether `signer` signed `digest` in the domain `tag`. Unknown signers signed nothing.
    fn verify(&self, signer: Owner, tag: &Tag, digest: &Digest, signature: &Signature) -> bool;
    /// An authenticator from this owner to `other`. `None` if nobody knows the key of `other`.
    fn authenticate(&self, other: Owner, tag: &Tag, digest: &Digest) -> Option<Mac>;
    /// Whether `mac` is an authenticator from `other` to this owner.
    fn check(&self, other: Owner, tag: &Tag, digest: &Digest, mac: &Mac) -> bool;
    /// This owner's public key, encoded, if no dealer made it: others know it only when it is shown.
    fn shown_key(&self) -> Option<Bytes> {
        None
    }
    /// Whether `mac` is an authenticator to this owner from the client that this key names. What was
    /// met before has no part in it: the answer is the same in every life of this owner.
    fn check_shown(&self, _: ClientId, _key: &[u8], _: &Tag, _: &Digest, _: &Mac) -> bool {
        false
    }
}

/// A signature of a group that [`needed`](Self::needed) of its members make together.
pub trait ThresholdSignature: Send + Sync + fmt::Debug {
    /// What marks its shares.
    fn scheme(&self) -> Scheme;
    /// How many shares make a certificate.
    fn needed(&self) -> usize;
    /// What a signature of a message under a label covers.
    fn digest(&self, label: &[u8], message: &[u8]) -> Digest {
        Digest::of_parts("signed message", &[label, message])
    }
    /// This party's share.
    fn share(&self, tag: &Tag, digest: &Digest) -> Share;
    /// Whether `share` is the one of `party`.
    fn check_share(&self, party: PartyId, tag: &Tag, digest: &Digest, share: &Share) -> bool;
    /// Combines shares optimistically; when the result does not verify, blames.
    fn combine(
        &self,
        tag: &Tag,
        digest: &Digest,
        shares: &[(PartyId, Share)],
    ) -> Result<Certificate, Blame>;
    /// Whether enough distinct members signed `digest` in the domain `tag`.
    fn check(&self, tag: &Tag, digest: &Digest, certificate: &Certificate) -> bool;
}

/// A common random value that nobody knows before [`needed`](Self::needed) parties release shares.
pub trait ThresholdCoin: Send + Sync + fmt::Debug {
    /// What marks its shares.
    fn scheme(&self) -> Scheme;
    /// How many shares show the coin.
    fn needed(&self) -> usize;
    /// This party's share of the coin named `tag`.
    fn share(&self, tag: &Tag) -> Share;
    /// Whether `share` is the one of `party`.
    fn check_share(&self, party: PartyId, tag: &Tag, share: &Share) -> bool;
    /// The value of the coin: the same for every set of right shares.
    fn combine(&self, tag: &Tag, shares: &[(PartyId, Share)]) -> Result<Digest, Blame>;
}

/// Encryption to a group: nobody reads before [`needed`](Self::needed) parties release shares.
///
/// The label is bound to the ciphertext: under another label it is invalid.
pub trait ThresholdCipher: Send + Sync + fmt::Debug {
    /// What marks its ciphertexts and shares.
    fn scheme(&self) -> Scheme;
    /// How many shares open a ciphertext.
    fn needed(&self) -> usize;
    /// Encrypts; `seed` must be fresh and secret.
    fn encrypt(&self, label: &[u8], plaintext: &[u8], seed: &[u8; 32]) -> Ciphertext;
    /// Whether the ciphertext is well formed and made for this label.
    fn check(&self, label: &[u8], ciphertext: &Ciphertext) -> bool;
    /// This party's share; `None` for an invalid ciphertext, of which no share may exist.
    fn share(&self, label: &[u8], ciphertext: &Ciphertext) -> Option<Share>;
    /// This party's share of each: what [`share`](Self::share) gives, for less if they are many.
    fn shares(&self, sealed: &[Labelled]) -> Vec<Option<Share>> {
        sealed.iter().map(|one| self.share(&one.label, &one.ciphertext)).collect()
    }
    /// Whether `share` is the one of `party`.
    fn check_share(
        &self,
        party: PartyId,
        label: &[u8],
        ciphertext: &Ciphertext,
        share: &Share,
    ) -> bool;
    /// The plaintext of each, or whom to blame. A ciphertext that does not pass [`check`](Self::check)
    /// has no right shares: that nobody made some is for those to see to who release them.
    fn combine_all(
        &self,
        sealed: &[(Labelled, Vec<(PartyId, Share)>)],
    ) -> Vec<Result<Bytes, Blame>>;
    /// The plaintext of one.
    fn combine(
        &self,
        label: &[u8],
        ciphertext: &Ciphertext,
        shares: &[(PartyId, Share)],
    ) -> Result<Bytes, Blame> {
        let label = Bytes::copy_from_slice(label);
        let one = (Labelled { label, ciphertext: ciphertext.clone() }, shares.to_vec());
        self.combine_all(&[one]).pop().expect("one for each")
    }
}

/// What an owner holds: its own secrets and everybody's public keys. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Signatures and pairwise authenticators.
    pub identity: Arc<dyn Identity>,
    /// Certificates of a quorum: two of them share a correct signer.
    pub quorum: Arc<dyn ThresholdSignature>,
    /// Certificates of `f + 1`: one correct member vouches.
    pub service: Arc<dyn ThresholdSignature>,
    /// Signatures of `f + 1` of what their users want signed: one correct member approved.
    pub signature: Arc<dyn ThresholdSignature>,
    /// The common coin of `f + 1`.
    pub coin: Arc<dyn ThresholdCoin>,
    /// Encryption to the group, opened by `f + 1`.
    pub cipher: Arc<dyn ThresholdCipher>,
}
