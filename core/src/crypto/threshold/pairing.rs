//! What the schemes over pairings have in common: keys, points, and the one equation.
//!
//! Keys are dealt and read with the polynomials of `threshold_crypto`, whatever [library](Curve) then
//! works with them. Its own keys and shares are used nowhere: it combines wrong shares without a word
//! and reads points at infinity.

use std::fmt;

use threshold_crypto::{
    Fr, FrRepr, G1Affine,
    ff::{Field, PrimeField},
};
use zeroize::Zeroizing;

use super::curve::{Curve, Plain, Point, short};
use crate::{
    crypto::{Blame, Share},
    id::PartyId,
};

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
        bytes(&base::<Plain>(self))
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
        let members = members.iter().map(|key| Point::read(key.as_ref())).collect::<Option<_>>()?;
        let public = Self { master: Point::read(master)?, members };
        public.consistent(needed).then_some(public)
    }

    /// The key of the group, compressed.
    pub fn master(&self) -> [u8; 48] {
        bytes(&self.master)
    }

    /// The keys of the members, compressed.
    pub fn members(&self) -> Vec<[u8; 48]> {
        self.members.iter().map(bytes).collect()
    }

    /// Whether every run of `needed` members that follow one another gives the key of the group.
    fn consistent(&self, needed: usize) -> bool {
        let all: Vec<_> = (0..).map(PartyId::new).zip(self.members.iter().copied()).collect();
        (1..=all.len()).contains(&needed)
            && all.windows(needed).all(|some| interpolate(some) == self.master)
    }
}

/// The compressed encoding of a point of the first curve.
fn bytes(point: &G1Affine) -> [u8; 48] {
    point.write().try_into().expect("the length is that of the curve")
}

/// The public keys as the points of a library.
#[derive(Debug)]
pub(super) struct Keys<C: Curve> {
    pub(super) master: C::First,
    pub(super) members: Vec<C::First>,
}

impl<C: Curve> Keys<C> {
    pub(super) fn new(public: &PairingPublic) -> Self {
        let read = |key: &G1Affine| {
            Point::read(&key.write()).expect("both libraries have the same points and encodings")
        };
        Self { master: read(&public.master), members: public.members.iter().map(read).collect() }
    }

    /// The key of this member, if there is such a member.
    pub(super) fn member(&self, party: PartyId) -> Option<C::First> {
        self.members.get(party.index()).copied()
    }
}

/// A hash into the second curve. What is hashed says what for.
pub(super) fn hash<C: Curve>(context: &str, parts: &[&[u8]]) -> C::Second {
    C::hash(digest(context, parts).as_bytes())
}

fn digest(context: &str, parts: &[&[u8]]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    hasher.finalize()
}

/// A statement about two points of each curve: that the logarithm from `c` to `a` is the one from `b`
/// to `d`, or `e(a, b) = e(c, d)`.
#[derive(Debug)]
pub(super) struct Equation<C: Curve> {
    pub(super) a: C::First,
    pub(super) b: C::Second,
    pub(super) c: C::First,
    pub(super) d: C::Second,
}

impl<C: Curve> Equation<C> {
    /// That `point` is `hash` times the secret of this public key.
    pub(super) fn signed(key: C::First, hash: C::Second, point: C::Second) -> Self {
        Self { a: key, b: hash, c: C::First::generator(), d: point }
    }

    /// Whether it holds. One final exponentiation instead of two.
    pub(super) fn holds(&self) -> bool {
        C::is_one(&[(self.a, self.b), (self.c.negated(), self.d)])
    }
}

/// Whether all of these equations hold, which have the same `c`; each alone if there is only one.
///
/// Each is raised to a power of its own, and the product is looked at. The powers follow from a hash of
/// all the points, so that whoever makes them would have to make them fit afterwards: wrong ones pass
/// with a probability of `2^-127` a try. This needs points of the right subgroup, which reading ensures.
/// Of `m` equations it costs `m + 1` pairings and one final exponentiation instead of `2 m` and `m`.
pub(super) fn all_hold<C: Curve>(equations: &[Equation<C>]) -> bool {
    let Some(first) = equations.first() else { return true };
    if equations.len() == 1 || equations.iter().any(|equation| equation.c != first.c) {
        return equations.iter().all(Equation::holds);
    }
    let mut hasher = blake3::Hasher::new_derive_key("maftia/v1/batch of equations");
    hasher.update(&first.c.write());
    for Equation { a, b, d, .. } in equations {
        hasher.update(&a.write()).update(&b.write()).update(&d.write());
    }
    let mut stream = hasher.finalize_xof();
    let powers: Vec<_> = equations
        .iter()
        .map(|_| {
            let mut bytes = [0; 16];
            stream.fill(&mut bytes);
            short(bytes)
        })
        .collect();
    let terms: Vec<_> =
        equations.iter().zip(&powers).map(|(equation, power)| (equation.d, *power)).collect();
    let mut pairs = vec![(first.c.negated(), C::Second::sum(&terms))];
    let left = equations.iter().zip(&powers);
    pairs.extend(left.map(|(equation, power)| (equation.a.times(*power), equation.b)));
    C::is_one(&pairs)
}

/// From the values at `i + 1` of distinct members `i` the value at 0, in the exponent.
pub(super) fn interpolate<P: Point>(values: &[(PartyId, P)]) -> P {
    let term = |(party, value): &(PartyId, P)| {
        let others = values.iter().map(|(other, _)| *other).filter(|other| other != party);
        (*value, coefficient(*party, others).into_repr())
    };
    P::sum(&values.iter().map(term).collect::<Vec<_>>())
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
pub(super) struct Unique<C: Curve> {
    pub(super) public: Keys<C>,
    pub(super) secret: Option<PairingSecret>,
    pub(super) needed: usize,
}

impl<C: Curve> Unique<C> {
    /// This member's share; one who is no member has none, and an empty share convinces nobody.
    pub(super) fn share(&self, hash: C::Second) -> Share {
        let share = self.secret.as_ref().map(|secret| hash.times(secret.repr()).write());
        C::SCHEME.share(&[&share.unwrap_or_default()])
    }

    /// Whether the share is the one of `party`.
    pub(super) fn check_share(&self, party: PartyId, hash: C::Second, share: &Share) -> bool {
        let key = self.public.member(party);
        key.zip(point::<C, _>(share))
            .is_some_and(|(key, point)| Equation::<C>::signed(key, hash, point).holds())
    }

    /// Whether this is the signature of the group.
    pub(super) fn check(&self, hash: C::Second, whole: &[u8]) -> bool {
        C::Second::read(whole).is_some_and(|point| self.right(hash, point))
    }

    /// The signature of the group, compressed.
    pub(super) fn combine(
        &self,
        hash: C::Second,
        shares: &[(PartyId, Share)],
    ) -> Result<Vec<u8>, Blame> {
        let distinct = super::distinct(shares, self.public.members.len(), self.needed)?;
        let first = distinct.iter().take(self.needed);
        let points: Option<Vec<(PartyId, C::Second)>> =
            first.map(|(party, share)| Some((*party, point::<C, _>(share)?))).collect();
        let whole = points.map(|points| interpolate(&points));
        match whole {
            Some(whole) if !whole.is_identity() && self.right(hash, whole) => Ok(whole.write()),
            _ => Err(super::blame(&distinct, |party, share| self.check_share(party, hash, share))),
        }
    }

    fn right(&self, hash: C::Second, whole: C::Second) -> bool {
        Equation::<C>::signed(self.public.master, hash, whole).holds()
    }
}

/// The point in a share of this scheme.
pub(super) fn point<C: Curve, P: Point>(share: &Share) -> Option<P> {
    P::read(C::SCHEME.body(&share.0)?)
}

/// The generator of the first curve, multiplied.
pub(super) fn base<C: Curve>(scalar: &PairingSecret) -> C::First {
    C::First::generator().times(scalar.repr())
}
