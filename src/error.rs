//! The one error of the crate.

use std::fmt::Display;
use std::path::PathBuf;

use crate::quote::{cut_quotes, short};
use crate::secrets::KeyId;
use crate::types::VideoProcessingJobId;
use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind as Kind, Error as Diesel};

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
        /// The job.
        job: VideoProcessingJobId,
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
        /// The keys of which one is needed; none if any would do.
        needed: Vec<KeyId>,
        /// The keys that were given.
        given: Vec<KeyId>,
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

    /// An [`Error::Io`] on a file.
    pub(crate) fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }

    /// Adds what else is to be known, to an error that gives a reason.
    pub(crate) fn with(mut self, note: &str) -> Self {
        match &mut self {
            Self::Invalid { reason, .. } | Self::Busy { reason, .. } | Self::Unusable { reason, .. } => {
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

    /// Names the database in an error that could not know it.
    pub(crate) fn in_database(self, name: &impl Display) -> Self {
        match self {
            Self::Busy { database, reason } if database.is_empty() => {
                Self::Busy { database: name.to_string(), reason }
            }
            Self::Unusable { database, reason } if database.is_empty() => {
                Self::Unusable { database: name.to_string(), reason }
            }
            Self::Database { source: Diesel::DatabaseError(Kind::ClosedConnection, info), .. } => {
                Self::Unusable {
                    database: name.to_string(),
                    reason: format!(
                        "the connection was lost: {}; the server's log says why. What was not committed is undone: try \
                         again when it is back",
                        one_line(info.message())
                    ),
                }
            }
            other => other,
        }
    }
}

/// Whether a file could not be written because there is no room for it.
fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Which keys are needed, which were given, and how to give others.
fn key_missing(needed: &[KeyId], given: &[KeyId]) -> String {
    let list = |ids: &[KeyId]| ids.iter().map(KeyId::to_string).collect::<Vec<_>>().join(", ");
    let why = match needed {
        [] => "needs a key".to_owned(),
        [id] => format!("needs key {id}"),
        ids => format!("needs one of the keys {}", list(ids)),
    };
    let given = match given {
        [] => "none was given".to_owned(),
        ids => format!("given: {}", list(ids)),
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

/// Maps what Diesel says, once for the whole crate.
fn map(source: Diesel, table: &'static str, key: impl Display) -> Error {
    let what = short(format!("{table} {key}").trim());
    match source {
        Diesel::NotFound => Error::NotFound { table, key: key.to_string() },
        Diesel::QueryBuilderError(_) => Error::invalid(what, source.to_string()),
        Diesel::DatabaseError(Kind::UniqueViolation, info) => Error::Conflict {
            table,
            constraint: unique_constraint(info.as_ref()),
            message: details(info.as_ref()),
        },
        Diesel::DatabaseError(Kind::ForeignKeyViolation, info) => Error::invalid(
            what,
            format!(
                "refers to a row that is not there, or is referred to by one that is ({})",
                details(info.as_ref())
            ),
        ),
        Diesel::DatabaseError(Kind::CheckViolation | Kind::NotNullViolation, info) => {
            Error::invalid(what, format!("does not fit: {}", details(info.as_ref())))
        }
        Diesel::DatabaseError(Kind::SerializationFailure, info) => {
            Error::Busy { database: String::new(), reason: format!("{}; try again", info.message()) }
        }
        Diesel::DatabaseError(_, info) if is_of_value(info.message()) => {
            Error::invalid(what, format!("does not fit: {}", details(info.as_ref())))
        }
        Diesel::DatabaseError(_, ref info) => match known_trouble(info.message()) {
            Some(error) => error,
            None => Error::Database { table, source },
        },
        source => Error::Database { table, source },
    }
}

/// What the database said, on one line. PostgreSQL would add all values of a row that fails a check, of which one may
/// be a secret.
fn details(info: &(dyn DatabaseErrorInformation + Send + Sync)) -> String {
    let text = match info.details().filter(|details| !details.starts_with("Failing row contains")) {
        Some(details) => format!("{}: {}", cut_quotes(info.message()), cut_quotes(details)),
        None => cut_quotes(info.message()),
    };
    one_line(&text)
}

/// Joins the lines of a message.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// PostgreSQL names the constraint; SQLite names its columns, from which our names follow.
fn unique_constraint(info: &(dyn DatabaseErrorInformation + Send + Sync)) -> String {
    if let Some(name) = info.constraint_name() {
        return name.to_owned();
    }
    let Some(columns) = info.message().strip_prefix("UNIQUE constraint failed: ") else {
        return info.message().to_owned();
    };
    let columns: Vec<(&str, &str)> = columns.split(", ").filter_map(|c| c.split_once('.')).collect();
    let table = columns.first().map_or("", |c| c.0);
    match columns.as_slice() {
        [(_, "id" | "key" | "version")] => format!("{table}_pkey"),
        columns => {
            let names: Vec<&str> = columns.iter().map(|c| c.1).collect();
            format!("{table}_{}_key", names.join("_"))
        }
    }
}

/// Whether PostgreSQL refuses a value that no constraint speaks of; Diesel has no kind for these.
fn is_of_value(message: &str) -> bool {
    [
        "invalid byte sequence for encoding",
        "unsupported Unicode escape sequence",
        "date/time field value out of range",
        "timestamp out of range",
        "integer out of range",
        "numeric field overflow",
        "value overflows numeric format",
        "invalid input syntax for",
        "value too long for type",
    ]
    .iter()
    .any(|known| message.contains(known))
        || message.starts_with("index row ")
}

/// How the reason begins when SQLite may not open a file, or one that it needs beside it.
pub(crate) const CANNOT_BE_OPENED: &str = "cannot be opened";

/// The reason when SQLite finds no room.
pub(crate) const DISK_FULL: &str = "the disk is full, or a row has the largest id there is and none is left; nothing of \
                                    this was written. Make room and try again";

/// The reason when the system refuses SQLite a read or a write: for some of them it does so because there is no room.
pub(crate) const DISK_ERROR: &str =
    "the disk reported an error, or is full; nothing of this was written. Make room and try again";

/// Whether PostgreSQL, or one of its programs, found no room: what the system said is in the message, or that half a page
/// was written.
pub(crate) fn found_no_room(message: &str) -> bool {
    ["No space left on device", "Disk quota exceeded", ": wrote only "]
        .iter()
        .any(|known| message.contains(known))
}

/// Troubles of a SQLite file and of a PostgreSQL server that a person can do something about.
fn known_trouble(message: &str) -> Option<Error> {
    let unusable =
        |reason: &str| Some(Error::Unusable { database: String::new(), reason: reason.to_owned() });
    match message {
        "database is locked" | "database table is locked" => Some(Error::Busy {
            database: String::new(),
            reason: "another program kept its write lock for longer than we wait; `fuser -v FILE` names it"
                .to_owned(),
        }),
        "deadlock detected" => Some(Error::Busy {
            database: String::new(),
            reason: "two sessions waited for each other, and this one was stopped; try again".to_owned(),
        }),
        "canceling statement due to lock timeout" => Some(Error::Busy {
            database: String::new(),
            reason:
                "another session kept a lock for longer than we wait; pg_stat_activity and pg_locks name it"
                    .to_owned(),
        }),
        "file is not a database" | "file is encrypted or is not a database" => {
            unusable("is no SQLite database; give the path of one, or of a file that is not there yet")
        }
        "attempt to write a readonly database" => unusable(
            "may not be written here: `read` does not write, use `write`; or change the permissions of the file \
                 and of its folder",
        ),
        "unable to open database file" => {
            unusable(&format!("{CANNOT_BE_OPENED}; look at the permissions of the file and of its folder"))
        }
        "database or disk is full" => unusable(DISK_FULL),
        "database disk image is malformed" => unusable("is damaged; restore a backup"),
        "disk I/O error" => unusable(DISK_ERROR),
        m if found_no_room(m) => unusable(&format!(
            "the server's disk is full: {}; nothing of this was written. Make room and try again",
            one_line(m)
        )),
        m if m.starts_with("query would be affected by row-level security policy") => unusable(&format!(
            "{}, so rows would be missing without notice; connect as the owner of the tables, or as a role with BYPASSRLS",
            one_line(m)
        )),
        // The pooler's next session has not prepared what the last one has, or another program has under that name.
        m if m.contains("prepared statement \"__diesel_stmt_") => unusable(
            "each transaction gets another session, as behind PgBouncer in transaction mode; say so in the URL: \
                 pgbouncer=true",
        ),
        m if m.contains("read-only transaction") => {
            unusable("may not be written here: `read` does not write, use `write`")
        }
        _ => None,
    }
}

impl From<Diesel> for Error {
    fn from(source: Diesel) -> Self {
        map(source, "", "")
    }
}

impl From<Box<dyn std::error::Error + Send + Sync>> for Error {
    fn from(source: Box<dyn std::error::Error + Send + Sync>) -> Self {
        Self::Other(source)
    }
}

/// Says which table and key an error of Diesel's is about.
pub(crate) trait ResultExt<T> {
    fn of(self, table: &'static str, key: impl Display) -> Result<T>;
}

impl<T> ResultExt<T> for diesel::QueryResult<T> {
    fn of(self, table: &'static str, key: impl Display) -> Result<T> {
        self.map_err(|source| map(source, table, key))
    }
}

/// Refuses an empty field.
pub(crate) fn require(field: &str, value: &str) -> Result<()> {
    if value.trim().is_empty() { Err(Error::invalid(field, "is empty")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pooler_that_nobody_told_us_of_is_named() {
        for message in [
            "prepared statement \"__diesel_stmt_1\" already exists",
            "prepared statement \"__diesel_stmt_12\" does not exist",
            "bind message supplies 2 parameters, but prepared statement \"__diesel_stmt_3\" requires 1",
        ] {
            let error = Diesel::DatabaseError(Kind::Unknown, Box::new(message.to_owned()));
            let said = map(error, "clips", "7").to_string();
            assert!(said.ends_with("say so in the URL: pgbouncer=true"), "{said}");
        }
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let said = |kind, table, key| {
            map(Diesel::DatabaseError(kind, Box::new("m".to_owned())), table, key).to_string()
        };
        assert_eq!(Error::from(Diesel::NotFound).to_string(), "no such row");
        assert_eq!(map(Diesel::NotFound, "clips", "").to_string(), "no such row in clips");
        assert_eq!(map(Diesel::NotFound, "clips", 7).to_string(), "no row 7 in clips");
        assert_eq!(said(Kind::UniqueViolation, "", ""), "the table already has such a row (m): m");
        assert_eq!(said(Kind::UniqueViolation, "clips", ""), "clips already has such a row (m): m");
        assert_eq!(said(Kind::CheckViolation, "", ""), "does not fit: m");
        assert_eq!(said(Kind::CheckViolation, "clips", "7"), "clips 7 does not fit: m");
        assert_eq!(map(Diesel::QueryBuilderError("q".into()), "", "").to_string(), "q");
    }
}
