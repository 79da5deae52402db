//! Strands of a session, and the requests in which their commands travel together.

use std::{cell::Cell, rc::Rc};

use bytes::Bytes;

use super::{
    super::{Asked, Message, Number, Request, STRANDS_MAX, session},
    SIZES, group,
    world::{Envelope, client, party},
};
use crate::{fault::Fault, seat::Owner, time::Span};

#[test]
fn what_many_strands_ask_takes_effect_once_in_the_order_of_each() {
    for (n, f) in SIZES {
        for seed in 0..10 {
            let mut world = group(seed, n, f);
            for round in 0..3 {
                for strand in 0..STRANDS_MAX {
                    world.ask_on(1, strand, &format!("add {}", round % 2));
                }
            }
            world.settle();
            let all = 3 * usize::from(STRANDS_MAX);
            assert_eq!(world.answers(1).len(), all);
            world.assert_equal(0, &[]);
            let record = &world.replica(0, 1).service().done[&client(1)];
            for strand in 0..STRANDS_MAX {
                let of = record.iter().filter(|number| number.strand() == strand);
                let expected: Vec<u32> = (1..=3).collect();
                assert_eq!(of.map(|number| number.count()).collect::<Vec<_>>(), expected);
            }
            assert_eq!(world.faults, []);
        }
    }
}

#[test]
fn what_is_asked_while_the_group_is_busy_travels_together() {
    let mut world = group(1, 4, 1);
    let (said, commands) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let (requests, in_them) = (Rc::clone(&said), Rc::clone(&commands));
    world.meddle = Box::new(move |envelope: &mut Envelope| {
        if let (Some(Message::Request(request)), true) =
            (envelope.message(), envelope.to == party(0, 0))
        {
            requests.set(requests.get() + 1);
            in_them.set(in_them.get() + request.commands.len());
        }
        true
    });
    (0..100).for_each(|strand| world.ask_on(1, strand, "add 1"));
    world.settle();
    assert_eq!(world.answers(1).len(), 100);
    assert_eq!((said.get(), commands.get()), (3, 100), "two alone, then all others");
}

#[test]
fn a_strand_that_waits_for_ever_stops_no_other() {
    let mut world = group(1, 4, 1);
    // Of the first two requests nobody hears: whatever they ask is not answered.
    let lost = Rc::new(Cell::new(true));
    let still = Rc::clone(&lost);
    world.meddle = Box::new(move |envelope: &mut Envelope| {
        let early = |request: &Request| request.commands.iter().all(|it| it.number.strand() < 2);
        let drop = matches!(envelope.message(), Some(Message::Request(said)) if early(&said));
        !(drop && still.get())
    });
    (0..9).for_each(|strand| world.ask_on(1, strand, "add 1"));
    world.settle();
    assert_eq!(world.answers(1).len(), 0, "the others wait for company");
    world.pass(Span::millis(10));
    assert_eq!(world.answers(1).len(), 7);
    lost.set(false);
    world.pass(Span::millis(60_000));
    assert_eq!(world.answers(1).len(), 9, "what was lost was said again");
    world.assert_equal(0, &[]);
}

#[test]
fn a_strand_that_there_is_not_is_refused_at_once() {
    let mut world = group(1, 4, 1);
    world.ask_on(1, STRANDS_MAX, "add 1");
    let why = session::Why::Full;
    assert_eq!(world.outputs[&client(1)], [session::Output::Refused { number: 1, why }]);
}

#[test]
fn requests_that_no_session_makes_are_refused_by_name() {
    let mut world = group(1, 4, 1);
    let seat = world.client_seat(1, 0);
    let asked = |number| Asked { number, body: Bytes::from_static(b"add 1") };
    let first = Number::new(1, 1);
    let bad = [
        vec![],
        vec![asked(first), asked(Number::new(2, 1))],
        vec![asked(first.on(STRANDS_MAX))],
        vec![asked(first); 1_025],
        vec![Asked { number: first, body: vec![0; (1 << 20) + 1].into() }],
    ];
    let count = bad.len();
    for commands in bad {
        let request = Request::sealed(&seat, client(1), commands);
        world.inject(Owner::Client(client(1)), party(0, 0), &Message::Request(request));
    }
    world.settle();
    let improper = |fault: &Fault| matches!(fault, Fault::Improper(_));
    assert_eq!(world.faults.iter().filter(|(_, _, fault)| improper(fault)).count(), count);
    assert_eq!(world.replica(0, 0).service().items, 0);
    // The same command twice in one request has one effect.
    let twice = Request::sealed(&seat, client(1), vec![asked(first), asked(first)]);
    for p in 0..4 {
        let said = Message::Request(twice.clone());
        world.inject(Owner::Client(client(1)), party(0, p), &said);
    }
    world.settle();
    assert_eq!(world.replica(0, 0).service().items, 1);
    world.assert_equal(0, &[]);
}
