//! The threads that run handlers, and what they have in common with the [`tasks`](super::tasks) that run futures.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::outcome::{JobError, Outcome};
use super::shared::{BEAT, Jobs, Shared};
use super::work::Work;
use crate::correlation;

/// How an attempt ended, and how long its handler took, if it ran to its end.
pub(super) type Attempted = (Outcome, Option<Duration>);

/// Adds claimed jobs to the buffer and starts threads for them, as far as there are not enough yet.
pub(super) fn give(shared: &Arc<Shared>, claimed: Vec<Arc<Work>>) {
    let now = Instant::now();
    let mut jobs = shared.jobs();
    jobs.buffer.extend(claimed.into_iter().map(|work| (now, work)));
    while jobs.threads < jobs.most && jobs.buffer.len() > (jobs.threads - jobs.running) as usize {
        let hand = Arc::clone(shared);
        if let Err(error) = thread::Builder::new().spawn(move || work_until_over(&hand)) {
            tracing::error!("cannot start a thread for jobs: {error}");
            if jobs.threads == 0 {
                shared.release_buffered(&mut jobs);
                drop(jobs);
                thread::sleep(BEAT);
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
        let attempted = correlation::in_span(&work.span(), work.correlation_id, || run(shared, &work));
        jobs = shared.jobs();
        end(shared, &mut jobs, work, attempted);
    }
    jobs.threads -= 1;
}

/// Passes a job whose attempt has ended to the thread that stores outcomes, and counts the hand as free.
pub(super) fn end(shared: &Shared, jobs: &mut Jobs, work: Arc<Work>, attempted: Attempted) {
    let (outcome, took) = attempted;
    jobs.end(&work);
    if let Some(took) = took {
        jobs.pace.record(took);
    }
    shared.finish(jobs, work, outcome);
    if jobs.is_full && jobs.wants() > 0 || jobs.stopped.is_some() {
        shared.changed.notify_all();
    }
}

/// Runs the blocking handler of one job on this thread.
pub(super) fn run(shared: &Shared, work: &Work) -> Attempted {
    if !may_begin(work) {
        return (Outcome::Lost, None);
    }
    let begin = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| shared.handlers.run_blocking(work)));
    (outcome(work, result), Some(begin.elapsed()))
}

/// Returns true and announces the attempt, unless the lease is lost already.
pub(super) fn may_begin(work: &Work) -> bool {
    if work.is_lost() {
        tracing::warn!(job = %work.id, "the lease was lost before the job was started");
        return false;
    }
    tracing::info!("working");
    true
}

/// Returns the outcome for what a handler returned, or for its panic.
pub(super) fn outcome(work: &Work, result: thread::Result<Result<(), JobError>>) -> Outcome {
    let outcome = match result {
        Ok(Ok(())) => Outcome::Completed,
        Ok(Err(JobError::Retry(_))) if work.should_stop() => Outcome::Released,
        Ok(Err(error)) => Outcome::from(error),
        Err(panic) => Outcome::panicked(&message(&*panic)),
    };
    if let Outcome::Failed { error, .. } = &outcome {
        tracing::error!(job = %work.id, "{error}");
    }
    outcome
}

/// Returns the message of a panic.
fn message(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "the handler panicked".to_owned(),
    }
}
