//! Many discovered videos at once: new ones inserted, known ones brought up to date.
//!
//! On SQLite one prepared statement a row is fastest, because a VALUES list of varying length is never
//! cached. On PostgreSQL one look-up tells the known from the new; the new go in by COPY, the known by
//! one UPDATE.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::Nullable;

use super::{ContentIdRisk, NewDiscoveredVideo, Processed};
use crate::db::{DbConnection, Upserted, on_backend};
use crate::error::{Result, ResultExt};
use crate::schema::discovered_videos;
use crate::types::Timestamp;

/// A row with every default filled in: each has the same columns, so that one prepared statement, or
/// one COPY, takes them all.
#[derive(Insertable, Clone)]
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
            viral_score: row.viral_score,
            niche: &row.niche,
            discovery_source: row.discovery_source.as_deref(),
            discovered_at: row.discovered_at.unwrap_or(now),
            processed: row.processed.unwrap_or(Processed::Pending),
            content_id_risk: row.content_id_risk.unwrap_or(ContentIdRisk::Unknown),
        }
    }

    /// The same video, seen again later; what the UPDATE below does to a row.
    fn see_again(&mut self, row: &NewDiscoveredVideo<'_>) {
        self.view_count = row.view_count.or(self.view_count);
        self.like_count = row.like_count.or(self.like_count);
        self.comment_count = row.comment_count.or(self.comment_count);
        self.viral_score = row.viral_score.or(self.viral_score);
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
    let (new, updated) = conn.atomically(|conn| {
        on_backend!(conn, sqlite | c | sqlite(c, &complete), postgres | c | postgres(c, &complete))
            .of("discovered_videos", "")
    })?;
    Ok(Upserted { new, updated, unchanged: complete.len() - new - updated })
}

#[cfg(feature = "sqlite")]
fn sqlite(conn: &mut SqliteConnection, rows: &[Complete<'_>]) -> QueryResult<(usize, usize)> {
    use discovered_videos::{id, table};

    let newest: Option<i64> = table.select(diesel::dsl::max(id)).first(conn)?;
    let mut written = 0;
    for row in rows {
        written += UpsertOnSqlite { row }.execute(conn)?;
    }
    // An id is never given twice, so what lies beyond the newest of before is new.
    let new: i64 = table.filter(id.gt(newest.unwrap_or(0))).count().get_result(conn)?;
    let new = usize::try_from(new).unwrap_or_default();
    Ok((new, written - new))
}

/// The statement as a query node of its own: its type names its text, so that Diesel finds it prepared
/// without building the SQL anew for every row, as it would for `on_conflict()`.
#[cfg(feature = "sqlite")]
struct UpsertOnSqlite<'a> {
    row: &'a Complete<'a>,
}

#[cfg(feature = "sqlite")]
impl diesel::query_builder::QueryId for UpsertOnSqlite<'_> {
    type QueryId = UpsertOnSqlite<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

#[cfg(feature = "sqlite")]
impl RunQueryDsl<SqliteConnection> for UpsertOnSqlite<'_> {}

#[cfg(feature = "sqlite")]
impl diesel::query_builder::QueryFragment<diesel::sqlite::Sqlite> for UpsertOnSqlite<'_> {
    fn walk_ast<'b>(
        &'b self,
        mut out: diesel::query_builder::AstPass<'_, 'b, diesel::sqlite::Sqlite>,
    ) -> QueryResult<()> {
        use crate::types::sql::Timestamptz;
        use diesel::sql_types::{BigInt, Double, Integer, Text};

        out.push_sql(
            "INSERT INTO discovered_videos AS old (video_id, title, channel_name, channel_id, url, category_id, \
             duration_seconds, view_count, like_count, comment_count, view_velocity, viral_score, niche, \
             discovery_source, discovered_at, processed, content_id_risk) VALUES (",
        );
        let row = self.row;
        for text in [row.video_id, row.title, row.channel_name, row.channel_id, row.url] {
            out.push_bind_param::<Text, str>(text)?;
            out.push_sql(", ");
        }
        for number in [&row.category_id, &row.duration_seconds] {
            out.push_bind_param::<Nullable<Integer>, _>(number)?;
            out.push_sql(", ");
        }
        for count in [&row.view_count, &row.like_count, &row.comment_count] {
            out.push_bind_param::<Nullable<BigInt>, _>(count)?;
            out.push_sql(", ");
        }
        for number in [&row.view_velocity, &row.viral_score] {
            out.push_bind_param::<Nullable<Double>, _>(number)?;
            out.push_sql(", ");
        }
        out.push_bind_param::<Text, str>(row.niche)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Text>, _>(&row.discovery_source)?;
        out.push_sql(", ");
        out.push_bind_param::<Timestamptz, _>(&row.discovered_at)?;
        out.push_sql(", ");
        out.push_bind_param::<Integer, _>(&row.processed)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&row.content_id_risk)?;
        out.push_sql(
            ") ON CONFLICT (video_id) DO UPDATE SET \
             view_count = coalesce(excluded.view_count, old.view_count), \
             like_count = coalesce(excluded.like_count, old.like_count), \
             comment_count = coalesce(excluded.comment_count, old.comment_count), \
             viral_score = coalesce(excluded.viral_score, old.viral_score), \
             category_id = coalesce(old.category_id, excluded.category_id), \
             duration_seconds = coalesce(old.duration_seconds, excluded.duration_seconds) \
             WHERE coalesce(excluded.view_count, old.view_count) IS NOT old.view_count \
             OR coalesce(excluded.like_count, old.like_count) IS NOT old.like_count \
             OR coalesce(excluded.comment_count, old.comment_count) IS NOT old.comment_count \
             OR coalesce(excluded.viral_score, old.viral_score) IS NOT old.viral_score \
             OR old.category_id IS NULL AND excluded.category_id IS NOT NULL \
             OR old.duration_seconds IS NULL AND excluded.duration_seconds IS NOT NULL",
        );
        Ok(())
    }
}

#[cfg(feature = "postgres")]
fn postgres(conn: &mut PgConnection, rows: &[Complete<'_>]) -> QueryResult<(usize, usize)> {
    use diesel::result::{DatabaseErrorKind, Error};
    use discovered_videos::{table, video_id};
    use std::collections::HashSet;

    crate::db::postgres::lock_ingest(conn)?;
    let known = |conn: &mut PgConnection| -> QueryResult<HashSet<String>> {
        let ids: Vec<&str> = rows.iter().map(|row| row.video_id).collect();
        Ok(table.filter(video_id.eq_any(ids)).select(video_id).load(conn)?.into_iter().collect())
    };
    let mut seen = known(conn)?;
    let mut new: Vec<Complete<'_>> =
        rows.iter().filter(|row| !seen.contains(row.video_id)).cloned().collect();
    while !new.is_empty() {
        let count = new.len();
        match conn.transaction(|conn| {
            diesel::copy_from(table).from_insertable(std::mem::take(&mut new)).execute(conn)
        }) {
            Ok(_) => {
                let updated = update(conn, rows, &seen)?;
                return Ok((count, updated));
            }
            // Another program inserted one of them meanwhile: look again.
            Err(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => {
                seen = known(conn)?;
                new = rows.iter().filter(|row| !seen.contains(row.video_id)).cloned().collect();
            }
            Err(error) => return Err(error),
        }
    }
    Ok((0, update(conn, rows, &seen)?))
}

/// Brings the known videos up to date, in one statement; returns how many it changed.
#[cfg(feature = "postgres")]
fn update(
    conn: &mut PgConnection,
    rows: &[Complete<'_>],
    known: &std::collections::HashSet<String>,
) -> QueryResult<usize> {
    use diesel::sql_types::{Array, BigInt, Double, Integer, Text};

    if known.is_empty() {
        return Ok(0);
    }
    let rows: Vec<_> = rows.iter().filter(|row| known.contains(row.video_id)).collect();
    diesel::sql_query(
        "UPDATE discovered_videos AS old SET
             view_count = coalesce(new.view_count, old.view_count),
             like_count = coalesce(new.like_count, old.like_count),
             comment_count = coalesce(new.comment_count, old.comment_count),
             viral_score = coalesce(new.viral_score, old.viral_score),
             category_id = coalesce(old.category_id, new.category_id),
             duration_seconds = coalesce(old.duration_seconds, new.duration_seconds)
         FROM unnest($1, $2, $3, $4, $5, $6, $7)
             AS new (video_id, view_count, like_count, comment_count, viral_score, category_id, duration_seconds)
         WHERE old.video_id = new.video_id AND (
             coalesce(new.view_count, old.view_count) IS DISTINCT FROM old.view_count
             OR coalesce(new.like_count, old.like_count) IS DISTINCT FROM old.like_count
             OR coalesce(new.comment_count, old.comment_count) IS DISTINCT FROM old.comment_count
             OR coalesce(new.viral_score, old.viral_score) IS DISTINCT FROM old.viral_score
             OR old.category_id IS NULL AND new.category_id IS NOT NULL
             OR old.duration_seconds IS NULL AND new.duration_seconds IS NOT NULL)",
    )
    .bind::<Array<Text>, _>(rows.iter().map(|row| row.video_id).collect::<Vec<_>>())
    .bind::<Array<Nullable<BigInt>>, _>(rows.iter().map(|row| row.view_count).collect::<Vec<_>>())
    .bind::<Array<Nullable<BigInt>>, _>(rows.iter().map(|row| row.like_count).collect::<Vec<_>>())
    .bind::<Array<Nullable<BigInt>>, _>(rows.iter().map(|row| row.comment_count).collect::<Vec<_>>())
    .bind::<Array<Nullable<Double>>, _>(rows.iter().map(|row| row.viral_score).collect::<Vec<_>>())
    .bind::<Array<Nullable<Integer>>, _>(rows.iter().map(|row| row.category_id).collect::<Vec<_>>())
    .bind::<Array<Nullable<Integer>>, _>(rows.iter().map(|row| row.duration_seconds).collect::<Vec<_>>())
    .execute(conn)
}
