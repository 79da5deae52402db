//! What a service refuses, in the words of the console.

use std::fmt::Display;

use maftia_tss::refusal::{Code as Why, Refusal};

use crate::{
    cluster::Account,
    failure::{Code, Failure},
};

/// A refusal as a failure. `named` puts names of groups where the service has numbers.
pub(super) fn refused(refusal: &Refusal, named: impl Fn(&str) -> String) -> Failure {
    Failure::new(code(refusal.code), named(&refusal.message), refusal.help())
}

const fn code(why: Why) -> Code {
    match why {
        Why::UnknownTransaction | Why::Forgotten => Code::UnknownTransaction,
        Why::NotAMember | Why::NeedsTransaction => Code::NotInTransaction,
        Why::UnknownToken => Code::UnknownToken,
        Why::AlreadyCommitted => Code::AlreadyCommitted,
        Why::Aborted => Code::Aborted,
        Why::Busy | Why::LockLimit | Why::Full => Code::Busy,
        Why::UnknownAccount | Why::UnknownKey | Why::BadKey => Code::UnknownAccount,
        Why::BadAmount | Why::Overflow => Code::BadAmount,
        Why::InsufficientFunds => Code::InsufficientFunds,
        Why::TooLong => Code::BadArguments,
        Why::Malformed | Why::Committing | Why::Stale | Why::BadOperation | Why::Panicked => {
            Code::Refused
        }
    }
}

/// Puts the group before the key of an account that is not there: the group itself does not know how
/// it is called.
pub(super) fn no_account<const N: usize>(failure: Failure, asked: [&Account; N]) -> Failure {
    let missing = |account: &&Account| failure.message.ends_with(&format!(" {}", account.key));
    match asked.into_iter().find(missing).filter(|_| failure.code == Code::UnknownAccount) {
        Some(account) => Failure { message: format!("there is no account {account}"), ..failure },
        None => failure,
    }
}

/// The text opens nothing.
pub(super) fn bad_token(error: &impl Display) -> Failure {
    let help = "copy all of the token that `begin` printed";
    Failure::new(Code::UnknownToken, format!("that is no token: {error}"), help)
}

/// The text names nothing.
pub(super) fn bad_tx(error: &impl Display) -> Failure {
    Failure::new(Code::UnknownTransaction, error.to_string(), "`tx list` shows the open ones")
}
