//! On SQLite each row is one prepared statement, because a VALUES list of varying length is never kept
//! prepared. Rows are inserted until one is known; then one look-up tells which of the others are, and what
//! of them has changed.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Double, Integer, Nullable, Text};
use diesel::sqlite::Sqlite;

use super::{Complete, Places};
use crate::db::prepared::Prepared;
use crate::schema::discovered_videos::dsl as v;

/// Returns how many rows were new, and how many have changed.
pub(super) fn store(
    conn: &mut SqliteConnection,
    rows: &[Complete<'_>],
    places: &Places<'_>,
) -> QueryResult<(usize, usize)> {
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
    let mut is_known = vec![false; rest.len()];
    let mut changes = Vec::new();
    for known in look_up(conn, rest)? {
        let place = places.get(&*known.video_id).and_then(|place| place.checked_sub(new));
        if let Some((row, is_known)) = place.and_then(|place| rest.get(place).zip(is_known.get_mut(place))) {
            *is_known = true;
            changes.extend(known.seen_again(row));
        }
    }
    for (row, _) in rest.iter().zip(is_known).filter(|(_, is_known)| !is_known) {
        insert(conn, row)?;
        new += 1;
    }
    // In the order of the table, neighbours are written together.
    changes.sort_unstable_by_key(|change| change.id);
    changes.iter().try_for_each(|change| update(conn, change))?;
    Ok((new, changes.len()))
}

/// Inserts a row unless it is known; says whether it did.
fn insert(conn: &mut SqliteConnection, row: &Complete<'_>) -> QueryResult<bool> {
    struct NewRow;
    let insert = diesel::insert_into(v::discovered_videos).values(row);
    Ok(Prepared(NewRow, insert.on_conflict(v::video_id).do_nothing()).execute(conn)? == 1)
}

/// A row that is there.
#[derive(Queryable)]
struct Known {
    id: i64,
    video_id: String,
    holds: Counts,
}

/// What another sight of a video may change in its row.
#[derive(Queryable, Clone, Copy, PartialEq)]
struct Counts {
    category_id: Option<i32>,
    duration_seconds: Option<i32>,
    view_count: Option<i64>,
    like_count: Option<i64>,
    comment_count: Option<i64>,
    viral_score: Option<f64>,
}

fn look_up(conn: &mut SqliteConnection, rows: &[Complete<'_>]) -> QueryResult<Vec<Known>> {
    let ids: Vec<&str> = rows.iter().map(|row| row.video_id).collect();
    serde_json::to_string(&ids)
        .map_err(|error| diesel::result::Error::SerializationError(error.into()))
        .and_then(|ids| LookUp(ids).load(conn))
}

/// A row that is to change, and what it is to hold.
struct Change {
    id: i64,
    counts: Counts,
    is_rescored: bool,
}

impl Known {
    /// What to write now that the video was seen again; `None` if nothing.
    fn seen_again(&self, row: &Complete<'_>) -> Option<Change> {
        let old = self.holds;
        let counts = Counts {
            category_id: old.category_id.or(row.category_id),
            duration_seconds: old.duration_seconds.or(row.duration_seconds),
            view_count: row.view_count.or(old.view_count),
            like_count: row.like_count.or(old.like_count),
            comment_count: row.comment_count.or(old.comment_count),
            viral_score: row.viral_score.or(old.viral_score),
        };
        let is_rescored = counts.viral_score != old.viral_score;
        (counts != old).then_some(Change { id: self.id, counts, is_rescored })
    }
}

fn update(conn: &mut SqliteConnection, change: &Change) -> QueryResult<()> {
    struct NewCounts;
    struct NewScore;
    let row = v::discovered_videos.find(change.id);
    let counts = diesel::update(row)
        .set((
            v::category_id.eq(change.counts.category_id),
            v::duration_seconds.eq(change.counts.duration_seconds),
            v::view_count.eq(change.counts.view_count),
            v::like_count.eq(change.counts.like_count),
            v::comment_count.eq(change.counts.comment_count),
        ))
        .returning(v::id);
    Prepared(NewCounts, counts).get_result::<i64>(conn)?;
    // Apart, because an index holds it.
    if change.is_rescored {
        let score = diesel::update(row).set(v::viral_score.eq(change.counts.viral_score)).returning(v::id);
        Prepared(NewScore, score).get_result::<i64>(conn)?;
    }
    Ok(())
}

/// Looks videos up by `video_id`. The list is one parameter, a JSON array, so that the statement stays
/// prepared however many they are.
#[derive(QueryId)]
struct LookUp(String);

impl Query for LookUp {
    type SqlType = (
        BigInt,
        Text,
        (
            Nullable<Integer>,
            Nullable<Integer>,
            Nullable<BigInt>,
            Nullable<BigInt>,
            Nullable<BigInt>,
            Nullable<Double>,
        ),
    );
}

impl RunQueryDsl<SqliteConnection> for LookUp {}

impl QueryFragment<Sqlite> for LookUp {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql(
            "SELECT old.id, old.video_id, old.category_id, old.duration_seconds, old.view_count, \
             old.like_count, old.comment_count, old.viral_score FROM json_each(",
        );
        out.push_bind_param::<Text, String>(&self.0)?;
        // CROSS JOIN keeps the order: each of the list is searched in the index.
        out.push_sql(") AS wanted CROSS JOIN discovered_videos AS old ON old.video_id = wanted.value");
        Ok(())
    }
}
