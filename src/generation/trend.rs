//! Videos that are trending on a platform.

mod upsert;

use std::borrow::Cow;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Untyped;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::db::json_upsert::{self, Document, Id, Seen, Table};
use crate::db::{DbConnection, IDS, MultiBackend, Page, Upserted, insert_many, on_backend};
use crate::error::{Error, Result, ResultExt, require_indexable};
use crate::schema::trends;
use crate::types::sql::Int4;
use crate::types::{Json, Timestamp, TrendId, portable};

/// One row of `trends`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, HasQuery, QueryableByName, Identifiable)]
#[diesel(table_name = trends, check_for_backend(crate::db::MultiBackend))]
#[non_exhaustive]
pub struct Trend {
    /// Primary key, assigned by the database.
    pub id: TrendId,
    /// Platform on which the video is trending.
    pub platform: Platform,
    /// The platform's id of the video. Unique.
    pub external_id: String,
    /// Title on the platform.
    pub title: Option<String>,
    /// Creator of the video.
    pub creator: Option<String>,
    /// Hashtags: an array of strings.
    pub hashtags: Option<Json>,
    /// Views when last seen.
    pub views: Option<i64>,
    /// Likes when last seen.
    pub likes: Option<i64>,
    /// Comments when last seen.
    pub comments: Option<i64>,
    /// Shares when last seen.
    pub shares: Option<i64>,
    /// URL of the video.
    pub video_url: Option<String>,
    /// URL of the thumbnail.
    pub thumbnail_url: Option<String>,
    /// When the values of the row were collected.
    pub collected_at: Timestamp,
    /// Additional data.
    pub metadata: Option<Json>,
}

/// A row to insert: `None` means the column's default. See [`Trend`] for the fields.
#[derive(Debug, Clone, Serialize, Deserialize, Insertable)]
#[diesel(table_name = trends)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // documented on the row
pub struct NewTrend<'a> {
    pub id: Option<TrendId>,
    pub platform: Platform,
    pub external_id: Cow<'a, str>,
    pub title: Option<Cow<'a, str>>,
    pub creator: Option<Cow<'a, str>>,
    pub hashtags: Option<Json>,
    pub views: Option<i64>,
    pub likes: Option<i64>,
    pub comments: Option<i64>,
    pub shares: Option<i64>,
    pub video_url: Option<Cow<'a, str>>,
    pub thumbnail_url: Option<Cow<'a, str>>,
    pub collected_at: Option<Timestamp>,
    pub metadata: Option<Json>,
}

/// Changes to a row: `None` keeps the stored value, and `Some(None)` stores NULL. See [`Trend`] for the fields.
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = trends)]
#[allow(missing_docs)] // documented on the row
pub struct TrendChanges<'a> {
    pub platform: Option<Platform>,
    pub external_id: Option<Cow<'a, str>>,
    pub title: Option<Option<Cow<'a, str>>>,
    pub creator: Option<Option<Cow<'a, str>>>,
    pub hashtags: Option<Option<Json>>,
    pub views: Option<Option<i64>>,
    pub likes: Option<Option<i64>>,
    pub comments: Option<Option<i64>>,
    pub shares: Option<Option<i64>>,
    pub video_url: Option<Option<Cow<'a, str>>>,
    pub thumbnail_url: Option<Option<Cow<'a, str>>>,
    pub collected_at: Option<Timestamp>,
    pub metadata: Option<Option<Json>>,
}

/// Selects rows for `list`, `count` and `exists`; a `None` field matches every row.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // documented on the row
pub struct TrendFilter {
    pub platform: Option<Platform>,
}

impl TrendFilter {
    /// Returns the query for the matching rows.
    fn rows(&self) -> trends::BoxedQuery<'_, MultiBackend> {
        let mut query = trends::table.into_boxed();
        if let Some(platform) = self.platform {
            query = query.filter(trends::platform.eq(platform));
        }
        query
    }
}

impl Trend {
    /// Returns the row with this id.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no trend has this id.
    pub fn find(conn: &mut DbConnection, id: TrendId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("trends", id)
    }

    /// Returns one page of the matching rows, newest first.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). The row `page.after`
    /// need not exist anymore.
    pub fn list(conn: &mut DbConnection, filter: &TrendFilter, page: &Page<TrendId>) -> Result<Vec<Self>> {
        let mut query = filter.rows();
        if let Some(after) = page.after {
            query = query.filter(trends::id.lt(after));
        }
        query
            .select(Self::as_select())
            .order(trends::id.desc())
            .limit(page.at_most())
            .load(conn)
            .of("trends", "")
    }

    /// Returns the number of matching rows.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn count(conn: &mut DbConnection, filter: &TrendFilter) -> Result<i64> {
        filter.rows().count().get_result(conn).of("trends", "")
    }

    /// Returns true if at least one row matches.
    ///
    /// # Errors
    /// The errors of [`count`](Self::count).
    pub fn exists(conn: &mut DbConnection, filter: &TrendFilter) -> Result<bool> {
        let row: Option<i32> =
            filter.rows().select(1.into_sql::<Int4>()).first(conn).optional().of("trends", "")?;
        Ok(row.is_some())
    }

    /// Returns the trend with the platform's id.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no trend has this id of the platform.
    pub fn find_by_external_id(conn: &mut DbConnection, external_id: &str) -> Result<Self> {
        on_backend!(conn, |c| Self::query().filter(trends::external_id.eq(external_id)).first(c))
            .of("trends", external_id)
    }

    /// Returns the platform's id and `collected_at` of each of these trends that exists.
    pub(crate) fn collected(
        conn: &mut DbConnection,
        external_ids: &[&str],
    ) -> Result<Vec<(String, Timestamp)>> {
        let mut found = Vec::new();
        for ids in external_ids.chunks(IDS) {
            let rows: Vec<(String, Timestamp)> = on_backend!(&mut *conn, |c| {
                trends::table
                    .filter(trends::external_id.eq_any(ids))
                    .select((trends::external_id, trends::collected_at))
                    .load(c)
            })
            .of("trends", "")?;
            found.extend(rows);
        }
        Ok(found)
    }

    /// Returns the trends of a platform, most viewed first. Those without a view count come last.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn most_viewed(conn: &mut DbConnection, platform: Platform, limit: i64) -> Result<Vec<Self>> {
        on_backend!(conn, |c| {
            Self::query()
                .filter(trends::platform.eq(platform))
                .order((sql::<Untyped>("trends.views DESC NULLS LAST"), trends::id))
                .limit(limit.max(0))
                .load(c)
        })
        .of("trends", platform)
    }

    /// Deletes a row and returns the number of rows deleted, which is 0 if the row did not exist.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database), because no table refers
    /// to `trends`.
    pub fn delete(conn: &mut DbConnection, id: TrendId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(trends::table.find(id)).execute(c)).of("trends", id)
    }
}

impl<'a> NewTrend<'a> {
    /// Creates a row from its required columns; every other column gets its default.
    pub fn new(platform: Platform, external_id: impl Into<Cow<'a, str>>) -> Self {
        Self {
            id: None,
            platform,
            external_id: external_id.into(),
            title: None,
            creator: None,
            hashtags: None,
            views: None,
            likes: None,
            comments: None,
            shares: None,
            video_url: None,
            thumbnail_url: None,
            collected_at: None,
            metadata: None,
        }
    }
}

impl NewTrend<'_> {
    /// Rejects text that is too long for an indexed column.
    pub(crate) fn require_indexable(&self) -> Result<()> {
        require_indexable("external_id", Some(&self.external_id))
    }

    /// Inserts the row and returns it with its defaults filled in.
    ///
    /// # Errors
    /// [`Conflict`](crate::Error::Conflict) if `external_id` or a given `id` already exists;
    /// [`Invalid`](crate::Error::Invalid) if `external_id` has more than 2,600 bytes.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<Trend> {
        self.require_indexable()?;
        on_backend!(conn, |c| diesel::insert_into(trends::table)
            .values(self)
            .returning(Trend::as_returning())
            .get_result(c))
        .of("trends", "")
    }

    /// Inserts all rows and returns their count. If one of them is rejected, none is inserted.
    ///
    /// # Errors
    /// The errors of [`insert`](Self::insert), for any of the rows.
    pub fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        rows.iter().try_for_each(Self::require_indexable)?;
        insert_many::<_, Self>(conn, trends::table, "trends", rows)
    }

    /// Inserts the trend or, if the `external_id` exists, updates it with the values that are `Some`, and returns it.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if `external_id` has more than 2,600 bytes.
    ///
    /// ```
    /// use viraldb::generation::{NewTrend, Platform, Trend};
    ///
    /// # fn main() -> viraldb::Result<()> {
    /// # let db = viraldb::Database::open("sqlite::memory:")?;
    /// let seen = NewTrend { views: Some(1_000), ..NewTrend::new(Platform::Tiktok, "7301") };
    /// db.write(|c| seen.insert_or_update(c))?;
    /// let later = NewTrend { likes: Some(40), ..NewTrend::new(Platform::Tiktok, "7301") };
    /// let trend = db.write(|c| later.insert_or_update(c))?;
    /// assert_eq!((trend.views, trend.likes), (Some(1_000), Some(40)));
    /// assert_eq!(db.read(|c| Trend::most_viewed(c, Platform::Tiktok, 10))?, [trend]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn insert_or_update(&self, conn: &mut DbConnection) -> Result<Trend> {
        Self::insert_or_update_many(conn, std::slice::from_ref(self))?;
        Trend::find_by_external_id(conn, &self.external_id)
    }

    /// Inserts new trends and updates existing ones, matched by `external_id`, with the values that are `Some`.
    ///
    /// Rows are applied in the order of their `collected_at`, whatever their order in `rows`. A row that was collected before
    /// the stored values only fills in columns that are NULL, so it never replaces a newer count. If a row changes a trend,
    /// `collected_at` is updated too, but never to an earlier time.
    ///
    /// `id` is ignored: the database assigns the ids of new rows.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if `external_id` of a row has more than 2,600 bytes. Then
    /// no row is stored.
    pub fn insert_or_update_many(conn: &mut DbConnection, rows: &[Self]) -> Result<Upserted> {
        upsert::insert_or_update_many(conn, rows)
    }

    /// Does the work of [`Self::insert_or_update_many`] in the open transaction, which must be rolled back if this fails.
    pub(crate) fn put_many<'r>(
        conn: &mut DbConnection,
        rows: impl Iterator<Item = &'r NewTrend<'r>>,
    ) -> Result<Upserted> {
        upsert::put_many(conn, rows)
    }
}

impl Document for NewTrend<'static> {
    const TABLE: Table = Table {
        name: "trends",
        id: Id::Number,
        key: &["external_id"],
        origin: &[],
        parents: &[],
        keep: &["collected_at"],
        json: &["hashtags", "metadata"],
        times: &["collected_at"],
    };

    /// Stores a document that has an `id` unchanged. Any other document is merged like a newly collected trend.
    fn store(
        conn: &mut DbConnection,
        documents: &[&Map<String, Value>],
        seen: &mut Seen,
    ) -> Result<Upserted> {
        let (by_id, collected): (Vec<_>, Vec<_>) =
            documents.iter().copied().partition(|document| document.contains_key("id"));
        let collected =
            collected.into_iter().map(|document| serde_json::from_value(Value::Object(document.clone())));
        let collected: Vec<Self> = collected.collect::<Result<_, _>>().map_err(Error::other)?;
        let mut stored = json_upsert::upsert(conn, &Self::TABLE, &by_id, seen)?;
        stored += Self::put_many(conn, collected.iter())?;
        Ok(stored)
    }
}

impl TrendChanges<'_> {
    /// Updates the row with this id and returns it.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no trend has this id;
    /// [`Conflict`](crate::Error::Conflict) if another trend has the new `external_id`;
    /// [`Invalid`](crate::Error::Invalid) if `self` has no changes.
    pub fn update(&self, conn: &mut DbConnection, id: TrendId) -> Result<Trend> {
        require_indexable("external_id", self.external_id.as_ref())?;
        on_backend!(conn, |c| diesel::update(trends::table.find(id))
            .set(self)
            .returning(Trend::as_returning())
            .get_result(c))
        .of("trends", id)
    }
}

portable! {
    /// Platform on which a video is trending.
    pub enum Platform {
        Tiktok = "tiktok",
        Youtube = "youtube",
    }
}
