//! Tests whether a restore would work, and measures how long it takes.

use std::path::PathBuf;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::folder::{self, default_folder};
use super::identity::{name_of, origin_of};
use super::seal::Unseal;
use super::unpacked::check_unpacked;
use super::{Progress, Step, scratch_folder, verify};
#[cfg(feature = "postgres")]
use crate::Engine;
use crate::ops::workspace::{Workspace, require_space};
use crate::{DatabaseUrl, Error, Result, Timestamp};

/// Options for [`drill`]. `Drill::default()` uses an unencrypted backup in the [`default_folder`].
#[derive(Debug, Clone, Default)]
pub struct Drill {
    /// The folder of the backups.
    pub folder: Option<PathBuf>,
    /// The key that decrypts the backup. If a key is set, an unencrypted backup is rejected unless the key allows it.
    pub unseal: Option<Unseal>,
    /// The folder of PostgreSQL's client programs. By default they are looked up in `PATH` and in Debian's folders.
    pub pg_bin: Option<PathBuf>,
}

/// The result of a drill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Drilled {
    /// The backup that was restored.
    pub file: PathBuf,
    /// Name of the database.
    pub database: String,
    /// Total row count of the restored database.
    pub rows: u64,
    /// Restored bytes.
    pub content_bytes: u64,
    /// Duration of the restore in seconds.
    pub seconds: f64,
}

/// Restores the newest backup of a database into a scratch database, checks it, compares its row counts, and deletes it.
///
/// Only backups of the database that `url` names are considered. A backup dated later than now is used only if there is
/// no other.
///
/// For SQLite, the scratch database is a file next to the backup, or next to the original database if the backup is
/// encrypted. For PostgreSQL, it is a separate database on the server of `url`.
///
/// # Errors
/// - [`Error::Invalid`] if the folder contains no backup of the database, or the newest one is damaged, or it is not
///   encrypted although a key was given.
/// - [`Error::Io`] if a file cannot be read or written.
/// - [`Error::Unusable`] if PostgreSQL rejects the restore, or `url` uses a connection pooler.
pub fn drill(url: &str, options: &Drill, watch: &mut dyn FnMut(Progress)) -> Result<Drilled> {
    let url: DatabaseUrl = url.parse()?;
    url.require_session("pg_restore")?;
    let folder = options.folder.clone().unwrap_or_else(|| default_folder(&url));
    let pg_bin = options.pg_bin.as_deref();
    let name = name_of(&url);
    let (engine, origin) = (url.engine(), origin_of(&url)?);
    let now = Timestamp::now();
    let (ahead, others): (Vec<_>, Vec<_>) = folder::list(&folder)?
        .into_iter()
        .filter(|backup| {
            backup.database.as_ref() == Some(&name)
                && backup.origin.as_ref() == Some(&origin)
                && backup.engine == Some(engine)
        })
        .partition(|backup| backup.ahead_of(now).is_some());
    let instead =
        if others.is_empty() { "using it, because it is the only one" } else { "using an older one instead" };
    for backup in &ahead {
        tracing::warn!("{} is dated later than now; {instead}", backup.file.display());
    }
    let Some(newest) = others.into_iter().chain(ahead).next() else {
        return Err(Error::invalid(
            folder.display().to_string(),
            format!("contains no backup of {name} ({engine}); create one with `viraldb backup create`"),
        ));
    };
    let begun = Instant::now();
    let place = scratch_folder(&url, &newest.file, newest.sealed);
    require_space(&place, newest.content_bytes.unwrap_or_default(), "the restored database")?;
    let work = Workspace::new(&place)?;
    let copy = work.file("viral.db");
    let (engine, manifest) = verify::unpack(&newest.file, options.unseal.as_ref(), &copy, watch)?;
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
