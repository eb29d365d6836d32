//! What a restore is asked for, and what becomes of the copy that it has unpacked: it is checked, and brought to the newest
//! schema.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::manifest::{Engine, Manifest};
use super::seal::Unseal;
use super::{Checked, require_rows, triggers};
use crate::db::migrate;
use crate::{DatabaseUrl, Error, Result};

/// What is restored, and how.
#[derive(Debug, Clone, Default)]
pub struct Restore {
    /// The backup.
    pub file: PathBuf,
    /// The key that opens it. With a key a backup that is not encrypted is refused, unless the key allows that.
    pub unseal: Option<Unseal>,
    /// The folder of PostgreSQL's client programs; else they are looked for.
    pub pg_bin: Option<PathBuf>,
    /// Whether all that is restored on PostgreSQL belongs to who restores, without the rights of others; else
    /// owners and rights are those of the backup, and their roles have to be there.
    pub no_owner: bool,
}

/// What a restore has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Restored {
    /// The database that is there now, its password masked.
    pub database: String,
    /// Rows of each table that is there now, after migrations.
    pub rows: BTreeMap<String, u64>,
    /// Migrations that were applied behind it.
    pub applied: Vec<String>,
    /// Where the database is that stood there before: a file beside it, a database on the same server, or a schema of the
    /// same database.
    pub kept: Option<String>,
}

/// Checks what was unpacked, and compares its counts.
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

/// Refuses a copy that is not viraldb's, or of a newer one, and applies what is pending. Triggers that are not ours do
/// not fire meanwhile.
pub(super) fn bring_forward(url: DatabaseUrl, backup: &Path) -> Result<Vec<String>> {
    let history = migrate::status_of(url.clone())?;
    if !history.is_initialised() {
        return Err(Error::invalid(
            backup.display().to_string(),
            "is not a backup made by viraldb: none of its tables is in it",
        ));
    }
    history.require_ours()?;
    let applied = triggers::without_others(&url, || migrate::run_on(url.clone()))?;
    Ok(applied.into_iter().map(str::to_owned).collect())
}

pub(super) fn require_engine(url: &DatabaseUrl, engine: Engine, backup: &Path) -> Result<()> {
    if Engine::of(url) == engine {
        return Ok(());
    }
    let own = if engine == Engine::Sqlite { "a SQLite file" } else { "PostgreSQL" };
    Err(Error::invalid(
        backup.display().to_string(),
        format!("is a backup of {engine}: restore it into {own}, and move it with `viraldb transfer`"),
    ))
}
