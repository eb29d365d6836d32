//! Lists, detail pages and search over the 22 tables, for dashboards and APIs.
//!
//! | item | purpose |
//! |---|---|
//! | [`tables`] | the tables and their columns, with the filters and orders that a list offers |
//! | [`page`] | one page of a table, filtered and sorted |
//! | [`row`] | a whole row |
//! | [`run`], [`job`], [`channel`], [`video`] | a row with everything that belongs to it |
//! | [`search`](fn@search) | rows by id, title, name or error |
//!
//! Every result can be serialized. Secrets are never part of one. Each function takes a fixed number of statements, and bounded
//! time in a table of any size.

mod column;
mod detail;
mod indexes;
mod page;
mod query;
mod raw;
mod search;
mod sql;

pub use column::{Column, Is, Kind, Table, table, tables};
pub use detail::{ChannelView, Children, Job, Point, Run, Series, VideoView, channel, job, run, video};
pub use page::{Page, Row, page, row};
pub use query::{Filter, Order, Query};
pub use search::{Found, Group, Hit, search};
