//! `blst`, through the safe interface of `blstrs`.

use blstrs::{Bls12, G1Affine, G1Projective, G2Affine, G2Prepared, G2Projective, Scalar};
use group::{Group, prime::PrimeCurveAffine};
use pairing::{MillerLoopResult, MultiMillerLoop};
use threshold_crypto::FrRepr;

use super::{Curve, Point};
use crate::crypto::Scheme;

/// The name of our use of the hash, as RFC 9380 wants one. What is hashed is a digest in a context.
const DOMAIN: &[u8] = b"MAFTIA-V01-with-BLS12381G2_XMD:SHA-256_SSWU_RO_";

/// The fast library. A point is multiplied with one scalar in constant time.
#[derive(Clone, Copy, Debug)]
pub struct Blst;

impl Curve for Blst {
    const SCHEME: Scheme = Scheme::PairingBlst;
    type First = G1Affine;
    type Second = G2Affine;

    fn hash(digest: &[u8; 32]) -> G2Affine {
        G2Projective::hash_to_curve(digest, DOMAIN, &[]).into()
    }

    fn is_one(pairs: &[(G1Affine, G2Affine)]) -> bool {
        let prepared: Vec<_> = pairs.iter().map(|(a, b)| (*a, G2Prepared::from(*b))).collect();
        let pairs: Vec<_> = prepared.iter().map(|(a, b)| (a, b)).collect();
        Bls12::multi_miller_loop(&pairs).final_exponentiation().is_identity().into()
    }
}

/// The scalar in the form of this library.
fn scalar(scalar: &FrRepr) -> Scalar {
    Option::from(Scalar::from_u64s_le(&scalar.0)).expect("both fields are the same")
}

/// The same for both curves.
macro_rules! point {
    ($point:ty, $projective:ty, $len:literal) => {
        impl Point for $point {
            const LEN: usize = $len;

            fn generator() -> Self {
                <Self as PrimeCurveAffine>::generator()
            }

            fn read(bytes: &[u8]) -> Option<Self> {
                let point: Option<Self> = Self::from_compressed(bytes.try_into().ok()?).into();
                point.filter(|point| !Point::is_identity(point))
            }

            fn write(&self) -> Vec<u8> {
                self.to_compressed().to_vec()
            }

            fn is_identity(&self) -> bool {
                PrimeCurveAffine::is_identity(self).into()
            }

            fn negated(&self) -> Self {
                -*self
            }

            fn sum(terms: &[(Self, FrRepr)]) -> Self {
                // Not by buckets: for that the library starts threads of its own.
                let terms = terms.iter().map(|(point, by)| *point * scalar(by));
                terms.fold(<$projective>::identity(), |sum, term| sum + term).into()
            }
        }
    };
}

point!(G1Affine, G1Projective, 48);
point!(G2Affine, G2Projective, 96);
