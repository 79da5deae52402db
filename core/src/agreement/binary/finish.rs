//! How a binary agreement ends: the word of those who decided stands for their votes.

use super::{Binary, Message, Output};
use crate::{
    agreement::equivocated,
    effects::Effects,
    id::{PartyId, Round},
    path::Role,
};

impl Binary {
    /// The coin has decided: every correct party has this estimate from the next round on.
    pub(super) fn halt(&mut self, value: bool, fx: &mut Effects<'_, Self>) {
        self.halted = true;
        fx.broadcast(Message::Finish { value, round: Some(self.round) });
        self.decide(value, fx);
    }

    fn decide(&mut self, value: bool, fx: &mut Effects<'_, Self>) {
        if self.decided.is_none() {
            self.decided = Some(value);
            fx.output(Output::Decided { value, round: self.round });
        }
    }

    /// A6. The value of a finish is for good; its round may be added to it later.
    pub(super) fn on_finish(
        &mut self,
        from: PartyId,
        value: bool,
        round: Option<Round>,
        fx: &mut Effects<'_, Self>,
    ) {
        let (first, halted) = self.finishes.entry(from).or_insert((value, None));
        if *first != value || (halted.is_some() && round.is_some() && *halted != round) {
            return fx.accuse(from, equivocated(&(*first, *halted), &(value, round)));
        }
        if let (None, Some(since)) = (*halted, round) {
            *halted = round;
            self.stand_in(from, value, since, fx);
        }
        self.try_stop(value, fx);
    }

    /// The word of a party that halted stands for its votes in all later rounds.
    fn stand_in(&mut self, from: PartyId, value: bool, since: Round, fx: &mut Effects<'_, Self>) {
        for (_, tallies) in self.rounds.range_mut(since..).filter(|(round, _)| **round > since) {
            tallies.stand_in(from, value);
        }
        let later = self.rounds.range(since..).map(|(round, _)| *round);
        let left: Vec<_> = later.filter(|round| *round <= self.round).collect();
        if self.estimate.is_some() {
            left.into_iter().for_each(|round| self.relay(round, fx));
        }
    }

    fn try_stop(&mut self, value: bool, fx: &mut Effects<'_, Self>) {
        let t = fx.seat().thresholds();
        let count = self.finishes.values().filter(|(finish, _)| *finish == value).count();
        if count >= t.one_correct() && self.decided.is_none() {
            fx.broadcast(Message::Finish { value, round: None });
            self.decide(value, fx);
            self.begin(value, fx);
        }
        if count >= t.most_correct() {
            self.stopped = true;
            self.rounds.clear();
            (0..=self.round.number()).for_each(|round| fx.retire(Role::Coin.at(round)));
        } else {
            self.go_on(fx);
        }
    }
}
