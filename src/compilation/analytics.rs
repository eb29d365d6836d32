//! Analytics: metrics of a YouTube video at one point in time.

mod fill;
mod insert_new;

use std::borrow::Cow;

use diesel::prelude::*;
pub(crate) use insert_new::Newest;
use serde::{Deserialize, Serialize};

use crate::db::json_upsert::{Document, Id, Table};
use crate::db::{DbConnection, MultiBackend, Page, Upserted, insert_many, on_backend};
use crate::error::{Result, ResultExt, require_indexable};
use crate::schema::analytics;
use crate::series::{Every, Growth, Sample, Select, Series, Thinning, top};
use crate::types::sql::Int4;
use crate::types::{AnalyticsId, Timestamp};

/// One row of `analytics`: the metrics of a video at one point in time.
///
/// Counts are totals since the video was published. The exceptions are reports by day: YouTube Studio's `Chart data.csv` and
/// the dimension `day` of the Analytics API. Their rows have the counts of that day alone. Do not compute growth from both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, HasQuery, QueryableByName, Identifiable)]
#[diesel(table_name = analytics, check_for_backend(crate::db::MultiBackend))]
#[non_exhaustive]
pub struct Analytics {
    /// Primary key, assigned by the database.
    pub id: AnalyticsId,
    /// YouTube's id of the measured video.
    pub youtube_video_id: String,
    /// When the video was measured.
    pub measured_at: Timestamp,
    /// Views so far.
    pub view_count: Option<i64>,
    /// Likes so far.
    pub like_count: Option<i64>,
    /// Comments so far.
    pub comment_count: Option<i64>,
    /// Average view duration in seconds.
    pub average_view_duration_seconds: Option<f64>,
    /// Clicks per impression, from 0 to 1. YouTube Studio shows 0.052 as 5.20%.
    pub click_through_rate: Option<f64>,
    /// Subscribers gained; negative if more were lost.
    pub subscriber_gain: Option<i32>,
    /// Estimated revenue in US dollars.
    pub estimated_revenue_usd: Option<f64>,
}

/// A row to insert: `None` means the column's default. See [`Analytics`] for the fields.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Insertable)]
#[diesel(table_name = analytics)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // documented on the row
pub struct NewAnalytics<'a> {
    pub id: Option<AnalyticsId>,
    pub youtube_video_id: Cow<'a, str>,
    pub measured_at: Option<Timestamp>,
    pub view_count: Option<i64>,
    pub like_count: Option<i64>,
    pub comment_count: Option<i64>,
    pub average_view_duration_seconds: Option<f64>,
    pub click_through_rate: Option<f64>,
    pub subscriber_gain: Option<i32>,
    pub estimated_revenue_usd: Option<f64>,
}

/// Changes to a row: `None` keeps the stored value, and `Some(None)` stores NULL. See [`Analytics`] for the fields.
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = analytics)]
#[allow(missing_docs)] // documented on the row
pub struct AnalyticsChanges<'a> {
    pub youtube_video_id: Option<Cow<'a, str>>,
    pub measured_at: Option<Timestamp>,
    pub view_count: Option<Option<i64>>,
    pub like_count: Option<Option<i64>>,
    pub comment_count: Option<Option<i64>>,
    pub average_view_duration_seconds: Option<Option<f64>>,
    pub click_through_rate: Option<Option<f64>>,
    pub subscriber_gain: Option<Option<i32>>,
    pub estimated_revenue_usd: Option<Option<f64>>,
}

/// Selects rows for `list`, `count` and `exists`; a `None` field matches every row.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // documented on the row
pub struct AnalyticsFilter<'a> {
    pub youtube_video_id: Option<&'a str>,
}

impl AnalyticsFilter<'_> {
    /// Returns the query for the matching rows.
    fn rows(&self) -> analytics::BoxedQuery<'_, MultiBackend> {
        let mut query = analytics::table.into_boxed();
        if let Some(youtube_video_id) = self.youtube_video_id {
            query = query.filter(analytics::youtube_video_id.eq(youtube_video_id));
        }
        query
    }
}

impl Analytics {
    /// Returns the row with this id.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no sample has this id.
    pub fn find(conn: &mut DbConnection, id: AnalyticsId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("analytics", id)
    }

    /// Returns one page of the matching rows, newest first.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). The row `page.after`
    /// need not exist anymore.
    pub fn list(
        conn: &mut DbConnection,
        filter: &AnalyticsFilter<'_>,
        page: &Page<AnalyticsId>,
    ) -> Result<Vec<Self>> {
        let mut query = filter.rows();
        if let Some(after) = page.after {
            query = query.filter(analytics::id.lt(after));
        }
        query
            .select(Self::as_select())
            .order(analytics::id.desc())
            .limit(page.at_most())
            .load(conn)
            .of("analytics", "")
    }

    /// Returns the number of matching rows.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn count(conn: &mut DbConnection, filter: &AnalyticsFilter<'_>) -> Result<i64> {
        filter.rows().count().get_result(conn).of("analytics", "")
    }

    /// Returns true if at least one row matches.
    ///
    /// # Errors
    /// The errors of [`count`](Self::count).
    pub fn exists(conn: &mut DbConnection, filter: &AnalyticsFilter<'_>) -> Result<bool> {
        let row: Option<i32> =
            filter.rows().select(1.into_sql::<Int4>()).first(conn).optional().of("analytics", "")?;
        Ok(row.is_some())
    }

    /// Returns the newest sample of a video, or `None` if it was never measured.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). A video that was never
    /// measured is not an error.
    pub fn latest(conn: &mut DbConnection, youtube_video_id: &str) -> Result<Option<Self>> {
        on_backend!(conn, |c| {
            Self::query()
                .filter(analytics::youtube_video_id.eq(youtube_video_id))
                .order((analytics::measured_at.desc(), analytics::id.desc()))
                .first(c)
                .optional()
        })
        .of("analytics", youtube_video_id)
    }

    /// Returns the samples of a video from `from` (inclusive) to `to` (exclusive), oldest first.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). If `to` is before
    /// `from`, the result is empty.
    pub fn series(
        conn: &mut DbConnection,
        youtube_video_id: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Self>> {
        let select = Select::<analytics::table>::between(youtube_video_id, from, to);
        on_backend!(conn, |c| select.load(c)).of("analytics", youtube_video_id)
    }

    /// Returns the newest sample of each of these videos, in one statement.
    ///
    /// Results are in the order of `youtube_video_ids`, without duplicates. A video that was never measured is left out.
    ///
    /// # Errors
    /// The errors of [`latest`](Self::latest).
    pub fn latest_of(conn: &mut DbConnection, youtube_video_ids: &[&str]) -> Result<Vec<Self>> {
        let select = Select::<analytics::table>::latest_of(youtube_video_ids);
        on_backend!(conn, |c| select.load(c)).of("analytics", "")
    }

    /// Returns one page of the newest samples of all videos that were ever measured, ordered by the id of the video.
    ///
    /// One statement reads only the newest samples. `page.after` is the id of a video.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). The video `page.after`
    /// need not have samples anymore.
    pub fn latest_of_all(conn: &mut DbConnection, page: &Page<String>) -> Result<Vec<Self>> {
        let select = Select::<analytics::table>::latest_of_all(page);
        on_backend!(conn, |c| select.load(c)).of("analytics", "")
    }

    /// Returns how the numbers of a video grew from `from` to `to`, or `None` if it was not measured by `to`.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if `to` is before `from`.
    pub fn growth(
        conn: &mut DbConnection,
        youtube_video_id: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Option<Growth<Self>>> {
        Ok(Self::growth_of(conn, &[youtube_video_id], from, to)?.pop())
    }

    /// Returns the [`growth`](Self::growth) of each of these videos, in one statement.
    ///
    /// Results are in the order of `youtube_video_ids`, without duplicates. A video that was not measured by `to` is left out.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if `to` is before `from`.
    pub fn growth_of(
        conn: &mut DbConnection,
        youtube_video_ids: &[&str],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Growth<Self>>> {
        let select = Select::<analytics::table>::ends(youtube_video_ids, from, to)?;
        on_backend!(conn, |c| select.load(c)).of("analytics", "").map(Growth::of_pairs)
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
        let step = |page: &Page<String>| {
            let newest = Self::latest_of_all(conn, page)?;
            let keys: Vec<String> = newest.into_iter().map(|row| row.youtube_video_id).collect();
            let ids: Vec<&str> = keys.iter().map(String::as_str).collect();
            let growth = Self::growth_of(conn, &ids, from, to)?;
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
        youtube_video_id: &str,
        from: Timestamp,
        to: Timestamp,
        every: Every,
    ) -> Result<Vec<Self>> {
        let select = Select::<analytics::table>::thinned(youtube_video_id, from, to, every)?;
        on_backend!(conn, |c| select.load(c)).of("analytics", youtube_video_id)
    }

    /// Returns when each of these videos was last measured. A video that was never measured is left out.
    ///
    /// The query searches the index once for each video, however many samples it has.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn newest(conn: &mut DbConnection, youtube_video_ids: &[&str]) -> Result<Vec<(String, Timestamp)>> {
        Ok(insert_new::newest(conn, youtube_video_ids)?.into_iter().collect())
    }

    /// Returns the same as [`Self::newest`], as a map.
    pub(crate) fn newest_of(conn: &mut DbConnection, youtube_video_ids: &[&str]) -> Result<Newest> {
        insert_new::newest(conn, youtube_video_ids)
    }

    /// Runs one step of a thinning and returns how many rows it deleted.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). The step then deletes
    /// nothing, but `thinning` may be past its rows already: create a new [`Thinning`] to continue.
    pub fn thin(conn: &mut DbConnection, thinning: &mut Thinning) -> Result<usize> {
        conn.atomically(|conn| {
            let ids = Self::superfluous(conn, thinning)?;
            on_backend!(conn, |c| diesel::delete(analytics::table.filter(analytics::id.eq_any(ids)))
                .execute(c))
            .of("analytics", "")
        })
    }

    /// Returns the rows that the next step of a thinning must delete.
    pub(crate) fn superfluous(conn: &mut DbConnection, thinning: &mut Thinning) -> Result<Vec<AnalyticsId>> {
        let found: Vec<(AnalyticsId, String)> =
            on_backend!(conn, |c| thinning.next_rows::<analytics::table>().load(c)).of("analytics", "")?;
        Ok(thinning.take(found))
    }

    /// Returns how many rows the remaining steps of a thinning will delete.
    pub(crate) fn count_superfluous(conn: &mut DbConnection, thinning: &Thinning) -> Result<i64> {
        on_backend!(conn, |c| thinning.count::<analytics::table>().get_result(c)).of("analytics", "")
    }

    /// Deletes a row and returns the number of rows deleted, which is 0 if the row did not exist.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database), because no table refers
    /// to `analytics`.
    pub fn delete(conn: &mut DbConnection, id: AnalyticsId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(analytics::table.find(id)).execute(c)).of("analytics", id)
    }
}

impl<'a> NewAnalytics<'a> {
    /// Creates a row from its required columns; every other column gets its default.
    pub fn new(youtube_video_id: impl Into<Cow<'a, str>>) -> Self {
        Self { youtube_video_id: youtube_video_id.into(), ..Self::default() }
    }
}

impl NewAnalytics<'_> {
    /// Rejects text that is too long for an indexed column.
    fn require_indexable(&self) -> Result<()> {
        require_indexable("youtube_video_id", Some(&self.youtube_video_id))
    }

    /// Inserts the row and returns it with its defaults filled in.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if `youtube_video_id` has more than 2,600 bytes;
    /// [`Conflict`](crate::Error::Conflict) if `id` is given and already exists.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<Analytics> {
        self.require_indexable()?;
        on_backend!(conn, |c| diesel::insert_into(analytics::table)
            .values(self)
            .returning(Analytics::as_returning())
            .get_result(c))
        .of("analytics", "")
    }

    /// Inserts all rows and returns their count. If one of them is rejected, none is inserted.
    ///
    /// # Errors
    /// The errors of [`insert`](Self::insert), for any of the rows.
    pub fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        rows.iter().try_for_each(Self::require_indexable)?;
        insert_many::<_, Self>(conn, analytics::table, "analytics", rows)
    }

    /// Inserts the rows that do not exist yet, matched by `youtube_video_id` and `measured_at`, and returns their count.
    ///
    /// `id` is ignored: the database assigns the ids of new rows. This is the fastest way to store many rows. Pass a few
    /// thousand per call.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if `youtube_video_id` of a row has more than 2,600 bytes.
    /// Then no row is inserted.
    pub fn insert_new_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        conn.atomically(|conn| {
            let ids: Vec<&str> = rows.iter().map(|row| &*row.youtube_video_id).collect();
            crate::db::lock_ingest(conn)?;
            let newest = Analytics::newest_of(conn, &ids)?;
            Self::put_new_many(conn, rows.iter(), &newest)
        })
    }

    /// Does the work of [`Self::insert_new_many`] in the open transaction, which must be rolled back if this fails.
    /// `newest` contains when each video was last measured.
    pub(crate) fn put_new_many<'r>(
        conn: &mut DbConnection,
        rows: impl ExactSizeIterator<Item = &'r NewAnalytics<'r>>,
        newest: &Newest,
    ) -> Result<usize> {
        insert_new::put(conn, rows, newest)
    }

    /// Inserts the rows that do not exist yet, matched by `youtube_video_id` and `measured_at`, in the open transaction. An
    /// existing row keeps its numbers and gets those that it lacks.
    pub(crate) fn insert_or_fill_many(conn: &mut DbConnection, rows: &[&Self]) -> Result<Upserted> {
        fill::put(conn, rows)
    }
}

impl Sample for Analytics {
    fn measured_at(&self) -> Timestamp {
        self.measured_at
    }
}

impl Series for analytics::table {
    const NAME: &'static str = "analytics";
    const SUBJECT: &'static str = "youtube_video_id";
    const SUBJECT_TYPE: &'static str = "text";
    const TIME: &'static str = "measured_at";
    const INDEX: &'static str = "idx_analytics_video";
}

impl Document for NewAnalytics<'static> {
    const TABLE: Table = Table {
        name: "analytics",
        id: Id::Number,
        key: &[],
        origin: &["youtube_video_id", "measured_at"],
        parents: &[],
        keep: &[],
        json: &[],
        times: &["measured_at"],
    };
}

impl AnalyticsChanges<'_> {
    /// Updates the row with this id and returns it.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no sample has this id;
    /// [`Invalid`](crate::Error::Invalid) if `youtube_video_id` has more than 2,600 bytes or `self`
    /// has no changes.
    pub fn update(&self, conn: &mut DbConnection, id: AnalyticsId) -> Result<Analytics> {
        require_indexable("youtube_video_id", self.youtube_video_id.as_ref())?;
        on_backend!(conn, |c| diesel::update(analytics::table.find(id))
            .set(self)
            .returning(Analytics::as_returning())
            .get_result(c))
        .of("analytics", id)
    }
}
