//! The upsert on PostgreSQL. One UPDATE writes the existing rows that changed, and one COPY inserts the new rows.
//!
//! Looking up a row in an index costs a quarter as much as copying it. So if all rows in a sample of the batch are new, the
//! batch is copied without a lookup.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{Array, BigInt, Bool, Double, Integer, Nullable, Text};

use super::{Complete, Known, KnownVideos};
use crate::db::postgres::lock_ingest;
use crate::schema::discovered_videos;

/// The index of each `video_id` in the batch.
type Places<'a> = HashMap<&'a str, usize>;

/// The number of rows in the sample that is looked up to decide whether a batch is new.
///
/// If 1% of the rows exist, the sample misses them in 8 of 100 batches. In a batch of fewer than four times this many rows,
/// every row is looked up.
const SAMPLE: usize = 256;

/// Stores the rows and returns how many were new and how many changed.
pub(super) fn store(
    conn: &mut PgConnection,
    rows: &[Complete<'_>],
    places: &Places<'_>,
    known_before: Option<&KnownVideos>,
) -> QueryResult<(usize, usize)> {
    lock_ingest(conn)?;
    if let Some(known) = known_before
        && let Some(stored) = store_knowing(conn, rows, known)?
    {
        return Ok(stored);
    }
    if rows.len() >= 4 * SAMPLE {
        let sample = rows.iter().step_by(rows.len() / SAMPLE);
        if known(conn, sample)?.is_empty() && insert(conn, rows.iter().collect())? {
            return Ok((rows.len(), 0));
        }
    }
    let mut state = vec![State::New; rows.len()];
    loop {
        for id in update(conn, &rows.iter().collect::<Vec<_>>())? {
            set(&mut state, places, &id, State::Changed);
        }
        let others = rows.iter().zip(&state).filter(|(_, state)| **state != State::Changed);
        for id in known(conn, others.map(|(row, _)| row))? {
            set(&mut state, places, &id, State::Unchanged);
        }
        let of = |wanted| move |(_, state): &(_, &State)| **state == wanted;
        let new: Vec<_> = rows.iter().zip(&state).filter(of(State::New)).map(|(row, _)| row).collect();
        let count = new.len();
        if insert(conn, new)? {
            let changed = state.iter().filter(|state| **state == State::Changed).count();
            return Ok((count, changed));
        }
        // Another program inserted one of the rows in the meantime, so look them up again.
    }
}

/// Stores the rows with the result of an earlier lookup. Stores nothing and returns `None` if another program inserted one
/// of them in the meantime.
fn store_knowing(
    conn: &mut PgConnection,
    rows: &[Complete<'_>],
    known: &KnownVideos,
) -> QueryResult<Option<(usize, usize)>> {
    let (new, seen): (Vec<_>, Vec<_>) = rows.iter().partition(|row| !known.contains_key(row.video_id));
    let count = new.len();
    if !insert(conn, new)? {
        return Ok(None);
    }
    let is_changed =
        |row: &&Complete<'_>| known.get(row.video_id).is_some_and(|known| known.seen_again(row).is_some());
    let changed: Vec<_> = seen.into_iter().filter(is_changed).collect();
    let changed = if changed.is_empty() { 0 } else { update(conn, &changed)?.len() };
    Ok(Some((count, changed)))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Changed,
    Unchanged,
}

fn set(states: &mut [State], places: &Places<'_>, id: &str, new: State) {
    if let Some(state) = places.get(id).and_then(|place| states.get_mut(*place)) {
        *state = new;
    }
}

/// Inserts rows. If one of them exists, inserts none and returns false.
fn insert(conn: &mut PgConnection, rows: Vec<&Complete<'_>>) -> QueryResult<bool> {
    if rows.is_empty() {
        return Ok(true);
    }
    let copy = diesel::copy_from(discovered_videos::table).from_insertable(rows);
    match conn.transaction(|conn| copy.execute(conn)) {
        Ok(_) => Ok(true),
        // Retry only for this constraint. For a unique index that is not from viraldb, another lookup would find nothing.
        Err(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, info))
            if info.constraint_name() == Some("discovered_videos_video_id_key") =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

#[derive(QueryableByName)]
struct VideoId {
    #[diesel(sql_type = Text)]
    video_id: String,
}

// `(SELECT $1)` hides the length of a list from PostgreSQL. Otherwise PostgreSQL would read the whole table to find 5,000 of
// 200,000 rows, which takes three times as long as looking them up. The statements do not stay prepared, because a plan made
// while the table was empty would later read the whole table row by row.

/// Returns the `video_id` of each row that exists.
fn known<'a>(
    conn: &mut PgConnection,
    rows: impl Iterator<Item = &'a Complete<'a>>,
) -> QueryResult<Vec<String>> {
    let ids: Vec<&str> = rows.map(|row| row.video_id).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let known =
        diesel::sql_query("SELECT video_id FROM discovered_videos WHERE video_id = ANY((SELECT $1)::text[])")
            .bind::<Array<Text>, _>(ids)
            .load::<VideoId>(conn)?;
    Ok(known.into_iter().map(|row| row.video_id).collect())
}

/// Looks up videos.
pub(super) fn look_up(conn: &mut PgConnection, video_ids: &[&str]) -> QueryResult<Vec<(String, Known)>> {
    use crate::schema::discovered_videos::dsl as v;

    let ids = diesel::dsl::sql::<Bool>("video_id = ANY((SELECT ")
        .bind::<Array<Text>, _>(video_ids)
        .sql(")::text[])");
    v::discovered_videos
        .filter(ids)
        .select((
            v::video_id,
            (
                v::id,
                v::discovered_at,
                (
                    v::category_id,
                    v::duration_seconds,
                    v::view_count,
                    v::like_count,
                    v::comment_count,
                    v::viral_score,
                ),
            ),
        ))
        .load(conn)
}

/// Updates the existing rows that changed and returns their `video_id`s.
fn update(conn: &mut PgConnection, rows: &[&Complete<'_>]) -> QueryResult<Vec<String>> {
    let changed = diesel::sql_query(
        "UPDATE discovered_videos AS old SET
             category_id = coalesce(old.category_id, new.category_id),
             duration_seconds = coalesce(old.duration_seconds, new.duration_seconds),
             view_count = coalesce(new.view_count, old.view_count),
             like_count = coalesce(new.like_count, old.like_count),
             comment_count = coalesce(new.comment_count, old.comment_count),
             viral_score = coalesce(new.viral_score, old.viral_score)
         FROM unnest((SELECT $1), (SELECT $2), (SELECT $3), (SELECT $4), (SELECT $5), (SELECT $6), (SELECT $7)) AS new
             (video_id, category_id, duration_seconds, view_count, like_count, comment_count, viral_score)
         WHERE old.video_id = new.video_id AND (
             new.view_count <> old.view_count OR new.view_count IS NOT NULL AND old.view_count IS NULL OR
             new.like_count <> old.like_count OR new.like_count IS NOT NULL AND old.like_count IS NULL OR
             new.comment_count <> old.comment_count
                 OR new.comment_count IS NOT NULL AND old.comment_count IS NULL OR
             new.viral_score <> old.viral_score OR new.viral_score IS NOT NULL AND old.viral_score IS NULL OR
             new.category_id IS NOT NULL AND old.category_id IS NULL OR
             new.duration_seconds IS NOT NULL AND old.duration_seconds IS NULL
         )
         RETURNING old.video_id",
    )
    .bind::<Array<Text>, _>(rows.iter().map(|row| row.video_id).collect::<Vec<_>>())
    .bind::<Array<Nullable<Integer>>, _>(rows.iter().map(|row| row.category_id).collect::<Vec<_>>())
    .bind::<Array<Nullable<Integer>>, _>(rows.iter().map(|row| row.duration_seconds).collect::<Vec<_>>())
    .bind::<Array<Nullable<BigInt>>, _>(rows.iter().map(|row| row.view_count).collect::<Vec<_>>())
    .bind::<Array<Nullable<BigInt>>, _>(rows.iter().map(|row| row.like_count).collect::<Vec<_>>())
    .bind::<Array<Nullable<BigInt>>, _>(rows.iter().map(|row| row.comment_count).collect::<Vec<_>>())
    .bind::<Array<Nullable<Double>>, _>(rows.iter().map(|row| row.viral_score).collect::<Vec<_>>())
    .load::<VideoId>(conn)?;
    Ok(changed.into_iter().map(|row| row.video_id).collect())
}
