//! The transaction manager: begins transactions, knows who takes part, and decides.
//!
//! It is a deterministic service: a replica feeds it ordered items, and every member of its group
//! comes to the same state. Nothing here is checked twice: who sent a request or a statement is
//! settled before it is ordered.

mod commit;
mod ledger;
mod participants;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use commit::{Happening, Move, next};
use ledger::{Ledger, Parked, Tx};
use maftia_core::{
    id::{ClientId, GroupId},
    protocol::{Kind, Never},
    replica::{
        Number,
        service::{Action, Command, Item, NoHelper, Service},
    },
    seat::Seat,
    time::Span,
    wire::{decode, encode},
};
use serde::{Deserialize, Serialize};

use crate::{
    limits,
    refusal::{Code, Refusal},
    request::{Agreed, Card, Ended, ManagerReply, ManagerRequest, ManagerStatus, Standing},
    statement::{Down, Statement},
    ticks::ticks,
    token::{JoinKey, JoinProof},
    transaction::{AbortReason, Outcome, Phase, TxId},
};

/// What a transaction manager is told at birth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagerSpec {
    /// The length of a tick, in which leases are counted.
    pub tick: Span,
    /// The life of a transaction whose creator does not say.
    pub lease: Span,
    /// How long groups have to vote before the transaction is aborted.
    pub patience: Span,
}

impl Default for ManagerSpec {
    /// For people at a console: a minute to make up one's mind.
    fn default() -> Self {
        Self {
            tick: Span::millis(1_000),
            lease: Span::millis(60_000),
            patience: Span::millis(15_000),
        }
    }
}

/// The state of a transaction manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionManager {
    spec: ManagerSpec,
    group: GroupId,
    ledger: Ledger,
    ordered: u64,
    committed: u64,
    aborted: u64,
}

impl Service for TransactionManager {
    const KIND: Kind = Kind("tm");
    type Spec = ManagerSpec;
    type Helper = NoHelper;

    fn new(seat: &Seat, spec: &ManagerSpec) -> Self {
        Self::at(seat.group.id, spec.clone())
    }

    fn helper(&self) -> Option<Never> {
        None
    }

    fn plan(&mut self, _: &[Item]) -> Option<Never> {
        None
    }

    fn apply(&mut self, items: Vec<Item>, _: Option<Never>, actions: &mut Vec<Action>) {
        for item in items {
            self.ordered += 1;
            match item.command {
                Command::Request { client, number, body } => {
                    self.on_request(Asker { client, number }, &body, actions);
                }
                Command::Statement { from, body } => {
                    // A statement that cannot be read is of a service that is none of ours.
                    if let Ok(Statement::Up(tx, up)) = decode(&body) {
                        self.on_statement(from, tx, up, actions);
                    }
                }
                Command::Tick => self.on_tick(actions),
            }
        }
    }

    fn tick(&self) -> Option<Span> {
        (!self.ledger.open.is_empty()).then_some(self.spec.tick)
    }

    /// What ends a transaction frees the locks that others wait for.
    fn is_urgent(&self, body: &[u8]) -> bool {
        let request = decode(body);
        matches!(request, Ok(ManagerRequest::Commit { .. } | ManagerRequest::Abort { .. }))
    }

    fn corrupt(&mut self) {
        self.committed = self.committed.wrapping_add(1_000);
    }
}

/// Who waits for an answer, and to which request.
#[derive(Clone, Copy, Debug)]
struct Asker {
    client: ClientId,
    number: Number,
}

impl Asker {
    fn hears(self, reply: &ManagerReply, actions: &mut Vec<Action>) {
        let Self { client, number } = self;
        actions.push(Action::Reply { client, number, body: encode(reply) });
    }
}

impl From<Parked> for Asker {
    fn from(parked: Parked) -> Self {
        Self { client: parked.client, number: parked.number }
    }
}

/// Either the answer, or nothing yet: the request is parked.
type Answer = Result<Option<ManagerReply>, Refusal>;

impl TransactionManager {
    /// The state before the first item, for the group with this id. A replica uses
    /// [`Service::new`]; this one is for tests and model checkers.
    pub fn at(group: GroupId, spec: ManagerSpec) -> Self {
        Self { spec, group, ledger: Ledger::default(), ordered: 0, committed: 0, aborted: 0 }
    }

    /// The counters.
    pub fn status(&self) -> ManagerStatus {
        ManagerStatus {
            ordered: self.ordered,
            open: self.ledger.open.len() + self.ledger.closing.len(),
            begun: self.ledger.begun,
            committed: self.committed,
            aborted: self.aborted,
        }
    }

    /// How a transaction ended, if it has and is remembered.
    pub fn outcome(&self, tx: TxId) -> Option<Outcome> {
        self.ledger.outcome(tx)
    }

    fn on_request(&mut self, asker: Asker, body: &Bytes, actions: &mut Vec<Action>) {
        let answer = match decode(body) {
            Err(error) => {
                let message = format!("not a request to a transaction manager: {error}");
                Err(Refusal::new(Code::Malformed, message))
            }
            Ok(ManagerRequest::Begin { key, lease_millis, retry }) => {
                self.begin(asker.client, key, lease_millis, retry)
            }
            Ok(ManagerRequest::Join { tx, proof }) => self.join(asker.client, tx, &proof, actions),
            Ok(ManagerRequest::Commit { tx, agreed, wait }) => {
                self.agree(asker, tx, agreed, wait, actions)
            }
            Ok(ManagerRequest::Abort { tx, text }) => self.abort(asker.client, tx, text, actions),
            Ok(ManagerRequest::Outcome { tx, wait }) => self.tell_outcome(asker, tx, wait),
            Ok(ManagerRequest::List) => {
                Ok(Some(ManagerReply::List(self.ledger.summaries(self.tick_millis()))))
            }
            Ok(ManagerRequest::Show(tx)) => self.show(tx),
            Ok(ManagerRequest::Status) => Ok(Some(ManagerReply::Status(self.status()))),
        };
        match answer {
            Ok(Some(reply)) => asker.hears(&reply, actions),
            Ok(None) => {}
            Err(refusal) => asker.hears(&ManagerReply::Refused(refusal), actions),
        }
    }

    fn begin(
        &mut self,
        client: ClientId,
        key: JoinKey,
        lease_millis: Option<u64>,
        retry: Option<TxId>,
    ) -> Answer {
        if !key.is_key_sized() {
            return Err(Refusal::new(Code::Malformed, "the key of the token is no key"));
        }
        let id = TxId::new(self.group, self.ledger.begun + 1);
        let age = retry.and_then(|tx| self.ledger.age_left(tx, client));
        let begun = age.unwrap_or(id.number());
        let lease = lease_millis.unwrap_or(self.spec.lease.as_micros() / 1_000);
        let lease_millis = lease.clamp(1, limits::LEASE_MILLIS_MAX);
        let deadline = self.ledger.now + ticks(Span::millis(lease_millis), self.spec.tick);
        let tx = Tx {
            begun,
            key,
            members: vec![client],
            groups: BTreeMap::new(),
            epoch: 0,
            agreed: BTreeSet::new(),
            phase: Phase::Active,
            lease_millis,
            deadline,
            parked: Vec::new(),
        };
        let view = tx.view(id);
        self.ledger.enter(id, tx)?;
        if let (Some(_), Some(wounded)) = (age, retry) {
            self.ledger.take_age(wounded);
        }
        Ok(Some(ManagerReply::Begun { view, lease_millis }))
    }

    fn join(
        &mut self,
        client: ClientId,
        id: TxId,
        proof: &JoinProof,
        actions: &mut Vec<Action>,
    ) -> Answer {
        let Some(tx) = self.ledger.open.get_mut(&id) else { return Err(self.no_token(id)) };
        if !tx.is_member(client) {
            if !tx.key.admits(id, client, proof) {
                let message = format!("this token does not open transaction {id}");
                return Err(Refusal::new(Code::UnknownToken, message));
            }
            if tx.phase == Phase::Preparing {
                return Err(Refusal::committing(id));
            }
            if tx.members.len() >= limits::MEMBERS_MAX {
                let message = format!("transaction {id} has as many clients as it may");
                return Err(Refusal::new(Code::Busy, message));
            }
            tx.members.push(client);
            let votes = tx.changed();
            let view = tx.view(id);
            outdated(votes, &view, actions);
        }
        let view = self.ledger.open[&id].view(id);
        Ok(Some(ManagerReply::Joined(view)))
    }

    /// A token for a transaction that is not open.
    fn no_token(&self, id: TxId) -> Refusal {
        match self.ledger.refusal(id) {
            Refusal { code: Code::UnknownTransaction, message } => {
                Refusal::new(Code::UnknownToken, message)
            }
            refusal => refusal,
        }
    }

    fn agree(
        &mut self,
        asker: Asker,
        id: TxId,
        agreed: Agreed,
        wait: bool,
        actions: &mut Vec<Action>,
    ) -> Answer {
        let Some(tx) = self.ledger.open.get_mut(&id) else { return self.ended(id) };
        if !tx.is_member(asker.client) {
            return Err(Refusal::not_a_member(id));
        }
        let parked = Parked { client: asker.client, number: asker.number, vote: true };
        if tx.phase == Phase::Preparing {
            let full = tx.park(parked).is_err();
            return Ok(full.then(|| ManagerReply::Open(tx.view(id))));
        }
        if tx.view(id).agreed() != agreed {
            return Ok(Some(ManagerReply::Stale(tx.view(id))));
        }
        tx.agreed.insert(asker.client);
        tx.phase = Phase::Voting;
        let all = tx.agreed.len() == tx.members.len();
        let kept = (all || wait) && tx.park(parked).is_ok();
        let reply = (!kept).then(|| ManagerReply::Open(tx.view(id)));
        if all {
            self.advance(id, Happening::AllAgreed, None, actions);
        }
        Ok(reply)
    }

    fn abort(
        &mut self,
        client: ClientId,
        id: TxId,
        text: String,
        actions: &mut Vec<Action>,
    ) -> Answer {
        let Some(tx) = self.ledger.open.get(&id) else {
            return match self.ledger.outcome(id) {
                Some(Outcome::Committed) => Err(Refusal::ended(id, &Outcome::Committed)),
                _ => self.ended(id),
            };
        };
        if !tx.is_member(client) {
            return Err(Refusal::not_a_member(id));
        }
        if text.len() > limits::TEXT_MAX {
            let message = format!("a reason has at most {} bytes", limits::TEXT_MAX);
            return Err(Refusal::new(Code::TooLong, message));
        }
        let reason = AbortReason::Client { client, text };
        let outcome = Outcome::Aborted(reason.clone());
        self.undo(id, reason, actions);
        Ok(Some(ManagerReply::Ended(Ended { tx: id, outcome, fresh: true })))
    }

    fn tell_outcome(&mut self, asker: Asker, id: TxId, wait: bool) -> Answer {
        let Some(tx) = self.ledger.open.get_mut(&id) else { return self.ended(id) };
        let parked = Parked { client: asker.client, number: asker.number, vote: false };
        let kept = wait && tx.is_member(asker.client) && tx.park(parked).is_ok();
        Ok((!kept).then(|| ManagerReply::Open(tx.view(id))))
    }

    fn ended(&self, tx: TxId) -> Answer {
        match self.ledger.outcome(tx) {
            Some(outcome) => Ok(Some(ManagerReply::Ended(Ended { tx, outcome, fresh: false }))),
            None => Err(self.ledger.refusal(tx)),
        }
    }

    fn show(&self, id: TxId) -> Answer {
        let Some(tx) = self.ledger.open.get(&id) else {
            let Some(outcome) = self.ledger.outcome(id) else {
                return Err(self.ledger.refusal(id));
            };
            let waiting = self.ledger.closing.get(&id).into_iter().flatten().copied().collect();
            let ended = Ended { tx: id, outcome, fresh: false };
            return Ok(Some(ManagerReply::Show(Card::Ended { ended, waiting })));
        };
        Ok(Some(ManagerReply::Show(Card::Open {
            view: tx.view(id),
            left_millis: tx.left_millis(self.ledger.now, self.tick_millis()),
            groups: tx.groups.iter().map(|(group, standing)| (*group, *standing)).collect(),
        })))
    }

    fn tick_millis(&self) -> u64 {
        self.spec.tick.as_micros() / 1_000
    }

    /// Time passed: leases end, and groups that did not vote in time lose their say.
    fn on_tick(&mut self, actions: &mut Vec<Action>) {
        self.ledger.now += 1;
        for id in self.ledger.overdue() {
            let silent = self.ledger.open[&id].groups.iter();
            let mut silent = silent.filter(|(_, standing)| **standing == Standing::Asked);
            let reason = match silent.next() {
                Some((group, _)) => AbortReason::Unanswered { group: *group },
                None => AbortReason::Expired,
            };
            self.undo(id, reason, actions);
        }
    }

    /// Aborts, unless it is too late.
    fn undo(&mut self, id: TxId, reason: AbortReason, actions: &mut Vec<Action>) {
        self.advance(id, Happening::Undone, Some(reason), actions);
    }

    /// Moves a transaction on, as the table says.
    fn advance(
        &mut self,
        id: TxId,
        happening: Happening,
        undone: Option<AbortReason>,
        actions: &mut Vec<Action>,
    ) {
        let Some(tx) = self.ledger.open.get(&id) else { return };
        match (next(tx.phase, happening), undone) {
            (Move::Prepare, _) => self.prepare(id, actions),
            (Move::Commit, _) => self.commit(id, actions),
            (Move::Abort, Some(reason)) => self.close(id, reason, actions),
            (Move::Abort | Move::Stay, _) => {}
        }
    }
}

/// Votes that no longer count, because others joined.
fn outdated(votes: Vec<Parked>, view: &crate::request::View, actions: &mut Vec<Action>) {
    for vote in votes {
        Asker::from(vote).hears(&ManagerReply::Stale(view.clone()), actions);
    }
}

fn tell(to: GroupId, tx: TxId, down: Down, actions: &mut Vec<Action>) {
    actions.push(Action::Tell { to, body: encode(&Statement::Down(tx, down)) });
}
