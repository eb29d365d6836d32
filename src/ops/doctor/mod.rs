//! What is wrong with a database, or may soon be, and what mends it.
//!
//! Each check looks at one thing and only reads. One that cannot look says so as a finding, so that the others still
//! tell what they see: a file may be damaged, of another version, or lack a table.

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

/// What an examination looks at; `Examination::default()` is what `viraldb doctor` does.
#[derive(Debug, Clone, Default)]
pub struct Examination {
    /// Also what reads every row: on SQLite `integrity_check` in place of `quick_check`, and which rows break the
    /// checks of their table; on PostgreSQL rows that refer to none.
    pub deep: bool,
    /// Only these checks; all if there are none.
    pub only: Vec<Check>,
    /// Mend what can be mended without losing anything, and look again.
    pub fix: bool,
    /// The folder of backups; that in which `viraldb backup create` puts them unless told.
    pub backups: Option<PathBuf>,
    /// The configuration file, as `viraldb --config` names it.
    pub config: Option<PathBuf>,
    /// The keys that open sealed values; those of the environment unless told.
    pub keyring: Option<Arc<Keyring>>,
}

impl Examination {
    fn wants(&self, check: Check) -> bool {
        self.only.is_empty() || self.only.contains(&check)
    }
}

/// Examines the database at `url`, which may be damaged, locked, of another version or half gone.
///
/// # Errors
/// Where there is nothing to look at: no such file, no answer from a server, a URL that names none. A file that is
/// there but cannot be opened is a finding, and the verdict [`Verdict::Unknown`] unless it is damaged.
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
        let what = "nothing was mended, because the database is damaged";
        report.add(Finding::info(Check::Integrity, what, finding::DAMAGE).mend(finding::RESTORE));
        report.sort();
        return Ok(report);
    }
    let mended = fix::all(&opener, &before.findings);
    let mut after = examine(url, &opener, asked)?;
    for outcome in mended {
        match outcome {
            // What is still there was not mended, whatever the database answered.
            Ok(mended) if after.findings.iter().any(|finding| finding.what == mended.what) => {}
            Ok(mended) => after.mended.push(mended),
            Err((what, why_not)) => match after.findings.iter_mut().find(|finding| finding.what == what) {
                Some(finding) => {
                    finding.what = format!("{what}; it could not be mended: {why_not}");
                    finding.mend = Some(format!("when that is out of the way: {}", finding::BY_FIX));
                }
                None => tracing::info!("{what}, which somebody else has mended: {why_not}"),
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
                report.leave("when the transfer has ended: viraldb doctor --fix");
            } else if !is_ours {
                report.leave("it is not viraldb's: by hand, if it is yours");
            }
        }
        Err(error) if matches!(opener.url, DatabaseUrl::Postgres(_)) => return Err(error),
        Err(error) => report.unopened(&error),
    }
    report.sort();
    Ok(report)
}

/// All checks but those of the file itself; says whether the tables in it are ours.
fn look_inside(report: &mut Report, mut patient: Patient<'_>) -> bool {
    let Patient { url, opener, asked, .. } = patient;
    // A history that cannot be read is for its own check to report.
    let has_tables = patient
        .read(|conn| {
            let history = History::read(conn)?;
            Ok(history.is_initialised() && migrate::room::names_taken(conn, &history)?.is_none())
        })
        .unwrap_or(true);
    let looks =
        Check::ALL.iter().filter(|check| asked.wants(**check) && (has_tables || is_of_any_database(**check)));
    // Before we read for long ourselves, which would keep the log from being emptied.
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
        // It reads all of a file and takes longer than all others, which need not wait for it.
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

/// Whether a check has something to say of a database without our tables.
const fn is_of_any_database(check: Check) -> bool {
    matches!(
        check,
        Check::Integrity | Check::History | Check::Version | Check::SchemaRights | Check::Collation
    )
}

/// What is looked at, and with what.
struct Patient<'a> {
    url: &'a str,
    opener: &'a Opener,
    conn: DbConnection,
    asked: &'a Examination,
}

impl Patient<'_> {
    /// Reads, as of one moment. On PostgreSQL no lock is waited for longer than on a `read`.
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

/// How a check looks inside a database of this engine, if it does.
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

/// The version of the engine, and the newest migration that is applied, if that can be read.
fn versions(conn: &mut DbConnection) -> Result<(String, Option<String>)> {
    let (version, _) = super::status::engine(conn)?;
    let history = History::read(conn).ok(); // why it cannot be read, its own check says
    Ok((version, history.and_then(|history| history.newest_applied().map(str::to_owned))))
}

/// Whether it is the database itself that is broken, and not the way to it.
fn is_damage(error: &Error) -> bool {
    matches!(error, Error::Unusable { reason, .. }
        if ["is damaged", "is no SQLite database"].iter().any(|known| reason.starts_with(known)))
}
