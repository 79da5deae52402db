//! What a lane and its stream say to each other, and what the parties do.

use serde::{Deserialize, Serialize};

use crate::stream::batch::Batch;

/// What the stream may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// At the sender: send these payloads.
    Submit(Batch),
    /// At the sender: send no more after what was submitted.
    Close,
}

/// What the stream is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// The next batch.
    Deliver {
        /// Its number.
        number: u64,
        /// At least one payload.
        batch: Batch,
    },
    /// What comes next cannot be had any more, and is passed over.
    Lagged {
        /// The first number that is missing.
        first: u64,
        /// The first that may come.
        to: u64,
    },
    /// The sender's last item was delivered.
    Ended,
    /// These payloads will not be sent.
    Refused {
        /// How many.
        payloads: u64,
    },
    /// At the sender: how many of its payloads it has delivered, or passed over, itself.
    Settled {
        /// The number since the beginning.
        own: u64,
    },
}

/// What the parties say to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// "I have delivered everything below `next`, and keep nothing below `oldest`."
    Progress {
        /// The first number that is not delivered.
        next: u64,
        /// The first number that is kept.
        oldest: u64,
    },
    /// "I may have lost what you said in these broadcasts. Say it again."
    Recall {
        /// The first one.
        first: u64,
        /// The one after the last.
        to: u64,
        /// Whether this answers a recall; then it is not answered by another.
        back: bool,
    },
}
