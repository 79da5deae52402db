//! Requests that wait until this member vouches for them. Each client has a share, and they take turns.
//! Local: it decides what this member says first, and what it has no room for.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::message::IDS_MAX;
use crate::{crypto::Digest, id::ClientId};

/// The most requests that wait: eight full ballots. Clients that the configuration names have their
/// share beside it.
pub(super) const QUEUE_MAX: usize = 8 * IDS_MAX;

/// The most requests of one client that wait: a full ballot.
pub(super) const SHARE_MAX: usize = IDS_MAX;

/// How much room a client has: so much, but no more than a quarter of what is free, so that however many
/// flood, something is left for those who do not. Whoever takes a name for each request fills it all the
/// same, so clients that the configuration names do not depend on what is free.
pub(super) fn share(most: usize, free: usize, named: bool) -> usize {
    if named { most } else { most.min(free / 4) }
}

/// What waits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Queue {
    /// Those whose turn has come: they were looked at, or the stream refused their ballot.
    first: VecDeque<Digest>,
    lanes: BTreeMap<ClientId, VecDeque<Digest>>,
    /// The clients of which something is in a lane, in turn.
    turns: VecDeque<ClientId>,
    /// Requests for which others are to vouch first, and whether they have had a while for it.
    spare: BTreeMap<Digest, (ClientId, bool)>,
    /// How many of each client are in its lane or spare.
    held: BTreeMap<ClientId, usize>,
    len: usize,
}

impl Queue {
    /// Whether a new request of this client is to be refused.
    pub(super) fn is_full(&self, client: ClientId, named: bool) -> bool {
        let own = self.held.get(&client).copied().unwrap_or(0);
        let free = QUEUE_MAX.saturating_sub(self.len);
        own >= share(SHARE_MAX, free, named)
    }

    /// Whether nothing waits for a vouch of this member.
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_empty() && self.turns.is_empty()
    }

    pub(super) fn push(&mut self, id: Digest, client: ClientId) {
        self.hold(client);
        self.line_up(id, client);
    }

    /// It goes before all others.
    pub(super) fn push_front(&mut self, id: Digest) {
        self.first.push_front(id);
    }

    /// A request for which others are to vouch first.
    pub(super) fn spare(&mut self, id: Digest, client: ClientId) {
        if self.spare.insert(id, (client, false)).is_none() {
            self.hold(client);
        }
    }

    /// Whether others are to vouch first for any request.
    pub(super) fn has_spare(&self) -> bool {
        !self.spare.is_empty()
    }

    /// Nobody needs to vouch for it any more. Whether it was spare.
    pub(super) fn drop_spare(&mut self, id: &Digest) -> bool {
        let spare = self.spare.remove(id);
        spare.inspect(|(client, _)| self.release(*client)).is_some()
    }

    /// A while passed. The requests for which others had all of it line up now.
    pub(super) fn hurry(&mut self) -> Vec<Digest> {
        let had = |(id, (client, had)): (&Digest, &(ClientId, bool))| had.then_some((*id, *client));
        let late: Vec<_> = self.spare.iter().filter_map(had).collect();
        for (id, client) in &late {
            self.spare.remove(id);
            self.line_up(*id, *client);
        }
        self.spare.values_mut().for_each(|(_, had)| *had = true);
        late.into_iter().map(|(id, _)| id).collect()
    }

    /// Takes out of the next ones those that are not worth a vouch any more.
    pub(super) fn retain(&mut self, worth: impl Fn(&Digest) -> bool) -> Vec<Digest> {
        let (kept, gone) = self.take(IDS_MAX).into_iter().partition::<Vec<_>, _>(worth);
        kept.into_iter().rev().for_each(|id| self.first.push_front(id));
        gone
    }

    /// The next ones, at most so many: one of each client in turn.
    pub(super) fn take(&mut self, most: usize) -> Vec<Digest> {
        let mut taken: Vec<_> = self.first.drain(..most.min(self.first.len())).collect();
        while taken.len() < most
            && let Some(client) = self.turns.pop_front()
        {
            let lane = self.lanes.get_mut(&client).expect("who has a turn has a lane");
            taken.extend(lane.pop_front());
            if lane.is_empty() {
                self.lanes.remove(&client);
            } else {
                self.turns.push_back(client);
            }
            self.release(client);
        }
        taken
    }

    fn line_up(&mut self, id: Digest, client: ClientId) {
        let lane = self.lanes.entry(client).or_default();
        if lane.is_empty() {
            self.turns.push_back(client);
        }
        lane.push_back(id);
    }

    fn hold(&mut self, client: ClientId) {
        *self.held.entry(client).or_default() += 1;
        self.len += 1;
    }

    fn release(&mut self, client: ClientId) {
        let held = self.held.get_mut(&client).expect("it was held");
        (*held, self.len) = (*held - 1, self.len - 1);
        if *held == 0 {
            self.held.remove(&client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> Digest {
        Digest::of("test", &number.to_le_bytes())
    }

    fn client(number: usize) -> ClientId {
        ClientId::of_key(&id(number))
    }

    /// Says as much as there is room for.
    fn flood(queue: &mut Queue, who: usize) -> usize {
        let room = |count: &usize| *count <= QUEUE_MAX;
        let mut said = 0;
        for count in (0..).take_while(room) {
            if queue.is_full(client(who), false) {
                break;
            }
            queue.push(id((who << 32) | count), client(who));
            said += 1;
        }
        said
    }

    #[test]
    fn one_that_floods_neither_shuts_others_out_nor_goes_before_them() {
        let mut queue = Queue::default();
        assert_eq!(flood(&mut queue, 1), SHARE_MAX);
        assert!(!queue.is_full(client(2), false));
        queue.push(id(0), client(2));
        let next = queue.take(IDS_MAX);
        assert_eq!(next.len(), IDS_MAX);
        assert!(next[..2].contains(&id(0)));
        assert_eq!(flood(&mut queue, 1), SHARE_MAX - 1, "what went leaves room");
    }

    #[test]
    fn many_that_flood_leave_each_other_and_the_quiet_a_share() {
        let mut queue = Queue::default();
        let said: usize = (1..=4).map(|who| flood(&mut queue, who)).sum();
        assert_eq!(said, 4 * SHARE_MAX);
        let later: usize = (5..=12).map(|who| flood(&mut queue, who)).sum();
        assert!(said + later < 15 * QUEUE_MAX / 16, "something is left");
        assert!(queue.is_full(client(1), false) && !queue.is_full(client(13), false));
        queue.push(id(0), client(13));
        assert!(queue.take(IDS_MAX)[..13].contains(&id(0)), "within one turn");
    }

    #[test]
    fn one_that_takes_a_name_for_each_request_leaves_their_share_to_those_that_are_known() {
        let mut queue = Queue::default();
        (0..2 * QUEUE_MAX).for_each(|who| {
            if !queue.is_full(client(who), false) {
                queue.push(id(who), client(who));
            }
        });
        assert!(queue.len <= QUEUE_MAX && queue.is_full(client(3 * QUEUE_MAX), false));
        for number in 0..SHARE_MAX {
            assert!(!queue.is_full(client(9 * QUEUE_MAX), true));
            queue.push(id(9 * QUEUE_MAX + number), client(9 * QUEUE_MAX));
        }
        assert!(queue.is_full(client(9 * QUEUE_MAX), true));
    }

    #[test]
    fn what_was_looked_at_keeps_its_place() {
        let mut queue = Queue::default();
        for number in 0..4 {
            queue.push(id(number), client(number % 2));
        }
        assert_eq!(queue.retain(|it| *it != id(1)), [id(1)]);
        queue.push(id(9), client(9));
        assert_eq!(queue.take(9), [0, 2, 3, 9].map(id));
        assert_eq!(queue, Queue::default());
    }

    #[test]
    fn what_others_vouch_for_first_counts_to_the_share() {
        let mut queue = Queue::default();
        (0..SHARE_MAX).for_each(|number| queue.spare(id(number), client(1)));
        assert!(queue.is_full(client(1), false) && queue.is_empty());
        assert!(queue.drop_spare(&id(0)) && !queue.drop_spare(&id(0)));
        assert!(!queue.is_full(client(1), false));
        assert_eq!(queue.hurry(), []);
        assert_eq!(queue.hurry().len(), SHARE_MAX - 1);
        assert!(!queue.has_spare());
        assert_eq!(queue.take(2 * SHARE_MAX).len(), SHARE_MAX - 1);
        assert_eq!(queue, Queue::default());
    }
}
