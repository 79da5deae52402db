//! What strangers, and those who only have a key, can make a listener keep.

use std::collections::BTreeSet;

use quinn::Connection;
use tokio::net::UdpSocket;

use super::*;

/// A connection of somebody with a key who uses it as it likes.
async fn connect(from: Owner, address: SocketAddr) -> Connection {
    let (quic, _) = bind(&owner(from), false, &[]);
    quic.connect(p(1), address).await.unwrap()
}

/// Whether something that should never happen does not happen for a while.
async fn never<T>(what: impl Future<Output = T>) -> bool {
    tokio::time::timeout(Duration::from_millis(200), what).await.is_err()
}

#[test]
fn one_stream_and_nothing_else_is_allowed() {
    run(async {
        let (_links, _inbox, address) = open(p(1), true, &[]);
        let connection = connect(p(0), address).await;
        let _first = connection.open_bi().await.unwrap();
        assert!(never(connection.open_bi()).await, "a second stream");
        assert!(never(connection.open_uni()).await, "a stream of one direction");
        assert_eq!(connection.max_datagram_size(), None, "datagrams");
    });
}

#[test]
fn who_is_known_and_says_nothing_has_to_go() {
    run(async {
        let (links, _inbox, address) = open(p(1), true, &[]);
        let connection = connect(p(0), address).await;
        let _stream = connection.open_bi().await.unwrap();
        let closed = tokio::time::timeout(Duration::from_secs(4), connection.closed()).await;
        closed.expect("it is turned away when the time of a handshake is over");
        assert!(links.status().is_empty(), "nothing was kept for it");
    });
}

#[test]
fn who_floods_a_stream_is_read_no_faster_than_it_is_served() {
    run(async {
        let (_links, _inbox, address) = open(p(1), true, &[]);
        let connection = connect(p(0), address).await;
        let (mut stream, _reader) = connection.open_bi().await.unwrap();
        let mut written = 0;
        // The first bytes are a head of a packet that is too long, so nothing is read after them.
        while let Ok(Ok(count)) =
            tokio::time::timeout(Duration::from_millis(300), stream.write(&[0xff; 4096])).await
        {
            written += count;
            assert!(written <= 16 << 20, "16 MiB went somewhere");
        }
    });
}

#[test]
fn who_does_not_answer_from_its_address_gets_no_place() {
    run(async {
        let (listener, address) = bind(&owner(p(1)), true, &[]);
        // The first datagram of somebody honest, which is then sent from many addresses.
        let trap = UdpSocket::bind(any()).await.unwrap();
        let (dialer, _) = bind(&owner(p(0)), false, &[(p(1), trap.local_addr().unwrap())]);
        let dialing = spawn_local(async move { dialer.dial(p(1)).await.map(drop) });
        let mut first = vec![0; 2048];
        let length = trap.recv_from(&mut first).await.unwrap().0;
        first.truncate(length);
        dialing.abort();
        let strangers = async {
            let mut tokens = BTreeSet::new();
            for _ in 0..200 {
                let stranger = UdpSocket::bind(any()).await.unwrap();
                stranger.send_to(&first, address).await.unwrap();
                let mut answer = [0; 2048];
                let (length, _) = stranger.recv_from(&mut answer).await.unwrap();
                assert_eq!(answer[0] & 0xf0, 0xf0, "it is asked to come again");
                assert!(length < first.len(), "and nobody is flooded with that");
                tokens.insert(answer[..length].to_vec());
                assert!(never_ready(&stranger), "once");
            }
            assert_eq!(tokens.len(), 200, "with a token of its own");
        };
        tokio::select! {
            call = listener.accept() => panic!("{:?} got a place", call.unwrap().1),
            () = strangers => {}
        }
    });
}

fn never_ready(socket: &UdpSocket) -> bool {
    socket.try_recv(&mut [0; 8]).is_err()
}

#[test]
fn members_get_in_while_strangers_flood() {
    run(async {
        let (_links, inbox, address) = open(p(1), true, &[]);
        let noise = spawn_local(async move {
            let socket = UdpSocket::bind(any()).await.unwrap();
            for turn in 0_usize.. {
                let length = 20 + turn % 1400;
                // The kernel may have no room for it.
                let _ = socket.send_to(&vec![0xc3; length], address).await;
                if turn.is_multiple_of(16) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        });
        let flood = spawn_local(async move {
            let mut held = Vec::new();
            loop {
                held.push(connect(p(3), address).await);
                held.truncate(80);
            }
        });
        tokio::time::sleep(Duration::from_millis(500)).await;
        let (dialer, _, _) = open(p(0), false, &[(p(1), address)]);
        dialer.send(p(1), Lane::Control, &orders(), body(1)).unwrap();
        until("an honest one gets in", || inbox.heard(p(0), Lane::Control) == [1]).await;
        noise.abort();
        flood.abort();
    });
}
