//! Intrusion-tolerant actors.

#![forbid(unsafe_code)]

pub mod assembly;
pub mod client;
pub mod cluster;
pub mod control;
pub mod faults;
pub mod member;
pub mod transaction;

/// What an application imports.
pub mod prelude {
    pub use maftia_core::{
        config::Config,
        id::{GroupId, PartyId},
    };
    pub use maftia_tss::{token::Token, transaction::Outcome};

    pub use crate::{
        assembly::{Assembly, Reach},
        client::{AskError, Client, Haste, Voted, Votes},
        cluster::{Cluster, Condition, Item},
        faults::FaultKind,
        member::Member,
        transaction::{Transaction, TransactionError},
    };
}

/// Runs a program on an actix system, which parties need.
pub fn run<T>(program: impl Future<Output = T>) -> T {
    maftia_actors::run(program)
}

/// A fresh seed for the dealer.
pub fn seed() -> Result<[u8; 32], std::io::Error> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(std::io::Error::other)?;
    Ok(seed)
}
