//! The prompt: history, completion, editing, and echoes that do not garble it.

use std::{
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, mpsc as sync_mpsc},
    thread,
    time::Duration,
};

use rustyline::{
    Config, Editor, ExternalPrinter, config::CompletionType, error::ReadlineError,
    history::DefaultHistory,
};
use tokio::sync::mpsc;

use crate::{
    cluster::Cluster,
    exit::{Exit, Stop},
    screen::Screen,
    script::{Next, Player},
    shell::Shell,
};

mod complete;

use complete::{Guide, Words};

/// How often echoes are looked for while a person thinks.
const LISTEN: Duration = Duration::from_secs(2);

/// How many lines the history keeps.
const HISTORY: usize = 2_000;

/// What the thread at the keyboard has to tell.
enum Typed {
    Line(String),
    Interrupted,
    Left,
    Broken(String),
}

/// Runs commands as a person types them, until that person leaves.
pub(crate) async fn interactive<C: Cluster>(
    shell: Shell<C>,
    banner: &str,
) -> (Shell<C>, Result<Exit, Stop>) {
    let words = Arc::new(Mutex::new(Words::of(&shell)));
    let mut keyboard = match Keyboard::open(Guide::new(Arc::clone(&words))) {
        Ok(keyboard) => keyboard,
        Err(stop) => return (shell, Err(stop)),
    };
    let mut player = Player::new(shell, keyboard.screen());
    let exit = match player.screen.say(banner) {
        Ok(()) => converse(&mut player, &mut keyboard, &words).await,
        Err(error) => Err(error.into()),
    };
    (player.shell, exit)
}

async fn converse<C: Cluster>(
    player: &mut Player<C>,
    keyboard: &mut Keyboard,
    words: &Mutex<Words>,
) -> Result<Exit, Stop> {
    let mut interrupted = false;
    loop {
        *words.lock().expect("completion does not panic") = Words::of(&player.shell);
        keyboard.ask(prompt(&player.shell));
        let typed = loop {
            tokio::select! {
                typed = keyboard.typed.recv() => break typed.unwrap_or(Typed::Left),
                () = tokio::time::sleep(LISTEN) => {
                    player.echo(true).await?;
                }
            }
        };
        match typed {
            Typed::Line(line) => {
                interrupted = match run(player, &line, interrupted).await? {
                    Ran::Over => return Ok(Exit::Fine),
                    Ran::Leave => break,
                    Ran::Finished => false,
                    Ran::Cancelled => true,
                };
            }
            Typed::Interrupted if interrupted => break,
            Typed::Interrupted => {
                interrupted = true;
                player.screen.say("Ctrl-C again leaves\n")?;
            }
            Typed::Left => break,
            Typed::Broken(error) => {
                let message = format!("the terminal failed: {error}");
                return Err(Stop::new(Exit::Io, message, "pipe the commands in instead"));
            }
        }
    }
    let _ = player.line("quit").await?;
    Ok(Exit::Fine)
}

/// What became of a line.
enum Ran {
    /// It was run.
    Finished,
    /// Ctrl-C stopped it.
    Cancelled,
    /// It said `quit`.
    Over,
    /// Ctrl-C stopped it, and had stopped the one before it too.
    Leave,
}

/// Runs a line until its end or Ctrl-C.
async fn run<C: Cluster>(player: &mut Player<C>, line: &str, again: bool) -> Result<Ran, Stop> {
    tokio::select! {
        next = player.line(line) => Ok(match next? {
            Next::More => Ran::Finished,
            Next::Over => Ran::Over,
        }),
        _ = tokio::signal::ctrl_c() => {
            player.cancelled(line)?;
            Ok(if again { Ran::Leave } else { Ran::Cancelled })
        }
    }
}

fn prompt<C: Cluster>(shell: &Shell<C>) -> String {
    match shell.tx() {
        Some(tx) => format!("maftia[{} {tx}]> ", shell.client()),
        None => format!("maftia[{}]> ", shell.client()),
    }
}

/// A thread that reads lines while the rest of the program goes on.
struct Keyboard {
    prompts: sync_mpsc::Sender<String>,
    typed: mpsc::Receiver<Typed>,
    printer: Option<Box<dyn ExternalPrinter + Send>>,
}

impl Keyboard {
    fn open(guide: Guide) -> Result<Self, Stop> {
        let broken = |error: ReadlineError| {
            let message = format!("cannot open the terminal: {error}");
            Stop::new(Exit::Io, message, "pipe the commands in, or give a file with --exec")
        };
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .max_history_size(HISTORY)
            .map_err(broken)?
            .history_ignore_space(true)
            .auto_add_history(true)
            .build();
        let mut editor = Editor::<Guide, DefaultHistory>::with_config(config).map_err(broken)?;
        editor.set_helper(Some(guide));
        let printer = editor.create_external_printer().map_err(broken)?;
        let (prompts, prompted) = sync_mpsc::channel();
        let (sender, typed) = mpsc::channel(1);
        thread::spawn(move || read_lines(editor, &prompted, &sender));
        Ok(Self { prompts, typed, printer: Some(Box::new(printer)) })
    }

    /// A screen that writes around the prompt.
    fn screen(&mut self) -> Screen {
        let mut printer = self.printer.take();
        let plain = anstream::AutoStream::choice(&io::stdout()) == anstream::ColorChoice::Never;
        Screen::Prompt(Box::new(move |text| {
            let text = if plain { anstream::adapter::strip_str(&text).to_string() } else { text };
            match &mut printer {
                Some(printer) if !text.is_empty() => printer.print(text).map_err(io::Error::other),
                _ => Ok(()),
            }
        }))
    }

    fn ask(&self, prompt: String) {
        // If the thread is gone, `typed` says so.
        let _ = self.prompts.send(prompt);
    }
}

fn read_lines(
    mut editor: Editor<Guide, DefaultHistory>,
    prompts: &sync_mpsc::Receiver<String>,
    typed: &mpsc::Sender<Typed>,
) {
    let history = history_file();
    if let Some(path) = &history {
        // A first run has no history, and one that cannot be read is no reason not to start.
        let _ = editor.load_history(path);
    }
    for prompt in prompts {
        let said = match editor.readline(&prompt) {
            Ok(line) => Typed::Line(line),
            Err(ReadlineError::Interrupted) => Typed::Interrupted,
            Err(ReadlineError::Eof) => Typed::Left,
            Err(error) => Typed::Broken(error.to_string()),
        };
        if let Some(path) = &history {
            let _ = editor.append_history(path);
        }
        if typed.blocking_send(said).is_err() {
            break;
        }
    }
}

/// Where the history is kept: `$XDG_STATE_HOME/maftia/history`.
fn history_file() -> Option<PathBuf> {
    use etcetera::BaseStrategy;
    let folder = etcetera::choose_base_strategy().ok()?.state_dir()?.join("maftia");
    fs::create_dir_all(&folder).ok()?;
    Some(folder.join("history"))
}
