//! What is in flight: letters in queues, one queue a channel.
//!
//! A link promises order within a lane, an edge between a parent and a detached child promises order,
//! and nothing else is promised. So the heads of the queues are what may happen next.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    crypto::Job,
    effects::Lane,
    host::Alarm,
    id::Peer,
    mail::Notice,
    path::{InstanceId, Segment},
    protocol::Protocol,
    seat::Owner,
    wire,
};

/// One tree of a world, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Site(pub(super) usize);

/// Something on its way to a tree. All of it is plain data, so worlds can be copied and compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Letter {
    /// A frame on a link.
    Frame {
        /// Who says it; links authenticate.
        from: Owner,
        /// Who gets it.
        to: Owner,
        /// Which instance.
        instance: InstanceId,
        /// The message, encoded.
        bytes: Bytes,
    },
    /// An input: of the user when the number is 0, else of a parent to its detached child.
    Input {
        /// The tree.
        to: Site,
        /// The number on the edge.
        number: u64,
        /// The input, encoded.
        bytes: Bytes,
    },
    /// An answer of a detached child.
    Heard {
        /// The parent's tree.
        to: Site,
        /// Where the child hangs.
        from: Segment,
        /// The number on the edge.
        number: u64,
        /// What the parent hears, encoded.
        bytes: Bytes,
    },
    /// An early frame that a parent hands on to its detached child.
    Forwarded {
        /// The child's tree.
        to: Site,
        /// Who said it.
        from: Peer,
        /// Which instance.
        instance: InstanceId,
        /// The message, encoded.
        bytes: Bytes,
    },
    /// A notice for a tree.
    Notice {
        /// The tree.
        to: Site,
        /// What it is to know.
        notice: Notice,
    },
    /// The end of a detached child.
    Retired {
        /// The child's tree.
        to: Site,
    },
    /// An alarm whose time has come.
    Alarm {
        /// The tree.
        to: Site,
        /// The alarm.
        alarm: Alarm,
    },
    /// A job that is done when it arrives.
    Job {
        /// The tree that asked.
        to: Site,
        /// Its place there.
        id: InstanceId,
        /// What to do.
        job: Job,
    },
}

impl Letter {
    /// The message of a frame, read as one of `P`. The instance tells whether it is one.
    pub fn message<P: Protocol>(&self) -> Option<P::Message> {
        match self {
            Self::Frame { bytes, .. } => wire::decode(bytes).ok(),
            _ => None,
        }
    }

    /// The ends and the instance of a frame.
    pub const fn frame(&self) -> Option<(Owner, Owner, &InstanceId)> {
        match self {
            Self::Frame { from, to, instance, .. } => Some((*from, *to, instance)),
            _ => None,
        }
    }
}

/// Letters of one channel arrive in order, unless the world is told to break that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Channel {
    /// One direction and lane of a link.
    Link {
        /// The one who speaks.
        from: Owner,
        /// The one who hears.
        to: Owner,
        /// The lane.
        lane: Lane,
    },
    /// A user and a root.
    User(Site),
    /// A parent and its detached child, one direction.
    Edge(Site, Site),
    /// A letter by itself: a job, an alarm.
    Alone,
}

/// A letter and when it was sent.
#[derive(Clone, Debug)]
pub struct Flight {
    /// The letters sent before it.
    pub number: u64,
    /// The letter.
    pub letter: Letter,
}

#[derive(Clone, Debug)]
struct Queue {
    channel: Channel,
    letters: VecDeque<Flight>,
    /// Its place among those that are not empty.
    place: usize,
}

/// Which letter comes next: a queue that is not empty, and how many of its letters are overtaken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pick {
    /// The queue, by its place among those that are not empty.
    pub queue: u32,
    /// 0 keeps the order of the channel.
    pub depth: u32,
}

impl Pick {
    /// The head of a queue.
    pub const fn head(queue: usize) -> Self {
        Self { queue: queue as u32, depth: 0 }
    }
}

/// Everything that is in flight.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    queues: Vec<Queue>,
    named: BTreeMap<Channel, usize>,
    ready: Vec<usize>,
    free: Vec<usize>,
    sent: u64,
    len: usize,
}

impl Pool {
    /// How many queues are not empty.
    pub fn queues(&self) -> usize {
        self.ready.len()
    }

    /// How many letters are in flight.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is in flight.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many letters were ever sent.
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// The letter that is next in a queue.
    pub fn head(&self, queue: usize) -> &Flight {
        &self.queues[self.ready[queue]].letters[0]
    }

    /// The letters of a queue, in order. There is at least one.
    pub fn letters(&self, queue: usize) -> impl ExactSizeIterator<Item = &Flight> {
        self.queues[self.ready[queue]].letters.iter()
    }

    /// What connects the letters of a queue.
    pub fn channel(&self, queue: usize) -> Channel {
        self.queues[self.ready[queue]].channel
    }

    /// What connects the letters of the queue that was picked, if there is one.
    pub(super) fn channel_of(&self, pick: Pick) -> Option<Channel> {
        self.ready.get(pick.queue as usize).map(|slot| self.queues[*slot].channel)
    }

    pub(super) fn send(&mut self, channel: Channel, letter: Letter) {
        let flight = Flight { number: self.sent, letter };
        self.sent += 1;
        self.len += 1;
        let known = if channel == Channel::Alone { None } else { self.named.get(&channel) };
        let slot = known.copied().unwrap_or_else(|| self.open(channel));
        let queue = &mut self.queues[slot];
        if queue.letters.is_empty() {
            queue.place = self.ready.len();
            self.ready.push(slot);
        }
        queue.letters.push_back(flight);
    }

    /// Puts a letter before all others of its channel: it was taken, and is not any more.
    pub(super) fn put_back(&mut self, channel: Channel, letter: Letter) {
        self.send(channel, letter);
        let queue = self.named.get(&channel).map(|slot| &mut self.queues[*slot].letters);
        if let Some(queue) = queue
            && let Some(last) = queue.pop_back()
        {
            queue.push_front(last);
        }
    }

    fn open(&mut self, channel: Channel) -> usize {
        let queue = Queue { channel, letters: VecDeque::new(), place: 0 };
        let slot = if let Some(slot) = self.free.pop() {
            self.queues[slot] = queue;
            slot
        } else {
            self.queues.push(queue);
            self.queues.len() - 1
        };
        if channel != Channel::Alone {
            self.named.insert(channel, slot);
        }
        slot
    }

    /// Takes a letter out. `None` when there is no such queue or it is shorter.
    pub(super) fn take(&mut self, pick: Pick) -> Option<Flight> {
        let slot = *self.ready.get(pick.queue as usize)?;
        let flight = self.queues[slot].letters.remove(pick.depth as usize)?;
        self.len -= 1;
        if self.queues[slot].letters.is_empty() {
            self.retire(slot);
        }
        Some(flight)
    }

    fn retire(&mut self, slot: usize) {
        let place = self.queues[slot].place;
        self.ready.swap_remove(place);
        if let Some(moved) = self.ready.get(place) {
            self.queues[*moved].place = place;
        }
        if self.queues[slot].channel == Channel::Alone {
            self.free.push(slot);
        }
    }

    /// Drops the letters for which `goes` says so: the jobs and alarms of a process that fell.
    pub(super) fn drop_where(&mut self, goes: impl Fn(&Letter) -> bool) {
        for place in (0..self.ready.len()).rev() {
            let slot = self.ready[place];
            let queue = &mut self.queues[slot];
            let before = queue.letters.len();
            queue.letters.retain(|flight| !goes(&flight.letter));
            self.len -= before - queue.letters.len();
            if queue.letters.is_empty() {
                self.retire(slot);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(number: u64) -> Letter {
        Letter::Input { to: Site(0), number, bytes: Bytes::new() }
    }

    fn number(flight: Option<Flight>) -> Option<u64> {
        match flight?.letter {
            Letter::Input { number, .. } => Some(number),
            _ => None,
        }
    }

    #[test]
    fn a_channel_keeps_order_and_channels_do_not_wait_for_each_other() {
        let mut pool = Pool::default();
        let (a, b) = (Channel::User(Site(0)), Channel::User(Site(1)));
        for (channel, number) in [(a, 1), (b, 10), (a, 2), (Channel::Alone, 20), (a, 3)] {
            pool.send(channel, letter(number));
        }
        assert_eq!((pool.queues(), pool.len()), (3, 5));
        assert_eq!(number(pool.take(Pick::head(1))), Some(10));
        assert_eq!(number(pool.take(Pick::head(0))), Some(1));
        assert_eq!(number(pool.take(Pick { queue: 0, depth: 1 })), Some(3), "overtakes");
        assert_eq!(number(pool.take(Pick { queue: 0, depth: 1 })), None);
        assert_eq!(number(pool.take(Pick::head(0))), Some(2));
        assert_eq!(number(pool.take(Pick::head(0))), Some(20));
        assert!(pool.is_empty());
        assert_eq!(pool.queues(), 0);
    }

    #[test]
    fn what_is_put_back_comes_first() {
        let (mut pool, a) = (Pool::default(), Channel::User(Site(0)));
        (1..4).for_each(|number| pool.send(a, letter(number)));
        let taken: Vec<_> =
            (0..2).map(|_| pool.take(Pick::head(0)).expect("three letters")).collect();
        taken.into_iter().rev().for_each(|flight| pool.put_back(a, flight.letter));
        let order: Vec<_> = std::iter::from_fn(|| number(pool.take(Pick::head(0)))).collect();
        assert_eq!(order, [1, 2, 3]);
        pool.put_back(a, letter(9));
        assert_eq!((pool.queues(), number(pool.take(Pick::head(0)))), (1, Some(9)));
    }

    #[test]
    fn dropped_letters_leave_the_rest_in_order() {
        let mut pool = Pool::default();
        for number in 0..10 {
            pool.send(Channel::User(Site((number % 3) as usize)), letter(number));
            pool.send(Channel::Alone, letter(100 + number));
        }
        pool.drop_where(|letter| matches!(letter, Letter::Input { number, .. } if number % 2 == 0));
        let mut left = Vec::new();
        while !pool.is_empty() {
            left.extend(number(pool.take(Pick::head(0))));
        }
        left.sort_unstable();
        assert_eq!(left, [1, 3, 5, 7, 9, 101, 103, 105, 107, 109]);
    }
}
