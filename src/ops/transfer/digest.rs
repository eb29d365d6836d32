//! What a table holds, in 128 bits.

use std::fmt;

use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// The digest of a set of rows: the same whatever their order, the same for the same rows on either engine.
///
/// It is the sum, modulo 2^128, of the first 16 bytes of each row's SHA-256. What a row is hashed as does not depend
/// on the engine: JSON by what it says, moments in microseconds, and zero without its sign, which SQLite does not keep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Digest {
    /// How many rows there are.
    pub rows: u64,
    sum: u128,
}

impl Digest {
    /// Counts a row in.
    pub(super) fn add(&mut self, row: &[u8]) {
        self.rows += 1;
        let hash = Sha256::digest(row);
        if let Some((first, _)) = hash.split_first_chunk() {
            self.sum = self.sum.wrapping_add(u128::from_be_bytes(*first));
        }
    }

    /// Reads what [`Display`](fmt::Display) has written.
    pub(super) fn parse(rows: u64, text: &str) -> Option<Self> {
        Some(Self { rows, sum: u128::from_str_radix(text, 16).ok()? })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.sum)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_count_but_number_does() {
        let of = |rows: &[&str]| {
            let mut digest = Digest::default();
            rows.iter().for_each(|row| digest.add(row.as_bytes()));
            digest
        };
        assert_eq!(of(&["a", "b", "c"]), of(&["c", "a", "b"]));
        assert_ne!(of(&["a", "b"]), of(&["a", "c"]));
        assert_ne!(of(&["a"]).to_string(), of(&["a", "a"]).to_string());
        assert_eq!(Digest::default().to_string(), "0".repeat(32));
        let digest = of(&["a", "b"]);
        assert_eq!(Digest::parse(2, &digest.to_string()), Some(digest));
    }
}
