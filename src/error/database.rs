//! What the databases say, in words of ours: once for the whole crate.

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

/// Says which table and key an error of Diesel's is about.
pub(crate) trait ResultExt<T> {
    fn of(self, table: &'static str, key: impl Display) -> Result<T>;
}

impl<T> ResultExt<T> for diesel::QueryResult<T> {
    fn of(self, table: &'static str, key: impl Display) -> Result<T> {
        self.map_err(|source| map(source, table, key))
    }
}

/// Maps what Diesel says, once for the whole crate.
fn map(source: Diesel, table: &'static str, key: impl Display) -> Error {
    let what = short(format!("{table} {key}").trim());
    match source {
        // The connection was lost before.
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
pub(crate) const DISK_FULL: &str = "the disk is full, or a row has the largest id there is and none is left; what \
                                    was not committed is undone. Make room and try again";

/// The reason when the system refuses SQLite a read or a write: for some of them it does so because there is no room.
pub(crate) const DISK_ERROR: &str =
    "the disk reported an error, or is full; what was not committed is undone. Make room and try again";

/// The reason when a file may not be written.
pub(super) const FILE_IS_READ_ONLY: &str =
    "may not be written: change the permissions of the file and of its folder";

/// The reason when a server takes no writes.
pub(crate) const SERVER_IS_READ_ONLY: &str = "the server takes no writes: it is a replica, or \
     default_transaction_read_only is on; connect to the primary";

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
        "attempt to write a readonly database" => unusable(FILE_IS_READ_ONLY),
        "unable to open database file" => {
            unusable(&format!("{CANNOT_BE_OPENED}; look at the permissions of the file and of its folder"))
        }
        "database or disk is full" => unusable(DISK_FULL),
        "database disk image is malformed" => unusable("is damaged; restore a backup"),
        "disk I/O error" => unusable(DISK_ERROR),
        m if found_no_room(m) => unusable(&format!(
            "the server's disk is full: {}; what was not committed is undone. Make room and try again",
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
