//! A transfer, as a client composes it of two operations.

use maftia_core::id::GroupId;

use super::{Call, operate};
use crate::{
    refusal::Refusal,
    resources::{Answer, Operation},
    transaction::{Key, TxId},
};

/// A transfer between two keys, of one group or two: a withdrawal, then a deposit, in one
/// transaction. Ask for [`call`](Self::call), carry it, give the answer to [`heard`](Self::heard),
/// until there is no call left.
#[derive(Clone, Debug)]
pub struct Transfer {
    tx: TxId,
    from: (GroupId, Key),
    to: (GroupId, Key),
    amount: i64,
    state: State,
}

/// What a transfer has come to.
#[derive(Clone, Debug)]
enum State {
    Withdrawing,
    Depositing(Answer),
    /// The deposit was refused; the source gets back what it gave.
    Returning(Refusal),
    Over(Result<Transferred, Refusal>),
}

/// What a transfer did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transferred {
    /// At the source.
    pub withdrawn: Answer,
    /// At the destination.
    pub deposited: Answer,
}

impl Transfer {
    /// A transfer of `amount`, which is checked by the groups too.
    pub const fn new(tx: TxId, from: (GroupId, Key), to: (GroupId, Key), amount: i64) -> Self {
        Self { tx, from, to, amount, state: State::Withdrawing }
    }

    /// What to ask next, if it is not over.
    pub fn call(&self) -> Option<Call<Answer>> {
        let ((group, key), operation) = match self.state {
            State::Withdrawing => (&self.from, Operation::Withdraw(self.amount)),
            State::Depositing(_) => (&self.to, Operation::Deposit(self.amount)),
            State::Returning(_) => (&self.from, Operation::Deposit(self.amount)),
            State::Over(_) => return None,
        };
        Some(operate(*group, Some(self.tx), key.clone(), operation))
    }

    /// What came of the last call.
    pub fn heard(&mut self, result: Result<Answer, Refusal>) {
        let state = std::mem::replace(&mut self.state, State::Withdrawing);
        self.state = match (state, result) {
            (State::Withdrawing, Ok(withdrawn)) => State::Depositing(withdrawn),
            (State::Depositing(withdrawn), Ok(deposited)) => {
                State::Over(Ok(Transferred { withdrawn, deposited }))
            }
            (State::Depositing(_), Err(refusal)) => State::Returning(refusal),
            (State::Withdrawing, Err(refusal)) | (State::Returning(refusal), _) => {
                State::Over(Err(refusal))
            }
            (over @ State::Over(_), _) => over,
        };
    }

    /// How it went, when it is over. A refused one has left all as it was, unless the transaction
    /// itself was aborted.
    pub const fn result(&self) -> Option<&Result<Transferred, Refusal>> {
        match &self.state {
            State::Over(result) => Some(result),
            _ => None,
        }
    }
}
