//! Samples of PostgreSQL tables.
//!
//! A sample reads some of the blocks of a table, so it needs no statistics of the planner and sees all deleted rows.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};

use super::Sampled;
use super::category::Share;

/// The number of blocks in a sample of a table whose blocks have similar numbers of rows.
const FEW: i64 = 64;

/// The number of blocks in a sample of a table whose blocks differ, and in a sample of categories.
const MANY: i64 = 512;

/// Tables of up to this number of blocks are counted without a sample.
const SMALL: i64 = 256;

/// A table of more blocks is not counted, even if a sample finds few rows. A scan may have to read all of them.
const COUNTABLE: i64 = 8_192;

/// The relative standard error of the number of rows up to which a sample of few blocks is good enough.
const GOOD: f64 = 0.015;

/// The file of a table.
#[derive(QueryableByName)]
struct File {
    #[diesel(sql_type = Text)]
    name: String,
    /// Number of blocks.
    #[diesel(sql_type = BigInt)]
    blocks: i64,
    /// Whether an index-only scan can skip nearly all blocks.
    #[diesel(sql_type = Bool)]
    is_visible: bool,
    /// Whether the server can scan a range of blocks, as all do since PostgreSQL 14.
    #[diesel(sql_type = Bool)]
    has_ranges: bool,
}

impl File {
    /// Returns the FROM clause of a query on a sample: a subquery that is evaluated for each block.
    fn sample(&self, blocks: i64, columns: &str, group_by: &str) -> String {
        let (table, all) = (&self.name, self.blocks);
        if !self.has_ranges {
            let percent = 100.0 * blocks as f64 / all.max(1) as f64;
            return format!(
                "(SELECT {columns} FROM {table} TABLESAMPLE SYSTEM ({}) REPEATABLE (0) {group_by}) AS found",
                percent.min(100.0)
            );
        }
        // The blocks are evenly spaced, except for an offset that looks random, because deleted rows may follow a pattern.
        let number = |number: i64| format!("CAST({number} AS bigint)");
        let block = format!(
            "(sampled.i * {} + sampled.i * {} % {0}) * {} / {}",
            number(blocks),
            number(37),
            number(all),
            number(blocks * blocks)
        );
        let tid = |plus: &str| format!("CAST(pg_catalog.format('(%s,0)', {block}{plus}) AS pg_catalog.tid)");
        format!(
            "pg_catalog.generate_series(CAST(0 AS bigint), CAST({} AS bigint)) AS sampled (i) CROSS JOIN LATERAL \
             (SELECT {columns} FROM {table} WHERE ctid >= {} AND ctid < {} {group_by} OFFSET 0) AS found",
            blocks - 1,
            tid(""),
            tid(" + CAST(1 AS bigint)")
        )
    }
}

fn files(conn: &mut PgConnection, tables: &[&'static str]) -> QueryResult<Vec<File>> {
    let names: Vec<String> = tables.iter().map(|table| format!("('{table}')")).collect();
    diesel::sql_query(format!(
        "WITH named (name) AS (VALUES {}), placed AS (SELECT name, pg_catalog.to_regclass( \
         pg_catalog.format('%I.%I', current_schema(), name)) AS place FROM named), \
         sized AS (SELECT name, place, coalesce(pg_catalog.pg_relation_size(place), 0) \
         / CAST(pg_catalog.current_setting('block_size') AS bigint) AS blocks FROM placed) \
         SELECT name, blocks, coalesce(CAST(class.relallvisible AS bigint) * CAST(10 AS bigint) >= blocks * CAST(9 AS bigint), false) AS is_visible, \
         CAST(pg_catalog.current_setting('server_version_num') AS integer) >= 140000 AS has_ranges \
         FROM sized LEFT JOIN pg_catalog.pg_class AS class ON class.oid = CAST(place AS pg_catalog.oid)",
        names.join(", ")
    ))
    .load(conn)
}

/// The rows in the blocks of a sample.
#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Text)]
    name: String,
    /// Number of rows.
    #[diesel(sql_type = BigInt)]
    rows: i64,
    /// Sum of the squared numbers of rows of the blocks.
    #[diesel(sql_type = BigInt)]
    squares: i64,
}

impl Found {
    /// Returns true if the blocks of the sample have similar numbers of rows.
    fn is_good(&self, blocks: i64) -> bool {
        let (blocks, rows) = (blocks as f64, self.rows as f64);
        let variance = self.squares as f64 / blocks - (rows / blocks).powi(2);
        (variance.max(0.0) / blocks).sqrt() <= GOOD * rows / blocks
    }
}

/// Estimates the number of rows of each table that has more than a few blocks.
pub(super) fn sample(conn: &mut PgConnection, tables: &[&'static str]) -> QueryResult<Vec<Sampled>> {
    let files = files(conn, tables)?;
    let large: Vec<&File> = files.iter().filter(|file| file.blocks > SMALL).collect();
    let estimate = |found: &Found, blocks: i64| {
        let file = files.iter().find(|file| file.name == found.name);
        let all = file.map(|file| file.blocks).unwrap_or_default();
        found.rows as f64 * all as f64 / blocks.min(all) as f64
    };
    let few = read(conn, &large, FEW)?;
    let mut estimates: Vec<(String, f64)> = Vec::new();
    for found in few {
        if found.is_good(FEW) && large.iter().all(|file| file.has_ranges) {
            let rows = estimate(&found, FEW);
            estimates.push((found.name, rows));
        }
    }
    let is_open = |file: &&&File| !estimates.iter().any(|(name, _)| *name == file.name);
    let open: Vec<&File> = large.iter().filter(is_open).copied().collect();
    for found in read(conn, &open, MANY)? {
        let rows = estimate(&found, MANY);
        estimates.push((found.name, rows));
    }
    let sampled = tables.iter().map(|table| {
        let rows = estimates.iter().find(|(name, _)| name == table).map(|(_, rows)| *rows);
        let file = files.iter().find(|file| file.name == *table);
        let is_countable = file.is_none_or(|file| file.blocks <= COUNTABLE || file.is_visible);
        Sampled { table, rows, is_countable }
    });
    Ok(sampled.collect())
}

/// Reads blocks of each table.
fn read(conn: &mut PgConnection, files: &[&File], blocks: i64) -> QueryResult<Vec<Found>> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let queries: Vec<String> = files
        .iter()
        .map(|file| {
            format!(
                "SELECT CAST('{}' AS text) AS name, CAST(coalesce(pg_catalog.sum(found.n), 0) AS bigint) AS rows, \
                 CAST(coalesce(pg_catalog.sum(found.n * found.n), 0) AS bigint) AS squares FROM {}",
                file.name,
                file.sample(blocks.min(file.blocks), "count(*) AS n", "")
            )
        })
        .collect();
    diesel::sql_query(queries.join(" UNION ALL ")).load(conn)
}

/// Returns the share of each category in a large table: a weight that is proportional to its number of rows.
pub(super) fn shares(
    conn: &mut PgConnection,
    table: &'static str,
    category: &str,
) -> QueryResult<Vec<Share>> {
    let files = files(conn, &[table])?;
    let Some(file) = files.first().filter(|file| file.blocks > 0) else { return Ok(Vec::new()) };
    let columns = format!("CAST({category} AS text) AS name, count(*) AS n");
    diesel::sql_query(format!(
        "SELECT found.name, CAST(pg_catalog.sum(found.n) AS double precision) AS weight FROM {} GROUP BY found.name",
        file.sample(MANY.min(file.blocks), &columns, "GROUP BY 1")
    ))
    .load(conn)
}

/// Turns just-in-time compilation off or on until the end of the transaction. Returns true if this changed the setting.
pub(super) fn set_jit(conn: &mut PgConnection, is_on: bool) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        is_changed: bool,
    }
    let (from, to) = if is_on { ("off", "on") } else { ("on", "off") };
    let row: Row = diesel::sql_query(format!(
        "SELECT CASE pg_catalog.current_setting('jit', true) WHEN '{from}' \
         THEN pg_catalog.set_config('jit', '{to}', true) IS NOT NULL ELSE false END AS is_changed"
    ))
    .get_result(conn)?;
    Ok(row.is_changed)
}
