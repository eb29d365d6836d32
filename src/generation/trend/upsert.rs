//! Inserts many new trends and updates existing ones.

use std::collections::HashMap;
use std::sync::LazyLock;

use diesel::prelude::*;

use super::{NewTrend, Platform};
use crate::db::{DbConnection, Upserted, on_backend};
use crate::error::{Result, ResultExt};
use crate::schema::trends;
use crate::types::{Json, Timestamp};

/// A row with every default filled in. All rows have the same columns.
#[derive(Insertable)]
#[diesel(table_name = trends, treat_none_as_default_value = false)]
struct Complete<'a> {
    platform: Platform,
    external_id: &'a str,
    title: Option<&'a str>,
    creator: Option<&'a str>,
    hashtags: Option<&'a Json>,
    views: Option<i64>,
    likes: Option<i64>,
    comments: Option<i64>,
    shares: Option<i64>,
    video_url: Option<&'a str>,
    thumbnail_url: Option<&'a str>,
    collected_at: Timestamp,
    metadata: Option<&'a Json>,
}

impl<'a> Complete<'a> {
    fn new(row: &'a NewTrend<'_>, now: Timestamp) -> Self {
        let json = |json: &'a Option<Json>| json.as_ref().filter(|json| !json.0.is_null());
        Self {
            platform: row.platform,
            external_id: &row.external_id,
            title: row.title.as_deref(),
            creator: row.creator.as_deref(),
            hashtags: json(&row.hashtags),
            views: row.views,
            likes: row.likes,
            comments: row.comments,
            shares: row.shares,
            video_url: row.video_url.as_deref(),
            thumbnail_url: row.thumbnail_url.as_deref(),
            collected_at: row.collected_at.unwrap_or(now),
            metadata: json(&row.metadata),
        }
    }

    /// Updates the row with the same trend, collected later.
    fn see_again(&mut self, later: &Self) {
        *self = Self {
            title: later.title.or(self.title),
            creator: later.creator.or(self.creator),
            hashtags: later.hashtags.or(self.hashtags),
            views: later.views.or(self.views),
            likes: later.likes.or(self.likes),
            comments: later.comments.or(self.comments),
            shares: later.shares.or(self.shares),
            video_url: later.video_url.or(self.video_url),
            thumbnail_url: later.thumbnail_url.or(self.thumbnail_url),
            metadata: later.metadata.or(self.metadata),
            ..*later
        };
    }
}

/// Inserts or updates all rows, or none of them.
pub(super) fn insert_or_update_many(conn: &mut DbConnection, rows: &[NewTrend<'_>]) -> Result<Upserted> {
    conn.atomically(|conn| put_many(conn, rows.iter()))
}

/// Does the work of [`insert_or_update_many`] in the open transaction, which must be rolled back if this fails.
pub(super) fn put_many<'r>(
    conn: &mut DbConnection,
    rows: impl Iterator<Item = &'r NewTrend<'r>>,
) -> Result<Upserted> {
    let now = Timestamp::now();
    let complete = |row: &'r NewTrend<'r>| row.require_indexable().map(|()| Complete::new(row, now));
    let mut sights = rows.map(complete).collect::<Result<Vec<_>>>()?;
    sights.sort_by_key(|sight| sight.collected_at);
    let mut places = HashMap::with_capacity(sights.len());
    let mut complete: Vec<Complete<'_>> = Vec::with_capacity(sights.len());
    for sight in sights {
        let place = *places.entry(sight.external_id).or_insert(complete.len());
        match complete.get_mut(place) {
            Some(seen) => seen.see_again(&sight),
            None => complete.push(sight),
        }
    }
    // Use one order for all batches, so that writers without the ingest lock cannot deadlock.
    complete.sort_unstable_by_key(|row| row.external_id);
    let (new, updated) = on_backend!(
        conn,
        sqlite => |c| sqlite::store(c, &complete),
        postgres => |c| postgres::store(c, &complete)
    )
    .of("trends", "")?;
    Ok(Upserted { new, updated, unchanged: complete.len() - new - updated })
}

/// The columns that a later sample of a trend updates, together with `collected_at`. A sample that was collected before the
/// values of the row only fills in columns that are NULL, so it never replaces a newer count.
const CHANGING: [&str; 11] = [
    "platform",
    "title",
    "creator",
    "hashtags",
    "views",
    "likes",
    "comments",
    "shares",
    "video_url",
    "thumbnail_url",
    "metadata",
];

/// The UPDATE statement: the part before its source of rows, and the part after it. The source is named `new`.
static UPDATE: LazyLock<[String; 2]> = LazyLock::new(|| {
    let set = CHANGING.map(|c| {
        format!(
            "{c} = CASE WHEN new.collected_at < old.collected_at THEN coalesce(old.{c}, new.{c}) \
             ELSE coalesce(new.{c}, old.{c}) END"
        )
    });
    let changes = CHANGING.map(|c| {
        format!("new.{c} IS NOT NULL AND (old.{c} IS NULL OR new.collected_at >= old.collected_at AND new.{c} <> old.{c})")
    });
    const LATER: &str = "collected_at = CASE WHEN new.collected_at < old.collected_at THEN old.collected_at \
                         ELSE new.collected_at END";
    [
        format!("UPDATE trends AS old SET {LATER}, {} FROM ", set.join(", ")),
        format!(" WHERE old.external_id = new.external_id AND ({})", changes.join(" OR ")),
    ]
});

#[cfg(feature = "sqlite")]
mod sqlite {
    use diesel::query_builder::{AstPass, QueryFragment, QueryId};
    use diesel::sqlite::Sqlite;

    use super::*;
    use crate::types::sql::{Int8, Jsonb, Nullable, Text, Timestamptz};

    /// Stores each row with one prepared statement, or two if it exists. Returns how many rows were new and how many
    /// changed.
    pub(super) fn store(conn: &mut SqliteConnection, rows: &[Complete<'_>]) -> QueryResult<(usize, usize)> {
        let (mut new, mut updated) = (0, 0);
        for row in rows {
            let insert = diesel::insert_into(trends::table).values(row);
            match insert.on_conflict(trends::external_id).do_nothing().execute(conn)? {
                0 => updated += Update(row).execute(conn)?,
                _ => new += 1,
            }
        }
        Ok((new, updated))
    }

    /// The UPDATE of a row. The query id is static, so that Diesel finds the prepared statement without building its SQL
    /// again.
    struct Update<'a>(&'a Complete<'a>);

    impl QueryId for Update<'_> {
        type QueryId = Update<'static>;
        const HAS_STATIC_QUERY_ID: bool = true;
    }

    impl RunQueryDsl<SqliteConnection> for Update<'_> {}

    impl QueryFragment<Sqlite> for Update<'_> {
        fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
            let [before, behind] = &*UPDATE;
            let row = self.0;
            out.push_sql(before);
            out.push_sql("(SELECT ");
            out.push_bind_param::<Text, str>(row.external_id)?;
            out.push_sql(" AS external_id, ");
            out.push_bind_param::<Text, Platform>(&row.platform)?;
            out.push_sql(" AS platform, ");
            out.push_bind_param::<Timestamptz, Timestamp>(&row.collected_at)?;
            out.push_sql(" AS collected_at");
            for (text, name) in [
                (&row.title, "title"),
                (&row.creator, "creator"),
                (&row.video_url, "video_url"),
                (&row.thumbnail_url, "thumbnail_url"),
            ] {
                out.push_sql(", ");
                out.push_bind_param::<Nullable<Text>, _>(text)?;
                out.push_sql(" AS ");
                out.push_sql(name);
            }
            for (count, name) in [
                (&row.views, "views"),
                (&row.likes, "likes"),
                (&row.comments, "comments"),
                (&row.shares, "shares"),
            ] {
                out.push_sql(", ");
                out.push_bind_param::<Nullable<Int8>, _>(count)?;
                out.push_sql(" AS ");
                out.push_sql(name);
            }
            for (json, name) in [(&row.hashtags, "hashtags"), (&row.metadata, "metadata")] {
                out.push_sql(", ");
                out.push_bind_param::<Nullable<Jsonb>, _>(json)?;
                out.push_sql(" AS ");
                out.push_sql(name);
            }
            out.push_sql(") AS new");
            out.push_sql(behind);
            Ok(())
        }
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use diesel::sql_types::Array;

    use super::*;
    use crate::types::sql::{Int8, Jsonb, Nullable, Text, Timestamptz};

    /// Stores up to 10,000 rows with two statements. Returns how many rows were new and how many changed.
    pub(super) fn store(conn: &mut PgConnection, rows: &[Complete<'_>]) -> QueryResult<(usize, usize)> {
        crate::db::postgres::lock_ingest(conn)?;
        let (mut new, mut updated) = (0, 0);
        for rows in rows.chunks(10 * crate::db::postgres::CHUNK) {
            const COLUMNS: &str = "external_id, platform, title, creator, video_url, thumbnail_url, views, \
                                   likes, comments, shares, hashtags, metadata, collected_at";
            // After this statement every row exists, even if another program inserted it, so the UPDATE misses none.
            new += run_over(
                conn,
                rows,
                &format!("INSERT INTO trends ({COLUMNS}) SELECT {COLUMNS} FROM "),
                " ON CONFLICT (external_id) DO NOTHING",
            )?;
            let [before, behind] = &*UPDATE;
            updated += run_over(conn, rows, before, behind)?;
        }
        Ok((new, updated))
    }

    /// Runs a statement over the rows.
    ///
    /// `(SELECT $1)` hides the number of rows, because PostgreSQL would read the whole table for a long list. The statement
    /// does not stay prepared, because no plan suits both an empty table and a full one.
    fn run_over<'a>(
        conn: &mut PgConnection,
        rows: &[Complete<'a>],
        before: &str,
        behind: &str,
    ) -> QueryResult<usize> {
        let texts = |of: fn(&Complete<'a>) -> Option<&'a str>| rows.iter().map(of).collect::<Vec<_>>();
        let counts = |of: fn(&Complete<'a>) -> Option<i64>| rows.iter().map(of).collect::<Vec<_>>();
        let jsons = |of: fn(&Complete<'a>) -> Option<&'a Json>| rows.iter().map(of).collect::<Vec<_>>();
        let times = |of: fn(&Complete<'a>) -> Timestamp| rows.iter().map(of).collect::<Vec<_>>();
        let lists: Vec<String> = (1..=13).map(|n| format!("(SELECT ${n})")).collect();
        diesel::sql_query(format!(
            "{before} unnest({}) AS new (external_id, platform, title, creator, video_url, thumbnail_url, \
             views, likes, comments, shares, hashtags, metadata, collected_at){behind}",
            lists.join(", ")
        ))
        .bind::<Array<Nullable<Text>>, _>(texts(|row| Some(row.external_id)))
        .bind::<Array<Nullable<Text>>, _>(texts(|row| Some(row.platform.as_str())))
        .bind::<Array<Nullable<Text>>, _>(texts(|row| row.title))
        .bind::<Array<Nullable<Text>>, _>(texts(|row| row.creator))
        .bind::<Array<Nullable<Text>>, _>(texts(|row| row.video_url))
        .bind::<Array<Nullable<Text>>, _>(texts(|row| row.thumbnail_url))
        .bind::<Array<Nullable<Int8>>, _>(counts(|row| row.views))
        .bind::<Array<Nullable<Int8>>, _>(counts(|row| row.likes))
        .bind::<Array<Nullable<Int8>>, _>(counts(|row| row.comments))
        .bind::<Array<Nullable<Int8>>, _>(counts(|row| row.shares))
        .bind::<Array<Nullable<Jsonb>>, _>(jsons(|row| row.hashtags))
        .bind::<Array<Nullable<Jsonb>>, _>(jsons(|row| row.metadata))
        .bind::<Array<Timestamptz>, _>(times(|row| row.collected_at))
        .execute(conn)
    }
}
