//! Inserts many measurements and skips those that exist.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;

use super::NewAnalytics;
use crate::db::{DbConnection, on_backend};
use crate::error::{Result, ResultExt};
use crate::schema::analytics;
use crate::types::Timestamp;
use crate::types::sql::{Nullable, Text, Timestamptz};

/// When each video was last measured, by YouTube id.
pub(crate) type Newest = HashMap<String, Timestamp>;

/// The key of a measurement: video and time.
type Key<'a> = (&'a str, Timestamp);

/// A row with every default filled in. All rows have the same columns, so one prepared statement or one COPY stores them.
#[derive(Insertable)]
#[diesel(table_name = analytics, treat_none_as_default_value = false)]
struct Complete<'a> {
    youtube_video_id: &'a str,
    measured_at: Timestamp,
    view_count: Option<i64>,
    like_count: Option<i64>,
    comment_count: Option<i64>,
    average_view_duration_seconds: Option<f64>,
    click_through_rate: Option<f64>,
    subscriber_gain: Option<i32>,
    estimated_revenue_usd: Option<f64>,
}

impl<'a> Complete<'a> {
    fn new(row: &'a NewAnalytics<'_>, now: Timestamp) -> Self {
        Self {
            youtube_video_id: &row.youtube_video_id,
            measured_at: row.measured_at.unwrap_or(now),
            view_count: row.view_count,
            like_count: row.like_count,
            comment_count: row.comment_count,
            average_view_duration_seconds: row.average_view_duration_seconds,
            click_through_rate: row.click_through_rate,
            subscriber_gain: row.subscriber_gain,
            estimated_revenue_usd: row.estimated_revenue_usd,
        }
    }

    const fn key(&self) -> Key<'a> {
        (self.youtube_video_id, self.measured_at)
    }
}

/// Returns when the videos were last measured. A video that was never measured is left out.
pub(super) fn newest(conn: &mut DbConnection, youtube_video_ids: &[&str]) -> Result<Newest> {
    let mut ids = youtube_video_ids.to_vec();
    ids.sort_unstable(); // in index order, neighboring entries are read together
    ids.dedup();
    let found = on_backend!(
        conn,
        sqlite => |c| sqlite::newest(c, &ids),
        postgres => |c| postgres::newest(c, &ids)
    )
    .of("analytics", "")?;
    Ok(found.into_iter().filter_map(|found| Some((found.youtube_video_id, found.measured_at?))).collect())
}

/// When a video was last measured, or `None` if it never was.
#[derive(QueryableByName)]
struct Last {
    #[diesel(sql_type = Text)]
    youtube_video_id: String,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    measured_at: Option<Timestamp>,
}

/// Inserts the rows that do not exist, in the open transaction, and returns their count.
///
/// A row that is newer than the newest sample of its video must be new, so it is inserted without a lookup.
pub(super) fn put<'r>(
    conn: &mut DbConnection,
    rows: impl ExactSizeIterator<Item = &'r NewAnalytics<'r>>,
    newest: &Newest,
) -> Result<usize> {
    let now = Timestamp::now();
    let mut seen = HashSet::with_capacity(rows.len());
    let mut new = Vec::with_capacity(rows.len());
    let mut maybe_known = Vec::new();
    for row in rows {
        row.require_indexable()?;
        let row = Complete::new(row, now);
        if !seen.insert(row.key()) {
            continue;
        }
        match newest.get(row.youtube_video_id) {
            Some(newest) if row.measured_at == *newest => {}
            Some(newest) if row.measured_at < *newest => maybe_known.push(row),
            _ => new.push(row),
        }
    }
    if !maybe_known.is_empty() {
        let known = on_backend!(
            &mut *conn,
            sqlite => |c| sqlite::known(c, &maybe_known),
            postgres => |c| postgres::known(c, &maybe_known)
        )
        .of("analytics", "")?;
        let is_new =
            |row: &Complete<'_>| !known.contains(&(row.youtube_video_id.to_owned(), row.measured_at));
        new.extend(maybe_known.into_iter().filter(is_new));
    }
    if new.is_empty() {
        return Ok(0);
    }
    on_backend!(
        conn,
        sqlite => |c| sqlite::insert(c, new),
        postgres => |c| postgres::insert(c, new)
    )
    .of("analytics", "")
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
    use diesel::sqlite::Sqlite;

    use super::*;
    use crate::db::sqlite::json_list;
    use crate::types::sql::{Float8, Int4, Int8};

    pub(super) fn newest(conn: &mut SqliteConnection, ids: &[&str]) -> QueryResult<Vec<Last>> {
        diesel::sql_query(
            "SELECT value AS youtube_video_id,
                    (SELECT max(measured_at) FROM analytics WHERE youtube_video_id = value) AS measured_at
             FROM json_each(?)",
        )
        .bind::<Text, _>(json_list(&ids)?)
        .load(conn)
    }

    /// Returns the keys of the rows that exist.
    pub(super) fn known(
        conn: &mut SqliteConnection,
        rows: &[Complete<'_>],
    ) -> QueryResult<HashSet<(String, Timestamp)>> {
        let keys: Vec<(&str, String)> =
            rows.iter().map(|row| (row.youtube_video_id, row.measured_at.to_sqlite())).collect();
        Ok(LookUp(json_list(&keys)?).load::<(String, Timestamp)>(conn)?.into_iter().collect())
    }

    /// Runs one prepared statement for each row. It has no subquery, because with one SQLite copies every page before it
    /// changes the page.
    pub(super) fn insert(conn: &mut SqliteConnection, mut rows: Vec<Complete<'_>>) -> QueryResult<usize> {
        rows.sort_unstable_by_key(Complete::key); // in index order, neighboring entries are written together
        rows.iter().map(|row| Insert(row).execute(conn)).sum()
    }

    /// The INSERT of a row. The query id is static, so that Diesel finds the prepared statement without building its SQL
    /// again.
    struct Insert<'a>(&'a Complete<'a>);

    impl QueryId for Insert<'_> {
        type QueryId = Insert<'static>;
        const HAS_STATIC_QUERY_ID: bool = true;
    }

    impl RunQueryDsl<SqliteConnection> for Insert<'_> {}

    impl QueryFragment<Sqlite> for Insert<'_> {
        fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
            let row = self.0;
            out.push_sql(
                "INSERT INTO analytics (youtube_video_id, measured_at, view_count, like_count, comment_count, \
                 average_view_duration_seconds, click_through_rate, estimated_revenue_usd, subscriber_gain) VALUES (",
            );
            out.push_bind_param::<Text, str>(row.youtube_video_id)?;
            out.push_sql(", ");
            out.push_bind_param::<Timestamptz, _>(&row.measured_at)?;
            for count in [&row.view_count, &row.like_count, &row.comment_count] {
                out.push_sql(", ");
                out.push_bind_param::<Nullable<Int8>, _>(count)?;
            }
            for number in
                [&row.average_view_duration_seconds, &row.click_through_rate, &row.estimated_revenue_usd]
            {
                out.push_sql(", ");
                out.push_bind_param::<Nullable<Float8>, _>(number)?;
            }
            out.push_sql(", ");
            out.push_bind_param::<Nullable<Int4>, _>(&row.subscriber_gain)?;
            out.push_sql(")");
            Ok(())
        }
    }

    /// Looks up measurements by video and time. The parameter is a JSON array of pairs.
    #[derive(QueryId)]
    struct LookUp(String);

    impl Query for LookUp {
        type SqlType = (Text, Timestamptz);
    }

    impl RunQueryDsl<SqliteConnection> for LookUp {}

    impl QueryFragment<Sqlite> for LookUp {
        fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
            out.push_sql("SELECT old.youtube_video_id, old.measured_at FROM json_each(");
            out.push_bind_param::<Text, String>(&self.0)?;
            // CROSS JOIN fixes the join order: SQLite searches the index for each pair in the list.
            out.push_sql(
                ") AS wanted CROSS JOIN analytics AS old ON old.youtube_video_id = wanted.value ->> 0 \
                 AND old.measured_at = wanted.value ->> 1",
            );
            Ok(())
        }
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use diesel::sql_types::Array;

    use super::*;

    pub(super) fn newest(conn: &mut PgConnection, ids: &[&str]) -> QueryResult<Vec<Last>> {
        diesel::sql_query(
            "SELECT wanted.video AS youtube_video_id,
                    (SELECT pg_catalog.max(measured_at) FROM analytics WHERE youtube_video_id = wanted.video) AS measured_at
             FROM pg_catalog.unnest((SELECT $1)) AS wanted (video)",
        )
        .bind::<Array<Text>, _>(ids)
        .load(conn)
    }

    #[derive(QueryableByName)]
    struct Known {
        #[diesel(sql_type = Text)]
        youtube_video_id: String,
        #[diesel(sql_type = Timestamptz)]
        measured_at: Timestamp,
    }

    /// Returns the keys of the rows that exist.
    pub(super) fn known(
        conn: &mut PgConnection,
        rows: &[Complete<'_>],
    ) -> QueryResult<HashSet<(String, Timestamp)>> {
        let known: Vec<Known> = diesel::sql_query(
            "SELECT youtube_video_id, measured_at FROM unnest((SELECT $1), (SELECT $2)) AS new (youtube_video_id, measured_at)
             WHERE EXISTS (SELECT 1 FROM analytics AS old
                           WHERE old.youtube_video_id = new.youtube_video_id AND old.measured_at = new.measured_at)",
        )
        .bind::<Array<Text>, _>(rows.iter().map(|row| row.youtube_video_id).collect::<Vec<_>>())
        .bind::<Array<Timestamptz>, _>(rows.iter().map(|row| row.measured_at).collect::<Vec<_>>())
        .load(conn)?;
        Ok(known.into_iter().map(|row| (row.youtube_video_id, row.measured_at)).collect())
    }

    pub(super) fn insert(conn: &mut PgConnection, rows: Vec<Complete<'_>>) -> QueryResult<usize> {
        diesel::copy_from(analytics::table).from_insertable(rows).execute(conn)
    }
}
