//! Trying whether a restore would work, and how long it would take.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::identity::{name_of, origin_of};
use super::manifest::Engine;
use super::seal::Unseal;
use super::unpacked::check_unpacked;
use super::{Progress, Step, folder, scratch_folder, verify};
use crate::ops::workspace::{Workspace, require_space};
use crate::{DatabaseUrl, Error, Result, Timestamp};

/// How a drill went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Drilled {
    /// The backup that was restored.
    pub file: PathBuf,
    /// Its database.
    pub database: String,
    /// Rows in all tables, which are those of the manifest.
    pub rows: u64,
    /// Bytes that were restored.
    pub content_bytes: u64,
    /// How long the restore took, in seconds.
    pub seconds: f64,
}

/// Restores the newest backup of a folder, among those that are not dated later than now if there is one, into a scratch place, opens it, compares the counts, and takes it away.
///
/// That is a folder beside the backup for SQLite, or beside the database if the backup is sealed, and a database of its own on the server of `url` for PostgreSQL;
/// `url` also tells which backups are meant, if the folder has others.
///
/// # Errors
/// `Invalid` if there is no backup, it is not what it was, or the newest is not encrypted although a key is given; `Io`; `Unusable` if PostgreSQL refuses, or `url` goes
/// through a pooler.
pub fn drill(
    url: &str,
    folder: &Path,
    unseal: Option<&Unseal>,
    pg_bin: Option<&Path>,
    watch: &mut dyn FnMut(Progress),
) -> Result<Drilled> {
    let url: DatabaseUrl = url.parse()?;
    url.require_session("pg_restore")?;
    let name = name_of(&url);
    let (engine, origin) = (Engine::of(&url), origin_of(&url)?);
    let now = Timestamp::now();
    let (ahead, others): (Vec<_>, Vec<_>) = folder::list(folder)?
        .into_iter()
        .filter(|backup| {
            backup.database.as_ref() == Some(&name)
                && backup.origin.as_ref() == Some(&origin)
                && backup.engine == Some(engine.to_string())
        })
        .partition(|backup| backup.ahead_of(now).is_some());
    let instead = if others.is_empty() { "there is no other" } else { "it is not taken for the newest" };
    for backup in &ahead {
        tracing::warn!("{} is dated later than now; {instead}", backup.file.display());
    }
    let Some(newest) = others.into_iter().chain(ahead).next() else {
        return Err(Error::invalid(
            folder.display().to_string(),
            format!("holds no backup of {name} ({engine}); `viraldb backup create` makes one"),
        ));
    };
    let begun = Instant::now();
    let place = scratch_folder(&url, &newest.file, newest.sealed);
    require_space(&place, newest.content_bytes.unwrap_or_default(), "the restored database")?;
    let work = Workspace::new(&place)?;
    let copy = work.file("viral.db");
    let (engine, manifest) = verify::unpack(&newest.file, unseal, &copy, watch)?;
    watch(Progress { step: Step::Checking, done: 0, total: 0 });
    let rows = match (engine, &url) {
        #[cfg(feature = "postgres")]
        (Engine::Postgres, DatabaseUrl::Postgres(on_server)) => {
            super::postgres::drill(on_server, &copy, manifest.as_ref(), pg_bin)
                .map_err(|error| error.in_database(&url))?
        }
        _ => check_unpacked(engine, &newest.file, &copy, manifest.as_ref(), pg_bin)?.rows,
    };
    Ok(Drilled {
        file: newest.file,
        database: name,
        rows: rows.values().fold(0, |sum, rows| sum.saturating_add(*rows)),
        content_bytes: newest.content_bytes.unwrap_or_default(),
        seconds: begun.elapsed().as_secs_f64(),
    })
}
