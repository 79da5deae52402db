//! What this member is going to vouch for, and what it has submitted.
//!
//! A ballot is submitted at once while few are in flight; what comes meanwhile shares the next one.
//! So one client alone never waits for a full batch, and a busy group orders few, full ballots.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::message::{Ballot, IDS_MAX};
use crate::{crypto::Digest, id::GroupId};

/// The most ballots of this member that may be in flight: one that is being ordered, one behind it.
pub(super) const IN_FLIGHT_MAX: usize = 2;

/// The most requests that wait to be vouched for: four full ballots. More are refused as busy.
pub(super) const QUEUE_MAX: usize = 4 * IDS_MAX;

/// The places of a ballot that requests leave to statements and ticks.
pub(super) const RESERVED: usize = IDS_MAX / 4;

/// The queue before the stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Feed {
    requests: VecDeque<Digest>,
    statements: VecDeque<Digest>,
    withdrawn: VecDeque<Digest>,
    acks: BTreeMap<GroupId, u64>,
    tick: Option<u64>,
    /// All ids that wait or are in flight.
    busy: BTreeSet<Digest>,
    in_flight: VecDeque<Ballot>,
    /// What was ordered and has not taken effect here yet: the stream says that a ballot is ordered
    /// before it delivers it, and a turn may be under way.
    ordered: VecDeque<Ballot>,
    settled: u64,
}

impl Feed {
    /// Whether a new request is to be refused.
    pub(super) fn is_full(&self) -> bool {
        self.requests.len() >= QUEUE_MAX
    }

    /// Whether the id waits or is in flight.
    pub(super) fn has(&self, id: &Digest) -> bool {
        self.busy.contains(id)
    }

    /// Whether this member vouches for the id already, though its state does not say so yet: it must
    /// keep the body, because the others that vouch may all be liars.
    pub(super) fn holds(&self, id: &Digest) -> bool {
        let vouches =
            |ballot: &Ballot| ballot.requests.contains(id) || ballot.statements.contains(id);
        self.has(id) || self.ordered.iter().any(vouches)
    }

    /// An own ballot took effect, and so did those before it, unless the stream gave them up.
    pub(super) fn took_effect(&mut self, ballot: &Ballot) {
        if let Some(place) = self.ordered.iter().position(|ordered| ordered == ballot) {
            self.ordered.drain(..=place);
        }
    }

    /// A state was loaded: it says what is vouched for.
    pub(super) fn resume(&mut self) {
        self.ordered.clear();
    }

    pub(super) fn request(&mut self, id: Digest) {
        if self.busy.insert(id) {
            self.requests.push_back(id);
        }
    }

    pub(super) fn statement(&mut self, id: Digest) {
        if self.busy.insert(id) {
            self.statements.push_back(id);
        }
    }

    pub(super) fn withdraw(&mut self, id: Digest) {
        if self.busy.insert(id) {
            self.withdrawn.push_back(id);
        }
    }

    pub(super) fn tick(&mut self, tick: u64) {
        self.tick = Some(tick);
    }

    pub(super) fn ack(&mut self, group: GroupId, ack: u64) {
        self.acks.insert(group, ack);
    }

    /// The next ballot, if one may be submitted. `eager`: for acknowledgements alone, too.
    pub(super) fn next(&mut self, eager: bool) -> Option<Ballot> {
        let quiet = self.requests.is_empty()
            && self.statements.is_empty()
            && self.withdrawn.is_empty()
            && self.tick.is_none();
        let acks = eager && !self.acks.is_empty();
        if self.in_flight.len() >= IN_FLIGHT_MAX || (quiet && !acks) {
            return None;
        }
        let mut ballot = Ballot {
            statements: take(&mut self.statements, RESERVED),
            withdrawn: take(&mut self.withdrawn, RESERVED),
            acks: std::mem::take(&mut self.acks).into_iter().collect(),
            tick: self.tick.take(),
            requests: Vec::new(),
        };
        let used = ballot.statements.len() + ballot.withdrawn.len();
        let free = IDS_MAX - used.max(RESERVED);
        ballot.requests = take(&mut self.requests, free);
        let left = IDS_MAX - used - ballot.requests.len();
        ballot.statements.extend(take(&mut self.statements, left));
        self.in_flight.push_back(ballot.clone());
        Some(ballot)
    }

    /// So many own ballots, since the beginning, were ordered or given up.
    pub(super) fn settled(&mut self, own: u64) {
        let count = own.saturating_sub(self.settled) as usize;
        self.settled = self.settled.max(own);
        for ballot in self.in_flight.drain(..count.min(self.in_flight.len())) {
            let ids = ballot.requests.iter().chain(&ballot.statements).chain(&ballot.withdrawn);
            for id in ids {
                self.busy.remove(id);
            }
            self.ordered.push_back(ballot);
        }
    }

    /// The stream refused the newest ballots: they wait again, in front.
    pub(super) fn refused(&mut self, count: u64) {
        for _ in 0..count {
            let Some(ballot) = self.in_flight.pop_back() else { return };
            ballot.requests.into_iter().rev().for_each(|id| self.requests.push_front(id));
            ballot.statements.into_iter().rev().for_each(|id| self.statements.push_front(id));
            ballot.withdrawn.into_iter().rev().for_each(|id| self.withdrawn.push_front(id));
            self.acks.extend(ballot.acks);
            self.tick = self.tick.max(ballot.tick);
        }
    }
}

fn take(queue: &mut VecDeque<Digest>, most: usize) -> Vec<Digest> {
    queue.drain(..most.min(queue.len())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> Digest {
        Digest::of("test", &number.to_le_bytes())
    }

    #[test]
    fn an_idle_feed_submits_at_once_and_a_busy_one_coalesces() {
        let mut feed = Feed::default();
        feed.request(id(0));
        assert_eq!(feed.next(false).map(|ballot| ballot.requests), Some(vec![id(0)]));
        feed.request(id(1));
        assert!(feed.next(false).is_some());
        (2..9).for_each(|number| feed.request(id(number)));
        assert_eq!(feed.next(false), None);
        feed.settled(1);
        let next = feed.next(false).expect("one place is free");
        assert_eq!(next.requests, (2..9).map(id).collect::<Vec<_>>());
        assert!(!feed.has(&id(0)) && feed.has(&id(2)));
    }

    #[test]
    fn a_flood_of_requests_leaves_a_quarter_to_statements() {
        let mut feed = Feed::default();
        (0..10_000).for_each(|number| feed.request(id(number)));
        (20_000..20_000 + 2 * RESERVED as u64).for_each(|number| feed.statement(id(number)));
        let ballot = feed.next(false).expect("nothing is in flight");
        assert_eq!(ballot.statements.len(), RESERVED);
        assert_eq!(ballot.requests.len(), IDS_MAX - RESERVED);
        assert!(feed.is_full());
    }

    #[test]
    fn what_the_stream_refused_comes_again_first() {
        let mut feed = Feed::default();
        feed.request(id(0));
        feed.tick(7);
        let first = feed.next(false).expect("nothing is in flight");
        feed.request(id(1));
        feed.refused(1);
        let again = feed.next(false).expect("nothing is in flight");
        assert_eq!((again.requests, again.tick), (vec![id(0), id(1)], first.tick));
    }

    #[test]
    fn what_was_ordered_is_held_until_it_took_effect() {
        let mut feed = Feed::default();
        let ballots = [0, 1].map(|number| {
            feed.request(id(number));
            feed.next(false).expect("two may be in flight")
        });
        feed.settled(2);
        assert!(!feed.has(&id(0)) && feed.holds(&id(0)) && feed.holds(&id(1)));
        feed.took_effect(&ballots[0]);
        assert!(!feed.holds(&id(0)) && feed.holds(&id(1)));
        feed.took_effect(&ballots[0]);
        assert!(feed.holds(&id(1)), "once");
        feed.resume();
        assert_eq!(feed, Feed { settled: 2, ..Feed::default() });
    }

    #[test]
    fn acknowledgements_ride_along() {
        let mut feed = Feed::default();
        feed.ack(GroupId::new(1), 4);
        assert_eq!(feed.next(false), None);
        assert_eq!(feed.next(true).map(|ballot| ballot.acks), Some(vec![(GroupId::new(1), 4)]));
    }
}
