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
    /// Returns the job with this id.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no job has this id.
    ///
    /// ```
    /// use viraldb::Json;
    /// use viraldb::generation::{JobView, NewJob, NewJobScript};
    ///
    /// # fn main() -> viraldb::Result<()> {
    /// # let db = viraldb::Database::open("sqlite::memory:")?;
    /// let job = db.write(|c| NewJob::new().insert(c))?;
    /// let scenes = Json(serde_json::json!(["a cat", "a piano"]));
    /// let script = NewJobScript { job_id: Some(job.id), ..NewJobScript::new("a cat on a piano", scenes) };
    /// db.write(|c| script.insert(c))?;
    /// let view = db.read(|c| JobView::find(c, job.id))?;
    /// assert_eq!((view.scripts.len(), view.videos.len()), (1, 0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn find(conn: &mut DbConnection, id: JobId) -> Result<Self> {
        conn.snapshot(|conn| {
            let job = Job::find(conn, id)?;
            let scripts = JobScript::of_job(conn, id)?;
            let videos = JobVideo::of_job(conn, id)?;
            Ok(Self { job, scripts, videos })
        })
    }

    /// Returns one page of the matching jobs, newest first, like [`Job::list`].
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). The job `page.after`
    /// need not exist anymore.
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
