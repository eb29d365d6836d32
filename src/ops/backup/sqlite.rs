//! Copies SQLite databases, and replaces a database file with a restored copy.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::manifest::Manifest;
use super::naming::stamp;
use super::sqlite_error::failed;
use super::unpacked::{Restore, Restored, bring_forward, check_unpacked, require_engine};
use super::{Checked, Contents, Progress, Step, Watch, folder_of, verify};
use crate::db::files::{LOGS, identity};
use crate::db::migrate::{dashed, embedded, newest_query};
use crate::db::{beside, sqlite};
#[cfg(unix)]
use crate::ops::mounts;
use crate::ops::workspace::{Workspace, require_space, sync_folder};
use crate::types::Timestamp;
use crate::{DatabaseUrl, Error, Result};

/// Pages copied in one step: 16 MB with viraldb's page size.
const PAGES: i32 = 4_096;

/// Copies a snapshot of a database. Other connections can read and write during the copy.
pub(super) fn copy(path: &Path, to: &Path, watch: Watch<'_>) -> Result<Contents> {
    sqlite::look_at(path)?;
    let failed = |error| failed(path, error);
    let source = open(path).map_err(failed)?;
    // This read transaction fixes the snapshot. Writers do not wait for it.
    source.execute_batch("PRAGMA query_only = ON; BEGIN").map_err(failed)?;
    let mut contents = contents(&source).map_err(failed)?;
    contents.origin = origin(path);
    drop(crate::ops::workspace::create_private(to)?);
    let mut copy = Connection::open(to).map_err(failed)?;
    copy.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -16000").map_err(failed)?;
    let page: u64 = source.query_row("PRAGMA page_size", [], |row| row.get(0)).map_err(failed)?;
    {
        let backup = Backup::new(&source, &mut copy).map_err(failed)?;
        loop {
            let step = backup.step(PAGES).map_err(failed)?;
            let at = backup.progress();
            let bytes = |pages: i32| u64::try_from(pages).unwrap_or_default() * page;
            let total = bytes(at.pagecount);
            watch(Progress { step: Step::Copying, done: total - bytes(at.remaining), total });
            match step {
                StepResult::Done => break,
                StepResult::More => {}
                _ => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }
    // Without WAL mode, the copy is a single file.
    copy.execute_batch("PRAGMA journal_mode = DELETE").map_err(failed)?;
    copy.close().map_err(|(_, error)| failed(error))?;
    fs::File::open(to).and_then(|file| file.sync_all()).map_err(|error| Error::io(to, error))?;
    Ok(contents)
}

/// Checks that a copy opens and is intact, and counts its rows.
///
/// SQLite does not evaluate CHECK constraints in a read-only file. Rows that violate them stay in the backup,
/// and `viraldb doctor` reports them.
pub(super) fn check(copy: &Path) -> Result<Checked> {
    let failed = |error| failed(copy, error);
    let conn =
        Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .map_err(failed)?;
    let errors: Vec<String> = conn
        .prepare("PRAGMA integrity_check(3)")
        .and_then(|mut check| check.query_map([], |row| row.get(0))?.collect())
        .map_err(failed)?;
    if errors != ["ok"] {
        return Err(Error::invalid(
            copy.display().to_string(),
            format!("is a damaged database: {}; an older backup may be intact", errors.join("; ")),
        ));
    }
    let orphans = conn
        .query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0))
        .map_err(failed)?;
    Ok(Checked { rows: rows(&conn).map_err(failed)?, orphans })
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // To read a write-ahead log, SQLite must write to the log's index, so try read-write first. A read-only database file
    // needs no such write.
    let conn = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_READ_WRITE)
        .or_else(|_| Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_READ_ONLY))?;
    conn.busy_timeout(crate::db::default_busy_timeout())?;
    Ok(conn)
}

/// Returns the absolute path of a database file, which identifies its backups.
pub(super) fn origin(path: &Path) -> String {
    let folder = folder_of(path);
    let folder = folder.canonicalize().unwrap_or(folder);
    path.canonicalize()
        .unwrap_or_else(|_| folder.join(path.file_name().unwrap_or_default()))
        .display()
        .to_string()
}

/// Counts the rows of each table of a database.
pub(super) fn count_rows(path: &Path) -> Result<BTreeMap<String, u64>> {
    open(path).and_then(|conn| rows(&conn)).map_err(|error| failed(path, error))
}

fn contents(conn: &Connection) -> rusqlite::Result<Contents> {
    let rows = rows(conn)?;
    let text = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, String>(0));
    let mut keys = Vec::new();
    if rows.contains_key("viraldb_keys") {
        let mut used = conn.prepare("SELECT id FROM viraldb_keys WHERE retired_at IS NULL ORDER BY id")?;
        keys = used.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    }
    Ok(Contents {
        namespace: None,
        engine_version: text("SELECT sqlite_version()")?,
        origin: String::new(),
        schema: dashed(&text(&newest_query(embedded::SQLITE, rows.contains_key("viraldb_migrations")))?),
        rows,
        keys,
        locale: None,
    })
}

/// Counts the rows of each table, including tables that viraldb did not create.
fn rows(conn: &Connection) -> rusqlite::Result<BTreeMap<String, u64>> {
    let mut tables = conn.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
         AND sql NOT LIKE 'CREATE VIRTUAL%'",
    )?;
    let names: Vec<String> = tables.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    names
        .into_iter()
        .map(|name| {
            let sql = format!("SELECT count(*) FROM \"{}\"", name.replace('"', "\"\""));
            Ok((name, conn.query_row(&sql, [], |row| row.get(0))?))
        })
        .collect()
}

/// Replaces a database file with a backup. The database stays locked from the first check to the last rename.
pub(super) fn restore(
    url: &DatabaseUrl,
    path: &Path,
    options: &Restore,
    watch: Watch<'_>,
) -> Result<Restored> {
    // Replace the target of a symbolic link, not the link.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = folder_of(&path);
    let there = fs::metadata(&path);
    if there.as_ref().is_ok_and(|there| !there.is_file()) {
        return Err(Error::invalid(
            path.display().to_string(),
            "is not a regular file; give the path of a database file, such as viral.db",
        ));
    }
    if let Ok(there) = &there {
        require_replaceable(&path, there)?;
    }
    let alone = if there.is_ok() { Some(Alone::with(&path)?) } else { None };
    if alone.as_ref().is_some_and(Alone::is_held) {
        remove_second_names(&path)?;
    }
    let manifest = Manifest::read(&options.file)?;
    if let Some(manifest) = &manifest {
        require_engine(url, manifest.engine, &options.file)?;
    }
    require_space(&folder, manifest.map_or(0, |manifest| manifest.content_bytes), "the restored database")?;
    let work = Workspace::new(&folder)?;
    let copy = work.file("viral.db");
    let (engine, manifest) = verify::unpack(&options.file, options.unseal.as_ref(), &copy, watch)?;
    require_engine(url, engine, &options.file)?;
    watch(Progress { step: Step::Checking, done: 0, total: 0 });
    check_unpacked(engine, &options.file, &copy, manifest.as_ref(), None)?;
    let applied = bring_forward(DatabaseUrl::File(copy.clone()), &options.file)?;
    let rows = count_rows(&copy)?;
    if let Ok(there) = &there {
        take_owner(&copy, there)?;
    }
    fs::File::open(&copy).and_then(|file| file.sync_all()).map_err(|error| Error::io(&copy, error))?;
    let kept = beside(&path, &format!("{KEPT}{}", stamp(Timestamp::now())));
    replace(&path, &copy, &kept, alone.is_some())?;
    let kept = alone.map(|alone| {
        alone.was_replaced();
        kept.display().to_string()
    });
    Ok(Restored { database: url.to_string(), rows, applied, kept })
}

/// Rejects a file that the operating system does not let this user replace, or does not let anyone replace.
#[cfg_attr(not(unix), allow(unused_variables))]
fn require_replaceable(path: &Path, there: &fs::Metadata) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let refused = |reason: String| Err(Error::Unusable { database: path.display().to_string(), reason });
        if mounts::is_mount_point(&mounts::read()?, path) {
            return refused(
                "is mounted as a single file, so it cannot be replaced; mount the folder that contains it, and restore \
                 there"
                    .to_owned(),
            );
        }
        let folder = folder_of(path);
        let around = fs::metadata(&folder).map_err(|error| Error::io(&folder, error))?;
        let user = rustix::process::geteuid().as_raw();
        // In a sticky folder, only root, the owner of the file and the owner of the folder may rename or remove a file.
        let is_sticky = around.permissions().mode() & 0o1000 != 0;
        if is_sticky && user != 0 && ![around.uid(), there.uid()].contains(&user) {
            return refused(format!(
                "belongs to user {}, and only that user can replace it in {}, which has the sticky bit; restore as that user",
                there.uid(),
                folder.display()
            ));
        }
    }
    Ok(())
}

/// The part between the database name and the timestamp in the name of a kept database.
const KEPT: &str = ".replaced-";

/// Replaces a database with a copy. Keeps the old database, if there is one, and its logs under the name `kept`.
///
/// The path always leads to one of the two databases. If the replacement fails, the path leads to the unchanged old
/// database.
fn replace(path: &Path, copy: &Path, kept: &Path, has_old: bool) -> Result<()> {
    let folder = folder_of(path);
    if has_old {
        fs::hard_link(path, kept).map_err(|error| Error::io(kept, error))?;
    }
    let placed = put_logs_aside(path, kept)
        .and_then(|()| sync_folder(&folder))
        .and_then(|()| fs::rename(copy, path).map_err(|error| Error::io(path, error)));
    if let Err(error) = placed {
        return Err(match back(path, kept, has_old) {
            Ok(()) => error,
            Err(left) => error.with(&format!("undoing the partial replacement failed, too: {left}")),
        });
    }
    for log in LOGS.map(|ending| beside(kept, ending)).iter().filter(|log| !has_old && log.exists()) {
        tracing::warn!(
            "the database was missing, but its log was there; it may contain the latest changes and is kept as {}",
            log.display()
        );
    }
    sync_folder(&folder)
}

/// Undoes a failed replacement: moves the logs back, and removes the second name of the old database.
fn back(path: &Path, kept: &Path, has_old: bool) -> Result<()> {
    for ending in LOGS {
        let (log, aside) = (beside(path, ending), beside(kept, ending));
        if aside.exists() {
            fs::rename(&aside, &log).map_err(|error| Error::io(log, error))?;
        }
    }
    if has_old { fs::remove_file(kept).map_err(|error| Error::io(kept, error)) } else { Ok(()) }
}

/// Moves the logs of a database away and removes its `-shm` file, because SQLite would apply them to the new database.
///
/// A log may contain data that is nowhere else, even if its database is damaged or missing. So viraldb renames it as it
/// renames the database.
fn put_logs_aside(path: &Path, kept: &Path) -> Result<()> {
    for ending in LOGS.into_iter().chain(["-shm"]) {
        let file = beside(path, ending);
        let Ok(found) = fs::metadata(&file) else { continue }; // usually the file does not exist
        match found.len() > 0 && LOGS.contains(&ending) {
            true => fs::rename(&file, beside(kept, ending)),
            false => fs::remove_file(&file),
        }
        .map_err(|error| Error::io(file, error))?;
    }
    Ok(())
}

/// Gives the copy the owner, group and permissions of the database that it replaces.
fn take_owner(copy: &Path, there: &fs::Metadata) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, chown};
        let own = fs::metadata(copy).map_err(|error| Error::io(copy, error))?;
        for (what, is, was) in [("user", own.uid(), there.uid()), ("group", own.gid(), there.gid())] {
            let (user, group) = if what == "user" { (Some(was), None) } else { (None, Some(was)) };
            if is != was
                && let Err(error) = chown(copy, user, group)
            {
                tracing::warn!(
                    "the restored database belongs to {what} {is}, but the old one belonged to {what} {was}: {error}"
                );
            }
        }
    }
    fs::set_permissions(copy, there.permissions()).map_err(|error| Error::io(copy, error))
}

/// Removes the second names of a database. Restores that were killed gave it these names but did not replace it.
///
/// The caller holds the lock on the database, so no other restore is using these names.
fn remove_second_names(path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let folder = folder_of(path);
        let database = fs::metadata(path).map_err(|error| Error::io(path, error))?;
        let Some(prefix) = path.file_name().map(|name| format!("{}{KEPT}", name.to_string_lossy())) else {
            return Ok(());
        };
        if database.nlink() < 2 {
            return Ok(());
        }
        for entry in fs::read_dir(&folder).map_err(|error| Error::io(&folder, error))?.flatten() {
            let same = entry.metadata().is_ok_and(|m| (m.dev(), m.ino()) == (database.dev(), database.ino()));
            if same && entry.file_name().to_string_lossy().starts_with(&prefix) {
                fs::remove_file(entry.path()).map_err(|error| Error::io(entry.path(), error))?;
            }
        }
    }
    Ok(())
}

/// Exclusive access to a database until this value is dropped.
///
/// While this value exists, all data is in the database file and there is no write-ahead log, unless the database is
/// damaged.
struct Alone {
    /// `None` for a file that SQLite cannot read.
    conn: Option<Connection>,
    was_wal: bool,
}

impl Alone {
    /// Gets exclusive access. Retries for a second, in case another program is just closing the database.
    fn with(path: &Path) -> Result<Self> {
        let mut result = Self::now(path);
        for _ in 0..20 {
            if !matches!(result, Err(Error::Busy { .. })) {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
            result = Self::now(path);
        }
        result
    }

    fn now(path: &Path) -> Result<Self> {
        let in_use = |who: String| Error::Busy {
            database: path.display().to_string(),
            reason: format!("{who}; stop it first, because anything it writes from now on would be lost"),
        };
        let holders = sqlite::holders(path);
        if !holders.is_empty() {
            return Err(in_use(format!("open in {}", holders.join(", "))));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut was_wal = false;
        let file = identity(path);
        let taken = Connection::open_with_flags(path, flags).and_then(|conn| {
            let mode: String = conn.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
            // SQLite can leave WAL mode only if no other connection is open. If this process is killed, the database
            // stays without WAL until a program next opens it for writing: see `restore_wal`.
            conn.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get::<_, String>(0))?;
            was_wal = mode == "wal";
            conn.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")?;
            Ok(conn)
        });
        match taken {
            // Another restore may have replaced the file while this one waited, so the lock is on the old file.
            Ok(_) if identity(path) != file => Err(Error::Busy {
                database: path.display().to_string(),
                reason: "another restore has just replaced the database; check whether you still need this restore"
                    .to_owned(),
            }),
            Ok(conn) => Ok(Self { conn: Some(conn), was_wal }),
            Err(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                    Err(in_use("open in this program, or in one that viraldb cannot see".to_owned()))
                }
                Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                    tracing::warn!("replacing {} although SQLite cannot read it: {error}", path.display());
                    Ok(Self { conn: None, was_wal: false })
                }
                _ => Err(failed(path, error)),
            },
        }
    }

    const fn is_held(&self) -> bool {
        self.conn.is_some()
    }

    /// Leaves the journal mode alone on drop, because the file now has another name and is kept unchanged.
    fn was_replaced(mut self) {
        self.was_wal = false;
    }
}

impl Drop for Alone {
    /// Turns WAL mode back on if the database was not replaced.
    fn drop(&mut self) {
        if let (Some(conn), true) = (&self.conn, self.was_wal) {
            let back = conn.execute_batch("COMMIT; PRAGMA locking_mode = NORMAL").and_then(|()| {
                conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))
            });
            if let Err(error) = back {
                tracing::warn!(
                    "write-ahead logging stays off until a program opens the database for writing: {error}"
                );
            }
        }
    }
}
