//! What carries requests to groups and brings back what their replicas answered.
//!
//! It knows groups, keys and links, and nothing of transactions; [`Live`](crate::live::Live) makes
//! transactions of it. There is one for a cluster in this process and one for a cluster elsewhere.

use bytes::Bytes;
use maftia_core::{
    config::Config,
    id::{ClientId, GroupId, PartyId},
};

use crate::{
    cluster::{Echo, FaultKind, GroupStatus, Item, Replica},
    failure::Failure,
};

/// What the replicas of a group answered, once `f + 1` answered alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The answer that counts.
    pub(crate) body: Bytes,
    /// Who gave it.
    pub(crate) agree: Vec<PartyId>,
    /// Who gave another one, and which.
    pub(crate) outvoted: Vec<(PartyId, Bytes)>,
    /// Who gave none while the others did.
    pub(crate) silent: Vec<PartyId>,
}

/// A way to a cluster. Calls may be dropped before they end.
pub(crate) trait Carrier {
    /// What the cluster is.
    fn config(&self) -> &Config;

    /// Fails unless this client has keys here.
    async fn open(&self, client: &str) -> Result<ClientId, Failure>;

    /// The name of a client, as far as it is known here.
    fn name_of(&self, client: ClientId) -> String;

    /// Has a group order a request, and brings its answer. Waits as long as the group may still
    /// answer; fails once it cannot.
    async fn carry(&self, client: &str, to: GroupId, body: Bytes) -> Result<Answer, Failure>;

    /// Replicas that were made faulty.
    fn faults(&self) -> Vec<(Replica, FaultKind)>;

    /// How every group is doing, without asking any quorum.
    async fn status(&self) -> Result<Vec<GroupStatus>, Failure>;

    /// Makes a replica faulty.
    async fn fault(&self, at: &Replica, kind: FaultKind) -> Result<(), Failure>;

    /// Makes a replica correct again, and waits until it answers.
    async fn heal(&self, at: &Replica) -> Result<(), Failure>;

    /// What members hold against each other.
    async fn accusations(&self) -> Result<Vec<Item>, Failure>;

    /// Returns when nothing is in flight any more.
    async fn quiet(&self) -> Result<(), Failure>;

    /// What replicas say that they did since the last call; in an `idle` console only who has fallen
    /// silent or come back.
    async fn echoes(&self, idle: bool) -> Vec<Echo>;
}
