//! Checks that the query planner has statistics.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::Patient;
use super::finding::{Check, Finding, Fix};
use crate::db::on_backend;
use crate::error::ResultExt;
use crate::{DbConnection, Result};

/// Number of rows from which a table needs statistics for good query plans.
const MANY: i64 = 1_000;

#[derive(QueryableByName)]
struct Size {
    #[diesel(sql_type = Text)]
    table: String,
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

/// Returns the approximate number of rows of our tables, without counting. For SQLite it is the highest row id, and for
/// PostgreSQL the server's last estimate.
fn sizes(conn: &mut DbConnection) -> Result<Vec<Size>> {
    let there = existing(conn)?;
    on_backend!(conn,
        sqlite => |c| match there.iter().map(highest).collect::<Vec<_>>() {
            parts if parts.is_empty() => Ok(Vec::new()),
            parts => diesel::sql_query(parts.join(" UNION ALL ")).load(c),
        },
        postgres => |c| diesel::sql_query(format!(
            "SELECT relname::text AS \"table\", greatest(reltuples, 0)::bigint AS rows \
             FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = {} AND relname = ANY ($1)",
            crate::db::postgres::HERE
        ))
        .bind::<diesel::sql_types::Array<Text>, _>(there)
        .load(c))
    .of("the tables", "")
}

/// Returns a query for the highest row id, which SQLite finds at the end of the table.
#[cfg(feature = "sqlite")]
fn highest(table: &String) -> String {
    format!("SELECT '{table}' AS \"table\", coalesce((SELECT max(rowid) FROM {table}), 0) AS rows")
}

/// Returns the viraldb tables that exist.
fn existing(conn: &mut DbConnection) -> Result<Vec<String>> {
    #[derive(QueryableByName)]
    struct Name {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let sql = on_backend!(&*conn,
    sqlite => |_c| "SELECT name FROM sqlite_master WHERE type = 'table'".to_owned(),
    postgres => |_c| format!(
        "SELECT relname::text AS name FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = {}",
        crate::db::postgres::HERE
    ));
    let names: Vec<Name> = on_backend!(conn, |c| diesel::sql_query(sql).load(c)).of("the schema", "")?;
    let names = names.into_iter().map(|row| row.name);
    Ok(names.filter(|name| crate::tables::tables().any(|table| table == name)).collect())
}

/// Checks that ANALYZE has run on every large table.
pub(super) fn statistics(patient: &mut Patient<'_>) -> Result<Vec<Finding>> {
    let unknown: Vec<String> = patient.read(|conn| {
        let there = sizes(conn)?;
        let known = analyzed(conn)?;
        let large = there.into_iter().filter(|size| size.rows > MANY).map(|size| size.table);
        Ok(large.filter(|table| !known.contains(table)).collect())
    })?;
    if unknown.is_empty() {
        return Ok(Vec::new());
    }
    let what = format!("ANALYZE has never run on {}", unknown.join(", "));
    let why = "without statistics, the query planner may choose slow plans";
    // SQLite's documentation recommends this limit, which samples a part of each index.
    let fix = on_backend!(&patient.conn,
        sqlite => |_c| Fix::Alone("PRAGMA analysis_limit = 1000; ANALYZE".to_owned()),
        postgres => |_c| Fix::Alone(format!("ANALYZE {}", unknown.join(", "))));
    Ok(vec![Finding::info(Check::Statistics, what, why).fixed_by(fix)])
}

/// Returns the tables that have statistics.
fn analyzed(conn: &mut DbConnection) -> Result<Vec<String>> {
    #[derive(QueryableByName)]
    struct Name {
        #[diesel(sql_type = Text)]
        name: String,
    }
    #[cfg(feature = "sqlite")]
    let has_any = crate::db::catalog::has_table(conn, "sqlite_stat1")?;
    let names: Vec<Name> = on_backend!(conn,
        sqlite => |c| match has_any {
            true => diesel::sql_query("SELECT DISTINCT tbl AS name FROM sqlite_stat1").load(c),
            false => Ok(Vec::new()),
        },
        postgres => |c| diesel::sql_query(
            "SELECT relname::text AS name FROM pg_stat_user_tables \
             WHERE (last_analyze IS NOT NULL OR last_autoanalyze IS NOT NULL) AND schemaname = current_schema()",
        )
        .load(c))
    .of("the statistics", "")?;
    Ok(names.into_iter().map(|row| row.name).collect())
}
