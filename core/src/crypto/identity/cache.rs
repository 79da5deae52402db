//! What an identity remembers, bounded.

use std::collections::BTreeMap;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{
    crypto::{Digest, Mac},
    path::Tag,
    seat::Owner,
};

/// The peers whose pairwise keys are remembered: all parties of any configuration that we run, and
/// thousands of clients. Another one costs an ECDH of 0.1 ms again.
pub(super) const PAIRS_MAX: usize = 8192;

/// The verified signatures that are remembered: the vectors of some hundred rounds of a group of 40.
pub(super) const VERIFIED_MAX: usize = 8192;

/// A bounded map that forgets in bulk what was not used for a generation. It cannot be made to
/// forget what is in use by one who fills it, only to compute again.
pub(super) struct Generations<K, V> {
    young: BTreeMap<K, V>,
    old: BTreeMap<K, V>,
    max: usize,
}

impl<K: Ord + Copy, V: Clone> Generations<K, V> {
    /// An empty one that holds at most `max` entries.
    pub(super) fn new(max: usize) -> Self {
        Self { young: BTreeMap::new(), old: BTreeMap::new(), max }
    }

    /// What is remembered under this name. To be asked for keeps it young.
    pub(super) fn get(&mut self, key: &K) -> Option<V> {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let value = self.old.remove(key)?;
        self.put(*key, value.clone());
        Some(value)
    }

    /// Remembers; when half of the room is taken by the young, the old are forgotten.
    pub(super) fn put(&mut self, key: K, value: V) {
        if self.young.len() >= self.max / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

/// The secrets of two owners, one for each use.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Pair {
    shared: [u8; 32],
    outgoing: [u8; 32],
    incoming: [u8; 32],
}

impl Pair {
    /// The secrets that follow from the agreed one, as `own` sees them.
    pub(super) fn new(agreed: &[u8], own: Owner, other: Owner) -> Self {
        let (low, high) = if own <= other { (own, other) } else { (other, own) };
        Self {
            shared: derive("maftia/v1/pairwise secret", agreed, low, high),
            outgoing: derive("maftia/v1/pairwise authenticator", agreed, own, other),
            incoming: derive("maftia/v1/pairwise authenticator", agreed, other, own),
        }
    }

    /// The secret for other uses than authenticators.
    pub(super) fn shared(&self) -> &[u8; 32] {
        &self.shared
    }

    /// An authenticator to the other.
    pub(super) fn outgoing(&self, tag: &Tag, digest: &Digest) -> Mac {
        mac(&self.outgoing, tag, digest)
    }

    /// The authenticator that the other would have sent.
    pub(super) fn incoming(&self, tag: &Tag, digest: &Digest) -> Mac {
        mac(&self.incoming, tag, digest)
    }
}

fn derive(context: &str, agreed: &[u8], first: Owner, second: Owner) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    hasher.update(&first.to_bytes()).update(&second.to_bytes()).update(agreed);
    let key = *hasher.finalize().as_bytes();
    hasher.zeroize();
    key
}

fn mac(key: &[u8; 32], tag: &Tag, digest: &Digest) -> Mac {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(tag.as_bytes()).update(digest.as_bytes());
    let mut mac = Mac([0; 16]);
    mac.0.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_what_is_used_stays() {
        let mut cache = Generations::new(8);
        for key in 0..1000 {
            cache.put(key, ());
            assert!(key == 0 || cache.get(&0).is_some(), "0 is asked for at every step");
            assert!(cache.young.len() + cache.old.len() <= 8);
        }
        assert_eq!(cache.get(&500), None);
    }
}
