//! Consistent broadcast: as reliable broadcast, but one word, fewer messages and one promise less: if the
//! speaker lies, some members may hear nothing.

use maftia::cs::{ConsistentBroadcast, Group};
use maftia::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    maftia::run(async {
        let group: Group = Group::embedded(4).await?;
        let speaker = PartyId::new(2);
        let ends = group.open_with::<ConsistentBroadcast<String>>("the news", speaker).await?;
        ends[2].broadcast(&"the mint is on fire".to_owned()).await?;
        for (member, end) in ends.into_iter().enumerate() {
            let heard = end.deliver().await?;
            println!("member {member} hears: {heard}");
            assert_eq!(heard, "the mint is on fire");
        }
        Ok(())
    })
}
