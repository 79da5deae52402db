//! What is inside a tree below its root, and the queue of what is left to do.

use std::{
    any::Any,
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::Arc,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{floor::Floor, node::Node, said::Said};
use crate::{
    crypto::{Answer, Job},
    effects::{Effect, To},
    host::{Alarm, Outside},
    id::{PartyId, Peer},
    lobby::Lobby,
    path::{InstanceId, Path, Role, Segment},
    protocol::{Kind, Protocol},
    seat::{Owner, Seat},
    time::Span,
    wire,
};

/// A typed value on its way inside a tree. Both ends know its type.
pub(super) type Parcel = Box<dyn Any + Send>;

/// How the answer of a job reads to the one who asked.
pub(super) type HearJob = Arc<dyn Fn(&Segment, Answer) -> Parcel + Send + Sync>;

/// What an instance of some type is to take next.
pub(super) enum What {
    Start,
    Input(Parcel),
    Heard(Parcel),
    Own(Parcel),
    Frame { from: Peer, bytes: Bytes },
    Timer(Bytes),
    Behind { role: Role, number: u64 },
    Dropped { from: PartyId, child: Segment },
    Missed { from: Peer },
}

impl fmt::Debug for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "Start",
            Self::Input(_) => "Input",
            Self::Heard(_) => "Heard",
            Self::Own(_) => "Own",
            Self::Frame { .. } => "Frame",
            Self::Timer(_) => "Timer",
            Self::Behind { .. } => "Behind",
            Self::Dropped { .. } => "Dropped",
            Self::Missed { .. } => "Missed",
        })
    }
}

/// An inline instance. Its node is away while it takes a step.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) node: Option<Box<dyn Node>>,
    /// The ask of its parent that opened it: a snapshot needs it to find its type again.
    pub(super) ask: Bytes,
}

/// An alarm that is armed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Armed {
    pub(super) generation: u64,
    pub(super) after: Span,
}

/// A job whose answer has not come.
#[derive(Clone)]
pub(super) struct Outstanding {
    pub(super) job: Job,
    pub(super) ask: Bytes,
    pub(super) hear: HearJob,
}

impl fmt::Debug for Outstanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.job.fmt(f)
    }
}

/// The edge to a detached child: how many asks went, how many answers came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Edge {
    pub(super) asked: u64,
    pub(super) heard: u64,
    pub(super) ask: Bytes,
}

/// Everything in a tree but its root.
#[derive(Debug, Default)]
pub(super) struct Interior {
    pub(super) nodes: BTreeMap<Path, Slot>,
    floors: BTreeMap<(Path, Role), Floor>,
    pub(super) lobby: Lobby,
    pub(super) alarms: BTreeMap<(Path, Bytes), Armed>,
    pub(super) generation: u64,
    pub(super) jobs: BTreeMap<(Path, Segment), Outstanding>,
    pub(super) detached: BTreeMap<Segment, Edge>,
    pub(super) said: Said,
    pub(super) queue: VecDeque<(Path, What)>,
}

/// The tombstones as a snapshot holds them.
pub(super) type Floors = Vec<(Path, Role, Floor)>;

impl Clone for Interior {
    fn clone(&self) -> Self {
        assert!(self.queue.is_empty(), "a tree is cloned when it is at rest");
        let slot = |(path, slot): (&Path, &Slot)| {
            let node = slot.node.as_ref().map(|node| node.boxed_clone());
            (path.clone(), Slot { node, ask: slot.ask.clone() })
        };
        Self {
            nodes: self.nodes.iter().map(slot).collect(),
            floors: self.floors.clone(),
            lobby: self.lobby.clone(),
            alarms: self.alarms.clone(),
            generation: self.generation,
            jobs: self.jobs.clone(),
            detached: self.detached.clone(),
            said: self.said.clone(),
            queue: VecDeque::new(),
        }
    }
}

/// The path one step below `at`.
pub(super) fn below(at: &Path, segment: Segment) -> Path {
    let mut path = at.clone();
    path.push(segment);
    path
}

impl Interior {
    pub(super) fn push(&mut self, at: Path, what: What) {
        self.queue.push_back((at, what));
    }

    pub(super) fn kinds(&self) -> impl Iterator<Item = (&Path, Kind)> {
        self.nodes.iter().filter_map(|(path, slot)| Some((path, slot.node.as_ref()?.kind())))
    }

    /// Lets the inline instance at `at` take a step, if it is open.
    pub(super) fn step(&mut self, at: &Path, what: What, outside: &mut dyn Outside) {
        let Some(mut node) = self.nodes.get_mut(at).and_then(|slot| slot.node.take()) else {
            return;
        };
        node.step(at, what, self, outside);
        if let Some(slot) = self.nodes.get_mut(at) {
            slot.node = Some(node);
        }
    }

    /// Opens an inline instance, and lets what waited for it in.
    pub(super) fn open(&mut self, at: Path, node: Box<dyn Node>, ask: Bytes) {
        self.nodes.insert(at.clone(), Slot { node: Some(node), ask });
        self.push(at.clone(), What::Start);
        for (from, bytes) in self.lobby.take(&at) {
            self.push(at.clone(), What::Frame { from, bytes });
        }
    }

    /// Whether the child of `at` at `segment`, or something above it, is over.
    pub(super) fn is_over(&self, at: &Path, segment: Segment) -> bool {
        let floor = self.floors.get(&(at.clone(), segment.role));
        floor.is_some_and(|floor| floor.covers(segment.number))
    }

    /// Whether the instance at `path`, or something above it, is over.
    pub(super) fn covers(&self, path: &Path) -> bool {
        !self.floors.is_empty()
            && (0..path.len()).any(|depth| self.is_over(&path[..depth].into(), path[depth]))
    }

    /// Ends a child of `at` and all below it.
    pub(super) fn retire(&mut self, at: &Path, segment: Segment) {
        let over = below(at, segment);
        self.floors.entry((at.clone(), segment.role)).or_default().close(segment.number);
        let dead: Vec<Path> = self
            .nodes
            .range(over.clone()..)
            .map(|(path, _)| path)
            .take_while(|path| path.starts_with(&over))
            .cloned()
            .collect();
        dead.iter().for_each(|path| drop(self.nodes.remove(path)));
        self.floors.retain(|(path, _), _| !path.starts_with(&over));
        self.alarms.retain(|(path, _), _| !path.starts_with(&over));
        self.jobs.retain(|(path, _), _| !path.starts_with(&over));
        self.said.forget(&over);
        drop(self.lobby.take_below(&over));
    }

    /// Takes an answer's number on the edge from a detached child, once.
    pub(super) fn hears(&mut self, from: Segment, number: u64) -> bool {
        let Some(edge) = self.detached.get_mut(&from) else { return false };
        let news = number > edge.heard;
        edge.heard = edge.heard.max(number);
        news
    }

    /// Wakes whoever armed this alarm, unless it was disarmed or replaced since.
    pub(super) fn wake(&mut self, root: &InstanceId, alarm: Alarm) {
        let Some(path) = alarm.instance.below(root).map(Path::from) else { return };
        let key = (path, alarm.timer);
        if self.alarms.get(&key).is_some_and(|armed| armed.generation == alarm.generation) {
            self.alarms.remove(&key);
            self.push(key.0, What::Timer(key.1));
        }
    }

    /// Hands the answer of a job to whoever asked for it, unless that is over.
    pub(super) fn answer(&mut self, root: &InstanceId, job: &InstanceId, answer: Answer) {
        let Some((segment, asker)) = job.below(root).and_then(<[Segment]>::split_last) else {
            return;
        };
        let asker = Path::from(asker);
        if let Some(outstanding) = self.jobs.remove(&(asker.clone(), *segment)) {
            let heard = (outstanding.hear)(segment, answer);
            self.push(asker, What::Heard(heard));
        }
    }

    /// Does what is the same for a root and an inline instance; gives back the rest.
    pub(super) fn perform<P: Protocol>(
        &mut self,
        at: &Path,
        seat: &Seat,
        effect: Effect<P>,
        outside: &mut dyn Outside,
    ) -> Option<Effect<P>> {
        match effect {
            Effect::Send { to, message } => self.send::<P>(at, seat, to, message, outside),
            Effect::Retire(child) => self.retire(at, child),
            Effect::Repeat { child, to } => self.said.repeat(&below(at, child), to, outside),
            Effect::Arm { timer, after } => {
                self.generation += 1;
                let (timer, generation) = (wire::encode(&timer), self.generation);
                self.alarms.insert((at.clone(), timer.clone()), Armed { generation, after });
                outside.arm(Alarm { instance: seat.id.clone(), timer, generation }, after);
            }
            Effect::Disarm(timer) => {
                self.alarms.remove(&(at.clone(), wire::encode(&timer)));
            }
            Effect::Accuse { peer, fault } => outside.accuse(&seat.id, peer, fault),
            Effect::Output(_) | Effect::Ask(_) => return Some(effect),
        }
        None
    }

    fn send<P: Protocol>(
        &mut self,
        at: &Path,
        seat: &Seat,
        to: To,
        message: P::Message,
        outside: &mut dyn Outside,
    ) {
        let me = match seat.owner {
            Owner::Party(group, party) if group == seat.group.id => Some(party),
            Owner::Party(..) | Owner::Client(_) => None,
        };
        let own = me.is_some_and(|me| to == To::Everyone || to == To::Member(me));
        if to == To::Everyone || !own {
            let frame = wire::encode(&message);
            let instance = match to {
                To::Group(group) | To::Foreign(group, _) if group != seat.group.id => {
                    seat.service_of(group)
                }
                _ => seat.id.clone(),
            };
            let lane = P::lane(&message);
            self.said.note(at, to, &instance, lane, &frame);
            outside.send(to, &instance, lane, frame);
        }
        if own {
            self.push(at.clone(), What::Own(Box::new(message)));
        }
    }

    pub(super) fn floors(&self) -> Floors {
        let list =
            |((path, role), floor): (&(Path, Role), &Floor)| (path.clone(), *role, floor.clone());
        self.floors.iter().map(list).collect()
    }

    pub(super) fn set_floors(&mut self, floors: Floors) {
        self.floors = floors.into_iter().map(|(path, role, floor)| ((path, role), floor)).collect();
    }
}
