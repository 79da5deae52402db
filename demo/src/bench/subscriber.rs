//! Who takes what a party delivers: checks that every payload comes once and in its order, and notes
//! how long it took.

use std::hash::{DefaultHasher, Hasher};

use hdrhistogram::Histogram;
use maftia_core::stream::batch::Batch;

use super::{
    clock,
    track::{Place, Track},
    word::{Stamp, Verdict},
};

/// The longest latency that is told apart, in microseconds: an hour.
const LATENCY_MAX: u64 = 3_600_000_000;

/// The subscriber at one party.
pub(crate) struct Subscriber {
    tracks: Vec<Track>,
    /// The generator whose party is faulty: nothing is promised about it.
    faulty: Option<u64>,
    /// What is measured.
    span: std::ops::Range<u64>,
    latencies: Histogram<u64>,
    slowest_us: u64,
    verdict: Verdict,
    order: DefaultHasher,
}

impl Subscriber {
    /// A subscriber to so many generators.
    pub(crate) fn new(generators: u16, faulty: Option<u16>) -> Self {
        let latencies = Histogram::new_with_bounds(1, LATENCY_MAX, 3);
        Self {
            tracks: (0..generators).map(|_| Track::default()).collect(),
            faulty: faulty.map(u64::from),
            span: 0..0,
            latencies: latencies.expect("the bounds are in order"),
            slowest_us: 0,
            verdict: Verdict::default(),
            order: DefaultHasher::new(),
        }
    }

    /// What should be sent in this span is measured.
    pub(crate) fn measure(&mut self, span: std::ops::Range<u64>) {
        self.span = span;
    }

    /// Takes payloads, in the order in which they are delivered.
    pub(crate) fn take(&mut self, batch: &Batch) {
        let now = clock::now();
        for payload in batch.iter() {
            match Stamp::read(&payload).filter(|stamp| Some(stamp.generator) != self.faulty) {
                Some(stamp) if stamp.generator < self.tracks.len() as u64 => self.note(stamp, now),
                _ => self.verdict.foreign += 1,
            }
        }
    }

    fn note(&mut self, stamp: Stamp, now: u64) {
        self.verdict.delivered += 1;
        self.order.write_u64(stamp.generator);
        self.order.write_u64(stamp.number);
        self.check(stamp);
        let latency_us = now.saturating_sub(stamp.intended) / 1_000;
        self.slowest_us = self.slowest_us.max(latency_us);
        if self.span.contains(&stamp.intended) {
            self.latencies.saturating_record(latency_us.max(1));
        }
    }

    fn check(&mut self, Stamp { generator, number, .. }: Stamp) {
        match self.tracks[generator as usize].take(number) {
            Place::New => {}
            Place::Late => self.verdict.disorders += 1,
            Place::Again => self.verdict.duplicates += 1,
        }
    }

    /// The party did not take these.
    pub(crate) fn refused(&mut self, payloads: u64) {
        self.verdict.refused += payloads;
    }

    /// The party cannot follow the others.
    pub(crate) fn fell_behind(&mut self) {
        self.verdict.behind = true;
    }

    /// Payloads delivered so far, and the longest latency since the last call, in microseconds.
    pub(crate) fn look(&mut self) -> (u64, u64) {
        (self.verdict.delivered, std::mem::take(&mut self.slowest_us))
    }

    /// What it saw, after each generator sent so many.
    pub(crate) fn verdict(&self, sent: &[u64]) -> Verdict {
        let missing = self.tracks.iter().zip(sent).enumerate().map(|(generator, (track, sent))| {
            let tail = sent.saturating_sub(track.next());
            let counts = Some(generator as u64) != self.faulty;
            if counts { track.missing() + tail } else { 0 }
        });
        let latencies = self.latencies.iter_recorded();
        Verdict {
            latencies: latencies.map(|it| (it.value_iterated_to(), it.count_at_value())).collect(),
            gaps: missing.sum(),
            order: self.order.finish(),
            peak_bytes: clock::peak_bytes(),
            ..self.verdict.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(numbers: &[(u64, u64)]) -> Batch {
        let stamp = |(generator, number): &(u64, u64)| {
            Stamp { generator: *generator, number: *number, intended: clock::now() }.to_bytes()
        };
        Batch::of(numbers.iter().map(stamp))
    }

    fn seen(numbers: &[(u64, u64)], sent: &[u64]) -> [u64; 5] {
        let mut subscriber = Subscriber::new(3, Some(2));
        subscriber.take(&batch(numbers));
        let Verdict { gaps, duplicates, disorders, foreign, delivered, .. } =
            subscriber.verdict(sent);
        [gaps, duplicates, disorders, foreign, delivered]
    }

    #[test]
    fn what_is_in_order_is_nobodys_fault() {
        assert_eq!(seen(&[(0, 0), (1, 0), (0, 1), (1, 1)], &[2, 2, 9]), [0, 0, 0, 0, 4]);
    }

    #[test]
    fn gaps_duplicates_and_disorders_are_told_apart() {
        assert_eq!(seen(&[(0, 0), (0, 3)], &[4, 0, 0]), [2, 0, 0, 0, 2]);
        assert_eq!(seen(&[(0, 0)], &[4, 1, 0]), [4, 0, 0, 0, 1], "what never came is a gap");
        assert_eq!(seen(&[(0, 0), (0, 1), (0, 0)], &[2, 0, 0]), [0, 1, 0, 0, 3]);
        assert_eq!(seen(&[(0, 1), (0, 0)], &[2, 0, 0]), [0, 0, 1, 0, 2]);
        assert_eq!(seen(&[(0, u64::MAX - 1)], &[1, 0, 0])[0], u64::MAX - 1);
    }

    #[test]
    fn what_a_faulty_party_says_is_foreign() {
        assert_eq!(seen(&[(2, 5), (7, 0), (0, 0)], &[1, 0, 6]), [0, 0, 0, 2, 1]);
        let mut subscriber = Subscriber::new(1, None);
        subscriber.take(&Batch::of(["short"]));
        assert_eq!(subscriber.verdict(&[0]).foreign, 1);
    }

    #[test]
    fn only_what_was_intended_in_the_span_is_measured() {
        let mut subscriber = Subscriber::new(1, None);
        let now = clock::now();
        subscriber.measure(now - 2_000_000..now - 1_000_000);
        let at = |number: u64, ago_us: u64| {
            Stamp { generator: 0, number, intended: now - 1_000 * ago_us }.to_bytes()
        };
        subscriber.take(&Batch::of([at(0, 3_000), at(1, 1_500), at(2, 500)]));
        let latencies = subscriber.verdict(&[3]).latencies;
        assert_eq!(latencies.iter().map(|(_, count)| count).sum::<u64>(), 1);
        assert!(latencies[0].0 >= 1_500);
        assert!(subscriber.look().1 >= 3_000);
    }
}
