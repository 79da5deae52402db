//! Streams that outsiders write, through the facade: each payload has one slot, whoever lies; and their root
//! in simulated worlds.
//!
//! More seeds: `MAFTIA_SEEDS=10000 cargo test --release --test outsiders`, and `MAFTIA_N=7` for one size.

#![expect(clippy::unwrap_used, reason = "an oracle says what it found by failing the test")]

use std::collections::BTreeSet;

use bytes::Bytes;
use maftia::cs::{
    Anything, Class, Group, PublicStream, ReadError, WriteError,
    services::{Input, Output, Services},
};
use maftia_core::{
    fault::Fault,
    id::{ClientId, Slot},
    path::Role,
    replica::{Session, session},
    seat::{Owner, Seat},
    sim::{
        World,
        adversary::Relents,
        behaviour::{self, Behaviour, Mutate},
        oracle, property, size,
    },
    stream::{
        open::{Entry, Message, Publish, Reader, Shelf, reader},
        secure::Author,
    },
    thresholds::Thresholds,
    wire,
};

const GROUP: &str = "left";

const ROOT: &str = "services";

/// How long an order that a seed chose goes on.
const UNFAIR_STEPS: u64 = 3_000;

/// How many payloads each outsider sends.
const COUNT: usize = 20;

type Member = Services<Anything>;

/// Hands out other payloads than were sent.
fn forges(_: u64) -> Box<dyn Behaviour> {
    Box::new(Mutate::<Shelf>::new(|_, message| {
        if let Message::Entries { entries, .. } = message {
            entries.iter_mut().for_each(|entry| entry.payload = Bytes::from_static(b"forged"));
        }
        true
    }))
}

/// The number of the instance that a member opened.
fn number(world: &World, member: Owner) -> Option<u64> {
    world.outputs::<Member>(member).iter().find_map(|output| match output {
        Output::Opened { number, .. } => Some(number.unwrap()),
        Output::Told { .. } => None,
    })
}

fn seat(world: &World, client: Owner, number: u64) -> Seat {
    world.seat(client, GROUP, ROOT).child(Role::Named.at(number))
}

/// The slots of what a client sent, in its order, as far as it was told.
fn slots(world: &World, client: Owner) -> Vec<(u64, Slot)> {
    let slot = |output: &session::Output| match output {
        session::Output::Answered { number, body, .. } => {
            Some((*number, wire::decode(body).unwrap()))
        }
        _ => None,
    };
    world.outputs::<Session>(client).iter().filter_map(slot).collect()
}

fn read(world: &World, client: Owner) -> Vec<Entry> {
    let entries = |output: &reader::Output| match output {
        reader::Output::Deliver { entries, .. } => entries.clone(),
        _ => Vec::new(),
    };
    world.outputs::<Reader>(client).iter().flat_map(entries).collect()
}

fn id(client: Owner) -> ClientId {
    let Owner::Client(id) = client else { unreachable!("it is one") };
    id
}

/// Two write, two read, `f` members do anything, or lie to readers: each payload has one slot, which its
/// writer is told, and which is where readers find it.
#[test]
fn each_payload_has_one_slot_whatever_f_members_do() {
    property(6, |seed| {
        let (n, f) = size(seed, &[4, 7]);
        let mut world = World::new(seed, [(GROUP, Thresholds::asynchronous(n, f).unwrap())]);
        world.set_adversary(Relents::at(UNFAIR_STEPS));
        world.add_group::<Member>(GROUP, ROOT, |_| ());
        let members = world.members(GROUP);
        for (place, liar) in (0..).zip(members.iter().take(f.into())) {
            let how = if seed % 2 == 0 { forges } else { behaviour::any };
            world.corrupt_boxed(*liar, how(seed + 1_000_003 * place));
        }
        world.set_restarts(seed % 3);
        for member in &members {
            let spec = <PublicStream<String> as Class<Anything>>::spec(&());
            let (class, name) = ("public stream".into(), "offers".into());
            world.input::<Member>(*member, Input::Open { ticket: 1, class, name, spec });
        }
        let correct = members[usize::from(f)];
        world.run_while(|world| number(world, correct).is_none());
        let number = number(&world, correct).unwrap();
        let writers = ["a", "b"].map(World::client);
        for writer in writers {
            world.add::<Session>(seat(&world, writer, number), session::Spec::new(1));
            for payload in 1..=COUNT {
                let body = format!("{payload}").into();
                world.input::<Session>(writer, session::Input::request(body));
            }
        }
        let readers = ["r", "s"].map(World::client);
        for reader in readers {
            let seat = seat(&world, reader, number).child(Publish::SHELF);
            world.add::<Reader>(seat, reader::Spec::from(Slot::FIRST));
            world.input::<Reader>(reader, reader::Input::Pull { up_to: Slot::new(1_000) });
        }
        let lacks = |world: &World| {
            writers.iter().any(|writer| slots(world, *writer).len() < COUNT)
                || readers.iter().any(|reader| read(world, *reader).len() < 2 * COUNT)
        };
        assert!(!world.run_while(lacks) || !lacks(&world), "all is written, and read");
        let entries = read(&world, readers[0]);
        assert_eq!(entries, read(&world, readers[1]));
        assert_eq!(entries.len(), 2 * COUNT, "each once");
        for writer in writers {
            // Answers may be heard in another order than the slots have.
            let mut slots = slots(&world, writer);
            slots.sort_unstable();
            assert!(slots.is_sorted_by_key(|(_, slot)| *slot), "in the order of the writer");
            for (number, slot) in slots {
                let entry = &entries[slot.number() as usize];
                let expected = (slot, Author::Client(id(writer)), Bytes::from(number.to_string()));
                assert_eq!((entry.slot, entry.author, entry.payload.clone()), expected);
            }
        }
        for (owner, accusation) in world.accusations() {
            let culprit = world.meant(*owner, accusation.peer, accusation.group);
            let fair = world.is_corrupted(*owner)
                || world.is_corrupted(culprit)
                || accusation.fault == Fault::Silent;
            assert!(fair, "{owner:?} says {accusation:?}");
        }
        let bounds = oracle::Bounds { instances: 200, waiting: 600, snapshot: 2 << 20 };
        oracle::bounded(&world, bounds).unwrap();
    });
}

/// Typed payloads of two outsiders at a time while a member is down; what is of another type is an error
/// with a name; and all of it can be proven.
#[test]
fn outsiders_write_and_read_back_with_proof() {
    type Numbers = PublicStream<u32>;
    maftia::run(async {
        let group: Group = Group::embedded(4).await.unwrap();
        let outsiders = [(); 3].map(|()| group.outsider().unwrap());
        let judge = group.outsider().unwrap();
        let mut members = group.into_members();
        let mut served = Vec::new();
        for member in &members {
            served.push(member.open::<Numbers>("numbers").await.unwrap());
        }
        members.remove(3).crash();
        let (one, other) = (&outsiders[0], &outsiders[1]);
        let (first, second) = (
            one.write::<Numbers>("numbers").await.unwrap(),
            other.write::<Numbers>("numbers").await.unwrap(),
        );
        let mut slots = Vec::new();
        for number in 0..10_u32 {
            let later = 100 + number;
            let (one, other) = tokio::join!(first.send(&number), second.send(&later));
            slots.push((number, one.unwrap()));
            slots.push((later, other.unwrap()));
        }
        let distinct: BTreeSet<_> = slots.iter().map(|(_, slot)| *slot).collect();
        assert_eq!(distinct, (0..20).collect(), "a slot each, without gaps");
        first.close().await;
        // The same outsider again: what it wrote before is not written again.
        let odd = one.write::<PublicStream<String>>("numbers").await.unwrap();
        assert_eq!(odd.send(&"text".to_owned()).await, Ok(20));
        let large = odd.send(&"x".repeat(2 << 20)).await;
        assert!(matches!(large, Err(WriteError::TooLarge { .. })), "{large:?}");
        odd.close().await;
        let mut reader = outsiders[2].read::<Numbers>("numbers").await.unwrap();
        let mut writers = BTreeSet::new();
        for slot in 0..20 {
            let delivery = reader.next().await.unwrap().unwrap();
            assert_eq!(delivery.at, slot);
            assert!(slots.contains(&(delivery.payload, slot)));
            writers.insert((delivery.payload / 100, delivery.from));
        }
        assert_eq!(writers.len(), 2, "each is the author of its own");
        let odd = reader.next().await.unwrap();
        let text = writers.first().unwrap().1;
        let is = |from: &Author| *from == Author::Client(text);
        assert!(
            matches!(&odd, Err(ReadError::Malformed { from, at: 20, .. }) if is(from)),
            "{odd:?}"
        );
        let proof = reader.proof().await.unwrap();
        assert_eq!(judge.verify::<Numbers>("numbers", &proof), Ok(()));
        assert_eq!(proof.entries().last().map(|entry| entry.slot), Some(Slot::new(20)));
        assert!(judge.verify::<Numbers>("others", &proof).is_err());
    });
}
