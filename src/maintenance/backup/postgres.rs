//! Dumps of PostgreSQL databases, by its own programs, and putting one in the place of a database.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};

use super::folder::stamp;
use super::manifest::Manifest;
use super::restore::{Restore, Restored, bring_forward, require_engine};
use super::{Checked, Contents, Progress, Step, Watch, require_rows, script, verify};
use crate::db::conninfo::{database_name, environment, in_database};
use crate::db::migrate::dashed;
use crate::db::postgres;
use crate::error::{ResultExt, found_no_room, one_line};
use crate::maintenance::workspace::{Workspace, require_space};
use crate::types::Timestamp;
use crate::{DatabaseUrl, Error, Result};

/// Where Debian has the programs, one folder a version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// The database to connect to for what is done to others.
const MAINTENANCE: &str = "postgres";

/// Dumps a database as it is at one moment; others read and write meanwhile.
pub(super) fn dump(url: &str, to: &Path, pg_bin: Option<&Path>, watch: Watch<'_>) -> Result<Contents> {
    let mut conn = postgres::establish(url)?;
    conn.batch_execute(postgres::BEGIN_READ).of("", "")?;
    conn.batch_execute(postgres::REFUSE_HIDDEN_ROWS).of("", "")?;
    let total = u64::try_from(number(&mut conn, "SELECT pg_catalog.pg_database_size(current_database())")?)
        .unwrap_or_default();
    let contents = contents(&mut conn)?;
    let snapshot = text(&mut conn, "SELECT pg_catalog.pg_export_snapshot() AS value")?;
    drop(crate::maintenance::workspace::create_private(to)?);
    let mut dump = Running::start(
        "pg_dump",
        program("pg_dump", url, pg_bin)?
            .args(["--format=custom", "--compress=0", "--no-password", "--lock-wait-timeout=60s"])
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

/// Reads a dump to its end as `pg_restore` does, and counts its rows: a line each.
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

fn contents(conn: &mut PgConnection) -> Result<Contents> {
    let rows = rows(conn)?;
    let keys = if rows.keys().any(|name| name.ends_with(".viraldb_keys")) {
        texts(conn, "SELECT id AS value FROM viraldb_keys WHERE retired_at IS NULL ORDER BY id")?
    } else {
        Vec::new()
    };
    let version =
        "SELECT pg_catalog.split_part(pg_catalog.current_setting('server_version'), ' ', 1) AS value";
    let schema = "SELECT coalesce(max(version), '') AS value FROM __diesel_schema_migrations";
    Ok(Contents {
        origin: identity(conn)?,
        engine_version: text(conn, version)?,
        schema: dashed(&text(conn, schema)?),
        rows,
        keys,
    })
}

/// The rows of each table, also those that are not ours, by `schema.table`.
fn rows(conn: &mut PgConnection) -> Result<BTreeMap<String, u64>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = BigInt)]
        rows: i64,
    }
    let counts = texts(
        conn,
        "SELECT pg_catalog.format('SELECT %L AS name, (SELECT count(*) FROM ONLY %I.%I) AS rows', nspname::text || '.' || relname::text, nspname, relname) AS value \
         FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace \
         WHERE relkind = 'r' AND relpersistence <> 't' AND nspname <> 'information_schema' AND nspname::text !~ '^pg_'",
    )?;
    let rows: Vec<Row> = diesel::sql_query(counts.join(" UNION ALL ")).load(conn).of("", "")?;
    Ok(rows
        .into_iter()
        .map(|row| (row.name.replace('"', ""), u64::try_from(row.rows).unwrap_or_default()))
        .collect())
}

/// The number that a cluster got when it was made, by which backups of its databases are known. The database itself
/// may be gone, and a pooler may not have another.
pub(super) fn origin(url: &str) -> Result<String> {
    identity(&mut postgres::establish(url).or_else(|_| server(url))?)
}

fn identity(conn: &mut PgConnection) -> Result<String> {
    text(conn, "SELECT system_identifier::text AS value FROM pg_catalog.pg_control_system()")
}

/// The rows of each table of a database.
pub(super) fn count_rows(url: &str) -> Result<BTreeMap<String, u64>> {
    rows(&mut postgres::establish(url)?)
}

/// Bytes of a database.
pub(super) fn size(url: &str) -> Result<u64> {
    let size =
        number(&mut postgres::establish(url)?, "SELECT pg_catalog.pg_database_size(current_database())")?;
    Ok(u64::try_from(size).unwrap_or_default())
}

/// Whether the server has the database.
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

/// A connection to the server beside the database.
fn server(url: &str) -> Result<PgConnection> {
    let open = || {
        let mut conn = postgres::establish(&in_database(url, MAINTENANCE))?;
        // Others may have made functions there, and we may be a superuser.
        conn.batch_execute("SET search_path = pg_catalog").of("", "")?;
        Ok(conn)
    };
    open().map_err(|error: Error| error.in_database(&DatabaseUrl::Postgres(url.to_owned())))
}

/// Restores a dump into a database of its own, counts, and drops it.
pub(super) fn drill(
    url: &str,
    dump: &Path,
    manifest: Option<&Manifest>,
    pg_bin: Option<&Path>,
) -> Result<BTreeMap<String, u64>> {
    let mut server = server(url)?;
    let scratch = Scratch::new(&mut server, url, "drill")?;
    let rows = fill(&scratch, dump, manifest, pg_bin, true);
    scratch.drop(&mut server)?;
    rows
}

/// Puts a dump in the place of a database.
pub(super) fn restore(url: &str, options: &Restore, watch: Watch<'_>) -> Result<Restored> {
    let name = database_name(url);
    let shown = DatabaseUrl::Postgres(url.to_owned());
    let mut server = server(url)?;
    if name == MAINTENANCE {
        return Err(Error::invalid(name, "is the server's own database, from which others are restored"));
    }
    let is_there = exists_beside(&mut server, &name)?;
    if is_there {
        require_alone(&mut server, &shown, &name)?;
    }
    // What is unpacked goes to where this machine keeps such things, because the database is elsewhere.
    let folder = std::env::temp_dir();
    let content = Manifest::read(&options.file)?.map_or(0, |manifest| manifest.content_bytes);
    require_space(&folder, content, "the unpacked dump")?;
    let work = Workspace::new(&folder)?;
    let dump = work.file("dump");
    let (engine, manifest) = verify::unpack(&options.file, options.unseal.as_ref(), &dump, watch)?;
    require_engine(&shown, engine, &options.file)?;
    watch(Progress { step: Step::Checking, done: 0, total: 0 });
    let scratch = Scratch::new(&mut server, url, "restoring")?;
    let done = fill(&scratch, &dump, manifest.as_ref(), options.pg_bin.as_deref(), options.no_owner)
        .and_then(|_| {
            let applied = bring_forward(DatabaseUrl::Postgres(scratch.url.clone()), &options.file)?;
            Ok((count_rows(&scratch.url)?, applied))
        })
        .and_then(|done| {
            let kept = is_there.then(|| format!("{}_replaced_{}", short(&name), stamp(Timestamp::now())));
            carry_over(&mut server, &name, &scratch.name)?;
            swap(&mut server, &shown, &name, &scratch.name, kept.as_deref())?;
            Ok((done, kept))
        });
    match done {
        Ok(((rows, applied), kept)) => Ok(Restored { database: shown.to_string(), rows, applied, kept }),
        Err(error) => {
            if let Err(left) = scratch.drop(&mut server) {
                tracing::warn!("{left}");
            }
            Err(error)
        }
    }
}

/// Restores a dump into an empty database and compares the counts.
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
    let rows = rows(&mut conn)?;
    if let Some(manifest) = manifest {
        require_rows("the restored database", &manifest.rows, &rows)?;
    }
    Ok(rows)
}

/// A database beside the one that is restored, until it takes its place.
struct Scratch {
    name: String,
    url: String,
}

impl Scratch {
    /// Makes one like the database of `url`, if that is there. Those that a killed run left are dropped, because
    /// there is one such run at a time: the server's connection holds a lock as long as it lives.
    fn new(server: &mut PgConnection, url: &str, purpose: &str) -> Result<Self> {
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
                reason: format!("another one is under way: {error}"),
            })?;
        let left = diesel::sql_query(
            "SELECT pg_catalog.format('DROP DATABASE %I WITH (FORCE)', datname) AS value FROM pg_database WHERE datname::text ~ $1",
        )
        .bind::<Text, _>(format!("^{prefix}[0-9a-f]{{32}}$")) // as they are named below, and nobody else's
        .load::<Value>(server)
        .of("pg_database", "")?;
        for drop in left {
            server.batch_execute(&drop.value).of("pg_database", "")?;
        }
        let name = format!("{prefix}{}", uuid::Uuid::now_v7().simple());
        let create = diesel::sql_query(
            "SELECT coalesce((SELECT pg_catalog.format('CREATE DATABASE %I TEMPLATE template0 OWNER %I ENCODING %L LC_COLLATE %L LC_CTYPE %L%s', \
             $1, pg_catalog.pg_get_userbyid(datdba), pg_catalog.pg_encoding_to_char(encoding), datcollate, datctype, \
             (SELECT pg_catalog.format(' TABLESPACE %I', spcname) FROM pg_tablespace AS t WHERE t.oid = dattablespace AND spcname <> 'pg_default')) \
             FROM pg_database WHERE datname = $2), \
             pg_catalog.format('CREATE DATABASE %I TEMPLATE template0', $1)) AS value",
        )
        .bind::<Text, _>(&name)
        .bind::<Text, _>(&of)
        .get_result::<Value>(server)
        .of("pg_database", &of)?;
        server.batch_execute(&create.value).of("pg_database", &name)?;
        Ok(Self { url: in_database(url, &name), name })
    }

    fn drop(&self, server: &mut PgConnection) -> Result<()> {
        server
            .batch_execute(&format!("DROP DATABASE \"{}\" WITH (FORCE)", self.name))
            .of("pg_database", &self.name)
    }
}

/// Gives a database what another has as a whole: who may do what with it, how many may connect, its settings. None of
/// that is in a dump.
fn carry_over(server: &mut PgConnection, from: &str, to: &str) -> Result<()> {
    let statements = diesel::sql_query(
        "SELECT statement AS value FROM (SELECT oid, datdba, datacl, datconnlimit FROM pg_database WHERE datname = $1) AS db, \
         LATERAL ( \
           SELECT 1 AS place, pg_catalog.format('REVOKE ALL ON DATABASE %I FROM PUBLIC, %I', $2, pg_catalog.pg_get_userbyid(datdba)) AS statement \
             WHERE datacl IS NOT NULL \
           UNION ALL SELECT 2, pg_catalog.format('GRANT %s ON DATABASE %I TO %s%s', privilege_type, $2, \
               CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(grantee)) END, \
               CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) FROM pg_catalog.aclexplode(datacl) \
           UNION ALL SELECT 3, pg_catalog.format('ALTER DATABASE %I CONNECTION LIMIT %s', $2, datconnlimit) WHERE datconnlimit <> -1 \
           UNION ALL SELECT 4, pg_catalog.format('SELECT pg_catalog.set_config(%L, %L, true); %s SET %I FROM CURRENT', \
               pg_catalog.split_part(setting, '=', 1), substr(setting, pg_catalog.strpos(setting, '=') + 1), \
               CASE setrole WHEN 0 THEN pg_catalog.format('ALTER DATABASE %I', $2) \
               ELSE pg_catalog.format('ALTER ROLE %I IN DATABASE %I', pg_catalog.pg_get_userbyid(setrole), $2) END, \
               pg_catalog.split_part(setting, '=', 1)) \
             FROM pg_db_role_setting, pg_catalog.unnest(setconfig) AS setting WHERE setdatabase = oid \
         ) AS statements ORDER BY place",
    )
    .bind::<Text, _>(from)
    .bind::<Text, _>(to)
    .load::<Value>(server)
    .of("pg_database", from)?;
    for statement in statements {
        // Each is a transaction, in which the setting has the value that is kept.
        if let Err(error) = server.batch_execute(&statement.value) {
            // Without the value, which may be a secret.
            let what = statement.value.rsplit("; ").next().unwrap_or_default().replace(to, from);
            tracing::warn!("the restored database lacks what `{what}` would give it: {error}");
        }
    }
    Ok(())
}

/// Gives both their new names, at once.
fn swap(
    server: &mut PgConnection,
    shown: &DatabaseUrl,
    name: &str,
    scratch: &str,
    kept: Option<&str>,
) -> Result<()> {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let rename = |from: &str, to: &str| format!("ALTER DATABASE {} RENAME TO {};", quoted(from), quoted(to));
    let sql = kept.map(|kept| rename(name, kept)).unwrap_or_default() + &rename(scratch, name);
    server.batch_execute(&sql).or_else(|error| {
        require_alone(server, shown, name)?;
        Err(error).of("pg_database", name)
    })
}

/// Refuses a database that anybody is connected to. The server sees a moment later that somebody has left.
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
            "open in {}; end it first, because what it writes from now on would be lost",
            who.join(", ")
        ),
    })
}

/// Who is connected to a database, ten at most.
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

/// As much of a name as leaves room for what is put behind it: PostgreSQL takes 63 bytes.
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

/// A program of PostgreSQL's for a database. What connects it stands in its environment, because anybody may read
/// its arguments.
fn program(name: &str, url: &str, pg_bin: Option<&Path>) -> Result<Command> {
    let mut command = Command::new(find(name, pg_bin)?);
    // The program gets the connection below, and no key or other URL of ours.
    for (variable, _) in std::env::vars_os() {
        if is_ours(&variable.to_string_lossy()) {
            command.env_remove(variable);
        }
    }
    if !url.is_empty() {
        command.envs(environment(url)?);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    Ok(command)
}

/// Returns true for variables that only viraldb reads. Settings may be secrets under any name.
fn is_ours(variable: &str) -> bool {
    variable == "DATABASE_URL" || variable.to_ascii_uppercase().starts_with("VIRALDB_")
}

fn find(name: &str, pg_bin: Option<&Path>) -> Result<PathBuf> {
    let in_folder = |folder: PathBuf| Some(folder.join(name)).filter(|program| program.is_file());
    let found = match pg_bin {
        Some(folder) => in_folder(folder.to_owned()),
        None => std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .find_map(in_folder)
            .or_else(|| {
                let versions = std::fs::read_dir(DEBIAN).ok()?.flatten();
                let version = |folder: &PathBuf| folder.file_name()?.to_str()?.parse::<u32>().ok();
                let mut folders: Vec<PathBuf> = versions.map(|version| version.path()).collect();
                folders.sort_by_key(version);
                folders.into_iter().rev().find_map(|folder| in_folder(folder.join("bin")))
            }),
    };
    found.ok_or_else(|| Error::Unusable {
        database: name.to_owned(),
        reason: match pg_bin {
            Some(folder) => format!("is not in {}; name the folder of PostgreSQL's client programs", folder.display()),
            None => "was not found; install PostgreSQL's client programs (Debian: apt-get install postgresql-client), \
                     or name their folder with --pg-bin"
                .to_owned(),
        },
    })
}

/// The most that is kept of what a program says.
const ERRORS: u64 = 64 * 1024;

/// A program under way, whose errors are read as they come.
struct Running {
    name: &'static str,
    child: Child,
    said: JoinHandle<std::io::Result<Vec<u8>>>,
}

impl Running {
    fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        let mut child = command.spawn().map_err(|error| Error::io(name, error))?;
        let errors = child.stderr.take();
        let said = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let Some(mut errors) = errors else { return Ok(bytes) };
            errors.by_ref().take(ERRORS).read_to_end(&mut bytes)?;
            // It would wait for ever if nobody read the rest.
            std::io::copy(&mut errors, &mut std::io::sink())?;
            Ok(bytes)
        });
        Ok(Self { name, child, said })
    }

    fn is_running(&mut self) -> Result<bool> {
        self.child.try_wait().map(|ended| ended.is_none()).map_err(|error| Error::io(self.name, error))
    }

    /// Waits for it; it must succeed.
    fn end(mut self) -> Result<()> {
        let status = self.child.wait().map_err(|error| Error::io(self.name, error))?;
        let said = self.said.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        if status.success() {
            return Ok(());
        }
        let said = said.map_err(|error| Error::io(self.name, error))?;
        let said = one_line(&String::from_utf8_lossy(&said));
        let room = if found_no_room(&said) { "; make room and try again" } else { "" };
        let reason = format!("failed ({status}): {said}{room}");
        Err(Error::Unusable { database: self.name.to_owned(), reason })
    }
}
