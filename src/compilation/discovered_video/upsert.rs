//! Many discovered videos at once: new ones inserted, known ones brought up to date.
//!
//! An upsert of whole rows would do more than is needed: it binds and checks seventeen columns to change
//! three counts, and it writes the index over `viral_score` anew even when the score stays. Each engine
//! gets what is quickest on it instead.

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::collections::HashMap;

use chrono::Datelike;
use diesel::prelude::*;

use super::{ContentIdRisk, NewDiscoveredVideo, Processed};
use crate::db::{DbConnection, Upserted, on_backend};
use crate::error::{Error, Result, ResultExt};
use crate::schema::discovered_videos;
use crate::types::Timestamp;

/// Where the row of each `video_id` stands among those that are stored together.
type Places<'a> = HashMap<&'a str, usize>;

/// A row with every default filled in: each has the same columns, so that one prepared statement, or
/// one COPY, takes them all.
#[derive(Insertable)]
#[diesel(table_name = discovered_videos, treat_none_as_default_value = false)]
struct Complete<'a> {
    video_id: &'a str,
    title: &'a str,
    channel_name: &'a str,
    channel_id: &'a str,
    url: &'a str,
    category_id: Option<i32>,
    duration_seconds: Option<i32>,
    view_count: Option<i64>,
    like_count: Option<i64>,
    comment_count: Option<i64>,
    view_velocity: Option<f64>,
    viral_score: Option<f64>,
    niche: &'a str,
    discovery_source: Option<&'a str>,
    discovered_at: Timestamp,
    processed: Processed,
    content_id_risk: ContentIdRisk,
}

impl<'a> Complete<'a> {
    fn new(row: &'a NewDiscoveredVideo<'_>, now: Timestamp) -> Self {
        Self {
            video_id: &row.video_id,
            title: &row.title,
            channel_name: &row.channel_name,
            channel_id: &row.channel_id,
            url: &row.url,
            category_id: row.category_id,
            duration_seconds: row.duration_seconds,
            view_count: row.view_count,
            like_count: row.like_count,
            comment_count: row.comment_count,
            view_velocity: row.view_velocity,
            // SQLite keeps what is no number as NULL.
            viral_score: row.viral_score.filter(|score| !score.is_nan()),
            niche: &row.niche,
            discovery_source: row.discovery_source.as_deref(),
            discovered_at: row.discovered_at.unwrap_or(now),
            processed: row.processed.unwrap_or(Processed::Pending),
            content_id_risk: row.content_id_risk.unwrap_or(ContentIdRisk::Unknown),
        }
    }

    /// The same video, seen again later in the same call.
    fn see_again(&mut self, row: &NewDiscoveredVideo<'_>) {
        self.view_count = row.view_count.or(self.view_count);
        self.like_count = row.like_count.or(self.like_count);
        self.comment_count = row.comment_count.or(self.comment_count);
        self.viral_score = row.viral_score.filter(|score| !score.is_nan()).or(self.viral_score);
        self.category_id = self.category_id.or(row.category_id);
        self.duration_seconds = self.duration_seconds.or(row.duration_seconds);
    }
}

pub(super) fn insert_or_update_many(
    conn: &mut DbConnection,
    rows: &[NewDiscoveredVideo<'_>],
) -> Result<Upserted> {
    let now = Timestamp::now();
    let mut places = HashMap::with_capacity(rows.len());
    let mut complete: Vec<Complete<'_>> = Vec::with_capacity(rows.len());
    for row in rows {
        let place = *places.entry(&*row.video_id).or_insert(complete.len());
        match complete.get_mut(place) {
            Some(seen) => seen.see_again(row),
            None => complete.push(Complete::new(row, now)),
        }
    }
    let write = |conn: &mut DbConnection| {
        on_backend!(
            conn,
            sqlite => |c| sqlite::store(c, &complete, &places),
            postgres => |c| postgres::store(c, &complete, &places)
        )
        .of("discovered_videos", "")
    };
    let (new, updated) =
        if needs_no_savepoint(conn, &complete)? { write(conn)? } else { conn.atomically(write)? };
    Ok(Upserted { new, updated, unchanged: complete.len() - new - updated })
}

/// Whether to write straight into the transaction that is open. On SQLite a savepoint copies each page
/// of the indexes before it changes, which takes more memory than all the rest; and none is needed,
/// because SQLite takes every row that passes here: there is nothing to go back to but the beginning.
fn needs_no_savepoint(conn: &mut DbConnection, rows: &[Complete<'_>]) -> Result<bool> {
    let is_sqlite = on_backend!(conn, sqlite => |_c| true, postgres => |_c| false);
    if !is_sqlite {
        return Ok(false);
    }
    match rows.iter().find(|row| !(0..=9999).contains(&row.discovered_at.to_utc().year())) {
        Some(row) => Err(Error::invalid(
            format!("discovered_at of {}", row.video_id),
            "lies outside the years 0 to 9999, which SQLite keeps",
        )),
        None => Ok(conn.is_dirty()),
    }
}
