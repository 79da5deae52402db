//! A5: learning from others what this party was not there for, and telling others.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Atomic, Decision, Message, Output, WINDOW, rounds::Open, vector};
use crate::{
    crypto::Digest,
    effects::Effects,
    id::{PartyId, Peer, Round},
    path::Role,
    stream::batch::Batch,
};

/// How often a party that fetches is answered while this party is in one round: as often as its backlog
/// may overflow meanwhile. The question is smaller than the answer.
const ANSWERS_MAX: u8 = 64;

/// What this party knows of where others are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct CatchUp {
    /// Each party has decided, by its own word, all rounds below this.
    reached: BTreeMap<PartyId, Round>,
    /// One correct party has decided all rounds below this.
    goal: Round,
    /// The highest round that each party has announced.
    begun: BTreeMap<PartyId, Round>,
    /// One correct party has announced this round.
    begun_by_one: Option<Round>,
    /// Frames of these parties about rounds up to this one were lost or not kept.
    dropped: BTreeMap<PartyId, Round>,
    /// Whose frames were lost, until they say how far they were.
    lossy: BTreeSet<PartyId>,
    /// All rounds below this were asked for.
    asked: Round,
    /// What parties told about the rounds from the current one on.
    told: BTreeMap<Round, BTreeMap<PartyId, Decision>>,
    /// Who no longer keeps the current round.
    gone: BTreeMap<PartyId, Round>,
    /// Whether the user knows that the current round is out of reach.
    reported: bool,
    /// Which rounds others wait to be told about.
    wants: BTreeMap<PartyId, (Round, Round)>,
    /// How often each was answered since this party entered its round.
    answered: BTreeMap<PartyId, u8>,
}

impl CatchUp {
    /// One correct party has decided all rounds below this.
    pub(super) fn goal(&self) -> Round {
        self.goal
    }

    /// At least one correct party has reached this round.
    pub(super) fn hint(&mut self, round: Round) {
        self.goal = self.goal.max(round);
    }

    /// This party announces that round.
    pub(super) fn heard(&mut self, from: PartyId, round: Round, one_correct: usize) {
        if raise(&mut self.begun, from, round) {
            self.begun_by_one = kth_highest(&self.begun, one_correct);
        }
        self.reached(from, round, one_correct);
    }

    /// This party has decided all rounds below that.
    fn reached(&mut self, from: PartyId, round: Round, one_correct: usize) {
        if raise(&mut self.reached, from, round) {
            self.hint(kth_highest(&self.reached, one_correct).unwrap_or_default());
        }
    }

    /// Frames of this party about rounds up to this one were lost or not kept.
    pub(super) fn dropped(&mut self, from: PartyId, round: Round) {
        raise(&mut self.dropped, from, round);
    }

    /// What was lost of this party was of rounds up to this one.
    fn stands(&mut self, from: PartyId, at: Round) {
        if self.lossy.remove(&from) {
            self.dropped(from, at);
        }
    }

    /// Whether to answer a party that fetches.
    fn may_answer(&mut self, party: PartyId) -> bool {
        let answered = self.answered.entry(party).or_default();
        *answered = answered.saturating_add(1);
        *answered <= ANSWERS_MAX
    }

    /// Whether a correct party has announced this round or a later one. One announcement alone counts
    /// only while it is at hand: else a liar could keep the group busy for ever with one far ahead.
    pub(super) fn begun(&self, round: Round) -> bool {
        self.begun_by_one.is_some_and(|begun| begun >= round)
    }

    /// This round is the current one now.
    pub(super) fn entered(&mut self, round: Round) {
        self.told = self.told.split_off(&round);
        self.gone.clear();
        self.answered.clear();
        self.reported = false;
    }

    /// What `needed` parties tell about `round`, and who they are.
    fn agreed(&self, round: Round, needed: usize) -> Option<(Decision, Vec<PartyId>)> {
        let told = self.told.get(&round)?;
        told.values().find_map(|decision| {
            let same = told.iter().filter(|(_, other)| *other == decision);
            let parties: Vec<_> = same.map(|(party, _)| *party).collect();
            (parties.len() >= needed).then(|| (decision.clone(), parties))
        })
    }

    /// Whether nobody but a checkpoint can help, as far as one can tell: `needed` parties answered,
    /// one of them without the decision, and still there is none.
    fn is_stuck(&self, round: Round, needed: usize) -> bool {
        let told = self.told.get(&round);
        let tellers = told.into_iter().flat_map(BTreeMap::keys);
        let others = tellers.filter(|party| !self.gone.contains_key(party)).count();
        !self.gone.is_empty() && self.gone.len() + others >= needed
    }
}

/// What `k` parties have reached.
fn kth_highest(of: &BTreeMap<PartyId, Round>, k: usize) -> Option<Round> {
    let mut rounds: Vec<_> = of.values().copied().collect();
    rounds.sort_unstable_by(|one, other| other.cmp(one));
    rounds.get(k - 1).copied()
}

/// Notes a round of a party if it is higher than what was noted.
fn raise(of: &mut BTreeMap<PartyId, Round>, party: PartyId, round: Round) -> bool {
    let old = of.insert(party, round);
    match old.filter(|old| *old >= round) {
        Some(old) => {
            of.insert(party, old);
            false
        }
        None => true,
    }
}

impl Atomic {
    pub(super) fn on_decided(
        &mut self,
        from: PartyId,
        first: Round,
        decisions: Vec<Decision>,
        at: Round,
        fx: &Effects<'_, Self>,
    ) {
        self.catch_up.reached(from, at, fx.seat().thresholds().one_correct());
        self.catch_up.stands(from, at);
        let current = self.position.round.number();
        let window = current..current.saturating_add(WINDOW);
        for (place, decision) in (0_u64..).zip(decisions) {
            let round = first.number().saturating_add(place);
            if window.contains(&round) {
                let told = self.catch_up.told.entry(Round::new(round)).or_default();
                told.entry(from).or_insert(decision);
            }
        }
    }

    pub(super) fn on_gone(&mut self, from: PartyId, oldest: Round, at: Round) {
        self.catch_up.stands(from, at);
        if oldest > self.position.round {
            self.catch_up.gone.insert(from, oldest);
        }
    }

    /// Takes the decision of the current round if `f + 1` parties tell the same.
    pub(super) fn accept_told(&mut self, fx: &Effects<'_, Self>) {
        let round = self.position.round;
        let Some(open) = self.rounds.get_mut(&round).filter(|open| open.decided.is_none()) else {
            return;
        };
        if let Some((decision, _)) =
            self.catch_up.agreed(round, fx.seat().thresholds().one_correct())
            && let Some(entries) = vector::decode(&decision.vector, fx.seat())
        {
            open.decided = Some((decision, entries));
        }
    }

    /// Asks for what is missing: decisions, batches, announcements; says so if nobody has them.
    pub(super) fn seek(&mut self, fx: &mut Effects<'_, Self>) {
        let (round, goal) = (self.position.round, self.catch_up.goal);
        if round < goal && round >= self.catch_up.asked {
            let to = Round::new(goal.number().min(round.number().saturating_add(WINDOW)));
            self.catch_up.asked = to;
            fx.broadcast(Message::Fetch { from: round, to });
        }
        self.request(fx);
        self.recall(fx);
        if !self.catch_up.reported
            && self.catch_up.is_stuck(round, fx.seat().thresholds().one_correct())
        {
            self.catch_up.reported = true;
            fx.output(Output::Behind);
        }
    }

    /// Asks for the batches of the current round when it is decided: of `f + 1` who told the decision,
    /// since one of them is correct and had them all; of everybody if nobody told it, or if some have
    /// forgotten.
    fn request(&mut self, fx: &mut Effects<'_, Self>) {
        let (round, needed) = (self.position.round, fx.seat().thresholds().one_correct());
        let Some(open) = self.rounds.get_mut(&round) else { return };
        let Some((_, entries)) = &open.decided else { return };
        let missing: Vec<_> = open.missing(entries).collect();
        if missing.is_empty() {
            return;
        }
        let tellers = self.catch_up.agreed(round, needed).filter(|_| self.catch_up.gone.is_empty());
        let holders: Vec<_> = match tellers {
            Some((_, tellers)) => tellers.into_iter().take(needed).collect(),
            None => fx.seat().parties().collect(),
        };
        let me = fx.seat().me();
        for holder in holders.into_iter().filter(|holder| *holder != me) {
            for digest in &missing {
                if open.asked.insert((holder, *digest)) {
                    fx.send(holder, Message::Request { round, digest: *digest });
                }
            }
        }
    }

    /// Has those say again what they said in the rounds under way whose frames of it may be lost.
    fn recall(&mut self, fx: &mut Effects<'_, Self>) {
        for round in self.live() {
            let Some(open) = self.rounds.get_mut(&round) else { continue };
            for (party, dropped) in &self.catch_up.dropped {
                if *dropped >= round && open.recalled.insert(*party) {
                    let announced = open.announced.contains_key(party);
                    fx.send(*party, Message::Recall { round, announced, back: false });
                }
            }
        }
        let round = self.position.round;
        self.catch_up.dropped.retain(|_, dropped| *dropped >= round);
    }

    /// Asks everybody for the rounds from the current one on, whether they are known to be decided or
    /// not.
    pub(super) fn fetch_on(&mut self, fx: &mut Effects<'_, Self>) {
        let from = self.position.round;
        let to = from.plus(WINDOW);
        self.catch_up.asked = to;
        fx.broadcast(Message::Fetch { from, to });
    }

    /// Frames of this party are lost: has it say them again, in this round and in those that it may
    /// have been in.
    pub(super) fn on_missed(&mut self, from: Peer, fx: &mut Effects<'_, Self>) {
        let Some(party) = from.member().filter(|party| fx.seat().has(*party)) else { return };
        self.catch_up.dropped(party, self.position.round);
        self.catch_up.lossy.insert(party);
        for open in self.rounds.values_mut() {
            open.recalled.remove(&party);
        }
        self.ask_again(party, fx);
    }

    /// Says again to a party its part in a round.
    pub(super) fn on_recall(
        &mut self,
        from: PartyId,
        round: Round,
        announced: bool,
        fx: &mut Effects<'_, Self>,
    ) {
        let me = fx.seat().me();
        let Some(open) = self.rounds.get_mut(&round) else { return };
        if from == me || !open.may_repeat(from) {
            return;
        }
        if let Some(vector::Entry { batch: digest, signature, .. }) =
            open.announced.get(&me).cloned()
            && !announced
            && let Some(batch) = open.serve(from, digest)
        {
            fx.send(from, Message::Queue { round, digest, batch, signature });
        }
        fx.repeat(Role::Agreement.at(round), from);
    }

    /// Asks a party again what it was asked and may have lost.
    pub(super) fn ask_again(&self, party: PartyId, fx: &mut Effects<'_, Self>) {
        if party == fx.seat().me() {
            return;
        }
        // Nothing above the window was ever asked for.
        let from = self.position.round;
        fx.send(party, Message::Fetch { from, to: from.plus(WINDOW) });
        self.request_again(party, fx);
        for (round, open) in &self.rounds {
            if open.recalled.contains(&party) {
                let announced = open.announced.contains_key(&party);
                fx.send(party, Message::Recall { round: *round, announced, back: true });
            }
        }
    }

    /// Asks a party again for the batches that it did not send.
    fn request_again(&self, party: PartyId, fx: &mut Effects<'_, Self>) {
        for (round, open) in &self.rounds {
            let lacks = |digest: &Digest| !open.bodies.contains_key(digest);
            for (_, digest) in
                open.asked.iter().filter(|(asked, name)| *asked == party && lacks(name))
            {
                fx.send(party, Message::Request { round: *round, digest: *digest });
            }
        }
    }

    /// Sends a batch to one who lacks it.
    pub(super) fn on_request(
        &mut self,
        from: PartyId,
        round: Round,
        digest: Digest,
        fx: &mut Effects<'_, Self>,
    ) {
        let (oldest, at) = (self.oldest(), self.position.round);
        if round < oldest {
            return fx.send(from, Message::Gone { oldest, at });
        }
        if let Some(batch) = self.rounds.get_mut(&round).and_then(|open| open.serve(from, digest)) {
            fx.send(from, Message::Answer { round, digest, batch });
        }
    }

    /// Stores a batch that was asked for; others come from holders that were asked in vain before.
    pub(super) fn on_answer(&mut self, from: PartyId, round: Round, digest: Digest, batch: Batch) {
        if let Some(open) = self.rounds.get_mut(&round)
            && open.asked.contains(&(from, digest))
        {
            open.bodies.entry(digest).or_insert(batch);
        }
    }

    /// Notes what a party wants to be told, and tells what is known.
    pub(super) fn on_fetch(
        &mut self,
        from: PartyId,
        first: Round,
        to: Round,
        fx: &mut Effects<'_, Self>,
    ) {
        if from == fx.seat().me() {
            return;
        }
        self.catch_up.wants.insert(from, (first, to));
        let at = self.position.round;
        if !self.catch_up.may_answer(from) {
            return;
        }
        if first >= at {
            // It learns from that how far this party is.
            fx.send(from, Message::Decided { first, decisions: Vec::new(), at });
        }
        self.serve(from, fx);
    }

    pub(super) fn serve_all(&mut self, fx: &mut Effects<'_, Self>) {
        let waiting: Vec<_> = self.catch_up.wants.keys().copied().collect();
        waiting.into_iter().for_each(|party| self.serve(party, fx));
    }

    /// Tells a party the decided rounds that it wants; the rest of its want stays.
    fn serve(&mut self, party: PartyId, fx: &mut Effects<'_, Self>) {
        let Some((first, to)) = self.catch_up.wants.remove(&party) else { return };
        let (oldest, at) = (self.oldest(), self.position.round);
        if first < oldest {
            return fx.send(party, Message::Gone { oldest, at });
        }
        let known = |(_, open): (_, &Open)| open.decided.as_ref().map(|(told, _)| told.clone());
        let last = to.min(at);
        if first < last {
            let decisions = self.rounds.range(first..last).filter_map(known).collect();
            fx.send(party, Message::Decided { first, decisions, at });
        }
        if to > at {
            self.catch_up.wants.insert(party, (first.max(at), to));
        }
    }
}
