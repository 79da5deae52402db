//! Each oracle fails where it must, and searches find what was planted.

use super::toy::{Input, Spec, Toy};
use crate::{
    id::PartyId,
    sim::{Group, Limits, World, behaviour::Equivocate, explore, oracle, p},
};

fn toys(seed: u64, spec: Spec) -> Group<Toy> {
    let mut group = Group::<Toy>::new(4, 1, seed, spec);
    PartyId::all(4).for_each(|party| group.input(party, Input::Vote(7)));
    group
}

/// `p0` tells `p1` one thing and `p2` another.
fn two_faced(seed: u64, spec: Spec) -> Group<Toy> {
    let mut group = Group::<Toy>::new(4, 1, seed, spec).corrupt(p(0), Equivocate::to([p(2)]));
    group.input_face(p(0), 0, Input::Vote(7));
    group.input_face(p(0), 1, Input::Vote(8));
    group.input(p(1), Input::Vote(7));
    group.input(p(2), Input::Vote(8));
    group
}

fn first_decisions(world: &World) -> Result<(), oracle::Broken> {
    let correct = world.correct();
    let first = |owner: &_| (*owner, world.outputs::<Toy>(*owner));
    let run = correct.iter().map(first).map(|(owner, outputs)| {
        let first = outputs.len().min(1);
        (owner, &outputs[..first])
    });
    oracle::agreement(&run.collect())
}

#[test]
fn two_decisions_break_agreement() {
    let broken = (0..50).filter(|seed| {
        let mut group = two_faced(*seed, Spec::Hasty);
        group.run();
        first_decisions(&group).is_err()
    });
    assert!(broken.count() > 10);
    for seed in 0..50 {
        let mut group = two_faced(seed, Spec::Right);
        group.run();
        first_decisions(&group).unwrap();
    }
}

#[test]
fn saying_it_twice_breaks_exactly_once() {
    let mut group = toys(1, Spec::Stutters);
    group.run();
    assert!(oracle::exactly_once(&group.correct_outputs()).is_err());
    let mut group = toys(1, Spec::Right);
    group.run();
    oracle::exactly_once(&group.correct_outputs()).unwrap();
}

#[test]
fn slander_is_found() {
    let mut group = toys(1, Spec::Slanders);
    group.run();
    let broken = oracle::no_slander(&group).unwrap_err();
    assert!(broken.found.contains("silent while others answered"), "{broken}");
}

#[test]
fn two_votes_are_too_few_to_be_live() {
    let mut group = Group::<Toy>::new(4, 1, 1, Spec::Right);
    [0, 1].into_iter().for_each(|party| group.input(p(party), Input::Vote(7)));
    assert!(oracle::quiet(&group).is_err());
    group.run();
    oracle::quiet(&group).unwrap();
    assert!(oracle::live(&group.correct_outputs(), 1).is_err());
    oracle::totality(&group.correct_outputs()).unwrap();
}

#[test]
#[should_panic(expected = "a livelock")]
fn a_livelock_is_found() {
    let mut group = toys(1, Spec::Babbles);
    group.set_steps_max(2_000);
    group.run();
}

#[test]
fn a_tree_that_holds_more_than_allowed_is_found() {
    let mut group = toys(1, Spec::Right);
    group.run();
    let bounds = oracle::Bounds { instances: 2, waiting: 0, snapshot: 1_000 };
    oracle::bounded(&group, bounds).unwrap();
    for less in
        [oracle::Bounds { instances: 1, ..bounds }, oracle::Bounds { snapshot: 10, ..bounds }]
    {
        assert!(oracle::bounded(&group, less).is_err());
    }
}

#[test]
fn a_protocol_that_looks_outside_does_not_repeat_itself() {
    let mut group = toys(1, Spec::Moody).journals();
    group.run();
    assert!(oracle::repeats_itself(&group).is_err());
}

#[test]
fn lists_are_compared() {
    let [a, b, c] = [0, 1, 2].map(|party| Group::<Toy>::owner(p(party)));
    let run: oracle::Run<'_, u8> = vec![(a, &[1, 2, 3]), (b, &[1, 2]), (c, &[])];
    oracle::total_order(&run).unwrap();
    assert!(oracle::totality(&run).is_err());
    assert!(oracle::agreement(&run).is_err(), "one is longer");
    assert!(oracle::only(&run, |output| *output < 3).is_err());
    oracle::only(&run, |output| *output < 4).unwrap();
    let run: oracle::Run<'_, u8> = vec![(a, &[1, 2, 3]), (b, &[2])];
    assert!(oracle::total_order(&run).is_err());
}

#[test]
fn a_search_finds_a_planted_fault_and_its_story_replays() {
    let limits = Limits { depth: 12, states: 100_000 };
    let found = explore(two_faced(1, Spec::Hasty).into_world(), limits, first_decisions);
    let (broken, story) = found.broken.expect("two votes are enough for a hasty one");
    assert_eq!(broken.promise, "agreement");
    let mut again = two_faced(1, Spec::Hasty);
    again.set_adversary(story.replay());
    again.run();
    assert_eq!(first_decisions(&again), Err(broken));
}

#[test]
fn a_small_world_is_searched_to_its_end() {
    let mut group = Group::<Toy>::new(2, 0, 1, Spec::Right);
    [0, 1].into_iter().for_each(|party| group.input(p(party), Input::Vote(7)));
    let limits = Limits { depth: 100, states: 100_000 };
    let found = explore(group.into_world(), limits, |world| {
        if world.pool().is_empty() {
            let run = world.correct().into_iter().map(|owner| (owner, world.outputs::<Toy>(owner)));
            oracle::live(&run.collect(), 2)?;
        }
        first_decisions(world)
    });
    assert!(found.complete && found.broken.is_none() && found.quiet > 0, "{found}");
    let cut = Limits { depth: 3, states: 100_000 };
    let mut group = Group::<Toy>::new(2, 0, 1, Spec::Right);
    [0, 1].into_iter().for_each(|party| group.input(p(party), Input::Vote(7)));
    assert!(!explore(group.into_world(), cut, |_| Ok(())).complete);
}
