//! A sorted map that is cheap to clone and to change: its entries lie in shared chunks.

use core::borrow::Borrow;
use core::fmt;
use std::collections::HashSet;
use std::sync::Arc;

/// Most entries of a chunk; a fuller one is halved.
const CHUNK: usize = 128;

/// A sorted map in chunks. A clone shares them all; a change copies one.
#[derive(Clone)]
pub struct SortedMap<K, V> {
    /// Ascending; none is empty.
    chunks: Vec<Arc<Vec<(K, V)>>>,
    len: usize,
}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }
}

impl<K: Ord + Clone, V: Clone> SortedMap<K, V> {
    /// How many entries there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value at `key`.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let chunk = self.chunks.get(self.chunk_of(key)?)?;
        let at = chunk.binary_search_by(|(present, _)| present.borrow().cmp(key)).ok()?;
        chunk.get(at).map(|(_, value)| value)
    }

    /// The entry at `key`, its key as it is kept.
    pub fn get_key_value<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        let chunk = self.chunks.get(self.chunk_of(key)?)?;
        let at = chunk.binary_search_by(|(present, _)| present.borrow().cmp(key)).ok()?;
        chunk.get(at).map(|(key, value)| (key, value))
    }

    /// Sets the value at `key`; returns what was there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let Some(at) = self.chunk_of(&key) else {
            match self.chunks.first_mut() {
                Some(first) => Arc::make_mut(first).insert(0, (key, value)),
                None => self.chunks.push(Arc::new(vec![(key, value)])),
            }
            self.len = self.len.saturating_add(1);
            self.halve(0);
            return None;
        };
        let chunk = Arc::make_mut(self.chunks.get_mut(at)?);
        match chunk.binary_search_by(|(present, _)| present.cmp(&key)) {
            Ok(place) => chunk.get_mut(place).map(|(_, present)| core::mem::replace(present, value)),
            Err(place) => {
                chunk.insert(place, (key, value));
                self.len = self.len.saturating_add(1);
                self.halve(at);
                None
            }
        }
    }

    /// Takes the entry at `key` away.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let at = self.chunk_of(key)?;
        let shared = self.chunks.get_mut(at)?;
        let place = shared.binary_search_by(|(present, _)| present.borrow().cmp(key)).ok()?;
        let chunk = Arc::make_mut(shared);
        let (_, value) = chunk.remove(place);
        if chunk.is_empty() {
            self.chunks.remove(at);
        }
        self.len = self.len.saturating_sub(1);
        Some(value)
    }

    /// The entry of the least key.
    pub fn first(&self) -> Option<(&K, &V)> {
        self.chunks.first()?.first().map(|(key, value)| (key, value))
    }

    /// All entries, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).map(|(key, value)| (key, value))
    }

    /// The entries whose keys are greater than `key`, ascending.
    pub fn iter_after<'m, Q: Ord + ?Sized>(&'m self, key: &Q) -> impl Iterator<Item = (&'m K, &'m V)>
    where
        K: Borrow<Q>,
    {
        let at = self.chunk_of(key).unwrap_or(0);
        let first = self.chunks.get(at);
        let within = first.map_or(0, |chunk| chunk.partition_point(|(present, _)| present.borrow() <= key));
        let chunks = self.chunks.iter().skip(at).flat_map(|chunk| chunk.iter());
        chunks.skip(within).map(|(key, value)| (key, value))
    }

    /// The entries that lie apart from those of another map, ascending: what is in both may be among them, and what is
    /// not in the other one is. Of two maps of which one came from the other by a few changes that is a few entries.
    pub fn iter_apart<'m>(&'m self, other: &Self) -> impl Iterator<Item = (&'m K, &'m V)> {
        let shared: HashSet<*const Vec<(K, V)>> = other.chunks.iter().map(Arc::as_ptr).collect();
        let apart = self.chunks.iter().filter(move |chunk| !shared.contains(&Arc::as_ptr(chunk)));
        apart.flat_map(|chunk| chunk.iter()).map(|(key, value)| (key, value))
    }

    /// All values, in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// The chunk that holds `key` if any does: the last whose first key is not greater.
    fn chunk_of<Q: Ord + ?Sized>(&self, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
    {
        let starts_before =
            |chunk: &Arc<Vec<(K, V)>>| chunk.first().is_some_and(|(first, _)| first.borrow() <= key);
        self.chunks.partition_point(starts_before).checked_sub(1)
    }

    fn halve(&mut self, at: usize) {
        let Some(chunk) = self.chunks.get_mut(at) else { return };
        if chunk.len() > CHUNK {
            let upper = Arc::make_mut(chunk).split_off(CHUNK / 2);
            self.chunks.insert(at.saturating_add(1), Arc::new(upper));
        }
    }
}

impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for SortedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        entries.into_iter().for_each(|(key, value)| drop(map.insert(key, value)));
        map
    }
}

impl<K: fmt::Debug + Ord + Clone, V: fmt::Debug + Clone> fmt::Debug for SortedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        #[test]
        fn it_holds_what_a_plain_sorted_map_holds(
            steps in proptest::collection::vec((any::<bool>(), 0u16..600), 0..1_500),
            after in 0u16..600,
        ) {
            let (mut map, mut model) = (SortedMap::default(), BTreeMap::new());
            for (insert, key) in steps {
                let kept = (map.clone(), model.len());
                if insert {
                    prop_assert_eq!(map.insert(key, key), model.insert(key, key));
                } else {
                    prop_assert_eq!(map.remove(&key), model.remove(&key));
                }
                prop_assert_eq!(map.get(&key), model.get(&key));
                prop_assert_eq!(kept.0.iter().count(), kept.1, "a clone does not change");
            }
            prop_assert_eq!(map.len(), model.len());
            prop_assert!(map.iter().eq(model.iter()));
            prop_assert!(map.iter_after(&after).eq(model.range(after + 1..)));
            prop_assert_eq!(map.first(), model.first_key_value());
        }
    }

    #[test]
    fn a_change_copies_one_chunk_and_shares_the_others() {
        let map: SortedMap<u32, u32> = (0..10_000).map(|key| (key, key)).collect();
        let mut changed = map.clone();
        changed.insert(5_000, 0);
        let copied = map.chunks.iter().zip(&changed.chunks).filter(|(a, b)| !Arc::ptr_eq(a, b)).count();
        assert_eq!(copied, 1);
        // What lies apart is the same but for the change, and nothing of an equal map does.
        let keys = |map: &SortedMap<u32, u32>, other: &SortedMap<u32, u32>| -> Vec<u32> {
            map.iter_apart(other).map(|(key, _)| *key).collect()
        };
        assert!(keys(&map, &changed).len() <= CHUNK && keys(&map, &changed) == keys(&changed, &map));
        assert!(keys(&map, &changed).contains(&5_000) && keys(&map, &map.clone()).is_empty());
        assert_eq!(keys(&map, &SortedMap::default()).len(), 10_000);
    }
}
