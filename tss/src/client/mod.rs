//! The client's side: what to send to which group, and what the answers mean.
//!
//! Nothing here sends anything. A [`Call`] is a body for a group; who has carried it there and has
//! heard `f + 1` equal answers gives the answer to [`Call::read`]. The typed result says what
//! happened; a [`Refusal`] says why nothing did. A [`Session`] remembers the transaction one is in.
//!
//! ```text
//! begin(tm, &seed, None, None)                            -> Begun { view, .. }, and a token
//! operate(left, Some(tx), key, Operation::Withdraw(30))   -> Answer { before, value }
//! outcome(tx, false)                                      -> Waiting(view): who takes part now?
//! commit(&view, true)                                     -> Ended, or Stale if others joined
//! ```

mod session;
mod transfer;

use bytes::Bytes;
use maftia_core::{
    id::{ClientId, GroupId},
    wire::{decode, encode},
};
use serde::de::DeserializeOwned;
pub use session::Session;
pub use transfer::{Transfer, Transferred};

use crate::{
    lock::Survey,
    refusal::{Code, Refusal},
    request::{
        Card, Ended, ManagerReply, ManagerRequest, ManagerStatus, ResourceReply, ResourceRequest,
        ResourceStatus, Summary, View,
    },
    resources::{Answer, Operation},
    token::{Seed, Token},
    transaction::{Key, TxId},
};

/// A request to a group, and how to read its answer.
#[derive(Debug)]
pub struct Call<T> {
    to: GroupId,
    body: Bytes,
    read: fn(&[u8]) -> Result<T, Refusal>,
}

impl<T> Clone for Call<T> {
    fn clone(&self) -> Self {
        Self { to: self.to, body: self.body.clone(), read: self.read }
    }
}

impl<T> Call<T> {
    /// The group that is asked.
    pub const fn to(&self) -> GroupId {
        self.to
    }

    /// What it is asked: the body of an ordered request.
    pub fn body(&self) -> Bytes {
        self.body.clone()
    }

    /// What the group's answer means.
    pub fn read(&self, answer: &[u8]) -> Result<T, Refusal> {
        (self.read)(answer)
    }
}

/// A transaction that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Its name, and its only member.
    pub view: View,
    /// How long it may live, in milliseconds.
    pub lease_millis: u64,
}

impl Begun {
    /// What to hand to others, so that they can join. `seed` is the one that it was begun with.
    pub const fn token(&self, seed: Seed) -> Token {
        Token::new(self.view.tx, seed)
    }
}

/// How far a commit has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It has ended. It may be aborted: look at the outcome.
    Ended(Ended),
    /// The vote counts; these have not agreed yet, see `missing`.
    Waiting(View),
    /// The vote does not count: others joined since. This is who takes part now; agree to it or not.
    Stale(View),
}

/// Begins a transaction. `lease_millis` bounds its life, `retry` names a wounded transaction of the
/// same client whose age this one keeps.
pub fn begin(
    manager: GroupId,
    seed: &Seed,
    lease_millis: Option<u64>,
    retry: Option<TxId>,
) -> Call<Begun> {
    let request = ManagerRequest::Begin { key: seed.public(), lease_millis, retry };
    ask_manager(manager, &request, |answer| match manager_reply(answer)? {
        ManagerReply::Begun { view, lease_millis } => Ok(Begun { view, lease_millis }),
        other => Err(unfit(&other)),
    })
}

/// Joins the transaction of the token. Joining again changes nothing.
pub fn join(me: ClientId, token: &Token) -> Call<View> {
    let request = ManagerRequest::Join { tx: token.tx(), proof: token.prove(me) };
    ask_manager(token.tx().manager(), &request, |answer| match manager_reply(answer)? {
        ManagerReply::Joined(view) => Ok(view),
        other => Err(unfit(&other)),
    })
}

/// Who takes part in a transaction, and where it stands. What has ended is no refusal here.
pub fn outcome(tx: TxId, wait: bool) -> Call<Progress> {
    ask_manager(tx.manager(), &ManagerRequest::Outcome { tx, wait }, progress)
}

/// Agrees to commit what the view shows, and nothing else. With `wait` the answer comes when the
/// transaction has ended or others have joined; without, only the last vote waits.
pub fn commit(view: &View, wait: bool) -> Call<Progress> {
    let request = ManagerRequest::Commit { tx: view.tx, agreed: view.agreed(), wait };
    ask_manager(view.tx.manager(), &request, progress)
}

/// Aborts a transaction that is not committed yet. If it was aborted before, the answer says how.
pub fn abort(tx: TxId, text: &str) -> Call<Ended> {
    let request = ManagerRequest::Abort { tx, text: text.to_owned() };
    ask_manager(tx.manager(), &request, |answer| match manager_reply(answer)? {
        ManagerReply::Ended(ended) => Ok(ended),
        other => Err(unfit(&other)),
    })
}

/// Lists the open transactions of a manager: the oldest [`limits::ROWS_MAX`](crate::limits::ROWS_MAX).
pub fn list(manager: GroupId) -> Call<Vec<Summary>> {
    ask_manager(manager, &ManagerRequest::List, |answer| match manager_reply(answer)? {
        ManagerReply::List(list) => Ok(list),
        other => Err(unfit(&other)),
    })
}

/// Shows all about one transaction.
pub fn show(tx: TxId) -> Call<Card> {
    ask_manager(tx.manager(), &ManagerRequest::Show(tx), |answer| match manager_reply(answer)? {
        ManagerReply::Show(card) => Ok(card),
        other => Err(unfit(&other)),
    })
}

/// The counters of a transaction manager.
pub fn manager_status(manager: GroupId) -> Call<ManagerStatus> {
    ask_manager(manager, &ManagerRequest::Status, |answer| match manager_reply(answer)? {
        ManagerReply::Status(status) => Ok(status),
        other => Err(unfit(&other)),
    })
}

/// Operates on a key of a group, in a transaction; reads what is committed without one.
pub fn operate(group: GroupId, tx: Option<TxId>, key: Key, operation: Operation) -> Call<Answer> {
    let request = ResourceRequest::Operate { tx, key, operation };
    ask_resource(group, &request, |answer| match resource_reply(answer)? {
        ResourceReply::Done(answer) => Ok(answer),
        other => Err(unfit(&other)),
    })
}

/// Who holds and who waits for locks at a group.
pub fn locks(group: GroupId) -> Call<Survey> {
    ask_resource(group, &ResourceRequest::Locks, |answer| match resource_reply(answer)? {
        ResourceReply::Locks(survey) => Ok(survey),
        other => Err(unfit(&other)),
    })
}

/// The counters of a resource manager.
pub fn resource_status(group: GroupId) -> Call<ResourceStatus> {
    ask_resource(group, &ResourceRequest::Status, |answer| match resource_reply(answer)? {
        ResourceReply::Status(status) => Ok(status),
        other => Err(unfit(&other)),
    })
}

/// An amount, as a person wrote it: a whole number above 0.
pub fn amount(text: &str) -> Result<i64, Refusal> {
    match text.trim().parse() {
        Ok(amount) if amount > 0 => Ok(amount),
        _ => {
            let shown: String = text.chars().filter(|c| !c.is_control()).take(40).collect();
            Err(Refusal::new(Code::BadAmount, format!("`{shown}` is no amount")))
        }
    }
}

fn ask_manager<T>(
    to: GroupId,
    request: &ManagerRequest,
    read: fn(&[u8]) -> Result<T, Refusal>,
) -> Call<T> {
    Call { to, body: encode(request), read }
}

fn ask_resource<T>(
    to: GroupId,
    request: &ResourceRequest<Operation>,
    read: fn(&[u8]) -> Result<T, Refusal>,
) -> Call<T> {
    Call { to, body: encode(request), read }
}

fn progress(answer: &[u8]) -> Result<Progress, Refusal> {
    match manager_reply(answer)? {
        ManagerReply::Ended(ended) => Ok(Progress::Ended(ended)),
        ManagerReply::Open(view) => Ok(Progress::Waiting(view)),
        ManagerReply::Stale(view) => Ok(Progress::Stale(view)),
        other => Err(unfit(&other)),
    }
}

fn reply<T: DeserializeOwned>(answer: &[u8]) -> Result<T, Refusal> {
    decode(answer).map_err(|error| {
        Refusal::new(Code::Malformed, format!("the group's answer cannot be read: {error}"))
    })
}

fn manager_reply(answer: &[u8]) -> Result<ManagerReply, Refusal> {
    match reply(answer)? {
        ManagerReply::Refused(refusal) => Err(refusal),
        other => Ok(other),
    }
}

fn resource_reply(answer: &[u8]) -> Result<ResourceReply<Answer>, Refusal> {
    match reply(answer)? {
        ResourceReply::Refused(refusal) => Err(refusal),
        other => Ok(other),
    }
}

/// An answer of another kind than was asked for.
fn unfit(answer: &impl std::fmt::Debug) -> Refusal {
    let shown: String = format!("{answer:?}").chars().take(80).collect();
    Refusal::new(Code::Malformed, format!("the group answered something else: {shown}"))
}
