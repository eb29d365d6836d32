//! Enqueues the jobs of the schedules that are due.

use std::time::Duration;

use diesel::prelude::*;

use super::{JobSchedule, MissedTicks, current_time};
use crate::db::clock::now;
use crate::db::{DbConnection, on_backend};
use crate::error::{Result, ResultExt};
use crate::queue::enqueue_many;
use crate::republishing::NewVideoProcessingJob;
use crate::schema::viraldb_job_schedules as schedules;
use crate::types::Timestamp;
use crate::{Database, Error};

/// Maximum number of schedules that one call handles.
const SCHEDULES: usize = 200;

/// About how many missed ticks one call enqueues, for all schedules together.
const TICKS: usize = 1_000;

/// How late a tick may be before [`MissedTicks::Skip`] drops it.
const GRACE: Duration = Duration::from_secs(60);

/// What a [`tick`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Ticked {
    /// Schedules that were due.
    pub schedules: usize,
    /// Jobs that were enqueued.
    pub enqueued: usize,
    /// Jobs that were not enqueued because the previous job of their schedule is not finished.
    pub overlapping: usize,
    /// Schedules whose ticks were dropped because they were too late.
    pub skipped: usize,
    /// Schedules that could not enqueue their job, because the setting `default_retry_attempts` is invalid. They wait for their
    /// next tick. The log has the reason.
    pub failed: usize,
    /// Schedules that were paused because their next tick cannot be computed. The log has the reason.
    pub paused: usize,
}

/// Enqueues the jobs of the schedules that are due, and moves each to its next tick, in one transaction.
///
/// Each tick enqueues one job, however many processes call this concurrently. One call handles at most 200 schedules and
/// about 1,000 missed ticks; call again while it finds any, or use [`tick_all`]. A [`Worker`](crate::queue::Worker) calls it.
///
/// What happens to ticks that are late depends on [`JobSchedule::missed`]:
///
/// - [`Skip`](MissedTicks::Skip) drops ticks that are more than a minute late.
/// - [`Once`](MissedTicks::Once) enqueues one job for all ticks that are due.
/// - [`All`](MissedTicks::All) enqueues a job for each tick, if [`JobSchedule::overlap`] is set. Otherwise only the first of
///   them could be enqueued, so it does the same as `Once`.
///
/// The `unique_key` of a job is `schedule:NAME`, or `schedule:NAME:TICK` if the schedule overlaps, with the time of the tick.
///
/// # Errors
/// The [errors of the database](crate::Error#errors-of-the-database), and [`Io`](Error::Io) if the configuration file cannot be
/// read. No job is enqueued then.
pub fn tick(conn: &mut DbConnection) -> Result<Ticked> {
    conn.atomically(|conn| {
        let (due, now) = due(conn)?;
        let mut ticked = Ticked { schedules: due.len(), ..Ticked::default() };
        let most = (TICKS / due.len().max(1)).max(1);
        let steps: Vec<Step> = due.iter().map(|schedule| Step::new(schedule, now, most)).collect();
        for step in &steps {
            ticked.skipped += usize::from(step.is_late);
            ticked.paused += usize::from(step.is_broken);
        }
        let jobs: Vec<NewVideoProcessingJob<'_>> = steps.iter().flat_map(Step::jobs).collect();
        if !jobs.is_empty() {
            match conn.atomically(|conn| enqueue_many(conn, &jobs)) {
                Ok(enqueued) => {
                    ticked.enqueued = enqueued;
                    ticked.overlapping = jobs.len() - enqueued;
                }
                Err(Error::Invalid { .. }) => enqueue_each(conn, &steps, &mut ticked)?,
                Err(error) => return Err(error),
            }
        }
        move_on(conn, &steps)?;
        Ok(ticked)
    })
}

/// Calls [`tick`] until no schedule is due.
///
/// # Errors
/// The errors of [`Database::write`]. Jobs that were enqueued before the error stay enqueued.
pub fn tick_all(db: &Database) -> Result<Ticked> {
    let mut sum = Ticked::default();
    loop {
        let ticked = db.write(tick)?;
        if ticked.schedules == 0 {
            return Ok(sum);
        }
        sum.schedules += ticked.schedules;
        sum.enqueued += ticked.enqueued;
        sum.overlapping += ticked.overlapping;
        sum.skipped += ticked.skipped;
        sum.failed += ticked.failed;
        sum.paused += ticked.paused;
    }
}

/// Returns how long it takes until a schedule is due, which is zero if one is. `None` means that there is no schedule, or that
/// all of them are paused.
///
/// # Errors
/// Only the [errors of the database](crate::Error#errors-of-the-database).
pub fn next_tick(conn: &mut DbConnection) -> Result<Option<Duration>> {
    let next: Option<(Timestamp, Timestamp)> = on_backend!(conn, |c| schedules::table
        .filter(schedules::paused.eq(false))
        .order(schedules::next_at)
        .select((schedules::next_at, now()))
        .first(c)
        .optional())
    .of("viraldb_job_schedules", "")?;
    Ok(next.map(|(next, now)| (next.to_utc() - now.to_utc()).to_std().unwrap_or_default()))
}

/// Returns the schedules that are due, locked against other schedulers, and the current time.
fn due(conn: &mut DbConnection) -> Result<(Vec<JobSchedule>, Timestamp)> {
    let now = current_time(conn)?;
    let due = on_backend!(
        conn,
        sqlite => |c| JobSchedule::query()
            .filter(schedules::paused.eq(false).and(schedules::next_at.le(now)))
            .order((schedules::next_at, schedules::name))
            .limit(SCHEDULES as i64)
            .load(c),
        // Schedulers share the schedules: none waits for another. A video or a channel that is just being deleted takes its
        // schedules along; to wait for that could be a deadlock, because the deletion waits for the schedule.
        postgres => |c| diesel::sql_query(format!(
            "SELECT schedule.* FROM viraldb_job_schedules AS schedule \
             JOIN videos AS video ON video.id = schedule.video_id \
             JOIN channels AS channel ON channel.id = schedule.channel_id \
             WHERE NOT schedule.paused AND schedule.next_at <= $1 \
             ORDER BY schedule.next_at, schedule.name LIMIT {SCHEDULES} \
             FOR UPDATE OF schedule SKIP LOCKED FOR KEY SHARE OF video, channel SKIP LOCKED"
        ))
        .bind::<crate::types::sql::Timestamptz, _>(now)
        .load(c),
    )
    .of("viraldb_job_schedules", "")?;
    Ok((due, now))
}

/// What happens to a schedule that is due.
struct Step<'a> {
    schedule: &'a JobSchedule,
    /// The ticks that enqueue a job.
    ticks: Vec<Timestamp>,
    /// The last tick that was due.
    last: Timestamp,
    next: Timestamp,
    is_late: bool,
    /// Whether the next tick cannot be computed.
    is_broken: bool,
}

impl<'a> Step<'a> {
    fn new(schedule: &'a JobSchedule, now: Timestamp, most: usize) -> Self {
        let first = schedule.next_at;
        let mut step =
            Self { schedule, ticks: vec![first], last: first, next: first, is_late: false, is_broken: false };
        if let Err(error) = step.compute(now, most) {
            tracing::warn!(schedule = schedule.name, "pausing the schedule: {error}");
            // Nobody can tell whether the tick is one of the expression, so it enqueues nothing.
            step.ticks.clear();
            step.next = first;
            step.is_broken = true;
        }
        step
    }

    fn compute(&mut self, now: Timestamp, most: usize) -> Result<()> {
        let (cron, first) = (self.schedule.parse_cron()?, self.schedule.next_at);
        // The next tick is always after the current one, so a clock that is set back makes no tick come twice.
        match self.schedule.missed {
            MissedTicks::All if self.schedule.overlap => {
                self.next = cron.next_after(first)?;
                while self.next <= now && self.ticks.len() < most {
                    self.ticks.push(self.next);
                    self.last = self.next;
                    self.next = cron.next_after(self.next)?;
                }
            }
            MissedTicks::Once | MissedTicks::All => self.next = cron.next_after(now)?,
            MissedTicks::Skip => {
                let oldest = now - GRACE;
                self.is_late = first < oldest;
                if self.is_late {
                    self.ticks.clear();
                    self.next = cron.next_after(oldest - Duration::from_micros(1))?;
                } else {
                    self.next = cron.next_after(first)?;
                }
                while self.next <= now {
                    self.ticks.push(self.next);
                    self.last = self.next;
                    self.next = cron.next_after(self.next)?;
                }
            }
        }
        Ok(())
    }

    fn jobs(&self) -> impl Iterator<Item = NewVideoProcessingJob<'static>> {
        let key = self.schedule.key();
        self.ticks.iter().map(move |tick| {
            self.schedule.job(Some(if self.schedule.overlap { format!("{key}:{tick}") } else { key.clone() }))
        })
    }
}

/// Enqueues the jobs of each schedule on its own, after enqueuing all of them together has failed.
fn enqueue_each(conn: &mut DbConnection, steps: &[Step<'_>], ticked: &mut Ticked) -> Result<()> {
    for step in steps {
        let jobs: Vec<NewVideoProcessingJob<'_>> = step.jobs().collect();
        match conn.atomically(|conn| enqueue_many(conn, &jobs)) {
            Ok(enqueued) => {
                ticked.enqueued += enqueued;
                ticked.overlapping += jobs.len() - enqueued;
            }
            Err(error @ Error::Invalid { .. }) => {
                tracing::warn!(
                    schedule = step.schedule.name,
                    "cannot enqueue the job of the schedule: {error}"
                );
                ticked.failed += 1;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Stores the next tick of each schedule.
fn move_on(conn: &mut DbConnection, steps: &[Step<'_>]) -> Result<usize> {
    if steps.is_empty() {
        return Ok(0);
    }
    on_backend!(
        conn,
        sqlite => |c| steps
            .iter()
            .map(|step| {
                let changes = (
                    schedules::next_at.eq(step.next),
                    schedules::last_at.eq((!step.is_broken).then_some(step.last).or(step.schedule.last_at)),
                    schedules::paused.eq(step.is_broken),
                    schedules::updated_at.eq(now()),
                );
                diesel::update(schedules::table.find(&step.schedule.name)).set(changes).execute(c)
            })
            .sum::<QueryResult<usize>>(),
        postgres => |c| {
            use crate::types::sql::{Bool, Nullable, Text, Timestamptz};
            use diesel::sql_types::Array;

            let names: Vec<&str> = steps.iter().map(|step| step.schedule.name.as_str()).collect();
            let next: Vec<Timestamp> = steps.iter().map(|step| step.next).collect();
            let last: Vec<Option<Timestamp>> = steps
                .iter()
                .map(|step| (!step.is_broken).then_some(step.last).or(step.schedule.last_at))
                .collect();
            let paused: Vec<bool> = steps.iter().map(|step| step.is_broken).collect();
            diesel::sql_query(
                "UPDATE viraldb_job_schedules AS schedule SET next_at = moved.next_at, last_at = moved.last_at, \
                 paused = moved.paused, updated_at = pg_catalog.statement_timestamp() \
                 FROM unnest($1, $2, $3, $4) AS moved (name, next_at, last_at, paused) WHERE schedule.name = moved.name",
            )
            .bind::<Array<Text>, _>(names)
            .bind::<Array<Timestamptz>, _>(next)
            .bind::<Array<Nullable<Timestamptz>>, _>(last)
            .bind::<Array<Bool>, _>(paused)
            .execute(c)
        },
    )
    .of("viraldb_job_schedules", "")
}
