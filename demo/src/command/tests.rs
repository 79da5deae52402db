use super::*;

fn code(line: &str) -> Code {
    parse(line).expect_err(line).code
}

fn account(text: &str) -> Account {
    text.parse().unwrap()
}

#[test]
fn every_example_of_the_table_is_understood_as_its_own_command() {
    for entry in TABLE {
        let command = parse(entry.example).unwrap_or_else(|failure| panic!("{failure:?}"));
        assert!(command.is_some(), "{}", entry.name);
        assert_eq!(entry.example.split(' ').next(), Some(entry.name));
        if entry.name != "tour" {
            assert_ne!(command, Some(Command::Tour), "{} has no builder", entry.name);
        }
    }
}

#[test]
fn lines_without_a_command_are_none() {
    for line in ["", "   ", "# a comment", "\t # another"] {
        assert_eq!(parse(line), Ok(None));
    }
}

#[test]
fn commands_read_their_words() {
    assert_eq!(
        parse("transfer left/alice right/bob 30 # pay"),
        Ok(Some(Command::Transfer {
            from: account("left/alice"),
            to: account("right/bob"),
            amount: 30
        }))
    );
    assert_eq!(parse("begin --timeout=2m"), Ok(Some(Command::Begin(Some(Duration::from_mins(2))))));
    assert_eq!(
        parse("abort \"changed my  mind\" twice --really"),
        Ok(Some(Command::Abort("changed my  mind twice --really".into())))
    );
    assert_eq!(
        parse("fault --force left[2] crash"),
        Ok(Some(Command::Fault {
            at: Replica { group: "left".into(), index: 2 },
            kind: FaultKind::Crash,
            force: true
        }))
    );
    assert_eq!(parse("write right/bob -5"), Ok(Some(Command::Write(account("right/bob"), -5))));
    assert_eq!(parse("tx"), Ok(Some(Command::TxList)));
}

#[test]
fn wrong_lines_say_what_where_and_what_to_do() {
    let unknown = parse("comit").unwrap_err();
    assert_eq!(unknown.code, Code::UnknownCommand);
    assert!(unknown.help.starts_with("did you mean `commit`?"));
    let few = parse("transfer left/alice").unwrap_err();
    assert_eq!(few.message, "`transfer` needs TO");
    assert_eq!(few.help, "usage: transfer FROM TO AMOUNT");
    for (line, expected) in [
        ("read alice", Code::UnknownAccount),
        ("read left/", Code::UnknownAccount),
        ("read", Code::BadArguments),
        ("read left/alice right/bob", Code::BadArguments),
        ("write left/alice much", Code::BadAmount),
        ("transfer left/alice right/bob 0", Code::BadAmount),
        ("transfer left/alice right/bob -3", Code::BadAmount),
        ("transfer left/alice right/bob 9223372036854775808", Code::BadAmount),
        ("begin --timeout soon", Code::BadDuration),
        ("begin --timeout 0s", Code::BadDuration),
        ("begin --timeout 999us", Code::BadDuration),
        ("begin --timeout 3601s", Code::BadDuration),
        ("begin --timeout", Code::BadArguments),
        ("begin --hurry", Code::BadArguments),
        ("begin now", Code::BadArguments),
        ("fault left crash", Code::UnknownReplica),
        ("fault left[x] crash", Code::UnknownReplica),
        ("fault left[99999] crash", Code::UnknownReplica),
        ("fault left[1] sulk", Code::UnknownFault),
        ("fault left[1] crash --force=yes", Code::BadArguments),
        ("tx show", Code::BadArguments),
        ("tx drop 7Q", Code::BadArguments),
        ("wait loud", Code::BadArguments),
        ("evidence -1", Code::BadAmount),
        ("abort \"open", Code::BadArguments),
        ("help frobnicate", Code::UnknownCommand),
    ] {
        let failure = parse(line).expect_err(line);
        assert_eq!(failure.code, expected, "{line}");
        assert!(!failure.message.is_empty() && !failure.help.is_empty(), "{line}: {failure:?}");
    }
    assert_eq!(code(&"x".repeat(70_000)), Code::BadArguments);
}

#[test]
fn strange_words_are_shown_without_their_control_characters() {
    let failure = parse("\u{1b}[2Jboom").unwrap_err();
    assert_eq!(failure.message, "there is no command `?[2Jboom`");
}

/// What people paste, scripts contain and attackers try, as one word each.
const STRANGE: [&str; 22] = [
    "-1",
    "0",
    "99999999999999999999999999999",
    "1e9",
    "0x10",
    "NaN",
    "left/alice",
    "left/",
    "/",
    "left[2]",
    "left[65536]",
    "left[",
    "]",
    "../../etc/passwd",
    "$token",
    "--force",
    "--timeout",
    "--timeout=",
    "a\0b",
    "\u{1b}]0;title\u{7}",
    "\u{202e}drow",
    "((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((",
];

/// That a line is understood or refused in words that fit on a screen.
fn is_judged(line: &str) {
    let Err(failure) = parse(line) else { return };
    let text = format!("{} {}", failure.message, failure.help);
    assert!(!failure.message.is_empty() && !failure.help.is_empty(), "{line:?}: {failure:?}");
    assert!(text.len() < 600 && !text.contains(char::is_control), "{line:?}: {failure:?}");
}

#[test]
fn every_command_bears_every_strange_word() {
    let long = "x".repeat(5_000);
    for entry in TABLE {
        for first in STRANGE.into_iter().chain([long.as_str()]) {
            is_judged(&format!("{} {first}", entry.name));
            for second in STRANGE {
                is_judged(&format!("{} {first} {second}", entry.name));
                is_judged(&format!("{} left/alice {first} {second} {first}", entry.name));
            }
        }
    }
}

#[test]
fn random_lines_are_judged() {
    let mut dice = 0x2545_f491_4f6c_dd1d_u64;
    let mut roll = || {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice
    };
    for _ in 0..5_000 {
        let bytes: Vec<u8> = (0..roll() % 80).map(|_| roll() as u8).collect();
        let garbage = String::from_utf8_lossy(&bytes).into_owned();
        let name = TABLE[roll() as usize % TABLE.len()].name;
        is_judged(&garbage);
        is_judged(&format!("{name} {garbage}"));
        is_judged(&format!("{name} {}", garbage.replace(char::REPLACEMENT_CHARACTER, "/")));
    }
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let line = String::from_utf8_lossy(b"abort \xff\xfe").into_owned();
    let failure = parse(&line).unwrap_err();
    assert_eq!(failure.code, Code::BadArguments);
    assert!(failure.message.contains("no UTF-8"), "{}", failure.message);
}

#[test]
fn the_page_of_the_manual_is_the_one_in_the_repository() {
    let page = include_str!("../../console.md");
    assert_eq!(help::manual(), page, "run `maftia manual > demo/console.md`");
}

#[path = "../../../tests/fuzz/mutate.rs"]
mod mutate;

#[test]
fn bent_lines_are_commands_or_failures_with_words() {
    let mut dice = mutate::Dice::new(7);
    let mut refused = 0;
    for turn in 0..4_000 {
        let example = TABLE[turn % TABLE.len()].example;
        let bent = mutate::mutated(example.as_bytes(), &mut dice);
        let line = String::from_utf8_lossy(&bent);
        if let Err(failure) = parse(&line) {
            refused += 1;
            assert!(!failure.message.is_empty() && failure.message.len() < 1_000, "{line:?}");
        }
    }
    assert!(refused > 1_000, "only {refused} were refused");
}
