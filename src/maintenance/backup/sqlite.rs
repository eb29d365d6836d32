//! Copies of SQLite files, and putting one in the place of another.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::folder::stamp;
use super::manifest::Manifest;
use super::restore::{Restore, Restored, bring_forward, check_unpacked, require_engine};
use super::workspace::{Workspace, require_space, sync_folder};
use super::{Checked, Contents, Progress, Step, Watch, folder_of, verify};
use crate::db::migrate::dashed;
use crate::db::{beside, sqlite};
use crate::types::Timestamp;
use crate::{Database, DatabaseUrl, Error, Result};

/// Pages of one step: 16 MB of those that viraldb makes.
const PAGES: i32 = 4_096;

/// Copies a database as it is at one moment. Others read and write meanwhile, and are not waited for.
pub(super) fn copy(path: &Path, to: &Path, watch: Watch<'_>) -> Result<Contents> {
    sqlite::look_at(path)?;
    let failed = |error| failed(path, error);
    let source = open(path).map_err(failed)?;
    // One moment from here on: a reader's, whom no writer waits for.
    source.execute_batch("PRAGMA query_only = ON; BEGIN").map_err(failed)?;
    let contents = contents(&source).map_err(failed)?;
    drop(super::workspace::create_private(to)?);
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

/// Looks whether a copy opens and is whole, and counts its rows.
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
    conn.busy_timeout(Duration::from_secs(5))?;
    Ok(conn)
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
        engine_version: text("SELECT sqlite_version()")?,
        schema: dashed(&text("SELECT coalesce(max(version), '') FROM __diesel_schema_migrations")?),
        rows,
        keys,
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

/// Puts a backup in the place of a file.
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
    if there.as_ref().is_ok_and(fs::Metadata::is_dir) {
        return Err(Error::invalid(path.display().to_string(), "is a folder; name a file in it"));
    }
    if there.is_ok() {
        remove_second_names(&path, |name| name.contains(".replaced-"))?;
        drop(alone(&path)?); // told now rather than when all is unpacked
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
    let checked = check_unpacked(engine, &options.file, &copy, manifest.as_ref(), None)?;
    let applied = bring_forward(&format!("sqlite://{}", copy.display()), &options.file)?;
    fs::File::open(&copy).and_then(|file| file.sync_all()).map_err(|error| Error::io(&copy, error))?;

    let kept = kept_name(&path, &stamp(Timestamp::now()));
    let replaced = replace(&path, &copy, &kept)?;
    if let Err(error) = Database::connect(&format!("sqlite://{}", path.display())) {
        if replaced {
            put_back(&path, &kept)?;
        }
        return Err(error);
    }
    Ok(Restored {
        database: url.to_string(),
        rows: checked.rows,
        applied,
        kept: replaced.then(|| kept.display().to_string()),
    })
}

/// Puts a copy in the place of a database, which nobody may have open, and keeps that under another name.
///
/// At every moment one of the two stands under the name, whole.
fn replace(path: &Path, copy: &Path, kept: &Path) -> Result<bool> {
    let folder = folder_of(path);
    let is_there = fs::symlink_metadata(path).is_ok();
    let alone = if is_there { Some(alone(path)?) } else { None };
    if is_there {
        fs::hard_link(path, kept).map_err(|error| Error::io(kept, error))?;
        sync_folder(&folder)?;
    }
    for ending in ["-wal", "-journal", "-shm"] {
        let file = beside(path, ending);
        let done = match fs::metadata(&file) {
            // What a damaged database could not take in stays with it.
            Ok(metadata) if is_there && metadata.len() > 0 && ending != "-shm" => {
                fs::rename(&file, beside(kept, ending))
            }
            Ok(_) => fs::remove_file(&file),
            Err(_) => Ok(()),
        };
        done.map_err(|error| Error::io(file, error))?;
    }
    fs::rename(copy, path).map_err(|error| Error::io(path, error))?;
    sync_folder(&folder)?;
    drop(alone);
    Ok(is_there)
}

/// Takes back what [`replace`] did.
fn put_back(path: &Path, kept: &Path) -> Result<()> {
    for ending in ["-wal", "-shm", "-journal"] {
        let _ = fs::remove_file(beside(path, ending)); // most are not there
    }
    fs::rename(kept, path).map_err(|error| Error::io(path, error))?;
    for ending in ["-wal", "-journal"] {
        let file = beside(kept, ending);
        if file.exists() {
            fs::rename(&file, beside(path, ending)).map_err(|error| Error::io(file, error))?;
        }
    }
    sync_folder(&folder_of(path))
}

/// Removes the second names that a killed restore left of a database, which has not been replaced then.
fn remove_second_names(path: &Path, is_kept: impl Fn(&str) -> bool) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let folder = folder_of(path);
        let Ok(database) = fs::metadata(path) else { return Ok(()) };
        for entry in fs::read_dir(&folder).map_err(|error| Error::io(&folder, error))?.flatten() {
            let same = entry.metadata().is_ok_and(|m| (m.dev(), m.ino()) == (database.dev(), database.ino()));
            if same && is_kept(&entry.file_name().to_string_lossy()) {
                fs::remove_file(entry.path()).map_err(|error| Error::io(entry.path(), error))?;
            }
        }
    }
    Ok(())
}

/// A connection beside which there is no other, as long as it is kept. All that was written stands in the one
/// file then, unless that is damaged. Somebody who is just leaving is waited for.
fn alone(path: &Path) -> Result<Option<Connection>> {
    let mut result = try_alone(path);
    for _ in 0..20 {
        if !matches!(result, Err(Error::Busy { .. })) {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
        result = try_alone(path);
    }
    result
}

fn try_alone(path: &Path) -> Result<Option<Connection>> {
    let in_use = |who: String| Error::Busy {
        database: path.display().to_string(),
        reason: format!("{who}; end it first, because what it writes from now on would be lost"),
    };
    let holders = sqlite::holders(path);
    if !holders.is_empty() {
        return Err(in_use(format!("open in {}", holders.join(", "))));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let taken = Connection::open_with_flags(path, flags).and_then(|conn| {
        // Nobody leaves write-ahead logging beside another connection.
        conn.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get::<_, String>(0))?;
        conn.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")?;
        Ok(conn)
    });
    match taken {
        Ok(conn) => Ok(Some(conn)),
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Err(in_use("open in this program".to_owned()))
            }
            _ => {
                tracing::warn!("{} is replaced as it is: {error}", path.display());
                Ok(None)
            }
        },
    }
}

/// The name that a replaced database is kept under.
fn kept_name(path: &Path, stamp: &str) -> PathBuf {
    beside(path, &format!(".replaced-{stamp}"))
}

fn failed(path: &Path, error: rusqlite::Error) -> Error {
    let (database, reason) = (path.display().to_string(), error.to_string());
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::Busy { database, reason: "another program held it for too long; try again".to_owned() }
        }
        Some(ErrorCode::DiskFull) => Error::io(path, std::io::ErrorKind::StorageFull.into()),
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Error::Unusable {
            database,
            reason: format!(
                "is damaged, or no database: {reason}; `viraldb restore` puts a backup in its place"
            ),
        },
        _ => Error::Unusable { database, reason },
    }
}
