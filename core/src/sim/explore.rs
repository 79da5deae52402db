//! Complete search of small worlds: every order in which letters can arrive, each state once.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
};

use super::{oracle::Broken, pool::Pick, story::Story, world::World};
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
    /// Those in which nothing more can happen.
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
/// Alarms are not fired, and corrupted parties must not draw lots: their state is not compared.
pub fn explore(
    mut world: World,
    limits: Limits,
    holds: impl Fn(&World) -> Result<(), Broken>,
) -> Explored {
    world.start();
    let mut seen = BTreeSet::<Digest>::from([world.digest()]);
    let mut found = Explored { states: 1, quiet: 0, deepest: 0, complete: true, broken: None };
    let mut next = VecDeque::from([(world, 0)]);
    while let Some((world, depth)) = next.pop_front() {
        found.deepest = depth;
        if let Err(broken) = holds(&world) {
            found.broken = Some((broken, world.story().clone()));
            return found;
        }
        found.quiet += usize::from(world.pool().is_empty());
        for queue in 0..world.pool().queues() {
            let mut then = world.fork();
            then.deliver(Pick::head(queue));
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
