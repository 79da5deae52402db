//! What can be seen of a world. Adversaries and oracles see everything.

use std::{any::Any, collections::BTreeMap};

use super::World;
use crate::{
    crypto::Keys,
    fault::Accusation,
    id::{GroupId, PartyId, Peer},
    protocol::Protocol,
    seat::Owner,
    sim::{
        pool::{Pool, Site},
        site::AnyTree,
        story::Story,
    },
};

impl World {
    /// The roots of an owner that are of this type and not detached, one a face.
    pub(super) fn sites<P: Protocol>(&self, owner: Owner) -> Vec<Site> {
        let sites = self.sites_of(owner).into_iter().filter(|site| {
            let place = &self.places[site.0];
            let root = place.tree.as_ref().map(|tree| tree.root());
            place.parent.is_none() && root.is_some_and(<dyn Any>::is::<P>)
        });
        let sites: Vec<Site> = sites.collect();
        assert!(!sites.is_empty(), "{} runs no {}", self.name(owner), P::KIND);
        sites
    }

    /// What the root of this type put out at an owner so far.
    ///
    /// # Panics
    /// When the owner has no root of this type.
    pub fn outputs<P: Protocol>(&self, owner: Owner) -> &[P::Output] {
        let tree = self.tree(self.sites::<P>(owner)[0]).expect("roots are never over");
        tree.outputs().downcast_ref::<Vec<P::Output>>().expect("found by its type")
    }

    /// What one root put out so far, for owners with several roots of one type.
    ///
    /// # Panics
    /// When another type of root stands there.
    pub fn outputs_of<P: Protocol>(&self, root: Site) -> &[P::Output] {
        let tree = self.tree(root).expect("roots are never over");
        tree.outputs().downcast_ref::<Vec<P::Output>>().expect("a root of this type")
    }

    /// The state of an owner's root of this type.
    ///
    /// # Panics
    /// When the owner has no root of this type.
    pub fn root<P: Protocol>(&self, owner: Owner) -> &P {
        let tree = self.tree(self.sites::<P>(owner)[0]).expect("roots are never over");
        tree.root().downcast_ref().expect("found by its type")
    }

    /// All parties of all groups, corrupted or not.
    pub fn parties(&self) -> Vec<Owner> {
        let groups = self.directory.groups().iter();
        groups
            .flat_map(|group| {
                PartyId::all(group.thresholds.n()).map(|party| Owner::Party(group.id, party))
            })
            .collect()
    }

    /// All owners of trees that are not corrupted, clients included.
    pub fn correct(&self) -> Vec<Owner> {
        self.homes.keys().copied().filter(|owner| !self.is_corrupted(*owner)).collect()
    }

    /// What a member holds.
    pub fn keys(&self, owner: Owner) -> Keys {
        let group = match owner {
            Owner::Party(group, _) => self.directory.group(group),
            Owner::Client(_) => None,
        };
        (self.keys)(owner, group, &self.directory)
    }

    /// Whether the adversary holds this owner.
    pub fn is_corrupted(&self, owner: Owner) -> bool {
        self.fallen.contains_key(&owner)
    }

    /// Who accused whom of what.
    pub fn accusations(&self) -> &[(Owner, Accusation)] {
        &self.accusations
    }

    /// Who is meant when a tree of `owner` accuses this peer.
    pub fn meant(&self, owner: Owner, peer: Peer, group: GroupId) -> Owner {
        match (peer, owner) {
            (Peer::Member(party), Owner::Party(own, _)) => Owner::Party(own, party),
            (Peer::Member(party), Owner::Client(_)) => Owner::Party(group, party),
            (Peer::Foreign(of, party), _) => Owner::Party(of, party),
            (Peer::Client(client), _) => Owner::Client(client),
        }
    }

    /// What is in flight.
    pub const fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Whether frames of one lane of a link arrive in order.
    pub const fn is_ordered(&self) -> bool {
        self.options.ordered
    }

    /// How many letters were delivered.
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// The seed.
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// Virtual time, in microseconds.
    pub const fn now(&self) -> u64 {
        self.now
    }

    /// What was picked, and, in a world that tells, what happened.
    pub const fn story(&self) -> &Story {
        &self.story
    }

    /// Notes down what happens from now on, in words. It costs time.
    pub fn tell(&mut self) {
        self.story.telling = true;
    }

    /// The short name of an owner: `p2` in a world of one group, else `left[2]`.
    pub fn name(&self, owner: Owner) -> String {
        match (owner, self.directory.groups()) {
            (Owner::Client(client), _) => client.to_string(),
            (Owner::Party(_, party), [_]) => party.to_string(),
            (Owner::Party(group, party), groups) => {
                let name = groups.get(group.index()).map_or("?", |group| &group.name);
                format!("{name}[{}]", party.number())
            }
        }
    }

    pub(in crate::sim) fn tree(&self, site: Site) -> Option<&dyn AnyTree> {
        self.places[site.0].tree.as_deref()
    }

    pub(in crate::sim) fn sites_of(&self, owner: Owner) -> Vec<Site> {
        self.homes.get(&owner).into_iter().flat_map(BTreeMap::values).flatten().copied().collect()
    }

    /// Whose tree this is.
    pub fn owner(&self, site: Site) -> Owner {
        self.places[site.0].owner
    }
}
