//! Broadcasts in simulated worlds: groups of 4, 5 and 7, every misdeed, every scheduler, restarts.
//!
//! *Validity*: what a correct sender says is delivered. *Consistency*: no two correct parties deliver
//! differently. *Totality* (reliable): if one does, all do. *Integrity*: once. *No slander*.
//!
//! More seeds: `MAFTIA_SEEDS=10000 cargo test --release --test broadcast`, and `MAFTIA_N=7` for one size.

use std::collections::BTreeSet;

use bytes::Bytes;
use maftia_core::{
    broadcast::{
        consistent::{self, Consistent},
        reliable::{self, Reliable},
    },
    crypto::Digest,
    fault::Fault,
    id::{PartyId, Peer},
    protocol::Protocol,
    sim::{
        Group, Limits, World,
        behaviour::{Crash, Equivocate, Mutate, Withhold},
        explore, oracle, p, property, seeds, size,
    },
};

const LIMIT: usize = 100;
const RELIABLE: reliable::Spec = reliable::Spec { sender: p0(), limit: LIMIT };
const CONSISTENT: consistent::Spec =
    consistent::Spec { sender: p0(), limit: LIMIT, approve: false };

const fn p0() -> maftia_core::id::PartyId {
    maftia_core::id::PartyId::new(0)
}

/// What a tree may hold after one broadcast of a few bytes among seven parties.
const BOUNDS: oracle::Bounds = oracle::Bounds { instances: 1, waiting: 0, snapshot: 4_096 };

/// A group whose size, restarts and order of links the seed chooses.
fn group<P: Protocol>(seed: u64, spec: P::Spec) -> Group<P> {
    let (n, f) = size(seed, &[4, 5, 7]);
    let group = Group::new(n, f, seed, spec).restarts(seed / 3 % 3);
    if seed.is_multiple_of(5) { group.unordered() } else { group }
}

fn payload(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[test]
fn reliable_delivers_what_a_correct_sender_says() {
    property(150, |seed| {
        let mut group = group::<Reliable>(seed, RELIABLE).corrupt_any();
        group.input(p(0), reliable::Input::Broadcast(payload("a")));
        group.run();
        let run = group.correct_outputs();
        oracle::live(&run, 1).unwrap();
        oracle::exactly_once(&run).unwrap();
        oracle::only(&run, |output| *output == reliable::Output::Delivered(payload("a"))).unwrap();
        oracle::no_slander(&group).unwrap();
        oracle::bounded(&group, BOUNDS).unwrap();
    });
}

/// The sender runs two copies of itself, and says one thing to some and another to the rest.
#[test]
fn reliable_holds_together_when_the_sender_equivocates() {
    let mut told_otherwise = 0;
    property(150, |seed| {
        let group = group::<Reliable>(seed, RELIABLE);
        let mut group = group.corrupt(p(0), Equivocate::at_random());
        group.input_face(p(0), 0, reliable::Input::Broadcast(payload("a")));
        group.input_face(p(0), 1, reliable::Input::Broadcast(payload("b")));
        group.run();
        let run = group.correct_outputs();
        oracle::agreement(&run).unwrap();
        oracle::totality(&run).unwrap();
        oracle::exactly_once(&run).unwrap();
        oracle::no_slander(&group).unwrap();
        told_otherwise += u64::from(group.accusations().iter().any(|(_, accusation)| {
            accusation.peer == Peer::Member(p(0))
                && matches!(accusation.fault, Fault::ToldOtherwise { .. })
        }));
    });
    let one_seed = std::env::var_os("MAFTIA_SEED").is_some();
    assert!(told_otherwise > 0 || one_seed, "the sender is named");
}

/// Whatever else a sender does that lies: it withholds, replays, forges, flips bits.
#[test]
fn reliable_holds_together_whatever_the_sender_does() {
    property(150, |seed| {
        let mut group = group::<Reliable>(seed, RELIABLE);
        let owner = Group::<Reliable>::owner(p(0));
        group.corrupt_boxed(owner, maftia_core::sim::behaviour::any(seed));
        group.input(p(0), reliable::Input::Broadcast(payload("a")));
        group.run();
        let run = group.correct_outputs();
        oracle::agreement(&run).unwrap();
        oracle::totality(&run).unwrap();
        oracle::exactly_once(&run).unwrap();
        oracle::no_slander(&group).unwrap();
        oracle::bounded(&group, BOUNDS).unwrap();
    });
}

/// The payload goes to as few as make it go through: all others fetch it, and of those that they ask
/// one lies, if two may.
#[test]
fn reliable_fetches_what_the_sender_kept_from_some() {
    property(60, |seed| {
        let (n, f) = size(seed, &[7]);
        let group = Group::<Reliable>::new(n, f, seed, RELIABLE);
        let kept = Mutate::<Reliable>::new(move |to, message| {
            let few = (1..=2 * f).any(|party| to == Group::<Reliable>::owner(p(party)));
            few || !matches!(message, reliable::Message::Initial(_))
        });
        let liar = Mutate::<Reliable>::new(|_, message| {
            if let reliable::Message::Answer(answer) = message {
                *answer = payload("no");
            }
            true
        });
        let mut group = group.corrupt(p(0), kept);
        if f > 1 {
            group = group.corrupt(p(1), liar);
        }
        group.input(p(0), reliable::Input::Broadcast(payload("a")));
        group.run();
        let run = group.correct_outputs();
        oracle::live(&run, 1).unwrap();
        oracle::only(&run, |output| *output == reliable::Output::Delivered(payload("a"))).unwrap();
        oracle::no_slander(&group).unwrap();
    });
}

#[test]
fn consistent_delivers_what_a_correct_sender_says_and_the_closing_convinces() {
    property(150, |seed| {
        let mut group = group::<Consistent>(seed, CONSISTENT).corrupt_any();
        group.input(p(0), consistent::Input::Broadcast(payload("a")));
        group.run();
        let run = group.correct_outputs();
        oracle::live(&run, 1).unwrap();
        oracle::exactly_once(&run).unwrap();
        let seat = group.seat(Group::<Consistent>::owner(p(1)), Group::<Consistent>::NAME, "test");
        oracle::only(&run, |output| match output {
            consistent::Output::Delivered(closing) => {
                closing.payload == payload("a") && closing.check(&seat.id, &seat.keys)
            }
            consistent::Output::Offered { .. } => false,
        })
        .unwrap();
        oracle::no_slander(&group).unwrap();
        oracle::bounded(&group, BOUNDS).unwrap();
    });
}

/// Some may deliver and others not; then one who did makes all others deliver.
#[test]
fn consistent_never_splits_and_a_closing_completes_it() {
    let mut incomplete = 0;
    property(200, |seed| {
        let mut group = group::<Consistent>(seed, CONSISTENT);
        group = match seed % 4 {
            0 => group.corrupt(p(0), Withhold::at_random()),
            1 | 2 => group.corrupt(p(0), Equivocate::at_random()),
            _ => {
                let owner = Group::<Consistent>::owner(p(0));
                group.corrupt_boxed(owner, maftia_core::sim::behaviour::any(seed));
                group
            }
        };
        if seed % 4 == 1 || seed % 4 == 2 {
            group.input_face(p(0), 0, consistent::Input::Broadcast(payload("a")));
            group.input_face(p(0), 1, consistent::Input::Broadcast(payload("b")));
        } else {
            group.input(p(0), consistent::Input::Broadcast(payload("a")));
        }
        group.run();
        oracle::no_slander(&group).unwrap();
        let delivered: Vec<_> =
            group.correct_outputs().iter().flat_map(|(_, outputs)| outputs.to_vec()).collect();
        let closings = delivered.into_iter().filter_map(|output| match output {
            consistent::Output::Delivered(closing) => Some(closing),
            consistent::Output::Offered { .. } => None,
        });
        let closings: Vec<_> = closings.collect();
        let payloads: BTreeSet<_> = closings.iter().map(|closing| &closing.payload).collect();
        assert!(payloads.len() <= 1, "two payloads: {payloads:?}");
        let Some(closing) = closings.first().cloned() else { return };
        incomplete += u64::from(closings.len() < group.correct().len());
        for party in group.correct() {
            group.input(party, consistent::Input::Close(closing.clone()));
        }
        group.run();
        let run = group.correct_outputs();
        oracle::live(&run, 1).unwrap();
        oracle::exactly_once(&run).unwrap();
    });
    let one_seed = std::env::var_os("MAFTIA_SEED").is_some();
    assert!(incomplete > 0 || one_seed, "no run left anybody out: the test shows little");
}

/// A sender that tells two parties one thing and one party another, in every order in which messages
/// can arrive: complete, not sampled.
#[test]
fn consistent_never_splits_in_any_order() {
    let group = Group::<Consistent>::new(4, 1, 0, CONSISTENT);
    let mut group = group.corrupt(p(0), Equivocate::to([p(3)]));
    group.input_face(p(0), 0, consistent::Input::Broadcast(payload("a")));
    group.input_face(p(0), 1, consistent::Input::Broadcast(payload("b")));
    let correct: Vec<_> = (1..4).map(|party| Group::<Consistent>::owner(p(party))).collect();
    let limits = Limits { depth: 64, states: 200_000 };
    let found = explore(group.into_world(), limits, |world| {
        let outputs = correct.iter().map(|owner| (*owner, world.outputs::<Consistent>(*owner)));
        oracle::agreement(&outputs.collect())
    });
    assert!(found.broken.is_none() && found.complete, "{found}");
}

/// What a corrupted sender says, word by word: the payload that each of the three others is given, and
/// the digests that it echoes and is ready for, to each of them, in this order. Every state shows a
/// liar that says no more, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Words {
    given: bool,
    echo: bool,
    ready: bool,
}

/// All sets of words up to the names of the parties and of the two payloads: the first two parties
/// are given one payload, and the last the same or the other one.
fn scripts() -> Vec<[Words; 3]> {
    let mut scripts = Vec::new();
    for bits in 0..128_u8 {
        let bit = |at: u8| bits >> at & 1 == 1;
        let words = |given, at: u8| Words { given, echo: bit(2 * at), ready: bit(2 * at + 1) };
        let script = [words(false, 0), words(false, 1), words(bit(6), 2)];
        let alike = if script[2].given { 2 } else { 3 };
        if script[..alike].is_sorted() {
            scripts.push(script);
        }
    }
    scripts
}

/// The world in which these liars say these words, the first of them to the parties that do not lie.
fn told(liars: &[PartyId], script: [Words; 3]) -> World {
    let mut group = Group::<Reliable>::new(4, 1, 0, RELIABLE);
    let owner = Group::<Reliable>::owner;
    for liar in liars {
        group.overrun(owner(*liar), Box::new(Crash::after(0)));
    }
    let instance = group.seat(owner(p(0)), Group::<Reliable>::NAME, Group::<Reliable>::NAME).id;
    let payload = |other: bool| payload(if other { "b" } else { "a" });
    let name = |other: bool| Digest::of("broadcast", &payload(other));
    for (party, words) in group.correct().into_iter().zip(script) {
        for liar in liars {
            let mut say = |message| {
                group.inject::<Reliable>(owner(*liar), owner(party), &instance, &message);
            };
            if *liar == p(0) {
                say(reliable::Message::Initial(payload(words.given)));
            }
            say(reliable::Message::Echo(name(words.echo)));
            say(reliable::Message::Ready(name(words.ready)));
        }
    }
    group.into_world()
}

/// No two deliver differently; and when all that correct parties said has arrived, all have delivered
/// or none, even if what liars have in flight never arrives.
fn together(world: &World) -> Result<(), oracle::Broken> {
    let correct = world.correct();
    let run: oracle::Run<'_, _> =
        correct.iter().map(|owner| (*owner, world.outputs::<Reliable>(*owner))).collect();
    oracle::agreement(&run)?;
    oracle::exactly_once(&run)?;
    let of_liars = |queue| {
        let ends = world.pool().head(queue).letter.frame();
        ends.is_some_and(|(from, ..)| world.is_corrupted(from))
    };
    if (0..world.pool().queues()).all(of_liars) { oracle::totality(&run) } else { Ok(()) }
}

/// What a search may see: all there is, but little in a build that is not optimised.
const SEARCH: Limits =
    Limits { depth: 64, states: if cfg!(debug_assertions) { 1_000 } else { 1_000_000 } };

/// Every order of everything, for every word that the sender may say: complete, not sampled. More of
/// the scripts: `MAFTIA_SEEDS=60`.
#[test]
fn reliable_holds_together_in_any_order_whatever_the_sender_says() {
    let scripts = scripts();
    let (mut states, mut finals, mut count) = (0, 0, 0);
    for at in seeds(2).take(scripts.len()) {
        let script = scripts[at as usize * 37 % scripts.len()];
        let found = explore(told(&[p(0)], script), SEARCH, together);
        let complete = found.complete || cfg!(debug_assertions);
        assert!(found.broken.is_none() && complete, "{script:?}: {found}");
        states += found.states;
        finals += found.quiet;
        count += 1;
    }
    println!("{count} of {} scripts: {states} states, {finals} of them final", scripts.len());
    assert!(states > 100 * count, "a search that sees little shows little: {states}");
}

/// The same search sees what one liar more than promised does.
#[test]
fn a_search_sees_two_liars_leave_one_out() {
    let words = |other| Words { given: other, echo: other, ready: other };
    let script = [words(false), words(true), words(true)];
    let found = explore(told(&[p(0), p(3)], script), SEARCH, together);
    assert_eq!(found.broken.expect("they can").0.promise, "totality");
}
