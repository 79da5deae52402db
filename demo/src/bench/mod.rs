//! `maftia bench`: what an atomic stream gives and costs on this machine.
//!
//! Read in this order: [`flags`] what can be asked, [`plan`] what is checked, [`measure`] one run,
//! [`fleet`] its parties from outside, [`host`], [`served`] and [`sealed`] one from inside, [`load`] who makes payloads and
//! [`subscriber`] who takes them, [`clients`] who asks and [`echo`] what answers, [`word`] what they
//! say to each other, [`floor`] what nothing can beat, [`figures`], [`page`] and [`compare`] what
//! comes out; [`soak`] a long run in which parties come and go.

#![allow(clippy::cast_precision_loss, reason = "figures are printed with a few digits")]
#![allow(clippy::cast_sign_loss, reason = "no figure is negative")]

mod clients;
mod clock;
mod compare;
mod echo;
mod figures;
pub(crate) mod flags;
mod fleet;
mod floor;
mod home;
mod host;
mod load;
mod measure;
mod page;
mod plan;
mod progress;
mod sealed;
mod served;
mod soak;
mod subscriber;
mod track;
mod word;

use std::{fs, path::Path, sync::mpsc};

use self::{
    figures::{Figures, Outcome},
    flags::{Bench, Task},
    host::Serves,
    plan::{Load, Plan},
    progress::Progress,
};
use crate::{
    exit::{Exit, Stop},
    screen, signals,
};

/// Does what is asked.
pub(crate) fn run(bench: &Bench) -> Result<Exit, Stop> {
    // Also what makes the load takes and frees megabytes, and is not to be measured with that.
    maftia_actors::heap::keep();
    match &bench.task {
        Task::Stream(flags) => stream(&Plan::new(flags)?),
        Task::Compare(files) => compare::run(files),
        Task::Party(party) => host::run(&party.role),
        Task::Soak(flags) => soak::run(flags),
        Task::Soaked(party) => soak::party(&party.role),
    }
}

/// Measures a stream, and its floor before each run.
fn stream(plan: &Plan) -> Result<Exit, Stop> {
    let signal = signals::watch()?;
    let (mut runs, mut floors) = (Vec::new(), Vec::new());
    for number in 1..=plan.runs {
        let name = |what: &str| format!("{what} {number}/{}", plan.runs);
        let lowest = plan.floor();
        floors.push(measure::run(&lowest, Serves::Floor, &signal, &Progress::new(name("floor")))?);
        runs.push(once(plan, &signal, &Progress::new(name("run")))?);
    }
    let outcome = Outcome::of(plan.config(), runs, &floors);
    let text = text(&outcome);
    screen::data(&text)?;
    if let Some(path) = &plan.json {
        write(path, &json(&outcome)?)?;
    }
    if let Some(folder) = &plan.report {
        let json = json(&outcome)?;
        write(&folder.join("index.html"), &page::page(&outcome, &text, &json)?)?;
        write(&folder.join("result.json"), &json)?;
    }
    if outcome.median.is_sound() {
        return Ok(Exit::Fine);
    }
    let help = "the figures above name them; this is no good stream";
    Err(Stop::new(Exit::CommandFailed, "payloads were lost, doubled or out of order", help))
}

fn once(plan: &Plan, signal: &mpsc::Receiver<()>, progress: &Progress) -> Result<Figures, Stop> {
    let serves = match plan.load {
        Load::Clients(_) => Serves::Service(plan.engine),
        Load::Rate(_) | Load::Saturate(_) if plan.secure.is_some() => Serves::Sealed(plan.engine),
        Load::Rate(_) | Load::Saturate(_) => Serves::Stream(plan.engine),
    };
    measure::run(plan, serves, signal, progress)
}

fn json(outcome: &Outcome) -> Result<String, Stop> {
    let text = serde_json::to_string_pretty(outcome);
    text.map_err(|error| Stop::new(Exit::Bug, error.to_string(), ""))
}

fn write(path: &Path, text: &str) -> Result<(), Stop> {
    fs::write(path, text).map_err(|error| Stop::file(path, "write", &error))
}

/// The figures, for people.
fn text(outcome: &Outcome) -> String {
    let Outcome { config, median, floor, spread_per_s: [least, most], .. } = outcome;
    let latency = median.latency_ms;
    let peaks = median.peak_mib_per_party.iter().map(|mib| format!("{mib:.0}"));
    format!(
        "{} of {} bytes, n = {}, engine {}{}, durability {}, fault {}, {}; {} run(s)\n\
         throughput   {:.0} payloads/s ({least:.0} to {most:.0}); floor {:.0}\n\
         CPU          {:.2} us a payload, all parties; floor {:.2}; generator {:.2}\n\
         latency      p50 {:.2}  p90 {:.2}  p99 {:.2}  max {:.2} ms\n\
         memory       {} MiB at most, by party\n\
         subscribers  {} gaps, {} duplicates, {} disorders; {} refused, {} not sent, {} behind\n",
        config.load,
        config.size,
        config.n,
        config.engine,
        config.secure.as_ref().map_or(String::new(), |cipher| format!(", encrypted ({cipher})")),
        config.durability,
        config.fault,
        config.links,
        outcome.runs.len(),
        median.throughput_per_s,
        floor.throughput_per_s,
        median.cpu_us_per_payload,
        floor.cpu_us_per_payload,
        median.cpu_us_per_payload_clients,
        latency.p50,
        latency.p90,
        latency.p99,
        latency.max,
        peaks.collect::<Vec<_>>().join(", "),
        median.gaps,
        median.duplicates,
        median.disorders,
        median.refused,
        median.unsent,
        median.behind,
    )
}
