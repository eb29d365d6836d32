//! A worker that pretends to work: `cargo run --example worker -- URL NAME LEASE_MS WORK_MS`.
//!
//! SIGTERM and Ctrl-C let the jobs in hand finish. What it does is on stderr.

use std::time::Duration;

use viraldb::queue::{Claim, Worker};
use viraldb::{Database, Error, Result};

fn main() -> Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, name, lease, work] = args.as_slice() else {
        return Err(Error::invalid("arguments", "are URL NAME LEASE_MS WORK_MS"));
    };
    let milliseconds = |text: &str| match text.parse() {
        Ok(number) => Ok(Duration::from_millis(number)),
        Err(error) => Err(Error::invalid(text, format!("is no number of milliseconds: {error}"))),
    };
    let (lease, work) = (milliseconds(lease)?, milliseconds(work)?);

    let db = Database::connect(url)?;
    let worker = Worker::new(&db, Claim::new(name).lease(lease)).concurrency(4);
    worker.stop().on_signals()?;
    let done = worker.run(move |job| {
        let parts = 10;
        for _ in 0..parts {
            if job.should_stop() {
                return Err("stopped halfway");
            }
            std::thread::sleep(work / parts);
        }
        Ok(())
    })?;
    tracing::info!("{done:?}");
    Ok(())
}
