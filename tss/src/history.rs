//! The last transactions that ended, as many as one cares to remember.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::{limits, transaction::TxId};

/// Remembers the last [`limits::HISTORY_MAX`] transactions that ended, by the order of their ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct History<V> {
    order: VecDeque<TxId>,
    ended: BTreeMap<TxId, V>,
}

impl<V> Default for History<V> {
    fn default() -> Self {
        Self { order: VecDeque::new(), ended: BTreeMap::new() }
    }
}

impl<V> History<V> {
    /// Remembers how it ended; the first word counts.
    pub(crate) fn push(&mut self, tx: TxId, value: V) {
        if self.ended.contains_key(&tx) {
            return;
        }
        if self.order.len() >= limits::HISTORY_MAX {
            let oldest = self.order.pop_front().expect("the history is full");
            self.ended.remove(&oldest);
        }
        self.order.push_back(tx);
        self.ended.insert(tx, value);
    }

    pub(crate) fn get(&self, tx: TxId) -> Option<&V> {
        self.ended.get(&tx)
    }

    pub(crate) fn get_mut(&mut self, tx: TxId) -> Option<&mut V> {
        self.ended.get_mut(&tx)
    }
}

#[cfg(test)]
mod tests {
    use maftia_core::id::GroupId;

    use super::*;

    #[test]
    fn the_oldest_end_is_forgotten_first_and_the_first_word_counts() {
        let tx = |number| TxId::new(GroupId::new(0), number);
        let mut history = History::default();
        let last = limits::HISTORY_MAX as u64;
        (0..=last).rev().for_each(|number| history.push(tx(number), number));
        history.push(tx(0), 7);
        assert_eq!(history.get(tx(last)), None);
        assert_eq!(history.get(tx(last - 1)), Some(&(last - 1)));
        assert_eq!(history.get(tx(0)), Some(&0));
        assert_eq!(history.order.len(), history.ended.len());
    }
}
