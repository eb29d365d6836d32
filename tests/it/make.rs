//! Rows for tests. Each builder fills in all required columns and inserts the parent rows, so a test sets only the
//! columns that it is about.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use viraldb::compilation::*;
use viraldb::diesel::connection::SimpleConnection;
use viraldb::diesel::prelude::*;
use viraldb::diesel::sql_query;
use viraldb::diesel::sql_types::{Nullable, Text};
use viraldb::generation::*;
use viraldb::republishing::{self, *};
use viraldb::{DbConnection, Json, Page, Result, Timestamp};

/// Returns the timestamp `seconds` after the start of 2026.
pub fn at(seconds: i64) -> Timestamp {
    let start: Timestamp = "2026-01-01".parse().unwrap();
    (start.to_utc() + chrono::TimeDelta::seconds(seconds)).into()
}

/// Returns a copy of a row with some columns changed. Row structs are non-exhaustive, so a test cannot use a struct
/// expression.
pub fn changed<T: Clone>(row: &T, change: impl FnOnce(&mut T)) -> T {
    let mut row = row.clone();
    change(&mut row);
    row
}

/// Returns `word` with a number that no other row has.
pub fn unique(word: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{word}{:04}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub fn discovered_video() -> NewDiscoveredVideo<'static> {
    NewDiscoveredVideo {
        video_id: unique("v").into(),
        title: "I asked her".into(),
        channel_name: "Channel".into(),
        channel_id: "UC1".into(),
        url: "https://youtu.be/x".into(),
        niche: "gaming".into(),
        ..Default::default()
    }
}

pub fn pipeline_run() -> NewPipelineRun<'static> {
    NewPipelineRun::new("gaming", at(0), at(3600))
}

pub fn clip(c: &mut DbConnection) -> NewClip<'static> {
    NewClip {
        pipeline_run_id: run_id(c),
        discovered_video_id: discovered_video_id(c),
        rank_position: 1,
        start_time_seconds: 1.5,
        end_time_seconds: 4.0,
        clip_duration_seconds: 2.5,
        ..Default::default()
    }
}

pub fn script(c: &mut DbConnection) -> NewScript<'static> {
    NewScript { pipeline_run_id: run_id(c), ..Default::default() }
}

pub fn tts_audio(c: &mut DbConnection) -> NewTtsAudio<'static> {
    NewTtsAudio { pipeline_run_id: run_id(c), engine_used: "edge".into(), ..Default::default() }
}

pub fn short(c: &mut DbConnection) -> NewShort<'static> {
    NewShort { pipeline_run_id: run_id(c), ..Default::default() }
}

pub fn analytics() -> NewAnalytics<'static> {
    NewAnalytics { youtube_video_id: "yt1".into(), ..Default::default() }
}

pub fn review(c: &mut DbConnection) -> NewReviewLog<'static> {
    NewReviewLog { pipeline_run_id: run_id(c), ..Default::default() }
}

pub fn config_override() -> NewConfigOverride<'static> {
    NewConfigOverride { key: unique("key").into(), value: "on".into(), ..Default::default() }
}

pub fn error() -> NewErrorLog<'static> {
    NewErrorLog {
        module: "cut".into(),
        error_type: "TimeoutError".into(),
        error_message: "no answer".into(),
        ..Default::default()
    }
}

pub fn preset() -> NewTransformationPreset<'static> {
    NewTransformationPreset {
        name: "Zoom".into(),
        parameters: Json(json!({"zoom": 1.2})),
        ..Default::default()
    }
}

pub fn music() -> NewMusic<'static> {
    NewMusic { name: "Track".into(), ..Default::default() }
}

pub fn channel() -> NewChannel<'static> {
    NewChannel {
        name: "Channel".into(),
        youtube_channel_id: unique("UC").into(),
        youtube_channel_url: "https://youtube.com/@x".into(),
        api_credentials_encrypted: "gAAAA".into(),
        posting_schedule: Json(json!({"hours": [8, 20]})),
        content_filters: Json(json!({})),
        metadata_template: Json(json!({"title": "{title}"})),
        ..Default::default()
    }
}

pub fn video(c: &mut DbConnection) -> NewVideo<'static> {
    NewVideo {
        channel_id: channel_id(c),
        source_url: "https://tiktok.com/1".into(),
        source_title: "Dance".into(),
        source_platform: "tiktok".into(),
        ..Default::default()
    }
}

pub fn video_job(c: &mut DbConnection) -> NewVideoProcessingJob<'static> {
    let video = video(c).insert(c).unwrap();
    NewVideoProcessingJob::new(video.id, video.channel_id, JobType::Download)
}

pub fn channel_statistics(c: &mut DbConnection) -> NewChannelStatistics {
    NewChannelStatistics { channel_id: channel_id(c), ..Default::default() }
}

pub fn video_statistics(c: &mut DbConnection) -> NewVideoStatistics {
    NewVideoStatistics { video_id: video_id(c), ..Default::default() }
}

pub fn setting() -> NewSystemConfiguration<'static> {
    NewSystemConfiguration { key: unique("key").into(), ..Default::default() }
}

pub fn job() -> NewJob<'static> {
    NewJob::default()
}

pub fn trend() -> NewTrend<'static> {
    NewTrend { external_id: unique("x").into(), ..NewTrend::new(Platform::Tiktok, "") }
}

pub fn job_script() -> NewJobScript<'static> {
    NewJobScript { video_prompt: "a cat".into(), scenes: Json(json!([])), ..Default::default() }
}

pub fn job_video() -> NewJobVideo<'static> {
    NewJobVideo::default()
}

pub fn discovered_video_id(c: &mut DbConnection) -> DiscoveredVideoId {
    discovered_video().insert(c).unwrap().id
}

pub fn run_id(c: &mut DbConnection) -> PipelineRunId {
    pipeline_run().insert(c).unwrap().id
}

pub fn clip_id(c: &mut DbConnection) -> ClipId {
    clip(c).insert(c).unwrap().id
}

pub fn preset_id(c: &mut DbConnection) -> TransformationPresetId {
    preset().insert(c).unwrap().id
}

pub fn music_id(c: &mut DbConnection) -> MusicId {
    music().insert(c).unwrap().id
}

pub fn channel_id(c: &mut DbConnection) -> ChannelId {
    channel().insert(c).unwrap().id
}

pub fn video_id(c: &mut DbConnection) -> VideoId {
    video(c).insert(c).unwrap().id
}

pub fn job_id(c: &mut DbConnection) -> JobId {
    job().insert(c).unwrap().id
}

pub fn job_script_id(c: &mut DbConnection) -> JobScriptId {
    job_script().insert(c).unwrap().id
}

/// A table as other programs expect it.
pub struct Contract {
    pub table: &'static str,
    /// The columns without a default, with their values in one row.
    pub given: Value,
    /// The values that all other columns then have. `"now"` means the time of the insert.
    pub defaults: Value,
}

/// The id of the only preset and of the only track in [`contract`].
pub const PRESET: &str = "0190a000-0000-7000-8000-00000000000a";

/// Returns the 22 tables, parents first. Their rows refer to each other by ids that are right in an empty database.
pub fn contract() -> Vec<Contract> {
    const A: &str = PRESET;
    const B: &str = "0190a000-0000-7000-8000-00000000000b";
    const C: &str = "0190a000-0000-7000-8000-00000000000c";
    let time = "2026-01-01 00:00:00";
    let tables = [
        (
            "discovered_videos",
            json!({"video_id": "a", "title": "b", "channel_name": "c", "channel_id": "d", "url": "e",
                "niche": "f"}),
            json!({"id": 1, "category_id": null, "duration_seconds": null, "view_count": null,
                "like_count": null, "comment_count": null, "view_velocity": null, "viral_score": null,
                "discovery_source": null, "discovered_at": "now", "processed": 0,
                "content_id_risk": "unknown"}),
        ),
        (
            "pipeline_runs",
            json!({"niche": "a", "cycle_start": time, "cycle_end": time}),
            json!({"id": 1, "status": "pending", "started_at": null, "completed_at": null,
                "video_file_path": null, "video_duration_seconds": null, "video_file_size_bytes": null,
                "youtube_video_id": null, "youtube_url": null, "error_message": null, "retry_count": 0}),
        ),
        (
            "clips",
            json!({"pipeline_run_id": 1, "discovered_video_id": 1, "rank_position": 1,
                "start_time_seconds": 0.5, "end_time_seconds": 2.0, "clip_duration_seconds": 1.5}),
            json!({"id": 1, "extraction_method": null, "clip_file_path": null, "content_id_risk": "unknown"}),
        ),
        (
            "scripts",
            json!({"pipeline_run_id": 1}),
            json!({"id": 1, "opening_text": null, "closing_text": null, "full_script_json": null,
                "total_char_count": null, "estimated_duration_seconds": null, "llm_model_used": null,
                "generated_at": "now"}),
        ),
        (
            "tts_audio",
            json!({"pipeline_run_id": 1, "engine_used": "a"}),
            json!({"id": 1, "voice_profile": null, "audio_file_path": null, "duration_seconds": null,
                "generated_at": "now"}),
        ),
        (
            "shorts",
            json!({"pipeline_run_id": 1}),
            json!({"id": 1, "clip_id": null, "file_path": null, "duration_seconds": null, "title": null,
                "description": null, "youtube_video_id": null, "youtube_url": null, "status": "pending",
                "uploaded_at": null}),
        ),
        (
            "analytics",
            json!({"youtube_video_id": "a"}),
            json!({"id": 1, "measured_at": "now", "view_count": null, "like_count": null,
                "comment_count": null, "average_view_duration_seconds": null, "click_through_rate": null,
                "subscriber_gain": null, "estimated_revenue_usd": null}),
        ),
        (
            "review_log",
            json!({"pipeline_run_id": 1}),
            json!({"id": 1, "sent_at": "now", "responded_at": null, "action": null, "response_detail": null,
                "auto_held": false}),
        ),
        (
            "config_overrides",
            json!({"key": "a", "value": "b"}),
            json!({"updated_at": "now", "updated_by": "system"}),
        ),
        (
            "error_log",
            json!({"module": "a", "error_type": "b", "error_message": "c"}),
            json!({"id": 1, "pipeline_run_id": null, "stack_trace": null, "occurred_at": "now",
                "resolved": false, "correlation_id": null}),
        ),
        (
            "transformation_presets",
            json!({"id": A, "name": "a", "parameters": {}}),
            json!({"description": null, "is_default": false, "is_active": true, "created_at": "now",
                "updated_at": "now"}),
        ),
        (
            "music",
            json!({"id": A, "name": "a"}),
            json!({"artist": null, "spotify_track_id": null, "spotify_track_url": null, "file_path": null,
                "file_size": null, "duration": null, "metadata": null, "usage_count": 0, "is_active": true,
                "created_at": "now", "updated_at": "now"}),
        ),
        (
            "channels",
            json!({"id": A, "name": "a", "youtube_channel_id": "b", "youtube_channel_url": "c",
                "api_credentials_encrypted": "d", "posting_schedule": {}, "content_filters": [],
                "metadata_template": {"e": 1}}),
            json!({"is_active": false, "settings": {}, "effect_preset_id": null, "github_repo_url": null,
                "github_secret_key_encrypted": null, "phase2_enabled": false, "created_at": "now",
                "updated_at": "now", "last_publication_at": null}),
        ),
        (
            "videos",
            json!({"id": B, "channel_id": A, "source_url": "a", "source_title": "b", "source_platform": "c"}),
            json!({"source_creator": null, "scraped_at": "now", "download_status": "pending",
                "download_url": null, "download_size": null, "download_duration": null,
                "download_resolution": null, "transformation_status": "pending",
                "transformation_preset_id": null, "transformation_params": null, "transformed_url": null,
                "transformed_size": null, "processing_started_at": null, "processing_completed_at": null,
                "processing_duration": null, "publication_status": "pending",
                "scheduled_publication_at": null, "published_at": null, "youtube_video_id": null,
                "youtube_video_url": null, "final_title": null, "final_description": null,
                "final_tags": null, "music_replaced": false, "music_track_id": null, "metadata": {},
                "processing_history": [], "status": "pending", "created_at": "now", "updated_at": "now"}),
        ),
        (
            "video_processing_jobs",
            json!({"id": C, "video_id": B, "channel_id": A, "job_type": "scrape"}),
            json!({"status": "queued", "priority": 0, "attempts": 0, "max_attempts": 3,
                "error_message": null, "error_details": null, "queued_at": "now", "started_at": null,
                "completed_at": null, "duration": null, "github_workflow_run_id": null, "run_at": "now",
                "lease_token": null, "leased_by": null, "lease_expires_at": null, "unique_key": null, "payload": null, "progress": null, "progress_note": null,
                "created_at": "now", "updated_at": "now"}),
        ),
        (
            "channel_statistics",
            json!({"id": A, "channel_id": A}),
            json!({"subscriber_count": 0, "view_count": 0, "video_count": 0, "total_views": 0,
                "total_videos": 0, "timestamp": "now", "created_at": "now"}),
        ),
        (
            "video_statistics",
            json!({"id": A, "video_id": B}),
            json!({"view_count": 0, "like_count": 0, "comment_count": 0, "timestamp": "now",
                "created_at": "now"}),
        ),
        (
            "system_configuration",
            json!({"key": "a", "value": {}}),
            json!({"description": null, "encrypted": false, "created_at": "now", "updated_at": "now"}),
        ),
        (
            "jobs",
            json!({}),
            json!({"id": 1, "status": "pending", "stage": null, "theme": null, "created_at": "now",
                "updated_at": null, "error_message": null, "metadata": null}),
        ),
        (
            "trends",
            json!({"platform": "tiktok", "external_id": "a"}),
            json!({"id": 1, "title": null, "creator": null, "hashtags": null, "views": null, "likes": null,
                "comments": null, "shares": null, "video_url": null, "thumbnail_url": null,
                "collected_at": "now", "metadata": null}),
        ),
        (
            "job_scripts",
            json!({"video_prompt": "a", "scenes": []}),
            json!({"id": 1, "job_id": null, "text_overlays": null, "voiceover_script": null, "title": null,
                "description": null, "hashtags": null, "created_at": "now"}),
        ),
        (
            "job_videos",
            json!({}),
            json!({"id": 1, "job_id": null, "script_id": null, "status": "generated", "file_path": null,
                "thumbnail_path": null, "duration_seconds": null, "cost_usd": null, "created_at": "now",
                "approved_at": null, "published_at": null, "published_url": null, "metadata": null}),
        ),
    ];
    tables.map(|(table, given, defaults)| Contract { table, given, defaults }).into()
}

impl Contract {
    /// Returns the INSERT statement that another program would send.
    pub fn insert(&self) -> String {
        let given = self.given.as_object().unwrap();
        if given.is_empty() {
            return format!("INSERT INTO {} DEFAULT VALUES", self.table);
        }
        let columns: Vec<&str> = given.keys().map(|column| &**column).collect();
        let values: Vec<String> = given
            .values()
            .map(|value| match value {
                Value::Number(number) => number.to_string(),
                Value::String(text) => format!("'{text}'"),
                document => format!("'{document}'"),
            })
            .collect();
        format!("INSERT INTO {} ({}) VALUES ({})", self.table, columns.join(", "), values.join(", "))
    }
}

/// Returns true if `value` is within one minute of the current time.
pub fn is_now(value: &Value) -> bool {
    let at: Timestamp = value.as_str().unwrap().parse().unwrap();
    Timestamp::now().hours_since(at).abs() < 1.0 / 60.0
}

/// Inserts one row into each of the 22 tables of an empty database.
pub fn seed(c: &mut DbConnection) -> Result<()> {
    contract().iter().try_for_each(|table| execute(c, &table.insert()))
}

/// Fills every optional foreign key in the rows of [`seed`].
pub fn link(c: &mut DbConnection) -> Result<()> {
    execute(
        c,
        "UPDATE shorts SET clip_id = 1; UPDATE error_log SET pipeline_run_id = 1;
         UPDATE channels SET effect_preset_id = (SELECT id FROM transformation_presets);
         UPDATE videos SET transformation_preset_id = (SELECT id FROM transformation_presets),
             music_track_id = (SELECT id FROM music);
         UPDATE job_scripts SET job_id = 1; UPDATE job_videos SET job_id = 1, script_id = 1",
    )
}

/// Runs statements as another program would, without viraldb's models.
pub fn execute(c: &mut DbConnection, statements: &str) -> Result<()> {
    Ok(c.batch_execute(statements)?)
}

/// Returns the values of the only column `v` of a query as text. NULL becomes "NULL".
pub fn query(c: &mut DbConnection, text: &str) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Nullable<Text>)]
        v: Option<String>,
    }
    let rows = match c {
        #[cfg(feature = "sqlite")]
        DbConnection::Sqlite(c) => sql_query(text).load::<Row>(c),
        #[cfg(feature = "postgres")]
        DbConnection::Postgres(c) => sql_query(text).load::<Row>(c),
    };
    let rows = rows.unwrap_or_else(|error| panic!("{text}: {error}"));
    rows.into_iter().map(|row| row.v.unwrap_or_else(|| "NULL".to_owned())).collect()
}

/// Returns the rows of a table as viraldb's models read them.
pub fn rows(c: &mut DbConnection, table: &str) -> Vec<Value> {
    macro_rules! read {
        ($($table:literal => $row:ty),+; $($keyed:literal => $setting:ty),+) => {
            match table {
                $($table => serde_json::to_value(<$row>::list(c, &Default::default(), &Page::first(100)).unwrap()),)+
                $($keyed => serde_json::to_value(<$setting>::list(c, &Default::default(), &Page::first(100)).unwrap()),)+
                other => panic!("no model of {other}"),
            }
        };
    }
    let rows = read!(
        "discovered_videos" => DiscoveredVideo, "pipeline_runs" => PipelineRun, "clips" => Clip,
        "scripts" => Script, "tts_audio" => TtsAudio, "shorts" => Short, "analytics" => Analytics,
        "review_log" => ReviewLog, "error_log" => ErrorLog,
        "transformation_presets" => TransformationPreset, "music" => Music, "channels" => Channel,
        "videos" => republishing::Video, "video_processing_jobs" => VideoProcessingJob,
        "channel_statistics" => ChannelStatistics, "video_statistics" => VideoStatistics,
        "jobs" => Job, "trends" => Trend, "job_scripts" => JobScript, "job_videos" => JobVideo;
        "config_overrides" => ConfigOverride, "system_configuration" => SystemConfiguration
    );
    match rows.unwrap() {
        Value::Array(rows) => rows,
        other => panic!("{other}"),
    }
}
