//! What may befall correct parties and their links: restarts and losses.

use std::sync::Arc;

use super::World;
use crate::{
    mail::Notice,
    seat::Owner,
    sim::{
        pool::{Channel, Letter, Site},
        site::Desk,
    },
};

/// How often, in steps, a party is restarted while restarts are left.
const RESTART_IN: usize = 12;

/// How often, in steps, a link loses what is on it while losses are left.
const LOSS_IN: usize = 40;

impl World {
    /// Now and then a correct party restarts, or a link between two of them loses what is on it.
    pub(super) fn mishap(&mut self) {
        if self.options.restarts > 0 && self.mishaps.once_in(RESTART_IN) {
            self.options.restarts -= 1;
            let correct = self.correct();
            if !correct.is_empty() {
                let owner = *self.mishaps.choose(&correct);
                self.restart(owner);
            }
        }
        if self.options.losses > 0 && self.mishaps.once_in(LOSS_IN) {
            self.options.losses -= 1;
            let correct = self.correct();
            if let [_, _, ..] = correct[..] {
                let (from, to) = (*self.mishaps.choose(&correct), *self.mishaps.choose(&correct));
                self.lose(from, to);
            }
        }
        self.wear();
    }

    /// Loses what is on its way from one owner to another, as a backlog that overflows does: the
    /// addressee is told so.
    pub fn lose(&mut self, from: Owner, to: Owner) {
        if from == to {
            return;
        }
        if self.story.telling {
            let (from, to) = (self.name(from), self.name(to));
            self.story
                .lines
                .push(format!("{:>6}  the link {from} -> {to} loses what is on it", self.steps));
        }
        self.pool.drop_where(|letter| {
            letter.frame().is_some_and(|(sender, addressee, _)| (sender, addressee) == (from, to))
        });
        for site in self.sites_of(to) {
            let place = &self.places[site.0];
            if let (None, Some(tree)) = (place.parent, &place.tree) {
                let from = from.seen_from(Some(tree.seat().group.id));
                let notice = Notice::Missed { from };
                self.pool.send(Channel::Alone, Letter::Notice { to: site, notice });
            }
        }
    }

    /// Jobs and alarms of a tree end with its process.
    pub(super) fn forget_inside(&mut self, site: Site) {
        self.pool.drop_where(|letter| match letter {
            Letter::Job { to, .. } | Letter::Alarm { to, .. } => *to == site,
            _ => false,
        });
        self.alarms.retain(|_, (of, _)| *of != site);
    }

    /// Restarts a party from snapshots of its trees. What is on its way to it waits on the links, as
    /// real ones hold it; what its trees wait for from inside, they ask for again.
    ///
    /// # Panics
    /// When a snapshot loses anything.
    pub fn restart(&mut self, owner: Owner) {
        for site in self.sites_of(owner) {
            let Some(mut tree) = self.places[site.0].tree.take() else { continue };
            self.forget_inside(site);
            let saved = tree.save();
            let mut desk = Desk { detach: Arc::clone(&self.options.detach), ..Desk::default() };
            tree.reload(&saved, &mut desk).expect("our own snapshot can be read");
            let name = self.name(owner);
            assert_eq!(tree.save(), saved, "{name} lost something in its restart");
            self.places[site.0].tree = Some(tree);
            if self.story.telling {
                self.story.lines.push(format!("{:>6}  {name} restarts", self.steps));
            }
            desk.deeds.into_iter().for_each(|deed| self.perform(site, deed));
        }
    }
}
