//! The end of an atomic stream in simulated worlds: one slot for all, whatever liars ask.
//!
//! More seeds: `MAFTIA_SEEDS=10000 cargo test --release --test closing`, and `MAFTIA_N=7` for one size.

#![expect(clippy::unwrap_used, reason = "an oracle says what it found by failing the test")]

use std::collections::BTreeSet;

use maftia_core::{
    id::{PartyId, Slot},
    seat::Owner,
    sim::{
        Group, Pick, Rng, World,
        adversary::{Relents, Script},
        behaviour::{Mutate, Mute},
        oracle, p, property, size,
    },
    stream::{
        atomic::{self, Atomic, Position},
        batch::Batch,
        certified::{self, Certified},
        closing::{Closing, Engine, Input, Message, Output, Spec},
        fast::{self, Fast},
        secure::{self, Secure},
    },
};

type Stream = Closing<Atomic>;

fn spec<S: Default>(lag_max: usize) -> Spec<S> {
    Spec { engine: S::default(), lag_max }
}

fn group<E: Engine<Spec: Default>>(n: u16, seed: u64) -> Group<Closing<E>> {
    let mut group = Group::<Closing<E>>::new(n, (n - 1) / 3, seed, spec(16 << 20));
    group.set_adversary(Relents::at(2_000));
    group.set_steps_max(400_000);
    if seed.is_multiple_of(3) { group.detach([E::KIND]) } else { group }
}

fn take_all<E: Engine>(group: &mut Group<Closing<E>>) {
    for owner in group.parties() {
        if let Owner::Party(_, party) = owner {
            group.input(party, Input::Pull { up_to: Slot::new(u64::MAX) });
        }
    }
}

fn submit<E: Engine>(group: &mut Group<Closing<E>>, party: PartyId, payload: &str) {
    group.input(party, Input::Submit { batch: Batch::of([payload]) });
}

/// What a party delivered, and at which slot each stood.
fn delivered(outputs: &[Output]) -> Vec<(Slot, PartyId, bytes::Bytes)> {
    let mut all = Vec::new();
    for output in outputs {
        if let Output::Stream(atomic::Output::Deliver { first, from, batch }) = output {
            all.extend(
                (0..).zip(batch.iter()).map(|(at, payload)| (first.plus(at), *from, payload)),
            );
        }
    }
    all
}

fn end(outputs: &[Output]) -> Option<Slot> {
    outputs.iter().find_map(|output| match output {
        Output::Closed { at } => Some(*at),
        _ => None,
    })
}

fn fall_silent<E: Engine>(group: &mut Group<Closing<E>>) {
    let until = group.steps() + 4_000;
    group.run_while(|world| world.steps() < until);
    let liars = group.parties().into_iter().filter(|owner| group.is_corrupted(*owner));
    for liar in liars.collect::<Vec<_>>() {
        group.corrupt_boxed(liar, Box::new(Mute));
    }
    group.run();
}

/// `f + 1` ask amid payloads of all, in whatever order: all end at one slot, have the same up to it, and
/// nothing after.
fn all_end_at_the_same_slot<E: Engine<Spec: Default>>(worlds: u64) {
    let mut cut = 0;
    property(worlds, |seed| {
        let (n, f) = size(seed, &[4, 7]);
        let mut group = group::<E>(n, seed).corrupt_any().restarts(seed % 3);
        take_all(&mut group);
        for wave in 0..3 {
            for party in PartyId::all(n) {
                submit(&mut group, party, &format!("{party} in wave {wave}"));
                if wave == 1 && party.number() <= f {
                    group.input(party, Input::Close);
                }
            }
            let until = group.steps() + 60 * (wave + 1);
            group.run_while(|world| world.steps() < until);
        }
        fall_silent(&mut group);
        let ends: BTreeSet<_> = group.correct().iter().map(|at| end(group.outputs(*at))).collect();
        assert!(ends.len() == 1 && !ends.contains(&None), "{ends:?}");
        let at = ends.first().unwrap().unwrap();
        let lists: Vec<_> =
            group.correct().iter().map(|at| delivered(group.outputs(*at))).collect();
        assert!(lists.iter().all(|list| *list == lists[0]), "{lists:#?}");
        assert!(
            lists[0].iter().all(|(slot, ..)| *slot < at || (!E::SLOT_A_PAYLOAD && *slot == at))
        );
        for party in (0..=f).map(p) {
            let own = lists[0].iter().filter(|(_, from, _)| *from == party).count();
            assert!(own == 2, "what {party} submitted before it asked comes before the end: {own}");
        }
        cut += u64::from(lists[0].len() < usize::from(3 * n));
        for party in group.correct() {
            let mut after =
                group.outputs(party).iter().skip_while(|o| !matches!(o, Output::Closed { .. }));
            let told = |o: &Output| {
                use atomic::Output::{Behind, Ordered, Refused};
                matches!(o, Output::Stream(Ordered { .. } | Refused { .. } | Behind))
            };
            assert!(after.next().is_some() && after.all(told));
        }
        oracle::no_slander(&group).unwrap();
    });
    let one_seed = std::env::var_os("MAFTIA_SEED").is_some();
    assert!(cut > 0 || one_seed, "nothing was ever behind the end: the test shows little");
}

#[test]
fn an_atomic_stream_ends_at_the_same_slot() {
    all_end_at_the_same_slot::<Atomic>(30);
}

#[test]
fn a_secure_atomic_stream_ends_at_the_same_slot() {
    all_end_at_the_same_slot::<Secure<Atomic>>(12);
}

/// `f` ask, and as often as they like: all goes on.
#[test]
fn liars_end_nothing() {
    property(12, |seed| {
        let (n, f) = size(seed, &[4, 7]);
        let mut group = group::<Atomic>(n, seed);
        take_all(&mut group);
        for liar in (n - f..n).map(p) {
            group.input(liar, Input::Close);
            group.input(liar, Input::Close);
        }
        group.run();
        PartyId::all(n - f).for_each(|party| submit(&mut group, party, "on we go"));
        group.run();
        for party in group.correct() {
            let outputs = group.outputs(party);
            assert_eq!((end(outputs), delivered(outputs).len()), (None, usize::from(n - f)));
            let asked = outputs.iter().filter(|o| matches!(o, Output::Asked { .. })).count();
            assert_eq!(asked, usize::from(f));
        }
    });
}

/// A user that takes nothing loses payloads, and never the end.
#[test]
fn a_user_that_takes_nothing_learns_the_end() {
    let mut group = Group::<Stream>::new(4, 1, 1, spec(2_048));
    (1..4).for_each(|at| group.input(p(at), Input::Pull { up_to: Slot::new(u64::MAX) }));
    for wave in 0..30 {
        submit(&mut group, p(1), &format!("{wave}"));
        group.run();
    }
    group.input(p(2), Input::Close);
    group.input(p(3), Input::Close);
    group.run();
    group.input(p(0), Input::Pull { up_to: Slot::new(u64::MAX) });
    group.run();
    let (one, other) = (group.outputs(p(0)), group.outputs(p(1)));
    assert_eq!((end(one), end(other)), (Some(Slot::new(31)), Some(Slot::new(31))));
    let lagged = |o: &Output| matches!(o, Output::Stream(atomic::Output::Lagged { from, .. }) if *from == Slot::FIRST);
    assert!(one.iter().any(lagged) && delivered(one).len() < 30 && delivered(other).len() == 30);
}

/// Who goes on from a checkpoint brings who had asked by then, and ends where all do.
#[test]
fn a_checkpoint_holds_who_asked() {
    let mut group = Group::<Stream>::new(4, 1, 2, spec(16 << 20)).corrupt(p(3), Mute);
    take_all(&mut group);
    submit(&mut group, p(1), "first");
    group.input(p(1), Input::Close);
    group.run();
    let position = |output: &Output| match output {
        Output::Stream(atomic::Output::RoundEnd { position }) => Some(position.clone()),
        _ => None,
    };
    let last: Position = group.outputs(p(1)).iter().rev().find_map(position).unwrap();
    assert_eq!(last.slot, Slot::new(2), "a payload and a request");
    let mut fresh = Group::<Stream>::new(4, 1, 3, spec(16 << 20));
    for party in PartyId::all(4) {
        let asked = BTreeSet::from([p(1)]);
        fresh.input(party, Input::Resume { position: last.clone(), asked });
    }
    take_all(&mut fresh);
    fresh.run();
    fresh.input(p(2), Input::Close);
    fresh.run();
    assert!(PartyId::all(4).all(|at| end(fresh.outputs(at)) == Some(Slot::new(2))));
}

/// Nothing comes to this party or from it.
fn without(who: Owner) -> impl FnMut(&World, &mut Rng) -> Option<Pick> + Send {
    move |world, rng| {
        let pool = world.pool();
        let other = |queue: &usize| {
            let ends = pool.head(*queue).letter.frame();
            ends.is_none_or(|(from, to, _)| from != who && to != who)
        };
        let free: Vec<_> = (0..pool.queues()).filter(other).collect();
        (!free.is_empty()).then(|| Pick::head(*rng.choose(&free)))
    }
}

/// `f` members tell of places that there are not, and of ones that look right.
fn lies_of_places<E: Engine>(seed: u64) -> Mutate<Closing<E>> {
    Mutate::new(move |_, message| {
        if let Message::Places { at, places } = message {
            *at = at.plus(1_000);
            for place in places {
                match seed % 3 {
                    0 => place.position.round = place.position.round.plus(900),
                    1 => place.position.slot = place.position.slot.plus(7),
                    _ => place.end = Some(Slot::FIRST),
                }
            }
        }
        true
    })
}

/// A member that was away for longer than anybody keeps what it missed comes back by itself, whatever `f`
/// others tell it: its user learns what is lost, has all the rest, and the end.
fn one_who_was_away_comes_back<E: Engine>(worlds: u64, engine: E::Spec) {
    let mut losses = 0;
    property(worlds, |seed| {
        let (n, f) = size(seed, &[4, 7]);
        let spec = Spec { engine: engine.clone(), lag_max: 16 << 20 };
        let mut group = Group::<Closing<E>>::new(n, f, seed, spec).restarts(seed % 2);
        group.set_steps_max(2_000_000);
        if seed.is_multiple_of(3) {
            group = group.detach([E::KIND]);
        }
        for liar in (0..f).map(p) {
            group = group.corrupt(liar, lies_of_places::<E>(seed));
        }
        let away = p(n - 1);
        group.set_adversary(Script(without(Group::<Closing<E>>::owner(away))));
        take_all(&mut group);
        submit(&mut group, away, "from the one who was away");
        // One has asked for the end before, one while it was away, and after it came back one more does.
        group.input(p(f), Input::Close);
        for round in 0..70 {
            submit(&mut group, p(f + 1 + round % (n - f - 2)), &format!("{round}"));
            group.run();
        }
        assert!(delivered(group.outputs(away)).is_empty());
        group.set_adversary(Relents::at(2_000));
        group.run();
        submit(&mut group, p(n - 2), "after that");
        group.run();
        let (one, other) = (group.outputs(away), group.outputs(p(n - 2)));
        let lost = one.iter().find_map(|output| match output {
            Output::Stream(atomic::Output::Lagged { from, to }) => Some((*from, *to)),
            _ => None,
        });
        // One to which its frames were only late may find that it needs nobody.
        let (from, to) = lost.unwrap_or_default();
        losses += u64::from(from < to);
        let (one, other) = (delivered(one), delivered(other));
        let rest = other.iter().filter(|(slot, ..)| *slot >= to).cloned().collect::<Vec<_>>();
        assert!(one.iter().all(|(slot, ..)| *slot < from || *slot >= to));
        let one: Vec<_> = one.into_iter().filter(|(slot, ..)| *slot >= to).collect();
        assert_eq!(one, rest);
        assert_eq!(one.last().map(|(_, _, payload)| payload.clone()), Some("after that".into()));
        for asks in 1..=f {
            group.input(p(f + asks), Input::Close);
        }
        group.run();
        let ends: BTreeSet<_> = group.correct().iter().map(|at| end(group.outputs(*at))).collect();
        assert!(ends.len() == 1 && !ends.contains(&None), "{ends:?}");
        oracle::no_slander(&group).unwrap();
    });
    let one_seed = std::env::var_os("MAFTIA_SEED").is_some();
    assert!(losses > 0 || one_seed, "nobody was ever away for too long: the test shows little");
}

#[test]
fn one_who_was_away_comes_back_to_rounds() {
    let engine = atomic::Spec { rounds_kept: 16, ..atomic::Spec::default() };
    one_who_was_away_comes_back::<Atomic>(6, engine);
    one_who_was_away_comes_back::<Secure<Atomic>>(
        3,
        secure::Spec { engine, ..secure::Spec::default() },
    );
}

#[test]
fn one_who_was_away_comes_back_to_lanes() {
    let engine = certified::Spec { rounds_kept: 16, ..certified::Spec::default() };
    one_who_was_away_comes_back::<Certified>(6, engine);
}

#[test]
fn one_who_was_away_comes_back_to_a_leader() {
    let engine = fast::Spec { items_kept: 16, ..fast::Spec::default() };
    one_who_was_away_comes_back::<Fast>(6, engine);
}

/// A member that was away when a stream ended learns that it did, and where.
#[test]
fn one_who_was_away_learns_the_end() {
    property(6, |seed| {
        let engine = atomic::Spec { rounds_kept: 16, ..atomic::Spec::default() };
        let spec = Spec { engine, lag_max: 16 << 20 };
        let mut group =
            Group::<Stream>::new(4, 1, seed, spec).corrupt(p(0), lies_of_places::<Atomic>(seed));
        group.set_steps_max(2_000_000);
        group.set_adversary(Script(without(Group::<Stream>::owner(p(3)))));
        take_all(&mut group);
        for round in 0..70 {
            if round == 10 {
                group.input(p(0), Input::Close);
                group.input(p(1), Input::Close);
            }
            submit(&mut group, p(2), &format!("{round}"));
            group.run();
        }
        let at = end(group.outputs(p(2))).expect("two have asked");
        group.set_adversary(Relents::at(2_000));
        group.run();
        assert_eq!(end(group.outputs(p(3))), Some(at));
        assert!(delivered(group.outputs(p(3))).iter().all(|(slot, ..)| *slot < at));
        oracle::no_slander(&group).unwrap();
    });
}
