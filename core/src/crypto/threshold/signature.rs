//! A threshold signature over pairings (Boneh, Lynn, Shacham 2001; Boldyreva 2003).
//!
//! 96 bytes whoever signed and however many, checked against one key of the group. It does not say
//! who signed. Prefer [`multisig`](super::multisig) in small groups: a check here costs pairings.

use super::{
    curve::{Curve, Plain},
    pairing::{Keys, PairingPublic, PairingSecret, Unique, hash},
};
use crate::{
    crypto::{Blame, Certificate, Digest, Purpose, Scheme, Share, ThresholdSignature},
    id::PartyId,
    path::Tag,
};

/// Certificates of one purpose of one group, computed with the library `C`.
#[derive(Debug)]
pub struct PairingSignature<C: Curve = Plain> {
    unique: Unique<C>,
    purpose: Purpose,
}

impl<C: Curve> PairingSignature<C> {
    /// Certificates of `needed` members. Who holds no secret can check and combine.
    pub fn new(
        public: &PairingPublic,
        secret: Option<PairingSecret>,
        purpose: Purpose,
        needed: usize,
    ) -> Self {
        Self { unique: Unique { public: Keys::new(public), secret, needed }, purpose }
    }

    fn hash(&self, tag: &Tag, digest: &Digest) -> C::Second {
        let parts: [&[u8]; 3] = [&[self.purpose as u8], tag.as_bytes(), digest.as_bytes()];
        hash::<C>("maftia/v1/threshold signature", &parts)
    }
}

impl<C: Curve> ThresholdSignature for PairingSignature<C> {
    fn scheme(&self) -> Scheme {
        C::SCHEME
    }

    fn needed(&self) -> usize {
        self.unique.needed
    }

    fn share(&self, tag: &Tag, digest: &Digest) -> Share {
        self.unique.share(self.hash(tag, digest))
    }

    fn check_share(&self, party: PartyId, tag: &Tag, digest: &Digest, share: &Share) -> bool {
        self.unique.check_share(party, self.hash(tag, digest), share)
    }

    fn combine(
        &self,
        tag: &Tag,
        digest: &Digest,
        shares: &[(PartyId, Share)],
    ) -> Result<Certificate, Blame> {
        let whole = self.unique.combine(self.hash(tag, digest), shares)?;
        Ok(Certificate(whole.into()))
    }

    fn check(&self, tag: &Tag, digest: &Digest, certificate: &Certificate) -> bool {
        self.unique.check(self.hash(tag, digest), &certificate.0)
    }
}
