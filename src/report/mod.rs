//! Queries for reports, dashboards and metrics.
//!
//! Each function runs a fixed number of statements and reads only the rows of its [`Span`], unless its documentation says
//! otherwise. `viraldb report` shows the results.
//!
//! [`counts`] and the functions below count rows:
//!
//! | item | purpose |
//! |---|---|
//! | [`counts`] | all of the following numbers |
//! | [`count_tables`] | the number of rows of each table |
//! | [`count_runs`], [`count_jobs`] | the number of runs and queue jobs by status |
//! | [`count_pending_videos`], [`count_unresolved_errors`] | the work that is left |
//!
//! With [`Exactness::Estimate`], counts are exact up to 50,000 rows. Larger ones are estimates, so that they take milliseconds
//! in a table of any size. A [`Count`] says whether it is an estimate.

mod channels;
mod errors;
mod estimate;
mod money;
mod pipeline;
mod queue;
mod span;
mod sql;
mod trends;
mod videos;

pub use channels::{ChannelPeriod, Publications, channel_series, publications};
pub use errors::{ErrorPeriod, errors_by_module};
pub use estimate::{
    Count, Counts, Exactness, TableCount, count_jobs, count_pending_videos, count_runs, count_tables,
    count_unresolved_errors, counts,
};
pub use money::{MoneyPeriod, money};
pub use pipeline::{
    ReviewAnswers, RunOnTimeline, RunsOfNiche, StatusTime, WaitingReviews, review_answers, run_timeline,
    runs_by_niche, time_in_status, waiting_reviews,
};
pub use queue::{
    FailedAttempts, FailureCause, OldestDue, QueuePeriod, failed_attempts, failure_causes, oldest_due,
    queue_throughput,
};
pub use span::Span;
pub use trends::{PlatformTrends, trends_by_platform};
pub use videos::{TopBy, TopVideo, VideoAge, top_videos, video_ages};
