//! A protocol instance as a supervised actor: remember, step, release.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    collections::BTreeMap,
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
    wire,
};

use crate::{
    address::{Address, Deliver, MAILBOX},
    desk::{Desk, Wish},
    log::{Entry, Lsn, Origin, Record},
    party::{Lodger, Party},
};

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
}

impl<P: Protocol> Actor for Instance<P> {
    type Context = Context<Self>;
}

impl<P: Protocol> Handler<Deliver<P>> for Instance<P> {
    type Result = ();

    fn handle(&mut self, Deliver { mail, origin }: Deliver<P>, _: &mut Context<Self>) {
        self.resident.take(mail, origin);
        while let Some(mail) = self.resident.address().and_then(|address| address.spilled()) {
            self.resident.take(mail, None);
        }
        self.resident.party.settle();
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
            None => newborn(&seat, &spec, keeps_said),
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
        });
        let lodger = Rc::clone(&resident);
        let actor = Instance::create(|context| {
            context.set_mailbox_capacity(MAILBOX);
            Instance { resident: Rc::clone(&resident) }
        });
        let address = Address::new(id.clone(), actor);
        *resident.address.borrow_mut() = Some(address.clone());
        party.lodge(&id, lodger, &address);
        resident.grant(0, desk.wishes);
        if saved.is_none() {
            party.post(&address, Mail::Start);
        }
        Ok((resident, address))
    }

    /// Its own address, unless it is over.
    fn address(&self) -> Option<Address<P>> {
        self.address.borrow().clone()
    }

    /// Remember, step, release.
    fn take(&self, mail: Mail<P>, origin: Option<Origin>) {
        let party = &self.party;
        party.arrived(&self.seat.id, &mail, origin.is_some());
        let frame = matches!(mail, Mail::Frame { .. });
        if self.address.borrow().is_none() {
            return origin.into_iter().for_each(|origin| party.took(origin));
        }
        if !party.is_live() || (mail == Mail::Start && self.started.replace(true)) {
            return;
        }
        let entry = Entry { instance: self.seat.id.clone(), origin, mail: wire::encode(&mail) };
        let lsn = party.remember(Record::Took(entry), origin);
        party.pulse().begin(&self.seat.id);
        let wishes = self.step(mail);
        party.pulse().end();
        match wishes {
            Ok(wishes) => self.grant(lsn, wishes),
            Err(text) => self.fell(lsn, frame, &text),
        }
    }

    fn step(&self, mail: Mail<P>) -> Result<Vec<Wish<P>>, String> {
        let mut desk = Desk::new(self.party.placement());
        let mut tree = self.tree.borrow_mut();
        catch_unwind(AssertUnwindSafe(|| tree.take(mail, &mut desk)))
            .map(|()| desk.wishes)
            .map_err(|panic| text_of(panic.as_ref()))
    }

    /// Does what a step wants. Frames wait until the record that caused them is durable.
    fn grant(&self, lsn: Lsn, wishes: Vec<Wish<P>>) {
        let Some(address) = self.address() else { return };
        for wish in wishes {
            match wish {
                Wish::Send { to, instance, lane, frame } => {
                    self.party.emit(lsn, to, instance, lane, frame);
                }
                Wish::Arm(alarm, after) => self.party.arm(&address, alarm, after),
                Wish::Compute(id, job) => self.party.compute(&address, id, job),
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
    }

    /// Opens a child in an actor of its own unless it is open, and gives it the input.
    pub(crate) fn ask_child<C: Protocol>(
        &self,
        child: Detached<C, P>,
        input: Option<(u64, C::Input)>,
    ) {
        let at = child.at;
        let known = self.children.borrow().get(&at).map(|address| {
            address.downcast_ref::<Address<C>>().expect("a role has one type of child").clone()
        });
        let Some(address) = known.or_else(|| self.open_child(child)) else { return };
        if let Some((number, input)) = input {
            self.party.post(&address, Mail::Input { number, input });
        }
    }

    fn open_child<C: Protocol>(&self, child: Detached<C, P>) -> Option<Address<C>> {
        let Detached { seat, at, spec, heard } = child;
        let (party, parent) = (Rc::clone(&self.party), self.address()?);
        let up: Up<C> = Box::new(move |number, output| {
            let heard = heard(&at, output);
            party.post(&parent, Mail::Heard { from: at, number, heard });
        });
        let keeps_said = P::REPEATS || self.tree.borrow().keeps_said();
        match Resident::open(&self.party, seat, spec, up, keeps_said) {
            Ok((_, address)) => {
                self.children.borrow_mut().insert(at, Box::new(address.clone()));
                Some(address)
            }
            Err(error) => {
                self.party.stop(&error.to_string());
                None
            }
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
        self.party.remember(Record::Skipped(lsn), None);
        match self.rebuilt() {
            Ok(tree) => *self.tree.borrow_mut() = tree,
            Err(error) => self.party.stop(&format!("{} cannot be rebuilt: {error}", self.seat.id)),
        }
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
                None => newborn(&self.seat, &self.spec, keeps_said),
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
    fn save(&self) -> Bytes {
        self.tree.borrow().save()
    }

    fn replay(&self, mail: &[u8]) -> Result<(), String> {
        let mail: Mail<P> = wire::decode_own(mail).map_err(|error| error.to_string())?;
        if mail == Mail::Start {
            self.started.set(true);
        }
        let wishes = self.step(mail)?;
        self.grant(0, wishes);
        Ok(())
    }

    fn leave(&self) {
        drop(self.address.borrow_mut().take());
    }

    fn rouse(&self) {
        let mut desk = Desk::new(self.party.placement());
        self.tree.borrow().rouse(&mut desk);
        self.grant(0, desk.wishes);
    }
}

/// A tree without a history.
fn newborn<P: Protocol>(seat: &Seat, spec: &P::Spec, keeps_said: bool) -> Tree<P> {
    let tree = Tree::new(seat.clone(), spec.clone());
    if keeps_said { tree.keeping_said() } else { tree }
}

/// What a panic said.
fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".into())
}
