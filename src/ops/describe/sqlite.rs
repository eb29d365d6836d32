//! The tables of a SQLite file, as its pragmas describe them.

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use super::Rows;
use crate::Result;
use crate::error::ResultExt;

/// The tables that are not SQLite's own.
const TABLES: &str =
    "(SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\') AS t";

pub(super) fn read(conn: &mut SqliteConnection) -> Result<Rows> {
    // Of the generated columns, 2 is virtual and 3 stored.
    let columns = format!(
        "SELECT t.name AS \"table\", x.name, x.type AS kind, x.\"notnull\" = 0 AND x.pk = 0 AS nullable, \
         x.dflt_value AS \"default\", x.hidden IN (2, 3) AS \"generated\", x.pk > 0 AS primary_key, \
         NULL AS comment, NULL AS table_comment \
         FROM {TABLES}, pragma_table_xinfo(t.name) AS x ORDER BY t.name, x.cid"
    );
    let keys = format!(
        "SELECT t.name AS \"table\", CAST(f.id AS TEXT) AS \"key\", f.\"from\" AS \"column\", f.\"table\" AS \"references\", \
         f.\"to\" AS referenced_column, f.on_delete \
         FROM {TABLES}, pragma_foreign_key_list(t.name) AS f ORDER BY t.name, f.id DESC, f.seq"
    );
    let indexes = format!(
        "SELECT t.name AS \"table\", i.name, coalesce(x.name, '(expression)') || iif(x.desc, ' DESC', '') AS \"column\", \
         i.\"unique\", i.partial \
         FROM {TABLES}, pragma_index_list(t.name) AS i, pragma_index_xinfo(i.name) AS x \
         WHERE i.origin <> 'pk' AND x.key ORDER BY t.name, i.name, x.seqno"
    );
    Ok((
        diesel::sql_query(columns).load(conn).of("the schema", "")?,
        diesel::sql_query(keys).load(conn).of("the schema", "")?,
        diesel::sql_query(indexes).load(conn).of("the schema", "")?,
    ))
}
