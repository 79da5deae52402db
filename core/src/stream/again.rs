//! How much is sent again to each member: to one who asks, for few bytes, for many.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::PartyId;

/// What a question counts for, in bytes, beside what is sent: about what an answer takes to make.
pub(super) const ANSWER_MIN: usize = 4 << 10;

/// How many times as much as is ordered, and as is kept, is sent again to a member. Once is enough;
/// more, when backlogs were lost; without a bound a few bytes would make us send megabytes for ever.
const SENT_AGAIN_MAX: usize = 4;

/// What was sent again, less what was forgiven. A count for each question would shut out a slow member
/// that asks the same once too often; this goes on as long as the group does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct SentAgain(BTreeMap<PartyId, usize>);

impl SentAgain {
    /// Whether to send this much again to a member, where so many bytes are kept for those who lag.
    pub(super) fn may_send(&mut self, to: PartyId, weight: usize, kept: usize) -> bool {
        let sent = self.0.entry(to).or_default();
        let may = *sent <= SENT_AGAIN_MAX * kept;
        *sent += if may { weight } else { 0 };
        may
    }

    /// So much was ordered, in pieces that are asked for one by one.
    pub(super) fn forgive(&mut self, weight: usize, pieces: usize) {
        let weight = SENT_AGAIN_MAX * (weight + ANSWER_MIN * pieces);
        self.0.values_mut().for_each(|sent| *sent = sent.saturating_sub(weight));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_who_asks_for_ever_gets_some_times_what_is_kept_and_what_is_ordered() {
        let (mut again, one, other) = (SentAgain::default(), PartyId::new(1), PartyId::new(2));
        let (kept, batch) = (1 << 20, 64 << 10);
        let ask = |again: &mut SentAgain, party| {
            (0..1_000).filter(|_| again.may_send(party, batch, kept)).count() * batch
        };
        assert_eq!(ask(&mut again, one), 4 * kept + batch, "to the last one that fits");
        assert_eq!(ask(&mut again, one), 0);
        assert_eq!(ask(&mut again, other), 4 * kept + batch, "others have theirs");
        again.forgive(2 * batch, 0);
        assert_eq!(ask(&mut again, one), 8 * batch);
        // Questions that cost few bytes to answer are bounded, too.
        let answers = (0..100_000).filter(|_| again.may_send(PartyId::new(3), ANSWER_MIN, kept));
        assert_eq!(answers.count(), 4 * kept / ANSWER_MIN + 1);
    }

    #[test]
    fn what_is_ordered_can_be_sent_again_however_small_its_parts() {
        let (mut again, one, kept, part) = (SentAgain::default(), PartyId::new(1), 1 << 20, 129);
        for _ in 0..1_000 {
            assert!(again.may_send(one, ANSWER_MIN, kept));
            assert!((0..256).all(|_| again.may_send(one, part, kept)));
            again.forgive(256 * part, 1);
        }
    }
}
