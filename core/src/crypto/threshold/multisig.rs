//! A threshold signature from a vector of ordinary ones.
//!
//! A certificate is a bitmap of the signers and their signatures in order: exactly as many as are
//! needed, of distinct members. It names who signed, costs no pairing, and grows with the group: 64
//! bytes a signer. It is not unique, so it is never a coin.

use std::sync::Arc;

use super::{blame, distinct};
use crate::{
    crypto::{
        Blame, Certificate, Digest, P256Identity, Purpose, Scheme, Share, ThresholdSignature,
        bitmap,
    },
    id::{GroupId, PartyId},
    path::Tag,
    seat::Owner,
};

/// The length of a share behind its mark: an ECDSA signature on P-256.
const SHARE_LEN: usize = 64;

/// Certificates of one purpose of one group.
#[derive(Debug)]
pub struct Multisig {
    identity: Arc<P256Identity>,
    purpose: Purpose,
    group: GroupId,
    n: u16,
    needed: usize,
}

impl Multisig {
    /// Certificates of `needed` of the `n` members of `group`. Who is no member can check and combine.
    pub fn new(
        identity: Arc<P256Identity>,
        purpose: Purpose,
        group: GroupId,
        n: u16,
        needed: usize,
    ) -> Self {
        Self { identity, purpose, group, n, needed }
    }

    fn right(&self, party: PartyId, tag: &Tag, digest: &Digest, signature: &[u8]) -> bool {
        let signer = Owner::Party(self.group, party);
        party.number() < self.n
            && self.identity.verify_for(self.purpose, signer, tag.as_bytes(), digest, signature)
    }
}

/// The signature in a share; nothing of another scheme is one.
fn signature(share: &Share) -> &[u8] {
    Scheme::Multisig.body(&share.0).unwrap_or_default()
}

impl ThresholdSignature for Multisig {
    fn scheme(&self) -> Scheme {
        Scheme::Multisig
    }

    fn needed(&self) -> usize {
        self.needed
    }

    fn share(&self, tag: &Tag, digest: &Digest) -> Share {
        Scheme::Multisig.share(&[&self.identity.sign_for(self.purpose, tag.as_bytes(), digest)])
    }

    fn check_share(&self, party: PartyId, tag: &Tag, digest: &Digest, share: &Share) -> bool {
        self.right(party, tag, digest, signature(share))
    }

    fn combine(
        &self,
        tag: &Tag,
        digest: &Digest,
        shares: &[(PartyId, Share)],
    ) -> Result<Certificate, Blame> {
        let right = |party, share: &Share| self.right(party, tag, digest, signature(share));
        let distinct = distinct(shares, self.n.into(), self.needed)?;
        let first: Vec<_> = distinct.iter().take(self.needed).collect();
        if !first.iter().all(|(party, share)| right(**party, share)) {
            return Err(blame(&distinct, right));
        }
        let signers: Vec<_> = first.iter().map(|(party, _)| **party).collect();
        let mut bytes = bitmap::of(&signers, self.n);
        for (_, share) in first {
            bytes.extend_from_slice(signature(share));
        }
        Ok(Certificate(bytes.into()))
    }

    fn check(&self, tag: &Tag, digest: &Digest, certificate: &Certificate) -> bool {
        let Some((bits, signatures)) = certificate.0.split_at_checked(bitmap::len(self.n)) else {
            return false;
        };
        let Some(signers) = bitmap::members(bits, self.n) else { return false };
        signers.len() == self.needed
            && signatures.len() == self.needed * SHARE_LEN
            && signers
                .iter()
                .zip(signatures.chunks_exact(SHARE_LEN))
                .all(|(party, signature)| self.right(*party, tag, digest, signature))
    }
}

#[cfg(test)]
mod tests;
