//! What clients may do, and what is done to them.

use bytes::Bytes;

use super::{
    super::{Body, Message, Number, Reply, Request, session},
    LONG, MOMENT, SIZES, group, one, spec,
    world::{Envelope, World, client, party},
};
use crate::{
    crypto::{Digest, Mac},
    fault::Fault,
    id::{GroupId, PartyId, Peer},
    seat::Owner,
    time::Span,
};

/// Other answers to the same commands.
fn instead(replies: Vec<Reply>, body: &str) -> Vec<Reply> {
    let body = Bytes::copy_from_slice(body.as_bytes());
    replies.into_iter().map(|Reply { number, .. }| Reply { number, body: body.clone() }).collect()
}

fn sums(count: u64) -> Vec<(u64, String)> {
    (1..=count).map(|number| (number, number.to_string())).collect()
}

#[test]
fn requests_take_effect_once_in_order_and_all_replicas_are_equal() {
    for (n, f) in SIZES {
        for seed in 0..20 {
            let mut world = group(seed, n, f);
            world.open(2, 0, session::Spec::new(1));
            for _ in 0..40 {
                world.ask(1, "add 1");
            }
            world.ask(2, "read");
            world.pass(MOMENT);
            assert_eq!(world.answers(1).into_iter().collect::<Vec<_>>(), sums(40));
            world.assert_equal(0, &[]);
            let record = &world.replica(0, 1).service().done;
            let numbers: Vec<Number> = (1..=40).map(|count| Number::new(1, count)).collect();
            assert_eq!(record[&client(1)], numbers);
            assert_eq!(record[&client(2)].len(), 1);
            assert_eq!(world.faults, []);
        }
    }
}

#[test]
fn a_client_needs_to_reach_one_correct_replica_only() {
    for seed in 0..20 {
        let mut world = group(seed, 4, 1);
        let contact = party(0, 2);
        world.meddle = Box::new(move |envelope: &mut Envelope| {
            !matches!(envelope.message(), Some(Message::Request(_))) || envelope.to == contact
        });
        (0..5).for_each(|_| world.ask(1, "add 1"));
        world.pass(MOMENT);
        assert_eq!(world.answers(1).into_iter().collect::<Vec<_>>(), sums(5));
        world.assert_equal(0, &[]);
    }
}

#[test]
fn a_contact_cannot_alter_a_request_nor_invent_one() {
    for seed in 0..20 {
        let mut world = group(seed, 4, 1);
        let (contact, liar) = (party(0, 2), party(0, 1));
        world.meddle = Box::new(move |envelope: &mut Envelope| {
            match envelope.message() {
                Some(Message::Request(_)) => return envelope.to == contact || envelope.to == liar,
                Some(Message::Body(Body::Request(mut request))) if envelope.from == liar => {
                    request.commands[0].body = Bytes::from_static(b"add 1000");
                    envelope.say(&Message::Body(Body::Request(request)));
                }
                _ => {}
            }
            true
        });
        let macs = vec![Mac([0; 16]); 4];
        let body = Bytes::from_static(b"add 5000");
        let invented = Request { client: client(1), commands: one(1, body), macs, key: None };
        for p in 0..4 {
            let said = Message::Body(Body::Request(invented.clone()));
            world.inject(liar, party(0, p), &said);
        }
        world.ask(1, "add 1");
        world.settle();
        world.pass(LONG);
        assert_eq!(world.answers(1).into_iter().collect::<Vec<_>>(), sums(1));
        world.assert_equal(0, &[]);
    }
}

#[test]
fn nobody_speaks_for_a_client() {
    let mut world = group(1, 4, 1);
    let body = Bytes::from_static(b"add 9");
    let genuine = Request::sealed(&world.client_seat(1, 0), client(1), one(1, body.clone()));
    let foreign = Request::sealed(&world.client_seat(2, 0), client(1), one(1, body));
    // A right request, said by another; another's authenticators, said on the client's own link.
    world.inject(Owner::Client(client(2)), party(0, 0), &Message::Request(genuine));
    for p in 0..4 {
        world.inject(Owner::Client(client(1)), party(0, p), &Message::Request(foreign.clone()));
    }
    world.settle();
    assert_eq!(world.replica(0, 0).service().items, 0);
    let bad = |fault: &Fault| matches!(fault, Fault::BadProof { .. } | Fault::Improper(_));
    assert_eq!(world.faults.iter().filter(|(_, _, fault)| bad(fault)).count(), 5);
}

#[test]
fn a_replayed_request_has_no_second_effect() {
    let mut world = group(3, 4, 1);
    let body = Bytes::from_static(b"add 1");
    let old = Request::sealed(&world.client_seat(1, 0), client(1), one(1, body));
    world.ask(1, "add 1");
    world.settle();
    for p in 0..4 {
        world.inject(Owner::Client(client(1)), party(0, p), &Message::Request(old.clone()));
        world.inject(party(0, 3), party(0, p), &Message::Body(Body::Request(old.clone())));
    }
    world.settle();
    world.ask(1, "add 1");
    world.settle();
    assert_eq!(world.answers(1).into_iter().collect::<Vec<_>>(), sums(2));
    assert_eq!(world.replica(0, 0).service().items, 2);
}

#[test]
fn a_client_whose_authenticators_are_right_at_some_replicas_only_harms_itself() {
    for seed in 0..20 {
        for right in 0..4 {
            let mut world = group(seed, 4, 1);
            let seat = world.client_seat(9, 0);
            for count in 1..=8 {
                let body = Bytes::from_static(b"add 0");
                let mut request = Request::sealed(&seat, client(9), one(count, body));
                request.macs.iter_mut().skip(right).for_each(|mac| mac.0[0] ^= 1);
                for p in 0..4 {
                    let said = Message::Request(request.clone());
                    world.inject(Owner::Client(client(9)), party(0, p), &said);
                }
            }
            (0..20).for_each(|_| world.ask(1, "add 1"));
            world.pass(MOMENT);
            assert_eq!(world.answers(1).into_iter().collect::<Vec<_>>(), sums(20));
            world.assert_equal(0, &[]);
            let effects = world.replica(0, 0).service().items - 20;
            assert_eq!(effects, if right > 1 { 8 } else { 0 }, "{right} replicas could check it");
        }
    }
}

#[test]
fn a_client_that_equivocates_gets_one_of_its_requests_the_same_everywhere() {
    for seed in 0..50 {
        let mut world = group(seed, 4, 1);
        let seat = world.client_seat(9, 0);
        for p in 0..4_u16 {
            let body = Bytes::from(format!("add {}", 10_u64.pow(u32::from(p % 2))));
            let request = Request::sealed(&seat, client(9), one(1, body));
            let said = Message::Request(request);
            world.inject(Owner::Client(client(9)), party(0, p), &said);
        }
        world.settle();
        assert_eq!(world.replica(0, 0).service().items, 1);
        world.assert_equal(0, &[]);
    }
}

#[test]
fn f_forged_replies_change_nothing_and_name_their_forgers() {
    for (n, f) in SIZES {
        for seed in 0..20 {
            let mut world = group(seed, n, f);
            world.meddle = Box::new(move |envelope: &mut Envelope| {
                let Owner::Party(_, from) = envelope.from else { return true };
                if let Some(Message::Replies(replies)) = envelope.message()
                    && from.number() < f
                {
                    envelope.say(&Message::Replies(instead(replies, "a million")));
                }
                true
            });
            (0..3).for_each(|_| world.ask(1, "add 1"));
            world.pass(LONG);
            assert_eq!(world.answers(1).into_iter().collect::<Vec<_>>(), sums(3));
            let tallied =
                |output: &&session::Output| matches!(output, session::Output::Tallied { .. });
            let all: Vec<_> = world.outputs[&client(1)].iter().filter(tallied).collect();
            assert_eq!(all.len(), 3);
            let liars: Vec<PartyId> = PartyId::all(f).collect();
            for output in all {
                let session::Output::Tallied { outvoted, silent, agree, .. } = output else {
                    unreachable!("filtered")
                };
                let others: Vec<_> = outvoted.iter().map(|(party, _)| *party).collect();
                assert_eq!((&others, silent.len()), (&liars, 0));
                assert!(outvoted.iter().all(|(_, said)| !said.is_empty()), "{outvoted:?}");
                assert_eq!(agree.len(), usize::from(n - f));
            }
            let named = |fault: &Fault| matches!(fault, Fault::Outvoted { .. });
            for liar in liars {
                let peer = Peer::Foreign(GroupId::new(0), liar);
                assert!(world.faults.iter().any(|(_, who, fault)| *who == peer && named(fault)));
            }
        }
    }
}

#[test]
fn a_silent_replica_is_a_hint_and_a_retry_changes_nothing() {
    let mut world = group(5, 4, 1);
    world.meddle = Box::new(|envelope: &mut Envelope| {
        envelope.from != party(0, 3) || !matches!(envelope.message(), Some(Message::Replies(_)))
    });
    world.ask(1, "add 1");
    world.pass(LONG);
    let group = GroupId::new(0);
    let silent = Peer::Foreign(group, PartyId::new(3));
    assert_eq!(world.faults, [(Owner::Client(client(1)), silent, Fault::Silent)]);
}

#[test]
fn beyond_f_different_replies_no_answer_is_given_but_the_lack_is_told() {
    let mut world = group(5, 4, 1);
    world.meddle = Box::new(|envelope: &mut Envelope| {
        if let Some(Message::Replies(replies)) = envelope.message() {
            let replies = instead(replies, &format!("{:?}", envelope.from));
            envelope.say(&Message::Replies(replies));
        }
        true
    });
    world.ask(1, "add 1");
    world.settle();
    assert_eq!(world.answers(1).len(), 0);
    let [session::Output::NoQuorum { number: 1, equal: 1, needed: 2, heard, of: 4, .. }] =
        &world.outputs[&client(1)][..]
    else {
        panic!("{:?}", world.outputs)
    };
    assert_eq!(heard.len(), 4);
}

#[test]
fn a_lost_quorum_is_told_again_and_again_until_it_is_back() {
    let mut world = group(5, 4, 1);
    world.meddle = Box::new(|envelope: &mut Envelope| {
        envelope.from == party(0, 0) || !matches!(envelope.message(), Some(Message::Replies(_)))
    });
    world.ask(1, "add 1");
    world.pass(Span::millis(25_000));
    let told = world.outputs[&client(1)].len();
    assert_eq!((told, world.answers(1).len()), (2, 0));
    world.meddle = Box::new(|_| true);
    world.pass(LONG);
    assert_eq!(world.answers(1).into_iter().collect::<Vec<_>>(), sums(1));
}

#[test]
fn a_later_session_ends_the_earlier_ones() {
    let mut world = group(5, 4, 1);
    world.ask(1, "add 1");
    world.settle();
    world.open(1, 0, session::Spec::new(2));
    world.ask(1, "add 1");
    world.settle();
    assert_eq!(world.answers(1)[&1], "2");
    world.open(1, 0, session::Spec::new(1));
    world.ask(1, "add 1");
    world.settle();
    let why = session::Why::Superseded;
    assert_eq!(world.outputs[&client(1)], [session::Output::Refused { number: 1, why }]);
    assert_eq!(world.replica(0, 0).service().items, 2);
}

#[test]
fn who_is_not_in_the_configuration_is_not_served_when_it_is_closed() {
    let closed = super::Spec { open: false, registered: [client(1)].into(), ..spec(10) };
    let mut world = World::new(1, 1, 4, 1, &closed);
    (1..=2).for_each(|number| world.open(number, 0, session::Spec::new(1)));
    (1..=2).for_each(|number| world.ask(number, "add 1"));
    world.settle();
    assert_eq!(world.answers(1).len(), 1);
    let why = session::Why::Stranger;
    assert_eq!(world.outputs[&client(2)], [session::Output::Refused { number: 1, why }]);
}

/// How many blocks of 800 requests the memory test goes through: over 10^5 when optimised.
const ROUNDS: u64 = if cfg!(debug_assertions) { 9 } else { 135 };

#[test]
fn memory_is_flat_over_many_requests_and_floods_of_ballots() {
    let mut world = World::new(1, 1, 4, 1, &spec(10));
    (1..=8).for_each(|number| world.open(number, 0, session::Spec::new(1)));
    let mut flood = 0_u64;
    let mut peak = Vec::new();
    for round in 0..ROUNDS {
        for number in 1..=8 {
            (0..100).for_each(|_| world.ask(number, "add 1"));
        }
        for _ in 0..64 {
            flood += 1;
            let ids = vec![Digest::of("junk", &flood.to_le_bytes())];
            world.inject(party(0, 3), party(0, 0), &Message::Fetch { ids });
        }
        world.pass(Span::millis(5_000));
        world.outputs.values_mut().for_each(Vec::clear);
        if (round + 1) % (ROUNDS / 3) == 0 {
            let replica = world.replica(0, 1);
            peak.push((replica.entries(), replica.bytes()));
        }
    }
    assert_eq!(world.replica(0, 1).service().items, ROUNDS * 800);
    world.assert_equal(0, &[]);
    let (entries, bytes) = peak[1];
    assert!(peak[2].0 <= entries + entries / 4 + 256, "{peak:?}");
    assert!(peak[2].1 <= 2 * bytes + (1 << 16), "{peak:?}");
}
