//! Heavy, pure work that a protocol hands to the pool instead of doing it in a step.

use serde::{Deserialize, Serialize};

use super::{Blame, Digest, Keys, Share};
use crate::{id::PartyId, path::Tag};

/// What to compute. The result depends on the job and the keys, on nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Job {
    /// This party's share of a coin.
    CoinShare {
        /// The name of the coin.
        tag: Tag,
    },
    /// The value of a coin.
    CoinCombine {
        /// The name of the coin.
        tag: Tag,
        /// Shares of distinct parties, unchecked.
        shares: Vec<(PartyId, Share)>,
    },
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// A share.
    Share(Share),
    /// The value of a coin, or whom to blame.
    Coin(Result<Digest, Blame>),
}

impl Job {
    /// Does the work.
    pub fn perform(&self, keys: &Keys) -> Answer {
        match self {
            Self::CoinShare { tag } => Answer::Share(keys.coin.share(tag)),
            Self::CoinCombine { tag, shares } => Answer::Coin(keys.coin.combine(tag, shares)),
        }
    }
}
