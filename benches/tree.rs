//! What the machine costs apart from protocols: a step inside a tree, and a hop between actors,
//! beside a bare actix message in the same run.

#![allow(clippy::cast_precision_loss, reason = "figures are printed with three digits")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use actix::{Actor, Context, Handler, Message};
use bytes::Bytes;
use maftia_actors::{
    link::memory::Hub,
    log::Store,
    node::{Durability, Frozen, Network, Node, Plan},
    placement::Placement,
    pool::Pool,
};
use maftia_core::{
    children::Children,
    crypto::{Digest, Job},
    effects::{Effects, Lane, To},
    fault::Fault,
    host::{Alarm, Host, Outside},
    id::{PartyId, Peer},
    mail::Mail,
    path::{InstanceId, Role, Segment},
    protocol::{Event, Kind, Never, Protocol},
    seat::Seat,
    time::Span,
    tree::Tree,
    wire,
};
use serde::{Deserialize, Serialize};
use support::{cpu_time, group, median};

/// Asks its child for each message or input, and tells what it hears.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Parent;

/// Counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Child(u64);

impl Protocol for Parent {
    const KIND: Kind = Kind("parent");
    type Spec = ();
    type Input = u64;
    type Output = u64;
    type Message = u64;
    type Timer = Never;
    type Ask = u64;
    type Heard = u64;

    fn new(_: &Seat, (): ()) -> Self {
        Self
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        match event {
            Event::Input(number) | Event::Message { message: number, .. } => fx.ask(number),
            Event::Heard(sum) => fx.output(sum),
            _ => {}
        }
    }

    fn route<C: Children<Self>>(number: u64, children: &mut C) {
        children.ask::<Child>(Role::Other.only(), (), Some(number), |_: &Segment, sum| sum);
    }
}

impl Protocol for Child {
    const KIND: Kind = Kind("child");
    type Spec = ();
    type Input = u64;
    type Output = u64;
    type Message = Never;
    type Timer = Never;
    type Ask = Never;
    type Heard = Never;

    fn new(_: &Seat, (): ()) -> Self {
        Self(0)
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        if let Event::Input(number) = event {
            self.0 += number;
            fx.output(self.0);
        }
    }

    fn route<C: Children<Self>>(ask: Never, _: &mut C) {
        match ask {}
    }
}

/// A host that counts outputs.
struct Counter(u64);

impl Outside for Counter {
    fn send(&mut self, _: To, _: &InstanceId, _: Lane, _: Bytes) {}
    fn arm(&mut self, _: Alarm, _: Span) {}
    fn compute(&mut self, _: &InstanceId, _: Job) {}
    fn accuse(&mut self, _: &InstanceId, _: Peer, _: Fault) {}
}

impl Host<Parent> for Counter {
    fn output(&mut self, _: u64, _: u64) {
        self.0 += 1;
    }
}

/// Microseconds a step: a frame is decoded, its parent asks, the child answers, the parent tells.
fn step() -> f64 {
    let (seats, _) = group(4);
    let (mut tree, mut host) = (Tree::<Parent>::new(seats[0].clone(), ()), Counter(0));
    tree.take(Mail::Start, &mut host);
    let (frames, start) = (300_000, Instant::now());
    let (from, bytes) = (Peer::Member(PartyId::new(1)), wire::encode(&7_u64));
    for _ in 0..frames {
        let (instance, bytes) = (seats[0].id.clone(), bytes.clone());
        tree.take(Mail::Frame { from, instance, bytes }, &mut host);
    }
    assert_eq!(host.0, frames);
    start.elapsed().as_secs_f64() * 1e6 / (3 * frames) as f64
}

/// Microseconds of CPU an input, with the child in its parent's actor or in its own.
async fn inputs(placement: Placement) -> f64 {
    let (seats, known) = group(4);
    let told = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&told);
    let plan = Plan::<Parent> {
        seat: seats[0].clone(),
        spec: (),
        network_id: Digest::of("bench", b""),
        known,
        key: None,
        guests: None,
        durability: Durability::Memory(Store::default()),
        network: Network::Memory(Hub::new()),
        pool: Pool::new(1),
        placement,
        outputs: Box::new(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        }),
        control: Box::new(|_, _, _| {}),
        frozen: Frozen::Fence,
    };
    let node = Node::start(plan).await.expect("a fresh party");
    let (rounds, burst) = (400, 500);
    let cpu = cpu_time();
    for round in 1..=rounds {
        let burst = move |started: &maftia_actors::party::Started<Parent>| {
            for _ in 0..burst {
                while started.root.try_ask(1).is_err() {}
            }
        };
        node.with_party(burst).await.expect("it lives");
        while told.load(Ordering::Relaxed) < round * 500 {
            tokio::time::sleep(Duration::from_micros(50)).await;
        }
    }
    let spent = cpu_time().saturating_sub(cpu).as_secs_f64() * 1e6;
    node.crash();
    spent / (rounds * burst) as f64
}

#[derive(Message)]
#[rtype(result = "()")]
struct Bare(#[allow(dead_code, reason = "as large as a piece of mail")] [u64; 24]);

struct Sink(Arc<AtomicU64>);

impl Actor for Sink {
    type Context = Context<Self>;
}

impl Handler<Bare> for Sink {
    type Result = ();

    fn handle(&mut self, _: Bare, _: &mut Context<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Microseconds a bare actix message of the size of a piece of mail, in bursts, on one arbiter.
async fn bare() -> f64 {
    let told = Arc::new(AtomicU64::new(0));
    let sink = Arc::clone(&told);
    let actor = Sink::create(|context: &mut Context<Sink>| {
        context.set_mailbox_capacity(1_024);
        Sink(sink)
    });
    let (rounds, burst, start) = (400, 500, Instant::now());
    for round in 1..=rounds {
        for _ in 0..burst {
            actor.try_send(Bare([0; 24])).expect("there is room");
        }
        while told.load(Ordering::Relaxed) < round * burst {
            tokio::task::yield_now().await;
        }
    }
    start.elapsed().as_secs_f64() * 1e6 / (rounds * burst) as f64
}

fn main() {
    actix_rt::System::new().block_on(async {
        println!("the machine apart from protocols (medians of 5)");
        println!("  a step of a tree: {:.2} us", median((0..5).map(|_| step()).collect()));
        let (mut inline, mut detached, mut floor) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..5 {
            inline.push(inputs(Placement::inline()).await);
            detached.push(inputs(Placement::detached([Child::KIND])).await);
            floor.push(bare().await);
        }
        let (inline, detached, floor) = (median(inline), median(detached), median(floor));
        let hop = (detached - inline) / 2.0;
        println!(
            "  an input, logged and answered: {inline:.2} us in one actor, {detached:.2} us in two"
        );
        println!("  a hop between actors, its log record included: {hop:.2} us");
        println!("  floor: a bare actix message of the same size: {floor:.2} us");
    });
}
