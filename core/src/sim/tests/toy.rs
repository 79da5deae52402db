//! A vote by quorum, with one child, one alarm and one job.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

use crate::{
    children::Children,
    crypto::{Answer, Job},
    effects::Effects,
    fault::Fault,
    id::Peer,
    path::{Role, Segment},
    protocol::{Early, Event, Kind, Never, Protocol},
    seat::Seat,
    tally::Tally,
    time::Span,
};

/// What no protocol may look at: something outside of it.
static MOOD: AtomicU64 = AtomicU64::new(1);

/// What may be wrong with a toy: the tests of the simulator plant faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) enum Spec {
    #[default]
    Right,
    /// Decides with one vote less than a quorum.
    Hasty,
    /// Says everything twice to its user.
    Stutters,
    /// Calls the first one who votes a liar.
    Slanders,
    /// Answers each message of another with one more.
    Babbles,
    /// Votes for what it never told anybody: no two runs are the same.
    Moody,
}

/// What the user asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Input {
    Vote(u64),
}

/// What the user is told.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Output {
    Decided(u64),
    Counted(u64),
    Tossed,
}

/// Votes, decides, lets the child count, tosses when the alarm rings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Toy {
    spec: Spec,
    votes: Tally<u64>,
    decided: bool,
    voted: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Ask {
    Count(u64),
    Toss,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Heard {
    Counted(u64),
    Tossed,
}

impl Protocol for Toy {
    const KIND: Kind = Kind("toy");
    type Spec = Spec;
    type Input = Input;
    type Output = Output;
    type Message = u64;
    type Timer = ();
    type Ask = Ask;
    type Heard = Heard;

    fn new(_: &Seat, spec: Spec) -> Self {
        Self { spec, votes: Tally::default(), decided: false, voted: false }
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        match event {
            Event::Input(Input::Vote(value)) if !self.voted => {
                self.voted = true;
                let mood = if self.spec == Spec::Moody { MOOD.fetch_add(1, Relaxed) } else { 0 };
                fx.broadcast(value + mood);
            }
            Event::Message { from: Peer::Member(from), message } => {
                if self.spec == Spec::Babbles && from != fx.seat().me() {
                    fx.send(from, message + 1);
                }
                if self.spec == Spec::Slanders && self.votes.is_empty() {
                    fx.accuse(from, Fault::Silent);
                }
                let _ = self.votes.vote(from, message);
                self.try_decide(message, fx);
            }
            Event::Timer(()) => fx.ask(Ask::Toss),
            Event::Heard(Heard::Counted(sum)) => {
                fx.output(Output::Counted(sum));
                fx.arm((), Span::millis(3));
            }
            Event::Heard(Heard::Tossed) => fx.output(Output::Tossed),
            _ => {}
        }
    }

    fn route<C: Children<Self>>(ask: Ask, children: &mut C) {
        match ask {
            Ask::Count(value) => {
                children.ask::<Count>(
                    Role::Round.at(0_u64),
                    (),
                    Some(value),
                    |_: &Segment, sum| Heard::Counted(sum),
                );
            }
            Ask::Toss => {
                let id = crate::path::InstanceId::root(
                    crate::id::GroupId::new(0),
                    crate::id::Epoch::FIRST,
                    "toss",
                );
                let job = Job::CoinShare { tag: id.tag("coin") };
                children.compute(Role::Job.only(), job, |_, _: Answer| Heard::Tossed);
            }
        }
    }

    fn early(&self, _: &Seat, child: Segment) -> Early {
        if child == Role::Round.at(0_u64) { Early::Wait } else { Early::Never }
    }
}

impl Toy {
    fn try_decide(&mut self, value: u64, fx: &mut Effects<'_, Self>) {
        let needed = fx.seat().thresholds().quorum() - usize::from(self.spec == Spec::Hasty);
        if self.decided || self.votes.count(&value) < needed {
            return;
        }
        self.decided = true;
        for _ in 0..=usize::from(self.spec == Spec::Stutters) {
            fx.output(Output::Decided(value));
        }
        fx.ask(Ask::Count(value));
    }
}

/// Tells when `f + 1` others named the same number, so that all hear it if one does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Count {
    named: Tally<u64>,
    told: bool,
}

impl Protocol for Count {
    const KIND: Kind = Kind("count");
    type Spec = ();
    type Input = u64;
    type Output = u64;
    type Message = u64;
    type Timer = Never;
    type Ask = Never;
    type Heard = Never;

    fn new(_: &Seat, (): ()) -> Self {
        Self { named: Tally::default(), told: false }
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        match event {
            Event::Input(number) => fx.broadcast(number),
            Event::Message { from: Peer::Member(from), message } => {
                let _ = self.named.vote(from, message);
                let enough = fx.seat().thresholds().one_correct();
                if !self.told && self.named.count(&message) >= enough {
                    self.told = true;
                    fx.output(message);
                }
            }
            _ => {}
        }
    }

    fn route<C: Children<Self>>(ask: Never, _: &mut C) {
        match ask {}
    }
}
