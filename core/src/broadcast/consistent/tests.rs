use super::*;
use crate::{
    crypto::Scheme,
    id::{Epoch, GroupId},
    path::Role,
    shuttle::{Shuttle, p, seat},
    wire::limits,
};

const SPEC: Spec = Spec { sender: PartyId::new(0), limit: 100, approve: false };

fn payload(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn closing(world: &Shuttle<Consistent>, party: usize) -> Closing {
    match world.outputs[party].as_slice() {
        [Output::Delivered(closing)] => closing.clone(),
        other => panic!("{other:?} is not one delivery"),
    }
}

fn improper(world: &Shuttle<Consistent>, culprit: u16) -> bool {
    let is = |(_, peer, fault): &(PartyId, Peer, Fault)| {
        *peer == Peer::Member(p(culprit)) && matches!(fault, Fault::Improper(_))
    };
    world.faults.iter().all(is) && !world.faults.is_empty()
}

/// The share of `party` for `text` in a world's instance.
fn share(n: u16, party: u16, text: &'static str) -> Message {
    let seat = seat(n, party);
    Message::Echo(seat.keys.quorum.share(&seat.tag(ECHO), &digest(text.as_bytes())))
}

#[test]
fn everybody_delivers_what_a_correct_sender_says() {
    for n in [1, 4, 5, 7] {
        for seed in 0..20 {
            let mut world = Shuttle::<Consistent>::new(n, seed, SPEC);
            world.mute = (0..usize::from((n - 1) / 3)).map(|liar| liar + 1).collect();
            world.input(0, Input::Broadcast(payload("a")));
            world.input(0, Input::Broadcast(payload("b")));
            world.run();
            for party in 0..usize::from(n) {
                let closing = closing(&world, party);
                assert_eq!(closing.payload, payload("a"), "n={n} seed={seed}");
                assert!(closing.check(&world.seats[party].id, &world.seats[0].keys));
            }
            assert_eq!(world.faults, []);
        }
    }
}

#[test]
fn wrong_shares_are_named_and_left_out() {
    for seed in 0..50 {
        let mut world = Shuttle::<Consistent>::new(4, seed, SPEC);
        world.mute = vec![3];
        world.input(0, Input::Broadcast(payload("a")));
        world.forge(3, 0, &share(4, 3, "b"));
        world.run();
        assert!((0..3).all(|party| closing(&world, party).payload == payload("a")), "seed={seed}");
        let named =
            (p(0), Peer::Member(p(3)), Fault::BadProof { what: "share of a certificate".into() });
        // The share may come before its instance spoke, or after three others made the certificate.
        assert!(world.faults.iter().all(|fault| fault.1 == named.1), "seed={seed}");
    }
    let mut world = Shuttle::<Consistent>::new(4, 0, SPEC);
    world.mute = vec![3];
    world.input(0, Input::Broadcast(payload("a")));
    world.forge(3, 0, &share(4, 3, "b"));
    let forged = world.pool.pop().unwrap();
    world.take(0, forged.1);
    world.run();
    let fault = Fault::BadProof { what: "share of a certificate".into() };
    assert_eq!(world.faults, [(p(0), Peer::Member(p(3)), fault)]);
    assert_eq!(closing(&world, 2).payload, payload("a"));
}

#[test]
fn a_sender_that_lies_gets_no_two_certificates() {
    let mut world = Shuttle::<Consistent>::new(4, 0, SPEC);
    for (to, text) in [(1, "a"), (2, "b"), (3, "b"), (2, "a"), (1, "b"), (3, "a")] {
        world.forge(0, to, &Message::Initial(payload(text)));
    }
    let mut shares = vec![];
    while let Some((to, mail)) = world.pool.pop() {
        match mail {
            crate::mail::Mail::Frame { from: Peer::Member(from), bytes, .. } if to == 0 => {
                let Ok(Message::Echo(share)) = crate::wire::decode(&bytes) else { panic!() };
                shares.push((from, share));
            }
            mail => world.take(to, mail),
        }
    }
    assert_eq!(shares.len(), 3, "each signs once");
    let certified = ["a", "b"].map(|text| {
        let Message::Echo(own) = share(4, 0, text) else { unreachable!() };
        let right = |(party, other): &&(PartyId, Share)| {
            Message::Echo(other.clone()) == share(4, party.number(), text)
        };
        let mut right: Vec<_> = shares.iter().filter(right).cloned().collect();
        right.push((p(0), own));
        let seat = seat(4, 0);
        seat.keys.quorum.combine(&seat.tag(ECHO), &digest(text.as_bytes()), &right).is_ok()
    });
    assert_eq!(
        certified.iter().filter(|one| **one).count(),
        1,
        "the last two of three heard alike"
    );
    let twice = |(_, peer, fault): &(PartyId, Peer, Fault)| {
        *peer == Peer::Member(p(0)) && matches!(fault, Fault::Equivocated { .. })
    };
    assert_eq!(world.faults.iter().filter(|fault| twice(fault)).count(), 3);
}

#[test]
fn a_closing_makes_others_deliver_and_is_worth_nothing_elsewhere() {
    let mut world = Shuttle::<Consistent>::new(4, 1, SPEC);
    world.input(0, Input::Broadcast(payload("a")));
    world.run();
    let good = closing(&world, 1);
    let (id, keys) = (world.seats[0].id.clone(), world.seats[2].keys.clone());
    let other_payload = Closing { payload: payload("b"), ..good.clone() };
    let empty = Closing { certificate: Certificate(Bytes::new()), ..good.clone() };
    for bad in [&other_payload, &empty] {
        assert!(!bad.check(&id, &keys));
    }
    let elsewhere = [
        id.child(Role::Proposal.at(p(1))),
        InstanceId::reopened(GroupId::new(0), Epoch::FIRST, "test", 1),
        InstanceId::root(GroupId::new(0), Epoch::new(1), "test"),
        InstanceId::root(GroupId::new(1), Epoch::FIRST, "test"),
    ];
    assert!(elsewhere.iter().all(|of| !good.check(of, &keys)));

    let mut late = Shuttle::<Consistent>::new(4, 1, SPEC);
    late.input(2, Input::Close(other_payload));
    late.input(2, Input::Close(empty));
    assert_eq!(late.outputs[2], []);
    late.input(2, Input::Close(good.clone()));
    late.input(2, Input::Close(good.clone()));
    assert_eq!(late.outputs[2], [Output::Delivered(good)]);
}

#[test]
fn nobody_signs_what_its_user_does_not_approve() {
    let mut world = Shuttle::<Consistent>::new(4, 3, Spec { approve: true, ..SPEC });
    world.input(0, Input::Broadcast(payload("a")));
    world.input(0, Input::Approve);
    world.input(1, Input::Approve);
    world.run();
    let offered = vec![Output::Offered { payload: payload("a") }];
    assert!(world.outputs.iter().all(|all| *all == offered), "two of four are no quorum");
    world.input(2, Input::Approve);
    world.run();
    assert!(world.outputs.iter().all(|all| all.len() == 2), "{:?}", world.outputs);
}

#[test]
fn what_no_correct_party_sends_is_refused() {
    let certificate = Certificate(Bytes::from_static(b"none"));
    let forged = Message::Final { digest: digest(b"a"), certificate };
    let mut world = Shuttle::<Consistent>::new(4, 0, SPEC);
    world.forge(0, 1, &forged);
    world.run();
    assert!(matches!(world.faults.as_slice(), [(_, _, Fault::BadProof { .. })]));

    for (from, message) in [
        (2, Message::Initial(payload("a"))),
        (0, Message::Initial(vec![0; 101].into())),
        (3, share(4, 3, "a")),
        (3, Message::Echo(Scheme::Ideal.share(&[&[0; limits::SHARE_BYTES_MAX]]))),
    ] {
        let mut world = Shuttle::<Consistent>::new(4, 0, SPEC);
        world.forge(from, 1, &message);
        world.run();
        assert!(improper(&world, u16::try_from(from).unwrap()), "{message:?}");
        assert!(world.outputs.iter().all(Vec::is_empty));
    }
}

#[test]
fn a_certificate_may_overtake_its_payload() {
    let mut world = Shuttle::<Consistent>::new(4, 0, SPEC);
    world.input(0, Input::Broadcast(payload("a")));
    let slow = world.pool.iter().position(|(to, _)| *to == 3).unwrap();
    let initial = world.pool.remove(slow);
    world.run();
    assert_eq!(world.outputs[3], [], "a digest is no payload");
    world.take(3, initial.1);
    assert_eq!(closing(&world, 3), closing(&world, 0));
}
