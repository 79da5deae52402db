mod lacking;

use bytes::Bytes;

use super::{message::NUMBER_MAX, order::Memo, *};
use crate::{
    crypto::{Certificate, Digest, Share},
    effects::Effect,
    mail::{Mail, Notice},
    path::InstanceId,
    shuttle::{Delivery as Piece, Shuttle, p, read, seat},
    stream::{batch::Batch, fast::Head},
    wire::{self, limits::PAYLOAD_MAX},
};

/// `n` parties whose users take everything at once.
fn world_that_keeps(n: u16, seed: u64, spec: Spec) -> Shuttle<Certified> {
    let mut world = Shuttle::new(n, seed, spec);
    let up_to = Slot::new(u64::MAX);
    (0..usize::from(n)).for_each(|party| world.input(party, Input::Pull { up_to }));
    world
}

fn world(n: u16, seed: u64) -> Shuttle<Certified> {
    world_that_keeps(n, seed, Spec::default())
}

fn submit(world: &mut Shuttle<Certified>, party: usize, payloads: &[&str]) {
    world.input(party, Input::Submit { batch: Batch::of(payloads) });
}

/// What a party delivered: who submitted what, by slot. Gaps are a failure.
fn delivered(outputs: &[Output]) -> Vec<(PartyId, Bytes)> {
    let mut all = Vec::new();
    for output in outputs {
        if let Output::Deliver { first, from, batch } = output {
            assert_eq!(first.number(), all.len() as u64, "slots have no gaps");
            assert!(!batch.is_empty());
            all.extend(batch.iter().map(|payload| (*from, payload)));
        }
    }
    all
}

fn ends(outputs: &[Output]) -> Vec<Position> {
    let end = |output: &Output| match output {
        Output::RoundEnd { position } => Some(position.clone()),
        _ => None,
    };
    outputs.iter().filter_map(end).collect()
}

fn root(world: &Shuttle<Certified>, party: usize) -> &Certified {
    world.trees[party].root()
}

/// What a party says in answer to a message.
fn answers(
    world: &Shuttle<Certified>,
    party: usize,
    from: u16,
    message: Message,
) -> Vec<Effect<Certified>> {
    let mut it = root(world, party).clone();
    let mut fx = Effects::new(&world.seats[party]);
    it.step(Event::Message { from: Peer::Member(p(from)), message }, &mut fx);
    fx.into_list()
}

fn chain(batches: &[Batch]) -> Head {
    batches.iter().fold(Head::start(), |head, batch| head.then(&batch.digest()))
}

/// A message to the root of a party.
fn says(piece: &Piece<Certified>) -> Option<Message> {
    let (_, instance, message) = read::<_, Message>(piece)?;
    InstanceId::path(instance).is_empty().then_some(message)
}

#[test]
fn all_deliver_the_same_payloads_in_the_same_order() {
    for n in [1, 4, 5, 7] {
        for seed in 0..6 {
            let mut world = world(n, seed);
            for count in 0..3 {
                for party in 0..usize::from(n) {
                    submit(&mut world, party, &[&format!("{party}:{count}"), "x"]);
                }
                if count == 1 {
                    world.run();
                }
            }
            world.run();
            let all = delivered(&world.outputs[0]);
            assert_eq!(all.len(), usize::from(n) * 6, "n={n} seed={seed}");
            for party in 0..n {
                let of = all.iter().filter(|(from, _)| *from == p(party));
                let expected =
                    (0..3).flat_map(|count| [format!("{party}:{count}"), "x".to_string()]);
                assert!(of.map(|(_, payload)| payload.clone()).eq(expected.map(Bytes::from)));
            }
            for outputs in &world.outputs {
                assert_eq!(delivered(outputs), all);
                assert_eq!(ends(outputs).last(), ends(&world.outputs[0]).last());
                assert!(outputs.contains(&Output::Ordered { own: 6 }));
            }
            assert_eq!(world.faults, []);
        }
    }
}

#[test]
fn one_signature_covers_all_batches_up_to_a_head() {
    let mut world = world(4, 1);
    let large = "x".repeat(PAYLOAD_MAX);
    for _ in 0..4 {
        submit(&mut world, 0, &[&large]);
    }
    let count = |world: &Shuttle<Certified>, wanted: fn(&Message) -> bool| {
        world.pool.iter().filter_map(says).filter(wanted).count()
    };
    assert_eq!(count(&world, |message| matches!(message, Message::Batch { .. })), 4 * 3);
    // What goes to the others goes together: nobody has signed, so nothing else was asked.
    assert_eq!(count(&world, |message| matches!(message, Message::Sign { seq: 1 })), 3);
    world.run();
    assert_eq!(delivered(&world.outputs[1]).len(), 4);
    let rounds = root(&world, 1).position().round.number();
    assert!(rounds <= 3, "four batches took {rounds} rounds");
    let signed: Vec<_> = world.trees.iter().map(|tree| tree.root().chain(p(0)).signed).collect();
    assert_eq!(signed, [4; 4]);
}

#[test]
fn a_group_without_payloads_is_silent() {
    let mut world = world(4, 1);
    assert!(world.pool.is_empty());
    submit(&mut world, 2, &["only"]);
    world.run();
    let rounds: Vec<_> = (0..4).map(|party| root(&world, party).position().round).collect();
    assert_eq!(rounds, [crate::id::Round::new(1); 4]);
}

#[test]
fn silent_parties_stop_nobody() {
    for n in [4, 7] {
        for seed in 0..6 {
            let silent = usize::from((n - 1) / 3);
            let mut world = world(n, seed);
            world.mute = (0..silent).collect();
            for party in 0..usize::from(n) {
                submit(&mut world, party, &["a", "b"]);
            }
            world.run();
            for party in silent..usize::from(n) {
                let all = delivered(&world.outputs[party]);
                assert_eq!(all.len(), 2 * (usize::from(n) - silent), "n={n} seed={seed}");
                assert_eq!(all, delivered(&world.outputs[silent]));
            }
        }
    }
}

#[test]
fn receipts_bind_head_lane_and_signers() {
    let seats: Vec<_> = (0..4).map(|party| seat(4, party)).collect();
    let head = Head { seq: 7, chain: Digest::of("lane", b"x") };
    let receipt = |signers: &[u16]| {
        let share =
            |party: &u16| (p(*party), receipt::share(&seats[usize::from(*party)], p(1), head));
        let shares: Vec<_> = signers.iter().map(share).collect();
        let keys = &seats[0].keys.quorum;
        keys.combine(
            &seats[0].tag("lane").numbered(1),
            &Digest::of_parts("head", &[&7_u64.to_le_bytes(), head.chain.as_bytes()]),
            &shares,
        )
    };
    let certificate = receipt(&[0, 2, 3]).unwrap();
    let right = Receipt { head, certificate: certificate.clone() };
    assert!(right.check(&seats[3], p(1)));
    assert!(!right.check(&seats[3], p(2)), "another lane");
    for head in [Head { seq: 8, ..head }, Head { chain: Digest::of("lane", b"y"), ..head }] {
        assert!(!Receipt { head, certificate: certificate.clone() }.check(&seats[3], p(1)));
    }
    assert!(receipt(&[0, 2]).is_err(), "two are no quorum");
    let empty = Certificate(Bytes::new());
    assert!(!Receipt { head, certificate: empty }.check(&seats[3], p(1)));
}

#[test]
fn a_wrong_share_convicts_its_sender_and_is_done_without() {
    let mut world = world(4, 2);
    world.mute = vec![3];
    submit(&mut world, 0, &["x"]);
    let wrong = || Share(Bytes::from_static(b"wrong"));
    let head = chain(&[Batch::of(["x"])]);
    world.forge(3, 0, &Message::Share { head: Head { seq: 9, ..head }, share: wrong() });
    world.forge(3, 0, &Message::Share { head, share: wrong() });
    world.deliver(|piece| matches!(says(piece), Some(Message::Share { .. })));
    world.run();
    assert_eq!(delivered(&world.outputs[1]).len(), 1);
    let (accuser, peer, fault) = world.faults.first().unwrap();
    assert_eq!((*accuser, *peer), (p(0), Peer::Member(p(3))));
    assert!(matches!(fault, Fault::BadProof { .. }), "{fault}");
}

#[test]
fn a_receipt_that_nobody_signed_moves_nobody_and_convicts_its_owner() {
    let mut world = world(4, 2);
    let head = Head { seq: 3, chain: Digest::of("lane", b"x") };
    let forged = Receipt { head, certificate: Certificate(Bytes::from_static(b"forged")) };
    let forged = || wire::encode(&forged);
    let accused = |it: &mut Certified, batch| {
        let mut fx = Effects::new(&world.seats[0]);
        it.on_below(Output::Deliver { first: Slot::FIRST, from: p(3), batch }, &mut fx);
        let fault = |effect: &Effect<_>| match effect {
            Effect::Accuse { fault, .. } => Some(fault.kind()),
            _ => None,
        };
        fx.list().iter().filter_map(fault).collect::<Vec<_>>()
    };
    let mut it = root(&world, 0).clone();
    assert_eq!(accused(&mut it, Batch::of([forged()])), ["bad-proof"]);
    assert_eq!(accused(&mut it, Batch::of(["no receipt at all"])), ["bad-proof"]);
    let many = Batch::of(vec![forged(); 100]);
    assert_eq!(accused(&mut it, many), ["flood", "bad-proof"], "one of them is looked at");
    assert_eq!(it.below.reached(p(3)), Head::start());
    submit(&mut world, 1, &["x"]);
    world.run();
    assert_eq!(delivered(&world.outputs[0]).len(), 1);
}

#[test]
fn what_no_correct_member_says_is_refused() {
    let four = seat(4, 0);
    let judge =
        |from: u16, message: &Message| Certified::admit(&four, Peer::Member(p(from)), message);
    let (head, batch) = (|seq| Head { seq, chain: Digest::of("x", b"") }, || Batch::of(["x"]));
    assert_eq!(judge(3, &Message::Batch { seq: 1, batch: batch() }), Ok(()));
    assert_eq!(judge(3, &Message::Want { lane: p(1), after: 3, to: head(4) }), Ok(()));
    assert!(judge(9, &Message::Sign { seq: 1 }).is_err(), "not a member");
    let large = Share(vec![0; crate::wire::limits::SHARE_BYTES_MAX + 1].into());
    for wrong in [
        Message::Batch { seq: 1, batch: Batch::default() },
        Message::Batch { seq: 0, batch: batch() },
        Message::Batch { seq: NUMBER_MAX + 1, batch: batch() },
        Message::Batch { seq: 1, batch: Batch::of([vec![0; PAYLOAD_MAX + 1]]) },
        Message::Part { lane: p(4), seq: 1, before: head(0).chain, batch: batch() },
        Message::Part { lane: p(1), seq: 0, before: head(0).chain, batch: batch() },
        Message::Sign { seq: u64::MAX },
        Message::Share { head: head(1), share: large },
        Message::Share { head: head(u64::MAX), share: Share(Bytes::new()) },
        Message::Recall { seq: u64::MAX, back: false },
        Message::Lack { lane: p(4), to: head(1) },
        Message::Have { lane: p(1), to: head(u64::MAX) },
        Message::Gone { lane: p(9), to: head(1) },
        Message::Want { lane: p(1), after: 4, to: head(4) },
        Message::Want { lane: p(1), after: 5, to: head(4) },
        Message::Want { lane: p(1), after: 0, to: head(lane::LANE_WINDOW + 1) },
    ] {
        assert!(judge(3, &wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn an_owner_that_asks_for_many_signatures_gets_one_a_batch() {
    let world = world(4, 5);
    let mut it = root(&world, 0).clone();
    let mut signed = 0;
    let mut say = |it: &mut Certified, message| {
        let mut fx = Effects::new(&world.seats[0]);
        it.step(Event::Message { from: Peer::Member(p(3)), message }, &mut fx);
        let share = |effect: &&Effect<_>| {
            matches!(effect, Effect::Send { message: Message::Share { .. }, .. })
        };
        signed += fx.list().iter().filter(share).count();
    };
    for seq in 1..=3 * lane::LANE_WINDOW {
        say(&mut it, Message::Batch { seq, batch: Batch::of(["x"]) });
        (0..3).for_each(|_| say(&mut it, Message::Sign { seq }));
    }
    assert_eq!(signed as u64, lane::LANE_WINDOW);
}

#[test]
fn old_rounds_leave_no_trace_beyond_what_is_kept() {
    let spec = Spec { rounds_kept: 4, ..Spec::default() };
    let mut world = world_that_keeps(4, 6, spec);
    for count in 0..40 {
        submit(&mut world, count % 3, &["x"]);
        world.run();
    }
    for tree in &world.trees {
        let it = tree.root();
        assert!(it.kept.len() <= 4 && it.lacking.is_empty());
        let kept: usize = it.lanes.iter().map(|lane| lane.after(0).count()).sum();
        assert!(kept <= 8, "{kept} batches");
        assert_eq!(tree.waiting(), 0);
        assert!(wire::encode(it).len() < 16 << 10);
    }
}

#[test]
fn without_credit_ordering_goes_on_and_the_user_lags() {
    let spec = Spec { lag_max: 2_000, ..Spec::default() };
    let mut lazy = Shuttle::<Certified>::new(4, 2, spec);
    for count in 0..20 {
        submit(&mut lazy, 0, &[&format!("{count} {}", "x".repeat(100))]);
        lazy.run();
    }
    let lags = lazy.outputs[1].iter().find(|output| matches!(output, Output::Lagged { .. }));
    let (from, to) = (Slot::new(0), Slot::new(9));
    assert_eq!(lags, Some(&Output::Lagged { from, to }));
    assert!(delivered(&lazy.outputs[1]).is_empty());
    assert!(lazy.outputs[0].contains(&Output::Ordered { own: 20 }));
}

#[test]
fn a_position_of_another_group_is_ignored() {
    let mut world = world(4, 1);
    let heads = vec![Head::start(); 5];
    let memo = wire::encode(&Memo { below: Slot::new(4), heads });
    let round = crate::id::Round::new(3);
    for memo in [memo, Bytes::from_static(b"no memo")] {
        world.input(0, Input::Resume { position: Position { round, memo, ..Position::default() } });
    }
    world.run();
    assert_eq!(root(&world, 0).position(), Position::default());
    submit(&mut world, 1, &["x"]);
    world.run();
    assert_eq!(delivered(&world.outputs[0]).len(), 1);
}
