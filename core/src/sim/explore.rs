//! Complete search of small worlds: every order in which letters can arrive, each state once.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
};

use super::{
    oracle::Broken,
    pool::{Letter, Pick},
    story::Story,
    world::World,
};
use crate::crypto::Digest;

/// How far a search goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most letters on one way.
    pub depth: usize,
    /// The most states.
    pub states: usize,
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Explored {
    /// The distinct states seen.
    pub states: usize,
    /// Those in which nothing more may arrive.
    pub quiet: usize,
    /// The most letters on one way.
    pub deepest: usize,
    /// Whether every state that can be reached was seen.
    pub complete: bool,
    /// The first state that broke the promise, and the way there.
    pub broken: Option<(Broken, Story)>,
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { states, quiet, deepest, complete, .. } = self;
        let reach = if *complete { "complete" } else { "cut off" };
        write!(f, "{states} states, {quiet} of them final, depth {deepest}, {reach}")?;
        match &self.broken {
            Some((broken, story)) => write!(f, "\n{broken}\n{story}"),
            None => Ok(()),
        }
    }
}

/// Visits every state that `world` can reach, shortest ways first, until `holds` fails. It is asked
/// of every state; whether the state is final shows in the world's pool.
///
/// Alarms are not fired, and corrupted parties must not draw lots: their state is not compared. Of one
/// that runs nothing, such as [`Crash::after`](super::behaviour::Crash::after)`(0)`, no order of what
/// it hears is tried.
pub fn explore(
    world: World,
    limits: Limits,
    holds: impl Fn(&World) -> Result<(), Broken>,
) -> Explored {
    explore_within(world, limits, |_| true, holds)
}

/// The same, where only those letters arrive that may: all others stay in flight, and those behind
/// them pass. So the first round of a protocol can be searched by itself, if what is said in later
/// ones changes nothing in it.
pub fn explore_within(
    mut world: World,
    limits: Limits,
    may_arrive: impl Fn(&Letter) -> bool,
    holds: impl Fn(&World) -> Result<(), Broken>,
) -> Explored {
    world.start();
    world.drop_unheard();
    let mut seen = BTreeSet::<Digest>::from([world.digest()]);
    let mut found = Explored { states: 1, quiet: 0, deepest: 0, complete: true, broken: None };
    let mut next = VecDeque::from([(world, 0)]);
    while let Some((world, depth)) = next.pop_front() {
        found.deepest = depth;
        if let Err(broken) = holds(&world) {
            found.broken = Some((broken, world.story().clone()));
            return found;
        }
        let first = |queue| {
            let depth = world.pool().letters(queue).position(|flight| may_arrive(&flight.letter));
            depth.map(|depth| Pick { queue: queue as u32, depth: depth as u32 })
        };
        let picks: Vec<Pick> = (0..world.pool().queues()).filter_map(first).collect();
        found.quiet += usize::from(picks.is_empty());
        for pick in picks {
            let mut then = world.fork();
            then.deliver(pick);
            then.drop_unheard();
            if !seen.insert(then.digest()) {
                continue;
            }
            if depth == limits.depth || found.states == limits.states {
                found.complete = false;
                continue;
            }
            found.states += 1;
            next.push_back((then, depth + 1));
        }
    }
    found
}
