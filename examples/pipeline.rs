//! The tutorial's pipeline (docs/src/tutorial/rust.md): a run, two workers, a review and a publication.
//!
//! `cargo run --example pipeline` makes a video out of the best pending videos and asks for a review.
//! `cargo run --example pipeline -- publish` publishes the approved runs.

#![allow(clippy::print_stdout)]

use std::thread;
use std::time::Duration;

use viraldb::compilation::{
    Clip, Cycle, DiscoveredVideo, PipelineRun, PipelineRunChanges, ReviewLog, RunStatus,
};
use viraldb::queue::{self, Claim, Worker};
use viraldb::republishing::{
    Channel, DownloadStatus, JobType, NewVideo, NewVideoProcessingJob, Video, VideoProcessingJob,
    VideoProcessingJobFilter,
};
use viraldb::{Database, Page, Result};

fn main() -> Result<()> {
    let url = std::env::var("DATABASE_URL").unwrap_or_else(|_| "sqlite://viral.db".to_owned());
    let db = Database::open(&url)?; // connects, migrates, and checks the history of migrations
    match std::env::args().nth(1).as_deref() {
        Some("publish") => publish(&db),
        _ => make(&db),
    }
}

/// Makes a video and asks a person to review it.
pub fn make(db: &Database) -> Result<()> {
    let (run, clips) = start(db)?;
    println!("run {} has {} clips", run.id, clips.len());
    enqueue(db, &clips)?;
    work(db)?;
    render(db, &run)?;
    let review = db.write(|c| ReviewLog::send(c, run.id))?;
    println!("review {} is open", review.id);
    Ok(())
}

/// Starts the run of this cycle, and chooses its four best videos.
fn start(db: &Database) -> Result<(PipelineRun, Vec<Clip>)> {
    db.write(|c| {
        let run = PipelineRun::start(c, "music", &Cycle::default())?;
        let clips = Clip::choose_best(c, run.id, 4)?; // no other run gets these videos
        let run = PipelineRun::move_to(c, run.id, RunStatus::Running)?;
        Ok((run, clips))
    })
}

/// Puts one download job for each clip into the queue.
fn enqueue(db: &Database, clips: &[Clip]) -> Result<()> {
    db.write(|c| {
        let channel = Channel::find_by_youtube_channel_id(c, "UC0ZV6M2THA81QT9hrVWJG3A")?;
        for clip in clips {
            let found = DiscoveredVideo::find(c, clip.discovered_video_id)?;
            let source = NewVideo {
                channel_id: channel.id,
                source_url: found.url.into(),
                source_title: found.title.into(),
                source_platform: "youtube".into(),
                ..Default::default()
            };
            let video = source.insert(c)?;
            queue::enqueue(c, &NewVideoProcessingJob::new(video.id, channel.id, JobType::Download))?;
        }
        Ok(())
    })
}

/// Lets two workers download until the queue is empty.
fn work(db: &Database) -> Result<()> {
    let workers = ["worker-1", "worker-2"].map(|name| {
        let claim = Claim::new(name).types([JobType::Download]).lease(Duration::from_secs(60));
        Worker::new(db, claim).concurrency(1)
    });
    thread::scope(|scope| {
        let running = workers.each_ref().map(|worker| {
            let db = db.clone();
            scope.spawn(move || worker.run(move |job| download(&db, job)))
        });
        let all_done = wait_for_downloads(db);
        workers.iter().for_each(|worker| worker.stop().stop());
        for worker in running {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        all_done
    })
}

/// Downloads the video of a job. A worker completes the job after `Ok`, and retries it after an error.
fn download(db: &Database, job: &VideoProcessingJob) -> Result<()> {
    // Fetch the file here.
    db.write(|c| Video::move_to(c, job.video_id, DownloadStatus::Downloaded))?;
    Ok(())
}

/// Waits until no download is pending.
fn wait_for_downloads(db: &Database) -> Result<()> {
    let filter = VideoProcessingJobFilter { job_type: Some(JobType::Download), ..Default::default() };
    loop {
        let jobs = db.read_newest(|c| VideoProcessingJob::list(c, &filter, &Page::first(1_000)))?;
        if jobs.iter().all(|job| job.completed_at.is_some()) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Renders the video, and records where it is.
fn render(db: &Database, run: &PipelineRun) -> Result<()> {
    // Cut and join the clips here.
    let rendered = PipelineRunChanges {
        video_file_path: Some(Some(format!("videos/run-{}.mp4", run.id).into())),
        ..Default::default()
    };
    db.write(|c| rendered.update(c, run.id))?;
    Ok(())
}

/// Uploads the videos of approved runs.
pub fn publish(db: &Database) -> Result<()> {
    for run in db.read_newest(|c| PipelineRun::with_status(c, RunStatus::Approved, &Page::first(10)))? {
        // Upload the file here.
        let uploaded = PipelineRunChanges {
            youtube_video_id: Some(Some("M7lc1UVf-VE".into())),
            youtube_url: Some(Some("https://www.youtube.com/watch?v=M7lc1UVf-VE".into())),
            ..Default::default()
        };
        db.write(|c| {
            uploaded.update(c, run.id)?;
            PipelineRun::move_to(c, run.id, RunStatus::Uploaded)
        })?;
        println!("run {} is uploaded", run.id);
    }
    Ok(())
}
