//! Links inside one process: the same sessions, handshakes and seals, without copying bytes.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use maftia_core::seat::Owner;
use tokio::sync::{Mutex as AsyncMutex, mpsc};

use super::{
    packet::Packet,
    wire::{Called, End, Place, Reader, Transport, Writer, allowed},
};

/// Batches of packets under way in one direction. A batch is what a line writes at once, so this
/// stands for the buffers of a socket.
const BATCHES: usize = 4;

/// Connections that wait to be accepted by one owner.
const BACKLOG: usize = 64;

/// One end of a connection.
type Ends = (Pipe, Pour);

/// Where each owner takes calls.
type Ports = BTreeMap<Owner, mpsc::Sender<Ends>>;

/// Where the owners of one process find each other. Cheap to clone; they may run on any threads.
#[derive(Clone, Debug, Default)]
pub struct Hub {
    ports: Arc<Mutex<Ports>>,
}

/// An owner's place at a hub. An owner that opens it anew takes it over.
#[derive(Debug)]
pub struct Port {
    hub: Hub,
    calls: AsyncMutex<mpsc::Receiver<Ends>>,
}

/// The end that packets come out of.
#[derive(Debug)]
pub(super) struct Pipe {
    batches: mpsc::Receiver<Vec<Packet>>,
    batch: VecDeque<Packet>,
}

/// The end that packets go into.
#[derive(Debug)]
pub(super) struct Pour(mpsc::Sender<Vec<Packet>>);

fn pipe() -> (Pour, Pipe) {
    let (sender, batches) = mpsc::channel(BATCHES);
    (Pour(sender), Pipe { batches, batch: VecDeque::new() })
}

impl Hub {
    /// A hub without anybody.
    pub fn new() -> Self {
        Self::default()
    }

    /// The place of this owner.
    pub fn port(&self, owner: Owner) -> Port {
        let (sender, calls) = mpsc::channel(BACKLOG);
        self.ports.lock().unwrap_or_else(PoisonError::into_inner).insert(owner, sender);
        Port { hub: self.clone(), calls: AsyncMutex::new(calls) }
    }

    fn call(&self, to: Owner) -> Option<mpsc::Sender<Ends>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner).get(&to).cloned()
    }
}

impl Transport for Port {
    type Reader = Pipe;
    type Writer = Pour;
    type Caller = Ends;

    const BACKOFF_MAX: Duration = Duration::from_millis(100);
    const COSTLY: bool = false;

    async fn dial(&self, to: Owner) -> Result<Ends, End> {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let call = self.hub.call(to).ok_or_else(refused)?;
        let ((near_pour, far_pipe), (far_pour, near_pipe)) = (pipe(), pipe());
        call.try_send((far_pipe, far_pour)).map_err(|_| refused())?;
        Ok((near_pipe, near_pour))
    }

    async fn homes(&self) -> BTreeSet<IpAddr> {
        BTreeSet::new()
    }

    async fn accept(&self) -> io::Result<(Ends, Place)> {
        match self.calls.lock().await.recv().await {
            Some(ends) => Ok((ends, Place::Here)),
            // Another one took this owner's place: nobody will ever call here again.
            None => std::future::pending().await,
        }
    }

    async fn answer(&self, (reader, writer): Ends) -> Result<Called<Self>, End> {
        Ok(Called { reader, writer, who: None })
    }
}

impl Reader for Pipe {
    async fn read(&mut self, limit: usize) -> Result<Packet, End> {
        while self.batch.is_empty() {
            let batch = self.batches.recv().await;
            self.batch = batch.ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))?.into();
        }
        let packet = self.batch.pop_front().expect("the batch is not empty");
        allowed(&packet.head, limit)?;
        Ok(packet)
    }
}

impl Writer for Pour {
    async fn write(&mut self, packets: &mut Vec<Packet>) -> Result<(), End> {
        let batch = std::mem::take(packets);
        let broken = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        Ok(self.0.send(batch).await.map_err(broken)?)
    }
}
