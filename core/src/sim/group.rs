//! The common case: one group, one protocol at its root.

use std::{
    marker::PhantomData,
    ops::{Deref, DerefMut},
};

use super::{adversary::Adversary, behaviour::Behaviour, oracle::Run, real, world::World};
use crate::{
    id::{GroupId, PartyId},
    protocol::{Kind, Protocol},
    seat::{Owner, Seat},
    thresholds::Thresholds,
};

/// A party of the only group.
pub fn p(number: u16) -> PartyId {
    PartyId::new(number)
}

/// `n` parties that run a `P`, and the world around them.
#[derive(Debug)]
pub struct Group<P: Protocol> {
    world: World,
    marker: PhantomData<P>,
}

impl<P: Protocol> Group<P> {
    /// What the group and its root are called.
    pub const NAME: &str = "test";

    /// A group of `n` that tolerates `f` faults, in which all have the same spec.
    ///
    /// # Panics
    /// Unless `n >= 3f + 1`.
    pub fn new(n: u16, f: u16, seed: u64, spec: P::Spec) -> Self {
        Self::with(n, f, seed, |_| spec.clone())
    }

    /// The same, with a spec for each seat. One seed in a thousand runs the real cryptography
    /// ([`real`](super::real)).
    ///
    /// # Panics
    /// Unless `n >= 3f + 1`.
    pub fn with(n: u16, f: u16, seed: u64, spec: impl FnMut(&Seat) -> P::Spec) -> Self {
        let thresholds = Thresholds::asynchronous(n, f).expect("n >= 3f + 1");
        let mut world = World::new(seed, [(Self::NAME, thresholds)]);
        if real::of_seed(seed) {
            let deal = real::Dealt::new(Self::NAME, thresholds, seed);
            world.set_keys(move |owner, group, _| deal.keys(owner, group));
        }
        world.add_group::<P>(Self::NAME, Self::NAME, spec);
        Self { world, marker: PhantomData }
    }

    /// Hands a party to the adversary.
    ///
    /// # Panics
    /// When that makes more than `f`.
    #[must_use]
    pub fn corrupt(mut self, party: PartyId, behaviour: impl Behaviour + 'static) -> Self {
        self.world.corrupt(Self::owner(party), behaviour);
        self
    }

    /// Hands the last `f` parties to the adversary, each with a misdeed that the seed chooses.
    #[must_use]
    pub fn corrupt_any(mut self) -> Self {
        let thresholds = self.world.group(Self::NAME).thresholds;
        let seed = self.world.seed();
        for party in PartyId::all(thresholds.n()).rev().take(thresholds.f().into()) {
            let behaviour = super::behaviour::any(seed ^ u64::from(party.number()) << 32);
            self.world.corrupt_boxed(Self::owner(party), behaviour);
        }
        self
    }

    /// Lets this adversary pick what happens next.
    #[must_use]
    pub fn adversary(mut self, adversary: impl Adversary + 'static) -> Self {
        self.world.set_adversary(adversary);
        self
    }

    /// Restarts correct parties so many times, at steps that the seed chooses.
    #[must_use]
    pub fn restarts(mut self, restarts: u64) -> Self {
        self.world.set_restarts(restarts);
        self
    }

    /// Lets links between correct parties lose what is on them, so many times, and tell.
    #[must_use]
    pub fn losses(mut self, losses: u64) -> Self {
        self.world.set_losses(losses);
        self
    }

    /// Lets all parties lose their power so many times, at steps that the seed chooses.
    #[must_use]
    pub fn power_losses(mut self, losses: u64) -> Self {
        self.world.set_power_losses(losses);
        self
    }

    /// Breaks the order of links.
    #[must_use]
    pub fn unordered(mut self) -> Self {
        self.world.set_unordered();
        self
    }

    /// Gives children of these kinds trees of their own.
    #[must_use]
    pub fn detach(mut self, kinds: impl IntoIterator<Item = Kind>) -> Self {
        self.world.detach(kinds);
        self
    }

    /// Keeps all mail, for [`repeats_itself`](super::oracle::repeats_itself).
    #[must_use]
    pub fn journals(mut self) -> Self {
        self.world.set_journals();
        self
    }

    /// An input of the user of a party.
    pub fn input(&mut self, party: PartyId, input: P::Input) {
        self.world.input::<P>(Self::owner(party), input);
    }

    /// An input of one copy of a party that equivocates.
    pub fn input_face(&mut self, party: PartyId, face: usize, input: P::Input) {
        self.world.input_face::<P>(Self::owner(party), face, input);
    }

    /// What a party put out so far.
    pub fn outputs(&self, party: PartyId) -> &[P::Output] {
        self.world.outputs::<P>(Self::owner(party))
    }

    /// The state of a party.
    pub fn root(&self, party: PartyId) -> &P {
        self.world.root::<P>(Self::owner(party))
    }

    /// The parties that the adversary does not hold.
    pub fn correct(&self) -> Vec<PartyId> {
        let party = |owner| match owner {
            Owner::Party(_, party) => Some(party),
            Owner::Client(_) => None,
        };
        self.world.correct().into_iter().filter_map(party).collect()
    }

    /// What the correct parties put out, for the oracles.
    pub fn correct_outputs(&self) -> Run<'_, P::Output> {
        self.correct().into_iter().map(|party| (Self::owner(party), self.outputs(party))).collect()
    }

    /// The world, to copy or to search it.
    pub fn into_world(self) -> World {
        self.world
    }

    /// The party as an owner.
    pub const fn owner(party: PartyId) -> Owner {
        Owner::Party(GroupId::new(0), party)
    }
}

impl<P: Protocol> Deref for Group<P> {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl<P: Protocol> DerefMut for Group<P> {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.world
    }
}
