//! When to leave an epoch: rounds of signs of life, which a clock may only shorten.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    Ask, Fast, Timer,
    message::{Life, Message},
    resolve::State,
};
use crate::{
    effects::Effects,
    id::{PartyId, Round},
    path::Role,
    stream::{
        atomic::{Input as Order, Position},
        batch::Batch,
    },
    time::Span,
    wire,
};

/// After how many rounds without progress a member asks again for what it lacks.
const URGE_ROUNDS: u64 = 16;

/// After how long without progress a member that has a clock does so.
const URGE_AFTER: Span = Span::millis(5);

/// How long a member that has a clock waits before it says so.
const PULSE_AFTER: Span = Span::millis(1);

/// How often it does so at most: those who have what it lacks have answered by then.
const URGES_MAX: u8 = 8;

/// How much longer than for any progress at all a member waits for a lane that is passed over.
const STARVING: u64 = 4;

/// How often the patience with one lane doubles at most.
const STRIKES_MAX: u32 = 16;

/// How many items an epoch has that was long enough. After a shorter one a leader gets twice the time:
/// it may have been slow only because all are busy.
const LONG: u64 = 256;

/// How often the time doubles at most: from a fifth of a second to some seconds.
const DOUBLED_MAX: u32 = 4;

/// How long a lane has been passed over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Passed {
    /// How far it was ordered.
    seq: u64,
    /// Since which round it waits.
    since: u64,
    /// How many epochs were left because of it.
    strikes: u32,
}

/// What decides when this member leaves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Patience {
    /// How many signs of life each member gave in this epoch.
    lives: BTreeMap<PartyId, u64>,
    /// How many this member gave.
    mine: u64,
    /// The round of the last progress.
    since: u64,
    /// The round in which it last asked again.
    urged: u64,
    /// Whether it waits for anything.
    waiting: bool,
    passed: BTreeMap<PartyId, Passed>,
    /// Whether it has left.
    pub(super) left: bool,
    /// How many items it had delivered then.
    left_at: Option<Round>,
    /// Who has left.
    pub(super) left_by: BTreeSet<PartyId>,
    /// How far each lane was stored when this member left.
    pub(super) claimed: BTreeMap<PartyId, u64>,
    /// Where it was when its alarm was set.
    alarm: Option<Round>,
    /// Where the epoch began.
    began: Round,
    /// How often the time of a leader is doubled now.
    doubled: u32,
    urge_set: bool,
    urge_at: Round,
    /// How often its clock made it ask again since the last progress.
    urges: u8,
    signs: Signs,
}

/// What a member with a clock knows of its next sign of life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Signs {
    /// Whether an alarm is set.
    set: bool,
    /// Where it was when the alarm was set.
    at: Round,
    /// Whether it came.
    came: bool,
    /// How often the last one was repeated since the last progress.
    repeated: u8,
    /// Whether anybody has waited for long since the last progress.
    roused: bool,
}

impl Patience {
    /// A member gives a sign of life.
    pub(super) fn hear(&mut self, from: PartyId, count: u64) {
        let known = self.lives.entry(from).or_default();
        *known = count.max(*known);
    }

    /// Somebody waits.
    pub(super) fn rouse(&mut self, waits: bool) {
        self.signs.roused |= waits;
    }

    /// Whether somebody has waited for long.
    pub(super) fn is_roused(&self) -> bool {
        self.signs.roused
    }

    /// Whether this member waits for anything.
    pub(super) fn waits(&self) -> bool {
        self.waiting
    }

    /// The `k`-th highest count.
    fn reached(&self, k: usize) -> u64 {
        let mut counts: Vec<u64> = self.lives.values().copied().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        counts.get(k - 1).copied().unwrap_or(0)
    }

    /// Forgets the epoch.
    pub(super) fn enter(&mut self) {
        let passed = std::mem::take(&mut self.passed).into_iter();
        let passed = passed.map(|(lane, it)| (lane, Passed { since: 0, ..it })).collect();
        let (alarm, urge_set) = (self.alarm, self.urge_set);
        let signs = Signs { repeated: 0, roused: false, ..self.signs };
        let doubled = self.doubled;
        *self = Self { passed, alarm, doubled, urge_set, signs, ..Self::default() };
    }
}

impl Fast {
    /// One more sign of life.
    pub(super) fn live(&mut self) -> Life {
        self.patience.mine += 1;
        self.life()
    }

    /// The last sign of life, again.
    pub(super) fn life(&self) -> Life {
        Life { epoch: self.epoch, count: self.patience.mine, at: self.stands() }
    }

    /// How many items it says to have delivered. Of those that it delivers after it left its state does
    /// not speak, so they must not move anybody's base.
    pub(super) fn stands(&self) -> Round {
        self.patience.left_at.unwrap_or(self.place)
    }

    /// Another member gives a sign of life.
    pub(super) fn on_life(&mut self, from: PartyId, life: Life, fx: &mut Effects<'_, Self>) {
        self.catch_up.reached(from, life.at, life.epoch, self.epoch);
        if life.epoch == self.epoch {
            self.patience.hear(from, life.count);
        }
        let low = self.catch_up.low(fx.seat().thresholds().available());
        self.cuts.raise_base(low.min(self.place));
    }

    /// Another member has left.
    pub(super) fn on_leave(&mut self, from: PartyId, epoch: u64) {
        if epoch == self.epoch {
            self.patience.left_by.insert(from);
        } else if epoch > self.epoch {
            self.catch_up.dropped(from, epoch);
        }
    }

    /// An item was delivered.
    pub(super) fn progressed(&mut self, fx: &mut Effects<'_, Self>) {
        self.patience.since = self.patience.reached(fx.seat().thresholds().available());
        self.patience.urged = self.patience.since;
        self.patience.urges = 0;
        (self.patience.signs.roused, self.patience.signs.repeated) = (false, 0);
        let items = self.place.number() - self.patience.began.number();
        if items > 0 && items.is_multiple_of(LONG) {
            self.patience.doubled = self.patience.doubled.saturating_sub(1);
        }
        self.catch_up.progressed();
    }

    /// Whether anything is to be ordered, as far as this member knows.
    fn waits(&self, fx: &Effects<'_, Self>) -> bool {
        let (me, one) = (fx.seat().me(), fx.seat().thresholds().one_correct());
        self.own.is_under_way()
            || self.lanes.iter().any(|(owner, lane)| lane.waits(me, owner, one))
            || !self.cuts.items.is_empty()
            || !self.cuts.targets.is_empty()
            || self.closing.is_some()
    }

    /// Gives the signs of life that are due, asks again, leaves.
    pub(super) fn wait(&mut self, fx: &mut Effects<'_, Self>) {
        let thresholds = fx.seat().thresholds();
        let (round, led) = (
            self.patience.reached(thresholds.available()),
            self.patience.reached(thresholds.one_correct()),
        );
        let waits = self.waits(fx);
        if waits && !self.patience.waiting {
            (self.patience.since, self.patience.urged) = (round, round);
        }
        self.patience.waiting = waits;
        let due = if waits { round + 1 } else { led.min(round + 1) };
        self.give_signs(due, fx);
        if waits && round >= self.patience.urged + URGE_ROUNDS {
            self.patience.urged = round;
            self.urge(fx);
        }
        if !self.patience.left && self.is_out_of_patience(round, fx) {
            self.leave(fx);
        }
        self.set_alarms(fx);
    }

    /// Gives the sign of life that is due. With a clock one that waits repeats the last one some times
    /// when none is: others may not know that there is anything to wait for.
    fn give_signs(&mut self, due: u64, fx: &mut Effects<'_, Self>) {
        let clock = self.has_clock();
        let came = std::mem::replace(&mut self.patience.signs.came, false);
        let behind = self.patience.mine < due;
        let again = clock && self.patience.waiting && self.patience.signs.repeated < URGES_MAX;
        if behind && (came || !clock) {
            let life = self.live();
            fx.broadcast(Message::Pulse { life });
        } else if came && again {
            self.patience.signs.repeated += 1;
            fx.broadcast(Message::Pulse { life: self.life() });
        }
        let more = self.patience.mine < due || again;
        if let Some(after) = self.spec.impatience
            && more
            && !std::mem::replace(&mut self.patience.signs.set, true)
        {
            self.patience.signs.at = self.place;
            fx.arm(Timer::Pulse, PULSE_AFTER.min(after));
        }
    }

    /// Whether alarms come at all.
    pub(super) const fn has_clock(&self) -> bool {
        self.spec.impatience.is_some()
    }

    fn is_out_of_patience(&mut self, round: u64, fx: &Effects<'_, Self>) -> bool {
        let others = self.patience.left_by.len() >= fx.seat().thresholds().one_correct();
        let stalled = self.patience.waiting && round >= self.patience.since + self.spec.patience;
        others || stalled || self.is_passed_over(round, fx)
    }

    /// Whether this member's lane, or that of one who has left, waits although others go on. The
    /// patience with a lane doubles each time, so a liar does not end epoch after epoch with it.
    fn is_passed_over(&mut self, round: u64, fx: &Effects<'_, Self>) -> bool {
        let (me, one) = (fx.seat().me(), fx.seat().thresholds().one_correct());
        let mut over = false;
        for (lane, it) in self.lanes.iter() {
            let ordered = it.ordered().seq;
            let passed = self.patience.passed.entry(lane).or_default();
            let waits = if lane == me { self.own.is_under_way() } else { it.waits(me, lane, one) };
            if passed.seq != ordered {
                passed.strikes = passed.strikes.saturating_sub(1);
            }
            if passed.seq != ordered || !waits {
                (passed.seq, passed.since) = (ordered, round);
            }
            let counts = lane == me || self.patience.left_by.contains(&lane);
            let patience = (self.spec.patience * STARVING) << passed.strikes;
            if counts && round >= passed.since.saturating_add(patience) {
                passed.strikes = (passed.strikes + u32::from(lane != me)).min(STRIKES_MAX);
                over = true;
            }
        }
        over
    }

    /// Takes no more part in the epoch, and says what it knows of it.
    fn leave(&mut self, fx: &mut Effects<'_, Self>) {
        self.patience.left = true;
        self.patience.left_at = Some(self.place);
        self.doubt_lanes(fx);
        let tops = self.lanes.iter().map(|(lane, it)| (lane, it.top().seq));
        self.patience.claimed = tops.collect();
        fx.broadcast(Message::Leave { epoch: self.epoch });
        let state = State {
            epoch: self.epoch,
            base: self.cuts.base(),
            delivered: self.place,
            claims: self.cuts.claims(),
            lanes: self.lanes.iter().map(|(_, lane)| lane.stored()).collect(),
        };
        let batch = Batch::of([wire::encode(&state)]);
        fx.ask(Ask::Below(Order::Submit { batch }));
    }

    /// Forgets what the last epoch left, and begins the next one.
    pub(super) fn enter(&mut self, below: Position, fx: &mut Effects<'_, Self>) {
        if let Some(closing) = self.closing.take()
            && closing.states.contains_key(&fx.seat().me())
        {
            for (lane, it) in self.lanes.iter_mut() {
                if lane != fx.seat().me() {
                    it.forsaken = self.patience.claimed.get(&lane).copied().unwrap_or(0);
                }
            }
        }
        self.epoch += 1;
        if self.place.number() < self.patience.began.number() + LONG {
            self.patience.doubled = (self.patience.doubled + 1).min(DOUBLED_MAX);
        }
        self.begin(below, fx);
    }

    /// Begins an epoch here.
    pub(super) fn begin(&mut self, below: Position, fx: &mut Effects<'_, Self>) {
        self.below = below;
        self.patience.enter();
        self.patience.began = self.place;
        self.cuts = super::cuts::Cuts::at(self.place, self.chain);
        self.catch_up.forget();
        self.lanes.unsay();
        let (epoch, at) = (self.epoch, self.place);
        for party in self.catch_up.recall(epoch) {
            if party != fx.seat().me() {
                let seq = self.lanes.of(party).top().seq;
                fx.send(party, Message::Recall { epoch, at, seq });
            }
        }
    }

    fn set_alarms(&mut self, fx: &mut Effects<'_, Self>) {
        let Some(after) = self.spec.impatience.filter(|_| self.patience.waiting) else { return };
        if self.patience.alarm.is_none() && !self.patience.left {
            self.patience.alarm = Some(self.place);
            fx.arm(
                Timer::Leave,
                Span::micros(after.as_micros().saturating_mul(1 << self.patience.doubled)),
            );
        }
        if !self.patience.urge_set && self.patience.urges < URGES_MAX {
            self.patience.urge_set = true;
            self.patience.urges += 1;
            self.patience.urge_at = self.place;
            fx.arm(Timer::Urge, URGE_AFTER.min(after));
        }
    }

    /// The clock says that this member has waited long enough, if nothing has happened since.
    pub(super) fn on_timer(&mut self, timer: Timer, fx: &mut Effects<'_, Self>) {
        match timer {
            Timer::Leave => {
                let stalled = self.patience.alarm.take() == Some(self.place);
                if stalled && self.patience.waiting && !self.patience.left {
                    self.leave(fx);
                }
            }
            Timer::Pulse => {
                // A member that went on has not waited for long: what it waits for now is younger.
                let stands = self.patience.signs.at == self.place;
                self.patience.signs.set = false;
                self.patience.signs.came = stands;
                self.patience.rouse(stands && self.patience.waiting);
            }
            Timer::Urge => {
                self.patience.urge_set = false;
                if self.patience.waiting && self.patience.urge_at == self.place {
                    self.urge(fx);
                }
            }
        }
    }
}

/// Where the stream of states hangs.
pub(super) const BELOW: Role = Role::Stream;
