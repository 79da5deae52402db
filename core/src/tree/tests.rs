//! A parent that counts to a goal with the help of children, on hosts of both kinds.

use std::{any::Any, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Tree;
use crate::{
    children::Children,
    crypto::{Answer, Job},
    effects::{Effects, Lane, To},
    fault::Fault,
    host::{Alarm, Detached, Host, Outside},
    id::{Epoch, GroupId, PartyId, Peer},
    mail::{Mail, Notice},
    path::{InstanceId, Role, Segment},
    protocol::{Early, Event, Kind, Never, Protocol},
    seat::{Directory, Owner, Seat},
    sim::ideal,
    thresholds::Thresholds,
    time::Span,
    wire,
};

/// Adds up what it hears from peers, and tells its parent each sum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Adder {
    sum: u64,
}

impl Protocol for Adder {
    const KIND: Kind = Kind("adder");
    type Spec = u64;
    type Input = u64;
    type Output = u64;
    type Message = u64;
    type Timer = Never;
    type Ask = Never;
    type Heard = Never;

    fn new(_: &Seat, sum: u64) -> Self {
        Self { sum }
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        match event {
            Event::Input(number) => fx.broadcast(number),
            Event::Message { message, .. } => {
                self.sum += message;
                fx.output(self.sum);
            }
            _ => {}
        }
    }

    fn route<C: Children<Self>>(ask: Never, _: &mut C) {
        match ask {}
    }

    fn admit(_: &Seat, _: Peer, message: &u64) -> Result<(), Fault> {
        if *message < 100 { Ok(()) } else { Err(Fault::Improper("not below 100".into())) }
    }
}

/// Opens adders by number; knows the window; uses a job and an alarm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Parent {
    heard: Vec<(u64, u64)>,
    coins: u64,
    rang: u64,
    behind: Vec<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Ask {
    Add { adder: u64, number: Option<u64> },
    Toss,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Heard {
    Sum(u64, u64),
    Share,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Input {
    Add { adder: u64, number: Option<u64> },
    Retire(u64),
    Repeat(Segment, PartyId),
    Toss,
    Arm,
}

impl Protocol for Parent {
    const KIND: Kind = Kind("parent");
    type Spec = ();
    type Input = Input;
    type Output = (u64, u64);
    type Message = Never;
    type Timer = u8;
    type Ask = Ask;
    type Heard = Heard;
    const REPEATS: bool = true;

    fn new(_: &Seat, (): ()) -> Self {
        Self { heard: Vec::new(), coins: 0, rang: 0, behind: Vec::new() }
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        match event {
            Event::Input(Input::Add { adder, number }) => fx.ask(Ask::Add { adder, number }),
            Event::Input(Input::Retire(adder)) => fx.retire(Role::Round.at(adder)),
            Event::Input(Input::Repeat(child, to)) => fx.repeat(child, to),
            Event::Input(Input::Toss) => fx.ask(Ask::Toss),
            Event::Input(Input::Arm) => fx.arm(7, Span::millis(1)),
            Event::Heard(Heard::Sum(adder, sum)) => {
                self.heard.push((adder, sum));
                fx.output((adder, sum));
            }
            Event::Heard(Heard::Share) => self.coins += 1,
            Event::Timer(_) => self.rang += 1,
            Event::Behind { number, .. } => self.behind.push(number),
            Event::Start | Event::Message { .. } | Event::Dropped { .. } | Event::Missed { .. } => {
            }
        }
    }

    fn route<C: Children<Self>>(ask: Ask, children: &mut C) {
        match ask {
            Ask::Add { adder, number } => {
                children.ask::<Adder>(Role::Round.at(adder), adder, number, |at: &Segment, sum| {
                    Heard::Sum(at.number, sum)
                });
            }
            Ask::Toss => {
                let tag = InstanceId::root(GroupId::new(0), Epoch::FIRST, "x").tag("coin");
                let job = Job::CoinShare { tag };
                children.compute(Role::Job.only(), job, |_, _: Answer| Heard::Share);
            }
        }
    }

    fn early(&self, _: &Seat, child: Segment) -> Early {
        match child.role {
            Role::Round if child.number < 10 => Early::Wait,
            Role::Round => Early::Beyond,
            _ => Early::Never,
        }
    }
}

/// Which child was asked, and the numbered input.
type Asked = (Segment, Option<(u64, Box<dyn Any>)>);

/// A host that notes everything; it detaches adders when told to.
#[derive(Default)]
struct Notes {
    detach: bool,
    sent: Vec<(To, InstanceId, Bytes)>,
    alarms: Vec<Alarm>,
    jobs: Vec<(InstanceId, Job)>,
    accused: Vec<(Peer, Fault)>,
    outputs: Vec<(u64, (u64, u64))>,
    asked: Vec<Asked>,
    forwarded: Vec<InstanceId>,
    retired: Vec<InstanceId>,
    notified: Vec<(InstanceId, Notice)>,
}

impl Outside for Notes {
    fn send(&mut self, to: To, instance: &InstanceId, _: Lane, frame: Bytes) {
        self.sent.push((to, instance.clone(), frame));
    }

    fn arm(&mut self, alarm: Alarm, _: Span) {
        self.alarms.push(alarm);
    }

    fn compute(&mut self, id: &InstanceId, job: Job) {
        self.jobs.push((id.clone(), job));
    }

    fn accuse(&mut self, _: &InstanceId, peer: Peer, fault: Fault) {
        self.accused.push((peer, fault));
    }
}

impl Host<Parent> for Notes {
    fn output(&mut self, number: u64, output: (u64, u64)) {
        self.outputs.push((number, output));
    }

    fn detaches(&self, kind: Kind) -> bool {
        self.detach && kind == Adder::KIND
    }

    fn ask_detached<C: Protocol>(
        &mut self,
        child: Detached<C, Parent>,
        input: Option<(u64, C::Input)>,
    ) {
        let input = input.map(|(number, input)| (number, Box::new(input) as Box<dyn Any>));
        self.asked.push((child.at, input));
    }

    fn forward(&mut self, _: Peer, instance: InstanceId, _: Bytes) {
        self.forwarded.push(instance);
    }

    fn notify_detached(&mut self, child: &InstanceId, notice: Notice) {
        self.notified.push((child.clone(), notice));
    }

    fn retire_detached(&mut self, child: &InstanceId) {
        self.retired.push(child.clone());
    }
}

fn seat() -> Seat {
    let thresholds = Thresholds::asynchronous(4, 1).expect("4 = 3 + 1");
    let directory = Arc::new(Directory::new([("g".into(), thresholds)]));
    let owner = Owner::Party(GroupId::new(0), PartyId::new(0));
    let group = directory.groups()[0].clone();
    let keys = ideal::keys([7; 32], owner, Some(&group), &directory);
    let id = InstanceId::root(GroupId::new(0), Epoch::FIRST, "g");
    Seat { id, owner, group: Arc::new(group), directory, keys }
}

fn started(host: &mut Notes) -> Tree<Parent> {
    let mut tree = Tree::new(seat(), ());
    tree.take(Mail::Start, host);
    tree
}

fn frame(from: u16, adder: u64, number: u64) -> Mail<Parent> {
    let instance = seat().id.child(Role::Round.at(adder));
    Mail::Frame { from: Peer::Member(PartyId::new(from)), instance, bytes: wire::encode(&number) }
}

fn add(adder: u64, number: u64) -> Mail<Parent> {
    Mail::Input { number: 0, input: Input::Add { adder, number: Some(number) } }
}

fn input(input: Input) -> Mail<Parent> {
    Mail::Input { number: 0, input }
}

#[test]
fn a_child_is_opened_asked_and_heard() {
    let mut host = Notes::default();
    let mut tree = started(&mut host);
    tree.take(frame(1, 3, 5), &mut host);
    assert_eq!((tree.instances(), tree.waiting()), (1, 1), "early mail waits");
    tree.take(add(3, 10), &mut host);
    assert_eq!(host.outputs, [(1, (3, 8)), (2, (3, 18))], "early mail first, then one's own");
    assert_eq!(host.sent.len(), 1, "one frame serves all others");
    assert_eq!(host.sent[0].1, seat().id.child(Role::Round.at(3)));
}

#[test]
fn wrong_frames_are_their_senders_fault() {
    let mut host = Notes::default();
    let mut tree = started(&mut host);
    tree.take(add(3, 1), &mut host);
    tree.take(frame(1, 3, 100), &mut host);
    let garbage = Bytes::from_static(b"\xc1");
    let instance = seat().id.child(Role::Round.at(3));
    tree.take(
        Mail::Frame { from: Peer::Member(PartyId::new(2)), instance, bytes: garbage },
        &mut host,
    );
    let instance = seat().id.child(Role::Vote.at(1));
    tree.take(
        Mail::Frame { from: Peer::Member(PartyId::new(3)), instance, bytes: Bytes::new() },
        &mut host,
    );
    let kinds: Vec<_> = host.accused.iter().map(|(peer, fault)| (*peer, fault.kind())).collect();
    let party = |number| Peer::Member(PartyId::new(number));
    let expected =
        [(party(1), "improper"), (party(2), "undecodable"), (party(3), "no-such-instance")];
    assert_eq!(kinds, expected);
}

#[test]
fn what_is_retired_stays_over() {
    let mut host = Notes::default();
    let mut tree = started(&mut host);
    for adder in [0, 1, 2] {
        tree.take(add(adder, 1), &mut host);
    }
    tree.take(input(Input::Retire(1)), &mut host);
    let outputs = host.outputs.len();
    tree.take(frame(1, 1, 5), &mut host);
    tree.take(add(1, 1), &mut host);
    assert_eq!((tree.instances(), host.outputs.len(), tree.waiting()), (3, outputs, 0));
}

#[test]
fn one_correct_member_above_the_window_says_that_we_are_behind() {
    let mut host = Notes::default();
    let mut tree = started(&mut host);
    tree.take(frame(1, 1_000, 1), &mut host);
    assert!(tree.root().behind.is_empty());
    tree.take(frame(2, 40, 1), &mut host);
    assert_eq!(tree.root().behind, [40]);
}

#[test]
fn an_alarm_rings_once_and_a_replaced_one_never() {
    let mut host = Notes::default();
    let mut tree = started(&mut host);
    tree.take(input(Input::Arm), &mut host);
    tree.take(input(Input::Arm), &mut host);
    for alarm in host.alarms.clone().into_iter().chain(host.alarms.clone()) {
        tree.take(Mail::Alarm(alarm), &mut host);
    }
    assert_eq!(tree.root().rang, 1);
}

#[test]
fn a_snapshot_holds_everything() {
    let mut host = Notes::default();
    let mut tree = started(&mut host);
    tree.take(add(3, 1), &mut host);
    tree.take(frame(1, 4, 5), &mut host);
    tree.take(input(Input::Toss), &mut host);
    tree.take(input(Input::Arm), &mut host);
    tree.take(input(Input::Retire(0)), &mut host);
    let mut fresh = Notes::default();
    let mut again =
        Tree::<Parent>::load(seat(), &tree.save(), &mut fresh).expect("our own snapshot");
    assert_eq!(again.save(), tree.save());
    again.rouse(&mut fresh);
    assert_eq!((fresh.jobs.len(), fresh.alarms.len()), (1, 1));
    for tree in [&mut tree, &mut again] {
        let mut host = Notes::default();
        let (id, job) = fresh.jobs[0].clone();
        let answer = job.perform(&seat().keys);
        tree.take(Mail::Answer { job: id, answer }, &mut host);
        tree.take(Mail::Alarm(fresh.alarms[0].clone()), &mut host);
        tree.take(add(4, 1), &mut host);
        tree.take(add(0, 1), &mut host);
        assert_eq!(host.outputs, [(2, (4, 9)), (3, (4, 10))]);
        assert_eq!((tree.root().coins, tree.root().rang), (1, 1));
    }
    assert_eq!(again.save(), tree.save());
    assert!(Tree::<Parent>::load(seat(), b"garbage", &mut fresh).is_err());
}

#[test]
fn edges_to_detached_children_are_numbered_and_a_number_is_taken_once() {
    let mut host = Notes { detach: true, ..Notes::default() };
    let mut tree = started(&mut host);
    tree.take(frame(1, 3, 5), &mut host);
    tree.take(add(3, 1), &mut host);
    tree.take(add(3, 2), &mut host);
    let numbers: Vec<_> =
        host.asked.iter().map(|(at, input)| (at.number, input.as_ref().map(|i| i.0))).collect();
    assert_eq!(numbers, [(3, Some(1)), (3, Some(2))]);
    assert_eq!(host.forwarded.len(), 1, "what waited moves to the child's own tree");
    for number in [1, 1, 2] {
        let from = Role::Round.at(3);
        tree.take(Mail::Heard { from, number, heard: Heard::Sum(3, number) }, &mut host);
    }
    assert_eq!(host.outputs, [(1, (3, 1)), (2, (3, 2))]);
    tree.take(Mail::Input { number: 1, input: Input::Retire(3) }, &mut host);
    tree.take(Mail::Input { number: 1, input: Input::Toss }, &mut host);
    assert_eq!((host.retired.len(), host.jobs.len()), (1, 0));
}

/// Whom a repeat tells what.
fn repeated(tree: &mut Tree<Parent>, host: &mut Notes, adder: u64, to: u16) -> Vec<(To, u64)> {
    host.sent.clear();
    let (child, to) = (Role::Round.at(adder), PartyId::new(to));
    tree.take(input(Input::Repeat(child, to)), host);
    let sent = host.sent.iter();
    sent.map(|(to, _, bytes)| (*to, wire::decode(bytes).expect("a number"))).collect()
}

#[test]
fn what_a_child_said_is_said_again_until_it_is_over() {
    let mut host = Notes::default();
    let mut tree = started(&mut host);
    for (adder, number) in [(0, 5), (1, 6), (0, 7)] {
        tree.take(add(adder, number), &mut host);
    }
    let two = To::Member(PartyId::new(2));
    assert_eq!(repeated(&mut tree, &mut host, 0, 2), [(two, 5), (two, 7)]);
    let mut tree = Tree::<Parent>::load(seat(), &tree.save(), &mut host).expect("our own snapshot");
    assert_eq!(repeated(&mut tree, &mut host, 1, 2), [(two, 6)]);
    tree.take(input(Input::Retire(0)), &mut host);
    assert_eq!(repeated(&mut tree, &mut host, 0, 2), []);
}

#[test]
fn notices_reach_what_is_detached() {
    let mut host = Notes { detach: true, ..Notes::default() };
    let mut tree = started(&mut host);
    tree.take(add(3, 1), &mut host);
    assert_eq!(repeated(&mut tree, &mut host, 3, 2), []);
    let missed = Notice::Missed { from: Peer::Member(PartyId::new(1)) };
    tree.take(Mail::Notice(missed), &mut host);
    let repeat = Notice::Repeat { to: PartyId::new(2) };
    let child = seat().id.child(Role::Round.at(3));
    assert_eq!(host.notified, [(child.clone(), repeat), (child, missed)]);
}
