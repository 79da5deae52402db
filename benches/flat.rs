//! Whether a replica stays as large as it is: a million payloads through an atomic stream of four
//! parties in one process, with logs on disk and in memory. Every party keeps rounds for those who
//! are behind, takes snapshots and truncates its log as it does in production.
//!
//! Fails when what the last half used exceeds what was in use once rounds and segments were full.

#![allow(clippy::cast_precision_loss, reason = "figures are printed with three digits")]

#[path = "support/cluster.rs"]
mod cluster;
mod support;

use std::{
    path::Path,
    process::{Command, ExitCode},
};

use maftia_actors::{log::Store, node::Durability, placement::Placement};
use maftia_core::protocol::Kind;
use support::{PAYLOAD, resident};

/// Payloads between two samples.
const STEP: u64 = 100_000;

/// Samples.
const STEPS: usize = 10;

/// By how much the last five samples may exceed the four before them. The first is not counted: by
/// then neither the rounds that are kept nor the first segment of a log are full. What is in use
/// when a sample is taken is not the same each time, hence the slack.
const SLACK: f64 = 1.15;

/// The same for logs, which are saws: each grows to twice its snapshot before it is cut, and the teeth
/// of the four parties fall together in one sample and apart in the next. Logs that are not cut grow by
/// 195 MiB a sample at least, and double in the last half.
const LOG_SLACK: f64 = 1.5;

/// Which run a process is to measure.
const WHAT: &str = "MAFTIA_FLAT";
const DISK: &str = "logs on disk";
const MEMORY: &str = "logs in memory";

/// Makes the allocator of glibc give large buffers back when they are freed, so that what is resident
/// is what is in use. As it is shipped it keeps twice as much for the next of them.
const RETURN: (&str, &str) = ("MALLOC_MMAP_THRESHOLD_", "131072");

/// Looks in each step. The least memory that they saw is the sample: a party is larger while it takes
/// a snapshot, and how many parties do so at once is chance.
const LOOKS: u64 = 10;

/// What a sample says, in MiB.
struct Sample {
    resident: f64,
    logs: f64,
}

/// The bytes of all files below a folder.
fn on_disk(folder: &Path) -> u64 {
    let size = |entry: std::io::Result<std::fs::DirEntry>| {
        // A segment may be gone between being listed and being looked at.
        let path = entry.ok()?.path();
        if path.is_dir() { Some(on_disk(&path)) } else { Some(path.metadata().ok()?.len()) }
    };
    std::fs::read_dir(folder).into_iter().flatten().filter_map(size).sum()
}

/// Orders all payloads; a sample every [`STEP`] of them.
async fn run(name: &str, durability: impl Fn(usize) -> Durability, logs: impl Fn() -> u64) -> bool {
    println!(
        "  {name}: payloads, MiB resident (least, most), MiB of all four logs, us CPU a payload"
    );
    let placement = Placement::detached([Kind("multivalued"), Kind("validated")]);
    let mut cluster = cluster::start(&placement, durability).await;
    let mut samples = Vec::new();
    for step in 1..=STEPS as u64 {
        let (mut cpu, mut residents, mut sizes) = (0.0, Vec::new(), Vec::new());
        for _ in 0..LOOKS {
            cpu += cluster.saturate(STEP / LOOKS).await.0.as_secs_f64() * 1e6 / STEP as f64;
            residents.push(resident() as f64);
            sizes.push((logs() >> 20) as f64);
        }
        let least = residents.iter().copied().fold(f64::MAX, f64::min);
        let [resident, logs] = [residents, sizes].map(|seen| seen.into_iter().fold(0.0, f64::max));
        println!("    {:>9} {least:>6} {resident:>6} {logs:>6} {cpu:>6.1}", step * STEP);
        let sample = Sample { resident: least, logs };
        samples.push(sample);
    }
    for node in cluster.nodes {
        node.crash();
    }
    let flat = |what: &str, slack: f64, of: fn(&Sample) -> f64| {
        let most = |samples: &[Sample]| samples.iter().map(of).fold(0.0, f64::max);
        let ratio = most(&samples[STEPS / 2..]) / most(&samples[1..STEPS / 2]);
        println!("    {what}: the last half is {ratio:.2} of what was before");
        ratio <= slack
    };
    flat("memory", SLACK, |sample| sample.resident) & flat("logs", LOG_SLACK, |sample| sample.logs)
}

/// A run in this process.
async fn measure(what: &str) -> bool {
    if what == DISK {
        let folder = tempfile::tempdir().expect("a folder");
        let durability = |party: usize| Durability::Disk {
            folder: folder.path().join(party.to_string()),
            sync: false,
        };
        return run(what, durability, || on_disk(folder.path())).await;
    }
    let stores: Vec<Store> = (0..4).map(|_| Store::default()).collect();
    let durability = |party: usize| Durability::Memory(stores[party].clone());
    run(what, durability, || stores.iter().map(Store::bytes).sum()).await
}

fn main() -> ExitCode {
    if let Ok(what) = std::env::var(WHAT) {
        let flat = actix_rt::System::new().block_on(measure(&what));
        return if flat { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    println!("a million payloads of {PAYLOAD} bytes through an atomic stream, n = 4, one process");
    // Each run has a process of its own, and nothing left over from the other.
    let one = |what: &str| {
        let this = std::env::current_exe().expect("this program");
        let mut run = Command::new(this);
        run.env(WHAT, what).env(RETURN.0, RETURN.1);
        run.status().expect("it starts").success()
    };
    if [DISK, MEMORY].map(one) == [true, true] { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
