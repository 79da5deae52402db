//! The fast lane: cuts of the leader, two binds, delivery.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{
    Fast,
    item::{Head, Item, Memo},
    lanes::LANE_WINDOW,
    message::{Message, Phase},
    resolve::Claim,
};
use crate::{
    crypto::Digest,
    effects::Effects,
    fault::Fault,
    id::{PartyId, Round},
    stream::{
        atomic::{Output, Position},
        batch::Batch,
    },
    tally::{Tally, Vote},
    wire,
};

/// How many places a member may bind beyond what `n - f` members have delivered. It bounds what a
/// member says when it leaves, and leaves room for members that are a little slower.
pub(super) const WINDOW: u64 = 64;

/// One place of an epoch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// The leader's cut.
    pub(super) cut: Option<Digest>,
    /// What this member bound itself to.
    pub(super) bound: Option<Digest>,
    /// Whether it said the second bind, too.
    pub(super) prepared: bool,
    /// The first binds.
    pub(super) ones: Tally<Digest>,
    /// The second binds.
    pub(super) twos: Tally<Digest>,
}

/// What is under way in an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Cuts {
    /// Places above the base.
    pub(super) marks: BTreeMap<Round, Mark>,
    /// Items that are not delivered, by place and chain.
    pub(super) items: BTreeMap<Round, BTreeMap<Digest, Item>>,
    /// What is known to be ordered at places that are not delivered.
    pub(super) targets: BTreeMap<Round, Digest>,
    /// Up to here this member, as the leader, has cut.
    pub(super) issued: Round,
    /// The last place that each member bound itself to, whether that is kept or not.
    bound: BTreeMap<PartyId, Round>,
    /// How many payloads it has cut beyond those that it cut together.
    pub(super) odd: u64,
    /// What is said of the epoch begins here.
    base: Round,
    /// The chains from the base up to what is delivered.
    trail: VecDeque<Digest>,
}

impl Cuts {
    /// Nothing is under way at this place.
    pub(super) fn at(place: Round, chain: Digest) -> Self {
        Self {
            marks: BTreeMap::new(),
            items: BTreeMap::new(),
            targets: BTreeMap::new(),
            bound: BTreeMap::new(),
            issued: place,
            odd: 0,
            base: place,
            trail: VecDeque::from([chain]),
        }
    }

    pub(super) fn base(&self) -> Round {
        self.base
    }

    /// `n - f` members have delivered up to `low`.
    pub(super) fn raise_base(&mut self, low: Round) {
        while self.base < low && self.trail.len() > 1 {
            self.trail.pop_front();
            self.base = self.base.next();
        }
        self.marks = self.marks.split_off(&self.base.next());
    }

    /// Goes on in the same epoch, which this member has left, from a place further on.
    pub(super) fn jump(&mut self, place: Round, chain: Digest) {
        (self.base, self.trail) = (place, VecDeque::from([chain]));
        self.marks = self.marks.split_off(&place.next());
        self.items = self.items.split_off(&place.next());
        self.targets = self.targets.split_off(&place.next());
    }

    /// A member bound itself to something at this place.
    fn bound(&mut self, from: PartyId, place: Round) {
        let last = self.bound.entry(from).or_default();
        *last = place.max(*last);
    }

    /// Whether so many members bound themselves to something after a place, whether it is here or not.
    pub(super) fn is_bound_beyond(&self, needed: usize, place: Round) -> bool {
        self.bound.values().filter(|last| **last > place).count() >= needed
    }

    /// What this member says of the epoch, from the base on.
    pub(super) fn claims(&self) -> Vec<Claim> {
        let prepared = |place: &Round, chain: &Digest| {
            self.marks.get(place).is_some_and(|mark| mark.prepared && mark.bound == Some(*chain))
        };
        let mut claims = Vec::new();
        let mut place = self.base;
        for chain in &self.trail {
            claims.push(Claim { chain: *chain, prepared: prepared(&place, chain) });
            place = place.next();
        }
        while let Some(chain) = self.bound_after(place, claims.last().map(|claim| claim.chain)) {
            claims.push(Claim { chain, prepared: prepared(&place, &chain) });
            place = place.next();
        }
        claims
    }

    /// What this member bound itself to at `place`, if it comes after `before`.
    fn bound_after(&self, place: Round, before: Option<Digest>) -> Option<Digest> {
        let chain = self.marks.get(&place)?.bound?;
        let item = self.items.get(&place)?.get(&chain)?;
        (Some(item.after) == before).then_some(chain)
    }
}

/// Where a path of binds ends.
pub(super) struct Path {
    pub(super) place: Round,
    pub(super) chain: Digest,
    pub(super) heads: Vec<Head>,
}

impl Fast {
    /// The leader of the epoch.
    pub(super) fn leader(&self, fx: &Effects<'_, Self>) -> PartyId {
        leader(self.epoch, fx.seat().thresholds().n())
    }

    /// Takes a cut of the leader, which is its first bind.
    pub(super) fn on_cut(
        &mut self,
        from: PartyId,
        place: Round,
        item: Item,
        fx: &mut Effects<'_, Self>,
    ) {
        if item.epoch == self.epoch {
            self.cuts.bound(from, place);
        }
        if item.epoch != self.epoch || !self.may_mark(place) {
            return self.catch_up.dropped(from, item.epoch.max(self.epoch));
        }
        if from != self.leader(fx) {
            return fx.accuse(from, Fault::Improper("a cut of one who does not lead".into()));
        }
        let chain = item.chain(place);
        let mark = self.cuts.marks.entry(place).or_default();
        match mark.cut {
            Some(first) if first != chain => {
                fx.accuse(from, Fault::Equivocated { first, second: chain });
            }
            Some(_) => {}
            None => {
                mark.cut = Some(chain);
                let vote = mark.ones.vote(from, chain);
                self.cuts.items.entry(place).or_default().insert(chain, item);
                if let Vote::Conflicting { first } = vote {
                    fx.accuse(from, Fault::Equivocated { first, second: chain });
                }
            }
        }
    }

    /// Whether what is said of this place is kept.
    fn may_mark(&self, place: Round) -> bool {
        place > self.place && place.number() <= self.place.number() + WINDOW
    }

    /// Takes a bind.
    pub(super) fn on_bind(
        &mut self,
        from: PartyId,
        (phase, epoch): (Phase, u64),
        (place, chain): (Round, Digest),
        fx: &mut Effects<'_, Self>,
    ) {
        if epoch == self.epoch {
            self.cuts.bound(from, place);
        }
        if epoch != self.epoch || !self.may_mark(place) {
            if epoch > self.epoch || place > self.place {
                self.catch_up.dropped(from, epoch);
            }
            return;
        }
        let mark = self.cuts.marks.entry(place).or_default();
        let tally = if phase == Phase::One { &mut mark.ones } else { &mut mark.twos };
        if let Vote::Conflicting { first } = tally.vote(from, chain) {
            fx.accuse(from, Fault::Equivocated { first, second: chain });
        }
    }

    /// Where the binds of this member lead.
    pub(super) fn path(&self) -> Path {
        let mut path = Path { place: self.place, chain: self.chain, heads: self.lanes.heads() };
        while let Some(chain) = self.cuts.bound_after(path.place.next(), Some(path.chain)) {
            path.place = path.place.next();
            path.chain = chain;
            for (lane, head) in &self.cuts.items[&path.place][&chain].heads {
                path.heads[lane.index()] = *head;
            }
        }
        path
    }

    /// Doubts the lanes of which the next cut names what did not come.
    pub(super) fn doubt_lanes(&mut self, fx: &Effects<'_, Self>) {
        let Path { place, heads, .. } = self.path();
        let next = place.next();
        let cut = self.cuts.marks.get(&next).and_then(|mark| mark.cut);
        let item = cut.and_then(|cut| self.cuts.items.get(&next)?.get(&cut));
        let lacks = item.map(|item| self.lacking(&heads, item, false).collect::<Vec<_>>());
        for (lane, ..) in lacks.unwrap_or_default() {
            if lane != fx.seat().me() {
                self.lanes.of_mut(lane).doubt();
            }
        }
    }

    pub(super) fn may_bind(&self, place: Round) -> bool {
        place.number() <= self.cuts.base.number() + WINDOW
    }

    /// Says the first bind for the cuts whose batches are stored.
    pub(super) fn bind(&mut self, fx: &mut Effects<'_, Self>) {
        while !self.patience.left {
            let Path { place, chain, heads } = self.path();
            let next = place.next();
            let Some(mark) = self.cuts.marks.get(&next).filter(|mark| mark.bound.is_none()) else {
                return;
            };
            let Some(cut) = mark.cut.filter(|_| self.may_bind(next)) else { return };
            let item = &self.cuts.items[&next][&cut];
            if item.after != chain || !advances(&heads, item) {
                return;
            }
            let vouched = mark.ones.count(&cut) >= fx.seat().thresholds().one_correct();
            let lacks: Vec<_> = self.lacking(&heads, item, vouched).collect();
            if !lacks.is_empty() {
                if vouched {
                    self.want_batches(next, cut, lacks, fx);
                }
                return;
            }
            self.cuts.marks.entry(next).or_default().bound = Some(cut);
            self.say_bind(Phase::One, next, cut, fx);
        }
    }

    /// The lanes of an item whose batches are not here. What others had to send counts if it is
    /// `vouched` for: a correct member heard it from the owner.
    pub(super) fn lacking<'a>(
        &'a self,
        heads: &'a [Head],
        item: &'a Item,
        vouched: bool,
    ) -> impl Iterator<Item = (PartyId, Head, Head)> + 'a {
        item.heads.iter().filter_map(move |(lane, to)| {
            let after = heads[lane.index()];
            let stored = self.lanes.of(*lane).has(after, *to);
            let fetched = vouched && self.catch_up.segment(*lane, after, *to).is_some();
            (!stored && !fetched).then_some((*lane, after, *to))
        })
    }

    fn say_bind(&mut self, phase: Phase, place: Round, chain: Digest, fx: &mut Effects<'_, Self>) {
        let heads = self.news(fx);
        let life = self.life();
        fx.broadcast(Message::Bind { life, phase, place, chain, heads });
    }

    /// Says the second bind for what `n - f` members bound themselves to.
    pub(super) fn second(&mut self, fx: &mut Effects<'_, Self>) {
        if self.patience.left {
            return;
        }
        let needed = fx.seat().thresholds().available();
        let ready = |(place, mark): (&Round, &Mark)| {
            let chain = mark.bound.filter(|_| !mark.prepared)?;
            (mark.ones.count(&chain) >= needed).then_some((*place, chain))
        };
        let ready: Vec<_> = self.cuts.marks.iter().filter_map(ready).collect();
        for (place, chain) in ready {
            self.cuts.marks.entry(place).or_default().prepared = true;
            self.say_bind(Phase::Two, place, chain, fx);
        }
    }

    /// Notes what is known to be ordered at the next place.
    fn aim(&mut self, fx: &Effects<'_, Self>) {
        let (next, thresholds) = (self.place.next(), fx.seat().thresholds());
        let told = self.catch_up.agreed(next, thresholds.one_correct());
        // Others have delivered it, so what it names is not just late.
        self.catch_up.urgent |= told.is_some();
        if self.cuts.targets.contains_key(&next) {
            return;
        }
        let needed = thresholds.available();
        let twos = self.cuts.marks.get(&next).map(|mark| &mark.twos);
        let bound = twos.and_then(|twos| {
            twos.iter().map(|(_, chain)| *chain).find(|chain| twos.count(chain) >= needed)
        });
        if let Some(chain) = bound {
            self.cuts.targets.insert(next, chain);
        } else if let Some(item) = told {
            self.know(next, item);
            self.catch_up.lags = true;
        }
    }

    /// This item is ordered at this place.
    pub(super) fn know(&mut self, place: Round, item: Item) {
        let chain = item.chain(place);
        self.cuts.targets.insert(place, chain);
        self.cuts.items.entry(place).or_default().insert(chain, item);
    }

    /// Delivers the next item if it is known, and its batches are here.
    pub(super) fn deliver(&mut self, fx: &mut Effects<'_, Self>) -> bool {
        self.aim(fx);
        let next = self.place.next();
        if !self.cuts.targets.contains_key(&next) && !self.cuts.targets.is_empty() {
            // An epoch ended further on: what is ordered there leads down to here.
            self.want_items(fx);
        }
        let Some(chain) = self.cuts.targets.get(&next).copied() else { return false };
        let Some(item) = self.cuts.items.get(&next).and_then(|items| items.get(&chain)) else {
            self.want_items(fx);
            return false;
        };
        assert_eq!(item.after, self.chain, "what is ordered comes after what was ordered before");
        let heads = self.lanes.heads();
        let lacks: Vec<_> = self.lacking(&heads, item, true).collect();
        if !lacks.is_empty() {
            self.want_batches(next, chain, lacks, fx);
            return false;
        }
        let batches = item.heads.iter().map(|(lane, to)| {
            let after = heads[lane.index()];
            let stored = self.lanes.of(*lane).segment(after, *to);
            stored.or_else(|| self.catch_up.segment(*lane, after, *to).cloned()).unwrap_or_default()
        });
        let (item, batches) = (item.clone(), batches.collect::<Vec<_>>());
        self.apply(item, chain, &batches, fx);
        true
    }

    fn apply(
        &mut self,
        item: Item,
        chain: Digest,
        batches: &[Vec<Batch>],
        fx: &mut Effects<'_, Self>,
    ) {
        for ((lane, _), batches) in item.heads.iter().zip(batches) {
            for batch in batches {
                self.delivery.batch(self.slot, *lane, batch.clone());
                self.slot = self.slot.plus(batch.len() as u64);
            }
        }
        let weight = batches.iter().flatten().map(Batch::weight).sum();
        self.catch_up.sent_again.forgive(weight, 1 + item.heads.len());
        for (owner, (told, heard)) in self.lanes.order(&item, batches) {
            fx.accuse(owner, Fault::ToldOtherwise { told, heard });
        }
        self.place = self.place.next();
        self.chain = chain;
        self.cuts.delivered(self.place, chain);
        if let Some(own) = self.own.settle(self.lanes.of(fx.seat().me()).ordered().seq) {
            fx.output(Output::Ordered { own });
        }
        if let Some(below) = &item.closes {
            self.enter((**below).clone(), fx);
        }
        self.catch_up.keep(self.place, item, &mut self.lanes, &self.spec);
        self.delivery.end(self.position(fx.seat().thresholds().n()));
        self.progressed(fx);
        self.recall_missed(fx);
    }

    /// Where this party stands.
    pub fn position(&self, n: u16) -> Position {
        let memo = Memo { epoch: self.epoch, below: self.below.clone(), heads: self.lanes.heads() };
        Position {
            round: self.place,
            slot: self.slot,
            chain: self.chain,
            first: leader(self.epoch, n),
            memo: wire::encode(&memo),
        }
    }
}

impl Cuts {
    /// The item that leads to `place` is delivered.
    fn delivered(&mut self, place: Round, chain: Digest) {
        self.trail.push_back(chain);
        // Whoever bound this place had its base no further below, so no state grows beyond all bounds.
        self.raise_base(Round::new(place.number().saturating_sub(WINDOW)));
        self.items = self.items.split_off(&place.next());
        self.targets = self.targets.split_off(&place.next());
    }
}

fn leader(epoch: u64, n: u16) -> PartyId {
    PartyId::new((epoch % u64::from(n)) as u16)
}

/// Whether an item moves lanes, each of them forwards and not too far.
fn advances(heads: &[Head], item: &Item) -> bool {
    let further = |(lane, to): &(PartyId, Head)| {
        let from = heads[lane.index()].seq;
        to.seq > from && to.seq - from <= LANE_WINDOW
    };
    !item.heads.is_empty() && item.heads.iter().all(further)
}
