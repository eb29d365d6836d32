//! `viraldb status`

use std::collections::HashSet;
use std::fmt::Write as _;
use std::process::ExitCode;

use indicatif::HumanBytes;

use super::Context;
use super::output::visible;
use super::values::NICHES;
use viraldb::compilation::RunStatus;
use viraldb::ops::{self, NichePending, Status, StatusCounts, TableSize};
use viraldb::private::quote::{counted, short};
use viraldb::private::resume_command;
use viraldb::republishing::JobStatus;
use viraldb::{Error, Result};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Count all rows instead of estimating large numbers; on a large database this takes seconds
    #[arg(long)]
    exact: bool,
    /// Also show the size of each table and its indexes; on SQLite this reads the whole file
    #[arg(long)]
    sizes: bool,
}

/// The status as it is printed for programs.
#[derive(serde::Serialize)]
struct Document {
    #[serde(flatten)]
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    sizes: Option<Vec<TableSize>>,
}

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let db = context.database()?;
        let status = if self.exact { ops::status_exact(&db)? } else { ops::status(&db)? };
        let resume = if status.queue_paused { Some(db.read(resume_command)?) } else { None };
        let sizes = if self.sizes { Some(ops::sizes(&db)?) } else { None };
        if !context.output.is_for_people() {
            context.output.object(&Document { status, sizes })?;
            return Ok(ExitCode::SUCCESS);
        }
        let text = for_people(&status, resume).map_err(Error::other)?;
        context.output.text(&text)?;
        if let Some(sizes) = sizes {
            context.output.text("\n")?;
            context.output.table(SIZES, sizes.iter().map(size_for_people))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

const SIZES: &[&str] = &["table", "size", "rows", "indexes"];

fn size_for_people(size: &TableSize) -> Vec<String> {
    let bytes = |bytes: i64| HumanBytes(u64::try_from(bytes).unwrap_or_default()).to_string();
    vec![size.table.clone(), bytes(size.total_bytes), bytes(size.table_bytes), bytes(size.index_bytes)]
}

/// Returns the status as text. `resume` is the command that resumes the queue, if it is paused.
fn for_people(status: &Status, resume: Option<&str>) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    let size = u64::try_from(status.size_bytes).unwrap_or_default();
    write!(
        out,
        "{} · {} {} · schema {} (current) · {}",
        status.database,
        status.engine,
        status.version,
        status.schema,
        HumanBytes(size)
    )?;
    if let Some(wal) = status.wal_bytes {
        write!(out, " · WAL {}", HumanBytes(wal))?;
    }
    if let Some(rows) = status.unfinished_transfer {
        write!(out, "\ntransfer         unfinished, {} so far", counted(rows, "row"))?;
    }
    let mut niches: Vec<_> = status.pending_videos.iter().collect();
    niches.sort_by_key(|niche| std::cmp::Reverse(niche.pending));
    let estimates: HashSet<&str> = status.estimates.iter().map(String::as_str).collect();
    let pending_of = |niche: &&NichePending| {
        let is_estimate = estimates.contains(&*format!("pending_videos.{}", niche.niche));
        format!("{} {}", visible(&short(&niche.niche)), number(niche.pending, is_estimate))
    };
    let mut pending: Vec<String> = niches.iter().take(NICHES).map(pending_of).collect();
    match niches.len() {
        0 => pending.push("none".to_owned()),
        count if count > NICHES => pending.push(format!("and {}", counted(count - NICHES, "more niche"))),
        _ => {}
    }
    writeln!(out, "\npending videos   {}", pending.join("   "))?;
    writeln!(
        out,
        "runs             {}",
        counts(
            &status.runs,
            |status| estimates.contains(&*format!("runs.{status}")),
            [
                (RunStatus::Running, "running"),
                (RunStatus::Review, "in review"),
                (RunStatus::Failed, "failed")
            ]
        )
    )?;
    writeln!(
        out,
        "jobs             {}",
        counts(
            &status.jobs,
            |status| estimates.contains(&*format!("jobs.{status}")),
            [
                (JobStatus::Queued, "queued"),
                (JobStatus::Processing, "processing"),
                (JobStatus::Failed, "failed")
            ]
        )
    )?;
    if let Some(resume) = resume {
        writeln!(out, "queue            paused: workers claim no new jobs; resume it with `{resume}`")?;
    }
    let unresolved = number(status.unresolved_errors, estimates.contains("unresolved_errors"));
    writeln!(out, "errors           {unresolved} unresolved")?;
    let (full, empty): (Vec<_>, Vec<_>) =
        status.tables.iter().partition(|table| table.count.rows > 0 || table.count.is_estimate);
    let rows: Vec<String> = full
        .iter()
        .map(|table| format!("{} {}", table.table, number(table.count.rows, table.count.is_estimate)))
        .collect();
    let rest = match (full.len(), empty.len()) {
        (0, n) => format!("none in {}", counted(n, "table")),
        (_, 0) => String::new(),
        (_, n) => format!("   none in {}", counted(n, "other table")),
    };
    writeln!(out, "rows             {}{rest}", rows.join("   "))?;
    if status.has_estimates() {
        writeln!(out, "~ marks estimates; run `viraldb status --exact` to count")?;
    }
    Ok(out)
}

fn counts<S: Ord>(
    counts: &StatusCounts<S>,
    is_estimate: impl Fn(&S) -> bool,
    shown: [(S, &str); 3],
) -> String {
    let count = |status: &S| number(counts.get(status).copied().unwrap_or_default(), is_estimate(status));
    shown.map(|(status, word)| format!("{} {word}", count(&status))).join("   ")
}

/// Returns a number as text. Estimates are marked, and rounded to three significant digits.
fn number(number: i64, is_estimate: bool) -> String {
    if !is_estimate {
        return number.to_string();
    }
    let unit = 10_i64.pow(number.max(1).ilog10().saturating_sub(2));
    format!("~{}", number.saturating_add(unit / 2) / unit * unit)
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn estimates_have_three_significant_digits() {
        let rounded = |n| number(n, true);
        assert_eq!([0, 7, 999, 1_004, 1_005].map(rounded), ["~0", "~7", "~999", "~1000", "~1010"]);
        assert_eq!([50_001, 9_999_999].map(rounded), ["~50000", "~10000000"]);
        assert_eq!(rounded(i64::MAX), "~9220000000000000000");
        assert_eq!(number(9_999_999, false), "9999999");
    }
}
