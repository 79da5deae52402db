//! The carrier that reaches a real cluster, in this process or behind addresses.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    pin::pin,
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use maftia::{
    client::{AskError, Client, Haste, Voted, Votes},
    cluster::{Cluster, Condition, FaultError, session_number},
};
use maftia_actors::node::NodeError;
use maftia_core::{
    config::{Config, GroupConfig},
    crypto::deal::Keyring,
    id::{ClientId, GroupId, PartyId},
    replica::session::Why,
};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    carrier::{Answer, Carrier},
    cluster::{Echo, FaultKind, GroupStatus, Item, Replica, ReplicaStatus, State},
    failure::{Code, Failure},
    settings,
};

mod status;

/// How long an answer may take before one looks who could give it.
const LOOK_AFTER: Duration = Duration::from_secs(2);

/// From which look on other groups are looked at too: a group that works may just be slow.
const LOOKS_AT_ALL: u32 = 4;

/// How long a healed replica may take until it answers.
const HEALED_WITHIN: Duration = Duration::from_secs(30);

/// How long the process of a replica that was stopped to be healed may take to be started again.
const RESTARTED_WITHIN: Duration = Duration::from_secs(15);

/// How often one looks whether something has come about.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// How long one waits for quiet: longer than any lease that a console begins without saying so.
const QUIET_WITHIN: Duration = Duration::from_mins(2);

/// A cluster, and the clients that speak to it from here.
pub(crate) struct Reached {
    cluster: Cluster,
    /// The client that the cluster itself was opened with.
    first: String,
    /// Where keys of clients are, if they are not in the cluster.
    keys: Option<PathBuf>,
    clients: RefCell<BTreeMap<String, Rc<Client>>>,
    faults: RefCell<BTreeMap<Replica, FaultKind>>,
    /// How far each replica was, or that it did not answer, at the last look.
    slots: RefCell<BTreeMap<Replica, Option<u64>>>,
    /// Who was healed from here: what was said against it before does not count any more.
    healed: RefCell<BTreeSet<Replica>>,
}

impl Reached {
    /// This cluster, which was opened as `first`. `keys` is the folder with the keys of others.
    pub(crate) fn new(cluster: Cluster, first: String, keys: Option<PathBuf>) -> Self {
        Self {
            cluster,
            first,
            keys,
            clients: RefCell::default(),
            faults: RefCell::default(),
            slots: RefCell::default(),
            healed: RefCell::default(),
        }
    }

    /// Stops what runs in this process.
    pub(crate) async fn stop(self, grace: Duration) {
        for client in self.clients.into_inner().into_values() {
            if let Ok(client) = Rc::try_unwrap(client) {
                client.close().await;
            }
        }
        self.cluster.stop(grace).await;
    }

    fn group(&self, name: &str) -> Result<&GroupConfig, Failure> {
        self.config().named(name).ok_or_else(|| {
            let message = format!("there is no group `{name}`");
            Failure::new(Code::UnknownGroup, message, "`status` lists the groups")
        })
    }

    fn place(&self, at: &Replica) -> Result<(GroupId, PartyId), Failure> {
        Ok((self.group(&at.group)?.id, PartyId::new(at.index)))
    }

    fn replica(&self, group: GroupId, party: PartyId) -> Replica {
        let group = self.config().group(group).map_or_else(String::new, |it| it.name.to_string());
        Replica { group, index: party.number() }
    }

    /// The client of this name; its sessions are opened when it first speaks.
    async fn client(&self, name: &str) -> Result<Option<Rc<Client>>, Failure> {
        if name == self.first {
            return Ok(None);
        }
        if let Some(client) = self.clients.borrow().get(name) {
            return Ok(Some(Rc::clone(client)));
        }
        let opened = if self.keys.is_some() {
            let ring = self.ring(name)?;
            let assembly = self.cluster.assembly();
            Client::open(assembly, &ring, session_number(), Haste::Tally).await
        } else {
            self.cluster.client_named(name).await.ok_or_else(|| self.unknown(name))?
        };
        let client = Rc::new(opened.map_err(|error| broken(&error))?);
        self.clients.borrow_mut().insert(name.to_owned(), Rc::clone(&client));
        Ok(Some(client))
    }

    /// The keys of a client: dealt, or its own where the configuration admits that.
    fn ring(&self, name: &str) -> Result<Keyring, Failure> {
        let folder = self.keys.as_deref().unwrap_or(Path::new(""));
        settings::client_ring(self.config(), folder, name).map_err(|error| {
            let help = error.help();
            let text = error.to_string();
            let message = text.split("\n  help: ").next().unwrap_or_default().to_owned();
            Failure::new(Code::UnknownClient, message, help)
        })
    }

    fn unknown(&self, name: &str) -> Failure {
        let names: Vec<_> = self.config().clients().names.iter().map(|name| &**name).collect();
        let meant = crate::failure::meant(name, names.iter().copied());
        Failure::new(
            Code::UnknownClient,
            format!("nobody here has keys as `{}`", crate::command::words::printable(name)),
            format!("{meant}there are {}", names.join(", ")),
        )
    }

    fn answer(voted: Voted<Bytes>) -> Answer {
        let Voted { value, votes } = voted;
        let Votes { agree, outvoted, silent, .. } = votes;
        Answer { body: value, agree, outvoted, silent }
    }

    fn failure(&self, error: AskError) -> Failure {
        let name = |group: GroupId| {
            self.config().group(group).map_or_else(String::new, |group| group.name.to_string())
        };
        match error {
            AskError::NoQuorum { group, equal, needed, heard, of } => Failure::new(
                Code::QuorumLost,
                format!(
                    "group `{}` lost its quorum: {heard} of {of} replicas answered, {equal} of them \
                     alike, {needed} equal answers are needed",
                    name(group)
                ),
                "see `status`; the request may still take effect",
            ),
            AskError::Busy(group) => Failure::new(
                Code::Busy,
                format!("group `{}` has no room for new requests", name(group)),
                "end some transactions, or try again later",
            ),
            AskError::Refused(group, Why::Superseded) => Failure::client_in_use(format!(
                "`{}` serves a later session of this client",
                name(group)
            )),
            AskError::Stopped(why) => {
                Failure::client_in_use(format!("this console was left: {why}"))
            }
            other => Failure::new(Code::Refused, other.to_string(), "see `status`"),
        }
    }

    /// Fails if the group that was asked has too few correct replicas to go on. With `all`, if any
    /// has: the one that was asked may wait for it.
    async fn judge(&self, asked: GroupId, all: bool) -> Result<(), Failure> {
        let status = self.status().await?;
        let others = status.iter().filter(|_| all);
        for group in status.iter().skip(asked.index()).take(1).chain(others) {
            let able = |it: &&ReplicaStatus| it.fault.is_none() && !it.state.is_fault();
            let able = group.replicas.iter().filter(able).count();
            let needed = usize::from(group.n - group.f);
            if able < needed {
                return Err(Failure::quorum_lost(&group.name, able, group.n, needed, group.f));
            }
        }
        Ok(())
    }

    /// Waits until a replica answers; else fails with this error.
    async fn answers_within(
        &self,
        at: &Replica,
        span: Duration,
        error: &FaultError,
    ) -> Result<(), Failure> {
        let (group, party) = self.place(at)?;
        let until = Instant::now() + span;
        while !matches!(self.cluster.condition(group, party).await, Condition::Answers(_)) {
            if Instant::now() > until {
                return Err(not_set(at, error));
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    async fn ask(&self, client: &Client, to: GroupId, body: Bytes) -> Result<Answer, Failure> {
        let mut ask = pin!(client.ask_patiently(to, body));
        for look in 1.. {
            match timeout(LOOK_AFTER, &mut ask).await {
                Ok(Ok(voted)) => return Ok(Self::answer(voted)),
                Ok(Err(error)) => {
                    let unheard = matches!(error, AskError::NoQuorum { .. });
                    self.judge(to, unheard).await?;
                    return Err(self.failure(error));
                }
                Err(_) => self.judge(to, look >= LOOKS_AT_ALL).await?,
            }
        }
        unreachable!("nobody looks that often")
    }
}

impl Carrier for Reached {
    fn config(&self) -> &Config {
        self.cluster.assembly().config()
    }

    async fn open(&self, client: &str) -> Result<ClientId, Failure> {
        let other = self.client(client).await?;
        Ok(other.map_or_else(|| self.cluster.client().id(), |client| client.id()))
    }

    fn name_of(&self, client: ClientId) -> String {
        if let Some(name) = self.cluster.assembly().public().client_name(client) {
            return name.to_owned();
        }
        let opened = self.clients.borrow();
        let here = opened.iter().find(|(_, it)| it.id() == client);
        here.map_or_else(|| client.to_string(), |(name, _)| name.clone())
    }

    async fn carry(&self, client: &str, to: GroupId, body: Bytes) -> Result<Answer, Failure> {
        match self.client(client).await? {
            None => self.ask(self.cluster.client(), to, body).await,
            Some(other) => self.ask(&other, to, body).await,
        }
    }

    fn faults(&self) -> Vec<(Replica, FaultKind)> {
        self.faults.borrow().iter().map(|(at, kind)| (at.clone(), *kind)).collect()
    }

    async fn status(&self) -> Result<Vec<GroupStatus>, Failure> {
        if let Some(why) = self.cluster.client().stopped() {
            return Err(self.failure(AskError::Stopped(why)));
        }
        Ok(self.look().await)
    }

    async fn fault(&self, at: &Replica, kind: FaultKind) -> Result<(), Failure> {
        let (group, party) = self.place(at)?;
        let set = self.cluster.fault(group, party, kind).await;
        set.map_err(|error| not_set(at, &error))?;
        self.faults.borrow_mut().insert(at.clone(), kind);
        self.healed.borrow_mut().remove(at);
        Ok(())
    }

    async fn heal(&self, at: &Replica) -> Result<(), Failure> {
        let (group, party) = self.place(at)?;
        let fault = self.faults.borrow().get(at).copied();
        if fault == Some(FaultKind::CorruptState) {
            // What it remembers is right: it makes its state anew from that.
            match self.cluster.fault(group, party, FaultKind::Crash).await {
                // It has stopped already.
                Ok(()) | Err(FaultError::Silent) => {}
                Err(error) => return Err(not_set(at, &error)),
            }
        }
        match self.cluster.heal(group, party).await {
            // Over the network, whoever looks after its process starts it again.
            Err(FaultError::Remote) if fault == Some(FaultKind::CorruptState) => {
                self.answers_within(at, RESTARTED_WITHIN, &FaultError::Remote).await?;
            }
            healed => healed.map_err(|error| not_set(at, &error))?,
        }
        self.faults.borrow_mut().remove(at);
        self.healed.borrow_mut().insert(at.clone());
        let wait = self.answers_within(at, HEALED_WITHIN, &FaultError::Silent).await;
        wait.map_err(|_| {
            let message = format!("{at} was healed, and does not answer yet");
            Failure::new(Code::Busy, message, "see `status`")
        })
    }

    async fn accusations(&self) -> Result<Vec<Item>, Failure> {
        Ok(self.held().await)
    }

    async fn quiet(&self) -> Result<(), Failure> {
        let until = Instant::now() + QUIET_WITHIN;
        let mut before = Vec::new();
        while Instant::now() < until {
            let now = self.progress().await;
            if now == before && status::is_level(&now) {
                return Ok(());
            }
            before = now;
            sleep(LOOK_EVERY).await;
        }
        let help = "an open transaction or a replica that catches up keeps it busy: see `status`";
        Err(Failure::new(Code::Busy, "the cluster does not come to rest", help))
    }

    async fn echoes(&self, idle: bool) -> Vec<Echo> {
        self.news(idle).await
    }
}

/// Why a fault was not set or taken back.
fn not_set(at: &Replica, error: &FaultError) -> Failure {
    let (code, help) = match error {
        FaultError::NoMember => (Code::UnknownReplica, "`status` lists the replicas"),
        FaultError::NoLab => (
            Code::NotALab,
            "start its node with --lab, or say `lab = true`, and never where it matters",
        ),
        FaultError::Silent => (Code::Refused, "`heal` it first"),
        FaultError::Remote => {
            (Code::Refused, "start its process again: `maftia node`, or `maftia up --restart`")
        }
        FaultError::Start(_) => (Code::Io, "see the log"),
    };
    Failure::new(code, format!("{at}: {error}"), help)
}

fn broken(error: &NodeError) -> Failure {
    Failure::new(Code::Io, format!("cannot open a session: {error}"), "see the log")
}
