//! A worker that processes download jobs until Ctrl-C or SIGTERM: `cargo run --example worker -- URL NAME`

use std::time::Duration;

use viraldb::queue::{Claim, Worker};
use viraldb::republishing::JobType;
use viraldb::{Database, Error, Result};

fn main() -> Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut args = std::env::args().skip(1);
    let (Some(url), Some(name)) = (args.next(), args.next()) else {
        return Err(Error::invalid("", "usage: worker URL NAME"));
    };

    let db = Database::connect(&url)?;
    let worker = Worker::new(&db, Claim::new(name).types([JobType::Download]).lease(Duration::from_secs(60)));
    let worker = worker.concurrency(4);
    worker.stop().on_signals()?;
    let done = worker.run(|job| {
        // The work, which takes ten seconds in this example. Returning an error after `should_stop` releases the job.
        for _ in 0..100 {
            if job.should_stop() {
                return Err("stopped halfway");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    })?;
    tracing::info!("{done:?}");
    Ok(())
}
