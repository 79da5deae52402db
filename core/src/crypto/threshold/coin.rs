//! A common coin from a unique signature: its value is the hash of the signature of its name.
//!
//! Uniqueness makes it common: every set of right shares gives the same signature. Unforgeability
//! makes it unpredictable: who has fewer than `k` shares knows nothing about the hash.

use super::{
    curve::{Curve, Plain},
    pairing::{Keys, PairingPublic, PairingSecret, Unique, hash},
};
use crate::{
    crypto::{Blame, Digest, Scheme, Share, ThresholdCoin},
    id::PartyId,
    path::Tag,
};

/// The coins of one group, computed with the library `C`.
#[derive(Debug)]
pub struct PairingCoin<C: Curve = Plain>(Unique<C>);

impl<C: Curve> PairingCoin<C> {
    /// Coins that `needed` members show together.
    pub fn new(public: &PairingPublic, secret: Option<PairingSecret>, needed: usize) -> Self {
        Self(Unique { public: Keys::new(public), secret, needed })
    }
}

fn name<C: Curve>(tag: &Tag) -> C::Second {
    hash::<C>("maftia/v1/coin", &[tag.as_bytes()])
}

impl<C: Curve> ThresholdCoin for PairingCoin<C> {
    fn scheme(&self) -> Scheme {
        C::SCHEME
    }

    fn needed(&self) -> usize {
        self.0.needed
    }

    fn share(&self, tag: &Tag) -> Share {
        self.0.share(name::<C>(tag))
    }

    fn check_share(&self, party: PartyId, tag: &Tag, share: &Share) -> bool {
        self.0.check_share(party, name::<C>(tag), share)
    }

    fn combine(&self, tag: &Tag, shares: &[(PartyId, Share)]) -> Result<Digest, Blame> {
        let whole = self.0.combine(name::<C>(tag), shares)?;
        Ok(Digest::of_parts("coin value", &[tag.as_bytes(), &whole]))
    }
}
