//! Secure atomic stream: the same with another word, and no member reads a bid before its place in the
//! order is fixed, so none can outbid it by a ducat.

use maftia::cs::{Group, SecureAtomicStream};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Bid {
    item: String,
    ducats: u32,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    maftia::run(async {
        let group: Group = Group::embedded(4).await?;
        let mut ends = group.open::<SecureAtomicStream<Bid>>("auction").await?;
        for (ducats, end) in (10..).zip(&mut ends) {
            end.send(&Bid { item: "tulip".into(), ducats }).await?;
            end.close().await?;
        }
        let mut logs = Vec::new();
        for mut end in ends {
            let mut log = Vec::new();
            while let Some(delivery) = end.next().await {
                log.push(delivery?);
            }
            logs.push(log);
        }
        for bid in &logs[0] {
            println!("slot {}: {} bids {}", bid.at, bid.from, bid.payload.ducats);
        }
        assert!(logs.iter().all(|log| *log == logs[0]), "one order, one end");
        assert!(logs[0].len() >= 2, "two members asked for the end after they bid");
        Ok(())
    })
}
