//! When to leave an epoch: rounds of signs of life, which a clock may only shorten.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    Fast, Timer,
    leaving::Alarm,
    message::{Life, Message},
};
use crate::{
    effects::Effects,
    id::{PartyId, Round},
    path::Role,
    stream::atomic::Position,
    time::Span,
};

/// After how many rounds without progress a member asks again for what it lacks.
const URGE_ROUNDS: u64 = 16;

/// After how many of them, which take it a millisecond or more each, a member with a clock does so for
/// the first time: what was sent before a pulse has come before it, four rounds ago.
const URGE_ROUNDS_FIRST: u64 = 4;

/// How long a member that has a clock waits before it says so, where a group goes on faster than that.
const PULSE_AFTER: Span = Span::millis(1);

/// How often this time doubles at most: a group of sixteen on two cores takes so long for an item.
const SLOWED_MAX: u8 = 5;

/// After how many items without a pulse of this member the time is halved again.
const CALM: u8 = 64;

/// How often a member repeats its last pulse at most: those who have what it lacks have answered by
/// then.
const REPEATS_MAX: u8 = 8;

/// So many rounds an item counts for a lane that it passes over: it takes three delays.
const ITEM_ROUNDS: u64 = 4;

/// How many items an epoch has that was long enough. After a shorter one a leader gets twice the time:
/// it may have been slow only because all are busy.
const LONG: u64 = 256;

/// How often the time doubles at most: from a fifth of a second to some seconds.
const DOUBLED_MAX: u32 = 4;

/// How long a lane has been passed over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Passed {
    /// How far it was ordered.
    pub(super) seq: u64,
    /// Since which round it waits, items counted in.
    pub(super) since: u64,
    /// How many epochs were left because of it.
    pub(super) strikes: u32,
}

/// What decides when this member leaves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Patience {
    /// How many signs of life each member gave in this epoch.
    lives: BTreeMap<PartyId, u64>,
    /// How many this member gave.
    mine: u64,
    /// The round of the last progress.
    pub(super) since: u64,
    /// The round in which it last asked again.
    urged: u64,
    /// Whether it waits for anything.
    pub(super) waiting: bool,
    pub(super) passed: BTreeMap<PartyId, Passed>,
    /// Whether it has left.
    pub(super) left: bool,
    /// How many items it had delivered then.
    pub(super) left_at: Option<Round>,
    /// Who has left.
    pub(super) left_by: BTreeSet<PartyId>,
    /// How far each lane was stored when this member left.
    pub(super) claimed: BTreeMap<PartyId, u64>,
    pub(super) alarm: Option<Alarm>,
    /// The alarm that went off before the own batches of then were ordered, although others were.
    pub(super) starved: Option<Alarm>,
    /// Where the epoch began.
    began: Round,
    /// How often the time of a leader is doubled now.
    pub(super) doubled: u32,
    /// Whether its clock says that it has waited long enough.
    pub(super) overdue: bool,
    /// How often it asked again since the last progress.
    urges: u8,
    signs: Signs,
}

/// What a member with a clock knows of its next sign of life.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is something that was set, came, or was said"
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Signs {
    /// Whether an alarm is set.
    set: bool,
    /// Where the member was when it was set.
    at: Round,
    /// Whether it came, and nothing was delivered meanwhile.
    came: bool,
    /// Whether a sign was given since the last progress.
    given: bool,
    /// How often the last one was repeated since then.
    repeated: u8,
    /// Whether anybody has waited for long since then.
    roused: bool,
    /// How often the time until it comes is doubled now.
    slowed: u8,
    /// How many items came without any sign.
    calm: u8,
}

impl Signs {
    /// An item was delivered. If a sign was given, the group is only slower than this member thought.
    fn progressed(&mut self) {
        if std::mem::take(&mut self.given) {
            (self.slowed, self.calm) = ((self.slowed + 1).min(SLOWED_MAX), 0);
        } else if self.calm >= CALM {
            (self.slowed, self.calm) = (self.slowed.saturating_sub(1), 0);
        } else {
            self.calm += 1;
        }
        (self.roused, self.repeated) = (false, 0);
    }
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

    /// Whether somebody has waited for long, and an alarm says that it is time.
    pub(super) fn may_say_heads(&self) -> bool {
        self.signs.roused && self.signs.came
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
        let signs = Signs { repeated: 0, roused: false, given: false, ..self.signs };
        let (alarm, doubled) = (self.alarm, self.doubled);
        *self = Self { passed, alarm, doubled, signs, ..Self::default() };
    }
}

impl Fast {
    /// The last sign of life, which goes with what this member says.
    pub(super) fn life(&self) -> Life {
        let stood = self.patience.left_at.unwrap_or(self.place);
        Life { epoch: self.epoch, count: self.patience.mine, at: self.place, stood }
    }

    /// Another member gives a sign of life.
    pub(super) fn on_life(&mut self, from: PartyId, life: Life, fx: &mut Effects<'_, Self>) {
        self.catch_up.reached(from, life.at, life.epoch, self.epoch);
        if life.epoch == self.epoch {
            self.patience.hear(from, life.count);
        }
        let low = self.catch_up.stood(from, life.stood, fx.seat().thresholds().available());
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
        (self.patience.urges, self.patience.overdue) = (0, false);
        self.patience.signs.progressed();
        let items = self.place.number() - self.patience.began.number();
        if items > 0 && items.is_multiple_of(LONG) {
            self.patience.doubled = self.patience.doubled.saturating_sub(1);
        }
        self.catch_up.progressed();
        // It may have waited here before this member came: then it has said so for the last time.
        self.patience.rouse(self.catch_up.is_waited_at(self.place, fx.seat().me()));
    }

    /// Whether anything is to be ordered, as far as this member knows.
    fn waits(&self, fx: &Effects<'_, Self>) -> bool {
        let (me, one) = (fx.seat().me(), fx.seat().thresholds().one_correct());
        self.own.is_under_way()
            || self.lanes.iter().any(|(owner, lane)| lane.waits(me, owner, one))
            || !self.cuts.items.is_empty()
            || !self.cuts.targets.is_empty()
            || self.closing.is_some()
            || self.catch_up.low(one) > self.place
            || self.cuts.is_bound_beyond(one, self.place)
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
            self.patience.overdue = false;
        }
        self.patience.waiting = waits;
        let due = if waits { round + 1 } else { led.min(round + 1) };
        let alone = self.give_signs(due, fx);
        if waits && (alone || round >= self.patience.urged + self.urge_rounds()) {
            self.patience.urged = round;
            self.patience.urges = self.patience.urges.saturating_add(1);
            self.urge(fx);
        }
        if !self.patience.left && self.is_out_of_patience(round, fx) {
            self.leave(fx);
        }
        self.set_alarm(round, fx);
    }

    /// A round, items counted in: as long as items come, few signs are given.
    pub(super) fn time(&self, round: u64) -> u64 {
        round + ITEM_ROUNDS * (self.place.number() - self.patience.began.number())
    }

    /// After how many rounds this member asks again.
    fn urge_rounds(&self) -> u64 {
        let first = if self.has_clock() { URGE_ROUNDS_FIRST } else { URGE_ROUNDS };
        (first << self.patience.urges.min(2)).min(URGE_ROUNDS)
    }

    /// Gives the sign of life that is due. With a clock one that waits repeats the last one some times
    /// when none is: others may not know that there is anything to wait for. Tells whether it did so so
    /// often that it may be alone, so that no rounds come.
    fn give_signs(&mut self, due: u64, fx: &mut Effects<'_, Self>) -> bool {
        let clock = self.has_clock();
        let came = std::mem::replace(&mut self.patience.signs.came, false);
        let behind = self.patience.mine < due;
        let again = clock && self.patience.waiting && self.patience.signs.repeated < REPEATS_MAX;
        let mut alone = false;
        if behind && (came || !clock) {
            self.patience.mine += 1;
            self.patience.signs.given = true;
            fx.broadcast(Message::Pulse { life: self.life() });
        } else if came && again {
            self.patience.signs.repeated += 1;
            self.patience.signs.given = true;
            alone = self.patience.signs.repeated.is_multiple_of(REPEATS_MAX / 2);
            fx.broadcast(Message::Pulse { life: self.life() });
        }
        let news = self.lanes.has_news(fx.seat().me()) && !self.binds_soon();
        let heads = self.patience.signs.roused && news;
        if self.patience.mine < due || again || heads {
            self.set_pulse(fx);
        }
        alone
    }

    /// Sets the alarm after which a sign of life is due, if there is a clock.
    fn set_pulse(&mut self, fx: &mut Effects<'_, Self>) {
        let Some(most) = self.spec.impatience else { return };
        let (at, signs) = (self.place, &mut self.patience.signs);
        if !std::mem::replace(&mut signs.set, true) {
            signs.at = at;
            let after = PULSE_AFTER.as_micros() << signs.slowed;
            fx.arm(Timer::Pulse, Span::micros(after).min(most));
        }
    }

    /// The alarm went off after which a sign is due, unless this member went on meanwhile: what it waits for
    /// now is younger.
    pub(super) fn on_pulse_due(&mut self) {
        let came = self.patience.signs.at == self.place;
        self.patience.signs = Signs { set: false, came, ..self.patience.signs };
        self.patience.rouse(came && self.patience.waiting);
    }

    /// Whether alarms come at all.
    pub(super) const fn has_clock(&self) -> bool {
        self.spec.impatience.is_some()
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
        for party in self.catch_up.recall(self.epoch) {
            self.recall(party, false, fx);
        }
    }
}

/// Where the stream of states hangs.
pub(super) const BELOW: Role = Role::Stream;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_as_far_apart_as_the_items_of_the_group() {
        let mut signs = Signs::default();
        for slowed in [1, 2, 3, 4, SLOWED_MAX, SLOWED_MAX] {
            signs.given = true;
            signs.progressed();
            assert_eq!(signs.slowed, slowed);
        }
        (0..CALM).for_each(|_| signs.progressed());
        assert_eq!(signs.slowed, SLOWED_MAX);
        signs.progressed();
        assert_eq!(signs.slowed, SLOWED_MAX - 1);
    }
}
