//! The threshold schemes of the ideal world.

use bytes::Bytes;

use super::{World, group_bytes};
use crate::{
    crypto::{
        Blame, Certificate, Ciphertext, Digest, Labelled, Scheme, Share, ThresholdCipher,
        ThresholdCoin, ThresholdSignature, bitmap,
        threshold::{blame, distinct},
    },
    id::{GroupId, PartyId},
    path::Tag,
    seat::{Group, Owner},
};

/// Shares of one purpose in one group.
#[derive(Clone, Debug)]
pub(super) struct Shares {
    world: World,
    /// Separates the purposes from one another.
    what: u8,
    /// Whose keys these are, if it is a member.
    me: Option<PartyId>,
    group: Option<(GroupId, u16)>,
    /// Without a group nothing is ever enough.
    needed: usize,
}

impl Shares {
    const SHARE: u8 = 32;
    const WHOLE: u8 = 64;
    const STREAM: u8 = 96;
    const SEALED: u8 = 128;

    pub(super) fn new(
        world: World,
        what: u8,
        owner: Owner,
        group: Option<&Group>,
        needed: fn(&Group) -> usize,
    ) -> Self {
        let me = match (owner, group) {
            (Owner::Party(own, party), Some(group)) if own == group.id => Some(party),
            _ => None,
        };
        let needed = group.map_or(usize::MAX, needed);
        let group = group.map(|group| (group.id, group.thresholds.n()));
        Self { world, what, me, group, needed }
    }

    fn hash(&self, step: u8, parts: &[&[u8]]) -> blake3::Hash {
        let group = self.group.map_or([0xff; 8], |(group, _)| group_bytes(group));
        let mut all: [&[u8]; 5] = [&group, &[], &[], &[], &[]];
        all[1..=parts.len()].copy_from_slice(parts);
        self.world.hash(step | self.what, &all)
    }

    fn n(&self) -> u16 {
        self.group.map_or(0, |(_, n)| n)
    }

    fn of(&self, party: PartyId, tag: &[u8], digest: &[u8]) -> Share {
        let hash = self.hash(Self::SHARE, &[&party.number().to_le_bytes(), tag, digest]);
        Scheme::Ideal.share(&[hash.as_bytes()])
    }

    /// One who is no member has no share: an empty one convinces nobody.
    fn mine(&self, tag: &[u8], digest: &[u8]) -> Share {
        self.me.map_or(Scheme::Ideal.share(&[]), |me| self.of(me, tag, digest))
    }

    fn check(&self, party: PartyId, tag: &[u8], digest: &[u8], share: &Share) -> bool {
        party.number() < self.n() && *share == self.of(party, tag, digest)
    }

    /// The distinct members whose shares these are, if all are right and enough.
    fn agree(
        &self,
        tag: &[u8],
        digest: &[u8],
        shares: &[(PartyId, Share)],
    ) -> Result<Vec<PartyId>, Blame> {
        let right = |party, share: &Share| self.check(party, tag, digest, share);
        let distinct = distinct(shares, self.n().into(), self.needed)?;
        let first = distinct.iter().take(self.needed);
        if !first.clone().all(|(party, share)| right(*party, share)) {
            return Err(blame(&distinct, right));
        }
        Ok(first.map(|(party, _)| *party).collect())
    }
}

/// Certificates: the signers as a bitmap, and a hash over it.
#[derive(Debug)]
pub(super) struct Signatures(pub(super) Shares);

impl Signatures {
    fn whole(&self, signers: &[u8], tag: &Tag, digest: &Digest) -> blake3::Hash {
        self.0.hash(Shares::WHOLE, &[tag.as_bytes(), digest.as_bytes(), signers])
    }
}

impl ThresholdSignature for Signatures {
    fn scheme(&self) -> Scheme {
        Scheme::Ideal
    }

    fn needed(&self) -> usize {
        self.0.needed
    }

    fn share(&self, tag: &Tag, digest: &Digest) -> Share {
        self.0.mine(tag.as_bytes(), digest.as_bytes())
    }

    fn check_share(&self, party: PartyId, tag: &Tag, digest: &Digest, share: &Share) -> bool {
        self.0.check(party, tag.as_bytes(), digest.as_bytes(), share)
    }

    fn combine(
        &self,
        tag: &Tag,
        digest: &Digest,
        shares: &[(PartyId, Share)],
    ) -> Result<Certificate, Blame> {
        let signers = self.0.agree(tag.as_bytes(), digest.as_bytes(), shares)?;
        let mut bytes = bitmap::of(&signers, self.0.n());
        let whole = self.whole(&bytes, tag, digest);
        bytes.extend_from_slice(whole.as_bytes());
        Ok(Certificate(bytes.into()))
    }

    fn check(&self, tag: &Tag, digest: &Digest, certificate: &Certificate) -> bool {
        let Some((signers, hash)) = certificate.0.split_at_checked(bitmap::len(self.0.n())) else {
            return false;
        };
        bitmap::members(signers, self.0.n()).is_some_and(|members| members.len() == self.0.needed)
            && hash == self.whole(signers, tag, digest).as_bytes()
    }
}

/// The coin: a hash of its name.
#[derive(Debug)]
pub(super) struct Coin(pub(super) Shares);

impl ThresholdCoin for Coin {
    fn scheme(&self) -> Scheme {
        Scheme::Ideal
    }

    fn needed(&self) -> usize {
        self.0.needed
    }

    fn share(&self, tag: &Tag) -> Share {
        self.0.mine(tag.as_bytes(), &[])
    }

    fn check_share(&self, party: PartyId, tag: &Tag, share: &Share) -> bool {
        self.0.check(party, tag.as_bytes(), &[], share)
    }

    fn combine(&self, tag: &Tag, shares: &[(PartyId, Share)]) -> Result<Digest, Blame> {
        self.0.agree(tag.as_bytes(), &[], shares)?;
        Ok(self.0.hash(Shares::WHOLE, &[tag.as_bytes()]).into())
    }
}

/// The cipher: `mark || nonce || seal || body`, where the seal is a hash over nonce, label and body.
#[derive(Debug)]
pub(super) struct Seal(pub(super) Shares);

impl Seal {
    const HEAD: usize = 64;

    /// Adds the key stream that belongs to the nonce; twice is nothing.
    fn mask(&self, nonce: &[u8], body: &mut [u8]) {
        let key = self.0.hash(Shares::STREAM, &[nonce]);
        let mut stream = vec![0; body.len()];
        blake3::Hasher::new_keyed(key.as_bytes()).finalize_xof().fill(&mut stream);
        for (byte, mask) in body.iter_mut().zip(stream) {
            *byte ^= mask;
        }
    }

    fn seal(&self, nonce: &[u8], label: &[u8], body: &[u8]) -> blake3::Hash {
        let len = (label.len() as u64).to_le_bytes();
        self.0
            .hash(Shares::SEALED, &[nonce, &len, &Digest::of("label", label).as_bytes()[..], body])
    }

    fn open(&self, sealed: &Labelled, shares: &[(PartyId, Share)]) -> Result<Bytes, Blame> {
        let Labelled { label, ciphertext } = sealed;
        if !self.check(label, ciphertext) {
            return Err(Blame::TooFew { have: 0, needed: self.0.needed });
        }
        self.0.agree(Self::name(ciphertext).as_bytes(), &[], shares)?;
        let (head, body) = ciphertext.0[1..].split_at(Self::HEAD);
        let mut plaintext = body.to_vec();
        self.mask(&head[..Self::HEAD / 2], &mut plaintext);
        Ok(plaintext.into())
    }

    /// What the shares cover: the whole ciphertext, which binds the label by its seal.
    fn name(ciphertext: &Ciphertext) -> Digest {
        Digest::of("ideal ciphertext", &ciphertext.0)
    }
}

impl ThresholdCipher for Seal {
    fn scheme(&self) -> Scheme {
        Scheme::Ideal
    }

    fn needed(&self) -> usize {
        self.0.needed
    }

    fn encrypt(&self, label: &[u8], plaintext: &[u8], seed: &[u8; 32]) -> Ciphertext {
        let nonce = Digest::of_parts("ideal nonce", &[seed]);
        let mut body = plaintext.to_vec();
        self.mask(nonce.as_bytes(), &mut body);
        let seal = self.seal(nonce.as_bytes(), label, &body);
        Ciphertext(Scheme::Ideal.mark(&[nonce.as_bytes(), seal.as_bytes(), &body]))
    }

    fn check(&self, label: &[u8], ciphertext: &Ciphertext) -> bool {
        let bytes = Scheme::Ideal.body(&ciphertext.0);
        let Some((head, body)) = bytes.and_then(|bytes| bytes.split_at_checked(Self::HEAD)) else {
            return false;
        };
        let (nonce, seal) = head.split_at(Self::HEAD / 2);
        seal == self.seal(nonce, label, body).as_bytes()
    }

    fn share(&self, label: &[u8], ciphertext: &Ciphertext) -> Option<Share> {
        self.check(label, ciphertext).then(|| self.0.mine(Self::name(ciphertext).as_bytes(), &[]))
    }

    fn check_share(
        &self,
        party: PartyId,
        label: &[u8],
        ciphertext: &Ciphertext,
        share: &Share,
    ) -> bool {
        self.check(label, ciphertext)
            && self.0.check(party, Self::name(ciphertext).as_bytes(), &[], share)
    }

    fn combine_all(
        &self,
        sealed: &[(Labelled, Vec<(PartyId, Share)>)],
    ) -> Vec<Result<Bytes, Blame>> {
        sealed.iter().map(|(sealed, shares)| self.open(sealed, shares)).collect()
    }
}
