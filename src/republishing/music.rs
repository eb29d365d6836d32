//! Music tracks that can replace the music of a video.

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
    /// Primary key. viraldb generates version 7 UUIDs.
    pub id: MusicId,
    /// Title of the track.
    pub name: String,
    /// Artist of the track.
    pub artist: Option<String>,
    /// Spotify's id of the track. Unique.
    pub spotify_track_id: Option<String>,
    /// URL of the track on Spotify.
    pub spotify_track_url: Option<String>,
    /// Path of the audio file.
    pub file_path: Option<String>,
    /// File size in bytes.
    pub file_size: Option<i64>,
    /// Duration in seconds.
    pub duration: Option<i32>,
    /// Additional data.
    pub metadata: Option<Json>,
    /// How many times the track was used.
    pub usage_count: i32,
    /// Whether the track may be used.
    pub is_active: bool,
    /// When the row was created.
    pub created_at: Timestamp,
    /// When the row last changed.
    pub updated_at: Timestamp,
}

/// A row to insert: `None` means the column's default. See [`Music`] for the fields.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Insertable, AsChangeset)]
#[diesel(table_name = music)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // documented on the row
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

/// Changes to a row: `None` keeps the stored value, and `Some(None)` stores NULL. See [`Music`] for the fields.
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = music)]
#[allow(missing_docs)] // documented on the row
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

/// Selects rows for `list`, `count` and `exists`; a `None` field matches every row.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // documented on the row
pub struct MusicFilter {
    pub is_active: Option<bool>,
}

impl MusicFilter {
    /// Returns the query for the matching rows.
    fn rows(&self) -> music::BoxedQuery<'_, MultiBackend> {
        let mut query = music::table.into_boxed();
        if let Some(is_active) = self.is_active {
            query = query.filter(music::is_active.eq(is_active));
        }
        query
    }
}

impl Music {
    /// Returns the row with this id.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no track has this id.
    pub fn find(conn: &mut DbConnection, id: MusicId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("music", id)
    }

    /// Returns one page of the matching rows, newest first.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if the row `page.after` was deleted; list again from
    /// the first page.
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
            Self::find(conn, after)?; // if the row was deleted, an empty page would look like the end of the list
        }
        Ok(rows)
    }

    /// Returns the number of matching rows.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn count(conn: &mut DbConnection, filter: &MusicFilter) -> Result<i64> {
        filter.rows().count().get_result(conn).of("music", "")
    }

    /// Returns true if at least one row matches.
    ///
    /// # Errors
    /// The errors of [`count`](Self::count).
    pub fn exists(conn: &mut DbConnection, filter: &MusicFilter) -> Result<bool> {
        let row: Option<i32> =
            filter.rows().select(1.into_sql::<Int4>()).first(conn).optional().of("music", "")?;
        Ok(row.is_some())
    }

    /// Returns the tracks that may be used, the least used first.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn active(conn: &mut DbConnection) -> Result<Vec<Self>> {
        on_backend!(conn, |c| {
            Self::query()
                .filter(music::is_active.eq(true))
                .order((music::usage_count, music::name, music::id))
                .load(c)
        })
        .of("music", "")
    }

    /// Returns the number of videos that refer to a track. If the track is deleted, their `music_track_id` becomes NULL.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). A track that does not
    /// exist has no uses.
    pub fn uses(conn: &mut DbConnection, id: MusicId) -> Result<i64> {
        on_backend!(conn, |c| videos::table.filter(videos::music_track_id.eq(id)).count().get_result(c))
            .of("music", id)
    }

    /// Deletes a row and returns the number of rows deleted, which is 0 if the row did not exist.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). In videos that refer to
    /// the track, `music_track_id` becomes NULL.
    pub fn delete(conn: &mut DbConnection, id: MusicId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(music::table.find(id)).execute(c)).of("music", id)
    }
}

impl<'a> NewMusic<'a> {
    /// Creates a row from its required columns; every other column gets its default.
    pub fn new(name: impl Into<Cow<'a, str>>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
}

impl NewMusic<'_> {
    /// Rejects text that is too long for an indexed column.
    fn require_indexable(&self) -> Result<()> {
        require_indexable("spotify_track_id", self.spotify_track_id.as_ref())
    }

    /// Inserts the row and returns it with its defaults filled in.
    ///
    /// # Errors
    /// [`Conflict`](crate::Error::Conflict) if `spotify_track_id` or `id` already exists;
    /// [`Invalid`](crate::Error::Invalid) if `spotify_track_id` has more than 2,600 bytes.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<Music> {
        self.require_indexable()?;
        on_backend!(conn, |c| diesel::insert_into(music::table)
            .values(self)
            .returning(Music::as_returning())
            .get_result(c))
        .of("music", "")
    }

    /// Inserts all rows and returns their count. If one of them is rejected, none is inserted.
    ///
    /// # Errors
    /// The errors of [`insert`](Self::insert), for any of the rows.
    pub fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        rows.iter().try_for_each(Self::require_indexable)?;
        insert_many::<_, Self>(conn, music::table, "music", rows)
    }

    /// Inserts the row or, if the `spotify_track_id` exists, updates the columns that are `Some`, and returns it.
    ///
    /// # Errors
    /// [`Conflict`](crate::Error::Conflict) if the track is new and another track has its `id`;
    /// [`Invalid`](crate::Error::Invalid) if `spotify_track_id` has more than 2,600 bytes.
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
        origin: &[],
        parents: &[],
        keep: &[],
        json: &["metadata"],
        times: &["created_at", "updated_at"],
    };
}

impl MusicChanges<'_> {
    /// Updates the row with this id and returns it.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no track has this id;
    /// [`Conflict`](crate::Error::Conflict) if another track has the new `spotify_track_id`;
    /// [`Invalid`](crate::Error::Invalid) if `spotify_track_id` has more than 2,600 bytes.
    pub fn update(&self, conn: &mut DbConnection, id: MusicId) -> Result<Music> {
        require_indexable("spotify_track_id", self.spotify_track_id.as_ref().and_then(Option::as_ref))?;
        on_backend!(conn, |c| diesel::update(music::table.find(id))
            .set((self, music::updated_at.eq(Timestamp::now())))
            .returning(Music::as_returning())
            .get_result(c))
        .of("music", id)
    }
}
