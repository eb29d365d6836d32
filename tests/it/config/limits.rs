//! The settings that limit the jobs of all workers together. Each function sets one of them and checks its effect.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use viraldb::queue::{self, Claim, Worker};
use viraldb::republishing::{
    JobStatus, JobType, NewVideoProcessingJob, VideoProcessingJob, VideoProcessingJobFilter,
};

use super::effects::{set, set_for, video};
use super::*;
use crate::support::wait_until;

/// Enqueues eight jobs of a type for a channel.
fn enqueue(db: &Database, channel: ChannelId, job_type: JobType) {
    let video = video(db, channel);
    let jobs: Vec<_> = (0..8).map(|_| NewVideoProcessingJob::new(video, channel, job_type)).collect();
    db.write(|c| queue::enqueue_many(c, &jobs)).unwrap();
}

fn completed(db: &Database) -> i64 {
    let filter = VideoProcessingJobFilter { status: Some(JobStatus::Completed), ..Default::default() };
    db.read(|c| VideoProcessingJob::count(c, &filter)).unwrap()
}

/// Runs a worker until `count` more jobs are completed, and returns how many ran at most for each channel.
fn most(db: &Database, count: i64) -> HashMap<ChannelId, usize> {
    let before = completed(db);
    let worker = Worker::new(db, Claim::new("w"));
    let (stop, most) = (worker.stop(), Arc::<Mutex<HashMap<ChannelId, (usize, usize)>>>::default());
    let seen = Arc::clone(&most);
    let thread = std::thread::spawn(move || {
        worker
            .run(move |job| {
                let change = |by: isize| {
                    let mut seen = seen.lock().unwrap();
                    let (now, most) = seen.entry(job.channel_id).or_default();
                    *now = now.checked_add_signed(by).unwrap();
                    *most = (*most).max(*now);
                };
                change(1);
                std::thread::sleep(Duration::from_millis(50));
                change(-1);
                Ok::<_, String>(())
            })
            .unwrap()
    });
    wait_until("the jobs are completed", || completed(db) == before + count);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(completed(db), before + count, "no other job runs");
    stop.stop();
    thread.join().unwrap();
    let most = most.lock().unwrap();
    most.iter().map(|(channel, (_, most))| (*channel, *most)).collect()
}

/// Checks a limit on concurrent jobs of a type.
fn concurrent(t: &Scratch, key: &str, job_type: JobType) {
    let (db, channel) = (t.db(), channel(&t.db(), json!({})));
    for limit in [1, 2] {
        set(t, key, &limit.to_string());
        enqueue(&db, channel, job_type);
        assert_eq!(most(&db, 8)[&channel], limit, "{key}");
    }
}

/// Checks a limit on how many jobs of a type start within a period.
fn within(t: &Scratch, key: &str, job_type: JobType) {
    let (db, channel) = (t.db(), channel(&t.db(), json!({})));
    set(t, key, "3");
    enqueue(&db, channel, job_type);
    most(&db, 3);
    set(t, key, "5");
    most(&db, 2);
}

pub fn max_concurrent_downloads(t: &Scratch) {
    concurrent(t, "max_concurrent_downloads", JobType::Download);
}

pub fn max_concurrent_publishes(t: &Scratch) {
    concurrent(t, "max_concurrent_publishes", JobType::Publish);
}

pub fn max_concurrent_renders(t: &Scratch) {
    concurrent(t, "max_concurrent_renders", JobType::MusicReplace);
}

pub fn max_concurrent_scrapes(t: &Scratch) {
    concurrent(t, "max_concurrent_scrapes", JobType::Scrape);
}

pub fn max_downloads_per_minute(t: &Scratch) {
    within(t, "max_downloads_per_minute", JobType::Download);
}

pub fn max_publishes_per_day(t: &Scratch) {
    within(t, "max_publishes_per_day", JobType::Publish);
}

pub fn max_scrapes_per_minute(t: &Scratch) {
    within(t, "max_scrapes_per_minute", JobType::Scrape);
}

pub fn max_concurrent_jobs_per_channel(t: &Scratch) {
    let db = t.db();
    let [one, two] = [(); 2].map(|()| channel(&db, json!({})));
    set(t, "max_concurrent_jobs_per_channel", "1");
    set_for(t, two, "max_concurrent_jobs_per_channel", "2");
    for channel in [one, two] {
        enqueue(&db, channel, JobType::Scrape);
    }
    let most = most(&db, 16);
    assert_eq!((most[&one], most[&two]), (1, 2));
}
