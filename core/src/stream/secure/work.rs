//! S1 to S5: from payloads to ciphertexts, and from what was ordered back to payloads.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    Ask, Author, Engine, Output, Secure,
    line::Sealed,
    message::{Envelope, Message, label},
    own::{FLIGHTS_MAX, Next, name},
};
use crate::{
    crypto::{Answer, Blame, Ciphertext, Digest, Job, Share},
    effects::Effects,
    fault::Fault,
    id::{PartyId, Slot},
    stream::{atomic, batch::Batch},
    wire,
};

/// How many slots may wait for this party's own share, and how many are opened side by side. The jobs
/// of so many hold 16 MiB at the most.
const WINDOW: u64 = 16;

/// The most ciphertexts of one batch of the engine that are looked at. Each costs pairings, so a liar
/// must not have thousands of them judged; a correct party never has more in flight.
const LOOKED_AT_MAX: usize = FLIGHTS_MAX;

/// What a job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Task {
    /// Encrypting own payloads.
    Seal,
    /// The own share of what was ordered in this slot under this name.
    Share(Slot, Digest),
    /// Opening what is in this slot.
    Combine(Slot),
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
            (Task::Share(slot, name), Answer::Opening(share)) => {
                self.on_own_share(slot, name, share, fx);
            }
            (Task::Combine(slot), Answer::Opened(result)) => self.on_opened(slot, result, fx),
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
        for (place, bytes) in batch.iter().enumerate().take(LOOKED_AT_MAX) {
            let slot = first.plus(place as u64);
            match read(from, &bytes) {
                Some(sealed) => self.on_ciphertext(slot, sealed, fx),
                None => self.line.invalid(slot, from, 1),
            }
        }
        let more = batch.len().saturating_sub(LOOKED_AT_MAX) as u64;
        if more > 0 {
            self.line.invalid(first.plus(LOOKED_AT_MAX as u64), from, more);
        }
    }

    fn on_ciphertext(&mut self, slot: Slot, sealed: Sealed, fx: &mut Effects<'_, Self>) {
        let label = label(&fx.seat().id, sealed.author);
        let (name, ciphertext) = (sealed.name, sealed.ciphertext.clone());
        for liar in self.line.order(slot, sealed) {
            Self::of_another(liar, fx);
        }
        self.work(Task::Share(slot, name), Job::OpenShare { label, ciphertext }, fx);
    }

    /// S4: the share is made, which says that the ciphertext is valid. It is released even if the own
    /// user lags and will never see the slot: others need it.
    fn on_own_share(
        &mut self,
        slot: Slot,
        name: Digest,
        share: Option<Share>,
        fx: &mut Effects<'_, Self>,
    ) {
        let Some(share) = share else { return self.line.opened(slot, None) };
        if let Some(sealed) = self.line.sealed(slot) {
            sealed.valid = true;
        }
        self.kept.keep(slot, name, share.clone(), self.spec.shares_kept);
        fx.broadcast(Message::Share { slot, name, share });
    }

    /// S5: what has enough shares is opened, the first slots first.
    pub(super) fn combine(&mut self, fx: &mut Effects<'_, Self>) {
        let needed = fx.seat().keys.cipher.needed();
        let mut jobs = Vec::new();
        for (slot, sealed) in self.line.wanted().take(WINDOW as usize) {
            if sealed.valid && !sealed.combining && sealed.shares.len() >= needed {
                sealed.combining = true;
                let first = sealed.shares.iter().take(needed);
                let shares = first.map(|(party, share)| (*party, share.clone())).collect();
                let label = label(&fx.seat().id, sealed.author);
                let ciphertext = sealed.ciphertext.clone();
                jobs.push((slot, Job::OpenCombine { label, ciphertext, shares }));
            }
        }
        for (slot, job) in jobs {
            self.work(Task::Combine(slot), job, fx);
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
            Task::Share(slot, _) => Some(*slot),
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

/// The payloads in a plaintext, which its author chose.
fn payloads(plaintext: &[u8]) -> Option<Batch> {
    let batch: Batch = wire::decode(plaintext).ok()?;
    (batch.check().is_ok() && !batch.is_empty()).then_some(batch)
}
