//! The parties of one run, each a process of its own or a thread of this one, in a folder that goes
//! with them.

use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, Shutdown, TcpListener, UdpSocket},
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream as Socket, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use maftia_actors::{dealer, link::memory::Hub};
use serde::Serialize;
use tempfile::TempDir;

use super::{
    flags::{self, Cipher, Fault, Link},
    home::{self, Reach},
    host::{self, Role, Serves},
    plan::{self, Plan},
    word::{self, Order, Sample, Tale, Verdict},
};
use crate::{
    exit::{Exit, Stop},
    itself,
};

/// How long a party may take until it runs.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// How long a party may take to end before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// How often those who wait look whether they wait in vain.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// How much of what a party said is repeated when it died.
const TAIL: usize = 1_000;

/// The first port that is tried.
const PORTS_FROM: u16 = 10_000;

/// What the threads that serve the load are called, so that their CPU time can be told apart.
pub(crate) const LOAD: &str = "load";

/// What a party has told.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    ready: bool,
    pub(crate) settled: u64,
    pub(crate) samples: Vec<Sample>,
    pub(crate) verdict: Option<Verdict>,
    failed: Option<String>,
    gone: bool,
}

/// What a party has told, and a bell for those who wait for more.
#[derive(Debug, Default)]
pub(crate) struct News {
    heard: Mutex<Heard>,
    more: Condvar,
}

impl News {
    /// What it has told so far.
    pub(crate) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for more, but not for long.
    pub(crate) fn wait(&self, least: impl Fn(&Heard) -> bool) {
        let more = self.more.wait_timeout_while(self.heard(), LOOK, |heard| !least(heard));
        drop(more);
    }

    /// Notes what comes until nothing comes any more.
    fn listen(&self, mut socket: Socket) {
        while let Ok(tale) = word::hear(&mut socket) {
            let mut heard = self.heard();
            match tale {
                Tale::Ready => heard.ready = true,
                Tale::Settled(settled) => heard.settled = settled,
                Tale::Sample(sample) => heard.samples.push(sample),
                Tale::Verdict(verdict) => heard.verdict = Some(*verdict),
                Tale::Failed(why) => heard.failed = Some(why),
            }
            self.more.notify_all();
        }
        self.heard().gone = true;
        self.more.notify_all();
    }
}

/// One party, from outside.
pub(crate) struct Member {
    name: String,
    log: PathBuf,
    /// It may end by itself: that is its fault.
    mortal: bool,
    pub(crate) socket: Socket,
    pub(crate) news: Arc<News>,
    body: Body,
}

/// What a party lives in.
enum Body {
    Process(Child),
    Thread(Option<JoinHandle<()>>),
}

/// All parties of a run. Dropped, it ends them and clears their folder away.
pub(crate) struct Fleet {
    pub(crate) members: Vec<Member>,
    pub(crate) folder: TempDir,
    pub(crate) reach: Reach,
}

impl Fleet {
    /// Deals keys, starts everybody, and waits until all run.
    pub(crate) fn start(
        plan: &Plan,
        serves: Serves,
        signal: &mpsc::Receiver<()>,
    ) -> Result<Self, Stop> {
        let folder = dealt(plan.n, plan.clients(), plan.link, plan.secure)?;
        let reach = if plan.in_process { Reach::Memory(Hub::new()) } else { Reach::Network };
        let mut fleet = Self { members: Vec::new(), folder, reach };
        for party in 0..plan.n {
            let role = Role {
                folder: fleet.folder.path().into(),
                party,
                n: plan.n,
                serves,
                durability: plan.durability,
                faulty: plan.faulty().filter(|_| serves != Serves::Floor),
            };
            fleet.members.push(Member::start(role, &fleet.reach)?);
        }
        fleet.wait(signal, READY_WITHIN, |heard| heard.ready)?.then_some(fleet).ok_or_else(|| {
            Stop::new(Exit::Failed, "the parties did not start in time", "the machine is too busy")
        })
    }

    /// Says something to everybody.
    pub(crate) fn say(&self, order: &Order) {
        for member in &self.members {
            // A party that has ended is noticed by whoever waits for it.
            let _ = word::say(&mut &member.socket, order);
        }
    }

    /// Waits until this holds for everybody who is not faulty. False when time is out; an error when
    /// somebody has died, or at a signal.
    pub(crate) fn wait(
        &self,
        signal: &mpsc::Receiver<()>,
        within: Duration,
        done: impl Fn(&Heard) -> bool,
    ) -> Result<bool, Stop> {
        let until = Instant::now() + within;
        loop {
            let good = || self.members.iter().filter(|member| !member.mortal);
            if good().all(|member| done(&member.news.heard())) {
                return Ok(true);
            }
            self.check(signal)?;
            if Instant::now() >= until {
                return Ok(false);
            }
            thread::sleep(LOOK);
        }
    }

    /// An error when somebody has died, or a signal came.
    pub(crate) fn check(&self, signal: &mpsc::Receiver<()>) -> Result<(), Stop> {
        if signal.try_recv() != Err(mpsc::TryRecvError::Empty) {
            return Err(Stop::new(Exit::Interrupted, "interrupted", ""));
        }
        self.members.iter().find_map(Member::death).map_or(Ok(()), Err)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for member in &self.members {
            // It may have ended by itself.
            let _ = member.socket.shutdown(Shutdown::Both);
        }
        let until = Instant::now() + STOP_WITHIN;
        self.members.iter_mut().for_each(|member| member.body.end(until));
    }
}

impl Member {
    fn start(role: Role, reach: &Reach) -> io::Result<Self> {
        let name = format!("{}[{}]", home::GROUP, role.party);
        let log = role.folder.join(format!("{}.log", role.party));
        let mortal = role.faulty.is_some_and(|faulty| faulty == (role.party, Fault::Crash));
        let (socket, theirs) = Socket::pair()?;
        let body = match reach {
            Reach::Network => Body::Process(spawn("party", &role, File::create(&log)?, theirs)?),
            Reach::Memory(_) => {
                let (party, reach) = (format!("party {}", role.party), reach.clone());
                let live = move || {
                    // What goes wrong is told over the socket.
                    let _ = maftia::run(host::live(role, theirs, reach));
                };
                Body::Thread(Some(thread::Builder::new().name(party).spawn(live)?))
            }
        };
        let (news, hearing) = (Arc::new(News::default()), socket.try_clone()?);
        let told = Arc::clone(&news);
        thread::Builder::new().name(format!("{LOAD} ear")).spawn(move || told.listen(hearing))?;
        Ok(Self { name, log, mortal, socket, news, body })
    }

    /// Why it is dead, if it is and should not be.
    fn death(&self) -> Option<Stop> {
        let heard = self.news.heard();
        if self.mortal || !(heard.gone || heard.failed.is_some()) {
            return None;
        }
        let why = heard.failed.clone().unwrap_or_else(|| "its process ended".to_owned());
        Some(died(&self.name, &why, &self.log))
    }
}

/// A party died, of which this is the log.
pub(crate) fn died(name: &str, why: &str, log: &Path) -> Stop {
    let said = fs::read_to_string(log).unwrap_or_default();
    let from = said.floor_char_boundary(said.len().saturating_sub(TAIL));
    let message = format!("{name} died: {why}\n{}", said[from..].trim_end());
    Stop::new(Exit::Failed, message.trim_end(), "the figures would mean nothing")
}

impl Body {
    fn end(&mut self, until: Instant) {
        match self {
            Self::Thread(thread) => {
                // A party that panicked has said so.
                let _ = thread.take().map(JoinHandle::join);
            }
            Self::Process(child) => {
                while matches!(child.try_wait(), Ok(None)) && Instant::now() < until {
                    thread::sleep(LOOK / 4);
                }
                // Who has stopped cannot be killed, which is what was wanted.
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

/// A folder with the configuration and the keys of a group and its clients.
pub(crate) fn dealt(
    n: u16,
    clients: u16,
    link: Link,
    cipher: Option<Cipher>,
) -> Result<TempDir, Stop> {
    let folder = tempfile::Builder::new().prefix("maftia-bench-").tempdir()?;
    let config = home::config_path(folder.path());
    fs::write(&config, configuration(n, clients, link, cipher)?)?;
    dealer::deal(&config, &home::keys_path(folder.path()))
        .map_err(|error| Stop::new(Exit::Failed, error.to_string(), ""))?;
    Ok(folder)
}

/// Starts a party in a process of its own. It does not get the signals of the terminal: it ends with
/// the socket.
pub(crate) fn spawn<R: Serialize>(
    task: &str,
    role: &R,
    log: File,
    socket: Socket,
) -> io::Result<Child> {
    let role = serde_json::to_string(role)?;
    let mut command = Command::new(itself::program()?);
    command.args(["bench", task, &role]).process_group(0);
    command.stdin(OwnedFd::from(socket)).stdout(Stdio::null()).stderr(log).spawn()
}

/// A group of this size on free ports.
fn configuration(n: u16, clients: u16, link: Link, cipher: Option<Cipher>) -> io::Result<String> {
    let ports = free_ports(usize::from(n))?;
    let members: Vec<_> = ports.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
    let clients = (0..super::clients::desks(clients))
        .map(|client| format!("\"{}\"", home::client_name(client)));
    let cipher = cipher.map_or(String::new(), |cipher| {
        format!(
            "[schemes]
cipher = \"{}\"

",
            flags::word(cipher)
        )
    });
    Ok(format!(
        "link = \"{}\"\n\n{cipher}[clients]\nnames = [{}]\n\n[[group]]\nname = \"{}\"\nservice = \"transactions\"\n\
         faults = {}\nmembers = [{}]\n",
        flags::word(link),
        clients.collect::<Vec<_>>().join(", "),
        home::GROUP,
        plan::faults(n),
        members.join(", ")
    ))
}

/// Ports that are free now and are not among those that the kernel gives to whoever dials.
fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let end = range.split_whitespace().next().and_then(|low| low.parse().ok()).unwrap_or(32_768);
    // Several benches at a time shall not try the same ones.
    let span = end.max(PORTS_FROM + 1_000) - PORTS_FROM;
    let first = (std::process::id() * 97 % u32::from(span)) as u16;
    let all = (0..span).map(|at| PORTS_FROM + (first + at) % span);
    let free = all
        .map(|port| (Ipv4Addr::LOCALHOST, port))
        .filter(|address| TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok());
    let ports: Vec<_> = free.take(count).map(|(_, port)| port).collect();
    if ports.len() < count {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "no free ports are left"));
    }
    Ok(ports)
}
