//! Time, CPU time and memory, as the operating system counts them.

use std::{fs, time::Duration};

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds on the clock that all processes of this machine share and nobody sets.
pub(crate) fn now() -> u64 {
    read(ClockId::Monotonic)
}

/// CPU nanoseconds of all threads of this process, in user and kernel.
pub(crate) fn process_cpu() -> u64 {
    read(ClockId::ProcessCPUTime)
}

/// CPU nanoseconds of the threads of this process whose names begin so.
pub(crate) fn threads_cpu(prefix: &str) -> u64 {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let named = threads.map(|thread| thread.path()).filter(|thread| {
        let name = fs::read_to_string(thread.join("comm"));
        name.is_ok_and(|name| name.starts_with(prefix))
    });
    // A thread may end between being listed and being read.
    let spent = named.filter_map(|thread| {
        let stat = fs::read_to_string(thread.join("schedstat")).ok()?;
        stat.split_whitespace().next()?.parse::<u64>().ok()
    });
    spent.sum()
}

/// The most bytes of memory that this process has held, as far as the system tells.
pub(crate) fn peak_bytes() -> u64 {
    status_bytes("self", "VmHWM:")
}

/// The bytes of memory that a process holds, as far as the system tells.
pub(crate) fn resident_bytes(process: u32) -> u64 {
    status_bytes(&process.to_string(), "VmRSS:")
}

fn status_bytes(process: &str, what: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

/// The time until a moment of [`now`]; none if it has passed.
pub(crate) fn until(moment: u64) -> Duration {
    Duration::from_nanos(moment.saturating_sub(now()))
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    // Neither part is ever negative on these clocks.
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}
