//! Sizes, groups and clocks of all benchmarks, in one place.
#![allow(dead_code, unreachable_pub, reason = "each benchmark uses a part of it")]

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use maftia_core::{
    config::Config,
    crypto::deal::Deal,
    id::{Epoch, GroupId, PartyId},
    path::InstanceId,
    seat::{Owner, Seat},
};

/// The payload of all peers' figures, in bytes.
pub const PAYLOAD: usize = 512;

/// The CPU time that this process has used, of all its threads, in user and kernel.
pub fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux tells it");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("one").split_whitespace().collect();
    let ticks: u64 =
        [11, 12].iter().map(|field| fields[*field].parse::<u64>().expect("ticks")).sum();
    Duration::from_millis(10 * ticks)
}

/// The CPU time that this thread has used.
pub fn thread_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells it");
    let spent = stat.split_whitespace().next().expect("the first of three");
    Duration::from_nanos(spent.parse().expect("nanoseconds"))
}

/// The resident memory of this process, in MiB.
pub fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux tells it");
    let pages: u64 = statm.split_whitespace().nth(1).expect("resident").parse().expect("pages");
    (pages * 4_096) >> 20
}

/// The median of some figures.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// A group of `n` with real keys, and its seats.
pub fn group(n: u16) -> (Vec<Seat>, Arc<BTreeSet<Owner>>) {
    let members: Vec<String> = (0..n).map(|at| format!("\"127.0.0.1:{}\"", 9_000 + at)).collect();
    let (f, members) = ((n - 1) / 3, members.join(", "));
    let text = format!(
        "[[group]]\nname = \"tm\"\nservice = \"transactions\"\nfaults = {f}\nmembers = [{members}]\n"
    );
    let config = Config::parse(&text).expect("a good configuration");
    let deal = Deal::new(&config, &[7; 32]);
    let directory = Arc::new(config.directory());
    let id = GroupId::new(0);
    let seats = PartyId::all(n).map(|party| {
        let ring = deal.party(id, party).expect("a member");
        Seat {
            id: InstanceId::root(id, Epoch::FIRST, "tm"),
            owner: Owner::Party(id, party),
            group: Arc::new(directory.groups()[0].clone()),
            directory: Arc::clone(&directory),
            keys: ring.keys(id).expect("its own group"),
        }
    });
    let known = PartyId::all(n).map(|party| Owner::Party(id, party)).collect();
    (seats.collect(), Arc::new(known))
}
