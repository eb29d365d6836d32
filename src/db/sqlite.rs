//! What only SQLite needs: how its connections are opened.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use libsqlite3_sys as ffi;

use super::files::{self, beside};
use crate::error::CANNOT_BE_OPENED;
use crate::{Error, Result};

/// Before 3.51.3 a reset of the WAL could corrupt the file.
const OLDEST_SAFE: i32 = 3_051_003;

/// How large the write-ahead log may stay, in bytes, once it has been copied into the database: the next writer cuts
/// off the rest. SQLite begins the log anew after 4 MiB unless somebody reads on.
pub(crate) const LOG_LIMIT: u64 = 64 << 20;

/// How a connection is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// Where the database is, as SQLite takes it.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    File(PathBuf),
    /// A database in memory that all connections to this name share.
    Memory(String),
}

thread_local! {
    /// How long a connection that this thread is opening is to wait for locks.
    static OPENING: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// Sets what Diesel has no way to set, because it shows no raw handle, on a connection that we are opening.
///
/// - The query planner's stability guarantee. Without it SQLite 3.53 prepares a statement anew on every
///   execution when its LIMIT is a bound parameter, and Diesel always binds it: a point lookup takes three
///   times as long.
/// - How it waits for a lock. SQLite's own way sleeps longer and longer, up to 100 ms, and who has waited
///   longest asks least often: one write of many may wait for seconds.
///
/// This runs as an auto-extension, for every connection of the process, and acts only while [`establish`] is
/// opening one on this thread.
#[allow(unsafe_code)]
mod at_open {
    use std::ffi::{c_char, c_int, c_void};

    use super::{Cell, Instant, OPENING, Once, ffi};

    unsafe extern "C" fn on_open(
        db: *mut ffi::sqlite3,
        _: *mut *mut c_char,
        _: *const ffi::sqlite3_api_routines,
    ) -> c_int {
        let Some(busy_timeout) = OPENING.get() else { return ffi::SQLITE_OK };
        let millis = std::ptr::without_provenance_mut(busy_timeout.as_millis() as usize);
        // SAFETY: `db` is the open connection SQLite hands to an auto-extension. The handler is a function,
        // and its argument is a number that it never takes for an address. The two arguments at the end are
        // those that this setting takes.
        unsafe {
            ffi::sqlite3_busy_handler(db, Some(wait_for_lock), millis);
            ffi::sqlite3_db_config(db, ffi::SQLITE_DBCONFIG_ENABLE_QPSG, 1_i32, std::ptr::null_mut::<i32>())
        }
    }

    /// Called again and again while another connection holds the lock; 0 gives up.
    unsafe extern "C" fn wait_for_lock(millis: *mut c_void, asked_before: c_int) -> c_int {
        thread_local! { static SINCE: Cell<Option<Instant>> = const { Cell::new(None) }; }
        let now = Instant::now();
        if asked_before == 0 {
            SINCE.set(Some(now));
        }
        let waited = now - SINCE.get().unwrap_or(now);
        if waited.as_millis() >= millis.addr() as u128 {
            return 0;
        }
        let left = std::time::Duration::from_millis(millis.addr() as u64).saturating_sub(waited);
        std::thread::sleep(super::pause(waited, left).min(left));
        1
    }

    pub(super) fn register() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            // SAFETY: registering is thread-safe and the function lives as long as the process.
            unsafe { ffi::sqlite3_auto_extension(Some(on_open)) };
        });
    }

    /// Has SQLite neither lock each connection at each call nor count the memory of all of them, which takes a tenth of
    /// the time of a load. Diesel and rusqlite let one thread at a time have a connection anyway.
    ///
    /// This is for the whole process and has to come before all else, so only the command does it. SQLite refuses it
    /// later on, and works as usual.
    pub(super) fn without_needless_locks() {
        // SAFETY: the two options take these arguments. Nothing else of SQLite runs yet.
        unsafe {
            ffi::sqlite3_config(ffi::SQLITE_CONFIG_MULTITHREAD);
            ffi::sqlite3_config(ffi::SQLITE_CONFIG_MEMSTATUS, 0_i32);
        }
    }

    pub(super) fn library_version() -> i32 {
        // SAFETY: takes nothing and touches nothing.
        unsafe { ffi::sqlite3_libversion_number() }
    }
}

/// How long to sleep before asking for a lock again, after having waited for it so long, and with so long left to wait.
///
/// Long at first, because a lock that changes hands after each write costs everybody more than one that is
/// kept for many. After 200 ms twice a millisecond, so that nobody waits for ever. After 600 ms, when many wait or
/// somebody is holding the lock on purpose, less often again: the sooner a connection would give up, the more often it
/// asks. So one that waits for five seconds gets its turn among many that may wait for minutes.
fn pause(waited: Duration, left: Duration) -> Duration {
    match waited.as_millis() {
        0..200 => Duration::from_millis(40),
        200..600 => Duration::from_micros(500),
        _ => (left / 2_000).clamp(Duration::from_micros(100), Duration::from_millis(10)),
    }
}

/// Sets SQLite up for a process in which every connection is ours; see `at_open`.
pub fn set_up_process() {
    at_open::without_needless_locks();
}

/// Whether the SQLite that is built in cannot corrupt a write-ahead log.
pub(crate) fn is_safe() -> bool {
    at_open::library_version() >= OLDEST_SAFE
}

/// Opens a connection with our settings. It never creates a file; see [`create`].
pub(crate) fn establish(place: &Place, access: Access, busy_timeout: Duration) -> Result<SqliteConnection> {
    if !is_safe() {
        return Err(Error::Unusable {
            database: String::new(),
            reason: "this program was built with a SQLite older than 3.51.3, which can corrupt a WAL; build it anew"
                .to_owned(),
        });
    }
    let (name, path) = match place {
        Place::File(path) => (file_name(path)?, Some(path)),
        Place::Memory(name) => (format!("file:/{name}?vfs=memdb"), None),
    };
    let settings = format!(
        "PRAGMA foreign_keys = ON;\
         PRAGMA journal_size_limit = {LOG_LIMIT};\
         PRAGMA synchronous = NORMAL;\
         PRAGMA cache_size = -32000;\
         PRAGMA temp_store = MEMORY;\
         PRAGMA query_only = {};",
        if access == Access::Read { "ON" } else { "OFF" },
    );
    match (open(&name, &settings, busy_timeout), path) {
        (Err(Error::Unusable { reason, .. }), Some(path))
            if [CANNOT_BE_OPENED, "may not be written"].iter().any(|known| reason.starts_with(known)) =>
        {
            match in_sealed_folder(path) {
                Some(name) => open(&name?, &settings, busy_timeout),
                None => Err(why_not(path, reason)),
            }
        }
        (result, _) => result,
    }
}

pub(super) fn open(name: &str, settings: &str, busy_timeout: Duration) -> Result<SqliteConnection> {
    at_open::register();
    OPENING.set(Some(busy_timeout));
    let conn = SqliteConnection::establish(name);
    OPENING.set(None);
    let mut conn = conn.map_err(|error| Error::Unusable {
        database: String::new(),
        reason: format!("{CANNOT_BE_OPENED}, {error}; look at the permissions of the file and of its folder"),
    })?;
    // The wait for locks is set already: each line may meet another program's.
    conn.batch_execute(settings)?;
    Ok(conn)
}

/// The name of a file that SQLite cannot open because it may not put the index of the write-ahead log
/// beside it. Where nobody can write, on a read-only mount, `immutable` does without one.
fn in_sealed_folder(path: &Path) -> Option<Result<String>> {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    let probe = beside(path, &format!("-{}", uuid::Uuid::now_v7()));
    match fs::File::create_new(&probe) {
        Ok(_) => {
            let _ = fs::remove_file(&probe); // ours and empty
            return None;
        }
        Err(error) if error.kind() == ReadOnlyFilesystem => {}
        // Others may write there, and what they write would be read half.
        Err(error) if error.kind() == PermissionDenied => {
            return Some(Err(why_not(
                path,
                "can be read only where its folder may be written, or while a program that writes has it open; \
                 change the permissions of the folder"
                    .to_owned(),
            )));
        }
        Err(_) => return None,
    }
    if fs::metadata(beside(path, "-wal")).is_ok_and(|wal| wal.len() > 0) {
        return Some(Err(Error::Unusable {
            database: String::new(),
            reason: "its last changes stand in the -wal file beside it, which can only be read where its folder may \
                     be written; copy both to such a folder"
                .to_owned(),
        }));
    }
    Some(uri_name(path).map(|name| format!("file:{name}?immutable=1")))
}

/// What the system says of a file that SQLite could not open, and has no words of its own for.
fn why_not(path: &Path, reason: String) -> Error {
    match fs::File::open(path) {
        Err(error) => Error::io(path, error),
        Ok(file) => {
            std::mem::forget(file); // see `look_at`
            Error::Unusable { database: String::new(), reason }
        }
    }
}

/// Makes an empty file that only its owner may read, unless one is there; says whether it did.
pub(crate) fn create(path: &Path) -> Result<bool> {
    if path.exists() {
        return Ok(false);
    }
    match files::private().write(true).create_new(true).open(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(Error::io(path, error)),
    }
}

/// Takes away a file that [`create`] made and nothing came into, with what SQLite put beside it.
pub(crate) fn remove(path: &Path) {
    for ending in files::ENDINGS {
        let _ = fs::remove_file(beside(path, ending)); // most are not there
    }
}

/// Says what stands in the way of opening a file, in words that SQLite does not have.
///
/// It does not open the file: closing it again would take from this process all the locks that its other
/// connections hold on it, as POSIX has it. Then the next program that closes the database, unless its SQLite
/// is new enough to notice, takes their write-ahead log away, and what they write is lost.
pub(crate) fn look_at(path: &Path) -> Result<()> {
    let unusable = |reason: String| Err(Error::Unusable { database: path.display().to_string(), reason });
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return match fs::read_link(path) {
                Ok(target) => unusable(format!(
                    "is a link to {}, which is not there; make it or remove the link",
                    target.display()
                )),
                Err(_) => Err(Error::NotInitialised(path.display().to_string())),
            };
        }
        Err(error) => return Err(Error::io(path, error)),
    };
    if metadata.is_dir() {
        return unusable("is a directory; name a file in it, such as viral.db".to_owned());
    }
    if !metadata.is_file() {
        return unusable("is a device, a pipe or a socket; name a file, such as viral.db".to_owned());
    }
    Ok(())
}

/// Sets write-ahead logging, which the file remembers. SQLite does not wait for other connections
/// here, whatever the timeout, so we do.
pub(crate) fn set_wal(conn: &mut SqliteConnection, busy_timeout: Duration) -> Result<()> {
    let deadline = Instant::now() + busy_timeout;
    loop {
        let set = pragma(conn, "journal_mode").and_then(|mode| match mode.as_str() {
            "wal" | "memory" => Ok(()),
            _ => conn.batch_execute("PRAGMA journal_mode = WAL"),
        });
        match set.map_err(Error::from) {
            Err(Error::Busy { .. }) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(10))
            }
            other => return other,
        }
    }
}

/// Sets write-ahead logging again if a file has lost it: a killed restore, or another program, may have turned it off.
/// Then every write would fail while somebody reads.
///
/// Nothing waits for this. SQLite refuses the change while another connection uses the file, and wherever the file
/// is read-only. The file then works as it is, and the next one who opens it tries again.
pub(crate) fn restore_wal(conn: &mut SqliteConnection, path: &Path) {
    // A connection keeps the time that it waits for locks, so the change needs one of its own.
    let change = |path| open(&file_name(path)?, "PRAGMA journal_mode = WAL", Duration::ZERO).map(drop);
    match pragma(conn, "journal_mode") {
        Ok(mode) if mode == "wal" => {}
        Ok(_) => match change(path) {
            Ok(()) => tracing::info!("{} had lost write-ahead logging and has it again", path.display()),
            Err(error) => tracing::debug!("{} stays without write-ahead logging: {error}", path.display()),
        },
        // The first statement meets the same error, and reports it.
        Err(error) => tracing::debug!("the journal mode of {} is unknown: {error}", path.display()),
    }
}

/// What a checkpoint did: pages in the write-ahead log, and how many of them are in the database now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub(crate) struct Checkpoint {
    /// 1 if another connection kept it from its end.
    #[diesel(sql_type = diesel::sql_types::Integer)]
    pub(crate) busy: i32,
    #[diesel(sql_type = diesel::sql_types::Integer)]
    pub(crate) log: i32,
    #[diesel(sql_type = diesel::sql_types::Integer)]
    pub(crate) checkpointed: i32,
}

impl Checkpoint {
    /// Copies pages of the log into the database, as many as no reader needs there. It waits for nobody.
    pub(crate) fn passive(conn: &mut SqliteConnection) -> QueryResult<Self> {
        diesel::sql_query("PRAGMA wal_checkpoint(PASSIVE)").get_result(conn)
    }

    /// Copies the log and empties its file. It waits for readers and the writer as long as the connection may.
    pub(crate) fn truncate(conn: &mut SqliteConnection) -> QueryResult<Self> {
        diesel::sql_query("PRAGMA wal_checkpoint(TRUNCATE)").get_result(conn)
    }

    /// Whether the whole log is in the database.
    pub(crate) const fn is_whole(self) -> bool {
        self.checkpointed >= self.log
    }
}

/// A column of a table.
#[derive(Debug, QueryableByName)]
pub(crate) struct Column {
    #[diesel(sql_type = Text)]
    pub(crate) name: String,
    /// Its type.
    #[diesel(sql_type = Text)]
    pub(crate) kind: String,
}

/// The columns of a table.
pub(crate) fn columns(conn: &mut SqliteConnection, table: &str) -> QueryResult<Vec<Column>> {
    diesel::sql_query("SELECT name, type AS kind FROM pragma_table_info(?)").bind::<Text, _>(table).load(conn)
}

/// The columns of each index over all rows of a table, in order. An expression has no name.
pub(crate) fn indexes(conn: &mut SqliteConnection, table: &str) -> QueryResult<Vec<Vec<String>>> {
    #[derive(QueryableByName)]
    struct Part {
        #[diesel(sql_type = Text)]
        of_index: String,
        #[diesel(sql_type = Text)]
        column: String,
    }
    let parts: Vec<Part> = diesel::sql_query(
        "SELECT list.name AS of_index, coalesce(part.name, '') AS column
         FROM pragma_index_list(?) AS list, pragma_index_info(list.name) AS part
         WHERE NOT list.partial ORDER BY list.seq, part.seqno",
    )
    .bind::<Text, _>(table)
    .load(conn)?;
    let indexes = parts.chunk_by(|a, b| a.of_index == b.of_index);
    Ok(indexes.map(|index| index.iter().map(|part| part.column.clone()).collect()).collect())
}

/// A list as one parameter, for `json_each`: so a statement stays prepared however long the list is.
pub(crate) fn json_list(list: &impl serde::Serialize) -> QueryResult<String> {
    serde_json::to_string(list).map_err(|error| diesel::result::Error::SerializationError(error.into()))
}

/// The value of a pragma, as text.
pub(crate) fn pragma(conn: &mut SqliteConnection, name: &str) -> QueryResult<String> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        value: String,
    }
    diesel::sql_query(format!("SELECT CAST({name} AS TEXT) AS value FROM pragma_{name}"))
        .get_result::<Row>(conn)
        .map(|row| row.value)
}

/// The file as SQLite is to open it: a name that begins like a URI or an option is a file all the same.
fn file_name(path: &Path) -> Result<String> {
    let Some(name) = path.to_str() else {
        return Err(Error::Unusable {
            database: path.display().to_string(),
            reason: "the name of the file is not UTF-8".to_owned(),
        });
    };
    let plain = path.is_absolute() || name.starts_with("./") || name.starts_with("../");
    Ok(if plain { name.to_owned() } else { format!("./{name}") })
}

/// The same in a URI.
pub(super) fn uri_name(path: &Path) -> Result<String> {
    let name = file_name(path)?;
    // Two slashes at the beginning would name a host.
    let slashes = name.len() - name.trim_start_matches('/').len();
    Ok(name.bytes().skip(slashes.saturating_sub(1)).fold(String::new(), |mut text, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => text.push(byte.into()),
            _ => text.push_str(&format!("%{byte:02x}")),
        }
        text
    }))
}

/// Programs that have the file open, as far as this system lets us see them.
pub(crate) fn holders(path: &Path) -> Vec<String> {
    let Ok(path) = path.canonicalize() else { return Vec::new() };
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let me = std::process::id().to_string();
    processes
        .flatten()
        .filter_map(|process| {
            let pid = process.file_name().into_string().ok().filter(|pid| *pid != me)?;
            pid.parse::<u32>().ok()?;
            let files = fs::read_dir(process.path().join("fd")).ok()?;
            files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|open| open == path)).then(|| {
                let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
                format!("{} (process {pid})", name.trim())
            })
        })
        .collect()
}
