//! Residues of a modulus of RSA, and the exponents that interpolation needs: integers with a sign,
//! because nobody knows the order of the group and nothing can be divided in the exponent.

use crypto_bigint::{
    BoxedUint, Limb, NonZero, Odd, Resize,
    modular::{BoxedMontyForm, BoxedMontyParams},
};

/// The size of the modulus: the least that is still in use, and what ordinary verifiers expect.
pub(super) const BITS: u32 = 2048;
/// The length of a residue.
pub(super) const LEN: usize = BITS as usize / 8;
/// Room for exponents that everybody knows. The largest is `4 (n!)^2` times the public exponent:
/// below 1,100 bits for a hundred members.
const WIDE: u32 = 2048;

/// A residue.
pub(super) type Element = BoxedMontyForm;

/// All residues of one modulus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Residues(BoxedMontyParams);

impl Residues {
    /// The residues of this modulus, if it is odd and of the right size.
    pub(super) fn of(modulus: &[u8]) -> Option<Self> {
        let modulus = BoxedUint::from_be_slice(modulus, BITS).ok()?;
        if modulus.bits_vartime() != BITS {
            return None;
        }
        let modulus: Option<Odd<BoxedUint>> = modulus.into_odd().into();
        Some(Self(BoxedMontyParams::new_vartime(modulus?)))
    }

    /// The modulus.
    pub(super) fn modulus(&self) -> [u8; LEN] {
        bytes(self.0.modulus())
    }

    /// The residue that these bytes encode: of full length, below the modulus and not zero.
    pub(super) fn read(&self, bytes: &[u8]) -> Option<Element> {
        let number = BoxedUint::from_be_slice(bytes, BITS).ok()?;
        let canonical = bytes.len() == LEN
            && number.cmp_vartime(self.0.modulus().as_ref()).is_lt()
            && bool::from(number.is_nonzero());
        canonical.then(|| Element::new(number, &self.0))
    }

    /// The product of these powers; `None` if one that must be inverted has no inverse.
    pub(super) fn product<'a>(
        &self,
        powers: impl IntoIterator<Item = (&'a Element, &'a Exponent)>,
    ) -> Option<Element> {
        let (mut above, mut below) = (Element::one(&self.0), Element::one(&self.0));
        for (base, exponent) in powers {
            let side = if exponent.negative { &mut below } else { &mut above };
            *side = &*side * &exponent.of(base);
        }
        let inverse: Option<Element> = below.invert_vartime().into();
        Some(&above * &inverse?)
    }
}

/// The canonical bytes of a residue.
pub(super) fn write(element: &Element) -> [u8; LEN] {
    bytes(&element.retrieve())
}

fn bytes(number: &BoxedUint) -> [u8; LEN] {
    number.to_be_bytes()[..].try_into().expect("a residue has the length of the modulus")
}

/// An exponent that everybody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exponent {
    negative: bool,
    magnitude: BoxedUint,
}

impl From<u64> for Exponent {
    fn from(number: u64) -> Self {
        Self { negative: false, magnitude: BoxedUint::from(number).resize(WIDE) }
    }
}

impl Exponent {
    /// These bytes, the highest first, read as a positive number.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        Self { negative: false, magnitude: BoxedUint::from_be_slice_vartime(bytes) }
    }

    /// `n!`
    pub(super) fn factorial(n: u16) -> Self {
        (1..=u64::from(n)).fold(Self::from(1), |product, next| product.times(next))
    }

    /// `n!` times the Lagrange coefficient at 0 of `place` among `others`: the product of
    /// `x / (x - place)`. It is an integer, because the denominator divides `n!` times the numerator.
    pub(super) fn lagrange(n: u16, place: u64, others: &[u64]) -> Self {
        let above = others.iter().fold(Self::factorial(n), |product, x| product.times(*x));
        others.iter().fold(above, |quotient, x| {
            let negative = quotient.negative ^ (*x < place);
            Self { negative, ..quotient.over(x.abs_diff(place)) }
        })
    }

    /// The product with a small number.
    pub(super) fn times(&self, factor: u64) -> Self {
        let magnitude = self.magnitude.wrapping_mul(BoxedUint::from(factor));
        Self { negative: self.negative, magnitude }
    }

    /// The square of a positive one.
    pub(super) fn squared(&self) -> Self {
        Self { negative: false, magnitude: self.magnitude.wrapping_square() }
    }

    /// The quotient by a small number that is not zero, without the remainder.
    pub(super) fn over(&self, divisor: u64) -> Self {
        let (magnitude, _) = self.magnitude.div_rem_limb(limb(divisor));
        Self { negative: self.negative, magnitude }
    }

    /// The remainder of a positive one by a small number that is not zero.
    pub(super) fn modulo(&self, divisor: u64) -> u64 {
        self.magnitude.rem_limb(limb(divisor)).0
    }

    /// The same below zero, or above.
    pub(super) fn negated(self) -> Self {
        Self { negative: !self.negative, ..self }
    }

    /// A base to the power of the magnitude, in a time that tells the exponent.
    fn of(&self, base: &Element) -> Element {
        base.pow_bounded_exp(&self.magnitude, self.magnitude.bits_vartime())
    }

    /// A base to the power of this one, which is positive.
    pub(super) fn power(&self, base: &Element) -> Element {
        debug_assert!(!self.negative, "a negative power needs an inverse");
        self.of(base)
    }
}

fn limb(number: u64) -> NonZero<Limb> {
    NonZero::new(Limb(number)).expect("nobody divides by zero: places are distinct")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coefficients_are_integers_with_a_sign() {
        // Of the places 1, 2, 4 with 4! = 24: 64, -48, 8.
        let at = |place, others: &[u64]| Exponent::lagrange(4, place, others);
        assert_eq!(at(1, &[2, 4]), Exponent::from(64));
        assert_eq!(at(2, &[1, 4]), Exponent::from(48).negated());
        assert_eq!(at(4, &[1, 2]), Exponent::from(8));
        let all: Vec<u64> = (1..=100).collect();
        let most = Exponent::lagrange(100, 34, &all[..33]);
        assert_eq!(most.modulo(2), 0, "the largest that a group can need fits");
    }

    #[test]
    fn factorials_fit() {
        let whole = Exponent::factorial(100);
        assert_eq!((2..=100).fold(whole, |left, next| left.over(next)), Exponent::from(1));
        assert_eq!(Exponent::factorial(5).squared(), Exponent::from(14_400));
        assert_eq!(Exponent::factorial(5).modulo(7), 1);
    }
}
