//! What a bench found, as it stands in the JSON file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{plan::Config, word::Verdict};

/// The form of the file. A reader refuses others.
pub(crate) const SCHEMA: u32 = 1;

/// The share of payloads, and the latency that so many did not exceed.
const SHARES: [f64; 14] =
    [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.0];

/// All that one `maftia bench stream` found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// The form of this file.
    pub(crate) schema: u32,
    /// The version of the program.
    pub(crate) version: String,
    /// What was measured.
    pub(crate) config: Config,
    /// Medians of all runs.
    #[serde(flatten)]
    pub(crate) median: Figures,
    /// Medians of the floor, which was measured before each run.
    pub(crate) floor: Floor,
    /// The least and the most throughput of a run, in payloads a second.
    pub(crate) spread_per_s: [f64; 2],
    /// Each run.
    pub(crate) runs: Vec<Figures>,
}

/// What the same bytes cost with nothing agreed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Floor {
    /// Payloads that every party received, a second.
    pub(crate) throughput_per_s: f64,
    /// CPU of all parties.
    pub(crate) cpu_us_per_payload: f64,
}

/// What one run found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Payloads that every good party delivered, a second.
    pub(crate) throughput_per_s: f64,
    /// The same without the first second, in which a fault strikes.
    pub(crate) throughput_after_first_second_per_s: f64,
    /// CPU of all parties.
    pub(crate) cpu_us_per_payload: f64,
    /// CPU of whoever makes the load.
    pub(crate) cpu_us_per_payload_clients: f64,
    /// From the moment for which a payload was intended to its delivery, at every good party.
    pub(crate) latency_ms: Latency,
    /// The shape of the same: shares of payloads, and the latency that so many did not exceed.
    pub(crate) percentiles_ms: Vec<(f64, f64)>,
    /// Payloads that did not come, over all good parties.
    pub(crate) gaps: u64,
    /// Payloads that came again.
    pub(crate) duplicates: u64,
    /// Payloads out of order, parties whose order is another, and wrong answers.
    pub(crate) disorders: u64,
    /// Payloads that no good generator sent.
    pub(crate) foreign: u64,
    /// Payloads that a party refused.
    pub(crate) refused: u64,
    /// Good parties that fell behind by more than the others keep. What they missed counts as gaps.
    pub(crate) behind: u64,
    /// Payloads that were due and not sent, because their party had no room. Latencies say nothing
    /// of them.
    pub(crate) unsent: u64,
    /// The most memory of each party's process.
    pub(crate) peak_mib_per_party: Vec<f64>,
    /// Whether the memory is that of one process with all of them.
    pub(crate) in_process: bool,
    /// How it went over time.
    pub(crate) timeline: Vec<Point>,
}

/// Latencies, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

/// A moment of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point {
    /// Seconds since the measurement began.
    pub(crate) at_s: f64,
    /// Payloads a second.
    pub(crate) per_s: f64,
    /// The longest latency.
    pub(crate) slowest_ms: f64,
}

impl Figures {
    /// Adds what the subscribers of good parties saw.
    pub(crate) fn hear(&mut self, verdicts: &[Verdict]) {
        let sum = |of: fn(&Verdict) -> u64| verdicts.iter().map(of).sum::<u64>();
        self.gaps = sum(|verdict| verdict.gaps);
        self.duplicates = sum(|verdict| verdict.duplicates);
        self.foreign = sum(|verdict| verdict.foreign);
        self.refused = sum(|verdict| verdict.refused);
        self.behind = sum(|verdict| verdict.behind.into());
        // Orders can be compared where as much was delivered; where not, there are gaps.
        let other = |verdict: &&Verdict| {
            verdict.delivered == verdicts[0].delivered && verdict.order != verdicts[0].order
        };
        self.disorders =
            sum(|verdict| verdict.disorders) + verdicts.iter().filter(other).count() as u64;
        let mib = |verdict: &Verdict| (verdict.peak_bytes >> 10) as f64 / 1_024.0;
        // In one process, each would tell the same.
        let told = if self.in_process { 1 } else { verdicts.len() };
        self.peak_mib_per_party = verdicts.iter().take(told).map(mib).collect();
    }

    /// Takes latencies, as microseconds and how many took so long.
    pub(crate) fn latencies(&mut self, all: impl Iterator<Item = (u64, u64)>) {
        let mut counts = BTreeMap::<u64, u64>::new();
        all.for_each(|(us, count)| *counts.entry(us).or_default() += count);
        let share = |share: f64| quantile(&counts, share) as f64 / 1e3;
        self.latency_ms =
            Latency { p50: share(0.5), p90: share(0.9), p99: share(0.99), max: share(1.0) };
        self.percentiles_ms = SHARES.map(|of| (of, share(of))).to_vec();
    }

    /// Whether every payload came once, in order, everywhere.
    pub(crate) fn is_sound(&self) -> bool {
        self.gaps + self.duplicates + self.disorders == 0
    }
}

/// The value that this share of the counted does not exceed.
fn quantile(counts: &BTreeMap<u64, u64>, share: f64) -> u64 {
    let all: u64 = counts.values().sum();
    let rank = (all as f64 * share).ceil().max(1.0) as u64;
    let mut seen = 0;
    let found = counts.iter().find(|(_, count)| {
        seen += **count;
        seen >= rank
    });
    found.or(counts.last_key_value()).map_or(0, |(value, _)| *value)
}

/// The median. Of an even number of figures, the higher of the two in the middle.
pub(crate) fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(0.0)
}

impl Outcome {
    /// What these runs and floors say.
    pub(crate) fn of(config: Config, runs: Vec<Figures>, floors: &[Figures]) -> Self {
        let over = |of: fn(&Figures) -> f64| median(runs.iter().map(of));
        let sum = |of: fn(&Figures) -> u64| runs.iter().map(of).sum::<u64>();
        // The run of median throughput lends what has no median.
        let middle = over(|run| run.throughput_per_s);
        let typical = runs.iter().find(|run| run.throughput_per_s.total_cmp(&middle).is_eq());
        let median = Figures {
            throughput_per_s: middle,
            throughput_after_first_second_per_s: over(|run| {
                run.throughput_after_first_second_per_s
            }),
            cpu_us_per_payload: over(|run| run.cpu_us_per_payload),
            cpu_us_per_payload_clients: over(|run| run.cpu_us_per_payload_clients),
            latency_ms: Latency {
                p50: over(|run| run.latency_ms.p50),
                p90: over(|run| run.latency_ms.p90),
                p99: over(|run| run.latency_ms.p99),
                max: over(|run| run.latency_ms.max),
            },
            gaps: sum(|run| run.gaps),
            duplicates: sum(|run| run.duplicates),
            disorders: sum(|run| run.disorders),
            foreign: sum(|run| run.foreign),
            refused: sum(|run| run.refused),
            behind: sum(|run| run.behind),
            unsent: sum(|run| run.unsent),
            ..typical.cloned().unwrap_or_default()
        };
        let rates = || runs.iter().map(|run| run.throughput_per_s);
        Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config,
            median,
            floor: Floor {
                throughput_per_s: self::median(floors.iter().map(|it| it.throughput_per_s)),
                cpu_us_per_payload: self::median(floors.iter().map(|it| it.cpu_us_per_payload)),
            },
            spread_per_s: [rates().fold(f64::INFINITY, f64::min), rates().fold(0.0, f64::max)],
            runs,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp, reason = "they are set, not computed")]

    use super::*;

    #[test]
    fn shares_of_latencies_are_where_they_should_be() {
        let mut figures = Figures::default();
        figures.latencies([(1_000, 50), (2_000, 40), (3_000, 9)].into_iter().chain([(9_000, 1)]));
        let Latency { p50, p90, p99, max } = figures.latency_ms;
        assert_eq!([p50, p90, p99, max], [1.0, 2.0, 3.0, 9.0]);
        figures.latencies(std::iter::empty());
        assert_eq!(figures.latency_ms, Latency::default());
    }

    #[test]
    fn another_order_is_a_disorder() {
        let verdict = |order| Verdict { delivered: 7, order, ..Verdict::default() };
        let mut figures = Figures::default();
        figures.hear(&[verdict(1), verdict(1), verdict(2)]);
        assert_eq!((figures.disorders, figures.is_sound()), (1, false));
    }

    #[test]
    fn an_outcome_has_medians_and_sums() {
        let run = |throughput_per_s, gaps| Figures { throughput_per_s, gaps, ..Figures::default() };
        let config = super::super::plan::tests::plan().config();
        let outcome = Outcome::of(config, vec![run(3.0, 1), run(1.0, 0), run(2.0, 2)], &[]);
        assert_eq!((outcome.median.throughput_per_s, outcome.median.gaps), (2.0, 3));
        assert_eq!(outcome.spread_per_s, [1.0, 3.0]);
    }
}
