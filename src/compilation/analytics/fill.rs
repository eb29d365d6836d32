//! Stores measurements whose rows may exist in part, and fills in the numbers that a row lacks.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;

use super::{Analytics, NewAnalytics};
use crate::db::{DbConnection, IDS, Upserted, on_backend};
use crate::error::{Result, ResultExt};
use crate::schema::analytics;
use crate::types::{AnalyticsId, Timestamp};

/// Inserts the rows that do not exist yet, in the open transaction. An existing row keeps its numbers and gets those that it
/// lacks. Rows without `measured_at` get the current time.
pub(super) fn put(conn: &mut DbConnection, rows: &[&NewAnalytics<'_>]) -> Result<Upserted> {
    let now = Timestamp::now();
    let mut given: HashMap<(&str, Timestamp), &NewAnalytics<'_>> = HashMap::with_capacity(rows.len());
    let mut keys = Vec::with_capacity(rows.len());
    for row in rows {
        let key = (&*row.youtube_video_id, row.measured_at.unwrap_or(now));
        given.entry(key).or_insert_with(|| {
            keys.push(key);
            row
        });
    }
    let there = at_times(conn, &keys)?;
    let mut known = HashSet::new();
    let mut filled = Vec::new();
    for old in &there {
        let key = (&*old.youtube_video_id, old.measured_at);
        if let Some(new) = given.get(&key)
            && known.insert(key)
        {
            filled.extend(Filled::new(old, new));
        }
    }
    on_backend!(
        &mut *conn,
        sqlite => |c| sqlite::fill(c, &filled),
        postgres => |c| postgres::fill(c, &filled)
    )
    .of("analytics", "")?;
    let missing =
        keys.iter().filter(|key| !known.contains(*key)).filter_map(|key| Some((key.1, given.get(key)?)));
    let missing = missing.map(|(at, row)| NewAnalytics { measured_at: Some(at), ..(*row).clone() });
    let missing: Vec<_> = missing.collect();
    let new = super::insert_new::put(conn, missing.iter(), &HashMap::new())?;
    Ok(Upserted { new, updated: filled.len(), unchanged: keys.len() - new - filled.len() })
}

/// Returns the rows with these keys, and possibly others with the same videos and times.
fn at_times(conn: &mut DbConnection, keys: &[(&str, Timestamp)]) -> Result<Vec<Analytics>> {
    let videos: HashSet<&str> = keys.iter().map(|(video, _)| *video).collect();
    let videos: Vec<&str> = videos.into_iter().collect();
    let times: HashSet<Timestamp> = keys.iter().map(|(_, at)| *at).collect();
    let times: Vec<Timestamp> = times.into_iter().collect();
    let mut found = Vec::new();
    for videos in videos.chunks(IDS / 2) {
        for times in times.chunks(IDS / 2) {
            let rows: Vec<Analytics> = on_backend!(&mut *conn, |c| Analytics::query()
                .filter(analytics::youtube_video_id.eq_any(videos))
                .filter(analytics::measured_at.eq_any(times))
                .load(c))
            .of("analytics", "")?;
            found.extend(rows);
        }
    }
    Ok(found)
}

/// The values of a row after it is filled in.
struct Filled {
    id: AnalyticsId,
    /// Views, likes and comments.
    counts: [Option<i64>; 3],
    /// Average view duration, clicks per impression and revenue.
    numbers: [Option<f64>; 3],
    subscriber_gain: Option<i32>,
}

impl Filled {
    /// Returns `None` if the existing row already has every number of the new one.
    fn new(old: &Analytics, new: &NewAnalytics<'_>) -> Option<Self> {
        let had = Self {
            id: old.id,
            counts: [old.view_count, old.like_count, old.comment_count],
            numbers: [old.average_view_duration_seconds, old.click_through_rate, old.estimated_revenue_usd],
            subscriber_gain: old.subscriber_gain,
        };
        let counts = [new.view_count, new.like_count, new.comment_count];
        let numbers = [new.average_view_duration_seconds, new.click_through_rate, new.estimated_revenue_usd];
        let has = Self {
            id: old.id,
            counts: std::array::from_fn(|at| had.counts[at].or(counts[at])),
            numbers: std::array::from_fn(|at| had.numbers[at].or(numbers[at])),
            subscriber_gain: had.subscriber_gain.or(new.subscriber_gain),
        };
        let is_more = has.counts != had.counts
            || has.numbers != had.numbers
            || has.subscriber_gain != had.subscriber_gain;
        is_more.then_some(has)
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use diesel::query_builder::{AstPass, QueryFragment, QueryId};
    use diesel::sqlite::Sqlite;

    use super::*;
    use crate::types::sql::{Float8, Int4, Int8, Nullable};

    /// Runs one prepared statement for each row.
    pub(super) fn fill(conn: &mut SqliteConnection, rows: &[Filled]) -> QueryResult<()> {
        rows.iter().try_for_each(|row| Update(row).execute(conn).map(drop))
    }

    struct Update<'a>(&'a Filled);

    impl QueryId for Update<'_> {
        type QueryId = Update<'static>;
        const HAS_STATIC_QUERY_ID: bool = true;
    }

    impl RunQueryDsl<SqliteConnection> for Update<'_> {}

    impl QueryFragment<Sqlite> for Update<'_> {
        fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
            let row = self.0;
            out.push_sql("UPDATE analytics SET subscriber_gain = ");
            out.push_bind_param::<Nullable<Int4>, _>(&row.subscriber_gain)?;
            let names = [", view_count = ", ", like_count = ", ", comment_count = "];
            for (name, count) in names.into_iter().zip(&row.counts) {
                out.push_sql(name);
                out.push_bind_param::<Nullable<Int8>, _>(count)?;
            }
            let names = [
                ", average_view_duration_seconds = ",
                ", click_through_rate = ",
                ", estimated_revenue_usd = ",
            ];
            for (name, number) in names.into_iter().zip(&row.numbers) {
                out.push_sql(name);
                out.push_bind_param::<Nullable<Float8>, _>(number)?;
            }
            out.push_sql(" WHERE id = ");
            out.push_bind_param::<Int8, _>(&row.id)
        }
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use diesel::sql_types::Array;

    use super::*;
    use crate::types::sql::{Float8, Int4, Int8, Nullable};

    /// Runs one statement for all rows.
    pub(super) fn fill(conn: &mut PgConnection, rows: &[Filled]) -> QueryResult<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let counts = |at: usize| rows.iter().map(|row| row.counts[at]).collect::<Vec<_>>();
        let numbers = |at: usize| rows.iter().map(|row| row.numbers[at]).collect::<Vec<_>>();
        diesel::sql_query(
            "UPDATE analytics AS old SET
                 view_count = new.views, like_count = new.likes, comment_count = new.comments,
                 average_view_duration_seconds = new.duration, click_through_rate = new.rate,
                 estimated_revenue_usd = new.revenue, subscriber_gain = new.gain
             FROM unnest((SELECT $1), (SELECT $2), (SELECT $3), (SELECT $4), (SELECT $5), (SELECT $6), (SELECT $7), (SELECT $8))
                 AS new (id, views, likes, comments, duration, rate, revenue, gain)
             WHERE old.id = new.id",
        )
        .bind::<Array<Int8>, _>(rows.iter().map(|row| row.id).collect::<Vec<_>>())
        .bind::<Array<Nullable<Int8>>, _>(counts(0))
        .bind::<Array<Nullable<Int8>>, _>(counts(1))
        .bind::<Array<Nullable<Int8>>, _>(counts(2))
        .bind::<Array<Nullable<Float8>>, _>(numbers(0))
        .bind::<Array<Nullable<Float8>>, _>(numbers(1))
        .bind::<Array<Nullable<Float8>>, _>(numbers(2))
        .bind::<Array<Nullable<Int4>>, _>(rows.iter().map(|row| row.subscriber_gain).collect::<Vec<_>>())
        .execute(conn)
        .map(drop)
    }
}
