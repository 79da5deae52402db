//! The second half of a turn: steps with the lock manager's answers.

use maftia_core::replica::service::Action;

use super::{ResourceManager, Step, refuse, reply, roll::Pending, tell};
use crate::{
    limits,
    lock::{Answer, Effect, Survey, Ticket, Verdict},
    refusal::{Code, Refusal},
    request::{ResourceReply, ResourceStatus},
    resources::Resource,
    statement::{Up, Vote},
    transaction::{AbortReason, Outcome, TxId, Wound},
};

impl<R: Resource> ResourceManager<R> {
    /// Takes the steps of the turn, each with its answer.
    pub(super) fn take_steps(
        &mut self,
        mut answers: impl Iterator<Item = Answer>,
        actions: &mut Vec<Action>,
    ) {
        for step in std::mem::take(&mut self.turn.steps) {
            if let Step::Act(action) = step {
                actions.push(action);
                continue;
            }
            match (step, answers.next().expect("the lock manager answers every command")) {
                (Step::Survey { client, number, status }, Answer::Survey(survey)) => {
                    let shown = match status {
                        Some(status) => ResourceReply::Status(self.status(status, &survey)),
                        None => ResourceReply::Locks(survey),
                    };
                    actions.push(reply::<R>(client, number, &shown));
                }
                (step, Answer::Effect(effect)) => self.take_step(step, effect, actions),
                (step, answer) => unreachable!("{answer:?} does not answer {step:?}"),
            }
        }
    }

    fn take_step(&mut self, step: Step<R::Operation>, effect: Effect, actions: &mut Vec<Action>) {
        let Effect { verdict, wounded, granted } = effect;
        for (victim, wound) in wounded {
            self.on_wound(victim, wound, actions);
        }
        match step {
            Step::Perform(ticket, pending) => self.judge(ticket, pending, verdict, actions),
            Step::Prepare(tx) => self.vote(tx, verdict, Vote::Yes, actions),
            Step::Leave(tx) => self.leave(tx, verdict, actions),
            Step::Commit(tx) => {
                self.workspace.commit(tx);
                self.counters.committed += 1;
                actions.push(tell(tx, Up::Committed));
            }
            Step::Abort(tx, reason) => {
                self.give_up(tx, reason, actions);
                self.doomed.remove(&tx);
            }
            Step::Act(_) | Step::Survey { .. } => {}
        }
        for ticket in granted {
            if let Some(pending) = self.waiting.remove(&ticket) {
                self.perform(pending, actions);
            }
        }
    }

    fn judge(
        &mut self,
        ticket: Ticket,
        pending: Pending<R::Operation>,
        verdict: Verdict,
        actions: &mut Vec<Action>,
    ) {
        let refusal = match (verdict, pending.tx) {
            (Verdict::Granted, _) => return self.perform(pending, actions),
            (Verdict::Queued(_), _) => {
                self.waiting.insert(ticket, pending);
                return;
            }
            (Verdict::Refused(exceeded), _) => {
                Refusal::new(Code::LockLimit, format!("{}: {exceeded}", pending.key))
            }
            (Verdict::Doomed | Verdict::Waiting(_), Some(tx)) => match self.doomed.get(&tx) {
                Some(reason) => Refusal::ended(tx, &Outcome::Aborted(reason.clone())),
                None => Refusal::committing(tx),
            },
            (verdict, None) => unreachable!("{verdict:?} is no verdict on a reader outside"),
        };
        actions.push(refuse::<R>(pending.client, pending.number, refusal));
    }

    fn perform(&mut self, pending: Pending<R::Operation>, actions: &mut Vec<Action>) {
        let Pending { client, number, tx, key, mode, operation } = pending;
        self.counters.operations += 1;
        let shown = match self.workspace.perform(tx, &key, mode, operation) {
            Ok(answer) => ResourceReply::Done(answer),
            Err(refusal) => ResourceReply::Refused(refusal),
        };
        actions.push(reply::<R>(client, number, &shown));
    }

    fn vote(&mut self, tx: TxId, verdict: Verdict, yes: Vote, actions: &mut Vec<Action>) {
        if self.doomed.contains_key(&tx) {
            return; // Its manager was told so when that happened.
        }
        let able = match verdict {
            Verdict::Waiting(count) => {
                Err(format!("{count} of its operations still wait for locks"))
            }
            _ => self.workspace.prepare(tx),
        };
        let vote = match able {
            Ok(()) => yes,
            Err(mut text) => {
                text.truncate(text.floor_char_boundary(limits::TEXT_MAX));
                let reason = AbortReason::Refused { group: self.group, text: text.clone() };
                self.give_up(tx, reason, actions);
                Vote::No(text)
            }
        };
        actions.push(tell(tx, Up::Vote(vote)));
    }

    /// A transaction that only read has no second phase.
    fn leave(&mut self, tx: TxId, verdict: Verdict, actions: &mut Vec<Action>) {
        self.vote(tx, verdict, Vote::ReadOnly, actions);
        if self.doomed.remove(&tx).is_none() {
            self.workspace.commit(tx);
            self.counters.committed += 1;
        }
    }

    /// An older transaction took the locks of this one: it is aborted here, and then everywhere.
    fn on_wound(&mut self, tx: TxId, wound: Wound, actions: &mut Vec<Action>) {
        self.counters.wounded += 1;
        let reason = AbortReason::Wounded { group: self.group, wound };
        if self.give_up(tx, reason.clone(), actions) {
            actions.push(tell(tx, Up::AbortRequest(reason)));
        }
    }

    /// Throws away what the transaction did, and tells whoever waits in it; once.
    fn give_up(&mut self, tx: TxId, reason: AbortReason, actions: &mut Vec<Action>) -> bool {
        if self.doomed.contains_key(&tx) {
            return false;
        }
        self.workspace.abort(tx);
        self.counters.aborted += 1;
        let own = self.waiting.iter().filter(|(_, pending)| pending.tx == Some(tx));
        let own: Vec<Ticket> = own.map(|(ticket, _)| *ticket).collect();
        let refusal = Refusal::ended(tx, &Outcome::Aborted(reason.clone()));
        for ticket in own {
            let pending = self.waiting.remove(&ticket).expect("it was found above");
            actions.push(refuse::<R>(pending.client, pending.number, refusal.clone()));
        }
        self.doomed.insert(tx, reason);
        true
    }

    fn status(&self, roll: ResourceStatus, survey: &Survey) -> ResourceStatus {
        ResourceStatus {
            keys: self.workspace.committed().len(),
            locks: survey.held,
            waiting: survey.waiting,
            operations: self.counters.operations,
            committed: self.counters.committed,
            aborted: self.counters.aborted,
            wounded: self.counters.wounded,
            ..roll
        }
    }
}
