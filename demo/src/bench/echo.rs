//! The service that does nothing: it gives each request back, and counts whether each comes once and
//! in its client's order.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hasher},
};

use maftia_core::{
    id::ClientId,
    protocol::{Kind, Never},
    replica::{
        Number,
        service::{Action, Command, Item, NoHelper, Service},
    },
    seat::Seat,
    time::Span,
};
use serde::{Deserialize, Serialize};

/// What took effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Requests.
    pub(crate) applied: u64,
    /// Requests that were passed over.
    pub(crate) gaps: u64,
    /// Requests that took effect again, or after a later one.
    pub(crate) again: u64,
    /// A hash of the order of all of them.
    pub(crate) order: u64,
}

/// The service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Echo {
    counts: Counts,
    last: BTreeMap<(ClientId, u16), u32>,
}

impl Echo {
    /// What took effect so far.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    fn count(&mut self, client: ClientId, number: Number) {
        let last = self.last.entry((client, number.strand())).or_default();
        let count = number.count();
        self.counts.applied += 1;
        if count <= *last {
            self.counts.again += 1;
        } else {
            self.counts.gaps += u64::from(count - *last - 1);
            *last = count;
        }
        let mut order = DefaultHasher::new();
        order.write_u64(self.counts.order);
        order.write(client.as_bytes());
        order.write_u16(number.strand());
        order.write_u32(number.count());
        self.counts.order = order.finish();
    }
}

impl Service for Echo {
    const KIND: Kind = Kind("echo");
    type Spec = ();
    type Helper = NoHelper;

    fn new(_: &Seat, (): &()) -> Self {
        Self::default()
    }

    fn helper(&self) -> Option<Never> {
        None
    }

    fn plan(&mut self, _: &[Item]) -> Option<Never> {
        None
    }

    fn apply(&mut self, items: Vec<Item>, _: Option<Never>, actions: &mut Vec<Action>) {
        for Item { command, .. } in items {
            // Nobody tells it statements, and it waits for no time.
            if let Command::Request { client, number, body } = command {
                self.count(client, number);
                actions.push(Action::Reply { client, number, body });
            }
        }
    }

    fn tick(&self) -> Option<Span> {
        None
    }
}

#[cfg(test)]
mod tests {
    use maftia_core::crypto::Digest;

    use super::*;

    #[test]
    fn what_comes_twice_or_is_passed_over_is_counted() {
        let client = |name: &[u8]| ClientId::of_key(&Digest::of("test", name));
        let mut echo = Echo::default();
        for (name, count) in [("a", 1), ("a", 2), ("b", 1), ("a", 5), ("a", 5), ("b", 1)] {
            echo.count(client(name.as_bytes()), Number::new(1, count));
        }
        let Counts { applied, gaps, again, order } = echo.counts();
        assert_eq!((applied, gaps, again), (6, 2, 2));
        let mut other = Echo::default();
        other.count(client(b"b"), Number::new(1, 1));
        assert_ne!(order, other.counts().order);
    }
}
