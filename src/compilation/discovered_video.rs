//! Videos discovered on a platform that can be cut into a compilation.

mod upsert;

use std::borrow::Cow;

use diesel::dsl::{count_star, sql};
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Untyped};
use serde::{Deserialize, Serialize};
pub(crate) use upsert::KnownVideos;

use super::Processed;
use crate::db::json_upsert::{Document, Id, Table};
use crate::db::prepared::Prepared;
use crate::db::{DbConnection, IDS, MultiBackend, Page, Upserted, insert_many, on_backend};
use crate::error::{Result, ResultExt, require, require_indexable};
use crate::schema::discovered_videos;
use crate::types::sql::Int4;
use crate::types::{DiscoveredVideoId, Timestamp, portable};

/// One row of `discovered_videos`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, HasQuery, QueryableByName, Identifiable)]
#[diesel(table_name = discovered_videos, check_for_backend(crate::db::MultiBackend))]
#[non_exhaustive]
pub struct DiscoveredVideo {
    /// Primary key, assigned by the database.
    pub id: DiscoveredVideoId,
    /// The platform's id of the video. Unique.
    pub video_id: String,
    /// Title on the platform.
    pub title: String,
    /// Name of the channel that published the video.
    pub channel_name: String,
    /// The platform's id of that channel.
    pub channel_id: String,
    /// URL of the video.
    pub url: String,
    /// The platform's category number; 20 is gaming on YouTube.
    pub category_id: Option<i32>,
    /// Duration in seconds.
    pub duration_seconds: Option<i32>,
    /// Views when last seen.
    pub view_count: Option<i64>,
    /// Likes when last seen.
    pub like_count: Option<i64>,
    /// Comments when last seen.
    pub comment_count: Option<i64>,
    /// Views per hour since publication, measured at discovery.
    pub view_velocity: Option<f64>,
    /// Score that the pipeline assigned; higher is better.
    pub viral_score: Option<f64>,
    /// Subject of the video, such as gaming.
    pub niche: String,
    /// Source of the video: youtube_trending, youtube_api, yt_dlp, reddit, …
    pub discovery_source: Option<String>,
    /// When the video was first seen.
    pub discovered_at: Timestamp,
    /// Whether the video was used: 0 pending, 1 used, 2 skipped, 3 rejected.
    pub processed: Processed,
    /// Risk of a Content ID claim.
    pub content_id_risk: ContentIdRisk,
}

/// A row to insert: `None` means the column's default. See [`DiscoveredVideo`] for the fields.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Insertable)]
#[diesel(table_name = discovered_videos)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // documented on the row
pub struct NewDiscoveredVideo<'a> {
    pub id: Option<DiscoveredVideoId>,
    pub video_id: Cow<'a, str>,
    pub title: Cow<'a, str>,
    pub channel_name: Cow<'a, str>,
    pub channel_id: Cow<'a, str>,
    pub url: Cow<'a, str>,
    pub category_id: Option<i32>,
    pub duration_seconds: Option<i32>,
    pub view_count: Option<i64>,
    pub like_count: Option<i64>,
    pub comment_count: Option<i64>,
    pub view_velocity: Option<f64>,
    pub viral_score: Option<f64>,
    pub niche: Cow<'a, str>,
    pub discovery_source: Option<Cow<'a, str>>,
    pub discovered_at: Option<Timestamp>,
    pub processed: Option<Processed>,
    pub content_id_risk: Option<ContentIdRisk>,
}

/// Changes to a row: `None` keeps the stored value, and `Some(None)` stores NULL. See [`DiscoveredVideo`] for the fields.
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = discovered_videos)]
#[allow(missing_docs)] // documented on the row
pub struct DiscoveredVideoChanges<'a> {
    pub video_id: Option<Cow<'a, str>>,
    pub title: Option<Cow<'a, str>>,
    pub channel_name: Option<Cow<'a, str>>,
    pub channel_id: Option<Cow<'a, str>>,
    pub url: Option<Cow<'a, str>>,
    pub category_id: Option<Option<i32>>,
    pub duration_seconds: Option<Option<i32>>,
    pub view_count: Option<Option<i64>>,
    pub like_count: Option<Option<i64>>,
    pub comment_count: Option<Option<i64>>,
    pub view_velocity: Option<Option<f64>>,
    pub viral_score: Option<Option<f64>>,
    pub niche: Option<Cow<'a, str>>,
    pub discovery_source: Option<Option<Cow<'a, str>>>,
    pub discovered_at: Option<Timestamp>,
    pub processed: Option<Processed>,
    pub content_id_risk: Option<ContentIdRisk>,
}

/// Selects rows for `list`, `count` and `exists`; a `None` field matches every row.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // documented on the row
pub struct DiscoveredVideoFilter<'a> {
    pub niche: Option<&'a str>,
    pub processed: Option<Processed>,
}

/// Returns the condition that a video is pending.
///
/// The 0 is a literal, because SQLite does not use the partial index of pending videos for a bound value.
fn is_pending() -> SqlLiteral<Bool> {
    sql::<Bool>("discovered_videos.processed = 0")
}

/// Returns the order of `idx_discovered_videos_pending`, then by views.
///
/// `NULLS LAST` is explicit because SQLite and PostgreSQL sort NULL differently by default.
fn best_first() -> SqlLiteral<Untyped> {
    sql::<Untyped>(
        "discovered_videos.viral_score DESC NULLS LAST, discovered_videos.view_velocity DESC NULLS LAST, \
         discovered_videos.view_count DESC NULLS LAST, discovered_videos.id",
    )
}

impl DiscoveredVideoFilter<'_> {
    /// Returns the query for the matching rows.
    fn rows(&self) -> discovered_videos::BoxedQuery<'_, MultiBackend> {
        let mut query = discovered_videos::table.into_boxed();
        if let Some(niche) = self.niche {
            query = query.filter(discovered_videos::niche.eq(niche));
        }
        if let Some(processed) = self.processed {
            query = query.filter(discovered_videos::processed.eq(processed));
        }
        query
    }
}

impl DiscoveredVideo {
    /// Returns the row with this id.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no video has this id.
    pub fn find(conn: &mut DbConnection, id: DiscoveredVideoId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("discovered_videos", id)
    }

    /// Returns one page of the matching rows, newest first.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). The row `page.after`
    /// need not exist anymore.
    pub fn list(
        conn: &mut DbConnection,
        filter: &DiscoveredVideoFilter<'_>,
        page: &Page<DiscoveredVideoId>,
    ) -> Result<Vec<Self>> {
        let mut query = filter.rows();
        if let Some(after) = page.after {
            query = query.filter(discovered_videos::id.lt(after));
        }
        query
            .select(Self::as_select())
            .order(discovered_videos::id.desc())
            .limit(page.at_most())
            .load(conn)
            .of("discovered_videos", "")
    }

    /// Returns the number of matching rows.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn count(conn: &mut DbConnection, filter: &DiscoveredVideoFilter<'_>) -> Result<i64> {
        filter.rows().count().get_result(conn).of("discovered_videos", "")
    }

    /// Returns true if at least one row matches.
    ///
    /// # Errors
    /// The errors of [`count`](Self::count).
    pub fn exists(conn: &mut DbConnection, filter: &DiscoveredVideoFilter<'_>) -> Result<bool> {
        let row: Option<i32> =
            filter.rows().select(1.into_sql::<Int4>()).first(conn).optional().of("discovered_videos", "")?;
        Ok(row.is_some())
    }

    /// Returns the video with the platform's id.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no video has this id of the platform.
    pub fn find_by_video_id(conn: &mut DbConnection, video_id: &str) -> Result<Self> {
        on_backend!(conn, |c| Self::query().filter(discovered_videos::video_id.eq(video_id)).first(c))
            .of("discovered_videos", video_id)
    }

    /// Returns the pending videos of a niche, best first.
    ///
    /// The order is `viral_score`, then `view_velocity`, then `view_count`, each descending with NULL last.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) for an empty niche.
    pub fn pending(conn: &mut DbConnection, niche: &str, limit: i64) -> Result<Vec<Self>> {
        require("niche", niche)?;
        on_backend!(conn, |c| {
            Self::query()
                .filter(is_pending())
                .filter(discovered_videos::niche.eq(niche))
                .order(best_first())
                .limit(limit.max(0))
                .load(c)
        })
        .of("discovered_videos", niche)
    }

    /// Returns the pending videos of a niche, best first, and locks them for the open transaction. A concurrent
    /// transaction gets other videos.
    ///
    /// Videos with a score below `min_score` are left out. Videos without a score are included, after the others.
    pub(super) fn take_pending(
        conn: &mut DbConnection,
        niche: &str,
        limit: i64,
        min_score: f64,
    ) -> Result<Vec<Self>> {
        let best = |limit: i64| {
            discovered_videos::table
                .filter(is_pending())
                .filter(discovered_videos::niche.eq(niche))
                .order(best_first())
                .limit(limit.max(0))
        };
        let scored = || best(limit).filter(discovered_videos::viral_score.ge(min_score));
        let mut taken: Vec<Self> = on_backend!(
            &mut *conn,
            sqlite => |c| scored().select(Self::as_select()).load(c),
            postgres => |c| scored().select(Self::as_select()).for_update().skip_locked().load(c),
        )
        .of("discovered_videos", niche)?;
        // A second statement, so that neither one reads the videos in between, whose scores are too low.
        let left = limit - taken.len() as i64;
        if left > 0 {
            let unscored = || best(left).filter(discovered_videos::viral_score.is_null());
            let rest: Vec<Self> = on_backend!(
                conn,
                sqlite => |c| unscored().select(Self::as_select()).load(c),
                postgres => |c| unscored().select(Self::as_select()).for_update().skip_locked().load(c),
            )
            .of("discovered_videos", niche)?;
            taken.extend(rest);
        }
        Ok(taken)
    }

    /// Returns the number of pending videos for each niche, ordered by niche.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn count_pending(conn: &mut DbConnection) -> Result<Vec<(String, i64)>> {
        on_backend!(conn, |c| {
            discovered_videos::table
                .filter(is_pending())
                .group_by(discovered_videos::niche)
                .select((discovered_videos::niche, count_star()))
                .order(discovered_videos::niche)
                .load(c)
        })
        .of("discovered_videos", "")
    }

    /// Sets the status of the video with the platform's id and returns it.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no video has this id of the platform.
    pub fn mark(conn: &mut DbConnection, video_id: &str, status: Processed) -> Result<Self> {
        struct Mark;
        on_backend!(conn, |c| {
            let mark =
                diesel::update(discovered_videos::table.filter(discovered_videos::video_id.eq(video_id)))
                    .set(discovered_videos::processed.eq(status))
                    .returning(Self::as_returning());
            Prepared(Mark, mark).get_result(c)
        })
        .of("discovered_videos", video_id)
    }

    /// Sets the status of many videos and returns how many of them exist.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). An id that does not
    /// exist is not an error.
    pub fn mark_many(
        conn: &mut DbConnection,
        ids: impl IntoIterator<Item = DiscoveredVideoId>,
        status: Processed,
    ) -> Result<usize> {
        let ids: Vec<DiscoveredVideoId> = ids.into_iter().collect();
        conn.atomically(|conn| {
            on_backend!(conn, |c| ids
                .chunks(crate::db::IDS)
                .map(|ids| {
                    diesel::update(discovered_videos::table.filter(discovered_videos::id.eq_any(ids)))
                        .set(discovered_videos::processed.eq(status))
                        .execute(c)
                })
                .sum::<QueryResult<_>>())
            .of("discovered_videos", "")
        })
    }

    /// Returns the platform's id and `discovered_at` of each of these videos that exists.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn discovered(conn: &mut DbConnection, video_ids: &[&str]) -> Result<Vec<(String, Timestamp)>> {
        let mut found = Vec::new();
        for video_ids in video_ids.chunks(IDS) {
            let rows: Vec<(String, Timestamp)> = on_backend!(&mut *conn, |c| {
                discovered_videos::table
                    .filter(discovered_videos::video_id.eq_any(video_ids))
                    .select((discovered_videos::video_id, discovered_videos::discovered_at))
                    .load(c)
            })
            .of("discovered_videos", "")?;
            found.extend(rows);
        }
        Ok(found)
    }

    /// Returns the largest id in the table, or 0 if the table is empty.
    pub(crate) fn largest_id(conn: &mut DbConnection) -> Result<i64> {
        let largest: Option<i64> = on_backend!(conn, |c| discovered_videos::table
            .select(diesel::dsl::max(discovered_videos::id))
            .first(c))
        .of("discovered_videos", "")?;
        Ok(largest.unwrap_or_default())
    }

    /// Looks up which of these videos exist and what their rows contain.
    pub(crate) fn known(conn: &mut DbConnection, video_ids: &[&str]) -> Result<KnownVideos> {
        upsert::known(conn, video_ids)
    }

    /// Deletes a row and returns the number of rows deleted, which is 0 if the row did not exist.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if a clip was cut from the video.
    pub fn delete(conn: &mut DbConnection, id: DiscoveredVideoId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(discovered_videos::table.find(id)).execute(c))
            .of("discovered_videos", id)
    }
}

impl<'a> NewDiscoveredVideo<'a> {
    /// Creates a row from the platform's id of the video and the niche. `title`, `channel_name`, `channel_id` and `url`
    /// are empty, and every other column gets its default.
    pub fn new(video_id: impl Into<Cow<'a, str>>, niche: impl Into<Cow<'a, str>>) -> Self {
        Self { video_id: video_id.into(), niche: niche.into(), ..Self::default() }
    }
}

impl NewDiscoveredVideo<'_> {
    /// Rejects text that is too long for an indexed column.
    pub(crate) fn require_indexable(&self) -> Result<()> {
        require_indexable("video_id", Some(&self.video_id))?;
        require_indexable("niche", Some(&self.niche))
    }

    /// Inserts the row and returns it with its defaults filled in.
    ///
    /// # Errors
    /// [`Conflict`](crate::Error::Conflict) if `video_id` or a given `id` already exists;
    /// [`Invalid`](crate::Error::Invalid) if `video_id` or `niche` has more than 2,600 bytes.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<DiscoveredVideo> {
        self.require_indexable()?;
        on_backend!(conn, |c| diesel::insert_into(discovered_videos::table)
            .values(self)
            .returning(DiscoveredVideo::as_returning())
            .get_result(c))
        .of("discovered_videos", "")
    }

    /// Inserts all rows and returns their count. If one of them is rejected, none is inserted.
    ///
    /// # Errors
    /// The errors of [`insert`](Self::insert), for any of the rows.
    pub fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        rows.iter().try_for_each(Self::require_indexable)?;
        insert_many::<_, Self>(conn, discovered_videos::table, "discovered_videos", rows)
    }

    /// Inserts the video or, if the `video_id` exists, updates its counts, and returns it.
    ///
    /// # Errors
    /// The errors of [`insert_or_update_many`](Self::insert_or_update_many).
    pub fn insert_or_update(&self, conn: &mut DbConnection) -> Result<DiscoveredVideo> {
        Self::insert_or_update_many(conn, std::slice::from_ref(self))?;
        DiscoveredVideo::find_by_video_id(conn, &self.video_id)
    }

    /// Inserts new videos and updates existing ones, matched by `video_id`.
    ///
    /// An existing video gets the counts and the score that are `Some`. It gets a category and a duration only if it had
    /// none. Every other column stays, including `discovered_at`, `processed` and `niche`.
    ///
    /// If a video occurs twice in `rows`, the second occurrence updates the first. `id` is ignored: the database assigns
    /// the ids of new rows.
    ///
    /// This is the fastest way to store many rows. Pass a few thousand per call.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if `video_id` or `niche` of a row has more than 2,600
    /// bytes. Then no row is stored.
    pub fn insert_or_update_many(conn: &mut DbConnection, rows: &[Self]) -> Result<Upserted> {
        upsert::insert_or_update_many(conn, rows)
    }

    /// Does the work of [`Self::insert_or_update_many`] in the open transaction, which must be rolled back if this fails.
    ///
    /// Pass `known` if [`DiscoveredVideo::known`] has already looked up the rows.
    pub(crate) fn put_many<'r>(
        conn: &mut DbConnection,
        rows: impl ExactSizeIterator<Item = &'r NewDiscoveredVideo<'r>>,
        known: Option<&KnownVideos>,
    ) -> Result<Upserted> {
        upsert::put_many(conn, rows, known)
    }
}

impl Document for NewDiscoveredVideo<'static> {
    const TABLE: Table = Table {
        name: "discovered_videos",
        id: Id::Number,
        key: &["video_id"],
        origin: &[],
        parents: &[],
        keep: &["discovered_at", "processed", "niche"],
        json: &[],
        times: &["discovered_at"],
    };
}

impl DiscoveredVideoChanges<'_> {
    /// Updates the row with this id and returns it.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no video has this id;
    /// [`Conflict`](crate::Error::Conflict) if another video has the new `video_id`;
    /// [`Invalid`](crate::Error::Invalid) if a new text is too long for its index or `self` has no
    /// changes.
    pub fn update(&self, conn: &mut DbConnection, id: DiscoveredVideoId) -> Result<DiscoveredVideo> {
        require_indexable("video_id", self.video_id.as_ref())?;
        require_indexable("niche", self.niche.as_ref())?;
        on_backend!(conn, |c| diesel::update(discovered_videos::table.find(id))
            .set(self)
            .returning(DiscoveredVideo::as_returning())
            .get_result(c))
        .of("discovered_videos", id)
    }
}

portable! {
    /// Risk of a Content ID claim.
    pub enum ContentIdRisk {
        Low = "low",
        Medium = "medium",
        High = "high",
        Unknown = "unknown",
    }
}
