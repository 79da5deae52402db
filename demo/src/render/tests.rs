use super::*;
use crate::cluster::{Account, Replica, ReplicaStatus, Voted};

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

fn replica(group: &str, index: u16) -> Replica {
    Replica { group: group.into(), index }
}

#[test]
fn an_outvoted_replica_is_named_with_what_it_said() {
    let votes = Votes {
        group: "left".into(),
        of: 4,
        agree: vec![0, 1, 3],
        outvoted: vec![(2, "9999".into())],
        ..Votes::default()
    };
    let account: Account = "left/alice".parse().unwrap();
    let reading = Reading::new(account, Voted { value: 70, votes: vec![votes] });
    let text = plain(&report(&Report::Read(reading)));
    assert_eq!(
        text,
        "  left[0,1,3]  alice = 70  (3 of 4 agree)\n  left[2]      9999 !  outvoted\n70\n"
    );
}

#[test]
fn echoes_of_replicas_that_say_the_same_share_a_line() {
    let said =
        |group: &str, index, text: &str| Echo { replica: replica(group, index), text: text.into() };
    let text = plain(&echoes(&[
        said("left", 0, "lock X alice"),
        said("left", 2, "lock X alice"),
        said("left", 1, "lock X alice"),
        said("right", 3, "vote commit"),
    ]));
    assert_eq!(text, "  left[0..2]   lock X alice\n  right[3]     vote commit\n");
}

#[test]
fn a_status_table_counts_the_margin() {
    let states = [State::Ok, State::Stopped, State::Ok, State::Ok];
    let replicas = states.into_iter().zip(0..).map(|(state, index)| ReplicaStatus {
        id: replica("tm", index),
        state,
        fault: None,
    });
    let group =
        GroupStatus { name: "tm".into(), n: 4, f: 1, ordered: 7, replicas: replicas.collect() };
    let text = plain(&report(&Report::Status { groups: vec![group] }));
    let words: Vec<_> = text.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(words, ["tm", "4", "1", "ok", "stopped", "ok", "ok", "0", "7"]);
}

#[test]
fn failures_show_code_and_help() {
    let text = plain(&failure(&Failure::not_in_transaction("bob")));
    assert!(text.starts_with("error[not_in_transaction]: `bob` is in no transaction\n"), "{text}");
    assert!(text.contains("help: `begin`"));
}
