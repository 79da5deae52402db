use super::*;
use crate::{
    crypto::Scheme,
    shuttle::{Shuttle, p, seat},
    wire::limits,
};

fn sealed(text: &str) -> Ciphertext {
    let seat = seat(4, 0);
    encrypt(&seat.keys, &seat.id, b"will", text.as_bytes(), &[5; 32])
}

fn open(label: &'static str, ciphertext: Ciphertext) -> Input {
    Input::Open { label: label.into(), ciphertext }
}

fn opened(text: &'static str) -> Vec<Output> {
    vec![Output::Opened(text.into())]
}

#[test]
fn whoever_asks_learns_what_is_in_it() {
    for seed in 0..20 {
        let mut world = Shuttle::<Opening>::new(4, seed, ());
        world.mute = vec![0];
        (0..4).for_each(|party| world.input(party, open("will", sealed("to Bob"))));
        world.run();
        assert!(world.outputs.iter().all(|outputs| *outputs == opened("to Bob")));
        assert_eq!(world.faults, [], "seed={seed}");
    }
}

#[test]
fn f_members_cannot_have_anything_opened() {
    let mut world = Shuttle::<Opening>::new(7, 5, ());
    let here = &world.seats[0];
    let make =
        |text: &str, seed| encrypt(&here.keys, &here.id, b"will", text.as_bytes(), &[seed; 32]);
    let (mine, other) = (make("to Bob", 1), make("to Eve", 2));
    world.input(0, open("will", mine.clone()));
    world.input(1, open("will", mine.clone()));
    world.input(2, open("will", other));
    world.run();
    assert!(world.outputs.iter().all(Vec::is_empty));
    world.input(6, open("will", mine));
    world.run();
    assert!([0, 1, 6].iter().all(|party| world.outputs[*party] == opened("to Bob")));
    assert!(world.outputs[2].is_empty() && world.faults.is_empty());
}

/// Under another label, in another instance, or changed, it is invalid, and nobody makes a share.
#[test]
fn what_was_made_for_something_else_is_invalid() {
    let seat = seat(4, 0);
    let elsewhere = seat.id.child(Role::Other.only());
    let foreign = encrypt(&seat.keys, &elsewhere, b"will", b"to Bob", &[5; 32]);
    let mut bent = sealed("to Bob").0.to_vec();
    *bent.last_mut().unwrap() ^= 1;
    for (label, ciphertext) in [
        ("gift", sealed("to Bob")),
        ("will", foreign),
        ("will", Ciphertext(bent.into())),
        ("will", Ciphertext(Bytes::new())),
    ] {
        let mut world = Shuttle::<Opening>::new(4, 1, ());
        (0..4).for_each(|party| world.input(party, open(label, ciphertext.clone())));
        world.run();
        assert!(world.outputs.iter().all(|outputs| *outputs == [Output::Invalid]));
        assert_eq!(world.faults, []);
    }
}

#[test]
fn wrong_shares_are_named_and_left_out() {
    let name = Digest::of_parts("opening", &[&bound(&seat(4, 0).id, b"will"), &sealed("x").0]);
    let wrong = Message::Share { name, share: Scheme::Ideal.share(&[b"wrong"]) };
    let fault = Fault::BadProof { what: "share of a ciphertext".into() };
    let mut blamed = 0;
    for seed in 0..50 {
        let mut world = Shuttle::<Opening>::new(4, seed, ());
        world.mute = vec![3];
        (0..3).for_each(|to| world.forge(3, to, &wrong));
        (0..3).for_each(|party| world.input(party, open("will", sealed("x"))));
        world.run();
        assert!(world.outputs[..3].iter().all(|outputs| *outputs == opened("x")));
        let meant = |(_, culprit, what): &(_, Peer, Fault)| {
            *culprit == Peer::Member(p(3)) && *what == fault
        };
        assert!(world.faults.iter().all(meant));
        blamed += world.faults.len();
    }
    assert!(blamed > 0, "some took the wrong share for a right one first");
}

#[test]
fn one_who_speaks_twice_is_accused_and_a_huge_share_is_not_kept() {
    let share = |name: &str, len| Message::Share {
        name: Digest::of("test", name.as_bytes()),
        share: Scheme::Ideal.share(&[&vec![0; len - 1]]),
    };
    let mut world = Shuttle::<Opening>::new(4, 0, ());
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
