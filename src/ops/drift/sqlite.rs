//! Reads the schema of a SQLite database. Columns and keys come from pragmas; checks, indexes and triggers are parsed from
//! the stored SQL text.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel::sqlite::SqliteConnection;

use super::Object;
use super::schema::{Column, ColumnRow, Part, PartRow, Schema};
use super::sql::{Statement, normal};
use crate::Result;
use crate::db::migrate::Migration;
use crate::db::sqlite::{Access, Place, establish};
use crate::error::ResultExt;

/// SQL that selects all tables except SQLite's internal ones.
const TABLES: &str =
    "FROM sqlite_master AS t WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";

/// An object of the database, with the SQL that created it.
#[derive(QueryableByName)]
struct Made {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    table: String,
    #[diesel(sql_type = Text)]
    sql: String,
}

/// Runs the migrations in memory and returns the schema that they create.
pub(super) fn replayed(migrations: &[&'static Migration]) -> Result<Schema> {
    let place = Place::Memory(uuid::Uuid::now_v7().to_string());
    let mut conn = establish(&place, Access::Write, Duration::from_secs(1))?;
    for migration in migrations {
        conn.batch_execute(migration.up).of("the migrations in memory", migration.name)?;
    }
    read(&mut conn)
}

pub(super) fn read(conn: &mut SqliteConnection) -> Result<Schema> {
    let mut schema = Schema::default();
    let made: Vec<Made> = diesel::sql_query(
        "SELECT type AS kind, name, tbl_name AS \"table\", sql FROM sqlite_master \
         WHERE sql IS NOT NULL AND type IN ('table', 'index', 'trigger') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )
    .load(conn)
    .of("the schema", "")?;
    columns(conn, &mut schema)?;
    keys(conn, &mut schema)?;
    for made in &made {
        let statement = Statement::parse(&made.sql);
        match made.kind.as_str() {
            "index" => {
                let unique = if statement.has("unique") { "unique " } else { "" };
                let says = statement.from("(");
                add(
                    &mut schema,
                    made,
                    Object::Index,
                    &made.name,
                    Part {
                        words: format!("{unique}{}", says.words),
                        shown: format!("{unique}{}", says.shown),
                        column: None,
                        made: Some(made.sql.clone()),
                    },
                );
            }
            "trigger" => {
                let says = statement.behind(&made.name.to_lowercase());
                let part =
                    Part { words: says.words, shown: says.shown, column: None, made: Some(made.sql.clone()) };
                add(&mut schema, made, Object::Trigger, &made.name, part);
            }
            _ => of_table(&mut schema, made, &statement),
        }
    }
    Ok(schema)
}

fn add(schema: &mut Schema, made: &Made, object: Object, name: &str, part: Part) {
    schema.parts.insert((made.table.clone(), object, name.to_owned()), part);
}

/// Adds the properties that only the SQL text of a table has: checks, generated columns, STRICT and AUTOINCREMENT.
fn of_table(schema: &mut Schema, made: &Made, statement: &Statement<'_>) {
    for rule in statement.rules("check") {
        let is_of_column =
            schema.tables.get(&made.table).is_some_and(|columns| columns.contains_key(&rule.column));
        let column = is_of_column.then_some(rule.column);
        // A check without a name is identified by its condition.
        let name = rule.name.unwrap_or_else(|| format!("({})", rule.says.shown));
        let part = Part { words: rule.says.words, shown: rule.says.shown, column, made: None };
        add(schema, made, Object::Check, &name, part);
    }
    for rule in statement.rules("as") {
        let column = schema.tables.get_mut(&made.table).and_then(|columns| columns.get_mut(&rule.column));
        if let Some(column) = column {
            column.generated = Some(rule.says.words);
        }
    }
    if statement.has("strict") {
        let part = Part { words: String::new(), shown: String::new(), column: None, made: None };
        add(schema, made, Object::Strict, "", part);
    }
    let key = (made.table.clone(), Object::PrimaryKey, format!("{}_pkey", made.table));
    if statement.has("autoincrement")
        && let Some(part) = schema.parts.get_mut(&key)
    {
        for text in [&mut part.words, &mut part.shown] {
            text.push_str(" AUTOINCREMENT");
        }
    }
}

fn columns(conn: &mut SqliteConnection, schema: &mut Schema) -> Result<()> {
    let rows: Vec<ColumnRow> = diesel::sql_query(format!(
        "SELECT t.name AS \"table\", x.name, lower(x.type) AS kind, \
         iif(x.\"notnull\", 'no', 'yes') AS nullable, x.dflt_value AS \"default\", \
         iif(x.hidden > 1, '', NULL) AS generated \
         FROM (SELECT t.name {TABLES}) AS t, pragma_table_xinfo(t.name) AS x"
    ))
    .load(conn)
    .of("the schema", "")?;
    for row in rows {
        let column = Column {
            kind: row.kind,
            nullable: row.nullable == "yes",
            default: row.default.as_deref().map(normal),
            generated: row.generated,
        };
        schema.tables.entry(row.table).or_default().insert(row.name.to_lowercase(), column);
    }
    Ok(())
}

/// Adds primary keys, unique constraints and foreign keys, under the names that the migrations use for them.
fn keys(conn: &mut SqliteConnection, schema: &mut Schema) -> Result<()> {
    let rows: Vec<PartRow> = diesel::sql_query(format!(
        "WITH tables AS (SELECT t.name {TABLES}) \
         SELECT t.name AS \"table\", 'primary key' AS object, t.name || '_pkey' AS name, \
             '(' || group_concat(x.name, ', ' ORDER BY x.pk) || ')' AS says, NULL AS \"column\" \
         FROM tables AS t, pragma_table_info(t.name) AS x WHERE x.pk > 0 GROUP BY t.name \
         UNION ALL \
         SELECT t.name, 'unique constraint', t.name || '_' || group_concat(x.name, '_' ORDER BY x.seqno) || '_key', \
             '(' || group_concat(x.name, ', ' ORDER BY x.seqno) || ')', NULL \
         FROM tables AS t, pragma_index_list(t.name) AS i, pragma_index_info(i.name) AS x \
         WHERE i.origin = 'u' GROUP BY t.name, i.name \
         UNION ALL \
         SELECT t.name, 'foreign key', t.name || '_' || group_concat(f.\"from\", '_' ORDER BY f.seq) || '_fkey', \
             'to ' || f.\"table\" || ' (' || group_concat(coalesce(f.\"to\", ''), ', ' ORDER BY f.seq) || ')' \
             || ' ON DELETE ' || f.on_delete || ' ON UPDATE ' || f.on_update, NULL \
         FROM tables AS t, pragma_foreign_key_list(t.name) AS f GROUP BY t.name, f.id"
    ))
    .load(conn)
    .of("the schema", "")?;
    schema.add(rows);
    Ok(())
}
