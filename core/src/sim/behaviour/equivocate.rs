//! Runs two copies of itself and shows one of them to some peers and the other to the rest.
//!
//! Both copies hear everything, but each hears only itself speak for this party. They differ by what
//! their user asks of them (`World::input_face`).

use super::{Behaviour, Corrupted, Outgoing, is_among};
use crate::{id::PartyId, seat::Owner};

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Equivocate {
    second: Option<Vec<PartyId>>,
    drawn: Vec<(Owner, usize)>,
}

impl Equivocate {
    /// These see the second copy.
    pub fn to(second: impl IntoIterator<Item = PartyId>) -> Self {
        Self { second: Some(second.into_iter().collect()), drawn: Vec::new() }
    }

    /// Draws for each peer which copy it sees.
    pub const fn at_random() -> Self {
        Self { second: None, drawn: Vec::new() }
    }

    fn shown(&mut self, to: Owner, cx: &mut Corrupted<'_>) -> usize {
        if let Some(second) = &self.second {
            return usize::from(is_among(to, second));
        }
        let drawn = self.drawn.iter().find(|(owner, _)| *owner == to).map(|(_, face)| *face);
        drawn.unwrap_or_else(|| {
            let face = cx.rng.below(2);
            self.drawn.push((to, face));
            face
        })
    }
}

impl Behaviour for Equivocate {
    fn name(&self) -> &'static str {
        "equivocate"
    }

    fn send(&mut self, frame: Outgoing, cx: &mut Corrupted<'_>) {
        if self.shown(frame.to, cx) == frame.face {
            cx.send(frame);
        }
    }

    fn faces(&self) -> usize {
        2
    }

    fn boxed(&self) -> Box<dyn Behaviour> {
        Box::new(self.clone())
    }
}
