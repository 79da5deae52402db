//! One party of a bench: takes payloads from the bench, lets the group order them, and tells what its
//! subscriber sees. It ends with the socket to the bench, so that none outlives it.

use std::{
    io,
    os::{fd::AsFd, unix::net::UnixStream as Socket},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use maftia::faults::{self, FaultKind};
use maftia_core::stream::batch::Batch;
use serde::{Deserialize, Serialize};
use tokio::{
    net::{UnixStream, unix::OwnedReadHalf, unix::OwnedWriteHalf},
    sync::{mpsc, watch},
    time::{MissedTickBehavior, interval},
};

use super::{
    clock,
    echo::Counts,
    flags::{Durability, Engine, Fault},
    home::{Home, Reach},
    served::{self, Served},
    subscriber::Subscriber,
    word::{self, Order, Sample, Tale, Verdict},
};
use crate::exit::{Exit, Stop};

/// How often a party tells how it does.
pub(crate) const SAMPLE: Duration = Duration::from_millis(50);

/// Orders of the bench that wait for the party.
const ORDERS: usize = 4;

/// What a party is to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Role {
    /// The folder of the bench.
    pub(crate) folder: PathBuf,
    /// Its place in the group.
    pub(crate) party: u16,
    /// How many there are.
    pub(crate) n: u16,
    /// What it serves.
    pub(crate) serves: Serves,
    /// Where it remembers.
    pub(crate) durability: Durability,
    /// Who is faulty, if anybody, and how.
    pub(crate) faulty: Option<(u16, Fault)>,
}

/// What a party serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Serves {
    /// Payloads fanned out, and nothing agreed.
    Floor,
    /// A stream.
    Stream(Engine),
    /// A secure causal stream over one.
    Sealed(Engine),
    /// A service on a stream, for clients.
    Service(Engine),
}

/// The subscriber, as the thread of the party and that of the host share it.
#[derive(Clone)]
pub(crate) struct Eyes(Arc<Mutex<Subscriber>>);

impl Eyes {
    fn look(&self) -> MutexGuard<'_, Subscriber> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The party did not take these.
    pub(crate) fn refused(&self, payloads: u64) {
        self.look().refused(payloads);
    }

    /// The party says that it cannot follow.
    pub(crate) fn fell_behind(&self) {
        self.look().fell_behind();
    }

    /// Takes what is delivered.
    pub(crate) fn take(&self, batch: &Batch) {
        self.look().take(batch);
    }
}

/// `maftia bench party`: a party whose bench is at the other end of standard input.
pub(crate) fn run(role: &str) -> Result<Exit, Stop> {
    let wrong = |error: String| Stop::new(Exit::Failed, error, "`maftia bench stream` starts it");
    let role: Role = serde_json::from_str(role).map_err(|error| wrong(error.to_string()))?;
    let socket = io::stdin().as_fd().try_clone_to_owned().map(Socket::from);
    let socket = socket.map_err(|error| wrong(error.to_string()))?;
    maftia::run(live(role, socket, Reach::Network)).map(|()| Exit::Fine)
}

/// Lives until the bench has heard the verdict, or is gone.
pub(crate) async fn live(role: Role, socket: Socket, reach: Reach) -> Result<(), Stop> {
    let gone = |error: io::Error| Stop::new(Exit::Io, format!("the bench is gone: {error}"), "");
    socket.set_nonblocking(true).map_err(gone)?;
    let (reader, mut writer) = UnixStream::from_std(socket).map_err(gone)?.into_split();
    let served = match Host::start(role, reach).await {
        Ok(mut host) => {
            let served = host.serve(reader, &mut writer).await.map_err(gone);
            host.served.stop();
            served
        }
        Err(stop) => Err(stop),
    };
    if let Err(stop) = &served {
        // If the bench is gone, nobody wants to know.
        let _ = word::tell(&mut writer, &Tale::Failed(stop.message.clone())).await;
    }
    served
}

/// A party and who looks at it.
struct Host {
    role: Role,
    home: Home,
    eyes: Eyes,
    settled: watch::Receiver<u64>,
    served: Box<dyn Served>,
    /// When the fault of this party strikes, and which it is.
    strike: Option<(u64, Fault)>,
}

impl Host {
    async fn start(role: Role, reach: Reach) -> Result<Self, Stop> {
        let home = Home::of_party(&role.folder, role.party, reach)?;
        let faulty = role.faulty.map(|(party, _)| party);
        let eyes = Eyes(Arc::new(Mutex::new(Subscriber::new(role.n, faulty))));
        let (settle, settled) = watch::channel(0);
        let served = served::open(&role, &home, eyes.clone(), settle).await?;
        Ok(Self { role, home, eyes, settled, served, strike: None })
    }

    /// Does what the bench says. Returns when all is said, or with the error of the socket.
    async fn serve(
        &mut self,
        reader: OwnedReadHalf,
        writer: &mut OwnedWriteHalf,
    ) -> io::Result<()> {
        word::tell(writer, &Tale::Ready).await?;
        let (sender, mut orders) = mpsc::channel(ORDERS);
        let reading = tokio::task::spawn_local(read(reader, sender));
        let mut ticks = interval(SAMPLE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut settled = self.settled.clone();
        let mut stopped = self.served.stopped();
        loop {
            let strike = self.strike;
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Begin { from, until }) => self.begin(from, until),
                    Some(Order::Submit(batch)) => self.served.submit(batch).await,
                    Some(Order::Forward(ciphertext)) => self.served.forward(ciphertext).await,
                    Some(Order::Finish(sent)) => {
                        let verdict = Box::new(self.verdict(&sent).await);
                        word::tell(writer, &Tale::Verdict(verdict)).await?;
                    }
                    None => break,
                },
                Ok(()) = settled.changed() => {
                    let settled = *settled.borrow_and_update();
                    word::tell(writer, &Tale::Settled(settled)).await?;
                }
                _ = ticks.tick() => {
                    let sample = self.sample().await;
                    word::tell(writer, &Tale::Sample(sample)).await?;
                }
                () = tokio::time::sleep(clock::until(strike.map_or(0, |(at, _)| at))),
                    if strike.is_some() => {
                    if self.fail() {
                        break;
                    }
                }
                why = &mut stopped => {
                    word::tell(writer, &Tale::Failed(why)).await?;
                    break;
                }
            }
        }
        reading.abort();
        Ok(())
    }

    fn begin(&mut self, from: u64, until: u64) {
        self.eyes.look().measure(from..until);
        let faulty = self.role.faulty.filter(|(party, _)| *party == self.role.party);
        self.strike = faulty.map(|(_, fault)| (from, fault));
    }

    async fn sample(&self) -> Sample {
        let (mut delivered, slowest_us) = self.eyes.look().look();
        if let Some(counts) = self.served.counts().await {
            delivered = counts.applied;
        }
        Sample { at: clock::now(), delivered, cpu: clock::process_cpu(), slowest_us }
    }

    async fn verdict(&self, sent: &[u64]) -> Verdict {
        let Some(counts) = self.served.counts().await else {
            return self.eyes.look().verdict(sent);
        };
        let Counts { applied, gaps, again, order } = counts;
        Verdict {
            gaps: gaps + sent.iter().sum::<u64>().saturating_sub(applied),
            duplicates: again,
            delivered: applied,
            order,
            peak_bytes: clock::peak_bytes(),
            ..Verdict::default()
        }
    }

    /// The fault strikes. Whether this is the end.
    fn fail(&mut self) -> bool {
        let Some((_, fault)) = self.strike.take() else { return false };
        let kind = match fault {
            Fault::None => return false,
            Fault::Crash => return true,
            Fault::Mute => FaultKind::Mute,
            Fault::Delay => FaultKind::Delay,
            Fault::Equivocate => FaultKind::Equivocate,
            Fault::CorruptReply => FaultKind::CorruptReply,
            Fault::Forge => FaultKind::Forge,
            Fault::Replay => FaultKind::Replay,
            Fault::WithholdShares => FaultKind::WithholdShares,
        };
        if let Some(lab) = self.served.lab() {
            faults::set(lab, kind, self.home.seat());
        }
        false
    }
}

/// Reads what the bench says until it says no more.
async fn read(mut reader: OwnedReadHalf, orders: mpsc::Sender<Order>) {
    while let Ok(order) = word::listen(&mut reader).await {
        if orders.send(order).await.is_err() {
            return;
        }
    }
}
