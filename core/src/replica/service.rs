//! What a replicated service is.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::number::Number;
use crate::{
    id::{ClientId, GroupId, Slot},
    protocol::{Data, Kind, Protocol},
    seat::Seat,
    time::Span,
};

/// Something that takes effect at a slot, the same at every replica.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// When, in replicated time.
    pub slot: Slot,
    /// What.
    pub command: Command,
}

/// What can take effect. `f + 1` members have vouched for it, so it is genuine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// A client's request; each takes effect once, those of a strand in the order of their counts.
    Request {
        /// Who asks; authenticated.
        client: ClientId,
        /// The client's number of the request.
        number: Number,
        /// What is asked.
        body: Bytes,
    },
    /// What another group's service told this one; each takes effect once, in that group's order.
    Statement {
        /// The group that says it.
        from: GroupId,
        /// What it says.
        body: Bytes,
    },
    /// Time passed: at least one correct member measured [`Service::tick`] since the last one.
    Tick,
}

/// What a service does at a slot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Action {
    /// Answers a request. A request may be answered at a later slot, and is answered once.
    Reply {
        /// Who asked.
        client: ClientId,
        /// The client's number of the request.
        number: Number,
        /// The answer.
        body: Bytes,
    },
    /// Tells another group something, in order, exactly once.
    Tell {
        /// The group.
        to: GroupId,
        /// What.
        body: Bytes,
    },
}

/// A deterministic service: state, and how commands change it.
///
/// No clock, no randomness, no hash maps. Two replicas that start equal and take the same items are
/// equal, byte for byte: their encodings are compared at checkpoints.
pub trait Service: Data {
    /// The name in logs, metrics and the placement table.
    const KIND: Kind;
    /// What makes two services differ: the same at every replica of a group.
    type Spec: Data;
    /// A protocol that is used in lockstep: one ask per batch of items, one answer, always.
    /// [`NoHelper`] if there is none.
    type Helper: Protocol;

    /// The state before the first slot.
    fn new(seat: &Seat, spec: &Self::Spec) -> Self;

    /// What the helper is opened with.
    fn helper(&self) -> Option<<Self::Helper as Protocol>::Spec>;

    /// What to ask the helper for these items, which take effect next. Every ask is answered before
    /// [`apply`](Self::apply); without a helper there is none.
    fn plan(&mut self, items: &[Item]) -> Option<<Self::Helper as Protocol>::Input>;

    /// Lets the items take effect, with the helper's answer if it was asked.
    fn apply(
        &mut self,
        items: Vec<Item>,
        answer: Option<<Self::Helper as Protocol>::Output>,
        actions: &mut Vec<Action>,
    );

    /// The length of a tick while the state holds something that time can end, such as a lease;
    /// `None` lets an idle group be silent.
    fn tick(&self) -> Option<Span>;

    /// Spoils the state behind the back of the protocol, as a corrupted replica does. Laboratories
    /// show with it that the others notice and go on.
    fn corrupt(&mut self) {}

    /// Whether a request frees what others wait for, such as the end of a transaction. It is taken
    /// when new work is refused as busy. Any replica may be asked at any time, before the request is
    /// ordered; the answer decides no effect.
    fn is_urgent(&self, _body: &[u8]) -> bool {
        false
    }

    /// What to ask the helper at a checkpoint. The answer must hold all of the helper's state that
    /// the service could not tell it again; it becomes part of the checkpoint. `None` when the
    /// service itself holds all of it.
    fn remember(&self) -> Option<<Self::Helper as Protocol>::Input> {
        None
    }

    /// What to ask the helper after this service was loaded from a checkpoint, with the helper's
    /// answer at that checkpoint, so that the helper's state becomes what it was there. Its answer
    /// says no more than that it is done.
    fn remind(
        &self,
        _remembered: Option<<Self::Helper as Protocol>::Output>,
    ) -> Option<<Self::Helper as Protocol>::Input> {
        None
    }
}

/// The helper of a service that has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoHelper {}

impl Protocol for NoHelper {
    const KIND: Kind = Kind("no-helper");
    type Spec = crate::protocol::Never;
    type Input = crate::protocol::Never;
    type Output = crate::protocol::Never;
    type Message = crate::protocol::Never;
    type Timer = crate::protocol::Never;
    type Ask = crate::protocol::Never;
    type Heard = crate::protocol::Never;

    fn new(_: &Seat, spec: Self::Spec) -> Self {
        match spec {}
    }

    fn step(&mut self, _: crate::protocol::Event<Self>, _: &mut crate::effects::Effects<'_, Self>) {
        match *self {}
    }

    fn route<C: crate::children::Children<Self>>(ask: Self::Ask, _: &mut C) {
        match ask {}
    }
}
