//! The subjects of a series that grew most.

use std::cmp::Reverse;

use super::Growth;
use crate::Page;
use crate::error::Result;

/// Subjects in one step. A step takes two statements, whatever the length of their series.
const STEP: i64 = 1_000;

/// Returns the growth of the `limit` subjects whose count grew most, the largest growth first. Subjects whose growth is
/// unknown are left out.
///
/// `step` returns the keys of a page of all subjects, in their order, and the growth of these subjects. Memory holds one page
/// and the best `limit`.
pub(crate) fn top<K: Clone, T>(
    limit: i64,
    mut step: impl FnMut(&Page<K>) -> Result<(Vec<K>, Vec<Growth<T>>)>,
    by: impl Fn(&Growth<T>) -> Option<i64>,
) -> Result<Vec<Growth<T>>> {
    let limit = usize::try_from(limit).unwrap_or_default();
    let mut best: Vec<(i64, Growth<T>)> = Vec::new();
    let mut page = Page { after: None, limit: STEP };
    loop {
        let (keys, growth) = step(&page)?;
        best.extend(growth.into_iter().filter_map(|growth| Some((by(&growth)?, growth))));
        best.sort_by_key(|(by, _)| Reverse(*by)); // stable, so that the first of equals stays first
        best.truncate(limit);
        match keys.last() {
            Some(last) if keys.len() as i64 == STEP => page.after = Some(last.clone()),
            _ => return Ok(best.into_iter().map(|(_, growth)| growth).collect()),
        }
    }
}
