//! PostgreSQL only: connections, locks and transaction modes.

use diesel::connection::{AnsiTransactionManager, CacheSize, TransactionManager};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};

use super::url::{for_libpq, is_pooled, query_of, without_secrets};
use crate::error::{ResultExt, SERVER_IS_READ_ONLY};
use crate::quote::one_line;
use crate::{Error, Result};

/// The number of rows in one INSERT. The widest table has 34 columns to fill, and the protocol allows 65,535 parameters.
pub(crate) const CHUNK: usize = 1_000;

/// Makes queries of the open transaction fail if row-level security would hide rows.
pub(crate) const REFUSE_HIDDEN_ROWS: &str = "SET LOCAL row_security = off";

/// Begins a read-only transaction in which all statements see the same snapshot.
pub(crate) const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";

/// The key of the advisory lock for migrations: "viraldb" in ASCII.
const MIGRATION_LOCK: i64 = 0x0076_6972_616c_6462;

/// Begins a migration transaction. It sees rows that were committed while it waited for the migration lock.
pub(crate) const BEGIN_MIGRATION: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// A subquery for the oid of the schema of viraldb's tables: the first schema of `search_path` that exists. Catalog queries use
/// it instead of `pg_table_is_visible`, which also finds objects in later schemas.
pub(crate) const HERE: &str = "(SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = current_schema())";

/// A query for the size of viraldb's data in bytes. This is the size of the whole database if the tables are in `public`.
/// Otherwise it is the size of the schema only, because the database may also contain other schemas.
pub(crate) const SIZE: &str = "SELECT CASE current_schema() \
    WHEN 'public' THEN pg_catalog.pg_database_size(current_database()) \
    ELSE (SELECT coalesce(pg_catalog.sum(pg_catalog.pg_total_relation_size(oid)), 0)::bigint FROM pg_catalog.pg_class \
        WHERE relkind IN ('r', 'm') AND relnamespace = \
            (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = current_schema())) END";

/// Returns the first schema of `search_path` that exists and that the role may use, or `None` if there is none.
pub(crate) fn current_schema(conn: &mut PgConnection) -> Result<Option<String>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Nullable<Text>)]
        name: Option<String>,
    }
    let row: Row = diesel::sql_query("SELECT current_schema()::pg_catalog.text AS name")
        .get_result(conn)
        .of("the schema", "")?;
    Ok(row.name)
}

/// Takes an advisory lock until the transaction ends. In `public` the key is the number that every version of viraldb uses;
/// every other schema has separate keys. `schema` is used if there is no current schema yet.
fn lock(conn: &mut PgConnection, key: i64, schema: Option<&str>) -> QueryResult<()> {
    diesel::sql_query(format!(
        "SELECT pg_catalog.pg_advisory_xact_lock(CASE place.name WHEN 'public' THEN {key} \
         ELSE pg_catalog.hashtextextended(place.name, {key}) END) \
         FROM (SELECT coalesce(current_schema()::pg_catalog.text, $1) AS name) AS place"
    ))
    .bind::<Nullable<Text>, _>(schema)
    .execute(conn)
    .map(drop)
}

/// Takes the migration lock until the transaction ends, so that only one transaction migrates at a time. `schema` is the one
/// named in the URL, which might not exist yet.
pub(crate) fn lock_migrations(conn: &mut PgConnection, schema: Option<&str>) -> QueryResult<()> {
    lock(conn, MIGRATION_LOCK, schema)
}

/// Opens a connection. Fails after ten seconds if the server does not answer, unless the URL sets `connect_timeout`.
pub(crate) fn establish(url: &str) -> Result<PgConnection> {
    let conn = PgConnection::establish(&with_settings(url));
    let mut conn = conn.map_err(|error| no_connection(url, &error.to_string()))?;
    if is_pooled(url) {
        // The next transaction may run in a session that has not prepared the statement. Without the cache, statements have
        // no name and are prepared and executed in one message.
        conn.set_prepared_statement_cache_size(CacheSize::Disabled);
    }
    Ok(conn)
}

/// The connection settings of viraldb. The keepalives detect a server that vanished without closing the connection within a
/// minute, even on a connection that only listens. The default keepalive of operating systems starts after two hours.
const SETTINGS: [(&str, &str); 6] = [
    ("connect_timeout", "10"),
    ("application_name", "viraldb"),
    ("client_encoding", "UTF8"),
    ("keepalives_idle", "30"),
    ("keepalives_interval", "10"),
    ("keepalives_count", "3"),
];

/// Returns the URL for libpq, with viraldb's connection settings added unless the URL sets them itself.
pub(crate) fn with_settings(url: &str) -> String {
    let mut url = for_libpq(url);
    for (key, value) in SETTINGS {
        let query = query_of(&url);
        let is_set = |query: &str| query.split('&').any(|pair| pair.split('=').next() == Some(key));
        if !query.is_some_and(is_set) {
            url.push(if query.is_some() { '&' } else { '?' });
            url.push_str(&format!("{key}={value}"));
        }
    }
    url
}

/// Maps a connection error of libpq: the server does not answer, or it refused the connection.
pub(crate) fn no_connection(url: &str, message: &str) -> Error {
    let message = without_secrets(url, message);
    if message.contains("during recovery") {
        return unusable(SERVER_IS_READ_ONLY.to_owned());
    }
    if !message.contains("FATAL") {
        let reason = format!("the server cannot be reached: {}", one_line(&message));
        return Error::Disconnected { database: String::new(), reason };
    }
    // The message of PostgreSQL for a database that does not exist.
    let is_missing = message.contains("FATAL:  database \"") && message.contains("\" does not exist");
    let mend = if is_missing { "; create it with createdb, or name another database" } else { "" };
    unusable(format!("the server refused the connection: {}{mend}", one_line(&message)))
}

fn unusable(reason: String) -> Error {
    Error::Unusable { database: String::new(), reason }
}

/// The key of the advisory lock for ingests: "viraling" in ASCII.
const INGEST_LOCK: i64 = 0x7669_7261_6c69_6e67;

/// Takes the ingest lock until the transaction ends, so that only one transaction at a time looks up known rows and inserts the
/// others. Other programs do not take this lock, but unique constraints still prevent duplicates.
pub(crate) fn lock_ingest(conn: &mut PgConnection) -> QueryResult<()> {
    lock(conn, INGEST_LOCK, None)
}

/// Takes an advisory lock for a name until the transaction ends. Each schema has separate locks.
pub(crate) fn lock_name(conn: &mut PgConnection, name: &str) -> QueryResult<()> {
    diesel::sql_query(
        "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, CASE current_schema() \
         WHEN 'public' THEN CAST(0 AS bigint) ELSE pg_catalog.hashtextextended(current_schema()::pg_catalog.text, 0) END))",
    )
        .bind::<Text, _>(name)
        .execute(conn)
        .map(drop)
}

/// Runs `work` in a transaction that is always rolled back.
pub(crate) fn undone<T>(
    conn: &mut PgConnection,
    work: impl FnOnce(&mut PgConnection) -> Result<T>,
) -> Result<T> {
    AnsiTransactionManager::begin_transaction(conn)?;
    let result = work(conn);
    let back = AnsiTransactionManager::rollback_transaction(conn);
    let value = result?; // report the first error
    back?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::with_settings;

    #[test]
    fn settings_are_added_to_the_query() {
        let alive = "keepalives_idle=30&keepalives_interval=10&keepalives_count=3";
        let set = format!("connect_timeout=10&application_name=viraldb&client_encoding=UTF8&{alive}");
        assert_eq!(with_settings("postgres://u:p@h/d"), format!("postgres://u:p@h/d?{set}"));
        assert_eq!(with_settings("postgres://u:p?q@h/d"), format!("postgres://u:p?q@h/d?{set}"));
        assert_eq!(with_settings("postgres:///d?user=a@b"), format!("postgres:///d?user=a@b&{set}"));
        assert_eq!(with_settings("postgres://h/d?pgbouncer=true"), format!("postgres://h/d?{set}"));
        assert_eq!(
            with_settings("postgres://[::1]:5432,h:1/d?application_name=a@b"),
            format!(
                "postgres://[::1]:5432,h:1/d?application_name=a@b&connect_timeout=10&client_encoding=UTF8&{alive}"
            )
        );
    }
}
