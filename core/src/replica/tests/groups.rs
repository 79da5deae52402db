//! Statements between groups, and ticks.

use bytes::Bytes;

use super::{
    super::{Message, session},
    LONG, SIZES, spec,
    world::{Envelope, World, party},
};
use crate::{
    fault::Fault,
    id::{GroupId, PartyId, Peer},
    seat::Owner,
    time::Span,
};

/// Two groups; client 1 talks to the first.
fn two(seed: u64, n: u16, f: u16) -> World {
    let mut world = World::new(seed, 2, n, f, &spec(1_000));
    world.open(1, 0, session::Spec::new(1));
    world
}

fn tell(world: &mut World, count: u64) -> Vec<String> {
    let texts: Vec<String> = (0..count).map(|number| format!("t{number}")).collect();
    texts.iter().for_each(|text| world.ask(1, &format!("tell {text}")));
    texts
}

#[test]
fn statements_take_effect_once_in_order_though_f_of_each_group_lie() {
    for (n, f) in SIZES {
        for seed in 0..20 {
            let mut world = two(seed, n, f);
            world.meddle = Box::new(move |envelope: &mut Envelope| {
                let Owner::Party(_, from) = envelope.from else { return true };
                if let Some(Message::Statement(mut statement)) = envelope.message()
                    && from.number() >= n - f
                {
                    statement.body = Bytes::from_static(b"lie");
                    envelope.say(&Message::Statement(statement));
                }
                true
            });
            let texts = tell(&mut world, 30);
            // A member that lags refuses what is ahead of it; its client says that again.
            world.pass(Span::millis(5_000));
            for p in 0..n {
                assert_eq!(world.replica(1, p).service().heard, texts);
            }
            world.assert_equal(0, &[]);
            world.assert_equal(1, &[]);
            let liar = Peer::Foreign(GroupId::new(0), PartyId::new(n - 1));
            let named = |fault: &Fault| matches!(fault, Fault::Outvoted { .. });
            assert!(world.faults.iter().any(|(_, who, fault)| *who == liar && named(fault)));
            assert!(world.faults.iter().all(|(_, who, _)| match who {
                Peer::Foreign(_, liar) => liar.number() >= n - f,
                _ => false,
            }));
        }
    }
}

#[test]
fn a_member_that_says_two_things_is_named_and_f_invent_no_statement() {
    let mut world = two(1, 4, 1);
    let statement = |body: &'static str| {
        let body = Bytes::from_static(body.as_bytes());
        Message::Statement(super::super::Statement { number: 1, ack: 0, body })
    };
    for p in 0..4 {
        world.inject(party(0, 3), party(1, p), &statement("one"));
        world.inject(party(0, 3), party(1, p), &statement("two"));
        world.inject(party(0, 3), party(1, p), &Message::Ack { up_to: 9 });
    }
    world.pass(LONG);
    assert_eq!(world.replica(1, 0).service().items, 0);
    let liar = Peer::Foreign(GroupId::new(0), PartyId::new(3));
    assert_eq!(world.faults.len(), 4);
    assert!(
        world
            .faults
            .iter()
            .all(|(_, who, fault)| { *who == liar && matches!(fault, Fault::Equivocated { .. }) })
    );
    let texts = tell(&mut world, 1);
    world.settle();
    assert_eq!(world.replica(1, 0).service().heard, texts);
}

#[test]
fn what_is_acknowledged_is_not_kept_and_not_said_again() {
    let mut world = two(2, 4, 1);
    tell(&mut world, 400);
    world.pass(LONG);
    let kept = world.replica(0, 0).unacknowledged(GroupId::new(1));
    assert!(kept <= 256, "{kept} statements are kept");
    tell(&mut world, 2);
    world.pass(LONG);
    assert_eq!(world.replica(1, 0).service().heard.len(), 402);
    let kept = world.replica(0, 0).unacknowledged(GroupId::new(1));
    assert!(kept <= 4, "{kept} statements are kept though acknowledgements could ride along");
}

#[test]
fn statements_that_were_lost_are_said_again() {
    let mut world = two(2, 4, 1);
    let (mut count, lost) = (0, 150);
    world.meddle = Box::new(move |envelope: &mut Envelope| {
        let statement = matches!(envelope.message(), Some(Message::Statement(_)));
        count += usize::from(statement);
        !statement || count > lost
    });
    let texts = tell(&mut world, 20);
    world.pass(LONG);
    assert_eq!(world.replica(1, 0).service().heard, texts);
    world.assert_equal(1, &[]);
}

#[test]
fn an_idle_group_is_silent() {
    let mut world = two(2, 4, 1);
    tell(&mut world, 3);
    world.pass(LONG);
    let slots = world.replica(1, 0).slot();
    world.meddle = Box::new(|envelope: &mut Envelope| panic!("{envelope:?}"));
    world.pass(LONG);
    assert_eq!(world.replica(1, 0).slot(), slots);
}

/// The other group has told each member that it heard everything, but has nothing to order, so this
/// one never orders that it was heard. It must not wake up for that, for ever.
#[test]
fn an_idle_group_that_was_heard_sets_no_alarm() {
    let mut world = two(2, 4, 1);
    tell(&mut world, 3);
    world.pass(LONG);
    assert_eq!(world.alarms(), 0);
    assert!(world.replica(0, 0).unacknowledged(GroupId::new(1)) > 0, "else this shows nothing");
}

#[test]
fn ticks_pass_only_while_something_waits_for_them() {
    for (n, f) in SIZES {
        let mut world = World::new(1, 1, n, f, &spec(10));
        world.open(1, 0, session::Spec::new(1));
        world.ask(1, "lease 3");
        world.pass(LONG);
        assert_eq!(world.replica(0, 0).service().ticks, 3);
        world.ask(1, "lease 2");
        world.pass(LONG);
        assert_eq!(world.replica(0, 0).service().ticks, 5);
        world.assert_equal(0, &[]);
    }
}

#[test]
fn f_members_can_neither_hurry_nor_stop_a_tick() {
    use crate::{path::Role, replica::Ballot, wire};
    let mut world = World::new(1, 1, 4, 1, &spec(10));
    world.open(1, 0, session::Spec::new(1));
    world.ask(1, "lease 1");
    world.settle();
    // The liar's stream submits ticks before their time.
    for _ in 0..5 {
        for tick in 0..5 {
            let ballot = Ballot { tick: Some(tick), ..Ballot::default() };
            let batch = crate::stream::batch::Batch::of([wire::encode(&ballot)]);
            world.inject_below(
                party(0, 3),
                party(0, 0),
                Role::Stream.only(),
                &wire::encode(&super::toy::ToyMessage::Submit(batch)),
            );
        }
    }
    world.pass(Span::millis(49));
    assert_eq!(world.replica(0, 1).service().ticks, 0);
    world.crashed.insert(party(0, 3));
    world.pass(Span::millis(2));
    assert_eq!(world.replica(0, 1).service().ticks, 1);
}
