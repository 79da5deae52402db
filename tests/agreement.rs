//! Agreements in simulated worlds: groups of 4, 5 and 7, every misdeed, every scheduler, restarts,
//! children of their own.
//!
//! *Agreement*: no two correct parties decide differently. *Validity*: a decision was proposed by a
//! correct party, or comes with a proof. *Termination*: when nothing is in flight, all have decided.
//! *Integrity*: once. *No slander*. *Bounded memory*.
//!
//! More seeds: `MAFTIA_SEEDS=10000 cargo test --release --test agreement`, and `MAFTIA_N=7` for one size.

#![expect(clippy::unwrap_used, reason = "an oracle says what it found by failing the test")]

use maftia_core::{
    agreement::{
        Predicate,
        binary::{self, Binary},
        bool_set::BoolSet,
        coin::{self, Coin},
        validated::{self, Validated},
    },
    crypto::Digest,
    id::{PartyId, Round},
    protocol::Protocol,
    seat::Seat,
    sim::{
        Group, Letter, Limits, Rng, World,
        behaviour::{Crash, Equivocate},
        explore_within, oracle, p, property, same_in_any_placement, seeds, size,
    },
};
use serde::{Deserialize, Serialize};

/// What is left of an agreement when it has stopped, whatever liars sent.
const BOUNDS: oracle::Bounds = oracle::Bounds { instances: 3, waiting: 64, snapshot: 65_536 };

/// A group whose size, restarts, order of links and placement of children the seed chooses.
fn group<P: Protocol>(seed: u64, spec: P::Spec) -> Group<P> {
    let (n, f) = size(seed, &[4, 5, 7]);
    let mut group = Group::new(n, f, seed, spec).restarts(seed / 3 % 3);
    if seed.is_multiple_of(5) {
        group = group.unordered();
    }
    if seed % 7 < 2 { group.detach([Coin::KIND, Binary::KIND]) } else { group }
}

fn parties<P: Protocol>(group: &Group<P>) -> Vec<PartyId> {
    PartyId::all(group.group(Group::<P>::NAME).thresholds.n()).collect()
}

#[test]
fn a_coin_is_common_whatever_liars_release() {
    property(150, |seed| {
        let mut group = group::<Coin>(seed, ()).corrupt_any();
        parties(&group).into_iter().for_each(|party| group.input(party, coin::Input::Toss));
        group.run();
        let run = group.correct_outputs();
        oracle::agreement(&run).unwrap();
        oracle::live(&run, 1).unwrap();
        oracle::exactly_once(&run).unwrap();
        oracle::no_slander(&group).unwrap();
        oracle::bounded(&group, BOUNDS).unwrap();
    });
}

/// The decided bits of correct parties; the rounds may differ.
fn decided(group: &Group<Binary>) -> Vec<bool> {
    let run = group.correct_outputs();
    oracle::live(&run, 1).unwrap();
    oracle::no_slander(group).unwrap();
    oracle::bounded(group, BOUNDS).unwrap();
    let bits: Vec<_> = run.iter().flat_map(|(_, outputs)| outputs.iter()).collect();
    assert_eq!(bits.len(), run.len(), "each decides once");
    let bits: Vec<_> =
        bits.into_iter().map(|binary::Output::Decided { value, .. }| *value).collect();
    assert!(bits.iter().all(|bit| *bit == bits[0]), "agreement: {bits:?}");
    bits
}

#[test]
fn binary_decides_one_proposed_bit() {
    property(300, |seed| {
        let spec = binary::Spec::biased_to(seed / 7 % 2 == 0);
        let mut group = group::<Binary>(seed, spec).corrupt_any();
        let mut rng = Rng::new(seed).fork(1);
        let mut proposed = Vec::new();
        for party in parties(&group) {
            let bit = rng.once_in(2);
            group.input(party, binary::Input::Propose(bit));
            if group.correct().contains(&party) {
                proposed.push(bit);
            }
        }
        group.run();
        assert!(proposed.contains(&decided(&group)[0]), "validity");
    });
}

/// A party that lies proposes 0 to some and 1 to others, and keeps to that in every step.
#[test]
fn binary_holds_against_two_faces() {
    property(200, |seed| {
        let group = group::<Binary>(seed, binary::Spec::biased_to(true));
        let mut group = group.corrupt(p(0), Equivocate::at_random());
        group.input_face(p(0), 0, binary::Input::Propose(false));
        group.input_face(p(0), 1, binary::Input::Propose(true));
        let mut rng = Rng::new(seed).fork(2);
        for party in group.correct() {
            group.input(party, binary::Input::Propose(rng.once_in(2)));
        }
        group.run();
        decided(&group);
    });
}

/// When all correct parties want the same, that is decided, and no real coin is tossed for it.
#[test]
fn binary_keeps_to_what_all_want() {
    property(100, |seed| {
        let mut group = group::<Binary>(seed, binary::Spec::biased_to(true)).corrupt_any();
        let wanted = seed / 3 % 2 == 0;
        for party in parties(&group) {
            let correct = group.correct().contains(&party);
            group.input(party, binary::Input::Propose(wanted == correct));
        }
        group.run();
        assert_eq!(decided(&group)[0], wanted);
        for (_, outputs) in group.correct_outputs() {
            let [binary::Output::Decided { round, .. }] = outputs else { unreachable!("checked") };
            assert!(round.number() <= 1, "decided in round {round}");
        }
    });
}

#[test]
fn where_a_coin_lives_changes_nothing() {
    property(40, |seed| {
        same_in_any_placement(&[Coin::KIND, Binary::KIND], |kinds| {
            let (n, f) = size(seed, &[4]);
            let mut group = Group::<Binary>::new(n, f, seed, binary::Spec::biased_to(true));
            group = group.detach(kinds.iter().copied());
            parties(&group).into_iter().for_each(|party| {
                group.input(party, binary::Input::Propose(seed.is_multiple_of(2)));
            });
            group.run();
            let bit = |output: &binary::Output| match output {
                binary::Output::Decided { value, .. } => *value,
            };
            let run = group.correct_outputs();
            run.into_iter().map(|(owner, all)| (owner, all.iter().map(bit).collect())).collect()
        })
        .unwrap();
    });
}

/// Multiples of three prove; seven makes the predicate fall over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Threes;

impl Predicate for Threes {
    type Proof = u64;

    fn holds(&self, _: &Seat, proof: &u64) -> bool {
        assert_ne!(*proof, 7, "liars choose what is judged");
        proof.is_multiple_of(3)
    }
}

/// What correct parties decided: all the same bit, each 1 with a proof.
fn judged(group: &Group<Validated<Threes>>) -> bool {
    let run = group.correct_outputs();
    oracle::live(&run, 1).unwrap();
    oracle::no_slander(group).unwrap();
    oracle::bounded(group, BOUNDS).unwrap();
    oracle::only(&run, |validated::Output::Decided(proof)| {
        proof.is_none_or(|proof| proof.is_multiple_of(3))
    })
    .unwrap();
    let bits: Vec<_> = run
        .iter()
        .flat_map(|(_, outputs)| outputs.iter())
        .map(|validated::Output::Decided(proof)| proof.is_some())
        .collect();
    assert_eq!(bits.len(), run.len(), "each decides once");
    assert!(bits.iter().all(|bit| *bit == bits[0]), "agreement: {bits:?}");
    bits[0]
}

#[test]
fn validated_decides_one_with_a_proof_only() {
    let mut seen = [0, 0];
    property(200, |seed| {
        let mut group = group::<Validated<Threes>>(seed, Threes).corrupt_any();
        let mut rng = Rng::new(seed).fork(3);
        for party in parties(&group) {
            let proof = rng.once_in(4).then(|| 3 * rng.below(300) as u64);
            group.input(party, validated::Input::Propose(proof));
        }
        group.run();
        seen[usize::from(judged(&group))] += 1;
    });
    let one_seed = std::env::var_os("MAFTIA_SEED").is_some();
    assert!(one_seed || seen.iter().all(|count| *count > 0), "both are decided: {seen:?}");
}

/// Bias: what `f + 1` correct parties prove is decided.
#[test]
fn validated_decides_what_enough_prove() {
    property(150, |seed| {
        let mut group = group::<Validated<Threes>>(seed, Threes).corrupt_any();
        let provers = usize::from(group.group(Group::<Validated<Threes>>::NAME).thresholds.f()) + 1;
        let mut correct = group.correct();
        let turned = seed as usize % correct.len();
        correct.rotate_left(turned);
        for party in parties(&group) {
            let proof = correct[..provers].contains(&party).then(|| 3 * u64::from(party.number()));
            group.input(party, validated::Input::Propose(proof));
        }
        group.run();
        assert!(judged(&group), "it was proven by {:?}", &correct[..provers]);
    });
}

/// With the schemes that the dealer deals by default, and with those over pairings.
#[test]
fn real_cryptography_changes_nothing() {
    for seed in [999, 1_999] {
        let (n, f) = size(seed, &[4]);
        let mut group = Group::<Validated<Threes>>::new(n, f, seed, Threes).corrupt_any();
        let owner = Group::<Validated<Threes>>::owner(p(0));
        let keys = group.seat(owner, Group::<Validated<Threes>>::NAME, "any").keys;
        let tag = group.seat(owner, Group::<Validated<Threes>>::NAME, "any").id.tag("any");
        let signature = keys.identity.sign(&tag, &Digest::of("any", b""));
        assert_eq!(signature.0.len(), 64, "an ideal one has 32 bytes");
        for party in parties(&group) {
            let proof = (party.number() % 2 == 0).then_some(3);
            group.input(party, validated::Input::Propose(proof));
        }
        group.run();
        judged(&group);
    }
}

/// Two faces of a liar: one with a proof for some, one without for the others.
#[test]
fn validated_holds_against_two_faces() {
    property(100, |seed| {
        let group = group::<Validated<Threes>>(seed, Threes);
        let mut group = group.corrupt(p(0), Equivocate::at_random());
        group.input_face(p(0), 0, validated::Input::Propose(Some(9)));
        group.input_face(p(0), 1, validated::Input::Propose(None));
        for party in group.correct() {
            group.input(party, validated::Input::Propose(None));
        }
        group.run();
        judged(&group);
    });
}

/// A word of the first round.
fn is_first(letter: &Letter) -> bool {
    let vote = letter.message::<Binary>();
    let round = vote.and_then(|vote| match vote {
        binary::Message::Estimate { round, .. }
        | binary::Message::Auxiliary { round, .. }
        | binary::Message::Confirm { round, .. } => Some(round),
        binary::Message::Finish { .. } => None,
    });
    letter.frame().is_none() || round == Some(Round::FIRST)
}

/// The coin of the first round is a constant. If it decides anybody, everybody goes on with that bit:
/// what is decided later cannot be anything else. What they go on with is in flight.
fn first_round_is_safe(world: &World) -> Result<(), oracle::Broken> {
    let correct = world.correct();
    let run: oracle::Run<'_, _> =
        correct.iter().map(|owner| (*owner, world.outputs::<Binary>(*owner))).collect();
    oracle::agreement(&run)?;
    let decided = run.iter().flat_map(|(_, outputs)| outputs.iter()).next();
    let Some(binary::Output::Decided { value: decided, .. }) = decided else { return Ok(()) };
    let flights = (0..world.pool().queues()).flat_map(|queue| world.pool().letters(queue));
    let next = flights.filter_map(|flight| match flight.letter.message::<Binary>() {
        Some(binary::Message::Estimate { round, value }) if round > Round::FIRST => Some(value),
        _ => None,
    });
    let other = next.filter(|value| value != decided).count();
    match other {
        0 => Ok(()),
        _ => Err(oracle::Broken {
            promise: "agreement",
            found: format!("{decided} is decided, and {other} letters go on with the other bit"),
        }),
    }
}

/// Three correct parties with these bits, and one that says these words of the first round to each:
/// both estimates, an auxiliary and a confirmation.
fn first_round(bits: [bool; 3], words: Option<[(bool, BoolSet); 3]>) -> World {
    let mut group = Group::<Binary>::new(4, 1, 0, binary::Spec::biased_to(true));
    let owner = Group::<Binary>::owner;
    group.corrupt_boxed(owner(p(3)), Box::new(Crash::after(0)));
    let round = Round::FIRST;
    let instance = group.seat(owner(p(3)), Group::<Binary>::NAME, Group::<Binary>::NAME).id;
    for (place, bit) in bits.into_iter().enumerate() {
        let party = p(place as u16);
        group.input(party, binary::Input::Propose(bit));
        let Some((value, values)) = words.map(|words| words[place]) else { continue };
        for message in [
            binary::Message::Estimate { round, value: false },
            binary::Message::Estimate { round, value: true },
            binary::Message::Auxiliary { round, value },
            binary::Message::Confirm { round, values },
        ] {
            group.inject::<Binary>(owner(p(3)), owner(party), &instance, &message);
        }
    }
    group.into_world()
}

/// How many states a search in a build that is not optimised may see.
const FEW: usize = 4_000;

/// The first round in every order, complete: three correct parties that do not agree, beside one that
/// is silent.
#[test]
fn the_first_round_holds_in_any_order() {
    let quick = cfg!(debug_assertions);
    let limits = Limits { depth: 64, states: if quick { FEW } else { 4_000_000 } };
    for bits in [[false, true, true], [true, false, false]] {
        let found = explore_within(first_round(bits, None), limits, is_first, first_round_is_safe);
        println!("{bits:?}: {found}");
        assert!(found.broken.is_none() && (quick || found.complete), "{bits:?}: {found}");
    }
}

/// The first round in many orders, as far as a bound of states reaches: beside one that says whatever
/// words it likes, to each something else.
#[test]
fn the_first_round_holds_whatever_one_says() {
    let limits = Limits { depth: 64, states: if cfg!(debug_assertions) { FEW } else { 20_000 } };
    let (no, yes) = (BoolSet::of(false), BoolSet::of(true));
    let mut states = 0;
    for seed in seeds(1).take(8) {
        let mut rng = Rng::new(seed).fork(0x5a1);
        let bits = [rng.once_in(2), true, false];
        let words = [(); 3].map(|()| (rng.once_in(2), *rng.choose(&[no, yes, BoolSet::BOTH])));
        let world = first_round(bits, Some(words));
        let found = explore_within(world, limits, is_first, first_round_is_safe);
        assert!(found.broken.is_none(), "{bits:?} {words:?}: {found}");
        states += found.states;
    }
    println!("{states} states");
    assert!(states >= FEW, "a search that sees little shows little: {states}");
}
