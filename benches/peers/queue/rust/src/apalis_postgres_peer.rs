//! apalis with apalis-postgres.
//!
//! - One worker fetches 500 jobs, as many as graphile-worker's local queue, and writes results in batches.
//! - It does not mark a job as running before it calls the handler (`lock_tasks(false)`). This saves an update for each
//!   job, and a fetched job is locked for the worker anyway.
//! - LISTEN/NOTIFY wakes the worker.
//! - HANDS limits the number of jobs that run concurrently.

use std::time::Duration;

use apalis::prelude::*;
use apalis_postgres::{Config, PgPool, PostgresStorage, Pubsub};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPoolOptions;

use crate::measure::{Asked, Handler, Result, Rival, Worker};

pub const SETTINGS: &str = "batch_size 500, lock_tasks false, LISTEN/NOTIFY, push_bulk 5000";

const QUEUE: &str = "bench";
const BATCH: u64 = 5_000;
const UNFINISHED: &str = "SELECT count(*) FROM apalis.jobs WHERE status <> 'Done'";

#[derive(Serialize, Deserialize)]
struct Job {
    number: u64,
}

pub struct Peer {
    pool: PgPool,
    producer: PostgresStorage<Job>,
    hands: usize,
    workers: usize,
}

impl Peer {
    pub async fn open(asked: &Asked) -> Result<Self> {
        let pool = PgPoolOptions::new().max_connections(10).connect(&asked.url).await?;
        PostgresStorage::setup(&pool).await?;
        let producer = storage(&pool);
        Ok(Self { pool, producer, hands: asked.hands, workers: 0 })
    }
}

fn storage(pool: &PgPool) -> PostgresStorage<Job> {
    let config = Config::default().queue(QUEUE).batch_size(500).lock_tasks(false);
    PostgresStorage::new(pool).with_config(config)
}

async fn run(job: Job, handler: Data<Handler>) -> std::result::Result<(), BoxDynError> {
    handler.run(job.number);
    Ok(())
}

impl Rival for Peer {
    async fn enqueue_many(&mut self, from: u64, count: u64) -> Result<()> {
        let end = from + count;
        let mut start = from;
        while start < end {
            let last = (start + BATCH).min(end);
            self.producer.push_bulk((start..last).map(|number| Job { number }).collect()).await?;
            start = last;
        }
        Ok(())
    }

    async fn enqueue_one(&mut self, number: u64) -> Result<()> {
        Ok(self.producer.push(Job { number }).await?)
    }

    async fn start(&mut self, handler: Handler) -> Result<Worker> {
        self.workers += 1;
        let pubsub = Pubsub::new(self.pool.clone(), QUEUE.to_owned());
        let strategy = Strategy::new().stream(pubsub).interval(Duration::from_millis(100));
        let context = WorkerContext::new(&format!("worker-{}", self.workers));
        let worker = WorkerBuilder::new(&context)
            .backend(storage(&self.pool).poll_with_strategy(strategy))
            .data(handler)
            .concurrency(self.hands)
            .build(run);
        let task = tokio::spawn(async move {
            if let Err(error) = worker.run().await {
                eprintln!("error: {error}");
            }
        });
        let stop = move || {
            let _ = context.stop(); // fails only if the worker has stopped already
        };
        Ok(Worker { stop: Box::new(stop), task })
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
