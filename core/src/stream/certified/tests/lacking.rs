//! Batches that are ordered and not here, and frames that are lost.

use super::*;
use crate::stream::again::ANSWER_MIN;

#[test]
fn one_who_was_told_another_batch_fetches_the_one_that_has_a_receipt() {
    for seed in 0..20 {
        let mut world = world(4, seed);
        // p3 tells p0 something else than the others, and itself.
        submit(&mut world, 3, &["right"]);
        world
            .pool
            .retain(|piece| piece.0 != 0 || !matches!(says(piece), Some(Message::Batch { .. })));
        world.forge(3, 0, &Message::Batch { seq: 1, batch: Batch::of(["wrong"]) });
        world.deliver(|piece| matches!(says(piece), Some(Message::Batch { .. })));
        world.run();
        for outputs in &world.outputs {
            assert_eq!(delivered(outputs), [(p(3), Bytes::from("right"))], "seed={seed}");
        }
        // The liar runs a correct copy, which wonders about the share of p0.
        world.faults.retain(|(accuser, ..)| *accuser != p(3));
        let [(accuser, peer, Fault::ToldOtherwise { told, heard })] = &world.faults[..] else {
            panic!("{:?}", world.faults)
        };
        assert_eq!((*accuser, *peer), (p(0), Peer::Member(p(3))));
        let head = |payload| chain(&[Batch::of([payload])]).chain;
        assert_eq!((*told, *heard), (head("wrong"), head("right")));
    }
}

#[test]
fn one_who_was_shown_nothing_fetches_and_a_liar_that_sends_others_is_convicted() {
    for seed in 0..20 {
        let mut world = world(4, seed);
        submit(&mut world, 3, &["x"]);
        submit(&mut world, 3, &["y"]);
        world
            .pool
            .retain(|piece| piece.0 != 0 || !matches!(says(piece), Some(Message::Batch { .. })));
        world.deliver(|piece| !matches!(says(piece), Some(Message::Want { .. })));
        assert_eq!(delivered(&world.outputs[0]), []);
        let lacking = root(&world, 0).lacking[&p(3)].clone();
        let asked = lacking.wanted.iter().copied().collect::<Vec<_>>();
        assert_eq!(asked.len(), 2, "one of f + 1 is correct");
        let wrong = Message::Part {
            lane: p(3),
            seq: lacking.next.seq,
            before: Head::start().chain,
            batch: Batch::of(["wrong"]),
        };
        world.forge(asked[0].index(), 0, &wrong);
        let unasked = (1..4).find(|party| !asked.contains(&p(*party))).unwrap();
        world.forge(unasked.into(), 0, &wrong);
        world.deliver(|piece| matches!(says(piece), Some(Message::Part { .. })));
        world.run();
        assert_eq!(delivered(&world.outputs[0]), delivered(&world.outputs[1]));
        assert_eq!(delivered(&world.outputs[0]).len(), 2);
        let [(accuser, peer, Fault::BadProof { .. })] = &world.faults[..] else {
            panic!("{:?}", world.faults)
        };
        assert_eq!((*accuser, *peer), (p(0), Peer::Member(asked[0])));
    }
}

/// p0 is shown nothing of the lane of p1; the others forget what it lacks.
#[test]
fn one_who_lacks_what_nobody_keeps_says_so_and_goes_on_from_a_position() {
    let spec = Spec { rounds_kept: 1_000, bytes_kept: 1_000, ..Spec::default() };
    let mut world = world_that_keeps(4, 3, spec);
    let root_frame = |piece: &Piece<Certified>| says(piece).is_some();
    for count in 0..12 {
        submit(&mut world, 1, &[&format!("{count}")]);
        world
            .pool
            .retain(|piece| piece.0 != 0 || !matches!(says(piece), Some(Message::Batch { .. })));
        world.deliver(|piece| piece.0 != 0 || !root_frame(piece));
    }
    assert_eq!(delivered(&world.outputs[2]).len(), 12);
    world.run();
    assert_eq!(delivered(&world.outputs[0]), []);
    let behind = world.outputs[0].iter().filter(|output| **output == Output::Behind);
    assert_eq!(behind.count(), 1);
    let known = ends(&world.outputs[2]);
    let position = known[known.len() - 3].clone();
    world.input(0, Input::Resume { position: position.clone() });
    world.run();
    submit(&mut world, 0, &["back again"]);
    world.run();
    let after: Vec<_> = world.outputs[0]
        .iter()
        .filter_map(|output| match output {
            Output::Deliver { first, batch, .. } => Some((*first, batch.get(0).unwrap())),
            _ => None,
        })
        .collect();
    assert_eq!(after[0].0, position.slot, "it goes on right there");
    assert_eq!(after.last().unwrap().1, "back again");
    assert_eq!(ends(&world.outputs[0]).last(), ends(&world.outputs[2]).last());
    assert_eq!(world.faults, []);
}

#[test]
fn frames_that_were_lost_are_said_again() {
    for seed in 0..20 {
        let mut world = world(4, seed);
        world.mute = vec![3];
        submit(&mut world, 0, &["x"]);
        submit(&mut world, 1, &["y"]);
        let lost = |piece: &Piece<Certified>| {
            let from = read::<_, Message>(piece).map(|(from, ..)| from);
            says(piece).is_some() && [(from, 1), (from, 0)].contains(&(Some(p(0)), piece.0))
        };
        for _ in 0..40 {
            world.pool.retain(|piece| !lost(piece));
            if world.pool.is_empty() {
                break;
            }
            let (to, mail) = world.pool.remove(seed as usize % world.pool.len());
            world.take(to, mail);
        }
        world.pool.retain(|piece| !lost(piece));
        let missed = Notice::Missed { from: Peer::Member(p(0)) };
        world.take(1, Mail::Notice(missed));
        world.run();
        for party in [0, 1, 2] {
            assert_eq!(delivered(&world.outputs[party]).len(), 2, "p{party} seed={seed}");
        }
    }
}

#[test]
fn batches_are_sent_again_a_few_times_and_then_no_more() {
    let spec = Spec { bytes_kept: 0, ..Spec::default() };
    let mut world = world_that_keeps(4, 6, spec);
    let large = ["x".repeat(PAYLOAD_MAX), "y".repeat(PAYLOAD_MAX), "z".repeat(PAYLOAD_MAX)];
    let payloads: Vec<_> = large.iter().map(String::as_str).collect();
    submit(&mut world, 1, &payloads);
    world.run();
    let batch = Batch::of(&payloads);
    let want = Message::Want { lane: p(1), after: 0, to: chain(std::slice::from_ref(&batch)) };
    let mut it = root(&world, 2).clone();
    let mut sent = 0;
    for _ in 0..100 {
        let mut fx = Effects::new(&world.seats[2]);
        it.step(Event::Message { from: Peer::Member(p(3)), message: want.clone() }, &mut fx);
        sent += fx.list().len();
    }
    let each = batch.weight() + ANSWER_MIN;
    assert_eq!(sent, 4 * lane::LANE_BYTES_MAX / each + 1);
    it.sent_again.forgive(batch.weight(), 0);
    let mut fx = Effects::new(&world.seats[2]);
    it.step(Event::Message { from: Peer::Member(p(3)), message: want }, &mut fx);
    assert_eq!(fx.list().len(), 1, "what is ordered makes room");
}

#[test]
fn whoever_asks_for_what_is_not_kept_is_told_so_and_strangers_to_a_chain_are_told_nothing() {
    let spec = Spec { rounds_kept: 2, ..Spec::default() };
    let mut world = world_that_keeps(4, 6, spec);
    for payload in ["a", "b", "c", "d"] {
        submit(&mut world, 1, &[payload]);
        world.run();
    }
    let batches: Vec<_> = ["a", "b", "c", "d"].iter().map(|it| Batch::of([it])).collect();
    let lack = |to| answers(&world, 2, 0, Message::Lack { lane: p(1), to });
    let only = |list: Vec<Effect<Certified>>| match &list[..] {
        [Effect::Send { message, .. }] => Some(message.clone()),
        _ => None,
    };
    assert!(matches!(only(lack(chain(&batches))), Some(Message::Have { .. })));
    assert!(matches!(only(lack(chain(&batches[..1]))), Some(Message::Gone { .. })));
    assert_eq!(lack(Head { chain: Digest::of("lane", b"x"), ..chain(&batches) }), []);
    let want = Message::Want { lane: p(1), after: 0, to: chain(&batches) };
    assert!(matches!(only(answers(&world, 2, 0, want)), Some(Message::Gone { .. })));
    let want = Message::Want { lane: p(1), after: 3, to: chain(&batches) };
    assert!(matches!(only(answers(&world, 2, 0, want)), Some(Message::Part { .. })));
}
