//! How a party comes to life: from its log, in silence, and then among its peers.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    rc::{Rc, Weak},
    sync::Arc,
};

use bytes::Bytes;
use maftia_core::{
    mail::{Mail, Notice},
    path::InstanceId,
    protocol::Protocol,
    seat::{Owner, Seat},
    tree::BadSnapshot,
};
use tokio::sync::watch;

use super::{Outbox, Party, State};
use crate::{
    accusations::Accusations,
    address::Address,
    instance::Resident,
    link::{Arrival, End, Links, Receive, What, session::WORD},
    log::{Log, Lsn, Origin, Record, Recovered},
    placement::Placement,
    pool::Pool,
    pulse::Pulse,
    restarts::RestartLimit,
    router::{Routed, Router},
};

/// What a party is made of.
pub struct Setup<P: Protocol> {
    /// Where its root sits.
    pub seat: Seat,
    /// What its root is made of.
    pub spec: P::Spec,
    /// Where it remembers.
    pub log: Box<dyn Log>,
    /// What it remembers.
    pub recovered: Recovered,
    /// Its links, not open yet.
    pub links: Links,
    /// Where its heavy jobs are done.
    pub pool: Pool,
    /// Which kinds get actors of their own.
    pub placement: Placement,
    /// Takes the outputs of the root. What the root says in a replay was said before.
    pub outputs: Box<dyn Fn(P::Output)>,
    /// Takes the frames for [`CONTROL`], which no log remembers.
    pub control: Control<P>,
}

/// The name of the instance that speaks for the node and not for a protocol: its status, its
/// faults. Frames for it are not logged, and lost in a crash.
pub const CONTROL: &str = "control";

/// Takes a frame for [`CONTROL`] from its authenticated sender. [`Party::tell`] answers.
pub type Control<P> = Box<dyn Fn(&Started<P>, Owner, Bytes) + Send>;

/// A party that has read its log.
pub struct Started<P: Protocol> {
    /// The party.
    pub party: Rc<Party>,
    /// The address of its root.
    pub root: Address<P>,
    resident: Weak<Resident<P>>,
    state: watch::Receiver<State>,
    control: Rc<Control<P>>,
}

/// Why a party cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its snapshot cannot be read.
    #[error("the snapshot of {0} cannot be read: {1}")]
    Snapshot(InstanceId, BadSnapshot),
    /// The sessions of its links cannot be read.
    #[error("the saved links cannot be read: {0}")]
    Links(maftia_core::wire::DecodeError),
    /// A record cannot be taken again.
    #[error("record {0} cannot be taken again: {1}")]
    Replay(Lsn, String),
}

/// The records that are to be skipped.
pub(super) fn skipped(records: &[(Lsn, Record)]) -> BTreeSet<Lsn> {
    let skipped = |(_, record): &(Lsn, Record)| match record {
        Record::Skipped(lsn) => Some(*lsn),
        Record::Took(_) | Record::Forgot(_) => None,
    };
    records.iter().filter_map(skipped).collect()
}

impl Party {
    /// Starts a party on this thread's arbiter: reads its log in silence, then takes mail. Its links
    /// are open when [`Started::receive`] has been given to them.
    pub fn start<P: Protocol>(setup: Setup<P>) -> Result<Started<P>, StartError> {
        let Setup { seat, spec, log, recovered, links, pool, placement, outputs, control } = setup;
        let mut outbox = Outbox::default();
        let segment = recovered.segment_bytes();
        let snapshot = recovered.snapshot.unwrap_or_default();
        if !snapshot.links.is_empty() {
            let (saved, taken) =
                maftia_core::wire::decode_own(&snapshot.links.flat()).map_err(StartError::Links)?;
            links.load(saved);
            *outbox.taken_mut() = taken;
        }
        let (state, watched) = watch::channel(State::Replaying);
        let party = Rc::new(Self {
            owner: seat.owner,
            group: match seat.owner {
                Owner::Party(group, _) => Some(group),
                Owner::Client(_) => None,
            },
            home: seat.group.id,
            directory: Arc::clone(&seat.directory),
            keys: seat.keys.clone(),
            links,
            pool,
            placement,
            pulse: Arc::new(Pulse::default()),
            router: Router::default(),
            durable: RefCell::new(log.durable()),
            log: RefCell::new(log),
            outbox: RefCell::new(outbox),
            lodgers: RefCell::default(),
            saved: RefCell::new(
                snapshot.trees.into_iter().map(|(id, tree)| (id, tree.flat())).collect(),
            ),
            state,
            live: Cell::new(false),
            pending: RefCell::default(),
            under_way: Cell::new(0),
            written: Cell::new(false),
            blocked: RefCell::default(),
            last: Cell::new(snapshot.at),
            segment: Cell::new(segment),
            restarts: RefCell::new(RestartLimit::default()),
            accusations: RefCell::new(Accusations::default()),
        });
        let id = seat.id.clone();
        let (resident, root) = Resident::open(&party, seat, spec, party.telling(outputs), false)
            .map_err(|error| StartError::Snapshot(id, error))?;
        party.replay(recovered.records)?;
        party.wake();
        let resident = Rc::downgrade(&resident);
        Ok(Started { party, root, resident, state: watched, control: Rc::new(control) })
    }

    /// The way out of the root: silent in a replay.
    fn telling<T: 'static>(self: &Rc<Self>, outputs: Box<dyn Fn(T)>) -> Box<dyn Fn(u64, T)> {
        let party = Rc::downgrade(self);
        Box::new(move |_, output| {
            if party.upgrade().is_some_and(|party| party.is_live()) {
                outputs(output);
            }
        })
    }

    fn replay(&self, records: Vec<(Lsn, Record)>) -> Result<(), StartError> {
        let skipped = skipped(&records);
        let newest = records.last().map(|(lsn, _)| *lsn);
        for (lsn, record) in records {
            self.last.set(lsn);
            let entry = match record {
                Record::Took(entry) => entry,
                Record::Skipped(_) => continue,
                Record::Forgot(guest) => {
                    self.outbox.borrow_mut().forget(guest);
                    self.links.forget(guest);
                    continue;
                }
            };
            if let Some(origin) = entry.origin.filter(|origin| origin.number > 0) {
                self.outbox.borrow_mut().taken_mut().note(origin);
            }
            let lodger = self.lodgers.borrow().get(&entry.instance).cloned();
            if let Some(lodger) = lodger
                && !skipped.contains(&lsn)
            {
                let newest = newest == Some(lsn);
                lodger
                    .replay(lsn, &entry.mail, newest)
                    .map_err(|error| StartError::Replay(lsn, error))?;
            }
        }
        Ok(())
    }

    /// From replay to life: says what was not said, asks again for what was not answered.
    fn wake(self: &Rc<Self>) {
        self.saved.borrow_mut().clear();
        self.release();
        for Origin { from, lane, number } in self.outbox.borrow().taken().floors() {
            self.links.restore(from, lane, number);
        }
        self.live.set(true);
        self.state.send_replace(State::Live);
        for post in std::mem::take(&mut *self.pending.borrow_mut()) {
            post(self);
        }
        let lodgers: Vec<_> = self.lodgers.borrow().values().cloned().collect();
        lodgers.iter().for_each(|lodger| lodger.rouse());
        self.heed();
    }

    /// Releases what becomes durable, as long as there is a party.
    fn heed(self: &Rc<Self>) {
        let (party, mut durable) = (Rc::downgrade(self), self.durable.borrow().clone());
        actix_rt::spawn(async move {
            while durable.changed().await.is_ok() {
                let Some(party) = party.upgrade() else { return };
                party.release();
            }
        });
    }
}

impl<P: Protocol> Started<P> {
    /// What takes the frames of the party's links.
    pub fn receive(&self) -> Rc<dyn Receive> {
        Rc::new(Reception {
            party: Rc::downgrade(&self.party),
            root: self.root.clone(),
            resident: Weak::clone(&self.resident),
            state: self.state.clone(),
            control: Rc::clone(&self.control),
            taken: RefCell::default(),
        })
    }

    /// What the party is doing, as it changes.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// What the party's thread is doing, for a watcher.
    pub fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.party.pulse)
    }

    /// Looks at the root's tree; in a laboratory, bends it. `None` when the party stopped.
    pub fn with<R>(&self, look: impl FnOnce(&mut maftia_core::tree::Tree<P>) -> R) -> Option<R> {
        self.resident.upgrade().map(|resident| resident.with(look))
    }
}

/// The local side of the links. The party owns the links, so they own nothing of the party.
struct Reception<P: Protocol> {
    party: Weak<Party>,
    root: Address<P>,
    resident: Weak<Resident<P>>,
    state: watch::Receiver<State>,
    control: Rc<Control<P>>,
    /// Members of the party's group that serve another process under its name, by their word.
    taken: RefCell<BTreeSet<Owner>>,
}

impl<P: Protocol> Reception<P> {
    /// Stops the party once one correct member of its group serves another process in its place: two
    /// that speak with one key would take each other's lines and answers for ever.
    fn on_taken(&self, peer: Owner) {
        let Some(party) = self.party.upgrade() else { return };
        let Some(group) = party.directory.group(party.home) else { return };
        if matches!(peer, Owner::Party(of, _) if of == party.home) {
            self.taken.borrow_mut().insert(peer);
        }
        if self.taken.borrow().len() >= group.thresholds.one_correct() {
            party.stop("another process speaks with the same key, and is served in its place");
        }
    }

    fn tell_control(&self, party: &Rc<Party>, from: Owner, body: Bytes) {
        let started = Started {
            party: Rc::clone(party),
            root: self.root.clone(),
            resident: Weak::clone(&self.resident),
            state: self.state.clone(),
            control: Rc::clone(&self.control),
        };
        (self.control)(&started, from, body);
    }
}

impl<P: Protocol> Receive for Reception<P> {
    fn take(&self, arrival: Arrival) -> Result<(), Box<Arrival>> {
        let Some(party) = self.party.upgrade().filter(|party| party.is_live()) else {
            return Err(Box::new(arrival));
        };
        let Arrival { from, lane, number, what } = &arrival;
        let origin = Origin { from: *from, lane: *lane, number: *number };
        let peer = from.seen_from(party.group);
        let routed = match what {
            What::Missed => {
                party.outbox.borrow_mut().taken_mut().skip(*from, *lane, *number);
                party.post(&self.root, Mail::Notice(Notice::Missed { from: peer }));
                Routed::Over
            }
            // A word is for nobody else, and what is for it has no number.
            What::Frame { instance, body, .. } if *number == WORD => {
                if *instance.of().name == *CONTROL {
                    self.tell_control(&party, *from, body.clone());
                    Routed::Over
                } else {
                    Routed::Nowhere
                }
            }
            What::Frame { .. } if party.outbox.borrow().taken().has(origin) => Routed::Over,
            What::Frame { instance, body, .. } => party.router.route(peer, origin, instance, body),
        };
        match (routed, what) {
            (Routed::Entered, _) => {}
            (Routed::Full, _) => {
                party.blocked.borrow_mut().push(*from);
                return Err(Box::new(arrival));
            }
            (Routed::Nowhere, What::Frame { instance, .. }) => {
                party.accuse(instance, peer, maftia_core::fault::Fault::NoSuchInstance);
                party.took(origin);
            }
            (Routed::Over | Routed::Nowhere, _) => party.took(origin),
        }
        Ok(())
    }

    fn forgotten(&self, guest: Owner) {
        if let Some(party) = self.party.upgrade().filter(|party| party.is_live()) {
            party.outbox.borrow_mut().forget(guest);
            party.remember(&Record::Forgot(guest), None);
            party.settle();
        }
    }

    fn connected(&self, peer: Owner) {
        self.taken.borrow_mut().remove(&peer);
        tracing::debug!(peer = %peer.seen_from(None), "connected");
    }

    fn disconnected(&self, peer: Owner, why: &End) {
        tracing::debug!(peer = %peer.seen_from(None), "disconnected: {why}");
        if matches!(why, End::Taken) {
            self.on_taken(peer);
        }
    }
}

#[cfg(test)]
mod tests;
