//! The root of a tree: it may have detached children, and its outputs leave the tree.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Tree,
    interior::{Edge, Interior, What, below},
    node::{ask_inline, compute, read},
};
use crate::{
    children::Children,
    crypto::{Answer, Job},
    effects::{Effect, Effects},
    fault::Fault,
    host::{Detached, Host},
    id::Peer,
    mail::Notice,
    path::{Path, Segment},
    protocol::{Early, Protocol},
    seat::Seat,
    wire,
};

impl<P: Protocol> Tree<P> {
    pub(super) fn step_root<H: Host<P>>(&mut self, what: What, host: &mut H) {
        let event = match read::<P>(&self.seat, what) {
            Ok(event) => event,
            Err((peer, fault)) => return host.accuse(&self.seat.id, peer, fault),
        };
        let seat = Arc::clone(&self.seat);
        let mut fx = Effects::new(&seat);
        self.root.step(event, &mut fx);
        for effect in fx.into_list() {
            self.perform_root(&seat, effect, host);
        }
    }

    fn perform_root<H: Host<P>>(&mut self, seat: &Arc<Seat>, effect: Effect<P>, host: &mut H) {
        if let Effect::Retire(child) = &effect
            && self.interior.detached.remove(child).is_some()
        {
            host.retire_detached(&seat.id.child(*child));
        }
        if let Effect::Repeat { child, to } = effect
            && self.interior.detached.contains_key(&child)
        {
            return host.notify_detached(&seat.id.child(child), Notice::Repeat { to });
        }
        match self.interior.perform(&Path::new(), seat, effect, host) {
            Some(Effect::Output(output)) => {
                self.outputs += 1;
                host.output(self.outputs, output);
            }
            Some(Effect::Ask(ask)) => {
                let copy = ask.clone();
                let interior = &mut self.interior;
                P::route(ask, &mut OfRoot { seat, ask: &copy, interior, host });
            }
            _ => {}
        }
    }

    /// Gives a frame to its instance, or decides what becomes of it.
    pub(super) fn place<H: Host<P>>(&mut self, at: Path, from: Peer, bytes: Bytes, host: &mut H) {
        if self.interior.nodes.contains_key(&at) {
            return self.interior.step(&at, What::Frame { from, bytes }, host);
        }
        if self.interior.covers(&at) {
            return;
        }
        let instance = at.iter().fold(self.seat.id.clone(), |id, segment| id.child(*segment));
        if self.interior.detached.contains_key(&at[0]) {
            return host.forward(from, instance, bytes);
        }
        let depth = (0..at.len())
            .rev()
            .find(|depth| *depth == 0 || self.interior.nodes.contains_key(&at[..*depth]))
            .expect("the root is open");
        match self.early(&at, depth) {
            Early::Wait => {
                if let Err(full) = self.interior.lobby.keep(from, &at, bytes) {
                    host.accuse(&instance, from, Fault::Flooded(full.to_string()));
                }
            }
            Early::Beyond => self.beyond(&at, depth, from),
            Early::Over => {}
            Early::Never => host.accuse(&instance, from, Fault::NoSuchInstance),
        }
    }

    /// What the open instance at `depth` says of its child on the way to `at`.
    fn early(&self, at: &Path, depth: usize) -> Early {
        if depth == 0 {
            return self.root.early(&self.seat, at[0]);
        }
        let slot = &self.interior.nodes[&at[..depth]];
        slot.node.as_ref().map_or(Early::Over, |node| node.early(at[depth]))
    }

    /// Takes a notice, here and in the detached trees below.
    pub(super) fn notify<H: Host<P>>(&mut self, notice: Notice, host: &mut H) {
        match notice {
            Notice::Missed { from } => {
                let inside: Vec<_> = self.interior.nodes.keys().cloned().collect();
                for at in std::iter::once(Path::new()).chain(inside) {
                    self.interior.push(at, What::Missed { from });
                }
            }
            Notice::Repeat { to } => self.interior.said.repeat(&Path::new(), to, host),
        }
        for child in self.interior.detached.keys() {
            host.notify_detached(&self.seat.id.child(*child), notice);
        }
    }

    fn beyond(&mut self, at: &Path, depth: usize, from: Peer) {
        let Some(party) = from.member() else { return };
        let Segment { role, number } = at[depth];
        let one_correct = self.seat.thresholds().one_correct();
        let (news, reached) =
            self.interior.lobby.beyond(&at[..depth], role, party, number, one_correct);
        if news {
            let child = at[depth];
            self.interior.push(at[..depth].into(), What::Dropped { from: party, child });
        }
        if let Some(number) = reached {
            self.interior.push(at[..depth].into(), What::Behind { role, number });
        }
    }
}

/// The children of a root: inline or detached, as the host has it.
struct OfRoot<'a, P: Protocol, H> {
    seat: &'a Arc<Seat>,
    ask: &'a P::Ask,
    interior: &'a mut Interior,
    host: &'a mut H,
}

impl<P: Protocol, H: Host<P>> Children<P> for OfRoot<'_, P, H> {
    fn ask<C: Protocol>(
        &mut self,
        at: Segment,
        spec: C::Spec,
        input: Option<C::Input>,
        heard: fn(&Segment, C::Output) -> P::Heard,
    ) {
        let root = Path::new();
        let opened = !self.interior.detached.contains_key(&at);
        if opened && !self.host.detaches(C::KIND) {
            let (inside, ask) = (&mut *self.interior, self.ask);
            return ask_inline::<C, P>(inside, &root, self.seat, ask, at, spec, input, heard);
        }
        if self.interior.is_over(&root, at) {
            return;
        }
        let edge = self.interior.detached.entry(at).or_insert_with(|| Edge {
            asked: 0,
            heard: 0,
            ask: wire::encode(self.ask),
        });
        edge.asked += u64::from(input.is_some());
        let input = input.map(|input| (edge.asked, input));
        let parent = Arc::clone(self.seat);
        let keeps_said = self.interior.said.keeps_below::<P>();
        self.host.ask_detached::<C>(Detached { parent, at, spec, heard, keeps_said }, input);
        if opened {
            for (path, frames) in self.interior.lobby.take_below(&below(&root, at)) {
                let instance = path.iter().fold(self.seat.id.clone(), |id, at| id.child(*at));
                for (from, bytes) in frames {
                    self.host.forward(from, instance.clone(), bytes);
                }
            }
        }
    }

    fn compute(&mut self, at: Segment, job: Job, heard: fn(&Segment, Answer) -> P::Heard) {
        let (inside, ask) = (&mut *self.interior, self.ask);
        compute::<P>(inside, &Path::new(), self.seat, ask, at, job, heard, self.host);
    }
}
