//! An inline instance behind an erased door.

use std::{fmt::Debug, sync::Arc};

use bytes::Bytes;

use super::interior::{Interior, Outstanding, Parcel, What, below};
use crate::{
    children::Children,
    crypto::{Answer, Job},
    effects::{Effect, Effects},
    fault::Fault,
    host::Outside,
    id::Peer,
    path::{Path, Segment},
    protocol::{Early, Event, Kind, Protocol},
    seat::{Owner, Seat},
    wire::{self, Rope},
};

/// What a tree asks of an inline instance whose type it does not know.
pub(super) trait Node: Send + Debug {
    fn kind(&self) -> Kind;
    fn step(&mut self, at: &Path, what: What, inside: &mut Interior, outside: &mut dyn Outside);
    fn early(&self, child: Segment) -> Early;
    fn boxed_clone(&self) -> Box<dyn Node>;
    fn save(&self, to: &mut Rope);
    fn reopen(&self, ask: &[u8], saved: super::save::Saved<'_>) -> Result<(), wire::DecodeError>;
}

/// An instance of `C` whose parent is a `P`.
pub(super) struct Inline<C: Protocol, P: Protocol> {
    pub(super) seat: Arc<Seat>,
    pub(super) at: Segment,
    pub(super) state: C,
    pub(super) heard: fn(&Segment, C::Output) -> P::Heard,
}

impl<C: Protocol, P: Protocol> Debug for Inline<C, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.state.fmt(f)
    }
}

impl<C: Protocol, P: Protocol> Node for Inline<C, P> {
    fn kind(&self) -> Kind {
        C::KIND
    }

    fn step(&mut self, at: &Path, what: What, inside: &mut Interior, outside: &mut dyn Outside) {
        let event = match read::<C>(&self.seat, what) {
            Ok(event) => event,
            Err((peer, fault)) => return outside.accuse(&self.seat.id, peer, fault),
        };
        let seat = Arc::clone(&self.seat);
        let mut fx = Effects::new(&seat);
        self.state.step(event, &mut fx);
        for effect in fx.into_list() {
            match inside.perform(at, &seat, effect, outside) {
                Some(Effect::Output(output)) => {
                    let heard: Parcel = Box::new((self.heard)(&self.at, output));
                    inside.push(at[..at.len() - 1].into(), What::Heard(heard));
                }
                Some(Effect::Ask(ask)) => {
                    let copy = ask.clone();
                    let mut children = OfInline { at, seat: &seat, ask: &copy, inside, outside };
                    C::route(ask, &mut children);
                }
                _ => {}
            }
        }
    }

    fn early(&self, child: Segment) -> Early {
        self.state.early(&self.seat, child)
    }

    fn boxed_clone(&self) -> Box<dyn Node> {
        Box::new(Self {
            seat: Arc::clone(&self.seat),
            at: self.at,
            state: self.state.clone(),
            heard: self.heard,
        })
    }

    fn save(&self, to: &mut Rope) {
        to.add(&self.state);
    }

    fn reopen(
        &self,
        ask: &[u8],
        mut saved: super::save::Saved<'_>,
    ) -> Result<(), wire::DecodeError> {
        saved.seat = Some(Arc::clone(&self.seat));
        saved.reopen::<C>(ask)
    }
}

/// Reads what came as an event of `P`; a peer's wrong is its fault.
pub(super) fn read<P: Protocol>(seat: &Seat, what: What) -> Result<Event<P>, (Peer, Fault)> {
    Ok(match what {
        What::Start => Event::Start,
        What::Input(parcel) => Event::Input(unpack(parcel)),
        What::Heard(parcel) => Event::Heard(unpack(parcel)),
        What::Own(parcel) => {
            let Owner::Party(_, me) = seat.owner else {
                unreachable!("only members hear themselves")
            };
            Event::Message { from: Peer::Member(me), message: unpack(parcel) }
        }
        What::Frame { from, bytes } => {
            let message = wire::decode_shared::<P::Message>(&bytes)
                .map_err(|error| (from, Fault::Undecodable(error.to_string())))?;
            P::admit(seat, from, &message).map_err(|fault| (from, fault))?;
            Event::Message { from, message }
        }
        What::Timer(bytes) => Event::Timer(wire::decode(&bytes).expect("our own encoding")),
        What::Behind { role, number } => Event::Behind { role, number },
        What::Dropped { from, child } => Event::Dropped { from, child },
        What::Missed { from } => Event::Missed { from },
    })
}

fn unpack<T: 'static>(parcel: Parcel) -> T {
    *parcel.downcast().expect("both ends of an edge know its type")
}

/// The children of an inline instance: inline, as it is.
struct OfInline<'a, P: Protocol> {
    at: &'a Path,
    seat: &'a Arc<Seat>,
    ask: &'a P::Ask,
    inside: &'a mut Interior,
    outside: &'a mut dyn Outside,
}

impl<P: Protocol> Children<P> for OfInline<'_, P> {
    fn ask<C: Protocol>(
        &mut self,
        at: Segment,
        spec: C::Spec,
        input: Option<C::Input>,
        heard: fn(&Segment, C::Output) -> P::Heard,
    ) {
        ask_inline::<C, P>(self.inside, self.at, self.seat, self.ask, at, spec, input, heard);
    }

    fn compute(&mut self, at: Segment, job: Job, heard: fn(&Segment, Answer) -> P::Heard) {
        compute::<P>(self.inside, self.at, self.seat, self.ask, at, job, heard, self.outside);
    }
}

/// Opens an inline child unless it is open or over, and gives it the input.
#[expect(clippy::too_many_arguments, reason = "the two kinds of parents share nothing but this")]
pub(super) fn ask_inline<C: Protocol, P: Protocol>(
    inside: &mut Interior,
    parent: &Path,
    seat: &Seat,
    ask: &P::Ask,
    at: Segment,
    spec: C::Spec,
    input: Option<C::Input>,
    heard: fn(&Segment, C::Output) -> P::Heard,
) {
    if inside.is_over(parent, at) {
        return;
    }
    let path = below(parent, at);
    if !inside.nodes.contains_key(&path) {
        let seat = Arc::new(seat.child(at));
        let state = C::new(&seat, spec);
        let node = Box::new(Inline::<C, P> { seat, at, state, heard });
        if P::REPEATS {
            inside.said.keep(path.clone());
        }
        inside.open(path.clone(), node, wire::encode(ask));
    }
    if let Some(input) = input {
        inside.push(path, What::Input(Box::new(input)));
    }
}

/// Hands a job out, unless the same is outstanding.
#[expect(clippy::too_many_arguments, reason = "the two kinds of parents share nothing but this")]
pub(super) fn compute<P: Protocol>(
    inside: &mut Interior,
    asker: &Path,
    seat: &Seat,
    ask: &P::Ask,
    at: Segment,
    job: Job,
    heard: fn(&Segment, Answer) -> P::Heard,
    outside: &mut dyn Outside,
) {
    let key = (asker.clone(), at);
    if inside.jobs.contains_key(&key) {
        return;
    }
    outside.compute(&seat.id.child(at), job.clone());
    inside.jobs.insert(key, outstanding::<P>(job, wire::encode(ask), heard));
}

pub(super) fn outstanding<P: Protocol>(
    job: Job,
    ask: Bytes,
    heard: fn(&Segment, Answer) -> P::Heard,
) -> Outstanding {
    let hear = Arc::new(move |at: &Segment, answer| Box::new(heard(at, answer)) as Parcel);
    Outstanding { job, ask, hear }
}
