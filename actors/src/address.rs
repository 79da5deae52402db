//! The typed way to an actor: bounded where others push, never silent, never blocking.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use actix::{Addr, Message, dev::SendError};
use maftia_core::{mail::Mail, path::InstanceId, protocol::Protocol};

use crate::{instance::Instance, log::Origin};

/// Pieces of mail that a mailbox holds: four rounds of frames of a group of 16, two lanes. Above it
/// the link stops reading the peer whose frame did not fit; below it nothing waits elsewhere.
pub const MAILBOX: usize = 4 * 16 * 2 * 8;

/// The one message of an instance's mailbox.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Deliver<P: Protocol> {
    /// What is delivered.
    pub(crate) mail: Mail<P>,
    /// The frame that it was, if it was one.
    pub(crate) origin: Option<Origin>,
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
pub struct Address<P: Protocol> {
    pub(crate) id: InstanceId,
    pub(crate) actor: Addr<Instance<P>>,
    /// Mail from inside the party that found the mailbox full. The protocols bound it, and the actor
    /// empties it after every piece of mail, so it is neither lost nor left.
    spill: Arc<Mutex<VecDeque<Mail<P>>>>,
}

impl<P: Protocol> Clone for Address<P> {
    fn clone(&self) -> Self {
        let (id, actor) = (self.id.clone(), self.actor.clone());
        Self { id, actor, spill: Arc::clone(&self.spill) }
    }
}

impl<P: Protocol> fmt::Debug for Address<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.id)
    }
}

impl<P: Protocol> Address<P> {
    pub(crate) fn new(id: InstanceId, actor: Addr<Instance<P>>) -> Self {
        Self { id, actor, spill: Arc::default() }
    }

    /// The name of the instance.
    pub fn id(&self) -> &InstanceId {
        &self.id
    }

    /// Asks the instance something, as its user.
    pub fn try_ask(&self, input: P::Input) -> Result<(), Undelivered<P>> {
        self.try_send(Mail::Input { number: 0, input }, None)
    }

    /// Asks the instance something, as its user, from the party's own process: it waits for its turn
    /// if the mailbox is full.
    pub(crate) fn ask(&self, input: P::Input) {
        self.post(Mail::Input { number: 0, input });
    }

    pub(crate) fn try_send(
        &self,
        mail: Mail<P>,
        origin: Option<Origin>,
    ) -> Result<(), Undelivered<P>> {
        self.actor.try_send(Deliver { mail, origin }).map_err(|error| match error {
            SendError::Full(deliver) => Undelivered::Full(self.id.clone(), Box::new(deliver.mail)),
            SendError::Closed(deliver) => {
                Undelivered::Closed(self.id.clone(), Box::new(deliver.mail))
            }
        })
    }

    /// Mail from inside the party. It keeps its order and is not refused; to an instance that is over
    /// it says nothing, since nobody waits for an answer any more.
    pub(crate) fn post(&self, mail: Mail<P>) {
        let mut spill = self.spill.lock().unwrap_or_else(PoisonError::into_inner);
        if spill.is_empty() {
            match self.try_send(mail, None) {
                Ok(()) | Err(Undelivered::Closed(..)) => {}
                Err(Undelivered::Full(_, mail)) => spill.push_back(*mail),
            }
        } else {
            spill.push_back(mail);
        }
    }

    /// The next piece of mail that found the mailbox full.
    pub(crate) fn spilled(&self) -> Option<Mail<P>> {
        self.spill.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}
