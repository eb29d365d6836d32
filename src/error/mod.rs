//! The error type of the crate.

mod database;
mod kind;

use std::fmt::Display;
use std::path::PathBuf;

use crate::quote::{one_line, short};
use diesel::result::{DatabaseErrorKind as Kind, Error as Diesel};

use database::FILE_IS_READ_ONLY;
#[cfg(feature = "postgres")]
pub(crate) use database::found_no_room;
#[cfg(feature = "sqlite")]
pub(crate) use database::{CANNOT_BE_OPENED, DISK_ERROR, DISK_FULL};
pub(crate) use database::{ResultExt, SERVER_IS_READ_ONLY};
pub use kind::ErrorKind;

/// The result type of the crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the crate: what failed, on which table and key, and what to do next.
///
/// The message is complete: it contains what the database or the operating system said. `source()` returns the error of the
/// operating system for [`Io`](Self::Io), the error of Diesel for [`Database`](Self::Database), and the caller's for
/// [`Other`](Self::Other). The other variants have no source, because the database's own message may quote values of a row, and
/// one of these may be a secret. Branch on [`kind`](Self::kind) instead.
///
/// # Errors of the database
///
/// Every function that uses the database can also return these errors. The documentation of a function lists them only if the
/// function has a special reason for them.
///
/// - [`Busy`](Self::Busy): another program or session held a lock for too long, or the server rolled back the transaction
///   because of a conflict.
/// - [`Disconnected`](Self::Disconnected): the connection to the server was lost. On a [`Session`](crate::Session), this is a
///   [`Database`](Self::Database) error.
/// - [`Unusable`](Self::Unusable): the database cannot be read or written, for example because the disk is full, the file is
///   damaged, or a write runs inside [`read`](crate::Database::read).
/// - [`Invalid`](Self::Invalid): the engine cannot store a value. PostgreSQL rejects text with a NUL character, and SQLite
///   rejects times outside the years 0 to 9999.
/// - [`Database`](Self::Database): any other error, such as a missing table or a stored value that viraldb cannot read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The row does not exist.
    #[error("{}{} not found{}{table}{}", if key.is_empty() { "row" } else { "row " }, short(key), if table.is_empty() { "" } else { " in " }, listed_by(table))]
    NotFound {
        /// The table that was searched.
        table: &'static str,
        /// The key of the missing row.
        key: String,
    },

    /// Another row already has the same unique key.
    #[error("{} already has a row with this key ({constraint}): {message}", if table.is_empty() { "the table" } else { table })]
    Conflict {
        /// The table of the row.
        table: &'static str,
        /// The name of the unique constraint, the same on both engines.
        constraint: String,
        /// The message of the database.
        message: String,
    },

    /// A value is invalid.
    #[error("{what}{}{reason}", if what.is_empty() { "" } else { " " })]
    Invalid {
        /// The value, or the field or row that contains it.
        what: String,
        /// Why the value is invalid.
        reason: String,
    },

    /// The worker no longer owns the job: its lease expired, or the job was finished or claimed by another worker.
    #[error("lease lost for job {job}: it expired or another worker claimed the job; stop working on it")]
    LeaseLost {
        /// The id of the job.
        job: uuid::Uuid,
    },

    /// Another program or session held a lock for too long, or the server rolled back the transaction because of a conflict.
    #[error("{database} is locked: {reason}")]
    Busy {
        /// The database, its password masked.
        database: String,
        /// Who may hold the lock, and what to do.
        reason: String,
    },

    /// The database was created or migrated by a newer viraldb.
    #[error(
        "the database has schema version {database}, but this viraldb supports versions up to {binary}; use the viraldb that \
         migrated the database, or a newer one"
    )]
    SchemaNewer {
        /// The newest schema version of the database.
        database: String,
        /// The newest schema version that this program supports.
        binary: String,
    },

    /// The migrations applied to the database differ from those of this program.
    #[error("the migrations of the database differ from those of this viraldb: {}", .0.join("; "))]
    SchemaModified(Vec<String>),

    /// Migrations are pending, and this call does not apply them.
    #[error("the database has pending migrations: {}; run `viraldb migrate run`", .0.join(", "))]
    SchemaPending(Vec<String>),

    /// The file or server has no viraldb database.
    #[error("{0}: no viraldb database found; run `viraldb init` to create one")]
    NotInitialised(String),

    /// The URL is invalid or not supported.
    #[error("{url}: {reason}")]
    UnsupportedUrl {
        /// The URL, its password masked.
        url: String,
        /// Why it is not supported, and what to write.
        reason: String,
    },

    /// The database cannot be opened or written.
    #[error("{database}: {reason}")]
    Unusable {
        /// The database, its password masked.
        database: String,
        /// Why, and what to do.
        reason: String,
    },

    /// The server cannot be reached, or it closed the connection.
    #[error("{database}: {reason}")]
    Disconnected {
        /// The database, its password masked.
        database: String,
        /// The message of the server or of libpq, and what to do.
        reason: String,
    },

    /// A file cannot be read or written.
    #[error("{}: {}{}", path.display(), of_system(source), to_do(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },

    /// The input of a strict ingest has bad rows; nothing was written.
    #[error(
        "{rejected} bad row{}, nothing was written; the first: {first}", if *rejected == 1 { "" } else { "s" }
    )]
    Rejected {
        /// The number of bad rows.
        rejected: u64,
        /// The first bad row: its file, line and reason.
        first: String,
    },

    /// The key that a secret is encrypted with was not given, or there is no key to encrypt it with.
    #[error("{at} {}", key_missing(needed, given))]
    SecretKeyMissing {
        /// The column and row, or the setting, of the secret.
        at: String,
        /// The ids of the keys, one of which is needed; empty if any key would do.
        needed: Vec<String>,
        /// The ids of the keys that were given.
        given: Vec<String>,
    },

    /// An encrypted text cannot be decrypted with its key.
    #[error(
        "{at} cannot be decrypted: it is damaged or was copied from another row or column; set the secret again, or restore it \
         from a backup"
    )]
    SecretDamaged {
        /// The column and row, or the setting, of the secret.
        at: String,
    },

    /// The stored value is not encrypted by viraldb.
    #[error("{at} is not encrypted: {reason}")]
    SecretNotSealed {
        /// The column and row, or the setting, of the secret.
        at: String,
        /// What the value is, and what to do.
        reason: String,
    },

    /// The secret is not set.
    #[error("{at} has no secret; set one with `viraldb secrets set`")]
    SecretNotSet {
        /// The column and row, or the setting, of the secret.
        at: String,
    },

    /// Any other error of the database.
    #[error("{table}{}{source}", if table.is_empty() { "" } else { ": " })]
    Database {
        /// The table of the query; empty if it is unknown.
        table: &'static str,
        /// The error of Diesel.
        source: Diesel,
    },

    /// An error of the caller, from a closure given to `read` or `write`.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Creates an [`Error::Invalid`], whose message is `what reason`.
    pub fn invalid(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { what: what.into(), reason: reason.into() }
    }

    /// Creates an [`Error::Other`]. A closure of `read` or `write` wraps errors of other types with
    /// `.map_err(Error::other)`.
    ///
    /// ```
    /// use viraldb::{Database, Error, ErrorKind};
    ///
    /// # fn main() -> viraldb::Result<()> {
    /// let db = Database::open("sqlite::memory:")?;
    /// let error = db.read(|_| std::fs::read("/a/missing/file").map_err(Error::other)).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Other);
    /// # Ok(())
    /// # }
    /// ```
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }

    /// Creates an [`Error::Io`] for a file.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }

    /// Appends a note to the reason of the error. Variants without a reason stay unchanged.
    pub fn with(mut self, note: &str) -> Self {
        match &mut self {
            Self::Invalid { reason, .. }
            | Self::Busy { reason, .. }
            | Self::Disconnected { reason, .. }
            | Self::Unusable { reason, .. } => {
                *reason = format!("{reason}; {note}");
            }
            Self::Io { source, .. } => {
                // The message keeps what to do, except what the variant adds again by the kind.
                let to_do = if is_full(source) { "" } else { to_do(source) };
                *source = std::io::Error::new(source.kind(), format!("{}{to_do}; {note}", of_system(source)));
            }
            _ => {}
        }
        self
    }

    /// Returns true if the error concerns a single row: other rows may still be stored, but this row never will be.
    pub(crate) fn is_of_row(&self) -> bool {
        matches!(
            self,
            Self::NotFound { .. } | Self::Conflict { .. } | Self::Invalid { .. } | Self::LeaseLost { .. }
        )
    }

    /// Returns true if the error concerns the input file, so that other files may still be read and stored.
    pub fn is_of_input(&self) -> bool {
        self.is_of_row() || matches!(self, Self::Io { .. } | Self::Rejected { .. })
    }

    /// Returns true if the connection is lost, so that a new connection may still work.
    #[cfg(feature = "postgres")]
    pub(crate) fn is_lost_connection(&self) -> bool {
        matches!(
            self,
            Self::Database {
                source: Diesel::DatabaseError(Kind::ClosedConnection, _) | Diesel::BrokenTransactionManager,
                ..
            }
        )
    }

    /// Adapts an error from `read`: if a write failed there, the caller is at fault, not the file or the server.
    pub(crate) fn in_read(mut self) -> Self {
        match &mut self {
            // An error that already names its database comes from a different database, to which the closure wrote.
            Self::Unusable { database, reason }
                if database.is_empty() && [SERVER_IS_READ_ONLY, FILE_IS_READ_ONLY].contains(&&**reason) =>
            {
                *reason = "is read-only within `read`; use `write`".to_owned();
            }
            _ => {}
        }
        self
    }

    /// Adds the name of the database to an error that does not name one yet.
    pub(crate) fn in_database(self, name: &impl Display) -> Self {
        match self {
            Self::Busy { database, reason } if database.is_empty() => {
                Self::Busy { database: name.to_string(), reason }
            }
            Self::Unusable { database, reason } if database.is_empty() => {
                Self::Unusable { database: name.to_string(), reason }
            }
            Self::Disconnected { database, reason } if database.is_empty() => {
                Self::Disconnected { database: name.to_string(), reason }
            }
            Self::Database { source: Diesel::DatabaseError(Kind::ClosedConnection, info), .. } => {
                lost(name, &one_line(info.message()))
            }
            Self::Database { source: Diesel::BrokenTransactionManager, .. } => {
                lost(name, "it ended in the middle of a transaction")
            }
            other => other,
        }
    }
}

/// Returns the error for a lost connection to a server.
fn lost(name: &impl Display, why: &str) -> Error {
    Error::Disconnected {
        database: name.to_string(),
        reason: format!(
            "the connection was lost: {why}; uncommitted changes were rolled back; check the server's log, and try again \
             when the server is up"
        ),
    }
}

/// Returns the message of the operating system in lower case, without its number.
fn of_system(error: &std::io::Error) -> String {
    let text = error.to_string();
    match (error.raw_os_error(), text.rsplit_once(" (os error ")) {
        (Some(_), Some((message, _))) => {
            let mut chars = message.chars();
            chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
        }
        _ => text,
    }
}

/// Returns what to do about an error of the operating system.
fn to_do(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::{AlreadyExists, NotFound, PermissionDenied};
    match error.kind() {
        _ if is_full(error) => "; make room and try again",
        _ if error.raw_os_error().is_none() => "", // an error of viraldb's own says what to do
        NotFound => "; check the path",
        PermissionDenied => "; check the permissions of the file and of its folder",
        AlreadyExists => "; choose another name",
        _ => "",
    }
}

/// Returns true if a file could not be written because the disk, the quota or the file size limit is exhausted.
fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Says which keys are needed, which were given, and how to give a key.
fn key_missing(needed: &[String], given: &[String]) -> String {
    let why = match needed {
        [] => "needs an encryption key".to_owned(),
        [id] => format!("needs key {id}"),
        ids => format!("needs one of the keys {}", ids.join(", ")),
    };
    let given = match given {
        [] => "but none was given".to_owned(),
        ids => format!("but only these were given: {}", ids.join(", ")),
    };
    let make = if needed.is_empty() { "; create one with `viraldb secrets keygen`" } else { "" };
    format!("{why}, {given}; set VIRALDB_KEY or VIRALDB_KEY_FILE{make}")
}

/// Returns a hint with the command that lists the rows of a table, for an error about a missing row.
fn listed_by(table: &str) -> &'static str {
    match table {
        "clips" => "; list the clips with `viraldb clips list`",
        "channels" => "; list the channels with `viraldb channels list`",
        "discovered_videos" => "; list the videos with `viraldb videos list`",
        "error_log" => "; list the errors with `viraldb errors list`",
        "music" => "; list the music with `viraldb music list`",
        "pipeline_runs" => "; list the runs with `viraldb runs list`",
        "review_log" => "; list the reviews with `viraldb reviews list`",
        "scripts" => "; list the scripts with `viraldb scripts list`",
        "shorts" => "; list the shorts with `viraldb shorts list`",
        "transformation_presets" => "; list the presets with `viraldb presets list`",
        "trends" => "; list the trends with `viraldb trends list`",
        "video_processing_jobs" => "; list the jobs with `viraldb jobs list`",
        "videos" => "; list the source videos with `viraldb source-videos list`",
        _ => "",
    }
}

impl From<Box<dyn std::error::Error + Send + Sync>> for Error {
    fn from(source: Box<dyn std::error::Error + Send + Sync>) -> Self {
        Self::Other(source)
    }
}

/// The maximum length in bytes of a text in an indexed column. An entry of PostgreSQL's B-tree has at most 2,704 bytes,
/// including a timestamp in the same index and the overhead of the server. SQLite has no such limit.
const MOST_INDEXED: usize = 2_600;

/// Rejects a text that is too long for an index on either engine.
pub(crate) fn require_indexable(column: &str, text: Option<&(impl AsRef<str> + ?Sized)>) -> Result<()> {
    match text.map(|text| text.as_ref().len()).filter(|length| *length > MOST_INDEXED) {
        Some(length) => {
            Err(Error::invalid(column, format!("has {length} bytes; the maximum is {MOST_INDEXED}")))
        }
        None => Ok(()),
    }
}

/// Rejects an empty or blank field.
pub(crate) fn require(field: &str, value: &str) -> Result<()> {
    if value.trim().is_empty() { Err(Error::invalid(field, "is empty")) } else { Ok(()) }
}
