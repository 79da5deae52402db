//! Runs commands: who speaks, in which transaction, and what a command means there.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use crate::{
    cluster::{Account, Change, Cluster, Ending, FaultKind, Group, Replica, Role, Voted},
    command::{Command, table::TABLE, words::printable},
    failure::{Code, Failure, meant},
    report::{Ended, HelpLine, Reading, Report, Tally},
};

mod faults;

/// How long leaving waits for the aborts of what is open. The leases end what this leaves behind.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);

/// A console without its screen.
pub(crate) struct Shell<C> {
    cluster: C,
    groups: Vec<Group>,
    client: String,
    seats: BTreeMap<String, Seat>,
    token: Option<String>,
}

/// Where a client stands.
#[derive(Clone, Debug, Default)]
struct Seat {
    /// The transaction that it is in.
    tx: Option<String>,
    /// Whether it has agreed to commit that.
    agreed: bool,
    /// The transaction that it was in before, and how that ended.
    last: Option<(String, Ending)>,
}

/// Why a command failed, and what it gave all the same.
#[derive(Debug)]
pub(crate) struct Failed {
    /// Why.
    pub(crate) failure: Failure,
    /// What it gave.
    pub(crate) report: Option<Report>,
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self { failure, report: None }
    }
}

impl<C: Cluster> Shell<C> {
    /// A console at which `client` sits.
    pub(crate) fn new(cluster: C, client: &str) -> Self {
        let groups = cluster.groups();
        let client = client.to_owned();
        Self { cluster, groups, client, seats: BTreeMap::new(), token: None }
    }

    /// The cluster behind it.
    pub(crate) const fn cluster(&self) -> &C {
        &self.cluster
    }

    /// The cluster behind it, to stop it.
    pub(crate) fn into_cluster(self) -> C {
        self.cluster
    }

    /// Who speaks.
    pub(crate) fn client(&self) -> &str {
        &self.client
    }

    /// The transaction that the one who speaks is in.
    pub(crate) fn tx(&self) -> Option<&str> {
        self.seats.get(&self.client)?.tx.as_deref()
    }

    /// The clients that have spoken here.
    pub(crate) fn clients(&self) -> Vec<String> {
        self.seats.keys().chain([&self.client]).cloned().collect()
    }

    /// The transactions that the clients of this console are or were in.
    pub(crate) fn transactions(&self) -> Vec<String> {
        let last = |seat: &Seat| seat.last.as_ref().map(|(tx, _)| tx.clone());
        self.seats.values().filter_map(|seat| seat.tx.clone().or_else(|| last(seat))).collect()
    }

    /// Runs a command. A dropped run leaves the console as it was.
    pub(crate) async fn run(&mut self, command: Command) -> Result<Report, Failed> {
        match command {
            Command::Help(topic) => Ok(Self::help(topic.as_deref())),
            // Whoever reads the lines runs these: each is many commands.
            Command::Tour | Command::Source(_) => Ok(Report::Toured { steps: Vec::new() }),
            Command::Begin(lease) => Ok(self.begin(lease).await?),
            Command::Join(token) => Ok(self.join(&token).await?),
            Command::As(client) => Ok(self.speak_as(client).await?),
            Command::Read(account) => Ok(self.read(account).await?),
            Command::Write(account, value) => Ok(self.write(&account, value).await?),
            Command::Transfer { from, to, amount } => Ok(self.transfer(&from, &to, amount).await?),
            Command::Commit => self.commit().await,
            Command::Abort(reason) => Ok(self.abort(&reason).await?),
            Command::TxList => {
                let transactions = self.cluster.transactions().await?.value;
                Ok(Report::Transactions { transactions })
            }
            Command::TxShow(tx) => {
                Ok(Report::Transaction(self.cluster.transaction(&tx).await?.value))
            }
            Command::Status(group) => Ok(self.status(group.as_deref()).await?),
            Command::Locks => Ok(Report::Locks { locks: self.cluster.locks().await?.value }),
            Command::Fault { at, kind, force } => Ok(self.fault(at, kind, force).await?),
            Command::Heal(at) => Ok(self.heal(at).await?),
            Command::Evidence(limit) => Ok(self.evidence(limit).await?),
            Command::WaitQuiet => Ok(self.quiet().await?),
            Command::Quit => Ok(self.leave().await),
        }
    }

    fn help(topic: Option<&str>) -> Report {
        let asked = |name: &str| topic.is_none_or(|topic| topic == name);
        let commands = TABLE.iter().filter(|entry| asked(entry.name)).map(HelpLine::of).collect();
        Report::Help { commands }
    }

    async fn begin(&mut self, lease: Option<Duration>) -> Result<Report, Failure> {
        self.must_be_free()?;
        let Voted { value, votes } = self.cluster.begin(&self.client, lease).await?;
        self.token = Some(value.token.clone());
        self.enter(&value.tx);
        let client = self.client.clone();
        Ok(Report::Begun { tx: value.tx, token: value.token, client, tally: Tally(votes) })
    }

    async fn join(&mut self, token: &str) -> Result<Report, Failure> {
        self.must_be_free()?;
        let token = match token {
            "$token" => self.token.clone().ok_or_else(|| {
                let message = "this console has begun no transaction, so $token is nothing";
                Failure::new(Code::UnknownToken, message, "`begin` prints a token")
            })?,
            token => token.to_owned(),
        };
        let Voted { value: tx, votes } = self.cluster.join(&self.client, &token).await?;
        self.enter(&tx);
        Ok(Report::Joined { tx, client: self.client.clone(), tally: Tally(votes) })
    }

    async fn speak_as(&mut self, client: String) -> Result<Report, Failure> {
        self.cluster.speak_as(&client).await?;
        let before = self.tx().map(str::to_owned);
        self.client.clone_from(&client);
        let tx = self.tx().map(str::to_owned);
        let left_behind = before.filter(|before| tx.as_ref() != Some(before));
        Ok(Report::Client { client, tx, left_behind })
    }

    async fn read(&mut self, account: Account) -> Result<Report, Failure> {
        self.check_account(&account)?;
        let tx = self.tx().map(str::to_owned);
        let read = self.cluster.read(&self.client, tx.as_deref(), &account).await;
        let voted = self.heed(tx.as_deref(), read)?;
        Ok(Report::Read(Reading::new(account, voted)))
    }

    async fn write(&mut self, account: &Account, value: i64) -> Result<Report, Failure> {
        self.check_account(account)?;
        let tx = self.must_be_in()?;
        let wrote = self.cluster.write(&self.client, &tx, account, value).await;
        let Voted { value, votes } = self.heed(Some(&tx), wrote)?;
        Ok(changed(tx, Voted { value: vec![value], votes }))
    }

    async fn transfer(
        &mut self,
        from: &Account,
        to: &Account,
        amount: i64,
    ) -> Result<Report, Failure> {
        self.check_account(from)?;
        self.check_account(to)?;
        if from == to {
            let message = format!("{from} cannot pay itself");
            return Err(Failure::new(Code::BadArguments, message, "name two accounts"));
        }
        let tx = self.must_be_in()?;
        let moved = self.cluster.transfer(&self.client, &tx, from, to, amount).await;
        Ok(changed(tx.clone(), self.heed(Some(&tx), moved)?))
    }

    async fn commit(&mut self) -> Result<Report, Failed> {
        let tx = self.must_be_in()?;
        let begun = Instant::now();
        let here = self.others_in(&tx);
        let ended = self.cluster.commit(&self.client, &tx, &here).await;
        let ended = self.heed_end(ended)?;
        let report = self.ended(tx, ended, begun);
        match &report {
            Report::Ended(Ended { outcome: "aborted", reason, tx, .. }) => {
                let why = reason.as_deref().unwrap_or("no reason was given");
                let message = format!("transaction {tx} was aborted: {why}");
                let help = "nothing of it has taken effect; `begin` starts over";
                let failure = Failure::new(Code::Aborted, message, help);
                Err(Failed { failure, report: Some(report) })
            }
            _ => Ok(report),
        }
    }

    async fn abort(&mut self, reason: &str) -> Result<Report, Failure> {
        let tx = self.must_be_in()?;
        let begun = Instant::now();
        let ended = self.cluster.abort(&self.client, &tx, reason).await;
        let ended = self.heed_end(ended)?;
        Ok(self.ended(tx, ended, begun))
    }

    /// Remembers how a transaction stands, for all clients of this console that are in it.
    fn ended(&mut self, tx: String, voted: Voted<Ending>, begun: Instant) -> Report {
        let (outcome, reason, waiting_for) = match voted.value.clone() {
            Ending::Committed => ("committed", None, Vec::new()),
            Ending::Aborted(reason) => ("aborted", Some(reason), Vec::new()),
            Ending::Pending(clients) => ("pending", None, clients),
        };
        if outcome == "pending" {
            self.seats.entry(self.client.clone()).or_default().agreed = true;
        } else {
            self.close(&tx, &voted.value);
        }
        let took_ms = begun.elapsed().as_millis() as u64;
        let tally = Tally(voted.votes);
        Report::Ended(Ended { tx, outcome, reason, waiting_for, took_ms, tally })
    }

    async fn leave(&mut self) -> Report {
        let mut aborted = Vec::new();
        let open = self.seats.iter().filter_map(|(client, seat)| {
            seat.tx.clone().filter(|_| !seat.agreed).map(|tx| (tx, client.clone()))
        });
        for (tx, client) in open.collect::<BTreeMap<_, _>>() {
            let abort = self.cluster.abort(&client, &tx, "its client left");
            if let Ok(Ok(_)) = tokio::time::timeout(LEAVE_WITHIN, abort).await {
                self.close(&tx, &Ending::Aborted("its client left".to_owned()));
                aborted.push(tx);
            }
        }
        Report::Left { aborted }
    }

    async fn quiet(&self) -> Result<Report, Failure> {
        let begun = Instant::now();
        self.cluster.quiet().await?;
        Ok(Report::Quiet { quiet: true, took_ms: begun.elapsed().as_millis() as u64 })
    }
}

impl<C> Shell<C> {
    fn enter(&mut self, tx: &str) {
        let seat = self.seats.entry(self.client.clone()).or_default();
        *seat = Seat { tx: Some(tx.to_owned()), agreed: false, last: None };
    }

    /// The transaction is over, for every client of this console.
    fn close(&mut self, tx: &str, ending: &Ending) {
        for seat in self.seats.values_mut().filter(|seat| seat.tx.as_deref() == Some(tx)) {
            *seat = Seat { tx: None, agreed: false, last: Some((tx.to_owned(), ending.clone())) };
        }
    }

    /// The other clients of this console that are in the transaction.
    fn others_in(&self, tx: &str) -> Vec<String> {
        let others = self.seats.iter().filter(|(name, _)| **name != self.client);
        let inside = others.filter(|(_, seat)| seat.tx.as_deref() == Some(tx));
        inside.map(|(name, _)| name.clone()).collect()
    }

    fn must_be_free(&self) -> Result<(), Failure> {
        match self.seats.get(&self.client).and_then(|seat| seat.tx.as_ref()) {
            None => Ok(()),
            Some(tx) => Err(Failure::new(
                Code::AlreadyInTransaction,
                format!("`{}` is in transaction {tx} already", self.client),
                "`commit` or `abort` it first",
            )),
        }
    }

    fn must_be_in(&self) -> Result<String, Failure> {
        let seat = self.seats.get(&self.client).cloned().unwrap_or_default();
        match (seat.tx, seat.last) {
            (Some(tx), _) => Ok(tx),
            (None, Some((tx, Ending::Committed))) => Err(Failure::new(
                Code::AlreadyCommitted,
                format!("transaction {tx} is committed already"),
                "nothing is left to do; `begin` starts another one",
            )),
            (None, Some((tx, Ending::Aborted(why)))) => Err(Failure::new(
                Code::AlreadyAborted,
                format!("transaction {tx} is aborted already: {why}"),
                "nothing of it has taken effect; `begin` starts over",
            )),
            (None, _) => Err(Failure::not_in_transaction(&self.client)),
        }
    }

    /// An operation that found its transaction aborted ends it here too.
    fn heed<T>(&mut self, tx: Option<&str>, result: Result<T, Failure>) -> Result<T, Failure> {
        if let (Some(tx), Err(failure)) = (tx, &result)
            && failure.code == Code::Aborted
        {
            self.close(tx, &Ending::Aborted(failure.message.clone()));
        }
        result
    }

    /// The same for an ending that came too late.
    fn heed_end<T>(&mut self, result: Result<T, Failure>) -> Result<T, Failure> {
        if let Err(failure) = &result
            && let Some(tx) = self.seats.get(&self.client).and_then(|seat| seat.tx.clone())
        {
            match failure.code {
                Code::AlreadyCommitted => self.close(&tx, &Ending::Committed),
                Code::AlreadyAborted | Code::Aborted => {
                    self.close(&tx, &Ending::Aborted(failure.message.clone()));
                }
                _ => {}
            }
        }
        result
    }

    fn group(&self, name: &str) -> Result<&Group, Failure> {
        self.groups.iter().find(|group| group.name == name).ok_or_else(|| {
            let names: Vec<_> = self.groups.iter().map(|group| group.name.as_str()).collect();
            let meant = meant(name, names.iter().copied());
            let help = format!("{meant}there are {}", names.join(", "));
            Failure::new(
                Code::UnknownGroup,
                format!("there is no group `{}`", printable(name)),
                help,
            )
        })
    }

    fn check_account(&self, account: &Account) -> Result<(), Failure> {
        let group = self.group(&account.group)?;
        if group.role == Role::Resources {
            return Ok(());
        }
        let keep = self.groups.iter().filter(|group| group.role == Role::Resources);
        let keep: Vec<_> = keep.map(|group| group.name.as_str()).collect();
        Err(Failure::new(
            Code::UnknownAccount,
            format!("group `{}` manages transactions and keeps no accounts", group.name),
            format!("accounts are kept by {}", keep.join(", ")),
        ))
    }
}

fn changed(tx: String, voted: Voted<Vec<Change>>) -> Report {
    Report::Changed { tx, changes: voted.value, tally: Tally(voted.votes) }
}

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;
