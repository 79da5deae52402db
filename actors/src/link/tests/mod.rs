//! What links promise, and to whom they do not.

mod cost;
mod handshake;
mod memory;
mod peer;
mod quic;
mod session;
mod swallow;
mod tcp;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use maftia_core::{
    crypto::{Digest, Identity, Mac, Signature},
    effects::Lane,
    id::{ClientId, Epoch, GroupId, PartyId},
    path::{InstanceId, Tag},
    seat::Owner,
};
use tokio::task::LocalSet;

use super::{Arrival, End, Links, Passport, Receive, What};

/// Signs with a digest over one's own name: enough to tell names apart, and quick.
#[derive(Debug)]
struct Toy(Owner);

impl Toy {
    fn signature(of: Owner, tag: &Tag, digest: &Digest) -> Signature {
        let name = format!("{of:?}");
        let digest = Digest::of_parts("toy", &[name.as_bytes(), tag.as_bytes(), digest.as_bytes()]);
        Signature(Bytes::copy_from_slice(digest.as_bytes()))
    }
}

impl Identity for Toy {
    fn sign(&self, tag: &Tag, digest: &Digest) -> Signature {
        Self::signature(self.0, tag, digest)
    }

    fn verify(&self, signer: Owner, tag: &Tag, digest: &Digest, signature: &Signature) -> bool {
        Self::signature(signer, tag, digest) == *signature
    }

    fn authenticate(&self, _: Owner, _: &Tag, _: &Digest) -> Option<Mac> {
        None
    }

    fn check(&self, _: Owner, _: &Tag, _: &Digest, _: &Mac) -> bool {
        false
    }
}

pub(super) fn p(number: u16) -> Owner {
    Owner::Party(GroupId::new(0), PartyId::new(number))
}

fn client(number: u8) -> Owner {
    Owner::Client(ClientId::of_key(&Digest::new([number; 32])))
}

pub(super) fn orders() -> InstanceId {
    InstanceId::root(GroupId::new(0), Epoch::FIRST, "orders")
}

fn body(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_le_bytes())
}

/// The passport of one owner in a network of four parties and client 0.
fn passport(me: Owner) -> Passport {
    Passport {
        me,
        identity: Arc::new(Toy(me)),
        network: Digest::of("test", b"network"),
        known: Arc::new((0..4).map(p).chain([client(0)]).collect()),
        key: None,
        guests: None,
    }
}

/// A local side that keeps what it is given, as far as it has room.
struct Inbox {
    links: Links,
    arrivals: RefCell<Vec<Arrival>>,
    ends: RefCell<Vec<String>>,
    room: Cell<usize>,
    remembers: Cell<bool>,
}

impl Inbox {
    fn new(links: &Links) -> Rc<Self> {
        Rc::new(Self {
            links: links.clone(),
            arrivals: RefCell::default(),
            ends: RefCell::default(),
            room: Cell::new(usize::MAX),
            remembers: Cell::new(true),
        })
    }

    /// The numbers in the bodies that came from there on this lane.
    fn heard(&self, from: Owner, lane: Lane) -> Vec<u64> {
        let arrivals = self.arrivals.borrow();
        let mine = arrivals.iter().filter(|arrival| (arrival.from, arrival.lane) == (from, lane));
        mine.filter_map(|arrival| match &arrival.what {
            What::Frame { body, .. } => Some(u64::from_le_bytes(*body.first_chunk().unwrap())),
            What::Missed => None,
        })
        .collect()
    }

    fn missed(&self) -> usize {
        self.arrivals.borrow().iter().filter(|arrival| arrival.what == What::Missed).count()
    }
}

impl Receive for Inbox {
    fn take(&self, arrival: Arrival) -> Result<(), Box<Arrival>> {
        let Some(room) = self.room.get().checked_sub(1) else { return Err(Box::new(arrival)) };
        self.room.set(room);
        if self.remembers.get() {
            self.links.durable(arrival.from, arrival.lane, arrival.number);
        }
        self.arrivals.borrow_mut().push(arrival);
        Ok(())
    }

    fn disconnected(&self, _: Owner, why: &End) {
        self.ends.borrow_mut().push(why.to_string());
    }
}

/// Runs a test with local tasks.
fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, test)
}

/// Waits until something holds; a test that waits for ten seconds has failed.
async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..5_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("in ten seconds it did not come to this: {what}");
}
