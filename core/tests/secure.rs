//! The promises of the secure causal atomic stream in simulated worlds: groups of 4 and 7, every
//! misdeed, restarts, losses, real cryptography.
//!
//! *Total order* and *agreement*, of what is opened and of what is not; *liveness* whatever liars do;
//! *no copies*: nobody gets the content of another's ciphertext ordered in a name of its own; *no
//! slander*; *bounded memory*.
//!
//! More seeds: `MAFTIA_SEEDS=10000 cargo test --release -p maftia-core --features sim --test secure`.

#![expect(clippy::unwrap_used, reason = "an oracle says what it found by failing the test")]

use bytes::Bytes;
use maftia_core::{
    crypto::Ciphertext,
    effects::Lane,
    id::{ClientId, PartyId, Round, Slot},
    path::InstanceId,
    protocol::Protocol,
    seat::Owner,
    sim::{
        Group, Pick, Rng, World,
        adversary::{Random, Relents, Script},
        behaviour::{Behaviour, Corrupted, Crash, Mute, Outgoing, WrongShare},
        oracle::{self, Run},
        p, property, size,
    },
    stream::{
        atomic::{self, Atomic, Position},
        batch::Batch,
        fast::Fast,
        secure::{Author, Engine, Input, Output, Secure, Spec},
    },
    wire,
};
use serde::{Deserialize, Serialize};

type Stream = Secure<Atomic>;

/// The most letters until everything is delivered, and again until all is silent.
const STEPS_MAX: u64 = 200_000;
/// How long an order that a seed chose goes on.
const UNFAIR_STEPS: u64 = 3_000;
/// How long liars may go on after everything is delivered.
const LIARS_STEPS: u64 = 1_000;

/// What is in the slots: who wrote what, or that nothing can be read.
type Slots = Vec<Option<(Author, Batch)>>;

fn group(n: u16, seed: u64) -> Group<Stream> {
    group_over::<Atomic>(n, seed)
}

fn group_over<A: Engine<Spec: Default>>(n: u16, seed: u64) -> Group<Secure<A>> {
    let mut group = Group::<Secure<A>>::new(n, (n - 1) / 3, seed, Spec::default());
    group.set_steps_max(STEPS_MAX);
    group.set_adversary(Relents::at(UNFAIR_STEPS));
    for party in PartyId::all(n) {
        group.input(party, Input::Pull { up_to: Slot::new(u64::MAX) });
    }
    group
}

fn submit<A: Engine>(group: &mut Group<Secure<A>>, party: PartyId, payload: &str) {
    group.input(party, Input::Submit { batch: Batch::of([payload]) });
}

/// Everything in the order of its slots. Without a checkpoint in between, slots have no gaps.
fn slots(outputs: &[Output]) -> Slots {
    let mut all = Slots::new();
    for output in outputs {
        match output {
            Output::Deliver { slot, author, batch, .. } => {
                assert_eq!(slot.number(), all.len() as u64, "slots have no gaps");
                all.push(Some((*author, batch.clone())));
            }
            Output::Invalid { first, count, .. } => {
                assert_eq!(first.number(), all.len() as u64, "slots have no gaps");
                all.extend((0..*count).map(|_| None));
            }
            _ => {}
        }
    }
    all
}

/// What a party wrote.
fn of(slots: &Slots, party: PartyId) -> Vec<Bytes> {
    let own = slots.iter().flatten().filter(|(author, _)| *author == Author::Member(party));
    own.flat_map(|(_, batch)| batch.iter().collect::<Vec<_>>()).collect()
}

fn ends(outputs: &[Output]) -> Vec<Position> {
    let end = |output: &Output| match output {
        Output::RoundEnd { position } => Some(position.clone()),
        _ => None,
    };
    outputs.iter().filter_map(end).collect()
}

/// Some payloads of everybody in some waves, among which whatever is in flight may arrive.
fn send<A: Engine>(group: &mut Group<Secure<A>>, n: u16, waves: usize) -> Vec<(PartyId, String)> {
    let mut submitted = Vec::new();
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

/// Goes on until every correct party has delivered what correct ones submitted; then lets liars go on
/// for a while, fall silent, and all others come to rest.
fn finish<A: Engine>(group: &mut Group<Secure<A>>, submitted: &[(PartyId, String)]) {
    let correct = group.correct();
    let expected = submitted.iter().filter(|(party, _)| correct.contains(party)).count();
    let lacks = |group: &Group<Secure<A>>, party: &PartyId| {
        let all = slots(group.outputs(*party));
        correct.iter().map(|author| of(&all, *author).len()).sum::<usize>() < expected
    };
    let begun = group.steps();
    loop {
        let until = group.steps() + 64;
        let ended = group.run_while(|world| world.steps() < until);
        if !correct.iter().any(|party| lacks(group, party)) {
            break;
        }
        assert!(!ended, "nothing is in flight, and not all is delivered");
        assert!(group.steps() < begun + STEPS_MAX, "not delivered after {STEPS_MAX} letters");
    }
    let until = group.steps() + LIARS_STEPS;
    group.run_while(|world| world.steps() < until);
    let liars = group.parties().into_iter().filter(|owner| group.is_corrupted(*owner));
    for liar in liars.collect::<Vec<_>>() {
        group.corrupt_boxed(liar, Box::new(Mute));
    }
    group.run();
}

/// The same slots everywhere, all that correct parties submitted in their order, no slander, rest.
fn check<A: Engine>(group: &Group<Secure<A>>, submitted: &[(PartyId, String)]) -> Slots {
    let correct = group.correct();
    let lists: Vec<_> =
        correct.iter().map(|party| (*party, slots(group.outputs(*party)))).collect();
    let run: Run<'_, _> =
        lists.iter().map(|(party, list)| (Group::<Secure<A>>::owner(*party), &list[..])).collect();
    oracle::total_order(&run).unwrap();
    for (at, list) in &lists {
        for party in &correct {
            let expected = submitted.iter().filter(|(from, _)| from == party);
            let expected: Vec<_> = expected.map(|(_, payload)| payload.clone()).collect();
            assert_eq!(of(list, *party), expected, "all that {party} submitted, at {at}");
        }
        assert_eq!(list.len(), lists[0].1.len(), "all end at the same place");
    }
    oracle::no_slander(group).unwrap();
    oracle::quiet(group).unwrap();
    lists[0].1.clone()
}

#[test]
fn everything_is_opened_by_all_in_one_order_whatever_the_others_do() {
    property(32, |seed| {
        let (n, _) = size(seed, &[4, 7]);
        let mut group = group(n, seed).corrupt_any().restarts(2);
        if seed % 4 == 3 {
            group = group.detach([Atomic::KIND]);
        }
        let submitted = send(&mut group, n, 3);
        finish(&mut group, &submitted);
        check(&group, &submitted);
        let bounds = oracle::Bounds { instances: 200, waiting: 600, snapshot: 1 << 20 };
        oracle::bounded(&group, bounds).unwrap();
    });
}

#[test]
fn wrong_shares_of_f_hold_nobody_up() {
    property(12, |seed| {
        let (n, f) = size(seed, &[4, 7]);
        let mut group = group(n, seed);
        for liar in 0..f {
            group = group.corrupt(p(liar), WrongShare);
        }
        let submitted = send(&mut group, n, 2);
        finish(&mut group, &submitted);
        check(&group, &submitted);
    });
}

#[test]
fn whatever_links_lose_everything_is_opened_by_all() {
    property(16, |seed| {
        let (n, f) = size(seed, &[4, 7]);
        let mut group = group(n, seed).losses(30).restarts(2);
        for fallen in 0..f {
            group = match seed / 2 % 3 {
                0 => group.corrupt(p(n - 1 - fallen), Mute),
                1 => group.corrupt(p(fallen), Crash::after(seed * 7 % 2_000)),
                _ => group,
            };
        }
        let submitted = send(&mut group, n, 4);
        group.set_adversary(Random);
        finish(&mut group, &submitted);
        check(&group, &submitted);
    });
}

/// Another engine, the same promises.
#[test]
fn the_fast_engine_does_the_same() {
    property(16, |seed| {
        let (n, _) = size(seed, &[4, 7]);
        let mut group = group_over::<Fast>(n, seed).corrupt_any().restarts(seed % 2);
        let submitted = send(&mut group, n, 3);
        finish(&mut group, &submitted);
        check(&group, &submitted);
    });
}

/// One seed of each of the sets of real schemes.
#[test]
fn the_real_cipher_does_the_same() {
    let blst = cfg!(feature = "blst").then_some(2999);
    for seed in [999, 1999].into_iter().chain(blst) {
        let mut group = group(4, seed).corrupt(p(3), WrongShare);
        let submitted = send(&mut group, 4, 1);
        finish(&mut group, &submitted);
        check(&group, &submitted);
    }
}

/// What stands in a batch of the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Envelope {
    author: Author,
    ciphertext: Ciphertext,
}

/// Announces, properly signed, copies of what the others announce: as it is, in its own name, and in
/// the name of a client of its own.
#[derive(Clone, Debug, Default)]
struct CopyCat {
    last: Option<Round>,
}

fn client() -> ClientId {
    ClientId::of_key(&maftia_core::crypto::Digest::of("test", b"the copycat's client"))
}

impl CopyCat {
    fn copies(me: Owner, batch: &Batch) -> Vec<Bytes> {
        let Owner::Party(_, me) = me else { return Vec::new() };
        let one = |bytes: Bytes| {
            let Ok(Envelope { ciphertext, .. }) = wire::decode(&bytes) else { return Vec::new() };
            let names = [Author::Member(me), Author::Client(client())];
            let copy = |author| wire::encode(&Envelope { author, ciphertext: ciphertext.clone() });
            [vec![bytes], names.into_iter().map(copy).collect()].concat()
        };
        batch.iter().flat_map(one).take(4).collect()
    }
}

impl Behaviour for CopyCat {
    fn name(&self) -> &'static str {
        "copycat"
    }

    fn send(&mut self, _: Outgoing, _: &mut Corrupted<'_>) {}

    fn hear(&mut self, _: Owner, instance: &InstanceId, bytes: &Bytes, cx: &mut Corrupted<'_>) {
        let Ok(atomic::Message::Queue { round, batch, .. }) = wire::decode(bytes) else { return };
        if instance.path().len() != 1 || self.last.is_some_and(|last| last >= round) {
            return;
        }
        self.last = Some(round);
        let batch = Batch::of(Self::copies(cx.me, &batch));
        let (digest, tag) = (batch.digest(), instance.tag("queue").numbered(round.number()));
        let signature = cx.keys.identity.sign(&tag, &digest);
        let bytes = wire::encode(&atomic::Message::Queue { round, digest, batch, signature });
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
fn nobody_gets_anothers_ciphertext_opened_in_a_name_of_its_own() {
    let mut refused = 0;
    property(16, |seed| {
        let (n, f) = size(seed, &[4, 7]);
        let mut group = group(n, seed);
        for liar in 0..f {
            group = group.corrupt(p(n - 1 - liar), CopyCat::default());
        }
        let submitted = send(&mut group, n, 2);
        finish(&mut group, &submitted);
        let all = check(&group, &submitted);
        let correct = group.correct();
        for (author, _) in all.iter().flatten() {
            let of_correct = |party| correct.contains(&party);
            assert!(matches!(author, Author::Member(party) if of_correct(*party)), "{author:?}");
        }
        refused += all.iter().filter(|slot| slot.is_none()).count();
    });
    assert!(refused > 0, "copies were ordered, and took their slots");
}

/// Delivers nothing to or from `who`, and ends the run when nothing else is left.
fn without(who: PartyId) -> impl FnMut(&World, &mut Rng) -> Option<Pick> + Send {
    let who = Group::<Stream>::owner(who);
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

/// A group of which the last party hears nothing for so many rounds, and then everything.
fn starved(seed: u64, n: u16, rounds: usize, spec: Spec<atomic::Spec>) -> Group<Stream> {
    let last = p(n - 1);
    let mut group =
        Group::<Stream>::new(n, (n - 1) / 3, seed, spec).adversary(Script(without(last)));
    group.set_steps_max(STEPS_MAX);
    for party in PartyId::all(n) {
        group.input(party, Input::Pull { up_to: Slot::new(u64::MAX) });
    }
    submit(&mut group, last, "from the one who starves");
    for round in 0..rounds {
        submit(&mut group, p(round as u16 % (n - 1)), &format!("{round}"));
        group.run();
    }
    assert!(slots(group.outputs(last)).is_empty());
    assert_eq!(slots(group.outputs(p(0))).len(), rounds);
    group.set_adversary(Random);
    group.run();
    group
}

#[test]
fn one_who_starved_for_some_rounds_opens_what_it_missed() {
    property(4, |seed| {
        let (n, _) = size(seed, &[4, 7]);
        // Some rounds are empty, and all of them must be kept.
        let engine = atomic::Spec { rounds_kept: 256, ..atomic::Spec::default() };
        let group = starved(seed, n, 50, Spec { engine, ..Spec::default() });
        let all = slots(group.outputs(p(0)));
        assert_eq!(all.len(), 51, "and its own payload is opened in the end");
        assert_eq!(slots(group.outputs(p(n - 1))), all);
        oracle::no_slander(&group).unwrap();
    });
}

#[test]
fn one_who_starved_beyond_what_is_kept_resumes() {
    property(2, |seed| {
        let engine = atomic::Spec { rounds_kept: 16, ..atomic::Spec::default() };
        let spec = Spec { engine, shares_kept: 16, ..Spec::default() };
        let mut group = starved(seed, 4, 200, spec);
        assert!(group.outputs(p(3)).contains(&Output::Behind));
        let known = ends(group.outputs(p(1)));
        let position = known[known.len() - 6].clone();
        group.input(p(3), Input::Resume { position });
        group.run();
        submit(&mut group, p(3), "back again");
        group.run();
        for party in group.correct() {
            let last = group.outputs(party).iter().rev().find_map(|output| match output {
                Output::Deliver { batch, .. } => batch.get(batch.len() - 1),
                _ => None,
            });
            assert_eq!(last, Some(Bytes::from("back again")), "{party}");
        }
        let bounds = oracle::Bounds { instances: 60, waiting: 600, snapshot: 1 << 20 };
        oracle::bounded(&group, bounds).unwrap();
        oracle::no_slander(&group).unwrap();
    });
}
