use super::*;
use crate::{
    crypto::Scheme,
    shuttle::{Shuttle, p},
    wire::limits,
};

fn sign(message: &'static str) -> Input {
    Input::Sign { label: "test".into(), message: message.into() }
}

fn signed(world: &Shuttle<Signature>, party: usize) -> Option<&Certificate> {
    match world.outputs[party].as_slice() {
        [] => None,
        [Output::Signed(certificate)] => Some(certificate),
        more => panic!("{more:?} is more than one signature"),
    }
}

/// Whether a party's signature is one of this message, as everybody else sees it.
fn holds(world: &Shuttle<Signature>, party: usize, message: &str) -> bool {
    let seat = world.seats.last().unwrap();
    let (tag, digest) = covered(&seat.keys, &seat.id, b"test", message.as_bytes());
    signed(world, party).is_some_and(|found| seat.keys.signature.check(&tag, &digest, found))
}

#[test]
fn everybody_who_asks_learns_a_signature_that_holds() {
    for n in [1, 4, 5, 7] {
        for seed in 0..20 {
            let mut world = Shuttle::<Signature>::new(n, seed, ());
            world.mute = (0..usize::from((n - 1) / 3)).collect();
            (0..usize::from(n)).for_each(|party| world.input(party, sign("m")));
            world.run();
            assert!((0..usize::from(n)).all(|party| holds(&world, party, "m")));
            assert!((0..usize::from(n)).all(|party| !holds(&world, party, "x")));
            assert_eq!(world.faults, [], "n={n} seed={seed}");
        }
    }
}

#[test]
fn f_members_cannot_have_anything_signed() {
    let mut world = Shuttle::<Signature>::new(7, 5, ());
    world.input(0, sign("m"));
    world.input(1, sign("m"));
    world.input(2, sign("another"));
    world.run();
    assert!((0..7).all(|party| signed(&world, party).is_none()));
    world.input(6, sign("m"));
    world.run();
    assert!([0, 1, 6].iter().all(|party| holds(&world, *party, "m")));
    assert_eq!(signed(&world, 2), None, "its message is not the one that was signed");
    assert_eq!(world.faults, [], "to want another message is no fault");
}

#[test]
fn wrong_shares_are_named_and_left_out() {
    let digest =
        covered(&crate::shuttle::seat(4, 0).keys, &crate::shuttle::seat(4, 0).id, b"test", b"m").1;
    let wrong = Message::Share { digest, share: Scheme::Ideal.share(&[b"wrong"]) };
    for seed in 0..50 {
        let mut world = Shuttle::<Signature>::new(4, seed, ());
        world.mute = vec![3];
        (0..3).for_each(|to| world.forge(3, to, &wrong));
        (0..3).for_each(|party| world.input(party, sign("m")));
        world.run();
        assert!((0..3).all(|party| holds(&world, party, "m")));
        assert!(world.faults.iter().all(|(_, culprit, _)| *culprit == Peer::Member(p(3))));
    }
    let mut world = Shuttle::<Signature>::new(4, 0, ());
    world.forge(0, 1, &wrong);
    world.run();
    world.input(1, sign("m"));
    world.run();
    let fault = Fault::BadProof { what: "share of a signature".into() };
    assert_eq!(world.faults, [(p(1), Peer::Member(p(0)), fault)]);
}

#[test]
fn one_who_signs_twice_is_accused_and_a_huge_share_is_not_kept() {
    let share = |name: &str, len| Message::Share {
        digest: Digest::of("test", name.as_bytes()),
        share: Scheme::Ideal.share(&[&vec![0; len - 1]]),
    };
    let mut world = Shuttle::<Signature>::new(4, 0, ());
    world.forge(3, 0, &share("one", 32));
    world.run();
    world.forge(3, 0, &share("two", 32));
    world.run();
    assert!(matches!(world.faults.as_slice(), [(_, _, Fault::Equivocated { .. })]));
    world.forge(2, 0, &share("one", limits::SHARE_BYTES_MAX + 1));
    world.run();
    assert!(matches!(world.faults.as_slice(), [_, (_, _, Fault::Improper(_))]));
    assert_eq!(world.trees[0].root().shares.len(), 1);
}
