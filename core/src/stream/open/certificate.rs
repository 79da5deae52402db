//! What stands in a slot, the chain over the slots, and what proves to anybody what stands there.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    crypto::{self, Digest, ThresholdSignature},
    id::Slot,
    path::{InstanceId, Tag},
    stream::secure::Author,
    wire::limits,
};

/// A payload and its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its slot.
    pub slot: Slot,
    /// Whose it is.
    pub author: Author,
    /// The payload.
    pub payload: Bytes,
}

impl Entry {
    /// What the chain names it by.
    pub fn link(&self) -> Link {
        let digest = Digest::of("slot payload", &self.payload);
        Link { slot: self.slot, author: self.author, digest }
    }

    /// What it takes to keep it, in bytes: the payload, and what stands around it.
    pub(super) fn weight(&self) -> u64 {
        self.payload.len() as u64 + ENTRY_BYTES
    }
}

/// What an entry takes beside its payload: place, author, digest of the chain.
const ENTRY_BYTES: u64 = 128;

/// An entry without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its slot.
    pub slot: Slot,
    /// Whose it is.
    pub author: Author,
    /// The name of the payload.
    pub digest: Digest,
}

impl Link {
    /// The chain after this link, when it was `chain` before.
    pub fn extend(&self, chain: Digest) -> Digest {
        let slot = self.slot.number().to_le_bytes();
        let (member, client);
        let author: &[u8] = match self.author {
            Author::Member(party) => {
                member = party.number().to_le_bytes();
                &member
            }
            Author::Client(id) => {
                client = *id.as_bytes();
                &client
            }
        };
        Digest::of_parts("slot chain", &[chain.as_bytes(), &slot, author, self.digest.as_bytes()])
    }
}

/// The chain before the first slot.
pub fn genesis() -> Digest {
    Digest::of("slot chain", b"")
}

/// Proof that `f + 1` members had the same entries in all slots below one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The slot after the last that it covers.
    pub slot: Slot,
    /// The chain there.
    pub chain: Digest,
    /// Their signatures.
    pub proof: crypto::Certificate,
}

impl Certificate {
    /// Checks it for the entries that were read at `stream`, with anybody's keys for the group: those of
    /// a client with a key of its own do.
    pub fn check(
        &self,
        stream: &InstanceId,
        service: &dyn ThresholdSignature,
    ) -> Result<(), Unproven> {
        let digest = statement(self.slot, self.chain);
        if service.check(&tag(stream), &digest, &self.proof) {
            Ok(())
        } else {
            Err(Unproven::Certificate { slot: self.slot })
        }
    }
}

/// The domain of what members sign about their entries.
pub(super) fn tag(stream: &InstanceId) -> Tag {
    stream.tag("slot certificate")
}

/// What members sign.
pub(super) fn statement(slot: Slot, chain: Digest) -> Digest {
    Digest::of_parts("slot certificate", &[&slot.number().to_le_bytes(), chain.as_bytes()])
}

/// Why something that was passed on is not proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// The certificate is not one of `f + 1` members for this stream and slot.
    #[error("the certificate of slot {slot} is not one of f + 1 members of this group and stream")]
    Certificate {
        /// The slot that it claims to cover.
        slot: Slot,
    },
    /// The entries are not those that the certificate is of.
    #[error("the entries lead to another chain than the certificate of slot {slot} has")]
    Chain {
        /// The slot of the certificate.
        slot: Slot,
    },
    /// The slots do not rise up to the certificate.
    #[error("slot {slot} is out of its order")]
    Order {
        /// The first one that is wrong.
        slot: Slot,
    },
    /// There is more than an excerpt may hold.
    #[error("{entries} entries are more than an excerpt holds")]
    TooLong {
        /// How many.
        entries: usize,
    },
}

/// An entry of an excerpt: as it is, or by its name only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shown {
    /// As it is.
    Entry(Entry),
    /// By its name: whoever gets the excerpt need not see it.
    Link(Link),
}

impl Shown {
    fn link(&self) -> Link {
        match self {
            Self::Entry(entry) => entry.link(),
            Self::Link(link) => *link,
        }
    }
}

/// Consecutive entries with the proof that they stand in their slots. It convinces whoever has the
/// public keys of the group; it needs no word with any member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt {
    /// The chain before them.
    pub before: Digest,
    /// All entries from some slot up to that of the certificate.
    pub shown: Vec<Shown>,
    /// What they lead to.
    pub certificate: Certificate,
}

impl Excerpt {
    /// The excerpt of these entries, which are all from where the chain was `before` up to the
    /// certificate. What lies above the certificate is left out.
    pub fn new(before: Digest, entries: &[Entry], certificate: Certificate) -> Self {
        let covered = entries.iter().filter(|entry| entry.slot < certificate.slot);
        Self { before, shown: covered.cloned().map(Shown::Entry).collect(), certificate }
    }

    /// The same, in which only some payloads are to be seen.
    #[must_use]
    pub fn only(mut self, seen: impl Fn(&Entry) -> bool) -> Self {
        for shown in &mut self.shown {
            if let Shown::Entry(entry) = shown
                && !seen(entry)
            {
                *shown = Shown::Link(entry.link());
            }
        }
        self
    }

    /// Checks all of it; then [`entries`](Self::entries) are what stands in their slots.
    pub fn check(
        &self,
        stream: &InstanceId,
        service: &dyn ThresholdSignature,
    ) -> Result<(), Unproven> {
        let Certificate { slot: end, chain, .. } = self.certificate;
        if self.shown.len() > limits::BATCH_PAYLOADS_MAX {
            return Err(Unproven::TooLong { entries: self.shown.len() });
        }
        let mut reached = (self.before, Slot::FIRST);
        for link in self.shown.iter().map(Shown::link) {
            if link.slot < reached.1 || link.slot >= end {
                return Err(Unproven::Order { slot: link.slot });
            }
            reached = (link.extend(reached.0), link.slot.next());
        }
        if reached.0 != chain {
            return Err(Unproven::Chain { slot: end });
        }
        self.certificate.check(stream, service)
    }

    /// The entries that are shown.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.shown.iter().filter_map(|shown| match shown {
            Shown::Entry(entry) => Some(entry),
            Shown::Link(_) => None,
        })
    }
}
