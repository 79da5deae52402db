//! Who decides what happens next. Links between correct parties lose nothing, so all that an
//! adversary can do with them is to choose an order; what corrupted parties say is the matter of
//! [`behaviour`](super::behaviour).

use std::{collections::BTreeMap, fmt};

use super::{
    pool::{Channel, Flight, Pick},
    seeds::Rng,
    world::World,
};
use crate::seat::Owner;

/// Picks what happens next, knowing everything.
pub trait Adversary: fmt::Debug + Send {
    /// One of the letters in flight, of which there is at least one. `None` ends the run here.
    fn pick(&mut self, world: &World, rng: &mut Rng) -> Option<Pick>;
}

/// Any letter may be next.
#[derive(Clone, Copy, Debug)]
pub struct Random;

impl Adversary for Random {
    fn pick(&mut self, world: &World, rng: &mut Rng) -> Option<Pick> {
        Some(any(world, rng))
    }
}

/// In the order in which letters were sent.
#[derive(Clone, Copy, Debug)]
pub struct Fifo;

impl Adversary for Fifo {
    fn pick(&mut self, world: &World, _: &mut Rng) -> Option<Pick> {
        let pool = world.pool();
        (0..pool.queues()).min_by_key(|queue| pool.head(*queue).number).map(Pick::head)
    }
}

/// What was sent last goes first, as far as channels allow it.
#[derive(Clone, Copy, Debug)]
pub struct Lifo;

impl Adversary for Lifo {
    fn pick(&mut self, world: &World, _: &mut Rng) -> Option<Pick> {
        let pool = world.pool();
        (0..pool.queues()).max_by_key(|queue| pool.head(*queue).number).map(Pick::head)
    }
}

/// Some hear nothing, and are not heard, until a step; and then, or when nothing else is left, they
/// are.
#[derive(Clone, Debug)]
pub struct Starve {
    who: Vec<Owner>,
    until: u64,
}

impl Starve {
    /// As long as anything else can happen.
    pub fn always(who: impl IntoIterator<Item = Owner>) -> Self {
        Self::until(u64::MAX, who)
    }

    /// Until so many letters were delivered.
    pub fn until(step: u64, who: impl IntoIterator<Item = Owner>) -> Self {
        Self { who: who.into_iter().collect(), until: step }
    }
}

impl Adversary for Starve {
    fn pick(&mut self, world: &World, rng: &mut Rng) -> Option<Pick> {
        if world.steps() >= self.until {
            return Some(any(world, rng));
        }
        Some(prefer(world, rng, |flight| {
            flight
                .letter
                .frame()
                .is_none_or(|(from, to, _)| !self.who.contains(&from) && !self.who.contains(&to))
        }))
    }
}

/// Nothing passes between two sides until a step, or until nothing else is left.
#[derive(Clone, Debug)]
pub struct Partition {
    side: Vec<Owner>,
    until: u64,
}

impl Partition {
    /// These against the rest, until so many letters were delivered.
    pub fn until(step: u64, side: impl IntoIterator<Item = Owner>) -> Self {
        Self { side: side.into_iter().collect(), until: step }
    }
}

impl Adversary for Partition {
    fn pick(&mut self, world: &World, rng: &mut Rng) -> Option<Pick> {
        if world.steps() >= self.until {
            return Some(any(world, rng));
        }
        Some(prefer(world, rng, |flight| {
            flight
                .letter
                .frame()
                .is_none_or(|(from, to, _)| self.side.contains(&from) == self.side.contains(&to))
        }))
    }
}

/// Each channel has a priority, drawn at first sight; the highest goes first, and now and then falls
/// to the lowest (Burckhardt et al., *A randomized scheduler with probabilistic guarantees of finding
/// bugs*, ASPLOS 2010). Finds what needs few, far-apart preemptions.
#[derive(Clone, Debug, Default)]
pub struct Priorities {
    drawn: BTreeMap<Channel, u64>,
    lowest: u64,
}

/// How often, in steps, the highest priority falls.
const FALL: usize = 40;

impl Adversary for Priorities {
    fn pick(&mut self, world: &World, rng: &mut Rng) -> Option<Pick> {
        let pool = world.pool();
        for queue in 0..pool.queues() {
            let high = || rng.number() | 1 << 63;
            self.drawn.entry(pool.channel(queue)).or_insert_with(high);
        }
        let highest = (0..pool.queues()).max_by_key(|queue| self.drawn[&pool.channel(*queue)])?;
        if rng.once_in(FALL) {
            self.lowest += 1;
            self.drawn.insert(pool.channel(highest), (1 << 62) - self.lowest);
        }
        Some(Pick::head(highest))
    }
}

/// The adversary of the seed until so many letters were delivered, and [`Random`] from then on. Some
/// orders never deliver a letter as long as there are younger ones; no promise of progress holds for
/// ever under them when a liar never stops talking. This one is unfair for long, and then fair.
#[derive(Debug)]
pub struct Relents {
    first: Option<Box<dyn Adversary>>,
    until: u64,
}

impl Relents {
    /// Unfair until this step.
    pub const fn at(step: u64) -> Self {
        Self { first: None, until: step }
    }
}

impl Adversary for Relents {
    fn pick(&mut self, world: &World, rng: &mut Rng) -> Option<Pick> {
        if world.steps() >= self.until {
            return Some(any(world, rng));
        }
        let first = self.first.get_or_insert_with(|| of_seed(world.seed(), &world.parties()));
        first.pick(world, rng)
    }
}

/// A closure that sees everything: for the known attacks.
pub struct Script<F>(pub F);

impl<F> fmt::Debug for Script<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

impl<F: FnMut(&World, &mut Rng) -> Option<Pick> + Send> Adversary for Script<F> {
    fn pick(&mut self, world: &World, rng: &mut Rng) -> Option<Pick> {
        (self.0)(world, rng)
    }
}

/// One of the above, as the seed has it: what worlds do when a test names no adversary. Half of the
/// seeds are plain random.
pub fn of_seed(seed: u64, parties: &[Owner]) -> Box<dyn Adversary> {
    let mut rng = Rng::new(seed).fork(0xad);
    let mut some = Vec::new();
    let first = rng.below(parties.len().max(1));
    some.extend(parties.get(first).copied());
    match rng.below(12) {
        0 => Box::new(Fifo),
        1 => Box::new(Lifo),
        2 => Box::new(Starve::always(some)),
        3 => Box::new(Starve::until(rng.below(400) as u64, some)),
        4 => {
            some.extend(parties.iter().copied().filter(|_| rng.once_in(2)));
            Box::new(Partition::until(rng.below(400) as u64, some))
        }
        5 | 6 => Box::new(Priorities::default()),
        _ => Box::new(Random),
    }
}

/// Any letter, with the same chance for each channel.
pub fn any(world: &World, rng: &mut Rng) -> Pick {
    let queue = rng.below(world.pool().queues());
    overtaking(world, rng, queue)
}

/// Any letter that is wanted; any at all when there is none.
pub fn prefer(world: &World, rng: &mut Rng, wanted: impl Fn(&Flight) -> bool) -> Pick {
    let pool = world.pool();
    let mut seen = 0;
    let mut chosen = None;
    for queue in 0..pool.queues() {
        if wanted(pool.head(queue)) {
            seen += 1;
            if rng.once_in(seen) {
                chosen = Some(queue);
            }
        }
    }
    match chosen {
        Some(queue) => overtaking(world, rng, queue),
        None => any(world, rng),
    }
}

/// The head of a queue, or any of its letters in a world without order.
fn overtaking(world: &World, rng: &mut Rng, queue: usize) -> Pick {
    let is_link = matches!(world.pool().channel(queue), Channel::Link { .. });
    if world.is_ordered() || !is_link {
        return Pick::head(queue);
    }
    let depth = rng.below(world.pool().letters(queue).len());
    Pick { queue: queue as u32, depth: depth as u32 }
}
