//! Stores batches of rows, some of which may be rejected.

use std::ops::Range;

use crate::{DbConnection, Result};

/// Stores `count` rows with one call of `store`. If a row is rejected, stores each half separately, down to single rows.
/// Returns the index of each rejected row and the reason.
pub(crate) fn store_or_bisect(
    conn: &mut DbConnection,
    count: usize,
    store: &mut dyn FnMut(&mut DbConnection, Range<usize>) -> Result<()>,
) -> Result<Vec<(usize, String)>> {
    let mut refused = Vec::new();
    let mut parts: Vec<_> = std::iter::once(0..count).collect();
    while let Some(part) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        match conn.atomically(|conn| store(conn, part.clone())) {
            Ok(()) => {}
            Err(error) if error.is_of_row() && part.len() == 1 => {
                refused.push((part.start, error.to_string()));
            }
            Err(error) if error.is_of_row() => {
                let middle = part.start + part.len() / 2;
                parts.push(middle..part.end);
                parts.push(part.start..middle);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(refused)
}
