//! The order in which a run's statuses follow each other.

use std::time::Duration;

use chrono::DateTime;
use diesel::prelude::*;

use super::{NewPipelineRun, PipelineRun, PipelineRunChanges, RunStatus};
use crate::config::Current;
use crate::db::{DbConnection, on_backend};
use crate::error::{Error, Result, ResultExt, require};
use crate::schema::pipeline_runs;
use crate::types::{ChannelId, PipelineRunId, Timestamp};

/// The cycle that a run covers, for [`PipelineRun::start`]. Each `None` leaves the choice to viraldb.
#[derive(Debug, Clone, Default)]
pub struct Cycle {
    /// The channel whose settings count. `None`: the settings for all channels.
    pub channel: Option<ChannelId>,
    /// The length of the cycle. `None`: the setting `cycle_hours`.
    pub length: Option<Duration>,
    /// A time within the cycle. `None`: now.
    pub at: Option<Timestamp>,
}

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
    /// Returns the run of a niche for a cycle as [`cycle_at`](Self::cycle_at) counts them, as
    /// [`start_cycle`](Self::start_cycle) does. The setting `cycle_hours` gives the length unless `cycle` does.
    ///
    /// ```
    /// use viraldb::compilation::{Cycle, PipelineRun};
    ///
    /// # fn main() -> viraldb::Result<()> {
    /// # let db = viraldb::Database::open("sqlite::memory:")?;
    /// let run = db.write(|c| PipelineRun::start(c, "gaming", &Cycle::default()))?;
    /// assert_eq!(run.cycle_end, run.cycle_start + std::time::Duration::from_secs(6 * 3600));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`start_cycle`](Self::start_cycle) and [`cycle_at`](Self::cycle_at); `Invalid` if the setting cannot be
    /// read; `NotFound` if there is no such channel.
    pub fn start(conn: &mut DbConnection, niche: &str, cycle: &Cycle) -> Result<Self> {
        let length = match cycle.length {
            Some(length) => length,
            None => {
                let current = Current::read(conn, cycle.channel, &["cycle_hours"])?;
                Duration::from_secs(3600 * current.get::<u64>(cycle.channel, "cycle_hours")?)
            }
        };
        let (start, end) = Self::cycle_at(cycle.at.unwrap_or_else(Timestamp::now), length)?;
        Self::start_cycle(conn, niche, start, end)
    }

    /// The run of a niche for the cycle that begins at `start`: a new one, pending, or the one that is there.
    /// Two schedulers that ask at once get the same run.
    ///
    /// # Errors
    /// `Invalid` for an empty niche, for an end before the start, and for a new run while the setting
    /// `orchestration_paused` is true.
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
            if let Some(known) = known {
                return Ok(known);
            }
            let current = Current::read(conn, None, &[PAUSED])?;
            require_not_paused(&current, &format!("a run of {niche}"))?;
            NewPipelineRun::new(niche, start, end).insert(conn)
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
    /// succeeds. `Invalid` for a move to running while the setting `orchestration_paused` is true, or while as many runs
    /// are running as the setting `max_concurrent_runs` allows. An answer to a review moves its run back to running in
    /// either case.
    pub fn move_to(conn: &mut DbConnection, id: PipelineRunId, to: RunStatus) -> Result<Self> {
        match to {
            RunStatus::Running => begin(conn, id),
            _ => advance(conn, id, to, to.follows(), None),
        }
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
                .limit(limit.max(0))
                .load(c)
        })
        .of("pipeline_runs", "")
    }
}

/// The setting that stops the start of runs.
const PAUSED: &str = "orchestration_paused";
/// The setting that limits how many runs are running.
const MOST: &str = "max_concurrent_runs";

/// Moves a run to running if the settings allow it.
fn begin(conn: &mut DbConnection, id: PipelineRunId) -> Result<PipelineRun> {
    conn.atomically(|conn| {
        // Begin one run at a time, so that two transactions cannot both take the last place. SQLite has one writer.
        on_backend!(
            &mut *conn,
            sqlite => |_c| QueryResult::Ok(()),
            postgres => |c| crate::db::postgres::lock_name(c, "viraldb running runs"),
        )?;
        let run = advance(conn, id, RunStatus::Running, RunStatus::Running.follows(), None)?;
        let current = Current::read(conn, None, &[PAUSED, MOST])?;
        require_not_paused(&current, &format!("run {id}"))?;
        let most: i64 = current.get(None, MOST)?;
        let running: i64 = on_backend!(&mut *conn, |c| pipeline_runs::table
            .filter(pipeline_runs::status.eq(RunStatus::Running))
            .count()
            .get_result(c))
        .of("pipeline_runs", "")?;
        if running <= most {
            return Ok(run);
        }
        let others = running - 1;
        let reason = format!(
            "cannot start: {others} {} running and {MOST} is {most}; finish a run, or raise the limit with \
             `viraldb config set {MOST} {running}`",
            if others == 1 { "run is" } else { "runs are" }
        );
        Err(Error::invalid(format!("run {id}"), reason))
    })
}

fn require_not_paused(current: &Current, what: &str) -> Result<()> {
    if !current.get::<bool>(None, PAUSED)? {
        return Ok(());
    }
    let reason = format!(
        "cannot start: {PAUSED} is true; to go on, find where it is set with `viraldb config explain {PAUSED}` and set it \
         to false there"
    );
    Err(Error::invalid(what, reason))
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
