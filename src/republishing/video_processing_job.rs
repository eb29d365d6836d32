//! The work queue: one row for each step a worker takes on a video.

use std::borrow::Cow;

use diesel::dsl::sql;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Channel, Video};
use crate::db::json_upsert::{Document, Id, Table};
use crate::db::{DbConnection, MultiBackend, Page, children, insert_many, on_backend};
use crate::error::{Result, ResultExt, require_indexable};
use crate::schema::video_processing_jobs;
use crate::types::sql::{Bool, Int4, Uuid};
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
    /// Identifier, a UUID of version 7 when we make it.
    pub id: VideoProcessingJobId,
    /// Video to work on.
    pub video_id: VideoId,
    /// Channel the video is made for.
    pub channel_id: ChannelId,
    /// What is to be done.
    pub job_type: JobType,
    /// How far the job is.
    pub status: JobStatus,
    /// Higher goes first.
    pub priority: i32,
    /// How often it was taken.
    pub attempts: i32,
    /// How often it may be taken before it has failed.
    pub max_attempts: i32,
    /// Why it last failed.
    pub error_message: Option<String>,
    /// More about that failure.
    pub error_details: Option<Json>,
    /// When it was put in the queue.
    pub queued_at: Timestamp,
    /// When it was last taken.
    pub started_at: Option<Timestamp>,
    /// When it was finished.
    pub completed_at: Option<Timestamp>,
    /// How long it took, in seconds.
    pub duration: Option<i32>,
    /// GitHub workflow run that works on it.
    pub github_workflow_run_id: Option<String>,
    /// Not to be taken before.
    pub run_at: Timestamp,
    /// Token of the present claim.
    pub lease_token: Option<LeaseToken>,
    /// Worker that holds the claim.
    pub leased_by: Option<String>,
    /// When the claim lapses unless renewed.
    pub lease_expires_at: Option<Timestamp>,
    /// At most one unfinished job has this key.
    pub unique_key: Option<String>,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When the row last changed.
    pub updated_at: Timestamp,
}

/// What is known of a new row; `None` leaves a column to its default. The fields are those of
/// [`VideoProcessingJob`].
#[derive(Debug, Clone, Serialize, Deserialize, Insertable)]
#[diesel(table_name = video_processing_jobs)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // as the row's
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
}

/// What is to change in a row: `None` leaves a column alone, `Some(None)` writes NULL. The fields are
/// those of [`VideoProcessingJob`].
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = video_processing_jobs)]
#[allow(missing_docs)] // as the row's
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
}

/// Which rows to list; `None` asks nothing of a column.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // as the row's
pub struct VideoProcessingJobFilter {
    pub video_id: Option<VideoId>,
    pub channel_id: Option<ChannelId>,
    pub job_type: Option<JobType>,
    pub status: Option<JobStatus>,
}

impl VideoProcessingJobFilter {
    /// The rows that it asks for.
    fn rows(&self) -> video_processing_jobs::BoxedQuery<'_, MultiBackend> {
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
        query
    }
}

impl VideoProcessingJob {
    /// The row with this id; `NotFound` if there is none.
    pub fn find(conn: &mut DbConnection, id: VideoProcessingJobId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("video_processing_jobs", id)
    }

    /// Rows, newest first; `NotFound` if the row that `page` begins behind is gone.
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
            Self::find(conn, after)?; // a page behind a row that is gone would pass for the last one
        }
        Ok(rows)
    }

    /// How many rows there are.
    pub fn count(conn: &mut DbConnection, filter: &VideoProcessingJobFilter) -> Result<i64> {
        filter.rows().count().get_result(conn).of("video_processing_jobs", "")
    }

    /// Returns true if there is such a row.
    pub fn exists(conn: &mut DbConnection, filter: &VideoProcessingJobFilter) -> Result<bool> {
        let row: Option<i32> = filter
            .rows()
            .select(1.into_sql::<Int4>())
            .first(conn)
            .optional()
            .of("video_processing_jobs", "")?;
        Ok(row.is_some())
    }

    /// The jobs of each of these videos, newest first: the first list is that of the first one. One query loads those of 30,000.
    pub fn of_videos(conn: &mut DbConnection, videos: &[Video]) -> Result<Vec<Vec<Self>>> {
        children(videos, |videos| {
            on_backend!(&mut *conn, |c| Self::belonging_to(videos)
                .select(Self::as_select())
                .order((video_processing_jobs::queued_at.desc(), video_processing_jobs::id.desc()))
                .load(c))
            .of("video_processing_jobs", "")
        })
    }

    /// The waiting jobs of a type in the order they are to be done: by priority, then by age.
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

    /// Deletes a row; the count is 0 if there is none.
    pub fn delete(conn: &mut DbConnection, id: VideoProcessingJobId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(video_processing_jobs::table.find(id)).execute(c))
            .of("video_processing_jobs", id)
    }
}

impl<'a> NewVideoProcessingJob<'a> {
    /// A row with what it must have, and every other column left to its default.
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
        }
    }
}

impl NewVideoProcessingJob<'_> {
    /// Refuses a text that is too long for an index.
    pub(crate) fn require_indexable(&self) -> Result<()> {
        require_indexable("unique_key", self.unique_key.as_ref())
    }

    /// Inserts the row and returns it with its defaults.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<VideoProcessingJob> {
        self.require_indexable()?;
        on_backend!(conn, |c| diesel::insert_into(video_processing_jobs::table)
            .values(self)
            .returning(VideoProcessingJob::as_returning())
            .get_result(c))
        .of("video_processing_jobs", "")
    }

    /// Inserts all rows, or none if one of them does not fit, and returns their count.
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
        keep: &[],
        json: &["error_details"],
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
    /// Changes the row with this id and returns it; `NotFound` if there is none.
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
    /// What is to be done.
    pub enum JobType {
        Scrape = "scrape",
        Download = "download",
        Transform = "transform",
        Publish = "publish",
        MusicReplace = "music_replace",
    }
}

portable! {
    /// How far the job is.
    pub enum JobStatus {
        Queued = "queued",
        Processing = "processing",
        Completed = "completed",
        Failed = "failed",
        Retrying = "retrying",
    }
}
