//! What a tree sees of the world.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    crypto::Job,
    effects::{Lane, To},
    fault::Fault,
    id::Peer,
    mail::Notice,
    path::{InstanceId, Segment},
    protocol::{Kind, Protocol},
    seat::Seat,
    time::Span,
};

/// A wish to be woken. The generation tells an alarm from one that was disarmed or replaced.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Alarm {
    /// Who wishes it.
    pub instance: InstanceId,
    /// Why: the instance's timer, encoded.
    pub timer: Bytes,
    /// Which of the wishes this is.
    pub generation: u64,
}

/// What any instance may cause outside its tree. Object-safe, so that inline instances stay simple.
pub trait Outside {
    /// Carries a frame. [`To::Everyone`] means all *other* members: the tree has given this party its
    /// own copy. `instance` is the addressee's.
    fn send(&mut self, to: To, instance: &InstanceId, lane: Lane, frame: Bytes);
    /// Wakes the tree after some time.
    fn arm(&mut self, alarm: Alarm, after: Span);
    /// Does a job; its answer comes back as mail that names `id`.
    fn compute(&mut self, id: &InstanceId, job: Job);
    /// Notes what no correct peer does.
    fn accuse(&mut self, instance: &InstanceId, peer: Peer, fault: Fault);
}

/// A detached child, as its parent's host opens it.
#[derive(Debug)]
pub struct Detached<C: Protocol, P: Protocol> {
    /// Where its parent sits.
    pub parent: Arc<Seat>,
    /// Where it hangs.
    pub at: Segment,
    /// What it is made of.
    pub spec: C::Spec,
    /// How its answers read to the parent.
    pub heard: fn(&Segment, C::Output) -> P::Heard,
    /// Whether its tree is to [keep](crate::tree::Tree::keeping_said) what it says.
    pub keeps_said: bool,
}

impl<C: Protocol, P: Protocol> Detached<C, P> {
    /// Where the child sits.
    pub fn seat(&self) -> Seat {
        self.parent.child(self.at)
    }
}

/// What the root of a tree may cause in addition.
pub trait Host<P: Protocol>: Outside {
    /// Tells the user. Outputs of a tree are numbered from 1.
    fn output(&mut self, number: u64, output: P::Output);

    /// Whether children of this kind get a tree of their own. Asked for the root's children only.
    fn detaches(&self, _kind: Kind) -> bool {
        false
    }

    /// Opens a detached child unless it is open, and gives it an input, if there is one, with its
    /// number on this edge.
    fn ask_detached<C: Protocol>(
        &mut self,
        _child: Detached<C, P>,
        _input: Option<(u64, C::Input)>,
    ) {
        unreachable!("a host that detaches nothing is not asked to")
    }

    /// Hands on a frame that waited in the lobby for a child that now lives elsewhere.
    fn forward(&mut self, _from: Peer, _instance: InstanceId, _bytes: Bytes) {
        unreachable!("a host that detaches nothing has nowhere to forward to")
    }

    /// Hands a notice on to a detached child.
    fn notify_detached(&mut self, _child: &InstanceId, _notice: Notice) {
        unreachable!("a host that detaches nothing notifies nothing")
    }

    /// Ends a detached child and all below it.
    fn retire_detached(&mut self, _child: &InstanceId) {
        unreachable!("a host that detaches nothing retires nothing")
    }
}
