//! The one error of the crate.

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

/// What every function of the crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, on which table and key, and what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The row is not there.
    #[error("no {}{}{}{table}{}", if key.is_empty() { "such row" } else { "row " }, short(key), if table.is_empty() { "" } else { " in " }, listed_by(table))]
    NotFound {
        /// Table it was looked for in.
        table: &'static str,
        /// Key it was looked for by.
        key: String,
    },

    /// Another row stands where this one would.
    #[error("{} already has such a row ({constraint}): {message}", if table.is_empty() { "the table" } else { table })]
    Conflict {
        /// Table of the row.
        table: &'static str,
        /// Name of the unique constraint, the same on both engines.
        constraint: String,
        /// What the database said.
        message: String,
    },

    /// A value that cannot be.
    #[error("{what}{}{reason}", if what.is_empty() { "" } else { " " })]
    Invalid {
        /// The value, or where it stands.
        what: String,
        /// Why it cannot be.
        reason: String,
    },

    /// The claim of a job is over: its lease has expired, or the job was finished or given to another.
    #[error(
        "the lease of job {job} is lost: it expired, or the job is another worker's by now; stop working on it"
    )]
    LeaseLost {
        /// Key of the job.
        job: uuid::Uuid,
    },

    /// Somebody else held the database for longer than we wait.
    #[error("{database} is locked: {reason}")]
    Busy {
        /// The database, its password masked.
        database: String,
        /// Who may hold it, and what to do.
        reason: String,
    },

    /// The database was made by a newer viraldb.
    #[error(
        "the database has schema {database}, this viraldb knows up to {binary}: use the viraldb that made it, or a newer one"
    )]
    SchemaNewer {
        /// Newest schema version of the database.
        database: String,
        /// Newest schema version of this program.
        binary: String,
    },

    /// The migrations that made the database are not those of this program.
    #[error("the history of the schema differs: {}", .0.join("; "))]
    SchemaModified(Vec<String>),

    /// The database is older than this program and may not be changed here.
    #[error("the database lacks {}: run `viraldb migrate run`", .0.join(", "))]
    SchemaPending(Vec<String>),

    /// There is no viraldb database there.
    #[error("{0} holds no viraldb database: run `viraldb init`")]
    NotInitialised(String),

    /// The URL names nothing that can be opened.
    #[error("{url}: {reason}")]
    UnsupportedUrl {
        /// The URL, its password masked.
        url: String,
        /// What would be right.
        reason: String,
    },

    /// The database cannot be opened, or cannot be written.
    #[error("{database}: {reason}")]
    Unusable {
        /// The database, its password masked.
        database: String,
        /// Why, and what to do.
        reason: String,
    },

    /// The server cannot be reached, or it ended the connection.
    #[error("{database}: {reason}")]
    Disconnected {
        /// The database, its password masked.
        database: String,
        /// What is known of it, and what to do.
        reason: String,
    },

    /// A file could not be read or written.
    #[error("{}: {source}{}", path.display(), if is_full(source) { "; make room and try again" } else { "" })]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// Bad rows in the input of a strict ingest; nothing was written.
    #[error(
        "{rejected} bad row{}, nothing was written; the first: {first}", if *rejected == 1 { "" } else { "s" }
    )]
    Rejected {
        /// How many.
        rejected: u64,
        /// The first, with file, line and reason.
        first: String,
    },

    /// A secret is sealed under a key that was not given, or there is no key to seal it with.
    #[error("{at} {}", key_missing(needed, given))]
    SecretKeyMissing {
        /// The place of the secret.
        at: String,
        /// The ids of the keys of which one is needed; empty if any would do.
        needed: Vec<String>,
        /// The ids of the keys that were given.
        given: Vec<String>,
    },

    /// A sealed text does not open under its key.
    #[error(
        "{at} does not open: it was damaged, or copied from another place; set the secret anew, or restore it from a backup"
    )]
    SecretDamaged {
        /// The place of the secret.
        at: String,
    },

    /// What stands where a sealed text should is none.
    #[error("{at} is not sealed: {reason}")]
    SecretNotSealed {
        /// The place of the secret.
        at: String,
        /// What it is, and what to do.
        reason: String,
    },

    /// There is no secret.
    #[error("{at} holds no secret; set one with `viraldb secrets set`")]
    SecretNotSet {
        /// The place of the secret.
        at: String,
    },

    /// Anything else the database said.
    #[error("{table}{}{source}", if table.is_empty() { "" } else { ": " })]
    Database {
        /// Table it was said of, or nothing.
        table: &'static str,
        /// What Diesel said.
        source: Diesel,
    },

    /// An error of the caller's own, from a closure given to `read` or `write`.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// An [`Error::Invalid`]: reads as `what reason`.
    pub fn invalid(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { what: what.into(), reason: reason.into() }
    }

    /// An [`Error::Other`], for a closure of `read` or `write` that has an error of its own: `.map_err(Error::other)`.
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }

    /// An [`Error::Io`] on a file.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }

    /// Adds a note to an error that gives a reason.
    pub fn with(mut self, note: &str) -> Self {
        match &mut self {
            Self::Invalid { reason, .. }
            | Self::Busy { reason, .. }
            | Self::Disconnected { reason, .. }
            | Self::Unusable { reason, .. } => {
                *reason = format!("{reason}; {note}");
            }
            Self::Io { source, .. } => {
                *source = std::io::Error::new(source.kind(), format!("{source}; {note}"));
            }
            _ => {}
        }
        self
    }

    /// Whether it is about one row only, so that other rows may still fit, and this one never will.
    pub(crate) fn is_of_row(&self) -> bool {
        matches!(
            self,
            Self::NotFound { .. } | Self::Conflict { .. } | Self::Invalid { .. } | Self::LeaseLost { .. }
        )
    }

    /// Whether it is about the file that was read, so that other files may still be read and stored.
    pub fn is_of_input(&self) -> bool {
        self.is_of_row() || matches!(self, Self::Io { .. } | Self::Rejected { .. })
    }

    /// Whether the connection is gone, so that another one may still serve.
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

    /// The error of a `read`: there the caller is to blame for a write, not the file or the server.
    pub(crate) fn in_read(mut self) -> Self {
        match &mut self {
            // One that names its database comes from another one, which was written to meanwhile.
            Self::Unusable { database, reason }
                if database.is_empty() && [SERVER_IS_READ_ONLY, FILE_IS_READ_ONLY].contains(&&**reason) =>
            {
                *reason = "may not be written within `read`; use `write`".to_owned();
            }
            _ => {}
        }
        self
    }

    /// Names the database in an error that could not know it.
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
                lost(name, "it broke off within a transaction")
            }
            other => other,
        }
    }
}

/// The error of a connection that a server has ended.
fn lost(name: &impl Display, why: &str) -> Error {
    Error::Disconnected {
        database: name.to_string(),
        reason: format!(
            "the connection was lost: {why}; the server's log says why. What was not committed is undone: try again when \
             it is back"
        ),
    }
}

/// Whether a file could not be written because there is no room for it.
fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Which keys are needed, which were given, and how to give others.
fn key_missing(needed: &[String], given: &[String]) -> String {
    let why = match needed {
        [] => "needs a key".to_owned(),
        [id] => format!("needs key {id}"),
        ids => format!("needs one of the keys {}", ids.join(", ")),
    };
    let given = match given {
        [] => "none was given".to_owned(),
        ids => format!("given: {}", ids.join(", ")),
    };
    let make = if needed.is_empty() { "; `viraldb secrets keygen` makes one" } else { "" };
    format!("{why}, {given}; set VIRALDB_KEY or VIRALDB_KEY_FILE{make}")
}

/// The command that lists the rows of a table, for somebody who asked for one that is not there.
fn listed_by(table: &str) -> &'static str {
    match table {
        "channels" => "; `viraldb channels list` shows what there is",
        "discovered_videos" => "; `viraldb videos list` shows what there is",
        "error_log" => "; `viraldb errors list` shows what there is",
        "music" => "; `viraldb music list` shows what there is",
        "pipeline_runs" => "; `viraldb runs list` shows what there is",
        "transformation_presets" => "; `viraldb presets list` shows what there is",
        "trends" => "; `viraldb trends list` shows what there is",
        "video_processing_jobs" => "; `viraldb jobs list` shows what there is",
        _ => "",
    }
}

impl From<Box<dyn std::error::Error + Send + Sync>> for Error {
    fn from(source: Box<dyn std::error::Error + Send + Sync>) -> Self {
        Self::Other(source)
    }
}

/// Most bytes of a text in a column that has an index. PostgreSQL's B-tree takes 2,704 bytes for each row; a moment that
/// stands beside the text, and what the server adds, are part of them. SQLite would take more.
const MOST_INDEXED: usize = 2_600;

/// Refuses a text that one of the engines could not keep in an index.
pub(crate) fn require_indexable(column: &str, text: Option<&(impl AsRef<str> + ?Sized)>) -> Result<()> {
    match text.map(|text| text.as_ref().len()).filter(|length| *length > MOST_INDEXED) {
        Some(length) => {
            Err(Error::invalid(column, format!("has {length} bytes; an index takes {MOST_INDEXED} at most")))
        }
        None => Ok(()),
    }
}

/// Refuses an empty field.
pub(crate) fn require(field: &str, value: &str) -> Result<()> {
    if value.trim().is_empty() { Err(Error::invalid(field, "is empty")) } else { Ok(()) }
}
