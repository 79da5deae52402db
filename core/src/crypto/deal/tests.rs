use super::*;
use crate::{
    crypto::{Digest, Identity},
    id::Epoch,
    path::{InstanceId, Tag},
    seat::Owner,
    sim::real,
};

fn config(changes: &[(&str, &str)]) -> Config {
    let text = changes.iter().fold(Config::sample().to_string(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    Config::parse(&text).unwrap()
}

fn sample() -> (Config, Deal) {
    let config = config(&[]);
    let deal = Deal::new(&config, &[5; 32]);
    (config, deal)
}

fn group(number: u16) -> GroupId {
    GroupId::new(number)
}

fn tag() -> Tag {
    InstanceId::root(group(1), Epoch::FIRST, "orders").tag("x")
}

fn message() -> Digest {
    Digest::of("test", b"message")
}

/// The keyrings of a group, once from the dealer's hands and once from the files.
fn both(config: &Config, deal: &Deal, of: u16) -> [Vec<Keyring>; 2] {
    let name = &config.group(group(of)).unwrap().name;
    let public = Arc::new(PublicKeys::parse(config, &deal.public().to_toml()).unwrap());
    let files = deal.files();
    let file =
        |i: u16| &files.iter().find(|(file, _)| *file == format!("{name}-{i}.key")).unwrap().1;
    let read = |i| Keyring::parse(config, Arc::clone(&public), file(i)).unwrap();
    let given = |i| deal.party(group(of), PartyId::new(i)).unwrap();
    [(0..4).map(given).collect(), (0..4).map(read).collect()]
}

fn everything_works(config: &Config) {
    let deal = Deal::with_primes(config, &[5; 32], &real::primes());
    let client = deal.client("bob").unwrap().keys(group(1)).unwrap();
    for rings in both(config, &deal, 1) {
        let keys: Vec<_> = rings.iter().map(|ring| ring.keys(group(1)).unwrap()).collect();
        let parties = || (0..).map(PartyId::new);
        let quorum: Vec<_> =
            parties().zip(keys.iter().map(|keys| keys.quorum.share(&tag(), &message()))).collect();
        let certificate = client.quorum.combine(&tag(), &message(), &quorum[1..]).unwrap();
        assert!(client.quorum.check(&tag(), &message(), &certificate));
        assert!(!client.service.check(&tag(), &message(), &certificate));
        let signed: Vec<_> = parties()
            .zip(keys.iter().map(|keys| keys.signature.share(&tag(), &message())))
            .collect();
        let signature = client.signature.combine(&tag(), &message(), &signed[1..3]).unwrap();
        assert!(keys[3].signature.check(&tag(), &message(), &signature));
        assert!(!client.service.check(&tag(), &message(), &signature));
        let coins: Vec<_> =
            parties().zip(keys.iter().map(|keys| keys.coin.share(&tag()))).collect();
        let values = [&coins[..2], &coins[2..]].map(|some| client.coin.combine(&tag(), some));
        assert!(values[0].is_ok() && values[0] == values[1]);
        let sealed = client.cipher.encrypt(b"bob", b"secret", &[1; 32]);
        let opened: Vec<_> = parties()
            .zip(keys.iter().map(|keys| keys.cipher.share(b"bob", &sealed).unwrap()))
            .collect();
        assert_eq!(client.cipher.combine(b"bob", &sealed, &opened[1..3]).unwrap(), &b"secret"[..]);
        let mine = client.identity.sign(&tag(), &message());
        let bob = Owner::Client(deal.public().client("bob").unwrap());
        assert!(keys[2].identity.verify(bob, &tag(), &message(), &mine));
        let mac = keys[2].identity.authenticate(bob, &tag(), &message()).unwrap();
        assert!(client.identity.check(rings[2].owner(), &tag(), &message(), &mac));
    }
}

#[test]
fn dealt_keys_work_together() {
    everything_works(&config(&[]));
}

#[test]
fn dealt_keys_over_pairings_work_together() {
    everything_works(&config(&[
        ("coin = \"ddh\"", "coin = \"pairing\""),
        ("certificates = \"multisig\"", "certificates = \"pairing\""),
        ("signatures = \"multisig\"", "signatures = \"pairing\""),
    ]));
}

#[cfg(feature = "blst")]
#[test]
fn dealt_keys_for_blst_work_together_and_not_with_others() {
    let blst = config(&[
        ("coin = \"ddh\"", "coin = \"pairing-blst\""),
        ("certificates = \"multisig\"", "certificates = \"pairing-blst\""),
        ("signatures = \"multisig\"", "signatures = \"pairing-blst\""),
        ("cipher = \"pairing\"", "cipher = \"pairing-blst\""),
    ]);
    everything_works(&blst);
    let mixed = config(&[("cipher = \"pairing\"", "cipher = \"pairing-blst\"")]);
    everything_works(&mixed);
    let error = PublicKeys::parse(&mixed, &sample().1.public().to_toml()).unwrap_err();
    let both = "its `cipher` is of the scheme `pairing`, the configuration says `pairing-blst`";
    assert_eq!(error.to_string(), both);
}

fn with_rsa() -> Config {
    config(&[("signatures = \"multisig\"", "signatures = \"rsa\"")])
}

#[test]
fn dealt_keys_of_rsa_work_together() {
    everything_works(&with_rsa());
    let deal = Deal::with_primes(&with_rsa(), &[5; 32], &real::primes());
    let pem = deal.public().rsa_pem(group(2)).unwrap();
    assert!(
        pem.starts_with("-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKC")
    );
    assert!(
        deal.public().rsa_pem(group(3)).is_none()
            && sample().1.public().rsa_pem(group(2)).is_none()
    );
}

#[test]
fn keys_of_rsa_of_others_are_refused() {
    let config = with_rsa();
    let deal = Deal::with_primes(&config, &[5; 32], &real::primes());
    let parse = |text: &str| Keyring::parse(&config, Arc::clone(deal.public()), text).map(|_| ());
    let files = deal.files();
    let file = |name: &str| files.iter().find(|(file, _)| file == name).unwrap().1.to_string();
    let line =
        |text: &str| text.lines().find(|line| line.starts_with("signature")).unwrap().to_string();
    let (text, other) = (file("left-2.key"), file("left-3.key"));
    assert_eq!(parse(&text), Ok(()));
    let foreign = Err(KeyError::Foreign("signature"));
    assert_eq!(parse(&text.replace(&line(&text), &line(&other))), foreign);
    assert_eq!(parse(&text.replace(&line(&text), "signature = \"00\"")), foreign);
    let without = text.replace(&line(&text), "");
    assert_eq!(parse(&without), Err(KeyError::Missing("signature")));
    let public = deal.public().to_toml();
    let read = |text: &str| PublicKeys::parse(&config, text).map(|_| ());
    assert_eq!(read(&public), Ok(()));
    let at = public.find("signature = { group = \"").unwrap() + 23;
    let bent = [&public[..at], "0", &public[at + 1..]].concat();
    assert_eq!(read(&bent), Err(KeyError::NoPoint), "a modulus that is too small");
    let error = PublicKeys::parse(&self::config(&[]), &public).unwrap_err();
    let both = "its `signature` is of the scheme `rsa`, the configuration says `multisig`";
    assert_eq!(error.to_string(), both);
}

#[test]
fn a_deal_is_its_seed_and_its_configuration() {
    let (config, deal) = sample();
    assert_eq!(Deal::new(&config, &[5; 32]).public(), deal.public());
    assert_ne!(Deal::new(&config, &[6; 32]).public().name(), deal.public().name());
    let names: Vec<_> = deal.files().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 14);
    assert_eq!((&*names[0], &*names[6], &*names[13]), ("tm-0.key", "left-2.key", "client-bob.key"));
    let mut secrets = std::collections::BTreeSet::new();
    for (_, text) in deal.files() {
        for secret in text.lines().skip(4).filter(|line| line.contains(" = \"")) {
            let (name, value) = secret.split_once(" = ").unwrap();
            assert!(
                ["group", "client"].contains(&name) || secrets.insert(value.to_string()),
                "{name}"
            );
        }
    }
    assert_eq!(secrets.len(), 12 * 3 + 2, "no secret is used twice");
    let public = deal.public();
    assert!(secrets.iter().all(|secret| !public.to_toml().contains(secret.trim_matches('"'))));
    assert_eq!(public.client_name(public.client("you").unwrap()), Some("you"));
    assert_eq!(public.client("eve"), None);
    assert!(deal.party(group(0), PartyId::new(4)).is_none() && deal.client("eve").is_none());
    assert!(deal.party(group(3), PartyId::new(0)).is_none());
}

#[test]
fn changed_public_keys_are_refused() {
    let (config, deal) = sample();
    let text = deal.public().to_toml();
    let parse = |text: &str| PublicKeys::parse(&config, text).map(|_| ());
    assert_eq!(parse(&text), Ok(()));
    assert_eq!(parse(&text.replace("\"you\"", "\"eve\"")), Err(KeyError::Changed));
    assert_eq!(parse(&text.replace("version = 1", "version = 9")), Err(KeyError::Version(9)));
    for cut in [0, 100, text.len() / 3, text.len() / 2, text.len() - 10] {
        assert!(parse(&text[..cut]).is_err(), "cut at {cut}");
    }
    let other = Deal::new(&config, &[6; 32]).public().to_toml();
    let mixed: Vec<_> = text.lines().take(5).chain(other.lines().skip(5)).collect();
    assert_eq!(parse(&mixed.join("\n")), Err(KeyError::Changed));
    let master = text.split("cipher = { group = \"").nth(1).unwrap()[..96].to_string();
    let infinity = format!("c0{}", "0".repeat(94));
    assert_eq!(parse(&text.replace(&master, &infinity)), Err(KeyError::NoPoint));
    let larger = self::config(&[("faults = 1", "faults = 0")]);
    assert_eq!(PublicKeys::parse(&larger, &text), Err(KeyError::OtherConfig));
}

#[test]
fn keys_of_others_are_refused() {
    let (config, deal) = sample();
    let files = deal.files();
    let file = |name: &str| files.iter().find(|(file, _)| file == name).unwrap().1.to_string();
    let parse = |text: &str| Keyring::parse(&config, Arc::clone(deal.public()), text).map(|_| ());
    let text = file("left-2.key");
    assert_eq!(parse(&text), Ok(()));
    assert_eq!(
        parse(&text.replace("member = 2", "member = 1")),
        Err(KeyError::Foreign("identity"))
    );
    assert_eq!(parse(&text.replace("member = 2", "member = 4")), Err(KeyError::NoMember));
    assert_eq!(parse(&text.replace("\"left\"", "\"east\"")), Err(KeyError::NoMember));
    assert_eq!(parse(&text.replace("version = 1", "version = 2")), Err(KeyError::Version(2)));
    let value = |text: &str, name: &str| {
        text.lines().find(|line| line.starts_with(name)).unwrap().to_string()
    };
    let other = file("left-3.key");
    for name in ["identity", "coin", "cipher"] {
        let mixed = text.replace(&value(&text, name), &value(&other, name));
        assert!(matches!(parse(&mixed), Err(KeyError::Foreign(_))), "{name}");
        let without = text.replace(&value(&text, name), "");
        assert!(matches!(parse(&without), Err(KeyError::Missing(_))), "{name}");
        let zero = format!("{name} = \"{}\"", "0".repeat(64));
        assert!(parse(&text.replace(&value(&text, name), &zero)).is_err(), "{name}");
    }
    let client = file("client-you.key");
    assert_eq!(parse(&client), Ok(()));
    assert_eq!(parse(&client.replace("\"you\"", "\"bob\"")), Err(KeyError::Foreign("identity")));
    let again = Deal::new(&config, &[6; 32]);
    let fresh = Keyring::parse(&config, Arc::clone(again.public()), &text);
    assert_eq!(fresh.err(), Some(KeyError::OtherDeal));
    let larger = self::config(&[("faults = 1", "faults = 0")]);
    let larger = Keyring::parse(&larger, Arc::clone(deal.public()), &text);
    assert_eq!(larger.err(), Some(KeyError::OtherConfig));
}

#[test]
fn damaged_files_are_refused_without_a_word_of_their_secrets() {
    let (config, deal) = sample();
    let files = deal.files();
    let text = &files[0].1;
    let secret = text.split("identity = \"").nth(1).unwrap()[..64].to_string();
    for cut in (0..text.len() - 1).step_by(37) {
        let error = Keyring::parse(&config, Arc::clone(deal.public()), &text[..cut]).unwrap_err();
        assert!(!error.to_string().contains(&secret[..8]), "{error}");
    }
    for damaged in [
        text.replace("identity = \"", "identity = \"zz"),
        text.replace(&format!("identity = \"{secret}\""), "identity = 7"),
        text.replace("identity = ", "idendity = "),
    ] {
        let error = Keyring::parse(&config, Arc::clone(deal.public()), &damaged).unwrap_err();
        assert_eq!(error, KeyError::Unreadable { line: 7 });
    }
    let ring = deal.party(group(0), PartyId::new(0)).unwrap();
    assert!(!format!("{ring:?} {deal:?}").contains(&secret[..8]));
}

#[test]
fn an_open_group_takes_keys_that_clients_made() {
    let (closed, deal) = sample();
    let open = config(&[("open = false", "open = true")]);
    let secret = SecretKey::from_seed(&[42; 32]);
    let text = self_made("eve\"\n", &secret);
    assert!(text.contains("client = \"eve\"\n"), "a label cannot break out of its quotes");
    let result = Keyring::parse(&closed, Arc::clone(deal.public()), &text);
    assert_eq!(result.err(), Some(KeyError::Closed));
    let eve = Keyring::parse(&open, Arc::clone(deal.public()), &text).unwrap();
    assert_eq!(eve.owner(), Owner::Client(secret.public().client()));
    let deal = Deal::new(&open, &[5; 32]);
    let party = deal.party(group(1), PartyId::new(0)).unwrap();
    let (eve, party) = (eve.identity(), party.identity());
    let mac = eve.authenticate(party.owner(), &tag(), &message()).unwrap();
    let (client, key) = (secret.public().client(), eve.shown_key().unwrap());
    assert!(party.check_shown(client, &key, &tag(), &message(), &mac));
    assert!(!party.check(eve.owner(), &tag(), &message(), &mac), "nobody knows her");
}
