//! A 128-bit digest of the contents of a table.

use std::fmt;

use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// A digest of a set of rows. It depends neither on the order of the rows nor on the engine.
///
/// It is the sum, modulo 2^128, of the first 16 bytes of each row's SHA-256. Rows are hashed in a form that is the same on
/// both engines: JSON in a canonical form, timestamps in microseconds, and zero without its sign, which SQLite does not
/// store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Digest {
    /// The number of rows.
    pub rows: u64,
    sum: u128,
}

impl Digest {
    /// Adds a row.
    pub(super) fn add(&mut self, row: &[u8]) {
        self.rows += 1;
        let hash = Sha256::digest(row);
        if let Some((first, _)) = hash.split_first_chunk() {
            self.sum = self.sum.wrapping_add(u128::from_be_bytes(*first));
        }
    }

    /// Parses the output of [`Display`](fmt::Display).
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
    fn digest_ignores_the_order_but_not_the_number_of_rows() {
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
