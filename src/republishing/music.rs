//! Tracks that may replace the music of a video.

use std::borrow::Cow;

use diesel::dsl::sql;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use crate::db::json_upsert::{Document, Id, Table};
use crate::db::{DbConnection, MultiBackend, Page, insert_many, on_backend};
use crate::error::{Result, ResultExt, require_indexable};
use crate::schema::{music, videos};
use crate::types::sql::{Bool, Int4, Uuid};
use crate::types::{Json, MusicId, Timestamp};

/// One row of `music`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, HasQuery, QueryableByName, Identifiable)]
#[diesel(table_name = music, check_for_backend(crate::db::MultiBackend))]
#[non_exhaustive]
pub struct Music {
    /// Identifier, a UUID of version 7 when we make it.
    pub id: MusicId,
    /// Title of the track.
    pub name: String,
    /// Who plays it.
    pub artist: Option<String>,
    /// Spotify's id of the track.
    pub spotify_track_id: Option<String>,
    /// Spotify's address of the track.
    pub spotify_track_url: Option<String>,
    /// Path of the audio file.
    pub file_path: Option<String>,
    /// Its size in bytes.
    pub file_size: Option<i64>,
    /// Its length in seconds.
    pub duration: Option<i32>,
    /// Whatever else is known about it.
    pub metadata: Option<Json>,
    /// How often it was used.
    pub usage_count: i32,
    /// Whether it may be used.
    pub is_active: bool,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When the row last changed.
    pub updated_at: Timestamp,
}

/// What is known of a new row; `None` leaves a column to its default. The fields are those of
/// [`Music`].
#[derive(Debug, Clone, Default, Serialize, Deserialize, Insertable, AsChangeset)]
#[diesel(table_name = music)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // as the row's
pub struct NewMusic<'a> {
    #[serde(default)]
    pub id: MusicId,
    pub name: Cow<'a, str>,
    pub artist: Option<Cow<'a, str>>,
    pub spotify_track_id: Option<Cow<'a, str>>,
    pub spotify_track_url: Option<Cow<'a, str>>,
    pub file_path: Option<Cow<'a, str>>,
    pub file_size: Option<i64>,
    pub duration: Option<i32>,
    pub metadata: Option<Json>,
    pub usage_count: Option<i32>,
    pub is_active: Option<bool>,
    pub created_at: Option<Timestamp>,
    pub updated_at: Option<Timestamp>,
}

/// What is to change in a row: `None` leaves a column alone, `Some(None)` writes NULL. The fields are
/// those of [`Music`].
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = music)]
#[allow(missing_docs)] // as the row's
pub struct MusicChanges<'a> {
    pub name: Option<Cow<'a, str>>,
    pub artist: Option<Option<Cow<'a, str>>>,
    pub spotify_track_id: Option<Option<Cow<'a, str>>>,
    pub spotify_track_url: Option<Option<Cow<'a, str>>>,
    pub file_path: Option<Option<Cow<'a, str>>>,
    pub file_size: Option<Option<i64>>,
    pub duration: Option<Option<i32>>,
    pub metadata: Option<Option<Json>>,
    pub usage_count: Option<i32>,
    pub is_active: Option<bool>,
}

/// Which rows to list; `None` asks nothing of a column.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // as the row's
pub struct MusicFilter {
    pub is_active: Option<bool>,
}

impl MusicFilter {
    /// The rows that it asks for.
    fn rows(&self) -> music::BoxedQuery<'_, MultiBackend> {
        let mut query = music::table.into_boxed();
        if let Some(is_active) = self.is_active {
            query = query.filter(music::is_active.eq(is_active));
        }
        query
    }
}

impl Music {
    /// The row with this id; `NotFound` if there is none.
    pub fn find(conn: &mut DbConnection, id: MusicId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("music", id)
    }

    /// Rows, newest first; `NotFound` if the row that `page` begins behind is gone.
    pub fn list(conn: &mut DbConnection, filter: &MusicFilter, page: &Page<MusicId>) -> Result<Vec<Self>> {
        let mut query = filter.rows();
        if let Some(after) = page.after {
            query = query.filter(
                sql::<Bool>("(music.created_at, music.id) < (SELECT created_at, id FROM music WHERE id = ")
                    .bind::<Uuid, _>(after)
                    .sql(")"),
            );
        }
        let rows: Vec<Self> = query
            .select(Self::as_select())
            .order((music::created_at.desc(), music::id.desc()))
            .limit(page.at_most())
            .load(conn)
            .of("music", "")?;
        if let (true, Some(after)) = (rows.is_empty(), page.after) {
            Self::find(conn, after)?; // a page behind a row that is gone would pass for the last one
        }
        Ok(rows)
    }

    /// How many rows there are.
    pub fn count(conn: &mut DbConnection, filter: &MusicFilter) -> Result<i64> {
        filter.rows().count().get_result(conn).of("music", "")
    }

    /// Returns true if there is such a row.
    pub fn exists(conn: &mut DbConnection, filter: &MusicFilter) -> Result<bool> {
        let row: Option<i32> =
            filter.rows().select(1.into_sql::<Int4>()).first(conn).optional().of("music", "")?;
        Ok(row.is_some())
    }

    /// The tracks that may be used, the least used first.
    pub fn active(conn: &mut DbConnection) -> Result<Vec<Self>> {
        on_backend!(conn, |c| {
            Self::query()
                .filter(music::is_active.eq(true))
                .order((music::usage_count, music::name, music::id))
                .load(c)
        })
        .of("music", "")
    }

    /// The number of videos that a track was chosen for; they do without it when it is deleted.
    pub fn uses(conn: &mut DbConnection, id: MusicId) -> Result<i64> {
        on_backend!(conn, |c| videos::table.filter(videos::music_track_id.eq(id)).count().get_result(c))
            .of("music", id)
    }

    /// Deletes a row; the count is 0 if there is none.
    pub fn delete(conn: &mut DbConnection, id: MusicId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(music::table.find(id)).execute(c)).of("music", id)
    }
}

impl<'a> NewMusic<'a> {
    /// A row with what it must have, and every other column left to its default.
    pub fn new(name: impl Into<Cow<'a, str>>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
}

impl NewMusic<'_> {
    /// Refuses a text that is too long for an index.
    fn require_indexable(&self) -> Result<()> {
        require_indexable("spotify_track_id", self.spotify_track_id.as_ref())
    }

    /// Inserts the row and returns it with its defaults.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<Music> {
        self.require_indexable()?;
        on_backend!(conn, |c| diesel::insert_into(music::table)
            .values(self)
            .returning(Music::as_returning())
            .get_result(c))
        .of("music", "")
    }

    /// Inserts all rows, or none if one of them does not fit, and returns their count.
    pub fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        rows.iter().try_for_each(Self::require_indexable)?;
        insert_many::<_, Self>(conn, music::table, "music", rows)
    }

    /// Inserts the row, or gives the one with the same `spotify_track_id` the columns that are `Some`, and returns it.
    pub fn insert_or_update(&self, conn: &mut DbConnection) -> Result<Music> {
        self.require_indexable()?;
        let row = Self { updated_at: self.updated_at.or_else(|| Some(Timestamp::now())), ..self.clone() };
        on_backend!(conn, |c| {
            diesel::insert_into(music::table)
                .values(&row)
                .on_conflict(music::spotify_track_id)
                .do_update()
                .set(&row)
                .returning(Music::as_returning())
                .get_result(c)
        })
        .of("music", self.spotify_track_id.as_deref().unwrap_or_default())
    }
}

impl Document for NewMusic<'static> {
    const TABLE: Table = Table {
        name: "music",
        id: Id::Uuid,
        key: &["spotify_track_id"],
        keep: &[],
        json: &["metadata"],
        times: &["created_at", "updated_at"],
    };
}

impl MusicChanges<'_> {
    /// Changes the row with this id and returns it; `NotFound` if there is none.
    pub fn update(&self, conn: &mut DbConnection, id: MusicId) -> Result<Music> {
        require_indexable("spotify_track_id", self.spotify_track_id.as_ref().and_then(Option::as_ref))?;
        on_backend!(conn, |c| diesel::update(music::table.find(id))
            .set((self, music::updated_at.eq(Timestamp::now())))
            .returning(Music::as_returning())
            .get_result(c))
        .of("music", id)
    }
}
