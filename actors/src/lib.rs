//! The only crate that knows actix, sockets and disks.
//!
//! A protocol is a value; here it becomes a supervised actor with a typed mailbox. Read in this
//! order:
//!
//! 1. [`address`], [`instance`]: the actor: remember, step, release
//! 2. [`party`]: what the actors of one party share
//! 3. [`log`]: what a party remembers, so that it never contradicts itself
//! 4. [`link`]: authenticated, reliable, ordered, bounded ways to peers
//! 5. [`node`]: from a plan to a running party
//! 6. [`dealer`], [`keyring`]: configurations and keys on disk
//! 7. [`placement`], [`pool`], [`pulse`], [`restarts`], [`heap`]: where things run, what happens when
//!    they do not, and what memory they keep

#![forbid(unsafe_code)]

pub mod accusations;
pub mod address;
pub mod dealer;
mod desk;
pub mod heap;
pub mod instance;
pub mod keyring;
pub mod link;
pub mod log;
pub mod node;
pub mod party;
pub mod placement;
pub mod pool;
pub mod pulse;
pub mod restarts;
mod router;

/// Runs a program on an actix system, which parties need, until it ends.
pub fn run<T>(program: impl Future<Output = T>) -> T {
    actix_rt::System::new().block_on(program)
}
