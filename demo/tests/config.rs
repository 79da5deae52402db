//! The command line around configurations and keys: what is right, what is wrong, what to do.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should fall over")]

mod support;

use std::fs;

use support::{Folder, code, stderr, stdout};

#[test]
fn the_sample_is_right_and_can_be_dealt_once() {
    let folder = Folder::with_sample();
    let check = folder.maftia(["config", "check", "--config", "cluster.toml"]);
    assert_eq!(code(&check), 0, "{}", stderr(&check));
    assert!(stdout(&check).contains("is right: 12 parties"));
    let deal = folder.deal();
    assert_eq!(code(&deal), 0, "{}", stderr(&deal));
    assert!(stdout(&deal).contains("keys/left-2.key") && stdout(&deal).contains("client-you.key"));
    let again = folder.deal();
    assert_eq!(code(&again), 74);
    assert!(stderr(&again).contains("never overwritten"), "{}", stderr(&again));
    let check = folder.maftia(["config", "check", "--config", "cluster.toml"]);
    assert!(stdout(&check).contains("are for it"), "{}", stdout(&check));
}

#[test]
fn explain_says_what_follows() {
    let folder = Folder::with_sample();
    let explain = folder.maftia(["config", "explain", "--config", "cluster.toml"]);
    assert!(stdout(&explain).contains("n = 4, f = 1"), "{}", stdout(&explain));
}

#[test]
fn wrong_configurations_are_refused_with_line_and_help() {
    for (from, to, says) in [
        ("faults = 1 ", "fauts = 1 ", "did you mean `faults`?"),
        ("faults = 1 ", "faults = 2 ", "faults"),
        ("link = \"tcp\"", "link = \"quik\"", "did you mean `quic`?"),
        ("127.0.0.1:7401", "127.0.0.1:7400", "127.0.0.1:7400"),
        ("name = \"left\"", "name = \"tm\"", "tm"),
    ] {
        let folder = Folder::with_sample();
        folder.edit("cluster.toml", from, to);
        let check = folder.maftia(["config", "check", "--config", "cluster.toml"]);
        assert_eq!(code(&check), 78, "{from} -> {to}");
        let said = stderr(&check);
        assert!(said.contains(says) && said.contains("cluster.toml"), "{from} -> {to}: {said}");
        assert!(said.contains("help: "), "{said}");
    }
}

#[test]
fn a_missing_configuration_is_a_matter_of_configuration() {
    let folder = Folder::empty();
    let check = folder.maftia(["config", "check", "--config", "nowhere.toml"]);
    assert_eq!(code(&check), 78);
    assert!(stderr(&check).contains("nowhere.toml") && stderr(&check).contains("help: "));
}

#[test]
fn keys_that_others_can_read_or_that_are_of_another_deal_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::with_sample();
    folder.deal();
    let key = folder.path("keys/tm-0.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let up = folder.maftia(["up", "--config", "cluster.toml", "--keys", "keys"]);
    assert_eq!(code(&up), 77);
    assert!(stderr(&up).contains("chmod 600"), "{}", stderr(&up));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    folder.edit("cluster.toml", "name = \"left\"", "name = \"west\"");
    let up = folder.maftia(["up", "--config", "cluster.toml", "--keys", "keys"]);
    assert_eq!(code(&up), 77, "{}", stderr(&up));
    assert!(stderr(&up).contains("help: "), "{}", stderr(&up));
}

#[test]
fn unknown_words_and_flags_are_usage() {
    let folder = Folder::empty();
    assert_eq!(code(&folder.maftia(["frobnicate"])), 2);
    assert_eq!(code(&folder.maftia(["deal", "--config", "cluster.toml"])), 2);
    let help = folder.maftia(["--help"]);
    assert_eq!(code(&help), 0);
    assert!(stdout(&help).contains("Examples:") && stdout(&help).contains("Exit codes:"));
}
