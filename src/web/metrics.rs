//! Metrics in the text format of Prometheus.

use std::path::Path;
use std::time::Duration;

use prometheus::{Encoder, GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder};

use crate::error::{Error, Result};
use crate::ops::{self, backup};
use crate::types::Timestamp;
use crate::{Database, queue, report};

/// Maximum number of niches. Each one is a time series of its own in the monitoring system.
const NICHES: usize = 100;

/// Returns metrics of the database in the text format of Prometheus, for a scraper or for the textfile collector of the
/// node_exporter. `backups` is the folder of the backups; see [`backup::default_folder`].
///
/// The numbers come from the database, so every process reports the same ones. `viraldb_jobs_finished_total` counts from
/// midnight UTC. Prometheus treats its daily reset like the restart of a process, so `rate()` and `increase()` work. Row counts
/// of large tables are estimates.
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
    let since_midnight = now.to_utc() - now.to_utc().date_naive().and_time(chrono::NaiveTime::MIN).and_utc();
    let since_midnight = since_midnight.to_std().unwrap_or_default().max(Duration::from_micros(1));
    let (activity, oldest) =
        db.read(|c| c.snapshot(|c| Ok((queue::activity(c, since_midnight)?, report::oldest_due(c)?))))?;
    let is_expired = |job: &&queue::RunningJob| job.lease_expires_at.is_some_and(|at| at < activity.at);
    let expired = activity.running.iter().filter(is_expired).count();
    let backups = backup::list(backups)?;

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
    for niche in status.pending_videos.iter().take(NICHES) {
        pending.with_label_values(&[&niche.niche]).set(niche.pending);
    }
    let runs = all.gauge("viraldb_runs", "Pipeline runs by status", &["status"])?;
    for (of, count) in &status.runs {
        runs.with_label_values(&[of.as_str()]).set(*count);
    }
    all.number("viraldb_unresolved_errors", "Errors that are not resolved", status.unresolved_errors)?;
    all.number("viraldb_queue_paused", "1 if workers claim no new jobs", i64::from(status.queue_paused))?;
    let jobs =
        all.gauge("viraldb_jobs", "Jobs that are not finished, by type and state", &["type", "state"])?;
    let finished = all.counter(
        "viraldb_jobs_finished_total",
        "Jobs that ended since midnight UTC, by type and status",
        &["type", "status"],
    )?;
    for of in &activity.types {
        let job_type = of.job_type.as_str();
        for (state, count) in [("due", of.due), ("scheduled", of.scheduled), ("running", of.running)] {
            jobs.with_label_values(&[job_type, state]).set(count);
        }
        for (status, count) in [("completed", of.completed), ("failed", of.failed)] {
            finished.with_label_values(&[job_type, status]).inc_by(u64::try_from(count).unwrap_or_default());
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
    let intact = backups.iter().filter(|backup| backup.is_intact()).find_map(|backup| backup.created_at);
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

    fn counter(&mut self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
        let counter = IntCounterVec::new(Opts::new(name, help), labels).map_err(Error::other)?;
        self.0.register(Box::new(counter.clone())).map_err(Error::other)?;
        Ok(counter)
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
