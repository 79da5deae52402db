//! What members of other groups say, until enough of them say the same. Local.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::message::Statement;
use crate::{
    crypto::Digest,
    fault::Fault,
    id::{GroupId, PartyId},
};

/// The most bytes of statements of one member that wait for others to say the same. Its latest go
/// first; it says them again.
pub(super) const HEARD_BYTES_MAX: usize = 4 << 20;

/// What is heard from one group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Group {
    said: BTreeMap<PartyId, BTreeMap<u64, (Digest, Statement)>>,
    bytes: BTreeMap<PartyId, usize>,
    /// How many of our statements each member acknowledges.
    acks: BTreeMap<PartyId, u64>,
}

/// What is heard from all groups.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Hearing {
    groups: BTreeMap<GroupId, Group>,
}

/// What came of a statement.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Heard {
    /// The id that enough members have said, by now.
    pub(super) agreed: Option<Digest>,
    /// Who said something else.
    pub(super) faults: Vec<(PartyId, Fault)>,
}

impl Hearing {
    /// Notes what a member of `group` said. `needed`: one correct among them.
    pub(super) fn hear(
        &mut self,
        group: GroupId,
        from: PartyId,
        statement: Statement,
        needed: usize,
    ) -> Heard {
        let (id, number) = (statement.id(group), statement.number);
        let heard = self.groups.entry(group).or_default();
        let said = heard.said.entry(from).or_default();
        if let Some((first, _)) = said.get(&number) {
            let (first, second) = (*first, id);
            let fault = Fault::Equivocated { first, second };
            if first != second {
                return Heard { agreed: None, faults: vec![(from, fault)] };
            }
            // It is said again, so it had no effect: perhaps the vouch for it was lost.
            let agreed = (heard.voters(number, id) >= needed).then_some(id);
            return Heard { agreed, faults: vec![] };
        }
        let bytes = heard.bytes.entry(from).or_default();
        *bytes += statement.body.len();
        said.insert(number, (id, statement));
        while *bytes > HEARD_BYTES_MAX && said.len() > 1 {
            let Some((_, (_, last))) = said.pop_last() else { break };
            *bytes -= last.body.len();
        }
        heard.judge(number, from, id, needed)
    }

    /// Forgets the statements of `group` up to `number`: they took effect.
    pub(super) fn forget(&mut self, group: GroupId, number: u64) {
        let Some(heard) = self.groups.get_mut(&group) else { return };
        for (party, said) in &mut heard.said {
            let rest = said.split_off(&(number + 1));
            let gone: usize = said.values().map(|(_, statement)| statement.body.len()).sum();
            *said = rest;
            if let Some(bytes) = heard.bytes.get_mut(party) {
                *bytes -= gone;
            }
        }
    }

    /// A member of `group` acknowledged so many. What one correct member acknowledged, by now.
    pub(super) fn ack(&mut self, group: GroupId, from: PartyId, ack: u64, needed: usize) -> u64 {
        let heard = self.groups.entry(group).or_default();
        let said = heard.acks.entry(from).or_default();
        *said = ack.max(*said);
        self.acked(group, needed)
    }

    /// What one correct member of `group` acknowledged.
    pub(super) fn acked(&self, group: GroupId, needed: usize) -> u64 {
        let Some(heard) = self.groups.get(&group) else { return 0 };
        let mut said: Vec<u64> = heard.acks.values().copied().collect();
        said.sort_unstable_by(|a, b| b.cmp(a));
        said.get(needed - 1).copied().unwrap_or(0)
    }
}

impl Group {
    /// How many have said this.
    fn voters(&self, number: u64, id: Digest) -> usize {
        let says = |said: &&BTreeMap<u64, (Digest, Statement)>| {
            said.get(&number).is_some_and(|(said, _)| *said == id)
        };
        self.said.values().filter(says).count()
    }

    /// What is agreed once `from` has said `id`, and who said something else.
    fn judge(&self, number: u64, from: PartyId, id: Digest, needed: usize) -> Heard {
        let mut counts: BTreeMap<Digest, Vec<PartyId>> = BTreeMap::new();
        for (party, said) in &self.said {
            if let Some((said, _)) = said.get(&number) {
                counts.entry(*said).or_default().push(*party);
            }
        }
        let agreed = counts.iter().find(|(_, voters)| voters.len() >= needed);
        let Some((agreed, voters)) = agreed else { return Heard::default() };
        let news = *agreed != id || voters.len() == needed;
        let named = |party: &PartyId| news && (*agreed == id || *party == from);
        let faults = counts
            .iter()
            .filter(|(said, _)| *said != agreed)
            .flat_map(|(said, liars)| liars.iter().map(move |liar| (*liar, *said)))
            .filter(|(liar, _)| named(liar))
            .map(|(liar, answered)| (liar, Fault::Outvoted { answered, agreed: *agreed }))
            .collect();
        Heard { agreed: (*agreed == id).then_some(id), faults }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn what_enough_said_is_agreed_again_when_it_is_said_again() {
        let (mut hearing, group) = (Hearing::default(), GroupId::new(1));
        let said = |body| Statement { number: 1, ack: 0, body: Bytes::from_static(body) };
        let mut hear = |from, body| hearing.hear(group, PartyId::new(from), said(body), 2);
        let id = said(b"x").id(group);
        assert_eq!(hear(0, b"x"), Heard::default());
        assert_eq!(hear(0, b"x"), Heard::default(), "one member counts once");
        assert_eq!(hear(1, b"x").agreed, Some(id));
        assert_eq!(hear(1, b"x"), Heard { agreed: Some(id), faults: vec![] });
        let other = hear(1, b"y");
        assert!(other.agreed.is_none() && other.faults.len() == 1);
    }
}
