//! Reliable broadcast: one member speaks, and if one correct member hears it, all hear the same.

use maftia::cs::{Group, ReliableBroadcast};
use maftia::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    maftia::run(async {
        let group: Group = Group::embedded(4).await?;
        let speaker = PartyId::new(2);
        let ends = group.open_with::<ReliableBroadcast<String>>("the news", speaker).await?;
        ends[2].broadcast(&"the mint is on fire".to_owned()).await?;
        assert!(ends[0].broadcast(&"all is well".to_owned()).await.is_err(), "not the speaker");
        for (member, end) in ends.into_iter().enumerate() {
            let heard = end.deliver().await?;
            println!("member {member} hears: {heard}");
            assert_eq!(heard, "the mint is on fire");
        }
        Ok(())
    })
}
