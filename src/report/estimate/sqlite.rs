//! Samples of SQLite tables.
//!
//! Every table has rowids. Their smallest and largest are found at once, and so is any window of rowids. The rows in a window
//! give the density of the rowids around it.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, Nullable, Text};

use super::Sampled;
use super::category::Share;

/// The number of parts that a table is divided into to look for gaps in its rowids.
const FEW: i64 = 64;

/// The number of parts of a table that has gaps.
const MANY: i64 = 256;

/// The number of parts of a sample of categories.
const PARTS: i64 = 128;

/// The number of rowids in a window, one window for each part.
const WINDOW: i64 = 32;

/// The number of rowids in a window for categories, whose shares need more rows.
const WIDE: i64 = 64;

/// The span of the rowids of a table.
#[derive(QueryableByName)]
struct Span {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    low: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    high: Option<i64>,
}

impl Span {
    /// Returns the number of rowids from the smallest to the largest.
    fn width(&self) -> i128 {
        self.low.zip(self.high).map_or(0, |(low, high)| i128::from(high) - i128::from(low) + 1)
    }

    /// Returns the SQL for the first rowid of the part `i` of `parts`.
    fn start(&self, parts: i64) -> String {
        format!("({} + i * {})", self.low.unwrap_or_default(), self.width() / i128::from(parts))
    }

    /// Returns a CTE `name` with one window for each part that has rows: its first rowid, and the number of rowids of the part.
    ///
    /// A part begins and ends with a row, so gaps at its ends do not matter. If the part is wider than a window, `chosen` is the
    /// SQL for the first rowid of the window, from `low` and `high`, the first and the last rowid of the part.
    fn windows(&self, name: &str, parts: i64, window: i64, chosen: &str) -> String {
        let (table, start, step) = (&self.name, self.start(parts), self.width() / i128::from(parts));
        let end = format!(
            "CASE i WHEN {} THEN {} ELSE {start} + {} END",
            parts - 1,
            self.high.unwrap_or_default(),
            step - 1
        );
        format!(
            "{name}_part (i, low, high) AS MATERIALIZED (SELECT i, \
             (SELECT min(rowid) FROM {table} WHERE rowid BETWEEN {start} AND {end}), \
             (SELECT max(rowid) FROM {table} WHERE rowid BETWEEN {start} AND {end}) FROM part), \
             {name} (width, start) AS MATERIALIZED (SELECT high - low + 1, \
             CASE WHEN high - low < {window} THEN low ELSE {chosen} END \
             FROM {name}_part WHERE low IS NOT NULL)"
        )
    }
}

/// Returns a CTE with the numbers of the parts.
fn parts(count: i64) -> String {
    format!("WITH RECURSIVE part (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM part WHERE i < {count} - 1)")
}

fn spans(conn: &mut SqliteConnection, tables: &[&'static str]) -> QueryResult<Vec<Span>> {
    let spans: Vec<String> = tables
        .iter()
        .map(|table| {
            format!(
                "SELECT '{table}' AS name, (SELECT min(rowid) FROM {table}) AS low, (SELECT max(rowid) FROM {table}) AS high"
            )
        })
        .collect();
    diesel::sql_query(spans.join(" UNION ALL ")).load(conn)
}

#[derive(QueryableByName)]
struct Estimate {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Double)]
    rows: f64,
}

/// Estimates the number of rows of each table that has more than `bound` rowids.
pub(super) fn sample(
    conn: &mut SqliteConnection,
    tables: &[&'static str],
    bound: i64,
) -> QueryResult<Vec<Sampled>> {
    let spans = spans(conn, tables)?;
    let is_large = |span: &&Span| span.width() > i128::from(bound.max(FEW * WINDOW));
    let large: Vec<&Span> = spans.iter().filter(is_large).collect();
    let full = has_no_gaps(conn, &large)?;
    let (full, gappy): (Vec<&Span>, Vec<&Span>) =
        large.into_iter().partition(|span| full.contains(&span.name));
    let mut estimates = with_gaps(conn, &gappy)?;
    estimates
        .extend(full.into_iter().map(|span| Estimate { name: span.name.clone(), rows: span.width() as f64 }));
    let rows = |table: &str| estimates.iter().find(|found| found.name == table).map(|found| found.rows);
    Ok(tables.iter().map(|table| Sampled { table, rows: rows(table), is_countable: true }).collect())
}

/// Returns the tables in which no window has a gap.
fn has_no_gaps(conn: &mut SqliteConnection, spans: &[&Span]) -> QueryResult<Vec<String>> {
    if spans.is_empty() {
        return Ok(Vec::new());
    }
    let counts: Vec<String> = spans
        .iter()
        .map(|span| {
            let (table, start) = (&span.name, span.start(FEW));
            format!(
                "SELECT '{table}' AS name, CAST(sum((SELECT count(*) FROM {table} \
                 WHERE rowid BETWEEN {start} AND {start} + {WINDOW} - 1)) AS REAL) AS rows FROM part"
            )
        })
        .collect();
    let query = format!("{} {}", parts(FEW), counts.join(" UNION ALL "));
    let counts: Vec<Estimate> = diesel::sql_query(query).load(conn)?;
    Ok(counts
        .into_iter()
        .filter(|count| count.rows >= (FEW * WINDOW) as f64)
        .map(|count| count.name)
        .collect())
}

/// Estimates the number of rows of tables whose rowids have gaps.
fn with_gaps(conn: &mut SqliteConnection, spans: &[&Span]) -> QueryResult<Vec<Estimate>> {
    if spans.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<String> = (0..spans.len()).map(|at| format!("w{at}")).collect();
    // Choose as if at random, because deleted rows may follow a pattern.
    let chosen = format!("low + 1 + (high - low - {WINDOW}) / {MANY} * (i * 37 % {MANY})");
    let windows: Vec<String> =
        spans.iter().zip(&names).map(|(span, name)| span.windows(name, MANY, WINDOW, &chosen)).collect();
    let counts: Vec<String> = spans
        .iter()
        .zip(&names)
        .map(|(span, name)| {
            let table = &span.name;
            let found =
                format!("(SELECT count(*) FROM {table} WHERE rowid BETWEEN start AND start + {WINDOW} - 1)");
            // The first and the last rowid of a part exist.
            format!(
                "SELECT '{table}' AS name, total(CASE WHEN width <= {WINDOW} THEN {found} \
                 ELSE 2 + (width - 2) * ({found} / {WINDOW}.0) END) AS rows FROM {name}"
            )
        })
        .collect();
    let query = format!("{}, {} {}", parts(MANY), windows.join(", "), counts.join(" UNION ALL "));
    diesel::sql_query(query).load(conn)
}

/// Returns the share of each category in a large table: a weight that is proportional to its number of rows.
pub(super) fn shares(
    conn: &mut SqliteConnection,
    table: &'static str,
    category: &str,
) -> QueryResult<Vec<Share>> {
    let spans = spans(conn, &[table])?;
    let Some(span) = spans.first().filter(|span| span.width() > i128::from(PARTS)) else {
        return Ok(Vec::new());
    };
    diesel::sql_query(format!(
        "{}, {} SELECT {category} AS name, total(CASE WHEN width <= {WIDE} THEN 1 ELSE width / {WIDE}.0 END) AS weight \
         FROM w CROSS JOIN {table} ON {table}.rowid BETWEEN start AND start + {WIDE} - 1 GROUP BY 1",
        parts(PARTS),
        // The pages at the beginning of a part have been read already.
        span.windows("w", PARTS, WIDE, "low"),
    ))
    .load(conn)
}
