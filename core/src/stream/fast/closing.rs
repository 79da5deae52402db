//! The end of an epoch: the states that its members left, in the order of the stream below.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

#[cfg(any(test, feature = "sim"))]
use super::item::Head;
use super::{
    Ask, Fast,
    cuts::WINDOW,
    item::Item,
    lanes::LANE_WINDOW,
    message::NUMBER_MAX,
    resolve::{self, Outcome, State, States},
};
#[cfg(any(test, feature = "sim"))]
use crate::stream::contents::Content;
use crate::{
    effects::Effects,
    fault::Fault,
    id::{PartyId, Round, Slot},
    seat::Seat,
    stream::{
        atomic::{Input as Order, Output as Ordered, Position},
        batch::Batch,
    },
    wire,
};

/// How many closed epochs are remembered until their items are delivered. A member that is further
/// behind is told the items instead.
const CLOSED_MAX: usize = 8;

/// What the stream below said: the same at every member, wherever it stands itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Heard {
    /// The epoch whose states count next.
    epoch: u64,
    /// Its states: the first one of each member.
    states: States,
    /// What they resolve it to. Later states do not count.
    outcome: Option<Outcome>,
    /// The epochs that are closed, and not delivered here.
    closed: VecDeque<(u64, Closing)>,
    /// The round that comes next below.
    round: Round,
    /// What the stream below delivered before this slot does not count: a checkpoint covers it.
    floor: Slot,
}

impl Heard {
    /// Goes on from a checkpoint, if that is ahead.
    pub(super) fn jump(&mut self, epoch: u64, below: &Position) {
        if below.round > self.round {
            let closed = std::mem::take(&mut self.closed);
            let (round, floor) = (below.round, below.slot);
            *self = Self { epoch, closed, round, floor, ..Self::default() };
        }
    }

    fn take(&mut self, from: PartyId, state: State, seat: &Seat) {
        let fresh = !self.states.contains_key(&from);
        if fresh && state.epoch == self.epoch && self.outcome.is_none() {
            self.states.insert(from, state);
            self.outcome = resolve::resolve(&self.states, seat.thresholds());
        }
    }

    /// A round is over: the states of the next epoch come after the one in which this one was closed.
    fn end(&mut self, below: Position) {
        if below.round <= self.round {
            return;
        }
        self.round = below.round;
        let Some(outcome) = self.outcome.take() else { return };
        let states = std::mem::take(&mut self.states);
        if self.closed.len() < CLOSED_MAX {
            self.closed.push_back((self.epoch, Closing { outcome, states, below, aimed: false }));
        }
        self.epoch += 1;
    }

    /// The end of this epoch, if it is known. Those of earlier epochs are forgotten.
    fn closing(&mut self, epoch: u64) -> Option<Closing> {
        while self.closed.pop_front_if(|(closed, _)| *closed < epoch).is_some() {}
        self.closed.pop_front_if(|(closed, _)| *closed == epoch).map(|(_, closing)| closing)
    }
}

/// An epoch whose outcome is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Closing {
    outcome: Outcome,
    pub(super) states: States,
    below: Position,
    /// Whether the last item is known.
    aimed: bool,
}

impl Fast {
    /// The stream below speaks.
    pub(super) fn on_below(&mut self, output: Ordered, fx: &mut Effects<'_, Self>) {
        match output {
            Ordered::Deliver { first, from, batch } => {
                if first >= self.heard.floor {
                    self.on_states(from, &batch, fx);
                }
            }
            Ordered::RoundEnd { position } => self.heard.end(position),
            Ordered::Behind => fx.output(Ordered::Behind),
            Ordered::Lagged { .. } => unreachable!("this user gives credit without end"),
            Ordered::Unsure { batch } => self.on_unsure(&batch, fx),
            Ordered::Refused { .. } | Ordered::Ordered { .. } => {}
        }
    }

    /// Nobody knows whether this state was ordered before the stream below jumped. If it was, the first
    /// one counts.
    fn on_unsure(&self, batch: &Batch, fx: &mut Effects<'_, Self>) {
        let states = batch.iter().filter(|payload| {
            wire::decode::<State>(payload).is_ok_and(|state| state.epoch == self.epoch)
        });
        let batch = Batch::of(states);
        if !batch.is_empty() {
            fx.ask(Ask::Below(Order::Submit { batch }));
        }
    }

    fn on_states(&mut self, from: PartyId, batch: &Batch, fx: &mut Effects<'_, Self>) {
        for payload in batch.iter() {
            match wire::decode::<State>(&payload).ok().filter(|state| is_proper(state, fx.seat())) {
                Some(state) => self.heard.take(from, state, fx.seat()),
                None => fx.accuse(from, Fault::Improper("a state that there cannot be".into())),
            }
        }
    }

    /// Finds out what the epoch ordered, when enough members have left it.
    pub(super) fn close(&mut self, fx: &Effects<'_, Self>) {
        if self.closing.is_none() {
            self.closing = self.heard.closing(self.epoch);
            let Some(Closing { outcome, .. }) = &self.closing else { return };
            let places = (outcome.base.number()..).map(Round::new);
            let ahead = places.zip(&outcome.chains).filter(|(place, _)| *place > self.place);
            self.cuts.targets.extend(ahead.map(|(place, chain)| (place, *chain)));
        }
        self.close_lanes(fx);
    }

    /// When all places of the epoch are delivered, one more item orders what `f + 1` store.
    fn close_lanes(&mut self, fx: &Effects<'_, Self>) {
        let place = self.place;
        let Some(closing) = self.closing.as_mut().filter(|it| !it.aimed) else { return };
        if closing.outcome.end() != place {
            return;
        }
        assert_eq!(closing.outcome.chains.last(), Some(&self.chain), "an epoch has one outcome");
        closing.aimed = true;
        let one = fx.seat().thresholds().one_correct();
        let moved = self.lanes.iter().filter_map(|(lane, it)| {
            let head = resolve::extend(&closing.states, lane, it.ordered(), one);
            (head != it.ordered()).then_some((lane, head))
        });
        let item = Item {
            epoch: self.epoch,
            after: self.chain,
            closes: Some(Box::new(closing.below.clone())),
            heads: moved.collect(),
        };
        self.know(place.next(), item);
    }
}

/// Whether a correct member could say this.
fn is_proper(state: &State, seat: &Seat) -> bool {
    let claims = state.claims.len() as u64;
    (1..=2 * WINDOW + 2).contains(&claims)
        && state.base <= state.delivered
        && state.delivered.number() <= NUMBER_MAX
        && state.lanes.len() == usize::from(seat.thresholds().n())
        && state.lanes.iter().all(|lane| {
            (1..=LANE_WINDOW + 1).contains(&(lane.chains.len() as u64)) && lane.from <= NUMBER_MAX
        })
}

#[cfg(any(test, feature = "sim"))]
impl Content for State {
    const NAME: &'static str = "state of an epoch";

    /// Closes an epoch that all members leave so.
    fn judge(&self, seat: &Seat) -> bool {
        if !is_proper(self, seat) {
            return false;
        }
        let thresholds = seat.thresholds();
        let members = || PartyId::all(thresholds.n());
        let states: States = members().map(|party| (party, self.clone())).collect();
        let goes_on = |(lane, stored): (PartyId, &resolve::Stored)| {
            let head = Head { seq: stored.from, chain: stored.chains[0] };
            resolve::extend(&states, lane, head, thresholds.one_correct()).seq >= head.seq
        };
        let outcome = resolve::resolve(&states, thresholds);
        outcome.is_some_and(|outcome| outcome.end() >= self.delivered)
            && members().zip(&self.lanes).all(goes_on)
    }
}
