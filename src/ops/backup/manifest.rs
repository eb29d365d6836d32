//! What is written beside a backup.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use diesel::QueryableByName;
use diesel::sql_types::{Nullable, Text};
use serde::{Deserialize, Serialize};

use crate::ops::workspace::create_private;
use crate::quote::cut_quotes;
use crate::types::Timestamp;
use crate::{Error, Result};

/// The form of manifests.
const FORMAT: u32 = 1;
/// The form of manifests of one schema. A viraldb that does not know it would restore the schema in the place of the whole
/// database.
const FORMAT_OF_SCHEMA: u32 = 2;
/// More than a manifest of thousands of tables.
const LONGEST: u64 = 4 * 1024 * 1024;

/// The engine that a backup is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// SQLite: the copy is a database file.
    Sqlite,
    /// PostgreSQL: the copy is a dump in `pg_dump`'s custom format.
    Postgres,
}

impl Engine {
    #[cfg(not(all(feature = "sqlite", feature = "postgres")))]
    pub(super) const fn feature(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        })
    }
}

/// What is known of a backup: the file `NAME.manifest.json` beside it. It holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of the manifest: 1, or 2 for a backup of one schema.
    pub format: u32,
    /// Name of the database: of the file, or on the server.
    pub database: String,
    /// What tells it from others of that name: the path of the file, or the number of the server's cluster, followed by
    /// the schema unless that is `public`.
    pub origin: String,
    /// PostgreSQL: the schema that the backup holds, with that of ViralForge's views. Nothing if it holds the whole
    /// database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its engine.
    pub engine: Engine,
    /// Version of the engine.
    pub engine_version: String,
    /// The newest migration that was applied.
    pub schema: String,
    /// Version of viraldb that made the backup.
    pub viraldb: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Rows of each table.
    pub rows: BTreeMap<String, u64>,
    /// Rows that refer to rows which are not there, as the database had them.
    pub orphans: u64,
    /// Ids of the keys that secrets in it are sealed under.
    pub keys: Vec<String>,
    /// Whether the backup itself is sealed.
    pub sealed: bool,
    /// Bytes of the backup.
    pub bytes: u64,
    /// SHA-256 of the backup.
    pub sha256: String,
    /// Bytes of the copy in it.
    pub content_bytes: u64,
    /// SHA-256 of the copy in it.
    pub content_sha256: String,
    /// How a database of PostgreSQL sorts, which a restore needs where that database is gone. Nothing for SQLite, and in
    /// older manifests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<Locale>,
}

/// How a database of PostgreSQL encodes, sorts and compares text, in the server's words, and its comment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, QueryableByName)]
pub struct Locale {
    /// Its encoding, such as `UTF8`.
    #[diesel(sql_type = Text)]
    pub encoding: String,
    /// What the C library sorts by, such as `de_DE.utf8`.
    #[diesel(sql_type = Text)]
    pub collate: String,
    /// What the C library takes for a letter.
    #[diesel(sql_type = Text)]
    pub ctype: String,
    /// Who sorts: `libc`, `icu` or `builtin`; nothing before PostgreSQL 15, which has only the first.
    #[diesel(sql_type = Nullable<Text>)]
    pub provider: Option<String>,
    /// What that sorts by, unless it is the C library.
    #[diesel(sql_type = Nullable<Text>)]
    pub locale: Option<String>,
    /// Rules of ICU beside those of the locale.
    #[diesel(sql_type = Nullable<Text>)]
    pub rules: Option<String>,
    /// The comment of the database.
    #[diesel(sql_type = Nullable<Text>)]
    pub comment: Option<String>,
}

impl Manifest {
    pub(super) const FORMAT: u32 = FORMAT;
    pub(super) const FORMAT_OF_SCHEMA: u32 = FORMAT_OF_SCHEMA;

    /// The file of a backup's manifest.
    pub fn path_of(backup: &Path) -> PathBuf {
        crate::db::beside(backup, ".manifest.json")
    }

    /// The manifest of a backup, if there is one.
    ///
    /// # Errors
    /// `Io`; `Invalid` for a file that is no manifest, or a newer viraldb's.
    pub fn read(backup: &Path) -> Result<Option<Self>> {
        let path = Self::path_of(backup);
        let text = match fs::File::open(&path).and_then(|file| {
            let mut text = Vec::new();
            file.take(LONGEST).read_to_end(&mut text).map(|_| text)
        }) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(path, error)),
        };
        let refused = |reason: String| Error::invalid(path.display().to_string(), reason);
        #[derive(Deserialize)]
        struct Form {
            format: u32,
        }
        match serde_json::from_slice::<Form>(&text) {
            Ok(Form { format: FORMAT | FORMAT_OF_SCHEMA }) => {}
            Ok(Form { format }) => {
                return Err(refused(format!(
                    "has form {format}, and this viraldb knows {FORMAT_OF_SCHEMA} at most: use a newer viraldb"
                )));
            }
            Err(error) => return Err(refused(format!("is no manifest: {}", cut_quotes(&error.to_string())))),
        }
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| refused(format!("is no manifest: {}", cut_quotes(&error.to_string()))))
    }

    /// Rows in all tables.
    pub fn all_rows(&self) -> u64 {
        self.rows.values().fold(0, |sum, rows| sum.saturating_add(*rows))
    }

    /// Writes the manifest to a file, which is on the disk when this returns.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let failed = |error| Error::io(path, error);
        let mut file = create_private(path)?;
        serde_json::to_writer_pretty(&file, self).map_err(|error| failed(error.into()))?;
        file.write_all(b"\n").and_then(|()| file.sync_all()).map_err(failed)
    }
}
