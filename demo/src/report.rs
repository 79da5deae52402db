//! What a command gave: the same value becomes a line of JSON or text for a person.

use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::{
    cluster::{
        Account, Change, FaultKind, GroupStatus, Item, LockLine, Replica, TxCard, TxLine, Voted,
        Votes,
    },
    command::table::Entry,
    failure::Failure,
};

/// What a command gave. Its JSON has no tag: the command says what to expect.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Report {
    /// `help`.
    Help {
        /// All commands, or the one that was asked for.
        commands: Vec<HelpLine>,
    },
    /// `begin`.
    Begun {
        /// The transaction.
        tx: String,
        /// What others join it with.
        token: String,
        /// Who began it.
        client: String,
        /// How the managers answered.
        #[serde(flatten)]
        tally: Tally,
    },
    /// `join`.
    Joined {
        /// The transaction.
        tx: String,
        /// Who joined it.
        client: String,
        /// How the managers answered.
        #[serde(flatten)]
        tally: Tally,
    },
    /// `as`.
    Client {
        /// Who speaks from now on.
        client: String,
        /// The transaction that it is in.
        tx: Option<String>,
        /// The transaction that the one who spoke before is in, if it is another one.
        #[serde(skip)]
        left_behind: Option<String>,
    },
    /// `read`.
    Read(Reading),
    /// `write` and `transfer`.
    Changed {
        /// The transaction.
        tx: String,
        /// What will change if it commits.
        changes: Vec<Change>,
        /// How the groups answered.
        #[serde(flatten)]
        tally: Tally,
    },
    /// `commit` and `abort`.
    Ended(Ended),
    /// `tx list`.
    Transactions {
        /// The open transactions, the oldest first.
        transactions: Vec<TxLine>,
    },
    /// `tx show`.
    Transaction(TxCard),
    /// `status`.
    Status {
        /// The groups.
        groups: Vec<GroupStatus>,
    },
    /// `locks`.
    Locks {
        /// The locks that are held.
        locks: Vec<LockLine>,
    },
    /// `fault`.
    Injected {
        /// Who is faulty now.
        replica: Replica,
        /// In which way.
        kind: FaultKind,
        /// The class of evidence that this can reach, or `none`.
        reaches: &'static str,
        /// How many replicas of the group are faulty now.
        faulty: usize,
        /// How many faults the group tolerates.
        tolerates: u16,
    },
    /// `heal`.
    Healed {
        /// Who is correct again.
        healed: Vec<Replica>,
    },
    /// `evidence`.
    Evidence {
        /// The items, the newest first.
        items: Vec<Item>,
    },
    /// `wait quiet`.
    Quiet {
        /// Always true.
        quiet: bool,
        /// How long it took, in milliseconds.
        took_ms: u64,
    },
    /// `tour` and `source`.
    Toured {
        /// What its commands gave.
        steps: Vec<serde_json::Value>,
    },
    /// `quit`.
    Left {
        /// The open transactions that were aborted.
        aborted: Vec<String>,
    },
}

/// A command in the help.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct HelpLine {
    /// Its name.
    pub(crate) name: &'static str,
    /// How it is written.
    usage: String,
    /// What it does.
    about: &'static str,
    /// What else there is to know.
    more: &'static str,
    /// How it looks.
    example: &'static str,
}

impl HelpLine {
    /// What the table says about a command.
    pub(crate) fn of(entry: &Entry) -> Self {
        Self {
            name: entry.name,
            usage: entry.usage(),
            about: entry.about,
            more: entry.more,
            example: entry.example,
        }
    }
}

/// A value, and who says so.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Reading {
    /// Of which account.
    pub(crate) account: Account,
    /// The value.
    pub(crate) value: i64,
    /// How many replicas gave it.
    agree: usize,
    /// How many there are.
    of: u16,
    /// Who gave another one.
    outvoted: Vec<Replica>,
    /// Who gave none.
    silent: Vec<Replica>,
    /// The same, for the text.
    #[serde(flatten)]
    pub(crate) tally: Tally,
}

impl Reading {
    /// What the votes say about an account.
    pub(crate) fn new(account: Account, answer: Voted<i64>) -> Self {
        let votes = answer.votes.first().cloned().unwrap_or_default();
        Self {
            account,
            value: answer.value,
            agree: votes.agree.len(),
            of: votes.of,
            outvoted: votes.outvoted().collect(),
            silent: votes.silent().collect(),
            tally: Tally(answer.votes),
        }
    }
}

/// How a transaction ended, or that it has not.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Ended {
    /// Which one.
    pub(crate) tx: String,
    /// `committed`, `aborted` or `pending`.
    pub(crate) outcome: &'static str,
    /// Why it was aborted.
    pub(crate) reason: Option<String>,
    /// Who has yet to agree.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) waiting_for: Vec<String>,
    /// How long the command took, in milliseconds.
    pub(crate) took_ms: u64,
    /// How the managers answered.
    #[serde(flatten)]
    pub(crate) tally: Tally,
}

/// The votes of the groups that were asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tally(pub(crate) Vec<Votes>);

impl Tally {
    /// Whether more than `f` replicas of a group were made to lie.
    pub(crate) fn is_broken(&self) -> bool {
        self.0.iter().any(|votes| votes.broken)
    }
}

impl Serialize for Tally {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut fields = to.serialize_struct("Tally", 2)?;
        fields.serialize_field("votes", &self.0)?;
        if self.is_broken() {
            fields.serialize_field("promise", "broken")?;
        }
        fields.end()
    }
}

impl Votes {
    /// Who answered otherwise.
    pub(crate) fn outvoted(&self) -> impl Iterator<Item = Replica> {
        self.outvoted.iter().map(|(index, _)| self.replica(*index))
    }

    /// Who did not answer.
    pub(crate) fn silent(&self) -> impl Iterator<Item = Replica> {
        self.silent.iter().map(|index| self.replica(*index))
    }

    fn replica(&self, index: u16) -> Replica {
        Replica { group: self.group.clone(), index }
    }
}

impl Serialize for Votes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut fields = to.serialize_struct("Votes", 5)?;
        fields.serialize_field("group", &self.group)?;
        fields.serialize_field("agree", &self.agree.len())?;
        fields.serialize_field("of", &self.of)?;
        fields.serialize_field("outvoted", &self.outvoted().collect::<Vec<_>>())?;
        fields.serialize_field("silent", &self.silent().collect::<Vec<_>>())?;
        fields.end()
    }
}

/// A command that was run: a line of JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Line {
    /// The command, as it was written.
    pub(crate) command: String,
    /// Whether all went as commanded.
    ok: bool,
    /// What it gave. A commit that ended in an abort gives this and an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) result: Option<Report>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<Failure>,
}

impl Line {
    /// A command that went as commanded.
    pub(crate) fn done(command: &str, report: Report) -> Self {
        Self { command: command.to_owned(), ok: true, result: Some(report), error: None }
    }

    /// A command that failed, with what it gave all the same.
    pub(crate) fn failed(command: &str, failure: Failure, result: Option<Report>) -> Self {
        Self { command: command.to_owned(), ok: false, result, error: Some(failure) }
    }

    /// Its JSON, on one line.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).expect("a report has string keys only")
    }
}
