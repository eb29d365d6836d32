//! Numbers of a channel at one moment.

use std::collections::HashSet;

use diesel::dsl::sql;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::Channel;
use crate::db::json_upsert::{Document, Id, Table};
use crate::db::{DbConnection, IDS, MultiBackend, Page, Upserted, insert_many, on_backend};
use crate::error::{Result, ResultExt};
use crate::schema::channel_statistics;
use crate::series::{Every, Growth, Sample, Select, Series, Thinning};
use crate::types::sql::{Bool, Int4, Uuid};
use crate::types::{ChannelId, ChannelStatisticsId, Timestamp};

/// One row of `channel_statistics`.
#[derive(
    Debug, Clone, PartialEq, Serialize, Deserialize, HasQuery, QueryableByName, Identifiable, Associations,
)]
#[diesel(table_name = channel_statistics, check_for_backend(crate::db::MultiBackend))]
#[diesel(belongs_to(Channel, foreign_key = channel_id))]
#[non_exhaustive]
pub struct ChannelStatistics {
    /// Identifier, a UUID of version 7 when we make it.
    pub id: ChannelStatisticsId,
    /// Channel that was measured.
    pub channel_id: ChannelId,
    /// Subscribers.
    pub subscriber_count: i64,
    /// Views of the channel, as YouTube counts them.
    pub view_count: i64,
    /// Videos on the channel, as YouTube counts them.
    pub video_count: i32,
    /// Views of the videos published by us.
    pub total_views: i64,
    /// Videos published by us.
    pub total_videos: i32,
    /// When it was measured.
    pub timestamp: Timestamp,
    /// When the row was made.
    pub created_at: Timestamp,
}

/// What is known of a new row; `None` leaves a column to its default. The fields are those of
/// [`ChannelStatistics`].
#[derive(Debug, Clone, Default, Serialize, Deserialize, Insertable)]
#[diesel(table_name = channel_statistics)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // as the row's
pub struct NewChannelStatistics {
    #[serde(default)]
    pub id: ChannelStatisticsId,
    pub channel_id: ChannelId,
    pub subscriber_count: Option<i64>,
    pub view_count: Option<i64>,
    pub video_count: Option<i32>,
    pub total_views: Option<i64>,
    pub total_videos: Option<i32>,
    pub timestamp: Option<Timestamp>,
    pub created_at: Option<Timestamp>,
}

/// What is to change in a row: `None` leaves a column alone, `Some(None)` writes NULL. The fields are
/// those of [`ChannelStatistics`].
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = channel_statistics)]
#[allow(missing_docs)] // as the row's
pub struct ChannelStatisticsChanges {
    pub channel_id: Option<ChannelId>,
    pub subscriber_count: Option<i64>,
    pub view_count: Option<i64>,
    pub video_count: Option<i32>,
    pub total_views: Option<i64>,
    pub total_videos: Option<i32>,
    pub timestamp: Option<Timestamp>,
}

/// Which rows to list; `None` asks nothing of a column.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // as the row's
pub struct ChannelStatisticsFilter {
    pub channel_id: Option<ChannelId>,
}

impl ChannelStatisticsFilter {
    /// The rows that it asks for.
    fn rows(&self) -> channel_statistics::BoxedQuery<'_, MultiBackend> {
        let mut query = channel_statistics::table.into_boxed();
        if let Some(channel_id) = self.channel_id {
            query = query.filter(channel_statistics::channel_id.eq(channel_id));
        }
        query
    }
}

impl ChannelStatistics {
    /// The row with this id; `NotFound` if there is none.
    pub fn find(conn: &mut DbConnection, id: ChannelStatisticsId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("channel_statistics", id)
    }

    /// Rows, newest first; `NotFound` if the row that `page` begins behind is gone.
    pub fn list(
        conn: &mut DbConnection,
        filter: &ChannelStatisticsFilter,
        page: &Page<ChannelStatisticsId>,
    ) -> Result<Vec<Self>> {
        let mut query = filter.rows();
        if let Some(after) = page.after {
            query = query.filter(sql::<Bool>("(channel_statistics.timestamp, channel_statistics.id) < (SELECT timestamp, id FROM channel_statistics WHERE id = ").bind::<Uuid, _>(after).sql(")"));
        }
        let rows: Vec<Self> = query
            .select(Self::as_select())
            .order((channel_statistics::timestamp.desc(), channel_statistics::id.desc()))
            .limit(page.at_most())
            .load(conn)
            .of("channel_statistics", "")?;
        if let (true, Some(after)) = (rows.is_empty(), page.after) {
            Self::find(conn, after)?; // a page behind a row that is gone would pass for the last one
        }
        Ok(rows)
    }

    /// How many rows there are.
    pub fn count(conn: &mut DbConnection, filter: &ChannelStatisticsFilter) -> Result<i64> {
        filter.rows().count().get_result(conn).of("channel_statistics", "")
    }

    /// Returns true if there is such a row.
    pub fn exists(conn: &mut DbConnection, filter: &ChannelStatisticsFilter) -> Result<bool> {
        let row: Option<i32> =
            filter.rows().select(1.into_sql::<Int4>()).first(conn).optional().of("channel_statistics", "")?;
        Ok(row.is_some())
    }

    /// The newest numbers of a channel, if it was ever measured.
    pub fn latest(conn: &mut DbConnection, channel: ChannelId) -> Result<Option<Self>> {
        on_backend!(conn, |c| {
            Self::query()
                .filter(channel_statistics::channel_id.eq(channel))
                .order((channel_statistics::timestamp.desc(), channel_statistics::id.desc()))
                .first(c)
                .optional()
        })
        .of("channel_statistics", channel)
    }

    /// The newest numbers of each of these channels, in the order given, each once; without those that were
    /// never measured. One statement, whatever their number.
    pub fn latest_of(conn: &mut DbConnection, channels: &[ChannelId]) -> Result<Vec<Self>> {
        let select = Select::<channel_statistics::table>::latest_of(channels);
        on_backend!(conn, |c| select.load(c)).of("channel_statistics", "")
    }

    /// The newest numbers of every channel that was ever measured, in the order of their ids; a page begins
    /// behind a channel. One statement, which does not read the series.
    pub fn latest_of_all(conn: &mut DbConnection, page: &Page<ChannelId>) -> Result<Vec<Self>> {
        let select = Select::<channel_statistics::table>::latest_of_all(page);
        on_backend!(conn, |c| select.load(c)).of("channel_statistics", "")
    }

    /// How the numbers of a channel grew from one moment to another; `None` if it was not measured by `to`.
    ///
    /// # Errors
    /// `Invalid` if `to` is before `from`.
    pub fn growth(
        conn: &mut DbConnection,
        channel: ChannelId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Option<Growth<Self>>> {
        Ok(Self::growth_of(conn, &[channel], from, to)?.pop())
    }

    /// [`Self::growth`] of each of these channels, in the order given, each once; without those that were not
    /// measured by `to`. One statement, whatever their number.
    pub fn growth_of(
        conn: &mut DbConnection,
        channels: &[ChannelId],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Growth<Self>>> {
        let select = Select::<channel_statistics::table>::ends(channels, from, to)?;
        on_backend!(conn, |c| select.load(c)).of("channel_statistics", "").map(Growth::of_pairs)
    }

    /// The last numbers of each hour, day or week from `from` until before `to`, oldest first.
    ///
    /// # Errors
    /// `Invalid` if `to` is before `from`.
    pub fn thinned(
        conn: &mut DbConnection,
        channel: ChannelId,
        from: Timestamp,
        to: Timestamp,
        every: Every,
    ) -> Result<Vec<Self>> {
        let select = Select::<channel_statistics::table>::thinned(channel, from, to, every)?;
        on_backend!(conn, |c| select.load(c)).of("channel_statistics", channel)
    }

    /// One step of a thinning; returns how many rows it deleted.
    pub fn thin(conn: &mut DbConnection, thinning: &mut Thinning) -> Result<usize> {
        conn.atomically(|conn| {
            let ids = Self::superfluous(conn, thinning)?;
            on_backend!(conn, |c| diesel::delete(
                channel_statistics::table.filter(channel_statistics::id.eq_any(ids))
            )
            .execute(c))
            .of("channel_statistics", "")
        })
    }

    /// The rows that the next step of a thinning is to delete.
    pub(crate) fn superfluous(
        conn: &mut DbConnection,
        thinning: &mut Thinning,
    ) -> Result<Vec<ChannelStatisticsId>> {
        let found: Vec<(ChannelStatisticsId, String)> =
            on_backend!(conn, |c| thinning.next_rows::<channel_statistics::table>().load(c))
                .of("channel_statistics", "")?;
        Ok(thinning.take(found))
    }

    /// How many rows the steps of a thinning have left to delete.
    pub(crate) fn count_superfluous(conn: &mut DbConnection, thinning: &Thinning) -> Result<i64> {
        on_backend!(conn, |c| thinning.count::<channel_statistics::table>().get_result(c))
            .of("channel_statistics", "")
    }

    /// Deletes a row; the count is 0 if there is none.
    pub fn delete(conn: &mut DbConnection, id: ChannelStatisticsId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(channel_statistics::table.find(id)).execute(c))
            .of("channel_statistics", id)
    }
}

impl NewChannelStatistics {
    /// A row with what it must have, and every other column left to its default.
    pub fn new(channel_id: ChannelId) -> Self {
        Self { channel_id, ..Self::default() }
    }

    /// Inserts the row and returns it with its defaults.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<ChannelStatistics> {
        on_backend!(conn, |c| diesel::insert_into(channel_statistics::table)
            .values(self)
            .returning(ChannelStatistics::as_returning())
            .get_result(c))
        .of("channel_statistics", "")
    }

    /// Inserts all rows, or none if one of them does not fit, and returns their count.
    pub fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        insert_many::<_, Self>(conn, channel_statistics::table, "channel_statistics", rows)
    }

    /// Inserts the rows that are not there yet, by `channel_id` and `timestamp`, and returns how many are new and how
    /// many were there. Rows without a `timestamp` are measured now.
    pub(crate) fn insert_new_many(conn: &mut DbConnection, rows: &[Self]) -> Result<Upserted> {
        let now = Timestamp::now();
        let mut seen = HashSet::with_capacity(rows.len());
        let mut rows: Vec<Self> = rows
            .iter()
            .map(|row| Self { timestamp: row.timestamp.or(Some(now)), ..row.clone() })
            .filter(|row| seen.insert((row.channel_id, row.timestamp)))
            .collect();
        let count = rows.len();
        let channels: HashSet<ChannelId> = rows.iter().map(|row| row.channel_id).collect();
        let channels: Vec<ChannelId> = channels.into_iter().collect();
        let times: HashSet<Timestamp> = rows.iter().filter_map(|row| row.timestamp).collect();
        let times: Vec<Timestamp> = times.into_iter().collect();
        let mut known = HashSet::new();
        for channels in channels.chunks(IDS / 2) {
            for times in times.chunks(IDS / 2) {
                let rows: Vec<(ChannelId, Timestamp)> =
                    on_backend!(&mut *conn, |c| channel_statistics::table
                        .filter(channel_statistics::channel_id.eq_any(channels))
                        .filter(channel_statistics::timestamp.eq_any(times))
                        .select((channel_statistics::channel_id, channel_statistics::timestamp))
                        .load(c))
                    .of("channel_statistics", "")?;
                known.extend(rows);
            }
        }
        rows.retain(|row| row.timestamp.is_none_or(|at| !known.contains(&(row.channel_id, at))));
        let new = Self::insert_many(conn, &rows)?;
        Ok(Upserted { new, updated: 0, unchanged: count - new })
    }
}

impl Sample for ChannelStatistics {
    fn measured_at(&self) -> Timestamp {
        self.timestamp
    }
}

impl Series for channel_statistics::table {
    const NAME: &'static str = "channel_statistics";
    const SUBJECT: &'static str = "channel_id";
    const SUBJECT_TYPE: &'static str = "uuid";
    const TIME: &'static str = "timestamp";
    const INDEX: &'static str = "idx_channel_stats_series";
}

impl Document for NewChannelStatistics {
    const TABLE: Table = Table {
        name: "channel_statistics",
        id: Id::Uuid,
        key: &[],
        keep: &[],
        json: &[],
        times: &["timestamp", "created_at"],
    };
}

impl ChannelStatisticsChanges {
    /// Changes the row with this id and returns it; `NotFound` if there is none.
    pub fn update(&self, conn: &mut DbConnection, id: ChannelStatisticsId) -> Result<ChannelStatistics> {
        on_backend!(conn, |c| diesel::update(channel_statistics::table.find(id))
            .set(self)
            .returning(ChannelStatistics::as_returning())
            .get_result(c))
        .of("channel_statistics", id)
    }
}
