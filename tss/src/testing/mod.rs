//! What the tests of this crate share.

pub(crate) mod actors;
pub(crate) mod world;

/// Seeded chance: the same in every run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<T: Copy>(&mut self, list: &[T]) -> Option<T> {
        let place = self.below(list.len().max(1) as u64) as usize;
        list.get(place).copied()
    }
}

/// How many seeds to try: as many as `MAFTIA_SEEDS` says, else a few.
pub(crate) fn seeds(few: u64) -> u64 {
    std::env::var("MAFTIA_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(few)
}
