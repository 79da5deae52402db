//! A bounded memory of what is dear to compute.

use std::collections::BTreeMap;

/// A bounded map that forgets in bulk what was not used for a generation. It cannot be made to
/// forget what is in use by one who fills it, only to compute again.
pub(crate) struct Generations<K, V> {
    young: BTreeMap<K, V>,
    old: BTreeMap<K, V>,
    max: usize,
}

impl<K: Ord + Copy, V: Clone> Generations<K, V> {
    /// An empty one that holds at most `max` entries.
    pub(crate) fn new(max: usize) -> Self {
        Self { young: BTreeMap::new(), old: BTreeMap::new(), max }
    }

    /// What is remembered under this name. To be asked for keeps it young.
    pub(crate) fn get(&mut self, key: &K) -> Option<V> {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let value = self.old.remove(key)?;
        self.put(*key, value.clone());
        Some(value)
    }

    /// Remembers; when half of the room is taken by the young, the old are forgotten.
    pub(crate) fn put(&mut self, key: K, value: V) {
        if self.young.len() >= self.max / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
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
