use super::{super::cipher::PairingCipher, *};
use crate::crypto::{Ciphertext, ThresholdCipher};

fn ciphers() -> Vec<PairingCipher> {
    let (public, secrets) = dealer::pairing(&mut rng("cipher"), N, 2);
    let cipher = |secret| PairingCipher::new(public.clone(), Some(secret), 2);
    secrets.into_iter().map(cipher).collect()
}

fn shares(ciphers: &[PairingCipher], label: &[u8], sealed: &Ciphertext) -> Vec<(PartyId, Share)> {
    let share = |cipher: &PairingCipher| cipher.share(label, sealed).expect("valid");
    (0..).map(p).zip(ciphers.iter().map(share)).collect()
}

#[test]
fn every_set_of_enough_shares_opens_it() {
    let all = ciphers();
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

#[test]
fn the_label_is_bound_in_public() {
    let all = ciphers();
    let sealed = all[0].encrypt(b"alice", b"a secret", &[9; 32]);
    let outsider = PairingCipher::new(all[0].public.clone(), None, 2);
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

#[test]
fn no_change_survives_the_check() {
    let all = ciphers();
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
    bent.extend([splice(48), splice(144), sealed.0[..100].to_vec(), vec![]]);
    bent.push([&sealed.0[..], b"x"].concat());
    bent.push([&infinity(48)[..], &infinity(96), b"body"].concat());
    bent.push([&sealed.0[..48], &infinity(96), &sealed.0[144..]].concat());
    bent.push([&infinity(48)[..], &sealed.0[48..]].concat());
    bent.push(vec![0; 144 + crate::wire::limits::PAYLOAD_MAX + 1]);
    for bytes in bent {
        let bent = Ciphertext(bytes.into());
        assert!(!all[0].check(b"alice", &bent), "{:?}", bent.0.len());
        assert_eq!(all[0].share(b"alice", &bent), None);
    }
}

#[test]
fn wrong_shares_are_refused_and_blamed() {
    let all = ciphers();
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
