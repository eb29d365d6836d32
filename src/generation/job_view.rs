//! A job with its scripts and videos.

use serde::{Deserialize, Serialize};

use super::{Job, JobFilter, JobScript, JobVideo};
use crate::db::{DbConnection, Page};
use crate::error::Result;
use crate::types::JobId;

/// A job with its scripts and videos.
///
/// All of it is read from one snapshot; see [`DbConnection::snapshot`]. Three queries load up to 30,000 jobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct JobView {
    /// The job.
    #[serde(flatten)]
    pub job: Job,
    /// Scripts that the job wrote, oldest first.
    pub scripts: Vec<JobScript>,
    /// Videos that the job generated, oldest first.
    pub videos: Vec<JobVideo>,
}

impl JobView {
    /// Returns the job with this id, or `NotFound` if it does not exist.
    pub fn find(conn: &mut DbConnection, id: JobId) -> Result<Self> {
        conn.snapshot(|conn| {
            let job = Job::find(conn, id)?;
            let scripts = JobScript::of_job(conn, id)?;
            let videos = JobVideo::of_job(conn, id)?;
            Ok(Self { job, scripts, videos })
        })
    }

    /// Returns one page of the matching jobs, newest first, like [`Job::list`].
    pub fn list(conn: &mut DbConnection, filter: &JobFilter, page: &Page<JobId>) -> Result<Vec<Self>> {
        conn.snapshot(|conn| {
            let jobs = Job::list(conn, filter, page)?;
            let scripts = JobScript::of_jobs(conn, &jobs)?;
            let videos = JobVideo::of_jobs(conn, &jobs)?;
            let views = jobs.into_iter().zip(scripts).zip(videos);
            Ok(views.map(|((job, scripts), videos)| Self { job, scripts, videos }).collect())
        })
    }
}
