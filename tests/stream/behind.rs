//! Whoever is behind in the fast lane: what it is told, and by whom; and what that costs.

use maftia_core::{
    crypto::Digest,
    fault::Fault,
    id::{PartyId, Round, Slot},
    sim::{
        Group, Pick, Rng, World,
        adversary::{Random, Script},
        behaviour::{Behaviour, Corrupted, Outgoing},
        oracle, p, property,
    },
    stream::{
        atomic::{Input, Output},
        batch::Batch,
        fast::{Fast, Message, Spec},
    },
    wire,
};

use crate::{
    fast::spec,
    group::{
        check, delivered, ends, group, resumes_after, small, starved, submit, take_all, without,
        work,
    },
};

/// A member that is only behind is no reason to leave an epoch. No payload waits to be cut with others:
/// time stands still where frames for one member are held back, so no clock would end the wait.
fn patient(seed: u64) -> Spec {
    Spec { patience: 12, together: false, ..spec(seed) }
}

#[test]
fn one_who_starved_for_some_items_catches_up() {
    property(6, |seed| {
        let group = starved::<Fast>(seed, 40, patient(seed));
        let all = delivered(group.outputs(p(0)));
        assert_eq!(all.len(), 41, "and its own payload is ordered in the end");
        assert_eq!(delivered(group.outputs(*group.correct().last().unwrap())), all);
        oracle::no_slander(&group).unwrap();
    });
}

#[test]
fn one_who_starved_beyond_what_is_kept_resumes() {
    property(3, |seed| {
        resumes_after::<Fast>(seed, 220, Spec { items_kept: 16, ..patient(seed) });
    });
}

/// What a user is told again is what it was told before, from wherever it asks.
#[test]
fn a_user_that_forgot_is_told_again_what_is_kept() {
    property(12, |seed| {
        let (n, _) = small(seed);
        let kept = 2 + seed % 8;
        let spec = Spec { items_kept: kept, ..patient(seed) };
        let mut group: Group<Fast> = group(n, seed, spec).restarts(1);
        let submitted = work(&mut group, n, 4);
        check(&group, &submitted);
        for party in PartyId::all(n) {
            let told = delivered(group.outputs(party));
            let stream = group.root(party);
            let all = stream.again(Slot::FIRST);
            let items = ends(group.outputs(party)).len() as u64;
            assert!(all.first > Slot::FIRST || items <= kept, "not everything is kept");
            for from in 0..=told.len() as u64 {
                let again = stream.again(Slot::new(from));
                let begin = again.first.number() as usize;
                let payloads = |(lane, batch): &(PartyId, Batch)| {
                    let lane = *lane;
                    batch.iter().map(move |payload| (lane, payload)).collect::<Vec<_>>()
                };
                let said: Vec<_> = again.batches.iter().flat_map(payloads).collect();
                assert_eq!(said, told[begin..], "from {from} on");
                assert!(again.first.number() <= from || again == all, "no less than is kept");
            }
        }
    });
}

/// How far a group is: its first members, and its last one.
fn places(group: &Group<Fast>, last: PartyId) -> (u64, u64) {
    let place = |party: PartyId| group.root(party).position(4).round.number();
    (PartyId::all(3).map(place).max().unwrap_or(0), place(last))
}

/// Others go on without a member, and go on when it is back: it comes level, and stays it. Without a
/// clock, or one that is always late: time stands still in a world in which something is always said.
#[test]
fn one_who_comes_back_comes_level_while_the_others_go_on() {
    property(4, |seed| {
        let last = p(3);
        let mut group: Group<Fast> =
            group(4, seed, spec(seed % 2)).adversary(Script(without::<Fast>(last)));
        group.set_steps_max(4_000_000);
        take_all(&mut group);
        let work = |group: &mut Group<Fast>| {
            for party in PartyId::all(3) {
                submit(group, party, "more");
            }
            let until = group.steps() + 400;
            group.run_while(|world| world.steps() < until);
        };
        while places(&group, last).0 < 300 {
            work(&mut group);
        }
        assert_eq!(places(&group, last).1, 0);
        // It has a backlog of frames to take, and is faster than what comes.
        let owner = Group::<Fast>::owner(last);
        group.set_adversary(Script(move |world: &World, rng: &mut Rng| {
            let pool = world.pool();
            let to_it = |queue: &usize| {
                pool.head(*queue).letter.frame().is_some_and(|(_, to, _)| to == owner)
            };
            let its: Vec<_> = (0..pool.queues()).filter(to_it).collect();
            let hurry = rng.below(4) > 0 && !its.is_empty();
            let any = (pool.queues() > 0).then(|| rng.below(pool.queues()));
            Some(Pick::head(if hurry { *rng.choose(&its) } else { any? }))
        }));
        let back = places(&group, last).0;
        let mut lacks = Vec::new();
        while places(&group, last).0 < back + 400 {
            work(&mut group);
            let (others, it) = places(&group, last);
            lacks.push((others, others.saturating_sub(it)));
        }
        let late = &lacks[lacks.len() / 2..];
        assert!(late.iter().all(|(_, lack)| *lack < 8), "{late:?}");
    });
}

/// A helper that lies to whoever catches up, in one of the fields of what it sends, or keeps it. It
/// keeps its own batches to itself, so that they must be fetched.
#[derive(Clone, Debug)]
struct Misleads {
    how: u64,
    whom: PartyId,
}

/// How many ways there are.
const WAYS: u64 = 11;

impl Misleads {
    fn bend(&self, message: Message) -> Option<Message> {
        let no_chain = Digest::of("lie", b"");
        Some(match (self.how, message) {
            (0, Message::Part { lane, after, to, seq, .. }) => {
                Message::Part { lane, after, to, seq, batch: Batch::of(["lie"]) }
            }
            (1, Message::Part { lane, after, to, seq, batch }) => {
                Message::Part { lane, after, to, seq: seq + 1, batch }
            }
            (2, Message::Part { lane, after, seq, batch, .. }) => {
                Message::Part { lane, after, to: no_chain, seq, batch }
            }
            (3, Message::Part { lane, after, to, seq, batch }) => {
                Message::Part { lane, after: after + 1, to, seq, batch }
            }
            (_, Message::Batch { .. }) | (4, Message::Part { .. }) | (5, Message::Told { .. }) => {
                return None;
            }
            (6, Message::Told { first, mut items, at }) => {
                for (_, head) in items.iter_mut().flat_map(|item| &mut item.heads) {
                    head.chain = no_chain;
                }
                Message::Told { first, items, at }
            }
            (7, Message::Told { first, items, at }) => {
                Message::Told { first: first.next(), items, at }
            }
            (8, Message::Told { first, items, .. }) => {
                Message::Told { first, items, at: Round::new(1 << 40) }
            }
            (9, Message::Told { first, mut items, at }) => {
                items.iter_mut().for_each(|item| item.epoch += 1);
                Message::Told { first, items, at }
            }
            (10, Message::Told { at, .. }) => Message::Gone { at },
            (_, other) => other,
        })
    }
}

impl Behaviour for Misleads {
    fn name(&self) -> &'static str {
        "misleads"
    }

    fn send(&mut self, mut frame: Outgoing, cx: &mut Corrupted<'_>) {
        let its = frame.instance.path().is_empty() && frame.to == Group::<Fast>::owner(self.whom);
        if let Some(message) = wire::decode(&frame.bytes).ok().filter(|_| its) {
            let Some(lie) = self.bend(message) else { return };
            frame.bytes = wire::encode(&lie);
        }
        cx.send(frame);
    }

    fn boxed(&self) -> Box<dyn Behaviour> {
        Box::new(self.clone())
    }
}

/// Whoever lies about what was ordered is outvoted, and about what that is, found out; who keeps it is
/// left for another.
#[test]
fn a_helper_that_lies_or_stalls_is_left_for_another() {
    property(WAYS, |seed| {
        let (last, how) = (p(3), seed % WAYS);
        let group: Group<Fast> = group(4, seed, patient(seed));
        let mut group = group.corrupt(p(1), Misleads { how, whom: last });
        group.set_adversary(Script(without::<Fast>(last)));
        take_all(&mut group);
        for round in 0..40 {
            submit(&mut group, p(round % 3), &format!("{round}"));
            group.run();
        }
        let all = delivered(group.outputs(p(0)));
        assert_eq!((all.len(), delivered(group.outputs(last)).len()), (40, 0));
        group.set_adversary(Random);
        group.run();
        assert_eq!(delivered(group.outputs(last)), all, "way {how}");
        oracle::no_slander(&group).unwrap();
        let proven = group
            .accusations()
            .iter()
            .any(|(_, accusation)| matches!(accusation.fault, Fault::BadProof { .. }));
        assert!(!proven || how == 0, "way {how}");
        assert!(proven || seed > 0, "in the first run the liar is asked");
        let bounds = oracle::Bounds { instances: 200, waiting: 600, snapshot: 1 << 20 };
        oracle::bounded(&group, bounds).unwrap();
    });
}

/// Nobody grows with what a member misses: neither those who go on, nor that one when it is back.
#[test]
fn an_absence_of_a_million_payloads_costs_nobody_memory() {
    const WAVE: usize = 4_000;
    const KEPT: usize = 1 << 19;
    let spec = Spec { items_kept: 256, bytes_kept: KEPT, impatience: None, ..Spec::default() };
    let mut group: Group<Fast> = group(4, 1, spec);
    let last = p(3);
    group.set_steps_max(4_000_000);
    group.set_adversary(Script(without::<Fast>(last)));
    take_all(&mut group);
    // What is kept, what is under way at each member, and room for all the rest.
    let snapshot = KEPT + 8 * WAVE * 16;
    let bounds = || oracle::Bounds { instances: 60, waiting: 600, snapshot };
    let batch = Batch::of(vec![[7_u8; 8]; WAVE]);
    let mut waves = 0;
    while group.root(p(0)).position(4).slot < Slot::new(1_000_000) {
        group.input(p(waves % 3), Input::Submit { batch: batch.clone() });
        group.run();
        waves += 1;
        if waves % 50 == 0 {
            oracle::bounded(&group, bounds()).unwrap();
        }
    }
    assert_eq!(group.root(last).position(4).slot, Slot::FIRST);
    group.set_adversary(Random);
    group.run();
    assert!(group.outputs(last).contains(&Output::Behind));
    let checkpoint = ends(group.outputs(p(1))).pop().unwrap();
    assert!(ends(group.outputs(p(2))).contains(&checkpoint), "f + 1 vouch for it");
    group.input(last, Input::Resume { position: checkpoint });
    group.run();
    submit(&mut group, last, "back again");
    group.run();
    oracle::bounded(&group, bounds()).unwrap();
    let slot = |party| group.root(party).position(4).slot;
    assert!(slot(last) > Slot::new(1_000_000) && slot(last) == slot(p(0)));
    oracle::no_slander(&group).unwrap();
}
