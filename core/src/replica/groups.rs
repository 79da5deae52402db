//! What other groups said and what they are told. Replicated state.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    message::Statement,
    service::{Command, Item},
};
use crate::id::{GroupId, PartyId, Slot};

/// How many statements of one group may be on their way in: what a busy group says in a second.
pub(super) const STATEMENTS_WINDOW: u64 = 1_024;

/// Both directions between this group and another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Line {
    /// How many of its statements took effect.
    heard: u64,
    waiting: BTreeMap<u64, Statement>,
    /// How many statements it was told.
    told: u64,
    /// How many of those took effect there.
    acked: u64,
    outbox: BTreeMap<u64, Statement>,
    /// What each member says of `acked`.
    acks: BTreeMap<PartyId, u64>,
}

/// The lines to all groups that were ever heard or told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Groups {
    lines: BTreeMap<GroupId, Line>,
}

impl Groups {
    /// How many statements of `group` took effect.
    pub(super) fn heard(&self, group: GroupId) -> u64 {
        self.lines.get(&group).map_or(0, |line| line.heard)
    }

    /// Whether this statement of `group` may take effect, now or after those before it.
    pub(super) fn is_open(&self, group: GroupId, number: u64) -> bool {
        let line = self.lines.get(&group);
        let heard = line.map_or(0, |line| line.heard);
        number > heard
            && number - heard <= STATEMENTS_WINDOW
            && !line.is_some_and(|line| line.waiting.contains_key(&number))
    }

    /// A vouched statement: what takes effect by it, in that group's order.
    pub(super) fn take(
        &mut self,
        slot: Slot,
        from: GroupId,
        statement: Statement,
        out: &mut Vec<Item>,
    ) {
        if !self.is_open(from, statement.number) {
            return;
        }
        let line = self.lines.entry(from).or_default();
        line.waiting.insert(statement.number, statement);
        while let Some(Statement { ack, body, .. }) = line.waiting.remove(&(line.heard + 1)) {
            line.heard += 1;
            line.acknowledge(ack);
            out.push(Item { slot, command: Command::Statement { from, body } });
        }
    }

    /// Puts what another group is told into the outbox.
    pub(super) fn tell(&mut self, to: GroupId, body: Bytes) -> Statement {
        let line = self.lines.entry(to).or_default();
        line.told += 1;
        let statement = Statement { number: line.told, ack: line.heard, body };
        line.outbox.insert(line.told, statement.clone());
        statement
    }

    /// A member says that `group` acknowledged so many. It counts when `needed` say so.
    pub(super) fn vouch_ack(&mut self, from: PartyId, group: GroupId, ack: u64, needed: usize) {
        let Some(line) = self.lines.get_mut(&group) else { return };
        let said = line.acks.entry(from).or_default();
        *said = ack.max(*said);
        let mut said: Vec<u64> = line.acks.values().copied().collect();
        said.sort_unstable_by(|a, b| b.cmp(a));
        if let Some(ack) = said.get(needed - 1) {
            line.acknowledge(*ack);
        }
    }

    /// The number of the last statement that `group` was told.
    pub(super) fn told(&self, group: GroupId) -> u64 {
        self.lines.get(&group).map_or(0, |line| line.told)
    }

    /// The highest number that `group` acknowledged.
    pub(super) fn acked(&self, group: GroupId) -> u64 {
        self.lines.get(&group).map_or(0, |line| line.acked)
    }

    /// How many statements wait for an acknowledgement of `group`.
    pub(super) fn unacked(&self, group: GroupId) -> usize {
        self.lines.get(&group).map_or(0, |line| line.outbox.len())
    }

    /// The groups that were heard or told.
    pub(super) fn ids(&self) -> impl Iterator<Item = GroupId> {
        self.lines.keys().copied()
    }

    /// What is in the outbox for `group` above `ack`, in order.
    pub(super) fn outbox<'a>(
        &'a self,
        group: GroupId,
        ack: u64,
    ) -> impl Iterator<Item = &'a Statement> + use<'a> {
        let line = self.lines.get(&group);
        // More than was told is a lie of a whole group.
        let above = move |line: &'a Line| line.outbox.range(ack.min(line.told) + 1..);
        line.into_iter().flat_map(above).map(|(_, kept)| kept)
    }
}

impl Line {
    fn acknowledge(&mut self, ack: u64) {
        // More than was told is a lie of a whole group: it acknowledges all.
        self.acked = self.acked.max(ack.min(self.told));
        self.outbox = self.outbox.split_off(&(self.acked + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_acknowledges_what_it_was_never_told_is_told_nothing_again() {
        let (mut groups, other) = (Groups::default(), GroupId::new(1));
        groups.tell(other, Bytes::from_static(b"x"));
        assert_eq!(groups.outbox(other, 0).count(), 1);
        assert_eq!(groups.outbox(other, u64::MAX).count(), 0);
    }
}
