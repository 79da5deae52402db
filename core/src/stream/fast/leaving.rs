//! When a member leaves an epoch, and how: rounds of signs of life decide it, which its clock may only
//! shorten.

use serde::{Deserialize, Serialize};

use super::{Ask, Fast, Timer, message::Message, resolve::State};
use crate::{
    effects::Effects,
    id::Round,
    stream::{atomic::Input as Order, batch::Batch},
    time::Span,
    wire,
};

/// After how many rounds without progress a member leaves whose clock says that it is time. A pulse
/// comes after all that was sent before it: where the links and the members are busy, rounds are as
/// slow as the leader has a right to be.
const HASTY: u64 = 16;

/// How much longer than for any progress at all a member waits for a lane that is passed over.
const STARVING: u64 = 4;

/// After how many rounds, items counted in, a member leaves whose clock says that its own batches wait
/// for too long: a correct leader orders what it has with its next cut, and a member has few under
/// way, so that they are ordered after some items; those that are still on their way may take longer.
const STARVED: u64 = 256;

/// How often the patience with one lane doubles at most.
const STRIKES_MAX: u32 = 16;

/// How things were when the alarm was set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Alarm {
    epoch: u64,
    place: Round,
    /// The last own batch that was under way, if any was.
    own: Option<u64>,
    /// The round, items counted in.
    time: u64,
}

impl Fast {
    /// Whether it is time to leave.
    pub(super) fn is_out_of_patience(&mut self, round: u64, fx: &Effects<'_, Self>) -> bool {
        let others = self.patience.left_by.len() >= fx.seat().thresholds().one_correct();
        let most = self.spec.patience;
        let most = if self.patience.overdue { most.min(HASTY) } else { most };
        let stalled = self.patience.waiting && round >= self.patience.since + most;
        let time = self.time(round);
        others || stalled || self.is_starved(time) || self.is_passed_over(time, fx)
    }

    /// Whether the own batches wait for too long, however much others go on: a leader that orders just
    /// enough to be borne, or nothing of this member, is left as one that orders nothing.
    fn is_starved(&mut self, time: u64) -> bool {
        let oldest = self.own.oldest();
        let waits = |alarm: &Alarm| oldest.is_some_and(|oldest| Some(oldest) <= alarm.own);
        self.patience.starved = self.patience.starved.filter(waits);
        self.patience.starved.is_some_and(|alarm| time >= alarm.time + STARVED)
    }

    /// Whether this member's lane, or that of one who has left, waits although others go on. The
    /// patience with a lane doubles each time, so a liar does not end epoch after epoch with it.
    fn is_passed_over(&mut self, time: u64, fx: &Effects<'_, Self>) -> bool {
        let (me, one) = (fx.seat().me(), fx.seat().thresholds().one_correct());
        let most = self.spec.patience * STARVING;
        // Whoever has left because its lane waits had a clock that said so.
        let hasty = if self.has_clock() { most.min(STARVED) } else { most };
        let mut over = false;
        for (lane, it) in self.lanes.iter() {
            let ordered = it.ordered().seq;
            let passed = self.patience.passed.entry(lane).or_default();
            let waits = if lane == me { self.own.is_under_way() } else { it.waits(me, lane, one) };
            if passed.seq != ordered {
                passed.strikes = passed.strikes.saturating_sub(1);
            }
            if passed.seq != ordered || !waits {
                (passed.seq, passed.since) = (ordered, time);
            }
            let counts = lane == me || self.patience.left_by.contains(&lane);
            let patience = if lane == me { most } else { hasty } << passed.strikes;
            if counts && time >= passed.since.saturating_add(patience) {
                passed.strikes = (passed.strikes + u32::from(lane != me)).min(STRIKES_MAX);
                over = true;
            }
        }
        over
    }

    /// Leaves the epoch because it does not go on.
    pub(super) fn leave(&mut self, fx: &mut Effects<'_, Self>) {
        self.doubt_lanes(fx);
        self.step_out(self.cuts.base(), self.place, fx);
    }

    /// Takes no part in an epoch to which it comes by a checkpoint, since its way there has a gap: what
    /// others conclude from binds needs members that know their whole way. It prepared nothing here.
    pub(super) fn stay_out(&mut self, fx: &mut Effects<'_, Self>) {
        self.step_out(Round::FIRST, Round::FIRST, fx);
    }

    /// Takes no more part in the epoch, and says what it knows of it: of what it prepared after a floor,
    /// and how far it delivered, as far as others may count on that.
    pub(super) fn step_out(&mut self, floor: Round, stood: Round, fx: &mut Effects<'_, Self>) {
        if std::mem::replace(&mut self.patience.left, true) {
            return;
        }
        self.patience.left_at = Some(stood);
        let tops = self.lanes.iter().map(|(lane, it)| (lane, it.top().seq));
        self.patience.claimed = tops.collect();
        fx.broadcast(Message::Leave { epoch: self.epoch });
        let state = State {
            epoch: self.epoch,
            floor,
            base: self.cuts.base(),
            delivered: self.place,
            claims: self.cuts.claims(),
            lanes: self.lanes.iter().map(|(_, lane)| lane.stored()).collect(),
        };
        let batch = Batch::of([wire::encode(&state)]);
        fx.ask(Ask::Below(Order::Submit { batch }));
    }

    /// Sets the alarm after which this member looks how long it has waited, if there is a clock.
    pub(super) fn set_alarm(&mut self, round: u64, fx: &mut Effects<'_, Self>) {
        let Some(after) = self.spec.impatience.filter(|_| self.patience.waiting) else { return };
        // One that is overdue knows all that a clock can tell it until something is delivered.
        let wants = !self.patience.left && !self.patience.overdue;
        if wants && self.patience.alarm.is_none() {
            self.patience.alarm = Some(Alarm {
                epoch: self.epoch,
                place: self.place,
                own: self.own.newest(),
                time: self.time(round),
            });
            let after = after.as_micros().saturating_mul(1 << self.patience.doubled);
            fx.arm(Timer::Leave, Span::micros(after));
        }
    }

    /// The clock says that this member has waited long enough, if nothing has happened since: nothing at
    /// all, or nothing with its own batches. An alarm of an earlier epoch says nothing of this leader.
    pub(super) fn on_timer(&mut self, timer: Timer) {
        match timer {
            Timer::Leave => {
                let alarm = self.patience.alarm.take().filter(|alarm| alarm.epoch == self.epoch);
                let stalled = alarm.is_some_and(|alarm| alarm.place == self.place);
                self.patience.overdue |= stalled && self.patience.waiting;
                self.patience.starved = self.patience.starved.or(alarm.filter(|_| !stalled));
            }
            Timer::Pulse => self.on_pulse_due(),
        }
    }
}
