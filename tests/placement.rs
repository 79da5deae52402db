//! Where an instance runs changes nothing but time: the whole stack below an atomic stream with
//! everything in one tree, with one actor's worth of children, and with every child in a tree of its
//! own, whose asks and answers the adversary delays like frames.
//!
//! More seeds: `MAFTIA_SEEDS=10000 cargo test --release --test placement`.

#![expect(clippy::unwrap_used, reason = "an oracle says what it found by failing the test")]

use maftia_core::{
    agreement::{
        binary::Binary,
        coin::Coin,
        multivalued::{self, Multivalued},
        validated::Validated,
    },
    broadcast::consistent::Consistent,
    id::{PartyId, Slot},
    protocol::{Kind, Protocol},
    seat::Seat,
    sim::{Group, Outcome, oracle, p, property, same_in_any_placement},
    stream::{
        atomic::{self, Atomic},
        batch::Batch,
    },
};
use serde::{Deserialize, Serialize};

/// Kinds by name: some protocols are generic, their names are not.
fn everything() -> Vec<Kind> {
    vec![
        Multivalued::<Anything>::KIND,
        Validated::<Nothing>::KIND,
        Consistent::KIND,
        Binary::KIND,
        Coin::KIND,
    ]
}

/// Every proposal is fine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Anything;

impl maftia_core::agreement::Predicate for Anything {
    type Proof = bytes::Bytes;

    fn holds(&self, _: &Seat, _: &bytes::Bytes) -> bool {
        true
    }
}

/// No proof is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Nothing;

impl maftia_core::agreement::Predicate for Nothing {
    type Proof = u64;

    fn holds(&self, _: &Seat, _: &u64) -> bool {
        false
    }
}

/// The payloads in the order of their slots, each with who submitted it.
fn delivered(outputs: &[atomic::Output]) -> Vec<(PartyId, String)> {
    let mut all = Vec::new();
    for output in outputs {
        if let atomic::Output::Deliver { from, batch, .. } = output {
            let text = |payload: bytes::Bytes| String::from_utf8_lossy(&payload).into_owned();
            all.extend(batch.iter().map(|payload| (*from, text(payload))));
        }
    }
    all
}

/// What each party delivers, sorted: which round a payload meets is a matter of time.
fn stream(seed: u64, kinds: &[Kind]) -> Outcome<(PartyId, String)> {
    let mut group = Group::<Atomic>::new(4, 1, seed, atomic::Spec::default())
        .detach(kinds.iter().copied())
        .restarts(seed % 3);
    for party in PartyId::all(4) {
        group.input(party, atomic::Input::Pull { up_to: Slot::new(u64::MAX) });
        for count in 0..2 {
            let batch = Batch::of([format!("{count} of {party}"), "same".into()]);
            group.input(party, atomic::Input::Submit { batch });
        }
    }
    group.run();
    let run = group.correct_outputs();
    let all: Outcome<_> =
        run.into_iter().map(|(owner, outputs)| (owner, delivered(outputs))).collect();
    let lists = || all.iter().map(|(owner, list)| (*owner, list.as_slice())).collect();
    oracle::total_order(&lists()).unwrap();
    oracle::live(&lists(), 16).unwrap();
    oracle::no_slander(&group).unwrap();
    let sorted = |(owner, mut list): (_, Vec<_>)| {
        list.sort();
        (owner, list)
    };
    all.into_iter().map(sorted).collect()
}

#[test]
fn a_stream_delivers_the_same_wherever_its_agreements_run() {
    let actors = [Multivalued::<Anything>::KIND, Binary::KIND];
    property(12, |seed| {
        same_in_any_placement(&actors, |kinds| stream(seed, kinds)).unwrap();
        same_in_any_placement(&everything(), |kinds| stream(seed, kinds)).unwrap();
    });
}

/// What each party decides when all propose the same.
fn agreement(seed: u64, kinds: &[Kind]) -> Outcome<bytes::Bytes> {
    let spec = multivalued::Spec { first: p(1), predicate: Anything, limit: 100 };
    let mut group =
        Group::<Multivalued<Anything>>::new(4, 1, seed, spec).detach(kinds.iter().copied());
    for party in PartyId::all(4) {
        group.input(party, multivalued::Input::Propose("this".into()));
        PartyId::all(4).for_each(|of| group.input(party, multivalued::Input::Approve(of)));
    }
    group.run();
    oracle::no_slander(&group).unwrap();
    let decided = |output: &multivalued::Output| match output {
        multivalued::Output::Decided { value, .. } => Some(value.clone()),
        multivalued::Output::Offered { .. } => None,
    };
    let run = group.correct_outputs();
    run.into_iter().map(|(owner, all)| (owner, all.iter().filter_map(decided).collect())).collect()
}

#[test]
fn an_agreement_decides_the_same_wherever_its_votes_run() {
    property(20, |seed| {
        let inline = agreement(seed, &[]);
        assert!(inline.iter().all(|(_, decided)| *decided == [bytes::Bytes::from("this")]));
        same_in_any_placement(&everything(), |kinds| agreement(seed, kinds)).unwrap();
    });
}
