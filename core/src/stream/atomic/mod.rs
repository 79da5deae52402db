//! Atomic stream: every correct party delivers the same payloads, in the same order, in numbered
//! slots.
//!
//! # Reference
//! Cachin, Kursawe, Petzold, Shoup, *Secure and efficient asynchronous broadcast protocols*, CRYPTO
//! 2001, section 5: rounds of signed batches and one multivalued agreement each. Rules A1 to A5.
//!
//! # Model
//! Asynchronous, authenticated and reliable links, `n >= 3f + 1`. No clock: a group without payloads
//! says nothing, and one payload alone starts a round at once.
//!
//! # Thresholds
//! | step | waits for | because |
//! |---|---|---|
//! | announcements -> joined | one, or `f + 1`: see [`Begin`] | one of `f + 1` is correct |
//! | announcements -> proposal | `n - f` signed batches | any `f + 1` batches of the round meet them |
//! | decisions told -> decided | `f + 1` equal | one of them is correct |
//! | announcements above -> fetch | `f + 1` parties | one correct party has decided all rounds below |
//!
//! # Properties
//! Total order, agreement, integrity (a payload is delivered as often as it was submitted, at most),
//! the order of submission for payloads of one correct party, and validity: what stands in the
//! batches of `f + 1` parties is ordered in that round; what one correct party submits is ordered in
//! the first round whose decided proposal was made by a party that had heard it. The chain of
//! [`Position`]s is the same at every correct party.
//!
//! *A round.* A party that has something to say, or that hears of the round, signs the batch that it
//! queued, and sends it to everybody (A1). With `n - f` such announcements it proposes their names
//! (A2). It supports a proposal when it stores every batch named (A3): so what is decided is stored
//! by `f + 1` correct parties. A decided round is delivered in the order of parties (A4). A batch that
//! was left out goes into the next round, before what came later. So batches are small when load is
//! low, and grow with what comes in while a round is under way.
//!
//! *Rest.* Without payloads of correct parties and with silent liars, nothing is said. A liar can keep
//! a group at empty rounds as long as it goes on announcing, for any member may submit; a limit would
//! need a clock. Empty rounds keep nobody's payloads back, and the group rests once the liar falls
//! silent: the properties in `tests/stream.rs` say so of every misdeed.
//!
//! *Rounds that are begun together.* Some users have all correct parties submit something as soon as
//! `f + 1` of them do, and then wait for what each of them submitted. For these there is a stream in
//! which liars alone make no rounds ([`Begin::Together`]): a party joins a round with payloads of its
//! own, or when `f + 1` parties have announced it. That alone would leave up to `f` correct parties
//! alone with what the rounds of the others left out. So a party goes along with another one that
//! announces payloads, until as many of its batches are ordered as may have been queued there when this
//! party last submitted anything, if only an empty batch. *It is live* if each party submits something
//! after all others have, which takes a word between users. Let something of a correct party not be
//! ordered then. It announces that in the round that it has caught up to. The others have submitted
//! since, and not all that it had queued is ordered; so each joins when it hears the announcement, and
//! the round is decided. Who joined for its sake proposes it, so it is left out no longer than in other
//! streams. *It is quiet:* who never submitted anything goes along with nobody, and after a submission
//! a liar makes a few rounds, with something of its own in each.
//!
//! *The first candidate* of a round is common knowledge ([`Position::first`]): the party whose
//! proposal won the last round; but every 16th round, if that proposal left somebody out, the next
//! party that it named. So a crashed candidate costs one round with a coin, and a liar that leaves a
//! correct party out does not stay.
//!
//! *Who is behind fetches* (A5). An announcement of round `r` says that its sender has decided all
//! rounds below; so when `f + 1` parties are above, the decisions below exist. They are asked of
//! everybody, `f + 1` equal answers count, and the batches come from those who answered. When round
//! `r` is decided, `n - f` parties have announced `r`, so `f + 1` correct ones have decided `r - 1`,
//! and everybody will hear of it: nobody is needed any more in the agreement of round `r - 1`. A party
//! therefore takes part in every round until it knows that the next one is decided somewhere, even if
//! it was told the decision, and in no round below. Told or not, it never takes back what it signed:
//! there is one announcement for each round, and rounds only grow.
//!
//! *Who lost frames asks for them again.* Frames are lost when a backlog overflows, or when they come
//! for a round above the window. The agreement of a round may need every correct party, since `f`
//! others may be silent in it: so a party that may have lost frames of a round recalls them when it
//! gets there, and whoever is asked says again what its agreement said, sends its batch if that is
//! lacking, and asks again for what it lacks itself, because its questions may be lost too.
//!
//! *Far behind.* Decided rounds are kept for a number of rounds and bytes ([`Spec`]). Beyond that the
//! stream says [`Output::Behind`] and its user brings a checkpoint ([`Input::Resume`]). It must be
//! vouched for by `f + 1` to be right, and reached by `2f + 1` for the group to stay live: the one who
//! jumps there takes no part in the round just below, so those who are still in it must find `f + 1`
//! correct parties that tell its decision.
//!
//! # Deviations
//! Announcements carry the batch, vectors carry digests. The first candidate is not fixed. Decisions
//! of finished rounds are not proven by signatures but told by `f + 1`. CKPS has links that lose
//! nothing; recalling is ours.

mod catch_up;

mod message;
mod queue;
mod rounds;
mod vector;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use bytes::Bytes;
pub use message::{Decision, Message};
use serde::{Deserialize, Serialize};
pub use vector::Signed;

use self::{catch_up::CatchUp, queue::Queue, rounds::Open};
use super::{batch::Batch, delivery::Delivery};
use crate::{
    agreement::multivalued::{self, Multivalued},
    children::Children,
    crypto::Digest,
    effects::{Effects, Lane},
    fault::Fault,
    id::{PartyId, Peer, Round, Slot},
    path::{Role, Segment},
    protocol::{Early, Event, Kind, Never, Protocol},
    seat::Seat,
};

#[cfg(any(test, feature = "sim"))]
pub(super) fn contents(take: &mut impl super::contents::Contents) {
    take.content::<Vec<vector::Entry>>();
}

/// How many rounds ahead of what it knows a party lets others be. A group of correct parties is never
/// two rounds apart for long; more than a few only costs memory.
pub const WINDOW: u64 = 8;

/// Who begins a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Begin {
    /// Any party: all that a correct one submits is ordered. A liar can make rounds for ever.
    #[default]
    Anyone,
    /// `f + 1` parties, and for those who have submitted something also one that has payloads, a few
    /// times. What a correct party submits is ordered if all of them submit something: a user for which
    /// that is enough has no rounds of a liar.
    Together,
}

/// What makes two atomic streams differ. How much they keep need not be the same at every party.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Who begins a round.
    pub begin: Begin,
    /// How many decided rounds are kept for those who are behind. At least two are.
    pub rounds_kept: u64,
    /// How many bytes of decided batches are kept for those who are behind.
    pub bytes_kept: usize,
    /// How many bytes of ordered batches wait for the user's credit. Beyond it the user has lagged.
    pub lag_max: usize,
}

impl Default for Spec {
    /// Anyone begins; 64 rounds, 64 MiB of decided batches, 64 MiB of lag: four full rounds of a group
    /// of four.
    fn default() -> Self {
        let begin = Begin::Anyone;
        Self { begin, rounds_kept: 64, bytes_kept: 64 << 20, lag_max: 64 << 20 }
    }
}

/// The longest [`Position::memo`] of any engine, in bytes: some dozens for each of a hundred members.
pub const MEMO_BYTES_MAX: usize = 8 << 10;

/// A place between two rounds, the same at every correct party that reaches it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The round that comes next.
    pub round: Round,
    /// The slot of the payload that comes next.
    pub slot: Slot,
    /// A digest of all decisions so far.
    pub chain: Digest,
    /// The party whose proposal is tried first in the round that comes next.
    pub first: PartyId,
    /// What else the engine of the stream needs to go on from here; [`MEMO_BYTES_MAX`] at most.
    pub memo: Bytes,
}

impl Default for Position {
    /// Before the first round.
    fn default() -> Self {
        Self {
            round: Round::FIRST,
            slot: Slot::FIRST,
            chain: Digest::of("chain", b""),
            first: PartyId::new(0),
            memo: Bytes::new(),
        }
    }
}

/// What the user may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// Order these payloads.
    Submit {
        /// The payloads. An empty batch changes nothing, but that it counts as a submission where
        /// rounds are begun together.
        batch: Batch,
    },
    /// The user takes every batch that begins below this slot. A batch is never cut, so it may end
    /// above. Nothing is delivered before the first pull.
    Pull {
        /// The slot, exclusive.
        up_to: Slot,
    },
    /// Go on from here: the user has a checkpoint of this position, which enough others vouch for.
    /// A position that is not ahead only says what need not be delivered any more.
    Resume {
        /// The position.
        position: Position,
    },
}

/// What the user is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// Payloads, in order and without gaps but for [`Output::Lagged`] and [`Input::Resume`].
    Deliver {
        /// The slot of the first payload.
        first: Slot,
        /// Who submitted them.
        from: PartyId,
        /// The payloads; at least one.
        batch: Batch,
    },
    /// All payloads of a round, or of some rounds, are delivered.
    RoundEnd {
        /// The place after them.
        position: Position,
    },
    /// A submitted batch was not taken: the own queue is full, or the batch breaks a limit.
    Refused {
        /// How many payloads.
        payloads: u64,
    },
    /// How many of this party's own payloads are settled: ordered, or given up as [`Output::Unsure`].
    Ordered {
        /// The number since the beginning.
        own: u64,
    },
    /// Whether these own payloads were ordered stays unknown: they were out in a round that
    /// [`Input::Resume`] jumped over. Submit them again if they may take effect twice.
    Unsure {
        /// The payloads.
        batch: Batch,
    },
    /// What comes next cannot be fetched from enough parties any more: resume from a checkpoint. It is a
    /// hint. Without a checkpoint ahead there is nothing to do, and a liar can cause it.
    Behind,
    /// The user gave no credit for so long that the slots in between will not be delivered.
    Lagged {
        /// The first slot that is missing.
        from: Slot,
        /// The first slot that will come again.
        to: Slot,
    },
}

/// What is asked of the children: the agreement of a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    /// The round.
    round: Round,
    /// How the agreement is made.
    spec: multivalued::Spec<Signed>,
    /// What is asked of it.
    input: Option<multivalued::Input>,
}

/// What the children tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Heard {
    /// The agreement of a round.
    Agreement(Round, multivalued::Output),
}

/// One atomic stream at one party.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Atomic {
    spec: Spec,
    position: Position,
    /// Below this round this party takes part in no agreement.
    floor: Round,
    /// Up to here the agreements below the floor were retired.
    retired: Round,
    own: Queue,
    /// Where rounds are begun together: how many batches of each party were ordered since this one
    /// submitted something, if it ever did.
    company: Option<BTreeMap<PartyId, usize>>,
    /// Below the position: what was decided. From the position on: what was announced.
    rounds: BTreeMap<Round, Open>,
    delivery: Delivery,
    catch_up: CatchUp,
}

impl Protocol for Atomic {
    const KIND: Kind = Kind("atomic");
    type Spec = Spec;
    type Input = Input;
    type Output = Output;
    type Message = Message;
    type Timer = Never;
    type Ask = Ask;
    type Heard = Heard;
    const REPEATS: bool = true;

    fn new(_: &Seat, spec: Spec) -> Self {
        let position = Position::default();
        Self {
            spec,
            floor: Round::FIRST,
            retired: Round::FIRST,
            own: Queue::default(),
            company: None,
            rounds: BTreeMap::from([(position.round, Open::new(position.first))]),
            position,
            delivery: Delivery::default(),
            catch_up: CatchUp::default(),
        }
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        match event {
            Event::Input(Input::Submit { batch }) => self.on_submit(batch, fx), // A1
            Event::Input(Input::Pull { up_to }) => self.delivery.pull(up_to),
            Event::Input(Input::Resume { position }) => self.on_resume(position, fx), // A5
            Event::Heard(Heard::Agreement(round, output)) => self.on_agreement(round, output, fx), // A3, A4
            Event::Message { from: Peer::Member(from), message } => {
                self.on_message(from, message, fx);
            }
            Event::Message { from, .. } => fx.accuse(from, Fault::Improper("not a member".into())),
            Event::Behind { number, .. } => self.catch_up.hint(Round::new(number)), // A5
            Event::Dropped { from, child } => self.catch_up.dropped(from, Round::new(child.number)), // A5
            Event::Missed { from } => self.on_missed(from, fx), // A5
            Event::Start => {}
            Event::Timer(never) => match never {},
        }
        self.advance(fx);
    }

    fn route<C: Children<Self>>(Ask { round, spec, input }: Ask, children: &mut C) {
        children.ask::<Multivalued<Signed>>(
            Role::Agreement.at(round),
            spec,
            input,
            |at, output| Heard::Agreement(Round::new(at.number), output),
        );
    }

    fn admit(seat: &Seat, from: Peer, message: &Message) -> Result<(), Fault> {
        match from.member().filter(|from| seat.has(*from)) {
            Some(from) => message.check(seat, from),
            None => Err(Fault::Improper("not a member".into())),
        }
    }

    fn lane(message: &Message) -> Lane {
        match message {
            Message::Queue { .. } | Message::Answer { .. } => Lane::Bulk,
            _ => Lane::Control,
        }
    }

    fn early(&self, _: &Seat, child: Segment) -> Early {
        match child.role {
            Role::Agreement if child.number < self.floor.number() => Early::Over,
            Role::Agreement if child.number < self.top() => Early::Wait,
            Role::Agreement => Early::Beyond,
            _ => Early::Never,
        }
    }
}

impl Atomic {
    /// Where this party stands, for status and displays.
    pub fn position(&self) -> Position {
        self.position.clone()
    }

    fn on_submit(&mut self, batch: Batch, fx: &mut Effects<'_, Self>) {
        if self.spec.begin == Begin::Together {
            self.company = Some(BTreeMap::new());
        }
        if let Err(batch) = self.own.submit(batch) {
            fx.output(Output::Refused { payloads: batch.len() as u64 });
        }
    }

    fn on_message(&mut self, from: PartyId, message: Message, fx: &mut Effects<'_, Self>) {
        match message {
            Message::Queue { round, digest, batch, signature } => {
                self.on_queue(
                    from,
                    round,
                    vector::Entry { party: from, batch: digest, signature },
                    batch,
                    fx,
                );
            }
            Message::Recall { round, announced, back } => {
                self.on_recall(from, round, announced, fx);
                if !back {
                    self.ask_again(from, fx);
                }
            }
            Message::Request { round, digest } => self.on_request(from, round, digest, fx),
            Message::Answer { round, digest, batch } => self.on_answer(from, round, digest, batch),
            Message::Fetch { from: first, to } => self.on_fetch(from, first, to, fx),
            Message::Decided { first, decisions, at } => {
                self.on_decided(from, first, decisions, at, fx);
            }
            Message::Gone { oldest, at } => self.on_gone(from, oldest, at),
        }
    }

    /// Does all that can be done now.
    fn advance(&mut self, fx: &mut Effects<'_, Self>) {
        self.raise_floor(fx);
        loop {
            self.join_and_propose(fx);
            self.approve(fx);
            self.accept_told(fx);
            if !self.finish(fx) {
                break;
            }
            self.raise_floor(fx);
        }
        self.seek(fx);
        while let Some(output) = self.delivery.next() {
            fx.output(output);
        }
        if let Some(from) = self.delivery.overflow(self.spec.lag_max) {
            fx.output(Output::Lagged { from, to: self.position.slot });
        }
    }
}
