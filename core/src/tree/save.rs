//! Snapshots: a tree at rest as bytes, and back.
//!
//! The states of inline instances are erased inside the tree. Their types are found again by giving
//! each parent the ask that opened the child: its `route` names the type.
//!
//! A saved tree is what it is without these states, then each of them, all behind their lengths.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    Tree,
    interior::{Armed, Edge, Floors, Interior, Slot, below},
    node::{Inline, outstanding},
    said::Said,
};
use crate::{
    children::Children,
    crypto::{Answer, Job},
    host::{Alarm, Detached, Host},
    lobby::Lobby,
    path::{Path, Segment},
    protocol::Protocol,
    seat::Seat,
    wire::{self, DecodeError, Rope},
};

/// A snapshot that cannot be read back. It was damaged, or written by another version.
#[derive(Debug, thiserror::Error)]
pub enum BadSnapshot {
    /// Some bytes do not decode.
    #[error("a part of the snapshot does not decode: {0}")]
    Undecodable(#[from] DecodeError),
    /// A child without its parent.
    #[error("the snapshot holds {0} but not what is above it")]
    Orphan(String),
}

#[derive(Serialize, Deserialize)]
struct Snapshot<R> {
    root: R,
    inputs: u64,
    outputs: u64,
    nodes: Vec<(Path, Bytes)>,
    jobs: Vec<(Path, Segment, Bytes, Job)>,
    detached: Vec<(Segment, Edge)>,
    alarms: Vec<(Path, Bytes, Armed)>,
    generation: u64,
    floors: Floors,
    lobby: Lobby,
    said: Said,
}

impl<P: Protocol> Tree<P> {
    /// The whole tree as bytes. Two trees that are equal have equal bytes.
    pub fn save(&self) -> Bytes {
        let mut rope = Rope::default();
        self.save_onto(&mut rope);
        rope.flat()
    }

    /// Writes what [`save`](Self::save) gives behind other bytes. Large payloads are shared with the
    /// tree, not copied.
    pub fn save_onto(&self, to: &mut Rope) {
        let inside = &self.interior;
        let snapshot = Snapshot {
            root: &self.root,
            inputs: self.inputs,
            outputs: self.outputs,
            nodes: inside
                .nodes
                .iter()
                .map(|(path, slot)| (path.clone(), slot.ask.clone()))
                .collect(),
            jobs: inside
                .jobs
                .iter()
                .map(|((path, at), out)| (path.clone(), *at, out.ask.clone(), out.job.clone()))
                .collect(),
            detached: inside.detached.iter().map(|(at, edge)| (*at, edge.clone())).collect(),
            alarms: inside
                .alarms
                .iter()
                .map(|((path, timer), armed)| (path.clone(), timer.clone(), *armed))
                .collect(),
            generation: inside.generation,
            floors: inside.floors(),
            lobby: inside.lobby.clone(),
            said: inside.said.clone(),
        };
        behind_its_length(to, |to| to.add(&snapshot));
        for slot in inside.nodes.values() {
            let node = slot.node.as_ref().expect("a tree is saved when it is at rest");
            behind_its_length(to, |to| node.save(to));
        }
    }

    /// The tree that was saved. Opens its detached children again, without an input; everything else
    /// that it waits for is asked for by [`rouse`](Self::rouse).
    pub fn load<H: Host<P>>(seat: Seat, bytes: &[u8], host: &mut H) -> Result<Self, BadSnapshot> {
        let mut rest = bytes;
        let saved: Snapshot<P> = wire::decode_own(part(&mut rest)?)?;
        let seat = Arc::new(seat);
        let mut interior = Interior::default();
        interior.said = saved.said;
        for (path, ask) in saved.nodes {
            let state = part(&mut rest)?;
            reopen::<P>(&seat, &mut interior, &path, &ask, Part::State(state))?;
        }
        if !rest.is_empty() {
            return Err(DecodeError::Trailing(rest.len()).into());
        }
        for (path, at, ask, job) in saved.jobs {
            reopen::<P>(&seat, &mut interior, &below(&path, at), &ask, Part::Job(job))?;
        }
        for (at, edge) in saved.detached {
            let ask: P::Ask = wire::decode_own(&edge.ask)?;
            interior.detached.insert(at, edge);
            let keeps_said = interior.said.keeps_below::<P>();
            P::route(ask, &mut Elsewhere { seat: &seat, host, keeps_said });
        }
        for (path, timer, armed) in saved.alarms {
            interior.alarms.insert((path, timer), armed);
        }
        interior.generation = saved.generation;
        interior.set_floors(saved.floors);
        interior.lobby = saved.lobby;
        Ok(Self { seat, root: saved.root, inputs: saved.inputs, outputs: saved.outputs, interior })
    }

    /// Hands out the unanswered jobs and arms the alarms anew, for their full span: after a load, and
    /// after a replay, whose host kept silent.
    pub fn rouse<H: Host<P>>(&self, host: &mut H) {
        let named = |path: &Path| path.iter().fold(self.seat.id.clone(), |id, at| id.child(*at));
        for ((path, at), outstanding) in &self.interior.jobs {
            host.compute(&named(path).child(*at), outstanding.job.clone());
        }
        for ((path, timer), armed) in &self.interior.alarms {
            let (instance, generation) = (named(path), armed.generation);
            host.arm(Alarm { instance, timer: timer.clone(), generation }, armed.after);
        }
    }
}

/// Writes something behind its length.
fn behind_its_length(to: &mut Rope, write: impl FnOnce(&mut Rope)) {
    let gap = to.gap::<LENGTH>();
    let begin = to.len();
    write(to);
    to.fill(gap, ((to.len() - begin) as u64).to_le_bytes());
}

/// The bytes of a length.
const LENGTH: usize = size_of::<u64>();

/// Reads what stands behind its length.
fn part<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], DecodeError> {
    let short = || DecodeError::Malformed("it ends in its middle".into());
    let (length, bytes) = rest.split_first_chunk::<LENGTH>().ok_or_else(short)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| short())?;
    let (part, behind) = bytes.split_at_checked(length).ok_or_else(short)?;
    *rest = behind;
    Ok(part)
}

/// What is put back: the state of an instance, or an unanswered job.
pub(super) enum Part<'a> {
    State(&'a [u8]),
    Job(Job),
}

fn reopen<P: Protocol>(
    root: &Arc<Seat>,
    interior: &mut Interior,
    path: &Path,
    ask: &Bytes,
    part: Part<'_>,
) -> Result<(), BadSnapshot> {
    let (at, parent) = path.split_last().expect("the root is no child");
    let saved = Saved {
        seat: None,
        parent: parent.into(),
        at: *at,
        part: Some(part),
        interior,
        error: None,
    };
    if parent.is_empty() {
        return Ok(Saved { seat: Some(Arc::clone(root)), ..saved }.reopen::<P>(ask)?);
    }
    let orphan = || BadSnapshot::Orphan(format!("{path:?}"));
    let slot = saved.interior.nodes.get_mut(parent).ok_or_else(orphan)?;
    let node = slot.node.take().ok_or_else(orphan)?;
    let interior = saved.interior;
    let result = node.reopen(ask, Saved { interior: &mut *interior, ..saved });
    if let Some(slot) = interior.nodes.get_mut(parent) {
        slot.node = Some(node);
    }
    Ok(result?)
}

/// One child or job on its way back below its parent.
pub(super) struct Saved<'a> {
    pub(super) seat: Option<Arc<Seat>>,
    parent: Path,
    at: Segment,
    part: Option<Part<'a>>,
    interior: &'a mut Interior,
    error: Option<DecodeError>,
}

impl Saved<'_> {
    /// Lets the parent, a `P`, say again what it asked.
    pub(super) fn reopen<P: Protocol>(mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let ask: P::Ask = wire::decode_own(bytes)?;
        P::route(ask, &mut Back { saved: &mut self, ask: Bytes::copy_from_slice(bytes) });
        self.error.map_or(Ok(()), Err)
    }
}

struct Back<'a, 'b> {
    saved: &'a mut Saved<'b>,
    ask: Bytes,
}

impl<P: Protocol> Children<P> for Back<'_, '_> {
    fn ask<C: Protocol>(
        &mut self,
        at: Segment,
        _: C::Spec,
        _: Option<C::Input>,
        heard: fn(&Segment, C::Output) -> P::Heard,
    ) {
        let saved = &mut *self.saved;
        if at != saved.at {
            return;
        }
        let Some(Part::State(state)) = &saved.part else { return };
        let parent = saved.seat.as_ref().expect("the parent has put its seat in");
        match wire::decode_own::<C>(state) {
            Ok(state) => {
                let seat = Arc::new(parent.child(at));
                let node = Box::new(Inline::<C, P> { seat, at, state, heard });
                let slot = Slot { node: Some(node), ask: self.ask.clone() };
                saved.interior.nodes.insert(below(&saved.parent, at), slot);
            }
            Err(error) => saved.error = Some(error),
        }
    }

    fn compute(&mut self, at: Segment, _: Job, heard: fn(&Segment, Answer) -> P::Heard) {
        let saved = &mut *self.saved;
        if at != saved.at {
            return;
        }
        if let Some(Part::Job(job)) = saved.part.take() {
            let job = outstanding::<P>(job, self.ask.clone(), heard);
            saved.interior.jobs.insert((saved.parent.clone(), at), job);
        }
    }
}

/// Opens detached children again, without an input.
struct Elsewhere<'a, H> {
    seat: &'a Arc<Seat>,
    host: &'a mut H,
    keeps_said: bool,
}

impl<P: Protocol, H: Host<P>> Children<P> for Elsewhere<'_, H> {
    fn ask<C: Protocol>(
        &mut self,
        at: Segment,
        spec: C::Spec,
        _: Option<C::Input>,
        heard: fn(&Segment, C::Output) -> P::Heard,
    ) {
        let (parent, keeps_said) = (Arc::clone(self.seat), self.keeps_said);
        self.host.ask_detached::<C>(Detached { parent, at, spec, heard, keeps_said }, None);
    }

    fn compute(&mut self, _: Segment, _: Job, _: fn(&Segment, Answer) -> P::Heard) {}
}
