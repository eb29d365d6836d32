//! Tests of rows that a program passes in itself.

use serde_json::json;
use viraldb::compilation::{ErrorLog, NewAnalytics, NewDiscoveredVideo};
use viraldb::generation::NewTrend;
use viraldb::ingest::{Record, ingest_records, ingest_values};

use super::*;

fn at() -> Timestamp {
    "2026-05-01T08:00:00Z".parse().unwrap()
}

fn video(id: &str, views: i64) -> NewDiscoveredVideo<'static> {
    NewDiscoveredVideo {
        video_id: id.to_owned().into(),
        title: "Title".into(),
        niche: "gaming".into(),
        view_count: Some(views),
        discovered_at: Some(at()),
        ..Default::default()
    }
}

fn snapshot(id: &str, views: i64) -> NewAnalytics<'static> {
    NewAnalytics {
        youtube_video_id: id.to_owned().into(),
        measured_at: Some(at()),
        view_count: Some(views),
        ..Default::default()
    }
}

fn feed(db: &Database, records: Vec<Record>, options: &Options<'_>) -> (Report, Vec<Reject>) {
    let mut rejects = Vec::new();
    let report = ingest_records(db, "feed", records, options, &mut |reject| {
        rejects.push(reject);
        Ok(())
    });
    (report.unwrap(), rejects)
}

both! {
    fn records_are_stored_and_reported_like_a_file(t) {
        let db = t.db();
        let mut trend = NewTrend::new(Platform::Tiktok, "7300000000000000001");
        trend.views = Some(9);
        let records = || vec![
            Record { video: Some(video("a", 5)), snapshot: Some(snapshot("a", 5)), ..Default::default() },
            video("b", 6).into(),
            snapshot("c", 7).into(),
            trend.clone().into(),
            Record::default(),
            video("", 8).into(),
            Record { video: Some(NewDiscoveredVideo { title: "a\0b".into(), ..video("d", 1) }), ..Default::default() },
        ];
        let (report, rejects) = feed(&db, records(), &Options::default());
        assert_eq!((&*report.file, report.format, &*report.table), ("feed", None, "discovered_videos"));
        assert_eq!((report.rows, report.new, report.snapshots, report.trends, report.rejected), (7, 2, 2, 1, 3));
        let said: Vec<(u64, &str)> = rejects.iter().map(|reject| (reject.line, &*reject.reason)).collect();
        assert_eq!(
            said,
            [
                (5, "the record has no video, snapshot or trend"),
                (6, "video.video_id is empty"),
                (7, "contains a NUL character, which PostgreSQL cannot store"),
            ]
        );
        assert_eq!(rejects[1].row["video"]["view_count"], 8);
        let (videos, snapshots, trends) = everything(&db);
        assert_eq!((videos.len(), snapshots.len(), trends.len()), (2, 2, 1));

        let again = records().into_iter().take(3).collect();
        let (report, _) = feed(&db, again, &Options::default());
        assert_eq!((report.new, report.updated, report.unchanged, report.snapshots), (0, 0, 2, 0));
    }

    fn a_strict_feed_stores_all_or_nothing_and_a_dry_run_nothing(t) {
        let db = t.db();
        let records = vec![video("a", 1).into(), Record::default()];
        let strict = Options { strict: true, ..Options::default() };
        let error = ingest_records(&db, "feed", records.clone(), &strict, &mut |_| Ok(())).unwrap_err();
        assert!(matches!(error, Error::Rejected { rejected: 1, .. }), "{error}");
        let (report, _) = feed(&db, records, &Options { dry_run: true, ..Options::default() });
        assert_eq!((report.new, report.rejected), (1, 1));
        assert!(everything(&db).0.is_empty());
    }

    fn endless_feed_stops_with_the_error_of_the_reject_callback(t) {
        let db = t.db();
        let endless = std::iter::repeat_with(Record::default);
        let error = ingest_records(&db, "feed", endless, &Options::default(), &mut |_| Err(Error::invalid("it", "is enough")));
        assert!(error.unwrap_err().to_string().contains("is enough"));
    }

    fn values_are_parsed_by_their_detected_format(t) {
        let db = t.db();
        let answer = json!({"kind": "youtube#videoListResponse", "items": [
            {"kind": "youtube#video", "id": "a", "snippet": {"title": "A", "channelId": "c", "channelTitle": "C"}},
            {"kind": "youtube#video", "id": "b", "snippet": {"title": "B", "channelId": "c", "channelTitle": "C"}},
        ]});
        let report = ingest_values(&db, "answers", [answer.clone(), answer], &Options::default(), &mut |_| Ok(())).unwrap();
        assert_eq!((report.format, report.rows, report.new, report.rejected), (Some(Format::YoutubeApi), 4, 2, 0));

        let rows = (0..3).map(|n| if n == 1 { json!({"title": "no id"}) } else { json!({"theme": format!("theme {n}")}) });
        let options = Options { table: Some("jobs"), format: Some(Format::Jsonl), ..Default::default() };
        let mut lines = Vec::new();
        let report = ingest_values(&db, "rows", rows, &options, &mut |reject| {
            lines.push(reject.line);
            Ok(())
        });
        assert_eq!((report.unwrap().new, lines), (2, vec![2]));
        let none = ingest_values(&db, "none", [], &Options::default(), &mut |_| Ok(())).unwrap_err();
        assert!(none.to_string().contains("none is empty"), "{none}");
    }

    fn new_video_counts_once_however_often_it_occurs(t) {
        let db = t.db();
        // More than one batch, with different counts each time.
        let records = (0..12_000_i64).map(|n| Record::from(video(&format!("v{}", n % 100), n)));
        let report = ingest_records(&db, "feed", records, &Options::default(), &mut |_| Ok(())).unwrap();
        assert_eq!((report.rows, report.new, report.updated, report.unchanged), (12_000, 100, 0, 0));
        assert_eq!(find(&db, "v99").view_count, Some(11_999));
        let (report, _) = feed(&db, vec![video("v99", 12_000).into()], &Options::default());
        assert_eq!((report.new, report.updated), (0, 1));
    }

    fn rows_that_an_index_barely_distinguishes_are_compared_with_the_table_once(t) {
        let db = t.db();
        // All rows have the same module, so an index on modules finds every row for every other.
        let lines = |from: u32| {
            let line = |n| format!("{{\"module\":\"m\",\"error_type\":\"t\",\"error_message\":\"message {n}\"}}\n");
            (from..from + 20_000).map(line).collect::<String>()
        };
        let options = Options { table: Some("error_log"), ..Default::default() };
        let before = std::time::Instant::now();
        assert_eq!(read(&db, lines(0), &options).0.new, 20_000);
        let report = read(&db, lines(10_000), &options).0;
        assert_eq!((report.new, report.unchanged), (10_000, 10_000));
        assert_eq!(db.read(|c| ErrorLog::list(c, &Default::default(), &Page::first(1))).unwrap().len(), 1);
        // 600 million comparisons took minutes in a test build.
        assert!(before.elapsed().as_secs() < 60, "{:?}", before.elapsed());
    }
}
