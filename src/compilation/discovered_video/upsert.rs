//! Many discovered videos at once: new ones inserted, known ones brought up to date.
//!
//! One look-up tells the new from the known, and what of the known has changed. SQLite then takes one
//! prepared statement a row, because a VALUES list of varying length is never cached, and PostgreSQL one
//! COPY of the new and one UPDATE of the changed. An upsert would do more: it checks and binds whole rows
//! to change three counts, and it writes the index over `viral_score` anew even when the score stays.

use std::collections::HashMap;

use chrono::Datelike;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Double, Integer, Nullable, Text};

use super::{ContentIdRisk, NewDiscoveredVideo, Processed};
use crate::db::{DbConnection, Upserted, on_backend};
use crate::error::{Error, Result, ResultExt};
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
            // SQLite keeps what is no number as NULL.
            viral_score: row.viral_score.filter(|score| !score.is_nan()),
            niche: &row.niche,
            discovery_source: row.discovery_source.as_deref(),
            discovered_at: row.discovered_at.unwrap_or(now),
            processed: row.processed.unwrap_or(Processed::Pending),
            content_id_risk: row.content_id_risk.unwrap_or(ContentIdRisk::Unknown),
        }
    }

    /// The same video, seen again later in the same call.
    fn see_again(&mut self, row: &NewDiscoveredVideo<'_>) {
        self.view_count = row.view_count.or(self.view_count);
        self.like_count = row.like_count.or(self.like_count);
        self.comment_count = row.comment_count.or(self.comment_count);
        self.viral_score = row.viral_score.or(self.viral_score);
        self.category_id = self.category_id.or(row.category_id);
        self.duration_seconds = self.duration_seconds.or(row.duration_seconds);
    }
}

/// What a row holds of all that another sight of the video may change.
#[derive(Queryable)]
struct Known {
    id: i64,
    video_id: String,
    category_id: Option<i32>,
    duration_seconds: Option<i32>,
    view_count: Option<i64>,
    like_count: Option<i64>,
    comment_count: Option<i64>,
    viral_score: Option<f64>,
}

/// A row that is to change, and what it is to hold.
struct Change {
    id: i64,
    category_id: Option<i32>,
    duration_seconds: Option<i32>,
    view_count: Option<i64>,
    like_count: Option<i64>,
    comment_count: Option<i64>,
    viral_score: Option<f64>,
    is_rescored: bool,
}

impl Known {
    /// What to write now that the video was seen again; `None` if nothing.
    fn seen_again(&self, row: &Complete<'_>) -> Option<Change> {
        let change = Change {
            id: self.id,
            category_id: self.category_id.or(row.category_id),
            duration_seconds: self.duration_seconds.or(row.duration_seconds),
            view_count: row.view_count.or(self.view_count),
            like_count: row.like_count.or(self.like_count),
            comment_count: row.comment_count.or(self.comment_count),
            viral_score: row.viral_score.or(self.viral_score),
            is_rescored: row.viral_score.is_some() && row.viral_score != self.viral_score,
        };
        let is_changed = change.is_rescored
            || change.view_count != self.view_count
            || change.like_count != self.like_count
            || change.comment_count != self.comment_count
            || change.category_id != self.category_id
            || change.duration_seconds != self.duration_seconds;
        is_changed.then_some(change)
    }
}

/// All rows told apart.
struct Sorted<'a> {
    new: Vec<&'a Complete<'a>>,
    changed: Vec<Change>,
}

impl<'a> Sorted<'a> {
    fn new(rows: &'a [Complete<'a>], places: &HashMap<&str, usize>, known: &[Known]) -> Self {
        let mut is_known = vec![false; rows.len()];
        let mut changed = Vec::new();
        for known in known {
            if let Some(place) = places.get(&*known.video_id).copied() {
                is_known[place] = true;
                changed.extend(known.seen_again(&rows[place]));
            }
        }
        // In the order of the table, neighbours are written together.
        changed.sort_unstable_by_key(|change| change.id);
        let new = rows.iter().zip(is_known).filter(|(_, is_known)| !is_known).map(|(row, _)| row);
        Self { new: new.collect(), changed }
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
    let write = |conn: &mut DbConnection| {
        on_backend!(
            conn,
            sqlite => |c| sqlite(c, &complete, &places),
            postgres => |c| postgres(c, &complete, &places)
        )
        .of("discovered_videos", "")
    };
    let (new, updated) =
        if needs_no_savepoint(conn, &complete)? { write(conn)? } else { conn.atomically(write)? };
    Ok(Upserted { new, updated, unchanged: complete.len() - new - updated })
}

/// Whether to write straight into the transaction that is open. On SQLite a savepoint copies each page
/// of the indexes before it changes, which takes more memory than all the rest; and none is needed,
/// because SQLite takes every row that passes here: there is nothing to go back to but the beginning.
fn needs_no_savepoint(conn: &mut DbConnection, rows: &[Complete<'_>]) -> Result<bool> {
    let is_sqlite = on_backend!(conn, sqlite => |_c| true, postgres => |_c| false);
    if !is_sqlite {
        return Ok(false);
    }
    match rows.iter().find(|row| !(0..=9999).contains(&row.discovered_at.to_utc().year())) {
        Some(row) => Err(Error::invalid(
            format!("discovered_at of {}", row.video_id),
            "lies outside the years 0 to 9999, which SQLite keeps",
        )),
        None => Ok(conn.is_dirty()),
    }
}

/// Looks videos up by `video_id`: one parameter, however many they are, so that SQLite keeps the
/// statement prepared.
#[derive(Clone)]
struct LookUp<T>(T);

impl<T> Query for LookUp<T> {
    type SqlType = (
        BigInt,
        Text,
        Nullable<Integer>,
        Nullable<Integer>,
        Nullable<BigInt>,
        Nullable<BigInt>,
        Nullable<BigInt>,
        Nullable<Double>,
    );
}

impl<T, C> RunQueryDsl<C> for LookUp<T> {}

impl<T: 'static> QueryId for LookUp<T> {
    type QueryId = Self;
    const HAS_STATIC_QUERY_ID: bool = true;
}

const SELECT: &str = "SELECT old.id, old.video_id, old.category_id, old.duration_seconds, old.view_count, \
                      old.like_count, old.comment_count, old.viral_score FROM ";

/// SQLite gets the list as a JSON array.
#[cfg(feature = "sqlite")]
impl QueryFragment<diesel::sqlite::Sqlite> for LookUp<String> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::sqlite::Sqlite>) -> QueryResult<()> {
        out.push_sql(SELECT);
        out.push_sql("json_each(");
        out.push_bind_param::<Text, String>(&self.0)?;
        // CROSS JOIN keeps the order: each of the list is searched in the index.
        out.push_sql(") AS wanted CROSS JOIN discovered_videos AS old ON old.video_id = wanted.value");
        Ok(())
    }
}

/// A statement whose text is always the same, named by a type. Diesel finds it prepared by that name; it
/// would build the text of an INSERT or UPDATE anew for every row to look for it.
#[cfg(feature = "sqlite")]
struct Fixed<Name, Statement>(Name, Statement);

#[cfg(feature = "sqlite")]
struct NewRow;
#[cfg(feature = "sqlite")]
struct NewCounts;
#[cfg(feature = "sqlite")]
struct NewScore;

#[cfg(feature = "sqlite")]
impl<Name: 'static, Statement> QueryId for Fixed<Name, Statement> {
    type QueryId = Fixed<Name, ()>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

#[cfg(feature = "sqlite")]
impl<Name, Statement> RunQueryDsl<SqliteConnection> for Fixed<Name, Statement> {}

#[cfg(feature = "sqlite")]
impl<Name, Statement: QueryFragment<diesel::sqlite::Sqlite>> QueryFragment<diesel::sqlite::Sqlite>
    for Fixed<Name, Statement>
{
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, diesel::sqlite::Sqlite>) -> QueryResult<()> {
        self.1.walk_ast(out)
    }
}

#[cfg(feature = "sqlite")]
fn sqlite(
    conn: &mut SqliteConnection,
    rows: &[Complete<'_>],
    places: &HashMap<&str, usize>,
) -> QueryResult<(usize, usize)> {
    use discovered_videos as v;

    let ids: Vec<&str> = rows.iter().map(|row| row.video_id).collect();
    let ids = serde_json::to_string(&ids)
        .map_err(|error| diesel::result::Error::SerializationError(error.into()))?;
    let known: Vec<Known> = LookUp(ids).load(conn)?;
    let Sorted { new, changed } = Sorted::new(rows, places, &known);
    for row in new.iter().copied() {
        Fixed(NewRow, diesel::insert_into(v::table).values(row)).execute(conn)?;
    }
    for change in &changed {
        let row = v::table.find(change.id);
        let counts = diesel::update(row).set((
            v::category_id.eq(change.category_id),
            v::duration_seconds.eq(change.duration_seconds),
            v::view_count.eq(change.view_count),
            v::like_count.eq(change.like_count),
            v::comment_count.eq(change.comment_count),
        ));
        Fixed(NewCounts, counts).execute(conn)?;
        // Apart, because an index holds it.
        if change.is_rescored {
            let score = diesel::update(row).set(v::viral_score.eq(change.viral_score));
            Fixed(NewScore, score).execute(conn)?;
        }
    }
    Ok((new.len(), changed.len()))
}

/// The list is planned for anew each time: a plan that was made while the table was small reads all of a
/// table that has grown, row by row against the whole list.
#[cfg(feature = "postgres")]
impl QueryFragment<diesel::pg::Pg> for LookUp<Vec<String>> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::pg::Pg>) -> QueryResult<()> {
        out.unsafe_to_cache_prepared();
        out.push_sql(SELECT);
        out.push_sql("discovered_videos AS old WHERE old.video_id = ANY(");
        out.push_bind_param::<diesel::sql_types::Array<Text>, _>(&self.0)?;
        out.push_sql(")");
        Ok(())
    }
}

#[cfg(feature = "postgres")]
fn postgres(
    conn: &mut PgConnection,
    rows: &[Complete<'_>],
    places: &HashMap<&str, usize>,
) -> QueryResult<(usize, usize)> {
    use diesel::result::{DatabaseErrorKind, Error};

    crate::db::postgres::lock_ingest(conn)?;
    let ids = LookUp(rows.iter().map(|row| row.video_id.to_owned()).collect::<Vec<_>>());
    loop {
        let known: Vec<Known> = ids.clone().load(conn)?;
        let Sorted { new, changed } = Sorted::new(rows, places, &known);
        let count = new.len();
        if !new.is_empty() {
            match conn.transaction(|conn| {
                diesel::copy_from(discovered_videos::table)
                    .from_insertable(new.into_iter().cloned().collect::<Vec<_>>())
                    .execute(conn)
            }) {
                Ok(_) => {}
                // Another program inserted one of them meanwhile: look again.
                Err(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => continue,
                Err(error) => return Err(error),
            }
        }
        return Ok((count, update(conn, &changed)?));
    }
}

/// Writes all changes in one statement; returns how many rows were still there.
#[cfg(feature = "postgres")]
fn update(conn: &mut PgConnection, changes: &[Change]) -> QueryResult<usize> {
    use diesel::sql_types::Array;

    let (Some(first), Some(last)) = (changes.first(), changes.last()) else { return Ok(0) };
    // Videos seen again were mostly found together before. Saying between which ids they lie spares
    // PostgreSQL from reading the whole table for the join.
    diesel::sql_query(
        "UPDATE discovered_videos AS old SET
             category_id = coalesce(old.category_id, new.category_id),
             duration_seconds = coalesce(old.duration_seconds, new.duration_seconds),
             view_count = coalesce(new.view_count, old.view_count),
             like_count = coalesce(new.like_count, old.like_count),
             comment_count = coalesce(new.comment_count, old.comment_count),
             viral_score = coalesce(new.viral_score, old.viral_score)
         FROM unnest($1, $2, $3, $4, $5, $6, $7)
             AS new (id, category_id, duration_seconds, view_count, like_count, comment_count, viral_score)
         WHERE old.id = new.id AND old.id BETWEEN $8 AND $9",
    )
    .bind::<Array<BigInt>, _>(changes.iter().map(|change| change.id).collect::<Vec<_>>())
    .bind::<Array<Nullable<Integer>>, _>(changes.iter().map(|change| change.category_id).collect::<Vec<_>>())
    .bind::<Array<Nullable<Integer>>, _>(
        changes.iter().map(|change| change.duration_seconds).collect::<Vec<_>>(),
    )
    .bind::<Array<Nullable<BigInt>>, _>(changes.iter().map(|change| change.view_count).collect::<Vec<_>>())
    .bind::<Array<Nullable<BigInt>>, _>(changes.iter().map(|change| change.like_count).collect::<Vec<_>>())
    .bind::<Array<Nullable<BigInt>>, _>(changes.iter().map(|change| change.comment_count).collect::<Vec<_>>())
    .bind::<Array<Nullable<Double>>, _>(changes.iter().map(|change| change.viral_score).collect::<Vec<_>>())
    .bind::<BigInt, _>(first.id)
    .bind::<BigInt, _>(last.id)
    .execute(conn)
}
