//! Queries for reports, dashboards and metrics.
//!
//! Each function runs a fixed number of statements and reads only the rows of its [`Span`], unless its documentation says
//! otherwise. `viraldb report` and `viraldb serve` show the results.

mod channels;
mod errors;
mod money;
mod pipeline;
mod queue;
mod span;
mod sql;
mod trends;
mod videos;

pub use channels::{ChannelPeriod, Publications, channel_series, publications};
pub use errors::{ErrorPeriod, errors_by_module};
pub use money::{MoneyPeriod, money};
pub use pipeline::{
    ReviewAnswers, RunOnTimeline, RunsOfNiche, StatusTime, review_answers, run_timeline, runs_by_niche,
    time_in_status,
};
pub use queue::{
    FailedAttempts, FailureCause, OldestDue, QueuePeriod, failed_attempts, failure_causes, oldest_due,
    queue_throughput,
};
pub use span::Span;
pub use trends::{PlatformTrends, trends_by_platform};
pub use videos::{TopBy, TopVideo, VideoAge, top_videos, video_ages};
