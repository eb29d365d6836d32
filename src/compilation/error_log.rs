//! Pipeline errors, kept until someone resolves them.

use std::borrow::Cow;
use std::collections::HashSet;

use diesel::dsl::not;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::PipelineRun;
use crate::db::json_upsert::{Document, Id, Table};
use crate::db::{DbConnection, IDS, MultiBackend, Page, insert_many, on_backend};
use crate::error::{Error, Result, ResultExt, require, require_indexable};
use crate::schema::error_log;
use crate::types::sql::Int4;
use crate::types::{CorrelationId, ErrorLogId, PipelineRunId, Timestamp};

/// One row of `error_log`.
#[derive(
    Debug, Clone, PartialEq, Serialize, Deserialize, HasQuery, QueryableByName, Identifiable, Associations,
)]
#[diesel(table_name = error_log, check_for_backend(crate::db::MultiBackend))]
#[diesel(belongs_to(PipelineRun, foreign_key = pipeline_run_id))]
#[non_exhaustive]
pub struct ErrorLog {
    /// Primary key, assigned by the database.
    pub id: ErrorLogId,
    /// Run in which the error happened.
    pub pipeline_run_id: Option<PipelineRunId>,
    /// Module of the program in which the error happened.
    pub module: String,
    /// Kind of error, such as TimeoutError.
    pub error_type: String,
    /// Error message.
    pub error_message: String,
    /// Stack trace, if available.
    pub stack_trace: Option<String>,
    /// When the error happened.
    pub occurred_at: Timestamp,
    /// Whether the error is resolved.
    pub resolved: bool,
    /// Id of the unit of work in which the error happened. The log contains the same id.
    pub correlation_id: Option<CorrelationId>,
}

/// A row to insert: `None` means the column's default. See [`ErrorLog`] for the fields.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Insertable)]
#[diesel(table_name = error_log)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // documented on the row
pub struct NewErrorLog<'a> {
    pub id: Option<ErrorLogId>,
    pub pipeline_run_id: Option<PipelineRunId>,
    pub module: Cow<'a, str>,
    pub error_type: Cow<'a, str>,
    pub error_message: Cow<'a, str>,
    pub stack_trace: Option<Cow<'a, str>>,
    pub occurred_at: Option<Timestamp>,
    pub resolved: Option<bool>,
    pub correlation_id: Option<CorrelationId>,
}

/// Changes to a row: `None` keeps the stored value, and `Some(None)` stores NULL. See [`ErrorLog`] for the fields.
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = error_log)]
#[allow(missing_docs)] // documented on the row
pub struct ErrorLogChanges<'a> {
    pub pipeline_run_id: Option<Option<PipelineRunId>>,
    pub module: Option<Cow<'a, str>>,
    pub error_type: Option<Cow<'a, str>>,
    pub error_message: Option<Cow<'a, str>>,
    pub stack_trace: Option<Option<Cow<'a, str>>>,
    pub occurred_at: Option<Timestamp>,
    pub resolved: Option<bool>,
    pub correlation_id: Option<Option<CorrelationId>>,
}

/// Selects rows for `list`, `count` and `exists`; a `None` field matches every row.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // documented on the row
pub struct ErrorLogFilter<'a> {
    pub module: Option<&'a str>,
    pub resolved: Option<bool>,
    pub pipeline_run_id: Option<PipelineRunId>,
    /// Only errors that occurred at this time or later.
    pub since: Option<Timestamp>,
    /// Only errors that occurred before this time.
    pub until: Option<Timestamp>,
}

impl ErrorLogFilter<'_> {
    /// Returns the query for the matching rows.
    fn rows(&self) -> error_log::BoxedQuery<'_, MultiBackend> {
        let mut query = error_log::table.into_boxed();
        if let Some(module) = self.module {
            query = query.filter(error_log::module.eq(module));
        }
        // A comparison with a parameter would not use the index of unresolved errors.
        query = match self.resolved {
            Some(true) => query.filter(error_log::resolved),
            Some(false) => query.filter(not(error_log::resolved)),
            None => query,
        };
        if let Some(pipeline_run_id) = self.pipeline_run_id {
            query = query.filter(error_log::pipeline_run_id.eq(pipeline_run_id));
        }
        if let Some(since) = self.since {
            query = query.filter(error_log::occurred_at.ge(since));
        }
        if let Some(until) = self.until {
            query = query.filter(error_log::occurred_at.lt(until));
        }
        query
    }
}

impl ErrorLog {
    /// Returns the row with this id.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no error has this id.
    pub fn find(conn: &mut DbConnection, id: ErrorLogId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("error_log", id)
    }

    /// Returns one page of the matching rows, newest first.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). The row `page.after`
    /// need not exist anymore.
    pub fn list(
        conn: &mut DbConnection,
        filter: &ErrorLogFilter<'_>,
        page: &Page<ErrorLogId>,
    ) -> Result<Vec<Self>> {
        let mut query = filter.rows();
        if let Some(after) = page.after {
            query = query.filter(error_log::id.lt(after));
        }
        query
            .select(Self::as_select())
            .order(error_log::id.desc())
            .limit(page.at_most())
            .load(conn)
            .of("error_log", "")
    }

    /// Returns the number of matching rows.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn count(conn: &mut DbConnection, filter: &ErrorLogFilter<'_>) -> Result<i64> {
        filter.rows().count().get_result(conn).of("error_log", "")
    }

    /// Returns true if at least one row matches.
    ///
    /// # Errors
    /// The errors of [`count`](Self::count).
    pub fn exists(conn: &mut DbConnection, filter: &ErrorLogFilter<'_>) -> Result<bool> {
        let row: Option<i32> =
            filter.rows().select(1.into_sql::<Int4>()).first(conn).optional().of("error_log", "")?;
        Ok(row.is_some())
    }

    /// Returns one page of the unresolved errors of one module, or of all modules, newest first.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). The error `page.after`
    /// need not exist anymore.
    ///
    /// ```
    /// use viraldb::Page;
    /// use viraldb::compilation::{ErrorLog, NewErrorLog};
    ///
    /// # fn main() -> viraldb::Result<()> {
    /// # let db = viraldb::Database::open("sqlite::memory:")?;
    /// db.write(|c| NewErrorLog::new("uploader", "TimeoutError", "no answer in 30 s").insert(c))?;
    /// let errors = db.read(|c| ErrorLog::unresolved(c, Some("uploader"), &Page::first(20)))?;
    /// db.write(|c| ErrorLog::resolve(c, errors[0].id))?;
    /// assert_eq!(db.read(ErrorLog::count_unresolved)?, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn unresolved(
        conn: &mut DbConnection,
        module: Option<&str>,
        page: &Page<ErrorLogId>,
    ) -> Result<Vec<Self>> {
        Self::list(conn, &ErrorLogFilter { module, resolved: Some(false), ..Default::default() }, page)
    }

    /// Marks an error as resolved and returns it.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no error has this id. Resolving an error twice is
    /// not an error.
    pub fn resolve(conn: &mut DbConnection, id: ErrorLogId) -> Result<Self> {
        ErrorLogChanges { resolved: Some(true), ..Default::default() }.update(conn, id)
    }

    /// Marks errors as resolved and returns their count.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if one of them does not exist. Then no error is changed.
    pub fn resolve_many(conn: &mut DbConnection, ids: &[ErrorLogId]) -> Result<usize> {
        conn.atomically(|conn| {
            let mut known = HashSet::new();
            for ids in ids.chunks(IDS) {
                let found: Vec<ErrorLogId> = on_backend!(&mut *conn, |c| {
                    diesel::update(error_log::table.filter(error_log::id.eq_any(ids)))
                        .set(error_log::resolved.eq(true))
                        .returning(error_log::id)
                        .get_results(c)
                })
                .of("error_log", "")?;
                known.extend(found);
            }
            match ids.iter().find(|id| !known.contains(id)) {
                Some(id) => Err(Error::NotFound { table: "error_log", key: id.to_string() }),
                None => Ok(known.len()),
            }
        })
    }

    /// Marks every unresolved error of a module as resolved and returns how many there were.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if `module` is empty.
    pub fn resolve_module(conn: &mut DbConnection, module: &str) -> Result<usize> {
        require("module", module)?;
        on_backend!(conn, |c| {
            diesel::update(
                error_log::table.filter(error_log::module.eq(module).and(not(error_log::resolved))),
            )
            .set(error_log::resolved.eq(true))
            .execute(c)
        })
        .of("error_log", module)
    }

    /// Returns the number of unresolved errors.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn count_unresolved(conn: &mut DbConnection) -> Result<i64> {
        on_backend!(conn, |c| error_log::table.filter(not(error_log::resolved)).count().get_result(c))
            .of("error_log", "")
    }

    /// Deletes a row and returns the number of rows deleted, which is 0 if the row did not exist.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database), because no table refers
    /// to `error_log`.
    pub fn delete(conn: &mut DbConnection, id: ErrorLogId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(error_log::table.find(id)).execute(c)).of("error_log", id)
    }
}

impl<'a> NewErrorLog<'a> {
    /// Creates a row from its required columns; every other column gets its default.
    pub fn new(
        module: impl Into<Cow<'a, str>>,
        error_type: impl Into<Cow<'a, str>>,
        error_message: impl Into<Cow<'a, str>>,
    ) -> Self {
        Self {
            module: module.into(),
            error_type: error_type.into(),
            error_message: error_message.into(),
            ..Self::default()
        }
    }
}

impl NewErrorLog<'_> {
    /// Rejects text that is too long for an indexed column.
    fn require_indexable(&self) -> Result<()> {
        require_indexable("module", Some(&self.module))
    }

    /// Inserts the row and returns it with its defaults filled in.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if the run does not exist or `module` has more than 2,600
    /// bytes; [`Conflict`](crate::Error::Conflict) if `id` is given and already exists.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<ErrorLog> {
        self.require_indexable()?;
        on_backend!(conn, |c| diesel::insert_into(error_log::table)
            .values(self)
            .returning(ErrorLog::as_returning())
            .get_result(c))
        .of("error_log", "")
    }

    /// Inserts all rows and returns their count. If one of them is rejected, none is inserted.
    ///
    /// # Errors
    /// The errors of [`insert`](Self::insert), for any of the rows.
    pub fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        rows.iter().try_for_each(Self::require_indexable)?;
        insert_many::<_, Self>(conn, error_log::table, "error_log", rows)
    }
}

impl Document for NewErrorLog<'static> {
    const TABLE: Table = Table {
        name: "error_log",
        id: Id::Number,
        key: &[],
        origin: &["module", "occurred_at"],
        parents: &[("pipeline_run_id", "pipeline_runs")],
        keep: &[],
        json: &[],
        times: &["occurred_at"],
    };
}

impl ErrorLogChanges<'_> {
    /// Updates the row with this id and returns it.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no error has this id;
    /// [`Invalid`](crate::Error::Invalid) if the new run does not exist, `module` has more than
    /// 2,600 bytes, or `self` has no changes.
    pub fn update(&self, conn: &mut DbConnection, id: ErrorLogId) -> Result<ErrorLog> {
        require_indexable("module", self.module.as_ref())?;
        on_backend!(conn, |c| diesel::update(error_log::table.find(id))
            .set(self)
            .returning(ErrorLog::as_returning())
            .get_result(c))
        .of("error_log", id)
    }
}
