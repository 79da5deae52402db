//! One sender's part of a stream: numbered broadcasts, delivered in the order of their numbers.
//!
//! # Reference
//! As the [stream](super). Rules L0 to L5.
//!
//! # Model
//! As the stream. Links may lose frames when a backlog overflows, and then say so.
//!
//! # Thresholds
//! | rule | waits for | because |
//! |---|---|---|
//! | L0 speak | `n - f` parties within [`WINDOW`] of it | more may never come; so all these take every broadcast as it comes |
//! | L3 retire | all parties past it; or `n - f` when more than [`KEPT`] are kept | whoever is not is slow, and is told |
//! | L5 skip | `f + 1` parties that do not keep it | one of them is correct; liars skip nothing |
//!
//! # Properties
//! Those of the broadcast for each number, and their order. What a party takes part in is at most
//! [`WINDOW`] broadcasts ahead of what it has delivered and [`KEPT`] plus [`WINDOW`] behind, so a liar
//! can open nothing that a correct sender could not.
//!
//! *An item that is no batch* is what the broadcast delivers to all, so all pass over it alike.
//!
//! *Who retires harms nobody.* A party retires a broadcast when it has delivered it: by then it has
//! said all that another party needs to deliver it, but for payloads that are asked for later. Who asks
//! in vain hears which broadcasts others keep (L5): it then asks all who echoed, of whom `f + 1` are
//! correct, and if those do not keep it, it skips with [`Output::Lagged`].
//!
//! *Lost frames* are asked for again (L4): broadcasts are [repeated](Protocol::REPEATS). A party that lost
//! frames of a broadcast *and* is so far behind that some have retired it may have to wait until the
//! sender goes on, before enough others say that they have, too.
//!
//! # Deviations
//! SINTRA keeps every instance, and its links lose nothing.

mod own;
mod words;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use self::own::{Item, Own};
pub use self::words::{Input, Message, Output};
use super::Carrier;
use crate::{
    children::Children,
    effects::Effects,
    fault::Fault,
    id::{PartyId, Peer},
    path::{Role, Segment},
    protocol::{Early, Event, Kind, Never, Protocol},
    seat::Seat,
    stream::batch::Batch,
    wire,
};

#[cfg(any(test, feature = "sim"))]
pub(in crate::stream) fn contents(take: &mut impl crate::stream::contents::Contents) {
    take.content::<Item>();
}

/// How many broadcasts of a sender may be under way: enough to fill three delays at one a millisecond
/// between close machines, and each costs some hundred bytes at rest.
pub const WINDOW: u64 = 16;

/// How many delivered broadcasts are kept for those who are behind: what a member misses whose thread
/// waits for its turn. Each takes a kilobyte or two beside its item.
pub const KEPT: u64 = 256;

/// How many bytes of delivered items are kept for those who are behind.
const KEPT_BYTES: usize = 4 << 20;

/// How often a party tells how far it is: every so many broadcasts. At most half a window.
const STEP: u64 = 4;

/// How often a party is answered that lost frames, while nothing is delivered: a few times as often as
/// it must ask for all that is kept. The question is smaller than the answer.
const ANSWERS_MAX: u64 = 4 * KEPT / (WINDOW / 2);

/// How many broadcasts that are over are retired in one step: a party that was away for a million passes
/// over them in the next thousand steps.
const RETIRED_PER_STEP: u64 = 1_024;

/// The largest item in a group of `n`, in bytes: an instance may have to say it to each other party, and
/// all that is [kept](crate::tree) so that it can be said again, which is a mebibyte.
pub const fn item_bytes_max(n: u16) -> usize {
    (1 << 20) / (n as usize + 2)
}

/// What is asked of a broadcast.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    number: u64,
    sender: PartyId,
    limit: usize,
    word: Word,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Word {
    Open,
    Speak(Bytes),
    Insist,
}

/// What a broadcast says: the item of a number, if that is what it says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heard(u64, Option<Bytes>);

/// One sender's part of a stream at one party.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Lane<B: Carrier> {
    sender: PartyId,
    /// All below are over; all below the next are delivered; all below the last were opened.
    oldest: u64,
    next: u64,
    opened: u64,
    /// Up to here what is over was retired.
    retired: u64,
    /// What was delivered before its turn.
    early: BTreeMap<u64, Bytes>,
    /// The sizes of the items that are kept, the oldest first, and of all of them, in bytes.
    kept: VecDeque<usize>,
    weight: usize,
    ended: bool,
    own: Own,
    /// What others have delivered, and what they do not keep, by their own word.
    reached: BTreeMap<PartyId, u64>,
    gone: BTreeMap<PartyId, u64>,
    /// What this party told of itself.
    told: (u64, u64),
    /// The broadcast that all echoers were asked about.
    insisted: Option<u64>,
    /// Frames of these parties about broadcasts below this were lost or not kept.
    dropped: BTreeMap<PartyId, u64>,
    /// Whose frames were lost, until they say how far they were.
    lossy: BTreeSet<PartyId>,
    /// How often each was answered since this party last delivered something.
    answered: BTreeMap<PartyId, u64>,
    marker: std::marker::PhantomData<B>,
}

impl<B: Carrier> Protocol for Lane<B> {
    const KIND: Kind = B::LANE;
    type Spec = PartyId;
    type Input = Input;
    type Output = Output;
    type Message = Message;
    type Timer = Never;
    type Ask = Ask;
    type Heard = Heard;
    const REPEATS: bool = true;

    fn new(_: &Seat, sender: PartyId) -> Self {
        Self {
            sender,
            oldest: 0,
            next: 0,
            opened: 0,
            retired: 0,
            early: BTreeMap::new(),
            kept: VecDeque::new(),
            weight: 0,
            ended: false,
            own: Own::default(),
            reached: BTreeMap::new(),
            gone: BTreeMap::new(),
            told: (0, 0),
            insisted: None,
            dropped: BTreeMap::new(),
            lossy: BTreeSet::new(),
            answered: BTreeMap::new(),
            marker: std::marker::PhantomData,
        }
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        match event {
            Event::Start => self.widen(fx),
            Event::Input(Input::Submit(batch)) => self.on_submit(batch, fx), // L0
            Event::Input(Input::Close) => self.own.closing = true,
            Event::Heard(Heard(number, item)) => self.on_item(number, item), // L1
            Event::Message { from: Peer::Member(from), message } => match message {
                Message::Progress { next, oldest } => self.on_progress(from, next, oldest), // L2
                Message::Recall { first, to, back } => self.on_recall(from, first, to, back, fx), // L4
            },
            Event::Message { from, .. } => fx.accuse(from, Fault::Improper("not a member".into())),
            Event::Dropped { from, child } => self.on_dropped(from, child.number), // L4
            Event::Missed { from: Peer::Member(from) } => self.on_missed(from, fx), // L4
            Event::Missed { .. } | Event::Behind { .. } => {}
            Event::Timer(never) => match never {},
        }
        self.advance(fx);
    }

    fn route<C: Children<Self>>(Ask { number, sender, limit, word }: Ask, children: &mut C) {
        let input = match word {
            Word::Open => None,
            Word::Speak(item) => Some(B::speak(item)),
            Word::Insist => B::insist(),
        };
        children.ask::<B>(
            Role::Broadcast.at(number),
            B::spec(sender, limit),
            input,
            |at, output| Heard(at.number, B::delivered(output)),
        );
    }

    fn admit(seat: &Seat, from: Peer, message: &Message) -> Result<(), Fault> {
        if from.member().is_none_or(|from| !seat.has(from)) {
            return Err(Fault::Improper("not a member".into()));
        }
        match message {
            Message::Recall { first, to, .. } if to.saturating_sub(*first) > WINDOW => {
                Err(Fault::Improper("recalls more than anybody keeps".into()))
            }
            Message::Recall { .. } | Message::Progress { .. } => Ok(()),
        }
    }

    fn early(&self, _: &Seat, child: Segment) -> Early {
        match child.role {
            Role::Broadcast if child.number < self.oldest || self.ended => Early::Over,
            Role::Broadcast if child.number < self.opened => Early::Wait,
            Role::Broadcast => Early::Beyond,
            _ => Early::Never,
        }
    }
}

impl<B: Carrier> Lane<B> {
    /// L0.
    fn on_submit(&mut self, batch: Batch, fx: &mut Effects<'_, Self>) {
        let limit = item_bytes_max(fx.seat().thresholds().n());
        if let Err(batch) = self.own.submit(batch, limit) {
            fx.output(Output::Refused { payloads: batch.len() as u64 });
        }
    }

    fn on_item(&mut self, number: u64, item: Option<Bytes>) {
        if let Some(item) = item.filter(|_| number >= self.next) {
            self.early.insert(number, item);
        }
    }

    fn on_progress(&mut self, from: PartyId, next: u64, oldest: u64) {
        raise(&mut self.reached, from, next);
        raise(&mut self.gone, from, oldest);
        if self.lossy.remove(&from) {
            raise(&mut self.dropped, from, next.saturating_add(WINDOW));
        }
    }

    /// L4: says again what it said, where it stands, and, as its own questions may be lost, what it
    /// lacks itself.
    fn on_recall(
        &mut self,
        from: PartyId,
        first: u64,
        to: u64,
        back: bool,
        fx: &mut Effects<'_, Self>,
    ) {
        let answered = self.answered.entry(from).or_default();
        *answered = answered.saturating_add(1);
        if *answered > ANSWERS_MAX {
            return;
        }
        for number in first.max(self.oldest)..to.min(self.opened) {
            fx.repeat(Role::Broadcast.at(number), from);
        }
        fx.send(from, Message::Progress { next: self.next, oldest: self.oldest });
        if !back {
            fx.send(from, Message::Recall { first: self.next, to: self.opened, back: true });
        }
    }

    fn on_dropped(&mut self, from: PartyId, number: u64) {
        raise(&mut self.dropped, from, number.saturating_add(1));
    }

    fn on_missed(&mut self, from: PartyId, fx: &mut Effects<'_, Self>) {
        self.lossy.insert(from);
        fx.send(from, Message::Recall { first: self.next, to: self.opened, back: false });
    }

    /// Does all that can be done now.
    fn advance(&mut self, fx: &mut Effects<'_, Self>) {
        self.skip(fx);
        while let Some(item) = self.early.remove(&self.next).filter(|_| !self.ended) {
            self.next += 1;
            self.answered.clear();
            self.kept.push_back(item.len());
            self.weight += item.len();
            self.deliver(item, fx);
        }
        self.retire(fx);
        self.widen(fx);
        self.speak(fx);
        self.tell(fx);
    }

    fn deliver(&mut self, item: Bytes, fx: &mut Effects<'_, Self>) {
        let number = self.next - 1;
        let item =
            wire::decode::<Item>(&item).map_err(|error| Fault::Undecodable(error.to_string()));
        match item.and_then(|item| item.check().map(|()| item)) {
            Ok(Item::Batch(batch)) => {
                fx.output(Output::Deliver { number, batch });
                self.settle(fx);
            }
            Ok(Item::Close) => self.end(fx),
            Err(fault) => fx.accuse(self.sender, fault),
        }
    }

    /// At the sender: what lies below the next has left its hands.
    fn settle(&mut self, fx: &mut Effects<'_, Self>) {
        if let Some(own) = self.own.settle(self.next) {
            fx.output(Output::Settled { own });
        }
    }

    /// The last item is delivered: what the sender says beyond it is nobody's.
    fn end(&mut self, fx: &mut Effects<'_, Self>) {
        self.ended = true;
        self.early.clear();
        (self.next..self.opened).for_each(|number| fx.retire(Role::Broadcast.at(number)));
        fx.output(Output::Ended);
    }

    /// L5: passes over what one correct party does not keep; looks harder for what anybody says so of.
    fn skip(&mut self, fx: &mut Effects<'_, Self>) {
        if self.ended {
            return;
        }
        let to = highest(&self.gone, fx.seat().thresholds().one_correct());
        if to > self.next {
            fx.output(Output::Lagged { first: self.next, to });
            (self.next, self.oldest) = (to, to);
            (self.weight, self.kept) = (0, VecDeque::new());
            self.early = self.early.split_off(&to);
            self.settle(fx);
        }
        let missing = highest(&self.gone, 1) > self.next && !self.early.contains_key(&self.next);
        if missing && self.insisted != Some(self.next) {
            self.insisted = Some(self.next);
            self.ask(self.next, Word::Insist, fx);
        }
    }

    /// L3, in steps that are told.
    fn retire(&mut self, fx: &mut Effects<'_, Self>) {
        let t = fx.seat().thresholds();
        let by_all = highest(&self.reached, t.n().into());
        let by_most = highest(&self.reached, t.available()).min(self.next);
        while self.oldest + STEP <= by_all.min(self.next)
            || (self.is_full() && self.oldest + STEP <= by_most)
        {
            let gone: usize = self.kept.drain(..STEP as usize).sum();
            self.weight -= gone;
            self.oldest += STEP;
        }
        let to = self.oldest.min(self.retired + RETIRED_PER_STEP);
        (self.retired..to).for_each(|number| fx.retire(Role::Broadcast.at(number)));
        self.retired = to;
    }

    /// Whether more is kept than the slow can expect.
    fn is_full(&self) -> bool {
        self.kept.len() as u64 > KEPT || self.weight > KEPT_BYTES
    }

    /// Opens the broadcasts of the window, half of it at a time, and asks again for frames that came before they were.
    fn widen(&mut self, fx: &mut Effects<'_, Self>) {
        let top = self.next.saturating_add(WINDOW);
        if self.ended || top < self.opened + WINDOW / 2 {
            return;
        }
        let first = self.opened.max(self.next);
        self.opened = top;
        (first..top).for_each(|number| self.ask(number, Word::Open, fx));
        for (party, below) in &self.dropped {
            if *below > first {
                fx.send(*party, Message::Recall { first, to: top, back: false });
            }
        }
        self.dropped.retain(|_, below| *below > top);
    }

    /// L0.
    fn speak(&mut self, fx: &mut Effects<'_, Self>) {
        let t = fx.seat().thresholds();
        let heard = highest(&self.reached, t.available()).saturating_add(WINDOW);
        let limit = item_bytes_max(t.n());
        while let Some((number, item)) = self.own.item(heard.min(self.opened), limit) {
            self.ask(number, Word::Speak(wire::encode(&item)), fx);
        }
    }

    /// L2.
    fn tell(&mut self, fx: &mut Effects<'_, Self>) {
        let (next, oldest) = (self.next, self.oldest);
        let due = next >= self.told.0 + STEP || oldest > self.told.1 || self.ended;
        if due && self.told != (next, oldest) {
            self.told = (next, oldest);
            fx.broadcast(Message::Progress { next, oldest });
        }
    }

    fn ask(&self, number: u64, word: Word, fx: &mut Effects<'_, Self>) {
        let limit = item_bytes_max(fx.seat().thresholds().n());
        fx.ask(Ask { number, sender: self.sender, limit, word });
    }
}

/// Notes a number of a party if it is higher than what was noted.
fn raise(of: &mut BTreeMap<PartyId, u64>, party: PartyId, number: u64) {
    let noted = of.entry(party).or_default();
    *noted = number.max(*noted);
}

/// What `count` parties have reached.
fn highest(of: &BTreeMap<PartyId, u64>, count: usize) -> u64 {
    let mut numbers: Vec<_> = of.values().copied().collect();
    numbers.sort_unstable_by(|one, other| other.cmp(one));
    numbers.get(count - 1).copied().unwrap_or_default()
}
