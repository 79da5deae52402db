//! Who schedules the messages, and knows the coin before a slow party has fixed what it will carry on,
//! steers that party against the coin: the parties are split again, round after round.
//!
//! Four parties: [`LEFT`] speaks for 1, [`RIGHT`] for 0, [`SLOW`] hears them late, [`LIAR`] says what
//! is needed. Found by `MacBrough` in the agreement of `HoneyBadgerBFT`; the other two are its kin.

use std::collections::BTreeMap;

use maftia_core::{
    agreement::{
        binary::{Binary, Input, Message, Output, Rule, Spec},
        bool_set::BoolSet,
        coin,
    },
    crypto::Share,
    id::{PartyId, Round},
    mail::Mail,
    path::Role,
    shuttle::{Delivery, Shuttle, read, seat_in},
};

const LEFT: usize = 0;
const RIGHT: usize = 1;
const SLOW: usize = 2;
const LIAR: usize = 3;

/// How many rounds a broken variant is kept from deciding: a fair run of as many rounds is as likely
/// as a coin that falls on the same side a hundred times.
const ROUNDS: u64 = 100;

/// When ours must have decided at the latest: it fails to with probability `40 / 2^38`.
const DECIDED: u64 = 40;

/// The worlds that are tried: each has other coins.
const SECRETS: std::ops::Range<u8> = 0..4;

/// The adversary, in one round.
struct Adversary {
    stage: Shuttle<Binary>,
    round: Round,
}

impl Adversary {
    fn new(secret: u8, spec: Spec) -> Self {
        let seats = (0..4).map(|party| seat_in(secret, 4, party)).collect();
        let mut stage = Shuttle::of(seats, 0, spec);
        stage.mute = vec![LIAR];
        for (party, value) in [(LEFT, true), (RIGHT, true), (SLOW, false)] {
            stage.input(party, Input::Propose(value));
        }
        Self { stage, round: Round::FIRST }
    }

    fn estimate(&self, value: bool) -> Message {
        Message::Estimate { round: self.round, value }
    }

    fn auxiliary(&self, value: bool) -> Message {
        Message::Auxiliary { round: self.round, value }
    }

    fn confirm(&self, values: BoolSet) -> Message {
        Message::Confirm { round: self.round, values }
    }

    /// The liar says this, and it arrives at once.
    fn lie(&mut self, to: usize, message: Message) {
        self.stage.forge(LIAR, to, &message);
        self.hear(to, LIAR, message);
    }

    /// What `from` says arrives at `to`, if it was said.
    fn hear(&mut self, to: usize, from: usize, message: Message) {
        self.stage.deliver(|flight| flight.0 == to && said(flight) == Some((from, message)));
    }

    /// What all say to that end arrives at `to`.
    fn hear_all(&mut self, to: usize, message: Message) {
        self.stage.forge(LIAR, to, &message);
        self.stage.deliver(|flight| {
            flight.0 == to && said(flight).is_some_and(|(_, said)| said == message)
        });
    }

    /// The two that are fast hear of both values, each of its own first.
    fn split(&mut self) {
        self.hear_all(LEFT, self.estimate(true));
        self.hear_all(RIGHT, self.estimate(false));
        self.hear_all(LEFT, self.estimate(false));
        self.hear_all(RIGHT, self.estimate(true));
    }

    /// The two that are fast hear each other out, and toss.
    fn finish_fast(&mut self) {
        for (to, other) in [(LEFT, RIGHT), (RIGHT, LEFT)] {
            for value in [true, false] {
                self.hear(to, other, self.auxiliary(value));
            }
            self.lie(to, self.auxiliary(true));
        }
        for (to, other) in [(LEFT, RIGHT), (RIGHT, LEFT)] {
            self.hear(to, other, self.confirm(BoolSet::BOTH));
            self.lie(to, self.confirm(BoolSet::BOTH));
        }
    }

    /// The coin of this round, if two parties have tossed it: the liar adds nothing to that. Before
    /// that it can only guess.
    fn coin(&self) -> Option<bool> {
        match self.round.number() {
            0 => return Some(true),
            1 => return Some(false),
            _ => {}
        }
        let seat = self.stage.seats[LIAR].child(Role::Coin.at(self.round));
        let shown = |flight| match read::<_, coin::Message>(flight)? {
            (from, at, coin::Message::Share(share)) => (*at == seat.id).then_some((from, share)),
        };
        let shares: BTreeMap<PartyId, Share> = self.stage.pool.iter().filter_map(shown).collect();
        let shares: Vec<_> = shares.into_iter().collect();
        let value = seat.keys.coin.combine(&seat.tag("coin"), &shares).ok()?;
        Some(value.as_bytes()[0] & 1 == 1)
    }

    /// The slow one accepts `value` only, and hears of no other auxiliary.
    fn steer_slow(&mut self, value: bool) {
        self.hear_all(SLOW, self.estimate(value));
        for from in [LEFT, RIGHT] {
            self.hear(SLOW, from, self.auxiliary(value));
        }
        self.lie(SLOW, self.auxiliary(value));
    }

    /// Every message of this round and of those before arrives: links are reliable.
    fn be_fair(&mut self) {
        for party in [LEFT, RIGHT, SLOW] {
            self.stage.forge(LIAR, party, &self.confirm(BoolSet::BOTH));
        }
        let round = self.round;
        self.stage.deliver(|flight| match said(flight).map(|(_, message)| message) {
            Some(
                Message::Estimate { round: at, .. }
                | Message::Auxiliary { round: at, .. }
                | Message::Confirm { round: at, .. },
            ) => at <= round,
            Some(Message::Finish { .. }) | None => true,
        });
        self.round = self.round.next();
    }

    /// Answers of the pool arrive as soon as there are any.
    fn compute(&mut self) {
        self.stage.deliver(|(_, mail)| matches!(mail, Mail::Answer { .. }));
    }

    fn undecided(&self) -> bool {
        self.stage.outputs[..3].iter().all(Vec::is_empty)
    }
}

/// Who says what in the agreement itself, if this is that.
fn said(flight: &Delivery<Binary>) -> Option<(usize, Message)> {
    let (from, instance, message) = read(flight)?;
    instance.path().is_empty().then_some((from.index(), message))
}

/// The fast ones have heard both values when they toss, so they will follow the coin; the slow one
/// is steered against it.
fn steer_after_auxiliaries(adversary: &mut Adversary) {
    adversary.split();
    adversary.finish_fast();
    adversary.compute();
    let against = !adversary.coin().unwrap_or(true);
    adversary.steer_slow(against);
    adversary.lie(SLOW, adversary.confirm(BoolSet::of(against)));
    adversary.be_fair();
}

/// The fast ones toss when they speak; the one that spoke against the coin and the slow one confirm
/// that alone, and the slow one hears of nothing else.
fn steer_after_an_early_coin(adversary: &mut Adversary) {
    adversary.split();
    adversary.compute();
    let against = !adversary.coin().unwrap_or(true);
    let (ally, other) = if against { (LEFT, RIGHT) } else { (RIGHT, LEFT) };
    adversary.steer_slow(against);
    adversary.hear(ally, SLOW, adversary.auxiliary(against));
    adversary.lie(ally, adversary.auxiliary(against));
    adversary.hear(other, ally, adversary.auxiliary(against));
    adversary.lie(other, adversary.auxiliary(!against));
    adversary.hear(SLOW, ally, adversary.confirm(BoolSet::of(against)));
    adversary.lie(SLOW, adversary.confirm(BoolSet::of(against)));
    adversary.hear(ally, other, adversary.confirm(BoolSet::BOTH));
    adversary.be_fair();
}

/// No correct party decides in any of [`ROUNDS`], though every message of a round arrives before the
/// next one begins.
fn falls(rule: Rule, schedule: fn(&mut Adversary)) {
    for secret in SECRETS {
        let mut adversary = Adversary::new(secret, Spec::biased_to(true).without(rule));
        while adversary.round.number() < ROUNDS {
            schedule(&mut adversary);
            assert!(adversary.undecided(), "{rule:?}: secret {secret}, round {}", adversary.round);
        }
        let reached = |party: usize| {
            let votes = adversary.stage.pool.iter().filter_map(said);
            let last = adversary.estimate(true);
            votes.into_iter().any(|(from, vote)| from == party && round(vote) == round(last))
        };
        assert!([LEFT, RIGHT, SLOW].into_iter().all(reached), "all went through every round");
    }
}

fn round(message: Message) -> Option<Round> {
    match message {
        Message::Estimate { round, .. }
        | Message::Auxiliary { round, .. }
        | Message::Confirm { round, .. } => Some(round),
        Message::Finish { .. } => None,
    }
}

/// All correct parties decide the same bit by round [`DECIDED`].
fn stands(schedule: fn(&mut Adversary)) {
    for secret in SECRETS {
        let mut adversary = Adversary::new(secret, Spec::biased_to(true));
        let told = |adversary: &Adversary| -> Vec<bool> {
            let outputs = adversary.stage.outputs[..3].iter().flatten();
            outputs.map(|Output::Decided { value, .. }| *value).collect()
        };
        while told(&adversary).len() < 3 && adversary.round.number() < DECIDED {
            schedule(&mut adversary);
        }
        let told = told(&adversary);
        assert_eq!(told.len(), 3, "secret {secret}");
        assert!(told.iter().all(|value| *value == told[0]), "secret {secret}");
    }
}

#[test]
fn auxiliaries_that_nothing_binds_never_end() {
    falls(Rule::Confirm, steer_after_auxiliaries);
    stands(steer_after_auxiliaries);
}

#[test]
fn carrying_on_ones_own_auxiliaries_never_ends() {
    falls(Rule::Union, steer_after_auxiliaries);
}

#[test]
fn tossing_with_the_auxiliaries_never_ends() {
    falls(Rule::TossLast, steer_after_an_early_coin);
    stands(steer_after_an_early_coin);
}
