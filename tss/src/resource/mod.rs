//! The resource manager: lets transactions work on a resource, one at a time where they conflict,
//! and takes part in their commitment.
//!
//! It is a deterministic service in lockstep with its lock manager. [`Service::plan`] goes through
//! the items with the roll of who takes part, and writes down the steps and one script for the lock
//! manager; [`Service::apply`] takes the steps with the answers. So a batch costs one ask, and the
//! result does not depend on where the lock manager lives.
//!
//! Nothing flows back: the roll never learns what the locks or the resource said, except from the
//! transaction manager, as an item. So the result does not depend on how items are cut into batches
//! either, and replicas need not agree on that.

mod roll;
mod steps;
mod turn;
mod workspace;

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::Bytes;
use maftia_core::{
    id::{ClientId, GroupId},
    protocol::Kind,
    replica::{
        Number,
        service::{Action, Command as Ordered, Item, Service},
    },
    seat::Seat,
    time::Span,
    wire::{decode, encode},
};
use roll::{Admission, Pending, Roll};
use serde::{Deserialize, Serialize};
use turn::{Step, Turn, tell};
use workspace::{Workspace, panicked};

use crate::{
    limits,
    lock::{Answer, Answers, Command, LockManager, Mode, Quotas, Request, Script, Ticket},
    refusal::{Code, Refusal},
    request::{ResourceReply, ResourceRequest, ResourceStatus},
    resources::Resource,
    statement::{Down, Statement, Up, Vote},
    ticks::ticks,
    transaction::{AbortReason, Age, Key, Outcome, TxId},
};

/// What a resource manager is told at birth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct ResourceSpec<R: Resource> {
    /// The groups whose transactions it takes part in.
    pub managers: BTreeSet<GroupId>,
    /// The length of a tick.
    pub tick: Span,
    /// How long it waits for a transaction manager before it gives up, or asks again.
    pub patience: Span,
    /// What transactions and clients may lock.
    pub quotas: Quotas,
    /// What it manages.
    pub resource: R,
    /// The values at the beginning.
    pub initial: BTreeMap<Key, R::Value>,
}

impl<R: Resource> ResourceSpec<R> {
    /// For people at a console, under one transaction manager.
    pub fn new(manager: GroupId, resource: R, initial: BTreeMap<Key, R::Value>) -> Self {
        Self {
            managers: BTreeSet::from([manager]),
            tick: Span::millis(1_000),
            patience: Span::millis(30_000),
            quotas: Quotas::default(),
            resource,
            initial,
        }
    }
}

/// The state of a resource manager.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct ResourceManager<R: Resource> {
    group: GroupId,
    managers: BTreeSet<GroupId>,
    tick: Span,
    patience: u64,
    quotas: Quotas,
    roll: Roll<R::Operation>,
    workspace: Workspace<R>,
    /// Operations that wait for locks.
    waiting: BTreeMap<Ticket, Pending<R::Operation>>,
    /// Transactions that gave up here by what the locks or the resource said; their manager has been
    /// told, and will say so to the roll.
    doomed: BTreeMap<TxId, AbortReason>,
    turn: Turn<R::Operation>,
    ticket: Ticket,
    counters: Counters,
}

/// What was done ever.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Counters {
    ordered: u64,
    operations: u64,
    committed: u64,
    aborted: u64,
    wounded: u64,
}

impl<R: Resource> Service for ResourceManager<R> {
    const KIND: Kind = Kind("rm");
    type Spec = ResourceSpec<R>;
    type Helper = LockManager;

    fn new(seat: &Seat, spec: &ResourceSpec<R>) -> Self {
        Self::at(seat.group.id, spec.clone())
    }

    fn helper(&self) -> Option<Quotas> {
        Some(self.quotas.clone())
    }

    fn plan(&mut self, items: &[Item]) -> Option<Script> {
        self.turn = Turn::new();
        for item in items {
            self.counters.ordered += 1;
            match &item.command {
                Ordered::Request { client, number, body } => {
                    self.plan_request(*client, *number, body);
                }
                Ordered::Statement { from, body } => {
                    // A statement that cannot be read, or that is not the manager's to make, is of
                    // a service that is none of ours.
                    if let Ok(Statement::Down(tx, down)) = decode(body)
                        && tx.manager() == *from
                        && self.managers.contains(from)
                    {
                        self.plan_statement(tx, down);
                    }
                }
                Ordered::Tick => self.plan_tick(),
            }
        }
        let script = std::mem::take(&mut self.turn.script);
        (!script.is_empty()).then_some(Script(script))
    }

    fn apply(&mut self, _: Vec<Item>, answers: Option<Answers>, actions: &mut Vec<Action>) {
        let answers = answers.map(|Answers(answers)| answers).unwrap_or_default();
        self.take_steps(answers.into_iter(), actions);
    }

    fn tick(&self) -> Option<Span> {
        (!self.roll.entries.is_empty()).then_some(self.tick)
    }

    /// Work in a transaction that is open here; it may be what others wait for.
    fn is_urgent(&self, body: &[u8]) -> bool {
        let request: Result<ResourceRequest<R::Operation>, _> = decode(body);
        matches!(request, Ok(ResourceRequest::Operate { tx: Some(tx), .. })
            if self.roll.entries.contains_key(&tx))
    }

    fn remember(&self) -> Option<Script> {
        Some(Script(vec![Command::Save]))
    }

    fn remind(&self, remembered: Option<Answers>) -> Option<Script> {
        match remembered?.0.pop()? {
            Answer::Saved(table) => Some(Script(vec![Command::Load(table)])),
            _ => None,
        }
    }

    fn corrupt(&mut self) {
        self.workspace.lose();
    }
}

impl<R: Resource> ResourceManager<R> {
    /// The state before the first item, for the group with this id. A replica uses
    /// [`Service::new`]; this one is for tests and model checkers.
    pub fn at(group: GroupId, spec: ResourceSpec<R>) -> Self {
        Self {
            group,
            managers: spec.managers,
            tick: spec.tick,
            patience: ticks(spec.patience, spec.tick),
            quotas: spec.quotas,
            roll: Roll::new(),
            workspace: Workspace::new(spec.resource, spec.initial),
            waiting: BTreeMap::new(),
            doomed: BTreeMap::new(),
            turn: Turn::new(),
            ticket: 0,
            counters: Counters::default(),
        }
    }

    /// The values that are committed.
    pub fn committed(&self) -> &BTreeMap<Key, R::Value> {
        self.workspace.committed()
    }

    /// How a transaction ended here, if it has and is remembered.
    pub fn outcome(&self, tx: TxId) -> Option<&Outcome> {
        self.roll.outcome(tx)
    }

    /// Whether no transaction is open and no operation waits.
    pub fn is_idle(&self) -> bool {
        self.roll.entries.is_empty() && self.waiting.is_empty() && self.doomed.is_empty()
    }

    fn plan_request(&mut self, client: ClientId, number: Number, body: &Bytes) {
        let planned = if body.len() > limits::REQUEST_MAX {
            let message = format!("{} bytes are more than a request may have", body.len());
            Err(Refusal::new(Code::TooLong, message))
        } else {
            decode(body).map_err(|error| {
                let message = format!("not a request to a resource manager: {error}");
                Refusal::new(Code::Malformed, message)
            })
        };
        match planned {
            Ok(ResourceRequest::Operate { tx, key, operation }) => {
                match catch_unwind(AssertUnwindSafe(|| R::mode(&operation))) {
                    Ok(mode) => {
                        self.plan_operation(Pending { client, number, tx, key, mode, operation });
                    }
                    Err(_) => self.turn.act(refuse::<R>(client, number, panicked(&key))),
                }
            }
            Ok(ResourceRequest::Locks) => self.survey(client, number, false),
            Ok(ResourceRequest::Status) => self.survey(client, number, true),
            Err(refusal) => self.turn.act(refuse::<R>(client, number, refusal)),
        }
    }

    fn survey(&mut self, client: ClientId, number: Number, counters: bool) {
        let prepared = self.roll.entries.values().filter(|entry| entry.prepared).count();
        let status = counters.then(|| ResourceStatus {
            ordered: self.counters.ordered,
            open: self.roll.entries.len(),
            prepared,
            ..ResourceStatus::default()
        });
        let rows = if counters { 0 } else { limits::ROWS_MAX };
        self.turn.locked(Step::Survey { client, number, status }, Command::Survey { rows });
    }

    fn plan_operation(&mut self, pending: Pending<R::Operation>) {
        let Some(tx) = pending.tx else { return self.plan_outside(pending) };
        if !self.managers.contains(&tx.manager()) {
            let action = refuse::<R>(pending.client, pending.number, Refusal::unknown(tx));
            return self.turn.act(action);
        }
        match self.roll.admit(tx, pending, self.patience) {
            Admission::Admitted(age, pending) => self.lock(age, pending),
            Admission::Ask(tx, client) => self.turn.act(tell(tx, Up::Register(client))),
            Admission::Parked => {}
            Admission::Refused(pending, refusal) => {
                self.turn.act(refuse::<R>(pending.client, pending.number, refusal));
            }
        }
    }

    /// Outside transactions one may read what is committed.
    fn plan_outside(&mut self, pending: Pending<R::Operation>) {
        if pending.mode == Mode::Exclusive {
            let refusal = Refusal::new(Code::NeedsTransaction, "changes need a transaction");
            return self.turn.act(refuse::<R>(pending.client, pending.number, refusal));
        }
        let ticket = self.next_ticket();
        let peek = Command::Peek { client: pending.client, key: pending.key.clone(), ticket };
        self.turn.locked(Step::Perform(ticket, pending), peek);
    }

    fn lock(&mut self, age: Age, pending: Pending<R::Operation>) {
        let ticket = self.next_ticket();
        let acquire = Command::Acquire(Request {
            age,
            client: pending.client,
            key: pending.key.clone(),
            mode: pending.mode,
            ticket,
        });
        self.turn.locked(Step::Perform(ticket, pending), acquire);
    }

    fn next_ticket(&mut self) -> Ticket {
        self.ticket += 1;
        self.ticket
    }

    fn plan_statement(&mut self, tx: TxId, down: Down) {
        match down {
            Down::Registered { client, begun, lease_millis } => {
                let lease =
                    ticks(Span::millis(lease_millis.min(limits::LEASE_MILLIS_MAX)), self.tick);
                let patience = lease + self.patience;
                for pending in self.roll.confirm(tx, client, begun, patience) {
                    self.plan_operation(pending);
                }
            }
            Down::NotRegistered { client, refusal } => {
                for pending in self.roll.deny(tx, client) {
                    self.turn.act(refuse::<R>(client, pending.number, refusal.clone()));
                }
            }
            Down::Prepare => self.plan_prepare(tx),
            Down::Commit => self.plan_commit(tx),
            Down::Abort(reason) => self.plan_abort(tx, reason),
        }
    }

    fn plan_prepare(&mut self, tx: TxId) {
        let deadline = self.roll.now + self.patience;
        match self.roll.entries.get_mut(&tx) {
            Some(entry) if entry.prepared => {}
            Some(entry) if entry.age.is_some() && entry.writes => {
                entry.prepared = true;
                entry.deadline = deadline;
                self.turn.locked(Step::Prepare(tx), Command::Seal { tx });
            }
            Some(entry) if entry.age.is_some() => {
                let refusal = Refusal::committing(tx);
                for pending in self.roll.leave(tx) {
                    let action = refuse::<R>(pending.client, pending.number, refusal.clone());
                    self.turn.act(action);
                }
                self.turn.locked(Step::Leave(tx), Command::Leave { tx });
            }
            _ => {
                let text = "nothing is left of the transaction here".to_owned();
                self.turn.act(tell(tx, Up::Vote(Vote::No(text))));
            }
        }
    }

    fn plan_commit(&mut self, tx: TxId) {
        if !self.roll.entries.get(&tx).is_some_and(|entry| entry.prepared) {
            return self.turn.act(tell(tx, Up::Committed));
        }
        self.end_parked(tx, Outcome::Committed);
        self.turn.locked(Step::Commit(tx), Command::Release { tx });
    }

    fn plan_abort(&mut self, tx: TxId, reason: AbortReason) {
        if self.roll.entries.contains_key(&tx) {
            self.end_parked(tx, Outcome::Aborted(reason.clone()));
            self.turn.locked(Step::Abort(tx, reason), Command::Release { tx });
        }
    }

    /// Ends a transaction on the roll; whoever still waits to be let in is told how it ended.
    fn end_parked(&mut self, tx: TxId, outcome: Outcome) {
        let refusal = Refusal::ended(tx, &outcome);
        for pending in self.roll.end(tx, outcome).unwrap_or_default() {
            self.turn.act(refuse::<R>(pending.client, pending.number, refusal.clone()));
        }
    }

    fn plan_tick(&mut self) {
        self.roll.now += 1;
        for (tx, prepared) in self.roll.overdue() {
            if prepared {
                let entry = self.roll.entries.get_mut(&tx).expect("it is overdue");
                entry.deadline = self.roll.now + self.patience;
                self.turn.act(tell(tx, Up::InDoubt));
            } else {
                let reason = AbortReason::Idle { group: self.group };
                self.turn.act(tell(tx, Up::AbortRequest(reason.clone())));
                self.plan_abort(tx, reason);
            }
        }
    }
}

fn reply<R: Resource>(
    client: ClientId,
    number: Number,
    reply: &ResourceReply<R::Answer>,
) -> Action {
    Action::Reply { client, number, body: encode(reply) }
}

fn refuse<R: Resource>(client: ClientId, number: Number, refusal: Refusal) -> Action {
    reply::<R>(client, number, &ResourceReply::Refused(refusal))
}
