//! Whose it is to vouch for a request first: `f + 1` vouches make it take effect, so the others hold
//! theirs back for a moment. A member that leads the stream is always among them, since its vouch
//! travels with the cut that orders it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    machine::{Replica, Stream, Timer},
    service::Service,
};
use crate::{
    crypto::Digest,
    effects::Effects,
    id::{ClientId, PartyId},
    time::Span,
};

/// How long those whose request it is have, or up to twice as long: more than a busy group takes to
/// count a ballot. It is lost once for each that fails, since that is remembered.
const MOMENT: Span = Span::millis(20);

/// For how many of its ballots a member that missed a request gets none.
const MISSED: u32 = 64;

/// Who missed a request of its own. Local, and decides no effect: everybody vouches in the end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Rota {
    slow: BTreeMap<PartyId, u32>,
    armed: bool,
    leader: Option<PartyId>,
}

impl Rota {
    /// Nobody missed anything, and this member leads.
    pub(super) fn new(leader: Option<PartyId>) -> Self {
        Self { leader, ..Self::default() }
    }

    /// This member leads from now on.
    pub(super) fn lead(&mut self, leader: Option<PartyId>) {
        self.leader = leader;
    }

    /// Who vouches for `id` first, of `n` members: the leader and those after it in the order that the
    /// id gives, `needed` in all, without those who missed one.
    fn first(&self, id: &Digest, n: usize, needed: usize) -> impl Iterator<Item = PartyId> + '_ {
        let start = usize::from(id.as_bytes()[0]);
        let all = (0..n).map(move |place| PartyId::new(((start + place) % n) as u16));
        let others = all.filter(|party| Some(*party) != self.leader);
        let all = self.leader.into_iter().chain(others);
        all.filter(|party| !self.slow.contains_key(party)).take(needed)
    }

    /// Whether it is for `me` to vouch now. So it is for all when too few are left.
    fn is_first(&self, me: PartyId, id: &Digest, n: usize, needed: usize) -> bool {
        let first: Vec<_> = self.first(id, n, needed).collect();
        first.len() < needed || first.contains(&me)
    }

    /// A ballot of a member was counted.
    pub(super) fn voted(&mut self, party: PartyId) {
        if let Some(left) = self.slow.get_mut(&party) {
            *left -= 1;
            if *left == 0 {
                self.slow.remove(&party);
            }
        }
    }
}

impl<S: Service, A: Stream> Replica<S, A> {
    /// Vouches for a request that is stored: at once, or when others had their moment.
    pub(super) fn vouch_in_turn(
        &mut self,
        id: Digest,
        client: ClientId,
        fx: &mut Effects<'_, Self>,
    ) {
        let (me, n) = (fx.seat().me(), usize::from(fx.seat().thresholds().n()));
        if self.rota.is_first(me, &id, n, fx.seat().thresholds().one_correct()) {
            return self.feed.request(id, client);
        }
        self.feed.spare(id, client);
        self.arm_rota(fx);
    }

    fn arm_rota(&mut self, fx: &mut Effects<'_, Self>) {
        if self.feed.has_spare() && !std::mem::replace(&mut self.rota.armed, true) {
            fx.arm(Timer::Rota, MOMENT);
        }
    }

    /// A moment passed: vouches for what others did not, and remembers who that was.
    pub(super) fn on_moment(&mut self, fx: &mut Effects<'_, Self>) {
        self.rota.armed = false;
        let (n, needed) =
            (usize::from(fx.seat().thresholds().n()), fx.seat().thresholds().one_correct());
        let mut missed = Vec::new();
        for id in self.feed.hurry() {
            if self.state.vouches.took_effect(&id) {
                continue;
            }
            let silent = |party: &PartyId| !self.state.vouches.stands(*party, &id);
            missed.extend(self.rota.first(&id, n, needed).filter(silent));
        }
        self.rota.slow.extend(missed.into_iter().map(|party| (party, MISSED)));
        self.arm_rota(fx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_missed_a_request_gets_no_other_until_it_voted_often() {
        let (mut rota, id) = (Rota::default(), Digest::of("test", b"x"));
        let first: Vec<_> = rota.first(&id, 4, 2).collect();
        assert_eq!(first.len(), 2);
        rota.slow.insert(first[0], MISSED);
        assert!(!rota.is_first(first[0], &id, 4, 2) && rota.is_first(first[1], &id, 4, 2));
        (0..MISSED).for_each(|_| rota.voted(first[0]));
        assert_eq!(rota.first(&id, 4, 2).collect::<Vec<_>>(), first);
        rota.slow.extend((0..3).map(|party| (PartyId::new(party), MISSED)));
        assert!(PartyId::all(4).all(|party| rota.is_first(party, &id, 4, 2)), "one is too few");
    }
}
