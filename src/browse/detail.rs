//! Everything that belongs to one run, job, channel or video.

use std::time::Duration;

use serde::Serialize;

use super::column::{Is, table};
use super::page::{Row, page, row, rows_with_keys};
use super::query::{Order, Query};
use crate::DbConnection;
use crate::compilation::Analytics;
use crate::error::{Error, Result};
use crate::queue::{JobAttempt, JobWait};
use crate::republishing::{ChannelStatistics, VideoProcessingJobId, VideoStatistics};
use crate::series::Every;
use crate::types::{ChannelId, PipelineRunId, Timestamp, VideoId};

/// Maximum number of rows of a list in a view.
const MOST: u32 = 50;
/// Maximum number of attempts in a view, and of jobs that a job waits for.
const ATTEMPTS: usize = 100;
/// How far back a series by day goes.
const DAYS: Duration = Duration::from_secs(365 * 86_400);
/// How far back a series by hour goes.
const HOURS: Duration = Duration::from_secs(3 * 86_400);

/// Rows that belong to the row of a view.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Children {
    /// Name of their table.
    pub table: &'static str,
    /// The column that holds the key of the parent. A list of the table with this filter has all rows.
    pub column: &'static str,
    /// Up to 50 rows.
    pub rows: Vec<Row>,
    /// Whether there are more rows.
    pub more: bool,
}

/// Returns the rows of a table that belong to a parent.
fn children(
    conn: &mut DbConnection,
    name: &str,
    column: &str,
    parent: impl ToString,
    order: Order,
) -> Result<Children> {
    let of = table(name)?;
    let query = Query { limit: MOST, order: Some(order), ..Query::new(name) };
    let page = page(conn, &query.with(column, Is::Eq, parent.to_string()))?;
    Ok(Children {
        table: of.name,
        column: of.column(column)?.name,
        rows: page.rows,
        more: page.next.is_some(),
    })
}

/// A run with everything that belongs to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Run {
    /// The row of `pipeline_runs`.
    pub run: Row,
    /// Clips, oldest first.
    pub clips: Children,
    /// The discovered videos that the clips were cut from.
    pub videos: Vec<Row>,
    /// Scripts, newest first. The first one is current.
    pub scripts: Children,
    /// Voice recordings, newest first. The first one is current.
    pub tts_audio: Children,
    /// Shorts, oldest first.
    pub shorts: Children,
    /// Reviews, newest first.
    pub reviews: Children,
    /// Errors, newest first.
    pub errors: Children,
}

/// Returns a run with its clips, scripts, voice recordings, shorts, reviews and errors, in eight statements.
///
/// # Errors
/// `NotFound` if no run has this id.
pub fn run(conn: &mut DbConnection, id: PipelineRunId) -> Result<Run> {
    conn.snapshot(|conn| {
        let run = row(conn, "pipeline_runs", &id.to_string())?;
        let mut of_run = |name, order| children(conn, name, "pipeline_run_id", id, order);
        let clips = of_run("clips", Order::Asc)?;
        let scripts = of_run("scripts", Order::Desc)?;
        let tts_audio = of_run("tts_audio", Order::Desc)?;
        let shorts = of_run("shorts", Order::Asc)?;
        let reviews = of_run("review_log", Order::Desc)?;
        let errors = of_run("error_log", Order::Desc)?;
        let videos = rows_with_keys(conn, "discovered_videos", &values(&clips, "discovered_video_id"))?;
        Ok(Run { run, clips, videos, scripts, tts_audio, shorts, reviews, errors })
    })
}

/// Returns the values of a column of whole numbers, without duplicates.
fn values(children: &Children, column: &str) -> Vec<i64> {
    let mut values: Vec<i64> =
        children.rows.iter().filter_map(|row| row.values.get(column)?.as_i64()).collect();
    values.sort_unstable();
    values.dedup();
    values
}

/// A job of the queue with its history.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Job {
    /// The row of `video_processing_jobs`, with the payload and the lease, but without the lease's token.
    pub job: Row,
    /// The attempts that did not complete the job, oldest first, at most 100.
    pub attempts: Vec<JobAttempt>,
    /// Whether there are more attempts.
    pub more_attempts: bool,
    /// The jobs that it waits for, at most 100.
    pub waits_for: Vec<VideoProcessingJobId>,
    /// The video.
    pub video: Option<Row>,
    /// The channel.
    pub channel: Option<Row>,
}

/// Returns a job of the queue with its attempts, its video and its channel, in five statements.
///
/// # Errors
/// `NotFound` if no job has this id.
pub fn job(conn: &mut DbConnection, id: VideoProcessingJobId) -> Result<Job> {
    conn.snapshot(|conn| {
        let job = row(conn, "video_processing_jobs", &id.to_string())?;
        let mut attempts = JobAttempt::of_job(conn, id)?;
        let more_attempts = attempts.len() > ATTEMPTS;
        attempts.drain(..attempts.len().saturating_sub(ATTEMPTS));
        let waits = JobWait::of_job(conn, id)?;
        let mut parent = |name, column: &str| -> Result<Option<Row>> {
            let Some(key) = job.values.get(column).and_then(|key| key.as_str()) else { return Ok(None) };
            found(row(conn, name, key))
        };
        let (video, channel) = (parent("videos", "video_id")?, parent("channels", "channel_id")?);
        let waits_for = waits.into_iter().take(ATTEMPTS).map(|wait| wait.waits_for).collect();
        Ok(Job { job, attempts, more_attempts, waits_for, video, channel })
    })
}

/// Returns `None` for a row that does not exist.
fn found(row: Result<Row>) -> Result<Option<Row>> {
    match row {
        Err(error) if error.is_not_found() => Ok(None),
        row => row.map(Some),
    }
}

/// The counts of a channel or a video at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Point {
    /// When they were measured.
    pub at: Timestamp,
    /// Subscribers of a channel.
    pub subscribers: Option<i64>,
    /// Views.
    pub views: Option<i64>,
    /// Likes of a video.
    pub likes: Option<i64>,
    /// Comments on a video.
    pub comments: Option<i64>,
}

/// The counts of a channel or a video over time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Series {
    /// The last sample of each day of the last year, oldest first.
    pub days: Vec<Point>,
    /// The last sample of each hour of the last three days, oldest first.
    pub hours: Vec<Point>,
}

/// Returns a series. `thinned` reads the samples of a period.
fn series(mut thinned: impl FnMut(Timestamp, Timestamp, Every) -> Result<Vec<Point>>) -> Result<Series> {
    let until = Timestamp::now() + Duration::from_secs(3_600); // clocks of other machines may be ahead
    Ok(Series {
        days: thinned(until - DAYS, until, Every::Day)?,
        hours: thinned(until - HOURS, until, Every::Hour)?,
    })
}

/// A channel with its statistics, videos and jobs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ChannelView {
    /// The row of `channels`, with its credentials masked.
    pub channel: Row,
    /// Its statistics over time.
    pub series: Series,
    /// Its videos, newest first.
    pub videos: Children,
    /// Its jobs, newest first.
    pub jobs: Children,
}

/// Returns a channel with its statistics, videos and jobs, in up to seven statements.
///
/// # Errors
/// `NotFound` if no channel has this id.
pub fn channel(conn: &mut DbConnection, id: ChannelId) -> Result<ChannelView> {
    conn.snapshot(|conn| {
        let channel = row(conn, "channels", &id.to_string())?;
        let series = series(|from, to, every| {
            let samples = ChannelStatistics::thinned(conn, id, from, to, every)?;
            Ok(samples
                .into_iter()
                .map(|sample| Point {
                    at: sample.timestamp,
                    subscribers: Some(sample.subscriber_count),
                    views: Some(sample.view_count),
                    likes: None,
                    comments: None,
                })
                .collect())
        })?;
        let videos = children(conn, "videos", "channel_id", id, Order::Desc)?;
        let jobs = children(conn, "video_processing_jobs", "channel_id", id, Order::Desc)?;
        Ok(ChannelView { channel, series, videos, jobs })
    })
}

/// A discovered video or a source video, with its statistics and what was made of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct VideoView {
    /// The row of `discovered_videos`, or of `videos`.
    pub video: Row,
    /// The table of the row.
    pub table: &'static str,
    /// Its statistics over time.
    pub series: Series,
    /// The clips that were cut from a discovered video, newest first.
    pub clips: Option<Children>,
    /// The runs of these clips.
    pub runs: Vec<Row>,
    /// The jobs on a source video, newest first.
    pub jobs: Option<Children>,
    /// The channel of a source video.
    pub channel: Option<Row>,
}

/// Returns a video with its statistics and its clips or jobs, in up to seven statements: the discovered video with the
/// platform's id, or the source video with the UUID.
///
/// # Errors
/// `NotFound` if there is no such video.
pub fn video(conn: &mut DbConnection, id: &str) -> Result<VideoView> {
    conn.snapshot(|conn| match id.parse::<VideoId>() {
        Ok(id) => source_video(conn, id),
        Err(_) => discovered_video(conn, id),
    })
}

fn discovered_video(conn: &mut DbConnection, id: &str) -> Result<VideoView> {
    let query = Query { limit: 1, ..Query::new("discovered_videos") }.with("video_id", Is::Eq, id);
    let found = page(conn, &query)?.rows.pop();
    let found = found.ok_or_else(|| Error::NotFound { table: "discovered_videos", key: id.to_owned() })?;
    let video = row(conn, "discovered_videos", &found.key)?; // the page cuts long texts
    let series = series(|from, to, every| {
        let samples = Analytics::thinned(conn, id, from, to, every)?;
        Ok(samples
            .into_iter()
            .map(|sample| Point {
                at: sample.measured_at,
                subscribers: None,
                views: sample.view_count,
                likes: sample.like_count,
                comments: sample.comment_count,
            })
            .collect())
    })?;
    let clips = children(conn, "clips", "discovered_video_id", &video.key, Order::Desc)?;
    let runs = rows_with_keys(conn, "pipeline_runs", &values(&clips, "pipeline_run_id"))?;
    let table = "discovered_videos";
    Ok(VideoView { video, table, series, clips: Some(clips), runs, jobs: None, channel: None })
}

fn source_video(conn: &mut DbConnection, id: VideoId) -> Result<VideoView> {
    let video = row(conn, "videos", &id.to_string())?;
    let series = series(|from, to, every| {
        let samples = VideoStatistics::thinned(conn, id, from, to, every)?;
        Ok(samples
            .into_iter()
            .map(|sample| Point {
                at: sample.timestamp,
                subscribers: None,
                views: Some(sample.view_count),
                likes: Some(sample.like_count),
                comments: Some(sample.comment_count),
            })
            .collect())
    })?;
    let jobs = children(conn, "video_processing_jobs", "video_id", id, Order::Desc)?;
    let channel = match video.values.get("channel_id").and_then(|key| key.as_str()) {
        Some(key) => found(row(conn, "channels", key))?,
        None => None,
    };
    let table = "videos";
    Ok(VideoView { video, table, series, clips: None, runs: Vec::new(), jobs: Some(jobs), channel })
}
