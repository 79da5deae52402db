//! Lockstep with the lock manager: the steps of one batch of items, and the script that goes with
//! them. Steps are decided from the roll alone; what they do depends on the lock manager's answers.

use maftia_core::{
    id::{ClientId, GroupId},
    replica::{Number, service::Action},
    wire::encode,
};
use serde::{Deserialize, Serialize};

use super::roll::Pending;
use crate::{
    lock::{Command, Ticket},
    request::ResourceStatus,
    statement::{Statement, Up},
    transaction::{AbortReason, TxId},
};

/// One step of a turn. All but [`Step::Act`] go with one command of the script.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Step<O> {
    /// Says what was decided without locks.
    Act(Action),
    /// Does an operation as soon as its lock is granted.
    Perform(Ticket, Pending<O>),
    /// Votes, if the locks could be sealed.
    Prepare(TxId),
    /// Votes for a transaction that only read.
    Leave(TxId),
    /// Lets a transaction take effect.
    Commit(TxId),
    /// Undoes a transaction.
    Abort(TxId, AbortReason),
    /// Shows the locks; or the counters, of which the roll has given its part.
    Survey { client: ClientId, number: Number, status: Option<ResourceStatus> },
}

/// The steps of one batch, and the commands for the lock manager.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Turn<O> {
    pub(super) steps: Vec<Step<O>>,
    pub(super) script: Vec<Command>,
}

impl<O> Turn<O> {
    pub(super) const fn new() -> Self {
        Self { steps: Vec::new(), script: Vec::new() }
    }

    pub(super) fn locked(&mut self, step: Step<O>, command: Command) {
        self.steps.push(step);
        self.script.push(command);
    }

    pub(super) fn act(&mut self, action: Action) {
        self.steps.push(Step::Act(action));
    }
}

/// To the manager of the transaction.
pub(super) fn tell(tx: TxId, up: Up) -> Action {
    let to: GroupId = tx.manager();
    Action::Tell { to, body: encode(&Statement::Up(tx, up)) }
}
