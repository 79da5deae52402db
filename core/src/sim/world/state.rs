//! The state of a world as one digest, copies of it, and trees that take their mail again.

use std::sync::Arc;

use super::{Fallen, Place, World, words::note};
use crate::{
    crypto::Digest,
    seat::Owner,
    sim::{pool::Site, site::Desk},
    wire,
};

impl World {
    /// Names the state: of all trees, what they put out, and what is in flight. What was picked to
    /// come here, and when, is no part of it.
    ///
    /// Behaviours are no part of it either: searches are for those whose state does not matter.
    pub fn digest(&mut self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        for place in &mut self.places {
            let digest = *place.digest.get_or_insert_with(|| match &place.tree {
                Some(tree) => {
                    let state = blake3::hash(&tree.save());
                    let parts = [*state.as_bytes(), *tree.outputs_digest().as_bytes()];
                    blake3::hash(parts.as_flattened())
                }
                None => blake3::hash(b"over"),
            });
            hasher.update(digest.as_bytes());
        }
        let mut flights: Vec<[u8; 32]> = (0..self.pool.queues()).map(|at| self.queue(at)).collect();
        flights.sort_unstable();
        hasher.update(flights.as_flattened());
        for (site, alarm) in self.alarms.values() {
            hasher.update(&wire::encode(&(site, alarm)));
        }
        hasher.finalize().into()
    }

    /// Drops the frames to parties that run nothing and hear nothing: they change nothing there.
    pub(in crate::sim) fn drop_unheard(&mut self) {
        let fallen = self.fallen.iter();
        let deaf = fallen.filter(|(_, fallen)| !fallen.behaviour.runs()).map(|(owner, _)| *owner);
        let deaf: Vec<Owner> = deaf.collect();
        if !deaf.is_empty() {
            self.pool
                .drop_where(|letter| letter.frame().is_some_and(|(_, to, _)| deaf.contains(&to)));
        }
    }

    fn queue(&self, at: usize) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for flight in self.pool.letters(at) {
            hasher.update(&wire::encode(&flight.letter));
        }
        *hasher.finalize().as_bytes()
    }

    /// A copy of the world that goes its own way. The adversary stays behind: the copy takes the
    /// seed's.
    #[must_use]
    pub fn fork(&self) -> Self {
        assert!(self.disks.is_none(), "disks are not copied");
        let place = |place: &Place| Place {
            owner: place.owner,
            id: place.id.clone(),
            face: place.face,
            parent: place.parent,
            tree: place.tree.as_ref().map(|tree| tree.twin()),
            history: place.history.clone(),
            said: place.said.clone(),
            digest: place.digest,
        };
        let fallen = |(owner, fallen): (&Owner, &Fallen)| {
            let copy = Fallen {
                behaviour: fallen.behaviour.boxed(),
                others: Arc::clone(&fallen.others),
                keys: fallen.keys.clone(),
                rng: fallen.rng.clone(),
            };
            (*owner, copy)
        };
        Self {
            seed: self.seed,
            directory: Arc::clone(&self.directory),
            keys: Arc::clone(&self.keys),
            places: self.places.iter().map(place).collect(),
            unborn: self.unborn.clone(),
            homes: self.homes.clone(),
            pool: self.pool.clone(),
            alarms: self.alarms.clone(),
            armed: self.armed,
            now: self.now,
            steps: self.steps,
            adversary: None,
            chance: self.chance.clone(),
            mishaps: self.mishaps.clone(),
            fallen: self.fallen.iter().map(fallen).collect(),
            strays: self.strays.clone(),
            accusations: self.accusations.clone(),
            desk: Desk::default(),
            describe: self.describe.clone(),
            options: self.options.clone(),
            disks: None,
            story: self.story.clone(),
        }
    }

    /// Whether the tree, born again, makes the same of the same mail.
    pub(in crate::sim) fn repeats(&self, site: Site) -> bool {
        assert!(self.options.journals, "a world without journals cannot take its mail again");
        let place = &self.places[site.0];
        let Some(tree) = &place.tree else { return true };
        let mut again = tree.newborn();
        let mut desk = Desk { detach: Arc::clone(&self.options.detach), ..Desk::default() };
        let mut said = blake3::Hasher::new();
        for post in &place.history {
            again.take(post.clone(), &mut desk);
            desk.deeds.drain(..).for_each(|deed| note(&mut said, &deed));
        }
        again.save() == tree.save() && said.finalize() == place.said.finalize()
    }
}
