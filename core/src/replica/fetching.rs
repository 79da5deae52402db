//! The state that a member fetches: piece by piece, from all that hold it at a time.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    checkpoint::Checkpoint,
    message::{CHUNK, Message},
    pages,
};
use crate::{crypto::Digest, fault::Fault, id::PartyId};

/// How many pieces are asked for at a time. With the pieces that are here they are all the memory that
/// a transfer takes.
pub(super) const UNDER_WAY_MAX: usize = 8;

/// The state that is being fetched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Target {
    checkpoint: Checkpoint,
    /// Who holds it, but for those that lied.
    holders: Vec<PartyId>,
    /// Who let an alarm pass: asked last.
    slow: BTreeSet<PartyId>,
    /// The names of its pieces, once they are known.
    pages: Option<Vec<Digest>>,
    /// Who was asked for them, and whether before the last alarm.
    list_asked: Option<(PartyId, bool)>,
    pieces: Vec<Option<Bytes>>,
    /// The first piece that is not here and not asked for, or one below it.
    next: usize,
    asked: BTreeMap<u32, (PartyId, bool)>,
    /// Whether something came since the alarm was set.
    moved: bool,
}

impl Target {
    pub(super) fn new(checkpoint: Checkpoint, holders: Vec<PartyId>) -> Self {
        Self {
            checkpoint,
            holders,
            slow: BTreeSet::new(),
            pages: None,
            list_asked: None,
            pieces: Vec::new(),
            next: 0,
            asked: BTreeMap::new(),
            moved: false,
        }
    }

    /// Whether all of it is here.
    pub(super) fn is_whole(&self) -> bool {
        self.pages.is_some() && self.pieces.iter().all(Option::is_some)
    }

    /// Whether nobody is left who may have it.
    pub(super) fn is_lost(&self) -> bool {
        self.holders.is_empty()
    }

    /// All of it.
    pub(super) fn into_state(self) -> (Checkpoint, Vec<u8>) {
        (self.checkpoint, self.pieces.into_iter().flatten().collect::<Vec<_>>().concat())
    }

    /// Whom to ask next: who has the least to do, of those who are not slow.
    fn helper(&self) -> Option<PartyId> {
        let busy = |party: &PartyId| self.asked.values().filter(|(at, _)| at == party).count();
        let rank = |party: &&PartyId| (self.slow.contains(*party), busy(party));
        self.holders.iter().min_by_key(rank).copied()
    }

    /// What to ask of whom now.
    pub(super) fn ask(&mut self) -> Vec<(PartyId, Message)> {
        let digest = self.checkpoint.digest;
        let mut asks = Vec::new();
        if self.pages.is_none() {
            if let Some(helper) = self.helper().filter(|_| self.list_asked.is_none()) {
                self.list_asked = Some((helper, false));
                asks.push((helper, Message::ListRequest { digest }));
            }
            return asks;
        }
        while self.asked.len() < UNDER_WAY_MAX
            && let Some(helper) = self.helper()
        {
            let open = |place: &usize| {
                self.pieces[*place].is_none() && !self.asked.contains_key(&(*place as u32))
            };
            let Some(place) = (self.next..self.pieces.len()).find(open) else { break };
            self.next = place + 1;
            let place = place as u32;
            self.asked.insert(place, (helper, false));
            asks.push((helper, Message::ChunkRequest { digest, place }));
        }
        asks
    }

    /// The list of pieces came.
    pub(super) fn take_list(
        &mut self,
        from: PartyId,
        digest: Digest,
        list: Vec<Digest>,
    ) -> Result<(), Fault> {
        let asked = self.list_asked.is_some_and(|(helper, _)| helper == from);
        if !asked || self.pages.is_some() || digest != self.checkpoint.digest {
            return Ok(());
        }
        let right = list.len() as u64 == pages::count(self.checkpoint.size);
        if !right || pages::name(&list) != digest {
            self.list_asked = None;
            return Err(self.blame(from));
        }
        self.moved = true;
        self.pieces = vec![None; list.len()];
        self.pages = Some(list);
        Ok(())
    }

    /// A piece came. Who sent a wrong one is named, and others are asked for what it was asked for.
    pub(super) fn take_piece(
        &mut self,
        from: PartyId,
        digest: Digest,
        place: u32,
        piece: &Bytes,
    ) -> Result<(), Fault> {
        let asked = self.asked.get(&place).is_some_and(|(helper, _)| *helper == from);
        if !asked || digest != self.checkpoint.digest {
            return Ok(());
        }
        let name = self.pages.as_ref().and_then(|pages| pages.get(place as usize));
        if name != Some(&pages::name_of_piece(piece)) {
            return Err(self.blame(from));
        }
        self.asked.remove(&place);
        self.moved = true;
        // A piece of its own, not the frame that it came in.
        self.pieces[place as usize] =
            Some(Bytes::copy_from_slice(&piece[..piece.len().min(CHUNK)]));
        Ok(())
    }

    fn blame(&mut self, liar: PartyId) -> Fault {
        self.holders.retain(|holder| *holder != liar);
        self.release(|helper, _| helper == liar);
        Fault::BadProof { what: "the state that it sent".into() }
    }

    /// Lets others be asked for what these were asked for.
    fn release(&mut self, which: impl Fn(PartyId, bool) -> bool) {
        self.asked.retain(|place, (helper, before)| {
            let goes = which(*helper, *before);
            if goes {
                self.next = self.next.min(*place as usize);
            }
            !goes
        });
    }

    /// The alarm: who was asked before the last one and has not answered is slow. Whether anything came
    /// since then.
    pub(super) fn alarm(&mut self) -> bool {
        let late = self.asked.values().chain(&self.list_asked).filter(|(_, before)| *before);
        let late: BTreeSet<_> = late.map(|(helper, _)| *helper).collect();
        if self.holders.iter().all(|holder| self.slow.contains(holder) || late.contains(holder)) {
            // All are: each has another turn.
            self.slow.clear();
        }
        self.slow.extend(&late);
        self.release(|_, before| before);
        self.asked.values_mut().for_each(|(_, before)| *before = true);
        self.list_asked = match self.list_asked {
            Some((helper, false)) => Some((helper, true)),
            _ => None,
        };
        std::mem::take(&mut self.moved)
    }
}
