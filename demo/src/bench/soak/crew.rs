//! The parties of a soak, from outside: each a process that is killed and started again, with a
//! generator of payloads for each of its lives.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::net::UnixStream as Socket,
    path::{Path, PathBuf},
    process::Child,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use maftia_core::stream::atomic::Position;

use super::words::{Order, Role, Seen, Tale};
use crate::{
    bench::{
        clock,
        fleet::{self, News},
        home::GROUP,
        load::{Generator, Pace, Sent},
        word,
    },
    exit::Stop,
};

/// What a party has told since it was asked last.
#[derive(Default)]
pub(super) struct Heard {
    /// When it had read its log, on [`clock::now`].
    pub(super) ready: Option<u64>,
    /// The last that its subscriber saw.
    pub(super) seen: Option<Seen>,
    pub(super) windows: Vec<(u64, u64)>,
    pub(super) slowest_us: u64,
    pub(super) places: Vec<Position>,
    pub(super) behind: bool,
    failed: Option<String>,
}

impl Heard {
    fn note(&mut self, tale: Tale) {
        match tale {
            Tale::Ready => self.ready = Some(clock::now()),
            Tale::Seen(seen) => {
                self.windows.extend(&seen.windows);
                self.slowest_us = self.slowest_us.max(seen.slowest_us);
                self.seen = Some(*seen);
            }
            Tale::Place(place) => self.places.push(*place),
            Tale::Behind => self.behind = true,
            Tale::Failed(why) => self.failed = Some(why),
        }
    }
}

/// A generator at work.
struct Load {
    news: Arc<News>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Sent>,
}

/// A party that runs.
pub(super) struct Hand {
    party: u16,
    log: PathBuf,
    child: Child,
    socket: Arc<Mutex<Socket>>,
    heard: Arc<Mutex<Heard>>,
    load: Option<Load>,
}

/// What a generator sends, and how fast.
#[derive(Clone, Copy)]
pub(super) struct Stint {
    pub(super) number: u64,
    pub(super) size: usize,
    pub(super) pace: Pace,
    pub(super) window: u64,
    pub(super) from: u64,
    pub(super) until: u64,
}

impl Hand {
    /// Starts a process for the party.
    pub(super) fn start(role: &Role) -> io::Result<Self> {
        let log = role.folder.join(format!("{}.log", role.party));
        let (socket, theirs) = Socket::pair()?;
        let stderr = OpenOptions::new().create(true).append(true).open(&log)?;
        let child = fleet::spawn("soaked", role, stderr, theirs)?;
        let (heard, mut hearing) = (Arc::new(Mutex::new(Heard::default())), socket.try_clone()?);
        let told = Arc::clone(&heard);
        let listen = move || {
            while let Ok(tale) = word::hear(&mut hearing) {
                lock(&told).note(tale);
            }
            lock(&told).failed.get_or_insert_with(|| "its process ended".to_owned());
        };
        thread::Builder::new().name(format!("{} ear", fleet::LOAD)).spawn(listen)?;
        let socket = Arc::new(Mutex::new(socket));
        Ok(Self { party: role.party, log, child, socket, heard, load: None })
    }

    /// Lets a generator send to it.
    pub(super) fn load(&mut self, stint: Stint) -> io::Result<()> {
        let (news, stop) = (Arc::<News>::default(), Arc::<AtomicBool>::default());
        let socket = Arc::clone(&self.socket);
        let generator = Generator {
            number: stint.number,
            size: stint.size,
            pace: Some(stint.pace),
            window: stint.window,
            way: Box::new(move |batch| word::say(&mut &*lock(&socket), &Order::Submit(batch))),
            news: Arc::clone(&news),
            stop: Arc::clone(&stop),
            hold: Arc::default(),
            sealed: false,
        };
        let thread = thread::Builder::new().name(fleet::LOAD.to_owned());
        let thread = thread.spawn(move || generator.run(stint.from..stint.until))?;
        self.load = Some(Load { news, stop, thread });
        Ok(())
    }

    /// So many payloads of its generator are delivered.
    pub(super) fn settle(&self, settled: u64) {
        if let Some(load) = &self.load {
            load.news.heard().settled = settled;
        }
    }

    /// Whether its generator has sent all it should.
    pub(super) fn is_spent(&self) -> bool {
        self.load.as_ref().is_none_or(|load| load.thread.is_finished())
    }

    /// Says something to it.
    pub(super) fn say(&self, order: &Order) {
        // A party that has ended is noticed by whoever looks at it.
        let _ = word::say(&mut &*lock(&self.socket), order);
    }

    /// What it has told.
    pub(super) fn heard(&self) -> MutexGuard<'_, Heard> {
        lock(&self.heard)
    }

    /// Why it is dead, if it is.
    pub(super) fn death(&self) -> Option<Stop> {
        let why = self.heard().failed.clone()?;
        Some(fleet::died(&format!("{GROUP}[{}]", self.party), &why, &self.log))
    }

    /// The memory that its process holds, in bytes.
    pub(super) fn resident(&self) -> u64 {
        clock::resident_bytes(self.child.id())
    }

    /// Ends its generator. What that sent.
    pub(super) fn relieve(&mut self) -> Sent {
        self.load.take().map_or_else(Sent::default, |load| {
            load.stop.store(true, Ordering::Relaxed);
            // A generator that panicked shows as payloads that nobody sent.
            load.thread.join().unwrap_or_default()
        })
    }

    /// Kills its process, without any warning. What its generator sent.
    pub(super) fn kill(mut self) -> Sent {
        self.end();
        self.relieve()
    }

    fn end(&mut self) {
        // Who has stopped cannot be killed, which is what was wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        self.end();
        self.relieve();
    }
}

/// The bytes of all files in a folder.
pub(super) fn folder_bytes(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    // A segment may be removed between being listed and being looked at.
    files.filter_map(|file| file.metadata().ok()).map(|meta| meta.len()).sum()
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
