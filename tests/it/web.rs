//! Tests of the report and of the metrics.

use viraldb::compilation::*;
use viraldb::generation::{NewJobVideo, NewTrend};
use viraldb::queue::{self, Claim};
use viraldb::republishing::*;
use viraldb::web::{self, ReportOptions};
use viraldb::{Database, Timestamp};

use crate::make;
use crate::support::both;

/// Text that would run, break the layout or break the document if it were not escaped.
const HOSTILE: [&str; 5] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(2)>",
    "'; }</style><script>alert(3)</script>",
    "\u{202e}desrever \u{1F525} &amp; &lt;",
    "\u{1b}[31m\u{7}\u{1}",
];

/// Inserts rows whose texts are all hostile.
fn fill(db: &Database, text: &str) {
    let long = format!("{text}{}", "x".repeat(10_000));
    let now = Timestamp::now();
    db.write(|c| {
        let niche = || text.to_owned().into();
        NewDiscoveredVideo {
            title: long.clone().into(),
            channel_name: text.to_owned().into(),
            niche: niche(),
            view_count: Some(7),
            view_velocity: Some(f64::MAX),
            ..make::discovered_video()
        }
        .insert(c)?;
        let run = NewPipelineRun {
            status: Some(RunStatus::Review),
            started_at: Some(now),
            ..NewPipelineRun::new(text.to_owned(), now, now)
        };
        NewReviewLog::new(run.insert(c)?.id).insert(c)?;
        NewErrorLog::new(text.to_owned(), text.to_owned(), long.clone()).insert(c)?;
        let channel =
            NewChannel { name: long.clone().into(), is_active: Some(true), ..make::channel() }.insert(c)?;
        NewChannelStatistics { subscriber_count: Some(i64::MAX), ..NewChannelStatistics::new(channel.id) }
            .insert(c)?;
        let video =
            NewVideo { channel_id: channel.id, published_at: Some(now), ..make::video(c) }.insert(c)?;
        for status in [JobStatus::Failed, JobStatus::Queued] {
            let job = NewVideoProcessingJob {
                status: Some(status),
                completed_at: (status == JobStatus::Failed).then_some(now),
                error_message: Some(long.clone().into()),
                ..NewVideoProcessingJob::new(video.id, channel.id, JobType::Download)
            };
            job.insert(c)?;
        }
        NewTrend { title: Some(long.clone().into()), views: Some(1), ..make::trend() }.insert(c)?;
        NewJobVideo { cost_usd: Some(-0.5), ..make::job_video() }.insert(c)?;
        queue::claim(c, &Claim::new(text.to_owned()))
    })
    .unwrap();
}

both! {
    fn hostile_text_shows_as_text_in_the_report(t) {
        let db = t.db();
        for text in HOSTILE {
            fill(&db, text);
        }
        let html = web::report(&t.url, &ReportOptions::default()).unwrap();
        assert!(html.starts_with("<!DOCTYPE html>") && html.ends_with("</html>"));
        let body = &html[html.find("<body").unwrap()..];
        assert!(body.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        for forbidden in ["<script", "<img", "<style", "style=", "onerror=\"", "\u{1b}", "\u{7}", "\u{1}"] {
            assert!(!body.contains(forbidden), "{forbidden:?}");
        }
        // Nothing is loaded from another file.
        for loads in ["<iframe", "<object", "<link rel=\"stylesheet", "@import", "url("] {
            assert!(!html.contains(loads), "{loads}");
        }
        let hosts = html.match_indices("http").filter(|(at, _)| !html[*at..].starts_with("http-equiv"));
        assert!(hosts.clone().all(|(at, _)| html[at..].starts_with("http://www.w3.org/2000/svg")), "{:?}", hosts.count());
        assert!(html.len() < 400_000, "{} bytes: long texts are cut", html.len());
let unknown = regex::Regex::new(r"\b(NaN|inf)\b").unwrap().find(&html);
        assert!(unknown.is_none(), "a number cannot be drawn: {unknown:?}");
    }

    fn the_report_of_an_empty_database_says_what_fills_it(t) {
        t.db();
        let html = web::report(&t.url, &ReportOptions::default()).unwrap();
        for words in ["No job is running.", "viraldb backup create", "No run began", "Every error is resolved."] {
            assert!(html.contains(words), "{words}");
        }
    }

    fn a_report_can_be_limited_to_a_channel_and_a_niche(t) {
        let db = t.db();
        fill(&db, "one");
        fill(&db, "two");
        let has = |html: &str, sections: &[&str], absent: &[&str]| {
            for section in sections {
                assert!(html.contains(&format!("id=\"{section}\"")), "{section}");
            }
            for section in absent {
                assert!(!html.contains(&format!("id=\"{section}\"")) && !html.contains(&format!("#{section}\"")), "{section}");
            }
        };
        let of_niche = ReportOptions { niche: Some("one".to_owned()), ..Default::default() };
        let html = web::report(&t.url, &of_niche).unwrap();
        assert!(html.contains("niche one") && html.contains(">run 1: review") && !html.contains(">run 2: review"));
        assert!(html.contains("1 reviews wait for an answer"), "of this niche");
        // A number of the whole database could be taken for one of the niche.
        has(&html, &["pipeline", "videos"], &["queue", "channels", "trends", "money", "storage", "errors", "doctor"]);
        let channel = db.read(|c| Channel::list(c, &ChannelFilter::default(), &viraldb::Page::first(1))).unwrap().remove(0);
        let of_channel = ReportOptions { channel: Some(channel.id), ..Default::default() };
        let start: String = channel.name.chars().take(20).collect();
        let html = web::report(&t.url, &of_channel).unwrap();
        assert!(html.contains(&format!("channel {start}")) && !html.contains("Running jobs"));
        has(&html, &["queue", "channels"], &["pipeline", "videos", "trends", "money", "storage", "errors", "doctor"]);
        let of_both = ReportOptions { niche: of_niche.niche, ..of_channel };
        has(&web::report(&t.url, &of_both).unwrap(), &["queue", "channels", "pipeline", "videos"], &["trends", "money"]);
        has(&web::report(&t.url, &ReportOptions::default()).unwrap(), &["queue", "videos", "trends", "money", "storage", "errors"], &[]);
        let by_youtube = t.ok(&["report", "-o", "-", "--channel", &channel.youtube_channel_id]);
        assert!(by_youtube.contains(&format!("channel {start}")));
        let unknown = ReportOptions { channel: Some(ChannelId::default()), ..Default::default() };
        assert!(matches!(web::report(&t.url, &unknown), Err(viraldb::Error::NotFound { .. })));
        let failed = t.run(&["report", "--niche", "gamin"]);
        assert!(failed.code == 1 && failed.err.contains("has no videos and no runs"), "{}", failed.err);
        assert!(!t.path("report.html").exists());
    }

    fn the_command_writes_the_report_to_a_file_or_to_stdout(t) {
        t.db();
        let said = t.ok(&["report", "--since", "36h"]);
        assert!(said.starts_with("wrote report.html ("), "{said}");
        let written = std::fs::read_to_string(t.path("report.html")).unwrap();
        assert!(written.contains("Report on the last 36 hours") && written.contains("Jobs finished by hour"));
        std::fs::write(t.path("report.html"), "old").unwrap();
        let json = t.ok(&["report", "-o", "report.html", "--json"]);
        assert!(json.contains("\"file\": \"report.html\""), "{json}");
        assert!(std::fs::read_to_string(t.path("report.html")).unwrap().starts_with("<!DOCTYPE html>"));
        assert!(t.ok(&["report", "-o", "-"]).starts_with("<!DOCTYPE html>"));
        let failed = t.run(&["report", "-o", "missing/report.html"]);
        assert!(failed.code == 1 && failed.err.contains("missing/report.html") && !failed.err.contains(".viraldb-"), "{}", failed.err);
        if !t.is_postgres {
            let own = t.url.trim_start_matches("sqlite://");
            let failed = t.run(&["report", "-o", own]);
            assert!(failed.code == 1 && failed.err.contains("is a file of the database itself"), "{}", failed.err);
        }
    }

    fn a_report_of_a_missing_database_creates_nothing(t) {
        let report = web::report(&t.url, &ReportOptions::default());
        assert!(matches!(report, Err(viraldb::Error::NotInitialised(_))), "{report:?}");
        let failed = t.run(&["report"]);
        assert!(failed.code == 1 && failed.err.contains("viraldb init"), "{}", failed.err);
        assert_eq!(std::fs::read_dir(t.dir.path()).unwrap().count(), 0);
    }

    fn metrics_count_what_the_queue_and_the_pipelines_do(t) {
        let db = t.db();
        for text in HOSTILE {
            fill(&db, text);
        }
        let text = t.ok(&["metrics"]);
        for line in [
            "viraldb_unresolved_errors 5",
            "viraldb_runs{status=\"review\"} 5",
            "viraldb_jobs{state=\"running\",type=\"download\"} 5",
            "viraldb_jobs_finished_last_hour{status=\"failed\",type=\"download\"} 5",
            "viraldb_expired_leases 0",
            "viraldb_queue_paused 0",
            "viraldb_rows{table=\"discovered_videos\"} 5",
            "viraldb_pending_videos{niche=\"\\\"><img src=x onerror=alert(2)>\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains("last_backup"), "there is no backup yet");
        // Each line is a comment, or a name with labels and a number.
        let sample = regex::Regex::new(r#"^[a-z_]+(\{([a-z_]+="([^"\\\n]|\\["\\n])*",?)*\})? -?[0-9.e+]+$"#).unwrap();
        for line in text.lines() {
            assert!(line.starts_with("# HELP ") || line.starts_with("# TYPE ") || sample.is_match(line), "{line:?}");
        }
    }

    fn metrics_say_how_long_jobs_wait_and_when_the_backup_was_made(t) {
        let db = t.db();
        let ago = Timestamp::now() - std::time::Duration::from_secs(600);
        db.write(|c| {
            let job = make::video_job(c);
            NewVideoProcessingJob { run_at: Some(ago), job_type: JobType::Publish, ..job }.insert(c)
        }).unwrap();
        t.ok(&["backup", "create"]);
        let text = t.ok(&["metrics"]);
        let value = |name: &str| -> f64 {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}\n{text}"));
            line.rsplit_once(' ').unwrap().1.parse().unwrap()
        };
        let waits = value("viraldb_oldest_due_seconds{type=\"publish\"}");
        assert!((600.0..700.0).contains(&waits), "{waits}");
        let age = Timestamp::now().to_utc().timestamp() as f64 - value("viraldb_last_backup_timestamp_seconds");
        assert!((0.0..60.0).contains(&age), "{age}");
        assert!(value("viraldb_database_bytes") > 100_000.0);
    }
}
