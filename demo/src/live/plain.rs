//! From the service's words to plain ones, and back.

use maftia_core::config::{GroupConfig, ServiceConfig};
use maftia_tss::{client::Progress, resources::Answer as Value, transaction::TxId};

use super::{Account, Change, Code, Failure, Group, Role, refused::bad_tx};

pub(super) fn group(group: &GroupConfig) -> Group {
    let role = match group.service {
        ServiceConfig::Transactions => Role::Transactions,
        ServiceConfig::Accounts(_) => Role::Resources,
    };
    let (n, f) = (group.thresholds.n(), group.thresholds.f());
    Group { name: group.name.to_string(), n, f, role }
}

pub(super) fn account_of(group: &GroupConfig, key: &str) -> Account {
    Account { group: group.name.to_string(), key: key.to_owned() }
}

pub(super) fn tx_id(text: &str) -> Result<TxId, Failure> {
    text.parse().map_err(|error| bad_tx(&error))
}

pub(super) fn change(account: &Account, answer: &Value) -> Result<Change, Failure> {
    let before = answer.before.as_deref().map(number).transpose()?;
    Ok(Change { account: account.clone(), before, after: number(&answer.value)? })
}

pub(super) fn number(text: &str) -> Result<i64, Failure> {
    text.parse().map_err(|_| {
        let message = format!("the group holds `{text}` there, which is no amount");
        Failure::new(Code::BadAmount, message, "the group keeps texts; use one that keeps accounts")
    })
}

pub(super) fn said_value(answer: &Value) -> String {
    answer.value.clone()
}

pub(super) fn said_progress(progress: &Progress) -> String {
    match progress {
        Progress::Ended(ended) => ended.outcome.word(),
        Progress::Waiting(_) => "waiting",
        Progress::Stale(_) => "stale",
    }
    .to_owned()
}

/// 128 fresh secret bits.
pub(super) fn fresh() -> Result<[u8; 16], Failure> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits).map_err(|error| {
        let message = format!("the system gives no random bits: {error}");
        Failure::new(Code::Io, message, "try again")
    })?;
    Ok(bits)
}
