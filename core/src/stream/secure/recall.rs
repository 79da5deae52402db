//! Shares that were lost, or came too early: asking for them, and keeping one's own for those who ask.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::message::{Message, Released, SHARES_MAX};
use crate::{
    crypto::{Digest, Share},
    id::{PartyId, Slot},
};

/// How many slots one question is about: their shares fit into one answer.
pub(super) const SPAN: u64 = SHARES_MAX as u64;

/// How often a party is answered that asks about the same slot: as often as its backlog may overflow
/// meanwhile. The question is smaller than the answer.
const ANSWERS_MAX: u8 = 64;

/// This party's own shares, for those who ask.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    shares: BTreeMap<Slot, (Digest, Share)>,
    /// Below this slot nothing is kept.
    oldest: Slot,
    /// What each asked last, and how often.
    answered: BTreeMap<PartyId, (Slot, u8)>,
}

impl Kept {
    /// Keeps a share that is released, and at most so many of them.
    pub(super) fn keep(&mut self, slot: Slot, name: Digest, share: Share, most: usize) {
        self.shares.insert(slot, (name, share));
        while self.shares.len() > most.max(1) {
            let Some((gone, _)) = self.shares.pop_first() else { break };
            self.oldest = self.oldest.max(gone.next());
        }
    }

    /// This party goes on at this slot and has released nothing of what it left out.
    pub(super) fn skip(&mut self, slot: Slot) {
        self.oldest = self.oldest.max(slot);
    }

    /// What to tell one who may lack shares from this slot on; nothing if it asked too often.
    pub(super) fn tell(&mut self, to: PartyId, from: Slot) -> Vec<Message> {
        let (last, times) = self.answered.entry(to).or_insert((from, 0));
        if *last != from {
            (*last, *times) = (from, 0);
        }
        if *times >= ANSWERS_MAX {
            return Vec::new();
        }
        *times += 1;
        let span = from..Slot::new(from.number().saturating_add(SPAN));
        let shares = self.shares.range(span).map(|(slot, (name, share))| Released {
            slot: *slot,
            name: *name,
            share: share.clone(),
        });
        let shares: Vec<_> = shares.collect();
        let mut all = Vec::new();
        if !shares.is_empty() {
            all.push(Message::Shares(shares));
        }
        let top = self.shares.last_key_value().map_or(Slot::FIRST, |(slot, _)| slot.next());
        all.push(Message::Told { oldest: self.oldest, top });
        all
    }
}

/// What this party may lack.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Lost {
    /// Shares of these parties for slots below these may be lacking.
    dropped: BTreeMap<PartyId, Slot>,
    /// They were asked for shares below these.
    asked: BTreeMap<PartyId, Slot>,
    /// Who no longer keeps shares of the slot that is to be opened next.
    gone: BTreeSet<PartyId>,
    /// That slot.
    head: Slot,
    /// Whether the user knows that it is out of reach.
    reported: bool,
}

impl Lost {
    /// A share of this party for that slot was not kept.
    pub(super) fn dropped(&mut self, from: PartyId, slot: Slot) {
        let end = Slot::new(slot.number().saturating_add(1));
        let known = self.dropped.entry(from).or_default();
        *known = end.max(*known);
    }

    /// Frames of this party are lost, nobody knows which. Asks at once, because questions of it may be
    /// among them.
    pub(super) fn missed(&mut self, from: PartyId, head: Slot) -> Message {
        self.dropped.insert(from, Slot::new(u64::MAX));
        self.asked.insert(from, Slot::new(head.number().saturating_add(SPAN)));
        Message::Recall { from: head, lossy: true }
    }

    /// Questions to this party may be lost.
    pub(super) fn ask_again(&mut self, party: PartyId) {
        self.asked.remove(&party);
    }

    /// This slot is to be opened next.
    pub(super) fn at(&mut self, head: Slot) {
        if head != self.head {
            self.head = head;
            self.gone.clear();
            self.reported = false;
            self.dropped.retain(|_, end| *end > head);
        }
    }

    /// Whom to ask for shares of that slot and those behind it, if these are already here.
    pub(super) fn ask(&mut self, here: impl Fn(PartyId) -> bool) -> Vec<PartyId> {
        let head = self.head;
        let lacking = self.dropped.keys().filter(|party| {
            !here(**party) && self.asked.get(party).is_none_or(|asked| *asked <= head)
        });
        let lacking: Vec<_> = lacking.copied().collect();
        let end = Slot::new(head.number().saturating_add(SPAN));
        self.asked.extend(lacking.iter().map(|party| (*party, end)));
        lacking
    }

    /// A party has told what it keeps. `true` if so many no longer keep what is needed that one correct
    /// party is among them, and this was not known.
    pub(super) fn told(
        &mut self,
        from: PartyId,
        oldest: Slot,
        top: Slot,
        one_correct: usize,
    ) -> bool {
        if let Some(end) = self.dropped.get_mut(&from) {
            *end = top.min(*end);
            if *end <= self.head {
                self.dropped.remove(&from);
            }
        }
        if oldest > self.head {
            self.gone.insert(from);
        }
        let out_of_reach = self.gone.len() >= one_correct && !self.reported;
        self.reported |= out_of_reach;
        out_of_reach
    }
}
