//! Updates the statistics of the query planner and frees disk space.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use serde::Serialize;

#[cfg(feature = "postgres")]
use crate::Error;
use crate::db::on_backend;
use crate::error::ResultExt;
use crate::{Database, DbConnection, Result};

/// Options for [`optimize`]. `Optimize::default()` does only what is quick.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Optimize {
    /// Also run `VACUUM`, which returns free space to the file system.
    pub vacuum: bool,
}

/// The result of [`optimize`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Optimized {
    /// The database, with the password masked.
    pub database: String,
    /// Whether `VACUUM` ran: SQLite rewrote the file without free pages, or PostgreSQL freed the space of dead rows.
    pub vacuumed: bool,
    /// Size of the database in bytes before, without the write-ahead log.
    pub bytes_before: i64,
    /// Size of the database in bytes after, without the write-ahead log.
    pub bytes_after: i64,
    /// Size of SQLite's write-ahead log in bytes before, or `None` without one.
    pub wal_bytes_before: Option<u64>,
    /// Size of SQLite's write-ahead log in bytes after, or `None` without one.
    pub wal_bytes_after: Option<u64>,
    /// Programs that have the SQLite file open, if one of them prevented truncating the log. Empty if it was truncated.
    pub wal_held_by: Vec<String>,
    /// Size of the free pages of a SQLite file in bytes. New rows reuse them, and `vacuum` removes them.
    pub free_bytes: Option<i64>,
}

/// Updates the planner's statistics, and frees the disk space that can be freed quickly.
///
/// On SQLite:
///
/// - `PRAGMA optimize` samples each table that has changed a lot.
/// - If the file has `auto_vacuum = INCREMENTAL`, viraldb removes free pages in small steps, so that others can write.
/// - The write-ahead log is truncated.
/// - With `vacuum`, SQLite rewrites the file without free pages. This needs free disk space of the size of the database. It
///   holds the write lock all the time, so programs that wait only five seconds, such as Python's sqlite3, may fail.
///
/// On PostgreSQL, viraldb runs `ANALYZE` on its tables, or `VACUUM (ANALYZE)` with `vacuum`. Other sessions can read and
/// write meanwhile.
///
/// # Errors
/// [`Busy`](crate::Error::Busy) if other programs hold the lock for too long. On PostgreSQL, an
/// [`Unusable`](crate::Error::Unusable) error names the tables that the role may not analyze. All other tables have been
/// analyzed by then.
pub fn optimize(db: &Database, options: &Optimize) -> Result<Optimized> {
    db.session()
        .and_then(|mut session| work(db, &mut session, options.vacuum))
        .map_err(|error| db.explained(error))
}

fn work(db: &Database, conn: &mut DbConnection, vacuum: bool) -> Result<Optimized> {
    let bytes_before = super::status::engine(conn)?.1;
    let wal_bytes_before = db.wal_bytes();
    let is_held = run(db, conn, vacuum)?;
    Ok(Optimized {
        wal_held_by: if is_held { holders(db) } else { Vec::new() },
        database: db.url().to_string(),
        vacuumed: vacuum,
        bytes_before,
        bytes_after: super::status::engine(conn)?.1,
        wal_bytes_before,
        wal_bytes_after: db.wal_bytes(),
        free_bytes: free_bytes(conn)?,
    })
}

/// Runs the statements of the engine. Returns true if a reader prevented truncating SQLite's log.
#[cfg_attr(not(feature = "sqlite"), allow(unused_variables))]
fn run(db: &Database, conn: &mut DbConnection, vacuum: bool) -> Result<bool> {
    on_backend!(
        conn,
        sqlite => |c| on_sqlite(db, c, vacuum),
        postgres => |c| on_postgres(c, vacuum).map(|()| false)
    )
}

/// Returns the programs that may prevent truncating the log.
fn holders(db: &Database) -> Vec<String> {
    match db.url() {
        #[cfg(feature = "sqlite")]
        crate::DatabaseUrl::File(path) => match crate::db::sqlite::holders(path) {
            none if none.is_empty() => vec!["this program, or one that viraldb cannot see".to_owned()],
            holders => holders,
        },
        _ => Vec::new(),
    }
}

/// Checks the privileges first: PostgreSQL only warns about tables that a role may not analyze, and reports success.
#[cfg(feature = "postgres")]
fn on_postgres(conn: &mut PgConnection, vacuum: bool) -> Result<()> {
    use diesel::sql_types::{Array, Bool, Text};

    #[derive(QueryableByName)]
    struct Right {
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = Text)]
        role: String,
        #[diesel(sql_type = Text)]
        owner: String,
        #[diesel(sql_type = Bool)]
        is_granted: bool,
    }
    let tables: Vec<&str> = super::sizes::tables().collect();
    let rights: Vec<Right> = diesel::sql_query(format!(
        "SELECT relname::text AS name, current_user::text AS role, pg_catalog.pg_get_userbyid(relowner)::text AS owner, \
         CASE WHEN pg_catalog.pg_has_role(relowner, 'USAGE') OR pg_catalog.pg_has_role(datdba, 'USAGE') THEN true \
         WHEN pg_catalog.current_setting('server_version_num')::integer < 170000 THEN false \
         ELSE pg_catalog.has_table_privilege(pg_class.oid, 'MAINTAIN') END AS is_granted \
         FROM pg_class JOIN pg_database ON datname = current_database() \
         WHERE relkind IN ('r', 'p') AND relnamespace = {} AND relname = ANY ($1) ORDER BY relname",
        crate::db::postgres::HERE
    ))
    .bind::<Array<Text>, _>(tables)
    .load(conn)
    .of("the database", "")?;
    let (granted, refused): (Vec<_>, Vec<_>) = rights.into_iter().partition(|right| right.is_granted);
    let names = |rights: &[Right]| rights.iter().map(|right| &*right.name).collect::<Vec<_>>().join(", ");
    if !granted.is_empty() {
        let what = if vacuum { "VACUUM (ANALYZE)" } else { "ANALYZE" };
        conn.batch_execute(&format!("{what} {}", names(&granted))).of("the database", "")?;
    }
    let Some(Right { role, owner, .. }) = refused.first() else { return Ok(()) };
    Err(Error::Unusable {
        database: String::new(),
        reason: format!(
            "role {role:?} may not analyze {}; run this as the owner {owner:?} or as a superuser",
            names(&refused)
        ),
    })
}

#[cfg(feature = "sqlite")]
fn on_sqlite(db: &Database, conn: &mut SqliteConnection, vacuum: bool) -> Result<bool> {
    use crate::db::sqlite::{Checkpoint, pragma};

    // 0x10000 checks all tables; this new connection has not queried any yet. 0x02 runs ANALYZE, and 0x10 limits it to a
    // sample.
    conn.batch_execute("PRAGMA optimize = 0x10012").of("the database", "")?;
    if vacuum {
        conn.batch_execute("VACUUM").of("the database", "")?;
    } else if pragma(conn, "auto_vacuum").of("the database", "")? == "2" {
        give_pages_back(db)?;
    }
    // A program that reads an older snapshot prevents truncating the log.
    Checkpoint::truncate(conn).map(|done| done.busy != 0).of("the database", "")
}

/// Removes the free pages of a file with `auto_vacuum = INCREMENTAL`, in short transactions that let other writers through.
#[cfg(feature = "sqlite")]
fn give_pages_back(db: &Database) -> Result<()> {
    use crate::db::{Bulk, Chunk, Manner};

    let mut bulk = Bulk::new(db, Manner::Brisk)?;
    while bulk.write(|conn, chunk: Chunk| {
        on_backend!(conn, sqlite => |c| give_some_back(c, chunk).of("the database", ""), postgres => |_c| Ok(false))
    })? {}
    Ok(())
}

/// Removes free pages until the chunk's time is over. Returns true if some are left.
#[cfg(feature = "sqlite")]
fn give_some_back(conn: &mut SqliteConnection, chunk: crate::db::Chunk) -> QueryResult<bool> {
    use crate::db::sqlite::pragma;

    /// Pages removed between two checks of the time.
    const PAGES: u32 = 100;

    let mut left = pragma(conn, "freelist_count")?;
    while left != "0" {
        conn.batch_execute(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
        let now = pragma(conn, "freelist_count")?;
        if now == left {
            return Ok(false);
        }
        left = now;
        if chunk.is_over() {
            return Ok(left != "0");
        }
    }
    Ok(false)
}

/// Returns the size of the free pages of a SQLite file in bytes.
fn free_bytes(conn: &mut DbConnection) -> Result<Option<i64>> {
    on_backend!(conn, sqlite => |c| on_free_pages(c).map(Some), postgres => |_c| Ok(None))
        .of("the database", "")
}

#[cfg(feature = "sqlite")]
fn on_free_pages(conn: &mut SqliteConnection) -> QueryResult<i64> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        bytes: i64,
    }
    diesel::sql_query(
        "SELECT freelist_count * page_size AS bytes FROM pragma_freelist_count, pragma_page_size",
    )
    .get_result::<Row>(conn)
    .map(|row| row.bytes)
}
