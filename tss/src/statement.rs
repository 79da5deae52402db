//! What groups say to one another about a transaction.
//!
//! A statement enters the other group through its stream, once, in order, when `f + 1` members of the
//! speaking group have said it; so a manager believes it. Its content depends on ordered state only.
//!
//! ```text
//! resource manager                        transaction manager
//!    first operation   -- Register -->
//!                      <-- Registered --      or NotRegistered
//!                      <-- Prepare ----       all clients have agreed
//!                      -- Vote ------->
//!                      <-- Commit -----       or Abort, at any time before
//!                      -- Committed -->       it may be forgotten
//! ```

use maftia_core::id::ClientId;
use serde::{Deserialize, Serialize};

use crate::{
    refusal::Refusal,
    transaction::{AbortReason, TxId},
};

/// What one group's manager tells another's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Statement {
    /// To the transaction manager.
    Up(TxId, Up),
    /// To a resource manager.
    Down(TxId, Down),
}

/// What a resource manager tells a transaction manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Up {
    /// This client wants to operate here: is it a member, and may we take part?
    Register(ClientId),
    /// The answer to [`Down::Prepare`].
    Vote(Vote),
    /// The transaction was aborted here, before any promise: abort it everywhere.
    AbortRequest(AbortReason),
    /// We have promised, and heard nothing since.
    InDoubt,
    /// It has taken effect here.
    Committed,
}

/// The answer to [`Down::Prepare`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Vote {
    /// We can commit, and will do what we are told.
    Yes,
    /// Nothing was changed here; we need not hear the outcome.
    ReadOnly,
    /// We cannot, and have aborted here.
    No(String),
}

/// What a transaction manager tells a resource manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Down {
    /// The group takes part, and this client is a member.
    Registered {
        /// Which.
        client: ClientId,
        /// The place of the transaction in the order of beginnings.
        begun: u64,
        /// How long the transaction may live, in milliseconds.
        lease_millis: u64,
    },
    /// This client may not operate in it.
    NotRegistered {
        /// Which.
        client: ClientId,
        /// Why.
        refusal: Refusal,
    },
    /// All clients have agreed: can you commit?
    Prepare,
    /// Let it take effect.
    Commit,
    /// Undo it.
    Abort(AbortReason),
}
