//! The host of an actor: it notes what a step wants, and does it once the step came back whole.
//!
//! A step that panics leaves nothing behind but its notes, and those are thrown away.

use bytes::Bytes;
use maftia_core::{
    crypto::Job,
    effects::{Lane, To},
    fault::Fault,
    host::{Alarm, Detached, Host, Outside},
    id::Peer,
    mail::Notice,
    path::InstanceId,
    protocol::{Kind, Protocol},
    time::Span,
};

use crate::{instance::Resident, placement::Placement};

/// Asks a detached child, whose type only the one who made it knows.
pub(crate) type Asking<P> = Box<dyn FnOnce(&Resident<P>)>;

/// Something that a step wants.
pub(crate) enum Wish<P: Protocol> {
    Send { to: To, instance: InstanceId, lane: Lane, frame: Bytes },
    Arm(Alarm, Span),
    Compute(InstanceId, Job),
    Accuse(InstanceId, Peer, Fault),
    Output(u64, P::Output),
    Ask(Asking<P>),
    Forward(Peer, InstanceId, Bytes),
    Notify(InstanceId, Notice),
    Retire(InstanceId),
}

/// The notes of one step.
pub(crate) struct Desk<'a, P: Protocol> {
    placement: &'a Placement,
    pub(crate) wishes: Vec<Wish<P>>,
}

impl<'a, P: Protocol> Desk<'a, P> {
    pub(crate) fn new(placement: &'a Placement) -> Self {
        Self { placement, wishes: Vec::new() }
    }

    /// A desk that writes on paper that was used before.
    pub(crate) fn on(paper: Vec<Wish<P>>, placement: &'a Placement) -> Self {
        Self { placement, wishes: paper }
    }
}

impl<P: Protocol> Outside for Desk<'_, P> {
    fn send(&mut self, to: To, instance: &InstanceId, lane: Lane, frame: Bytes) {
        self.wishes.push(Wish::Send { to, instance: instance.clone(), lane, frame });
    }

    fn arm(&mut self, alarm: Alarm, after: Span) {
        self.wishes.push(Wish::Arm(alarm, after));
    }

    fn compute(&mut self, id: &InstanceId, job: Job) {
        self.wishes.push(Wish::Compute(id.clone(), job));
    }

    fn accuse(&mut self, instance: &InstanceId, peer: Peer, fault: Fault) {
        self.wishes.push(Wish::Accuse(instance.clone(), peer, fault));
    }
}

impl<P: Protocol> Host<P> for Desk<'_, P> {
    fn output(&mut self, number: u64, output: P::Output) {
        self.wishes.push(Wish::Output(number, output));
    }

    fn detaches(&self, kind: Kind) -> bool {
        self.placement.detaches(kind)
    }

    fn ask_detached<C: Protocol>(&mut self, child: Detached<C, P>, input: Option<(u64, C::Input)>) {
        self.wishes.push(Wish::Ask(Box::new(move |parent| parent.ask_child(child, input))));
    }

    fn forward(&mut self, from: Peer, instance: InstanceId, bytes: Bytes) {
        self.wishes.push(Wish::Forward(from, instance, bytes));
    }

    fn notify_detached(&mut self, child: &InstanceId, notice: Notice) {
        self.wishes.push(Wish::Notify(child.clone(), notice));
    }

    fn retire_detached(&mut self, child: &InstanceId) {
        self.wishes.push(Wish::Retire(child.clone()));
    }
}
