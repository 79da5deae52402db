//! What supervision promises, with real actors, links and logs: an instance that falls is rebuilt
//! without the frame that felled it; whoever cannot go on stops; nobody contradicts itself.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected shall fall")]
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use maftia_actors::{
    link::{memory::Hub, session::CONTROL_FRAMES_MAX},
    log::Store,
    node::{Durability, Frozen, Network, Node, Plan},
    party::State,
    placement::Placement,
    pool::Pool,
};
use maftia_core::{
    children::Children,
    crypto::Digest,
    effects::{Effects, Lane},
    id::{Epoch, GroupId, PartyId},
    path::{InstanceId, Role, Segment},
    protocol::{Early, Event, Kind, Never, Protocol},
    seat::{Directory, Owner, Seat},
    sim::ideal,
    thresholds::Thresholds,
    wire,
};
use serde::{Deserialize, Serialize};

const N: u16 = 4;

/// What a child adds when it is told that frames are lost.
const MISSED: u64 = 1_000_000;

/// Adds up what everyone says, in a child; falls or freezes when it is told to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Fragile {
    sum: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Said {
    Number(u64),
    Poison,
    Freeze,
    /// Says so many nothings to party 3.
    Flood(u32),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Told(u64);

impl Protocol for Fragile {
    const KIND: Kind = Kind("fragile");
    type Spec = ();
    type Input = Said;
    type Output = u64;
    type Message = Said;
    type Timer = Never;
    type Ask = u64;
    type Heard = Told;

    fn new(_: &Seat, (): ()) -> Self {
        Self { sum: 0 }
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        match event {
            Event::Input(Said::Freeze) => panic!("poisoned by its own user"),
            Event::Input(Said::Flood(count)) => {
                (0..count).for_each(|_| fx.send(PartyId::new(3), Said::Flood(0)));
            }
            Event::Input(said) => fx.broadcast(said),
            Event::Message { from, message: Said::Poison } => {
                assert_eq!(from.member(), Some(fx.seat().me()), "poisoned by a peer");
            }
            Event::Message { message: Said::Freeze, .. } => {
                std::thread::sleep(Duration::from_secs(7));
            }
            Event::Message { message: Said::Number(number), .. } => fx.ask(number),
            Event::Heard(Told(sum)) => {
                self.sum = sum;
                fx.output(sum);
            }
            _ => {}
        }
    }

    fn route<C: Children<Self>>(number: u64, children: &mut C) {
        children.ask::<Adder>(Role::Other.only(), (), Some(number), |_: &Segment, sum| Told(sum));
    }

    fn early(&self, _: &Seat, _: Segment) -> Early {
        Early::Wait
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Adder {
    sum: u64,
}

impl Protocol for Adder {
    const KIND: Kind = Kind("adder");
    type Spec = ();
    type Input = u64;
    type Output = u64;
    type Message = Never;
    type Timer = Never;
    type Ask = Never;
    type Heard = Never;

    fn new(_: &Seat, (): ()) -> Self {
        Self { sum: 0 }
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        match event {
            Event::Input(number) => self.sum += number,
            Event::Missed { .. } => self.sum += MISSED,
            _ => return,
        }
        fx.output(self.sum);
    }

    fn route<C: Children<Self>>(ask: Never, _: &mut C) {
        match ask {}
    }
}

/// Four parties in one process, what they remember, and the sums that each told.
struct Group {
    hub: Hub,
    placement: Placement,
    stores: Vec<Store>,
    sums: Vec<Arc<Mutex<Vec<u64>>>>,
    nodes: Vec<Option<Node<Fragile>>>,
}

impl Group {
    async fn start(placement: Placement) -> Self {
        let mut group = Self {
            hub: Hub::new(),
            placement,
            stores: (0..N).map(|_| Store::default()).collect(),
            sums: (0..N).map(|_| Arc::default()).collect(),
            nodes: (0..N).map(|_| None).collect(),
        };
        for party in PartyId::all(N) {
            group.raise(party.index()).await;
        }
        group
    }

    async fn raise(&mut self, party: usize) {
        let sums = Arc::clone(&self.sums[party]);
        let plan = Plan {
            seat: seat(party),
            spec: (),
            network_id: Digest::of("test", b"supervision"),
            known: Arc::new((0..usize::from(N)).map(owner).collect::<BTreeSet<_>>()),
            key: None,
            guests: None,
            durability: Durability::Memory(self.stores[party].clone()),
            network: Network::Memory(self.hub.clone()),
            pool: Pool::new(1),
            placement: self.placement.clone(),
            outputs: Box::new(move |sum| sums.lock().unwrap().push(sum)),
            control: Box::new(|_, _, _| {}),
            frozen: Frozen::Fence,
        };
        self.nodes[party] = Some(Node::start(plan).await.expect("a party with a good log starts"));
    }

    fn node(&self, party: usize) -> &Node<Fragile> {
        self.nodes[party].as_ref().expect("it is up")
    }

    async fn say(&self, party: usize, said: Said) {
        self.node(party).ask(said).await.expect("the party lives");
    }

    async fn sum(&self, party: usize) -> u64 {
        self.node(party).with(|tree| tree.root().sum).await.unwrap_or(0)
    }

    /// Waits until these parties have added up to `sum`.
    async fn agree(&self, parties: &[usize], sum: u64) {
        for party in parties {
            let what = format!("party {party} has {sum}");
            eventually(&what, async || self.sum(*party).await == sum).await;
        }
    }
}

fn owner(party: usize) -> Owner {
    Owner::Party(GroupId::new(0), PartyId::new(u16::try_from(party).unwrap()))
}

fn seat(party: usize) -> Seat {
    let thresholds = Thresholds::asynchronous(N, 1).unwrap();
    let directory = Arc::new(Directory::new([("g".into(), thresholds)]));
    let group = directory.groups()[0].clone();
    Seat {
        id: InstanceId::root(GroupId::new(0), Epoch::FIRST, "g"),
        owner: owner(party),
        keys: ideal::keys([3; 32], owner(party), Some(&group), &directory),
        group: Arc::new(group),
        directory,
    }
}

async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
        actix_rt::time::sleep(Duration::from_millis(5)).await;
    }
}

fn placements() -> [Placement; 2] {
    [Placement::inline(), Placement::detached([Adder::KIND])]
}

#[actix_rt::test]
async fn frames_reach_everyone_wherever_the_child_lives() {
    for placement in placements() {
        let group = Group::start(placement).await;
        for party in 0..4 {
            for number in 1..=50 {
                group.say(party, Said::Number(number)).await;
            }
        }
        group.agree(&[0, 1, 2, 3], 4 * 1_275).await;
        let told = group.sums[0].lock().unwrap().clone();
        assert_eq!(told.len(), 200, "each output comes once");
    }
}

#[actix_rt::test]
async fn a_poisonous_frame_is_skipped_and_the_instance_keeps_its_address_and_its_past() {
    for placement in placements() {
        let group = Group::start(placement).await;
        group.say(0, Said::Number(5)).await;
        group.agree(&[0, 1, 2, 3], 5).await;
        group.say(1, Said::Poison).await;
        group.say(0, Said::Number(7)).await;
        group.agree(&[0, 1, 2, 3], 12).await;
        for party in 0..4 {
            assert_eq!(group.node(party).state(), State::Live, "party {party}");
        }
    }
}

#[actix_rt::test]
async fn a_skipped_frame_stays_skipped_after_a_restart() {
    let mut group = Group::start(Placement::inline()).await;
    group.say(1, Said::Poison).await;
    group.say(1, Said::Number(7)).await;
    group.agree(&[0, 1, 2, 3], 7).await;
    group.nodes[3].take().expect("it is up").crash();
    group.raise(3).await;
    group.agree(&[3], 7).await;
}

#[actix_rt::test]
async fn a_fall_that_nobody_sent_ends_the_party_and_says_why() {
    let group = Group::start(Placement::inline()).await;
    group.say(2, Said::Freeze).await;
    eventually("it stopped", async || group.node(2).state() != State::Live).await;
    let State::Stopped(why) = group.node(2).state() else { panic!("it neither lives nor stopped") };
    assert!(why.contains("g fell: poisoned by its own user"), "{why}");
    group.say(0, Said::Number(3)).await;
    group.agree(&[0, 1, 3], 3).await;
}

#[actix_rt::test]
async fn whoever_falls_too_often_gives_up_while_the_others_go_on() {
    let group = Group::start(Placement::inline()).await;
    for _ in 0..4 {
        group.say(1, Said::Poison).await;
    }
    for party in [0, 2, 3] {
        eventually("it gave up", async || group.node(party).state() != State::Live).await;
    }
    assert_eq!(group.node(1).state(), State::Live);
}

#[actix_rt::test]
async fn a_frozen_handler_is_noticed_and_its_party_cut_off() {
    let group = Group::start(Placement::inline()).await;
    let send = |started: &maftia_actors::party::Started<Fragile>| {
        let frame = wire::encode(&Said::Freeze);
        let links = started.party.links();
        links.send_many(&[owner(3)], Lane::Control, &seat(2).id, frame).expect("it is known");
    };
    group.node(2).with_party(send).await.expect("the party lives");
    eventually("it is cut off", async || group.node(3).lab().is_cut()).await;
    assert!((0..3).all(|party| !group.node(party).lab().is_cut()));
}

#[actix_rt::test]
async fn a_restarted_party_has_lost_nothing_and_repeats_nothing() {
    for placement in placements() {
        let mut group = Group::start(placement).await;
        group.say(3, Said::Number(1)).await;
        group.agree(&[0, 1, 2, 3], 1).await;
        group.nodes[3].take().expect("it is up").crash();
        for number in 1..=20 {
            group.say(0, Said::Number(number)).await;
        }
        group.agree(&[0, 1, 2], 211).await;
        group.raise(3).await;
        group.agree(&[3], 211).await;
        group.say(3, Said::Number(1_000)).await;
        group.agree(&[0, 1, 2, 3], 1_211).await;
    }
}

/// A party was away for longer than a backlog lasts: whatever lives in it is told what it missed.
#[actix_rt::test]
async fn a_lost_frame_is_made_known_to_every_instance() {
    for placement in placements() {
        let mut group = Group::start(placement).await;
        group.say(0, Said::Number(1)).await;
        group.agree(&[0, 1, 2, 3], 1).await;
        group.nodes[3].take().expect("it is up").crash();
        let most = u32::try_from(CONTROL_FRAMES_MAX).unwrap();
        group.say(0, Said::Flood(most + 1)).await;
        group.say(1, Said::Number(2)).await;
        group.agree(&[0, 1, 2], 3).await;
        group.raise(3).await;
        group.agree(&[3], MISSED + 3).await;
    }
}
