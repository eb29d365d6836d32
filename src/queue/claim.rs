//! Claiming jobs.

use std::cmp::Reverse;
use std::marker::PhantomData;
use std::sync::OnceLock;
use std::time::Duration;

use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate};
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};

use super::lease::check_length;
use crate::db::clock::{Moment, after, now};
use crate::db::{DbConnection, on_backend};
use crate::error::{Error, Result, ResultExt, require};
use crate::republishing::{ChannelId, JobType, VideoProcessingJob};
use crate::schema::video_processing_jobs as jobs;
use crate::types::LeaseToken;
use crate::types::sql::{Bool, Text, Uuid};

/// Maximum number of jobs in one claim. A larger claim would hold the row locks, or SQLite's write lock, for too long.
const MOST: u32 = 10_000;

/// A worker's request for jobs.
///
/// ```
/// use std::time::Duration;
/// use viraldb::queue::Claim;
/// use viraldb::republishing::JobType;
///
/// let claim = Claim::new("worker-1").types([JobType::Download, JobType::Transform]).at_most(10);
/// let patient = Claim::new("worker-2").lease(Duration::from_secs(600));
/// ```
#[derive(Debug, Clone)]
pub struct Claim {
    worker: String,
    /// The requested types, without duplicates and in a fixed order, so that the text of the statement is always the same.
    types: Vec<JobType>,
    /// Jobs of these channels are left to others.
    except: Vec<ChannelId>,
    at_most: u32,
    lease: Duration,
    statement: OnceLock<Texts>,
}

impl Claim {
    /// Creates a claim for one job of any type, with a lease of 60 seconds.
    pub fn new(worker: impl Into<String>) -> Self {
        let lease = Duration::from_secs(60);
        let (types, except) = (Vec::new(), Vec::new());
        Self { worker: worker.into(), types, except, at_most: 1, lease, statement: OnceLock::new() }
    }

    /// Limits the claim to jobs of these types. An empty list means any type.
    #[must_use]
    pub fn types(mut self, types: impl IntoIterator<Item = JobType>) -> Self {
        let types: Vec<JobType> = types.into_iter().collect();
        self.types = JobType::ALL.iter().copied().filter(|known| types.contains(known)).collect();
        self.statement = OnceLock::new();
        self
    }

    /// Sets the maximum number of jobs to claim, from 1 to 10,000.
    #[must_use]
    pub fn at_most(mut self, jobs: u32) -> Self {
        self.at_most = jobs;
        self.statement = OnceLock::new();
        self
    }

    /// Leaves the jobs of these channels to others.
    pub(super) fn except(mut self, channels: Vec<ChannelId>) -> Self {
        self.except = channels;
        self.statement = OnceLock::new();
        self
    }

    /// Sets how long the worker holds the jobs without a heartbeat, from 1 millisecond to 30 days.
    #[must_use]
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Returns the requested types; an empty list means any type.
    pub(super) fn requested(&self) -> &[JobType] {
        &self.types
    }

    /// Checks that the claim is valid.
    pub(super) fn check(&self) -> Result<()> {
        self.take().map(drop)
    }

    /// Returns the length of the lease.
    pub(super) const fn length(&self) -> Duration {
        self.lease
    }

    #[cfg(feature = "sqlite")]
    fn except_text(&self) -> Option<String> {
        let ids: Vec<String> = self.except.iter().map(|id| format!("\"{id}\"")).collect();
        (!ids.is_empty()).then(|| format!("[{}]", ids.join(",")))
    }

    /// Returns the statement of the claim, or an error if the claim is invalid.
    fn take(&self) -> Result<Take<'_>> {
        require("worker", &self.worker)?;
        if !(1..=MOST).contains(&self.at_most) {
            return Err(Error::invalid(
                "number of jobs",
                format!("must be from 1 to {MOST}, got {}", self.at_most),
            ));
        }
        check_length(self.lease)?;
        let texts = match self.statement.get() {
            Some(texts) => texts,
            None => {
                let texts = Texts::new(&self.types, self.at_most);
                self.statement.get_or_init(|| texts)
            }
        };
        Ok(Take {
            worker: &self.worker,
            except: &self.except,
            #[cfg(feature = "sqlite")]
            except_text: self.except_text(),
            texts,
            token: LeaseToken::default(),
            now: now(),
            until: after(self.lease),
        })
    }
}

/// Claims due jobs and returns them, ordered by priority, then `run_at`, then `queued_at`.
///
/// Each job gets a lease (see [`crate::queue`]). Two workers never get the same job. If the queue is paused, the result is
/// empty.
///
/// # Errors
/// `Invalid` if the worker has no name, or the number of jobs or the lease is out of range.
pub fn claim(conn: &mut DbConnection, claim: &Claim) -> Result<Vec<VideoProcessingJob>> {
    let take = claim.take()?;
    let mut taken: Vec<VideoProcessingJob> =
        on_backend!(conn, |c| take.load(c)).of("video_processing_jobs", "")?;
    // RETURNING does not guarantee an order.
    taken.sort_by_key(|job| (Reverse(job.priority), job.run_at, job.queued_at, job.id));
    Ok(taken)
}

/// Returns true if the queue is paused, so that workers claim no new jobs.
///
/// The queue is paused if the setting `queue_paused` is true, 1, yes or on. `config_overrides` takes precedence over
/// `system_configuration`. Jobs that are already running continue.
///
/// # Errors
/// Only the [errors of the database](crate::Error#errors-of-the-database).
pub fn is_paused(conn: &mut DbConnection) -> Result<bool> {
    on_backend!(conn, |c| diesel::select(Paused).get_result(c)).of("system_configuration", "queue_paused")
}

/// One claim as one SQL statement.
struct Take<'a> {
    worker: &'a str,
    #[cfg_attr(not(feature = "postgres"), allow(dead_code))]
    except: &'a [ChannelId],
    /// The same as a JSON array, because SQLite binds no arrays.
    #[cfg(feature = "sqlite")]
    except_text: Option<String>,
    texts: &'a Texts,
    token: LeaseToken,
    now: Moment,
    until: Moment,
}

impl Query for Take<'_> {
    type SqlType = jobs::SqlType;
}

impl<C> RunQueryDsl<C> for Take<'_> {}

/// The SQL varies with the types and the number of jobs, so Diesel caches the prepared statement by its text.
impl QueryId for Take<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

/// The constant parts of the statement for these types and this number of jobs.
///
/// A worker repeats its claim often, so viraldb builds the parts only once.
#[derive(Debug, Clone)]
struct Texts {
    /// The parts for SQLite. The first lists the priorities and ends before the current time, which decides whether a job is
    /// due. The second follows the current time.
    #[cfg(feature = "sqlite")]
    sqlite: [String; 2],
    #[cfg(feature = "postgres")]
    postgres: [String; 2],
}

/// The condition of both partial indexes that claims use.
///
/// It must match the index definitions word for word. With a bound parameter the planner would not use the indexes.
const WAITING: &str = "status IN ('queued', 'retrying')";

impl Texts {
    fn new(types: &[JobType], limit: u32) -> Self {
        // The condition for waiting jobs of these types. The types are SQL literals, not parameters: there are only five,
        // and viraldb defines all of them.
        let waiting = |alias: &str| match types {
            [] => format!("{alias}.{WAITING}"),
            [only] => format!("{alias}.job_type = '{only}' AND {alias}.{WAITING}"),
            types => {
                let words: Vec<String> = types.iter().map(|word| format!("'{word}'")).collect();
                format!("{alias}.job_type IN ({}) AND {alias}.{WAITING}", words.join(", "))
            }
        };
        // List each priority of the waiting jobs, highest first, or none if the queue is paused. Within one priority the
        // index returns the due jobs in the right order. A single scan of the index would read all jobs of one priority,
        // even those not due yet, before it reaches the next priority. `hint` is the index hint for SQLite.
        let levels = |hint: &str| {
            let highest =
                format!("SELECT max(waiting.priority) FROM video_processing_jobs AS waiting {hint} WHERE");
            let waiting = waiting("waiting");
            format!(
                "WITH RECURSIVE levels (priority) AS (SELECT ({highest} {waiting}) WHERE NOT {PAUSED} \
                 UNION ALL SELECT ({highest} waiting.priority < levels.priority AND {waiting}) \
                 FROM levels WHERE levels.priority IS NOT NULL)"
            )
        };
        let due = waiting("due");
        // Without table statistics, SQLite's planner would choose the index on `status` and read all waiting jobs.
        #[cfg(feature = "sqlite")]
        let hint =
            if types.len() == 1 { "INDEXED BY idx_jobs_claim_type" } else { "INDEXED BY idx_jobs_claim" };
        Self {
            #[cfg(feature = "sqlite")]
            sqlite: [
                // CROSS JOIN keeps the order: priority by priority, and within each priority in index order.
                format!(
                    " WHERE id IN ({} SELECT due.id FROM levels CROSS JOIN video_processing_jobs AS due {hint} \
                     WHERE due.priority = levels.priority AND due.run_at <= ",
                    levels(hint)
                ),
                // The limit is a literal, because SQLite re-prepares a statement with a bound LIMIT on each execution.
                format!(" AND {due} LIMIT {limit}) RETURNING "),
            ],
            #[cfg(feature = "postgres")]
            postgres: [
                // The inner LIMIT tells the planner to expect few rows. The outer LIMIT ends the search.
                format!(
                    "{}, taken AS MATERIALIZED (SELECT due.id FROM levels CROSS JOIN LATERAL (\
                     SELECT due.id FROM video_processing_jobs AS due \
                     WHERE due.priority = levels.priority AND due.run_at <= ",
                    levels("")
                ),
                format!(
                    " AND {due} ORDER BY due.priority DESC, due.run_at, due.queued_at LIMIT {limit} \
                     FOR UPDATE SKIP LOCKED) AS due LIMIT {limit}) "
                ),
            ],
        }
    }
}

impl Take<'_> {
    /// Writes the UPDATE with the values that a claim sets.
    fn set<'b, DB>(&'b self, out: &mut AstPass<'_, 'b, DB>) -> QueryResult<()>
    where
        DB: diesel::backend::Backend + diesel::sql_types::HasSqlType<Uuid>,
        Moment: QueryFragment<DB>,
        LeaseToken: diesel::serialize::ToSql<Uuid, DB>,
        str: diesel::serialize::ToSql<Text, DB>,
    {
        out.push_sql(
            "UPDATE video_processing_jobs SET status = 'processing', attempts = attempts + 1, progress = NULL, \
             progress_note = NULL, started_at = ",
        );
        self.now.walk_ast(out.reborrow())?;
        out.push_sql(", updated_at = ");
        self.now.walk_ast(out.reborrow())?;
        out.push_sql(", lease_expires_at = ");
        self.until.walk_ast(out.reborrow())?;
        out.push_sql(", lease_token = ");
        out.push_bind_param::<Uuid, LeaseToken>(&self.token)?;
        out.push_sql(", leased_by = ");
        out.push_bind_param::<Text, str>(self.worker)
    }
}

#[cfg(feature = "sqlite")]
impl QueryFragment<diesel::sqlite::Sqlite> for Take<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::sqlite::Sqlite>) -> QueryResult<()> {
        let [before, after] = &self.texts.sqlite;
        self.set(&mut out)?;
        out.push_sql(before);
        self.now.walk_ast(out.reborrow())?;
        if let Some(except) = &self.except_text {
            out.push_sql(" AND due.channel_id NOT IN (SELECT value FROM json_each(");
            out.push_bind_param::<Text, String>(except)?;
            out.push_sql("))");
        }
        out.push_sql(after);
        jobs::all_columns.walk_ast(out)
    }
}

#[cfg(feature = "postgres")]
impl QueryFragment<diesel::pg::Pg> for Take<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::pg::Pg>) -> QueryResult<()> {
        let [before, after] = &self.texts.postgres;
        out.push_sql(before);
        self.now.walk_ast(out.reborrow())?;
        if !self.except.is_empty() {
            out.push_sql(" AND NOT (due.channel_id = ANY(");
            out.push_bind_param::<diesel::sql_types::Array<Uuid>, [ChannelId]>(self.except)?;
            out.push_sql("))");
        }
        out.push_sql(after);
        self.set(&mut out)?;
        out.push_sql(" FROM taken WHERE video_processing_jobs.id = taken.id RETURNING ");
        jobs::all_columns.walk_ast(out)
    }
}

/// The SQL condition that is true if the queue is paused.
///
/// The condition trims whitespace and quotes, as the settings registry does. The SQL contains the
/// whitespace characters literally.
const PAUSED: &str = "(coalesce(\
    (SELECT lower(trim(value, ' \t\n\r\"')) FROM config_overrides WHERE key = 'queue_paused'), \
    (SELECT lower(trim(CAST(value AS text), ' \t\n\r\"')) FROM system_configuration WHERE key = 'queue_paused'), \
    'false') IN ('true', '1', 'yes', 'on'))";

/// The condition [`PAUSED`] as an expression. The database evaluates it once per claim.
#[derive(Debug, Clone, Copy, QueryId)]
struct Paused;

impl Expression for Paused {
    type SqlType = Bool;
}

impl<Source> AppearsOnTable<Source> for Paused {}
impl<Source> SelectableExpression<Source> for Paused {}
impl<Group> ValidGrouping<Group> for Paused {
    type IsAggregate = is_aggregate::Never;
}

impl<DB: diesel::backend::Backend> QueryFragment<DB> for Paused {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql(PAUSED);
        Ok(())
    }
}

impl Claim {
    /// Returns the query plan of the claim as the database prints it, for example to check which index it uses.
    ///
    /// The call claims no jobs.
    ///
    /// # Errors
    /// `Invalid` if the claim is invalid.
    pub fn explain(&self, conn: &mut DbConnection) -> Result<String> {
        let take = self.take()?;
        on_backend!(
            conn,
            sqlite => |c| {
                use crate::types::sql::Int4;
                let plan = Explain::<(Int4, Int4, Int4, Text)>(take, PhantomData);
                let lines: Vec<(i32, i32, i32, String)> = plan.load(c)?;
                Ok(lines.into_iter().map(|line| line.3).collect::<Vec<_>>())
            },
            postgres => |c| Explain::<Text>(take, PhantomData).load::<String>(c),
        )
        .map(|lines| lines.join("\n"))
        .of("video_processing_jobs", "")
    }
}

/// The query that returns the plan of a claim, in rows of type `Row`.
struct Explain<'a, Row>(Take<'a>, PhantomData<Row>);

impl<Row> Query for Explain<'_, Row> {
    type SqlType = Row;
}

impl<Row, C> RunQueryDsl<C> for Explain<'_, Row> {}

impl<Row> QueryId for Explain<'_, Row> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

#[cfg(feature = "sqlite")]
impl<Row> QueryFragment<diesel::sqlite::Sqlite> for Explain<'_, Row> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::sqlite::Sqlite>) -> QueryResult<()> {
        out.push_sql("EXPLAIN QUERY PLAN ");
        self.0.walk_ast(out)
    }
}

#[cfg(feature = "postgres")]
impl<Row> QueryFragment<diesel::pg::Pg> for Explain<'_, Row> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::pg::Pg>) -> QueryResult<()> {
        out.push_sql("EXPLAIN ");
        self.0.walk_ast(out)
    }
}
