//! What generators sent and subscribers saw: the two sides that must agree in the end.

use std::collections::BTreeMap;

use super::{
    figures::Outcome,
    watcher::{Found, Mark},
};

/// One life of a party, whose generator has a number: its place among all.
struct Life {
    party: usize,
    /// What its generator sent, if it has ended.
    sent: Option<u64>,
    /// How many of these must be delivered everywhere: those that were delivered at the party when it
    /// was killed, or all.
    due: u64,
}

/// The books of a soak.
pub(super) struct Ledger {
    pub(super) marks: Vec<Mark>,
    lives: Vec<Life>,
    /// The hash of each window, and how often it was told.
    windows: BTreeMap<u64, (u64, u64)>,
    different: u64,
}

impl Ledger {
    /// The books of so many parties.
    pub(super) fn new(parties: usize) -> Self {
        Self {
            marks: vec![Mark::start(); parties],
            lives: Vec::new(),
            windows: BTreeMap::new(),
            different: 0,
        }
    }

    /// A party lives. The number of its generator.
    pub(super) fn begin(&mut self, party: usize) -> u64 {
        self.lives.push(Life { party, sent: None, due: 0 });
        self.lives.len() as u64 - 1
    }

    fn life(&self, party: usize) -> Option<usize> {
        self.lives.iter().rposition(|life| life.party == party && life.sent.is_none())
    }

    /// A party's life ends after its generator sent so many: killed, or at the end of all.
    pub(super) fn end(&mut self, party: usize, sent: u64, killed: bool) {
        if let Some(life) = self.life(party) {
            let delivered = self.marks[party].next(life as u64);
            let due = if killed { delivered } else { sent };
            self.lives[life] = Life { party, sent: Some(sent), due };
        }
    }

    /// A subscriber is there. How many payloads of its party's generator it has seen.
    pub(super) fn see(&mut self, party: usize, mark: Mark) -> u64 {
        self.marks[party] = mark;
        self.life(party).map_or(0, |life| self.marks[party].next(life as u64))
    }

    /// A subscriber saw a window whole.
    pub(super) fn compare(&mut self, window: u64, hash: u64) {
        let (first, told) = self.windows.entry(window).or_insert((hash, 0));
        *told += 1;
        self.different += u64::from(*first != hash);
    }

    /// The highest slot of anybody, or of anybody else.
    pub(super) fn highest(&self, but: Option<usize>) -> u64 {
        let others = self.marks.iter().enumerate().filter(|(party, _)| Some(*party) != but);
        others.map(|(_, mark)| mark.slot).max().unwrap_or(0)
    }

    /// Whether all are at one slot, and have all that they should.
    pub(super) fn is_even(&self) -> bool {
        self.marks.iter().all(|mark| mark.slot == self.marks[0].slot) && self.missing() == 0
    }

    /// Payloads that should have come and did not: of each generator, as many as came anywhere, or
    /// are due. Who had to leave slots out is not asked about single payloads.
    fn missing(&self) -> u64 {
        let lacks = |(number, life): (u64, &Life)| {
            let most = self.marks.iter().map(|mark| mark.next(number)).max().unwrap_or(0);
            let most = most.max(life.due);
            let whole = self.marks.iter().filter(|mark| mark.found.lags == 0);
            whole.map(|mark| most - mark.next(number)).sum::<u64>()
        };
        (0..).zip(&self.lives).map(lacks).sum()
    }

    /// Puts the sums into the outcome.
    pub(super) fn close(&self, outcome: &mut Outcome) {
        let marks = &self.marks;
        let sum = |of: fn(&Found) -> u64| marks.iter().map(|mark| of(&mark.found)).sum::<u64>();
        outcome.sent = self.lives.iter().filter_map(|life| life.sent).sum();
        outcome.payloads = marks.iter().map(|mark| mark.slot).min().unwrap_or(0);
        let within: u64 = marks.iter().map(Mark::missing).sum();
        outcome.gaps = self.missing() + within + sum(|found| found.untold);
        outcome.duplicates = sum(|found| found.duplicates);
        outcome.disorders = sum(|found| found.disorders);
        outcome.foreign = sum(|found| found.foreign);
        outcome.refused = sum(|found| found.refused);
        outcome.lagged = sum(|found| found.lagged);
        outcome.lags = sum(|found| found.lags);
        let compared = self.windows.values().filter(|(_, told)| *told > 1).count() as u64;
        outcome.windows_equal = compared.saturating_sub(self.different);
        outcome.windows_different = self.different;
        if marks.iter().any(|mark| mark.slot != marks[0].slot) {
            let slots: Vec<_> = marks.iter().map(|mark| mark.slot).collect();
            outcome.broken.push(format!("parties end at different slots: {slots:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use maftia_core::{
        id::{PartyId, Slot},
        stream::{batch::Batch, fast::Again},
    };

    use super::{super::watcher::Watcher, *};
    use crate::bench::word::Stamp;

    /// The mark of a subscriber that saw so many payloads of generator 0.
    fn saw(payloads: u64) -> Mark {
        let stamp = |number| Stamp { generator: 0, number, intended: 0 }.to_bytes();
        let batches = vec![(PartyId::new(0), Batch::of((0..payloads).map(stamp)))];
        Watcher::new(Mark::start(), &Again { first: Slot::FIRST, batches }).mark
    }

    /// The books after party 0 sent ten payloads and was killed or not, and these were seen.
    fn books(killed: bool, seen: [u64; 2]) -> Outcome {
        let mut ledger = Ledger::new(2);
        assert_eq!(ledger.begin(0), 0);
        assert_eq!(ledger.see(0, saw(4)), 4);
        ledger.end(0, 10, killed);
        ledger.marks = seen.map(saw).into();
        let mut outcome = Outcome::default();
        ledger.close(&mut outcome);
        outcome
    }

    #[test]
    fn what_a_party_had_delivered_before_it_was_killed_is_due_and_no_more() {
        assert_eq!(books(true, [4, 4]).gaps, 0);
        assert_eq!(books(true, [7, 7]).gaps, 0, "what was under way may come or not");
        assert_eq!(books(true, [7, 6]).gaps, 1, "but for all or for nobody");
        assert_eq!(books(true, [3, 3]).gaps, 2, "what was delivered does not go away");
        assert_eq!(books(true, [7, 6]).broken, ["parties end at different slots: [7, 6]"]);
    }

    #[test]
    fn all_is_due_of_those_who_live() {
        assert_eq!(books(false, [10, 10]).gaps, 0);
        assert_eq!(books(false, [9, 9]).gaps, 2);
        assert_eq!(books(false, [9, 9]).sent, 10);
    }

    #[test]
    fn windows_are_compared() {
        let mut ledger = Ledger::new(2);
        for (window, hash) in [(1, 5), (1, 5), (2, 6), (2, 7), (3, 8)] {
            ledger.compare(window, hash);
        }
        let mut outcome = Outcome::default();
        ledger.close(&mut outcome);
        assert_eq!((outcome.windows_equal, outcome.windows_different), (1, 1));
    }
}
