//! Reads the schema of a PostgreSQL database from its catalog.

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::Object;
use super::schema::{Column, ColumnRow, PartRow, Schema};
use crate::db::migrate::{Migration, Namespace};
use crate::db::postgres::{current_schema, undone};
use crate::error::{Error, Result, ResultExt};
use crate::quote::one_line;

/// Returns the schema that the migrations create and the actual schema, as `(ours, live)`. Both are read in one
/// transaction, which is rolled back together with the scratch schema for `ours`.
pub(super) fn both(conn: &mut PgConnection, migrations: &[&'static Migration]) -> Result<(Schema, Schema)> {
    undone(conn, |conn| {
        let wait = crate::db::default_busy_timeout().as_millis();
        // With quote_all_identifiers on, the server would quote every name, and the two schemas would differ.
        let settings = format!("SET LOCAL lock_timeout = {wait}; SET LOCAL quote_all_identifiers = off");
        conn.batch_execute(&settings).of("the schema", "")?;
        let home = Namespace::of(current_schema(conn)?.as_deref().unwrap_or("public"));
        let live = read(conn, &home, &home.views)?;
        // The name has only lowercase letters, digits and underscores, so that it needs no quotes.
        let scratch = home.moved_to(&format!("viraldb_drift_{}", uuid::Uuid::now_v7().simple()));
        conn.batch_execute(&format!("CREATE SCHEMA {}", scratch.tables)).map_err(may_not)?;
        look_in(conn, &scratch.tables)?;
        for migration in migrations {
            let up = scratch.adapted(migration.up);
            conn.batch_execute(&up).of("the migrations in a schema of their own", migration.name)?;
        }
        let mut ours = read(conn, &scratch, &home.views)?;
        ours.at_home(&home.tables);
        Ok((ours, live))
    })
}

fn may_not(error: diesel::result::Error) -> Error {
    let error = Error::from(error);
    if matches!(&error, Error::Unusable { .. }) {
        return error; // the server is read-only
    }
    let reason =
        "viraldb runs the migrations in a scratch schema that is rolled back, and could not create it";
    Error::invalid("the schema", format!("cannot be compared: {reason}: {error}"))
}

fn look_in(conn: &mut PgConnection, schema: &str) -> Result<()> {
    diesel::sql_query("SELECT pg_catalog.set_config('search_path', pg_catalog.quote_ident($1), true)")
        .bind::<Text, _>(schema)
        .execute(conn)
        .of("the schema", "")
        .map(drop)
}

/// Reads the tables and views of a namespace. Table names have no schema; views are shown in the schema `shown`.
fn read(conn: &mut PgConnection, place: &Namespace, shown: &str) -> Result<Schema> {
    let (home, views) = (&place.tables, &place.views);
    look_in(conn, home)?;
    let mut schema = Schema::default();
    let columns: Vec<ColumnRow> = diesel::sql_query(
        "SELECT r.relname::text AS \"table\", a.attname::text AS name, \
             pg_catalog.format_type(a.atttypid, a.atttypmod) AS kind, \
             CASE WHEN a.attnotnull THEN 'no' ELSE 'yes' END AS nullable, \
             CASE WHEN a.attgenerated = '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END AS \"default\", \
             CASE WHEN a.attgenerated <> '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) \
                 WHEN a.attidentity = 'd' THEN 'an identity, by default' \
                 WHEN a.attidentity = 'a' THEN 'an identity, always' END AS generated \
         FROM pg_class r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped \
             LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum \
         WHERE r.relnamespace = pg_catalog.to_regnamespace(pg_catalog.quote_ident($1))::oid AND r.relkind IN ('r', 'p')",
    )
    .bind::<Text, _>(home)
    .load(conn)
    .of("the schema", "")?;
    for row in columns {
        let column = Column {
            kind: row.kind,
            nullable: row.nullable == "yes",
            default: row.default.as_deref().map(one_line),
            generated: row.generated.as_deref().map(one_line),
        };
        schema.tables.entry(row.table).or_default().insert(row.name, column);
    }
    let parts: Vec<PartRow> = diesel::sql_query(
        "WITH r AS (SELECT oid, relname::text AS name FROM pg_class \
             WHERE relnamespace = pg_catalog.to_regnamespace(pg_catalog.quote_ident($1))::oid AND relkind IN ('r', 'p')) \
         SELECT r.name AS \"table\", CASE k.contype WHEN 'p' THEN 'primary key' WHEN 'u' THEN 'unique constraint' \
                 WHEN 'f' THEN 'foreign key' ELSE 'check' END AS object, \
             k.conname::text AS name, pg_catalog.pg_get_constraintdef(k.oid, true) AS says, \
             (SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = r.oid AND k.conkey OPERATOR(pg_catalog.=) ARRAY[a.attnum]) \
                 AS \"column\" \
         FROM pg_constraint k JOIN r ON r.oid = k.conrelid WHERE k.contype IN ('p', 'u', 'f', 'c', 'x') \
         UNION ALL \
         SELECT r.name, 'index', n.relname::text, CASE WHEN i.indisunique THEN 'unique ' ELSE '' END \
             || substring(pg_catalog.pg_get_indexdef(i.indexrelid) FROM ' USING (.*)$') \
             || CASE WHEN i.indisvalid THEN '' ELSE ', not valid' END, NULL \
         FROM pg_index i JOIN r ON r.oid = i.indrelid JOIN pg_class n ON n.oid = i.indexrelid \
         WHERE NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = i.indexrelid AND contype IN ('p', 'u', 'x')) \
         UNION ALL \
         SELECT r.name, 'trigger', t.tgname::text, pg_catalog.pg_get_triggerdef(t.oid, true) \
             || CASE WHEN t.tgenabled = 'D' THEN ', disabled' ELSE '' END, NULL \
         FROM pg_trigger t JOIN r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal \
         UNION ALL \
         SELECT '', 'function', p.proname::text, p.prosrc, NULL FROM pg_proc p \
         WHERE p.pronamespace = pg_catalog.to_regnamespace(pg_catalog.quote_ident($1))::oid AND pg_catalog.starts_with(p.proname, 'viraldb_') \
         UNION ALL \
         SELECT '', 'view', pg_catalog.format('%s.%s', $3, v.relname),  pg_catalog.pg_get_viewdef(v.oid, true), NULL FROM pg_class v \
         WHERE v.relnamespace = pg_catalog.to_regnamespace(pg_catalog.quote_ident($2))::oid AND v.relkind = 'v'",
    )
    .bind::<Text, _>(home)
    .bind::<Text, _>(views)
    .bind::<Text, _>(shown)
    .load(conn)
    .of("the schema", "")?;
    schema.add(parts);
    Ok(schema)
}

impl Schema {
    /// Sets the statements that create each index and trigger again in the schema of our tables. Indexes are built
    /// concurrently, so that writers are not blocked.
    fn at_home(&mut self, home: &str) {
        let home = home.replace('"', "\"\"");
        for ((table, object, name), part) in &mut self.parts {
            part.made = match object {
                Object::Index => {
                    let (unique, says) = match part.words.strip_prefix("unique ") {
                        Some(says) => ("UNIQUE ", says),
                        None => ("", part.words.as_str()),
                    };
                    Some(format!(
                        "CREATE {unique}INDEX CONCURRENTLY {name} ON \"{home}\".{table} USING {says}"
                    ))
                }
                Object::Trigger => Some(part.words.clone()),
                _ => None,
            };
        }
    }
}
