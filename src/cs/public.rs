//! Streams of outsiders: what they send, the group orders, and everybody reads it with proof.

use std::{
    collections::BTreeMap,
    marker::PhantomData,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use maftia_actors::{
    node::{Node, NodeError, Stopped},
    party::State,
};
use maftia_core::{
    agreement::Predicate,
    crypto::deal::Keyring,
    id::{ClientId, Slot},
    path::Segment,
    replica::{
        self, Session,
        session::{self, Why},
    },
    seat::Seat,
    stream::{
        open::{Entry, Publish, shelf},
        secure::Author,
    },
    wire::{self, limits::PAYLOAD_MAX},
};
use tokio::sync::oneshot;

use super::{
    Class, Payload, Port, Terms,
    outsider::{Readable, Said},
    services::Spec,
};
use crate::assembly::Assembly;

/// How long a writer that stops may take to say so.
const GRACE: Duration = Duration::from_millis(100);

/// A stream that [outsiders](super::Outsider) write and read, served by the members that opened it. What one
/// sends gets one slot, after `f + 1` members have vouched for it; so no member adds a word, or takes one
/// away. It has no end: it is served until its handle is dropped. A member that wants to read it does so as
/// an outsider.
pub struct PublicStream<T> {
    port: Port,
    marker: PhantomData<fn() -> T>,
}

impl<T> PublicStream<T> {
    /// Waits until this member has stopped. It needs no more than to be kept.
    pub async fn serve(&mut self) -> Stopped {
        loop {
            if let Err(stopped) = self.port.next().await {
                return stopped;
            }
        }
    }
}

impl<Q: Predicate<Proof = Bytes>, T: Payload> Class<Q> for PublicStream<T> {
    type Terms = ();
    const NAME: &str = <Self as Writable>::NAME;

    fn spec((): &()) -> Spec<Q> {
        Spec::Public(replica::Spec::new(shelf::Spec::default()))
    }

    fn over(port: Port, _: Terms<()>) -> Self {
        Self { port, marker: PhantomData }
    }
}

impl<T: Payload> Readable for PublicStream<T> {
    type Payload = T;
    type From = ClientId;
    const NAME: &'static str = <Self as Writable>::NAME;
    const SHELF: &'static [Segment] = &[Publish::SHELF];

    fn said(entry: &Entry) -> Said<ClientId> {
        match entry.author {
            Author::Client(client) => Said::Payload(client, entry.payload.clone()),
            Author::Member(_) => Said::Nothing,
        }
    }
}

/// A class that outsiders write to by name.
pub trait Writable {
    /// What is in it.
    type Payload: Payload;
    /// What it is called.
    const NAME: &'static str;
}

impl<T: Payload> Writable for PublicStream<T> {
    type Payload = T;
    const NAME: &'static str = "public stream";
}

/// Why a payload has no slot that could be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The payload is too large: it was not sent.
    #[error("{len} bytes are more than the {max} that a payload may have")]
    TooLarge {
        /// Its size, in bytes.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// Too many are under way: it was not sent.
    #[error("too many payloads are under way")]
    Full,
    /// `f + 1` members say that a later writer of this key is there, or that they do not serve it. What was
    /// under way may have got slots, or not.
    #[error("the group serves this writer no more: {0:?}")]
    Over(Why),
    /// The group let this writer go, which was idle while many others came. What was under way may have
    /// got slots, or not; what is sent from now on is sent by a new one.
    #[error("the group let this idle writer go: the payload may have got a slot, or not")]
    Forgotten,
    /// The writer has stopped. What was under way may have got slots, or not.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Those who wait for their slots, by the number of what they sent.
#[derive(Default)]
struct Waiting(Mutex<BTreeMap<u64, oneshot::Sender<Result<u64, WriteError>>>>);

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, oneshot::Sender<Result<u64, WriteError>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn on_output(&self, output: session::Output) {
        let (number, sent) = match output {
            session::Output::Answered { number, body, .. } => {
                // One of `f + 1` who gave this answer is correct.
                let slot: Slot = wire::decode(&body).expect("a stream answers with slots");
                (number, Ok(slot.number()))
            }
            session::Output::Refused { number, why: Why::Full } => (number, Err(WriteError::Full)),
            session::Output::Refused { number, why: Why::Forgotten } => {
                (number, Err(WriteError::Forgotten))
            }
            session::Output::Refused { number, why } => (number, Err(WriteError::Over(why))),
            // It is still being tried.
            session::Output::NoQuorum { .. } | session::Output::Tallied { .. } => return,
        };
        if let Some(tell) = self.lock().remove(&number) {
            // Whoever sent it may have given up.
            let _ = tell.send(sent);
        }
    }
}

/// One outsider's way into a stream.
pub struct Writer<T> {
    node: Node<Session>,
    waiting: Arc<Waiting>,
    /// How many were sent: the session counts them, too.
    sent: tokio::sync::Mutex<u64>,
    marker: PhantomData<fn(T)>,
}

impl<T: Payload> Writer<T> {
    pub(super) async fn start(
        assembly: &Assembly,
        ring: &Keyring,
        seat: Seat,
        number: u32,
    ) -> Result<Self, NodeError> {
        let waiting = Arc::<Waiting>::default();
        let told = Arc::clone(&waiting);
        let outputs = Box::new(move |output| told.on_output(output));
        let node = assembly.outsider(ring, seat, session::Spec::new(number), outputs).await?;
        Ok(Self { node, waiting, sent: tokio::sync::Mutex::new(0), marker: PhantomData })
    }

    /// Sends a payload, and waits until it has a slot, which it tells. Several may be sent at a time; their
    /// slots are in the order in which they were sent. It waits as long as the group is busy or cannot be
    /// reached; whoever stops waiting does not know whether there will be a slot.
    pub async fn send(&self, payload: &T) -> Result<u64, WriteError> {
        let payload = wire::encode(payload);
        if payload.len() > PAYLOAD_MAX {
            return Err(WriteError::TooLarge { len: payload.len(), max: PAYLOAD_MAX });
        }
        let (tell, told) = oneshot::channel();
        {
            let mut sent = self.sent.lock().await;
            *sent += 1;
            self.waiting.lock().insert(*sent, tell);
            self.node.ask(session::Input::request(payload)).await?;
        }
        let mut states = self.node.states();
        tokio::select! {
            told = told => told.map_err(|_| Stopped)?,
            _ = states.wait_for(|state| matches!(state, State::Stopped(_))) => Err(Stopped.into()),
        }
    }

    /// Stops writing.
    pub async fn close(self) {
        self.node.leave(GRACE).await;
    }
}
