//! Replicas, their clients, and liars among both.

mod clients;
mod groups;
mod guests;
mod hostile;
mod states;
mod strands;
mod toy;
mod transfer;
mod world;

use bytes::Bytes;
use toy::Counter;
use world::World;

use super::{Asked, Number, Spec, session};
use crate::time::Span;

/// A group of counters that keeps a record of so many items.
fn spec(keep: usize) -> Spec<Counter> {
    Spec::new((None, keep))
}

/// Sizes that the rules are tried with.
const SIZES: [(u16, u16); 2] = [(4, 1), (7, 2)];

/// One command of the first session.
fn one(count: u32, body: Bytes) -> Vec<Asked> {
    vec![Asked { number: Number::new(1, count), body }]
}

/// One group with the session 1 of client 1 open.
fn group(seed: u64, n: u16, f: u16) -> World {
    let mut world = World::new(seed, 1, n, f, &spec(1_000));
    world.open(1, 0, session::Spec::new(1));
    world
}

/// Long enough for everybody to have vouched.
const MOMENT: Span = Span::millis(100);

/// Long enough for every alarm to have done what it can.
const LONG: Span = Span::millis(60_000);
