//! The agreement of Cachin, Kursawe and Shoup (2000) in miniature: its graded step does not bind, so
//! it must not be used with a coin that `f + 1` parties can show.
//!
//! Four parties, of which [`World`] plays the fourth and the schedule. The votes of the three correct
//! ones come from [`main_vote`] and [`carry`], which are the rules; nothing is counted that these
//! would not send, and no vote of the liar lacks its justification. [`super::steering`] plays the same
//! game with ours, which binds before the coin and so can do with `f + 1`.

use std::collections::BTreeSet;

use maftia_core::{crypto::Digest, id::Round};

/// `n - f`: what every rule waits for.
const AVAILABLE: usize = 3;

/// How long the loop is watched.
const ROUNDS: u64 = 200;

/// By when a fair coin has ended it, but for a chance of `2^-39`.
const DECIDED: u64 = 40;

/// The main-vote after these pre-votes: their value, or abstention.
fn main_vote(pre_votes: [bool; AVAILABLE]) -> Option<bool> {
    let first = pre_votes[0];
    pre_votes.iter().all(|vote| *vote == first).then_some(first)
}

/// What a party carries into the next round.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Carried {
    /// All three main-votes were for it.
    Decided(bool),
    /// One of them was.
    Hard(bool),
    /// All abstained: the coin says.
    Soft,
}

fn carry(main_votes: [Option<bool>; AVAILABLE]) -> Carried {
    let mut values = main_votes.into_iter().flatten();
    match (values.next(), main_votes.iter().all(Option::is_some)) {
        (Some(value), true) => Carried::Decided(value),
        (Some(value), false) => Carried::Hard(value),
        (None, _) => Carried::Soft,
    }
}

fn pre_vote(carried: Carried, coin: bool) -> bool {
    match carried {
        Carried::Decided(value) | Carried::Hard(value) => value,
        Carried::Soft => coin,
    }
}

/// The adversary's game.
struct World {
    seed: u64,
    /// How many shares show the coin.
    needed: usize,
    round: Round,
    /// The pre-votes of the two fast ones.
    fast: [bool; 2],
    /// The pre-votes that can be justified in this round, by the coin or by a certificate. The third
    /// party has not chosen among them, and the liar may.
    justified: BTreeSet<bool>,
}

impl World {
    fn new(seed: u64, needed: usize) -> Self {
        let justified = [false, true].into();
        Self { seed, needed, round: Round::FIRST, fast: [false, true], justified }
    }

    /// The coin, to one who knows that many shares beside the liar's.
    fn coin(&self, released: usize) -> Option<bool> {
        let name = [self.seed.to_le_bytes(), self.round.number().to_le_bytes()].concat();
        (released + 1 >= self.needed).then(|| Digest::of("coin", &name).as_bytes()[0] & 1 == 1)
    }

    /// Plays one round; says whether a correct party decided.
    fn play(&mut self) -> bool {
        let [left, right] = self.fast;
        let liar = if self.justified.contains(&!left) { !left } else { left };
        let abstained = main_vote([left, right, liar]);
        if let Some(value) = abstained {
            assert_eq!(carry([Some(value); AVAILABLE]), Carried::Decided(value));
            return true;
        }
        // The left one hears three abstentions and releases its share.
        let left = carry([None; AVAILABLE]);
        // The third one and the liar pre-vote against the coin, if it is known, and make a certificate
        // with whichever of the fast ones did so before.
        let against = !self.coin(1).unwrap_or(true);
        let supporters = self.fast.iter().filter(|vote| **vote == against).count() + 2;
        let certified = self.justified.contains(&against) && supporters >= AVAILABLE;
        // The liar shows its main-vote to the right one alone.
        let shown = if certified { main_vote([against; AVAILABLE]) } else { None };
        let right = carry([None, None, shown]);
        let coin = self.coin(3).expect("all release their shares in the end");
        self.fast = [pre_vote(left, coin), pre_vote(right, coin)];
        self.justified = [Some(coin), shown].into_iter().flatten().collect();
        self.round = self.round.next();
        false
    }
}

#[test]
fn with_a_coin_of_f_plus_one_the_adversary_plays_for_ever() {
    for seed in 0..50 {
        let mut world = World::new(seed, 2);
        while world.round.number() < ROUNDS {
            assert!(!world.play(), "seed {seed}, round {}", world.round);
        }
    }
}

#[test]
fn with_a_coin_of_n_minus_f_it_loses() {
    for seed in 0..50 {
        let mut world = World::new(seed, AVAILABLE);
        let ended = (0..DECIDED).any(|_| world.play());
        assert!(ended, "seed {seed}");
    }
}
