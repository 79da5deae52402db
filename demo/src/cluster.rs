//! What the console needs of a cluster, in plain words: the one door between the two.
//!
//! Above it there are commands, scripts and tables; below it there are sessions, groups and keys.

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use serde::{Serialize, Serializer};

use crate::{
    command::words::printable,
    failure::{Code, Failure},
};

pub(crate) mod kind;

pub(crate) use maftia::faults::FaultKind;

/// A replica of a group: `left[2]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Replica {
    /// The name of its group.
    pub(crate) group: String,
    /// Its place there.
    pub(crate) index: u16,
}

impl fmt::Display for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.group, self.index)
    }
}

impl FromStr for Replica {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let parts = text.strip_suffix(']').and_then(|text| text.split_once('['));
        let index = parts.and_then(|(_, index)| index.parse().ok());
        match (parts, index) {
            (Some((group, _)), Some(index)) if !group.is_empty() => {
                Ok(Self { group: group.to_owned(), index })
            }
            _ => Err(Failure::new(
                Code::UnknownReplica,
                format!("`{}` names no replica", printable(text)),
                "write the group and the place in it, as in left[2]",
            )),
        }
    }
}

impl Serialize for Replica {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// Where a value lives: `left/alice`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Account {
    /// The group that keeps it.
    pub(crate) group: String,
    /// Its name there.
    pub(crate) key: String,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.group, self.key)
    }
}

impl FromStr for Account {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        match text.split_once('/') {
            Some((group, key)) if !group.is_empty() && !key.is_empty() => {
                Ok(Self { group: group.to_owned(), key: key.to_owned() })
            }
            _ => Err(Failure::new(
                Code::UnknownAccount,
                format!("`{}` names no account", printable(text)),
                "write the group and the key, as in left/alice",
            )),
        }
    }
}

impl Serialize for Account {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// What a group is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It manages transactions.
    Transactions,
    /// It keeps accounts.
    Resources,
}

/// A group as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// Its name.
    pub(crate) name: String,
    /// How many replicas it has.
    pub(crate) n: u16,
    /// How many of them may lie.
    pub(crate) f: u16,
    /// What it is for.
    pub(crate) role: Role,
}

/// How the replicas of one group answered one question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Votes {
    /// The group.
    pub(crate) group: String,
    /// How many replicas it has.
    pub(crate) of: u16,
    /// Whose answer counts: `f + 1` or more gave it.
    pub(crate) agree: Vec<u16>,
    /// Who answered otherwise, and what it said.
    pub(crate) outvoted: Vec<(u16, String)>,
    /// Who had not answered when the answer was known.
    pub(crate) silent: Vec<u16>,
    /// Whether more than `f` replicas were made to lie, so that the answer may be wrong.
    pub(crate) broken: bool,
}

/// An answer, and the votes that made it one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Voted<T> {
    /// The answer.
    pub(crate) value: T,
    /// The votes of each group that was asked.
    pub(crate) votes: Vec<Votes>,
}

/// A transaction that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    /// Its name.
    pub(crate) tx: String,
    /// What another client joins it with. A secret.
    pub(crate) token: String,
}

/// What an operation did to an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    /// Which account.
    pub(crate) account: Account,
    /// Its value before, as this transaction saw it; absent if nobody looked.
    pub(crate) before: Option<i64>,
    /// Its value after, if the transaction commits.
    pub(crate) after: i64,
}

/// How a transaction stands after a vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It has taken effect everywhere.
    Committed,
    /// It has taken effect nowhere, and why.
    Aborted(String),
    /// Others have yet to agree.
    Pending(Vec<String>),
}

/// An open transaction in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct TxLine {
    /// Its name.
    pub(crate) tx: String,
    /// `active`, `voting` or `preparing`.
    pub(crate) state: String,
    /// How many clients take part.
    pub(crate) clients: usize,
    /// How many groups take part.
    pub(crate) groups: usize,
    /// What is left of its lease, in milliseconds.
    pub(crate) left_ms: u64,
}

/// All about one transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct TxCard {
    /// Its name.
    pub(crate) tx: String,
    /// `active`, `voting`, `preparing`, `committed` or `aborted`.
    pub(crate) state: String,
    /// The clients in it, while it is open.
    pub(crate) clients: Vec<String>,
    /// Those that have yet to agree.
    pub(crate) waiting_for: Vec<String>,
    /// The groups in it, and what each has said.
    pub(crate) groups: BTreeMap<String, String>,
    /// Why it was aborted.
    pub(crate) reason: Option<String>,
}

/// A lock that somebody holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LockLine {
    /// Over what.
    pub(crate) account: Account,
    /// `shared` or `exclusive`.
    pub(crate) mode: String,
    /// The transactions that hold it.
    pub(crate) holders: Vec<String>,
    /// The transactions that wait for it, the next first.
    pub(crate) waiting: Vec<String>,
}

/// How a replica is doing, as far as can be told from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// It answers, and is as far as the others.
    Ok,
    /// It answers, and is behind.
    Lagging,
    /// It does not answer.
    Silent,
    /// It has been stopped.
    Stopped,
    /// Others accuse it.
    Suspect,
    /// There is proof against it.
    ProvenFaulty,
}

impl State {
    /// The word in tables; the same as in JSON.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Lagging => "lagging",
            Self::Silent => "silent",
            Self::Stopped => "stopped",
            Self::Suspect => "suspect",
            Self::ProvenFaulty => "proven-faulty",
        }
    }

    /// Whether it uses up one of the `f` faults that its group tolerates.
    pub(crate) const fn is_fault(self) -> bool {
        !matches!(self, Self::Ok | Self::Lagging)
    }
}

/// A replica in a status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ReplicaStatus {
    /// Which one.
    pub(crate) id: Replica,
    /// How it is doing.
    pub(crate) state: State,
    /// The fault that was injected into it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fault: Option<FaultKind>,
}

/// A group in a status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct GroupStatus {
    /// Its name.
    pub(crate) name: String,
    /// How many replicas it has.
    pub(crate) n: u16,
    /// How many of them may lie.
    pub(crate) f: u16,
    /// How many items it has ordered.
    pub(crate) ordered: u64,
    /// Its replicas.
    pub(crate) replicas: Vec<ReplicaStatus>,
}

/// What is held against a replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Item {
    /// Who did it.
    pub(crate) culprit: Replica,
    /// What, in a word.
    pub(crate) kind: String,
    /// How sure it is: `proven`, `attested`, `observed` or `suspected`.
    pub(crate) class: String,
    /// What, in a sentence.
    pub(crate) text: String,
    /// What convinces whoever has the public keys, in hexadecimal digits, if there is that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) proof: Option<String>,
}

/// Something that replicas said while they worked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Echo {
    /// Who.
    pub(crate) replica: Replica,
    /// What it did.
    pub(crate) text: String,
}

/// A running cluster, as one console sees it: several clients may speak through it.
///
/// Every call may be dropped before it ends; what it asked for may then happen or not.
pub(crate) trait Cluster {
    /// The groups, in the order of the configuration.
    fn groups(&self) -> Vec<Group>;

    /// Accounts that are worth completing.
    fn accounts(&self) -> Vec<Account>;

    /// What replicas say that they did since the last call. In an `idle` console it is only who has
    /// fallen silent or come back: what else happens there is of no interest to its user.
    async fn echoes(&self, idle: bool) -> Vec<Echo>;

    /// Fails unless `client` can speak here.
    async fn speak_as(&self, client: &str) -> Result<(), Failure>;

    /// Starts a transaction, which ends by itself when its lease does.
    async fn begin(&self, client: &str, lease: Option<Duration>) -> Result<Voted<Begun>, Failure>;

    /// Enters the transaction that the token opens, and names it.
    async fn join(&self, client: &str, token: &str) -> Result<Voted<String>, Failure>;

    /// Reads a value, inside a transaction or by itself.
    async fn read(
        &self,
        client: &str,
        tx: Option<&str>,
        account: &Account,
    ) -> Result<Voted<i64>, Failure>;

    /// Writes a value inside a transaction.
    async fn write(
        &self,
        client: &str,
        tx: &str,
        account: &Account,
        value: i64,
    ) -> Result<Voted<Change>, Failure>;

    /// Moves `amount` inside a transaction.
    async fn transfer(
        &self,
        client: &str,
        tx: &str,
        from: &Account,
        to: &Account,
        amount: i64,
    ) -> Result<Voted<Vec<Change>>, Failure>;

    /// Agrees to commit, and waits for the end, unless one of the clients `here` has yet to agree.
    async fn commit(
        &self,
        client: &str,
        tx: &str,
        here: &[String],
    ) -> Result<Voted<Ending>, Failure>;

    /// Ends the transaction without effect.
    async fn abort(&self, client: &str, tx: &str, reason: &str) -> Result<Voted<Ending>, Failure>;

    /// The open transactions, the oldest first.
    async fn transactions(&self) -> Result<Voted<Vec<TxLine>>, Failure>;

    /// One transaction.
    async fn transaction(&self, tx: &str) -> Result<Voted<TxCard>, Failure>;

    /// All locks that are held.
    async fn locks(&self) -> Result<Voted<Vec<LockLine>>, Failure>;

    /// How every group is doing. It works without any quorum.
    async fn status(&self) -> Result<Vec<GroupStatus>, Failure>;

    /// Makes a replica faulty. The caller has counted whether its group can bear it.
    async fn fault(&self, at: &Replica, kind: FaultKind) -> Result<(), Failure>;

    /// Makes a replica correct again, and waits until it answers.
    async fn heal(&self, at: &Replica) -> Result<(), Failure>;

    /// What is held against whom, the newest first.
    async fn evidence(&self) -> Result<Vec<Item>, Failure>;

    /// Returns when nothing is in flight any more.
    async fn quiet(&self) -> Result<(), Failure>;
}
