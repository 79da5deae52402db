//! What the members of a stream say to each other, and what is wrong with it at first sight.

use serde::{Deserialize, Serialize};

use super::lane::LANE_WINDOW;
use crate::{
    crypto::{Digest, Share},
    effects::Lane,
    fault::Fault,
    id::PartyId,
    seat::Seat,
    stream::{batch::Batch, fast::Head},
    wire::limits::SHARE_BYTES_MAX,
};

/// Beyond this nothing is counted: a million batches a second reach it after a hundred thousand years.
pub(super) const NUMBER_MAX: u64 = 1 << 62;

/// What the members say to each other, besides what they say in the rounds below.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// "This is the batch with this number of my lane."
    Batch {
        /// The number, from 1 on.
        seq: u64,
        /// The payloads.
        batch: Batch,
    },
    /// "Sign the head of my lane with this number, when you store all up to it."
    Sign {
        /// The number.
        seq: u64,
    },
    /// "I store your lane up to here."
    Share {
        /// The head.
        head: Head,
        /// Over the head, in the domain of the lane.
        share: Share,
    },
    /// "I may have lost what you said. Say it again, and your batches from here on."
    Recall {
        /// The batches of the addressee's lane that the sender has.
        seq: u64,
        /// Whether this answers a recall; then it is not answered by another.
        back: bool,
    },
    /// "This head is ordered, and I lack what leads to it."
    Lack {
        /// Whose lane.
        lane: PartyId,
        /// The head.
        to: Head,
    },
    /// "I store what leads to it."
    Have {
        /// Whose lane.
        lane: PartyId,
        /// The head.
        to: Head,
    },
    /// "I do not keep that any more."
    Gone {
        /// Whose lane.
        lane: PartyId,
        /// The head that was asked for.
        to: Head,
    },
    /// "Send me the batches that lead to this head."
    Want {
        /// Whose lane.
        lane: PartyId,
        /// The last number that is there.
        after: u64,
        /// The head.
        to: Head,
    },
    /// "Here is one of them." They come backwards: each is checked against the chain that the one after
    /// it names.
    Part {
        /// Whose lane.
        lane: PartyId,
        /// Its number.
        seq: u64,
        /// The chain before it.
        before: Digest,
        /// The payloads.
        batch: Batch,
    },
}

impl Message {
    /// Judges a message of a member without looking at any state.
    pub(super) fn check(&self, seat: &Seat) -> Result<(), Fault> {
        let improper = |what: &str| Err(Fault::Improper(what.into()));
        let (lane, number) = self.about();
        if number > NUMBER_MAX {
            return improper("a number that nothing has");
        }
        if lane.is_some_and(|lane| !seat.has(lane)) {
            return improper("the lane of nobody");
        }
        match self {
            Self::Batch { seq, batch } | Self::Part { seq, batch, .. } => {
                if batch.is_empty() || *seq == 0 {
                    return improper("an empty batch, or one before all others");
                }
                batch.check().map_err(|error| Fault::Improper(error.to_string()))
            }
            Self::Share { share, .. } if share.0.len() > SHARE_BYTES_MAX => {
                improper("share too large")
            }
            Self::Want { after, to, .. } => match to.seq.checked_sub(*after) {
                Some(1..=LANE_WINDOW) => Ok(()),
                _ => improper("wants more batches than can be ordered at once"),
            },
            _ => Ok(()),
        }
    }

    /// Which lane it is about, if it says, and the largest number that is reckoned with.
    fn about(&self) -> (Option<PartyId>, u64) {
        match self {
            Self::Batch { seq, .. } | Self::Sign { seq } | Self::Recall { seq, .. } => (None, *seq),
            Self::Share { head, .. } => (None, head.seq),
            Self::Lack { lane, to }
            | Self::Have { lane, to }
            | Self::Gone { lane, to }
            | Self::Want { lane, to, .. } => (Some(*lane), to.seq),
            Self::Part { lane, seq, .. } => (Some(*lane), *seq),
        }
    }

    /// The queue of the link. Who has what another lacks says so behind the batches that are on their
    /// way there, so that what is only late is not sent twice.
    pub(super) fn lane(&self) -> Lane {
        match self {
            Self::Batch { .. } | Self::Have { .. } | Self::Part { .. } => Lane::Bulk,
            _ => Lane::Control,
        }
    }
}
