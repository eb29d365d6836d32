//! Source videos and the progress of their download, transformation and publication.

mod lifecycle;

use std::borrow::Cow;

use diesel::dsl::sql;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Channel, Music, TransformationPreset};
use crate::db::json_upsert::{Document, Id, Table};
use crate::db::{DbConnection, MultiBackend, Page, children, insert_many, on_backend};
use crate::error::{Result, ResultExt, require_indexable};
use crate::schema::videos;
use crate::types::sql::{Bool, Int4, Uuid};
use crate::types::{ChannelId, Json, MusicId, Timestamp, TransformationPresetId, VideoId, portable};

pub use lifecycle::VideoMove;

/// One row of `videos`.
#[derive(
    Debug, Clone, PartialEq, Serialize, Deserialize, HasQuery, QueryableByName, Identifiable, Associations,
)]
#[diesel(table_name = videos, check_for_backend(crate::db::MultiBackend))]
#[diesel(belongs_to(Channel, foreign_key = channel_id))]
#[diesel(belongs_to(TransformationPreset, foreign_key = transformation_preset_id))]
#[diesel(belongs_to(Music, foreign_key = music_track_id))]
#[non_exhaustive]
pub struct Video {
    /// Primary key. viraldb generates version 7 UUIDs.
    pub id: VideoId,
    /// Channel that the video is made for.
    pub channel_id: ChannelId,
    /// URL of the source.
    pub source_url: String,
    /// Title of the source.
    pub source_title: String,
    /// Creator of the source.
    pub source_creator: Option<String>,
    /// Platform of the source, such as tiktok.
    pub source_platform: String,
    /// When the source was found.
    pub scraped_at: Timestamp,
    /// Status of the download.
    pub download_status: DownloadStatus,
    /// URL of the downloaded file.
    pub download_url: Option<String>,
    /// File size in bytes.
    pub download_size: Option<i64>,
    /// Duration in seconds.
    pub download_duration: Option<i32>,
    /// Resolution, such as 1080p.
    pub download_resolution: Option<String>,
    /// Status of the transformation.
    pub transformation_status: TransformationStatus,
    /// Preset for the transformation.
    pub transformation_preset_id: Option<TransformationPresetId>,
    /// Parameters of the transformation.
    pub transformation_params: Option<Json>,
    /// URL of the transformed file.
    pub transformed_url: Option<String>,
    /// File size in bytes.
    pub transformed_size: Option<i64>,
    /// When the transformation began.
    pub processing_started_at: Option<Timestamp>,
    /// When the transformation ended.
    pub processing_completed_at: Option<Timestamp>,
    /// Duration of the transformation in seconds.
    pub processing_duration: Option<i32>,
    /// Status of the publication.
    pub publication_status: PublicationStatus,
    /// When the video is scheduled to be published.
    pub scheduled_publication_at: Option<Timestamp>,
    /// When the video was published.
    pub published_at: Option<Timestamp>,
    /// YouTube's id of the published video.
    pub youtube_video_id: Option<String>,
    /// URL of the published video on YouTube.
    pub youtube_video_url: Option<String>,
    /// Title for publication.
    pub final_title: Option<String>,
    /// Description for publication.
    pub final_description: Option<String>,
    /// Tags for publication.
    pub final_tags: Option<Json>,
    /// Whether the music was replaced.
    pub music_replaced: bool,
    /// Track that replaced the music.
    pub music_track_id: Option<MusicId>,
    /// Additional data.
    pub metadata: Json,
    /// One entry for each status change: `{at, field, from, to}`.
    pub processing_history: Json,
    /// The furthest stage that the video has reached, or failed. The database computes this column.
    pub status: VideoStatus,
    /// When the row was created.
    pub created_at: Timestamp,
    /// When the row last changed.
    pub updated_at: Timestamp,
}

/// A row to insert: `None` means the column's default. See [`Video`] for the fields.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Insertable)]
#[diesel(table_name = videos)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // documented on the row
pub struct NewVideo<'a> {
    #[serde(default)]
    pub id: VideoId,
    pub channel_id: ChannelId,
    pub source_url: Cow<'a, str>,
    pub source_title: Cow<'a, str>,
    pub source_creator: Option<Cow<'a, str>>,
    pub source_platform: Cow<'a, str>,
    pub scraped_at: Option<Timestamp>,
    pub download_status: Option<DownloadStatus>,
    pub download_url: Option<Cow<'a, str>>,
    pub download_size: Option<i64>,
    pub download_duration: Option<i32>,
    pub download_resolution: Option<Cow<'a, str>>,
    pub transformation_status: Option<TransformationStatus>,
    pub transformation_preset_id: Option<TransformationPresetId>,
    pub transformation_params: Option<Json>,
    pub transformed_url: Option<Cow<'a, str>>,
    pub transformed_size: Option<i64>,
    pub processing_started_at: Option<Timestamp>,
    pub processing_completed_at: Option<Timestamp>,
    pub processing_duration: Option<i32>,
    pub publication_status: Option<PublicationStatus>,
    pub scheduled_publication_at: Option<Timestamp>,
    pub published_at: Option<Timestamp>,
    pub youtube_video_id: Option<Cow<'a, str>>,
    pub youtube_video_url: Option<Cow<'a, str>>,
    pub final_title: Option<Cow<'a, str>>,
    pub final_description: Option<Cow<'a, str>>,
    pub final_tags: Option<Json>,
    pub music_replaced: Option<bool>,
    pub music_track_id: Option<MusicId>,
    pub metadata: Option<Json>,
    pub processing_history: Option<Json>,
    pub created_at: Option<Timestamp>,
    pub updated_at: Option<Timestamp>,
}

/// Changes to a row: `None` keeps the stored value, and `Some(None)` stores NULL. See [`Video`] for the fields.
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = videos)]
#[allow(missing_docs)] // documented on the row
pub struct VideoChanges<'a> {
    pub channel_id: Option<ChannelId>,
    pub source_url: Option<Cow<'a, str>>,
    pub source_title: Option<Cow<'a, str>>,
    pub source_creator: Option<Option<Cow<'a, str>>>,
    pub source_platform: Option<Cow<'a, str>>,
    pub scraped_at: Option<Timestamp>,
    pub download_status: Option<DownloadStatus>,
    pub download_url: Option<Option<Cow<'a, str>>>,
    pub download_size: Option<Option<i64>>,
    pub download_duration: Option<Option<i32>>,
    pub download_resolution: Option<Option<Cow<'a, str>>>,
    pub transformation_status: Option<TransformationStatus>,
    pub transformation_preset_id: Option<Option<TransformationPresetId>>,
    pub transformation_params: Option<Option<Json>>,
    pub transformed_url: Option<Option<Cow<'a, str>>>,
    pub transformed_size: Option<Option<i64>>,
    pub processing_started_at: Option<Option<Timestamp>>,
    pub processing_completed_at: Option<Option<Timestamp>>,
    pub processing_duration: Option<Option<i32>>,
    pub publication_status: Option<PublicationStatus>,
    pub scheduled_publication_at: Option<Option<Timestamp>>,
    pub published_at: Option<Option<Timestamp>>,
    pub youtube_video_id: Option<Option<Cow<'a, str>>>,
    pub youtube_video_url: Option<Option<Cow<'a, str>>>,
    pub final_title: Option<Option<Cow<'a, str>>>,
    pub final_description: Option<Option<Cow<'a, str>>>,
    pub final_tags: Option<Option<Json>>,
    pub music_replaced: Option<bool>,
    pub music_track_id: Option<Option<MusicId>>,
    pub metadata: Option<Json>,
    pub processing_history: Option<Json>,
}

/// Selects rows for `list`, `count` and `exists`; a `None` field matches every row.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // documented on the row
pub struct VideoFilter {
    pub channel_id: Option<ChannelId>,
    pub download_status: Option<DownloadStatus>,
    pub transformation_status: Option<TransformationStatus>,
    pub publication_status: Option<PublicationStatus>,
    pub status: Option<VideoStatus>,
}

impl VideoFilter {
    /// Returns the query for the matching rows.
    fn rows(&self) -> videos::BoxedQuery<'_, MultiBackend> {
        let mut query = videos::table.into_boxed();
        if let Some(channel_id) = self.channel_id {
            query = query.filter(videos::channel_id.eq(channel_id));
        }
        if let Some(download_status) = self.download_status {
            query = query.filter(videos::download_status.eq(download_status));
        }
        if let Some(transformation_status) = self.transformation_status {
            query = query.filter(videos::transformation_status.eq(transformation_status));
        }
        if let Some(publication_status) = self.publication_status {
            query = query.filter(videos::publication_status.eq(publication_status));
        }
        if let Some(status) = self.status {
            query = query.filter(videos::status.eq(status));
        }
        query
    }
}

impl Video {
    /// Returns the row with this id.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no video has this id.
    pub fn find(conn: &mut DbConnection, id: VideoId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("videos", id)
    }

    /// Returns one page of the matching rows, newest first.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if the row `page.after` was deleted; list again from
    /// the first page.
    pub fn list(conn: &mut DbConnection, filter: &VideoFilter, page: &Page<VideoId>) -> Result<Vec<Self>> {
        let mut query = filter.rows();
        if let Some(after) = page.after {
            query = query.filter(
                sql::<Bool>(
                    "(videos.created_at, videos.id) < (SELECT created_at, id FROM videos WHERE id = ",
                )
                .bind::<Uuid, _>(after)
                .sql(")"),
            );
        }
        let rows: Vec<Self> = query
            .select(Self::as_select())
            .order((videos::created_at.desc(), videos::id.desc()))
            .limit(page.at_most())
            .load(conn)
            .of("videos", "")?;
        if let (true, Some(after)) = (rows.is_empty(), page.after) {
            Self::find(conn, after)?; // if the row was deleted, an empty page would look like the end of the list
        }
        Ok(rows)
    }

    /// Returns the number of matching rows.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn count(conn: &mut DbConnection, filter: &VideoFilter) -> Result<i64> {
        filter.rows().count().get_result(conn).of("videos", "")
    }

    /// Returns true if at least one row matches.
    ///
    /// # Errors
    /// The errors of [`count`](Self::count).
    pub fn exists(conn: &mut DbConnection, filter: &VideoFilter) -> Result<bool> {
        let row: Option<i32> =
            filter.rows().select(1.into_sql::<Int4>()).first(conn).optional().of("videos", "")?;
        Ok(row.is_some())
    }

    /// Returns a list of videos for each of these channels, newest first. The lists are in the order of `channels`.
    ///
    /// One query loads the videos of up to 30,000 channels.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn of_channels(conn: &mut DbConnection, channels: &[Channel]) -> Result<Vec<Vec<Self>>> {
        children(channels, |channels| {
            on_backend!(&mut *conn, |c| Self::belonging_to(channels)
                .select(Self::as_select())
                .order((videos::created_at.desc(), videos::id.desc()))
                .load(c))
            .of("videos", "")
        })
    }

    /// Deletes a row and returns the number of rows deleted, which is 0 if the row did not exist.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). The jobs and statistics
    /// of the video are deleted with it.
    pub fn delete(conn: &mut DbConnection, id: VideoId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(videos::table.find(id)).execute(c)).of("videos", id)
    }
}

impl<'a> NewVideo<'a> {
    /// Creates a row from its required columns; every other column gets its default.
    pub fn new(
        channel_id: ChannelId,
        source_url: impl Into<Cow<'a, str>>,
        source_title: impl Into<Cow<'a, str>>,
        source_platform: impl Into<Cow<'a, str>>,
    ) -> Self {
        Self {
            channel_id,
            source_url: source_url.into(),
            source_title: source_title.into(),
            source_platform: source_platform.into(),
            ..Self::default()
        }
    }
}

impl NewVideo<'_> {
    /// Rejects text that is too long for an indexed column.
    fn require_indexable(&self) -> Result<()> {
        require_indexable("youtube_video_id", self.youtube_video_id.as_ref())
    }

    /// Inserts the row and returns it with its defaults filled in.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if the channel, the preset or the track does not exist,
    /// or if `youtube_video_id` has more than 2,600 bytes; [`Conflict`](crate::Error::Conflict) if
    /// `id` already exists.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<Video> {
        self.require_indexable()?;
        on_backend!(conn, |c| diesel::insert_into(videos::table)
            .values(self)
            .returning(Video::as_returning())
            .get_result(c))
        .of("videos", "")
    }

    /// Inserts all rows and returns their count. If one of them is rejected, none is inserted.
    ///
    /// # Errors
    /// The errors of [`insert`](Self::insert), for any of the rows.
    pub fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        rows.iter().try_for_each(Self::require_indexable)?;
        insert_many::<_, Self>(conn, videos::table, "videos", rows)
    }
}

impl Document for NewVideo<'static> {
    const TABLE: Table = Table {
        name: "videos",
        id: Id::Uuid,
        key: &[],
        origin: &[],
        parents: &[
            ("channel_id", "channels"),
            ("transformation_preset_id", "transformation_presets"),
            ("music_track_id", "music"),
        ],
        keep: &[],
        json: &["transformation_params", "final_tags", "metadata", "processing_history"],
        times: &[
            "scraped_at",
            "processing_started_at",
            "processing_completed_at",
            "scheduled_publication_at",
            "published_at",
            "created_at",
            "updated_at",
        ],
    };
}

impl VideoChanges<'_> {
    /// Updates the row with this id and returns it.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no video has this id;
    /// [`Invalid`](crate::Error::Invalid) if the new channel, preset or track does not exist, or if
    /// `youtube_video_id` has more than 2,600 bytes.
    pub fn update(&self, conn: &mut DbConnection, id: VideoId) -> Result<Video> {
        require_indexable("youtube_video_id", self.youtube_video_id.as_ref().and_then(Option::as_ref))?;
        on_backend!(conn, |c| diesel::update(videos::table.find(id))
            .set((self, videos::updated_at.eq(Timestamp::now())))
            .returning(Video::as_returning())
            .get_result(c))
        .of("videos", id)
    }
}

portable! {
    /// Status of a download.
    pub enum DownloadStatus {
        Pending = "pending",
        Downloading = "downloading",
        Downloaded = "downloaded",
        Failed = "failed",
    }
}

portable! {
    /// Status of a transformation.
    pub enum TransformationStatus {
        Pending = "pending",
        Processing = "processing",
        Transformed = "transformed",
        Failed = "failed",
    }
}

portable! {
    /// Status of a publication.
    pub enum PublicationStatus {
        Pending = "pending",
        Scheduled = "scheduled",
        Publishing = "publishing",
        Published = "published",
        Failed = "failed",
    }
}

portable! {
    /// The furthest stage that a video has reached, or failed. The database computes it.
    pub enum VideoStatus {
        Failed = "failed",
        Published = "published",
        Publishing = "publishing",
        Scheduled = "scheduled",
        Transformed = "transformed",
        Processing = "processing",
        Downloaded = "downloaded",
        Downloading = "downloading",
        Pending = "pending",
    }
}
