//! In which era of the group a session is opened. Guests ask for it; others need none.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{QUARTERS, Session, ask::is_due};
use crate::{
    effects::{Effects, To},
    id::PartyId,
    replica::message::Message,
};

/// What is known of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Era {
    known: Option<u64>,
    /// The first that will do. In an earlier one commands of this session may have taken effect.
    from: u64,
    /// What the replicas said since they were asked.
    heard: BTreeMap<PartyId, u64>,
    /// How often the alarm came since they were asked, if they were.
    asked: Option<u32>,
    /// How many quarters of the user's patience passed since.
    age: u32,
}

impl Era {
    /// A guest's is to be asked for.
    pub(super) fn new(guest: bool) -> Self {
        Self { known: (!guest).then_some(0), ..Self::default() }
    }

    pub(super) fn known(&self) -> Option<u64> {
        self.known
    }

    /// Whether the replicas were asked, and too few answered.
    pub(super) fn is_asking(&self) -> bool {
        self.known.is_none() && self.asked.is_some()
    }

    /// The session of this era is over. What comes next has numbers that were never used.
    pub(super) fn end(&mut self) {
        let from = self.known.map_or(self.from, |known| known.saturating_add(1));
        *self = Self { from, ..Self::default() };
    }

    /// Takes what one correct replica has reached. It waits for more words than that takes, since it may
    /// be one that lags, but not for ever: in an era that is over it is told so, and asks again.
    fn try_know(&mut self, one_correct: usize, most_correct: usize) {
        let late = self.asked.is_some_and(|alarms| alarms > 1);
        let needed = if late { one_correct } else { most_correct };
        let mut said: Vec<u64> = self.heard.values().copied().collect();
        said.sort_unstable_by(|a, b| b.cmp(a));
        if said.len() >= needed {
            self.known = said.get(one_correct - 1).copied().filter(|era| *era >= self.from);
        }
    }

    /// Whether the user's patience ended while nothing could be said to anybody.
    pub(super) fn lost_patience(&mut self) -> bool {
        self.age += u32::from(self.is_asking());
        self.is_asking() && self.age.is_multiple_of(QUARTERS)
    }
}

impl Session {
    /// Asks for the era when there is something to say, unless that was done.
    pub(super) fn ask_era(&mut self, fx: &mut Effects<'_, Self>) {
        if self.bundles.waiting() > 0 && self.era.asked.is_none() {
            self.era.asked = Some(0);
            fx.send_to(To::Everyone, Message::EraRequest);
        }
    }

    /// A replica says which era it is.
    pub(super) fn on_era(&mut self, from: PartyId, era: u64, fx: &Effects<'_, Self>) {
        if !self.era.is_asking() {
            return;
        }
        let said = self.era.heard.entry(from).or_default();
        *said = era.max(*said);
        self.try_know_era(fx);
    }

    fn try_know_era(&mut self, fx: &Effects<'_, Self>) {
        let thresholds = fx.seat().thresholds();
        self.era.try_know(thresholds.one_correct(), thresholds.most_correct());
    }

    /// Makes do with fewer answers, or asks again, at growing distances.
    pub(super) fn ask_era_again(&mut self, fx: &mut Effects<'_, Self>) {
        let Some(alarms) = self.era.asked.filter(|_| self.era.is_asking()) else { return };
        self.era.asked = Some(alarms + 1);
        self.try_know_era(fx);
        if self.era.is_asking() && is_due(alarms) {
            fx.send_to(To::Everyone, Message::EraRequest);
        }
    }
}
