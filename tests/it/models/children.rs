//! Tests that the children of many rows are loaded with one query.

use serde_json::json;
use viraldb::compilation::*;
use viraldb::generation::*;
use viraldb::republishing::*;
use viraldb::{DbConnection, Json, Result};

use crate::make;
use crate::support::{both, statements};

/// Loads the children, asserts that this takes one statement, and returns their ids.
fn ids<C, K>(
    c: &mut DbConnection,
    load: impl Fn(&mut DbConnection) -> Result<Vec<Vec<C>>>,
    id: impl Fn(&C) -> K,
) -> Vec<Vec<K>> {
    assert_eq!(statements(c, |c| load(c)).len(), 1);
    load(c).unwrap().iter().map(|of_one| of_one.iter().map(&id).collect()).collect()
}

both! {
    fn children_of_runs_are_loaded_with_one_query(t) {
        let db = t.db();
        let mut c = db.session().unwrap();
        let c = &mut *c;
        let runs: Vec<_> = (0..3).map(|_| make::pipeline_run().insert(c).unwrap()).collect();
        let video = make::discovered_video().insert(c).unwrap();
        let clip = |c: &mut DbConnection, run: usize, rank| {
            NewClip::new(runs[run].id, video.id, rank, 0.0, 1.0).insert(c).unwrap().id
        };
        let clips = [clip(c, 0, 2), clip(c, 0, 1), clip(c, 2, 1)];
        assert_eq!(ids(c, |c| Clip::of_runs(c, &runs), |clip| clip.id), [vec![clips[1], clips[0]], vec![], vec![clips[2]]]);
        let script = [2, 0, 2].map(|run| NewScript::new(runs[run].id).insert(c).unwrap().id);
        assert_eq!(ids(c, |c| Script::of_runs(c, &runs), |row| row.id), [vec![script[1]], vec![], vec![script[0], script[2]]]);
        let audio = [1, 1].map(|run| NewTtsAudio::new(runs[run].id, "edge").insert(c).unwrap().id);
        assert_eq!(ids(c, |c| TtsAudio::of_runs(c, &runs), |row| row.id), [vec![], vec![audio[0], audio[1]], vec![]]);
        let short = [1, 0].map(|run| NewShort::new(runs[run].id).insert(c).unwrap().id);
        assert_eq!(ids(c, |c| Short::of_runs(c, &runs), |row| row.id), [vec![short[1]], vec![short[0]], vec![]]);
        assert!(Clip::of_runs(c, &[]).unwrap().is_empty());
    }

    fn children_of_channels_and_videos_are_loaded_with_one_query(t) {
        let db = t.db();
        let mut c = db.session().unwrap();
        let c = &mut *c;
        let channels = ["UC1", "UC2"].map(|id| NewChannel::new("Cats", id).insert(c).unwrap());
        let videos = [1, 1].map(|channel| {
            NewVideo::new(channels[channel].id, make::unique("https://x/"), "One", "tiktok").insert(c).unwrap()
        });
        assert_eq!(ids(c, |c| Video::of_channels(c, &channels), |row| row.id), [vec![], vec![videos[1].id, videos[0].id]]);
        let job = |c: &mut DbConnection, video: &Video, kind| {
            NewVideoProcessingJob::new(video.id, video.channel_id, kind).insert(c).unwrap().id
        };
        let jobs = [job(c, &videos[0], JobType::Download), job(c, &videos[0], JobType::Transform)];
        assert_eq!(ids(c, |c| VideoProcessingJob::of_videos(c, &videos), |row| row.id), [vec![jobs[1], jobs[0]], vec![]]);
    }

    fn children_of_jobs_are_loaded_with_one_query(t) {
        let db = t.db();
        let mut c = db.session().unwrap();
        let c = &mut *c;
        let jobs = [(); 2].map(|()| NewJob::new().insert(c).unwrap());
        let script = NewJobScript { job_id: Some(jobs[1].id), ..NewJobScript::new("a cat", Json(json!([]))) }.insert(c).unwrap();
        let orphan = NewJobVideo::new().insert(c).unwrap();
        let video = NewJobVideo { job_id: Some(jobs[0].id), ..NewJobVideo::new() }.insert(c).unwrap();
        assert_eq!(ids(c, |c| JobScript::of_jobs(c, &jobs), |row| row.id), [vec![], vec![script.id]]);
        let videos = ids(c, |c| JobVideo::of_jobs(c, &jobs), |row| row.id);
        assert_eq!(videos, [vec![video.id], vec![]]);
        assert!(!videos.concat().contains(&orphan.id));
    }
}
