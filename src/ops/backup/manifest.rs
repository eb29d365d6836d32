//! The manifest, a JSON file next to each backup that describes it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use diesel::QueryableByName;
use diesel::sql_types::{Nullable, Text};
use serde::{Deserialize, Serialize};

use crate::ops::workspace::create_private;
use crate::quote::cut_quotes;
use crate::types::Timestamp;
use crate::{Engine, Error, Result};

/// The format version of a manifest for a whole database.
const FORMAT: u32 = 1;
/// The format version of a manifest for a single schema. Older versions of viraldb must reject it, because they would
/// replace the whole database with the schema.
const FORMAT_OF_SCHEMA: u32 = 2;
/// The maximum size of a manifest in bytes. A manifest of thousands of tables is smaller.
const LONGEST: u64 = 4 * 1024 * 1024;

/// The words for the engines in a manifest. The format of manifests is older than the words of [`Engine`].
#[derive(Serialize, Deserialize)]
#[serde(remote = "Engine", rename_all = "lowercase")]
enum Word {
    Sqlite,
    Postgres,
}

/// The description of a backup, stored as `NAME.manifest.json` next to it. It contains no secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Format version of the manifest: 1 for a whole database, 2 for a single schema.
    pub format: u32,
    /// Name of the database: the file name, or the name on the server.
    pub database: String,
    /// Distinguishes the database from others with the same name: the path of the file, or the server's system
    /// identifier. The schema follows the identifier unless it is `public`.
    pub origin: String,
    /// PostgreSQL: the schema that the backup holds, together with the schema of ViralForge's views. `None` if the backup
    /// holds the whole database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Engine of the database. The copy of a SQLite database is a database file, that of a PostgreSQL database is a dump in
    /// `pg_dump`'s custom format.
    #[serde(with = "Word")]
    pub engine: Engine,
    /// Version of the engine.
    pub engine_version: String,
    /// The newest applied migration.
    pub schema: String,
    /// Version of viraldb that made the backup.
    pub viraldb: String,
    /// When the backup was made.
    pub created_at: Timestamp,
    /// Row count of each table.
    pub rows: BTreeMap<String, u64>,
    /// Number of rows whose foreign key refers to a missing row, in the database as in the backup.
    pub orphans: u64,
    /// Ids of the keys that encrypt the secrets in the database.
    pub keys: Vec<String>,
    /// Whether the backup itself is encrypted.
    pub sealed: bool,
    /// Size of the backup in bytes.
    pub bytes: u64,
    /// SHA-256 of the backup.
    pub sha256: String,
    /// Size of the uncompressed copy in bytes.
    pub content_bytes: u64,
    /// SHA-256 of the uncompressed copy.
    pub content_sha256: String,
    /// PostgreSQL: the locale of the database, which a restore uses if the database no longer exists. `None` for SQLite
    /// and in older manifests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<Locale>,
}

/// How a PostgreSQL database encodes, sorts and compares text, in the server's notation, and the database's comment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, QueryableByName)]
pub struct Locale {
    /// The encoding, such as `UTF8`.
    #[diesel(sql_type = Text)]
    pub encoding: String,
    /// `LC_COLLATE`, the sort order of the C library, such as `de_DE.utf8`.
    #[diesel(sql_type = Text)]
    pub collate: String,
    /// `LC_CTYPE`, the character classification of the C library.
    #[diesel(sql_type = Text)]
    pub ctype: String,
    /// The locale provider: `libc`, `icu` or `builtin`. `None` before PostgreSQL 15, which has only `libc`.
    #[diesel(sql_type = Nullable<Text>)]
    pub provider: Option<String>,
    /// The locale of the provider; `None` for `libc`.
    #[diesel(sql_type = Nullable<Text>)]
    pub locale: Option<String>,
    /// Additional collation rules for ICU.
    #[diesel(sql_type = Nullable<Text>)]
    pub rules: Option<String>,
    /// The comment on the database.
    #[diesel(sql_type = Nullable<Text>)]
    pub comment: Option<String>,
}

impl Manifest {
    pub(super) const FORMAT: u32 = FORMAT;
    pub(super) const FORMAT_OF_SCHEMA: u32 = FORMAT_OF_SCHEMA;

    /// Returns the path of a backup's manifest.
    pub fn path_of(backup: &Path) -> PathBuf {
        crate::db::beside(backup, ".manifest.json")
    }

    /// Reads the manifest of a backup. Returns `None` if there is no manifest.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; [`Error::Invalid`] if it is not a valid manifest, is larger than 4 MiB, or
    /// is from a newer viraldb.
    pub fn read(backup: &Path) -> Result<Option<Self>> {
        let path = Self::path_of(backup);
        let text = match fs::File::open(&path).and_then(|file| {
            let mut text = Vec::new();
            file.take(LONGEST + 1).read_to_end(&mut text).map(|_| text)
        }) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(path, error)),
        };
        let refused = |reason: String| Error::invalid(path.display().to_string(), reason);
        if text.len() as u64 > LONGEST {
            return Err(refused(format!(
                "is larger than {} MiB, the maximum size of a manifest; copy the manifest from another copy of the backup",
                LONGEST >> 20
            )));
        }
        #[derive(Deserialize)]
        struct Form {
            format: u32,
        }
        match serde_json::from_slice::<Form>(&text) {
            Ok(Form { format: FORMAT | FORMAT_OF_SCHEMA }) => {}
            Ok(Form { format }) => {
                return Err(refused(format!(
                    "has format {format}, but this viraldb supports at most {FORMAT_OF_SCHEMA}; use a newer viraldb"
                )));
            }
            Err(error) => {
                return Err(refused(format!("is not a valid manifest: {}", cut_quotes(&error.to_string()))));
            }
        }
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| refused(format!("is not a valid manifest: {}", cut_quotes(&error.to_string()))))
    }

    /// Returns the total row count of all tables.
    pub fn all_rows(&self) -> u64 {
        self.rows.values().fold(0, |sum, rows| sum.saturating_add(*rows))
    }

    /// Writes the manifest to a new file, and flushes that to disk.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let failed = |error| Error::io(path, error);
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| failed(error.into()))?;
        text.push(b'\n');
        if text.len() as u64 > LONGEST {
            let reason =
                format!("would be larger than {} MiB; the database has too many tables", LONGEST >> 20);
            return Err(Error::invalid(path.display().to_string(), reason));
        }
        let mut file = create_private(path)?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)
    }
}
