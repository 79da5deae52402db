//! Open groups: outsiders send to a group, and read its entries with proof.
//!
//! | | at | what it does |
//! |---|---|---|
//! | [`Publish`] | members, on a [`Replica`](crate::replica::Replica) | gives each payload of an outsider a slot |
//! | [`Session`](crate::replica::Session) | outsiders | sends payloads, each of which is ordered once |
//! | [`Shelf`] | members | keeps entries, signs the chain over them, serves readers |
//! | [`Shelved`] | members | an engine with a shelf beside it, for what members say |
//! | [`Reader`] | outsiders | reads them, believes `f + 1`, gets certificates |
//! | [`Certificate`], [`Excerpt`] | anybody | prove what stands in a slot, with the public keys alone |
//!
//! The rules of reading:
//!
//! * **R0** A member keeps each entry in its slot, with the chain after it: a digest over the chain before,
//!   the slot, the author and the payload.
//! * **R1** Every [`EVERY`] slots, or at the roundest such place of a larger batch, it signs the chain and
//!   sends that to all members.
//! * **R2** `f + 1` such marks of one chain make a [`Certificate`].
//! * **R3** A reader that knows the chain at a slot reads on from there. One that does not begins at a
//!   certificate. When neither is here any more, it is told from where on entries are.
//! * **R4** A member sends entries as far as the reader's credit goes, at most [`UNDER_WAY_BYTES`] of which
//!   the reader has not dealt with, and a certificate whenever there is a new one.
//! * **R5** What no certificate covers yet a reader believes once `f + 1` members say the same chain; it may
//!   also have them sign it.
//!
//! Sending is not a protocol of its own: whoever is no member is a client like any other, so what sessions
//! promise holds. A payload has effect once though it is said to all members; a client has a
//! window of requests under way, above which it waits, and is told when the group is busy; and `f + 1`
//! members vouch for what it said, so no member can put words into its mouth.

mod certificate;
mod log;
mod marks;
mod message;
mod publish;
pub mod reader;
mod readers;
pub mod shelf;
pub mod shelved;

#[cfg(test)]
mod tests;

use self::certificate::{statement, tag};
pub use self::{
    certificate::{Certificate, Entry, Excerpt, Link, Shown, Unproven, genesis},
    message::Message,
    publish::Publish,
    reader::Reader,
    readers::READERS_MAX,
    shelf::Shelf,
    shelved::Shelved,
};

/// The slots between two places where members sign. A signature and `f` checks a member for so many
/// payloads are some microseconds each; a proof for one slot holds so many names.
pub const EVERY: u64 = 64;

/// The most bytes under way to one reader: what a link of 100 Mbit/s carries in the 80 ms that it takes
/// round the world's half.
pub const UNDER_WAY_BYTES: u64 = 1 << 20;

/// How many bytes of entries go into one message. The last entry may overflow it.
pub const CHUNK_BYTES: u64 = 256 << 10;

/// How many signatures readers get between two places where members sign anyway: a quarter of the slots, so
/// that what readers want cannot cost more than a batch of four does.
const SIGNED_MAX: usize = 16;

/// How many of them for one reader, so that a greedy one leaves some.
const SIGNED_OF_ONE_MAX: usize = 4;
