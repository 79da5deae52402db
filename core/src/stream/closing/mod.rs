//! Ending an atomic stream at the same slot everywhere.
//!
//! A layer above any [`Engine`], that is any stream that orders payloads as [`atomic`] does. A request to close is a payload
//! among the others; the slot in which the `f + 1`-th member's first request is ordered is the end.
//!
//! # Reference
//! The atomic channel of SINTRA: Cachin and Poritz, *Secure intrusion-tolerant replication on the
//! Internet*, DSN 2002. Rules E0 to E3; E4 is ours.
//!
//! # Model
//! That of the engine.
//!
//! # Thresholds
//! | step | waits for | because |
//! |---|---|---|
//! | closed | `f + 1` members' requests, in order | one is of a correct member; and the order is the same for all |
//! | going on from a place | `f + 1` who passed it, and `f + 1` who are beyond it | one is correct; and the rounds below it can end without this member |
//!
//! # Properties
//! Those of the engine up to the end, which is one slot for all. What comes after is delivered by
//! nobody, though its submitter is told that it was ordered. If `f + 1` correct members ask, the stream ends, by the validity of the engine. `f` liars
//! end nothing, and however often one asks, it counts once.
//!
//! *Slots.* A request takes a slot and is not delivered, as is a payload that no correct member sends;
//! so the user may see slots without payloads, the same at every correct party.
//!
//! *Coming back.* A member whose engine needs what nobody keeps asks the others which places they passed, and
//! goes on from the last one that it can trust (E4). Its user is told which slots it lost. So a member comes
//! back by itself, as soon as it hears `n - f` members that are correct.
//!
//! # Deviations
//! A user that gives no credit loses payloads here and not in the engine, so that it never misses the
//! end. One that [resumes](Input::Resume) from a checkpoint brings who had asked by then, which
//! [`Output::Asked`] told it.

mod engine;
mod mark;
mod rejoin;

use std::{
    collections::{BTreeSet, VecDeque},
    fmt::Debug,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use self::{
    engine::Engine,
    mark::Ordered,
    rejoin::{Message, Place},
};
use self::{
    mark::{CLOSE, marked, unmarked},
    rejoin::Rejoin,
};
use super::{
    atomic::{self, Position},
    batch::Batch,
};
use crate::{
    children::Children,
    effects::{Effects, Lane},
    fault::Fault,
    id::{PartyId, Peer, Slot},
    path::{Role, Segment},
    protocol::{Early, Event, Kind, Never, Protocol},
    seat::Seat,
};

/// What makes two closing streams differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec<S> {
    /// How the engine is made.
    pub engine: S,
    /// How many bytes of ordered batches wait for the user's credit. Beyond it the user has lagged.
    pub lag_max: usize,
}

/// What the user may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// Order these payloads, each of which is a byte shorter than the engine allows.
    Submit {
        /// The payloads.
        batch: Batch,
    },
    /// The user takes every batch that begins below this slot.
    Pull {
        /// The slot, exclusive.
        up_to: Slot,
    },
    /// Go on from a checkpoint, as [`atomic::Input::Resume`] says.
    Resume {
        /// The position.
        position: Position,
        /// Who had asked for the end below it.
        asked: BTreeSet<PartyId>,
    },
    /// This member asks that the stream end, and submits no more.
    Close,
}

/// What the user is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// What the engine says, as if there were no requests.
    Stream(atomic::Output),
    /// A member has asked for the end, for the first time.
    Asked {
        /// Who.
        from: PartyId,
        /// In which slot; before this one, if the user lost that.
        at: Slot,
    },
    /// The stream has ended, and nothing comes after this.
    Closed {
        /// The slot of the request that counted.
        at: Slot,
    },
}

/// What is asked of the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ask<S> {
    engine: S,
    input: atomic::Input,
}

/// What the engine tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heard(Option<atomic::Output>);

/// A closing stream at one party.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Closing<E: Engine> {
    spec: Spec<E::Spec>,
    asked: BTreeSet<PartyId>,
    /// Whether this party has asked.
    asking: bool,
    end: Option<Slot>,
    /// How many payloads of the user went to the engine, and how many of them left it.
    submitted: u64,
    settled: u64,
    /// Whether the request went to the engine: it does when nothing of the user is left there, so that it
    /// comes last and is not refused.
    requested: bool,
    credit: Slot,
    waiting: VecDeque<Output>,
    weight: usize,
    /// The slot after the last that the engine delivered.
    reached: Slot,
    rejoin: Rejoin,
}

impl<E: Engine> Protocol for Closing<E> {
    const KIND: Kind = E::CLOSING;
    type Spec = Spec<E::Spec>;
    type Input = Input;
    type Output = Output;
    type Message = Message;
    type Timer = Never;
    type Ask = Ask<E::Spec>;
    type Heard = Heard;

    fn new(_: &Seat, spec: Self::Spec) -> Self {
        Self {
            spec,
            asked: BTreeSet::new(),
            asking: false,
            end: None,
            submitted: 0,
            settled: 0,
            requested: false,
            credit: Slot::FIRST,
            waiting: VecDeque::new(),
            weight: 0,
            reached: Slot::FIRST,
            rejoin: Rejoin::default(),
        }
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        match event {
            Event::Start => self.tell(atomic::Input::Pull { up_to: Slot::new(u64::MAX) }, fx),
            Event::Input(Input::Submit { batch }) => self.on_submit(batch, fx), // E0
            Event::Input(Input::Pull { up_to }) => self.credit = self.credit.max(up_to),
            Event::Input(Input::Resume { position, asked }) => self.on_resume(position, asked, fx),
            Event::Input(Input::Close) => self.asking = true, // E1
            Event::Heard(Heard(Some(output))) => self.on_engine(output, fx), // E2, E3
            Event::Message { from: Peer::Member(from), message } => {
                self.on_message(from, message, fx);
            }
            Event::Missed { from: Peer::Member(from) } if self.rejoin.is_behind() => {
                fx.send(from, Message::Where); // E4
            }
            Event::Message { .. }
            | Event::Heard(Heard(None))
            | Event::Behind { .. }
            | Event::Dropped { .. }
            | Event::Missed { .. } => {}
            Event::Timer(never) => match never {},
        }
        self.try_request(fx);
        self.hand_out(fx);
    }

    fn route<C: Children<Self>>(Ask { engine, input }: Self::Ask, children: &mut C) {
        let input = Some(E::ask(input));
        children.ask::<E>(Role::Stream.only(), engine, input, |_, output| Heard(E::read(output)));
    }

    fn admit(seat: &Seat, from: Peer, message: &Message) -> Result<(), Fault> {
        match from.member().filter(|from| seat.has(*from)) {
            Some(_) => message.check(seat),
            None => Err(Fault::Improper("not a member".into())),
        }
    }

    fn lane(message: &Message) -> Lane {
        message.lane()
    }

    fn early(&self, _: &Seat, child: Segment) -> Early {
        if child == Role::Stream.only() { Early::Wait } else { Early::Never }
    }
}

impl<E: Engine> Closing<E> {
    fn tell(&self, input: atomic::Input, fx: &mut Effects<'_, Self>) {
        fx.ask(Ask { engine: self.spec.engine.clone(), input });
    }

    fn on_submit(&mut self, batch: Batch, fx: &mut Effects<'_, Self>) {
        let payloads = batch.len() as u64;
        if self.asking {
            return fx.output(Output::Stream(atomic::Output::Refused { payloads }));
        }
        self.submitted += payloads;
        self.tell(atomic::Input::Submit { batch: marked(&batch) }, fx);
    }

    /// E1.
    fn try_request(&mut self, fx: &mut Effects<'_, Self>) {
        if self.asking && !self.requested && self.settled >= self.submitted {
            self.requested = true;
            self.tell(atomic::Input::Submit { batch: Batch::of([[CLOSE]]) }, fx);
        }
    }

    fn on_resume(
        &mut self,
        position: Position,
        asked: BTreeSet<PartyId>,
        fx: &mut Effects<'_, Self>,
    ) {
        if position.slot > self.reached {
            self.asked = asked;
            self.reached = position.slot;
        }
        let covered = |output: &Output| match output {
            Output::Stream(atomic::Output::Deliver { first, batch, .. }) => {
                slot_after::<E>(*first, batch) <= position.slot
            }
            Output::Asked { at, .. } => *at < position.slot,
            Output::Closed { .. } => false,
            Output::Stream(_) => true,
        };
        while let Some(output) = self.waiting.pop_front_if(|output| covered(output)) {
            self.weight -= weight(&output);
        }
        self.tell(atomic::Input::Resume { position }, fx);
    }

    fn on_engine(&mut self, output: atomic::Output, fx: &mut Effects<'_, Self>) {
        match output {
            // What was on its way when this member went on from a place counts as lost.
            atomic::Output::Deliver { first, batch, .. }
                if slot_after::<E>(first, &batch) <= self.reached => {}
            atomic::Output::Deliver { first, from, batch } => {
                self.on_batch(first, from, &batch, fx);
            }
            atomic::Output::Ordered { own } => {
                self.settled = own.min(self.submitted);
                fx.output(Output::Stream(atomic::Output::Ordered { own: self.settled }));
            }
            atomic::Output::Refused { payloads } => {
                self.submitted = self.submitted.saturating_sub(payloads);
                fx.output(Output::Stream(atomic::Output::Refused { payloads }));
            }
            atomic::Output::Unsure { batch } => self.on_unsure(&batch, fx),
            atomic::Output::RoundEnd { position } => {
                self.pass(position.clone(), fx);
                self.keep(Output::Stream(atomic::Output::RoundEnd { position }));
            }
            atomic::Output::Lagged { .. } => self.keep(Output::Stream(output)),
            atomic::Output::Behind => {
                self.rejoin.begin(); // E4
                fx.broadcast(Message::Where);
                fx.output(Output::Stream(output));
            }
        }
    }

    /// Whether a request was ordered is unknown, so this party asks again: it counts once.
    fn on_unsure(&mut self, batch: &Batch, fx: &mut Effects<'_, Self>) {
        let own: Vec<_> = batch.iter().filter_map(|payload| unmarked(&payload)).collect();
        self.requested &= own.len() == batch.len();
        if !own.is_empty() {
            fx.output(Output::Stream(atomic::Output::Unsure { batch: Batch::of(own) }));
        }
    }

    /// E2: what was ordered, up to the end.
    fn on_batch(&mut self, first: Slot, from: PartyId, batch: &Batch, fx: &mut Effects<'_, Self>) {
        self.reached = slot_after::<E>(first, batch);
        let after = |at: Slot| if E::SLOT_A_PAYLOAD { at.next() } else { at };
        let mut run = (first, Vec::new());
        for (place, payload) in (0..).zip(batch.iter()) {
            let at = if E::SLOT_A_PAYLOAD { first.plus(place) } else { first };
            if self.end.is_some() {
                return;
            }
            if let Some(payload) = unmarked(&payload) {
                run.1.push(payload);
                continue;
            }
            self.keep_run(from, std::mem::replace(&mut run, (after(at), Vec::new())));
            if *payload == [CLOSE] {
                self.on_asked(from, at, fx.seat());
            } else {
                fx.accuse(from, Fault::Improper("a payload that is none".into()));
            }
        }
        self.keep_run(from, run);
    }

    fn keep_run(&mut self, from: PartyId, (first, run): (Slot, Vec<Bytes>)) {
        if !run.is_empty() {
            let batch = Batch::of(run);
            self.keep(Output::Stream(atomic::Output::Deliver { first, from, batch }));
        }
    }

    /// E3.
    fn on_asked(&mut self, from: PartyId, at: Slot, seat: &Seat) {
        if !self.asked.insert(from) {
            return;
        }
        self.keep(Output::Asked { from, at });
        if self.asked.len() >= seat.thresholds().one_correct() {
            self.keep(Output::Closed { at });
            self.end = Some(at);
        }
    }

    fn keep(&mut self, output: Output) {
        if self.end.is_none() {
            // The end of rounds in which nothing is delivered is the end of the last in which something is.
            let end =
                |output: &Output| matches!(output, Output::Stream(atomic::Output::RoundEnd { .. }));
            if end(&output) && self.waiting.back().is_some_and(end) {
                return;
            }
            self.weight += weight(&output);
            self.waiting.push_back(output);
        }
        if self.weight > self.spec.lag_max {
            self.drop_waiting();
        }
    }

    /// The user takes too little: the payloads that wait are lost to it.
    fn drop_waiting(&mut self) {
        let first = |output: &Output| match output {
            Output::Stream(
                atomic::Output::Deliver { first: from, .. } | atomic::Output::Lagged { from, .. },
            ) => Some(*from),
            _ => None,
        };
        let from = self.waiting.iter().find_map(first);
        self.waiting.retain(|output| !matches!(output, Output::Stream(_)));
        if let Some(from) = from {
            let lagged = atomic::Output::Lagged { from, to: self.reached };
            self.waiting.push_front(Output::Stream(lagged));
        }
        self.weight = self.waiting.iter().map(weight).sum();
    }

    fn hand_out(&mut self, fx: &mut Effects<'_, Self>) {
        let credit = self.credit;
        let may = |output: &Output| match output {
            Output::Stream(atomic::Output::Deliver { first, .. }) => *first < credit,
            _ => true,
        };
        while let Some(output) = self.waiting.pop_front_if(|output| may(output)) {
            self.weight -= weight(&output);
            fx.output(output);
        }
    }
}

/// The slot after those of a batch.
fn slot_after<E: Engine>(first: Slot, batch: &Batch) -> Slot {
    first.plus(if E::SLOT_A_PAYLOAD { batch.len() as u64 } else { 1 })
}

/// What it takes to keep an output, in bytes.
fn weight(output: &Output) -> usize {
    match output {
        Output::Stream(atomic::Output::Deliver { batch, .. }) => batch.weight(),
        Output::Stream(atomic::Output::RoundEnd { position }) => 128 + position.memo.len(),
        _ => 128,
    }
}
