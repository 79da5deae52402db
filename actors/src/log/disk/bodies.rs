//! Where payloads stand on the disk, so that a snapshot names them instead of writing them again.
//!
//! A record shares its payloads with the trees that took it. While a tree has one, the memory that it
//! lies in is the same, so its address tells where it was written. What nobody else has any more is let
//! go, or its memory could become another payload's.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use maftia_core::wire::Part;
use serde::{Deserialize, Serialize};

use crate::log::Snapshot;

/// After how many noted bytes those that nobody has any more are let go.
const SWEEP: usize = 8 << 20;

/// An old segment is kept for its payloads while a snapshot names this share of it: so a party has at
/// most so many times on the disk what it has in memory.
const WORTH: u64 = 4;

/// Where bytes begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Place {
    /// In this snapshot, after so many bytes that are not left out.
    Here(u64),
    /// In another segment, after so many bytes of its log.
    There(u64, u64),
}

impl Place {
    /// The other segment that it is in.
    pub(super) const fn segment(self) -> Option<u64> {
        match self {
            Self::Here(_) => None,
            Self::There(segment, _) => Some(segment),
        }
    }
}

/// What a snapshot leaves out, because it stands elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hole {
    /// How many bytes of the snapshot come before it.
    pub(super) at: u64,
    /// How many bytes are left out.
    pub(super) len: u64,
    /// Where they are.
    pub(super) place: Place,
}

/// Payloads that were written and are still in use, by their addresses.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    known: BTreeMap<usize, Body>,
    unswept: usize,
}

#[derive(Debug)]
struct Body {
    /// Holds the memory, so that its address means nothing else.
    bytes: Bytes,
    segment: u64,
    at: u64,
}

/// How a snapshot is written.
pub(super) struct Plan<'a> {
    pub(super) holes: Vec<Hole>,
    /// What is not left out.
    pub(super) parts: Vec<Part<'a>>,
}

impl Plan<'_> {
    /// The segments that it names.
    pub(super) fn segments(&self) -> BTreeSet<u64> {
        self.holes.iter().filter_map(|hole| hole.place.segment()).collect()
    }
}

impl Bodies {
    /// These bytes were written there.
    pub(super) fn note(&mut self, bytes: &Bytes, segment: u64, at: u64) {
        let body = Body { bytes: bytes.clone(), segment, at };
        self.known.entry(address(bytes)).or_insert(body);
        self.unswept += bytes.len();
        if self.unswept > SWEEP {
            self.unswept = 0;
            self.known.retain(|_, body| !body.bytes.is_unique());
        }
    }

    /// Where these bytes were written: the segment, and their place in its log.
    fn find(&self, bytes: &Bytes) -> Option<(u64, u64)> {
        let (begin, body) = self.known.range(..=address(bytes)).next_back()?;
        let skip = address(bytes) - begin;
        (skip + bytes.len() <= body.bytes.len()).then_some((body.segment, body.at + skip as u64))
    }

    /// How a snapshot is written after the segments of these lengths: a payload is named if its segment
    /// is worth keeping, and written once if not.
    pub(super) fn plan<'a>(
        &self,
        snapshot: &'a Snapshot,
        lengths: &BTreeMap<u64, u64>,
    ) -> Plan<'a> {
        let worth = self.worth(snapshot, lengths);
        let (mut holes, mut parts) = (Vec::new(), Vec::new());
        let mut here = BTreeMap::new();
        let (mut at, mut written) = (0, 0);
        for part in snapshot.parts() {
            let len = part.bytes().len() as u64;
            let place = match part {
                Part::Small(_) => None,
                Part::Large(bytes) => self
                    .find(bytes)
                    .filter(|(segment, _)| worth.contains(segment))
                    .map(|(segment, at)| Place::There(segment, at))
                    .or_else(|| here.get(&(address(bytes), len)).copied().map(Place::Here)),
            };
            if let Some(place) = place {
                holes.push(Hole { at, len, place });
            } else {
                if let Part::Large(bytes) = part {
                    here.insert((address(bytes), len), written);
                }
                parts.push(part);
                written += len;
            }
            at += len;
        }
        Plan { holes, parts }
    }

    /// The segments of which a snapshot names enough.
    fn worth(&self, snapshot: &Snapshot, lengths: &BTreeMap<u64, u64>) -> BTreeSet<u64> {
        let (mut named, mut seen) = (BTreeMap::<u64, u64>::new(), BTreeSet::new());
        for part in snapshot.parts() {
            if let Part::Large(bytes) = part
                && seen.insert((address(bytes), bytes.len()))
                && let Some((segment, _)) = self.find(bytes)
            {
                *named.entry(segment).or_default() += bytes.len() as u64;
            }
        }
        let enough = |(segment, bytes): &(u64, u64)| {
            lengths.get(segment).is_some_and(|length| bytes * WORTH >= *length)
        };
        named.into_iter().filter(enough).map(|(segment, _)| segment).collect()
    }

    /// Only what a snapshot has is worth knowing when it is written, and where it is now.
    pub(super) fn keep(&mut self, kept: &BTreeSet<u64>, snapshot: &Snapshot) {
        let mut old = Self { known: std::mem::take(&mut self.known), unswept: 0 };
        old.known.retain(|_, body| kept.contains(&body.segment));
        for part in snapshot.parts() {
            if let Part::Large(bytes) = part
                && let Some((segment, at)) = old.find(bytes)
            {
                self.note(bytes, segment, at);
            }
        }
    }
}

fn address(bytes: &Bytes) -> usize {
    bytes.as_ptr() as usize
}
