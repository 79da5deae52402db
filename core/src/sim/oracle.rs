//! What must hold of every run. An oracle says what it found; `.unwrap()` in a
//! [`property`](super::property) prints it with the seed and the story.

use std::fmt::{Debug, Display};

use super::world::World;
use crate::seat::Owner;

/// What each correct party put out.
pub type Run<'a, T> = Vec<(Owner, &'a [T])>;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{promise}: {found}")]
pub struct Broken {
    /// Which promise.
    pub promise: &'static str,
    /// What was found instead.
    pub found: String,
}

fn broken<T>(promise: &'static str, found: impl Display) -> Result<T, Broken> {
    Err(Broken { promise, found: found.to_string() })
}

/// Any two correct parties that put something out put out the same: as a list for list, or nothing.
pub fn agreement<T: PartialEq + Debug>(run: &Run<'_, T>) -> Result<(), Broken> {
    let mut said = run.iter().filter(|(_, outputs)| !outputs.is_empty());
    let Some((first, expected)) = said.next() else { return Ok(()) };
    match said.find(|(_, outputs)| outputs != expected) {
        Some((other, outputs)) => {
            broken("agreement", format!("{first:?} {expected:?}, {other:?} {outputs:?}"))
        }
        None => Ok(()),
    }
}

/// What any correct party put out at a place, none put out otherwise: of two lists, one begins the
/// other.
pub fn total_order<T: PartialEq + Debug>(run: &Run<'_, T>) -> Result<(), Broken> {
    let Some((longest, all)) = run.iter().max_by_key(|(_, outputs)| outputs.len()) else {
        return Ok(());
    };
    for (other, outputs) in run {
        if let Some(place) = (0..outputs.len()).find(|place| outputs[*place] != all[*place]) {
            let (here, there) = (&outputs[place], &all[place]);
            return broken(
                "total order",
                format!("at {place} {other:?} has {here:?}, {longest:?} {there:?}"),
            );
        }
    }
    Ok(())
}

/// Nobody puts the same out twice.
pub fn exactly_once<T: PartialEq + Debug>(run: &Run<'_, T>) -> Result<(), Broken> {
    for (owner, outputs) in run {
        let again =
            outputs.iter().enumerate().find(|(place, output)| outputs[..*place].contains(output));
        if let Some((place, output)) = again {
            return broken("exactly once", format!("{owner:?} again at {place}: {output:?}"));
        }
    }
    Ok(())
}

/// Everything that anybody puts out is allowed: validity and integrity.
pub fn only<T: Debug>(run: &Run<'_, T>, allowed: impl Fn(&T) -> bool) -> Result<(), Broken> {
    for (owner, outputs) in run {
        if let Some(output) = outputs.iter().find(|output| !allowed(output)) {
            return broken("validity", format!("{owner:?} put out {output:?}"));
        }
    }
    Ok(())
}

/// Everybody put out at least so much: liveness, once nothing is in flight.
pub fn live<T: Debug>(run: &Run<'_, T>, at_least: usize) -> Result<(), Broken> {
    match run.iter().find(|(_, outputs)| outputs.len() < at_least) {
        Some((owner, outputs)) => {
            let got = outputs.len();
            broken("liveness", format!("{owner:?} put out {got} of {at_least}: {outputs:?}"))
        }
        None => Ok(()),
    }
}

/// All or none: if one correct party put something out, all did as much.
pub fn totality<T: Debug>(run: &Run<'_, T>) -> Result<(), Broken> {
    let most = run.iter().map(|(_, outputs)| outputs.len()).max().unwrap_or_default();
    live(run, most).map_err(|Broken { found, .. }| Broken { promise: "totality", found })
}

/// What each tree may hold at the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Open instances.
    pub instances: usize,
    /// Early frames that wait.
    pub waiting: usize,
    /// Bytes of a snapshot.
    pub snapshot: usize,
}

/// No correct party holds more than `bounds`, in each of its trees.
pub fn bounded(world: &World, bounds: Bounds) -> Result<(), Broken> {
    for owner in world.correct() {
        for tree in world.sites_of(owner).into_iter().filter_map(|site| world.tree(site)) {
            let snapshot = tree.save().len();
            let held = Bounds { instances: tree.instances(), waiting: tree.waiting(), snapshot };
            let within = held.instances <= bounds.instances
                && held.waiting <= bounds.waiting
                && held.snapshot <= bounds.snapshot;
            if !within {
                return broken(
                    "bounded memory",
                    format!("{} holds {held:?}, allowed are {bounds:?}", world.name(owner)),
                );
            }
        }
    }
    Ok(())
}

/// No correct party accuses a correct party.
pub fn no_slander(world: &World) -> Result<(), Broken> {
    for (accuser, accusation) in world.accusations() {
        let accused = world.meant(*accuser, accusation.peer, accusation.group);
        if !world.is_corrupted(*accuser) && !world.is_corrupted(accused) {
            return broken(
                "no slander",
                format!(
                    "{} accuses {} at {}: {}",
                    world.name(*accuser),
                    world.name(accused),
                    accusation.instance,
                    accusation.fault
                ),
            );
        }
    }
    Ok(())
}

/// Every correct party that takes all its mail again, from birth, says the same again, byte for byte,
/// and comes to the same state. Needs a world that keeps journals.
///
/// # Panics
/// In a world without journals.
pub fn repeats_itself(world: &World) -> Result<(), Broken> {
    for owner in world.correct() {
        for site in world.sites_of(owner) {
            if !world.repeats(site) {
                return broken(
                    "restart",
                    format!("{} differs when it takes its mail again", world.name(owner)),
                );
            }
        }
    }
    Ok(())
}

/// Nothing is in flight any more.
pub fn quiet(world: &World) -> Result<(), Broken> {
    match world.pool().len() {
        0 => Ok(()),
        left => broken("quiescence", format!("{left} letters are in flight")),
    }
}
