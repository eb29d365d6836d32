//! Schedules: jobs that are enqueued again and again, at the times of a cron expression.

mod cron;
mod tick;

use std::borrow::Cow;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::enqueue;
use crate::db::clock::now;
use crate::db::{DbConnection, Page, on_backend};
use crate::error::{Error, Result, ResultExt, require};
use crate::republishing::{Channel, JobType, NewVideoProcessingJob, Video, VideoProcessingJob};
use crate::schema::viraldb_job_schedules as schedules;
use crate::types::{ChannelId, Json, Timestamp, VideoId, portable};

pub use cron::Cron;
pub use tick::{Ticked, next_tick, tick, tick_all};

/// One row of `viraldb_job_schedules`: a job that is enqueued again and again.
///
/// A [`Worker`](super::Worker) enqueues the jobs when they are due; so does [`tick`]. However many of them run, each tick
/// enqueues one job.
///
/// ```
/// use viraldb::queue::{self, JobSchedule, NewJobSchedule};
/// use viraldb::republishing::JobType;
///
/// # fn main() -> viraldb::Result<()> {
/// let db = viraldb::Database::open("sqlite::memory:")?;
/// # let channel = db.write(|c| viraldb::republishing::NewChannel::default().insert(c))?;
/// # let video = viraldb::republishing::NewVideo { channel_id: channel.id, ..Default::default() };
/// # let video = db.write(|c| video.insert(c))?;
/// let schedule = NewJobSchedule {
///     time_zone: Some("Europe/Berlin".into()),
///     ..NewJobSchedule::new("mornings", video.id, channel.id, JobType::Scrape, "0 6 * * *")
/// };
/// db.write(|c| schedule.insert_or_update(c))?; // when the program starts
/// assert!(db.read(|c| JobSchedule::find(c, "mornings"))?.next_at > viraldb::Timestamp::now());
/// # Ok(())
/// # }
/// ```
#[derive(
    Debug, Clone, PartialEq, Serialize, Deserialize, HasQuery, QueryableByName, Identifiable, Associations,
)]
#[diesel(table_name = schedules, primary_key(name), check_for_backend(crate::db::MultiBackend))]
#[diesel(belongs_to(Video, foreign_key = video_id))]
#[diesel(belongs_to(Channel, foreign_key = channel_id))]
#[non_exhaustive]
pub struct JobSchedule {
    /// Primary key: the name of the schedule.
    pub name: String,
    /// Type of the jobs.
    pub job_type: JobType,
    /// Video of the jobs.
    pub video_id: VideoId,
    /// Channel of the jobs.
    pub channel_id: ChannelId,
    /// When jobs are enqueued, as a cron expression. See [`Cron`].
    pub cron: String,
    /// Time zone of the cron expression, as in the IANA database.
    pub time_zone: String,
    /// Data for the handler of the jobs.
    pub payload: Option<Json>,
    /// Priority of the jobs; higher is claimed first.
    pub priority: i32,
    /// Maximum number of attempts of the jobs. `None` means the setting `default_retry_attempts` of the channel.
    pub max_attempts: Option<i32>,
    /// What happens to ticks that no worker was there for.
    pub missed: MissedTicks,
    /// Whether a job is enqueued while the previous one is not finished.
    pub overlap: bool,
    /// Whether the schedule enqueues nothing.
    pub paused: bool,
    /// The next tick.
    pub next_at: Timestamp,
    /// The last tick that a worker saw.
    pub last_at: Option<Timestamp>,
    /// When the row was created.
    pub created_at: Timestamp,
    /// When the row last changed.
    pub updated_at: Timestamp,
}

/// A schedule to insert: `None` means the column's default. See [`JobSchedule`] for the fields.
#[derive(Debug, Clone, Serialize, Deserialize, Insertable)]
#[diesel(table_name = schedules)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // documented on the row
pub struct NewJobSchedule<'a> {
    pub name: Cow<'a, str>,
    pub job_type: JobType,
    pub video_id: VideoId,
    pub channel_id: ChannelId,
    pub cron: Cow<'a, str>,
    pub time_zone: Option<Cow<'a, str>>,
    pub payload: Option<Json>,
    pub priority: Option<i32>,
    pub max_attempts: Option<i32>,
    pub missed: Option<MissedTicks>,
    pub overlap: Option<bool>,
    pub paused: Option<bool>,
}

/// Changes to a schedule: `None` keeps the stored value, and `Some(None)` stores NULL. See [`JobSchedule`] for the fields.
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = schedules)]
#[allow(missing_docs)] // documented on the row
pub struct JobScheduleChanges<'a> {
    pub job_type: Option<JobType>,
    pub video_id: Option<VideoId>,
    pub channel_id: Option<ChannelId>,
    pub cron: Option<Cow<'a, str>>,
    pub time_zone: Option<Cow<'a, str>>,
    pub payload: Option<Option<Json>>,
    pub priority: Option<i32>,
    pub max_attempts: Option<Option<i32>>,
    pub missed: Option<MissedTicks>,
    pub overlap: Option<bool>,
    pub paused: Option<bool>,
}

impl JobSchedule {
    /// Returns the schedule with this name.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no schedule has this name.
    pub fn find(conn: &mut DbConnection, name: &str) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(name).first(c)).of("viraldb_job_schedules", name)
    }

    /// Returns one page of the schedules, ordered by name.
    ///
    /// # Errors
    /// Only the [errors of the database](crate::Error#errors-of-the-database).
    pub fn list(conn: &mut DbConnection, page: &Page<String>) -> Result<Vec<Self>> {
        let after = page.after.as_deref();
        on_backend!(conn, |c| {
            let mut query = schedules::table.into_boxed::<Backend>();
            if let Some(after) = after {
                query = query.filter(schedules::name.gt(after));
            }
            query.select(Self::as_select()).order(schedules::name).limit(page.at_most()).load(c)
        })
        .of("viraldb_job_schedules", "")
    }

    /// Returns the expression and its time zone.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if another program stored an invalid one.
    pub fn parse_cron(&self) -> Result<Cron> {
        Cron::parse(&self.cron, &self.time_zone)
    }

    /// Returns the next `count` ticks, whether or not the schedule is paused. The first one is [`next_at`](Self::next_at).
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if another program stored an invalid expression or time zone, or one that has no time in
    /// four years.
    pub fn next_times(&self, count: usize) -> Result<Vec<Timestamp>> {
        let mut times = vec![self.next_at];
        times.truncate(count);
        times.extend(self.parse_cron()?.next_times(self.next_at, count.saturating_sub(1))?);
        Ok(times)
    }

    /// Enqueues a job of the schedule now, also if the schedule is paused. The next tick stays as it is.
    ///
    /// Returns `None` if the schedule does not overlap and its previous job is not finished.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no schedule has this name, and the errors of [`enqueue`].
    pub fn enqueue_now(conn: &mut DbConnection, name: &str) -> Result<Option<VideoProcessingJob>> {
        conn.atomically(|conn| {
            let schedule = Self::find(conn, name)?;
            enqueue(conn, &schedule.job((!schedule.overlap).then(|| schedule.key())))
        })
    }

    /// Pauses a schedule, so that it enqueues nothing, and returns it.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no schedule has this name.
    pub fn pause(conn: &mut DbConnection, name: &str) -> Result<Self> {
        JobScheduleChanges { paused: Some(true), ..Default::default() }.update(conn, name)
    }

    /// Resumes a paused schedule and returns it. It goes on with the next tick from now: ticks during the pause are not missed.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no schedule has this name. [`Invalid`](crate::Error::Invalid) if its expression or
    /// its time zone is invalid.
    pub fn resume(conn: &mut DbConnection, name: &str) -> Result<Self> {
        JobScheduleChanges { paused: Some(false), ..Default::default() }.update(conn, name)
    }

    /// Deletes a schedule and returns the number of rows deleted, which is 0 if it did not exist. Its jobs stay.
    ///
    /// # Errors
    /// Only the [errors of the database](crate::Error#errors-of-the-database).
    pub fn delete(conn: &mut DbConnection, name: &str) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(schedules::table.find(name)).execute(c))
            .of("viraldb_job_schedules", name)
    }

    /// Returns the key of a job that must not overlap with another one.
    fn key(&self) -> String {
        format!("schedule:{}", self.name)
    }

    fn job(&self, key: Option<String>) -> NewVideoProcessingJob<'static> {
        NewVideoProcessingJob {
            priority: Some(self.priority),
            max_attempts: self.max_attempts,
            payload: self.payload.clone(),
            unique_key: key.map(Into::into),
            ..NewVideoProcessingJob::new(self.video_id, self.channel_id, self.job_type)
        }
    }
}

impl<'a> NewJobSchedule<'a> {
    /// Creates a schedule from its required columns; every other column gets its default.
    pub fn new(
        name: impl Into<Cow<'a, str>>,
        video_id: VideoId,
        channel_id: ChannelId,
        job_type: JobType,
        cron: impl Into<Cow<'a, str>>,
    ) -> Self {
        Self {
            name: name.into(),
            job_type,
            video_id,
            channel_id,
            cron: cron.into(),
            time_zone: None,
            payload: None,
            priority: None,
            max_attempts: None,
            missed: None,
            overlap: None,
            paused: None,
        }
    }
}

impl NewJobSchedule<'_> {
    /// Inserts the schedule and returns it with its defaults filled in.
    ///
    /// # Errors
    /// [`Conflict`](crate::Error::Conflict) if the name exists. [`Invalid`](crate::Error::Invalid) if the name is empty or has
    /// more than 200 bytes, the expression or the time zone is invalid, the expression has no time within four years, the video
    /// or the channel does not exist, or `max_attempts` is less than 1.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<JobSchedule> {
        let next_at = schedules::next_at.eq(self.check(conn)?);
        on_backend!(conn, |c| diesel::insert_into(schedules::table)
            .values((self, next_at))
            .returning(JobSchedule::as_returning())
            .get_result(c))
        .of("viraldb_job_schedules", &self.name)
    }

    /// Inserts the schedule or, if the name exists, updates the columns that are `Some`, and returns it.
    ///
    /// Call it when your program starts. The next tick changes only if the expression or the time zone does, so no tick is lost.
    ///
    /// # Errors
    /// The errors of [`insert`](Self::insert), except `Conflict`.
    pub fn insert_or_update(&self, conn: &mut DbConnection) -> Result<JobSchedule> {
        let next_at = schedules::next_at.eq(self.check(conn)?);
        conn.atomically(|conn| {
            let inserted = on_backend!(&mut *conn, |c| diesel::insert_into(schedules::table)
                .values((self, next_at))
                .on_conflict(schedules::name)
                .do_nothing()
                .returning(JobSchedule::as_returning())
                .get_result(c)
                .optional())
            .of("viraldb_job_schedules", &self.name)?;
            let Self {
                name,
                job_type,
                video_id,
                channel_id,
                cron,
                time_zone,
                payload,
                priority,
                max_attempts,
                missed,
                overlap,
                paused,
            } = self;
            let changes = || JobScheduleChanges {
                job_type: Some(*job_type),
                video_id: Some(*video_id),
                channel_id: Some(*channel_id),
                cron: Some(Cow::Borrowed(cron)),
                time_zone: time_zone.as_deref().map(Cow::Borrowed),
                payload: payload.clone().map(Some),
                priority: *priority,
                max_attempts: max_attempts.map(Some),
                missed: *missed,
                overlap: *overlap,
                paused: *paused,
            };
            inserted.map_or_else(|| changes().update(conn, name), Ok)
        })
    }

    /// Returns the next tick, or why the schedule is invalid.
    fn check(&self, conn: &mut DbConnection) -> Result<Timestamp> {
        const MOST: usize = 200;
        require("name", &self.name)?;
        if self.name.len() > MOST {
            let reason = format!("has {} bytes; the maximum is {MOST}", self.name.len());
            return Err(Error::invalid("name", reason));
        }
        let cron = Cron::parse(&self.cron, self.time_zone.as_deref().unwrap_or("UTC"))?;
        cron.next_after(current_time(conn)?)
    }
}

impl JobScheduleChanges<'_> {
    /// Updates the schedule with this name and returns it.
    ///
    /// If the expression or the time zone changes, or a paused schedule is resumed, its next tick is the first one from now.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no schedule has this name; [`Invalid`](crate::Error::Invalid) for the values that
    /// [`NewJobSchedule::insert`] rejects.
    pub fn update(&self, conn: &mut DbConnection, name: &str) -> Result<JobSchedule> {
        conn.atomically(|conn| {
            let found = || {
                let columns = (schedules::cron, schedules::time_zone, schedules::paused, schedules::last_at);
                schedules::table.find(name).select(columns)
            };
            let (old_cron, old_zone, was_paused, last_at): (String, String, bool, Option<Timestamp>) =
                on_backend!(
                    &mut *conn,
                    sqlite => |c| found().first(c),
                    // A scheduler that moves the next tick would overwrite the new one.
                    postgres => |c| found().for_update().first(c),
                )
                .of("viraldb_job_schedules", name)?;
            let cron = self.cron.as_deref().unwrap_or(&old_cron);
            let zone = self.time_zone.as_deref().unwrap_or(&old_zone);
            let next_at =
                if (cron, zone) != (&*old_cron, &*old_zone) || was_paused && self.paused == Some(false) {
                    let now = current_time(conn)?;
                    // After the last tick also if the clock was set back, so that no tick comes twice.
                    Some(Cron::parse(cron, zone)?.next_after(last_at.map_or(now, |last| last.max(now)))?)
                } else {
                    None
                };
            let next_at = next_at.map(|next_at| schedules::next_at.eq(next_at));
            on_backend!(conn, |c| diesel::update(schedules::table.find(name))
                .set((self, next_at, schedules::updated_at.eq(now())))
                .returning(JobSchedule::as_returning())
                .get_result(c))
            .of("viraldb_job_schedules", name)
        })
    }
}

/// Returns the time by the clock of the database, which decides when a schedule is due.
fn current_time(conn: &mut DbConnection) -> Result<Timestamp> {
    on_backend!(conn, |c| diesel::select(now()).get_result(c)).of("viraldb_job_schedules", "")
}

portable! {
    /// What happens to ticks that no worker was there for.
    pub enum MissedTicks {
        Skip = "skip",
        Once = "once",
        All = "all",
    }
}
