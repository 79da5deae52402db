//! One lane: what one member submits, in numbered batches, chained by their names.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::own::{UNDER_WAY_BYTES_MAX, UNDER_WAY_MAX};
use crate::{crypto::Digest, stream::batch::Batch, stream::fast::Head};

/// How many batches of a lane may be stored and not ordered: twice what a correct member has under way,
/// for those who order more slowly than it.
pub(super) const LANE_WINDOW: u64 = 2 * UNDER_WAY_MAX as u64;

/// How many bytes of a lane may be stored and not ordered, for the same reason.
pub(super) const LANE_BYTES_MAX: usize = 2 * UNDER_WAY_BYTES_MAX;

/// One batch of a lane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    chain: Digest,
    batch: Batch,
}

/// A batch of a lane, and the head that it leads to.
pub(super) type Link = (Head, Batch);

/// One lane at one member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Lane {
    /// How far it is ordered.
    ordered: Head,
    /// What is before the first entry.
    before: Head,
    /// What is kept of what is ordered, then what is stored above.
    entries: VecDeque<Entry>,
    /// What its owner sent beyond a gap.
    ahead: BTreeMap<u64, Batch>,
    /// Bytes of what is not ordered.
    weight: usize,
    /// Whether a batch of its owner found no room.
    refused: bool,
    /// Its owner wants a signature up to here.
    pub(super) asked: u64,
    /// Up to here this member signed.
    pub(super) signed: u64,
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            ordered: Head::start(),
            before: Head::start(),
            entries: VecDeque::new(),
            ahead: BTreeMap::new(),
            weight: 0,
            refused: false,
            asked: 0,
            signed: 0,
        }
    }
}

impl Lane {
    pub(super) fn ordered(&self) -> Head {
        self.ordered
    }

    /// How far it is stored.
    pub(super) fn top(&self) -> Head {
        let seq = self.before.seq + self.entries.len() as u64;
        self.entries.back().map_or(self.before, |entry| Head { seq, chain: entry.chain })
    }

    /// The head with this number, if the batches up to it are stored, or were.
    pub(super) fn at(&self, seq: u64) -> Option<Head> {
        if seq == self.before.seq {
            return Some(self.before);
        }
        let place = usize::try_from(seq.checked_sub(self.before.seq + 1)?).ok()?;
        self.entries.get(place).map(|entry| Head { seq, chain: entry.chain })
    }

    /// How far it is stored below `head`: beyond that, what is stored is of no use to whoever wants the
    /// batches that lead there.
    pub(super) fn below(&self, head: Head) -> Head {
        let top = self.top();
        if top.seq < head.seq { top } else { self.ordered }
    }

    /// Whether the batch that leads to this head is stored.
    pub(super) fn stores(&self, head: Head) -> bool {
        head.seq > self.before.seq && self.at(head.seq) == Some(head)
    }

    /// Batches up to this number are not kept.
    pub(super) fn kept_from(&self) -> u64 {
        self.before.seq
    }

    /// Takes a batch of its owner, if there is room for it.
    pub(super) fn take(&mut self, seq: u64, batch: Batch) {
        if seq <= self.top().seq || self.ahead.contains_key(&seq) {
            return;
        }
        let near = seq <= self.ordered.seq + LANE_WINDOW;
        if !near || self.weight + batch.weight() > LANE_BYTES_MAX {
            self.refused = true;
            return;
        }
        self.weight += batch.weight();
        self.ahead.insert(seq, batch);
        self.link();
    }

    /// Links what came beyond a gap that is closed.
    fn link(&mut self) {
        while let Some(batch) = self.ahead.remove(&(self.top().seq + 1)) {
            let chain = self.top().then(&batch.digest()).chain;
            self.entries.push_back(Entry { chain, batch });
        }
    }

    /// Whether a batch was refused, since this was asked last.
    pub(super) fn lost_some(&mut self) -> bool {
        std::mem::take(&mut self.refused)
    }

    /// The batches after what is ordered up to a head that is stored.
    pub(super) fn due(&self, to: Head) -> impl Iterator<Item = &Batch> {
        let skip = self.ordered.seq.saturating_sub(self.before.seq) as usize;
        let count = to.seq.saturating_sub(self.ordered.seq) as usize;
        self.entries.iter().skip(skip).take(count).map(|entry| &entry.batch)
    }

    /// It is ordered up to a head that is stored. Tells how many bytes that were.
    pub(super) fn order(&mut self, to: Head) -> usize {
        let weight = self.due(to).map(Batch::weight).sum();
        self.ordered = to;
        self.weigh();
        weight
    }

    /// Forgets what it stores beyond what is ordered.
    pub(super) fn cut_back(&mut self) {
        self.truncate(self.ordered);
        self.weigh();
    }

    fn truncate(&mut self, head: Head) {
        self.entries.truncate(head.seq.saturating_sub(self.before.seq) as usize);
    }

    /// Stores the batches that follow a head that it has, in the place of what it has after that.
    pub(super) fn splice(&mut self, after: Head, links: impl IntoIterator<Item = Link>) {
        self.truncate(after);
        self.entries
            .extend(links.into_iter().map(|(head, batch)| Entry { chain: head.chain, batch }));
        let top = self.top().seq;
        self.ahead.retain(|seq, _| *seq > top);
        self.link();
        self.weigh();
    }

    /// Goes on from a head that a checkpoint covers.
    pub(super) fn jump(&mut self, to: Head) {
        if self.at(to.seq) != Some(to) {
            self.entries.clear();
            self.before = to;
            self.ahead.retain(|seq, _| *seq > to.seq);
            self.link();
        }
        self.ordered = to;
        self.trim(to.seq);
        self.weigh();
    }

    fn weigh(&mut self) {
        let ordered = self.ordered.seq.saturating_sub(self.before.seq) as usize;
        let stored = self.entries.iter().skip(ordered).map(|entry| entry.batch.weight());
        let ahead = self.ahead.values().map(Batch::weight);
        self.weight = stored.chain(ahead).sum();
    }

    /// Forgets what is ordered up to `seq`. Tells how many bytes that were.
    pub(super) fn trim(&mut self, seq: u64) -> usize {
        let mut freed = 0;
        while self.before.seq < seq.min(self.ordered.seq)
            && let Some(entry) = self.entries.pop_front()
        {
            freed += entry.batch.weight();
            self.before = Head { seq: self.before.seq + 1, chain: entry.chain };
        }
        freed
    }

    /// The batches that lead from `after` to `to`, the last one first, each with the head before it.
    /// Nothing if they are not all here.
    pub(super) fn back_from(&self, to: Head, after: u64) -> Option<Vec<Link>> {
        if !self.stores(to) || after < self.before.seq {
            return None;
        }
        let batch = |seq: u64| self.entries[(seq - self.before.seq - 1) as usize].batch.clone();
        let link = |seq: u64| Some((self.at(seq - 1)?, batch(seq)));
        (after + 1..=to.seq).rev().map(link).collect()
    }

    /// Its batches after `seq`.
    pub(super) fn after(&self, seq: u64) -> impl Iterator<Item = (u64, &Batch)> {
        let all = (self.before.seq + 1..).zip(&self.entries);
        all.filter(move |(at, _)| *at > seq).map(|(at, entry)| (at, &entry.batch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(what: &str) -> Batch {
        Batch::of([what])
    }

    fn chain_of(what: &[&str]) -> Head {
        what.iter().fold(Head::start(), |head, what| head.then(&batch(what).digest()))
    }

    #[test]
    fn a_gap_is_closed_by_what_was_missing() {
        let mut lane = Lane::default();
        lane.take(2, batch("b"));
        assert_eq!(lane.top(), Head::start());
        lane.take(1, batch("a"));
        lane.take(1, batch("another"));
        assert_eq!(lane.top(), chain_of(&["a", "b"]));
        assert!(lane.stores(chain_of(&["a"])) && !lane.stores(chain_of(&["b"])));
        assert_eq!(lane.weight, 2 * batch("a").weight());
    }

    #[test]
    fn what_has_no_room_is_refused_and_known_to_be() {
        let mut lane = Lane::default();
        lane.take(LANE_WINDOW + 1, batch("far"));
        assert!(lane.lost_some() && !lane.lost_some());
        let large = Batch::of(vec![vec![0; 1 << 20]; 4]);
        (1..=8).for_each(|seq| lane.take(seq, large.clone()));
        assert!(lane.weight <= LANE_BYTES_MAX && lane.lost_some());
        let stored = lane.top();
        lane.order(stored);
        assert_eq!(lane.weight, 0, "what is ordered takes no room");
        lane.take(stored.seq + 1, large);
        assert!(!lane.lost_some());
    }

    #[test]
    fn what_others_sent_takes_the_place_of_what_the_owner_told() {
        let mut lane = Lane::default();
        for (seq, what) in [(1, "a"), (2, "lie"), (3, "x"), (5, "e")] {
            lane.take(seq, batch(what));
        }
        let heads = [&["a"][..], &["a", "b"], &["a", "b", "c"], &["a", "b", "c", "d"]];
        let link = |place: usize, what| (chain_of(heads[place]), batch(what));
        lane.splice(chain_of(heads[0]), [link(1, "b"), link(2, "c"), link(3, "d")]);
        assert_eq!(lane.top(), chain_of(&["a", "b", "c", "d", "e"]));
        let due: Vec<_> = lane.due(chain_of(heads[1])).cloned().collect();
        assert_eq!(due, [batch("a"), batch("b")]);
        lane.order(chain_of(heads[1]));
        lane.cut_back();
        assert_eq!((lane.top(), lane.weight), (chain_of(heads[1]), 0));
    }

    #[test]
    fn batches_are_told_backwards_while_they_are_kept() {
        let mut lane = Lane::default();
        for (seq, what) in [(1, "a"), (2, "b"), (3, "c")] {
            lane.take(seq, batch(what));
        }
        let to = chain_of(&["a", "b", "c"]);
        let expected = [(chain_of(&["a", "b"]), batch("c")), (chain_of(&["a"]), batch("b"))];
        assert_eq!(lane.back_from(to, 1).unwrap(), expected);
        lane.order(chain_of(&["a", "b"]));
        assert_eq!(lane.trim(3), 2 * batch("a").weight(), "what is not ordered stays");
        assert_eq!(lane.back_from(to, 1), None);
        assert_eq!(lane.back_from(to, 2).unwrap().len(), 1);
        assert_eq!(lane.back_from(chain_of(&["a", "b"]), 2), None, "it is not kept");
    }

    #[test]
    fn a_checkpoint_moves_it_on() {
        let mut lane = Lane::default();
        lane.take(1, batch("a"));
        lane.take(4, batch("d"));
        lane.jump(chain_of(&["a", "b", "c"]));
        assert_eq!(lane.ordered(), chain_of(&["a", "b", "c"]));
        assert_eq!(lane.top(), chain_of(&["a", "b", "c", "d"]));
        assert_eq!(lane.weight, batch("d").weight());
    }
}
