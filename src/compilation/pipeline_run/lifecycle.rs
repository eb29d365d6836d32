//! The status changes of a run and the rules for them.

use std::time::Duration;

use chrono::DateTime;
use diesel::prelude::*;

use super::{NewPipelineRun, PipelineRun, PipelineRunChanges, RunStatus};
use crate::config::Current;
use crate::db::{DbConnection, on_backend};
use crate::error::{Error, Result, ResultExt, require};
use crate::schema::pipeline_runs;
use crate::types::{ChannelId, PipelineRunId, Timestamp, any_of};

/// The cycle that a run covers, for [`PipelineRun::start`]. viraldb chooses each value that is `None`.
#[derive(Debug, Clone, Default)]
pub struct Cycle {
    /// The channel whose settings apply. `None`: the settings for all channels.
    pub channel: Option<ChannelId>,
    /// The length of the cycle. `None`: the setting `cycle_hours`.
    pub length: Option<Duration>,
    /// A time within the cycle. `None`: now.
    pub at: Option<Timestamp>,
}

impl RunStatus {
    /// Returns the statuses that may precede this one.
    ///
    /// Each step follows the step before it, `failed` follows every other status, and `pending` follows `failed` in a
    /// retry.
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
    /// Creates the run of a niche for a cycle, or returns the run that exists; see [`start_cycle`](Self::start_cycle).
    ///
    /// [`cycle_at`](Self::cycle_at) determines when the cycle begins and ends. Its length is that of `cycle` or, if `None`,
    /// the setting `cycle_hours`.
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
    /// - [`Invalid`](crate::Error::Invalid) if the setting cannot be read.
    /// - [`NotFound`](crate::Error::NotFound) if the channel does not exist.
    /// - The errors of [`start_cycle`](Self::start_cycle) and [`cycle_at`](Self::cycle_at).
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

    /// Returns the run of a niche for the cycle that begins at `start`. If there is no such run, creates a pending one.
    ///
    /// Two schedulers that call this concurrently get the same run.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if `niche` is empty, if `end` is before `start`, or if a run would
    /// have to be created while the setting `orchestration_paused` is true.
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
            // No unique index prevents a second run for the cycle, so callers must run one after the other. SQLite
            // allows only one writer; on PostgreSQL, take a lock for this cycle.
            on_backend!(
                &mut *conn,
                sqlite => |_c| QueryResult::Ok(()),
                postgres => |c| crate::db::postgres::lock_name(c, &format!("{niche} {start}")),
            )?;
            // On SQLite, other programs may write the same timestamp as a shorter text, which sorts before the longer one.
            // Search from one second earlier and compare the parsed timestamps.
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

    /// Returns the start and the end of the cycle that contains the time `at`.
    ///
    /// Cycles have the given length and are counted from the start of 1970 in UTC. If the length is 6, 8, 12 or 24 hours,
    /// a cycle begins at midnight UTC.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if the length is less than one second.
    pub fn cycle_at(at: Timestamp, length: Duration) -> Result<(Timestamp, Timestamp)> {
        let seconds = i64::try_from(length.as_secs()).unwrap_or(i64::MAX);
        let now = at.to_utc().timestamp();
        let start =
            now.checked_div_euclid(seconds).and_then(|cycle| DateTime::from_timestamp(cycle * seconds, 0));
        let start: Timestamp =
            start.ok_or_else(|| Error::invalid("cycle", "must be at least 1 second long"))?.into();
        Ok((start, start + Duration::from_secs(length.as_secs())))
    }

    /// Moves a run to its next status, records when its work began or ended, and returns it.
    ///
    /// The order is pending, running, review, approved, uploaded. A run may fail from each of them. Moving a failed run to
    /// `pending` is a [`retry`](Self::retry). If two callers move a run concurrently, one of them succeeds.
    ///
    /// To record a person's answer, use [`ReviewLog::answer`](super::super::ReviewLog::answer), which also moves the run.
    /// An answer may move a run back to running even if the settings below do not allow another run to start.
    ///
    /// # Errors
    /// - [`NotFound`](crate::Error::NotFound) if the run does not exist.
    /// - [`Invalid`](crate::Error::Invalid), which names both statuses, for any other move.
    /// - `Invalid` for a move to running while the setting `orchestration_paused` is true.
    /// - `Invalid` for a move to running while `max_concurrent_runs` (a setting) runs are running.
    pub fn move_to(conn: &mut DbConnection, id: PipelineRunId, to: RunStatus) -> Result<Self> {
        match to {
            RunStatus::Running => begin(conn, id),
            _ => advance(conn, id, to, to.follows(), None),
        }
    }

    /// Marks a run as failed and records the error message.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if the run has already failed or if the message is empty;
    /// [`NotFound`](crate::Error::NotFound) if the run does not exist.
    pub fn fail(conn: &mut DbConnection, id: PipelineRunId, error: &str) -> Result<Self> {
        require("error", error)?;
        Self::fail_from(conn, id, RunStatus::Failed.follows(), error)
    }

    /// Moves a failed run back to pending and increments its `retry_count`.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if the run has not failed; [`NotFound`](crate::Error::NotFound) if
    /// it does not exist.
    pub fn retry(conn: &mut DbConnection, id: PipelineRunId) -> Result<Self> {
        Self::move_to(conn, id, RunStatus::Pending)
    }

    /// Does the same as [`fail`](Self::fail), but only from one of the statuses in `from`.
    pub(in crate::compilation) fn fail_from(
        conn: &mut DbConnection,
        id: PipelineRunId,
        from: &[RunStatus],
        error: &str,
    ) -> Result<Self> {
        advance(conn, id, RunStatus::Failed, from, Some(error))
    }

    /// Returns the run and locks it until the transaction ends.
    pub(in crate::compilation) fn lock(conn: &mut DbConnection, id: PipelineRunId) -> Result<Self> {
        on_backend!(
            conn,
            sqlite => |c| Self::query().find(id).first(c), // SQLite allows only one writer
            postgres => |c| Self::query().find(id).for_update().first(c),
        )
        .of("pipeline_runs", id)
    }

    /// Moves a run from review back to running, for an answer that asks for more work.
    pub(in crate::compilation) fn rework(conn: &mut DbConnection, id: PipelineRunId) -> Result<Self> {
        advance(conn, id, RunStatus::Running, &[RunStatus::Review], None)
    }

    /// Returns the runs that are `running`, oldest first. A pipeline that restarts after a crash can resume them.
    ///
    /// viraldb cannot tell whether another pipeline is still working on them.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
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

/// The setting that prevents runs from starting.
const PAUSED: &str = "orchestration_paused";
/// The setting that limits how many runs may be running.
const MOST: &str = "max_concurrent_runs";

/// Moves a run from pending to running if the settings allow it.
fn begin(conn: &mut DbConnection, id: PipelineRunId) -> Result<PipelineRun> {
    conn.atomically(|conn| {
        // Start runs one after the other, so that two transactions cannot both start the last run that the limit allows.
        // SQLite allows only one writer.
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
        "cannot start: {PAUSED} is true; find where it is set with `viraldb config explain {PAUSED}` and set it to false \
         there"
    );
    Err(Error::invalid(what, reason))
}

/// Moves a run to `to` if its status is in `from`. It does so in one statement, so that no concurrent move can intervene.
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
            let allowed: Vec<&str> = from.iter().map(|status| status.as_str()).collect();
            let reason =
                format!("is {status} and cannot become {to}; only a run that is {} can", any_of(&allowed));
            Err(Error::invalid(format!("run {id}"), reason))
        },
        Ok,
    )
}
