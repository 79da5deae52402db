//! What the transaction manager does with the groups that take part: registration, the two phases,
//! and those in doubt.

use std::collections::BTreeSet;

use maftia_core::{
    id::{ClientId, GroupId},
    replica::service::Action,
};

use super::{Asker, Happening, TransactionManager, outdated, tell};
use crate::{
    limits,
    refusal::{Code, Refusal},
    request::{Ended, ManagerReply, Standing},
    statement::{Down, Up, Vote},
    ticks::ticks,
    transaction::{AbortReason, Outcome, Phase, TxId},
};

impl TransactionManager {
    pub(super) fn on_statement(
        &mut self,
        from: GroupId,
        id: TxId,
        up: Up,
        actions: &mut Vec<Action>,
    ) {
        match up {
            Up::Register(client) => {
                let down = match self.register(from, id, client, actions) {
                    Ok(down) => down,
                    Err(refusal) => Down::NotRegistered { client, refusal },
                };
                tell(from, id, down, actions);
            }
            Up::Vote(vote) => self.on_vote(from, id, vote, actions),
            Up::AbortRequest(reason) => {
                if self.takes_part(from, id) {
                    self.undo(id, reason, actions);
                }
            }
            Up::InDoubt => self.on_in_doubt(from, id, actions),
            Up::Committed => self.on_committed(from, id),
        }
    }

    fn takes_part(&self, group: GroupId, id: TxId) -> bool {
        self.ledger.open.get(&id).is_some_and(|tx| tx.groups.contains_key(&group))
    }

    /// A client works at a group. Only a member can bring a group in, so no stranger can change what
    /// the members agree to.
    fn register(
        &mut self,
        group: GroupId,
        id: TxId,
        client: ClientId,
        actions: &mut Vec<Action>,
    ) -> Result<Down, Refusal> {
        let Some(tx) = self.ledger.open.get_mut(&id) else { return Err(self.ledger.refusal(id)) };
        if !tx.is_member(client) {
            return Err(Refusal::not_a_member(id));
        }
        if tx.phase == Phase::Preparing {
            return Err(Refusal::committing(id));
        }
        if !tx.groups.contains_key(&group) {
            if tx.groups.len() >= limits::GROUPS_MAX {
                let message = format!("transaction {id} spans as many groups as it may");
                return Err(Refusal::new(Code::Busy, message));
            }
            tx.groups.insert(group, Standing::Registered);
            let votes = tx.changed();
            outdated(votes, &tx.view(id), actions);
        }
        Ok(Down::Registered { client, begun: tx.begun, lease_millis: tx.lease_millis })
    }

    fn on_vote(&mut self, from: GroupId, id: TxId, vote: Vote, actions: &mut Vec<Action>) {
        let Some(tx) = self.ledger.open.get_mut(&id) else { return };
        let Some(standing) = tx.groups.get_mut(&from) else { return };
        if *standing != Standing::Asked {
            return;
        }
        match vote {
            Vote::Yes => *standing = Standing::Yes,
            Vote::ReadOnly => *standing = Standing::ReadOnly,
            Vote::No(text) => {
                let reason = AbortReason::Refused { group: from, text };
                return self.undo(id, reason, actions);
            }
        }
        let can = |standing: &Standing| matches!(standing, Standing::Yes | Standing::ReadOnly);
        if tx.groups.values().all(can) {
            self.advance(id, Happening::AllCan, None, actions);
        }
    }

    /// A group has promised and heard nothing. What is not remembered was not committed.
    fn on_in_doubt(&mut self, from: GroupId, id: TxId, actions: &mut Vec<Action>) {
        if self.ledger.open.contains_key(&id) {
            return; // It will hear when the others have voted.
        }
        let down = match self.outcome(id) {
            Some(Outcome::Committed) => Down::Commit,
            Some(Outcome::Aborted(reason)) => Down::Abort(reason),
            None => Down::Abort(AbortReason::Presumed),
        };
        tell(from, id, down, actions);
    }

    fn on_committed(&mut self, from: GroupId, id: TxId) {
        if let Some(waiting) = self.ledger.closing.get_mut(&id) {
            waiting.remove(&from);
            if waiting.is_empty() {
                self.ledger.closing.remove(&id);
            }
        }
    }

    /// All clients have agreed: from here on nobody joins, and the groups have their time to vote.
    pub(super) fn prepare(&mut self, id: TxId, actions: &mut Vec<Action>) {
        let deadline = self.ledger.now + ticks(self.spec.patience, self.spec.tick);
        let Some(tx) = self.ledger.open.get_mut(&id) else { return };
        tx.phase = Phase::Preparing;
        tx.deadline = deadline;
        for (group, standing) in &mut tx.groups {
            *standing = Standing::Asked;
            tell(*group, id, Down::Prepare, actions);
        }
        if tx.groups.is_empty() {
            self.advance(id, Happening::AllCan, None, actions);
        }
    }

    /// Decides. Who changed something must acknowledge before this is forgotten.
    pub(super) fn commit(&mut self, id: TxId, actions: &mut Vec<Action>) {
        let Some(tx) = self.ledger.end(id, Outcome::Committed) else { return };
        self.committed += 1;
        let changed = tx.groups.iter().filter(|(_, standing)| **standing == Standing::Yes);
        let changed: BTreeSet<_> = changed.map(|(group, _)| *group).collect();
        for group in &changed {
            tell(*group, id, Down::Commit, actions);
        }
        if !changed.is_empty() {
            self.ledger.closing.insert(id, changed);
        }
        let reply = ManagerReply::Ended(Ended { tx: id, outcome: Outcome::Committed, fresh: true });
        tx.parked.into_iter().for_each(|parked| Asker::from(parked).hears(&reply, actions));
    }

    /// Gives up. Nobody need acknowledge: an abort is what is presumed anyway. The group that asked
    /// for it is told too: that is when it forgets the transaction.
    pub(super) fn close(&mut self, id: TxId, reason: AbortReason, actions: &mut Vec<Action>) {
        let outcome = Outcome::Aborted(reason.clone());
        let Some(tx) = self.ledger.end(id, outcome.clone()) else { return };
        self.aborted += 1;
        for (group, standing) in tx.groups {
            if standing != Standing::ReadOnly {
                tell(group, id, Down::Abort(reason.clone()), actions);
            }
        }
        let reply = ManagerReply::Ended(Ended { tx: id, outcome, fresh: true });
        tx.parked.into_iter().for_each(|parked| Asker::from(parked).hears(&reply, actions));
    }
}
