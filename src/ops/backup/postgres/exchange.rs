//! Replaces one schema of a shared database with a restored one.
//!
//! The backup is first restored and checked in a scratch database. Then the schema is copied into the shared database
//! under another name. Finally one transaction swaps the names, so other programs see no change until it commits.

use std::path::Path;
use std::time::Duration;

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, Text};

use super::programs::{Running, program};
use super::scope::{PUBLIC, Scope, schemas};
use super::{Scratch, Value, short};
use crate::db::identifier::quoted;
use crate::db::migrate::Namespace;
use crate::db::postgres;
use crate::db::url::conninfo::database_name;
use crate::error::ResultExt;
use crate::types::Timestamp;
use crate::{Error, Result};

/// Replaces the schema that the URL leads to with the one in a scratch database.
///
/// Returns the name under which the old schema is kept, if there was one.
pub(super) fn exchange(
    url: &str,
    scratch: &Scratch,
    scope: &Scope,
    dump: &Path,
    pg_bin: Option<&Path>,
    no_owner: bool,
) -> Result<Option<String>> {
    let place = &scope.place;
    let stem = short(&place.tables).to_lowercase();
    let stamp = super::stamp(Timestamp::now()).to_lowercase().replace('.', "_");
    let coming = Namespace::of(&format!("{stem}_restoring_{stamp}"));
    let kept = Namespace::of(&format!("{stem}_replaced_{stamp}"));
    let mut conn = postgres::establish(url)?;
    remove_left(&mut conn, &stem)?;
    require_movable(&mut conn, place)?;
    copy(url, scratch, place, &coming, dump, pg_bin, no_owner)?;
    let done = analyze(&mut conn, &coming).and_then(|()| swap(&mut conn, place, &coming, &kept));
    if done.is_err() {
        let drop = [&coming.views, &coming.tables]
            .map(|name| format!("DROP SCHEMA IF EXISTS {} CASCADE;", quoted(name)));
        if let Err(error) = conn.batch_execute(&drop.concat()) {
            tracing::warn!("cannot drop the schema {}: {error}", coming.tables);
        }
    }
    done.map(|is_kept| is_kept.then_some(kept.tables))
}

/// Copies the schemas of a scratch database into the target database under the names in `coming`.
fn copy(
    url: &str,
    scratch: &Scratch,
    place: &Namespace,
    coming: &Namespace,
    dump: &Path,
    pg_bin: Option<&Path>,
    no_owner: bool,
) -> Result<()> {
    let mut conn = postgres::establish(&scratch.url)?;
    let there = schemas(&mut conn)?;
    for (from, to) in [(&place.tables, &coming.tables), (&place.views, &coming.views)] {
        if there.contains(from) {
            conn.batch_execute(&rename(from, to)).of("the schema", from)?;
        }
    }
    drop(conn);
    let only = [&coming.tables, &coming.views].map(|name| format!("--schema={}", quoted(name)));
    let mut dumped = program("pg_dump", &scratch.url, pg_bin)?;
    dumped.args(["--format=custom", "--compress=0", "--no-password"]).args(only).arg("--file").arg(dump);
    Running::start("pg_dump", &mut dumped)?.end()?;
    let mut restored = program("pg_restore", url, pg_bin)?;
    restored.args([
        "--exit-on-error",
        "--single-transaction",
        "--no-password",
        "--dbname",
        &database_name(url),
    ]);
    if no_owner {
        restored.args(["--no-owner", "--no-privileges"]);
    }
    Running::start("pg_restore", restored.arg(dump))?.end()
}

/// Drops schemas that a killed restore left. Only one restore of a database runs at a time, so none of them is in use.
fn remove_left(conn: &mut PgConnection, stem: &str) -> Result<()> {
    let left = diesel::sql_query(
        "SELECT pg_catalog.format('DROP SCHEMA %I CASCADE', nspname) AS value FROM pg_catalog.pg_namespace \
         WHERE nspname::pg_catalog.text ~ $1 ORDER BY nspname DESC",
    )
    .bind::<Text, _>(format!("^(viralforge_)?{stem}_restoring_[0-9]{{8}}t[0-9]{{6}}_[0-9]{{3}}z$"))
    .load::<Value>(conn)
    .of("pg_namespace", "")?;
    left.into_iter().try_for_each(|drop| conn.batch_execute(&drop.value).of("pg_namespace", ""))
}

/// Rejects a schema with an extension, or one that foreign keys or views of other schemas refer to.
///
/// The schema is renamed, and these references would follow the old tables to the new name.
fn require_movable(conn: &mut PgConnection, place: &Namespace) -> Result<()> {
    let dependent = diesel::sql_query(
        "SELECT pg_catalog.format('the extension %I is in it', extname) AS value FROM pg_catalog.pg_extension \
             JOIN pg_catalog.pg_namespace ON pg_namespace.oid = extnamespace WHERE nspname::pg_catalog.text = ANY ($1) \
         UNION ALL SELECT pg_catalog.format('%s.%I refers to it', theirs.nspname, conname) FROM pg_catalog.pg_constraint \
             JOIN pg_catalog.pg_class AS parent ON parent.oid = confrelid \
             JOIN pg_catalog.pg_namespace AS ours ON ours.oid = parent.relnamespace \
             JOIN pg_catalog.pg_namespace AS theirs ON theirs.oid = connamespace \
             WHERE ours.nspname::pg_catalog.text = ANY ($1) AND theirs.nspname::pg_catalog.text <> ALL ($1) \
         UNION ALL SELECT DISTINCT pg_catalog.format('the view %s.%I reads it', theirs.nspname, view.relname) \
             FROM pg_catalog.pg_depend JOIN pg_catalog.pg_class AS read ON read.oid = refobjid \
             JOIN pg_catalog.pg_namespace AS ours ON ours.oid = read.relnamespace \
             JOIN pg_catalog.pg_rewrite AS rule ON rule.oid = objid \
             JOIN pg_catalog.pg_class AS view ON view.oid = rule.ev_class \
             JOIN pg_catalog.pg_namespace AS theirs ON theirs.oid = view.relnamespace \
             WHERE refclassid = 1259::pg_catalog.oid AND classid = 2618::pg_catalog.oid \
                 AND ours.nspname::pg_catalog.text = ANY ($1) AND theirs.nspname::pg_catalog.text <> ALL ($1)",
    )
    .bind::<Array<Text>, _>(vec![&place.tables, &place.views])
    .load::<Value>(conn)
    .of("the schema", &place.tables)?;
    if dependent.is_empty() {
        return Ok(());
    }
    let dependent: Vec<String> = dependent.into_iter().map(|found| found.value).take(5).collect();
    Err(Error::Unusable {
        database: String::new(),
        reason: format!(
            "cannot replace only the schema {}: {}; restore into a separate database, and copy it with `viraldb transfer \
             --replace`",
            place.tables,
            dependent.join(", ")
        ),
    })
}

/// Updates the planner statistics before the tables are used.
fn analyze(conn: &mut PgConnection, coming: &Namespace) -> Result<()> {
    let tables = tables_of(conn, "ANALYZE %I.%I", &coming.tables)?;
    tables.into_iter().try_for_each(|analyze| conn.batch_execute(&analyze).of("the schema", ""))
}

/// Formats a text for each table of a schema. `form` is a format for PostgreSQL's `format(form, schema, table)`.
fn tables_of(conn: &mut PgConnection, form: &str, schema: &str) -> Result<Vec<String>> {
    let tables = diesel::sql_query(
        "SELECT pg_catalog.format($1, nspname, relname) AS value FROM pg_catalog.pg_class \
         JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace \
         WHERE relkind IN ('r', 'p') AND nspname::pg_catalog.text = $2 ORDER BY relname",
    )
    .bind::<Text, _>(form)
    .bind::<Text, _>(schema)
    .load::<Value>(conn)
    .of("pg_class", "")?;
    Ok(tables.into_iter().map(|table| table.value).collect())
}

/// Swaps the names in one transaction, and returns true if there was an old schema.
///
/// The old tables are locked meanwhile. Otherwise other programs could write rows that end up in the kept schema only.
fn swap(conn: &mut PgConnection, place: &Namespace, coming: &Namespace, kept: &Namespace) -> Result<bool> {
    AnsiTransactionManager::begin_transaction_sql(conn, postgres::BEGIN_MIGRATION).of("the schema", "")?;
    let done = renamed(conn, place, coming, kept);
    let end = match &done {
        Ok(_) => AnsiTransactionManager::commit_transaction(conn),
        Err(_) => AnsiTransactionManager::rollback_transaction(conn),
    };
    let is_kept = done?; // the first error is the one to report
    end.of("the schema", &place.tables)?;
    Ok(is_kept)
}

fn renamed(conn: &mut PgConnection, place: &Namespace, coming: &Namespace, kept: &Namespace) -> Result<bool> {
    let wait = crate::db::default_busy_timeout().max(Duration::from_secs(1)).as_millis();
    conn.batch_execute(&format!("SET LOCAL lock_timeout = {wait}")).of("the schema", "")?;
    postgres::lock_migrations(conn, Some(&place.tables)).of("the schema", &place.tables)?;
    let tables = tables_of(conn, "%I.%I", &place.tables)?;
    if !tables.is_empty() {
        conn.batch_execute(&format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", tables.join(", "))).map_err(|error| {
            match Error::from(error) {
                Error::Busy { .. } => Error::Busy {
                    database: String::new(),
                    reason: format!(
                        "another program is using tables of the schema {}; stop it first, or wait longer with --wait",
                        place.tables
                    ),
                },
                other => other,
            }
        })?;
    }
    let there = schemas(conn)?;
    let mut sql =
        if place.tables == PUBLIC { rights(conn, &place.tables, &coming.tables)? } else { String::new() };
    for (old, kept, new) in
        [(&place.tables, &kept.tables, &coming.tables), (&place.views, &kept.views, &coming.views)]
    {
        if there.contains(old) {
            sql.push_str(&rename(old, kept));
        }
        if there.contains(new) {
            sql.push_str(&rename(new, old));
        }
    }
    conn.batch_execute(&sql).of("the schema", &place.tables)?;
    Ok(there.contains(&place.tables))
}

/// Returns statements that copy the privileges on one schema to another.
///
/// This is needed for `public`: `pg_dump` leaves out the privileges that it has in every new database.
fn rights(conn: &mut PgConnection, from: &str, to: &str) -> Result<String> {
    let grants = diesel::sql_query(
        "SELECT pg_catalog.format('GRANT %s ON SCHEMA %I TO %s;', privilege_type, $2, CASE grantee WHEN 0 THEN 'PUBLIC' \
             ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(grantee)) END) AS value \
         FROM pg_catalog.pg_namespace, pg_catalog.aclexplode(nspacl) WHERE nspname::pg_catalog.text = $1",
    )
    .bind::<Text, _>(from)
    .bind::<Text, _>(to)
    .load::<Value>(conn)
    .of("the schema", from)?;
    Ok(grants.into_iter().map(|grant| grant.value).collect())
}

fn rename(from: &str, to: &str) -> String {
    format!("ALTER SCHEMA {} RENAME TO {};", quoted(from), quoted(to))
}
