//! Binary agreement: every member proposes a bit, and all decide one that a correct member proposed,
//! while one of the four says nothing at all.

use maftia::cs::{BinaryAgreement, Group};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    maftia::run(async {
        let group: Group = Group::embedded(4).await?;
        let mut ends = group.open::<BinaryAgreement>("attack at dawn?").await?;
        let mut members = group.into_members();
        members.pop().expect("there are four").crash();
        ends.pop();

        for (end, opinion) in ends.iter().zip([true, false, true]) {
            end.propose(&opinion).await?;
        }
        let mut decisions = Vec::new();
        for end in ends {
            decisions.push(end.decide().await?);
        }
        println!("the three that are left decide: {decisions:?}");
        assert!(decisions.iter().all(|decision| *decision == decisions[0]));
        Ok(())
    })
}
