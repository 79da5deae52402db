//! What no stream can beat: the same payloads over the same links, sealed and acknowledged, and
//! nothing agreed. Each party hands what it is given to all others, who hand it to their subscriber.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    time::Duration,
};

use maftia_actors::link::{Arrival, Links, Receive, What};
use maftia_core::{effects::Lane, path::InstanceId, seat::Owner, stream::batch::Batch, wire};
use tokio::sync::watch;

use super::{home::Home, host::Eyes};
use crate::exit::{Exit, Stop};

/// How often it is looked what the others have acknowledged.
const LOOK: Duration = Duration::from_millis(1);

/// One party of the floor.
pub(crate) struct Floor {
    links: Links,
    everyone: Vec<Owner>,
    instance: InstanceId,
    eyes: Eyes,
    under_way: Rc<UnderWay>,
}

/// Payloads of the frames that somebody has not acknowledged, and of those that everybody has.
#[derive(Default)]
struct UnderWay {
    frames: RefCell<VecDeque<u64>>,
    settled: Cell<u64>,
}

/// What comes from the others.
struct Sink {
    links: Links,
    eyes: Eyes,
}

impl Receive for Sink {
    fn take(&self, Arrival { from, lane, number, what }: Arrival) -> Result<(), Box<Arrival>> {
        self.links.durable(from, lane, number);
        if let What::Frame { body, .. } = what
            && let Ok(batch) = wire::decode_shared::<Batch>(&body)
        {
            self.eyes.take(&batch);
        }
        Ok(())
    }
}

impl Floor {
    /// Opens the links. Needs a `LocalSet`.
    pub(crate) async fn start(
        home: &Home,
        eyes: Eyes,
        settled: watch::Sender<u64>,
    ) -> Result<Self, Stop> {
        let passport = home.passport();
        let bound = home.network().bind(&passport).await;
        let bound = bound.map_err(|error| Stop::new(Exit::Io, error.to_string(), ""))?;
        let links = Links::new(passport);
        let sink = Rc::new(Sink { links: links.clone(), eyes: eyes.clone() });
        links.open(bound, sink);
        let under_way = Rc::new(UnderWay::default());
        tokio::task::spawn_local(watch_acks(links.clone(), Rc::clone(&under_way), settled));
        Ok(Self { links, everyone: home.members(), instance: home.seat().id, eyes, under_way })
    }

    /// Hands payloads to everybody.
    pub(crate) fn fan_out(&self, batch: &Batch) {
        let sent =
            self.links.send_many(&self.everyone, Lane::Bulk, &self.instance, wire::encode(batch));
        sent.expect("the group is known, and a batch is no longer than a frame");
        self.under_way.frames.borrow_mut().push_back(batch.len() as u64);
        self.eyes.take(batch);
    }

    /// Ends all lines.
    pub(crate) fn close(&self) {
        self.links.close();
    }
}

/// Tells how many payloads everybody has, until nobody wants to know.
async fn watch_acks(links: Links, under_way: Rc<UnderWay>, settled: watch::Sender<u64>) {
    while !settled.is_closed() {
        tokio::time::sleep(LOOK).await;
        let waiting = links.status().iter().map(|status| status.waiting_frames).max();
        let mut frames = under_way.frames.borrow_mut();
        let done = frames.len().saturating_sub(waiting.unwrap_or(0));
        let payloads: u64 = frames.drain(..done).sum();
        if payloads > 0 {
            under_way.settled.set(under_way.settled.get() + payloads);
            settled.send_replace(under_way.settled.get());
        }
    }
}
