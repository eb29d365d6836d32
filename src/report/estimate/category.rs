//! Row counts by category: runs and jobs by status, pending videos by niche, and unresolved errors.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;

use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel::sql_types::{Double, Nullable, Text};

use super::{BOUND, Count, Exactness, Named, count, without_jit};
use crate::compilation::{DiscoveredVideo, ErrorLog, RunStatus};
use crate::db::on_backend;
use crate::error::ResultExt;
use crate::republishing::JobStatus;
use crate::{DbConnection, Result};

/// The maximum number of categories that are counted. SQLite combines up to 500 queries.
const COUNTED: usize = 400;

/// A category and its share of a table.
#[derive(QueryableByName)]
pub(super) struct Share {
    /// The category, or `None` for rows of no interest.
    #[diesel(sql_type = Nullable<Text>)]
    name: Option<String>,
    /// A weight that is proportional to the number of rows.
    #[diesel(sql_type = Double)]
    weight: f64,
}

/// The categories and their numbers of rows.
type Rows = Vec<(String, i64)>;

/// How the rows of a table are divided into categories.
struct Division {
    table: &'static str,
    /// The SQL expression for the category of a row, or NULL for a row of no interest.
    category: &'static str,
    /// The SQL condition for the rows of a category, before the comparison with its name, and the index for it.
    condition: (&'static str, &'static str),
    /// Counts all rows.
    count: fn(&mut DbConnection) -> Result<Rows>,
}

const RUNS: Division = Division {
    table: "pipeline_runs",
    category: "status",
    condition: ("status", "idx_pipeline_runs_status"),
    count: |conn| Ok(all_runs(conn)?.into_iter().map(|(status, rows)| (status.to_string(), rows)).collect()),
};

const JOBS: Division = Division {
    table: "video_processing_jobs",
    category: "status",
    condition: ("status", "idx_jobs_status"),
    count: |conn| Ok(all_jobs(conn)?.into_iter().map(|(status, rows)| (status.to_string(), rows)).collect()),
};

const PENDING: Division = Division {
    table: "discovered_videos",
    category: "CASE processed WHEN 0 THEN niche END",
    condition: ("processed = 0 AND niche", "idx_discovered_videos_pending"),
    count: DiscoveredVideo::count_pending,
};

const UNRESOLVED: Division = Division {
    table: "error_log",
    category: "CASE WHEN resolved THEN NULL ELSE 'unresolved' END",
    // The words make the condition comparable with the name of the only category.
    condition: ("NOT resolved AND 'unresolved'", "idx_error_log_unresolved"),
    count: |conn| Ok(vec![("unresolved".to_owned(), ErrorLog::count_unresolved(conn)?)]),
};

/// Returns the exact number of runs of each status that has runs.
pub(crate) fn all_runs(conn: &mut DbConnection) -> Result<Vec<(RunStatus, i64)>> {
    use crate::schema::pipeline_runs::dsl::{pipeline_runs, status};
    on_backend!(conn, |c| pipeline_runs.group_by(status).select((status, count_star())).load(c))
        .of("pipeline_runs", "")
}

/// Returns the exact number of queue jobs of each status that has jobs.
pub(crate) fn all_jobs(conn: &mut DbConnection) -> Result<Vec<(JobStatus, i64)>> {
    use crate::schema::video_processing_jobs::dsl::{status, video_processing_jobs};
    on_backend!(conn, |c| video_processing_jobs.group_by(status).select((status, count_star())).load(c))
        .of("video_processing_jobs", "")
}

/// Returns the number of runs of each status that has runs.
///
/// If the table has up to 50,000 rows, all counts are exact. In a larger table, viraldb counts the runs of a rare status
/// and estimates the others.
///
/// # Errors
/// Only [errors of the database](crate::Error#errors-of-the-database).
pub fn count_runs(conn: &mut DbConnection, exactness: Exactness) -> Result<BTreeMap<RunStatus, Count>> {
    by_status(conn, exactness, &RUNS, RunStatus::ALL)
}

/// Returns the number of queue jobs of each status that has jobs. Estimates are made as in [`count_runs`].
///
/// # Errors
/// Only [errors of the database](crate::Error#errors-of-the-database).
///
/// ```
/// # fn main() -> viraldb::Result<()> {
/// # let db = viraldb::Database::open("sqlite::memory:")?;
/// let jobs = db.read(|c| viraldb::report::count_jobs(c, Default::default()))?;
/// assert!(jobs.is_empty());
/// # Ok(())
/// # }
/// ```
pub fn count_jobs(conn: &mut DbConnection, exactness: Exactness) -> Result<BTreeMap<JobStatus, Count>> {
    by_status(conn, exactness, &JOBS, JobStatus::ALL)
}

fn by_status<S: FromStr + ToString + Ord>(
    conn: &mut DbConnection,
    exactness: Exactness,
    division: &Division,
    all: &[S],
) -> Result<BTreeMap<S, Count>> {
    let all = |_: &mut DbConnection| Ok(all.iter().map(ToString::to_string).collect());
    let counts = divide(conn, exactness, division, all)?;
    Ok(counts.into_iter().filter_map(|(name, count)| Some((name.parse().ok()?, count))).collect())
}

/// Returns the number of pending videos of each niche that has pending videos, ordered by niche. Estimates are made as in
/// [`count_runs`].
///
/// If there are many niches, only the smallest are counted, up to 250,000 videos in total. The time grows with the number of
/// niches, but not with the number of videos.
///
/// # Errors
/// Only [errors of the database](crate::Error#errors-of-the-database).
pub fn count_pending_videos(conn: &mut DbConnection, exactness: Exactness) -> Result<Vec<(String, Count)>> {
    divide(conn, exactness, &PENDING, pending_niches)
}

/// Returns the number of unresolved errors. An estimate is made if the table has more than 50,000 rows.
///
/// # Errors
/// Only [errors of the database](crate::Error#errors-of-the-database).
pub fn count_unresolved_errors(conn: &mut DbConnection, exactness: Exactness) -> Result<Count> {
    let counts = divide(conn, exactness, &UNRESOLVED, |_| Ok(vec!["unresolved".to_owned()]))?;
    Ok(counts.into_iter().next().map_or(Count::exact(0), |(_, count)| count))
}

/// Returns the niches that have pending videos, in order. It jumps from niche to niche in the index.
fn pending_niches(conn: &mut DbConnection) -> Result<Vec<String>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let hint = index_hint(conn, "idx_discovered_videos_pending");
    // Only one index has this order. PostgreSQL puts NULL first in a descending order, unless asked otherwise.
    let order =
        on_backend!(conn, sqlite => |_c| "niche", postgres => |_c| "niche, viral_score DESC NULLS LAST");
    let next = |after: &str| {
        format!(
            "(SELECT niche FROM discovered_videos {hint} WHERE processed = 0 {after} ORDER BY {order} LIMIT 1)"
        )
    };
    let query = format!(
        "WITH RECURSIVE walk (name) AS (SELECT {} UNION ALL SELECT {} FROM walk WHERE name IS NOT NULL) \
         SELECT name FROM walk WHERE name IS NOT NULL",
        next(""),
        next("AND niche > walk.name")
    );
    let rows: Vec<Row> =
        on_backend!(conn, |c| diesel::sql_query(query).load(c)).of("discovered_videos", "")?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}

/// Returns the clause that makes SQLite use an index. Its planner might choose another one, depending on the statistics.
#[cfg_attr(not(feature = "sqlite"), allow(unused_variables))]
fn index_hint(conn: &DbConnection, index: &str) -> String {
    on_backend!(conn, sqlite => |_c| format!("INDEXED BY {index}"), postgres => |_c| String::new())
}

/// Counts or estimates the rows of each category. `names` lists the categories of a large table, in the order of the result.
fn divide(
    conn: &mut DbConnection,
    exactness: Exactness,
    division: &Division,
    names: impl FnOnce(&mut DbConnection) -> Result<Vec<String>>,
) -> Result<Vec<(String, Count)>> {
    let exact = |conn: &mut DbConnection| {
        let counts = (division.count)(conn)?;
        Ok(counts.into_iter().map(|(name, rows)| (name, Count::exact(rows))).collect())
    };
    if exactness == Exactness::Exact {
        return exact(conn);
    }
    let bound = BOUND;
    without_jit(conn, |conn| {
        let all = count(conn, &[division.table], bound)?.first().map_or(Count::exact(0), |(_, count)| *count);
        if !all.is_estimate {
            return exact(conn);
        }
        let names = names(conn)?;
        let shares = on_backend!(
            conn,
            sqlite => |c| super::sqlite::shares(c, division.table, division.category),
            postgres => |c| super::postgres::shares(c, division.table, division.category)
        )
        .of(division.table, "")?;
        let shares = Shares::new(shares);
        let rare = shares.rare(&names, all.rows, bound);
        let counted = count_up_to(conn, division.table, division.condition, &rare, bound)?;
        Ok(shares.combine(names, &counted, all.rows, bound))
    })
}

/// The shares of all categories in a sample.
struct Shares {
    weights: HashMap<String, f64>,
    /// The weight of all rows, including those of no interest.
    total: f64,
}

impl Shares {
    fn new(shares: Vec<Share>) -> Self {
        let total = shares.iter().map(|share| share.weight).sum();
        let named = |share: Share| share.name.map(|name| (name, share.weight));
        Self { weights: shares.into_iter().filter_map(named).collect(), total }
    }

    fn weight(&self, name: &str) -> f64 {
        self.weights.get(name).copied().unwrap_or_default()
    }

    /// Returns the categories to count: those that appear to be small, the smallest first, until the counts would become slow.
    fn rare<'n>(&self, names: &'n [String], all: i64, bound: i64) -> Vec<&'n str> {
        let estimate = |name: &str| all as f64 * self.weight(name) / self.total.max(f64::MIN_POSITIVE);
        let mut rare: Vec<(f64, &str)> = names.iter().map(|name| (estimate(name), name.as_str())).collect();
        rare.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut sum = 0.0;
        rare.into_iter()
            .take_while(|(rows, _)| {
                sum += rows;
                *rows <= 1.25 * bound as f64 && sum <= 5.0 * bound as f64
            })
            .take(COUNTED)
            .map(|(_, name)| name)
            .collect()
    }

    /// Divides the rows that were not counted among the categories that were not counted.
    fn combine(
        &self,
        names: Vec<String>,
        counted: &HashMap<String, i64>,
        all: i64,
        bound: i64,
    ) -> Vec<(String, Count)> {
        let exact = |name: &String| counted.get(name).copied().filter(|rows| *rows <= bound);
        let known: i64 = names.iter().filter_map(exact).sum();
        let known_weight: f64 =
            names.iter().filter(|name| exact(name).is_some()).map(|name| self.weight(name)).sum();
        let rest = (all - known).max(0) as f64;
        let rest_weight = (self.total - known_weight).max(f64::MIN_POSITIVE);
        let counts = names.into_iter().map(|name| {
            let minimum = if counted.contains_key(&name) { bound + 1 } else { 1 };
            let count = match exact(&name) {
                Some(rows) => Count::exact(rows),
                None => Count::estimate(rest * (self.weight(&name) / rest_weight).min(1.0), minimum),
            };
            (name, count)
        });
        counts.filter(|(_, count)| count.rows > 0 || count.is_estimate).collect()
    }
}

/// Counts the rows of categories through an index. Stops at one row more than the bound.
fn count_up_to(
    conn: &mut DbConnection,
    table: &'static str,
    (condition, index): (&str, &str),
    names: &[&str],
    bound: i64,
) -> Result<HashMap<String, i64>> {
    if names.is_empty() {
        return Ok(HashMap::new());
    }
    let hint = index_hint(conn, index);
    let counts: Vec<String> = (1..=names.len())
        .map(|at| {
            let parameter = on_backend!(conn, sqlite => |_c| format!("?{at}"), postgres => |_c| format!("CAST(${at} AS text)"));
            format!(
                "SELECT {parameter} AS name, (SELECT count(*) FROM (SELECT 1 FROM {table} {hint} \
                 WHERE {condition} = {parameter} LIMIT {}) AS found) AS rows",
                bound + 1
            )
        })
        .collect();
    let rows: Vec<Named> = on_backend!(conn, |c| {
        // PostgreSQL plans with the values of the parameters, because the statement is not prepared in advance.
        let query = diesel::sql_query(counts.join(" UNION ALL ")).into_boxed::<Backend>();
        names.iter().fold(query, |query, name| query.bind::<Text, _>(*name)).load(c)
    })
    .of(table, "")?;
    Ok(rows.into_iter().map(|row| (row.name, row.rows)).collect())
}
