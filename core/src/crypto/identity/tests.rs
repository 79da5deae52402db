use super::*;
use crate::{
    id::{Epoch, GroupId, PartyId},
    path::InstanceId,
};

fn party(number: u16) -> Owner {
    Owner::Party(GroupId::new(0), PartyId::new(number))
}

fn secret(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

/// The identities of parties 0 to 2, who know one another.
fn identities(open: bool) -> Vec<P256Identity> {
    let public: BTreeMap<_, _> = (0..3).map(|i| (party(i), secret(i as u8).public())).collect();
    let public = Arc::new(public);
    (0..3)
        .map(|i| P256Identity::new(party(i), secret(i as u8), Arc::clone(&public), open))
        .collect()
}

fn tag(step: &str) -> Tag {
    InstanceId::root(GroupId::new(0), Epoch::FIRST, "orders").tag(step)
}

fn message() -> Digest {
    Digest::of("test", b"message")
}

#[test]
fn signatures_convince_and_do_not_transfer() {
    let all = identities(false);
    let (tag, other, it) = (tag("x"), tag("y"), message());
    let signature = all[0].sign(&tag, &it);
    assert_eq!(signature.0.len(), 64);
    for _ in 0..2 {
        assert!(all[1].verify(party(0), &tag, &it, &signature), "computed, then remembered");
    }
    assert!(all[0].verify(party(0), &tag, &it, &signature), "own");
    assert!(!all[1].verify(party(2), &tag, &it, &signature));
    assert!(!all[1].verify(party(9), &tag, &it, &signature));
    assert!(!all[1].verify(party(0), &other, &it, &signature));
    assert!(!all[1].verify(party(0), &tag, &Digest::of("test", b"other"), &signature));
    let share = all[0].sign_for(Purpose::Quorum, tag.as_bytes(), &it);
    assert!(!all[1].verify(party(0), &tag, &it, &Signature(share.to_vec().into())));
}

#[test]
fn a_bent_signature_is_none() {
    let all = identities(false);
    let signature = all[0].sign(&tag("x"), &message());
    for at in 0..64 {
        let mut bent = signature.0.to_vec();
        bent[at] ^= 1;
        assert!(!all[1].verify(party(0), &tag("x"), &message(), &Signature(bent.into())), "{at}");
    }
    for len in [0, 63, 65, 5000] {
        let wrong = Signature(vec![1; len].into());
        assert!(!all[1].verify(party(0), &tag("x"), &message(), &wrong));
    }
    let ecdsa = Ecdsa::from_slice(&signature.0).unwrap();
    let twin = Ecdsa::from_scalars(ecdsa.r().to_bytes(), (-*ecdsa.s()).to_bytes()).unwrap();
    let twin = Signature(twin.to_bytes().to_vec().into());
    assert!(!all[1].verify(party(0), &tag("x"), &message(), &twin), "the higher s");
}

#[test]
fn authenticators_bind_both_ends_and_the_direction() {
    let all = identities(false);
    let mac = all[0].authenticate(party(1), &tag("x"), &message()).unwrap();
    assert!(all[1].check(party(0), &tag("x"), &message(), &mac));
    assert!(!all[0].check(party(1), &tag("x"), &message(), &mac), "reflected");
    assert!(!all[2].check(party(0), &tag("x"), &message(), &mac), "another addressee");
    assert!(!all[1].check(party(2), &tag("x"), &message(), &mac), "another sender");
    assert!(!all[1].check(party(0), &tag("y"), &message(), &mac));
    assert!(!all[1].check(party(9), &tag("x"), &message(), &mac));
    assert_eq!(all[0].authenticate(party(9), &tag("x"), &message()), None);
    assert_eq!(all[0].pairwise(party(1)), all[1].pairwise(party(0)));
    assert_ne!(all[0].pairwise(party(1)), all[0].pairwise(party(2)));
    assert_eq!(all[0].pairwise(party(9)), None);
}

#[test]
fn an_open_group_checks_keys_named_by_themselves() {
    let visitor = secret(77);
    let name = visitor.public().client();
    let public = Arc::new(BTreeMap::from([(party(0), secret(0).public())]));
    let me = P256Identity::new(Owner::Client(name), visitor.clone(), public, false);
    let key = me.shown_key().expect("no dealer made it");
    assert_eq!(identities(true)[0].shown_key(), None, "dealt");
    let mac = me.authenticate(party(0), &tag("x"), &message()).unwrap();
    let check = |all: &[P256Identity], name, key: &[u8], step| {
        all[0].check_shown(name, key, &tag(step), &message(), &mac)
    };
    assert!(!check(&identities(false), name, &key, "x"), "closed");
    let open = identities(true);
    for _ in 0..2 {
        assert!(check(&open, name, &key, "x"), "computed, then remembered");
        assert!(!check(&open, name, &key, "y"));
        assert!(!check(&open, name, &secret(78).public().to_bytes(), "x"), "another key");
        assert!(!check(&open, secret(78).public().client(), &key, "x"), "another name");
        let owner = Owner::Client(name);
        assert!(!open[0].check(owner, &tag("x"), &message(), &mac), "not shown");
    }
    let point = ClientId::of_key(&Digest::of("client key", &[0xff; 33]));
    assert!(!check(&open, point, &[0xff; 33], "x"), "no point");
}

#[test]
fn keys_are_points_in_one_form() {
    let key = secret(1).public();
    assert_eq!(PublicKey::from_bytes(&key.to_bytes()), Ok(key));
    let long = key.0.to_sec1_point(false);
    assert_eq!(PublicKey::from_bytes(long.as_bytes()), Err(NoKey), "uncompressed");
    assert_eq!(PublicKey::from_bytes(&[0]), Err(NoKey), "the point at infinity");
    assert_eq!(PublicKey::from_bytes(&[2; 5]), Err(NoKey));
    let mut outside = [0xff; 33];
    outside[0] = 2;
    assert_eq!(PublicKey::from_bytes(&outside), Err(NoKey));
    assert!(
        SecretKey::from_bytes(&[0; 32]).is_none() && SecretKey::from_bytes(&[0xff; 32]).is_none()
    );
    assert!(!format!("{:?} {:?}", secret(1), identities(false)[0]).contains("secret: "));
    assert_eq!(format!("{:?}", secret(1)), "SecretKey(..)");
}

#[test]
fn keys_go_to_tls_and_back_in_one_form_only() {
    let key = secret(1).public();
    let spki = key.to_spki();
    assert_eq!(PublicKey::from_spki(&spki), Ok(key));
    assert_eq!(PublicKey::from_spki(&[spki.clone(), vec![0]].concat()), Err(NoKey));
    for at in 0..spki.len() {
        let mut bent = spki.clone();
        bent[at] ^= 1;
        assert_ne!(PublicKey::from_spki(&bent), Ok(key), "{at}");
        assert!(PublicKey::from_spki(&spki[..at]).is_err());
    }
    let compressed = [&spki[..26], &key.to_bytes()].concat();
    assert_eq!(PublicKey::from_spki(&compressed), Err(NoKey));
}

#[test]
fn signatures_for_tls_are_ordinary_and_no_others() {
    use p256::ecdsa::signature::Verifier;
    let all = identities(false);
    let message = [7; 130];
    let signature = DerSignature::from_bytes(&all[0].sign_for_tls(&message)).unwrap();
    assert!(all[0].public().0.verify(&message, &signature).is_ok());
    assert!(all[0].public().0.verify(&message[1..], &signature).is_err());
    let plain: Ecdsa = signature.try_into().unwrap();
    let plain = Signature(plain.normalize_s().to_bytes().to_vec().into());
    for digest in [Digest::new([7; 32]), Digest::of("test", &message)] {
        assert!(!all[1].verify(party(0), &tag("x"), &digest, &plain));
    }
}
