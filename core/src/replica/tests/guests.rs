//! Clients whose keys no dealer made.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use super::{
    super::{
        Message, Request,
        machine::{Ask, Replica, Timer},
    },
    one, spec,
    toy::{Counter, Toy},
    world::{World, party},
};
use crate::{
    crypto::{P256Identity, SecretKey},
    effects::{Effect, Effects},
    id::Peer,
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

/// What a guest with this key says to a group of four.
fn request(world: &World, number: u8) -> Request {
    let public: BTreeMap<Owner, _> =
        (0..4).map(|p| (party(0, p), secret(p as u8).public())).collect();
    let client = secret(number).public().client();
    let mut seat = world.client_seat(1, 0);
    seat.owner = Owner::Client(client);
    let identity = P256Identity::new(seat.owner, secret(number), Arc::new(public), true);
    seat.keys.identity = Arc::new(identity);
    Request::sealed(&seat, client, one(1, Bytes::from_static(b"add 1")))
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
