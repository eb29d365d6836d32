//! Tests of the limits that all workers share, and of policies by type.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use viraldb::config::{Config, Scope};
use viraldb::queue::{Done, Policy, Stop, Worker};
use viraldb::republishing::ChannelId;
use viraldb::schema::{viraldb_job_slots as slots, viraldb_job_starts as starts};

use super::*;
use crate::support::{both, wait_until};

fn set(db: &Database, key: &str, value: i64) {
    Config::open(db).unwrap().set(Scope::Override, key, &value.into(), "test").unwrap();
}

/// Enqueues jobs of one type for each of `channels` new channels.
fn enqueue(db: &Database, job_type: JobType, channels: usize, each: usize) -> Vec<ChannelId> {
    db.write(|c| {
        let mut ids = Vec::new();
        for _ in 0..channels {
            let video = make::video(c).insert(c)?;
            let rows: Vec<_> =
                (0..each).map(|_| NewVideoProcessingJob::new(video.id, video.channel_id, job_type)).collect();
            queue::enqueue_many(c, &rows)?;
            ids.push(video.channel_id);
        }
        Ok(ids)
    })
    .unwrap()
}

fn completed(db: &Database) -> i64 {
    db.read(|c| Ok(jobs::table.filter(jobs::status.eq(JobStatus::Completed)).count().get_result(c)?)).unwrap()
}

/// Counts the handlers that run, by type and by channel, and the most that ever ran.
#[derive(Default)]
struct Counts(Mutex<(HashMap<String, usize>, HashMap<String, usize>)>);

impl Counts {
    fn change(&self, key: String, by: isize) {
        let (now, most) = &mut *self.0.lock().unwrap();
        let count = now.entry(key.clone()).or_default();
        *count = count.checked_add_signed(by).unwrap();
        let most = most.entry(key).or_default();
        *most = (*most).max(*count);
    }

    fn most(&self, key: &str) -> usize {
        self.0.lock().unwrap().1.get(key).copied().unwrap_or_default()
    }
}

/// Runs workers whose handlers take some time, until `is_done`.
fn run(
    db: &Database,
    workers: &[Option<u32>],
    takes: Duration,
    is_done: impl Fn() -> bool,
) -> (Arc<Counts>, Vec<Done>) {
    let counts = Arc::new(Counts::default());
    let mut stops: Vec<Stop> = Vec::new();
    let threads: Vec<_> = workers
        .iter()
        .map(|concurrency| {
            let worker = Worker::new(db, Claim::new("w").lease(Duration::from_secs(5)));
            let worker = match concurrency {
                Some(jobs) => worker.concurrency(*jobs),
                None => worker,
            };
            stops.push(worker.stop());
            let counts = Arc::clone(&counts);
            std::thread::spawn(move || {
                worker
                    .run(move |job| {
                        let keys = [job.job_type.to_string(), job.channel_id.to_string(), "all".to_owned()];
                        keys.iter().for_each(|key| counts.change(key.clone(), 1));
                        std::thread::sleep(takes);
                        keys.iter().for_each(|key| counts.change(key.clone(), -1));
                        Ok::<_, String>(())
                    })
                    .unwrap()
            })
        })
        .collect();
    wait_until("the workers are done", is_done);
    stops.iter().for_each(Stop::stop);
    let done = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let left: i64 = db.read(|c| Ok(slots::table.count().get_result(c)?)).unwrap();
    assert_eq!(left, 0, "stopped workers give back their slots");
    (counts, done)
}

const SHORT: Duration = Duration::from_millis(20);

both! {
    fn all_workers_together_run_no_more_jobs_of_a_type_than_the_setting_says(t) {
        let db = t.db();
        set(&db, "max_concurrent_downloads", 2);
        enqueue(&db, JobType::Download, 1, 40);
        enqueue(&db, JobType::Scrape, 1, 40);
        let (counts, done) = run(&db, &[Some(4), Some(4), Some(4)], SHORT, || completed(&db) == 80);
        assert_eq!(counts.most("download"), 2);
        assert!(counts.most("scrape") > 2, "jobs of other types are not held up");
        assert_eq!(done.iter().map(|done| done.completed).sum::<u64>(), 80);
        let attempts: Vec<i32> = db.read(|c| Ok(jobs::table.select(jobs::attempts).distinct().load(c)?)).unwrap();
        assert_eq!(attempts, [1]);
    }

    fn renders_share_one_limit_and_the_default_is_obeyed(t) {
        let db = t.db();
        enqueue(&db, JobType::Transform, 1, 10);
        enqueue(&db, JobType::MusicReplace, 1, 10);
        enqueue(&db, JobType::Download, 1, 30);
        let (counts, _) = run(&db, &[None, None], SHORT, || completed(&db) == 50);
        assert_eq!((counts.most("transform"), counts.most("music_replace")), (1, 1));
        assert!(counts.most("download") <= 3 && counts.most("all") <= 4, "{}", counts.most("all"));
    }

    fn a_worker_with_a_number_of_its_own_ignores_defaults_but_not_set_values(t) {
        let db = t.db();
        enqueue(&db, JobType::Download, 1, 48);
        let (counts, _) = run(&db, &[Some(8)], SHORT, || completed(&db) == 48);
        assert!(counts.most("download") > 3);
        set(&db, "max_concurrent_downloads", 3); // the same as the default, but set
        enqueue(&db, JobType::Download, 1, 24);
        let (counts, _) = run(&db, &[Some(8)], SHORT, || completed(&db) == 72);
        assert_eq!(counts.most("download"), 3);
    }

    fn a_channel_runs_no_more_jobs_than_its_limit_and_holds_up_no_other(t) {
        let db = t.db();
        set(&db, "max_concurrent_jobs_per_channel", 1);
        let channels = enqueue(&db, JobType::Scrape, 4, 12);
        Config::open(&db).unwrap()
            .set(Scope::Channel(channels[3]), "max_concurrent_jobs_per_channel", &2.into(), "test").unwrap();
        let begin = Instant::now();
        let (counts, _) = run(&db, &[Some(4), Some(4)], SHORT, || completed(&db) == 48);
        let most: Vec<usize> = channels.iter().map(|id| counts.most(&id.to_string())).collect();
        assert!(most[..3] == [1, 1, 1] && most[3] <= 2, "{most:?}");
        assert!(counts.most("all") >= 2, "one channel does not hold up the others");
        assert!(begin.elapsed() < Duration::from_secs(60));
    }

    fn no_more_jobs_start_within_a_minute_than_the_setting_says(t) {
        let db = t.db();
        set(&db, "max_downloads_per_minute", 5);
        enqueue(&db, JobType::Download, 1, 12);
        enqueue(&db, JobType::Scrape, 1, 30);
        let (counts, _) = run(&db, &[Some(3), Some(3)], SHORT, || completed(&db) == 35);
        assert!(counts.most("download") <= 5);
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(completed(&db), 35, "30 scrapes and 5 downloads");
        // A minute later five more may start.
        db.write(|c| {
            let earlier = Timestamp::now() - Duration::from_secs(61);
            Ok(viraldb::diesel::update(starts::table).set(starts::started_at.eq(earlier)).execute(c)?)
        }).unwrap();
        run(&db, &[Some(3), Some(3)], SHORT, || completed(&db) == 40);
        let rows: i64 = db.read(|c| Ok(starts::table.count().get_result(c)?)).unwrap();
        assert_eq!(rows, 5, "old rows are deleted");
        let attempts: Vec<i32> = db.read(|c| Ok(
            jobs::table.filter(jobs::status.eq(JobStatus::Queued)).select(jobs::attempts).distinct().load(c)?
        )).unwrap();
        assert_eq!(attempts, [0], "jobs that may not start have not used up an attempt");
    }

    fn the_slots_of_a_dead_worker_expire(t) {
        let db = t.db();
        set(&db, "max_concurrent_downloads", 1);
        enqueue(&db, JobType::Download, 1, 2);
        db.write(|c| {
            let expires_at = Timestamp::now() + Duration::from_secs(2);
            let holder = viraldb::types::WorkerId::default();
            let row = (slots::name.eq("downloads"), slots::holder.eq(holder), slots::slots.eq(1), slots::expires_at.eq(expires_at));
            Ok(viraldb::diesel::insert_into(slots::table).values(row).execute(c)?)
        }).unwrap();
        let begin = Instant::now();
        run(&db, &[Some(2)], Duration::ZERO, || completed(&db) == 2);
        assert!(begin.elapsed() > Duration::from_secs(1), "others had the slot until then");
    }

    fn an_idle_worker_leaves_its_slots_to_others(t) {
        let db = t.db();
        set(&db, "max_concurrent_downloads", 1);
        let holders = || db.read(|c| Ok(slots::table.count().get_result::<i64>(c)?)).unwrap();
        let workers: Vec<_> = (0..2).map(|_| Worker::new(&db, Claim::new("w")).concurrency(1)).collect();
        let stops: Vec<Stop> = workers.iter().map(Worker::stop).collect();
        let threads: Vec<_> = workers.into_iter()
            .map(|worker| std::thread::spawn(move || worker.run(|_| Ok::<_, String>(())).unwrap()))
            .collect();
        for round in 1..4 {
            enqueue(&db, JobType::Download, 1, 1);
            wait_until("the job is done", || completed(&db) == round);
            wait_until("nobody has slots", || holders() == 0);
        }
        stops.iter().for_each(Stop::stop);
        threads.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap().failed, 0));
    }

    fn a_handler_that_takes_longer_than_its_timeout_fails_the_job(t) {
        let db = t.db();
        let [id] = put(&db, [|job| job.max_attempts = Some(2)]);
        let policy = Policy::new().timeout(Duration::from_millis(300)).retry_after([Duration::from_secs(7)]);
        let worker = Worker::new(&db, Claim::new("w")).concurrency(1).policy(JobType::Download, policy);
        let (stop, ended) = (worker.stop(), Arc::new(AtomicBool::new(false)));
        let has_ended = Arc::clone(&ended);
        let thread = std::thread::spawn(move || worker.run(move |job| {
            let begin = Instant::now();
            while !job.should_stop() && begin.elapsed() < Duration::from_secs(60) {
                std::thread::sleep(Duration::from_millis(5));
            }
            has_ended.store(true, Ordering::SeqCst);
            Ok::<_, String>(()) // too late
        }).unwrap());
        wait_until("the attempt has failed", || find(&db, id).status == JobStatus::Retrying);
        let job = find(&db, id);
        assert_eq!(job.error_message.as_deref(), Some("the handler took longer than 300ms"));
        let wait = job.run_at.to_utc() - job.updated_at.to_utc();
        assert!((wait.num_milliseconds() - 7_000).abs() < 1_000, "{wait}");
        wait_until("the handler is told", || ended.load(Ordering::SeqCst));
        stop.stop();
        assert_eq!(thread.join().unwrap(), Done { failed: 1, ..Done::default() });
    }
}
