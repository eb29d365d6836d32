//! Statistics of a published video at one point in time.

use diesel::dsl::sql;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::Video;
use crate::db::json_upsert::{Document, Id, Table};
use crate::db::{DbConnection, MultiBackend, Page, insert_many, on_backend};
use crate::error::{Result, ResultExt};
use crate::schema::video_statistics;
use crate::series::{Every, Growth, Sample, Select, Series, Thinning, top};
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
    /// Primary key. viraldb generates version 7 UUIDs.
    pub id: VideoStatisticsId,
    /// Video that was measured.
    pub video_id: VideoId,
    /// Views.
    pub view_count: i64,
    /// Likes.
    pub like_count: i64,
    /// Comments.
    pub comment_count: i64,
    /// When the video was measured.
    pub timestamp: Timestamp,
    /// When the row was created.
    pub created_at: Timestamp,
}

/// A row to insert: `None` means the column's default. See [`VideoStatistics`] for the fields.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Insertable)]
#[diesel(table_name = video_statistics)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // documented on the row
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

/// Changes to a row: `None` keeps the stored value, and `Some(None)` stores NULL. See [`VideoStatistics`] for the fields.
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = video_statistics)]
#[allow(missing_docs)] // documented on the row
pub struct VideoStatisticsChanges {
    pub video_id: Option<VideoId>,
    pub view_count: Option<i64>,
    pub like_count: Option<i64>,
    pub comment_count: Option<i64>,
    pub timestamp: Option<Timestamp>,
}

/// Selects rows for `list`, `count` and `exists`; a `None` field matches every row.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // documented on the row
pub struct VideoStatisticsFilter {
    pub video_id: Option<VideoId>,
}

impl VideoStatisticsFilter {
    /// Returns the query for the matching rows.
    fn rows(&self) -> video_statistics::BoxedQuery<'_, MultiBackend> {
        let mut query = video_statistics::table.into_boxed();
        if let Some(video_id) = self.video_id {
            query = query.filter(video_statistics::video_id.eq(video_id));
        }
        query
    }
}

impl VideoStatistics {
    /// Returns the row with this id.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no sample has this id.
    pub fn find(conn: &mut DbConnection, id: VideoStatisticsId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("video_statistics", id)
    }

    /// Returns one page of the matching rows, newest first.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if the row `page.after` was deleted; list again from
    /// the first page.
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
            Self::find(conn, after)?; // if the row was deleted, an empty page would look like the end of the list
        }
        Ok(rows)
    }

    /// Returns the number of matching rows.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn count(conn: &mut DbConnection, filter: &VideoStatisticsFilter) -> Result<i64> {
        filter.rows().count().get_result(conn).of("video_statistics", "")
    }

    /// Returns true if at least one row matches.
    ///
    /// # Errors
    /// The errors of [`count`](Self::count).
    pub fn exists(conn: &mut DbConnection, filter: &VideoStatisticsFilter) -> Result<bool> {
        let row: Option<i32> =
            filter.rows().select(1.into_sql::<Int4>()).first(conn).optional().of("video_statistics", "")?;
        Ok(row.is_some())
    }

    /// Returns the newest sample of a video, or `None` if it was never measured.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). A video that was never
    /// measured is not an error.
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

    /// Returns the newest sample of each of these videos, in one statement.
    ///
    /// Results are in the order of `videos`, without duplicates. A video that was never measured is left out.
    ///
    /// # Errors
    /// The errors of [`latest`](Self::latest).
    pub fn latest_of(conn: &mut DbConnection, videos: &[VideoId]) -> Result<Vec<Self>> {
        let select = Select::<video_statistics::table>::latest_of(videos);
        on_backend!(conn, |c| select.load(c)).of("video_statistics", "")
    }

    /// Returns one page of the newest samples of all videos that were ever measured, ordered by the id of the video.
    ///
    /// One statement reads only the newest samples. `page.after` is the id of a video.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). The video `page.after`
    /// need not exist anymore.
    pub fn latest_of_all(conn: &mut DbConnection, page: &Page<VideoId>) -> Result<Vec<Self>> {
        let select = Select::<video_statistics::table>::latest_of_all(page);
        on_backend!(conn, |c| select.load(c)).of("video_statistics", "")
    }

    /// Returns how the numbers of a video grew from `from` to `to`, or `None` if it was not measured by `to`.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if `to` is before `from`.
    pub fn growth(
        conn: &mut DbConnection,
        video: VideoId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Option<Growth<Self>>> {
        Ok(Self::growth_of(conn, &[video], from, to)?.pop())
    }

    /// Returns the [`growth`](Self::growth) of each of these videos, in one statement.
    ///
    /// Results are in the order of `videos`, without duplicates. A video that was not measured by `to` is left out.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if `to` is before `from`.
    pub fn growth_of(
        conn: &mut DbConnection,
        videos: &[VideoId],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Growth<Self>>> {
        let select = Select::<video_statistics::table>::ends(videos, from, to)?;
        on_backend!(conn, |c| select.load(c)).of("video_statistics", "").map(Growth::of_pairs)
    }

    /// Returns the growth of the `limit` videos whose views grew most between two points in time, the largest growth first.
    ///
    /// Reads two statements per thousand videos: the time grows with the number of videos, not with the length of their
    /// series.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if `to` is before `from`.
    pub fn top_growth(
        conn: &mut DbConnection,
        from: Timestamp,
        to: Timestamp,
        limit: i64,
    ) -> Result<Vec<Growth<Self>>> {
        let step = |page: &Page<VideoId>| {
            let newest = Self::latest_of_all(conn, page)?;
            let keys: Vec<VideoId> = newest.iter().map(|row| row.video_id).collect();
            let growth = Self::growth_of(conn, &keys, from, to)?;
            Ok((keys, growth))
        };
        top(limit, step, |growth| growth.of(|row| row.view_count))
    }

    /// Returns the last sample of each hour, day or week from `from` (inclusive) to `to` (exclusive), oldest first.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if `to` is before `from`.
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

    /// Runs one step of a thinning and returns how many rows it deleted.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). The step then deletes
    /// nothing, but `thinning` may be past its rows already: create a new [`Thinning`] to continue.
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

    /// Returns the rows that the next step of a thinning must delete.
    pub(crate) fn superfluous(
        conn: &mut DbConnection,
        thinning: &mut Thinning,
    ) -> Result<Vec<VideoStatisticsId>> {
        let found: Vec<(VideoStatisticsId, String)> =
            on_backend!(conn, |c| thinning.next_rows::<video_statistics::table>().load(c))
                .of("video_statistics", "")?;
        Ok(thinning.take(found))
    }

    /// Returns how many rows the remaining steps of a thinning will delete.
    pub(crate) fn count_superfluous(conn: &mut DbConnection, thinning: &Thinning) -> Result<i64> {
        on_backend!(conn, |c| thinning.count::<video_statistics::table>().get_result(c))
            .of("video_statistics", "")
    }

    /// Deletes a row and returns the number of rows deleted, which is 0 if the row did not exist.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database), because no table refers
    /// to `video_statistics`.
    pub fn delete(conn: &mut DbConnection, id: VideoStatisticsId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(video_statistics::table.find(id)).execute(c))
            .of("video_statistics", id)
    }
}

impl NewVideoStatistics {
    /// Creates a row from its required columns; every other column gets its default.
    pub fn new(video_id: VideoId) -> Self {
        Self { video_id, ..Self::default() }
    }

    /// Inserts the row and returns it with its defaults filled in.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if the video does not exist;
    /// [`Conflict`](crate::Error::Conflict) if `id` already exists.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<VideoStatistics> {
        on_backend!(conn, |c| diesel::insert_into(video_statistics::table)
            .values(self)
            .returning(VideoStatistics::as_returning())
            .get_result(c))
        .of("video_statistics", "")
    }

    /// Inserts all rows and returns their count. If one of them is rejected, none is inserted.
    ///
    /// # Errors
    /// The errors of [`insert`](Self::insert), for any of the rows.
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
        origin: &[],
        parents: &[("video_id", "videos")],
        keep: &[],
        json: &[],
        times: &["timestamp", "created_at"],
    };
}

impl VideoStatisticsChanges {
    /// Updates the row with this id and returns it.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no sample has this id;
    /// [`Invalid`](crate::Error::Invalid) if the new video does not exist or `self` has no changes.
    pub fn update(&self, conn: &mut DbConnection, id: VideoStatisticsId) -> Result<VideoStatistics> {
        on_backend!(conn, |c| diesel::update(video_statistics::table.find(id))
            .set(self)
            .returning(VideoStatistics::as_returning())
            .get_result(c))
        .of("video_statistics", id)
    }
}
