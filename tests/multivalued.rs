//! Multivalued agreement in simulated worlds: groups of 4, 5 and 7, every misdeed, every scheduler,
//! restarts, children of their own.
//!
//! *Agreement*: no two correct parties decide differently. *Validity*: what is decided satisfies the
//! predicate, and is what its proposer proposed, if that one is correct. *Termination*: when nothing
//! is in flight, all have decided. *Integrity*: once. *No slander*. *Bounded memory*.
//!
//! More seeds: `MAFTIA_SEEDS=10000 cargo test --release --test multivalued`, and `MAFTIA_N=7` for one
//! size.

#![expect(clippy::unwrap_used, reason = "an oracle says what it found by failing the test")]

use bytes::Bytes;
use maftia_core::{
    agreement::{
        Predicate,
        multivalued::{Input, Multivalued, Output, Spec},
        validated::Validated,
    },
    broadcast::consistent::Consistent,
    id::PartyId,
    protocol::Protocol,
    seat::Seat,
    sim::{
        Group,
        behaviour::{Equivocate, Mute},
        oracle, p, property, size,
    },
};
use serde::{Deserialize, Serialize};

/// Whatever begins with a party's name may be proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Named;

impl Predicate for Named {
    type Proof = Bytes;

    fn holds(&self, _: &Seat, value: &Bytes) -> bool {
        value.starts_with(b"p")
    }
}

type Array = Multivalued<Named>;

/// A group whose size, first candidate, restarts and placement of children the seed chooses.
fn group(seed: u64) -> Group<Array> {
    let (n, f) = size(seed, &[4, 5, 7]);
    let first = p((seed / 4 % u64::from(n)) as u16);
    let spec = Spec { first, predicate: Named, limit: 100 };
    let group = Group::new(n, f, seed, spec).restarts(seed / 5 % 3);
    if seed % 4 == 3 {
        group.detach([
            Consistent::KIND,
            Validated::<maftia_core::agreement::multivalued::Closed>::KIND,
        ])
    } else {
        group
    }
}

fn propose_all(group: &mut Group<Array>) {
    let n = group.group(Group::<Array>::NAME).thresholds.n();
    for party in PartyId::all(n) {
        group.input(party, Input::Propose(format!("{party}").into()));
    }
}

/// Runs, and lets users approve what they are offered, until nothing happens any more.
fn run(group: &mut Group<Array>) {
    let n = group.group(Group::<Array>::NAME).thresholds.n();
    let mut seen = vec![0; n.into()];
    loop {
        group.run();
        let mut quiet = true;
        for party in PartyId::all(n) {
            let outputs = group.outputs(party);
            let fresh: Vec<_> = outputs[seen[party.index()]..].to_vec();
            seen[party.index()] = outputs.len();
            for output in fresh {
                if let Output::Offered { from, .. } = output {
                    quiet = false;
                    group.input(party, Input::Approve(from));
                }
            }
        }
        if quiet {
            return;
        }
    }
}

/// All promises, for a group that has come to rest. Tells whose proposal was decided.
fn check(group: &Group<Array>) -> PartyId {
    let decided = |party: &PartyId| -> Vec<(PartyId, Bytes)> {
        let decided = |output: &Output| match output {
            Output::Decided { from, value } => Some((*from, value.clone())),
            Output::Offered { .. } => None,
        };
        group.outputs(*party).iter().filter_map(decided).collect()
    };
    let correct = group.correct();
    let lists: Vec<_> =
        correct.iter().map(|party| (Group::<Array>::owner(*party), decided(party))).collect();
    let run = lists.iter().map(|(owner, list)| (*owner, list.as_slice())).collect();
    oracle::agreement(&run).unwrap();
    oracle::live(&run, 1).unwrap();
    let allowed = |(from, value): &(PartyId, Bytes)| {
        value.starts_with(b"p") && (!correct.contains(from) || *value == format!("{from}"))
    };
    oracle::only(&run, allowed).unwrap();
    assert!(lists.iter().all(|(_, list)| list.len() == 1), "{lists:?}");
    oracle::no_slander(group).unwrap();
    let bounds = oracle::Bounds { instances: 120, waiting: 300, snapshot: 1 << 18 };
    oracle::bounded(group, bounds).unwrap();
    lists[0].1[0].0
}

#[test]
fn all_decide_the_same_proposal_whatever_the_others_do() {
    property(90, |seed| {
        let mut group = group(seed).corrupt_any();
        propose_all(&mut group);
        run(&mut group);
        check(&group);
    });
}

#[test]
fn a_first_candidate_that_proposes_two_things_splits_nobody() {
    property(30, |seed| {
        let spec = Spec { first: p(0), predicate: Named, limit: 100 };
        let (n, f) = size(seed, &[4]);
        let mut group =
            Group::<Array>::new(n, f, seed, spec).corrupt(p(0), Equivocate::at_random());
        for (face, value) in ["p0 left", "p0 right"].into_iter().enumerate() {
            group.input_face(p(0), face, Input::Propose(value.into()));
        }
        for party in group.correct() {
            group.input(party, Input::Propose(format!("{party}").into()));
        }
        run(&mut group);
        check(&group);
    });
}

#[test]
fn without_the_first_candidate_the_coin_finds_another() {
    property(30, |seed| {
        let (n, f) = size(seed, &[7]);
        let spec = Spec { first: p(n - 1), predicate: Named, limit: 100 };
        let mut group = Group::<Array>::new(n, f, seed, spec);
        for party in PartyId::all(n).rev().take(f.into()) {
            group = group.corrupt(party, Mute);
        }
        propose_all(&mut group);
        run(&mut group);
        assert!(check(&group) < p(n - f));
    });
}
