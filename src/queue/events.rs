//! Follows what happens to jobs.

use std::collections::HashSet;
use std::time::{Duration, Instant};
use std::{fmt, mem};

use diesel::dsl::sql;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::{AttemptOutcome, JobAttempt, Stop};
use crate::db::clock::{literal, now};
use crate::db::wake::{Topic, Waker};
use crate::db::{DbConnection, MultiBackend, on_backend};
use crate::error::{Result, ResultExt};
use crate::republishing::{JobStatus, JobType};
use crate::schema::{video_processing_jobs as jobs, viraldb_job_attempts as attempts};
use crate::types::sql::Bool;
use crate::types::{ChannelId, Timestamp, VideoId, VideoProcessingJobId, portable};
use crate::{Database, Error};

/// How far back events are read again, because a transaction may commit after others with newer timestamps.
const OVERLAP: Duration = Duration::from_secs(10);

/// How far back events are read again if nothing happens, because the clock of a program may be behind.
const LONGEST_OVERLAP: Duration = Duration::from_secs(60);

/// Maximum number of rows of each kind that are read at once, unless more have the same timestamp.
const PAGE: i64 = 1_000;

/// How often events are read if the database does not tell about changes. PostgreSQL tells only about jobs that wait.
const POLL: Duration = Duration::from_millis(500);

/// The shortest time between two reads, for a database that changes all the time.
const PAUSE: Duration = Duration::from_millis(100);

portable! {
    /// What happened to a job.
    pub enum EventKind {
        Queued = "queued",
        Started = "started",
        AttemptFailed = "attempt_failed",
        AttemptLost = "attempt_lost",
        AttemptCanceled = "attempt_canceled",
        Completed = "completed",
        Failed = "failed",
    }
}

/// Something that happened to a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct JobEvent {
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub event: EventKind,
    /// The job.
    pub job_id: VideoProcessingJobId,
    /// Type of the work.
    pub job_type: JobType,
    /// Video of the job.
    pub video_id: VideoId,
    /// Channel of the job.
    pub channel_id: ChannelId,
    /// Number of the attempt, from 1. `None` if the job was queued.
    pub attempt: Option<i32>,
    /// Maximum number of attempts.
    pub max_attempts: i32,
    /// Worker of the attempt, if it is known.
    pub worker: Option<String>,
    /// Why the attempt or the job failed.
    pub error: Option<String>,
}

/// Selects events; a `None` field matches every event.
#[derive(Debug, Clone, Copy, Default)]
#[allow(missing_docs)] // documented on the row
pub struct JobEventFilter {
    pub job_type: Option<JobType>,
    pub channel_id: Option<ChannelId>,
}

/// Reads the events of the queue, and waits for more.
///
/// The events come from the rows of the jobs and the history of their attempts:
///
/// - A job was queued, completed, or failed for good.
/// - An attempt was started, failed, lost its lease, or was canceled.
///
/// Each event is returned once. The end of a job is not missed, however short the job was. The start of an attempt that was
/// released or snoozed may be missed, because nothing records it.
///
/// ```
/// use viraldb::queue::{self, EventKind, Events};
/// # use viraldb::republishing::{JobType, NewChannel, NewVideo, NewVideoProcessingJob};
///
/// # fn main() -> viraldb::Result<()> {
/// let db = viraldb::Database::open("sqlite::memory:")?;
/// let mut events = Events::new(&db, None, Default::default())?;
/// # let channel = db.write(|c| NewChannel::default().insert(c))?;
/// # let video = NewVideo { channel_id: channel.id, ..Default::default() };
/// # let video = db.write(|c| video.insert(c))?;
/// # db.write(|c| queue::enqueue(c, &NewVideoProcessingJob::new(video.id, channel.id, JobType::Download)))?;
/// let read = events.read()?;
/// assert_eq!(read[0].event, EventKind::Queued);
/// assert!(events.read()?.is_empty());
/// # Ok(())
/// # }
/// ```
pub struct Events {
    db: Database,
    filter: JobEventFilter,
    /// The beginning of the next read.
    from: Timestamp,
    /// The newest event so far.
    newest: Timestamp,
    /// The events since `from` that were read already.
    seen: HashSet<(EventKind, VideoProcessingJobId, Timestamp)>,
    limit: i64,
    waker: Option<Waker>,
    read_at: Instant,
    took: Duration,
}

/// The columns of a job that events need.
#[derive(Debug, HasQuery)]
#[diesel(table_name = jobs, check_for_backend(MultiBackend))]
struct Row {
    id: VideoProcessingJobId,
    video_id: VideoId,
    channel_id: ChannelId,
    job_type: JobType,
    status: JobStatus,
    attempts: i32,
    max_attempts: i32,
    error_message: Option<String>,
    queued_at: Timestamp,
    started_at: Option<Timestamp>,
    completed_at: Option<Timestamp>,
    leased_by: Option<String>,
}

impl Events {
    /// Creates a reader of the events since this time. `None` means from now on.
    ///
    /// # Errors
    /// Only the [errors of the database](crate::Error#errors-of-the-database).
    pub fn new(db: &Database, since: Option<Timestamp>, filter: JobEventFilter) -> Result<Self> {
        let from = match since {
            Some(since) => since,
            None => db.read_newest(time)?,
        };
        Ok(Self {
            db: db.clone(),
            filter,
            from,
            newest: from,
            seen: HashSet::new(),
            limit: PAGE,
            waker: None,
            read_at: Instant::now(),
            took: Duration::ZERO,
        })
    }

    /// Returns the next events, oldest first, or none if there are no more at present.
    ///
    /// # Errors
    /// Only the [errors of the database](crate::Error#errors-of-the-database).
    pub fn read(&mut self) -> Result<Vec<JobEvent>> {
        let filter = self.filter;
        loop {
            let begin = Instant::now();
            let (mut events, is_end) = self.read_page()?;
            (self.read_at, self.took) = (Instant::now(), begin.elapsed());
            events.retain(|event| {
                filter.job_type.is_none_or(|wanted| wanted == event.job_type)
                    && filter.channel_id.is_none_or(|wanted| wanted == event.channel_id)
            });
            if is_end || !events.is_empty() {
                return Ok(events);
            }
        }
    }

    /// Returns the next events, oldest first. If there are none, waits for some, at most for `timeout` or until `stop` is
    /// stopped.
    ///
    /// # Errors
    /// The errors of [`read`](Self::read).
    pub fn wait_for(&mut self, timeout: Duration, stop: &Stop) -> Result<Vec<JobEvent>> {
        let deadline = Instant::now() + timeout;
        loop {
            // Listen before looking, so that no change in between is missed.
            if self.waker.is_none() {
                self.waker = Some(Waker::new(&self.db, Topic::Jobs, PAUSE)?);
            }
            let events = self.read()?;
            if !events.is_empty() || stop.is_stopped() || Instant::now() >= deadline {
                return Ok(events);
            }
            self.wait(stop)?;
        }
    }

    /// Waits until it is time to read again.
    fn wait(&mut self, stop: &Stop) -> Result<()> {
        let deadline = self.read_at + POLL.max(self.took * 2);
        // A read that takes long, because there is much to read, must not keep the database busy.
        std::thread::sleep(PAUSE.max(self.took).saturating_sub(self.read_at.elapsed()));
        let Some(waker) = &mut self.waker else { return Ok(()) };
        while !stop.is_stopped() && Instant::now() < deadline {
            if waker.wait(PAUSE.min(deadline.saturating_duration_since(Instant::now())))? {
                break;
            }
        }
        Ok(())
    }

    /// Returns the next events, and whether there are no more at present.
    fn read_page(&mut self) -> Result<(Vec<JobEvent>, bool)> {
        let (from, limit) = (self.from, self.limit);
        let (now, found) = self.db.read_newest(|c| Ok((time(c)?, Found::read(c, from, limit)?)))?;
        let Found { mut events, complete_until } = found;
        events.retain(|event| {
            event.at >= from
                && complete_until.is_none_or(|until| event.at <= until)
                && self.seen.insert(event.key())
        });
        events.sort_by_key(JobEvent::key_in_order);
        // An event in the future, by a clock that is wrong, must not hide those that come before it.
        let newest = events.iter().map(|event| event.at).filter(|at| *at <= now).max();
        self.newest = self.newest.max(newest.unwrap_or(self.newest));
        let reaches = match complete_until {
            Some(until) => {
                if events.is_empty() {
                    // More events than were read have the same timestamp, or happened within the overlap.
                    self.limit = self.limit.saturating_mul(2);
                }
                until.min(now) - OVERLAP
            }
            None => {
                self.limit = PAGE;
                (self.newest.min(now) - OVERLAP).max(now - LONGEST_OVERLAP)
            }
        };
        self.from = self.from.max(reaches);
        let from = self.from;
        self.seen.retain(|(_, _, at)| *at >= from);
        Ok((events, complete_until.is_none()))
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("filter", &self.filter)
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

/// Returns the time of the database.
fn time(conn: &mut DbConnection) -> Result<Timestamp> {
    on_backend!(conn, |c| diesel::select(now()).get_result(c)).map_err(Error::from)
}

/// Events that were read.
struct Found {
    events: Vec<JobEvent>,
    /// Events after this time are incomplete, because a limit was reached.
    complete_until: Option<Timestamp>,
}

impl Found {
    /// Reads the events since `from`, at most `limit` rows of each kind.
    fn read(conn: &mut DbConnection, from: Timestamp, limit: i64) -> Result<Self> {
        let since = literal(conn, from);
        let since = |column: &str| sql::<Bool>(&format!("{column} >= {since}"));
        // Filters for types and channels come later: they would make SQLite choose an index without the time.
        let rows = || jobs::table.into_boxed::<MultiBackend>().select(Row::as_select()).limit(limit);
        let queued: Vec<Row> = rows().filter(since("queued_at")).order(jobs::queued_at).load(conn)?;
        let started: Vec<Row> = rows()
            .filter(jobs::status.eq(JobStatus::Processing))
            .filter(since("started_at"))
            .order(jobs::started_at)
            .load(conn)?;
        let ended: Vec<Row> = rows().filter(since("completed_at")).order(jobs::completed_at).load(conn)?;
        let tried: Vec<(JobAttempt, Row)> = attempts::table
            .inner_join(jobs::table)
            .into_boxed::<MultiBackend>()
            .filter(since("ended_at"))
            .order(attempts::ended_at)
            .limit(limit)
            .select((JobAttempt::as_select(), Row::as_select()))
            .load(conn)
            .of("viraldb_job_attempts", "")?;
        let last = |count: usize, at: Option<Timestamp>| if count as i64 >= limit { at } else { None };
        let complete_until = [
            last(queued.len(), queued.last().map(|row| row.queued_at)),
            last(started.len(), started.last().and_then(|row| row.started_at)),
            last(ended.len(), ended.last().and_then(|row| row.completed_at)),
            last(tried.len(), tried.last().map(|(attempt, _)| attempt.ended_at)),
        ];
        let mut events: Vec<JobEvent> =
            queued.iter().map(|row| JobEvent::new(row, EventKind::Queued, row.queued_at)).collect();
        for (attempt, row) in tried {
            events.extend(JobEvent::of_history(attempt, &row));
        }
        for row in started.iter().chain(&ended) {
            // A job may be shorter than the time between two reads.
            events.extend(row.started_at.map(|at| JobEvent::of_attempt(row, EventKind::Started, at)));
        }
        for row in &ended {
            let event = match row.status {
                JobStatus::Completed => EventKind::Completed,
                JobStatus::Failed => EventKind::Failed,
                // Another program has queued the job again, and left the time.
                JobStatus::Queued | JobStatus::Processing | JobStatus::Retrying => continue,
            };
            let error = if event == EventKind::Failed { row.error_message.clone() } else { None };
            events.extend(
                row.completed_at.map(|at| JobEvent { error, ..JobEvent::of_attempt(row, event, at) }),
            );
        }
        Ok(Self { events, complete_until: complete_until.into_iter().flatten().min() })
    }
}

impl JobEvent {
    fn new(row: &Row, event: EventKind, at: Timestamp) -> Self {
        Self {
            at,
            event,
            job_id: row.id,
            job_type: row.job_type,
            video_id: row.video_id,
            channel_id: row.channel_id,
            attempt: None,
            max_attempts: row.max_attempts,
            worker: None,
            error: None,
        }
    }

    /// Returns an event of the latest attempt of a job.
    fn of_attempt(row: &Row, event: EventKind, at: Timestamp) -> Self {
        Self {
            attempt: Some(row.attempts).filter(|attempt| *attempt > 0),
            worker: row.leased_by.clone(),
            ..Self::new(row, event, at)
        }
    }

    /// Returns the start and the end of an attempt.
    fn of_history(mut attempt: JobAttempt, row: &Row) -> impl Iterator<Item = Self> {
        let event = match attempt.outcome {
            AttemptOutcome::Failed => EventKind::AttemptFailed,
            AttemptOutcome::Lost => EventKind::AttemptLost,
            AttemptOutcome::Canceled => EventKind::AttemptCanceled,
        };
        let of = |event, at| Self {
            attempt: Some(attempt.attempt),
            worker: attempt.worker.clone(),
            ..Self::new(row, event, at)
        };
        let started = attempt.started_at.map(|at| of(EventKind::Started, at));
        let ended = of(event, attempt.ended_at);
        started.into_iter().chain([Self { error: mem::take(&mut attempt.error), ..ended }])
    }

    /// Returns what tells the event from others.
    fn key(&self) -> (EventKind, VideoProcessingJobId, Timestamp) {
        (self.event, self.job_id, self.at)
    }

    fn key_in_order(&self) -> (Timestamp, VideoProcessingJobId, EventKind) {
        (self.at, self.job_id, self.event)
    }
}
