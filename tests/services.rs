//! The communication services through the facade: names, types, bounds and errors; embedded and over
//! TCP; and their root in simulated worlds.
//!
//! More seeds: `MAFTIA_SEEDS=10000 cargo test --release --test services`, and `MAFTIA_N=7` for one size.

#![expect(clippy::unwrap_used, reason = "an oracle says what it found by failing the test")]

use std::{net::TcpListener, sync::Arc, time::Duration};

use bytes::Bytes;
use maftia::{
    assembly::{Assembly, Reach},
    cs::{
        Anything, ArrayAgreement, AtomicStream, BinaryAgreement, BroadcastError, Fast, Group,
        Lanes, Member, OpenError, OpenStream, ReadError, ReliableBroadcast, ReliableStream, Rounds,
        StreamError,
        services::{Input, Output, RELEASED_KEPT, Refused, Say, Services, Spec, Told},
        stream::{self, Kind, Stream},
    },
};
use maftia_actors::{log::Store, node::Durability};
use maftia_core::{
    agreement::binary::{self, Binary},
    broadcast::reliable,
    config::Config,
    crypto::deal::Deal,
    id::{GroupId, PartyId},
    protocol::Protocol,
    sim::{self, oracle, p, property, size},
    stream::secure::Author,
};

/// What a member tells of the instance that it opened with this ticket.
fn told(outputs: &[Output], of: u64) -> Vec<Told> {
    let number = outputs.iter().find_map(|output| match output {
        Output::Opened { ticket, number: Ok(number) } if *ticket == of => Some(*number),
        _ => None,
    });
    let told = outputs.iter().filter_map(|output| match output {
        Output::Told { number: at, told } if Some(*at) == number => Some(told.clone()),
        _ => None,
    });
    told.collect()
}

fn open(ticket: u64, name: &str, spec: Spec<Anything>) -> Input<Anything> {
    Input::Open { ticket, class: "test".into(), name: name.into(), spec }
}

fn number_of(outputs: &[Output], of: u64) -> Result<u64, Refused> {
    let opened = outputs.iter().find_map(|output| match output {
        Output::Opened { ticket, number } if *ticket == of => Some(*number),
        _ => None,
    });
    opened.expect("it was answered")
}

fn bit() -> Spec<Anything> {
    Spec::Binary(binary::Spec::biased_to(true))
}

/// Members open in different orders, and some late, after all others spoke: a name means the same
/// instance at all, and what was said early is there. Whatever `f` of them do.
#[test]
fn a_name_means_the_same_to_all_whoever_comes_first() {
    property(30, |seed| {
        let (n, _) = size(seed, &[4, 7]);
        let mut group = sim::Group::<Services<Anything>>::new(n, (n - 1) / 3, seed, ());
        group = group.corrupt_any().restarts(seed % 2);
        if seed % 3 == 0 {
            group = group.detach([Binary::KIND]);
        }
        let news = Spec::Reliable(reliable::Spec { sender: p(0), limit: 100 });
        for party in PartyId::all(n) {
            let (first, second) = if party.number() % 2 == 0 { (1, 2) } else { (2, 1) };
            for ticket in [first, second] {
                let spec = if ticket == 1 { bit() } else { news.clone() };
                group.input(party, open(ticket, if ticket == 1 { "vote" } else { "news" }, spec));
            }
            if party == p(1) {
                group.run();
            }
        }
        group.run();
        let vote = number_of(group.outputs(p(0)), 1).unwrap();
        for party in group.correct() {
            assert_eq!(number_of(group.outputs(party), 1), Ok(vote));
            let say = Say::Binary(binary::Input::Propose(party.number() % 2 == 0));
            group.input(party, Input::Ask { number: vote, say });
        }
        let number = number_of(group.outputs(p(0)), 2).unwrap();
        let say = Say::Reliable(reliable::Input::Broadcast(Bytes::from_static(b"x")));
        group.input(p(0), Input::Ask { number, say });
        group.run();
        let decided = told(group.outputs(p(0)), 1);
        let bit = |told: &Told| match told {
            Told::Binary(binary::Output::Decided { value, .. }) => Some(*value),
            _ => None,
        };
        for party in group.correct() {
            let (one, two) = (told(group.outputs(party), 1), told(group.outputs(party), 2));
            assert_eq!((one.len(), bit(&one[0])), (1, bit(&decided[0])));
            let heard = reliable::Output::Delivered(Bytes::from_static(b"x"));
            assert_eq!(two, [Told::Reliable(heard)]);
        }
        oracle::no_slander(&group).unwrap();
    });
}

/// A name that was let go of is another instance when it is opened again; who finds one open hears what
/// it said; what nobody uses goes on for a while and not for ever.
#[test]
fn names_are_used_again_and_instances_end() {
    let mut group = sim::Group::<Services<Anything>>::new(4, 1, 1, ());
    let mut numbers = Vec::new();
    for usage in 0..2 * RELEASED_KEPT as u64 {
        for party in PartyId::all(4) {
            group.input(party, open(usage, "again", bit()));
        }
        group.run();
        let number = number_of(group.outputs(p(0)), usage).unwrap();
        assert!(!numbers.contains(&number));
        numbers.push(number);
        for party in PartyId::all(4) {
            let say = Say::Binary(binary::Input::Propose(true));
            group.input(party, Input::Ask { number, say });
        }
        group.run();
        group.input(p(0), open(1_000 + usage, "again", bit()));
        group.run();
        assert_eq!(number_of(group.outputs(p(0)), 1_000 + usage), Ok(number));
        let heard = told(group.outputs(p(0)), usage);
        assert_eq!(heard, [heard[0].clone(), heard[0].clone()], "once more for who comes later");
        PartyId::all(4).for_each(|party| group.input(party, Input::Release { number }));
        group.run();
    }
    let bounds = oracle::Bounds { instances: 1 + RELEASED_KEPT, waiting: 0, snapshot: 1 << 20 };
    oracle::bounded(&group, bounds).unwrap();
    let other = Spec::Binary(binary::Spec::biased_to(false));
    group.input(p(0), open(5_000, "again", bit()));
    group.input(p(0), open(5_001, "again", other));
    group.input(p(0), open(5_002, &"x".repeat(1_000), bit()));
    group.run();
    assert_eq!(number_of(group.outputs(p(0)), 5_001), Err(Refused::OtherTerms));
    assert_eq!(number_of(group.outputs(p(0)), 5_002), Err(Refused::NoRoom));
}

/// Opens a name so often, and lets go of it each time.
fn use_up(group: &mut sim::Group<Services<Anything>>, name: &str, count: u64) {
    for _ in 0..count {
        let ticket = group.outputs(p(0)).len() as u64;
        group.input(p(0), open(ticket, name, bit()));
        group.run();
        let number = number_of(group.outputs(p(0)), ticket).unwrap();
        group.input(p(0), Input::Release { number });
        group.run();
    }
}

/// The bytes of the largest snapshot of a member.
fn saved(group: &sim::Group<Services<Anything>>) -> usize {
    let more_than = |bytes: usize| {
        let bounds = oracle::Bounds { instances: usize::MAX, waiting: usize::MAX, snapshot: bytes };
        oracle::bounded(group, bounds).is_err()
    };
    let (mut low, mut high) = (0_usize, 1 << 20);
    while low < high {
        let middle = low.midpoint(high);
        if more_than(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

/// What is left of a name does not grow with its uses, nor with its length.
#[test]
fn a_name_leaves_a_number_however_often_it_was_used() {
    let mut group = sim::Group::<Services<Anything>>::new(4, 1, 1, ());
    use_up(&mut group, "again", 100);
    let few = saved(&group);
    use_up(&mut group, "again", 900);
    let many = saved(&group);
    assert!(many <= few + 32, "{few} bytes after 100 uses, {many} after 1,000");
    let names = 100;
    (0..names).for_each(|name| use_up(&mut group, &format!("{name}{}", "x".repeat(200)), 1));
    // The last ones go on, and so do their names.
    use_up(&mut group, "again", RELEASED_KEPT as u64);
    let left = saved(&group) - many;
    assert!(left <= 50 * names, "{left} bytes are left of {names} names");
}

/// A payload of another type is an error that names its sender and its place; the stream goes on.
#[test]
fn what_does_not_decode_is_an_error_with_a_name() {
    maftia::run(async {
        let group: Group = Group::embedded(4).await.unwrap();
        let mut odd = group.member(3).open::<AtomicStream<Vec<u32>>>("mail").await.unwrap();
        let mut ends = Vec::new();
        for member in 0..3 {
            let end = group.member(member).open::<AtomicStream<String>>("mail").await.unwrap();
            ends.push(end);
        }
        odd.send(&vec![1, 2, 3]).await.unwrap();
        let odd = ends[0].next().await.unwrap();
        assert!(
            matches!(odd, Err(StreamError::Malformed { from, at: 0, .. }) if from == PartyId::new(3)),
            "{odd:?}"
        );
        ends[1].send(&"text".to_owned()).await.unwrap();
        let text = ends[0].next().await.unwrap().unwrap();
        assert_eq!((text.from, text.at, &*text.payload), (PartyId::new(1), 1, "text"));
    });
}

/// The sender waits for room, nothing is lost, and a reader that comes late has it all in order.
#[test]
fn a_sender_is_held_back_and_a_late_reader_has_it_all() {
    maftia::run(async {
        let group: Group = Group::embedded(4).await.unwrap();
        let mut ends = group.open::<ReliableStream<u32>>("numbers").await.unwrap();
        let count = 2_000;
        for number in 0..count {
            ends[0].send(&number).await.unwrap();
        }
        for end in &mut ends {
            for number in 0..count {
                assert_eq!(end.next().await.unwrap().unwrap().payload, number);
            }
        }
        let large = StreamError::TooLarge { len: 300_005, max: ends[0].payload_max() };
        let mut text = group.member(0).open::<ReliableStream<String>>("text").await.unwrap();
        assert_eq!(text.send(&"x".repeat(300_000)).await, Err(large));
        text.close().await.unwrap();
        assert_eq!(text.send(&"x".to_owned()).await, Err(StreamError::Closed));
    });
}

/// What is asked wrongly is refused where it is asked.
#[test]
fn callers_wrongs_are_errors_of_the_caller() {
    maftia::run(async {
        let group: Group = Group::embedded(4).await.unwrap();
        let speaker = PartyId::new(1);
        let member = group.member(0);
        let news = member.open_with::<ReliableBroadcast<String>>("news", speaker).await.unwrap();
        let wrong = news.broadcast(&"mine".to_owned()).await;
        assert_eq!(wrong, Err(BroadcastError::NotSender(speaker)));
        let again = member.open_with::<ReliableBroadcast<String>>("news", speaker).await;
        assert!(matches!(again, Err(OpenError::InUse(name)) if name == "news"));
        drop(news);
        member.open_with::<ReliableBroadcast<String>>("news", speaker).await.unwrap();
        let vote = member.open::<BinaryAgreement>("vote").await.unwrap();
        let mut members = group.into_members();
        members.remove(0).crash();
        assert!(vote.propose(&true).await.is_err() && vote.decide().await.is_err());
    });
}

/// The same over sockets, as processes of their own would do it.
#[test]
fn members_agree_over_tcp() {
    maftia::run(async {
        let ports: Vec<_> = (0..4).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let addresses: Vec<_> =
            ports.iter().map(|port| format!("\"{}\"", port.local_addr().unwrap())).collect();
        drop(ports);
        let text = format!(
            "[[group]]\nname = \"g\"\nservice = \"transactions\"\nfaults = 1\nmembers = [{}]\n",
            addresses.join(", ")
        );
        let config = Config::parse(&text).unwrap();
        let deal = Deal::new(&config, &[5; 32]);
        let assembly = Assembly::new(config, Arc::clone(deal.public()), Reach::Network);
        let mut members = Vec::new();
        for party in PartyId::all(4) {
            let ring = deal.party(GroupId::new(0), party).unwrap();
            let durability = Durability::Memory(Store::default());
            members.push(Member::<Anything>::start(&assembly, &ring, durability).await.unwrap());
        }
        let mut ends = Vec::new();
        for member in &members {
            let end = member.open::<ArrayAgreement<u16>>("a number").await.unwrap();
            end.propose(&member.party().number()).await.unwrap();
            ends.push(end);
        }
        for end in ends {
            let (from, number) = end.decide().await.unwrap();
            assert_eq!(from.number(), number);
        }
        for member in members {
            assert!(member.accusations().await.unwrap().is_empty());
            member.leave(Duration::from_secs(1)).await;
        }
    });
}

/// An outsider's payloads are typed, the end is the members', and what is no payload of the type is an error
/// with a name.
#[test]
fn an_outsider_reads_a_stream_by_its_name_up_to_its_end() {
    maftia::run(async {
        let group: Group = Group::embedded(4).await.unwrap();
        let mut reader =
            group.outsider().unwrap().read::<OpenStream<u32>>("numbers").await.unwrap();
        let mut odd = group.member(3).open::<OpenStream<String>>("numbers").await.unwrap();
        let mut ends = Vec::new();
        for member in 0..3 {
            let end = group.member(member).open::<OpenStream<u32>>("numbers").await.unwrap();
            ends.push(end);
        }
        odd.send(&"text".to_owned()).await.unwrap();
        let error = reader.next().await.unwrap();
        assert!(
            matches!(error, Err(ReadError::Malformed { from: Author::Member(from), at: 0, .. }) if from.number() == 3),
            "{error:?}"
        );
        let count = 200;
        for number in 0..count {
            ends[0].send(&number).await.unwrap();
        }
        for number in 0..count {
            let delivery = reader.next().await.unwrap().unwrap();
            assert_eq!((delivery.payload, delivery.from.number()), (number, 0));
        }
        let (proof, judge) = (reader.proof().await.unwrap(), group.outsider().unwrap());
        assert_eq!(judge.verify::<OpenStream<u32>>("numbers", &proof), Ok(()));
        assert!(
            proof.entries().count() > 0
                && judge.verify::<OpenStream<u32>>("others", &proof).is_err()
        );
        ends[0].close().await.unwrap();
        ends[1].close().await.unwrap();
        assert_eq!(reader.next().await, None);
        reader.close().await;
    });
}

/// One load on a stream: everybody sends, two ask for the end behind what they sent. What each member saw.
async fn auction<K: Kind>(group: &Group, rest: Duration) {
    let mut ends = group.open::<Stream<K, (u16, u32)>>("auction").await.unwrap();
    for bid in 0..20 {
        for (member, end) in (0..).zip(&mut ends) {
            end.send(&(member, bid)).await.unwrap();
        }
        tokio::time::sleep(rest).await;
    }
    for end in &mut ends[..2] {
        end.close().await.unwrap();
    }
    let mut logs = Vec::new();
    for end in &mut ends {
        let mut log = Vec::new();
        while let Some(delivery) = end.next().await {
            let delivery = delivery.unwrap();
            assert_eq!(delivery.from.number(), delivery.payload.0);
            log.push(delivery);
        }
        logs.push(log);
    }
    assert!(logs.iter().all(|log| *log == logs[0]), "{}: one order, one end", K::NAME);
    for member in 0..4 {
        let of: Vec<_> = logs[0].iter().filter(|bid| bid.payload.0 == member).collect();
        assert!((0..).zip(&of).all(|(bid, is)| is.payload.1 == bid), "its own order");
        assert!(member > 1 || of.len() == 20, "{}: all of those who asked for the end", K::NAME);
    }
}

/// One word chooses the engine, and what is promised is the same with each.
#[test]
fn every_engine_carries_the_same_load() {
    maftia::run(async {
        let group: Group = Group::embedded(4).await.unwrap();
        let rest = Duration::from_millis(1);
        auction::<stream::Atomic<Fast>>(&group, rest).await;
        auction::<stream::Atomic<Rounds>>(&group, rest).await;
        auction::<stream::Atomic<Lanes>>(&group, rest).await;
        auction::<stream::SecureAtomic<Fast>>(&group, rest).await;
        auction::<stream::SecureAtomic<Rounds>>(&group, rest).await;
        auction::<stream::SecureAtomic<Lanes>>(&group, rest).await;
        auction::<stream::Open<Fast>>(&group, rest).await;
        auction::<stream::Open<Rounds>>(&group, rest).await;
        auction::<stream::Open<Lanes>>(&group, rest).await;
        for member in group.members() {
            assert!(member.accusations().await.unwrap().is_empty());
        }
    });
}
/// What an outsider reads whose engine is named.
type Prices = OpenStream<u32, Rounds>;

/// Members that open a name with another engine than others open another stream, and do the others no harm.
#[test]
fn a_name_with_another_engine_is_another_stream() {
    maftia::run(async {
        let group: Group = Group::embedded(4).await.unwrap();
        let mut odd = group.member(3).open::<AtomicStream<u32, Lanes>>("mail").await.unwrap();
        let mut ends = Vec::new();
        for member in &group.members()[..3] {
            ends.push(member.open::<AtomicStream<u32>>("mail").await.unwrap());
        }
        odd.send(&7).await.unwrap();
        ends[0].send(&1).await.unwrap();
        for end in &mut ends {
            assert_eq!(end.next().await.unwrap().unwrap().payload, 1);
        }
        // The same member may have both; and an outsider says with which engine it reads, too.
        let mut both = group.member(3).open::<AtomicStream<u32>>("mail").await.unwrap();
        assert_eq!(both.next().await.unwrap().unwrap().payload, 1);
        let mut prices = group.open::<Prices>("prices").await.unwrap();
        prices[0].send(&20).await.unwrap();
        let mut reader = group.outsider().unwrap().read::<Prices>("prices").await.unwrap();
        assert_eq!(reader.next().await.unwrap().unwrap().payload, 20);
        let (proof, judge) = (reader.proof().await.unwrap(), group.outsider().unwrap());
        assert_eq!(judge.verify::<Prices>("prices", &proof), Ok(()));
        assert!(judge.verify::<OpenStream<u32>>("prices", &proof).is_err());
        for member in group.members() {
            assert!(member.accusations().await.unwrap().is_empty());
        }
    });
}
