//! Where a party of a bench lives: its configuration, keys and folders, which the fleet has made.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use maftia::assembly::DETACHED;
use maftia_actors::{
    keyring,
    link::{Passport, memory::Hub},
    log::Store,
    node::{self, Frozen, Network, Plan, Sockets},
    party::Control,
    placement::Placement,
    pool::Pool,
};
use maftia_core::{
    config::{Config, GroupConfig, Link},
    crypto::{Digest, deal::Keyring},
    id::{ClientId, PartyId},
    path::InstanceId,
    protocol::Protocol,
    seat::{Owner, Seat},
};

use super::flags::Durability;
use crate::{
    exit::{Exit, Stop},
    settings,
};

/// The name of the only group.
pub(crate) const GROUP: &str = "bench";

/// The configuration in a bench's folder.
pub(crate) fn config_path(folder: &Path) -> PathBuf {
    folder.join("cluster.toml")
}

/// The keys in a bench's folder.
pub(crate) fn keys_path(folder: &Path) -> PathBuf {
    folder.join("keys")
}

/// What a client is called.
pub(crate) fn client_name(client: u16) -> String {
    format!("c{client}")
}

/// Where a party of a bench remembers, if on a disk.
pub(crate) fn log_folder(folder: &Path, party: Owner) -> PathBuf {
    folder.join("data").join(party.seen_from(None).to_string())
}

/// How those of one bench reach each other.
#[derive(Clone, Debug)]
pub(crate) enum Reach {
    /// Inside this process.
    Memory(Hub),
    /// Over the links of the configuration, at its addresses.
    Network,
}

/// A party or a client of a bench, before it runs.
pub(crate) struct Home {
    folder: PathBuf,
    config: Config,
    ring: Keyring,
    reach: Reach,
}

impl Home {
    /// The home of a party.
    pub(crate) fn of_party(folder: &Path, party: u16, reach: Reach) -> Result<Self, Stop> {
        Self::of(folder, &format!("{GROUP}-{party}.key"), reach)
    }

    /// The home of a client.
    pub(crate) fn of_client(folder: &Path, client: u16, reach: Reach) -> Result<Self, Stop> {
        Self::of(folder, &format!("client-{}.key", client_name(client)), reach)
    }

    fn of(folder: &Path, key: &str, reach: Reach) -> Result<Self, Stop> {
        let config = settings::read(&config_path(folder))?;
        let ring = keyring::load(&config, &keys_path(folder).join(key));
        let ring = ring.map_err(|error| Stop::new(Exit::Keys, error.to_string(), ""))?;
        Ok(Self { folder: folder.into(), config, ring, reach })
    }

    fn group(&self) -> &GroupConfig {
        &self.config.groups()[0]
    }

    /// Everybody in the group.
    pub(crate) fn members(&self) -> Vec<Owner> {
        let group = self.group();
        PartyId::all(group.thresholds.n()).map(|party| Owner::Party(group.id, party)).collect()
    }

    /// Whoever lives here.
    pub(crate) fn seat(&self) -> Seat {
        let (group, directory) = (self.group(), Arc::new(self.config.directory()));
        Seat {
            id: InstanceId::root(group.id, group.epoch, &group.name),
            owner: self.ring.owner(),
            group: Arc::new(directory.groups()[0].clone()),
            directory,
            keys: self.ring.keys(group.id).expect("the keys were dealt for this configuration"),
        }
    }

    /// All clients.
    pub(crate) fn clients(&self) -> impl Iterator<Item = ClientId> {
        self.ring.public().clients().map(|(_, client)| client)
    }

    /// The proof of who lives here.
    pub(crate) fn passport(&self) -> Passport {
        let clients = self.clients().map(Owner::Client);
        let known: BTreeSet<_> = self.members().into_iter().chain(clients).collect();
        let identity = Arc::clone(self.ring.identity());
        Passport {
            me: self.ring.owner(),
            identity,
            network: Digest::of("bench", self.ring.public().name().as_bytes()),
            known: Arc::new(known),
            key: None,
            guests: None,
        }
    }

    /// The way to the others.
    pub(crate) fn network(&self) -> Network {
        let group = self.group();
        let listen = match (&self.reach, self.ring.owner()) {
            (Reach::Memory(hub), _) => return Network::Memory(hub.clone()),
            (Reach::Network, Owner::Party(_, party)) => group.address(party),
            (Reach::Network, Owner::Client(_)) => None,
        };
        let addresses = group.members.iter().map(ToString::to_string);
        let addresses: BTreeMap<_, _> = self.members().into_iter().zip(addresses).collect();
        let listen = listen.and_then(|address| address.to_string().parse().ok());
        let sockets = Sockets { listen, addresses };
        match self.config.link() {
            Link::Tcp => Network::Tcp(sockets),
            Link::Quic => Network::Quic(sockets, Arc::clone(self.ring.identity())),
        }
    }

    fn durability(&self, durability: Durability) -> node::Durability {
        let sync = match durability {
            Durability::Memory => return node::Durability::Memory(Store::default()),
            Durability::Disk => true,
            Durability::DiskUnsynced => false,
        };
        node::Durability::Disk { folder: log_folder(&self.folder, self.ring.owner()), sync }
    }

    /// A party with this protocol as its root.
    pub(crate) fn plan<P: Protocol>(
        &self,
        spec: P::Spec,
        durability: Durability,
        outputs: Box<dyn Fn(P::Output) + Send>,
    ) -> Plan<P> {
        let Passport { network, known, .. } = self.passport();
        let control: Control<P> = Box::new(|_, _, _| {});
        Plan {
            seat: self.seat(),
            spec,
            network_id: network,
            known,
            key: None,
            guests: None,
            durability: self.durability(durability),
            network: self.network(),
            pool: Pool::default(),
            placement: Placement::detached(DETACHED),
            outputs,
            control,
            frozen: Frozen::Fence,
        }
    }
}
