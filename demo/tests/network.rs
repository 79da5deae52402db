//! Shows 3 and 4 over TCP: every party a process, consoles that come and go, processes that are killed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should fall over")]

mod support;

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use support::{Folder, code, dealt, stderr};

/// How long anything here may take on a machine that is busy with other tests.
const WITHIN: Duration = Duration::from_secs(90);

/// A process whose lines of JSON are read as they come. Dropped, it is killed.
struct Talking {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<Value>,
}

impl Talking {
    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { stdin: child.stdin.take(), child, lines }
    }

    /// The next line.
    fn line(&self) -> Value {
        self.lines.recv_timeout(WITHIN).expect("a line in time")
    }

    fn say(&mut self, command: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{command}").unwrap();
    }

    /// Runs a command of a console that must go as commanded; gives its result.
    fn run(&mut self, command: &str) -> Value {
        self.say(command);
        let line = self.line();
        assert_eq!(line["ok"], true, "{command}: {line}");
        line["result"].clone()
    }

    /// Ends it in order; gives the exit code.
    fn terminate(mut self) -> i32 {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().unwrap().success());
        self.child.wait().unwrap().code().expect("no signal")
    }
}

impl Drop for Talking {
    fn drop(&mut self) {
        // Who has ended cannot be killed, which is what was wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts every party; gives `up` and the process number of each party.
fn up(folder: &Folder, flags: &[&str]) -> (Talking, Vec<(String, u64)>) {
    let mut command = folder.command();
    command.args(["up", "--config", "cluster.toml", "--keys", "keys", "--json"]).args(flags);
    let up = Talking::start(command);
    let mut parties = Vec::new();
    for _ in 0..12 {
        let row = up.line();
        assert!(row["addr"].as_str().unwrap().starts_with("127.0.0.1:"), "{row}");
        assert!(folder.path(row["log"].as_str().unwrap()).exists(), "{row}");
        parties.push((row["party"].as_str().unwrap().to_owned(), row["pid"].as_u64().unwrap()));
    }
    (up, parties)
}

fn console(folder: &Folder, client: &str) -> Talking {
    let mut command = folder.command();
    command.args(["console", "--config", "cluster.toml", "--json", "--as", client]);
    Talking::start(command)
}

fn is_running(pid: u64) -> bool {
    // A process that has ended but was not waited for is no longer running.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

/// Looks at the status until it is as wanted.
fn until_all_are(console: &mut Talking, wanted: &str) {
    let until = Instant::now() + WITHIN;
    loop {
        let status = console.run("status");
        let groups = status["groups"].as_array().unwrap().iter();
        let mut replicas = groups.flat_map(|group| group["replicas"].as_array().unwrap());
        if replicas.all(|replica| replica["state"] == wanted) {
            return;
        }
        assert!(Instant::now() < until, "{status}");
        thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn killed_processes_are_outlived_come_back_and_catch_up() {
    let folder = dealt();
    let (up, parties) = up(&folder, &[]);
    let mut you = console(&folder, "you");
    you.run("begin");
    you.run("transfer left/alice right/bob 30");
    for victim in ["tm[2]", "left[0]", "right[1]"] {
        let (_, pid) = parties.iter().find(|(party, _)| party == victim).unwrap();
        assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
    }
    assert_eq!(you.run("commit")["outcome"], "committed");
    you.run("begin");
    you.run("transfer right/bob left/alice 10");
    assert_eq!(you.run("commit")["outcome"], "committed");
    assert_eq!(you.run("read left/alice")["value"], 80);
    assert_eq!(you.run("read right/bob")["value"], 120);
    let evidence = you.run("evidence");
    for item in evidence["items"].as_array().unwrap() {
        assert_eq!(item["class"], "suspected", "{evidence}");
    }
    let again = ["tm-2", "left-0", "right-1"].map(|key| {
        let mut command = folder.command();
        command.args(["node", "--config", "cluster.toml", "--keys", &format!("keys/{key}.key")]);
        let node = Talking::start(command);
        assert!(node.line().as_str().unwrap().contains("listens at"));
        node
    });
    you.run("begin");
    you.run("transfer left/alice right/bob 1");
    assert_eq!(you.run("commit")["outcome"], "committed");
    until_all_are(&mut you, "ok");
    let read = you.run("read right/bob");
    assert_eq!((&read["value"], &read["agree"]), (&121.into(), &4.into()));
    assert_eq!(you.run("read left/alice")["value"], 79);
    for node in again {
        assert_eq!(node.terminate(), 0);
    }
    assert_eq!(up.terminate(), 0);
    assert!(!parties.iter().any(|(_, pid)| is_running(*pid)), "somebody outlived `up`");
}

#[test]
fn two_consoles_share_a_transaction_and_faults_need_a_lab() {
    let folder = dealt();
    let (mut up, parties) = up(&folder, &["--lab"]);
    let (mut you, mut bob) = (console(&folder, "you"), console(&folder, "bob"));
    let token = you.run("begin")["token"].as_str().unwrap().to_owned();
    you.run("transfer left/alice right/bob 30");
    bob.run(&format!("join {token}"));
    you.say("commit");
    let early = you.lines.recv_timeout(Duration::from_secs(12));
    assert!(early.is_err(), "committed before both agreed: {early:?}");
    assert_eq!(bob.run("read right/bob")["value"], 130);
    assert_eq!(bob.run("commit")["outcome"], "committed");
    assert_eq!(you.line()["result"]["outcome"], "committed");

    let token = you.run("begin")["token"].as_str().unwrap().to_owned();
    you.run("transfer left/alice right/bob 30");
    bob.run(&format!("join {token}"));
    assert_eq!(bob.run("abort \"not with me\"")["outcome"], "aborted");
    you.say("commit");
    let line = you.line();
    assert_eq!((&line["ok"], &line["result"]["outcome"]), (&false.into(), &"aborted".into()));
    assert!(line["result"]["reason"].as_str().unwrap().contains("not with me"), "{line}");
    assert_eq!(you.run("read left/alice")["value"], 70);

    you.run("fault left[2] corrupt-reply");
    let read = you.run("read left/alice");
    assert_eq!((&read["value"], &read["agree"]), (&70.into(), &3.into()));
    you.run("heal left[2]");
    assert_eq!(you.run("read left/alice")["agree"], 4);

    // `up` is killed without a chance to say anything; its parties end all the same.
    up.child.kill().unwrap();
    let until = Instant::now() + WITHIN;
    while parties.iter().any(|(_, pid)| is_running(*pid)) {
        assert!(Instant::now() < until, "somebody outlived `up`");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn over_quic_the_same_holds() {
    let folder = dealt();
    // The keys do not depend on it.
    folder.edit("cluster.toml", "link = \"tcp\"", "link = \"quic\"");
    let (up, parties) = up(&folder, &[]);
    let mut you = console(&folder, "you");
    you.run("begin");
    you.run("transfer left/alice right/bob 30");
    for victim in ["tm[2]", "left[0]"] {
        let (_, pid) = parties.iter().find(|(party, _)| party == victim).unwrap();
        assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
    }
    assert_eq!(you.run("commit")["outcome"], "committed");
    let again = ["tm-2", "left-0"].map(|key| {
        let mut command = folder.command();
        command.args(["node", "--config", "cluster.toml", "--keys", &format!("keys/{key}.key")]);
        let node = Talking::start(command);
        assert!(node.line().as_str().unwrap().contains("listens at"));
        node
    });
    until_all_are(&mut you, "ok");
    let read = you.run("read right/bob");
    assert_eq!((&read["value"], &read["agree"]), (&130.into(), &4.into()));
    for node in again {
        assert_eq!(node.terminate(), 0);
    }
    assert_eq!(up.terminate(), 0);
}

#[test]
fn vanished_clients_and_borrowed_keys_trouble_nobody_else() {
    let folder = dealt();
    let (up, _) = up(&folder, &[]);
    let (mut you, mut bob) = (console(&folder, "you"), console(&folder, "bob"));
    bob.run("begin --timeout 2s");
    bob.run("write right/bob 0");
    bob.child.kill().unwrap();
    you.run("begin");
    you.run("write right/bob 50");
    assert_eq!(you.run("commit")["outcome"], "committed");
    assert_eq!(you.run("read right/bob")["value"], 50);

    let mut again = console(&folder, "you");
    assert_eq!(again.run("read right/bob")["value"], 50);
    for command in ["read right/bob", "status"] {
        you.say(command);
        let line = you.line();
        assert_eq!(line["error"]["code"], "client_in_use", "{line}");
        assert!(line["error"]["help"].as_str().unwrap().contains("--as"), "{line}");
    }
    assert_eq!(again.run("read left/alice")["agree"], 4);
    assert_eq!(up.terminate(), 0);
}

#[test]
fn fallen_processes_are_started_again_and_corrupted_states_are_healed() {
    let folder = dealt();
    let (up, parties) = up(&folder, &["--lab", "--restart"]);
    let mut you = console(&folder, "you");
    let (_, pid) = parties.iter().find(|(party, _)| party == "tm[3]").unwrap();
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
    let row = up.line();
    assert_eq!(row["party"], "tm[3]");
    assert_ne!(row["pid"], *pid);
    until_all_are(&mut you, "ok");

    you.run("fault left[1] corrupt-state");
    you.run("begin");
    you.run("transfer left/alice right/bob 30");
    assert_eq!(you.run("commit")["outcome"], "committed");
    let read = you.run("read left/alice");
    assert_eq!((&read["value"], &read["agree"]), (&70.into(), &3.into()));
    assert_eq!(read["outvoted"], serde_json::json!(["left[1]"]));
    you.run("heal left[1]");
    assert_eq!(up.line()["party"], "left[1]");
    until_all_are(&mut you, "ok");
    let read = you.run("read left/alice");
    assert_eq!((&read["value"], &read["agree"]), (&70.into(), &4.into()));
    assert_eq!(up.terminate(), 0);
}

#[test]
fn a_port_in_use_and_a_wrong_key_are_told_from_each_other() {
    let folder = dealt();
    let text = std::fs::read_to_string(folder.path("cluster.toml")).unwrap();
    let address = text.split('"').find(|word| word.starts_with("127.0.0.1:")).unwrap();
    let _held = TcpListener::bind(address).unwrap();
    let node = folder.maftia(["node", "--config", "cluster.toml", "--keys", "keys/tm-0.key"]);
    assert_eq!(code(&node), 74, "{}", stderr(&node));
    assert!(stderr(&node).contains(address) && stderr(&node).contains("help: "));
    let client =
        folder.maftia(["node", "--config", "cluster.toml", "--keys", "keys/client-you.key"]);
    assert_eq!(code(&client), 77, "{}", stderr(&client));
    let stranger = folder.maftia(["console", "--config", "cluster.toml", "--as", "mallory"]);
    assert_eq!(code(&stranger), 77, "{}", stderr(&stranger));
    assert!(stderr(&stranger).contains("client-mallory.key"), "{}", stderr(&stranger));
}
