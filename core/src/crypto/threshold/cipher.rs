//! Labelled threshold encryption: secret until enough members release shares, and bound in public to
//! the label under which it was made.
//!
//! The scheme is that of Baek and Zheng, *Simple and efficient threshold cryptosystem from the gap
//! Diffie-Hellman group* (GLOBECOM 2003), which `threshold_crypto` follows too, with a label inside
//! the hash as Shoup and Gennaro have it. `g` generates the first curve, `x` is the group's secret,
//! `y = g^x`, member `i` holds `x_i` and everybody knows `y_i = g^(x_i)`.
//!
//! ```text
//! encrypt   r fresh; u = g^r; body = plaintext xor stream(kdf(u, y^r))
//!           h = hash into the second curve of (label, u, body); w = h^r
//!           ciphertext = u, w, body
//! check     e(u, h) = e(g, w)
//! share     u^(x_i), only after the check
//! check it  e(share, h) = e(y_i, w)
//! combine   interpolate to y^r; check e(y^r, h) = e(y, w); decrypt
//! ```
//!
//! - **The label check is public and comes before any share**: `w` is a BLS signature under the
//!   one-time key `u` of label and body, so everybody can check it and only who knows `r` can make
//!   one. Another label, another body or another `u` needs a `w` that only a forger of that signature
//!   could give. Copying a ciphertext under one's own label is therefore refused, and so is every
//!   change: with `u` kept, `w` must be forged; with another `u`, its logarithm must be known, and
//!   who knows it learns nothing about `y^r`. This is what makes chosen-ciphertext attacks idle.
//! - **A share is bound to its ciphertext**: it is checked against `h`, which covers everything.
//! - **What passes the check decrypts**, to the same bytes for everybody: the combined point is
//!   verified against `y`, and the stream cipher has no failure of its own. A malicious encryptor can
//!   choose what it encrypts and nothing else; no head of a line is ever blocked.
//! - The identity is refused as `u`, `w` and share.
//! - `r` comes from the seed, the label and the plaintext together, so that a seed that is used twice
//!   by mistake gives away equality and nothing more.

use bytes::Bytes;
use threshold_crypto::{
    Fr, G1Affine, G2Affine,
    ff::Field,
    group::{CurveAffine, CurveProjective},
};
use zeroize::Zeroizing;

use super::{
    blame,
    dealer::SeedRng,
    distinct,
    pairing::{
        PairingPublic, PairingSecret, base, from_bytes, hash, interpolate, same_pairing, signed,
        to_bytes,
    },
};
use crate::{
    crypto::{Blame, Ciphertext, Share, ThresholdCipher},
    id::PartyId,
    wire::limits,
};

/// The length of `u`, and of a share.
const POINT: usize = 48;
/// The length of `u` and `w`, which stand before the body.
const HEAD: usize = POINT + 96;

/// The ciphertexts of one group.
#[derive(Debug)]
pub struct PairingCipher {
    pub(super) public: PairingPublic,
    secret: Option<PairingSecret>,
    needed: usize,
}

/// A ciphertext that passed the check.
struct Valid<'a> {
    u: G1Affine,
    w: G2Affine,
    h: G2Affine,
    body: &'a [u8],
}

impl PairingCipher {
    /// Ciphertexts that `needed` members open together. Who holds no secret can encrypt, check and
    /// combine.
    pub fn new(public: PairingPublic, secret: Option<PairingSecret>, needed: usize) -> Self {
        Self { public, secret, needed }
    }

    /// The share is a point `s` with `e(s, h) = e(y_i, w)`.
    fn right(&self, party: PartyId, valid: &Valid<'_>, share: &Share) -> bool {
        let key = self.public.members.get(party.index());
        key.zip(from_bytes(&share.0))
            .is_some_and(|(key, share)| same_pairing(share, valid.h, *key, valid.w))
    }

    /// The point `y^r` from the first shares, if they are right.
    fn open(&self, valid: &Valid<'_>, first: &[(PartyId, &Share)]) -> Option<G1Affine> {
        let points: Option<Vec<(PartyId, G1Affine)>> =
            first.iter().map(|(party, share)| Some((*party, from_bytes(&share.0)?))).collect();
        let point = interpolate(&points?).into_affine();
        let right = !point.is_zero() && same_pairing(point, valid.h, self.public.master, valid.w);
        right.then_some(point)
    }
}

/// What `w` signs.
fn bind(label: &[u8], u: &[u8], body: &[u8]) -> G2Affine {
    hash("maftia/v1/threshold cipher", &[label, u, body])
}

fn validate<'a>(label: &[u8], ciphertext: &'a Ciphertext) -> Option<Valid<'a>> {
    if ciphertext.0.len() > HEAD + limits::PAYLOAD_MAX {
        return None;
    }
    let (head, body) = ciphertext.0.split_at_checked(HEAD)?;
    let (u, w) = head.split_at(POINT);
    let valid = Valid { u: from_bytes(u)?, w: from_bytes(w)?, h: bind(label, u, body), body };
    signed(valid.u, valid.h, valid.w).then_some(valid)
}

/// Adds the key stream of `y^r`; twice is nothing.
fn mask(u: &[u8], shared: G1Affine, body: &mut [u8]) {
    let shared = Zeroizing::new(to_bytes::<POINT>(shared.into_projective()));
    let mut hasher = blake3::Hasher::new_derive_key("maftia/v1/threshold cipher stream");
    hasher.update(u).update(&*shared);
    let mut stream = Zeroizing::new(vec![0; body.len()]);
    hasher.finalize_xof().fill(&mut stream);
    for (byte, mask) in body.iter_mut().zip(stream.iter()) {
        *byte ^= mask;
    }
}

impl ThresholdCipher for PairingCipher {
    fn needed(&self) -> usize {
        self.needed
    }

    fn encrypt(&self, label: &[u8], plaintext: &[u8], seed: &[u8; 32]) -> Ciphertext {
        let mut rng = SeedRng::new("maftia/v1/threshold cipher nonce", &[seed, label, plaintext]);
        let r = PairingSecret::new(Fr::random(&mut rng));
        let u: [u8; POINT] = to_bytes(base(&r));
        let mut body = plaintext.to_vec();
        mask(&u, self.public.master.mul(r.repr()).into_affine(), &mut body);
        let w: [u8; HEAD - POINT] = to_bytes(bind(label, &u, &body).mul(r.repr()));
        Ciphertext([&u[..], &w, &body].concat().into())
    }

    fn check(&self, label: &[u8], ciphertext: &Ciphertext) -> bool {
        validate(label, ciphertext).is_some()
    }

    fn share(&self, label: &[u8], ciphertext: &Ciphertext) -> Option<Share> {
        let valid = validate(label, ciphertext)?;
        let share: [u8; POINT] = to_bytes(valid.u.mul(self.secret.as_ref()?.repr()));
        Some(Share(share.to_vec().into()))
    }

    fn check_share(
        &self,
        party: PartyId,
        label: &[u8],
        ciphertext: &Ciphertext,
        share: &Share,
    ) -> bool {
        validate(label, ciphertext).is_some_and(|valid| self.right(party, &valid, share))
    }

    fn combine(
        &self,
        label: &[u8],
        ciphertext: &Ciphertext,
        shares: &[(PartyId, Share)],
    ) -> Result<Bytes, Blame> {
        // An invalid ciphertext has no right shares at all.
        let valid =
            validate(label, ciphertext).ok_or(Blame::TooFew { have: 0, needed: self.needed })?;
        let distinct = distinct(shares, self.public.members.len(), self.needed)?;
        let first: Vec<_> =
            distinct.iter().take(self.needed).map(|(party, share)| (*party, *share)).collect();
        let Some(point) = self.open(&valid, &first) else {
            return Err(blame(&distinct, |party, share| self.right(party, &valid, share)));
        };
        let mut plaintext = valid.body.to_vec();
        mask(&ciphertext.0[..POINT], point, &mut plaintext);
        Ok(plaintext.into())
    }
}
