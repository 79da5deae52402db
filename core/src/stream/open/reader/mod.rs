//! The side of an outsider: reads entries from one member, and believes them when `f + 1` say the same.
//!
//! # Reference
//! Castro and Liskov, *Practical Byzantine fault tolerance and proactive recovery*, TOCS 2002, 2.4: one
//! member sends the whole, others its digest. Rules R3 to R5 of [`open`](super).
//!
//! # Model
//! Asynchronous. At most `f` members lie. The alarm decides nothing but when to ask again, when to ask
//! another member for entries, and when one of `f` that alone may have them had its turn.
//!
//! # Thresholds
//! | step | waits for | because |
//! |---|---|---|
//! | believe entries | `one_correct` equal chains, or a certificate | one of them is of a correct member |
//! | entries are gone | `most_correct` that do not have them, of which `one_correct` say from where on they have some; the others say that too, or nothing that can be believed | no more than `f` others may have them, and `f` chains convince nobody |
//! | where it goes on | the `one_correct`-th lowest of these places, or what `f` of them are above | liars alone move no one past what the correct have |
//!
//! # Properties
//! What is delivered is what every correct member has in these slots, in order, without gaps but for
//! [`Output::Lagged`]. If `n - f` members answer, a reader that gives credit gets everything that is kept.
//! A member whose entries, chain or certificate were wrong is named: as outvoted, or with the proof that does
//! not verify. Whoever sends wrong entries is not asked for any again. What waits here is bounded by
//! [`UNDER_WAY_BYTES`] and the user's credit.
//!
//! # Deviations
//! A reader that fell behind the retention drops what it holds and was given no credit for.

mod book;
mod hear;
mod source;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use self::book::Book;
use super::{CHUNK_BYTES, Certificate, Entry, Message, UNDER_WAY_BYTES, genesis};
use crate::{
    children::Children,
    crypto::{Digest, Share},
    effects::{Effects, Lane},
    fault::Fault,
    id::{PartyId, Peer, Slot},
    protocol::{Event, Kind, Never, Protocol},
    seat::Seat,
    tally::Tally,
    time::Span,
    wire::limits,
};

/// The most bytes of entries that wait here: what a correct member has under way, and what its last chunk
/// and its last payload overflow that by.
const PENDING_BYTES_MAX: u64 = UNDER_WAY_BYTES + CHUNK_BYTES + 2 * limits::PAYLOAD_MAX as u64;

/// What makes two readers differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The first slot to read.
    pub from: Slot,
    /// After how long it is asked again what was not answered, and another member for entries that others
    /// have and the one asked does not send.
    pub retry: Span,
}

impl Spec {
    /// From this slot on, in a group that answers within two seconds.
    pub const fn from(slot: Slot) -> Self {
        Self { from: slot, retry: Span::millis(2_000) }
    }
}

/// What the user may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// The user takes every entry below this slot. Nothing is read before the first pull.
    Pull {
        /// The slot, exclusive.
        up_to: Slot,
    },
    /// The user wants a certificate of all that was delivered so far, now: without this one comes for about
    /// every [`EVERY`](super::EVERY) slots. Members sign a few times only before one is due.
    Certify,
}

/// What the user is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// These are all entries from here to there.
    Deliver {
        /// The first slot.
        from: Slot,
        /// The chain before it, for an [`Excerpt`](super::Excerpt).
        before: Digest,
        /// The entries; at least one. Slots between them are empty.
        entries: Vec<Entry>,
        /// The slot after the last.
        to: Slot,
    },
    /// What was delivered is proven up to the slot of this.
    Certified {
        /// The proof.
        certificate: Certificate,
    },
    /// These slots are not kept any more, and will not be delivered.
    Lagged {
        /// The first slot that is missing.
        from: Slot,
        /// The first slot that comes again.
        to: Slot,
    },
}

/// Why a reader wakes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Timer {
    /// To ask again, as long as the user wants anything.
    Retry,
}

/// One reader of the entries of a group. Its seat is the [`Shelf`](super::Shelf)'s. See the
/// [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reader {
    spec: Spec,
    /// `None` until it is known where the reading begins.
    book: Option<Book>,
    credit: Slot,
    /// The first slot that the user wants.
    wanted: Slot,
    reading: Option<Reading>,
    /// How many readings there were.
    tickets: u64,
    /// Who sent what no correct member sends.
    shunned: BTreeSet<PartyId>,
    /// Who no longer has what is wanted, and from where on it has entries.
    gone: BTreeMap<PartyId, Certificate>,
    /// Who was asked for what comes at a slot, and answered nothing that could be believed.
    left: BTreeMap<PartyId, Slot>,
    /// The slot at which all members were asked for their chain, and what they said.
    asked: Option<Slot>,
    tips: Tally<Option<Digest>>,
    /// The last chain that `f + 1` agreed on.
    agreed: Option<(Slot, Digest)>,
    /// A certificate for the user, and one of what did not come yet.
    certificate: Option<Certificate>,
    later: Option<Certificate>,
    /// The slot of the last certificate that the user got.
    proven: Slot,
    /// What members were asked to sign, and what they signed.
    signing: Option<(Slot, Digest)>,
    shares: BTreeMap<PartyId, Share>,
    armed: bool,
}

/// What one member is asked to send.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Reading {
    from: PartyId,
    begun: bool,
    /// Whether it cannot serve this reader now.
    busy: bool,
    /// Whether anything came since the last alarm.
    moved: bool,
    /// What it was told of the user's credit, and of what was handed on.
    credit: Slot,
    taken: Slot,
    /// How many bytes may be under way in its eyes.
    under_way: u64,
}

impl Protocol for Reader {
    const KIND: Kind = Kind("reader");
    type Spec = Spec;
    type Input = Input;
    type Output = Output;
    type Message = Message;
    type Timer = Timer;
    type Ask = Never;
    type Heard = Never;

    fn new(_: &Seat, spec: Spec) -> Self {
        Self {
            spec,
            book: (spec.from == Slot::FIRST).then(|| Book::at(Slot::FIRST, genesis())),
            credit: Slot::FIRST,
            wanted: spec.from,
            reading: None,
            tickets: 0,
            shunned: BTreeSet::new(),
            gone: BTreeMap::new(),
            left: BTreeMap::new(),
            asked: None,
            tips: Tally::default(),
            agreed: None,
            certificate: None,
            later: None,
            proven: Slot::FIRST,
            signing: None,
            shares: BTreeMap::new(),
            armed: false,
        }
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        match event {
            Event::Input(Input::Pull { up_to }) => self.credit = self.credit.max(up_to),
            Event::Input(Input::Certify) => self.sign(fx),
            Event::Message { from, message } => {
                let Some(from) = member(fx.seat(), from) else { return };
                self.on_message(from, message, fx);
            }
            Event::Timer(Timer::Retry) => self.on_retry(fx),
            Event::Missed { from } => self.on_missed(from, fx),
            Event::Heard(never) => match never {},
            Event::Start | Event::Behind { .. } | Event::Dropped { .. } => {}
        }
        self.try_begin(fx);
        self.try_believe(fx);
        self.hand_out(fx);
        self.try_pull(fx);
        self.try_confirm(fx);
        self.set_alarm(fx);
    }

    fn route<C: Children<Self>>(ask: Never, _: &mut C) {
        match ask {}
    }

    fn admit(seat: &Seat, from: Peer, message: &Message) -> Result<(), Fault> {
        if message.is_of_readers() || member(seat, from).is_none() {
            return Err(Fault::Improper("not for a reader".into()));
        }
        message.check(seat.thresholds().n())
    }

    fn lane(message: &Message) -> Lane {
        message.lane()
    }
}

/// The member, however the host names it: a client is in no group.
fn member(seat: &Seat, peer: Peer) -> Option<PartyId> {
    let party = match peer {
        Peer::Member(party) => party,
        Peer::Foreign(group, party) if group == seat.group.id => party,
        Peer::Foreign(..) | Peer::Client(_) => return None,
    };
    seat.has(party).then_some(party)
}

impl Reader {
    /// The slot that comes next to the user.
    fn next(&self) -> Slot {
        self.book.as_ref().map_or(self.wanted, |book| book.base().max(self.wanted))
    }

    /// The slot after all that is believed.
    fn believed(&self) -> Slot {
        self.book.as_ref().map_or(self.wanted, Book::vouched)
    }

    /// Whether the user waits for anything.
    fn wants(&self) -> bool {
        self.credit > self.next() || self.signing.is_some()
    }

    /// Compares what came with what `f + 1` members, or a certificate, say.
    fn try_believe(&mut self, fx: &mut Effects<'_, Self>) {
        let reached = |book: &Book, slot: Slot| book.vouched() < slot && slot <= book.end();
        let Some(book) = &self.book else { return };
        if let Some(certificate) = self.later.take_if(|later| later.slot <= book.end()) {
            self.believe(certificate, fx);
        }
        let (Some(book), Some((slot, agreed))) = (&mut self.book, self.agreed) else { return };
        if !reached(book, slot) {
            return;
        }
        match book.chain(slot) {
            Some(chain) if chain == agreed => book.vouch(slot),
            Some(answered) => self.shun(Fault::Outvoted { answered, agreed }, fx),
            None => {}
        }
    }

    fn hand_out(&mut self, fx: &mut Effects<'_, Self>) {
        let Some(book) = &mut self.book else { return };
        if let Some(deliver) = book.take(self.wanted, self.credit) {
            fx.output(deliver);
        }
        let base = book.base();
        if let Some(certificate) = self.certificate.take_if(|certificate| certificate.slot <= base)
        {
            self.proven = certificate.slot;
            fx.output(Output::Certified { certificate });
        }
    }

    /// R4: tells the member of more credit, and of what takes no room here any more.
    fn try_pull(&mut self, fx: &mut Effects<'_, Self>) {
        let (Some(book), Some(reading)) = (&self.book, &mut self.reading) else { return };
        let (ticket, taken, up_to) = (self.tickets, book.base(), self.credit);
        let much = taken > reading.taken && reading.under_way >= UNDER_WAY_BYTES / 2;
        if reading.begun && (up_to > reading.credit || much) {
            (reading.credit, reading.taken) = (up_to, taken);
            reading.under_way = book.weight();
            fx.send(reading.from, Message::Pull { ticket, taken, up_to });
        }
    }

    /// R5: asks all for their chain at the end of what came, or at the next slot to come.
    fn try_confirm(&mut self, fx: &mut Effects<'_, Self>) {
        let Some(book) = &self.book else { return };
        let all = book.end() == book.vouched();
        let slot = if all { book.end().next() } else { book.end() };
        // What was asked behind `slot` was for entries of a member that was left. Perhaps nobody has them.
        let under_way = self.asked.is_some_and(|asked| book.vouched() < asked && asked <= slot);
        let ahead = self.agreed.is_some_and(|(slot, _)| slot > book.end());
        if under_way || ahead || self.reading.is_none() || (all && self.credit <= book.end()) {
            return;
        }
        (self.asked, self.tips) = (Some(slot), Tally::default());
        fx.broadcast(Message::Confirm { slot });
    }

    /// R5: has what was delivered signed.
    fn sign(&mut self, fx: &mut Effects<'_, Self>) {
        let Some(book) = &self.book else { return };
        let slot = book.base();
        if let Some(chain) = book.chain(slot).filter(|_| slot > Slot::FIRST) {
            self.signing = Some((slot, chain));
            self.shares.clear();
            fx.broadcast(Message::Sign { slot });
        }
    }

    /// Says again what may be forgotten, and leaves a member that does not send what others have.
    fn on_retry(&mut self, fx: &mut Effects<'_, Self>) {
        self.armed = false;
        let (stuck, believed) = (self.is_stuck(fx.seat()), self.believed());
        let Some(reading) = &mut self.reading else { return };
        let moved = std::mem::replace(&mut reading.moved, false);
        if !moved && stuck {
            if !reading.begun && !reading.busy {
                let peer = Peer::Foreign(fx.seat().group.id, reading.from);
                fx.accuse(peer, Fault::Silent);
            } else {
                self.left.insert(reading.from, believed);
            }
            return self.rotate(fx);
        }
        if let Some(slot) = self.asked {
            fx.broadcast(Message::Confirm { slot });
        }
        if let Some((slot, _)) = self.signing {
            fx.broadcast(Message::Sign { slot });
        }
    }

    fn set_alarm(&mut self, fx: &mut Effects<'_, Self>) {
        if self.reading.is_some() && self.wants() && !std::mem::replace(&mut self.armed, true) {
            fx.arm(Timer::Retry, self.spec.retry);
        }
    }
}

/// What a host shows; nobody may steer by it.
impl Reader {
    /// How many bytes of entries wait here.
    pub fn pending(&self) -> u64 {
        self.book.as_ref().map_or(0, Book::weight)
    }

    /// The member that entries come from.
    pub fn source(&self) -> Option<PartyId> {
        self.reading.as_ref().map(|reading| reading.from)
    }
}
