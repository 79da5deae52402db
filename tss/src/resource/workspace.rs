//! What is committed, and what each open transaction would change.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use serde::{Deserialize, Serialize};

use crate::{
    limits,
    lock::Mode,
    refusal::{Code, Refusal},
    resources::{Changes, Resource},
    transaction::{Key, TxId},
};

/// The values of a resource. A transaction sees its own changes, nobody else's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) struct Workspace<R: Resource> {
    resource: R,
    committed: BTreeMap<Key, R::Value>,
    changes: BTreeMap<TxId, Changes<R::Value>>,
}

impl<R: Resource> Workspace<R> {
    pub(super) fn new(resource: R, committed: BTreeMap<Key, R::Value>) -> Self {
        Self { resource, committed, changes: BTreeMap::new() }
    }

    pub(super) fn committed(&self) -> &BTreeMap<Key, R::Value> {
        &self.committed
    }

    /// Loses a committed value: what a corrupted replica may do.
    pub(super) fn lose(&mut self) {
        self.committed.pop_first();
    }

    /// Does an operation on a copy of the value. The lock is held. A panic or a refusal changes
    /// nothing, and what only reads changes nothing either, whatever its code does.
    pub(super) fn perform(
        &mut self,
        tx: Option<TxId>,
        key: &Key,
        mode: Mode,
        operation: R::Operation,
    ) -> Result<R::Answer, Refusal> {
        let own = tx.and_then(|tx| self.changes.get(&tx)).and_then(|changes| changes.get(key));
        let mut value = own.cloned().unwrap_or_else(|| self.committed.get(key).cloned());
        let resource = &self.resource;
        let done = catch_unwind(AssertUnwindSafe(|| {
            resource.perform(key, operation, &mut value).map(|answer| (answer, value))
        }));
        let (answer, value) = done.unwrap_or_else(|_| Err(panicked(key)))?;
        if let (Mode::Exclusive, Some(tx)) = (mode, tx) {
            let new = value.is_some() && !self.committed.contains_key(key);
            if new && self.committed.len() >= limits::KEYS_MAX {
                let message = format!("there are {} keys already", self.committed.len());
                return Err(Refusal::new(Code::Full, message));
            }
            self.changes.entry(tx).or_default().insert(key.clone(), value);
        }
        Ok(answer)
    }

    /// The resource's last word before the promise.
    pub(super) fn prepare(&mut self, tx: TxId) -> Result<(), String> {
        let none = Changes::new();
        let changes = self.changes.get(&tx).unwrap_or(&none);
        let mut resource = self.resource.clone();
        catch_unwind(AssertUnwindSafe(|| resource.prepare(tx, changes).map(|()| resource)))
            .unwrap_or_else(|_| Err("the code of the resource panicked".to_owned()))
            .map(|resource| self.resource = resource)
    }

    /// The transaction has taken effect.
    pub(super) fn commit(&mut self, tx: TxId) {
        for (key, value) in self.changes.remove(&tx).unwrap_or_default() {
            match value {
                Some(value) => self.committed.insert(key, value),
                None => self.committed.remove(&key),
            };
        }
        self.resource.outcome(tx, true);
    }

    /// The transaction has not and will not.
    pub(super) fn abort(&mut self, tx: TxId) {
        self.changes.remove(&tx);
        self.resource.outcome(tx, false);
    }
}

pub(super) fn panicked(key: &Key) -> Refusal {
    Refusal::new(Code::Panicked, format!("the operation on {key} panicked"))
}
