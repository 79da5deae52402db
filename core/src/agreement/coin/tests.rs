use super::*;
use crate::{
    crypto::Scheme,
    shuttle::{Shuttle, p},
    wire::limits,
};

fn values(world: &Shuttle<Coin>) -> Vec<Option<Digest>> {
    let value = |all: &Vec<Output>| match all.as_slice() {
        [] => None,
        [Output::Value(value)] => Some(*value),
        more => panic!("{more:?} is more than one coin"),
    };
    world.outputs.iter().map(value).collect()
}

#[test]
fn all_who_toss_learn_the_same_coin() {
    for n in [1, 4, 5, 7] {
        for seed in 0..20 {
            let mut world = Shuttle::<Coin>::new(n, seed, ());
            world.mute = (0..usize::from((n - 1) / 3)).collect();
            (0..usize::from(n)).for_each(|party| world.input(party, Input::Toss));
            world.run();
            let values = values(&world);
            assert!(values[0].is_some() && values.iter().all(|value| *value == values[0]));
            assert_eq!(world.faults, [], "n={n} seed={seed}");
        }
    }
}

#[test]
fn f_tosses_show_nothing_and_one_more_shows_it_to_those_who_tossed() {
    let mut world = Shuttle::<Coin>::new(7, 5, ());
    world.input(0, Input::Toss);
    world.input(1, Input::Toss);
    world.run();
    assert!(values(&world).iter().all(Option::is_none));
    world.input(2, Input::Toss);
    world.run();
    assert_eq!(values(&world).iter().flatten().count(), 3);
    world.input(6, Input::Toss);
    world.run();
    assert_eq!(values(&world)[6], values(&world)[0]);
}

#[test]
fn wrong_shares_are_named_and_left_out() {
    let wrong = Message::Share(Scheme::Ideal.share(&[b"wrong"]));
    for seed in 0..50 {
        let mut world = Shuttle::<Coin>::new(4, seed, ());
        world.mute = vec![3];
        (0..3).for_each(|to| world.forge(3, to, &wrong));
        (0..3).for_each(|party| world.input(party, Input::Toss));
        world.run();
        let values = values(&world);
        assert!(values[0].is_some() && values[..3].iter().all(|value| *value == values[0]));
        assert!(world.faults.iter().all(|(_, culprit, _)| *culprit == Peer::Member(p(3))));
    }
    let mut world = Shuttle::<Coin>::new(4, 0, ());
    world.forge(0, 1, &wrong);
    world.run();
    world.input(1, Input::Toss);
    world.run();
    let fault = Fault::BadProof { what: "share of a coin".into() };
    assert_eq!(world.faults, [(p(1), Peer::Member(p(0)), fault)]);
}

#[test]
fn a_huge_share_is_not_kept() {
    let huge = Message::Share(Scheme::Ideal.share(&[&[0; limits::SHARE_BYTES_MAX]]));
    let mut world = Shuttle::<Coin>::new(4, 0, ());
    world.forge(3, 0, &huge);
    world.run();
    assert!(matches!(world.faults.as_slice(), [(_, _, Fault::Improper(_))]));
    assert_eq!(world.trees[0].root().shares.len(), 0);
}
