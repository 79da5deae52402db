//! What the actors of one party share: its log, its links, its keys. It lives on one arbiter.

mod outbox;
mod start;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use maftia_core::{
    crypto::{Job, Keys},
    effects::{Lane, To},
    fault::Fault,
    host::Alarm,
    id::{Epoch, GroupId, Peer},
    mail::{Mail, Notice},
    path::InstanceId,
    protocol::Protocol,
    seat::{Directory, Owner},
    time::Span,
    wire::Rope,
};
use tokio::sync::watch;

use self::outbox::Outbox;
pub use self::start::{CONTROL, Control, Setup, StartError, Started};
use crate::{
    accusations::{Accusations, Seen},
    address::{Address, Way},
    link::Links,
    log::{Durable, Inscribe, Log, LogError, Lsn, Origin, Record, Snapshot, segment_bytes},
    placement::Placement,
    pool::Pool,
    pulse::Pulse,
    restarts::RestartLimit,
    router::Router,
};

/// What a party asks of an actor whose type it does not know.
pub(crate) trait Lodger {
    /// The tree as bytes.
    fn save(&self) -> Rope;
    /// Takes mail from the log again. With `newest` nothing comes after it.
    fn replay(&self, lsn: Lsn, mail: &[u8], newest: bool) -> Result<(), String>;
    /// After a replay: hands out what is unanswered.
    fn rouse(&self);
    /// It is over: gives up its own address.
    fn leave(&self);
}

/// Mail that was posted in a replay.
type Pending = Box<dyn FnOnce(&Party)>;

/// What one instance remembers of itself.
pub(crate) struct History {
    pub(crate) snapshot: Option<Bytes>,
    pub(crate) mail: Vec<Bytes>,
}

/// What a party is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It reads its log and says nothing.
    Replaying,
    /// It takes part.
    Live,
    /// It stopped by itself, and why.
    Stopped(Arc<str>),
}

/// One party. Its clones by [`Rc`] are the same party.
pub struct Party {
    owner: Owner,
    /// The group that it is in.
    group: Option<GroupId>,
    /// The group that its root belongs to or talks to: `Everyone`.
    home: GroupId,
    directory: Arc<Directory>,
    keys: Keys,
    links: Links,
    pool: Pool,
    placement: Placement,
    pulse: Arc<Pulse>,
    router: Router,
    log: RefCell<Box<dyn Log>>,
    durable: RefCell<watch::Receiver<Durable>>,
    outbox: RefCell<Outbox>,
    lodgers: RefCell<BTreeMap<InstanceId, Rc<dyn Lodger>>>,
    saved: RefCell<BTreeMap<InstanceId, Bytes>>,
    state: watch::Sender<State>,
    /// The same as `state`, for every piece of mail.
    live: Cell<bool>,
    pending: RefCell<Vec<Pending>>,
    /// How much mail between actors was posted and not taken.
    under_way: Cell<usize>,
    /// Something was appended to the log and not committed.
    written: Cell<bool>,
    blocked: RefCell<Vec<Owner>>,
    last: Cell<Lsn>,
    segment: Cell<u64>,
    restarts: RefCell<RestartLimit>,
    accusations: RefCell<Accusations>,
}

impl Party {
    /// Who this is.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// What it is doing.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// What it holds against others.
    pub fn accusations(&self) -> Vec<Seen> {
        self.accusations.borrow().list()
    }

    /// Says something to the [`CONTROL`] of another node: at most once, and only while both live. It has
    /// no number on the link, since it is not said again when the log is read.
    pub fn tell(&self, to: Owner, group: GroupId, frame: Bytes) {
        let instance = InstanceId::root(group, Epoch::FIRST, CONTROL);
        if let Err(error) = self.links.say(to, &instance, frame) {
            tracing::debug!("a word to {} has no way: {error}", to.seen_from(None));
        }
    }

    /// How its links do, and the place of its last record.
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// The place of the last record in its log.
    pub fn last(&self) -> Lsn {
        self.last.get()
    }

    /// How many actors it has.
    pub fn actors(&self) -> usize {
        self.lodgers.borrow().len()
    }

    /// Stops by itself, rather than limp: cuts its links and takes no mail any more.
    pub fn stop(&self, why: &str) {
        if matches!(*self.state.borrow(), State::Stopped(_)) {
            return;
        }
        tracing::warn!(party = %self.owner.seen_from(None), "the party stops: {why}");
        self.live.set(false);
        self.state.send_replace(State::Stopped(why.into()));
        self.links.close();
        for lodger in std::mem::take(&mut *self.lodgers.borrow_mut()).into_values() {
            lodger.leave();
        }
    }

    /// An ordered stop: finishes what is in the log, says good-bye to its peers, then stops.
    pub async fn leave(&self, grace: Duration) {
        self.log.borrow_mut().flush();
        self.release();
        self.links.leave(grace).await;
        self.stop("it was told to");
    }

    pub(crate) fn is_live(&self) -> bool {
        self.live.get()
    }

    pub(crate) fn placement(&self) -> &Placement {
        &self.placement
    }

    pub(crate) fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    pub(crate) fn may_restart(&self) -> bool {
        self.restarts.borrow_mut().allows(Instant::now())
    }

    pub(crate) fn saved(&self, id: &InstanceId) -> Option<Bytes> {
        self.saved.borrow_mut().remove(id)
    }

    pub(crate) fn lodge<P: Protocol>(
        &self,
        id: &InstanceId,
        lodger: Rc<dyn Lodger>,
        address: &Address<P>,
    ) {
        self.lodgers.borrow_mut().insert(id.clone(), lodger);
        self.router.open(address);
    }

    /// Ends an actor and all that hang below it.
    pub(crate) fn evict(&self, over: &InstanceId) {
        let below: Vec<InstanceId> =
            self.lodgers.borrow().keys().filter(|id| id.below(over).is_some()).cloned().collect();
        for id in below {
            self.router.close(&id);
            let lodger = self.lodgers.borrow_mut().remove(&id);
            lodger.into_iter().for_each(|lodger| lodger.leave());
        }
    }

    /// Writes a record, which [`settle`](Self::settle) commits; a frame is acknowledged when the record
    /// is durable.
    pub(crate) fn remember(&self, record: &dyn Inscribe, origin: Option<Origin>) -> Lsn {
        let lsn = self.log.borrow_mut().append(record);
        self.last.set(lsn);
        self.written.set(true);
        if let Some(origin) = origin {
            self.outbox.borrow_mut().acknowledge(lsn, origin);
        }
        lsn
    }

    /// A frame that nobody needs: it is acknowledged, and not remembered.
    pub(crate) fn took(&self, origin: Origin) {
        let last = self.last.get();
        self.outbox.borrow_mut().acknowledge(last, origin);
    }

    /// What one instance took, without what is to be skipped.
    pub(crate) fn history(&self, id: &InstanceId) -> Result<History, LogError> {
        let recovered = self.log.borrow_mut().reread()?;
        let skipped = start::skipped(&recovered.records);
        let snapshot = recovered.snapshot.into_iter().flat_map(|snapshot| snapshot.trees);
        let took = |(lsn, record)| match record {
            Record::Took(entry) if entry.instance == *id && !skipped.contains(&lsn) => {
                Some(entry.mail)
            }
            _ => None,
        };
        Ok(History {
            snapshot: snapshot.into_iter().find(|(of, _)| of == id).map(|(_, tree)| tree.flat()),
            mail: recovered.records.into_iter().filter_map(took).collect(),
        })
    }

    /// Carries a frame, once what caused it is durable.
    pub(crate) fn emit(&self, lsn: Lsn, to: To, instance: InstanceId, lane: Lane, frame: Bytes) {
        let to = self.addressees(to);
        self.outbox.borrow_mut().hold(lsn, outbox::Parcel { to, instance, lane, frame });
    }

    fn addressees(&self, to: To) -> Vec<Owner> {
        let members = |group: GroupId| {
            let group = self.directory.group(group).expect("groups are found in the directory");
            maftia_core::id::PartyId::all(group.thresholds.n())
                .map(|party| Owner::Party(group.id, party))
                .collect()
        };
        match to {
            To::Member(party) => vec![Owner::Party(self.home, party)],
            To::Everyone => members(self.home),
            To::Group(group) => members(group),
            To::Foreign(group, party) => vec![Owner::Party(group, party)],
            To::Client(client) => vec![Owner::Client(client)],
        }
    }

    /// Hands out what has become durable. A log that failed ends the party.
    pub(crate) fn release(&self) {
        if self.outbox.borrow().is_empty() {
            return;
        }
        let durable = self.durable.borrow().borrow().clone();
        match durable {
            Durable::UpTo(lsn) => {
                while let Some(parcel) = self.outbox.borrow_mut().next_parcel(lsn) {
                    let outbox::Parcel { to, instance, lane, frame } = parcel;
                    if let Err(error) = self.links.send_many(&to, lane, &instance, frame) {
                        tracing::debug!(%instance, "a frame has no way: {error}");
                    }
                }
                while let Some(origin) = self.outbox.borrow_mut().next_taken(lsn) {
                    let Origin { from, lane, number } = origin;
                    self.links.durable(from, lane, number);
                }
            }
            Durable::Failed(why) => self.stop(&format!("its log failed: {why}")),
        }
    }

    pub(crate) fn arm<P: Protocol>(&self, address: &Address<P>, alarm: Alarm, after: Span) {
        if self.is_live() {
            let address = address.clone();
            actix_rt::spawn(async move {
                actix_rt::time::sleep(Duration::from_micros(after.as_micros())).await;
                address.post(Mail::Alarm(alarm), Way::Own);
            });
        }
    }

    pub(crate) fn compute<P: Protocol>(&self, address: &Address<P>, id: InstanceId, job: Job) {
        if self.is_live() {
            let address = address.clone();
            let fell = || tracing::error!("a job fell; whoever asked waits for ever");
            let done = move |answer| {
                // Nobody waits for the answer when the instance is over.
                let _ = address.post(Mail::Answer { job: id, answer }, Way::Own);
            };
            self.pool.compute(job, self.keys.clone(), done, fell);
        }
    }

    pub(crate) fn accuse(&self, instance: &InstanceId, peer: Peer, fault: Fault) {
        let culprit = match (peer, self.group) {
            (Peer::Member(party), Some(group)) | (Peer::Foreign(group, party), _) => {
                Owner::Party(group, party)
            }
            (Peer::Client(client), _) => Owner::Client(client),
            (Peer::Member(_), None) => return,
        };
        let configured = self.links.knows(culprit);
        if self.accusations.borrow_mut().note(culprit, configured, instance, fault.clone()) {
            tracing::warn!(%instance, %peer, "{fault}");
        }
    }

    /// Mail from one actor of the party to another. During a replay it waits: the log may hold it.
    pub(crate) fn post<P: Protocol>(&self, to: &Address<P>, mail: Mail<P>) {
        if !self.live.get() && *self.state.borrow() == State::Replaying {
            let to = to.clone();
            return self.pending.borrow_mut().push(Box::new(move |party| party.post(&to, mail)));
        }
        if to.post(mail, Way::Inside) {
            self.under_way.set(self.under_way.get() + 1);
        }
    }

    /// Mail came to its actor. What came from inside is not under way any more.
    pub(crate) fn arrived(&self, way: Way) {
        if way == Way::Inside {
            self.under_way.set(self.under_way.get() - 1);
        }
    }

    /// Hands a frame from a tree's lobby to the actor that it is for.
    pub(crate) fn forward(&self, from: Peer, instance: InstanceId, bytes: Bytes) {
        self.router.pass(self, from, instance, bytes);
    }

    /// Hands a notice to one of the actors.
    pub(crate) fn notify(&self, instance: &InstanceId, notice: Notice) {
        self.router.notify(self, instance, notice);
    }

    /// After each batch of mail: it is committed, what is durable leaves, blocked links go on, and when
    /// the log has grown and nothing is under way inside, a snapshot replaces it.
    pub(crate) fn settle(&self) {
        if self.written.take() {
            self.log.borrow_mut().commit();
        }
        self.release();
        for owner in std::mem::take(&mut *self.blocked.borrow_mut()) {
            self.links.room(owner);
        }
        let grown = self.log.borrow().grown();
        if grown > self.segment.get() && self.under_way.get() == 0 && self.is_live() {
            self.snapshot();
        }
    }

    fn snapshot(&self) {
        self.log.borrow_mut().flush();
        self.release();
        let trees: Vec<_> =
            self.lodgers.borrow().iter().map(|(id, lodger)| (id.clone(), lodger.save())).collect();
        let mut links = Rope::default();
        links.add(&(self.links.save(), self.outbox.borrow().taken()));
        let snapshot = Snapshot { at: self.last.get(), trees, links };
        self.segment.set(segment_bytes(snapshot.own()));
        self.log.borrow_mut().replace(snapshot);
    }
}
