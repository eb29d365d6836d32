//! Generation: models generate videos from collected trends.

mod job;
mod job_script;
mod job_video;
mod job_view;
mod trend;

pub use crate::types::{JobId, JobScriptId, JobVideoId, TrendId};
pub use job::{Job, JobChanges, JobFilter, JobStatus, NewJob};
pub use job_script::{JobScript, JobScriptChanges, JobScriptFilter, NewJobScript};
pub use job_video::{JobVideo, JobVideoChanges, JobVideoFilter, JobVideoStatus, NewJobVideo};
pub use job_view::JobView;
pub use trend::{NewTrend, Platform, Trend, TrendChanges, TrendFilter};
