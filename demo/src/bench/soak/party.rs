//! One party of a soak, from inside. It ends with the socket to the soak, so that none outlives it.

use std::{
    io,
    os::{fd::AsFd, unix::net::UnixStream as Socket},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use maftia_actors::{node::Node, party::State};
use maftia_core::{
    id::Slot,
    stream::{
        atomic::{Input, Output, Position},
        fast::{self, Fast},
    },
};
use tokio::{
    net::{UnixStream, unix::OwnedReadHalf, unix::OwnedWriteHalf},
    sync::{mpsc, watch},
    time::{MissedTickBehavior, interval},
};

use super::{
    watcher::Watcher,
    words::{Order, Role, Seen, Tale},
};
use crate::{
    bench::{
        home::{Home, Reach},
        word,
    },
    exit::{Exit, Stop},
};

/// How often a party tells what its subscriber sees.
const SAMPLE: Duration = Duration::from_millis(50);

/// Orders of the soak that wait for the party.
const ORDERS: usize = 4;

/// A position is told each time when so many slots are over.
const PLACE_EVERY: u64 = 1 << 14;

/// Items that are kept for those who are behind. They are small beside what they order, which has a
/// bound of its own.
const ITEMS_KEPT: u64 = 1 << 14;

/// `maftia bench soaked`: a party whose soak is at the other end of standard input.
pub(crate) fn run(role: &str) -> Result<Exit, Stop> {
    let wrong = |error: String| Stop::new(Exit::Failed, error, "`maftia bench soak` starts it");
    let role: Role = serde_json::from_str(role).map_err(|error| wrong(error.to_string()))?;
    let socket = io::stdin().as_fd().try_clone_to_owned().map(Socket::from);
    let socket = socket.map_err(|error| wrong(error.to_string()))?;
    maftia::run(live(role, socket)).map(|()| Exit::Fine)
}

/// Lives until the soak is gone.
async fn live(role: Role, socket: Socket) -> Result<(), Stop> {
    let gone = |error: io::Error| Stop::new(Exit::Io, format!("the soak is gone: {error}"), "");
    socket.set_nonblocking(true).map_err(gone)?;
    let (reader, mut writer) = UnixStream::from_std(socket).map_err(gone)?.into_split();
    let lived = match Party::start(role).await {
        Ok(party) => party.serve(reader, &mut writer).await.map_err(gone),
        Err(stop) => Err(stop),
    };
    if let Err(stop) = &lived {
        // If the soak is gone, nobody wants to know.
        let _ = word::tell(&mut writer, &Tale::Failed(stop.message.clone())).await;
    }
    lived
}

/// What the thread of the party and that of the socket share.
#[derive(Default)]
struct Desk {
    /// Nobody watches until it is known what was delivered before.
    watcher: Option<Watcher>,
    behind: bool,
    places: Vec<Position>,
    /// The slot from which on the next position is told.
    next_place: u64,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Desk>>);

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    fn hear(&mut self, output: Output) {
        let Some(watcher) = &mut self.watcher else { return };
        match output {
            Output::Deliver { first, batch, .. } => watcher.take(first, &batch),
            Output::Lagged { to, .. } => watcher.lag(to),
            Output::Refused { payloads } => watcher.mark.found.refused += payloads,
            Output::Behind => self.behind = true,
            Output::RoundEnd { position } => self.pass(position),
            Output::Ordered { .. } | Output::Unsure { .. } => {}
        }
    }

    /// Of the positions, the first one from the next slot on that is worth telling.
    fn pass(&mut self, position: Position) {
        let slot = position.slot.number();
        if slot >= self.next_place {
            self.next_place = (slot / PLACE_EVERY + 1) * PLACE_EVERY;
            self.places.push(position);
        }
    }
}

struct Party {
    node: Node<Fast>,
    shared: Shared,
}

impl Party {
    /// Starts the party, whose subscriber goes on where it was.
    async fn start(role: Role) -> Result<Self, Stop> {
        let home = Home::of_party(&role.folder, role.party, Reach::Network)?;
        let failed = |why: String| Stop::new(Exit::Io, format!("cannot start: {why}"), "");
        let spec =
            fast::Spec { items_kept: ITEMS_KEPT, bytes_kept: role.kept, ..fast::Spec::default() };
        let shared = Shared::default();
        let telling = shared.clone();
        let outputs = Box::new(move |output| telling.desk().hear(output));
        let plan = home.plan::<Fast>(spec, role.durability, outputs);
        let node = Node::start(plan).await.map_err(|error| failed(error.to_string()))?;
        let (desk, mark) = (shared.clone(), role.mark);
        // On the thread of the party: nothing is delivered meanwhile.
        let begun = node.with(move |tree| {
            let again = tree.root().again(Slot::new(mark.slot));
            let mut desk = desk.desk();
            let watcher = Watcher::new(mark, &again);
            desk.next_place = (watcher.mark.slot / PLACE_EVERY + 1) * PLACE_EVERY;
            desk.watcher = Some(watcher);
        });
        begun.await.map_err(|error| failed(error.to_string()))?;
        let pulled = node.ask(Input::Pull { up_to: Slot::new(u64::MAX) }).await;
        pulled.map_err(|error| failed(error.to_string()))?;
        Ok(Self { node, shared })
    }

    /// Does what the soak says, until it says no more.
    async fn serve(self, reader: OwnedReadHalf, writer: &mut OwnedWriteHalf) -> io::Result<()> {
        word::tell(writer, &Tale::Ready).await?;
        let (sender, mut orders) = mpsc::channel(ORDERS);
        let reading = tokio::task::spawn_local(read(reader, sender));
        let mut ticks = interval(SAMPLE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut states = self.node.states();
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.obey(order).await,
                    None => break,
                },
                _ = ticks.tick() => {
                    for tale in self.tales() {
                        word::tell(writer, &tale).await?;
                    }
                }
                why = stopped(&mut states) => {
                    word::tell(writer, &Tale::Failed(why)).await?;
                    break;
                }
            }
        }
        reading.abort();
        self.node.crash();
        Ok(())
    }

    async fn obey(&self, order: Order) {
        // A party that has stopped says so by itself.
        match order {
            Order::Submit(batch) => {
                let _ = self.node.ask(Input::Submit { batch }).await;
            }
            Order::Cut(cut) => self.node.lab().cut(cut),
            Order::Resume(position) => {
                // What it jumps over will not be delivered: its subscriber is told before.
                if let Some(watcher) = &mut self.shared.desk().watcher {
                    watcher.lag(position.slot);
                }
                let _ = self.node.ask(Input::Resume { position: *position }).await;
            }
        }
    }

    fn tales(&self) -> Vec<Tale> {
        let mut desk = self.shared.desk();
        let mut tales = Vec::new();
        if let Some(watcher) = &mut desk.watcher {
            let (windows, slowest_us) = watcher.look();
            let seen = Seen { mark: watcher.mark.clone(), windows, slowest_us };
            tales.push(Tale::Seen(Box::new(seen)));
        }
        tales.extend(desk.places.drain(..).map(|place| Tale::Place(Box::new(place))));
        if std::mem::take(&mut desk.behind) {
            tales.push(Tale::Behind);
        }
        tales
    }
}

/// Returns when the party has stopped by itself, and says why.
async fn stopped(states: &mut watch::Receiver<State>) -> String {
    match states.wait_for(|state| matches!(state, State::Stopped(_))).await.as_deref() {
        Ok(State::Stopped(why)) => why.to_string(),
        _ => "its thread ended".to_owned(),
    }
}

/// Reads what the soak says until it says no more.
async fn read(mut reader: OwnedReadHalf, orders: mpsc::Sender<Order>) {
    while let Ok(order) = word::listen(&mut reader).await {
        if orders.send(order).await.is_err() {
            return;
        }
    }
}
