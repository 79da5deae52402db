//! The architecture's rules, as a test: each says what it forbids and why.
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected shall fall")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A source file: its path from the root, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn is_in(&self, folder: &str) -> bool {
        self.path.starts_with(folder)
    }

    /// The lines of code, without comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let code = |line: &&str| !line.trim_start().starts_with("//");
        self.text.lines().enumerate().filter(move |(_, line)| code(line)).map(|(n, l)| (n + 1, l))
    }

    /// Where a word stands in code.
    fn finds(&self, word: &str) -> Vec<String> {
        self.code()
            .filter(|(_, line)| line.contains(word))
            .map(|(number, line)| format!("{}:{number}: {}", self.path, line.trim()))
            .collect()
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    for folder in
        ["src", "core", "actors", "ttcb-rt", "tss", "demo", "tests", "benches", "examples"]
    {
        walk(&root().join(folder), &mut files);
    }
    assert!(files.len() > 50, "the walk finds the sources");
    files
}

fn walk(folder: &Path, files: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            files.push(Source { path: name, text: fs::read_to_string(&path).unwrap() });
        }
    }
}

/// Asserts that no source outside `allowed` has one of these words in its code.
fn forbid(words: &[&str], allowed: impl Fn(&Source) -> bool, why: &str) {
    let found: Vec<String> = sources()
        .iter()
        .filter(|source| source.path != "tests/tidy.rs" && !allowed(source))
        .flat_map(|source| words.iter().flat_map(|word| source.finds(word)))
        .collect();
    assert!(found.is_empty(), "{why}:\n{}", found.join("\n"));
}

fn is_test(source: &Source) -> bool {
    source.is_in("tests/")
        || source.path.contains("/tests/")
        || source.path.ends_with("tests.rs")
        || source.is_in("benches/")
        || source.is_in("examples/")
}

#[test]
fn only_actors_knows_actix() {
    // A benchmark needs the bare thing as its floor.
    let allowed = |source: &Source| source.is_in("actors/") || source.is_in("benches/");
    forbid(&["use actix::", "actix::"], allowed, "actors are one crate's business");
    let runtime = |source: &Source| {
        source.is_in("actors/") || source.is_in("demo/") || source.is_in("src/") || is_test(source)
    };
    forbid(&["actix_rt", "tokio::"], runtime, "a protocol has no tasks");
}

#[test]
fn nobody_sends_without_a_bound() {
    forbid(
        &["do_send("],
        |_| false,
        "`do_send` ignores the bound of the mailbox and swallows errors",
    );
    forbid(&["unbounded_channel"], |_| false, "a queue without a bound grows with an attacker");
}

#[test]
fn unsafe_is_the_trusted_components_business() {
    let allowed = |source: &Source| source.is_in("ttcb-rt/");
    forbid(
        &["unsafe {", "unsafe fn", "unsafe impl"],
        allowed,
        "memory safety is not ours to prove",
    );
    for krate in ["core", "actors", "tss", "demo"] {
        let file = if krate == "demo" { "src/main.rs" } else { "src/lib.rs" };
        let text = fs::read_to_string(root().join(krate).join(file)).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{krate} forbids unsafe code");
    }
}

#[test]
fn protocols_have_no_clock_no_chance_and_no_hash_order() {
    let elsewhere =
        |source: &Source| !(source.is_in("core/src") || source.is_in("tss/src")) || is_test(source);
    forbid(
        &[
            "Instant::now",
            "SystemTime",
            "getrandom",
            "thread_rng",
            "OsRng",
            "TcpStream",
            "UdpSocket",
            "std::fs",
        ],
        elsewhere,
        "replicas that look at the world see different worlds",
    );
    forbid(&["HashMap", "HashSet"], elsewhere, "iteration order differs between replicas");
}

#[test]
fn ideal_schemes_are_out_of_reach_of_binaries() {
    for krate in ["actors", "tss", "demo", "."] {
        let manifest = fs::read_to_string(root().join(krate).join("Cargo.toml")).unwrap();
        let shipped = manifest.split("[dev-dependencies]").next().unwrap();
        let shipped = shipped.split("[workspace.dependencies]").next().unwrap();
        assert!(!shipped.contains("\"sim\""), "{krate} ships the simulator's cryptography");
    }
}

#[test]
fn rooms_stay_small() {
    let long: Vec<String> = sources()
        .iter()
        .filter(|source| source.text.lines().count() > 450)
        .map(|source| format!("{} lines: {}", source.text.lines().count(), source.path))
        .collect();
    assert!(long.is_empty(), "files above 450 lines:\n{}", long.join("\n"));
}

/// The names and lengths of the functions of a formatted file: from `fn` to the closing brace of
/// the same indentation.
fn functions(source: &Source) -> Vec<(String, usize)> {
    let lines: Vec<&str> = source.text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let body = line.trim_start();
        let words: Vec<&str> = body.split_whitespace().take(4).collect();
        if !words.contains(&"fn") || body.starts_with("//") || !body.contains('(') {
            continue;
        }
        let opens =
            |line: &&&str| line.ends_with('{') || line.ends_with('}') || line.ends_with(';');
        if lines[start..].iter().find(opens).is_some_and(|line| line.ends_with(';')) {
            continue;
        }
        let close = format!("{}}}", &line[..line.len() - body.len()]);
        let end = lines[start..].iter().position(|line| *line == close);
        if let Some(length) = end {
            found.push((format!("{}:{}: {body}", source.path, start + 1), length + 1));
        }
    }
    found
}

#[test]
fn functions_read_in_one_look() {
    let sources = sources();
    let all: Vec<(String, usize)> = sources.iter().flat_map(functions).collect();
    assert!(all.len() > 300, "the search finds the functions");
    let long: Vec<String> = all
        .iter()
        .filter(|(_, length)| *length > 70)
        .map(|(name, length)| format!("{length} lines: {name}"))
        .collect();
    assert!(long.is_empty(), "functions above 70 lines:\n{}", long.join("\n"));
}

#[test]
fn protocol_modules_open_with_the_five_headings() {
    let folders = ["core/src/broadcast/", "core/src/agreement/", "core/src/stream/"];
    let mut checked = 0;
    for source in sources() {
        let protocol =
            source.finds("const KIND: Kind").len() + source.finds("impl Protocol for").len();
        let own = folders.iter().any(|folder| source.is_in(folder)) && !is_test(&source);
        if !own || protocol == 0 {
            continue;
        }
        checked += 1;
        for heading in ["# Reference", "# Model", "# Thresholds", "# Properties", "# Deviations"] {
            let found = source.text.lines().any(|line| line.trim() == format!("//! {heading}"));
            assert!(found, "{} lacks `{heading}`", source.path);
        }
    }
    assert!(checked >= 6, "only {checked} protocols were found");
}

#[test]
fn examples_are_short_and_run() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let ci = fs::read_to_string(root().join(".ci/run")).unwrap();
    let examples: Vec<_> =
        sources().into_iter().filter(|source| source.is_in("examples/")).collect();
    assert!(examples.len() > 8, "the walk finds the examples");
    for example in examples {
        let name = example.path.trim_start_matches("examples/").trim_end_matches(".rs");
        // One stands alone, and brings the formats of this project with it.
        let most = if name == "verify" { 70 } else { 40 };
        assert!(example.text.lines().count() < most, "{name} does not fit a screen");
        let tested = format!("name = \"{name}\"\ntest = true\nharness = false\n");
        let included = root().join("tests").join(format!("{name}.rs")).exists();
        let run = included || ci.contains(&format!("--example {name}"));
        assert!(run || manifest.contains(&tested), "nobody runs {name}");
    }
}

#[test]
fn nothing_is_left_unfinished() {
    let words = ["todo!(", "unimplemented!(", "FIXME", "XXX"];
    forbid(&words, |_| false, "finish it, or say so in the issue");
    forbid(&["#[ignore]"], |_| false, "an ignored test needs a reason and a command that runs it");
}

#[test]
fn the_readme_names_the_commands_that_ci_runs() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let ci = fs::read_to_string(root().join(".ci/run")).unwrap();
    for (mark, command) in [
        ("<!-- command: run -->", "cargo run --release"),
        ("<!-- command: test -->", "cargo test --workspace"),
    ] {
        let after = readme.split(mark).nth(1).unwrap_or_else(|| panic!("README.md lacks {mark}"));
        let block = after.split("```").nth(1).unwrap();
        assert_eq!(block.trim_start_matches("sh").trim(), command, "under {mark}");
    }
    assert!(ci.contains("<!-- command: test -->"), "CI takes the test command from the README");
}
