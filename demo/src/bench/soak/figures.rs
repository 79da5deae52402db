//! What a soak found, what it promised, and how both look.

use std::fmt::Write;

use serde::Serialize;

use crate::{
    bench::page::{self, Points},
    exit::Stop,
};

/// By how much a mean may rise from the second quarter of the time to the last one: a share, and MiB.
const RISE: (f64, f64) = (0.25, 32.0);

/// What was run.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Config {
    pub(super) n: u16,
    pub(super) f: u16,
    pub(super) size: usize,
    pub(super) rate_per_s: u64,
    pub(super) duration_s: f64,
    pub(super) kill_every_s: f64,
    pub(super) down_s: f64,
    pub(super) partition_s: f64,
    pub(super) engine: &'static str,
    pub(super) link: String,
    pub(super) durability: String,
    pub(super) kept_mib: u64,
    pub(super) level_within_s: f64,
    pub(super) memory_max_mib: u64,
    pub(super) log_max_mib: u64,
    pub(super) cores: usize,
}

/// All that a soak found.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Outcome {
    pub(super) version: &'static str,
    pub(super) config: Config,
    /// Payloads that were sent, and that every party delivered.
    pub(super) sent: u64,
    pub(super) payloads: u64,
    pub(super) throughput_per_s: f64,
    /// Payloads that are missing below later ones, that were ordered and then were not, or that never
    /// came though their party lives; and slots that were left out without a word.
    pub(super) gaps: u64,
    pub(super) duplicates: u64,
    pub(super) disorders: u64,
    pub(super) foreign: u64,
    pub(super) refused: u64,
    /// Windows of slots of which all parties that saw them whole saw the same order, and others.
    pub(super) windows_equal: u64,
    pub(super) windows_different: u64,
    /// Slots that subscribers were told not to get, because nobody kept them, and how often.
    pub(super) lagged: u64,
    pub(super) lags: u64,
    /// Payloads that were due and found no room.
    pub(super) unsent: u64,
    pub(super) kills: Vec<Trouble>,
    pub(super) partitions: Vec<Trouble>,
    pub(super) parties: Vec<Party>,
    pub(super) timeline: Vec<Point>,
    /// Which promises were broken.
    pub(super) broken: Vec<String>,
}

/// A party was away.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Trouble {
    pub(super) at_s: f64,
    pub(super) party: u16,
    /// For how long it was away, until it was started again or let back.
    pub(super) away_s: f64,
    /// How long it then read its log.
    pub(super) reading_s: f64,
    /// How long it took from then on until it was level with the others.
    pub(super) level_s: f64,
    /// How many slots it was behind when it was back.
    pub(super) missed: u64,
    /// Whether it had to go on from a position that others vouched for.
    pub(super) resumed: bool,
}

/// What a party needed.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Party {
    pub(super) memory_max_mib: f64,
    pub(super) memory_mib_per_hour: f64,
    pub(super) log_max_mib: f64,
    pub(super) log_mib_per_hour: f64,
}

/// A second of a soak.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Point {
    pub(super) at_s: f64,
    /// Payloads a second, at whoever is ahead.
    pub(super) per_s: f64,
    /// The longest latency at any party that is not away.
    pub(super) slowest_ms: f64,
    /// The memory of each party; 0 while it is down.
    pub(super) memory_mib: Vec<f64>,
    pub(super) log_mib: Vec<f64>,
}

/// A figure over time: seconds and MiB.
type Line = Vec<(f64, f64)>;

impl Outcome {
    fn line(&self, party: usize, of: fn(&Point) -> &[f64]) -> Line {
        let points = self.timeline.iter().map(|point| (point.at_s, of(point)[party]));
        points.filter(|(_, mib)| *mib > 0.0).collect()
    }

    /// Counts what parties needed, and names the promises that were broken.
    pub(super) fn judge(&mut self) {
        for party in 0..usize::from(self.config.n) {
            let memory = self.line(party, |point| &point.memory_mib);
            let log = self.line(party, |point| &point.log_mib);
            let (memory_most, log_most) = (self.config.memory_max_mib, self.config.log_max_mib);
            self.flat(&format!("the memory of party {party}"), &memory, memory_most);
            self.flat(&format!("the log of party {party}"), &log, log_most);
            self.parties.push(Party {
                memory_max_mib: highest(&memory),
                memory_mib_per_hour: slope(&memory),
                log_max_mib: highest(&log),
                log_mib_per_hour: slope(&log),
            });
        }
        for (what, count) in [
            ("payloads are missing", self.gaps),
            ("payloads came twice", self.duplicates),
            ("payloads are out of order", self.disorders),
            ("payloads were sent by nobody", self.foreign),
            ("payloads were refused", self.refused),
            ("windows have another order at another party", self.windows_different),
        ] {
            if count > 0 {
                self.broken.push(format!("{count} {what}"));
            }
        }
        if self.payloads == 0 {
            self.broken.push("nothing was ordered".to_owned());
        }
        let within = self.config.level_within_s;
        for trouble in self.kills.iter().chain(&self.partitions) {
            if trouble.level_s > within {
                let Trouble { at_s, party, level_s, .. } = trouble;
                let words =
                    format!("party {party}, away at {at_s:.0} s, was level after {level_s:.1} s");
                self.broken.push(words);
            }
        }
    }

    fn flat(&mut self, what: &str, line: &Line, most: u64) {
        let (highest, [before, after]) = (highest(line), means(line));
        if highest > most as f64 {
            self.broken.push(format!("{what} was {highest:.0} MiB"));
        }
        if after > before * (1.0 + RISE.0) + RISE.1 {
            self.broken.push(format!("{what} grew from {before:.0} MiB to {after:.0} MiB"));
        }
    }

    /// The figures, for people.
    pub(super) fn text(&self) -> String {
        let Config { n, size, rate_per_s, duration_s, durability, .. } = &self.config;
        let mut text = format!(
            "{rate_per_s} payloads/s of {size} bytes for {duration_s:.0} s, n = {n}, durability {durability}\n\
             delivered    {} of {} sent, {:.0}/s; {} not sent for want of room\n\
             subscribers  {} gaps, {} duplicates, {} disorders, {} foreign, {} refused\n\
             orders       {} windows equal, {} different; {} slots lagged in {} lags\n",
            self.payloads,
            self.sent,
            self.throughput_per_s,
            self.unsent,
            self.gaps,
            self.duplicates,
            self.disorders,
            self.foreign,
            self.refused,
            self.windows_equal,
            self.windows_different,
            self.lagged,
            self.lags,
        );
        for (what, troubles) in [("kills", &self.kills), ("partitions", &self.partitions)] {
            text += &summary(what, troubles);
        }
        for (number, party) in self.parties.iter().enumerate() {
            let Party { memory_max_mib, memory_mib_per_hour, log_max_mib, log_mib_per_hour } =
                party;
            let line = writeln!(
                text,
                "party {number}      memory {memory_max_mib:.0} MiB at most, {memory_mib_per_hour:+.0} MiB/h; \
                 log {log_max_mib:.0} MiB at most, {log_mib_per_hour:+.0} MiB/h"
            );
            line.expect("a string takes it");
        }
        for broken in &self.broken {
            writeln!(text, "BROKEN       {broken}").expect("a string takes it");
        }
        text
    }

    /// The page.
    pub(super) fn page(&self, json: &str) -> Result<String, Stop> {
        let seconds = |at: &f64| format!("{at:.0}");
        let one = |of: fn(&Point) -> f64| -> Points {
            self.timeline.iter().map(|point| (point.at_s, of(point))).collect()
        };
        let each = |of: fn(&Point) -> &[f64]| -> Vec<Points> {
            (0..usize::from(self.config.n)).map(|party| self.line(party, of)).collect()
        };
        let away = |troubles: &[Trouble]| -> Points {
            troubles.iter().map(|trouble| (trouble.at_s, trouble.level_s)).collect()
        };
        let mut body = String::new();
        for (title, y, lines) in [
            ("Throughput", "payloads/s", vec![one(|point| point.per_s)]),
            ("Longest latency", "ms", vec![one(|point| point.slowest_ms)]),
            ("Memory of each party", "MiB", each(|point| &point.memory_mib)),
            ("Log of each party", "MiB", each(|point| &point.log_mib)),
            (
                "Until level after kills and partitions",
                "s",
                vec![away(&self.kills), away(&self.partitions)],
            ),
        ] {
            body.push_str(&page::plot([title, "seconds", y], &seconds, &lines)?);
        }
        Ok(page::frame("maftia bench soak", &self.text(), &body, json))
    }
}

fn summary(what: &str, troubles: &[Trouble]) -> String {
    let mut levels: Vec<f64> = troubles.iter().map(|trouble| trouble.level_s).collect();
    levels.sort_by(f64::total_cmp);
    let resumed = troubles.iter().filter(|trouble| trouble.resumed).count();
    let reading = troubles.iter().map(|trouble| trouble.reading_s).fold(0.0, f64::max);
    format!(
        "{what:<12} {}; level again after {:.2} s (median), {:.2} s (most); log read in {reading:.2} s \
         (most); {resumed} went on from a position of others\n",
        troubles.len(),
        levels.get(levels.len() / 2).copied().unwrap_or(0.0),
        levels.last().copied().unwrap_or(0.0),
    )
}

fn highest(line: &Line) -> f64 {
    line.iter().map(|(_, mib)| *mib).fold(0.0, f64::max)
}

/// The means of the second quarter and of the last one.
fn means(line: &Line) -> [f64; 2] {
    let quarter = line.len() / 4;
    let mean = |part: &[(f64, f64)]| {
        part.iter().map(|(_, mib)| mib).sum::<f64>() / part.len().max(1) as f64
    };
    [mean(&line[quarter..2 * quarter]), mean(&line[line.len() - quarter..])]
}

/// How much the figure rises an hour after the first quarter, by least squares.
fn slope(line: &Line) -> f64 {
    let line = &line[line.len() / 4..];
    let count = line.len().max(1) as f64;
    let (x, y) = line.iter().fold((0.0, 0.0), |(x, y), (at, mib)| (x + at, y + mib));
    let (x, y) = (x / count, y / count);
    let (above, below) = line.iter().fold((0.0, 0.0), |(above, below), (at, mib)| {
        (above + (at - x) * (mib - y), below + (at - x) * (at - x))
    });
    if below > 0.0 { above / below * 3_600.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One party that needs so much over time.
    fn outcome(memory_mib: impl Fn(f64) -> f64) -> Outcome {
        let point = |at: u32| {
            let at_s = f64::from(at);
            let (memory_mib, log_mib) = (vec![memory_mib(at_s)], vec![70.0]);
            Point { at_s, per_s: 5.0, memory_mib, log_mib, ..Point::default() }
        };
        let config = Config {
            n: 1,
            memory_max_mib: 500,
            log_max_mib: 100,
            level_within_s: 5.0,
            ..Config::default()
        };
        let timeline = (0..400).map(point).collect();
        Outcome { config, payloads: 1, timeline, ..Outcome::default() }
    }

    fn broken(mut outcome: Outcome) -> Vec<String> {
        outcome.judge();
        outcome.broken
    }

    #[test]
    fn what_is_flat_is_sound_and_what_grows_is_not() {
        assert_eq!(broken(outcome(|_| 100.0)), [""; 0]);
        let saw = broken(outcome(|at| 100.0 + at % 30.0));
        assert_eq!(saw, [""; 0], "a tooth is no growth");
        let grown = broken(outcome(|at| 50.0 + at));
        assert_eq!(grown, ["the memory of party 0 grew from 200 MiB to 400 MiB"]);
        let large = broken(outcome(|_| 501.0));
        assert_eq!(large, ["the memory of party 0 was 501 MiB"]);
        let mut rising = outcome(|at| at / 10.0);
        rising.judge();
        assert!((rising.parties[0].memory_mib_per_hour - 360.0).abs() < 1.0);
        assert!(rising.parties[0].log_mib_per_hour.abs() < 1e-6);
    }

    #[test]
    fn each_broken_promise_is_named() {
        let gap = Outcome { gaps: 3, windows_different: 1, ..outcome(|_| 1.0) };
        assert_eq!(
            broken(gap),
            ["3 payloads are missing", "1 windows have another order at another party"]
        );
        let late = Trouble { at_s: 60.0, party: 2, level_s: 7.5, ..Trouble::default() };
        let late = Outcome { kills: vec![late], ..outcome(|_| 1.0) };
        assert_eq!(broken(late), ["party 2, away at 60 s, was level after 7.5 s"]);
        assert_eq!(broken(Outcome { payloads: 0, ..outcome(|_| 1.0) }), ["nothing was ordered"]);
    }

    #[test]
    fn a_page_has_all_plots() {
        let mut outcome = outcome(|_| 100.0);
        outcome.judge();
        let page = outcome.page("{}").expect("it can be drawn");
        assert_eq!(page.matches("<svg").count(), 5);
        assert!(page.contains("<polyline") && page.contains("party 0"));
    }
}
