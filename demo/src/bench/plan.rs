//! What is to be measured, checked: whatever stands here can be run.

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    time::Duration,
};

use maftia_core::wire::limits;
use serde::{Deserialize, Serialize};

use super::{
    flags::{self, Cipher, Durability, Engine, Fault, Link, word},
    sealed::Sealer,
    word::STAMP,
};
use crate::exit::{Exit, Stop};

/// The shortest and the longest measurement: a dozen samples, and an hour.
const DURATION: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(500)..=Duration::from_hours(1);

/// Bytes of all parties that are under way at saturation, unless it is told otherwise. Every party takes
/// what all send, so queues are as long whatever their number. More make them longer, and hardly anything
/// faster.
const IN_FLIGHT_BYTES: usize = 4 * limits::BATCH_BYTES_MAX;

/// The most payloads of one party that are under way at saturation, unless it is told otherwise.
const IN_FLIGHT_MAX: u64 = limits::BATCH_PAYLOADS_MAX as u64;

/// How long the floor is measured at most, and how long it warms up.
const FLOOR: [Duration; 2] = [Duration::from_secs(2), Duration::from_millis(500)];

/// What is to be measured.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) n: u16,
    pub(crate) size: usize,
    pub(crate) load: Load,
    pub(crate) duration: Duration,
    pub(crate) warm_up: Duration,
    pub(crate) engine: Engine,
    pub(crate) secure: Option<Cipher>,
    pub(crate) durability: Durability,
    fault: Fault,
    faulty: u16,
    pub(crate) runs: u16,
    pub(crate) link: Link,
    pub(crate) in_process: bool,
    pub(crate) json: Option<PathBuf>,
    pub(crate) report: Option<PathBuf>,
}

/// Where the load comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// Payloads at a rate, over all parties.
    Rate(u64),
    /// As many payloads as the group takes, so many of each party under way at a time.
    Saturate(u64),
    /// Requests of so many clients, each of which waits for its answer.
    Clients(u16),
}

/// The plan, as the figures name it: what must be equal for figures to be comparable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Config {
    pub(crate) n: u16,
    pub(crate) f: u16,
    pub(crate) size: usize,
    pub(crate) load: String,
    pub(crate) rate_per_s: Option<u64>,
    pub(crate) in_flight: Option<u64>,
    pub(crate) clients: Option<u16>,
    pub(crate) duration_s: f64,
    pub(crate) warm_up_s: f64,
    pub(crate) engine: String,
    #[serde(default)]
    pub(crate) secure: Option<String>,
    pub(crate) durability: String,
    pub(crate) fault: String,
    pub(crate) faulty: Option<u16>,
    pub(crate) links: String,
    pub(crate) cores: usize,
}

impl Plan {
    /// Checks the flags, and that the figures can be written when they are there.
    pub(crate) fn new(flags: &flags::Stream) -> Result<Self, Stop> {
        let plan = Self {
            n: flags.n,
            size: flags.size,
            load: load(flags),
            duration: flags.duration,
            warm_up: flags.warm_up,
            engine: flags.engine,
            secure: flags.secure,
            durability: flags.durability,
            fault: flags.fault,
            faulty: flags.faulty,
            runs: flags.runs,
            link: flags.link,
            in_process: flags.in_process,
            json: flags.json.clone(),
            report: flags.report.clone(),
        };
        plan.check()?;
        outputs(plan.json.as_deref(), plan.report.as_deref())?;
        Ok(plan)
    }

    fn check(&self) -> Result<(), Stop> {
        let clients = matches!(self.load, Load::Clients(_));
        if self.size < STAMP && !clients {
            let help = format!("a payload carries who sent it and when: --size {STAMP} or more");
            return Err(usage(format!("--size {} is too small", self.size), help));
        }
        if self.secure.is_some() && Sealer::batch_max(self.size) == 0 {
            let help = "a ciphertext takes some bytes itself: leave 2 KiB";
            return Err(usage(format!("--size {} is too large with --secure", self.size), help));
        }
        if self.size > limits::PAYLOAD_MAX {
            let help = format!("a payload has at most {} bytes", limits::PAYLOAD_MAX);
            return Err(usage(format!("--size {} is too large", self.size), help));
        }
        if !DURATION.contains(&self.duration) {
            let help = "between 500ms and 1h, such as --duration 10s";
            return Err(usage("that is no --duration", help));
        }
        if self.warm_up > *DURATION.end() {
            return Err(usage("that is no --warm-up", "at most 1h, such as --warm-up 2s"));
        }
        if self.faulty >= self.n {
            let help = format!("parties are numbered from 0 to {}", self.n - 1);
            return Err(usage(format!("there is no party {}", self.faulty), help));
        }
        if self.fault == Fault::CorruptReply && !clients {
            let help = "only clients get replies: take mute, equivocate or another";
            return Err(usage("--fault corrupt-reply means nothing without --clients", help));
        }
        Ok(())
    }

    /// Payloads of one party that may be under way.
    pub(crate) fn window(&self) -> u64 {
        match self.load {
            Load::Rate(_) | Load::Clients(_) => usual_window(self.n, self.size),
            Load::Saturate(window) => window,
        }
    }

    /// How many clients ask.
    pub(crate) fn clients(&self) -> u16 {
        if let Load::Clients(clients) = self.load { clients } else { 0 }
    }

    /// How many may be faulty.
    pub(crate) fn faults(&self) -> u16 {
        faults(self.n)
    }

    /// Who is faulty, and how.
    pub(crate) fn faulty(&self) -> Option<(u16, Fault)> {
        (self.fault != Fault::None).then_some((self.faulty, self.fault))
    }

    /// The same bytes with nothing agreed, as many as go, for a shorter time.
    pub(crate) fn floor(&self) -> Self {
        let [longest, warm_up] = FLOOR;
        let (duration, size) = (self.duration.min(longest), self.size.max(STAMP));
        let load = Load::Saturate(usual_window(self.n, size).min(self.window()));
        Self { size, load, duration, warm_up, secure: None, ..self.clone() }
    }

    /// How the figures name it.
    pub(crate) fn config(&self) -> Config {
        let (load, rate_per_s, in_flight, clients) = match self.load {
            Load::Rate(rate) => ("open loop", Some(rate), None, None),
            Load::Saturate(payloads) => ("saturation", None, Some(payloads), None),
            Load::Clients(clients) => ("closed loop", None, None, Some(clients)),
        };
        Config {
            n: self.n,
            f: self.faults(),
            size: self.size,
            load: load.to_owned(),
            rate_per_s,
            in_flight,
            clients,
            duration_s: self.duration.as_secs_f64(),
            warm_up_s: self.warm_up.as_secs_f64(),
            engine: word(self.engine),
            secure: self.secure.map(word),
            durability: word(self.durability),
            fault: word(self.fault),
            faulty: self.faulty().map(|(party, _)| party),
            links: match (self.in_process, self.link) {
                (true, _) => "in process".to_owned(),
                (false, link) => format!("{}, a process each", word(link)),
            },
            cores: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

fn load(flags: &flags::Stream) -> Load {
    match (flags.clients, flags.rate) {
        (Some(clients), _) => Load::Clients(clients),
        (None, Some(rate)) => Load::Rate(rate),
        (None, None) => {
            Load::Saturate(flags.in_flight.unwrap_or_else(|| usual_window(flags.n, flags.size)))
        }
    }
}

/// How many of so many may be faulty.
pub(crate) fn faults(n: u16) -> u16 {
    (n - 1) / 3
}

pub(crate) fn usual_window(n: u16, size: usize) -> u64 {
    ((IN_FLIGHT_BYTES / usize::from(n.max(1)) / size.max(1)) as u64).clamp(1, IN_FLIGHT_MAX)
}

pub(crate) fn usage(message: impl Into<String>, help: impl Into<String>) -> Stop {
    Stop::new(Exit::Usage, message, help)
}

/// Makes sure that what is found can be written, before an hour is spent on it.
pub(crate) fn outputs(json: Option<&Path>, report: Option<&Path>) -> Result<(), Stop> {
    if let Some(folder) = report {
        fs::create_dir_all(folder).map_err(|error| Stop::file(folder, "make", &error))?;
        let probe = tempfile::tempfile_in(folder);
        probe.map_err(|error| Stop::file(folder, "write into", &error))?;
    }
    json.map_or(Ok(()), writable)
}

fn writable(path: &Path) -> Result<(), Stop> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.map(drop).map_err(|error| Stop::file(path, "write", &error))
}

#[cfg(test)]
pub(crate) mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Task};

    fn flags(words: &[&str]) -> flags::Stream {
        let words = ["maftia", "bench", "stream"].iter().chain(words);
        match Cli::try_parse_from(words).expect("good words").command {
            Some(Task::Bench(flags::Bench { task: flags::Task::Stream(flags) })) => *flags,
            other => panic!("{other:?}"),
        }
    }

    /// The plan without any flag.
    pub(crate) fn plan() -> Plan {
        Plan::new(&flags(&[])).expect("a good plan")
    }

    #[test]
    fn what_is_not_said_is_saturation_of_four_with_a_disk() {
        let plan = plan();
        assert_eq!(
            (plan.n, plan.faults(), plan.size, plan.load),
            (4, 1, 512, Load::Saturate(8_192))
        );
        assert_eq!((plan.durability, plan.faulty(), plan.runs), (Durability::Disk, None, 1));
        assert_eq!(usual_window(16, 512), 2_048, "all together as much as four");
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_words() {
        for (words, part) in [
            (vec!["--size", "0"], "--size 0 is too small"),
            (vec!["--size", "23"], "too small"),
            (vec!["--size", "9999999"], "too large"),
            (vec!["--duration", "0s"], "--duration"),
            (vec!["--duration", "2h"], "--duration"),
            (vec!["--warm-up", "2h"], "--warm-up"),
            (vec!["--faulty", "4"], "no party 4"),
            (vec!["--fault", "corrupt-reply"], "--clients"),
        ] {
            let stop = Plan::new(&flags(&words)).expect_err("nonsense");
            assert_eq!(stop.exit, Exit::Usage);
            assert!(stop.message.contains(part), "{words:?}: {}", stop.message);
        }
    }
}
