//! A worker that runs up to 200 futures concurrently until Ctrl-C or SIGTERM:
//! `cargo run --example async_worker --features async -- URL NAME`

use std::sync::Arc;
use std::time::Duration;

use viraldb::queue::{Claim, JobError, Work, Worker};
use viraldb::republishing::JobType;
use viraldb::{AsyncDatabase, Error, Result};

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut args = std::env::args().skip(1);
    let (Some(url), Some(name)) = (args.next(), args.next()) else {
        return Err(Error::invalid("", "usage: async_worker URL NAME"));
    };

    let db = AsyncDatabase::connect(&url).await?;
    let claim = Claim::new(name).lease(Duration::from_secs(60));
    let worker = Worker::new(db.database(), claim).concurrency(200);
    worker.stop().on_signals()?;
    let done = worker
        .on_async(JobType::Download, |work, _: Option<()>| download(work))
        // Code that blocks runs on another thread.
        .on(JobType::Transform, |work, _: Option<()>| {
            tracing::info!("transforming {}", work.video_id);
            std::thread::sleep(Duration::from_secs(1));
            Ok::<_, JobError>(())
        })
        .run_handlers_async()
        .await?;
    tracing::info!("{done:?}");
    Ok(())
}

/// Waits ten seconds, as if for a server. Returning an error after `stopped` releases the job.
async fn download(work: Arc<Work>) -> std::result::Result<(), JobError> {
    tokio::select! {
        () = tokio::time::sleep(Duration::from_secs(10)) => Ok(()),
        () = work.stopped() => Err("stopped halfway".into()),
    }
}
