//! Arithmetic on BLS12-381, as the schemes over pairings need it of a library.
//!
//! There are two libraries: [`Plain`] is `threshold_crypto`, pure Rust and always there; `Blst`, behind
//! the feature of that name, is `blst`, C and assembly, and some seven times as fast. The curve, the
//! points, their encodings and so the **keys are the same**. The hash into the second curve is not:
//! `threshold_crypto` has one of its own, `blst` the one of RFC 9380. What is signed, and with it
//! every share and ciphertext, differs, so these are two [schemes](Scheme) with two marks.

#[cfg(feature = "blst")]
mod blst;
mod plain;

use std::fmt;

use threshold_crypto::FrRepr;

#[cfg(feature = "blst")]
pub use self::blst::Blst;
pub use self::plain::Plain;
use crate::crypto::Scheme;

/// A library for the curve.
pub trait Curve: fmt::Debug + Send + Sync + 'static {
    /// What is made with it.
    const SCHEME: Scheme;
    /// The first curve, whose points take 48 bytes.
    type First: Point;
    /// The second curve, whose points take 96 bytes.
    type Second: Point;

    /// A hash into the second curve.
    fn hash(digest: &[u8; 32]) -> Self::Second;

    /// Whether the product of the pairings of these pairs is one. One final exponentiation for all.
    fn is_one(pairs: &[(Self::First, Self::Second)]) -> bool;
}

/// A point of one of the two curves, in the subgroup of prime order.
pub trait Point: Copy + PartialEq + fmt::Debug + Send + Sync + 'static {
    /// The length of the compressed encoding.
    const LEN: usize;

    /// The agreed generator.
    fn generator() -> Self;

    /// The point that these bytes encode: compressed, in the right subgroup, and not the identity.
    fn read(bytes: &[u8]) -> Option<Self>;

    /// The compressed encoding.
    fn write(&self) -> Vec<u8>;

    /// Whether it is the identity, which nobody may use.
    fn is_identity(&self) -> bool;

    /// The inverse.
    fn negated(&self) -> Self;

    /// The sum of these points times these scalars.
    fn sum(terms: &[(Self, FrRepr)]) -> Self;

    /// The point times a scalar.
    fn times(&self, scalar: FrRepr) -> Self {
        Self::sum(&[(*self, scalar)])
    }
}

/// A scalar of 128 bits, which nobody chose, in the form in which points are multiplied with it. It is
/// never zero, so that nothing that is summed with it is left out.
pub(super) fn short(bytes: [u8; 16]) -> FrRepr {
    let number = u128::from_le_bytes(bytes).max(1);
    FrRepr([number as u64, (number >> 64) as u64, 0, 0])
}
