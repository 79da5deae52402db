//! What members say of what they store of each lane.

use super::{
    Fast,
    item::Head,
    message::{Life, Message},
};
use crate::{effects::Effects, fault::Fault, id::PartyId};

impl Fast {
    /// A member says what it stores.
    pub(super) fn on_heads(
        &mut self,
        from: PartyId,
        life: Life,
        heads: Vec<(PartyId, Head)>,
        fx: &mut Effects<'_, Self>,
    ) {
        self.on_life(from, life, fx);
        let (me, needed) = (fx.seat().me(), fx.seat().thresholds().one_correct());
        for (owner, head) in heads {
            let lane = self.lanes.of_mut(owner);
            lane.claim(from, head);
            if owner != from
                && from != me
                && let Some((told, heard)) = lane.denied(from, head, needed)
            {
                fx.accuse(owner, Fault::ToldOtherwise { told, heard });
            }
        }
    }

    /// What is to be said of what is stored.
    pub(super) fn news(&mut self, fx: &Effects<'_, Self>) -> Vec<(PartyId, Head)> {
        let heads = self.lanes.news(fx.seat().me());
        self.lanes.said(&heads);
        heads
    }

    /// Whether a bind is to come that says what is stored.
    pub(super) fn binds_soon(&self) -> bool {
        let mut binds = self.cuts.marks.range(self.place.next()..);
        !self.patience.left && binds.any(|(_, mark)| mark.bound.is_some() && !mark.prepared)
    }

    /// Says what is stored, unless a bind is about to. With a clock it waits for that until somebody
    /// has waited for long, and then says it now and then, not batch by batch.
    pub(super) fn say_heads(&mut self, fx: &mut Effects<'_, Self>) {
        if self.has_clock() && !self.patience.may_say_heads() {
            return;
        }
        if self.binds_soon() {
            return;
        }
        let heads = self.news(fx);
        if !heads.is_empty() {
            let life = self.life();
            fx.broadcast(Message::Heads { life, heads });
        }
    }
}
