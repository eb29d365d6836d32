//! Checks that the schema is the one that this version of viraldb expects.

use super::super::{Difference, Object};
use super::Patient;
use super::finding::{Check, Finding, Fix};
use super::fix::on_engine;
use crate::db::catalog::has_table;
use crate::db::migrate::{self, Entry, History, State};
use crate::db::unfinished::{self, Takeover};
use crate::error::SERVER_IS_READ_ONLY;
use crate::quote::counted;
use crate::{Error, Result};

pub(super) fn history(patient: &mut Patient<'_>) -> Result<Vec<Finding>> {
    let (history, has_books, taken) = patient.read(|conn| {
        let history = History::read(conn)?;
        let taken = migrate::room::names_taken(conn, &history)?;
        Ok((history, has_table(conn, "viraldb_migrations")?, taken))
    })?;
    if let Some(taken) = taken {
        let what = format!("{} {taken}", patient.opener.url);
        return Ok(vec![Finding::error(Check::History, what, "viraldb cannot create its tables there")]);
    }
    if !history.is_initialised() {
        let what = format!("{} does not contain a viraldb database", patient.opener.url);
        let why = "viraldb cannot store anything in it yet";
        return Ok(vec![
            Finding::error(Check::History, what, why)
                .mend("viraldb init    or choose another database with --database-url URL"),
        ]);
    }
    let mut found: Vec<Finding> = history.entries.iter().filter_map(of_entry).collect();
    if !history.foreign.is_empty() {
        let what =
            format!("migrations of another program are in Diesel's table: {}", history.foreign.join(", "));
        let why = "viraldb ignores them, but `revert_last_migration` in either program may revert a migration of the other";
        found.push(Finding::info(Check::History, what, why));
    }
    if !has_books {
        let what = "the table viraldb_migrations is missing";
        let why = "viraldb cannot verify that the applied migrations match those of this program";
        let first = history.entries.first().map_or("", |entry| entry.name.as_str());
        let mend = format!(
            "create it with the SQL of `viraldb migrate sql {first}`, then fill it with `viraldb migrate run`"
        );
        found.push(Finding::error(Check::History, what, why).mend(mend));
    }
    Ok(found)
}

/// Checks for an unfinished transfer or takeover: the database looks complete but lacks rows.
pub(super) fn transfer(patient: &mut Patient<'_>) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    if let Some(copied) = patient.read(unfinished::copied)? {
        let copied = counted(copied, "row");
        let what = format!("a transfer into the database has not ended; it has copied {copied} so far");
        let why = "the other rows are missing, and rows that are inserted meanwhile may use their ids";
        let mend = unfinished::mend(&patient.opener.url);
        found.push(Finding::error(Check::Transfer, what, why).mend(mend));
    }
    for Takeover { application, source, .. } in patient.read(unfinished::takeovers)? {
        let what = format!("a takeover of {application} has not ended");
        let mend = format!(
            "unless it is still running, run it again: viraldb takeover {source} --to {}",
            patient.opener.url
        );
        found.push(Finding::warning(Check::Transfer, what, "some of its rows are missing").mend(mend));
    }
    Ok(found)
}

fn of_entry(entry: &Entry) -> Option<Finding> {
    let Entry { name, version, state, .. } = entry;
    let old_ways = "the schema may differ from what this program expects";
    let check = Check::History;
    Some(match state {
        State::Applied => return None,
        State::Pending => {
            let why = "this program only works with the newest schema version";
            Finding::warning(check, format!("migration {name} is pending"), why).mend("viraldb migrate run")
        }
        State::Modified => {
            Finding::error(check, format!("migration {name} was changed after it was applied"), old_ways)
                .mend("use the viraldb version that created the database; never edit an applied migration")
        }
        State::Missing => Finding::error(
            check,
            format!("migration {version} is applied, but this program does not have it"),
            old_ways,
        )
        .mend("use the viraldb version that created the database"),
        State::OutOfOrder => {
            Finding::error(check, format!("migration {name} is not applied, but later ones are"), old_ways)
                .mend("use the viraldb version that created the database, or restore a backup")
        }
        State::Newer => {
            let why = "a newer viraldb applied it, and this version does not understand the schema";
            Finding::error(check, format!("migration {version} is newer than this program"), why)
                .mend("use the viraldb version that applied it, or a newer one")
        }
    })
}

pub(super) fn drift(patient: &mut Patient<'_>) -> Result<Vec<Finding>> {
    let differences = match super::super::drift::differences(&mut patient.conn) {
        Err(Error::Unusable { reason, .. }) if reason == SERVER_IS_READ_ONLY => {
            let what = "the schema cannot be compared on a read-only server";
            let why = "the check runs the migrations in a scratch schema, which is rolled back afterward";
            let mend = "run it on the primary: viraldb doctor --database-url URL";
            return Ok(vec![Finding::info(Check::Drift, what, why).mend(mend)]);
        }
        differences => differences.map_err(|error| patient.opener.explained(error))?,
    };
    let migrations = migrate::embedded(patient.url)?;
    let found = differences
        .into_iter()
        // The history check reports the missing table.
        .filter(|difference| difference.what != "table viraldb_migrations is missing")
        .map(|difference| {
            let table = difference.table.clone();
            let source =
                migrations.iter().find(|migration| migration.up.contains(&format!("CREATE TABLE {table} (")));
            of_difference(patient, difference, source.map_or("--all", |migration| migration.version()))
        });
    Ok(found.collect())
}

fn of_difference(patient: &Patient<'_>, difference: Difference, source: &str) -> Finding {
    let Difference { severity, table, object, name, what, made } = difference;
    let is_missing = made.is_some() && what.contains(" is missing");
    let is_invalid = object == Object::Index && what.contains(", not valid");
    let why = match object {
        Object::Index if is_invalid => {
            "a CREATE INDEX CONCURRENTLY did not finish: no query uses the index, it does not enforce uniqueness, and it slows \
             down writes"
        }
        Object::Index if is_missing => "queries that need it scan whole tables",
        Object::Index => "it slows down writes, and queries of viraldb do not need it",
        Object::Column if what.ends_with("is not part of viraldb's schema") => {
            "a later migration may need the name, and a transfer does not copy the column"
        }
        _ => {
            "the schema differs from what this program expects: inserts may fail, or invalid rows may be accepted"
        }
    };
    let finding = Finding::warning(Check::Drift, what.clone(), why).with_severity(severity);
    match made {
        Some(sql) if is_missing => finding.fixed_by(match object {
            // CREATE INDEX CONCURRENTLY leaves an invalid index if it fails, for example on duplicate values.
            Object::Index => {
                let back = format!("DROP INDEX IF EXISTS {name}");
                on_engine(&patient.conn, Fix::Together(sql.clone()), Fix::OrElse(sql, back))
            }
            _ => Fix::Together(sql),
        }),
        _ if is_invalid && what.contains(", not valid, expected ") => {
            // REINDEX CONCURRENTLY builds an index with this name first, and leaves it if it fails.
            let back = format!("DROP INDEX IF EXISTS {name}_ccnew");
            finding.fixed_by(Fix::OrElse(format!("REINDEX INDEX CONCURRENTLY {name}"), back))
        }
        _ if is_invalid && what.ends_with(", not valid") => finding.mend(format!("DROP INDEX {name}")),
        _ if what.ends_with("is not part of viraldb's schema") => finding.mend(match object {
            Object::Column => format!("if nothing uses it: ALTER TABLE {table} DROP COLUMN {name}"),
            Object::Index => format!("if nothing uses it: DROP INDEX {name}"),
            Object::Trigger => format!("if nothing needs it, drop the trigger {name}"),
            _ => format!("if nothing needs it, remove the {object} {name} from {table}"),
        }),
        _ => finding
            .mend(format!("correct it by hand to match `viraldb migrate sql {source}`, or restore a backup")),
    }
}
