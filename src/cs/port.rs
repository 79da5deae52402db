//! What lies between an application and an instance: an inbox that the instance fills as far as it was
//! allowed to, and the way to ask.

use std::{
    collections::{BTreeMap, VecDeque},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use maftia_actors::{
    node::{Node, Stopped},
    party::State,
};
use maftia_core::agreement::Predicate;
use tokio::sync::{Notify, oneshot, watch};

use super::services::{Input, Output, Refused, Say, Services, Told};

/// What an instance told and its user has not looked at. Bounded by the credit that a stream is given,
/// and by the few things that anything else says.
#[derive(Debug)]
pub(super) struct Inbox<T = Told> {
    told: Mutex<VecDeque<T>>,
    news: Notify,
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        Self { told: Mutex::default(), news: Notify::default() }
    }
}

impl<T> Inbox<T> {
    pub(super) fn put(&self, told: T) {
        lock(&self.told).push_back(told);
        self.news.notify_one();
    }

    fn take(&self) -> Option<T> {
        lock(&self.told).pop_front()
    }

    /// What the party tells next, unless it stops.
    pub(super) async fn next(&self, states: &mut watch::Receiver<State>) -> Result<T, Stopped> {
        loop {
            if let Some(told) = self.take() {
                return Ok(told);
            }
            if matches!(*states.borrow_and_update(), State::Stopped(_)) {
                return Err(Stopped);
            }
            tokio::select! {
                () = self.news.notified() => {}
                changed = states.changed() => changed.map_err(|_| Stopped)?,
            }
        }
    }
}

/// Whose inbox is which.
#[derive(Debug, Default)]
pub(super) struct Registry {
    inboxes: Mutex<BTreeMap<u64, Arc<Inbox>>>,
    tickets: Mutex<BTreeMap<u64, oneshot::Sender<Opened>>>,
    next: AtomicU64,
    /// Instances whose handles are gone, until the party is told.
    dropped: Mutex<Vec<u64>>,
    /// The member has left or crashed: its thread may end without a word.
    closed: AtomicBool,
}

/// What became of an opening.
/// `Err(None)`: this process has a handle of it.
type Opened = Result<(u64, Arc<Inbox>), Option<Refused>>;

impl Registry {
    /// Takes what the root tells, on the party's thread.
    pub(super) fn take(&self, output: Output) {
        match output {
            Output::Opened { ticket, number } => {
                let opened = number.map_err(Some).and_then(|number| self.enter(number));
                let tell = lock(&self.tickets).remove(&ticket);
                if let Some(tell) = tell
                    && let Err(Ok((number, _))) = tell.send(opened)
                {
                    // Whoever opened it has given up.
                    self.let_go(number);
                }
            }
            Output::Told { number, told } => {
                let inbox = lock(&self.inboxes).get(&number).map(Arc::clone);
                if let Some(inbox) = inbox {
                    inbox.put(told);
                }
            }
        }
    }

    fn enter(&self, number: u64) -> Opened {
        let (mut inboxes, inbox) = (lock(&self.inboxes), Arc::<Inbox>::default());
        if inboxes.contains_key(&number) {
            return Err(None);
        }
        inboxes.insert(number, Arc::clone(&inbox));
        Ok((number, inbox))
    }

    /// A number for a question, and where its answer comes.
    pub(super) fn ticket(&self) -> (u64, oneshot::Receiver<Opened>) {
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        let (tell, told) = oneshot::channel();
        lock(&self.tickets).insert(ticket, tell);
        (ticket, told)
    }

    /// Tells all who wait that nothing comes any more.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        lock(&self.inboxes).values().for_each(|inbox| inbox.news.notify_one());
    }

    fn let_go(&self, number: u64) {
        lock(&self.inboxes).remove(&number);
        lock(&self.dropped).push(number);
    }

    /// The instances whose handles are gone since this was last asked.
    pub(super) fn dropped(&self) -> Vec<u64> {
        std::mem::take(&mut *lock(&self.dropped))
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A question under way to the party's thread.
type Asking = Pin<Box<dyn Future<Output = Result<(), Stopped>> + Send>>;

/// The way to the root, whatever its predicate.
trait Door: Send + Sync {
    fn ask(&self, number: u64, say: Say) -> Asking;
    fn take(&self, number: u64, more: u64) -> Asking;
}

impl<Q: Predicate<Proof = Bytes>> Door for Weak<Node<Services<Q>>> {
    fn ask(&self, number: u64, say: Say) -> Asking {
        asked(self, Input::Ask { number, say })
    }

    fn take(&self, number: u64, more: u64) -> Asking {
        asked(self, Input::Take { number, more })
    }
}

fn asked<Q: Predicate<Proof = Bytes>>(node: &Weak<Node<Services<Q>>>, input: Input<Q>) -> Asking {
    let node = node.upgrade();
    Box::pin(async move { node.ok_or(Stopped)?.ask(input).await })
}

/// The application's end of one instance. When it is dropped, the instance is let go.
pub struct Port {
    number: u64,
    inbox: Arc<Inbox>,
    door: Box<dyn Door>,
    states: watch::Receiver<State>,
    registry: Arc<Registry>,
}

impl Port {
    pub(super) fn new<Q: Predicate<Proof = Bytes>>(
        node: &Arc<Node<Services<Q>>>,
        registry: &Arc<Registry>,
        number: u64,
        inbox: Arc<Inbox>,
    ) -> Self {
        let (door, states) = (Box::new(Arc::downgrade(node)), node.states());
        Self { number, inbox, door, states, registry: Arc::clone(registry) }
    }

    /// Asks the instance.
    pub(super) async fn ask(&self, say: Say) -> Result<(), Stopped> {
        self.door.ask(self.number, say).await
    }

    /// Lets so many more batches or slots come.
    pub(super) async fn take(&self, more: u64) -> Result<(), Stopped> {
        self.door.take(self.number, more).await
    }

    /// What the instance told, if it is here.
    pub(super) fn try_next(&self) -> Option<Told> {
        self.inbox.take()
    }

    /// What the instance tells next.
    pub(super) async fn next(&mut self) -> Result<Told, Stopped> {
        loop {
            if let Some(told) = self.try_next() {
                return Ok(told);
            }
            let stopped = matches!(*self.states.borrow_and_update(), State::Stopped(_));
            if stopped || self.registry.closed.load(Ordering::Acquire) {
                return Err(Stopped);
            }
            tokio::select! {
                () = self.inbox.news.notified() => {}
                changed = self.states.changed() => changed.map_err(|_| Stopped)?,
            }
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.registry.let_go(self.number);
    }
}
