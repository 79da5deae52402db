//! Threshold signature: the group signs what more than `f` of its members want signed, and nothing else.

use maftia::cs::{Group, ThresholdSignature};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    maftia::run(async {
        let group: Group = Group::embedded(4).await?;
        let ends = group.open::<ThresholdSignature>("edict 7").await?;
        let mut wishes = Vec::new();
        for (member, mut end) in ends.into_iter().enumerate() {
            let wish = if member == 3 { "taxes rise" } else { "taxes fall" }.to_owned();
            wishes.push(tokio::task::spawn_local(async move {
                let signed = end.sign(&wish).await?;
                assert!(
                    end.verify(&wish, &signed) && !end.verify(&"taxes rise".to_owned(), &signed)
                );
                Ok::<_, maftia::cs::Stopped>(signed)
            }));
        }
        for wish in wishes.drain(..3) {
            println!("signed, in {} bytes: taxes fall", wish.await??.0.len());
        }
        assert!(!wishes[0].is_finished(), "one member alone has nothing signed");
        Ok(())
    })
}
