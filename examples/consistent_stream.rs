//! Consistent stream: the same with another word, fewer messages, and one promise less: of a member that
//! lies, some may hear less than others.

use maftia::{
    cs::{ConsistentStream, Group},
    prelude::*,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    maftia::run(async {
        let group: Group = Group::embedded(4).await?;
        let mut ends = group.open::<ConsistentStream<String>>("chat").await?;
        for (member, end) in ends.iter_mut().enumerate() {
            end.send(&format!("member {member} is here")).await?;
            end.send(&format!("member {member} is leaving")).await?;
        }
        for end in &mut ends {
            end.close().await?;
        }
        let mut heard = Vec::new();
        for mut end in ends {
            let mut list = Vec::new();
            while let Some(delivery) = end.next().await {
                let delivery = delivery?;
                list.push((delivery.from, delivery.payload));
            }
            heard.push(list);
        }
        heard[0].iter().for_each(|(from, text)| println!("{from}: {text}"));
        for list in heard {
            for from in PartyId::all(4) {
                let words: Vec<_> = list.iter().filter(|said| said.0 == from).collect();
                assert!(words.is_sorted(), "in the order of each sender: {words:?}");
            }
            assert!(list.len() >= 6, "three at least were heard to the end: {list:?}");
        }
        Ok(())
    })
}
