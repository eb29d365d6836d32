//! Tests of the work queue.

#[cfg(feature = "async")]
mod async_worker;
mod claims;
mod commands;
mod history;
#[cfg(feature = "sqlite")]
mod idle;
mod job_schedules;
mod limits;
mod model;
mod order;
mod prefetch;
mod schedules;
mod steps;
mod workers;

use std::time::Duration;

use viraldb::diesel::prelude::*;
use viraldb::queue::{self, Claim};
use viraldb::republishing::{
    JobStatus, JobType, NewVideoProcessingJob, VideoProcessingJob, VideoProcessingJobId,
};
use viraldb::schema::video_processing_jobs as jobs;
use viraldb::{Database, Timestamp};

use crate::make;

const LONG: Duration = Duration::from_secs(3600);

/// Enqueues jobs, all for one video.
fn put<const N: usize>(
    db: &Database,
    change: [fn(&mut NewVideoProcessingJob<'_>); N],
) -> [VideoProcessingJobId; N] {
    db.write(|c| {
        let video = make::video(c).insert(c)?;
        Ok(change.map(|change| {
            let mut job = NewVideoProcessingJob::new(video.id, video.channel_id, JobType::Download);
            change(&mut job);
            queue::enqueue(c, &job).unwrap().unwrap().id
        }))
    })
    .unwrap()
}

fn claim(db: &Database, claim: &Claim) -> Vec<VideoProcessingJob> {
    db.write(|c| queue::claim(c, claim)).unwrap()
}

/// Returns how many jobs were rescued for a retry, and how many failed for good.
fn rescued(rescued: viraldb::Result<queue::Rescued>) -> (usize, usize) {
    let rescued = rescued.unwrap();
    (rescued.retrying, rescued.failed)
}

fn find(db: &Database, id: VideoProcessingJobId) -> VideoProcessingJob {
    db.read(|c| VideoProcessingJob::find(c, id)).unwrap()
}

/// Makes the lease of a job expire a second ago.
fn expire(db: &Database, id: VideoProcessingJobId) {
    let past = Timestamp::now() - Duration::from_secs(1);
    let changed = db.write(|c| {
        Ok(viraldb::diesel::update(jobs::table.find(id))
            .set(jobs::lease_expires_at.eq(Some(past)))
            .execute(c)?)
    });
    assert_eq!(changed.unwrap(), 1);
}

fn ids(jobs: &[VideoProcessingJob]) -> Vec<VideoProcessingJobId> {
    jobs.iter().map(|job| job.id).collect()
}

fn is_waiting(job: &VideoProcessingJob) -> bool {
    matches!(job.status, JobStatus::Queued | JobStatus::Retrying) && job.lease_token.is_none()
}
