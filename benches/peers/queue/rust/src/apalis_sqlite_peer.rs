//! apalis with apalis-sqlite.
//!
//! - The same settings as for PostgreSQL, except that SQLite's update hook wakes the worker.
//! - WAL and `synchronous = NORMAL` as in viraldb. apalis-sqlite itself sets `synchronous = OFF`, on one connection.
//! - One connection, because SQLite has one writer.
//!
//! With SQLite 3.51, apalis-sqlite 1.0.0 reads all jobs that the worker has finished when it stores results (index `LIdx`
//! on `lock_by`), so `work` gets slower with the number of jobs.

use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use apalis::prelude::*;
use apalis_sqlite::{Config, SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteStorage};
use futures::channel::mpsc::{UnboundedSender, unbounded};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteOperation;

use crate::measure::{Asked, Handler, Result, Rival, Worker};

pub const SETTINGS: &str =
    "batch_size 500, lock_tasks false, update hook, WAL, synchronous NORMAL, push_bulk 5000";

const QUEUE: &str = "bench";
const BATCH: u64 = 5_000;
const UNFINISHED: &str = "SELECT count(*) FROM Jobs WHERE status <> 'Done'";

#[derive(Serialize, Deserialize)]
struct Job {
    number: u64,
}

/// Wakes the current worker, if there is one.
type Waker = Arc<Mutex<Option<UnboundedSender<()>>>>;

pub struct Peer {
    pool: SqlitePool,
    producer: SqliteStorage<Job>,
    waker: Waker,
    hands: usize,
    workers: usize,
}

impl Peer {
    pub async fn open(asked: &Asked) -> Result<Self> {
        let waker = Waker::default();
        let path = asked.url.strip_prefix("sqlite://").unwrap_or(&asked.url);
        let options = SqliteConnectOptions::from_str(&format!("sqlite://{path}"))?.create_if_missing(true);
        let hook = waker.clone();
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .after_connect(move |conn, _| {
                let waker = hook.clone();
                Box::pin(async move {
                    conn.lock_handle().await?.set_update_hook(move |event| {
                        if event.operation == SqliteOperation::Insert && event.table == "Jobs" {
                            wake(&waker);
                        }
                    });
                    Ok(())
                })
            })
            .connect_with(options)
            .await?;
        SqliteStorage::setup(&pool).await?;
        sqlx::query("PRAGMA synchronous = NORMAL").execute(&pool).await?;
        let producer = storage(&pool);
        Ok(Self { pool, producer, waker, hands: asked.hands, workers: 0 })
    }
}

fn wake(waker: &Waker) {
    if let Ok(waker) = waker.lock()
        && let Some(waker) = waker.as_ref()
    {
        let _ = waker.unbounded_send(()); // fails only if the worker has stopped
    }
}

fn storage(pool: &SqlitePool) -> SqliteStorage<Job> {
    let config = Config::default().queue(QUEUE).batch_size(500).lock_tasks(false);
    SqliteStorage::new(pool).with_config(config)
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
        let (sender, inserts) = unbounded();
        *self.waker.lock().map_err(|_| "the update hook panicked")? = Some(sender);
        let strategy = Strategy::new().stream(inserts).interval(Duration::from_millis(100));
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
        for statement in ["ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)"] {
            sqlx::query(statement).execute(&self.pool).await?;
        }
        Ok(())
    }
}
