//! A folder of its own for each test, and the binary run in it.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::{
    fs, iter,
    net::TcpListener,
    path::PathBuf,
    process::{self, Command, Output},
    sync::atomic::{AtomicU32, Ordering},
};

/// A folder that goes with the test.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    /// An empty one.
    pub(crate) fn empty() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    /// One with the sample configuration.
    pub(crate) fn with_sample() -> Self {
        let folder = Self::empty();
        let sample = folder.maftia(["config", "init"]);
        fs::write(folder.path("cluster.toml"), &sample.stdout).expect("a file");
        folder
    }

    /// A file in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Replaces every `from` in a file, of which there must be one.
    pub(crate) fn edit(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(name)).expect("a file");
        assert!(text.contains(from), "no `{from}` in {name}");
        fs::write(self.path(name), text.replace(from, to)).expect("a file");
    }

    /// The binary, to be run here, without the environment of whoever runs the tests.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maftia"));
        command.current_dir(self.0.path());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MAFTIA_")) {
            command.env_remove(name);
        }
        command
    }

    /// Runs the binary to its end.
    pub(crate) fn maftia<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Output {
        self.command().args(words).output().expect("the binary runs")
    }

    /// Deals the keys.
    pub(crate) fn deal(&self) -> Output {
        self.maftia(["deal", "--config", "cluster.toml", "--out", "keys"])
    }
}

/// How many ports are tried before there is none.
const PORTS: usize = 20_000;

/// Holds a port below those that Linux gives to whoever dials: it would take one of these away between
/// the moment in which it was found free and that in which a party listens there.
fn listener() -> Option<TcpListener> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(process::id().wrapping_mul(128));
    TcpListener::bind(("127.0.0.1", 10_000 + (next as usize % PORTS) as u16)).ok()
}

/// A folder with keys and twelve free ports.
pub(crate) fn dealt() -> Folder {
    let folder = Folder::with_sample();
    // All are held until all are chosen, so that they differ.
    let held: Vec<_> = iter::repeat_with(listener).take(PORTS).flatten().take(12).collect();
    assert_eq!(held.len(), 12, "free ports");
    for (listener, (group, member)) in held.iter().zip((0..12).map(|at| (at / 4, at % 4))) {
        let port = listener.local_addr().expect("a free port").to_string();
        folder.edit("cluster.toml", &format!("127.0.0.1:74{group}{member}"), &port);
    }
    assert_eq!(code(&folder.deal()), 0);
    folder
}

/// The exit code.
pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().expect("no signal")
}

/// What was said to programs.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What was said to people.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Standard output as JSON, one object a line.
pub(crate) fn json_lines(output: &Output) -> Vec<serde_json::Value> {
    let text = stdout(output);
    let json =
        |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
    text.lines().map(json).collect()
}
