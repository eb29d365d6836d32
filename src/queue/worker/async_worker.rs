//! Workers that run futures on tokio instead of handlers on threads.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tracing::Span;

use super::handlers::{Handler, Handlers, JobFuture};
use super::runtime::Runtime;
use super::{Done, JobError, Work, Worker};
use crate::queue::{Claim, Stop};
use crate::republishing::JobType;
use crate::{Error, Result, correlation};

impl Worker {
    /// Runs the worker like [`run`](Self::run), with a handler that returns a future.
    ///
    /// The futures run on the runtime of the caller, in at most as many tasks as the worker's
    /// [`concurrency`](Self::concurrency). A thousand futures that wait for a network do not need a thousand threads.
    /// The worker still claims, extends leases and stores outcomes on three threads of its own.
    ///
    /// - Each future runs in a [unit of work](correlation::async_unit_of_work): its log lines carry the correlation id of
    ///   the attempt.
    /// - A future may wait for [`Work::stopped`], to end early if the lease is lost or the worker is stopping.
    /// - After the [grace period](Self::grace) the worker drops the futures that are still running, and releases their jobs.
    /// - A future must not block its thread. For blocking code, use `tokio::task::spawn_blocking`, or [`on`](Self::on)
    ///   together with [`run_handlers_async`](Self::run_handlers_async).
    ///
    /// To stop the worker gracefully, call [`stop`](Self::stop) and await the end. If the returned future is dropped before
    /// its end, or if the runtime shuts down, this run of the worker stops without a grace period. The futures of handlers
    /// are dropped at their next await point. Then the worker's threads release the jobs, and the attempts do not count.
    /// The drop does not wait for this. If the process ends before, the leases of its jobs expire as after a crash.
    ///
    /// The returned future borrows nothing, so it may be spawned. Nothing happens until it is polled.
    ///
    /// # Errors
    /// The errors of [`run`](Self::run). `Other` if the worker's threads cannot be started.
    ///
    /// # Panics
    /// If it is polled outside a tokio runtime.
    ///
    /// ```
    /// use std::time::Duration;
    /// use viraldb::AsyncDatabase;
    /// use viraldb::queue::{Claim, JobError, Worker};
    /// use viraldb::republishing::JobType;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> viraldb::Result<()> {
    /// let db = AsyncDatabase::open("sqlite::memory:").await?;
    /// let claim = Claim::new("worker-1").types([JobType::Download]);
    /// let worker = Worker::new(db.database(), claim).concurrency(1_000);
    /// # worker.stop().stop();
    /// let done = worker.run_async(|work| async move {
    ///     tokio::select! {
    ///         () = tokio::time::sleep(Duration::from_secs(10)) => println!("downloaded {}", work.video_id),
    ///         () = work.stopped() => return Err(JobError::Retry("stopped halfway".to_owned())),
    ///     }
    ///     Ok(())
    /// });
    /// println!("{} completed", done.await?.completed);
    /// # Ok(())
    /// # }
    /// ```
    pub fn run_async<H, F, E>(
        &self,
        handler: H,
    ) -> impl Future<Output = Result<Done>> + Send + 'static + use<H, F, E>
    where
        H: Fn(Arc<Work>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<JobError>,
    {
        let handler = move |work| -> JobFuture {
            let future = handler(work);
            Box::pin(async move { future.await.map_err(Into::into) })
        };
        self.run_tasks(Ok(self.claim.clone()), Handlers::all(Handler::Async(Arc::new(handler))))
    }

    /// Adds the handler for one type of job, as [`on`](Self::on) does, but one that returns a future. For
    /// [`run_handlers_async`](Self::run_handlers_async).
    ///
    /// ```
    /// use serde::Deserialize;
    /// use viraldb::AsyncDatabase;
    /// use viraldb::queue::{Claim, JobError, Worker};
    /// use viraldb::republishing::JobType;
    ///
    /// #[derive(Deserialize)]
    /// struct Download {
    ///     quality: String,
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> viraldb::Result<()> {
    /// let db = AsyncDatabase::open("sqlite::memory:").await?;
    /// let worker = Worker::new(db.database(), Claim::new("worker-1"));
    /// # worker.stop().stop();
    /// let videos = db.clone();
    /// worker
    ///     .on_async(JobType::Download, move |work, download: Download| {
    ///         let videos = videos.clone();
    ///         async move {
    ///             println!("downloading {} in {}", work.video_id, download.quality);
    ///             videos.ping().await // the async API of the database works in handlers
    ///         }
    ///     })
    ///     // A handler that blocks, for example one that runs ffmpeg.
    ///     .on(JobType::Transform, |work, _: Option<()>| {
    ///         println!("transforming {}", work.video_id);
    ///         Ok::<_, JobError>(())
    ///     })
    ///     .run_handlers_async()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn on_async<P, H, F, E>(mut self, job_type: JobType, handler: H) -> Self
    where
        P: DeserializeOwned,
        H: Fn(Arc<Work>, P) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<JobError>,
    {
        let handler = move |work: Arc<Work>| -> JobFuture {
            let future = work.payload().map(|payload| handler(work, payload));
            Box::pin(async move { future?.await.map_err(Into::into) })
        };
        self.handlers.add(job_type, Handler::Async(Arc::new(handler)));
        self
    }

    /// Runs the worker like [`run_async`](Self::run_async), with the handlers that [`on_async`](Self::on_async) and
    /// [`on`](Self::on) have added.
    ///
    /// The handlers of `on` run on tokio's blocking threads. They cannot be dropped: if the worker is dropped, it keeps
    /// their jobs until they return, at most for the [grace period](Self::grace).
    ///
    /// # Errors
    /// The errors of [`run_async`](Self::run_async), and `Invalid` if there is no handler, or none for a type of the claim.
    ///
    /// # Panics
    /// If it is polled outside a tokio runtime.
    pub fn run_handlers_async(&self) -> impl Future<Output = Result<Done>> + Send + 'static + use<> {
        self.run_tasks(self.handled_claim(), self.handlers.clone())
    }

    fn run_tasks(
        &self,
        claim: Result<Claim>,
        handlers: Handlers,
    ) -> impl Future<Output = Result<Done>> + Send + 'static + use<> {
        let worker = Self { stop: self.stop.of_one_run(), ..self.clone() };
        async move {
            let claim = claim?;
            let runtime = Runtime::new(Handle::current());
            let _run = Run { stop: worker.stop(), runtime: runtime.clone() };
            let (span, id) = (Span::current(), correlation::current());
            let (send, done) = oneshot::channel();
            let run = move || worker.run_with(claim, handlers, move |shared| shared.runtime = Some(runtime));
            let thread = thread::Builder::new()
                .spawn(move || {
                    // If nobody receives the result, the future was dropped.
                    let _ = send.send(span.in_scope(|| correlation::within(id, run)));
                })
                .map_err(Error::other)?;
            match done.await {
                Ok(done) => done,
                Err(error) => match thread.join() {
                    Err(panic) => resume_unwind(panic),
                    Ok(()) => Err(Error::other(error)),
                },
            }
        }
    }
}

/// A run of the worker, which stops when this is dropped.
struct Run {
    stop: Stop,
    runtime: Runtime,
}

impl Drop for Run {
    fn drop(&mut self) {
        self.stop.stop();
        self.runtime.abort();
    }
}
