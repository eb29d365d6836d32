//! `viraldb ingest --watch DIR`

use std::path::Path;
use std::process::ExitCode;

use super::super::{Context, output, report};
use super::{Args, Progress, Reading};
use viraldb::Result;
use viraldb::ingest::{Options, Watch};
use viraldb::private::quote::visible;

impl Args {
    /// Reads files as they arrive, until a signal stops the watch.
    pub(super) fn watch(
        &self,
        context: &mut Context,
        folder: &Path,
        options: Options<'_>,
    ) -> Result<ExitCode> {
        let db = context.database()?;
        let mut watch = Watch::new(&db, folder)?;
        if let Some(done) = &self.done {
            watch = watch.done(done)?;
        }
        watch.stop().on_signals()?;
        let kept = self.rejects(|path| db.is_own_file(path), |path| watch.reads(path))?;
        let mut reading = Reading::new(&db, options, kept);
        if !context.quiet {
            let place = visible(&folder.display().to_string());
            output::message(&format!("watching {place}; stop it with Ctrl-C or SIGTERM"));
        }
        let mut is_first = true;
        while let Some(found) = watch.next() {
            let file = match found {
                Ok(file) => file,
                Err(error) => {
                    report(&error);
                    continue;
                }
            };
            let mut progress = Progress::new(context, std::slice::from_ref(&file));
            let read = reading.file(context, &file, &mut progress, Some(&watch));
            drop(progress);
            let reports = std::mem::take(&mut reading.reports);
            if !context.output.is_for_people() && !reports.is_empty() {
                context.output.stream(&reports, is_first)?;
                is_first = false;
            }
            match read {
                Ok(()) => {
                    if let Err(error) = watch.finished(&file) {
                        report(&error);
                    }
                }
                // This is not an error: a signal stopped the watch.
                Err(_) if watch.was_cut_short() => {
                    note(context, &file.path, "stopped before its end; the next watch reads it again");
                }
                Err(error) if reading.is_reject_lost() => return Err(error),
                Err(error) => {
                    let path = file.path.clone();
                    let delay = watch.failed(file, &error);
                    report(&error);
                    if let Some(delay) = delay {
                        note(context, &path, &format!("trying again in {} s", delay.as_secs()));
                    }
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Prints a note about a file.
fn note(context: &Context, path: &Path, said: &str) {
    if !context.quiet {
        output::message(&format!("{}: {said}", visible(&path.display().to_string())));
    }
}
