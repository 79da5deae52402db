//! What somebody on the way can do to datagrams, and cannot do to messages.

use std::cell::{Cell, RefCell};

use tokio::net::UdpSocket;

use super::*;

/// What becomes of a datagram, and of those that were held back.
type Fate = Box<dyn FnMut(Vec<u8>) -> Vec<Vec<u8>>>;

/// A place on the way between dialers and a listener.
struct Way {
    address: SocketAddr,
    /// Datagrams go through at all.
    open: Rc<Cell<bool>>,
    /// Where it stands towards the listener; exchanged, the dialer seems to be somewhere else.
    far: Rc<RefCell<Rc<UdpSocket>>>,
    /// Where it stands towards the dialer, who it is, and who the listener is.
    near: Rc<UdpSocket>,
    dialer: Rc<Cell<SocketAddr>>,
    to: SocketAddr,
}

impl Way {
    async fn to(to: SocketAddr, mut fate: Fate) -> Self {
        let near = Rc::new(UdpSocket::bind(any()).await.unwrap());
        let far = Rc::new(RefCell::new(Rc::new(UdpSocket::bind(any()).await.unwrap())));
        let (open, dialer) = (Rc::new(Cell::new(true)), Rc::new(Cell::new(any())));
        let way = Self { address: near.local_addr().unwrap(), open, far, near, dialer, to };
        let (open, far) = (Rc::clone(&way.open), Rc::clone(&way.far));
        let (near, dialer) = (Rc::clone(&way.near), Rc::clone(&way.dialer));
        spawn_local(async move {
            let (mut up, mut down) = (vec![0; 1 << 16], vec![0; 1 << 16]);
            loop {
                let outside = Rc::clone(&far.borrow());
                let (upward, bytes) = tokio::select! {
                    Ok((length, from)) = near.recv_from(&mut up) => {
                        dialer.set(from);
                        (true, up[..length].to_vec())
                    }
                    Ok((length, _)) = outside.recv_from(&mut down) => (false, down[..length].to_vec()),
                };
                for bytes in fate(bytes).into_iter().filter(|_| open.get()) {
                    let sent = if upward {
                        outside.send_to(&bytes, to).await
                    } else {
                        near.send_to(&bytes, dialer.get()).await
                    };
                    sent.unwrap();
                }
            }
        });
        way
    }

    /// Says something to both ends in the name of the other.
    async fn forge(&self, bytes: &[u8]) {
        let far = Rc::clone(&self.far.borrow());
        far.send_to(bytes, self.to).await.unwrap();
        self.near.send_to(bytes, self.dialer.get()).await.unwrap();
    }
}

/// Dice that fall the same in every run.
fn dice() -> impl FnMut(u64) -> u64 {
    let mut state = 7_u64;
    move |sides| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % sides
    }
}

/// Drops, doubles, exchanges and bends one in sixteen each.
fn nasty() -> Fate {
    let (mut dice, mut held) = (dice(), Vec::new());
    Box::new(move |mut bytes| match dice(16) {
        0 => Vec::new(),
        1 => vec![bytes.clone(), bytes],
        2 => std::mem::replace(&mut held, vec![bytes]),
        3 => {
            let at = dice(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << dice(8);
            vec![bytes]
        }
        _ => std::iter::once(bytes).chain(held.drain(..)).collect(),
    })
}

/// Sends in both directions until so many have come, and asserts that each came once and in order.
async fn exchange(count: u64, ends: [(&Links, &Inbox, Owner); 2], pause: Duration) {
    for number in 0..count {
        let lane = if number % 2 == 0 { Lane::Control } else { Lane::Bulk };
        for (links, _, other) in &ends {
            let mut bytes = number.to_le_bytes().to_vec();
            bytes.resize(8 + (number % 7 * 900) as usize, 3);
            links.send(*other, lane, &orders(), bytes.into()).unwrap();
        }
        tokio::time::sleep(pause).await;
    }
    for (_, inbox, other) in ends {
        for (lane, first) in [(Lane::Control, 0), (Lane::Bulk, 1)] {
            let all: Vec<_> = (first..count).step_by(2).collect();
            until("all came", || inbox.heard(other, lane).len() >= all.len()).await;
            assert_eq!(inbox.heard(other, lane), all);
        }
        assert_eq!(inbox.missed(), 0);
    }
}

#[test]
fn dropped_doubled_exchanged_and_bent_datagrams_lose_nothing_and_repeat_nothing() {
    run(async {
        let (listener, heard, address) = open(p(1), true, &[]);
        let way = Way::to(address, nasty()).await;
        let (dialer, heard_back, _) = open(p(0), false, &[(p(1), way.address)]);
        let ends = [(&dialer, &*heard_back, p(1)), (&listener, &*heard, p(0))];
        exchange(300, ends, Duration::from_millis(2)).await;
    });
}

#[test]
fn forged_resets_and_noise_do_not_end_a_line() {
    run(async {
        let (listener, heard, address) = open(p(1), true, &[]);
        let seen = Rc::new(RefCell::new(Vec::new()));
        let record = Rc::clone(&seen);
        let watch: Fate = Box::new(move |bytes| {
            record.borrow_mut().push(bytes.clone());
            vec![bytes]
        });
        let way = Way::to(address, watch).await;
        let (dialer, heard_back, _) = open(p(0), false, &[(p(1), way.address)]);
        let ends = [(&dialer, &*heard_back, p(1)), (&listener, &*heard, p(0))];
        exchange(10, ends, Duration::from_millis(2)).await;
        heard.arrivals.borrow_mut().clear();
        heard_back.arrivals.borrow_mut().clear();
        let mut dice = dice();
        let forging = async {
            for turn in 0..300 {
                // A stateless reset looks like a short packet with 16 bytes that only the peer knows.
                let mut reset: Vec<_> = (0..40).map(|_| dice(256) as u8).collect();
                reset[0] = 0x40 | reset[0] & 0x3f;
                way.forge(&reset).await;
                let noise: Vec<_> = (0..dice(1400)).map(|_| dice(256) as u8).collect();
                way.forge(&noise).await;
                let again = seen.borrow()[turn % seen.borrow().len()].clone();
                way.forge(&again).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::join!(forging, exchange(300, ends, Duration::from_millis(2)));
        for inbox in [&heard, &heard_back] {
            assert!(inbox.ends.borrow().is_empty(), "{:?}", inbox.ends.borrow());
        }
    });
}

#[test]
fn a_line_that_is_cut_is_made_anew_and_goes_on_where_it_was() {
    run(async {
        let (listener, heard, address) = open(p(1), true, &[]);
        let way = Way::to(address, Box::new(|bytes| vec![bytes])).await;
        let (dialer, heard_back, _) = open(p(0), false, &[(p(1), way.address)]);
        let ends = [(&dialer, &*heard_back, p(1)), (&listener, &*heard, p(0))];
        let cutting = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            // From here on the dialer seems to be somewhere else, where nobody knows its connection.
            *way.far.borrow_mut() = Rc::new(UdpSocket::bind(any()).await.unwrap());
            tokio::time::sleep(Duration::from_millis(100)).await;
            way.open.set(false);
            until("both give up", || {
                [&heard, &heard_back].iter().all(|inbox| !inbox.ends.borrow().is_empty())
            })
            .await;
            way.open.set(true);
        };
        tokio::join!(cutting, exchange(300, ends, Duration::from_millis(2)));
        assert_eq!((heard.ends.borrow().len(), heard_back.ends.borrow().len()), (1, 1));
    });
}
