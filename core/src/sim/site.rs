//! One tree of a world behind an erased door, and the desk that takes down what it causes.

use std::{
    any::Any,
    collections::BTreeSet,
    fmt::{self, Debug},
    sync::Arc,
};

use bytes::Bytes;

use crate::{
    crypto::{Answer, Job},
    effects::{Lane, To},
    fault::Fault,
    host::{Alarm, Detached, Host, Outside},
    id::Peer,
    mail::{Mail, Notice},
    path::{InstanceId, Path, Segment},
    protocol::{Kind, Protocol},
    seat::Seat,
    time::Span,
    tree::{BadSnapshot, Tree},
    wire,
};

/// Mail without a type: what is typed is encoded. A tree's history is a list of these.
#[derive(Clone, Debug)]
pub(super) enum Post {
    Start,
    Input { number: u64, bytes: Bytes },
    Heard { from: Segment, number: u64, bytes: Bytes },
    Frame { from: Peer, instance: InstanceId, bytes: Bytes },
    Alarm(Alarm),
    Answer { job: InstanceId, answer: Answer },
    Notice(Notice),
}

/// One thing that a tree caused.
pub(super) enum Deed {
    Sent {
        to: To,
        instance: InstanceId,
        lane: Lane,
        frame: Bytes,
    },
    Armed(Alarm, Span),
    Computing(InstanceId, Job),
    Accused {
        instance: InstanceId,
        peer: Peer,
        fault: Fault,
    },
    /// Told to the parent, encoded as the parent hears it.
    Told {
        at: Segment,
        number: u64,
        bytes: Bytes,
    },
    Opened {
        id: InstanceId,
        make: Make,
    },
    Asked {
        id: InstanceId,
        number: u64,
        bytes: Bytes,
    },
    Forwarded {
        from: Peer,
        instance: InstanceId,
        bytes: Bytes,
    },
    Notified(InstanceId, Notice),
    Retired(InstanceId),
}

/// Makes the tree of a detached child.
pub(super) type Make = Box<dyn FnOnce() -> Box<dyn AnyTree>>;

/// Takes down what a tree causes while it takes one piece of mail.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) deeds: Vec<Deed>,
    pub(super) detach: Arc<BTreeSet<Kind>>,
    /// Outputs in words, for stories.
    pub(super) said: Option<Vec<String>>,
}

/// A tree of some type.
pub(super) trait AnyTree: Debug + Send {
    fn seat(&self) -> &Seat;
    fn kind(&self) -> Kind;
    fn kind_at(&self, path: &[Segment]) -> Option<Kind>;
    fn take(&mut self, post: Post, desk: &mut Desk);
    fn instances(&self) -> usize;
    fn waiting(&self) -> usize;
    fn save(&self) -> Bytes;
    /// Puts back what was saved, as a process that restarts does.
    fn reload(&mut self, saved: &[u8], desk: &mut Desk) -> Result<(), BadSnapshot>;
    /// The tree as it was at birth.
    fn newborn(&self) -> Box<dyn AnyTree>;
    fn twin(&self) -> Box<dyn AnyTree>;
    fn outputs(&self) -> &dyn Any;
    fn outputs_digest(&self) -> blake3::Hash;
    fn root(&self) -> &dyn Any;
    fn describe(&self) -> Describe;
}

/// Says what a frame of one kind of protocol is.
pub(super) type Describe = fn(&[u8]) -> Option<String>;

/// In words, a message that was encoded.
pub(super) fn describe<P: Protocol>(bytes: &[u8]) -> Option<String> {
    wire::decode::<P::Message>(bytes).ok().map(|message| format!("{message:?}"))
}

/// How the outputs of a detached child read to its parent.
type Way<P> = (Segment, Arc<dyn Fn(<P as Protocol>::Output) -> Bytes + Send + Sync>);

/// A tree, what it was made of, and what it put out.
pub(super) struct Rooted<P: Protocol> {
    tree: Tree<P>,
    spec: P::Spec,
    outputs: Vec<P::Output>,
    way: Option<Way<P>>,
}

impl<P: Protocol> Clone for Rooted<P> {
    fn clone(&self) -> Self {
        Self {
            tree: self.tree.clone(),
            spec: self.spec.clone(),
            outputs: self.outputs.clone(),
            way: self.way.clone(),
        }
    }
}

impl<P: Protocol> Debug for Rooted<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tree.root().fmt(f)
    }
}

impl<P: Protocol> Rooted<P> {
    pub(super) fn new(seat: Seat, spec: P::Spec) -> Self {
        Self { tree: Tree::new(seat, spec.clone()), spec, outputs: Vec::new(), way: None }
    }

    /// The same, which keeps what it says if it `keeps`.
    fn keeping_said(self, keeps: bool) -> Self {
        Self { tree: self.tree.keeping_said(keeps), ..self }
    }
}

impl<P: Protocol> AnyTree for Rooted<P> {
    fn seat(&self) -> &Seat {
        self.tree.seat()
    }

    fn kind(&self) -> Kind {
        P::KIND
    }

    fn kind_at(&self, path: &[Segment]) -> Option<Kind> {
        if path.is_empty() {
            return Some(P::KIND);
        }
        let path = Path::from(path);
        self.tree.inline().find(|(at, _)| **at == path).map(|(_, kind)| kind)
    }

    fn take(&mut self, post: Post, desk: &mut Desk) {
        let own = "encoded by the world from a value of this type";
        let mail = match post {
            Post::Start => Mail::Start,
            Post::Input { number, bytes } => {
                Mail::Input { number, input: wire::decode_own(&bytes).expect(own) }
            }
            Post::Heard { from, number, bytes } => {
                Mail::Heard { from, number, heard: wire::decode_own(&bytes).expect(own) }
            }
            Post::Frame { from, instance, bytes } => Mail::Frame { from, instance, bytes },
            Post::Alarm(alarm) => Mail::Alarm(alarm),
            Post::Answer { job, answer } => Mail::Answer { job, answer },
            Post::Notice(notice) => Mail::Notice(notice),
        };
        let mut host = Port { desk, outputs: &mut self.outputs, way: self.way.as_ref() };
        self.tree.take(mail, &mut host);
    }

    fn instances(&self) -> usize {
        self.tree.instances()
    }

    fn waiting(&self) -> usize {
        self.tree.waiting()
    }

    fn save(&self) -> Bytes {
        self.tree.save()
    }

    fn reload(&mut self, saved: &[u8], desk: &mut Desk) -> Result<(), BadSnapshot> {
        let mut host = Port { desk, outputs: &mut self.outputs, way: self.way.as_ref() };
        self.tree = Tree::load(self.tree.seat().clone(), saved, &mut host)?;
        self.tree.rouse(&mut host);
        Ok(())
    }

    fn newborn(&self) -> Box<dyn AnyTree> {
        let born = Self::new(self.tree.seat().clone(), self.spec.clone());
        let born = born.keeping_said(self.tree.keeps_said());
        Box::new(Self { way: self.way.clone(), ..born })
    }

    fn twin(&self) -> Box<dyn AnyTree> {
        Box::new(self.clone())
    }

    fn outputs(&self) -> &dyn Any {
        &self.outputs
    }

    fn outputs_digest(&self) -> blake3::Hash {
        blake3::hash(&wire::encode(&self.outputs))
    }

    fn root(&self) -> &dyn Any {
        self.tree.root()
    }

    fn describe(&self) -> Describe {
        describe::<P>
    }
}

/// The host of one tree while it takes one piece of mail.
struct Port<'a, P: Protocol> {
    desk: &'a mut Desk,
    outputs: &'a mut Vec<P::Output>,
    way: Option<&'a Way<P>>,
}

impl<P: Protocol> Outside for Port<'_, P> {
    fn send(&mut self, to: To, instance: &InstanceId, lane: Lane, frame: Bytes) {
        self.desk.deeds.push(Deed::Sent { to, instance: instance.clone(), lane, frame });
    }

    fn arm(&mut self, alarm: Alarm, after: Span) {
        self.desk.deeds.push(Deed::Armed(alarm, after));
    }

    fn compute(&mut self, id: &InstanceId, job: Job) {
        self.desk.deeds.push(Deed::Computing(id.clone(), job));
    }

    fn accuse(&mut self, instance: &InstanceId, peer: Peer, fault: Fault) {
        self.desk.deeds.push(Deed::Accused { instance: instance.clone(), peer, fault });
    }
}

impl<P: Protocol> Host<P> for Port<'_, P> {
    fn output(&mut self, number: u64, output: P::Output) {
        if let Some(said) = &mut self.desk.said {
            said.push(format!("{output:?}"));
        }
        if let Some((at, hear)) = self.way {
            let bytes = hear(output.clone());
            self.desk.deeds.push(Deed::Told { at: *at, number, bytes });
        }
        self.outputs.push(output);
    }

    fn detaches(&self, kind: Kind) -> bool {
        self.desk.detach.contains(&kind)
    }

    fn ask_detached<C: Protocol>(&mut self, child: Detached<C, P>, input: Option<(u64, C::Input)>) {
        let seat = child.seat();
        let Detached { at, spec, heard, keeps_said, .. } = child;
        let id = seat.id.clone();
        let make = move || -> Box<dyn AnyTree> {
            let hear = move |output| wire::encode(&heard(&at, output));
            let born = Rooted::<C>::new(seat, spec).keeping_said(keeps_said);
            Box::new(Rooted { way: Some((at, Arc::new(hear))), ..born })
        };
        self.desk.deeds.push(Deed::Opened { id: id.clone(), make: Box::new(make) });
        if let Some((number, input)) = input {
            self.desk.deeds.push(Deed::Asked { id, number, bytes: wire::encode(&input) });
        }
    }

    fn forward(&mut self, from: Peer, instance: InstanceId, bytes: Bytes) {
        self.desk.deeds.push(Deed::Forwarded { from, instance, bytes });
    }

    fn notify_detached(&mut self, child: &InstanceId, notice: Notice) {
        self.desk.deeds.push(Deed::Notified(child.clone(), notice));
    }

    fn retire_detached(&mut self, child: &InstanceId) {
        self.desk.deeds.push(Deed::Retired(child.clone()));
    }
}
