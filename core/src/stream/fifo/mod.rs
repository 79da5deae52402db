//! Streams in the order of each sender: the payloads of one sender come to everybody in the order in
//! which it submitted them; nothing is said about the payloads of two.
//!
//! [`reliable`](super::reliable) and [`consistent`](super::consistent) are the two of them; they
//! differ in the broadcast that carries a batch.
//!
//! # Reference
//! The reliable and consistent channels of SINTRA: Cachin and Poritz, *Secure intrusion-tolerant
//! replication on the Internet*, DSN 2002. Rules F0 to F2, and those of the [`lane`] of each sender.
//!
//! # Model
//! That of the broadcast: asynchronous, authenticated and reliable links, `n >= 3f + 1`. No clock.
//!
//! # Thresholds
//! | step | waits for | because |
//! |---|---|---|
//! | close the own sub-stream | `f + 1` closed sub-streams | a correct member wanted it: `f` liars close nothing |
//! | closed | `n - f` closed sub-streams | more may never close; and so many do, once `f + 1` have |
//!
//! # Properties
//! Those of the broadcast, for the batch at each place of each sender; and the order of each sender.
//! A sender that lies is stuck at the first place where it does, and nobody else is.
//!
//! *Closing.* A member's request to close is the last item of its own sub-stream, so what it submitted
//! before comes before it at everybody. The requests are counted by sender, whatever a liar repeats.
//! With `n - f` in place of `f + 1` for the first step a group with `f` members who are silent would
//! need all others to want the end; with `f` in place of it the liars could end every stream. The whole
//! is closed when `n - f` sub-streams have ended, each of which everybody has to its end or will have.
//! The last `f` may be cut at a different place at each member, for without total order nobody can know
//! that no more is to come from one who is silent. Who needs one end for all takes an atomic stream.
//! A closed stream goes on helping others to what this party has.
//!
//! *Bounds.* A user that takes nothing loses what is above [`Spec::lag_max`], and is told so. All else
//! is bounded by the lanes. Nothing grows with the age of the stream.
//!
//! # Deviations
//! SINTRA's channels end where their user closes them.

pub mod lane;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use self::lane::Lane;
use super::batch::Batch;
use crate::{
    children::Children,
    effects::Effects,
    fault::Fault,
    id::PartyId,
    path::{Role, Segment},
    protocol::{Early, Event, Kind, Never, Protocol},
    seat::Seat,
};

/// A broadcast that can carry the items of a stream.
pub trait Carrier: Protocol {
    /// The name of the stream that it makes.
    const STREAM: Kind;
    /// The name of a sender's part of it.
    const LANE: Kind;

    /// The broadcast of this sender, of items up to `limit` bytes.
    fn spec(sender: PartyId, limit: usize) -> Self::Spec;
    /// What has the sender's broadcast say this.
    fn speak(item: Bytes) -> Self::Input;
    /// What makes it look harder for a payload that some no longer have, if it can.
    fn insist() -> Option<Self::Input>;
    /// What it delivered, if this says so.
    fn delivered(output: Self::Output) -> Option<Bytes>;
}

/// What makes two streams differ. It need not be the same at every party.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// How many bytes of batches wait for the user's credit. Beyond it the user has lagged.
    pub lag_max: usize,
}

impl Default for Spec {
    /// 16 MiB: some hundred of the largest items.
    fn default() -> Self {
        Self { lag_max: 16 << 20 }
    }
}

/// What the user may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// Send these payloads. Empty batches change nothing.
    Submit {
        /// The payloads, each of which is at most [`lane::item_bytes_max`] bytes.
        batch: Batch,
    },
    /// The user takes so many batches, counted from the beginning. Nothing is delivered before the
    /// first pull.
    Pull {
        /// The number.
        up_to: u64,
    },
    /// This member asks that the stream end, and submits no more.
    Close,
}

/// What the user is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// Payloads of a sender, in its order and without gaps but for [`Output::Lagged`].
    Deliver {
        /// Who submitted them.
        from: PartyId,
        /// The place of the batch among those of its sender.
        number: u64,
        /// The payloads; at least one.
        batch: Batch,
    },
    /// Some batches of a sender are lost to this party: it, or its user, was too far behind.
    Lagged {
        /// Whose.
        from: PartyId,
        /// The first one that is missing.
        first: u64,
        /// The first one that may come again.
        to: u64,
    },
    /// A sender's part is over: all of it was delivered.
    Ended {
        /// Whose.
        from: PartyId,
    },
    /// The stream is closed, and nothing comes after this.
    Closed,
    /// Submitted payloads were not taken: the queue is full, one is too large, or this party's part is
    /// closed.
    Refused {
        /// How many payloads.
        payloads: u64,
    },
    /// How many of this party's own payloads are out of its hands: it has delivered them itself, or passed
    /// over them.
    Settled {
        /// The number since the beginning.
        own: u64,
    },
}

/// What is asked of the lane of a sender.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    sender: PartyId,
    input: Option<lane::Input>,
}

/// What the lane of a sender says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heard {
    sender: PartyId,
    output: lane::Output,
}

/// One stream at one party, made of broadcasts of kind `B`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Fifo<B: Carrier> {
    spec: Spec,
    /// How many batches the user takes, and has taken.
    credit: u64,
    taken: u64,
    /// What waits for the user's credit.
    waiting: VecDeque<Waiting>,
    weight: usize,
    /// Whose parts are over.
    ended: BTreeSet<PartyId>,
    /// Whether this party's part is to end.
    closing: bool,
    closed: bool,
    marker: std::marker::PhantomData<B>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Waiting {
    Batch { from: PartyId, number: u64, batch: Batch },
    Word(Output),
}

impl Waiting {
    /// What it takes to keep it, in bytes.
    fn weight(&self) -> usize {
        match self {
            Self::Batch { batch, .. } => batch.weight(),
            Self::Word(_) => 64,
        }
    }
}

impl<B: Carrier> Protocol for Fifo<B> {
    const KIND: Kind = B::STREAM;
    type Spec = Spec;
    type Input = Input;
    type Output = Output;
    type Message = Never;
    type Timer = Never;
    type Ask = Ask;
    type Heard = Heard;

    fn new(_: &Seat, spec: Spec) -> Self {
        Self {
            spec,
            credit: 0,
            taken: 0,
            waiting: VecDeque::new(),
            weight: 0,
            ended: BTreeSet::new(),
            closing: false,
            closed: false,
            marker: std::marker::PhantomData,
        }
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        match event {
            Event::Start => {
                for sender in fx.seat().parties() {
                    fx.ask(Ask { sender, input: None });
                }
            }
            Event::Input(Input::Submit { batch }) => {
                Self::tell_own(lane::Input::Submit(batch), fx); // F0
            }
            Event::Input(Input::Pull { up_to }) => self.credit = self.credit.max(up_to),
            Event::Input(Input::Close) => self.close(fx), // F2
            Event::Heard(Heard { sender, output }) => self.on_lane(sender, output, fx), // F1
            Event::Message { message, .. } => match message {},
            Event::Behind { .. } | Event::Dropped { .. } | Event::Missed { .. } => {}
            Event::Timer(never) => match never {},
        }
        self.hand_out(fx);
    }

    fn route<C: Children<Self>>(Ask { sender, input }: Ask, children: &mut C) {
        children.ask::<Lane<B>>(Role::Sender.at(sender), sender, input, |at, output| Heard {
            sender: at.party(),
            output,
        });
    }

    fn admit(_: &Seat, _: crate::id::Peer, message: &Never) -> Result<(), Fault> {
        match *message {}
    }

    fn early(&self, seat: &Seat, child: Segment) -> Early {
        let sender = u64::from(seat.thresholds().n()) > child.number;
        if child.role == Role::Sender && sender { Early::Wait } else { Early::Never }
    }
}

impl<B: Carrier> Fifo<B> {
    fn tell_own(input: lane::Input, fx: &mut Effects<'_, Self>) {
        fx.ask(Ask { sender: fx.seat().me(), input: Some(input) });
    }

    fn close(&mut self, fx: &mut Effects<'_, Self>) {
        if !self.closing {
            self.closing = true;
            Self::tell_own(lane::Input::Close, fx);
        }
    }

    fn on_lane(&mut self, from: PartyId, output: lane::Output, fx: &mut Effects<'_, Self>) {
        match output {
            lane::Output::Deliver { number, batch } => self.keep(from, number, batch),
            lane::Output::Lagged { first, to } => {
                self.say(Output::Lagged { from, first, to });
            }
            lane::Output::Ended => self.on_ended(from, fx),
            lane::Output::Refused { payloads } => fx.output(Output::Refused { payloads }),
            lane::Output::Settled { own } => fx.output(Output::Settled { own }),
        }
    }

    /// F2: with `f + 1` it is everybody's to close; with `n - f` it is closed.
    fn on_ended(&mut self, from: PartyId, fx: &mut Effects<'_, Self>) {
        self.ended.insert(from);
        self.say(Output::Ended { from });
        let t = fx.seat().thresholds();
        if self.ended.len() >= t.one_correct() {
            self.close(fx);
        }
        if self.ended.len() >= t.available() && !self.closed {
            self.say(Output::Closed);
            self.closed = true;
        }
    }

    /// What goes to the user behind what it has not taken yet.
    fn say(&mut self, word: Output) {
        if !self.closed {
            self.push(Waiting::Word(word));
        }
    }

    fn keep(&mut self, from: PartyId, number: u64, batch: Batch) {
        if self.closed {
            return;
        }
        self.push(Waiting::Batch { from, number, batch });
    }

    fn push(&mut self, waiting: Waiting) {
        self.weight += waiting.weight();
        self.waiting.push_back(waiting);
        if self.weight > self.spec.lag_max {
            self.drop_waiting();
        }
    }

    /// The user takes too little: what waits is lost to it, and it is told which places.
    fn drop_waiting(&mut self) {
        let mut lost: BTreeMap<PartyId, (u64, u64)> = BTreeMap::new();
        let mut words = VecDeque::new();
        for waiting in std::mem::take(&mut self.waiting) {
            let (from, first, to) = match waiting {
                Waiting::Batch { from, number, .. } => (from, number, number + 1),
                Waiting::Word(Output::Lagged { from, first, to }) => (from, first, to),
                word @ Waiting::Word(_) => {
                    words.push_back(word);
                    continue;
                }
            };
            lost.entry(from).or_insert((first, to)).1 = to;
        }
        let lagged = |(from, (first, to))| Waiting::Word(Output::Lagged { from, first, to });
        self.waiting = lost.into_iter().map(lagged).chain(words).collect();
        self.weight = self.waiting.iter().map(Waiting::weight).sum();
    }

    fn hand_out(&mut self, fx: &mut Effects<'_, Self>) {
        let may = |waiting: &Waiting, taken, credit| match waiting {
            Waiting::Batch { .. } => taken < credit,
            Waiting::Word(_) => true,
        };
        let (mut taken, credit) = (self.taken, self.credit);
        while let Some(next) = self.waiting.pop_front_if(|next| may(next, taken, credit)) {
            self.weight -= next.weight();
            match next {
                Waiting::Batch { from, number, batch } => {
                    taken += 1;
                    fx.output(Output::Deliver { from, number, batch });
                }
                Waiting::Word(word) => fx.output(word),
            }
        }
        self.taken = taken;
    }
}
