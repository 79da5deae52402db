//! The dealer's mathematics: from a secret seed the keys of every member, and the public ones.
//!
//! Everything follows from 32 fresh bytes, which the dealer forgets: who keeps them can do all that
//! the group can do. Every scheme takes its polynomial from a stream of its own, named by the caller,
//! so that no two schemes or groups share one.

use p256::Scalar;
use rand07::RngCore;
use threshold_crypto::poly::Poly;
use zeroize::Zeroizing;

use super::{
    curve::Plain,
    ddh::{self, DdhPublic},
    pairing::{PairingPublic, PairingSecret, base},
};
use crate::crypto::SecretKey;

/// Bits that follow from a secret: BLAKE3 as a stream.
pub struct SeedRng(blake3::OutputReader);

impl SeedRng {
    /// The stream of this context and these parts.
    pub fn new(context: &str, parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(context);
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        Self(hasher.finalize_xof())
    }

    /// The next 32 bytes.
    pub fn seed(&mut self) -> Zeroizing<[u8; 32]> {
        let mut seed = Zeroizing::new([0; 32]);
        self.0.fill(&mut *seed);
        seed
    }
}

impl std::fmt::Debug for SeedRng {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SeedRng(..)")
    }
}

impl RngCore for SeedRng {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand07::Error> {
        self.0.fill(bytes);
        Ok(())
    }
}

/// The keys of a scheme over pairings, `needed` shares of `n` members.
pub fn pairing(rng: &mut SeedRng, n: u16, needed: usize) -> (PairingPublic, Vec<PairingSecret>) {
    // A polynomial that is zero where somebody looks has a probability of n * 2^-255.
    let poly = Poly::random(needed - 1, rng);
    let at = |place: u64| PairingSecret::new(poly.evaluate(place));
    let secrets: Vec<_> = (1..=u64::from(n)).map(at).collect();
    let public = PairingPublic {
        master: base::<Plain>(&at(0)),
        members: secrets.iter().map(base::<Plain>).collect(),
    };
    (public, secrets)
}

/// The keys of the coin without pairings, `needed` shares of `n` members.
pub fn ddh(rng: &mut SeedRng, n: u16, needed: usize) -> (DdhPublic, Vec<SecretKey>) {
    let coefficients: Vec<_> =
        (0..needed).map(|_| ddh::scalar("maftia/v1/dealt scalar", &[&*rng.seed()])).collect();
    let at = |place: u64| {
        let place = Scalar::from(place);
        let value = coefficients.iter().rfold(Scalar::ZERO, |sum, next| sum * place + **next);
        SecretKey::from_bytes(&value.to_bytes().into())
            .expect("zero where somebody looks with probability n * 2^-256")
    };
    let secrets: Vec<_> = (1..=u64::from(n)).map(at).collect();
    let members = secrets.iter().map(SecretKey::public).collect();
    let public = DdhPublic::new(at(0).public(), members, needed)
        .expect("the keys of one polynomial are consistent");
    (public, secrets)
}
