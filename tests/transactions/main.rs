//! Transactions over three replicated groups, in simulated worlds, with liars in each of them.
//!
//! *Termination*: every transaction ends, and every client is answered. *Atomicity*: it ends alike at
//! all correct replicas of all groups, and its clients hear the truth. *Consistency*: money is
//! preserved, and some order of the committed transactions explains all answers and balances. *No
//! orphans*: all locks are free in the end.
//!
//! A client may lie as well. In the end, when liars have fallen silent, everybody comes to rest.
//!
//! More seeds: `MAFTIA_SEEDS=10000 cargo test --release --test transactions`, and `MAFTIA_N=7` for
//! groups of one size.

#![expect(clippy::unwrap_used, reason = "an oracle says what it found by failing the test")]

mod check;
mod hasty;
mod rogue;
mod scene;
mod time;

use std::collections::BTreeSet;

use bytes::Bytes;
use maftia_core::{
    id::GroupId,
    protocol::Kind,
    protocol::Protocol,
    replica::{Message, Replica, Reply, service::Service},
    seat::Owner,
    sim::{
        Outcome as Run, Rng,
        behaviour::{
            Behaviour, Crash, Equivocate, Forge, Late, Mutate, Mute, Replay, Withhold, WrongShare,
        },
        property, same_in_any_placement, size,
    },
    stream::atomic::Atomic,
    wire::{decode, encode},
};
use maftia_tss::{
    lock::LockManager,
    request::{ManagerReply, ResourceReply},
    resources::Answer,
    statement::{Down, Statement, Up, Vote},
    transaction::{AbortReason, Key, Outcome},
};

use crate::scene::{ACCOUNTS, Bank, Ending, LEFT, Manager, NAMES, Place, Plan, RIGHT, Scene, TM};

/// How many misdeeds there are.
const MISDEEDS: usize = 9;

fn misdeed(kind: usize, group: GroupId, rng: &mut Rng) -> Box<dyn Behaviour> {
    match kind % MISDEEDS {
        0 => Box::new(Crash::after(rng.below(20_000) as u64)),
        1 => Box::new(Mute),
        2 => Box::new(Late::default()),
        3 => Box::new(Withhold::at_random()),
        4 => Box::new(Equivocate::at_random()),
        5 => Box::new(Replay::default()),
        6 => Box::new(Forge),
        7 => Box::new(WrongShare),
        _ if group == TM => liar::<Manager>(),
        _ => liar::<Bank>(),
    }
}

/// Keeps to all protocols below, and lies well about the service, to its clients and to the other
/// groups.
fn liar<S: Service>() -> Box<dyn Behaviour> {
    Box::new(Mutate::<Replica<S>>::new(|_, message| {
        match message {
            Message::Replies(replies) => {
                replies.iter_mut().for_each(|reply| reply.body = false_reply(&reply.body));
            }
            Message::Statement(statement) => statement.body = false_statement(&statement.body),
            _ => {}
        }
        true
    }))
}

/// The opposite of what was said, in proper form.
fn false_statement(body: &[u8]) -> Bytes {
    let Ok(statement) = decode(body) else { return Bytes::copy_from_slice(body) };
    encode(&match statement {
        Statement::Down(tx, Down::Commit) => Statement::Down(tx, Down::Abort(AbortReason::Expired)),
        Statement::Down(tx, _) => Statement::Down(tx, Down::Commit),
        Statement::Up(tx, Up::Vote(Vote::Yes)) => {
            Statement::Up(tx, Up::Vote(Vote::No("no".into())))
        }
        Statement::Up(tx, _) => Statement::Up(tx, Up::Vote(Vote::Yes)),
    })
}

fn false_reply(body: &[u8]) -> Bytes {
    match decode(body) {
        Ok(ManagerReply::Ended(mut ended)) => {
            ended.outcome = match ended.outcome {
                Outcome::Committed => Outcome::Aborted(AbortReason::Expired),
                Outcome::Aborted(_) => Outcome::Committed,
            };
            encode(&ManagerReply::Ended(ended))
        }
        Ok(ManagerReply::Open(_) | ManagerReply::Stale(_) | ManagerReply::Joined(_)) | Err(_) => {
            let lie = Answer { before: Some("7".into()), value: "1000000".into() };
            encode(&ResourceReply::Done(lie))
        }
        Ok(_) => Bytes::copy_from_slice(body),
    }
}

/// Mostly groups of four; now and then one of seven, seldom all. Of 25, because misdeeds go by nine
/// and other things by two and four.
fn sizes(seed: u64) -> [u16; 3] {
    let sizes = match seed % 25 {
        5 => [7, 4, 4],
        11 => [4, 7, 4],
        23 => [7, 7, 7],
        _ => [4, 4, 4],
    };
    sizes.map(|n| size(0, &[n]).0)
}

/// Two clients share a transaction and a third has its own, or each has one: transfers across groups
/// and within, over the same accounts. Some change their minds, some vanish.
fn plans(rng: &mut Rng) -> Vec<Plan> {
    let shared = !rng.once_in(3);
    let count = 2 + rng.below(2);
    let place = |rng: &mut Rng| -> Place { (*rng.choose(&[LEFT, RIGHT]), *rng.choose(&ACCOUNTS)) };
    // No sum of some of them is a sum of others, so answers tell apart what was done.
    let mut amounts = vec![1, 2, 4, 8, 16, 32];
    let plans = (0..count).map(|number| {
        let joins = shared && number == 1;
        let moves = (0..=rng.below(2)).map(|_| {
            let (from, mut to) = (place(rng), place(rng));
            while to == from {
                to = place(rng);
            }
            (from, to, amounts.remove(rng.below(amounts.len())))
        });
        let moves = moves.collect();
        let ending = match rng.below(8) {
            0 => Ending::Aborts,
            1 => Ending::Vanishes,
            _ => Ending::Agrees,
        };
        let party = if shared && number < 2 { 2 } else { 1 };
        Plan { deal: if joins { 0 } else { number }, party, moves, ending }
    });
    plans.collect()
}

/// A scene with everything that the seed can throw at it.
fn hostile(seed: u64) -> Scene {
    let mut rng = Rng::new(seed).fork(0x7a);
    let mut scene = Scene::new(seed, sizes(seed));
    for (place, name) in NAMES.iter().enumerate() {
        let thresholds = scene.world.group(name).thresholds;
        let mut members = scene.world.members(name);
        for liar in 0..usize::from(thresholds.f()) {
            let owner = members.remove(rng.below(members.len()));
            let kind = seed as usize + place * 3 + liar;
            let group = GroupId::new(place as u16);
            scene.world.corrupt_boxed(owner, misdeed(kind, group, &mut rng));
        }
    }
    if rng.once_in(4) {
        scene.world.detach([LockManager::KIND, Atomic::KIND]);
    }
    scene.set_restarts(seed % 4);
    for plan in plans(&mut rng) {
        scene.enter(plan);
    }
    if rng.once_in(3) {
        scene.enter_rogue(rng.below(rogue::KINDS));
    }
    scene
}

#[test]
fn transactions_end_alike_everywhere_whatever_f_of_each_group_do() {
    let (mut seen, mut tried) = (BTreeSet::new(), 0);
    property(24, |seed| {
        let mut scene = hostile(seed);
        scene.play();
        scene.end();
        let told = check::audit(&mut scene).unwrap();
        scene.silence();
        scene.rest();
        check::replicas(&scene).unwrap();
        check::truth(&scene, &told).unwrap();
        seen.extend(check::words(&scene));
        tried += 1;
    });
    for word in ["committed", "client", "expired", "wounded"] {
        assert!(seen.contains(word) || tried < 24, "the test must see {word}: {seen:?}");
    }
}

/// Three clients, one after the other, so that the schedule decides nothing: the balances at all
/// replicas.
fn calm(seed: u64, detached: &[Kind], restarts: u64) -> Run<(Key, i64)> {
    let mut scene = Scene::new(seed, [4, 4, 4]);
    scene.world.detach(detached.iter().copied());
    scene.set_restarts(restarts);
    let work = [
        ((LEFT, "a"), (RIGHT, "b"), 30, Ending::Agrees),
        ((RIGHT, "b"), (LEFT, "b"), 50, Ending::Aborts),
        ((RIGHT, "b"), (RIGHT, "a"), 130, Ending::Agrees),
    ];
    for (deal, (from, to, amount, ending)) in work.into_iter().enumerate() {
        scene.enter(Plan { deal, party: 1, moves: vec![(from, to, amount)], ending });
        scene.play();
    }
    scene.rest();
    check::replicas(&scene).unwrap();
    let world = &scene.world;
    let owners = NAMES[1..].iter().flat_map(|name| world.members(name));
    let outcome = owners.map(|owner| {
        let bank = world.root::<Replica<Bank>>(owner).service();
        (owner, bank.committed().clone().into_iter().collect())
    });
    outcome.collect()
}

#[test]
fn neither_placement_nor_restarts_change_what_happens() {
    property(2, |seed| {
        same_in_any_placement(&[LockManager::KIND, Atomic::KIND], |kinds| calm(seed, kinds, 0))
            .unwrap();
        let undisturbed = calm(seed, &[], 0);
        assert_eq!(undisturbed, calm(seed, &[], 12));
        let left: Vec<i64> = undisturbed[0].1.iter().map(|(_, balance)| *balance).collect();
        let right: Vec<i64> = undisturbed[4].1.iter().map(|(_, balance)| *balance).collect();
        assert_eq!((left, right), (vec![70, 100], vec![230, 0]));
    });
}

/// Hands three of the four members of a group to a liar: more than any promise covers.
fn overrun<S: Service>(scene: &mut Scene, group: GroupId, lie: fn(Owner, &mut Message)) {
    for owner in scene.world.members(NAMES[group.index()]).into_iter().skip(1) {
        let liar = Mutate::<Replica<S>>::new(move |to, message| {
            lie(to, message);
            true
        });
        scene.world.overrun(owner, Box::new(liar));
    }
}

/// The transaction manager says one thing to one bank and another to the other. Our checks see it, so
/// they can see something.
#[test]
fn a_manager_that_lies_as_a_whole_is_caught() {
    property(3, |seed| {
        let mut scene = Scene::new(seed, [4, 4, 4]);
        overrun::<Manager>(&mut scene, TM, |to, message| {
            if let (Owner::Party(RIGHT, _), Message::Statement(said)) = (to, message)
                && let Ok(Statement::Down(tx, Down::Commit)) = decode(&said.body)
            {
                said.body = encode(&Statement::Down(tx, Down::Abort(AbortReason::Expired)));
            }
        });
        let moves = vec![((LEFT, "a"), (RIGHT, "a"), 30)];
        scene.enter(Plan { deal: 0, party: 1, moves, ending: Ending::Agrees });
        scene.play();
        scene.rest();
        let found = check::money(&scene).unwrap_err();
        assert_eq!(found, "money: 370 of 400");
        let found = check::outcomes(&scene).unwrap_err();
        assert!(found.contains("Committed, at g2 Some(Aborted"), "{found}");
    });
}

/// Most replicas of a bank lie to clients.
#[test]
fn a_bank_that_lies_as_a_whole_is_caught() {
    property(3, |seed| {
        let mut scene = Scene::new(seed, [4, 4, 4]);
        overrun::<Bank>(&mut scene, LEFT, |_, message| {
            let Message::Replies(replies) = message else { return };
            for Reply { body, .. } in replies {
                if let Ok(ResourceReply::Done(Answer { before, .. })) = decode(body) {
                    let value = "1000000".into();
                    *body = encode(&ResourceReply::Done(Answer { before, value }));
                }
            }
        });
        let told = check::audit(&mut scene).unwrap();
        scene.rest();
        let found = check::truth(&scene, &told).unwrap_err();
        assert!(found.starts_with("the auditor believes"), "{found}");
    });
}
