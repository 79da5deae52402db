//! Open groups in simulated worlds: outsiders send, outsiders read, whatever `f` members do.
//!
//! *Agreement*: what readers deliver is what correct members have, in order, without gaps but for those they
//! are told of. *Proof*: every certificate convinces a stranger. *Liveness*: everything that was sent is
//! read. *No slander*: readers name liars only. *Bounds*: neither a reader that takes nothing nor a sender
//! that floods costs members more than they allow, or others their service.
//!
//! More seeds: `MAFTIA_SEEDS=10000 cargo test --release --test open`, and `MAFTIA_N=7` for one size.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected shall fall")]

use bytes::Bytes;
use maftia_core::{
    crypto::Digest,
    fault::Fault,
    id::Slot,
    path::Role,
    replica::{Replica, Session, Spec, session},
    seat::{Owner, Seat},
    sim::{
        World,
        adversary::Relents,
        behaviour::{self, Behaviour, Mutate},
        oracle, property, size,
    },
    stream::{
        atomic::{self, Atomic},
        batch::Batch,
        certified::Certified,
        closing::{self, Closing, Engine, Ordered},
        fast::Fast,
        open::{
            EVERY, Entry, Excerpt, Message, Publish, Reader, Shelf, Shelved,
            reader::{self, Input, Output},
            shelf,
            shelved::{self, Shelvable},
        },
    },
    thresholds::Thresholds,
};

type Member = Replica<Publish>;

const GROUP: &str = "left";

/// How long an order that a seed chose goes on.
const UNFAIR_STEPS: u64 = 3_000;

fn world(seed: u64, n: u16, f: u16, retention: u64) -> World {
    let mut world = World::new(seed, [(GROUP, Thresholds::asynchronous(n, f).unwrap())]);
    world.set_adversary(Relents::at(UNFAIR_STEPS));
    let shelf = shelf::Spec { retention, ..shelf::Spec::default() };
    world.add_group::<Member>(GROUP, GROUP, |_| Spec::new(shelf.clone()));
    world
}

/// An outsider that sends.
fn sender(world: &mut World, name: &str) -> Owner {
    let client = World::client(name);
    world.add::<Session>(world.seat(client, GROUP, GROUP), session::Spec::new(1));
    client
}

fn send(world: &mut World, client: Owner, payload: impl Into<Bytes>) {
    world.input::<Session>(client, session::Input::request(payload.into()));
}

fn answered(world: &World, client: Owner) -> usize {
    let is = |output: &&session::Output| matches!(output, session::Output::Answered { .. });
    world.outputs::<Session>(client).iter().filter(is).count()
}

fn reading_seat(world: &World, client: Owner) -> Seat {
    world.seat(client, GROUP, GROUP).child(Role::Locks.only())
}

/// An outsider that reads.
fn reader(world: &mut World, name: &str, from: u64, up_to: u64) -> Owner {
    let client = World::client(name);
    let seat = reading_seat(world, client);
    world.add::<Reader>(seat, reader::Spec::from(Slot::new(from)));
    pull(world, client, up_to);
    client
}

fn pull(world: &mut World, client: Owner, up_to: u64) {
    world.input::<Reader>(client, Input::Pull { up_to: Slot::new(up_to) });
}

/// What a reader delivered.
fn read(world: &World, client: Owner) -> Vec<Entry> {
    let entries = |output: &Output| match output {
        Output::Deliver { entries, .. } => entries.clone(),
        _ => Vec::new(),
    };
    world.outputs::<Reader>(client).iter().flat_map(entries).collect()
}

/// Checks that a reader's outputs follow each other, and that each certificate convinces a stranger of what
/// was delivered since the one before. How many certificates there were, and up to where.
fn check_proofs(world: &World, client: Owner, begin: u64) -> (usize, Slot) {
    let stranger = reading_seat(world, World::client("stranger"));
    let (mut next, mut certificates, mut proven) = (Slot::new(begin), 0, Slot::FIRST);
    let (mut open, mut start): (Vec<Entry>, Option<Digest>) = (Vec::new(), None);
    for output in world.outputs::<Reader>(client) {
        match output {
            Output::Deliver { from, before, entries, to } => {
                assert!(*from <= entries[0].slot && entries.last().unwrap().slot < *to);
                assert_eq!(*from, next, "a gap that the reader was not told of");
                next = *to;
                start = start.or(Some(*before));
                open.extend(entries.iter().cloned());
            }
            Output::Lagged { from, to } => {
                assert!(*from == next && to > from);
                (next, start) = (*to, None);
                open.clear();
            }
            Output::Certified { certificate } => {
                let (stream, service) = (&stranger.id, &*stranger.keys.service);
                certificate.check(stream, service).unwrap();
                if let Some(before) = start.take() {
                    let excerpt = Excerpt::new(before, &open, certificate.clone());
                    excerpt.check(stream, service).unwrap();
                    let last = excerpt.entries().last().cloned();
                    let one = excerpt.only(|entry| Some(entry) == last.as_ref());
                    one.check(stream, service).unwrap();
                    assert_eq!(one.entries().next(), last.as_ref());
                    open.retain(|entry| entry.slot >= certificate.slot);
                    start = Some(certificate.chain);
                }
                assert!(certificate.slot > proven && certificate.slot <= next);
                (certificates, proven) = (certificates + 1, certificate.slot);
            }
        }
    }
    (certificates, proven)
}

/// No correct party is said to have done wrong. That one was slow is a hint, and may be said.
fn assert_no_slander(world: &World) {
    for (owner, accusation) in world.accusations().iter().filter(|(o, _)| !world.is_corrupted(*o)) {
        let culprit = world.meant(*owner, accusation.peer, accusation.group);
        let hint = accusation.fault == Fault::Silent;
        assert!(hint || world.is_corrupted(culprit), "{owner:?} says {accusation:?}");
    }
}

fn corrupt(world: &mut World, seed: u64, f: u16, mut how: impl FnMut(u64) -> Box<dyn Behaviour>) {
    let mut members = world.members(GROUP);
    let first = seed as usize % members.len();
    members.rotate_left(first);
    for (number, owner) in (0..).zip(members.into_iter().take(f.into())) {
        world.corrupt_boxed(owner, how(seed + 1_000_003 * number));
    }
}

/// Runs until every one of these readers has delivered so many entries.
fn run_readers(world: &mut World, readers: &[Owner], entries: usize) {
    let missing = |world: &World| readers.iter().any(|client| read(world, *client).len() < entries);
    assert!(!world.run_while(missing) || !missing(world), "not everything was read");
}

fn run_senders(world: &mut World, senders: &[Owner], each: usize) {
    let missing = |world: &World| senders.iter().any(|client| answered(world, *client) < each);
    assert!(!world.run_while(missing) || !missing(world), "not everything was sent");
}

/// Lies to readers in every way that a shelf can.
fn lies(seed: u64) -> Box<dyn Behaviour> {
    Box::new(Mutate::<Shelf>::new(move |_, message| {
        match message {
            Message::Entries { entries, .. } if seed.is_multiple_of(3) => {
                if let Some(entry) = entries.first_mut() {
                    entry.payload = Bytes::from_static(b"forged");
                }
            }
            Message::Entries { .. } if seed % 3 == 1 => return false,
            Message::Entries { to, .. } => *to = to.next(),
            Message::Certified { certificate } | Message::Gone { certificate, .. } => {
                certificate.slot = certificate.slot.next();
            }
            Message::Tip { chain, .. } => *chain = Some(Digest::of("test", b"forged")),
            Message::Mark { chain, .. } => *chain = Digest::of("test", b"forged"),
            _ => {}
        }
        true
    }))
}

/// Two send, three read, one of them late; `f` members do anything, or lie where it matters here.
#[test]
fn outsiders_read_what_outsiders_sent_whatever_f_members_do() {
    property(6, |seed| {
        let (n, f) = size(seed, &[4, 7]);
        let mut world = world(seed, n, f, 1 << 20);
        let how = if seed % 2 == 0 { lies } else { behaviour::any };
        corrupt(&mut world, seed, f, how);
        world.set_restarts(seed % 3);
        let senders = [sender(&mut world, "a"), sender(&mut world, "b")];
        let mut readers =
            vec![reader(&mut world, "r", 0, 1_000), reader(&mut world, "s", 3, 1_000)];
        for number in 0..2 * EVERY {
            senders.iter().for_each(|client| send(&mut world, *client, format!("{number}")));
        }
        let sent = 4 * EVERY as usize;
        run_senders(&mut world, &senders, sent / 2);
        readers.push(reader(&mut world, "late", 1, 1_000));
        run_readers(&mut world, &readers, sent - 3);
        run_readers(&mut world, &readers[..1], sent);
        run_readers(&mut world, &readers[2..], sent - 1);
        let all = read(&world, readers[0]);
        for (slot, entry) in (0..).zip(&all) {
            assert_eq!(entry.slot, Slot::new(slot));
        }
        assert_eq!(read(&world, readers[1]), all[3..]);
        assert_eq!(read(&world, readers[2]), all[1..]);
        for (client, begin) in readers.into_iter().zip([0, 3, 1]) {
            // One that withholds certificates only is not found out: they are not needed to read.
            if check_proofs(&world, client, begin).0 == 0 {
                world.input::<Reader>(client, Input::Certify);
                assert!(!world.run_while(|world| check_proofs(world, client, begin).0 == 0));
            }
        }
        assert_no_slander(&world);
    });
}

/// Whom the reader accuses of this kind of fault.
fn accused(world: &World, reader: Owner, kind: &str) -> Vec<Owner> {
    let by = |(owner, _): &&(Owner, _)| *owner == reader;
    let of_kind = world.accusations().iter().filter(by).filter(|(_, a)| a.fault.kind() == kind);
    of_kind.map(|(owner, a)| world.meant(*owner, a.peer, a.group)).collect()
}

/// The member that a reader begins with changes what it hands out: nothing of that is delivered, the
/// reader names it and reads from another.
#[test]
fn a_member_that_hands_out_forgeries_is_named_and_left() {
    type Change = fn(&mut Message);
    let changes: [(&str, Change); 5] = [
        ("outvoted", |message| {
            if let Message::Entries { entries, .. } = message {
                entries[0].payload = Bytes::from_static(b"forged");
            }
        }),
        ("outvoted", |message| {
            if let Message::Tip { chain, .. } = message {
                *chain = Some(Digest::of("test", b"forged"));
            }
        }),
        ("bad-proof", |message| {
            if let Message::Certified { certificate } = message {
                certificate.chain = Digest::of("test", b"forged");
            }
        }),
        ("improper", |message| {
            if let Message::Entries { entries, .. } = message {
                entries[0].slot = entries[0].slot.plus(1_000);
            }
        }),
        ("improper", |message| {
            if let Message::Begin { slot, .. } = message {
                *slot = slot.next();
            }
        }),
    ];
    for (seed, (kind, change)) in (0..).zip(changes) {
        let mut world = world(seed, 4, 1, 1 << 20);
        let r = World::client("r");
        let Owner::Client(id) = r else { unreachable!("it is one") };
        let liar = world.members(GROUP)[usize::from(id.as_bytes()[0] % 4)];
        let lie = move |to, message: &mut Message| {
            if to == r {
                change(message);
            }
            true
        };
        world.corrupt(liar, Mutate::<Shelf>::new(lie));
        let (a, r) = (sender(&mut world, "a"), reader(&mut world, "r", 0, 500));
        (0..2 * EVERY).for_each(|number| send(&mut world, a, format!("{number}")));
        run_senders(&mut world, &[a], 2 * EVERY as usize);
        run_readers(&mut world, &[r], 2 * EVERY as usize);
        let payloads: Vec<_> = read(&world, r).into_iter().map(|entry| entry.payload).collect();
        assert!((0..2 * EVERY).map(|number| Bytes::from(number.to_string())).eq(payloads));
        assert!(accused(&world, r, kind).contains(&liar), "{kind} is not held against it");
        assert_no_slander(&world);
        check_proofs(&world, r, 0);
    }
}

/// A reader that takes nothing, and one that comes late, lose what is not kept any more, are told so, and
/// go on, unless a member that is late itself has it. Whatever liars say about what they have.
#[test]
fn a_reader_beyond_the_retention_is_told_what_it_lost() {
    property(6, |seed| {
        let (n, f) = size(seed, &[4, 7]);
        let mut world = world(seed, n, f, 32 << 10);
        corrupt(&mut world, seed, f, lies);
        let a = sender(&mut world, "a");
        let (fast, slow) = (reader(&mut world, "f", 0, 5_000), reader(&mut world, "s", 0, 3));
        let count = 5 * EVERY;
        let long = |number: u64| format!("{number}{}", " ".repeat(200));
        (0..3).for_each(|number| send(&mut world, a, long(number)));
        run_readers(&mut world, &[slow], 3);
        (3..count).for_each(|number| send(&mut world, a, long(number)));
        run_senders(&mut world, &[a], count as usize);
        let at_end = |world: &World, client| {
            read(world, client).last().is_some_and(|entry| entry.slot == Slot::new(count - 1))
        };
        assert!(!world.run_while(|world| !at_end(world, fast)));
        assert_eq!(read(&world, slow).len(), 3);
        let late = reader(&mut world, "l", 1, 5_000);
        pull(&mut world, slow, 5_000);
        assert!(!world.run_while(|world| !at_end(world, slow) || !at_end(world, late)));
        let lagged = |output: &&Output| matches!(output, Output::Lagged { .. });
        for (client, begin) in [(fast, 0), (slow, 0), (late, 1)] {
            let told = world.outputs::<Reader>(client).iter().any(|output| lagged(&output));
            // A member that is behind itself may still have what the others have not.
            let all = read(&world, client).len() as u64 == count - begin;
            assert_ne!(told, all, "what it does not have it is told of");
            let right = |entry: &Entry| entry.payload == long(entry.slot.number());
            assert!(read(&world, client).iter().all(right), "what was sent, in its order");
            check_proofs(&world, client, begin);
        }
        assert_no_slander(&world);
    });
}

/// A certificate of the end of a group at rest, where none is due, whoever signs wrongly.
#[test]
fn a_reader_has_the_end_signed() {
    property(8, |seed| {
        let (n, f) = size(seed, &[4, 7]);
        let mut world = world(seed, n, f, 1 << 20);
        corrupt(&mut world, seed, f, if seed % 2 == 0 { lies } else { behaviour::any });
        let (a, r) = (sender(&mut world, "a"), reader(&mut world, "r", 0, 100));
        (0..5).for_each(|number| send(&mut world, a, format!("{number}")));
        run_readers(&mut world, &[r], 5);
        assert_eq!(check_proofs(&world, r, 0), (0, Slot::FIRST), "none is due");
        world.input::<Reader>(r, Input::Certify);
        world.run_while(|world| check_proofs(world, r, 0).0 == 0);
        assert_eq!(check_proofs(&world, r, 0), (1, Slot::new(5)));
        assert_no_slander(&world);
    });
}

/// One sender floods, and two clients ask for signatures and entries without end and take nothing: another
/// sender and another reader are served, and members stay small.
#[test]
fn floods_cost_others_nothing() {
    let mut world = world(5, 4, 1, 64 << 10);
    let (flood, a) = (sender(&mut world, "flood"), sender(&mut world, "a"));
    let r = reader(&mut world, "r", 0, 100_000);
    for greedy in ["x", "y"].map(World::client) {
        let instance = reading_seat(&world, greedy).id;
        world.corrupt(greedy, Mutate::<Shelf>::new(|_, _| true));
        for member in world.members(GROUP) {
            for slot in (0..200).map(Slot::new) {
                let up_to = Slot::new(u64::MAX);
                let read = Message::Read { ticket: 1, from: Slot::FIRST, proven: false, up_to };
                for message in [read, Message::Sign { slot }, Message::Confirm { slot }] {
                    world.inject::<Reader>(greedy, member, &instance, &message);
                }
            }
        }
    }
    (0..600).for_each(|number| send(&mut world, flood, format!("{number}{}", " ".repeat(500))));
    (0..10).for_each(|_| send(&mut world, a, "mine"));
    let mine =
        |world: &World| read(world, r).iter().filter(|entry| entry.payload == "mine").count();
    assert!(!world.run_while(|world| mine(world) < 10), "not everything was read");
    assert!(answered(&world, flood) < 600, "others need not wait for a flood");
    run_senders(&mut world, &[flood], 600);
    run_readers(&mut world, &[r], 610);
    let bounds = oracle::Bounds { instances: 200, waiting: 600, snapshot: 2 << 20 };
    oracle::bounded(&world, bounds).unwrap();
    assert_no_slander(&world);
}

/// What members say on a stream of their own, outsiders read as the members have it.
fn outsiders_read_what_members_say<A: Shelvable<Spec: Default>>()
where
    Shelved<A>: Engine<Spec = shelved::Spec<A::Spec>>,
{
    property(6, |seed| {
        let (n, f) = size(seed, &[4, 7]);
        let mut world = World::new(seed, [(GROUP, Thresholds::asynchronous(n, f).unwrap())]);
        world.set_adversary(Relents::at(UNFAIR_STEPS));
        let engine = shelved::Spec { engine: A::Spec::default(), shelf: shelf::Spec::default() };
        let spec = closing::Spec { engine, lag_max: 1 << 20 };
        world.add_group::<Closing<Shelved<A>>>(GROUP, GROUP, |_| spec.clone());
        corrupt(&mut world, seed, f, if seed % 2 == 0 { lies } else { behaviour::any });
        world.set_restarts(seed % 3);
        let client = World::client("r");
        let seat = world.seat(client, GROUP, GROUP).child(Role::Stream.only());
        world.add::<Reader>(seat.child(Shelved::<A>::SHELF), reader::Spec::from(Slot::FIRST));
        pull(&mut world, client, 1_000);
        let correct: Vec<_> =
            world.members(GROUP).into_iter().filter(|owner| !world.is_corrupted(*owner)).collect();
        for owner in &correct {
            world.input::<Closing<Shelved<A>>>(
                *owner,
                closing::Input::Pull { up_to: Slot::new(u64::MAX) },
            );
            for wave in 0..3 {
                let batch = Batch::of([format!("{owner:?} {wave}"), format!("{owner:?} {wave}b")]);
                world.input::<Closing<Shelved<A>>>(*owner, closing::Input::Submit { batch });
            }
        }
        let said = |world: &World| -> Vec<Bytes> {
            let payload = |entry: Entry| match Ordered::read(&entry.payload) {
                Ordered::Payload(payload) => Some(payload),
                Ordered::Close | Ordered::Nothing => None,
            };
            read(world, client).into_iter().filter_map(payload).collect()
        };
        let own =
            |said: &[Bytes]| said.iter().filter(|payload| payload.starts_with(b"Party")).count();
        assert!(!world.run_while(|world| own(&said(world)) < 6 * correct.len()));
        let delivered = |output: &closing::Output| match output {
            closing::Output::Stream(atomic::Output::Deliver { batch, .. }) => {
                batch.iter().collect::<Vec<_>>()
            }
            _ => Vec::new(),
        };
        for owner in &correct {
            let all: Vec<_> =
                world.outputs::<Closing<Shelved<A>>>(*owner).iter().flat_map(delivered).collect();
            let read = said(&world);
            let common = all.len().min(read.len());
            assert_eq!(all[..common], read[..common]);
        }
        assert_no_slander(&world);
    });
}

#[test]
fn outsiders_read_what_members_order_in_rounds_and_in_lanes() {
    outsiders_read_what_members_say::<Atomic>();
    outsiders_read_what_members_say::<Certified>();
}

#[test]
fn outsiders_read_what_members_order_with_a_leader() {
    outsiders_read_what_members_say::<Fast>();
}
