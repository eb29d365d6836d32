//! How channels grow, and how much they publish.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer};
use serde::{Deserialize, Serialize};

use super::{Span, sql};
use crate::db::DbConnection;
use crate::error::Result;
use crate::types::sql::{Text, Timestamptz, Uuid};
use crate::types::{ChannelId, Timestamp};

/// The last sample of a channel in an hour, day or week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, QueryableByName)]
#[non_exhaustive]
pub struct ChannelPeriod {
    /// The channel.
    #[diesel(sql_type = Uuid)]
    pub channel_id: ChannelId,
    /// Name of the channel.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// Start of the period.
    #[diesel(sql_type = Timestamptz)]
    pub start: Timestamp,
    /// Number of subscribers.
    #[diesel(sql_type = BigInt)]
    pub subscriber_count: i64,
    /// Number of views of all videos.
    #[diesel(sql_type = BigInt)]
    pub view_count: i64,
    /// Number of videos.
    #[diesel(sql_type = Integer)]
    pub video_count: i32,
}

/// Returns the last sample of each channel in each period of the span, by name of the channel and then by time: of the
/// `limit` active channels with the most subscribers, or of one channel. Periods without a sample are left out.
///
/// The statement reads the samples of these channels within the span, and the newest sample of each channel.
///
/// # Errors
/// Only the [errors of the database](crate::Error#errors-of-the-database).
pub fn channel_series(
    conn: &mut DbConnection,
    span: &Span,
    channel: Option<ChannelId>,
    limit: i64,
) -> Result<Vec<ChannelPeriod>> {
    let by_series = sql::by_index(conn, "idx_channel_stats_series");
    let chosen = match channel {
        Some(channel) => format!("SELECT id, name FROM channels WHERE id = '{channel}'"),
        None => format!(
            "SELECT id, name FROM channels WHERE is_active ORDER BY \
             coalesce((SELECT subscriber_count FROM channel_statistics AS newest {by_series} \
                WHERE newest.channel_id = channels.id ORDER BY newest.timestamp DESC, newest.id DESC LIMIT 1), -1) DESC, \
             name, id LIMIT {}",
            limit.max(0)
        ),
    };
    let start = sql::start(conn, span.every, "sample.timestamp");
    let series = format!(
        "WITH chosen AS ({chosen}), placed AS (\
            SELECT sample.channel_id, chosen.name, {start} AS start, sample.subscriber_count, sample.view_count, \
            sample.video_count, row_number() OVER (PARTITION BY sample.channel_id, {start} \
                ORDER BY sample.timestamp DESC, sample.id DESC) AS place \
            FROM chosen CROSS JOIN channel_statistics AS sample {by_series} \
            WHERE sample.channel_id = chosen.id AND {}) \
         SELECT channel_id, name, start, subscriber_count, view_count, video_count FROM placed \
         WHERE place = 1 ORDER BY name, channel_id, start",
        sql::within(conn, span, "sample.timestamp"),
    );
    sql::load(conn, &series, None, "channel_statistics")
}

/// How many videos a channel published in an hour, day or week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, QueryableByName)]
#[non_exhaustive]
pub struct Publications {
    /// The channel.
    #[diesel(sql_type = Uuid)]
    pub channel_id: ChannelId,
    /// Name of the channel.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// Start of the period.
    #[diesel(sql_type = Timestamptz)]
    pub start: Timestamp,
    /// Number of videos.
    #[diesel(sql_type = BigInt)]
    pub videos: i64,
}

/// Counts the videos that were published within the span, by channel and period: of all channels, or of one. Periods without a
/// publication are left out.
///
/// # Errors
/// Only the [errors of the database](crate::Error#errors-of-the-database).
pub fn publications(
    conn: &mut DbConnection,
    span: &Span,
    channel: Option<ChannelId>,
) -> Result<Vec<Publications>> {
    let of = channel.map(|channel| format!(" AND channel_id = '{channel}'")).unwrap_or_default();
    let published = format!(
        "WITH published AS (SELECT channel_id, {} AS start, count(*) AS videos FROM videos {} WHERE {}{of} GROUP BY 1, 2) \
         SELECT published.channel_id, channels.name, published.start, published.videos \
         FROM published JOIN channels ON channels.id = published.channel_id \
         ORDER BY channels.name, published.channel_id, published.start",
        sql::start(conn, span.every, "published_at"),
        sql::by_index(conn, "idx_videos_published_at"),
        sql::within(conn, span, "published_at"),
    );
    sql::load(conn, &published, None, "videos")
}
