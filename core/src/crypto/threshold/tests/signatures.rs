use super::*;
use crate::crypto::{Certificate, Purpose, ThresholdSignature};

with_each_library!(
    every_large_enough_set_makes_the_same_certificate,
    wrong_shares_are_refused_and_blamed,
);

fn schemes<C: Curve>(purpose: Purpose) -> Vec<PairingSignature<C>> {
    let (public, secrets) = dealer::pairing(&mut rng("signature"), N, 3);
    let scheme = |secret| PairingSignature::new(&public, Some(secret), purpose, 3);
    secrets.into_iter().map(scheme).collect()
}

fn shares<C: Curve>(schemes: &[PairingSignature<C>], tag: &Tag) -> Vec<(PartyId, Share)> {
    (0..).map(p).zip(schemes.iter().map(|scheme| scheme.share(tag, &message()))).collect()
}

fn every_large_enough_set_makes_the_same_certificate<C: Curve>() {
    let all = schemes::<C>(Purpose::Quorum);
    let shares = shares(&all, &tag("x"));
    let mut certificates: Vec<_> = subsets(&shares, 3)
        .iter()
        .map(|some| all[0].combine(&tag("x"), &message(), some).unwrap())
        .collect();
    certificates.dedup();
    assert_eq!(certificates.len(), 1);
    let [certificate] = &certificates[..] else { unreachable!() };
    assert!(all[3].check(&tag("x"), &message(), certificate));
    assert!(!all[3].check(&tag("y"), &message(), certificate));
    assert!(!all[3].check(&tag("x"), &Digest::of("test", b"other"), certificate));
    assert!(!schemes::<C>(Purpose::Service)[0].check(&tag("x"), &message(), certificate));
    let result = all[0].combine(&tag("x"), &message(), &shares[..2]);
    assert_eq!(result, Err(Blame::TooFew { have: 2, needed: 3 }));
    for bytes in [infinity(96), vec![], vec![0; 96], certificate.0[..95].to_vec()] {
        assert!(!all[0].check(&tag("x"), &message(), &Certificate(bytes.into())));
    }
}

fn wrong_shares_are_refused_and_blamed<C: Curve>() {
    let all = schemes::<C>(Purpose::Quorum);
    let (right, other) = (shares(&all, &tag("x")), shares(&all, &tag("y")));
    for wrong in wrong(&right, &other) {
        assert!(!all[0].check_share(p(1), &tag("x"), &message(), &wrong), "{wrong:?}");
        let mut some = right.clone();
        some[1].1 = wrong;
        let result = all[0].combine(&tag("x"), &message(), &some);
        assert_eq!(result, Err(Blame::Culprits(vec![p(1)])));
    }
}

/// The crate whose curve we use makes its keys, signs and combines in its own way.
#[test]
fn another_implementation_agrees() {
    use threshold_crypto::{G2, SecretKeySet, group::CurveProjective, poly::Poly};

    let poly = Poly::random(2, &mut rng("poly"));
    let theirs = SecretKeySet::from(poly.clone());
    let secret = |place: u64| PairingSecret::new(poly.evaluate(place));
    let master = theirs.public_keys().public_key().to_bytes();
    let members: Vec<_> =
        (0..4_usize).map(|i| theirs.public_keys().public_key_share(i).to_bytes()).collect();
    let public = PairingPublic::from_bytes(&master, &members, 3).unwrap();
    let scheme =
        |i: u64| PairingSignature::<Plain>::new(&public, Some(secret(i + 1)), Purpose::Quorum, 3);
    let shares: Vec<_> =
        (0..4).map(|i| (p(i as u16), scheme(i).share(&tag("x"), &message()))).collect();
    let (name, content) = (tag("x"), message());
    let parts: [&[u8]; 3] = [&[1], name.as_bytes(), content.as_bytes()];
    let hash: G2 = pairing::hash::<Plain>("maftia/v1/threshold signature", &parts).into();
    let their_shares: Vec<_> =
        (0..4_usize).map(|i| (i, theirs.secret_key_share(i).sign_g2(hash.into_affine()))).collect();
    for ((_, ours), (_, their)) in shares.iter().zip(&their_shares) {
        assert_eq!(ours.0[1..], their.to_bytes()[..]);
    }
    let whole = theirs
        .public_keys()
        .combine_signatures(their_shares.iter().map(|(i, share)| (*i, share)))
        .unwrap();
    let certificate = scheme(0).combine(&tag("x"), &message(), &shares).unwrap();
    assert_eq!(certificate.0, &whole.to_bytes()[..]);
}
