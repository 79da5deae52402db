//! `maftia up`: every party of a configuration as its own local process, on a leash.
//!
//! A party holds the reading end of a pipe and stops when it is closed, so that none outlives this
//! process, however it ends. What a party says goes to a log of its own.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use maftia_core::{
    config::{Address, Config},
    id::PartyId,
};
use serde::Serialize;

use crate::{
    cli::Up,
    exit::{Exit, Stop},
    itself, render, screen, settings, signals,
};

/// How often the processes are looked at.
const LOOK: Duration = Duration::from_millis(200);

/// How long a party may take until it listens: it may have a long log to read.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// How long a party may take to stop before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// The pause before a party is started again, which doubles up to a minute.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_mins(1);

/// How much of the end of a log is shown when its party fails to start.
const TAIL: usize = 2_000;

/// A party that is to run.
#[derive(Clone, Debug)]
struct Party {
    name: String,
    key: PathBuf,
    address: Address,
    log: PathBuf,
}

/// A party that runs, or has.
struct Process {
    party: Party,
    child: Child,
    ready: mpsc::Receiver<()>,
    over: bool,
    again_at: Option<Instant>,
    pause: Duration,
}

/// A line about a party that runs.
#[derive(Debug, Serialize)]
struct Row<'a> {
    party: &'a str,
    pid: u32,
    addr: String,
    log: &'a Path,
}

/// Runs all parties until a signal comes.
pub(crate) fn run(up: &Up) -> Result<Exit, Stop> {
    let config = settings::read(&up.source.config)?;
    let logs = up.logs.clone().unwrap_or_else(|| beside(&up.keys));
    fs::create_dir_all(&logs).map_err(|error| Stop::file(&logs, "make the folder", &error))?;
    let mut fleet = Fleet { up, processes: Vec::new() };
    for party in parties(&config, &up.keys, &logs) {
        settings::ring(&config, &party.key)?;
        let process = fleet.spawn(party)?;
        fleet.processes.push(process);
    }
    fleet.processes.iter_mut().try_for_each(Process::wait_until_ready)?;
    fleet.show()?;
    screen::talk("Ctrl-C stops them all\n")?;
    fleet.watch()
}

/// The folder for logs if none is named.
fn beside(keys: &Path) -> PathBuf {
    keys.parent().unwrap_or(Path::new("")).join("logs")
}

fn parties(config: &Config, keys: &Path, logs: &Path) -> Vec<Party> {
    let members = config.groups().iter().flat_map(|group| {
        PartyId::all(group.thresholds.n()).zip(&group.members).map(move |(party, address)| {
            let file = format!("{}-{}", group.name, party.index());
            Party {
                name: group.member_name(party),
                key: keys.join(format!("{file}.key")),
                address: address.clone(),
                log: logs.join(format!("{file}.log")),
            }
        })
    });
    members.collect()
}

/// All processes. Dropped, it stops them.
struct Fleet<'a> {
    up: &'a Up,
    processes: Vec<Process>,
}

impl Fleet<'_> {
    fn spawn(&self, party: Party) -> Result<Process, Stop> {
        let log = open_log(&party.log)?;
        let program = itself::program()
            .map_err(|error| Stop::new(Exit::Io, format!("cannot find itself: {error}"), ""))?;
        let mut command = Command::new(&program);
        command.arg("node").arg("--leashed");
        command.arg("--config").arg(&self.up.source.config).arg("--keys").arg(&party.key);
        command.env("MAFTIA_LAB", if self.up.lab { "true" } else { "false" });
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().map_err(|error| Stop::file(&program, "start", &error))?;
        let (sender, ready) = mpsc::channel();
        let out = child.stdout.take().expect("it was asked for");
        thread::spawn(move || read_on(out, &sender));
        Ok(Process { party, child, ready, over: false, again_at: None, pause: PAUSE })
    }

    /// Starts a party again, and waits until it listens.
    fn start(&self, party: Party) -> Result<Process, Stop> {
        let mut process = self.spawn(party)?;
        process.wait_until_ready().map(|()| process)
    }

    /// Says what runs.
    fn show(&self) -> Result<(), Stop> {
        let rows = self.processes.iter().map(|process| process.row());
        if self.up.json {
            rows.map(|row| row.json()).try_for_each(|line| screen::data(&line))?;
            return Ok(());
        }
        let words = rows.map(|row| {
            let log = row.log.display().to_string();
            vec![row.party.to_owned(), row.pid.to_string(), row.addr, log]
        });
        Ok(screen::data(&render::table(&["PARTY", "PID", "ADDRESS", "LOG"], words))?)
    }

    /// Looks after the processes until a signal comes, or until all have ended.
    fn watch(&mut self) -> Result<Exit, Stop> {
        let signal = signals::watch()?;
        loop {
            if signal.recv_timeout(LOOK) != Err(mpsc::RecvTimeoutError::Timeout) {
                screen::talk("stopping\n")?;
                return Ok(Exit::Fine);
            }
            for place in 0..self.processes.len() {
                self.look_at(place)?;
            }
            if !self.up.restart && self.processes.iter().all(|process| process.over) {
                let help = "their logs say why; `maftia node` starts one of them again";
                return Err(Stop::new(Exit::Failed, "all parties have ended", help));
            }
        }
    }

    fn look_at(&mut self, place: usize) -> Result<(), Stop> {
        let process = &mut self.processes[place];
        if !process.over
            && let Ok(Some(status)) = process.child.try_wait()
        {
            process.over = true;
            process.again_at = self.up.restart.then(|| Instant::now() + process.pause);
            let Party { name, log, .. } = &process.party;
            screen::talk(&format!("{name} has ended ({status}); see {}\n", log.display()))?;
        }
        if process.again_at.is_some_and(|at| at <= Instant::now()) {
            let (party, pause) = (process.party.clone(), process.pause);
            self.restart(place, party, (pause * 2).min(PAUSE_MAX))?;
        }
        Ok(())
    }

    fn restart(&mut self, place: usize, party: Party, pause: Duration) -> Result<(), Stop> {
        match self.start(party) {
            Ok(process) => {
                self.processes[place] = Process { pause, ..process };
                let row = self.processes[place].row();
                if self.up.json {
                    screen::data(&row.json())?;
                } else {
                    screen::talk(&format!("{} runs again, pid {}\n", row.party, row.pid))?;
                }
            }
            Err(stop) => {
                screen::talk(&stop.to_string())?;
                let process = &mut self.processes[place];
                (process.pause, process.again_at) = (pause, Some(Instant::now() + pause));
            }
        }
        Ok(())
    }
}

impl Drop for Fleet<'_> {
    /// Lets go of all leashes, then kills who does not stop.
    fn drop(&mut self) {
        for process in &mut self.processes {
            drop(process.child.stdin.take());
        }
        let until = Instant::now() + STOP_WITHIN;
        for process in self.processes.iter_mut().filter(|process| !process.over) {
            while matches!(process.child.try_wait(), Ok(None)) && Instant::now() < until {
                thread::sleep(LOOK / 10);
            }
            // Who has stopped cannot be killed, which is what was wanted.
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

impl Process {
    fn wait_until_ready(&mut self) -> Result<(), Stop> {
        if self.ready.recv_timeout(READY_WITHIN).is_ok() {
            return Ok(());
        }
        // It closed its output without a word, or took too long.
        let _ = self.child.kill();
        let status = self.child.wait().ok();
        Err(failed_to_start(&self.party, status))
    }

    fn row(&self) -> Row<'_> {
        Row {
            party: &self.party.name,
            pid: self.child.id(),
            addr: self.party.address.to_string(),
            log: &self.party.log,
        }
    }
}

impl Row<'_> {
    fn json(&self) -> String {
        format!("{}\n", serde_json::to_string(self).expect("a row has string keys only"))
    }
}

/// Tells of the first line, and reads the rest so that the party never blocks on its output.
fn read_on(out: impl Read, ready: &mpsc::Sender<()>) {
    let mut out = BufReader::new(out);
    let mut line = String::new();
    while matches!(out.read_line(&mut line), Ok(read) if read > 0) {
        // After the first line nobody listens.
        let _ = ready.send(());
        line.clear();
    }
}

fn open_log(path: &Path) -> Result<File, Stop> {
    let open = OpenOptions::new().create(true).append(true).open(path);
    open.map_err(|error| Stop::file(path, "open the log", &error))
}

/// What a party said before it failed to start is what its user needs.
fn failed_to_start(party: &Party, status: Option<ExitStatus>) -> Stop {
    let exit = match status.and_then(|status| status.code()) {
        Some(74) => Exit::Io,
        Some(77) => Exit::Keys,
        Some(78) => Exit::Configuration,
        _ => Exit::Failed,
    };
    let text = fs::read_to_string(&party.log).unwrap_or_default();
    let from = text.len().saturating_sub(TAIL);
    let from = (from..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    let said = text[from..].trim_end();
    let message = format!("{} did not start; its log ends with\n{said}", party.name);
    Stop::new(exit, message, format!("all of it is in {}", party.log.display()))
}
