//! The simulator itself, with a small protocol that uses everything a protocol can.

mod toy;

use toy::{Input, Toy};

use super::*;
use crate::id::PartyId;

/// Four parties that all vote for 7.
fn voting(seed: u64) -> Group<Toy> {
    let mut group = Group::<Toy>::new(4, 1, seed, toy::Spec::default());
    PartyId::all(4).for_each(|party| group.input(party, Input::Vote(7)));
    group
}

#[test]
fn correct_parties_end_in_every_world() {
    property(200, |seed| {
        let mut group = voting(seed);
        group.run();
        let run = group.correct_outputs();
        oracle::agreement(&run).unwrap();
        oracle::live(&run, 3).unwrap();
        oracle::no_slander(&group).unwrap();
        oracle::quiet(&group).unwrap();
    });
}

#[test]
fn a_seed_fixes_everything() {
    let run = |seed| {
        let mut group = voting(seed).restarts(3);
        group.tell();
        group.run();
        (group.digest(), group.story().clone())
    };
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed));
    }
    assert_ne!(run(1).1, run(2).1);
}
