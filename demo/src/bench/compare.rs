//! Two outcomes beside each other: ratios of medians, and what was not the same.

use std::{fs, path::Path};

use serde_json::Value;

use super::{
    figures::{Figures, Outcome, SCHEMA},
    flags::Compare,
    plan::Config,
};
use crate::{
    exit::{Exit, Stop},
    render, screen,
};

/// The longest file of figures: thousands of runs.
const FILE_MAX: u64 = 64 << 20;

/// What is compared: its name, whether more is better, and where it stands.
type Metric = (&'static str, bool, fn(&Figures) -> f64);

const METRICS: [Metric; 7] = [
    ("payloads/s", true, |run| run.throughput_per_s),
    ("CPU us a payload, parties", false, |run| run.cpu_us_per_payload),
    ("CPU us a payload, load", false, |run| run.cpu_us_per_payload_clients),
    ("p50 ms", false, |run| run.latency_ms.p50),
    ("p90 ms", false, |run| run.latency_ms.p90),
    ("p99 ms", false, |run| run.latency_ms.p99),
    ("max ms", false, |run| run.latency_ms.max),
];

/// Compares two files.
pub(crate) fn run(compare: &Compare) -> Result<Exit, Stop> {
    let (before, after) = (read(&compare.before)?, read(&compare.after)?);
    screen::data(&table(&before, &after))?;
    for difference in differences(&before.config, &after.config) {
        screen::talk(&format!("not the same: {difference}\n"))?;
    }
    for (name, outcome) in [("A", &before), ("B", &after)] {
        if !outcome.median.is_sound() {
            screen::talk(&format!("{name} lost, doubled or disordered payloads\n"))?;
        }
    }
    Ok(Exit::Fine)
}

fn read(path: &Path) -> Result<Outcome, Stop> {
    let wrong = |why: String| {
        let message = format!("{} has no figures: {why}", path.display());
        Stop::new(Exit::BadData, message, "`maftia bench stream --json FILE` writes them")
    };
    let about = fs::metadata(path).map_err(|error| Stop::file(path, "read", &error))?;
    if !about.is_file() || about.len() > FILE_MAX {
        return Err(wrong(format!("it is no file of at most {} MiB", FILE_MAX >> 20)));
    }
    let text = fs::read(path).map_err(|error| Stop::file(path, "read", &error))?;
    let value: Value = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    match value.get("schema").and_then(Value::as_u64) {
        Some(schema) if schema == u64::from(SCHEMA) => {}
        Some(schema) => return Err(wrong(format!("its form is {schema}, and not {SCHEMA}"))),
        None => return Err(wrong("it has no schema".to_owned())),
    }
    serde_json::from_value(value).map_err(|error| wrong(error.to_string()))
}

/// The medians, their ratios, and what they mean.
fn table(before: &Outcome, after: &Outcome) -> String {
    let rows = METRICS.map(|(name, more_is_better, of)| {
        let [a, b] = [before, after].map(|outcome| of(&outcome.median));
        let noise = noise(before, of).max(noise(after, of));
        let verdict = verdict(a, b, noise, more_is_better);
        let ratio = if a > 0.0 { format!("{:.3}", b / a) } else { "-".to_owned() };
        let runs = before.runs.len().min(after.runs.len());
        let noise = if runs > 1 { format!("{:.1} %", noise * 100.0) } else { "?".to_owned() };
        let verdict = if runs > 1 { verdict } else { "one run says little" };
        [name.to_owned(), figure(a), figure(b), ratio, noise, verdict.to_owned()].to_vec()
    });
    render::table(&["METRIC", "A", "B", "B / A", "NOISE", "VERDICT"], rows)
}

fn figure(value: f64) -> String {
    if value >= 1_000.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

/// Half the distance between the extreme runs, as a share of the median.
fn noise(outcome: &Outcome, of: fn(&Figures) -> f64) -> f64 {
    let runs = || outcome.runs.iter().map(of);
    let (least, most) = (runs().fold(f64::INFINITY, f64::min), runs().fold(0.0, f64::max));
    let median = of(&outcome.median);
    if median > 0.0 { (most - least) / 2.0 / median } else { 0.0 }
}

fn verdict(a: f64, b: f64, noise: f64, more_is_better: bool) -> &'static str {
    if (b - a).abs() <= noise * a.max(b) {
        "the same"
    } else if (b > a) == more_is_better {
        "better"
    } else {
        "worse"
    }
}

/// What is not the same in two configurations.
fn differences(before: &Config, after: &Config) -> Vec<String> {
    let [a, b] = [before, after].map(|config| serde_json::to_value(config).unwrap_or_default());
    let (Value::Object(a), Value::Object(b)) = (a, b) else { return Vec::new() };
    let differs = |(key, value): (&String, &Value)| {
        let other = b.get(key).unwrap_or(&Value::Null);
        (value != other).then(|| format!("{key} is {value} in A and {other} in B"))
    };
    a.iter().filter_map(differs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::plan::tests::plan;

    fn outcome(rates: &[f64]) -> Outcome {
        let run = |rate: &f64| Figures { throughput_per_s: *rate, ..Figures::default() };
        Outcome::of(plan().config(), rates.iter().map(run).collect(), &[])
    }

    #[test]
    fn a_change_counts_when_it_is_larger_than_the_noise() {
        let (slow, noisy, fast) = (
            outcome(&[99.0, 100.0, 101.0]),
            outcome(&[90.0, 104.0, 110.0]),
            outcome(&[150.0, 151.0, 152.0]),
        );
        let first = |a: &Outcome, b: &Outcome| {
            table(a, b).lines().find(|line| line.contains("payloads/s")).map(str::to_owned)
        };
        assert!(first(&slow, &noisy).is_some_and(|line| line.contains("the same")));
        let line = first(&slow, &fast).expect("a line");
        assert!(line.contains("better") && line.contains("1.510"), "{line}");
        assert!(first(&fast, &slow).is_some_and(|line| line.contains("worse")));
        assert!(first(&outcome(&[1.0]), &fast).is_some_and(|line| line.contains("one run")));
    }

    #[test]
    fn configurations_that_differ_are_told() {
        let (one, mut two) = (plan().config(), plan().config());
        assert!(differences(&one, &two).is_empty());
        (two.n, two.rate_per_s) = (7, Some(5));
        let said = differences(&one, &two);
        assert_eq!(said, ["n is 4 in A and 7 in B", "rate_per_s is null in A and 5 in B"]);
    }
}
