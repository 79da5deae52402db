//! What users, files and pipes get wrong: nothing falls over, and the words say what to do.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should fall over")]

mod support;

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use support::{Folder, code, dealt, stderr, stdout};

/// How long a process may take to end by itself.
const WITHIN: Duration = Duration::from_mins(1);

/// A running process with pipes at both ends; its standard error goes into `said`.
fn piped(folder: &Folder, words: &[&str]) -> Child {
    let said = File::create(folder.path("said")).unwrap();
    let mut command = folder.command();
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(said);
    command.spawn().unwrap()
}

/// The first line that a process writes.
fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    line
}

/// Waits for the end; gives the exit code.
fn ended(child: &mut Child) -> i32 {
    let until = Instant::now() + WITHIN;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().expect("no signal");
        }
        assert!(Instant::now() < until, "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn until_said(folder: &Folder, words: &str) {
    let until = Instant::now() + WITHIN;
    while !fs::read_to_string(folder.path("said")).unwrap().contains(words) {
        assert!(Instant::now() < until, "nobody said `{words}`");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn node<'a>(folder: &Folder, config: &'a str, key: &'a str) -> std::process::Output {
    folder.maftia(["node", "--config", config, "--keys", key])
}

#[test]
fn what_is_no_script_is_named() {
    let folder = Folder::empty();
    fs::create_dir(folder.path("scripts")).unwrap();
    let output = folder.maftia(["demo", "--exec", "scripts"]);
    assert_eq!(code(&output), 74);
    assert!(stderr(&output).contains("scripts is a folder"), "{}", stderr(&output));
    assert!(stderr(&output).contains("help: "), "{}", stderr(&output));
    let output = folder.maftia(["demo", "--exec", "/dev/zero"]);
    assert_eq!(code(&output), 74);
    assert!(stderr(&output).contains("this is no script"), "{}", stderr(&output));
}

#[test]
fn a_script_of_garbage_fails_line_by_line_and_nothing_of_it_runs() {
    let folder = Folder::empty();
    let long = "x".repeat(200_000) + " ; commit";
    let mut script = b"read left/\0alice\n\xff\xfe begin\n\x1b]0;title\x07\n\"open\n".to_vec();
    script.extend_from_slice(long.as_bytes());
    script.extend_from_slice(b"\nread left/alice\n");
    fs::write(folder.path("garbage"), script).unwrap();
    let output = folder.maftia(["demo", "--exec", "garbage"]);
    assert_eq!(code(&output), 3);
    let (said, talk) = (stdout(&output), stderr(&output));
    assert!(said.contains("alice = 100"), "{said}");
    assert_eq!(talk.matches("error[").count(), 5, "{talk}");
    assert_eq!(talk.matches("  help: ").count(), 5, "{talk}");
    let strange = |letter: char| letter.is_control() && letter != '\n';
    assert!(!talk.contains(strange) && talk.len() < 5_000, "{talk}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let folder = Folder::empty();
    fs::write(folder.path("script"), "read left/alice\n".repeat(20)).unwrap();
    let mut child = piped(&folder, &["demo", "--exec", "script"]);
    assert!(first_line(&mut child).contains("alice = 100"));
    assert_eq!(ended(&mut child), 74);
    let said = fs::read_to_string(folder.path("said")).unwrap();
    assert!(!said.contains("error") && !said.contains("panick"), "{said}");
}

#[test]
fn a_full_disk_under_the_output_is_an_error() {
    let folder = Folder::with_sample();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = folder.command();
    let output = command.args(["config", "init"]).stdout(full).output().unwrap();
    assert_eq!(code(&output), 74);
    assert!(stderr(&output).contains("cannot write: No space left"), "{}", stderr(&output));
    let output = folder.maftia(["deal", "--config", "cluster.toml", "--out", "/dev/null/keys"]);
    assert_eq!(code(&output), 74);
    assert!(stderr(&output).contains("/dev/null/keys"), "{}", stderr(&output));
    assert!(stderr(&output).contains("help: check that the folder above exists"));
}

#[test]
fn an_interrupted_script_says_so() {
    let folder = Folder::empty();
    let mut child = piped(&folder, &["demo", "--json"]);
    writeln!(child.stdin.as_mut().unwrap(), "begin").unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(line.contains("\"ok\":true"), "{line}");
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(ended(&mut child), 130);
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert!(rest.is_empty(), "{rest}");
}

#[test]
fn names_that_are_none_are_refused_before_anything_starts() {
    let folder = Folder::empty();
    for name in ["", "Ev\"il", "a\\u0007", "../you", &"x".repeat(5_000)] {
        let output = folder.maftia(["demo", "--as", name]);
        assert_eq!(code(&output), 78, "{name}");
        let said = stderr(&output);
        assert!(said.contains("is no name of a client") && said.len() < 400, "{said}");
        assert_eq!(said.matches("help: ").count(), 1, "{said}");
    }
}

#[test]
fn what_is_no_configuration_is_told_from_what_is_a_wrong_one() {
    let folder = Folder::empty();
    fs::create_dir(folder.path("folder")).unwrap();
    fs::write(folder.path("binary"), b"\xff\xfe\0").unwrap();
    fs::write(folder.path("deep"), format!("x = {}", "[".repeat(100_000))).unwrap();
    fs::write(folder.path("huge"), "#".repeat(2 << 20)).unwrap();
    assert!(Command::new("mkfifo").arg(folder.path("pipe")).status().unwrap().success());
    for (file, says) in [
        ("folder", "no plain file"),
        ("pipe", "no plain file"),
        ("binary", "no UTF-8"),
        ("deep", "recurse"),
        ("huge", "longer than 1048576 bytes"),
        ("nowhere", "no such file"),
    ] {
        let check = folder.maftia(["config", "check", "--config", file]);
        assert_eq!(code(&check), 78, "{file}: {}", stderr(&check));
        let said = stderr(&check);
        assert!(said.contains(says) && said.contains(file), "{file}: {said}");
        assert!(said.contains("help: ") && said.contains("config"), "{file}: {said}");
        assert!(!said.contains("KEYFILE"), "{file}: {said}");
    }
}

#[test]
fn a_party_does_not_go_on_from_what_another_one_said() {
    let folder = dealt();
    let mut first =
        piped(&folder, &["node", "--config", "cluster.toml", "--keys", "keys/tm-0.key"]);
    assert!(first_line(&mut first).contains("listens at"));
    let twin = node(&folder, "cluster.toml", "keys/tm-0.key");
    assert_eq!(code(&twin), 74);
    assert!(stderr(&twin).contains("in use by another process"), "{}", stderr(&twin));
    assert!(stderr(&twin).contains("help: the same party runs already"), "{}", stderr(&twin));
    let pid = first.id().to_string();
    assert!(Command::new("kill").arg(&pid).status().unwrap().success());
    assert_eq!(ended(&mut first), 0);

    let again = folder.maftia(["deal", "--config", "cluster.toml", "--out", "others"]);
    assert_eq!(code(&again), 0);
    for (config, key) in [("cluster.toml", "others/tm-0.key"), ("richer.toml", "keys/tm-0.key")] {
        let text = fs::read_to_string(folder.path("cluster.toml")).unwrap();
        fs::write(folder.path("richer.toml"), text.replace("alice = 100", "alice = 999")).unwrap();
        let foreign = node(&folder, config, key);
        assert_eq!(code(&foreign), 78, "{config} {key}: {}", stderr(&foreign));
        assert!(stderr(&foreign).contains("was written by"), "{}", stderr(&foreign));
        assert!(stderr(&foreign).contains("help: start it with"), "{}", stderr(&foreign));
    }
}

#[test]
fn parties_of_different_configurations_do_not_talk() {
    let folder = dealt();
    let text = fs::read_to_string(folder.path("cluster.toml")).unwrap();
    fs::write(folder.path("richer.toml"), text.replace("alice = 100", "alice = 999")).unwrap();
    let mut listener =
        piped(&folder, &["node", "--config", "richer.toml", "--keys", "keys/tm-1.key"]);
    assert!(first_line(&mut listener).contains("listens at"));
    let mut dialer =
        piped(&folder, &["node", "--config", "cluster.toml", "--keys", "keys/tm-0.key"]);
    until_said(&folder, "has another configuration");
    for node in [&mut dialer, &mut listener] {
        let pid = node.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().unwrap().success());
        assert_eq!(ended(node), 0);
    }
}
