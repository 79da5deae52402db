use std::collections::BTreeMap;

use bytes::Bytes;

use super::*;
use crate::{crypto::SecretKey, id::Epoch, path::InstanceId};

const GROUP: GroupId = GroupId::new(1);

fn schemes(purpose: Purpose) -> Vec<Multisig> {
    let secret = |i: u16| SecretKey::from_seed(&[i as u8; 32]);
    let owner = |i: u16| Owner::Party(GROUP, PartyId::new(i));
    let public: BTreeMap<_, _> = (0..5).map(|i| (owner(i), secret(i).public())).collect();
    let public = Arc::new(public);
    // The fifth has a key, and yet is no member.
    (0..5)
        .map(|i| {
            let identity = P256Identity::new(owner(i), secret(i), Arc::clone(&public), false);
            Multisig::new(Arc::new(identity), purpose, GROUP, 4, 3)
        })
        .collect()
}

fn tag() -> Tag {
    InstanceId::root(GROUP, Epoch::FIRST, "orders").tag("x")
}

fn message() -> Digest {
    Digest::of("test", b"message")
}

fn shares(schemes: &[Multisig]) -> Vec<(PartyId, Share)> {
    (0..).map(PartyId::new).zip(schemes.iter().map(|s| s.share(&tag(), &message()))).collect()
}

#[test]
fn every_large_enough_set_makes_a_certificate() {
    let all = schemes(Purpose::Quorum);
    let shares = shares(&all);
    for leave in 0..4 {
        let some: Vec<_> =
            shares[..4].iter().filter(|(p, _)| p.index() != leave).cloned().collect();
        let certificate = all[0].combine(&tag(), &message(), &some).unwrap();
        assert!(all[leave].check(&tag(), &message(), &certificate));
        assert_eq!(certificate.0.len(), 1 + 3 * 64);
        assert!(!all[0].check(&tag().numbered(1), &message(), &certificate));
        assert!(!schemes(Purpose::Service)[0].check(&tag(), &message(), &certificate));
        let fewer = &some[..2];
        assert_eq!(
            all[0].combine(&tag(), &message(), fewer),
            Err(Blame::TooFew { have: 2, needed: 3 })
        );
    }
}

#[test]
fn duplicates_and_strangers_do_not_count() {
    let all = schemes(Purpose::Quorum);
    let shares = shares(&all);
    let [a, b, stranger] = [0, 1, 4].map(|i: usize| shares[i].clone());
    assert!(!all[0].check_share(stranger.0, &tag(), &message(), &stranger.1));
    for third in [a.clone(), stranger.clone()] {
        let some = [a.clone(), b.clone(), third];
        let error = all[0].combine(&tag(), &message(), &some).unwrap_err();
        assert_eq!(error, Blame::TooFew { have: 2, needed: 3 });
    }
    let forged = |bits: u8, parts: &[&Share]| {
        let mut bytes = vec![bits];
        for share in parts {
            bytes.extend_from_slice(&share.0[1..]);
        }
        Certificate(bytes.into())
    };
    let c = &shares[2].1;
    assert!(all[0].check(&tag(), &message(), &forged(0b111, &[&a.1, &b.1, c])));
    for wrong in [
        forged(0b111, &[&a.1, &a.1, &b.1]),
        forged(0b11, &[&a.1, &b.1]),
        forged(0b11, &[&a.1, &b.1, c]),
        forged(0b111, &[&a.1, &b.1]),
        forged(0b1_0011, &[&a.1, &b.1, &stranger.1]),
        forged(0b1111, &[&a.1, &b.1, c, &shares[3].1]),
        forged(0b1011, &[&a.1, &b.1, c]),
        Certificate(Bytes::new()),
    ] {
        assert!(!all[0].check(&tag(), &message(), &wrong), "{wrong:?}");
    }
}

#[test]
fn a_wrong_share_is_blamed() {
    let all = schemes(Purpose::Quorum);
    let mut shares = shares(&all);
    shares.truncate(4);
    shares[0].1 = all[0].share(&tag().numbered(1), &message());
    shares[3].1 = Share(Bytes::from_static(b"short"));
    let error = all[1].combine(&tag(), &message(), &shares).unwrap_err();
    assert_eq!(error, Blame::Culprits([0, 3].map(PartyId::new).to_vec()));
    shares.swap_remove(0);
    assert!(matches!(all[1].combine(&tag(), &message(), &shares), Err(Blame::Culprits(_))));
}
