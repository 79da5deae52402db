//! Links over TCP: what survives, and what strangers cannot do.

use std::{cell::Cell, collections::BTreeMap, io, net::SocketAddr, rc::Rc, time::Duration};

use bytes::Bytes;
use maftia_core::{effects::Lane, seat::Owner};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    task::spawn_local,
};

use super::{Inbox, body, client, orders, p, passport, run, until};
use crate::link::{Bound, Links, ListenError, handshake::Dialing, packet::Packet, tcp::Tcp};

pub(super) fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Opens the links of an owner; gives its address too.
pub(super) async fn open(
    who: Owner,
    listens: bool,
    to: &[(Owner, SocketAddr)],
) -> (Links, Rc<Inbox>, SocketAddr) {
    let links = Links::new(passport(who));
    let inbox = Inbox::new(&links);
    let addresses: BTreeMap<_, _> = to.iter().map(|(to, at)| (*to, at.to_string())).collect();
    let tcp = Tcp::bind(listens.then(any), addresses).await.unwrap();
    let address = tcp.address().unwrap_or(any());
    links.open(Bound::Tcp(tcp), Rc::<Inbox>::clone(&inbox));
    (links, inbox, address)
}

#[test]
fn frames_of_all_sizes_reach_everybody() {
    run(async {
        let (two, at_two, two_address) = open(p(2), true, &[]).await;
        let (one, at_one, one_address) = open(p(1), true, &[(p(2), two_address)]).await;
        let everybody = [(p(1), one_address), (p(2), two_address)];
        let (user, at_user, _) = open(client(0), false, &everybody).await;
        for number in 0..300_u64 {
            let mut bytes = number.to_le_bytes().to_vec();
            bytes.resize(8 + (number * number) as usize, 1);
            let bytes = Bytes::from(bytes);
            user.send_many(&[p(1), p(2)], Lane::Bulk, &orders(), bytes.clone()).unwrap();
            one.send_many(&[p(2), client(0)], Lane::Control, &orders(), bytes.clone()).unwrap();
            two.send_many(&[p(1), client(0)], Lane::Bulk, &orders(), bytes).unwrap();
            tokio::task::yield_now().await;
        }
        let all: Vec<_> = (0..300).collect();
        for (inbox, from, lane) in [
            (&at_one, client(0), Lane::Bulk),
            (&at_two, client(0), Lane::Bulk),
            (&at_two, p(1), Lane::Control),
            (&at_user, p(1), Lane::Control),
            (&at_one, p(2), Lane::Bulk),
            (&at_user, p(2), Lane::Bulk),
        ] {
            until("all came", || inbox.heard(from, lane).len() == 300).await;
            assert_eq!(inbox.heard(from, lane), all);
        }
        let idle = || one.status().iter().all(|status| status.waiting_frames == 0);
        until("everything is acknowledged", idle).await;
    });
}

/// Passes bytes between dialers and `to`, and tears the n-th connection down after n bytes.
async fn tear(listener: TcpListener, to: SocketAddr, until: usize, torn: Rc<Cell<usize>>) {
    for limit in 0..=until {
        torn.set(limit);
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = TcpStream::connect(to).await.unwrap();
        let mut left = if limit == until { usize::MAX } else { limit };
        let (mut upward, mut downward) = (vec![0; 4096], vec![0; 4096]);
        while left > 0 {
            let (up, down) = (upward.len().min(left), downward.len().min(left));
            let (target, bytes) = tokio::select! {
                read = near.read(&mut upward[..up]) => (&mut far, &upward[..read.unwrap_or(0)]),
                read = far.read(&mut downward[..down]) => (&mut near, &downward[..read.unwrap_or(0)]),
            };
            if bytes.is_empty() || target.write_all(bytes).await.is_err() {
                break;
            }
            left -= bytes.len();
        }
    }
}

#[test]
fn a_connection_may_end_after_any_byte() {
    run(async {
        let (listener, heard, address) = open(p(1), true, &[]).await;
        let proxy = TcpListener::bind(any()).await.unwrap();
        let through = proxy.local_addr().unwrap();
        // A handshake has 500 bytes, the notes of both sides 120, each frame 60.
        let torn = Rc::new(Cell::new(0));
        spawn_local(tear(proxy, address, 1_000, Rc::clone(&torn)));
        let (dialer, heard_back, _) = open(p(0), false, &[(p(1), through)]).await;
        let mut sent = 0;
        while torn.get() < 1_000 {
            let lane = if sent % 2 == 0 { Lane::Control } else { Lane::Bulk };
            dialer.send(p(1), lane, &orders(), body(sent)).unwrap();
            listener.send(p(0), lane, &orders(), body(sent)).unwrap();
            sent += 1;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for (inbox, from) in [(&heard, p(0)), (&heard_back, p(1))] {
            for (lane, first) in [(Lane::Control, 0), (Lane::Bulk, 1)] {
                let all: Vec<_> = (first..sent).step_by(2).collect();
                until("all came", || inbox.heard(from, lane).len() >= all.len()).await;
                assert_eq!(inbox.heard(from, lane), all);
            }
            assert_eq!(inbox.missed(), 0);
        }
        assert!(heard.ends.borrow().len() > 200, "lines stood, and fell");
    });
}

/// A stranger's connection from an address of its own.
async fn stranger(to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 66], 0))).unwrap();
    socket.connect(to).await.unwrap()
}

/// Whether the other side closes within this time; gives what it said before.
async fn closes(stream: &mut TcpStream, within: Duration) -> Option<Vec<u8>> {
    let mut said = Vec::new();
    let end = tokio::time::timeout(within, stream.read_to_end(&mut said)).await;
    end.is_ok().then_some(said)
}

#[test]
fn strangers_are_turned_away_before_anything_is_kept_for_them() {
    run(async {
        let (_links, inbox, address) = open(p(1), true, &[]).await;
        let head = |length: u32, kind: u8| [&length.to_le_bytes()[..], &[kind], &[0; 24]].concat();
        let quick = Duration::from_secs(2);
        for (what, bytes) in [
            ("a browser", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
            ("the longest length", head(u32::MAX, 0)),
            ("a frame before the handshake", head(5 << 20, 3)),
            ("a kind that there is not", head(0, 200)),
            ("an empty hello", head(0, 0)),
            ("a long hello", head(1 << 20, 0)),
        ] {
            let mut stream = stranger(address).await;
            stream.write_all(&bytes).await.unwrap();
            assert!(closes(&mut stream, quick).await.is_some(), "{what} keeps its connection");
        }
        assert!(inbox.ends.borrow().is_empty(), "no line ever stood");
    });
}

#[test]
fn slow_and_silent_strangers_keep_nobody_else_out() {
    run(async {
        let (_links, inbox, address) = open(p(1), true, &[]).await;
        let mut silent = Vec::new();
        for _ in 0..300 {
            silent.push(stranger(address).await);
        }
        let mut slow = silent.pop().unwrap();
        let (_, mut writer) = slow.split();
        let drip = async {
            // One byte every 50 ms: the handshake would take a quarter of a minute.
            while writer.write_all(&[0]).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let (dialer, _, _) = open(p(0), false, &[(p(1), address)]).await;
        dialer.send(p(1), Lane::Control, &orders(), body(1)).unwrap();
        until("an honest one gets in", || inbox.heard(p(0), Lane::Control) == [1]).await;
        let waits = silent[298].try_read(&mut [0]).unwrap_err();
        assert_eq!(waits.kind(), io::ErrorKind::WouldBlock, "it had to wait for the others");
        assert_eq!(silent[0].try_read(&mut [0]).unwrap(), 0, "the oldest one made room");
        tokio::time::timeout(Duration::from_secs(8), drip).await.expect("it is turned away");
        for mut stream in silent {
            assert!(closes(&mut stream, Duration::from_secs(5)).await.is_some());
        }
    });
}

#[test]
fn a_recorded_connection_is_worth_nothing() {
    run(async {
        let (_links, inbox, address) = open(p(1), true, &[]).await;
        let proxy = TcpListener::bind(any()).await.unwrap();
        let through = proxy.local_addr().unwrap();
        let (dialer, _, _) = open(p(0), false, &[(p(1), through)]).await;
        dialer.send(p(1), Lane::Control, &orders(), body(1)).unwrap();
        let (mut near, _) = proxy.accept().await.unwrap();
        let mut far = TcpStream::connect(address).await.unwrap();
        let mut recorded = Vec::new();
        let (mut up, mut down) = ([0; 4096], [0; 4096]);
        while inbox.heard(p(0), Lane::Control).is_empty() {
            tokio::select! {
                read = near.read(&mut up) => {
                    let read = read.unwrap();
                    recorded.extend_from_slice(&up[..read]);
                    far.write_all(&up[..read]).await.unwrap();
                }
                read = far.read(&mut down) => {
                    let read = read.unwrap();
                    near.write_all(&down[..read]).await.unwrap();
                }
            }
        }
        drop((near, far));
        dialer.close();
        until("the line is down", || inbox.ends.borrow().len() == 1).await;
        let mut stream = stranger(address).await;
        stream.write_all(&recorded).await.unwrap();
        assert!(closes(&mut stream, Duration::from_secs(2)).await.is_some());
        assert_eq!(inbox.heard(p(0), Lane::Control), [1], "the frame came once");
    });
}

#[test]
fn a_port_in_use_is_named() {
    run(async {
        let held = TcpListener::bind(any()).await.unwrap();
        let address = held.local_addr().unwrap();
        let error = Tcp::bind(Some(address), BTreeMap::new()).await.unwrap_err();
        assert!(matches!(error, ListenError::InUse(at) if at == address));
        assert!(error.to_string().contains("the port is in use"), "{error}");
    });
}

/// Connections from nine hosts that hold as many seats as they get, and come again when they lose
/// them; those that `speak` begin as a member would.
async fn flood(to: SocketAddr, speak: bool) {
    let mut held = Vec::new();
    for turn in 0_usize.. {
        let socket = TcpSocket::new_v4().unwrap();
        let host = 66 + (turn % 9) as u8;
        socket.bind(SocketAddr::from(([127, 0, 0, host], 0))).unwrap();
        let Ok(mut stream) = socket.connect(to).await else { continue };
        if speak {
            let (_, hello) = Dialing::start(&passport(p(3)), p(1));
            let packet = Packet::handshake(hello);
            // It may have been turned away already.
            let _ = stream.write_all(&[&packet.head.write()[..], &packet.body].concat()).await;
        }
        held.push(stream);
        if turn.is_multiple_of(64) {
            tokio::time::sleep(Duration::from_millis(10)).await;
            held.retain(|stream| !matches!(stream.try_read(&mut [0; 512]), Ok(0)));
        }
    }
}

/// Whether somebody reaches p(1) from an address of the configuration while strangers flood it.
async fn gets_in(who: Owner, known: bool, speak: bool) -> bool {
    let home = if known { [(p(0), any())] } else { [(p(0), SocketAddr::from(([10, 9, 8, 7], 1)))] };
    let (_links, inbox, address) = open(p(1), true, &home).await;
    let flood = spawn_local(flood(address, speak));
    tokio::time::sleep(Duration::from_millis(800)).await;
    let (dialer, _, _) = open(who, false, &[(p(1), address)]).await;
    dialer.send(p(1), Lane::Control, &orders(), body(1)).unwrap();
    let arrives = async {
        while inbox.heard(who, Lane::Control) != [1] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(2), arrives).await.is_ok();
    flood.abort();
    in_time
}

#[test]
fn members_have_seats_that_flooding_strangers_cannot_take() {
    run(async {
        assert!(gets_in(p(0), true, true).await, "strangers that speak");
        assert!(gets_in(p(0), true, false).await, "strangers that say nothing");
    });
}

#[test]
fn who_comes_from_elsewhere_gets_in_among_silent_strangers() {
    run(async {
        assert!(gets_in(client(0), false, false).await);
    });
}

#[test]
fn two_processes_with_one_key_do_not_take_turns() {
    run(async {
        let (_links, inbox, address) = open(p(1), true, &[]).await;
        let (first, at_first, _) = open(client(0), false, &[(p(1), address)]).await;
        first.send(p(1), Lane::Bulk, &orders(), body(1)).unwrap();
        until("the first one is there", || inbox.heard(client(0), Lane::Bulk) == [1]).await;
        let (second, at_second, _) = open(client(0), false, &[(p(1), address)]).await;
        until("the first one is told", || at_first.ends.borrow().len() == 1).await;
        let end = at_first.ends.borrow()[0].clone();
        assert!(end.contains("another process with the same key"), "{end}");
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(at_second.ends.borrow().is_empty(), "the second one keeps its line");
        assert!(second.status()[0].connected && !first.status()[0].connected);
    });
}
