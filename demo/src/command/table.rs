//! The one table of commands.

use super::{Command, words::Given};
use crate::{cluster::kind, failure::Failure};

/// What can stand at a place of a command. Completion and usage come from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `left/alice`.
    Account(&'static str),
    /// `left`.
    Group,
    /// `left[2]`.
    Replica,
    /// `corrupt-reply`.
    Kind,
    /// What `begin` printed.
    Token,
    /// `bob`.
    Client,
    /// `7Q`.
    Tx,
    /// A whole number.
    Number(&'static str),
    /// The name of a command.
    Command,
    /// The path of a file.
    File,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// All that follows, as one text.
    Text(&'static str),
}

impl Shape {
    /// Its name in a usage line.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Account(name) | Self::Number(name) | Self::Text(name) => name.to_owned(),
            Self::Group => "GROUP".to_owned(),
            Self::Replica => "GROUP[I]".to_owned(),
            Self::Kind => "KIND".to_owned(),
            Self::Token => "TOKEN".to_owned(),
            Self::Client => "CLIENT".to_owned(),
            Self::Tx => "ID".to_owned(),
            Self::Command => "CMD".to_owned(),
            Self::File => "FILE".to_owned(),
            Self::OneOf(words) => words.join("|"),
        }
    }
}

/// A flag of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flag {
    /// Its name, with the dashes.
    pub(crate) name: &'static str,
    /// What follows it, if anything does.
    pub(crate) value: Option<&'static str>,
}

/// A command: how it is written, what it means, how it is understood.
pub(crate) struct Entry {
    /// Its first word.
    pub(crate) name: &'static str,
    /// What must follow, in order.
    pub(crate) required: &'static [Shape],
    /// What may follow after that.
    pub(crate) optional: &'static [Shape],
    /// What may stand anywhere.
    pub(crate) flags: &'static [Flag],
    /// What it does, in a line.
    pub(crate) about: &'static str,
    /// What else there is to know.
    pub(crate) more: &'static str,
    /// How it looks.
    pub(crate) example: &'static str,
    /// Makes the command of the words.
    pub(crate) build: fn(&Given) -> Result<Command, Failure>,
}

/// An entry that takes nothing; the others say what differs.
const PLAIN: Entry = Entry {
    name: "",
    required: &[],
    optional: &[],
    flags: &[],
    about: "",
    more: "",
    example: "",
    build: |_| Ok(Command::Tour),
};

/// All commands, in the order of the help.
pub(crate) const TABLE: &[Entry] = &[
    Entry {
        name: "help",
        optional: &[Shape::Command],
        about: "list all commands, or explain one",
        example: "help fault",
        build: |given| {
            given
                .text(0)
                .map_or(Ok(None), |name| super::find(name).map(|entry| Some(entry.name.to_owned())))
                .map(Command::Help)
        },
        ..PLAIN
    },
    Entry {
        name: "tour",
        about: "a guided run: a transfer, a lie, a crash, and what was seen",
        more: "It runs ordinary commands, one after the other, and explains each. It needs a cluster \
               into which faults can be injected.",
        example: "tour",
        build: |_| Ok(Command::Tour),
        ..PLAIN
    },
    Entry {
        name: "source",
        required: &[Shape::File],
        about: "run the commands of a file, one a line",
        more: "All of them run, whatever each gives; `quit` ends the file, not the console. A file \
               cannot run another one.",
        example: "source demo/scripts/transfer.maftia",
        build: |given| Ok(Command::Source(given.word(0).into())),
        ..PLAIN
    },
    Entry {
        name: "begin",
        flags: &[Flag { name: "--timeout", value: Some("D") }],
        about: "start a transaction; prints the token with which others join",
        more: "D is a span such as 30s or 2m. A transaction that outlives it is aborted, so that a \
               client that vanishes locks nothing for ever.",
        example: "begin --timeout 30s",
        build: |given| given.duration("--timeout").map(Command::Begin),
        ..PLAIN
    },
    Entry {
        name: "join",
        required: &[Shape::Token],
        about: "take part in the transaction that a token opens",
        more: "The token is what `begin` printed, here or at another console; $token is the last \
               one that this console printed. All who take part must commit; any of them may abort.",
        example: "join $token",
        build: |given| Ok(Command::Join(given.word(0).to_owned())),
        ..PLAIN
    },
    Entry {
        name: "as",
        required: &[Shape::Client],
        about: "speak as another client from now on",
        more: "Each client has a key of its own, and is in one transaction at a time.",
        example: "as bob",
        build: |given| Ok(Command::As(given.word(0).to_owned())),
        ..PLAIN
    },
    Entry {
        name: "read",
        required: &[Shape::Account("GROUP/KEY")],
        about: "read a value; inside a transaction it stays locked until the end",
        more: "The value counts that f + 1 replicas give; who said otherwise is named.",
        example: "read left/alice",
        build: |given| given.word(0).parse().map(Command::Read),
        ..PLAIN
    },
    Entry {
        name: "write",
        required: &[Shape::Account("GROUP/KEY"), Shape::Number("VALUE")],
        about: "write a value; it counts when the transaction commits",
        more: "VALUE is a whole number.",
        example: "write right/bob 500",
        build: |given| Ok(Command::Write(given.word(0).parse()?, given.value(1)?)),
        ..PLAIN
    },
    Entry {
        name: "transfer",
        required: &[Shape::Account("FROM"), Shape::Account("TO"), Shape::Number("AMOUNT")],
        about: "move an amount from one account to another",
        more: "AMOUNT is a whole number above 0, and FROM must hold it.",
        example: "transfer left/alice right/bob 30",
        build: |given| {
            let (from, to) = (given.word(0).parse()?, given.word(1).parse()?);
            Ok(Command::Transfer { from, to, amount: given.amount(2)? })
        },
        ..PLAIN
    },
    Entry {
        name: "commit",
        about: "agree to commit, and wait for the outcome",
        more: "It happens when all clients of the transaction agree. While another client of this \
               same console has yet to agree, the outcome is `pending` and nothing is waited for.",
        example: "commit",
        build: |_| Ok(Command::Commit),
        ..PLAIN
    },
    Entry {
        name: "abort",
        optional: &[Shape::Text("REASON")],
        about: "end the transaction without effect",
        example: "abort \"changed my mind\"",
        build: |given| Ok(Command::Abort(given.rest(0))),
        ..PLAIN
    },
    Entry {
        name: "tx",
        optional: &[Shape::OneOf(&["list", "show"]), Shape::Tx],
        about: "list the transactions, or show one",
        example: "tx show 7Q",
        build: Given::transactions,
        ..PLAIN
    },
    Entry {
        name: "status",
        optional: &[Shape::Group],
        about: "show how the groups and their replicas are doing",
        more: "A replica is ok, lagging (behind), silent (does not answer), stopped, suspect (others \
               accuse it) or proven-faulty.",
        example: "status left",
        build: |given| Ok(Command::Status(given.text(0).map(str::to_owned))),
        ..PLAIN
    },
    Entry {
        name: "locks",
        about: "list who holds which lock, and who waits",
        example: "locks",
        build: |_| Ok(Command::Locks),
        ..PLAIN
    },
    Entry {
        name: "fault",
        required: &[Shape::Replica, Shape::Kind],
        flags: &[Flag { name: "--force", value: None }],
        about: "make a replica faulty",
        more: "A fault beyond what the group tolerates is refused unless --force is given; then \
               operations may end in `quorum_lost`, and answers that liars may have made are marked \
               as such. Over a network this works with nodes that were started with --lab.",
        example: "fault left[2] corrupt-reply",
        build: |given| {
            let (at, kind) = (given.word(0).parse()?, kind::named(given.word(1))?);
            Ok(Command::Fault { at, kind, force: given.has("--force") })
        },
        ..PLAIN
    },
    Entry {
        name: "heal",
        optional: &[Shape::Replica],
        about: "make a replica correct again, or all of them",
        example: "heal left[2]",
        build: |given| given.text(0).map(str::parse).transpose().map(Command::Heal),
        ..PLAIN
    },
    Entry {
        name: "evidence",
        optional: &[Shape::Number("N")],
        about: "list what is held against whom, the newest first",
        more: "Its class says how sure it is: proven (two signed statements that conflict), attested \
               (f + 1 members accuse), observed (this console saw the answer outvoted), suspected \
               (silence).",
        example: "evidence 5",
        build: |given| given.count(0).map(Command::Evidence),
        ..PLAIN
    },
    Entry {
        name: "wait",
        required: &[Shape::OneOf(&["quiet"])],
        about: "wait until nothing is in flight",
        example: "wait quiet",
        build: |_| Ok(Command::WaitQuiet),
        ..PLAIN
    },
    Entry {
        name: "quit",
        about: "abort what is open, and leave",
        example: "quit",
        build: |_| Ok(Command::Quit),
        ..PLAIN
    },
];
