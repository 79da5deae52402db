//! Rounds that `f + 1` parties begin, and a few for the sake of one.

use super::*;
use crate::mail::Mail;

fn together(seed: u64) -> Shuttle<Atomic> {
    world_that_keeps(4, seed, Spec { begin: Begin::Together, ..Spec::default() })
}

fn round(world: &Shuttle<Atomic>) -> u64 {
    world.trees[0].root().position().round.number()
}

/// The last party, which lies, announces this in the round of the others.
fn announce(world: &mut Shuttle<Atomic>, batch: &Batch) {
    let announced = queue(3, round(world), batch.clone());
    (0..3).for_each(|to| world.forge(3, to, &announced));
    world.run();
}

#[test]
fn a_liar_alone_makes_no_round_before_anybody_submits() {
    for seed in 0..10 {
        let mut world = together(seed);
        world.mute = vec![3];
        for batch in [Batch::default(), Batch::of(["noise"])] {
            announce(&mut world, &batch);
            announce(&mut world, &batch);
        }
        assert_eq!(round(&world), 0);
        let said = world.trees[..3].iter().filter(|tree| tree.root().rounds[&Round::FIRST].joined);
        assert_eq!(said.count(), 0);
    }
}

#[test]
fn a_liar_makes_few_rounds_for_each_submission() {
    for seed in 0..10 {
        let mut world = together(seed);
        world.mute = vec![3];
        (0..3).for_each(|party| submit(&mut world, party, &["x"]));
        world.run();
        for batch in [Batch::default(), Batch::of(["noise"])] {
            for _ in 0..100 {
                announce(&mut world, &batch);
            }
        }
        assert_eq!(
            delivered(&world.outputs[0]).iter().filter(|(from, _)| *from != p(3)).count(),
            3
        );
        let rounds = round(&world);
        assert!(rounds <= 2 + rounds::COMPANY_MAX as u64, "{rounds} rounds");
    }
}

/// What the rounds of the others left out is ordered, though nobody submits anything any more.
#[test]
fn one_who_is_left_out_is_gone_along_with() {
    for seed in 0..20 {
        let mut world = together(seed);
        submit(&mut world, 3, &["first of all"]);
        world.run();
        assert_eq!(round(&world), 0, "one alone is not enough");
        (0..3).for_each(|party| submit(&mut world, party, &["x"]));
        world.deliver(|(to, mail)| {
            let from_last =
                matches!(mail, Mail::Frame { from: Peer::Member(from), .. } if *from == p(3));
            *to != 3 && !from_last
        });
        assert!(round(&world) > 0, "three are");
        submit(&mut world, 3, &["second", "third"]);
        world.run();
        for outputs in &world.outputs {
            assert_eq!(of(&delivered(outputs), 3), ["first of all", "second", "third"]);
        }
        let before = round(&world);
        submit(&mut world, 3, &["last of all"]);
        world.run();
        assert_eq!(of(&delivered(&world.outputs[0]), 3).len(), 4);
        assert_eq!(round(&world), before + 1);
    }
}

/// Who says again that it waits goes along with others as before.
#[test]
fn an_empty_submission_counts_as_one() {
    let mut world = together(1);
    let alone = |world: &mut Shuttle<Atomic>, word: &str| {
        let before = round(world);
        submit(world, 3, &[word]);
        world.run();
        round(world) > before
    };
    assert!(!alone(&mut world, "nobody waits"));
    let renew = |world: &mut Shuttle<Atomic>| {
        (0..3).for_each(|party| world.input(party, Input::Submit { batch: Batch::default() }));
        world.run();
    };
    renew(&mut world);
    let more = (0..100).take_while(|count| alone(&mut world, &format!("{count}"))).count();
    assert!(more <= rounds::COMPANY_MAX, "{more} rounds");
    renew(&mut world);
    assert!(round(&world) > 0);
    assert_eq!(of(&delivered(&world.outputs[0]), 3).len(), more + 2, "what waited is ordered");
}
