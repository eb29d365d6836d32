//! Numbers of a YouTube video at one moment.

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
use crate::series::{Every, Growth, Sample, Select, Series, Thinning};
use crate::types::sql::Int4;
use crate::types::{AnalyticsId, Timestamp};

/// One row of `analytics`: the numbers of a video at one time.
///
/// Counts are totals since the video was published. Reports by day (YouTube Studio's `Chart data.csv`, the dimension `day` of
/// the Analytics API) are the exception: their rows have the numbers of that day alone. Do not compute growth from both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, HasQuery, QueryableByName, Identifiable)]
#[diesel(table_name = analytics, check_for_backend(crate::db::MultiBackend))]
#[non_exhaustive]
pub struct Analytics {
    /// Number the database gives it.
    pub id: AnalyticsId,
    /// YouTube's id of the measured video.
    pub youtube_video_id: String,
    /// When it was measured.
    pub measured_at: Timestamp,
    /// Views so far.
    pub view_count: Option<i64>,
    /// Likes so far.
    pub like_count: Option<i64>,
    /// Comments so far.
    pub comment_count: Option<i64>,
    /// Mean time a viewer stays, in seconds.
    pub average_view_duration_seconds: Option<f64>,
    /// Clicks per impression as a share from 0 to 1: 0.052 is what YouTube Studio shows as 5.20 %.
    pub click_through_rate: Option<f64>,
    /// Subscribers won, or lost when negative.
    pub subscriber_gain: Option<i32>,
    /// Estimated revenue in US dollars.
    pub estimated_revenue_usd: Option<f64>,
}

/// What is known of a new row; `None` leaves a column to its default. The fields are those of
/// [`Analytics`].
#[derive(Debug, Clone, Default, Serialize, Deserialize, Insertable)]
#[diesel(table_name = analytics)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // as the row's
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

/// What is to change in a row: `None` leaves a column alone, `Some(None)` writes NULL. The fields are
/// those of [`Analytics`].
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = analytics)]
#[allow(missing_docs)] // as the row's
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

/// Which rows to list; `None` asks nothing of a column.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // as the row's
pub struct AnalyticsFilter<'a> {
    pub youtube_video_id: Option<&'a str>,
}

impl AnalyticsFilter<'_> {
    /// The rows that it asks for.
    fn rows(&self) -> analytics::BoxedQuery<'_, MultiBackend> {
        let mut query = analytics::table.into_boxed();
        if let Some(youtube_video_id) = self.youtube_video_id {
            query = query.filter(analytics::youtube_video_id.eq(youtube_video_id));
        }
        query
    }
}

impl Analytics {
    /// The row with this id; `NotFound` if there is none.
    pub fn find(conn: &mut DbConnection, id: AnalyticsId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("analytics", id)
    }

    /// Rows, newest first.
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

    /// How many rows there are.
    pub fn count(conn: &mut DbConnection, filter: &AnalyticsFilter<'_>) -> Result<i64> {
        filter.rows().count().get_result(conn).of("analytics", "")
    }

    /// Returns true if there is such a row.
    pub fn exists(conn: &mut DbConnection, filter: &AnalyticsFilter<'_>) -> Result<bool> {
        let row: Option<i32> =
            filter.rows().select(1.into_sql::<Int4>()).first(conn).optional().of("analytics", "")?;
        Ok(row.is_some())
    }

    /// The newest numbers of a video, if it was ever measured.
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

    /// The numbers of a video from `from` until before `to`, oldest first.
    pub fn series(
        conn: &mut DbConnection,
        youtube_video_id: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Self>> {
        let select = Select::<analytics::table>::between(youtube_video_id, from, to);
        on_backend!(conn, |c| select.load(c)).of("analytics", youtube_video_id)
    }

    /// The newest numbers of each of these videos, in the order given, each once; without those that were
    /// never measured. One statement, whatever their number.
    pub fn latest_of(conn: &mut DbConnection, youtube_video_ids: &[&str]) -> Result<Vec<Self>> {
        let select = Select::<analytics::table>::latest_of(youtube_video_ids);
        on_backend!(conn, |c| select.load(c)).of("analytics", "")
    }

    /// The newest numbers of every video that was ever measured, in the order of their ids; a page begins
    /// behind a video. One statement, which does not read the series.
    pub fn latest_of_all(conn: &mut DbConnection, page: &Page<String>) -> Result<Vec<Self>> {
        let select = Select::<analytics::table>::latest_of_all(page);
        on_backend!(conn, |c| select.load(c)).of("analytics", "")
    }

    /// How the numbers of a video grew from one moment to another; `None` if it was not measured by `to`.
    ///
    /// # Errors
    /// `Invalid` if `to` is before `from`.
    pub fn growth(
        conn: &mut DbConnection,
        youtube_video_id: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Option<Growth<Self>>> {
        Ok(Self::growth_of(conn, &[youtube_video_id], from, to)?.pop())
    }

    /// [`Self::growth`] of each of these videos, in the order given, each once; without those that were not
    /// measured by `to`. One statement, whatever their number.
    pub fn growth_of(
        conn: &mut DbConnection,
        youtube_video_ids: &[&str],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Growth<Self>>> {
        let select = Select::<analytics::table>::ends(youtube_video_ids, from, to)?;
        on_backend!(conn, |c| select.load(c)).of("analytics", "").map(Growth::of_pairs)
    }

    /// The last numbers of each hour, day or week from `from` until before `to`, oldest first.
    ///
    /// # Errors
    /// `Invalid` if `to` is before `from`.
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

    /// When each of these videos was last measured; without those that never were. One look at the index for each,
    /// however long its series is.
    pub fn newest(conn: &mut DbConnection, youtube_video_ids: &[&str]) -> Result<Vec<(String, Timestamp)>> {
        Ok(insert_new::newest(conn, youtube_video_ids)?.into_iter().collect())
    }

    /// [`Self::newest`], to look them up in.
    pub(crate) fn newest_of(conn: &mut DbConnection, youtube_video_ids: &[&str]) -> Result<Newest> {
        insert_new::newest(conn, youtube_video_ids)
    }

    /// One step of a thinning; returns how many rows it deleted.
    pub fn thin(conn: &mut DbConnection, thinning: &mut Thinning) -> Result<usize> {
        conn.atomically(|conn| {
            let ids = Self::superfluous(conn, thinning)?;
            on_backend!(conn, |c| diesel::delete(analytics::table.filter(analytics::id.eq_any(ids)))
                .execute(c))
            .of("analytics", "")
        })
    }

    /// The rows that the next step of a thinning is to delete.
    pub(crate) fn superfluous(conn: &mut DbConnection, thinning: &mut Thinning) -> Result<Vec<AnalyticsId>> {
        let found: Vec<(AnalyticsId, String)> =
            on_backend!(conn, |c| thinning.next_rows::<analytics::table>().load(c)).of("analytics", "")?;
        Ok(thinning.take(found))
    }

    /// How many rows the steps of a thinning have left to delete.
    pub(crate) fn count_superfluous(conn: &mut DbConnection, thinning: &Thinning) -> Result<i64> {
        on_backend!(conn, |c| thinning.count::<analytics::table>().get_result(c)).of("analytics", "")
    }

    /// Deletes a row; the count is 0 if there is none.
    pub fn delete(conn: &mut DbConnection, id: AnalyticsId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(analytics::table.find(id)).execute(c)).of("analytics", id)
    }
}

impl<'a> NewAnalytics<'a> {
    /// A row with what it must have, and every other column left to its default.
    pub fn new(youtube_video_id: impl Into<Cow<'a, str>>) -> Self {
        Self { youtube_video_id: youtube_video_id.into(), ..Self::default() }
    }
}

impl NewAnalytics<'_> {
    /// Refuses a text that is too long for an index.
    fn require_indexable(&self) -> Result<()> {
        require_indexable("youtube_video_id", Some(&self.youtube_video_id))
    }

    /// Inserts the row and returns it with its defaults.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<Analytics> {
        self.require_indexable()?;
        on_backend!(conn, |c| diesel::insert_into(analytics::table)
            .values(self)
            .returning(Analytics::as_returning())
            .get_result(c))
        .of("analytics", "")
    }

    /// Inserts all rows, or none if one of them does not fit, and returns their count.
    pub fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        rows.iter().try_for_each(Self::require_indexable)?;
        insert_many::<_, Self>(conn, analytics::table, "analytics", rows)
    }

    /// Inserts those that do not stand there yet, by `youtube_video_id` and `measured_at`, and returns
    /// their count. `id` is not used here: the database numbers new rows.
    ///
    /// This is the fast way in for many rows, a few thousand at a time.
    pub fn insert_new_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        conn.atomically(|conn| {
            let ids: Vec<&str> = rows.iter().map(|row| &*row.youtube_video_id).collect();
            crate::db::lock_ingest(conn)?;
            let newest = Analytics::newest_of(conn, &ids)?;
            Self::put_new_many(conn, rows.iter(), &newest)
        })
    }

    /// [`Self::insert_new_many`] within the transaction that is open, which has to be rolled back if this fails. `newest`
    /// tells when the videos were last measured.
    pub(crate) fn put_new_many<'r>(
        conn: &mut DbConnection,
        rows: impl ExactSizeIterator<Item = &'r NewAnalytics<'r>>,
        newest: &Newest,
    ) -> Result<usize> {
        insert_new::put(conn, rows, newest)
    }

    /// Inserts the rows that are not there yet, by `youtube_video_id` and `measured_at`, in the transaction that is open. A
    /// row that is there keeps its numbers, and gets those that it does not have.
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
    const TABLE: Table =
        Table { name: "analytics", id: Id::Number, key: &[], keep: &[], json: &[], times: &["measured_at"] };
}

impl AnalyticsChanges<'_> {
    /// Changes the row with this id and returns it; `NotFound` if there is none.
    pub fn update(&self, conn: &mut DbConnection, id: AnalyticsId) -> Result<Analytics> {
        require_indexable("youtube_video_id", self.youtube_video_id.as_ref())?;
        on_backend!(conn, |c| diesel::update(analytics::table.find(id))
            .set(self)
            .returning(Analytics::as_returning())
            .get_result(c))
        .of("analytics", id)
    }
}
