//! The open transactions, those that groups have yet to acknowledge, and the last that ended.

use std::collections::{BTreeMap, BTreeSet};

use maftia_core::{
    id::{ClientId, GroupId},
    replica::Number,
};
use serde::{Deserialize, Serialize};

use crate::{
    history::History,
    limits,
    lock::Charges,
    refusal::{Code, Refusal},
    request::{Standing, Summary, View},
    token::JoinKey,
    transaction::{AbortReason, Outcome, Phase, TxId},
};

/// An open transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tx {
    /// Its place in the order of beginnings, or that of the one whose work it takes up.
    pub(super) begun: u64,
    pub(super) key: JoinKey,
    /// In the order in which they joined; the creator is the first.
    pub(super) members: Vec<ClientId>,
    pub(super) groups: BTreeMap<GroupId, Standing>,
    /// How often a client or a group joined.
    pub(super) epoch: u32,
    /// Who agreed to commit in this epoch.
    pub(super) agreed: BTreeSet<ClientId>,
    pub(super) phase: Phase,
    pub(super) lease_millis: u64,
    /// The tick at which time undoes it.
    pub(super) deadline: u64,
    pub(super) parked: Vec<Parked>,
}

/// A request that is answered when the transaction ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Parked {
    pub(super) client: ClientId,
    pub(super) number: Number,
    /// A vote: it is answered also when others join and it no longer counts.
    pub(super) vote: bool,
}

/// A transaction that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Past {
    pub(super) outcome: Outcome,
    pub(super) creator: ClientId,
    pub(super) begun: u64,
    /// Whether another transaction has taken up its age.
    taken_up: bool,
}

impl Tx {
    pub(super) fn is_member(&self, client: ClientId) -> bool {
        self.members.contains(&client)
    }

    /// A client or a group has joined: who agreed before agreed to something else. The votes that
    /// waited for the outcome are handed back.
    pub(super) fn changed(&mut self) -> Vec<Parked> {
        self.epoch += 1;
        self.agreed.clear();
        self.phase = Phase::Active;
        let (votes, others) = std::mem::take(&mut self.parked).into_iter().partition(|p| p.vote);
        self.parked = others;
        votes
    }

    /// Keeps a request until the end, unless the client has too many of them.
    pub(super) fn park(&mut self, parked: Parked) -> Result<(), Parked> {
        let own = self.parked.iter().filter(|other| other.client == parked.client).count();
        if own >= limits::PARKED_PER_CLIENT_MAX {
            return Err(parked);
        }
        self.parked.push(parked);
        Ok(())
    }

    /// How long it may still live, in steps of ticks.
    pub(super) const fn left_millis(&self, now: u64, tick_millis: u64) -> u64 {
        self.deadline.saturating_sub(now).saturating_mul(tick_millis)
    }

    pub(super) fn view(&self, tx: TxId) -> View {
        let missing = self.members.iter().filter(|member| !self.agreed.contains(member));
        View {
            tx,
            phase: self.phase,
            epoch: self.epoch,
            members: self.members.clone(),
            groups: self.groups.keys().copied().collect(),
            missing: missing.copied().collect(),
        }
    }
}

/// All that a transaction manager knows about transactions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ledger {
    pub(super) open: BTreeMap<TxId, Tx>,
    /// Committed, and these groups have not acknowledged.
    pub(super) closing: BTreeMap<TxId, BTreeSet<GroupId>>,
    history: History<Past>,
    load: Charges,
    /// How many were ever begun; the number of the last.
    pub(super) begun: u64,
    /// Ticks ever counted.
    pub(super) now: u64,
}

impl Ledger {
    /// Enters a new transaction, if the bounds allow.
    pub(super) fn enter(&mut self, id: TxId, tx: Tx) -> Result<(), Refusal> {
        let creator = tx.members[0];
        if self.open.len() + self.closing.len() >= limits::OPEN_MAX {
            let message = "the transaction manager has as many open transactions as it may";
            return Err(Refusal::new(Code::Busy, message));
        }
        if self.load.of(creator) >= limits::OPEN_PER_CLIENT_MAX {
            let message = format!("you have {} open transactions", self.load.of(creator));
            return Err(Refusal::new(Code::Busy, message));
        }
        self.load.add(creator);
        self.begun += 1;
        self.open.insert(id, tx);
        Ok(())
    }

    /// Ends an open transaction and remembers how.
    pub(super) fn end(&mut self, id: TxId, outcome: Outcome) -> Option<Tx> {
        let tx = self.open.remove(&id)?;
        let creator = tx.members[0];
        self.load.refund(creator, 1);
        self.history.push(id, Past { outcome, creator, begun: tx.begun, taken_up: false });
        Some(tx)
    }

    /// How it ended, if it has and is remembered.
    pub(super) fn outcome(&self, id: TxId) -> Option<Outcome> {
        if self.closing.contains_key(&id) {
            return Some(Outcome::Committed);
        }
        self.history.get(id).map(|past| past.outcome.clone())
    }

    /// The age of a wounded transaction that its creator may take up: once, or a client could keep the
    /// age of one old transaction for many, and wound everybody for ever.
    pub(super) fn age_left(&self, id: TxId, client: ClientId) -> Option<u64> {
        let wounded = |past: &&Past| {
            matches!(past.outcome, Outcome::Aborted(AbortReason::Wounded { .. }))
                && past.creator == client
                && !past.taken_up
        };
        self.history.get(id).filter(wounded).map(|past| past.begun)
    }

    /// The age of a wounded transaction was taken up.
    pub(super) fn take_age(&mut self, id: TxId) {
        if let Some(past) = self.history.get_mut(id) {
            past.taken_up = true;
        }
    }

    /// Why there is no open transaction of this name.
    pub(super) fn refusal(&self, id: TxId) -> Refusal {
        match self.outcome(id) {
            Some(outcome) => Refusal::ended(id, &outcome),
            None if (1..=self.begun).contains(&id.number()) => {
                let message = format!("transaction {id} ended so long ago that it is forgotten");
                Refusal::new(Code::Forgotten, message)
            }
            None => Refusal::unknown(id),
        }
    }

    /// The open transactions whose time is over.
    pub(super) fn overdue(&self) -> Vec<TxId> {
        let overdue = self.open.iter().filter(|(_, tx)| tx.deadline <= self.now);
        overdue.map(|(id, _)| *id).collect()
    }

    pub(super) fn summaries(&self, tick_millis: u64) -> Vec<Summary> {
        let summary = |(id, tx): (&TxId, &Tx)| Summary {
            tx: *id,
            phase: tx.phase,
            members: tx.members.len(),
            groups: tx.groups.len(),
            left_millis: tx.left_millis(self.now, tick_millis),
        };
        self.open.iter().take(limits::ROWS_MAX).map(summary).collect()
    }
}
