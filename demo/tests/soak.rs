//! `maftia bench soak`, as its users call it: a short one that holds, and one whose promise is broken.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should fall over")]

mod support;

use std::{fs, process::Output};

use serde_json::Value;
use support::{Folder, code, stderr, stdout};

fn soak(folder: &Folder, words: &[&str]) -> Output {
    let temporary = folder.path("temporary");
    fs::create_dir_all(&temporary).unwrap();
    let mut command = folder.command();
    command.env("TMPDIR", &temporary).args(["bench", "soak", "--durability", "disk-unsynced"]);
    let output = command.args(words).output().unwrap();
    assert_eq!(fs::read_dir(temporary).unwrap().count(), 0, "it leaves nothing behind");
    output
}

fn figures(folder: &Folder) -> Value {
    serde_json::from_slice(&fs::read(folder.path("out/result.json")).unwrap()).unwrap()
}

#[test]
fn parties_come_and_go_and_no_payload_is_lost_doubled_or_displaced() {
    let folder = Folder::empty();
    let output = soak(
        &folder,
        &[
            "--rate",
            "120",
            "--duration",
            "20s",
            "--kill-every",
            "5s",
            "--partition",
            "2s",
            // Tests share the machine, and this is no optimised build.
            "--level-within",
            "60s",
            "--report",
            "out",
        ],
    );
    assert_eq!(code(&output), 0, "{}{}", stdout(&output), stderr(&output));
    let found = figures(&folder);
    for path in ["gaps", "duplicates", "disorders", "foreign", "refused", "windows_different"] {
        assert_eq!(found[path], 0, "{path} in {found}");
    }
    assert!(found["payloads"].as_u64().unwrap() > 1_500, "{}", stdout(&output));
    let kills = found["kills"].as_array().unwrap();
    assert!(kills.len() >= 2, "{kills:?}");
    assert!(kills[1]["missed"].as_u64().unwrap() > 0, "{kills:?}");
    assert_eq!(found["partitions"].as_array().unwrap().len(), 1, "{}", stdout(&output));
    assert_eq!(found["parties"].as_array().unwrap().len(), 4);
    assert!(found["parties"][3]["memory_max_mib"].as_f64().unwrap() > 1.0);
    assert!(found["parties"][3]["log_max_mib"].as_f64().unwrap() > 0.1);
    let page = fs::read_to_string(folder.path("out/index.html")).unwrap();
    assert_eq!(page.matches("<svg").count(), 5);
}

#[test]
fn a_broken_promise_is_named_and_ends_with_code_3() {
    let folder = Folder::empty();
    let words = ["--rate", "50", "--duration", "2s", "--memory-max", "1", "--report", "out"];
    let output = soak(&folder, &words);
    assert_eq!(code(&output), 3, "{}{}", stdout(&output), stderr(&output));
    assert!(stdout(&output).contains("BROKEN       the memory of party 0 was"));
    assert_eq!(figures(&folder)["broken"].as_array().unwrap().len(), 4);
}

#[test]
fn nonsense_is_refused_before_anything_runs() {
    let folder = Folder::empty();
    for (words, part) in [
        (["--size", "0"], "--size 0 is no size"),
        (["--rate", "0"], "0 is not in 1.."),
        (["--duration", "10ms"], "between 1s and 24h"),
        (["--kill-every", "0s"], "--kill-every"),
        (["--durability", "memory"], "does not come back"),
        (["--n", "3"], "3 is not in 4..=64"),
    ] {
        let output = folder.maftia(["bench", "soak"].into_iter().chain(words));
        assert_eq!(code(&output), 2, "{words:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(part), "{words:?}: {}", stderr(&output));
    }
}
