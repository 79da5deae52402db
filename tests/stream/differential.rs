//! The same users and the same misdeeds, with each engine: what is ordered differs in nothing that users
//! are promised.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use maftia_core::{
    id::PartyId,
    sim::{Rng, property, size},
    stream::{
        atomic::{self, Atomic, Input},
        batch::Batch,
        certified::{self, Certified},
        fast::Fast,
    },
};

use crate::group::{Stream, check, delivered, finish, group, take_all};

/// What users submit: in turn, after so many letters each, who submits which payloads in one batch.
type Load = Vec<(u64, PartyId, Vec<String>)>;

/// A load that the seed chooses: empty batches, empty payloads, equal ones, and larger ones.
fn load(n: u16, seed: u64) -> Load {
    let mut rng = Rng::new(seed).fork(0x10ad);
    let count = 8 + rng.below(12);
    let mut batch = |turn: usize| {
        let (letters, party) = (rng.below(80) as u64, rng.below(usize::from(n)) as u16);
        let payloads = (0..rng.below(5)).map(|place| match rng.below(4) {
            0 => String::new(),
            1 => "the same again".into(),
            2 => format!("{turn}.{place}").repeat(200),
            _ => format!("{turn}.{place}"),
        });
        let payloads = payloads.collect();
        (letters, PartyId::new(party), payloads)
    };
    (0..count).map(&mut batch).collect()
}

/// What an engine made of a load.
#[derive(Debug, PartialEq)]
struct Made {
    /// What of each correct member is ordered, in that order.
    of_correct: BTreeMap<PartyId, Vec<Bytes>>,
    /// How many times each payload of correct members is ordered.
    counts: BTreeMap<Bytes, usize>,
    /// How many payloads of correct members are ordered, at each of these: one number.
    totals: BTreeSet<usize>,
}

/// Has an engine order a load among the misdeeds of a seed.
fn run<S: Stream>(n: u16, seed: u64, spec: S::Spec, load: &Load) -> Made {
    let mut group = group::<S>(n, seed, spec).corrupt_any().restarts(1);
    take_all(&mut group);
    let mut submitted = Vec::new();
    for (letters, party, payloads) in load {
        group.input(*party, Input::Submit { batch: Batch::of(payloads) });
        submitted.extend(payloads.iter().map(|payload| (*party, payload.clone())));
        let until = group.steps() + letters;
        group.run_while(|world| world.steps() < until);
    }
    finish(&mut group, &submitted);
    check(&group, &submitted);
    let correct = group.correct();
    let lists = correct.iter().map(|party| {
        let all = delivered(group.outputs(*party)).into_iter();
        all.filter(|(from, _)| correct.contains(from)).collect::<Vec<_>>()
    });
    let lists: Vec<_> = lists.collect();
    let totals = lists.iter().map(Vec::len).collect();
    let (mut of_correct, mut counts) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::new());
    for (from, payload) in &lists[0] {
        of_correct.entry(*from).or_default().push(payload.clone());
        *counts.entry(payload.clone()).or_default() += 1;
    }
    Made { of_correct, counts, totals }
}

#[test]
fn all_engines_order_the_same_payloads_each_once_and_each_members_in_its_order() {
    property(24, |seed| {
        let (n, f) = size(seed, &[4, 5, 7]);
        let load = load(n, seed);
        let rounds = run::<Atomic>(n, seed, atomic::Spec::default(), &load);
        let lanes = run::<Certified>(n, seed, certified::Spec::default(), &load);
        let fast = run::<Fast>(n, seed, crate::fast::spec(seed), &load);
        assert_eq!(rounds, lanes, "rounds and lanes");
        assert_eq!(rounds, fast, "rounds and the fast lane");
        let correct = PartyId::all(n).take(usize::from(n - f));
        let correct: Vec<_> = correct.collect();
        let expected = load.iter().filter(|(_, party, _)| correct.contains(party));
        let expected: usize = expected.map(|(_, _, payloads)| payloads.len()).sum();
        assert_eq!(rounds.totals, BTreeSet::from([expected]), "all of it, at all of them");
    });
}
