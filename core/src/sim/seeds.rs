//! Seeds: where they come from, the generator that they drive, and the line that a failure prints.

use std::{
    cell::Cell,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

thread_local! {
    static TELLING: Cell<bool> = const { Cell::new(false) };
}

/// Whether worlds built now note down what happens, as they do while a failure is shown again.
pub(super) fn telling() -> bool {
    TELLING.get()
}

/// The seeds that a property is tried with: 0 to `default_count`, unless the environment says
/// `MAFTIA_SEED=one`, `MAFTIA_SEEDS=count` or `MAFTIA_SEEDS=from..to`.
///
/// # Panics
/// When the environment says something else.
pub fn seeds(default_count: u64) -> Range<u64> {
    let read = |name: &str| std::env::var(name).ok();
    chosen(read("MAFTIA_SEED").as_deref(), read("MAFTIA_SEEDS").as_deref())
        .unwrap_or(0..default_count)
}

fn chosen(seed: Option<&str>, seeds: Option<&str>) -> Option<Range<u64>> {
    let number = |text: &str| -> u64 {
        text.trim().parse().unwrap_or_else(|_| panic!("`{text}` is no seed: write 7, or 0..1000"))
    };
    if let Some(seed) = seed.map(number) {
        return Some(seed..seed + 1);
    }
    Some(match seeds?.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => 0..number(seeds?),
    })
}

/// How many parties a group of this property has, and how many of them may be corrupted: the
/// `sizes` by `turn`, unless the environment says `MAFTIA_N=7`. A `turn` that says anything else about
/// the world as well must say it by another divisor, or sizes and misdeeds go hand in hand.
///
/// # Panics
/// When the environment says something else than a number from 4 on.
pub fn size(turn: u64, sizes: &[u16]) -> (u16, u16) {
    let n = sized(std::env::var("MAFTIA_N").ok().as_deref())
        .unwrap_or_else(|| sizes[(turn % sizes.len() as u64) as usize]);
    (n, (n - 1) / 3)
}

fn sized(n: Option<&str>) -> Option<u16> {
    let n = n?;
    let least = |n: &u16| *n >= 4;
    let read = n.trim().parse().ok().filter(least);
    Some(read.unwrap_or_else(|| panic!("`{n}` is no size: write MAFTIA_N=4, or more")))
}

/// Tries a property with [`seeds`]`(default_count)`. The seed that breaks it is printed, and tried a
/// second time so that its worlds tell their story.
///
/// # Panics
/// As the property does.
pub fn property(default_count: u64, mut holds: impl FnMut(u64)) {
    for seed in seeds(default_count) {
        let Err(broken) = catch_unwind(AssertUnwindSafe(|| holds(seed))) else { continue };
        let sized = std::env::var("MAFTIA_N").map(|n| format!("MAFTIA_N={n} ")).unwrap_or_default();
        eprintln!("\n{sized}MAFTIA_SEED={seed} breaks the property. Its story:");
        TELLING.set(true);
        let again = catch_unwind(AssertUnwindSafe(|| holds(seed)));
        TELLING.set(false);
        if again.is_ok() {
            eprintln!("(it held the second time: the test depends on more than its seed)");
        }
        eprintln!("{sized}MAFTIA_SEED={seed}");
        resume_unwind(broken);
    }
}

/// A small generator (`SplitMix64`): the same numbers on every machine, for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rng(u64);

impl Rng {
    /// The generator of this seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator of its own for each `purpose`, so that one draws nothing from another.
    #[must_use]
    pub fn fork(&self, purpose: u64) -> Self {
        let mut rng = Self(self.0 ^ purpose.wrapping_mul(0xd6e8_feb8_6659_fd93));
        Self(rng.number())
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.number()) * bound as u128) >> 64) as usize
    }

    /// Yes, once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of these, of which there is at least one.
    pub fn choose<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// These bytes, drawn anew.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        bytes.iter_mut().for_each(|byte| *byte = self.number() as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_chooses_seeds() {
        assert_eq!(chosen(None, None), None);
        assert_eq!(chosen(Some("7"), Some("9")), Some(7..8));
        assert_eq!(chosen(None, Some("9")), Some(0..9));
        assert_eq!(chosen(None, Some("5..9")), Some(5..9));
    }

    #[test]
    fn the_environment_chooses_sizes() {
        assert_eq!((sized(None), sized(Some("7"))), (None, Some(7)));
        assert!(
            ["3", "many", ""].iter().all(|n| std::panic::catch_unwind(|| sized(Some(n))).is_err())
        );
    }

    #[test]
    fn the_generator_is_pinned_and_even() {
        assert_eq!(Rng::new(0).number(), 0xe220_a839_7b1d_cdaf, "SplitMix64's first of seed 0");
        let mut rng = Rng::new(1);
        let mut counts = [0; 8];
        (0..8_000).for_each(|_| counts[rng.below(8)] += 1);
        assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
        assert_ne!(Rng::new(1).fork(1), Rng::new(1).fork(2));
    }
}
