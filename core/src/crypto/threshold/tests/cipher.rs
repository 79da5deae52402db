use super::*;
use crate::crypto::{Ciphertext, Labelled, ThresholdCipher};

with_each_library!(
    every_set_of_enough_shares_opens_it,
    the_label_is_bound_in_public,
    no_change_survives_the_check,
    wrong_shares_are_refused_and_blamed,
    many_at_once_are_what_each_is_alone,
    a_ciphertext_of_another_scheme_is_none,
);

fn ciphers<C: Curve>() -> Vec<PairingCipher<C>> {
    let (public, secrets) = dealer::pairing(&mut rng("cipher"), N, 2);
    let cipher = |secret| PairingCipher::new(&public, Some(secret), 2);
    secrets.into_iter().map(cipher).collect()
}

fn shares<C: Curve>(
    ciphers: &[PairingCipher<C>],
    label: &[u8],
    sealed: &Ciphertext,
) -> Vec<(PartyId, Share)> {
    let share = |cipher: &PairingCipher<C>| cipher.share(label, sealed).expect("valid");
    (0..).map(p).zip(ciphers.iter().map(share)).collect()
}

fn every_set_of_enough_shares_opens_it<C: Curve>() {
    let all = ciphers::<C>();
    for plaintext in [&b"a secret"[..], b"", &[7; 3000]] {
        let sealed = all[0].encrypt(b"alice", plaintext, &[9; 32]);
        assert!(plaintext.is_empty() || !sealed.0.windows(plaintext.len()).any(|w| w == plaintext));
        let shares = shares(&all, b"alice", &sealed);
        for some in subsets(&shares, 2) {
            assert_eq!(all[0].combine(b"alice", &sealed, &some).unwrap(), plaintext);
        }
        for few in [&shares[..1], &[shares[2].clone(), shares[2].clone()]] {
            let result = all[0].combine(b"alice", &sealed, few);
            assert_eq!(result, Err(Blame::TooFew { have: 1, needed: 2 }));
        }
    }
}

fn the_label_is_bound_in_public<C: Curve>() {
    let all = ciphers::<C>();
    let sealed = all[0].encrypt(b"alice", b"a secret", &[9; 32]);
    let outsider = PairingCipher::<C>::new(&dealer::pairing(&mut rng("cipher"), N, 2).0, None, 2);
    assert!(outsider.check(b"alice", &sealed), "no secret is needed to check");
    assert_eq!(outsider.share(b"alice", &sealed), None);
    let right = shares(&all, b"alice", &sealed);
    for label in [&b"mallory"[..], b"", b"alice\0", b"alic"] {
        assert!(!all[0].check(label, &sealed));
        assert_eq!(all[0].share(label, &sealed), None, "no share of another's ciphertext");
        assert!(!all[0].check_share(p(1), label, &sealed, &right[1].1));
        assert!(all[0].combine(label, &sealed, &right).is_err());
    }
}

fn no_change_survives_the_check<C: Curve>() {
    let all = ciphers::<C>();
    let sealed = all[0].encrypt(b"alice", b"a secret", &[9; 32]);
    let other = all[0].encrypt(b"alice", b"a secret", &[8; 32]);
    assert_ne!(sealed, other, "another seed");
    let splice = |cut: usize| [&other.0[..cut], &sealed.0[cut..]].concat();
    let mut bent: Vec<Vec<u8>> = (0..sealed.0.len())
        .step_by(13)
        .map(|at| {
            let mut bytes = sealed.0.to_vec();
            bytes[at] ^= 1;
            bytes
        })
        .collect();
    bent.extend([splice(49), splice(145), sealed.0[..100].to_vec(), vec![]]);
    bent.push([&sealed.0[..], b"x"].concat());
    let mark = &sealed.0[..1];
    bent.push([mark, &infinity(48), &infinity(96), b"body"].concat());
    bent.push([&sealed.0[..49], &infinity(96), &sealed.0[145..]].concat());
    bent.push([mark, &infinity(48), &sealed.0[49..]].concat());
    bent.push([mark, &vec![0; 144 + crate::wire::limits::PAYLOAD_MAX + 1]].concat());
    for bytes in bent {
        let bent = Ciphertext(bytes.into());
        assert!(!all[0].check(b"alice", &bent), "{:?}", bent.0.len());
        assert_eq!(all[0].share(b"alice", &bent), None);
    }
}

fn wrong_shares_are_refused_and_blamed<C: Curve>() {
    let all = ciphers::<C>();
    let sealed = all[0].encrypt(b"alice", b"a secret", &[9; 32]);
    let other = all[0].encrypt(b"alice", b"another", &[9; 32]);
    let (right, of_another) = (shares(&all, b"alice", &sealed), shares(&all, b"alice", &other));
    assert!(!all[0].check_share(p(4), b"alice", &sealed, &right[1].1));
    for wrong in wrong(&right, &of_another) {
        assert!(!all[0].check_share(p(1), b"alice", &sealed, &wrong), "{wrong:?}");
        let mut some = right.clone();
        some[1].1 = wrong;
        let result = all[0].combine(b"alice", &sealed, &some);
        assert_eq!(result, Err(Blame::Culprits(vec![p(1)])));
        some.remove(1);
        assert_eq!(all[0].combine(b"alice", &sealed, &some).unwrap(), &b"a secret"[..]);
    }
}

/// Some are invalid, of some a share is wrong: the others are not touched by it.
fn many_at_once_are_what_each_is_alone<C: Curve>() {
    let all = ciphers::<C>();
    let label = Bytes::from_static(b"alice");
    let mut sealed: Vec<_> = (0..6_u8)
        .map(|at| Labelled {
            label: label.clone(),
            ciphertext: all[0].encrypt(&label, &[at; 40], &[at; 32]),
        })
        .collect();
    for invalid in [&[][..], &[1], &[0, 5]] {
        invalid.iter().for_each(|at: &usize| sealed[*at].label = Bytes::from_static(b"mallory"));
        let alone: Vec<_> =
            sealed.iter().map(|one| all[2].share(&one.label, &one.ciphertext)).collect();
        assert_eq!(all[2].shares(&sealed), alone);
        let bad: Vec<_> = (0..6).filter(|at| alone[*at].is_none()).collect();
        assert_eq!(bad, invalid);
        invalid.iter().for_each(|at| sealed[*at].label = label.clone());
    }
    assert_eq!(all[2].shares(&[]), []);
    let mut open: Vec<_> = sealed
        .into_iter()
        .map(|one| (one.clone(), shares(&all, &label, &one.ciphertext)))
        .collect();
    let plaintexts = |open: &[_]| all[1].combine_all(open);
    let right: Vec<_> = (0..6_u8).map(|at| Ok(Bytes::from(vec![at; 40]))).collect();
    assert_eq!(plaintexts(&open), right);
    open[3].1[1].1 = open[4].1[1].1.clone();
    open[5].1.truncate(1);
    let mut expected = right;
    expected[3] = Err(Blame::Culprits(vec![p(1)]));
    expected[5] = Err(Blame::TooFew { have: 1, needed: 2 });
    assert_eq!(plaintexts(&open), expected);
}

fn a_ciphertext_of_another_scheme_is_none<C: Curve>() {
    let all = ciphers::<C>();
    let sealed = all[0].encrypt(b"alice", b"a secret", &[9; 32]);
    assert_eq!(Scheme::of(&sealed.0), Some(C::SCHEME));
    for scheme in [Scheme::Ideal, Scheme::Pairing, Scheme::PairingBlst] {
        let other = Ciphertext(scheme.mark(&[&sealed.0[1..]]));
        assert_eq!(all[0].check(b"alice", &other), scheme == C::SCHEME);
    }
}
