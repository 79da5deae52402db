//! A protocol instance as a supervised actor: remember, step, release.
//!
//! An actor takes its mail in batches. Each piece is remembered, then stepped; what the steps want
//! outside the party is held, and leaves when the whole batch is in the log.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
};

use actix::{Actor, Context, Handler};
use bytes::Bytes;
use maftia_core::{
    host::Detached,
    mail::Mail,
    path::Segment,
    protocol::Protocol,
    seat::Seat,
    tree::{BadSnapshot, Tree},
    wire::{self, Rope},
};

use crate::{
    address::{Address, Letter, Ring},
    desk::{Desk, Wish},
    log::{Lsn, Record, Taking},
    party::{Lodger, Party},
};

/// The most mail that an actor takes before what it caused leaves, and others have their turn.
const BATCH: usize = 64;

/// Where the outputs of a root go, with their numbers.
pub(crate) type Up<P> = Box<dyn Fn(u64, <P as Protocol>::Output)>;

/// The actor. Everything it does is in its resident, which the party can reach too.
pub struct Instance<P: Protocol> {
    resident: Rc<Resident<P>>,
}

/// A tree that lives in an actor.
pub(crate) struct Resident<P: Protocol> {
    party: Rc<Party>,
    seat: Seat,
    spec: P::Spec,
    tree: RefCell<Tree<P>>,
    up: Up<P>,
    /// Its own address, until it is over: then the actor ends with the last piece of its mail.
    address: RefCell<Option<Address<P>>>,
    children: RefCell<BTreeMap<Segment, Box<dyn Any>>>,
    started: Cell<bool>,
    /// Its name as the log has it.
    name: Bytes,
    /// Its number at the pulse.
    pulse: u64,
    /// Mail that it took out of its mailbox and did not come to yet.
    hand: Cell<VecDeque<Letter<P>>>,
    /// The room that its next snapshot needs, in bytes, if it is as the last.
    size: Cell<usize>,
    /// The paper that its desk writes on.
    paper: Cell<Vec<Wish<P>>>,
}

impl<P: Protocol> Actor for Instance<P> {
    type Context = Context<Self>;
}

impl<P: Protocol> Handler<Ring> for Instance<P> {
    type Result = ();

    fn handle(&mut self, _: Ring, _: &mut Context<Self>) {
        self.resident.work();
    }
}

impl<P: Protocol> Resident<P> {
    /// Starts an actor, from its snapshot if the party has one.
    pub(crate) fn open(
        party: &Rc<Party>,
        seat: Seat,
        spec: P::Spec,
        up: Up<P>,
        keeps_said: bool,
    ) -> Result<(Rc<Self>, Address<P>), BadSnapshot> {
        let id = seat.id.clone();
        let saved = party.saved(&id);
        let mut desk = Desk::new(party.placement());
        let tree = match &saved {
            Some(bytes) => Tree::load(seat.clone(), bytes, &mut desk)?,
            None => Tree::new(seat.clone(), spec.clone()).keeping_said(keeps_said),
        };
        let resident = Rc::new(Self {
            party: Rc::clone(party),
            seat,
            spec,
            tree: RefCell::new(tree),
            up,
            address: RefCell::default(),
            children: RefCell::default(),
            started: Cell::new(saved.is_some()),
            name: wire::encode(&id),
            pulse: party.pulse().enter(&id),
            hand: Cell::default(),
            size: Cell::new(0),
            paper: Cell::default(),
        });
        let lodger = Rc::clone(&resident);
        let actor = Instance { resident: Rc::clone(&resident) }.start();
        let address = Address::new(id.clone(), actor);
        *resident.address.borrow_mut() = Some(address.clone());
        party.lodge(&id, lodger, &address);
        resident.grant(0, &address, desk.wishes);
        if saved.is_none() {
            party.post(&address, Mail::Start);
        }
        Ok((resident, address))
    }

    /// Its own address, unless it is over.
    fn address(&self) -> Option<Address<P>> {
        self.address.borrow().clone()
    }

    /// Takes what is in the mailbox, or a batch of it.
    fn work(&self) {
        let Some(address) = self.address() else { return };
        let mut hand = self.hand.take();
        if hand.is_empty() {
            address.fill(&mut hand);
        }
        for _ in 0..BATCH {
            let Some(letter) = hand.pop_front() else { break };
            self.take(letter, &address);
        }
        if !hand.is_empty() {
            address.ring();
        }
        self.hand.set(hand);
        self.party.settle();
    }

    /// Remember, step, release.
    fn take(&self, letter: Letter<P>, address: &Address<P>) {
        let party = &self.party;
        if self.address.borrow().is_none() {
            return self.discard(&letter);
        }
        let Letter { mail, way } = letter;
        party.arrived(way);
        let first = !matches!(mail, Mail::Start) || !self.started.replace(true);
        if !party.is_live() || !first {
            return;
        }
        let frame = matches!(mail, Mail::Frame { .. });
        let origin = way.origin();
        let lsn = party.remember(&Taking { instance: &self.name, origin, mail: &mail }, origin);
        party.pulse().begin(self.pulse);
        let wishes = self.step(mail);
        party.pulse().end();
        match wishes {
            Ok(wishes) => self.grant(lsn, address, wishes),
            Err(text) => self.fell(lsn, frame, &text),
        }
    }

    /// It is over: a frame is acknowledged, the rest forgotten.
    fn discard(&self, letter: &Letter<P>) {
        self.party.arrived(letter.way);
        letter.way.origin().into_iter().for_each(|origin| self.party.took(origin));
    }

    fn step(&self, mail: Mail<P>) -> Result<Vec<Wish<P>>, String> {
        let mut desk = Desk::on(self.paper.take(), self.party.placement());
        let mut tree = self.tree.borrow_mut();
        catch_unwind(AssertUnwindSafe(|| tree.take(mail, &mut desk)))
            .map(|()| desk.wishes)
            .map_err(|panic| text_of(panic.as_ref()))
    }

    /// Does what a step wants. Frames wait until the record that caused them is durable.
    fn grant(&self, lsn: Lsn, address: &Address<P>, mut wishes: Vec<Wish<P>>) {
        wishes.drain(..).for_each(|wish| self.grant_one(lsn, address, wish));
        self.paper.set(wishes);
    }

    fn grant_one(&self, lsn: Lsn, address: &Address<P>, wish: Wish<P>) {
        match wish {
            Wish::Send { to, instance, lane, frame } => {
                self.party.emit(lsn, to, instance, lane, frame);
            }
            Wish::Arm(alarm, after) => self.party.arm(address, alarm, after),
            Wish::Compute(id, job) => self.party.compute(address, id, job),
            Wish::Accuse(instance, peer, fault) => self.party.accuse(&instance, peer, fault),
            Wish::Output(number, output) => (self.up)(number, output),
            Wish::Ask(ask) => ask(self),
            Wish::Forward(from, instance, bytes) => self.party.forward(from, instance, bytes),
            Wish::Notify(child, notice) => self.party.notify(&child, notice),
            Wish::Retire(child) => {
                if let Some((_, segment)) = child.parent() {
                    self.children.borrow_mut().remove(&segment);
                }
                self.party.evict(&child);
            }
        }
    }

    /// Opens a child in an actor of its own unless it is open, and gives it the input.
    pub(crate) fn ask_child<C: Protocol>(
        &self,
        child: Detached<C, P>,
        input: Option<(u64, C::Input)>,
    ) {
        let at = child.at;
        if !self.children.borrow().contains_key(&at) {
            self.open_child(child);
        }
        let children = self.children.borrow();
        if let (Some(address), Some((number, input))) = (children.get(&at), input) {
            let address = address.downcast_ref::<Address<C>>();
            let address = address.expect("a role has one type of child");
            self.party.post(address, Mail::Input { number, input });
        }
    }

    fn open_child<C: Protocol>(&self, child: Detached<C, P>) {
        let seat = child.seat();
        let Detached { at, spec, heard, keeps_said, .. } = child;
        let (party, parent) = (Rc::clone(&self.party), self.address());
        let Some(parent) = parent else { return };
        let up: Up<C> = Box::new(move |number, output| {
            let heard = heard(&at, output);
            party.post(&parent, Mail::Heard { from: at, number, heard });
        });
        match Resident::<C>::open(&self.party, seat, spec, up, keeps_said) {
            Ok((_, address)) => {
                self.children.borrow_mut().insert(at, Box::new(address));
            }
            Err(error) => self.party.stop(&error.to_string()),
        }
    }

    /// After a panic: a fresh tree, the same history without the frame that felled it, at the same
    /// address. Only a peer's frame may be skipped: whoever missed an ask or an answer would wait for
    /// ever, so such a fall ends the party, which `f` covers.
    fn fell(&self, lsn: Lsn, frame: bool, text: &str) {
        tracing::error!(instance = %self.seat.id, record = lsn, "an instance fell: {text}");
        if !frame || !self.party.may_restart() {
            let why = format!("{} fell: {text}", self.seat.id);
            return self.party.stop(&why);
        }
        if let Err(error) = self.skip(lsn) {
            self.party.stop(&format!("{} cannot be rebuilt: {error}", self.seat.id));
        }
    }

    /// Goes on as if a frame had never come.
    fn skip(&self, lsn: Lsn) -> Result<(), String> {
        self.party.remember(&Record::Skipped(lsn), None);
        *self.tree.borrow_mut() = self.rebuilt()?;
        Ok(())
    }

    fn rebuilt(&self) -> Result<Tree<P>, String> {
        let history = self.party.history(&self.seat.id).map_err(|error| error.to_string())?;
        let placement = self.party.placement();
        let keeps_said = self.tree.borrow().keeps_said();
        let rebuild = || {
            let mut desk = Desk::new(placement);
            let mut tree = match &history.snapshot {
                Some(bytes) => Tree::load(self.seat.clone(), bytes, &mut desk)
                    .map_err(|error| error.to_string())?,
                None => Tree::new(self.seat.clone(), self.spec.clone()).keeping_said(keeps_said),
            };
            for mail in &history.mail {
                let mail = wire::decode_own(mail).map_err(|error| error.to_string())?;
                tree.take(mail, &mut Desk::new(placement));
            }
            Ok(tree)
        };
        catch_unwind(AssertUnwindSafe(rebuild)).unwrap_or_else(|panic| Err(text_of(panic.as_ref())))
    }

    /// Looks at the tree, or bends it in a laboratory.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&mut Tree<P>) -> R) -> R {
        look(&mut self.tree.borrow_mut())
    }
}

impl<P: Protocol> Lodger for Resident<P> {
    fn save(&self) -> Rope {
        // Trees hold megabytes, most of them payloads, which the rope shares.
        let mut rope = Rope::onto(Vec::with_capacity(self.size.get()));
        self.tree.borrow().save_onto(&mut rope);
        self.size.set(rope.own() + rope.own() / 8);
        rope
    }

    /// A frame that fells its actor is skipped if it is the newest record: the party went down before
    /// it could write that. Any other was once taken without a fall, and what came of it is not known.
    fn replay(&self, lsn: Lsn, mail: &[u8], newest: bool) -> Result<(), String> {
        let mail: Mail<P> = wire::decode_own(mail).map_err(|error| error.to_string())?;
        if matches!(mail, Mail::Start) {
            self.started.set(true);
        }
        let frame = matches!(mail, Mail::Frame { .. });
        match self.step(mail) {
            Ok(wishes) => {
                if let Some(address) = self.address() {
                    self.grant(0, &address, wishes);
                }
                Ok(())
            }
            Err(text) if newest && frame && self.party.may_restart() => {
                tracing::error!(instance = %self.seat.id, record = lsn, "an instance fell: {text}");
                self.skip(lsn)
            }
            Err(text) => Err(format!("{} fell: {text}", self.seat.id)),
        }
    }

    fn leave(&self) {
        let address = self.address.borrow_mut().take();
        if let Some(address) = address {
            self.party.pulse().forget(self.pulse);
            self.hand.take().iter().chain(&address.close()).for_each(|letter| self.discard(letter));
        }
    }

    fn rouse(&self) {
        let mut desk = Desk::new(self.party.placement());
        self.tree.borrow().rouse(&mut desk);
        if let Some(address) = self.address() {
            self.grant(0, &address, desk.wishes);
        }
    }
}

/// What a panic said.
fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".into())
}
