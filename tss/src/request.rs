//! What clients ask of managers, and what they are answered.

use maftia_core::{
    crypto::Digest,
    id::{ClientId, GroupId},
    wire::encode,
};
use serde::{Deserialize, Serialize};

use crate::{
    lock::Survey,
    refusal::Refusal,
    token::{JoinKey, JoinProof},
    transaction::{Key, Outcome, Phase, TxId},
};

/// What a client asks of a transaction manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ManagerRequest {
    /// Begins a transaction.
    Begin {
        /// The public half of its token.
        key: JoinKey,
        /// How long it may live, in milliseconds; `None` for the manager's default.
        lease_millis: Option<u64>,
        /// A wounded transaction of the same client whose work this one takes up, and its age.
        retry: Option<TxId>,
    },
    /// Takes part in one.
    Join {
        /// Which.
        tx: TxId,
        /// Made with its token.
        proof: JoinProof,
    },
    /// Agrees to commit.
    Commit {
        /// Which.
        tx: TxId,
        /// Who takes part, as far as the client knows: it agrees to nothing else.
        agreed: Agreed,
        /// Whether the answer shall wait for the outcome, or only if this is the last vote.
        wait: bool,
    },
    /// Aborts.
    Abort {
        /// Which.
        tx: TxId,
        /// Why; may be empty.
        text: String,
    },
    /// Asks how it stands, or how it ended.
    Outcome {
        /// Which.
        tx: TxId,
        /// Whether the answer shall wait until it has ended.
        wait: bool,
    },
    /// Lists the open transactions.
    List,
    /// Shows all about one.
    Show(
        /// Which.
        TxId,
    ),
    /// Shows the counters of the manager.
    Status,
}

/// What a vote to commit is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreed {
    /// How often clients or groups have joined.
    pub epoch: u32,
    /// Over the names of clients and groups.
    pub digest: Digest,
}

/// Who takes part in a transaction, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Which.
    pub tx: TxId,
    /// Where it stands.
    pub phase: Phase,
    /// How often clients or groups have joined.
    pub epoch: u32,
    /// Its clients, the creator first.
    pub members: Vec<ClientId>,
    /// Its resource managers.
    pub groups: Vec<GroupId>,
    /// Clients that have not agreed to commit yet.
    pub missing: Vec<ClientId>,
}

impl View {
    /// What a vote for this view is bound to.
    pub fn agreed(&self) -> Agreed {
        let names = encode(&(self.tx, &self.members, &self.groups));
        Agreed { epoch: self.epoch, digest: Digest::of("agreed", &names) }
    }
}

/// What a transaction manager answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ManagerReply {
    /// It has begun.
    Begun {
        /// Its only member and its name.
        view: View,
        /// How long it may live, in milliseconds.
        lease_millis: u64,
    },
    /// The client is a member.
    Joined(View),
    /// The vote counts; others are missing. Also: how an open transaction stands.
    Open(View),
    /// The vote does not count: others joined, and this is who takes part now.
    Stale(View),
    /// It has ended.
    Ended(Ended),
    /// The open transactions.
    List(Vec<Summary>),
    /// One transaction.
    Show(Card),
    /// The counters.
    Status(ManagerStatus),
    /// Not done.
    Refused(Refusal),
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Which.
    pub tx: TxId,
    /// How.
    pub outcome: Outcome,
    /// Whether this request ended it or waited for its end; `false` if it was over before.
    pub fresh: bool,
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Which.
    pub tx: TxId,
    /// Where it stands.
    pub phase: Phase,
    /// How many clients.
    pub members: usize,
    /// How many groups.
    pub groups: usize,
    /// Milliseconds until its lease ends, in steps of ticks.
    pub left_millis: u64,
}

/// All about one transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Card {
    /// It is open.
    Open {
        /// Who takes part, and where it stands.
        view: View,
        /// Milliseconds until its lease ends, in steps of ticks.
        left_millis: u64,
        /// What each group has said.
        groups: Vec<(GroupId, Standing)>,
    },
    /// It has ended and is remembered.
    Ended {
        /// How.
        ended: Ended,
        /// Groups that have not acknowledged yet that it has taken effect.
        waiting: Vec<GroupId>,
    },
}

/// What a group has said about a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// It takes part.
    Registered,
    /// It has been asked to prepare.
    Asked,
    /// It can commit.
    Yes,
    /// It changed nothing, and is out.
    ReadOnly,
}

impl Standing {
    /// A word for tables and JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Asked => "asked",
            Self::Yes => "yes",
            Self::ReadOnly => "read-only",
        }
    }
}

/// The counters of a transaction manager.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagerStatus {
    /// Items that took effect.
    pub ordered: u64,
    /// Transactions that are open, of any phase.
    pub open: usize,
    /// Transactions begun ever.
    pub begun: u64,
    /// Committed ever.
    pub committed: u64,
    /// Aborted ever.
    pub aborted: u64,
}

/// What a client asks of a resource manager whose resource has operations `O`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResourceRequest<O> {
    /// Operates on a key.
    Operate {
        /// In which transaction; `None` only to read what is committed.
        tx: Option<TxId>,
        /// On what.
        key: Key,
        /// What to do.
        operation: O,
    },
    /// Shows who holds locks, and who waits.
    Locks,
    /// Shows the counters of the manager.
    Status,
}

/// What a resource manager answers whose resource answers `A`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResourceReply<A> {
    /// Done.
    Done(A),
    /// The locks.
    Locks(Survey),
    /// The counters.
    Status(ResourceStatus),
    /// Not done. What the transaction did before stands.
    Refused(Refusal),
}

/// The counters of a resource manager.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceStatus {
    /// Items that took effect.
    pub ordered: u64,
    /// Transactions that are open here.
    pub open: usize,
    /// Of these, those that have promised to commit if told so.
    pub prepared: usize,
    /// Keys with a value.
    pub keys: usize,
    /// Locks held.
    pub locks: usize,
    /// Requests that wait for locks.
    pub waiting: usize,
    /// Operations done ever.
    pub operations: u64,
    /// Transactions that took effect here ever, or only read.
    pub committed: u64,
    /// Transactions that were aborted here ever.
    pub aborted: u64,
    /// Of these, those that gave way to an older one.
    pub wounded: u64,
}
