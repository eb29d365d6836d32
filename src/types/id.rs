//! A separate key type for each table, so that the key of one table is never mistaken for the key of another.

use super::portable;

portable! {
    /// Key of a row of `discovered_videos`.
    pub struct DiscoveredVideoId(i64);
}
portable! {
    /// Key of a row of `pipeline_runs`.
    pub struct PipelineRunId(i64);
}
portable! {
    /// Key of a row of `clips`.
    pub struct ClipId(i64);
}
portable! {
    /// Key of a row of `scripts`.
    pub struct ScriptId(i64);
}
portable! {
    /// Key of a row of `tts_audio`.
    pub struct TtsAudioId(i64);
}
portable! {
    /// Key of a row of `shorts`.
    pub struct ShortId(i64);
}
portable! {
    /// Key of a row of `analytics`.
    pub struct AnalyticsId(i64);
}
portable! {
    /// Key of a row of `review_log`.
    pub struct ReviewLogId(i64);
}
portable! {
    /// Key of a row of `error_log`.
    pub struct ErrorLogId(i64);
}
portable! {
    /// Key of a row of `transformation_presets`.
    pub struct TransformationPresetId(Uuid);
}
portable! {
    /// Key of a row of `music`.
    pub struct MusicId(Uuid);
}
portable! {
    /// Key of a row of `channels`.
    pub struct ChannelId(Uuid);
}
portable! {
    /// Key of a row of `videos`.
    pub struct VideoId(Uuid);
}
portable! {
    /// Key of a row of `video_processing_jobs`.
    pub struct VideoProcessingJobId(Uuid);
}
portable! {
    /// Key of a row of `channel_statistics`.
    pub struct ChannelStatisticsId(Uuid);
}
portable! {
    /// Key of a row of `video_statistics`.
    pub struct VideoStatisticsId(Uuid);
}
portable! {
    /// Key of a row of `jobs`.
    pub struct JobId(i64);
}
portable! {
    /// Key of a row of `trends`.
    pub struct TrendId(i64);
}
portable! {
    /// Key of a row of `job_scripts`.
    pub struct JobScriptId(i64);
}
portable! {
    /// Key of a row of `job_videos`.
    pub struct JobVideoId(i64);
}
portable! {
    /// Key of a row of `viraldb_config_changes`.
    pub struct ConfigChangeId(i64);
}
portable! {
    /// Key of a row of `viraldb_job_attempts`.
    pub struct JobAttemptId(Uuid);
}
portable! {
    /// Key of a row of `viraldb_job_waits`.
    pub struct JobWaitId(Uuid);
}
portable! {
    /// Key of a row of `viraldb_job_starts`.
    pub struct JobStartId(Uuid);
}
portable! {
    /// Identifies a running worker, for the numbers of jobs that workers share.
    pub struct WorkerId(Uuid);
}
portable! {
    /// Identifies one command run or unit of work, in the log and in `error_log`.
    pub struct CorrelationId(Uuid);
}
portable! {
    /// Identifies one claim of a job. Without the token, a program can neither finish the job nor extend its lease.
    pub struct LeaseToken(Uuid);
}
