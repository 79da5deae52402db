use std::collections::BTreeSet;

use maftia_core::{
    children::Children,
    crypto::Digest,
    effects::{Effects, Lane},
    fault::Fault,
    id::{ClientId, Epoch, GroupId, PartyId, Peer},
    protocol::{Event, Kind, Never},
    seat::Directory,
    sim::ideal,
    thresholds::Thresholds,
    wire,
};
use serde::{Deserialize, Serialize};

use super::*;
use crate::{
    link::Passport,
    log::{Entry, Store},
};

/// Adds what it hears, and falls over one number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sum(u64);

const POISON: u64 = 13;

impl Protocol for Sum {
    const KIND: Kind = Kind("sum");
    type Spec = ();
    type Input = u64;
    type Output = u64;
    type Message = u64;
    type Timer = Never;
    type Ask = Never;
    type Heard = Never;

    fn new(_: &Seat, (): ()) -> Self {
        Self(0)
    }

    fn step(&mut self, event: Event<Self>, _: &mut Effects<'_, Self>) {
        if let Event::Input(number) | Event::Message { message: number, .. } = event {
            self.0 += number;
            assert_ne!(number, POISON, "poisoned");
        }
    }

    fn route<C: Children<Self>>(ask: Never, _: &mut C) {
        match ask {}
    }
}

fn owner(party: u16) -> Owner {
    Owner::Party(GroupId::new(0), PartyId::new(party))
}

fn guest() -> Owner {
    Owner::Client(ClientId::of_key(&Digest::of("test", b"guest")))
}

fn seat() -> Seat {
    let thresholds = Thresholds::asynchronous(4, 1).expect("4 > 3");
    let directory = Arc::new(Directory::new([("g".into(), thresholds)]));
    let group = directory.groups()[0].clone();
    Seat {
        id: InstanceId::root(GroupId::new(0), Epoch::FIRST, "g"),
        owner: owner(0),
        keys: ideal::keys([3; 32], owner(0), Some(&group), &directory),
        group: Arc::new(group),
        directory,
    }
}

/// Starts a party from what is stored.
fn start(store: &Store) -> Result<Started<Sum>, StartError> {
    let seat = seat();
    let (log, recovered) = store.open();
    let passport = Passport {
        me: seat.owner,
        identity: Arc::clone(&seat.keys.identity),
        network: Digest::of("test", b"network"),
        known: Arc::new((0..4).map(owner).collect::<BTreeSet<_>>()),
        key: None,
        guests: Some(Arc::new(|_, _, _, _, _| true)),
    };
    Party::start(Setup {
        seat,
        spec: (),
        log: Box::new(log),
        recovered,
        links: Links::new(passport),
        pool: Pool::new(1),
        placement: Placement::inline(),
        outputs: Box::new(|_| {}),
        control: Box::new(|_, _, _| {}),
    })
}

fn frame(number: u64) -> Mail<Sum> {
    let (from, instance) = (Peer::Member(PartyId::new(1)), seat().id);
    Mail::Frame { from, instance, bytes: wire::encode(&number) }
}

/// The log of a party that took this and went down.
fn stored(mail: &[Mail<Sum>]) -> Store {
    let store = Store::default();
    let (mut log, _) = store.open();
    for mail in mail {
        let entry = Entry { instance: seat().id, origin: None, mail: wire::encode(mail) };
        log.append(&Record::Took(entry));
    }
    log.commit();
    store
}

fn sum(started: &Started<Sum>) -> Option<u64> {
    started.with(|tree| tree.root().0)
}

#[actix_rt::test]
async fn a_frame_that_felled_its_party_is_skipped_at_the_next_start() {
    let store = stored(&[Mail::Start, frame(1), frame(POISON)]);
    let started = start(&store).expect("the fall was not noted, and is now");
    assert_eq!(sum(&started), Some(1), "nothing is left of it");
    started.party.stop("a crash");
    let records = store.open().1.records;
    assert_eq!(records.last(), Some(&(4, Record::Skipped(3))));
    let again = start(&store).expect("it is noted");
    assert_eq!((sum(&again), store.open().1.records.len()), (Some(1), 4));
}

#[actix_rt::test]
async fn a_fall_in_the_middle_of_a_log_or_over_an_ask_is_refused_with_a_name() {
    let ask = Mail::Input { number: 0, input: POISON };
    let past = [Mail::Start, frame(POISON), frame(1)];
    for (at, mail) in [(2, &past[..]), (2, &[Mail::Start, ask])] {
        let store = stored(mail);
        let error = start(&store).err().expect("it does not know what it said");
        assert!(matches!(&error, StartError::Replay(lsn, _) if *lsn == at), "{error}");
        let text = error.to_string();
        assert!(text.contains(&seat().id.to_string()) && text.contains("poisoned"), "{text}");
        assert_eq!(store.open().1.records.len(), mail.len(), "nothing is skipped");
    }
}

/// What a guest's link hands over.
fn said(count: u64) -> Arrival {
    let (instance, body) = (seat().id, wire::encode(&1_u64));
    let what = What::Frame { instance, body, digest: Digest::of("test", b"") };
    Arrival { from: guest(), lane: Lane::Bulk, number: count, what }
}

#[actix_rt::test]
async fn a_forgotten_guest_counts_from_one_in_this_life_and_the_next() {
    let store = Store::default();
    let started = start(&store).expect("a fresh log");
    let hear = async |started: &Started<Sum>, expected| {
        let receive = started.receive();
        for number in [1, 2, 2] {
            receive.take(said(number)).expect("there is room");
            actix_rt::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert_eq!(sum(started), Some(expected));
    };
    hear(&started, 2).await;
    hear(&started, 2).await;
    started.receive().forgotten(guest());
    hear(&started, 4).await;
    started.party.stop("a crash");
    let started = start(&store).expect("a good log");
    hear(&started, 4).await;
    started.receive().forgotten(guest());
    started.party.stop("a crash");
    hear(&start(&store).expect("a good log"), 6).await;
}

#[actix_rt::test]
async fn self_made_clients_leave_room_for_what_members_do() {
    let started = start(&Store::default()).expect("a fresh log");
    for number in 0..2_000_u64 {
        let client = ClientId::of_key(&Digest::of("test", &number.to_le_bytes()));
        started.party.accuse(&seat().id, Peer::Client(client), Fault::NoSuchInstance);
    }
    started.party.accuse(&seat().id, Peer::Member(PartyId::new(3)), Fault::NoSuchInstance);
    assert!(started.party.accusations().iter().any(|seen| seen.culprit == owner(3)));
}

/// What no log remembers takes no number: not on the way out, and not on the way in.
#[actix_rt::test]
async fn a_word_has_no_number() {
    let started = start(&Store::default()).expect("a fresh log");
    started.party.tell(owner(1), GroupId::new(0), Bytes::from_static(b"word"));
    let waiting =
        |status: &crate::link::Status| status.peer == owner(1) && status.waiting_frames > 0;
    assert!(!started.party.links().status().iter().any(waiting));
    let instance = InstanceId::root(GroupId::new(0), Epoch::FIRST, CONTROL);
    let arrival = |instance: InstanceId, number| {
        let what = What::Frame { instance, body: Bytes::new(), digest: Digest::of("test", b"") };
        Arrival { from: owner(1), lane: Lane::Control, number, what }
    };
    started.receive().take(arrival(instance, WORD)).expect("there is room");
    assert_eq!(started.party.accusations(), []);
    started.receive().take(arrival(seat().id, WORD)).expect("it is not taken");
    assert_eq!(sum(&started), Some(0), "a protocol hears no words");
    assert_eq!(started.party.accusations().len(), 1);
    assert_eq!(started.party.outbox.borrow().taken().floors().count(), 0);
}
