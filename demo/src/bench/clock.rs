//! Time, CPU time and memory, as the operating system counts them.

use std::{fs, path::Path, time::Duration};

use rustix::{
    param::clock_ticks_per_second,
    time::{ClockId, clock_gettime},
};

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
    let read = |thread: &Path, file: &str| fs::read_to_string(thread.join(file)).ok();
    let spent = named.filter_map(|thread| {
        let exact = read(&thread, "schedstat").and_then(|stat| exact(&stat));
        exact.or_else(|| ticks(&read(&thread, "stat")?))
    });
    spent.sum()
}

/// CPU nanoseconds of a thread by its `schedstat`, which not every kernel has.
fn exact(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

/// The same by its `stat`, which every kernel has, in ticks of a clock.
fn ticks(stat: &str) -> Option<u64> {
    // The name before, in parentheses, may hold anything; user and system time are the 12th and the
    // 13th word after it.
    let mut words = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some((user + system) * (1_000_000_000 / clock_ticks_per_second()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_of_a_thread_is_understood() {
        assert_eq!(exact("163201921 35541 88\n"), Some(163_201_921));
        assert_eq!(exact(""), None);
        let stat = "71 (load 0) (x) S 1 71 71 0 -1 4194560 5 0 0 0 30 12 0 0 20 0 9 0 31 0";
        assert_eq!(ticks(stat), Some(42 * (1_000_000_000 / clock_ticks_per_second())));
        assert_eq!(ticks("71 (load 0) S 1"), None);
    }
}
