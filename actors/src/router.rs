//! From an instance's path to the mailbox of the actor whose tree it is in.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use dashmap::DashMap;
use maftia_core::{
    id::Peer,
    mail::{Mail, Notice},
    path::InstanceId,
    protocol::Protocol,
};

use crate::{
    address::{Address, Undelivered, Way},
    log::Origin,
    party::Party,
};

/// The way into a mailbox for a frame.
trait Door: Send + Sync {
    /// Puts a frame into the mailbox, if it can.
    fn enter(&self, from: Peer, origin: Origin, instance: &InstanceId, bytes: &Bytes) -> Routed;
    /// Hands on a frame that the party has taken already.
    fn pass(&self, party: &Party, from: Peer, instance: InstanceId, bytes: Bytes);
    /// Hands on a notice.
    fn notify(&self, party: &Party, notice: Notice);
}

impl<P: Protocol> Door for Address<P> {
    fn enter(&self, from: Peer, origin: Origin, instance: &InstanceId, bytes: &Bytes) -> Routed {
        let (instance, bytes) = (instance.clone(), bytes.clone());
        let mail = Mail::Frame { from, instance, bytes };
        match self.try_send(mail, Way::Link(origin)) {
            Ok(()) => Routed::Entered,
            Err(Undelivered::Full(..)) => Routed::Full,
            Err(Undelivered::Closed(..)) => Routed::Over,
        }
    }

    fn pass(&self, party: &Party, from: Peer, instance: InstanceId, bytes: Bytes) {
        party.post(self, Mail::Frame { from, instance, bytes });
    }

    fn notify(&self, party: &Party, notice: Notice) {
        party.post(self, Mail::Notice(notice));
    }
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Routed {
    /// It is in a mailbox.
    Entered,
    /// The mailbox is full.
    Full,
    /// Its instance is over.
    Over,
    /// Nobody here has such an instance, nor anything above it.
    Nowhere,
}

/// The open actors of one party by the root of their trees. Shared by all threads of the process.
#[derive(Clone, Default)]
pub(crate) struct Router(Arc<DashMap<InstanceId, Arc<dyn Door>>>);

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Router({} actors)", self.0.len())
    }
}

impl Router {
    pub(crate) fn open<P: Protocol>(&self, address: &Address<P>) {
        self.0.insert(address.id().clone(), Arc::new(address.clone()));
    }

    pub(crate) fn close(&self, id: &InstanceId) {
        self.0.remove(id);
    }

    /// Gives a frame to the actor with the longest path that is above or at the instance.
    pub(crate) fn route(
        &self,
        from: Peer,
        origin: Origin,
        instance: &InstanceId,
        bytes: &Bytes,
    ) -> Routed {
        self.find(instance)
            .map_or(Routed::Nowhere, |door| door.enter(from, origin, instance, bytes))
    }

    /// Hands on a frame that the party has taken already.
    pub(crate) fn pass(&self, party: &Party, from: Peer, instance: InstanceId, bytes: Bytes) {
        if let Some(door) = self.find(&instance) {
            door.pass(party, from, instance, bytes);
        }
    }

    /// Hands a notice to the actor of this instance, unless it is over.
    pub(crate) fn notify(&self, party: &Party, instance: &InstanceId, notice: Notice) {
        let door = self.0.get(instance).map(|door| Arc::clone(&door));
        if let Some(door) = door {
            door.notify(party, notice);
        }
    }

    fn find(&self, instance: &InstanceId) -> Option<Arc<dyn Door>> {
        let mut at = instance.clone();
        loop {
            // The door leaves the map before anything else happens: no lock is held across a call.
            let door = self.0.get(&at).map(|door| Arc::clone(&door));
            if door.is_some() {
                return door;
            }
            at = at.parent()?.0;
        }
    }
}
