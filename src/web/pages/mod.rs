//! The pages of the dashboard about rows: lists, details and search.
//!
//! Each function takes what `browse` read and returns the content of a page. `actions` are the forms that change the row, if the
//! visitor may change it.

pub(super) mod cells;
pub(super) mod channel;
pub(super) mod job;
pub(super) mod list;
pub(super) mod row;
pub(super) mod run;
pub(super) mod search;
pub(super) mod video;

#[cfg(all(test, feature = "sqlite"))]
mod tests;
