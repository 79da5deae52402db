//! What a reader hears from members.

use super::{Book, Certificate, Message, PENDING_BYTES_MAX, Reader, Reading, genesis};
use crate::{
    crypto::{Digest, Share},
    effects::Effects,
    fault::Fault,
    id::{PartyId, Peer, Slot},
    stream::open::{Entry, marks::combine},
    tally::Vote,
};

impl Reader {
    pub(super) fn on_message(
        &mut self,
        from: PartyId,
        message: Message,
        fx: &mut Effects<'_, Self>,
    ) {
        // One that said that it is busy, or that was left, is not asked for anything.
        let own = |reading: &Reading| reading.from == from && !reading.busy;
        let own = self.reading.as_ref().is_some_and(own);
        match message {
            Message::Tip { slot, chain } => self.on_tip(from, slot, chain, fx),
            Message::Mark { slot, chain, share } => self.on_mark(from, slot, chain, share, fx),
            Message::Certified { certificate } if own || self.signing.is_some() => {
                self.on_certificate(from, certificate, fx);
            }
            Message::Begin { ticket, slot, certificate } if own && ticket == self.tickets => {
                self.on_begin(slot, certificate, fx);
            }
            Message::Entries { ticket, from: first, entries, to }
                if own && ticket == self.tickets =>
            {
                self.on_entries(first, entries, to, fx);
            }
            Message::Gone { ticket, certificate } if own && ticket == self.tickets => {
                self.on_gone(from, certificate, fx);
            }
            Message::Busy if own => {
                self.reading.iter_mut().for_each(|reading| reading.busy = true);
            }
            // Of an earlier reading, or nothing that `admit` lets in.
            _ => {}
        }
    }

    fn accuse(from: PartyId, fault: Fault, fx: &mut Effects<'_, Self>) {
        fx.accuse(Peer::Foreign(fx.seat().group.id, from), fault);
    }

    fn on_begin(
        &mut self,
        slot: Slot,
        certificate: Option<Certificate>,
        fx: &mut Effects<'_, Self>,
    ) {
        let start = match (&self.book, certificate) {
            (Some(book), None) if slot == book.end() => None,
            (None, None) if slot == Slot::FIRST => Some(genesis()),
            (None, Some(certificate)) if certificate.slot == slot && slot <= self.wanted => {
                if !holds(&certificate, fx) {
                    return self.shun(bad_certificate(), fx);
                }
                Some(certificate.chain)
            }
            _ => return self.shun(Fault::Improper("begins where it was not asked to".into()), fx),
        };
        if let Some(chain) = start {
            self.book = Some(Book::at(slot, chain));
            // Some lacked a certificate to begin at, and may have all that comes behind this one.
            self.gone.clear();
        }
        if let Some(reading) = &mut self.reading {
            (reading.begun, reading.moved) = (true, true);
        }
    }

    fn on_entries(
        &mut self,
        first: Slot,
        entries: Vec<Entry>,
        to: Slot,
        fx: &mut Effects<'_, Self>,
    ) {
        let (Some(book), Some(reading)) = (&mut self.book, &mut self.reading) else { return };
        let weight: u64 = entries.iter().map(Entry::weight).sum();
        if reading.begun && first > book.end() {
            // What lies between may be lost on the way, which is nobody's fault.
            return self.rotate(fx);
        }
        if !reading.begun || first != book.end() || to > reading.credit {
            return self.shun(Fault::Improper("entries that were not asked for".into()), fx);
        }
        if book.weight() + weight > PENDING_BYTES_MAX {
            return self.shun(Fault::Flooded("entries above what was granted".into()), fx);
        }
        book.push(entries, to);
        reading.under_way += weight;
        reading.moved = true;
    }

    fn on_certificate(
        &mut self,
        from: PartyId,
        certificate: Certificate,
        fx: &mut Effects<'_, Self>,
    ) {
        if !holds(&certificate, fx) {
            let own = self.reading.as_ref().is_some_and(|reading| reading.from == from);
            return if own {
                self.shun(bad_certificate(), fx);
            } else {
                Self::accuse(from, bad_certificate(), fx);
            };
        }
        if self.book.as_ref().is_some_and(|book| certificate.slot > book.end()) {
            self.later = Some(certificate);
        } else {
            self.believe(certificate, fx);
        }
    }

    /// A certificate that holds, of what came.
    pub(super) fn believe(&mut self, certificate: Certificate, fx: &mut Effects<'_, Self>) {
        let Some(book) = &mut self.book else { return };
        let agreed = certificate.chain;
        match book.chain(certificate.slot) {
            Some(answered) if answered != agreed => {
                return self.shun(Fault::Outvoted { answered, agreed }, fx);
            }
            Some(_) => book.vouch(certificate.slot),
            // What is handed on was believed: two sets of `f + 1` do not differ.
            None => {}
        }
        self.signing.take_if(|(slot, _)| *slot <= certificate.slot);
        if certificate.slot > self.proven {
            self.certificate = Some(certificate);
        }
    }

    fn on_tip(
        &mut self,
        from: PartyId,
        slot: Slot,
        chain: Option<Digest>,
        fx: &mut Effects<'_, Self>,
    ) {
        if self.asked != Some(slot) {
            if let (Some((at, agreed)), Some(answered)) = (self.agreed, chain)
                && at == slot
                && answered != agreed
            {
                Self::accuse(from, Fault::Outvoted { answered, agreed }, fx);
            }
            return;
        }
        let needed = fx.seat().thresholds().one_correct();
        match (self.tips.vote(from, chain), chain) {
            (Vote::Fresh { count }, Some(agreed)) if count >= needed => {
                let others = self.tips.iter().filter_map(|(party, said)| Some((party, (*said)?)));
                for (liar, answered) in others.filter(|(_, said)| *said != agreed) {
                    Self::accuse(liar, Fault::Outvoted { answered, agreed }, fx);
                }
                (self.agreed, self.asked) = (Some((slot, agreed)), None);
            }
            (Vote::Conflicting { first: Some(first) }, Some(second)) => {
                Self::accuse(from, Fault::Equivocated { first, second }, fx);
            }
            _ => {}
        }
    }

    fn on_mark(
        &mut self,
        from: PartyId,
        at: Slot,
        chain: Digest,
        share: Share,
        fx: &mut Effects<'_, Self>,
    ) {
        let Some((slot, agreed)) = self.signing.filter(|(slot, _)| *slot == at) else { return };
        if chain != agreed {
            return Self::accuse(from, Fault::Outvoted { answered: chain, agreed }, fx);
        }
        self.shares.insert(from, share);
        let shares: Vec<_> =
            self.shares.iter().map(|(party, said)| (*party, said.clone())).collect();
        let (certificate, liars) = combine(slot, agreed, &shares, fx.seat());
        for liar in liars {
            self.shares.remove(&liar);
            let what = "share of a slot certificate".into();
            Self::accuse(liar, Fault::BadProof { what }, fx);
        }
        if let Some(certificate) = certificate {
            self.signing = None;
            self.certificate = Some(certificate);
        }
    }

    /// The member has only later entries.
    fn on_gone(&mut self, from: PartyId, certificate: Certificate, fx: &mut Effects<'_, Self>) {
        let wanted = self.book.as_ref().map_or(self.wanted, Book::end);
        if certificate.slot <= wanted {
            return self.shun(Fault::Improper("lacks what it says that it has".into()), fx);
        }
        if !holds(&certificate, fx) {
            return self.shun(bad_certificate(), fx);
        }
        self.gone.insert(from, certificate);
        self.rotate(fx);
    }
}

fn holds(certificate: &Certificate, fx: &Effects<'_, Reader>) -> bool {
    certificate.check(&fx.seat().id, &*fx.seat().keys.service).is_ok()
}

fn bad_certificate() -> Fault {
    Fault::BadProof { what: "certificate of a slot".into() }
}
