//! Which kinds of protocols get an actor of their own. It changes nothing but time.

use std::collections::BTreeSet;

use maftia_core::protocol::Kind;

/// A table of the kinds that live in actors of their own; all others live in their parent's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    detached: BTreeSet<Kind>,
}

impl Placement {
    /// Everything lives in the actor of its root.
    pub fn inline() -> Self {
        Self::default()
    }

    /// These kinds get actors of their own.
    pub fn detached(kinds: impl IntoIterator<Item = Kind>) -> Self {
        Self { detached: kinds.into_iter().collect() }
    }

    /// Whether this kind gets an actor of its own.
    pub fn detaches(&self, kind: Kind) -> bool {
        self.detached.contains(&kind)
    }
}
