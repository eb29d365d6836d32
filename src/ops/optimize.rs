//! Statistics for the planner, and room given back.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use serde::Serialize;

#[cfg(feature = "postgres")]
use crate::Error;
use crate::db::on_backend;
use crate::error::ResultExt;
use crate::{Database, DbConnection, Result};

/// What was done, and what it came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Optimized {
    /// The database, its password masked.
    pub database: String,
    /// Whether it was rewritten without its free pages (SQLite), or its dead rows were made free (PostgreSQL).
    pub vacuumed: bool,
    /// Its size in bytes before, without the write-ahead log.
    pub bytes_before: i64,
    /// And after.
    pub bytes_after: i64,
    /// Bytes of SQLite's write-ahead log before; nothing for a database without one.
    pub wal_bytes_before: Option<u64>,
    /// And after.
    pub wal_bytes_after: Option<u64>,
    /// Programs that have a SQLite file open, one of which kept its log from being emptied; none if it was emptied.
    pub wal_held_by: Vec<String>,
    /// Bytes of the pages of a SQLite file that hold nothing, which new rows take first, and which `vacuum` gives back.
    pub free_bytes: Option<i64>,
}

/// Brings what the planner knows of the tables up to date, and gives back what room can be given back at once.
///
/// - SQLite: `PRAGMA optimize` looks at a sample of each table that has changed much; free pages are given back if
///   the file has `auto_vacuum = INCREMENTAL`, a few at a time, so that others can write; the write-ahead log is emptied.
///   With `vacuum` the file is written anew without free pages. That takes as much room again. It holds the write lock all
///   the time: other programs that wait five seconds for it, as Python's sqlite3 does, fail if it takes longer.
/// - PostgreSQL: `ANALYZE` of viraldb's tables; with `vacuum`, `VACUUM (ANALYZE)`, beside which others read and write.
///
/// # Errors
/// [`Busy`](crate::Error::Busy) if others keep the lock for too long. On PostgreSQL
/// [`Unusable`](crate::Error::Unusable) names the tables that the role may not analyze; the others are done by then.
pub fn optimize(db: &Database, vacuum: bool) -> Result<Optimized> {
    db.session().and_then(|mut session| work(db, &mut session, vacuum)).map_err(|error| db.explained(error))
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

/// Says whether somebody who reads kept SQLite's log from being emptied.
#[cfg_attr(not(feature = "sqlite"), allow(unused_variables))]
fn run(db: &Database, conn: &mut DbConnection, vacuum: bool) -> Result<bool> {
    on_backend!(
        conn,
        sqlite => |c| on_sqlite(db, c, vacuum),
        postgres => |c| on_postgres(c, vacuum).map(|()| false)
    )
}

/// Who may keep it.
fn holders(db: &Database) -> Vec<String> {
    match db.url() {
        #[cfg(feature = "sqlite")]
        crate::DatabaseUrl::File(path) => match crate::db::sqlite::holders(path) {
            none if none.is_empty() => vec!["this program, or one that cannot be seen from here".to_owned()],
            holders => holders,
        },
        _ => Vec::new(),
    }
}

/// PostgreSQL only warns of tables that a role may not analyze, and reports success.
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

    // All tables, not only those that this connection has asked: it is new. It reads a sample of each.
    conn.batch_execute("PRAGMA optimize = 0x10012").of("the database", "")?;
    if vacuum {
        conn.batch_execute("VACUUM").of("the database", "")?;
    } else if pragma(conn, "auto_vacuum").of("the database", "")? == "2" {
        give_pages_back(db)?;
    }
    // A program that reads an older state keeps the log as long as it is.
    Checkpoint::truncate(conn).map(|done| done.busy != 0).of("the database", "")
}

/// Shortens a file with `auto_vacuum = INCREMENTAL` by its free pages, and leaves room for other writers meanwhile.
#[cfg(feature = "sqlite")]
fn give_pages_back(db: &Database) -> Result<()> {
    use crate::db::{Bulk, Chunk, Manner};

    let mut bulk = Bulk::new(db, Manner::Brisk)?;
    while bulk.write(|conn, chunk: Chunk| {
        on_backend!(conn, sqlite => |c| give_some_back(c, chunk).of("the database", ""), postgres => |_c| Ok(false))
    })? {}
    Ok(())
}

/// Gives free pages back until the chunk is over. Returns true if some are left.
#[cfg(feature = "sqlite")]
fn give_some_back(conn: &mut SqliteConnection, chunk: crate::db::Chunk) -> QueryResult<bool> {
    use crate::db::sqlite::pragma;

    /// Pages given back before looking at the time again.
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

/// What the free pages of a SQLite file come to.
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
