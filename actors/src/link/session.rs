//! What two owners owe each other, across connections and restarts: a value without any input or
//! output of its own.
//!
//! Each direction of each lane numbers its frames from 1. The sender keeps a frame until the receiver
//! has *acknowledged* it, which it does when the frame is durable there, and not earlier; TCP's own
//! acknowledgements mean nothing here. The receiver takes the numbers in order, each once. When a
//! line is made anew, each side says what it has *taken*, and the other goes on from there.
//!
//! What does not fit the backlog is forgotten, oldest first: the receiver is told that numbers up to
//! some number are gone, and jumps there. An owner that came back without memory numbers from 1
//! again; at its first meeting it learns the number that its peer has taken and goes on *above* it,
//! leaving a gap of one, so that the peer notices that something is lost. Cursors therefore only
//! rise, and can be rebuilt from a log in any order.
//!
//! An owner that comes back with its memory gives the same numbers to the same frames, because it sends
//! again what its log makes it send. What no log remembers must not count among them, or whatever comes
//! next would bear the number of something that the peer has taken, and be dropped there as known. So a
//! *word* has no number: it is written once, and nobody acknowledges it.

use std::{collections::VecDeque, sync::Arc};

use maftia_core::effects::Lane;
use serde::{Deserialize, Serialize};

use super::parcel::Parcel;

/// The most control frames that wait for one peer: ten rounds of a group of 16 with all its agreements.
pub const CONTROL_FRAMES_MAX: usize = 1 << 16;

/// The most bytes of control frames that wait for one peer.
pub const CONTROL_BYTES_MAX: usize = 16 << 20;

/// The most bulk frames that wait for one peer.
pub const BULK_FRAMES_MAX: usize = 1 << 14;

/// The most bytes of bulk frames that wait for one peer: a dozen of the largest. Peers that wait for
/// the same bodies share them.
pub const BULK_BYTES_MAX: usize = 64 << 20;

/// How much waits for one peer, in frames and bytes a lane. The newest frame is always kept.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    control: (usize, usize),
    bulk: (usize, usize),
}

/// What waits for a member of a group.
const MEMBER: Bounds = Bounds {
    control: (CONTROL_FRAMES_MAX, CONTROL_BYTES_MAX),
    bulk: (BULK_FRAMES_MAX, BULK_BYTES_MAX),
};

/// What waits for a client: the answers to a window of requests. It asks again for what is lost, so
/// that a thousand clients that never acknowledge anything do not fill the memory of a party.
pub const CLIENT: Bounds = Bounds { control: (1 << 10, 256 << 10), bulk: (1 << 10, 1 << 20) };

/// The number in the place where a word has none: frames count from 1.
pub const WORD: u64 = 0;

/// Higher numbers are refused, so that counting on never overflows.
const NUMBER_MAX: u64 = u64::MAX / 2;

/// A peer claims what cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lie {
    /// It says that it has frames that it was never sent.
    #[error("claims to have {lane:?} frame {claimed}, where {sent} is the last one sent")]
    Unsent {
        /// The lane.
        lane: Lane,
        /// The number that it claims to have.
        claimed: u64,
        /// The last number that it was sent.
        sent: u64,
    },
    /// It leaves out frames without saying that they are gone.
    #[error("sent {lane:?} frame {number} after {taken}")]
    Gap {
        /// The lane.
        lane: Lane,
        /// The number that it sent.
        number: u64,
        /// The last number taken.
        taken: u64,
    },
    /// It says twice on one line where to go on.
    #[error("resumes the {0:?} lane twice")]
    Again(Lane),
    /// It uses a number that nobody reaches by counting.
    #[error("the {lane:?} number {number} is out of reach")]
    OutOfReach {
        /// The lane.
        lane: Lane,
        /// The number.
        number: u64,
    },
}

/// What to write next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// Numbers up to this one are gone.
    Gone(u64),
    /// The frame with this number.
    Frame(u64, Arc<Parcel>),
    /// A frame without a number.
    Word(Arc<Parcel>),
}

/// All that one owner knows about its exchange with one other owner.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Session {
    control: Flow,
    bulk: Flow,
    /// Words that are not written. They go down with this life.
    #[serde(skip)]
    words: VecDeque<Arc<Parcel>>,
}

/// One lane, both ways.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Flow {
    /// How many numbers are below the backlog: acknowledged, forgotten, or never used.
    below: u64,
    /// What the peer has not acknowledged.
    backlog: VecDeque<Arc<Parcel>>,
    /// What the backlog weighs.
    weight: usize,
    /// The last number taken from the peer.
    taken: u64,
    /// The last number from the peer that is durable here.
    durable: u64,
    /// Whether the peer's cursor has been heard in this life.
    #[serde(skip)]
    met: bool,
    /// The last number written to the present line.
    #[serde(skip)]
    written: Option<u64>,
    /// The last acknowledgement written to the present line.
    #[serde(skip)]
    told: u64,
}

/// Refuses numbers from which one cannot count on.
const fn reachable(lane: Lane, number: u64) -> Result<(), Lie> {
    if number > NUMBER_MAX { Err(Lie::OutOfReach { lane, number }) } else { Ok(()) }
}

impl Session {
    /// Queues a frame to a member and gives its number. Beyond the bounds of the lane the oldest are
    /// forgotten.
    pub fn push(&mut self, lane: Lane, parcel: Arc<Parcel>) -> u64 {
        self.push_within(MEMBER, lane, parcel)
    }

    /// Queues a frame and gives its number. Beyond these bounds the oldest are forgotten.
    pub fn push_within(&mut self, bounds: Bounds, lane: Lane, parcel: Arc<Parcel>) -> u64 {
        let (frames, bytes) = match lane {
            Lane::Control => bounds.control,
            Lane::Bulk => bounds.bulk,
        };
        let flow = self.flow_mut(lane);
        flow.weight += parcel.weight();
        flow.backlog.push_back(parcel);
        while flow.backlog.len() > 1 && (flow.backlog.len() > frames || flow.weight > bytes) {
            flow.forget();
        }
        flow.last()
    }

    /// Queues a word. Beyond what may wait for a client, whoever it is for, the oldest are forgotten: it
    /// is asked for again.
    pub fn say(&mut self, parcel: Arc<Parcel>) {
        self.words.push_back(parcel);
        let (frames, bytes) = CLIENT.control;
        let mut weight: usize = self.words.iter().map(|word| word.weight()).sum();
        while self.words.len() > 1 && (self.words.len() > frames || weight > bytes) {
            weight -= self.words.pop_front().map_or(0, |oldest| oldest.weight());
        }
    }

    /// A new line: nothing is written on it yet, and the peer's cursors are not known.
    pub fn begin(&mut self) {
        for flow in [&mut self.control, &mut self.bulk] {
            (flow.written, flow.told) = (None, 0);
        }
    }

    /// The last number taken from the peer, which is what it is told when a line begins.
    pub fn taken(&self, lane: Lane) -> u64 {
        self.flow(lane).taken
    }

    /// The peer says what it has taken: go on from there.
    pub fn resume(&mut self, lane: Lane, taken: u64) -> Result<(), Lie> {
        reachable(lane, taken)?;
        let flow = self.flow_mut(lane);
        if flow.written.is_some() {
            return Err(Lie::Again(lane));
        }
        if taken > flow.last() {
            if flow.met {
                return Err(Lie::Unsent { lane, claimed: taken, sent: flow.last() });
            }
            // We have lost our memory: go on above, and leave a gap that the peer will notice.
            flow.below = taken + 1;
        }
        flow.met = true;
        flow.written = Some(taken);
        Ok(())
    }

    /// The peer acknowledges all numbers up to this one: they need not be kept.
    pub fn acked(&mut self, lane: Lane, number: u64) -> Result<(), Lie> {
        let flow = self.flow_mut(lane);
        let sent = flow.written.unwrap_or(0);
        if number > sent {
            return Err(Lie::Unsent { lane, claimed: number, sent });
        }
        while flow.below < number && !flow.backlog.is_empty() {
            flow.forget();
        }
        Ok(())
    }

    /// What to write next on this lane, if there is anything and the peer's cursor is known. Words go
    /// first: they are few.
    pub fn next(&mut self, lane: Lane) -> Option<Outgoing> {
        self.flow(lane).written?;
        if lane == Lane::Control
            && let Some(word) = self.words.pop_front()
        {
            return Some(Outgoing::Word(word));
        }
        let flow = self.flow_mut(lane);
        let written = flow.written.as_mut()?;
        if *written < flow.below {
            *written = flow.below;
            return Some(Outgoing::Gone(flow.below));
        }
        let parcel = flow.backlog.get((*written - flow.below) as usize)?;
        *written += 1;
        Some(Outgoing::Frame(*written, Arc::clone(parcel)))
    }

    /// Whether everything is written to the present line.
    pub fn is_drained(&self) -> bool {
        self.words.is_empty()
            && [&self.control, &self.bulk]
                .into_iter()
                .all(|flow| flow.written.is_some_and(|written| written >= flow.last()))
    }

    /// Whether the number is the next to take, or none. `false`: it was taken before and is to be
    /// dropped.
    pub fn expects(&self, lane: Lane, number: u64) -> Result<bool, Lie> {
        if (lane, number) == (Lane::Control, WORD) {
            return Ok(true);
        }
        let taken = self.taken(lane);
        if number > taken + 1 { Err(Lie::Gap { lane, number, taken }) } else { Ok(number > taken) }
    }

    /// The frame with this number, and all below it, are taken. Also used to rebuild the cursor from
    /// a log. Numbers that cannot be are ignored.
    pub fn took(&mut self, lane: Lane, number: u64) {
        if reachable(lane, number).is_ok() {
            let taken = &mut self.flow_mut(lane).taken;
            *taken = number.max(*taken);
        }
    }

    /// The peer says that numbers up to this one are gone. Whether any of them was not taken.
    pub fn misses(&self, lane: Lane, up_to: u64) -> Result<bool, Lie> {
        reachable(lane, up_to)?;
        Ok(up_to > self.taken(lane))
    }

    /// What came up to this number is taken and durable here, so the peer may forget it.
    pub fn durable(&mut self, lane: Lane, number: u64) {
        self.took(lane, number);
        let flow = self.flow_mut(lane);
        flow.durable = number.min(flow.taken).max(flow.durable);
    }

    /// Whether all that was taken is durable: nothing of it is under way on the local side.
    pub fn is_settled(&self) -> bool {
        [&self.control, &self.bulk].into_iter().all(|flow| flow.taken == flow.durable)
    }

    /// How many numbers are durable and not yet acknowledged on the present line.
    pub fn unacknowledged(&self) -> u64 {
        [&self.control, &self.bulk].into_iter().map(|flow| flow.durable - flow.told).sum()
    }

    /// The acknowledgement to write, if there is a new one.
    pub fn acknowledge(&mut self, lane: Lane) -> Option<u64> {
        let flow = self.flow_mut(lane);
        let new = flow.durable > flow.told;
        flow.told = flow.durable;
        new.then_some(flow.durable)
    }

    /// As a snapshot holds it: what was taken but is not durable comes again.
    #[must_use]
    pub fn at_rest(&self) -> Self {
        let mut session = self.clone();
        for flow in [&mut session.control, &mut session.bulk] {
            flow.taken = flow.durable;
        }
        session
    }

    /// How many frames and bytes wait for an acknowledgement.
    pub fn backlog(&self, lane: Lane) -> (usize, usize) {
        let flow = self.flow(lane);
        (flow.backlog.len(), flow.weight)
    }

    const fn flow(&self, lane: Lane) -> &Flow {
        match lane {
            Lane::Control => &self.control,
            Lane::Bulk => &self.bulk,
        }
    }

    const fn flow_mut(&mut self, lane: Lane) -> &mut Flow {
        match lane {
            Lane::Control => &mut self.control,
            Lane::Bulk => &mut self.bulk,
        }
    }
}

impl Flow {
    /// The last number given.
    fn last(&self) -> u64 {
        self.below + self.backlog.len() as u64
    }

    /// Drops the oldest frame.
    fn forget(&mut self) {
        if let Some(parcel) = self.backlog.pop_front() {
            self.weight -= parcel.weight();
            self.below += 1;
        }
    }
}
