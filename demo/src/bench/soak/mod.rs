//! `maftia bench soak`: a stream under load for long, while its parties are killed, restarted and cut
//! off. At the end every payload came once, in one order, everywhere; and nothing has grown.
//!
//! One party is away at a time. All but the last one are killed in turn, without any warning; the last
//! one is cut off, by the switch that its links have for laboratories, so that its process lives all the
//! time and shows what grows in a process. Each life of a party has a generator of its own, whose
//! numbers begin again: what it had not got ordered when its party was killed may be lost, but not a
//! payload in between.

mod crew;
mod figures;
mod ledger;
mod party;
mod run;
mod watcher;
mod words;

use std::{path::PathBuf, time::Duration};

pub(crate) use self::party::run as party;
use self::{
    figures::{Config, Outcome},
    run::Soak,
};
use super::{
    flags::{self, Durability, Link, word},
    plan::{self, usage},
    progress::Progress,
    word::STAMP,
};
use crate::{
    exit::{Exit, Stop},
    screen, signals,
};

/// The longest soak.
const DURATION_MAX: Duration = Duration::from_hours(24);

/// What is to be run, checked.
#[derive(Clone, Debug)]
struct Plan {
    n: u16,
    size: usize,
    rate: u64,
    duration: Duration,
    kill_every: Duration,
    down: Duration,
    partition: Duration,
    link: Link,
    durability: Durability,
    kept_mib: u64,
    level_within: Duration,
    memory_max_mib: u64,
    log_max_mib: u64,
    json: Option<PathBuf>,
    report: Option<PathBuf>,
}

impl Plan {
    fn new(flags: &flags::Soak) -> Result<Self, Stop> {
        let plan = Self {
            n: flags.n,
            size: flags.size,
            rate: flags.rate,
            duration: flags.duration,
            kill_every: flags.kill_every,
            down: flags.down,
            partition: flags.partition,
            link: flags.link,
            durability: flags.durability,
            kept_mib: flags.kept,
            level_within: flags.level_within,
            memory_max_mib: flags.memory_max,
            log_max_mib: flags.log_max,
            json: flags.json.clone(),
            report: flags.report.clone(),
        };
        plan.check()?;
        plan::outputs(plan.json.as_deref(), plan.report.as_deref())?;
        Ok(plan)
    }

    fn check(&self) -> Result<(), Stop> {
        if !(STAMP..=maftia_core::wire::limits::PAYLOAD_MAX).contains(&self.size) {
            let help = format!("a payload carries who sent it and when: --size {STAMP} or more");
            return Err(usage(format!("--size {} is no size of a payload", self.size), help));
        }
        if !(Duration::from_secs(1)..=DURATION_MAX).contains(&self.duration) {
            return Err(usage("that is no --duration", "between 1s and 24h, such as 30m"));
        }
        if self.kill_every < Duration::from_secs(1) {
            return Err(usage("that is no --kill-every", "1s or more, such as 30s"));
        }
        if self.durability == Durability::Memory {
            let help = "take --durability disk, or disk-unsynced";
            return Err(usage("a party without a disk does not come back", help));
        }
        Ok(())
    }

    fn config(&self) -> Config {
        Config {
            n: self.n,
            f: plan::faults(self.n),
            size: self.size,
            rate_per_s: self.rate,
            duration_s: self.duration.as_secs_f64(),
            kill_every_s: self.kill_every.as_secs_f64(),
            down_s: self.down.as_secs_f64(),
            partition_s: self.partition.as_secs_f64(),
            engine: "fast",
            link: word(self.link),
            durability: word(self.durability),
            kept_mib: self.kept_mib,
            level_within_s: self.level_within.as_secs_f64(),
            memory_max_mib: self.memory_max_mib,
            log_max_mib: self.log_max_mib,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// Runs a soak.
pub(super) fn run(flags: &flags::Soak) -> Result<Exit, Stop> {
    let plan = Plan::new(flags)?;
    let signal = signals::watch()?;
    let outcome = Soak::start(&plan, &signal)?.run(&Progress::new("soak"))?;
    report(&plan, &outcome)?;
    if outcome.broken.is_empty() {
        return Ok(Exit::Fine);
    }
    let help = "the figures above name them";
    Err(Stop::new(Exit::CommandFailed, "promises were broken", help))
}

fn report(plan: &Plan, outcome: &Outcome) -> Result<(), Stop> {
    screen::data(&outcome.text())?;
    let json = serde_json::to_string_pretty(outcome);
    let json = json.map_err(|error| Stop::new(Exit::Bug, error.to_string(), ""))?;
    if let Some(path) = &plan.json {
        super::write(path, &json)?;
    }
    if let Some(folder) = &plan.report {
        super::write(&folder.join("index.html"), &outcome.page(&json)?)?;
        super::write(&folder.join("result.json"), &json)?;
    }
    Ok(())
}
