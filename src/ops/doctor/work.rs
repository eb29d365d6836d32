//! Checks for stuck jobs and runs.

use std::time::Duration;

use diesel::prelude::*;

use super::Patient;
use super::finding::{Check, Finding, Fix};
use crate::compilation::{PipelineRunId, RunStatus};
use crate::config::{self, Config, Registry};
use crate::db::clock::{after, now};
use crate::db::on_backend;
use crate::error::ResultExt;
use crate::ops::resume::resume_command;
use crate::republishing::JobStatus;
use crate::schema::{pipeline_runs, video_processing_jobs as jobs};
use crate::{Database, Error, Result, Timestamp, queue};

/// Maximum number of runs reported one by one.
const TOLD: i64 = 20;

pub(super) fn jobs(patient: &mut Patient<'_>) -> Result<Vec<Finding>> {
    let mut found = ahead(patient)?;
    // If the tables of the settings are missing, stuck jobs are reported all the same.
    match paused(patient) {
        Ok(note) => found.extend(note),
        Err(error) => found.push(Finding::unseen(Check::Jobs, &error)),
    }
    let stuck: i64 = patient.read(|conn| {
        on_backend!(conn, |c| jobs::table
            .filter(jobs::status.eq(JobStatus::Processing).and(jobs::lease_expires_at.le(now().nullable())))
            .count()
            .get_result(c))
        .of("video_processing_jobs", "")
    })?;
    if stuck == 0 {
        return Ok(found);
    }
    let (jobs, their) = if stuck == 1 { ("job is", "its lease") } else { ("jobs are", "their leases") };
    let what = format!("{stuck} {jobs} processing past {their}");
    let why = "their workers have died or are stuck, so these jobs make no progress";
    let finding = Finding::warning(Check::Jobs, what, why).fixed_by(Fix::Rescue);
    found.push(finding.mend("viraldb jobs rescue"));
    Ok(found)
}

/// Notes that the queue is paused.
fn paused(patient: &mut Patient<'_>) -> Result<Option<Finding>> {
    patient.read(|conn| {
        if !queue::is_paused(conn)? {
            return Ok(None);
        }
        let why = "workers claim no new jobs until the setting queue_paused is false";
        let note = Finding::info(Check::Jobs, "the queue is paused", why);
        Ok(Some(note.mend(format!("to resume it: {}", resume_command(conn)?))))
    })
}

/// Time ahead from which a lease or retry is suspicious. Leases last minutes, and a retry waits at most an hour unless a
/// worker asks for more, so a later time was most likely written while a clock was wrong.
const AHEAD: Duration = Duration::from_secs(2 * 24 * 3600);

/// Reports jobs that wait for a time that a wrong clock wrote.
fn ahead(patient: &mut Patient<'_>) -> Result<Vec<Finding>> {
    let (leases, waiting): (i64, i64) = patient.read(|conn| {
        on_backend!(conn, |c| {
            let leases = jobs::status
                .eq(JobStatus::Processing)
                .and(jobs::lease_expires_at.gt(after(AHEAD).nullable()));
            // A queued job may be scheduled for a later day on purpose, unless queued_at is in the future too.
            let waiting =
                (jobs::status.eq(JobStatus::Retrying).and(jobs::run_at.gt(after(AHEAD)))).or(jobs::status
                    .eq(JobStatus::Queued)
                    .and(jobs::queued_at.gt(after(AHEAD)))
                    .and(jobs::run_at.gt(after(AHEAD))));
            Ok((
                jobs::table.filter(leases).count().get_result(c)?,
                jobs::table.filter(waiting).count().get_result(c)?,
            ))
        })
        .of("video_processing_jobs", "")
    })?;
    let why =
        "a clock was probably wrong when they were claimed or failed; no worker claims them before that time";
    let finding = |count: i64, what: &str, mend: &str| {
        let jobs = if count == 1 { "job has" } else { "jobs have" };
        let what = format!("{count} {jobs} {what} more than 2 days ahead");
        (count > 0).then(|| Finding::warning(Check::Jobs, what, why).mend(mend))
    };
    let mend = |status: &str| {
        format!(
            "viraldb jobs cancel ID, then viraldb jobs retry ID; to list the ids: viraldb jobs list --status {status}"
        )
    };
    let found = [
        finding(leases, "a lease that ends", &format!("if no worker processes them: {}", mend("processing"))),
        finding(waiting, "an attempt that is due", &mend("retrying")),
    ];
    Ok(found.into_iter().flatten().collect())
}

/// Reports runs that are still running when the next cycle of their niche has begun.
pub(super) fn runs(patient: &mut Patient<'_>) -> Result<Vec<Finding>> {
    let hours = cycle_hours(patient)?;
    let before = Timestamp::now() - Duration::from_secs(hours * 3600);
    type Row = (PipelineRunId, String, Timestamp, Option<Timestamp>);
    let (late, count): (Vec<Row>, i64) = patient.read(|conn| {
        let late = || {
            let began_before = pipeline_runs::started_at.lt(before).assume_not_null();
            let should_have = pipeline_runs::started_at.is_null().and(pipeline_runs::cycle_start.lt(before));
            pipeline_runs::table
                .filter(pipeline_runs::status.eq(RunStatus::Running))
                .filter((pipeline_runs::started_at.is_not_null().and(began_before)).or(should_have))
        };
        on_backend!(conn, |c| {
            let rows = late()
                .select((
                    pipeline_runs::id,
                    pipeline_runs::niche,
                    pipeline_runs::cycle_start,
                    pipeline_runs::started_at,
                ))
                .order(pipeline_runs::id)
                .limit(TOLD)
                .load(c)?;
            Ok((rows, late().count().get_result(c)?))
        })
        .of("pipeline_runs", "")
    })?;
    let why = "the next cycle of its niche has begun; the program that worked on it may have died";
    let mut found: Vec<Finding> = late
        .into_iter()
        .map(|(id, niche, cycle, started)| {
            let since = started.unwrap_or(cycle);
            let what = format!(
                "run {id} of {niche} has been running since {since}, longer than a cycle of {hours} h"
            );
            let mend =
                format!("if no program works on it: viraldb runs move {id} failed --error \"ran too long\"");
            Finding::warning(Check::Runs, what, why).mend(mend)
        })
        .collect();
    if count > TOLD {
        let what = format!("{} more runs have been running for longer than a cycle", count - TOLD);
        found.push(Finding::warning(Check::Runs, what, why).mend("viraldb runs list --status running"));
    }
    Ok(found)
}

/// Returns the setting `cycle_hours`, or its default if the database cannot be opened, for example because of its schema
/// version.
fn cycle_hours(patient: &Patient<'_>) -> Result<u64> {
    match Database::connect(patient.url) {
        Ok(db) => {
            let options = config::Options { file: patient.asked.config.clone(), ..Default::default() };
            Config::open_with(&db, options)?.get("cycle_hours")
        }
        Err(error) => {
            tracing::warn!("cannot read the setting cycle_hours, using its default: {error}");
            let registry = Registry::default();
            let default = registry.get("cycle_hours")?.default.as_u64();
            default.ok_or_else(|| Error::invalid("cycle_hours", "has no default"))
        }
    }
}
