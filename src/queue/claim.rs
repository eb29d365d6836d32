//! Taking jobs out.

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
use crate::republishing::{JobType, VideoProcessingJob};
use crate::schema::video_processing_jobs as jobs;
use crate::types::LeaseToken;
use crate::types::sql::{Bool, Text, Uuid};

/// Most jobs of one claim: more would keep the row locks, or SQLite's write lock, for too long.
const MOST: u32 = 10_000;

/// What a worker asks for.
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
    /// Each once, and in one order, so that the text of the statement is the same each time.
    types: Vec<JobType>,
    at_most: u32,
    lease: Duration,
    statement: OnceLock<Texts>,
}

impl Claim {
    /// One job of any type, for a lease of 60 seconds.
    pub fn new(worker: impl Into<String>) -> Self {
        let lease = Duration::from_secs(60);
        Self { worker: worker.into(), types: Vec::new(), at_most: 1, lease, statement: OnceLock::new() }
    }

    /// Only jobs of these types; none means any.
    #[must_use]
    pub fn types(mut self, types: impl IntoIterator<Item = JobType>) -> Self {
        let types: Vec<JobType> = types.into_iter().collect();
        self.types = JobType::ALL.iter().copied().filter(|known| types.contains(known)).collect();
        self.statement = OnceLock::new();
        self
    }

    /// Most jobs to take, from 1 to 10,000.
    #[must_use]
    pub fn at_most(mut self, jobs: u32) -> Self {
        self.at_most = jobs;
        self.statement = OnceLock::new();
        self
    }

    /// How long the worker has them without a heartbeat, from a millisecond to 30 days.
    #[must_use]
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Whether the claim can be.
    pub(super) fn check(&self) -> Result<()> {
        self.take().map(drop)
    }

    /// Length of the lease.
    pub(super) const fn length(&self) -> Duration {
        self.lease
    }

    /// The statement, if the claim can be.
    fn take(&self) -> Result<Take<'_>> {
        require("worker", &self.worker)?;
        if !(1..=MOST).contains(&self.at_most) {
            return Err(Error::invalid("number of jobs", format!("is not between 1 and {MOST}")));
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
            texts,
            token: LeaseToken::default(),
            now: now(),
            until: after(self.lease),
        })
    }
}

/// Takes the jobs that are due, by priority, then `run_at`, then `queued_at`, and returns them in this
/// order; none if the queue is paused.
///
/// Each has a lease: see [`crate::queue`]. Two workers never get one job.
///
/// # Errors
/// `Invalid` if the worker has no name, or the number or the lease is out of range.
pub fn claim(conn: &mut DbConnection, claim: &Claim) -> Result<Vec<VideoProcessingJob>> {
    let take = claim.take()?;
    let mut taken: Vec<VideoProcessingJob> =
        on_backend!(conn, |c| take.load(c)).of("video_processing_jobs", "")?;
    // RETURNING has no order.
    taken.sort_by_key(|job| (Reverse(job.priority), job.run_at, job.queued_at, job.id));
    Ok(taken)
}

/// Whether claims are stopped: the setting `queue_paused` is true, 1, yes or on, in `config_overrides` or, weaker, in
/// `system_configuration`. Jobs that run are not touched by it.
pub fn is_paused(conn: &mut DbConnection) -> Result<bool> {
    on_backend!(conn, |c| diesel::select(Paused).get_result(c)).of("system_configuration", "queue_paused")
}

/// One claim, as one statement.
struct Take<'a> {
    worker: &'a str,
    texts: &'a Texts,
    token: LeaseToken,
    now: Moment,
    until: Moment,
}

impl Query for Take<'_> {
    type SqlType = jobs::SqlType;
}

impl<C> RunQueryDsl<C> for Take<'_> {}

/// The text varies with the types and the number, so it is found prepared by its text.
impl QueryId for Take<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

/// The parts of the statement that a claim of these types and this number always has. A worker claims again and again, so
/// they are put together once.
#[derive(Debug, Clone)]
struct Texts {
    /// From the list of priorities to the moment that a job has to be due at, and from there to the end, as SQLite takes them.
    #[cfg(feature = "sqlite")]
    sqlite: [String; 2],
    #[cfg(feature = "postgres")]
    postgres: [String; 2],
}

/// The condition of both indexes of a claim, word for word as it stands there: a bound parameter would keep the
/// planner from them.
const WAITING: &str = "status IN ('queued', 'retrying')";

impl Texts {
    fn new(types: &[JobType], limit: u32) -> Self {
        // The jobs that a claim of these types may take: those that wait. The types are words of ours, not
        // parameters: there are five.
        let waiting = |alias: &str| match types {
            [] => format!("{alias}.{WAITING}"),
            [only] => format!("{alias}.job_type = '{only}' AND {alias}.{WAITING}"),
            types => {
                let words: Vec<String> = types.iter().map(|word| format!("'{word}'")).collect();
                format!("{alias}.job_type IN ({}) AND {alias}.{WAITING}", words.join(", "))
            }
        };
        // Each priority that a waiting job has, the highest first; none if the queue is paused. Within one priority the
        // index gives what is due in the right order. Walking down the index in one go would read each job of a priority
        // that is not due yet before the first of the next. `hint` is what SQLite must be told.
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
        // While SQLite's planner knows nothing of the table, it takes the index of `status`, and reads all that waits.
        #[cfg(feature = "sqlite")]
        let hint =
            if types.len() == 1 { "INDEXED BY idx_jobs_claim_type" } else { "INDEXED BY idx_jobs_claim" };
        Self {
            #[cfg(feature = "sqlite")]
            sqlite: [
                // CROSS JOIN keeps the order: level by level, and each in the order of the index.
                format!(
                    " WHERE id IN ({} SELECT due.id FROM levels CROSS JOIN video_processing_jobs AS due {hint} \
                     WHERE due.priority = levels.priority AND due.run_at <= ",
                    levels(hint)
                ),
                // A literal: SQLite prepares a statement with a bound LIMIT anew on each execution.
                format!(" AND {due} LIMIT {limit}) RETURNING "),
            ],
            #[cfg(feature = "postgres")]
            postgres: [
                // The inner LIMIT tells the planner that few rows are wanted; the outer one ends the search.
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
    /// What a claim writes.
    fn set<'b, DB>(&'b self, out: &mut AstPass<'_, 'b, DB>) -> QueryResult<()>
    where
        DB: diesel::backend::Backend + diesel::sql_types::HasSqlType<Uuid>,
        Moment: QueryFragment<DB>,
        LeaseToken: diesel::serialize::ToSql<Uuid, DB>,
        str: diesel::serialize::ToSql<Text, DB>,
    {
        out.push_sql(
            "UPDATE video_processing_jobs SET status = 'processing', attempts = attempts + 1, started_at = ",
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
        out.push_sql(after);
        self.set(&mut out)?;
        out.push_sql(" FROM taken WHERE video_processing_jobs.id = taken.id RETURNING ");
        jobs::all_columns.walk_ast(out)
    }
}

/// Whether claims are stopped. Blanks and quotes go as the registry takes them off; the blanks stand here as they are.
const PAUSED: &str = "(coalesce(\
    (SELECT lower(trim(value, ' \t\n\r\"')) FROM config_overrides WHERE key = 'queue_paused'), \
    (SELECT lower(trim(CAST(value AS text), ' \t\n\r\"')) FROM system_configuration WHERE key = 'queue_paused'), \
    'false') IN ('true', '1', 'yes', 'on'))";

/// Whether claims are stopped, as an expression that is looked at once a claim.
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
    /// How the database would look for the jobs, in its own words: for whoever wants to see which index it
    /// takes. Takes no job.
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

/// The plan of a claim, in rows of this form.
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
