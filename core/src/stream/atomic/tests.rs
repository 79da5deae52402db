mod behind;
mod lossy;
mod together;

use bytes::Bytes;

use super::*;
use crate::{
    crypto::Signature,
    effects::Effect,
    shuttle::{Shuttle, p, seat},
    wire::limits::PAYLOAD_MAX,
};

/// `n` parties whose users take everything at once.
fn world(n: u16, seed: u64) -> Shuttle<Atomic> {
    world_that_keeps(n, seed, Spec::default())
}

fn world_that_keeps(n: u16, seed: u64, spec: Spec) -> Shuttle<Atomic> {
    let mut world = Shuttle::new(n, seed, spec);
    let up_to = Slot::new(u64::MAX);
    (0..usize::from(n)).for_each(|party| world.input(party, Input::Pull { up_to }));
    world
}

fn submit(world: &mut Shuttle<Atomic>, party: usize, payloads: &[&str]) {
    world.input(party, Input::Submit { batch: Batch::of(payloads) });
}

/// What a party delivered: who submitted what, by slot. Gaps are a failure.
fn delivered(outputs: &[Output]) -> Vec<(PartyId, Bytes)> {
    let mut all = Vec::new();
    for output in outputs {
        if let Output::Deliver { first, from, batch } = output {
            assert_eq!(first.number(), all.len() as u64, "slots have no gaps");
            assert!(!batch.is_empty());
            all.extend(batch.iter().map(|payload| (*from, payload)));
        }
    }
    all
}

/// What a party submitted, in the order in which it was delivered.
fn of(all: &[(PartyId, Bytes)], party: u16) -> Vec<Bytes> {
    all.iter().filter(|(from, _)| *from == p(party)).map(|(_, payload)| payload.clone()).collect()
}

fn ends(outputs: &[Output]) -> Vec<Position> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::RoundEnd { position } => Some(position.clone()),
            _ => None,
        })
        .collect()
}

/// A signed announcement.
fn queue(party: u16, round: u64, batch: Batch) -> Message {
    let (seat, round, digest) = (seat(4, party), Round::new(round), batch.digest());
    let signature = seat.keys.identity.sign(&vector::tag(&seat, round), &digest);
    Message::Queue { round, digest, batch, signature }
}

#[test]
fn all_deliver_the_same_payloads_in_the_same_order() {
    for n in [1, 4, 5, 7] {
        for seed in 0..10 {
            let mut world = world(n, seed);
            for count in 0..3 {
                for party in 0..usize::from(n) {
                    submit(&mut world, party, &[&format!("{party}:{count}"), "x"]);
                }
                if count == 1 {
                    world.run();
                }
            }
            world.run();
            let all = delivered(&world.outputs[0]);
            assert_eq!(all.len(), usize::from(n) * 6, "n={n} seed={seed}");
            for party in 0..n {
                let expected: Vec<_> =
                    (0..3).flat_map(|count| [format!("{party}:{count}"), "x".into()]).collect();
                assert_eq!(of(&all, party), expected, "the order of submission");
            }
            for outputs in &world.outputs {
                assert_eq!(delivered(outputs), all);
                assert_eq!(ends(outputs).last(), ends(&world.outputs[0]).last());
                assert!(outputs.contains(&Output::Ordered { own: 6 }));
            }
            assert_eq!(world.faults, []);
        }
    }
}

#[test]
fn a_group_without_payloads_is_silent() {
    let mut world = world(4, 1);
    assert!(world.pool.is_empty());
    submit(&mut world, 2, &["only"]);
    world.run();
    let rounds: Vec<_> = world.trees.iter().map(|tree| tree.root().position().round).collect();
    assert_eq!(
        rounds,
        [Round::new(1); 4],
        "one payload takes one round, and then there is silence"
    );
}

#[test]
fn silent_parties_stop_nobody() {
    for n in [4, 7] {
        for seed in 0..10 {
            let silent = usize::from((n - 1) / 3);
            let mut world = world(n, seed);
            world.mute = (0..silent).collect();
            for party in 0..usize::from(n) {
                submit(&mut world, party, &["a", "b"]);
            }
            world.run();
            for party in silent..usize::from(n) {
                let all = delivered(&world.outputs[party]);
                assert_eq!(all.len(), 2 * (usize::from(n) - silent), "n={n} seed={seed}");
                assert_eq!(all, delivered(&world.outputs[silent]));
            }
        }
    }
}

#[test]
fn a_crashed_candidate_costs_one_round() {
    let mut world = world(4, 5);
    world.mute = vec![0];
    let mut firsts = Vec::new();
    for _ in 0..4 {
        submit(&mut world, 1, &["x"]);
        world.run();
        firsts.push(world.trees[1].root().position().first);
    }
    assert!(firsts.iter().all(|first| *first != p(0)), "{firsts:?}");
}

#[test]
fn a_payload_alone_does_not_wait_and_many_go_together() {
    let mut world = world(4, 3);
    submit(&mut world, 0, &["alone"]);
    submit(&mut world, 0, &["more"]);
    submit(&mut world, 0, &["and more"]);
    world.run();
    let batches: Vec<_> = world.outputs[1]
        .iter()
        .filter_map(|output| match output {
            Output::Deliver { batch, .. } => Some(batch.len()),
            _ => None,
        })
        .collect();
    assert_eq!(batches, [1, 2]);
}

#[test]
fn an_equivocator_is_accused_and_everybody_delivers_one_of_its_batches() {
    for seed in 0..20 {
        let mut world = world(4, seed);
        world.mute = vec![3];
        for to in 0..3 {
            let payload = ["left", "right"][to % 2];
            world.forge(3, to, &queue(3, 0, Batch::of([payload])));
            submit(&mut world, to, &["x"]);
        }
        world.run();
        let all = delivered(&world.outputs[0]);
        assert!(of(&all, 3).len() <= 1, "seed={seed}");
        assert!((1..3).all(|party| delivered(&world.outputs[party]) == all), "seed={seed}");
        world.forge(3, 0, &queue(3, 7, Batch::of(["one"])));
        world.forge(3, 0, &queue(3, 7, Batch::of(["two"])));
        world.run();
        let (accuser, peer, fault) = world.faults.last().unwrap();
        assert_eq!((*accuser, *peer), (p(0), Peer::Member(p(3))));
        assert!(matches!(fault, Fault::SignedTwice(_)), "{fault}");
    }
}

#[test]
fn one_who_shows_its_batch_to_few_makes_the_others_fetch() {
    for seed in 0..20 {
        let mut world = world(4, seed);
        world.mute = vec![3];
        world.forge(3, 0, &queue(3, 0, Batch::of(["for p0 only"])));
        submit(&mut world, 0, &["x"]);
        world.run();
        submit(&mut world, 1, &["y"]);
        world.run();
        let all = delivered(&world.outputs[0]);
        assert!(all.len() >= 2, "seed={seed}");
        assert!((1..3).all(|party| delivered(&world.outputs[party]) == all), "seed={seed}");
    }
}

#[test]
fn forged_announcements_are_refused() {
    let four = seat(4, 0);
    let judge = |from: u16, message: &Message| Atomic::admit(&four, Peer::Member(p(from)), message);
    let good = queue(3, 5, Batch::of(["x"]));
    assert_eq!(judge(3, &good), Ok(()));
    assert!(judge(2, &good).is_err(), "another party's signature");
    assert!(judge(9, &good).is_err(), "not a member");
    let Message::Queue { digest, batch, signature, .. } = good else { unreachable!() };
    let other_round = Message::Queue {
        round: Round::new(6),
        digest,
        batch: batch.clone(),
        signature: signature.clone(),
    };
    assert!(judge(3, &other_round).is_err(), "a batch of another round");
    let other_batch =
        Message::Queue { round: Round::new(5), digest, batch: Batch::of(["y"]), signature };
    assert!(judge(3, &other_batch).is_err());
    assert!(
        judge(3, &Message::Answer { round: Round::FIRST, digest, batch: Batch::of(["y"]) })
            .is_err()
    );
    let far = Message::Fetch { from: Round::FIRST, to: Round::new(WINDOW + 1) };
    assert!(judge(3, &far).is_err());
    let backwards = Message::Fetch { from: Round::new(u64::MAX), to: Round::FIRST };
    assert!(judge(3, &backwards).is_err());
    let decision = Decision { from: p(0), vector: vector::encode(&[]) };
    let empty =
        Message::Decided { first: Round::FIRST, decisions: vec![decision], at: Round::new(1) };
    assert!(judge(3, &empty).is_err(), "a vector of nobody");
}

#[test]
fn a_vector_names_enough_distinct_members_in_order() {
    let seats: Vec<_> = (0..4).map(|party| seat(4, party)).collect();
    let tag = vector::tag(&seats[0], Round::new(3));
    let entry = |party: u16, signer: usize| vector::Entry {
        party: p(party),
        batch: Batch::default().digest(),
        signature: seats[signer].keys.identity.sign(&tag, &Batch::default().digest()),
    };
    let judge = |entries: &[vector::Entry]| {
        crate::agreement::Predicate::judge(&Signed { tag }, &seats[0], &vector::encode(entries))
    };
    assert!(judge(&[entry(0, 0), entry(2, 2), entry(3, 3)]));
    assert!(!judge(&[entry(0, 0), entry(2, 2)]), "too few");
    assert!(!judge(&[]), "none");
    assert!(!judge(&[entry(0, 0), entry(2, 2), entry(2, 2)]), "twice the same");
    assert!(!judge(&[entry(2, 2), entry(0, 0), entry(3, 3)]), "out of order");
    assert!(!judge(&[entry(0, 0), entry(2, 2), entry(3, 2)]), "a forged signature");
    assert!(!judge(&[entry(0, 0), entry(2, 2), entry(4, 3)]), "a stranger");
    let other = Signed { tag: vector::tag(&seats[0], Round::new(4)) };
    let entries = [entry(0, 0), entry(1, 1), entry(2, 2)];
    assert!(!crate::agreement::Predicate::judge(&other, &seats[0], &vector::encode(&entries)));
}

#[test]
fn one_who_floods_the_future_moves_nobody_and_takes_no_room() {
    let mut world = world(4, 4);
    world.mute = vec![3];
    for round in (5..50).chain([u64::MAX - 1]) {
        world.forge(3, 0, &queue(3, round, Batch::of(["flood"])));
    }
    world.run();
    let flooded = world.trees[0].root();
    assert_eq!(flooded.position().round, Round::FIRST);
    assert!(flooded.rounds.len() as u64 <= WINDOW);
    submit(&mut world, 1, &["x"]);
    world.run();
    assert_eq!(delivered(&world.outputs[0]).len(), 1);
    let quiet = world.trees[0].root().position().round;
    assert!(quiet.number() <= 2 * WINDOW, "it does not go on for ever: {quiet}");
}

#[test]
fn without_credit_ordering_goes_on_and_the_user_lags() {
    let spec = Spec { lag_max: 2_000, ..Spec::default() };
    let mut world = world_that_keeps(4, 2, spec);
    let mut lazy = Shuttle::new(4, 2, spec);
    for world in [&mut world, &mut lazy] {
        for count in 0..20 {
            submit(world, 0, &[&format!("{count} {}", "x".repeat(100))]);
            world.run();
        }
    }
    assert_eq!(delivered(&world.outputs[0]).len(), 20);
    let lags: Vec<_> =
        lazy.outputs[1].iter().filter(|output| matches!(output, Output::Lagged { .. })).collect();
    let (from, to) = (Slot::new(0), Slot::new(9));
    assert_eq!(lags.first(), Some(&&Output::Lagged { from, to }));
    assert!(!lazy.outputs[1].iter().any(|output| matches!(output, Output::Deliver { .. })));
    let own = lazy.outputs[0].iter().filter(|output| matches!(output, Output::Ordered { .. }));
    assert_eq!(own.count(), 20);
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut world = world(4, 1);
    let large = Batch::of(vec![vec![0; 1 << 20]; 4]);
    for _ in 0..6 {
        world.input(0, Input::Submit { batch: large.clone() });
    }
    let refused =
        world.outputs[0].iter().filter(|output| **output == Output::Refused { payloads: 4 });
    assert_eq!(refused.count(), 3, "the weight of a batch is a little more than its bytes");
}

#[test]
fn old_rounds_leave_no_trace_beyond_what_is_kept() {
    let spec = Spec { rounds_kept: 4, bytes_kept: 10_000, ..Spec::default() };
    let mut world = world_that_keeps(4, 6, spec);
    for _ in 0..40 {
        submit(&mut world, 1, &["x"]);
        world.run();
    }
    for tree in &world.trees {
        assert!(tree.root().rounds.len() <= 6);
        let agreements = tree.inline().filter(|(path, _)| path.len() == 1).count();
        assert!(agreements <= 2, "{agreements}");
        assert_eq!(tree.waiting(), 0);
    }
}

#[test]
fn a_batch_is_sent_again_a_few_times_and_then_no_more() {
    let large = ["x".repeat(PAYLOAD_MAX), "y".repeat(PAYLOAD_MAX), "z".repeat(PAYLOAD_MAX)];
    for (payloads, times) in [(vec!["x"], 64), (large.iter().map(String::as_str).collect(), 22)] {
        let mut world = world(4, 6);
        submit(&mut world, 1, &payloads);
        world.run();
        let last = world.trees[1].root().position().round.number() - 1;
        let (round, digest) = (Round::new(last), Batch::of(&payloads).digest());
        for message in [
            Message::Request { round, digest },
            Message::Recall { round, announced: false, back: true },
        ] {
            let mut atomic = world.trees[1].root().clone();
            let mut sent = 0;
            for _ in 0..100 {
                let mut fx = Effects::new(&world.seats[1]);
                let message = message.clone();
                atomic.step(Event::Message { from: Peer::Member(p(2)), message }, &mut fx);
                let sends = |effect: &&Effect<_>| matches!(effect, Effect::Send { .. });
                sent += fx.list().iter().filter(sends).count();
            }
            assert_eq!(sent, times);
        }
    }
}

#[test]
fn no_number_of_a_liar_makes_us_fall() {
    let mut world = world(4, 6);
    submit(&mut world, 1, &["x"]);
    world.run();
    let decided = world.trees[0].root().rounds[&Round::FIRST].decided.clone().unwrap().0;
    let last = Round::new(u64::MAX);
    let digest = Digest::of("batch", b"");
    for message in [
        Message::Decided { first: last, decisions: vec![decided.clone(); 8], at: last },
        Message::Fetch { from: last, to: last },
        Message::Recall { round: last, announced: false, back: true },
        Message::Request { round: last, digest },
        Message::Gone { oldest: last, at: last },
        queue(3, u64::MAX, Batch::default()),
    ] {
        (0..3).for_each(|to| world.forge(3, to, &message));
    }
    world.run();
    submit(&mut world, 1, &["y"]);
    world.run();
    assert_eq!(delivered(&world.outputs[0]).len(), 2);
}

#[test]
fn the_next_candidate_is_one_that_was_named() {
    let entry = |party: u16| vector::Entry {
        party: p(party),
        batch: Batch::default().digest(),
        signature: Signature(Bytes::new()),
    };
    let next = |round: u64, winner: u16, named: &[u16]| {
        let entries: Vec<_> = named.iter().map(|party| entry(*party)).collect();
        rounds::next_first(Round::new(round), p(winner), &entries, 4)
    };
    assert_eq!(next(14, 1, &[0, 1, 3]), p(1), "who wins stays for a while");
    assert_eq!(next(15, 2, &[0, 1, 2, 3]), p(2), "who names everybody stays longer");
    assert_eq!(next(15, 1, &[0, 1, 3]), p(3), "p2 was not named");
    assert_eq!(next(15, 3, &[0, 1, 3]), p(0));
}
