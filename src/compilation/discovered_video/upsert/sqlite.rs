//! The upsert on SQLite. Each row is one prepared statement, because a VALUES list of varying length does not stay prepared.
//!
//! Rows are inserted until one of them exists. Then one lookup finds which of the remaining rows exist and which changed.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Double, Integer, Nullable, Text};
use diesel::sqlite::Sqlite;

use super::{Complete, Counts, Known, KnownVideos};
use crate::db::sqlite::json_list;
use crate::types::sql::Timestamptz;

/// The SQL type of [`Known`].
type KnownSql = (
    BigInt,
    Timestamptz,
    (
        Nullable<Integer>,
        Nullable<Integer>,
        Nullable<BigInt>,
        Nullable<BigInt>,
        Nullable<BigInt>,
        Nullable<Double>,
    ),
);

/// At least this many new rows are inserted in the order of `video_id`, which saves 10% of the time.
const MANY: usize = 1_000;

/// Stores the rows and returns how many were new and how many changed.
pub(super) fn store(
    conn: &mut SqliteConnection,
    rows: &[Complete<'_>],
    known: Option<&KnownVideos>,
) -> QueryResult<(usize, usize)> {
    if let Some(known) = known {
        return store_knowing(conn, rows, known);
    }
    let mut new = 0;
    for row in rows {
        if !insert(conn, row)? {
            break;
        }
        new += 1;
    }
    let rest = rows.get(new..).unwrap_or_default();
    if rest.is_empty() {
        return Ok((new, 0));
    }
    let ids: Vec<&str> = rest.iter().map(|row| row.video_id).collect();
    let known = look_up(conn, &ids)?.into_iter().collect();
    let (others, changed) = store_knowing(conn, rest, &known)?;
    Ok((new + others, changed))
}

fn store_knowing(
    conn: &mut SqliteConnection,
    rows: &[Complete<'_>],
    known: &KnownVideos,
) -> QueryResult<(usize, usize)> {
    let mut new_rows = Vec::new();
    let mut changes = Vec::new();
    for row in rows {
        match known.get(row.video_id) {
            None => new_rows.push(row),
            Some(known) => changes.extend(known.seen_again(row).map(|counts| Change {
                id: known.id,
                counts,
                is_rescored: counts.viral_score != known.holds.viral_score,
            })),
        }
    }
    // In the order of the index or of the table, neighboring entries are written together. Fewer rows stay in the order
    // given.
    if new_rows.len() >= MANY {
        new_rows.sort_unstable_by_key(|row| row.video_id);
    }
    changes.sort_unstable_by_key(|change| change.id);
    let new = new_rows.into_iter().map(|row| insert(conn, row).map(usize::from)).sum::<QueryResult<_>>()?;
    changes.iter().try_for_each(|change| update(conn, change))?;
    Ok((new, changes.len()))
}

/// Inserts a row unless it exists. Returns true if it was inserted.
fn insert(conn: &mut SqliteConnection, row: &Complete<'_>) -> QueryResult<bool> {
    Ok(Insert(row).execute(conn)? == 1)
}

/// The INSERT of a row. The query id is static, so that Diesel finds the prepared statement without building its SQL again.
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
            "INSERT INTO discovered_videos (video_id, title, channel_name, channel_id, url, category_id, \
             duration_seconds, view_count, like_count, comment_count, view_velocity, viral_score, niche, \
             discovery_source, discovered_at, processed, content_id_risk) VALUES (",
        );
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
        out.push_sql(") ON CONFLICT (video_id) DO NOTHING");
        Ok(())
    }
}

/// Looks up videos in index order, so that neighboring entries are read together.
pub(super) fn look_up(conn: &mut SqliteConnection, video_ids: &[&str]) -> QueryResult<Vec<(String, Known)>> {
    let mut ids = video_ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    LookUp(json_list(&ids)?).load(conn)
}

/// The id of a row to update, and its new values.
struct Change {
    id: i64,
    counts: Counts,
    is_rescored: bool,
}

fn update(conn: &mut SqliteConnection, change: &Change) -> QueryResult<()> {
    SetCounts(change).execute(conn)?;
    // The score has its own statement because it is indexed: unless it changed, the index is not rewritten.
    if change.is_rescored {
        SetScore(change).execute(conn)?;
    }
    Ok(())
}

/// Writes the counts of a row. It has no RETURNING, because with it SQLite copies every page before it changes the page.
struct SetCounts<'a>(&'a Change);

/// Writes the score of a row.
struct SetScore<'a>(&'a Change);

impl QueryId for SetCounts<'_> {
    type QueryId = SetCounts<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryId for SetScore<'_> {
    type QueryId = SetScore<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl RunQueryDsl<SqliteConnection> for SetCounts<'_> {}

impl RunQueryDsl<SqliteConnection> for SetScore<'_> {}

impl QueryFragment<Sqlite> for SetCounts<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let Change { id, counts, .. } = self.0;
        out.push_sql("UPDATE discovered_videos SET category_id = ");
        out.push_bind_param::<Nullable<Integer>, _>(&counts.category_id)?;
        out.push_sql(", duration_seconds = ");
        out.push_bind_param::<Nullable<Integer>, _>(&counts.duration_seconds)?;
        out.push_sql(", view_count = ");
        out.push_bind_param::<Nullable<BigInt>, _>(&counts.view_count)?;
        out.push_sql(", like_count = ");
        out.push_bind_param::<Nullable<BigInt>, _>(&counts.like_count)?;
        out.push_sql(", comment_count = ");
        out.push_bind_param::<Nullable<BigInt>, _>(&counts.comment_count)?;
        out.push_sql(" WHERE id = ");
        out.push_bind_param::<BigInt, _>(id)
    }
}

impl QueryFragment<Sqlite> for SetScore<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let Change { id, counts, .. } = self.0;
        out.push_sql("UPDATE discovered_videos SET viral_score = ");
        out.push_bind_param::<Nullable<Double>, _>(&counts.viral_score)?;
        out.push_sql(" WHERE id = ");
        out.push_bind_param::<BigInt, _>(id)
    }
}

/// Looks up videos by `video_id`. The list is one parameter, a JSON array, so that the statement stays prepared for any
/// number of videos.
#[derive(QueryId)]
struct LookUp(String);

impl Query for LookUp {
    type SqlType = (Text, KnownSql);
}

impl RunQueryDsl<SqliteConnection> for LookUp {}

impl QueryFragment<Sqlite> for LookUp {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql(
            "SELECT old.video_id, old.id, old.discovered_at, old.category_id, old.duration_seconds, \
             old.view_count, old.like_count, old.comment_count, old.viral_score FROM json_each(",
        );
        out.push_bind_param::<Text, String>(&self.0)?;
        // CROSS JOIN fixes the join order: SQLite searches the index for each id in the list.
        out.push_sql(") AS wanted CROSS JOIN discovered_videos AS old ON old.video_id = wanted.value");
        Ok(())
    }
}
