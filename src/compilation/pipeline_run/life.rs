//! The order in which a run's statuses follow each other.

use std::time::Duration;

use chrono::DateTime;
use diesel::prelude::*;

use super::{NewPipelineRun, PipelineRun, PipelineRunChanges, RunStatus};
use crate::db::{DbConnection, on_backend};
use crate::error::{Error, Result, ResultExt, require};
use crate::schema::pipeline_runs;
use crate::types::{PipelineRunId, Timestamp};

impl RunStatus {
    /// The statuses that this one may follow: each its step, `failed` all others, and `pending` a failure
    /// that is tried again.
    pub fn follows(self) -> &'static [Self] {
        match self {
            Self::Pending => &[Self::Failed],
            Self::Running => &[Self::Pending],
            Self::Review => &[Self::Running],
            Self::Approved => &[Self::Review],
            Self::Uploaded => &[Self::Approved],
            Self::Failed => &[Self::Pending, Self::Running, Self::Review, Self::Approved, Self::Uploaded],
        }
    }
}

impl PipelineRun {
    /// The run of a niche for the cycle that begins at `start`: a new one, pending, or the one that is there.
    /// Two schedulers that ask at once get the same run.
    ///
    /// # Errors
    /// `Invalid` for an empty niche, and for an end before the start.
    pub fn start_cycle(
        conn: &mut DbConnection,
        niche: &str,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Self> {
        require("niche", niche)?;
        if end < start {
            return Err(Error::invalid("cycle_end", format!("{end} is before cycle_start {start}")));
        }
        conn.atomically(|conn| {
            // No unique index forbids another program a second run, so whoever asks comes alone: SQLite has
            // one writer, PostgreSQL a lock on this cycle.
            on_backend!(
                &mut *conn,
                sqlite => |_c| QueryResult::Ok(()),
                postgres => |c| crate::db::postgres::lock_name(c, &format!("{niche} {start}")),
            )?;
            // On SQLite other programs write the same moment as other texts, a shorter one before a longer one.
            let around = start - Duration::from_secs(1);
            let near: Vec<Self> = on_backend!(&mut *conn, |c| {
                Self::query()
                    .filter(pipeline_runs::niche.eq(niche))
                    .filter(pipeline_runs::cycle_start.gt(around).and(pipeline_runs::cycle_start.le(start)))
                    .order(pipeline_runs::id)
                    .load(c)
            })
            .of("pipeline_runs", "")?;
            let known = near.into_iter().find(|run| run.cycle_start == start);
            known.map_or_else(|| NewPipelineRun::new(niche, start, end).insert(conn), Ok)
        })
    }

    /// Start and end of the cycle that is under way at a moment, all cycles being so long and counted from the
    /// start of 1970, so that those of 6, 8, 12 or 24 hours begin at midnight UTC.
    ///
    /// # Errors
    /// `Invalid` for a length of less than a second.
    pub fn cycle_at(at: Timestamp, length: Duration) -> Result<(Timestamp, Timestamp)> {
        let seconds = i64::try_from(length.as_secs()).unwrap_or(i64::MAX);
        let now = at.to_utc().timestamp();
        let start =
            now.checked_div_euclid(seconds).and_then(|cycle| DateTime::from_timestamp(cycle * seconds, 0));
        let start: Timestamp = start.ok_or_else(|| Error::invalid("cycle", "is too short"))?.into();
        Ok((start, start + Duration::from_secs(length.as_secs())))
    }

    /// Moves a run to its next status, notes when its work began or ended, and returns it.
    ///
    /// The order is pending, running, review, approved, uploaded; each may fail. `pending` after a failure is
    /// [`retry`](Self::retry). A person's answer moves a run by [`ReviewLog::answer`](super::super::ReviewLog::answer).
    ///
    /// # Errors
    /// `Invalid`, naming both statuses, for any other move; `NotFound`. Of two who move a run at once, one
    /// succeeds.
    pub fn move_to(conn: &mut DbConnection, id: PipelineRunId, to: RunStatus) -> Result<Self> {
        advance(conn, id, to, to.follows(), None)
    }

    /// Ends a run as failed, and notes why.
    ///
    /// # Errors
    /// `Invalid` if it has failed already, or for an empty message; `NotFound`.
    pub fn fail(conn: &mut DbConnection, id: PipelineRunId, error: &str) -> Result<Self> {
        require("error", error)?;
        Self::fail_from(conn, id, RunStatus::Failed.follows(), error)
    }

    /// Puts a failed run back to pending, and counts it in `retry_count`.
    ///
    /// # Errors
    /// `Invalid` if it has not failed; `NotFound`.
    pub fn retry(conn: &mut DbConnection, id: PipelineRunId) -> Result<Self> {
        Self::move_to(conn, id, RunStatus::Pending)
    }

    /// [`fail`](Self::fail), from one of these statuses.
    pub(in crate::compilation) fn fail_from(
        conn: &mut DbConnection,
        id: PipelineRunId,
        from: &[RunStatus],
        error: &str,
    ) -> Result<Self> {
        advance(conn, id, RunStatus::Failed, from, Some(error))
    }

    /// The run, which nobody else changes until the transaction ends.
    pub(in crate::compilation) fn lock(conn: &mut DbConnection, id: PipelineRunId) -> Result<Self> {
        on_backend!(
            conn,
            sqlite => |c| Self::query().find(id).first(c), // it has one writer
            postgres => |c| Self::query().find(id).for_update().first(c),
        )
        .of("pipeline_runs", id)
    }

    /// Puts a run under review back to work, as an answer may ask for.
    pub(in crate::compilation) fn rework(conn: &mut DbConnection, id: PipelineRunId) -> Result<Self> {
        advance(conn, id, RunStatus::Running, &[RunStatus::Review], None)
    }

    /// The runs that are `running`, oldest first: a pipeline that starts takes up again what ran when it died.
    /// Whether another one works on them just now, only its operator knows.
    pub fn resume(conn: &mut DbConnection, limit: i64) -> Result<Vec<Self>> {
        on_backend!(conn, |c| {
            Self::query()
                .filter(pipeline_runs::status.eq(RunStatus::Running))
                .order(pipeline_runs::id)
                .limit(limit)
                .load(c)
        })
        .of("pipeline_runs", "")
    }
}

/// One statement moves it if it has one of the statuses in `from`, so that nobody can come in between.
fn advance(
    conn: &mut DbConnection,
    id: PipelineRunId,
    to: RunStatus,
    from: &[RunStatus],
    error: Option<&str>,
) -> Result<PipelineRun> {
    let now = Timestamp::now();
    let is_retry = to == RunStatus::Pending;
    let is_over = matches!(to, RunStatus::Uploaded | RunStatus::Failed);
    let is_begun = to == RunStatus::Running && from.contains(&RunStatus::Pending);
    let changes = PipelineRunChanges {
        status: Some(to),
        started_at: (is_begun || is_retry).then_some(is_begun.then_some(now)),
        completed_at: (is_over || is_retry).then_some(is_over.then_some(now)),
        error_message: (error.is_some() || is_retry).then_some(error.map(Into::into)),
        ..Default::default()
    };
    let moved = on_backend!(&mut *conn, |c| {
        diesel::update(pipeline_runs::table.find(id).filter(pipeline_runs::status.eq_any(from)))
            .set((changes, pipeline_runs::retry_count.eq(pipeline_runs::retry_count + i32::from(is_retry))))
            .returning(PipelineRun::as_returning())
            .get_result(c)
            .optional()
    })
    .of("pipeline_runs", id)?;
    moved.map_or_else(
        || {
            let status = PipelineRun::find(conn, id)?.status;
            Err(Error::invalid(format!("run {id}"), format!("is {status} and cannot become {to}")))
        },
        Ok,
    )
}
