//! A compact map from hashes to ids.

use std::collections::HashMap;

/// The minimum number of recent entries before they are merged into the sorted ones.
const FEWEST: usize = 4_096;

/// A map from hashes to the ids of rows. An entry takes 12 bytes; in a `HashMap` it would take up to 34.
#[derive(Debug, Default)]
pub(super) struct Ids {
    /// The hashes, sorted and without duplicates.
    hashes: Vec<u64>,
    /// The id of each hash, minus `first`.
    offsets: Vec<u32>,
    /// The smallest possible id.
    first: i64,
    /// Entries that are not merged yet. They override the sorted ones.
    recent: HashMap<u64, u32>,
    /// The largest id that was read from the table.
    pub(super) last: i64,
}

impl Ids {
    /// Creates an empty map for ids greater than `first`.
    pub(super) fn above(first: i64) -> Self {
        Self { first, last: first, ..Self::default() }
    }

    /// Reserves memory for this many more entries, so that the map need not be copied while it grows.
    pub(super) fn reserve(&mut self, entries: usize) {
        self.hashes.reserve_exact(entries);
        self.offsets.reserve_exact(entries);
    }

    /// Returns the number of entries. An entry that was replaced may count twice.
    pub(super) fn len(&self) -> usize {
        self.hashes.len() + self.recent.len()
    }

    /// Stores the id of a hash and replaces an earlier one. Returns false if the id is below `first` or more than `u32::MAX`
    /// above it.
    pub(super) fn insert(&mut self, hash: u64, id: i64) -> bool {
        let Some(offset) = id.checked_sub(self.first).and_then(|offset| u32::try_from(offset).ok()) else {
            return false;
        };
        self.recent.insert(hash, offset);
        if self.recent.len() >= FEWEST.max(self.hashes.len() / 16) {
            self.sort_in();
        }
        true
    }

    pub(super) fn get(&self, hash: u64) -> Option<i64> {
        let offset = match self.recent.get(&hash) {
            Some(offset) => offset,
            None => self.offsets.get(self.hashes.binary_search(&hash).ok()?)?,
        };
        Some(self.first + i64::from(*offset))
    }

    /// Merges the recent entries into the sorted ones. It works from the end, so that it needs no second copy.
    fn sort_in(&mut self) {
        let (hashes, offsets) = (&mut self.hashes, &mut self.offsets);
        let recent = &mut self.recent;
        for (hash, offset) in hashes.iter().zip(offsets.iter_mut()) {
            if let Some(newer) = recent.remove(hash) {
                *offset = newer;
            }
        }
        let mut added: Vec<(u64, u32)> = recent.drain().collect();
        added.sort_unstable();
        let mut old = hashes.len();
        hashes.resize(old + added.len(), 0);
        offsets.resize(old + added.len(), 0);
        let mut at = hashes.len();
        while let Some(&(hash, offset)) = added.last() {
            at -= 1;
            let behind = old.checked_sub(1).and_then(|last| Some((*hashes.get(last)?, *offsets.get(last)?)));
            let (hash, offset) = match behind {
                Some((larger, its)) if larger > hash => {
                    old -= 1;
                    (larger, its)
                }
                _ => {
                    added.pop();
                    (hash, offset)
                }
            };
            if let (Some(to), Some(its)) = (hashes.get_mut(at), offsets.get_mut(at)) {
                (*to, *its) = (hash, offset);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_id_replaces_an_earlier_one() {
        let mut ids = Ids::above(10_000_000_000);
        let mut plain = HashMap::new();
        let mut random = fastrand::Rng::with_seed(1);
        for n in 1..200_000 {
            let hash = if n % 3 == 0 { random.u64(..50_000) } else { random.u64(..) };
            assert!(ids.insert(hash, 10_000_000_000 + n));
            plain.insert(hash, 10_000_000_000 + n);
        }
        assert!(plain.iter().all(|(hash, id)| ids.get(*hash) == Some(*id)));
        assert!((50_000..60_000).all(|hash| ids.get(hash) == plain.get(&hash).copied()));
        assert!(ids.hashes.is_sorted() && ids.len() < plain.len() + FEWEST + ids.hashes.len() / 16);
        assert!(!ids.insert(1, 20_000_000_000) && !ids.insert(1, 1));
    }
}
