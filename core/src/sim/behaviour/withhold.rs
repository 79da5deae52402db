//! Speaks to some and never to the others.

use super::{Behaviour, Corrupted, Outgoing, is_among};
use crate::{id::PartyId, seat::Owner};

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Withhold {
    told: Option<Vec<PartyId>>,
    drawn: Vec<(Owner, bool)>,
}

impl Withhold {
    /// Speaks to these only.
    pub fn from_all_but(told: impl IntoIterator<Item = PartyId>) -> Self {
        Self { told: Some(told.into_iter().collect()), drawn: Vec::new() }
    }

    /// Draws for each peer whether it is told.
    pub const fn at_random() -> Self {
        Self { told: None, drawn: Vec::new() }
    }

    fn tells(&mut self, to: Owner, cx: &mut Corrupted<'_>) -> bool {
        if let Some(told) = &self.told {
            return is_among(to, told);
        }
        let drawn = self.drawn.iter().find(|(owner, _)| *owner == to).map(|(_, told)| *told);
        drawn.unwrap_or_else(|| {
            let told = cx.rng.once_in(2);
            self.drawn.push((to, told));
            told
        })
    }
}

impl Behaviour for Withhold {
    fn name(&self) -> &'static str {
        "withhold"
    }

    fn send(&mut self, frame: Outgoing, cx: &mut Corrupted<'_>) {
        if self.tells(frame.to, cx) {
            cx.send(frame);
        }
    }

    fn boxed(&self) -> Box<dyn Behaviour> {
        Box::new(self.clone())
    }
}
