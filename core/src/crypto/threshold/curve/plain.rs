//! `threshold_crypto`: pure Rust.

use threshold_crypto::{
    FrRepr, G1Affine, G2Affine, PEngine,
    ff::Field,
    group::{CurveAffine, CurveProjective, EncodedPoint},
    pairing::{Engine, PairingCurveAffine},
};

use super::{Curve, Point};
use crate::crypto::Scheme;

/// The library that is always there. It does not compute in constant time.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl Curve for Plain {
    const SCHEME: Scheme = Scheme::Pairing;
    type First = G1Affine;
    type Second = G2Affine;

    fn hash(digest: &[u8; 32]) -> G2Affine {
        threshold_crypto::hash_g2(digest).into_affine()
    }

    fn is_one(pairs: &[(G1Affine, G2Affine)]) -> bool {
        let prepared: Vec<_> = pairs.iter().map(|(a, b)| (a.prepare(), b.prepare())).collect();
        let pairs: Vec<_> = prepared.iter().map(|(a, b)| (a, b)).collect();
        let product = PEngine::final_exponentiation(&PEngine::miller_loop(pairs.iter()));
        product == Some(<PEngine as Engine>::Fqk::one())
    }
}

/// The same for both curves.
macro_rules! point {
    ($point:ty, $len:literal) => {
        impl Point for $point {
            const LEN: usize = $len;

            fn generator() -> Self {
                Self::one()
            }

            fn read(bytes: &[u8]) -> Option<Self> {
                let mut encoded = <Self as CurveAffine>::Compressed::empty();
                if bytes.len() != Self::LEN {
                    return None;
                }
                encoded.as_mut().copy_from_slice(bytes);
                encoded.into_affine().ok().filter(|point| !point.is_zero())
            }

            fn write(&self) -> Vec<u8> {
                self.into_compressed().as_ref().to_vec()
            }

            fn is_identity(&self) -> bool {
                self.is_zero()
            }

            fn negated(&self) -> Self {
                let mut minus = *self;
                minus.negate();
                minus
            }

            fn sum(terms: &[(Self, FrRepr)]) -> Self {
                let mut sum = <Self as CurveAffine>::Projective::zero();
                for (point, scalar) in terms {
                    sum.add_assign(&point.mul(*scalar));
                }
                sum.into_affine()
            }
        }
    };
}

point!(G1Affine, 48);
point!(G2Affine, 96);
