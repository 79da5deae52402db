//! Every bound on what clients and groups can make a manager hold, with its reason.
//!
//! A client's request costs its sender a signature or an authenticator and a place in the order, so
//! these bounds keep one client from starving the others; they are not there to be met.

/// The most transactions that a manager holds open. Beyond it, work that is new is refused as `busy`;
/// what ends a transaction never is.
pub const OPEN_MAX: usize = 4096;

/// The most transactions that one client holds open at one manager: a pool of connections has fewer.
pub const OPEN_PER_CLIENT_MAX: u32 = 64;

/// The most clients in one transaction: people who agree on one thing.
pub const MEMBERS_MAX: usize = 16;

/// The most groups in one transaction. Each costs two statements and an acknowledgement.
pub const GROUPS_MAX: usize = 16;

/// The most requests of one client that wait for the outcome of one transaction.
pub const PARKED_PER_CLIENT_MAX: usize = 4;

/// The most operations that wait until the transaction manager has confirmed their clients, in one
/// transaction. The confirmation takes one round trip between groups.
pub const UNCONFIRMED_MAX: usize = 64;

/// As [`UNCONFIRMED_MAX`], of one client: so no stranger fills the places of the members.
pub const UNCONFIRMED_PER_CLIENT_MAX: usize = 16;

/// How many ended transactions are remembered, so that a retry gets the outcome and not a riddle.
/// Correctness does not depend on it: who is in doubt is remembered until it has acknowledged.
pub const HISTORY_MAX: usize = 4096;

/// The most rows of a listing: a screen, and far below the largest reply.
pub const ROWS_MAX: usize = 64;

/// The longest text that gives a reason, in bytes: a sentence or two.
pub const TEXT_MAX: usize = 200;

/// The longest key of a resource, in bytes.
pub const KEY_MAX: usize = 64;

/// The longest value of a resource, in bytes.
pub const VALUE_MAX: usize = 4096;

/// The most keys in one resource manager: with [`VALUE_MAX`] it bounds a checkpoint.
pub const KEYS_MAX: usize = 100_000;

/// The most edges that a wound names: the conflict itself, and what the victim waited for.
pub const EDGES_MAX: usize = 8;

/// The longest life of a transaction, in milliseconds: an hour, after which nobody comes back.
pub const LEASE_MILLIS_MAX: u64 = 3_600_000;

/// The longest request to a resource manager, in bytes: the longest value, and what is around it.
/// Requests wait in memory, so a megabyte each would be too much.
pub const REQUEST_MAX: usize = VALUE_MAX + 512;
