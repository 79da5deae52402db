//! The subscriber at a party, whose place outlives its process: the soak keeps it, and gives it to the
//! next process of the party.

use std::collections::{BTreeMap, BTreeSet};

use maftia_core::{id::Slot, stream::batch::Batch, stream::fast::Again};
use serde::{Deserialize, Serialize};

use crate::bench::{
    clock,
    track::{Place, Track},
    word::Stamp,
};

/// Orders are compared by the hash of so many slots.
pub(super) const WINDOW: u64 = 1 << 12;

/// Where a subscriber is, and all that it found so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// The slot that comes next.
    pub(super) slot: u64,
    tracks: BTreeMap<u64, Track>,
    /// Generators of which nothing came since slots were left out, as was told.
    loose: BTreeSet<u64>,
    /// Whether generators may be new with a higher number than the first.
    leapt: bool,
    /// The hash of the window under way, if all of it was seen.
    hash: Option<u64>,
    /// What was wrong, or left out.
    pub(super) found: Found,
}

/// What a subscriber found wrong, or was told to be left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Found {
    /// Payloads that came again, and slots.
    pub(super) duplicates: u64,
    /// Payloads that came after later ones.
    pub(super) disorders: u64,
    /// Payloads that no generator made.
    pub(super) foreign: u64,
    /// Slots that were left out without a word.
    pub(super) untold: u64,
    /// Slots that were left out because nobody kept them, as was told.
    pub(super) lagged: u64,
    /// How often that was.
    pub(super) lags: u64,
    /// Payloads that the party did not take.
    pub(super) refused: u64,
}

impl Mark {
    /// The mark of a subscriber that has seen nothing yet.
    pub(super) fn start() -> Self {
        Self { hash: Some(0), ..Self::default() }
    }

    /// The lowest number of this generator above all that came.
    pub(super) fn next(&self, generator: u64) -> u64 {
        self.tracks.get(&generator).map_or(0, Track::next)
    }

    /// Payloads that are missing below later ones.
    pub(super) fn missing(&self) -> u64 {
        self.tracks.values().map(Track::missing).sum()
    }

    /// What comes next is this slot.
    fn leap(&mut self, slot: u64) {
        self.slot = slot;
        self.hash = slot.is_multiple_of(WINDOW).then_some(0);
        self.loose = self.tracks.keys().copied().collect();
        self.leapt = true;
    }

    fn note(&mut self, stamp: Stamp) {
        let Stamp { generator, number, .. } = stamp;
        self.hash = self.hash.map(|hash| mixed(mixed(hash, generator), number));
        let leapt = self.leapt;
        let track = self
            .tracks
            .entry(generator)
            .or_insert_with(|| if leapt { Track::from(number) } else { Track::default() });
        if self.loose.remove(&generator) {
            track.skip_to(number);
        }
        match track.take(number) {
            Place::New => {}
            Place::Late => self.found.disorders += 1,
            Place::Again => self.found.duplicates += 1,
        }
    }
}

/// The subscriber.
pub(super) struct Watcher {
    pub(super) mark: Mark,
    /// Whether it hears again what it knows already.
    catching_up: bool,
    windows: Vec<(u64, u64)>,
    slowest_us: u64,
}

impl Watcher {
    /// A subscriber that goes on here, and what the stream kept of what comes there.
    pub(super) fn new(mark: Mark, again: &Again) -> Self {
        let mut watcher = Self { mark, catching_up: true, windows: Vec::new(), slowest_us: 0 };
        let mut first = again.first;
        if first.number() > watcher.mark.slot {
            watcher.lag(first);
        }
        for (_, batch) in &again.batches {
            watcher.take(first, batch);
            first = first.plus(batch.len() as u64);
        }
        watcher
    }

    /// Takes payloads, in the order in which they are delivered.
    pub(super) fn take(&mut self, first: Slot, batch: &Batch) {
        let (now, first) = (clock::now(), first.number());
        if first > self.mark.slot {
            self.mark.found.untold += first - self.mark.slot;
            self.mark.leap(first);
        }
        for (slot, payload) in (first..).zip(batch.iter()) {
            if slot >= self.mark.slot {
                self.catching_up = false;
                self.note(&payload, now);
            } else if !self.catching_up {
                self.mark.found.duplicates += 1;
            }
        }
    }

    fn note(&mut self, payload: &[u8], now: u64) {
        match Stamp::read(payload) {
            Some(stamp) => {
                self.mark.note(stamp);
                let latency_us = now.saturating_sub(stamp.intended) / 1_000;
                self.slowest_us = self.slowest_us.max(latency_us);
            }
            None => self.mark.found.foreign += 1,
        }
        self.mark.slot += 1;
        if self.mark.slot.is_multiple_of(WINDOW) {
            let whole = self.mark.hash.replace(0);
            self.windows.extend(whole.map(|hash| (self.mark.slot / WINDOW, hash)));
        }
    }

    /// It is told that what comes next is this slot, since what is below is not kept.
    pub(super) fn lag(&mut self, to: Slot) {
        let lagged = to.number().saturating_sub(self.mark.slot);
        if lagged > 0 {
            self.mark.found.lags += 1;
            self.mark.found.lagged += lagged;
            self.mark.leap(to.number());
            self.catching_up = true;
        }
    }

    /// The windows that are whole and the longest latency, since the last call.
    pub(super) fn look(&mut self) -> (Vec<(u64, u64)>, u64) {
        (std::mem::take(&mut self.windows), std::mem::take(&mut self.slowest_us))
    }
}

/// A hash that goes on with one more number.
fn mixed(hash: u64, number: u64) -> u64 {
    (hash.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95)
}

#[cfg(test)]
mod tests {
    use maftia_core::id::PartyId;

    use super::*;

    fn batch(numbers: &[(u64, u64)]) -> Batch {
        let stamp = |(generator, number): &(u64, u64)| {
            Stamp { generator: *generator, number: *number, intended: 0 }.to_bytes()
        };
        Batch::of(numbers.iter().map(stamp))
    }

    fn fresh() -> Watcher {
        let nothing = Again { first: Slot::FIRST, batches: Vec::new() };
        Watcher::new(Mark::start(), &nothing)
    }

    /// Lets these come from slot 0 on.
    fn seen(numbers: &[(u64, u64)]) -> Watcher {
        let mut watcher = fresh();
        watcher.take(Slot::FIRST, &batch(numbers));
        watcher
    }

    #[test]
    fn what_is_wrong_is_counted() {
        let good = seen(&[(0, 0), (1, 0), (0, 1)]).mark;
        assert_eq!((good.found, good.missing(), good.next(0)), (Found::default(), 0, 2));
        assert_eq!(seen(&[(0, 0), (0, 3)]).mark.missing(), 2);
        assert_eq!(seen(&[(0, 1), (0, 0)]).mark.found.disorders, 1);
        assert_eq!(seen(&[(0, 0), (0, 0)]).mark.found.duplicates, 1);
        let mut watcher = seen(&[(0, 0)]);
        watcher.take(Slot::FIRST, &batch(&[(0, 0)]));
        assert_eq!(watcher.mark.found.duplicates, 1, "a slot comes once");
        watcher.take(Slot::new(4), &batch(&[(0, 4)]));
        assert_eq!((watcher.mark.found.untold, watcher.mark.slot), (3, 5));
        watcher.take(Slot::new(5), &Batch::of(["short"]));
        assert_eq!(watcher.mark.found.foreign, 1);
    }

    #[test]
    fn a_new_process_goes_on_where_the_last_one_was() {
        let mark = seen(&[(0, 0), (1, 0)]).mark;
        let party = PartyId::new(0);
        let kept = vec![(party, batch(&[(1, 0), (0, 1)])), (party, batch(&[(7, 0)]))];
        let again = Again { first: Slot::new(1), batches: kept };
        let mut watcher = Watcher::new(mark.clone(), &again);
        watcher.take(Slot::new(4), &batch(&[(0, 2)]));
        assert_eq!((watcher.mark.found, watcher.mark.missing()), (Found::default(), 0));
        assert_eq!(watcher.mark.slot, 5);
        let nothing = Again { first: Slot::new(1), batches: Vec::new() };
        let mut watcher = Watcher::new(mark, &nothing);
        watcher.take(Slot::new(1), &batch(&[(1, 0), (0, 1)]));
        let found = watcher.mark.found;
        assert_eq!(found, Found::default(), "the party may know less than its subscriber");
    }

    #[test]
    fn what_is_not_kept_is_no_gap_if_that_is_told() {
        let mark = seen(&[(0, 0), (1, 0)]).mark;
        let kept = vec![(PartyId::new(0), batch(&[(0, 9), (5, 3)]))];
        let again = Again { first: Slot::new(40), batches: kept };
        let mut watcher = Watcher::new(mark, &again);
        assert_eq!((watcher.mark.found.lags, watcher.mark.found.lagged), (1, 38));
        assert_eq!(watcher.mark.missing(), 0);
        watcher.take(Slot::new(42), &batch(&[(0, 11)]));
        assert_eq!(watcher.mark.missing(), 1, "after that it is strict again");
    }

    #[test]
    fn windows_of_one_order_have_one_hash() {
        let numbers: Vec<_> = (0..WINDOW).map(|number| (number % 3, number / 3)).collect();
        let mut whole = seen(&numbers);
        let mut halves = seen(&numbers[..7]);
        halves.take(Slot::new(7), &batch(&numbers[7..]));
        let windows = whole.look().0;
        assert_eq!(windows.len(), 1);
        assert_eq!(windows, halves.look().0);
        let mut other = numbers.clone();
        other.swap(3, 4);
        assert_ne!(windows, seen(&other).look().0);
        let mut lagged = fresh();
        lagged.lag(Slot::new(3));
        lagged.take(Slot::new(3), &batch(&numbers[3..]));
        assert_eq!(lagged.look().0, [], "half a window is not compared");
    }
}
