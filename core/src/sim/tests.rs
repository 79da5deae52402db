//! The simulator itself, with a small protocol that uses everything a protocol can.

mod echo;
mod planted;
mod toy;

use toy::{Input, Output, Toy};

use super::*;
use crate::{id::PartyId, protocol::Protocol};

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

#[test]
fn no_misdeed_of_f_parties_stops_the_others() {
    property(400, |seed| {
        let mut group = voting(seed).corrupt_any();
        group.run();
        let run = group.correct_outputs();
        oracle::agreement(&run).unwrap();
        oracle::live(&run, 3).unwrap();
        oracle::only(&run, |output| *output != Output::Decided(0)).unwrap();
        oracle::no_slander(&group).unwrap();
    });
}

#[test]
fn restarts_change_nothing() {
    property(100, |seed| {
        let mut group = voting(seed).corrupt_any().restarts(6).journals();
        group.run();
        oracle::live(&group.correct_outputs(), 3).unwrap();
        oracle::repeats_itself(&group).unwrap();
    });
}

#[test]
fn placement_changes_nothing() {
    property(50, |seed| {
        same_in_any_placement(&[toy::Count::KIND], |kinds| {
            let mut group = voting(seed).detach(kinds.iter().copied()).restarts(2);
            group.run();
            let run = group.correct_outputs();
            run.into_iter().map(|(owner, outputs)| (owner, outputs.to_vec())).collect()
        })
        .unwrap();
    });
}

#[test]
fn a_story_replays_to_the_same_state() {
    for seed in 0..20 {
        let mut group = voting(seed).corrupt_any().restarts(3).unordered();
        group.tell();
        group.run();
        let text = group.story().to_string();
        assert!(text.contains("-> output Decided(7)"), "{text}");
        let story = Story::parse(&text).expect("our own story");
        let mut again = voting(seed).corrupt_any().restarts(3).unordered();
        again.set_adversary(story.replay());
        again.run();
        assert_eq!((again.digest(), again.steps()), (group.digest(), group.steps()));
    }
    assert_eq!(Story::parse("maftia story 1\nseed x"), Err(BadStory { line: 2 }));
}

#[test]
#[should_panic(expected = "tolerates 1 corrupted parties")]
fn no_more_than_f_parties_are_corrupted() {
    let group = voting(0).corrupt(p(0), behaviour::Mute);
    drop(group.corrupt(p(1), behaviour::Mute));
}

#[test]
fn messages_can_be_changed_by_their_type() {
    let change = |_, number: &mut u64| {
        *number = 9;
        true
    };
    let mut group = voting(1).corrupt(p(0), behaviour::Mutate::<Toy>::new(change));
    group.teach::<toy::Count>();
    group.tell();
    group.run();
    let story = group.story().to_string();
    assert!(story.contains("test  p0: 9"), "{story}");
    assert!(story.contains("test/round.0  p0: 7"), "the child's messages pass: {story}");
}
