//! The indexes of the 22 tables that lists use. A test compares them with the database.

/// An index.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) table: &'static str,
    pub(super) name: &'static str,
    pub(super) columns: &'static [&'static str],
    /// True if the index holds only the rows whose first column is not NULL.
    pub(super) partial: bool,
}

const fn index(table: &'static str, name: &'static str, columns: &'static [&'static str]) -> Index {
    Index { table, name, columns, partial: false }
}

const fn not_null(table: &'static str, name: &'static str, columns: &'static [&'static str]) -> Index {
    Index { table, name, columns, partial: true }
}

/// The indexes, without primary keys and without those that only the queue uses.
pub(super) static INDEXES: &[Index] = &[
    index("discovered_videos", "idx_discovered_videos_niche", &["niche", "discovered_at"]),
    index("discovered_videos", "idx_discovered_videos_processed", &["processed"]),
    index("pipeline_runs", "idx_pipeline_runs_status", &["status"]),
    index("pipeline_runs", "idx_pipeline_runs_niche", &["niche", "cycle_start"]),
    index("pipeline_runs", "idx_pipeline_runs_cycle_start", &["cycle_start"]),
    index("clips", "idx_clips_pipeline", &["pipeline_run_id"]),
    index("clips", "idx_clips_discovered_video", &["discovered_video_id"]),
    index("scripts", "idx_scripts_pipeline", &["pipeline_run_id"]),
    index("tts_audio", "idx_tts_audio_pipeline", &["pipeline_run_id"]),
    index("shorts", "idx_shorts_pipeline", &["pipeline_run_id"]),
    index("shorts", "idx_shorts_clip", &["clip_id"]),
    index("analytics", "idx_analytics_video", &["youtube_video_id", "measured_at"]),
    index("review_log", "idx_review_log_pipeline", &["pipeline_run_id"]),
    index("review_log", "idx_review_log_sent_at", &["sent_at"]),
    index("error_log", "idx_error_log_module", &["module", "occurred_at"]),
    index("error_log", "idx_error_log_pipeline", &["pipeline_run_id"]),
    index("error_log", "idx_error_log_occurred_at", &["occurred_at"]),
    index("channels", "idx_channels_is_active", &["is_active"]),
    index("channels", "idx_channels_effect_preset_id", &["effect_preset_id"]),
    index("channels", "idx_channels_created_at", &["created_at"]),
    index("videos", "idx_videos_channel_id", &["channel_id"]),
    index("videos", "idx_videos_publication_status", &["publication_status"]),
    index("videos", "idx_videos_download_status", &["download_status"]),
    index("videos", "idx_videos_transformation_status", &["transformation_status"]),
    index("videos", "idx_videos_youtube_video_id", &["youtube_video_id"]),
    index("videos", "idx_videos_created_at", &["created_at"]),
    index("videos", "idx_videos_transformation_preset_id", &["transformation_preset_id"]),
    index("videos", "idx_videos_music_track_id", &["music_track_id"]),
    not_null("videos", "idx_videos_published_at", &["published_at"]),
    index("video_processing_jobs", "idx_jobs_video_id", &["video_id"]),
    index("video_processing_jobs", "idx_jobs_channel_id", &["channel_id"]),
    index("video_processing_jobs", "idx_jobs_status", &["status"]),
    index("video_processing_jobs", "idx_jobs_job_type", &["job_type"]),
    index("video_processing_jobs", "idx_jobs_queued_at", &["queued_at"]),
    not_null("video_processing_jobs", "idx_jobs_completed_at", &["completed_at"]),
    index("channel_statistics", "idx_channel_stats_series", &["channel_id", "timestamp"]),
    index("channel_statistics", "idx_channel_stats_timestamp", &["timestamp"]),
    index("video_statistics", "idx_video_stats_series", &["video_id", "timestamp"]),
    index("video_statistics", "idx_video_stats_timestamp", &["timestamp"]),
    index("trends", "idx_trends_platform_views", &["platform", "views"]),
    index("job_scripts", "idx_job_scripts_job_id", &["job_id"]),
    index("job_videos", "idx_job_videos_job_id", &["job_id"]),
    index("job_videos", "idx_job_videos_script_id", &["script_id"]),
    index("job_videos", "idx_job_videos_created_at", &["created_at"]),
];

/// Columns that no two rows share.
const UNIQUE: [(&str, &str); 4] = [
    ("discovered_videos", "video_id"),
    ("channels", "youtube_channel_id"),
    ("music", "spotify_track_id"),
    ("trends", "external_id"),
];

/// Returns the indexes of a table.
pub(super) fn of(table: &str) -> impl Iterator<Item = &'static Index> {
    INDEXES.iter().filter(move |index| index.table == table)
}

pub(super) fn is_unique(table: &str, column: &str) -> bool {
    UNIQUE.contains(&(table, column))
}

/// Returns `None` if no index has the order of the column, `Some(None)` if one has, and the column that must be filtered first
/// if an index has the order only then.
///
/// Only times and counts are sorted: for columns with few different values a filter is the better tool, and the order of texts
/// depends on the engine.
pub(super) fn sorting(table: &str, column: &str) -> Option<Option<&'static str>> {
    let is_ordered = column.ends_with("_at") || matches!(column, "timestamp" | "cycle_start" | "views");
    let indexes = || of(table).filter(|_| is_ordered);
    if indexes().any(|index| index.columns.first() == Some(&column)) {
        return Some(None);
    }
    indexes().find(|index| index.columns.get(1) == Some(&column)).map(|index| index.columns.first().copied())
}
