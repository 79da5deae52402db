//! What every threshold scheme owes. Four members, of whom `needed` work together.
//!
//! What stands over pairings is tested with each library by the same suite.

/// Makes of generic functions tests with each library.
macro_rules! with_each_library {
    ($($test:ident),* $(,)?) => {
        mod plain {
            $(#[test]
            fn $test() {
                super::$test::<crate::crypto::threshold::curve::Plain>();
            })*
        }

        #[cfg(feature = "blst")]
        mod blst {
            $(#[test]
            fn $test() {
                super::$test::<crate::crypto::threshold::curve::Blst>();
            })*
        }
    };
}

mod cipher;
mod coins;
mod equations;
mod rsa;
mod signatures;

use bytes::Bytes;

use super::{curve::Point, ddh::DdhPublic, dealer::SeedRng, *};
use crate::{
    crypto::Digest,
    id::{Epoch, GroupId},
    path::{InstanceId, Tag},
};

const N: u16 = 4;

fn rng(name: &str) -> SeedRng {
    SeedRng::new("test", &[name.as_bytes()])
}

fn tag(step: &str) -> Tag {
    InstanceId::root(GroupId::new(1), Epoch::FIRST, "orders").tag(step)
}

fn message() -> Digest {
    Digest::of("test", b"message")
}

fn p(number: u16) -> PartyId {
    PartyId::new(number)
}

/// The point at infinity of a curve whose points have this length, compressed.
fn infinity(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    bytes[0] = 0xc0;
    bytes
}

/// Every set of `k` of these shares.
fn subsets(shares: &[(PartyId, Share)], k: usize) -> Vec<Vec<(PartyId, Share)>> {
    (0..1_u32 << shares.len())
        .filter(|bits| bits.count_ones() as usize == k)
        .map(|bits| {
            let chosen = shares.iter().enumerate().filter(|(at, _)| bits & (1 << at) != 0);
            chosen.map(|(_, share)| share.clone()).collect()
        })
        .collect()
}

/// What nobody may take for a share of party 1, given the shares of one thing and of another.
fn wrong(right: &[(PartyId, Share)], of_another: &[(PartyId, Share)]) -> Vec<Share> {
    let own = &right[1].1.0;
    let mut bent = own.to_vec();
    bent[10] ^= 1;
    let mut padded = own.to_vec();
    padded.push(0);
    let mut identity = own.to_vec();
    let body = own.len() - 1;
    let point = if body.is_multiple_of(2) { body } else { 33 };
    identity[1..=point].copy_from_slice(&infinity(point));
    let filled = |byte| [&own[..1], &vec![byte; body]].concat();
    let other_scheme = [&[Scheme::Multisig as u8], &own[1..]].concat();
    let others = [right[0].1.clone(), of_another[1].1.clone(), Share(Bytes::new())];
    let made = [bent, padded, identity, other_scheme, own[1..].to_vec(), filled(0), filled(0xff)];
    made.into_iter().map(|bytes| Share(bytes.into())).chain(others).collect()
}

#[test]
fn public_keys_are_points_of_one_polynomial() {
    let (public, secrets) = dealer::pairing(&mut rng("a"), N, 2);
    let members = public.members();
    assert_eq!(PairingPublic::from_bytes(&public.master(), &members, 2), Some(public.clone()));
    assert_eq!(PairingPublic::from_bytes(&public.master(), &members, 3), Some(public.clone()));
    assert_eq!(PairingPublic::from_bytes(&public.master(), &members, 1), None, "another threshold");
    assert_eq!(PairingPublic::from_bytes(&public.master(), &members, 0), None);
    assert_eq!(PairingPublic::from_bytes(&public.master(), &members, 5), None);
    assert_eq!(PairingPublic::from_bytes(&infinity(48), &members, 2), None);
    let mut swapped = members.clone();
    swapped.swap(0, 3);
    assert_eq!(PairingPublic::from_bytes(&public.master(), &swapped, 2), None);
    let mut identity = members;
    identity[2].copy_from_slice(&infinity(48));
    assert_eq!(PairingPublic::from_bytes(&public.master(), &identity, 2), None);
    assert_eq!(secrets[3].public(), public.members()[3]);

    let (ddh, _) = dealer::ddh(&mut rng("a"), N, 2);
    let mut keys = ddh.members().to_vec();
    assert_eq!(DdhPublic::new(ddh.master(), keys.clone(), 2), Some(ddh.clone()));
    assert_eq!(DdhPublic::new(ddh.master(), keys.clone(), 1), None);
    keys.swap(0, 1);
    assert_eq!(DdhPublic::new(ddh.master(), keys, 2), None);
}

#[test]
fn a_deal_follows_from_its_seed_alone() {
    let deal = |name| dealer::pairing(&mut rng(name), N, 3);
    assert_eq!(deal("a").0, deal("a").0);
    assert_ne!(deal("a").0, deal("b").0);
    let (_, secrets) = deal("a");
    for secret in &secrets {
        assert_eq!(PairingSecret::from_bytes(&secret.to_bytes()), Some(secret.clone()));
        assert_eq!(format!("{secret:?}"), "PairingSecret(..)");
    }
    assert_eq!(PairingSecret::from_bytes(&[0; 32]), None);
    assert_eq!(PairingSecret::from_bytes(&[0xff; 32]), None, "above the order");
}
