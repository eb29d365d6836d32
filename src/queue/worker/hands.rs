//! The threads that run handlers.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::outcome::{JobError, Outcome};
use super::shared::{BEAT, Shared};
use super::work::Work;
use crate::correlation;

/// Adds claimed jobs to the buffer and starts threads for them, as far as there are not enough yet.
pub(super) fn give(shared: &Arc<Shared>, claimed: Vec<Arc<Work>>) {
    let now = Instant::now();
    let mut jobs = shared.jobs();
    jobs.buffer.extend(claimed.into_iter().map(|work| (now, work)));
    while jobs.threads < jobs.most && jobs.buffer.len() > (jobs.threads - jobs.running) as usize {
        let hand = Arc::clone(shared);
        if let Err(error) = std::thread::Builder::new().spawn(move || work_until_over(&hand)) {
            tracing::error!("cannot start a thread for jobs: {error}");
            if jobs.threads == 0 {
                shared.release_buffered(&mut jobs);
                drop(jobs);
                std::thread::sleep(BEAT);
                return;
            }
            break;
        }
        jobs.threads += 1;
    }
    shared.work.notify_one();
}

/// Runs the handlers of buffered jobs, one after the other, until the worker is over or needs fewer threads.
fn work_until_over(shared: &Shared) {
    let mut jobs = shared.jobs();
    while !jobs.is_over && jobs.threads <= jobs.most {
        let Some(work) = jobs.next() else {
            jobs = shared.wait_long(&shared.work, jobs);
            continue;
        };
        if !jobs.buffer.is_empty() {
            shared.work.notify_one(); // each hand that gets a job wakes the next one
        }
        jobs.start(&work);
        drop(jobs);
        let (outcome, took) = correlation::unit_of_work("job", work.correlation_id, || run(shared, &work));
        jobs = shared.jobs();
        jobs.end(&work);
        if let Some(took) = took {
            jobs.pace.record(took);
        }
        shared.finish(&mut jobs, work, outcome);
        if jobs.is_full && jobs.wants() > 0 {
            shared.changed.notify_all();
        }
    }
    jobs.threads -= 1;
}

/// Runs the handler of one job. Returns its outcome and how long the handler took, if it ran.
fn run(shared: &Shared, work: &Work) -> (Outcome, Option<Duration>) {
    if work.is_lost() {
        tracing::warn!(job = %work.id, "the lease was lost before the job was started");
        return (Outcome::Lost, None);
    }
    tracing::info!(job = %work.id, job_type = %work.job_type, attempt = work.attempts, "working");
    let begin = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| (shared.handler)(work)));
    let took = begin.elapsed();
    let outcome = match result {
        Ok(Ok(())) => Outcome::Completed,
        Ok(Err(JobError::Retry(_))) if work.should_stop() => Outcome::Released,
        Ok(Err(error)) => Outcome::from(error),
        Err(panic) => Outcome::panicked(&message(&*panic)),
    };
    if let Outcome::Failed { error, .. } = &outcome {
        tracing::error!(job = %work.id, "{error}");
    }
    (outcome, Some(took))
}

/// Returns the message of a panic.
fn message(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "the handler panicked".to_owned(),
    }
}
