//! What a console asks a node itself, beside its protocols: its status, its accusations, its faults.
//!
//! Each node answers for itself, so an answer is worth no more than the node is.

use std::{
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use maftia_actors::{
    accusations::Seen,
    party::{Control, Started},
};
use maftia_core::{
    replica::{Replica, service::Service},
    seat::{Owner, Seat},
    wire,
};
use serde::{Deserialize, Serialize};

use crate::faults::{self, FaultKind};

/// How long a node that was told to crash goes on: until its links have acknowledged the order, which
/// would reach it again after its restart otherwise.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// What can be asked of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Ask {
    /// How it does.
    Status,
    /// What it holds against others.
    Evidence,
    /// Be faulty. Only nodes of a laboratory do it.
    Fault(FaultKind),
    /// Be correct again.
    Heal,
}

/// A question, with a number that its answer bears.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// The number.
    pub number: u64,
    /// The question.
    pub ask: Ask,
}

/// How a node does, by its own word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The next slot to take effect.
    pub slot: u64,
    /// Whether it looks for a state to go on from.
    pub behind: bool,
    /// The fault that was set.
    pub fault: Option<FaultKind>,
    /// The place of the last record in its log.
    pub records: u64,
    /// How many actors it runs.
    pub actors: usize,
}

/// What a node answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Ask::Status`].
    Status(Status),
    /// To [`Ask::Evidence`].
    Evidence(Vec<Seen>),
    /// It is done.
    Done,
    /// This node is in earnest: it takes no faults.
    NoLab,
}

/// An answer, with the number of its question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The number.
    pub number: u64,
    /// The answer.
    pub answer: Answer,
}

/// What a node knows of itself beside its protocols.
#[derive(Debug)]
pub struct Desk {
    lab: bool,
    seat: Seat,
    fault: Mutex<Option<FaultKind>>,
}

impl Desk {
    pub(crate) fn new(lab: bool, seat: Seat) -> Self {
        Self { lab, seat, fault: Mutex::default() }
    }

    fn set(&self, fault: Option<FaultKind>) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    fn fault(&self) -> Option<FaultKind> {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A party of a replicated service that answers for itself.
type Node<S> = Started<Replica<S>>;

/// Answers the questions of consoles.
pub(crate) fn serve<S: Service>(desk: Arc<Desk>) -> Control<Replica<S>> {
    Box::new(move |started, from, body| {
        let Owner::Client(_) = from else { return };
        let Ok(Question { number, ask }) = wire::decode(&body) else { return };
        let crash = desk.lab && ask == Ask::Fault(FaultKind::Crash);
        let answer = answer(&desk, started, ask);
        let reply = wire::encode(&Reply { number, answer });
        started.party.tell(from, desk.seat.group.id, reply);
        if crash {
            let party = Rc::clone(&started.party);
            tokio::task::spawn_local(async move {
                tokio::time::sleep(LAST_WORDS).await;
                party.stop("it was told to crash");
            });
        }
    })
}

/// What the node answers, having done what is asked.
pub(crate) fn answer<S: Service>(desk: &Desk, started: &Node<S>, ask: Ask) -> Answer {
    match ask {
        Ask::Status => Answer::Status(Status {
            slot: started.with(|tree| tree.root().slot().number()).unwrap_or(0),
            behind: started.with(|tree| tree.root().is_behind()).unwrap_or(false),
            fault: desk.fault(),
            records: started.party.last(),
            actors: started.party.actors(),
        }),
        Ask::Evidence => Answer::Evidence(started.party.accusations()),
        Ask::Fault(_) | Ask::Heal if !desk.lab => Answer::NoLab,
        Ask::Fault(kind) => {
            desk.set(Some(kind));
            faults::set(&started.party.links().lab(), kind, desk.seat.clone());
            if kind == FaultKind::CorruptState {
                started.with(|tree| tree.root_mut().corrupt());
            }
            Answer::Done
        }
        Ask::Heal => {
            desk.set(None);
            started.party.links().lab().heal();
            Answer::Done
        }
    }
}

/// A question as it goes to a node.
pub(crate) fn question(number: u64, ask: Ask) -> Bytes {
    wire::encode(&Question { number, ask })
}
