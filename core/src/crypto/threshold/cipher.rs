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
//!           ciphertext = mark of the scheme, u, w, body
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
//! - **Many at once**: the equations of many ciphertexts are checked together, those of `check` before the
//!   shares are made, and those of `combine` when they are put together. If that fails, each is looked at
//!   alone.
//! - `r` comes from the seed, the label and the plaintext together, so that a seed that is used twice
//!   by mistake gives away equality and nothing more.

use bytes::Bytes;
use threshold_crypto::{Fr, ff::Field};
use zeroize::Zeroizing;

use super::{
    blame,
    curve::{Curve, Plain, Point},
    dealer::SeedRng,
    distinct,
    pairing::{
        Equation, Keys, PairingPublic, PairingSecret, all_hold, base, hash, interpolate, point,
    },
};
use crate::{
    crypto::{Blame, Ciphertext, Labelled, Scheme, Share, ThresholdCipher},
    id::PartyId,
    wire::limits,
};

/// The length of `u`, and of a share.
const POINT: usize = 48;
/// The length of `u` and `w`, which stand between the mark of the scheme and the body.
const HEAD: usize = POINT + 96;

/// The ciphertexts of one group, computed with the library `C`.
#[derive(Debug)]
pub struct PairingCipher<C: Curve = Plain> {
    public: Keys<C>,
    secret: Option<PairingSecret>,
    needed: usize,
}

/// A ciphertext as it stands.
struct Parts<'a> {
    u: &'a [u8],
    w: &'a [u8],
    body: &'a [u8],
}

/// A ciphertext whose points are some.
struct Read<C: Curve> {
    u: C::First,
    w: C::Second,
    h: C::Second,
}

/// The points of one that is to be opened, and the one that masks it, if the shares are right.
struct Opened<C: Curve> {
    w: C::Second,
    h: C::Second,
    whole: C::First,
}

impl<'a> Parts<'a> {
    fn of(scheme: Scheme, ciphertext: &'a Ciphertext) -> Option<Self> {
        let bytes = scheme.body(&ciphertext.0).filter(|b| b.len() <= HEAD + limits::PAYLOAD_MAX)?;
        let (head, body) = bytes.split_at_checked(HEAD)?;
        let (u, w) = head.split_at(POINT);
        Some(Self { u, w, body })
    }

    /// What `w` signs.
    fn bound<C: Curve>(&self, label: &[u8]) -> C::Second {
        bind::<C>(label, self.u, self.body)
    }
}

impl<C: Curve> Read<C> {
    fn of(label: &[u8], ciphertext: &Ciphertext) -> Option<Self> {
        let parts = Parts::of(C::SCHEME, ciphertext)?;
        let (u, w) = (Point::read(parts.u)?, Point::read(parts.w)?);
        Some(Self { u, w, h: parts.bound::<C>(label) })
    }

    /// That it was made for its label.
    fn equation(&self) -> Equation<C> {
        Equation::signed(self.u, self.h, self.w)
    }
}

impl<C: Curve> PairingCipher<C> {
    /// Ciphertexts that `needed` members open together. Who holds no secret can encrypt, check and
    /// combine.
    pub fn new(public: &PairingPublic, secret: Option<PairingSecret>, needed: usize) -> Self {
        Self { public: Keys::new(public), secret, needed }
    }

    /// The share is a point `s` with `e(s, h) = e(y_i, w)`.
    fn right(&self, party: PartyId, w: C::Second, h: C::Second, share: &Share) -> bool {
        let key = self.public.member(party);
        key.zip(point::<C, _>(share))
            .is_some_and(|(key, share)| Equation::<C> { a: share, b: h, c: key, d: w }.holds())
    }

    /// What the shares open, unchecked.
    fn open(&self, sealed: &Labelled, shares: &[(PartyId, Share)]) -> Result<Opened<C>, Blame> {
        let none = Blame::TooFew { have: 0, needed: self.needed };
        let parts = Parts::of(C::SCHEME, &sealed.ciphertext).ok_or(none.clone())?;
        let w = Point::read(parts.w).ok_or(none)?;
        let h = parts.bound::<C>(&sealed.label);
        let distinct = distinct(shares, self.public.members.len(), self.needed)?;
        let first = distinct.iter().take(self.needed);
        let points: Option<Vec<_>> =
            first.map(|(party, share)| Some((*party, point::<C, _>(share)?))).collect();
        let whole = points.map(|points| interpolate(&points));
        match whole.filter(|whole: &C::First| !whole.is_identity()) {
            Some(whole) => Ok(Opened { w, h, whole }),
            None => Err(self.blame(sealed, shares)),
        }
    }

    /// That the combined point is the one of the group.
    fn equation(&self, opened: &Opened<C>) -> Equation<C> {
        Equation { a: opened.whole, b: opened.h, c: self.public.master, d: opened.w }
    }

    /// Whose shares are wrong.
    fn blame(&self, sealed: &Labelled, shares: &[(PartyId, Share)]) -> Blame {
        let read = Read::<C>::of(&sealed.label, &sealed.ciphertext);
        match (read, distinct(shares, self.public.members.len(), self.needed)) {
            (_, Err(blame)) => blame,
            (None, Ok(_)) => Blame::TooFew { have: 0, needed: self.needed },
            (Some(Read { w, h, .. }), Ok(distinct)) => {
                blame(&distinct, |party, share| self.right(party, w, h, share))
            }
        }
    }
}

/// What `w` signs.
fn bind<C: Curve>(label: &[u8], u: &[u8], body: &[u8]) -> C::Second {
    hash::<C>("maftia/v1/threshold cipher", &[label, u, body])
}

/// Adds the key stream of `y^r`; twice is nothing.
fn mask(u: &[u8], shared: impl Point, body: &mut [u8]) {
    let shared = Zeroizing::new(shared.write());
    let mut hasher = blake3::Hasher::new_derive_key("maftia/v1/threshold cipher stream");
    hasher.update(u).update(&shared);
    let mut stream = Zeroizing::new(vec![0; body.len()]);
    hasher.finalize_xof().fill(&mut stream);
    for (byte, mask) in body.iter_mut().zip(stream.iter()) {
        *byte ^= mask;
    }
}

impl<C: Curve> ThresholdCipher for PairingCipher<C> {
    fn scheme(&self) -> Scheme {
        C::SCHEME
    }

    fn needed(&self) -> usize {
        self.needed
    }

    fn encrypt(&self, label: &[u8], plaintext: &[u8], seed: &[u8; 32]) -> Ciphertext {
        let mut rng = SeedRng::new("maftia/v1/threshold cipher nonce", &[seed, label, plaintext]);
        let r = PairingSecret::new(Fr::random(&mut rng));
        let u = base::<C>(&r).write();
        let mut body = plaintext.to_vec();
        mask(&u, self.public.master.times(r.repr()), &mut body);
        let w = bind::<C>(label, &u, &body).times(r.repr()).write();
        Ciphertext(C::SCHEME.mark(&[&u, &w, &body]))
    }

    fn check(&self, label: &[u8], ciphertext: &Ciphertext) -> bool {
        Read::<C>::of(label, ciphertext).is_some_and(|read| read.equation().holds())
    }

    fn share(&self, label: &[u8], ciphertext: &Ciphertext) -> Option<Share> {
        let read = Read::<C>::of(label, ciphertext).filter(|read| read.equation().holds())?;
        Some(C::SCHEME.share(&[&read.u.times(self.secret.as_ref()?.repr()).write()]))
    }

    fn shares(&self, sealed: &[Labelled]) -> Vec<Option<Share>> {
        let read: Vec<_> =
            sealed.iter().map(|one| Read::<C>::of(&one.label, &one.ciphertext)).collect();
        let equations: Vec<_> = read.iter().flatten().map(Read::equation).collect();
        let sound = all_hold(&equations);
        let share = |read: &Option<Read<C>>| {
            let read = read.as_ref().filter(|read| sound || read.equation().holds())?;
            Some(C::SCHEME.share(&[&read.u.times(self.secret.as_ref()?.repr()).write()]))
        };
        read.iter().map(share).collect()
    }

    fn check_share(
        &self,
        party: PartyId,
        label: &[u8],
        ciphertext: &Ciphertext,
        share: &Share,
    ) -> bool {
        let read = Read::<C>::of(label, ciphertext).filter(|read| read.equation().holds());
        read.is_some_and(|Read { w, h, .. }| self.right(party, w, h, share))
    }

    fn combine_all(
        &self,
        sealed: &[(Labelled, Vec<(PartyId, Share)>)],
    ) -> Vec<Result<Bytes, Blame>> {
        let opened: Vec<_> =
            sealed.iter().map(|(sealed, shares)| self.open(sealed, shares)).collect();
        let equations: Vec<_> = opened.iter().flatten().map(|one| self.equation(one)).collect();
        let sound = all_hold(&equations);
        let plaintext =
            |((sealed, shares), opened): (&(Labelled, Vec<_>), Result<Opened<C>, _>)| {
                let opened = opened?;
                let parts = Parts::of(C::SCHEME, &sealed.ciphertext);
                match parts.filter(|_| sound || self.equation(&opened).holds()) {
                    Some(parts) => {
                        let mut plaintext = parts.body.to_vec();
                        mask(parts.u, opened.whole, &mut plaintext);
                        Ok(plaintext.into())
                    }
                    None => Err(self.blame(sealed, shares)),
                }
            };
        sealed.iter().zip(opened).map(plaintext).collect()
    }
}
