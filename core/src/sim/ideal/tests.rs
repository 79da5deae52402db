use std::collections::BTreeSet;

use bytes::Bytes;

use super::*;
use crate::{
    crypto::{Blame, Certificate, Ciphertext, Share},
    id::{ClientId, Epoch, PartyId},
    path::InstanceId,
    thresholds::Thresholds,
};

fn directory() -> Directory {
    let four = Thresholds::asynchronous(4, 1).unwrap();
    Directory::new([("tm".into(), four), ("left".into(), four)])
}

fn keys_of(group: u16, party: u16) -> Keys {
    let directory = directory();
    let id = GroupId::new(group);
    keys([7; 32], Owner::Party(id, PartyId::new(party)), directory.group(id), &directory)
}

fn tag(step: &str) -> Tag {
    InstanceId::root(GroupId::new(0), Epoch::FIRST, "orders").tag(step)
}

fn message() -> Digest {
    Digest::of("test", b"message")
}

#[test]
fn signatures_convince_and_do_not_transfer() {
    let (a, b) = (keys_of(0, 0).identity, keys_of(0, 1).identity);
    let (me, it) = (Owner::Party(GroupId::new(0), PartyId::new(0)), message());
    let signature = a.sign(&tag("x"), &it);
    assert!(b.verify(me, &tag("x"), &it, &signature));
    assert!(!b.verify(me, &tag("y"), &it, &signature));
    assert!(!b.verify(me, &tag("x"), &Digest::of("test", b"other"), &signature));
    assert!(!b.verify(Owner::Party(GroupId::new(0), PartyId::new(1)), &tag("x"), &it, &signature));
    let stranger = Owner::Party(GroupId::new(0), PartyId::new(4));
    assert!(!b.verify(stranger, &tag("x"), &it, &b.sign(&tag("x"), &it)));
    assert_eq!(b.authenticate(stranger, &tag("x"), &it), None);
}

#[test]
fn authenticators_have_one_direction() {
    let client = Owner::Client(ClientId::of_key(&message()));
    let directory = directory();
    let (a, b) = (keys_of(0, 0).identity, keys([7; 32], client, None, &directory).identity);
    let me = Owner::Party(GroupId::new(0), PartyId::new(0));
    let mac = a.authenticate(client, &tag("x"), &message()).unwrap();
    assert!(b.check(me, &tag("x"), &message(), &mac));
    assert!(!a.check(client, &tag("x"), &message(), &mac), "reflected");
    assert!(!b.check(me, &tag("y"), &message(), &mac));
    assert!(!b.check(client, &tag("x"), &message(), &mac));
}

#[test]
fn certificates_need_their_number() {
    let tag = tag("x");
    let shares: Vec<(PartyId, Share)> = (0..4)
        .map(|party| (PartyId::new(party), keys_of(0, party).quorum.share(&tag, &message())))
        .collect();
    let scheme = keys_of(0, 0).quorum;
    assert_eq!(scheme.needed(), 3);
    let certificate = scheme.combine(&tag, &message(), &shares[1..]).unwrap();
    assert!(keys_of(0, 3).quorum.check(&tag, &message(), &certificate));
    assert!(!keys_of(1, 3).quorum.check(&tag, &message(), &certificate), "another group");
    assert!(!scheme.check(&tag, &Digest::of("test", b"other"), &certificate));
    assert!(!keys_of(0, 0).service.check(&tag, &message(), &certificate), "another purpose");
    for empty in [vec![], vec![0], vec![0; 33], vec![7; 33]] {
        assert!(!scheme.check(&tag, &message(), &Certificate(empty.into())));
    }
    let twice = [shares[0].clone(), shares[0].clone(), shares[1].clone()];
    assert_eq!(scheme.combine(&tag, &message(), &twice), Err(Blame::TooFew { have: 2, needed: 3 }));
    let mut wrong = shares;
    wrong[2].1 = wrong[1].1.clone();
    assert_eq!(
        scheme.combine(&tag, &message(), &wrong),
        Err(Blame::Culprits(vec![PartyId::new(2)]))
    );
}

#[test]
fn a_coin_is_common_and_fair() {
    let mut ones = 0;
    for toss in 0..200 {
        let tag = tag("coin").numbered(toss);
        let shares: Vec<_> =
            (0..4).map(|party| (PartyId::new(party), keys_of(0, party).coin.share(&tag))).collect();
        let coin = keys_of(0, 0).coin;
        assert!(matches!(coin.combine(&tag, &shares[..1]), Err(Blame::TooFew { .. })));
        let values: BTreeSet<_> =
            shares.windows(2).map(|some| coin.combine(&tag, some).unwrap()).collect();
        assert_eq!(values.len(), 1);
        ones += u32::from(values.first().unwrap().as_bytes()[0] & 1);
    }
    assert!((60..140).contains(&ones), "{ones} of 200 coins are 1");
}

#[test]
fn ciphertexts_are_bound_to_their_label() {
    let cipher = keys_of(0, 0).cipher;
    let sealed = cipher.encrypt(b"label", b"secret", &[3; 32]);
    assert!(cipher.check(b"label", &sealed) && !cipher.check(b"lab", &sealed));
    assert_eq!(cipher.share(b"lab", &sealed), None);
    let shares: Vec<_> = (1..3)
        .map(|party| {
            (PartyId::new(party), keys_of(0, party).cipher.share(b"label", &sealed).unwrap())
        })
        .collect();
    assert_eq!(cipher.combine(b"label", &sealed, &shares).unwrap(), &b"secret"[..]);
    assert!(cipher.combine(b"label", &sealed, &shares[..1]).is_err());
    assert!(cipher.combine(b"lab", &sealed, &shares).is_err());
    for at in 0..sealed.0.len() {
        let mut bent = sealed.0.to_vec();
        bent[at] ^= 1;
        assert!(!cipher.check(b"label", &Ciphertext(bent.into())), "byte {at}");
    }
}

#[test]
fn without_a_group_nothing_combines() {
    let directory = directory();
    let client = Owner::Client(ClientId::of_key(&message()));
    let keys = keys([7; 32], client, None, &directory);
    let share = keys.quorum.share(&tag("x"), &message());
    let all: Vec<_> = (0..4).map(|party| (PartyId::new(party), share.clone())).collect();
    assert!(keys.quorum.combine(&tag("x"), &message(), &all).is_err());
    assert!(!keys.quorum.check(&tag("x"), &message(), &Certificate(Bytes::new())));
}
