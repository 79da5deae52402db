//! Protocols that keep their promises while some of the parties lie.
//!
//! Nothing in this crate opens a socket, reads a clock or starts a task. A protocol is a value that
//! takes [`Event`](protocol::Event)s and leaves [`Effects`](effects::Effects); the `maftia-actors`
//! crate runs it for real, `sim` runs it on virtual time against an adversary. Read in this order:
//!
//! 1. [`protocol`], [`effects`], [`children`]: what a protocol is, what it does, how one uses another
//! 2. [`broadcast`]: one party speaks; [`agreement`]: all parties choose
//! 3. [`stream`]: many payloads, in order
//! 4. [`replica`]: a service behind a stream, and its clients
//! 5. [`tree`], [`host`], [`mail`], [`lobby`]: what runs a protocol
//! 6. [`config`], [`crypto`], [`wire`], [`seat`], [`id`], [`path`], [`thresholds`], [`tally`],
//!    [`fault`]: what the above stand on
//! 7. [`manual`]: what was decided, why, and what was rejected

#![forbid(unsafe_code)]

pub mod agreement;
pub mod broadcast;
pub mod children;
pub mod config;
pub mod crypto;
pub mod effects;
pub mod fault;
pub mod host;
pub mod id;
pub mod lobby;
pub mod mail;
pub mod manual;
pub mod path;
pub mod protocol;
pub mod replica;
pub mod seat;
#[cfg(any(test, feature = "sim"))]
pub mod shuttle;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
pub mod stream;
pub mod tally;
pub mod thresholds;
pub mod time;
pub mod tree;
pub mod wire;
