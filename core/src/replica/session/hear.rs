//! What a session hears: replies that are counted, refusals, and time that passed.

use super::{Open, Output, QUARTERS, Session, Why, ask::Strand, replica};
use crate::{
    crypto::Digest,
    effects::Effects,
    fault::Fault,
    id::PartyId,
    replica::{
        message::{Refusal, Reply},
        number::Number,
    },
    tally::Vote,
};

/// The most answered requests for which late replies are still counted: a tenth of a second of a busy
/// session.
pub(in crate::replica) const SETTLING_MAX: usize = 4_096;

/// The most bytes of what replicas said to them.
const SETTLING_BYTES_MAX: usize = 16 << 20;

impl Session {
    fn open_mut(&mut self, number: Number) -> Option<&mut Open> {
        let here = (self.era.known(), self.spec.session) == (Some(number.era()), number.session());
        let strand = self.strands.get_mut(&number.strand()).filter(|_| here);
        match strand.and_then(|strand| strand.open.get_mut(&number.count())) {
            Some(open) => Some(open),
            None => self.answered.get_mut(&number),
        }
    }

    pub(super) fn on_reply(&mut self, from: PartyId, reply: Reply, fx: &mut Effects<'_, Self>) {
        let Reply { number, body } = reply;
        let Some(open) = self.open_mut(number) else { return };
        let digest = Digest::of("reply", &body);
        match open.replies.vote(from, digest) {
            Vote::Fresh { .. } => {
                let before = open.weight();
                open.bodies.insert(digest, body);
                let more = open.weight() - before;
                self.settling_bytes += if open.answer.is_some() { more } else { 0 };
            }
            Vote::Repeated => return,
            Vote::Conflicting { first } => {
                let fault = Fault::Equivocated { first, second: digest };
                return fx.accuse(replica(fx, from), fault);
            }
        }
        let open = self.open_mut(number).expect("it was there");
        match open.answer {
            None => self.try_answer(number, digest, fx),
            Some(agreed) if agreed != digest => {
                fx.accuse(replica(fx, from), Fault::Outvoted { answered: digest, agreed });
            }
            Some(_) => {}
        }
        self.try_settle(number, fx);
    }

    fn try_answer(&mut self, number: Number, digest: Digest, fx: &mut Effects<'_, Self>) {
        let thresholds = fx.seat().thresholds();
        let (needed, of) = (thresholds.one_correct(), usize::from(thresholds.n()));
        let Some(strand) = self.strands.get_mut(&number.strand()) else { return };
        let Some(open) = strand.open.get_mut(&number.count()) else { return };
        if open.replies.count(&digest) < needed {
            let possible = open.equal() + (of - open.replies.len());
            if possible < needed && !std::mem::replace(&mut open.hopeless, true) {
                fx.output(open.no_quorum(needed, of));
            }
            return;
        }
        let mut open = strand.open.remove(&number.count()).expect("it was there");
        (open.answer, open.age) = (Some(digest), 0);
        for (liar, answered) in open.outvoted(&digest) {
            fx.accuse(replica(fx, liar), Fault::Outvoted { answered, agreed: digest });
        }
        fx.output(Output::Answered {
            number: open.number,
            body: open.bodies.get(&digest).cloned().unwrap_or_default(),
            agree: open.replies.voters(&digest).collect(),
            of,
            outvoted: open.otherwise(&digest),
        });
        self.bundles.answered(open.bundle);
        self.make_ready(number.strand());
        self.settling.push_back(number);
        self.settling_bytes += open.weight();
        self.answered.insert(number, open);
    }

    fn try_settle(&mut self, number: Number, fx: &mut Effects<'_, Self>) {
        let all = usize::from(fx.seat().thresholds().n());
        if self.answered.get(&number).is_some_and(|open| open.replies.len() == all) {
            self.settle(number, fx);
            // The slowest replica has been heard since.
            self.bundles.expect_no_more();
        }
        while let Some(oldest) = self.settling.front().copied()
            && (self.settling.len() > SETTLING_MAX
                || self.settling_bytes > SETTLING_BYTES_MAX
                || !self.answered.contains_key(&oldest))
        {
            self.settle(oldest, fx);
            self.settling.pop_front();
        }
    }

    /// Tells the user who answered what, and forgets the request.
    fn settle(&mut self, number: Number, fx: &mut Effects<'_, Self>) {
        let Some(open) = self.answered.remove(&number) else { return };
        self.settling_bytes -= open.weight();
        let Some(agreed) = open.answer else { return };
        let silent: Vec<PartyId> =
            fx.seat().parties().filter(|party| open.replies.of(*party).is_none()).collect();
        // Who had less than its time is not called silent.
        for party in silent.iter().filter(|_| open.age >= QUARTERS) {
            fx.accuse(replica(fx, *party), Fault::Silent);
        }
        fx.output(Output::Tallied {
            number: open.number,
            agree: open.replies.voters(&agreed).collect(),
            outvoted: open.otherwise(&agreed),
            silent,
        });
    }

    /// A quarter of the time for the slower replicas passed.
    pub(super) fn on_settle(&mut self, fx: &mut Effects<'_, Self>) {
        self.alarms.settle = false;
        self.answered.values_mut().for_each(|open| open.age += 1);
        // The older an answer, the earlier it stands.
        while let Some(oldest) = self.settling.front().copied()
            && self.answered.get(&oldest).is_none_or(|open| open.age >= QUARTERS)
        {
            self.settle(oldest, fx);
            self.settling.pop_front();
        }
    }

    pub(super) fn on_refused(
        &mut self,
        from: PartyId,
        number: Number,
        why: Refusal,
        fx: &mut Effects<'_, Self>,
    ) {
        let needed = fx.seat().thresholds().one_correct();
        let Some(open) = self.open_mut(number) else { return };
        open.refusals.insert(from, why);
        let equal = open.refusals.values().filter(|said| **said == why).count();
        let over = match why {
            Refusal::Busy => return,
            Refusal::Superseded => Why::Superseded,
            Refusal::Stranger => Why::Stranger,
            Refusal::Forgotten => Why::Forgotten,
        };
        if equal >= needed && open.answer.is_none() {
            self.end(over, fx);
        }
    }

    /// A quarter of the user's patience passed.
    pub(super) fn on_patience(&mut self, fx: &mut Effects<'_, Self>) {
        self.alarms.patience = false;
        let thresholds = fx.seat().thresholds();
        let (needed, of) = (thresholds.one_correct(), usize::from(thresholds.n()));
        for open in self.strands.values_mut().flat_map(|strand| strand.open.values_mut()) {
            open.age += 1;
            if open.age.is_multiple_of(QUARTERS) {
                fx.output(open.no_quorum(needed, of));
            }
        }
        if self.era.lost_patience() {
            for number in self.strands.values().flat_map(Strand::waiting) {
                fx.output(Open::new(number, 0).no_quorum(needed, of));
            }
        }
    }
}
