//! A whole cluster as one sees it from outside: in this process, or behind addresses.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use maftia_actors::{
    accusations::Seen,
    link::memory::Hub,
    log::Store,
    node::{Durability, Frozen, NodeError},
    party::State,
};
use maftia_core::{
    config::Config,
    crypto::deal::{Deal, Keyring},
    id::{GroupId, PartyId},
    seat::Owner,
};
use tokio::sync::Mutex;

use crate::{
    assembly::{Assembly, Reach},
    client::{Client, Haste},
    control::{Answer, Ask, Status},
    evidence,
    faults::FaultKind,
    member::Member,
};

pub use crate::evidence::Item;

/// How a member does, as it looks from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It answers.
    Answers(Status),
    /// It does not answer.
    Silent,
    /// It was stopped, and why.
    Stopped(Arc<str>),
}

/// Why a fault cannot be set or taken back.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    /// There is no such member.
    #[error("there is no such member")]
    NoMember,
    /// The node is in earnest.
    #[error("the node takes no faults: it was not started with --lab")]
    NoLab,
    /// It does not answer.
    #[error("the node does not answer")]
    Silent,
    /// It cannot be started again from here.
    #[error("a node that stopped is started again where it ran: maftia node")]
    Remote,
    /// It cannot be started again.
    #[error(transparent)]
    Start(#[from] NodeError),
}

/// The members of a cluster in this process, and what they remember.
struct Embedded {
    deal: Deal,
    stores: BTreeMap<Owner, Store>,
    members: Mutex<BTreeMap<Owner, Option<Member>>>,
}

/// A cluster. See the [module](self).
pub struct Cluster {
    assembly: Assembly,
    embedded: Option<Embedded>,
    /// The client of the watcher itself, who asks nodes about themselves.
    watcher: Client,
}

impl Cluster {
    /// Deals keys and starts every member of the configuration in this process. Needs a running
    /// actix system.
    pub async fn embedded(config: Config, seed: &[u8; 32]) -> Result<Self, NodeError> {
        let deal = Deal::new(&config, seed);
        let assembly = Assembly::new(config, Arc::clone(deal.public()), Reach::Memory(Hub::new()));
        let mut stores = BTreeMap::new();
        let mut members = BTreeMap::new();
        for group in assembly.config().groups() {
            for party in PartyId::all(group.thresholds.n()) {
                let ring = deal.party(group.id, party).expect("the deal is the configuration's");
                let store = Store::default();
                let durability = Durability::Memory(store.clone());
                let member = assembly.member(&ring, durability, Frozen::Fence, true).await?;
                stores.insert(ring.owner(), store);
                members.insert(ring.owner(), Some(member));
            }
        }
        let name = assembly.config().clients().names.first().expect("a client is configured");
        let ring = deal.client(name).expect("the deal is the configuration's");
        let watcher = Client::open(&assembly, &ring, session_number(), Haste::Tally).await?;
        let members = Mutex::new(members);
        Ok(Self { assembly, embedded: Some(Embedded { deal, stores, members }), watcher })
    }

    /// A cluster that runs elsewhere, as the client of this key ring sees it.
    pub async fn remote(assembly: Assembly, ring: &Keyring) -> Result<Self, NodeError> {
        let watcher = Client::open(&assembly, ring, session_number(), Haste::Tally).await?;
        Ok(Self { assembly, embedded: None, watcher })
    }

    /// What it is made of.
    pub fn assembly(&self) -> &Assembly {
        &self.assembly
    }

    /// The client that it was opened with.
    pub fn client(&self) -> &Client {
        &self.watcher
    }

    /// Another client, if its keys are at hand: those of an embedded cluster are.
    pub async fn client_named(&self, name: &str) -> Option<Result<Client, NodeError>> {
        let ring = self.embedded.as_ref()?.deal.client(name)?;
        Some(Client::open(&self.assembly, &ring, session_number(), Haste::Tally).await)
    }

    /// How a member does.
    pub async fn condition(&self, group: GroupId, party: PartyId) -> Condition {
        if let Some(State::Stopped(why)) = self.state(group, party).await {
            return Condition::Stopped(why);
        }
        match self.watcher.ask_node(group, party, Ask::Status).await {
            Some(Answer::Status(status)) => Condition::Answers(status),
            _ => Condition::Silent,
        }
    }

    /// The state of a member of this process.
    async fn state(&self, group: GroupId, party: PartyId) -> Option<State> {
        let members = self.embedded.as_ref()?.members.lock().await;
        let member = members.get(&Owner::Party(group, party))?;
        let crashed = || State::Stopped("it crashed".into());
        Some(member.as_ref().map_or_else(crashed, Member::state))
    }

    /// Makes a member faulty.
    pub async fn fault(
        &self,
        group: GroupId,
        party: PartyId,
        kind: FaultKind,
    ) -> Result<(), FaultError> {
        if let Some(embedded) = &self.embedded {
            let mut members = embedded.members.lock().await;
            let member =
                members.get_mut(&Owner::Party(group, party)).ok_or(FaultError::NoMember)?;
            if kind == FaultKind::Crash {
                member.take().into_iter().for_each(Member::crash);
                return Ok(());
            }
            let member = member.as_ref().ok_or(FaultError::Silent)?;
            return done(member.ask(Ask::Fault(kind)).await.ok());
        }
        done(self.watcher.ask_node(group, party, Ask::Fault(kind)).await)
    }

    /// Makes a member correct again; one that crashed in this process starts from what it remembers.
    pub async fn heal(&self, group: GroupId, party: PartyId) -> Result<(), FaultError> {
        let Some(embedded) = &self.embedded else {
            return match self.watcher.ask_node(group, party, Ask::Heal).await {
                None => Err(FaultError::Remote),
                answer => done(answer),
            };
        };
        let owner = Owner::Party(group, party);
        let mut members = embedded.members.lock().await;
        let place = members.get_mut(&owner).ok_or(FaultError::NoMember)?;
        match place {
            Some(member) if !matches!(member.state(), State::Stopped(_)) => {
                done(member.ask(Ask::Heal).await.ok())
            }
            stopped => {
                stopped.take().into_iter().for_each(Member::crash);
                let ring = embedded.deal.party(group, party).ok_or(FaultError::NoMember)?;
                let durability = Durability::Memory(embedded.stores[&owner].clone());
                let started = self.assembly.member(&ring, durability, Frozen::Fence, true).await?;
                *stopped = Some(started);
                Ok(())
            }
        }
    }

    /// What is held against whom: what a member can prove of another one, what `f + 1` members of a
    /// group say of one of them, and what the clients given here and the watcher saw themselves.
    pub async fn evidence(&self, clients: &[&Client]) -> Vec<Item> {
        let mut items = Vec::new();
        let keys = self.assembly.public().identities();
        for group in self.assembly.config().groups() {
            let thresholds = group.thresholds;
            let told = self.told(group.id, thresholds.n()).await;
            items.extend(evidence::weigh(group.id, thresholds, &told, &keys));
            for client in clients.iter().copied().chain([&self.watcher]) {
                items.extend(evidence::observed(group.id, client));
            }
        }
        items.sort_by_key(|item| (item.culprit, item.kind, item.class));
        items.dedup_by_key(|item| (item.culprit, item.kind, item.class));
        items
    }

    /// What the members of a group say of others.
    async fn told(&self, group: GroupId, n: u16) -> Vec<(PartyId, Vec<Seen>)> {
        let mut told = Vec::new();
        for party in PartyId::all(n) {
            if let Some(Answer::Evidence(seen)) =
                self.watcher.ask_node(group, party, Ask::Evidence).await
            {
                told.push((party, seen));
            }
        }
        told
    }

    /// Stops every member of this process in order.
    pub async fn stop(self, grace: Duration) {
        self.watcher.close().await;
        if let Some(embedded) = self.embedded {
            for member in embedded.members.into_inner().into_values().flatten() {
                member.leave(grace).await;
            }
        }
    }
}

fn done(answer: Option<Answer>) -> Result<(), FaultError> {
    match answer {
        Some(Answer::Done) => Ok(()),
        Some(Answer::NoLab) => Err(FaultError::NoLab),
        _ => Err(FaultError::Silent),
    }
}

/// A number above that of every earlier session of the same client.
pub fn session_number() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}
