//! SQLite only: connections, write-ahead logging and catalog queries.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use libsqlite3_sys as ffi;

use super::eager;
use super::files::{self, beside};
use crate::error::CANNOT_BE_OPENED;
use crate::{Error, Result};

/// The first SQLite version in which a reset of the write-ahead log cannot corrupt the file: 3.51.3.
const OLDEST_SAFE: i32 = 3_051_003;

/// The maximum size of the write-ahead log in bytes after it was copied into the database; the next writer truncates the rest.
/// SQLite restarts the log after 4 MiB, unless a reader still needs it.
pub(crate) const LOG_LIMIT: u64 = 64 << 20;

/// The access mode of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// The location of a SQLite database.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    File(PathBuf),
    /// A database in memory, shared by all connections with this name.
    Memory(String),
}

thread_local! {
    /// The busy timeout of the connection that this thread is opening.
    static OPENING: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// Configures new connections in ways that Diesel does not offer, because it does not expose the raw handle.
///
/// - It turns on the query planner stability guarantee. Without it, SQLite 3.53 prepares a statement again on every execution
///   if its LIMIT is a bound parameter, and Diesel always binds the LIMIT. A point lookup would take three times as long.
/// - It sets the busy handler. SQLite's default handler sleeps longer and longer, up to 100 ms, so the connection that has
///   waited longest retries least often. With many writers, one of them may wait for seconds.
/// - It sets the progress handler, which stops queries that have used up their time; see `time_limit.rs`.
///
/// This runs as an auto-extension for every connection of the process, but acts only while [`establish`] is opening a
/// connection on the same thread.
#[allow(unsafe_code)]
mod at_open {
    use std::ffi::{c_char, c_int, c_void};

    use super::{Cell, Instant, OPENING, Once, eager, ffi};

    unsafe extern "C" fn on_open(
        db: *mut ffi::sqlite3,
        _: *mut *mut c_char,
        _: *const ffi::sqlite3_api_routines,
    ) -> c_int {
        let Some(busy_timeout) = OPENING.get() else { return ffi::SQLITE_OK };
        let millis = std::ptr::without_provenance_mut(busy_timeout.as_millis() as usize);
        // SAFETY: `db` is the open connection that SQLite passes to an auto-extension. The argument of the busy handler is a
        // number that is never dereferenced, and that of the progress handler is unused. `SQLITE_DBCONFIG_ENABLE_QPSG` takes
        // an int and a pointer that may be NULL.
        unsafe {
            ffi::sqlite3_busy_handler(db, Some(wait_for_lock), millis);
            ffi::sqlite3_progress_handler(db, STEPS, Some(is_over), std::ptr::null_mut());
            ffi::sqlite3_db_config(db, ffi::SQLITE_DBCONFIG_ENABLE_QPSG, 1_i32, std::ptr::null_mut::<i32>())
        }
    }

    /// How many steps of its virtual machine SQLite takes between two calls of the progress handler, less than a millisecond.
    const STEPS: c_int = 4_000;

    /// The progress handler: returning 1 stops the query.
    unsafe extern "C" fn is_over(_: *mut c_void) -> c_int {
        super::super::time_limit::is_over().into()
    }

    /// The busy handler: SQLite calls it repeatedly while another connection holds the lock. Returning 0 gives up.
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
        let pause = eager::pause(waited).unwrap_or_else(|| super::pause(waited, left));
        std::thread::sleep(pause.min(left));
        1
    }

    pub(super) fn register() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            // SAFETY: registration is thread-safe, and the function is valid for the whole process.
            unsafe { ffi::sqlite3_auto_extension(Some(on_open)) };
        });
    }

    /// Turns off SQLite's mutex on each connection and its memory statistics, which together take a tenth of the time of a bulk
    /// load. The mutex is not needed, because Diesel and rusqlite allow only one thread at a time to use a connection.
    ///
    /// The settings apply to the whole process and must be made before any other call of SQLite, so only the command line makes
    /// them. If they come later, SQLite rejects them and works as usual.
    pub(super) fn without_needless_locks() {
        // SAFETY: the two options take these arguments, and no other SQLite function has been called yet.
        unsafe {
            ffi::sqlite3_config(ffi::SQLITE_CONFIG_MULTITHREAD);
            ffi::sqlite3_config(ffi::SQLITE_CONFIG_MEMSTATUS, 0_i32);
        }
    }

    pub(super) fn library_version() -> i32 {
        // SAFETY: the function takes no arguments and has no side effects.
        unsafe { ffi::sqlite3_libversion_number() }
    }
}

/// Returns how long to sleep before the next attempt to take a lock, given the time already waited and the time left.
///
/// - During the first 200 ms the pause is long, because a lock that moves to another connection after each write costs
///   everyone more than a lock that is kept for several writes.
/// - From 200 ms to 600 ms the lock is tried twice a millisecond, so that no connection waits forever.
/// - After 600 ms, many connections are waiting or a program holds the lock on purpose, so the pause grows again. It is shorter
///   the sooner the connection would give up. So a connection with a timeout of five seconds gets its turn among many that
///   may wait for minutes.
fn pause(waited: Duration, left: Duration) -> Duration {
    match waited.as_millis() {
        0..200 => Duration::from_millis(40),
        200..600 => Duration::from_micros(500),
        _ => (left / 2_000).clamp(Duration::from_micros(100), Duration::from_millis(10)),
    }
}

/// Configures SQLite for a process in which viraldb opens every connection; see `at_open`.
pub fn set_up_process() {
    at_open::without_needless_locks();
}

/// Returns true if the bundled SQLite is new enough that it cannot corrupt a database in WAL mode.
pub(crate) fn is_safe() -> bool {
    at_open::library_version() >= OLDEST_SAFE
}

/// Opens a connection with viraldb's settings. It never creates a file; see [`create`].
pub(crate) fn establish(place: &Place, access: Access, busy_timeout: Duration) -> Result<SqliteConnection> {
    if !is_safe() {
        return Err(Error::Unusable {
            database: String::new(),
            reason: "this program was built with a SQLite older than 3.51.3, which can corrupt the database in WAL mode; \
                     rebuild it with a newer SQLite"
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
            if [CANNOT_BE_OPENED, "is read-only"].iter().any(|known| reason.starts_with(known)) =>
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
        reason: format!("{CANNOT_BE_OPENED}: {error}; check the permissions of the file and of its folder"),
    })?;
    // The busy handler is already set, because each of these statements may run into a lock of another program.
    conn.batch_execute(settings)?;
    Ok(conn)
}

/// Returns a URI for a file that SQLite cannot open because it cannot create the index of the write-ahead log in the folder.
/// On a read-only mount no program can write, so the option `immutable` opens the file without an index. Returns `None` if the
/// folder is not the problem.
fn in_sealed_folder(path: &Path) -> Option<Result<String>> {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    let probe = beside(path, &format!("-{}", uuid::Uuid::now_v7()));
    match fs::File::create_new(&probe) {
        Ok(_) => {
            let _ = fs::remove_file(&probe); // created above, and empty
            return None;
        }
        Err(error) if error.kind() == ReadOnlyFilesystem => {}
        // Other users may write to the folder, and `immutable` would then read inconsistent data.
        Err(error) if error.kind() == PermissionDenied => {
            return Some(Err(why_not(
                path,
                "cannot be read: SQLite needs write access to the folder, unless a program that writes has the file \
                 open; change the permissions of the folder"
                    .to_owned(),
            )));
        }
        Err(_) => return None,
    }
    if fs::metadata(beside(path, "-wal")).is_ok_and(|wal| wal.len() > 0) {
        return Some(Err(Error::Unusable {
            database: String::new(),
            reason: "its latest changes are in the -wal file, which SQLite can read only in a writable folder; copy \
                     both files to such a folder"
                .to_owned(),
        }));
    }
    Some(uri_name(path).map(|name| format!("file:{name}?immutable=1")))
}

/// Returns the system's error for a file that SQLite could not open, or `reason` if the file itself can be opened.
fn why_not(path: &Path, reason: String) -> Error {
    match fs::File::open(path) {
        Err(error) => Error::io(path, error),
        Ok(file) => {
            std::mem::forget(file); // closing it would drop this process's locks; see `look_at`
            Error::Unusable { database: String::new(), reason }
        }
    }
}

/// Creates an empty file that only its owner may read, unless it exists. Returns true if it was created.
///
/// # Errors
/// `Unusable` if the file is missing, but a log of it is there. `Io` if the file cannot be created.
pub(crate) fn create(path: &Path) -> Result<bool> {
    if path.exists() {
        return Ok(false);
    }
    // SQLite deletes the log of an empty file, but this log may contain changes that are nowhere else.
    let logs = files::LOGS.map(|ending| beside(path, ending));
    if let Some(log) = logs.iter().find(|log| fs::metadata(log).is_ok_and(|log| log.len() > 0)) {
        // Another program may have created the database meanwhile, and its log after that.
        if path.exists() {
            return Ok(false);
        }
        return Err(Error::Unusable {
            database: path.display().to_string(),
            reason: format!(
                "is missing, but its log {} is there and may contain its latest changes; put the database back next to \
                 the log, or move the log away",
                log.display()
            ),
        });
    }
    match files::private().write(true).create_new(true).open(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(Error::io(path, error)),
    }
}

/// Deletes a file that [`create`] created and that is still empty, and the files that SQLite created next to it.
pub(crate) fn remove(path: &Path) {
    // Delete the file last: without the file, `create` would take a log for that of a missing database.
    for ending in files::ENDINGS.into_iter().rev() {
        let _ = fs::remove_file(beside(path, ending)); // most of them do not exist
    }
}

/// Checks that a path is a regular file, with clearer errors than SQLite's.
///
/// This does not open the file. POSIX releases all locks of a process on a file when the process closes any descriptor of it,
/// including the locks of other SQLite connections. The next program that closes the database would then delete the
/// write-ahead log that is still in use, unless its SQLite is new enough to notice, and later writes would be lost.
pub(crate) fn look_at(path: &Path) -> Result<()> {
    let unusable = |reason: String| Err(Error::Unusable { database: path.display().to_string(), reason });
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return match fs::read_link(path) {
                Ok(target) => unusable(format!(
                    "is a link to {}, which does not exist; create that file or remove the link",
                    target.display()
                )),
                Err(_) => Err(Error::NotInitialised(path.display().to_string())),
            };
        }
        Err(error) => return Err(Error::io(path, error)),
    };
    if metadata.is_dir() {
        return unusable("is a folder; name a file in it, such as viral.db".to_owned());
    }
    if !metadata.is_file() {
        return unusable("is a device, a pipe or a socket; name a file, such as viral.db".to_owned());
    }
    Ok(())
}

/// Turns on write-ahead logging, which is stored in the file. SQLite ignores the busy timeout for this change, so this function
/// waits for other connections itself.
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

/// Turns on write-ahead logging again if a file has lost it. A killed restore or another program may have turned it off; then
/// every write would fail while another connection reads.
///
/// This does not wait. SQLite rejects the change while another connection uses the file, or if the file is read-only. The file
/// still works then, and the next program that opens it tries again.
pub(crate) fn restore_wal(conn: &mut SqliteConnection, path: &Path) {
    // The busy timeout is fixed when a connection is opened, so use a separate connection that does not wait.
    let change = |path| open(&file_name(path)?, "PRAGMA journal_mode = WAL", Duration::ZERO).map(drop);
    match pragma(conn, "journal_mode") {
        Ok(mode) if mode == "wal" => {}
        Ok(_) => match change(path) {
            Ok(()) => tracing::info!("{} had lost write-ahead logging; turned it on again", path.display()),
            Err(error) => {
                tracing::debug!("cannot turn on write-ahead logging for {}: {error}", path.display())
            }
        },
        // The first statement will fail with the same error and report it.
        Err(error) => tracing::debug!("cannot read the journal mode of {}: {error}", path.display()),
    }
}

/// The result of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub(crate) struct Checkpoint {
    /// 1 if another connection prevented the checkpoint from completing.
    #[diesel(sql_type = diesel::sql_types::Integer)]
    pub(crate) busy: i32,
    /// The number of pages in the write-ahead log.
    #[diesel(sql_type = diesel::sql_types::Integer)]
    pub(crate) log: i32,
    /// The number of these pages that are copied into the database.
    #[diesel(sql_type = diesel::sql_types::Integer)]
    pub(crate) checkpointed: i32,
}

impl Checkpoint {
    /// Copies as many pages of the log into the database as readers permit. Never waits.
    pub(crate) fn passive(conn: &mut SqliteConnection) -> QueryResult<Self> {
        diesel::sql_query("PRAGMA wal_checkpoint(PASSIVE)").get_result(conn)
    }

    /// Copies the whole log into the database and truncates its file. Waits for readers and the writer, up to the busy timeout.
    pub(crate) fn truncate(conn: &mut SqliteConnection) -> QueryResult<Self> {
        diesel::sql_query("PRAGMA wal_checkpoint(TRUNCATE)").get_result(conn)
    }

    /// Returns true if the whole log is copied into the database.
    pub(crate) const fn is_whole(self) -> bool {
        self.checkpointed >= self.log
    }
}

/// A column of a table.
#[derive(Debug, QueryableByName)]
pub(crate) struct Column {
    #[diesel(sql_type = Text)]
    pub(crate) name: String,
    /// The declared type.
    #[diesel(sql_type = Text)]
    pub(crate) kind: String,
}

/// Returns the columns of a table.
pub(crate) fn columns(conn: &mut SqliteConnection, table: &str) -> QueryResult<Vec<Column>> {
    diesel::sql_query("SELECT name, type AS kind FROM pragma_table_info(?)").bind::<Text, _>(table).load(conn)
}

/// Returns the columns of each index of a table, in order, except partial indexes. An indexed expression has an empty name.
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

/// Serializes a list to one parameter for `json_each`, so that the statement is the same for lists of any length.
pub(crate) fn json_list(list: &impl serde::Serialize) -> QueryResult<String> {
    serde_json::to_string(list).map_err(|error| diesel::result::Error::SerializationError(error.into()))
}

/// Returns the value of a pragma as text.
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

/// Returns the name to pass to SQLite. A relative name gets the prefix `./`, so that a name like `file:x` or `:memory:` is not
/// interpreted as a URI or an option.
fn file_name(path: &Path) -> Result<String> {
    let Some(name) = path.to_str() else {
        return Err(Error::Unusable {
            database: path.display().to_string(),
            reason: "the file name is not valid UTF-8; rename the file".to_owned(),
        });
    };
    let plain = path.is_absolute() || name.starts_with("./") || name.starts_with("../");
    Ok(if plain { name.to_owned() } else { format!("./{name}") })
}

/// Returns the path of a file for a `file:` URI, percent-encoded.
pub(super) fn uri_name(path: &Path) -> Result<String> {
    let name = file_name(path)?;
    // Two slashes at the beginning would start a host name.
    let slashes = name.len() - name.trim_start_matches('/').len();
    Ok(name.bytes().skip(slashes.saturating_sub(1)).fold(String::new(), |mut text, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => text.push(byte.into()),
            _ => text.push_str(&format!("%{byte:02x}")),
        }
        text
    }))
}

/// Returns the programs that have the file open, as far as `/proc` and the permissions show them.
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
