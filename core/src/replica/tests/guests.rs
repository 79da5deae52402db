//! Clients whose keys no dealer made.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use super::{
    super::{
        Message, Request, Session,
        clients::OPEN_MAX,
        machine::{Ask, Replica, Timer},
        session,
    },
    LONG, MOMENT, group, one, spec,
    toy::{Counter, Toy},
    world::{Envelope, World, client, party},
};
use crate::{
    crypto::{P256Identity, SecretKey},
    effects::{Effect, Effects},
    id::{PartyId, Peer},
    protocol::{Event, Protocol},
    seat::{Owner, Seat},
    stream::atomic,
};

fn secret(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

/// The seat of a member with real keys, as it is at each start of its process.
fn member(world: &World, p: u16) -> Seat {
    let public: BTreeMap<Owner, _> =
        (0..4).map(|p| (party(0, p), secret(p as u8).public())).collect();
    let mut seat = world.party_seat(0, p);
    let identity = P256Identity::new(party(0, p), secret(p as u8), Arc::new(public), true);
    seat.keys.identity = Arc::new(identity);
    seat
}

/// The seat of a guest with this key.
fn guest(world: &World, number: u8) -> Seat {
    let public: BTreeMap<Owner, _> =
        (0..4).map(|p| (party(0, p), secret(p as u8).public())).collect();
    let mut seat = world.client_seat(1, 0);
    seat.owner = Owner::Client(secret(number).public().client());
    let identity = P256Identity::new(seat.owner, secret(number), Arc::new(public), true);
    seat.keys.identity = Arc::new(identity);
    seat
}

/// What a guest with this key says to a group of four.
fn request(world: &World, number: u8) -> Request {
    let client = secret(number).public().client();
    Request::sealed(&guest(world, number), client, one(1, Bytes::from_static(b"add 1")))
}

/// How often a replica without a history asks the stream to order a vouch, when it hears this.
fn submits(seat: &Seat, from: Peer, message: Message) -> usize {
    let mut spec = spec(10);
    spec.open = true;
    let mut replica: Replica<Counter, Toy> = Replica::new(seat, spec);
    let mut fx = Effects::new(seat);
    replica.step(Event::Message { from, message }, &mut fx);
    // Now, or after others had their moment.
    let submit = |effect: &Effect<_>| {
        matches!(
            effect,
            Effect::Ask(Ask::Stream(atomic::Input::Submit { .. }))
                | Effect::Arm { timer: Timer::Rota, .. }
        )
    };
    fx.list().iter().filter(|effect| submit(effect)).count()
}

#[test]
fn a_guest_is_judged_by_its_request_alone() {
    let world = World::new(1, 1, 4, 1, &spec(10));
    let said = request(&world, 77);
    let from = Peer::Client(said.client);
    for p in 0..4 {
        // No link was ever opened here: this is how a replay meets the request.
        let seat = member(&world, p);
        assert_eq!(submits(&seat, from, Message::Request(said.clone())), 1);
        let passed_on = Message::Body(super::super::Body::Request(said.clone()));
        assert_eq!(submits(&seat, Peer::Member(seat.me()), passed_on), 1);
    }
}

#[test]
fn a_guest_cannot_show_the_key_of_another() {
    let world = World::new(1, 1, 4, 1, &spec(10));
    let (said, other) = (request(&world, 77), request(&world, 78));
    let seat = member(&world, 1);
    let from = Peer::Client(said.client);
    let bodies = [
        Request { key: other.key.clone(), ..said.clone() },
        Request { key: None, ..said.clone() },
        Request { key: Some(Bytes::from_static(&[2; 32])), ..said.clone() },
        Request { key: other.key, macs: other.macs, ..said },
    ];
    for said in bodies {
        assert!(!said.is_genuine(&seat), "{:?}", said.key);
        assert_eq!(submits(&seat, from, Message::Request(said)), 0);
    }
}

/// A session of client 1 that had one command done, was idle while as many others came as there is room
/// for, and asked for another command since.
fn let_go(seed: u64) -> World {
    let mut world = group(seed, 4, 1);
    world.ask(1, "add 1");
    world.settle();
    for number in 2..OPEN_MAX as u64 + 2 {
        world.open(number, 0, session::Spec::new(1));
        world.ask(number, "add 1");
        world.settle();
    }
    world.ask(1, "add 1");
    world.settle();
    world
}

#[test]
fn a_guest_that_was_let_go_is_told_so_and_goes_on_in_another_session() {
    for seed in 0..5 {
        let mut world = let_go(seed);
        let why = session::Why::Forgotten;
        let refused = session::Output::Refused { number: 2, why };
        assert!(world.outputs[&client(1)].contains(&refused));
        let seat = world.client_seat(1, 0);
        let old = Request::sealed(&seat, client(1), one(1, Bytes::from_static(b"add 1")));
        for p in 0..4 {
            world.inject(Owner::Client(client(1)), party(0, p), &Message::Request(old.clone()));
            let passed_on = Message::Body(super::super::Body::Request(old.clone()));
            world.inject(party(0, 3), party(0, p), &passed_on);
        }
        world.pass(MOMENT);
        assert_eq!(world.replica(0, 0).service().items, OPEN_MAX as u64 + 1, "once each");
        world.ask(1, "add 1");
        world.pass(MOMENT);
        assert_eq!(world.answers(1)[&3], (OPEN_MAX + 2).to_string());
        world.assert_equal(0, &[]);
    }
}

#[test]
fn neither_liars_nor_silence_keep_a_guest_in_another_era() {
    for seed in 0..8 {
        let mut world = let_go(seed);
        world.meddle = Box::new(move |envelope: &mut Envelope| {
            let Some(Message::Era { .. }) = envelope.message() else { return true };
            if envelope.from == party(0, 1) {
                let era = if seed % 2 == 0 { 0 } else { u64::MAX };
                envelope.say(&Message::Era { era });
            }
            // In half of the worlds only two replicas are heard, of which all are correct.
            seed < 4 || [party(0, 0), party(0, 3)].contains(&envelope.from)
        });
        world.ask(1, "add 1");
        world.pass(LONG);
        assert_eq!(world.answers(1)[&3], (OPEN_MAX + 2).to_string());
        world.assert_equal(0, &[]);
    }
}

#[test]
fn a_guest_whose_group_is_not_reached_is_told_so() {
    let mut world = let_go(1);
    world.meddle =
        Box::new(|envelope: &mut Envelope| envelope.message() != Some(Message::EraRequest));
    world.ask(1, "add 1");
    world.pass(LONG);
    let lack = |output: &&session::Output| {
        matches!(output, session::Output::NoQuorum { number: 3, equal: 0, .. })
    };
    assert!(world.outputs[&client(1)].iter().filter(lack).count() >= 4);
}

#[test]
fn a_guest_asks_for_the_era_before_it_says_anything() {
    let world = World::new(1, 1, 4, 1, &spec(10));
    let seat = guest(&world, 77);
    let mut session = Session::new(&seat, session::Spec::new(1));
    let mut said = |event| {
        let mut fx = Effects::new(&seat);
        session.step(event, &mut fx);
        let message = |effect: &Effect<Session>| match effect {
            Effect::Send { message, .. } => Some(message.clone()),
            _ => None,
        };
        fx.list().iter().filter_map(message).collect::<Vec<_>>()
    };
    let input = session::Input::request(Bytes::from_static(b"add 1"));
    assert_eq!(said(Event::Input(input)), [Message::EraRequest]);
    let era = |p, era| {
        let from = Peer::Foreign(seat.group.id, PartyId::new(p));
        Event::Message { from, message: Message::Era { era } }
    };
    assert_eq!(said(era(0, 9)), []);
    assert_eq!(said(era(1, 5)), []);
    let said = said(era(2, 4));
    let [Message::Request(request)] = &said[..] else { panic!("{said:?}") };
    assert_eq!(request.commands[0].number.era(), 5, "one correct replica has reached it");
}
