//! Findings and the report of an examination.

use serde::{Deserialize, Serialize};

use super::is_damage;
use crate::types::portable;
use crate::{DatabaseUrl, Engine, Error, Result};

portable! {
    /// A check of the examination.
    pub enum Check {
        Open = "open",
        Version = "version",
        FileSystem = "file_system",
        Permissions = "permissions",
        DiskSpace = "disk_space",
        JournalMode = "journal_mode",
        Wal = "wal",
        FreePages = "free_pages",
        Integrity = "integrity",
        ForeignKeys = "foreign_keys",
        Shapes = "shapes",
        History = "history",
        Transfer = "transfer",
        Drift = "drift",
        Sequences = "sequences",
        Jobs = "jobs",
        Runs = "runs",
        Secrets = "secrets",
        Backups = "backups",
        Statistics = "statistics",
        UnusedIndexes = "unused_indexes",
        Autovacuum = "autovacuum",
        Replica = "replica",
        SchemaRights = "schema_rights",
        Collation = "collation",
    }
}

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// The database works, but might stop working soon.
    Warning,
    /// Something does not work as it should.
    Error,
}

impl Severity {
    /// Returns the name used in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A problem that a check found, why it matters, and how to fix it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Finding {
    /// The check that found it.
    pub check: Check,
    /// The severity.
    pub severity: Severity,
    /// A description of the problem.
    pub what: String,
    /// Why it matters.
    pub why: String,
    /// The command or the manual steps that fix it, or `None` if nothing needs to be done.
    pub mend: Option<String>,
    /// The fix that `doctor --fix` applies, if there is one.
    #[serde(skip)]
    pub(super) fix: Option<Fix>,
}

/// A fix that loses no data; `fix.rs` applies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fix {
    /// Statements to run in one transaction.
    Together(String),
    /// A statement that cannot run in a transaction.
    Alone(String),
    /// A statement that cannot run in a transaction, and one that cleans up if it fails.
    OrElse(String, String),
    /// Release the jobs of dead workers.
    Rescue,
    /// Remove the permissions of other users from a file.
    #[cfg(all(unix, feature = "sqlite"))]
    Narrow(std::path::PathBuf),
}

/// The command that applies a [`Fix`].
pub(super) const BY_FIX: &str = "viraldb doctor --fix";

impl Finding {
    fn new(check: Check, severity: Severity, what: impl Into<String>, why: &str) -> Self {
        Self { check, severity, what: what.into(), why: why.to_owned(), mend: None, fix: None }
    }

    pub(super) fn info(check: Check, what: impl Into<String>, why: &str) -> Self {
        Self::new(check, Severity::Info, what, why)
    }

    pub(super) fn warning(check: Check, what: impl Into<String>, why: &str) -> Self {
        Self::new(check, Severity::Warning, what, why)
    }

    pub(super) fn error(check: Check, what: impl Into<String>, why: &str) -> Self {
        Self::new(check, Severity::Error, what, why)
    }

    pub(super) fn with_severity(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }

    /// Sets the command or the steps with which a person can fix it.
    pub(super) fn mend(self, how: impl Into<String>) -> Self {
        Self { mend: Some(how.into()), ..self }
    }

    /// Sets the fix that `doctor --fix` applies.
    pub(super) fn fixed_by(self, fix: Fix) -> Self {
        Self { mend: Some(BY_FIX.to_owned()), fix: Some(fix), ..self }
    }

    /// Returns the finding for a check that failed with an error.
    pub(super) fn unseen(check: Check, error: &Error) -> Self {
        if is_damage(error) {
            return Self::error(check, format!("could not be checked: {error}"), DAMAGE).mend(RESTORE);
        }
        Self::warning(
            check,
            format!("could not be checked: {error}"),
            "there may be problems that this report does not show",
        )
    }
}

pub(super) const DAMAGE: &str = "rows are lost or wrong, and every write can make it worse";
pub(super) const RESTORE: &str =
    "stop all programs that write, and restore the newest backup: viraldb restore FILE";

/// A problem that was fixed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Mended {
    /// The check that found it.
    pub check: Check,
    /// A description of the problem.
    pub what: String,
    /// What the fix did.
    pub done: String,
}

/// The overall result of an examination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// No finding is more severe than [`Severity::Info`].
    Healthy,
    /// At least one warning, but no error.
    Warnings,
    /// At least one error.
    Errors,
    /// The database could not be opened.
    Unknown,
}

/// The report of an examination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// The database, with the password masked.
    pub database: String,
    /// Engine of the database.
    pub engine: Engine,
    /// Version of the engine, or `None` if the database could not be opened.
    pub version: Option<String>,
    /// The newest applied migration.
    pub schema: Option<String>,
    /// Whether every row was read.
    pub deep: bool,
    /// The overall result.
    pub verdict: Verdict,
    /// The checks that ran.
    pub checks: Vec<Check>,
    /// The findings, most severe first.
    pub findings: Vec<Finding>,
    /// The problems that were fixed.
    pub mended: Vec<Mended>,
}

impl Report {
    pub(super) fn new(url: &DatabaseUrl, deep: bool) -> Self {
        Self {
            database: url.to_string(),
            engine: url.engine(),
            version: None,
            schema: None,
            deep,
            verdict: Verdict::Healthy,
            checks: Vec::new(),
            findings: Vec::new(),
            mended: Vec::new(),
        }
    }

    /// Adds the result of a check.
    pub(super) fn looked(&mut self, check: Check, found: Result<Vec<Finding>>) {
        self.checks.push(check);
        match found {
            Ok(found) => found.into_iter().for_each(|finding| self.add(finding)),
            Err(error) => self.add(Finding::unseen(check, &error)),
        }
    }

    pub(super) fn add(&mut self, finding: Finding) {
        let verdict = match finding.severity {
            Severity::Info => Verdict::Healthy,
            Severity::Warning => Verdict::Warnings,
            Severity::Error => Verdict::Errors,
        };
        self.verdict = match (self.verdict, verdict) {
            (Verdict::Unknown, _) => Verdict::Unknown,
            (Verdict::Errors, _) | (_, Verdict::Errors) => Verdict::Errors,
            (Verdict::Warnings, _) | (_, Verdict::Warnings) => Verdict::Warnings,
            _ => Verdict::Healthy,
        };
        self.findings.push(finding);
    }

    /// Removes all fixes, because viraldb must not apply them now; `mend` tells the reader what to do instead.
    pub(super) fn leave(&mut self, mend: &str) {
        for finding in self.findings.iter_mut().filter(|finding| finding.fix.is_some()) {
            finding.fix = None;
            finding.mend = Some(mend.to_owned());
        }
    }

    /// Records that the database could not be opened.
    pub(super) fn unopened(&mut self, error: &Error) {
        self.checks.push(Check::Open);
        let what = error.to_string();
        if is_damage(error) {
            self.add(Finding::error(Check::Integrity, what, DAMAGE).mend(RESTORE));
        } else {
            self.add(Finding::error(Check::Open, what, "viraldb could not check its contents"));
            self.verdict = Verdict::Unknown;
        }
    }

    /// Sorts the findings by severity, most severe first, then in the order of the checks.
    pub(super) fn sort(&mut self) {
        self.checks.sort_by_key(|check| *check as u8);
        self.findings.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.check as u8));
    }
}
