//! Checks before a migration changes anything: whether the names of its objects are free, and whether the role may create them.

use diesel::prelude::*;
use diesel::sql_types::Text;

use super::history::History;
use super::migration::Migration;
use super::namespace::Namespace;
use crate::db::identifier::quoted;
use crate::db::{DbConnection, on_backend};
use crate::error::ResultExt;
use crate::{Error, Result};

/// The kind and the name of an object that a migration creates.
type Made = (&'static str, String);

const KINDS: [&str; 6] = ["SCHEMA", "TABLE", "VIEW", "INDEX", "FUNCTION", "TRIGGER"];

/// The maximum number of objects named in a message.
const NAMED: usize = 5;

impl Migration {
    /// Returns the objects that the migration creates. viraldb's migrations start each statement on a new line.
    fn makes(&self) -> impl Iterator<Item = Made> {
        let mut table = "";
        self.up.lines().flat_map(move |line| {
            let made = made_by_statement(line);
            if let Some(("TABLE", name)) = &made {
                table = *name;
            }
            let implied = implied_by_column(table, line);
            made.map(|(kind, name)| (kind, name.to_owned())).into_iter().chain(implied)
        })
    }
}

fn made_by_statement(line: &str) -> Option<(&'static str, &str)> {
    let mut words = line.strip_prefix("CREATE ")?.split([' ', '(', ';']).filter(|&word| word != "UNIQUE");
    let word = words.next()?;
    let kind = KINDS.into_iter().find(|kind| *kind == word)?;
    Some((kind, words.next()?))
}

/// Returns the objects that PostgreSQL creates implicitly for a column: the index of a primary key or a unique constraint, and
/// the sequence of an identity column. If such a name is taken, PostgreSQL chooses another name, which viraldb would not find.
fn implied_by_column(table: &str, line: &str) -> Vec<Made> {
    let mut made = Vec::new();
    if !line.starts_with(' ') {
        return made;
    }
    let words: Vec<&str> = line.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    if line.contains(" PRIMARY KEY") {
        made.push((IMPLIED, format!("{table}_pkey")));
    }
    if let [.., "CONSTRAINT", name, "UNIQUE"] = *words.as_slice() {
        made.push((IMPLIED, name.to_owned()));
    }
    if let (Some(column), true) = (words.first(), line.contains(" AS IDENTITY")) {
        made.push((IMPLIED, format!("{table}_{column}_seq")));
    }
    made
}

/// The kind of the objects that only PostgreSQL creates.
const IMPLIED: &str = "implied";

/// Returns the tables that the applied migrations have created.
pub(crate) fn tables(history: &History) -> Vec<String> {
    history.applied().flat_map(Migration::makes).filter(|made| made.0 == "TABLE").map(|made| made.1).collect()
}

/// Rejects a database in which tables, indexes or schemas of another program have the names of objects that pending migrations
/// create. Reads the history and the names in one snapshot, because another viraldb may be creating the objects.
///
/// # Errors
/// [`Error::Unusable`] with the names of the conflicting objects.
pub(crate) fn require_names(conn: &mut DbConnection) -> Result<()> {
    let taken = conn.snapshot(|conn| {
        let history = History::read(conn)?;
        names_taken(conn, &history)
    })?;
    refused(taken)
}

/// Returns a name as an SQL identifier, in quotes only if it needs them.
fn identifier(name: &str) -> String {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let is_plain = name.chars().all(is_word) && !name.starts_with(|c: char| c.is_ascii_digit());
    if is_plain { name.to_owned() } else { quoted(name) }
}

fn refused(taken: Option<String>) -> Result<()> {
    match taken {
        Some(reason) => Err(Error::Unusable { database: String::new(), reason }),
        None => Ok(()),
    }
}

/// Like [`require`], with the history read in the same snapshot.
pub(crate) fn require_possible(conn: &mut DbConnection) -> Result<()> {
    conn.snapshot(|conn| {
        let history = History::read(conn)?;
        require(conn, &history)
    })
}

/// Returns a message about objects of another program whose names pending migrations need, and what to do about them. Returns
/// `None` if there are no conflicts.
pub(crate) fn names_taken(conn: &mut DbConnection, history: &History) -> Result<Option<String>> {
    let taken = taken(conn, history)?;
    let mut named: Vec<String> =
        taken.iter().take(NAMED).map(|found| format!("{} {}", found.shown, found.name)).collect();
    if taken.len() > NAMED {
        named.push(format!("{} more", taken.len() - NAMED));
    }
    let mend = match taken.as_slice() {
        [] => return Ok(None),
        _ if taken.iter().any(|found| found.name.starts_with("viraldb_")) => {
            let lost = "has tables of viraldb, but no record of the migrations that created them; restore a backup with \
                        `viraldb restore FILE`";
            return Ok(Some(lost.to_owned()));
        }
        [Found { kind, name, .. }] if kind == "schema" => {
            let name = identifier(name);
            format!(
                "rename it (ALTER SCHEMA {name} RENAME TO …), or drop it if it is empty (DROP SCHEMA {name}), so that \
                 viraldb can create it"
            )
        }
        _ => {
            let room = on_backend!(
                &*conn,
                sqlite => |_c| "a separate file",
                postgres => |_c| "a separate schema with ?schema=NAME in the URL, as in postgres://HOST/DATABASE?schema=viral"
            );
            format!(
                "give viraldb {room}; `viraldb takeover` then copies the rows of supported applications into it"
            )
        }
    };
    Ok(Some(format!("already has {}, not created by viraldb: {mend}", named.join(", "))))
}

/// Rejects the same databases as [`require_names`], and a server or role with which a pending migration would fail.
///
/// # Errors
/// [`Error::Unusable`] with the missing privilege or setting.
pub(super) fn require(conn: &mut DbConnection, history: &History) -> Result<()> {
    let Some(_) = history.pending().next() else { return Ok(()) };
    on_backend!(
        &mut *conn,
        sqlite => |_c| Ok::<(), Error>(()),
        postgres => |c| {
            let makes_schema = history.pending().flat_map(Migration::makes).any(|made| made.0 == "SCHEMA");
            on_postgres::require(c, makes_schema)
        }
    )?;
    refused(names_taken(conn, history)?)
}

/// Returns the existing objects with a name that pending migrations need, except those that viraldb's migrations have created.
fn taken(conn: &mut DbConnection, history: &History) -> Result<Vec<Found>> {
    let views = Namespace::of_connection(conn)?.views;
    let named = |(kind, name): Made| (kind, if kind == "SCHEMA" { views.clone() } else { name });
    let ours: Vec<Made> = history.applied().flat_map(Migration::makes).map(named).collect();
    let mut new: Vec<Made> = history.pending().flat_map(Migration::makes).map(named).collect();
    new.retain(|made| !ours.contains(made));
    if on_backend!(&*conn, sqlite => |_c| true, postgres => |_c| false) {
        new.retain(|(kind, _)| *kind != IMPLIED);
    }
    if new.is_empty() {
        return Ok(Vec::new());
    }
    // Report conflicts in the order of the migrations. An implicit object is reported only if its table is not.
    let there = there(conn)?;
    let mut taken: Vec<Found> = Vec::new();
    let mut tables: Vec<String> = Vec::new();
    for (kind, name) in &new {
        let is_told = taken.iter().any(|known| known.name == *name)
            || *kind == IMPLIED && tables.iter().any(|table| name.starts_with(table));
        if let Some(found) = there.iter().find(|found| found.is_of(kind) && found.name == *name)
            && !is_told
        {
            tables.extend((*kind == "TABLE").then(|| format!("{name}_")));
            taken.push(found.clone());
        }
    }
    Ok(taken)
}

/// An object of a database. Its name is in lower case on SQLite, which does not distinguish case.
#[derive(Clone, QueryableByName)]
struct Found {
    /// The namespace of the name: objects of the same kind cannot have the same name.
    #[diesel(sql_type = Text)]
    kind: String,
    /// The kind of object, for messages.
    #[diesel(sql_type = Text)]
    shown: String,
    #[diesel(sql_type = Text)]
    name: String,
}

impl Found {
    /// Returns true if this object blocks the name for a new object of a kind. Tables, views and indexes share one namespace.
    fn is_of(&self, kind: &str) -> bool {
        match kind {
            "SCHEMA" | "FUNCTION" | "TRIGGER" => self.kind.eq_ignore_ascii_case(kind),
            "TABLE" | "VIEW" => matches!(&*self.kind, "relation" | "type"),
            _ => self.kind == "relation",
        }
    }
}

fn there(conn: &mut DbConnection) -> Result<Vec<Found>> {
    on_backend!(
        conn,
        sqlite => |c| diesel::sql_query(
            "SELECT iif(type = 'trigger', type, 'relation') AS kind, type AS shown, lower(name) AS name FROM sqlite_master",
        )
        .load(c),
        // Triggers need no check, because their names are per table, and the tables are new.
        postgres => |c| diesel::sql_query(
            "WITH here AS (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = current_schema()) \
             SELECT 'relation' AS kind, relname::pg_catalog.text AS name, CASE relkind WHEN 'v' THEN 'view' \
                 WHEN 'm' THEN 'view' WHEN 'i' THEN 'index' WHEN 'I' THEN 'index' WHEN 'S' THEN 'sequence' \
                 WHEN 'c' THEN 'type' ELSE 'table' END AS shown \
             FROM pg_catalog.pg_class WHERE relnamespace IN (SELECT oid FROM here) \
             UNION ALL SELECT 'type', typname::pg_catalog.text, 'type' FROM pg_catalog.pg_type \
             WHERE typnamespace IN (SELECT oid FROM here) AND typrelid = CAST(0 AS pg_catalog.oid) \
             UNION ALL SELECT 'function', proname::pg_catalog.text, 'function' FROM pg_catalog.pg_proc \
             WHERE pronamespace IN (SELECT oid FROM here) AND pronargs = 0 \
             UNION ALL SELECT 'schema', nspname::pg_catalog.text, 'schema' FROM pg_catalog.pg_namespace",
        )
        .load(c),
    )
    .of("the schema", "")
}

#[cfg(feature = "postgres")]
pub(super) use on_postgres::make_schema;

#[cfg(feature = "postgres")]
mod on_postgres {
    use diesel::connection::SimpleConnection;
    use diesel::pg::PgConnection;
    use diesel::prelude::*;
    use diesel::sql_types::{Bool, Nullable, Text};

    use super::super::namespace::Namespace;
    use super::{identifier, quoted};
    use crate::db::schema;
    use crate::error::ResultExt;
    use crate::{Error, Result};

    #[derive(QueryableByName)]
    struct Server {
        #[diesel(sql_type = Bool)]
        is_standby: bool,
        #[diesel(sql_type = Bool)]
        is_read_only: bool,
        #[diesel(sql_type = Text)]
        encoding: String,
        #[diesel(sql_type = Text)]
        database: String,
        #[diesel(sql_type = Text)]
        role: String,
        #[diesel(sql_type = Text)]
        path: String,
        #[diesel(sql_type = Nullable<Text>)]
        schema: Option<String>,
        #[diesel(sql_type = Bool)]
        may_make_tables: bool,
        #[diesel(sql_type = Bool)]
        may_make_schemas: bool,
    }

    impl Server {
        fn of(conn: &mut PgConnection) -> Result<Self> {
            diesel::sql_query(
                "SELECT pg_catalog.pg_is_in_recovery() AS is_standby, \
                 pg_catalog.current_setting('default_transaction_read_only') = 'on' AS is_read_only, \
                 pg_catalog.current_setting('server_encoding') AS encoding, \
                 pg_catalog.quote_ident(current_database()) AS database, pg_catalog.quote_ident(current_user) AS role, \
                 pg_catalog.current_setting('search_path') AS path, current_schema()::pg_catalog.text AS schema, \
                 coalesce(pg_catalog.has_schema_privilege(current_schema(), 'CREATE'), false) AS may_make_tables, \
                 pg_catalog.has_database_privilege(current_database(), 'CREATE') AS may_make_schemas",
            )
            .get_result(conn)
            .of("the server", "")
        }

        /// Returns the message for a role that may not create a schema.
        fn no_schemas(&self, schema: &str) -> String {
            let Self { role, database, .. } = self;
            format!(
                "the role {role} may not create schemas, but viraldb needs the schema {}; as the owner of the database, run: \
                 GRANT CREATE ON DATABASE {database} TO {role}",
                identifier(schema)
            )
        }
    }

    fn unusable(reason: String) -> Error {
        Error::Unusable { database: String::new(), reason }
    }

    /// Creates the schema named in the URL if it does not exist.
    pub(in super::super) fn make_schema(conn: &mut PgConnection, schema: &str) -> Result<()> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Bool)]
            is_there: bool,
        }
        let row: Row = diesel::sql_query(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname::pg_catalog.text = $1) AS is_there",
        )
        .bind::<Text, _>(schema)
        .get_result(conn)
        .of("the schema", schema)?;
        if row.is_there {
            return Ok(());
        }
        let server = Server::of(conn)?;
        if !server.may_make_schemas && !server.is_standby {
            return Err(unusable(server.no_schemas(schema)));
        }
        conn.batch_execute(&format!("CREATE SCHEMA {}", quoted(schema))).of("the schema", schema)
    }

    /// Rejects a server, a database or a role with which the migrations would fail.
    pub(super) fn require(conn: &mut PgConnection, needs_schema: bool) -> Result<()> {
        let server = Server::of(conn)?;
        let Server { role, encoding, .. } = &server;
        let first = schema::names(&server.path).into_iter().next().filter(|name| name != "$user");
        let refusal = server.schema.as_deref().and_then(schema::refusal);
        let reason = match &server.schema {
            _ if server.is_standby || server.is_read_only => crate::error::SERVER_IS_READ_ONLY.to_owned(),
            _ if encoding != "UTF8" => format!(
                "the database has the encoding {encoding}, which cannot store every text; create a database with UTF-8: \
                 CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
            ),
            None => {
                let named = schema::first(&server.path).unwrap_or_else(|| "public".to_owned());
                let named = identifier(&named);
                format!(
                    "no schema in search_path exists, or the role {role} may not use it; run CREATE SCHEMA {named} or GRANT \
                     USAGE, CREATE ON SCHEMA {named} TO {role}, or name the schema with ?schema=NAME in the URL instead of \
                     search_path, and viraldb creates it"
                )
            }
            // The first schema in search_path is not usable, so the tables would be created in a later one.
            Some(schema) if first.as_ref().is_some_and(|first| first != schema) => format!(
                "the first schema in search_path, {0}, does not exist, or the role {role} may not use it; run CREATE \
                 SCHEMA {0} or GRANT USAGE, CREATE ON SCHEMA {0} TO {role}, or name the schema with ?schema=NAME in the \
                 URL instead of search_path, and viraldb creates it",
                identifier(&first.unwrap_or_default())
            ),
            Some(_) if refusal.is_some() => format!(
                "viraldb creates its tables in the first schema of search_path, but {}",
                refusal.unwrap_or_default()
            ),
            Some(schema) if !server.may_make_tables => format!(
                "the role {role} may not create tables in the schema {0}; as the owner of the schema, run: GRANT \
                 CREATE ON SCHEMA {0} TO {role}",
                identifier(schema)
            ),
            Some(schema) if needs_schema && !server.may_make_schemas => {
                server.no_schemas(&Namespace::of(schema).views)
            }
            Some(_) => return Ok(()),
        };
        Err(unusable(reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_objects_of_a_migration_are_parsed_from_its_sql() {
        let up = "-- CREATE TABLE no (\nCREATE TABLE a (\n    id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,\n    \
                  x text\n        CONSTRAINT a_x_key UNIQUE,\n    y int\n);\nCREATE UNIQUE INDEX b ON a (id);\n\
                  CREATE SCHEMA c;\nCREATE VIEW c.d AS SELECT 1;\nCREATE FUNCTION e() RETURNS trigger AS $$\n\
                  CREATE TRIGGER f AFTER UPDATE ON a;\nCREATE OR REPLACE FUNCTION e() AS $$\n";
        let migration = Migration { name: "2026-11-21-000001_x", up, down: "", reworded_from: None };
        let expected = [
            ("TABLE", "a"),
            (IMPLIED, "a_pkey"),
            (IMPLIED, "a_id_seq"),
            (IMPLIED, "a_x_key"),
            ("INDEX", "b"),
            ("SCHEMA", "c"),
            ("VIEW", "c.d"),
            ("FUNCTION", "e"),
            ("TRIGGER", "f"),
        ];
        let made: Vec<Made> = migration.makes().collect();
        assert_eq!(made.iter().map(|(kind, name)| (*kind, &**name)).collect::<Vec<_>>(), expected);
    }
}
