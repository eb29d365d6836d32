//! Checks that the file is intact and that rows satisfy the constraints of their tables.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::Patient;
use super::finding::{Check, DAMAGE, Finding, Fix, RESTORE};
use crate::Result;
use crate::db::on_backend;
use crate::error::ResultExt;

/// Maximum number of lines of SQLite's report, or rows, in a finding.
const TOLD: usize = 5;

/// Checks the pages of the database. SQLite reads the whole file. PostgreSQL has no such check, so this looks at its count
/// of pages with a wrong checksum.
#[cfg_attr(not(feature = "sqlite"), allow(unused_variables))] // used for SQLite only
pub(super) fn integrity(patient: &mut Patient<'_>) -> Result<Vec<Finding>> {
    let deep = patient.asked.deep;
    let shapes_follow = deep && patient.asked.wants(Check::Shapes);
    patient.read(|conn| {
        on_backend!(conn,
            sqlite => |c| report_of_sqlite(c, deep, shapes_follow),
            postgres => |c| {
                #[derive(QueryableByName)]
                struct Checksums {
                    #[diesel(sql_type = Text)]
                    on: String,
                    #[diesel(sql_type = BigInt)]
                    failures: i64,
                }
                let found: Checksums = diesel::sql_query(
                    "SELECT pg_catalog.current_setting('data_checksums') AS \"on\", coalesce(checksum_failures, 0) AS failures \
                     FROM pg_stat_database WHERE datname = current_database()",
                )
                .get_result(c)
                .of("pg_stat_database", "")?;
                Ok(of_checksums(&found.on, found.failures))
            }
        )
    })
}

/// Runs SQLite's own integrity check.
#[cfg(feature = "sqlite")]
fn report_of_sqlite(
    conn: &mut diesel::sqlite::SqliteConnection,
    deep: bool,
    shapes_follow: bool,
) -> Result<Vec<Finding>> {
    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = Text)]
        says: String,
    }
    let check = if deep { "integrity_check" } else { "quick_check" };
    let report: Vec<Line> = diesel::sql_query(format!("SELECT {check} AS says FROM pragma_{check}"))
        .load(conn)
        .of("the file", "")?;
    let lines = report.into_iter().map(|line| line.says).filter(|line| line != "ok");
    Ok(of_report(lines, shapes_follow))
}

#[cfg_attr(not(feature = "postgres"), allow(dead_code))] // used for PostgreSQL only
fn of_checksums(on: &str, failures: i64) -> Vec<Finding> {
    if failures > 0 {
        let what =
            format!("{failures} pages of this database had a wrong checksum when PostgreSQL read them");
        return vec![Finding::error(Check::Integrity, what, DAMAGE).mend(RESTORE)];
    }
    if on == "off" {
        let what = "data checksums are off on this server";
        let why = "PostgreSQL does not notice if the disk returns wrong data";
        let mend = "stop the server, then run: pg_checksums --enable -D FOLDER";
        return vec![Finding::info(Check::Integrity, what, why).mend(mend)];
    }
    Vec::new()
}

/// Turns SQLite's report into findings. Rows that violate constraints are reported separately from a damaged file.
#[cfg_attr(not(feature = "sqlite"), allow(dead_code))] // used for SQLite only
fn of_report(lines: impl Iterator<Item = String>, shapes_follow: bool) -> Vec<Finding> {
    let (mut damage, mut indexes, mut shapes) = (Vec::new(), Vec::new(), Vec::new());
    for line in lines {
        let is_of_index =
            |line: &str| line.contains(" missing from index ") || line.contains("entries in index ");
        let is_of_row = |line: &str| {
            line.starts_with("CHECK constraint failed in ")
                || line.starts_with("NULL value in ")
                || (line.starts_with("non-") && line.contains(" value in "))
                || (line.starts_with("NUMERIC value in "))
                || (line.starts_with("TEXT value in "))
        };
        match line.as_str() {
            line if is_of_row(line) => shapes.push(line.to_owned()),
            line if is_of_index(line) => indexes.push(line.to_owned()),
            line => damage.push(crate::quote::one_line(line)),
        }
    }
    let mut found = Vec::new();
    if !damage.is_empty() {
        found.push(
            Finding::error(Check::Integrity, format!("the file is damaged: {}", first(&damage)), DAMAGE)
                .mend(RESTORE),
        );
    }
    if !indexes.is_empty() {
        let what = format!("indexes do not match their tables: {}", first(&indexes));
        let why = "queries that use these indexes return wrong results";
        found.push(Finding::error(Check::Integrity, what, why).fixed_by(Fix::Alone("REINDEX".to_owned())));
    }
    // SQLite reports a violated CHECK constraint once per row, with only the table's name. Skip these lines if the shapes
    // check follows, because it has the details.
    let checks: Vec<String> = shapes.iter().filter(|line| line.starts_with("CHECK ")).cloned().collect();
    shapes.retain(|line| !line.starts_with("CHECK "));
    if !shapes_follow {
        shapes.extend(checks);
    }
    if !shapes.is_empty() {
        let what = format!("rows violate the constraints of their tables: {}", first(&shapes));
        found.push(Finding::error(Check::Shapes, what, ODD_ROWS).mend(NAME_THEM));
    }
    found
}

#[cfg_attr(not(feature = "sqlite"), allow(dead_code))] // used for SQLite only
const ODD_ROWS: &str = "another program bypassed the constraints; reading these rows may fail, and invalid timestamps \
                        sort incorrectly";

#[cfg_attr(not(feature = "sqlite"), allow(dead_code))] // used for SQLite only
const NAME_THEM: &str = "to list the rows: viraldb doctor --deep";

/// Joins the first few lines without duplicates, and adds the total number if there are more.
fn first(lines: &[String]) -> String {
    let mut told: Vec<&str> = Vec::new();
    for line in lines {
        if !told.contains(&line.as_str()) && told.len() < TOLD {
            told.push(line);
        }
    }
    match lines.len() {
        count if count > told.len() => format!("{} ({count} in all)", told.join("; ")),
        _ => told.join("; "),
    }
}

/// Lists the rows that violate CHECK constraints, with one scan of each table. It only runs in a deep examination;
/// otherwise `quick_check` reports that there are such rows.
#[cfg(feature = "sqlite")]
pub(super) fn shapes(patient: &mut Patient<'_>) -> Result<Vec<Finding>> {
    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = Text)]
        says: String,
    }
    #[derive(QueryableByName)]
    struct Broken {
        #[diesel(sql_type = Text)]
        rows: String,
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    if !patient.asked.deep {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let checks = patient.read(super::super::drift::checks)?;
    for (table, checks) in &checks {
        // One statement counts the violations of all checks of a table.
        let sums: Vec<String> = checks.iter().map(|check| format!("total(NOT ({}))", check.says)).collect();
        let sql = format!("SELECT json_array({}) AS says FROM {table}", sums.join(", "));
        let counted: Result<Line> = patient.read(|conn| query(conn, &sql));
        let counts: Vec<f64> = match counted {
            Ok(line) => serde_json::from_str(&line.says).unwrap_or_default(),
            Err(error) => {
                let what = format!("the rows of {table} could not be checked: {error}");
                found.push(Finding::warning(Check::Shapes, what, "some rows may violate constraints"));
                continue;
            }
        };
        for (check, _) in checks.iter().zip(counts).filter(|(_, count)| *count > 0.0) {
            // Look for the rows of violated checks only.
            let sql = format!(
                "SELECT coalesce(group_concat(name, ', ' ORDER BY n) FILTER (WHERE n <= {TOLD}), '') AS rows, count(*) AS count FROM \
                 (SELECT {} AS name, row_number() OVER (ORDER BY {}) AS n FROM {table} WHERE NOT ({}))",
                check.key, check.key, check.says
            );
            let broken: Broken = patient.read(|conn| query(conn, &sql))?;
            let (rows, fit) = if broken.count == 1 { ("row", "violates") } else { ("rows", "violate") };
            let what = format!("{} {rows} of {table} {fit} {}: {}", broken.count, check.name, broken.rows);
            let mend =
                format!("correct or delete these rows: SELECT * FROM {table} WHERE NOT ({})", check.says);
            found.push(Finding::error(Check::Shapes, what, ODD_ROWS).mend(mend));
        }
    }
    Ok(found)
}

#[cfg(feature = "sqlite")]
fn query<T>(conn: &mut crate::DbConnection, sql: &str) -> Result<T>
where
    T: QueryableByName<diesel::sqlite::Sqlite> + 'static,
{
    on_backend!(conn, sqlite => |c| diesel::sql_query(sql).get_result(c), postgres => |_c| Err(diesel::NotFound)).of("the file", "")
}

#[derive(QueryableByName)]
struct Orphans {
    #[diesel(sql_type = Text)]
    table: String,
    #[diesel(sql_type = Text)]
    parent: String,
    #[diesel(sql_type = Text)]
    columns: String,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Checks for rows whose foreign key refers to a missing row.
///
/// On SQLite this always runs and uses the indexes. PostgreSQL enforces foreign keys itself, except while triggers are
/// disabled, so there it runs only in a deep examination.
#[cfg_attr(not(feature = "postgres"), allow(unused_variables))] // used for PostgreSQL only
pub(super) fn foreign_keys(patient: &mut Patient<'_>) -> Result<Vec<Finding>> {
    let deep = patient.asked.deep;
    let found: Vec<Orphans> = patient.read(|conn| {
        on_backend!(conn,
            sqlite => |c| diesel::sql_query(
                "SELECT v.\"table\", v.parent, (SELECT group_concat(k.\"from\", ', ') FROM pragma_foreign_key_list(v.\"table\") AS k \
                 WHERE k.id = v.fkid) AS columns, count(*) AS count FROM pragma_foreign_key_check AS v \
                 GROUP BY v.\"table\", v.parent, v.fkid",
            )
            .load(c),
            postgres => |c| if deep { orphans(c) } else { Ok(Vec::new()) }
        )
        .of("the foreign keys", "")
    })?;
    Ok(found
        .into_iter()
        .map(|Orphans { table, parent, columns, count }| {
            let (rows, refer) = if count == 1 { ("row", "refers") } else { ("rows", "refer") };
            let what = format!("{count} {rows} of {table} {refer} through {columns} to a missing row of {parent}");
            let why = "joins with the missing rows lose these rows, and the next migration that rebuilds a table will fail";
            let mend = format!(
                "restore the missing rows, or delete these: SELECT * FROM {table} WHERE {columns} NOT IN (SELECT id FROM {parent})"
            );
            Finding::error(Check::ForeignKeys, what, why).mend(mend)
        })
        .collect())
}

/// Counts the orphaned rows of every single-column foreign key. All of viraldb's foreign keys have one column.
#[cfg(feature = "postgres")]
fn orphans(conn: &mut diesel::pg::PgConnection) -> QueryResult<Vec<Orphans>> {
    let keys: Vec<Orphans> = diesel::sql_query(format!(
        "SELECT k.conrelid::regclass::text AS \"table\", k.confrelid::regclass::text AS parent, \
             pg_catalog.quote_ident(a.attname) || ',' || pg_catalog.quote_ident(b.attname) AS columns, 0::bigint AS count \
         FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.conrelid AND k.conkey OPERATOR(pg_catalog.=) ARRAY[a.attnum] \
             JOIN pg_attribute b ON b.attrelid = k.confrelid AND k.confkey OPERATOR(pg_catalog.=) ARRAY[b.attnum] \
         WHERE k.contype = 'f' AND k.connamespace = {}",
        crate::db::postgres::HERE
    ))
    .load(conn)?;
    let counts = keys.iter().filter_map(|Orphans { table, parent, columns, .. }| {
        let (from, to) = columns.split_once(',')?;
        let [shown_table, shown_parent, shown_from] = [table, parent, from].map(|name| name.replace('\'', "''"));
        Some(format!(
            "SELECT '{shown_table}' AS \"table\", '{shown_parent}' AS parent, '{shown_from}' AS columns, count(*) AS count FROM {table} AS child \
             WHERE child.{from} IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {parent} AS parent WHERE parent.{to} = child.{from})"
        ))
    });
    let counts: Vec<String> = counts.collect();
    if counts.is_empty() {
        return Ok(Vec::new());
    }
    diesel::sql_query(format!("SELECT * FROM ({}) AS found WHERE count > 0", counts.join(" UNION ALL ")))
        .load(conn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_of_sqlite_is_split_into_findings() {
        let report = |lines: &[&str], deep| of_report(lines.iter().map(|line| (*line).to_owned()), deep);
        let found = report(
            &[
                "CHECK constraint failed in videos",
                "CHECK constraint failed in videos",
                "NULL value in clips.id",
                "row 3 missing from index idx_clips_pipeline",
                "*** in database main ***\nTree 5 page 5: btreeInitPage() returns error code 11",
            ],
            false,
        );
        let what: Vec<&str> = found.iter().map(|finding| finding.what.as_str()).collect();
        assert_eq!(
            what,
            [
                "the file is damaged: *** in database main *** Tree 5 page 5: btreeInitPage() returns error code 11",
                "indexes do not match their tables: row 3 missing from index idx_clips_pipeline",
                "rows violate the constraints of their tables: NULL value in clips.id; CHECK constraint failed in videos (3 in all)",
            ]
        );
        assert_eq!(report(&["CHECK constraint failed in videos"], true), []);
        assert_eq!(report(&[], false), []);
    }

    #[test]
    fn wrong_and_disabled_checksums_are_reported() {
        assert_eq!(of_checksums("on", 0), []);
        assert!(of_checksums("off", 0)[0].mend.as_ref().is_some_and(|mend| mend.contains("pg_checksums")));
        assert_eq!(of_checksums("on", 2)[0].severity, crate::ops::Severity::Error);
    }
}
