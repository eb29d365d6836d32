//! Every setting has an effect that a test here demonstrates, or is marked as read by applications only.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use viraldb::compilation::*;
use viraldb::config::Registry;
use viraldb::queue::{self, Claim, Worker};
use viraldb::republishing::{
    JobStatus, JobType, NewVideo, NewVideoProcessingJob, VideoId, VideoProcessingJob,
    VideoProcessingJobFilter,
};
use viraldb::{Error, Page, Timestamp};

use super::*;
use crate::support::both;

/// Sets a setting and checks its effect: for all channels, and for one channel if the setting is per channel.
type Effect = fn(&Scratch);

const EFFECTS: &[(&str, Effect)] = &[
    ("archive_retention_days", archive_retention_days),
    ("backup_keep", backup_keep),
    ("cycle_hours", cycle_hours),
    ("default_min_resolution", default_min_resolution),
    ("default_posting_frequency", default_posting_frequency),
    ("default_retry_attempts", default_retry_attempts),
    ("error_retention_days", error_retention_days),
    ("kind", kind),
    ("max_clips", max_clips),
    ("max_concurrent_downloads", limits::max_concurrent_downloads),
    ("max_concurrent_jobs", max_concurrent_jobs),
    ("max_concurrent_jobs_per_channel", limits::max_concurrent_jobs_per_channel),
    ("max_concurrent_publishes", limits::max_concurrent_publishes),
    ("max_concurrent_renders", limits::max_concurrent_renders),
    ("max_concurrent_runs", max_concurrent_runs),
    ("max_concurrent_scrapes", limits::max_concurrent_scrapes),
    ("max_downloads_per_minute", limits::max_downloads_per_minute),
    ("max_publishes_per_day", limits::max_publishes_per_day),
    ("max_scrapes_per_minute", limits::max_scrapes_per_minute),
    ("min_clips", min_clips),
    ("min_viral_score", min_viral_score),
    ("orchestration_paused", orchestration_paused),
    ("queue_paused", queue_paused),
    ("review_timeout_hours", review_timeout_hours),
];

/// Sets a setting in the database through the command line.
pub fn set(t: &Scratch, key: &str, value: &str) {
    t.ok(&["config", "set", key, value]);
}

pub fn set_for(t: &Scratch, channel: ChannelId, key: &str, value: &str) {
    t.ok(&["config", "set", key, value, "--channel", &channel.to_string()]);
}

fn json_of(t: &Scratch, args: &[&str]) -> Value {
    serde_json::from_str(&t.ok(&[args, &["--format", "json"]].concat())).unwrap()
}

fn refused(t: &Scratch, args: &[&str], words: &[&str]) {
    let ran = t.run(args);
    assert_eq!((ran.code, &*ran.out), (1, ""), "{args:?}");
    assert!(words.iter().all(|word| ran.err.contains(word)), "{}: {words:?}", ran.err);
}

fn days_ago(days: u64) -> Timestamp {
    Timestamp::now() - Duration::from_secs(days * 24 * 3600)
}

fn cycle_hours(t: &Scratch) {
    let (db, channel) = (t.db(), channel(&t.db(), json!({})));
    let hours = |run: &PipelineRun| (run.cycle_end.to_utc() - run.cycle_start.to_utc()).num_hours();
    let by_command = |args: &[&str]| {
        let run = json_of(t, &[&["runs", "start", &crate::make::unique("niche")], args].concat());
        hours(&serde_json::from_value(run).unwrap())
    };
    let start = |cycle: &Cycle| {
        hours(&db.write(|c| PipelineRun::start(c, &crate::make::unique("niche"), cycle)).unwrap())
    };
    assert_eq!((by_command(&[]), start(&Cycle::default())), (6, 6));
    set(t, "cycle_hours", "12");
    set_for(t, channel, "cycle_hours", "24");
    let id = channel.to_string();
    assert_eq!((by_command(&[]), by_command(&["--channel", &id])), (12, 24));
    let of_channel = Cycle { channel: Some(channel), ..Default::default() };
    assert_eq!((start(&Cycle::default()), start(&of_channel)), (12, 24));
    // The command-line option wins over the setting, and stronger layers win over the database.
    assert_eq!(by_command(&["--cycle", "3h", "--channel", &id]), 3);
    assert_eq!(start(&Cycle { length: Some(Duration::from_secs(3 * 3600)), ..of_channel }), 3);
    let output = t
        .command(&["runs", "start", "news", "--format", "json"])
        .env("VIRALDB_CYCLE_HOURS", "8")
        .output()
        .unwrap();
    assert_eq!(hours(&serde_json::from_slice(&output.stdout).unwrap()), 8);
    t.ok(&["config", "unset", "cycle_hours"]);
    t.file("six.toml", "cycle_hours = 4\n");
    assert_eq!(by_command(&["--config", "six.toml"]), 4);
    let missing = Cycle { channel: Some(ChannelId::default()), ..Default::default() };
    let missing = db.write(|c| PipelineRun::start(c, "gaming", &missing));
    assert!(matches!(missing, Err(Error::NotFound { table: "channels", .. })), "{missing:?}");
    set(t, "cycle_hours", "1");
    db.write(|c| {
        let started_at = Some(Timestamp::now() - Duration::from_secs(2 * 3600));
        NewPipelineRun { status: Some(RunStatus::Running), started_at, ..crate::make::pipeline_run() }
            .insert(c)
    })
    .unwrap();
    assert!(t.run(&["doctor", "--only", "runs"]).out.contains("longer than a cycle of 1 h"));
}

/// Inserts a pending run of a new niche with `count` pending videos. The first video has this score and each
/// following one 0.1 less.
fn run_with_videos(db: &Database, count: i32, score: Option<f64>) -> PipelineRunId {
    let niche = crate::make::unique("niche");
    db.write(|c| {
        let videos: Vec<_> = (0..count)
            .map(|n| NewDiscoveredVideo {
                niche: niche.clone().into(),
                viral_score: score.map(|score| score - f64::from(n) / 10.0),
                ..crate::make::discovered_video()
            })
            .collect();
        NewDiscoveredVideo::insert_many(c, &videos)?;
        Ok(NewPipelineRun { niche: niche.into(), ..crate::make::pipeline_run() }.insert(c)?.id)
    })
    .unwrap()
}

fn choose(t: &Scratch, run: PipelineRunId, args: &[&str]) -> usize {
    json_of(t, &[&["runs", "choose", &run.to_string()], args].concat()).as_array().unwrap().len()
}

fn max_clips(t: &Scratch) {
    let (db, channel) = (t.db(), channel(&t.db(), json!({})));
    let run = |count| run_with_videos(&db, count, None);
    assert_eq!(choose(t, run(12), &[]), 10);
    set(t, "min_clips", "1");
    set(t, "max_clips", "3");
    set_for(t, channel, "max_clips", "5");
    let id = channel.to_string();
    let first = run(12);
    assert_eq!(
        (choose(t, first, &[]), choose(t, first, &["--channel", &id])),
        (3, 2),
        "the limit counts all clips of the run"
    );
    assert_eq!((choose(t, first, &[]), choose(t, first, &["--limit", "4"])), (0, 4));
    let by_library = |how: Choose| {
        let run = run(12);
        db.write(|c| Clip::choose_best(c, run, how)).unwrap().len()
    };
    assert_eq!(by_library(Choose::default()), 3);
    assert_eq!(by_library(Choose { channel: Some(channel), ..Default::default() }), 5);
    assert_eq!(by_library(7.into()), 7);
}

fn min_clips(t: &Scratch) {
    let (db, channel) = (t.db(), channel(&t.db(), json!({})));
    let run = run_with_videos(&db, 4, None);
    let (id, of) = (run.to_string(), channel.to_string());
    let pending = || db.read(DiscoveredVideo::count_pending).unwrap()[0].1;
    refused(
        t,
        &["runs", "choose", &id],
        &["would have 4 clips, but at least 8 are required", "--min-clips 4"],
    );
    assert_eq!(pending(), 4);
    set(t, "min_clips", "5");
    set_for(t, channel, "min_clips", "4");
    refused(t, &["runs", "choose", &id], &["at least 5"]);
    let by_library = db.write(|c| Clip::choose_best(c, run, Choose::default()));
    assert!(matches!(by_library, Err(Error::Invalid { .. })), "{by_library:?}");
    // A limit below the minimum lowers the minimum.
    assert_eq!(choose(t, run, &["--limit", "1"]), 1);
    refused(t, &["runs", "choose", &id, "--min-clips", "6", "--channel", &of], &["at least 6"]);
    assert_eq!(choose(t, run, &["--channel", &of]), 3, "the minimum counts all clips of the run");
    let run = run_with_videos(&db, 2, None);
    assert_eq!(choose(t, run, &["--min-clips", "2"]), 2);
    // The minimum is above the maximum, so no run can reach it.
    set(t, "max_clips", "3");
    let run = run_with_videos(&db, 12, None);
    let why = "the minimum of 5 clips is above the setting max_clips, 3";
    refused(t, &["runs", "choose", &run.to_string()], &[why]);
    refused(t, &["runs", "choose", &run.to_string(), "--min-clips", "5"], &[why]);
    assert_eq!(choose(t, run, &["--limit", "2"]), 2);
}

fn min_viral_score(t: &Scratch) {
    let (db, channel) = (t.db(), channel(&t.db(), json!({})));
    set(t, "min_clips", "1");
    // Scores from 0.9 to 0.1.
    let run = || run_with_videos(&db, 9, Some(0.9));
    assert_eq!(choose(t, run(), &[]), 4);
    set(t, "min_viral_score", "0.85");
    set_for(t, channel, "min_viral_score", "0.25");
    let id = channel.to_string();
    assert_eq!((choose(t, run(), &[]), choose(t, run(), &["--channel", &id])), (1, 7));
    assert_eq!(choose(t, run(), &["--channel", &id, "--min-score", "0.45"]), 5);
    let nine = run();
    assert_eq!(db.write(|c| Clip::choose_best(c, nine, 9)).unwrap().len(), 1);
    // Videos without a score come last.
    let mixed = run();
    let niche = db.read(|c| PipelineRun::find(c, mixed)).unwrap().niche;
    let unscored = NewDiscoveredVideo { niche: niche.into(), ..crate::make::discovered_video() };
    let unscored = db.write(|c| unscored.insert(c)).unwrap().id;
    let clips = db.write(|c| Clip::choose_best(c, mixed, Choose::default())).unwrap();
    assert_eq!((clips.len(), clips[1].discovered_video_id), (2, unscored));
    refused(t, &["runs", "choose", &mixed.to_string(), "--min-clips", "3"], &["min_viral_score (0.85)"]);
}

fn review_timeout_hours(t: &Scratch) {
    let (db, channel) = (t.db(), channel(&t.db(), json!({})));
    let review = |hours: u64| {
        db.write(|c| {
            let status = Some(RunStatus::Review);
            let run = NewPipelineRun {
                niche: crate::make::unique("niche").into(),
                status,
                ..crate::make::pipeline_run()
            };
            let run = run.insert(c)?;
            let sent_at = Some(Timestamp::now() - Duration::from_secs(hours * 3600));
            let review = NewReviewLog { pipeline_run_id: run.id, sent_at, ..Default::default() }.insert(c)?;
            Ok((run.niche, review.id.0))
        })
        .unwrap()
    };
    let held = |args: &[&str]| -> Vec<i64> {
        let held = json_of(t, &[&["reviews", "hold"], args].concat());
        held.as_array().unwrap().iter().map(|review| review["id"].as_i64().unwrap()).collect()
    };
    let (five, three) = (review(5).1, review(3).1);
    assert_eq!(held(&[]), [five]);
    set(t, "review_timeout_hours", "2");
    set_for(t, channel, "review_timeout_hours", "48");
    let id = channel.to_string();
    assert!(held(&["--channel", &id]).is_empty());
    assert_eq!(held(&[]), [three]);
    let (one, other) = (review(50), review(50));
    assert_eq!(held(&["--channel", &id, "--niche", &one.0]), [one.1]);
    let by_library = db.write(|c| ReviewLog::hold_overdue(c, Overdue::default())).unwrap();
    assert_eq!(by_library.iter().map(|review| review.id.0).collect::<Vec<_>>(), [other.1]);
    let last = review(1).1;
    assert_eq!((held(&[]), held(&["--after", "30m"])), (vec![], vec![last]));
}

fn max_concurrent_runs(t: &Scratch) {
    let db = t.db();
    let ids: Vec<String> =
        (0..5).map(|_| db.write(|c| crate::make::pipeline_run().insert(c)).unwrap().id.to_string()).collect();
    let start = |n: usize| t.ok(&["runs", "move", &ids[n], "running"]);
    start(0);
    start(1);
    refused(
        t,
        &["runs", "move", &ids[2], "running"],
        &["2 runs are running and max_concurrent_runs is 2", "config set max_concurrent_runs 3"],
    );
    assert_eq!(json_of(t, &["runs", "show", &ids[2]])["run"]["status"], "pending");
    // A run that cannot start anyway gets that reason, not the limit.
    refused(t, &["runs", "move", &ids[0], "running"], &["is running and cannot become running"]);
    set(t, "max_concurrent_runs", "3");
    start(2);
    refused(t, &["runs", "move", &ids[3], "running"], &["max_concurrent_runs is 3"]);
    t.ok(&["runs", "move", &ids[0], "failed"]);
    // When two runs compete for the last free slot, exactly one starts.
    let other = t.db();
    let started = std::thread::scope(|s| {
        let threads = [(&db, 3), (&other, 4)].map(|(db, n)| {
            let id = PipelineRunId(ids[n].parse().unwrap());
            s.spawn(move || db.write(|c| PipelineRun::move_to(c, id, RunStatus::Running)).is_ok())
        });
        threads.map(|thread| thread.join().unwrap())
    });
    assert_ne!(started[0], started[1]);
    // Answering a review moves its run back to running even at the limit.
    let run = db
        .write(|c| {
            let run = NewPipelineRun { status: Some(RunStatus::Review), ..crate::make::pipeline_run() }
                .insert(c)?;
            let review = ReviewLog::send(c, run.id)?;
            ReviewLog::answer(c, review.id, ReviewAction::RedoScript, None)?;
            PipelineRun::find(c, run.id)
        })
        .unwrap();
    assert_eq!(run.status, RunStatus::Running);
}

fn orchestration_paused(t: &Scratch) {
    let db = t.db();
    let start = ["runs", "start", "gaming"];
    let run = json_of(t, &start);
    set(t, "orchestration_paused", "true");
    assert_eq!(json_of(t, &start), run, "the run of this cycle already exists");
    refused(
        t,
        &["runs", "start", "music"],
        &["a run of music cannot start: orchestration_paused is true", "config explain"],
    );
    refused(t, &["runs", "move", &run["id"].to_string(), "running"], &["orchestration_paused is true"]);
    let by_library = db.write(|c| PipelineRun::start(c, "music", &Cycle::default()));
    assert!(matches!(by_library, Err(Error::Invalid { .. })), "{by_library:?}");
    set(t, "orchestration_paused", "false");
    t.ok(&["runs", "start", "music"]);
    t.ok(&["runs", "move", &run["id"].to_string(), "running"]);
}

/// Inserts a video of this channel and returns its id.
pub fn video(db: &Database, channel_id: ChannelId) -> VideoId {
    db.write(|c| NewVideo { channel_id, ..crate::make::video(c) }.insert(c)).unwrap().id
}

fn default_retry_attempts(t: &Scratch) {
    let db = t.db();
    let (plain, own) = (channel(&db, json!({})), channel(&db, json!({})));
    let job = |channel| NewVideoProcessingJob::new(video(&db, channel), channel, JobType::Download);
    let attempts =
        |job: &NewVideoProcessingJob<'_>| db.write(|c| queue::enqueue(c, job)).unwrap().unwrap().max_attempts;
    assert_eq!(attempts(&job(plain)), 3);
    set(t, "default_retry_attempts", "5");
    set_for(t, own, "default_retry_attempts", "7");
    assert_eq!((attempts(&job(plain)), attempts(&job(own))), (5, 7));
    assert_eq!(attempts(&NewVideoProcessingJob { max_attempts: Some(1), ..job(own) }), 1);
    let many = [job(plain), job(own), NewVideoProcessingJob { max_attempts: Some(2), ..job(own) }];
    assert_eq!(db.write(|c| queue::enqueue_many(c, &many)).unwrap(), 3);
    let stored = |id| db.read(|c| VideoProcessingJob::find(c, id)).unwrap().max_attempts;
    assert_eq!(many.map(|job| stored(job.id)), [5, 7, 2]);
    let by_command = |channel, args: &[&str]| {
        let video = video(&db, channel).to_string();
        json_of(t, &[&["jobs", "enqueue", "download", "--video", &video], args].concat())["max_attempts"]
            .clone()
    };
    assert_eq!(
        (by_command(plain, &[]), by_command(own, &[]), by_command(own, &["--max-attempts", "9"])),
        (json!(5), json!(7), json!(9))
    );
    // An invalid value written by another program is an error that says where it is stored.
    crate::make::execute(&mut db.session().unwrap(), "INSERT INTO config_overrides (key, value, updated_by) VALUES ('default_retry_attempts', 'many', 'x')").unwrap();
    let job = job(plain);
    let wrong = db.write(|c| queue::enqueue(c, &job)).unwrap_err().to_string();
    assert!(
        wrong.contains(
            "in config_overrides default_retry_attempts must be a whole number from 1 to 100, got \"many\""
        ),
        "{wrong}"
    );
}

fn max_concurrent_jobs(t: &Scratch) {
    let db = t.db();
    let channel = channel(&db, json!({}));
    let most_of = |worker: Worker| {
        let video = video(&db, channel);
        let jobs: Vec<_> =
            (0..8).map(|_| NewVideoProcessingJob::new(video, channel, JobType::Download)).collect();
        db.write(|c| queue::enqueue_many(c, &jobs)).unwrap();
        let (now, most, done) = <(Arc<AtomicUsize>, Arc<AtomicUsize>, AtomicUsize)>::default();
        let (seen, stop) = (Arc::clone(&most), worker.stop());
        let ran = worker.run(move |_| {
            seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(100));
            now.fetch_sub(1, Ordering::SeqCst);
            if done.fetch_add(1, Ordering::SeqCst) == 7 {
                stop.stop();
            }
            Ok::<_, String>(())
        });
        assert_eq!(ran.unwrap().completed, 8);
        most.load(Ordering::SeqCst)
    };
    let worker = || Worker::new(&db, Claim::new("w"));
    set(t, "max_concurrent_jobs", "1");
    assert_eq!(most_of(worker()), 1);
    assert_eq!(most_of(worker().concurrency(3)), 3);
    set(t, "max_concurrent_jobs", "2");
    assert_eq!(most_of(worker()), 2);
    crate::make::execute(
        &mut db.session().unwrap(),
        "UPDATE system_configuration SET value = '\"many\"' WHERE key = 'max_concurrent_jobs'",
    )
    .unwrap();
    let wrong = worker().run(|_| Ok::<_, String>(())).unwrap_err().to_string();
    assert!(wrong.contains("max_concurrent_jobs in system_configuration max_concurrent_jobs must be a whole number from 1 to 1000, got "), "{wrong}");
}

fn queue_paused(t: &Scratch) {
    let db = t.db();
    let channel = channel(&db, json!({}));
    let job = NewVideoProcessingJob::new(video(&db, channel), channel, JobType::Download);
    db.write(|c| queue::enqueue(c, &job)).unwrap();
    set(t, "queue_paused", "true");
    assert_eq!(db.write(|c| queue::claim(c, &Claim::new("w"))).unwrap(), []);
    assert_eq!(t.ok(&["jobs", "claim", "--worker", "w", "--format", "json"]).trim(), "[]");
    set(t, "queue_paused", "false");
    assert_eq!(db.write(|c| queue::claim(c, &Claim::new("w"))).unwrap().len(), 1);
}

fn archive_retention_days(t: &Scratch) {
    let db = t.db();
    let channel = channel(&db, json!({}));
    db.write(|c| {
        let video = NewVideo { channel_id: channel, ..crate::make::video(c) }.insert(c)?.id;
        let job = NewVideoProcessingJob::new(video, channel, JobType::Download).insert(c)?;
        crate::make::execute(
            c,
            "UPDATE video_processing_jobs SET status = 'completed', completed_at = queued_at",
        )?;
        let completed_at = Some(days_ago(20));
        let run =
            NewPipelineRun { status: Some(RunStatus::Uploaded), completed_at, ..crate::make::pipeline_run() };
        run.insert(c)?;
        let changes = viraldb::republishing::VideoProcessingJobChanges {
            completed_at: Some(completed_at),
            ..Default::default()
        };
        changes.update(c, job.id)
    })
    .unwrap();
    let filter = VideoProcessingJobFilter { status: Some(JobStatus::Completed), ..Default::default() };
    let left = || {
        db.read(|c| {
            Ok((
                PipelineRun::list(c, &Default::default(), &Page::first(9))?.len(),
                VideoProcessingJob::list(c, &filter, &Page::first(9))?.len(),
            ))
        })
        .unwrap()
    };
    t.ok(&["prune"]);
    assert_eq!(left(), (1, 1));
    set(t, "archive_retention_days", "10");
    t.ok(&["prune"]);
    assert_eq!(left(), (0, 0));
}

fn error_retention_days(t: &Scratch) {
    let db = t.db();
    let error = NewErrorLog { occurred_at: Some(days_ago(20)), resolved: Some(true), ..crate::make::error() };
    db.write(|c| error.insert(c)).unwrap();
    let left = || db.read(|c| ErrorLog::list(c, &ErrorLogFilter::default(), &Page::first(9))).unwrap().len();
    t.ok(&["prune"]);
    assert_eq!(left(), 1);
    set(t, "error_retention_days", "10");
    t.ok(&["prune"]);
    assert_eq!(left(), 0);
}

fn backup_keep(t: &Scratch) {
    t.db();
    for _ in 0..3 {
        t.ok(&["backup", "create"]);
    }
    let left = || json_of(t, &["backup", "list"]).as_array().unwrap().len();
    t.ok(&["backup", "prune"]);
    assert_eq!(left(), 3);
    set(t, "backup_keep", "2");
    t.ok(&["backup", "prune"]);
    assert_eq!(left(), 2);
    t.ok(&["backup", "prune", "--keep", "1"]);
    assert_eq!(left(), 1);
}

/// Checks a setting that `channels add` copies into a JSON document of the new channel. `init` writes its
/// default.
fn check_new_channel_setting(t: &Scratch, key: &str, of_kind: (&str, &str), at: (&str, &str)) {
    t.ok(&["init", "-q"]);
    let add = |args: &[&str]| {
        let id = crate::make::unique("UC");
        json_of(t, &[&["channels", "add", "Clips", &id], args].concat())[at.0][at.1]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let default = Registry::default().get(key).unwrap().default.as_str().unwrap().to_owned();
    let words = match &Registry::default().get(key).unwrap().kind {
        viraldb::config::Kind::Word { words } => words.clone(),
        other => panic!("{other:?}"),
    };
    let (set_to, own) = (words[0].as_ref(), words[words.len() - 1].as_ref());
    assert_eq!((add(&[]), add(&["--kind", of_kind.0])), (default, of_kind.1.to_owned()));
    set(t, key, set_to);
    assert_eq!((&*add(&[]), &*add(&["--kind", of_kind.0])), (set_to, set_to));
    assert_eq!(add(&["--settings", &json!({ key: own }).to_string()]), own);
    let config = Config::open(&t.db()).unwrap();
    assert_eq!(config.channel_defaults(&viraldb::Json(json!({}))).unwrap(), {
        let new = config.new_channel("Clips", "UC1", None).unwrap();
        viraldb::config::ChannelDefaults {
            posting_schedule: new.posting_schedule,
            content_filters: new.content_filters,
            metadata_template: new.metadata_template,
        }
    });
}

fn default_posting_frequency(t: &Scratch) {
    check_new_channel_setting(
        t,
        "default_posting_frequency",
        ("generation", "twice_daily"),
        ("posting_schedule", "frequency"),
    );
}

fn default_min_resolution(t: &Scratch) {
    check_new_channel_setting(
        t,
        "default_min_resolution",
        ("compilation", "1080p"),
        ("content_filters", "min_resolution"),
    );
}

fn kind(t: &Scratch) {
    let db = t.db();
    let (config, channel) = (config(t, &db), channel(&db, json!({})));
    let seconds = || config.get_for::<u32>(channel, "target_duration_min").unwrap();
    assert_eq!(seconds(), 480);
    config.set(Scope::Channel(channel), "kind", &json!("generation"), "alice").unwrap();
    assert_eq!(seconds(), 15);
}

both! {
    fn every_setting_that_viraldb_reads_has_an_effect(t) {
        let registry = Registry::default();
        let names: BTreeSet<&str> = registry.iter().filter(|key| !key.is_for_applications()).map(|key| &*key.name).collect();
        let tested: BTreeSet<&str> = EFFECTS.iter().map(|effect| effect.0).collect();
        assert_eq!(names, tested, "every setting that viraldb reads needs a test here; all others are marked as read by applications");
        for (key, effect) in EFFECTS {
            // The panic message names the line, not the setting.
            let shown = std::panic::catch_unwind(AssertUnwindSafe(|| effect(&t.another())));
            assert!(shown.is_ok(), "{key} does not have the effect that its test expects");
        }
    }
}
