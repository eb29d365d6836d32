//! The name and origin that identify the backups of a database.

use crate::{DatabaseUrl, Result};

/// Returns the name of a database: the file name for SQLite, or the name on the server for PostgreSQL.
pub(in crate::ops) fn name_of(url: &DatabaseUrl) -> String {
    match url {
        DatabaseUrl::File(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        #[cfg(feature = "postgres")]
        DatabaseUrl::Postgres(url) => crate::db::url::conninfo::database_name(url),
        _ => "memory".to_owned(),
    }
}

/// Returns what distinguishes a database from others with the same name.
///
/// This is the absolute path for SQLite. For PostgreSQL, it is the server's system identifier, followed by the schema
/// unless that is `public`.
pub(in crate::ops) fn origin_of(url: &DatabaseUrl) -> Result<String> {
    match url {
        #[cfg(feature = "sqlite")]
        DatabaseUrl::File(path) => Ok(super::sqlite::origin(path)),
        #[cfg(feature = "postgres")]
        DatabaseUrl::Postgres(url) => super::postgres::origin(url),
        _ => Ok(String::new()),
    }
}
