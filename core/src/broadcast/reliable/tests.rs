use super::*;
use crate::{
    effects::Effect,
    shuttle::{Shuttle, p, seat},
};

const SPEC: Spec = Spec { sender: PartyId::new(0), limit: 100 };

fn payload(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn name(text: &'static str) -> Digest {
    Named::new(payload(text)).digest
}

fn delivered(text: &'static str) -> Vec<Output> {
    vec![Output::Delivered(payload(text))]
}

/// What one step of party 1 of four leaves.
fn step(reliable: &mut Reliable, from: u16, message: Message) -> Vec<Effect<Reliable>> {
    let seat = seat(4, 1);
    let mut fx = Effects::new(&seat);
    reliable.step(Event::Message { from: Peer::Member(p(from)), message }, &mut fx);
    fx.into_list()
}

fn fresh() -> Reliable {
    Reliable::new(&seat(4, 1), SPEC)
}

#[test]
fn everybody_delivers_what_a_correct_sender_says() {
    for n in [1, 4, 5, 7] {
        for seed in 0..20 {
            let mut world = Shuttle::<Reliable>::new(n, seed, SPEC);
            world.mute = (0..usize::from((n - 1) / 3)).map(|liar| liar + 1).collect();
            world.input(0, Input::Broadcast(payload("a")));
            world.input(0, Input::Broadcast(payload("b")));
            world.run();
            assert!(world.outputs.iter().all(|all| *all == delivered("a")), "n={n} seed={seed}");
            assert_eq!(world.faults, [], "n={n} seed={seed}");
        }
    }
}

#[test]
fn a_sender_that_lies_splits_nobody_and_is_named() {
    let (mut named, mut went_through) = (0, 0);
    for seed in 0..200 {
        let mut world = Shuttle::<Reliable>::new(4, seed, SPEC);
        world.mute = vec![0];
        for (to, text) in [(1, "a"), (2, "a"), (3, "b")] {
            world.forge(0, to, &Message::Initial(payload(text)));
            world.forge(0, to, &Message::Echo(name("a")));
            world.forge(0, to, &Message::Ready(name(text)));
        }
        world.run();
        let correct = &world.outputs[1..];
        assert!(correct.iter().all(|all| *all == correct[0]), "seed={seed}");
        went_through += usize::from(correct[0] == delivered("a"));
        named += usize::from(world.faults.contains(&(
            p(3),
            Peer::Member(p(0)),
            Fault::ToldOtherwise { told: name("b"), heard: name("a") },
        )));
        let by_correct = world.faults.iter().filter(|(by, _, _)| *by != p(0));
        assert!(by_correct.map(|fault| fault.1).all(|culprit| culprit == Peer::Member(p(0))));
    }
    // Party 3 was told "b" and had to ask an echoer for "a".
    assert_eq!((named, went_through), (200, 200));
}

#[test]
fn the_thresholds_are_exact() {
    let mut reliable = fresh();
    assert_eq!(step(&mut reliable, 0, Message::Ready(name("a"))), []);
    let ready =
        Effect::Send { to: crate::effects::To::Everyone, message: Message::Ready(name("a")) };
    let fx = step(&mut reliable, 2, Message::Ready(name("a")));
    assert_eq!(fx, std::slice::from_ref(&ready), "f + 1 amplify");
    assert_eq!(step(&mut reliable, 2, Message::Ready(name("a"))), [], "a party counts once");
    assert_eq!(step(&mut reliable, 3, Message::Ready(name("a"))), [], "accepted, but not here");
    let fx = step(&mut reliable, 3, Message::Echo(name("a")));
    assert_eq!(
        fx,
        [Effect::Send { to: crate::effects::To::Member(p(3)), message: Message::Request }]
    );
    let fx = step(&mut reliable, 3, Message::Answer(payload("a")));
    assert_eq!(fx, [Effect::Output(Output::Delivered(payload("a")))]);

    let mut reliable = fresh();
    for from in [0, 2] {
        assert_eq!(step(&mut reliable, from, Message::Echo(name("a"))), []);
    }
    assert_eq!(
        step(&mut reliable, 3, Message::Echo(name("a"))),
        [ready],
        "a quorum is three of four"
    );
}

/// Whom and of what one message makes party 1 accuse.
fn accused(reliable: &mut Reliable, from: u16, message: Message) -> Fault {
    match step(reliable, from, message).as_slice() {
        [Effect::Accuse { peer, fault }] if *peer == Peer::Member(p(from)) => fault.clone(),
        other => panic!("{other:?} is no accusation of p{from}"),
    }
}

#[test]
fn what_no_correct_party_does_is_named_and_changes_nothing() {
    let mut reliable = fresh();
    step(&mut reliable, 0, Message::Initial(payload("a")));
    step(&mut reliable, 2, Message::Echo(name("a")));
    step(&mut reliable, 2, Message::Ready(name("a")));
    let before = reliable.clone();
    let twice = Fault::Equivocated { first: name("a"), second: name("b") };
    assert_eq!(accused(&mut reliable, 0, Message::Initial(payload("b"))), twice);
    assert_eq!(accused(&mut reliable, 2, Message::Echo(name("b"))), twice);
    assert_eq!(accused(&mut reliable, 2, Message::Ready(name("b"))), twice);
    for (from, message) in [
        (2, Message::Initial(payload("b"))),
        (0, Message::Initial(vec![0; 101].into())),
        (2, Message::Answer(payload("a"))),
    ] {
        assert!(matches!(accused(&mut reliable, from, message), Fault::Improper(_)));
    }
    assert_eq!(reliable, before);
    assert!(matches!(accused(&mut fresh(), 2, Message::Request), Fault::Improper(_)));
}

#[test]
fn a_wrong_answer_is_named_and_the_right_one_still_counts() {
    let mut reliable = fresh();
    for from in [0, 2, 3] {
        step(&mut reliable, from, Message::Ready(name("a")));
        step(&mut reliable, from, Message::Echo(name("a")));
    }
    assert_eq!(reliable.asked.len(), 2, "f + 1 echoers are asked");
    let fault = accused(&mut reliable, 0, Message::Answer(payload("b")));
    assert_eq!(fault, Fault::Equivocated { first: name("a"), second: name("b") });
    let fx = step(&mut reliable, 2, Message::Answer(payload("a")));
    assert_eq!(fx, [Effect::Output(Output::Delivered(payload("a")))]);
}

#[test]
fn a_requester_is_answered_once() {
    let mut reliable = fresh();
    step(&mut reliable, 0, Message::Initial(payload("a")));
    assert_eq!(step(&mut reliable, 3, Message::Request).len(), 1);
    assert_eq!(step(&mut reliable, 3, Message::Request), []);
    assert_eq!(step(&mut reliable, 2, Message::Request).len(), 1);
}

/// Of the echoers of an accepted payload `f + 1` are asked, and all when the user insists.
#[test]
fn a_user_that_insists_has_all_echoers_asked() {
    let seat = seat(7, 1);
    let mut reliable = Reliable::new(&seat, SPEC);
    let mut fx = Effects::new(&seat);
    for from in 2..7 {
        for message in [Message::Echo(name("a")), Message::Ready(name("a"))] {
            reliable.step(Event::Message { from: Peer::Member(p(from)), message }, &mut fx);
        }
    }
    let asked = |fx: Effects<'_, Reliable>| {
        let request = |effect: &Effect<Reliable>| {
            matches!(effect, Effect::Send { message: Message::Request, .. })
        };
        fx.into_list().into_iter().filter(request).count()
    };
    assert_eq!(asked(fx), 3, "one of them is correct");
    let mut fx = Effects::new(&seat);
    reliable.step(Event::Input(Input::Insist), &mut fx);
    assert_eq!(asked(fx), 2, "the others");
}
