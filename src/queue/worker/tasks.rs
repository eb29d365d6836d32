//! The tokio tasks that run futures as handlers.
//!
//! Tasks take jobs from the buffer like the threads in [`hands`](super::hands). A task ends when the buffer is empty.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use tokio::sync::watch;
use tokio::task::{coop, spawn_blocking};

use super::handlers::{AsyncHandler, Handler, Handlers};
use super::hands::{self, Attempted};
use super::outcome::Outcome;
use super::runtime::Runtime;
use super::shared::Shared;
use super::work::Work;
use crate::correlation;

/// Adds claimed jobs to the buffer and starts tasks for them, as far as there are not enough yet.
pub(super) fn give(shared: &Arc<Shared>, runtime: &Runtime, claimed: Vec<Arc<Work>>) {
    let now = Instant::now();
    let mut jobs = shared.jobs();
    jobs.buffer.extend(claimed.into_iter().map(|work| (now, work)));
    let waiting = jobs.threads.saturating_sub(jobs.running);
    let missing = (jobs.buffer.len() as u32).saturating_sub(waiting);
    let missing = missing.min(jobs.most.saturating_sub(jobs.threads));
    jobs.threads += missing;
    drop(jobs); // a runtime that is shutting down drops a new task here, and the task then locks the jobs
    for _ in 0..missing {
        let hand = Hand { shared: Arc::clone(shared), abort: runtime.subscribe(), has_ended: false };
        runtime.handle.spawn(hand.work());
    }
}

/// One task.
struct Hand {
    shared: Arc<Shared>,
    abort: watch::Receiver<bool>,
    /// Whether the task has stopped counting as a hand.
    has_ended: bool,
}

impl Hand {
    /// Runs the handlers of buffered jobs, one after the other.
    async fn work(mut self) {
        while let Some(attempt) = self.next() {
            let (id, span) = (attempt.work.correlation_id, attempt.work.span());
            correlation::async_in_span(&span, id, attempt.run(&mut self.abort)).await;
            coop::consume_budget().await; // other tasks get their turn, even if no handler ever waits
        }
    }

    /// Takes a job from the buffer. If there is none for this task, the task no longer counts.
    fn next(&mut self) -> Option<Attempt> {
        let mut jobs = self.shared.jobs();
        let goes_on = !jobs.is_over && jobs.threads <= jobs.most && !*self.abort.borrow();
        let Some(work) = goes_on.then(|| jobs.next()).flatten() else {
            jobs.threads -= 1;
            self.has_ended = true;
            return None;
        };
        jobs.start(&work);
        let shared = Arc::clone(&self.shared);
        Some(Attempt { shared, work, attempted: (Outcome::Released, None) })
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        if !self.has_ended {
            // The runtime is shutting down. No task would take the remaining jobs.
            self.shared.jobs().threads -= 1;
            self.shared.worker.stop.stop();
        }
    }
}

/// A job whose handler runs. If this is dropped before the handler has ended, the job is released.
struct Attempt {
    shared: Arc<Shared>,
    work: Arc<Work>,
    attempted: Attempted,
}

impl Attempt {
    /// Runs the handler to its end, or until the attempt must end early.
    async fn run(mut self, abort: &mut watch::Receiver<bool>) {
        match self.shared.handlers.get(self.work.job_type) {
            Some(Handler::Async(handler)) => {
                let handler = Arc::clone(handler);
                self.attempted = self.poll(&*handler, abort).await;
            }
            Some(Handler::Blocking(_)) => {
                // The closure owns the attempt, because it continues even if this task is dropped.
                let mut task = pin!(spawn_blocking(move || self.run_blocking()));
                let mut ends_early = pin!(aborted(abort));
                poll_fn(|cx| match ends_early.as_mut().poll(cx) {
                    Poll::Ready(_) => Poll::Ready(()),
                    Poll::Pending => task.as_mut().poll(cx).map(drop),
                })
                .await;
            }
            None => {
                let result = Ok(Err(Handlers::missing(&self.work)));
                self.attempted = (hands::outcome(&self.work, result), None);
            }
        }
    }

    fn run_blocking(mut self) {
        let run = || hands::run(&self.shared, &self.work);
        self.attempted = correlation::in_span(&self.work.span(), self.work.correlation_id, run);
    }

    /// Polls the future of an async handler.
    async fn poll(&self, handler: &AsyncHandler, abort: &mut watch::Receiver<bool>) -> Attempted {
        if !hands::may_begin(&self.work) {
            return (Outcome::Lost, None);
        }
        let begin = Instant::now();
        let mut future = match catch_unwind(AssertUnwindSafe(|| handler(Arc::clone(&self.work)))) {
            Ok(future) => future,
            Err(panic) => return (hands::outcome(&self.work, Err(panic)), Some(begin.elapsed())),
        };
        let mut ends_early = pin!(ends_early(abort, &self.work));
        let ended = poll_fn(|cx| {
            if let Poll::Ready(outcome) = ends_early.as_mut().poll(cx) {
                return Poll::Ready(Err(outcome));
            }
            match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
                Ok(polled) => polled.map(|result| Ok(Ok(result))),
                Err(panic) => Poll::Ready(Ok(Err(panic))),
            }
        })
        .await;
        // Drop the future before its job is settled. A panic in there must not end the task.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(future)));
        match ended {
            Ok(result) => (hands::outcome(&self.work, result), Some(begin.elapsed())),
            Err(outcome) => (outcome, None),
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let attempted = std::mem::replace(&mut self.attempted, (Outcome::Released, None));
        let work = Arc::clone(&self.work);
        hands::end(&self.shared, &mut self.shared.jobs(), work, attempted);
    }
}

/// Waits until the attempt must end although its handler has not, and returns the outcome. The future of the handler is then
/// dropped.
async fn ends_early(abort: &mut watch::Receiver<bool>, work: &Work) -> Outcome {
    let (mut aborted, mut late) = (pin!(aborted(abort)), pin!(work.is_late()));
    poll_fn(|cx| match aborted.as_mut().poll(cx) {
        // The heartbeat has stored that the attempt took too long.
        Poll::Pending => late.as_mut().poll(cx),
        Poll::Ready(()) => Poll::Ready(()),
    })
    .await;
    Outcome::Released
}

/// Waits until the worker drops its tasks.
async fn aborted(abort: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, and with it the worker.
    let _ = abort.wait_for(|is_aborted| *is_aborted).await;
}
