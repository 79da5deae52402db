//! S1 to S5: from payloads to ciphertexts, and from what was ordered back to payloads.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    Ask, Author, Engine, Output, Secure,
    line::Sealed,
    message::{Envelope, Message, Released, label},
    own::{FLIGHTS_MAX, Next, name},
};
#[cfg(any(test, feature = "sim"))]
use crate::stream::contents::Content;
use crate::{
    crypto::{Answer, Blame, Ciphertext, Digest, Job, Labelled, Share},
    effects::Effects,
    fault::Fault,
    id::{PartyId, Slot},
    seat::Seat,
    stream::{atomic, batch::Batch},
    wire,
};

/// How many slots may wait for this party's own share, and how many are opened side by side. Ciphertexts
/// of so many slots take 32 MiB at the most, half of what a user may lag.
const WINDOW: u64 = 32;

/// The most ciphertexts of one job: beyond it hardly anything is saved, and a thread of the pool is taken
/// for too long.
const JOB_MAX: usize = 16;

/// How many jobs that open ciphertexts are under way at a time. What can be opened meanwhile goes
/// together, so that they grow with the load.
const OPENING_MAX: usize = 2;

/// The most ciphertexts of one batch of the engine that are looked at. Each costs pairings, so a liar
/// must not have thousands of them judged; a correct party never has more in flight.
const LOOKED_AT_MAX: usize = FLIGHTS_MAX;

/// What a job is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Task {
    /// Encrypting own payloads.
    Seal,
    /// The own shares of what was ordered in these slots under these names.
    Share(Vec<(Slot, Digest)>),
    /// Opening what is in these slots.
    Combine(Vec<Slot>),
}

impl<A: Engine> Secure<A> {
    fn work(&mut self, task: Task, job: Job, fx: &mut Effects<'_, Self>) {
        self.jobs += 1;
        self.tasks.insert(self.jobs, task);
        fx.ask(Ask::Work(self.jobs, job));
    }

    /// S1, S2: what waits is encrypted, and given to the engine.
    pub(super) fn send_own(&mut self, fx: &mut Effects<'_, Self>) {
        while let Some(next) = self.own.next() {
            match next {
                Next::Order(envelope) => self.order(envelope, fx),
                Next::Seal { number, plaintext } => {
                    let (seat, tag) = (fx.seat(), fx.seat().tag("seal"));
                    let label = label(&seat.id, Author::Member(seat.me()));
                    self.work(Task::Seal, Job::Seal { tag, number, label, plaintext }, fx);
                }
            }
        }
    }

    fn order(&mut self, envelope: Bytes, fx: &mut Effects<'_, Self>) {
        self.engine(atomic::Input::Submit { batch: Batch::of([envelope]) }, fx);
    }

    /// The pool has done a job.
    pub(super) fn on_done(&mut self, number: u64, answer: Answer, fx: &mut Effects<'_, Self>) {
        let Some(task) = self.tasks.remove(&number) else { return };
        match (task, answer) {
            (Task::Seal, Answer::Sealed(ciphertext)) => self.on_sealed(ciphertext, fx),
            (Task::Share(slots), Answer::Opening(shares)) => {
                self.on_own_shares(slots.into_iter().zip(shares), fx);
            }
            (Task::Combine(slots), Answer::Opened(results)) => {
                for (slot, result) in slots.into_iter().zip(results) {
                    self.on_opened(slot, result, fx);
                }
            }
            (task, answer) => unreachable!("{answer:?} is no answer to {task:?}"),
        }
    }

    fn on_sealed(&mut self, ciphertext: Ciphertext, fx: &mut Effects<'_, Self>) {
        let author = Author::Member(fx.seat().me());
        if let Some(envelope) = self.own.sealed(&Envelope { author, ciphertext }) {
            self.order(envelope, fx);
        }
    }

    /// S3: what the engine has ordered.
    pub(super) fn on_engine(&mut self, output: atomic::Output, fx: &mut Effects<'_, Self>) {
        match output {
            atomic::Output::Deliver { first, from, batch } => {
                self.on_ordered(first, from, &batch, fx);
            }
            atomic::Output::RoundEnd { position } => self.line.end(position),
            atomic::Output::Refused { payloads } => {
                let payloads = self.own.refused(payloads);
                fx.output(Output::Refused { payloads });
            }
            atomic::Output::Ordered { own } => {
                if let Some(own) = self.own.settle(own) {
                    fx.output(Output::Ordered { own });
                }
            }
            atomic::Output::Unsure { batch } => {
                let batch = self.own.inside(&batch);
                if !batch.is_empty() {
                    fx.output(Output::Unsure { batch });
                }
            }
            atomic::Output::Behind => fx.output(Output::Behind),
            atomic::Output::Lagged { to, .. } => self.line.gap(to),
        }
    }

    fn on_ordered(
        &mut self,
        first: Slot,
        from: PartyId,
        batch: &Batch,
        fx: &mut Effects<'_, Self>,
    ) {
        let mut found = Vec::new();
        for (place, bytes) in batch.iter().enumerate().take(LOOKED_AT_MAX) {
            let slot = first.plus(place as u64);
            match read(from, &bytes) {
                Some(sealed) => found.push(self.on_ciphertext(slot, sealed, fx)),
                None => self.line.invalid(slot, from, 1),
            }
        }
        let more = batch.len().saturating_sub(LOOKED_AT_MAX) as u64;
        if more > 0 {
            self.line.invalid(first.plus(LOOKED_AT_MAX as u64), from, more);
        }
        for some in found.chunks(JOB_MAX) {
            let (slots, sealed) = some.iter().cloned().unzip();
            self.work(Task::Share(slots), Job::OpenShares { sealed }, fx);
        }
    }

    /// Notes it. What to do its share for.
    fn on_ciphertext(
        &mut self,
        slot: Slot,
        sealed: Sealed,
        fx: &mut Effects<'_, Self>,
    ) -> ((Slot, Digest), Labelled) {
        let (name, labelled) = (sealed.name, labelled(fx.seat(), &sealed));
        for liar in self.line.order(slot, sealed) {
            Self::of_another(liar, fx);
        }
        ((slot, name), labelled)
    }

    /// S4: the shares are made, which says that their ciphertexts are valid. They are released even if
    /// the own user lags and will never see the slots: others need them.
    fn on_own_shares(
        &mut self,
        shares: impl Iterator<Item = ((Slot, Digest), Option<Share>)>,
        fx: &mut Effects<'_, Self>,
    ) {
        let mut released = Vec::new();
        for ((slot, name), share) in shares {
            let Some(share) = share else {
                self.line.opened(slot, None);
                continue;
            };
            if let Some(sealed) = self.line.sealed(slot) {
                sealed.valid = true;
            }
            self.kept.keep(slot, name, share.clone(), self.spec.shares_kept);
            released.push(Released { slot, name, share });
        }
        if !released.is_empty() {
            fx.broadcast(Message::Shares(released));
        }
    }

    /// S5: what has enough shares is opened, the first slots first.
    pub(super) fn combine(&mut self, fx: &mut Effects<'_, Self>) {
        let needed = fx.seat().keys.cipher.needed();
        let under_way =
            || self.tasks.values().filter(|task| matches!(task, Task::Combine(_))).count();
        let room = OPENING_MAX.saturating_sub(under_way());
        let mut found = Vec::new();
        for (slot, open) in self.line.wanted().take(WINDOW as usize) {
            let ready = open.valid && !open.combining && open.shares.len() >= needed;
            if ready && found.len() < room * JOB_MAX {
                open.combining = true;
                let first = open.shares.iter().take(needed);
                let shares: Vec<_> = first.map(|(party, share)| (*party, share.clone())).collect();
                found.push((slot, (labelled(fx.seat(), open), shares)));
            }
        }
        for some in found.chunks(JOB_MAX) {
            let (slots, sealed) = some.iter().cloned().unzip();
            self.work(Task::Combine(slots), Job::OpenCombine { sealed }, fx);
        }
    }

    fn on_opened(&mut self, slot: Slot, result: Result<Bytes, Blame>, fx: &mut Effects<'_, Self>) {
        let Some(sealed) = self.line.sealed(slot) else { return };
        let culprits = match result {
            Ok(plaintext) => return self.line.opened(slot, payloads(&plaintext)),
            Err(Blame::Culprits(culprits)) => culprits,
            Err(Blame::TooFew { .. }) => {
                unreachable!("a valid ciphertext and as many shares as are needed")
            }
        };
        sealed.combining = false;
        for party in culprits {
            sealed.shares.remove(&party);
            if sealed.blamed.insert(party) {
                fx.accuse(party, Fault::BadProof { what: "share of a ciphertext".into() });
            }
        }
    }

    /// Asks for shares of the slot that is to be opened next, if some were lost.
    pub(super) fn recall(&mut self, fx: &mut Effects<'_, Self>) {
        let head = self.line.head();
        self.lost.at(head);
        let needed = fx.seat().keys.cipher.needed();
        let Some((slot, sealed)) = self.line.wanted().next() else { return };
        if slot != head || !sealed.valid || sealed.shares.len() >= needed {
            return;
        }
        let here = |party| sealed.shares.contains_key(&party) || sealed.blamed.contains(&party);
        for party in self.lost.ask(here) {
            fx.send(party, Message::Recall { from: head, lossy: false });
        }
    }

    /// Lets the engine deliver as far as this party keeps up with its own shares.
    pub(super) fn pull(&mut self, fx: &mut Effects<'_, Self>) {
        let share = |task: &Task| match task {
            Task::Share(slots) => slots.first().map(|(slot, _)| *slot),
            _ => None,
        };
        let behind = self.tasks.values().filter_map(share).min();
        let up_to = behind.unwrap_or(self.line.next()).plus(WINDOW);
        if up_to >= self.pulled.plus(WINDOW / 2) {
            self.pulled = up_to;
            self.engine(atomic::Input::Pull { up_to }, fx);
        }
    }
}

/// The ciphertext, and what it was made for.
fn labelled(seat: &Seat, sealed: &Sealed) -> Labelled {
    let label = label(&seat.id, sealed.author);
    Labelled { label, ciphertext: sealed.ciphertext.clone() }
}

/// What a member had ordered, if it may be in the name that it bears.
fn read(from: PartyId, bytes: &Bytes) -> Option<Sealed> {
    let Envelope { author, ciphertext } = wire::decode(bytes).ok()?;
    let own = match author {
        Author::Member(author) => author == from,
        Author::Client(_) => true,
    };
    own.then(|| Sealed {
        from,
        author,
        name: name(bytes),
        ciphertext,
        shares: BTreeMap::new(),
        blamed: BTreeSet::new(),
        valid: false,
        combining: false,
    })
}

#[cfg(any(test, feature = "sim"))]
impl Content for Envelope {
    const NAME: &'static str = "envelope of a ciphertext";

    fn judge(&self, seat: &Seat) -> bool {
        read(seat.me(), &wire::encode(self)).is_some_and(|sealed| {
            let Labelled { label, ciphertext } = labelled(seat, &sealed);
            seat.keys.cipher.check(&label, &ciphertext)
        })
    }
}

/// The payloads in a plaintext, which its author chose.
fn payloads(plaintext: &[u8]) -> Option<Batch> {
    let batch: Batch = wire::decode(plaintext).ok()?;
    (batch.check().is_ok() && !batch.is_empty()).then_some(batch)
}
