//! Tests of schedules: jobs that are enqueued again and again.

use std::time::Instant;

use serde_json::{Value, json};
use viraldb::queue::{JobSchedule, JobScheduleChanges, MissedTicks, NewJobSchedule, Ticked, Worker};
use viraldb::republishing::{ChannelChanges, Video};
use viraldb::schema::viraldb_job_schedules as schedules;
use viraldb::{Json, Page};

use super::*;
use crate::support::{both, wait_until};

const MINUTE: Duration = Duration::from_secs(60);

fn video(db: &Database) -> Video {
    db.write(|c| make::video(c).insert(c)).unwrap()
}

fn minutely<'a>(name: &'a str, video: &Video) -> NewJobSchedule<'a> {
    NewJobSchedule::new(name, video.id, video.channel_id, JobType::Download, "* * * * *")
}

/// Inserts a schedule that is due since a time.
fn due(db: &Database, new: &NewJobSchedule<'_>, since: Timestamp) {
    db.write(|c| new.insert(c)).unwrap();
    make_due(db, &new.name, since);
}

fn make_due(db: &Database, name: &str, since: Timestamp) {
    let changed = db.write(|c| {
        Ok(viraldb::diesel::update(schedules::table.find(name))
            .set(schedules::next_at.eq(since))
            .execute(c)?)
    });
    assert_eq!(changed.unwrap(), 1);
}

fn ago(wait: Duration) -> Timestamp {
    Timestamp::now() - wait
}

/// Returns the start of the minute that was `minutes` ago.
fn minutes_ago(minutes: u64) -> Timestamp {
    let at = ago(MINUTE * u32::try_from(minutes).unwrap()).to_utc().timestamp();
    viraldb::chrono::DateTime::from_timestamp(at - at % 60, 0).unwrap().into()
}

fn tick(db: &Database) -> Ticked {
    db.write(queue::tick).unwrap()
}

fn schedule(db: &Database, name: &str) -> JobSchedule {
    db.read(|c| JobSchedule::find(c, name)).unwrap()
}

fn keys(db: &Database) -> Vec<String> {
    let keys: Vec<Option<String>> =
        db.read(|c| Ok(jobs::table.order(jobs::unique_key).select(jobs::unique_key).load(c)?)).unwrap();
    keys.into_iter().flatten().collect()
}

/// Returns the counts of enqueued, overlapping and skipped jobs.
fn counts(ticked: Ticked) -> (usize, usize, usize) {
    assert_eq!((ticked.failed, ticked.paused), (0, 0));
    (ticked.enqueued, ticked.overlapping, ticked.skipped)
}

both! {
    fn each_tick_enqueues_one_job_however_many_schedulers_run(t) {
        let db = t.db();
        let video = video(&db);
        let first = minutes_ago(300);
        let names: Vec<String> = (0..60).map(|n| format!("s{n:02}")).collect();
        for name in &names {
            let all = NewJobSchedule { missed: Some(MissedTicks::All), overlap: Some(true), ..minutely(name, &video) };
            let once = minutely(name, &video);
            due(&db, if name.as_str() < "s10" { &all } else { &once }, first);
        }
        let ticked = std::thread::scope(|scope| {
            let schedulers: Vec<_> = (0..8).map(|_| scope.spawn(|| {
                let db = t.db();
                let mut ticked = Vec::new();
                // A scheduler finds nothing while others have locked all that is due.
                while db.read(queue::next_tick).unwrap().unwrap().is_zero() {
                    ticked.push(tick(&db));
                }
                ticked
            })).collect();
            schedulers.into_iter().flat_map(|scheduler| scheduler.join().unwrap()).collect::<Vec<_>>()
        });
        let enqueued: usize = ticked.iter().map(|ticked| ticked.enqueued).sum();
        assert_eq!(ticked.iter().map(|ticked| ticked.overlapping + ticked.skipped + ticked.failed + ticked.paused).sum::<usize>(), 0);
        let ends: Vec<Timestamp> = names.iter().map(|name| schedule(&db, name).next_at).collect();
        let all: i64 = ends[..10].iter().map(|end| (end.to_utc() - first.to_utc()).num_minutes()).sum();
        assert!(all >= 3_010, "{all}");
        assert_eq!(enqueued, usize::try_from(all).unwrap() + 50);
        let keys = keys(&db);
        assert_eq!(keys.len(), enqueued);
        assert!(keys.contains(&format!("schedule:s03:{first}")) && keys.contains(&"schedule:s11".to_owned()), "{keys:?}");
        assert!(ticked.iter().all(|ticked| ticked.enqueued <= 1_200), "one call is bounded");
    }

    fn missed_ticks_follow_the_policy(t) {
        let db = t.db();
        let video = video(&db);
        for (missed, overlap, expected) in [
            (MissedTicks::Once, true, 1..=1),
            (MissedTicks::Once, false, 1..=1),
            (MissedTicks::All, false, 1..=1),
            (MissedTicks::All, true, 10..=11),
            // The ticks of the last minute are not late.
            (MissedTicks::Skip, true, 1..=2),
        ] {
            let name = format!("{missed} {overlap}");
            due(&db, &NewJobSchedule { missed: Some(missed), overlap: Some(overlap), ..minutely(&name, &video) }, minutes_ago(9));
            let ticked = tick(&db);
            assert!(expected.contains(&ticked.enqueued), "{name}: {ticked:?}");
            assert_eq!(ticked.skipped, usize::from(missed == MissedTicks::Skip), "{name}");
            let next = schedule(&db, &name).next_at;
            assert!(next > Timestamp::now() && next < Timestamp::now() + MINUTE * 2, "{name}: {next}");
            assert_eq!(tick(&db).schedules, 0, "{name}");
        }
        let monthly = NewJobSchedule { cron: "0 0 1 1 *".into(), missed: Some(MissedTicks::Skip), ..minutely("late", &video) };
        due(&db, &monthly, ago(MINUTE + MINUTE / 30));
        assert_eq!(counts(tick(&db)), (0, 0, 1));
        make_due(&db, "late", ago(MINUTE / 12));
        assert_eq!(counts(tick(&db)), (1, 0, 0));
        assert!(schedule(&db, "late").last_at.is_some());
    }

    fn schedule_without_overlap_waits_for_its_job(t) {
        let db = t.db();
        let video = video(&db);
        due(&db, &minutely("alone", &video), ago(MINUTE));
        assert_eq!(counts(tick(&db)), (1, 0, 0));
        make_due(&db, "alone", ago(MINUTE));
        assert_eq!(counts(tick(&db)), (0, 1, 0));
        let claimed = claim(&db, &Claim::new("w"));
        make_due(&db, "alone", ago(MINUTE));
        assert_eq!(counts(tick(&db)), (0, 1, 0));
        assert!(db.write(|c| JobSchedule::enqueue_now(c, "alone")).unwrap().is_none());
        db.write(|c| queue::complete(c, &claimed[0])).unwrap();
        make_due(&db, "alone", ago(MINUTE));
        assert_eq!(counts(tick(&db)), (1, 0, 0));

        due(&db, &NewJobSchedule { overlap: Some(true), ..minutely("many", &video) }, ago(MINUTE));
        assert_eq!(counts(tick(&db)), (1, 0, 0));
        make_due(&db, "many", ago(MINUTE));
        assert_eq!(counts(tick(&db)), (1, 0, 0));
        assert!(db.write(|c| JobSchedule::enqueue_now(c, "many")).unwrap().is_some());
    }

    fn jobs_have_the_columns_of_the_schedule_and_the_attempts_of_the_setting(t) {
        let db = t.db();
        let video = video(&db);
        t.ok(&["config", "set", "default_retry_attempts", "5"]);
        let payload = Json(json!({ "quality": "1080p" }));
        let new = NewJobSchedule { payload: Some(payload.clone()), priority: Some(7), job_type: JobType::Scrape, ..minutely("s", &video) };
        due(&db, &new, ago(MINUTE));
        tick(&db);
        let job = &claim(&db, &Claim::new("w"))[0];
        assert_eq!((job.video_id, job.channel_id, job.job_type, job.priority, job.max_attempts), (video.id, video.channel_id, JobType::Scrape, 7, 5));
        assert_eq!((job.payload.as_ref(), job.unique_key.as_deref()), (Some(&payload), Some("schedule:s")));
        db.write(|c| JobScheduleChanges { max_attempts: Some(Some(2)), payload: Some(None), ..Default::default() }.update(c, "s")).unwrap();
        db.write(|c| queue::complete(c, job)).unwrap();
        let job = db.write(|c| JobSchedule::enqueue_now(c, "s")).unwrap().unwrap();
        assert_eq!((job.max_attempts, job.payload), (2, None));
    }

    fn paused_schedule_enqueues_nothing_and_resumes_with_the_next_tick(t) {
        let db = t.db();
        let video = video(&db);
        due(&db, &minutely("s", &video), ago(MINUTE * 60));
        assert!(db.write(|c| JobSchedule::pause(c, "s")).unwrap().paused);
        assert_eq!((tick(&db), db.read(queue::next_tick).unwrap()), (Ticked::default(), None));
        let resumed = db.write(|c| JobSchedule::resume(c, "s")).unwrap();
        assert!(!resumed.paused && resumed.next_at > Timestamp::now());
        assert!(db.read(queue::next_tick).unwrap().unwrap() <= MINUTE);
        assert_eq!(tick(&db), Ticked::default());
        assert!(db.write(|c| JobSchedule::pause(c, "x")).unwrap_err().is_not_found());
    }

    fn next_tick_moves_only_with_the_expression(t) {
        let db = t.db();
        let video = video(&db);
        let since = minutes_ago(5);
        due(&db, &minutely("s", &video), since);
        // A program that stores its schedules when it starts loses no tick.
        let same = NewJobSchedule { priority: Some(3), ..minutely("s", &video) };
        let stored = db.write(|c| same.insert_or_update(c)).unwrap();
        assert_eq!((stored.next_at, stored.priority), (since, 3));
        let other = NewJobSchedule { cron: "0 6 * * *".into(), time_zone: Some("Europe/Berlin".into()), ..same.clone() };
        let stored = db.write(|c| other.insert_or_update(c)).unwrap();
        assert!(stored.next_at > Timestamp::now());
        for time in stored.next_times(400).unwrap() {
            assert!(stored.parse_cron().unwrap().local_time(time).contains("T06:00:00+0"), "{time}");
        }
        assert!(db.write(|c| same.insert(c)).unwrap_err().is_conflict());
        let new = db.write(|c| NewJobSchedule { name: "new".into(), ..same.clone() }.insert_or_update(c)).unwrap();
        assert_eq!((new.time_zone.as_str(), new.missed, new.overlap, new.paused, new.last_at), ("UTC", MissedTicks::Once, false, false, None));

        // The clock was set back by an hour after the last tick.
        let last = Timestamp::now() + MINUTE * 60;
        db.write(|c| Ok(viraldb::diesel::update(schedules::table.find("s")).set(schedules::last_at.eq(last)).execute(c)?)).unwrap();
        let changed = db.write(|c| JobScheduleChanges { cron: Some("*/2 * * * *".into()), ..Default::default() }.update(c, "s")).unwrap();
        assert!(changed.next_at > last);
    }

    fn invalid_schedules_are_rejected(t) {
        let db = t.db();
        let video = video(&db);
        let good = minutely("s", &video);
        let missing = viraldb::republishing::VideoId::default();
        for (bad, expected) in [
            (NewJobSchedule { cron: "61 * * * *".into(), ..good.clone() }, "cron \"61 * * * *\" is invalid in the field minute"),
            (NewJobSchedule { cron: "0 0 31 4 *".into(), ..good.clone() }, "has no time in the four years after"),
            (NewJobSchedule { time_zone: Some("Berlin".into()), ..good.clone() }, "time zone \"Berlin\" is unknown"),
            (NewJobSchedule { name: " ".into(), ..good.clone() }, "name is empty"),
            (NewJobSchedule { name: "n".repeat(201).into(), ..good.clone() }, "name has 201 bytes; the maximum is 200"),
            (NewJobSchedule { max_attempts: Some(0), ..good.clone() }, "viraldb_job_schedules_max_attempts_check"),
            (NewJobSchedule { video_id: missing, ..good.clone() }, ""),
        ] {
            for error in [db.write(|c| bad.insert(c)).unwrap_err(), db.write(|c| bad.insert_or_update(c)).unwrap_err()] {
                assert!(matches!(error, viraldb::Error::Invalid { .. }) && error.to_string().contains(expected), "{error}");
            }
        }
        let inserted = db.write(|c| good.insert(c)).unwrap();
        for bad in [
            JobScheduleChanges { cron: Some("x".into()), ..Default::default() },
            JobScheduleChanges { time_zone: Some("".into()), ..Default::default() },
        ] {
            assert!(matches!(db.write(|c| bad.update(c, "s")).unwrap_err(), viraldb::Error::Invalid { .. }));
        }
        assert_eq!(schedule(&db, "s"), inserted);
        assert!(db.write(|c| JobScheduleChanges::default().update(c, "x")).unwrap_err().is_not_found());
    }

    fn broken_schedules_do_not_stop_the_others(t) {
        let db = t.db();
        let (video, other) = (video(&db), video(&db));
        for (name, video) in [("broken", &video), ("good", &video), ("setting", &other)] {
            due(&db, &minutely(name, video), ago(MINUTE));
        }
        // Other programs can write what viraldb rejects.
        let broken = viraldb::diesel::update(schedules::table.find("broken")).set(schedules::cron.eq("every day"));
        db.write(|c| Ok(broken.execute(c)?)).unwrap();
        let settings = ChannelChanges { settings: Some(Json(json!({ "default_retry_attempts": "many" }))), ..Default::default() };
        db.write(|c| settings.update(c, other.channel_id)).unwrap();
        let ticked = tick(&db);
        assert_eq!((ticked.schedules, ticked.enqueued, ticked.failed, ticked.paused), (3, 1, 1, 1));
        assert_eq!(keys(&db), ["schedule:good"]);
        assert!(schedule(&db, "broken").paused && schedule(&db, "broken").last_at.is_none());
        assert!(schedule(&db, "setting").next_at > Timestamp::now());
        assert_eq!(tick(&db), Ticked::default());
        assert!(matches!(db.write(|c| JobSchedule::resume(c, "broken")).unwrap_err(), viraldb::Error::Invalid { .. }));
    }

    fn deletion_of_the_video_deletes_its_schedules(t) {
        let db = t.db();
        let (one, other) = (video(&db), video(&db));
        for (name, video) in [("a", &one), ("b", &one), ("c", &other)] {
            db.write(|c| minutely(name, video).insert(c)).unwrap();
        }
        let names = |page: Page<String>| -> Vec<String> {
            db.read(|c| JobSchedule::list(c, &page)).unwrap().into_iter().map(|schedule| schedule.name).collect()
        };
        assert_eq!(names(Page::first(2)), ["a", "b"]);
        assert_eq!(names(Page::after("b".to_owned(), 2)), ["c"]);
        db.write(|c| Video::delete(c, one.id)).unwrap();
        assert_eq!(names(Page::first(9)), ["c"]);
        assert_eq!(db.write(|c| Ok((JobSchedule::delete(c, "c")?, JobSchedule::delete(c, "c")?))).unwrap(), (1, 0));
    }

    fn schedules_can_be_deleted_with_their_videos_while_they_tick(t) {
        let db = t.db();
        let videos: Vec<Video> = (0..60).map(|_| video(&db)).collect();
        for (n, video) in videos.iter().enumerate() {
            let all = NewJobSchedule { missed: Some(MissedTicks::All), overlap: Some(true), ..minutely("", video) };
            due(&db, &NewJobSchedule { name: format!("s{n:02}").into(), ..all }, minutes_ago(300));
        }
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let db = t.db();
                    while db.read(queue::next_tick).unwrap().is_some_and(|wait| wait.is_zero()) {
                        let ticked = tick(&db);
                        assert_eq!((ticked.overlapping, ticked.failed, ticked.paused), (0, 0, 0));
                    }
                });
            }
            for video in &videos[..40] {
                db.write(|c| Video::delete(c, video.id)).unwrap();
            }
        });
        assert_eq!(db.read(|c| JobSchedule::list(c, &Page::first(99))).unwrap().len(), 20);
        assert!(keys(&db).len() >= 20 * 300);
    }

    fn workers_enqueue_scheduled_jobs_on_time(t) {
        let db = t.db();
        let video = video(&db);
        let at = Timestamp::now() + Duration::from_secs(5);
        let yearly = NewJobSchedule { cron: "@yearly".into(), ..minutely("s", &video) };
        due(&db, &yearly, at);
        // The first has no free hand, so that it only enqueues.
        db.write(|c| queue::enqueue(c, &NewVideoProcessingJob::new(video.id, video.channel_id, JobType::Publish))).unwrap();
        let full = Worker::new(&db, Claim::new("full").types([JobType::Publish])).concurrency(1);
        let free = Worker::new(&db, Claim::new("free").types([JobType::Download]));
        let (stop_full, stop_free) = (full.stop(), free.stop());
        std::thread::scope(|scope| {
            let full = scope.spawn(move || full.run(|job| { wait_until("the worker stops", || job.should_stop()); Ok::<_, String>(()) }).unwrap());
            let free = scope.spawn(move || free.run(|_| Ok::<_, String>(())).unwrap());
            let done = || !db.read(|c| Ok(jobs::table.filter(jobs::status.eq(JobStatus::Completed)).select(jobs::id).load::<VideoProcessingJobId>(c)?)).unwrap().is_empty();
            wait_until("the job is done", done);
            let queued: Vec<Timestamp> = db.read(|c| Ok(jobs::table.filter(jobs::job_type.eq(JobType::Download)).select(jobs::queued_at).load(c)?)).unwrap();
            let [queued] = queued[..] else { panic!("{queued:?}") };
            assert!(queued >= at && queued < at + Duration::from_secs(2), "{queued} instead of {at}");
            // One that is added later is seen within a few seconds.
            let begun = Instant::now();
            due(&db, &NewJobSchedule { name: "later".into(), ..yearly.clone() }, ago(MINUTE));
            wait_until("the job is enqueued", || keys(&db).contains(&"schedule:later".to_owned()));
            assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
            stop_full.stop();
            stop_free.stop();
            assert_eq!(full.join().unwrap().completed, 1);
            assert!(free.join().unwrap().completed >= 1);
        });
    }

    fn schedules_can_be_managed_on_the_command_line(t) {
        let db = t.db();
        let video = video(&db);
        let id = video.id.to_string();
        let json_of = |args: &[&str]| -> Value { serde_json::from_str(&t.ok(&[args, &["--json"]].concat())).unwrap() };
        t.file("payload.json", r#"{"quality":"1080p"}"#);
        let added = t.ok(&["schedules", "add", "mornings", "--type", "download", "--video", &id, "--cron", "0 6 * * *", "--time-zone", "Europe/Berlin", "--payload", "@payload.json", "--priority", "-1", "--max-attempts", "2", "--missed", "skip", "--overlap"]);
        assert!(added.starts_with("added mornings; the first job is enqueued at 20"), "{added}");
        let shown = json_of(&["schedules", "show", "mornings"]);
        assert_eq!((&shown["priority"], &shown["max_attempts"], &shown["missed"], &shown["overlap"], &shown["payload"]["quality"]), (&json!(-1), &json!(2), &json!("skip"), &json!(true), &json!("1080p")));
        assert_eq!((shown["channel_id"].as_str(), shown["next_times"].as_array().unwrap().len()), (Some(&*video.channel_id.to_string()), 5));
        assert_eq!(shown["next_times"][0], shown["next_at"]);
        assert!(t.ok(&["schedules", "show", "mornings"]).contains("next_times"));
        let set = t.ok(&["schedules", "set", "mornings", "--payload", "", "--max-attempts", "", "--overlap=false", "--cron", "@hourly", "--type", "scrape"]);
        assert!(set.starts_with("changed mornings; the next tick is at 20"), "{set}");
        let shown = json_of(&["schedules", "show", "mornings"]);
        assert_eq!((&shown["payload"], &shown["max_attempts"], &shown["overlap"], &shown["job_type"], &shown["missed"]), (&Value::Null, &Value::Null, &json!(false), &json!("scrape"), &json!("skip")));

        assert!(t.ok(&["schedules", "run", "mornings"]).starts_with("queued "));
        assert_eq!(t.ok(&["schedules", "run", "mornings"]), "not queued: the previous job of mornings is not finished\n");
        t.ok(&["schedules", "add", "others", "--type", "publish", "--video", &id, "--cron", "@daily"]);
        make_due(&db, "others", ago(MINUTE));
        assert_eq!(t.ok(&["schedules", "tick"]), "1 schedule due: 1 job enqueued, 0 overlapping, 0 skipped, 0 failed, 0 paused\n");
        assert_eq!(json_of(&["schedules", "tick"])["schedules"], 0);
        assert_eq!(json_of(&["schedules", "pause", "others", "mornings"]), json_of(&["schedules", "list"]));
        assert_eq!(json_of(&["schedules", "resume", "others"])[0]["paused"], false);
        assert_eq!(json_of(&["schedules", "list", "--limit", "1", "--after", "mornings"])[0]["name"], "others");
        assert_eq!(t.run(&["schedules", "delete", "others", "nobody"]).code, 1);
        assert_eq!(t.ok(&["schedules", "delete", "others", "mornings"]), "deleted 2 schedules\n");
        let none = t.run(&["schedules", "list"]);
        assert_eq!((none.out.as_str(), none.err.as_str()), ("", "no schedules\n"));

        for (args, expected) in [
            (&["schedules", "show", "nobody"][..], "row nobody not found in viraldb_job_schedules"),
            (&["schedules", "add", "s", "--type", "scrape", "--video", &id, "--cron", "0 25 * * *"], "cron \"0 25 * * *\" is invalid in the field hour: "),
            (&["schedules", "next", "0 6 * * *", "--time-zone", "Mars"], "time zone \"Mars\" is unknown; expected a name of the IANA database"),
        ] {
            let ran = t.run(args);
            assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{args:?}");
            assert!(ran.err.starts_with(&format!("error: {expected}")) && ran.err.lines().count() == 1, "{args:?}: {}", ran.err);
        }
        assert_eq!(t.run(&["schedules", "set", "mornings"]).code, 2);
    }
}

#[test]
fn next_times_need_no_database() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let mut command = crate::support::viraldb(dir.path(), args);
        command.env("DATABASE_URL", "sqlite://missing/viral.db");
        crate::support::Ran::from(command.output().unwrap())
    };
    let ran =
        run(&["schedules", "next", "30 6 * * *", "--time-zone", "Asia/Kolkata", "--count", "3", "--json"]);
    let times: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(times.as_array().unwrap().len(), 3);
    for time in times.as_array().unwrap() {
        assert!(time["at"].as_str().unwrap().ends_with("T01:00:00Z"), "{time}");
        assert!(time["local"].as_str().unwrap().ends_with("T06:30:00+05:30"), "{time}");
    }
    assert_eq!(run(&["schedules", "next", "@daily"]).out.lines().count(), 6);
}
