//! Four parties on an atomic stream in one process, and payloads for them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use maftia_actors::{
    link::memory::Hub,
    node::{Durability, Frozen, Network, Node, Plan},
    placement::Placement,
    pool::Pool,
};
use maftia_core::{
    crypto::Digest,
    id::Slot,
    stream::{
        atomic::{self, Atomic, Input, Output},
        batch::Batch,
    },
};

use crate::support::{PAYLOAD, cpu_time, group};

/// Payloads of one party that are out at a time, at saturation: as many as a stream lets wait.
const OUT: u64 = 28 * CHUNK;

/// Payloads in one submission.
pub(crate) const CHUNK: u64 = 1_024;

/// Four parties, and what they told.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node<Atomic>>,
    delivered: Vec<Arc<AtomicU64>>,
    settled: mpsc::Receiver<(usize, u64)>,
    submitted: [u64; 4],
    own: [u64; 4],
}

/// Starts them; each remembers as it is told.
pub(crate) async fn start(
    placement: &Placement,
    durability: impl Fn(usize) -> Durability,
) -> Cluster {
    let (seats, known) = group(4);
    let hub = Hub::new();
    let (tell, settled) = mpsc::channel();
    let (mut nodes, mut delivered) = (Vec::new(), Vec::new());
    for (party, seat) in seats.into_iter().enumerate() {
        let (count, tell) = (Arc::new(AtomicU64::new(0)), tell.clone());
        delivered.push(Arc::clone(&count));
        let outputs = Box::new(move |output| match output {
            Output::Deliver { batch, .. } => {
                count.fetch_add(batch.len() as u64, Ordering::Relaxed);
            }
            Output::Ordered { own } => drop(tell.send((party, own))),
            _ => {}
        });
        let plan = Plan {
            seat,
            spec: atomic::Spec::default(),
            network_id: Digest::of("bench", b""),
            known: Arc::clone(&known),
            key: None,
            guests: None,
            durability: durability(party),
            network: Network::Memory(hub.clone()),
            pool: Pool::new(1),
            placement: placement.clone(),
            outputs,
            control: Box::new(|_, _, _| {}),
            frozen: Frozen::Fence,
        };
        let node = Node::start(plan).await.expect("a fresh party");
        node.ask(Input::Pull { up_to: Slot::new(u64::MAX) }).await.expect("it lives");
        nodes.push(node);
    }
    Cluster { nodes, delivered, settled, submitted: [0; 4], own: [0; 4] }
}

fn chunk() -> Batch {
    Batch::of((0..CHUNK).map(|_| [7; PAYLOAD]))
}

impl Cluster {
    /// Keeps every party's window full until `total` more payloads are delivered at all; the CPU and
    /// the time that it took.
    pub(crate) async fn saturate(&mut self, total: u64) -> (Duration, Duration) {
        let (cpu, start) = (cpu_time(), Instant::now());
        let base = self.least();
        let batch = chunk();
        while self.least() - base < total {
            for (party, node) in self.nodes.iter().enumerate() {
                while self.submitted[party] < self.own[party] + OUT {
                    self.submitted[party] += CHUNK;
                    node.ask(Input::Submit { batch: batch.clone() }).await.expect("it lives");
                }
            }
            if let Ok((party, settled)) = self.settled.recv_timeout(Duration::from_millis(100)) {
                self.own[party] = self.own[party].max(settled);
            }
            while let Ok((party, settled)) = self.settled.try_recv() {
                self.own[party] = self.own[party].max(settled);
            }
        }
        (cpu_time().saturating_sub(cpu), start.elapsed())
    }

    pub(crate) fn least(&self) -> u64 {
        self.delivered.iter().map(|count| count.load(Ordering::Relaxed)).min().expect("four")
    }
}
