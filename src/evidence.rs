//! What is held against whom, and how much of it can be believed.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use maftia_actors::accusations::Seen;
use maftia_core::{
    crypto::PublicKey,
    fault::{Class, Proof},
    id::{GroupId, PartyId},
    seat::Owner,
    thresholds::Thresholds,
};

use crate::client::Client;

/// Silent answers in a row before a replica is suspected. It is a hint, so one will do.
const SILENT_MAX: u64 = 1;

/// Something that is held against a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Who did it.
    pub culprit: (GroupId, PartyId),
    /// The kind of the fault.
    pub kind: &'static str,
    /// How sure we are.
    pub class: Class,
    /// What was seen.
    pub text: String,
    /// Who says so; nobody if it was this client.
    pub accusers: BTreeSet<PartyId>,
    /// What convinces others too. It was checked here, with the public keys.
    pub proof: Option<Proof>,
}

impl Item {
    /// What one member says. Without a proof it is nobody's word but its own.
    fn said(seen: &Seen, culprit: (GroupId, PartyId)) -> Self {
        let proof = seen.fault.proof().cloned();
        let mut text = format!("{} ({})", seen.fault, seen.instance);
        let class = if proof.is_some() {
            text.push_str("; both signatures were checked here with its public key");
            Class::Proven
        } else {
            Class::Attested
        };
        Self { culprit, kind: seen.fault.kind(), class, text, accusers: BTreeSet::new(), proof }
    }
}

/// What can be believed of what members of a group say of each other: what one of them can prove, and
/// what so many say that one of them is correct.
pub(crate) fn weigh(
    group: GroupId,
    thresholds: Thresholds,
    told: &[(PartyId, Vec<Seen>)],
    keys: &BTreeMap<Owner, PublicKey>,
) -> Vec<Item> {
    let mut accused: BTreeMap<(PartyId, &'static str), Item> = BTreeMap::new();
    for (party, seen) in told.iter().flat_map(|(party, all)| all.iter().map(move |it| (*party, it)))
    {
        let Owner::Party(of, culprit) = seen.culprit else { continue };
        let holds = |it: &Proof| it.culprit() == seen.culprit && it.check(keys);
        // Who shows a proof that does not hold is no witness.
        let lies = seen.fault.proof().is_some_and(|proof| !holds(proof));
        if of != group || culprit == party || lies {
            continue;
        }
        let said = Item::said(seen, (group, culprit));
        match accused.entry((culprit, said.kind)) {
            Entry::Vacant(place) => drop(place.insert(said).accusers.insert(party)),
            Entry::Occupied(mut place) => {
                let item = place.get_mut();
                item.accusers.insert(party);
                if item.class < said.class {
                    let accusers = std::mem::take(&mut item.accusers);
                    *item = Item { accusers, ..said };
                }
            }
        }
    }
    let enough = thresholds.one_correct();
    let believed = |it: &Item| it.class == Class::Proven || it.accusers.len() >= enough;
    accused.into_values().filter(believed).collect()
}

/// What a client saw itself.
pub(crate) fn observed(group: GroupId, client: &Client) -> Vec<Item> {
    let mut items = Vec::new();
    for (party, seen) in client.seen(group) {
        let mut item = |kind, class, text| {
            let (culprit, accusers) = ((group, party), BTreeSet::new());
            items.push(Item { culprit, kind, class, text, accusers, proof: None });
        };
        if seen.outvoted > 0 {
            let text = "answered otherwise than f + 1 replicas".into();
            item("outvoted", Class::Observed, text);
        }
        if seen.silent >= SILENT_MAX {
            item("silent", Class::Suspected, "silent while others answered".into());
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use maftia_core::{
        crypto::{Digest, Identity, P256Identity, SecretKey},
        fault::{Fault, Once, Statement},
        id::{Epoch, Round},
        path::InstanceId,
    };

    use super::*;

    const GROUP: GroupId = GroupId::new(1);

    fn owner(party: u16) -> Owner {
        Owner::Party(GROUP, PartyId::new(party))
    }

    fn secret(party: u16) -> SecretKey {
        SecretKey::from_seed(&[party as u8 + 1; 32])
    }

    /// What says that party 2 signed twice, by the keys of `signer`.
    fn proof(signer: u16) -> Fault {
        let identity =
            P256Identity::new(owner(signer), secret(signer), BTreeMap::new().into(), false);
        let instance = InstanceId::root(GROUP, Epoch::FIRST, "left");
        let once = Once::Batch(Round::new(3));
        let [first, second] = ["one", "two"].map(|says| {
            let digest = Digest::of("test", says.as_bytes());
            Statement { digest, signature: identity.sign(&once.tag(&instance), &digest) }
        });
        Fault::SignedTwice(Box::new(Proof {
            instance,
            once,
            party: PartyId::new(2),
            first,
            second,
        }))
    }

    /// The classes of what is held against party 2 when each of these says so.
    fn classes(said: &[(u16, Fault)]) -> Vec<Class> {
        let keys = (0..4).map(|party| (owner(party), secret(party).public())).collect();
        let seen = |fault: &Fault| Seen {
            culprit: owner(2),
            instance: "left".into(),
            fault: fault.clone(),
            times: 1,
        };
        let told: Vec<_> =
            said.iter().map(|(party, fault)| (PartyId::new(*party), vec![seen(fault)])).collect();
        let thresholds = Thresholds::asynchronous(4, 1).unwrap();
        weigh(GROUP, thresholds, &told, &keys).into_iter().map(|item| item.class).collect()
    }

    #[test]
    fn one_who_can_prove_it_is_believed_alone() {
        assert_eq!(classes(&[(0, proof(2))]), [Class::Proven]);
        assert_eq!(classes(&[(0, Fault::NoSuchInstance)]), []);
        assert_eq!(
            classes(&[(0, Fault::NoSuchInstance), (1, Fault::NoSuchInstance)]),
            [Class::Attested]
        );
        let (first, second) = (Digest::of("test", b"a"), Digest::of("test", b"b"));
        let word = Fault::Equivocated { first, second };
        assert_eq!(classes(&[(0, word.clone()), (1, proof(2))]), [Class::Proven]);
        assert_eq!(classes(&[(0, proof(2)), (1, word)]), [Class::Proven]);
    }

    #[test]
    fn a_forged_proof_is_not_even_a_word() {
        assert_eq!(classes(&[(0, proof(0))]), []);
        assert_eq!(classes(&[(0, proof(0)), (1, proof(1))]), []);
        assert_eq!(classes(&[(2, proof(2))]), [], "nobody accuses himself");
    }
}
