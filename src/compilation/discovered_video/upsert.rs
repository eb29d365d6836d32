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

/// Videos that are there, by `video_id`.
pub(crate) type KnownVideos = HashMap<String, Known>;

/// What is known of a video that is there.
#[derive(Debug, Clone, Copy, Queryable)]
pub(crate) struct Known {
    id: i64,
    pub(crate) discovered_at: Timestamp,
    holds: Counts,
}

/// What another sight of a video may change in its row.
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

    /// Its views, likes and comments.
    pub(crate) const fn counts(&self) -> [Option<i64>; 3] {
        [self.holds.view_count, self.holds.like_count, self.holds.comment_count]
    }

    /// What the row is to hold now that the video was seen again; `None` if it stays as it is.
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

/// Looks videos up.
pub(super) fn known(conn: &mut DbConnection, video_ids: &[&str]) -> Result<KnownVideos> {
    let found = on_backend!(
        conn,
        sqlite => |c| sqlite::look_up(c, video_ids),
        postgres => |c| postgres::look_up(c, video_ids)
    );
    Ok(found.of("discovered_videos", "")?.into_iter().collect())
}

/// Inserts or updates rows, all of them or none.
///
/// On SQLite it works straight in the transaction that is open: a savepoint would copy each page before it is changed,
/// and none is needed, because SQLite takes every row that passes here.
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

/// [`insert_or_update_many`] within the transaction that is open, which has to be rolled back if this fails. A caller
/// that has looked the rows up already gives what is `known` of them.
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

/// Refuses a year that SQLite does not keep.
#[cfg(feature = "sqlite")]
fn require_years(rows: &[Complete<'_>]) -> Result<()> {
    match rows.iter().find(|row| !(0..=9999).contains(&row.discovered_at.to_utc().year())) {
        Some(row) => Err(Error::invalid(
            format!("discovered_at of {}", row.video_id),
            "lies outside the years 0 to 9999, which SQLite keeps",
        )),
        None => Ok(()),
    }
}
