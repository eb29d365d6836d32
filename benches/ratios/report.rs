//! Measures the queries behind reports on a large SQLite database: 1,000,000 videos, ten times as many samples, and 1,000,000
//! jobs, spread over the last 90 days.
//!
//! The rival of each line is a limit of 100 ms; ours is the 95th percentile of 20 runs. Filling the database takes minutes, so
//! the section runs only if it is asked for by its name.

use std::time::{Duration, Instant};

use viraldb::diesel::connection::SimpleConnection;
use viraldb::report::{self, Span, TopBy};
use viraldb::{DbConnection, Result};

use crate::measure::{Asked, Line};
use crate::sqlite::Scratch;

const REPORT: &str = "report ";
const LIMIT: Duration = Duration::from_millis(100);
const RUNS: usize = 20;
const DAY: Duration = Duration::from_secs(86_400);

type Query = fn(&mut DbConnection, &Span) -> Result<usize>;

const QUERIES: [(&str, u32, Query); 17] = [
    ("report queue_throughput, 24 h", 1, |c, span| Ok(report::queue_throughput(c, span, None)?.len())),
    ("report queue_throughput, 30 d", 30, |c, span| Ok(report::queue_throughput(c, span, None)?.len())),
    ("report failed_attempts, 30 d", 30, |c, span| Ok(report::failed_attempts(c, span, None)?.len())),
    ("report failure_causes, 30 d", 30, |c, span| Ok(report::failure_causes(c, span, None, 20)?.len())),
    ("report oldest_due", 1, |c, _| Ok(report::oldest_due(c)?.len())),
    ("report run_timeline, 30 d", 30, |c, span| Ok(report::run_timeline(c, span, None, 200)?.len())),
    ("report runs_by_niche, 30 d", 30, |c, span| Ok(report::runs_by_niche(c, span, None)?.len())),
    ("report time_in_status, 30 d", 30, |c, span| Ok(report::time_in_status(c, span, None)?.len())),
    ("report review_answers, 30 d", 30, |c, span| Ok(report::review_answers(c, span, None)?.len())),
    ("report channel_series, 30 d", 30, |c, span| Ok(report::channel_series(c, span, None, 10)?.len())),
    ("report publications, 30 d", 30, |c, span| Ok(report::publications(c, span, None)?.len())),
    ("report top_videos by views, 30 d", 30, |c, span| {
        Ok(report::top_videos(c, span, None, TopBy::Views, 20)?.len())
    }),
    ("report top_videos by velocity, 30 d", 30, |c, span| {
        Ok(report::top_videos(c, span, None, TopBy::Velocity, 20)?.len())
    }),
    ("report top_videos by growth, 30 d", 30, |c, span| {
        Ok(report::top_videos(c, span, None, TopBy::Growth, 20)?.len())
    }),
    ("report video_ages", 1, |c, _| Ok(report::video_ages(c, None)?.len())),
    ("report money, 30 d", 30, |c, span| Ok(report::money(c, span)?.len())),
    ("report errors_by_module, 30 d", 30, |c, span| Ok(report::errors_by_module(c, span, 12)?.len())),
];

pub fn lines(asked: &Asked) -> Vec<Line> {
    if !asked.names(REPORT.trim()) {
        return Vec::new();
    }
    let scratch = Scratch::new();
    let db = scratch.open();
    db.write(|c| Ok(c.batch_execute(&rows(asked.rows(1_000_000)))?)).unwrap();
    let wanted = QUERIES.iter().filter(|(name, ..)| asked.wants(name));
    wanted
        .map(|(name, days, query)| {
            let span = Span::last(DAY * *days);
            let mut line = Line::new(name, Some(1.0), 1);
            for _ in 0..asked.rounds(3) {
                let mut runs: Vec<Duration> = (0..RUNS)
                    .map(|_| {
                        let start = Instant::now();
                        let found = db.read(|c| query(c, &span)).unwrap();
                        std::hint::black_box(found);
                        start.elapsed()
                    })
                    .collect();
                runs.sort();
                line.add(runs[RUNS * 95 / 100 - 1], LIMIT);
            }
            line
        })
        .collect()
}

/// Returns the statements that fill the database.
pub fn rows(count: u64) -> String {
    let numbers = |count: u64| {
        format!("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})")
    };
    // The time of a row: the rows are spread over 90 days that end now.
    let at = |count: u64, plus: u32| {
        format!(
            "strftime('%Y-%m-%d %H:%M:%f', 'now', ({plus} - ({count} - i) * 7776000.0 / {count}) || ' seconds') || '000'"
        )
    };
    let (few, runs) = (count / 10, count / 500 + 1);
    let [samples, jobs] = [count * 10, count];
    [
        format!(
            "{} INSERT INTO discovered_videos (video_id, title, channel_name, channel_id, url, view_count, view_velocity, \
             viral_score, niche, discovered_at, processed) SELECT printf('v%010d', i), \
             'The title of video number ' || i || ' with some more words', 'Channel ' || (i % 5000), 'UC' || (i % 5000), \
             'https://www.youtube.com/watch?v=' || i, (i * 7919) % 10000000, ((i * 104729) % 100000) / 7.0, \
             (i % 1000) / 10.0, 'niche ' || (i % 5), {}, i % 3 > 0 FROM n",
            numbers(count),
            at(count, 0)
        ),
        format!(
            "{} INSERT INTO analytics (youtube_video_id, measured_at, view_count) SELECT printf('v%010d', (i - 1) / 10 + 1), \
             strftime('%Y-%m-%d %H:%M:%f', 'now', '-' || (8 * (10 - i % 10)) || ' days') || '000', \
             (i % 10) * ((i / 10 * 7919) % 100000) FROM n",
            numbers(samples)
        ),
        format!(
            "{} INSERT INTO channels (id, name, youtube_channel_id, youtube_channel_url, api_credentials_encrypted, \
             posting_schedule, content_filters, metadata_template, settings) \
             SELECT printf('0190a000-0000-7000-8000-%012d', i), 'Channel ' || i, 'UC' || i, 'u', 'x', '{{}}', '{{}}', '{{}}', '{{}}' \
             FROM n",
            numbers(20)
        ),
        format!(
            "{} INSERT INTO channel_statistics (id, channel_id, subscriber_count, view_count, video_count, timestamp) \
             SELECT printf('0190d000-0000-7000-8000-%012d', i), printf('0190a000-0000-7000-8000-%012d', i % 20 + 1), i, i, 1, {} \
             FROM n",
            numbers(few),
            at(few, 0)
        ),
        format!(
            "{} INSERT INTO videos (id, channel_id, source_url, source_title, source_platform, published_at) \
             SELECT printf('0190b000-0000-7000-8000-%012d', i), printf('0190a000-0000-7000-8000-%012d', i % 20 + 1), \
             'https://example.com/' || i, 'Title', 'tiktok', {} FROM n",
            numbers(few),
            at(few, 0)
        ),
        format!(
            "{} INSERT INTO video_processing_jobs (id, video_id, channel_id, job_type, status, attempts, error_message, \
             queued_at, run_at, started_at, completed_at) SELECT printf('0190c000-0000-7000-8000-%012d', i), \
             printf('0190b000-0000-7000-8000-%012d', i % {few} + 1), printf('0190a000-0000-7000-8000-%012d', i % 20 + 1), \
             CASE i % 4 WHEN 0 THEN 'download' WHEN 1 THEN 'transform' WHEN 2 THEN 'publish' ELSE 'scrape' END, \
             CASE WHEN i > {jobs} * 0.99 THEN 'queued' WHEN i % 50 = 0 THEN 'failed' ELSE 'completed' END, 1, \
             CASE WHEN i % 50 = 0 THEN 'HTTP ' || (500 + i % 7) END, {queued}, {queued}, \
             CASE WHEN i <= {jobs} * 0.99 THEN {started} END, CASE WHEN i <= {jobs} * 0.99 THEN {completed} END FROM n",
            numbers(jobs),
            queued = at(jobs, 0),
            started = at(jobs, 20),
            completed = at(jobs, 60)
        ),
        format!(
            "{} INSERT INTO pipeline_runs (niche, cycle_start, cycle_end, status, started_at, completed_at) \
             SELECT 'niche ' || (i % 5), {}, {}, CASE i % 4 WHEN 0 THEN 'failed' ELSE 'uploaded' END, {}, {} FROM n",
            numbers(runs),
            at(runs, 0),
            at(runs, 21_600),
            at(runs, 60),
            at(runs, 3_600)
        ),
        format!(
            "{} INSERT INTO review_log (pipeline_run_id, sent_at, responded_at, action) SELECT i, {}, {}, 'approve' FROM n",
            numbers(runs),
            at(runs, 1_200),
            at(runs, 2_400)
        ),
        format!(
            "{} INSERT INTO error_log (module, error_type, error_message, occurred_at, resolved) \
             SELECT 'module ' || (i % 12), 'TimeoutError', 'timed out after ' || i, {}, i % 100 > 0 FROM n",
            numbers(few),
            at(few, 0)
        ),
    ]
    .join(";\n")
}
