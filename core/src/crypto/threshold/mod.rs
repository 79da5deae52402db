//! Threshold schemes: what enough members of a group can do together, and fewer cannot.
//!
//! A scheme is described by three numbers. `n` members hold a share each; `k` shares are needed
//! (`needed()` in the traits); up to `t = f` of the holders may be corrupted. `t < k <= n - t`, so
//! that the corrupted alone can do nothing, and the correct alone can do everything. Libraries count
//! differently: the degree of the secret polynomial is `k - 1`, which `threshold_crypto` calls its
//! threshold. Member `i` holds the value of the polynomial at `i + 1`; at 0 is the secret itself.
//!
//! | scheme | `k` | module |
//! |---|---|---|
//! | certificate of a quorum, of `f + 1` | `quorum`, `one_correct` | [`multisig`] or [`signature`] |
//! | signature of a message | `one_correct` | [`multisig`], [`signature`] or [`rsa`] |
//! | common coin | `one_correct` | [`ddh`] or [`coin`] |
//! | cipher | `one_correct` | [`cipher`] |
//!
//! Combination is optimistic: put together, verify the result once, and only when that fails verify
//! each share and blame those who sent the wrong ones. Every scheme has a polynomial of its own, and
//! hashes under a context of its own. Identity elements are refused wherever a point is read: with
//! `threshold_crypto` 0.4 the point at infinity is a public key under which the signature at infinity
//! verifies for every message.

pub mod cipher;
pub mod coin;
pub mod ddh;
pub mod dealer;
pub mod multisig;
mod pairing;
pub mod rsa;
pub mod signature;

use std::collections::BTreeMap;

pub use pairing::{PairingPublic, PairingSecret};

use super::{Blame, Share};
use crate::id::PartyId;

/// The first share of each member, if they are enough. Shares of strangers do not exist.
pub(crate) fn distinct(
    shares: &[(PartyId, Share)],
    n: usize,
    needed: usize,
) -> Result<BTreeMap<PartyId, &Share>, Blame> {
    let mut distinct = BTreeMap::new();
    for (party, share) in shares.iter().filter(|(party, _)| party.index() < n) {
        distinct.entry(*party).or_insert(share);
    }
    if distinct.len() < needed {
        return Err(Blame::TooFew { have: distinct.len(), needed });
    }
    Ok(distinct)
}

/// Those of the shares that are wrong.
pub(crate) fn blame(
    shares: &BTreeMap<PartyId, &Share>,
    right: impl Fn(PartyId, &Share) -> bool,
) -> Blame {
    let wrong = shares.iter().filter(|(party, share)| !right(**party, share));
    Blame::Culprits(wrong.map(|(party, _)| *party).collect())
}

#[cfg(test)]
mod tests;
