//! Who takes part in which transaction here: all that does not depend on locks.
//!
//! | phase | an operation of a confirmed member | PREPARE | COMMIT | ABORT | its time is over |
//! |---|---|---|---|---|---|
//! | registering | waits until the manager has confirmed it | vote no | - | forget | give up |
//! | active | lock, then do it | seal the locks, vote | - | undo | give up, ask for abort |
//! | prepared | refuse: `committing` | - | take effect | undo | ask for the outcome |
//! | not known | register | vote no | acknowledge | - | - |
//!
//! To give up is allowed before the promise only. Whoever gives up says so before it says anything
//! else, and statements stay in order, so no later vote can make up for what was undone here.

use std::collections::{BTreeMap, BTreeSet};

use maftia_core::{id::ClientId, replica::Number};
use serde::{Deserialize, Serialize};

use crate::{
    history::History,
    limits,
    lock::{Charges, Mode},
    refusal::{Code, Refusal},
    transaction::{Age, Key, Outcome, TxId},
};

/// An operation that a client waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Pending<O> {
    pub(super) client: ClientId,
    pub(super) number: Number,
    pub(super) tx: Option<TxId>,
    pub(super) key: Key,
    pub(super) mode: Mode,
    pub(super) operation: O,
}

/// A transaction that clients brought here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry<O> {
    /// Who brought it; its quota pays.
    opener: ClientId,
    /// Known once the manager has confirmed the first client.
    pub(super) age: Option<Age>,
    /// Whether this group has been asked to prepare.
    pub(super) prepared: bool,
    /// Whether an operation that writes was tried.
    pub(super) writes: bool,
    confirmed: BTreeSet<ClientId>,
    asked: BTreeSet<ClientId>,
    parked: Vec<Pending<O>>,
    /// How many ticks it may be idle.
    pub(super) patience: u64,
    /// The tick at which its time is over.
    pub(super) deadline: u64,
}

/// What becomes of an operation.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Admission<O> {
    /// It may ask for its lock.
    Admitted(Age, Pending<O>),
    /// It waits; the manager is to be asked about its client.
    Ask(TxId, ClientId),
    /// It waits; the manager has been asked.
    Parked,
    /// It is refused.
    Refused(Pending<O>, Refusal),
}

/// All transactions that are open here, and the last that ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Roll<O> {
    pub(super) entries: BTreeMap<TxId, Entry<O>>,
    load: Charges,
    history: History<Outcome>,
    pub(super) now: u64,
}

impl<O> Roll<O> {
    pub(super) fn new() -> Self {
        Self {
            entries: BTreeMap::new(),
            load: Charges::default(),
            history: History::default(),
            now: 0,
        }
    }

    /// Judges an operation inside a transaction.
    pub(super) fn admit(&mut self, tx: TxId, pending: Pending<O>, patience: u64) -> Admission<O> {
        if let Some(outcome) = self.history.get(tx) {
            let refusal = Refusal::ended(tx, outcome);
            return Admission::Refused(pending, refusal);
        }
        if !self.entries.contains_key(&tx)
            && let Err(refusal) = self.open(tx, pending.client, patience)
        {
            return Admission::Refused(pending, refusal);
        }
        let now = self.now;
        let entry = self.entries.get_mut(&tx).expect("it is open");
        if entry.prepared {
            return Admission::Refused(pending, Refusal::committing(tx));
        }
        entry.deadline = now + entry.patience;
        match entry.age {
            Some(age) if entry.confirmed.contains(&pending.client) => {
                entry.writes |= pending.mode == Mode::Exclusive;
                Admission::Admitted(age, pending)
            }
            _ => entry.park(tx, pending),
        }
    }

    fn open(&mut self, tx: TxId, opener: ClientId, patience: u64) -> Result<(), Refusal> {
        if self.entries.len() >= limits::OPEN_MAX {
            let message = "the resource manager has as many open transactions as it may";
            return Err(Refusal::new(Code::Busy, message));
        }
        if self.load.of(opener) >= limits::OPEN_PER_CLIENT_MAX {
            let message = format!("you brought {} open transactions here", self.load.of(opener));
            return Err(Refusal::new(Code::Busy, message));
        }
        self.load.add(opener);
        let entry = Entry {
            opener,
            age: None,
            prepared: false,
            writes: false,
            confirmed: BTreeSet::new(),
            asked: BTreeSet::new(),
            parked: Vec::new(),
            patience,
            deadline: self.now + patience,
        };
        self.entries.insert(tx, entry);
        Ok(())
    }

    /// The manager knows the client as a member: its operations may go on.
    pub(super) fn confirm(
        &mut self,
        tx: TxId,
        client: ClientId,
        begun: u64,
        patience: u64,
    ) -> Vec<Pending<O>> {
        let now = self.now;
        let Some(entry) = self.entries.get_mut(&tx) else { return Vec::new() };
        entry.age.get_or_insert(Age { begun, tx });
        entry.asked.remove(&client);
        entry.confirmed.insert(client);
        if !entry.prepared {
            entry.patience = patience;
            entry.deadline = now + patience;
        }
        entry.unpark(client)
    }

    /// The manager does not let the client in: its operations end. If nobody else brought the
    /// transaction here, it is as if it never was.
    pub(super) fn deny(&mut self, tx: TxId, client: ClientId) -> Vec<Pending<O>> {
        let Some(entry) = self.entries.get_mut(&tx) else { return Vec::new() };
        entry.asked.remove(&client);
        let parked = entry.unpark(client);
        if entry.age.is_none() && entry.asked.is_empty() {
            self.remove(tx);
        }
        parked
    }

    /// The transaction is over here. Operations that still wait are handed back. Without a confirmed
    /// client nothing was done that could be over, and the name is perhaps a stranger's guess at a
    /// transaction to come: so nothing is remembered.
    pub(super) fn end(&mut self, tx: TxId, outcome: Outcome) -> Option<Vec<Pending<O>>> {
        let entry = self.remove(tx)?;
        if entry.age.is_some() {
            self.history.push(tx, outcome);
        }
        Some(entry.parked)
    }

    /// The transaction needs this group no more, and its outcome is not our business.
    pub(super) fn leave(&mut self, tx: TxId) -> Vec<Pending<O>> {
        self.remove(tx).map(|entry| entry.parked).unwrap_or_default()
    }

    fn remove(&mut self, tx: TxId) -> Option<Entry<O>> {
        let entry = self.entries.remove(&tx)?;
        self.load.refund(entry.opener, 1);
        Some(entry)
    }

    /// How it ended here, if it has and is remembered.
    pub(super) fn outcome(&self, tx: TxId) -> Option<&Outcome> {
        self.history.get(tx)
    }

    /// Transactions whose time is over, and whether they have promised.
    pub(super) fn overdue(&self) -> Vec<(TxId, bool)> {
        let overdue = self.entries.iter().filter(|(_, entry)| entry.deadline <= self.now);
        overdue.map(|(tx, entry)| (*tx, entry.prepared)).collect()
    }
}

impl<O> Entry<O> {
    fn park(&mut self, tx: TxId, pending: Pending<O>) -> Admission<O> {
        let client = pending.client;
        let own = self.parked.iter().filter(|other| other.client == client).count();
        if self.parked.len() >= limits::UNCONFIRMED_MAX || own >= limits::UNCONFIRMED_PER_CLIENT_MAX
        {
            let message = format!("too many operations wait to be let into transaction {tx}");
            return Admission::Refused(pending, Refusal::new(Code::Busy, message));
        }
        self.parked.push(pending);
        if self.asked.insert(client) { Admission::Ask(tx, client) } else { Admission::Parked }
    }

    fn unpark(&mut self, client: ClientId) -> Vec<Pending<O>> {
        let parked = std::mem::take(&mut self.parked);
        let (own, others) = parked.into_iter().partition(|pending| pending.client == client);
        self.parked = others;
        own
    }
}
