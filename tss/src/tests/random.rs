//! Random deals under random interleavings.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    resources::{Account, Operation, Register},
    testing::{
        Dice,
        actors::{Deal, Done, Moods, Report, Work, run},
        seeds,
        world::{LEFT, RIGHT, World, key},
    },
    transaction::{Outcome, TxId},
};

const NAMES: [&str; 3] = ["a", "b", "c"];

/// Both groups agree with the manager on every outcome, and clients were told the truth.
fn check_atomicity<R: crate::resources::Resource>(world: &World<R>, report: &Report, seed: u64) {
    for ended in &report.ended {
        let known = world.tm.batched.outcome(ended.tx);
        assert_eq!(known.as_ref(), Some(&ended.outcome), "seed {seed}");
    }
    for done in &report.done {
        let outcome = world.tm.batched.outcome(done.tx).expect("it ended");
        if let Some(here) = world.rm(done.group).outcome(done.tx) {
            assert_eq!(here.word(), outcome.word(), "seed {seed}: {} at {}", done.tx, done.group);
        } else {
            let only_read = matches!(done.operation, Operation::Read);
            assert!(only_read, "seed {seed}: {} wrote at {} and left", done.tx, done.group);
        }
    }
}

/// Members work on accounts; what one takes another brings, so money is preserved.
fn transfers(dice: &mut Dice, members: u64) -> Vec<Work> {
    let mut works = vec![Work::new(); members as usize];
    for _ in 0..=dice.below(2) {
        let amount = 1 + dice.below(60).cast_signed();
        for operation in [Operation::Withdraw(amount), Operation::Deposit(amount)] {
            let member = dice.below(members) as usize;
            let group = dice.pick(&[LEFT, RIGHT]).expect("two");
            let name = dice.pick(&NAMES).expect("three");
            works[member].push((group, key(name), operation));
        }
    }
    works
}

#[test]
fn money_is_preserved_and_outcomes_are_the_same_everywhere() {
    let (mut committed, mut aborted) = (0, BTreeSet::new());
    for seed in 0..seeds(60) {
        let initial: BTreeMap<_, _> = NAMES.iter().map(|name| (key(name), 100)).collect();
        let mut world = World::new(seed, Account::default(), initial);
        let count = 1 + world.dice.below(8);
        let deals = (0..count).map(|number| {
            let members = 1 + world.dice.below(3);
            Deal::new(number, transfers(&mut world.dice, members))
        });
        let deals = deals.collect();
        let moods = Moods { abort: 2, vanish: world.dice.below(2) * 3 };
        let report = run(&mut world, deals, moods);
        check_atomicity(&world, &report, seed);
        let sum: i64 =
            [LEFT, RIGHT].iter().flat_map(|group| world.rm(*group).committed().values()).sum();
        assert_eq!(sum, 600, "seed {seed}");
        for ended in report.ended {
            match ended.outcome {
                Outcome::Committed => committed += 1,
                Outcome::Aborted(reason) => drop(aborted.insert(reason.word())),
            }
        }
    }
    assert!(committed > 50, "the test must see commits: {committed}");
    for word in ["client", "wounded", "expired"] {
        assert!(aborted.contains(word), "the test must see {word}: {aborted:?}");
    }
}

/// Members read and write texts; no text is written twice.
fn texts(dice: &mut Dice, members: u64, deal: u64) -> Vec<Work> {
    let mut works = vec![Work::new(); members as usize];
    for number in 0..=dice.below(6) {
        let member = dice.below(members) as usize;
        let group = dice.pick(&[LEFT, RIGHT]).expect("two");
        let name = dice.pick(&NAMES).expect("three");
        let operation = match dice.below(2) {
            0 => Operation::Read,
            _ => Operation::Write(format!("{deal}:{number}")),
        };
        works[member].push((group, key(name), operation));
    }
    works
}

#[test]
fn committed_transactions_are_serializable() {
    for seed in 0..seeds(60) {
        let initial: BTreeMap<_, _> =
            NAMES.iter().map(|name| (key(name), "first".to_owned())).collect();
        let mut world = World::new(seed ^ 0xA5A5, Register, initial);
        let count = 2 + world.dice.below(8);
        let deals = (0..count).map(|number| {
            let members = 1 + world.dice.below(2);
            Deal::new(number, texts(&mut world.dice, members, number))
        });
        let deals = deals.collect();
        let report = run(&mut world, deals, Moods { abort: 1, vanish: 0 });
        check_atomicity(&world, &report, seed);
        let committed = |tx: TxId| world.tm.batched.outcome(tx) == Some(Outcome::Committed);
        let done: Vec<Done> = report.done.into_iter().filter(|done| committed(done.tx)).collect();
        let edges = precedence(&done);
        assert!(acyclic(edges.clone()), "seed {seed}: {edges:?}\n{done:#?}");
    }
}

/// Who comes before whom: a writer before who saw its text, who saw a text before who replaced it.
fn precedence(done: &[Done]) -> BTreeSet<(TxId, TxId)> {
    let mut writer = BTreeMap::new();
    for done in done {
        if let Operation::Write(text) = &done.operation {
            writer.insert(text.clone(), done.tx);
        }
    }
    let mut seen: BTreeMap<_, BTreeSet<TxId>> = BTreeMap::new();
    let mut edges = BTreeSet::new();
    for done in done {
        let before = done.answer.before.clone().expect("every key has a text");
        let known = writer.get(&before).copied();
        assert!(known.is_some() || before == "first", "{done:?} saw what was never committed");
        edges.extend(known.map(|writer| (writer, done.tx)));
        seen.entry((done.group, done.key.clone(), before)).or_default().insert(done.tx);
    }
    for done in done.iter().filter(|done| matches!(done.operation, Operation::Write(_))) {
        let before = done.answer.before.clone().expect("every key has a text");
        let readers = &seen[&(done.group, done.key.clone(), before)];
        edges.extend(readers.iter().map(|reader| (*reader, done.tx)));
    }
    edges.retain(|(before, after)| before != after);
    edges
}

fn acyclic(mut edges: BTreeSet<(TxId, TxId)>) -> bool {
    loop {
        let targets: BTreeSet<TxId> = edges.iter().map(|(_, after)| *after).collect();
        let count = edges.len();
        edges.retain(|(before, _)| targets.contains(before));
        if edges.is_empty() || edges.len() == count {
            return edges.is_empty();
        }
    }
}

#[test]
fn the_checker_sees_a_lost_update() {
    let tx = |number| TxId::new(crate::testing::world::TM, number);
    let write = |number: u64, before: &str| Done {
        tx: tx(number),
        group: LEFT,
        key: key("a"),
        operation: Operation::Write(number.to_string()),
        answer: crate::resources::Answer {
            before: Some(before.to_owned()),
            value: number.to_string(),
        },
    };
    assert!(acyclic(precedence(&[write(1, "first"), write(2, "1")])));
    assert!(!acyclic(precedence(&[write(1, "first"), write(2, "first")])));
}
