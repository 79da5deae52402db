//! The replica as a protocol: who may say what to it, and what it does about it.

use std::{
    collections::{BTreeMap, BTreeSet},
    marker::PhantomData,
};

use serde::{Deserialize, Serialize};

use super::{
    checkpoint::Checkpoints,
    clients::Clients,
    feed::Feed,
    hearing::Hearing,
    log::{Entry, Log},
    message::Message,
    rota::Rota,
    service::Service,
    state::{State, Turn},
    store::Store,
    transfer::Transfer,
};
use crate::{
    children::Children,
    crypto::Digest,
    effects::{Effects, Lane, To},
    fault::Fault,
    id::{ClientId, GroupId, PartyId, Peer, Slot},
    path::{Role, Segment},
    protocol::{Early, Event, Kind, Never, Protocol},
    seat::Seat,
    stream::{
        atomic::{self, Atomic, Input as Order, Output as Ordered, Position},
        certified::{self, Certified},
        fast::{self, Fast},
    },
};

/// The slots between two checkpoints. A slot is a ballot, which names many requests under load and
/// few when idle, so that a member that was away for 16 idle rounds of a group of four finds one.
pub const INTERVAL: u64 = 64;

/// An atomic stream that a replica can stand on.
pub trait Stream: Protocol<Input = Order, Output = Ordered> {
    /// What it is opened with below a replica, which makes use of ballots `f + 1` together only.
    fn of_ballots() -> Self::Spec;

    /// Who orders what comes after this position, if one member does so for long.
    fn leader(_: &Position) -> Option<PartyId> {
        None
    }
}

impl Stream for Fast {
    fn of_ballots() -> Self::Spec {
        fast::Spec { together: true, ..fast::Spec::default() }
    }

    fn leader(position: &Position) -> Option<PartyId> {
        Some(position.first)
    }
}

impl Stream for Certified {
    fn of_ballots() -> Self::Spec {
        certified::Spec::default()
    }
}

impl Stream for Atomic {
    fn of_ballots() -> Self::Spec {
        atomic::Spec::default()
    }
}

/// What makes two replicas differ; the same at every member of a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Spec<S: Service> {
    /// What the service is made of.
    pub service: S::Spec,
    /// The clients that the configuration names. Their sessions are never forgotten.
    pub registered: BTreeSet<ClientId>,
    /// Whether others are served, too.
    pub open: bool,
    /// The slots between two checkpoints; usually [`INTERVAL`].
    pub interval: u64,
}

impl<S: Service> Spec<S> {
    /// A replica of this service that serves everybody.
    pub fn new(service: S::Spec) -> Self {
        Self { service, registered: BTreeSet::new(), open: true, interval: INTERVAL }
    }
}

/// What a replica tells its host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Output {
    /// `2f + 1` members hold this state.
    Stable {
        /// Where.
        position: Position,
        /// The digest of the encoded state.
        digest: Digest,
    },
    /// The group went on without this member, which looks for a state to go on from.
    Behind,
    /// The state of this member is not the group's. It looks for the group's.
    Diverged {
        /// The slot where the difference showed.
        slot: Slot,
    },
    /// A state that the others vouch for was loaded.
    CaughtUp {
        /// Where it goes on.
        position: Position,
    },
}

/// Why a replica wakes up. None of it decides an effect but ticks, which need `f + 1` members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Timer {
    /// A body did not come: ask another member.
    Fetch,
    /// Nothing was said to a group that waits for an acknowledgement.
    Ack,
    /// A group has not acknowledged what it was told.
    Resend,
    /// The service's tick passed.
    Tick,
    /// A state did not come: ask another member.
    Transfer,
    /// Those whose it was to vouch first had a moment for it.
    Rota,
}

/// What a replica asks of the two protocols below it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub enum Ask<S: Service> {
    /// Of the stream.
    Stream(Order),
    /// Of the service's helper.
    Helper {
        /// What it is opened with.
        spec: <S::Helper as Protocol>::Spec,
        /// What it is asked.
        input: Option<<S::Helper as Protocol>::Input>,
    },
}

/// What they answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub enum Heard<S: Service> {
    /// The stream.
    Stream(Ordered),
    /// The helper.
    Helper(<S::Helper as Protocol>::Output),
}

/// One member's copy of a replicated service, on the stream `A`. See the [module](super).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Replica<S: Service, A = Fast> {
    pub(super) state: State<S>,
    pub(super) turn: Turn,
    pub(super) log: Log,
    pub(super) store: Store,
    pub(super) hearing: Hearing,
    pub(super) feed: Feed,
    pub(super) rota: Rota,
    pub(super) checkpoints: Checkpoints,
    pub(super) transfer: Option<Transfer>,
    pub(super) interval: u64,
    /// Up to where the stream may deliver.
    pub(super) granted: Slot,
    /// The tick that the alarm is for.
    pub(super) ticking: Option<u64>,
    /// The acknowledgements that each group was sent.
    pub(super) acks_sent: BTreeMap<GroupId, u64>,
    pub(super) ack_armed: bool,
    /// What each group had been told when the alarm to say it again was set.
    pub(super) told: Option<BTreeMap<GroupId, u64>>,
    stream: PhantomData<fn() -> A>,
}

impl<S: Service, A: Stream> Protocol for Replica<S, A> {
    const KIND: Kind = S::KIND;
    type Spec = Spec<S>;
    type Input = Never;
    type Output = Output;
    type Message = Message;
    type Timer = Timer;
    type Ask = Ask<S>;
    type Heard = Heard<S>;

    fn new(seat: &Seat, spec: Self::Spec) -> Self {
        let service = S::new(seat, &spec.service);
        Self {
            state: State::new(service, Clients::new(spec.registered, spec.open)),
            turn: Turn::Idle,
            log: Log::default(),
            store: Store::default(),
            hearing: Hearing::default(),
            feed: Feed::default(),
            rota: Rota::new(A::leader(&Position::default())),
            checkpoints: Checkpoints::default(),
            transfer: None,
            interval: spec.interval,
            granted: Slot::FIRST,
            ticking: None,
            acks_sent: BTreeMap::new(),
            ack_armed: false,
            told: None,
            stream: PhantomData,
        }
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        match event {
            Event::Start => self.open_helper(fx),
            Event::Input(never) => match never {},
            Event::Message { from, message } => self.on_message(from, message, fx),
            Event::Heard(Heard::Stream(output)) => self.on_stream(output, fx),
            Event::Heard(Heard::Helper(answer)) => self.on_answer(answer, fx),
            Event::Timer(timer) => self.on_timer(timer, fx),
            Event::Behind { .. } | Event::Dropped { .. } | Event::Missed { .. } => {}
        }
        while self.advance(fx) {}
        self.try_submit(fx);
        self.try_pull(fx);
    }

    fn route<C: Children<Self>>(ask: Self::Ask, children: &mut C) {
        match ask {
            Ask::Stream(input) => {
                children.ask::<A>(
                    Role::Stream.only(),
                    A::of_ballots(),
                    Some(input),
                    |_, output| Heard::Stream(output),
                );
            }
            Ask::Helper { spec, input } => {
                children.ask::<S::Helper>(Role::Locks.only(), spec, input, |_, answer| {
                    Heard::Helper(answer)
                });
            }
        }
    }

    fn admit(seat: &Seat, from: Peer, message: &Self::Message) -> Result<(), Fault> {
        let may = match from {
            Peer::Client(client) => message.is_of_client(client),
            Peer::Foreign(group, party) => {
                let known = seat.directory.group(group);
                message.is_of_group()
                    && group != seat.group.id
                    && known.is_some_and(|known| party.number() < known.thresholds.n())
            }
            Peer::Member(party) => message.is_of_member() && seat.has(party),
        };
        if may { message.admit(seat) } else { Err(Fault::Improper("not its to say".into())) }
    }

    fn lane(message: &Self::Message) -> Lane {
        message.lane()
    }

    fn early(&self, _: &Seat, child: Segment) -> Early {
        let ours = child == Role::Stream.only() || child == Role::Locks.only();
        if ours { Early::Wait } else { Early::Never }
    }
}

impl<S: Service, A: Stream> Replica<S, A> {
    fn on_message(&mut self, from: Peer, message: Message, fx: &mut Effects<'_, Self>) {
        match (from, message) {
            (Peer::Client(_), Message::Request(request)) => self.on_request(request, fx),
            (Peer::Client(client), Message::EraRequest) => {
                let era = self.state.clients.era();
                fx.send_to(To::Client(client), Message::Era { era });
            }
            (Peer::Foreign(group, party), Message::Statement(statement)) => {
                self.on_statement(group, party, statement, fx);
            }
            (Peer::Foreign(group, party), Message::Ack { up_to }) => {
                self.on_ack(group, party, up_to, fx);
            }
            (Peer::Member(party), Message::Fetch { ids }) => self.on_fetch(party, &ids, fx),
            (Peer::Member(_), Message::Body(body)) => self.on_body(body, fx),
            (Peer::Member(party), Message::Checkpoint(said)) => self.on_checkpoint(party, said, fx),
            (Peer::Member(party), Message::StateRequest) => self.on_state_request(party, fx),
            (Peer::Member(party), Message::ChunkRequest { digest, place }) => {
                self.on_chunk_request(party, digest, place, fx);
            }
            (Peer::Member(party), Message::Chunk { digest, place, bytes }) => {
                self.on_chunk(party, digest, place, &bytes, fx);
            }
            (Peer::Member(party), Message::ListRequest { digest }) => {
                self.on_list_request(party, digest, fx);
            }
            (Peer::Member(party), Message::List { digest, pieces }) => {
                self.on_list(party, digest, pieces, fx);
            }
            // `admit` lets nothing else in.
            _ => {}
        }
    }

    fn on_stream(&mut self, output: Ordered, fx: &mut Effects<'_, Self>) {
        match output {
            Ordered::Deliver { first, from, batch } => {
                self.on_entry(Entry::Batch { first, from, batch }, fx);
            }
            Ordered::RoundEnd { position } => {
                self.rota.lead(A::leader(&position));
                self.on_entry(Entry::End(position), fx);
            }
            Ordered::Ordered { own } => self.feed.settled(own),
            Ordered::Refused { payloads } => self.feed.refused(payloads),
            Ordered::Unsure { batch } => self.on_unsure(&batch, fx),
            Ordered::Behind | Ordered::Lagged { .. } => self.become_behind(fx),
        }
    }

    fn on_entry(&mut self, entry: Entry, fx: &mut Effects<'_, Self>) {
        if !self.log.push(entry) {
            self.become_behind(fx);
        }
    }

    fn on_timer(&mut self, timer: Timer, fx: &mut Effects<'_, Self>) {
        match timer {
            Timer::Fetch => self.fetch_again(fx),
            Timer::Ack => self.send_acks(fx),
            Timer::Resend => self.resend(fx),
            Timer::Tick => self.feed.tick(self.ticking.unwrap_or_default()),
            Timer::Transfer => self.transfer_again(fx),
            Timer::Rota => self.on_moment(fx),
        }
    }

    fn open_helper(&mut self, fx: &mut Effects<'_, Self>) {
        if let Some(spec) = self.state.service.helper() {
            fx.ask(Ask::Helper { spec, input: None });
        }
    }

    /// Asks the helper, which answers once.
    pub(super) fn ask_helper(
        &self,
        input: <S::Helper as Protocol>::Input,
        fx: &mut Effects<'_, Self>,
    ) {
        let spec = self.state.service.helper().expect("a service that asks its helper has one");
        fx.ask(Ask::Helper { spec, input: Some(input) });
    }
}

/// What a host shows; nobody may steer by it.
impl<S: Service, A> Replica<S, A> {
    /// The next slot to take effect.
    pub fn slot(&self) -> Slot {
        self.state.slot
    }

    /// The service.
    pub fn service(&self) -> &S {
        &self.state.service
    }

    /// Spoils the state, for laboratories.
    pub fn corrupt(&mut self)
    where
        S: Service,
    {
        self.state.service.corrupt();
    }

    /// Whether it looks for a state to go on from.
    pub fn is_behind(&self) -> bool {
        self.transfer.is_some()
    }

    /// The position of the last stable checkpoint.
    pub fn stable(&self) -> Option<Position> {
        self.checkpoints.stable().map(|stable| stable.position.clone())
    }

    /// The digest of all replicated state: equal at two correct replicas at the same slot.
    pub fn digest(&self) -> Digest {
        Digest::of("replica", &crate::wire::encode(&self.state))
    }

    /// How many entries its tables hold, for tests of their bounds.
    pub fn entries(&self) -> usize {
        self.state.vouches.len() + self.state.clients.len() + self.log.len()
    }

    /// How many bytes of bodies it keeps.
    pub fn bytes(&self) -> usize {
        self.store.bytes()
    }

    /// How many of its statements a group has not acknowledged.
    pub fn unacknowledged(&self, group: GroupId) -> usize {
        self.state.groups.unacked(group)
    }
}
