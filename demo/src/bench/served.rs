//! What a party of a bench runs: a floor, a stream, or a service on one, whatever the engine. Another
//! engine is another name in [`Engine`] and two lines in [`open`].

use std::{
    pin::Pin,
    sync::{Mutex, PoisonError},
};

use maftia_actors::{
    link::Lab,
    node::{Node, NodeError},
    party::State,
};
use maftia_core::{
    crypto::Ciphertext,
    id::Slot,
    replica::{self, Replica, Stream},
    stream::{
        atomic::{self, Atomic, Input, Output},
        batch::Batch,
        certified::{self, Certified},
        fast::{self, Fast},
    },
};
use tokio::sync::watch;

use super::{
    echo::{Counts, Echo},
    flags::{Durability, Engine},
    floor::Floor,
    home::Home,
    host::{Eyes, Role, Serves},
    sealed,
};
use crate::exit::{Exit, Stop};

/// Bytes of decided batches that the rounds keep for parties that are behind. At 200,000 payloads of
/// 512 bytes a second the usual 64 MiB are two thirds of a second, for which a machine with two cores
/// can well pass a process over; and a raw stream has no checkpoint from which that could go on.
const ROUNDS_KEPT: usize = 256 << 20;

/// Something that is not there yet.
pub(crate) type Later<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What runs.
pub(crate) trait Served {
    /// Takes payloads of the generator.
    fn submit(&self, batch: Batch) -> Later<'_, ()>;
    /// Takes what the generator encrypted, if it is a secure stream.
    fn forward(&self, _: Ciphertext) -> Later<'_, ()> {
        Box::pin(std::future::ready(()))
    }
    /// The faults of the party, if it can have any.
    fn lab(&self) -> Option<&Lab>;
    /// Returns when the party has stopped by itself, and says why.
    fn stopped(&self) -> Later<'static, String>;
    /// What took effect, if it is a service.
    fn counts(&self) -> Later<'_, Option<Counts>>;
    /// Ends it.
    fn stop(self: Box<Self>);
}

/// Starts what the role says.
pub(crate) async fn open(
    role: &Role,
    home: &Home,
    eyes: Eyes,
    settled: watch::Sender<u64>,
) -> Result<Box<dyn Served>, Stop> {
    let durability = role.durability;
    Ok(match role.serves {
        Serves::Floor => Box::new(Floor::start(home, eyes, settled).await?),
        Serves::Stream(Engine::Fast) => {
            let spec = fast::Spec { bytes_kept: ROUNDS_KEPT, ..fast::Spec::default() };
            Box::new(stream::<Fast>(home, spec, durability, eyes, settled).await?)
        }
        Serves::Service(Engine::Fast) => Box::new(service::<Fast>(home, durability).await?),
        Serves::Stream(Engine::Lanes) => {
            let spec = certified::Spec { bytes_kept: ROUNDS_KEPT, ..certified::Spec::default() };
            Box::new(stream::<Certified>(home, spec, durability, eyes, settled).await?)
        }
        Serves::Service(Engine::Lanes) => Box::new(service::<Certified>(home, durability).await?),
        Serves::Stream(Engine::Rounds) => {
            let spec = atomic::Spec { bytes_kept: ROUNDS_KEPT, ..atomic::Spec::default() };
            Box::new(stream::<Atomic>(home, spec, durability, eyes, settled).await?)
        }
        Serves::Sealed(Engine::Fast) => {
            let spec = fast::Spec { bytes_kept: ROUNDS_KEPT, ..fast::Spec::default() };
            sealed::open::<Fast>(home, role.party, spec, durability, eyes, settled).await?
        }
        Serves::Sealed(Engine::Lanes) => {
            let spec = certified::Spec { bytes_kept: ROUNDS_KEPT, ..certified::Spec::default() };
            sealed::open::<Certified>(home, role.party, spec, durability, eyes, settled).await?
        }
        Serves::Sealed(Engine::Rounds) => {
            let spec = atomic::Spec { bytes_kept: ROUNDS_KEPT, ..atomic::Spec::default() };
            sealed::open::<Atomic>(home, role.party, spec, durability, eyes, settled).await?
        }
        Serves::Service(Engine::Rounds) => Box::new(service::<Atomic>(home, durability).await?),
    })
}

/// A party of a stream.
struct Raw<A: Stream>(Node<A>);

/// A replica of the service that does nothing.
struct Replicated<A: Stream>(Node<Replica<Echo, A>>);

/// Starts a party of a stream, and grants it all credit there is.
async fn stream<A: Stream>(
    home: &Home,
    spec: A::Spec,
    durability: Durability,
    eyes: Eyes,
    settled: watch::Sender<u64>,
) -> Result<Raw<A>, Stop> {
    let plan = home.plan::<A>(spec, durability, outputs(eyes, settled));
    let node = Node::start(plan).await.map_err(not_started)?;
    let pulled = node.ask(Input::Pull { up_to: Slot::new(u64::MAX) }).await;
    pulled.map_err(|error| Stop::new(Exit::Failed, error.to_string(), ""))?;
    Ok(Raw(node))
}

async fn service<A: Stream>(home: &Home, durability: Durability) -> Result<Replicated<A>, Stop> {
    let mut spec = replica::Spec::new(());
    (spec.registered, spec.open) = (home.clients().collect(), false);
    let plan = home.plan::<Replica<Echo, A>>(spec, durability, Box::new(|_| {}));
    Node::start(plan).await.map(Replicated).map_err(not_started)
}

pub(crate) fn not_started(error: NodeError) -> Stop {
    Stop::new(Exit::Io, format!("cannot start: {error}"), "")
}

/// What a stream tells, for its subscriber and for the generator of its payloads.
fn outputs(eyes: Eyes, settled: watch::Sender<u64>) -> Box<dyn Fn(Output) + Send> {
    let counts = Mutex::new((0, 0));
    let settle = move |ordered: Option<u64>, refused: u64| {
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts = (ordered.unwrap_or(counts.0), counts.1 + refused);
        settled.send_replace(counts.0 + counts.1);
    };
    Box::new(move |output| match output {
        Output::Deliver { batch, .. } => eyes.take(&batch),
        Output::Ordered { own } => settle(Some(own), 0),
        Output::Refused { payloads } => {
            eyes.refused(payloads);
            settle(None, payloads);
        }
        Output::Behind | Output::Lagged { .. } => eyes.fell_behind(),
        // What is lost by one of these shows as a gap.
        _ => {}
    })
}

/// Returns when a party has stopped by itself, and says why.
pub(crate) async fn stopped(mut states: watch::Receiver<State>) -> String {
    match states.wait_for(|state| matches!(state, State::Stopped(_))).await.as_deref() {
        Ok(State::Stopped(why)) => why.to_string(),
        _ => "its thread ended".to_owned(),
    }
}

impl Served for Floor {
    fn submit(&self, batch: Batch) -> Later<'_, ()> {
        self.fan_out(&batch);
        Box::pin(std::future::ready(()))
    }

    fn lab(&self) -> Option<&Lab> {
        None
    }

    fn stopped(&self) -> Later<'static, String> {
        Box::pin(std::future::pending())
    }

    fn counts(&self) -> Later<'_, Option<Counts>> {
        Box::pin(std::future::ready(None))
    }

    fn stop(self: Box<Self>) {
        self.close();
    }
}

impl<A: Stream> Served for Raw<A> {
    fn submit(&self, batch: Batch) -> Later<'_, ()> {
        Box::pin(async {
            // A party that has stopped says so by itself.
            let _ = self.0.ask(Input::Submit { batch }).await;
        })
    }

    fn lab(&self) -> Option<&Lab> {
        Some(self.0.lab())
    }

    fn stopped(&self) -> Later<'static, String> {
        Box::pin(stopped(self.0.states()))
    }

    fn counts(&self) -> Later<'_, Option<Counts>> {
        Box::pin(std::future::ready(None))
    }

    fn stop(self: Box<Self>) {
        self.0.crash();
    }
}

impl<A: Stream> Served for Replicated<A> {
    fn submit(&self, _: Batch) -> Later<'_, ()> {
        // Its payloads come from clients.
        Box::pin(std::future::ready(()))
    }

    fn lab(&self) -> Option<&Lab> {
        Some(self.0.lab())
    }

    fn stopped(&self) -> Later<'static, String> {
        Box::pin(stopped(self.0.states()))
    }

    fn counts(&self) -> Later<'_, Option<Counts>> {
        Box::pin(async { self.0.with(|tree| tree.root().service().counts()).await.ok() })
    }

    fn stop(self: Box<Self>) {
        self.0.crash();
    }
}
