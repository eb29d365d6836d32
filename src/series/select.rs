//! The SQL statements on a series, shared by all tables with samples.
//!
//! The statements jump from entry to entry in the index of the series, so they do not read a series completely, however
//! long it is. Only [`Which::Between`] reads all rows of its span.

use std::collections::HashSet;
use std::fmt::Display;
use std::time::Duration;

use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, HasSqlType};

use super::{Every, Thinning, check_span};
use crate::Result;
use crate::db::Page;
use crate::types::Timestamp;
use crate::types::sql::{Text, Timestamptz};

/// A table of samples.
pub(crate) trait Series: diesel::Table {
    /// Name of the table.
    const NAME: &'static str;
    /// The column with the video or channel that was measured.
    const SUBJECT: &'static str;
    /// The type of that column on PostgreSQL.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code))] // always text on SQLite
    const SUBJECT_TYPE: &'static str;
    /// The column with the time of the measurement.
    const TIME: &'static str;
    /// The index that begins with these two columns.
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code))] // PostgreSQL chooses it without a hint
    const INDEX: &'static str;
}

/// A query for rows of a series.
pub(crate) struct Select<T: Series> {
    columns: T::AllColumns,
    which: Which,
}

/// Which rows to select. A subject is the video or channel that was measured.
enum Which {
    /// The newest row of each subject in a JSON array.
    LatestOf(String),
    /// The newest row of each subject after the given one, with a limit.
    LatestBehind(Option<String>, i64),
    /// The first and the last row of a span, for each subject in a JSON array. The times are just after the two ends.
    Ends(String, Timestamp, Timestamp),
    /// All rows of a subject in a span, or only the last one of each period.
    Between(String, Timestamp, Timestamp, Option<Every>),
}

/// Returns the distinct subjects as a JSON array, in the order given.
///
/// An array is a single parameter for any number of subjects. The prepared statement is therefore reused, and its plan does
/// not depend on the number.
fn listed(subjects: impl IntoIterator<Item: Display>) -> String {
    let mut seen = HashSet::new();
    let subjects = subjects.into_iter().map(|subject| subject.to_string());
    subjects.filter(|subject| seen.insert(subject.clone())).collect::<serde_json::Value>().to_string()
}

impl<T: Series> Select<T> {
    fn new(which: Which) -> Self {
        Self { columns: T::all_columns(), which }
    }

    /// Selects the newest row of each subject, in the order given.
    pub fn latest_of(subjects: impl IntoIterator<Item: Display>) -> Self {
        Self::new(Which::LatestOf(listed(subjects)))
    }

    /// Selects the newest row of each subject on a page of all subjects, ordered by subject.
    pub fn latest_of_all<K: Display>(page: &Page<K>) -> Self {
        Self::new(Which::LatestBehind(page.after.as_ref().map(ToString::to_string), page.at_most()))
    }

    /// Selects two rows for each subject measured at or before `to`, in the order given. See [`super::Growth`].
    pub fn ends(subjects: impl IntoIterator<Item: Display>, from: Timestamp, to: Timestamp) -> Result<Self> {
        check_span(from, to)?;
        let behind = |at| at + Duration::from_micros(1);
        Ok(Self::new(Which::Ends(listed(subjects), behind(from), behind(to))))
    }

    /// Selects the rows from `from` (inclusive) to `to` (exclusive), oldest first.
    pub fn between(subject: impl Display, from: Timestamp, to: Timestamp) -> Self {
        Self::new(Which::Between(subject.to_string(), from, to, None))
    }

    /// Selects the last row of each period from `from` (inclusive) to `to` (exclusive), oldest first.
    pub fn thinned(subject: impl Display, from: Timestamp, to: Timestamp, every: Every) -> Result<Self> {
        check_span(from, to)?;
        Ok(Self::new(Which::Between(subject.to_string(), from, to, Some(every))))
    }
}

impl Thinning {
    /// Returns the query for the rows of the next step: id and subject, in index order.
    pub(crate) const fn next_rows<T: Series>(&self) -> Superfluous<'_, T> {
        Superfluous(self, std::marker::PhantomData)
    }

    /// Returns the query that counts the rows left for all remaining steps.
    pub(crate) const fn count<T: Series>(&self) -> CountSuperfluous<'_, T> {
        CountSuperfluous(self, std::marker::PhantomData)
    }
}

/// A query for rows that are not the last one of their period.
pub(crate) struct Superfluous<'a, T>(&'a Thinning, std::marker::PhantomData<T>);

/// A query that counts these rows.
pub(crate) struct CountSuperfluous<'a, T>(&'a Thinning, std::marker::PhantomData<T>);

impl<T: Series> Query for Select<T> {
    type SqlType = <T::AllColumns as Expression>::SqlType;
}

impl<T: Series> Query for Superfluous<'_, T> {
    type SqlType = (<T::PrimaryKey as Expression>::SqlType, Text);
}

impl<T: Series> Query for CountSuperfluous<'_, T> {
    type SqlType = BigInt;
}

impl<T: Series, C> RunQueryDsl<C> for Select<T> {}
impl<T: Series, C> RunQueryDsl<C> for Superfluous<'_, T> {}
impl<T: Series, C> RunQueryDsl<C> for CountSuperfluous<'_, T> {}

// The SQL varies, so Diesel caches the prepared statements by their text.
impl<T: Series> QueryId for Select<T> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<T> QueryId for Superfluous<'_, T> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<T> QueryId for CountSuperfluous<'_, T> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

/// The SQL fragments that differ between the engines.
trait Dialect: diesel::backend::Backend + HasSqlType<Timestamptz> {
    /// The SQL before and after the parameter of `wanted (subject, place)`, which reads a JSON array.
    const LIST: [&str; 2];
    /// The SQL before and after a timestamp parameter. It is correct only for comparisons with `>=` and `<`.
    const EDGE: [&str; 2];
    /// The window function `lead`, qualified on engines where another schema could define one, too.
    const LEAD: &str;

    /// Returns the type of a subject in a CAST.
    fn subject_type<T: Series>() -> &'static str;
    /// Returns the hint that tells the planner which index to use.
    fn by_index<T: Series>() -> String;
    /// Returns the join with the rows that `picked` lists, under the name of their table.
    fn joined<T: Series>() -> String;
    /// Returns the expression for the period that contains a timestamp.
    fn period(every: Every, time: &str) -> String;
}

#[cfg(feature = "sqlite")]
impl Dialect for diesel::sqlite::Sqlite {
    const LIST: [&str; 2] = ["SELECT value, key FROM json_each(", ")"];
    // Other programs write timestamps with fewer fractional digits or none, and a shorter text sorts first. Therefore
    // compare with the shortest text of a timestamp. It sorts at or before all other texts of the same timestamp, and after
    // the texts of all earlier timestamps.
    const LEAD: &str = "lead";
    const EDGE: [&str; 2] = ["rtrim(rtrim(", ", '0'), '.')"];

    fn subject_type<T: Series>() -> &'static str {
        "TEXT"
    }

    // Without the hint, table statistics or their absence could make the planner choose the index on the timestamps.
    fn by_index<T: Series>() -> String {
        format!("INDEXED BY {}", T::INDEX)
    }

    // CROSS JOIN keeps the order: SQLite looks up each picked row in turn.
    fn joined<T: Series>() -> String {
        let table = T::NAME;
        format!("CROSS JOIN {table} ON {table}.id = picked.id")
    }

    fn period(every: Every, time: &str) -> String {
        match every {
            Every::Hour => format!("substr({time}, 1, 13)"),
            Every::Day => format!("substr({time}, 1, 10)"),
            // Go back six days and then forward to the next Monday. This never passes the year 9999, SQLite's last year.
            Every::Week => format!("date(substr({time}, 1, 10), '-6 days', 'weekday 1')"),
        }
    }
}

#[cfg(feature = "postgres")]
impl Dialect for diesel::pg::Pg {
    const LIST: [&str; 2] = [
        "SELECT value, place FROM pg_catalog.json_array_elements_text(CAST(",
        " AS json)) WITH ORDINALITY AS listed (value, place)",
    ];
    const EDGE: [&str; 2] = ["", ""];
    const LEAD: &str = "pg_catalog.lead";

    fn subject_type<T: Series>() -> &'static str {
        T::SUBJECT_TYPE
    }

    fn by_index<T: Series>() -> String {
        String::new()
    }

    // The LIMIT prevents the planner from reading the whole table for a long list.
    fn joined<T: Series>() -> String {
        let table = T::NAME;
        format!(
            "CROSS JOIN LATERAL (SELECT * FROM {table} AS sample WHERE sample.id = picked.id LIMIT 1) AS {table}"
        )
    }

    fn period(every: Every, time: &str) -> String {
        format!("pg_catalog.date_trunc('{every}', {time} AT TIME ZONE 'UTC')")
    }
}

/// Writes `wanted (subject, place)` as a list of the subjects in a JSON array.
fn wanted<'b, T: Series, DB: Dialect>(out: &mut AstPass<'_, 'b, DB>, subjects: &'b String) -> QueryResult<()>
where
    String: ToSql<Text, DB>,
{
    out.push_sql("WITH listed (subject, place) AS (");
    out.push_sql(DB::LIST[0]);
    out.push_bind_param::<Text, String>(subjects)?;
    out.push_sql(DB::LIST[1]);
    out.push_sql("), wanted (subject, place) AS (SELECT CAST(subject AS ");
    out.push_sql(DB::subject_type::<T>());
    out.push_sql("), place FROM listed)");
    Ok(())
}

/// Writes `wanted (subject, place)` as a recursive query that steps from one subject to the next.
fn walk<'b, T: Series, DB: Dialect>(
    out: &mut AstPass<'_, 'b, DB>,
    after: &'b Option<String>,
    limit: &'b i64,
) -> QueryResult<()>
where
    String: ToSql<Text, DB>,
    i64: ToSql<BigInt, DB>,
{
    let (table, subject, by) = (T::NAME, T::SUBJECT, DB::by_index::<T>());
    let end = format!(" ORDER BY sample.{subject} LIMIT 1)");
    out.push_sql(&format!(
        "WITH RECURSIVE wanted (subject, place) AS (SELECT (SELECT sample.{subject} FROM {table} AS sample {by}"
    ));
    if let Some(after) = after {
        out.push_sql(&format!(" WHERE sample.{subject} > CAST("));
        out.push_bind_param::<Text, String>(after)?;
        out.push_sql(&format!(" AS {})", DB::subject_type::<T>()));
    }
    out.push_sql(&end);
    out.push_sql(", 1 WHERE 1 <= ");
    out.push_bind_param::<BigInt, i64>(limit)?;
    out.push_sql(&format!(
        " UNION ALL SELECT (SELECT sample.{subject} FROM {table} AS sample {by} \
         WHERE sample.{subject} > wanted.subject{end}, wanted.place + 1 \
         FROM wanted WHERE wanted.subject IS NOT NULL AND wanted.place < "
    ));
    out.push_bind_param::<BigInt, i64>(limit)?;
    out.push_sql(")");
    Ok(())
}

/// Writes a subquery for the id of the first row of the wanted subject, or of the last one (`DESC`), within `bounds`.
fn id<'b, T: Series, DB: Dialect>(
    out: &mut AstPass<'_, 'b, DB>,
    direction: &str,
    bounds: &[(&str, &'b Timestamp)],
) -> QueryResult<()>
where
    Timestamp: ToSql<Timestamptz, DB>,
{
    let (table, subject, time, by) = (T::NAME, T::SUBJECT, T::TIME, DB::by_index::<T>());
    out.push_sql(&format!(
        "(SELECT sample.id FROM {table} AS sample {by} WHERE sample.{subject} = wanted.subject"
    ));
    for (compared, at) in bounds {
        out.push_sql(" AND ");
        edge::<T, DB>(out, compared, at)?;
    }
    out.push_sql(&format!(" ORDER BY sample.{time} {direction}, sample.id {direction} LIMIT 1)"));
    Ok(())
}

/// Writes a comparison of the time column with a timestamp, by `>=` or `<`.
fn edge<'b, T: Series, DB: Dialect>(
    out: &mut AstPass<'_, 'b, DB>,
    compared: &str,
    at: &'b Timestamp,
) -> QueryResult<()>
where
    Timestamp: ToSql<Timestamptz, DB>,
{
    out.push_sql(&format!("sample.{} {compared} ", T::TIME));
    out.push_sql(DB::EDGE[0]);
    out.push_bind_param::<Timestamptz, Timestamp>(at)?;
    out.push_sql(DB::EDGE[1]);
    Ok(())
}

impl<T: Series, DB: Dialect> QueryFragment<DB> for Select<T>
where
    T::AllColumns: QueryFragment<DB>,
    Timestamp: ToSql<Timestamptz, DB>,
    String: ToSql<Text, DB>,
    i64: ToSql<BigInt, DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        let (table, subject, time, by) = (T::NAME, T::SUBJECT, T::TIME, DB::by_index::<T>());
        if let Which::Between(of, from, to, every) = &self.which {
            out.push_sql("SELECT ");
            self.columns.walk_ast(out.reborrow())?;
            out.push_sql(" FROM (SELECT sample.*");
            if let Some(every) = every {
                let period = DB::period(*every, &format!("sample.{time}"));
                out.push_sql(&format!(
                    ", {period} AS its_period, \
                     {}({period}) OVER (ORDER BY sample.{time}, sample.id) AS next_period",
                    DB::LEAD
                ));
            }
            out.push_sql(&format!(" FROM {table} AS sample {by} WHERE sample.{subject} = CAST("));
            out.push_bind_param::<Text, String>(of)?;
            out.push_sql(&format!(" AS {}) AND ", DB::subject_type::<T>()));
            edge::<T, DB>(&mut out, ">=", from)?;
            out.push_sql(" AND ");
            edge::<T, DB>(&mut out, "<", to)?;
            out.push_sql(&format!(") AS {table}"));
            if every.is_some() {
                out.push_sql(" WHERE next_period IS NULL OR next_period <> its_period");
            }
            out.push_sql(&format!(" ORDER BY {table}.{time}, {table}.id"));
            return Ok(());
        }
        match &self.which {
            Which::LatestOf(list) | Which::Ends(list, ..) => wanted::<T, DB>(&mut out, list)?,
            Which::LatestBehind(after, limit) => walk::<T, DB>(&mut out, after, limit)?,
            Which::Between(..) => {}
        }
        out.push_sql(", picked (place, nth, id) AS (SELECT place, 1, ");
        match &self.which {
            Which::Ends(_, from, to) => {
                out.push_sql("coalesce(");
                id::<T, DB>(&mut out, "DESC", &[("<", from)])?;
                out.push_sql(", ");
                id::<T, DB>(&mut out, "ASC", &[(">=", from), ("<", to)])?;
                out.push_sql(") FROM wanted UNION ALL SELECT place, 2, ");
                id::<T, DB>(&mut out, "DESC", &[("<", to)])?;
            }
            _ => id::<T, DB>(&mut out, "DESC", &[])?,
        }
        out.push_sql(" FROM wanted) SELECT ");
        self.columns.walk_ast(out.reborrow())?;
        out.push_sql(&format!(" FROM picked {} ORDER BY picked.place, picked.nth", DB::joined::<T>()));
        Ok(())
    }
}

impl<T: Series, DB: Dialect> QueryFragment<DB> for Superfluous<'_, T>
where
    Timestamp: ToSql<Timestamptz, DB>,
    String: ToSql<Text, DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        let (subject, time, batch) = (T::SUBJECT, T::TIME, self.0.batch);
        out.push_sql(&format!("SELECT sample.id, CAST(sample.{subject} AS text)"));
        superfluous::<T, DB>(&mut out, self.0)?;
        // The limit is a literal, because SQLite prepares a statement with a bound LIMIT again on each execution.
        out.push_sql(&format!(" ORDER BY sample.{subject}, sample.{time} LIMIT {batch}"));
        Ok(())
    }
}

impl<T: Series, DB: Dialect> QueryFragment<DB> for CountSuperfluous<'_, T>
where
    Timestamp: ToSql<Timestamptz, DB>,
    String: ToSql<Text, DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql("SELECT count(*)");
        superfluous::<T, DB>(&mut out, self.0)
    }
}

/// Writes the FROM and WHERE clauses for the rows that are not the last one of their period.
fn superfluous<'b, T: Series, DB: Dialect>(
    out: &mut AstPass<'_, 'b, DB>,
    thinning: &'b Thinning,
) -> QueryResult<()>
where
    Timestamp: ToSql<Timestamptz, DB>,
    String: ToSql<Text, DB>,
{
    let (table, subject, time, by) = (T::NAME, T::SUBJECT, T::TIME, DB::by_index::<T>());
    let Thinning { before, every, subject: begin, .. } = thinning;
    let [its, following] = ["sample", "later"].map(|name| DB::period(*every, &format!("{name}.{time}")));
    out.push_sql(&format!(" FROM {table} AS sample {by} WHERE "));
    edge::<T, DB>(out, "<", before)?;
    if let Some(begin) = begin {
        out.push_sql(&format!(" AND sample.{subject} >= CAST("));
        out.push_bind_param::<Text, String>(begin)?;
        out.push_sql(&format!(" AS {})", DB::subject_type::<T>()));
    }
    out.push_sql(&format!(
        " AND {its} = (SELECT {following} FROM {table} AS later {by} WHERE later.{subject} = sample.{subject} \
         AND (later.{time}, later.id) > (sample.{time}, sample.id) ORDER BY later.{time}, later.id LIMIT 1)"
    ));
    Ok(())
}
