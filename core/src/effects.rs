//! What an instance does: plain data, in order.

use serde::{Deserialize, Serialize};

use crate::{
    fault::Fault,
    id::{ClientId, GroupId, PartyId, Peer},
    path::Segment,
    protocol::Protocol,
    seat::Seat,
    time::Span,
};

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum To {
    /// One member of the own group; it may be oneself.
    Member(PartyId),
    /// Every member of the own group, oneself included.
    Everyone,
    /// Every member of another group, to the service at its root.
    Group(GroupId),
    /// One member of another group, to the service at its root.
    Foreign(GroupId, PartyId),
    /// A client, to its session with this instance.
    Client(ClientId),
}

/// Which queue of a link a frame takes. Order is promised within a lane only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Lane {
    /// Votes, shares, digests: small, and always first.
    Control,
    /// Payloads.
    Bulk,
}

/// One thing that an instance does.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect<P: Protocol> {
    /// Says something to copies of itself.
    Send {
        /// To whom.
        to: To,
        /// What.
        message: P::Message,
    },
    /// Tells its user something.
    Output(P::Output),
    /// Asks a child.
    Ask(P::Ask),
    /// This child, and all below it, is over.
    Retire(Segment),
    /// Has this child, and all below it, say again to a member what it said to it.
    Repeat {
        /// The child.
        child: Segment,
        /// The member.
        to: PartyId,
    },
    /// Wants to be woken, unless disarmed. Arming again replaces the alarm.
    Arm {
        /// Why.
        timer: P::Timer,
        /// When, from now.
        after: Span,
    },
    /// Does not want to be woken any more.
    Disarm(P::Timer),
    /// Reports what no correct peer does.
    Accuse {
        /// Who.
        peer: Peer,
        /// What.
        fault: Fault,
    },
}

/// The outbox of one step, and the seat of the instance that takes it.
#[must_use]
#[derive(Debug)]
pub struct Effects<'a, P: Protocol> {
    seat: &'a Seat,
    list: Vec<Effect<P>>,
}

impl<'a, P: Protocol> Effects<'a, P> {
    /// An empty outbox for the instance at `seat`.
    pub fn new(seat: &'a Seat) -> Self {
        Self { seat, list: Vec::new() }
    }

    /// Where the instance sits.
    pub fn seat(&self) -> &'a Seat {
        self.seat
    }

    /// To one member, which may be oneself.
    pub fn send(&mut self, to: PartyId, message: P::Message) {
        self.list.push(Effect::Send { to: To::Member(to), message });
    }

    /// To everyone, this party included: its own copy arrives as an ordinary message.
    pub fn broadcast(&mut self, message: P::Message) {
        self.list.push(Effect::Send { to: To::Everyone, message });
    }

    /// To the address, whatever it is.
    pub fn send_to(&mut self, to: To, message: P::Message) {
        self.list.push(Effect::Send { to, message });
    }

    /// To the user.
    pub fn output(&mut self, output: P::Output) {
        self.list.push(Effect::Output(output));
    }

    /// To a child.
    pub fn ask(&mut self, ask: P::Ask) {
        self.list.push(Effect::Ask(ask));
    }

    /// Ends a child and all below it.
    pub fn retire(&mut self, child: Segment) {
        self.list.push(Effect::Retire(child));
    }

    /// Has a child, and all below it, say again what it said to `to` or to everyone. Nothing happens
    /// unless the protocol [repeats](crate::protocol::Protocol::REPEATS).
    pub fn repeat(&mut self, child: Segment, to: PartyId) {
        self.list.push(Effect::Repeat { child, to });
    }

    /// Sets an alarm.
    pub fn arm(&mut self, timer: P::Timer, after: Span) {
        self.list.push(Effect::Arm { timer, after });
    }

    /// Takes an alarm back.
    pub fn disarm(&mut self, timer: P::Timer) {
        self.list.push(Effect::Disarm(timer));
    }

    /// Reports a fault of a peer.
    pub fn accuse(&mut self, peer: impl Into<Peer>, fault: Fault) {
        self.list.push(Effect::Accuse { peer: peer.into(), fault });
    }

    /// What is in the outbox.
    pub fn list(&self) -> &[Effect<P>] {
        &self.list
    }

    /// Empties the outbox.
    pub fn into_list(self) -> Vec<Effect<P>> {
        self.list
    }
}

impl From<PartyId> for Peer {
    fn from(party: PartyId) -> Self {
        Self::Member(party)
    }
}
