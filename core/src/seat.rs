//! What an instance is told at birth: who it is, in which group, under which path, with which keys.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    crypto::Keys,
    id::{ClientId, GroupId, PartyId, Peer},
    path::{InstanceId, Tag},
    thresholds::Thresholds,
};

/// A group, as everybody knows it. The list of members is fixed for an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its place in the configuration.
    pub id: GroupId,
    /// The name that the configuration gives.
    pub name: Arc<str>,
    /// Its size and the faults that it tolerates.
    pub thresholds: Thresholds,
}

/// Every group of the configuration, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    groups: Vec<Group>,
}

impl Directory {
    /// A directory of these groups, whose ids are their places.
    pub fn new(groups: impl IntoIterator<Item = (Arc<str>, Thresholds)>) -> Self {
        let groups = groups
            .into_iter()
            .enumerate()
            .map(|(place, (name, thresholds))| Group {
                id: GroupId::new(u16::try_from(place).expect("at most 65,535 groups")),
                name,
                thresholds,
            })
            .collect();
        Self { groups }
    }

    /// The group with this id, if the configuration has one.
    pub fn group(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(id.index())
    }

    /// The group with this name.
    pub fn named(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| &*group.name == name)
    }

    /// All groups, in the order of the configuration.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }
}

/// Who owns an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Owner {
    /// A member of a group.
    Party(GroupId, PartyId),
    /// A client.
    Client(ClientId),
}

impl Owner {
    /// The bytes that stand for the owner in hashes: a kind, then the name, then zeros.
    pub fn to_bytes(self) -> [u8; 17] {
        let mut bytes = [0; 17];
        match self {
            Self::Party(group, party) => {
                bytes[0] = 1;
                bytes[1..9].copy_from_slice(&(group.index() as u64).to_le_bytes());
                bytes[9..11].copy_from_slice(&party.number().to_le_bytes());
            }
            Self::Client(client) => {
                bytes[0] = 2;
                bytes[1..].copy_from_slice(client.as_bytes());
            }
        }
        bytes
    }

    /// How a party of `group` sees this one.
    pub fn seen_from(self, group: Option<GroupId>) -> Peer {
        match self {
            Self::Party(own, party) if Some(own) == group => Peer::Member(party),
            Self::Party(own, party) => Peer::Foreign(own, party),
            Self::Client(client) => Peer::Client(client),
        }
    }
}

/// Where an instance sits. Cheap to clone; shared by all instances of a tree but for the path.
#[derive(Clone, Debug)]
pub struct Seat {
    /// The name of the instance.
    pub id: InstanceId,
    /// Who runs it.
    pub owner: Owner,
    /// The group that the instance belongs to, or that a client talks to.
    pub group: Arc<Group>,
    /// All groups.
    pub directory: Arc<Directory>,
    /// The keys of the owner, and the public keys of all others.
    pub keys: Keys,
}

impl Seat {
    /// The seat of a child.
    #[must_use]
    pub fn child(&self, at: crate::path::Segment) -> Self {
        Self { id: self.id.child(at), ..self.clone() }
    }

    /// This party's place in the group.
    ///
    /// # Panics
    /// In a client: protocols of groups have no business there.
    pub fn me(&self) -> PartyId {
        match self.owner {
            Owner::Party(_, party) => party,
            Owner::Client(client) => panic!("{client} is a client, {} needs a member", self.id),
        }
    }

    /// The named counts of the group.
    pub fn thresholds(&self) -> Thresholds {
        self.group.thresholds
    }

    /// All parties of the group, in order.
    pub fn parties(
        &self,
    ) -> impl DoubleEndedIterator<Item = PartyId> + ExactSizeIterator + Clone + use<> {
        PartyId::all(self.group.thresholds.n())
    }

    /// The instance at the root of another group: by convention it bears the group's name.
    ///
    /// # Panics
    /// When the configuration has no such group: addresses come from the directory.
    pub fn service_of(&self, group: GroupId) -> InstanceId {
        let group = self.directory.group(group).expect("groups are found in the directory");
        InstanceId::root(group.id, self.id.of().epoch, &group.name)
    }

    /// Whether a member of the group has this id.
    pub fn has(&self, party: PartyId) -> bool {
        party.number() < self.group.thresholds.n()
    }

    /// The domain of one step of this instance.
    pub fn tag(&self, what: &str) -> Tag {
        self.id.tag(what)
    }
}
