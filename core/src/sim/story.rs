//! A run as a file: the picks, which replay it, and in words what happened.

use std::fmt;

use super::{adversary::Adversary, pool::Pick, seeds::Rng, world::World};

/// The first line of a story file.
const HEAD: &str = "maftia story 1";

/// What was picked in a run, and what happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Story {
    pub(super) seed: u64,
    pub(super) telling: bool,
    pub(super) picks: Vec<Pick>,
    pub(super) lines: Vec<String>,
}

/// A text that is no story.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the story cannot be read")]
pub struct BadStory {
    /// Which line, counted from 1.
    pub line: usize,
}

impl Story {
    pub(super) fn new(seed: u64, telling: bool) -> Self {
        Self { seed, telling, ..Self::default() }
    }

    /// The seed of the world.
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// What happened, a line an event.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Reads what [`Display`](fmt::Display) wrote.
    pub fn parse(text: &str) -> Result<Self, BadStory> {
        let mut story = Self::default();
        for (place, line) in text.lines().enumerate() {
            let bad = BadStory { line: place + 1 };
            match (place, line.strip_prefix("pick ")) {
                (0, _) if line == HEAD => {}
                (1, _) => {
                    let seed = line.strip_prefix("seed ").and_then(|seed| seed.parse().ok());
                    story.seed = seed.ok_or(bad)?;
                }
                (2.., Some(picks)) => story.picks.extend(parse_picks(picks).ok_or(bad)?),
                (2.., None) => story.lines.push(line.into()),
                _ => return Err(bad),
            }
        }
        Ok(story)
    }

    /// The adversary that picks the same again, in a world built the same way.
    pub fn replay(&self) -> Replay {
        Replay { picks: self.picks.clone(), next: 0 }
    }
}

fn parse_picks(text: &str) -> Option<Vec<Pick>> {
    let pick = |word: &str| {
        let (queue, depth) = word.split_once('.').unwrap_or((word, "0"));
        Some(Pick { queue: queue.parse().ok()?, depth: depth.parse().ok()? })
    };
    text.split(' ').map(pick).collect()
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEAD}\nseed {}", self.seed)?;
        for picks in self.picks.chunks(32) {
            f.write_str("pick")?;
            for Pick { queue, depth } in picks {
                if *depth == 0 { write!(f, " {queue}") } else { write!(f, " {queue}.{depth}") }?;
            }
            writeln!(f)?;
        }
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Picks what a story says, and then ends the run.
#[derive(Clone, Debug)]
pub struct Replay {
    picks: Vec<Pick>,
    next: usize,
}

impl Adversary for Replay {
    fn pick(&mut self, _: &World, _: &mut Rng) -> Option<Pick> {
        self.next += 1;
        self.picks.get(self.next - 1).copied()
    }
}
