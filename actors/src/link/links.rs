//! The links of one owner.

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use maftia_core::{effects::Lane, path::InstanceId, seat::Owner};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    Bound, Passport, Receive, Refusal,
    handshake::Keys,
    keep,
    lab::{Lab, Tamper},
    line, name,
    names::Names,
    parcel::{BadParcel, Parcel},
    session::{CLIENT, Session},
    wire::{End, Reader, Writer},
};

/// Clients with whom numbers are kept though the configuration does not name them. Beyond it those
/// that have no line are forgotten; their requests are not, which carry numbers of their own.
pub const GUESTS_MAX: usize = 1024;

/// Frames that a liar may hold back. Beyond it they go at once.
const HELD_MAX: usize = 4096;

/// Why a frame was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The frame is longer than any may be.
    #[error(transparent)]
    Parcel(#[from] BadParcel),
    /// Nobody has this name: not in the configuration, and no guest who is or was here.
    #[error("{} is not in the configuration, and no guest here", name(*.0))]
    Unknown(Owner),
}

/// What a snapshot keeps of all links. Compare with a log: what was sent or taken after it is rebuilt
/// by sending again and by [`Links::restore`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Saved(Vec<(Owner, Session)>);

#[cfg(test)]
impl Saved {
    /// The last number taken from an owner.
    pub(super) fn restored(&self, from: Owner, lane: Lane) -> Option<u64> {
        self.0.iter().find(|(owner, _)| *owner == from).map(|(_, session)| session.taken(lane))
    }
}

/// How a link does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The owner at the other end.
    pub peer: Owner,
    /// Whether a line stands.
    pub connected: bool,
    /// Frames that it has not acknowledged, on both lanes.
    pub waiting_frames: usize,
    /// What these weigh, in bytes.
    pub waiting_bytes: usize,
}

/// The links of one owner to all others. Cheap to clone; all clones are the same links.
#[derive(Clone)]
pub struct Links(Rc<Inner>);

/// What all tasks of one owner share.
pub(super) struct Inner {
    pub(super) passport: Passport,
    pub(super) lab: Arc<Lab>,
    pub(super) closing: CancellationToken,
    receive: OnceCell<Rc<dyn Receive>>,
    peers: RefCell<BTreeMap<Owner, Rc<Peer>>>,
    leaving: Cell<bool>,
    held: Rc<Cell<usize>>,
    names: Names,
}

/// The other end of a link.
pub(super) struct Peer {
    pub(super) owner: Owner,
    pub(super) session: RefCell<Session>,
    /// There is something to write.
    pub(super) wake: Notify,
    /// There is room on the local side.
    pub(super) room: Notify,
    /// The addresses of what it sends to.
    pub(super) names: Names,
    /// Ends the present line.
    line: RefCell<Option<CancellationToken>>,
    /// Counts lines, to know the present one.
    lines: Cell<u64>,
}

impl Links {
    /// Links that are not open yet.
    pub fn new(passport: Passport) -> Self {
        Self(Rc::new(Inner {
            passport,
            lab: Arc::default(),
            closing: CancellationToken::new(),
            receive: OnceCell::new(),
            peers: RefCell::default(),
            leaving: Cell::new(false),
            held: Rc::default(),
            names: Names::default(),
        }))
    }

    /// Everything that a restarted owner needs to go on where it was.
    pub fn save(&self) -> Saved {
        let peers = self.0.peers.borrow();
        Saved(peers.values().map(|peer| (peer.owner, peer.session.borrow().at_rest())).collect())
    }

    /// Goes on from a snapshot. Comes before everything else.
    pub fn load(&self, saved: Saved) {
        for (owner, session) in saved.0 {
            self.0.peers.borrow_mut().insert(owner, Peer::new(owner, session));
        }
    }

    /// This arrival stands in the log, so it is taken and durable.
    pub fn restore(&self, from: Owner, lane: Lane, number: u64) {
        if let Ok(peer) = self.0.meet(from) {
            peer.durable(lane, number);
        }
    }

    /// This guest was forgotten, as the log says. Comes before everything is opened.
    pub fn forget(&self, guest: Owner) {
        self.0.peers.borrow_mut().remove(&guest);
    }

    /// Opens the links. Needs a `LocalSet`; once.
    pub fn open(&self, by: Bound, receive: Rc<dyn Receive>) {
        match by {
            Bound::Memory(port) => {
                self.open_by(port, self.0.passport.known.iter().copied().collect(), receive);
            }
            Bound::Tcp(tcp) => {
                let dialled = tcp.names();
                self.open_by(tcp, dialled, receive);
            }
            Bound::Quic(quic) => {
                let dialled = quic.names();
                self.open_by(quic, dialled, receive);
            }
        }
    }

    fn open_by<T: super::wire::Transport>(&self, by: T, to: Vec<Owner>, receive: Rc<dyn Receive>) {
        if self.0.receive.set(receive).is_ok() {
            keep::open(&self.0, by, to);
        }
    }

    /// Sends a frame to one owner, if need be later.
    pub fn send(
        &self,
        to: Owner,
        lane: Lane,
        instance: &InstanceId,
        body: Bytes,
    ) -> Result<(), SendError> {
        self.send_many(&[to], lane, instance, body)
    }

    /// Sends the same frame to several owners, who share its bytes and its digest. Oneself is left
    /// out. An owner that nobody knows fails the call, after the others were served.
    pub fn send_many(
        &self,
        to: &[Owner],
        lane: Lane,
        instance: &InstanceId,
        body: Bytes,
    ) -> Result<(), SendError> {
        let mut result = Ok(());
        let parcel = Arc::new(Parcel::to(self.0.names.address(instance)?, body)?);
        for to in to.iter().filter(|to| **to != self.0.passport.me) {
            match self.0.find(*to) {
                None => result = Err(SendError::Unknown(*to)),
                Some(peer) if self.0.lab.is_lying() => {
                    self.0.lie(&peer, lane, instance, &parcel)?;
                }
                Some(peer) => peer.push(lane, Arc::clone(&parcel)),
            }
        }
        result
    }

    /// Says a word to one owner: a frame that no log remembers on either side. It is written to the
    /// present line or the next one, once, and has no number.
    pub fn say(&self, to: Owner, instance: &InstanceId, body: Bytes) -> Result<(), SendError> {
        let parcel = Arc::new(Parcel::new(instance, body)?);
        let peer = self.0.find(to).ok_or(SendError::Unknown(to))?;
        let lab = &self.0.lab;
        // Liars lie about protocols, but one that is mute says nothing at all.
        if !lab.is_lying() || lab.judge(&to, instance, &parcel.body) != Tamper::Drop {
            peer.session.borrow_mut().say(parcel);
            peer.wake.notify_one();
        }
        Ok(())
    }

    /// Whether the configuration names this owner.
    pub fn knows(&self, owner: Owner) -> bool {
        self.0.passport.known.contains(&owner)
    }

    /// What this owner sent up to this number is durable here: it may forget it.
    pub fn durable(&self, from: Owner, lane: Lane, number: u64) {
        if let Some(peer) = self.0.find(from) {
            peer.durable(lane, number);
        }
    }

    /// There is room again for what this owner sends, after [`Receive::take`] refused something.
    pub fn room(&self, from: Owner) {
        if let Some(peer) = self.0.find(from) {
            peer.room.notify_one();
        }
    }

    /// How all links do, in the order of their owners.
    pub fn status(&self) -> Vec<Status> {
        self.0.peers.borrow().values().map(|peer| peer.status()).collect()
    }

    /// The faults of this owner.
    pub fn lab(&self) -> Arc<Lab> {
        Arc::clone(&self.0.lab)
    }

    /// Writes what waits for those who are connected, says good-bye, and closes; after `grace` it
    /// closes anyway.
    pub async fn leave(&self, grace: Duration) {
        self.0.leaving.set(true);
        let peers: Vec<_> = self.0.peers.borrow().values().cloned().collect();
        let gone = async {
            for peer in &peers {
                peer.wake.notify_one();
                while peer.is_connected() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        };
        // Out of time is as good as done: what was not written is resent after the restart.
        let _ = tokio::time::timeout(grace, gone).await;
        self.close();
    }

    /// Ends all lines and tasks at once, as a crash would.
    pub fn close(&self) {
        self.0.closing.cancel();
        self.0.peers.borrow().values().for_each(|peer| drop(peer.line.replace(None)));
    }
}

impl Inner {
    pub(super) fn receive(&self) -> Option<Rc<dyn Receive>> {
        self.receive.get().cloned()
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.get()
    }

    /// The peer with this name, if it is in the configuration or was here.
    fn find(&self, owner: Owner) -> Option<Rc<Peer>> {
        let found = self.peers.borrow().get(&owner).cloned();
        found.or_else(|| self.passport.known.contains(&owner).then(|| self.meet(owner).ok())?)
    }

    /// The peer with this name, who may be new. Too many guests are refused.
    fn meet(&self, owner: Owner) -> Result<Rc<Peer>, Refusal> {
        if let Some(peer) = self.peers.borrow().get(&owner) {
            return Ok(Rc::clone(peer));
        }
        if !self.passport.known.contains(&owner) {
            if self.passport.guests.is_none() || matches!(owner, Owner::Party(..)) {
                return Err(Refusal::Stranger);
            }
            self.make_room()?;
        }
        let peer = Peer::new(owner, Session::default());
        self.peers.borrow_mut().insert(owner, Rc::clone(&peer));
        Ok(peer)
    }

    /// With too many guests, forgets one that is away and all of whose frames are durable: whatever
    /// numbers its frames from 1 later is not mixed up with what is under way.
    fn make_room(&self) -> Result<(), Refusal> {
        let mut peers = self.peers.borrow_mut();
        let guest = |peer: &&Rc<Peer>| !self.passport.known.contains(&peer.owner);
        if peers.values().filter(guest).count() < GUESTS_MAX {
            return Ok(());
        }
        let away = |peer: &&Rc<Peer>| !peer.is_connected() && peer.session.borrow().is_settled();
        let away = peers.values().filter(guest).find(away).ok_or(Refusal::Busy)?.owner;
        peers.remove(&away);
        drop(peers);
        if let Some(receive) = self.receive() {
            receive.forgotten(away);
        }
        Ok(())
    }

    /// Uses a connection whose other end has proved to be `owner`, until it ends. A newer line to the
    /// same owner ends the older one.
    pub(super) async fn hold(
        &self,
        owner: Owner,
        keys: Keys,
        reader: impl Reader,
        writer: impl Writer,
    ) -> End {
        let peer = match self.meet(owner) {
            Ok(peer) => peer,
            Err(refusal) => return refusal.into(),
        };
        let token = self.closing.child_token();
        if let Some(older) = peer.line.replace(Some(token.clone())) {
            older.cancel();
        }
        let number = peer.lines.get() + 1;
        peer.lines.set(number);
        peer.session.borrow_mut().begin();
        let receive = self.receive();
        if let Some(receive) = &receive {
            receive.connected(owner);
        }
        let end = line::run(self, &peer, keys, reader, writer, &token).await;
        if peer.lines.get() == number {
            peer.line.replace(None);
            if let Some(receive) = &receive {
                receive.disconnected(owner, &end);
            }
        }
        end
    }

    /// Sends what the liar makes of a frame.
    fn lie(
        &self,
        peer: &Rc<Peer>,
        lane: Lane,
        instance: &InstanceId,
        parcel: &Arc<Parcel>,
    ) -> Result<(), BadParcel> {
        match self.lab.judge(&peer.owner, instance, &parcel.body) {
            Tamper::Drop => {}
            Tamper::Replace(body) => peer.push(lane, Arc::new(Parcel::new(instance, body)?)),
            Tamper::Delay(time) if self.held.get() < HELD_MAX => {
                self.hold_back(peer, lane, parcel, time);
            }
            Tamper::Pass | Tamper::Delay(_) => peer.push(lane, Arc::clone(parcel)),
            Tamper::Also(more) => {
                peer.push(lane, Arc::clone(parcel));
                for (instance, body) in more {
                    peer.push(lane, Arc::new(Parcel::new(&instance, body)?));
                }
            }
        }
        Ok(())
    }

    /// Sends a frame later.
    fn hold_back(&self, peer: &Rc<Peer>, lane: Lane, parcel: &Arc<Parcel>, time: Duration) {
        let (peer, parcel, held) = (Rc::clone(peer), Arc::clone(parcel), Rc::clone(&self.held));
        held.set(held.get() + 1);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(time).await;
            held.set(held.get() - 1);
            peer.push(lane, parcel);
        });
    }
}

impl Peer {
    fn new(owner: Owner, session: Session) -> Rc<Self> {
        Rc::new(Self {
            owner,
            session: RefCell::new(session),
            wake: Notify::new(),
            room: Notify::new(),
            names: Names::default(),
            line: RefCell::new(None),
            lines: Cell::new(0),
        })
    }

    fn push(&self, lane: Lane, parcel: Arc<Parcel>) {
        let mut session = self.session.borrow_mut();
        match self.owner {
            Owner::Party(..) => session.push(lane, parcel),
            Owner::Client(_) => session.push_within(CLIENT, lane, parcel),
        };
        drop(session);
        self.wake.notify_one();
    }

    pub(super) fn is_connected(&self) -> bool {
        self.line.borrow().is_some()
    }

    fn status(&self) -> Status {
        let session = self.session.borrow();
        let (control, bulk) = (session.backlog(Lane::Control), session.backlog(Lane::Bulk));
        Status {
            peer: self.owner,
            connected: self.is_connected(),
            waiting_frames: control.0 + bulk.0,
            waiting_bytes: control.1 + bulk.1,
        }
    }
}

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Links").field("status", &self.status()).finish_non_exhaustive()
    }
}
