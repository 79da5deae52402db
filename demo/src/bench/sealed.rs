//! A party of a secure causal stream, and whoever encrypts for one: the load makes a ciphertext of each
//! batch of its payloads, and the party that it is given to has it ordered.

use std::{
    io,
    path::Path,
    sync::{Mutex, PoisonError},
};

use maftia_actors::{link::Lab, node::Node};
use maftia_core::{
    crypto::{Ciphertext, Digest},
    id::{ClientId, Slot},
    seat::Seat,
    stream::{
        batch::Batch,
        secure::{self, Author, Engine, Input, Output, Secure},
    },
    wire::limits,
};
use tokio::sync::watch;

use super::{
    echo::Counts,
    flags::Durability,
    home::{Home, Reach},
    host::Eyes,
    served::{self, Later, Served},
};
use crate::exit::{Exit, Stop};

/// In whose name the generator for this party encrypts. Nobody checks it here: a client's link would.
fn author(party: u16) -> ClientId {
    ClientId::of_key(&Digest::of("bench generator", &party.to_le_bytes()))
}

/// What one who encrypts for the group knows: its public keys, and the name of its stream.
pub(crate) struct Sealer {
    seat: Seat,
    author: ClientId,
}

impl Sealer {
    /// The sealer for what the generator of this party sends.
    pub(crate) fn new(folder: &Path, party: u16, reach: &Reach) -> Result<Self, Stop> {
        // Of the keys in this home none but the public ones are used.
        let seat = Home::of_party(folder, party, reach.clone())?.seat();
        Ok(Self { seat, author: author(party) })
    }

    /// How many payloads of this size are encrypted together at the most.
    pub(crate) fn batch_max(size: usize) -> usize {
        // A payload takes its length beside itself; the rest is room for the head.
        (limits::PAYLOAD_MAX - 1024) / (size + 5)
    }

    /// Encrypts a batch under a key of its own.
    pub(crate) fn seal(&self, batch: &Batch) -> io::Result<Ciphertext> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let Seat { keys, id, .. } = &self.seat;
        secure::encrypt(keys, id, self.author, batch, &seed).map_err(io::Error::other)
    }
}

/// A party of a secure stream.
struct Sealed<A: Engine>(Node<Secure<A>>, ClientId);

/// Starts one, and grants it all credit there is.
pub(crate) async fn open<A: Engine>(
    home: &Home,
    party: u16,
    engine: A::Spec,
    durability: Durability,
    eyes: Eyes,
    settled: watch::Sender<u64>,
) -> Result<Box<dyn Served>, Stop>
where
    A::Spec: Default,
{
    let spec = secure::Spec { engine, ..secure::Spec::default() };
    let outputs = outputs(author(party), eyes, settled);
    let node = Node::start(home.plan::<Secure<A>>(spec, durability, outputs)).await;
    let node = node.map_err(served::not_started)?;
    let pulled = node.ask(Input::Pull { up_to: Slot::new(u64::MAX) }).await;
    pulled.map_err(|error| Stop::new(Exit::Failed, error.to_string(), ""))?;
    Ok(Box::new(Sealed(node, author(party))))
}

/// What the stream tells, for its subscriber and for the generator of its ciphertexts: what was in one is
/// settled when it is delivered.
fn outputs(own: ClientId, eyes: Eyes, settled: watch::Sender<u64>) -> Box<dyn Fn(Output) + Send> {
    let count = Mutex::new(0);
    let settle = move |payloads: u64| {
        let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
        *count += payloads;
        settled.send_replace(*count);
    };
    Box::new(move |output| match output {
        Output::Deliver { author, batch, .. } => {
            eyes.take(&batch);
            if author == Author::Client(own) {
                settle(batch.len() as u64);
            }
        }
        // An outsider's ciphertext, whose payloads nobody can count: they show as gaps.
        Output::Refused { .. } => eyes.refused(1),
        Output::Behind | Output::Lagged { .. } => eyes.fell_behind(),
        _ => {}
    })
}

impl<A: Engine> Served for Sealed<A> {
    fn submit(&self, batch: Batch) -> Later<'_, ()> {
        Box::pin(async {
            // A party that has stopped says so by itself.
            let _ = self.0.ask(Input::Submit { batch }).await;
        })
    }

    fn forward(&self, ciphertext: Ciphertext) -> Later<'_, ()> {
        Box::pin(async {
            let client = self.1;
            let _ = self.0.ask(Input::Forward { client, ciphertext }).await;
        })
    }

    fn lab(&self) -> Option<&Lab> {
        Some(self.0.lab())
    }

    fn stopped(&self) -> Later<'static, String> {
        Box::pin(served::stopped(self.0.states()))
    }

    fn counts(&self) -> Later<'_, Option<Counts>> {
        Box::pin(std::future::ready(None))
    }

    fn stop(self: Box<Self>) {
        self.0.crash();
    }
}
