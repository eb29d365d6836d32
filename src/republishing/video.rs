//! Source videos on their way through download, transformation and publication.

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
    /// Identifier, a UUID of version 7 when we make it.
    pub id: VideoId,
    /// Channel it is made for.
    pub channel_id: ChannelId,
    /// Address of the source.
    pub source_url: String,
    /// Title of the source.
    pub source_title: String,
    /// Who made the source.
    pub source_creator: Option<String>,
    /// Platform of the source, such as tiktok.
    pub source_platform: String,
    /// When the source was found.
    pub scraped_at: Timestamp,
    /// How far the download is.
    pub download_status: DownloadStatus,
    /// Where the downloaded file lies.
    pub download_url: Option<String>,
    /// Its size in bytes.
    pub download_size: Option<i64>,
    /// Its length in seconds.
    pub download_duration: Option<i32>,
    /// Its resolution, such as 1080p.
    pub download_resolution: Option<String>,
    /// How far the transformation is.
    pub transformation_status: TransformationStatus,
    /// Preset it is transformed with.
    pub transformation_preset_id: Option<TransformationPresetId>,
    /// Parameters it is transformed with.
    pub transformation_params: Option<Json>,
    /// Where the transformed file lies.
    pub transformed_url: Option<String>,
    /// Its size in bytes.
    pub transformed_size: Option<i64>,
    /// When the transformation began.
    pub processing_started_at: Option<Timestamp>,
    /// When the transformation ended.
    pub processing_completed_at: Option<Timestamp>,
    /// How long it took, in seconds.
    pub processing_duration: Option<i32>,
    /// How far the publication is.
    pub publication_status: PublicationStatus,
    /// When it is to be published.
    pub scheduled_publication_at: Option<Timestamp>,
    /// When it was published.
    pub published_at: Option<Timestamp>,
    /// YouTube's id after publication.
    pub youtube_video_id: Option<String>,
    /// YouTube's address after publication.
    pub youtube_video_url: Option<String>,
    /// Title it is published under.
    pub final_title: Option<String>,
    /// Description it is published with.
    pub final_description: Option<String>,
    /// Tags it is published with.
    pub final_tags: Option<Json>,
    /// Whether its music was replaced.
    pub music_replaced: bool,
    /// Track that replaced its music.
    pub music_track_id: Option<MusicId>,
    /// Whatever else is known about it.
    pub metadata: Json,
    /// One entry for each status change: {at, field, from, to}.
    pub processing_history: Json,
    /// The furthest stage it has reached, or failed; the database computes it.
    pub status: VideoStatus,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When the row last changed.
    pub updated_at: Timestamp,
}

/// What is known of a new row; `None` leaves a column to its default. The fields are those of
/// [`Video`].
#[derive(Debug, Clone, Default, Serialize, Deserialize, Insertable)]
#[diesel(table_name = videos)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // as the row's
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

/// What is to change in a row: `None` leaves a column alone, `Some(None)` writes NULL. The fields are
/// those of [`Video`].
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = videos)]
#[allow(missing_docs)] // as the row's
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

/// Which rows to list; `None` asks nothing of a column.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // as the row's
pub struct VideoFilter {
    pub channel_id: Option<ChannelId>,
    pub download_status: Option<DownloadStatus>,
    pub transformation_status: Option<TransformationStatus>,
    pub publication_status: Option<PublicationStatus>,
    pub status: Option<VideoStatus>,
}

impl VideoFilter {
    /// The rows that it asks for.
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
    /// The row with this id; `NotFound` if there is none.
    pub fn find(conn: &mut DbConnection, id: VideoId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("videos", id)
    }

    /// Rows, newest first; `NotFound` if the row that `page` begins behind is gone.
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
            Self::find(conn, after)?; // a page behind a row that is gone would pass for the last one
        }
        Ok(rows)
    }

    /// How many rows there are.
    pub fn count(conn: &mut DbConnection, filter: &VideoFilter) -> Result<i64> {
        filter.rows().count().get_result(conn).of("videos", "")
    }

    /// Returns true if there is such a row.
    pub fn exists(conn: &mut DbConnection, filter: &VideoFilter) -> Result<bool> {
        let row: Option<i32> =
            filter.rows().select(1.into_sql::<Int4>()).first(conn).optional().of("videos", "")?;
        Ok(row.is_some())
    }

    /// The videos of each of these channels, newest first: the first list is that of the first one. One query loads those of 30,000.
    pub fn of_channels(conn: &mut DbConnection, channels: &[Channel]) -> Result<Vec<Vec<Self>>> {
        children(channels, |channels| {
            on_backend!(&mut *conn, |c| Self::belonging_to(channels)
                .select(Self::as_select())
                .order((videos::created_at.desc(), videos::id.desc()))
                .load(c))
            .of("videos", "")
        })
    }

    /// Deletes a row; the count is 0 if there is none.
    pub fn delete(conn: &mut DbConnection, id: VideoId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(videos::table.find(id)).execute(c)).of("videos", id)
    }
}

impl<'a> NewVideo<'a> {
    /// A row with what it must have, and every other column left to its default.
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
    /// Refuses a text that is too long for an index.
    fn require_indexable(&self) -> Result<()> {
        require_indexable("youtube_video_id", self.youtube_video_id.as_ref())
    }

    /// Inserts the row and returns it with its defaults.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<Video> {
        self.require_indexable()?;
        on_backend!(conn, |c| diesel::insert_into(videos::table)
            .values(self)
            .returning(Video::as_returning())
            .get_result(c))
        .of("videos", "")
    }

    /// Inserts all rows, or none if one of them does not fit, and returns their count.
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
    /// Changes the row with this id and returns it; `NotFound` if there is none.
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
    /// How far the download is.
    pub enum DownloadStatus {
        Pending = "pending",
        Downloading = "downloading",
        Downloaded = "downloaded",
        Failed = "failed",
    }
}

portable! {
    /// How far the transformation is.
    pub enum TransformationStatus {
        Pending = "pending",
        Processing = "processing",
        Transformed = "transformed",
        Failed = "failed",
    }
}

portable! {
    /// How far the publication is.
    pub enum PublicationStatus {
        Pending = "pending",
        Scheduled = "scheduled",
        Publishing = "publishing",
        Published = "published",
        Failed = "failed",
    }
}

portable! {
    /// The furthest stage it has reached, or failed; the database computes it.
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
