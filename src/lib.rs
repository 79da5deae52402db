//! Intrusion-tolerant actors: services that keep working, and keep telling the truth, while an
//! attacker owns some of their machines.
//!
//! This is the crate that an application depends on. It assembles what the others provide:
//!
//! 1. [`cluster`]: a whole cluster, in this process or behind addresses
//! 2. [`client`]: sessions with all groups; an answer counts when `f + 1` replicas give it
//! 3. [`transaction`]: what a client does inside one transaction
//! 4. [`assembly`], [`member`]: from a configuration and keys to running parties
//! 5. [`cs`]: broadcasts, agreements and streams, which an application opens by name
//! 6. [`control`], [`evidence`], [`faults`]: what a node tells of itself, what is held against whom,
//!    and how a laboratory makes it lie
//!
//! ```no_run
//! use maftia::prelude::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! maftia::run(async {
//!     let config = Config::parse(Config::sample())?;
//!     let cluster = Cluster::embedded(config, &maftia::seed()?).await?;
//!     let transaction = Transaction::begin(cluster.client(), cluster.assembly()).await?;
//!     transaction.transfer("left/alice", "right/bob", 30).await?;
//!     println!("{}", transaction.commit().await?.word());
//!     Ok(())
//! })
//! # }
//! ```
//!
//! Below it: `maftia-core` (protocols as values, and the simulator), `maftia-actors` (actors, logs,
//! links, keys) and `maftia-tss` (transactions).

#![forbid(unsafe_code)]

pub mod assembly;
pub mod client;
pub mod cluster;
pub mod control;
pub mod cs;
pub mod evidence;
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
