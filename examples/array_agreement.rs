//! Array agreement: every member proposes a value, and all decide one of the proposals.

use maftia::cs::{ArrayAgreement, Group};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    maftia::run(async {
        let group: Group = Group::embedded(4).await?;
        let ends = group.open::<ArrayAgreement<String>>("next leader").await?;
        let names = ["ada", "grace", "barbara", "leslie"];
        for (end, name) in ends.iter().zip(names) {
            end.propose(&name.to_owned()).await?;
        }
        let mut decisions = Vec::new();
        for end in ends {
            decisions.push(end.decide().await?);
        }
        let (proposer, name) = decisions[0].clone();
        println!("all decide {name}, whom {proposer} proposed");
        assert_eq!(names[proposer.index()], name);
        assert!(decisions.iter().all(|decision| *decision == decisions[0]));
        Ok(())
    })
}
