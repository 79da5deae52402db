//! Public stream: outsiders send, each word gets one slot, and whoever reads can prove what stands there.

use maftia::cs::{Group, PublicStream};
use serde::{Deserialize, Serialize};

type Offers = PublicStream<Offer>;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Offer {
    item: String,
    ducats: u32,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    maftia::run(async {
        let group: Group = Group::embedded(4).await?;
        let _served = group.open::<Offers>("offers").await?;
        let (one, other) = (group.outsider()?, group.outsider()?);
        let (first, second) =
            (one.write::<Offers>("offers").await?, other.write::<Offers>("offers").await?);
        let offer = |ducats| Offer { item: "tulip".into(), ducats };
        let slots = [first.send(&offer(10)).await?, second.send(&offer(12)).await?];
        assert_eq!(slots, [0, 1], "the second was sent when the first had its slot");
        first.close().await;
        let mut reader = one.read::<Offers>("offers").await?;
        for slot in slots {
            let Some(delivery) = reader.next().await else { break };
            let delivery = delivery?;
            println!("slot {}: {} offers {:?}", delivery.at, delivery.from, delivery.payload);
            assert_eq!(delivery.at, slot);
        }
        let proof = reader.proof().await?;
        assert_eq!(proof.entries().count(), 2);
        group.outsider()?.verify::<Offers>("offers", &proof)?;
        Ok(())
    })
}
