//! The doctor: finds problems in a database and fixes those that can be fixed safely.
//!
//! Each check examines one aspect of the database and only reads. A file may be damaged, have another schema version, or lack
//! a table. If a check returns an error for such a reason, the doctor reports the error as a finding and runs the other
//! checks.

mod backups;
#[cfg(all(unix, feature = "sqlite"))]
mod files;
mod finding;
mod fix;
mod integrity;
#[cfg(feature = "postgres")]
mod replica;
mod schema;
mod secrets;
mod sequences;
#[cfg(feature = "postgres")]
mod server;
#[cfg(feature = "sqlite")]
mod storage;
mod tables;
mod work;

use std::path::PathBuf;
use std::sync::Arc;

use crate::db::migrate::{self, History};
use crate::db::opener::Opener;
use crate::db::{DatabaseUrl, on_backend};
use crate::secrets::Keyring;
use crate::{DbConnection, Error, Options, Result};

pub use finding::{Check, Finding, Mended, Report, Severity, Verdict};

/// Options for an examination. `Examination::default()` matches `viraldb doctor` without arguments.
#[derive(Debug, Clone, Default)]
pub struct Examination {
    /// Also run checks that read every row. On SQLite, `integrity_check` replaces `quick_check`, and rows that violate CHECK
    /// constraints are listed. On PostgreSQL, foreign keys are checked.
    pub deep: bool,
    /// Run only these checks; if empty, run all of them.
    pub only: Vec<Check>,
    /// Apply the fixes that lose no data, and then examine the database again.
    pub fix: bool,
    /// The folder of backups. The default is the default folder of `viraldb backup create`.
    pub backups: Option<PathBuf>,
    /// The configuration file, as in `viraldb --config`.
    pub config: Option<PathBuf>,
    /// The keys that decrypt encrypted values. The default is the keys of the environment.
    pub keyring: Option<Arc<Keyring>>,
}

impl Examination {
    fn wants(&self, check: Check) -> bool {
        self.only.is_empty() || self.only.contains(&check)
    }
}

/// Examines the database at `url`. It may be damaged, locked, incomplete or have another schema version.
///
/// A file that exists but cannot be opened is reported as a finding. The verdict is then [`Verdict::Unknown`], unless the file
/// is damaged.
///
/// # Errors
/// Only if there is no database to examine:
///
/// - [`Error::UnsupportedUrl`] if the URL is invalid, or its engine is not built in.
/// - [`Error::NotInitialised`] if the SQLite file does not exist.
/// - [`Error::Unusable`] if the path is not a regular file, or the server refuses the connection.
/// - [`Error::Io`] if the path cannot be examined.
/// - [`Error::Disconnected`] if the server cannot be reached.
///
/// ```no_run
/// use viraldb::ops::{Examination, doctor};
///
/// # fn main() -> viraldb::Result<()> {
/// let report = doctor("sqlite://viral.db", &Examination::default())?;
/// for finding in &report.findings {
///     println!("{}: {}", finding.what, finding.why);
/// }
/// # Ok(())
/// # }
/// ```
pub fn doctor(url: &str, asked: &Examination) -> Result<Report> {
    let opener = Opener::new(url.parse()?, &Options::default())?;
    let before = examine(url, &opener, asked)?;
    if !asked.fix || before.findings.iter().all(|finding| finding.fix.is_none()) {
        return Ok(before);
    }
    let is_damaged = |finding: &Finding| {
        finding.check == Check::Integrity && finding.severity == Severity::Error && finding.fix.is_none()
    };
    if before.findings.iter().any(is_damaged) {
        let mut report = before;
        let what = "nothing was fixed, because the database is damaged";
        report.add(Finding::info(Check::Integrity, what, finding::DAMAGE).mend(finding::RESTORE));
        report.sort();
        return Ok(report);
    }
    let mended = fix::all(&opener, &before.findings);
    let mut after = examine(url, &opener, asked)?;
    for outcome in mended {
        match outcome {
            // If the problem is still found, it was not fixed, even if the statement succeeded.
            Ok(mended) if after.findings.iter().any(|finding| finding.what == mended.what) => {}
            Ok(mended) => after.mended.push(mended),
            Err((what, why_not)) => match after.findings.iter_mut().find(|finding| finding.what == what) {
                Some(finding) => {
                    finding.what = format!("{what}; it could not be fixed: {why_not}");
                    finding.mend = Some(format!("remove that cause, then run: {}", finding::BY_FIX));
                }
                None => tracing::info!("{what}; another program has fixed it meanwhile: {why_not}"),
            },
        }
    }
    Ok(after)
}

fn examine(url: &str, opener: &Opener, asked: &Examination) -> Result<Report> {
    let mut report = Report::new(&opener.url, asked.deep);
    #[cfg(feature = "sqlite")]
    if let DatabaseUrl::File(path) = &opener.url {
        crate::db::sqlite::look_at(path)?;
        #[cfg(unix)]
        for check in [Check::FileSystem, Check::Permissions, Check::DiskSpace] {
            if asked.wants(check) {
                report.looked(check, files::look(check, path));
            }
        }
    }
    let opened = opener.reader().and_then(|mut conn| {
        let (version, schema) = versions(&mut conn).map_err(|error| opener.explained(error))?;
        Ok((conn, version, schema))
    });
    match opened {
        Ok((conn, version, schema)) => {
            (report.version, report.schema) = (Some(version), schema);
            let is_ours = look_inside(&mut report, Patient { url, opener, conn, asked });
            if opener.history().is_ok_and(|history| history.transferred.is_some()) {
                report.leave("after the transfer has ended: viraldb doctor --fix");
            } else if !is_ours {
                report.leave("this is not a viraldb database; if it is yours, fix it by hand");
            }
        }
        Err(error) if matches!(opener.url, DatabaseUrl::Postgres(_)) => return Err(error),
        Err(error) => report.unopened(&error),
    }
    report.sort();
    Ok(report)
}

/// Runs all checks except those of the file itself. Returns true if the tables are viraldb's.
fn look_inside(report: &mut Report, mut patient: Patient<'_>) -> bool {
    let Patient { url, opener, asked, .. } = patient;
    // If the history cannot be read, assume true: the history check reports the error.
    let has_tables = patient
        .read(|conn| {
            let history = History::read(conn)?;
            Ok(history.is_initialised() && migrate::room::names_taken(conn, &history)?.is_none())
        })
        .unwrap_or(true);
    let looks =
        Check::ALL.iter().filter(|check| asked.wants(**check) && (has_tables || is_of_any_database(**check)));
    // Check the write-ahead log first, because the long reads of the other checks would prevent truncating it.
    let (wal, looks): (Vec<&Check>, Vec<&Check>) = looks.partition(|check| **check == Check::Wal);
    for check in wal {
        if let Some(look) = look(*check, &opener.url) {
            report.looked(*check, look(&mut patient));
        }
    }
    let (slow, others): (Vec<_>, Vec<_>) = looks
        .into_iter()
        .filter_map(|check| Some((*check, look(*check, &opener.url)?)))
        .partition(|(check, _)| *check == Check::Integrity);
    std::thread::scope(|scope| {
        // The integrity check reads the whole file and takes longer than all other checks, so run it concurrently.
        let slow = slow.into_iter().map(|(check, look)| {
            let thread =
                scope.spawn(move || look(&mut Patient { url, opener, asked, conn: opener.reader()? }));
            (check, thread)
        });
        let slow: Vec<_> = slow.collect();
        for (check, look) in others {
            report.looked(check, look(&mut patient));
        }
        for (check, thread) in slow {
            report.looked(check, thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
    });
    has_tables
}

/// Returns true if a check applies to databases without viraldb's tables.
const fn is_of_any_database(check: Check) -> bool {
    matches!(
        check,
        Check::Integrity | Check::History | Check::Version | Check::SchemaRights | Check::Collation
    )
}

/// The database under examination, with a connection to it.
struct Patient<'a> {
    url: &'a str,
    opener: &'a Opener,
    conn: DbConnection,
    asked: &'a Examination,
}

impl Patient<'_> {
    /// Runs a read in one snapshot. On PostgreSQL, the lock timeout is that of `Database::read`.
    fn read<T>(&mut self, work: impl FnOnce(&mut DbConnection) -> Result<T>) -> Result<T> {
        let begin = on_backend!(&self.conn,
            sqlite => |_c| "BEGIN".to_owned(),
            postgres => |_c| format!("{}; SET LOCAL lock_timeout = {}",
                crate::db::postgres::BEGIN_READ, self.opener.busy_timeout().as_millis()));
        self.conn.begin(&begin)?;
        self.conn.finish(work).map_err(|error| self.opener.explained(error))
    }
}

type Look = fn(&mut Patient<'_>) -> Result<Vec<Finding>>;

/// Returns the function that runs a check inside a database of this engine, if there is one.
fn look(check: Check, url: &DatabaseUrl) -> Option<Look> {
    Some(match (check, url) {
        (Check::Integrity, _) => integrity::integrity,
        (Check::ForeignKeys, _) => integrity::foreign_keys,
        (Check::History, _) => schema::history,
        (Check::Transfer, _) => schema::transfer,
        (Check::Drift, _) => schema::drift,
        (Check::Sequences, _) => sequences::sequences,
        (Check::Jobs, _) => work::jobs,
        (Check::Runs, _) => work::runs,
        (Check::Secrets, _) => secrets::secrets,
        (Check::Backups, DatabaseUrl::File(_) | DatabaseUrl::Postgres(_)) => backups::backups,
        (Check::Statistics, _) => tables::statistics,
        #[cfg(feature = "sqlite")]
        (Check::Version, DatabaseUrl::File(_)) => storage::version,
        #[cfg(feature = "sqlite")]
        (Check::JournalMode, DatabaseUrl::File(_)) => storage::journal_mode,
        #[cfg(feature = "sqlite")]
        (Check::Wal, DatabaseUrl::File(_)) => storage::wal,
        #[cfg(feature = "sqlite")]
        (Check::FreePages, DatabaseUrl::File(_)) => storage::free_pages,
        #[cfg(feature = "sqlite")]
        (Check::Shapes, DatabaseUrl::File(_)) => integrity::shapes,
        #[cfg(feature = "postgres")]
        (Check::UnusedIndexes, DatabaseUrl::Postgres(_)) => server::unused_indexes,
        #[cfg(feature = "postgres")]
        (Check::Autovacuum, DatabaseUrl::Postgres(_)) => server::autovacuum,
        #[cfg(feature = "postgres")]
        (Check::Replica, DatabaseUrl::Postgres(_)) => replica::replica,
        #[cfg(feature = "postgres")]
        (Check::SchemaRights, DatabaseUrl::Postgres(_)) => server::schema_rights,
        #[cfg(feature = "postgres")]
        (Check::Collation, DatabaseUrl::Postgres(_)) => server::collation,
        _ => return None,
    })
}

/// Returns the version of the engine, and the newest applied migration if the history can be read.
fn versions(conn: &mut DbConnection) -> Result<(String, Option<String>)> {
    let (version, _) = super::status::engine(conn)?;
    let history = History::read(conn).ok(); // the history check reports the error
    Ok((version, history.and_then(|history| history.newest_applied().map(str::to_owned))))
}

/// Returns true if the database itself is damaged, as opposed to being unreachable.
fn is_damage(error: &Error) -> bool {
    matches!(error, Error::Unusable { reason, .. }
        if ["is damaged", "is not a SQLite database"].iter().any(|known| reason.starts_with(known)))
}
