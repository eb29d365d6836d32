//! A discovered video with its newest counts and its runs.

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Analytics, DiscoveredVideo, PipelineRun};
use crate::db::{DbConnection, on_backend};
use crate::error::{Result, ResultExt};
use crate::schema::{clips, pipeline_runs};

/// A discovered video with its newest counts and its runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DiscoveredVideoView {
    /// The video.
    #[serde(flatten)]
    pub video: DiscoveredVideo,
    /// The newest sample of its statistics, or `None` if it was never measured.
    pub latest: Option<Analytics>,
    /// The runs that have a clip of the video, newest first, at most [`DiscoveredVideoView::RUNS`].
    pub runs: Vec<PipelineRun>,
}

impl DiscoveredVideoView {
    /// Maximum number of runs in a view.
    pub const RUNS: i64 = 100;
}

impl DiscoveredVideo {
    /// Returns the video with the platform's id, its newest counts and its runs, or `NotFound` if it does not exist.
    ///
    /// The three queries read one snapshot. The exception is a PostgreSQL transaction that writes, where each query may
    /// see newer data; see [`DbConnection::snapshot`].
    pub fn view(conn: &mut DbConnection, video_id: &str) -> Result<DiscoveredVideoView> {
        conn.snapshot(|conn| {
            let video = Self::find_by_video_id(conn, video_id)?;
            let latest = Analytics::latest(conn, video_id)?;
            let runs = on_backend!(&mut *conn, |c| {
                let with_clip = clips::table
                    .filter(clips::discovered_video_id.eq(video.id))
                    .select(clips::pipeline_run_id);
                PipelineRun::query()
                    .filter(pipeline_runs::id.eq_any(with_clip))
                    .order(pipeline_runs::id.desc())
                    .limit(DiscoveredVideoView::RUNS)
                    .load(c)
            })
            .of("pipeline_runs", video_id)?;
            Ok(DiscoveredVideoView { video, latest, runs })
        })
    }
}
