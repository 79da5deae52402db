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
    /// How many it had delivered when it left the epoch, if it has: of others its state does not speak.
    pub stood: Round,
}

impl Life {
    fn largest(self) -> u64 {
        self.epoch.max(self.count).max(self.at.number()).max(self.stood.number())
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
        /// Whether this answers a recall; then it is not answered by another.
        back: bool,
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
        if self.largest() > NUMBER_MAX {
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

    /// The largest number in it. All are reckoned with, here or after they were told to others.
    fn largest(&self) -> u64 {
        match self {
            Self::Batch { seq, .. } => *seq,
            Self::Part { after, seq, .. } => *after.max(seq),
            Self::Heads { life, heads } => life.largest().max(item::farthest(heads)),
            Self::Pulse { life } => life.largest(),
            Self::Bind { life, place, heads, .. } => {
                life.largest().max(place.number()).max(item::farthest(heads))
            }
            Self::Cut { place, item } | Self::Item { place, item } => {
                place.number().max(item.largest())
            }
            Self::Leave { epoch } => *epoch,
            Self::Recall { epoch, at, seq, .. } => at.number().max(*epoch).max(*seq),
            Self::Fetch { from: place } | Self::WantItem { place, .. } => place.number(),
            Self::Told { first, items, at } => {
                let items = items.iter().map(Item::largest).max().unwrap_or(0);
                items.max(first.number()).max(at.number())
            }
            Self::Gone { at } => at.number(),
            Self::WantBatches { after, to, .. } => after.seq.max(to.seq),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        id::Slot,
        shuttle::{p, seat},
        stream::atomic::Position,
    };

    /// One of each, with `first` in one place and `rest` in all others.
    fn words(first: u64, rest: u64) -> Vec<Message> {
        let digest = Digest::of("word", b"");
        let (far, near) = (Round::new(first), Round::new(rest));
        let head = |seq| Head { seq, chain: digest };
        let heads = |seq| vec![(p(0), head(rest)), (p(1), head(seq))];
        let life = |epoch, count, at| Life { epoch, count, at, stood: near };
        let stood = Life { stood: far, ..life(rest, rest, near) };
        let lives =
            [life(first, rest, near), life(rest, first, near), life(rest, rest, far), stood];
        let batch = || Batch::of(["word"]);
        let item = |epoch, seq, round, slot| {
            let position = Position { round, slot: Slot::new(slot), ..Position::default() };
            Item { epoch, after: digest, closes: Some(Box::new(position)), heads: heads(seq) }
        };
        let items = [
            item(first, rest, near, rest),
            item(rest, first, near, rest),
            item(rest, rest, far, rest),
            item(rest, rest, near, first),
        ];
        let bind = |life, place, seq| {
            let (phase, chain) = (Phase::One, digest);
            Message::Bind { life, phase, place, chain, heads: heads(seq) }
        };
        let part =
            |after, seq| Message::Part { lane: p(0), after, to: digest, seq, batch: batch() };
        let told = |first, items, at| Message::Told { first, items, at };
        let mut words = vec![
            Message::Batch { seq: first, batch: batch() },
            Message::Heads { life: life(rest, rest, near), heads: heads(first) },
            bind(life(rest, rest, near), far, rest),
            bind(life(rest, rest, near), near, first),
            Message::Leave { epoch: first },
            Message::Recall { epoch: first, at: near, seq: rest, back: false },
            Message::Recall { epoch: rest, at: far, seq: rest, back: false },
            Message::Recall { epoch: rest, at: near, seq: first, back: false },
            Message::Fetch { from: far },
            told(far, Vec::new(), near),
            told(near, Vec::new(), far),
            Message::Gone { at: far },
            Message::WantItem { place: far, chain: digest },
            Message::WantBatches { lane: p(0), after: head(first), to: head(rest) },
            Message::WantBatches { lane: p(0), after: head(rest), to: head(first) },
            part(first, rest),
            part(rest, first),
        ];
        for life in lives {
            words.push(Message::Heads { life, heads: heads(rest) });
            words.push(Message::Pulse { life });
            words.push(bind(life, near, rest));
        }
        for item in items {
            let cut = Item { closes: None, ..item.clone() };
            words.push(Message::Item { place: near, item: item.clone() });
            words.push(told(near, vec![item], near));
            if cut.epoch == first || cut.heads[1].1.seq == first {
                words.push(Message::Cut { place: near, item: cut });
            }
        }
        let item = item(rest, rest, near, rest);
        words.push(Message::Item { place: far, item: item.clone() });
        words.push(Message::Cut { place: far, item: Item { closes: None, ..item } });
        words
    }

    #[test]
    fn no_number_is_beyond_the_last_one() {
        let seat = seat(4, 0);
        for (word, largest) in words(NUMBER_MAX, 1).into_iter().zip(words(NUMBER_MAX + 1, 1)) {
            assert_eq!(word.check(&seat), Ok(()), "{word:?}");
            let fault = Fault::Improper("a number that nothing has".into());
            assert_eq!(largest.check(&seat), Err(fault), "{largest:?}");
        }
    }
}
