//! One who is in no group: reads what a group says to everybody, and writes where everybody may.

use std::{
    collections::{BTreeSet, VecDeque},
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use maftia_actors::{
    node::{Node, NodeError, Stopped},
    party::State,
};
use maftia_core::{
    crypto::{Digest, deal::Keyring},
    id::{GroupId, PartyId, Slot},
    path::{Role, Segment},
    seat::Seat,
    stream::{
        closing::Ordered,
        fast::Fast,
        open::{self, Entry, Excerpt, Shelved, Unproven, reader},
        secure::Author,
    },
    wire::{self, DecodeError},
};
use tokio::sync::watch;

use super::{
    Delivery, Payload,
    port::Inbox,
    public::{Writable, Writer},
    services::number_of,
    stream::{self, Kind, Stream},
};
use crate::assembly::Assembly;

/// How many slots a reader is ahead of its application.
const CREDIT: u64 = 256;

/// The most bytes of what was read that wait for a certificate: those of some thousand small payloads, and of
/// a few of the largest. What is above can be read, and is not part of a proof.
const UNPROVEN_MAX: usize = 4 << 20;

/// How long a reader that stops may take to say so.
const GRACE: Duration = Duration::from_millis(100);

/// Why reading goes wrong. Only the last one ends it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// What somebody sent is nothing of the expected type.
    #[error("what {from} sent at {at} cannot be decoded: {error}")]
    Malformed {
        /// Who.
        from: Author,
        /// Its slot.
        at: u64,
        /// What is wrong with it.
        error: DecodeError,
    },
    /// The members do not keep these slots any more.
    #[error("lost slots {first} to {to}: this reader was too slow")]
    Lagged {
        /// The first slot that is lost.
        first: u64,
        /// The first slot that may come again.
        to: u64,
    },
    /// There is nothing to prove: nothing came since the last proof, or too much to be shown at once.
    #[error("nothing that could be shown came since the last proof")]
    Nothing,
    /// The reader has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// What an entry is to those who read it.
#[derive(Debug)]
pub enum Said<F> {
    /// A payload, and whose it is.
    Payload(F, Bytes),
    /// The wish of this member that the stream end.
    Close(PartyId),
    /// Nothing.
    Nothing,
}

/// A class that outsiders read by name.
pub trait Readable {
    /// What is in it.
    type Payload: Payload;
    /// Who sends it.
    type From: Copy + Into<Author>;
    /// What it is called.
    const NAME: &'static str;
    /// Where its entries are kept below an instance.
    const SHELF: &'static [Segment];
    /// What an entry is.
    fn said(entry: &Entry) -> Said<Self::From>;
}

impl<E, T: Payload> Readable for Stream<stream::Open<E>, T>
where
    stream::Open<E>: Kind,
{
    type Payload = T;
    type From = PartyId;
    const NAME: &'static str = <stream::Open<E> as Kind>::NAME;
    // It sits at the same place beside every engine.
    const SHELF: &'static [Segment] = &[Role::Stream.only(), Shelved::<Fast>::SHELF];

    fn said(entry: &Entry) -> Said<PartyId> {
        let Author::Member(from) = entry.author else { return Said::Nothing };
        match Ordered::read(&entry.payload) {
            Ordered::Payload(payload) => Said::Payload(from, payload),
            Ordered::Close => Said::Close(from),
            Ordered::Nothing => Said::Nothing,
        }
    }
}

/// One who is not in the group. Every name that it reads or writes takes a connection to each member, under
/// the same key: an outsider has one handle at a time.
pub struct Outsider {
    assembly: Assembly,
    ring: Keyring,
    group: GroupId,
    /// The number of its last session.
    session: AtomicU32,
}

impl Outsider {
    /// The client of this key ring, as one outside this group.
    pub fn new(assembly: &Assembly, ring: Keyring, group: GroupId) -> Self {
        Self { assembly: assembly.clone(), ring, group, session: AtomicU32::new(0) }
    }

    /// Writes to the instance of this class and name, which may be opened later. What an earlier writer of
    /// this key had under way, and was not told of, may be lost or not; it must be gone before.
    pub async fn write<C: Writable>(&self, name: &str) -> Result<Writer<C::Payload>, NodeError> {
        let seat = self.seat(C::NAME, name, &[]).ok_or(NodeError::Thread)?;
        Writer::start(&self.assembly, &self.ring, seat, self.session()).await
    }

    /// A number above that of every earlier session: the seconds since 1970, or more if it had many.
    fn session(&self) -> u32 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u32::try_from(since.as_secs()).unwrap_or(u32::MAX);
        let next = |last: u32| last.saturating_add(1).max(now);
        let last = self
            .session
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
        next(last.unwrap_or_default())
    }

    /// Reads the instance of this class and name, such as an [`OpenStream`](super::OpenStream), from its
    /// beginning. It may be opened later. Every handle that is open at a time needs an outsider of its own.
    pub async fn read<C: Readable>(&self, name: &str) -> Result<Reader<C>, NodeError> {
        let seat = self.seat(C::NAME, name, C::SHELF).ok_or(NodeError::Thread)?;
        let needed = seat.thresholds().one_correct();
        let inbox = Arc::<Inbox<reader::Output>>::default();
        let told = Arc::clone(&inbox);
        let outputs = Box::new(move |output| told.put(output));
        let spec = reader::Spec::from(Slot::FIRST);
        let node = self.assembly.outsider(&self.ring, seat, spec, outputs).await?;
        Ok(Reader {
            states: node.states(),
            node,
            inbox,
            needed,
            ready: VecDeque::new(),
            granted: 0,
            reached: 0,
            asked: BTreeSet::new(),
            unproven: None,
            proof: None,
            over: false,
            marker: PhantomData,
        })
    }

    /// Checks what somebody passed on of the instance of this class and name. It needs no word with any
    /// member.
    pub fn verify<C: Readable>(&self, name: &str, proof: &Excerpt) -> Result<(), Unproven> {
        let wrong = Unproven::Certificate { slot: proof.certificate.slot };
        let seat = self.seat(C::NAME, name, C::SHELF).ok_or(wrong)?;
        proof.check(&seat.id, &*seat.keys.service)
    }

    /// Names that were opened again are other instances; this is the first one.
    fn seat(&self, class: &str, name: &str, below: &[Segment]) -> Option<Seat> {
        let named = Role::Named.at(number_of(class, name));
        let path: Vec<_> = std::iter::once(named).chain(below.iter().copied()).collect();
        self.assembly.outside_seat(&self.ring, self.group, &path)
    }
}

/// What a reader of this class comes upon.
pub type Read<C> = Result<Delivery<<C as Readable>::Payload, <C as Readable>::From>, ReadError>;

/// What an outsider reads of a stream.
pub struct Reader<C> {
    node: Node<open::Reader>,
    states: watch::Receiver<State>,
    inbox: Arc<Inbox<reader::Output>>,
    /// How many members end the stream.
    needed: usize,
    ready: VecDeque<Entry>,
    granted: u64,
    reached: u64,
    asked: BTreeSet<PartyId>,
    /// What came since the last certificate, and the chain before it.
    unproven: Option<(Digest, Vec<Entry>)>,
    proof: Option<Excerpt>,
    over: bool,
    marker: PhantomData<fn() -> C>,
}

impl<C: Readable> Reader<C> {
    /// What comes next; `None` when the stream has ended.
    pub async fn next(&mut self) -> Option<Read<C>> {
        while !self.over {
            if let Some(entry) = self.ready.pop_front() {
                match self.open(&entry) {
                    Some(delivery) => return Some(delivery),
                    None => continue,
                }
            }
            match self.event().await {
                Ok(reader::Output::Lagged { from, to }) => {
                    (self.reached, self.unproven) = (to.number(), None);
                    let (first, to) = (from.number(), to.number());
                    return Some(Err(ReadError::Lagged { first, to }));
                }
                Ok(output) => self.sort(output),
                Err(stopped) => {
                    self.over = true;
                    return Some(Err(stopped.into()));
                }
            }
        }
        None
    }

    /// Waits until what was read so far is proven, and gives the proof of what came since the certificate before
    /// that one: [`Outsider::verify`] of anybody checks it. Members sign for one reader four times in 64 slots at most;
    /// beyond that this waits until they sign for all.
    pub async fn proof(&mut self) -> Result<Excerpt, ReadError> {
        if self.proof.is_none() && self.unproven.is_none() {
            return Err(ReadError::Nothing);
        }
        self.node.ask(reader::Input::Certify).await?;
        loop {
            if let Some(proof) = self.proof.take() {
                return Ok(proof);
            }
            if self.unproven.is_none() {
                return Err(ReadError::Nothing);
            }
            match self.event().await? {
                reader::Output::Lagged { from, to } => {
                    (self.reached, self.unproven) = (to.number(), None);
                    let (first, to) = (from.number(), to.number());
                    return Err(ReadError::Lagged { first, to });
                }
                output => self.sort(output),
            }
        }
    }

    /// Stops reading.
    pub async fn close(self) {
        self.node.leave(GRACE).await;
    }

    /// The payload in an entry, if it bears one.
    fn open(&mut self, entry: &Entry) -> Option<Read<C>> {
        let at = entry.slot.number();
        match C::said(entry) {
            Said::Payload(from, payload) => Some(match wire::decode(&payload) {
                Ok(payload) => Ok(Delivery { from, at, payload }),
                Err(error) => Err(ReadError::Malformed { from: from.into(), at, error }),
            }),
            Said::Close(from) => {
                self.asked.insert(from);
                self.over = self.asked.len() >= self.needed;
                None
            }
            Said::Nothing => None,
        }
    }

    fn sort(&mut self, output: reader::Output) {
        match output {
            reader::Output::Deliver { before, entries, to, .. } => {
                self.reached = to.number();
                let (_, unproven) = self.unproven.get_or_insert((before, Vec::new()));
                unproven.extend(entries.iter().cloned());
                self.ready.extend(entries);
                let bytes = unproven.iter().map(|entry| entry.payload.len() + size_of::<Entry>());
                if bytes.sum::<usize>() > UNPROVEN_MAX {
                    self.unproven = None;
                }
            }
            reader::Output::Certified { certificate } => {
                let Some((before, entries)) = self.unproven.take() else { return };
                let rest: Vec<_> = entries
                    .iter()
                    .filter(|entry| entry.slot >= certificate.slot)
                    .cloned()
                    .collect();
                self.unproven = (!rest.is_empty()).then_some((certificate.chain, rest));
                self.proof = Some(Excerpt::new(before, &entries, certificate));
            }
            reader::Output::Lagged { .. } => {}
        }
    }

    /// What the reader tells next, having given it credit.
    async fn event(&mut self) -> Result<reader::Output, Stopped> {
        if self.reached + CREDIT / 2 >= self.granted {
            self.granted = self.reached + CREDIT;
            self.node.ask(reader::Input::Pull { up_to: Slot::new(self.granted) }).await?;
        }
        self.inbox.next(&mut self.states).await
    }
}
