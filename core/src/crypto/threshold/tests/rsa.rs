//! RSA that nobody holds. The primes are those of `sim/primes.txt`.

use std::{fs, path::Path, process::Command};

use super::{super::rsa::*, *};
use crate::{
    crypto::{Certificate, ThresholdSignature},
    sim::real,
};

/// What `openssl dgst -sha256 -sign` made of [`TEXT`] with the whole private key over the same primes.
const SIGNED_BY_OPENSSL: &str = "\
    87fda7639a175e40ba65bbf47e123a2c6e50aa03a8dccb926d9ccc1652a1a391e0ac652c8b07dc193392e73f\
    45f55821b9f776b68708dc7e2b037b5c106b8e158c3e4bd7f43162abc154fcd007c6c16a7942e5450a684938\
    2f22237035cc64480fa3dbf8cc28634e4446c03f14828d3529157a687637195459e6aecd78cc65f8aba8f38e\
    306a8ce5dc175c07c8c399475a7cd3384caedf65b9274a99734897dc473a3bb9437fb68fec5cef1b70caaf6f\
    6d2a2fc39767f7f432d2249bf08ab26d44152ac107a1acb53b33661346ee5ea1c6b7eeb226b2bbd161c02838\
    87d79efc4623e6a557dcc7462c8fce61c38c73c00562246bff199a15f19e97b3e3e39156";
const TEXT: &[u8] = b"a message for everybody";
const LEN: usize = 256;

/// The public keys and a scheme for each of `n` members of whom `needed` sign.
fn dealt(n: u16, needed: usize) -> (RsaPublic, Vec<RsaSignature>) {
    let (public, secrets) = deal(&mut rng("rsa"), &real::primes(), n, needed);
    let scheme = |(at, secret)| RsaSignature::new(public.clone(), Some((p(at), secret)), needed);
    let schemes = (0..).zip(secrets).map(scheme).collect();
    (public, schemes)
}

fn shares(schemes: &[RsaSignature], step: &str, digest: &Digest) -> Vec<(PartyId, Share)> {
    (0..).map(p).zip(schemes.iter().map(|scheme| scheme.share(&tag(step), digest))).collect()
}

fn digest() -> Digest {
    dealt(1, 1).1[0].digest(b"", TEXT)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// What openssl says about a signature, with everything in files of this folder.
fn openssl(folder: &Path, pem: &str, text: &[u8], signature: &[u8]) -> bool {
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let (key, file) = (write("pub.pem", pem.as_bytes()), write("sig", signature));
    let output = Command::new("openssl")
        .args(["dgst", "-sha256", "-verify"])
        .args([&key, Path::new("-signature"), &file, &write("msg", text)])
        .output()
        .expect("this test needs the command `openssl`: install the package of that name");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains("Verified OK") || said.contains("Verification failure"),
        "openssl judged nothing: {said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.status.success()
}

#[test]
fn every_set_of_enough_shares_makes_what_openssl_makes() {
    let (_, all) = dealt(N, 2);
    let shares = shares(&all, "x", &digest());
    for some in subsets(&shares, 2) {
        let whole = all[0].combine(&tag("x"), &digest(), &some).unwrap();
        assert_eq!(hex(&whole.0), SIGNED_BY_OPENSSL);
    }
    for few in [&shares[..1], &[shares[2].clone(), shares[2].clone()]] {
        let result = all[0].combine(&tag("x"), &digest(), few);
        assert_eq!(result, Err(Blame::TooFew { have: 1, needed: 2 }));
    }
    let stranger = (p(N), shares[1].1.clone());
    let result = all[0].combine(&tag("x"), &digest(), &[shares[0].clone(), stranger]);
    assert_eq!(result, Err(Blame::TooFew { have: 1, needed: 2 }));
}

#[test]
fn an_ordinary_verifier_accepts_it() {
    let (public, all) = dealt(7, 3);
    let folder = tempfile::tempdir().unwrap();
    for text in [TEXT, b"", &[7; 3000]] {
        let digest = all[0].digest(b"a label", text);
        let shares = shares(&all[2..], "x", &digest);
        let moved: Vec<_> =
            shares.into_iter().map(|(at, share)| (p(at.number() + 2), share)).collect();
        let signature = all[0].combine(&tag("x"), &digest, &moved).unwrap();
        assert!(all[6].check(&tag("x"), &digest, &signature));
        assert!(openssl(folder.path(), &public.pem(), text, &signature.0));
        assert!(!openssl(folder.path(), &public.pem(), b"another", &signature.0));
    }
}

/// One share less says nothing: interpolating what is there, as if it were enough, signs nothing.
#[test]
fn too_few_never_suffice() {
    let (public, all) = dealt(7, 3);
    let shares = shares(&all, "x", &digest());
    let greedy = RsaSignature::new(public, None, 2);
    for some in subsets(&shares, 2) {
        let result = greedy.combine(&tag("x"), &digest(), &some);
        assert_eq!(result, Err(Blame::Culprits(vec![])), "the shares are right, and too few");
    }
}

#[test]
fn wrong_shares_are_refused_and_blamed() {
    let (_, all) = dealt(N, 2);
    let right = shares(&all, "x", &digest());
    let other = shares(&all, "x", &all[0].digest(b"", b"another"));
    let modulus = &all[0].public().group()[..LEN];
    let prime = real::primes().first();
    let made = |power: &[u8]| Share([power, &right[1].1.0[LEN..]].concat().into());
    let padded = [&vec![0; LEN - prime.len()][..], &prime].concat();
    let forged = [made(modulus), made(&[0; LEN]), made(&[0xff; LEN]), made(&padded)];
    for wrong in wrong(&right, &other).into_iter().chain(forged) {
        assert!(!all[0].check_share(p(1), &tag("x"), &digest(), &wrong), "{wrong:?}");
        let mut some = right[..3].to_vec();
        some[1].1 = wrong;
        let result = all[0].combine(&tag("x"), &digest(), &some);
        assert_eq!(result, Err(Blame::Culprits(vec![p(1)])));
        some.remove(1);
        let whole = all[0].combine(&tag("x"), &digest(), &some).unwrap();
        assert_eq!(hex(&whole.0), SIGNED_BY_OPENSSL, "the slow way ends where the fast one does");
    }
}

#[test]
fn a_proof_is_bound_to_everything_it_is_about() {
    let (_, all) = dealt(N, 2);
    let right = shares(&all, "x", &digest());
    let another = all[0].digest(b"", b"another");
    let share = &right[1].1;
    assert!(all[3].check_share(p(1), &tag("x"), &digest(), share));
    assert!(!all[3].check_share(p(1), &tag("y"), &digest(), share), "another instance");
    assert!(!all[3].check_share(p(1), &tag("x"), &another, share), "another message");
    for party in [0, 2, N, u16::MAX] {
        assert!(!all[3].check_share(p(party), &tag("x"), &digest(), share), "of {party}");
    }
    for at in [LEN, LEN + 31, LEN + 32, share.0.len() - 1] {
        let mut bytes = share.0.to_vec();
        bytes[at] ^= 1;
        assert!(!all[3].check_share(p(1), &tag("x"), &digest(), &Share(bytes.into())), "at {at}");
    }
    assert!(share.0.len() <= crate::wire::limits::SHARE_BYTES_MAX);
}

#[test]
fn nothing_else_is_a_signature() {
    let (public, all) = dealt(N, 2);
    let signature = all[0].combine(&tag("x"), &digest(), &shares(&all, "x", &digest())).unwrap();
    let mut bent = signature.0.to_vec();
    bent[100] ^= 1;
    let made = [bent, vec![], vec![0; LEN], signature.0[1..].to_vec(), public.group()];
    for bytes in made {
        assert!(!all[1].check(&tag("x"), &digest(), &Certificate(bytes.into())));
    }
    assert!(!all[1].check(&tag("x"), &message(), &signature));
    let outsider = RsaSignature::new(public, None, 2);
    assert!(outsider.check(&tag("x"), &digest(), &signature));
    let empty = outsider.share(&tag("x"), &digest());
    assert!(!all[0].check_share(p(0), &tag("x"), &digest(), &empty));
}

#[test]
fn keys_that_do_not_fit_are_refused() {
    let (public, secrets) = deal(&mut rng("rsa"), &real::primes(), N, 2);
    let (group, members) = (public.group(), public.members().collect::<Vec<_>>());
    assert_eq!(RsaPublic::from_bytes(&group, &members, 2), Some(public.clone()));
    assert_eq!(RsaPublic::from_bytes(&group, &members, 1), None, "another threshold");
    for needed in [0, 5] {
        assert_eq!(RsaPublic::from_bytes(&group, &members, needed), None);
    }
    let mut swapped = members.clone();
    swapped.swap(0, 3);
    assert_eq!(RsaPublic::from_bytes(&group, &swapped, 2), None);
    let mut even = group.clone();
    even[LEN - 1] &= 0xfe;
    let mut small = group.clone();
    small[0] = 0;
    let zero = [&group[..LEN], &[0; LEN]].concat();
    for group in [even, small, zero, group[1..].to_vec(), vec![]] {
        assert_eq!(RsaPublic::from_bytes(&group, &members, 2), None);
    }
    for (place, secret) in secrets.iter().enumerate() {
        assert!(public.fits(place, secret) && !public.fits((place + 1) % 4, secret));
        assert_eq!(RsaSecret::from_bytes(&secret.to_bytes()).as_ref(), Some(secret));
        assert_eq!(format!("{secret:?}"), "RsaSecret(..)");
    }
    assert_eq!(RsaSecret::from_bytes(&[0; LEN]), None);
    assert_eq!(RsaSecret::from_bytes(&[1; LEN - 1]), None);
}
