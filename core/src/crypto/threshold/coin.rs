//! A common coin from a unique signature: its value is the hash of the signature of its name.
//!
//! Uniqueness makes it common: every set of right shares gives the same signature. Unforgeability
//! makes it unpredictable: who has fewer than `k` shares knows nothing about the hash.

use super::pairing::{PairingPublic, PairingSecret, Unique, hash};
use crate::{
    crypto::{Blame, Digest, Share, ThresholdCoin},
    id::PartyId,
    path::Tag,
};

/// The coins of one group.
#[derive(Debug)]
pub struct PairingCoin(Unique);

impl PairingCoin {
    /// Coins that `needed` members show together.
    pub fn new(public: PairingPublic, secret: Option<PairingSecret>, needed: usize) -> Self {
        Self(Unique { public, secret, needed })
    }
}

fn name(tag: &Tag) -> threshold_crypto::G2Affine {
    hash("maftia/v1/coin", &[tag.as_bytes()])
}

impl ThresholdCoin for PairingCoin {
    fn needed(&self) -> usize {
        self.0.needed
    }

    fn share(&self, tag: &Tag) -> Share {
        self.0.share(name(tag))
    }

    fn check_share(&self, party: PartyId, tag: &Tag, share: &Share) -> bool {
        self.0.check_share(party, name(tag), share)
    }

    fn combine(&self, tag: &Tag, shares: &[(PartyId, Share)]) -> Result<Digest, Blame> {
        let whole = self.0.combine(name(tag), shares)?;
        Ok(Digest::of_parts("coin value", &[tag.as_bytes(), &whole]))
    }
}
