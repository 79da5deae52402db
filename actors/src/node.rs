//! From a plan to a running party, on an arbiter of its own, and back to an ordered stop.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use actix_rt::Arbiter;
use bytes::Bytes;
use maftia_core::{
    crypto::Digest,
    protocol::Protocol,
    seat::{Owner, Seat},
    tree::Tree,
};
use tokio::sync::{mpsc, oneshot, watch};

pub use crate::link::{Network, Sockets};
use crate::{
    heap,
    link::{Guests, Lab, Links, ListenError, Passport},
    log::{Disk, Log, LogError, Recovered, Store},
    party::{Control, Party, Setup, StartError, Started, State},
    placement::Placement,
    pool::Pool,
    pulse::Pulse,
};

/// Commands that may wait for a party's thread: a console and a watcher each have one.
const COMMANDS: usize = 64;

/// Where a party remembers.
#[derive(Clone, Debug)]
pub enum Durability {
    /// In this process: a crash of the process loses it.
    Memory(Store),
    /// In a folder.
    Disk {
        /// Which one.
        folder: PathBuf,
        /// Whether a record counts when the disk has it, or when the operating system has it.
        sync: bool,
    },
}

/// Everything that makes a party.
pub struct Plan<P: Protocol> {
    /// Where its root sits, with its keys.
    pub seat: Seat,
    /// What its root is made of.
    pub spec: P::Spec,
    /// The digest of the configuration that all share.
    pub network_id: Digest,
    /// Everybody whom the configuration names.
    pub known: Arc<BTreeSet<Owner>>,
    /// Its public key, for listeners that do not know it.
    pub key: Option<Bytes>,
    /// Judges clients whom the configuration does not name. `None`: they are refused.
    pub guests: Option<Guests>,
    /// Where it remembers.
    pub durability: Durability,
    /// How it reaches its peers.
    pub network: Network,
    /// Where its heavy jobs are done.
    pub pool: Pool,
    /// Which kinds get actors of their own.
    pub placement: Placement,
    /// Takes the outputs of the root, on the party's thread.
    pub outputs: Box<dyn Fn(P::Output) + Send>,
    /// Takes the frames for the node itself, on the party's thread.
    pub control: Control<P>,
    /// What happens when a handler does not come back. The name of the instance is given.
    pub frozen: Frozen,
}

/// What happens when a handler does not come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frozen {
    /// The party is cut off; the process goes on. For parties that share a process.
    Fence,
    /// The process ends: a stuck thread cannot be cured from inside.
    Exit,
}

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Its log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Its listener.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Its past.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Its thread ended before it began.
    #[error("the party's thread ended before the party began")]
    Thread,
}

/// The node does not answer: its party stopped or its thread is stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the party has stopped")]
pub struct Stopped;

type Command<P> = Box<dyn FnOnce(&Started<P>) + Send>;

/// A party on an arbiter of its own. Usable from any thread.
pub struct Node<P: Protocol> {
    owner: Owner,
    arbiter: Arbiter,
    commands: mpsc::Sender<Command<P>>,
    state: watch::Receiver<State>,
    lab: Arc<Lab>,
    leave: mpsc::Sender<(Duration, oneshot::Sender<()>)>,
}

impl<P: Protocol> Node<P> {
    /// Starts a party. Needs a running actix system.
    pub async fn start(plan: Plan<P>) -> Result<Self, NodeError> {
        heap::keep();
        let owner = plan.seat.owner;
        let (log, recovered) = open_log(&plan)?;
        let arbiter = Arbiter::new();
        let (ready, started) = oneshot::channel();
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let (leave, leaving) = mpsc::channel(1);
        arbiter.spawn_fn(move || {
            actix_rt::spawn(live(plan, log, recovered, ready, inbox, leaving));
        });
        let (state, lab) = started.await.map_err(|_| NodeError::Thread)??;
        Ok(Self { owner, arbiter, commands, state, lab, leave })
    }

    /// Who this is.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// What the party is doing.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// What the party is doing, as it changes.
    pub fn states(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// The faults of the party, for laboratories.
    pub fn lab(&self) -> &Arc<Lab> {
        &self.lab
    }

    /// Asks the root something. Waits while the party's thread has other commands to take.
    pub async fn ask(&self, input: P::Input) -> Result<(), Stopped> {
        self.with_party(move |started| {
            // A full mailbox spills: an application's question is mail from inside.
            started.root.ask(input);
        })
        .await
    }

    /// Looks at the root's tree on the party's thread; in a laboratory, bends it.
    pub async fn with<R: Send + 'static>(
        &self,
        look: impl FnOnce(&mut Tree<P>) -> R + Send + 'static,
    ) -> Result<R, Stopped> {
        self.with_party(move |started| started.with(look)).await?.ok_or(Stopped)
    }

    /// Looks at the party on its thread.
    pub async fn with_party<R: Send + 'static>(
        &self,
        look: impl FnOnce(&Started<P>) -> R + Send + 'static,
    ) -> Result<R, Stopped> {
        let (tell, told) = oneshot::channel();
        let command: Command<P> = Box::new(move |started| {
            // Whoever asked may have given up.
            let _ = tell.send(look(started));
        });
        self.commands.send(command).await.map_err(|_| Stopped)?;
        told.await.map_err(|_| Stopped)
    }

    /// Finishes what is under way, says good-bye, and stops. After `grace` it stops anyway.
    pub async fn leave(self, grace: Duration) {
        let (done, gone) = oneshot::channel();
        if self.leave.send((grace, done)).await.is_ok() {
            // The party's thread may end before it answers; then it is gone all the same.
            let _ = tokio::time::timeout(grace + Duration::from_secs(1), gone).await;
        }
        self.arbiter.stop();
    }

    /// Ends at once, as a crash would: nothing is finished, nobody is told.
    pub fn crash(self) {
        self.lab.cut(true);
        self.arbiter.stop();
    }
}

/// Opens the log of a party. What it said under other keys, or to whom the configuration did not
/// name, is not for it to go on from.
fn open_log<P: Protocol>(plan: &Plan<P>) -> Result<(Box<dyn Log>, Recovered), LogError> {
    Ok(match &plan.durability {
        Durability::Memory(store) => {
            let (log, recovered) = store.open();
            (Box::new(log), recovered)
        }
        Durability::Disk { folder, sync } => {
            let owner = plan.seat.owner.seen_from(None);
            let name = format!("{owner} of network {}", plan.network_id);
            let (log, recovered) = Disk::open(folder, &name, *sync)?;
            (Box::new(log), recovered)
        }
    })
}

/// What is told to whoever starts a node.
type Ready = oneshot::Sender<Result<(watch::Receiver<State>, Arc<Lab>), NodeError>>;

async fn live<P: Protocol>(
    plan: Plan<P>,
    log: Box<dyn Log>,
    recovered: Recovered,
    ready: Ready,
    inbox: mpsc::Receiver<Command<P>>,
    leaving: mpsc::Receiver<(Duration, oneshot::Sender<()>)>,
) {
    match begin(plan, log, recovered).await {
        Ok(started) => {
            let told = ready.send(Ok((started.state(), started.party.links().lab())));
            if told.is_ok() {
                serve(started, inbox, leaving).await;
            }
        }
        Err(error) => {
            // Whoever asked may have gone; then nobody wants the reason.
            let _ = ready.send(Err(error));
        }
    }
}

async fn begin<P: Protocol>(
    plan: Plan<P>,
    log: Box<dyn Log>,
    recovered: Recovered,
) -> Result<Started<P>, NodeError> {
    let Plan { seat, spec, pool, placement, outputs, control, frozen, .. } = plan;
    let passport = Passport {
        me: seat.owner,
        identity: Arc::clone(&seat.keys.identity),
        network: plan.network_id,
        known: plan.known,
        key: plan.key,
        guests: plan.guests,
    };
    let bound = plan.network.bind(&passport).await?;
    let links = Links::new(passport);
    let setup = Setup {
        seat,
        spec,
        log,
        recovered,
        links: links.clone(),
        pool,
        placement,
        outputs,
        control,
    };
    let started = Party::start(setup)?;
    watch_over(frozen, &started.pulse(), links.lab());
    links.open(bound, started.receive());
    Ok(started)
}

fn watch_over(frozen: Frozen, pulse: &Arc<Pulse>, lab: Arc<Lab>) {
    pulse.watch(crate::pulse::FROZEN_AFTER, move |instance| {
        tracing::error!(%instance, "a handler does not come back");
        match frozen {
            Frozen::Fence => lab.cut(true),
            Frozen::Exit => std::process::exit(70),
        }
    });
}

async fn serve<P: Protocol>(
    started: Started<P>,
    mut commands: mpsc::Receiver<Command<P>>,
    mut leaving: mpsc::Receiver<(Duration, oneshot::Sender<()>)>,
) {
    let mut state = started.state();
    loop {
        tokio::select! {
            command = commands.recv() => match command {
                Some(command) => command(&started),
                None => return started.party.stop("nobody holds it any more"),
            },
            Some((grace, done)) = leaving.recv() => {
                started.party.leave(grace).await;
                // Whoever waited may have given up.
                let _ = done.send(());
                return;
            }
            Ok(()) = state.changed() => {
                if matches!(*state.borrow(), State::Stopped(_)) {
                    return;
                }
            }
        }
    }
}
