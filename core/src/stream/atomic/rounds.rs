//! The life of a round, from the first announcement to the end.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Ask, Atomic, Begin, Decision, Message, Output, Position, WINDOW, queue, vector};
use crate::{
    agreement::multivalued,
    crypto::Digest,
    effects::Effects,
    id::{PartyId, Round},
    path::Role,
    stream::{
        atomic::vector::{Entry, Signed},
        batch::Batch,
    },
    wire::limits::BATCH_BYTES_MAX,
};

/// How many agreements below the floor are retired in one step. A party that resumes a million rounds
/// ahead does not do all at once.
const RETIRED_PER_STEP: u64 = 1_024;

/// How many bytes of a batch are sent to a party that asks for it: a full batch 16 times, which is what
/// the backlog of a link holds. Once is enough; more, when backlogs were lost; without a bound, a few
/// bytes would make us send megabytes for ever.
const SERVED_MAX: usize = 16 * BATCH_BYTES_MAX;

/// What sending a batch counts for at least, so that a small one is sent 64 times.
const SERVED_MIN: usize = SERVED_MAX / 64;

/// How often the frames of an agreement are said again to a party: as often as its backlog may
/// overflow in one round. They are small, but so is the question.
const REPEATS_MAX: u8 = 64;

/// For how many batches of another party one goes along with it after a submission: what its full queue
/// takes, since two batches in a row do not fit into one, and the batch that is out.
pub(super) const COMPANY_MAX: usize = 2 * (queue::WEIGHT_MAX / BATCH_BYTES_MAX) + 1;

/// One round at one party: under way, or decided and kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Open {
    /// The party whose proposal is tried first; known from when the round is the current one.
    pub(super) first: PartyId,
    /// Whether this party has announced its batch.
    pub(super) joined: bool,
    /// Whether this party has proposed.
    pub(super) proposed: bool,
    /// The first announcement of each party.
    pub(super) announced: BTreeMap<PartyId, Entry>,
    /// The batches that are stored. The empty one always is.
    pub(super) bodies: BTreeMap<Digest, Batch>,
    /// Proposals that name batches which are not stored.
    pub(super) offers: BTreeMap<PartyId, Vec<Entry>>,
    /// What was decided.
    pub(super) decided: Option<(Decision, Vec<Entry>)>,
    /// Whom this party asked for which batch.
    pub(super) asked: BTreeSet<(PartyId, Digest)>,
    /// Who was asked to say again what it said.
    pub(super) recalled: BTreeSet<PartyId>,
    /// How often this party said it again to whom.
    repeated: BTreeMap<PartyId, u8>,
    /// How much this party sent of which batch to whom.
    served: BTreeMap<(PartyId, Digest), usize>,
}

impl Open {
    /// A vector that is offered or decided holds signed announcements: whoever announced something
    /// else to this party has signed two batches for one round.
    fn accuse_liars(&self, round: Round, entries: &[Entry], fx: &mut Effects<'_, Atomic>) {
        for entry in entries {
            if let Some(told) = self.announced.get(&entry.party)
                && told.batch != entry.batch
            {
                let fault = vector::signed_twice(fx.seat(), round, told, entry);
                fx.accuse(entry.party, fault);
            }
        }
    }

    /// A round of which nothing is known.
    pub(super) fn new(first: PartyId) -> Self {
        let empty = Batch::default();
        Self {
            first,
            joined: false,
            proposed: false,
            announced: BTreeMap::new(),
            bodies: BTreeMap::from([(empty.digest(), empty)]),
            offers: BTreeMap::new(),
            decided: None,
            asked: BTreeSet::new(),
            recalled: BTreeSet::new(),
            repeated: BTreeMap::new(),
            served: BTreeMap::new(),
        }
    }

    /// The names of `entries` whose batches are not stored.
    pub(super) fn missing<'a>(&'a self, entries: &'a [Entry]) -> impl Iterator<Item = Digest> + 'a {
        entries.iter().map(|entry| entry.batch).filter(|batch| !self.bodies.contains_key(batch))
    }

    /// The batch to send to `party`, if it is stored and was not sent there too often.
    pub(super) fn serve(&mut self, party: PartyId, digest: Digest) -> Option<Batch> {
        let batch = self.bodies.get(&digest)?;
        let served = self.served.entry((party, digest)).or_default();
        if *served >= SERVED_MAX {
            return None;
        }
        *served += batch.weight().max(SERVED_MIN);
        Some(batch.clone())
    }

    /// Whether to say to `party` again what was said in the agreement.
    pub(super) fn may_repeat(&mut self, party: PartyId) -> bool {
        let repeated = self.repeated.entry(party).or_default();
        *repeated = repeated.saturating_add(1);
        *repeated <= REPEATS_MAX
    }

    /// What keeping the round takes, in bytes.
    fn weight(&self) -> usize {
        self.bodies.values().map(Batch::weight).sum()
    }

    /// Forgets what only those need who take part.
    fn close(&mut self) {
        let Some((_, entries)) = &self.decided else { return };
        let named: BTreeSet<_> = entries.iter().map(|entry| entry.batch).collect();
        self.bodies.retain(|digest, _| named.contains(digest));
        self.announced.clear();
        self.offers.clear();
        self.asked.clear();
        self.recalled.clear();
    }
}

impl Atomic {
    /// The first round above the window.
    pub(super) fn top(&self) -> u64 {
        let known = self.position.round.max(self.catch_up.goal());
        known.number().saturating_add(WINDOW)
    }

    /// Whether announcements of this round are kept: it is near the position, or near the rounds that
    /// the group is in.
    fn keeps(&self, round: Round) -> bool {
        let near =
            self.position.round.number()..self.position.round.number().saturating_add(WINDOW);
        let live = self.floor.number()..self.top();
        near.contains(&round.number()) || live.contains(&round.number())
    }

    /// A1: notes an announcement, which [`admit`](crate::protocol::Protocol::admit) has checked.
    pub(super) fn on_queue(
        &mut self,
        from: PartyId,
        round: Round,
        entry: Entry,
        batch: Batch,
        fx: &mut Effects<'_, Self>,
    ) {
        self.catch_up.heard(from, round, fx.seat().thresholds().one_correct());
        let over = round < self.position.round && !self.rounds.contains_key(&round);
        if over || !self.keeps(round) {
            return self.catch_up.dropped(from, round);
        }
        let first = PartyId::new(0);
        let open = self.rounds.entry(round).or_insert_with(|| Open::new(first));
        match open.announced.get(&from) {
            Some(old) if old.batch != entry.batch => {
                fx.accuse(from, vector::signed_twice(fx.seat(), round, old, &entry));
            }
            Some(_) => {}
            None => {
                open.bodies.insert(entry.batch, batch);
                open.announced.insert(from, entry);
            }
        }
    }

    /// The rounds in which this party takes part: the current one and the one before, unless they are
    /// known to be over.
    pub(super) fn live(&self) -> impl Iterator<Item = Round> + use<> {
        let current = self.position.round.number();
        (self.floor.number().max(current.saturating_sub(1))..=current).map(Round::new)
    }

    pub(super) fn join_and_propose(&mut self, fx: &mut Effects<'_, Self>) {
        for round in self.live() {
            self.try_join(round, fx);
            self.try_propose(round, fx);
        }
    }

    /// Whether there is a reason to take part in a round: the own payloads, `f + 1` others who have
    /// begun, or one that this party goes along with.
    fn is_wanted(&self, round: Round, open: &Open) -> bool {
        let current = round == self.position.round;
        let together = self.spec.begin == Begin::Together && current && open.decided.is_none();
        self.catch_up.begun(round)
            || (current && !self.own.is_empty())
            || open.announced.values().any(|entry| !together || self.goes_along(open, entry))
    }

    /// Whether a round that this party has not begun is worth its while for the sake of one batch.
    fn goes_along(&self, open: &Open, entry: &Entry) -> bool {
        let Some(company) = &self.company else { return false };
        let ordered = company.get(&entry.party).copied().unwrap_or(0);
        let empty = open.bodies.get(&entry.batch).is_none_or(Batch::is_empty);
        !empty && ordered < COMPANY_MAX
    }

    /// A1: announces the own batch when there is one, or when others have begun.
    fn try_join(&mut self, round: Round, fx: &mut Effects<'_, Self>) {
        let current = round == self.position.round;
        let wanted = self.rounds.get(&round).is_some_and(|open| self.is_wanted(round, open));
        let Some(open) = self.rounds.get_mut(&round).filter(|open| wanted && !open.joined) else {
            return;
        };
        open.joined = true;
        // What is queued goes into the current round; the one before is decided already.
        let (batch, digest) = if current {
            self.own.take(round)
        } else {
            let empty = Batch::default();
            let digest = empty.digest();
            (empty, digest)
        };
        let signature = fx.seat().keys.identity.sign(&vector::tag(fx.seat(), round), &digest);
        fx.broadcast(Message::Queue { round, digest, batch, signature });
        self.ask(round, None, fx);
    }

    /// A2: proposes as soon as enough have announced.
    fn try_propose(&mut self, round: Round, fx: &mut Effects<'_, Self>) {
        let Some(open) = self.rounds.get_mut(&round) else { return };
        let enough = open.announced.len() >= fx.seat().thresholds().available();
        if open.joined && !open.proposed && enough {
            open.proposed = true;
            let entries: Vec<_> = open.announced.values().cloned().collect();
            self.ask(round, Some(multivalued::Input::Propose(vector::encode(&entries))), fx);
        }
    }

    fn ask(&self, round: Round, input: Option<multivalued::Input>, fx: &mut Effects<'_, Self>) {
        let spec = multivalued::Spec {
            first: self.rounds[&round].first,
            predicate: Signed { tag: vector::tag(fx.seat(), round) },
            limit: vector::size_max(fx.seat().thresholds().n()),
        };
        fx.ask(Ask { round, spec, input });
    }

    /// A3, A4: notes what the agreement of a round says.
    pub(super) fn on_agreement(
        &mut self,
        round: Round,
        output: multivalued::Output,
        fx: &mut Effects<'_, Self>,
    ) {
        let Some(open) = self.rounds.get_mut(&round).filter(|_| round >= self.floor) else {
            return;
        };
        match output {
            multivalued::Output::Offered { from, value } => {
                if let Some(entries) = vector::decode(&value, fx.seat()) {
                    open.accuse_liars(round, &entries, fx);
                    open.offers.insert(from, entries);
                }
            }
            multivalued::Output::Decided { from, value } => {
                if let Some(entries) = vector::decode(&value, fx.seat())
                    && open.decided.is_none()
                {
                    open.accuse_liars(round, &entries, fx);
                    open.decided = Some((Decision { from, vector: value }, entries));
                }
            }
        }
    }

    /// A3: supports the proposals whose batches are stored; what a proposal names, its proposer has.
    pub(super) fn approve(&mut self, fx: &mut Effects<'_, Self>) {
        for round in self.live() {
            let Some(open) = self.rounds.get_mut(&round) else { continue };
            let mut complete = Vec::new();
            for (from, entries) in &open.offers {
                let missing: Vec<_> = open.missing(entries).collect();
                if missing.is_empty() {
                    complete.push(*from);
                }
                for digest in missing {
                    if open.asked.insert((*from, digest)) {
                        fx.send(*from, Message::Request { round, digest });
                    }
                }
            }
            complete.iter().for_each(|from| drop(open.offers.remove(from)));
            for from in complete {
                self.ask(round, Some(multivalued::Input::Approve(from)), fx);
            }
        }
    }

    /// A4: delivers the current round if it is decided and its batches are stored.
    pub(super) fn finish(&mut self, fx: &mut Effects<'_, Self>) -> bool {
        let round = self.position.round;
        let Some(open) = self.rounds.get(&round) else { return false };
        let Some((decision, entries)) = &open.decided else { return false };
        if open.missing(entries).next().is_some() {
            return false;
        }
        let mut slot = self.position.slot;
        for entry in entries {
            let batch = &open.bodies[&entry.batch];
            if !batch.is_empty() {
                if let Some(company) = &mut self.company {
                    *company.entry(entry.party).or_default() += 1;
                }
                self.delivery.batch(slot, entry.party, batch.clone());
                slot = slot.plus(batch.len() as u64);
            }
        }
        let me = fx.seat().me();
        let named = entries.iter().find(|entry| entry.party == me).map(|entry| entry.batch);
        if self.own.settle(round, named) > 0 {
            fx.output(Output::Ordered { own: self.own.settled() });
        }
        self.position = Position {
            round: round.next(),
            slot,
            chain: chain(&self.position.chain, round, decision),
            first: next_first(round, decision.from, entries, fx.seat().thresholds().n()),
            memo: Bytes::new(),
        };
        self.delivery.end(self.position.clone());
        self.enter(fx);
        true
    }

    /// Begins the round at the position, and tells those who wait for the one before.
    fn enter(&mut self, fx: &mut Effects<'_, Self>) {
        let Position { round, first, .. } = self.position;
        self.rounds.entry(round).or_insert_with(|| Open::new(first)).first = first;
        self.catch_up.entered(round);
        self.serve_all(fx);
        self.prune();
    }

    /// Keeps of the decided rounds as many as the limits allow, and at least two.
    fn prune(&mut self) {
        let current = self.position.round;
        if let Some(before) = current.number().checked_sub(2)
            && let Some(open) = self.rounds.get_mut(&Round::new(before))
        {
            open.close();
        }
        let decided = |(round, _): &(&Round, &Open)| **round < current;
        let mut weight: usize =
            self.rounds.iter().filter(decided).map(|(_, open)| open.weight()).sum();
        let mut count = self.rounds.range(..current).count() as u64;
        while count > 2 && (count > self.spec.rounds_kept || weight > self.spec.bytes_kept) {
            let Some((_, oldest)) = self.rounds.pop_first() else { return };
            weight -= oldest.weight();
            count -= 1;
        }
    }

    /// The oldest decided round that is kept; the current one if there is none.
    pub(super) fn oldest(&self) -> Round {
        self.rounds.keys().next().map_or(self.position.round, |round| *round)
    }

    /// Leaves the agreements that nobody needs any more, and forgets what was announced between here
    /// and there.
    pub(super) fn raise_floor(&mut self, fx: &mut Effects<'_, Self>) {
        let decided = self.position.round.number().saturating_sub(1);
        let over = self.catch_up.goal().number().saturating_sub(1);
        let floor = Round::new(decided.max(over));
        if floor > self.floor {
            self.floor = floor;
            let current = self.position.round;
            let ahead = self.rounds.range(current..).map(|(round, _)| *round);
            let dropped: Vec<_> = ahead.filter(|round| !self.keeps(*round)).collect();
            dropped.iter().for_each(|round| drop(self.rounds.remove(round)));
        }
        for _ in 0..RETIRED_PER_STEP.min(self.floor.number() - self.retired.number()) {
            fx.retire(Role::Agreement.at(self.retired));
            self.retired = self.retired.next();
        }
    }

    /// A5: jumps to a checkpoint of the user.
    pub(super) fn on_resume(&mut self, position: Position, fx: &mut Effects<'_, Self>) {
        self.delivery.skip(position.slot);
        if position.round <= self.position.round {
            return;
        }
        let unsure = self.own.abandon();
        if !unsure.is_empty() {
            fx.output(Output::Ordered { own: self.own.settled() });
            fx.output(Output::Unsure { batch: unsure });
        }
        self.rounds.retain(|round, _| *round >= position.round);
        self.floor = self.floor.max(position.round);
        self.position = position;
        self.enter(fx);
        self.fetch_on(fx);
    }
}

/// How many rounds a candidate may serve that leaves somebody out. Long, because a change can hit one
/// who is slow, and that round then takes a coin; not for ever, because the one may be left out on
/// purpose.
const TENURE: u64 = 16;

/// The party to try first after `round`: the winner again, but at the end of a tenure, if it did not
/// name everybody, the next one after it that it named.
pub(super) fn next_first(round: Round, winner: PartyId, entries: &[Entry], n: u16) -> PartyId {
    if entries.len() == usize::from(n) || !(round.number() + 1).is_multiple_of(TENURE) {
        return winner;
    }
    let parties = || entries.iter().map(|entry| entry.party);
    parties().find(|party| *party > winner).or_else(|| parties().next()).unwrap_or(winner)
}

/// The chain goes on with a decision.
fn chain(before: &Digest, round: Round, decision: &Decision) -> Digest {
    let (round, from) = (round.number().to_le_bytes(), decision.from.number().to_le_bytes());
    Digest::of_parts("chain", &[before.as_bytes(), &round, &from, &decision.vector])
}
