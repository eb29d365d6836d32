//! Tests through PgBouncer in transaction mode, where each transaction gets any free session of the server.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use viraldb::compilation::*;
use viraldb::config::{Config, Scope};
use viraldb::db::migrate::{self, Verdict};
use viraldb::diesel::pg::PgConnection;
use viraldb::diesel::prelude::*;
use viraldb::ops::{Destination, Export, Part, Prune, export, prune};
use viraldb::queue::{self, Claim, Worker};
use viraldb::republishing::{JobStatus, JobType, NewVideoProcessingJob};
use viraldb::schema::{discovered_videos, video_processing_jobs};
use viraldb::secrets::{self, Key, Keyring, Place};
use viraldb::{Database, DbConnection, Error, Options, ingest};

use crate::make;
use crate::support::pooler::{Pooler, SESSIONS};
use crate::support::server::Server;
use crate::support::{Ran, viraldb, wait_until};

/// More clients than the pooler has sessions, so that they constantly change sessions.
const CLIENTS: usize = 8;

/// Settings that PgBouncer keeps for each client and restores when the client gets another session.
const KEPT: [&str; 5] =
    ["application_name", "client_encoding", "DateStyle", "TimeZone", "standard_conforming_strings"];

/// A database and the URLs that lead to it.
struct Pooled {
    /// Through the pooler.
    url: String,
    /// Through the pooler, but without `pgbouncer=true`.
    untold: String,
    /// Directly to the server.
    direct: String,
}

impl Pooled {
    /// Creates an empty database on the server that these tests share.
    fn new(name: &str) -> Self {
        static SERVER: OnceLock<(Server, Pooler)> = OnceLock::new();
        let (server, pooler) = SERVER.get_or_init(|| {
            let server = Server::own(&["fsync=off"]);
            let pooler = Pooler::before(&server);
            (server, pooler)
        });
        let direct = server.create_database(name, "template0");
        Self { url: pooler.url(name), untold: pooler.untold(name), direct }
    }

    fn open(&self) -> Database {
        Database::open(&self.url).unwrap()
    }

    fn run(&self, folder: &Path, args: &[&str]) -> Ran {
        let mut command = viraldb(folder, args);
        command.env("DATABASE_URL", &self.url).env("VIRALDB_KEY_FILE", folder.join("keys"));
        command.output().unwrap().into()
    }

    /// Opens a connection that bypasses the pooler.
    fn past(&self) -> DbConnection {
        DbConnection::Postgres(PgConnection::establish(&self.direct).unwrap())
    }

    /// Checks that no session of the pooler keeps anything of its clients. Returns the process ids of the
    /// sessions.
    fn clean_sessions(&self) -> BTreeSet<String> {
        let db = Database::connect(&self.url).unwrap();
        let mut held: Vec<_> = (0..SESSIONS).map(|_| db.session().unwrap()).collect();
        held.iter_mut().for_each(|c| make::execute(c, "BEGIN").unwrap()); // each then holds its own session
        let mut pids = BTreeSet::new();
        for c in &mut held {
            pids.extend(make::query(c, "SELECT pg_backend_pid()::text AS v"));
            let set = make::query(c, "SELECT name AS v FROM pg_settings WHERE source = 'session'");
            let left: Vec<_> = set.iter().filter(|name| !KEPT.contains(&name.as_str())).collect();
            assert_eq!(left, Vec::<&String>::new(), "settings");
            for (what, query) in [
                ("prepared statements", "SELECT statement AS v FROM pg_prepared_statements"),
                ("channels", "SELECT pg_listening_channels() AS v"),
                ("cursors", "SELECT name AS v FROM pg_cursors WHERE is_holdable"),
                (
                    "temporary tables",
                    "SELECT nspname::text AS v FROM pg_namespace WHERE oid = pg_my_temp_schema()",
                ),
                (
                    "locks",
                    "SELECT mode AS v FROM pg_locks WHERE locktype = 'advisory' AND database = \
                     (SELECT oid FROM pg_database WHERE datname = current_database())",
                ),
            ] {
                assert_eq!(make::query(c, query), Vec::<String>::new(), "{what}");
            }
        }
        held.iter_mut().for_each(|c| make::execute(c, "ROLLBACK").unwrap());
        assert_eq!(pids.len(), SESSIONS, "each client looked into a different session");
        let of_pooler = "SELECT pid::text AS v FROM pg_stat_activity WHERE datname = current_database() \
                         AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
        let mut server = self.past();
        // A session that was just closed may remain visible for a short time.
        wait_until("the server has no other sessions", || {
            make::query(&mut server, of_pooler).into_iter().collect::<BTreeSet<_>>() == pids
        });
        pids
    }
}

/// Runs `work` on many threads concurrently, each with its own database.
fn at_once(url: &str, work: impl Fn(usize, &Database) + Sync) {
    std::thread::scope(|scope| {
        for n in 0..CLIENTS {
            let work = &work;
            scope.spawn(move || work(n, &Database::connect(url).unwrap()));
        }
    });
}

fn count(c: &mut DbConnection, table: &str) -> u64 {
    make::query(c, &format!("SELECT count(*)::text AS v FROM {table}"))[0].parse().unwrap()
}

#[test]
fn everything_works_and_leaves_nothing_in_the_sessions() {
    let t = Pooled::new("everything");
    let db = t.open();
    let before = t.clean_sessions();

    // The rows of every table, through the models and through plain SQL.
    db.write(|c| make::seed(c).and_then(|()| make::link(c))).unwrap();
    // Unencrypted secrets are not exported, so clear this one.
    db.write(|c| make::execute(c, "UPDATE channels SET api_credentials_encrypted = ''")).unwrap();
    let tables: Vec<&str> = make::contract().iter().map(|table| table.table).collect();
    for table in &tables {
        assert_eq!(db.read(|c| Ok(make::rows(c, table).len())).unwrap(), 1, "{table}");
    }
    let how = |table: &str| Export { tables: vec![table.to_owned()], ..Default::default() };
    for table in &tables {
        let mut out = Vec::new();
        export(&db, &how(table), Destination::Stream(&mut out), &mut |_, _| ()).unwrap();
        let options =
            ingest::Options { format: Some(ingest::Format::Jsonl), table: Some(table), ..Default::default() };
        let read =
            ingest::ingest(&db, "rows", &*out, &options, &mut |row| panic!("{table}: {row:?}")).unwrap();
        assert_eq!((read.new, read.rejected), (0, 0), "{table}");
    }

    // Statements outside a transaction: each may run in another session.
    at_once(&t.url, |n, db| {
        let mut session = db.session().unwrap();
        for round in 0..50 {
            let id = format!("s{n}-{round}");
            let video = NewDiscoveredVideo { video_id: id.as_str().into(), ..make::discovered_video() };
            assert_eq!(video.insert(&mut session).unwrap().video_id, id);
            let found = DiscoveredVideo::find_by_video_id(&mut session, &id).unwrap();
            assert_eq!(DiscoveredVideo::mark(&mut session, &id, Processed::Used).unwrap().id, found.id);
            let error = viraldb::log_error(&mut session, "cut", "Timeout", &id, None, None).unwrap();
            assert_eq!(error.error_message, id);
        }
    });
    // Transactions, batches with COPY, and plain Diesel statements.
    at_once(&t.url, |n, db| {
        for round in 0..10 {
            let ids: Vec<String> = (0..40).map(|k| format!("w{round}-{}", (k + n * 20) % 100)).collect();
            let rows: Vec<_> = ids
                .iter()
                .map(|id| NewDiscoveredVideo {
                    video_id: id.into(),
                    view_count: Some(n as i64),
                    ..make::discovered_video()
                })
                .collect();
            let done = db.write(|c| NewDiscoveredVideo::insert_or_update_many(c, &rows)).unwrap();
            assert_eq!(done.new + done.updated + done.unchanged, rows.len());
            let samples: Vec<_> = (0..100).map(|_| make::analytics()).collect();
            assert_eq!(db.write(|c| NewAnalytics::insert_many(c, &samples)).unwrap(), 100);
            let mine = db.read(|c| {
                Ok(discovered_videos::table
                    .filter(discovered_videos::video_id.eq_any(&ids))
                    .select(discovered_videos::video_id)
                    .load::<String>(c)?)
            });
            assert_eq!(mine.unwrap().len(), 40);
        }
    });
    assert_eq!(db.read(|c| Ok(count(c, "discovered_videos"))).unwrap(), 1 + 50 * CLIENTS as u64 + 100 * 10);

    secrets_and_settings(&t, &db);
    operator_commands(&t, &db);
    assert_eq!(t.clean_sessions(), before, "the pooler still uses the same sessions");
}

fn secrets_and_settings(t: &Pooled, db: &Database) {
    let (old, new) = (Key::generate().unwrap(), Key::generate().unwrap());
    let again = |key: &Key| key.to_text().reveal().parse::<Key>().unwrap();
    let (before, after) = (Keyring::new([again(&old)]), Keyring::new([again(&new), again(&old)]));
    at_once(&t.url, |n, db| {
        for round in 0..5 {
            let place = Place::Setting(format!("secret{n}-{round}"));
            db.write(|c| secrets::set(c, &before, &place, &"told".to_owned().into())).unwrap();
            assert_eq!(db.read(|c| secrets::get(c, &before, &place)).unwrap().reveal(), "told");
        }
    });
    let done = secrets::rotate(db, &after, 7, &mut |_| ()).unwrap();
    assert_eq!((done.resealed, done.failed, done.left), (5 * CLIENTS as u64, 0, 0));

    // Notifications do not arrive through the pooler, but changes by others are still noticed.
    let (mine, theirs) = (Config::open(db).unwrap(), Config::open(&t.open()).unwrap());
    for value in 11..14 {
        theirs.set(Scope::Override, "max_concurrent_jobs", &value.into(), "me").unwrap();
        assert_eq!(theirs.get::<u32>("max_concurrent_jobs").unwrap(), value);
        let took = wait_until("change seen", || mine.get::<u32>("max_concurrent_jobs").unwrap() == value);
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
}

fn operator_commands(t: &Pooled, db: &Database) {
    let now = viraldb::Timestamp::now();
    let old = "INSERT INTO error_log (module, error_type, error_message, resolved, occurred_at) \
               SELECT 'a', 'b', 'c', true, now() - interval '1 year' FROM generate_series(1, 300)";
    db.write(|c| make::execute(c, old)).unwrap();
    let how = Prune {
        parts: vec![Part::Errors],
        errors_before: now,
        ..Prune::new(&Config::open(db).unwrap()).unwrap()
    };
    assert!(prune(db, &how, &mut |_| Ok(())).unwrap().rows() >= 300);

    let folder = tempfile::tempdir().unwrap();
    for (args, code) in [
        (&["secrets", "keygen", "--out", "keys"][..], 0),
        (&["init", "--sample"], 0),
        (&["migrate", "check"], 0),
        (&["status", "--sizes"], 0),
        (&["videos", "pending", "gaming", "--limit", "3"], 0),
        (&["runs", "start", "gaming"], 0),
        (&["jobs", "claim", "--worker", "w"], 0),
        (&["jobs", "rescue"], 0),
        (&["jobs", "stats"], 0),
        (&["config", "list"], 0),
        (&["config", "unset", "max_concurrent_jobs", "--override"], 0),
        (&["secrets", "status"], 0),
        (&["export", "--all", "--to", "rows/"], 0),
        (&["ingest", "rows/clips.jsonl", "--as", "jsonl", "--table", "clips"], 0),
        (&["prune"], 0),
        (&["optimize"], 0),
        (&["optimize", "--vacuum"], 0),
        (&["errors", "list"], 0),
        // The secrets were encrypted with other keys, so only the full `doctor` reports errors.
        (
            &[
                "doctor",
                "--deep",
                "--only",
                "integrity,foreign_keys,history,drift,sequences,statistics,backups",
            ],
            0,
        ),
        (&["doctor"], 4),
    ] {
        let ran = t.run(folder.path(), args);
        assert_eq!(ran.code, code, "{args:?}: {}{}", ran.out, ran.err);
        assert!(!ran.out.contains("could not be checked"), "{}", ran.out);
    }
    // A finding whose fix runs outside a transaction.
    db.write(|c| make::execute(c, "DROP INDEX idx_clips_pipeline")).unwrap();
    let ran = t.run(folder.path(), &["doctor", "--only", "drift", "--fix"]);
    assert!(ran.code == 0 && ran.out.contains("mended"), "{}{}", ran.out, ran.err);
}

#[test]
fn jobs_are_done_once_and_idle_workers_find_new_ones() {
    const JOBS: usize = 60;
    let t = Pooled::new("jobs");
    let db = t.open();
    let lease = Duration::from_secs(3);
    let enqueue = |jobs: usize| {
        db.write(|c| {
            let video = make::video(c).insert(c)?;
            let rows: Vec<_> = (0..jobs)
                .map(|_| NewVideoProcessingJob::new(video.id, video.channel_id, JobType::Download))
                .collect();
            queue::enqueue_many(c, &rows)
        })
        .unwrap();
    };
    let begun = || {
        let begun = db.read(|c| {
            let jobs =
                video_processing_jobs::table.filter(video_processing_jobs::status.ne(JobStatus::Queued));
            Ok(jobs.count().get_result::<i64>(c)?)
        });
        begun.unwrap() as usize
    };
    let completed = || {
        let done = db.read(|c| {
            Ok(video_processing_jobs::table
                .filter(video_processing_jobs::status.eq(JobStatus::Completed))
                .filter(video_processing_jobs::attempts.eq(1))
                .count()
                .get_result::<i64>(c)?)
        });
        done.unwrap() as usize
    };
    let workers: Vec<_> = (0..4)
        .map(|n| {
            let own = Database::connect(&t.url).unwrap();
            let worker = Worker::new(&own, Claim::new(format!("w{n}")).lease(lease)).concurrency(3);
            let stop = worker.stop();
            let work = move |job: &queue::Work| {
                // Some jobs take longer than their lease, so they depend on heartbeats.
                let is_long = job.id.0.as_bytes()[15].is_multiple_of(5);
                std::thread::sleep(if is_long { lease * 4 / 3 } else { Duration::from_millis(5) });
                if job.is_lost() { Err("lost") } else { Ok(()) }
            };
            (stop, std::thread::spawn(move || worker.run(work).unwrap()))
        })
        .collect();
    enqueue(JOBS);
    wait_until("all jobs are done, each by one worker", || completed() == JOBS);
    // The workers are idle now, and no notification wakes them.
    std::thread::sleep(Duration::from_secs(1));
    enqueue(1);
    let took = wait_until("a worker finds the job", || begun() == JOBS + 1);
    assert!(took < Duration::from_secs(3), "{took:?}");
    wait_until("the job is done", || completed() == JOBS + 1);
    let done: Vec<_> = workers
        .into_iter()
        .map(|(stop, worker)| {
            stop.stop();
            worker.join().unwrap()
        })
        .collect();
    assert_eq!(done.iter().map(|done| done.completed).sum::<u64>(), JOBS as u64 + 1);
    // Jobs that waited for a long one were released for another worker, which does not count as an attempt.
    assert_eq!(done.iter().map(|done| done.failed + done.lost).sum::<u64>(), 0);

    // Without a worker: an operation with an old lease is refused, whichever session runs it.
    enqueue(CLIENTS);
    at_once(&t.url, |n, db| {
        let job = db.write(|c| queue::claim(c, &Claim::new(format!("h{n}")))).unwrap().remove(0);
        db.write(|c| queue::heartbeat(c, &job, lease * 9)).unwrap();
        db.write(|c| queue::complete(c, &job)).unwrap();
        assert!(matches!(db.write(|c| queue::complete(c, &job)), Err(Error::LeaseLost { .. })));
    });
    t.clean_sessions();
}

#[test]
fn migrations_need_no_dedicated_session() {
    let t = Pooled::new("migrations");
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| t.open());
        }
    });
    let status = migrate::status(&t.url).unwrap();
    assert_eq!(status.verdict(), Verdict::Current);
    assert!(status.entries.iter().all(|entry| entry.recorded_at.is_some()));
    t.clean_sessions();
    let all = status.entries.len();
    assert_eq!(migrate::revert(&t.url, 2).unwrap().len(), 2);
    assert!(matches!(Database::connect(&t.url), Err(Error::SchemaPending(_))));
    assert_eq!(migrate::run(&t.url).unwrap().len(), 2);
    assert_eq!(migrate::redo(&t.url, all).unwrap().len(), all);
    t.clean_sessions();

    // Rows are backed up before a migration changes them, and the backup needs a direct connection.
    t.open().write(|c| make::discovered_video().insert(c)).unwrap();
    migrate::revert(&t.url, 1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let refused = t.run(folder.path(), &["migrate", "run"]);
    assert!(
        refused.code == 1
            && refused
                .err
                .contains("goes through a pooler (pgbouncer=true), but pg_dump needs a direct connection")
            && refused.err.contains("nothing was migrated; use --no-backup to migrate without a backup"),
        "{}",
        refused.err
    );
    assert_eq!(t.run(folder.path(), &["migrate", "run", "--no-backup"]).code, 0);
    assert_eq!(migrate::status(&t.url).unwrap().verdict(), Verdict::Current);
}

#[test]
fn operations_that_need_a_session_say_so() {
    let t = Pooled::new("backups");
    t.open().write(|c| make::discovered_video().insert(c)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let made = t.run(folder.path(), &["backup", "create", "--database-url", &t.direct]);
    assert_eq!(made.code, 0, "{}", made.err);
    let backups = || -> Vec<_> {
        let mut names: Vec<_> = std::fs::read_dir(folder.path().join("backups"))
            .unwrap()
            .map(|file| file.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let (before, file) = (backups(), format!("backups/{}", backups()[0].to_str().unwrap()));
    assert_eq!((before.len(), file.ends_with(".zst")), (2, true), "{before:?}");
    for (args, what) in [
        (&["backup", "create"][..], "pg_dump"),
        (&["backup", "drill"], "pg_restore"),
        (&["restore", "--yes", &file], "a restore"),
        (&["restore", &file], "a restore"),
    ] {
        let ran = t.run(folder.path(), args);
        let said = format!(
            "/backups?pgbouncer=true: goes through a pooler (pgbouncer=true), but {what} needs a direct connection; \
             name the server itself with --database-url"
        );
        assert!(ran.code == 1 && ran.err.trim().ends_with(&said), "{args:?}: {}{}", ran.out, ran.err);
    }
    assert_eq!(backups(), before);
    for args in [&["backup", "list"][..], &["backup", "verify"], &["doctor", "--only", "backups"]] {
        let ran = t.run(folder.path(), args);
        assert_eq!(ran.code, 0, "{args:?}: {}{}", ran.out, ran.err);
    }
    t.clean_sessions();
}

#[cfg(feature = "sqlite")]
#[test]
fn transfers_work_in_both_directions() {
    use viraldb::ops::transfer::{self, transfer};

    let (t, folder) = (Pooled::new("transfer"), tempfile::tempdir().unwrap());
    let file = |name: &str| format!("sqlite://{}", folder.path().join(name).display());
    let db = Database::open(&file("from.db")).unwrap();
    db.write(|c| make::seed(c).and_then(|()| make::link(c))).unwrap();
    for _ in 0..300 {
        db.write(|c| make::discovered_video().insert(c)).unwrap();
    }
    let options = transfer::Options { batch: 50, ..Default::default() };
    let there = transfer(&file("from.db"), &t.url, &options, &mut |_| ()).unwrap();
    let back = transfer(&t.url, &file("to.db"), &options, &mut |_| ()).unwrap();
    assert_eq!(there.rows, back.rows);
    let digests = |report: &transfer::Report| -> Vec<_> {
        report.tables.iter().map(|table| (table.table.clone(), table.digest.clone())).collect()
    };
    assert_eq!(digests(&there), digests(&back));
    let itself = transfer(&t.url, &t.direct, &options, &mut |_| ()).unwrap_err().to_string();
    assert!(itself.contains("is the source itself"), "{itself}");
    t.clean_sessions();
}

#[test]
fn undeclared_pooler_is_named_in_the_error() {
    let t = Pooled::new("untold");
    t.open();
    // Another client has already used the same statement name in the session that this client gets.
    let failed = (0..20).find_map(|_| {
        let db = Database::connect(&t.untold);
        db.and_then(|db| db.read(|c| DiscoveredVideo::pending(c, "gaming", 1))).err()
    });
    let said = failed.unwrap().to_string();
    assert!(said.ends_with("as with PgBouncer in transaction mode; add pgbouncer=true to the URL"), "{said}");
}

#[test]
fn sessions_that_the_server_ends_are_replaced() {
    let t = Pooled::new("ended");
    let (db, mut server) = (t.open(), t.past());
    db.write(|c| make::discovered_video().insert(c)).unwrap();
    let end = "SELECT pg_terminate_backend(pid)::text AS v FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    for _ in 0..3 {
        make::query(&mut server, end);
        // The pooler notices it a little later.
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(db.read(|c| Ok(count(c, "discovered_videos"))).unwrap(), 1);
    }
    // In the middle of a transaction this is an error, and nothing of the transaction was written.
    let lost = db.write(|c| {
        make::discovered_video().insert(c)?;
        make::query(&mut server, end);
        std::thread::sleep(Duration::from_millis(50));
        make::discovered_video().insert(c)
    });
    assert!(lost.is_err());
    assert_eq!(db.read(|c| Ok(count(c, "discovered_videos"))).unwrap(), 1);
    assert_eq!(db.write(|c| make::discovered_video().insert(c)).map(|_| ()).ok(), Some(()));
}

#[test]
fn replica_can_be_reached_through_a_pooler() {
    let primary = Server::own(&["fsync=off"]);
    let url = primary.create_database("viral", "template0");
    Database::open(&url).unwrap();
    let replica = primary.replica();
    let (before, behind) = (Pooler::before(&primary), Pooler::before(&replica));
    let options = Options { read_url: Some(behind.url("viral")), ..Default::default() };
    let db = Database::open_with(&before.url("viral"), &options).unwrap();
    let is_replica =
        |c: &mut DbConnection| Ok(make::query(c, "SELECT pg_is_in_recovery()::text AS v")[0] == "true");
    for _ in 0..20 {
        assert!(db.read(is_replica).unwrap() && !db.write(is_replica).unwrap());
    }
}

#[cfg(feature = "async")]
#[test]
fn async_api_works_through_the_pooler() {
    let t = Pooled::new("nonblocking");
    t.open();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let db = viraldb::AsyncDatabase::open(&t.url).await.unwrap();
        let tasks: Vec<_> = (0..CLIENTS * 5)
            .map(|_| {
                let db = db.clone();
                tokio::spawn(async move {
                    let row = db.write(|c| make::discovered_video().insert(c)).await.unwrap();
                    db.read(move |c| DiscoveredVideo::find_by_video_id(c, &row.video_id)).await.unwrap();
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(db.read(|c| Ok(count(c, "discovered_videos"))).await.unwrap(), CLIENTS as u64 * 5);
    });
    t.clean_sessions();
}
