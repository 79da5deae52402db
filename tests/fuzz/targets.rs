//! What reads bytes of others, one function each: for `cargo fuzz` (`core/fuzz`), and for the test
//! beside this file, which sends some thousands of bent samples through each on every run.
//!
//! A target says whether it could read the bytes. It panics when something is wrong: the reader
//! fell, or what was read does not mean the same when it is said again.
#![allow(dead_code, reason = "each fuzz target uses its own part")]

pub(crate) mod invent;
pub(crate) mod mutate;

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use maftia::assembly::{Accounts, Manager};
use maftia_actors::{
    link::{Passport, probe},
    log::{self, Inscribe, Record},
};
use maftia_core::{
    agreement::{
        binary::Binary,
        coin::Coin,
        multivalued::{Closed, Multivalued},
        opening::Opening,
        signature::Signature,
        validated::Validated,
    },
    broadcast::{consistent::Consistent, reliable::Reliable},
    config::Config,
    crypto::{
        Certificate, Ciphertext, Digest, Keys, Share, ThresholdSignature,
        deal::{Deal, Keyring, PublicKeys},
    },
    fault::Proof,
    id::{GroupId, PartyId, Peer},
    path::{InstanceId, Role},
    protocol::{Data, Protocol},
    replica::{self, Session},
    seat::{Owner, Seat},
    sim::Story,
    stream::{
        atomic::{Atomic, Signed},
        batch::Batch,
        certified::Certified,
        closing::Closing,
        contents::{self, Content, Contents},
        fast::Fast,
        fifo::lane::Lane,
        open::{Reader, Shelf},
        secure::Secure,
    },
    wire::{self, Rope},
};
use maftia_tss::{
    request::{ManagerRequest, ResourceRequest},
    resources::{Account, Resource},
    statement::Statement,
    token::Token,
};

/// A network with all its keys, dealt once.
pub(crate) struct Network {
    pub(crate) config: Config,
    pub(crate) deal: Deal,
    /// The seats of one member: at a root, and inside an agreement.
    seats: [Seat; 2],
}

/// What all targets stand on.
pub(crate) static NETWORK: LazyLock<Network> = LazyLock::new(|| {
    let config = Config::parse(Config::sample()).expect("the sample is right");
    let deal = Deal::new(&config, &[7; 32]);
    let (group, directory) = (config.groups()[0].clone(), Arc::new(config.directory()));
    let ring = ring(&deal, 0);
    let id = InstanceId::root(group.id, group.epoch, &group.name);
    let seat = Seat {
        id: id.clone(),
        owner: ring.owner(),
        group: Arc::new(directory.groups()[0].clone()),
        directory,
        keys: ring.keys(group.id).expect("the group is there"),
    };
    let inner = Seat { id: id.child(Role::Vote.at(PartyId::new(1))), ..seat.clone() };
    Network { config, deal, seats: [seat, inner] }
});

fn ring(deal: &Deal, member: u16) -> Keyring {
    deal.party(GroupId::new(0), PartyId::new(member)).expect("the group has four")
}

/// Something that is decoded.
pub(crate) struct Decoder {
    pub(crate) name: &'static str,
    pub(crate) read: fn(&[u8]) -> bool,
    /// A valid one.
    pub(crate) sample: fn(u64) -> Option<Bytes>,
}

/// The message of a protocol, which is also judged.
fn message<P: Protocol>() -> Decoder {
    let read = |bytes: &[u8]| {
        let Some(message) = plain::<P::Message>(bytes) else { return false };
        for (seat, from) in NETWORK.seats.iter().zip([1, 3]) {
            // Whether it is admitted is for the tests of the protocol.
            let _ = P::admit(seat, Peer::Member(PartyId::new(from)), &message);
        }
        let _ = P::lane(&message);
        true
    };
    Decoder { name: P::KIND.0, read, sample: invent::invent::<P::Message> }
}

/// Data without a judge of its own.
fn data<T: Data>(name: &'static str) -> Decoder {
    Decoder { name, read: |bytes| plain::<T>(bytes).is_some(), sample: invent::invent::<T> }
}

/// What stands inside of messages.
struct Inside(Vec<Decoder>);

impl Contents for Inside {
    fn content<T: Content>(&mut self) {
        let read = |bytes: &[u8]| {
            let Some(content) = plain::<T>(bytes) else { return false };
            // Whether it is taken is for the tests of the protocol.
            let _ = content.judge(&NETWORK.seats[0]);
            true
        };
        self.0.push(Decoder { name: T::NAME, read, sample: invent::invent::<T> });
    }
}

/// Decodes, and asserts that what was decoded means the same when it is said again.
fn plain<T: Data>(bytes: &[u8]) -> Option<T> {
    let value: T = wire::decode(bytes).ok()?;
    let again = wire::encode(&value);
    assert_eq!(wire::decode::<T>(&again).as_ref(), Ok(&value), "it reads as another value");
    Some(value)
}

/// All that members and clients say to each other.
pub(crate) fn decoders() -> Vec<Decoder> {
    let mut inside = Inside(Vec::new());
    contents::all(&mut inside);
    let mut decoders = vec![
        message::<Reliable>(),
        message::<Consistent>(),
        message::<Binary>(),
        message::<Validated<Closed>>(),
        message::<Multivalued<Signed>>(),
        message::<Coin>(),
        message::<Signature>(),
        message::<Opening>(),
        message::<Lane<Reliable>>(),
        message::<Lane<Consistent>>(),
        message::<Atomic>(),
        message::<Fast>(),
        message::<Certified>(),
        message::<Closing<Atomic>>(),
        message::<Secure<Atomic>>(),
        message::<Manager>(),
        message::<Accounts>(),
        message::<Session>(),
        message::<Shelf>(),
        message::<Reader>(),
        data::<ManagerRequest>("request to a manager"),
        data::<ResourceRequest<<Account as Resource>::Operation>>("request to a resource"),
        data::<Statement>("statement"),
        data::<replica::Request>("request"),
        data::<maftia::control::Ask>("question of a console"),
        data::<maftia::control::Answer>("answer to a console"),
        data::<InstanceId>("instance"),
        data::<Owner>("owner"),
        data::<replica::Ballot>("ballot"),
        data::<Batch>("batch"),
        data::<Proof>("proof"),
    ];
    decoders.extend(inside.0);
    decoders
}

/// Anything decoded: the first byte says what.
pub(crate) fn decode(bytes: &[u8]) -> bool {
    let Some((which, rest)) = bytes.split_first() else { return false };
    let decoders = decoders();
    (decoders[usize::from(*which) % decoders.len()].read)(rest)
}

/// What a stranger's connection brings.
pub(crate) fn packet(bytes: &[u8]) -> bool {
    probe::packet(bytes)
}

/// A handshake in which one of the four messages is bent on the way: the first byte says which, the
/// others are laid over it. A line stands for whoever changed nothing.
pub(crate) fn handshake(bytes: &[u8]) -> bool {
    let Some((which, patch)) = bytes.split_first() else { return false };
    let (dialer, listener) = (passport(0), passport(1));
    let shaken = probe::handshake(&dialer, &listener, usize::from(*which) % 4, patch);
    // The last two messages are signatures, of which a decoder may know several forms.
    let mended = which % 4 > 1 && shaken.stands;
    assert!(shaken.stands != shaken.changed || mended, "{shaken:?}");
    shaken.stands
}

fn passport(member: u16) -> Passport {
    let ring = ring(&NETWORK.deal, member);
    let known = PartyId::all(4).map(|party| Owner::Party(GroupId::new(0), party)).collect();
    Passport {
        me: ring.owner(),
        identity: Arc::<maftia_core::crypto::P256Identity>::clone(ring.identity()),
        network: Digest::of("test", b"network"),
        known: Arc::new(known),
        key: None,
        guests: None,
    }
}

/// A configuration.
pub(crate) fn config(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    match Config::parse(text) {
        Ok(config) => !config.explain().is_empty(),
        Err(error) => {
            assert!(!error.0.is_empty(), "it does not say what is wrong");
            assert!(error.to_string().len() < 1 << 20, "it says too much");
            false
        }
    }
}

/// A key file, or the file of public keys: the first byte says which.
pub(crate) fn keys(bytes: &[u8]) -> bool {
    let Some((which, rest)) = bytes.split_first() else { return false };
    let Ok(text) = std::str::from_utf8(rest) else { return false };
    let Network { config, deal, .. } = &*NETWORK;
    if which % 2 == 0 {
        // What is read is compared with the deal: only what was dealt is taken.
        Keyring::parse(config, Arc::clone(deal.public()), text).is_ok()
    } else {
        PublicKeys::parse(config, text).is_ok()
    }
}

/// A record of a log.
pub(crate) fn record(bytes: &[u8]) -> bool {
    let Ok(record) = Record::read(&Bytes::copy_from_slice(bytes)) else { return false };
    let mut again = Rope::default();
    record.inscribe(&mut again);
    assert_eq!(Record::read(&again.flat()).as_ref(), Ok(&record), "it reads as another record");
    true
}

/// A segment of a log, in whole sectors.
pub(crate) fn segment(bytes: &[u8]) -> bool {
    log::probe::segment(bytes)
}

/// What people paste: a story of the simulator, or the token of a transaction.
pub(crate) fn pasted(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    if let Ok(story) = Story::parse(text) {
        let again = Story::parse(&story.to_string()).expect("what is written can be read");
        assert_eq!(again.to_string(), story.to_string());
        return true;
    }
    let Ok(token) = text.parse::<Token>() else { return false };
    assert_eq!(token.to_string().parse::<Token>().as_ref(), Ok(&token));
    true
}

/// A share, certificate or ciphertext of each scheme: the first byte says of which, the second of
/// whom, the rest is laid over a right one. Whether it still convinces, which it may only unchanged.
pub(crate) fn share(bytes: &[u8]) -> bool {
    let [which, whose, patch @ ..] = bytes else { return false };
    let (part, member) = (&PARTS[usize::from(*which) % PARTS.len()], u16::from(*whose) % 4);
    let keys = &NETWORK.seats[0].keys;
    let (tag, digest) = (NETWORK.seats[0].tag("fuzz"), Digest::of("test", b"message"));
    let (theirs, party) = (keys_of(member), PartyId::new(member));
    let (right, shown, convinces);
    match part {
        Part::Signature(place) => {
            right = signatures(&theirs)[*place].share(&tag, &digest).0;
            shown = bent(&right, patch);
            let share = Share(shown.clone());
            convinces = signatures(keys)[*place].check_share(party, &tag, &digest, &share);
        }
        Part::Certificate(place) => {
            let share = |member| signatures(&keys_of(member))[*place].share(&tag, &digest);
            let shares: Vec<_> = (0..signatures(keys)[*place].needed() as u16)
                .map(|member| (PartyId::new(member), share(member)))
                .collect();
            let combined = signatures(keys)[*place].combine(&tag, &digest, &shares);
            right = combined.expect("all shares are right").0;
            shown = bent(&right, patch);
            let certificate = Certificate(shown.clone());
            convinces = signatures(keys)[*place].check(&tag, &digest, &certificate);
        }
        Part::Coin => {
            right = theirs.coin.share(&tag).0;
            shown = bent(&right, patch);
            convinces = keys.coin.check_share(party, &tag, &Share(shown.clone()));
        }
        Part::Ciphertext => {
            right = keys.cipher.encrypt(b"label", b"secret", &[1; 32]).0;
            shown = bent(&right, patch);
            convinces = keys.cipher.check(b"label", &Ciphertext(shown.clone()));
        }
        Part::Cipher => {
            let sealed = keys.cipher.encrypt(b"label", b"secret", &[1; 32]);
            right = theirs.cipher.share(b"label", &sealed).expect("it is well formed").0;
            shown = bent(&right, patch);
            let share = Share(shown.clone());
            convinces = keys.cipher.check_share(party, b"label", &sealed, &share);
        }
    }
    assert_eq!(convinces, shown == right, "{part:?} of {party}");
    convinces
}

fn keys_of(member: u16) -> Keys {
    ring(&NETWORK.deal, member).keys(GroupId::new(0)).expect("it is there")
}

fn signatures(keys: &Keys) -> [&dyn ThresholdSignature; 3] {
    [&*keys.quorum, &*keys.service, &*keys.signature]
}

/// These bytes with a patch laid over them, and what of it reaches beyond.
fn bent(right: &Bytes, patch: &[u8]) -> Bytes {
    let mut bent = right.to_vec();
    bent.iter_mut().zip(patch).for_each(|(byte, patch)| *byte ^= patch);
    bent.extend_from_slice(patch.get(right.len()..).unwrap_or_default());
    Bytes::from(bent)
}

/// What members make parts of, and what comes of them.
#[derive(Debug)]
enum Part {
    Signature(usize),
    Certificate(usize),
    Coin,
    Ciphertext,
    Cipher,
}

/// All of them.
const PARTS: &[Part] = &[
    Part::Signature(0),
    Part::Signature(1),
    Part::Signature(2),
    Part::Coin,
    Part::Ciphertext,
    Part::Cipher,
    Part::Certificate(0),
    Part::Certificate(1),
    Part::Certificate(2),
];

/// How many there are.
pub(crate) const PARTS_COUNT: usize = PARTS.len();
