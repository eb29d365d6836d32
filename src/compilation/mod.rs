//! Compilation: a pipeline cuts clips from discovered videos and compiles them into one video and its shorts.

mod analytics;
mod clip;
mod discovered_video;
mod error_log;
mod niche;
mod pipeline_run;
mod processed;
mod review_log;
mod run_view;
mod script;
mod short;
mod tts_audio;
mod video_view;

pub use crate::config::{ConfigOverride, ConfigOverrideChanges, ConfigOverrideFilter, NewConfigOverride};
pub use crate::types::{
    AnalyticsId, ClipId, DiscoveredVideoId, ErrorLogId, PipelineRunId, ReviewLogId, ScriptId, ShortId,
    TtsAudioId,
};
pub(crate) use analytics::Newest;
pub use analytics::{Analytics, AnalyticsChanges, AnalyticsFilter, NewAnalytics};
pub use clip::{Choose, Clip, ClipChanges, ClipFilter, NewClip};
pub(crate) use discovered_video::KnownVideos;
pub use discovered_video::{
    ContentIdRisk, DiscoveredVideo, DiscoveredVideoChanges, DiscoveredVideoFilter, NewDiscoveredVideo,
};
pub use error_log::{ErrorLog, ErrorLogChanges, ErrorLogFilter, NewErrorLog};
pub use niche::niches;
pub use pipeline_run::{
    Cycle, NewPipelineRun, PipelineRun, PipelineRunChanges, PipelineRunFilter, RunStatus,
};
pub use processed::Processed;
pub use review_log::{NewReviewLog, Overdue, ReviewAction, ReviewLog, ReviewLogChanges, ReviewLogFilter};
pub use run_view::RunView;
pub use script::{NewScript, Script, ScriptChanges, ScriptFilter};
pub use short::{NewShort, Short, ShortChanges, ShortFilter, ShortStatus};
pub use tts_audio::{NewTtsAudio, TtsAudio, TtsAudioChanges, TtsAudioFilter};
pub use video_view::DiscoveredVideoView;
