//! Each of the 22 tables accepts a row that `New…::new` made from the required values.

use serde_json::json;
use viraldb::compilation::*;
use viraldb::generation::*;
use viraldb::republishing::*;
use viraldb::{Database, Json};

use crate::make;
use crate::support::both;

both! {
    fn new_asks_only_for_the_required_values_of_each_table(t) {
        let db: Database = t.db();
        let mut tables = Vec::new();
        db.write(|c| {
            let mut inserted = |table| tables.push(table);
            let video = NewDiscoveredVideo::new("3C66w5Z0ixs", String::from("gaming")).insert(c)?;
            inserted("discovered_videos");
            let run = NewPipelineRun::new("gaming", make::at(0), make::at(60)).insert(c)?;
            inserted("pipeline_runs");
            let clip = NewClip::new(run.id, video.id, 1, 1.5, 4.0).insert(c)?;
            assert_eq!(clip.clip_duration_seconds, 2.5);
            inserted("clips");
            NewScript::new(run.id).insert(c)?;
            inserted("scripts");
            NewTtsAudio::new(run.id, "edge").insert(c)?;
            inserted("tts_audio");
            NewShort::new(run.id).insert(c)?;
            inserted("shorts");
            NewAnalytics::new("3C66w5Z0ixs").insert(c)?;
            inserted("analytics");
            NewReviewLog::new(run.id).insert(c)?;
            inserted("review_log");
            NewConfigOverride::new("max_clips", "5").insert(c)?;
            inserted("config_overrides");
            NewErrorLog::new("discovery", "Timeout", "no answer in 30 s").insert(c)?;
            inserted("error_log");
            NewTransformationPreset::new("none").insert(c)?;
            inserted("transformation_presets");
            NewMusic::new("Waltz").insert(c)?;
            inserted("music");
            let channel = NewChannel::new("Cats", "UC1").insert(c)?;
            inserted("channels");
            let source = NewVideo::new(channel.id, "https://x/1", "One", "tiktok").insert(c)?;
            inserted("videos");
            NewVideoProcessingJob::new(source.id, channel.id, JobType::Download).insert(c)?;
            inserted("video_processing_jobs");
            NewChannelStatistics::new(channel.id).insert(c)?;
            inserted("channel_statistics");
            NewVideoStatistics::new(source.id).insert(c)?;
            inserted("video_statistics");
            NewSystemConfiguration::new("greeting", viraldb::ConfigValue(json!("hello"))).insert(c)?;
            inserted("system_configuration");
            NewJob::new().insert(c)?;
            inserted("jobs");
            NewTrend::new(Platform::Tiktok, "7301").insert(c)?;
            inserted("trends");
            NewJobScript::new("a cat on a piano", Json(json!([]))).insert(c)?;
            inserted("job_scripts");
            NewJobVideo::new().insert(c)?;
            inserted("job_videos");
            Ok(())
        })
        .unwrap();
        let rows = viraldb::ops::status(&db).unwrap().tables;
        assert_eq!(tables.len(), 22);
        for table in tables {
            assert!(rows.iter().any(|of| of.table == table && of.count.rows >= 1), "{table}");
        }
    }
}
