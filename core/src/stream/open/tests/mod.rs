//! Single members, event by event; and proofs with real keys.

mod readers;

use std::sync::Arc;

use bytes::Bytes;

use super::{
    CHUNK_BYTES, Certificate, EVERY, Entry, Excerpt, Message, Reader, SIGNED_MAX,
    SIGNED_OF_ONE_MAX, Shelf, UNDER_WAY_BYTES, Unproven, genesis,
    reader::{self, Timer},
    shelf::{Input, Spec},
    statement, tag,
};
use crate::{
    config::Config,
    crypto::{
        Digest, SecretKey, Share,
        deal::{Deal, Keyring, self_made},
    },
    effects::{Effect, Effects, To},
    fault::Fault,
    id::{ClientId, Epoch, GroupId, PartyId, Peer, Slot},
    path::InstanceId,
    protocol::{Event, Protocol},
    seat::{Owner, Seat},
    sim::World,
    stream::secure::Author,
    thresholds::Thresholds,
    wire::limits,
};

const GROUP: &str = "test";

fn p(party: u16) -> PartyId {
    PartyId::new(party)
}

fn slot(number: u64) -> Slot {
    Slot::new(number)
}

fn client(number: u64) -> ClientId {
    ClientId::of_key(&Digest::of("client", &number.to_le_bytes()))
}

fn seats(owner: Owner) -> Seat {
    let world = World::new(1, [(GROUP, Thresholds::asynchronous(4, 1).unwrap())]);
    world.seat(owner, GROUP, GROUP)
}

fn member(party: u16) -> Seat {
    seats(Owner::Party(GroupId::new(0), p(party)))
}

fn step<P: Protocol>(machine: &mut P, seat: &Seat, event: Event<P>) -> Vec<Effect<P>> {
    let mut fx = Effects::new(seat);
    machine.step(event, &mut fx);
    fx.into_list()
}

fn payload(number: u64, len: usize) -> (Author, Bytes) {
    let mut bytes = number.to_string().into_bytes();
    bytes.resize(len, b' ');
    (Author::Client(client(7)), bytes.into())
}

/// What makes a member keep so many payloads.
fn keep(after: u64, first: u64, count: u64, len: usize) -> Event<Shelf> {
    let payloads = (first..first + count).map(|number| payload(number, len)).collect();
    Event::Input(Input::Keep { after: slot(after), first: slot(first), payloads })
}

fn entries(first: u64, count: u64) -> Vec<Entry> {
    let entry = |number| {
        let (author, payload) = payload(number, 8);
        Entry { slot: slot(number), author, payload }
    };
    (first..first + count).map(entry).collect()
}

fn chain(entries: &[Entry]) -> Digest {
    entries.iter().fold(genesis(), |chain, entry| entry.link().extend(chain))
}

fn share(party: u16, at: u64, chain: Digest) -> Share {
    let seat = member(party);
    seat.keys.service.share(&tag(&seat.id), &statement(slot(at), chain))
}

fn mark(from: u16, at: u64, chain: Digest) -> Event<Shelf> {
    let message = Message::Mark { slot: slot(at), chain, share: share(from, at, chain) };
    Event::Message { from: Peer::Member(p(from)), message }
}

fn certificate(at: u64, chain: Digest) -> Certificate {
    let seat = member(0);
    let shares = [(p(1), share(1, at, chain)), (p(2), share(2, at, chain))];
    let digest = statement(slot(at), chain);
    let proof = seat.keys.service.combine(&tag(&seat.id), &digest, &shares).unwrap();
    Certificate { slot: slot(at), chain, proof }
}

fn says(from: u64, message: Message) -> Event<Shelf> {
    Event::Message { from: Peer::Client(client(from)), message }
}

fn read(from: u64, proven: bool) -> Message {
    Message::Read { ticket: 1, from: slot(from), proven, up_to: slot(u64::MAX) }
}

/// What a client is told.
fn told(effects: &[Effect<Shelf>], to: u64) -> Vec<Message> {
    let message = |effect: &Effect<Shelf>| match effect {
        Effect::Send { to: To::Client(id), message } if *id == client(to) => Some(message.clone()),
        _ => None,
    };
    effects.iter().filter_map(message).collect()
}

#[test]
fn a_reader_that_takes_nothing_has_a_bound_under_way() {
    let (seat, mut shelf) = (member(0), Shelf::new(&member(0), Spec::default()));
    let mut all = step(&mut shelf, &seat, says(1, read(0, false)));
    for wave in 0..50 {
        all.extend(step(&mut shelf, &seat, keep(wave * 10, wave * 10, 10, 20_000)));
    }
    let bytes = |messages: &[Message]| -> u64 {
        let entries = messages.iter().filter_map(|message| match message {
            Message::Entries { entries, .. } => Some(entries),
            _ => None,
        });
        entries.flatten().map(Entry::weight).sum()
    };
    let (first, most) = (bytes(&told(&all, 1)), UNDER_WAY_BYTES + 2 * CHUNK_BYTES);
    assert!((UNDER_WAY_BYTES..most).contains(&first), "{first}");
    let pull = Message::Pull { ticket: 1, taken: slot(30), up_to: slot(u64::MAX) };
    let more = bytes(&told(&step(&mut shelf, &seat, says(1, pull.clone())), 1));
    assert!((500_000..most).contains(&more), "what was dealt with makes room: {more}");
    assert_eq!(bytes(&told(&step(&mut shelf, &seat, says(1, pull)), 1)), 0, "and once");
}

#[test]
fn what_is_gone_is_said_with_a_proof_of_what_is_left() {
    let spec = Spec { retention: 40 * 200, ..Spec::default() };
    let (seat, mut shelf) = (member(0), Shelf::new(&member(0), spec));
    let all = entries(0, 2 * EVERY);
    let at = |count: u64| chain(&all[..count as usize]);
    step(&mut shelf, &seat, keep(0, 0, EVERY, 8));
    step(&mut shelf, &seat, keep(EVERY, EVERY, 20, 8));
    let busy = told(&step(&mut shelf, &seat, says(1, read(0, false))), 1);
    assert_eq!(busy, [Message::Busy], "nothing that is left is proven yet");
    for party in [1, 2] {
        step(&mut shelf, &seat, mark(party, EVERY, at(EVERY)));
    }
    for proven in [false, true] {
        let gone = told(&step(&mut shelf, &seat, says(1, read(0, proven))), 1);
        let [Message::Gone { ticket: 1, certificate }] = &gone[..] else { panic!("{gone:?}") };
        assert_eq!((certificate.slot, certificate.chain), (slot(EVERY), at(EVERY)));
        certificate.check(&seat.id, &*seat.keys.service).unwrap();
    }
    let here = told(&step(&mut shelf, &seat, says(1, read(EVERY + 3, true))), 1);
    assert!(
        matches!(&here[0], Message::Begin { slot, certificate: Some(_), .. } if *slot == Slot::new(EVERY))
    );
    assert!(matches!(&here[1], Message::Entries { entries, .. } if entries.len() == 20));
}

#[test]
fn a_member_that_lost_entries_goes_by_what_others_signed() {
    let (seat, mut shelf) = (member(0), Shelf::new(&member(0), Spec::default()));
    let all = entries(0, 3 * EVERY);
    let at = |count: u64| chain(&all[..count as usize]);
    step(&mut shelf, &seat, keep(0, 0, 5, 8));
    let quiet = step(&mut shelf, &seat, keep(EVERY - 2, EVERY - 2, 10, 8));
    assert!(!quiet.iter().any(|effect| matches!(effect, Effect::Send { .. })), "{quiet:?}");
    step(&mut shelf, &seat, says(1, Message::Confirm { slot: slot(EVERY + 8) }));
    step(&mut shelf, &seat, mark(3, EVERY, Digest::of("test", b"forged")));
    let alone = step(&mut shelf, &seat, mark(1, EVERY, at(EVERY)));
    assert_eq!(told(&alone, 1), []);
    let enough = step(&mut shelf, &seat, mark(2, EVERY, at(EVERY)));
    let tip = Message::Tip { slot: slot(EVERY + 8), chain: Some(at(EVERY + 8)) };
    assert!(told(&enough, 1).contains(&tip), "{enough:?}");
    let next = step(&mut shelf, &seat, keep(EVERY + 8, EVERY + 8, EVERY, 8));
    let signs = |effect: &Effect<Shelf>| matches!(effect, Effect::Send { to: To::Everyone, message: Message::Mark { slot, chain, .. } } if *slot == Slot::new(2 * EVERY) && *chain == at(2 * EVERY));
    assert!(next.iter().any(signs), "it signs again");
}

#[test]
fn wrong_shares_are_named_and_stop_nothing() {
    let (seat, mut shelf) = (member(0), Shelf::new(&member(0), Spec::default()));
    let at = chain(&entries(0, EVERY));
    let message = Message::Mark { slot: slot(EVERY), chain: at, share: share(2, EVERY, at) };
    step(&mut shelf, &seat, Event::Message { from: Peer::Member(p(3)), message });
    let named = step(&mut shelf, &seat, mark(1, EVERY, at));
    let what = "share of a slot certificate".to_owned();
    let accuse = Effect::Accuse { peer: Peer::Member(p(3)), fault: Fault::BadProof { what } };
    assert_eq!(named, [accuse]);
    step(&mut shelf, &seat, mark(2, EVERY, at));
    assert!(shelf.marks.newest().is_some_and(|newest| newest.slot == slot(EVERY)));
}

#[test]
fn signatures_for_readers_are_few() {
    let (seat, mut shelf) = (member(0), Shelf::new(&member(0), Spec::default()));
    step(&mut shelf, &seat, keep(0, 0, EVERY - 1, 8));
    let mut signed = Vec::new();
    for reader in 0..2 * SIGNED_MAX as u64 {
        let asks =
            (1..EVERY).map(|at| says(reader, Message::Sign { slot: slot((at + reader) % EVERY) }));
        let got: usize = asks.map(|ask| told(&step(&mut shelf, &seat, ask), reader).len()).sum();
        signed.push(got);
    }
    assert_eq!(signed[0], SIGNED_OF_ONE_MAX);
    assert_eq!(shelf.signed.len(), SIGNED_MAX);
    step(&mut shelf, &seat, keep(EVERY - 1, EVERY - 1, 3, 8));
    let again = told(&step(&mut shelf, &seat, says(0, Message::Sign { slot: slot(EVERY + 1) })), 0);
    assert!(matches!(again[..], [Message::Mark { .. }]), "{again:?}");
}

#[test]
fn what_no_correct_party_says_is_refused() {
    let (seat, outside) = (member(0), seats(Owner::Client(client(1))));
    let tip = Message::Tip { slot: slot(1), chain: None };
    assert!(Shelf::admit(&seat, Peer::Member(p(1)), &tip).is_err());
    assert!(Shelf::admit(&seat, Peer::Client(client(1)), &tip).is_err());
    assert!(Shelf::admit(&seat, Peer::Foreign(GroupId::new(1), p(0)), &read(0, true)).is_err());
    assert!(Shelf::admit(&seat, Peer::Client(client(1)), &read(0, true)).is_ok());
    let from = Peer::Foreign(GroupId::new(0), p(1));
    assert!(Reader::admit(&outside, from, &tip).is_ok());
    assert!(Reader::admit(&outside, from, &read(0, true)).is_err());
    assert!(Reader::admit(&outside, Peer::Foreign(GroupId::new(0), p(4)), &tip).is_err());
    let bad = |entries: Vec<Entry>, to: u64| {
        let message = Message::Entries { ticket: 1, from: slot(3), entries, to: slot(to) };
        Reader::admit(&outside, from, &message).is_err()
    };
    assert!(!bad(entries(3, 2), 5));
    assert!(bad(entries(2, 2), 5) && bad(entries(3, 2), 4) && bad(Vec::new(), 3));
    assert!(bad([entries(3, 1), entries(3, 1)].concat(), 9));
    let long = |len: usize| Entry { payload: vec![0; len].into(), ..entries(3, 1)[0].clone() };
    assert!(bad(vec![long(limits::PAYLOAD_MAX + 1)], 9));
    assert!(bad(vec![long(CHUNK_BYTES as usize), Entry { slot: slot(4), ..long(1) }], 9));
}

/// Certificates under dealt keys of both schemes convince a stranger that made its own key and has the
/// public file only; and nothing else does.
#[test]
fn a_proof_convinces_whoever_has_the_public_keys() {
    for scheme in ["multisig", "pairing"] {
        let text = format!(
            "[clients]\nopen = true\n[schemes]\ncertificates = \"{scheme}\"\nsignatures = \"pairing\"\n[[group]]\nname = \"{GROUP}\"\n\
             service = \"transactions\"\nfaults = 1\n\
             members = [\"a:1\", \"a:2\", \"a:3\", \"a:4\"]\n"
        );
        let config = Config::parse(&text).unwrap();
        let deal = Deal::new(&config, &[3; 32]);
        let stream = InstanceId::root(GroupId::new(0), Epoch::FIRST, GROUP);
        let all = entries(0, 10);
        let (at, digest) = (slot(10), statement(slot(10), chain(&all)));
        let keys = |party| deal.party(GroupId::new(0), p(party)).unwrap().keys(GroupId::new(0));
        let share = |party| (p(party), keys(party).unwrap().service.share(&tag(&stream), &digest));
        let file = self_made("stranger", &SecretKey::from_seed(&[9; 32]));
        let stranger = Keyring::parse(&config, Arc::clone(deal.public()), &file).unwrap();
        let service = stranger.keys(GroupId::new(0)).unwrap().service;
        let proof = service.combine(&tag(&stream), &digest, &[share(1), share(3)]).unwrap();
        let certificate = Certificate { slot: at, chain: chain(&all), proof };
        let part = Excerpt::new(chain(&all[..4]), &all[4..], certificate.clone());
        let part = part.only(|entry| entry.slot == slot(6));
        assert_eq!(part.check(&stream, &*service), Ok(()));
        assert_eq!(part.entries().collect::<Vec<_>>(), [&all[6]]);
        refuses_forgeries(&part, &stream, &*service);
    }
}

fn refuses_forgeries(
    part: &Excerpt,
    stream: &InstanceId,
    service: &dyn crate::crypto::ThresholdSignature,
) {
    let elsewhere = InstanceId::root(GroupId::new(0), Epoch::FIRST, "other");
    let bad = Unproven::Certificate { slot: slot(10) };
    assert_eq!(part.check(&elsewhere, service), Err(bad));
    let forge = |change: fn(&mut Excerpt)| {
        let mut forged = part.clone();
        change(&mut forged);
        forged.check(stream, service)
    };
    let other = Err(Unproven::Chain { slot: slot(10) });
    let entry = |change: fn(&mut Entry)| {
        let mut forged = part.clone();
        if let super::Shown::Entry(entry) = &mut forged.shown[2] {
            change(entry);
        }
        forged.check(stream, service)
    };
    assert_eq!(entry(|entry| entry.payload = Bytes::from_static(b"forged")), other);
    assert_eq!(entry(|entry| entry.author = Author::Client(client(8))), other);
    assert_eq!(entry(|entry| entry.slot = slot(9)), Err(Unproven::Order { slot: slot(7) }));
    assert_eq!(forge(|forged| forged.shown.truncate(5)), other);
    assert_eq!(forge(|forged| forged.before = genesis()), other);
    let of = |forged: &mut Excerpt| forged.certificate.slot = slot(11);
    assert_eq!(forge(of), Err(Unproven::Certificate { slot: slot(11) }));
    let without = |forged: &mut Excerpt| forged.certificate.chain = forged.before;
    assert_eq!(forge(without), other);
    let empty = |forged: &mut Excerpt| {
        forged.shown.clear();
        forged.before = Digest::of("test", b"forged");
        forged.certificate.chain = forged.before;
    };
    assert_eq!(forge(empty), Err(Unproven::Certificate { slot: slot(10) }));
    let long = |forged: &mut Excerpt| {
        let shown = forged.shown[0].clone();
        forged.shown = vec![shown; limits::BATCH_PAYLOADS_MAX + 1];
    };
    assert!(matches!(forge(long), Err(Unproven::TooLong { .. })));
}
