//! Ciphertexts that a group opens together, in simulated worlds: groups of 4, 5 and 7, every misdeed,
//! restarts, real cryptography.
//!
//! *Termination* and *agreement*: who asks learns what is in it, or that nothing is. *Secrecy*: `f`
//! members open nothing. *No slander*.
//!
//! More seeds: `MAFTIA_SEEDS=10000 cargo test --release -p maftia-core --features sim --test opening`.

#![expect(clippy::unwrap_used, reason = "an oracle says what it found by failing the test")]

use maftia_core::{
    agreement::opening::{Input, Opening, Output, encrypt},
    crypto::Ciphertext,
    id::{Epoch, GroupId, PartyId},
    path::InstanceId,
    sim::{
        Group,
        adversary::Relents,
        behaviour::{Forge, Withhold, WrongShare},
        oracle, p, property, size,
    },
};

fn group(n: u16, seed: u64) -> Group<Opening> {
    let mut group = Group::new(n, (n - 1) / 3, seed, ());
    group.set_adversary(Relents::at(500));
    group
}

/// What an outsider encrypts for the group.
fn sealed(group: &Group<Opening>, text: &str) -> Ciphertext {
    let id = InstanceId::root(GroupId::new(0), Epoch::FIRST, Group::<Opening>::NAME);
    let keys = group.keys(Group::<Opening>::owner(p(0)));
    encrypt(&keys, &id, b"label", text.as_bytes(), &[7; 32])
}

fn open(group: &mut Group<Opening>, party: PartyId, label: &'static str, ciphertext: &Ciphertext) {
    let ciphertext = ciphertext.clone();
    group.input(party, Input::Open { label: label.into(), ciphertext });
}

fn all_told(group: &Group<Opening>, told: &Output) {
    for party in group.correct() {
        assert_eq!(group.outputs(party), std::slice::from_ref(told), "at {party}");
    }
    oracle::no_slander(group).unwrap();
}

#[test]
fn everybody_learns_what_is_in_it_whatever_the_others_do() {
    property(64, |seed| {
        let (n, _) = size(seed, &[4, 5, 7]);
        let mut group = group(n, seed).corrupt_any().restarts(2);
        let ciphertext = sealed(&group, "x");
        PartyId::all(n).for_each(|party| open(&mut group, party, "label", &ciphertext));
        group.run();
        all_told(&group, &Output::Opened("x".into()));
    });
}

#[test]
fn wrong_and_withheld_shares_hold_nobody_up() {
    for seed in (0..24).chain([999, 1999]) {
        let (n, f) = size(seed, &[4, 7]);
        let mut group = group(n, seed);
        for liar in 0..f {
            group = match (seed / 2 + u64::from(liar)) % 3 {
                0 => group.corrupt(p(liar), WrongShare),
                1 => group.corrupt(p(liar), Withhold::at_random()),
                _ => group.corrupt(p(liar), Forge),
            };
        }
        let ciphertext = sealed(&group, "x");
        PartyId::all(n).for_each(|party| open(&mut group, party, "label", &ciphertext));
        group.run();
        all_told(&group, &Output::Opened("x".into()));
    }
}

#[test]
fn f_liars_open_nothing_and_another_label_opens_nothing() {
    property(16, |seed| {
        let (n, f) = size(seed, &[4, 7]);
        let mut group = group(n, seed);
        let (secret, known) = (sealed(&group, "secret"), sealed(&group, "known"));
        for liar in 0..f {
            group = group.corrupt(p(liar), WrongShare);
            open(&mut group, p(liar), "label", &secret);
        }
        for party in group.correct() {
            open(&mut group, party, "another", &known);
        }
        group.run();
        (0..f).for_each(|liar| assert!(group.outputs(p(liar)).is_empty()));
        all_told(&group, &Output::Invalid);
    });
}
