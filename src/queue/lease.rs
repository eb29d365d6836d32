//! Operations of a worker on jobs that it has claimed. All of them require the lease token and an unexpired lease.

use std::borrow::Cow;
use std::time::Duration;

use diesel::dsl::{auto_type, sql};
use diesel::expression::SqlLiteral;
use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate};
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};

use super::attempt::{AttemptOutcome, NewJobAttempt};
use super::wait::release_waiting;
use crate::db::clock::{Moment, after, now};
use crate::db::prepared::Prepared;
use crate::db::{DbConnection, on_backend};
use crate::error::{Error, Result, ResultExt, require};
use crate::republishing::{JobStatus, VideoProcessingJob};
use crate::schema::video_processing_jobs as jobs;
use crate::types::sql::{Bool, Int4, Nullable};
use crate::types::{Json, LeaseToken, VideoProcessingJobId};

/// One claim of one job.
///
/// A job that [`claim`](super::claim) returned converts into its lease, so you can pass `&job`. A worker that keeps only
/// the job id and the lease token creates the lease with [`Lease::new`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    pub(super) job: VideoProcessingJobId,
    pub(super) token: Option<LeaseToken>,
}

impl Lease {
    /// Creates the lease of a job from the token of its claim.
    pub const fn new(job: VideoProcessingJobId, token: LeaseToken) -> Self {
        Self { job, token: Some(token) }
    }
}

impl From<&VideoProcessingJob> for Lease {
    /// Returns the lease of a job. For a job that no worker has claimed, every operation reports the lease as lost.
    fn from(job: &VideoProcessingJob) -> Self {
        Self { job: job.id, token: job.lease_token }
    }
}

impl From<&Self> for Lease {
    fn from(lease: &Self) -> Self {
        *lease
    }
}

/// Why a job failed, and when it may be retried.
///
/// ```
/// use std::time::Duration;
/// use viraldb::queue::{Backoff, Failure};
///
/// let backoff = Backoff { base: Duration::from_secs(5), ..Backoff::default() };
/// let failure = Failure { backoff, ..Failure::new("HTTP 503") };
/// assert!(failure.backoff.wait(1) <= Duration::from_secs(5));
/// ```
#[derive(Debug, Clone)]
pub struct Failure<'a> {
    /// The error, for `error_message`.
    pub error: Cow<'a, str>,
    /// Details of the error, for `error_details`.
    pub details: Option<Json>,
    /// Determines how long the next attempt waits.
    pub backoff: Backoff,
    /// How long the next attempt waits, instead of the backoff.
    pub retry_after: Option<Duration>,
    /// Whether the job fails now, whatever attempts are left.
    pub is_final: bool,
}

impl<'a> Failure<'a> {
    /// Creates a failure without details and with the default backoff.
    pub fn new(error: impl Into<Cow<'a, str>>) -> Self {
        Self {
            error: error.into(),
            details: None,
            backoff: Backoff::default(),
            retry_after: None,
            is_final: false,
        }
    }
}

/// Exponential backoff with jitter.
///
/// The full wait after attempt n is `base` × 2ⁿ⁻¹, limited to `longest`. The actual wait is random, between half of that
/// and all of it, so that jobs that failed together are not retried together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Maximum wait after the first attempt. Default: 30 seconds.
    pub base: Duration,
    /// Maximum wait after any attempt. Default: 1 hour.
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_secs(30), longest: Duration::from_secs(3600) }
    }
}

impl Backoff {
    /// Returns how long to wait after this number of attempts.
    pub fn wait(&self, attempts: i32) -> Duration {
        let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0).min(31);
        let most = self.base.saturating_mul(1 << doublings).min(self.longest);
        most.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

/// Returns the condition that the job is processing and its lease belongs to this claim and has not expired.
#[auto_type]
pub(super) fn is_held(lease: Lease, now: Moment) -> _ {
    let id: VideoProcessingJobId = lease.job;
    let token: Option<LeaseToken> = lease.token;
    // PostgreSQL's statistics often say that no row is processing. With a plain comparison it could read the index on `status`,
    // with the entries of all jobs that were processing before, instead of the primary key.
    let processing: SqlLiteral<Bool> = sql::<Bool>("(video_processing_jobs.status = 'processing') IS TRUE");
    jobs::id
        .eq(id)
        .and(processing)
        .and(jobs::lease_token.eq(token))
        .and(jobs::lease_expires_at.gt(now.nullable()))
}

/// Returns the changes that remove the lease from a job.
#[auto_type]
pub(super) fn without_lease() -> _ {
    let nobody: Option<LeaseToken> = None;
    let no_name: Option<&'static str> = None;
    let never: Option<crate::Timestamp> = None;
    (jobs::lease_token.eq(nobody), jobs::leased_by.eq(no_name), jobs::lease_expires_at.eq(never))
}

/// Returns the changes that complete a job.
#[auto_type]
pub(super) fn completed(now: Moment) -> _ {
    let status: JobStatus = JobStatus::Completed;
    let taken: SecondsTaken = SecondsTaken(now);
    (
        jobs::status.eq(status),
        jobs::completed_at.eq(now.nullable()),
        jobs::duration.eq(taken),
        jobs::updated_at.eq(now),
        without_lease(),
    )
}

/// Returns the changes that return a job to the queue without counting the attempt.
#[auto_type]
pub(super) fn released(now: Moment) -> _ {
    let status: JobStatus = JobStatus::Queued;
    (
        jobs::status.eq(status),
        jobs::attempts.eq(jobs::attempts - 1_i32),
        jobs::updated_at.eq(now),
        without_lease(),
    )
}

/// Returns the changes that make the lease of a job expire at `until`.
#[auto_type]
pub(super) fn extended(now: Moment, until: Moment) -> _ {
    (jobs::lease_expires_at.eq(until.nullable()), jobs::updated_at.eq(now))
}

/// Turns `NotFound` into [`Error::LeaseLost`]: if no row was changed, the lease was lost.
pub(super) fn or_lost(result: QueryResult<VideoProcessingJob>, lease: Lease) -> Result<VideoProcessingJob> {
    match result {
        Err(diesel::result::Error::NotFound) => Err(Error::LeaseLost { job: lease.job.0 }),
        result => result.of("video_processing_jobs", lease.job),
    }
}

/// Rejects a lease that is too short to work under, and one that would hold the job of a dead worker forever.
pub(super) fn check_length(length: Duration) -> Result<()> {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    if (Duration::from_millis(1)..=30 * DAY).contains(&length) {
        return Ok(());
    }
    Err(Error::invalid("lease", format!("must be from 1 millisecond to 30 days, got {length:?}")))
}

/// Extends the lease so that it expires `length` from now.
///
/// # Errors
/// [`Error::LeaseLost`] if the lease has expired or another worker has claimed the job; the worker should stop then.
/// `Invalid` if `length` is not from 1 millisecond to 30 days.
pub fn heartbeat(
    conn: &mut DbConnection,
    lease: impl Into<Lease>,
    length: Duration,
) -> Result<VideoProcessingJob> {
    struct Heartbeat;
    check_length(length)?;
    let lease = lease.into();
    let now = now();
    let result = on_backend!(conn, |c| {
        let extend = diesel::update(jobs::table.filter(is_held(lease, now)))
            .set(extended(now, after(length)))
            .returning(VideoProcessingJob::as_returning());
        Prepared(Heartbeat, extend).get_result(c)
    });
    or_lost(result, lease)
}

/// Completes a job and records how long it took. Jobs that [wait](super::enqueue_after) only for this one become due.
///
/// # Errors
/// [`Error::LeaseLost`] if the lease has expired or another worker has claimed the job. Nothing is changed then.
pub fn complete(conn: &mut DbConnection, lease: impl Into<Lease>) -> Result<VideoProcessingJob> {
    struct Complete;
    let lease = lease.into();
    let now = now();
    conn.atomically(|conn| {
        let result = on_backend!(&mut *conn, |c| {
            let complete = diesel::update(jobs::table.filter(is_held(lease, now)))
                .set(completed(now))
                .returning(VideoProcessingJob::as_returning());
            Prepared(Complete, complete).get_result(c)
        });
        let job = or_lost(result, lease)?;
        release_waiting(conn, &[lease.job])?;
        Ok(job)
    })
}

/// Records why a job failed and schedules another attempt after the backoff.
///
/// The attempt becomes a row of the job's [history](super::JobAttempt).
///
/// If the job has used up its attempts, or [`Failure::is_final`] says so, it ends as `failed` instead.
///
/// # Errors
/// [`Error::LeaseLost`] if the lease has expired or another worker has claimed the job. Nothing is changed then.
/// `Invalid` if the error text is empty.
pub fn fail(
    conn: &mut DbConnection,
    lease: impl Into<Lease>,
    failure: &Failure<'_>,
) -> Result<VideoProcessingJob> {
    require("error", &failure.error)?;
    let lease = lease.into();
    let now = now();
    conn.atomically(|conn| {
        struct Held;
        // The row cannot change between the two statements: SQLite has a single writer, and PostgreSQL locks the row.
        let held = || {
            jobs::table.filter(is_held(lease, now)).select((
                jobs::attempts,
                jobs::max_attempts,
                jobs::leased_by,
            ))
        };
        let (attempts, most, worker): (i32, i32, Option<String>) = on_backend!(
            &mut *conn,
            sqlite => |c| Prepared(Held, held()).get_result(c),
            postgres => |c| Prepared(Held, held().for_update()).get_result(c),
        )
        .map_err(|error| match error {
            diesel::result::Error::NotFound => Error::LeaseLost { job: lease.job.0 },
            error => error.into(),
        })?;
        let job: VideoProcessingJob = on_backend!(&mut *conn, |c| {
            let job = jobs::table.find(lease.job);
            let told = (
                jobs::error_message.eq(Some(&*failure.error)),
                jobs::error_details.eq(&failure.details),
                jobs::updated_at.eq(now),
                without_lease(),
            );
            if attempts < most && !failure.is_final {
                let next = after(failure.retry_after.unwrap_or_else(|| failure.backoff.wait(attempts)));
                struct Retry;
                let retry = diesel::update(job)
                    .set((jobs::status.eq(JobStatus::Retrying), jobs::run_at.eq(next), told))
                    .returning(VideoProcessingJob::as_returning());
                Prepared(Retry, retry).get_result(c)
            } else {
                let ended = (jobs::completed_at.eq(now.nullable()), jobs::duration.eq(SecondsTaken(now)));
                struct End;
                let end = diesel::update(job)
                    .set((jobs::status.eq(JobStatus::Failed), ended, told))
                    .returning(VideoProcessingJob::as_returning());
                Prepared(End, end).get_result(c)
            }
        })
        .of("video_processing_jobs", lease.job)?;
        NewJobAttempt::of(&job, AttemptOutcome::Failed, worker).insert(conn)?;
        Ok(job)
    })
}

/// Returns a job to the queue as `queued`, without counting the attempt. Any worker may claim it.
///
/// # Errors
/// [`Error::LeaseLost`] if the lease has expired or another worker has claimed the job. Nothing is changed then.
pub fn release(conn: &mut DbConnection, lease: impl Into<Lease>) -> Result<VideoProcessingJob> {
    let lease = lease.into();
    let now = now();
    struct Release;
    let result = on_backend!(conn, |c| {
        let release = diesel::update(jobs::table.filter(is_held(lease, now)))
            .set(released(now))
            .returning(VideoProcessingJob::as_returning());
        Prepared(Release, release).get_result(c)
    });
    or_lost(result, lease)
}

/// Returns a job to the queue as `queued`, without counting the attempt, and makes it due after `wait`.
///
/// # Errors
/// [`Error::LeaseLost`] if the lease has expired or another worker has claimed the job. Nothing is changed then.
pub fn snooze(
    conn: &mut DbConnection,
    lease: impl Into<Lease>,
    wait: Duration,
) -> Result<VideoProcessingJob> {
    let lease = lease.into();
    let now = now();
    struct Snooze;
    let result = on_backend!(conn, |c| {
        let snooze = diesel::update(jobs::table.filter(is_held(lease, now)))
            .set((released(now), jobs::run_at.eq(after(wait))))
            .returning(VideoProcessingJob::as_returning());
        Prepared(Snooze, snooze).get_result(c)
    });
    or_lost(result, lease)
}

/// Whole seconds from `started_at` to a given time, or 0 if the clock was set back in between.
#[derive(Debug, Clone, Copy, QueryId)]
pub(super) struct SecondsTaken(pub(super) Moment);

impl Expression for SecondsTaken {
    type SqlType = Nullable<Int4>;
}

impl AppearsOnTable<jobs::table> for SecondsTaken {}
impl SelectableExpression<jobs::table> for SecondsTaken {}
impl ValidGrouping<()> for SecondsTaken {
    type IsAggregate = is_aggregate::Never;
}

#[cfg(feature = "sqlite")]
impl QueryFragment<diesel::sqlite::Sqlite> for SecondsTaken {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::sqlite::Sqlite>) -> QueryResult<()> {
        out.push_sql("CAST(min(max(unixepoch(");
        self.0.walk_ast(out.reborrow())?;
        out.push_sql(", 'subsec') - unixepoch(started_at, 'subsec'), 0), 2147483647) AS INTEGER)");
        Ok(())
    }
}

#[cfg(feature = "postgres")]
impl SecondsTaken {
    pub(super) fn write<'b>(end: &'b Moment, mut out: AstPass<'_, 'b, diesel::pg::Pg>) -> QueryResult<()> {
        // `greatest` ignores NULL, so NULL is excluded first.
        out.push_sql("CASE WHEN started_at IS NOT NULL THEN CAST(least(greatest(trunc(extract(epoch FROM ");
        end.walk_ast(out.reborrow())?;
        out.push_sql(" - started_at)), 0), 2147483647) AS integer) END");
        Ok(())
    }
}

#[cfg(feature = "postgres")]
impl QueryFragment<diesel::pg::Pg> for SecondsTaken {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, diesel::pg::Pg>) -> QueryResult<()> {
        Self::write(&self.0, out)
    }
}
