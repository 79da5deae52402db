//! The root of a member that communicates: it opens an instance of any class by name.
//!
//! An instance is the child `named.N`, where `N` is a digest of its class and its name, plus how often
//! the name was used before; so all members that open a name together mean the same instance, whatever
//! else each of them opens in between. The uses of a name are numbered in a row, so that those that are
//! over leave one stretch of numbers behind, and not one number each.

mod words;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use maftia_core::{
    agreement::{
        Predicate,
        binary::Binary,
        coin::Coin,
        multivalued::{self, Multivalued},
        opening::Opening,
        signature::Signature,
        validated::{self, Validated},
    },
    broadcast::{consistent::Consistent, reliable::Reliable},
    children::Children,
    crypto::Digest,
    effects::Effects,
    path::{Role, Segment},
    protocol::{Early, Event, Kind, Never, Protocol},
    replica::Replica,
    seat::Seat,
    stream::{
        atomic::Atomic,
        certified::Certified,
        closing::Closing,
        consistent::ConsistentStream,
        fast::Fast,
        open::{Publish, Shelved},
        reliable::ReliableStream,
        secure::Secure,
    },
    wire,
};
use serde::{Deserialize, Serialize};

pub use self::words::{Say, Spec, Told};

/// How many instances that their users let go of go on, for the sake of members that are behind. The
/// oldest end first.
pub const RELEASED_KEPT: usize = 64;

/// How many names may be opened in the life of a member. Of each it is remembered for ever how often it
/// was opened, in some dozen bytes, because whoever forgot that would take the next use for the first one,
/// and contradict there what it said before. This makes a snapshot of some dozen megabytes.
pub const NAMES_MAX: usize = 1 << 20;

/// The longest name, in bytes.
pub const NAME_MAX: usize = 256;

/// What the application asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub enum Input<Q: Predicate<Proof = Bytes>> {
    /// Open an instance, or find one that is open.
    Open {
        /// A number that the answer bears.
        ticket: u64,
        /// The class.
        class: Arc<str>,
        /// The name.
        name: Arc<str>,
        /// How it is made, the same at every member.
        spec: Spec<Q>,
    },
    /// Ask an open instance.
    Ask {
        /// Which one.
        number: u64,
        /// What.
        say: Say,
    },
    /// Take so many more batches, or slots of an atomic stream, of this stream.
    Take {
        /// Which one.
        number: u64,
        /// How many.
        more: u64,
    },
    /// Nobody here uses this instance any more.
    Release {
        /// Which one.
        number: u64,
    },
}

/// What the application is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Output {
    /// To [`Input::Open`]: the number of the instance, if it could be opened.
    Opened {
        /// The number of the question.
        ticket: u64,
        /// The number of the instance.
        number: Result<u64, Refused>,
    },
    /// An instance tells something.
    Told {
        /// Which one.
        number: u64,
        /// What.
        told: Told,
    },
}

/// Why an instance cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refused {
    /// It is open, and was made otherwise.
    #[error("it is open on other terms")]
    OtherTerms,
    /// [`NAMES_MAX`] names are in use, or this one is longer than [`NAME_MAX`].
    #[error("there is no room for the name")]
    NoRoom,
    /// Another open instance has the same number, as one pair of 2^64 does.
    #[error("its number is taken by another name")]
    Taken,
}

/// What is asked of an instance, and how it is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Ask<Q: Predicate<Proof = Bytes>> {
    number: u64,
    spec: Spec<Q>,
    say: Option<Say>,
}

/// What an instance says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heard {
    number: u64,
    told: Told,
}

/// The root of a member that communicates. `Q` says what its agreements may decide.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Services<Q: Predicate<Proof = Bytes>> {
    /// How often each name of each class was opened, by the number of its first use.
    names: BTreeMap<u64, u64>,
    open: BTreeMap<u64, Instance<Q>>,
    /// Those that nobody uses any more, the oldest first.
    released: VecDeque<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
struct Instance<Q: Predicate<Proof = Bytes>> {
    class: Arc<str>,
    name: Arc<str>,
    spec: Spec<Q>,
    /// How much of a stream the user takes.
    credit: u64,
    /// What it said, if it says one thing only: a user that comes back finds it.
    said: Option<Told>,
    released: bool,
}

impl<Q: Predicate<Proof = Bytes>> Protocol for Services<Q> {
    const KIND: Kind = Kind("services");
    type Spec = ();
    type Input = Input<Q>;
    type Output = Output;
    type Message = Never;
    type Timer = Never;
    type Ask = Ask<Q>;
    type Heard = Heard;

    fn new(_: &Seat, (): ()) -> Self {
        Self { names: BTreeMap::new(), open: BTreeMap::new(), released: VecDeque::new() }
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        match event {
            Event::Input(Input::Open { ticket, class, name, spec }) => {
                let opened = self.open(class, name, spec, fx);
                fx.output(Output::Opened { ticket, number: opened });
                opened.into_iter().for_each(|number| self.remind(number, fx));
            }
            Event::Input(Input::Ask { number, say }) => self.ask(number, say, fx),
            Event::Input(Input::Take { number, more }) => self.take(number, more, fx),
            Event::Input(Input::Release { number }) => self.release(number, fx),
            Event::Heard(Heard { number, told }) => self.on_told(number, told, fx),
            Event::Message { message, .. } => match message {},
            Event::Start | Event::Behind { .. } | Event::Dropped { .. } | Event::Missed { .. } => {}
            Event::Timer(never) => match never {},
        }
    }

    fn route<C: Children<Self>>(ask: Ask<Q>, children: &mut C) {
        /// Asks the child of this class; what does not fit its class was never said.
        macro_rules! classes {
            ($($class:ident: $($spec:ident => $protocol:ty),+;)+) => {
                match ask.spec {$($(
                    Spec::$spec(spec) => {
                        let said = match ask.say {
                            Some(Say::$class(input)) => Some(input),
                            _ => None,
                        };
                        children.ask::<$protocol>(Role::Named.at(ask.number), spec, said, |at, output| {
                            Heard { number: at.number, told: Told::$class(output) }
                        });
                    }
                )+)+}
            };
        }
        classes!(
            Reliable: Reliable => Reliable;
            Consistent: Consistent => Consistent;
            Binary: Binary => Binary;
            Validated: Validated => Validated<Q>;
            Array: Array => Multivalued<Q>;
            ReliableStream: ReliableStream => ReliableStream;
            ConsistentStream: ConsistentStream => ConsistentStream;
            Atomic: Atomic => Closing<Fast>, AtomicRounds => Closing<Atomic>,
                AtomicLanes => Closing<Certified>;
            Secure: Secure => Closing<Secure<Fast>>, SecureRounds => Closing<Secure<Atomic>>,
                SecureLanes => Closing<Secure<Certified>>;
            Open: Open => Closing<Shelved<Fast>>, OpenRounds => Closing<Shelved<Atomic>>,
                OpenLanes => Closing<Shelved<Certified>>;
            Public: Public => Replica<Publish>;
            Coin: Coin => Coin;
            Signature: Signature => Signature;
            Cipher: Cipher => Opening;
        );
    }

    fn early(&self, _: &Seat, child: Segment) -> Early {
        if child.role == Role::Named { Early::Wait } else { Early::Never }
    }
}

/// The number of the first use of a name. Others follow in a row.
pub(super) fn number_of(class: &str, name: &str) -> u64 {
    let digest = Digest::of("named instance", &wire::encode(&(class, name)));
    let bytes = digest.as_bytes().first_chunk().expect("a digest has 32 bytes");
    u64::from_le_bytes(*bytes)
}

impl<Q: Predicate<Proof = Bytes>> Services<Q> {
    fn open(
        &mut self,
        class: Arc<str>,
        name: Arc<str>,
        spec: Spec<Q>,
        fx: &mut Effects<'_, Self>,
    ) -> Result<u64, Refused> {
        let first = number_of(&class, &name);
        let used = self.names.get(&first).copied().unwrap_or(0);
        let at = |usage: u64| first.wrapping_add(usage);
        let last = used.checked_sub(1).and_then(|last| self.open.get(&at(last)));
        if let Some(instance) = last.filter(|instance| !instance.released) {
            return if (&instance.class, &instance.name) != (&class, &name) {
                Err(Refused::Taken)
            } else if instance.spec != spec {
                Err(Refused::OtherTerms)
            } else {
                Ok(at(used - 1))
            };
        }
        if name.len() > NAME_MAX || (used == 0 && self.names.len() >= NAMES_MAX) {
            return Err(Refused::NoRoom);
        }
        let number = at(used);
        if self.open.contains_key(&number) {
            return Err(Refused::Taken);
        }
        self.names.insert(first, used + 1);
        fx.ask(Ask { number, spec: spec.clone(), say: None });
        let instance = Instance { class, name, spec, credit: 0, said: None, released: false };
        self.open.insert(number, instance);
        Ok(number)
    }

    /// A user that finds an instance open hears what it said.
    fn remind(&self, number: u64, fx: &mut Effects<'_, Self>) {
        if let Some(told) = self.open.get(&number).and_then(|instance| instance.said.clone()) {
            fx.output(Output::Told { number, told });
        }
    }

    fn ask(&mut self, number: u64, say: Say, fx: &mut Effects<'_, Self>) {
        let Some(instance) = self.open.get(&number) else { return };
        let seat = fx.seat().child(Role::Named.at(number));
        let proper = match (&instance.spec, &say) {
            (Spec::Validated(rule), Say::Validated(validated::Input::Propose(Some(proof)))) => {
                rule.judge(&seat, proof)
            }
            (Spec::Array(spec), Say::Array(multivalued::Input::Propose(value))) => {
                value.len() <= spec.limit && spec.predicate.judge(&seat, value)
            }
            _ => true,
        };
        if proper {
            fx.ask(Ask { number, spec: instance.spec.clone(), say: Some(say) });
        } else {
            fx.output(Output::Told { number, told: Told::Improper });
        }
    }

    fn take(&mut self, number: u64, more: u64, fx: &mut Effects<'_, Self>) {
        let Some(instance) = self.open.get_mut(&number) else { return };
        instance.credit = instance.credit.saturating_add(more);
        if let Some(say) = instance.spec.pull(instance.credit) {
            fx.ask(Ask { number, spec: instance.spec.clone(), say: Some(say) });
        }
    }

    fn release(&mut self, number: u64, fx: &mut Effects<'_, Self>) {
        let Some(instance) = self.open.get_mut(&number).filter(|instance| !instance.released)
        else {
            return;
        };
        instance.released = true;
        self.released.push_back(number);
        if self.released.len() > RELEASED_KEPT
            && let Some(oldest) = self.released.pop_front()
        {
            self.open.remove(&oldest);
            fx.retire(Role::Named.at(oldest));
        }
    }

    fn on_told(&mut self, number: u64, told: Told, fx: &mut Effects<'_, Self>) {
        let Some(instance) = self.open.get_mut(&number).filter(|_| !told.is_for_nobody()) else {
            return;
        };
        // Its user holds all that a proposal names, since it names nothing.
        if let Told::Array(multivalued::Output::Offered { from, .. }) = told {
            let say = Some(Say::Array(multivalued::Input::Approve(from)));
            return fx.ask(Ask { number, spec: instance.spec.clone(), say });
        }
        if !told.is_of_a_stream() {
            instance.said = Some(told.clone());
        }
        if !instance.released {
            fx.output(Output::Told { number, told });
        }
    }
}
