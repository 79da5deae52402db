//! The flags of `maftia bench`, and what each stands for when it is not given.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

/// `maftia bench`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Bench {
    #[command(subcommand)]
    pub(crate) task: Task,
}

/// What can be measured, and what can be done with figures.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Task {
    /// Load an atomic stream, or a service behind one, and say what it gives and costs.
    #[command(after_help = "\
Examples:
  maftia bench stream --durability memory                 saturation
  maftia bench stream --rate 1000 --duration 20s          an open loop
  maftia bench stream --clients 256 --size 0              requests and replies, a closed loop
  maftia bench stream --secure --size 256                 encrypted until ordered
  maftia bench stream --fault mute --report out           one party says nothing any more")]
    Stream(Box<Stream>),
    /// Load a stream for long, while its parties are killed, restarted and cut off in turn.
    #[command(after_help = "\
Examples:
  maftia bench soak                                       half an hour, ten million payloads
  maftia bench soak --duration 2m --json it.json --report out")]
    Soak(Box<Soak>),
    /// Compare the figures of two runs.
    #[command(after_help = "Example:\n  maftia bench compare before.json after.json")]
    Compare(Compare),
    /// One party, at the other end of its standard input.
    #[command(hide = true)]
    Party(Party),
    /// One party of a soak, at the other end of its standard input.
    #[command(hide = true)]
    Soaked(Party),
}

/// `maftia bench stream`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Stream {
    /// Members of the group, of which (n - 1) / 3 may be faulty.
    #[arg(long, env = "MAFTIA_BENCH_N", value_name = "PARTIES", default_value_t = 4,
        value_parser = clap::value_parser!(u16).range(4..=64))]
    pub(crate) n: u16,
    /// Bytes of a payload or request.
    #[arg(long, env = "MAFTIA_BENCH_SIZE", value_name = "BYTES", default_value_t = 512)]
    pub(crate) size: usize,
    /// Payloads a second, over all parties, whatever the group does with them; without it, as many
    /// as the group takes.
    #[arg(long, env = "MAFTIA_BENCH_RATE", value_name = "PER_SECOND",
        value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) rate: Option<u64>,
    /// Instead of payloads, requests of so many clients of a service that does nothing; each waits
    /// for its answer before it asks again.
    #[arg(long, env = "MAFTIA_BENCH_CLIENTS", value_name = "CLIENTS",
        conflicts_with_all = ["rate", "in_flight"],
        value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) clients: Option<u16>,
    /// How long is measured.
    #[arg(long, env = "MAFTIA_BENCH_DURATION", value_name = "TIME", default_value = "10s",
        value_parser = humantime::parse_duration)]
    pub(crate) duration: Duration,
    /// How long the load runs before that.
    #[arg(long, env = "MAFTIA_BENCH_WARM_UP", value_name = "TIME", default_value = "2s",
        value_parser = humantime::parse_duration)]
    pub(crate) warm_up: Duration,
    /// What orders the payloads.
    #[arg(long, env = "MAFTIA_BENCH_ENGINE", value_enum, default_value_t = Engine::Fast)]
    pub(crate) engine: Engine,
    /// Encrypt payloads to the group, which opens them when their place is fixed: a secure causal stream.
    #[arg(long, env = "MAFTIA_BENCH_SECURE", value_enum, value_name = "CIPHER", num_args = 0..=1,
        require_equals = true, default_missing_value = Cipher::BUILT_IN, conflicts_with = "clients")]
    pub(crate) secure: Option<Cipher>,
    /// Where parties remember before they say anything.
    #[arg(long, env = "MAFTIA_BENCH_DURABILITY", value_enum, default_value_t = Durability::Disk)]
    pub(crate) durability: Durability,
    /// What one party does wrong from the end of the warm-up on.
    #[arg(long, env = "MAFTIA_BENCH_FAULT", value_enum, default_value_t = Fault::None)]
    pub(crate) fault: Fault,
    /// Which party that is.
    #[arg(long, env = "MAFTIA_BENCH_FAULTY", value_name = "PARTY", default_value_t = 0)]
    pub(crate) faulty: u16,
    /// Without --rate: payloads of one party that may be under way at a time.
    #[arg(long, env = "MAFTIA_BENCH_IN_FLIGHT", value_name = "PAYLOADS",
        value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) in_flight: Option<u64>,
    /// How often all of it is done; the figures are medians.
    #[arg(long, env = "MAFTIA_BENCH_RUNS", value_name = "TIMES", default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) runs: u16,
    /// What carries the frames between the processes.
    #[arg(long, env = "MAFTIA_BENCH_LINK", value_enum, default_value_t = Link::Tcp)]
    pub(crate) link: Link,
    /// All parties in this process, over links in memory, instead of processes over sockets.
    #[arg(long, env = "MAFTIA_BENCH_IN_PROCESS", conflicts_with = "link")]
    pub(crate) in_process: bool,
    /// Write the figures into this file.
    #[arg(long, env = "MAFTIA_BENCH_JSON", value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write a page with plots, and the figures, into this folder.
    #[arg(long, env = "MAFTIA_BENCH_REPORT", value_name = "DIR")]
    pub(crate) report: Option<PathBuf>,
}

/// `maftia bench soak`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Soak {
    /// Members of the group, of which (n - 1) / 3 may be away at a time; here one is.
    #[arg(long, env = "MAFTIA_BENCH_N", value_name = "PARTIES", default_value_t = 4,
        value_parser = clap::value_parser!(u16).range(4..=64))]
    pub(crate) n: u16,
    /// Bytes of a payload.
    #[arg(long, env = "MAFTIA_BENCH_SIZE", value_name = "BYTES", default_value_t = 512)]
    pub(crate) size: usize,
    /// Payloads a second, over all parties that run.
    #[arg(long, env = "MAFTIA_BENCH_RATE", value_name = "PER_SECOND", default_value_t = 6_500,
        value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) rate: u64,
    /// How long payloads are sent.
    #[arg(long, env = "MAFTIA_BENCH_DURATION", value_name = "TIME", default_value = "30m",
        value_parser = humantime::parse_duration)]
    pub(crate) duration: Duration,
    /// One party is killed each time when so long is over: all but the last one, in turn.
    #[arg(long, env = "MAFTIA_BENCH_KILL_EVERY", value_name = "TIME", default_value = "30s",
        value_parser = humantime::parse_duration)]
    pub(crate) kill_every: Duration,
    /// After how long it is started again.
    #[arg(long, env = "MAFTIA_BENCH_DOWN", value_name = "TIME", default_value = "1s",
        value_parser = humantime::parse_duration)]
    pub(crate) down: Duration,
    /// How long the last party is cut off, half-way between two kills, of every five once.
    #[arg(long, env = "MAFTIA_BENCH_PARTITION", value_name = "TIME", default_value = "10s",
        value_parser = humantime::parse_duration)]
    pub(crate) partition: Duration,
    /// What carries the frames between the processes.
    #[arg(long, env = "MAFTIA_BENCH_LINK", value_enum, default_value_t = Link::Tcp)]
    pub(crate) link: Link,
    /// Where parties remember before they say anything.
    #[arg(long, env = "MAFTIA_BENCH_DURABILITY", value_enum, default_value_t = Durability::Disk)]
    pub(crate) durability: Durability,
    /// What a party keeps for those who are behind, in MiB: payloads of so many bytes.
    #[arg(long, env = "MAFTIA_BENCH_KEPT", value_name = "MIB", default_value_t = 64,
        value_parser = clap::value_parser!(u64).range(1..=4_096))]
    pub(crate) kept: u64,
    /// A party may be so long behind after it came back.
    #[arg(long, env = "MAFTIA_BENCH_LEVEL_WITHIN", value_name = "TIME", default_value = "20s",
        value_parser = humantime::parse_duration)]
    pub(crate) level_within: Duration,
    /// The process of a party may hold so much memory, in MiB.
    #[arg(long, env = "MAFTIA_BENCH_MEMORY_MAX", value_name = "MIB", default_value_t = 1_024)]
    pub(crate) memory_max: u64,
    /// The log of a party may be so large, in MiB.
    #[arg(long, env = "MAFTIA_BENCH_LOG_MAX", value_name = "MIB", default_value_t = 1_024)]
    pub(crate) log_max: u64,
    /// Write the figures into this file.
    #[arg(long, env = "MAFTIA_BENCH_JSON", value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write a page with plots, and the figures, into this folder.
    #[arg(long, env = "MAFTIA_BENCH_REPORT", value_name = "DIR")]
    pub(crate) report: Option<PathBuf>,
}

/// `maftia bench compare`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Compare {
    /// Figures that `--json` wrote.
    #[arg(value_name = "A")]
    pub(crate) before: PathBuf,
    /// The figures to compare them with.
    #[arg(value_name = "B")]
    pub(crate) after: PathBuf,
}

/// The hidden `maftia bench party`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Party {
    /// What to be, in JSON.
    #[arg(value_name = "ROLE")]
    pub(crate) role: String,
}

/// What orders the payloads. Another engine is another name here and an arm in
/// [`host`](super::host).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Engine {
    /// A leader, and rounds when that fails.
    Fast,
    /// Lanes whose heads a quorum signs, ordered by rounds: no clock.
    Lanes,
    /// The rounds of Cachin, Kursawe, Petzold and Shoup.
    Rounds,
}

/// How payloads are encrypted, as the configuration calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Cipher {
    /// Over pairings.
    Pairing,
    /// The same with the library `blst`, if it is built in.
    PairingBlst,
}

impl Cipher {
    /// The fastest there is.
    const BUILT_IN: &str = if cfg!(feature = "blst") { "pairing-blst" } else { "pairing" };
}

/// Where parties remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Durability {
    /// On the disk, synced before anything is said.
    Disk,
    /// In files, not synced.
    DiskUnsynced,
    /// In the memory of the process.
    Memory,
}

/// What carries the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Link {
    /// TCP.
    Tcp,
    /// QUIC, encrypted.
    Quic,
}

/// What the faulty party does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fault {
    /// Nothing wrong.
    None,
    /// Its process ends.
    Crash,
    /// It listens and says nothing.
    Mute,
    /// It says everything late.
    Delay,
    /// It tells different things to different parties.
    Equivocate,
    /// It answers clients with wrong values.
    CorruptReply,
    /// It says things that it made up.
    Forge,
    /// It says old things again.
    Replay,
    /// It keeps its shares of coins and signatures to itself.
    WithholdShares,
}

/// The name of a value on the command line.
pub(crate) fn word<T: ValueEnum>(value: T) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
