//! A command that failed: a stable code, what happened, and what to do about it.

use serde::Serialize;

use crate::cluster::Replica;

/// Why a command failed. The words of the codes are part of the interface: scripts compare them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Code {
    /// No command has this name.
    UnknownCommand,
    /// The command is known, what follows it is not what it takes.
    BadArguments,
    /// Not a whole number, or not one that can be moved.
    BadAmount,
    /// Not a span of time.
    BadDuration,
    /// The cluster has no such group.
    UnknownGroup,
    /// The group has no such replica.
    UnknownReplica,
    /// The group keeps no such account.
    UnknownAccount,
    /// No fault is called that.
    UnknownFault,
    /// It opens no transaction: mistyped, or not of this cluster.
    UnknownToken,
    /// Nobody here holds a key of that name.
    UnknownClient,
    /// Another process speaks with the same key.
    ClientInUse,
    /// No such transaction is remembered.
    UnknownTransaction,
    /// The command needs a transaction, and this client is in none.
    NotInTransaction,
    /// This client is in a transaction already.
    AlreadyInTransaction,
    /// The transaction has taken effect; there is nothing left to do.
    AlreadyCommitted,
    /// The transaction was aborted before.
    AlreadyAborted,
    /// The transaction ended without effect.
    Aborted,
    /// The account would go below zero.
    InsufficientFunds,
    /// The group holds back new work until it has finished what it has.
    Busy,
    /// The group refuses the request for another reason, which it says.
    Refused,
    /// Too few replicas answer alike.
    QuorumLost,
    /// The fault would break the promise of its group.
    RefusedBeyondF,
    /// This cluster lets nobody inject faults.
    NotALab,
    /// Stopped by its user.
    Cancelled,
    /// Something outside failed: a file, a socket.
    Io,
}

/// A command that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    /// For programs.
    pub(crate) code: Code,
    /// What happened, and where.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) help: String,
}

impl Failure {
    /// A failure with these words.
    pub(crate) fn new(code: Code, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: help.into() }
    }

    /// `group` cannot order or answer: too few replicas answer alike.
    pub(crate) fn quorum_lost(group: &str, answer: usize, n: u16, needed: usize, f: u16) -> Self {
        let are = if answer == 1 { "replica answers" } else { "replicas answer" };
        Self::new(
            Code::QuorumLost,
            format!(
                "group `{group}` lost its quorum: {answer} of {n} {are}, {needed} are needed (f = {f})"
            ),
            format!("see `status {group}`; `heal` restores what was injected, then try again"),
        )
    }

    /// The client is in no transaction.
    pub(crate) fn not_in_transaction(client: &str) -> Self {
        Self::new(
            Code::NotInTransaction,
            format!("`{client}` is in no transaction"),
            "`begin` starts one, `join TOKEN` takes part in another client's",
        )
    }

    /// Another process speaks as the same client, and it came later.
    pub(crate) fn client_in_use(message: impl Into<String>) -> Self {
        let help = "give each process a client of its own with --as (see [clients] in the \
                    configuration), or end the other one and start again";
        Self::new(Code::ClientInUse, message, help)
    }

    /// The fault would be one too many.
    pub(crate) fn beyond_f(at: &Replica, n: u16, f: u16, faulty: &[String]) -> Self {
        let already = match faulty {
            [] => String::from("it tolerates none"),
            [one] => format!("{one} is faulty already"),
            many => format!("{} are faulty already", many.join(", ")),
        };
        Self::new(
            Code::RefusedBeyondF,
            format!(
                "group `{}` has n = {n} and f = {f}, and {already}: this would break its promise",
                at.group
            ),
            "`heal` one first, or repeat with --force to see what happens",
        )
    }

    /// Whether trying again later may work.
    pub(crate) fn is_lost_quorum(&self) -> bool {
        self.code == Code::QuorumLost
    }
}

/// What stands nearest to `word` among `known`, if anything is near.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters may be wrong: enough for a slip, too little for a guess.
    let near = 1 + word.chars().count() / 3;
    let begins = |name: &str| word.len() >= 2 && name.starts_with(word);
    known
        .into_iter()
        .map(|name| (if begins(name) { 0 } else { distance(word, name) }, name))
        .filter(|(distance, _)| *distance <= near)
        .min()
        .map(|(_, name)| name)
}

/// " Did you mean ..?", or nothing.
pub(crate) fn meant<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map_or_else(String::new, |name| format!("did you mean `{name}`? "))
}

/// How many letters must be added, dropped or changed (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_the_word_that_was_meant_and_guesses_find_none() {
        let known = ["begin", "commit", "abort", "transfer"];
        assert_eq!(nearest("beginn", known), Some("begin"));
        assert_eq!(nearest("comit", known), Some("commit"));
        assert_eq!(nearest("trans", known), Some("transfer"));
        assert_eq!(nearest("frobnicate", known), None);
        assert_eq!(nearest("x", known), None);
    }

    #[test]
    fn codes_are_words_in_small_letters() {
        let lost = Failure::quorum_lost("left", 2, 4, 3, 1);
        let json = serde_json::to_value(&lost).unwrap();
        assert_eq!(json["code"], "quorum_lost");
        assert!(json["message"].as_str().unwrap().contains("2 of 4 replicas answer, 3 are needed"));
    }
}
