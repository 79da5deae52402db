//! What this party holds against others: bounded, whatever they do.

use std::collections::BTreeMap;

use maftia_core::{fault::Fault, path::InstanceId, seat::Owner};
use serde::{Deserialize, Serialize};

/// The most owners about whom something is kept: a table of clients must not grow with attackers.
const OWNERS_MAX: usize = 1_024;

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
pub struct Accusations(BTreeMap<Owner, BTreeMap<&'static str, Seen>>);

impl Accusations {
    /// Notes a fault. Returns whether its kind is news.
    pub fn note(&mut self, culprit: Owner, instance: &InstanceId, fault: Fault) -> bool {
        if self.0.len() >= OWNERS_MAX && !self.0.contains_key(&culprit) {
            return false;
        }
        let kind = fault.kind();
        let seen = self.0.entry(culprit).or_default().entry(kind).or_insert_with(|| Seen {
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
        seen.times == 1
    }

    /// Everything that was seen.
    pub fn list(&self) -> Vec<Seen> {
        self.0.values().flat_map(|kinds| kinds.values().cloned()).collect()
    }
}
