//! What the schemes over pairings have in common: keys, points, and the one equation.
//!
//! The curve, the hash into it and the polynomials are those of `threshold_crypto`. Its keys and
//! shares are wrapped nowhere: it combines wrong shares without a word and reads points at infinity.

use std::fmt;

use threshold_crypto::{
    Fr, FrRepr, G1, G1Affine, G2Affine, PEngine,
    ff::{Field, PrimeField},
    group::{CurveAffine, CurveProjective, EncodedPoint},
    pairing::{Engine, PairingCurveAffine},
};
use zeroize::Zeroizing;

use crate::id::PartyId;

/// A scalar that is wiped when dropped, and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PairingSecret(Zeroizing<[u64; 4]>);

impl PairingSecret {
    /// The scalar with these 32 bytes, little-endian; `None` if it is none, or zero.
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let mut limbs = Zeroizing::new([0; 4]);
        for (limb, chunk) in limbs.iter_mut().zip(bytes.chunks_exact(8)) {
            *limb = u64::from_le_bytes(chunk.try_into().expect("chunks of 8 bytes"));
        }
        let scalar = Fr::from_repr(FrRepr(*limbs)).ok()?;
        (!scalar.is_zero()).then_some(Self(limbs))
    }

    /// The bytes to keep secret.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        let mut bytes = Zeroizing::new([0; 32]);
        for (chunk, limb) in bytes.chunks_exact_mut(8).zip(self.0.iter()) {
            chunk.copy_from_slice(&limb.to_le_bytes());
        }
        bytes
    }

    /// The public key that belongs to it, compressed.
    pub fn public(&self) -> [u8; 48] {
        to_bytes(G1Affine::one().mul(self.repr()))
    }

    pub(super) fn new(scalar: Fr) -> Self {
        Self(Zeroizing::new(scalar.into_repr().0))
    }

    /// The form in which points are multiplied with it.
    pub(super) fn repr(&self) -> FrRepr {
        FrRepr(*self.0)
    }
}

impl fmt::Debug for PairingSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairingSecret(..)")
    }
}

/// The public keys of one scheme: of the group, and of each member's share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairingPublic {
    pub(super) master: G1Affine,
    pub(super) members: Vec<G1Affine>,
}

impl PairingPublic {
    /// Reads compressed points, and refuses what is no point, the identity, and keys that are not
    /// those of one polynomial for `needed` shares.
    pub fn from_bytes(master: &[u8], members: &[impl AsRef<[u8]>], needed: usize) -> Option<Self> {
        let members = members.iter().map(|key| from_bytes(key.as_ref())).collect::<Option<_>>()?;
        let public = Self { master: from_bytes(master)?, members };
        public.consistent(needed).then_some(public)
    }

    /// The key of the group, compressed.
    pub fn master(&self) -> [u8; 48] {
        to_bytes(self.master.into_projective())
    }

    /// The keys of the members, compressed.
    pub fn members(&self) -> Vec<[u8; 48]> {
        self.members.iter().map(|key| to_bytes(key.into_projective())).collect()
    }

    /// Whether every run of `needed` members that follow one another gives the key of the group.
    fn consistent(&self, needed: usize) -> bool {
        let all: Vec<_> = (0..).map(PartyId::new).zip(self.members.iter().copied()).collect();
        (1..=all.len()).contains(&needed)
            && all.windows(needed).all(|some| interpolate(some) == self.master.into_projective())
    }
}

/// The point that these bytes encode: compressed, in the right subgroup, and not the identity.
pub(super) fn from_bytes<A: CurveAffine>(bytes: &[u8]) -> Option<A> {
    let mut encoded = A::Compressed::empty();
    if bytes.len() != A::Compressed::size() {
        return None;
    }
    encoded.as_mut().copy_from_slice(bytes);
    encoded.into_affine().ok().filter(|point| !point.is_zero())
}

/// The compressed encoding.
pub(super) fn to_bytes<const LEN: usize>(point: impl CurveProjective) -> [u8; LEN] {
    let encoded = point.into_affine().into_compressed();
    encoded.as_ref().try_into().expect("the length is that of the curve")
}

/// A hash into the second curve. What is hashed says what for.
pub(super) fn hash(context: &str, parts: &[&[u8]]) -> G2Affine {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    threshold_crypto::hash_g2(hasher.finalize().as_bytes()).into_affine()
}

/// Whether `e(a, b) = e(c, d)`: that the logarithm from `c` to `a` is the one from `b` to `d`. One
/// final exponentiation instead of two.
pub(super) fn same_pairing(a: G1Affine, b: G2Affine, c: G1Affine, d: G2Affine) -> bool {
    let mut minus = c;
    minus.negate();
    let pairs = [(&a.prepare(), &b.prepare()), (&minus.prepare(), &d.prepare())];
    let product = PEngine::final_exponentiation(&PEngine::miller_loop(pairs.iter()));
    product == Some(<PEngine as Engine>::Fqk::one())
}

/// Whether `point` is `hash` times the secret of this public key.
pub(super) fn signed(key: G1Affine, hash: G2Affine, point: G2Affine) -> bool {
    same_pairing(key, hash, G1Affine::one(), point)
}

/// From the values at `i + 1` of distinct members `i` the value at 0, in the exponent.
pub(super) fn interpolate<A>(values: &[(PartyId, A)]) -> A::Projective
where
    A: CurveAffine<Scalar = Fr>,
{
    let mut sum = A::Projective::zero();
    for (party, value) in values {
        let others = values.iter().map(|(other, _)| *other).filter(|other| other != party);
        sum.add_assign(&value.mul(coefficient(*party, others).into_repr()));
    }
    sum
}

/// The Lagrange coefficient at 0: the product of `x' / (x' - x)` over the others.
fn coefficient(party: PartyId, others: impl Iterator<Item = PartyId>) -> Fr {
    let at = |party: PartyId| {
        let place = u64::from(party.number()) + 1;
        Fr::from_repr(place.into()).expect("the field is larger than 2^64")
    };
    let (mut above, mut below) = (Fr::one(), Fr::one());
    for other in others {
        let x = at(other);
        let mut difference = x;
        difference.sub_assign(&at(party));
        above.mul_assign(&x);
        below.mul_assign(&difference);
    }
    above.mul_assign(&below.inverse().expect("members are distinct"));
    above
}

/// A signature that is the same whoever makes it: what certificates and coins have in common.
#[derive(Debug)]
pub(super) struct Unique {
    pub(super) public: PairingPublic,
    pub(super) secret: Option<PairingSecret>,
    pub(super) needed: usize,
}

impl Unique {
    /// The length of a share, and of the whole.
    pub(super) const LEN: usize = 96;

    /// This member's share; one who is no member has none, and an empty share convinces nobody.
    pub(super) fn share(&self, hash: G2Affine) -> super::Share {
        let share =
            self.secret.as_ref().map(|secret| to_bytes::<{ Self::LEN }>(hash.mul(secret.repr())));
        super::Share(share.map(Vec::from).unwrap_or_default().into())
    }

    /// Whether the share is the one of `party`.
    pub(super) fn check_share(&self, party: PartyId, hash: G2Affine, share: &super::Share) -> bool {
        let key = self.public.members.get(party.index());
        key.zip(from_bytes(&share.0)).is_some_and(|(key, point)| signed(*key, hash, point))
    }

    /// Whether this is the signature of the group.
    pub(super) fn check(&self, hash: G2Affine, whole: &[u8]) -> bool {
        from_bytes(whole).is_some_and(|point| signed(self.public.master, hash, point))
    }

    /// The signature of the group.
    pub(super) fn combine(
        &self,
        hash: G2Affine,
        shares: &[(PartyId, super::Share)],
    ) -> Result<[u8; Self::LEN], super::Blame> {
        let distinct = super::distinct(shares, self.public.members.len(), self.needed)?;
        let first = distinct.iter().take(self.needed);
        let points: Option<Vec<(PartyId, G2Affine)>> =
            first.map(|(party, share)| Some((*party, from_bytes(&share.0)?))).collect();
        let whole = points.map(|points| interpolate(&points).into_affine());
        match whole {
            Some(whole) if !whole.is_zero() && signed(self.public.master, hash, whole) => {
                Ok(to_bytes(whole.into_projective()))
            }
            _ => Err(super::blame(&distinct, |party, share| self.check_share(party, hash, share))),
        }
    }
}

/// A generator in the first curve, multiplied.
pub(super) fn base(scalar: &PairingSecret) -> G1 {
    G1Affine::one().mul(scalar.repr())
}
