//! Creates a backup.

use std::fs;
use std::path::{Path, PathBuf};

use super::codec::{self, Sums};
use super::folder::{self, default_folder};
use super::identity::name_of;
use super::manifest::Manifest;
use super::seal::Seal;
use super::{Checked, Contents, Progress, Step, Watch, folder_of, require_rows, scratch_folder};
use crate::db::migrate;
use crate::db::opener::Opener;
use crate::db::unfinished;
use crate::ops::workspace::{Workspace, require_space, sync_folder};
use crate::types::Timestamp;
use crate::{DatabaseUrl, Engine, Error, Result};

/// Options for [`create`]. `Create::default()` writes an unencrypted backup into the [`default_folder`].
#[derive(Debug, Clone, Default)]
pub struct Create {
    /// The target: a folder, which is created if it does not exist, or a new file whose name ends in `.zst`
    /// (`.zst.age` for an encrypted backup).
    pub to: Option<PathBuf>,
    /// Who can decrypt the backup; `None` leaves it unencrypted.
    pub seal: Option<Seal>,
    /// The folder of PostgreSQL's client programs. By default they are looked up in `PATH` and in Debian's folders.
    pub pg_bin: Option<PathBuf>,
}

/// Creates a backup of a database and returns its path and manifest. Other programs can read and write during the copy.
///
/// The backup is a snapshot of the database. It is checked before it gets its final name:
///
/// - SQLite: `integrity_check`, `foreign_key_check` and the row counts.
/// - PostgreSQL: `pg_restore` reads the whole dump, and the row counts are compared.
/// - Both: the compressed file is read again and compared with its checksums. Of an encrypted backup, only the SHA-256
///   of the file is compared.
///
/// The uncompressed copy temporarily needs disk space as well. It is written to the folder of the backup. If the backup
/// is encrypted, the copy goes to the folder of the SQLite file, or to the system's temporary folder for PostgreSQL.
///
/// # Errors
/// A failed backup leaves no files.
///
/// - [`Error::NotInitialised`] if `url` holds no viraldb database.
/// - [`Error::Invalid`] if the disk space is too small, `to` already exists, or the database is damaged.
/// - [`Error::Unusable`] if a transfer into the database is unfinished, PostgreSQL's programs are missing or fail, or
///   `url` uses a connection pooler (`pgbouncer=true`).
/// - [`Error::Io`] if a file cannot be read or written.
///
/// ```no_run
/// use viraldb::ops::backup::{self, Create};
///
/// # fn main() -> viraldb::Result<()> {
/// let (file, manifest) = backup::create("sqlite://viral.db", &Create::default(), &mut |_| ())?;
/// backup::verify(&file, None, &mut |_| ())?;
/// println!("{}: {} bytes", file.display(), manifest.bytes);
/// # Ok(())
/// # }
/// ```
pub fn create(url: &str, options: &Create, watch: &mut dyn FnMut(Progress)) -> Result<(PathBuf, Manifest)> {
    let history = migrate::status(url)?;
    let opener = Opener::new(url.parse()?, &crate::Options::default())?;
    let url = opener.url.clone();
    url.require_session("pg_dump")?;
    if !history.is_initialised() {
        return Err(opener.not_initialised());
    }
    unfinished::require_none(history.transferred, &url)?;
    // A restore migrates the database, so refuse to back up one that could not be migrated later.
    if let Some(error) = opener.no_room() {
        return Err(error);
    }
    if let Some(seal) = &options.seal {
        seal.require_usable()?;
    }
    let at = Timestamp::now();
    let file = target(&url, options, at)?;
    let folder = folder_of(&file);
    let size = database_size(&url).map_err(|error| error.in_database(&url))?;
    let copies = scratch_folder(&url, &file, options.seal.is_some());
    folder::remove_orphans(&folder);
    require_space(&copies, size + size / 2, "a copy of the database and the backup")?;
    let (work, unsealed) = (Workspace::new(&folder)?, Workspace::new(&copies)?);
    let copy = unsealed.file("copy");
    let packed = work.file("backup");

    let engine = url.engine();
    let contents = engine
        .copy(&url, &copy, options.pg_bin.as_deref(), watch)
        .map_err(|error| error.in_database(&url))?;
    let (checked, sums) = check_and_pack(engine, &copy, &packed, options, watch)?;
    require_rows("the copy", &contents.rows, &checked.rows)?;
    let manifest = manifest(&url, engine, at, contents, &checked, &sums, options.seal.is_some());
    name(&work, &packed, &file, &manifest)?;
    tracing::info!(backup = %file.display(), bytes = sums.bytes, "created");
    Ok((file, manifest))
}

/// Returns true if migrations are pending and the database holds rows, so that you should back it up first.
///
/// # Errors
/// - The errors of [`migrate::status`].
/// - [`Error::SchemaNewer`] or [`Error::SchemaModified`] if the schema does not match this program.
/// - [`Error::Unusable`] if the database cannot be migrated, or a transfer into it is unfinished.
pub fn is_due_before_run(url: &str) -> Result<bool> {
    let history = migrate::status(url)?;
    history.require_ours()?;
    if !history.is_initialised() || history.pending().next().is_none() {
        return Ok(false);
    }
    let opener = Opener::new(url.parse()?, &crate::Options::default())?;
    let may_migrate = opener.reader().and_then(|mut conn| migrate::room::require_possible(&mut conn));
    may_migrate.map_err(|error| opener.explained(error))?;
    unfinished::require_none(history.transferred, &opener.url)?;
    has_rows(url)
}

/// Returns true if the database holds rows, so that you should back it up before you revert migrations.
///
/// # Errors
/// The errors of [`is_due_before_run`], except that the database need not allow migrations.
pub fn is_due_before_revert(url: &str) -> Result<bool> {
    let history = migrate::status(url)?;
    history.require_ours()?;
    unfinished::require_none(history.transferred, &url.parse()?)?;
    Ok(history.is_initialised() && has_rows(url)?)
}

/// Checks the copy and compresses it at the same time, then verifies the compressed file.
fn check_and_pack(
    engine: Engine,
    copy: &Path,
    packed: &Path,
    options: &Create,
    watch: Watch<'_>,
) -> Result<(Checked, Sums)> {
    let total = fs::metadata(copy).map_err(|error| Error::io(copy, error))?.len();
    std::thread::scope(|scope| {
        let check = scope.spawn(|| engine.check(copy, options.pg_bin.as_deref()));
        let sums = codec::pack(copy, packed, options.seal.as_ref(), &mut |done| {
            watch(Progress { step: Step::Compressing, done, total });
        });
        let sums =
            sums.and_then(|sums| read_again(packed, &sums, options.seal.is_some(), watch).map(|()| sums));
        let checked = check.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((checked?, sums?))
    })
}

/// Verifies the compressed file. viraldb cannot decrypt an encrypted backup here, so it compares only the file's SHA-256.
fn read_again(packed: &Path, sums: &Sums, sealed: bool, watch: Watch<'_>) -> Result<()> {
    let is_same = if sealed {
        codec::sum(packed)? == sums.sha256
    } else {
        let mut nowhere = std::io::sink();
        let most = Some(sums.content_bytes);
        codec::unpack(packed, None, most, (&mut nowhere, packed), &mut |done| {
            watch(Progress { step: Step::Verifying, done, total: sums.content_bytes });
            Ok(())
        })? == *sums
    };
    if is_same {
        return Ok(());
    }
    Err(Error::invalid(
        packed.display().to_string(),
        "differs from what was written; check the disk for errors, and run the backup again",
    ))
}

/// Gives the backup and its manifest their final names.
///
/// The manifest comes first, because a manifest without a backup is ignored. It is removed if the backup cannot get its
/// name.
fn name(work: &Workspace, packed: &Path, file: &Path, manifest: &Manifest) -> Result<()> {
    let written = work.file("manifest");
    manifest.write(&written)?;
    let folder = folder_of(file);
    let manifest = Manifest::path_of(file);
    publish(&written, &manifest)?;
    let named = sync_folder(&folder).and_then(|()| publish(packed, file));
    if named.is_err()
        && let Err(error) = fs::remove_file(&manifest)
    {
        tracing::warn!("cannot remove {}: {error}", manifest.display());
    }
    named.and_then(|()| sync_folder(&folder))
}

/// Renames a file, but never replaces an existing one.
fn publish(from: &Path, to: &Path) -> Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(taken(to)),
        // Some file systems do not support hard links.
        Err(_) if !is_taken(to) => fs::rename(from, to).map_err(|error| Error::io(to, error)),
        Err(error) => Err(Error::io(to, error)),
    }
}

/// Returns true if the path exists, even as a broken symbolic link.
fn is_taken(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn taken(file: &Path) -> Error {
    let reason = match fs::read_link(file) {
        Ok(target) if !file.exists() => format!(
            "is a symbolic link to {}, which does not exist; create it, remove the link, or choose another file",
            target.display()
        ),
        _ => "already exists; choose another file or a folder".to_owned(),
    };
    Error::invalid(file.display().to_string(), reason)
}

fn manifest(
    url: &DatabaseUrl,
    engine: Engine,
    at: Timestamp,
    contents: Contents,
    checked: &Checked,
    sums: &Sums,
    sealed: bool,
) -> Manifest {
    Manifest {
        format: if contents.namespace.is_some() { Manifest::FORMAT_OF_SCHEMA } else { Manifest::FORMAT },
        database: name_of(url),
        origin: contents.origin,
        namespace: contents.namespace,
        engine,
        engine_version: contents.engine_version,
        schema: contents.schema,
        viraldb: env!("CARGO_PKG_VERSION").to_owned(),
        created_at: at,
        rows: contents.rows,
        orphans: checked.orphans,
        keys: contents.keys,
        sealed,
        bytes: sums.bytes,
        sha256: sums.sha256.clone(),
        content_bytes: sums.content_bytes,
        content_sha256: sums.content_sha256.clone(),
        locale: contents.locale,
    }
}

/// Returns the path of the new backup, and creates its folder.
fn target(url: &DatabaseUrl, options: &Create, at: Timestamp) -> Result<PathBuf> {
    let to = options.to.clone().unwrap_or_else(|| default_folder(url));
    let sealed = options.seal.is_some();
    let ending = if sealed { ".zst.age" } else { ".zst" };
    let name = to.to_string_lossy();
    let is_file = !to.is_dir() && !name.ends_with('/') && (name.ends_with(".zst") || name.ends_with(".age"));
    let file = if is_file {
        if !name.ends_with(ending) {
            return Err(Error::invalid(name, format!("must end in {ending}")));
        }
        if to.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
            return Err(Error::invalid(
                name,
                "begins with a dot, so `viraldb backup list` would not show it; choose another name",
            ));
        }
        to
    } else {
        to.join(folder::new_name(url, at, ending))
    };
    for name in [&file, &Manifest::path_of(&file)] {
        if is_taken(name) {
            return Err(taken(name));
        }
    }
    let folder = folder_of(&file);
    if is_taken(&folder) && !folder.exists() {
        return Err(taken(&folder));
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(&folder).map_err(|error| Error::io(&folder, error))?;
    Ok(file)
}

/// Returns true if any table has rows, apart from the tables that record migrations.
fn has_rows(url: &str) -> Result<bool> {
    let database: DatabaseUrl = url.parse()?;
    let rows = match &database {
        #[cfg(feature = "sqlite")]
        DatabaseUrl::File(path) => super::sqlite::count_rows(path),
        #[cfg(feature = "postgres")]
        DatabaseUrl::Postgres(url) => super::postgres::count_rows(url),
        _ => return Ok(false),
    }
    .map_err(|error| error.in_database(&database))?;
    let is_own = |name: &str| {
        ["viraldb_migrations", "__diesel_schema_migrations"].iter().any(|own| name.ends_with(own))
    };
    Ok(rows.iter().any(|(name, rows)| *rows > 0 && !is_own(name)))
}

/// Returns the size of the database in bytes, including the WAL.
fn database_size(url: &DatabaseUrl) -> Result<u64> {
    match url {
        DatabaseUrl::File(path) => {
            let size = fs::metadata(path).map_err(|error| Error::io(path, error))?.len();
            Ok(size + fs::metadata(crate::db::beside(path, "-wal")).map_or(0, |wal| wal.len()))
        }
        #[cfg(feature = "postgres")]
        DatabaseUrl::Postgres(url) => super::postgres::size(url),
        _ => Ok(0),
    }
}
