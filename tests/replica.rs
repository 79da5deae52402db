//! Replicated services on the real atomic stream, with corrupted members of any behaviour.
//!
//! *Total order*: correct replicas at the same slot are equal. *Integrity*: a request takes effect
//! once, in its client's order, and nothing else does. *Liveness*: every request is answered, whatever
//! liars go on doing. *Rest*: when the liars have fallen silent, so does everybody, alarms and all.
//!
//! More seeds: `MAFTIA_SEEDS=10000 cargo test --release --test replica`, and `MAFTIA_N=7` for one size.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected shall fall")]

use bytes::Bytes;
use maftia_core::{
    fault::Fault,
    id::{GroupId, Slot},
    protocol::Kind,
    replica::{
        Replica, Session, Spec,
        service::{Action, Command, Item, NoHelper, Service},
        session,
    },
    seat::{Owner, Seat},
    sim::{
        World,
        adversary::Relents,
        behaviour::{self, Crash},
        oracle, property, size,
    },
    thresholds::Thresholds,
    time::Span,
};
use serde::{Deserialize, Serialize};

/// A list that requests grow; what begins with `tell` is told to the other group as well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct List {
    other: Option<GroupId>,
    entries: Vec<Bytes>,
}

impl Service for List {
    const KIND: Kind = Kind("list");
    type Spec = Option<GroupId>;
    type Helper = NoHelper;

    fn new(_: &Seat, other: &Self::Spec) -> Self {
        Self { other: *other, entries: Vec::new() }
    }

    fn helper(&self) -> Option<maftia_core::protocol::Never> {
        None
    }

    fn plan(&mut self, _: &[Item]) -> Option<maftia_core::protocol::Never> {
        None
    }

    fn apply(
        &mut self,
        items: Vec<Item>,
        _: Option<maftia_core::protocol::Never>,
        actions: &mut Vec<Action>,
    ) {
        for item in items {
            match item.command {
                Command::Request { client, number, body } => {
                    self.entries.push(body.clone());
                    if let Some(to) = self.other.filter(|_| body.starts_with(b"tell")) {
                        actions.push(Action::Tell { to, body });
                    }
                    let body = Bytes::from(self.entries.len().to_string());
                    actions.push(Action::Reply { client, number, body });
                }
                Command::Statement { body, .. } => self.entries.push(body),
                Command::Tick => {}
            }
        }
    }

    fn tick(&self) -> Option<Span> {
        None
    }
}

type Member = Replica<List>;

/// How long an order that a seed chose goes on.
const UNFAIR_STEPS: u64 = 3_000;

fn world(seed: u64, n: u16, f: u16, groups: &[&str]) -> World {
    let thresholds = Thresholds::asynchronous(n, f).unwrap();
    let mut world = World::new(seed, groups.iter().map(|name| (*name, thresholds)));
    for (place, group) in groups.iter().enumerate() {
        let next = (place + 1) % groups.len();
        let other = (next != place).then(|| GroupId::new(next as u16));
        let spec = Spec { interval: 8, ..Spec::new(other) };
        world.add_group::<Member>(group, group, |_| spec.clone());
    }
    world
}

fn ask(world: &mut World, name: &str, group: &str, bodies: &[String]) -> Owner {
    let client = World::client(name);
    world.add::<Session>(world.seat(client, group, group), session::Spec::new(1));
    for body in bodies {
        let input = session::Input::request(Bytes::copy_from_slice(body.as_bytes()));
        world.input::<Session>(client, input);
    }
    client
}

fn answers(world: &World, client: Owner) -> Vec<(u64, usize)> {
    let answer = |output: &session::Output| match output {
        session::Output::Answered { number, body, .. } => {
            Some((*number, std::str::from_utf8(body).unwrap().parse().unwrap()))
        }
        _ => None,
    };
    world.outputs::<Session>(client).iter().filter_map(answer).collect()
}

/// No correct replica is said to have done wrong. That one was slow is a hint, and may be said.
fn assert_no_slander(world: &World) {
    for (owner, accusation) in world.accusations().iter().filter(|(o, _)| !world.is_corrupted(*o)) {
        let culprit = world.meant(*owner, accusation.peer, accusation.group);
        let hint = accusation.fault == Fault::Silent;
        assert!(hint || world.is_corrupted(culprit), "{owner:?} says {accusation:?}");
    }
}

/// Lets liars be, in each group as many as it tolerates.
fn corrupt(world: &mut World, seed: u64, f: u16, groups: &[&str]) {
    for (place, group) in groups.iter().enumerate() {
        let mut members = world.members(group);
        let first = seed as usize / 2 % members.len();
        members.rotate_left(first);
        for (number, owner) in members.into_iter().take(f.into()).enumerate() {
            let misdeed = behaviour::any(seed + (1_000_003 * (2 * place + number)) as u64);
            world.corrupt_boxed(owner, misdeed);
        }
    }
}

/// Stops the liars, their alarms as well, and lets all others come to rest. A liar can keep rounds
/// going for ever in which nothing is ordered, so a group rests when its liars do.
fn rest(world: &mut World) {
    let all = world.parties().into_iter().filter(|owner| world.is_corrupted(*owner));
    for liar in all.collect::<Vec<_>>() {
        world.corrupt(liar, Crash::after(0));
    }
    world.run();
    oracle::bounded(world, BOUNDS).unwrap();
}

/// What a replica may hold that has ordered some requests of two clients, its streams included.
const BOUNDS: oracle::Bounds = oracle::Bounds { instances: 200, waiting: 600, snapshot: 1 << 20 };

/// Runs until these clients have so many answers each.
fn run(world: &mut World, clients: &[Owner], each: usize) {
    let missing = |world: &World| clients.iter().any(|client| answers(world, *client).len() < each);
    assert!(!world.run_while(missing) || !missing(world), "not all requests are answered");
}

/// Runs until every correct replica of a group has so many entries.
fn run_all(world: &mut World, group: &str, entries: usize) {
    let correct: Vec<Owner> =
        world.members(group).into_iter().filter(|owner| !world.is_corrupted(*owner)).collect();
    world.run_while(|world| {
        correct.iter().any(|m| world.root::<Member>(*m).service().entries.len() < entries)
    });
}

/// What the correct replicas of a group hold, which must be the same at the same slot.
fn state(world: &World, group: &str) -> Vec<String> {
    let correct = |owner: &Owner| !world.is_corrupted(*owner);
    let members: Vec<Owner> = world.members(group).into_iter().filter(correct).collect();
    let replicas: Vec<&Member> = members.iter().map(|owner| world.root::<Member>(*owner)).collect();
    for a in &replicas {
        for b in replicas.iter().filter(|b| b.slot() == a.slot()) {
            assert_eq!(a.digest(), b.digest(), "at slot {}", a.slot());
        }
    }
    let ahead = replicas.iter().max_by_key(|replica| replica.slot()).unwrap();
    let text = |entry: &Bytes| String::from_utf8_lossy(entry).into_owned();
    ahead.service().entries.iter().map(text).collect()
}

fn of(name: &str, entries: &[String]) -> Vec<String> {
    entries.iter().filter(|entry| entry.contains(name)).cloned().collect()
}

#[test]
fn requests_are_answered_once_in_order_whatever_f_replicas_do() {
    property(12, |seed| {
        let (n, f) = size(seed, &[4, 7]);
        let mut world = world(seed, n, f, &["left"]);
        world.set_adversary(Relents::at(UNFAIR_STEPS));
        corrupt(&mut world, seed, f, &["left"]);
        let bodies = |name: &str| (0..4).map(|k| format!("{name}{k}")).collect::<Vec<_>>();
        let (a, b) = (bodies("a"), bodies("b"));
        let clients = [ask(&mut world, "a", "left", &a), ask(&mut world, "b", "left", &b)];
        run(&mut world, &clients, 4);
        run_all(&mut world, "left", 8);
        rest(&mut world);
        let entries = state(&world, "left");
        assert_eq!((of("a", &entries), of("b", &entries), entries.len()), (a, b, 8));
        for client in clients {
            let answers = answers(&world, client);
            assert_eq!(answers.iter().map(|(number, _)| *number).max(), Some(4), "{answers:?}");
            assert_eq!(answers.len(), 4);
        }
        assert_no_slander(&world);
    });
}

#[test]
fn statements_reach_the_other_group_once_in_order() {
    property(6, |seed| {
        let groups = ["left", "right"];
        let (n, f) = size(seed, &[4]);
        let mut world = world(seed, n, f, &groups);
        world.set_adversary(Relents::at(UNFAIR_STEPS));
        corrupt(&mut world, seed, f, &groups);
        let bodies: Vec<String> = (0..6).map(|k| format!("tell{k}")).collect();
        let client = ask(&mut world, "a", "left", &bodies);
        run(&mut world, &[client], 6);
        run_all(&mut world, "left", 6);
        run_all(&mut world, "right", 6);
        rest(&mut world);
        assert_eq!(state(&world, "left"), bodies);
        assert_eq!(state(&world, "right"), bodies);
        assert_eq!(answers(&world, client).len(), 6);
        assert_no_slander(&world);
    });
}

#[test]
fn restarted_replicas_go_on() {
    property(4, |seed| {
        let (n, f) = size(seed, &[4]);
        let mut world = world(seed, n, f, &["left"]);
        world.set_adversary(Relents::at(UNFAIR_STEPS));
        world.set_restarts(4);
        let bodies: Vec<String> = (0..20).map(|k| format!("a{k}")).collect();
        let client = ask(&mut world, "a", "left", &bodies);
        world.run();
        assert_eq!(state(&world, "left"), bodies);
        assert_eq!(answers(&world, client).len(), 20);
        let slots: Vec<Slot> =
            world.members("left").iter().map(|m| world.root::<Member>(*m).slot()).collect();
        assert!(slots.iter().all(|slot| *slot == slots[0]), "{slots:?}");
        assert_no_slander(&world);
    });
}
