//! `maftia bench`, as its users call it: short runs, what they leave behind, and what is refused.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should fall over")]

mod support;

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use support::{Folder, code, stderr, stdout};

/// How long a process may take to end by itself.
const WITHIN: Duration = Duration::from_mins(1);

/// Runs the bench for a moment in this folder; gives the figures.
fn figures(folder: &Folder, words: &[&str]) -> Value {
    let short = ["bench", "stream", "--duration", "1s", "--warm-up", "500ms", "--json", "it.json"];
    // Its folders go where they can be counted.
    let temporary = folder.path("temporary");
    fs::create_dir_all(&temporary).unwrap();
    let mut command = folder.command();
    command.env("TMPDIR", &temporary);
    let output = command.args(short.iter().chain(words)).output().unwrap();
    assert_eq!(code(&output), 0, "{words:?}\n{}{}", stdout(&output), stderr(&output));
    assert_eq!(fs::read_dir(temporary).unwrap().count(), 0, "it leaves nothing behind");
    serde_json::from_slice(&fs::read(folder.path("it.json")).unwrap()).unwrap()
}

fn number(figures: &Value, path: &str) -> f64 {
    let found = figures.pointer(path).and_then(Value::as_f64);
    found.unwrap_or_else(|| panic!("no number at {path} in {figures}"))
}

/// What every subscriber checked.
fn nothing_is_lost(figures: &Value) {
    for path in ["/gaps", "/duplicates", "/disorders", "/refused"] {
        assert!(number(figures, path) < 1.0, "{path} in {figures}");
    }
}

/// What must hold of every run: something was measured, and nothing went wrong.
fn check(figures: &Value) {
    for path in [
        "/throughput_per_s",
        "/cpu_us_per_payload",
        "/latency_ms/p50",
        "/latency_ms/p90",
        "/latency_ms/p99",
        "/latency_ms/max",
        "/floor/throughput_per_s",
        "/floor/cpu_us_per_payload",
        "/peak_mib_per_party/0",
    ] {
        assert!(number(figures, path) > 0.0, "{path}");
    }
    // Of threads some kernels count only ticks, of which the load may have got none; of processes
    // all of them know more.
    let load = number(figures, "/cpu_us_per_payload_clients");
    let apart = figures["config"]["links"] != "in process";
    assert!(if apart { load > 0.0 } else { load >= 0.0 }, "{load}");
    nothing_is_lost(figures);
    let latency =
        ["p50", "p90", "p99", "max"].map(|of| number(figures, &format!("/latency_ms/{of}")));
    assert!(latency.is_sorted(), "{latency:?}");
}

#[test]
fn processes_may_speak_quic() {
    let folder = Folder::empty();
    let found = figures(&folder, &["--rate", "200", "--durability", "memory", "--link", "quic"]);
    check(&found);
    assert_eq!(found["config"]["links"], "quic, a process each");
}

#[test]
fn processes_on_a_schedule_leave_figures_and_a_page() {
    let folder = Folder::empty();
    let words = ["--rate", "200", "--durability", "disk-unsynced", "--report", "out"];
    let found = figures(&folder, &words);
    check(&found);
    assert_eq!(found["config"]["rate_per_s"], 200);
    assert_eq!(found["config"]["durability"], "disk-unsynced");
    assert_eq!(found["peak_mib_per_party"].as_array().unwrap().len(), 4);
    let page = fs::read_to_string(folder.path("out/index.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("</html>"));
    let compared = folder.maftia(["bench", "compare", "it.json", "out/result.json"]);
    assert_eq!(code(&compared), 0, "{}", stderr(&compared));
    assert!(stdout(&compared).contains("1.000"), "{}", stdout(&compared));
    assert!(!stderr(&compared).contains("not the same"));
}

#[test]
fn saturation_in_one_process_is_checked_at_every_party() {
    let folder = Folder::empty();
    // A small window, since this is no optimised build.
    let words = ["--in-process", "--durability", "memory", "--in-flight", "256", "--runs", "2"];
    let found = figures(&folder, &words);
    check(&found);
    assert_eq!(found["runs"].as_array().unwrap().len(), 2);
    assert_eq!(found["config"]["load"], "saturation");
}

#[test]
fn what_is_encrypted_by_the_load_arrives_as_it_was() {
    let folder = Folder::empty();
    // Its ciphertexts hold many payloads each, since each costs pairings.
    let words = ["--secure=pairing", "--in-process", "--durability", "memory"];
    let found = figures(&folder, &words);
    // On a busy machine none of them may be made in the very second that is measured.
    nothing_is_lost(&found);
    assert_eq!(found["config"]["secure"], "pairing");
}

#[test]
fn clients_are_answered_and_each_request_takes_effect_once() {
    let folder = Folder::empty();
    for words in [
        ["--clients", "3", "--size", "0", "--durability", "memory"].as_slice(),
        &["--clients", "2", "--in-process", "--durability", "memory"],
    ] {
        let found = figures(&folder, words);
        check(&found);
        assert_eq!(found["config"]["load"], "closed loop");
    }
}

#[test]
fn one_party_that_is_silent_or_dead_or_lies_is_no_hindrance() {
    let folder = Folder::empty();
    for fault in ["mute", "crash", "equivocate"] {
        let words = ["--rate", "100", "--durability", "memory", "--fault", fault, "--faulty", "3"];
        let found = figures(&folder, &words);
        check(&found);
        assert_eq!(found["config"]["fault"], fault);
    }
}

#[test]
fn nonsense_is_refused_before_anything_runs() {
    let folder = Folder::empty();
    fs::write(folder.path("file"), "").unwrap();
    for (words, exit, part) in [
        (vec!["--n", "3"], 2, "3 is not in 4..=64"),
        (vec!["--size", "0"], 2, "--size 0 is too small"),
        (vec!["--rate", "0"], 2, "0 is not in 1.."),
        (vec!["--clients", "0"], 2, "0 is not in 1.."),
        (vec!["--clients", "2", "--rate", "5"], 2, "cannot be used with"),
        (vec!["--clients", "2", "--secure"], 2, "cannot be used with"),
        (vec!["--secure=rot13"], 2, "possible values: pairing, pairing-blst"),
        (vec!["--secure", "--size", "1048000"], 2, "too large with --secure"),
        (vec!["--duration", "soon"], 2, "--duration"),
        (vec!["--duration", "1ms"], 2, "500ms"),
        (vec!["--runs", "0"], 2, "0 is not in 1.."),
        (vec!["--engine", "warp"], 2, "possible values: fast, lanes, rounds"),
        (vec!["--durability", "tape"], 2, "disk, disk-unsynced, memory"),
        (vec!["--fault", "sulk"], 2, "mute"),
        (vec!["--link", "pigeon"], 2, "possible values: tcp, quic"),
        (vec!["--link", "quic", "--in-process"], 2, "cannot be used with"),
        (vec!["--faulty", "9"], 2, "numbered from 0 to 3"),
        (vec!["--report", "file/below"], 74, "cannot make file/below"),
        (vec!["--report", "/proc"], 74, "cannot write into /proc"),
        (vec!["--json", "no/such/folder/it.json"], 74, "cannot write no/such"),
    ] {
        let output = folder.maftia(["bench", "stream"].into_iter().chain(words.clone()));
        let said = stderr(&output);
        assert_eq!(code(&output), exit, "{words:?}: {said}");
        assert!(said.contains(part), "{words:?}: {said}");
        assert_eq!(stdout(&output), "");
    }
}

#[test]
fn what_are_no_figures_is_not_compared() {
    let folder = Folder::empty();
    let files = [
        ("text", "hello"),
        ("other", "{\"schema\":7}"),
        ("none", "[]"),
        ("half", "{\"schema\":1}"),
    ];
    for (name, text) in files {
        fs::write(folder.path(name), text).unwrap();
        let output = folder.maftia(["bench", "compare", name, name]);
        assert_eq!(code(&output), 65, "{name}: {}", stderr(&output));
        assert!(stderr(&output).contains("has no figures"), "{}", stderr(&output));
    }
    assert_eq!(code(&folder.maftia(["bench", "compare", "gone", "gone"])), 74);
    assert_eq!(code(&folder.maftia(["bench", "compare", ".", "."])), 65);
}

/// The processes that have this folder in their command line.
fn parties(folder: &Folder) -> Vec<u32> {
    let here = folder.path("").display().to_string();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let of_ours = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&here)
    };
    pids.filter(of_ours).collect()
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + WITHIN;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([name, &pid.to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn an_interrupted_bench_leaves_neither_processes_nor_files() {
    let folder = Folder::empty();
    let mut command = folder.command();
    command.env("TMPDIR", folder.path("")).args(["bench", "stream", "--rate", "10"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("the parties start", || parties(&folder).len() == 4);
    signal(child.id(), "-INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 130, "{}", stderr(&output));
    assert_eq!(parties(&folder), [0_u32; 0]);
    assert_eq!(fs::read_dir(folder.path("")).unwrap().count(), 0);
}

#[test]
fn a_party_that_dies_is_named_and_not_waited_for() {
    let folder = Folder::empty();
    let mut command = folder.command();
    command.env("TMPDIR", folder.path("")).args(["bench", "stream", "--duration", "10m"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("the parties start", || parties(&folder).len() == 4);
    signal(parties(&folder)[0], "-KILL");
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert!(stderr(&output).contains("died"), "{}", stderr(&output));
    assert_eq!(parties(&folder), [0_u32; 0]);
}
