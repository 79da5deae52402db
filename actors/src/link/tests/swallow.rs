//! Somebody on the way who answers TCP in the place of the other end: what it acknowledges has not
//! arrived, and what it resets was not lost.

use std::{cell::Cell, net::SocketAddr, rc::Rc, time::Duration};

use maftia_core::effects::Lane;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::spawn_local,
};

use super::{
    body, orders, p, run,
    tcp::{any, open},
    until,
};

/// Connections that are attacked, before one is left alone.
const ATTACKED: usize = 24;

/// How long an attacked connection lives.
const LIFE: Duration = Duration::from_millis(60);

/// Passes connections through for a while; then swallows, in one direction or in both, what comes,
/// which TCP has acknowledged by then; and at last resets both sides.
async fn swallow(listener: TcpListener, to: SocketAddr, swallowed: Rc<Cell<usize>>) {
    for turn in 0..=ATTACKED {
        let (near, _) = listener.accept().await.unwrap();
        let far = TcpStream::connect(to).await.unwrap();
        let (near_end, far_end) = (near.into_split(), far.into_split());
        let deaf = |direction: usize| turn < ATTACKED && (turn % 3 == direction || turn % 3 == 2);
        let from = tokio::time::Instant::now() + LIFE / 2;
        let pass = async |direction,
                          mut reader: tokio::net::tcp::OwnedReadHalf,
                          mut writer: tokio::net::tcp::OwnedWriteHalf| {
            let mut bytes = vec![0; 4096];
            while let Ok(read @ 1..) = reader.read(&mut bytes).await {
                if deaf(direction) && tokio::time::Instant::now() > from {
                    swallowed.set(swallowed.get() + read);
                } else if writer.write_all(&bytes[..read]).await.is_err() {
                    break;
                }
            }
            (reader, writer)
        };
        let both =
            async { tokio::join!(pass(0, near_end.0, far_end.1), pass(1, far_end.0, near_end.1)) };
        if turn == ATTACKED {
            both.await;
        } else {
            // Dropped with bytes unread, a socket resets its connection.
            let _ = tokio::time::timeout(LIFE, both).await;
        }
    }
}

#[test]
fn what_somebody_else_acknowledged_and_reset_is_not_lost() {
    run(async {
        let (listener, heard, address) = open(p(1), true, &[]).await;
        let proxy = TcpListener::bind(any()).await.unwrap();
        let through = proxy.local_addr().unwrap();
        let swallowed = Rc::new(Cell::new(0));
        spawn_local(swallow(proxy, address, Rc::clone(&swallowed)));
        let (dialer, heard_back, _) = open(p(0), false, &[(p(1), through)]).await;
        let mut sent = 0;
        while heard.ends.borrow().len() < ATTACKED {
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
        assert!(swallowed.get() > 10_000, "{} bytes were swallowed", swallowed.get());
        let idle = || dialer.status().iter().all(|status| status.waiting_frames == 0);
        until("everything is acknowledged by whom it was for", idle).await;
    });
}
