//! What a corrupted member of a fast group does that none but such a member can: as a leader, with its
//! binds, and with the state that it leaves behind. All else it does as it should.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use maftia_core::{
    crypto::Digest,
    id::{PartyId, Round},
    path::InstanceId,
    seat::Owner,
    sim::{
        Rng,
        behaviour::{self, Behaviour, Corrupted, Outgoing},
    },
    stream::{
        atomic,
        batch::Batch,
        fast::{Head, Item, Message, Phase},
    },
    wire,
};

/// One of the misdeeds of this file, or any other, as the seed has it for each liar.
pub(crate) fn any(seed: u64, liar: PartyId) -> Box<dyn Behaviour> {
    let mut rng = Rng::new(seed ^ u64::from(liar.number()) << 32).fork(0x1ead);
    let (told, place) = (rng.number(), 1 + rng.below(8) as u64);
    match rng.below(12) {
        0 | 1 => Box::new(Cuts::forked(place, told)),
        2 => Box::new(Cuts::invented()),
        3 => Box::new(Stalls { place, told }),
        4 => Box::new(Slow::by(1 + rng.below(60) as u64)),
        5 => Box::new(Misstates { how: rng.below(Misstates::WAYS) }),
        _ => behaviour::any(seed ^ u64::from(liar.number()) << 32),
    }
}

/// Whether a member is among those that these bits name.
fn is_told(told: u64, to: Owner) -> bool {
    matches!(to, Owner::Party(_, party) if (told >> party.number()) & 1 == 1)
}

/// The message of a frame, if it is one of the fast stream itself.
fn message(frame: &Outgoing) -> Option<Message> {
    if !frame.instance.path().is_empty() {
        return None;
    }
    wire::decode(&frame.bytes).ok()
}

/// How the cuts of a leader are changed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Change {
    /// From this place on, those that these bits name see cuts without their last lane.
    Forked(u64, u64),
    /// Each cut names one more batch of the leader's own lane, which nobody has.
    Invented,
}

/// Shows others cuts which are not those that its own tree made, and binds itself to what it shows.
#[derive(Clone, Debug)]
pub(crate) struct Cuts {
    change: Change,
    /// The chains that are shown instead of its own ones, to those who are told and to the rest.
    shown: [BTreeMap<Digest, Digest>; 2],
}

impl Cuts {
    /// From a place on, shows different cuts to those that these bits name, and to the rest.
    pub(crate) fn forked(place: u64, told: u64) -> Self {
        Self::that(Change::Forked(place, told))
    }

    /// Orders what there is not.
    pub(crate) fn invented() -> Self {
        Self::that(Change::Invented)
    }

    const fn that(change: Change) -> Self {
        Self { change, shown: [BTreeMap::new(), BTreeMap::new()] }
    }

    /// What is said instead of a cut or a bind of its own tree. `None`: nothing.
    fn bend(&mut self, mut frame: Outgoing, me: Owner) -> Option<Outgoing> {
        match message(&frame) {
            Some(Message::Cut { place, item }) => {
                let item = self.change(frame.to, place, item, me)?;
                frame.bytes = wire::encode(&Message::Cut { place, item });
            }
            Some(Message::Bind { life, phase, place, chain, heads }) => {
                let shown = &self.shown[self.change.face(frame.to)];
                let chain = shown.get(&chain).copied().unwrap_or(chain);
                frame.bytes = wire::encode(&Message::Bind { life, phase, place, chain, heads });
            }
            _ => {}
        }
        Some(frame)
    }

    fn change(&mut self, to: Owner, place: Round, mut item: Item, me: Owner) -> Option<Item> {
        let chain = |item: &Item| {
            let parts = [&place.number().to_le_bytes()[..], &wire::encode(item)];
            Digest::of_parts("item", &parts)
        };
        let own = chain(&item);
        let shown = &mut self.shown[self.change.face(to)];
        item.after = shown.get(&item.after).copied().unwrap_or(item.after);
        match (self.change, me) {
            (Change::Forked(from, told), _) if place.number() >= from && is_told(told, to) => {
                item.heads.pop();
            }
            (Change::Invented, Owner::Party(_, me)) => {
                item.heads.retain(|(lane, _)| *lane != me);
                item.heads.push((me, Head { seq: 1 << 7, chain: Digest::of("invented", b"") }));
                item.heads.sort_unstable();
            }
            _ => {}
        }
        shown.insert(own, chain(&item));
        (!item.heads.is_empty()).then_some(item)
    }
}

impl Change {
    fn face(self, to: Owner) -> usize {
        usize::from(matches!(self, Self::Forked(_, told) if is_told(told, to)))
    }
}

impl Behaviour for Cuts {
    fn name(&self) -> &'static str {
        "cuts"
    }

    fn send(&mut self, frame: Outgoing, cx: &mut Corrupted<'_>) {
        if let Some(frame) = self.bend(frame, cx.me) {
            cx.send(frame);
        }
    }

    fn boxed(&self) -> Box<dyn Behaviour> {
        Box::new(self.clone())
    }
}

/// Leads up to a place, whose cut it tells to those that these bits name, and no further.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stalls {
    pub(crate) place: u64,
    pub(crate) told: u64,
}

impl Behaviour for Stalls {
    fn name(&self) -> &'static str {
        "stalls"
    }

    fn send(&mut self, frame: Outgoing, cx: &mut Corrupted<'_>) {
        let stalls = match message(&frame) {
            Some(Message::Cut { place, .. }) if place.number() == self.place => {
                !is_told(self.told, frame.to)
            }
            Some(Message::Cut { place, .. }) => place.number() > self.place,
            _ => false,
        };
        if !stalls {
            cx.send(frame);
        }
    }

    fn boxed(&self) -> Box<dyn Behaviour> {
        Box::new(*self)
    }
}

/// Says everything, but only after it has heard so many more frames.
#[derive(Clone, Debug)]
pub(crate) struct Slow {
    by: u64,
    heard: u64,
    held: VecDeque<(u64, Outgoing)>,
}

impl Slow {
    /// By so many frames.
    pub(crate) const fn by(frames: u64) -> Self {
        Self { by: frames, heard: 0, held: VecDeque::new() }
    }
}

impl Behaviour for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn send(&mut self, frame: Outgoing, _: &mut Corrupted<'_>) {
        self.held.push_back((self.heard + self.by, frame));
    }

    fn hear(&mut self, _: Owner, _: &InstanceId, _: &Bytes, cx: &mut Corrupted<'_>) {
        self.heard += 1;
        while let Some((_, frame)) = self.held.pop_front_if(|(due, _)| *due <= self.heard) {
            cx.send(frame);
        }
    }

    fn idle(&mut self, cx: &mut Corrupted<'_>) {
        self.held.drain(..).for_each(|(_, frame)| cx.send(frame));
    }

    fn boxed(&self) -> Box<dyn Behaviour> {
        Box::new(self.clone())
    }
}

/// Says its first binds to some and its second ones to one member only, and afterwards a state in which
/// it never said them. As a leader it may show different cuts.
#[derive(Clone, Debug)]
pub(crate) struct Hides {
    pub(crate) cuts: Cuts,
    pub(crate) first: Vec<PartyId>,
    pub(crate) second: PartyId,
    pub(crate) state: Misstates,
}

impl Behaviour for Hides {
    fn name(&self) -> &'static str {
        "hides"
    }

    fn send(&mut self, frame: Outgoing, cx: &mut Corrupted<'_>) {
        let Some(frame) = self.cuts.bend(frame, cx.me) else { return };
        let Owner::Party(_, to) = frame.to else { return };
        let says = match message(&frame) {
            Some(Message::Bind { phase: Phase::One, .. }) => self.first.contains(&to),
            Some(Message::Bind { phase: Phase::Two, .. }) => self.second == to,
            // What it has delivered, it would have to show.
            Some(Message::Told { .. } | Message::Item { .. }) => false,
            _ => true,
        };
        if says {
            self.state.send(frame, cx);
        }
    }

    fn boxed(&self) -> Box<dyn Behaviour> {
        Box::new(self.clone())
    }
}

/// Leaves an epoch with a state that is not its own: an old one, or one of what never happened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Misstates {
    pub(crate) how: usize,
}

/// A state as it travels: epoch, floor, base, delivered, claims, and lanes.
type State = (u64, Round, Round, Round, Vec<(Digest, bool)>, Vec<(u64, Vec<Digest>)>);

impl Misstates {
    /// How many lies there are.
    pub(crate) const WAYS: usize = 9;

    fn bend(self, state: State, rng: &mut Rng) -> State {
        let (epoch, mut floor, mut base, mut delivered, mut claims, mut lanes) = state;
        let invented = || Digest::of("invented", b"");
        match self.how {
            // Never bound itself beyond what it has delivered, and prepared nothing.
            0 => {
                claims.truncate((delivered.number() - base.number()) as usize + 1);
                claims.iter_mut().for_each(|(_, prepared)| *prepared = false);
            }
            // Prepared something else at the last place.
            1 => claims.iter_mut().rev().take(1).for_each(|last| *last = (invented(), true)),
            // Prepared something at places that nobody reached.
            2 => claims.extend([(invented(), true), (invented(), true)]),
            // Delivered what it only bound itself to.
            3 => delivered = base.plus(claims.len() as u64 - 1),
            // Speaks of nothing but the last place.
            4 => {
                claims.drain(..claims.len() - 1);
                (floor, base, delivered) = (delivered, delivered, delivered);
            }
            // Is where it was at the beginning.
            5 => {
                claims.truncate(1);
                delivered = base;
                lanes.iter_mut().for_each(|(_, chains)| chains.truncate(1));
            }
            // Stores what nobody sent.
            6 => lanes.iter_mut().for_each(|(_, chains)| chains.push(invented())),
            // Any of its chains is another.
            7 => {
                let place = rng.below(claims.len());
                claims[place] = (invented(), true);
            }
            // Came by a checkpoint, and prepared nothing.
            _ => {
                claims.drain(..claims.len() - 1);
                (floor, base) = (Round::FIRST, delivered);
            }
        }
        (epoch, floor, base, delivered, claims, lanes)
    }

    /// The announcement of a batch below, with a bent state instead.
    fn announce(self, frame: &Outgoing, cx: &mut Corrupted<'_>) -> Option<Bytes> {
        if frame.instance.path().len() != 1 {
            return None;
        }
        let Ok(atomic::Message::Queue { round, batch, .. }) = wire::decode(&frame.bytes) else {
            return None;
        };
        let state: State = wire::decode(&batch.get(0)?).ok()?;
        let batch = Batch::of([wire::encode(&self.bend(state, cx.rng))]);
        let digest = batch.digest();
        let tag = frame.instance.tag("queue").numbered(round.number());
        let signature = cx.keys.identity.sign(&tag, &digest);
        Some(wire::encode(&atomic::Message::Queue { round, digest, batch, signature }))
    }
}

impl Behaviour for Misstates {
    fn name(&self) -> &'static str {
        "misstates"
    }

    fn send(&mut self, mut frame: Outgoing, cx: &mut Corrupted<'_>) {
        if let Some(bytes) = self.announce(&frame, cx) {
            frame.bytes = bytes;
        }
        cx.send(frame);
    }

    fn boxed(&self) -> Box<dyn Behaviour> {
        Box::new(*self)
    }
}
