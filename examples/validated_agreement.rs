//! Validated agreement: yes needs a proof that satisfies a predicate, and comes with one at every member.

use bytes::Bytes;
use maftia::cs::{Group, Predicate, Seat, ValidatedAgreement, decode};
use serde::{Deserialize, Serialize};

/// The puzzle: two factors of 8,051.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Factors;

impl Predicate for Factors {
    type Proof = Bytes;

    fn holds(&self, _: &Seat, proof: &Bytes) -> bool {
        let factors: Option<(u32, u32)> = decode(proof);
        factors.is_some_and(|(a, b)| a > 1 && b > 1 && a.checked_mul(b) == Some(8_051))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    maftia::run(async {
        let group = Group::<Factors>::embedded(4).await?;
        let ends = group.open::<ValidatedAgreement<(u32, u32)>>("solved?").await?;
        let solutions = [None, Some((83, 97)), Some((97, 83)), None];
        for (end, solution) in ends.iter().zip(&solutions) {
            end.propose(solution).await?;
        }
        for end in ends {
            let decided = end.decide().await?;
            println!("decided: {decided:?}");
            assert!(decided.is_none_or(|(a, b)| a * b == 8_051));
        }
        Ok(())
    })
}
