//! An engine beside whose entries stands a shelf: what members order, outsiders read.
//!
//! # Reference
//! None: it hands what an engine delivers to its user and to a [`Shelf`].
//!
//! # Model
//! That of the engine.
//!
//! # Thresholds
//! None of its own.
//!
//! # Properties
//! Those of the engine to its user, and those of the shelf to readers. The shelf gets what the user's credit
//! lets the engine deliver: a user that takes little keeps readers of this member waiting, who then read
//! from others. What the user lost, or jumped over, the shelf has lost, too.
//!
//! # Deviations
//! None.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::shelf::{self, Shelf};
use crate::{
    children::Children,
    effects::Effects,
    id::Slot,
    path::{Role, Segment},
    protocol::{Early, Event, Kind, Never, Protocol},
    seat::Seat,
    stream::{
        atomic::{Atomic, Input, Output},
        certified::Certified,
        fast::Fast,
        secure::Author,
    },
};

/// An engine that gives each payload a slot.
pub trait Shelvable: Protocol<Input = Input, Output = Output> {
    /// The name of this engine with a shelf.
    const SHELVED: Kind;
}

impl Shelvable for Atomic {
    const SHELVED: Kind = Kind("shelved atomic");
}

impl Shelvable for Certified {
    const SHELVED: Kind = Kind("shelved certified");
}

impl Shelvable for Fast {
    const SHELVED: Kind = Kind("shelved fast");
}

/// What makes two of them differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec<S> {
    /// How the engine is made.
    pub engine: S,
    /// How the shelf is made.
    pub shelf: shelf::Spec,
}

/// What is asked of the two below.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Ask<S> {
    /// Of the engine.
    Engine(S, Input),
    /// Of the shelf; nothing opens it.
    Shelf(shelf::Spec, Option<shelf::Input>),
}

/// What they tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Heard {
    /// The engine.
    Engine(Output),
    /// The shelf.
    Shelf(shelf::Output),
}

/// A stream that outsiders can read. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Shelved<A: Shelvable> {
    spec: Spec<A::Spec>,
    /// The slot after the last that was delivered, lost or jumped over.
    reached: Slot,
}

impl<A: Shelvable> Shelved<A> {
    /// Where its shelf sits below it, and readers in the eyes of theirs.
    pub const SHELF: Segment = Role::Readers.only();
}

impl<A: Shelvable> Protocol for Shelved<A> {
    const KIND: Kind = A::SHELVED;
    type Spec = Spec<A::Spec>;
    type Input = Input;
    type Output = Output;
    type Message = Never;
    type Timer = Never;
    type Ask = Ask<A::Spec>;
    type Heard = Heard;

    fn new(_: &Seat, spec: Self::Spec) -> Self {
        Self { spec, reached: Slot::FIRST }
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        match event {
            Event::Start => fx.ask(Ask::Shelf(self.spec.shelf.clone(), None)),
            Event::Input(input) => {
                if let Input::Resume { position } = &input {
                    self.reached = self.reached.max(position.slot);
                }
                fx.ask(Ask::Engine(self.spec.engine.clone(), input));
            }
            Event::Heard(Heard::Engine(output)) => self.on_engine(output, fx),
            Event::Heard(Heard::Shelf(shelf::Output::Kept))
            | Event::Behind { .. }
            | Event::Dropped { .. }
            | Event::Missed { .. } => {}
            Event::Message { message, .. } => match message {},
            Event::Timer(never) => match never {},
        }
    }

    fn route<C: Children<Self>>(ask: Self::Ask, children: &mut C) {
        match ask {
            Ask::Engine(spec, input) => {
                children.ask::<A>(Role::Stream.only(), spec, Some(input), |_, output| {
                    Heard::Engine(output)
                });
            }
            Ask::Shelf(spec, input) => {
                children.ask::<Shelf>(Self::SHELF, spec, input, |_, output| Heard::Shelf(output));
            }
        }
    }

    fn early(&self, _: &Seat, child: Segment) -> Early {
        let ours = child == Role::Stream.only() || child == Self::SHELF;
        if ours { Early::Wait } else { Early::Never }
    }
}

impl<A: Shelvable> Shelved<A> {
    fn on_engine(&mut self, output: Output, fx: &mut Effects<'_, Self>) {
        match &output {
            Output::Deliver { first, from, batch } => {
                let own = |payload: Bytes| (Author::Member(*from), payload);
                let payloads = batch.iter().map(own).collect();
                let keep = shelf::Input::Keep { after: self.reached, first: *first, payloads };
                self.reached = first.plus(batch.len() as u64);
                fx.ask(Ask::Shelf(self.spec.shelf.clone(), Some(keep)));
            }
            Output::Lagged { to, .. } => self.reached = self.reached.max(*to),
            _ => {}
        }
        fx.output(output);
    }
}
