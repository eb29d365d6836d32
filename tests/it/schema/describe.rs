//! Reads the schema from the catalog of each engine, in a form that can be compared between engines.

use std::collections::{BTreeMap, BTreeSet};

use viraldb::DbConnection;

use crate::make::query;

/// Runs the query for the engine of this connection.
fn query_engine(c: &mut DbConnection, sqlite: &str, postgres: &str) -> Vec<String> {
    let text = if is_postgres(c) { postgres } else { sqlite };
    query(c, text)
}

#[allow(unreachable_patterns)]
fn is_postgres(c: &DbConnection) -> bool {
    match c {
        #[cfg(feature = "postgres")]
        DbConnection::Postgres(_) => true,
        _ => false,
    }
}

const TABLES_OF_SQLITE: &str = "SELECT name AS v FROM sqlite_master WHERE type = 'table'
    AND name NOT LIKE 'sqlite_%' AND name <> '__diesel_schema_migrations'";

/// Returns the columns as `table|position|name|type|nullability|default`. PostgreSQL types appear as the SQLite types
/// that hold the same values.
pub fn columns(c: &mut DbConnection) -> BTreeSet<String> {
    let rows = query_engine(
        c,
        &format!(
            "SELECT concat_ws('|', t.v, x.cid + 1, x.name, lower(x.type),
                 CASE WHEN x.\"notnull\" THEN 'not null' ELSE 'null' END,
                 CASE WHEN x.hidden > 0 THEN 'generated' WHEN x.pk AND x.type = 'INTEGER' THEN 'numbered'
                     ELSE coalesce(x.dflt_value, '') END) AS v
             FROM ({TABLES_OF_SQLITE}) AS t, pragma_table_xinfo(t.v) AS x"
        ),
        "SELECT concat_ws('|', r.relname, a.attnum,
             a.attname, CASE format_type(a.atttypid, a.atttypmod)
                 WHEN 'bigint' THEN 'integer' WHEN 'boolean' THEN 'integer' WHEN 'double precision' THEN 'real'
                 WHEN 'uuid' THEN 'text' WHEN 'jsonb' THEN 'text' WHEN 'timestamp with time zone' THEN 'text'
                 ELSE format_type(a.atttypid, a.atttypmod) END,
             CASE WHEN a.attnotnull THEN 'not null' ELSE 'null' END,
             CASE WHEN a.attgenerated <> '' THEN 'generated' WHEN a.attidentity = 'd' THEN 'numbered'
                 ELSE coalesce(pg_get_expr(d.adbin, d.adrelid), '') END) AS v
         FROM pg_class r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0
             LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
         WHERE r.relnamespace = 'public'::regnamespace AND r.relkind = 'r'
             AND r.relname <> '__diesel_schema_migrations'",
    );
    rows.into_iter()
        .map(|row| {
            let parts: Vec<&str> = row.splitn(6, '|').collect();
            let default = match parts[5] {
                "strftime('%Y-%m-%d %H:%M:%f', 'now') || '000'" | "now()" => "now",
                "false" => "0",
                "true" => "1",
                other => other.split("::").next().unwrap(),
            };
            format!("{}|{default}", parts[..5].join("|"))
        })
        .collect()
}

/// Returns the indexes as `table|name|columns|unique|partial`.
pub fn indexes(c: &mut DbConnection) -> BTreeSet<String> {
    let rows = query_engine(
        c,
        &format!(
            "SELECT concat_ws('|', t.v, i.name,
                 (SELECT group_concat(x.name, ',' ORDER BY x.seqno) FROM pragma_index_info(i.name) AS x),
                 i.\"unique\", i.partial) AS v
             FROM ({TABLES_OF_SQLITE}) AS t, pragma_index_list(t.v) AS i WHERE i.origin = 'c'"
        ),
        "SELECT concat_ws('|', r.relname, n.relname,
             (SELECT string_agg(a.attname, ',' ORDER BY k.place) FROM unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
                 JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = k.attnum),
             i.indisunique::int, (i.indpred IS NOT NULL)::int) AS v
         FROM pg_index i JOIN pg_class r ON r.oid = i.indrelid JOIN pg_class n ON n.oid = i.indexrelid
         WHERE r.relnamespace = 'public'::regnamespace AND r.relname <> '__diesel_schema_migrations'
             AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = i.indexrelid AND contype IN ('p', 'u'))",
    );
    rows.into_iter().collect()
}

/// Returns the primary keys and unique constraints as `table|kind|columns`.
#[cfg(all(feature = "sqlite", feature = "postgres"))]
pub fn keys(c: &mut DbConnection) -> BTreeSet<String> {
    let rows = query_engine(
        c,
        &format!(
            "SELECT concat_ws('|', t.v, 'p', (SELECT group_concat(x.name, ',' ORDER BY x.pk)
                 FROM pragma_table_info(t.v) AS x WHERE x.pk)) AS v FROM ({TABLES_OF_SQLITE}) AS t
             UNION ALL
             SELECT concat_ws('|', t.v, 'u', (SELECT group_concat(x.name, ',' ORDER BY x.seqno)
                 FROM pragma_index_info(i.name) AS x))
             FROM ({TABLES_OF_SQLITE}) AS t, pragma_index_list(t.v) AS i WHERE i.origin = 'u'"
        ),
        "SELECT concat_ws('|', r.relname, k.contype, (SELECT string_agg(a.attname, ',' ORDER BY x.place)
             FROM unnest(k.conkey) WITH ORDINALITY AS x (attnum, place)
             JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = x.attnum)) AS v
         FROM pg_constraint k JOIN pg_class r ON r.oid = k.conrelid
         WHERE r.relnamespace = 'public'::regnamespace AND k.contype IN ('p', 'u')
             AND r.relname <> '__diesel_schema_migrations'",
    );
    rows.into_iter().collect()
}

/// Returns the foreign keys as `table|column|parent table|parent column|on delete|on update`.
pub fn foreign_keys(c: &mut DbConnection) -> BTreeSet<String> {
    let rows = query_engine(
        c,
        &format!(
            "SELECT concat_ws('|', t.v, f.\"from\", f.\"table\", f.\"to\", f.on_delete, f.on_update) AS v
             FROM ({TABLES_OF_SQLITE}) AS t, pragma_foreign_key_list(t.v) AS f"
        ),
        "SELECT concat_ws('|', k.conrelid::regclass, a.attname, k.confrelid::regclass, b.attname,
             CASE k.confdeltype WHEN 'a' THEN 'NO ACTION' WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' END,
             CASE k.confupdtype WHEN 'a' THEN 'NO ACTION' END) AS v
         FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.conrelid AND ARRAY[a.attnum] = k.conkey
             JOIN pg_attribute b ON b.attrelid = k.confrelid AND ARRAY[b.attnum] = k.confkey
         WHERE k.contype = 'f'",
    );
    rows.into_iter().collect()
}

/// Returns the definitions of named constraints by table and name. On SQLite they are parsed from CREATE TABLE.
pub fn constraints(c: &mut DbConnection) -> BTreeMap<(String, String), String> {
    let mut found = BTreeMap::new();
    let rows = query_engine(
        c,
        "SELECT name || '|' || sql AS v FROM sqlite_master WHERE type = 'table' AND sql LIKE '%CONSTRAINT%'",
        "SELECT conrelid::regclass || '|CONSTRAINT ' || conname || ' ' || pg_get_constraintdef(oid) AS v
         FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'p'",
    );
    for row in rows {
        let (table, text) = row.split_once('|').unwrap();
        for constraint in text.split("CONSTRAINT ").skip(1) {
            let (name, says) = constraint.split_once(' ').unwrap();
            let says = says.split(",\n").next().unwrap().trim_end_matches(") STRICT").trim();
            found.insert((table.to_owned(), name.to_owned()), says.to_owned());
        }
    }
    found
}
