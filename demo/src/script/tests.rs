use std::future::pending;

use super::*;
use crate::{shell::Shell, shell::fake::Fake};

/// Plays a script on a stand-in, without a screen.
async fn exit_of(script: &'static str) -> (Exit, usize) {
    let mut player = Player::new(Shell::new(Fake::bank(), "you"), quiet());
    let exit = play(&mut player, piped(script.as_bytes()), pending()).await.unwrap();
    (exit, player.commands)
}

fn quiet() -> Screen {
    Screen::Prompt(Box::new(|_| Ok(())))
}

#[tokio::test]
async fn all_lines_run_whatever_they_give() {
    let good = "# pay\nbegin\ntransfer left/alice right/bob 30\n\ncommit\n";
    assert_eq!(exit_of(good).await, (Exit::Fine, 3));
    assert_eq!(exit_of("comit\nread left/alice\n").await, (Exit::CommandFailed, 2));
    assert_eq!(exit_of("quit\ncomit\n").await, (Exit::Fine, 1));
    assert_eq!(exit_of("").await, (Exit::Fine, 0));
}

#[tokio::test]
async fn a_lone_command_that_met_a_lost_quorum_has_a_code_of_its_own() {
    let mut shell = Shell::new(Fake::bank(), "you");
    for at in ["fault left[1] crash", "fault left[2] crash --force"] {
        shell.run(command::parse(at).unwrap().unwrap()).await.unwrap();
    }
    let mut player = Player::new(shell, quiet());
    let lines = piped("read left/alice".as_bytes());
    assert_eq!(play(&mut player, lines, pending()).await.unwrap(), Exit::Temporary);
    let lines = piped("read left/alice".as_bytes());
    assert_eq!(play(&mut player, lines, pending()).await.unwrap(), Exit::CommandFailed);
}

#[tokio::test]
async fn a_signal_ends_a_script_and_what_is_open() {
    let mut player = Player::new(Shell::new(Fake::bank(), "you"), quiet());
    let (sender, lines) = mpsc::channel(1);
    sender.send(Ok("begin".to_owned())).await.unwrap();
    let stop = tokio::time::sleep(std::time::Duration::from_millis(50));
    assert_eq!(play(&mut player, lines, stop).await.unwrap(), Exit::Interrupted);
    assert_eq!(player.shell.tx(), None);
}

#[tokio::test]
async fn the_tour_runs_to_its_end() {
    let mut player = Player::new(Shell::new(Fake::bank(), "you"), quiet());
    let line = player.tour("tour").await.unwrap();
    assert_eq!(line.error, None);
    let Some(Report::Toured { steps }) = line.result else { panic!("{line:?}") };
    assert!(steps.len() >= 8, "{steps:?}");
}

#[tokio::test]
async fn a_sourced_file_runs_to_its_end_and_runs_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("script");
    std::fs::write(&path, "# pay\nbegin\ncomit\nsource x\ncommit\nquit\nread left/alice\n")
        .unwrap();
    let mut player = Player::new(Shell::new(Fake::bank(), "you"), quiet());
    let line = player.source("source script", &path).await.unwrap();
    assert_eq!(line.error.map(|error| error.code), Some(Code::UnknownCommand), "the first failure");
    let Some(Report::Toured { steps }) = line.result else { panic!("no steps") };
    let ok: Vec<_> = steps.iter().map(|step| step["ok"].as_bool().unwrap()).collect();
    assert_eq!(ok, [true, false, false, true]);
    assert_eq!(steps[2]["error"]["code"], "bad_arguments");
    for nowhere in [folder.path().join("nowhere"), folder.path().to_owned()] {
        let line = player.source("source it", &nowhere).await.unwrap();
        assert_eq!(line.error.map(|error| error.code), Some(Code::Io));
    }
}

#[test]
fn the_rest_of_a_long_line_is_no_command() {
    let mut text = vec![b'x'; LINE_MAX as usize];
    text.extend_from_slice(b"commit\nread left/alice\n");
    let mut text = &text[..];
    assert_eq!(next_line(&mut text).unwrap().unwrap().len() as u64, LINE_MAX);
    assert_eq!(next_line(&mut text).unwrap().unwrap(), "read left/alice\n");
    assert_eq!(next_line(&mut text).unwrap(), None);
    let whole = [vec![b'x'; LINE_MAX as usize - 1], b"\nquit".to_vec()].concat();
    let mut whole = &whole[..];
    next_line(&mut whole).unwrap();
    assert_eq!(next_line(&mut whole).unwrap().unwrap(), "quit");
}

#[test]
fn endless_lines_end_the_script() {
    let mut endless = BufReader::new(io::repeat(b'x'));
    let error = next_line(&mut endless).unwrap_err();
    assert!(error.to_string().contains("this is no script"), "{error}");
}

#[tokio::test]
async fn a_reader_that_goes_away_leaves_no_transaction_open() {
    let gone = Screen::Prompt(Box::new(|_| Err(io::ErrorKind::BrokenPipe.into())));
    let mut player = Player::new(Shell::new(Fake::bank(), "you"), gone);
    let stop = play(&mut player, piped("begin\n".as_bytes()), pending()).await.unwrap_err();
    assert_eq!((stop.exit, stop.to_string().as_str()), (Exit::Io, ""));
    assert_eq!(player.shell.tx(), None);
}
