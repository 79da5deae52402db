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
//! The schemes over pairings stand over one of two libraries, see [`curve`].
//!
//! Combination is optimistic: put together, verify the result once, and only when that fails verify
//! each share and blame those who sent the wrong ones. Every scheme has a polynomial of its own, and
//! hashes under a context of its own. Identity elements are refused wherever a point is read: with
//! `threshold_crypto` 0.4 the point at infinity is a public key under which the signature at infinity
//! verifies for every message.

pub mod cipher;
pub mod coin;
pub mod curve;
pub mod ddh;
pub mod dealer;
pub mod multisig;
mod pairing;
pub mod rsa;
pub mod signature;

use std::{collections::BTreeMap, sync::Arc};

pub use pairing::{PairingPublic, PairingSecret};

use self::{
    cipher::PairingCipher,
    coin::PairingCoin,
    curve::{Curve, Plain},
    signature::PairingSignature,
};
use super::{Blame, Purpose, Scheme, Share, ThresholdCipher, ThresholdCoin, ThresholdSignature};
use crate::id::PartyId;

/// Keys over pairings, and the scheme that uses them: which says the library.
pub(crate) struct Pairings<'a> {
    pub(crate) scheme: Scheme,
    pub(crate) public: &'a PairingPublic,
    pub(crate) secret: Option<PairingSecret>,
    pub(crate) needed: usize,
}

/// With which library to do something, given by the scheme.
macro_rules! with_library {
    ($self:ident.$over:ident($($more:expr),*)) => {
        match $self.scheme {
            #[cfg(feature = "blst")]
            Scheme::PairingBlst => $self.$over::<curve::Blst>($($more),*),
            Scheme::Pairing => $self.$over::<Plain>($($more),*),
            other => unreachable!("a configuration with `{other}` over pairings was refused"),
        }
    };
}

impl Pairings<'_> {
    /// Certificates of one purpose.
    pub(crate) fn signature(self, purpose: Purpose) -> Arc<dyn ThresholdSignature> {
        with_library!(self.signature_over(purpose))
    }

    /// Coins.
    pub(crate) fn coin(self) -> Arc<dyn ThresholdCoin> {
        with_library!(self.coin_over())
    }

    /// Ciphertexts.
    pub(crate) fn cipher(self) -> Arc<dyn ThresholdCipher> {
        with_library!(self.cipher_over())
    }

    fn signature_over<C: Curve>(self, purpose: Purpose) -> Arc<dyn ThresholdSignature> {
        Arc::new(PairingSignature::<C>::new(self.public, self.secret, purpose, self.needed))
    }

    fn coin_over<C: Curve>(self) -> Arc<dyn ThresholdCoin> {
        Arc::new(PairingCoin::<C>::new(self.public, self.secret, self.needed))
    }

    fn cipher_over<C: Curve>(self) -> Arc<dyn ThresholdCipher> {
        Arc::new(PairingCipher::<C>::new(self.public, self.secret, self.needed))
    }
}

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
