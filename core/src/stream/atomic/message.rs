//! What the parties of a stream say to each other, and what is wrong with it at first sight.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{WINDOW, vector};
use crate::{
    crypto::{Digest, Signature},
    fault::Fault,
    id::{PartyId, Round},
    seat::Seat,
    stream::batch::Batch,
};

/// What a round decided.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Decision {
    /// Whose proposal it was.
    pub from: PartyId,
    /// The names of the batches, as they were proposed.
    pub vector: Bytes,
}

/// What the parties say to each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// "This is my batch of the round, and I have decided all rounds below."
    Queue {
        /// The round.
        round: Round,
        /// The name of the batch.
        digest: Digest,
        /// The batch; it may be empty.
        batch: Batch,
        /// Over the name, in the domain of the round.
        signature: Signature,
    },
    /// "I may have lost what you said in this round, and earlier. Say it again."
    Recall {
        /// The round.
        round: Round,
        /// Whether your announcement is here.
        announced: bool,
        /// Whether this answers a recall; then it is not answered by another.
        back: bool,
    },
    /// "I lack this batch of this round."
    Request {
        /// The round.
        round: Round,
        /// The name of the batch.
        digest: Digest,
    },
    /// "Here it is."
    Answer {
        /// The round.
        round: Round,
        /// The name of the batch.
        digest: Digest,
        /// The batch.
        batch: Batch,
    },
    /// "Tell me the decisions of these rounds, now or when you know them."
    Fetch {
        /// The first one.
        from: Round,
        /// The one after the last.
        to: Round,
    },
    /// "These rounds decided this."
    Decided {
        /// The first one.
        first: Round,
        /// Their decisions, in order.
        decisions: Vec<Decision>,
        /// The round that the sender is in.
        at: Round,
    },
    /// "I do not keep that round any more."
    Gone {
        /// The oldest round that is kept.
        oldest: Round,
        /// The round that the sender is in.
        at: Round,
    },
}

impl Message {
    /// A signed announcement.
    pub fn queue(seat: &Seat, round: Round, batch: Batch) -> Self {
        let digest = batch.digest();
        let signature = seat.keys.identity.sign(&vector::tag(seat, round), &digest);
        Self::Queue { round, digest, batch, signature }
    }

    /// Judges a message of a member without looking at any state.
    pub(super) fn check(&self, seat: &Seat, from: PartyId) -> Result<(), Fault> {
        match self {
            Self::Queue { round, digest, batch, signature } => {
                check_batch(digest, batch)?;
                let entry =
                    vector::Entry { party: from, batch: *digest, signature: signature.clone() };
                if entry.is_signed(seat, &vector::tag(seat, *round)) {
                    Ok(())
                } else {
                    Err(Fault::BadProof { what: "signature of a batch".into() })
                }
            }
            Self::Answer { digest, batch, .. } => check_batch(digest, batch),
            Self::Fetch { from, to } => check_span(*from, *to),
            Self::Decided { decisions, .. } => check_decisions(seat, decisions),
            Self::Recall { .. } | Self::Request { .. } | Self::Gone { .. } => Ok(()),
        }
    }
}

/// Checks the limits of a batch, and that this is its name. The one place where a batch of a peer is
/// hashed.
fn check_batch(digest: &Digest, batch: &Batch) -> Result<(), Fault> {
    batch.check().map_err(|error| Fault::Improper(error.to_string()))?;
    if batch.digest() == *digest {
        Ok(())
    } else {
        Err(Fault::BadProof { what: "name of a batch".into() })
    }
}

/// Checks which rounds a peer asks for.
fn check_span(from: Round, to: Round) -> Result<(), Fault> {
    let span = to.number().checked_sub(from.number());
    if span.is_some_and(|span| span <= WINDOW) {
        Ok(())
    } else {
        Err(Fault::Improper("fetches more rounds than may be asked for at once".into()))
    }
}

/// Checks what a peer tells about decided rounds.
fn check_decisions(seat: &Seat, decisions: &[Decision]) -> Result<(), Fault> {
    let fits = |decision: &Decision| {
        seat.has(decision.from) && vector::decode(&decision.vector, seat).is_some()
    };
    if decisions.len() as u64 <= WINDOW && decisions.iter().all(fits) {
        Ok(())
    } else {
        Err(Fault::Improper("tells decisions that there cannot be".into()))
    }
}
