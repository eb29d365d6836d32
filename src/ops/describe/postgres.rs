//! The tables of a PostgreSQL schema, as its catalog describes them.

use diesel::pg::PgConnection;
use diesel::prelude::*;

use super::Rows;
use crate::Result;
use crate::db::postgres::HERE;
use crate::error::ResultExt;

pub(super) fn read(conn: &mut PgConnection) -> Result<Rows> {
    let tables = format!(
        "WITH t AS (SELECT oid, relname::text AS name FROM pg_class WHERE relnamespace = {HERE} AND relkind IN ('r', 'p'))"
    );
    let columns = format!(
        "{tables} SELECT t.name AS \"table\", a.attname::text AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS kind, \
         NOT a.attnotnull AS nullable, \
         CASE WHEN a.attidentity <> '' THEN 'identity' ELSE pg_catalog.pg_get_expr(d.adbin, d.adrelid) END AS \"default\", \
         a.attgenerated <> '' AS \"generated\", p.indrelid IS NOT NULL AS primary_key, \
         pg_catalog.col_description(t.oid, a.attnum) AS comment, \
         pg_catalog.obj_description(t.oid, 'pg_class') AS table_comment \
         FROM t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped \
         LEFT JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = a.attnum \
         LEFT JOIN pg_index p ON p.indrelid = t.oid AND p.indisprimary \
             AND a.attnum OPERATOR(pg_catalog.=) ANY (p.indkey::smallint[]) \
         ORDER BY t.name, a.attnum"
    );
    let keys = format!(
        "{tables} SELECT t.name AS \"table\", k.conname::text AS \"key\", a.attname::text AS \"column\", \
         r.relname::text AS \"references\", b.attname::text AS referenced_column, \
         CASE k.confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT' \
             WHEN 'r' THEN 'RESTRICT' ELSE 'NO ACTION' END AS on_delete \
         FROM t JOIN pg_constraint k ON k.conrelid = t.oid AND k.contype = 'f' \
         JOIN pg_class r ON r.oid = k.confrelid \
         CROSS JOIN LATERAL unnest(k.conkey, k.confkey) WITH ORDINALITY AS c (own, other, n) \
         JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = c.own \
         JOIN pg_attribute b ON b.attrelid = r.oid AND b.attnum = c.other \
         ORDER BY t.name, k.conname, c.n"
    );
    // Bit 0 of an option says that the column is sorted in descending order.
    let indexes = format!(
        "{tables} SELECT t.name AS \"table\", x.relname::text AS name, \
         pg_catalog.pg_get_indexdef(i.indexrelid, n.n, true) || CASE WHEN i.indoption[n.n - 1] & 1 = 1 THEN ' DESC' ELSE '' END \
             AS \"column\", \
         i.indisunique AS \"unique\", i.indpred IS NOT NULL AS partial \
         FROM t JOIN pg_index i ON i.indrelid = t.oid AND NOT i.indisprimary JOIN pg_class x ON x.oid = i.indexrelid \
         CROSS JOIN LATERAL pg_catalog.generate_series(1, i.indnkeyatts::integer) AS n (n) \
         ORDER BY t.name, x.relname, n.n"
    );
    Ok((
        diesel::sql_query(columns).load(conn).of("the schema", "")?,
        diesel::sql_query(keys).load(conn).of("the schema", "")?,
        diesel::sql_query(indexes).load(conn).of("the schema", "")?,
    ))
}
