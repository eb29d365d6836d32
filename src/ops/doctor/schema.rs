//! Whether the schema is the one that this program knows.

use super::super::{Difference, Object};
use super::Patient;
use super::finding::{Check, Finding, Fix};
use super::fix::on_engine;
use crate::db::catalog::has_table;
use crate::db::migrate::{self, Entry, History, State};
use crate::db::unfinished::{self, Takeover};
use crate::error::SERVER_IS_READ_ONLY;
use crate::{Error, Result};

pub(super) fn history(patient: &mut Patient<'_>) -> Result<Vec<Finding>> {
    let (history, has_books, taken) = patient.read(|conn| {
        let history = History::read(conn)?;
        let taken = migrate::room::names_taken(conn, &history)?;
        Ok((history, has_table(conn, "viraldb_migrations")?, taken))
    })?;
    if let Some(taken) = taken {
        let what = format!("{} {taken}", patient.opener.url);
        return Ok(vec![Finding::error(Check::History, what, "viraldb cannot make its tables there")]);
    }
    if !history.is_initialised() {
        let what = format!("{} holds no viraldb database", patient.opener.url);
        let why = "nothing can be kept in it yet";
        return Ok(vec![
            Finding::error(Check::History, what, why)
                .mend("viraldb init, or name another: --database-url URL"),
        ]);
    }
    let mut found: Vec<Finding> = history.entries.iter().filter_map(of_entry).collect();
    if !history.foreign.is_empty() {
        let what =
            format!("migrations of another program are in Diesel's table: {}", history.foreign.join(", "));
        let why = "viraldb leaves them alone, and `revert_last_migration` of either program may meet one of the other's";
        found.push(Finding::info(Check::History, what, why));
    }
    if !has_books {
        let what = "the table viraldb_migrations is missing";
        let why = "nobody can tell any more whether the migrations that made the database are those of this program";
        let first = history.entries.first().map_or("", |entry| entry.name.as_str());
        let mend = format!(
            "make it as `viraldb migrate sql {first}` says, then viraldb migrate run, which fills it"
        );
        found.push(Finding::error(Check::History, what, why).mend(mend));
    }
    Ok(found)
}

/// A transfer or takeover that was interrupted leaves a database that looks complete but lacks rows.
pub(super) fn transfer(patient: &mut Patient<'_>) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    if let Some(copied) = patient.read(unfinished::copied)? {
        let what = format!("a transfer into the database has not ended, {copied} rows so far");
        let why = "the other rows are missing, and what is written meanwhile may take their ids";
        let mend = unfinished::mend(&patient.opener.url);
        found.push(Finding::error(Check::Transfer, what, why).mend(mend));
    }
    for Takeover { application, source, .. } in patient.read(unfinished::takeovers)? {
        let what = format!("a takeover of {application} has not ended");
        let mend = format!(
            "if it is not running, run it again: viraldb takeover {source} --to {}",
            patient.opener.url
        );
        found.push(Finding::warning(Check::Transfer, what, "some of its rows are missing").mend(mend));
    }
    Ok(found)
}

fn of_entry(entry: &Entry) -> Option<Finding> {
    let Entry { name, version, state, .. } = entry;
    let old_ways = "what this program expects of the schema may not be so";
    let check = Check::History;
    Some(match state {
        State::Applied => return None,
        State::Pending => {
            let why = "this program works on the newest schema only, and refuses this one";
            Finding::warning(check, format!("migration {name} is pending"), why).mend("viraldb migrate run")
        }
        State::Modified => {
            Finding::error(check, format!("migration {name} was changed after it was applied"), old_ways)
                .mend("use the viraldb that made the database; never edit an applied migration")
        }
        State::Missing => Finding::error(
            check,
            format!("migration {version} is applied, and this program does not have it"),
            old_ways,
        )
        .mend("use the viraldb that made the database"),
        State::OutOfOrder => {
            Finding::error(check, format!("migration {name} is not applied, but later ones are"), old_ways)
                .mend("use the viraldb that made the database, or restore a backup")
        }
        State::Newer => {
            let why = "a newer program made it, and this one would not understand what it finds";
            Finding::error(check, format!("migration {version} is newer than this program"), why)
                .mend("use the viraldb that made the database, or a newer one")
        }
    })
}

pub(super) fn drift(patient: &mut Patient<'_>) -> Result<Vec<Finding>> {
    let differences = match super::super::drift::differences(&mut patient.conn) {
        Err(Error::Unusable { reason, .. }) if reason == SERVER_IS_READ_ONLY => {
            let what = "the schema cannot be compared on a server that takes no writes";
            let why = "the migrations run a second time, in a schema that is taken back at once";
            let mend = "viraldb doctor --database-url with the URL of the primary";
            return Ok(vec![Finding::info(Check::Drift, what, why).mend(mend)]);
        }
        differences => differences.map_err(|error| patient.opener.explained(error))?,
    };
    let migrations = migrate::embedded(patient.url)?;
    let found = differences
        .into_iter()
        // That it is missing is for the history to say.
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
            "a CREATE INDEX CONCURRENTLY did not end: no query goes through it, a unique one keeps nothing out, and each write \
             keeps it up to date"
        }
        Object::Index if is_missing => "queries that went through it read whole tables now",
        Object::Index => "each write keeps it up to date, for nothing that viraldb asks",
        Object::Column if what.ends_with("is not ours") => {
            "a later migration may want the name, and a transfer leaves it behind"
        }
        _ => "what this program expects of the schema is not so: rows may be refused, or wrong ones let in",
    };
    let finding = Finding::warning(Check::Drift, what.clone(), why).with_severity(severity);
    match made {
        Some(sql) if is_missing => finding.fixed_by(match object {
            // It may fail on rows that are not unique, and leaves an index behind that is not valid.
            Object::Index => {
                let back = format!("DROP INDEX IF EXISTS {name}");
                on_engine(&patient.conn, Fix::Together(sql.clone()), Fix::OrElse(sql, back))
            }
            _ => Fix::Together(sql),
        }),
        _ if is_invalid && what.contains(", not valid, and should be") => {
            // What it builds first has this name, and stays if it fails.
            let back = format!("DROP INDEX IF EXISTS {name}_ccnew");
            finding.fixed_by(Fix::OrElse(format!("REINDEX INDEX CONCURRENTLY {name}"), back))
        }
        _ if is_invalid && what.ends_with(", not valid") => finding.mend(format!("DROP INDEX {name}")),
        _ if what.ends_with("is not ours") => finding.mend(match object {
            Object::Column => format!("if nothing uses it: ALTER TABLE {table} DROP COLUMN {name}"),
            Object::Index => format!("if nothing uses it: DROP INDEX {name}"),
            Object::Trigger => format!("if nothing needs it, drop the trigger {name}"),
            _ => format!("if nothing needs it, take the {object} {name} off {table}"),
        }),
        _ => finding.mend(format!(
            "put it back by hand as `viraldb migrate sql {source}` has it, or restore a backup"
        )),
    }
}
