//! A root protocol and the descendants that live with it, run to quiescence on each piece of mail.
//!
//! The edge between a parent and an inline child is typed at both ends; between them, inside the
//! tree's queue, a value is a parcel. A child that the host detaches has a
//! tree of its own; the parent cannot tell.

mod floor;
mod interior;
mod node;
mod root;
mod said;
mod save;

use std::sync::Arc;

pub use save::BadSnapshot;

use self::interior::{Interior, What};
use crate::{
    host::Host,
    mail::Mail,
    path::{InstanceId, Path},
    protocol::{Kind, Protocol},
    seat::Seat,
};

/// The most steps that one piece of mail may cause: a thousand times what the deepest of our trees
/// takes. A tree that goes on is wrong, and wrong is a panic that the host catches.
const STEPS_MAX: usize = 1 << 20;

/// A root and its inline descendants. See the [module](self).
#[derive(Clone, Debug)]
pub struct Tree<P: Protocol> {
    seat: Arc<Seat>,
    root: P,
    inputs: u64,
    outputs: u64,
    interior: Interior,
}

impl<P: Protocol> Tree<P> {
    /// A tree that has taken no mail. [`Mail::Start`] must be its first.
    pub fn new(seat: Seat, spec: P::Spec) -> Self {
        let root = P::new(&seat, spec);
        Self { seat: Arc::new(seat), root, inputs: 0, outputs: 0, interior: Interior::default() }
    }

    /// The same tree, which keeps what it says if it `keeps`: the parent of a detached tree may want it
    /// said [again](crate::mail::Notice::Repeat).
    #[must_use]
    pub fn keeping_said(mut self, keeps: bool) -> Self {
        if keeps {
            self.interior.said.keep(Path::new());
        }
        self
    }

    /// The name of the root.
    pub fn id(&self) -> &InstanceId {
        &self.seat.id
    }

    /// Where the root sits.
    pub fn seat(&self) -> &Seat {
        &self.seat
    }

    /// The root, for tests, status and displays. Nobody may steer by what is inside.
    pub fn root(&self) -> &P {
        &self.root
    }

    /// The root, for laboratories that corrupt it behind the back of its protocol.
    pub fn root_mut(&mut self) -> &mut P {
        &mut self.root
    }

    /// How many instances are open inside, the root included.
    pub fn instances(&self) -> usize {
        1 + self.interior.nodes.len()
    }

    /// The kinds of the instances inside, by path below the root.
    pub fn inline(&self) -> impl Iterator<Item = (&Path, Kind)> {
        self.interior.kinds()
    }

    /// Whether the tree keeps all that it says.
    pub fn keeps_said(&self) -> bool {
        self.interior.said.keeps(&Path::new())
    }

    /// How many early frames wait.
    pub fn waiting(&self) -> usize {
        self.interior.lobby.len()
    }

    /// Takes one piece of mail and works until nothing inside is left to do.
    pub fn take<H: Host<P>>(&mut self, mail: Mail<P>, host: &mut H) {
        self.accept(mail, host);
        for _ in 0..STEPS_MAX {
            let Some((at, what)) = self.interior.queue.pop_front() else { return };
            if at.is_empty() {
                self.step_root(what, host);
            } else if let What::Frame { from, bytes } = what {
                self.place(at, from, bytes, host);
            } else {
                self.interior.step(&at, what, host);
            }
        }
        panic!("{} does not come to rest", self.seat.id);
    }

    fn accept<H: Host<P>>(&mut self, mail: Mail<P>, host: &mut H) {
        let root = Path::new();
        match mail {
            Mail::Start => self.interior.push(root, What::Start),
            Mail::Input { number, input } => {
                if number == 0 || number > self.inputs {
                    self.inputs = self.inputs.max(number);
                    self.interior.push(root, What::Input(Box::new(input)));
                }
            }
            Mail::Heard { from, number, heard } => {
                if self.interior.hears(from, number) {
                    self.interior.push(root, What::Heard(Box::new(heard)));
                }
            }
            Mail::Frame { from, instance, bytes } => match instance.below(&self.seat.id) {
                Some(path) => self.interior.push(path.into(), What::Frame { from, bytes }),
                None => host.accuse(&instance, from, crate::fault::Fault::NoSuchInstance),
            },
            Mail::Alarm(alarm) => self.interior.wake(&self.seat.id, alarm),
            Mail::Answer { job, answer } => self.interior.answer(&self.seat.id, &job, answer),
            Mail::Notice(notice) => self.notify(notice, host),
        }
    }
}

#[cfg(test)]
mod tests;
