//! The member that entries come from, and when another takes its place.

use std::collections::BTreeSet;

use super::{Book, Certificate, Message, Output, Reader, Reading, member};
use crate::{
    effects::Effects,
    fault::Fault,
    id::{PartyId, Peer, Slot},
    seat::{Owner, Seat},
};

impl Reader {
    /// Begins with some member, readers with different ones.
    pub(super) fn try_begin(&mut self, fx: &mut Effects<'_, Self>) {
        if self.reading.is_none() && self.credit > Slot::FIRST {
            let start = match fx.seat().owner {
                Owner::Client(client) => u16::from(client.as_bytes()[0]),
                Owner::Party(_, party) => party.number(),
            };
            self.read(PartyId::new(start % fx.seat().thresholds().n()), fx);
        }
    }

    /// R3: asks a member for entries from where the believed ones end.
    pub(super) fn read(&mut self, from: PartyId, fx: &mut Effects<'_, Self>) {
        self.tickets += 1;
        self.book.iter_mut().for_each(Book::doubt);
        let credit = self.credit;
        let slot = self.book.as_ref().map_or(self.wanted, Book::end);
        let (begun, busy, moved) = (false, false, true);
        let (taken, under_way) = (slot, 0);
        self.reading = Some(Reading { from, begun, busy, moved, credit, taken, under_way });
        let (ticket, proven) = (self.tickets, self.book.is_none());
        fx.send(from, Message::Read { ticket, from: slot, proven, up_to: credit });
    }

    /// Asks the next member that may have what this one does not send. When there is none, which more than
    /// `f` wrong members take, or silent ones, all may be asked again after the next alarm.
    pub(super) fn rotate(&mut self, fx: &mut Effects<'_, Self>) {
        if self.try_skip(fx) {
            return;
        }
        let Some(reading) = &mut self.reading else { return };
        let n = fx.seat().thresholds().n();
        let mut others = (1..n).map(|step| PartyId::new((reading.from.number() + step) % n));
        let next =
            others.find(|other| !self.shunned.contains(other) && !self.gone.contains_key(other));
        if let Some(next) = next {
            return self.read(next, fx);
        }
        (reading.begun, reading.busy, reading.moved) = (false, true, false);
        self.tickets += 1;
        self.shunned.clear();
        self.gone.clear();
        self.left.clear();
        self.book.iter_mut().for_each(Book::doubt);
    }

    /// The member that entries come from is wrong: says so, and asks another.
    pub(super) fn shun(&mut self, fault: Fault, fx: &mut Effects<'_, Self>) {
        let Some(reading) = &self.reading else { return };
        let from = reading.from;
        fx.accuse(Peer::Foreign(fx.seat().group.id, from), fault);
        self.shunned.insert(from);
        self.rotate(fx);
    }

    /// Frames of a member are lost: what it sent is asked for again.
    pub(super) fn on_missed(&mut self, from: Peer, fx: &mut Effects<'_, Self>) {
        let source = self.source();
        if let Some(from) = member(fx.seat(), from).filter(|from| Some(*from) == source) {
            self.read(from, fx);
        }
    }

    /// Whether the member that entries come from may keep back what others have, or have sent what nobody
    /// will confirm.
    pub(super) fn is_stuck(&self, seat: &Seat) -> bool {
        let (Some(book), Some(reading)) = (&self.book, &self.reading) else { return true };
        let past = |slot: Slot| slot > book.end();
        let agreed = self.agreed.is_some_and(|(slot, _)| past(slot));
        let passed = self.tips.len() >= seat.thresholds().one_correct();
        let idle = reading.begun && !reading.busy && book.vouched() == book.end();
        !idle || agreed || (passed && self.asked.is_some_and(past))
    }

    /// When enough members do not have what comes next, the user lagged, and goes on where some have entries.
    /// That a member has begun to send does not make untrue what others said: else `f` liars that begin, and
    /// send what nobody else has, could hold a reader up for ever.
    fn try_skip(&mut self, fx: &mut Effects<'_, Self>) -> bool {
        let (thresholds, believed) = (fx.seat().thresholds(), self.believed());
        self.gone.retain(|_, certificate| certificate.slot > believed);
        self.left.retain(|_, at| *at == believed);
        let lack: BTreeSet<_> =
            self.gone.keys().chain(self.left.keys()).chain(&self.shunned).collect();
        let (some, gone) = (thresholds.one_correct(), self.gone.len());
        if lack.len() < thresholds.most_correct() || gone < some {
            return false;
        }
        let mut places: Vec<(Slot, PartyId)> =
            self.gone.iter().map(|(party, certificate)| (certificate.slot, *party)).collect();
        places.sort_unstable();
        let (_, source) = places[(some - 1).min(gone - some)];
        let Some(Certificate { slot, chain, .. }) = self.gone.remove(&source) else { return false };
        let from = self.next();
        // A member that began far below what is wanted may have made the reader need what none had to have.
        if slot > from {
            fx.output(Output::Lagged { from, to: slot });
        }
        self.book = Some(Book::at(slot, chain));
        self.wanted = self.wanted.max(slot);
        (self.asked, self.agreed, self.signing) = (None, None, None);
        (self.certificate, self.later) = (None, None);
        self.read(source, fx);
        true
    }
}
