//! The lock table: who holds what, who waits for it, and what happens next. Used by hand in tests.

use std::collections::{BTreeMap, BTreeSet};

use maftia_core::id::ClientId;
use serde::{Deserialize, Serialize};

use super::policy::{Charges, Exceeded, Mode, Quotas, Ruling, rule};
use crate::{
    limits,
    transaction::{Age, Edge, Key, TxId, Wound},
};

/// Names one request for a lock. Its user chooses it and uses it once; later ones are larger.
pub type Ticket = u64;

/// One transaction's request for one lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The transaction, and how old it is.
    pub age: Age,
    /// The member that asks, whose quota pays.
    pub client: ClientId,
    /// What is to be locked.
    pub key: Key,
    /// How.
    pub mode: Mode,
    /// The name of the request.
    pub ticket: Ticket,
}

/// What becomes of the one who asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// It has the lock, is sealed, or has released.
    Granted,
    /// It waits for these; a later effect grants it.
    Queued(Vec<TxId>),
    /// It has asked for too much.
    Refused(Exceeded),
    /// It was wounded before, and holds nothing.
    Doomed,
    /// It cannot be sealed: this many of its requests still wait.
    Waiting(usize),
}

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// To the one who asked.
    pub verdict: Verdict,
    /// To others: they lost all locks and all waiting requests.
    pub wounded: Vec<(TxId, Wound)>,
    /// To those that waited: their requests are granted now, in this order.
    pub granted: Vec<Ticket>,
}

impl Effect {
    fn only(verdict: Verdict) -> Self {
        Self { verdict, wounded: Vec::new(), granted: Vec::new() }
    }
}

/// Who uses a key, for listings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The key.
    pub key: Key,
    /// Who holds it, and whether it is sealed.
    pub holders: Vec<(TxId, Mode, bool)>,
    /// Who waits for it, in the order in which they will get it.
    pub waiters: Vec<(TxId, Mode)>,
}

/// Locks of one resource manager.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockTable {
    quotas: Quotas,
    keys: BTreeMap<Key, Entry>,
    owners: BTreeMap<TxId, Owner>,
    charges: Charges,
}

/// One key that is in use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    holders: BTreeMap<TxId, Mode>,
    /// Oldest first; those of one transaction in the order of its requests.
    queue: BTreeMap<(Age, Ticket), Mode>,
    /// Readers outside transactions that wait for a sealed writer's outcome.
    peeks: BTreeMap<Ticket, ClientId>,
}

/// One transaction that uses keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    age: Age,
    sealed: bool,
    wounded: bool,
    held: BTreeSet<Key>,
    waiting: BTreeMap<Ticket, Key>,
    charges: Charges,
}

impl Owner {
    fn new(age: Age) -> Self {
        Self {
            age,
            sealed: false,
            wounded: false,
            held: BTreeSet::new(),
            waiting: BTreeMap::new(),
            charges: Charges::default(),
        }
    }

    fn keys(&self) -> BTreeSet<Key> {
        self.held.iter().chain(self.waiting.values()).cloned().collect()
    }
}

impl LockTable {
    /// An empty table.
    pub fn new(quotas: Quotas) -> Self {
        Self { quotas, ..Self::default() }
    }

    /// Asks for a lock. An upgrade is a request for the stronger mode.
    pub fn acquire(&mut self, request: Request) -> Effect {
        let Request { age, client, key, mode, ticket } = request;
        let owner = self.owners.entry(age.tx).or_insert_with(|| Owner::new(age));
        if owner.wounded || owner.sealed {
            return Effect::only(Verdict::Doomed);
        }
        let entry = self.keys.entry(key.clone()).or_default();
        if entry.holders.get(&age.tx).is_some_and(|held| held.covers(mode)) {
            return Effect::only(Verdict::Granted);
        }
        let (victims, blockers) = self.conflicts(age, &key, mode);
        if let Err(exceeded) = self.affords(age.tx, client, &key, !blockers.is_empty()) {
            self.tidy(&key, age.tx);
            return Effect::only(Verdict::Refused(exceeded));
        }
        self.charges.add(client);
        let owner = self.owners.get_mut(&age.tx).expect("the owner was entered above");
        owner.charges.add(client);
        owner.waiting.insert(ticket, key.clone());
        self.entry(&key).queue.insert((age, ticket), mode);
        let (wounded, freed) = self.wound_all(age, &key, victims);
        let mut granted = self.settle(freed.into_iter().chain([key]).collect());
        let verdict = match granted.iter().position(|other| *other == ticket) {
            Some(place) => {
                granted.remove(place);
                Verdict::Granted
            }
            None => Verdict::Queued(blockers),
        };
        Effect { verdict, wounded, granted }
    }

    /// Reads outside any transaction: nothing is held, and only the outcome of a sealed writer is
    /// waited for, so that who heard of a commit also sees it.
    pub fn peek(&mut self, client: ClientId, key: Key, ticket: Ticket) -> Effect {
        let Some(writer) = self.keys.get(&key).and_then(|entry| self.sealed_writer(entry)) else {
            return Effect::only(Verdict::Granted);
        };
        if self.charges.of(client) >= self.quotas.per_client {
            return Effect::only(Verdict::Refused(Exceeded::Client));
        }
        let entry = self.keys.entry(key).or_default();
        if entry.peeks.len() >= self.quotas.waiters_per_key {
            return Effect::only(Verdict::Refused(Exceeded::Key));
        }
        entry.peeks.insert(ticket, client);
        self.charges.add(client);
        Effect::only(Verdict::Queued(vec![writer]))
    }

    /// From now on the transaction keeps its locks until it is released, and gets no more.
    pub fn seal(&mut self, tx: TxId) -> Effect {
        let verdict = self.sealable(tx);
        if let (Verdict::Granted, Some(owner)) = (&verdict, self.owners.get_mut(&tx)) {
            owner.sealed = true;
        }
        Effect::only(verdict)
    }

    /// As [`seal`](Self::seal), for a transaction that only read: it is over here, whatever the
    /// verdict.
    pub fn leave(&mut self, tx: TxId) -> Effect {
        let verdict = self.sealable(tx);
        Effect { verdict, ..self.release(tx) }
    }

    fn sealable(&self, tx: TxId) -> Verdict {
        match self.owners.get(&tx) {
            Some(owner) if owner.wounded => Verdict::Doomed,
            Some(owner) if !owner.waiting.is_empty() => Verdict::Waiting(owner.waiting.len()),
            _ => Verdict::Granted,
        }
    }

    /// The transaction is over, here at least: it holds and waits no more.
    pub fn release(&mut self, tx: TxId) -> Effect {
        let Some(owner) = self.owners.remove(&tx) else {
            return Effect::only(Verdict::Granted);
        };
        let keys = self.strip(owner);
        let granted = self.settle(keys);
        Effect { granted, ..Effect::only(Verdict::Granted) }
    }

    /// How many locks are held, and how many requests wait.
    pub fn counts(&self) -> (usize, usize) {
        let entries = || self.keys.values();
        let waiting = entries().map(|entry| entry.queue.len() + entry.peeks.len()).sum();
        (entries().map(|entry| entry.holders.len()).sum(), waiting)
    }

    /// The first keys in use.
    pub fn rows(&self, most: usize) -> Vec<Row> {
        let sealed = |tx: &TxId| self.owners.get(tx).is_some_and(|owner| owner.sealed);
        let row = |(key, entry): (&Key, &Entry)| Row {
            key: key.clone(),
            holders: entry.holders.iter().map(|(tx, mode)| (*tx, *mode, sealed(tx))).collect(),
            waiters: entry.queue.iter().map(|((age, _), mode)| (age.tx, *mode)).collect(),
        };
        self.keys.iter().take(most).map(row).collect()
    }

    /// Whether nothing is held, awaited or remembered.
    pub fn is_idle(&self) -> bool {
        self.keys.is_empty() && self.owners.is_empty() && self.charges.is_empty()
    }

    /// Who is in the way of a request: whom it wounds, and for whom it waits.
    fn conflicts(&self, age: Age, key: &Key, mode: Mode) -> (Vec<TxId>, Vec<TxId>) {
        let entry = &self.keys[key];
        let others =
            entry.holders.iter().filter(|(tx, held)| **tx != age.tx && !held.compatible(mode));
        let (victims, mut blockers): (Vec<_>, Vec<_>) = others.map(|(tx, _)| *tx).partition(|tx| {
            let owner = &self.owners[tx];
            rule(age, owner.age, owner.sealed) == Ruling::Wound
        });
        let older = entry.queue.iter().take_while(|((waiter, _), _)| *waiter < age);
        blockers.extend(older.filter(|(_, other)| !other.compatible(mode)).map(|((a, _), _)| a.tx));
        blockers.dedup();
        (victims, blockers)
    }

    fn affords(&self, tx: TxId, client: ClientId, key: &Key, waits: bool) -> Result<(), Exceeded> {
        let owner = &self.owners[&tx];
        if owner.held.len() + owner.waiting.len() >= self.quotas.per_transaction {
            Err(Exceeded::Transaction)
        } else if self.charges.of(client) >= self.quotas.per_client {
            Err(Exceeded::Client)
        } else if waits && self.keys[key].queue.len() >= self.quotas.waiters_per_key {
            Err(Exceeded::Key)
        } else {
            Ok(())
        }
    }

    /// Takes everything from the victims; they are remembered as wounded until they are released.
    fn wound_all(
        &mut self,
        by: Age,
        key: &Key,
        victims: Vec<TxId>,
    ) -> (Vec<(TxId, Wound)>, BTreeSet<Key>) {
        let mut freed = BTreeSet::new();
        let mut wounded = Vec::new();
        for victim in victims {
            let edges = self.edges(by.tx, victim, key);
            wounded.push((victim, Wound { by: by.tx, key: key.clone(), edges }));
            let owner = self.owners.get_mut(&victim).expect("who holds a lock is an owner");
            let corpse = Owner { wounded: true, ..Owner::new(owner.age) };
            let owner = std::mem::replace(owner, corpse);
            freed.append(&mut self.strip(owner));
        }
        (wounded, freed)
    }

    /// The conflict, and what the victim itself waits for.
    fn edges(&self, by: TxId, victim: TxId, key: &Key) -> Vec<Edge> {
        let mut edges = vec![Edge { waiter: by, holder: victim, key: key.clone() }];
        for key in self.owners[&victim].waiting.values() {
            let holders = self.keys[key].holders.keys().filter(|holder| **holder != victim);
            edges.extend(holders.map(|holder| Edge {
                waiter: victim,
                holder: *holder,
                key: key.clone(),
            }));
        }
        edges.truncate(limits::EDGES_MAX);
        edges
    }

    /// Removes an owner's traces, and says on which keys.
    fn strip(&mut self, owner: Owner) -> BTreeSet<Key> {
        let keys = owner.keys();
        for key in &keys {
            let entry = self.entry(key);
            entry.holders.remove(&owner.age.tx);
            entry.queue.retain(|(age, _), _| age.tx != owner.age.tx);
        }
        self.charges.refund_all(owner.charges);
        keys
    }

    /// Grants what can be granted on these keys, in the order of keys, then of age.
    fn settle(&mut self, keys: BTreeSet<Key>) -> Vec<Ticket> {
        let mut granted = Vec::new();
        for key in keys {
            let mut entry = self.keys.remove(&key).unwrap_or_default();
            let mut still: Vec<(TxId, Mode)> = Vec::new();
            let queue = std::mem::take(&mut entry.queue);
            for ((age, ticket), mode) in queue {
                let holders = entry.holders.iter().map(|(tx, mode)| (*tx, *mode));
                let free = holders
                    .chain(still.iter().copied())
                    .all(|(other, used)| other == age.tx || used.compatible(mode));
                if free {
                    let held = entry.holders.entry(age.tx).or_insert(mode);
                    *held = mode.max(*held);
                    let owner = self.owners.get_mut(&age.tx).expect("who waits is an owner");
                    owner.waiting.remove(&ticket);
                    owner.held.insert(key.clone());
                    granted.push(ticket);
                } else {
                    still.push((age.tx, mode));
                    entry.queue.insert((age, ticket), mode);
                }
            }
            if self.sealed_writer(&entry).is_none() {
                for (ticket, client) in std::mem::take(&mut entry.peeks) {
                    self.charges.refund(client, 1);
                    granted.push(ticket);
                }
            }
            if entry != Entry::default() {
                self.keys.insert(key, entry);
            }
        }
        granted
    }

    fn sealed_writer(&self, entry: &Entry) -> Option<TxId> {
        let writers = entry.holders.iter().filter(|(_, mode)| **mode == Mode::Exclusive);
        writers.map(|(tx, _)| *tx).find(|tx| self.owners[tx].sealed)
    }

    fn entry(&mut self, key: &Key) -> &mut Entry {
        self.keys.entry(key.clone()).or_default()
    }

    /// After a refusal: leaves no empty traces behind.
    fn tidy(&mut self, key: &Key, tx: TxId) {
        if self.keys.get(key).is_some_and(|entry| *entry == Entry::default()) {
            self.keys.remove(key);
        }
        if self.owners.get(&tx).is_some_and(|owner| *owner == Owner::new(owner.age)) {
            self.owners.remove(&tx);
        }
    }
}
