//! The world in which protocols are tried out. No binary contains it.
//!
//! # How to write a property test, in one page
//!
//! ```
//! use maftia_core::{
//!     broadcast::reliable::{Input, Output, Reliable, Spec},
//!     sim::{Group, behaviour::Equivocate, oracle, p, property},
//! };
//!
//! /// No two correct parties deliver different payloads, whatever the sender does.
//! property(64, |seed| {
//!     let spec = Spec { sender: p(0), limit: 100 };
//!     let mut group = Group::<Reliable>::new(4, 1, seed, spec)
//!         .corrupt(p(0), Equivocate::at_random())
//!         .restarts(2);
//!     group.input_face(p(0), 0, Input::Broadcast("left".into()));
//!     group.input_face(p(0), 1, Input::Broadcast("right".into()));
//!     group.run();
//!     oracle::agreement(&group.correct_outputs()).unwrap();
//!     oracle::totality(&group.correct_outputs()).unwrap();
//!     oracle::no_slander(&group).unwrap();
//! });
//! ```
//!
//! 1. [`property`] tries a closure with seeds 0 to 63, or those that `MAFTIA_SEED=7`,
//!    `MAFTIA_SEEDS=10000` or `MAFTIA_SEEDS=500..600` name. The seed that fails is printed, and its
//!    story: a line for each letter that arrived, with what it caused. Groups whose size is free take
//!    it from [`size`], so that `MAFTIA_N=7` fixes it: `MAFTIA_N=7 MAFTIA_SEEDS=10000 cargo test
//!    --release --test stream` is ten thousand worlds of seven parties, two of them corrupted.
//! 2. [`Group`] is the common case: one group with one protocol at the root. [`World`] has any number
//!    of groups, clients and roots: `World::new(seed, [("tm", t), ("left", t)])`, `add_group`,
//!    `add(world.seat(owner, group, name), spec)`, `World::client(name)`, `input::<P>(owner, ..)`,
//!    `outputs::<P>(owner)`. A `Group` lends all methods of its world.
//! 3. Corrupt up to `f` parties of each group with a [`behaviour`], or with any: `corrupt_any()`.
//!    `Mutate::<P>::new(|to, message| ..)` changes messages of one type.
//! 4. The order in which letters arrive is the [`adversary`]'s. Without one the seed chooses: half of
//!    the seeds are random, the others first-in, last-in, starving, partitions and priorities. Links
//!    keep the order of each lane; `unordered()` breaks it. `Script(|world, rng| ..)` is a closure
//!    that sees all that is in flight: `world.pool().head(i).letter.message::<P>()`.
//! 5. `run()` goes on until nothing is in flight and no alarm is armed; protocols that arm alarms for
//!    ever take `run_for(span)`, `settle()` or `run_while(..)`. Too many steps are a livelock and
//!    panic.
//! 6. Then ask the [`oracle`]s. After `run()`, [`oracle::live`] is liveness: whatever was going to
//!    happen has happened.
//! 7. `restarts(k)` restarts correct parties from snapshots; `losses(k)` lets links between them lose
//!    what is on them, and tells the addressee so; `journals()` and
//!    [`oracle::repeats_itself`] check that a party that takes its mail again says the same.
//!    `detach([Binary::KIND])` gives children trees of their own, as actors have them.
//! 8. Small worlds are searched completely: [`explore()`]. What a liar says in them is written down word
//!    by word with `inject`.
//!
//! Cryptography is [`ideal`], a keyed hash. A [`Group`] of one seed in a thousand has [`real`] keys;
//! `set_keys` gives them to any world.

pub mod adversary;
pub mod behaviour;
mod explore;
mod group;
pub mod ideal;
pub mod oracle;
mod placement;
mod pool;
pub mod real;
mod seeds;
mod site;
mod story;
#[cfg(test)]
mod tests;
mod world;

pub use explore::{Explored, Limits, explore, explore_within};
pub use group::{Group, p};
pub use placement::{Outcome, same_in_any_placement};
pub use pool::{Channel, Flight, Letter, Pick, Pool, Site};
pub use seeds::{Rng, property, seeds, size};
pub use story::{BadStory, Replay, Story};
pub use world::{KeyMaker, STEPS_MAX, World};
