//! At a glance: what needs attention, and the most important numbers.

use std::sync::Arc;

use maud::Markup;

use super::pipeline::Pipeline;
use super::queue::Queue;
use super::storage::Storage;
use super::{Scope, clean, duration, full, mend};
use crate::compilation::RunStatus;
use crate::ops::backup::Listed;
use crate::ops::{Check, Finding, Report, Severity, Status, Verdict};
use crate::quote::counted;
use crate::web::chart::{Hue, Unit, spark};
use crate::web::components::{Card, Reason, Tone, cards, verdict};

/// Jobs that have been due for longer than this need a worker, in seconds.
const LATE: f64 = 15.0 * 60.0;
/// A backup that is older than this is old, in seconds.
const OLD: f64 = 2.0 * 24.0 * 3600.0;

#[derive(Debug)]
pub(in crate::web) struct Glance {
    pub status: Status,
    /// The doctor's report. `None` while the dashboard's first examination runs.
    pub doctor: Option<Arc<Report>>,
    /// How to resume the queue, if it is paused.
    pub resume: Option<String>,
}

/// A reason for attention, before it is rendered.
struct Attention {
    tone: Tone,
    what: String,
    why: String,
    href: String,
    mend: String,
}

impl Glance {
    pub fn render(&self, scope: &Scope, queue: &Queue, pipeline: &Pipeline, storage: &Storage) -> Markup {
        let mut reasons = self.reasons(scope, queue, pipeline);
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.tone));
        let shown: Vec<Reason> = reasons
            .iter()
            .map(|reason| Reason {
                tone: reason.tone,
                what: &reason.what,
                why: &reason.why,
                href: &reason.href,
                mend: mend(&reason.mend),
            })
            .collect();
        let words = match reasons.len() {
            0 => "Everything is as it should be".to_owned(),
            1 => "1 thing needs attention".to_owned(),
            many => format!("{many} things need attention"),
        };
        maud::html! {
            (verdict(&words, &shown))
            (self.cards(scope, queue, pipeline, storage))
        }
    }

    /// Returns what needs attention.
    fn reasons(&self, scope: &Scope, queue: &Queue, pipeline: &Pipeline) -> Vec<Attention> {
        let findings = self.doctor.as_ref().map_or(&[][..], |doctor| &doctor.findings);
        let mut checks: Vec<(Check, Severity)> =
            findings.iter().map(|finding| (finding.check, finding.severity)).collect();
        checks.dedup();
        let mut reasons: Vec<Attention> = checks
            .into_iter()
            .filter_map(|of| {
                let same = |finding: &&Finding| (finding.check, finding.severity) == of;
                of_check(&findings.iter().filter(same).collect::<Vec<_>>(), scope)
            })
            .collect();
        if queue.failed() > 0 {
            let cause = queue.failure_causes.first().map(|cause| {
                let error = super::short(cause.error.as_deref().unwrap_or("no error message"), 120);
                format!("{} of them: {}: {error}", full(cause.jobs), cause.job_type)
            });
            reasons.push(Attention {
                tone: Tone::Bad,
                what: format!("{} failed in the last {}", many(queue.failed(), "job"), scope.length),
                why: cause.unwrap_or_default(),
                href: scope.part("queue"),
                mend: "viraldb jobs list --status failed".to_owned(),
            });
        }
        if let Some((job_type, since)) = queue.longest_due() {
            let seconds = scope.span.until.hours_since(since) * 3600.0;
            if seconds > LATE && !self.status.queue_paused {
                reasons.push(Attention {
                    tone: Tone::Warn,
                    what: format!("A {job_type} job has waited for {}", duration(Some(seconds))),
                    why: format!("{} are due; are enough workers running?", many(queue.due(), "job")),
                    href: scope.part("queue"),
                    mend: "viraldb jobs top".to_owned(),
                });
            }
        }
        if let Some(resume) = &self.resume {
            reasons.push(Attention {
                tone: Tone::Warn,
                what: "The queue is paused".to_owned(),
                why: "workers claim no new jobs".to_owned(),
                href: scope.part("queue"),
                mend: resume.clone(),
            });
        }
        let reviews = &pipeline.waiting_reviews;
        if let Some(oldest) = reviews.oldest_at.filter(|_| reviews.late > 0) {
            let age = scope.span.until.hours_since(oldest) * 3600.0;
            reasons.push(Attention {
                tone: Tone::Warn,
                what: format!("{} unanswered for more than a day", are("review", reviews.late)),
                why: format!("the oldest was requested {} ago", duration(Some(age))),
                href: scope.part("pipeline"),
                mend: "viraldb reviews list --open".to_owned(),
            });
        }
        if self.status.unresolved_errors > 0 {
            reasons.push(Attention {
                tone: Tone::Warn,
                what: format!("{} unresolved", are("error", self.status.unresolved_errors)),
                why: "resolve an error once its cause is fixed".to_owned(),
                href: scope.part("errors"),
                mend: "viraldb errors list".to_owned(),
            });
        }
        reasons
    }

    fn cards(&self, scope: &Scope, queue: &Queue, pipeline: &Pipeline, storage: &Storage) -> Markup {
        let status = &self.status;
        let pending: i64 = status.pending_videos.iter().map(|niche| niche.pending).sum();
        // A number of many rows is an estimate.
        let about =
            |name: &str| if status.estimates.iter().any(|of| of.starts_with(name)) { "~" } else { "" };
        let last = format!("in the last {}", scope.length);
        let workers = match queue.workers() {
            0 => "idle".to_owned(),
            workers => format!("on {}", counted(workers, "worker")),
        };
        let niches = format!("in {}", counted(status.pending_videos.len(), "niche"));
        let finished: Vec<Option<f64>> =
            queue.periods.iter().map(|period| Some(period.completed as f64)).collect();
        let oldest = queue.longest_due().map(|(_, since)| {
            let seconds = scope.span.until.hours_since(since) * 3600.0;
            (seconds, format!("oldest waits {}", duration(Some(seconds))))
        });
        let (due_tone, due_word) = match &oldest {
            None => (Tone::Good, "nothing waits"),
            Some((seconds, _)) if *seconds > LATE => (Tone::Warn, "late"),
            Some(_) => (Tone::Good, "on time"),
        };
        let runs = |of| status.runs.get(&of).copied().unwrap_or_default();
        let is_good = |backup: &&Listed| backup.is_intact() && backup.ahead_of(scope.span.until).is_none();
        let backup = storage.backups.iter().filter(is_good).find_map(|backup| backup.created_at);
        let backup_age = backup.map(|at| scope.span.until.hours_since(at) * 3600.0);
        let (backup_tone, backup_word) = match backup_age {
            // The doctor says so once the database is old enough to have one.
            None => (Tone::Muted, "none found"),
            Some(age) if age > OLD => (Tone::Warn, "old"),
            Some(_) => (Tone::Good, "recent"),
        };
        let backups = counted(storage.backups.len(), "backup");
        let (doctor_tone, doctor_word) = match self.doctor.as_ref().map(|doctor| doctor.verdict) {
            Some(Verdict::Healthy) => (Tone::Good, "healthy"),
            Some(Verdict::Warnings) => (Tone::Warn, "warnings"),
            Some(Verdict::Errors) => (Tone::Bad, "errors"),
            Some(Verdict::Unknown) => (Tone::Bad, "not checked"),
            None => (Tone::Muted, "checking"),
        };
        let checks = counted(self.doctor.as_ref().map_or(0, |doctor| doctor.checks.len()), "check");
        let is_problem = |finding: &&Finding| finding.severity != Severity::Info;
        let problems = self.doctor.as_ref().map(|doctor| doctor.findings.iter().filter(is_problem).count());
        let completed = format!("{} completed {last}", full(queue.completed()));
        let failed_runs = format!("{} failed {last}", full(pipeline.count(RunStatus::Failed)));
        let [queue_href, pipeline_href, videos_href, errors_href, storage_href, doctor_href] =
            ["queue", "pipeline", "videos", "errors", "storage", "doctor"].map(|part| scope.part(part));
        cards(&[
            Card {
                label: "Jobs due",
                value: full(queue.due()),
                tone: due_tone,
                word: due_word,
                detail: oldest.as_ref().map_or("", |(_, words)| words),
                href: Some(&queue_href),
                spark: None,
            },
            Card {
                label: "Jobs running",
                value: full(queue.running() as i64),
                tone: if queue.running() > 0 { Tone::Info } else { Tone::Muted },
                word: &workers,
                detail: &completed,
                href: Some(&queue_href),
                spark: Some(spark("Completed jobs over time", Unit::Count, Hue::Good, &finished)),
            },
            Card {
                label: "Jobs failed",
                value: full(queue.failed()),
                tone: if queue.failed() > 0 { Tone::Bad } else { Tone::Good },
                word: if queue.failed() > 0 { "failed" } else { "none" },
                detail: &last,
                href: Some(&queue_href),
                spark: None,
            },
            Card {
                label: "Runs in review",
                value: full(runs(RunStatus::Review)),
                tone: match (runs(RunStatus::Review), pipeline.waiting_reviews.late) {
                    (0, _) => Tone::Good,
                    (_, 0) => Tone::Info,
                    _ => Tone::Warn,
                },
                word: if runs(RunStatus::Review) > 0 { "wait for a person" } else { "none" },
                detail: &failed_runs,
                href: Some(&pipeline_href),
                spark: None,
            },
            Card {
                label: "Pending videos",
                value: format!("{}{}", about("pending_videos."), full(pending)),
                tone: Tone::Muted,
                word: "waiting",
                detail: &niches,
                href: Some(&videos_href),
                spark: None,
            },
            Card {
                label: "Unresolved errors",
                value: format!("{}{}", about("unresolved_errors"), full(status.unresolved_errors)),
                tone: if status.unresolved_errors > 0 { Tone::Warn } else { Tone::Good },
                word: if status.unresolved_errors > 0 { "need attention" } else { "none" },
                detail: "",
                href: Some(&errors_href),
                spark: None,
            },
            Card {
                label: "Last backup",
                value: backup_age
                    .map_or_else(|| "–".to_owned(), |age| format!("{} ago", Unit::Seconds.short(age))),
                tone: backup_tone,
                word: backup_word,
                detail: &backups,
                href: Some(&storage_href),
                spark: None,
            },
            Card {
                label: "Doctor’s findings",
                value: problems.map_or_else(|| "–".to_owned(), |problems| problems.to_string()),
                tone: doctor_tone,
                word: doctor_word,
                detail: &checks,
                href: Some(&doctor_href),
                spark: None,
            },
        ])
    }
}

/// Returns what the findings of one check ask for, unless they are only notes. A check can have many similar findings, so only
/// the first one is shown in full.
fn of_check(findings: &[&Finding], scope: &Scope) -> Option<Attention> {
    let finding = findings.first()?;
    let tone = match finding.severity {
        Severity::Info => return None,
        Severity::Warning => Tone::Warn,
        Severity::Error => Tone::Bad,
    };
    let mut why = clean(&finding.why);
    if findings.len() > 1 {
        why.push_str(&format!(" (and {} like it)", counted(findings.len() - 1, "other finding")));
    }
    Some(Attention {
        tone,
        what: clean(&finding.what),
        why,
        href: scope.part("doctor"),
        mend: finding.mend.clone().unwrap_or_default(),
    })
}

/// Returns the number of things with the verb, such as `1 error is` or `2 errors are`.
fn are(thing: &str, count: i64) -> String {
    format!("{} {}", many(count, thing), if count == 1 { "is" } else { "are" })
}

/// Returns the number of things, such as `1 job` or `12,345 jobs`.
fn many(count: i64, thing: &str) -> String {
    format!("{} {thing}{}", full(count), if count == 1 { "" } else { "s" })
}
