//! The options and the result of a restore, and the checks and migrations of an unpacked copy.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::manifest::Manifest;
use super::seal::Unseal;
use super::{Checked, require_rows, triggers};
use crate::db::migrate;
use crate::{DatabaseUrl, Engine, Error, Result};

/// Options for [`restore`](super::restore()).
#[derive(Debug, Clone, Default)]
pub struct Restore {
    /// The backup to restore.
    pub file: PathBuf,
    /// The key that decrypts the backup. If a key is set, an unencrypted backup is rejected unless the key allows it.
    pub unseal: Option<Unseal>,
    /// The folder of PostgreSQL's client programs. By default they are looked up in `PATH` and in Debian's folders.
    pub pg_bin: Option<PathBuf>,
    /// PostgreSQL: if true, the current role owns everything that is restored, and no other role gets privileges. If
    /// false, owners and privileges come from the backup, and their roles must exist.
    pub no_owner: bool,
}

/// The result of a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Restored {
    /// The restored database, with its password masked.
    pub database: String,
    /// Row count of each table in the restored database, after migrations.
    pub rows: BTreeMap<String, u64>,
    /// Migrations that were applied to bring the backup to the newest schema version.
    pub applied: Vec<String>,
    /// The name under which the old database is kept: a file next to it, a database on the same server, or a schema of
    /// the same database. `None` if there was no old database.
    pub kept: Option<String>,
}

/// Checks an unpacked copy, and compares its row counts with the manifest.
pub(super) fn check_unpacked(
    engine: Engine,
    backup: &Path,
    copy: &Path,
    manifest: Option<&Manifest>,
    pg_bin: Option<&Path>,
) -> Result<Checked> {
    let name = backup.display().to_string();
    let checked = engine.check(copy, pg_bin).map_err(|error| match error {
        Error::Invalid { reason, .. } | Error::Unusable { reason, .. } => Error::invalid(&name, reason),
        other => other,
    })?;
    if let Some(manifest) = manifest {
        require_rows(&name, &manifest.rows, &checked.rows)?;
    }
    Ok(checked)
}

/// Applies pending migrations to a copy. Triggers that viraldb did not create do not fire meanwhile.
///
/// A copy is rejected if viraldb did not make it, or if a newer version of viraldb did.
pub(super) fn bring_forward(url: DatabaseUrl, backup: &Path) -> Result<Vec<String>> {
    let history = migrate::status_of(url.clone())?;
    if !history.is_initialised() {
        return Err(Error::invalid(
            backup.display().to_string(),
            "is not a backup made by viraldb: it has none of viraldb's tables",
        ));
    }
    history.require_ours()?;
    let applied = triggers::without_others(&url, || migrate::run_on(url.clone()))?;
    Ok(applied.into_iter().map(str::to_owned).collect())
}

pub(super) fn require_engine(url: &DatabaseUrl, engine: Engine, backup: &Path) -> Result<()> {
    if url.engine() == engine {
        return Ok(());
    }
    let own = if engine == Engine::Sqlite { "a SQLite file" } else { "PostgreSQL" };
    Err(Error::invalid(
        backup.display().to_string(),
        format!("is a backup of {engine}; restore it into {own} first, then copy it with `viraldb transfer`"),
    ))
}
