//! graphile_worker, the Rust version of graphile-worker.
//!
//! - The settings of its own benchmark (benches/perf_test.rs), except that HANDS limits the number of jobs that run
//!   concurrently: a local queue of 5,000 jobs, and completions in batches with a delay of 5 ms.
//! - LISTEN/NOTIFY wakes the worker (the default).

use std::sync::Arc;
use std::time::Duration;

use graphile_worker::{
    IntoTaskHandlerResult, JobSpec, LocalQueueConfig, RawJobSpec, TaskHandler, WorkerContext, WorkerOptions,
    WorkerUtils,
};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::measure::{Asked, Handler, Result, Rival, Worker};

pub const SETTINGS: &str =
    "local queue 5000, completions in batches after 5 ms, LISTEN/NOTIFY, add_raw_jobs 5000";

const SCHEMA: &str = "graphile_worker";
const BATCH: u64 = 5_000;
const UNFINISHED: &str = "SELECT count(*) FROM graphile_worker._private_jobs";

#[derive(Serialize, Deserialize)]
struct Job {
    number: u64,
}

impl TaskHandler for Job {
    const IDENTIFIER: &'static str = "bench";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        if let Some(handler) = context.get_ext::<Handler>() {
            handler.run(self.number);
        }
        Ok::<(), String>(())
    }
}

pub struct Peer {
    pool: PgPool,
    producer: WorkerUtils,
    hands: usize,
}

impl Peer {
    pub async fn open(asked: &Asked) -> Result<Self> {
        let pool = PgPoolOptions::new().max_connections(asked.hands as u32 + 4).connect(&asked.url).await?;
        let producer = WorkerUtils::new(pool.clone(), SCHEMA);
        producer.migrate().await?;
        Ok(Self { pool, producer, hands: asked.hands })
    }
}

impl Rival for Peer {
    async fn enqueue_many(&mut self, from: u64, count: u64) -> Result<()> {
        let end = from + count;
        let mut start = from;
        while start < end {
            let last = (start + BATCH).min(end);
            let jobs: Vec<RawJobSpec> = (start..last)
                .map(|number| RawJobSpec {
                    identifier: Job::IDENTIFIER.to_owned(),
                    payload: serde_json::json!({ "number": number }),
                    spec: JobSpec::default(),
                })
                .collect();
            self.producer.add_raw_jobs(&jobs).await?;
            start = last;
        }
        Ok(())
    }

    async fn enqueue_one(&mut self, number: u64) -> Result<()> {
        self.producer.add_job(Job { number }, JobSpec::default()).await?;
        Ok(())
    }

    async fn start(&mut self, handler: Handler) -> Result<Worker> {
        let worker = WorkerOptions::default()
            .pg_pool(self.pool.clone())
            .schema(SCHEMA)
            .concurrency(self.hands)
            .local_queue(LocalQueueConfig::default().with_size(5_000))
            .complete_job_batch_delay(Duration::from_millis(5))
            .listen_os_shutdown_signals(false)
            .add_extension(handler)
            .define_job::<Job>()
            .init()
            .await?;
        let worker = Arc::new(worker);
        let running = worker.clone();
        let task = tokio::spawn(async move {
            if let Err(error) = running.run().await {
                eprintln!("error: {error}");
            }
        });
        Ok(Worker { stop: Box::new(move || worker.request_shutdown()), task })
    }

    async fn unfinished(&mut self) -> Result<u64> {
        let count: i64 = sqlx::query_scalar(UNFINISHED).fetch_one(&self.pool).await?;
        Ok(count.try_into()?)
    }

    async fn settle(&mut self) -> Result<()> {
        for statement in ["VACUUM ANALYZE", "CHECKPOINT"] {
            sqlx::query(statement).execute(&self.pool).await?;
        }
        Ok(())
    }
}
