//! Agreements: all parties choose, and they choose the same.
//!
//! | | chooses | uses |
//! |---|---|---|
//! | [`coin`] | random bits that nobody knows before `f + 1` parties toss | |
//! | [`binary`] | one bit that a correct party proposed | a coin a round |
//! | [`validated`] | one bit, of which 1 needs a proof | one binary agreement |
//! | [`multivalued`] | one of the proposals | a consistent broadcast a party, a validated agreement a turn |
//! | [`opening`] | nothing, but opens together what `f + 1` want opened | |
//! | [`signature`] | nothing, but signs together what `f + 1` want signed | |

pub mod binary;
pub mod bool_set;
pub mod coin;
pub mod multivalued;
pub mod opening;
mod shares;
pub mod signature;
pub mod validated;

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;

use crate::{crypto::Digest, fault::Fault, protocol::Data, seat::Seat, wire};

/// What may be proposed: the condition of external validity.
///
/// It is plain data, part of the specification of an agreement, and the same at every party. It must
/// be **pure** (the same proof is judged the same at every correct party and for ever, so nothing but
/// the arguments counts), **bounded** (a proof of the largest size is judged in milliseconds), and it
/// reads bytes that a liar chose.
pub trait Predicate: Data {
    /// What is judged: a proposal, or a proof for a vote.
    type Proof: Data;

    /// Whether `proof` holds. `seat` is the seat of the agreement that asks; an implementation may
    /// read its instance id, its group and its public keys, never who it belongs to.
    fn holds(&self, seat: &Seat, proof: &Self::Proof) -> bool;

    /// What protocols call: a predicate that panics does not hold.
    fn judge(&self, seat: &Seat, proof: &Self::Proof) -> bool {
        catch_unwind(AssertUnwindSafe(|| self.holds(seat, proof))).unwrap_or(false)
    }
}

/// Two votes of one party where one is allowed.
fn equivocated<V: Serialize>(first: &V, second: &V) -> Fault {
    let name = |vote: &V| Digest::of("vote", &wire::encode(vote));
    Fault::Equivocated { first: name(first), second: name(second) }
}
