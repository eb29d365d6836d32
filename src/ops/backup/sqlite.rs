//! Copies of SQLite files, and putting one in the place of another.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::manifest::Manifest;
use super::naming::stamp;
use super::sqlite_error::failed;
use super::unpacked::{Restore, Restored, bring_forward, check_unpacked, require_engine};
use super::{Checked, Contents, Progress, Step, Watch, folder_of, verify};
use crate::db::files::identity;
use crate::db::migrate::{dashed, embedded, newest_query};
use crate::db::{beside, sqlite};
#[cfg(unix)]
use crate::ops::mounts;
use crate::ops::workspace::{Workspace, require_space, sync_folder};
use crate::types::Timestamp;
use crate::{DatabaseUrl, Error, Result};

/// Pages of one step: 16 MB of those that viraldb makes.
const PAGES: i32 = 4_096;

/// Copies a database as it is at one moment. Others read and write meanwhile, and are not waited for.
pub(super) fn copy(path: &Path, to: &Path, watch: Watch<'_>) -> Result<Contents> {
    sqlite::look_at(path)?;
    let failed = |error| failed(path, error);
    let source = open(path).map_err(failed)?;
    // One moment from here on: a reader's, whom no writer waits for.
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
    // One file, that needs none beside it.
    copy.execute_batch("PRAGMA journal_mode = DELETE").map_err(failed)?;
    copy.close().map_err(|(_, error)| failed(error))?;
    fs::File::open(to).and_then(|file| file.sync_all()).map_err(|error| Error::io(to, error))?;
    Ok(contents)
}

/// Looks whether a copy opens and is whole, and counts its rows. SQLite reads no CHECK of a file that it opens for
/// reading: rows that another program wrote past them are kept as they are, and `viraldb doctor` names them.
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
            format!("is a damaged database: {}; a backup made before may be whole", errors.join("; ")),
        ));
    }
    let orphans = conn
        .query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0))
        .map_err(failed)?;
    Ok(Checked { rows: rows(&conn).map_err(failed)?, orphans })
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // Who reads a write-ahead log writes into its index; where nobody may, there is nothing to be written.
    let conn = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_READ_WRITE)
        .or_else(|_| Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_READ_ONLY))?;
    conn.busy_timeout(crate::db::default_busy_timeout())?;
    Ok(conn)
}

/// The path of a file from the root, by which its backups are known.
pub(super) fn origin(path: &Path) -> String {
    let folder = folder_of(path);
    let folder = folder.canonicalize().unwrap_or(folder);
    path.canonicalize()
        .unwrap_or_else(|_| folder.join(path.file_name().unwrap_or_default()))
        .display()
        .to_string()
}

/// The rows of each table of a database.
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

/// The rows of each table, also those that are not ours.
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

/// Puts a backup in the place of a file. Nobody else comes to it from the first look to the last rename.
pub(super) fn restore(
    url: &DatabaseUrl,
    path: &Path,
    options: &Restore,
    watch: Watch<'_>,
) -> Result<Restored> {
    // A link goes on pointing where it did.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = folder_of(&path);
    let there = fs::metadata(&path);
    if there.as_ref().is_ok_and(|there| !there.is_file()) {
        return Err(Error::invalid(path.display().to_string(), "is no file; name one, such as viral.db"));
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
    replace(&path, &copy, alone.is_some().then_some(&kept))?;
    let kept = alone.map(|alone| {
        alone.was_replaced();
        kept.display().to_string()
    });
    Ok(Restored { database: url.to_string(), rows, applied, kept })
}

/// Refuses a file in whose place the system would let nobody, or not this user, put another one.
#[cfg_attr(not(unix), allow(unused_variables))]
fn require_replaceable(path: &Path, there: &fs::Metadata) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let refused = |reason: String| Err(Error::Unusable { database: path.display().to_string(), reason });
        if mounts::is_mount_point(&mounts::read()?, path) {
            return refused(
                "is mounted by itself, so no other file can be put in its place; mount the folder that it is in, and \
                 restore there"
                    .to_owned(),
            );
        }
        let folder = folder_of(path);
        let around = fs::metadata(&folder).map_err(|error| Error::io(&folder, error))?;
        let user = rustix::process::geteuid().as_raw();
        // In such a folder only these may rename or remove a file.
        let is_sticky = around.permissions().mode() & 0o1000 != 0;
        if is_sticky && user != 0 && ![around.uid(), there.uid()].contains(&user) {
            return refused(format!(
                "belongs to user {}, and in {} (sticky) only that user can replace it; restore as that user",
                there.uid(),
                folder.display()
            ));
        }
    }
    Ok(())
}

/// What stands between a database's name and a moment in the name that it is kept under.
const KEPT: &str = ".replaced-";

/// Puts a copy in the place of a database, which is kept under another name. At every moment one of the two stands
/// under the name; if this fails, it is the old one, as it was.
fn replace(path: &Path, copy: &Path, kept: Option<&PathBuf>) -> Result<()> {
    let folder = folder_of(path);
    if let Some(kept) = kept {
        fs::hard_link(path, kept).map_err(|error| Error::io(kept, error))?;
    }
    let placed = put_logs_aside(path, kept)
        .and_then(|()| sync_folder(&folder))
        .and_then(|()| fs::rename(copy, path).map_err(|error| Error::io(path, error)));
    if let Err(error) = placed {
        return Err(match kept.map_or(Ok(()), |kept| back(path, kept)) {
            Ok(()) => error,
            Err(left) => error.with(&format!("and what was set aside could not be put back: {left}")),
        });
    }
    sync_folder(&folder)
}

/// Takes the second name of a database away that was not replaced, and puts its logs back.
fn back(path: &Path, kept: &Path) -> Result<()> {
    for ending in LOGS {
        let (log, aside) = (beside(path, ending), beside(kept, ending));
        if aside.exists() {
            fs::rename(&aside, &log).map_err(|error| Error::io(log, error))?;
        }
    }
    fs::remove_file(kept).map_err(|error| Error::io(kept, error))
}

/// What SQLite may have left beside a database that was damaged, or is gone.
const LOGS: [&str; 2] = ["-wal", "-journal"];

/// Takes away what stands beside a database, because it would be read as the new one's. What a damaged database had
/// in a log stays with it.
fn put_logs_aside(path: &Path, kept: Option<&PathBuf>) -> Result<()> {
    for ending in ["-wal", "-journal", "-shm"] {
        let file = beside(path, ending);
        let Ok(found) = fs::metadata(&file) else { continue }; // most are not there
        match kept {
            Some(kept) if found.len() > 0 && LOGS.contains(&ending) => {
                fs::rename(&file, beside(kept, ending))
            }
            _ => fs::remove_file(&file),
        }
        .map_err(|error| Error::io(file, error))?;
    }
    Ok(())
}

/// The copy may be read and written by those who could the database in whose place it comes.
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
                    "the restored database belongs to the {what} {is}, and not to {was} as before: {error}"
                );
            }
        }
    }
    fs::set_permissions(copy, there.permissions()).map_err(|error| Error::io(copy, error))
}

/// Removes the second names that a killed restore left of a database, which has not been replaced then. Nobody else
/// restores it now.
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

/// A database that nobody else comes to while this is kept. All that was written stands in the one file then, unless
/// that is damaged.
struct Alone {
    /// None for a file that SQLite cannot read.
    conn: Option<Connection>,
    was_wal: bool,
}

impl Alone {
    /// Waits a moment for somebody who is just leaving.
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
            reason: format!("{who}; end it first, because what it writes from now on would be lost"),
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
            // Nobody leaves write-ahead logging beside another connection. If we are killed, the file stays without
            // it until the next one who opens it for writing: see `restore_wal`.
            conn.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get::<_, String>(0))?;
            was_wal = mode == "wal";
            conn.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")?;
            Ok(conn)
        });
        match taken {
            // While we waited for the lock another restore may have put a new file there, and this lock is on the old one.
            Ok(_) if identity(path) != file => Err(Error::Busy {
                database: path.display().to_string(),
                reason: "another restore has just replaced it; look whether yours is still needed".to_owned(),
            }),
            Ok(conn) => Ok(Self { conn: Some(conn), was_wal }),
            Err(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                    Err(in_use("open in this program, or in one that cannot be seen from here".to_owned()))
                }
                Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                    tracing::warn!("{} is replaced as it is: {error}", path.display());
                    Ok(Self { conn: None, was_wal: false })
                }
                _ => Err(failed(path, error)),
            },
        }
    }

    const fn is_held(&self) -> bool {
        self.conn.is_some()
    }

    /// The file has another name now, and stays as it is.
    fn was_replaced(mut self) {
        self.was_wal = false;
    }
}

impl Drop for Alone {
    /// Whoever opens the database next finds it as it was.
    fn drop(&mut self) {
        if let (Some(conn), true) = (&self.conn, self.was_wal) {
            let back = conn.execute_batch("COMMIT; PRAGMA locking_mode = NORMAL").and_then(|()| {
                conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))
            });
            if let Err(error) = back {
                tracing::warn!(
                    "write-ahead logging is off until the next program opens the database for writing: {error}"
                );
            }
        }
    }
}
