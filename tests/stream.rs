//! The promises of the atomic stream in simulated worlds: groups of 4, 5 and 7, every misdeed, every
//! scheduler, restarts, children of their own.
//!
//! *Total order*, *integrity* (no duplicates, no gaps, the order of submission), *liveness*: when
//! nothing is in flight, all that correct parties submitted is delivered by all of them. *No slander*.
//! *Bounded memory*.
//!
//! More seeds: `MAFTIA_SEEDS=10000 cargo test --release --test stream`.

#![expect(clippy::unwrap_used, reason = "an oracle says what it found by failing the test")]

use std::collections::BTreeSet;

use bytes::Bytes;
use maftia_core::{
    agreement::multivalued::Multivalued,
    effects::Lane,
    id::{PartyId, Round, Slot},
    path::InstanceId,
    protocol::Protocol,
    seat::Owner,
    sim::{
        Group, Pick, Rng, World,
        adversary::{Random, Script},
        behaviour::{Behaviour, Corrupted, Crash, Equivocate, Mute, Outgoing, Withhold},
        oracle::{self, Run},
        p, property,
    },
    stream::{
        atomic::{Atomic, Input, Message, Output, Position, Signed, Spec, WINDOW},
        batch::Batch,
    },
    wire,
};

/// What a party delivered: who submitted what.
type Delivered = Vec<(PartyId, Bytes)>;

/// A group whose users take everything at once.
fn group(n: u16, seed: u64, spec: Spec) -> Group<Atomic> {
    let mut group = Group::new(n, (n - 1) / 3, seed, spec);
    group.set_steps_max(60_000);
    group
}

fn take_all(group: &mut Group<Atomic>) {
    for party in group.parties() {
        if let Owner::Party(_, party) = party {
            group.input(party, Input::Pull { up_to: Slot::new(u64::MAX) });
        }
    }
}

fn submit(group: &mut Group<Atomic>, party: PartyId, payload: &str) {
    group.input(party, Input::Submit { batch: Batch::of([payload]) });
}

/// Everything in the order of its slots. Without a checkpoint in between, slots have no gaps.
fn delivered(outputs: &[Output]) -> Delivered {
    let mut all = Delivered::new();
    for output in outputs {
        if let Output::Deliver { first, from, batch } = output {
            assert_eq!(first.number(), all.len() as u64, "slots have no gaps");
            all.extend(batch.iter().map(|payload| (*from, payload)));
        }
    }
    all
}

fn ends(outputs: &[Output]) -> Vec<Position> {
    let end = |output: &Output| match output {
        Output::RoundEnd { position } => Some(*position),
        _ => None,
    };
    outputs.iter().filter_map(end).collect()
}

/// Total order, no duplicates, the order of submission, no invention, no slander; and everything that
/// correct parties submitted was delivered by all of them.
fn check(group: &Group<Atomic>, submitted: &[(PartyId, String)]) {
    let correct = group.correct();
    let lists: Vec<_> =
        correct.iter().map(|party| (*party, delivered(group.outputs(*party)))).collect();
    let run: Run<'_, _> =
        lists.iter().map(|(party, list)| (Group::<Atomic>::owner(*party), &list[..])).collect();
    oracle::total_order(&run).unwrap();
    let expected = |party: PartyId| {
        submitted.iter().filter(move |(from, _)| *from == party).map(|(_, payload)| payload)
    };
    for (_, list) in &lists {
        for party in &correct {
            let got = list.iter().filter(|(from, _)| from == party);
            let got: Vec<_> = got.map(|(_, payload)| payload.clone()).collect();
            assert_eq!(got, expected(*party).collect::<Vec<_>>(), "all that {party} submitted");
        }
    }
    let last: BTreeSet<_> = correct
        .iter()
        .filter_map(|party| ends(group.outputs(*party)).last().map(|end| (end.round, end.slot)))
        .collect();
    assert!(last.len() <= 1, "all end at the same place: {last:?}");
    oracle::no_slander(group).unwrap();
    oracle::quiet(group).unwrap();
}

/// Some payloads of everybody in some waves, among which whatever is in flight may arrive.
fn work(group: &mut Group<Atomic>, n: u16, waves: usize) -> Vec<(PartyId, String)> {
    let mut submitted = Vec::new();
    take_all(group);
    for wave in 0..waves {
        for party in PartyId::all(n) {
            let payload = format!("{party} in wave {wave}");
            submit(group, party, &payload);
            submitted.push((party, payload));
        }
        let until = group.steps() + 60 * (wave as u64 + 1);
        group.run_while(|world| world.steps() < until);
    }
    let until = group.steps() + UNFAIR_STEPS;
    group.run_while(|world| world.steps() < until);
    finish(group);
    submitted
}

/// How long an order that a seed chose goes on. Some orders never deliver a letter as long as there
/// are younger ones, and no promise holds for ever under them.
const UNFAIR_STEPS: u64 = 3_000;

/// Lets everything arrive, in a fair order.
fn finish(group: &mut Group<Atomic>) {
    group.set_adversary(Random);
    group.run();
}

#[test]
fn everything_is_delivered_by_all_in_one_order_whatever_the_others_do() {
    property(48, |seed| {
        let n = [4, 5, 7][seed as usize % 3];
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

#[test]
fn one_who_tells_everybody_another_batch_splits_nobody() {
    property(16, |seed| {
        let mut group = group(4, seed, Spec::default()).corrupt(p(3), Equivocate::at_random());
        take_all(&mut group);
        for (face, payload) in ["left", "right"].into_iter().enumerate() {
            group.input_face(p(3), face, Input::Submit { batch: Batch::of([payload]) });
        }
        let mut submitted = Vec::new();
        for party in [p(0), p(1), p(2)] {
            submit(&mut group, party, "x");
            submitted.push((party, "x".to_string()));
        }
        group.run_while(|world| world.steps() < UNFAIR_STEPS);
        finish(&mut group);
        check(&group, &submitted);
    });
}

#[test]
fn one_who_shows_its_batches_to_few_holds_nobody_up() {
    property(16, |seed| {
        let told = Withhold::from_all_but([p((seed % 3) as u16)]);
        let mut group = group(4, seed, Spec::default()).corrupt(p(3), told);
        let submitted = work(&mut group, 4, 2);
        check(&group, &submitted);
    });
}

#[test]
fn a_candidate_that_crashes_in_the_middle_holds_nobody_up() {
    property(16, |seed| {
        let crash = Crash::after(seed * 3);
        let mut group = group(4, seed, Spec::default()).corrupt(p(0), crash);
        let submitted = work(&mut group, 4, 3);
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
        let mut group = group(4, seed, Spec::default()).corrupt(p(3), Flood);
        let submitted = work(&mut group, 4, 2);
        check(&group, &submitted);
        let bounds = oracle::Bounds { instances: 60, waiting: 600, snapshot: 1 << 20 };
        oracle::bounded(&group, bounds).unwrap();
    });
}

/// Delivers nothing to or from `who`, and ends the run when nothing else is left.
fn without(who: PartyId) -> impl FnMut(&World, &mut Rng) -> Option<Pick> + Send {
    let who = Group::<Atomic>::owner(who);
    move |world, rng| {
        let pool = world.pool();
        let free: Vec<_> = (0..pool.queues())
            .filter(|queue| {
                let ends = pool.head(*queue).letter.frame();
                ends.is_none_or(|(from, to, _)| from != who && to != who)
            })
            .collect();
        if free.is_empty() { None } else { Some(Pick::head(*rng.choose(&free))) }
    }
}

/// A group of which one party hears nothing for so many rounds, and then everything.
fn starved(seed: u64, rounds: usize, spec: Spec) -> Group<Atomic> {
    let mut group = group(4, seed, spec).adversary(Script(without(p(3))));
    take_all(&mut group);
    submit(&mut group, p(3), "from the one who starves");
    for round in 0..rounds {
        submit(&mut group, p(round as u16 % 3), &format!("{round}"));
        group.run();
    }
    assert!(ends(group.outputs(p(3))).is_empty());
    assert!(ends(group.outputs(p(0))).len() >= rounds);
    group.set_adversary(Random);
    group.run();
    group
}

#[test]
fn one_who_starved_for_some_rounds_catches_up() {
    property(4, |seed| {
        let group = starved(seed, 40, Spec::default());
        let all = delivered(group.outputs(p(0)));
        assert_eq!(all.len(), 41, "and its own payload is ordered in the end");
        assert_eq!(delivered(group.outputs(p(3))), all);
        oracle::no_slander(&group).unwrap();
    });
}

/// One who starved for so long that nobody keeps what it missed says so, resumes, and takes part.
fn resumes_after(seed: u64, rounds: usize) {
    let mut group = starved(seed, rounds, Spec { rounds_kept: 16, ..Spec::default() });
    assert!(group.outputs(p(3)).contains(&Output::Behind));
    let checkpoint = ends(group.outputs(p(1)))[rounds - 8];
    assert!(ends(group.outputs(p(2))).contains(&checkpoint), "all know the same positions");
    group.input(p(3), Input::Resume { position: checkpoint });
    group.run();
    submit(&mut group, p(3), "back again");
    group.run();
    let end = *ends(group.outputs(p(0))).last().unwrap();
    for party in PartyId::all(4) {
        assert_eq!(ends(group.outputs(party)).last(), Some(&end));
        let last = group.outputs(party).iter().rev().find_map(|output| match output {
            Output::Deliver { batch, .. } => batch.get(batch.len() - 1),
            _ => None,
        });
        assert_eq!(last, Some(Bytes::from("back again")));
    }
    let bounds = oracle::Bounds { instances: 60, waiting: 600, snapshot: 1 << 20 };
    oracle::bounded(&group, bounds).unwrap();
    oracle::no_slander(&group).unwrap();
}

#[test]
fn one_who_starved_beyond_what_is_kept_resumes() {
    property(2, |seed| resumes_after(seed, 220));
}

/// `cargo test --release --test stream -- --ignored starved_for_long`
#[test]
#[ignore = "takes minutes"]
fn one_who_starved_for_long_resumes() {
    resumes_after(1, 10_000);
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
