//! Tests of the queries behind reports, dashboards and metrics.

use std::time::Duration;

use viraldb::compilation::*;
use viraldb::diesel::connection::SimpleConnection;
use viraldb::generation::*;
use viraldb::queue::{self, AttemptOutcome, Claim, Failure};
use viraldb::report::{self, Span, TopBy};
use viraldb::republishing::JobStatus; // there is another one in generation
use viraldb::republishing::*;
use viraldb::series::Every;
use viraldb::{Database, DbConnection, Result, Timestamp};

use crate::make::{self, at};
use crate::support::{both, plan, statements};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// Returns the span from the start of 2026.
fn span(seconds: i64, every: Every) -> Span {
    Span::new(at(0), at(seconds), every).unwrap()
}

/// Inserts a job that ended, or not.
fn job(
    c: &mut DbConnection,
    change: impl FnOnce(&mut NewVideoProcessingJob<'static>),
) -> Result<VideoProcessingJob> {
    let mut job = make::video_job(c);
    change(&mut job);
    job.insert(c)
}

fn ended(job: &mut NewVideoProcessingJob<'static>, status: JobStatus, times: [i64; 4]) {
    let [queued, run, started, completed] = times.map(at);
    (job.queued_at, job.run_at) = (Some(queued), Some(run));
    (job.started_at, job.completed_at, job.status) = (Some(started), Some(completed), Some(status));
}

both! {
    fn throughput_counts_jobs_by_the_hour_in_which_they_were_enqueued_and_ended(t) {
        let db = t.db();
        let channel = db.write(|c| {
            let first = job(c, |job| ended(job, JobStatus::Completed, [10, 10, 40, 100]))?;
            job(c, |job| ended(job, JobStatus::Completed, [20, 30, 120, HOUR - 1]))?;
            job(c, |job| ended(job, JobStatus::Failed, [HOUR, HOUR, HOUR + 5, 2 * HOUR]))?;
            // The clock was set back between the claim and the completion.
            job(c, |job| ended(job, JobStatus::Completed, [HOUR + 50, HOUR + 50, HOUR + 20, HOUR + 10]))?;
            job(c, |job| ended(job, JobStatus::Completed, [-9, -9, -5, -1]))?; // before the span
            job(c, |job| ended(job, JobStatus::Completed, [-9, -9, -5, 3 * HOUR]))?; // at its end
            job(c, |job| job.queued_at = Some(at(2 * HOUR + 7)))?; // still waits
            Ok(first.channel_id)
        }).unwrap();
        let span = span(3 * HOUR, Every::Hour);
        let hours = db.read(|c| report::queue_throughput(c, &span, None)).unwrap();
        let counts: Vec<_> = hours.iter().map(|hour| (hour.start, hour.enqueued, hour.completed, hour.failed)).collect();
        assert_eq!(counts, [(at(0), 2, 2, 0), (at(HOUR), 2, 1, 0), (at(2 * HOUR), 1, 0, 1)]);
        assert_eq!((hours[0].average_wait_seconds, hours[0].longest_wait_seconds), (Some(60.0), Some(90.0)));
        assert_eq!((hours[1].average_wait_seconds, hours[1].average_duration_seconds), (Some(0.0), Some(0.0)));
        assert_eq!((hours[2].average_wait_seconds, hours[2].longest_wait_seconds), (None, None));
        let of_channel = db.read(|c| report::queue_throughput(c, &span, Some(channel))).unwrap();
        assert_eq!(of_channel.iter().map(|hour| (hour.enqueued, hour.completed)).collect::<Vec<_>>(), [(1, 1), (0, 0), (0, 0)]);
    }

    fn times_with_fewer_digits_of_other_programs_count_in_their_period(t) {
        let db = t.db();
        db.write(|c| {
            let row = job(c, |job| ended(job, JobStatus::Completed, [0, 0, 0, HOUR]))?;
            let text = if t.url.starts_with("sqlite") { "'2026-01-01 01:00:00'" } else { "'2026-01-01 01:00:00+00'" };
            Ok(SimpleConnection::batch_execute(
                c,
                &format!("UPDATE video_processing_jobs SET completed_at = {text}, queued_at = {text} WHERE id = '{}'", row.id),
            )?)
        }).unwrap();
        let span = Span::new(at(HOUR), at(2 * HOUR), Every::Hour).unwrap();
        let hours = db.read(|c| report::queue_throughput(c, &span, None)).unwrap();
        assert_eq!((hours[0].enqueued, hours[0].completed), (1, 1));
        let before = Span::new(at(0), at(HOUR), Every::Hour).unwrap();
        let hours = db.read(|c| report::queue_throughput(c, &before, None)).unwrap();
        assert_eq!((hours[0].enqueued, hours[0].completed), (0, 0));
    }

    fn failures_are_grouped_by_type_outcome_and_message(t) {
        let db = t.db();
        let id = db.write(|c| {
            let waiting = job(c, |job| (job.job_type, job.max_attempts) = (JobType::Download, Some(2)))?;
            for message in ["HTTP 503", "HTTP 503", "disk full"] {
                job(c, |job| {
                    ended(job, JobStatus::Failed, [0, 0, 0, 60]);
                    job.job_type = JobType::Publish;
                    job.error_message = Some(message.into());
                })?;
            }
            job(c, |job| ended(job, JobStatus::Failed, [0, 0, 0, 9 * DAY]))?; // after the span
            Ok(waiting.id)
        }).unwrap();
        for message in ["timed out", "é".repeat(300).as_str()] {
            let claimed = db.write(|c| queue::claim(c, &Claim::new("w"))).unwrap();
            let failure = Failure { retry_after: Some(Duration::ZERO), ..Failure::new(message.to_owned()) };
            db.write(|c| queue::fail(c, &claimed[0], &failure)).unwrap();
        }
        let causes = |span: &Span, limit| {
            let causes = db.read(|c| report::failure_causes(c, span, None, limit)).unwrap();
            causes.into_iter().map(|cause| (cause.job_type, cause.error.unwrap(), cause.jobs)).collect::<Vec<_>>()
        };
        let day = span(DAY, Every::Hour);
        assert_eq!(causes(&day, 9), [(JobType::Publish, "HTTP 503".into(), 2), (JobType::Publish, "disk full".into(), 1)]);
        assert_eq!(causes(&day, 1).len(), 1);
        let now = Span::new(Timestamp::now() - Duration::from_secs(3600), Timestamp::now() + Duration::from_secs(60), Every::Hour).unwrap();
        assert_eq!(causes(&now, 9), [(JobType::Download, "é".repeat(200), 1)]);
        let attempts = db.read(|c| report::failed_attempts(c, &now, None)).unwrap();
        let [attempts] = &attempts[..] else { panic!("{attempts:?}") };
        assert_eq!((attempts.job_type, attempts.outcome, attempts.attempts, attempts.jobs), (JobType::Download, AttemptOutcome::Failed, 2, 1));
        let channel = db.read(|c| VideoProcessingJob::find(c, id)).unwrap().channel_id;
        assert_eq!(db.read(|c| report::failed_attempts(c, &now, Some(channel))).unwrap().len(), 1);
        assert!(db.read(|c| report::failed_attempts(c, &now, Some(ChannelId::default()))).unwrap().is_empty());
    }

    fn the_oldest_due_job_of_each_type_is_found_in_every_priority(t) {
        let db = t.db();
        let expected = db.write(|c| {
            let waits = |priority, run_at: i64| move |job: &mut NewVideoProcessingJob<'static>| {
                (job.priority, job.run_at, job.job_type) = (Some(priority), Some(at(run_at)), JobType::Download);
            };
            job(c, waits(9, 500))?;
            let oldest = job(c, waits(-3, 100))?;
            job(c, waits(0, 300))?;
            let retrying = job(c, |job| {
                (job.run_at, job.job_type, job.status) = (Some(at(50)), JobType::Publish, Some(JobStatus::Retrying));
            })?;
            job(c, |job| (job.run_at, job.job_type) = (Some(Timestamp::now() + Duration::from_secs(600)), JobType::Scrape))?;
            job(c, |job| ended(job, JobStatus::Completed, [1, 1, 2, 3]))?;
            Ok([(JobType::Publish, retrying.id, at(50)), (JobType::Download, oldest.id, at(100))])
        }).unwrap();
        let oldest = db.read(report::oldest_due).unwrap();
        assert_eq!(oldest.iter().map(|due| (due.job_type, due.id, due.run_at)).collect::<Vec<_>>(), expected);
    }

    fn runs_are_shown_with_the_time_they_spent_in_each_status(t) {
        let db = t.db();
        db.write(|c| {
            let run = |niche: &'static str, start: i64, status, started, completed: Option<i64>| NewPipelineRun {
                status: Some(status),
                started_at: Some(at(started)),
                completed_at: completed.map(at),
                ..NewPipelineRun::new(niche, at(start), at(start + HOUR))
            };
            let first = run("gaming", 0, RunStatus::Uploaded, 100, Some(1000)).insert(c)?;
            let review = |sent: i64, responded: Option<i64>, action| NewReviewLog {
                sent_at: Some(at(sent)),
                responded_at: responded.map(at),
                action,
                ..NewReviewLog::new(first.id)
            };
            review(300, Some(400), Some(ReviewAction::RedoScript)).insert(c)?;
            review(500, Some(700), Some(ReviewAction::Approve)).insert(c)?;
            run("gaming", HOUR, RunStatus::Failed, HOUR, Some(HOUR + 50)).insert(c)?;
            let open = run("music", 2 * HOUR, RunStatus::Review, 2 * HOUR, None).insert(c)?;
            NewReviewLog { sent_at: Some(at(2 * HOUR + 500)), ..NewReviewLog::new(open.id) }.insert(c)?;
            run("old", -DAY, RunStatus::Running, -DAY, None).insert(c)?; // before the span, but not finished
            run("old", -DAY, RunStatus::Uploaded, -DAY, Some(100)).insert(c)?;
            run("music", 2 * DAY, RunStatus::Running, 0, None).insert(c)?; // after the span
            Ok(())
        }).unwrap();
        let day = span(DAY, Every::Hour);
        let runs = db.read(|c| report::run_timeline(c, &day, None, 9)).unwrap();
        assert_eq!(runs.iter().map(|run| run.cycle_start).collect::<Vec<_>>(), [at(2 * HOUR), at(HOUR), at(0), at(-DAY)]);
        assert_eq!(db.read(|c| report::run_timeline(c, &day, Some("gaming"), 1)).unwrap()[0].cycle_start, at(HOUR));
        let counts = db.read(|c| report::runs_by_niche(c, &day, None)).unwrap();
        let counts: Vec<_> = counts.iter().map(|row| (row.niche.as_str(), row.status, row.runs)).collect();
        assert_eq!(counts, [("gaming", RunStatus::Failed, 1), ("gaming", RunStatus::Uploaded, 1), ("music", RunStatus::Review, 1)]);
        assert_eq!(db.read(|c| report::runs_by_niche(c, &day, Some("music"))).unwrap().len(), 1);
        let times = db.read(|c| report::time_in_status(c, &day, None)).unwrap();
        let times: Vec<_> = times.iter().map(|row| (row.status, row.runs, row.average_seconds, row.longest_seconds)).collect();
        assert_eq!(times, [
            (RunStatus::Running, 3, Some(250.0), Some(500.0)),
            (RunStatus::Review, 1, Some(400.0), Some(400.0)),
            (RunStatus::Approved, 1, Some(300.0), Some(300.0)),
        ]);
        let music = db.read(|c| report::time_in_status(c, &day, Some("music"))).unwrap();
        assert_eq!(music.iter().map(|row| row.status).collect::<Vec<_>>(), [RunStatus::Running], "the review is open");
        let answers = db.read(|c| report::review_answers(c, &day, Some("gaming"))).unwrap();
        let mut answers: Vec<_> = answers.iter().map(|row| (row.action, row.reviews, row.average_seconds)).collect();
        answers.sort_by_key(|row| row.0.map(|action| action.to_string()));
        assert_eq!(answers, [(Some(ReviewAction::Approve), 1, Some(200.0)), (Some(ReviewAction::RedoScript), 1, Some(100.0))]);
        let music = db.read(|c| report::review_answers(c, &day, Some("music"))).unwrap();
        assert_eq!(music.iter().map(|row| (row.action, row.reviews)).collect::<Vec<_>>(), [(None, 1)]);
    }

    fn waiting_reviews_are_counted_however_many_there_are(t) {
        let db = t.db();
        let now = Timestamp::now();
        let ago = |hours: u64| Some(now - std::time::Duration::from_secs(hours * 3600));
        db.write(|c| {
            for place in 0..25 {
                let niche = if place < 5 { "gaming" } else { "music" };
                let run = NewPipelineRun { status: Some(RunStatus::Review), ..NewPipelineRun::new(niche, now, now) }.insert(c)?;
                let sent_at = ago(if place == 7 { 30 } else { 3 });
                if place == 8 { // superseded by a newer one
                    NewReviewLog { sent_at: ago(40), ..NewReviewLog::new(run.id) }.insert(c)?;
                }
                NewReviewLog { sent_at, ..NewReviewLog::new(run.id) }.insert(c)?;
            }
            let run = NewPipelineRun { status: Some(RunStatus::Uploaded), ..NewPipelineRun::new("gaming", now, now) }.insert(c)?;
            NewReviewLog { sent_at: ago(50), ..NewReviewLog::new(run.id) }.insert(c) // its run went on
        }).unwrap();
        let all = db.read(|c| report::waiting_reviews(c, None)).unwrap();
        assert_eq!((all.reviews, all.late, all.oldest_at), (25, 1, ago(30)));
        assert_eq!(db.read(|c| ReviewLog::open(c, 100)).unwrap().len(), 25, "the list has the same reviews");
        let gaming = db.read(|c| report::waiting_reviews(c, Some("gaming"))).unwrap();
        assert_eq!((gaming.reviews, gaming.late, gaming.oldest_at), (5, 0, ago(3)));
        assert_eq!(db.read(|c| report::waiting_reviews(c, Some("none"))).unwrap().oldest_at, None);
    }

    fn a_channel_shows_its_last_sample_of_each_day_and_its_publications(t) {
        let db = t.db();
        let [small, large] = db.write(|c| {
            let mut named = |name: &'static str| NewChannel { name: name.into(), is_active: Some(true), ..make::channel() }.insert(c).map(|row| row.id);
            let channels = [named("Small")?, named("Large")?];
            for (channel, base) in channels.iter().zip([10, 1_000]) {
                for (seconds, more) in [(-60, 0), (60, 1), (2 * HOUR, 2), (DAY, 3), (3 * DAY, 4)] {
                    NewChannelStatistics {
                        subscriber_count: Some(base + more),
                        timestamp: Some(at(seconds)),
                        ..NewChannelStatistics::new(*channel)
                    }.insert(c)?;
                }
            }
            for seconds in [5, HOUR, DAY] {
                let video = NewVideo { channel_id: channels[0], published_at: Some(at(seconds)), ..make::video(c) };
                video.insert(c)?;
            }
            Ok(channels)
        }).unwrap();
        let span = span(3 * DAY, Every::Day);
        let series = |channel, limit| {
            let rows = db.read(|c| report::channel_series(c, &span, channel, limit)).unwrap();
            rows.into_iter().map(|row| (row.channel_id, row.start, row.subscriber_count)).collect::<Vec<_>>()
        };
        let of_large = [(large, at(0), 1002), (large, at(DAY), 1003)];
        assert_eq!(series(None, 1), of_large, "the channel with the most subscribers");
        assert_eq!(series(Some(large), 9), of_large);
        assert_eq!(series(None, 9)[2..], [(small, at(0), 12), (small, at(DAY), 13)]);
        let published = db.read(|c| report::publications(c, &span, None)).unwrap();
        let published: Vec<_> = published.iter().map(|row| (&*row.name, row.start, row.videos)).collect();
        assert_eq!(published, [("Small", at(0), 2), ("Small", at(DAY), 1)]);
        assert!(db.read(|c| report::publications(c, &span, Some(large))).unwrap().is_empty());
    }

    fn the_top_videos_are_sorted_by_views_velocity_and_growth(t) {
        let db = t.db();
        db.write(|c| {
            for (id, niche, views, velocity, samples) in [
                ("a", "gaming", Some(100), Some(1.0), vec![(0, 10), (HOUR, 100)]),
                ("b", "gaming", Some(300), None, vec![(0, 290), (HOUR, 300)]),
                ("c", "music", None, Some(9.5), vec![(HOUR, 1)]),
                ("d", "music", Some(200), Some(3.0), vec![]),
            ] {
                NewDiscoveredVideo {
                    video_id: id.into(),
                    niche: niche.into(),
                    view_count: views,
                    view_velocity: velocity,
                    discovered_at: Some(at(60)),
                    ..make::discovered_video()
                }.insert(c)?;
                for (seconds, views) in samples {
                    NewAnalytics { measured_at: Some(at(seconds)), view_count: Some(views), ..NewAnalytics::new(id) }.insert(c)?;
                }
            }
            let old = NewDiscoveredVideo { view_count: Some(999), discovered_at: Some(at(-1)), ..make::discovered_video() };
            old.insert(c)
        }).unwrap();
        let top = |by, niche, limit| {
            let videos = db.read(|c| report::top_videos(c, &span(DAY, Every::Hour), niche, by, limit)).unwrap();
            videos.into_iter().map(|video| (video.video_id, video.growth)).collect::<Vec<_>>()
        };
        let ids = |by, niche| top(by, niche, 9).into_iter().map(|(id, _)| id).collect::<Vec<_>>();
        assert_eq!(ids(TopBy::Views, None), ["b", "d", "a"]);
        assert_eq!(ids(TopBy::Velocity, None), ["c", "d", "a"]);
        assert_eq!(ids(TopBy::Velocity, Some("gaming")), ["a"]);
        assert_eq!(top(TopBy::Growth, None, 2), [("a".to_owned(), Some(90)), ("b".to_owned(), Some(10))]);
        assert_eq!(top(TopBy::Views, None, -1), []);
    }

    fn videos_are_counted_by_age(t) {
        let db = t.db();
        let now = Timestamp::now();
        db.write(|c| {
            for (days, niche) in [(0, "gaming"), (2, "gaming"), (2, "music"), (20, "gaming"), (400, "gaming")] {
                let discovered_at = Some(now - Duration::from_secs(days * 86_400 + 60));
                NewDiscoveredVideo { niche: niche.into(), discovered_at, ..make::discovered_video() }.insert(c)?;
            }
            Ok(())
        }).unwrap();
        let ages = |niche| {
            let ages = db.read(|c| report::video_ages(c, niche)).unwrap();
            ages.into_iter().filter(|age| age.videos > 0).map(|age| (age.from_days, age.to_days, age.videos)).collect::<Vec<_>>()
        };
        assert_eq!(ages(None), [(0, Some(1), 1), (1, Some(3), 2), (7, Some(30), 1), (365, None, 1)]);
        assert_eq!(ages(Some("music")), [(1, Some(3), 1)]);
    }

    fn trends_costs_revenue_and_errors_are_summed_by_period(t) {
        let db = t.db();
        db.write(|c| {
            for (platform, views, seconds) in [(Platform::Tiktok, Some(5), 0), (Platform::Tiktok, Some(7), DAY), (Platform::Youtube, None, 9 * DAY)] {
                let trend = NewTrend { views, collected_at: Some(at(seconds)), ..NewTrend::new(platform, make::unique("t")) };
                trend.insert(c)?;
            }
            for (cost, seconds) in [(Some(0.25), 0), (Some(0.5), HOUR), (None, HOUR), (Some(2.0), DAY)] {
                NewJobVideo { cost_usd: cost, created_at: Some(at(seconds)), ..make::job_video() }.insert(c)?;
            }
            for (revenue, seconds) in [(Some(1.5), 0), (Some(-0.5), HOUR), (None, DAY)] {
                let sample = NewAnalytics { estimated_revenue_usd: revenue, measured_at: Some(at(seconds)), ..make::analytics() };
                sample.insert(c)?;
            }
            for (module, seconds, resolved) in [("upload", 0, true), ("upload", DAY, false), ("upload", DAY, true), ("download", 0, false)] {
                let error = NewErrorLog { occurred_at: Some(at(seconds)), resolved: Some(resolved), ..NewErrorLog::new(module, "TimeoutError", "m") };
                error.insert(c)?;
            }
            Ok(())
        }).unwrap();
        let days = span(2 * DAY, Every::Day);
        let trends = db.read(|c| report::trends_by_platform(c, &days)).unwrap();
        let trends: Vec<_> = trends.iter().map(|row| (row.platform, row.trends, row.collected, row.most_views, row.newest_at)).collect();
        assert_eq!(trends, [(Platform::Tiktok, 2, 2, Some(7), at(DAY)), (Platform::Youtube, 1, 0, None, at(9 * DAY))]);
        let money = db.read(|c| report::money(c, &days)).unwrap();
        let money: Vec<_> = money.iter().map(|row| (row.start, row.cost_usd, row.generated, row.revenue_usd)).collect();
        assert_eq!(money, [(at(0), 0.75, 2, Some(1.0)), (at(DAY), 2.0, 1, None)]);
        let errors = |limit| {
            let errors = db.read(|c| report::errors_by_module(c, &days, limit)).unwrap();
            errors.into_iter().map(|row| (row.module, row.start, row.errors, row.unresolved)).collect::<Vec<_>>()
        };
        let upload = [("upload".to_owned(), at(0), 1, 0), ("upload".to_owned(), at(DAY), 2, 1)];
        assert_eq!(errors(1), upload);
        assert_eq!(errors(9)[2..], [("download".to_owned(), at(0), 1, 1)]);
    }

    fn an_empty_database_has_empty_reports(t) {
        let db = t.db();
        every_report(&db, &span(7 * DAY, Every::Week));
    }

    fn each_report_reads_its_span_by_an_index(t) {
        let db = t.db();
        let mut session = db.session().unwrap();
        let all = statements(&mut session, |c| reports(c, &span(DAY, Every::Hour)));
        let queries: Vec<&String> = all.iter().filter(|sql| sql.starts_with("SELECT") || sql.starts_with("WITH")).collect();
        assert_eq!(queries.len(), 22, "{all:#?}");
        if t.is_postgres {
            // Without rows, the planner prefers to read whole tables.
            session.batch_execute("SET enable_seqscan = off").unwrap();
        }
        for sql in queries {
            for line in plan(t, &mut session, sql) {
                let large = ["video_processing_jobs", "analytics", "video_statistics", "channel_statistics", "error_log", "review_log", "pipeline_runs"];
                // SQLite says SCAN for a table or an index that it reads from end to end.
                let is_scan = line.contains("SCAN ") || line.contains("Seq Scan on ");
                assert!(!is_scan || !large.iter().any(|table| line.contains(table)), "{line}\n{sql}");
                assert!(!line.contains("SCAN job") && !line.contains("SCAN sample") && !line.contains("SCAN video"), "{line}\n{sql}");
            }
        }
    }
}

/// Runs every report.
fn reports(c: &mut DbConnection, span: &Span) -> Result<()> {
    report::queue_throughput(c, span, None)?;
    report::failed_attempts(c, span, None)?;
    report::failure_causes(c, span, None, 9)?;
    report::oldest_due(c)?;
    report::run_timeline(c, span, None, 9)?;
    report::runs_by_niche(c, span, None)?;
    report::time_in_status(c, span, None)?;
    report::waiting_reviews(c, None)?;
    report::review_answers(c, span, None)?;
    report::channel_series(c, span, None, 9)?;
    report::publications(c, span, None)?;
    for by in TopBy::ALL {
        report::top_videos(c, span, None, *by, 9)?;
    }
    report::video_ages(c, None)?;
    report::trends_by_platform(c, span)?;
    report::money(c, span)?;
    report::errors_by_module(c, span, 9)?;
    Ok(())
}

fn every_report(db: &Database, span: &Span) {
    db.read(|c| reports(c, span)).unwrap();
    let weeks = db.read(|c| report::queue_throughput(c, span, None)).unwrap();
    assert_eq!(weeks.iter().map(|week| week.completed).sum::<i64>(), 0);
    assert_eq!(weeks.len(), span.periods().len());
    assert!(db.read(report::oldest_due).unwrap().is_empty());
}
