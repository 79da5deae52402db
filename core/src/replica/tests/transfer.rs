//! A state that is fetched from helpers that lie in every field, stall, or forget; and what it costs.

use bytes::Bytes;

use super::{
    super::{Message, fetching::UNDER_WAY_MAX, message::CHUNK},
    LONG, MOMENT, group,
    world::{Envelope, World, party},
};
use crate::{
    crypto::Digest,
    fault::Fault,
    id::{PartyId, Peer},
    seat::Owner,
    time::Span,
};

fn add(world: &mut World, count: u64) {
    for _ in 0..count {
        world.ask(1, "add 1");
        world.pass(MOMENT);
    }
}

/// A group whose last member was away until it needs the state of others, which has many pieces.
fn behind(seed: u64, n: u16, f: u16) -> World {
    let mut world = group(seed, n, f);
    world.crashed.insert(party(0, n - 1));
    add(&mut world, 160);
    world
}

/// Brings the last member back, and lets it fetch.
fn back(world: &mut World, n: u16) {
    world.crashed.clear();
    add(world, 140);
    world.pass(LONG);
    world.assert_equal(0, &[]);
    assert!(!world.replica(0, n - 1).is_behind());
}

/// Whether somebody has a proof against this member.
fn is_named(world: &World, liar: u16) -> bool {
    world.faults.iter().any(|(_, who, fault)| {
        *who == Peer::Member(PartyId::new(liar)) && matches!(fault, Fault::BadProof { .. })
    })
}

fn flipped(bytes: &[u8]) -> Bytes {
    bytes.iter().map(|byte| byte ^ 1).collect()
}

/// What a liar makes of what it should say. `None`: nothing.
type Lie = fn(Message) -> Option<Message>;

/// With another list of pieces.
fn listing(message: Message, bend: impl Fn(&mut Vec<Digest>)) -> Message {
    match message {
        Message::List { digest, mut pieces } => {
            bend(&mut pieces);
            Message::List { digest, pieces }
        }
        other => other,
    }
}

/// With another piece, or one that is called otherwise.
fn sending(message: Message, bend: impl Fn(Digest, u32, Bytes) -> (Digest, u32, Bytes)) -> Message {
    match message {
        Message::Chunk { digest, place, bytes } => {
            let (digest, place, bytes) = bend(digest, place, bytes);
            Message::Chunk { digest, place, bytes }
        }
        other => other,
    }
}

/// Lies that prove themselves.
const PROVEN: [Lie; 7] = [
    |it| Some(listing(it, |pieces| pieces[0] = Digest::of("lie", b""))),
    |it| Some(listing(it, |pieces| pieces.truncate(pieces.len() - 1))),
    |it| Some(listing(it, |pieces| pieces.push(pieces[0]))),
    |it| Some(listing(it, Vec::clear)),
    |it| Some(sending(it, |digest, place, bytes| (digest, place, flipped(&bytes)))),
    |it| Some(sending(it, |digest, place, bytes| (digest, place, bytes.slice(1..)))),
    |it| Some(sending(it, |digest, place, _| (digest, place, Bytes::new()))),
];

/// Lies that are only as good as silence: they answer nothing that was asked.
const VAIN: [Lie; 7] = [
    |it| Some(sending(it, |digest, place, bytes| (digest, place.wrapping_add(1 << 20), bytes))),
    |it| Some(sending(it, |_, place, bytes| (Digest::of("other", b""), place, bytes))),
    |it| Some(sending(it, |digest, _, bytes| (digest, u32::MAX, bytes))),
    |it| match it {
        Message::List { pieces, .. } => {
            Some(Message::List { digest: Digest::of("other", b""), pieces })
        }
        other => Some(other),
    },
    |it| (!matches!(it, Message::List { .. })).then_some(it),
    |it| (!matches!(it, Message::Chunk { .. })).then_some(it),
    // One piece comes, the others do not.
    |it| (!matches!(it, Message::Chunk { place: 1.., .. })).then_some(it),
];

/// Lets the first members lie like this to everybody.
fn lied_to(world: &mut World, liars: u16, lie: Lie) {
    world.meddle = Box::new(move |envelope: &mut Envelope| {
        let liar = (0..liars).any(|liar| envelope.from == party(0, liar));
        match envelope.message().filter(|_| liar) {
            Some(message) => match lie(message) {
                Some(message) => {
                    envelope.say(&message);
                    true
                }
                None => false,
            },
            None => true,
        }
    });
}

#[test]
fn a_helper_that_lies_in_any_field_is_named_and_left_for_another() {
    for (seed, lie) in (0..).zip(PROVEN) {
        let mut world = behind(seed, 4, 1);
        lied_to(&mut world, 1, lie);
        back(&mut world, 4);
        assert!(is_named(&world, 0), "lie {seed}: {:?}", world.faults);
        assert!(!is_named(&world, 1) && !is_named(&world, 2), "{:?}", world.faults);
    }
}

#[test]
fn a_helper_that_stalls_only_costs_time() {
    for (seed, lie) in (0..).zip(VAIN) {
        let mut world = behind(seed, 4, 1);
        lied_to(&mut world, 1, lie);
        back(&mut world, 4);
        let mut by_members = world.faults.iter().filter(|(by, ..)| matches!(by, Owner::Party(..)));
        assert_eq!(by_members.next(), None, "lie {seed}");
    }
}

#[test]
fn f_helpers_that_lie_each_in_its_way_hold_nobody_up() {
    for seed in 0..6 {
        let mut world = behind(seed, 7, 2);
        let lies = [PROVEN[seed as usize], VAIN[seed as usize]];
        world.meddle = Box::new(move |envelope: &mut Envelope| {
            let Some(message) = envelope.message() else { return true };
            let liar = (0..2).find(|liar| envelope.from == party(0, *liar));
            match liar.map(|liar| lies[usize::from(liar)](message)) {
                Some(Some(lie)) => envelope.say(&lie),
                Some(None) => return false,
                None => {}
            }
            true
        });
        back(&mut world, 7);
    }
}

/// One piece is wrong once: the others are not fetched again, and not from the liar.
#[test]
fn what_is_proven_is_not_fetched_twice() {
    let mut world = behind(1, 4, 1);
    let sent = std::rc::Rc::new(std::cell::RefCell::new((0, 0)));
    let count = std::rc::Rc::clone(&sent);
    world.meddle = Box::new(move |envelope: &mut Envelope| {
        if let Some(Message::Chunk { digest, place, bytes }) = envelope.message() {
            let (liars, all) = &mut *count.borrow_mut();
            *all += 1;
            if envelope.from == party(0, 0) {
                *liars += 1;
                envelope.say(&Message::Chunk { digest, place, bytes: flipped(&bytes) });
            }
        }
        true
    });
    back(&mut world, 4);
    let (liars, all) = *sent.borrow();
    let pieces = world.size(0, 3).div_ceil(CHUNK);
    assert!((1..=UNDER_WAY_MAX).contains(&liars), "{liars}");
    assert!(all > 2 * UNDER_WAY_MAX && all <= pieces + UNDER_WAY_MAX, "{all} for {pieces}");
}

/// Nobody grows with the time that a member is away, and that one not while it fetches, either.
#[test]
fn an_absence_costs_nobody_memory() {
    let mut world = group(1, 4, 1);
    world.crashed.insert(party(0, 3));
    let mut sizes = Vec::new();
    for _ in 0..8 {
        add(&mut world, 1_000);
        world.pass(Span::millis(1_000));
        sizes.push((0..3).map(|p| world.size(0, p)).max().unwrap_or(0));
    }
    let (early, late) = (sizes[1], sizes[7]);
    assert!(late <= early + early / 10, "{sizes:?}");
    world.crashed.clear();
    add(&mut world, 140);
    world.pass(LONG);
    world.assert_equal(0, &[]);
    assert!(world.size(0, 3) <= 2 * late, "{} beside {late}", world.size(0, 3));
}
