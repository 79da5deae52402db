//! The load: one generator a party, each on a thread with a schedule of its own.
//!
//! In an open loop every payload has a moment at which it should be sent, whatever the group does;
//! its latency counts from then, so that a group that stalls is charged for all who would have come
//! meanwhile. Without a rate a generator keeps as many payloads under way as it may.

use std::{
    io,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use maftia_core::{stream::batch::Batch, wire::limits};

use super::{
    clock,
    fleet::News,
    sealed::Sealer,
    word::{STAMP, Stamp},
};

/// The most payloads that are handed over at once: as many as fill a socket's buffer several times.
const BATCH_MAX: u64 = 1_024;

/// The most bytes that are handed over at once.
const BATCH_BYTES_MAX: usize = limits::BATCH_BYTES_MAX / 4;

/// How many nanoseconds a generator sleeps at least between two batches: waking up costs it and its party several
/// microseconds, which at high rates many payloads share.
const PAUSE_MIN: u64 = 500_000;

/// The same where a batch is encrypted: each costs all parties together some milliseconds.
const SEALED_PAUSE_MIN: u64 = 50_000_000;

/// How long one that is held waits until it looks again.
const HELD: Duration = Duration::from_millis(1);

/// Hands payloads to a party.
pub(crate) type Way = Box<dyn Fn(Batch) -> io::Result<()> + Send>;

/// A generator for one party.
pub(crate) struct Generator {
    /// Its number.
    pub(crate) number: u64,
    /// Bytes of a payload.
    pub(crate) size: usize,
    /// The schedule, if there is one.
    pub(crate) pace: Option<Pace>,
    /// Payloads that may be under way.
    pub(crate) window: u64,
    /// The way to the party.
    pub(crate) way: Way,
    /// What the party tells.
    pub(crate) news: Arc<News>,
    /// Set when all shall end early.
    pub(crate) stop: Arc<AtomicBool>,
    /// Set while generators without a schedule shall wait: they load a group with what all its members
    /// can take, and not with what the fastest ones can.
    pub(crate) hold: Arc<AtomicBool>,
    /// Whether what goes this way is encrypted, a batch at a time.
    pub(crate) sealed: bool,
}

/// When payloads should be sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pace {
    /// Nanoseconds from one payload to the next.
    pub(crate) gap: f64,
    /// By how much of it this schedule is ahead, so that the generators take turns.
    pub(crate) ahead: f64,
}

impl Pace {
    /// How many payloads should have been sent so many nanoseconds after the beginning.
    fn due(self, after: u64) -> u64 {
        (after as f64 / self.gap + self.ahead) as u64
    }

    /// How many nanoseconds after the beginning a payload should be sent.
    fn at(self, number: u64) -> u64 {
        ((number as f64 + 1.0 - self.ahead) * self.gap).ceil() as u64
    }
}

/// What became of a schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Payloads that were sent.
    pub(crate) sent: u64,
    /// Payloads that should have been sent, too, but the party had no room for them.
    pub(crate) unsent: u64,
}

impl Generator {
    /// Sends from the beginning of the span to its end. A party that is gone ends it early.
    pub(crate) fn run(self, span: Range<u64>) -> Sent {
        thread::sleep(clock::until(span.start));
        let (mut sent, mut woke) = (0, 0);
        let mut payloads = vec![0x5a; self.batch_max() as usize * self.size];
        let gone = loop {
            let now = clock::now().min(span.end);
            let over = now >= span.end || self.stop.load(Ordering::Relaxed);
            let due = self.due(now.saturating_sub(span.start)).saturating_sub(sent);
            if over && (due == 0 || self.pace.is_none()) {
                break false;
            }
            if self.pace.is_none() && self.hold.load(Ordering::Relaxed) {
                thread::sleep(HELD);
                continue;
            }
            if due == 0 {
                let next = span.start + self.pace.map_or(0, |pace| pace.at(sent));
                let pause = if self.sealed { SEALED_PAUSE_MIN } else { PAUSE_MIN };
                thread::sleep(clock::until(next.max(woke + pause).min(span.end)));
                woke = clock::now();
                continue;
            }
            let want = due.min(self.batch_max());
            let free = self.free(sent);
            // On schedule whatever fits is sent; at saturation it is worth waiting for a full batch.
            if free < if self.pace.is_some() { 1 } else { want } {
                if over {
                    break false;
                }
                self.news.wait(|heard| heard.settled + self.window >= sent + want);
                continue;
            }
            let numbers = sent..sent + want.min(free);
            sent = numbers.end;
            if self.send(&mut payloads, numbers, span.start, now).is_err() {
                break true;
            }
        };
        let due = self.pace.map_or(sent, |pace| pace.due(span.end - span.start));
        Sent { sent, unsent: if gone { 0 } else { due.saturating_sub(sent) } }
    }

    fn due(&self, after: u64) -> u64 {
        self.pace.map_or(u64::MAX, |pace| pace.due(after))
    }

    fn batch_max(&self) -> u64 {
        // What is encrypted together is paid for once.
        let (most, fitting) = if self.sealed {
            (u64::MAX, Sealer::batch_max(self.size))
        } else {
            (BATCH_MAX, BATCH_BYTES_MAX / self.size)
        };
        most.min(fitting as u64).min(self.window.div_ceil(4)).max(1)
    }

    fn free(&self, sent: u64) -> u64 {
        (self.news.heard().settled + self.window).saturating_sub(sent)
    }

    fn send(&self, room: &mut [u8], numbers: Range<u64>, start: u64, now: u64) -> io::Result<()> {
        let room = &mut room[..(numbers.end - numbers.start) as usize * self.size];
        for (payload, number) in room.chunks_exact_mut(self.size).zip(numbers) {
            let intended = self.pace.map_or(now, |pace| start + pace.at(number));
            let stamp = Stamp { generator: self.number, number, intended };
            payload[..STAMP].copy_from_slice(&stamp.to_bytes());
        }
        let batch = Batch::of(room.chunks_exact(self.size));
        (self.way)(batch)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should fall over")]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn a_schedule_keeps_its_rate_and_generators_take_turns() {
        let paces = [0.0, 0.25, 0.5, 0.75].map(|ahead| Pace { gap: 4e6, ahead });
        let firsts = paces.map(|pace| pace.at(0));
        assert_eq!(firsts, [4_000_000, 3_000_000, 2_000_000, 1_000_000]);
        for pace in paces {
            assert_eq!(pace.due(1_000_000_000) - pace.due(0), 250);
            for number in 0..1_000 {
                assert!(pace.due(pace.at(number)) > number, "what is due can be sent");
                assert!(pace.due(pace.at(number) - 1) <= number, "and not before");
            }
        }
    }
    #[test]
    fn one_that_is_held_sends_nothing_until_it_is_let_go() {
        let (hold, sent) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        let (way, stop) = (Arc::clone(&sent), Arc::<AtomicBool>::default());
        let generator = Generator {
            number: 0,
            size: STAMP,
            pace: None,
            window: 8,
            way: Box::new(move |batch| {
                way.fetch_add(batch.len(), Ordering::Relaxed);
                Ok(())
            }),
            news: Arc::default(),
            stop: Arc::clone(&stop),
            hold: Arc::clone(&hold),
            sealed: false,
        };
        let start = clock::now();
        let running = thread::spawn(move || generator.run(start..start + 10_000_000_000));
        thread::sleep(10 * HELD);
        assert_eq!(sent.load(Ordering::Relaxed), 0);
        hold.store(false, Ordering::Relaxed);
        while sent.load(Ordering::Relaxed) < 8 {
            thread::sleep(HELD);
            assert!(!running.is_finished(), "it had ten seconds");
        }
        stop.store(true, Ordering::Relaxed);
        assert_eq!(running.join().unwrap().sent, 8);
    }
}
