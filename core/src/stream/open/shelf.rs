//! The side of a member: keeps what was delivered, signs it now and then, and hands it out to readers.
//!
//! # Reference
//! Castro and Liskov, *Practical Byzantine fault tolerance and proactive recovery*, TOCS 2002, for
//! certified checkpoints; the chain is that of any log that shows when it was changed. Rules R0 to R5
//! of the [module](super).
//!
//! # Model
//! That of the stream whose entries are kept: all correct members keep the same entries in the same slots,
//! but for those that were lost to one of them. No clock.
//!
//! # Thresholds
//! | step | waits for | because |
//! |---|---|---|
//! | certificate | `one_correct` shares over one chain | one of them is of a correct member |
//! | the chain after a loss | a certificate | the same |
//!
//! # Properties
//! What a certificate covers is what every correct member has in these slots, if it has them. Once `f + 1`
//! correct members have passed a slot, a certificate of one within two batches below it comes about.
//! Memory: the retention in bytes, eight marks of each member, and a record
//! for each of at most [`READERS_MAX`](super::READERS_MAX) strangers and of the clients that the
//! configuration names. What is under way to a reader is at most
//! [`UNDER_WAY_BYTES`] and one chunk. Nobody waits for a reader.
//!
//! # Deviations
//! Marks that a link lost are not said again: those of a later slot do as well, and a reader that wants the
//! end of a stream at rest [asks](super::reader::Input::Certify) for signatures itself.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    Certificate, EVERY, Entry, Message, SIGNED_MAX, SIGNED_OF_ONE_MAX, UNDER_WAY_BYTES,
    log::Log,
    marks::{Marks, place_to_sign},
    readers::{Feed, Readers},
    statement, tag,
};
use crate::{
    children::Children,
    crypto::{Digest, Share},
    effects::{Effects, Lane, To},
    fault::Fault,
    id::{ClientId, PartyId, Peer, Slot},
    protocol::{Event, Kind, Never, Protocol},
    seat::Seat,
    stream::secure::Author,
};

/// What makes two shelves differ. It need not be the same at every member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// How many bytes of entries are kept for readers.
    pub retention: u64,
    /// The readers that the configuration names. They never make room for others.
    pub registered: BTreeSet<ClientId>,
}

impl Default for Spec {
    /// 16 MiB, for nobody in particular: what a reader of 100,000 small payloads a second can be late by a
    /// second with.
    fn default() -> Self {
        Self { retention: 16 << 20, registered: BTreeSet::new() }
    }
}

/// What its user may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// Keep what was delivered.
    Keep {
        /// Everything from here to `first` is empty for all. What lies below, and is not kept, is lost to
        /// this member.
        after: Slot,
        /// The slot of the first payload.
        first: Slot,
        /// The payloads, each in its slot, and whose they are.
        payloads: Vec<(Author, Bytes)>,
    },
}

/// What its user is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// To each [`Input::Keep`].
    Kept,
}

/// The entries of one member, and their readers. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shelf {
    spec: Spec,
    log: Log,
    pub(super) marks: Marks,
    readers: Readers,
    /// Shares that readers wanted at places where none is due, since the last place where one was.
    pub(super) signed: BTreeMap<Slot, (ClientId, Share)>,
}

impl Protocol for Shelf {
    const KIND: Kind = Kind("shelf");
    type Spec = Spec;
    type Input = Input;
    type Output = Output;
    type Message = Message;
    type Timer = Never;
    type Ask = Never;
    type Heard = Never;

    fn new(_: &Seat, spec: Spec) -> Self {
        Self {
            spec,
            log: Log::new(),
            marks: Marks::default(),
            readers: Readers::default(),
            signed: BTreeMap::new(),
        }
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        match event {
            Event::Input(Input::Keep { after, first, payloads }) => {
                self.keep(after, first, payloads, fx); // R0, R1
                fx.output(Output::Kept);
            }
            Event::Message { from: Peer::Member(from), message } => self.on_mark(from, message, fx), // R2
            Event::Message { from: Peer::Client(from), message } => {
                self.on_reader(from, message, fx);
            }
            Event::Message { from: Peer::Foreign(..), .. }
            | Event::Start
            | Event::Behind { .. }
            | Event::Dropped { .. }
            | Event::Missed { .. } => {}
            Event::Heard(never) | Event::Timer(never) => match never {},
        }
    }

    fn route<C: Children<Self>>(ask: Never, _: &mut C) {
        match ask {}
    }

    fn admit(seat: &Seat, from: Peer, message: &Message) -> Result<(), Fault> {
        let may = match from {
            Peer::Member(_) => message.is_for_members(),
            Peer::Client(_) => message.is_of_readers(),
            Peer::Foreign(..) => false,
        };
        if may {
            message.check(seat.thresholds().n())
        } else {
            Err(Fault::Improper("not its to say to a shelf".into()))
        }
    }

    fn lane(message: &Message) -> Lane {
        message.lane()
    }
}

impl Shelf {
    /// R0: takes what was delivered, without what is here. R1: signs.
    fn keep(
        &mut self,
        after: Slot,
        first: Slot,
        payloads: Vec<(Author, Bytes)>,
        fx: &mut Effects<'_, Self>,
    ) {
        let before = self.log.end();
        if after > before {
            self.log.lose(after);
        }
        let fresh =
            payloads.into_iter().zip(first.number()..).filter(|(_, at)| *at >= before.number());
        for ((author, payload), at) in fresh {
            self.log.push(Entry { slot: Slot::new(at), author, payload });
        }
        self.log.skip(first);
        let news = self.marks.within(before.next()..=self.log.end());
        news.iter().for_each(|certificate| self.log.settle(certificate));
        self.try_sign(before, fx);
        self.log.trim(self.spec.retention);
        self.marks.trim(self.log.floor());
        self.serve_all(fx);
    }

    /// R1.
    fn try_sign(&mut self, before: Slot, fx: &mut Effects<'_, Self>) {
        let Some(slot) = place_to_sign(before, self.log.end()) else { return };
        self.signed.clear();
        if let Some(chain) = self.log.chain(slot) {
            let service = &fx.seat().keys.service;
            let share = service.share(&tag(&fx.seat().id), &statement(slot, chain));
            fx.broadcast(Message::Mark { slot, chain, share });
        }
    }

    /// R2.
    fn on_mark(&mut self, from: PartyId, message: Message, fx: &mut Effects<'_, Self>) {
        let Message::Mark { slot, chain, share } = message else { return };
        let (certificate, liars) = self.marks.hear(from, slot, (chain, share), fx.seat());
        for liar in liars {
            fx.accuse(liar, Fault::BadProof { what: "share of a slot certificate".into() });
        }
        if let Some(certificate) = certificate {
            self.log.settle(&certificate);
            self.marks.trim(self.log.floor());
            self.serve_all(fx);
        }
    }

    fn on_reader(&mut self, from: ClientId, message: Message, fx: &mut Effects<'_, Self>) {
        let (account, gone) = self.readers.enter(from, &self.spec.registered);
        if let Some(gone) = gone {
            fx.send_to(To::Client(gone), Message::Busy);
        }
        match message {
            Message::Read { ticket, from: slot, proven, up_to } => {
                account.feed = None;
                self.begin(
                    from,
                    Feed { ticket, next: slot, dealt: 0, up_to, proven: slot },
                    proven,
                    fx,
                );
            }
            Message::Pull { ticket, taken, up_to } => {
                if let Some(feed) = account.feed.as_mut().filter(|feed| feed.ticket == ticket) {
                    feed.dealt = feed.dealt.max(self.log.weight(taken.min(feed.next)));
                    feed.up_to = feed.up_to.max(up_to);
                }
            }
            Message::Confirm { slot } => account.confirm = Some(slot),
            Message::Sign { slot } => account.sign = Some(slot),
            // `admit` lets nothing else in.
            _ => {}
        }
        self.serve(from, fx);
    }

    /// R3: where the reading begins, if it can.
    fn begin(
        &mut self,
        client: ClientId,
        mut feed: Feed,
        proven: bool,
        fx: &mut Effects<'_, Self>,
    ) {
        let floor = self.log.floor();
        let known = self.log.chain(floor).is_some();
        let start = if !known || feed.next < floor {
            None
        } else if !proven {
            Some((feed.next, None))
        } else {
            let below = self.marks.below(feed.next, floor);
            let genesis = (floor == Slot::FIRST).then_some((Slot::FIRST, None));
            below.map(|below| (below.slot, Some(below.clone()))).or(genesis)
        };
        let Some((slot, certificate)) = start else {
            return self.turn_away(client, feed.ticket, feed.next, fx);
        };
        (feed.next, feed.proven, feed.dealt) = (slot, slot, self.log.weight(slot));
        let begin = Message::Begin { ticket: feed.ticket, slot, certificate };
        fx.send_to(To::Client(client), begin);
        if let Some(account) = self.readers.get(client) {
            account.feed = Some(feed);
        }
    }

    /// What was asked for is not here: says from where on there is something, if that is known.
    fn turn_away(&self, client: ClientId, ticket: u64, from: Slot, fx: &mut Effects<'_, Self>) {
        let known = self.log.chain(self.log.floor()).is_some();
        let oldest =
            self.marks.oldest(self.log.floor()).filter(|oldest| known && oldest.slot > from);
        let answer = match oldest {
            Some(certificate) => Message::Gone { ticket, certificate: certificate.clone() },
            None => Message::Busy,
        };
        fx.send_to(To::Client(client), answer);
    }

    fn serve_all(&mut self, fx: &mut Effects<'_, Self>) {
        for client in self.readers.ids() {
            self.serve(client, fx);
        }
    }

    /// Sends a reader what is there and what it takes.
    fn serve(&mut self, client: ClientId, fx: &mut Effects<'_, Self>) {
        self.send_entries(client, fx);
        let Some(account) = self.readers.get(client) else { return };
        let (log, known) = (&self.log, self.log.chain(self.log.floor()).is_some());
        let here = |slot: &mut Slot| known && *slot <= log.end();
        let (confirm, sign) = (account.confirm.take_if(here), account.sign.take_if(here));
        if let Some(slot) = confirm {
            fx.send_to(To::Client(client), Message::Tip { slot, chain: log.chain(slot) });
        }
        let sign = sign.and_then(|slot| Some((slot, log.chain(slot)?)));
        if let Some((slot, chain)) = sign {
            self.sign(client, slot, chain, fx);
        }
    }

    /// R4.
    fn send_entries(&mut self, client: ClientId, fx: &mut Effects<'_, Self>) {
        let Some(account) = self.readers.get(client) else { return };
        let Some(feed) = &mut account.feed else { return };
        if feed.next < self.log.floor() {
            let (ticket, next) = (feed.ticket, feed.next);
            account.feed = None;
            return self.turn_away(client, ticket, next, fx);
        }
        let log = &self.log;
        let has_room = |feed: &Feed| log.weight(feed.next) < feed.dealt + UNDER_WAY_BYTES;
        while feed.next < feed.up_to.min(log.end()) && has_room(feed) {
            let (from, ticket) = (feed.next, feed.ticket);
            let (entries, to) = log.chunk(from, feed.up_to);
            feed.next = to;
            fx.send_to(To::Client(client), Message::Entries { ticket, from, entries, to });
        }
        let sent = self.marks.below(feed.next, log.floor()).filter(|last| last.slot > feed.proven);
        if let Some(certificate) = sent {
            feed.proven = certificate.slot;
            let certificate: Certificate = certificate.clone();
            fx.send_to(To::Client(client), Message::Certified { certificate });
        }
    }

    /// R5: signs at a place where no signature is due, a few times between two where one is.
    fn sign(&mut self, client: ClientId, slot: Slot, chain: Digest, fx: &mut Effects<'_, Self>) {
        if let Some(certificate) = self.marks.oldest(slot) {
            let certificate = certificate.clone();
            return fx.send_to(To::Client(client), Message::Certified { certificate });
        }
        if !self.signed.contains_key(&slot) {
            let own = self.signed.values().filter(|(of, _)| *of == client).count();
            if self.signed.len() >= SIGNED_MAX || own >= SIGNED_OF_ONE_MAX {
                return;
            }
            let service = &fx.seat().keys.service;
            let share = service.share(&tag(&fx.seat().id), &statement(slot, chain));
            self.signed.insert(slot, (client, share));
        }
        let share = self.signed[&slot].1.clone();
        fx.send_to(To::Client(client), Message::Mark { slot, chain, share });
    }
}

const _: () = assert!(EVERY.is_power_of_two(), "places to sign are found by their zeros");
