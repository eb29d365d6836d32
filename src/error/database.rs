//! Maps the errors of Diesel and of the databases to [`Error`], for the whole crate.

use std::fmt::Display;

use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind as Kind, Error as Diesel};

use super::Error;
use crate::Result;
use crate::quote::{cut_quotes, one_line, short};

impl From<Diesel> for Error {
    fn from(source: Diesel) -> Self {
        map(source, "", "")
    }
}

/// Adds the table and the key to a Diesel error.
pub(crate) trait ResultExt<T> {
    fn of(self, table: &'static str, key: impl Display) -> Result<T>;
}

impl<T> ResultExt<T> for diesel::QueryResult<T> {
    fn of(self, table: &'static str, key: impl Display) -> Result<T> {
        self.map_err(|source| map(source, table, key))
    }
}

/// Maps a Diesel error to an [`Error`].
fn map(source: Diesel, table: &'static str, key: impl Display) -> Error {
    let what = short(format!("{table} {key}").trim());
    match source {
        // The connection was already lost before this command.
        Diesel::DatabaseError(Kind::UnableToSendCommand, info) => {
            Error::Database { table, source: Diesel::DatabaseError(Kind::ClosedConnection, info) }
        }
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
                "refers to a row that does not exist, or another row still refers to it ({})",
                details(info.as_ref())
            ),
        ),
        Diesel::DatabaseError(Kind::CheckViolation | Kind::NotNullViolation, info) => {
            Error::invalid(what, format!("is invalid: {}", details(info.as_ref())))
        }
        Diesel::DatabaseError(Kind::SerializationFailure, info) => {
            Error::Busy { database: String::new(), reason: format!("{}; try again", info.message()) }
        }
        Diesel::DatabaseError(_, info) if is_of_value(info.message()) => {
            Error::invalid(what, format!("is invalid: {}", details(info.as_ref())))
        }
        Diesel::DatabaseError(_, ref info) => match known_trouble(info.message()) {
            Some(error) => error,
            None => Error::Database { table, source },
        },
        source => Error::Database { table, source },
    }
}

/// Returns the message of the database on one line. PostgreSQL's detail "Failing row contains" is left out, because it
/// quotes all values of the row, and one of them may be a secret.
fn details(info: &(dyn DatabaseErrorInformation + Send + Sync)) -> String {
    let text = match info.details().filter(|details| !details.starts_with("Failing row contains")) {
        Some(details) => format!("{}: {}", cut_quotes(info.message()), cut_quotes(details)),
        None => cut_quotes(info.message()),
    };
    one_line(&text)
}

/// Returns the name of the violated unique constraint. PostgreSQL reports the name. SQLite reports only the columns, so the
/// name is derived from them by the naming scheme of viraldb's migrations.
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

/// Returns true if PostgreSQL rejects a value for a reason other than a constraint. Diesel has no error kind for these.
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

/// The beginning of the reason if SQLite cannot open a database file or one of the files next to it.
pub(crate) const CANNOT_BE_OPENED: &str = "cannot be opened";

/// The reason if SQLite reports a full disk. SQLite reports the same error if a table has used up all row ids.
pub(crate) const DISK_FULL: &str = "the disk is full, or the table has no row ids left; uncommitted changes were rolled \
                                    back; make room and try again";

/// The reason if SQLite cannot read or write a file. Some operations fail this way when the disk is full.
pub(crate) const DISK_ERROR: &str =
    "the disk reported an error, or is full; uncommitted changes were rolled back; make room and try again";

/// The reason if a file cannot be written.
pub(super) const FILE_IS_READ_ONLY: &str =
    "is read-only; change the permissions of the file and of its folder";

/// The reason if a server accepts no writes.
pub(crate) const SERVER_IS_READ_ONLY: &str = "the server is read-only: it is a replica, or \
     default_transaction_read_only is on; connect to the primary";

/// Returns true if PostgreSQL or one of its programs ran out of disk space. The message then quotes the error of the
/// operating system, or reports that only a part of a page was written.
pub(crate) fn found_no_room(message: &str) -> bool {
    ["No space left on device", "Disk quota exceeded", ": wrote only "]
        .iter()
        .any(|known| message.contains(known))
}

/// Returns an error with instructions for common problems of SQLite files and PostgreSQL servers that the user can fix.
fn known_trouble(message: &str) -> Option<Error> {
    let unusable =
        |reason: &str| Some(Error::Unusable { database: String::new(), reason: reason.to_owned() });
    match message {
        "database is locked" | "database table is locked" => Some(Error::Busy {
            database: String::new(),
            reason: "another program held the write lock for too long; find it with `fuser -v FILE`"
                .to_owned(),
        }),
        "deadlock detected" => Some(Error::Busy {
            database: String::new(),
            reason:
                "the server ended a deadlock with another session by rolling back this transaction; try again"
                    .to_owned(),
        }),
        "canceling statement due to lock timeout" => Some(Error::Busy {
            database: String::new(),
            reason: "another session held a lock for too long; find it in pg_stat_activity and pg_locks"
                .to_owned(),
        }),
        "file is not a database" | "file is encrypted or is not a database" => {
            unusable("is not a SQLite database; name a SQLite database or a file that does not exist yet")
        }
        "attempt to write a readonly database" => unusable(FILE_IS_READ_ONLY),
        "unable to open database file" => {
            unusable(&format!("{CANNOT_BE_OPENED}; check the permissions of the file and of its folder"))
        }
        "database or disk is full" => unusable(DISK_FULL),
        "database disk image is malformed" => unusable("is damaged; restore it from a backup"),
        m if m.starts_with("malformed database schema") => {
            unusable(&format!("is damaged: {}; restore it from a backup", one_line(m)))
        }
        "disk I/O error" => unusable(DISK_ERROR),
        m if found_no_room(m) => unusable(&format!(
            "the server's disk is full: {}; uncommitted changes were rolled back; make room and try again",
            one_line(m)
        )),
        m if m.starts_with("query would be affected by row-level security policy") => unusable(&format!(
            "{}, which would silently hide rows from viraldb; connect as the owner of the tables, or as a role with BYPASSRLS",
            one_line(m)
        )),
        // The pooler handed out a session that has not prepared this statement, or that has prepared a statement of another
        // program under the same name.
        m if m.contains("prepared statement \"__diesel_stmt_") => unusable(
            "each transaction runs in a different session, as with PgBouncer in transaction mode; add pgbouncer=true \
                 to the URL",
        ),
        m if m.contains("read-only transaction") || m.contains("during recovery") => {
            unusable(SERVER_IS_READ_ONLY)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_undeclared_pooler_is_reported_with_the_url_parameter() {
        for message in [
            "prepared statement \"__diesel_stmt_1\" already exists",
            "prepared statement \"__diesel_stmt_12\" does not exist",
            "bind message supplies 2 parameters, but prepared statement \"__diesel_stmt_3\" requires 1",
        ] {
            let error = Diesel::DatabaseError(Kind::Unknown, Box::new(message.to_owned()));
            let said = map(error, "clips", "7").to_string();
            assert!(said.ends_with("add pgbouncer=true to the URL"), "{said}");
        }
    }

    #[test]
    fn messages_leave_out_unknown_tables_and_keys() {
        let said = |kind, table, key| {
            map(Diesel::DatabaseError(kind, Box::new("m".to_owned())), table, key).to_string()
        };
        assert_eq!(Error::from(Diesel::NotFound).to_string(), "row not found");
        assert_eq!(map(Diesel::NotFound, "jobs", "").to_string(), "row not found in jobs");
        assert_eq!(map(Diesel::NotFound, "jobs", 7).to_string(), "row 7 not found in jobs");
        assert_eq!(said(Kind::UniqueViolation, "", ""), "the table already has a row with this key (m): m");
        assert_eq!(said(Kind::UniqueViolation, "clips", ""), "clips already has a row with this key (m): m");
        assert_eq!(said(Kind::CheckViolation, "", ""), "is invalid: m");
        assert_eq!(said(Kind::CheckViolation, "clips", "7"), "clips 7 is invalid: m");
        assert_eq!(map(Diesel::QueryBuilderError("q".into()), "", "").to_string(), "q");
    }
}
