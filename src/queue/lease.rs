//! What a worker does with the jobs it holds. All of it is fenced by the token of the claim and by the lease.

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::Duration;

use diesel::dsl::auto_type;
use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate};
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};

use crate::db::clock::{Moment, after, now};
use crate::db::prepared::Prepared;
use crate::db::{DbConnection, on_backend};
use crate::error::{Error, Result, ResultExt, require};
use crate::republishing::{JobStatus, VideoProcessingJob};
use crate::schema::video_processing_jobs as jobs;
use crate::types::sql::{Int4, Nullable};
use crate::types::{Json, LeaseToken, VideoProcessingJobId};

/// One claim of one job. A job that [`claim`](super::claim) returned is taken for its lease, so functions
/// take `&job`; a worker that keeps only the two ids makes one with [`Lease::new`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    job: VideoProcessingJobId,
    token: Option<LeaseToken>,
}

impl Lease {
    /// The lease that the claim with this token gave on this job.
    pub const fn new(job: VideoProcessingJobId, token: LeaseToken) -> Self {
        Self { job, token: Some(token) }
    }
}

impl From<&VideoProcessingJob> for Lease {
    /// A job that nobody has claimed has a lease too; it is lost.
    fn from(job: &VideoProcessingJob) -> Self {
        Self { job: job.id, token: job.lease_token }
    }
}

impl From<&Self> for Lease {
    fn from(lease: &Self) -> Self {
        *lease
    }
}

/// Why a job failed, and when it may be tried again.
#[derive(Debug, Clone)]
pub struct Failure<'a> {
    /// What went wrong, for `error_message`.
    pub error: Cow<'a, str>,
    /// More about it, for `error_details`.
    pub details: Option<Json>,
    /// How long the next attempt waits.
    pub backoff: Backoff,
}

impl<'a> Failure<'a> {
    /// A failure without details, with the usual backoff.
    pub fn new(error: impl Into<Cow<'a, str>>) -> Self {
        Self { error: error.into(), details: None, backoff: Backoff::default() }
    }
}

/// Exponential backoff with jitter: after attempt n the wait is between half of `base` × 2ⁿ⁻¹ and all of
/// it, and never longer than `longest`. Half of it is random, so that jobs that failed together do not come
/// back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Longest wait after the first attempt. 30 seconds unless told.
    pub base: Duration,
    /// Longest wait of all. 1 hour unless told.
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_secs(30), longest: Duration::from_secs(3600) }
    }
}

impl Backoff {
    /// How long to wait after so many attempts.
    pub fn wait(&self, attempts: i32) -> Duration {
        let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0).min(31);
        let most = self.base.saturating_mul(1 << doublings).min(self.longest);
        most.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

/// The job while the lease runs and is of this claim.
#[auto_type]
fn is_held(lease: Lease, now: Moment) -> _ {
    let id: VideoProcessingJobId = lease.job;
    let token: Option<LeaseToken> = lease.token;
    let processing: JobStatus = JobStatus::Processing;
    jobs::id
        .eq(id)
        .and(jobs::status.eq(processing))
        .and(jobs::lease_token.eq(token))
        .and(jobs::lease_expires_at.gt(now.nullable()))
}

/// Takes the lease off a job.
#[auto_type]
pub(super) fn without_lease() -> _ {
    let nobody: Option<LeaseToken> = None;
    let no_name: Option<&'static str> = None;
    let never: Option<crate::Timestamp> = None;
    (jobs::lease_token.eq(nobody), jobs::leased_by.eq(no_name), jobs::lease_expires_at.eq(never))
}

/// Ends a job as completed.
#[auto_type]
fn completed(now: Moment) -> _ {
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

/// A row that was not there to be changed was not held any more.
fn or_lost(result: QueryResult<VideoProcessingJob>, lease: Lease) -> Result<VideoProcessingJob> {
    match result {
        Err(diesel::result::Error::NotFound) => Err(Error::LeaseLost { job: lease.job.0 }),
        result => result.of("video_processing_jobs", lease.job),
    }
}

/// Refuses a lease that is over before anybody can work, and one that would keep a dead worker's job for ever.
pub(super) fn check_length(length: Duration) -> Result<()> {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    if (Duration::from_millis(1)..=30 * DAY).contains(&length) {
        return Ok(());
    }
    Err(Error::invalid(format!("a lease of {length:?}"), "is not between a millisecond and 30 days"))
}

/// Extends the lease: it runs for so long from now.
///
/// # Errors
/// [`Error::LeaseLost`]: the worker should stop, somebody else may have the job. `Invalid` for a length that
/// is not between a millisecond and 30 days.
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
            .set((jobs::lease_expires_at.eq(after(length).nullable()), jobs::updated_at.eq(now)))
            .returning(VideoProcessingJob::as_returning());
        Prepared(Heartbeat, extend).get_result(c)
    });
    or_lost(result, lease)
}

/// Finishes a job, and notes how long it took.
///
/// # Errors
/// [`Error::LeaseLost`], and nothing is changed, if the lease has expired or the job is another's.
pub fn complete(conn: &mut DbConnection, lease: impl Into<Lease>) -> Result<VideoProcessingJob> {
    struct Complete;
    let lease = lease.into();
    let now = now();
    let result = on_backend!(conn, |c| {
        let complete = diesel::update(jobs::table.filter(is_held(lease, now)))
            .set(completed(now))
            .returning(VideoProcessingJob::as_returning());
        Prepared(Complete, complete).get_result(c)
    });
    or_lost(result, lease)
}

/// Finishes jobs, each as [`complete`] does, and returns those whose lease is lost; these are not changed.
pub fn complete_many<L: Into<Lease>>(
    conn: &mut DbConnection,
    leases: impl IntoIterator<Item = L>,
) -> Result<Vec<VideoProcessingJobId>> {
    let mut seen = HashSet::new();
    let mut leases: Vec<Lease> =
        leases.into_iter().map(Into::into).filter(|lease| seen.insert(*lease)).collect();
    // One order for all who change several rows, so that none waits for another in a circle.
    leases.sort_unstable_by_key(|lease| lease.job);
    let now = now();
    conn.atomically(|conn| {
        on_backend!(
            conn,
            sqlite => |c| {
                struct CompleteOne;
                let mut lost = Vec::new();
                for lease in &leases {
                    let complete = diesel::update(jobs::table.filter(is_held(*lease, now)))
                        .set(completed(now))
                        .returning(jobs::id);
                    if Prepared(CompleteOne, complete).get_result::<VideoProcessingJobId>(c).optional()?.is_none() {
                        lost.push(lease.job);
                    }
                }
                Ok(lost)
            },
            postgres => |c| postgres::complete_many(c, &leases, now),
        )
        .of("video_processing_jobs", "")
    })
}

/// Notes why a job failed and puts it back for another attempt, after its backoff; or, if its attempts are
/// used up, ends it as `failed`.
///
/// # Errors
/// [`Error::LeaseLost`], and nothing is changed, if the lease has expired or the job is another's.
pub fn fail(
    conn: &mut DbConnection,
    lease: impl Into<Lease>,
    failure: &Failure<'_>,
) -> Result<VideoProcessingJob> {
    require("error", &failure.error)?;
    let lease = lease.into();
    let now = now();
    conn.atomically(|conn| {
        // Nobody else changes the row between these two: SQLite has one writer, PostgreSQL a row lock.
        let held = || jobs::table.filter(is_held(lease, now)).select((jobs::attempts, jobs::max_attempts));
        let (attempts, most): (i32, i32) = on_backend!(
            &mut *conn,
            sqlite => |c| held().first(c),
            postgres => |c| held().for_update().first(c),
        )
        .map_err(|error| match error {
            diesel::result::Error::NotFound => Error::LeaseLost { job: lease.job.0 },
            error => error.into(),
        })?;
        on_backend!(conn, |c| {
            let job = jobs::table.find(lease.job);
            let told = (
                jobs::error_message.eq(Some(&*failure.error)),
                jobs::error_details.eq(&failure.details),
                jobs::updated_at.eq(now),
                without_lease(),
            );
            if attempts < most {
                let next = after(failure.backoff.wait(attempts));
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
        .of("video_processing_jobs", lease.job)
    })
}

/// Gives a job back, `queued` and for anybody to take: the attempt does not count.
///
/// # Errors
/// [`Error::LeaseLost`], and nothing is changed, if the lease has expired or the job is another's.
pub fn release(conn: &mut DbConnection, lease: impl Into<Lease>) -> Result<VideoProcessingJob> {
    let lease = lease.into();
    let now = now();
    struct Release;
    let result = on_backend!(conn, |c| {
        let release = diesel::update(jobs::table.filter(is_held(lease, now)))
            .set((
                jobs::status.eq(JobStatus::Queued),
                jobs::attempts.eq(jobs::attempts - 1),
                jobs::updated_at.eq(now),
                without_lease(),
            ))
            .returning(VideoProcessingJob::as_returning());
        Prepared(Release, release).get_result(c)
    });
    or_lost(result, lease)
}

/// Whole seconds from `started_at` to a moment; 0 if the clock was set back meanwhile.
#[derive(Debug, Clone, Copy, QueryId)]
struct SecondsTaken(Moment);

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
    fn write<'b>(end: &'b Moment, mut out: AstPass<'_, 'b, diesel::pg::Pg>) -> QueryResult<()> {
        // `greatest` takes no notice of NULL.
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

#[cfg(feature = "postgres")]
mod postgres {
    use diesel::pg::Pg;
    use diesel::query_builder::Query;
    use diesel::sql_types::Array;

    use super::*;
    use crate::types::sql::Uuid;

    /// Completes jobs in one statement, each held to its own token; returns those that it completed.
    #[derive(QueryId)]
    struct CompleteMany {
        jobs: Vec<VideoProcessingJobId>,
        tokens: Vec<Option<LeaseToken>>,
        now: Moment,
    }

    impl Query for CompleteMany {
        type SqlType = (Uuid, Uuid);
    }

    impl RunQueryDsl<PgConnection> for CompleteMany {}

    impl QueryFragment<Pg> for CompleteMany {
        fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
            out.push_sql("UPDATE video_processing_jobs AS job SET status = 'completed', completed_at = ");
            self.now.walk_ast(out.reborrow())?;
            out.push_sql(", updated_at = ");
            self.now.walk_ast(out.reborrow())?;
            out.push_sql(", duration = ");
            SecondsTaken::write(&self.now, out.reborrow())?;
            out.push_sql(", lease_token = NULL, leased_by = NULL, lease_expires_at = NULL FROM unnest(");
            out.push_bind_param::<Array<Uuid>, _>(&self.jobs)?;
            out.push_sql(", ");
            out.push_bind_param::<Array<Nullable<Uuid>>, _>(&self.tokens)?;
            out.push_sql(
                ") AS lease (job, token) WHERE job.id = lease.job AND job.lease_token = lease.token \
                 AND job.status = 'processing' AND job.lease_expires_at > ",
            );
            self.now.walk_ast(out.reborrow())?;
            out.push_sql(" RETURNING lease.job, lease.token");
            Ok(())
        }
    }

    /// Returns the jobs whose lease is lost.
    pub(super) fn complete_many(
        conn: &mut PgConnection,
        leases: &[Lease],
        now: Moment,
    ) -> QueryResult<Vec<VideoProcessingJobId>> {
        let jobs = leases.iter().map(|lease| lease.job).collect();
        let tokens = leases.iter().map(|lease| lease.token).collect();
        let completed: Vec<(VideoProcessingJobId, LeaseToken)> =
            CompleteMany { jobs, tokens, now }.load(conn)?;
        let completed: HashSet<Lease> =
            completed.into_iter().map(|(job, token)| Lease::new(job, token)).collect();
        Ok(leases.iter().filter(|lease| !completed.contains(lease)).map(|lease| lease.job).collect())
    }
}
