//! Transactions on a real cluster: each call of the console becomes requests to groups.

use std::{cell::RefCell, time::Duration};

use bytes::Bytes;
use maftia_core::{
    config::{GroupConfig, ServiceConfig},
    id::{ClientId, GroupId, PartyId},
};
use maftia_tss::{
    client::{self, Call, Progress, Transfer},
    lock::{Mode, Row, Survey},
    refusal::{Code as Why, Refusal},
    request::{Card, Ended, Summary, View},
    resources::Operation,
    token::{Seed, Token},
    transaction::{AbortReason, Key, Outcome},
};

use crate::{
    carrier::{Answer, Carrier},
    cluster::{
        Account, Begun, Change, Cluster, Echo, Ending, FaultKind, Group, GroupStatus, Item,
        LockLine, Replica, Role, TxCard, TxLine, Voted, Votes, kind,
    },
    command::words::printable,
    failure::{Code, Failure},
};

mod plain;
mod refused;
mod watch;

use plain::{account_of, change, fresh, group, number, said_progress, said_value, tx_id};
use refused::{bad_token, no_account, refused};
use watch::Watch;

/// How often a vote is repeated because somebody joined meanwhile. Members and groups of a
/// transaction are bounded, and each joins once.
const VOTES_MAX: usize = 40;

/// A cluster that a carrier reaches.
pub(crate) struct Live<C> {
    carrier: C,
    watch: RefCell<Watch>,
    groups: Vec<Group>,
}

impl<C: Carrier> Live<C> {
    /// The cluster behind this carrier.
    pub(crate) fn new(carrier: C) -> Self {
        let groups = carrier.config().groups().iter().map(group).collect();
        Self { carrier, watch: RefCell::default(), groups }
    }

    /// The carrier itself, to stop it.
    pub(crate) fn into_carrier(self) -> C {
        self.carrier
    }

    /// Asks a group, and reads what it answered. `said` is how an answer looks in an echo.
    async fn ask<T>(
        &self,
        client: &str,
        call: &Call<T>,
        said: fn(&T) -> String,
    ) -> Result<Voted<T>, Failure> {
        self.carrier.open(client).await?;
        let answer = self.carrier.carry(client, call.to(), call.body()).await?;
        let votes = self.votes(call, &answer, said);
        let value = call.read(&answer.body).map_err(|refusal| self.refused(&refusal))?;
        Ok(Voted { value, votes: vec![votes] })
    }

    fn votes<T>(&self, call: &Call<T>, answer: &Answer, said: fn(&T) -> String) -> Votes {
        let group = &self.groups[call.to().index()];
        let numbers = |parties: &[PartyId]| parties.iter().map(|party| party.number()).collect();
        let words = |(party, body): &(PartyId, Bytes)| {
            let words = match call.read(body) {
                Ok(value) => said(&value),
                Err(refusal) if refusal.code == Why::Malformed => "nothing that can be read".into(),
                Err(refusal) => refusal.message,
            };
            // A liar chose them.
            (party.number(), printable(&words))
        };
        let lying = |(at, kind): &(Replica, FaultKind)| at.group == group.name && kind::lies(*kind);
        let liars = self.carrier.faults().iter().filter(|fault| lying(fault)).count();
        let votes = Votes {
            group: group.name.clone(),
            of: group.n,
            agree: numbers(&answer.agree),
            outvoted: answer.outvoted.iter().map(words).collect(),
            silent: numbers(&answer.silent),
            broken: liars > usize::from(group.f),
        };
        self.watch.borrow_mut().saw(&votes);
        votes
    }

    fn refused(&self, refusal: &Refusal) -> Failure {
        refused(refusal, |text| self.named(text))
    }

    /// Group ids in a text of the service, as people know them.
    fn named(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (place, group) in self.groups.iter().enumerate().rev() {
            text = text.replace(&GroupId::new(place as u16).to_string(), &group.name);
        }
        text
    }

    fn config(&self, group: &str) -> Result<&GroupConfig, Failure> {
        self.carrier.config().named(group).ok_or_else(|| {
            let message = format!("there is no group `{group}`");
            Failure::new(Code::UnknownGroup, message, "`status` lists the groups")
        })
    }

    fn manager(&self) -> Result<GroupId, Failure> {
        let manager = self.carrier.config().transactions().map(|group| group.id);
        manager.ok_or_else(|| {
            let message = "no group of this cluster manages transactions";
            Failure::new(Code::UnknownGroup, message, "`maftia config explain` shows the groups")
        })
    }

    fn place(&self, account: &Account) -> Result<(GroupId, Key), Failure> {
        let group = self.config(&account.group)?.id;
        let key = Key::new(&account.key).map_err(|error| self.refused(&error.into()))?;
        Ok((group, key))
    }

    fn name_of(&self, client: ClientId) -> String {
        self.carrier.name_of(client)
    }

    fn ending(&self, ended: &Ended) -> Ending {
        match &ended.outcome {
            Outcome::Committed => Ending::Committed,
            Outcome::Aborted(reason) => Ending::Aborted(self.reason(reason)),
        }
    }

    fn reason(&self, reason: &AbortReason) -> String {
        match reason {
            AbortReason::Client { client, text } if text.is_empty() => {
                format!("`{}` wanted it so", self.name_of(*client))
            }
            AbortReason::Client { client, text } => format!("`{}`: {text}", self.name_of(*client)),
            other => self.named(&other.to_string()),
        }
    }

    fn names(&self, clients: &[ClientId]) -> Vec<String> {
        clients.iter().map(|client| self.name_of(*client)).collect()
    }

    /// Agrees to what the managers say now. Who joins meanwhile makes the vote stale; then it is
    /// repeated, as the person at the console would.
    async fn vote(
        &self,
        client: &str,
        mut view: View,
        here: &[String],
    ) -> Result<Voted<Ending>, Failure> {
        let mut waits = false;
        for _ in 0..VOTES_MAX {
            let call = client::commit(&view, waits);
            let Voted { value, votes } = self.ask(client, &call, said_progress).await?;
            match value {
                Progress::Ended(ended) => return Ok(Voted { value: self.ending(&ended), votes }),
                Progress::Stale(now) => view = now,
                Progress::Waiting(now) => {
                    let missing = self.names(&now.missing);
                    if missing.iter().any(|name| here.contains(name)) {
                        return Ok(Voted { value: Ending::Pending(missing), votes });
                    }
                    (view, waits) = (now, true);
                }
            }
        }
        Err(Failure::new(
            Code::Busy,
            format!("others keep joining transaction {}", view.tx),
            "`commit` again when all are in",
        ))
    }

    fn locks_of(group: &str, survey: &Survey) -> Vec<LockLine> {
        let line = |row: &Row| {
            let exclusive = row.holders.iter().any(|(_, mode, _)| *mode == Mode::Exclusive);
            LockLine {
                account: Account { group: group.to_owned(), key: row.key.to_string() },
                mode: if exclusive { "exclusive" } else { "shared" }.to_owned(),
                holders: row.holders.iter().map(|(tx, ..)| tx.to_string()).collect(),
                waiting: row.waiters.iter().map(|(tx, _)| tx.to_string()).collect(),
            }
        };
        survey.rows.iter().map(line).collect()
    }

    fn card(&self, card: Card) -> TxCard {
        match card {
            Card::Open { view, groups, .. } => TxCard {
                tx: view.tx.to_string(),
                state: view.phase.to_string(),
                clients: self.names(&view.members),
                waiting_for: self.names(&view.missing),
                groups: groups
                    .iter()
                    .map(|(id, said)| (self.named(&id.to_string()), said.word().to_owned()))
                    .collect(),
                reason: None,
            },
            Card::Ended { ended, waiting } => TxCard {
                tx: ended.tx.to_string(),
                state: ended.outcome.word().to_owned(),
                clients: Vec::new(),
                waiting_for: Vec::new(),
                groups: waiting
                    .iter()
                    .map(|id| (self.named(&id.to_string()), "has yet to acknowledge".to_owned()))
                    .collect(),
                reason: ended.outcome.reason().map(|reason| self.reason(reason)),
            },
        }
    }

    /// Who asks where no client was named: the lists belong to nobody.
    fn anybody(&self) -> String {
        self.watch.borrow().speaker().unwrap_or("you").to_owned()
    }
}

impl<C: Carrier> Cluster for Live<C> {
    fn groups(&self) -> Vec<Group> {
        self.groups.clone()
    }

    fn accounts(&self) -> Vec<Account> {
        let groups = self.carrier.config().groups().iter();
        let accounts = groups.flat_map(|group| match &group.service {
            ServiceConfig::Accounts(accounts) => {
                accounts.keys().map(|key| account_of(group, key)).collect()
            }
            ServiceConfig::Transactions => Vec::new(),
        });
        accounts.collect()
    }

    async fn echoes(&self, idle: bool) -> Vec<Echo> {
        self.carrier.echoes(idle).await
    }

    async fn speak_as(&self, client: &str) -> Result<(), Failure> {
        self.carrier.open(client).await?;
        self.watch.borrow_mut().speaks(client);
        Ok(())
    }

    async fn begin(&self, client: &str, lease: Option<Duration>) -> Result<Voted<Begun>, Failure> {
        let seed = Seed::new(fresh()?);
        let millis = lease.map(|lease| lease.as_millis().try_into().unwrap_or(u64::MAX));
        let call = client::begin(self.manager()?, &seed, millis, None);
        let Voted { value, votes } =
            self.ask(client, &call, |begun| format!("tx {}", begun.view.tx)).await?;
        let (tx, token) = (value.view.tx.to_string(), value.token(seed).to_string());
        Ok(Voted { value: Begun { tx, token }, votes })
    }

    async fn join(&self, client: &str, token: &str) -> Result<Voted<String>, Failure> {
        let token: Token = token.parse().map_err(|error| bad_token(&error))?;
        if token.tx().manager() != self.manager()? {
            return Err(bad_token(&"it belongs to another cluster"));
        }
        let me = self.carrier.open(client).await?;
        let Voted { value, votes } =
            self.ask(client, &client::join(me, &token), |view| format!("tx {}", view.tx)).await?;
        Ok(Voted { value: value.tx.to_string(), votes })
    }

    async fn read(
        &self,
        client: &str,
        tx: Option<&str>,
        account: &Account,
    ) -> Result<Voted<i64>, Failure> {
        let tx = tx.map(tx_id).transpose()?;
        let (group, key) = self.place(account)?;
        let call = client::operate(group, tx, key, Operation::Read);
        let read = self.ask(client, &call, said_value).await;
        let Voted { value, votes } = read.map_err(|error| no_account(error, [account]))?;
        Ok(Voted { value: number(&value.value)?, votes })
    }

    async fn write(
        &self,
        client: &str,
        tx: &str,
        account: &Account,
        value: i64,
    ) -> Result<Voted<Change>, Failure> {
        let (group, key) = self.place(account)?;
        let operation = Operation::Write(value.to_string());
        let call = client::operate(group, Some(tx_id(tx)?), key, operation);
        let Voted { value, votes } = self.ask(client, &call, said_value).await?;
        Ok(Voted { value: change(account, &value)?, votes })
    }

    async fn transfer(
        &self,
        client: &str,
        tx: &str,
        from: &Account,
        to: &Account,
        amount: i64,
    ) -> Result<Voted<Vec<Change>>, Failure> {
        let mut transfer = Transfer::new(tx_id(tx)?, self.place(from)?, self.place(to)?, amount);
        let mut all = Vec::new();
        while let Some(call) = transfer.call() {
            self.carrier.open(client).await?;
            let answer = self.carrier.carry(client, call.to(), call.body()).await?;
            all.push(self.votes(&call, &answer, said_value));
            transfer.heard(call.read(&answer.body));
        }
        let moved = match transfer.result() {
            Some(Ok(moved)) => moved,
            Some(Err(refusal)) => return Err(no_account(self.refused(refusal), [from, to])),
            None => unreachable!("a transfer without another call is over"),
        };
        let changes = vec![change(from, &moved.withdrawn)?, change(to, &moved.deposited)?];
        Ok(Voted { value: changes, votes: all })
    }

    async fn commit(
        &self,
        client: &str,
        tx: &str,
        here: &[String],
    ) -> Result<Voted<Ending>, Failure> {
        let call = client::outcome(tx_id(tx)?, false);
        let Voted { value, votes } = self.ask(client, &call, said_progress).await?;
        match value {
            Progress::Ended(ended) => Ok(Voted { value: self.ending(&ended), votes }),
            Progress::Waiting(view) | Progress::Stale(view) => self.vote(client, view, here).await,
        }
    }

    async fn abort(&self, client: &str, tx: &str, reason: &str) -> Result<Voted<Ending>, Failure> {
        let call = client::abort(tx_id(tx)?, reason);
        let Voted { value, votes } =
            self.ask(client, &call, |ended| ended.outcome.word().to_owned()).await?;
        Ok(Voted { value: self.ending(&value), votes })
    }

    async fn transactions(&self) -> Result<Voted<Vec<TxLine>>, Failure> {
        let call = client::list(self.manager()?);
        let count = |list: &Vec<_>| format!("{} transactions", list.len());
        let Voted { value, votes } = self.ask(&self.anybody(), &call, count).await?;
        let line = |it: Summary| TxLine {
            tx: it.tx.to_string(),
            state: it.phase.to_string(),
            clients: it.members,
            groups: it.groups,
            left_ms: it.left_millis,
        };
        Ok(Voted { value: value.into_iter().map(line).collect(), votes })
    }

    async fn transaction(&self, tx: &str) -> Result<Voted<TxCard>, Failure> {
        let call = client::show(tx_id(tx)?);
        let Voted { value, votes } =
            self.ask(&self.anybody(), &call, |_| "another card".to_owned()).await?;
        Ok(Voted { value: self.card(value), votes })
    }

    async fn locks(&self) -> Result<Voted<Vec<LockLine>>, Failure> {
        let (mut lines, mut all) = (Vec::new(), Vec::new());
        for (place, group) in self.groups.iter().enumerate() {
            if group.role == Role::Transactions {
                continue;
            }
            let call = client::locks(GroupId::new(place as u16));
            let Voted { value, votes } =
                self.ask(&self.anybody(), &call, |it| format!("{} locks", it.held)).await?;
            lines.extend(Self::locks_of(&group.name, &value));
            all.extend(votes);
        }
        Ok(Voted { value: lines, votes: all })
    }

    async fn status(&self) -> Result<Vec<GroupStatus>, Failure> {
        let status = self.carrier.status().await?;
        self.watch.borrow_mut().looked(&status);
        Ok(status)
    }

    async fn fault(&self, at: &Replica, kind: FaultKind) -> Result<(), Failure> {
        self.carrier.fault(at, kind).await
    }

    async fn heal(&self, at: &Replica) -> Result<(), Failure> {
        self.carrier.heal(at).await
    }

    async fn evidence(&self) -> Result<Vec<Item>, Failure> {
        // Silence shows when one looks.
        self.status().await?;
        let accusations = self.carrier.accusations().await?;
        Ok(self.watch.borrow().with(accusations))
    }

    async fn quiet(&self) -> Result<(), Failure> {
        self.carrier.quiet().await
    }
}

#[cfg(test)]
mod tests;
