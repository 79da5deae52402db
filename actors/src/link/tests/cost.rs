//! What a payload costs on its way from one owner to three others:
//! `cargo test --release -p maftia-actors cost -- --ignored --nocapture`.

use std::{fs, rc::Rc, time::Instant};

use bytes::Bytes;
use maftia_core::{effects::Lane, seat::Owner};

use super::{Inbox, orders, p, passport, run, tcp, until};
use crate::link::{Bound, Links, memory::Hub};

/// The bytes of a payload.
const PAYLOAD: u64 = 512;

/// CPU time of this thread, in microseconds.
fn cpu_micros() -> u64 {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse::<u64>().unwrap() / 1_000
}

/// One sends frames of this length to three, who acknowledge them; CPU of all four per payload.
async fn fan_out(what: &str, links: &Links, inboxes: &[Rc<Inbox>], length: usize) {
    let (frames, window) = ((256 << 20) / length.max(4096), (8 << 20) / length.max(4096));
    let all = [p(1), p(2), p(3)];
    let body = Bytes::from(vec![7; length]);
    inboxes.iter().for_each(|inbox| inbox.arrivals.borrow_mut().clear());
    let (cpu, wall) = (cpu_micros(), Instant::now());
    for number in 1..=frames {
        links.send_many(&all, Lane::Bulk, &orders(), body.clone()).unwrap();
        if number % window == 0 {
            while inboxes.iter().any(|inbox| inbox.arrivals.borrow().len() < number) {
                tokio::task::yield_now().await;
            }
        }
    }
    let (cpu, wall) = (cpu_micros() - cpu, wall.elapsed());
    let (frames, length, micros) = (frames as u64, length as u64, wall.as_micros() as u64);
    println!(
        "{what}, frames of {length:>7} bytes: {:>5} ns CPU a payload, {:>5} us CPU a frame, {} MB/s",
        1_000 * cpu / (frames * length.div_ceil(PAYLOAD)),
        cpu / frames,
        3 * frames * length / micros,
    );
}

/// Round trips of a small frame between two, one at a time.
async fn ping_pong(what: &str, near: (&Links, &Inbox, Owner), far: (&Links, &Inbox, Owner)) {
    const TRIPS: u64 = 20_000;
    let heard = |inbox: &Inbox| inbox.arrivals.borrow().len() as u64;
    let body = Bytes::from_static(&[1; 64]);
    near.1.arrivals.borrow_mut().clear();
    far.1.arrivals.borrow_mut().clear();
    let (cpu, wall) = (cpu_micros(), Instant::now());
    for trip in 1..=TRIPS {
        near.0.send(far.2, Lane::Control, &orders(), body.clone()).unwrap();
        while heard(far.1) < trip {
            tokio::task::yield_now().await;
        }
        far.0.send(near.2, Lane::Control, &orders(), body.clone()).unwrap();
        while heard(near.1) < trip {
            tokio::task::yield_now().await;
        }
    }
    let wall = wall.elapsed().as_nanos() as u64 / TRIPS;
    println!("{what}: a round trip takes {wall} ns, {} us CPU", (cpu_micros() - cpu) / TRIPS);
}

#[test]
#[ignore = "a measurement, for release builds"]
fn a_payload_to_three_over_memory() {
    run(async {
        let hub = Hub::new();
        let open = |who: Owner| {
            let links = Links::new(passport(who));
            let inbox = Inbox::new(&links);
            links.open(Bound::Memory(hub.port(who)), Rc::<Inbox>::clone(&inbox));
            (links, inbox)
        };
        let (links, inboxes): (Vec<_>, Vec<_>) = (0..4).map(p).map(open).unzip();
        let connected = || links[0].status().iter().filter(|status| status.connected).count() == 3;
        until("all are connected", connected).await;
        for length in [64, 4 << 10, 64 << 10, 256 << 10, 1 << 20] {
            fan_out("memory", &links[0], &inboxes[1..], length).await;
        }
        let (near, far) = ((&links[0], &*inboxes[0], p(0)), (&links[1], &*inboxes[1], p(1)));
        ping_pong("memory", near, far).await;
    });
}

#[test]
#[ignore = "a measurement, for release builds"]
fn a_payload_to_three_over_tcp() {
    run(async {
        let mut to = Vec::new();
        let mut inboxes = Vec::new();
        for number in 1..4 {
            let (_, inbox, address) = tcp::open(p(number), true, &[]).await;
            to.push((p(number), address));
            inboxes.push(inbox);
        }
        let (links, own, _) = tcp::open(p(0), true, &to).await;
        let connected = || links.status().iter().filter(|status| status.connected).count() == 3;
        until("all are connected", connected).await;
        for length in [64, 4 << 10, 64 << 10, 256 << 10, 1 << 20] {
            fan_out("tcp", &links, &inboxes, length).await;
        }
        let far = &*inboxes[0];
        ping_pong("tcp", (&links, &own, p(0)), (&far.links, far, p(1))).await;
    });
}
