//! A common coin from Diffie and Hellman's assumption, without pairings (Cachin, Kursawe, Shoup 2000).
//!
//! The name of a coin is hashed to a point `q` of P-256, whose logarithm nobody knows. A share is
//! `s = q^(x_i)` with a proof that its logarithm to the base `q` is the one of the member's public key
//! to the base `g` (Chaum and Pedersen, made non-interactive by a hash over all that is involved).
//! The coin is the hash of `q^x`, interpolated from `k` shares. Here nothing verifies the result, so
//! `combine` checks the proofs of the shares that it takes; they cost a tenth of a pairing.

use std::collections::BTreeMap;

use p256::{
    AffinePoint, NonZeroScalar, ProjectivePoint, Scalar,
    elliptic_curve::{Group, PrimeField, ops::LinearCombination, sec1::ToSec1Point},
};
use zeroize::Zeroizing;

use super::{blame, distinct};
use crate::{
    crypto::{Blame, Digest, PublicKey, Scheme, SecretKey, Share, ThresholdCoin},
    id::PartyId,
    path::Tag,
};

/// The length of a share behind its mark: a point, a challenge and a response.
const SHARE_LEN: usize = PublicKey::LEN + 32 + 32;

/// The public keys of the coin: of the group, and of each member's share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DdhPublic {
    master: PublicKey,
    members: Vec<PublicKey>,
}

impl DdhPublic {
    /// The keys of a group, unless they are not those of one polynomial for `needed` shares.
    pub fn new(master: PublicKey, members: Vec<PublicKey>, needed: usize) -> Option<Self> {
        let all: Vec<_> =
            (0..).map(PartyId::new).zip(members.iter().map(PublicKey::point)).collect();
        let consistent = (1..=all.len()).contains(&needed)
            && all.windows(needed).all(|some| {
                interpolate(&some.iter().copied().collect())
                    == ProjectivePoint::from(master.point())
            });
        consistent.then_some(Self { master, members })
    }

    /// The key of the group.
    pub fn master(&self) -> PublicKey {
        self.master
    }

    /// The keys of the members.
    pub fn members(&self) -> &[PublicKey] {
        &self.members
    }
}

/// The coins of one group.
#[derive(Debug)]
pub struct DdhCoin {
    public: DdhPublic,
    secret: Option<SecretKey>,
    needed: usize,
}

/// What a proof is about.
struct Claim {
    tag: Tag,
    /// The coin's point.
    q: AffinePoint,
    /// The member's public key.
    key: AffinePoint,
    /// The share.
    s: AffinePoint,
}

impl Claim {
    /// The challenge: a hash over the claim and the two commitments of the proof.
    fn challenge(&self, a: ProjectivePoint, b: ProjectivePoint) -> NonZeroScalar {
        let mut all = self.tag.as_bytes().to_vec();
        for point in [self.q, self.key, self.s, a.to_affine(), b.to_affine()] {
            all.extend_from_slice(point.to_sec1_point(true).as_bytes());
        }
        scalar("maftia/v1/coin challenge", &[&all])
    }

    /// The proof of who knows the logarithm. The nonce follows from the secret and the coin's name,
    /// so that no claim is ever proved with two nonces, or two claims with one.
    fn prove(&self, secret: &SecretKey) -> (NonZeroScalar, Scalar) {
        let nonce = Zeroizing::new(scalar(
            "maftia/v1/coin nonce",
            &[&*secret.to_bytes(), self.tag.as_bytes()],
        ));
        let a = ProjectivePoint::mul_by_generator(&*nonce);
        let c = self.challenge(a, ProjectivePoint::from(self.q) * **nonce);
        (c, **nonce + *c * **secret.scalar())
    }

    /// Whether a proof convinces: `g^z = a key^c` and `q^z = b s^c` for the hashed `a` and `b`.
    fn holds(&self, c: &NonZeroScalar, z: &Scalar) -> bool {
        let minus = -**c;
        let commitment = |base: ProjectivePoint, point: AffinePoint| {
            ProjectivePoint::lincomb_vartime(&[(base, *z), (point.into(), minus)])
        };
        let a = commitment(ProjectivePoint::GENERATOR, self.key);
        let b = commitment(self.q.into(), self.s);
        let defined = !bool::from(a.is_identity()) && !bool::from(b.is_identity());
        defined && self.challenge(a, b) == *c
    }
}

impl DdhCoin {
    /// Coins that `needed` members show together. Who holds no secret can check and combine.
    pub fn new(public: DdhPublic, secret: Option<SecretKey>, needed: usize) -> Self {
        Self { public, secret, needed }
    }

    /// The point of a right share.
    fn right(
        &self,
        q: AffinePoint,
        party: PartyId,
        tag: &Tag,
        share: &Share,
    ) -> Option<AffinePoint> {
        let key = self.public.members.get(party.index())?.point();
        let share = Scheme::Ddh.body(&share.0).filter(|share| share.len() == SHARE_LEN)?;
        let (point, proof) = share.split_at(PublicKey::LEN);
        let (c, z) = proof.split_at(32);
        let claim = Claim { tag: *tag, q, key, s: PublicKey::from_bytes(point).ok()?.point() };
        let c = Option::from(NonZeroScalar::from_repr(c.try_into().ok()?))?;
        let z = Option::from(Scalar::from_repr(z.try_into().ok()?))?;
        claim.holds(&c, &z).then_some(claim.s)
    }
}

impl ThresholdCoin for DdhCoin {
    fn scheme(&self) -> Scheme {
        Scheme::Ddh
    }

    fn needed(&self) -> usize {
        self.needed
    }

    fn share(&self, tag: &Tag) -> Share {
        let Some(secret) = &self.secret else { return Scheme::Ddh.share(&[]) };
        let q = name(tag);
        let s = (ProjectivePoint::from(q) * **secret.scalar()).to_affine();
        let claim = Claim { tag: *tag, q, key: secret.public().point(), s };
        let (c, z) = claim.prove(secret);
        let point = s.to_sec1_point(true);
        Scheme::Ddh.share(&[point.as_bytes(), &c.to_repr(), &z.to_repr()])
    }

    fn check_share(&self, party: PartyId, tag: &Tag, share: &Share) -> bool {
        self.right(name(tag), party, tag, share).is_some()
    }

    fn combine(&self, tag: &Tag, shares: &[(PartyId, Share)]) -> Result<Digest, Blame> {
        let q = name(tag);
        let distinct = distinct(shares, self.public.members.len(), self.needed)?;
        let first = distinct.iter().take(self.needed);
        let points: Option<BTreeMap<_, _>> = first
            .map(|(party, share)| Some((*party, self.right(q, *party, tag, share)?)))
            .collect();
        let Some(points) = points else {
            return Err(blame(&distinct, |party, share| {
                self.right(q, party, tag, share).is_some()
            }));
        };
        let whole = interpolate(&points).to_affine().to_sec1_point(true);
        Ok(Digest::of_parts("coin value", &[tag.as_bytes(), whole.as_bytes()]))
    }
}

/// The point of a coin: the first hash that is the abscissa of one. P-256 has no small subgroup, and
/// the name is public, so that it does not matter how many hashes it takes.
fn name(tag: &Tag) -> AffinePoint {
    (0_u32..)
        .find_map(|attempt| {
            let mut hasher = blake3::Hasher::new_derive_key("maftia/v1/coin point");
            hasher.update(tag.as_bytes()).update(&attempt.to_le_bytes());
            let mut bytes = [2; PublicKey::LEN];
            bytes[1..].copy_from_slice(hasher.finalize().as_bytes());
            PublicKey::from_bytes(&bytes).ok()
        })
        .expect("every second hash is an abscissa")
        .point()
}

/// A hash to a scalar: the first one that is below the order of the group and not zero, so that it is
/// uniform.
pub(super) fn scalar(context: &str, parts: &[&[u8]]) -> NonZeroScalar {
    (0_u8..=u8::MAX)
        .find_map(|attempt| {
            let mut hasher = blake3::Hasher::new_derive_key(context);
            for part in parts {
                hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
            }
            let bytes = Zeroizing::new(*hasher.update(&[attempt]).finalize().as_bytes());
            Option::from(NonZeroScalar::from_repr((*bytes).into()))
        })
        .expect("256 hashes in a row are no scalars with probability 2^-8192")
}

/// From the values at `i + 1` of distinct members `i` the value at 0, in the exponent.
fn interpolate(values: &BTreeMap<PartyId, AffinePoint>) -> ProjectivePoint {
    let at = |party: PartyId| Scalar::from(u64::from(party.number()) + 1);
    let term = |party: PartyId, value: AffinePoint| {
        let others = values.keys().filter(|other| **other != party).map(|other| at(*other));
        let (above, below) = others.fold((Scalar::ONE, Scalar::ONE), |(above, below), x| {
            (above * x, below * (x - at(party)))
        });
        let below = below.invert().expect("members are distinct");
        ProjectivePoint::from(value) * (above * below)
    };
    values.iter().map(|(party, value)| term(*party, *value)).sum()
}
