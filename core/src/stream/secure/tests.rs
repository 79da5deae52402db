mod hostile;

use bytes::Bytes;

use super::*;
use crate::{
    effects::Effect,
    mail::{Mail, Notice},
    shuttle::{Delivery, Shuttle, p, read, seat},
    stream::atomic::Atomic,
    wire,
};

type World = Shuttle<Secure<Atomic>>;

/// `n` parties whose users take everything at once.
fn world(n: u16, seed: u64) -> World {
    let mut world = World::new(n, seed, Spec::default());
    (0..usize::from(n)).for_each(|party| pull(&mut world, party, u64::MAX));
    world
}

fn pull(world: &mut World, party: usize, up_to: u64) {
    world.input(party, Input::Pull { up_to: Slot::new(up_to) });
}

fn submit(world: &mut World, party: usize, payloads: &[&str]) {
    world.input(party, Input::Submit { batch: Batch::of(payloads) });
}

/// What a party delivered: who wrote what. Slots have no gaps.
fn delivered(outputs: &[Output]) -> Vec<(Author, Bytes)> {
    let (mut all, mut next) = (Vec::new(), Slot::FIRST);
    for output in outputs {
        match output {
            Output::Deliver { slot, author, batch, .. } => {
                assert_eq!(*slot, next, "slots have no gaps");
                assert!(!batch.is_empty());
                all.extend(batch.iter().map(|payload| (*author, payload)));
                next = slot.next();
            }
            Output::Invalid { first, count, .. } => {
                assert_eq!(*first, next, "slots have no gaps");
                next = first.plus(*count);
            }
            _ => {}
        }
    }
    all
}

/// What a party wrote, in the order in which it was delivered.
fn of(all: &[(Author, Bytes)], party: u16) -> Vec<Bytes> {
    let own = all.iter().filter(|(author, _)| *author == Author::Member(p(party)));
    own.map(|(_, payload)| payload.clone()).collect()
}

#[test]
fn all_deliver_the_same_payloads_in_the_same_order() {
    for n in [1, 4, 7] {
        for seed in 0..6 {
            let mut world = world(n, seed);
            for count in 0..7 {
                for party in 0..usize::from(n) {
                    submit(&mut world, party, &[&format!("{party}:{count}"), "x"]);
                }
                if count == 1 {
                    world.run();
                }
            }
            world.run();
            let all = delivered(&world.outputs[0]);
            assert_eq!(all.len(), usize::from(n) * 14, "n={n} seed={seed}");
            for party in 0..n {
                let outputs = &world.outputs[usize::from(party)];
                assert_eq!(delivered(outputs), all, "n={n} seed={seed}");
                let expected: Vec<_> = (0..7)
                    .flat_map(|count| [format!("{party}:{count}").into(), Bytes::from("x")])
                    .collect();
                assert_eq!(of(&all, party), expected, "the order of submission");
                assert!(outputs.contains(&Output::Ordered { own: 14 }));
            }
            assert_eq!(world.faults, []);
            let slots = world.trees[0].root().line.next().number();
            assert!(slots < u64::from(n) * 7, "{slots} ciphertexts: batches share one");
        }
    }
}

#[test]
fn f_who_withhold_their_shares_hold_nobody_up() {
    for n in [4, 7] {
        let mut world = world(n, 3);
        world.mute = (0..usize::from((n - 1) / 3)).collect();
        let last = usize::from(n) - 1;
        submit(&mut world, last, &["a"]);
        world.run();
        for outputs in &world.outputs {
            assert_eq!(delivered(outputs), [(Author::Member(p(n - 1)), "a".into())]);
        }
    }
}

#[test]
fn outsiders_encrypt_for_the_group() {
    let client = ClientId::of_key(&crate::crypto::Digest::of("test", b"client"));
    let mut world = world(4, 1);
    let (keys, stream) = (world.seats[0].keys.clone(), world.seats[0].id.clone());
    let batch = Batch::of(["an order", "and another"]);
    let ciphertext = encrypt(&keys, &stream, client, &batch, &[3; 32]).unwrap();
    let forward = Input::Forward { client, ciphertext };
    (0..2).for_each(|party| world.input(party, forward.clone()));
    world.run();
    let once = [
        (Author::Client(client), "an order".into()),
        (Author::Client(client), "and another".into()),
    ];
    assert_eq!(delivered(&world.outputs[3]), [&once[..], &once].concat(), "an identical duplicate");
    assert_eq!(world.faults, []);
    let huge = Batch::of([vec![0; message::PLAIN_MAX]]);
    for wrong in [huge, Batch::default()] {
        assert!(encrypt(&keys, &stream, client, &wrong, &[3; 32]).is_err());
    }
}

#[test]
fn what_is_too_large_is_refused() {
    let mut world = world(4, 1);
    let huge = Batch::of([vec![0; message::PLAIN_MAX]]);
    world.input(0, Input::Submit { batch: huge });
    assert_eq!(world.outputs[0], [Output::Refused { payloads: 1 }]);
}

/// Nobody but one takes anything, and that one waits for nobody's credit.
#[test]
fn users_without_credit_hold_nobody_else_up() {
    let mut world = World::new(4, 2, Spec { lag_max: 200_000, ..Spec::default() });
    pull(&mut world, 3, u64::MAX);
    for count in 0..60 {
        submit(&mut world, 0, &["x".repeat(3_000).as_str(), &format!("{count}")]);
        world.run();
    }
    assert_eq!(delivered(&world.outputs[3]).len(), 120);
    let lagged = world.outputs[1].iter().find_map(|output| match output {
        Output::Lagged { from, to } => Some((*from, *to)),
        _ => None,
    });
    let (from, to) = lagged.expect("200 kB are less than 60 payloads of 3 kB and their slots");
    assert!(from == Slot::FIRST && to > from);
    pull(&mut world, 1, u64::MAX);
    world.run();
    let rest = world.outputs[1].iter().filter(|output| matches!(output, Output::Deliver { .. }));
    let first = rest.clone().next().cloned();
    assert!(matches!(first, Some(Output::Deliver { slot, .. }) if slot >= to));
    assert!(rest.count() > 0);
}

/// Says that frames from one party to another were lost.
fn missed(world: &mut World, at: usize, from: u16) {
    world.take(at, Mail::Notice(Notice::Missed { from: Peer::Member(p(from)) }));
}

fn is_share(delivery: &Delivery<Secure<Atomic>>, of: usize) -> bool {
    let said = read::<_, Message>(delivery);
    delivery.0 == of
        && said.is_some_and(|(_, instance, message)| {
            instance.path().is_empty() && matches!(message, Message::Shares(_))
        })
}

#[test]
fn shares_that_were_lost_are_asked_for() {
    for seed in 0..5 {
        let mut world = world(4, seed);
        for count in 0..70 {
            submit(&mut world, 1, &[&format!("{count}")]);
            world.deliver(|delivery| !is_share(delivery, 0));
            world.pool.clear();
        }
        assert_eq!(delivered(&world.outputs[2]).len(), 70);
        assert_eq!(delivered(&world.outputs[0]), []);
        (1..4).for_each(|from| missed(&mut world, 0, from));
        world.run();
        assert_eq!(delivered(&world.outputs[0]), delivered(&world.outputs[2]), "seed={seed}");
        assert_eq!(world.faults, []);
    }
}

#[test]
fn shares_that_nobody_keeps_are_behind() {
    let mut world = World::new(4, 1, Spec { shares_kept: 8, ..Spec::default() });
    (0..4).for_each(|party| pull(&mut world, party, u64::MAX));
    for count in 0..30 {
        submit(&mut world, 1, &[&format!("{count}")]);
        world.deliver(|delivery| !is_share(delivery, 0));
        world.pool.clear();
    }
    (1..4).for_each(|from| missed(&mut world, 0, from));
    world.run();
    assert!(world.outputs[0].contains(&Output::Behind));
    let ends = world.outputs[2].iter().filter_map(|output| match output {
        Output::RoundEnd { position } => Some(position.clone()),
        _ => None,
    });
    let position = ends.clone().nth(ends.count() - 4).unwrap();
    world.input(0, Input::Resume { position: position.clone() });
    world.run();
    let first = world.outputs[0].iter().find_map(|output| match output {
        Output::Deliver { slot, batch, .. } => Some((*slot, batch.clone())),
        _ => None,
    });
    let expected = Batch::of([format!("{}", position.slot.number())]);
    assert_eq!(first, Some((position.slot, expected)));
    submit(&mut world, 0, &["back again"]);
    world.run();
    assert_eq!(of(&delivered(&world.outputs[3]), 0), ["back again"]);
    assert_eq!(world.faults, []);
}

#[test]
fn one_who_asks_too_often_is_not_answered() {
    let mut world = world(4, 1);
    submit(&mut world, 1, &["a"]);
    world.run();
    let recall = Message::Recall { from: Slot::FIRST, lossy: false };
    for _ in 0..100 {
        world.forge(3, 0, &recall);
    }
    world.deliver(|(to, _)| *to == 0);
    let answers = world.pool.iter().filter(|delivery| is_share(delivery, 3)).count();
    assert_eq!(answers, 64);
}

#[test]
fn a_snapshot_is_the_whole_state() {
    let mut world = world(4, 1);
    submit(&mut world, 1, &["a"]);
    world.run();
    let root = world.trees[0].root();
    assert_eq!(wire::decode_own::<Secure<Atomic>>(&wire::encode(root)).as_ref(), Ok(root));
}
