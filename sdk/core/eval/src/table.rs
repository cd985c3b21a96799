//! A hash table that is cheap to copy with one entry changed.

use std::sync::Arc;

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

/// What a table holds.
pub(crate) trait Keyed {
    fn key(&self) -> &str;
}

/// A key with its hash, so that following it costs one look-up.
#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) key: Arc<str>,
    hash: u64,
}

impl Reference {
    pub(crate) fn new(key: Arc<str>) -> Self {
        let hash = xxh3_64(key.as_bytes());
        Self { key, hash }
    }
}

/// Entries by key, in shards that are shared between versions: a copy with one entry changed copies one shard.
#[derive(Debug)]
pub(crate) struct Table<T> {
    shards: Box<[Arc<HashTable<Arc<T>>>]>,
    len: usize,
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        Self { shards: self.shards.clone(), len: self.len }
    }
}

/// Entries a shard holds on average when a table is laid out, and at most before it is laid out anew.
const SHARD_ENTRIES: usize = 64;
const SHARD_ENTRIES_MAX: usize = 4 * SHARD_ENTRIES;

impl<T: Keyed> Table<T> {
    pub(crate) fn new(entries: Vec<Arc<T>>) -> Self {
        let shards = (entries.len() / SHARD_ENTRIES).next_power_of_two();
        let mut table = Self { shards: (0..shards).map(|_| Arc::default()).collect(), len: 0 };
        for entry in entries {
            table.insert(entry);
        }
        table
    }

    pub(crate) fn find(&self, key: &str) -> Option<&Arc<T>> {
        self.find_hashed(key, xxh3_64(key.as_bytes()))
    }

    pub(crate) fn follow(&self, reference: &Reference) -> Option<&Arc<T>> {
        self.find_hashed(&reference.key, reference.hash)
    }

    fn find_hashed(&self, key: &str, hash: u64) -> Option<&Arc<T>> {
        self.shards.get(self.shard(hash))?.find(hash, |entry| entry.key() == key)
    }

    /// Puts an entry in and returns the one it replaced.
    pub(crate) fn insert(&mut self, entry: Arc<T>) -> Option<Arc<T>> {
        if self.len >= self.shards.len().saturating_mul(SHARD_ENTRIES_MAX) {
            *self = Self::new(self.iter().cloned().collect());
        }
        let hash = xxh3_64(entry.key().as_bytes());
        let index = self.shard(hash);
        let shard = Arc::make_mut(self.shards.get_mut(index)?);
        match shard.entry(hash, |other| other.key() == entry.key(), |other| xxh3_64(other.key().as_bytes())) {
            hashbrown::hash_table::Entry::Occupied(mut present) => {
                Some(std::mem::replace(present.get_mut(), entry))
            }
            hashbrown::hash_table::Entry::Vacant(place) => {
                place.insert(entry);
                self.len = self.len.saturating_add(1);
                None
            }
        }
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, key: &str) -> Option<Arc<T>> {
        let hash = xxh3_64(key.as_bytes());
        self.find_hashed(key, hash)?;
        let index = self.shard(hash);
        let shard = Arc::make_mut(self.shards.get_mut(index)?);
        let (entry, _) = shard.find_entry(hash, |entry| entry.key() == key).ok()?.remove();
        self.len = self.len.saturating_sub(1);
        Some(entry)
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }

    /// The entries that are not the very same in both tables, by their keys: those here, then those only the other has.
    pub(crate) fn differing<'t>(&'t self, other: &'t Self) -> impl Iterator<Item = &'t Arc<T>> {
        let differs =
            |entry: &&Arc<T>| other.find(entry.key()).is_none_or(|there| !Arc::ptr_eq(there, entry));
        let gone = |entry: &&Arc<T>| self.find(entry.key()).is_none();
        self.unshared(other).filter(differs).chain(other.unshared(self).filter(gone))
    }

    /// The entries of the shards that are not shared with another table.
    fn unshared<'t>(&'t self, other: &'t Self) -> impl Iterator<Item = &'t Arc<T>> {
        let are_alike = self.shards.len() == other.shards.len();
        let shared = move |index| other.shards.get(index).filter(|_| are_alike);
        let shards = self
            .shards
            .iter()
            .enumerate()
            .filter(move |(index, shard)| shared(*index).is_none_or(|there| !Arc::ptr_eq(there, shard)));
        shards.flat_map(|(_, shard)| shard.iter())
    }

    /// The shard of a hash: by its middle bits, for the shard's own table uses the low and the top ones.
    fn shard(&self, hash: u64) -> usize {
        (hash >> 32) as usize & self.shards.len().wrapping_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Keyed for String {
        fn key(&self) -> &str {
            self
        }
    }

    #[test]
    fn a_copy_changes_alone_and_growth_loses_nothing() {
        let mut table: Table<String> = Table::new(Vec::new());
        for n in 0..2_000 {
            assert!(table.insert(Arc::new(format!("k{n}"))).is_none());
        }
        let mut copy = table.clone();
        assert!(copy.remove("k7").is_some());
        assert!(copy.remove("k7").is_none());
        assert!(copy.insert(Arc::new("k8".to_owned())).is_some());
        let differing: Vec<_> = copy.differing(&table).map(|entry| entry.as_str()).collect();
        assert_eq!(differing, ["k8", "k7"]);
        let grown = Table::new(table.iter().cloned().chain([Arc::new("more".to_owned())]).collect());
        let more: Vec<_> = grown.differing(&table).map(|entry| entry.as_str()).collect();
        assert_eq!(more, ["more"]);
        assert_eq!(table.differing(&table.clone()).count(), 0);
        assert_eq!((table.len(), copy.len()), (2_000, 1_999));
        assert!((0..2_000).all(|n| table.find(&format!("k{n}")).is_some()));
        assert!(copy.find("k7").is_none());
        assert_eq!(copy.iter().count(), 1_999);
        assert!(table.shards.len() > 1);
    }

    #[test]
    fn a_change_copies_and_compares_one_shard_of_many() {
        let keys = (0..10_000).map(|n| Arc::new(format!("k{n}")));
        let table = Table::new(keys.collect());
        assert_eq!(table.shards.len(), 256);
        assert!(table.shards.iter().all(|shard| (1..SHARD_ENTRIES_MAX).contains(&shard.len())));
        let mut copy = table.clone();
        assert!(copy.insert(Arc::new("k7".to_owned())).is_some());
        let shared = table.shards.iter().zip(&copy.shards).filter(|(one, other)| Arc::ptr_eq(one, other));
        assert_eq!(shared.count(), 255);
        assert!((1..SHARD_ENTRIES_MAX).contains(&copy.unshared(&table).count()));
    }
}
