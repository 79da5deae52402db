//! What the members of a stream say to each other, and what is wrong with it at first sight.

use serde::{Deserialize, Serialize};

use super::item::{self, Head, Item};
use crate::{
    crypto::Digest,
    effects::Lane,
    fault::Fault,
    id::{PartyId, Round},
    seat::Seat,
    stream::batch::Batch,
};

/// The most items that are told at once.
pub(super) const TOLD_MAX: u64 = 32;

/// Beyond this nothing is counted: a million items a second reach it after a hundred thousand years.
pub(super) const NUMBER_MAX: u64 = 1 << 62;

/// Which of the two binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Phase {
    /// "I store what it orders, and bind myself to nothing else at this place."
    One,
    /// "`n - f` members said the first bind."
    Two,
}

/// What goes with many messages: a sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// The epoch that the sender is in.
    pub epoch: u64,
    /// How many pulses it has given in it, with this one if it is one. What else it says repeats the last:
    /// that is faster than payloads are.
    pub count: u64,
    /// Where it is: how many items it has delivered.
    pub at: Round,
}

impl Life {
    fn numbers(self) -> [u64; 3] {
        [self.epoch, self.count, self.at.number()]
    }
}

/// What the members say to each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// "This is the batch with this number of my lane."
    Batch {
        /// The number, from 1 on.
        seq: u64,
        /// The payloads.
        batch: Batch,
    },
    /// "I store these lanes up to here."
    Heads {
        /// A sign of life.
        life: Life,
        /// The lanes.
        heads: Vec<(PartyId, Head)>,
    },
    /// The leader's: "this item comes at this place".
    Cut {
        /// The place after it.
        place: Round,
        /// The item.
        item: Item,
    },
    /// A bind to the chain at a place.
    Bind {
        /// A sign of life.
        life: Life,
        /// Which bind.
        phase: Phase,
        /// The place.
        place: Round,
        /// The chain.
        chain: Digest,
        /// What else the sender stores, as in [`Message::Heads`].
        heads: Vec<(PartyId, Head)>,
    },
    /// "I am there, and wait."
    Pulse {
        /// A sign of life.
        life: Life,
    },
    /// "I have left this epoch, because it does not go on."
    Leave {
        /// Which.
        epoch: u64,
    },
    /// "I may have lost what you said in this epoch. Say it again, and your batches from here on."
    Recall {
        /// The epoch.
        epoch: u64,
        /// Where the sender is.
        at: Round,
        /// The batches of the addressee's lane that the sender has.
        seq: u64,
    },
    /// "Tell me the items from this place on."
    Fetch {
        /// The place after the first one.
        from: Round,
    },
    /// "These items were delivered."
    Told {
        /// The place after the first one.
        first: Round,
        /// The items.
        items: Vec<Item>,
        /// How many items the sender has delivered.
        at: Round,
    },
    /// "I do not keep that item any more."
    Gone {
        /// How many items the sender has delivered.
        at: Round,
    },
    /// "I lack the item with this chain."
    WantItem {
        /// The place after it.
        place: Round,
        /// The chain there.
        chain: Digest,
    },
    /// "Here it is."
    Item {
        /// The place after it.
        place: Round,
        /// The item.
        item: Item,
    },
    /// "I lack these batches of a lane."
    WantBatches {
        /// Whose lane.
        lane: PartyId,
        /// What is there.
        after: Head,
        /// Up to where.
        to: Head,
    },
    /// "Here is one of them."
    Part {
        /// Whose lane.
        lane: PartyId,
        /// The number after which they were asked for.
        after: u64,
        /// The chain up to which they were asked for.
        to: Digest,
        /// Its number.
        seq: u64,
        /// The payloads.
        batch: Batch,
    },
}

impl Message {
    /// Judges a message of a member without looking at any state.
    pub(super) fn check(&self, seat: &Seat) -> Result<(), Fault> {
        let improper = |what: &str| Err(Fault::Improper(what.into()));
        if self.numbers().iter().any(|number| *number > NUMBER_MAX) {
            return improper("a number that nothing has");
        }
        match self {
            Self::Batch { batch, .. } | Self::Part { batch, .. } => {
                if batch.is_empty() {
                    return improper("an empty batch");
                }
                batch.check().map_err(|error| Fault::Improper(error.to_string()))
            }
            Self::Heads { heads, .. } | Self::Bind { heads, .. }
                if !item::is_proper(heads, seat) =>
            {
                improper("heads of lanes that there cannot be")
            }
            Self::Cut { item, .. } if item.closes.is_some() => improper("a cut closes no epoch"),
            Self::Cut { item, place } | Self::Item { item, place } => {
                let proper = item.is_proper(seat) && *place > Round::FIRST;
                if proper { Ok(()) } else { improper("an item that there cannot be") }
            }
            Self::Told { items, .. } => {
                let few = items.len() as u64 <= TOLD_MAX;
                let proper = few && items.iter().all(|item| item.is_proper(seat));
                if proper { Ok(()) } else { improper("tells items that there cannot be") }
            }
            _ => Ok(()),
        }
    }

    /// Numbers that are reckoned with.
    fn numbers(&self) -> [u64; 3] {
        match self {
            Self::Batch { seq, .. } => [*seq, 0, 0],
            Self::Part { after, seq, .. } => [*after, *seq, 0],
            Self::Heads { life, .. } | Self::Pulse { life } => life.numbers(),
            Self::Bind { life, place, .. } => [place.number(), life.count, life.at.number()],
            Self::Cut { place, item } | Self::Item { place, item } => {
                [place.number(), item.epoch, 0]
            }
            Self::Leave { epoch } => [*epoch, 0, 0],
            Self::Recall { epoch, at, seq } => [*epoch, at.number(), *seq],
            Self::Fetch { from: place } | Self::WantItem { place, .. } => [place.number(), 0, 0],
            Self::Told { first, at, .. } => [first.number(), at.number(), 0],
            Self::Gone { at } => [at.number(), 0, 0],
            Self::WantBatches { after, to, .. } => [after.seq, to.seq, 0],
        }
    }

    /// The queue of the link. A pulse goes with the payloads, so that it measures how fast those are,
    /// and so that a busy group gives few.
    pub(super) fn lane(&self) -> Lane {
        match self {
            Self::Batch { .. } | Self::Part { .. } | Self::Pulse { .. } => Lane::Bulk,
            _ => Lane::Control,
        }
    }
}
