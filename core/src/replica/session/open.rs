//! One request of a session, and what the replicas said to it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{super::message::Refusal, Output};
use crate::{crypto::Digest, id::PartyId, tally::Tally};

/// A request that was said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Open {
    /// The number of the input.
    pub(super) number: u64,
    /// The request in which it travels.
    pub(super) bundle: u64,
    pub(super) replies: Tally<Digest>,
    pub(super) bodies: BTreeMap<Digest, Bytes>,
    pub(super) refusals: BTreeMap<PartyId, Refusal>,
    pub(super) answer: Option<Digest>,
    pub(super) hopeless: bool,
    /// How many quarters of the user's patience passed; when it is answered, of the time for others.
    pub(super) age: u32,
}

impl Open {
    pub(super) fn new(number: u64, bundle: u64) -> Self {
        Self {
            number,
            bundle,
            replies: Tally::default(),
            bodies: BTreeMap::new(),
            refusals: BTreeMap::new(),
            answer: None,
            hopeless: false,
            age: 0,
        }
    }

    /// Bytes of what the replicas said.
    pub(super) fn weight(&self) -> usize {
        self.bodies.values().map(Bytes::len).sum()
    }

    /// The most equal replies.
    pub(super) fn equal(&self) -> usize {
        self.bodies.keys().map(|digest| self.replies.count(digest)).max().unwrap_or(0)
    }

    pub(super) fn outvoted(&self, agreed: &Digest) -> impl Iterator<Item = (PartyId, Digest)> {
        self.replies
            .iter()
            .filter(move |(_, said)| *said != agreed)
            .map(|(party, said)| (party, *said))
    }

    /// Who gave another answer, and which.
    pub(super) fn otherwise(&self, agreed: &Digest) -> Vec<(PartyId, Bytes)> {
        let said = |digest| self.bodies.get(&digest).cloned().unwrap_or_default();
        self.outvoted(agreed).map(|(party, digest)| (party, said(digest))).collect()
    }

    pub(super) fn no_quorum(&self, needed: usize, of: usize) -> Output {
        let busy = self.refusals.iter().filter(|(_, why)| **why == Refusal::Busy);
        Output::NoQuorum {
            number: self.number,
            equal: self.equal(),
            needed,
            heard: self.replies.iter().map(|(party, _)| party).collect(),
            busy: busy.map(|(party, _)| *party).collect(),
            of,
        }
    }
}
