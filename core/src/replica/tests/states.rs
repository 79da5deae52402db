//! Checkpoints, state transfer, restarts.

use bytes::Bytes;

use super::{
    super::{Message, session},
    LONG, MOMENT, SIZES, group, spec,
    toy::ToyMessage,
    world::{World, client, party},
};
use crate::{
    fault::Fault,
    id::{PartyId, Peer},
    path::Role,
    replica::Ballot,
    stream::batch::Batch,
    time::Span,
    wire,
};

fn add(world: &mut World, count: u64) {
    for _ in 0..count {
        world.ask(1, "add 1");
        world.pass(MOMENT);
    }
}

/// Cuts a replica off, lets the others go on, and connects it again.
fn starve(world: &mut World, p: u16, count: u64) {
    world.crashed.insert(party(0, p));
    add(world, count);
    world.crashed.clear();
    add(world, 1);
}

#[test]
fn checkpoints_become_stable() {
    for (n, f) in SIZES {
        let mut world = group(1, n, f);
        add(&mut world, 100);
        let stable = world.replica(0, 1).stable().unwrap();
        assert!(stable.slot.number() + 64 + 8 > world.replica(0, 1).slot().number());
        assert!(world.replica(0, 1).stable() == world.replica(0, 2).stable());
        assert_eq!(world.faults, []);
    }
}

#[test]
fn a_replica_that_missed_slots_loads_a_state_and_goes_on() {
    for (n, f) in SIZES {
        for seed in 0..10 {
            let mut world = group(seed, n, f);
            starve(&mut world, n - 1, 60);
            add(&mut world, 120);
            world.pass(LONG);
            world.assert_equal(0, &[]);
            assert!(!world.replica(0, n - 1).is_behind());
            assert_eq!(world.answers(1)[&181], "181");
            let before = world.outputs[&client(1)].len();
            world.ask(1, "add 1");
            world.pass(LONG);
            let tallied = &world.outputs[&client(1)][before..];
            let all = usize::from(n);
            assert!(
                tallied.iter().any(|output| matches!(output,
                session::Output::Tallied { agree, .. } if agree.len() == all)),
                "{tallied:?}"
            );
        }
    }
}

#[test]
fn f_members_cannot_make_anybody_load_a_state() {
    let mut world = group(1, 4, 1);
    starve(&mut world, 3, 10);
    let position =
        crate::stream::atomic::Position { slot: crate::id::Slot::new(1_000), ..Default::default() };
    let digest = crate::crypto::Digest::of("checkpoint", b"lie");
    let lie = super::super::Checkpoint { position, size: 3, digest };
    world.inject(party(0, 2), party(0, 3), &Message::Checkpoint(lie));
    let bytes = Bytes::from_static(b"lie");
    world.inject(party(0, 2), party(0, 3), &Message::Chunk { digest, place: 0, bytes });
    world.pass(Span::millis(5_000));
    assert_eq!(world.replica(0, 3).slot().number(), 0);
    world.meddle = Box::new(|_| true);
    add(&mut world, 120);
    world.pass(LONG);
    world.assert_equal(0, &[]);
}

#[test]
fn a_replica_whose_state_went_wrong_is_named_and_mends_itself() {
    let odd = |p| spec(if p == 2 { 7 } else { 1_000 });
    let mut world = World::of(1, 1, 4, 1, odd);
    world.open(1, 0, session::Spec::new(1));
    add(&mut world, 100);
    world.pass(LONG);
    let peer = Peer::Member(PartyId::new(2));
    let named = |(_, who, fault): &&(_, Peer, Fault)| {
        *who == peer && matches!(fault, Fault::Diverged { .. })
    };
    assert!(world.faults.iter().filter(named).count() >= 2, "{:?}", world.faults);
    add(&mut world, 5);
    world.pass(LONG);
    world.assert_equal(0, &[]);
}

#[test]
fn a_restarted_replica_goes_on_where_it_was() {
    for seed in 0..10 {
        let mut world = group(seed, 4, 1);
        for round in 0..20 {
            world.ask(1, "add 1");
            world.restart(0, round % 4);
            world.settle();
        }
        world.pass(LONG);
        assert_eq!(world.answers(1)[&20], "20");
        world.assert_equal(0, &[]);
    }
}

#[test]
fn garbage_in_the_stream_has_no_effect_and_names_its_member() {
    let mut world = group(1, 4, 1);
    let many = Ballot {
        requests: vec![crate::crypto::Digest::of("junk", b""); 2_000],
        ..Ballot::default()
    };
    for payload in [Bytes::from_static(b"\xc1garbage"), wire::encode(&many)] {
        let submit = wire::encode(&ToyMessage::Submit(Batch::of([payload])));
        world.inject_below(party(0, 3), party(0, 0), Role::Stream.only(), &submit);
    }
    add(&mut world, 3);
    world.assert_equal(0, &[]);
    let liar = Peer::Member(PartyId::new(3));
    assert_eq!(world.faults.len(), 8);
    assert!(world.faults.iter().all(|(_, who, _)| *who == liar));
}

#[test]
fn a_flood_of_vouches_does_not_keep_others_from_being_served() {
    let mut world = World::new(1, 1, 4, 1, &spec(10));
    world.open(1, 0, session::Spec::new(1));
    for block in 0..10_u64 {
        let requests = (0..1_000)
            .map(|n| crate::crypto::Digest::of("junk", &(block * 1_000 + n).to_le_bytes()))
            .collect();
        let ballot = Ballot { requests, ..Ballot::default() };
        let submit = wire::encode(&ToyMessage::Submit(Batch::of([wire::encode(&ballot)])));
        world.inject_below(party(0, 3), party(0, 0), Role::Stream.only(), &submit);
        add(&mut world, 2);
    }
    assert_eq!(world.answers(1).len(), 20);
    world.assert_equal(0, &[]);
    assert!(world.replica(0, 1).entries() < 4_096 + 1_000, "the liar's own quota bounds it");
}
