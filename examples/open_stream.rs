//! Open stream: an outsider reads what members say, and proves it to another who asked nobody.

use maftia::cs::{Group, OpenStream};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    maftia::run(async {
        let group: Group = Group::embedded(4).await?;
        let mut ends = group.open::<OpenStream<String>>("prices").await?;
        let mut reader = group.outsider()?.read::<OpenStream<String>>("prices").await?;
        for (end, price) in ends.iter_mut().zip(["tin 20", "tin 21", "tin 19", "tin 22"]) {
            end.send(&price.to_owned()).await?;
        }
        for _ in 0..4 {
            let Some(delivery) = reader.next().await else { break };
            let delivery = delivery?;
            println!("slot {}: {} says {}", delivery.at, delivery.from, delivery.payload);
        }
        let proof = reader.proof().await?;
        let judge = group.outsider()?;
        judge.verify::<OpenStream<String>>("prices", &proof)?;
        assert_eq!(proof.entries().count(), 4, "all that was said is proven");
        assert!(
            judge.verify::<OpenStream<String>>("wages", &proof).is_err(),
            "and of nothing else"
        );
        Ok(())
    })
}
