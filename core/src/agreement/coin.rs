//! A common coin: random bits that nobody knows before `f + 1` parties toss, the same for all.
//!
//! # Reference
//! Cachin, Kursawe, Shoup, *Random oracles in Constantinople*, PODC 2000, section 4.
//!
//! # Model
//! Asynchronous, authenticated and reliable links, `n >= 3f + 1`, a threshold coin of `f + 1`.
//!
//! # Thresholds
//! | step | waits for | because |
//! |---|---|---|
//! | combine | `f + 1` shares that are not known to be wrong | fewer say nothing about the coin; `f` liars and nobody else cannot see it |
//!
//! # Properties
//! Agreement, termination (once `f + 1` correct parties toss, everyone who tosses learns the coin), and
//! unpredictability: as long as no correct party tosses, the coin is uniformly random to the
//! adversary. When a party may toss is for its user to say; each user argues it in its own page.
//!
//! # Deviations
//! Shares are not checked one by one. `f + 1` are combined, and only if the result does not verify
//! are the culprits looked for, accused, and left out of the next try; a culprit costs one try, so
//! there are at most `f + 1` tries. Both are jobs for the pool, never done in a step.

use serde::{Deserialize, Serialize};

use super::shares::Shares;
use crate::{
    children::Children,
    crypto::{Answer, Blame, Digest, Job, Share},
    effects::Effects,
    fault::Fault,
    id::{PartyId, Peer},
    path::{Role, Tag},
    protocol::{Event, Kind, Never, Protocol},
    seat::Seat,
};

/// What the user may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// Release this party's share, and learn the coin. Once is enough.
    Toss,
}

/// What the user is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// The coin: 256 random bits. Comes once, after [`Input::Toss`].
    Value(Digest),
}

/// What the parties say to each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// "I toss; this is my share."
    Share(Share),
}

/// What is asked of the pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Make this party's share of the coin.
    Share(Tag),
    /// Combine these shares.
    Combine {
        /// How often this was tried before: a job is done once for each number.
        attempt: u64,
        /// The name of the coin.
        tag: Tag,
        /// Shares of distinct parties, unchecked.
        shares: Vec<(PartyId, Share)>,
    },
}

/// What the pool answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Heard {
    /// This party's share.
    Share(Share),
    /// The coin, or who is to blame.
    Combined(Result<Digest, Blame>),
}

impl Heard {
    fn from_answer(answer: Answer) -> Self {
        match answer {
            Answer::Share(share) => Self::Share(share),
            Answer::Coin(result) => Self::Combined(result),
            other => unreachable!("{other:?} answers no job of a coin"),
        }
    }
}

/// One coin at one party. Its name is the path of the instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Coin {
    tossed: bool,
    shares: Shares<()>,
}

impl Protocol for Coin {
    const KIND: Kind = Kind("coin");
    type Spec = ();
    type Input = Input;
    type Output = Output;
    type Message = Message;
    type Timer = Never;
    type Ask = Ask;
    type Heard = Heard;

    fn new(_: &Seat, (): ()) -> Self {
        Self::default()
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        match event {
            Event::Input(Input::Toss) => self.on_toss(fx),
            Event::Heard(Heard::Share(share)) => fx.broadcast(Message::Share(share)),
            Event::Message { from: Peer::Member(from), message: Message::Share(share) } => {
                self.on_share(from, share, fx);
            }
            Event::Heard(Heard::Combined(result)) => self.on_combined(result, fx),
            Event::Message { from, .. } => fx.accuse(from, Fault::Improper("not a member".into())),
            Event::Start | Event::Behind { .. } | Event::Dropped { .. } | Event::Missed { .. } => {}
            Event::Timer(never) => match never {},
        }
    }

    fn route<C: Children<Self>>(ask: Ask, children: &mut C) {
        let heard = |_: &_, answer| Heard::from_answer(answer);
        match ask {
            Ask::Share(tag) => {
                children.compute(Role::Job.only(), Job::CoinShare { tag }, heard);
            }
            Ask::Combine { attempt, tag, shares } => {
                children.compute(Role::Job.at(attempt), Job::CoinCombine { tag, shares }, heard);
            }
        }
    }

    fn admit(seat: &Seat, _: Peer, Message::Share(share): &Message) -> Result<(), Fault> {
        share.admit(seat.keys.coin.scheme())
    }
}

impl Coin {
    fn on_toss(&mut self, fx: &mut Effects<'_, Self>) {
        if !self.tossed {
            self.tossed = true;
            fx.ask(Ask::Share(tag(fx.seat())));
            self.try_combine(fx);
        }
    }

    fn on_share(&mut self, from: PartyId, share: Share, fx: &mut Effects<'_, Self>) {
        // There is only one coin, so that nobody can send a share of another.
        if self.shares.take(from, (), share).is_ok() {
            self.try_combine(fx);
        }
    }

    fn on_combined(&mut self, result: Result<Digest, Blame>, fx: &mut Effects<'_, Self>) {
        match result {
            Ok(value) => {
                self.shares.finish();
                fx.output(Output::Value(value));
            }
            Err(blame) => {
                for party in self.shares.blame(blame) {
                    fx.accuse(party, Fault::BadProof { what: "share of a coin".into() });
                }
                self.try_combine(fx);
            }
        }
    }

    /// Combines as many shares as are needed, one try at a time.
    fn try_combine(&mut self, fx: &mut Effects<'_, Self>) {
        if !self.tossed {
            return;
        }
        let needed = fx.seat().keys.coin.needed();
        if let Some((attempt, shares)) = self.shares.choose((), needed) {
            fx.ask(Ask::Combine { attempt, tag: tag(fx.seat()), shares });
        }
    }
}

/// The name of the coin.
fn tag(seat: &Seat) -> Tag {
    seat.tag("coin")
}

#[cfg(test)]
mod tests;
