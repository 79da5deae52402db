//! Faults that convince whoever did not see them.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    crypto::{Digest, PublicKey, Signature},
    id::{PartyId, Round},
    path::{InstanceId, Tag},
    seat::Owner,
};

/// What a party may sign once only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Once {
    /// The name of its batch in a round of an atomic stream.
    Batch(Round),
}

impl Once {
    /// The domain in which it is signed at this instance.
    pub fn tag(self, instance: &InstanceId) -> Tag {
        match self {
            Self::Batch(round) => instance.tag("queue").numbered(round.number()),
        }
    }
}

impl fmt::Display for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batch(round) => write!(f, "one batch in round {round}"),
        }
    }
}

/// Something that a party signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The digest of what it says.
    pub digest: Digest,
    /// The party's signature over it.
    pub signature: Signature,
}

/// Two statements of one party, of which a correct one signs one at most. Whoever has the public keys
/// can check it, and need not believe the one it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Where it was said.
    pub instance: InstanceId,
    /// What may be signed once there.
    pub once: Once,
    /// Who signed, in the group of the instance.
    pub party: PartyId,
    /// What it signed.
    pub first: Statement,
    /// What it signed as well.
    pub second: Statement,
}

impl Proof {
    /// Whom it convicts, if it holds.
    pub fn culprit(&self) -> Owner {
        Owner::Party(self.instance.of().group, self.party)
    }

    /// Whether it holds: these are two statements, and the culprit has signed both.
    pub fn check(&self, keys: &BTreeMap<Owner, PublicKey>) -> bool {
        let Some(key) = keys.get(&self.culprit()) else { return false };
        let tag = self.once.tag(&self.instance);
        let signed = |it: &Statement| key.verifies(&tag, &it.digest, &it.signature);
        self.first.digest != self.second.digest && signed(&self.first) && signed(&self.second)
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = (self.first.digest, self.second.digest);
        write!(f, "signed {first} and {second}, where it may sign {}", self.once)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        crypto::{Identity, P256Identity, SecretKey},
        id::{Epoch, GroupId},
        path::Role,
        wire,
    };

    fn owner(party: u16) -> Owner {
        Owner::Party(GroupId::new(1), PartyId::new(party))
    }

    fn secret(party: u16) -> SecretKey {
        SecretKey::from_seed(&[party as u8 + 1; 32])
    }

    fn keys() -> BTreeMap<Owner, PublicKey> {
        (0..4).map(|party| (owner(party), secret(party).public())).collect()
    }

    fn stream() -> InstanceId {
        InstanceId::root(GroupId::new(1), Epoch::FIRST, "left").child(Role::Stream.only())
    }

    fn statement(party: u16, once: Once, says: &str) -> Statement {
        let identity = P256Identity::new(owner(party), secret(party), keys().into(), false);
        let digest = Digest::of("test", says.as_bytes());
        let signature = identity.sign(&once.tag(&stream()), &digest);
        Statement { digest, signature }
    }

    /// A proof against party 2.
    fn proof() -> Proof {
        let once = Once::Batch(Round::new(7));
        let [first, second] = ["left", "right"].map(|says| statement(2, once, says));
        Proof { instance: stream(), once, party: PartyId::new(2), first, second }
    }

    #[test]
    fn a_proof_convinces_whoever_has_the_public_keys() {
        let bytes = wire::encode(&proof());
        let read: Proof = wire::decode(&bytes).unwrap();
        assert!(read.check(&keys()));
        assert_eq!(read.culprit(), owner(2));
        assert!(read.to_string().contains("one batch in round"), "{read}");
    }

    #[test]
    fn forged_proofs_convince_nobody() {
        let round = Once::Batch(Round::new(7));
        let elsewhere = InstanceId::root(GroupId::new(1), Epoch::FIRST, "left");
        let other_group = InstanceId::root(GroupId::new(2), Epoch::FIRST, "left");
        let forgeries = [
            ("one statement twice", Proof { second: proof().first, ..proof() }),
            ("another culprit", Proof { party: PartyId::new(1), ..proof() }),
            ("nobody", Proof { party: PartyId::new(9), ..proof() }),
            ("another round", Proof { once: Once::Batch(Round::new(8)), ..proof() }),
            ("another instance", Proof { instance: elsewhere, ..proof() }),
            ("another group", Proof { instance: other_group, ..proof() }),
            (
                "one statement of another round",
                Proof { second: statement(2, Once::Batch(Round::new(8)), "right"), ..proof() },
            ),
            ("the accuser's signature", Proof { second: statement(0, round, "right"), ..proof() }),
            (
                "a signature of something else",
                Proof {
                    second: Statement { digest: Digest::of("test", b"middle"), ..proof().second },
                    ..proof()
                },
            ),
        ];
        for (what, forged) in forgeries {
            assert!(!forged.check(&keys()), "{what}");
        }
        let signature = proof().first.signature;
        for length in [0, 63] {
            let cut = Signature(signature.0.slice(..length));
            let first = Statement { signature: cut, ..proof().first };
            assert!(!Proof { first, ..proof() }.check(&keys()));
        }
    }
}
