//! Bodies of what is vouched for. Local: no two replicas need to hold the same.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{message::Body, queue::share};
use crate::{
    crypto::Digest,
    id::{ClientId, Slot},
};

/// The most bytes of bodies that have not taken effect. Beyond it new requests are refused, but for
/// those of clients that the configuration names, which have their share beside it.
pub(super) const BYTES_MAX: usize = 64 << 20;

/// The most bytes of one client among them, so that one client cannot use up the room of all.
pub(super) const CLIENT_BYTES_MAX: usize = 4 << 20;

/// How many bodies that took effect are kept for members that lack them, if no checkpoint lets them
/// go earlier. A member that lacks an older one fetches a state.
pub(super) const DONE_MAX: usize = 8_192;

/// The most bytes of those.
pub(super) const DONE_BYTES_MAX: usize = 64 << 20;

/// Whether a body has taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Stage {
    Open,
    Done,
}

/// The bodies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Store {
    bodies: BTreeMap<Digest, (Stage, Body)>,
    open_bytes: usize,
    by_client: BTreeMap<ClientId, usize>,
    /// What took effect, with the slot, oldest first.
    done: VecDeque<(Slot, Digest)>,
    done_bytes: usize,
}

impl Store {
    pub(super) fn get(&self, id: &Digest) -> Option<&Body> {
        self.bodies.get(id).map(|(_, body)| body)
    }

    /// Whether there is room for a new request of this client.
    pub(super) fn has_room(&self, client: ClientId, named: bool, body: &Body) -> bool {
        let own = self.by_client.get(&client).copied().unwrap_or(0);
        let free = BYTES_MAX.saturating_sub(self.open_bytes);
        own + body.weight() <= share(CLIENT_BYTES_MAX, free, named)
    }

    /// Whether vouches should be taken back to make room.
    pub(super) fn is_crowded(&self) -> bool {
        self.open_bytes > BYTES_MAX / 4 * 3
    }

    /// Whether the body is here and has not taken effect.
    pub(super) fn is_open(&self, id: &Digest) -> bool {
        matches!(self.bodies.get(id), Some((Stage::Open, _)))
    }

    /// Keeps a body until it took effect; for once more, if it did before.
    pub(super) fn keep(&mut self, id: Digest, body: Body) {
        match self.bodies.get(&id) {
            Some((Stage::Open, _)) => return,
            Some((Stage::Done, old)) => {
                self.done_bytes -= old.weight();
                self.done.retain(|(_, done)| *done != id);
            }
            None => {}
        }
        self.open_bytes += body.weight();
        if let Body::Request(request) = &body {
            *self.by_client.entry(request.client).or_default() += body.weight();
        }
        self.bodies.insert(id, (Stage::Open, body));
    }

    /// The body took effect at `slot`.
    pub(super) fn finish(&mut self, id: Digest, slot: Slot) {
        let Some((stage @ Stage::Open, body)) = self.bodies.get_mut(&id) else { return };
        *stage = Stage::Done;
        let body = body.clone();
        self.close(&body);
        self.done.push_back((slot, id));
        self.done_bytes += body.weight();
        while self.done.len() > DONE_MAX || self.done_bytes > DONE_BYTES_MAX {
            self.drop_oldest();
        }
    }

    /// Forgets a body that has not taken effect.
    pub(super) fn forget(&mut self, id: &Digest) {
        if let Some((Stage::Open, body)) = self.bodies.get(id) {
            let body = body.clone();
            self.close(&body);
            self.bodies.remove(id);
        }
    }

    /// Forgets what took effect below `slot`.
    pub(super) fn trim(&mut self, slot: Slot) {
        while self.done.front().is_some_and(|(done, _)| *done < slot) {
            self.drop_oldest();
        }
    }

    /// The bodies that have not taken effect.
    pub(super) fn open(&self) -> impl Iterator<Item = (&Digest, &Body)> {
        self.bodies
            .iter()
            .filter(|(_, (stage, _))| *stage == Stage::Open)
            .map(|(id, (_, body))| (id, body))
    }

    /// How many bytes are kept in all.
    pub(super) fn bytes(&self) -> usize {
        self.open_bytes + self.done_bytes
    }

    fn close(&mut self, body: &Body) {
        self.open_bytes -= body.weight();
        if let Body::Request(request) = body
            && let Some(own) = self.by_client.get_mut(&request.client)
        {
            *own -= body.weight();
            if *own == 0 {
                self.by_client.remove(&request.client);
            }
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, id)) = self.done.pop_front()
            && let Some((_, body)) = self.bodies.remove(&id)
        {
            self.done_bytes -= body.weight();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        id::ClientId,
        replica::{Asked, Number, Request},
    };

    fn client(who: u64) -> ClientId {
        ClientId::of_key(&Digest::of("client", &who.to_le_bytes()))
    }

    fn body(who: u64, count: u32, size: usize) -> Body {
        let client = client(who);
        let asked = Asked { number: Number::new(1, count), body: vec![0; size].into() };
        Body::Request(Request { client, commands: vec![asked], macs: Vec::new(), key: None })
    }

    /// Takes what a client says until there is no room. How much that was.
    fn flood(store: &mut Store, who: u64, size: usize) -> u32 {
        let mut count = 0;
        while has_room(store, who, false, size) {
            let body = body(who, count, size);
            store.keep(body.id(), body);
            count += 1;
        }
        count
    }

    fn has_room(store: &Store, who: u64, named: bool, size: usize) -> bool {
        store.has_room(client(who), named, &body(who, u32::MAX, size))
    }

    #[test]
    fn one_client_cannot_use_up_the_room_of_all() {
        let mut store = Store::default();
        let count = flood(&mut store, 1, 1 << 20);
        assert_eq!(count, 3, "four would be a little more than its share");
        assert!(has_room(&store, 2, false, 1 << 20));
        let first = body(1, 0, 1 << 20).id();
        store.forget(&first);
        assert!(has_room(&store, 1, false, 1 << 20), "the room is free again");
    }

    #[test]
    fn however_many_flood_something_is_left() {
        let mut store = Store::default();
        for who in 1..=32 {
            flood(&mut store, who, 1 << 20);
            flood(&mut store, who, 10_000);
        }
        assert!(!has_room(&store, 33, false, 1 << 20) && has_room(&store, 33, false, 10_000));
        for who in 34..=200 {
            flood(&mut store, who, 10_000);
        }
        assert!(store.open_bytes <= BYTES_MAX, "{} bytes", store.open_bytes);
        assert!(!has_room(&store, 201, false, 10_000) && has_room(&store, 202, true, 1 << 20));
    }

    #[test]
    fn what_took_effect_is_kept_for_others_within_bounds() {
        let mut store = Store::default();
        for count in 0..2 * DONE_MAX as u32 {
            let body = body(1, count, 10);
            let id = body.id();
            store.keep(id, body);
            store.finish(id, Slot::new(u64::from(count)));
            store.finish(id, Slot::new(u64::from(count)));
        }
        assert_eq!((store.done.len(), store.open_bytes), (DONE_MAX, 0));
        store.trim(Slot::new(2 * DONE_MAX as u64 - 1));
        assert_eq!((store.bodies.len(), store.by_client.len()), (1, 0));
        store.trim(Slot::new(u64::MAX));
        assert_eq!(store.bytes(), 0);
    }
}
