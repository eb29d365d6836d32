//! Loads the child rows of many parents.

use diesel::associations::GroupedBy;

use super::IDS;
use crate::error::Result;

/// Returns the children of each parent, in the order in which `load` returns them. `load` is called once for every [`IDS`]
/// parents.
pub(crate) fn children<'p, P, C>(
    parents: &'p [P],
    load: impl FnMut(&'p [P]) -> Result<Vec<C>>,
) -> Result<Vec<Vec<C>>>
where
    Vec<C>: GroupedBy<'p, P> + IntoIterator<Item = C>,
{
    let loaded: Vec<Vec<C>> = parents.chunks(IDS).map(load).collect::<Result<_>>()?;
    Ok(loaded.into_iter().flatten().collect::<Vec<C>>().grouped_by(parents))
}
