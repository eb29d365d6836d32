//! Statistics of a channel at one point in time.

use std::collections::HashSet;

use diesel::dsl::sql;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::Channel;
use crate::db::json_upsert::{Document, Id, Table};
use crate::db::{DbConnection, IDS, MultiBackend, Page, Upserted, insert_many, on_backend};
use crate::error::{Result, ResultExt};
use crate::schema::channel_statistics;
use crate::series::{Every, Growth, Sample, Select, Series, Thinning, top};
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
    /// Primary key. viraldb generates version 7 UUIDs.
    pub id: ChannelStatisticsId,
    /// Channel that was measured.
    pub channel_id: ChannelId,
    /// Subscribers.
    pub subscriber_count: i64,
    /// Views of the channel, as YouTube counts them.
    pub view_count: i64,
    /// Videos on the channel, as YouTube counts them.
    pub video_count: i32,
    /// Views of the videos that the pipeline published.
    pub total_views: i64,
    /// Videos that the pipeline published.
    pub total_videos: i32,
    /// When the channel was measured.
    pub timestamp: Timestamp,
    /// When the row was created.
    pub created_at: Timestamp,
}

/// A row to insert: `None` means the column's default. See [`ChannelStatistics`] for the fields.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Insertable)]
#[diesel(table_name = channel_statistics)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // documented on the row
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

/// Changes to a row: `None` keeps the stored value, and `Some(None)` stores NULL. See [`ChannelStatistics`] for the fields.
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = channel_statistics)]
#[allow(missing_docs)] // documented on the row
pub struct ChannelStatisticsChanges {
    pub channel_id: Option<ChannelId>,
    pub subscriber_count: Option<i64>,
    pub view_count: Option<i64>,
    pub video_count: Option<i32>,
    pub total_views: Option<i64>,
    pub total_videos: Option<i32>,
    pub timestamp: Option<Timestamp>,
}

/// Selects rows for `list`, `count` and `exists`; a `None` field matches every row.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // documented on the row
pub struct ChannelStatisticsFilter {
    pub channel_id: Option<ChannelId>,
}

impl ChannelStatisticsFilter {
    /// Returns the query for the matching rows.
    fn rows(&self) -> channel_statistics::BoxedQuery<'_, MultiBackend> {
        let mut query = channel_statistics::table.into_boxed();
        if let Some(channel_id) = self.channel_id {
            query = query.filter(channel_statistics::channel_id.eq(channel_id));
        }
        query
    }
}

impl ChannelStatistics {
    /// Returns the row with this id.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no sample has this id.
    pub fn find(conn: &mut DbConnection, id: ChannelStatisticsId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("channel_statistics", id)
    }

    /// Returns one page of the matching rows, newest first.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if the row `page.after` was deleted; list again from
    /// the first page.
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
            Self::find(conn, after)?; // if the row was deleted, an empty page would look like the end of the list
        }
        Ok(rows)
    }

    /// Returns the number of matching rows.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn count(conn: &mut DbConnection, filter: &ChannelStatisticsFilter) -> Result<i64> {
        filter.rows().count().get_result(conn).of("channel_statistics", "")
    }

    /// Returns true if at least one row matches.
    ///
    /// # Errors
    /// The errors of [`count`](Self::count).
    pub fn exists(conn: &mut DbConnection, filter: &ChannelStatisticsFilter) -> Result<bool> {
        let row: Option<i32> =
            filter.rows().select(1.into_sql::<Int4>()).first(conn).optional().of("channel_statistics", "")?;
        Ok(row.is_some())
    }

    /// Returns the newest sample of a channel, or `None` if it was never measured.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). A channel that was never
    /// measured is not an error.
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

    /// Returns the newest sample of each of these channels, in one statement.
    ///
    /// Results are in the order of `channels`, without duplicates. A channel that was never measured is left out.
    ///
    /// # Errors
    /// The errors of [`latest`](Self::latest).
    pub fn latest_of(conn: &mut DbConnection, channels: &[ChannelId]) -> Result<Vec<Self>> {
        let select = Select::<channel_statistics::table>::latest_of(channels);
        on_backend!(conn, |c| select.load(c)).of("channel_statistics", "")
    }

    /// Returns one page of the newest samples of all channels that were ever measured, ordered by the id of the channel.
    ///
    /// One statement reads only the newest samples. `page.after` is the id of a channel.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). The channel `page.after`
    /// need not exist anymore.
    pub fn latest_of_all(conn: &mut DbConnection, page: &Page<ChannelId>) -> Result<Vec<Self>> {
        let select = Select::<channel_statistics::table>::latest_of_all(page);
        on_backend!(conn, |c| select.load(c)).of("channel_statistics", "")
    }

    /// Returns how the numbers of a channel grew from `from` to `to`, or `None` if it was not measured by `to`.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if `to` is before `from`.
    pub fn growth(
        conn: &mut DbConnection,
        channel: ChannelId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Option<Growth<Self>>> {
        Ok(Self::growth_of(conn, &[channel], from, to)?.pop())
    }

    /// Returns the [`growth`](Self::growth) of each of these channels, in one statement.
    ///
    /// Results are in the order of `channels`, without duplicates. A channel that was not measured by `to` is left out.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if `to` is before `from`.
    pub fn growth_of(
        conn: &mut DbConnection,
        channels: &[ChannelId],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Growth<Self>>> {
        let select = Select::<channel_statistics::table>::ends(channels, from, to)?;
        on_backend!(conn, |c| select.load(c)).of("channel_statistics", "").map(Growth::of_pairs)
    }

    /// Returns the growth of the `limit` channels whose subscribers grew most between two points in time, largest growth first.
    ///
    /// Reads two statements per thousand channels: the time grows with the number of channels, not with the length of their
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
        let step = |page: &Page<ChannelId>| {
            let newest = Self::latest_of_all(conn, page)?;
            let keys: Vec<ChannelId> = newest.iter().map(|row| row.channel_id).collect();
            let growth = Self::growth_of(conn, &keys, from, to)?;
            Ok((keys, growth))
        };
        top(limit, step, |growth| growth.of(|row| row.subscriber_count))
    }

    /// Returns the last sample of each hour, day or week from `from` (inclusive) to `to` (exclusive), oldest first.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if `to` is before `from`.
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

    /// Runs one step of a thinning and returns how many rows it deleted.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). The step then deletes
    /// nothing, but `thinning` may be past its rows already: create a new [`Thinning`] to continue.
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

    /// Returns the rows that the next step of a thinning must delete.
    pub(crate) fn superfluous(
        conn: &mut DbConnection,
        thinning: &mut Thinning,
    ) -> Result<Vec<ChannelStatisticsId>> {
        let found: Vec<(ChannelStatisticsId, String)> =
            on_backend!(conn, |c| thinning.next_rows::<channel_statistics::table>().load(c))
                .of("channel_statistics", "")?;
        Ok(thinning.take(found))
    }

    /// Returns how many rows the remaining steps of a thinning will delete.
    pub(crate) fn count_superfluous(conn: &mut DbConnection, thinning: &Thinning) -> Result<i64> {
        on_backend!(conn, |c| thinning.count::<channel_statistics::table>().get_result(c))
            .of("channel_statistics", "")
    }

    /// Deletes a row and returns the number of rows deleted, which is 0 if the row did not exist.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database), because no table refers
    /// to `channel_statistics`.
    pub fn delete(conn: &mut DbConnection, id: ChannelStatisticsId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(channel_statistics::table.find(id)).execute(c))
            .of("channel_statistics", id)
    }
}

impl NewChannelStatistics {
    /// Creates a row from its required columns; every other column gets its default.
    pub fn new(channel_id: ChannelId) -> Self {
        Self { channel_id, ..Self::default() }
    }

    /// Inserts the row and returns it with its defaults filled in.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if the channel does not exist;
    /// [`Conflict`](crate::Error::Conflict) if `id` already exists.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<ChannelStatistics> {
        on_backend!(conn, |c| diesel::insert_into(channel_statistics::table)
            .values(self)
            .returning(ChannelStatistics::as_returning())
            .get_result(c))
        .of("channel_statistics", "")
    }

    /// Inserts all rows and returns their count. If one of them is rejected, none is inserted.
    ///
    /// # Errors
    /// The errors of [`insert`](Self::insert), for any of the rows.
    pub fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        insert_many::<_, Self>(conn, channel_statistics::table, "channel_statistics", rows)
    }

    /// Inserts the rows that do not exist yet, matched by `channel_id` and `timestamp`. Returns how many are new and how many
    /// existed. Rows without a `timestamp` get the current time.
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
        origin: &[],
        parents: &[("channel_id", "channels")],
        keep: &[],
        json: &[],
        times: &["timestamp", "created_at"],
    };
}

impl ChannelStatisticsChanges {
    /// Updates the row with this id and returns it.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no sample has this id;
    /// [`Invalid`](crate::Error::Invalid) if the new channel does not exist or `self` has no
    /// changes.
    pub fn update(&self, conn: &mut DbConnection, id: ChannelStatisticsId) -> Result<ChannelStatistics> {
        on_backend!(conn, |c| diesel::update(channel_statistics::table.find(id))
            .set(self)
            .returning(ChannelStatistics::as_returning())
            .get_result(c))
        .of("channel_statistics", id)
    }
}
