//! Keys of RSA whose secret exponent nobody holds.

use std::{convert::Infallible, fmt};

use crypto_bigint::{
    BoxedUint, ConcatenatingMul, NonZero, Odd, Resize,
    rand_core::{TryCryptoRng, TryRng},
};
use crypto_primes::{
    Flavor,
    hazmat::{SetBits, SmallFactorsSieveFactory},
    is_prime, sieve_and_find,
};
use p256::pkcs8::der::pem::{LineEnding, encode_string};
use zeroize::Zeroizing;

use super::number::{BITS, Element, Exponent, LEN, Residues, write};
use crate::crypto::threshold::dealer::SeedRng;

/// The public exponent: a prime above the size of any group, and the one that everybody uses.
pub(super) const EXPONENT: u64 = 65_537;
/// The most members: factorials of more do not fit.
const MEMBERS_MAX: usize = 100;
/// The length of a prime.
const PRIME_LEN: usize = LEN / 2;
/// What stands before the modulus of 2048 bits in a public key: a sequence of the name of RSA and of a
/// bit string, which holds the sequence of modulus and exponent.
const DER_HEAD: [u8; 33] = [
    0x30, 0x82, 0x01, 0x22, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01,
    0x01, 0x05, 0x00, 0x03, 0x82, 0x01, 0x0f, 0x00, 0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01,
    0x00,
];
/// What stands behind it: the exponent 65537.
const DER_TAIL: [u8; 5] = [0x02, 0x03, 0x01, 0x00, 0x01];

/// Two primes `p = 2p' + 1` and `q = 2q' + 1` with `p'` and `q'` prime: the squares modulo `pq` are a
/// group without small subgroups. Whoever knows them signs alone.
#[derive(Clone)]
pub struct SafePrimes {
    p: Zeroizing<BoxedUint>,
    q: Zeroizing<BoxedUint>,
}

impl SafePrimes {
    /// Searches for two. It takes seconds, sometimes half a minute, and far longer without optimisation.
    pub fn generate(rng: &mut SeedRng) -> Self {
        let mut next = || Zeroizing::new(safe_prime(rng, BITS / 2));
        let (p, q) = (next(), next());
        Self { p, q }
    }

    /// The primes that these hexadecimal digits of 128 bytes each encode. That they are safe primes is
    /// for the caller to know; that their product has the right size is checked.
    pub fn from_hex(p: &str, q: &str) -> Option<Self> {
        let read = |text: &str| {
            let sized = Some(text).filter(|text| text.len() == 2 * PRIME_LEN);
            let prime = sized.map(|text| BoxedUint::from_be_hex(text, BITS / 2).into());
            prime.flatten().map(Zeroizing::new)
        };
        let primes = Self { p: read(p)?, q: read(q)? };
        Residues::of(&primes.modulus())?;
        (primes.p != primes.q).then_some(primes)
    }

    /// One of them, for tests that know a factor.
    #[cfg(test)]
    pub(in crate::crypto) fn first(&self) -> Box<[u8]> {
        self.p.to_be_bytes()
    }

    fn modulus(&self) -> Box<[u8]> {
        self.p.concatenating_mul(&*self.q).to_be_bytes()
    }

    /// `p'q'`, the order of the group of squares.
    fn order(&self) -> Zeroizing<BoxedUint> {
        let (p, q) = (self.p.shr_vartime(1), self.q.shr_vartime(1));
        let halves = p.zip(q).expect("one bit is less than all");
        Zeroizing::new(halves.0.concatenating_mul(&halves.1))
    }
}

impl fmt::Debug for SafePrimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SafePrimes(..)")
    }
}

/// A safe prime of so many bits, the two highest of which are set: two of them have a product of twice
/// as many.
fn safe_prime(rng: &mut SeedRng, bits: u32) -> BoxedUint {
    let factory = SmallFactorsSieveFactory::new(Flavor::Safe, bits, SetBits::TwoMsb)
        .expect("there are safe primes of so many bits");
    sieve_and_find(&mut Bits(rng), factory, |_, candidate| is_prime(Flavor::Safe, candidate))
        .expect("a number of so many bits fits its own size")
        .expect("the search ends with a prime")
}

/// The bits of the dealer, as this library takes them.
struct Bits<'a>(&'a mut SeedRng);

impl TryRng for Bits<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(rand07::RngCore::next_u32(self.0))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(rand07::RngCore::next_u64(self.0))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        rand07::RngCore::fill_bytes(self.0, bytes);
        Ok(())
    }
}

impl TryCryptoRng for Bits<'_> {}

/// One member's part of the secret exponent.
#[derive(Clone, PartialEq, Eq)]
pub struct RsaSecret(pub(super) Zeroizing<BoxedUint>);

impl RsaSecret {
    /// The part that these 256 bytes encode.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let part = Zeroizing::new(BoxedUint::from_be_slice(bytes, BITS).ok()?);
        let sound = bytes.len() == LEN && bool::from(part.is_nonzero());
        sound.then_some(Self(part))
    }

    /// The bytes to keep secret.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.to_be_bytes().into_vec())
    }

    /// A base to the power of the part, in a time that tells nothing about it.
    pub(super) fn power(&self, base: &Element) -> Element {
        base.pow(&self.0)
    }
}

impl fmt::Debug for RsaSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RsaSecret(..)")
    }
}

/// The public keys: the modulus, a square `v` for proofs, and `v` to the power of each member's part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RsaPublic {
    pub(super) residues: Residues,
    pub(super) base: Element,
    pub(super) members: Vec<Element>,
}

impl RsaPublic {
    /// Reads the modulus and `v`, one after the other, and the keys of the members; refuses what is not
    /// canonical, and keys that are not those of one polynomial for `needed` shares.
    pub fn from_bytes(group: &[u8], members: &[impl AsRef<[u8]>], needed: usize) -> Option<Self> {
        let (modulus, base) = group.split_at_checked(LEN)?;
        let residues = Residues::of(modulus)?;
        let members = members.iter().map(|key| residues.read(key.as_ref())).collect::<Option<_>>();
        let public = Self { base: residues.read(base)?, members: members?, residues };
        public.consistent(needed).then_some(public)
    }

    /// The modulus and `v`.
    pub fn group(&self) -> Vec<u8> {
        [self.residues.modulus(), write(&self.base)].concat()
    }

    /// The keys of the members.
    pub fn members(&self) -> impl Iterator<Item = [u8; LEN]> + '_ {
        self.members.iter().map(write)
    }

    /// Whether this secret belongs to the member at this place.
    pub fn fits(&self, place: usize, secret: &RsaSecret) -> bool {
        self.members.get(place).is_some_and(|key| secret.power(&self.base) == *key)
    }

    /// The public key as every other program reads it: PEM of a `SubjectPublicKeyInfo`.
    pub fn pem(&self) -> String {
        let der = [&DER_HEAD[..], &self.residues.modulus(), &DER_TAIL].concat();
        encode_string("PUBLIC KEY", LineEnding::LF, &der).expect("the label is a right one")
    }

    /// How many members there are.
    pub(super) fn n(&self) -> u16 {
        self.members.len() as u16
    }

    /// From values of these members the value at 0 to the power of `n!`.
    pub(super) fn interpolate(&self, values: &[(u64, Element)]) -> Option<Element> {
        let exponent = |place: u64| {
            let others: Vec<_> =
                values.iter().map(|(other, _)| *other).filter(|other| *other != place).collect();
            Exponent::lagrange(self.n(), place, &others)
        };
        let exponents: Vec<_> = values.iter().map(|(place, _)| exponent(*place)).collect();
        self.residues.product(values.iter().map(|(_, value)| value).zip(&exponents))
    }

    /// Whether every run of `needed` members that follow one another holds the inverse of the public
    /// exponent.
    fn consistent(&self, needed: usize) -> bool {
        if self.members.len() > MEMBERS_MAX || !(1..=self.members.len()).contains(&needed) {
            return false;
        }
        let all: Vec<_> = (1..).zip(self.members.iter().cloned()).collect();
        let whole = Exponent::factorial(self.n()).power(&self.base);
        let right = |some| {
            let product = self.interpolate(some);
            product.is_some_and(|product| Exponent::from(EXPONENT).power(&product) == whole)
        };
        all.windows(needed).all(right)
    }
}

/// The keys of `n` members of whom `needed` sign together, over these primes.
pub(in crate::crypto) fn deal(
    rng: &mut SeedRng,
    primes: &SafePrimes,
    n: u16,
    needed: usize,
) -> (RsaPublic, Vec<RsaSecret>) {
    let residues = Residues::of(&primes.modulus()).expect("the primes were checked");
    let order = primes.order();
    let order: Option<Odd<BoxedUint>> = order.to_odd().into();
    let order = Zeroizing::new(order.expect("a product of odd primes is odd").get());
    let order = order.as_nz_vartime().expect("a product of primes is not zero");
    let whole = inverse(order);
    let mut coefficients = vec![whole];
    coefficients.extend((1..needed).map(|_| below(rng, order)));
    let part = |place: u64| {
        let place = BoxedUint::from(place).resize(BITS);
        let zero = Zeroizing::new(BoxedUint::zero_with_precision(BITS));
        let value = coefficients.iter().rfold(zero, |sum, next| {
            Zeroizing::new(sum.mul_mod(&place, order).add_mod(next, order))
        });
        RsaSecret(value)
    };
    let secrets: Vec<_> = (1..=u64::from(n)).map(part).collect();
    let root = residues.read(&{
        let mut bytes = [0; LEN];
        rand07::RngCore::fill_bytes(rng, &mut bytes[1..]);
        bytes
    });
    let base = root.expect("shorter than the modulus, and zero with probability 2^-2040").square();
    let members = secrets.iter().map(|secret| secret.power(&base)).collect();
    (RsaPublic { residues, base, members }, secrets)
}

/// The secret exponent.
fn inverse(order: &NonZero<BoxedUint>) -> Zeroizing<BoxedUint> {
    let exponent = BoxedUint::from(EXPONENT).resize(BITS);
    let inverse: Option<BoxedUint> = exponent.invert_mod(order).into();
    Zeroizing::new(inverse.expect("a small prime divides no product of large ones"))
}

/// A number below the order, as good as uniform.
fn below(rng: &mut SeedRng, order: &NonZero<BoxedUint>) -> Zeroizing<BoxedUint> {
    let mut bytes = Zeroizing::new([0; LEN + 16]);
    rand07::RngCore::fill_bytes(rng, &mut *bytes);
    let wide = Zeroizing::new(BoxedUint::from_be_slice_truncated(&*bytes, BITS + 128));
    Zeroizing::new(wide.rem(order).resize(BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn safe_primes_are_found() {
        let mut rng = SeedRng::new("test", &[b"safe primes"]);
        let prime = safe_prime(&mut rng, 96);
        assert_eq!(prime.bits(), 96);
        let half = prime.shr_vartime(1).expect("one bit");
        assert!(is_prime(Flavor::Any, &prime) && is_prime(Flavor::Any, &half));
    }

    #[test]
    fn primes_of_another_size_are_refused() {
        let right = format!("c{}1", "0".repeat(254));
        let other = format!("c{}3", "0".repeat(254));
        assert!(SafePrimes::from_hex(&right, &other).is_some());
        assert!(SafePrimes::from_hex(&right, &right).is_none(), "a square is no modulus");
        assert!(SafePrimes::from_hex(&right, &other[2..]).is_none());
        let small = format!("4{}1", "0".repeat(254));
        assert!(SafePrimes::from_hex(&small, &small).is_none());
        assert_eq!(format!("{:?}", SafePrimes::from_hex(&right, &other)), "Some(SafePrimes(..))");
    }
}
