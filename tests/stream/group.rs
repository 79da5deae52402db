//! A group whose members run one atomic stream, whichever engine it has, and what is promised of it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use maftia_core::{
    id::{PartyId, Slot},
    protocol::Protocol,
    seat::Owner,
    sim::{
        Group, Letter, Pick, Rng, World,
        adversary::{Random, Relents, Script},
        behaviour::{Equivocate, Mute, Withhold},
        oracle::{self, Run},
        p, size,
    },
    stream::{
        atomic::{Input, Output, Position},
        batch::Batch,
    },
};

/// Any engine.
pub(crate) trait Stream: Protocol<Input = Input, Output = Output> {}
impl<S: Protocol<Input = Input, Output = Output>> Stream for S {}

/// What a party delivered: who submitted what.
pub(crate) type Delivered = Vec<(PartyId, Bytes)>;

/// A group whose users take everything at once.
pub(crate) fn group<S: Stream>(n: u16, seed: u64, spec: S::Spec) -> Group<S> {
    seated(n, seed, |_| spec.clone())
}

/// The same, with a spec for each member.
pub(crate) fn seated<S: Stream>(
    n: u16,
    seed: u64,
    mut spec: impl FnMut(PartyId) -> S::Spec,
) -> Group<S> {
    let mut group = Group::with(n, (n - 1) / 3, seed, |seat| spec(seat.me()));
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
pub(crate) fn small(seed: u64) -> (u16, Vec<PartyId>) {
    let (n, f) = size(seed, &[4]);
    (n, PartyId::all(n).rev().take(f.into()).collect())
}

pub(crate) fn take_all<S: Stream>(group: &mut Group<S>) {
    for party in group.parties() {
        if let Owner::Party(_, party) = party {
            group.input(party, Input::Pull { up_to: Slot::new(u64::MAX) });
        }
    }
}

pub(crate) fn submit<S: Stream>(group: &mut Group<S>, party: PartyId, payload: &str) {
    group.input(party, Input::Submit { batch: Batch::of([payload]) });
}

/// Everything in the order of its slots. Without a checkpoint in between, slots have no gaps.
pub(crate) fn delivered(outputs: &[Output]) -> Delivered {
    let mut all = Delivered::new();
    for output in outputs {
        if let Output::Deliver { first, from, batch } = output {
            assert_eq!(first.number(), all.len() as u64, "slots have no gaps");
            all.extend(batch.iter().map(|payload| (*from, payload)));
        }
    }
    all
}

pub(crate) fn ends(outputs: &[Output]) -> Vec<Position> {
    let end = |output: &Output| match output {
        Output::RoundEnd { position } => Some(position.clone()),
        _ => None,
    };
    outputs.iter().filter_map(end).collect()
}

/// Total order, no duplicates, the order of submission, no invention, no slander; and everything that
/// correct parties submitted was delivered by all of them.
pub(crate) fn check<S: Stream>(group: &Group<S>, submitted: &[(PartyId, String)]) {
    let correct = group.correct();
    let lists: Vec<_> =
        correct.iter().map(|party| (*party, delivered(group.outputs(*party)))).collect();
    let run: Run<'_, _> =
        lists.iter().map(|(party, list)| (Group::<S>::owner(*party), &list[..])).collect();
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
    // Empty rounds share the end of the one before, if both end in one step.
    let last: BTreeSet<_> = correct
        .iter()
        .filter_map(|party| ends(group.outputs(*party)).last().map(|end| end.slot))
        .collect();
    assert!(last.len() <= 1, "all end at the same place: {last:?}");
    let mut known = BTreeMap::new();
    for end in correct.iter().flat_map(|party| ends(group.outputs(*party))) {
        let first = known.entry(end.round).or_insert_with(|| end.clone());
        assert_eq!(*first, end, "one position a round");
    }
    oracle::no_slander(group).unwrap();
    oracle::quiet(group).unwrap();
}

/// Some payloads of everybody in some waves, among which whatever is in flight may arrive.
pub(crate) fn send<S: Stream>(
    group: &mut Group<S>,
    n: u16,
    waves: usize,
) -> Vec<(PartyId, String)> {
    let mut submitted = Vec::new();
    take_all(group);
    for wave in 0..waves {
        submitted.extend(more(group, n, wave));
    }
    submitted
}

/// One of these waves.
pub(crate) fn more<S: Stream>(group: &mut Group<S>, n: u16, wave: usize) -> Vec<(PartyId, String)> {
    let mut submitted = Vec::new();
    for party in PartyId::all(n) {
        let payload = format!("{party} in wave {wave}");
        submit(group, party, &payload);
        submitted.push((party, payload));
    }
    let until = group.steps() + 60 * (wave as u64 + 1);
    group.run_while(|world| world.steps() < until);
    submitted
}

/// The same, and all that follows from it.
pub(crate) fn work<S: Stream>(
    group: &mut Group<S>,
    n: u16,
    waves: usize,
) -> Vec<(PartyId, String)> {
    let submitted = send(group, n, waves);
    finish(group, &submitted);
    submitted
}

/// Lets happen what is promised while liars do what they like; then lets them fall silent, and all
/// others come to rest.
pub(crate) fn finish<S: Stream>(group: &mut Group<S>, submitted: &[(PartyId, String)]) {
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
pub(crate) fn deliver<S: Stream>(group: &mut Group<S>, submitted: &[(PartyId, String)]) {
    deliver_by(64, group, submitted);
}

/// The same, and looks after each so many letters whether it is so.
pub(crate) fn deliver_by<S: Stream>(
    letters: u64,
    group: &mut Group<S>,
    submitted: &[(PartyId, String)],
) {
    let correct = group.correct();
    let expected = submitted.iter().filter(|(party, _)| correct.contains(party)).count();
    let lacks = |world: &World, party: &PartyId| {
        let outputs = world.outputs::<S>(Group::<S>::owner(*party));
        let of_correct = outputs.iter().filter_map(|output| match output {
            Output::Deliver { from, batch, .. } if correct.contains(from) => Some(batch.len()),
            _ => None,
        });
        of_correct.sum::<usize>() < expected
    };
    let begun = group.steps();
    loop {
        let until = group.steps() + letters;
        let ended = group.run_while(|world| world.steps() < until);
        if !correct.iter().any(|party| lacks(group, party)) {
            return;
        }
        assert!(!ended, "nothing is in flight, and not all is delivered");
        assert!(group.steps() < begun + STEPS_MAX, "not delivered after {STEPS_MAX} letters");
    }
}

/// Delivers what is not held back, and ends the run when nothing else is left.
pub(crate) fn holding(
    held: impl Fn(Owner, Owner, &Letter) -> bool + Send,
) -> impl FnMut(&World, &mut Rng) -> Option<Pick> + Send {
    move |world, rng| {
        let pool = world.pool();
        let free = |queue: &usize| {
            let letter = &pool.head(*queue).letter;
            letter.frame().is_none_or(|(from, to, _)| !held(from, to, letter))
        };
        let free: Vec<_> = (0..pool.queues()).filter(free).collect();
        (!free.is_empty()).then(|| Pick::head(*rng.choose(&free)))
    }
}

/// Delivers nothing to or from `who`, and ends the run when nothing else is left.
pub(crate) fn without<S: Stream>(
    who: PartyId,
) -> impl FnMut(&World, &mut Rng) -> Option<Pick> + Send {
    let who = Group::<S>::owner(who);
    holding(move |from, to, _| from == who || to == who)
}

/// A group of which one party hears nothing for so many rounds, and then everything.
pub(crate) fn starved<S: Stream>(seed: u64, rounds: usize, spec: S::Spec) -> Group<S> {
    let (n, _) = small(seed);
    let last = p(n - 1);
    let mut group = group::<S>(n, seed, spec).adversary(Script(without::<S>(last)));
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

/// One who starved for so long that nobody keeps what it missed says so, resumes, and takes part. What
/// was held back comes in the end, so one that is quick with it is level by itself.
pub(crate) fn resumes_after<S: Stream>(seed: u64, rounds: usize, spec: S::Spec) {
    let mut group = starved::<S>(seed, rounds, spec);
    let all = group.correct();
    let last = *all.last().unwrap();
    let level = ends(group.outputs(last)).last() == ends(group.outputs(p(0))).last();
    assert!(level || group.outputs(last).contains(&Output::Behind));
    let known = ends(group.outputs(p(1)));
    let checkpoint = known[known.len() - 8].clone();
    assert!(ends(group.outputs(p(2))).contains(&checkpoint), "all know the same positions");
    group.input(last, Input::Resume { position: checkpoint });
    group.run();
    submit(&mut group, last, "back again");
    group.run();
    let slot = |party| ends(group.outputs(party)).last().map(|end| end.slot);
    for party in all {
        assert_eq!(slot(party), slot(p(0)));
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

/// Liars that tell every face of theirs another batch split nobody.
pub(crate) fn tells_another_batch<S: Stream>(mut group: Group<S>, liars: Vec<PartyId>) {
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
}

/// Liars that speak to one member only hold nobody up.
pub(crate) fn shows_to_one<S: Stream>(
    mut group: Group<S>,
    n: u16,
    liars: Vec<PartyId>,
    told: PartyId,
) {
    for liar in liars {
        group = group.corrupt(liar, Withhold::from_all_but([told]));
    }
    let submitted = work(&mut group, n, 2);
    check(&group, &submitted);
}
