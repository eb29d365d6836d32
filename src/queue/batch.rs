//! Operations on many jobs in one transaction, each job under its own lease.

use std::collections::HashSet;
use std::time::Duration;

use diesel::prelude::*;

use super::lease::{Lease, check_length};
use super::wait::release_waiting;
use crate::db::clock::{Moment, after, now};
use crate::db::{DbConnection, on_backend};
use crate::error::{Result, ResultExt};
use crate::types::VideoProcessingJobId;

/// Completes jobs, each like [`complete`](super::complete). Returns the jobs whose lease is lost; they are not changed.
///
/// # Errors
/// Only the [errors of the database](crate::Error#errors-of-the-database). No job is changed then.
pub fn complete_many<L: Into<Lease>>(
    conn: &mut DbConnection,
    leases: impl IntoIterator<Item = L>,
) -> Result<Vec<VideoProcessingJobId>> {
    Ok(jobs_of(change_many(conn, leases, Change::Complete)?))
}

/// Releases jobs, each like [`release`](super::release). Returns the jobs whose lease is lost; they are not changed.
///
/// # Errors
/// Only the [errors of the database](crate::Error#errors-of-the-database). No job is changed then.
pub fn release_many<L: Into<Lease>>(
    conn: &mut DbConnection,
    leases: impl IntoIterator<Item = L>,
) -> Result<Vec<VideoProcessingJobId>> {
    Ok(jobs_of(change_many(conn, leases, Change::Release)?))
}

/// Extends leases so that they expire `length` from now, each like [`heartbeat`](super::heartbeat). Returns the jobs whose
/// lease is lost; stop working on them.
///
/// # Errors
/// [`Invalid`](crate::Error::Invalid) if `length` is not from 1 millisecond to 30 days. No lease is extended then.
pub fn heartbeat_many<L: Into<Lease>>(
    conn: &mut DbConnection,
    leases: impl IntoIterator<Item = L>,
    length: Duration,
) -> Result<Vec<VideoProcessingJobId>> {
    check_length(length)?;
    Ok(jobs_of(change_many(conn, leases, Change::extend(length))?))
}

fn jobs_of(leases: Vec<Lease>) -> Vec<VideoProcessingJobId> {
    leases.into_iter().map(|lease| lease.job).collect()
}

/// What happens to the jobs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    Complete,
    Release,
    /// The lease expires at this time.
    Extend(Moment),
}

impl Change {
    /// Extends leases so that they expire `length` from now.
    pub(super) fn extend(length: Duration) -> Self {
        Self::Extend(after(length))
    }
}

/// Changes jobs in one transaction and returns the lost leases.
///
/// One job can have two leases here: the lost lease of an earlier attempt, and that of the current one.
pub(super) fn change_many<L: Into<Lease>>(
    conn: &mut DbConnection,
    leases: impl IntoIterator<Item = L>,
    change: Change,
) -> Result<Vec<Lease>> {
    let mut seen = HashSet::new();
    let mut leases: Vec<Lease> =
        leases.into_iter().map(Into::into).filter(|lease| seen.insert(*lease)).collect();
    if leases.is_empty() {
        return Ok(Vec::new());
    }
    // Everything that changes several jobs does so in the same order, so that batches with the same jobs do not deadlock.
    leases.sort_unstable_by_key(|lease| lease.job);
    let now = now();
    conn.atomically(|conn| {
        let lost = on_backend!(
            &mut *conn,
            sqlite => |c| sqlite::change_many(c, &leases, change, now),
            postgres => |c| postgres::change_many(c, &leases, change, now),
        )
        .of("video_processing_jobs", "")?;
        if matches!(change, Change::Complete) {
            let lost: HashSet<Lease> = lost.iter().copied().collect();
            let completed: Vec<VideoProcessingJobId> =
                leases.iter().filter(|lease| !lost.contains(lease)).map(|lease| lease.job).collect();
            release_waiting(conn, &completed)?;
        }
        Ok(lost)
    })
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use super::*;
    use crate::db::prepared::Prepared;
    use crate::queue::lease::{completed, extended, is_held, released};
    use crate::schema::video_processing_jobs as jobs;

    /// Changes the jobs one by one, which needs no round trips here. Returns the lost leases.
    pub(super) fn change_many(
        conn: &mut SqliteConnection,
        leases: &[Lease],
        change: Change,
        now: Moment,
    ) -> QueryResult<Vec<Lease>> {
        struct CompleteOne;
        struct ReleaseOne;
        struct ExtendOne;
        let mut lost = Vec::new();
        for lease in leases {
            let held = diesel::update(jobs::table.filter(is_held(*lease, now)));
            let changed: Option<VideoProcessingJobId> = match change {
                Change::Complete => {
                    Prepared(CompleteOne, held.set(completed(now)).returning(jobs::id)).get_result(conn)
                }
                Change::Release => {
                    Prepared(ReleaseOne, held.set(released(now)).returning(jobs::id)).get_result(conn)
                }
                Change::Extend(until) => {
                    Prepared(ExtendOne, held.set(extended(now, until)).returning(jobs::id)).get_result(conn)
                }
            }
            .optional()?;
            if changed.is_none() {
                lost.push(*lease);
            }
        }
        Ok(lost)
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use diesel::pg::Pg;
    use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
    use diesel::sql_types::Array;

    use super::*;
    use crate::queue::lease::SecondsTaken;
    use crate::types::LeaseToken;
    use crate::types::sql::{Nullable, Uuid};

    /// Changes jobs in one statement, each with its own lease token. Returns the changed jobs.
    struct ChangeMany {
        change: Change,
        jobs: Vec<VideoProcessingJobId>,
        tokens: Vec<Option<LeaseToken>>,
        now: Moment,
    }

    impl Query for ChangeMany {
        type SqlType = (Uuid, Uuid);
    }

    impl RunQueryDsl<PgConnection> for ChangeMany {}

    /// The text depends on the change, so Diesel caches the prepared statement by its text.
    impl QueryId for ChangeMany {
        type QueryId = ();
        const HAS_STATIC_QUERY_ID: bool = false;
    }

    impl QueryFragment<Pg> for ChangeMany {
        fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
            // The rows are locked in the order of their ids before any is changed. An UPDATE alone locks them in the order of its
            // plan, and two batches with the same jobs could deadlock.
            out.push_sql("WITH held AS MATERIALIZED (SELECT job.id, lease.token FROM unnest(");
            out.push_bind_param::<Array<Uuid>, _>(&self.jobs)?;
            out.push_sql(", ");
            out.push_bind_param::<Array<Nullable<Uuid>>, _>(&self.tokens)?;
            // Statistics often say that no row is processing. With a plain condition the planner would then read the index on
            // `status` for each lease, which takes 20 s for 1,000 leases. It cannot estimate a CASE, so it uses the ids.
            out.push_sql(
                ") AS lease (job, token) JOIN video_processing_jobs AS job ON job.id = lease.job WHERE CASE WHEN \
                 job.lease_token = lease.token AND job.status = 'processing' AND job.lease_expires_at > ",
            );
            self.now.walk_ast(out.reborrow())?;
            out.push_sql(" THEN true ELSE false END ORDER BY job.id FOR NO KEY UPDATE OF job) ");
            out.push_sql("UPDATE video_processing_jobs AS job SET updated_at = ");
            self.now.walk_ast(out.reborrow())?;
            match &self.change {
                Change::Complete => {
                    out.push_sql(", status = 'completed', completed_at = ");
                    self.now.walk_ast(out.reborrow())?;
                    out.push_sql(", duration = ");
                    SecondsTaken::write(&self.now, out.reborrow())?;
                }
                Change::Release => out.push_sql(", status = 'queued', attempts = attempts - 1"),
                Change::Extend(until) => {
                    out.push_sql(", lease_expires_at = ");
                    until.walk_ast(out.reborrow())?;
                }
            }
            if !matches!(self.change, Change::Extend(_)) {
                out.push_sql(", lease_token = NULL, leased_by = NULL, lease_expires_at = NULL");
            }
            out.push_sql(" FROM held WHERE job.id = held.id RETURNING held.id, held.token");
            Ok(())
        }
    }

    /// Returns the lost leases.
    pub(super) fn change_many(
        conn: &mut PgConnection,
        leases: &[Lease],
        change: Change,
        now: Moment,
    ) -> QueryResult<Vec<Lease>> {
        let jobs = leases.iter().map(|lease| lease.job).collect();
        let tokens = leases.iter().map(|lease| lease.token).collect();
        let changed: Vec<(VideoProcessingJobId, LeaseToken)> =
            ChangeMany { change, jobs, tokens, now }.load(conn)?;
        let changed: HashSet<Lease> =
            changed.into_iter().map(|(job, token)| Lease::new(job, token)).collect();
        Ok(leases.iter().filter(|lease| !changed.contains(lease)).copied().collect())
    }
}
