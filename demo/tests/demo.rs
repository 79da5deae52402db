//! Shows 2 and 4, and what goes wrong at the console, on the embedded cluster.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should fall over")]

mod support;

use serde_json::Value;
use support::{Folder, code, stderr};

/// Runs a script on a fresh embedded cluster; gives the exit code and the lines.
fn demo(script: &str) -> (i32, Vec<Value>) {
    let folder = Folder::empty();
    std::fs::write(folder.path("script.maftia"), script).unwrap();
    let output = folder.maftia(["demo", "--exec", "script.maftia", "--json"]);
    let lines = support::json_lines(&output);
    assert!(!lines.is_empty(), "{}", stderr(&output));
    (code(&output), lines)
}

/// The result of the `nth` line that begins with `command`.
fn result<'a>(lines: &'a [Value], command: &str, nth: usize) -> &'a Value {
    let begins = |line: &&Value| line["command"].as_str().unwrap().starts_with(command);
    let line = lines.iter().filter(begins).nth(nth).unwrap_or_else(|| panic!("no {command}"));
    assert_eq!(line["ok"], true, "{line}");
    &line["result"]
}

/// The codes of the lines that failed.
fn codes(lines: &[Value]) -> Vec<&str> {
    lines.iter().filter_map(|line| line["error"]["code"].as_str()).collect()
}

#[test]
fn a_transfer_commits_with_one_fault_of_another_kind_in_each_group() {
    let (exit, lines) = demo(include_str!("../scripts/lies.maftia"));
    assert_eq!((exit, codes(&lines)), (0, vec![]));
    for nth in [0, 1] {
        assert_eq!(result(&lines, "commit", nth)["outcome"], "committed");
    }
    let alice = result(&lines, "read left/alice", 0);
    assert_eq!(
        (&alice["value"], &alice["agree"], &alice["of"]),
        (&80.into(), &3.into(), &4.into())
    );
    assert_eq!(alice["outvoted"], serde_json::json!(["left[2]"]));
    assert_eq!(result(&lines, "read right/bob", 0)["value"], 120);
    let evidence = &result(&lines, "evidence", 0)["items"];
    let held = |culprit: &str, class: &str| {
        let all = evidence.as_array().unwrap();
        all.iter().any(|item| item["culprit"] == culprit && item["class"] == class)
    };
    assert!(held("left[2]", "observed"), "{evidence}");
    let said = |item: &Value| item["text"].as_str().unwrap().contains("answered `9992`");
    assert!(evidence.as_array().unwrap().iter().any(said), "{evidence}");
    assert!(held("right[3]", "suspected"), "{evidence}");
    let innocent = ["left[0]", "left[1]", "left[3]", "right[0]", "right[1]", "right[2]", "tm[0]"];
    // A busy machine is slow enough to be suspected, which is a hint and no accusation.
    let accused = |item: &Value| {
        item["class"] != "suspected" && innocent.contains(&item["culprit"].as_str().unwrap())
    };
    assert!(!evidence.as_array().unwrap().iter().any(accused), "{evidence}");
    assert!(held("tm[1]", "attested"), "{evidence}");
    let attested = evidence.as_array().unwrap().iter().find(|item| item["class"] == "attested");
    assert_eq!(attested.unwrap()["kind"], "equivocation", "{evidence}");
}

#[test]
fn every_fault_reaches_the_class_that_is_promised_and_nobody_else_is_accused() {
    let work = "begin\ntransfer left/alice right/bob 1\ncommit\n".repeat(3);
    for faults in [
        ["tm[0] forge", "left[1] replay", "right[2] corrupt-state"],
        ["tm[1] mute", "left[2] equivocate", "right[3] delay"],
    ] {
        let injected = faults.map(|fault| format!("fault {fault}\n")).concat();
        let (exit, lines) = demo(&format!("{injected}{work}read right/bob\nevidence\n"));
        assert_eq!((exit, codes(&lines)), (0, vec![]));
        let evidence = result(&lines, "evidence", 0)["items"].as_array().unwrap();
        for nth in 0..3 {
            let fault = result(&lines, "fault", nth);
            let (at, class) = (&fault["replica"], &fault["reaches"]);
            let reached = |item: &Value| item["culprit"] == *at && item["class"] == *class;
            assert!(evidence.iter().any(reached), "{fault}: {evidence:?}");
        }
        let faulty = |item: &Value| {
            faults.iter().any(|fault| fault.starts_with(item["culprit"].as_str().unwrap()))
        };
        let sure = |item: &&Value| item["class"] != "suspected";
        assert!(evidence.iter().filter(sure).all(faulty), "{evidence:?}");
    }
}

#[test]
fn a_replica_that_stops_is_outlived_and_comes_back() {
    let (exit, lines) = demo(include_str!("../scripts/crash.maftia"));
    assert_eq!((exit, codes(&lines)), (0, vec![]));
    assert_eq!(result(&lines, "commit", 0)["outcome"], "committed");
    let group = &result(&lines, "status right", 0)["groups"][0];
    assert_eq!((&group["name"], &group["n"], &group["f"]), (&"right".into(), &4.into(), &1.into()));
    assert!(group["ordered"].as_u64().unwrap() > 0);
    for replica in group["replicas"].as_array().unwrap() {
        assert_eq!(replica["state"], "ok", "{group}");
    }
}

#[test]
fn two_clients_commit_when_both_agree_and_either_aborts() {
    let (exit, lines) = demo(include_str!("../scripts/together.maftia"));
    assert_eq!((exit, codes(&lines)), (0, vec![]));
    assert_eq!(result(&lines, "commit", 0)["outcome"], "pending");
    assert_eq!(result(&lines, "commit", 1)["outcome"], "committed");
    let abort = result(&lines, "abort", 0);
    assert_eq!(abort["outcome"], "aborted");
    assert!(abort["reason"].as_str().unwrap().contains("not with me"));
    assert_eq!(result(&lines, "read left/alice", 0)["value"], 90);
}

#[test]
fn faults_beyond_f_are_refused_and_forced_ones_end_in_a_lost_quorum() {
    let (exit, lines) = demo(
        "fault left[1] crash\nfault left[2] mute\nfault left[2] mute --force\nbegin\n\
         write left/alice 1\nread right/bob\nabort\nheal\nread left/alice\n",
    );
    assert_eq!(exit, 3);
    assert_eq!(codes(&lines), ["refused_beyond_f", "quorum_lost"]);
    let lost = lines.iter().find(|line| line["error"]["code"] == "quorum_lost").unwrap();
    let message = lost["error"]["message"].as_str().unwrap();
    assert!(message.contains("`left`") && message.contains("3 are needed"), "{message}");
    assert_eq!(result(&lines, "read right/bob", 0)["value"], 100);
    assert_eq!(result(&lines, "read left/alice", 0)["value"], 100);
}

#[test]
fn more_liars_than_f_break_the_promise_and_the_answer_says_so() {
    let (exit, lines) = demo(
        "fault left[1] corrupt-reply\nfault left[2] corrupt-reply --force\nread left/alice\n\
         read right/bob\n",
    );
    assert_eq!((exit, codes(&lines)), (0, vec![]));
    let alice = result(&lines, "read left/alice", 0);
    assert_eq!((&alice["promise"], &alice["agree"]), (&"broken".into(), &2.into()));
    assert_eq!(alice["outvoted"], serde_json::json!(["left[1]", "left[2]"]));
    assert!(result(&lines, "read right/bob", 0).get("promise").is_none());
}

#[test]
fn every_wrong_line_fails_alone_and_says_what_to_do() {
    let wrong = [
        ("comit", "unknown_command"),
        ("read left", "unknown_account"),
        ("read left/nobody", "unknown_account"),
        ("read middle/alice", "unknown_group"),
        ("commit", "not_in_transaction"),
        ("write left/alice 1", "not_in_transaction"),
        ("join 17-0000", "unknown_token"),
        ("begin --timeout soon", "bad_duration"),
        ("as mallory", "unknown_client"),
        ("tx show ZZZ", "unknown_transaction"),
        ("fault left[9] crash", "unknown_replica"),
        ("fault left[1] sulk", "unknown_fault"),
    ];
    let inside = [
        ("transfer left/alice right/bob 101", "insufficient_funds"),
        ("transfer left/alice right/bob -5", "bad_amount"),
        ("transfer left/alice right/bob much", "bad_amount"),
        ("begin", "already_in_transaction"),
    ];
    let after = [("commit", "already_committed"), ("abort", "already_committed")];
    let script =
        |lines: &[(&str, &str)]| lines.iter().flat_map(|(line, _)| [*line, "\n"]).collect();
    let [wrong_lines, inside_lines, after_lines]: [String; 3] =
        [script(&wrong), script(&inside), script(&after)];
    let (exit, lines) =
        demo(&format!("{wrong_lines}begin\n{inside_lines}commit\n{after_lines}read left/alice\n"));
    assert_eq!(exit, 3);
    let expected: Vec<_> =
        wrong.iter().chain(&inside).chain(&after).map(|(_, code)| *code).collect();
    assert_eq!(codes(&lines), expected);
    for error in lines.iter().map(|line| &line["error"]).filter(|error| !error.is_null()) {
        assert!(!error["message"].as_str().unwrap().is_empty(), "{error}");
        assert!(!error["help"].as_str().unwrap().is_empty(), "{error}");
    }
    let done = lines.iter().find(|line| line["command"] == "commit" && line["ok"] == true).unwrap();
    assert_eq!(done["result"]["outcome"], "committed");
    assert_eq!(lines.last().unwrap()["result"]["value"], 100);
}

#[test]
fn commands_come_from_a_pipe_too_and_text_is_for_people() {
    use std::{io::Write, process::Stdio};
    let folder = Folder::empty();
    let mut child = folder
        .command()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = b"# a comment\nread left/alice\nread left/alise\n";
    child.stdin.take().unwrap().write_all(lines).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 3);
    let text = support::stdout(&output);
    assert!(text.contains("alice = 100") && text.contains("(4 of 4 agree)"), "{text}");
    assert!(!text.contains('\u{1b}') && !text.contains("maftia>"), "{text}");
    assert!(stderr(&output).contains("error[unknown_account]"), "{}", stderr(&output));
}

#[test]
fn a_script_that_is_not_there_is_a_matter_of_files() {
    let folder = Folder::empty();
    let output = folder.maftia(["demo", "--exec", "nowhere.maftia", "--json"]);
    assert_eq!(code(&output), 74);
    assert!(stderr(&output).contains("nowhere.maftia"), "{}", stderr(&output));
}
