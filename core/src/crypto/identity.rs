//! Who one is: an ECDSA key on P-256, from which pairwise authenticators follow.
//!
//! - Signatures are 64 bytes, with the lower of the two values of `s`: nobody can turn a signature
//!   into another one of the same message.
//! - What is signed is a BLAKE3 hash over purpose, [`Tag`] and [`Digest`]. The purposes are apart, so
//!   that a share of a certificate is never taken for a signature of its own.
//! - Authenticators need no exchange: two identity keys agree on a secret (static ECDH), from which
//!   one key for each direction follows. An authenticator sent back to its maker convinces nobody.
//! - A client without a dealt key is named by the digest of its public key, and shows the key with
//!   what it says: it cannot lie about whose key it is. Nothing is remembered about such clients that
//!   a judgement depends on, so that a party that reads its log again judges as it did before.

mod pair;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use p256::{
    AffinePoint, NonZeroScalar,
    ecdh::diffie_hellman,
    ecdsa::{
        DerSignature, Signature as Ecdsa, SigningKey, VerifyingKey,
        signature::{
            Signer,
            hazmat::{PrehashSigner, PrehashVerifier},
        },
    },
    pkcs8::{DecodePublicKey, EncodePublicKey},
};
use pair::Pair;
use zeroize::Zeroizing;

use super::{Digest, Identity, Mac, Signature, cache::Generations};
use crate::{id::ClientId, path::Tag, seat::Owner};

/// The peers whose pairwise keys are remembered: all parties of any configuration that we run, and
/// thousands of clients. Another one costs an ECDH of 0.1 ms again.
const PAIRS_MAX: usize = 8192;

/// The verified signatures that are remembered: the vectors of some hundred rounds of a group of 40.
const VERIFIED_MAX: usize = 8192;

/// A public key of an identity.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// Bytes that are no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are no point of the curve P-256 in compressed form")]
pub struct NoKey;

impl PublicKey {
    /// The length of the encoding: a compressed point.
    pub const LEN: usize = 33;

    /// The key that these bytes encode. Only the compressed form of a point counts.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NoKey> {
        if bytes.len() != Self::LEN {
            return Err(NoKey);
        }
        VerifyingKey::from_sec1_bytes(bytes).map(Self).map_err(|_| NoKey)
    }

    /// The compressed point.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let point = self.0.to_sec1_point(true);
        point.as_bytes().try_into().expect("a compressed point has 33 bytes")
    }

    /// The key as TLS shows it: a `SubjectPublicKeyInfo` in DER.
    pub fn to_spki(&self) -> Vec<u8> {
        let spki = self.0.to_public_key_der().expect("a key of this curve has such a form");
        spki.as_bytes().to_vec()
    }

    /// The key that TLS shows. Only the one encoding that [`to_spki`](Self::to_spki) gives counts.
    pub fn from_spki(bytes: &[u8]) -> Result<Self, NoKey> {
        let key = VerifyingKey::from_public_key_der(bytes).map(Self).map_err(|_| NoKey)?;
        if key.to_spki() == bytes { Ok(key) } else { Err(NoKey) }
    }

    /// Whether the owner of the key [signed](Identity::sign) `digest` in the domain `tag`.
    pub fn verifies(&self, tag: &Tag, digest: &Digest, signature: &Signature) -> bool {
        verify(self, &prehash(Purpose::Plain, tag.as_bytes(), digest), &signature.0)
    }

    /// The point itself, which is never the identity.
    pub(crate) fn point(&self) -> AffinePoint {
        *self.0.as_affine()
    }

    /// The client whose key this is.
    pub fn client(&self) -> ClientId {
        client_of(&self.to_bytes())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", Digest::of("public key", &self.to_bytes()))
    }
}

/// The private key of an identity. It is wiped when dropped, and never printed.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key that follows from a fresh, secret seed.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        // All but 2^-32 of the hashes are scalars of the curve.
        (0_u8..=u8::MAX)
            .find_map(|attempt| {
                let mut hasher = blake3::Hasher::new_derive_key("maftia/v1/identity key");
                hasher.update(seed).update(&[attempt]);
                let bytes = Zeroizing::new(*hasher.finalize().as_bytes());
                Self::from_bytes(&bytes)
            })
            .expect("256 hashes in a row are no scalars with probability 2^-8192")
    }

    /// The key with these bytes, if they are a scalar of the curve other than zero.
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        SigningKey::from_slice(bytes).ok().map(Self)
    }

    /// The bytes to keep secret.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes().into())
    }

    /// The scalar itself.
    pub(crate) fn scalar(&self) -> &NonZeroScalar {
        self.0.as_nonzero_scalar()
    }

    /// The public key.
    pub fn public(&self) -> PublicKey {
        PublicKey(*self.0.verifying_key())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// What a signature is for. A signature for one purpose is worth nothing for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Purpose {
    /// [`Identity::sign`].
    Plain = 0,
    /// A share of [`Keys::quorum`](super::Keys::quorum).
    Quorum = 1,
    /// A share of [`Keys::service`](super::Keys::service).
    Service = 2,
    /// The handshake of a link.
    Handshake = 3,
    /// A share of [`Keys::signature`](super::Keys::signature).
    Message = 4,
}

/// One owner's key pair, and the public keys of all others.
pub struct P256Identity {
    owner: Owner,
    secret: SecretKey,
    public: Arc<BTreeMap<Owner, PublicKey>>,
    /// Whether clients may bring their own keys.
    open: bool,
    pairs: Mutex<Generations<Owner, Arc<Pair>>>,
    verified: Mutex<Generations<[u8; 32], ()>>,
}

impl P256Identity {
    /// `owner` with its key, in a world where all others have these keys. `open`: clients may show
    /// keys that no dealer made.
    pub fn new(
        owner: Owner,
        secret: SecretKey,
        public: Arc<BTreeMap<Owner, PublicKey>>,
        open: bool,
    ) -> Self {
        Self {
            owner,
            secret,
            public,
            open,
            pairs: Mutex::new(Generations::new(PAIRS_MAX)),
            verified: Mutex::new(Generations::new(VERIFIED_MAX)),
        }
    }

    /// Whose key this is.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// This owner's public key.
    pub fn public(&self) -> PublicKey {
        self.secret.public()
    }

    /// The public key of an owner, if it is known.
    pub fn key_of(&self, other: Owner) -> Option<PublicKey> {
        if other == self.owner {
            return Some(self.public());
        }
        self.public.get(&other).copied()
    }

    /// A secret that this owner and `other` share, the same at both ends, for the handshake of a
    /// link. It is not the key of the authenticators and says nothing about it.
    pub fn pairwise(&self, other: Owner) -> Option<Zeroizing<[u8; 32]>> {
        Some(Zeroizing::new(*self.pair(other)?.shared()))
    }

    /// Signs `digest` in the domain `tag` for a purpose.
    pub fn sign_for(&self, purpose: Purpose, tag: &[u8; 32], digest: &Digest) -> [u8; 64] {
        let prehash = prehash(purpose, tag, digest);
        let signature: Ecdsa =
            self.secret.0.sign_prehash(&prehash).expect("a prehash of 32 bytes can be signed");
        signature.normalize_s().to_bytes().into()
    }

    /// An ordinary ECDSA signature over the SHA-256 of a message, in DER, as TLS asks for. It is worth
    /// nothing as any other signature here: those are over hashes of another kind.
    pub fn sign_for_tls(&self, message: &[u8]) -> Vec<u8> {
        let signature: DerSignature = self.secret.0.sign(message);
        signature.as_bytes().to_vec()
    }

    /// Whether `signer` signed `digest` in the domain `tag` for this purpose. What was verified once
    /// is remembered for a while, because streams show the same signature again and again.
    pub fn verify_for(
        &self,
        purpose: Purpose,
        signer: Owner,
        tag: &[u8; 32],
        digest: &Digest,
        signature: &[u8],
    ) -> bool {
        let Some(key) = self.key_of(signer) else { return false };
        let prehash = prehash(purpose, tag, digest);
        let name = remembered(signer, &prehash, signature);
        if self.verified().get(&name).is_some() {
            return true;
        }
        let right = verify(&key, &prehash, signature);
        if right {
            self.verified().put(name, ());
        }
        right
    }

    /// The keys between this owner and `other`, whose key is known.
    fn pair(&self, other: Owner) -> Option<Arc<Pair>> {
        let key = self.key_of(other)?;
        self.pair_with(other, || Some(key))
    }

    /// The keys between this owner and `other`, whose name belongs to one key: computed once and then
    /// remembered.
    fn pair_with(
        &self,
        other: Owner,
        key: impl FnOnce() -> Option<PublicKey>,
    ) -> Option<Arc<Pair>> {
        if let Some(pair) = self.pairs().get(&other) {
            return Some(pair);
        }
        let key = key()?;
        let shared = diffie_hellman(self.secret.0.as_nonzero_scalar(), key.0.as_affine());
        let pair = Arc::new(Pair::new(shared.raw_secret_bytes(), self.owner, other));
        self.pairs().put(other, Arc::clone(&pair));
        Some(pair)
    }

    fn pairs(&self) -> MutexGuard<'_, Generations<Owner, Arc<Pair>>> {
        self.pairs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn verified(&self) -> MutexGuard<'_, Generations<[u8; 32], ()>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Identity for P256Identity {
    fn sign(&self, tag: &Tag, digest: &Digest) -> Signature {
        let signature = self.sign_for(Purpose::Plain, tag.as_bytes(), digest);
        Signature(signature.to_vec().into())
    }

    fn verify(&self, signer: Owner, tag: &Tag, digest: &Digest, signature: &Signature) -> bool {
        self.verify_for(Purpose::Plain, signer, tag.as_bytes(), digest, &signature.0)
    }

    fn authenticate(&self, other: Owner, tag: &Tag, digest: &Digest) -> Option<Mac> {
        Some(self.pair(other)?.outgoing(tag, digest))
    }

    fn check(&self, other: Owner, tag: &Tag, digest: &Digest, mac: &Mac) -> bool {
        self.pair(other).is_some_and(|pair| is_from(&pair, tag, digest, mac))
    }

    fn shown_key(&self) -> Option<Bytes> {
        let dealt = self.public.contains_key(&self.owner);
        (!dealt).then(|| Bytes::copy_from_slice(&self.public().to_bytes()))
    }

    fn check_shown(
        &self,
        client: ClientId,
        key: &[u8],
        tag: &Tag,
        digest: &Digest,
        mac: &Mac,
    ) -> bool {
        let named = client_of(key) == client;
        let key = || PublicKey::from_bytes(key).ok();
        let pair = (self.open && named).then(|| self.pair_with(Owner::Client(client), key));
        pair.flatten().is_some_and(|pair| is_from(&pair, tag, digest, mac))
    }
}

impl fmt::Debug for P256Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("P256Identity").field("owner", &self.owner).finish_non_exhaustive()
    }
}

/// The client whose key these bytes are, if they are one.
fn client_of(key: &[u8]) -> ClientId {
    ClientId::of_key(&Digest::of("client key", key))
}

/// Whether the other end of a pair made this authenticator.
fn is_from(pair: &Pair, tag: &Tag, digest: &Digest, mac: &Mac) -> bool {
    use subtle::ConstantTimeEq;
    pair.incoming(tag, digest).0.ct_eq(&mac.0).into()
}

/// What ECDSA signs.
fn prehash(purpose: Purpose, tag: &[u8; 32], digest: &Digest) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("maftia/v1/signature");
    hasher.update(&[purpose as u8]).update(tag).update(digest.as_bytes());
    *hasher.finalize().as_bytes()
}

/// The name under which a verified signature is remembered.
fn remembered(signer: Owner, prehash: &[u8; 32], signature: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("maftia/v1/verified");
    hasher.update(&signer.to_bytes()).update(prehash).update(signature);
    *hasher.finalize().as_bytes()
}

fn verify(key: &PublicKey, prehash: &[u8; 32], signature: &[u8]) -> bool {
    Ecdsa::from_slice(signature).is_ok_and(|signature| {
        signature.normalize_s() == signature && key.0.verify_prehash(prehash, &signature).is_ok()
    })
}

#[cfg(test)]
mod tests;
