//! A client's session with a replicated service: asks every replica, believes `f + 1` equal answers.
//! It has strands, each an order of its own; what is asked on them while the group is busy travels in
//! one request.
//!
//! # Reference
//! Schneider, *Implementing fault-tolerant services using the state machine approach*, 1990, section
//! 4; Castro and Liskov, *Practical Byzantine fault tolerance and proactive recovery*, TOCS 2002, 2.4
//! (authenticators). Clement et al., *Making Byzantine fault tolerant systems tolerate Byzantine
//! faults*, NSDI 2009, for what a client may do to a group with them.
//!
//! # Model
//! Asynchronous. At most `f` replicas lie. The alarms decide nothing but when to say a request again
//! and when to tell the user how things stand.
//!
//! # Thresholds
//! | step | waits for | because |
//! |---|---|---|
//! | answer | `one_correct` equal replies | one of them is of a correct replica |
//! | end of the session | `one_correct` equal refusals | the same |
//! | the era of a guest | `most_correct` words; the `one_correct`-th highest | one correct has reached it |
//!
//! # Properties
//! An answer that is given is the one of the service. Each request takes effect at most once, however
//! often it is said; those of a strand take effect in the order in which the user made them. If a correct
//! replica hears the requests and the replies of `f + 1` correct replicas come through, each request
//! is answered. When all replies differ none is given: the user hears [`Output::NoQuorum`].
//!
//! *A guest asks in which era sessions are opened* before it says its first command, and waits for more
//! than `one_correct` words only until an alarm comes twice. If the group lets its session go, which
//! was the longest idle of many, the user is told that for whatever is not answered, as nobody knows
//! any more what of it took effect; what is asked later is said in a later era, under numbers that were
//! never used.
//!
//! # Deviations
//! All replicas send whole replies. A replica cannot relay the reply of another, so the client must
//! be reachable from `f + 1` correct ones, though it needs to reach only one.

mod ask;
mod era;
mod hear;
mod open;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use self::{
    ask::{Bundles, Strand},
    era::Era,
    open::Open,
};
use super::{
    message::Message,
    number::{Number, STRANDS_MAX},
};
use crate::{
    children::Children,
    effects::{Effects, Lane},
    fault::Fault,
    id::{PartyId, Peer},
    protocol::{Event, Kind, Never, Protocol},
    seat::Seat,
    time::Span,
    wire::limits,
};

/// The most requests that wait for a place in the window. More are refused.
pub(super) const QUEUE_MAX: usize = 4_096;

/// So many quarters make the whole.
const QUARTERS: u32 = 4;

/// What makes two sessions differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Its number: higher than that of every earlier session of the same client, such as the seconds
    /// since 1970 at its beginning. The replicas let the earlier ones go; those of a guest that were
    /// opened in a later era are later, whatever their number.
    pub session: u32,
    /// After how long without an answer a request is said again, or up to twice as long; the pause
    /// doubles up to 16 times.
    pub retry: Span,
    /// How long the user waits before it is told what is missing, or a quarter longer.
    pub patience: Span,
    /// How long after an answer the replies of the slower replicas are counted, or a quarter longer.
    pub settle: Span,
}

impl Spec {
    /// The session with this number, for a group that answers within seconds.
    pub const fn new(session: u32) -> Self {
        Self {
            session,
            retry: Span::millis(2_000),
            patience: Span::millis(10_000),
            settle: Span::millis(2_000),
        }
    }
}

/// What the user may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// Do this. The inputs of a session are counted from 1; the outputs name them by that number.
    Request {
        /// The strand: below [`STRANDS_MAX`]. What is asked on one takes effect in order.
        strand: u16,
        /// What is asked.
        body: Bytes,
    },
}

impl Input {
    /// A request on the first strand.
    pub const fn request(body: Bytes) -> Self {
        Self::Request { strand: 0, body }
    }
}

/// What the user is told. Requests are named by their number, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// `f + 1` replicas gave this answer. Comes once for each request that succeeds.
    Answered {
        /// The request.
        number: u64,
        /// The answer.
        body: Bytes,
        /// Who gave it so far.
        agree: Vec<PartyId>,
        /// How many replicas there are.
        of: usize,
        /// Who gave another one so far, and which.
        outvoted: Vec<(PartyId, Bytes)>,
    },
    /// All replicas replied to an answered request, or had the time to. Comes once, after
    /// [`Output::Answered`].
    Tallied {
        /// The request.
        number: u64,
        /// Who gave the answer.
        agree: Vec<PartyId>,
        /// Who gave another one, and which.
        outvoted: Vec<(PartyId, Bytes)>,
        /// Who gave none.
        silent: Vec<PartyId>,
    },
    /// There is no answer yet. Comes when patience ends, again whenever it ends again, and at once
    /// when the replies differ so much that no answer can come. The request is still being tried.
    NoQuorum {
        /// The request.
        number: u64,
        /// The most equal replies.
        equal: usize,
        /// How many are needed.
        needed: usize,
        /// Who replied.
        heard: Vec<PartyId>,
        /// Who refused it as busy.
        busy: Vec<PartyId>,
        /// How many replicas there are.
        of: usize,
    },
    /// The request is not being tried any more. It may have taken effect unless this is [`Why::Full`].
    Refused {
        /// The request.
        number: u64,
        /// Why.
        why: Why,
    },
}

/// Why a request is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// Too many requests of this session wait, or it is too large, or there is no such strand. It was
    /// not said to anybody.
    Full,
    /// `f + 1` replicas know a later session of this client. This one is over.
    Superseded,
    /// `f + 1` replicas say that the group does not serve this client. The session is over.
    Stranger,
    /// `f + 1` replicas say that they do not hold the session, whose era is over: it was idle while many
    /// others came, or they came before it was opened. Nobody knows whether what was said took effect.
    /// What is asked from now on is asked in a new one.
    Forgotten,
}

/// Why a session wakes up. While there is reason to, each alarm is set again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Timer {
    /// Say again what is not answered.
    Retry,
    /// A quarter of the user's patience passed.
    Patience,
    /// A quarter of the time for slower replicas passed.
    Settle,
    /// What waits for company waited long enough.
    Hurry,
}

/// A session of a client. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    spec: Spec,
    /// How many inputs there were.
    asked: u64,
    era: Era,
    strands: BTreeMap<u16, Strand>,
    bundles: Bundles,
    /// What is answered, and may yet get more replies, in the order of the answers.
    settling: VecDeque<Number>,
    /// Bytes of what replicas said to them.
    settling_bytes: usize,
    answered: BTreeMap<Number, Open>,
    /// Which alarms are set.
    alarms: Alarms,
    over: Option<Why>,
}

/// Which alarms are set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Alarms {
    retry: bool,
    patience: bool,
    settle: bool,
}

impl Protocol for Session {
    const KIND: Kind = Kind("session");
    type Spec = Spec;
    type Input = Input;
    type Output = Output;
    type Message = Message;
    type Timer = Timer;
    type Ask = Never;
    type Heard = Never;

    fn new(seat: &Seat, spec: Spec) -> Self {
        Self {
            spec,
            asked: 0,
            era: Era::new(seat.keys.identity.shown_key().is_some()),
            strands: BTreeMap::new(),
            bundles: Bundles::default(),
            settling: VecDeque::new(),
            settling_bytes: 0,
            answered: BTreeMap::new(),
            alarms: Alarms::default(),
            over: None,
        }
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        let asked = matches!(event, Event::Input(_));
        match event {
            Event::Input(Input::Request { strand, body }) => self.on_input(strand, body, fx),
            Event::Message { from, message } => {
                let Some(from) = member(fx.seat(), from) else { return };
                match message {
                    Message::Replies(replies) => {
                        for reply in replies {
                            self.on_reply(from, reply, fx);
                        }
                    }
                    Message::Refused { numbers, why } => {
                        for number in numbers {
                            self.on_refused(from, number, why, fx);
                        }
                    }
                    Message::Era { era } => self.on_era(from, era, fx),
                    // `admit` lets nothing else in.
                    _ => {}
                }
            }
            Event::Timer(Timer::Retry) => self.on_retry(fx),
            Event::Timer(Timer::Patience) => self.on_patience(fx),
            Event::Timer(Timer::Settle) => self.on_settle(fx),
            Event::Timer(Timer::Hurry) => self.bundles.hurry(),
            Event::Heard(never) => match never {},
            Event::Start | Event::Behind { .. } | Event::Dropped { .. } | Event::Missed { .. } => {}
        }
        self.try_say(asked && self.bundles.expects_more(), fx);
        self.set_alarms(fx);
    }

    fn route<C: Children<Self>>(ask: Never, _: &mut C) {
        match ask {}
    }

    fn admit(seat: &Seat, from: Peer, message: &Message) -> Result<(), Fault> {
        let reply =
            matches!(message, Message::Replies(_) | Message::Refused { .. } | Message::Era { .. });
        if reply && member(seat, from).is_some() {
            message.admit(seat)
        } else {
            Err(Fault::Improper("not for a session".into()))
        }
    }

    fn lane(message: &Message) -> Lane {
        message.lane()
    }
}

/// The replica, however the host names it: a client is in no group.
fn member(seat: &Seat, peer: Peer) -> Option<PartyId> {
    let party = match peer {
        Peer::Member(party) => party,
        Peer::Foreign(group, party) if group == seat.group.id => party,
        Peer::Foreign(..) | Peer::Client(_) => return None,
    };
    seat.has(party).then_some(party)
}

fn replica(fx: &Effects<'_, Session>, party: PartyId) -> Peer {
    Peer::Foreign(fx.seat().group.id, party)
}

impl Session {
    fn on_input(&mut self, strand: u16, body: Bytes, fx: &mut Effects<'_, Self>) {
        self.asked += 1;
        let number = self.asked;
        let full = self.bundles.waiting() >= QUEUE_MAX
            || body.len() > limits::PAYLOAD_MAX
            || strand >= STRANDS_MAX;
        match self.over.or(full.then_some(Why::Full)) {
            Some(why) => fx.output(Output::Refused { number, why }),
            None => self.enqueue(strand, number, body),
        }
    }

    /// The session is over: nothing more of it can take effect. Another follows one that was forgotten.
    fn end(&mut self, why: Why, fx: &mut Effects<'_, Self>) {
        match why {
            Why::Forgotten => self.era.end(),
            Why::Full | Why::Superseded | Why::Stranger => self.over = Some(why),
        }
        self.bundles.clear();
        let strands = std::mem::take(&mut self.strands);
        let mut given_up: Vec<u64> = strands.into_values().flat_map(Strand::into_numbers).collect();
        given_up.sort_unstable();
        for number in given_up {
            fx.output(Output::Refused { number, why });
        }
    }

    /// Sets the alarms that there is reason for. None is ever taken back: a busy session would set and
    /// take back thousands a second.
    fn set_alarms(&mut self, fx: &mut Effects<'_, Self>) {
        let quarter = |span: Span| Span::micros(span.as_micros().div_ceil(4));
        let open = !self.bundles.is_empty() || self.era.is_asking();
        if open && !std::mem::replace(&mut self.alarms.retry, true) {
            fx.arm(Timer::Retry, self.spec.retry);
        }
        if open && !std::mem::replace(&mut self.alarms.patience, true) {
            fx.arm(Timer::Patience, quarter(self.spec.patience));
        }
        if !self.settling.is_empty() && !std::mem::replace(&mut self.alarms.settle, true) {
            fx.arm(Timer::Settle, quarter(self.spec.settle));
        }
    }
}
