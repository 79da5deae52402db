//! A threshold signature that every program verifies: ordinary RSA (Shoup, *Practical Threshold
//! Signatures*, EUROCRYPT 2000, section 3).
//!
//! The modulus is `N = pq` of safe primes `p = 2p' + 1`, `q = 2q' + 1`; `e` is prime and above the
//! number of members, `d` its inverse modulo `m = p'q'`, shared by a polynomial modulo `m`. `D = n!`.
//!
//! ```text
//! message    x = PKCS#1 v1.5 encoding of the SHA-256 of the message
//! share      x_i = x^(2 D s_i), with a proof that the logarithm of x_i^2 to the base x^(4 D) is the one
//!            of v_i to the base v: a hash c over both claims, two commitments, tag and digest,
//!            and z = s_i c + r
//! check it   c is the hash again, with v^z v_i^-c and x^(4 D z) x_i^(-2 c) as commitments
//! combine    w = product of x_i^(2 L_i), where L_i = D times a Lagrange coefficient, an integer;
//!            then w^e = x^(4 D^2), and with a 4 D^2 + b e = 1 the signature is w^a x^b
//! check      y^e = x
//! ```
//!
//! - **The signature covers the message and nothing else**, or no ordinary verifier could read it:
//!   neither group nor instance nor label. Whatever shall be covered belongs into the message. So the
//!   keys sign nothing but messages that the members' users want signed: no certificate of a protocol.
//! - **A share covers the tag**: its proof is worth nothing in another instance, though the power is
//!   the same there. Who was blamed in one is not blamed for what it said in another.
//! - It is unique, so every set of right shares gives the same signature.
//! - The nonce `r` follows from the secret, the tag and the digest, and is 512 bits longer than the
//!   modulus, so that `z` tells nothing about the secret.
//! - A share that has no inverse modulo `N` would be a factor of it; it is refused like any wrong one.

mod keys;
mod number;

use crypto_bigint::{BoxedUint, ConcatenatingMul};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

pub(in crate::crypto) use self::keys::deal;
pub use self::keys::{RsaPublic, RsaSecret, SafePrimes};
use self::{
    keys::EXPONENT,
    number::{BITS, Element, Exponent, LEN, write},
};
use super::{blame, dealer::SeedRng, distinct};
use crate::{
    crypto::{Blame, Certificate, Digest, Scheme, Share, ThresholdSignature},
    id::PartyId,
    path::Tag,
};

/// The length of a challenge.
const CHALLENGE: usize = 32;
/// The bits of a nonce: those of the secret and twice those of the challenge.
const NONCE_BITS: u32 = BITS + 16 * CHALLENGE as u32;
/// The length of a response: a nonce, and a word for the carry.
const RESPONSE: usize = NONCE_BITS as usize / 8 + 8;
/// The length of a share behind its mark: a power, a challenge and a response.
const SHARE_LEN: usize = LEN + CHALLENGE + RESPONSE;
/// What PKCS#1 v1.5 puts before a SHA-256: the name of the hash.
const SHA256_NAME: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

/// The signatures of one group.
#[derive(Debug)]
pub struct RsaSignature {
    public: RsaPublic,
    secret: Option<(PartyId, RsaSecret)>,
    needed: usize,
}

/// What a proof is about.
struct Claim<'a> {
    public: &'a RsaPublic,
    tag: &'a Tag,
    digest: &'a Digest,
    /// The member's public key.
    key: &'a Element,
    /// The message to the power of `4 n!`.
    base: Element,
    /// The square of the share.
    square: Element,
}

impl Claim<'_> {
    /// The challenge: a hash over all that is involved.
    fn challenge(&self, a: &Element, b: &Element) -> [u8; CHALLENGE] {
        let mut hasher = blake3::Hasher::new_derive_key("maftia/v1/rsa challenge");
        hasher.update(self.tag.as_bytes()).update(self.digest.as_bytes());
        hasher.update(&self.public.residues.modulus());
        for element in [&self.public.base, self.key, &self.base, &self.square, a, b] {
            hasher.update(&write(element));
        }
        *hasher.finalize().as_bytes()
    }

    /// The challenge and the response of who knows the logarithm.
    fn prove(&self, secret: &RsaSecret) -> Vec<u8> {
        let parts: [&[u8]; 3] = [&secret.to_bytes(), self.tag.as_bytes(), self.digest.as_bytes()];
        let mut bytes = Zeroizing::new([0; NONCE_BITS as usize / 8]);
        let mut rng = SeedRng::new("maftia/v1/rsa nonce", &parts);
        rand07::RngCore::fill_bytes(&mut rng, &mut *bytes);
        let nonce =
            Zeroizing::new(BoxedUint::from_be_slice_truncated(&*bytes, 8 * RESPONSE as u32));
        let challenge = self.challenge(&self.public.base.pow(&nonce), &self.base.pow(&nonce));
        let factor = BoxedUint::from_be_slice_truncated(&challenge, 8 * CHALLENGE as u32);
        let product = Zeroizing::new(secret.0.concatenating_mul(&factor));
        let response = nonce.wrapping_add(&*product);
        [&challenge[..], &response.to_be_bytes()].concat()
    }

    /// Whether a proof convinces.
    fn holds(&self, proof: &[u8]) -> bool {
        let (challenge, response) = proof.split_at(CHALLENGE);
        let (up, down) =
            (Exponent::from_bytes(response), Exponent::from_bytes(challenge).negated());
        let commitment = |base, power| self.public.residues.product([(base, &up), (power, &down)]);
        let commitments =
            commitment(&self.public.base, self.key).zip(commitment(&self.base, &self.square));
        commitments.is_some_and(|(a, b)| self.challenge(&a, &b) == challenge)
    }
}

impl RsaSignature {
    /// Signatures that `needed` members make together. Who holds no secret can check and combine.
    pub fn new(public: RsaPublic, secret: Option<(PartyId, RsaSecret)>, needed: usize) -> Self {
        Self { public, secret, needed }
    }

    /// The public keys.
    pub fn public(&self) -> &RsaPublic {
        &self.public
    }

    /// The number that stands for a digest: `00 01 ff .. ff 00`, the name of SHA-256, the digest.
    fn encode(&self, digest: &Digest) -> Element {
        let mut bytes = [0xff; LEN];
        let rest = LEN - SHA256_NAME.len() - 32;
        bytes[..2].copy_from_slice(&[0, 1]);
        bytes[rest - 1] = 0;
        bytes[rest..][..SHA256_NAME.len()].copy_from_slice(&SHA256_NAME);
        bytes[LEN - 32..].copy_from_slice(digest.as_bytes());
        self.public.residues.read(&bytes).expect("it begins with a zero, the modulus does not")
    }

    /// The message to the power of `2 n!`.
    fn raised(&self, digest: &Digest) -> Element {
        Exponent::factorial(self.public.n()).times(2).power(&self.encode(digest))
    }

    fn claim<'a>(
        &'a self,
        party: PartyId,
        tag: &'a Tag,
        digest: &'a Digest,
        power: &Element,
    ) -> Option<Claim<'a>> {
        let key = self.public.members.get(party.index())?;
        let base = self.raised(digest).square();
        Some(Claim { public: &self.public, tag, digest, key, base, square: power.square() })
    }

    /// The powers of the first shares give the signature, if they are right.
    fn whole(&self, digest: &Digest, first: &[(PartyId, &Share)]) -> Option<Element> {
        let value = |(party, share): &(PartyId, &Share)| {
            let power = self.public.residues.read(body(share)?.0)?;
            Some((u64::from(party.number()) + 1, power.square()))
        };
        let values: Option<Vec<_>> = first.iter().map(value).collect();
        let w = self.public.interpolate(&values?)?;
        let x = self.encode(digest);
        // 4 D^2 a = 1 modulo the prime e, and b = (1 - 4 D^2 a) / e, which is below zero.
        let square = Exponent::factorial(self.public.n()).squared().times(4);
        let a = inverse(square.modulo(EXPONENT));
        let b = square.times(a).over(EXPONENT).negated();
        let whole = self.public.residues.product([(&w, &Exponent::from(a)), (&x, &b)])?;
        signs(&x, &whole).then_some(whole)
    }
}

/// The power and the proof in a share.
fn body(share: &Share) -> Option<(&[u8], &[u8])> {
    let body = Scheme::Rsa.body(&share.0).filter(|body| body.len() == SHARE_LEN)?;
    Some(body.split_at(LEN))
}

/// Whether the residue is the signature of the number.
fn signs(x: &Element, y: &Element) -> bool {
    Exponent::from(EXPONENT).power(y) == *x
}

/// The inverse modulo the public exponent, which is prime: the power of the exponent less two.
fn inverse(number: u64) -> u64 {
    let (mut power, mut square, mut left) = (1, number % EXPONENT, EXPONENT - 2);
    while left > 0 {
        if left & 1 == 1 {
            power = power * square % EXPONENT;
        }
        square = square * square % EXPONENT;
        left >>= 1;
    }
    power
}

impl ThresholdSignature for RsaSignature {
    fn scheme(&self) -> Scheme {
        Scheme::Rsa
    }

    fn needed(&self) -> usize {
        self.needed
    }

    fn digest(&self, _: &[u8], message: &[u8]) -> Digest {
        Digest::new(Sha256::digest(message).into())
    }

    fn share(&self, tag: &Tag, digest: &Digest) -> Share {
        let Some((me, secret)) = &self.secret else { return Scheme::Rsa.share(&[]) };
        let power = secret.power(&self.raised(digest));
        let proof = self.claim(*me, tag, digest, &power).map(|claim| claim.prove(secret));
        Scheme::Rsa.share(&[&write(&power)[..], &proof.unwrap_or_default()])
    }

    fn check_share(&self, party: PartyId, tag: &Tag, digest: &Digest, share: &Share) -> bool {
        let Some((power, proof)) = body(share) else { return false };
        let power = self.public.residues.read(power);
        let claim = power.and_then(|power| self.claim(party, tag, digest, &power));
        claim.is_some_and(|claim| claim.holds(proof))
    }

    fn combine(
        &self,
        tag: &Tag,
        digest: &Digest,
        shares: &[(PartyId, Share)],
    ) -> Result<Certificate, Blame> {
        let distinct = distinct(shares, self.public.members.len(), self.needed)?;
        let first: Vec<_> =
            distinct.iter().take(self.needed).map(|(party, share)| (*party, *share)).collect();
        match self.whole(digest, &first) {
            Some(whole) => Ok(Certificate(write(&whole).to_vec().into())),
            None => {
                Err(blame(&distinct, |party, share| self.check_share(party, tag, digest, share)))
            }
        }
    }

    fn check(&self, _: &Tag, digest: &Digest, certificate: &Certificate) -> bool {
        let whole = self.public.residues.read(&certificate.0);
        whole.is_some_and(|whole| signs(&self.encode(digest), &whole))
    }
}
