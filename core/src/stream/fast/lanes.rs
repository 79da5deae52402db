//! The lanes: what each member submits, in numbered batches, chained by their names.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::{
    item::{Head, Item},
    own::IN_FLIGHT_MAX,
    resolve::Stored,
};
use crate::{
    crypto::Digest,
    id::PartyId,
    stream::batch::Batch,
    wire::limits::{BATCH_BYTES_MAX, BATCH_PAYLOADS_MAX},
};

/// How many batches of a lane may be stored and not ordered. A correct member has [`IN_FLIGHT_MAX`]
/// under way; the rest is for those who order more slowly than it: what does not fit they must ask
/// for, so it is as many as come in the second that a pause may last.
pub(super) const LANE_WINDOW: u64 = 256;

/// How many bytes of a lane may be stored and not ordered: what a correct member has under way at most.
pub(super) const LANE_BYTES_MAX: usize =
    IN_FLIGHT_MAX * (BATCH_BYTES_MAX + 4 * BATCH_PAYLOADS_MAX + 128);

/// Over how many items a lane counts as one that its owner uses, so that members agree about how many
/// they are, and not only while a batch is under way.
const RECENT: u64 = 16;

/// For how many items a lane is doubted, the first time: batches of its own a liar makes as fast as it
/// likes.
const DOUBT: u64 = 1_024;

/// How often the doubt doubles at most.
const DOUBLED_MAX: u32 = 32;

/// One batch of a lane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    chain: Digest,
    batch: Batch,
}

/// One lane at one member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Lane {
    /// How far items order it.
    ordered: Head,
    /// What is before the first entry.
    before: Head,
    /// What is kept of what is ordered, then what its owner sent.
    entries: VecDeque<Entry>,
    /// What its owner sent beyond a gap.
    ahead: BTreeMap<u64, Batch>,
    /// How far each member stores it.
    claims: BTreeMap<PartyId, Head>,
    /// Whether its owner sent something for which there was no room.
    missed: bool,
    /// Bytes of what is not ordered.
    weight: usize,
    /// Up to here it is not waited for: the last epoch was closed without it.
    pub(super) forsaken: u64,
    /// Up to here a leader does not trust its owner to show batches to all.
    doubted: u64,
    /// How often it was doubted.
    doubts: u32,
    lie: Lie,
    /// How many items were ordered, in any lane.
    items: u64,
    /// The last of them that moved it.
    moved: u64,
}

/// What shows that the owner of a lane gave others another batch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Lie {
    /// Others that say to store what is not stored here.
    deniers: BTreeSet<PartyId>,
    /// Whether it was told.
    told: bool,
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            ordered: Head::start(),
            before: Head::start(),
            entries: VecDeque::new(),
            ahead: BTreeMap::new(),
            claims: BTreeMap::new(),
            missed: false,
            weight: 0,
            forsaken: 0,
            doubted: 0,
            doubts: 0,
            lie: Lie::default(),
            items: 0,
            moved: 0,
        }
    }
}

impl Lane {
    pub(super) fn ordered(&self) -> Head {
        self.ordered
    }

    /// How far its owner's batches are stored.
    pub(super) fn top(&self) -> Head {
        let seq = self.before.seq + self.entries.len() as u64;
        self.entries.back().map_or(self.before, |entry| Head { seq, chain: entry.chain })
    }

    /// Whether something of it is stored that is not ordered, and worth waiting for: `needed` members
    /// store it, this one included, and its owner not counted. What its owner shows to few makes
    /// nobody impatient.
    pub(super) fn waits(&self, me: PartyId, owner: PartyId, needed: usize) -> bool {
        let due = self.ordered.seq.max(self.forsaken);
        let others = self.claims.iter().filter(|(party, _)| **party != me && **party != owner);
        let same = others
            .filter(|(_, claim)| claim.seq > due && self.chain_at(claim.seq) == Some(claim.chain));
        self.top().seq > due && same.take(needed - 1).count() + 1 >= needed
    }

    /// Its owner did not show to all what it showed to a leader, or the leader lied; or it gave members
    /// different batches.
    pub(super) fn doubt(&mut self) {
        self.doubted = self.items + (DOUBT << self.doubts);
        self.doubts = (self.doubts + 1).min(DOUBLED_MAX);
    }

    /// Whether its owner is not trusted to show batches to all.
    pub(super) fn is_doubted(&self) -> bool {
        self.items < self.doubted
    }

    /// Batches up to here are not kept.
    pub(super) fn before(&self) -> Head {
        self.before
    }

    fn chain_at(&self, seq: u64) -> Option<Digest> {
        if seq == self.before.seq {
            return Some(self.before.chain);
        }
        let place = seq.checked_sub(self.before.seq + 1)?;
        self.entries.get(usize::try_from(place).ok()?).map(|entry| entry.chain)
    }

    /// Takes a batch of its owner. Tells whether it was new and is kept.
    pub(super) fn take(&mut self, seq: u64, batch: Batch) -> bool {
        let top = self.top().seq;
        let fits = self.weight + batch.weight() <= LANE_BYTES_MAX;
        if seq <= top {
            return false;
        }
        if seq > self.ordered.seq + LANE_WINDOW || !fits {
            self.missed = true;
            return false;
        }
        self.weight += batch.weight();
        if let Some(old) = self.ahead.insert(seq, batch) {
            self.weight -= old.weight();
        }
        self.link();
        true
    }

    /// Links what came beyond a gap that is closed.
    fn link(&mut self) {
        while let Some(batch) = self.ahead.remove(&(self.top().seq + 1)) {
            let chain = self.top().then(&batch.digest()).chain;
            self.entries.push_back(Entry { chain, batch });
        }
    }

    /// Whether batches beyond a gap are here.
    pub(super) fn has_gap(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// Whether something had no room that has it now. Tells that once.
    pub(super) fn has_missed(&mut self) -> bool {
        let few = self.top().seq.saturating_sub(self.ordered.seq) <= LANE_WINDOW / 2;
        let room = few && self.weight <= LANE_BYTES_MAX / 2;
        room && std::mem::take(&mut self.missed)
    }

    /// How far `from` stores it.
    pub(super) fn claim(&mut self, from: PartyId, head: Head) {
        let claim = self.claims.entry(from).or_insert(head);
        if head.seq > claim.seq {
            *claim = head;
        }
    }

    /// Whether `from` stores something else there. If `needed` members other than the owner do, one of
    /// them is correct, and so is this one: the owner gave them different batches. Tells that once: the
    /// two chains, this member's first.
    pub(super) fn denied(
        &mut self,
        from: PartyId,
        head: Head,
        needed: usize,
    ) -> Option<(Digest, Digest)> {
        let here = self.other_at(head)?;
        self.lie.deniers.insert(from);
        let enough = self.lie.deniers.len() >= needed;
        (enough && self.told_lie()).then_some((here, head.chain))
    }

    /// What its owner sent here in place of what leads to this head: that will not come from it.
    pub(super) fn other_at(&self, head: Head) -> Option<Digest> {
        self.chain_at(head.seq).filter(|chain| *chain != head.chain)
    }

    /// Whether it is told for the first time that its owner lies. It is doubted each time.
    fn told_lie(&mut self) -> bool {
        if !self.is_doubted() {
            self.doubt();
        }
        !std::mem::replace(&mut self.lie.told, true)
    }

    /// How many others say to store more than is here.
    pub(super) fn claims_above(&self) -> usize {
        let top = self.top().seq;
        self.claims.values().filter(|claim| claim.seq > top).count()
    }

    /// How far `needed` members, this one included, store what is stored here.
    pub(super) fn confirmed(&self, me: PartyId, needed: usize) -> Head {
        let same = |(_, claim): &(&PartyId, &Head)| self.chain_at(claim.seq) == Some(claim.chain);
        let others = self.claims.iter().filter(|(party, _)| **party != me);
        let mut seqs: Vec<u64> = others.filter(same).map(|(_, claim)| claim.seq).collect();
        seqs.push(self.top().seq);
        seqs.sort_unstable_by(|a, b| b.cmp(a));
        let seq = seqs.get(needed - 1).copied().unwrap_or(0).max(self.ordered.seq);
        self.chain_at(seq).map_or(self.ordered, |chain| Head { seq, chain })
    }

    /// Whether the batches after one head up to another are here.
    pub(super) fn has(&self, after: Head, to: Head) -> bool {
        after.seq < to.seq
            && self.chain_at(after.seq) == Some(after.chain)
            && self.chain_at(to.seq) == Some(to.chain)
    }

    /// How many payloads there are after one head up to another, both of which are here.
    pub(super) fn payloads(&self, after: Head, to: Head) -> u64 {
        let skip = after.seq.saturating_sub(self.before.seq) as usize;
        let count = to.seq.saturating_sub(after.seq) as usize;
        self.entries.iter().skip(skip).take(count).map(|entry| entry.batch.len() as u64).sum()
    }

    /// The batches after one head up to another, if they are here.
    pub(super) fn segment(&self, after: Head, to: Head) -> Option<Vec<Batch>> {
        let here = self.has(after, to);
        let skip = usize::try_from(after.seq.checked_sub(self.before.seq)?).ok()?;
        let count = usize::try_from(to.seq.checked_sub(after.seq)?).ok()?;
        here.then(|| {
            self.entries.iter().skip(skip).take(count).map(|entry| entry.batch.clone()).collect()
        })
    }

    /// Items order these batches now, which lead from what was ordered to `to`. Tells the first time that
    /// its owner had sent others: a correct member has these from it, too.
    fn order(&mut self, to: Head, batches: &[Batch]) -> Option<(Digest, Digest)> {
        let here = self.other_at(to);
        if self.chain_at(to.seq) != Some(to.chain) {
            self.cut_back(self.ordered);
            let mut head = self.ordered;
            for batch in batches {
                head = head.then(&batch.digest());
                self.entries.push_back(Entry { chain: head.chain, batch: batch.clone() });
            }
            self.ahead.retain(|seq, _| *seq > to.seq);
            self.link();
        }
        self.ordered = to;
        self.weigh();
        here.filter(|_| self.told_lie()).map(|here| (here, to.chain))
    }

    /// Goes on from a head that a checkpoint covers.
    pub(super) fn jump(&mut self, to: Head) {
        if self.chain_at(to.seq) != Some(to.chain) {
            self.entries.clear();
            self.before = to;
            self.ahead.retain(|seq, _| *seq > to.seq);
            self.link();
        }
        self.ordered = to;
        self.trim(to.seq);
        self.weigh();
    }

    /// Forgets what comes after `head`.
    fn cut_back(&mut self, head: Head) {
        self.entries.truncate(head.seq.saturating_sub(self.before.seq) as usize);
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

    /// What this member says of it when it leaves an epoch.
    pub(super) fn stored(&self) -> Stored {
        let skip = self.ordered.seq.saturating_sub(self.before.seq) as usize;
        let above = self.entries.iter().skip(skip).map(|entry| entry.chain);
        let chains = std::iter::once(self.ordered.chain).chain(above).collect();
        Stored { from: self.ordered.seq, chains }
    }

    /// Its batches from `seq` on.
    pub(super) fn from(&self, seq: u64) -> impl Iterator<Item = (u64, Batch)> + '_ {
        let all = (self.before.seq + 1..).zip(&self.entries);
        all.filter(move |(at, _)| *at >= seq).map(|(at, entry)| (at, entry.batch.clone()))
    }
}

/// All lanes of a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Lanes {
    all: Vec<Lane>,
    /// What this member said that it stores.
    said: BTreeMap<PartyId, u64>,
    /// Bytes of what is ordered and kept.
    pub(super) kept: usize,
}

impl Lanes {
    pub(super) fn new(n: u16) -> Self {
        let all = (0..n).map(|_| Lane::default()).collect();
        Self { all, said: BTreeMap::new(), kept: 0 }
    }

    pub(super) fn of(&self, party: PartyId) -> &Lane {
        &self.all[party.index()]
    }

    pub(super) fn of_mut(&mut self, party: PartyId) -> &mut Lane {
        &mut self.all[party.index()]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (PartyId, &Lane)> {
        (0..).map(PartyId::new).zip(&self.all)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (PartyId, &mut Lane)> {
        (0..).map(PartyId::new).zip(&mut self.all)
    }

    /// How far each is ordered.
    pub(super) fn heads(&self) -> Vec<Head> {
        self.all.iter().map(Lane::ordered).collect()
    }

    /// Applies an item whose batches are these. Tells who had sent this member others, and both chains.
    pub(super) fn order(
        &mut self,
        item: &Item,
        batches: &[Vec<Batch>],
    ) -> Vec<(PartyId, (Digest, Digest))> {
        let mut lies = Vec::new();
        self.all.iter_mut().for_each(|lane| lane.items += 1);
        for ((lane, to), batches) in item.heads.iter().zip(batches) {
            self.kept += batches.iter().map(Batch::weight).sum::<usize>();
            self.of_mut(*lane).moved = self.of(*lane).items;
            lies.extend(self.of_mut(*lane).order(*to, batches).map(|lie| (*lane, lie)));
        }
        lies
    }

    /// How many members send batches, this one included.
    pub(super) fn senders(&self, me: PartyId) -> usize {
        let sends = |(lane, it): &(PartyId, &Lane)| {
            *lane == me || it.top().seq > it.ordered.seq || it.moved + RECENT > it.items
        };
        self.iter().filter(sends).count()
    }

    /// Forgets what an item ordered.
    pub(super) fn trim(&mut self, item: &Item) {
        for (lane, head) in &item.heads {
            let freed = self.of_mut(*lane).trim(head.seq);
            self.kept = self.kept.saturating_sub(freed);
        }
    }

    /// Whether more of lanes of others is stored than was said.
    pub(super) fn has_news(&self, me: PartyId) -> bool {
        !self.news(me).is_empty()
    }

    /// The lanes of others of which more is stored than was said.
    pub(super) fn news(&self, me: PartyId) -> Vec<(PartyId, Head)> {
        let said = |lane: &PartyId| self.said.get(lane).copied().unwrap_or(0);
        let others = self.iter().filter(|(lane, _)| *lane != me);
        let tops = others.map(|(lane, it)| (lane, it.top(), it.ordered.seq));
        tops.filter(|(lane, top, ordered)| top.seq > said(lane).max(*ordered))
            .map(|(lane, top, _)| (lane, top))
            .collect()
    }

    /// These heads were said.
    pub(super) fn said(&mut self, heads: &[(PartyId, Head)]) {
        self.said.extend(heads.iter().map(|(lane, head)| (*lane, head.seq)));
    }

    /// Nothing counts as said any more.
    pub(super) fn unsay(&mut self) {
        self.said.clear();
    }
}
