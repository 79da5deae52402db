//! What a resource manager can manage: the resources of the demo, and the trait for others.

mod account;
mod register;

use std::collections::BTreeMap;

pub use account::Account;
use maftia_core::protocol::Data;
pub use register::Register;
use serde::{Deserialize, Serialize};

use crate::{
    lock::Mode,
    refusal::Refusal,
    transaction::{Key, TxId},
};

/// What one transaction would change: the new value of each key, `None` for none.
pub type Changes<V> = BTreeMap<Key, Option<V>>;

/// Something that transactions work on: values by key, one lock each.
///
/// The code of a resource is plain: it works on a copy of one value, which nobody else sees before
/// the transaction commits. If it panics, the copy is thrown away, and the client is told so by every
/// replica alike. It must be deterministic: no clock, no randomness, no hash maps.
pub trait Resource: Data {
    /// What clients can do.
    type Operation: Data;
    /// What they are answered.
    type Answer: Data;
    /// What is stored under a key.
    type Value: Data;

    /// How an operation uses its key.
    fn mode(operation: &Self::Operation) -> Mode;

    /// Does it to the value of its key, which may have none and may get one.
    fn perform(
        &self,
        key: &Key,
        operation: Self::Operation,
        value: &mut Option<Self::Value>,
    ) -> Result<Self::Answer, Refusal>;

    /// The last word before the promise to commit; for persistent resources, where the changes are
    /// made durable. An error aborts the transaction.
    fn prepare(&mut self, _tx: TxId, _changes: &Changes<Self::Value>) -> Result<(), String> {
        Ok(())
    }

    /// Follows [`prepare`](Self::prepare) once, when the outcome is known; for persistent resources.
    fn outcome(&mut self, _tx: TxId, _committed: bool) {}
}

/// What clients can do with the resources of the demo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Reads the value.
    Read,
    /// Sets the value, which may be new.
    Write(String),
    /// Takes this much from an account.
    Withdraw(i64),
    /// Adds this much to an account.
    Deposit(i64),
}

/// What they are answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The value before, if there was one.
    pub before: Option<String>,
    /// The value now, as this transaction sees it.
    pub value: String,
}

impl Operation {
    /// How it uses its key.
    const fn mode(&self) -> Mode {
        match self {
            Self::Read => Mode::Shared,
            Self::Write(_) | Self::Withdraw(_) | Self::Deposit(_) => Mode::Exclusive,
        }
    }
}
