//! What an examination reports.

use serde::{Deserialize, Serialize};

use super::is_damage;
use crate::types::portable;
use crate::{DatabaseUrl, Error, Result};

portable! {
    /// What is looked at.
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

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// It works, and may not for long.
    Warning,
    /// It does not work as it should.
    Error,
}

impl Severity {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What was found, why it matters, and what mends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Finding {
    /// What was looked at.
    pub check: Check,
    /// How bad it is.
    pub severity: Severity,
    /// What is so.
    pub what: String,
    /// Why it matters.
    pub why: String,
    /// The command that mends it, or what a person is to do; nothing if there is nothing to be done.
    pub mend: Option<String>,
    /// What `fix` does about it.
    #[serde(skip)]
    pub(super) fix: Option<Fix>,
}

/// What mends a finding without losing anything; `fix.rs` does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fix {
    /// Statements, in a transaction.
    Together(String),
    /// A statement that runs in no transaction.
    Alone(String),
    /// A statement that runs in no transaction, and one that takes back what it leaves behind if it fails.
    OrElse(String, String),
    /// Jobs go back from workers that died.
    Rescue,
    /// Others may not read a file any more.
    #[cfg(all(unix, feature = "sqlite"))]
    Narrow(std::path::PathBuf),
}

/// The command that does what a [`Fix`] says.
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

    /// A person mends it so.
    pub(super) fn mend(self, how: impl Into<String>) -> Self {
        Self { mend: Some(how.into()), ..self }
    }

    /// `doctor --fix` mends it.
    pub(super) fn fixed_by(self, fix: Fix) -> Self {
        Self { mend: Some(BY_FIX.to_owned()), fix: Some(fix), ..self }
    }

    /// A check that could not look.
    pub(super) fn unseen(check: Check, error: &Error) -> Self {
        if is_damage(error) {
            return Self::error(check, format!("could not be looked at: {error}"), DAMAGE).mend(RESTORE);
        }
        Self::warning(
            check,
            format!("could not be looked at: {error}"),
            "nobody knows whether it is as it should be",
        )
    }
}

pub(super) const DAMAGE: &str = "rows are lost or wrong, and writing makes it worse";
pub(super) const RESTORE: &str = "stop what writes, and restore the newest backup: viraldb restore FILE";

/// Something that was mended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Mended {
    /// What was looked at.
    pub check: Check,
    /// What was so.
    pub what: String,
    /// What was done.
    pub done: String,
}

/// What is to be said of a database as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing above [`Severity::Info`].
    Healthy,
    /// A warning, and no error.
    Warnings,
    /// An error.
    Errors,
    /// It could not be opened.
    Unknown,
}

/// What an examination found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// The database, its password masked.
    pub database: String,
    /// `SQLite` or `PostgreSQL`.
    pub engine: String,
    /// Version of the engine; nothing if the database could not be opened.
    pub version: Option<String>,
    /// Newest migration that is applied.
    pub schema: Option<String>,
    /// Whether every row was read.
    pub deep: bool,
    /// What is to be said as a whole.
    pub verdict: Verdict,
    /// What was looked at.
    pub checks: Vec<Check>,
    /// What was found, worst first.
    pub findings: Vec<Finding>,
    /// What was mended.
    pub mended: Vec<Mended>,
}

impl Report {
    pub(super) fn new(url: &DatabaseUrl, deep: bool) -> Self {
        Self {
            database: url.to_string(),
            engine: url.engine().to_owned(),
            version: None,
            schema: None,
            deep,
            verdict: Verdict::Healthy,
            checks: Vec::new(),
            findings: Vec::new(),
            mended: Vec::new(),
        }
    }

    /// Takes in what a check has found.
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

    /// Has nothing mended, because it is not for us to do, or not now; `mend` says so instead.
    pub(super) fn leave(&mut self, mend: &str) {
        for finding in self.findings.iter_mut().filter(|finding| finding.fix.is_some()) {
            finding.fix = None;
            finding.mend = Some(mend.to_owned());
        }
    }

    /// Takes in that the database could not be opened.
    pub(super) fn unopened(&mut self, error: &Error) {
        self.checks.push(Check::Open);
        let what = error.to_string();
        if is_damage(error) {
            self.add(Finding::error(Check::Integrity, what, DAMAGE).mend(RESTORE));
        } else {
            self.add(Finding::error(Check::Open, what, "nothing in it could be looked at"));
            self.verdict = Verdict::Unknown;
        }
    }

    /// Worst first, and within that in the order of the checks.
    pub(super) fn sort(&mut self) {
        self.checks.sort_by_key(|check| *check as u8);
        self.findings.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.check as u8));
    }
}
