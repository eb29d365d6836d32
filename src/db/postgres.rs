//! What only PostgreSQL needs: how its connections are opened.

use diesel::connection::{AnsiTransactionManager, CacheSize, TransactionManager};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};

use super::url::{for_libpq, is_pooled, query_of, without_secrets};
use crate::error::{ResultExt, SERVER_IS_READ_ONLY};
use crate::quote::one_line;
use crate::{Error, Result};

/// Rows of one INSERT. The widest table has 34 columns to fill, and the protocol takes 65,535
/// parameters.
pub(crate) const CHUNK: usize = 1_000;

/// Makes queries of the open transaction fail where row-level security would leave rows out.
pub(crate) const REFUSE_HIDDEN_ROWS: &str = "SET LOCAL row_security = off";

/// Begins a transaction that reads, all of its statements as of one moment.
pub(crate) const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";

/// Names the lock under which migrations run: "viraldb" in ASCII.
const MIGRATION_LOCK: i64 = 0x0076_6972_616c_6462;

/// Begins a transaction that migrates. It sees what was committed while it waited for its turn.
pub(crate) const BEGIN_MIGRATION: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// The schema of viraldb's tables, within a query of the catalog: the first of `search_path` that exists. Not
/// `pg_table_is_visible`, which also finds what is in a later schema.
pub(crate) const HERE: &str = "(SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = current_schema())";

/// A query for the bytes of viraldb's data: those of the database where the tables are in `public`, and those of the
/// schema otherwise, next to which the database has others.
pub(crate) const SIZE: &str = "SELECT CASE current_schema() \
    WHEN 'public' THEN pg_catalog.pg_database_size(current_database()) \
    ELSE (SELECT coalesce(pg_catalog.sum(pg_catalog.pg_total_relation_size(oid)), 0)::bigint FROM pg_catalog.pg_class \
        WHERE relkind IN ('r', 'm') AND relnamespace = \
            (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = current_schema())) END";

/// Returns the first schema of `search_path` that exists and that the role may use.
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

/// Takes a lock of viraldb until the transaction ends. In `public` its key is the number that every version of viraldb has
/// used; every other schema has keys of its own. `schema` is the one to lock for if there is no current one yet.
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

/// Lets one transaction at a time migrate. `schema` is the one that the URL names, which may not exist yet.
pub(crate) fn lock_migrations(conn: &mut PgConnection, schema: Option<&str>) -> QueryResult<()> {
    lock(conn, MIGRATION_LOCK, schema)
}

/// Opens a connection. A server that does not answer is an error within ten seconds, unless the URL
/// sets its own `connect_timeout`.
pub(crate) fn establish(url: &str) -> Result<PgConnection> {
    let conn = PgConnection::establish(&with_settings(url));
    let mut conn = conn.map_err(|error| no_connection(url, &error.to_string()))?;
    if is_pooled(url) {
        // The next transaction may be given a session that has not prepared it. Without a name a statement is
        // prepared and executed in one message.
        conn.set_prepared_statement_cache_size(CacheSize::Disabled);
    }
    Ok(conn)
}

/// What each connection of ours sets. A server that is gone without a word is noticed within a minute, also by who only
/// listens; a system's own keepalive begins after two hours.
const SETTINGS: [(&str, &str); 6] = [
    ("connect_timeout", "10"),
    ("application_name", "viraldb"),
    ("client_encoding", "UTF8"),
    ("keepalives_idle", "30"),
    ("keepalives_interval", "10"),
    ("keepalives_count", "3"),
];

/// The URL as libpq takes it, with what each connection of ours sets, unless the URL sets it itself.
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

/// Why libpq got no connection: nobody answers, or the server says no.
pub(crate) fn no_connection(url: &str, message: &str) -> Error {
    let message = without_secrets(url, message);
    if message.contains("during recovery") {
        return unusable(SERVER_IS_READ_ONLY.to_owned());
    }
    if !message.contains("FATAL") {
        let reason = format!("the server cannot be reached: {}", one_line(&message));
        return Error::Disconnected { database: String::new(), reason };
    }
    // What psql and libpq say of a database that is not there.
    let is_missing = message.contains("FATAL:  database \"") && message.contains("\" does not exist");
    let mend = if is_missing { "; make it with createdb, or name another" } else { "" };
    unusable(format!("the server refuses: {}{mend}", one_line(&message)))
}

fn unusable(reason: String) -> Error {
    Error::Unusable { database: String::new(), reason }
}

/// Names the lock under which rows are ingested: "viraling" in ASCII.
const INGEST_LOCK: i64 = 0x7669_7261_6c69_6e67;

/// Lets one transaction at a time look up which rows are known and insert the others. Programs that are
/// not ours do not take this lock; a unique constraint still stops them.
pub(crate) fn lock_ingest(conn: &mut PgConnection) -> QueryResult<()> {
    lock(conn, INGEST_LOCK, None)
}

/// Lets one transaction at a time work on what has this name, in each schema by itself.
pub(crate) fn lock_name(conn: &mut PgConnection, name: &str) -> QueryResult<()> {
    diesel::sql_query(
        "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, CASE current_schema() \
         WHEN 'public' THEN CAST(0 AS bigint) ELSE pg_catalog.hashtextextended(current_schema()::pg_catalog.text, 0) END))",
    )
        .bind::<Text, _>(name)
        .execute(conn)
        .map(drop)
}

/// Runs `work` in a transaction that is taken back, however it ends.
pub(crate) fn undone<T>(
    conn: &mut PgConnection,
    work: impl FnOnce(&mut PgConnection) -> Result<T>,
) -> Result<T> {
    AnsiTransactionManager::begin_transaction(conn)?;
    let result = work(conn);
    let back = AnsiTransactionManager::rollback_transaction(conn);
    let value = result?; // the first error is the one to report
    back?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::with_settings;

    #[test]
    fn settings_go_into_the_query() {
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
