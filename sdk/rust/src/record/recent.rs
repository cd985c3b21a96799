//! Which exposures were recorded already: an exact memory for the thread that delivers, and a rough one in front of it
//! that getters ask without a lock.

use core::sync::atomic::{AtomicU64, Ordering};
use std::collections::{HashSet, VecDeque};

use super::Id;

/// Exposures a process remembers. Beyond them the oldest is forgotten, and may be sent once more.
pub const EXPOSURES_REMEMBERED: usize = 65_536;

/// Places that one hash may stand at.
const WAYS: usize = 8;

/// A table of hashes that never blocks: a new one may push out another of its row, so that "no" may be wrong and "yes"
/// is not, short of two equal 64-bit hashes under a key that each process draws anew.
#[derive(Debug)]
pub(crate) struct Recent {
    slots: Box<[AtomicU64]>,
    turn: AtomicU64,
}

impl Recent {
    pub(crate) fn new() -> Self {
        let slots = (0..EXPOSURES_REMEMBERED).map(|_| AtomicU64::new(0)).collect();
        Self { slots, turn: AtomicU64::new(0) }
    }

    /// Remembers a hash; `false` if it was known.
    pub(crate) fn insert(&self, hash: u64) -> bool {
        let hash = hash.max(1);
        let row = self.row(hash);
        if row.iter().any(|slot| slot.load(Ordering::Relaxed) == hash) {
            return false;
        }
        for slot in row {
            match slot.compare_exchange(0, hash, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(other) if other == hash => return false,
                Err(_) => {}
            }
        }
        let turn = usize::try_from(self.turn.fetch_add(1, Ordering::Relaxed)).unwrap_or(0);
        if let Some(slot) = row.get(turn % WAYS) {
            slot.store(hash, Ordering::Relaxed);
        }
        true
    }

    /// Forgets a hash, so that it counts as new.
    pub(crate) fn remove(&self, hash: u64) {
        let hash = hash.max(1);
        for slot in self.row(hash) {
            // Whoever overwrote it meanwhile is right.
            let _ = slot.compare_exchange(hash, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    fn row(&self, hash: u64) -> &[AtomicU64] {
        let rows = self.slots.len() / WAYS;
        let start = usize::try_from(hash).unwrap_or(0) % rows.max(1) * WAYS;
        self.slots.get(start..start + WAYS).unwrap_or_default()
    }
}

/// The last [`EXPOSURES_REMEMBERED`] ids that were delivered.
#[derive(Debug, Default)]
pub(crate) struct Delivered {
    ids: HashSet<Id>,
    order: VecDeque<Id>,
}

impl Delivered {
    pub(crate) fn contains(&self, id: Id) -> bool {
        self.ids.contains(&id)
    }

    /// Remembers an id; `true` if another had to be forgotten for it.
    pub(crate) fn insert(&mut self, id: Id) -> bool {
        if !self.ids.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() <= EXPOSURES_REMEMBERED {
            return false;
        }
        if let Some(oldest) = self.order.pop_front() {
            self.ids.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_new_once_and_again_after_it_was_forgotten() {
        let recent = Recent::new();
        for hash in [0, 1 << 40, u64::MAX, 77] {
            assert!(recent.insert(hash), "{hash}");
            assert!(!recent.insert(hash), "{hash}");
        }
        recent.remove(77);
        assert!(recent.insert(77));
    }

    #[test]
    fn a_full_row_takes_the_next_and_forgets_one() {
        let recent = Recent::new();
        let rows = (EXPOSURES_REMEMBERED / WAYS) as u64;
        let same_row: Vec<u64> = (1..=9).map(|n| 5 + n * rows).collect();
        assert!(same_row.iter().all(|&hash| recent.insert(hash)));
        let known = |hash: &u64| recent.row(*hash).iter().any(|slot| slot.load(Ordering::Relaxed) == *hash);
        assert_eq!(same_row.iter().filter(|hash| known(hash)).count(), WAYS);
        assert!(known(&same_row[8]));
    }

    #[test]
    fn of_many_threads_at_one_hash_at_least_one_is_first() {
        let recent = Recent::new();
        let firsts = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for hash in 0..10_000u64 {
                        let hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                        firsts.fetch_add(u64::from(recent.insert(hash)), Ordering::Relaxed);
                    }
                });
            }
        });
        assert!(firsts.into_inner() >= 10_000);
    }

    #[test]
    fn the_oldest_id_is_forgotten_when_one_more_comes_than_there_is_room_for() {
        let mut delivered = Delivered::default();
        let id = |n: usize| Id(n as u128);
        assert!((0..EXPOSURES_REMEMBERED).all(|n| !delivered.insert(id(n))));
        assert!(delivered.contains(id(0)));
        assert!(!delivered.insert(id(7)), "a known id takes no room");
        assert!(delivered.insert(id(EXPOSURES_REMEMBERED)));
        assert!(!delivered.contains(id(0)));
        assert!(delivered.contains(id(1)) && delivered.contains(id(EXPOSURES_REMEMBERED)));
    }
}
