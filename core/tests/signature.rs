//! Signatures in the name of a group, in simulated worlds: groups of 4, 5 and 7, every misdeed,
//! restarts, real cryptography; and what other programs say about them.
//!
//! *Termination*: who asks learns a signature that holds. *Unforgeability*: `f` members have nothing
//! signed. *No slander*.
//!
//! More seeds: `MAFTIA_SEEDS=10000 cargo test --release -p maftia-core --features sim --test signature`.

#![expect(clippy::unwrap_used, reason = "an oracle says what it found by failing the test")]

use std::{fs, path::Path, process::Command};

use maftia_core::{
    agreement::signature::{Input, Output, Signature, covered},
    crypto::Certificate,
    id::{Epoch, GroupId, PartyId},
    path::InstanceId,
    sim::{
        Group,
        adversary::Relents,
        behaviour::{Forge, Withhold, WrongShare},
        oracle, p, property,
        real::Dealt,
        size,
    },
    thresholds::Thresholds,
};

const MESSAGE: &[u8] = b"what the group says";

fn group(n: u16, seed: u64) -> Group<Signature> {
    let mut group = Group::new(n, (n - 1) / 3, seed, ());
    group.set_adversary(Relents::at(500));
    group
}

fn sign(group: &mut Group<Signature>, party: PartyId, message: &'static [u8]) {
    group.input(party, Input::Sign { label: "test".into(), message: message.into() });
}

fn signed(group: &Group<Signature>, party: PartyId) -> Option<Certificate> {
    match group.outputs(party) {
        [] => None,
        [Output::Signed(certificate)] => Some(certificate.clone()),
        more => panic!("{more:?} is more than one signature"),
    }
}

fn check(group: &Group<Signature>) {
    let keys = group.keys(Group::<Signature>::owner(p(0)));
    let id = InstanceId::root(GroupId::new(0), Epoch::FIRST, Group::<Signature>::NAME);
    let (tag, digest) = covered(&keys, &id, b"test", MESSAGE);
    for party in group.correct() {
        let certificate = signed(group, party).expect("everybody learns it");
        assert!(keys.signature.check(&tag, &digest, &certificate), "at {party}");
    }
    oracle::no_slander(group).unwrap();
}

#[test]
fn everybody_learns_a_signature_whatever_the_others_do() {
    property(64, |seed| {
        let (n, _) = size(seed, &[4, 5, 7]);
        let mut group = group(n, seed).corrupt_any().restarts(2);
        PartyId::all(n).for_each(|party| sign(&mut group, party, MESSAGE));
        group.run();
        check(&group);
    });
}

#[test]
fn wrong_and_withheld_shares_hold_nobody_up() {
    property(24, |seed| {
        let (n, f) = size(seed, &[4, 7]);
        let mut group = group(n, seed);
        for liar in 0..f {
            group = match (seed / 2 + u64::from(liar)) % 3 {
                0 => group.corrupt(p(liar), WrongShare),
                1 => group.corrupt(p(liar), Withhold::at_random()),
                _ => group.corrupt(p(liar), Forge),
            };
        }
        PartyId::all(n).for_each(|party| sign(&mut group, party, MESSAGE));
        group.run();
        check(&group);
    });
}

#[test]
fn f_liars_have_nothing_signed() {
    property(16, |seed| {
        let (n, f) = size(seed, &[4, 7]);
        let mut group = group(n, seed);
        for liar in 0..f {
            group = group.corrupt(p(liar), WrongShare);
            sign(&mut group, p(liar), b"what nobody else wants");
        }
        for party in group.correct() {
            sign(&mut group, party, MESSAGE);
        }
        group.run();
        (0..f).for_each(|liar| assert_eq!(signed(&group, p(liar)), None));
        check(&group);
    });
}

/// What openssl says about a signature, with everything in files of this folder.
fn openssl(folder: &Path, pem: &str, message: &[u8], signature: &[u8]) -> bool {
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let output = Command::new("openssl")
        .args(["dgst", "-sha256", "-verify"])
        .arg(write("pub.pem", pem.as_bytes()))
        .arg("-signature")
        .args([write("sig", signature), write("msg", message)])
        .output()
        .expect("this test needs the command `openssl`: install the package of that name");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let judged = said.contains("Verified OK") || said.contains("Verification failure");
    assert!(judged, "openssl judged nothing: {said}{}", String::from_utf8_lossy(&output.stderr));
    output.status.success()
}

/// The group signs, one of its members lying, and a program that knows nothing of groups verifies.
#[test]
fn openssl_verifies_what_the_group_signed() {
    let (seed, n) = (999, 4);
    let mut group = group(n, seed).corrupt(p(1), WrongShare);
    PartyId::all(n).for_each(|party| sign(&mut group, party, MESSAGE));
    group.run();
    check(&group);
    let thresholds = Thresholds::asynchronous(n, 1).unwrap();
    let deal = Dealt::new(Group::<Signature>::NAME, thresholds, seed);
    let pem = deal.public().rsa_pem(GroupId::new(0)).expect("this seed has RSA keys");
    let signature = signed(&group, p(0)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    assert!(openssl(folder.path(), &pem, MESSAGE, &signature.0));
    assert!(!openssl(folder.path(), &pem, b"what it did not say", &signature.0));
}

#[test]
fn the_pairing_scheme_does_the_same() {
    let mut group = group(4, 1999).corrupt(p(1), WrongShare);
    PartyId::all(4).for_each(|party| sign(&mut group, party, MESSAGE));
    group.run();
    check(&group);
}
