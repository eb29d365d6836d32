//! The work queue: one row for each step that a worker performs on a video.

use std::borrow::Cow;

use diesel::dsl::sql;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Channel, Video};
use crate::db::json_upsert::{Document, Id, Table};
use crate::db::{DbConnection, MultiBackend, Page, children, insert_many, on_backend};
use crate::error::{Error, Result, ResultExt, require_indexable};
use crate::schema::video_processing_jobs;
use crate::types::sql::{Bool, Int4, Text, Uuid};
use crate::types::{ChannelId, Json, LeaseToken, Timestamp, VideoId, VideoProcessingJobId, portable};

/// One row of `video_processing_jobs`.
#[derive(
    Debug, Clone, PartialEq, Serialize, Deserialize, HasQuery, QueryableByName, Identifiable, Associations,
)]
#[diesel(table_name = video_processing_jobs, check_for_backend(crate::db::MultiBackend))]
#[diesel(belongs_to(Video, foreign_key = video_id))]
#[diesel(belongs_to(Channel, foreign_key = channel_id))]
#[non_exhaustive]
pub struct VideoProcessingJob {
    /// Primary key. viraldb generates version 7 UUIDs.
    pub id: VideoProcessingJobId,
    /// Video to process.
    pub video_id: VideoId,
    /// Channel that the video is made for.
    pub channel_id: ChannelId,
    /// Type of the work.
    pub job_type: JobType,
    /// Status of the job.
    pub status: JobStatus,
    /// Priority; higher is claimed first.
    pub priority: i32,
    /// How many times the job was claimed.
    pub attempts: i32,
    /// Maximum number of claims before the job fails.
    pub max_attempts: i32,
    /// Why the job last failed.
    pub error_message: Option<String>,
    /// Details of the last failure.
    pub error_details: Option<Json>,
    /// When the job was queued.
    pub queued_at: Timestamp,
    /// When the job was last claimed.
    pub started_at: Option<Timestamp>,
    /// When the job was finished.
    pub completed_at: Option<Timestamp>,
    /// How long the work took, in seconds.
    pub duration: Option<i32>,
    /// GitHub workflow run that works on the job.
    pub github_workflow_run_id: Option<String>,
    /// The job must not be claimed before this time.
    pub run_at: Timestamp,
    /// Lease token of the current claim.
    pub lease_token: Option<LeaseToken>,
    /// Worker that holds the lease.
    pub leased_by: Option<String>,
    /// When the lease expires unless it is renewed.
    pub lease_expires_at: Option<Timestamp>,
    /// At most one unfinished job can have this key.
    pub unique_key: Option<String>,
    /// When the row was created.
    pub created_at: Timestamp,
    /// When the row last changed.
    pub updated_at: Timestamp,
    /// Data for the handler of the job.
    pub payload: Option<Json>,
    /// How much of the work is done, from 0 to 1, as the worker reported it.
    pub progress: Option<f64>,
    /// What the worker is doing, as it reported it.
    pub progress_note: Option<String>,
}

/// A row to insert: `None` means the column's default. See [`VideoProcessingJob`] for the fields.
#[derive(Debug, Clone, Serialize, Deserialize, Insertable)]
#[diesel(table_name = video_processing_jobs)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // documented on the row
pub struct NewVideoProcessingJob<'a> {
    #[serde(default)]
    pub id: VideoProcessingJobId,
    pub video_id: VideoId,
    pub channel_id: ChannelId,
    pub job_type: JobType,
    pub status: Option<JobStatus>,
    pub priority: Option<i32>,
    pub attempts: Option<i32>,
    pub max_attempts: Option<i32>,
    pub error_message: Option<Cow<'a, str>>,
    pub error_details: Option<Json>,
    pub queued_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub duration: Option<i32>,
    pub github_workflow_run_id: Option<Cow<'a, str>>,
    pub run_at: Option<Timestamp>,
    pub lease_token: Option<LeaseToken>,
    pub leased_by: Option<Cow<'a, str>>,
    pub lease_expires_at: Option<Timestamp>,
    pub unique_key: Option<Cow<'a, str>>,
    pub created_at: Option<Timestamp>,
    pub updated_at: Option<Timestamp>,
    pub payload: Option<Json>,
    pub progress: Option<f64>,
    pub progress_note: Option<Cow<'a, str>>,
}

/// Changes to a row: `None` keeps the stored value, and `Some(None)` stores NULL. See [`VideoProcessingJob`] for the fields.
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = video_processing_jobs)]
#[allow(missing_docs)] // documented on the row
pub struct VideoProcessingJobChanges<'a> {
    pub video_id: Option<VideoId>,
    pub channel_id: Option<ChannelId>,
    pub job_type: Option<JobType>,
    pub status: Option<JobStatus>,
    pub priority: Option<i32>,
    pub attempts: Option<i32>,
    pub max_attempts: Option<i32>,
    pub error_message: Option<Option<Cow<'a, str>>>,
    pub error_details: Option<Option<Json>>,
    pub queued_at: Option<Timestamp>,
    pub started_at: Option<Option<Timestamp>>,
    pub completed_at: Option<Option<Timestamp>>,
    pub duration: Option<Option<i32>>,
    pub github_workflow_run_id: Option<Option<Cow<'a, str>>>,
    pub run_at: Option<Timestamp>,
    pub lease_token: Option<Option<LeaseToken>>,
    pub leased_by: Option<Option<Cow<'a, str>>>,
    pub lease_expires_at: Option<Option<Timestamp>>,
    pub unique_key: Option<Option<Cow<'a, str>>>,
    pub payload: Option<Option<Json>>,
    pub progress: Option<Option<f64>>,
    pub progress_note: Option<Option<Cow<'a, str>>>,
}

/// Selects rows for `list`, `count` and `exists`; a `None` field matches every row.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // documented on the row
pub struct VideoProcessingJobFilter {
    pub video_id: Option<VideoId>,
    pub channel_id: Option<ChannelId>,
    pub job_type: Option<JobType>,
    pub status: Option<JobStatus>,
    /// Selects the jobs queued at this time or later.
    pub since: Option<Timestamp>,
    /// Selects the jobs queued before this time.
    pub until: Option<Timestamp>,
    /// Selects the jobs whose last error contains this text; the case matters.
    pub error: Option<String>,
}

impl VideoProcessingJobFilter {
    /// Returns the query for the matching rows.
    pub(crate) fn rows(&self) -> video_processing_jobs::BoxedQuery<'_, MultiBackend> {
        let mut query = video_processing_jobs::table.into_boxed();
        if let Some(video_id) = self.video_id {
            query = query.filter(video_processing_jobs::video_id.eq(video_id));
        }
        if let Some(channel_id) = self.channel_id {
            query = query.filter(video_processing_jobs::channel_id.eq(channel_id));
        }
        if let Some(job_type) = self.job_type {
            query = query.filter(video_processing_jobs::job_type.eq(job_type));
        }
        if let Some(status) = self.status {
            query = query.filter(video_processing_jobs::status.eq(status));
        }
        if let Some(since) = self.since {
            query = query.filter(video_processing_jobs::queued_at.ge(since));
        }
        if let Some(until) = self.until {
            query = query.filter(video_processing_jobs::queued_at.lt(until));
        }
        if let Some(error) = &self.error {
            query = query.filter(
                sql::<Bool>("replace(video_processing_jobs.error_message, ")
                    .bind::<Text, _>(error)
                    .sql(", '') <> video_processing_jobs.error_message"),
            );
        }
        query
    }
}

impl VideoProcessingJob {
    /// Returns the row with this id.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no job has this id.
    pub fn find(conn: &mut DbConnection, id: VideoProcessingJobId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("video_processing_jobs", id)
    }

    /// Returns one page of the matching rows, newest first.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if the row `page.after` was deleted; list again from
    /// the first page.
    pub fn list(
        conn: &mut DbConnection,
        filter: &VideoProcessingJobFilter,
        page: &Page<VideoProcessingJobId>,
    ) -> Result<Vec<Self>> {
        let mut query = filter.rows();
        if let Some(after) = page.after {
            query = query.filter(sql::<Bool>("(video_processing_jobs.queued_at, video_processing_jobs.id) < (SELECT queued_at, id FROM video_processing_jobs WHERE id = ").bind::<Uuid, _>(after).sql(")"));
        }
        let rows: Vec<Self> = query
            .select(Self::as_select())
            .order((video_processing_jobs::queued_at.desc(), video_processing_jobs::id.desc()))
            .limit(page.at_most())
            .load(conn)
            .of("video_processing_jobs", "")?;
        if let (true, Some(after)) = (rows.is_empty(), page.after) {
            Self::find(conn, after)?; // if the row was deleted, an empty page would look like the end of the list
        }
        Ok(rows)
    }

    /// Returns the number of matching rows.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn count(conn: &mut DbConnection, filter: &VideoProcessingJobFilter) -> Result<i64> {
        filter.rows().count().get_result(conn).of("video_processing_jobs", "")
    }

    /// Returns true if at least one row matches.
    ///
    /// # Errors
    /// The errors of [`count`](Self::count).
    pub fn exists(conn: &mut DbConnection, filter: &VideoProcessingJobFilter) -> Result<bool> {
        let row: Option<i32> = filter
            .rows()
            .select(1.into_sql::<Int4>())
            .first(conn)
            .optional()
            .of("video_processing_jobs", "")?;
        Ok(row.is_some())
    }

    /// Returns a list of jobs for each of these videos, newest first. The lists are in the order of `videos`.
    ///
    /// One query loads the jobs of up to 30,000 videos.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn of_videos(conn: &mut DbConnection, videos: &[Video]) -> Result<Vec<Vec<Self>>> {
        children(videos, |videos| {
            on_backend!(&mut *conn, |c| Self::belonging_to(videos)
                .select(Self::as_select())
                .order((video_processing_jobs::queued_at.desc(), video_processing_jobs::id.desc()))
                .load(c))
            .of("video_processing_jobs", "")
        })
    }

    /// Returns the queued jobs of a type: highest priority first, then oldest first.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn queued(conn: &mut DbConnection, job_type: JobType, limit: i64) -> Result<Vec<Self>> {
        on_backend!(conn, |c| {
            Self::query()
                .filter(video_processing_jobs::status.eq(JobStatus::Queued))
                .filter(video_processing_jobs::job_type.eq(job_type))
                .order((
                    video_processing_jobs::priority.desc(),
                    video_processing_jobs::queued_at,
                    video_processing_jobs::id,
                ))
                .limit(limit.max(0))
                .load(c)
        })
        .of("video_processing_jobs", job_type)
    }

    /// Deletes a row and returns the number of rows deleted, which is 0 if the row did not exist.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database), because no table refers
    /// to `video_processing_jobs`.
    pub fn delete(conn: &mut DbConnection, id: VideoProcessingJobId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(video_processing_jobs::table.find(id)).execute(c))
            .of("video_processing_jobs", id)
    }
}

impl<'a> NewVideoProcessingJob<'a> {
    /// Creates a row from its required columns; every other column gets its default.
    pub fn new(video_id: VideoId, channel_id: ChannelId, job_type: JobType) -> Self {
        Self {
            id: VideoProcessingJobId::default(),
            video_id,
            channel_id,
            job_type,
            status: None,
            priority: None,
            attempts: None,
            max_attempts: None,
            error_message: None,
            error_details: None,
            queued_at: None,
            started_at: None,
            completed_at: None,
            duration: None,
            github_workflow_run_id: None,
            run_at: None,
            lease_token: None,
            leased_by: None,
            lease_expires_at: None,
            unique_key: None,
            created_at: None,
            updated_at: None,
            payload: None,
            progress: None,
            progress_note: None,
        }
    }

    /// Sets the data for the handler of the job, which reads it with [`Work::payload`](crate::queue::Work::payload).
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if the value cannot be written as JSON.
    pub fn with_payload(self, payload: &impl Serialize) -> Result<Self> {
        let payload =
            serde_json::to_value(payload).map_err(|error| Error::invalid("payload", error.to_string()))?;
        Ok(Self { payload: Some(payload.into()), ..self })
    }
}

impl NewVideoProcessingJob<'_> {
    /// Rejects text that is too long for an indexed column.
    pub(crate) fn require_indexable(&self) -> Result<()> {
        require_indexable("unique_key", self.unique_key.as_ref())
    }

    /// Inserts the row and returns it with its defaults filled in.
    ///
    /// # Errors
    /// [`Conflict`](crate::Error::Conflict) if `id` already exists or an unfinished job has the
    /// same `unique_key`; [`Invalid`](crate::Error::Invalid) if the video or the channel does not
    /// exist, `attempts` is negative, `max_attempts` is less than 1, `progress` is not from 0 to 1, or
    /// `unique_key` has more than 2,600 bytes.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<VideoProcessingJob> {
        self.require_indexable()?;
        on_backend!(conn, |c| diesel::insert_into(video_processing_jobs::table)
            .values(self)
            .returning(VideoProcessingJob::as_returning())
            .get_result(c))
        .of("video_processing_jobs", "")
    }

    /// Inserts all rows and returns their count. If one of them is rejected, none is inserted.
    ///
    /// # Errors
    /// The errors of [`insert`](Self::insert), for any of the rows.
    pub fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        rows.iter().try_for_each(Self::require_indexable)?;
        insert_many::<_, Self>(conn, video_processing_jobs::table, "video_processing_jobs", rows)
    }
}

impl Document for NewVideoProcessingJob<'static> {
    const TABLE: Table = Table {
        name: "video_processing_jobs",
        id: Id::Uuid,
        key: &[],
        origin: &[],
        parents: &[("video_id", "videos"), ("channel_id", "channels")],
        keep: &[],
        json: &["error_details", "payload"],
        times: &[
            "queued_at",
            "started_at",
            "completed_at",
            "run_at",
            "lease_expires_at",
            "created_at",
            "updated_at",
        ],
    };
}

impl VideoProcessingJobChanges<'_> {
    /// Updates the row with this id and returns it.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no job has this id;
    /// [`Conflict`](crate::Error::Conflict) if another unfinished job has the same `unique_key`;
    /// [`Invalid`](crate::Error::Invalid) for the values that [`NewVideoProcessingJob::insert`]
    /// rejects.
    pub fn update(&self, conn: &mut DbConnection, id: VideoProcessingJobId) -> Result<VideoProcessingJob> {
        require_indexable("unique_key", self.unique_key.as_ref().and_then(Option::as_ref))?;
        on_backend!(conn, |c| diesel::update(video_processing_jobs::table.find(id))
            .set((self, video_processing_jobs::updated_at.eq(Timestamp::now())))
            .returning(VideoProcessingJob::as_returning())
            .get_result(c))
        .of("video_processing_jobs", id)
    }
}

portable! {
    /// Type of the work of a job.
    pub enum JobType {
        Scrape = "scrape",
        Download = "download",
        Transform = "transform",
        Publish = "publish",
        MusicReplace = "music_replace",
    }
}

portable! {
    /// Status of a job in the work queue.
    pub enum JobStatus {
        Queued = "queued",
        Processing = "processing",
        Completed = "completed",
        Failed = "failed",
        Retrying = "retrying",
    }
}
