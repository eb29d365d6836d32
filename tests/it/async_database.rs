//! Tests of the async API.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use viraldb::compilation::DiscoveredVideo;
use viraldb::{
    AsyncDatabase, CorrelationId, Database, DbConnection, Error, Options, Result, correlation, log_error,
};

use crate::make;
use crate::support::{Scratch, both};

const CONNECTIONS: u32 = 3;
const SOON: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(30);

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn multi_thread() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Runs `body` on both kinds of runtime, on a database with few connections. Afterward checks that no
/// connection was lost and no transaction is open.
fn on_runtimes(t: &Scratch, body: impl AsyncFn(AsyncDatabase)) {
    drop(t.db());
    for runtime in [current_thread(), multi_thread()] {
        let options = Options { connections: CONNECTIONS, ..Options::default() };
        let db = Database::connect_with(&t.url, &options).unwrap();
        db.write(|c| make::execute(c, "DELETE FROM discovered_videos")).unwrap();
        runtime.block_on(async {
            let db = AsyncDatabase::from(db.clone());
            body(db.clone()).await;
            all_connections_work(&db).await;
        });
        assert_no_transaction_is_open(t, &db);
    }
}

/// Checks that all connections work: as many reads as there are connections wait for each other at a barrier,
/// and then as many writes as may run concurrently.
async fn all_connections_work(db: &AsyncDatabase) {
    for writes in [false, true] {
        let is_sqlite = !db.database().url().to_string().starts_with("postgres");
        let count = if writes && is_sqlite { 1 } else { CONNECTIONS as usize };
        let barrier = Arc::new(Barrier::new(count));
        let tasks: Vec<_> = (0..count)
            .map(|_| {
                let barrier = Arc::clone(&barrier);
                let work = move |c: &mut DbConnection| {
                    barrier.wait();
                    Ok(make::query(c, "SELECT '1' AS v"))
                };
                if writes { tokio::spawn(db.write(work)) } else { tokio::spawn(db.read(work)) }
            })
            .collect();
        for task in tasks {
            assert_eq!(timeout(LONG, task).await.unwrap().unwrap().unwrap(), ["1"]);
        }
    }
}

/// Asserts that no transaction is open. SQLite: another connection gets the write lock at once. PostgreSQL:
/// no session is idle in a transaction.
fn assert_no_transaction_is_open(t: &Scratch, db: &Database) {
    if t.is_postgres {
        let idle = "SELECT count(*)::text AS v FROM pg_stat_activity \
                    WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
        assert_eq!(db.read(|c| Ok(make::query(c, idle))).unwrap(), ["0"]);
    } else {
        let options = Options { busy_timeout: Duration::from_millis(1), ..Options::default() };
        Database::connect_with(&t.url, &options).unwrap().write(|_| Ok(())).unwrap();
    }
}

fn insert(c: &mut DbConnection) -> Result<String> {
    Ok(make::discovered_video().insert(c)?.video_id)
}

fn count(c: &mut DbConnection) -> Result<usize> {
    Ok(make::query(c, "SELECT video_id AS v FROM discovered_videos").len())
}

/// Returns a write and its two channel ends. The write inserts a row, reports that it has begun, waits for
/// permission and inserts another row.
fn held_write(
    result: Result<()>,
) -> (impl FnOnce(&mut DbConnection) -> Result<()> + Send + 'static, Receiver<()>, Sender<()>) {
    let (begun, has_begun) = channel();
    let (go_on, may_go_on) = channel();
    let work = move |c: &mut DbConnection| {
        insert(c)?;
        begun.send(()).unwrap();
        may_go_on.recv_timeout(LONG).unwrap();
        insert(c)?;
        result
    };
    (work, has_begun, go_on)
}

/// Waits for a message without blocking the runtime.
async fn wait(receiver: Receiver<()>) {
    tokio::task::spawn_blocking(move || receiver.recv_timeout(LONG).unwrap()).await.unwrap();
}

/// Counts the closures that run now, and the maximum that ran concurrently.
#[derive(Default)]
struct Gauge {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Gauge {
    fn hold<T>(&self, work: impl FnOnce() -> T) -> T {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(2));
        let result = work();
        self.now.fetch_sub(1, Ordering::SeqCst);
        result
    }
}

both! {
    fn many_tasks_share_few_connections(t) {
        on_runtimes(t, async |db| {
            let (reads, writes) = (Arc::new(Gauge::default()), Arc::new(Gauge::default()));
            let tasks: Vec<_> = (0..60)
                .map(|_| {
                    let (db, reads, writes) = (db.clone(), Arc::clone(&reads), Arc::clone(&writes));
                    tokio::spawn(async move {
                        let id = db.write(move |c| writes.hold(|| insert(c))).await?;
                        let found = id.clone();
                        let video = db.read(move |c| reads.hold(|| DiscoveredVideo::find_by_video_id(c, &found))).await?;
                        assert_eq!(video.video_id, id);
                        db.run(|db| db.read(count)).await
                    })
                })
                .collect();
            for task in tasks {
                assert!(timeout(LONG, task).await.unwrap().unwrap().unwrap() > 0);
            }
            assert_eq!(db.read(count).await.unwrap(), 60);
            let most = |gauge: &Gauge| gauge.most.load(Ordering::SeqCst) as u32;
            assert!(most(&reads) <= CONNECTIONS, "{}", most(&reads));
            assert!(most(&writes) <= if t.is_postgres { CONNECTIONS } else { 1 }, "{}", most(&writes));
        });
    }

    fn a_write_dropped_before_its_turn_never_starts(t) {
        on_runtimes(t, async |db| {
            let mut held = Vec::new();
            for _ in 0..if t.is_postgres { CONNECTIONS } else { 1 } {
                let (work, has_begun, go_on) = held_write(Ok(()));
                held.push((tokio::spawn(db.write(work)), go_on));
                wait(has_begun).await;
            }
            let started = Arc::new(AtomicBool::new(false));
            for _ in 0..10 {
                let started = Arc::clone(&started);
                let dropped = timeout(SOON, db.write(move |c| {
                    started.store(true, Ordering::SeqCst);
                    insert(c)
                }));
                assert!(dropped.await.is_err());
            }
            let rows = 2 * held.len();
            for (task, go_on) in held {
                go_on.send(()).unwrap();
                task.await.unwrap().unwrap();
            }
            assert_eq!(db.read(count).await.unwrap(), rows);
            assert!(!started.load(Ordering::SeqCst));
        });
    }

    fn a_write_dropped_in_the_middle_runs_to_its_end(t) {
        on_runtimes(t, async |db| {
            for (result, rows) in [(Err(Error::invalid("this", "is enough")), 0), (Ok(()), 2)] {
                let (work, has_begun, go_on) = held_write(result);
                let task = tokio::spawn(db.write(work));
                wait(has_begun).await;
                task.abort();
                assert!(task.await.unwrap_err().is_cancelled());
                go_on.send(()).unwrap();
                all_connections_work(&db).await;
                assert_eq!(db.read(count).await.unwrap(), rows);
            }
        });
    }

    fn dropped_future_keeps_its_slot_until_its_closure_ends(t) {
        on_runtimes(t, async |db| {
            let mut ends = Vec::new();
            for _ in 0..CONNECTIONS {
                let ((begun, has_begun), (go_on, may_go_on)) = (channel(), channel::<()>());
                let task = tokio::spawn(db.run(move |_| {
                    begun.send(()).unwrap();
                    may_go_on.recv_timeout(LONG).unwrap();
                    Ok(())
                }));
                wait(has_begun).await;
                task.abort();
                assert!(task.await.unwrap_err().is_cancelled());
                ends.push(go_on);
            }
            let next = tokio::spawn(db.run(|_| Ok(())));
            tokio::time::sleep(SOON).await;
            assert!(!next.is_finished());
            ends.remove(0).send(()).unwrap();
            timeout(LONG, next).await.unwrap().unwrap().unwrap();
            ends.iter().for_each(|end| end.send(()).unwrap());
        });
    }

    fn a_write_outlives_its_runtime(t) {
        drop(t.db());
        for (round, runtime) in [current_thread(), multi_thread()].into_iter().enumerate() {
            let db = AsyncDatabase::from(Database::connect(&t.url).unwrap());
            let (work, has_begun, go_on) = held_write(Ok(()));
            let write = db.write(work);
            let task = runtime.spawn(write);
            runtime.block_on(wait(has_begun));
            drop(task);
            let ended = std::thread::spawn(move || drop(runtime));
            std::thread::sleep(SOON);
            go_on.send(()).unwrap();
            ended.join().unwrap();
            assert_eq!(db.database().read(count).unwrap(), 2 * (round + 1));
            assert_no_transaction_is_open(t, db.database());
        }
    }

    fn an_error_rolls_back_and_reaches_the_caller(t) {
        on_runtimes(t, async |db| {
            let result = db.write(|c| {
                let id = insert(c)?;
                DiscoveredVideo::find_by_video_id(c, &format!("not {id}"))
            });
            assert!(matches!(result.await, Err(Error::NotFound { table: "discovered_videos", .. })));
            let own = db.write(|c| {
                insert(c)?;
                Err::<(), _>(Error::Other("mine".into()))
            });
            assert_eq!(own.await.unwrap_err().to_string(), "mine");
            assert_eq!(db.read(count).await.unwrap(), 0);
            assert!(matches!(db.read(insert).await, Err(Error::Unusable { .. })));
        });
    }

    fn panic_propagates_to_the_caller(t) {
        on_runtimes(t, async |db| {
            for _ in 0..=CONNECTIONS {
                let write = tokio::spawn(db.write(|c| -> Result<()> {
                    insert(c)?;
                    panic!("in a write");
                }));
                let read = tokio::spawn(db.read(|c| -> Result<()> {
                    count(c)?;
                    panic!("in a read");
                }));
                for (task, said) in [(write, "in a write"), (read, "in a read")] {
                    let panic = task.await.unwrap_err().into_panic();
                    assert_eq!(panic.downcast_ref::<&str>(), Some(&said));
                }
            }
            assert_eq!(db.read(count).await.unwrap(), 0);
        });
    }

    fn correlation_id_and_tracing_span_reach_the_closure(t) {
        on_runtimes(t, async |db| {
            let outer = CorrelationId::default();
            let kept = correlation::async_unit_of_work("outer", outer, async {
                tokio::task::yield_now().await;
                let error = db.write(|c| log_error(c, "cut", "Timeout", "late", None, None)).await.unwrap();
                let inner = CorrelationId::default();
                // The closure uses the unit of work in which the future was created.
                let read = correlation::unit_of_work("inner", inner, || db.read(|_| Ok(correlation::current())));
                assert_eq!(read.await.unwrap(), Some(inner));
                assert_eq!(correlation::current(), Some(outer));
                error.correlation_id
            });
            assert_eq!(kept.await, Some(outer));
            assert_eq!((correlation::current(), db.read(|_| Ok(correlation::current())).await.unwrap()), (None, None));

            let here = std::thread::current().id();
            let entered = Entered::default();
            let there = tracing::subscriber::with_default(tracing_subscriber::registry().with(entered.clone()), || {
                tracing::info_span!("request").in_scope(|| db.run(|_| Ok(std::thread::current().id())))
            });
            let before = entered.0.load(Ordering::SeqCst);
            assert_ne!(there.await.unwrap(), here);
            assert_eq!(entered.0.load(Ordering::SeqCst), before + 1);
        });
    }

    fn every_open_function_works(t) {
        current_thread().block_on(async {
            assert!(matches!(AsyncDatabase::connect(&t.url).await, Err(Error::NotInitialised(_) | Error::UnsupportedUrl { .. })));
            let db = AsyncDatabase::open(&t.url).await.unwrap();
            db.write(insert).await.unwrap();
            let options = Options { connections: 1, ..Options::default() };
            let one = AsyncDatabase::connect_with(&t.url, &options).await.unwrap();
            assert_eq!(one.read(count).await.unwrap(), 1);
            assert_eq!(AsyncDatabase::open_with(&t.url, &options).await.unwrap().run(|db| db.read(count)).await.unwrap(), 1);
        });
    }
}

/// Readers continue while one writer is busy and many wait for it, in `write` and in `run`.
#[cfg(feature = "sqlite")]
#[test]
fn waiting_writers_do_not_starve_readers() {
    let t = Scratch::sqlite();
    on_runtimes(&t, async |db| {
        let (work, has_begun, go_on) = held_write(Ok(()));
        let mut writers = vec![tokio::spawn(db.write(work))];
        wait(has_begun).await;
        for _ in 0..4 * CONNECTIONS {
            writers.push(tokio::spawn(db.write(|c| insert(c).map(drop))));
            writers.push(tokio::spawn(db.run(|db| db.write(|c| insert(c).map(drop)))));
        }
        tokio::time::sleep(SOON).await;
        let readers: Vec<_> = (0..4 * CONNECTIONS).map(|_| tokio::spawn(db.read(count))).collect();
        for reader in readers {
            assert_eq!(timeout(LONG, reader).await.unwrap().unwrap().unwrap(), 0, "nothing is committed yet");
        }
        go_on.send(()).unwrap();
        for writer in writers {
            timeout(LONG, writer).await.unwrap().unwrap().unwrap();
        }
        assert_eq!(db.read(count).await.unwrap(), 2 + 8 * CONNECTIONS as usize);
    });
}

/// Counts how often spans were entered.
#[derive(Clone, Default)]
struct Entered(Arc<AtomicU64>);

impl<S: tracing::Subscriber> Layer<S> for Entered {
    fn on_enter(&self, _: &tracing::span::Id, _: Context<'_, S>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
