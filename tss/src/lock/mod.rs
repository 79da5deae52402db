//! Locks: who may use a key now, who waits, and who gives way so that nobody waits for ever.
//!
//! # Reference
//! Rosenkrantz, Stearns, Lewis, *System level concurrency control for distributed database systems*,
//! ACM TODS 3(2), 1978 (wound-wait); Gray and Reuter, *Transaction Processing*, chapter 7 (strict
//! two-phase locking, upgrades, no barging).
//! # Model
//! Replicated state of one resource manager, which asks in lockstep: one script of commands per batch
//! of ordered items, one answer, always, at once. No messages, no timers, no children. How commands
//! are cut into scripts makes no difference.
//! # Thresholds
//! None: what it is asked is already agreed upon.
//! # Properties
//! Two transactions never hold one key in modes that are not compatible. Every wait points from
//! younger to older or to a sealed transaction, so there is no deadlock, and the oldest transaction
//! is never wounded: somebody always gets on. A sealed transaction is never wounded. Equal scripts
//! give equal answers: the same victim at every replica.
//! # Deviations
//! A reader outside transactions holds nothing and waits only for the outcome of a sealed writer.

mod policy;
mod table;
#[cfg(test)]
mod tests;

use maftia_core::{
    children::Children,
    effects::Effects,
    id::ClientId,
    protocol::{Event, Kind, Never, Protocol},
    seat::Seat,
};
pub use policy::{Charges, Exceeded, Mode, Quotas, Ruling, rule};
use serde::{Deserialize, Serialize};
pub use table::{Effect, LockTable, Request, Row, Ticket, Verdict};

use crate::transaction::{Key, TxId};

/// One thing to do with a lock table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A transaction wants a lock.
    Acquire(Request),
    /// Somebody outside transactions wants to read.
    Peek {
        /// Who; its quota pays while it waits.
        client: ClientId,
        /// What.
        key: Key,
        /// The name of the request.
        ticket: Ticket,
    },
    /// A transaction is about to promise that it can commit.
    Seal {
        /// Which.
        tx: TxId,
    },
    /// A transaction that only read is about to say so, and is over here then.
    Leave {
        /// Which.
        tx: TxId,
    },
    /// A transaction is over here.
    Release {
        /// Which.
        tx: TxId,
    },
    /// Somebody wants to see the table.
    Survey {
        /// The most rows to show.
        rows: usize,
    },
    /// The service is saved, and this table with it.
    Save,
    /// The service was loaded, and this table was saved with it.
    Load(Box<LockTable>),
}

/// What a command did or shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It changed the table, or tried to.
    Effect(Effect),
    /// What the table looks like.
    Survey(Survey),
    /// All that the table holds.
    Saved(Box<LockTable>),
    /// The table is what it was.
    Loaded,
}

/// A look at a lock table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    /// Locks held.
    pub held: usize,
    /// Requests that wait.
    pub waiting: usize,
    /// The first keys in use.
    pub rows: Vec<Row>,
}

/// The commands of one batch of items, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script(pub Vec<Command>);

/// One answer for each command of the script, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers(pub Vec<Answer>);

/// The lock table as a protocol, so that it can live in an actor of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockManager {
    table: LockTable,
}

impl LockTable {
    /// Does what the command says.
    pub fn take(&mut self, command: Command) -> Answer {
        Answer::Effect(match command {
            Command::Acquire(request) => self.acquire(request),
            Command::Peek { client, key, ticket } => self.peek(client, key, ticket),
            Command::Seal { tx } => self.seal(tx),
            Command::Leave { tx } => self.leave(tx),
            Command::Release { tx } => self.release(tx),
            Command::Survey { rows } => {
                let (held, waiting) = self.counts();
                return Answer::Survey(Survey { held, waiting, rows: self.rows(rows) });
            }
            Command::Save => return Answer::Saved(Box::new(self.clone())),
            Command::Load(table) => {
                *self = *table;
                return Answer::Loaded;
            }
        })
    }

    /// Does what the script says.
    pub fn run(&mut self, script: Script) -> Answers {
        Answers(script.0.into_iter().map(|command| self.take(command)).collect())
    }
}

impl LockManager {
    /// The table.
    pub const fn table(&self) -> &LockTable {
        &self.table
    }
}

impl Protocol for LockManager {
    const KIND: Kind = Kind("locks");
    type Spec = Quotas;
    type Input = Script;
    type Output = Answers;
    type Message = Never;
    type Timer = Never;
    type Ask = Never;
    type Heard = Never;

    fn new(_: &Seat, quotas: Quotas) -> Self {
        Self { table: LockTable::new(quotas) }
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        if let Event::Input(script) = event {
            fx.output(self.table.run(script));
        }
    }

    fn route<C: Children<Self>>(ask: Never, _: &mut C) {
        match ask {}
    }
}
