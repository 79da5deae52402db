//! What this party holds against others: bounded, whatever they do.
//!
//! Who stands in the configuration has a place for as long as there is one: members are few, and so are
//! the clients that were dealt keys. Guests make their own keys, as many as they like, so they share some
//! places, and the latest push out the earliest.

use std::collections::{BTreeMap, VecDeque};

use maftia_core::{fault::Fault, path::InstanceId, seat::Owner};
use serde::{Deserialize, Serialize};

/// The most owners outside the configuration about whom something is kept: a table of clients must not
/// grow with attackers.
const GUESTS_MAX: usize = 1_024;

/// One kind of fault of one owner, as this party saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Who did it.
    pub culprit: Owner,
    /// Where it was seen first.
    pub instance: String,
    /// What was seen first; what can be proved, if there was any.
    pub fault: Fault,
    /// How often the kind was seen.
    pub times: u64,
}

/// The first of each kind of fault of each owner, and how often it came.
#[derive(Clone, Debug, Default)]
pub struct Accusations {
    of: BTreeMap<Owner, BTreeMap<&'static str, Seen>>,
    /// Those of them who are not in the configuration, in the order of their first fault.
    guests: VecDeque<Owner>,
}

impl Accusations {
    /// Notes a fault of an owner who stands in the configuration, or does not. Returns whether it is
    /// news that is worth a line in the log: the kind is new, and it pushed nobody out, since those who
    /// do would fill a disk.
    pub fn note(
        &mut self,
        culprit: Owner,
        configured: bool,
        instance: &InstanceId,
        fault: Fault,
    ) -> bool {
        let mut crowded = false;
        if !configured && !self.of.contains_key(&culprit) {
            self.guests.push_back(culprit);
            if self.guests.len() > GUESTS_MAX
                && let Some(earliest) = self.guests.pop_front()
            {
                self.of.remove(&earliest);
                crowded = true;
            }
        }
        let kind = fault.kind();
        let seen = self.of.entry(culprit).or_default().entry(kind).or_insert_with(|| Seen {
            culprit,
            instance: instance.to_string(),
            fault: fault.clone(),
            times: 0,
        });
        // What convinces others is worth more than what came first.
        if seen.fault.proof().is_none() && fault.proof().is_some() {
            (seen.instance, seen.fault) = (instance.to_string(), fault);
        }
        seen.times += 1;
        seen.times == 1 && !crowded
    }

    /// Everything that was seen.
    pub fn list(&self) -> Vec<Seen> {
        self.of.values().flat_map(|kinds| kinds.values().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use maftia_core::{
        crypto::Digest,
        id::{ClientId, Epoch, GroupId, PartyId},
    };

    use super::*;

    fn guest(number: usize) -> Owner {
        Owner::Client(ClientId::of_key(&Digest::of("test", &number.to_le_bytes())))
    }

    #[test]
    fn guests_push_out_guests_and_nobody_else() {
        let instance = InstanceId::root(GroupId::new(0), Epoch::FIRST, "orders");
        let mut accusations = Accusations::default();
        let mut note = |culprit, configured| {
            accusations.note(culprit, configured, &instance, Fault::NoSuchInstance)
        };
        let member = |number| Owner::Party(GroupId::new(0), PartyId::new(number));
        assert!(note(member(0), true) && note(guest(usize::MAX), true));
        let news = (0..2 * GUESTS_MAX).filter(|number| note(guest(*number), false)).count();
        assert_eq!(news, GUESTS_MAX, "the log is told of as many as there is room for");
        assert!(note(member(1), true), "there is room for a member");
        let culprits: Vec<_> = accusations.list().into_iter().map(|seen| seen.culprit).collect();
        assert_eq!(culprits.len(), GUESTS_MAX + 3);
        for kept in [member(0), member(1), guest(usize::MAX), guest(2 * GUESTS_MAX - 1)] {
            assert!(culprits.contains(&kept));
        }
        assert!(!culprits.contains(&guest(0)), "the earliest guest made room");
    }
}
