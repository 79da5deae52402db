//! What happens when the first candidate fails: commit vectors, the coin, and turn after turn.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{Ask, Message, Multivalued, Output, order};
use crate::{
    agreement::{Predicate, validated},
    broadcast::consistent::{self, Closing},
    crypto::Digest,
    effects::Effects,
    fault::Fault,
    id::{PartyId, Turn},
    path::Role,
    wire::limits::certificate_bytes_max,
};

impl<Q: Predicate<Proof = Bytes>> Multivalued<Q> {
    /// V3: once turn 0 has failed, commits to the proposals that are here.
    pub(super) fn try_commit(&mut self, fx: &mut Effects<'_, Self>) {
        let enough = self.closings.len() >= fx.seat().thresholds().available();
        if self.turn == Turn::FIRST || self.committed || !enough {
            return;
        }
        self.committed = true;
        let members: BTreeSet<_> = self.closings.keys().copied().collect();
        let vector = order::encode(&members, fx.seat().thresholds().n());
        let spec = commit_of(fx.seat().me(), fx.seat().thresholds().n());
        fx.ask(Ask::Commit { spec, input: Some(consistent::Input::Broadcast(vector)) });
        self.try_toss(fx);
    }

    pub(super) fn on_commit(
        &mut self,
        from: PartyId,
        output: consistent::Output,
        fx: &mut Effects<'_, Self>,
    ) {
        let consistent::Output::Delivered(closing) = output else { return };
        let Some(members) = order::decode(&closing.payload, fx.seat()) else {
            return fx.accuse(from, Fault::Improper("commit vector of too few members".into()));
        };
        self.commits.entry(from).or_insert(members);
        self.try_toss(fx);
        self.try_turn(fx);
    }

    /// Asks for the order when enough vectors are fixed, this party's own among them or on its way: a
    /// no that came before the own vector would be called improper if the proposal came in between.
    fn try_toss(&mut self, fx: &mut Effects<'_, Self>) {
        let enough = self.commits.len() >= fx.seat().thresholds().available();
        if enough && self.committed && !self.tossed {
            self.tossed = true;
            fx.ask(Ask::Order);
        }
    }

    /// V4: the order is known, so voting begins.
    pub(super) fn on_order(&mut self, coin: Digest, fx: &mut Effects<'_, Self>) {
        self.order = order::permutation(&coin, fx.seat().thresholds().n());
        self.vote(fx);
        self.try_turn(fx);
    }

    /// The candidate of the turn that is under way, if the order is known.
    fn candidate(&self) -> Option<PartyId> {
        let place = self.turn.number().checked_sub(1)?;
        let place = usize::try_from(place).expect("turns are few");
        self.order.get(place % self.order.len().max(1)).copied()
    }

    /// V5: says yes, with the closing, or no. What this party committed to it holds, so its no is
    /// proper.
    fn vote(&mut self, fx: &mut Effects<'_, Self>) {
        let Some(candidate) = self.candidate() else { return };
        let closing = self.closings.get(&candidate).cloned();
        fx.ask(Ask::Vote { turn: self.turn, candidate, input: None });
        fx.broadcast(Message::Vote { turn: self.turn, closing });
    }

    pub(super) fn on_vote(
        &mut self,
        from: PartyId,
        turn: Turn,
        closing: Option<Closing>,
        fx: &mut Effects<'_, Self>,
    ) {
        let longest = certificate_bytes_max(fx.seat().thresholds().n());
        let fits = closing.as_ref().is_none_or(|closing| {
            closing.payload.len() <= self.spec.limit && closing.certificate.0.len() <= longest
        });
        if !fits {
            return fx.accuse(from, Fault::Improper("proposal too large".into()));
        }
        if turn >= self.turn && !self.shunned.contains(&from) {
            self.votes.entry(turn).or_default().entry(from).or_insert(closing);
            self.try_turn(fx);
        }
    }

    /// Says yes as soon as anybody has shown the closing, and no when `n - f` proper votes are here and
    /// none of them did.
    pub(super) fn try_turn(&mut self, fx: &mut Effects<'_, Self>) {
        let Some(candidate) = self.candidate().filter(|_| self.said != Some(true)) else { return };
        let proper = self.count_proper(candidate, fx);
        self.say(candidate, proper >= fx.seat().thresholds().available(), fx);
    }

    /// Counts the proper votes of this turn, throws improper ones out, and learns the closing.
    ///
    /// A yes is proper with its closing. A no is proper when the commit vector of its voter is here
    /// and lacks the candidate; until the vector comes, the vote waits.
    fn count_proper(&mut self, candidate: PartyId, fx: &mut Effects<'_, Self>) -> usize {
        let mut votes = self.votes.remove(&self.turn).unwrap_or_default();
        let mut proper = 0;
        votes.retain(|voter, vote| {
            let judged = match vote {
                Some(closing) => Some(self.learn(candidate, closing, fx)),
                None => self.commits.get(voter).map(|members| !members.contains(&candidate)),
            };
            if judged == Some(false) {
                self.shunned.insert(*voter);
                fx.accuse(*voter, Fault::Improper("vote without proof or commitment".into()));
            }
            proper += usize::from(judged == Some(true));
            judged != Some(false)
        });
        self.votes.insert(self.turn, votes);
        proper
    }

    /// Whether `closing` is the one of the candidate's proposal; if so, it is kept.
    fn learn(&mut self, candidate: PartyId, closing: &Closing, fx: &mut Effects<'_, Self>) -> bool {
        if self.closings.get(&candidate) == Some(closing) {
            return true;
        }
        let seat = fx.seat();
        let holds = closing.check(&seat.id.child(Role::Proposal.at(candidate)), &seat.keys);
        if holds {
            self.closings.entry(candidate).or_insert_with(|| closing.clone());
        }
        holds
    }

    /// V6: 1 decides the candidate's proposal, 0 goes on to the next turn.
    pub(super) fn on_turn(
        &mut self,
        turn: Turn,
        output: validated::Output<Closing>,
        fx: &mut Effects<'_, Self>,
    ) {
        if turn != self.turn || self.decided {
            return;
        }
        let validated::Output::Decided(proof) = output;
        let candidate = self.candidate().unwrap_or(self.spec.first);
        match proof {
            Some(closing) => {
                self.decided = true;
                self.closings.entry(candidate).or_insert_with(|| closing.clone());
                fx.output(Output::Decided { from: candidate, value: closing.payload });
            }
            None => self.next_turn(fx),
        }
    }

    fn next_turn(&mut self, fx: &mut Effects<'_, Self>) {
        self.votes.remove(&self.turn);
        self.said = None;
        self.turn = self.turn.next();
        if self.turn == Turn::FIRST.next() {
            let n = fx.seat().thresholds().n();
            for party in fx.seat().parties() {
                fx.ask(Ask::Commit { spec: commit_of(party, n), input: None });
            }
            self.try_commit(fx);
        }
        self.vote(fx);
        self.try_turn(fx);
    }
}

/// The broadcast of a commit vector.
fn commit_of(sender: PartyId, n: u16) -> consistent::Spec {
    consistent::Spec { sender, limit: order::vector_len(n), approve: false }
}
