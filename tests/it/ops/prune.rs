//! Prune deletes old rows and nothing else.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use viraldb::compilation::*;
use viraldb::config::{Config, Scope};
use viraldb::diesel::connection::{
    Instrumentation, InstrumentationEvent, SimpleConnection, set_default_instrumentation,
};
use viraldb::generation::{self, JobId, JobVideoStatus, NewJob, NewJobScript, NewJobVideo};
use viraldb::ops::{Part, Prune, Pruned, Pruning, prune};
use viraldb::republishing::*;
use viraldb::{Database, DbConnection, Timestamp};

use super::{days_ago, number, sql, texts};
use crate::make;
use crate::support::{both, plan};

/// Inserts a finished run with one row in each child table. Its file paths contain `name`.
pub(super) fn run(
    c: &mut DbConnection,
    status: RunStatus,
    at: Option<Timestamp>,
    name: &str,
) -> PipelineRunId {
    let file = |kind: &str| Some(format!("/files/{name}/{kind}").into());
    let video = make::discovered_video().insert(c).unwrap().id;
    let run = NewPipelineRun {
        status: Some(status),
        completed_at: at,
        video_file_path: file("video.mp4"),
        ..make::pipeline_run()
    };
    let id = run.insert(c).unwrap().id;
    let clip = NewClip {
        pipeline_run_id: id,
        discovered_video_id: video,
        rank_position: 1,
        start_time_seconds: 0.0,
        end_time_seconds: 1.0,
        clip_duration_seconds: 1.0,
        clip_file_path: file("clip.mp4"),
        ..Default::default()
    };
    let clip = clip.insert(c).unwrap().id;
    NewScript { pipeline_run_id: id, ..Default::default() }.insert(c).unwrap();
    let engine = "edge".into();
    NewTtsAudio {
        pipeline_run_id: id,
        engine_used: engine,
        audio_file_path: file("voice.mp3"),
        ..Default::default()
    }
    .insert(c)
    .unwrap();
    NewShort { pipeline_run_id: id, clip_id: Some(clip), file_path: file("short.mp4"), ..Default::default() }
        .insert(c)
        .unwrap();
    let (action, responded_at) = (Some(ReviewAction::Approve), Some(Timestamp::now()));
    NewReviewLog { pipeline_run_id: id, action, responded_at, ..Default::default() }.insert(c).unwrap();
    NewErrorLog { pipeline_run_id: Some(id), ..make::error() }.insert(c).unwrap();
    id
}

fn insert_generated(
    c: &mut DbConnection,
    job: generation::JobStatus,
    at: Timestamp,
    video: Option<(JobVideoStatus, Timestamp)>,
) -> JobId {
    let new = NewJob { status: Some(job), created_at: Some(at), updated_at: Some(at), ..make::job() };
    let id = new.insert(c).unwrap().id;
    let script = NewJobScript { job_id: Some(id), ..make::job_script() }.insert(c).unwrap().id;
    if let Some((status, at)) = video {
        let video = NewJobVideo {
            job_id: Some(id),
            script_id: Some(script),
            status: Some(status),
            created_at: Some(at),
            file_path: Some(format!("/files/job {id}.mp4").into()),
            thumbnail_path: Some(format!("/files/job {id}.png").into()),
            ..make::job_video()
        };
        video.insert(c).unwrap();
    }
    id
}

/// Returns the number of rows in each table.
fn counts(db: &Database) -> BTreeMap<String, i64> {
    let status = viraldb::ops::status_exact(db).unwrap();
    status.tables.into_iter().map(|table| (table.table, table.count.rows)).collect()
}

/// Prunes and requires that the report matches the deleted rows. Returns the report and the listed files.
fn prune_and_compare(db: &Database, how: &Prune) -> (Pruned, BTreeSet<String>) {
    let mut files = BTreeSet::new();
    let mut last = 0;
    let before = counts(db);
    let done = prune(db, how, &mut |at| {
        match at {
            Pruning::Files(paths) => files.extend(paths.iter().cloned()),
            Pruning::Rows(rows) => {
                assert!(rows >= last);
                last = rows;
            }
        }
        Ok(())
    })
    .unwrap();
    let gone: BTreeMap<String, i64> = counts(db)
        .into_iter()
        .map(|(table, rows)| (table.clone(), before[&table] - rows))
        .filter(|(_, gone)| *gone > 0)
        .collect();
    let said: BTreeMap<String, i64> = done
        .tables
        .iter()
        .filter(|table| table.rows > 0)
        .map(|table| (table.table.clone(), table.rows))
        .collect();
    assert_eq!(gone, if how.dry_run { BTreeMap::new() } else { said });
    assert_eq!(done.file_count as usize, files.len());
    (done, files)
}

fn ids(db: &Database, table: &str) -> Vec<i64> {
    texts(db, &format!("SELECT CAST(id AS text) AS v FROM {table} ORDER BY id"))
        .iter()
        .map(|id| id.parse().unwrap())
        .collect()
}

fn how(db: &Database) -> Prune {
    Prune::new(&Config::open(db).unwrap()).unwrap()
}

thread_local! {
    static SEEN: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Records the statements of threads that set [`SEEN`].
struct Notes;

impl Instrumentation for Notes {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            SEEN.with_borrow_mut(|seen| {
                if let Some(seen) = seen {
                    seen.extend(query.to_string().split(" -- binds").next().map(str::to_owned));
                }
            });
        }
    }
}

/// Inserts samples at random points in time, some of them equal.
fn insert_samples(c: &mut DbConnection, count: usize) {
    let video = make::video_id(c);
    let channel = make::channel_id(c);
    for _ in 0..count {
        let at = Timestamp::now() - Duration::from_secs(fastrand::u64(0..800 * 24) * 3600 / 4);
        let (measured_at, timestamp) = (Some(at), Some(at));
        let subject = format!("yt{}", fastrand::u8(0..3)).into();
        NewAnalytics { youtube_video_id: subject, measured_at, ..Default::default() }.insert(c).unwrap();
        NewVideoStatistics { video_id: video, timestamp, ..Default::default() }.insert(c).unwrap();
        NewChannelStatistics { channel_id: channel, timestamp, ..Default::default() }.insert(c).unwrap();
    }
}

both! {
    fn old_resolved_errors_are_pruned(t) {
        let db = t.db();
        let id = |resolved, days| {
            let error = NewErrorLog { resolved: Some(resolved), occurred_at: Some(days_ago(days)), ..make::error() };
            db.write(|c| error.insert(c)).unwrap().id.0
        };
        let (_, new, open) = (id(true, 91), id(true, 89), id(false, 400));
        let (done, _) = prune_and_compare(&db, &how(&db));
        assert_eq!(done.tables[0].table, "error_log");
        assert_eq!(ids(&db, "error_log"), [new, open]);
        Config::open(&db).unwrap().set(Scope::Override, "error_retention_days", &1.into(), "test").unwrap();
        prune_and_compare(&db, &how(&db));
        assert_eq!(ids(&db, "error_log"), [open]);
    }

    fn old_finished_jobs_are_pruned(t) {
        let db = t.db();
        let made = |status, completed_at: Option<Timestamp>, changed: u64| {
            let updated_at = Some(days_ago(changed));
            db.write(|c| NewVideoProcessingJob { status: Some(status), completed_at, updated_at, ..make::video_job(c) }.insert(c)).unwrap().id.to_string()
        };
        let kept: BTreeSet<String> = [
            made(JobStatus::Completed, Some(days_ago(29)), 400),
            made(JobStatus::Failed, None, 29),
            made(JobStatus::Queued, None, 400),
            made(JobStatus::Retrying, Some(days_ago(400)), 400),
            made(JobStatus::Processing, Some(days_ago(400)), 400),
        ].into();
        made(JobStatus::Completed, Some(days_ago(31)), 0);
        made(JobStatus::Failed, Some(days_ago(31)), 0);
        made(JobStatus::Failed, None, 31);
        prune_and_compare(&db, &how(&db));
        let left: BTreeSet<String> = texts(&db, "SELECT CAST(id AS text) AS v FROM video_processing_jobs").into_iter().collect();
        assert_eq!(left, kept);
    }

    fn old_runs_are_pruned_with_everything_that_belongs_to_them(t) {
        let db = t.db();
        let old = Some(days_ago(31));
        let make = |status, at, name: &str| db.write(|c| Ok(run(c, status, at, name))).unwrap();
        let gone = [make(RunStatus::Uploaded, old, "a"), make(RunStatus::Failed, old, "b")];
        let mut kept = vec![
            make(RunStatus::Uploaded, Some(days_ago(29)), "new"),
            make(RunStatus::Uploaded, None, "no time"),
        ];
        kept.extend([RunStatus::Pending, RunStatus::Running, RunStatus::Review, RunStatus::Approved].map(|status| make(status, old, "at work")));
        let unanswered = make(RunStatus::Failed, old, "unanswered");
        db.write(|c| NewReviewLog { pipeline_run_id: unanswered, ..Default::default() }.insert(c)).unwrap();
        // A short of one run was made from a clip of the other.
        let (one, other) = (make(RunStatus::Uploaded, old, "one"), make(RunStatus::Uploaded, old, "other"));
        sql(&db, &format!("UPDATE shorts SET clip_id = (SELECT id FROM clips WHERE pipeline_run_id = {other}) WHERE pipeline_run_id = {one}"));
        kept.extend([unanswered, one, other]);

        let videos = number(&db, "SELECT CAST(count(*) AS text) AS v FROM discovered_videos");
        let mut dry = how(&db);
        dry.dry_run = true;
        let (would, would_list) = prune_and_compare(&db, &dry);
        let (done, listed) = prune_and_compare(&db, &how(&db));
        assert_eq!((would.tables, would_list), (done.tables.clone(), listed.clone()));
        assert_eq!(ids(&db, "pipeline_runs"), kept.iter().map(|id| id.0).collect::<Vec<_>>());
        for table in ["clips", "scripts", "tts_audio", "shorts", "error_log"] {
            assert_eq!(number(&db, &format!("SELECT CAST(count(*) AS text) AS v FROM {table}")), kept.len() as i64, "{table}");
            assert!(done.tables.iter().any(|said| said.table == table && said.rows == 2), "{table}");
        }
        assert_eq!(number(&db, "SELECT CAST(count(*) AS text) AS v FROM discovered_videos"), videos);
        let expected: BTreeSet<String> = ["a", "b"].iter().flat_map(|run| ["video.mp4", "clip.mp4", "voice.mp3", "short.mp4"].map(|file| format!("/files/{run}/{file}"))).collect();
        assert_eq!((listed, gone.len()), (expected, 2));
        // Once the review is answered, the run is pruned too.
        sql(&db, &format!("UPDATE review_log SET action = 'reject' WHERE pipeline_run_id = {unanswered}"));
        assert_eq!(prune_and_compare(&db, &how(&db)).1.len(), 4);
    }

    fn generated_jobs_are_pruned_when_their_videos_are_done(t) {
        let db = t.db();
        use generation::JobStatus::*;
        let (old, new) = (days_ago(31), days_ago(29));
        let make = |status, at, video| db.write(|c| Ok(insert_generated(c, status, at, video))).unwrap();
        make(Completed, old, Some((JobVideoStatus::Published, old)));
        make(Failed, old, Some((JobVideoStatus::Rejected, old)));
        make(Failed, old, None);
        let mut kept = vec![
            make(Completed, old, Some((JobVideoStatus::Generated, old))),
            make(Completed, old, Some((JobVideoStatus::Approved, old))),
            make(Completed, old, Some((JobVideoStatus::Published, new))),
            make(Completed, new, Some((JobVideoStatus::Published, old))),
            make(Running, old, None),
            make(Pending, old, None),
        ];
        let (one, other) = (make(Completed, old, Some((JobVideoStatus::Published, old))), make(Completed, old, Some((JobVideoStatus::Published, old))));
        sql(&db, &format!("UPDATE job_videos SET script_id = (SELECT id FROM job_scripts WHERE job_id = {other}) WHERE job_id = {one}"));
        kept.extend([one, other]);
        let (done, files) = prune_and_compare(&db, &how(&db));
        assert_eq!(ids(&db, "jobs"), kept.iter().map(|id| id.0).collect::<Vec<_>>());
        assert_eq!((done.rows(), files.len()), (3 + 3 + 2, 4));
    }

    fn dry_run_counts_exactly_what_prune_deletes(t) {
        let db = t.db();
        let runs = |c: &mut DbConnection| for n in 0..12 {
            let status = [RunStatus::Uploaded, RunStatus::Failed, RunStatus::Running][fastrand::usize(..3)];
            let id = run(c, status, Some(days_ago(fastrand::u64(0..60))), &format!("run {n}"));
            for _ in 0..3 {
                let at = Some(days_ago(fastrand::u64(60..120)));
                let of = fastrand::bool().then_some(id);
                NewErrorLog { pipeline_run_id: of, resolved: Some(fastrand::bool()), occurred_at: at, ..make::error() }.insert(c).unwrap();
            }
        };
        for round in 0..4 {
            db.write(|c| { runs(c); insert_samples(c, 150); Ok(()) }).unwrap();
            for parts in [vec![Part::Runs], vec![Part::Runs, Part::Errors], Part::ALL.to_vec()] {
                let mut how = Prune { parts, dry_run: true, batch: 7, ..how(&db) };
                let would = prune_and_compare(&db, &how).0;
                how.dry_run = false;
                let done = prune_and_compare(&db, &how).0;
                assert_eq!((would.tables, would.file_count), (done.tables, done.file_count), "round {round}: {:?}", how.parts);
                assert_eq!(prune_and_compare(&db, &how).0.rows(), 0);
            }
        }
        // Old samples are thinned out to one per day, and after a year to one per week.
        for (table, subject, time) in [("analytics", "youtube_video_id", "measured_at"), ("video_statistics", "video_id", "timestamp"), ("channel_statistics", "channel_id", "timestamp")] {
            let all = texts(&db, &format!("SELECT CAST({subject} AS text) || ' ' || CAST({time} AS text) AS v FROM {table}"));
            let (now, mut days) = (Timestamp::now(), BTreeSet::new());
            for row in &all {
                let (subject, at) = row.split_once(' ').unwrap();
                let text = if t.is_postgres { at.replace("+00", "") } else { at.to_owned() };
                let at: Timestamp = text.parse().unwrap();
                let age = now.hours_since(at) / 24.0;
                let day = at.to_utc().date_naive();
                let week = day.week(chrono::Weekday::Mon).first_day();
                if age > 366.0 {
                    assert!(days.insert((subject.to_owned(), week, true)), "{table}: two samples in the week of {week}");
                } else if (31.0..364.0).contains(&age) {
                    assert!(days.insert((subject.to_owned(), day, false)), "{table}: two samples on {day}");
                }
            }
            assert!(days.len() > 50, "{table}: {}", days.len());
        }
    }

    fn more_rows_than_one_batch_are_pruned(t) {
        let db = t.db();
        let rows: Vec<NewErrorLog<'_>> = (0..25_000).map(|n| NewErrorLog {
            resolved: Some(n % 3 != 0),
            occurred_at: Some(days_ago(if n % 2 == 0 { 91 } else { 1 })),
            ..make::error()
        }).collect();
        db.write(|c| NewErrorLog::insert_many(c, &rows)).unwrap();
        let expected = rows.iter().enumerate().filter(|(n, _)| n % 3 != 0 && n % 2 == 0).count();
        let how = Prune { batch: 10_000, ..how(&db) };
        assert_eq!(prune_and_compare(&db, &how).0.rows(), expected as u64);
        for batch in [0, 10_001] {
            assert!(prune(&db, &Prune { batch, ..how.clone() }, &mut |_| Ok(())).is_err());
        }
    }

    fn error_from_the_callback_stops_prune(t) {
        let db = t.db();
        db.write(|c| { run(c, RunStatus::Failed, Some(days_ago(90)), "a"); Ok(()) }).unwrap();
        let refused = prune(&db, &how(&db), &mut |_| Err(viraldb::Error::invalid("the list", "is full")));
        assert_eq!(refused.unwrap_err().to_string(), "the list is full");
        assert_eq!(counts(&db)["clips"], 1, "rows whose files were not listed must not be deleted");
    }

    fn prune_statements_use_indexes(t) {
        set_default_instrumentation(|| Some(Box::new(Notes))).unwrap();
        let db = t.db();
        db.write(|c| {
            // With fewer rows, the planner would rightly scan the tables.
            for n in 0..150 {
                run(c, RunStatus::Failed, Some(days_ago(90)), &format!("{n}"));
                insert_generated(c, generation::JobStatus::Failed, days_ago(90), Some((JobVideoStatus::Rejected, days_ago(90))));
                let job = NewVideoProcessingJob { status: Some(JobStatus::Failed), completed_at: Some(days_ago(90)), ..make::video_job(c) };
                job.insert(c)?;
                NewErrorLog { resolved: Some(true), occurred_at: Some(days_ago(100)), ..make::error() }.insert(c)?;
            }
            insert_samples(c, 100);
            Ok(())
        }).unwrap();
        sql(&db, "ANALYZE");
        let how = how(&db);
        SEEN.set(Some(Vec::new()));
        prune(&db, &how, &mut |_| Ok(())).unwrap();
        let seen = SEEN.take().unwrap();
        let mut session = db.session().unwrap();
        if t.is_postgres {
            // Otherwise PostgreSQL would scan tables with so few rows.
            session.batch_execute("SET enable_seqscan = off").unwrap();
        }
        let asked: BTreeSet<&str> = seen.iter().map(|sql| &**sql).filter(|sql| (sql.starts_with("SELECT ") || sql.starts_with("DELETE ")) && !sql.contains("pragma_") && !sql.contains("configuration") && !sql.contains("config_overrides")).collect();
        let deletes = asked.iter().filter(|sql| sql.starts_with("DELETE")).count();
        assert!(deletes >= 12 && asked.len() > deletes + 8, "{asked:#?}");
        let tables: Vec<String> = counts(&db).into_keys().collect();
        for statement in asked {
            let plan = plan(t, &mut session, statement);
            for line in &plan {
                let line = line.trim().trim_start_matches("->").trim();
                let is_page = plan.iter().any(|line| line.starts_with("CO-ROUTINE root") || line.starts_with("MATERIALIZE root"));
                let reads_all = line.starts_with("Seq Scan")
                    || line.strip_prefix("SCAN ").is_some_and(|of| {
                        tables.iter().any(|table| table == of) || of == "root" && !is_page || of == "sample"
                    });
                assert!(!reads_all, "{statement}: {plan:#?}");
                assert!(!line.contains("idx_jobs_status") && !line.contains("idx_pipeline_runs_status"), "{statement}: {plan:#?}");
            }
            if statement.contains("LIMIT 10000) AS root") {
                assert!(plan.iter().any(|line| line.contains("PRIMARY KEY") || line.contains("_pkey") || line.contains("sqlite_autoindex")), "{statement}: {plan:#?}");
                assert!(!plan.iter().any(|line| line.contains("TEMP B-TREE") || line.contains("Sort")), "{statement}: {plan:#?}");
            }
        }
    }

    fn command_lists_files_without_deleting_them(t) {
        let db = t.db();
        let add = |name: &str| db.write(|c| Ok(run(c, RunStatus::Failed, Some(days_ago(90)), name))).unwrap();
        add("a\u{1b}[31m");
        let json = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
        let would = json(&t.ok(&["prune", "--dry-run", "--format", "json"]));
        let done = json(&t.ok(&["prune", "--format", "json"]));
        assert_eq!((&would["dry_run"], &done["dry_run"]), (&true.into(), &false.into()));
        assert_eq!((&would["tables"], &would["files"]), (&done["tables"], &done["files"]));
        assert_eq!((done["files"].as_array().unwrap().len(), &done["file_count"]), (4, &4.into()));
        assert_eq!(done["files"][0], "/files/a\u{1b}[31m/video.mp4");
        assert_eq!(t.ok(&["prune"]), "deleted nothing\n");
        add("b\u{1b}");
        let out = t.ok(&["prune", "--dry-run", "--only", "runs"]);
        assert!(out.starts_with("\"/files/b\\u001b/video.mp4\"\n"), "{out}");
        assert!(out.ends_with("would delete 1 of pipeline_runs, 1 of shorts, 1 of clips, 1 of scripts, 1 of tts_audio, 1 of review_log, 1 of error_log\n4 files belonged to them; viraldb does not delete files\n"), "{out}");
        assert_eq!(t.ok(&["prune", "--only", "errors,jobs"]), "deleted nothing\n");
        // `--files` appends to an existing file.
        let list = t.file("list.txt", "kept\n");
        let csv = t.ok(&["prune", "--files", "list.txt", "--format", "csv"]);
        assert!(csv.starts_with("table,rows\n") && csv.contains("clips,1\n"), "{csv}");
        assert_eq!(std::fs::read_to_string(list).unwrap().lines().collect::<Vec<_>>(), ["kept", "\"/files/b\\u001b/video.mp4\"", "\"/files/b\\u001b/clip.mp4\"", "\"/files/b\\u001b/voice.mp3\"", "\"/files/b\\u001b/short.mp4\""]);
        for args in [&["prune", "--only", "everything"][..], &["prune", "--batch", "0"]] {
            assert_eq!(t.run(args).code, 2, "{args:?}");
        }
        if !t.is_postgres {
            let ran = t.run(&["prune", "--files", "./viral.db-wal"]);
            assert_eq!((ran.code, &*ran.err), (1, "error: --files ./viral.db-wal is a file of the database itself\n"));
        }
    }
}
