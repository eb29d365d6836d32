//! Tests of how runs, their reviews, and videos move from one status to the next.

mod reviews;
mod runs;
mod videos;

use viraldb::compilation::*;
use viraldb::{Database, Error, Timestamp};

use crate::make::{self, at};

/// Creates a run of the gaming niche and moves it to this status, as a pipeline does.
fn run_in(db: &Database, status: RunStatus) -> PipelineRunId {
    let run = db
        .write(|c| {
            let limit = NewConfigOverride {
                key: "max_concurrent_runs".into(),
                value: "100".into(),
                ..Default::default()
            };
            limit.insert_or_update(c)?;
            make::pipeline_run().insert(c)
        })
        .unwrap()
        .id;
    let all = [RunStatus::Running, RunStatus::Review, RunStatus::Approved, RunStatus::Uploaded];
    let steps = match status {
        RunStatus::Pending => 0,
        RunStatus::Failed => {
            db.write(|c| PipelineRun::fail(c, run, "no videos")).unwrap();
            0
        }
        status => 1 + all.iter().position(|step| *step == status).unwrap(),
    };
    for step in &all[..steps] {
        db.write(|c| PipelineRun::move_to(c, run, *step)).unwrap();
    }
    run
}

fn status(db: &Database, run: PipelineRunId) -> RunStatus {
    db.read(|c| PipelineRun::find(c, run)).unwrap().status
}

/// Inserts pending videos of the gaming niche and returns them, best first.
fn discover(db: &Database, count: i32) -> Vec<DiscoveredVideo> {
    let rows: Vec<_> = (0..count)
        .map(|n| NewDiscoveredVideo {
            viral_score: Some(f64::from(count - n)),
            duration_seconds: Some(60),
            ..make::discovered_video()
        })
        .collect();
    db.write(|c| NewDiscoveredVideo::insert_many(c, &rows)).unwrap();
    db.read(|c| DiscoveredVideo::pending(c, "gaming", 1_000)).unwrap()
}

fn assert_invalid<T: std::fmt::Debug>(result: viraldb::Result<T>, words: &[&str]) {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
    let text = error.to_string();
    assert!(words.iter().all(|word| text.contains(word)), "{text}: {words:?}");
}
