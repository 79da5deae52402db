//! Runs lines, one after the other, from a file, a pipe or a prompt.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    thread,
};

use tokio::sync::mpsc;

use crate::{
    cluster::Cluster,
    command::{self, Command, words::shown},
    exit::{Exit, Stop},
    failure::{Code, Failure},
    report::{Line, Report},
    screen::Screen,
    shell::Shell,
};

/// The commands of the tour; its comments are what the guide says.
const TOUR: &str = include_str!("../scripts/tour.maftia");

/// The bytes of a line that are kept: above what the parser takes, so that it says what is wrong.
const LINE_MAX: u64 = 128 * 1024;

/// How much of a line is shown before it runs.
const STEP_SHOWN: usize = 200;

/// The bytes of one line that are read at all: above it somebody gave us a device or an image.
const SKIPPED_MAX: u64 = 16 << 20;

/// A console and its screen.
pub(crate) struct Player<C> {
    pub(crate) shell: Shell<C>,
    pub(crate) screen: Screen,
    commands: usize,
    failed: usize,
    lost_quorum: bool,
}

/// What several commands gave that were run as one.
#[derive(Default)]
struct Steps {
    done: Vec<serde_json::Value>,
    /// Why the first one failed of those that did.
    failure: Option<Failure>,
}

impl Steps {
    fn end(self, text: &str) -> Line {
        let toured = Report::Toured { steps: self.done };
        match self.failure {
            None => Line::done(text, toured),
            Some(failure) => Line::failed(text, failure, Some(toured)),
        }
    }
}

/// Whether there is more to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another line.
    More,
    /// Nothing: the user left.
    Over,
}

impl<C: Cluster> Player<C> {
    /// A console that writes to this screen.
    pub(crate) const fn new(shell: Shell<C>, screen: Screen) -> Self {
        Self { shell, screen, commands: 0, failed: 0, lost_quorum: false }
    }

    /// Runs a line and writes what it gave.
    pub(crate) async fn line(&mut self, line: &str) -> io::Result<Next> {
        let text = line.trim();
        let command = match command::parse(text) {
            Ok(None) => return Ok(Next::More),
            Ok(Some(command)) => command,
            Err(failure) => {
                self.write(Line::failed(text, failure, None))?;
                return Ok(Next::More);
            }
        };
        let (leaves, works) = (command == Command::Quit, command.is_work());
        let line = match command {
            Command::Tour => self.tour(text).await?,
            Command::Source(path) => self.source(text, &path).await?,
            command => self.run(text, command).await,
        };
        self.write(line)?;
        if works {
            self.echo(false).await?;
        }
        Ok(if leaves { Next::Over } else { Next::More })
    }

    /// Shows what replicas say that they did.
    pub(crate) async fn echo(&mut self, idle: bool) -> io::Result<()> {
        if matches!(self.screen, Screen::Json) {
            return Ok(());
        }
        let echoes = self.shell.cluster().echoes(idle).await;
        self.screen.echoes(&echoes)
    }

    async fn run(&mut self, text: &str, command: Command) -> Line {
        match self.shell.run(command).await {
            Ok(report) => Line::done(text, report),
            Err(failed) => Line::failed(text, failed.failure, failed.report),
        }
    }

    /// Says that a command was stopped half-way.
    pub(crate) fn cancelled(&mut self, text: &str) -> io::Result<()> {
        let help = "what it asked for may have happened or not: `tx list` and `read` tell";
        let failure = Failure::new(Code::Cancelled, "stopped by its user", help);
        self.write(Line::failed(text.trim(), failure, None))
    }

    fn write(&mut self, line: Line) -> io::Result<()> {
        self.commands += 1;
        if let Some(error) = &line.error {
            self.failed += 1;
            self.lost_quorum = error.is_lost_quorum();
        }
        self.screen.line(&line)
    }

    async fn tour(&mut self, text: &str) -> io::Result<Line> {
        let mut steps = Steps::default();
        for line in TOUR.lines() {
            if let Some(words) = line.strip_prefix('#') {
                self.screen.say(&format!("{}\n", words.trim()))?;
                continue;
            }
            let Ok(Some(command)) = command::parse(line) else { continue };
            self.step(line, Ok(command), &mut steps).await?;
        }
        Ok(steps.end(text))
    }

    /// Runs the commands of a file.
    async fn source(&mut self, text: &str, path: &Path) -> io::Result<Line> {
        let mut lines = match lines_of(path) {
            Ok(lines) => lines,
            Err(Stop { message, help, .. }) => {
                return Ok(Line::failed(text, Failure::new(Code::Io, message, help), None));
            }
        };
        let mut steps = Steps::default();
        while let Some(line) = lines.recv().await {
            let command = match &line {
                Ok(line) => command::parse(line.trim()).transpose(),
                Err(error) => {
                    let message = format!("cannot read {}: {error}", path.display());
                    Some(Err(Failure::new(Code::Io, message, "check the file")))
                }
            };
            let command = match command {
                None => continue,
                Some(Ok(Command::Quit)) => break,
                Some(Ok(Command::Source(_) | Command::Tour)) => {
                    let message = "a file cannot run another one, or the tour";
                    Err(Failure::new(Code::BadArguments, message, "`source` them one by one"))
                }
                Some(command) => command,
            };
            self.step(line.unwrap_or_default().trim(), command, &mut steps).await?;
        }
        Ok(steps.end(text))
    }

    /// Runs one of many commands.
    async fn step(
        &mut self,
        text: &str,
        command: Result<Command, Failure>,
        steps: &mut Steps,
    ) -> io::Result<()> {
        self.screen.say(&format!("> {}\n", shown(text, STEP_SHOWN)))?;
        let works = command.as_ref().is_ok_and(Command::is_work);
        let step = match command {
            Ok(command) => self.run(text, command).await,
            Err(failure) => Line::failed(text, failure, None),
        };
        if !matches!(self.screen, Screen::Json) {
            self.screen.line(&step)?;
        }
        if works {
            self.echo(false).await?;
        }
        steps.failure = steps.failure.take().or_else(|| step.error.clone());
        steps.done.push(serde_json::to_value(&step).expect("a report has string keys only"));
        Ok(())
    }

    /// How a script ends: a failed command counts, and a lone one that met a lost quorum says so.
    pub(crate) const fn exit(&self) -> Exit {
        match (self.failed, self.commands) {
            (0, _) => Exit::Fine,
            (1, 1) if self.lost_quorum => Exit::Temporary,
            _ => Exit::CommandFailed,
        }
    }
}

/// Runs all lines, whatever they give, until the last one, `quit` or a signal.
pub(crate) async fn play<C: Cluster>(
    player: &mut Player<C>,
    mut lines: mpsc::Receiver<io::Result<String>>,
    stop: impl Future<Output = ()>,
) -> Result<Exit, Stop> {
    let exit = play_on(player, &mut lines, stop).await;
    // However a script ends, it leaves as `quit` does: what is open must not lock anything.
    let _ = player.shell.run(Command::Quit).await;
    exit
}

async fn play_on<C: Cluster>(
    player: &mut Player<C>,
    lines: &mut mpsc::Receiver<io::Result<String>>,
    stop: impl Future<Output = ()>,
) -> Result<Exit, Stop> {
    tokio::pin!(stop);
    loop {
        let next = tokio::select! {
            next = lines.recv() => next,
            () = &mut stop => return Ok(Exit::Interrupted),
        };
        let Some(line) = next else { return Ok(player.exit()) };
        let line = line.map_err(|error| {
            let message = format!("cannot read commands: {error}");
            Stop::new(Exit::Io, message, "give a text with one command a line")
        })?;
        let next = tokio::select! {
            next = player.line(&line) => next?,
            () = &mut stop => {
                player.cancelled(&line)?;
                return Ok(Exit::Interrupted);
            }
        };
        if next == Next::Over {
            return Ok(player.exit());
        }
    }
}

/// The lines of a file, or of standard input for `-`.
pub(crate) fn lines(path: &Path) -> Result<mpsc::Receiver<io::Result<String>>, Stop> {
    if path == Path::new("-") {
        return Ok(piped(io::stdin()));
    }
    lines_of(path)
}

/// The lines of a file.
fn lines_of(path: &Path) -> Result<mpsc::Receiver<io::Result<String>>, Stop> {
    let file = File::open(path).map_err(|error| Stop::file(path, "open the script", &error))?;
    if file.metadata().is_ok_and(|about| about.is_dir()) {
        let message = format!("{} is a folder, not a script", path.display());
        return Err(Stop::new(Exit::Io, message, "name a file with one command a line"));
    }
    Ok(piped(file))
}

/// Reads lines on a thread of their own, one ahead: a pipe may stay silent for ever.
pub(crate) fn piped(from: impl Read + Send + 'static) -> mpsc::Receiver<io::Result<String>> {
    let (sender, receiver) = mpsc::channel(1);
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        while let Some(line) = next_line(&mut from).transpose() {
            let failed = line.is_err();
            if sender.blocking_send(line).is_err() || failed {
                break;
            }
        }
    });
    receiver
}

/// The next line; of a long one only the beginning, for half a command must not run as another.
fn next_line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    let read = from.by_ref().take(LINE_MAX).read_until(b'\n', &mut line)?;
    if read as u64 == LINE_MAX && !line.ends_with(b"\n") {
        skip_line(from)?;
    }
    Ok((read > 0).then(|| String::from_utf8_lossy(&line).into_owned()))
}

/// Reads on to the end of a line.
fn skip_line(from: &mut impl BufRead) -> io::Result<()> {
    let mut skipped = 0;
    while skipped < SKIPPED_MAX {
        let bytes = from.fill_buf()?;
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(bytes.len(), |at| at + 1);
        if bytes.is_empty() {
            return Ok(());
        }
        from.consume(length);
        if end.is_some() {
            return Ok(());
        }
        skipped += length as u64;
    }
    let message = format!("a line has more than {SKIPPED_MAX} bytes: this is no script");
    Err(io::Error::new(io::ErrorKind::InvalidData, message))
}

#[cfg(test)]
mod tests;
