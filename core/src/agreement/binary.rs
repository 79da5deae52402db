//! Binary agreement: all correct parties decide the same bit, and one of them proposed it.
//!
//! # Reference
//! Mostéfaoui, Moumen, Raynal, *Signature-free asynchronous Byzantine consensus*, PODC 2014, with the
//! confirm step of `MacBrough` (Cobalt, 2018) and Crain (2020). Rules A0 to A6 below.
//!
//! # Model
//! Asynchronous, authenticated and reliable links, `n >= 3f + 1`, a common coin of `f + 1`.
//!
//! # Thresholds
//! | rule | waits for | because |
//! |---|---|---|
//! | A1 relay an estimate | `one_correct` | a correct party has it, so it was proposed |
//! | A1 accept an estimate | `most_correct` | `f + 1` correct have it, so all relay and all come to accept it |
//! | A3 confirm | `available` auxiliaries of accepted values | no more can be waited for; two such sets share a correct party |
//! | A4 toss | `available` confirms within the accepted values | `f + 1` of them are correct: see below |
//! | A6 decide on a word | `one_correct` finishes | a correct party decided |
//! | A6 stop | `most_correct` finishes | `f + 1` correct ones reach everybody, so nobody needs us |
//!
//! # Properties
//! Agreement, validity (the decision was proposed by a correct party), termination with probability
//! 1: when everyone has learned the coin of a round, the parties agree with probability 1/2 at least,
//! and those who agree decide at the next coin that shows their bit.
//!
//! *Why a coin of `f + 1` is enough.* When the first correct party tosses, it has `n - f` confirms, of
//! which `f + 1` are correct. If one of these is `{v}`, a set of `n - f` auxiliaries said `v`, so no
//! correct party confirms `{1 - v}`, and `n - f` confirms of it cannot exist. If all are `{0, 1}`,
//! every set of `n - f` confirms meets one of them. So the one bit that a party can still carry into
//! the next round against the coin is fixed before anybody can know the coin. It takes rule A4 as it
//! stands: a confirm says what the *auxiliaries* were, and the outcome is the union of the
//! *confirms*. `Rule` names what breaks without each; `tests/schedules` shows it.
//!
//! *Why late parties find what they need.* A party holds messages of rounds up to [`WINDOW`] above its
//! own and ignores others. Of the coins of any `k` rounds, fewer than two show the bit that is fixed
//! before with probability at most `(k + 1) / 2^k`; after the first that does all correct parties
//! have one estimate, and at the second everyone who gets there halts, so no correct party is ever
//! above that one. So with probability `1 - 2^-118` no correct party is so far above another that a
//! message of it is ignored. A party answers for rounds below its own (it relays, and all else it has said)
//! until it stops.
//!
//! *Why those who halt are not missed.* A party that decides by the coin of round `r` takes no part in
//! later rounds: its `Finish` says so, and counts as its estimate, auxiliary and confirm there, which
//! could be nothing else, as every correct party has that estimate after `r`. Then either fewer than
//! `f + 1` correct parties go on, and `f + 1` have finished, which ends it for all; or `f + 1` go on
//! and toss each later coin. A party that decides on the word of others has proof that the decision
//! stands, but not from which round on, so it goes on until a coin decides it too.
//!
//! # Deviations
//! The first two coins are constants, [`Spec::bias`] and its opposite, which saves the cost of a real
//! coin when the parties agree at the start. They are known to the adversary, who may split the
//! parties again; the rounds after them do not depend on how they went.

mod finish;
mod tallies;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use self::tallies::Tallies;
use super::{bool_set::BoolSet, coin, equivocated};
use crate::{
    children::Children,
    crypto::Digest,
    effects::Effects,
    fault::Fault,
    id::{PartyId, Peer, Round},
    path::{Role, Segment},
    protocol::{Early, Event, Kind, Never, Protocol},
    seat::Seat,
};

/// How many rounds above its own a party listens to. See the [module](self) for what is lost.
pub const WINDOW: u64 = 128;

/// The rounds whose coin is a constant.
const CONSTANT: u64 = 2;

/// What makes two binary agreements differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The constant coin of the first round: if all correct parties propose it, they decide there.
    pub bias: bool,
    /// The rule that a broken variant lacks.
    #[cfg(any(test, feature = "sim"))]
    pub lacking: Option<Rule>,
}

impl Spec {
    /// An agreement that is quickest for this bit.
    pub const fn biased_to(bias: bool) -> Self {
        Self {
            bias,
            #[cfg(any(test, feature = "sim"))]
            lacking: None,
        }
    }

    /// A broken variant, for tests that must catch it.
    #[cfg(any(test, feature = "sim"))]
    pub const fn without(self, rule: Rule) -> Self {
        Self { lacking: Some(rule), ..self }
    }

    #[cfg(any(test, feature = "sim"))]
    const fn lacks(self, rule: Rule) -> bool {
        matches!(self.lacking, Some(lacking) if lacking as u8 == rule as u8)
    }

    #[cfg(not(any(test, feature = "sim")))]
    #[expect(clippy::unused_self, reason = "outside of tests no rule is lacking")]
    const fn lacks(self, _: Rule) -> bool {
        false
    }
}

/// What published variants left out, each to its harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rule {
    /// Confirming at all. Without it the coin is known before the auxiliaries of all are fixed.
    Confirm,
    /// Going on with the union of the confirms. A party's own auxiliaries may be steered after the
    /// coin is known.
    Union,
    /// Tossing after the confirms. A coin that is tossed with the auxiliaries is known too early.
    TossLast,
}

/// What the user may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// Take part, with this bit. The first one counts. The decision may come before it.
    Propose(bool),
}

/// What the user is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// The agreed bit. Comes once.
    Decided {
        /// The bit.
        value: bool,
        /// The round in which this party was when it learned it.
        round: Round,
    },
}

/// What the parties say to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// "I can live with `value`." Relayed at `f + 1`, accepted at `2f + 1`.
    Estimate {
        /// In this round.
        round: Round,
        /// The bit.
        value: bool,
    },
    /// "Everyone will come to accept `value`."
    Auxiliary {
        /// In this round.
        round: Round,
        /// The bit.
        value: bool,
    },
    /// "These are the auxiliaries that I heard when I had heard enough." Said before the coin is
    /// touched.
    Confirm {
        /// In this round.
        round: Round,
        /// The bits, at least one.
        values: BoolSet,
    },
    /// "I have decided."
    Finish {
        /// The decision.
        value: bool,
        /// "The coin of this round decided me. Count this as all of the above in every later one."
        /// Without it: "others told me, and I go on."
        round: Option<Round>,
    },
}

/// What is asked of the coins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Toss the coin of this round.
    Toss(Round),
}

/// What the coins say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Heard {
    /// The coin of this round.
    Coin(Round, Digest),
}

/// One binary agreement at one party.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Binary {
    spec: Spec,
    /// What this party goes into its round with. `None` before it takes part.
    estimate: Option<bool>,
    /// The round that this party is in.
    round: Round,
    /// The tallies of all rounds that somebody spoke about, up to the window.
    rounds: BTreeMap<Round, Tallies>,
    /// Who has decided what, and since which round its word stands for its votes.
    finishes: BTreeMap<PartyId, (bool, Option<Round>)>,
    decided: Option<bool>,
    /// Whether a coin has decided this party: it takes no part in later rounds.
    halted: bool,
    /// Whether nobody needs this party any more.
    stopped: bool,
}

impl Protocol for Binary {
    const KIND: Kind = Kind("binary");
    type Spec = Spec;
    type Input = Input;
    type Output = Output;
    type Message = Message;
    type Timer = Never;
    type Ask = Ask;
    type Heard = Heard;

    fn new(_: &Seat, spec: Spec) -> Self {
        Self {
            spec,
            estimate: None,
            round: Round::FIRST,
            rounds: BTreeMap::new(),
            finishes: BTreeMap::new(),
            decided: None,
            halted: false,
            stopped: false,
        }
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        match event {
            _ if self.stopped => {}
            Event::Input(Input::Propose(value)) => self.begin(value, fx), // A0
            Event::Message { from: Peer::Member(from), message } => match message {
                Message::Finish { value, round } => self.on_finish(from, value, round, fx), // A6
                Message::Estimate { round, .. }
                | Message::Auxiliary { round, .. }
                | Message::Confirm { round, .. } => self.on_vote(from, round, message, fx),
            },
            Event::Heard(Heard::Coin(round, coin)) => self.on_coin(round, coin, fx), // A5
            Event::Message { from, .. } => fx.accuse(from, Fault::Improper("not a member".into())),
            // Whoever is above the window needs nothing from here: see the page.
            Event::Start | Event::Behind { .. } | Event::Dropped { .. } | Event::Missed { .. } => {}
            Event::Timer(never) => match never {},
        }
    }

    fn route<C: Children<Self>>(ask: Ask, children: &mut C) {
        let Ask::Toss(round) = ask;
        let toss = Some(coin::Input::Toss);
        children.ask::<coin::Coin>(Role::Coin.at(round), (), toss, |at, output| {
            let coin::Output::Value(value) = output;
            Heard::Coin(Round::new(at.number), value)
        });
    }

    fn admit(_: &Seat, _: Peer, message: &Message) -> Result<(), Fault> {
        match message {
            // The empty set is within every set, so it would pass every rule and say nothing.
            Message::Confirm { values, .. } if values.is_empty() => {
                Err(Fault::Improper("confirms nothing".into()))
            }
            _ => Ok(()),
        }
    }

    fn early(&self, _: &Seat, child: Segment) -> Early {
        let round = Round::new(child.number);
        match child.role {
            Role::Coin if child.number < CONSTANT => Early::Never,
            Role::Coin if self.stopped || (self.halted && round > self.round) => Early::Over,
            Role::Coin if round > self.round.plus(WINDOW) => Early::Beyond,
            Role::Coin => Early::Wait,
            _ => Early::Never,
        }
    }
}

impl Binary {
    /// A0: takes part with this bit.
    fn begin(&mut self, value: bool, fx: &mut Effects<'_, Self>) {
        if self.estimate.is_none() {
            self.enter(Round::FIRST, value, fx);
            self.go_on(fx);
        }
    }

    fn enter(&mut self, round: Round, estimate: bool, fx: &mut Effects<'_, Self>) {
        self.round = round;
        self.estimate = Some(estimate);
        if self.tallies(round).sent.insert(estimate) {
            fx.broadcast(Message::Estimate { round, value: estimate });
        }
    }

    /// The tallies of a round; whoever halted before it has voted in it.
    fn tallies(&mut self, round: Round) -> &mut Tallies {
        let finishes = &self.finishes;
        self.rounds.entry(round).or_insert_with(|| {
            let mut tallies = Tallies::default();
            for (party, (value, halted)) in finishes {
                if halted.is_some_and(|halted| halted < round) {
                    tallies.stand_in(*party, *value);
                }
            }
            tallies
        })
    }

    fn on_vote(
        &mut self,
        from: PartyId,
        round: Round,
        message: Message,
        fx: &mut Effects<'_, Self>,
    ) {
        if round.number() > self.round.number().saturating_add(WINDOW) {
            let what = format!("votes in round {round}, while this party is in {}", self.round);
            return fx.accuse(from, Fault::Flooded(what));
        }
        if let Err(fault) = self.tallies(round).vote(from, message) {
            return fx.accuse(from, fault);
        }
        if self.estimate.is_some() && round <= self.round {
            self.relay(round, fx);
            self.go_on(fx);
        }
    }

    /// A1, in this party's round and in those that it has left, where others may need it.
    fn relay(&mut self, round: Round, fx: &mut Effects<'_, Self>) {
        let t = fx.seat().thresholds();
        let tallies = self.tallies(round);
        for value in [false, true] {
            let count = tallies.supporters(value);
            if count >= t.one_correct() && tallies.sent.insert(value) {
                fx.broadcast(Message::Estimate { round, value });
            }
            if count >= t.most_correct() {
                tallies.accepted.insert(value);
            }
        }
    }

    /// Goes through rounds as far as what was heard allows.
    fn go_on(&mut self, fx: &mut Effects<'_, Self>) {
        while self.estimate.is_some() && !self.halted && self.try_leave_round(fx) {}
    }

    /// Applies A1 to A5 to this party's round; says whether it is in the next one then.
    fn try_leave_round(&mut self, fx: &mut Effects<'_, Self>) -> bool {
        self.relay(self.round, fx);
        self.try_vote(fx);
        self.try_toss(fx);
        let tallies = self.tallies(self.round);
        let (Some(outcome), Some(coin)) = (tallies.outcome, tallies.coin) else { return false };
        if outcome == BoolSet::of(coin) {
            self.halt(coin, fx);
            return false;
        }
        self.enter(self.round.next(), outcome.single().unwrap_or(coin), fx);
        true
    }

    /// A2 and A3: speaks once about what it accepted, and once about what all speak of.
    fn try_vote(&mut self, fx: &mut Effects<'_, Self>) {
        let (round, spec, enough) = (self.round, self.spec, fx.seat().thresholds().available());
        let tallies = self.tallies(round);
        if !tallies.spoke && !tallies.accepted.is_empty() {
            tallies.spoke = true;
            let value = tallies.accepted.single().unwrap_or(spec.bias);
            fx.broadcast(Message::Auxiliary { round, value });
            if spec.lacks(Rule::TossLast) {
                self.toss(fx);
            }
        }
        let tallies = self.tallies(round);
        if tallies.confirmed.is_none()
            && let Some(values) = tallies.auxiliaries(enough)
        {
            tallies.confirmed = Some(values);
            fx.broadcast(Message::Confirm { round, values });
        }
    }

    /// A4: fixes the outcome of the round before it touches the coin.
    fn try_toss(&mut self, fx: &mut Effects<'_, Self>) {
        let (spec, enough) = (self.spec, fx.seat().thresholds().available());
        let tallies = self.tallies(self.round);
        let Some(own) = tallies.confirmed.filter(|_| tallies.outcome.is_none()) else { return };
        let confirms = if spec.lacks(Rule::Confirm) { Some(own) } else { tallies.confirms(enough) };
        if let Some(union) = confirms {
            tallies.outcome = Some(if spec.lacks(Rule::Union) { own } else { union });
            self.toss(fx);
        }
    }

    fn toss(&mut self, fx: &mut Effects<'_, Self>) {
        let round = self.round;
        match round.number() {
            0 => self.tallies(round).coin = Some(self.spec.bias),
            1 => self.tallies(round).coin = Some(!self.spec.bias),
            _ => fx.ask(Ask::Toss(round)),
        }
    }

    fn on_coin(&mut self, round: Round, coin: Digest, fx: &mut Effects<'_, Self>) {
        self.tallies(round).coin = Some(coin.as_bytes()[0] & 1 == 1);
        self.go_on(fx);
    }
}

#[cfg(test)]
mod tests;
