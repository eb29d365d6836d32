//! Metrics in the text format of Prometheus.

use std::path::Path;
use std::time::Duration;

use prometheus::{Encoder, GaugeVec, IntGaugeVec, Opts, Registry, TextEncoder};

use crate::compilation::RunStatus;
use crate::error::{Error, Result};
use crate::ops::{self, backup};
use crate::queue::{self, RunningJob, TypeActivity};
use crate::republishing::JobType;
use crate::types::Timestamp;
use crate::{Database, report};

/// Maximum number of niches. The monitoring system keeps a time series for each.
const NICHES: usize = 100;
/// The window of finished jobs.
const HOUR: Duration = Duration::from_secs(3600);

/// Returns metrics of the database in the text format of Prometheus, for a scraper or for the textfile collector of the
/// node_exporter. `backups` is the folder of the backups; see [`backup::default_folder`].
///
/// The numbers come from the database, so every process reports the same ones. All of them are gauges: a retry or a prune can
/// lower the number of finished jobs. Row counts of large tables are estimates.
///
/// ```
/// # fn main() -> viraldb::Result<()> {
/// # let db = viraldb::Database::open("sqlite::memory:")?;
/// let text = viraldb::web::metrics(&db, "backups".as_ref())?;
/// assert!(text.contains("viraldb_unresolved_errors 0"));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Io`](crate::Error::Io) if the folder of the backups cannot be read, and the errors of [`Database::read`].
pub fn metrics(db: &Database, backups: &Path) -> Result<String> {
    let status = ops::status(db)?;
    let now = Timestamp::now();
    let (activity, oldest) =
        db.read(|c| c.snapshot(|c| Ok((queue::activity(c, HOUR)?, report::oldest_due(c)?))))?;
    let is_expired = |job: &&RunningJob| job.lease_expires_at.is_some_and(|at| at < activity.at);
    let expired = activity.running.iter().filter(is_expired).count();
    let backups = backup::list_of(db.url(), backups)?;

    let mut all = Metrics(Registry::new());
    let [version, engine] = [env!("CARGO_PKG_VERSION"), status.engine.as_str()];
    all.gauge(
        "viraldb_info",
        "Versions of viraldb, of the engine and of the schema",
        &["version", "engine", "engine_version", "schema"],
    )?
    .with_label_values(&[version, engine, &status.version, &status.schema])
    .set(1);
    all.number(
        "viraldb_database_bytes",
        "Size of the database in bytes, without the WAL",
        status.size_bytes,
    )?;
    if let Some(wal) = status.wal_bytes {
        all.number(
            "viraldb_wal_bytes",
            "Size of SQLite's write-ahead log in bytes",
            i64::try_from(wal).unwrap_or(i64::MAX),
        )?;
    }
    let rows = all.gauge("viraldb_rows", "Rows of each table; an estimate for large tables", &["table"])?;
    for table in &status.tables {
        rows.with_label_values(&[&table.table]).set(table.count.rows);
    }
    let pending =
        all.gauge("viraldb_pending_videos", "Discovered videos that no run has used yet", &["niche"])?;
    let mut niches: Vec<_> = status.pending_videos.iter().collect();
    niches.sort_by_key(|niche| std::cmp::Reverse(niche.pending));
    let (shown, others) = niches.split_at(niches.len().min(NICHES));
    for niche in shown {
        pending.with_label_values(&[&niche.niche]).set(niche.pending);
    }
    let others = others.iter().map(|niche| niche.pending).sum();
    all.number("viraldb_pending_videos_other", "Pending videos of the niches that are not listed", others)?;
    let runs = all.gauge("viraldb_runs", "Pipeline runs by status", &["status"])?;
    for of in RunStatus::ALL {
        runs.with_label_values(&[of.as_str()]).set(status.runs.get(of).copied().unwrap_or_default());
    }
    all.number("viraldb_unresolved_errors", "Errors that are not resolved", status.unresolved_errors)?;
    all.number("viraldb_queue_paused", "1 if workers claim no new jobs", i64::from(status.queue_paused))?;
    let jobs =
        all.gauge("viraldb_jobs", "Jobs that are not finished, by type and state", &["type", "state"])?;
    let finished = all.gauge(
        "viraldb_jobs_finished_last_hour",
        "Jobs that ended within the last hour, by type and status",
        &["type", "status"],
    )?;
    for job_type in JobType::ALL {
        let of = activity.types.iter().find(|of| of.job_type == *job_type);
        let count = |count: fn(&TypeActivity) -> i64| of.map_or(0, count);
        for (state, count) in [
            ("due", count(|of| of.due)),
            ("scheduled", count(|of| of.scheduled)),
            ("running", count(|of| of.running)),
        ] {
            jobs.with_label_values(&[job_type.as_str(), state]).set(count);
        }
        for (status, count) in [("completed", count(|of| of.completed)), ("failed", count(|of| of.failed))] {
            finished.with_label_values(&[job_type.as_str(), status]).set(count);
        }
    }
    let waits = all.seconds(
        "viraldb_oldest_due_seconds",
        "How long the oldest due job of each type has been due",
        &["type"],
    )?;
    for due in &oldest {
        waits.with_label_values(&[due.job_type.as_str()]).set(now.hours_since(due.run_at).max(0.0) * 3600.0);
    }
    all.number("viraldb_expired_leases", "Running jobs whose worker let the lease expire", expired as i64)?;
    let is_good = |backup: &&backup::Listed| backup.is_intact() && backup.ahead_of(now).is_none();
    let intact = backups.iter().filter(is_good).find_map(|backup| backup.created_at);
    if let Some(at) = intact {
        let name = "viraldb_last_backup_timestamp_seconds";
        all.number(
            name,
            "When the newest complete backup was made, as a Unix time",
            at.to_utc().timestamp(),
        )?;
    }
    all.text()
}

/// The metrics of one answer.
struct Metrics(Registry);

impl Metrics {
    fn gauge(&mut self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec> {
        let gauge = IntGaugeVec::new(Opts::new(name, help), labels).map_err(Error::other)?;
        self.0.register(Box::new(gauge.clone())).map_err(Error::other)?;
        Ok(gauge)
    }

    fn seconds(&mut self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec> {
        let gauge = GaugeVec::new(Opts::new(name, help), labels).map_err(Error::other)?;
        self.0.register(Box::new(gauge.clone())).map_err(Error::other)?;
        Ok(gauge)
    }

    /// Adds a number without labels.
    fn number(&mut self, name: &str, help: &str, value: i64) -> Result<()> {
        self.gauge(name, help, &[])?.with_label_values::<&str>(&[]).set(value);
        Ok(())
    }

    fn text(&self) -> Result<String> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.0.gather(), &mut text).map_err(Error::other)?;
        String::from_utf8(text).map_err(Error::other)
    }
}
