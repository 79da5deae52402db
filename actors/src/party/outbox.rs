//! What waits until the log is durable: frames to send, and frames to acknowledge.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use maftia_core::{effects::Lane, path::InstanceId, seat::Owner};
use serde::{Deserialize, Serialize};

use crate::log::{Lsn, Origin};

/// A frame on its way out.
pub(crate) struct Parcel {
    pub(crate) to: Vec<Owner>,
    pub(crate) instance: InstanceId,
    pub(crate) lane: Lane,
    pub(crate) frame: Bytes,
}

/// Which frames of a peer's lane are durable here: all up to a floor, and some above it, since the
/// mailboxes of a party are not emptied in one order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Lanes {
    floor: u64,
    above: BTreeSet<u64>,
}

/// The frames that are durable here, by sender and lane.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Taken(BTreeMap<(Owner, Lane), Lanes>);

impl Taken {
    /// Notes a frame; the floor, when it rose.
    pub(crate) fn note(&mut self, origin: Origin) -> Option<u64> {
        let lanes = self.0.entry((origin.from, origin.lane)).or_default();
        if origin.number > lanes.floor {
            lanes.above.insert(origin.number);
        }
        let before = lanes.floor;
        while lanes.above.remove(&(lanes.floor + 1)) {
            lanes.floor += 1;
        }
        (lanes.floor > before).then_some(lanes.floor)
    }

    /// Everything up to this number is taken or lost.
    pub(crate) fn skip(&mut self, from: Owner, lane: Lane, number: u64) {
        let lanes = self.0.entry((from, lane)).or_default();
        lanes.floor = lanes.floor.max(number);
        lanes.above = lanes.above.split_off(&(lanes.floor + 1));
    }

    /// Forgets a sender, who counts from 1 if it comes again.
    fn forget(&mut self, from: Owner) {
        self.0.retain(|(owner, _), _| *owner != from);
    }

    /// Whether this frame is durable here.
    pub(crate) fn has(&self, origin: Origin) -> bool {
        self.0.get(&(origin.from, origin.lane)).is_some_and(|lanes| {
            origin.number <= lanes.floor || lanes.above.contains(&origin.number)
        })
    }

    /// The floors of all lanes.
    pub(crate) fn floors(&self) -> impl Iterator<Item = Origin> + '_ {
        self.0.iter().map(|((from, lane), lanes)| Origin {
            from: *from,
            lane: *lane,
            number: lanes.floor,
        })
    }
}

/// See the [module](self).
#[derive(Default)]
pub(crate) struct Outbox {
    parcels: VecDeque<(Lsn, Parcel)>,
    frames: VecDeque<(Lsn, Origin)>,
    taken: Taken,
}

impl Outbox {
    /// Nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.parcels.is_empty() && self.frames.is_empty()
    }

    pub(crate) fn hold(&mut self, lsn: Lsn, parcel: Parcel) {
        self.parcels.push_back((lsn, parcel));
    }

    /// Notes a frame that is acknowledged when the record is durable. Number 0 came from no link.
    pub(crate) fn acknowledge(&mut self, lsn: Lsn, origin: Origin) {
        if origin.number > 0 {
            self.frames.push_back((lsn, origin));
        }
    }

    /// The next frame whose cause is durable.
    pub(crate) fn next_parcel(&mut self, durable: Lsn) -> Option<Parcel> {
        self.parcels.pop_front_if(|(lsn, _)| *lsn <= durable).map(|(_, parcel)| parcel)
    }

    /// The next floor that rose because records are durable.
    pub(crate) fn next_taken(&mut self, durable: Lsn) -> Option<Origin> {
        loop {
            let (_, origin) = self.frames.pop_front_if(|(lsn, _)| *lsn <= durable)?;
            if let Some(number) = self.taken.note(origin) {
                return Some(Origin { number, ..origin });
            }
        }
    }

    /// Forgets a sender all of whose frames are durable. What it sent twice is not counted later.
    pub(crate) fn forget(&mut self, from: Owner) {
        self.frames.retain(|(_, origin)| origin.from != from);
        self.taken.forget(from);
    }

    pub(crate) fn taken(&self) -> &Taken {
        &self.taken
    }

    pub(crate) fn taken_mut(&mut self) -> &mut Taken {
        &mut self.taken
    }
}

#[cfg(test)]
mod tests {
    use maftia_core::id::{GroupId, PartyId};

    use super::*;

    fn origin(number: u64) -> Origin {
        let from = Owner::Party(GroupId::new(0), PartyId::new(1));
        Origin { from, lane: Lane::Bulk, number }
    }

    #[test]
    fn only_what_is_durable_without_a_gap_is_acknowledged() {
        let mut outbox = Outbox::default();
        for (lsn, number) in [(1, 2), (2, 1), (3, 4), (4, 3)] {
            outbox.acknowledge(lsn, origin(number));
        }
        assert_eq!(outbox.next_taken(1), None, "1 is missing");
        assert_eq!(outbox.next_taken(3), Some(origin(2)));
        assert_eq!(outbox.next_taken(3), None);
        assert!(outbox.taken().has(origin(4)) && !outbox.taken().has(origin(3)));
        assert_eq!(outbox.next_taken(4), Some(origin(4)));
    }

    #[test]
    fn what_is_lost_is_skipped() {
        let mut taken = Taken::default();
        assert_eq!(taken.note(origin(5)), None);
        taken.skip(origin(0).from, Lane::Bulk, 4);
        assert!(taken.has(origin(3)));
        assert_eq!(taken.note(origin(6)), Some(6));
    }
}
