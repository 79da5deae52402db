//! The promises of the reliable and the consistent stream in simulated worlds: groups of 4, 5 and 7,
//! every misdeed, every scheduler, restarts, lost frames, lanes of their own.
//!
//! *Order* and *integrity*: what correct senders submitted is delivered by all correct parties, once, in
//! the order of each sender. *Consistency*: no two correct parties deliver differently at a place of any
//! sender. *Totality* (reliable): what one delivers, all do. *Closing*. *No slander*. *Bounded memory*.
//!
//! More seeds: `MAFTIA_SEEDS=10000 cargo test --release --test fifo`, and `MAFTIA_N=7` for one size.

#![expect(clippy::unwrap_used, reason = "an oracle says what it found by failing the test")]

use std::collections::BTreeMap;

use bytes::Bytes;
use maftia_core::{
    broadcast::{consistent::Consistent, reliable::Reliable},
    id::PartyId,
    protocol::Protocol,
    seat::Owner,
    sim::{
        Group,
        adversary::{Relents, Starve},
        behaviour::{Crash, Equivocate, Mute},
        oracle, p, property, size,
    },
    stream::{
        batch::Batch,
        fifo::{
            Carrier, Fifo, Input, Output, Spec,
            lane::{self, KEPT, Lane, WINDOW},
        },
    },
};

/// What a party delivered of each sender: the places, and what stood there.
type Delivered = BTreeMap<PartyId, Vec<(u64, Vec<Bytes>)>>;

fn group<B: Carrier>(n: u16, seed: u64) -> Group<Fifo<B>> {
    let mut group = Group::<Fifo<B>>::new(n, (n - 1) / 3, seed, Spec::default());
    group.set_adversary(Relents::at(3_000));
    group.set_steps_max(400_000);
    if seed.is_multiple_of(4) { group.detach([Lane::<B>::KIND]) } else { group }
}

fn take_all<B: Carrier>(group: &mut Group<Fifo<B>>) {
    for owner in group.parties() {
        if let Owner::Party(_, party) = owner {
            group.input(party, Input::Pull { up_to: u64::MAX });
        }
    }
}

fn submit<B: Carrier>(group: &mut Group<Fifo<B>>, party: PartyId, payload: &str) {
    group.input(party, Input::Submit { batch: Batch::of([payload]) });
}

/// What was delivered; the places of a sender rise by one but for what it was told to have lost.
fn delivered(outputs: &[Output]) -> Delivered {
    let mut all = Delivered::new();
    let mut next = BTreeMap::<PartyId, u64>::new();
    for output in outputs {
        match output {
            Output::Deliver { from, number, batch } => {
                assert!(*number >= next.insert(*from, number + 1).unwrap_or_default());
                all.entry(*from).or_default().push((*number, batch.iter().collect()));
            }
            Output::Lagged { from, first, to } => {
                assert!(first < to && *first >= next.insert(*from, *to).unwrap_or_default());
            }
            _ => {}
        }
    }
    all
}

fn payloads(delivered: &Delivered, of: PartyId) -> Vec<Bytes> {
    let places = delivered.get(&of).into_iter().flatten();
    places.flat_map(|(_, payloads)| payloads.clone()).collect()
}

/// Some payloads of everybody, in waves among which whatever is in flight may arrive.
fn send<B: Carrier>(group: &mut Group<Fifo<B>>, n: u16, waves: usize) {
    take_all(group);
    for wave in 0..waves {
        for party in PartyId::all(n) {
            submit(group, party, &format!("{party} in wave {wave}"));
        }
        let until = group.steps() + 100;
        group.run_while(|world| world.steps() < until);
    }
    group.run();
}

/// No two differ at any place of any sender; with `all`, none lacks what another has.
fn check<B: Carrier>(group: &Group<Fifo<B>>, all: bool) {
    let of: Vec<_> = group.correct();
    let lists: Vec<_> = of.iter().map(|party| delivered(group.outputs(*party))).collect();
    let mut places = BTreeMap::new();
    for (sender, place) in
        lists.iter().flatten().flat_map(|(s, places)| places.iter().map(move |p| (s, p)))
    {
        let known = places.entry((*sender, place.0)).or_insert(&place.1);
        assert_eq!(**known, place.1, "two things at place {} of {sender}", place.0);
    }
    if all {
        assert!(lists.iter().all(|list| *list == lists[0]), "totality: {lists:#?}");
    }
    oracle::no_slander(group).unwrap();
}

/// Everything that correct parties sent in waves was delivered by all of them.
fn complete<B: Carrier>(group: &Group<Fifo<B>>, waves: usize) {
    for party in group.correct() {
        let list = delivered(group.outputs(party));
        for sender in group.correct() {
            let expected: Vec<_> =
                (0..waves).map(|wave| format!("{sender} in wave {wave}")).collect();
            assert_eq!(payloads(&list, sender), expected, "what {party} has of {sender}");
        }
        let settled = group.outputs(party).iter().rev().find_map(|output| match output {
            Output::Settled { own } => Some(*own),
            _ => None,
        });
        assert_eq!(settled, Some(waves as u64), "{party} knows that its own are out");
    }
}

/// Open instances: the stream, its lanes, and what each keeps and expects.
fn bounds(n: u16) -> oracle::Bounds {
    let instances = 1 + usize::from(n) * (1 + (WINDOW + KEPT + 8) as usize);
    oracle::Bounds { instances, waiting: 0, snapshot: 3 << 20 }
}

fn whatever_the_others_do<B: Carrier>(total: bool) {
    property(36, |seed| {
        let (n, _) = size(seed, &[4, 5, 7]);
        let mut group = group::<B>(n, seed).corrupt_any().restarts(seed / 3 % 3);
        send(&mut group, n, 3);
        check(&group, total);
        complete(&group, 3);
        oracle::bounded(&group, bounds(n)).unwrap();
    });
}

#[test]
fn reliable_all_is_delivered_in_the_order_of_its_sender() {
    whatever_the_others_do::<Reliable>(true);
}

#[test]
fn consistent_all_is_delivered_in_the_order_of_its_sender() {
    whatever_the_others_do::<Consistent>(false);
}

/// The sender runs two copies of itself, and each speaks to some. It stays where it lied, if the two
/// were not brought together; and all others go on.
fn a_sender_that_equivocates_harms_nobody<B: Carrier>(total: bool) {
    let mut stuck = 0;
    property(40, |seed| {
        let (n, f) = size(seed, &[4, 7]);
        let mut group = group::<B>(n, seed).corrupt(p(0), Equivocate::at_random());
        if f > 1 {
            group = group.corrupt(p(1), Equivocate::at_random());
        }
        for at in 0..3_usize {
            for face in 0..2 {
                let batch = Batch::of([format!("{at} at {}", if at == 1 { face } else { 0 })]);
                group.input_face(p(0), face, Input::Submit { batch });
            }
        }
        send(&mut group, n, 2);
        check(&group, total);
        for party in group.correct() {
            let list = delivered(group.outputs(party));
            let of_correct =
                group.correct().into_iter().map(|sender| payloads(&list, sender).len());
            assert!(of_correct.into_iter().all(|count| count == 2), "others go on");
            stuck += u64::from(payloads(&list, p(0)).len() < 5);
        }
        oracle::bounded(&group, bounds(n)).unwrap();
    });
    let one_seed = std::env::var_os("MAFTIA_SEED").is_some();
    assert!(stuck > 0 || one_seed, "the sender was never stuck: the test shows little");
}

#[test]
fn reliable_an_equivocating_sender_is_stuck_alone() {
    a_sender_that_equivocates_harms_nobody::<Reliable>(true);
}

#[test]
fn consistent_an_equivocating_sender_is_stuck_alone() {
    a_sender_that_equivocates_harms_nobody::<Consistent>(false);
}

/// Frames between correct parties are lost and said to be; what they carried comes all the same.
fn lost_frames_are_made_up_for<B: Carrier>() {
    property(30, |seed| {
        let (n, _) = size(seed, &[4, 7]);
        let mut group = group::<B>(n, seed).losses(3).restarts(1);
        send(&mut group, n, 6);
        check(&group, true);
        complete(&group, 6);
    });
}

#[test]
fn reliable_lost_frames_are_made_up_for() {
    lost_frames_are_made_up_for::<Reliable>();
}

#[test]
fn consistent_lost_frames_are_made_up_for() {
    lost_frames_are_made_up_for::<Consistent>();
}

/// A stream ten times as old holds no more, whether or not a member is dead.
fn age_costs_nothing<B: Carrier>() {
    property(2, |seed| {
        let (n, _) = size(seed, &[4]);
        let mut group = group::<B>(n, seed);
        if seed % 2 == 1 {
            group = group.corrupt(p(3), Crash::after(0));
        }
        take_all(&mut group);
        for wave in 0..290 {
            for party in PartyId::all(n) {
                submit(&mut group, party, &format!("{party} in wave {wave}"));
            }
            group.run();
            // What is kept and expected takes, and no more ever after.
            if wave % 24 == 1 {
                let most = oracle::Bounds { snapshot: 1_500_000, ..bounds(n) };
                oracle::bounded(&group, most).unwrap();
            }
        }
        complete(&group, 290);
    });
}

#[test]
fn reliable_age_costs_nothing() {
    age_costs_nothing::<Reliable>();
}

#[test]
fn consistent_age_costs_nothing() {
    age_costs_nothing::<Consistent>();
}

/// One party hears nothing until the others have gone on without it, further than they keep: it is told
/// what it has lost, and goes on with them.
#[test]
fn who_was_away_for_too_long_is_told_and_goes_on() {
    let mut lagged = 0;
    property(6, |seed| {
        let (n, _) = size(seed, &[4, 7]);
        let mut group = group::<Reliable>(n, seed);
        let away = Group::<Fifo<Reliable>>::owner(p(n - 1));
        group.set_adversary(Starve::always([away]));
        let (older, younger) = (2 * WINDOW + KEPT, 3);
        take_all(&mut group);
        for wave in 0..older {
            submit(&mut group, p(0), &format!("{wave}"));
            group.run_while(|world| {
                let outputs = world.outputs::<Fifo<Reliable>>(Group::<Fifo<Reliable>>::owner(p(0)));
                !outputs.contains(&Output::Settled { own: wave + 1 })
            });
        }
        group.run();
        for wave in 0..younger {
            submit(&mut group, p(0), &format!("younger {wave}"));
            group.run();
        }
        check(&group, false);
        for party in group.correct() {
            let list = payloads(&delivered(group.outputs(party)), p(0));
            let newest: Vec<_> = (0..younger).map(|wave| format!("younger {wave}")).collect();
            assert_eq!(list[list.len() - newest.len()..], newest, "{party} goes on");
            lagged += u64::from(list.len() < (older + younger) as usize);
        }
    });
    let one_seed = std::env::var_os("MAFTIA_SEED").is_some();
    assert!(lagged > 0 || one_seed, "nobody was away for too long: the test shows little");
}

/// With `f + 1` requests it closes for all; `f` liars close nothing.
fn closing<B: Carrier>() {
    property(24, |seed| {
        let (n, f) = size(seed, &[4, 7]);
        let mut group = group::<B>(n, seed);
        for liar in (0..f).map(|at| p(n - 1 - at)) {
            group = group.corrupt(liar, Mute);
        }
        take_all(&mut group);
        PartyId::all(n).for_each(|party| submit(&mut group, party, "last words"));
        let asking = if seed % 2 == 0 { f + 1 } else { f };
        PartyId::all(n).take(asking.into()).for_each(|party| group.input(party, Input::Close));
        submit(&mut group, p(0), "too late");
        group.run();
        check(&group, false);
        for party in group.correct() {
            let outputs = group.outputs(party);
            let closed = outputs.iter().filter(|output| **output == Output::Closed).count();
            assert_eq!(closed, usize::from(asking > f), "{party}: {outputs:?}");
            let mut after = outputs.iter().skip_while(|output| **output != Output::Closed).skip(1);
            let own = |o: &Output| matches!(o, Output::Refused { .. } | Output::Settled { .. });
            assert!(after.all(own), "{party} goes on: {outputs:?}");
            let all = payloads(&delivered(outputs), p(0));
            assert_eq!(all, ["last words"], "what was submitted before, and nothing after");
        }
        assert!(group.outputs(p(0)).contains(&Output::Refused { payloads: 1 }));
    });
}

#[test]
fn reliable_closes_when_a_correct_member_asks() {
    closing::<Reliable>();
}

#[test]
fn consistent_closes_when_a_correct_member_asks() {
    closing::<Consistent>();
}

/// A user that takes nothing loses what is above the bound, is told so, and keeps nobody back.
#[test]
fn a_user_that_takes_nothing_lags_alone() {
    let spec = Spec { lag_max: 4_096 };
    let mut group = Group::<Fifo<Reliable>>::new(4, 1, 1, spec);
    for party in 1..4 {
        group.input(p(party), Input::Pull { up_to: u64::MAX });
    }
    for wave in 0..60 {
        submit(&mut group, p(1), &format!("{wave}"));
        group.run();
    }
    group.input(p(0), Input::Pull { up_to: u64::MAX });
    group.run();
    submit(&mut group, p(1), "after");
    group.run();
    assert_eq!(payloads(&delivered(group.outputs(p(2))), p(1)).len(), 61);
    let late = group.outputs(p(0));
    assert!(matches!(late[0], Output::Lagged { first: 0, .. }), "{late:?}");
    assert_eq!(payloads(&delivered(late), p(1)).last().unwrap(), "after");
}

/// A batch that no broadcast can carry is cut; a payload that none can is refused.
#[test]
fn batches_are_cut_to_what_a_broadcast_carries() {
    let mut group = Group::<Fifo<Consistent>>::new(4, 1, 1, Spec::default());
    take_all(&mut group);
    let limit = lane::item_bytes_max(4);
    let piece = vec![7; limit / 2];
    group.input(p(0), Input::Submit { batch: Batch::of(vec![piece.clone(); 5]) });
    group.input(p(0), Input::Submit { batch: Batch::of([vec![0; limit]]) });
    group.input(p(0), Input::Submit { batch: Batch::of(vec![""; 60_000]) });
    group.run();
    let list = payloads(&delivered(group.outputs(p(3))), p(0));
    assert!(list[..5].iter().all(|payload| *payload == piece) && list.len() == 60_005);
    assert!(group.outputs(p(0)).contains(&Output::Refused { payloads: 1 }));
}
