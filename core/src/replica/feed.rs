//! What this member is going to vouch for, and what it has submitted.
//!
//! A ballot is submitted at once while few are in flight; what comes meanwhile shares the next one.
//! So one client alone never waits for a full batch, and a busy group orders few, full ballots.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::{
    message::{Ballot, IDS_MAX},
    queue::Queue,
};
use crate::{
    crypto::Digest,
    id::{ClientId, GroupId},
};

/// The most ballots of this member that may be in flight: one that is being ordered, one behind it.
pub(super) const IN_FLIGHT_MAX: usize = 2;

/// The most ballots that are ordered and not counted: a member that executes so slowly vouches no more
/// until it went on. All of them are counted, or covered by a state that is loaded.
pub(super) const ORDERED_MAX: usize = 64;

/// The places of a ballot that requests leave to statements and ticks.
pub(super) const RESERVED: usize = IDS_MAX / 4;

/// The queue before the stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Feed {
    requests: Queue,
    statements: VecDeque<Digest>,
    withdrawn: VecDeque<Digest>,
    acks: BTreeMap<GroupId, u64>,
    tick: Option<u64>,
    /// All ids that wait, are in flight, or are ordered and not counted here.
    busy: BTreeSet<Digest>,
    in_flight: VecDeque<Ballot>,
    /// Ballots that the stream has ordered, and this member has not counted.
    ordered: VecDeque<Ballot>,
    settled: u64,
    /// The number of the last ballot.
    number: u64,
}

impl Feed {
    /// Whether a new request of this client is to be refused.
    pub(super) fn is_full(&self, client: ClientId, named: bool) -> bool {
        self.requests.is_full(client, named)
    }

    /// Whether the id waits or is in a ballot that may yet be counted: its body must be kept.
    pub(super) fn has(&self, id: &Digest) -> bool {
        self.busy.contains(id)
    }

    pub(super) fn request(&mut self, id: Digest, client: ClientId) {
        if self.busy.insert(id) {
            self.requests.push(id, client);
        }
    }

    /// A request for which others are to vouch first.
    pub(super) fn spare(&mut self, id: Digest, client: ClientId) {
        if self.busy.insert(id) {
            self.requests.spare(id, client);
        }
    }

    /// Whether others are to vouch first for any request.
    pub(super) fn has_spare(&self) -> bool {
        self.requests.has_spare()
    }

    /// This request took effect: nobody else needs to vouch for it.
    pub(super) fn took_effect(&mut self, id: &Digest) {
        if self.requests.drop_spare(id) {
            self.busy.remove(id);
        }
    }

    /// A while passed. The requests for which others had all of it wait for a vouch of this member now.
    pub(super) fn hurry(&mut self) -> Vec<Digest> {
        self.requests.hurry()
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

    /// Takes out of the queue what is not worth a vouch any more.
    pub(super) fn retain(&mut self, worth: impl Fn(&Digest) -> bool) -> Vec<Digest> {
        if self.is_blocked() {
            return Vec::new();
        }
        // What does not fit into the next ballot is looked at before a later one.
        let mut gone = self.requests.retain(&worth);
        let (first, rest) = (take(&mut self.statements, IDS_MAX), &mut self.statements);
        let (kept, not): (Vec<_>, Vec<_>) = first.into_iter().partition(&worth);
        kept.into_iter().rev().for_each(|id| rest.push_front(id));
        gone.extend(not);
        for id in &gone {
            self.busy.remove(id);
        }
        gone
    }

    /// Whether no ballot may be submitted now.
    fn is_blocked(&self) -> bool {
        self.in_flight.len() >= IN_FLIGHT_MAX || self.ordered.len() >= ORDERED_MAX
    }

    /// The next ballot, if one may be submitted. `eager`: for acknowledgements alone, too.
    pub(super) fn next(&mut self, eager: bool) -> Option<Ballot> {
        let quiet = self.requests.is_empty()
            && self.statements.is_empty()
            && self.withdrawn.is_empty()
            && self.tick.is_none();
        let acks = eager && !self.acks.is_empty();
        if self.is_blocked() || (quiet && !acks) {
            return None;
        }
        self.number += 1;
        let mut ballot = Ballot {
            number: self.number,
            statements: take(&mut self.statements, RESERVED),
            withdrawn: take(&mut self.withdrawn, RESERVED),
            acks: std::mem::take(&mut self.acks).into_iter().collect(),
            tick: self.tick.take(),
            requests: Vec::new(),
        };
        let used = ballot.statements.len() + ballot.withdrawn.len();
        let free = IDS_MAX - used.max(RESERVED);
        ballot.requests = self.requests.take(free);
        let left = IDS_MAX - used - ballot.requests.len();
        ballot.statements.extend(take(&mut self.statements, left));
        self.in_flight.push_back(ballot.clone());
        Some(ballot)
    }

    /// So many own ballots, since the beginning, were ordered or given up.
    pub(super) fn settled(&mut self, own: u64) {
        let count = own.saturating_sub(self.settled) as usize;
        self.settled = self.settled.max(own);
        self.ordered.extend(self.in_flight.drain(..count.min(self.in_flight.len())));
    }

    /// The state counts the own ballots up to this number: where they vouch shows in it.
    pub(super) fn counted(&mut self, number: u64) {
        while let Some(ballot) = self.ordered.pop_front_if(|ballot| ballot.number <= number) {
            self.release(&ballot);
        }
    }

    /// This own ballot will not be counted any more, if it is not by now.
    pub(super) fn release(&mut self, ballot: &Ballot) {
        self.ordered.retain(|kept| kept.number != ballot.number);
        let ids = ballot.requests.iter().chain(&ballot.statements).chain(&ballot.withdrawn);
        for id in ids {
            self.busy.remove(id);
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

    fn client() -> ClientId {
        ClientId::of_key(&id(0))
    }

    #[test]
    fn an_idle_feed_submits_at_once_and_a_busy_one_coalesces() {
        let mut feed = Feed::default();
        feed.request(id(0), client());
        assert_eq!(feed.next(false).map(|ballot| ballot.requests), Some(vec![id(0)]));
        feed.request(id(1), client());
        assert!(feed.next(false).is_some());
        (2..9).for_each(|number| feed.request(id(number), client()));
        assert_eq!(feed.next(false), None);
        feed.settled(1);
        assert!(feed.has(&id(0)), "it is ordered, but not counted");
        feed.counted(1);
        let next = feed.next(false).expect("one place is free");
        assert_eq!(next.requests, (2..9).map(id).collect::<Vec<_>>());
        assert!(!feed.has(&id(0)) && feed.has(&id(2)));
    }

    #[test]
    fn a_flood_of_requests_leaves_a_quarter_to_statements() {
        let mut feed = Feed::default();
        (0..10_000).for_each(|number| feed.request(id(number), client()));
        (20_000..20_000 + 2 * RESERVED as u64).for_each(|number| feed.statement(id(number)));
        let ballot = feed.next(false).expect("nothing is in flight");
        assert_eq!(ballot.statements.len(), RESERVED);
        assert_eq!(ballot.requests.len(), IDS_MAX - RESERVED);
        assert!(feed.is_full(client(), false));
    }

    #[test]
    fn a_quiet_client_is_in_the_next_ballot_whatever_another_has_said_before() {
        let mut feed = Feed::default();
        let (quiet, mut count) = (ClientId::of_key(&id(1)), 0);
        let mut flood = |feed: &mut Feed| {
            while !feed.is_full(client(), false) {
                count += 1;
                feed.request(id(count), client());
            }
        };
        flood(&mut feed);
        for turn in 0..20 {
            assert!(!feed.is_full(quiet, false), "there is room for others");
            let asked = id(1_000_000 + turn);
            feed.request(asked, quiet);
            // What did not fit was looked at.
            assert_eq!(feed.retain(|_| true), []);
            let ballot = feed.next(false).expect("few are in flight");
            assert!(ballot.requests.contains(&asked), "turn {turn}");
            feed.settled(turn + 1);
            feed.counted(ballot.number);
            flood(&mut feed);
        }
    }

    #[test]
    fn what_the_stream_refused_comes_again_first() {
        let mut feed = Feed::default();
        feed.request(id(0), client());
        feed.tick(7);
        let first = feed.next(false).expect("nothing is in flight");
        feed.request(id(1), client());
        feed.refused(1);
        let again = feed.next(false).expect("nothing is in flight");
        assert_eq!((again.requests, again.tick), (vec![id(0), id(1)], first.tick));
    }

    #[test]
    fn what_was_ordered_is_held_until_it_is_counted() {
        let mut feed = Feed::default();
        let ballots = [0, 1].map(|number| {
            feed.request(id(number), client());
            feed.next(false).expect("two may be in flight")
        });
        feed.settled(2);
        assert!(feed.has(&id(0)) && feed.has(&id(1)));
        feed.counted(1);
        assert!(!feed.has(&id(0)) && feed.has(&id(1)));
        feed.release(&ballots[1]);
        assert_eq!(feed, Feed { settled: 2, number: 2, ..Feed::default() });
    }

    #[test]
    fn acknowledgements_ride_along() {
        let mut feed = Feed::default();
        feed.ack(GroupId::new(1), 4);
        assert_eq!(feed.next(false), None);
        assert_eq!(feed.next(true).map(|ballot| ballot.acks), Some(vec![(GroupId::new(1), 4)]));
    }
}
