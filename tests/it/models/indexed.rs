//! Tests that both engines accept the same length of text in indexed columns.

use viraldb::ingest::{self, Options};
use viraldb::{Result, queue};

use super::*;
use crate::support::both;

/// Returns text that does not compress, because PostgreSQL compresses index entries.
fn long(bytes: usize) -> String {
    let mut state = 7_u64;
    (0..bytes)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'!' + u8::try_from((state >> 33) % 90).unwrap())
        })
        .map(|c| if matches!(c, '"' | '\\') { 'x' } else { c })
        .collect()
}

/// Asserts that `insert` accepts the longest text and rejects text that is one byte longer.
fn is_limited<T>(what: &str, insert: impl Fn(String) -> Result<T>) {
    if let Err(error) = insert(long(2_600)) {
        panic!("{what}: {error}");
    }
    match insert(long(2_601)) {
        Err(error @ Error::Invalid { .. }) => {
            let said = error.to_string();
            assert!(said.ends_with("has 2601 bytes; the maximum is 2600"), "{what}: {said}");
        }
        Err(error) => panic!("{what}: {error}"),
        Ok(_) => panic!("{what} accepts it"),
    }
}

both! {
    fn indexed_columns_have_the_same_length_limit(t) {
        use crate::make::*;
        let db = t.db();
        let c = |work: &dyn Fn(&mut DbConnection) -> Result<()>| db.write(|c| { work(c)?; c.atomically(|_| Ok(())) });
        is_limited("discovered_videos.video_id", |text| c(&|c| {
            let row = viraldb::compilation::NewDiscoveredVideo { video_id: text.clone().into(), ..discovered_video() };
            row.insert(c)?;
            viraldb::compilation::NewDiscoveredVideo::insert_or_update_many(c, &[row]).map(drop)
        }));
        is_limited("discovered_videos.niche", |text| c(&|c| {
            let row = || viraldb::compilation::NewDiscoveredVideo { niche: text.clone().into(), ..discovered_video() };
            viraldb::compilation::NewDiscoveredVideo::insert_many(c, &[row()])?;
            row().insert_or_update(c).map(drop)
        }));
        is_limited("discovered_videos.niche, changed", |text| c(&|c| {
            let id = discovered_video_id(c);
            viraldb::compilation::DiscoveredVideoChanges { niche: Some(text.clone().into()), ..Default::default() }.update(c, id).map(drop)
        }));
        is_limited("discovered_videos.video_id, changed", |text| c(&|c| {
            let id = discovered_video_id(c);
            viraldb::compilation::DiscoveredVideoChanges { video_id: Some(format!("{}y", &text[1..]).into()), ..Default::default() }.update(c, id).map(drop)
        }));
        is_limited("pipeline_runs.niche", |text| c(&|c| {
            viraldb::compilation::NewPipelineRun { niche: text.clone().into(), ..pipeline_run() }.insert(c).map(drop)
        }));
        is_limited("analytics.youtube_video_id", |text| c(&|c| {
            let row = viraldb::compilation::NewAnalytics { youtube_video_id: text.clone().into(), ..analytics() };
            row.insert(c)?;
            viraldb::compilation::NewAnalytics::insert_new_many(c, &[row]).map(drop)
        }));
        is_limited("error_log.module", |text| c(&|c| {
            viraldb::compilation::NewErrorLog { module: text.clone().into(), ..error() }.insert(c).map(drop)
        }));
        is_limited("config_overrides.key", |text| c(&|c| {
            viraldb::compilation::NewConfigOverride { key: text.clone().into(), ..config_override() }.insert_or_update(c).map(drop)
        }));
        is_limited("system_configuration.key", |text| c(&|c| {
            viraldb::republishing::NewSystemConfiguration { key: text.clone().into(), ..setting() }.insert_or_update(c).map(drop)
        }));
        is_limited("music.spotify_track_id", |text| c(&|c| {
            viraldb::republishing::NewMusic { spotify_track_id: Some(text.clone().into()), ..music() }.insert_or_update(c).map(drop)
        }));
        is_limited("channels.youtube_channel_id", |text| c(&|c| {
            viraldb::republishing::NewChannel { youtube_channel_id: text.clone().into(), ..channel() }.insert_or_update(c).map(drop)
        }));
        is_limited("videos.youtube_video_id", |text| c(&|c| {
            let row = video(c);
            viraldb::republishing::NewVideo { youtube_video_id: Some(text.clone().into()), ..row }.insert(c).map(drop)
        }));
        is_limited("video_processing_jobs.unique_key", |text| c(&|c| {
            let row = viraldb::republishing::NewVideoProcessingJob { unique_key: Some(text.clone().into()), ..video_job(c) };
            queue::enqueue(c, &row).map(drop)
        }));
        is_limited("trends.external_id", |text| c(&|c| {
            viraldb::generation::NewTrend { external_id: text.clone().into(), ..trend() }.insert_or_update(c).map(drop)
        }));

        is_limited("trends.external_id, changed", |text| c(&|c| {
            let id = trend().insert(c)?.id;
            viraldb::generation::TrendChanges { external_id: Some(format!("{}y", &text[1..]).into()), ..Default::default() }.update(c, id).map(drop)
        }));

        // A row of a file is rejected with its line.
        let mut rejects = Vec::new();
        let lines: String = [2_601, 2_600]
            .map(|bytes| serde_json::json!({"platform": "tiktok", "external_id": format!("{}x", &long(bytes)[1..])}).to_string() + "\n")
            .concat();
        let options = Options { table: Some("trends"), ..Default::default() };
        let report = ingest::ingest(&db, "in", lines.as_bytes(), &options, &mut |row| { rejects.push(row); Ok(()) }).unwrap();
        assert_eq!((report.new, report.rejected, rejects[0].line), (1, 1, 1), "{rejects:?}");
        assert_eq!(rejects[0].reason, "external_id has 2601 bytes; the maximum is 2600");
    }
}
