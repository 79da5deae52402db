//! What a protocol is.

use std::fmt::{self, Debug};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    children::Children,
    effects::{Effects, Lane},
    fault::Fault,
    id::{PartyId, Peer},
    path::{Role, Segment},
    seat::Seat,
};

/// Plain data: comparable, loggable, saved, sent.
pub trait Data:
    Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static
{
}
impl<T: Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static> Data
    for T
{
}

/// The type without values: says in a signature what a protocol does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Never {}

impl Serialize for Never {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        match *self {}
    }
}

impl<'de> serde::Deserialize<'de> for Never {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("this type has no values"))
    }
}

/// The name of a kind of protocol in logs, metrics and the placement table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub &'static str);

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// One instance of one protocol at one party: a deterministic state machine, and plain data.
///
/// Everything it learns comes as an [`Event`]; everything it does is an
/// [`Effect`](crate::effects::Effect). It cannot tell whether it runs in a simulation, inside its
/// parent's actor or in an actor of its own. Its state holds no keys and no addresses: those are in
/// the [`Seat`], which it is lent.
pub trait Protocol: Data {
    /// The name in logs, metrics and the placement table.
    const KIND: Kind;
    /// What makes two instances differ: the sender, the predicate, the bias.
    type Spec: Data;
    /// What its user may ask.
    type Input: Data;
    /// What it tells its user.
    type Output: Data;
    /// What the parties' copies of this instance say to one another.
    type Message: Data;
    /// Why it may wake up. [`Never`]: no timing assumption.
    type Timer: Data;
    /// What it asks of its children, a variant a role. [`Never`]: a leaf.
    type Ask: Data;
    /// What its children tell it, a variant a role.
    type Heard: Data;
    /// Whether what its children say is kept until they are over, so that
    /// [`Effects::repeat`](crate::effects::Effects::repeat) can say it again. For children that say
    /// little and whose frames may be lost.
    const REPEATS: bool = false;

    /// The state at birth.
    fn new(seat: &Seat, spec: Self::Spec) -> Self;

    /// Takes one event. It cannot fail: a peer's wrong is a fault to report, a user's wrong is an
    /// output, our own wrong is a panic that the host catches.
    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>);

    /// Says which protocol answers an ask, where it sits, and how its answers read to this one.
    fn route<C: Children<Self>>(ask: Self::Ask, children: &mut C);

    /// Judges a message without looking at the state: signatures, sizes, ranges. Pure.
    fn admit(_seat: &Seat, _from: Peer, _message: &Self::Message) -> Result<(), Fault> {
        Ok(())
    }

    /// Which lane a message takes. Bulk never delays control.
    fn lane(_message: &Self::Message) -> Lane {
        Lane::Control
    }

    /// What to do with a frame for a child that is not open: the window of what may be early.
    fn early(&self, _seat: &Seat, _child: Segment) -> Early {
        Early::Never
    }
}

/// A judgement on a child that is not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Early {
    /// It may open soon: the frame waits, within the sender's quota.
    Wait,
    /// It is above the window: the frame is dropped. When `f + 1` members are there, the protocol is
    /// told so with [`Event::Behind`].
    Beyond,
    /// It is over: the frame is dropped.
    Over,
    /// There can be no such child: the frame is dropped and its sender accused.
    Never,
}

/// What can happen to an instance.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<P: Protocol> {
    /// It was opened. Comes first, once.
    Start,
    /// Its user asks.
    Input(P::Input),
    /// A copy of it at another party, or its own, says something.
    Message {
        /// Who said it; the link has authenticated it.
        from: Peer,
        /// What was said; [`Protocol::admit`] let it in.
        message: P::Message,
    },
    /// A child, or a job, answers.
    Heard(P::Heard),
    /// An alarm that it armed went off.
    Timer(P::Timer),
    /// `f + 1` members talk about children of this role from `number` on, which is above the window:
    /// whoever is correct among them has gone on without us.
    Behind {
        /// The role of the children.
        role: Role,
        /// A number that at least one correct member has reached.
        number: u64,
    },
    /// A frame of this member for a child above the window was dropped, and the number is higher than
    /// those of which this was said before.
    Dropped {
        /// Whose frame.
        from: PartyId,
        /// For which child.
        child: Segment,
    },
    /// Frames of this peer are lost for good: its backlog for us overflowed while we were away.
    Missed {
        /// Whose frames.
        from: Peer,
    },
}
