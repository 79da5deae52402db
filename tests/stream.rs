//! The promises of the atomic stream in simulated worlds: groups of 4, 5 and 7, every misdeed, every
//! scheduler, restarts, children of their own.
//!
//! *Total order*, *integrity* (no duplicates, no gaps, the order of submission), *liveness*: all that
//! correct parties submitted is delivered by all of them, whatever liars go on doing. *Rest*: when
//! the liars have fallen silent, so does the group. *No slander*. *Bounded memory*.
//!
//! More seeds: `MAFTIA_SEEDS=10000 cargo test --release --test stream`, and `MAFTIA_N=7` for one size.

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
        adversary::{Random, Relents, Script},
        behaviour::{
            Behaviour, Corrupted, Crash, Equivocate, Late, Mute, Outgoing, Replay, Withhold,
        },
        oracle::{self, Run},
        p, property, size,
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
    group.set_steps_max(STEPS_MAX);
    group.set_adversary(Relents::at(UNFAIR_STEPS));
    group
}

/// The most letters until everything is delivered, and again until all is silent.
const STEPS_MAX: u64 = 200_000;

/// How long an order that a seed chose goes on.
const UNFAIR_STEPS: u64 = 3_000;

/// How long liars may go on after everything is delivered.
const LIARS_STEPS: u64 = 1_000;

/// Of a small group of this seed, how many there are; and who of them are corrupted, if all may be.
fn small(seed: u64) -> (u16, Vec<PartyId>) {
    let (n, f) = size(seed, &[4]);
    (n, PartyId::all(n).rev().take(f.into()).collect())
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
        Output::RoundEnd { position } => Some(position.clone()),
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
fn send(group: &mut Group<Atomic>, n: u16, waves: usize) -> Vec<(PartyId, String)> {
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
    submitted
}

/// The same, and all that follows from it.
fn work(group: &mut Group<Atomic>, n: u16, waves: usize) -> Vec<(PartyId, String)> {
    let submitted = send(group, n, waves);
    finish(group, &submitted);
    submitted
}

/// Lets happen what is promised while liars do what they like; then lets them fall silent, and all
/// others come to rest.
fn finish(group: &mut Group<Atomic>, submitted: &[(PartyId, String)]) {
    deliver(group, submitted);
    let until = group.steps() + LIARS_STEPS;
    group.run_while(|world| world.steps() < until);
    let liars = group.parties().into_iter().filter(|owner| group.is_corrupted(*owner));
    for liar in liars.collect::<Vec<_>>() {
        group.corrupt_boxed(liar, Box::new(Mute));
    }
    group.run();
}

/// Goes on until every correct party has delivered what correct ones submitted. A liar may keep a
/// group at empty rounds for ever, so nothing else need ever come to an end.
fn deliver(group: &mut Group<Atomic>, submitted: &[(PartyId, String)]) {
    let correct = group.correct();
    let expected = submitted.iter().filter(|(party, _)| correct.contains(party)).count();
    let lacks = |world: &World, party: &PartyId| {
        let outputs = world.outputs::<Atomic>(Group::<Atomic>::owner(*party));
        let of_correct = outputs.iter().filter_map(|output| match output {
            Output::Deliver { from, batch, .. } if correct.contains(from) => Some(batch.len()),
            _ => None,
        });
        of_correct.sum::<usize>() < expected
    };
    let begun = group.steps();
    loop {
        let until = group.steps() + 64;
        let ended = group.run_while(|world| world.steps() < until);
        if !correct.iter().any(|party| lacks(group, party)) {
            return;
        }
        assert!(!ended, "nothing is in flight, and not all is delivered");
        assert!(group.steps() < begun + STEPS_MAX, "not delivered after {STEPS_MAX} letters");
    }
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
        let mut group = group(n, seed, Spec::default());
        for liar in &liars {
            group = group.corrupt(*liar, Equivocate::at_random());
        }
        take_all(&mut group);
        for liar in liars {
            for (face, payload) in ["left", "right"].into_iter().enumerate() {
                group.input_face(liar, face, Input::Submit { batch: Batch::of([payload]) });
            }
        }
        let mut submitted = Vec::new();
        for party in group.correct() {
            submit(&mut group, party, "x");
            submitted.push((party, "x".to_string()));
        }
        finish(&mut group, &submitted);
        check(&group, &submitted);
    });
}

#[test]
fn one_who_shows_its_batches_to_few_holds_nobody_up() {
    property(16, |seed| {
        let (n, liars) = small(seed);
        let mut group = group(n, seed, Spec::default());
        for liar in liars {
            let told = Withhold::from_all_but([p((seed % 3) as u16)]);
            group = group.corrupt(liar, told);
        }
        let submitted = work(&mut group, n, 2);
        check(&group, &submitted);
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
    let (n, _) = small(seed);
    let last = p(n - 1);
    let mut group = group(n, seed, spec).adversary(Script(without(last)));
    take_all(&mut group);
    submit(&mut group, last, "from the one who starves");
    for round in 0..rounds {
        submit(&mut group, p(round as u16 % (n - 1)), &format!("{round}"));
        group.run();
    }
    assert!(ends(group.outputs(last)).is_empty());
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
        assert_eq!(delivered(group.outputs(*group.correct().last().unwrap())), all);
        oracle::no_slander(&group).unwrap();
    });
}

/// One who starved for so long that nobody keeps what it missed says so, resumes, and takes part.
fn resumes_after(seed: u64, rounds: usize) {
    let mut group = starved(seed, rounds, Spec { rounds_kept: 16, ..Spec::default() });
    let all = group.correct();
    let last = *all.last().unwrap();
    assert!(group.outputs(last).contains(&Output::Behind));
    let known = ends(group.outputs(p(1)));
    let checkpoint = known[known.len() - 8].clone();
    assert!(ends(group.outputs(p(2))).contains(&checkpoint), "all know the same positions");
    group.input(last, Input::Resume { position: checkpoint });
    group.run();
    submit(&mut group, last, "back again");
    group.run();
    let end = ends(group.outputs(p(0))).pop().unwrap();
    for party in all {
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
