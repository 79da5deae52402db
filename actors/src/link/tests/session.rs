//! Numbers, backlog and cursors, on a wire that does what it likes.

use std::{collections::VecDeque, sync::Arc};

use maftia_core::{effects::Lane, wire};

use super::{
    super::Parcel,
    super::session::{
        BULK_BYTES_MAX, CLIENT, CONTROL_BYTES_MAX, CONTROL_FRAMES_MAX, Lie, Outgoing, Session, WORD,
    },
    body, orders,
};
use crate::link::packet::Kind;

const LANES: [Lane; 2] = [Lane::Control, Lane::Bulk];

fn parcel(number: u64) -> Arc<Parcel> {
    Arc::new(Parcel::new(&orders(), body(number)).unwrap())
}

fn number(parcel: &Parcel) -> u64 {
    u64::from_le_bytes(*parcel.body.first_chunk().unwrap())
}

/// What one owner logs.
#[derive(Clone)]
enum Entry {
    Sent(Lane, u64),
    Took(Lane, u64, u64),
}

/// One owner: its session, its log of which a part is durable, and its last snapshot.
#[derive(Default)]
struct End {
    session: Session,
    log: Vec<Entry>,
    synced: usize,
    snapshot: (Vec<u8>, usize),
}

type Wire = VecDeque<(Kind, u64, Option<Arc<Parcel>>)>;

/// Two owners, and the packets on their way from each.
struct World {
    ends: [End; 2],
    wires: [Wire; 2],
    dice: u64,
    sent: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let end =
            || End { snapshot: (wire::encode(&Session::default()).to_vec(), 0), ..End::default() };
        let mut world = Self {
            ends: [end(), end()],
            wires: Default::default(),
            dice: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            sent: 0,
        };
        world.reconnect();
        world
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice >> 11) % sides
    }

    fn reconnect(&mut self) {
        for (end, wire) in self.ends.iter_mut().zip(&mut self.wires) {
            end.session.begin();
            wire.clear();
            wire.extend(LANES.map(|lane| (Kind::Resume(lane), end.session.taken(lane), None)));
        }
    }

    /// Logs, syncs, sends: nothing leaves that is not durable.
    fn send(&mut self, who: usize) {
        let lane = LANES[self.roll(2) as usize];
        self.sent += 1;
        let end = &mut self.ends[who];
        end.log.push(Entry::Sent(lane, self.sent));
        end.session.push(lane, parcel(self.sent));
        self.sync(who);
    }

    fn sync(&mut self, who: usize) {
        let end = &mut self.ends[who];
        for entry in &end.log[end.synced..] {
            if let Entry::Took(lane, number, _) = entry {
                end.session.durable(*lane, *number);
            }
        }
        end.synced = end.log.len();
    }

    fn write(&mut self, who: usize) {
        for lane in LANES {
            let session = &mut self.ends[who].session;
            match session.next(lane) {
                Some(Outgoing::Frame(number, parcel)) => {
                    self.wires[who].push_back((Kind::Frame(lane), number, Some(parcel)));
                }
                Some(Outgoing::Gone(number)) => {
                    self.wires[who].push_back((Kind::Gone(lane), number, None));
                }
                Some(Outgoing::Word(parcel)) => {
                    self.wires[who].push_back((Kind::Frame(lane), WORD, Some(parcel)));
                }
                None => {}
            }
            if let Some(number) = self.ends[who].session.acknowledge(lane) {
                self.wires[who].push_back((Kind::Acked(lane), number, None));
            }
        }
    }

    /// The other end reads one packet; a lie ends the line.
    fn read(&mut self, from: usize, at: usize) -> bool {
        let Some((kind, number, parcel)) = self.wires[from].remove(at) else { return false };
        if self.take(1 - from, kind, number, parcel).is_err() {
            self.reconnect();
        }
        true
    }

    fn take(
        &mut self,
        who: usize,
        kind: Kind,
        number: u64,
        parcel: Option<Arc<Parcel>>,
    ) -> Result<(), Lie> {
        let end = &mut self.ends[who];
        match kind {
            Kind::Resume(lane) => end.session.resume(lane, number)?,
            Kind::Acked(lane) => end.session.acked(lane, number)?,
            Kind::Frame(lane) => {
                if end.session.expects(lane, number)? && number != WORD {
                    end.session.took(lane, number);
                    end.log.push(Entry::Took(lane, number, self::number(&parcel.unwrap())));
                }
            }
            other => panic!("{other:?} cannot be in this test"),
        }
        Ok(())
    }

    /// Loses what is not synced, loads the snapshot, takes the log again.
    fn crash(&mut self, who: usize) {
        let end = &mut self.ends[who];
        end.log.truncate(end.synced);
        end.session = wire::decode(&end.snapshot.0).unwrap();
        for entry in &end.log[end.snapshot.1..] {
            match entry {
                Entry::Sent(lane, content) => {
                    end.session.push(*lane, parcel(*content));
                }
                Entry::Took(lane, number, _) => end.session.durable(*lane, *number),
            }
        }
        self.reconnect();
    }

    fn step(&mut self) {
        let who = self.roll(2) as usize;
        match self.roll(40) {
            0 => self.reconnect(),
            1 => self.crash(who),
            2 => {
                self.sync(who);
                let end = &mut self.ends[who];
                end.snapshot = (wire::encode(&end.session).to_vec(), end.log.len());
            }
            // Lose, repeat, reorder: what a wire without seals could do.
            3 => drop(self.wires[who].pop_front()),
            4 => {
                let first = self.wires[who].front().cloned();
                self.wires[who].extend(first);
            }
            5 => {
                let at = self.roll(1 + self.wires[who].len() as u64) as usize;
                self.read(who, at);
            }
            // What no log remembers takes no number.
            6 => self.ends[who].session.say(parcel(u64::MAX)),
            7..=9 => self.sync(who),
            10..=15 => self.send(who),
            16..=25 => self.write(who),
            _ => drop(self.read(who, 0)),
        }
    }

    /// A calm wire, until nothing moves.
    fn settle(&mut self) {
        self.reconnect();
        for _ in 0..2_000 {
            for who in 0..2 {
                self.write(who);
                while self.read(who, 0) {}
                self.sync(who);
            }
        }
    }

    fn sent_by(&self, who: usize, lane: Lane) -> Vec<u64> {
        let log = self.ends[who].log.iter();
        log.filter_map(|entry| match entry {
            Entry::Sent(on, content) if *on == lane => Some(*content),
            _ => None,
        })
        .collect()
    }

    fn taken_by(&self, who: usize, lane: Lane) -> Vec<u64> {
        let log = self.ends[who].log.iter();
        log.filter_map(|entry| match entry {
            Entry::Took(on, _, content) if *on == lane => Some(*content),
            _ => None,
        })
        .collect()
    }
}

#[test]
fn everything_arrives_once_and_in_order_whatever_the_wire_and_crashes_do() {
    for seed in 1..=200 {
        let mut world = World::new(seed);
        (0..1_000).for_each(|_| world.step());
        world.settle();
        for (who, lane) in [0, 1].into_iter().flat_map(|who| LANES.map(|lane| (who, lane))) {
            assert_eq!(
                world.taken_by(1 - who, lane),
                world.sent_by(who, lane),
                "seed {seed}, from {who}, {lane:?}"
            );
            assert_eq!(world.ends[who].session.backlog(lane), (0, 0), "seed {seed}");
        }
    }
}

/// A session whose peer has taken nothing yet, with so many control frames.
fn sender(frames: u64) -> Session {
    let mut session = Session::default();
    (1..=frames)
        .for_each(|content| assert_eq!(session.push(Lane::Control, parcel(content)), content));
    session.begin();
    session
}

#[test]
fn a_backlog_is_bounded_and_says_what_is_gone() {
    let mut session = sender(CONTROL_FRAMES_MAX as u64 + 5);
    assert_eq!(session.backlog(Lane::Control).0, CONTROL_FRAMES_MAX);
    session.resume(Lane::Control, 2).unwrap();
    assert_eq!(session.next(Lane::Control), Some(Outgoing::Gone(5)));
    assert_eq!(session.next(Lane::Control), Some(Outgoing::Frame(6, parcel(6))));

    let mut receiver = Session::default();
    receiver.took(Lane::Control, 2);
    assert_eq!(receiver.misses(Lane::Control, 5), Ok(true));
    receiver.took(Lane::Control, 5);
    assert_eq!(receiver.misses(Lane::Control, 5), Ok(false));
    assert_eq!(receiver.expects(Lane::Control, 6), Ok(true));
}

#[test]
fn three_gigabytes_for_a_dead_peer_stay_within_the_bound() {
    let mut session = Session::default();
    let large = Arc::new(Parcel::new(&orders(), vec![7; 4 << 20].into()).unwrap());
    for _ in 0..3 << 8 {
        session.push(Lane::Bulk, Arc::clone(&large));
        session.push(Lane::Control, Arc::clone(&large));
    }
    let (frames, bytes) = session.backlog(Lane::Bulk);
    assert!(bytes <= BULK_BYTES_MAX && frames == BULK_BYTES_MAX / large.weight());
    assert!(session.backlog(Lane::Control).1 <= CONTROL_BYTES_MAX);
}

#[test]
fn a_peer_that_lies_about_what_it_has_is_caught() {
    let mut session = sender(5);
    let early = session.acked(Lane::Control, 1);
    assert_eq!(early, Err(Lie::Unsent { lane: Lane::Control, claimed: 1, sent: 0 }));
    session.resume(Lane::Control, 1).unwrap();
    assert_eq!(session.resume(Lane::Control, 0), Err(Lie::Again(Lane::Control)));
    session.next(Lane::Control);
    let unsent = session.acked(Lane::Control, 3);
    assert_eq!(unsent, Err(Lie::Unsent { lane: Lane::Control, claimed: 3, sent: 2 }));
    assert_eq!(session.backlog(Lane::Control).0, 5, "a lie frees nothing");

    session.begin();
    let above = session.resume(Lane::Control, 6);
    assert_eq!(above, Err(Lie::Unsent { lane: Lane::Control, claimed: 6, sent: 5 }));
    for number in [u64::MAX, u64::MAX / 2 + 1] {
        let out = Err(Lie::OutOfReach { lane: Lane::Bulk, number });
        assert_eq!(session.resume(Lane::Bulk, number), out);
        assert_eq!(session.misses(Lane::Bulk, number), out.map(|()| true));
    }
    let gap = session.expects(Lane::Bulk, 2);
    assert_eq!(gap, Err(Lie::Gap { lane: Lane::Bulk, number: 2, taken: 0 }));
}

#[test]
fn who_lost_its_memory_goes_on_above_and_leaves_a_gap() {
    let mut session = sender(2);
    session.resume(Lane::Control, 40).unwrap();
    assert_eq!(session.next(Lane::Control), Some(Outgoing::Gone(41)));
    assert_eq!(session.next(Lane::Control), Some(Outgoing::Frame(42, parcel(1))));
    assert_eq!(session.next(Lane::Control), Some(Outgoing::Frame(43, parcel(2))));
    assert_eq!(session.acked(Lane::Control, 43), Ok(()));
    assert_eq!(session.push(Lane::Control, parcel(3)), 44);
}

#[test]
fn only_what_is_durable_is_acknowledged() {
    let mut session = Session::default();
    session.begin();
    session.took(Lane::Control, 3);
    assert_eq!((session.unacknowledged(), session.acknowledge(Lane::Control)), (0, None));
    session.durable(Lane::Control, 2);
    assert_eq!((session.unacknowledged(), session.acknowledge(Lane::Control)), (2, Some(2)));
    assert_eq!(session.acknowledge(Lane::Control), None);
    session.begin();
    assert_eq!(session.acknowledge(Lane::Control), Some(2), "a new line is told again");
}

#[test]
fn a_client_that_acknowledges_nothing_takes_little_room() {
    let mut session = Session::default();
    let of = |size| Arc::new(Parcel::new(&orders(), vec![0; size].into()).unwrap());
    for lane in LANES {
        for size in [0, 1_000, 100_000] {
            for _ in 0..2_000 {
                session.push_within(CLIENT, lane, of(size));
            }
            let (frames, bytes) = session.backlog(lane);
            assert!(frames > 1 && frames <= 1 << 10 && bytes <= 1 << 20, "{frames} of {bytes}");
        }
        session.push_within(CLIENT, lane, of(2 << 20));
        assert_eq!(session.backlog(lane).0, 1, "the newest is kept, whatever it weighs");
    }
}

#[test]
fn a_word_is_written_once_and_counts_for_nothing() {
    let mut session = Session::default();
    session.begin();
    session.say(parcel(7));
    session.push(Lane::Control, parcel(1));
    assert_eq!(session.next(Lane::Control), None, "the peer has not said where to go on");
    LANES.into_iter().for_each(|lane| session.resume(lane, 0).unwrap());
    assert!(!session.is_drained());
    assert_eq!(session.next(Lane::Control), Some(Outgoing::Word(parcel(7))));
    assert_eq!(session.next(Lane::Control), Some(Outgoing::Frame(1, parcel(1))));
    assert!(session.is_drained());
    session.begin();
    session.resume(Lane::Control, 0).unwrap();
    assert_eq!(
        session.next(Lane::Control),
        Some(Outgoing::Frame(1, parcel(1))),
        "and not the word"
    );
    let again: Session = wire::decode(&wire::encode(&session)).unwrap();
    assert_eq!(again.backlog(Lane::Control).0, 1);

    let mut receiver = Session::default();
    receiver.took(Lane::Control, 5);
    assert_eq!(receiver.expects(Lane::Control, WORD), Ok(true));
    receiver.took(Lane::Control, WORD);
    assert_eq!(receiver.taken(Lane::Control), 5);
    assert_eq!(receiver.expects(Lane::Bulk, WORD), Ok(false), "words are control");
}

#[test]
fn words_that_nobody_reads_take_little_room() {
    let mut session = Session::default();
    session.begin();
    for size in [1_000, 100_000, 2 << 20] {
        let word = Arc::new(Parcel::new(&orders(), vec![0; size].into()).unwrap());
        (0..2_000).for_each(|_| session.say(Arc::clone(&word)));
    }
    session.resume(Lane::Control, 0).unwrap();
    let kept = std::iter::from_fn(|| session.next(Lane::Control)).count();
    assert_eq!(kept, 1, "the newest is kept, whatever it weighs");
}
