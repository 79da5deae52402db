//! What others have and this member lacks: items, batches, frames that were lost.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::{
    Fast, Spec,
    cuts::WINDOW,
    item::{Head, Item, Memo},
    lacking::Coming,
    lanes::Lanes,
    message::{Message, TOLD_MAX},
};
use crate::{
    crypto::Digest,
    effects::Effects,
    id::{PartyId, Round},
    stream::{
        again::{ANSWER_MIN, SentAgain},
        atomic::{Output, Position},
        batch::Batch,
    },
};

/// A lane, the number after which and the chain up to which batches of it are asked for. The chain
/// names all before it.
pub(super) type Stretch = (PartyId, u64, Digest);

/// What this member knows of others, and has asked of them.
#[expect(clippy::struct_excessive_bools, reason = "each is something it waits for, or has said")]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct CatchUp {
    /// How many items each member has delivered, by its word.
    reached: BTreeMap<PartyId, Round>,
    /// How many it had when it left its epoch, or has.
    stood: BTreeMap<PartyId, Round>,
    /// The members that are in a later epoch, by their word.
    ahead: BTreeMap<PartyId, u64>,
    /// Of whom frames of an epoch up to this one may be lost.
    dropped: BTreeMap<PartyId, u64>,
    /// What members tell about places that are not delivered.
    pub(super) told: BTreeMap<Round, BTreeMap<PartyId, Item>>,
    /// Who does not keep the next item any more.
    gone: BTreeSet<PartyId>,
    reported: bool,
    /// Whether this member is catching up.
    pub(super) seeking: bool,
    /// Everything below was asked for.
    fetched: Round,
    /// The items that were asked for.
    pub(super) wanted: BTreeSet<(Round, Digest)>,
    pub(super) coming: BTreeMap<Stretch, Coming>,
    /// Batches that others had to send.
    pub(super) segments: BTreeMap<Stretch, Vec<Batch>>,
    /// Who sent wrong ones. They are asked last.
    pub(super) liars: BTreeSet<PartyId>,
    /// Whether others told something since what they told was looked at.
    pub(super) news: bool,
    /// Whether what is lacking is not just late.
    pub(super) urgent: bool,
    /// The items that are kept for those who are behind.
    pub(super) kept: VecDeque<(Round, Item)>,
    /// Who waits for items, from where on and up to where.
    wants: BTreeMap<PartyId, (Round, Round)>,
    /// Whether the last item was known from others only.
    pub(super) lags: bool,
    /// Where each was when it gave its last pulse.
    pulsed: BTreeMap<PartyId, Round>,
    /// The pulse of each that was answered last.
    soothed: BTreeMap<PartyId, Round>,
    /// What each was told and sent again.
    pub(super) sent_again: SentAgain,
}

/// The place that `needed` members reached.
fn low(places: &BTreeMap<PartyId, Round>, needed: usize) -> Round {
    let mut places: Vec<_> = places.values().copied().collect();
    places.sort_unstable_by(|a, b| b.cmp(a));
    places.get(needed - 1).copied().unwrap_or_default()
}

impl CatchUp {
    /// A member says where it is.
    pub(super) fn reached(&mut self, from: PartyId, at: Round, epoch: u64, mine: u64) {
        let known = self.reached.entry(from).or_default();
        *known = at.max(*known);
        if epoch > mine {
            self.dropped(from, epoch);
            self.ahead.insert(from, epoch);
        }
    }

    /// `needed` members have delivered up to here.
    pub(super) fn low(&self, needed: usize) -> Round {
        low(&self.reached, needed)
    }

    /// A member says how far its state speaks of what it delivered. Up to where those of `needed` do.
    pub(super) fn stood(&mut self, from: PartyId, at: Round, needed: usize) -> Round {
        let known = self.stood.entry(from).or_default();
        *known = at.max(*known);
        low(&self.stood, needed)
    }

    /// Whether another member gave its last pulse here.
    pub(super) fn is_waited_at(&self, place: Round, me: PartyId) -> bool {
        self.pulsed.iter().any(|(from, at)| *from != me && *at == place)
    }

    /// Frames of this member about this epoch may be lost.
    pub(super) fn dropped(&mut self, from: PartyId, epoch: u64) {
        let known = self.dropped.entry(from).or_default();
        *known = epoch.max(*known);
    }

    /// Who is to say again what it said in this epoch.
    pub(super) fn recall(&mut self, epoch: u64) -> Vec<PartyId> {
        let due: Vec<_> = self.dropped.iter().filter(|(_, of)| **of >= epoch).collect();
        let due = due.into_iter().map(|(party, _)| *party).collect();
        self.dropped.retain(|_, of| *of > epoch);
        self.ahead.retain(|_, of| *of > epoch);
        due
    }

    /// What `needed` members tell of a place.
    pub(super) fn agreed(&self, place: Round, needed: usize) -> Option<Item> {
        let told = self.told.get(&place)?;
        let same = |item: &&Item| told.values().filter(|other| other == item).count() >= needed;
        told.values().find(same).cloned()
    }

    /// Batches that others sent.
    pub(super) fn segment(&self, lane: PartyId, after: Head, to: Head) -> Option<&Vec<Batch>> {
        self.segments.get(&(lane, after.seq, to.chain))
    }

    /// An item was delivered.
    pub(super) fn progressed(&mut self) {
        self.urgent = false;
        self.reported = false;
        if !std::mem::take(&mut self.gone).is_empty() {
            // They may keep what comes next.
            self.fetched = Round::FIRST;
        }
    }

    /// Keeps an item for those who are behind, and no more than the limits allow.
    pub(super) fn keep(&mut self, place: Round, item: Item, lanes: &mut Lanes, spec: &Spec) {
        let here = |(of, _, to): &Stretch| {
            item.heads.iter().any(|(lane, head)| (lane, &head.chain) == (of, to))
        };
        self.segments.retain(|stretch, _| !here(stretch));
        self.coming.retain(|stretch, _| !here(stretch));
        self.kept.push_back((place, item));
        while self.kept.len() > 2
            && (self.kept.len() as u64 > spec.items_kept || lanes.kept > spec.bytes_kept)
            && let Some((_, oldest)) = self.kept.pop_front()
        {
            lanes.trim(&oldest);
        }
    }

    /// Goes on from a checkpoint: nothing below it is kept.
    fn jump(&mut self, place: Round) {
        self.kept.clear();
        self.told = self.told.split_off(&place.next());
        self.forget();
        self.progressed();
    }

    /// What was asked for is ordered, or never will be; but for what others tell to be ordered.
    pub(super) fn forget(&mut self) {
        self.wanted.clear();
        let items = self.told.values().flat_map(BTreeMap::values);
        let told: BTreeSet<_> = items.flat_map(|item| &item.heads).collect();
        let told = |(lane, _, chain): &Stretch| {
            told.iter().any(|(of, head)| (of, &head.chain) == (lane, chain))
        };
        self.coming.retain(|stretch, _| told(stretch));
        self.segments.retain(|stretch, _| told(stretch));
    }
}

impl Fast {
    /// Asks for what is missing when others are far ahead, or in a later epoch.
    pub(super) fn seek(&mut self, fx: &mut Effects<'_, Self>) {
        let one = fx.seat().thresholds().one_correct();
        self.catch_up.told = self.catch_up.told.split_off(&self.place.next());
        let goal = self.catch_up.low(one);
        let left_behind = self.catch_up.ahead.len() >= one;
        let far = goal.number() > self.place.number() + WINDOW / 2;
        let lags = std::mem::take(&mut self.catch_up.lags) && self.patience.waits();
        self.catch_up.seeking &= goal > self.place;
        let more = self.catch_up.seeking;
        // The next ones are asked for while those before are on their way.
        let few = self.place.plus(TOLD_MAX / 2) >= self.catch_up.fetched;
        if (far || left_behind || lags || more) && few {
            self.fetch(fx);
        }
        if std::mem::take(&mut self.catch_up.news) {
            self.want_ahead(fx);
        }
        if self.is_left_behind(one) && !self.catch_up.reported {
            self.catch_up.reported = true;
            fx.output(Output::Behind);
        }
    }

    /// Whether nobody will tell what comes next: `f + 1` do not keep it; or, when it has not come for
    /// long, so few do that they are no `f + 1`. Members need not keep as much as each other.
    fn is_left_behind(&self, one: usize) -> bool {
        let (gone, next) = (&self.catch_up.gone, self.place.next());
        let told = self.catch_up.told.get(&next).into_iter().flat_map(BTreeMap::keys);
        let answered = gone.iter().chain(told).collect::<BTreeSet<_>>().len();
        let long = self.catch_up.urgent || !self.has_clock();
        let split = || answered >= one && self.catch_up.agreed(next, one).is_none();
        gone.len() >= one || (!gone.is_empty() && long && split())
    }

    fn fetch(&mut self, fx: &mut Effects<'_, Self>) {
        self.catch_up.seeking = true;
        let from = self.place.max(self.catch_up.fetched);
        self.catch_up.fetched = from.plus(TOLD_MAX);
        fx.broadcast(Message::Fetch { from: from.next() });
    }

    /// Asks again from here on for what comes next.
    fn fetch_again(&mut self, fx: &mut Effects<'_, Self>) {
        self.catch_up.fetched = self.place;
        self.fetch(fx);
    }

    /// Asks again for all that is lacking: nothing has happened for long.
    pub(super) fn urge(&mut self, fx: &mut Effects<'_, Self>) {
        self.catch_up.urgent = true;
        self.catch_up.wanted.clear();
        self.catch_up.coming.values_mut().for_each(Coming::urge);
        self.catch_up.news = true;
        if self.catch_up.low(fx.seat().thresholds().one_correct()) > self.place {
            self.fetch_again(fx);
        }
        let one = fx.seat().thresholds().one_correct();
        for (party, lane) in self.lanes.iter() {
            let lost = self.catch_up.dropped.get(&party).is_some_and(|of| *of >= self.epoch);
            if lost || lane.has_gap() || lane.claims_above() >= one {
                self.recall(party, false, fx);
            }
        }
    }

    /// Notes what a member wants to be told, and tells what is known.
    pub(super) fn on_fetch(&mut self, from: PartyId, first: Round, fx: &mut Effects<'_, Self>) {
        if from != fx.seat().me() && self.may_send(from, ANSWER_MIN) {
            self.catch_up.wants.insert(from, (first, first.plus(TOLD_MAX)));
            self.tell(from, fx);
        }
    }

    /// Tells those who wait.
    pub(super) fn tell_all(&mut self, fx: &mut Effects<'_, Self>) {
        let waiting: Vec<_> = self.catch_up.wants.keys().copied().collect();
        waiting.into_iter().for_each(|party| self.tell(party, fx));
    }

    fn tell(&mut self, party: PartyId, fx: &mut Effects<'_, Self>) {
        let Some((first, end)) = self.catch_up.wants.get(&party).copied() else { return };
        if first > self.place {
            return;
        }
        self.catch_up.wants.remove(&party);
        let at = self.place;
        let kept = self.catch_up.kept.iter().filter(|(place, _)| (first..end).contains(place));
        let items: Vec<_> = kept.cloned().collect();
        if items.first().is_none_or(|(place, _)| *place != first) {
            return fx.send(party, Message::Gone { at });
        }
        let next = first.plus(items.len() as u64);
        if next < end {
            self.catch_up.wants.insert(party, (next, end));
        }
        let items = items.into_iter().map(|(_, item)| item).collect();
        fx.send(party, Message::Told { first, items, at });
    }

    /// Somebody waits, there.
    pub(super) fn on_pulse(&mut self, from: PartyId, at: Round) {
        self.catch_up.pulsed.insert(from, at);
    }

    /// Tells those who wait and are behind what was delivered since, once this member waits for nothing:
    /// until then it may be them who know.
    pub(super) fn soothe(&mut self, fx: &mut Effects<'_, Self>) {
        if self.patience.waits() {
            return;
        }
        let (me, place) = (fx.seat().me(), self.place);
        let (behind, level) = std::mem::take(&mut self.catch_up.pulsed)
            .into_iter()
            .partition(|(from, at)| *from != me && *at < place);
        self.catch_up.pulsed = level;
        let behind: BTreeMap<PartyId, Round> = behind;
        for (from, at) in behind {
            if self.catch_up.soothed.get(&from).is_none_or(|last| *last < at) {
                self.catch_up.soothed.insert(from, at);
                self.catch_up.wants.insert(from, (at.next(), at.plus(1 + TOLD_MAX)));
                self.tell(from, fx);
            }
        }
    }

    pub(super) fn on_told(&mut self, from: PartyId, first: Round, items: Vec<Item>, at: Round) {
        self.catch_up.reached(from, at, self.epoch, self.epoch);
        for (place, item) in (first.number()..).zip(items) {
            let window = self.place.number() + 1..=self.place.number() + WINDOW;
            if window.contains(&place) {
                let stretches = self.catch_up.coming.iter_mut();
                let named = |(lane, _, chain): &Stretch| {
                    item.heads.iter().any(|(of, head)| (of, &head.chain) == (lane, chain))
                };
                stretches.filter(|(it, _)| named(it)).for_each(|(_, coming)| coming.ready(from));
                let told = self.catch_up.told.entry(Round::new(place)).or_default();
                told.entry(from).or_insert(item);
                self.catch_up.news = true;
            }
        }
    }

    pub(super) fn on_gone(&mut self, from: PartyId, at: Round) {
        self.catch_up.reached(from, at, self.epoch, self.epoch);
        if at > self.place {
            self.catch_up.gone.insert(from);
        }
    }

    /// Jumps to a checkpoint of the user.
    pub(super) fn on_resume(&mut self, position: Position, fx: &mut Effects<'_, Self>) {
        self.delivery.skip(position.slot);
        let n = fx.seat().thresholds().n();
        if position.round <= self.place {
            return;
        }
        let Some(memo) = Memo::read(&position.memo, n) else { return };
        if memo.epoch == self.epoch {
            // Its way in the epoch ends here. Others may have left just below, and need its word.
            self.step_out(self.cuts.base(), self.place, fx);
        }
        (self.place, self.slot, self.chain) = (position.round, position.slot, position.chain);
        for ((_, lane), head) in self.lanes.iter_mut().zip(&memo.heads) {
            lane.jump(*head);
        }
        self.lanes.kept = 0;
        if let Some(own) = self.own.settle(self.lanes.of(fx.seat().me()).ordered().seq) {
            fx.output(Output::Ordered { own });
        }
        self.catch_up.jump(self.place);
        self.heard.jump(memo.epoch, &memo.below);
        fx.ask(super::Ask::Below(crate::stream::atomic::Input::Resume {
            position: memo.below.clone(),
        }));
        if memo.epoch > self.epoch {
            self.closing = None;
            self.epoch = memo.epoch;
            self.begin(memo.below, fx);
            self.stay_out(fx);
        } else {
            self.cuts.jump(self.place, self.chain);
        }
        self.progressed(fx);
        self.recall_missed(fx);
        self.fetch_again(fx);
    }
}
