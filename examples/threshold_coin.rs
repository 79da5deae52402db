//! Threshold coin: random bits that nobody knows before, the same for all; here they draw a lot.

use maftia::cs::{Group, ThresholdCoin};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    maftia::run(async {
        let group: Group = Group::embedded(4).await?;
        let mut values = Vec::new();
        let mut tosses = Vec::new();
        for coin in group.open::<ThresholdCoin>("who cleans up").await? {
            // Each waits for another one, so all toss at once.
            tosses.push(tokio::task::spawn_local(coin.toss()));
        }
        for toss in tosses {
            values.push(toss.await??);
        }
        println!("member {} cleans up", values[0][0] % 4);
        assert!(values.iter().all(|value| *value == values[0]));
        assert_ne!(values[0], [0; 32]);
        Ok(())
    })
}
