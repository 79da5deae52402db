//! The typed way to an actor: bounded where others push, never silent, never blocking.
//!
//! Mail lies in a queue of the instance, in one order. Its actor is rung when there is some, and then
//! takes what it finds: the price of an actix message, a wake-up and a turn on the arbiter is paid
//! once for all mail that came in between.

use std::{
    collections::VecDeque,
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use actix::{Addr, Message, dev::SendError};
use maftia_core::{mail::Mail, path::InstanceId, protocol::Protocol};

use crate::{instance::Instance, log::Origin};

/// Pieces of mail from outside that a mailbox holds: four rounds of frames of a group of 16, two
/// lanes. Above it the link stops reading the peer whose frame did not fit. As many again may be in
/// the hand of the actor, which are the ones it is just taking.
pub const MAILBOX: usize = 4 * 16 * 2 * 8;

/// The one message of an instance's actor: there is mail.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Ring;

/// Mail, and the way that it came.
pub(crate) struct Letter<P: Protocol> {
    pub(crate) mail: Mail<P>,
    pub(crate) way: Way,
}

/// How mail came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From another actor of the party: under way until it is taken.
    Inside,
    /// From the party itself: its alarms, its pool, its application. The protocols bound it.
    Own,
    /// From a user, who is refused when the mailbox is full.
    User,
    /// From a link.
    Link(Origin),
}

impl Way {
    /// Which frame of a link it is, if it is one.
    pub(crate) fn origin(self) -> Option<Origin> {
        match self {
            Self::Link(origin) => Some(origin),
            Self::Inside | Self::Own | Self::User => None,
        }
    }
}

/// Mail that was not delivered, given back to whoever sent it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Undelivered<P: Protocol> {
    /// The mailbox is full: try again when some of it was taken.
    #[error("the mailbox of {0} is full")]
    Full(InstanceId, Box<Mail<P>>),
    /// The instance is over, or its party stopped.
    #[error("{0} takes no mail any more")]
    Closed(InstanceId, Box<Mail<P>>),
}

/// The address of the actor of a `P`. Cheap to clone, and usable from any thread.
pub struct Address<P: Protocol>(Arc<Mailbox<P>>);

struct Mailbox<P: Protocol> {
    id: InstanceId,
    actor: Addr<Instance<P>>,
    queue: Mutex<Queue<P>>,
}

struct Queue<P: Protocol> {
    letters: VecDeque<Letter<P>>,
    /// How many of them are refused above [`MAILBOX`].
    bounded: usize,
    /// The actor knows that there is mail.
    rung: bool,
    closed: bool,
}

impl<P: Protocol> Clone for Address<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P: Protocol> fmt::Debug for Address<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.0.id)
    }
}

impl<P: Protocol> Address<P> {
    pub(crate) fn new(id: InstanceId, actor: Addr<Instance<P>>) -> Self {
        let queue = Queue { letters: VecDeque::new(), bounded: 0, rung: false, closed: false };
        Self(Arc::new(Mailbox { id, actor, queue: Mutex::new(queue) }))
    }

    /// The name of the instance.
    pub fn id(&self) -> &InstanceId {
        &self.0.id
    }

    /// Asks the instance something, as its user, from the party's own process: it is not refused.
    pub(crate) fn ask(&self, input: P::Input) {
        // An application that asks an instance that is over has its answer already.
        let _ = self.post(Mail::Input { number: 0, input }, Way::Own);
    }

    /// Asks the instance something, as its user.
    pub fn try_ask(&self, input: P::Input) -> Result<(), Undelivered<P>> {
        self.try_send(Mail::Input { number: 0, input }, Way::User)
    }

    /// Mail that is refused when the mailbox is full.
    pub(crate) fn try_send(&self, mail: Mail<P>, way: Way) -> Result<(), Undelivered<P>> {
        let mut queue = self.queue();
        if queue.closed {
            return Err(Undelivered::Closed(self.0.id.clone(), Box::new(mail)));
        }
        if queue.bounded >= MAILBOX {
            return Err(Undelivered::Full(self.0.id.clone(), Box::new(mail)));
        }
        queue.bounded += 1;
        self.push(queue, Letter { mail, way });
        Ok(())
    }

    /// Mail from the party itself. It keeps its order and is not refused: the protocols bound it.
    /// `false` when the instance is over, where nobody waits for an answer any more.
    pub(crate) fn post(&self, mail: Mail<P>, way: Way) -> bool {
        let queue = self.queue();
        let open = !queue.closed;
        if open {
            self.push(queue, Letter { mail, way });
        }
        open
    }

    fn queue(&self) -> MutexGuard<'_, Queue<P>> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, mut queue: MutexGuard<'_, Queue<P>>, letter: Letter<P>) {
        queue.letters.push_back(letter);
        if !mem::replace(&mut queue.rung, true) {
            drop(queue);
            self.ring();
        }
    }

    /// Tells the actor that there is mail.
    pub(crate) fn ring(&self) {
        // Few rings are under way at a time: one for each hand, and one for what was left in it.
        if let Err(SendError::Closed(Ring)) = self.0.actor.try_send(Ring) {
            drop(self.close());
        }
    }

    /// Gives the actor all mail there is, for an empty hand. The next piece of mail rings.
    pub(crate) fn fill(&self, hand: &mut VecDeque<Letter<P>>) {
        let mut queue = self.queue();
        mem::swap(&mut queue.letters, hand);
        queue.bounded = 0;
        queue.rung = false;
    }

    /// Takes no mail any more; gives back what was not taken.
    pub(crate) fn close(&self) -> VecDeque<Letter<P>> {
        let mut queue = self.queue();
        queue.closed = true;
        mem::take(&mut queue.letters)
    }
}
