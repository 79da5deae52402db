//! Who waits and who gives way: wound-wait by age.
//!
//! An older transaction takes what it needs from a younger one, which is aborted; a younger one waits
//! for an older one. So every wait points from younger to older, or to a sealed transaction, which
//! waits for nothing but its outcome: there is no cycle, in one group or across many.

use std::collections::BTreeMap;

use maftia_core::id::ClientId;
use serde::{Deserialize, Serialize};

use crate::transaction::Age;

/// How a key is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Mode {
    /// To read: many at a time.
    Shared,
    /// To write: one at a time.
    Exclusive,
}

impl Mode {
    /// Whether two transactions may hold a key in these modes at the same time.
    pub const fn compatible(self, other: Self) -> bool {
        matches!((self, other), (Self::Shared, Self::Shared))
    }

    /// Whether who holds a key in this mode may use it in the other.
    pub fn covers(self, other: Self) -> bool {
        self >= other
    }

    /// The letter of listings.
    pub const fn letter(self) -> char {
        match self {
            Self::Shared => 'S',
            Self::Exclusive => 'X',
        }
    }
}

/// What the one who asks does about a holder in its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It takes the lock away: the holder is aborted.
    Wound,
    /// It waits.
    Wait,
}

/// Wound-wait. A sealed holder has promised to commit if told so, and keeps what it has.
pub fn rule(asker: Age, holder: Age, sealed: bool) -> Ruling {
    if asker < holder && !sealed { Ruling::Wound } else { Ruling::Wait }
}

/// What one transaction, key or client may take from a lock table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quotas {
    /// Locks and waiting requests of one transaction.
    pub per_transaction: usize,
    /// Requests that wait for one key.
    pub waiters_per_key: usize,
    /// Locks and waiting requests that one client asked for, in all its transactions.
    pub per_client: u32,
}

impl Default for Quotas {
    /// Room for a batch job of a few hundred keys; not for a client that locks everything.
    fn default() -> Self {
        Self { per_transaction: 512, waiters_per_key: 256, per_client: 1024 }
    }
}

/// The quota that a request exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Exceeded {
    /// [`Quotas::per_transaction`].
    #[error("the transaction holds as many locks as one may")]
    Transaction,
    /// [`Quotas::waiters_per_key`].
    #[error("as many wait for this key as may")]
    Key,
    /// [`Quotas::per_client`].
    #[error("the client holds as many locks as one may")]
    Client,
}

/// Requests in flight, by the client that asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charges(BTreeMap<ClientId, u32>);

impl Charges {
    /// How many the client has.
    pub fn of(&self, client: ClientId) -> u32 {
        self.0.get(&client).copied().unwrap_or(0)
    }

    /// One more.
    pub fn add(&mut self, client: ClientId) {
        *self.0.entry(client).or_default() += 1;
    }

    /// So many fewer.
    pub fn refund(&mut self, client: ClientId, count: u32) {
        if let Some(have) = self.0.get_mut(&client) {
            *have = have.saturating_sub(count);
            if *have == 0 {
                self.0.remove(&client);
            }
        }
    }

    /// Takes all of these back.
    pub fn refund_all(&mut self, others: Self) {
        others.0.into_iter().for_each(|(client, count)| self.refund(client, count));
    }

    /// Whether nobody has any.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
