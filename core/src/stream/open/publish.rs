//! The service of a group that outsiders send to: each payload gets a slot, and goes to the shelf.
//!
//! # Reference
//! Schneider, *Implementing fault-tolerant services using the state machine approach*, ACM Computing
//! Surveys 1990; the [`replica`](crate::replica) that it runs in.
//!
//! # Model
//! That of the replica.
//!
//! # Thresholds
//! Those of the replica: `f + 1` members vouch for a payload before it takes effect.
//!
//! # Properties
//! Each payload that a client sends gets one slot, however many members it is said to and however often; those
//! of a strand in the client's order; and nothing that no client sent gets one. Slots have no gaps. The
//! state is the next slot. A client has a window of payloads under way in each strand, and is told when the
//! group is busy, so one that floods waits for itself.
//!
//! # Deviations
//! None.

use serde::{Deserialize, Serialize};

use super::shelf::{self, Shelf};
use crate::{
    id::Slot,
    path::{Role, Segment},
    protocol::Kind,
    replica::service::{Action, Command, Item, Service},
    seat::Seat,
    stream::secure::Author,
    time::Span,
    wire,
};

/// A log of what clients send, one slot a payload. Its answer to a request is the [`Slot`], encoded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Publish {
    shelf: shelf::Spec,
    next: Slot,
}

impl Publish {
    /// Where its shelf sits below the replica, and readers in the eyes of theirs.
    pub const SHELF: Segment = Role::Locks.only();
}

impl Service for Publish {
    const KIND: Kind = Kind("publish");
    /// How its [`Shelf`] is made; here it must be the same at every member.
    type Spec = shelf::Spec;
    type Helper = Shelf;

    fn new(_: &Seat, spec: &Self::Spec) -> Self {
        Self { shelf: spec.clone(), next: Slot::FIRST }
    }

    fn helper(&self) -> Option<shelf::Spec> {
        Some(self.shelf.clone())
    }

    /// Slots are consecutive, so what the shelf has not heard of is lost to it, as after a state transfer.
    fn plan(&mut self, items: &[Item]) -> Option<shelf::Input> {
        let payload = |item: &Item| match &item.command {
            Command::Request { client, body, .. } => Some((Author::Client(*client), body.clone())),
            Command::Statement { .. } | Command::Tick => None,
        };
        let payloads: Vec<_> = items.iter().filter_map(payload).collect();
        let (after, first) = (self.next, self.next);
        (!payloads.is_empty()).then_some(shelf::Input::Keep { after, first, payloads })
    }

    fn apply(&mut self, items: Vec<Item>, _: Option<shelf::Output>, actions: &mut Vec<Action>) {
        for item in items {
            if let Command::Request { client, number, .. } = item.command {
                let body = wire::encode(&self.next);
                actions.push(Action::Reply { client, number, body });
                self.next = self.next.next();
            }
        }
    }

    fn tick(&self) -> Option<Span> {
        None
    }
}
