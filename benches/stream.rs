//! What an ordered payload costs: an atomic stream of four parties in one process, memory links with
//! MACs, real keys, beside the floor: the same bytes fanned out with MACs and nothing agreed.
//!
//! CPU time is summed over all parties. Logs are in memory; nothing else is switched off.

#![allow(clippy::cast_precision_loss, reason = "figures are printed with three digits")]

#[path = "support/cluster.rs"]
mod cluster;
mod support;

use std::{
    cell::Cell,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use cluster::{CHUNK, Cluster};
use maftia_actors::{link::memory::Hub, log::Store, node::Durability, placement::Placement};
use maftia_core::{
    crypto::Digest,
    effects::Lane,
    protocol::Kind,
    stream::{atomic::Input, batch::Batch},
};
use support::{PAYLOAD, cpu_time, group, median, resident};

/// One payload at a time from one party: the time until all four delivered it.
async fn alone(cluster: &Cluster, count: usize) -> Vec<f64> {
    let mut times = Vec::new();
    for _ in 0..count {
        let (before, start) = (cluster.least(), Instant::now());
        let batch = Batch::of([[7; PAYLOAD]]);
        cluster.nodes[0].ask(Input::Submit { batch }).await.expect("it lives");
        while cluster.least() == before {
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times
}

/// The floor: each of four parties sends as many bytes to the three others, MAC'd and acknowledged.
async fn floor(total: u64) -> f64 {
    use maftia_actors::link::{Arrival, Bound, Links, Passport, Receive};
    struct Sink(Rc<Cell<u64>>, Links);
    impl Receive for Sink {
        fn take(&self, arrival: Arrival) -> Result<(), Box<Arrival>> {
            self.1.durable(arrival.from, arrival.lane, arrival.number);
            self.0.set(self.0.get() + 1);
            Ok(())
        }
    }
    let (seats, known) = group(4);
    let (hub, taken) = (Hub::new(), Rc::new(Cell::new(0)));
    let mut links = Vec::new();
    for seat in &seats {
        let link = Links::new(Passport {
            me: seat.owner,
            identity: Arc::clone(&seat.keys.identity),
            network: Digest::of("bench", b"floor"),
            known: Arc::clone(&known),
            key: None,
            guests: None,
        });
        link.open(
            Bound::Memory(hub.port(seat.owner)),
            Rc::new(Sink(Rc::clone(&taken), link.clone())),
        );
        links.push(link);
    }
    let everyone: Vec<_> = known.iter().copied().collect();
    let frame = Bytes::from(vec![7; PAYLOAD * CHUNK as usize]);
    let frames = total / CHUNK;
    let cpu = cpu_time();
    for sent in 0..frames {
        let link = &links[(sent % 4) as usize];
        link.send_many(&everyone, Lane::Bulk, &seats[0].id, Bytes::copy_from_slice(&frame))
            .expect("they are known");
        while taken.get() + 3 * 16 < 3 * sent {
            tokio::time::sleep(Duration::from_micros(50)).await;
        }
    }
    while taken.get() < 3 * frames {
        tokio::time::sleep(Duration::from_micros(50)).await;
    }
    cpu_time().saturating_sub(cpu).as_secs_f64() * 1e6 / (frames * CHUNK) as f64
}

fn main() {
    actix_rt::System::new().block_on(async {
        let total = 400_000;
        println!("atomic stream, n = 4, one process, memory links with MACs, {PAYLOAD}-byte payloads");
        let kinds = [Kind("multivalued"), Kind("validated")];
        for (name, placement) in
            [("inline", Placement::inline()), ("detached", Placement::detached(kinds))]
        {
            let stores: Vec<Store> = (0..4).map(|_| Store::default()).collect();
            let durability = |party: usize| Durability::Memory(stores[party].clone());
            let mut cluster = cluster::start(&placement, durability).await;
            cluster.saturate(100_000).await;
            let mut costs = Vec::new();
            let mut rates = Vec::new();
            for _ in 0..5 {
                let (cpu, wall) = cluster.saturate(total / 5).await;
                costs.push(cpu.as_secs_f64() * 1e6 / (total / 5) as f64);
                rates.push((total / 5) as f64 / wall.as_secs_f64());
            }
            println!(
                "  {name}: {:.1} us CPU a payload over all four (median of 5), {:.0} payloads/s, {} MiB resident",
                median(costs),
                median(rates),
                resident(),
            );
            tokio::time::sleep(Duration::from_millis(500)).await;
            let mut times = alone(&cluster, 50).await;
            times.sort_by(f64::total_cmp);
            println!(
                "  {name}: one payload alone {:.1} ms (median), {:.1} ms (p90)",
                times[25], times[45]
            );
            for node in cluster.nodes {
                node.crash();
            }
        }
        let floors = [floor(total).await, floor(total).await, floor(total).await];
        println!("  floor: {:.2} us CPU a payload, fanned out and MAC'd, nothing agreed", median(floors.to_vec()));
    });
}
