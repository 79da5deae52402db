//! A counter with a helper, and a stream that a sequencer orders: small enough to be seen through.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    children::Children,
    crypto::Digest,
    effects::Effects,
    id::{ClientId, GroupId, PartyId, Peer, Round, Slot},
    protocol::{Event, Kind, Never, Protocol},
    replica::{
        Number,
        service::{Action, Command, Item, Service},
    },
    seat::Seat,
    stream::{
        atomic::{Input, Output, Position},
        batch::Batch,
    },
    time::Span,
};

/// How long a tick of the toy is.
pub(super) const TICK: Span = Span::millis(50);

/// A counter, and a record of what took effect.
///
/// `add N` adds and answers the sum; `tell TEXT` tells the other group; `lease N` holds a lease of N
/// ticks; `read` answers what was heard of the other group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Counter {
    /// The group that is told.
    other: Option<GroupId>,
    sum: u64,
    pub(super) heard: Vec<String>,
    pub(super) done: BTreeMap<ClientId, Vec<Number>>,
    keep: usize,
    pub(super) items: u64,
    pub(super) lease: u64,
    pub(super) ticks: u64,
}

/// What a counter is made of: whom it tells, and how long a record it keeps.
pub(super) type CounterSpec = (Option<GroupId>, usize);

fn adds(items: &[Item]) -> Vec<u64> {
    let add = |item: &Item| match &item.command {
        Command::Request { body, .. } => {
            std::str::from_utf8(body).ok()?.strip_prefix("add ")?.parse().ok()
        }
        Command::Statement { .. } | Command::Tick => None,
    };
    items.iter().filter_map(add).collect()
}

impl Counter {
    fn request(
        &mut self,
        body: &str,
        sums: &mut std::vec::IntoIter<u64>,
    ) -> (String, Option<Bytes>) {
        if body.starts_with("add ") {
            self.sum = sums.next().expect("one sum for each addition");
            return (self.sum.to_string(), None);
        }
        if let Some(text) = body.strip_prefix("tell ") {
            return ("told".into(), Some(Bytes::copy_from_slice(text.as_bytes())));
        }
        if let Some(ticks) = body.strip_prefix("lease ") {
            self.lease = ticks.parse().expect("the tests count well");
        }
        (self.heard.join(","), None)
    }
}

impl Service for Counter {
    const KIND: Kind = Kind("counter");
    type Spec = CounterSpec;
    type Helper = Adder;

    fn new(_: &Seat, (other, keep): &CounterSpec) -> Self {
        Self {
            other: *other,
            sum: 0,
            heard: Vec::new(),
            done: BTreeMap::new(),
            keep: *keep,
            items: 0,
            lease: 0,
            ticks: 0,
        }
    }

    fn helper(&self) -> Option<()> {
        Some(())
    }

    fn plan(&mut self, items: &[Item]) -> Option<Adds> {
        let adds = adds(items);
        (!adds.is_empty()).then_some(Adds::Add(adds))
    }

    fn apply(&mut self, items: Vec<Item>, answer: Option<Vec<u64>>, actions: &mut Vec<Action>) {
        let mut sums = answer.unwrap_or_default().into_iter();
        for item in items {
            self.items += 1;
            match item.command {
                Command::Request { client, number, body } => {
                    let record = self.done.entry(client).or_default();
                    record.push(number);
                    if record.len() > self.keep {
                        record.remove(0);
                    }
                    let body = String::from_utf8_lossy(&body).into_owned();
                    let (reply, tell) = self.request(&body, &mut sums);
                    actions.push(Action::Reply { client, number, body: reply.into() });
                    if let (Some(to), Some(body)) = (self.other, tell) {
                        actions.push(Action::Tell { to, body });
                    }
                }
                Command::Statement { body, .. } => {
                    self.heard.push(String::from_utf8_lossy(&body).into_owned());
                    self.heard.drain(..self.heard.len().saturating_sub(self.keep));
                }
                Command::Tick => {
                    self.ticks += 1;
                    self.lease = self.lease.saturating_sub(1);
                }
            }
        }
    }

    fn tick(&self) -> Option<Span> {
        (self.lease > 0).then_some(TICK)
    }

    fn is_urgent(&self, body: &[u8]) -> bool {
        body.starts_with(b"lease")
    }

    fn remember(&self) -> Option<Adds> {
        Some(Adds::Add(Vec::new()))
    }

    fn remind(&self, remembered: Option<Vec<u64>>) -> Option<Adds> {
        Some(Adds::Become(remembered?.pop()?))
    }
}

/// Holds the sum, in lockstep.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Adder(u64);

/// What the adder is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Adds {
    /// Add these, one by one: the answer is each sum, or the sum if there is nothing to add.
    Add(Vec<u64>),
    /// Hold this sum.
    Become(u64),
}

impl Protocol for Adder {
    const KIND: Kind = Kind("adder");
    type Spec = ();
    type Input = Adds;
    type Output = Vec<u64>;
    type Message = Never;
    type Timer = Never;
    type Ask = Never;
    type Heard = Never;

    fn new(_: &Seat, (): ()) -> Self {
        Self::default()
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        let Event::Input(input) = event else { return };
        let mut sums = Vec::new();
        match input {
            Adds::Become(sum) => self.0 = sum,
            Adds::Add(list) => list.iter().for_each(|add| {
                self.0 += add;
                sums.push(self.0);
            }),
        }
        fx.output(if sums.is_empty() { vec![self.0] } else { sums });
    }

    fn route<C: Children<Self>>(ask: Never, _: &mut C) {
        match ask {}
    }
}

/// A stream whose first member orders. In these tests that member's stream never lies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Toy {
    /// What the sequencer numbers next.
    next: Round,
    /// What came from the sequencer.
    rounds: BTreeMap<Round, (PartyId, Batch)>,
    position: Position,
    credit: Slot,
    settled: u64,
    behind: bool,
}

/// What the members of a toy stream say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum ToyMessage {
    /// Order this.
    Submit(Batch),
    /// This comes then.
    Ordered(Round, PartyId, Batch),
}

impl crate::replica::Stream for Toy {
    fn of_ballots() {}
}

impl Protocol for Toy {
    const KIND: Kind = Kind("toy");
    type Spec = ();
    type Input = Input;
    type Output = Output;
    type Message = ToyMessage;
    type Timer = Never;
    type Ask = Never;
    type Heard = Never;

    fn new(_: &Seat, (): ()) -> Self {
        Self {
            next: Round::FIRST,
            rounds: BTreeMap::new(),
            position: Position::default(),
            credit: Slot::FIRST,
            settled: 0,
            behind: false,
        }
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        match event {
            Event::Input(Input::Submit { batch }) => {
                fx.send(PartyId::new(0), ToyMessage::Submit(batch));
            }
            Event::Input(Input::Pull { up_to }) => self.credit = self.credit.max(up_to),
            Event::Input(Input::Resume { position }) => {
                if position.round > self.position.round {
                    self.rounds = self.rounds.split_off(&position.round);
                    self.position = position;
                }
                self.behind = false;
            }
            Event::Message { from: Peer::Member(from), message: ToyMessage::Submit(batch) } => {
                fx.broadcast(ToyMessage::Ordered(self.next, from, batch));
                self.next = self.next.next();
            }
            Event::Message { message: ToyMessage::Ordered(round, from, batch), .. } => {
                self.rounds.insert(round, (from, batch));
            }
            _ => {}
        }
        self.deliver(fx);
    }

    fn route<C: Children<Self>>(ask: Never, _: &mut C) {
        match ask {}
    }
}

impl Toy {
    fn deliver(&mut self, fx: &mut Effects<'_, Self>) {
        while self.position.slot < self.credit
            && let Some((from, batch)) = self.rounds.remove(&self.position.round)
        {
            let Position { round, slot, chain, first, memo } = self.position.clone();
            let chain = Digest::of_parts("toy", &[chain.as_bytes(), batch.digest().as_bytes()]);
            let next = slot.plus(batch.len() as u64);
            self.position = Position { round: round.next(), slot: next, chain, first, memo };
            if from == fx.seat().me() {
                self.settled += batch.len() as u64;
                fx.output(Output::Ordered { own: self.settled });
            }
            fx.output(Output::Deliver { first: slot, from, batch });
            fx.output(Output::RoundEnd { position: self.position.clone() });
        }
        // Frames of the sequencer come in order, so a gap is for good.
        let gap = self.rounds.keys().next().is_some_and(|round| *round > self.position.round);
        if gap && !self.behind {
            self.behind = true;
            fx.output(Output::Behind);
        }
    }
}
