//! Secure causal atomic stream: payloads stay secret until their place in the order is fixed.
//!
//! # Reference
//! Cachin, Kursawe, Petzold, Shoup, *Secure and efficient asynchronous broadcast protocols*, CRYPTO
//! 2001, section 6. The cipher is the one of [`Keys::cipher`](crate::crypto::Keys::cipher).
//!
//! # Model
//! That of the engine below; `n >= 3f + 1`, and a threshold cipher of `f + 1` with labels.
//!
//! # Thresholds
//! | step | waits for | because |
//! |---|---|---|
//! | ordered -> own share | | the order of the engine is final: nothing that depends on the plaintext can come before it |
//! | shares -> opened | `f + 1` not known to be wrong | `f` liars alone read nothing; `f + 1` correct parties open without them |
//! | out of reach -> behind | `f + 1` that keep the shares no more | one correct party says so |
//!
//! # Properties
//! What the engine promises for ciphertexts: total order, agreement, integrity, validity. And *input
//! causality*: while no correct party has ordered a ciphertext, `f` parties learn nothing about its
//! content but its size, its author and when it came; so nobody orders anything that depends on it
//! before it. Pad what must hide its size.
//!
//! *A slot* holds one ciphertext, which holds a batch: what came while earlier ciphertexts were being
//! ordered is encrypted together, under one fresh key (S1). A ciphertext is bound to the stream (group,
//! epoch, name, use) and to its author. The engine orders it with its author's name (S2). What cannot
//! be decoded, comes from a member in another member's name, is more than a correct party has in flight,
//! or fails the public check of the cipher takes its slot and is [`Output::Invalid`] at every correct
//! party (S3): to copy a ciphertext under one's own name is one of these. Of a valid one a party releases
//! its share, with slot and digest, once (S4). With `f + 1` shares, and the user's credit, it is opened
//! (S5): what passed the check decrypts to the same bytes everywhere, so a malicious author blocks
//! nothing; bytes that are no batch are invalid, too. Opening is parallel, delivery in the order of
//! slots.
//!
//! *Shares go out without the user's credit*, because others may need them: a user that takes nothing
//! costs its own party memory up to a bound, then it has lagged, and nobody else waits for it.
//!
//! *Chance.* This crate has none. A member encrypts with bits that follow from its signature of number,
//! label and plaintext in a domain of their own ([`Job::Seal`]), which it shows to nobody: unguessable
//! without its secret key, and the same again after a restart, so that a party that reads its log once
//! more says what it said before. Outsiders bring a fresh seed ([`encrypt`]).
//!
//! *The cipher is a hybrid already*: the body is masked with a stream under a key of its own, and bound
//! to label and head by a check that everybody can make before a share exists. So a ciphertext that holds
//! a batch, a member's or an outsider's, is a batch under one key, bound to author, stream and batch; and the
//! price of the threshold operations is one a batch, whatever is in it.
//!
//! *Many ciphertexts at a time*: those of one batch of the engine are checked together, the shares of
//! them leave in one message, and what can be opened is opened together, the equations of all in one
//! ([`ThresholdCipher`](crate::crypto::ThresholdCipher)). All of it is done in the pool.
//!
//! *Outsiders* hand a ciphertext to any members, `f + 1` of them to be sure. A member, or anybody who
//! saw it, may have the same ciphertext ordered again: an identical duplicate under the same name, which
//! says nothing new. Who needs each to count once numbers what is inside, as sessions do. Everybody can
//! *make* a ciphertext under any outsider's name; that it comes from there is the word of the member that
//! had it ordered, which checks its clients' links. Sign what is inside if that is not enough.
//!
//! *Lost shares.* A party keeps its last shares ([`Spec::shares_kept`]). Whoever lost frames, or was
//! behind when they came, asks for them when it gets there. When `f + 1` say that they are gone, the
//! stream is [`Output::Behind`], and the user resumes from a checkpoint as with the engine.
//!
//! # Deviations
//! Shares are combined without a look at each; only if that fails the culprits are looked for. The
//! engine is any protocol with the doors of [`atomic`]; every correct party must be given the same
//! batches by it, borders included, because rule S3 counts the ciphertexts of a batch.

mod line;
mod message;
mod own;
mod recall;
mod work;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use message::{Author, Message, Released, encrypt};
use serde::{Deserialize, Serialize};

use self::{
    line::{Line, Taken},
    message::Envelope,
    own::Own,
    recall::{Kept, Lost},
    work::Task,
};
use super::{
    atomic::{self, Position},
    batch::Batch,
};
use crate::{
    children::Children,
    crypto::{Answer, Ciphertext, Job},
    effects::Effects,
    fault::Fault,
    id::{ClientId, PartyId, Peer, Slot},
    path::{Role, Segment},
    protocol::{Early, Event, Kind, Never, Protocol},
    seat::Seat,
};

#[cfg(any(test, feature = "sim"))]
pub(super) fn contents(take: &mut impl super::contents::Contents) {
    take.content::<message::Envelope>();
}

/// What orders ciphertexts.
pub trait Engine: Protocol<Input = atomic::Input, Output = atomic::Output> {}
impl<A: Protocol<Input = atomic::Input, Output = atomic::Output>> Engine for A {}

/// What makes two streams differ. It need not be the same at every party.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec<S> {
    /// How the engine is made.
    pub engine: S,
    /// How many bytes of ordered ciphertexts, or of what was in them, wait for the user's credit. Beyond
    /// it the user has lagged.
    pub lag_max: usize,
    /// How many own shares are kept for those who ask.
    pub shares_kept: usize,
}

impl<S: Default> Default for Spec<S> {
    /// 64 MiB of lag; 4,096 shares, which take less than 4 MiB with any scheme.
    fn default() -> Self {
        Self { engine: S::default(), lag_max: 64 << 20, shares_kept: 4096 }
    }
}

/// What the user may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// Order these payloads, and show them to nobody before.
    Submit {
        /// The payloads. Empty batches change nothing.
        batch: Batch,
    },
    /// Order what an outsider [encrypted](encrypt).
    Forward {
        /// In whose name.
        client: ClientId,
        /// The ciphertext.
        ciphertext: Ciphertext,
    },
    /// The user takes every slot below this one. Nothing is delivered before the first pull.
    Pull {
        /// The slot, exclusive.
        up_to: Slot,
    },
    /// Go on from here, as with [`atomic::Input::Resume`].
    Resume {
        /// The position.
        position: Position,
    },
}

/// What the user is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// What was in the ciphertext of a slot. Slots come in order and without gaps but for
    /// [`Output::Lagged`] and [`Input::Resume`].
    Deliver {
        /// The slot.
        slot: Slot,
        /// Who had it ordered.
        from: PartyId,
        /// In whose name it was made: a member that had it ordered itself, or an outsider, for which
        /// there is the word of `from` only.
        author: Author,
        /// The payloads; at least one.
        batch: Batch,
    },
    /// Nothing can be read in these slots, at no party.
    Invalid {
        /// The first of them.
        first: Slot,
        /// How many they are.
        count: u64,
        /// Who had it ordered.
        from: PartyId,
    },
    /// All slots of a round of the engine, or of some rounds, are delivered.
    RoundEnd {
        /// The place after them.
        position: Position,
    },
    /// Submitted payloads were not taken: the queue is full, or one of them breaks a limit. For an
    /// outsider's ciphertext, none.
    Refused {
        /// How many payloads.
        payloads: u64,
    },
    /// How many of this party's own payloads are settled: ordered, or given up as [`Output::Unsure`].
    Ordered {
        /// The number since the beginning.
        own: u64,
    },
    /// Whether these own payloads were ordered stays unknown; see [`atomic::Output::Unsure`].
    Unsure {
        /// The payloads.
        batch: Batch,
    },
    /// What comes next cannot be had from enough parties any more: resume from a checkpoint. A hint.
    Behind,
    /// The slots in between will not be delivered: the user gave no credit for too long.
    Lagged {
        /// The first slot that is missing.
        from: Slot,
        /// The first slot that will come again.
        to: Slot,
    },
}

/// What is asked of the engine and of the pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Ask<S> {
    /// The engine, and how it is made.
    Engine(S, Option<atomic::Input>),
    /// A job with this number.
    Work(u64, Job),
}

/// What they say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Heard {
    /// The engine.
    Engine(atomic::Output),
    /// The job with this number.
    Done(u64, Answer),
}

/// One stream at one party, over the engine `A`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Secure<A: Engine> {
    spec: Spec<A::Spec>,
    own: Own,
    line: Line,
    kept: Kept,
    lost: Lost,
    /// How many jobs were asked for.
    jobs: u64,
    /// What those are for that are under way.
    tasks: BTreeMap<u64, Task>,
    /// Up to where the engine may deliver.
    pulled: Slot,
}

impl<A: Engine> Protocol for Secure<A> {
    const KIND: Kind = Kind("secure");
    type Spec = Spec<A::Spec>;
    type Input = Input;
    type Output = Output;
    type Message = Message;
    type Timer = Never;
    type Ask = Ask<A::Spec>;
    type Heard = Heard;

    fn new(_: &Seat, spec: Spec<A::Spec>) -> Self {
        Self {
            spec,
            own: Own::default(),
            line: Line::default(),
            kept: Kept::default(),
            lost: Lost::default(),
            jobs: 0,
            tasks: BTreeMap::new(),
            pulled: Slot::FIRST,
        }
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        match event {
            Event::Input(Input::Submit { batch }) => self.on_submit(batch, fx), // S1
            Event::Input(Input::Forward { client, ciphertext }) => {
                self.on_forward(client, ciphertext, fx); // S2
            }
            Event::Input(Input::Pull { up_to }) => self.line.pull(up_to),
            Event::Input(Input::Resume { position }) => self.on_resume(position, fx),
            Event::Heard(Heard::Engine(output)) => self.on_engine(output, fx), // S3
            Event::Heard(Heard::Done(number, answer)) => self.on_done(number, answer, fx), // S4, S5
            Event::Message { from: Peer::Member(from), message } => {
                self.on_message(from, message, fx);
            }
            Event::Message { from, .. } => fx.accuse(from, Fault::Improper("not a member".into())),
            Event::Missed { from: Peer::Member(from) } if from != fx.seat().me() => {
                fx.send(from, self.lost.missed(from, self.line.head()));
            }
            Event::Start | Event::Behind { .. } | Event::Dropped { .. } | Event::Missed { .. } => {}
            Event::Timer(never) => match never {},
        }
        self.advance(fx);
    }

    fn route<C: Children<Self>>(ask: Self::Ask, children: &mut C) {
        match ask {
            Ask::Engine(spec, input) => {
                children
                    .ask::<A>(Role::Stream.only(), spec, input, |_, output| Heard::Engine(output));
            }
            Ask::Work(number, job) => children
                .compute(Role::Job.at(number), job, |at, answer| Heard::Done(at.number, answer)),
        }
    }

    fn admit(seat: &Seat, _: Peer, message: &Message) -> Result<(), Fault> {
        message.check(seat.keys.cipher.scheme())
    }

    fn early(&self, _: &Seat, child: Segment) -> Early {
        if child == Role::Stream.only() { Early::Wait } else { Early::Never }
    }
}

impl<A: Engine> Secure<A> {
    fn on_submit(&mut self, batch: Batch, fx: &mut Effects<'_, Self>) {
        if let Err(batch) = self.own.submit(batch) {
            fx.output(Output::Refused { payloads: batch.len() as u64 });
        }
    }

    fn on_forward(&mut self, client: ClientId, ciphertext: Ciphertext, fx: &mut Effects<'_, Self>) {
        if !self.own.forward(&Envelope { author: Author::Client(client), ciphertext }) {
            fx.output(Output::Refused { payloads: 0 });
        }
    }

    fn on_resume(&mut self, position: Position, fx: &mut Effects<'_, Self>) {
        if position.slot > self.line.next() {
            self.kept.skip(position.slot);
        }
        self.line.skip(position.slot);
        self.engine(atomic::Input::Resume { position }, fx);
    }

    fn on_message(&mut self, from: PartyId, message: Message, fx: &mut Effects<'_, Self>) {
        match message {
            Message::Shares(shares) => self.on_shares(from, shares, fx),
            Message::Recall { from: first, lossy } => {
                self.kept.tell(from, first).into_iter().for_each(|told| fx.send(from, told));
                if lossy {
                    self.lost.ask_again(from);
                }
            }
            Message::Told { oldest, top } => {
                let enough = fx.seat().thresholds().one_correct();
                if self.lost.told(from, oldest, top, enough) {
                    fx.output(Output::Behind);
                }
            }
        }
    }

    fn on_shares(&mut self, from: PartyId, shares: Vec<Released>, fx: &mut Effects<'_, Self>) {
        for Released { slot, name, share } in shares {
            match self.line.share(from, slot, name, share) {
                Taken::Yes => {}
                Taken::Dropped => self.lost.dropped(from, slot),
                // One lie is enough to know; what follows it is not looked at.
                Taken::OfAnother => return Self::of_another(from, fx),
            }
        }
    }

    /// The order of the engine is the same at every correct party: this one is none.
    fn of_another(from: PartyId, fx: &mut Effects<'_, Self>) {
        fx.accuse(from, Fault::BadProof { what: "the name in a share".into() });
    }

    /// Asks the engine.
    fn engine(&self, input: atomic::Input, fx: &mut Effects<'_, Self>) {
        fx.ask(Ask::Engine(self.spec.engine.clone(), Some(input)));
    }

    /// Does all that can be done now.
    fn advance(&mut self, fx: &mut Effects<'_, Self>) {
        self.send_own(fx);
        self.combine(fx);
        while let Some(output) = self.line.pop() {
            fx.output(output);
        }
        if let Some((from, to)) = self.line.overflow(self.spec.lag_max) {
            fx.output(Output::Lagged { from, to });
        }
        self.recall(fx);
        self.pull(fx);
    }
}
