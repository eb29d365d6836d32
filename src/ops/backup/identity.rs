//! By what the backups of a database are known.

use crate::{DatabaseUrl, Result};

/// The name of a database: of its file, or on the server.
pub(in crate::ops) fn name_of(url: &DatabaseUrl) -> String {
    match url {
        DatabaseUrl::File(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        #[cfg(feature = "postgres")]
        DatabaseUrl::Postgres(url) => crate::db::url::conninfo::database_name(url),
        _ => "memory".to_owned(),
    }
}

/// What tells a database from others of its name.
pub(in crate::ops) fn origin_of(url: &DatabaseUrl) -> Result<String> {
    match url {
        #[cfg(feature = "sqlite")]
        DatabaseUrl::File(path) => Ok(super::sqlite::origin(path)),
        #[cfg(feature = "postgres")]
        DatabaseUrl::Postgres(url) => super::postgres::origin(url),
        _ => Ok(String::new()),
    }
}
