//! Reviews that a person is asked for, and the answers.

mod lifecycle;

use std::borrow::Cow;

use diesel::dsl::{exists, not};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::{PipelineRun, RunStatus};
use crate::db::json_upsert::{Document, Id, Table};
use crate::db::{DbConnection, MultiBackend, Page, insert_many, on_backend};
use crate::error::{Result, ResultExt};
use crate::schema::{pipeline_runs, review_log};
use crate::types::sql::Int4;
use crate::types::{PipelineRunId, ReviewLogId, Timestamp, portable};

pub use lifecycle::Overdue;

/// One row of `review_log`.
#[derive(
    Debug, Clone, PartialEq, Serialize, Deserialize, HasQuery, QueryableByName, Identifiable, Associations,
)]
#[diesel(table_name = review_log, check_for_backend(crate::db::MultiBackend))]
#[diesel(belongs_to(PipelineRun, foreign_key = pipeline_run_id))]
#[non_exhaustive]
pub struct ReviewLog {
    /// Primary key, assigned by the database.
    pub id: ReviewLogId,
    /// Run under review.
    pub pipeline_run_id: PipelineRunId,
    /// When the review was requested.
    pub sent_at: Timestamp,
    /// When a person answered.
    pub responded_at: Option<Timestamp>,
    /// The answer, or `None` while the review is open.
    pub action: Option<ReviewAction>,
    /// Details of the answer, such as `skip 4,7`.
    pub response_detail: Option<String>,
    /// Whether the review was held because no one answered in time.
    pub auto_held: bool,
}

/// A row to insert: `None` means the column's default. See [`ReviewLog`] for the fields.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Insertable)]
#[diesel(table_name = review_log)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // documented on the row
pub struct NewReviewLog<'a> {
    pub id: Option<ReviewLogId>,
    pub pipeline_run_id: PipelineRunId,
    pub sent_at: Option<Timestamp>,
    pub responded_at: Option<Timestamp>,
    pub action: Option<ReviewAction>,
    pub response_detail: Option<Cow<'a, str>>,
    pub auto_held: Option<bool>,
}

/// Changes to a row: `None` keeps the stored value, and `Some(None)` stores NULL. See [`ReviewLog`] for the fields.
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = review_log)]
#[allow(missing_docs)] // documented on the row
pub struct ReviewLogChanges<'a> {
    pub pipeline_run_id: Option<PipelineRunId>,
    pub sent_at: Option<Timestamp>,
    pub responded_at: Option<Option<Timestamp>>,
    pub action: Option<Option<ReviewAction>>,
    pub response_detail: Option<Option<Cow<'a, str>>>,
    pub auto_held: Option<bool>,
}

/// Selects rows for `list`, `count` and `exists`; a `None` field matches every row.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // documented on the row
pub struct ReviewLogFilter {
    pub pipeline_run_id: Option<PipelineRunId>,
}

impl ReviewLogFilter {
    /// Returns the query for the matching rows.
    fn rows(&self) -> review_log::BoxedQuery<'_, MultiBackend> {
        let mut query = review_log::table.into_boxed();
        if let Some(pipeline_run_id) = self.pipeline_run_id {
            query = query.filter(review_log::pipeline_run_id.eq(pipeline_run_id));
        }
        query
    }
}

impl ReviewLog {
    /// Returns the row with this id.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no review has this id.
    pub fn find(conn: &mut DbConnection, id: ReviewLogId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("review_log", id)
    }

    /// Returns one page of the matching rows, newest first.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). The row `page.after`
    /// need not exist anymore.
    pub fn list(
        conn: &mut DbConnection,
        filter: &ReviewLogFilter,
        page: &Page<ReviewLogId>,
    ) -> Result<Vec<Self>> {
        let mut query = filter.rows();
        if let Some(after) = page.after {
            query = query.filter(review_log::id.lt(after));
        }
        query
            .select(Self::as_select())
            .order(review_log::id.desc())
            .limit(page.at_most())
            .load(conn)
            .of("review_log", "")
    }

    /// Returns the number of matching rows.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn count(conn: &mut DbConnection, filter: &ReviewLogFilter) -> Result<i64> {
        filter.rows().count().get_result(conn).of("review_log", "")
    }

    /// Returns true if at least one row matches.
    ///
    /// # Errors
    /// The errors of [`count`](Self::count).
    pub fn exists(conn: &mut DbConnection, filter: &ReviewLogFilter) -> Result<bool> {
        let row: Option<i32> =
            filter.rows().select(1.into_sql::<Int4>()).first(conn).optional().of("review_log", "")?;
        Ok(row.is_some())
    }

    /// Returns the open reviews, the longest waiting first.
    ///
    /// A review is open if it was neither answered nor held, its run is under review, and the run has no newer review.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn open(conn: &mut DbConnection, limit: i64) -> Result<Vec<Self>> {
        let newer = diesel::alias!(review_log as newer);
        on_backend!(conn, |c| {
            let superseded = newer.filter(
                newer
                    .field(review_log::pipeline_run_id)
                    .eq(review_log::pipeline_run_id)
                    .and(newer.field(review_log::id).gt(review_log::id)),
            );
            Self::query()
                .inner_join(pipeline_runs::table)
                .filter(pipeline_runs::status.eq(RunStatus::Review))
                .filter(lifecycle::is_open().and(not(exists(superseded))))
                .order((review_log::sent_at, review_log::id))
                .limit(limit.max(0))
                .load(c)
        })
        .of("review_log", "")
    }

    /// Deletes a row and returns the number of rows deleted, which is 0 if the row did not exist.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database), because no table refers
    /// to `review_log`.
    pub fn delete(conn: &mut DbConnection, id: ReviewLogId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(review_log::table.find(id)).execute(c)).of("review_log", id)
    }
}

impl<'a> NewReviewLog<'a> {
    /// Creates a row from its required columns; every other column gets its default.
    pub fn new(pipeline_run_id: PipelineRunId) -> Self {
        Self { pipeline_run_id, ..Self::default() }
    }
}

impl NewReviewLog<'_> {
    /// Inserts the row and returns it with its defaults filled in.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if the run does not exist;
    /// [`Conflict`](crate::Error::Conflict) if `id` is given and already exists.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<ReviewLog> {
        on_backend!(conn, |c| diesel::insert_into(review_log::table)
            .values(self)
            .returning(ReviewLog::as_returning())
            .get_result(c))
        .of("review_log", "")
    }

    /// Inserts all rows and returns their count. If one of them is rejected, none is inserted.
    ///
    /// # Errors
    /// The errors of [`insert`](Self::insert), for any of the rows.
    pub fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        insert_many::<_, Self>(conn, review_log::table, "review_log", rows)
    }
}

impl Document for NewReviewLog<'static> {
    const TABLE: Table = Table {
        name: "review_log",
        id: Id::Number,
        key: &[],
        origin: &["pipeline_run_id", "sent_at"],
        parents: &[("pipeline_run_id", "pipeline_runs")],
        keep: &[],
        json: &[],
        times: &["sent_at", "responded_at"],
    };
}

impl ReviewLogChanges<'_> {
    /// Updates the row with this id and returns it.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no review has this id;
    /// [`Invalid`](crate::Error::Invalid) if the new run does not exist or `self` has no changes.
    pub fn update(&self, conn: &mut DbConnection, id: ReviewLogId) -> Result<ReviewLog> {
        on_backend!(conn, |c| diesel::update(review_log::table.find(id))
            .set(self)
            .returning(ReviewLog::as_returning())
            .get_result(c))
        .of("review_log", id)
    }
}

portable! {
    /// The answer to a review.
    pub enum ReviewAction {
        Approve = "approve",
        Reject = "reject",
        Hold = "hold",
        Skip = "skip",
        RedoScript = "redo_script",
    }
}
