//! The rounds of CKPS.

use bytes::Bytes;
use maftia_core::{
    agreement::multivalued::Multivalued,
    effects::Lane,
    id::Round,
    path::InstanceId,
    protocol::Protocol,
    seat::Owner,
    sim::{
        Group,
        behaviour::{Behaviour, Corrupted, Crash, Late, Mute, Outgoing, Replay},
        oracle, p, property, size,
    },
    stream::{
        atomic::{Atomic, Message, Signed, Spec, WINDOW},
        batch::Batch,
    },
    wire,
};

use crate::group::{
    check, deliver, delivered, ends, resumes_after, send, shows_to_one, small, starved, submit,
    take_all, tells_another_batch, work,
};

/// A group of this engine.
fn group(n: u16, seed: u64, spec: Spec) -> Group<Atomic> {
    crate::group::group(n, seed, spec)
}

#[test]
fn everything_is_delivered_by_all_in_one_order_whatever_the_others_do() {
    property(48, |seed| {
        let (n, _) = size(seed, &[4, 5, 7]);
        let mut group = group(n, seed, Spec::default()).corrupt_any().restarts(2);
        if seed % 4 == 3 {
            group = group.detach([Multivalued::<Signed>::KIND]);
        }
        let submitted = work(&mut group, n, 3);
        check(&group, &submitted);
        let bounds = oracle::Bounds { instances: 200, waiting: 600, snapshot: 1 << 20 };
        oracle::bounded(&group, bounds).unwrap();
    });
}

/// Whoever only leaves out, repeats or comes late begins no rounds of its own for ever: the group
/// rests though such liars go on. Of those who forge, withhold or equivocate this does not hold; see
/// the properties of the module.
#[test]
fn a_group_rests_beside_liars_that_begin_no_rounds() {
    property(24, |seed| {
        let (n, liars) = small(seed);
        let mut group = group(n, seed, Spec::default());
        for liar in liars {
            let misdeed: Box<dyn Behaviour> = match seed % 4 {
                0 => Box::new(Crash::after(seed % 200 * 3)),
                1 => Box::new(Mute),
                2 => Box::new(Late::default()),
                _ => Box::new(Replay::default()),
            };
            group.corrupt_boxed(Group::<Atomic>::owner(liar), misdeed);
        }
        let submitted = send(&mut group, n, 2);
        deliver(&mut group, &submitted);
        group.run();
        check(&group, &submitted);
    });
}

#[test]
fn one_who_tells_everybody_another_batch_splits_nobody() {
    property(16, |seed| {
        let (n, liars) = small(seed);
        tells_another_batch(group(n, seed, Spec::default()), liars);
    });
}

#[test]
fn one_who_shows_its_batches_to_few_holds_nobody_up() {
    property(16, |seed| {
        let (n, liars) = small(seed);
        shows_to_one(group(n, seed, Spec::default()), n, liars, p((seed % 3) as u16));
    });
}

#[test]
fn a_candidate_that_crashes_in_the_middle_holds_nobody_up() {
    property(16, |seed| {
        let (n, _) = small(seed);
        let crash = Crash::after(seed % 200 * 3);
        let mut group = group(n, seed, Spec::default()).corrupt(p(0), crash);
        let submitted = work(&mut group, n, 3);
        check(&group, &submitted);
    });
}

/// Announces batches of its own, properly signed, for rounds far ahead.
#[derive(Clone, Debug)]
struct Flood;

impl Behaviour for Flood {
    fn name(&self) -> &'static str {
        "flood"
    }

    fn hear(&mut self, _: Owner, instance: &InstanceId, _: &Bytes, cx: &mut Corrupted<'_>) {
        if !instance.path().is_empty() {
            return;
        }
        let ahead = cx.rng.below(4 * WINDOW as usize) as u64;
        let round = if cx.rng.once_in(8) { u64::MAX - ahead } else { ahead };
        let batch = Batch::of([format!("flood {}", cx.step)]);
        let (digest, tag) = (batch.digest(), instance.tag("queue").numbered(round));
        let signature = cx.keys.identity.sign(&tag, &digest);
        let bytes =
            wire::encode(&Message::Queue { round: Round::new(round), digest, batch, signature });
        for to in cx.others {
            cx.send(Outgoing {
                to: *to,
                instance: instance.clone(),
                kind: None,
                lane: Lane::Bulk,
                bytes: bytes.clone(),
                face: 0,
            });
        }
    }

    fn boxed(&self) -> Box<dyn Behaviour> {
        Box::new(self.clone())
    }
}

#[test]
fn one_who_floods_rounds_to_come_takes_little_room_and_stops_nobody() {
    property(8, |seed| {
        let (n, liars) = small(seed);
        let mut group = group(n, seed, Spec::default());
        for liar in liars {
            group = group.corrupt(liar, Flood);
        }
        let submitted = work(&mut group, n, 2);
        check(&group, &submitted);
        let bounds = oracle::Bounds { instances: 60, waiting: 600, snapshot: 1 << 20 };
        oracle::bounded(&group, bounds).unwrap();
    });
}

/// Keeps little.
fn few() -> Spec {
    Spec { rounds_kept: 16, ..Spec::default() }
}

#[test]
fn one_who_starved_for_some_rounds_catches_up() {
    property(4, |seed| {
        let group = starved::<Atomic>(seed, 40, Spec::default());
        let all = delivered(group.outputs(p(0)));
        assert_eq!(all.len(), 41, "and its own payload is ordered in the end");
        assert_eq!(delivered(group.outputs(*group.correct().last().unwrap())), all);
        oracle::no_slander(&group).unwrap();
    });
}

#[test]
fn one_who_starved_beyond_what_is_kept_resumes() {
    property(2, |seed| resumes_after::<Atomic>(seed, 220, few()));
}

/// `cargo test --release --test stream -- --ignored starved_for_long`
#[test]
#[ignore = "takes minutes"]
fn one_who_starved_for_long_resumes() {
    resumes_after::<Atomic>(1, 10_000, few());
}

#[test]
fn a_group_that_has_nothing_to_say_is_silent() {
    let mut group = group(7, 3, Spec::default()).corrupt(p(6), Mute);
    take_all(&mut group);
    group.run();
    assert_eq!(group.steps(), 7, "what the users asked is all that happened");
    submit(&mut group, p(2), "x");
    group.run();
    assert!(ends(group.outputs(p(0))).len() <= 3, "one payload does not keep the group busy");
}
