//! From a configuration and keys to parties that can be started.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use maftia_actors::{
    link::{Guests, guests, memory::Hub},
    node::{Durability, Frozen, Network, Node, NodeError, Plan, Sockets},
    party::Control,
    placement::Placement,
    pool::Pool,
};
use maftia_core::{
    agreement::Predicate,
    config::{self, Config, GroupConfig, Link, ServiceConfig},
    crypto::{
        Digest,
        deal::{Keyring, PublicKeys},
    },
    id::{GroupId, PartyId},
    path::{InstanceId, Segment},
    protocol::{Kind, Protocol},
    replica::{self, Replica, Session, session},
    seat::{Directory, Owner, Seat},
    stream::{
        atomic::Atomic,
        certified::Certified,
        closing::Closing,
        consistent::ConsistentStream,
        fast::Fast,
        open::{Publish, Shelved},
        reliable::ReliableStream,
        secure::Secure,
    },
    wire,
};
use maftia_tss::{
    lock::LockManager,
    manager::{ManagerSpec, TransactionManager},
    resource::{ResourceManager, ResourceSpec},
    resources::Account,
    transaction::Key,
};

use crate::{
    cs::{self, services::Services},
    member::Member,
};

/// A replicated transaction manager.
pub type Manager = Replica<TransactionManager>;

/// A replicated manager of accounts.
pub type Accounts = Replica<ResourceManager<Account>>;

/// The kinds that live in actors of their own: what an application opens by name, and what is worth
/// a thread's turn of its own. Everything below lives in its parent's actor.
pub const DETACHED: [Kind; 5] =
    [Fast::KIND, Atomic::KIND, Kind("multivalued"), Kind("validated"), LockManager::KIND];

/// The same for members that communicate.
const DETACHED_SERVICES: [Kind; 16] = [
    ReliableStream::KIND,
    ConsistentStream::KIND,
    Closing::<Fast>::KIND,
    Closing::<Atomic>::KIND,
    Closing::<Certified>::KIND,
    Closing::<Secure<Fast>>::KIND,
    Closing::<Shelved<Fast>>::KIND,
    Closing::<Shelved<Atomic>>::KIND,
    Closing::<Shelved<Certified>>::KIND,
    Replica::<Publish>::KIND,
    Secure::<Fast>::KIND,
    Fast::KIND,
    Certified::KIND,
    Atomic::KIND,
    Kind("multivalued"),
    Kind("validated"),
];

/// The name of the root of a member that communicates.
const SERVICES: &str = "services";

/// How the parties of one process reach others.
#[derive(Clone, Debug)]
pub enum Reach {
    /// Inside this process.
    Memory(Hub),
    /// Over the links of the configuration, at its addresses.
    Network,
}

/// What all parties of one configuration share.
#[derive(Clone, Debug)]
pub struct Assembly {
    config: Config,
    public: Arc<PublicKeys>,
    directory: Arc<Directory>,
    everybody: Arc<BTreeSet<Owner>>,
    pool: Pool,
    placement: Placement,
    reach: Reach,
}

impl Assembly {
    /// An assembly of this configuration and the keys dealt for it.
    pub fn new(config: Config, public: Arc<PublicKeys>, reach: Reach) -> Self {
        let members = config.groups().iter().flat_map(|group| {
            PartyId::all(group.thresholds.n()).map(|party| Owner::Party(group.id, party))
        });
        let clients = public.clients().map(|(_, client)| Owner::Client(client));
        let everybody = Arc::new(members.chain(clients).collect());
        let directory = Arc::new(config.directory());
        let (pool, placement) = (Pool::default(), Placement::detached(DETACHED));
        Self { config, public, directory, everybody, pool, placement, reach }
    }

    /// The same with another table of what lives in actors of its own.
    pub fn placed(mut self, placement: Placement) -> Self {
        self.placement = placement;
        self
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The public keys.
    pub fn public(&self) -> &Arc<PublicKeys> {
        &self.public
    }

    /// Starts the party of this key ring.
    pub async fn member(
        &self,
        ring: &Keyring,
        durability: Durability,
        frozen: Frozen,
        lab: bool,
    ) -> Result<Member, NodeError> {
        let Owner::Party(group, party) = ring.owner() else { return Err(NodeError::Thread) };
        let group = self.config.group(group).ok_or(NodeError::Thread)?;
        let home = Home { assembly: self, ring, group, party, durability, frozen, lab };
        match &group.service {
            ServiceConfig::Transactions => home.manager().await,
            ServiceConfig::Accounts(initial) => home.accounts(initial).await,
        }
    }

    /// Starts a session of the client of this key ring with a group.
    pub async fn session(
        &self,
        ring: &Keyring,
        group: GroupId,
        spec: session::Spec,
        outputs: Box<dyn Fn(session::Output) + Send>,
        control: Control<Session>,
    ) -> Result<Node<Session>, NodeError> {
        let group = self.config.group(group).ok_or(NodeError::Thread)?;
        let members = PartyId::all(group.thresholds.n()).map(|at| Owner::Party(group.id, at));
        Node::start(Plan {
            seat: self.seat(ring, group),
            spec,
            network_id: self.network_id(),
            known: Arc::new(members.chain([ring.owner()]).collect()),
            key: Some(ring.identity().public().to_bytes().to_vec().into()),
            guests: None,
            durability: Durability::Memory(maftia_actors::log::Store::default()),
            network: self.network(ring, None, Some(group.id)),
            pool: self.pool.clone(),
            placement: Placement::inline(),
            outputs,
            control,
            frozen: Frozen::Fence,
        })
        .await
    }

    /// Starts the party of this key ring as a member that communicates, whatever its group's service.
    pub(crate) async fn services<Q: Predicate<Proof = Bytes>>(
        &self,
        ring: &Keyring,
        durability: Durability,
        outputs: Box<dyn Fn(cs::services::Output) + Send>,
    ) -> Result<(Node<Services<Q>>, Seat), NodeError> {
        let Owner::Party(group, party) = ring.owner() else { return Err(NodeError::Thread) };
        let group = self.config.group(group).ok_or(NodeError::Thread)?;
        let mut seat = self.seat(ring, group);
        seat.id = InstanceId::root(group.id, group.epoch, SERVICES);
        let plan = Plan {
            seat: seat.clone(),
            spec: (),
            network_id: self.network_id(),
            known: Arc::clone(&self.everybody),
            key: None,
            guests: self.guests(),
            durability,
            network: self.network(ring, group.address(party), Some(group.id)),
            pool: self.pool.clone(),
            placement: Placement::detached(DETACHED_SERVICES),
            outputs,
            control: Box::new(|_, _, _| {}),
            frozen: Frozen::Fence,
        };
        Ok((Node::start(plan).await?, seat))
    }

    /// Where outsiders sit in the eyes of an instance of members that communicate.
    pub(crate) fn outside_seat(
        &self,
        ring: &Keyring,
        group: GroupId,
        path: &[Segment],
    ) -> Option<Seat> {
        let group = self.config.group(group)?;
        let root = InstanceId::root(group.id, group.epoch, SERVICES);
        let id = path.iter().fold(root, |id, segment| id.child(*segment));
        Some(Seat { id, ..self.seat(ring, group) })
    }

    /// Starts an outsider's side of an instance there.
    pub(crate) async fn outsider<P: Protocol>(
        &self,
        ring: &Keyring,
        seat: Seat,
        spec: P::Spec,
        outputs: Box<dyn Fn(P::Output) + Send>,
    ) -> Result<Node<P>, NodeError> {
        let (group, n) = (seat.group.id, seat.thresholds().n());
        let members = PartyId::all(n).map(|at| Owner::Party(group, at));
        Node::start(Plan {
            seat,
            spec,
            network_id: self.network_id(),
            known: Arc::new(members.chain([ring.owner()]).collect()),
            key: Some(ring.identity().public().to_bytes().to_vec().into()),
            guests: None,
            durability: Durability::Memory(maftia_actors::log::Store::default()),
            network: self.network(ring, None, Some(group)),
            pool: self.pool.clone(),
            placement: Placement::inline(),
            outputs,
            control: Box::new(|_, _, _| {}),
            frozen: Frozen::Fence,
        })
        .await
    }

    /// What all who talk to each other must have in common: the keys, and what services begin with.
    /// A member that began with other amounts would differ from its group for ever.
    fn network_id(&self) -> Digest {
        let initial = |group: &GroupConfig| match &group.service {
            ServiceConfig::Transactions => None,
            ServiceConfig::Accounts(accounts) => Some(accounts.clone()),
        };
        let initial: Vec<_> = self.config.groups().iter().map(initial).collect();
        Digest::of_parts("network", &[self.public.name().as_bytes(), &wire::encode(&initial)])
    }

    fn seat(&self, ring: &Keyring, group: &GroupConfig) -> Seat {
        let known = self.directory.group(group.id).expect("the directory is the configuration's");
        Seat {
            id: InstanceId::root(group.id, group.epoch, &group.name),
            owner: ring.owner(),
            group: Arc::new(known.clone()),
            directory: Arc::clone(&self.directory),
            keys: ring.keys(group.id).expect("the keys are the configuration's"),
        }
    }

    /// Where to listen, and whom to find where: everybody, or one group only.
    fn network(
        &self,
        ring: &Keyring,
        listen: Option<&config::Address>,
        only: Option<GroupId>,
    ) -> Network {
        let listen = match &self.reach {
            Reach::Memory(hub) => return Network::Memory(hub.clone()),
            Reach::Network => listen.and_then(|address| address.to_string().parse().ok()),
        };
        let groups = self.config.groups().iter();
        let addresses =
            groups
                .filter(|group| only.is_none_or(|only| group.id == only))
                .flat_map(|group| {
                    group.members.iter().zip(PartyId::all(group.thresholds.n())).map(
                        |(address, party)| (Owner::Party(group.id, party), address.to_string()),
                    )
                })
                .collect::<BTreeMap<_, _>>();
        let sockets = Sockets { listen, addresses };
        match self.config.link() {
            Link::Tcp => Network::Tcp(sockets),
            Link::Quic => Network::Quic(sockets, Arc::clone(ring.identity())),
        }
    }

    fn guests(&self) -> Option<Guests> {
        self.config.clients().open.then(guests)
    }
}

/// The place where one member is started.
struct Home<'a> {
    assembly: &'a Assembly,
    ring: &'a Keyring,
    group: &'a GroupConfig,
    party: PartyId,
    durability: Durability,
    frozen: Frozen,
    lab: bool,
}

impl Home<'_> {
    async fn manager(self) -> Result<Member, NodeError> {
        let spec = self.spec(ManagerSpec::default());
        let (plan, desk) = self.plan(spec);
        Ok(Member::manager(Node::start(plan).await?, desk))
    }

    async fn accounts(self, initial: &BTreeMap<Arc<str>, i64>) -> Result<Member, NodeError> {
        let initial = initial
            .iter()
            .map(|(name, amount)| {
                (Key::new(name).expect("the configuration checks names"), *amount)
            })
            .collect();
        let manager = self.assembly.config.transactions().expect("the configuration has one").id;
        let spec = self.spec(ResourceSpec::new(manager, Account::default(), initial));
        let (plan, desk) = self.plan(spec);
        Ok(Member::accounts(Node::start(plan).await?, desk))
    }

    fn spec<S: replica::service::Service>(&self, service: S::Spec) -> replica::Spec<S> {
        let mut spec = replica::Spec::new(service);
        spec.registered = self.assembly.public.clients().map(|(_, client)| client).collect();
        spec.open = self.assembly.config.clients().open;
        spec
    }

    fn plan<S: replica::service::Service>(
        self,
        spec: replica::Spec<S>,
    ) -> (Plan<Replica<S>>, Arc<crate::control::Desk>) {
        let Self { assembly, ring, group, party, durability, frozen, lab } = self;
        let seat = assembly.seat(ring, group);
        let desk = Arc::new(crate::control::Desk::new(lab, seat.clone()));
        let plan = Plan {
            seat,
            spec,
            network_id: assembly.network_id(),
            known: Arc::clone(&assembly.everybody),
            key: None,
            guests: assembly.guests(),
            durability,
            network: assembly.network(ring, group.address(party), None),
            pool: assembly.pool.clone(),
            placement: assembly.placement.clone(),
            outputs: Box::new(|_| {}),
            control: crate::control::serve(Arc::clone(&desk)),
            frozen,
        };
        (plan, desk)
    }
}

/// Where a member of this group remembers, under the name of its own.
pub fn durability(config: &Config, group: &GroupConfig, folder: &Path, member: &str) -> Durability {
    match group.durability {
        config::Durability::Memory => Durability::Memory(maftia_actors::log::Store::default()),
        config::Durability::Disk { sync } => {
            Durability::Disk { folder: folder.join(config.data()).join(member), sync }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_remembers_as_it_says_itself() {
        let text = Config::sample().replacen("# durability = ", "durability = ", 1);
        let config = Config::parse(&text).expect("the sample is right");
        let of = |name: &str| {
            let group = config.named(name).expect("the sample has it");
            durability(&config, group, Path::new("home"), "member")
        };
        assert!(matches!(of("right"), Durability::Memory(_)));
        assert!(
            matches!(of("left"), Durability::Disk { folder, sync: true } if folder == Path::new("home/data/member"))
        );
    }
}
