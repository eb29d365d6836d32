//! Dumps PostgreSQL databases with `pg_dump`, and restores them with `pg_restore`.

mod exchange;
pub(super) mod likeness;
mod programs;
mod scope;

use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};

use super::manifest::Manifest;
use super::naming::stamp;
use super::unpacked::{Restore, Restored, bring_forward, require_engine};
use super::{Checked, Contents, Progress, Step, Watch, require_rows, script, verify};
use crate::db::migrate::{dashed, newest_query};
use crate::db::url::conninfo::{database_name, in_database};
use crate::db::{postgres, schema};
use crate::error::ResultExt;
use crate::ops::workspace::{Workspace, require_space};
use crate::types::Timestamp;
use crate::{DatabaseUrl, Error, Result};
use programs::{Running, program};
use scope::Scope;

/// The database to connect to while other databases are created, renamed or dropped.
const MAINTENANCE: &str = "postgres";

/// Dumps a snapshot of a database. Other programs can read and write during the dump.
pub(super) fn dump(url: &str, to: &Path, pg_bin: Option<&Path>, watch: Watch<'_>) -> Result<Contents> {
    let mut conn = postgres::establish(url)?;
    conn.batch_execute(postgres::BEGIN_READ).of("", "")?;
    conn.batch_execute(postgres::REFUSE_HIDDEN_ROWS).of("", "")?;
    let total = u64::try_from(number(&mut conn, postgres::SIZE)?).unwrap_or_default();
    let scope = Scope::of(&mut conn, url)?;
    let contents = contents(&mut conn, &scope)?;
    let only = scope.arguments(&mut conn)?;
    let snapshot = text(&mut conn, "SELECT pg_catalog.pg_export_snapshot() AS value")?;
    drop(crate::ops::workspace::create_private(to)?);
    let mut dump = Running::start(
        "pg_dump",
        program("pg_dump", url, pg_bin)?
            .args(["--format=custom", "--compress=0", "--no-password", "--lock-wait-timeout=60s"])
            .args(only)
            .arg(format!("--snapshot={snapshot}"))
            .arg("--file")
            .arg(to),
    )?;
    while dump.is_running()? {
        let done = std::fs::metadata(to).map_or(0, |file| file.len());
        watch(Progress { step: Step::Copying, done, total: total.max(done) });
        std::thread::sleep(Duration::from_millis(20));
    }
    dump.end()?;
    std::fs::File::open(to).and_then(|file| file.sync_all()).map_err(|error| Error::io(to, error))?;
    Ok(contents)
}

/// Reads a whole dump with `pg_restore`, and counts its rows. Each row is one line of the script that `pg_restore` prints.
pub(super) fn check(dump: &Path, pg_bin: Option<&Path>) -> Result<Checked> {
    let mut restore = Running::start(
        "pg_restore",
        program("pg_restore", "", pg_bin)?.args(["--data-only", "--file=-"]).arg(dump).stdout(Stdio::piped()),
    )?;
    let counted = match restore.child.stdout.take() {
        Some(out) => script::count(BufReader::with_capacity(256 * 1024, out))
            .map_err(|error| Error::io("pg_restore", error)),
        None => Ok(BTreeMap::new()),
    };
    restore.end()?;
    Ok(Checked { rows: counted?, orphans: 0 })
}

fn contents(conn: &mut PgConnection, scope: &Scope) -> Result<Contents> {
    let rows = rows(conn, scope)?;
    let keys = if rows.keys().any(|name| name.ends_with(".viraldb_keys")) {
        texts(conn, "SELECT id AS value FROM viraldb_keys WHERE retired_at IS NULL ORDER BY id")?
    } else {
        Vec::new()
    };
    let version =
        "SELECT pg_catalog.split_part(pg_catalog.current_setting('server_version'), ' ', 1) AS value";
    let has_books = rows.keys().any(|name| name.ends_with(".viraldb_migrations"));
    let schema = newest_query(crate::db::migrate::embedded::POSTGRES, has_books);
    Ok(Contents {
        origin: identity(conn, &scope.place.tables)?,
        namespace: scope.schema(),
        engine_version: text(conn, version)?,
        schema: dashed(&text(conn, &schema)?),
        rows,
        keys,
        locale: Some(likeness::locale(conn)?),
    })
}

/// Counts the rows of each table in a backup's scope, as `schema.table`. Tables that viraldb did not create count, too.
fn rows(conn: &mut PgConnection, scope: &Scope) -> Result<BTreeMap<String, u64>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = BigInt)]
        rows: i64,
    }
    let counts = scope.counts(conn)?;
    if counts.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows: Vec<Row> = diesel::sql_query(counts.join(" UNION ALL ")).load(conn).of("", "")?;
    Ok(rows
        .into_iter()
        .map(|row| (row.name.replace('"', ""), u64::try_from(row.rows).unwrap_or_default()))
        .collect())
}

/// Returns what identifies the backups of a database: the system identifier of the server, and the schema unless that is
/// `public`.
///
/// If the database no longer exists, the server's maintenance database is asked. It is not asked first, because a
/// connection pooler might not offer it.
pub(super) fn origin(url: &str) -> Result<String> {
    match postgres::establish(url) {
        Ok(mut conn) => {
            let schema = scope::home(&mut conn, url)?;
            identity(&mut conn, &schema)
        }
        Err(_) => {
            let schema = schema::named(url).unwrap_or_else(|| scope::PUBLIC.to_owned());
            identity(&mut server(url)?, &schema)
        }
    }
}

fn identity(conn: &mut PgConnection, schema: &str) -> Result<String> {
    let cluster = text(conn, "SELECT system_identifier::text AS value FROM pg_catalog.pg_control_system()")?;
    Ok(if schema == scope::PUBLIC { cluster } else { format!("{cluster} {schema}") })
}

/// Counts the rows of each table that a backup of a database would contain.
pub(super) fn count_rows(url: &str) -> Result<BTreeMap<String, u64>> {
    let mut conn = postgres::establish(url)?;
    let scope = Scope::of(&mut conn, url)?;
    rows(&mut conn, &scope)
}

/// Returns the size in bytes of a database, or of its schema.
pub(super) fn size(url: &str) -> Result<u64> {
    let size = number(&mut postgres::establish(url)?, postgres::SIZE)?;
    Ok(u64::try_from(size).unwrap_or_default())
}

/// Rejects a backup that cannot replace the database or schema that the URL leads to.
pub(super) fn require_place(url: &str, manifest: Option<&Manifest>, backup: &Path) -> Result<()> {
    let scope = Scope::of(&mut postgres::establish(url)?, url)?;
    scope.require(manifest, &backup.display().to_string())
}

/// Returns true if the database exists on its server.
pub(super) fn exists(url: &str) -> Result<bool> {
    exists_beside(&mut server(url)?, &database_name(url))
}

fn exists_beside(server: &mut PgConnection, name: &str) -> Result<bool> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        value: bool,
    }
    diesel::sql_query("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1) AS value")
        .bind::<Text, _>(name)
        .get_result::<Row>(server)
        .map(|row| row.value)
        .of("pg_database", name)
}

/// Connects to the server's maintenance database.
fn server(url: &str) -> Result<PgConnection> {
    let open = || {
        let mut conn = postgres::establish(&in_database(url, MAINTENANCE))?;
        // Others may have created functions there, and viraldb may run as a superuser, so do not call them by accident.
        conn.batch_execute("SET search_path = pg_catalog").of("", "")?;
        Ok(conn)
    };
    open().map_err(|error: Error| error.in_database(&DatabaseUrl::Postgres(url.to_owned())))
}

/// Restores a dump into a scratch database, counts its rows, and drops it.
pub(super) fn drill(
    url: &str,
    dump: &Path,
    manifest: Option<&Manifest>,
    pg_bin: Option<&Path>,
) -> Result<BTreeMap<String, u64>> {
    let mut server = server(url)?;
    let scratch = Scratch::new(&mut server, url, "drill", manifest)?;
    let rows = fill(&scratch, dump, manifest, pg_bin, true);
    scratch.drop(&mut server)?;
    rows
}

/// Replaces a database, or one schema of it, with a dump.
pub(super) fn restore(url: &str, options: &Restore, watch: Watch<'_>) -> Result<Restored> {
    let name = database_name(url);
    let shown = DatabaseUrl::Postgres(url.to_owned());
    let mut server = server(url)?;
    if name == MAINTENANCE {
        return Err(Error::invalid(
            name,
            "is the server's maintenance database, which viraldb uses to restore others; choose another database",
        ));
    }
    let is_there = exists_beside(&mut server, &name)?;
    // The schema to replace in a shared database; `None` replaces the whole database.
    let mut part = None;
    let manifest = Manifest::read(&options.file)?;
    let scope = match is_there {
        true => Scope::of(&mut postgres::establish(url)?, url)?,
        false => Scope::of_nothing(url),
    };
    scope.require(manifest.as_ref(), &options.file.display().to_string())?;
    if is_there {
        if scope.is_whole() && manifest.as_ref().is_none_or(|manifest| manifest.namespace.is_none()) {
            require_alone(&mut server, &shown, &name)?;
        } else {
            part = Some(scope);
        }
    }
    // Unpack into this machine's temporary folder, because the database may be on another machine.
    let folder = std::env::temp_dir();
    let content = manifest.map_or(0, |manifest| manifest.content_bytes);
    require_space(&folder, content, "the unpacked dump")?;
    let work = Workspace::new(&folder)?;
    let dump = work.file("dump");
    let (engine, manifest) = verify::unpack(&options.file, options.unseal.as_ref(), &dump, watch)?;
    require_engine(&shown, engine, &options.file)?;
    watch(Progress { step: Step::Checking, done: 0, total: 0 });
    let scratch = Scratch::new(&mut server, url, "restoring", manifest.as_ref())?;
    let done = fill(&scratch, &dump, manifest.as_ref(), options.pg_bin.as_deref(), options.no_owner)
        .and_then(|_| {
            if let Some(scope) = &part {
                let backup = options.file.display().to_string();
                scope.require_alone(&mut postgres::establish(&scratch.url)?, &backup)?;
            }
            let applied = bring_forward(DatabaseUrl::Postgres(scratch.url.clone()), &options.file)?;
            Ok((count_rows(&scratch.url)?, applied))
        })
        .and_then(|done| {
            if let Some(scope) = &part {
                let (again, pg_bin) = (work.file("again"), options.pg_bin.as_deref());
                let kept = exchange::exchange(url, &scratch, scope, &again, pg_bin, options.no_owner)?;
                return Ok((done, kept.map(|schema| format!("the schema {schema} of {name}"))));
            }
            let kept = is_there.then(|| format!("{}_replaced_{}", short(&name), stamp(Timestamp::now())));
            likeness::carry_over(&mut server, &name, &scratch.name)?;
            swap(&mut server, &shown, &name, &scratch.name, kept.as_deref())?;
            Ok((done, kept))
        });
    // After a full restore the scratch database has become the database. Otherwise it is no longer needed.
    if (done.is_err() || part.is_some())
        && let Err(left) = scratch.drop(&mut server)
    {
        tracing::warn!("{left}");
    }
    let ((rows, applied), kept) = done?;
    Ok(Restored { database: shown.to_string(), rows, applied, kept })
}

/// Restores a dump into an empty database, and compares the row counts with the manifest.
fn fill(
    scratch: &Scratch,
    dump: &Path,
    manifest: Option<&Manifest>,
    pg_bin: Option<&Path>,
    no_owner: bool,
) -> Result<BTreeMap<String, u64>> {
    let mut restore = program("pg_restore", &scratch.url, pg_bin)?;
    restore.args(["--exit-on-error", "--single-transaction", "--no-password", "--dbname", &scratch.name]);
    if no_owner {
        restore.args(["--no-owner", "--no-privileges"]);
    }
    Running::start("pg_restore", restore.arg(dump))?.end()?;
    let mut conn = postgres::establish(&scratch.url)?;
    conn.batch_execute("ANALYZE").of("", "")?;
    let scope = Scope::of(&mut conn, &scratch.url)?;
    let rows = rows(&mut conn, &scope)?;
    if let Some(manifest) = manifest {
        require_rows("the restored database", &manifest.rows, &rows)?;
    }
    Ok(rows)
}

/// A scratch database on the same server as the database that is restored.
struct Scratch {
    name: String,
    url: String,
}

impl Scratch {
    /// Creates a scratch database like the database of `url`, or with the locale of the manifest if that does not exist.
    ///
    /// Only one run per database and purpose is possible, because the connection holds an advisory lock until it is
    /// closed. Therefore scratch databases that a killed run left can be dropped here.
    fn new(server: &mut PgConnection, url: &str, purpose: &str, manifest: Option<&Manifest>) -> Result<Self> {
        let of = database_name(url);
        let shown = DatabaseUrl::Postgres(url.to_owned()).to_string();
        let prefix = format!("{}_{purpose}_", short(&of));
        let wait = crate::db::default_busy_timeout().max(Duration::from_secs(10)).as_millis();
        server.batch_execute(&format!("SET lock_timeout = {wait}")).of("", "")?;
        diesel::sql_query("SELECT pg_catalog.pg_advisory_lock(pg_catalog.hashtextextended($1, 0))")
            .bind::<Text, _>(&prefix)
            .execute(server)
            .map_err(|error| Error::Busy {
                database: shown,
                reason: format!("another restore or drill of it is running: {error}"),
            })?;
        let left = diesel::sql_query(
            "SELECT pg_catalog.format('DROP DATABASE %I WITH (FORCE)', datname) AS value FROM pg_database WHERE datname::text ~ $1",
        )
        .bind::<Text, _>(format!("^{prefix}[0-9a-f]{{32}}$")) // only the names that are generated below
        .load::<Value>(server)
        .of("pg_database", "")?;
        for drop in left {
            server.batch_execute(&drop.value).of("pg_database", "")?;
        }
        let name = format!("{prefix}{}", uuid::Uuid::now_v7().simple());
        likeness::create(server, &name, &of, manifest)?;
        Ok(Self { url: in_database(url, &name), name })
    }

    fn drop(&self, server: &mut PgConnection) -> Result<()> {
        server
            .batch_execute(&format!("DROP DATABASE \"{}\" WITH (FORCE)", self.name))
            .of("pg_database", &self.name)
    }
}

/// Renames both databases in one transaction.
fn swap(
    server: &mut PgConnection,
    shown: &DatabaseUrl,
    name: &str,
    scratch: &str,
    kept: Option<&str>,
) -> Result<()> {
    let rename = |from: &str, to: &str| {
        format!("ALTER DATABASE {} RENAME TO {};", likeness::identifier(from), likeness::identifier(to))
    };
    let sql = kept.map(|kept| rename(name, kept)).unwrap_or_default() + &rename(scratch, name);
    server.batch_execute(&sql).or_else(|error| {
        require_alone(server, shown, name)?;
        Err(error).of("pg_database", name)
    })
}

/// Rejects a database that other programs are connected to. Waits up to a second, because the server notices a closed
/// connection late.
fn require_alone(server: &mut PgConnection, shown: &DatabaseUrl, name: &str) -> Result<()> {
    let mut who = others(server, name)?;
    for _ in 0..20 {
        if who.is_empty() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
        who = others(server, name)?;
    }
    Err(Error::Busy {
        database: shown.to_string(),
        reason: format!(
            "open in {}; stop it first, because anything it writes from now on would be lost",
            who.join(", ")
        ),
    })
}

/// Lists other connections to a database, at most ten.
fn others(server: &mut PgConnection, name: &str) -> Result<Vec<String>> {
    let others = diesel::sql_query(
        "SELECT pg_catalog.format('%s as %s (process %s)', coalesce(nullif(application_name, ''), 'a program'), usename, pid) AS value \
         FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_catalog.pg_backend_pid() ORDER BY pid LIMIT 10",
    )
    .bind::<Text, _>(name)
    .load::<Value>(server)
    .of("pg_stat_activity", "")?;
    Ok(others.into_iter().map(|other| other.value).collect())
}

/// Shortens a name to leave room for a suffix. PostgreSQL allows 63 bytes.
fn short(name: &str) -> String {
    let mut short: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    short.truncate(16);
    short
}

#[derive(QueryableByName)]
struct Value {
    #[diesel(sql_type = Text)]
    value: String,
}

fn texts(conn: &mut PgConnection, sql: &str) -> Result<Vec<String>> {
    let rows: Vec<Value> = diesel::sql_query(sql).load(conn).of("", "")?;
    Ok(rows.into_iter().map(|row| row.value).collect())
}

fn text(conn: &mut PgConnection, sql: &str) -> Result<String> {
    diesel::sql_query(sql).get_result::<Value>(conn).map(|row| row.value).of("", "")
}

fn number(conn: &mut PgConnection, sql: &str) -> Result<i64> {
    diesel::select(diesel::dsl::sql::<BigInt>(&format!("({sql})"))).get_result(conn).of("", "")
}
