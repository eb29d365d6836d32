//! Checks that the sequences for new ids are past the highest existing ids.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::Patient;
use super::finding::{Check, Finding, Fix, Severity};
use super::fix::on_engine;
use crate::db::on_backend;
use crate::error::ResultExt;
use crate::{DbConnection, Result};

#[derive(QueryableByName)]
struct Numbered {
    #[diesel(sql_type = Text)]
    table: String,
    #[diesel(sql_type = Text)]
    column: String,
    /// The column's sequence, on PostgreSQL only.
    #[diesel(sql_type = Text)]
    sequence: String,
}

#[derive(QueryableByName)]
struct Numbers {
    #[diesel(sql_type = BigInt)]
    at: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    highest: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    last: Option<i64>,
}

pub(super) fn sequences(patient: &mut Patient<'_>) -> Result<Vec<Finding>> {
    let (numbered, numbers) = patient.read(|conn| {
        let numbered = numbered(conn)?;
        let numbers = numbers(conn, &numbered)?;
        Ok((numbered, numbers))
    })?;
    let behind = numbers.into_iter().filter_map(|Numbers { at, highest, last }| {
        let there = numbered.get(usize::try_from(at).ok()?)?;
        let highest = highest.filter(|highest| *highest > last.unwrap_or_default())?;
        Some(of_behind(&patient.conn, there, highest, last))
    });
    Ok(behind.collect())
}

fn of_behind(conn: &DbConnection, there: &Numbered, highest: i64, last: Option<i64>) -> Finding {
    let Numbered { table, column, sequence } = there;
    let given = last.map_or("is unused".to_owned(), |last| format!("is at {last}"));
    let what =
        format!("the sequence of {table}.{column} {given}, but the highest existing value is {highest}");
    let in_quotes = sequence.replace('\'', "''");
    let severity = on_backend!(conn, sqlite => |_c| Severity::Warning, postgres => |_c| Severity::Error);
    let why = match severity {
        Severity::Error => "the next insert fails, because its id exists already",
        _ => "an id may be used a second time after the row with the highest id is deleted",
    };
    let fix = on_engine(
        conn,
        Fix::Together(format!(
            "DELETE FROM sqlite_sequence WHERE name = '{table}' AND seq < {highest}; INSERT INTO sqlite_sequence (name, seq) \
             SELECT '{table}', max({column}) FROM {table} WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = '{table}')"
        )),
        Fix::Together(format!(
            "SELECT pg_catalog.setval('{in_quotes}', greatest((SELECT max({column}) FROM {table}), \
             pg_catalog.pg_sequence_last_value('{in_quotes}'::regclass)))"
        )),
    );
    Finding::warning(Check::Sequences, what, why).with_severity(severity).fixed_by(fix)
}

/// Returns our tables with ids that the database generates.
fn numbered(conn: &mut DbConnection) -> Result<Vec<Numbered>> {
    let found: QueryResult<Vec<Numbered>> = on_backend!(conn,
        sqlite => |c| diesel::sql_query(
            "SELECT t.name AS \"table\", x.name AS \"column\", '' AS sequence FROM sqlite_master AS t, pragma_table_info(t.name) AS x \
             WHERE t.type = 'table' AND t.sql LIKE '%AUTOINCREMENT%' AND x.pk = 1",
        )
        .load(c),
        postgres => |c| diesel::sql_query(format!(
            "SELECT r.relname::text AS \"table\", a.attname::text AS \"column\", \
                 pg_catalog.pg_get_serial_sequence(pg_catalog.quote_ident(r.relname), a.attname) AS sequence \
             FROM pg_class r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attidentity <> '' AND NOT a.attisdropped \
             WHERE r.relkind IN ('r', 'p') AND r.relnamespace = {} \
                 AND pg_catalog.pg_get_serial_sequence(pg_catalog.quote_ident(r.relname), a.attname) IS NOT NULL",
            crate::db::postgres::HERE
        ))
        .load(c));
    let ours: Vec<&str> = crate::tables::tables().chain(["viraldb_config_changes"]).collect();
    let mut found = found.of("the schema", "")?;
    found.retain(|there| ours.contains(&there.table.as_str()));
    Ok(found)
}

/// Reads the highest existing id and the last generated id of all tables in one statement. An index makes finding the
/// highest id cheap.
fn numbers(conn: &mut DbConnection, numbered: &[Numbered]) -> Result<Vec<Numbers>> {
    let of_table = |(at, there): (usize, &Numbered)| {
        let Numbered { table, column, .. } = there;
        let last = on_backend!(&*conn,
            sqlite => |_c| format!("(SELECT seq FROM sqlite_sequence WHERE name = '{table}')"),
            postgres => |_c| format!("pg_catalog.pg_sequence_last_value('{}'::regclass)", there.sequence.replace('\'', "''")));
        let at = if at == 0 { "CAST(0 AS bigint)".to_owned() } else { at.to_string() };
        format!("SELECT {at} AS at, (SELECT max({column}) FROM {table}) AS highest, {last} AS last")
    };
    let parts: Vec<String> = numbered.iter().enumerate().map(of_table).collect();
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    on_backend!(conn, |c| diesel::sql_query(parts.join(" UNION ALL ")).load(c)).of("the sequences", "")
}
