//! A client's session with a replicated service: asks every replica, believes `f + 1` equal answers.
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
//!
//! # Properties
//! An answer that is given is the one of the service. Each request takes effect at most once, however
//! often it is said; requests take effect in the order in which the user made them. If a correct
//! replica hears the requests and the replies of `f + 1` correct replicas come through, each request
//! is answered. When all replies differ none is given: the user hears [`Output::NoQuorum`].
//!
//! # Deviations
//! All replicas send whole replies. A replica cannot relay the reply of another, so the client must
//! be reachable from `f + 1` correct ones, though it needs to reach only one.

mod open;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use self::open::Open;
use super::{
    clients::WINDOW,
    message::{Message, Refusal, Request},
    number::Number,
};
use crate::{
    children::Children,
    crypto::Digest,
    effects::{Effects, Lane, To},
    fault::Fault,
    id::{PartyId, Peer},
    protocol::{Event, Kind, Never, Protocol},
    seat::{Owner, Seat},
    tally::Vote,
    time::Span,
    wire::limits,
};

/// The most requests that wait for a place in the window. More are refused.
pub(super) const QUEUE_MAX: usize = 1_024;

/// The most answered requests for which late replies are still counted.
pub(super) const SETTLING_MAX: usize = 64;

/// By what the pause between two tries grows at most.
const BACKOFF_MAX: u64 = 16;

/// What makes two sessions differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Its number: higher than that of every earlier session of the same client, such as the seconds
    /// since 1970 at its beginning. The replicas let the earlier ones go.
    pub session: u32,
    /// How long to wait for an answer before a request is said again; doubles up to 16 times.
    pub retry: Span,
    /// How long the user waits before it is told what is missing.
    pub patience: Span,
    /// How long after an answer the replies of the slower replicas are counted.
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
    Request(Bytes),
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
    /// Too many requests of this session wait. It was not said to anybody.
    Full,
    /// `f + 1` replicas know a later session of this client. This one is over.
    Superseded,
    /// `f + 1` replicas say that the group does not serve this client. The session is over.
    Stranger,
}

/// Why a session wakes up. The number is the count of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Timer {
    /// Say again what is not answered.
    Retry,
    /// Tell the user how things stand.
    Patience(u32),
    /// Count no more replies.
    Settle(u32),
}

/// A session of a client. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    spec: Spec,
    /// How many inputs there were.
    asked: u64,
    /// How many requests were said.
    said: u32,
    queue: VecDeque<(u64, Bytes)>,
    open: BTreeMap<u32, Open>,
    tries: u32,
    over: Option<Why>,
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

    fn new(_: &Seat, spec: Spec) -> Self {
        let (queue, open) = (VecDeque::new(), BTreeMap::new());
        Self { spec, asked: 0, said: 0, queue, open, tries: 0, over: None }
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        match event {
            Event::Input(Input::Request(body)) => self.on_input(body, fx),
            Event::Message { from, message } => {
                let Some(from) = member(fx.seat(), from) else { return };
                match message {
                    Message::Reply { number, body } => self.on_reply(from, number, body, fx),
                    Message::Refused { number, why } => self.on_refused(from, number, why, fx),
                    // `admit` lets nothing else in.
                    _ => {}
                }
            }
            Event::Timer(Timer::Retry) => self.retry(fx),
            Event::Timer(Timer::Patience(count)) => self.on_patience(count, fx),
            Event::Timer(Timer::Settle(count)) => self.settle(count, fx),
            Event::Heard(never) => match never {},
            Event::Start | Event::Behind { .. } | Event::Dropped { .. } | Event::Missed { .. } => {}
        }
    }

    fn route<C: Children<Self>>(ask: Never, _: &mut C) {
        match ask {}
    }

    fn admit(seat: &Seat, from: Peer, message: &Message) -> Result<(), Fault> {
        let reply = matches!(message, Message::Reply { .. } | Message::Refused { .. });
        if reply && member(seat, from).is_some() {
            Ok(())
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
    fn on_input(&mut self, body: Bytes, fx: &mut Effects<'_, Self>) {
        self.asked += 1;
        let number = self.asked;
        let full = self.queue.len() >= QUEUE_MAX || body.len() > limits::PAYLOAD_MAX;
        match self.over.or(full.then_some(Why::Full)) {
            Some(why) => fx.output(Output::Refused { number, why }),
            None => self.queue.push_back((number, body)),
        }
        self.try_say(fx);
    }

    /// Says what waits, as far as the window reaches.
    fn try_say(&mut self, fx: &mut Effects<'_, Self>) {
        let oldest = self.open.iter().find(|(_, open)| open.answer.is_none());
        let oldest = oldest.map_or(self.said + 1, |(count, _)| *count);
        while self.said + 1 < oldest + WINDOW
            && let Some((number, body)) = self.queue.pop_front()
        {
            self.say(number, body, fx);
        }
    }

    fn say(&mut self, number: u64, body: Bytes, fx: &mut Effects<'_, Self>) {
        let Owner::Client(client) = fx.seat().owner else {
            panic!("{} is a client's session", fx.seat().id)
        };
        self.said += 1;
        let count = self.said;
        let request =
            Request::sealed(fx.seat(), client, Number::new(self.spec.session, count), body);
        fx.send_to(To::Everyone, Message::Request(request.clone()));
        if self.open.values().all(|open| open.answer.is_some()) {
            self.tries = 0;
            fx.arm(Timer::Retry, self.spec.retry);
        }
        fx.arm(Timer::Patience(count), self.spec.patience);
        self.open.insert(count, Open::new(number, request));
    }

    fn on_reply(&mut self, from: PartyId, number: Number, body: Bytes, fx: &mut Effects<'_, Self>) {
        let here = number.session() == self.spec.session;
        let Some(open) = self.open.get_mut(&number.count()).filter(|_| here) else { return };
        let (digest, count) = (Digest::of("reply", &body), number.count());
        match open.replies.vote(from, digest) {
            Vote::Fresh { .. } => drop(open.bodies.insert(digest, body)),
            Vote::Repeated => return,
            Vote::Conflicting { first } => {
                let fault = Fault::Equivocated { first, second: digest };
                return fx.accuse(replica(fx, from), fault);
            }
        }
        match open.answer {
            None => self.try_answer(count, digest, fx),
            Some(agreed) if agreed != digest => {
                fx.accuse(replica(fx, from), Fault::Outvoted { answered: digest, agreed });
            }
            Some(_) => {}
        }
        self.try_settle(count, fx);
    }

    fn try_answer(&mut self, count: u32, digest: Digest, fx: &mut Effects<'_, Self>) {
        let thresholds = fx.seat().thresholds();
        let (needed, of) = (thresholds.one_correct(), usize::from(thresholds.n()));
        let Some(open) = self.open.get_mut(&count) else { return };
        if open.replies.count(&digest) < needed {
            let possible = open.equal() + (of - open.replies.len());
            if possible < needed && !std::mem::replace(&mut open.hopeless, true) {
                fx.output(open.no_quorum(needed, of));
            }
            return;
        }
        open.answer = Some(digest);
        self.tries = 0;
        for (liar, answered) in open.outvoted(&digest) {
            fx.accuse(replica(fx, liar), Fault::Outvoted { answered, agreed: digest });
        }
        fx.output(Output::Answered {
            number: open.number,
            body: open.bodies.get(&digest).cloned().unwrap_or_default(),
            agree: open.replies.voters(&digest).collect(),
            of,
            outvoted: open.otherwise(&digest),
        });
        fx.disarm(Timer::Patience(count));
        fx.arm(Timer::Settle(count), self.spec.settle);
        self.bound_settling(fx);
        if self.open.values().all(|open| open.answer.is_some()) {
            fx.disarm(Timer::Retry);
        }
        self.try_say(fx);
    }

    fn bound_settling(&mut self, fx: &mut Effects<'_, Self>) {
        let settling = || self.open.iter().filter(|(_, open)| open.answer.is_some());
        if settling().count() > SETTLING_MAX
            && let Some((oldest, _)) = settling().next()
        {
            let oldest = *oldest;
            self.settle(oldest, fx);
        }
    }

    fn try_settle(&mut self, count: u32, fx: &mut Effects<'_, Self>) {
        let all = usize::from(fx.seat().thresholds().n());
        let done = |open: &Open| open.answer.is_some() && open.replies.len() == all;
        if self.open.get(&count).is_some_and(done) {
            fx.disarm(Timer::Settle(count));
            self.settle(count, fx);
        }
    }

    /// Tells the user who answered what, and forgets the request.
    fn settle(&mut self, count: u32, fx: &mut Effects<'_, Self>) {
        let Some(open) = self.open.remove(&count) else { return };
        let Some(agreed) = open.answer else { return };
        let silent: Vec<PartyId> =
            fx.seat().parties().filter(|party| open.replies.of(*party).is_none()).collect();
        for party in &silent {
            fx.accuse(replica(fx, *party), Fault::Silent);
        }
        fx.output(Output::Tallied {
            number: open.number,
            agree: open.replies.voters(&agreed).collect(),
            outvoted: open.otherwise(&agreed),
            silent,
        });
    }

    fn on_refused(
        &mut self,
        from: PartyId,
        number: Number,
        why: Refusal,
        fx: &mut Effects<'_, Self>,
    ) {
        let here = number.session() == self.spec.session;
        let needed = fx.seat().thresholds().one_correct();
        let Some(open) = self.open.get_mut(&number.count()).filter(|_| here) else { return };
        open.refusals.insert(from, why);
        let equal = open.refusals.values().filter(|said| **said == why).count();
        let over = match why {
            Refusal::Busy => return,
            Refusal::Superseded => Why::Superseded,
            Refusal::Stranger => Why::Stranger,
        };
        if equal >= needed && open.answer.is_none() {
            self.end(over, fx);
        }
    }

    /// The session is over: nothing more of it can take effect.
    fn end(&mut self, why: Why, fx: &mut Effects<'_, Self>) {
        self.over = Some(why);
        let said = std::mem::take(&mut self.open);
        for (count, open) in said {
            fx.disarm(Timer::Patience(count));
            if open.answer.is_some() {
                self.open.insert(count, open);
            } else {
                fx.output(Output::Refused { number: open.number, why });
            }
        }
        for (number, _) in std::mem::take(&mut self.queue) {
            fx.output(Output::Refused { number, why });
        }
        fx.disarm(Timer::Retry);
    }

    fn retry(&mut self, fx: &mut Effects<'_, Self>) {
        let mut waiting = self.open.values().filter(|open| open.answer.is_none()).peekable();
        if waiting.peek().is_none() {
            return;
        }
        for open in waiting {
            fx.send_to(To::Everyone, Message::Request(open.request.clone()));
        }
        self.tries += 1;
        let times = (1_u64 << self.tries.min(63)).min(BACKOFF_MAX);
        fx.arm(Timer::Retry, Span::micros(self.spec.retry.as_micros().saturating_mul(times)));
    }

    fn on_patience(&mut self, count: u32, fx: &mut Effects<'_, Self>) {
        let thresholds = fx.seat().thresholds();
        if let Some(open) = self.open.get(&count).filter(|open| open.answer.is_none()) {
            let (needed, of) = (thresholds.one_correct(), usize::from(thresholds.n()));
            fx.output(open.no_quorum(needed, of));
            fx.arm(Timer::Patience(count), self.spec.patience);
        }
    }
}
