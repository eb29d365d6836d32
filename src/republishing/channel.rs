//! Channels that videos are published on.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use diesel::dsl::sql;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::TransformationPreset;
use crate::db::json_upsert::{self, Document, Id, Seen, Table};
use crate::db::{DbConnection, IDS, MultiBackend, Page, Upserted, insert_many, on_backend};
use crate::error::{Error, Result, ResultExt, require_indexable};
use crate::quote::counted;
use crate::schema::{channel_statistics, channels, video_processing_jobs, video_statistics, videos};
use crate::types::sql::{Bool, Int4, Uuid};
use crate::types::{ChannelId, Json, Sealed, Timestamp, TransformationPresetId};

/// One row of `channels`.
#[derive(
    Debug, Clone, PartialEq, Serialize, Deserialize, HasQuery, QueryableByName, Identifiable, Associations,
)]
#[diesel(table_name = channels, check_for_backend(crate::db::MultiBackend))]
#[diesel(belongs_to(TransformationPreset, foreign_key = effect_preset_id))]
#[non_exhaustive]
pub struct Channel {
    /// Primary key. viraldb generates version 7 UUIDs.
    pub id: ChannelId,
    /// Name of the channel.
    pub name: String,
    /// YouTube's id of the channel. Unique.
    pub youtube_channel_id: String,
    /// URL of the channel on YouTube.
    pub youtube_channel_url: String,
    /// Whether videos are published on the channel.
    pub is_active: bool,
    /// Encrypted API credentials; [`secrets`](crate::secrets) decrypts them. Empty if there are none.
    pub api_credentials_encrypted: Sealed,
    /// When videos are published.
    pub posting_schedule: Json,
    /// Which source videos are suitable.
    pub content_filters: Json,
    /// How titles, descriptions and tags are made.
    pub metadata_template: Json,
    /// Settings of this channel only.
    pub settings: Json,
    /// Preset for the videos of the channel.
    pub effect_preset_id: Option<TransformationPresetId>,
    /// URL of the GitHub repository whose workflows process its videos.
    pub github_repo_url: Option<String>,
    /// Encrypted secret of the repository.
    pub github_secret_key_encrypted: Option<Sealed>,
    /// Whether transformation and publication are enabled.
    pub phase2_enabled: bool,
    /// When the row was created.
    pub created_at: Timestamp,
    /// When the row last changed.
    pub updated_at: Timestamp,
    /// When a video was last published on the channel.
    pub last_publication_at: Option<Timestamp>,
}

/// A row to insert: `None` means the column's default. See [`Channel`] for the fields.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Insertable, AsChangeset)]
#[diesel(table_name = channels)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // documented on the row
pub struct NewChannel<'a> {
    #[serde(default)]
    pub id: ChannelId,
    pub name: Cow<'a, str>,
    pub youtube_channel_id: Cow<'a, str>,
    pub youtube_channel_url: Cow<'a, str>,
    pub is_active: Option<bool>,
    pub api_credentials_encrypted: Sealed,
    pub posting_schedule: Json,
    pub content_filters: Json,
    pub metadata_template: Json,
    pub settings: Option<Json>,
    pub effect_preset_id: Option<TransformationPresetId>,
    pub github_repo_url: Option<Cow<'a, str>>,
    pub github_secret_key_encrypted: Option<Sealed>,
    pub phase2_enabled: Option<bool>,
    pub created_at: Option<Timestamp>,
    pub updated_at: Option<Timestamp>,
    pub last_publication_at: Option<Timestamp>,
}

/// Changes to a row: `None` keeps the stored value, and `Some(None)` stores NULL. See [`Channel`] for the fields.
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = channels)]
#[allow(missing_docs)] // documented on the row
pub struct ChannelChanges<'a> {
    pub name: Option<Cow<'a, str>>,
    pub youtube_channel_id: Option<Cow<'a, str>>,
    pub youtube_channel_url: Option<Cow<'a, str>>,
    pub is_active: Option<bool>,
    pub api_credentials_encrypted: Option<Sealed>,
    pub posting_schedule: Option<Json>,
    pub content_filters: Option<Json>,
    pub metadata_template: Option<Json>,
    pub settings: Option<Json>,
    pub effect_preset_id: Option<Option<TransformationPresetId>>,
    pub github_repo_url: Option<Option<Cow<'a, str>>>,
    pub github_secret_key_encrypted: Option<Option<Sealed>>,
    pub phase2_enabled: Option<bool>,
    pub last_publication_at: Option<Option<Timestamp>>,
}

/// Selects rows for `list`, `count` and `exists`; a `None` field matches every row.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // documented on the row
pub struct ChannelFilter {
    pub is_active: Option<bool>,
}

/// The number of rows that belong to a channel. They are deleted with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Queryable)]
pub struct ChannelContents {
    /// Videos of the channel.
    pub videos: i64,
    /// Jobs on the videos of the channel, and jobs for the channel on videos of other channels.
    pub video_processing_jobs: i64,
    /// Statistics samples of its videos.
    pub video_statistics: i64,
    /// Statistics samples of the channel.
    pub channel_statistics: i64,
}

impl fmt::Display for ChannelContents {
    /// Writes `2 videos, 0 jobs, 5 samples of statistics`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (videos, jobs) = (counted(self.videos, "video"), counted(self.video_processing_jobs, "job"));
        let samples = counted(self.video_statistics + self.channel_statistics, "sample");
        write!(f, "{videos}, {jobs}, {samples} of statistics")
    }
}

impl ChannelFilter {
    /// Returns the query for the matching rows.
    fn rows(&self) -> channels::BoxedQuery<'_, MultiBackend> {
        let mut query = channels::table.into_boxed();
        if let Some(is_active) = self.is_active {
            query = query.filter(channels::is_active.eq(is_active));
        }
        query
    }
}

impl Channel {
    /// Returns the row with this id.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no channel has this id.
    pub fn find(conn: &mut DbConnection, id: ChannelId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("channels", id)
    }

    /// Returns one page of the matching rows, newest first.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if the row `page.after` was deleted; list again from
    /// the first page.
    pub fn list(
        conn: &mut DbConnection,
        filter: &ChannelFilter,
        page: &Page<ChannelId>,
    ) -> Result<Vec<Self>> {
        let mut query = filter.rows();
        if let Some(after) = page.after {
            query = query.filter(
                sql::<Bool>(
                    "(channels.created_at, channels.id) < (SELECT created_at, id FROM channels WHERE id = ",
                )
                .bind::<Uuid, _>(after)
                .sql(")"),
            );
        }
        let rows: Vec<Self> = query
            .select(Self::as_select())
            .order((channels::created_at.desc(), channels::id.desc()))
            .limit(page.at_most())
            .load(conn)
            .of("channels", "")?;
        if let (true, Some(after)) = (rows.is_empty(), page.after) {
            Self::find(conn, after)?; // if the row was deleted, an empty page would look like the end of the list
        }
        Ok(rows)
    }

    /// Returns the number of matching rows.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn count(conn: &mut DbConnection, filter: &ChannelFilter) -> Result<i64> {
        filter.rows().count().get_result(conn).of("channels", "")
    }

    /// Returns true if at least one row matches.
    ///
    /// # Errors
    /// The errors of [`count`](Self::count).
    pub fn exists(conn: &mut DbConnection, filter: &ChannelFilter) -> Result<bool> {
        let row: Option<i32> =
            filter.rows().select(1.into_sql::<Int4>()).first(conn).optional().of("channels", "")?;
        Ok(row.is_some())
    }

    /// Returns the channel with YouTube's id.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no channel has this id of YouTube.
    pub fn find_by_youtube_channel_id(conn: &mut DbConnection, youtube_channel_id: &str) -> Result<Self> {
        on_backend!(conn, |c| Self::query()
            .filter(channels::youtube_channel_id.eq(youtube_channel_id))
            .first(c))
        .of("channels", youtube_channel_id)
    }

    /// Returns the ids of the given channels that exist, by YouTube's id.
    pub(crate) fn ids_of_many(
        conn: &mut DbConnection,
        youtube_channel_ids: &[&str],
    ) -> Result<HashMap<String, ChannelId>> {
        let mut found = HashMap::new();
        for ids in youtube_channel_ids.chunks(IDS) {
            let rows: Vec<(String, ChannelId)> = on_backend!(&mut *conn, |c| channels::table
                .filter(channels::youtube_channel_id.eq_any(ids))
                .select((channels::youtube_channel_id, channels::id))
                .load(c))
            .of("channels", "")?;
            found.extend(rows);
        }
        Ok(found)
    }

    /// Returns the settings of a channel.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no channel has this id.
    pub fn settings(conn: &mut DbConnection, id: ChannelId) -> Result<Json> {
        on_backend!(conn, |c| channels::table.find(id).select(channels::settings).first(c)).of("channels", id)
    }

    /// Returns the settings of the given channels that exist.
    pub(crate) fn settings_of_many(
        conn: &mut DbConnection,
        ids: &[ChannelId],
    ) -> Result<HashMap<ChannelId, Json>> {
        let mut found = HashMap::new();
        for ids in ids.chunks(IDS) {
            let rows: Vec<(ChannelId, Json)> = on_backend!(&mut *conn, |c| channels::table
                .filter(channels::id.eq_any(ids))
                .select((channels::id, channels::settings))
                .load(c))
            .of("channels", "")?;
            found.extend(rows);
        }
        Ok(found)
    }

    /// Returns the settings of a channel and locks its row until the transaction ends.
    pub(crate) fn lock_settings(conn: &mut DbConnection, id: ChannelId) -> Result<Json> {
        let settings = || channels::table.find(id).select(channels::settings);
        on_backend!(
            conn,
            sqlite => |c| settings().first(c), // SQLite allows only one writer
            postgres => |c| settings().for_update().first(c),
        )
        .of("channels", id)
    }

    /// Returns how many rows would be deleted with a channel.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). A channel that does not
    /// exist has no contents.
    pub fn contents(conn: &mut DbConnection, id: ChannelId) -> Result<ChannelContents> {
        let its_videos = || videos::table.filter(videos::channel_id.eq(id)).select(videos::id);
        let its_jobs =
            video_processing_jobs::channel_id.eq(id).or(video_processing_jobs::video_id.eq_any(its_videos()));
        on_backend!(conn, |c| diesel::select((
            its_videos().count().single_value().assume_not_null(),
            video_processing_jobs::table.filter(its_jobs).count().single_value().assume_not_null(),
            video_statistics::table
                .filter(video_statistics::video_id.eq_any(its_videos()))
                .count()
                .single_value()
                .assume_not_null(),
            channel_statistics::table
                .filter(channel_statistics::channel_id.eq(id))
                .count()
                .single_value()
                .assume_not_null(),
        ))
        .get_result(c))
        .of("channels", id)
    }

    /// Deletes a channel that has no videos, jobs or statistics.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if the channel does not exist;
    /// [`Invalid`](crate::Error::Invalid), with the counts, if rows belong to it.
    pub fn delete_empty(conn: &mut DbConnection, id: ChannelId) -> Result<usize> {
        conn.atomically(|conn| {
            let row = || channels::table.find(id).select(channels::id);
            // While the row is locked, no other transaction can add rows that refer to it.
            let _: ChannelId = on_backend!(
                &mut *conn,
                sqlite => |c| row().first(c),
                postgres => |c| row().for_update().first(c),
            )
            .of("channels", id)?;
            let contents = Self::contents(conn, id)?;
            if contents != ChannelContents::default() {
                let reason = format!(
                    "still has {contents}; delete them first, or delete everything with `viraldb channels remove --yes`"
                );
                return Err(Error::invalid(format!("channel {id}"), reason));
            }
            Self::delete(conn, id)
        })
    }

    /// Deletes a channel and everything that belongs to it. Returns 1, or 0 if the channel does not exist.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn delete(conn: &mut DbConnection, id: ChannelId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(channels::table.find(id)).execute(c)).of("channels", id)
    }
}

impl<'a> NewChannel<'a> {
    /// Creates a channel with its URL on YouTube, empty JSON documents and no credentials. Every other column gets its
    /// default.
    pub fn new(name: impl Into<Cow<'a, str>>, youtube_channel_id: impl Into<Cow<'a, str>>) -> Self {
        let youtube_channel_id = youtube_channel_id.into();
        let empty = || Json(serde_json::json!({}));
        Self {
            name: name.into(),
            youtube_channel_url: format!("https://www.youtube.com/channel/{youtube_channel_id}").into(),
            youtube_channel_id,
            posting_schedule: empty(),
            content_filters: empty(),
            metadata_template: empty(),
            ..Self::default()
        }
    }
}

impl NewChannel<'_> {
    /// Rejects text that is too long for an indexed column.
    fn require_indexable(&self) -> Result<()> {
        require_indexable("youtube_channel_id", Some(&self.youtube_channel_id))
    }

    /// Inserts the row and returns it with its defaults filled in.
    ///
    /// # Errors
    /// [`Conflict`](crate::Error::Conflict) if `youtube_channel_id` or `id` already exists;
    /// [`Invalid`](crate::Error::Invalid) if the preset does not exist or `youtube_channel_id` has
    /// more than 2,600 bytes.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<Channel> {
        self.require_indexable()?;
        on_backend!(conn, |c| diesel::insert_into(channels::table)
            .values(self)
            .returning(Channel::as_returning())
            .get_result(c))
        .of("channels", "")
    }

    /// Inserts all rows and returns their count. If one of them is rejected, none is inserted.
    ///
    /// # Errors
    /// The errors of [`insert`](Self::insert), for any of the rows.
    pub fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        rows.iter().try_for_each(Self::require_indexable)?;
        insert_many::<_, Self>(conn, channels::table, "channels", rows)
    }

    /// Inserts the row or, if the `youtube_channel_id` exists, updates the columns that are `Some`, and returns it.
    ///
    /// # Errors
    /// [`Conflict`](crate::Error::Conflict) if the channel is new and another channel has its `id`;
    /// [`Invalid`](crate::Error::Invalid) if the preset does not exist or `youtube_channel_id` has
    /// more than 2,600 bytes.
    pub fn insert_or_update(&self, conn: &mut DbConnection) -> Result<Channel> {
        self.require_indexable()?;
        let row = Self { updated_at: self.updated_at.or_else(|| Some(Timestamp::now())), ..self.clone() };
        on_backend!(conn, |c| {
            diesel::insert_into(channels::table)
                .values(&row)
                .on_conflict(channels::youtube_channel_id)
                .do_update()
                .set(&row)
                .returning(Channel::as_returning())
                .get_result(c)
        })
        .of("channels", &self.youtube_channel_id)
    }
}

impl Document for NewChannel<'static> {
    const TABLE: Table = Table {
        name: "channels",
        id: Id::Uuid,
        key: &["youtube_channel_id"],
        origin: &[],
        parents: &[("effect_preset_id", "transformation_presets")],
        keep: &[],
        json: &["posting_schedule", "content_filters", "metadata_template", "settings"],
        times: &["created_at", "updated_at", "last_publication_at"],
    };
    const SEALED: &'static [&'static str] = &["api_credentials_encrypted", "github_secret_key_encrypted"];

    /// Stores the documents, but refuses to overwrite an encrypted value with plaintext.
    fn store(
        conn: &mut DbConnection,
        documents: &[&Map<String, Value>],
        seen: &mut Seen,
    ) -> Result<Upserted> {
        for column in Self::SEALED {
            refuse_clear(conn, documents, column)?;
        }
        json_upsert::upsert(conn, &Self::TABLE, documents, seen)
    }
}

/// Fails if one of the documents would overwrite an encrypted value of this column with plaintext.
fn refuse_clear(conn: &mut DbConnection, documents: &[&Map<String, Value>], column: &str) -> Result<()> {
    let is_clear = |document: &&Map<String, Value>| {
        document.get(column).is_some_and(|value| !crate::secrets::is_sealed(value))
    };
    let clear: Vec<_> = documents.iter().copied().filter(is_clear).collect();
    for clear in clear.chunks(IDS / 2) {
        let named = |name| clear.iter().filter_map(move |document| document.get(name)?.as_str());
        let ids: Vec<ChannelId> = named("id").filter_map(|id| id.parse().ok()).collect();
        let sealed: Option<ChannelId> = on_backend!(&mut *conn, |c| channels::table
            .filter(
                channels::id
                    .eq_any(&ids)
                    .or(channels::youtube_channel_id.eq_any(named("youtube_channel_id")))
            )
            .filter(sql::<Bool>(&format!("{column} LIKE 'viraldb:%'")))
            .select(channels::id)
            .first(c)
            .optional())
        .of("channels", "")?;
        if let Some(id) = sealed {
            let reason =
                "is encrypted and would be overwritten with plaintext; first run `viraldb secrets clear`";
            return Err(Error::invalid(format!("channels.{column} of {id}"), reason));
        }
    }
    Ok(())
}

impl ChannelChanges<'_> {
    /// Updates the row with this id and returns it.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no channel has this id;
    /// [`Conflict`](crate::Error::Conflict) if another channel has the new `youtube_channel_id`;
    /// [`Invalid`](crate::Error::Invalid) if the preset does not exist or `youtube_channel_id` has
    /// more than 2,600 bytes.
    pub fn update(&self, conn: &mut DbConnection, id: ChannelId) -> Result<Channel> {
        require_indexable("youtube_channel_id", self.youtube_channel_id.as_ref())?;
        on_backend!(conn, |c| diesel::update(channels::table.find(id))
            .set((self, channels::updated_at.eq(Timestamp::now())))
            .returning(Channel::as_returning())
            .get_result(c))
        .of("channels", id)
    }
}
