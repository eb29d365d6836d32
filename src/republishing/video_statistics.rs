//! Numbers of a published video at one moment.

use diesel::dsl::sql;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::Video;
use crate::db::json_upsert::{Document, Id, Table};
use crate::db::{DbConnection, MultiBackend, Page, insert_many, on_backend};
use crate::error::{Result, ResultExt};
use crate::schema::video_statistics;
use crate::series::{Every, Growth, Sample, Select, Series, Thinning};
use crate::types::sql::{Bool, Int4, Uuid};
use crate::types::{Timestamp, VideoId, VideoStatisticsId};

/// One row of `video_statistics`.
#[derive(
    Debug, Clone, PartialEq, Serialize, Deserialize, HasQuery, QueryableByName, Identifiable, Associations,
)]
#[diesel(table_name = video_statistics, check_for_backend(crate::db::MultiBackend))]
#[diesel(belongs_to(Video, foreign_key = video_id))]
#[non_exhaustive]
pub struct VideoStatistics {
    /// Identifier, a UUID of version 7 when we make it.
    pub id: VideoStatisticsId,
    /// Video that was measured.
    pub video_id: VideoId,
    /// Views.
    pub view_count: i64,
    /// Likes.
    pub like_count: i64,
    /// Comments.
    pub comment_count: i64,
    /// When it was measured.
    pub timestamp: Timestamp,
    /// When the row was made.
    pub created_at: Timestamp,
}

/// What is known of a new row; `None` leaves a column to its default. The fields are those of
/// [`VideoStatistics`].
#[derive(Debug, Clone, Default, Serialize, Deserialize, Insertable)]
#[diesel(table_name = video_statistics)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // as the row's
pub struct NewVideoStatistics {
    #[serde(default)]
    pub id: VideoStatisticsId,
    pub video_id: VideoId,
    pub view_count: Option<i64>,
    pub like_count: Option<i64>,
    pub comment_count: Option<i64>,
    pub timestamp: Option<Timestamp>,
    pub created_at: Option<Timestamp>,
}

/// What is to change in a row: `None` leaves a column alone, `Some(None)` writes NULL. The fields are
/// those of [`VideoStatistics`].
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = video_statistics)]
#[allow(missing_docs)] // as the row's
pub struct VideoStatisticsChanges {
    pub video_id: Option<VideoId>,
    pub view_count: Option<i64>,
    pub like_count: Option<i64>,
    pub comment_count: Option<i64>,
    pub timestamp: Option<Timestamp>,
}

/// Which rows to list; `None` asks nothing of a column.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // as the row's
pub struct VideoStatisticsFilter {
    pub video_id: Option<VideoId>,
}

impl VideoStatisticsFilter {
    /// The rows that it asks for.
    fn rows(&self) -> video_statistics::BoxedQuery<'_, MultiBackend> {
        let mut query = video_statistics::table.into_boxed();
        if let Some(video_id) = self.video_id {
            query = query.filter(video_statistics::video_id.eq(video_id));
        }
        query
    }
}

impl VideoStatistics {
    /// The row with this id; `NotFound` if there is none.
    pub fn find(conn: &mut DbConnection, id: VideoStatisticsId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("video_statistics", id)
    }

    /// Rows, newest first; `NotFound` if the row that `page` begins behind is gone.
    pub fn list(
        conn: &mut DbConnection,
        filter: &VideoStatisticsFilter,
        page: &Page<VideoStatisticsId>,
    ) -> Result<Vec<Self>> {
        let mut query = filter.rows();
        if let Some(after) = page.after {
            query = query.filter(sql::<Bool>("(video_statistics.timestamp, video_statistics.id) < (SELECT timestamp, id FROM video_statistics WHERE id = ").bind::<Uuid, _>(after).sql(")"));
        }
        let rows: Vec<Self> = query
            .select(Self::as_select())
            .order((video_statistics::timestamp.desc(), video_statistics::id.desc()))
            .limit(page.at_most())
            .load(conn)
            .of("video_statistics", "")?;
        if let (true, Some(after)) = (rows.is_empty(), page.after) {
            Self::find(conn, after)?; // a page behind a row that is gone would pass for the last one
        }
        Ok(rows)
    }

    /// How many rows there are.
    pub fn count(conn: &mut DbConnection, filter: &VideoStatisticsFilter) -> Result<i64> {
        filter.rows().count().get_result(conn).of("video_statistics", "")
    }

    /// Returns true if there is such a row.
    pub fn exists(conn: &mut DbConnection, filter: &VideoStatisticsFilter) -> Result<bool> {
        let row: Option<i32> =
            filter.rows().select(1.into_sql::<Int4>()).first(conn).optional().of("video_statistics", "")?;
        Ok(row.is_some())
    }

    /// The newest numbers of a video, if it was ever measured.
    pub fn latest(conn: &mut DbConnection, video: VideoId) -> Result<Option<Self>> {
        on_backend!(conn, |c| {
            Self::query()
                .filter(video_statistics::video_id.eq(video))
                .order((video_statistics::timestamp.desc(), video_statistics::id.desc()))
                .first(c)
                .optional()
        })
        .of("video_statistics", video)
    }

    /// The newest numbers of each of these videos, in the order given, each once; without those that were
    /// never measured. One statement, whatever their number.
    pub fn latest_of(conn: &mut DbConnection, videos: &[VideoId]) -> Result<Vec<Self>> {
        let select = Select::<video_statistics::table>::latest_of(videos);
        on_backend!(conn, |c| select.load(c)).of("video_statistics", "")
    }

    /// The newest numbers of every video that was ever measured, in the order of their ids; a page begins
    /// behind a video. One statement, which does not read the series.
    pub fn latest_of_all(conn: &mut DbConnection, page: &Page<VideoId>) -> Result<Vec<Self>> {
        let select = Select::<video_statistics::table>::latest_of_all(page);
        on_backend!(conn, |c| select.load(c)).of("video_statistics", "")
    }

    /// How the numbers of a video grew from one moment to another; `None` if it was not measured by `to`.
    ///
    /// # Errors
    /// `Invalid` if `to` is before `from`.
    pub fn growth(
        conn: &mut DbConnection,
        video: VideoId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Option<Growth<Self>>> {
        Ok(Self::growth_of(conn, &[video], from, to)?.pop())
    }

    /// [`Self::growth`] of each of these videos, in the order given, each once; without those that were not
    /// measured by `to`. One statement, whatever their number.
    pub fn growth_of(
        conn: &mut DbConnection,
        videos: &[VideoId],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Growth<Self>>> {
        let select = Select::<video_statistics::table>::ends(videos, from, to)?;
        on_backend!(conn, |c| select.load(c)).of("video_statistics", "").map(Growth::of_pairs)
    }

    /// The last numbers of each hour, day or week from `from` until before `to`, oldest first.
    ///
    /// # Errors
    /// `Invalid` if `to` is before `from`.
    pub fn thinned(
        conn: &mut DbConnection,
        video: VideoId,
        from: Timestamp,
        to: Timestamp,
        every: Every,
    ) -> Result<Vec<Self>> {
        let select = Select::<video_statistics::table>::thinned(video, from, to, every)?;
        on_backend!(conn, |c| select.load(c)).of("video_statistics", video)
    }

    /// One step of a thinning; returns how many rows it deleted.
    pub fn thin(conn: &mut DbConnection, thinning: &mut Thinning) -> Result<usize> {
        conn.atomically(|conn| {
            let ids = Self::superfluous(conn, thinning)?;
            on_backend!(conn, |c| diesel::delete(
                video_statistics::table.filter(video_statistics::id.eq_any(ids))
            )
            .execute(c))
            .of("video_statistics", "")
        })
    }

    /// The rows that the next step of a thinning is to delete.
    pub(crate) fn superfluous(
        conn: &mut DbConnection,
        thinning: &mut Thinning,
    ) -> Result<Vec<VideoStatisticsId>> {
        let found: Vec<(VideoStatisticsId, String)> =
            on_backend!(conn, |c| thinning.next_rows::<video_statistics::table>().load(c))
                .of("video_statistics", "")?;
        Ok(thinning.take(found))
    }

    /// How many rows the steps of a thinning have left to delete.
    pub(crate) fn count_superfluous(conn: &mut DbConnection, thinning: &Thinning) -> Result<i64> {
        on_backend!(conn, |c| thinning.count::<video_statistics::table>().get_result(c))
            .of("video_statistics", "")
    }

    /// Deletes a row; the count is 0 if there is none.
    pub fn delete(conn: &mut DbConnection, id: VideoStatisticsId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(video_statistics::table.find(id)).execute(c))
            .of("video_statistics", id)
    }
}

impl NewVideoStatistics {
    /// A row with what it must have, and every other column left to its default.
    pub fn new(video_id: VideoId) -> Self {
        Self { video_id, ..Self::default() }
    }

    /// Inserts the row and returns it with its defaults.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<VideoStatistics> {
        on_backend!(conn, |c| diesel::insert_into(video_statistics::table)
            .values(self)
            .returning(VideoStatistics::as_returning())
            .get_result(c))
        .of("video_statistics", "")
    }

    /// Inserts all rows, or none if one of them does not fit, and returns their count.
    pub fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        insert_many::<_, Self>(conn, video_statistics::table, "video_statistics", rows)
    }
}

impl Sample for VideoStatistics {
    fn measured_at(&self) -> Timestamp {
        self.timestamp
    }
}

impl Series for video_statistics::table {
    const NAME: &'static str = "video_statistics";
    const SUBJECT: &'static str = "video_id";
    const SUBJECT_TYPE: &'static str = "uuid";
    const TIME: &'static str = "timestamp";
    const INDEX: &'static str = "idx_video_stats_series";
}

impl Document for NewVideoStatistics {
    const TABLE: Table = Table {
        name: "video_statistics",
        id: Id::Uuid,
        key: &[],
        keep: &[],
        json: &[],
        times: &["timestamp", "created_at"],
    };
}

impl VideoStatisticsChanges {
    /// Changes the row with this id and returns it; `NotFound` if there is none.
    pub fn update(&self, conn: &mut DbConnection, id: VideoStatisticsId) -> Result<VideoStatistics> {
        on_backend!(conn, |c| diesel::update(video_statistics::table.find(id))
            .set(self)
            .returning(VideoStatistics::as_returning())
            .get_result(c))
        .of("video_statistics", id)
    }
}
