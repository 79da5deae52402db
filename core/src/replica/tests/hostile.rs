//! Liars that halt a group if a body is lost.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use bytes::Bytes;

use super::{
    super::{
        Message, Request, Statement,
        machine::{Ask, Heard, Replica},
    },
    LONG, MOMENT, group, one, spec,
    toy::{Counter, Toy, ToyMessage},
    world::{Envelope, World, client, party},
};
use crate::{
    crypto::{Digest, Mac},
    effects::{Effect, Effects},
    id::{GroupId, PartyId, Peer},
    path::Role,
    protocol::{Event, Protocol},
    replica::Ballot,
    seat::Owner,
    stream::{atomic, batch::Batch},
    time::Span,
    wire,
};

fn add(world: &mut World, count: u64) {
    for _ in 0..count {
        world.ask(1, "add 1");
        world.pass(MOMENT);
    }
}

fn vouch_as(world: &mut World, liar: u16, id: Digest) {
    submit_vouch(world, liar, id);
    world.settle();
}

fn submit_vouch(world: &mut World, liar: u16, id: Digest) {
    let ballot = Ballot { requests: vec![id], ..Ballot::default() };
    let submit = wire::encode(&ToyMessage::Submit(Batch::of([wire::encode(&ballot)])));
    world.inject_below(party(0, liar), party(0, 0), Role::Stream.only(), &submit);
}

fn assert_lives(world: &mut World) {
    let before = world.answers(1).len();
    world.ask(1, "add 1");
    world.pass(LONG);
    world.pass(LONG);
    let slots: Vec<_> = (0..4).map(|p| world.replica(0, p).slot()).collect();
    assert_eq!(world.answers(1).len(), before + 1, "the group stands still at {slots:?}");
}

/// n - f batches a round). Meanwhile more than `RECENT_MAX` other ids take effect.
#[test]
fn a_late_vouch_and_a_liar_do_not_stop_the_group() {
    late_vouch(false);
}

/// The same, but the liar's vouch comes before the late one can be taken back.
#[test]
fn a_late_vouch_and_a_quick_liar_do_not_stop_the_group() {
    late_vouch(true);
}

fn late_vouch(quick: bool) {
    let mut world = group(1, 4, 1);
    let held: Rc<RefCell<Vec<Bytes>>> = Rc::default();
    let keep = Rc::clone(&held);
    world.meddle = Box::new(move |envelope: &mut Envelope| {
        let late = envelope.from == party(0, 1)
            && envelope.to == party(0, 0)
            && matches!(wire::decode(&envelope.bytes), Ok(ToyMessage::Submit(_)))
            && !envelope.instance.path().is_empty();
        if late {
            keep.borrow_mut().push(envelope.bytes.clone());
        }
        !late
    });
    let body = Bytes::from_static(b"add 1");
    let first = Request::sealed(&world.client_seat(1, 0), client(1), one(1, body)).id();
    add(&mut world, 2_100);
    assert_eq!(world.answers(1).len(), 2_100);
    world.meddle = Box::new(|_| true);
    if quick {
        submit_vouch(&mut world, 3, first);
        world.settle();
    }
    for bytes in held.take() {
        world.inject_below(party(0, 1), party(0, 0), Role::Stream.only(), &bytes);
        world.settle();
    }
    add(&mut world, 5);
    assert_eq!(world.answers(1).len(), 2_105, "so far all is well");
    vouch_as(&mut world, 3, first);
    assert_lives(&mut world);
}

/// A client's request that found no room to wait is open again, but its body counts as done.
#[test]
fn a_reopened_request_and_a_liar_do_not_stop_the_group() {
    let mut world = group(1, 4, 1);
    let liar = Owner::Client(client(9));
    let seat = world.client_seat(9, 0);
    let request = |count: u32, size: usize| {
        Request::sealed(&seat, client(9), one(count, vec![b'x'; size].into()))
    };
    for said in [request(2, 1 << 20), request(3, 1 << 20), request(4, 7)] {
        for p in 0..4 {
            world.inject(liar, party(0, p), &Message::Request(said.clone()));
        }
        world.settle();
    }
    let last = request(4, 7);
    world.inject(liar, party(0, 1), &Message::Request(last.clone()));
    world.settle();
    add(&mut world, 200);
    assert_eq!(world.answers(1).len(), 200, "so far all is well");
    vouch_as(&mut world, 3, last.id());
    assert_lives(&mut world);
}

/// A member forgets the body of its own vouch, which is ordered but not reached by its execution.
#[test]
fn a_sweep_keeps_what_is_vouched_for_in_ordered_ballots() {
    let mut world = group(1, 4, 1);
    add(&mut world, 3);
    let blocked = Rc::new(Cell::new(true));
    let is_blocked = Rc::clone(&blocked);
    world.meddle = Box::new(move |envelope: &mut Envelope| {
        let late = matches!(envelope.message(), Some(Message::Request(_) | Message::Body(_)));
        !(is_blocked.get() && late && envelope.to == party(0, 1))
    });
    // Member 1 lacks the body of what is due: it gathers.
    add(&mut world, 1);
    // Many slots, so that a checkpoint is due there.
    let submit = wire::encode(&ToyMessage::Submit(Batch::of(vec![b""; 55])));
    world.inject_below(party(0, 3), party(0, 0), Role::Stream.only(), &submit);
    world.settle();
    // A client that lies: its request is genuine at member 1 only.
    let mut request =
        Request::sealed(&world.client_seat(9, 0), client(9), one(1, Bytes::from_static(b"add 1")));
    for p in [0, 2, 3] {
        request.macs[p] = Mac([0; 16]);
    }
    world.inject(Owner::Client(client(9)), party(0, 1), &Message::Request(request.clone()));
    world.settle();
    blocked.set(false);
    world.pass(Span::millis(3_000));
    add(&mut world, 5);
    world.assert_equal(0, &[]);
    vouch_as(&mut world, 3, request.id());
    assert_lives(&mut world);
}

/// If all is lost, the client itself helps.
#[test]
fn what_is_due_is_stored_when_its_client_says_it() {
    let mut world = group(1, 4, 1);
    let body = Bytes::from_static(b"add 1");
    let id = Request::sealed(&world.client_seat(1, 0), client(1), one(1, body)).id();
    // More than f lie.
    vouch_as(&mut world, 3, id);
    vouch_as(&mut world, 2, id);
    world.pass(Span::millis(1_000));
    assert_lives(&mut world);
    world.assert_equal(0, &[]);
}

/// A statement's vouch that was out in a round that was jumped over is said again.
#[test]
fn a_statement_whose_vouch_is_unsure_is_vouched_for_again() {
    let world = World::new(1, 2, 4, 1, &spec(10));
    let seat = world.party_seat(1, 1);
    let mut replica: Replica<Counter, Toy> = Replica::new(&seat, spec(10));
    let statement = Statement { number: 1, ack: 0, body: Bytes::from_static(b"commit") };
    let mut submitted = Vec::new();
    let mut take = |replica: &mut Replica<Counter, Toy>, event| {
        let mut fx = Effects::new(&seat);
        replica.step(event, &mut fx);
        for effect in fx.into_list() {
            if let Effect::Ask(Ask::Stream(atomic::Input::Submit { batch })) = effect {
                submitted.push(batch);
            }
        }
        std::mem::take(&mut submitted)
    };
    let say = |from: u16| Event::Message {
        from: Peer::Foreign(GroupId::new(0), PartyId::new(from)),
        message: Message::Statement(statement.clone()),
    };
    let all = (0..4).flat_map(|from| take(&mut replica, say(from)));
    let [first] = &all.collect::<Vec<_>>()[..] else { panic!("vouched for once") };
    let first = first.clone();
    assert!(take(&mut replica, say(0)).is_empty(), "its vouch is on its way");
    // The stream jumped: what was out is settled, and nobody knows whether it was ordered.
    let settled = atomic::Output::Ordered { own: 1 };
    assert!(take(&mut replica, Event::Heard(Heard::Stream(settled))).is_empty());
    let unsure = atomic::Output::Unsure { batch: first.clone() };
    let again = take(&mut replica, Event::Heard(Heard::Stream(unsure)));
    assert_eq!(again.len(), 1);
    let ids = |batch: &Batch| Ballot::read(&batch.get(0).unwrap()).unwrap().statements;
    assert_eq!(ids(&again[0]), ids(&first));
}
