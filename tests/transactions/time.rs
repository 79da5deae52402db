//! How time goes by in a scene, and how it ends.

use maftia_core::{
    replica::{Replica, session::Session},
    seat::Owner,
    sim::{World, behaviour::Crash},
};

use crate::scene::{Bank, LEASE, Manager, NAMES, Scene};

/// What a letter takes when the work should be done, in microseconds: twenty thousand to a lease. A
/// liar that keeps its group at empty rounds would hold up the clock for ever if letters took no time.
const LATE_PACE: u64 = 20_000;

/// How many leases in letters the work may last.
const WORK_MAX: u64 = 2;

/// How many letters in all a scene may take. One whose transactions must all time out among liars
/// that never rest takes a tenth.
const STEPS_MAX: u64 = 3_000_000;

/// How many letters pass between two looks at whether all has ended.
const LOOK: u64 = 256;

impl Scene {
    /// Until a client hears something. False when nothing can happen any more.
    pub(crate) fn until_heard(&mut self) -> bool {
        let sites = self.sessions();
        let heard = |world: &World| -> usize {
            sites.iter().map(|site| world.outputs_of::<Session>(*site).len()).sum()
        };
        let before = heard(&self.world);
        loop {
            self.pace();
            let until = self.world.steps() + LOOK;
            let waits = |world: &World| heard(world) == before && world.steps() < until;
            let stuck = self.world.run_while(waits);
            if stuck || heard(&self.world) != before {
                return heard(&self.world) != before;
            }
        }
    }

    /// Until every transaction has ended at every correct replica, while liars do what they like. Only
    /// the client that lies says nothing new.
    ///
    /// # Panics
    /// When one stays open.
    pub(crate) fn end(&mut self) {
        if let Some(rogue) = &self.rogue {
            rogue.stop(&mut self.world);
        }
        self.unfair = 0;
        while self.is_open() {
            let until = self.world.steps() + LOOK;
            self.pace();
            let stuck = self.world.run_while(|world| world.steps() < until);
            assert!(!stuck || !self.is_open(), "a transaction stays open, and nothing happens");
        }
    }

    fn is_open(&self) -> bool {
        let world = &self.world;
        let correct =
            |name| world.members(name).into_iter().filter(|owner| !world.is_corrupted(*owner));
        let deciding = correct(NAMES[0]).any(|owner| {
            let manager = world.root::<Replica<Manager>>(owner).service();
            manager.status().open > 0 || self.begun.iter().any(|tx| manager.outcome(*tx).is_none())
        });
        let mut banks = NAMES[1..].iter().flat_map(|name| correct(name));
        deciding || banks.any(|owner| !world.root::<Replica<Bank>>(owner).service().is_idle())
    }

    /// Lets all liars fall silent for ever.
    pub(crate) fn silence(&mut self) {
        let parties = self.world.parties().into_iter();
        let liars: Vec<Owner> = parties.filter(|owner| self.world.is_corrupted(*owner)).collect();
        liars.into_iter().for_each(|liar| self.world.corrupt(liar, Crash::after(0)));
    }

    /// Until nothing is in flight and no alarm is armed: everybody has come to rest.
    pub(crate) fn rest(&mut self) {
        self.world.set_pace(LATE_PACE);
        self.world.run();
    }

    /// Lets letters take their time, the more the later it is.
    fn pace(&mut self) {
        let (steps, pace) = (self.world.steps(), LEASE.as_micros() / self.lease);
        if steps >= self.unfair + WORK_MAX * self.lease || self.unfair == 0 {
            self.world.set_pace(LATE_PACE);
        } else if steps >= self.unfair {
            self.world.set_pace(pace.min(LATE_PACE));
        }
        assert!(self.world.steps() < STEPS_MAX, "not over after {STEPS_MAX} letters");
    }
}
