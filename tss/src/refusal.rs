//! Why a request was not done: a code for programs, a message for people, and what to do about it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::transaction::{BadKey, Outcome, TxId};

/// Defines the codes, their words and their help in one table.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $help:literal;)*) => {
        /// What went wrong, for programs. The words are stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The stable word.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// What to do about it, in a sentence.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$name => $help,)* }
            }
        }
    };
}

codes! {
    /// The bytes are no request, or no reply, of this service.
    Malformed = "malformed", "client and service differ in version, or the group is no such service: check the configuration";
    /// Nobody began this transaction.
    UnknownTransaction = "unknown_transaction", "check its name, or `begin` a new one";
    /// It ended too long ago.
    Forgotten = "forgotten", "it ended long ago; read the values that it would have changed";
    /// The client does not take part in the transaction.
    NotAMember = "not_a_member", "`join` it with its token first";
    /// The token opens nothing.
    UnknownToken = "unknown_token", "copy the token again as `begin` printed it; the transaction may have ended meanwhile";
    /// It has taken effect.
    AlreadyCommitted = "already_committed", "it cannot be taken back; undo it with a new transaction";
    /// It has not taken effect and will not.
    Aborted = "aborted", "`begin` again";
    /// Its clients have agreed, or have begun to.
    Committing = "committing", "wait for its outcome";
    /// Somebody or something joined after the client looked.
    Stale = "stale_view", "look at who takes part now, then `commit` again";
    /// There is no transaction to work in.
    NeedsTransaction = "needs_transaction", "`begin` one, or `join` one with its token";
    /// A bound is reached.
    Busy = "busy", "end some transactions, or try again later";
    /// A quota of locks is reached.
    LockLimit = "lock_limit", "commit or abort, and use smaller transactions";
    /// No account has this name.
    UnknownAccount = "unknown_account", "check its name; `write` opens an account";
    /// Nothing was written there.
    UnknownKey = "unknown_key", "check its name; `write` creates it";
    /// It is not a name of a key.
    BadKey = "bad_key", "name it GROUP/KEY, where KEY has visible characters without `/`";
    /// It is not an amount.
    BadAmount = "bad_amount", "an amount is a whole number above 0, a balance one that is not below 0";
    /// The account holds less.
    InsufficientFunds = "insufficient_funds", "transfer less, or fill the account first";
    /// The sum is out of range.
    Overflow = "overflow", "balances are whole numbers below 2^63";
    /// This kind of resource cannot do it.
    BadOperation = "bad_operation", "see in `help` what the resources of this group can do";
    /// It is longer than allowed.
    TooLong = "too_long", "shorten it and try again";
    /// The group stores as many keys as it may.
    Full = "full", "use another group, or keys that exist";
    /// The code of the resource fell over; nothing was changed.
    Panicked = "panicked", "report it with the operation that caused it; the transaction can go on or be aborted";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// For programs.
    pub code: Code,
    /// For people: what, and where.
    pub message: String,
}

impl Refusal {
    /// A refusal with these words.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// What to do about it, in a sentence.
    pub const fn help(&self) -> &'static str {
        self.code.help()
    }

    /// Nobody began this transaction.
    pub fn unknown(tx: TxId) -> Self {
        Self::new(Code::UnknownTransaction, format!("there is no transaction {tx}"))
    }

    /// The client does not take part in it.
    pub fn not_a_member(tx: TxId) -> Self {
        Self::new(Code::NotAMember, format!("you do not take part in transaction {tx}"))
    }

    /// It is over.
    pub fn ended(tx: TxId, outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Committed => {
                Self::new(Code::AlreadyCommitted, format!("transaction {tx} is committed already"))
            }
            Outcome::Aborted(reason) => {
                Self::new(Code::Aborted, format!("transaction {tx} was aborted: {reason}"))
            }
        }
    }

    /// Its clients have agreed to commit.
    pub fn committing(tx: TxId) -> Self {
        Self::new(Code::Committing, format!("transaction {tx} is being committed"))
    }
}

impl From<BadKey> for Refusal {
    fn from(error: BadKey) -> Self {
        Self::new(Code::BadKey, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn words_are_distinct_and_helpful() {
        let words: BTreeSet<_> = Code::ALL.iter().map(|code| code.word()).collect();
        assert_eq!(words.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| code.help().len() > 10));
        assert_eq!(Refusal::new(Code::Busy, "x").help(), Code::Busy.help());
    }
}
