//! Losses of power: all parties fall at once, each back to what its disk has.
//!
//! What a party took is on its disk some time later, and what it said because of that leaves only then,
//! as the log of a real party has it. When the power goes, its trees are as they were on the disk, what
//! it had not yet said was never said, and what it took since is on its links again, for it had not
//! acknowledged that; so are the inputs of its user, who was not told that they were taken.

use std::{collections::BTreeMap, sync::Arc};

use super::World;
use crate::{
    seat::Owner,
    sim::{
        pool::{Channel, Letter, Site},
        site::{AnyTree, Deed, Desk},
    },
};

/// How often, in steps, the disk of a party has all that it took.
const SYNC_IN: usize = 6;

/// How often, in steps, the power goes while losses of power are left.
const LOSS_IN: usize = 100;

/// What a party has on its disk, and what happened since.
pub(super) struct Disk {
    trees: Vec<(Site, Box<dyn AnyTree>)>,
    taken: Vec<(Channel, Letter)>,
    /// What waits until the disk has its cause.
    unsaid: Vec<(Site, Deed)>,
}

/// The disks of all parties, in a world that may lose its power.
pub(super) type Disks = BTreeMap<Owner, Disk>;

impl World {
    /// Lets all parties lose their power, so many times, at steps that the seed chooses: nothing leaves
    /// a party before its disk has what it took. Comes before the first step.
    ///
    /// # Panics
    /// In a world of detached children or journals.
    pub fn set_power_losses(&mut self, losses: u64) {
        assert!(self.options.detach.is_empty() && !self.options.journals, "trees fall back as one");
        self.options.power_losses = losses;
        self.disks = Some(Disks::new());
    }

    fn falls_back(&self, owner: Owner) -> bool {
        matches!(owner, Owner::Party(..)) && !self.is_corrupted(owner)
    }

    /// A party is about to take this letter.
    pub(super) fn note_taken(&mut self, channel: Channel, letter: &Letter) {
        let owner = match letter {
            Letter::Frame { to, .. } => *to,
            Letter::Input { to, .. } => self.places[to.0].owner,
            // It asks for jobs and alarms again.
            _ => return,
        };
        if self.disks.is_some() && self.falls_back(owner) {
            self.disk_of(owner).taken.push((channel, letter.clone()));
        }
    }

    /// Keeps back what a party says until its disk has what it took. Gives back what need not wait.
    pub(super) fn keep_back(&mut self, site: Site, deed: Deed) -> Option<Deed> {
        let owner = self.places[site.0].owner;
        let waits = matches!(deed, Deed::Sent { .. }) && self.falls_back(owner);
        match self.disks.as_mut().and_then(|disks| disks.get_mut(&owner)) {
            Some(disk) if waits => {
                disk.unsaid.push((site, deed));
                None
            }
            _ => Some(deed),
        }
    }

    fn disk_of(&mut self, owner: Owner) -> &mut Disk {
        let known = self.disks.as_ref().is_some_and(|disks| disks.contains_key(&owner));
        let trees = if known { Vec::new() } else { self.twins(owner) };
        let disks = self.disks.as_mut().expect("a world that may lose its power");
        let fresh = Disk { trees, taken: Vec::new(), unsaid: Vec::new() };
        disks.entry(owner).or_insert(fresh)
    }

    fn twins(&self, owner: Owner) -> Vec<(Site, Box<dyn AnyTree>)> {
        let sites = self.sites_of(owner).into_iter();
        sites.filter_map(|site| Some((site, self.places[site.0].tree.as_ref()?.twin()))).collect()
    }

    /// The disk of a party has all that it took: what it kept back leaves.
    fn sync(&mut self, owner: Owner) {
        let twins = self.twins(owner);
        let disk = self.disk_of(owner);
        disk.trees = twins;
        disk.taken.clear();
        for (site, deed) in std::mem::take(&mut disk.unsaid) {
            self.carry_out(site, deed);
        }
    }

    /// The same for all parties: nothing else is left to happen. Whether anybody had kept anything back.
    pub(super) fn sync_all(&mut self) -> bool {
        let disks = self.disks.iter().flatten();
        let owners = disks.filter(|(_, disk)| !disk.unsaid.is_empty());
        let owners: Vec<_> = owners.map(|(owner, _)| *owner).collect();
        owners.iter().for_each(|owner| self.sync(*owner));
        !owners.is_empty()
    }

    /// Now and then a disk has what its party took, or the power goes.
    pub(super) fn wear(&mut self) {
        let Some(disks) = &self.disks else { return };
        if self.mishaps.once_in(SYNC_IN) {
            let owners: Vec<_> = disks.keys().copied().collect();
            if !owners.is_empty() {
                let owner = *self.mishaps.choose(&owners);
                self.sync(owner);
            }
        }
        if self.options.power_losses > 0 && self.mishaps.once_in(LOSS_IN) {
            self.options.power_losses -= 1;
            self.lose_power();
        }
    }

    /// All parties fall, each back to what its disk has.
    ///
    /// # Panics
    /// Unless the world may [lose its power](Self::set_power_losses).
    pub fn lose_power(&mut self) {
        if self.story.telling {
            self.story.lines.push(format!("{:>6}  the power goes", self.steps));
        }
        let disks = self.disks.replace(Disks::new()).expect("a world that may lose its power");
        for (owner, disk) in disks {
            if self.falls_back(owner) {
                for (channel, letter) in disk.taken.into_iter().rev() {
                    self.pool.put_back(channel, letter);
                }
                disk.trees.into_iter().for_each(|(site, tree)| self.fall_back(site, tree));
            }
        }
    }

    fn fall_back(&mut self, site: Site, mut tree: Box<dyn AnyTree>) {
        self.forget_inside(site);
        let saved = tree.save();
        let mut desk = Desk { detach: Arc::clone(&self.options.detach), ..Desk::default() };
        tree.reload(&saved, &mut desk).expect("our own snapshot can be read");
        let place = &mut self.places[site.0];
        (place.tree, place.digest) = (Some(tree), None);
        desk.deeds.into_iter().for_each(|deed| self.perform(site, deed));
    }
}
