use super::{fake::Fake, *};
use crate::command;

/// Runs lines on a stand-in; gives what the last one gave.
async fn after(shell: &mut Shell<Fake>, lines: &[&str]) -> Result<Report, Failed> {
    let mut last = None;
    for line in lines {
        let command = command::parse(line).unwrap_or_else(|why| panic!("{line}: {why:?}"));
        last = Some(shell.run(command.expect("a command")).await);
    }
    last.expect("at least one line")
}

async fn code_after(lines: &[&str]) -> Code {
    let mut shell = Shell::new(Fake::bank(), "you");
    after(&mut shell, lines).await.expect_err("a failure").failure.code
}

async fn json_after(lines: &[&str]) -> serde_json::Value {
    let mut shell = Shell::new(Fake::bank(), "you");
    serde_json::to_value(after(&mut shell, lines).await.expect("a result")).unwrap()
}

#[tokio::test]
async fn a_transfer_commits_and_reads_back() {
    let lines = ["begin", "transfer left/alice right/bob 30", "commit", "read left/alice"];
    let read = json_after(&lines).await;
    assert_eq!((&read["value"], &read["agree"], &read["of"]), (&70.into(), &4.into(), &4.into()));
    let ended = json_after(&lines[..3]).await;
    assert_eq!((&ended["tx"], &ended["outcome"]), (&"T1".into(), &"committed".into()));
    assert!(ended["reason"].is_null() && ended.get("promise").is_none());
    let begun = json_after(&lines[..1]).await;
    assert_eq!((&begun["tx"], &begun["token"]), (&"T1".into(), &"T1-secret".into()));
}

#[tokio::test]
async fn commands_outside_or_after_a_transaction_say_so() {
    assert_eq!(code_after(&["commit"]).await, Code::NotInTransaction);
    assert_eq!(code_after(&["write left/alice 1"]).await, Code::NotInTransaction);
    assert_eq!(code_after(&["begin", "commit", "commit"]).await, Code::AlreadyCommitted);
    assert_eq!(code_after(&["begin", "abort", "commit"]).await, Code::AlreadyAborted);
    assert_eq!(code_after(&["begin", "commit", "abort"]).await, Code::AlreadyCommitted);
    assert_eq!(code_after(&["begin", "begin"]).await, Code::AlreadyInTransaction);
    assert_eq!(code_after(&["begin", "as bob", "commit"]).await, Code::NotInTransaction);
    assert_eq!(code_after(&["join $token"]).await, Code::UnknownToken);
    assert_eq!(code_after(&["join nonsense"]).await, Code::UnknownToken);
    assert_eq!(code_after(&["as nobody"]).await, Code::UnknownClient);
}

#[tokio::test]
async fn names_that_do_not_exist_are_refused_with_the_nearest() {
    assert_eq!(code_after(&["read lefd/alice"]).await, Code::UnknownGroup);
    assert_eq!(code_after(&["read tm/alice"]).await, Code::UnknownAccount);
    assert_eq!(code_after(&["fault left[4] crash"]).await, Code::UnknownReplica);
    assert_eq!(code_after(&["heal left[4]"]).await, Code::UnknownReplica);
    assert_eq!(code_after(&["status middle"]).await, Code::UnknownGroup);
    assert_eq!(
        code_after(&["begin", "transfer left/alice left/alice 3"]).await,
        Code::BadArguments
    );
    let mut shell = Shell::new(Fake::bank(), "you");
    let failed = after(&mut shell, &["status rigth"]).await.unwrap_err();
    assert!(failed.failure.help.starts_with("did you mean `right`?"), "{}", failed.failure.help);
}

#[tokio::test]
async fn two_clients_of_one_console_commit_when_both_agree() {
    let lines = [
        "begin",
        "write left/alice 1",
        "as bob",
        "join $token",
        "commit",
        "as you",
        "commit",
        "as bob",
        "commit",
    ];
    let pending = json_after(&lines[..5]).await;
    assert_eq!(pending["outcome"], "pending");
    assert_eq!(pending["waiting_for"], serde_json::json!(["you"]));
    assert_eq!(json_after(&lines[..7]).await["outcome"], "committed");
    assert_eq!(code_after(&lines).await, Code::AlreadyCommitted);
}

#[tokio::test]
async fn an_abort_of_one_client_fails_the_commit_of_the_other() {
    let mut shell = Shell::new(Fake::bank(), "you");
    let lines = ["begin", "as bob", "join $token", "abort \"no money\"", "as you", "commit"];
    let failed = after(&mut shell, &lines).await.unwrap_err();
    assert_eq!(failed.failure.code, Code::AlreadyAborted);
    assert!(failed.failure.message.contains("no money"));
}

#[tokio::test]
async fn a_fault_beyond_f_needs_force_and_then_breaks_what_it_breaks() {
    let lie = "fault left[2] corrupt-reply";
    let read = json_after(&[lie, "read left/alice"]).await;
    assert_eq!((&read["agree"], &read["outvoted"][0]), (&3.into(), &"left[2]".into()));
    assert_eq!(code_after(&[lie, "fault left[3] crash"]).await, Code::RefusedBeyondF);
    assert_eq!(json_after(&[lie, "fault left[2] crash"]).await["faulty"], 1);
    let silent = ["fault left[2] crash", "fault left[3] mute --force", "read left/alice"];
    assert_eq!(code_after(&silent).await, Code::QuorumLost);
    let lies = [lie, "fault left[3] corrupt-reply --force", "read left/alice"];
    assert_eq!(json_after(&lies).await["promise"], "broken");
    let healed = [lie, "fault right[0] crash", "heal"];
    assert_eq!(json_after(&healed).await["healed"], serde_json::json!(["left[2]", "right[0]"]));
}

#[tokio::test]
async fn evidence_status_locks_and_lists_have_their_keys() {
    let evidence =
        json_after(&["fault left[2] crash", "fault tm[1] equivocate", "evidence 1"]).await;
    let items = evidence["items"].as_array().unwrap();
    assert_eq!(items.len(), 1);
    assert_eq!(
        (&items[0]["culprit"], &items[0]["class"]),
        (&"left[2]".into(), &"suspected".into())
    );
    let status = json_after(&["fault left[2] crash", "status left"]).await;
    let group = &status["groups"][0];
    assert_eq!((&group["name"], &group["n"], &group["f"]), (&"left".into(), &4.into(), &1.into()));
    assert_eq!(group["replicas"][2]["id"], "left[2]");
    assert_eq!(group["replicas"][2]["state"], "stopped");
    let locks = json_after(&["begin", "write left/alice 5", "locks"]).await;
    assert_eq!(locks["locks"][0]["account"], "left/alice");
    assert_eq!(json_after(&["begin", "tx list"]).await["transactions"][0]["tx"], "T1");
    assert_eq!(json_after(&["begin", "tx show T1"]).await["state"], "active");
    assert_eq!(code_after(&["tx show T9"]).await, Code::UnknownTransaction);
    assert_eq!(json_after(&["wait quiet"]).await["quiet"], true);
}

#[tokio::test]
async fn leaving_aborts_what_is_open() {
    assert_eq!(json_after(&["begin", "quit"]).await["aborted"], serde_json::json!(["T1"]));
    assert_eq!(json_after(&["begin", "commit", "quit"]).await["aborted"], serde_json::json!([]));
}
