//! What the machine costs apart from protocols: a step inside a tree, and a hop between two actors of
//! a party, beside a bare actix message in the same run, on the same thread.
//!
//! A hop is: an instance asks or answers, and the instance that it is for takes a step. Without its
//! log record it has what a bare message has, a message and a step, so these two are compared. Two
//! bare actors do the same as two instances: each answers the other, with so many messages on the
//! way at a time; the message is as large as a piece of mail, and the step is one of a tree.
//!
//! On two busy virtual cores, medians, in nanoseconds: with one message on the way at a time a bare
//! one with its step takes 219, a hop 321 (1.47 of it), a hop with its log record 400. With 256 on
//! the way these are 159, 189 (1.19) and 245, since an actor is rung once for all mail that came in
//! between. So of a lone hop some 130 are the ring, the turn of the actor and settling what the batch
//! caused, and 60 to 80 are the record.

#![allow(clippy::cast_precision_loss, reason = "figures are printed with three digits")]

#[path = "support/hop.rs"]
mod hop;
mod support;

use std::time::Instant;

use bytes::Bytes;
use maftia_core::{
    children::Children,
    crypto::Job,
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
use support::{group, median};

/// Asks its child for each message or input, and tells what it hears.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Parent;

/// How often each figure is measured.
const ROUNDS: usize = 5;

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

fn main() {
    actix_rt::System::new().block_on(async {
        println!("the machine apart from protocols (medians of {ROUNDS})");
        println!("  a step of a tree: {:.2} us", median((0..ROUNDS).map(|_| step()).collect()));
        for window in [1, 256] {
            hop::compare(window, ROUNDS).await;
        }
    });
}
