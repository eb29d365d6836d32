//! Inserts many new discovered videos and updates existing ones.
//!
//! A plain upsert of whole rows would do more work than necessary. To change three counts, it binds and checks 17 columns,
//! and it rewrites the index entry of `viral_score` even if the score is unchanged. Instead, each engine uses its fastest
//! method.

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::collections::HashMap;

#[cfg(feature = "sqlite")]
use chrono::Datelike;
use diesel::prelude::*;

use super::{ContentIdRisk, NewDiscoveredVideo, Processed};
use crate::db::{DbConnection, Upserted, on_backend};
#[cfg(feature = "sqlite")]
use crate::error::Error;
use crate::error::{Result, ResultExt};
use crate::schema::discovered_videos;
use crate::types::Timestamp;

/// A row with every default filled in. All rows have the same columns, so one prepared statement or one COPY stores them.
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
            // SQLite stores NaN as NULL.
            viral_score: row.viral_score.filter(|score| !score.is_nan()),
            niche: &row.niche,
            discovery_source: row.discovery_source.as_deref(),
            discovered_at: row.discovered_at.unwrap_or(now),
            processed: row.processed.unwrap_or(Processed::Pending),
            content_id_risk: row.content_id_risk.unwrap_or(ContentIdRisk::Unknown),
        }
    }

    /// Updates the row with a later occurrence of the same video in the same call.
    fn see_again(&mut self, row: &NewDiscoveredVideo<'_>) {
        self.view_count = row.view_count.or(self.view_count);
        self.like_count = row.like_count.or(self.like_count);
        self.comment_count = row.comment_count.or(self.comment_count);
        self.viral_score = row.viral_score.filter(|score| !score.is_nan()).or(self.viral_score);
        self.category_id = self.category_id.or(row.category_id);
        self.duration_seconds = self.duration_seconds.or(row.duration_seconds);
    }
}

/// Existing videos, by `video_id`.
pub(crate) type KnownVideos = HashMap<String, Known>;

/// The current values of an existing video.
#[derive(Debug, Clone, Copy, Queryable)]
pub(crate) struct Known {
    id: i64,
    pub(crate) discovered_at: Timestamp,
    holds: Counts,
}

/// The columns that change when a video is seen again.
#[derive(Debug, Clone, Copy, PartialEq, Queryable)]
pub(crate) struct Counts {
    category_id: Option<i32>,
    duration_seconds: Option<i32>,
    view_count: Option<i64>,
    like_count: Option<i64>,
    comment_count: Option<i64>,
    viral_score: Option<f64>,
}

impl Known {
    pub(crate) const fn id(&self) -> i64 {
        self.id
    }

    /// Returns the views, likes and comments.
    pub(crate) const fn counts(&self) -> [Option<i64>; 3] {
        [self.holds.view_count, self.holds.like_count, self.holds.comment_count]
    }

    /// Returns the values of the row now that the video was seen again, or `None` if they are unchanged.
    fn seen_again(&self, row: &Complete<'_>) -> Option<Counts> {
        let old = self.holds;
        let counts = Counts {
            category_id: old.category_id.or(row.category_id),
            duration_seconds: old.duration_seconds.or(row.duration_seconds),
            view_count: row.view_count.or(old.view_count),
            like_count: row.like_count.or(old.like_count),
            comment_count: row.comment_count.or(old.comment_count),
            viral_score: row.viral_score.or(old.viral_score),
        };
        (counts != old).then_some(counts)
    }
}

/// Looks up videos.
pub(super) fn known(conn: &mut DbConnection, video_ids: &[&str]) -> Result<KnownVideos> {
    let found = on_backend!(
        conn,
        sqlite => |c| sqlite::look_up(c, video_ids),
        postgres => |c| postgres::look_up(c, video_ids)
    );
    Ok(found.of("discovered_videos", "")?.into_iter().collect())
}

/// Inserts or updates all rows, or none of them.
///
/// On SQLite, an open transaction is used without a savepoint, which would copy each page before it is changed. No savepoint
/// is needed, because SQLite accepts every row that passes the checks here.
pub(super) fn insert_or_update_many(
    conn: &mut DbConnection,
    rows: &[NewDiscoveredVideo<'_>],
) -> Result<Upserted> {
    let is_sqlite = on_backend!(&mut *conn, sqlite => |_c| true, postgres => |_c| false);
    if is_sqlite && conn.is_dirty() {
        put_many(conn, rows.iter(), None)
    } else {
        conn.atomically(|conn| put_many(conn, rows.iter(), None))
    }
}

/// Does the work of [`insert_or_update_many`] in the open transaction, which must be rolled back if this fails. Pass `known`
/// if the rows were already looked up.
pub(super) fn put_many<'r>(
    conn: &mut DbConnection,
    rows: impl ExactSizeIterator<Item = &'r NewDiscoveredVideo<'r>>,
    known: Option<&KnownVideos>,
) -> Result<Upserted> {
    let now = Timestamp::now();
    let mut places = HashMap::with_capacity(rows.len());
    let mut complete: Vec<Complete<'_>> = Vec::with_capacity(rows.len());
    for row in rows {
        row.require_indexable()?;
        let place = *places.entry(&*row.video_id).or_insert(complete.len());
        match complete.get_mut(place) {
            Some(seen) => seen.see_again(row),
            None => complete.push(Complete::new(row, now)),
        }
    }
    let (new, updated) = on_backend!(
        conn,
        sqlite => |c| {
            require_years(&complete)?;
            sqlite::store(c, &complete, known)
        },
        postgres => |c| postgres::store(c, &complete, &places, known)
    )
    .of("discovered_videos", "")?;
    Ok(Upserted { new, updated, unchanged: complete.len() - new - updated })
}

/// Rejects a year that SQLite cannot store.
#[cfg(feature = "sqlite")]
fn require_years(rows: &[Complete<'_>]) -> Result<()> {
    match rows.iter().find(|row| !(0..=9999).contains(&row.discovered_at.to_utc().year())) {
        Some(row) => Err(Error::invalid(
            format!("discovered_at of {}", row.video_id),
            "is outside the years 0 to 9999 that SQLite can store",
        )),
        None => Ok(()),
    }
}
