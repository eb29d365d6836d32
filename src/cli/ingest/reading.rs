//! Reads files and prints the results.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::super::Context;
use super::super::output;
use super::super::rejects::{Rejects, Shown};
use super::Progress;
use viraldb::ingest::{self, Format, Input, InputFile, Inputs, Options, Preview, Reject, Report, Watch};
use viraldb::private::quote::{counted, quoted, visible};
use viraldb::{Database, Error, Result};

/// Reads files with the same options, and keeps their reports.
pub(super) struct Reading<'a> {
    db: &'a Database,
    options: Options<'a>,
    kept: Option<Rejects<'a>>,
    /// True if a rejected row could not be written to the file of rejected rows.
    is_reject_lost: bool,
    pub(super) reports: Vec<Report>,
    /// The preview of each report of a dry run, unless it was printed already.
    pub(super) previews: Vec<Preview>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(db: &'a Database, options: Options<'a>, kept: Option<Rejects<'a>>) -> Self {
        Self { db, options, kept, is_reject_lost: false, reports: Vec::new(), previews: Vec::new() }
    }

    /// Returns true if a rejected row could not be written to the file of rejected rows.
    pub(super) const fn is_reject_lost(&self) -> bool {
        self.is_reject_lost
    }

    /// Returns true if other files may still be read after one has failed with this error.
    pub(super) fn may_go_on_after(&self, error: &Error) -> bool {
        error.is_of_input() && !self.is_reject_lost
    }

    /// Reads the inputs of a file. If the watch is stopped, reading ends early.
    pub(super) fn file(
        &mut self,
        context: &mut Context,
        file: &InputFile,
        progress: &mut Progress,
        watch: Option<&Watch>,
    ) -> Result<()> {
        progress.begin(file);
        let Inputs { inputs, skipped, modified, .. } = file.open()?;
        if !context.quiet {
            progress.hide(|| {
                for file in skipped {
                    output::message(&format!("{}: skipped, because {}", visible(&file.name), file.reason));
                }
            });
        }
        let options = Options { modified, ..self.options.clone() };
        for mut input in inputs {
            let mut preview = None;
            if options.dry_run {
                let (shown, read) = ingest::preview(&input.name, input.read, &options)?;
                input.read = read;
                if context.output.is_for_people() {
                    progress.hide(|| context.say(&preview_lines(&input.name, &shown)))?;
                } else {
                    preview = Some(shown);
                }
            }
            let report = self.input(context, input, &options, progress, watch)?;
            self.reports.push(report);
            self.previews.extend(preview);
            if let Some(kept) = &mut self.kept {
                kept.flush().inspect_err(|_| self.is_reject_lost = true)?;
            }
        }
        Ok(())
    }

    /// Reads one input, and prints its result.
    fn input(
        &mut self,
        context: &mut Context,
        input: Input,
        options: &Options<'_>,
        progress: &mut Progress,
        watch: Option<&Watch>,
    ) -> Result<Report> {
        let mut shown = Shown::default();
        let are_kept = self.kept.is_some();
        let name = input.name.clone();
        let read = progress.reader(input);
        let mut reject = |row: Reject| {
            shown.add(|| format!("line {}: {}", row.line, row.reason));
            let kept = self.kept.as_mut().map_or(Ok(()), |kept| kept.keep(&row));
            kept.inspect_err(|_| self.is_reject_lost = true)
        };
        let report = match watch {
            Some(watch) => ingest::ingest(self.db, &name, watch.reader(read), options, &mut reject),
            None => ingest::ingest(self.db, &name, read, options, &mut reject),
        };
        progress.hide(|| {
            if let (Ok(report), true) = (&report, context.output.is_for_people()) {
                context.say(&line(report))?;
                context.output.flush();
            }
            if !context.quiet {
                shown.print(report.as_ref().map_or(0, |report| report.rejected), are_kept);
            }
            Ok::<_, Error>(())
        })?;
        report
    }
}

/// The output of a dry run for programs.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DryRun {
    file: String,
    format: Option<Format>,
    table: String,
    rows: u64,
    new: u64,
    updated: u64,
    unchanged: u64,
    snapshots: u64,
    trends: u64,
    rejected: u64,
    /// The CSV column name for each viraldb column that is read.
    mapping: Map<String, Value>,
    first_rows: Vec<Map<String, Value>>,
}

impl DryRun {
    pub(super) fn of((report, preview): (&Report, Preview)) -> Self {
        Self {
            file: report.file.clone(),
            format: report.format,
            table: report.table.clone(),
            rows: report.rows,
            new: report.new,
            updated: report.updated,
            unchanged: report.unchanged,
            snapshots: report.snapshots,
            trends: report.trends,
            rejected: report.rejected,
            mapping: preview.mapping.into_iter().map(|(ours, csv)| (ours, csv.into())).collect(),
            first_rows: preview.rows,
        }
    }
}

/// Describes for people how viraldb interprets an input.
fn preview_lines(name: &str, preview: &Preview) -> String {
    let Preview { format, table, mapping, rows, .. } = preview;
    let mut lines = format!("{}  dry run, nothing is written: {format} for {table}\n", visible(name));
    for (ours, csv) in mapping {
        lines += &format!("  {ours} is {}\n", quoted(csv));
    }
    for (place, row) in rows.iter().enumerate() {
        for (table, row) in row {
            lines += &format!("  row {} of {table}: {}\n", place + 1, visible(&row.to_string()));
        }
    }
    lines
}

/// Returns a line for people with the result of an input.
pub(in crate::cli) fn line(report: &Report) -> String {
    let rows = counted(report.rows, "row");
    let new = match &*report.table {
        "discovered_videos" => format!("{} new", counted(report.new, "video")),
        table => format!("{} new in {table}", report.new),
    };
    let mut line = format!("{}  {rows}: {new}, {} updated", visible(&report.file), report.updated);
    let is_trending = report.format == Some(Format::YoutubeTrending);
    if is_trending || (report.snapshots > 0 && report.table == "discovered_videos") {
        line += &format!(", {}", counted(report.snapshots, "snapshot"));
    }
    if report.trends > 0 {
        line += &format!(", {}", counted(report.trends, "trend"));
    }
    line + &format!(", {} rejected\n", report.rejected)
}
