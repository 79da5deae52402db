use std::collections::BTreeSet;

use super::{super::ddh::DdhCoin, *};
use crate::crypto::ThresholdCoin;

with_each_library!(the_pairing_coin_keeps_its_promises, the_errors_of_two_shares_may_not_cancel);

fn pairing<C: Curve>() -> Vec<Box<dyn ThresholdCoin>> {
    let (public, secrets) = dealer::pairing(&mut rng("coin"), N, 2);
    let coin = |secret| Box::new(PairingCoin::<C>::new(&public, Some(secret), 2)) as Box<_>;
    secrets.into_iter().map(coin).collect()
}

fn ddh() -> Vec<Box<dyn ThresholdCoin>> {
    let (public, secrets) = dealer::ddh(&mut rng("coin"), N, 2);
    let coin = |secret| Box::new(DdhCoin::new(public.clone(), Some(secret), 2)) as Box<_>;
    secrets.into_iter().map(coin).collect()
}

fn shares(coins: &[Box<dyn ThresholdCoin>], tag: &Tag) -> Vec<(PartyId, Share)> {
    (0..).map(p).zip(coins.iter().map(|coin| coin.share(tag))).collect()
}

fn every_set_of_enough_shares_shows_the_same(coins: &[Box<dyn ThresholdCoin>]) {
    let shares = shares(coins, &tag("coin"));
    let values: BTreeSet<_> = subsets(&shares, 2)
        .iter()
        .chain(&subsets(&shares, 4))
        .map(|some| coins[3].combine(&tag("coin"), some).unwrap())
        .collect();
    assert_eq!(values.len(), 1, "{coins:?}");
    let other = self::shares(coins, &tag("another"));
    assert!(!values.contains(&coins[0].combine(&tag("another"), &other).unwrap()));
}

fn too_few_show_nothing(coins: &[Box<dyn ThresholdCoin>]) {
    let shares = shares(coins, &tag("coin"));
    let twice = [shares[1].clone(), shares[1].clone()];
    let stranger = [shares[1].clone(), (p(4), shares[2].1.clone())];
    let sets: [&[_]; 4] = [&[], &shares[..1], &twice, &stranger];
    for few in sets {
        let result = coins[0].combine(&tag("coin"), few);
        assert!(matches!(result, Err(Blame::TooFew { needed: 2, .. })), "{result:?}");
    }
}

fn wrong_shares_are_refused_and_blamed(coins: &[Box<dyn ThresholdCoin>]) {
    let (right, other) = (shares(coins, &tag("coin")), shares(coins, &tag("another")));
    assert!(right.iter().all(|(party, share)| coins[0].check_share(*party, &tag("coin"), share)));
    for number in [4, u16::MAX] {
        assert!(!coins[0].check_share(p(number), &tag("coin"), &right[1].1));
    }
    for wrong in wrong(&right, &other) {
        assert!(!coins[0].check_share(p(1), &tag("coin"), &wrong), "{wrong:?}");
        let mut some = right.clone();
        some[1].1 = wrong;
        let result = coins[0].combine(&tag("coin"), &some);
        assert_eq!(result, Err(Blame::Culprits(vec![p(1)])));
        some.remove(1);
        assert!(coins[0].combine(&tag("coin"), &some).is_ok(), "without it");
    }
}

fn the_pairing_coin_keeps_its_promises<C: Curve>() {
    let coins = pairing::<C>();
    every_set_of_enough_shares_shows_the_same(&coins);
    too_few_show_nothing(&coins);
    wrong_shares_are_refused_and_blamed(&coins);
}

#[test]
fn the_ddh_coin_keeps_its_promises() {
    let coins = ddh();
    every_set_of_enough_shares_shows_the_same(&coins);
    too_few_show_nothing(&coins);
    wrong_shares_are_refused_and_blamed(&coins);
}

/// What party 0 can compute alone from its share, compared with the coin.
#[test]
fn one_share_says_nothing_about_the_coin() {
    let coins = ddh();
    let (mut ones, mut alike) = (0, 0);
    for toss in 0..120 {
        let tag = tag("toss").numbered(toss);
        let shares = shares(&coins[..2], &tag);
        let value = coins[0].combine(&tag, &shares).unwrap();
        let guess = Digest::of_parts("coin value", &[tag.as_bytes(), &shares[0].1.0[1..34]]);
        let bit = |digest: &Digest| u32::from(digest.as_bytes()[0] & 1);
        ones += bit(&value);
        alike += u32::from(bit(&value) == bit(&guess));
    }
    assert!((30..=90).contains(&ones), "{ones} of 120 coins are 1");
    assert!((30..=90).contains(&alike), "{alike} of 120 guesses are right");
}

fn the_errors_of_two_shares_may_not_cancel<C: Curve>() {
    let one = threshold_crypto::FrRepr([1, 0, 0, 0]);
    let coins = pairing::<C>();
    let mut shares = shares(&coins, &tag("coin"));
    let right = coins[0].combine(&tag("coin"), &shares).unwrap();
    let point = |share: &Share| C::Second::read(&share.0[1..]).unwrap();
    let delta = point(&shares[3].1);
    // The Lagrange coefficients of members 0 and 1 are 2 and -1: adding d and 2d changes nothing.
    for (at, times) in [(0, 1), (1, 2)] {
        let times = threshold_crypto::FrRepr([times, 0, 0, 0]);
        let sum = C::Second::sum(&[(point(&shares[at].1), one), (delta, times)]);
        shares[at].1 = C::SCHEME.share(&[&sum.write()]);
        assert!(!coins[0].check_share(p(at as u16), &tag("coin"), &shares[at].1));
    }
    assert_eq!(
        coins[0].combine(&tag("coin"), &shares[..2]),
        Ok(right),
        "the result is what counts"
    );
    assert!(coins[0].combine(&tag("coin"), &shares[1..3]).is_err());
}
