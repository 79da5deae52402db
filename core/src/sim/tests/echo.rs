//! Several groups and clients in one world, and the order of links.

use serde::{Deserialize, Serialize};

use crate::{
    children::Children,
    effects::{Effects, To},
    id::{GroupId, Peer},
    protocol::{Event, Kind, Never, Protocol},
    seat::Owner,
    seat::Seat,
    sim::{World, oracle, p, property},
    thresholds::Thresholds,
};

/// Asks all of group 0; answers whoever asks with the numbers below what was asked, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Echo;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Message {
    Ask(u64),
    Answer(u64),
}

impl Protocol for Echo {
    const KIND: Kind = Kind("echo");
    type Spec = ();
    type Input = u64;
    type Output = (Peer, u64);
    type Message = Message;
    type Timer = Never;
    type Ask = Never;
    type Heard = Never;

    fn new(_: &Seat, (): ()) -> Self {
        Self
    }

    fn step(&mut self, event: Event<Self>, fx: &mut Effects<'_, Self>) {
        match event {
            Event::Input(number) => fx.send_to(To::Group(GroupId::new(0)), Message::Ask(number)),
            Event::Message { from, message: Message::Ask(number) } => {
                let to = match from {
                    Peer::Member(party) => To::Member(party),
                    Peer::Foreign(group, party) => To::Foreign(group, party),
                    Peer::Client(client) => To::Client(client),
                };
                (0..number).for_each(|answer| fx.send_to(to, Message::Answer(answer)));
            }
            Event::Message { from, message: Message::Answer(number) } => fx.output((from, number)),
            _ => {}
        }
    }

    fn route<C: Children<Self>>(ask: Never, _: &mut C) {
        match ask {}
    }
}

/// Groups `left` and `right`, and a client of `left`.
fn world(seed: u64) -> (World, Owner) {
    let thresholds = Thresholds::asynchronous(4, 1).expect("4 = 3 + 1");
    let mut world = World::new(seed, [("left", thresholds), ("right", thresholds)]);
    world.add_group::<Echo>("left", "left", |_| ());
    world.add_group::<Echo>("right", "right", |_| ());
    let client = World::client("ada");
    let seat = world.seat(client, "left", "left");
    world.add::<Echo>(seat, ());
    (world, client)
}

/// Whether `owner` heard 0 to 4 from each member of the left group, each of them in order.
fn in_order(world: &World, owner: Owner, peer: impl Fn(u16) -> Peer) -> bool {
    let outputs = world.outputs::<Echo>(owner);
    assert_eq!(outputs.len(), 20);
    (0..4).all(|number| {
        let heard = outputs.iter().filter(|(from, _)| *from == peer(number));
        heard.map(|(_, answer)| *answer).eq(0..5)
    })
}

#[test]
fn clients_and_other_groups_are_answered_in_the_order_of_links() {
    property(50, |seed| {
        let (mut world, client) = world(seed);
        let foreigner = Owner::Party(GroupId::new(1), p(2));
        world.input::<Echo>(client, 5);
        world.input::<Echo>(foreigner, 5);
        world.run();
        assert!(in_order(&world, client, |number| Peer::Member(p(number))));
        assert!(in_order(&world, foreigner, |number| Peer::Foreign(GroupId::new(0), p(number))));
        oracle::no_slander(&world).unwrap();
        assert_eq!(world.name(foreigner), "right[2]");
    });
}

#[test]
fn a_world_without_order_breaks_the_order_of_links() {
    let broken = (0..20).filter(|seed| {
        let (mut world, client) = world(*seed);
        world.set_unordered();
        world.input::<Echo>(client, 5);
        world.run();
        !in_order(&world, client, |number| Peer::Member(p(number)))
    });
    assert!(broken.count() > 10);
}

#[test]
fn frames_wait_for_a_root_that_comes_later() {
    let thresholds = Thresholds::asynchronous(4, 1).expect("4 = 3 + 1");
    let mut world = World::new(3, [("left", thresholds)]);
    let client = World::client("ada");
    let seat = world.seat(client, "left", "left");
    world.add::<Echo>(seat, ());
    world.input::<Echo>(client, 5);
    world.run();
    assert!(world.outputs::<Echo>(client).is_empty());
    world.add_group::<Echo>("left", "left", |_| ());
    world.run();
    assert!(in_order(&world, client, |number| Peer::Member(p(number))));
}
