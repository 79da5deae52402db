//! What a peer with right keys and wrong intentions cannot do.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use bytes::Bytes;
use maftia_core::{
    effects::Lane,
    id::{Epoch, GroupId},
    path::{InstanceId, Role},
    seat::Owner,
};

use super::{body, orders, p, passport, run, tcp::open, until};
use crate::link::{
    Links, Parcel,
    handshake::{Dialing, Keys},
    packet::{HANDSHAKE_MAX, Kind, Packet, Seals},
    session::BULK_BYTES_MAX,
    tcp::Tcp,
    wire::{Reader, Transport, Writer},
};

/// A line that its owner uses as it likes.
struct Line {
    keys: Keys,
    reader: <Tcp as Transport>::Reader,
    writer: <Tcp as Transport>::Writer,
}

impl Line {
    /// Makes a line from `from` to `to` as everybody does.
    async fn dial(from: Owner, to: Owner, address: SocketAddr) -> Self {
        let addresses = BTreeMap::from([(to, address.to_string())]);
        let tcp = Tcp::bind(None, addresses).await.unwrap();
        let (mut reader, mut writer) = tcp.dial(to).await.unwrap();
        let passport = passport(from);
        let (dialing, hello) = Dialing::start(&passport, to);
        writer.write(&mut vec![Packet::handshake(hello)]).await.unwrap();
        let answer = reader.read(HANDSHAKE_MAX).await.unwrap().body;
        let (proving, proof) = dialing.answered(&passport, &answer).unwrap();
        writer.write(&mut vec![Packet::handshake(proof)]).await.unwrap();
        let proof = reader.read(HANDSHAKE_MAX).await.unwrap().body;
        Self { keys: proving.proved(&passport, &proof).unwrap(), reader, writer }
    }

    async fn say(&mut self, packet: impl FnOnce(&mut Seals) -> Packet) {
        let packet = packet(&mut self.keys.outgoing);
        // The other side may have closed already.
        let _ = self.writer.write(&mut vec![packet]).await;
    }

    async fn note(&mut self, kind: Kind, number: u64) {
        self.say(|seals| seals.note(kind, number)).await;
    }

    async fn frame(&mut self, lane: Lane, number: u64, parcel: &Parcel) {
        self.say(|seals| seals.frame(lane, number, parcel)).await;
    }

    /// Begins as everybody does.
    async fn begin(&mut self) {
        self.note(Kind::Resume(Lane::Control), 0).await;
        self.note(Kind::Resume(Lane::Bulk), 0).await;
    }
}

fn parcel(number: u64) -> Parcel {
    Parcel::new(&orders(), body(number)).unwrap()
}

/// What a wicked peer does on its line.
enum Crime {
    Note(Kind, u64),
    Frame(Lane, u64, Parcel),
    Repeat,
    Reflect,
    BadSeal,
    Unsealed,
}

async fn commit(crime: Crime, line: &mut Line) {
    let honest = parcel(1);
    match crime {
        Crime::Note(kind, number) => line.note(kind, number).await,
        Crime::Frame(on, number, parcel) => line.frame(on, number, &parcel).await,
        Crime::Repeat => {
            let packet = line.keys.outgoing.frame(Lane::Control, 1, &honest);
            let _ = line.writer.write(&mut vec![packet.clone(), packet]).await;
        }
        Crime::Reflect => {
            let packet = line.reader.read(HANDSHAKE_MAX).await.unwrap();
            let _ = line.writer.write(&mut vec![packet]).await;
        }
        Crime::BadSeal => {
            let mut packet = line.keys.outgoing.frame(Lane::Control, 1, &honest);
            packet.body = body(2);
            let _ = line.writer.write(&mut vec![packet]).await;
        }
        Crime::Unsealed => {
            let _ = line.writer.write(&mut vec![Packet::handshake(body(1))]).await;
        }
    }
}

#[test]
fn each_crime_ends_the_line_and_nothing_else() {
    let deep = (0..9).fold(orders(), |id, _| id.child(Role::Vote.only()));
    let deep = Parcel::new(&deep, body(1)).unwrap();
    let nameless = Parcel::of(Bytes::from_static(b"\x02\x00\xc1\xc1"), body(1));
    let crimes = [
        ("control resumed twice", Crime::Note(Kind::Resume(Lane::Control), 0), "twice"),
        ("cursor above", Crime::Note(Kind::Resume(Lane::Bulk), 1 << 20), "twice"),
        ("ack above", Crime::Note(Kind::Acked(Lane::Control), 99), "was never sent|last one sent"),
        ("ack far above", Crime::Note(Kind::Acked(Lane::Bulk), u64::MAX), "last one sent"),
        ("jump out of reach", Crime::Note(Kind::Gone(Lane::Bulk), u64::MAX), "out of reach"),
        ("a gap", Crime::Frame(Lane::Control, 7, parcel(7)), "frame 7 after 0"),
        ("the last number", Crime::Frame(Lane::Bulk, u64::MAX, parcel(7)), "after 0"),
        ("too deep", Crime::Frame(Lane::Bulk, 1, deep), "at most 8"),
        ("no instance", Crime::Frame(Lane::Bulk, 1, nameless), "no instance"),
        ("a repeated packet", Crime::Repeat, "seal"),
        ("a reflected packet", Crime::Reflect, "seal"),
        ("a changed body", Crime::BadSeal, "seal"),
        ("a packet without seal", Crime::Unsealed, "seal"),
    ];
    run(async {
        let (links, inbox, address) = open(p(1), true, &[]).await;
        for (lines, (what, crime, why)) in crimes.into_iter().enumerate() {
            let mut line = Line::dial(p(0), p(1), address).await;
            line.begin().await;
            commit(crime, &mut line).await;
            until(what, || inbox.ends.borrow().len() == lines + 1).await;
            let end = inbox.ends.borrow()[lines].clone();
            assert!(why.split('|').any(|why| end.contains(why)), "{what}: {end}");
        }
        assert_eq!(links.status().len(), 1);
        assert!(inbox.heard(p(0), Lane::Control) == [1], "the repeated frame came once");

        let (honest, _, _) = open(p(0), false, &[(p(1), address)]).await;
        for number in 10..20 {
            honest.send(p(1), Lane::Bulk, &orders(), body(number)).unwrap();
        }
        until("the session goes on", || inbox.heard(p(0), Lane::Bulk).len() == 10).await;
    });
}

#[test]
fn a_peer_that_claims_too_much_is_refused_on_the_next_line_too() {
    run(async {
        let (links, inbox, address) = open(p(1), true, &[]).await;
        let mut first = Line::dial(p(0), p(1), address).await;
        first.begin().await;
        links.send(p(0), Lane::Control, &orders(), body(1)).unwrap();
        until("a line stands", || links.status()[0].connected).await;
        while first.reader.read(1 << 20).await.unwrap().head.kind != Kind::Frame(Lane::Control) {}
        let mut second = Line::dial(p(0), p(1), address).await;
        second.note(Kind::Resume(Lane::Control), 5).await;
        until("it ends", || inbox.ends.borrow().len() == 1).await;
        assert!(inbox.ends.borrow()[0].contains("claims to have Control frame 5"));
        assert_eq!(links.status()[0].waiting_frames, 1, "the lie freed nothing");
    });
}

#[test]
fn a_peer_that_never_reads_costs_a_bounded_backlog_and_stalls_nobody() {
    run(async {
        let (links, _inbox, address) = open(p(1), true, &[]).await;
        let (_quick, quick_inbox, _) = open(p(0), false, &[(p(1), address)]).await;
        let mut deaf = Line::dial(p(2), p(1), address).await;
        deaf.begin().await;
        let megabyte = Bytes::from(vec![0; 1 << 20]);
        for number in 0..300 {
            links.send_many(&[p(0), p(2)], Lane::Bulk, &orders(), megabyte.clone()).unwrap();
            let quick = || quick_inbox.heard(p(1), Lane::Bulk).len() > number;
            until("the quick one has it", quick).await;
        }
        let status = links.status();
        let deaf = status.iter().find(|status| status.peer == p(2)).unwrap();
        assert!(deaf.waiting_bytes <= BULK_BYTES_MAX, "{deaf:?}");
        assert!(deaf.waiting_frames > 50, "{deaf:?}");
    });
}

#[test]
fn a_peer_that_floods_is_read_no_faster_than_it_is_served() {
    run(async {
        let (links, inbox, address) = open(p(1), true, &[]).await;
        inbox.room.set(100);
        let mut flood = Line::dial(p(0), p(1), address).await;
        flood.begin().await;
        let large = Parcel::new(&orders(), vec![1; 64 << 10].into()).unwrap();
        let mut written = 0;
        for number in 1..=2_000 {
            let frame = flood.frame(Lane::Bulk, number, &large);
            if tokio::time::timeout(Duration::from_millis(500), frame).await.is_err() {
                break;
            }
            written = number;
        }
        assert!(written < 1_000, "{written} frames of 64 KiB went somewhere");
        assert_eq!(inbox.arrivals.borrow().len(), 100);
        inbox.room.set(usize::MAX);
        links.room(p(0));
        until("what was written is taken", || inbox.arrivals.borrow().len() as u64 >= written)
            .await;
    });
}

#[test]
fn a_frame_for_another_epoch_is_handed_up_as_it_is() {
    run(async {
        let (_links, inbox, address) = open(p(1), true, &[]).await;
        let mut line = Line::dial(p(0), p(1), address).await;
        line.begin().await;
        let elsewhere = InstanceId::root(GroupId::new(9), Epoch::new(3), "elsewhere");
        line.frame(Lane::Control, 1, &Parcel::new(&elsewhere, body(5)).unwrap()).await;
        until("it came", || inbox.heard(p(0), Lane::Control) == [5]).await;
    });
}

/// Rebuilding links for guests is bounded like meeting them.
#[test]
fn guests_are_counted() {
    use maftia_core::{crypto::Digest, id::ClientId};
    let open = crate::link::Passport {
        guests: Some(std::sync::Arc::new(|_, _, _, _, _| true)),
        ..passport(p(1))
    };
    let links = Links::new(open);
    let guest =
        |number: u64| Owner::Client(ClientId::of_key(&Digest::of("guest", &number.to_le_bytes())));
    for number in 0..3_000 {
        links.restore(guest(number), Lane::Control, 1);
    }
    assert_eq!(links.status().len(), crate::link::GUESTS_MAX);
    let closed = Links::new(passport(p(1)));
    closed.restore(guest(1), Lane::Control, 1);
    assert!(closed.status().is_empty());
}

#[test]
fn who_says_nothing_is_gone_and_who_is_idle_is_not() {
    run(async {
        let (links, inbox, address) = open(p(1), true, &[]).await;
        let (_idle, _, _) = open(p(0), false, &[(p(1), address)]).await;
        let mut silent = Line::dial(p(2), p(1), address).await;
        silent.begin().await;
        until("the silent one is gone", || !inbox.ends.borrow().is_empty()).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(*inbox.ends.borrow(), ["nothing came for too long"]);
        let connected: Vec<_> = links.status().iter().map(|status| status.connected).collect();
        assert_eq!(connected, [true, false]);
    });
}

#[test]
fn the_seals_of_one_pair_are_nothing_to_another() {
    run(async {
        let (_links, inbox, address) = open(p(1), true, &[]).await;
        let mut own = Line::dial(p(0), p(1), address).await;
        let mut other = Line::dial(p(2), p(1), address).await;
        std::mem::swap(&mut own.keys, &mut other.keys);
        own.begin().await;
        until("it ends", || inbox.ends.borrow().len() == 1).await;
        assert!(inbox.ends.borrow()[0].contains("seal"));
    });
}
