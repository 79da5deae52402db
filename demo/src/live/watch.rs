//! What this console saw itself: who was outvoted, and who was silent.

use std::collections::BTreeMap;

use crate::cluster::{GroupStatus, Item, Replica, State, Votes};

/// The most items that are kept. Replicas and kinds are few, so this is never reached.
const ITEMS_MAX: usize = 1_024;

/// What this console saw.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// In the order in which they were seen first.
    items: Vec<Item>,
    /// Where an item stands, by whom and what it is about.
    places: BTreeMap<(Replica, &'static str), usize>,
    speaker: Option<String>,
}

impl Watch {
    /// Who speaks at the console.
    pub(super) fn speaks(&mut self, client: &str) {
        self.speaker = Some(client.to_owned());
    }

    /// Who spoke last.
    pub(super) fn speaker(&self) -> Option<&str> {
        self.speaker.as_deref()
    }

    /// Looks at an answer: who was outvoted lied, to this console or in its state.
    pub(super) fn saw(&mut self, votes: &Votes) {
        for (culprit, (_, said)) in votes.outvoted().zip(&votes.outvoted) {
            let text = format!("answered `{said}` where {} others agreed", votes.agree.len());
            self.note(culprit, "outvoted", "observed", text);
        }
    }

    /// Looks at a status: who is silent or stopped is suspected, which is no accusation.
    pub(super) fn looked(&mut self, status: &[GroupStatus]) {
        for replica in status.iter().flat_map(|group| &group.replicas) {
            if matches!(replica.state, State::Silent | State::Stopped) {
                let text = "silent while others answered".to_owned();
                self.note(replica.id.clone(), "silent", "suspected", text);
            }
        }
    }

    fn note(&mut self, culprit: Replica, kind: &'static str, class: &str, text: String) {
        let at = (culprit, kind);
        if self.items.len() >= ITEMS_MAX || self.places.contains_key(&at) {
            return;
        }
        let (kind, class) = (kind.to_owned(), class.to_owned());
        self.items.push(Item { culprit: at.0.clone(), kind, class, text, proof: None });
        self.places.insert(at, self.items.len() - 1);
    }

    /// All items, the newest first, and after them what the cluster knows. What both know in the same
    /// class is told in the words of the one who saw it.
    pub(super) fn with(&self, mut accusations: Vec<Item>) -> Vec<Item> {
        let same =
            |one: &Item, other: &Item| (&one.culprit, &one.kind) == (&other.culprit, &other.kind);
        let mut own: Vec<_> = self.items.iter().rev().cloned().collect();
        accusations.retain(|it| !own.iter().any(|mine| same(mine, it) && mine.class == it.class));
        own.retain(|mine| !accusations.iter().any(|it| same(mine, it)));
        own.into_iter().chain(accusations).collect()
    }
}
