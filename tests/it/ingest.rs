//! Tests of `viraldb ingest` with real data in every format.

use std::io::Read;

use viraldb::compilation::{Analytics, DiscoveredVideo, DiscoveredVideoFilter, Processed};
use viraldb::diesel::connection::SimpleConnection;
use viraldb::generation::{Job, JobFilter, JobStatus, NewJob, NewJobVideo, Platform, Trend};
use viraldb::ingest::{Format, Options, Reject, Report, ingest};
use viraldb::{Database, Error, Page, Timestamp};

use crate::support::both;

mod chunks;
mod csv;
mod feed;
mod files;
mod identity;
mod json_formats;
mod orphans;
mod watch;

const CUT_OFF: &[u8] = include_bytes!("../data/us_youtube_trending_cut_off.csv");
const HEADER: &str = "video_id,title,publishedAt,channelId,channelTitle,categoryId,trending_date,tags,view_count,\
                      likes,dislikes,comment_count,thumbnail_link,comments_disabled,ratings_disabled,description\n";

fn read(db: &Database, input: impl AsRef<[u8]>, options: &Options<'_>) -> (Report, Vec<Reject>) {
    let mut rejects = Vec::new();
    let report = ingest(db, "input", input.as_ref(), options, &mut |reject| {
        rejects.push(reject);
        Ok(())
    })
    .unwrap();
    assert_eq!(report.rejected, rejects.len() as u64);
    (report, rejects)
}

fn counts(report: &Report) -> (u64, u64, u64, u64) {
    (report.rows, report.new, report.updated, report.rejected)
}

/// A row of the trending dataset.
fn row(id: &str, day: u32, views: &str) -> String {
    format!(
        "{id},\"A \"\"title\"\", with a\nline break\",2020-08-11T00:00:00Z,UC1,Channel,20,2020-08-{day}T00:00:00Z,a|b,{views},5,1,2,x,False,False,\"text\"\n"
    )
}

fn find(db: &Database, id: &str) -> DiscoveredVideo {
    db.read(|c| DiscoveredVideo::find_by_video_id(c, id)).unwrap()
}

fn everything(db: &Database) -> (Vec<DiscoveredVideo>, Vec<Analytics>, Vec<Trend>) {
    db.read(|c| {
        Ok((
            DiscoveredVideo::list(c, &Default::default(), &Page::first(10_000))?,
            Analytics::list(c, &Default::default(), &Page::first(10_000))?,
            Trend::list(c, &Default::default(), &Page::first(10_000))?,
        ))
    })
    .unwrap()
}

/// An input that fails when it is read.
struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::Error::other("connection lost"))
    }
}

both! {
    fn ingesting_a_real_download_again_changes_nothing(t) {
        let db = t.db();
        let (report, rejects) = read(&db, CUT_OFF, &Options::default());
        assert_eq!(counts(&report), (873, 329, 0, 1));
        assert_eq!((report.snapshots, report.format), (872, Some(Format::YoutubeTrending)));
        assert_eq!(rejects[0].line, 2646);
        assert_eq!(rejects[0].reason, "the file ends inside a quoted field");
        assert_eq!(rejects[0].row["video_id"], "x2JkhZd_Kxc");
        let before = everything(&db);
        assert_eq!((before.0.len(), before.1.len()), (329, 872));
        let (report, _) = read(&db, CUT_OFF, &Options::default());
        assert_eq!(counts(&report), (873, 0, 0, 1));
        // A video counts once in each batch, and a busy machine makes the batches smaller.
        assert_eq!(report.snapshots, 0);
        assert!((329..=873).contains(&report.unchanged), "{}", report.unchanged);
        assert_eq!(everything(&db), before);

        // The video was first seen on the first day; its counts are those of the last day.
        let video = find(&db, "M9Pmf9AB4Mo");
        assert_eq!(video.discovered_at.to_string(), "2020-08-12T00:00:00Z");
        let hours = video.discovered_at.hours_since("2020-08-11T17:00:10Z".parse().unwrap());
        assert!((video.view_velocity.unwrap() - 2_381_688.0 / hours).abs() < 1e-6);
        let latest = db.read(|c| Analytics::latest(c, "M9Pmf9AB4Mo")).unwrap().unwrap();
        assert_eq!(video.view_count, latest.view_count);
        assert!(video.view_count > Some(2_381_688));
        assert_eq!(video.niche, "gaming");
    }

    fn rediscovered_video_keeps_its_status_and_niche(t) {
        let db = t.db();
        read(&db, format!("{HEADER}{}", row("a", 12, "100")), &Options::default());
        db.write(|c| DiscoveredVideo::mark(c, "a", Processed::Used)).unwrap();
        let (report, _) = read(&db, format!("{HEADER}{}", row("a", 13, "250")), &Options { niche: Some("other"), ..Default::default() });
        assert_eq!((report.new, report.updated, report.snapshots), (0, 1, 1));
        let video = find(&db, "a");
        assert_eq!((video.processed, &*video.niche, video.view_count), (Processed::Used, "gaming", Some(250)));
        assert_eq!(video.discovered_at.to_string(), "2020-08-12T00:00:00Z");
        assert_eq!(video.title, "A \"title\", with a\nline break");
        // An older day adds its snapshot and lowers no count.
        let (report, _) = read(&db, format!("{HEADER}{}", row("a", 10, "10")), &Options::default());
        assert_eq!((report.new, report.updated, report.snapshots), (0, 0, 1));
        assert_eq!(find(&db, "a").view_count, Some(250));
        let from: Timestamp = "2020-08-01".parse().unwrap();
        let series = db.read(|c| Analytics::series(c, "a", from, Timestamp::now())).unwrap();
        assert_eq!(series.iter().map(|s| s.view_count).collect::<Vec<_>>(), [Some(10), Some(100), Some(250)]);
    }

    fn bad_rows_are_rejected_and_good_rows_are_stored(t) {
        let db = t.db();
        let mut input = HEADER.as_bytes().to_vec();
        input.extend(row("good1", 12, "100").bytes());
        input.extend(row("", 12, "100").bytes());
        input.extend(row("bad", 12, "many").bytes());
        input.extend(row("bad", 12, "-5").bytes());
        input.extend(b"bad,too,short\n");
        input.extend(b"bad,\xff\xfe,2020-08-11T00:00:00Z,UC1,C,20,2020-08-12T00:00:00Z,a,1,5,1,2,x,False,False,text\n");
        input.extend(row("bad", 99, "1").bytes());
        input.extend(row("good2", 12, "").bytes());
        let (report, rejects) = read(&db, &input, &Options::default());
        assert_eq!(counts(&report), (8, 2, 0, 6));
        let said: Vec<(u64, &str)> = rejects.iter().map(|r| (r.line, &*r.reason)).collect();
        assert_eq!(said[0], (4, "has no video_id"));
        assert_eq!(said[1], (6, "view_count is not a count: \"many\""));
        assert_eq!(said[2], (8, "view_count is not a count: \"-5\""));
        assert_eq!(said[3], (10, "has 3 fields instead of 16"));
        assert_eq!(said[4], (11, "title is not UTF-8"));
        assert_eq!(said[5].0, 12);
        assert!(said[5].1.starts_with("trending_date is not a time"));
        assert_eq!(rejects[3].row["title"], "too");
        assert_eq!(find(&db, "good2").view_count, None);
    }

    fn stray_quote_rejects_only_its_row(t) {
        let db = t.db();
        let bad = "bad,\"no end,2020-08-11T00:00:00Z,UC1,Channel,20,2020-08-12T00:00:00Z,a|b,1,5,1,2,x,False,False,text\n";
        // The first bad row is followed by a row of one line, the second by a row of two lines. The quotes of
        // both end the stray one.
        let plain = row("plain", 12, "7").replace("\"A \"\"title\"\", with a\nline break\"", "t");
        let input = format!("{HEADER}{}{bad}{plain}{}{bad}{}{}", row("a", 12, "1"), row("b", 12, "2"), row("c", 12, "3"), row("d", 12, "x"));
        let (report, rejects) = read(&db, &input, &Options::default());
        assert_eq!(counts(&report), (7, 4, 0, 3), "{rejects:#?}");
        let said: Vec<(u64, &str)> = rejects.iter().map(|r| (r.line, &*r.reason)).collect();
        assert_eq!(said, [
            (4, "a quoted field runs past the end of its row"),
            (8, "a quoted field runs past the end of its row"),
            (11, "view_count is not a count: \"x\""),
        ]);
        assert_eq!(rejects[0].row, bad, "the raw text, because its fields cannot be separated");
        assert_eq!(rejects[2].row["video_id"], "d");
        assert_eq!(find(&db, "c").view_count, Some(3));
    }

    fn stray_quote_closed_in_its_own_column_rejects_only_its_row(t) {
        let db = t.db();
        let unquoted = |id: &str, text: &str| format!("{id},t,2020-08-11T00:00:00Z,UC1,Channel,20,2020-08-12T00:00:00Z,a|b,1,5,1,2,x,False,False,{text}\n");
        let stray = "a quoted field runs past the end of its row";
        // In the last column: the following rows fall inside the quotes, and the merged row has 16 fields.
        let bad = unquoted("x", "\"no end");
        let last = unquoted("b", "\"First line without a comma\nand a second\"");
        let (report, rejects) = read(&db, format!("{HEADER}{bad}{}{}{last}", unquoted("p", "text"), unquoted("q", "text")), &Options::default());
        assert_eq!(counts(&report), (4, 3, 0, 1), "{rejects:#?}");
        assert_eq!((rejects[0].line, &*rejects[0].reason, &rejects[0].row), (2, stray, &bad.into()));
        assert_eq!(find(&db, "b").title, "t");
        // In the second column.
        let bad = unquoted("bad", "text").replacen(",t,", ",\"no end,", 1);
        let next = unquoted("next", "text").replacen(",t,", ",\"He said \"\"hi\"\"\",", 1);
        let (report, rejects) = read(&db, format!("{HEADER}{bad}{next}"), &Options::default());
        assert_eq!(counts(&report), (2, 1, 0, 1), "{rejects:#?}");
        assert_eq!((rejects[0].line, &*rejects[0].reason, &rejects[0].row), (2, stray, &bad.into()));
        assert_eq!(find(&db, "next").title, "He said \"hi\"");
    }

    fn unclosed_quote_swallows_no_more_than_the_maximum_row_size(t) {
        let db = t.db();
        // No quote follows, and for longer than the maximum row size nothing looks like a row.
        let mut input = format!("{HEADER}bad,\"no end\n").into_bytes();
        for _ in 0..3 * 1024 {
            input.extend([b'x'; 1023]);
            input.push(b'\n');
        }
        let plain = row("plain", 12, "7").replace("\"A \"\"title\"\", with a\nline break\"", "t").replace("\"text\"", "text");
        input.extend(plain.repeat(2_000).bytes());
        // One line longer than the parser keeps.
        input.extend(b"long,\"");
        input.extend(vec![b'y'; 3 * 1024 * 1024]);
        input.extend(b"\n");
        input.extend(row("last", 12, "8").bytes());
        let (report, rejects) = read(&db, &input, &Options::default());
        assert_eq!((report.new, find(&db, "last").view_count, find(&db, "plain").view_count), (2, Some(8), Some(7)));
        assert!(rejects.iter().all(|reject| reject.row.to_string().len() < 2_500_000));
        assert_eq!(rejects.last().unwrap().line, 2 + 3 * 1024 + 1 + 2_000);
        assert_eq!(report.rows - report.rejected, 2_001);
    }

    fn rejected_rows_are_kept_as_given(t) {
        let db = t.db();
        let line = r#"{"pipeline_run_id":99,"opening_text":"x","llm_model_used":null,"generated_at":"2020-01-01"}"#;
        let (_, rejects) = read(&db, line, &Options { table: Some("scripts"), ..Default::default() });
        assert_eq!(rejects[0].row, serde_json::from_str::<serde_json::Value>(line).unwrap());
        // Only the database can reject this video, so a unique index gives it a reason.
        db.write(|c| Ok(c.batch_execute("CREATE UNIQUE INDEX refuse ON discovered_videos (title)")?)).unwrap();
        let item = |id: &str| format!(r#"{{"id":"{id}","snippet":{{"title":"one","thumbnails":{{"default":{{"url":"u"}}}}}},"statistics":{{"viewCount":"7"}}}}"#);
        let (report, rejects) = read(&db, format!("[{},{}]", item("x1"), item("x2")), &Options { format: Some(Format::YoutubeApi), ..Default::default() });
        assert_eq!((report.new, report.rejected), (1, 1));
        assert_eq!(rejects[0].row, serde_json::from_str::<serde_json::Value>(&item("x2")).unwrap());
        let (_, rejects) = read(&db, format!("{HEADER}{}{}", row("y1", 12, "1"), row("y2", 12, "1")), &Options::default());
        assert_eq!((&rejects[0].row["video_id"], &rejects[0].row["tags"]), (&"y2".into(), &"a|b".into()));
    }

    fn nested_playlists_are_streamed(t) {
        let db = t.db();
        let video = |id: &str| format!(r#"{{"id":"{id}","title":"T","extractor":"youtube","webpage_url":"https://x/{id}"}}"#);
        let inner = |ids: &[&str]| format!("{{\"_type\":\"playlist\",\"\\ud83d\":1,\"id\":\"PL\",\"entries\":[{}],\"title\":\"L\"}}", ids.iter().map(|id| video(id)).collect::<Vec<_>>().join(",\n"));
        let outer = format!("{{\"_type\":\"playlist\",\"entries\":[\n{},\nnull,{},\n{},\"words\",{}]}}", inner(&["a", "b"]), inner(&[]), video("c"), inner(&["d"]));
        let (report, rejects) = read(&db, &outer, &Options { format: Some(Format::YtDlp), ..Default::default() });
        assert_eq!((report.new, rejects.iter().map(|r| r.line).collect::<Vec<_>>()), (4, vec![4, 5]), "{rejects:?}");

        // Videos are passed on one by one: the first batch is stored before the end is read.
        let many: Vec<String> = (0..12_000).map(|n| format!("v{n}")).collect();
        let text = format!("{{\"entries\":[{}]}}", inner(&many.iter().map(String::as_str).collect::<Vec<_>>()));
        let end = text.len() - 10;
        let breaks = text.as_bytes()[..end].chain(Broken);
        let error = ingest(&db, "in", breaks, &Options { format: Some(Format::YtDlp), ..Default::default() }, &mut |_| Ok(())).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
        assert_eq!(find(&db, "v9999").title, "T");
    }

    fn api_error_response_is_reported(t) {
        let db = t.db();
        let answer = r#"{
  "error": {
    "code": 403,
    "message": "The request cannot be completed because you have exceeded your quota.",
    "errors": [ { "message": "…", "domain": "youtube.quota", "reason": "quotaExceeded" } ]
  }
}"#;
        let (report, rejects) = read(&db, answer, &Options::default());
        assert_eq!((report.format, report.rows, report.rejected), (Some(Format::YoutubeApi), 1, 1));
        assert_eq!(rejects[0].reason, "is an API error: The request cannot be completed because you have exceeded your quota. (quotaExceeded)");
    }

    fn missing_csv_column_is_named_with_its_file(t) {
        let db = t.db();
        let input = HEADER.replace(",likes", "");
        let error = ingest(&db, "some.csv", input.as_bytes(), &Options::default(), &mut |_| Ok(())).unwrap_err();
        assert_eq!(error.to_string(), "some.csv has no column likes in its CSV header");
    }

    fn strict_writes_nothing_if_any_row_is_bad(t) {
        let db = t.db();
        let options = Options { strict: true, ..Default::default() };
        let input = format!("{HEADER}{}{}{}", row("a", 12, "1"), row("b", 12, "x"), row("c", 12, "y"));
        let error = ingest(&db, "in.csv", input.as_bytes(), &options, &mut |_| Ok(())).unwrap_err();
        match error {
            Error::Rejected { rejected: 2, first } => assert_eq!(first, "in.csv line 4: view_count is not a count: \"x\""),
            other => panic!("{other}"),
        }
        assert!(everything(&db).0.is_empty());
        let (report, _) = read(&db, format!("{HEADER}{}", row("a", 12, "1")), &options);
        assert_eq!(report.new, 1);
    }

    fn files_larger_than_a_batch_are_ingested(t) {
        let db = t.db();
        let mut input = HEADER.to_owned();
        for number in 0..12_000 {
            input += &row(&format!("v{}", number % 11_000), 12 + number / 11_000, &number.to_string());
        }
        let (report, _) = read(&db, &input, &Options::default());
        assert_eq!(counts(&report), (12_000, 11_000, 0, 0));
        assert_eq!(find(&db, "v0").view_count, Some(11_000));
        let (report, _) = read(&db, &input, &Options::default());
        assert_eq!((report.new, report.updated, report.snapshots), (0, 0, 0));
    }

    fn youtube_api_responses_are_ingested(t) {
        let db = t.db();
        let answer = r#"{
  "kind": "youtube#videoListResponse",
  "items": [
    {
      "kind": "youtube#video", "id": "aaaaaaaaaaa",
      "snippet": { "publishedAt": "2020-01-01T00:00:00Z", "channelId": "UC9", "title": "One", "channelTitle": "Nine", "categoryId": "17" },
      "contentDetails": { "duration": "PT1H2M3S" },
      "statistics": { "viewCount": "5000000000", "likeCount": "12", "commentCount": "3" }
    },
    { "id": "bbbbbbbbbbb", "statistics": { "viewCount": "lots" } },
    { "snippet": {} },
    { "id": "ccccccccccc", "contentDetails": { "duration": "4:13" } },
    { "id": "ddddddddddd", "snippet": { "title": "No likes" }, "statistics": { "viewCount": "7" } }
  ],
  "pageInfo": { "totalResults": 5 }
}
"#;
        let (report, rejects) = read(&db, answer, &Options::default());
        assert_eq!((report.format, counts(&report)), (Some(Format::YoutubeApi), (5, 2, 0, 3)));
        let said: Vec<(u64, &str)> = rejects.iter().map(|r| (r.line, &*r.reason)).collect();
        assert_eq!(said, [
            (10, "viewCount is not a count: \"lots\""),
            (11, "has no id"),
            (12, "duration is not an ISO 8601 duration: \"4:13\""),
        ]);
        let video = find(&db, "aaaaaaaaaaa");
        assert_eq!((video.view_count, video.duration_seconds, &*video.niche), (Some(5_000_000_000), Some(3723), "sports"));
        assert_eq!((&*video.channel_name, video.category_id), ("Nine", Some(17)));
        assert_eq!(video.url, "https://www.youtube.com/watch?v=aaaaaaaaaaa");
        let hours = video.discovered_at.hours_since("2020-01-01T00:00:00Z".parse().unwrap());
        assert!((video.view_velocity.unwrap() - 5e9 / hours).abs() < 1e-3);
        assert_eq!(find(&db, "ddddddddddd").niche, "other");
        let before = everything(&db);
        let (report, _) = read(&db, answer, &Options::default());
        assert_eq!((report.new, report.updated, report.unchanged), (0, 0, 2));
        assert_eq!(everything(&db), before);
    }

    fn yt_dlp_info_json_is_ingested(t) {
        let db = t.db();
        let youtube = r#"{"id":"yt1","title":"Tube","channel":"C","channel_id":"UC1","webpage_url":"https://www.youtube.com/watch?v=yt1","duration":61.6,"view_count":100,"categories":["Comedy"],"upload_date":"20200101","extractor":"youtube","extractor_key":"Youtube","epoch":1600000000,"formats":[{"url":"x"}]}"#;
        let tiktok = r#"{"id":"7001","title":"Tok","uploader":"maker","uploader_id":"42","webpage_url":"https://www.tiktok.com/@m/video/7001","description":"hi #fyp #dance","duration":12,"view_count":900,"like_count":9,"comment_count":1,"repost_count":4,"timestamp":1599990000,"extractor":"TikTok","extractor_key":"TikTok","epoch":1600000000}"#;
        let vimeo = r#"{"id":"v1","title":"Vi","extractor":"vimeo","webpage_url":"https://vimeo.com/1"}"#;
        let (report, _) = read(&db, youtube, &Options::default());
        assert_eq!((report.format, report.new, report.trends), (Some(Format::YtDlp), 1, 0));
        let video = find(&db, "yt1");
        assert_eq!((video.duration_seconds, &*video.niche, video.discovered_at.to_string().as_str()), (Some(62), "funny", "2020-09-13T12:26:40Z"));

        // As yt-dlp prints it: a long list of formats comes before the names that identify the format.
        let formats = r#"{"format_id":"22","url":"https://example.com/a/long/address"},"#.repeat(3_000);
        let long = format!(r#"{{"id":"yt9","title":"Tube","formats":[{}],{}"#, formats.trim_end_matches(','), &youtube[r#"{"id":"yt1","title":"Tube","#.len()..]);
        let (report, _) = read(&db, &long, &Options::default());
        assert_eq!((report.format, report.new), (Some(Format::YtDlp), 1));

        // Lines, one of them broken: only that line is rejected.
        let lines = format!("{youtube}\n{{\"id\":\"x\",\"tit\n{tiktok}\n\n{vimeo}\n[1]\n{{\"title\":\"no id\"}}\n");
        let (report, rejects) = read(&db, &lines, &Options { format: Some(Format::YtDlp), niche: Some("mine"), ..Default::default() });
        assert_eq!(counts(&report), (6, 2, 0, 3));
        assert_eq!(report.trends, 1);
        assert_eq!(rejects.iter().map(|r| r.line).collect::<Vec<_>>(), [2, 6, 7]);
        assert_eq!(find(&db, "v1").niche, "mine");
        let trend = db.read(|c| Trend::find_by_external_id(c, "7001")).unwrap();
        assert_eq!((trend.platform, trend.views, trend.shares), (Platform::Tiktok, Some(900), Some(4)));
        assert_eq!(trend.hashtags.unwrap().0, serde_json::json!(["fyp", "dance"]));
        assert_eq!(trend.creator.as_deref(), Some("maker"));

        // A playlist on one line and on many lines, with a video that yt-dlp could not get.
        let playlist = format!("{{\"_type\":\"playlist\",\"id\":\"PL\",\"title\":\"List\",\"entries\":[{},null,{}],\"extractor\":\"youtube:tab\"}}", youtube.replace("yt1", "yt2"), youtube.replace("yt1", "yt3"));
        let (report, rejects) = read(&db, &playlist, &Options::default());
        assert_eq!(counts(&report), (3, 2, 0, 1));
        assert!(rejects[0].reason.contains("could not get this video"));
        let pretty = serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(&playlist.replace("yt2", "yt4")).unwrap()).unwrap();
        let (report, _) = read(&db, &pretty, &Options::default());
        assert_eq!(counts(&report), (3, 1, 0, 1));

        // A document that is cut off in the middle: everything before the cut is stored.
        let (report, rejects) = read(&db, &pretty.replace("yt4", "yt5")[..pretty.len() - 200], &Options { format: Some(Format::YtDlp), ..Default::default() });
        assert_eq!((report.new, report.rejected), (1, 2));
        assert_eq!(rejects[1].reason, "the document is cut off");

        let before = everything(&db);
        let (report, _) = read(&db, &lines, &Options { format: Some(Format::YtDlp), ..Default::default() });
        assert_eq!((report.new, report.updated, report.trends), (0, 0, 0));
        assert_eq!(everything(&db), before);
    }

    fn bad_items_do_not_affect_others(t) {
        let db = t.db();
        let item = |id: &str, title: &str| format!(r#"{{"kind":"youtube#video","id":"{id}","snippet":{{"title":"{title}","channelTitle":"C","channelId":"U"}}}}"#);
        // Half of a surrogate pair, a NUL, and an object without any part of a video.
        let answer = format!(r#"{{"kind":"youtube#videoListResponse","items":[{},{},{},{},{}]}}"#, item("a", "é 😀"), item("b", r"\ud83d"), item("c", r"\u0000"), r#"{"id":"junk"}"#, item("d", "last"));
        let (report, rejects) = read(&db, &answer, &Options::default());
        assert_eq!((report.new, report.rejected), (2, 3), "{rejects:?}");
        assert_eq!(find(&db, "a").title, "é 😀");
        assert!(rejects[1].reason.contains("NUL"), "{rejects:?}");
        // Bytes that are not UTF-8.
        let mut bytes = format!("[{},\n{},\n{}]", item("e", "bad: X"), item("f", "cut: X"), item("g", "ü good")).into_bytes();
        for (after, with) in [(b"bad: ", 0xff), (b"cut: ", 0xe2)] {
            let index = bytes.windows(5).position(|window| window == after).unwrap() + 5;
            bytes[index] = with;
        }
        let mut rejected = Vec::new();
        let report = ingest(&db, "bytes", &bytes[..], &Options { format: Some(Format::YoutubeApi), ..Default::default() }, &mut |row| { rejected.push(row); Ok(()) }).unwrap();
        assert_eq!((report.new, report.rejected), (1, 2));
        assert_eq!(rejected.iter().map(|row| (row.line, &*row.reason)).collect::<Vec<_>>(), [(1, "is not UTF-8"), (2, "is not UTF-8")]);
        assert_eq!(find(&db, "g").title, "ü good");
        // A document with one item per line is not JSON Lines.
        let lines = format!("{{\"kind\":\"youtube#videoListResponse\",\"items\":[\n{},\n{}\n]}}\n", item("h", "x"), item("i", "x"));
        let (report, _) = read(&db, &lines, &Options { strict: true, ..Default::default() });
        assert_eq!((report.new, report.rejected), (2, 0));
        // Long JSON Lines, of which the second is cut off.
        let long = |id: &str| item(id, &"x".repeat(70_000));
        let lines = format!("{}\n{}\n{}\n", long("j"), &long("k")[..69_000], long("l"));
        let (report, rejects) = read(&db, &lines, &Options::default());
        assert_eq!((report.new, report.rejected), (2, 1), "{:?}", rejects.iter().map(|row| (row.line, &row.reason)).collect::<Vec<_>>());
        // Playlists are not videos.
        let lists = r#"{"_type":"url","ie_key":"YoutubeTab","id":"UCx","url":"https://x","title":"t"}
{"_type":"playlist","id":"PLx","title":"t","extractor":"youtube:tab"}
{"_type":"url","ie_key":"Youtube","id":"m","url":"https://x","title":"t"}"#;
        assert_eq!(counts(&read(&db, lists, &Options::default()).0), (3, 1, 0, 2));
    }

    fn lines_from_a_slow_pipe_are_read_completely(t) {
        /// A slow pipe that returns at most 40 bytes per read.
        struct Pieces<'a>(&'a [u8]);
        impl Read for Pieces<'_> {
            fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
                let length = out.len().min(40);
                self.0.read(&mut out[..length])
            }
        }
        let db = t.db();
        let item = |id: &str| format!(r#"{{"id":"{id}","title":"a title of some length","extractor":"youtube","webpage_url":"u"}}"#);
        let lines = format!("{}\n{}\n{}\n", item("a"), &item("b")[..30], item("c"));
        let options = Options { format: Some(Format::YtDlp), ..Default::default() };
        let report = ingest(&db, "-", Pieces(lines.as_bytes()), &options, &mut |_| Ok(())).unwrap();
        assert_eq!((report.new, report.rejected), (2, 1));
    }

    fn stray_character_rejects_only_its_line(t) {
        let db = t.db();
        let item = |id: &str| format!(r#"{{"id":"{id}","title":"t","extractor":"youtube","webpage_url":"u"}}"#);
        let lines = format!("{}\n{{\"id\":é}}\n{}\n😀\n{}\n", item("a"), item("b"), item("c"));
        let (report, rejects) = read(&db, &lines, &Options { format: Some(Format::YtDlp), ..Default::default() });
        assert_eq!((report.new, rejects.iter().map(|row| row.line).collect::<Vec<_>>()), (3, vec![2, 4]), "{rejects:?}");
    }

    fn niche_option_applies_to_json_lines_without_a_niche(t) {
        let db = t.db();
        let line = |id: &str, more: &str| format!(r#"{{"video_id":"{id}","title":"t","channel_name":"c","channel_id":"d","url":"u"{more}}}"#);
        let lines = [line("a", ""), line("b", r#","niche":null"#), line("c", r#","niche":"own""#), "{}".to_owned()].join("\n");
        let options = Options { niche: Some("told"), ..Default::default() };
        let (report, rejects) = read(&db, &lines, &options);
        assert_eq!(counts(&report), (4, 3, 0, 1), "{rejects:?}");
        assert_eq!(["a", "b", "c"].map(|id| find(&db, id).niche), ["told", "told", "own"]);
        assert_eq!(rejects[0].row, serde_json::json!({}), "the rejected row is kept as given");
        let options = Options { table: Some("pipeline_runs"), ..options };
        let error = ingest(&db, "in", &b"{}"[..], &options, &mut |_| Ok(())).unwrap_err();
        assert_eq!(error.to_string(), "--niche applies only to videos, but the rows are for pipeline_runs");
    }

    fn rows_without_a_key_are_looked_up_in_linear_time(t) {
        let db = t.db();
        let options = Options { table: Some("error_log"), ..Default::default() };
        // Measures the time to read rows again that are all stored already.
        let known = |count: u32| {
            let lines: String = (0..count).map(|n| format!("{{\"module\":\"m{n}\",\"error_type\":\"e\",\"error_message\":\"x\"}}\n")).collect();
            read(&db, &lines, &options);
            let start = std::time::Instant::now();
            assert_eq!(read(&db, &lines, &options).0.unchanged, u64::from(count));
            start.elapsed()
        };
        let (few, many) = (known(2_500), known(10_000));
        // Four times as many rows take four times as long, but 16 times as long if each row is compared with
        // every other. A busy machine makes both slower.
        assert!(many.as_secs() < 3 || many < few * 9, "{few:?} and {many:?}: the time grows with the square of the rows");
    }

    fn row_that_postgres_cannot_store_does_not_affect_others(t) {
        let db = t.db();
        let line = |id: &str, more: &str| format!(r#"{{"video_id":"{id}","title":"t","channel_name":"c","channel_id":"d","url":"u","niche":"n"{more}}}"#);
        let lines = [line("a", ""), line("b\\u0000", ""), line("c", r#","discovered_at":"0000-01-01T00:00:00Z""#), line("d", "")].join("\n");
        let (report, rejects) = read(&db, &lines, &Options::default());
        let kept_by_sqlite = u64::from(!t.is_postgres); // the year 0
        assert_eq!((report.new, report.rejected), (2 + kept_by_sqlite, 2 - kept_by_sqlite), "{rejects:?}");
        let key = |n: usize| (0..n).map(|n| ((n * 7919) % 9973).to_string()).collect::<String>();
        let lines = [line("e", ""), line(&key(4_000), ""), line("f", "")].join("\n");
        let (report, rejects) = read(&db, &lines, &Options::default());
        assert_eq!((report.new, rejects[0].line), (2, 2), "a key too long for PostgreSQL's indexes is rejected on both engines");
    }

    fn last_line_of_a_row_wins(t) {
        let db = t.db();
        let lines = r#"{"video_id":"v","title":"old","channel_name":"c","channel_id":"d","url":"u","niche":"n","view_count":10,"viral_score":0.5}
{"video_id":"v","title":"new","channel_name":"c","channel_id":"d","url":"u","niche":"n","view_count":20}"#;
        for (new, unchanged) in [(1, 0), (0, 1)] {
            let (report, _) = read(&db, lines, &Options::default());
            assert_eq!((report.new, report.updated, report.unchanged), (new, 0, unchanged));
            let video = find(&db, "v");
            assert_eq!((&*video.title, video.view_count, video.viral_score), ("new", Some(20), Some(0.5)));
        }
    }

    fn rereading_an_old_file_never_lowers_newer_counts(t) {
        let db = t.db();
        let csv = "video_id,title,publishedAt,channelId,channelTitle,categoryId,trending_date,tags,view_count,likes,dislikes,comment_count,thumbnail_link,comments_disabled,ratings_disabled,description\n\
                   v1,T,2020-08-01T00:00:00Z,U,C,20,2020-08-12T00:00:00Z,,100,1,0,1,x,False,False,d\n";
        read(&db, csv, &Options::default());
        let newer = r#"{"id":"v1","title":"T","extractor":"youtube","webpage_url":"https://x","view_count":999}"#;
        assert_eq!(read(&db, newer, &Options::default()).0.updated, 1);
        let before = everything(&db);
        read(&db, csv, &Options::default());
        assert_eq!(everything(&db), before);
        // A different count for a day that is already stored changes nothing either.
        read(&db, csv.replace(",100,", ",50,"), &Options::default());
        assert_eq!(everything(&db), before);
    }

    fn concurrent_ingests_never_lower_a_count(t) {
        let db = t.db();
        for round in 0..8 {
            let file = |day, views: &str| -> String { HEADER.to_owned() + &(0..400).map(|n| row(&format!("r{round}_{n}"), day, views)).collect::<String>() };
            let files = [file(12, "100"), file(13, "200")];
            std::thread::scope(|scope| {
                let db = &db;
                for file in &files {
                    scope.spawn(move || read(db, file, &Options::default()));
                }
            });
        }
        let behind: i64 = {
            use viraldb::diesel::prelude::*;
            use viraldb::schema::discovered_videos as v;
            db.read(|c| Ok(v::table.filter(v::view_count.ne(200)).count().get_result(c)?)).unwrap()
        };
        assert_eq!(behind, 0);
    }

    fn json_lines_are_ingested_into_every_table(t) {
        let db = t.db();
        let tables = [
            ("discovered_videos", r#"{"video_id":"a","title":"t","channel_name":"c","channel_id":"d","url":"u","niche":"gaming","view_count":1,"processed":2}"#),
            ("pipeline_runs", r#"{"id":7,"niche":"gaming","cycle_start":"2026-01-01T00:00:00Z","cycle_end":"2026-01-02 00:00:00","status":"running"}"#),
            ("clips", r#"{"pipeline_run_id":7,"discovered_video_id":1,"rank_position":1,"start_time_seconds":1,"end_time_seconds":2.5,"clip_duration_seconds":1.5}"#),
            ("scripts", r#"{"pipeline_run_id":7,"full_script_json":{"a":[1,null]},"generated_at":"2026-01-01T00:00:00.5+01:00"}"#),
            ("tts_audio", r#"{"pipeline_run_id":7,"engine_used":"piper"}"#),
            ("shorts", r#"{"pipeline_run_id":7,"status":"review"}"#),
            ("analytics", r#"{"youtube_video_id":"y","view_count":3000000000,"measured_at":"2026-01-01T00:00:00Z"}"#),
            ("review_log", r#"{"pipeline_run_id":7,"action":"redo_script","auto_held":true}"#),
            ("config_overrides", r#"{"key":"k","value":"v"}"#),
            ("error_log", r#"{"module":"m","error_type":"e","error_message":"x"}"#),
            ("transformation_presets", r#"{"id":"0190b5a0-0000-7000-8000-000000000001","name":"p","parameters":{"x":1},"is_default":true}"#),
            ("music", r#"{"name":"song","metadata":null}"#),
            ("channels", r#"{"id":"0190b5a0-0000-7000-8000-000000000002","name":"n","youtube_channel_id":"UC","youtube_channel_url":"u","api_credentials_encrypted":"gAAAAx","posting_schedule":{},"content_filters":[],"metadata_template":{}}"#),
            ("videos", r#"{"id":"0190b5a0-0000-7000-8000-000000000003","channel_id":"0190b5a0-0000-7000-8000-000000000002","source_url":"u","source_title":"t","source_platform":"tiktok","status":"pending"}"#),
            ("video_processing_jobs", r#"{"video_id":"0190b5a0-0000-7000-8000-000000000003","channel_id":"0190b5a0-0000-7000-8000-000000000002","job_type":"download"}"#),
            ("channel_statistics", r#"{"channel_id":"0190b5a0-0000-7000-8000-000000000002","view_count":5}"#),
            ("video_statistics", r#"{"video_id":"0190b5a0-0000-7000-8000-000000000003"}"#),
            ("system_configuration", r#"{"key":"k","value":{"deep":[1]}}"#),
            ("jobs", r#"{"id":3,"theme":"cats"}"#),
            ("trends", r#"{"platform":"youtube","external_id":"e","views":1}"#),
            ("job_scripts", r#"{"id":4,"job_id":3,"video_prompt":"p","scenes":[1]}"#),
            ("job_videos", r#"{"job_id":3,"script_id":4,"cost_usd":0.25}"#),
        ];
        for (table, line) in tables {
            let options = Options { format: Some(Format::Jsonl), table: Some(table), ..Default::default() };
            let (report, rejects) = read(&db, line, &options);
            assert_eq!((counts(&report), &*report.table), ((1, 1, 0, 0), table), "{rejects:?}");
            let (report, rejects) = read(&db, format!("{line}\n{line}\n"), &options);
            assert_eq!((report.new, report.updated), (0, 0), "{table} twice: {rejects:?}");
        }
        let status = viraldb::ops::status(&db).unwrap();
        assert!(status.tables.iter().all(|table| table.count.rows == 1), "{:?}", status.tables);
        // Ids that were given explicitly are not assigned again.
        let run = viraldb::compilation::NewPipelineRun::new("n", Timestamp::now(), Timestamp::now());
        assert_eq!(db.write(|c| run.insert(c)).unwrap().id.0, 8);
    }

    fn json_lines_update_by_key_and_invalid_rows_are_rejected(t) {
        let db = t.db();
        let of = |table| Options { format: Some(Format::Jsonl), table: Some(table), ..Default::default() };
        read(&db, "{\"key\":\"a\",\"value\":\"1\",\"updated_by\":\"me\"}", &of("config_overrides"));
        let (report, _) = read(&db, "{\"key\":\"a\",\"value\":\"2\"}\n{\"key\":\"b\",\"value\":\"1\"}\n{\"key\":\"b\",\"value\":\"3\"}", &of("config_overrides"));
        assert_eq!((report.new, report.updated), (1, 1));
        let a = db.read(|c| viraldb::compilation::ConfigOverride::find(c, "a")).unwrap();
        assert_eq!((&*a.value, &*a.updated_by), ("2", "me"));
        assert_eq!(db.read(|c| viraldb::compilation::ConfigOverride::find(c, "b")).unwrap().value, "3");

        let lines = "{\"pipeline_run_id\":99,\"engine_used\":\"x\"}\n{\"engine_used\":\"x\"}\n{\"pipeline_run_id\":1,\"engine_used\":\"x\",\"other\":1}\nno json\n[]\n";
        let (report, rejects) = read(&db, lines, &of("tts_audio"));
        assert_eq!(counts(&report), (5, 0, 0, 5));
        // Rows that the database rejects come last.
        let mut reasons: Vec<(u64, &str)> = rejects.iter().map(|r| (r.line, &*r.reason)).collect();
        reasons.sort_unstable();
        assert_eq!(reasons[0].1, "tts_audio.pipeline_run_id 99 not found in pipeline_runs; ingest the rows of pipeline_runs first");
        assert!(reasons[1].1.contains("missing field `pipeline_run_id`"));
        assert!(reasons[2].1.contains("unknown field `other`"));
        assert!(reasons[3].1.contains("is not valid JSON"));
        assert_eq!(reasons[4].1, "is not a JSON object");

        // One bad row among many is found, and the others are stored.
        let mut lines: String = (0..300).map(|n| format!("{{\"status\":\"pending\",\"theme\":\"t{n}\"}}\n")).collect();
        lines += "{\"job_id\":1}\n";
        assert_eq!(read(&db, &lines, &of("jobs")).0.rejected, 1);
        let videos: String = (0..300).map(|n| format!("{{\"job_id\":{},\"file_path\":\"f{n}\"}}\n", if n == 137 { 9999 } else { 1 })).collect();
        let (report, rejects) = read(&db, &videos, &of("job_videos"));
        assert_eq!((counts(&report), rejects[0].line), ((300, 299, 0, 1), 138));
        assert_eq!(rejects[0].row["job_id"], 9999, "the rejected row is kept");
    }

    fn a_row_without_values_is_stored_with_defaults_or_rejected_with_its_line(t) {
        let db = t.db();
        let first = r#"{"theme":"x","file_path":"x"}"#;
        for table in viraldb::ops::status(&db).unwrap().tables.iter().map(|table| &*table.table) {
            let options = Options { format: Some(Format::Jsonl), table: Some(table), ..Default::default() };
            let good = match table {
                "jobs" => r#"{"theme":"x"}"#,
                "job_videos" => r#"{"file_path":"x"}"#,
                _ => first, // rejected everywhere else
            };
            let lines = format!("{good}\n{{}}\n{{\"id\":null,\"status\":null}}\n{{\"no_such_column\":1}}\n");
            let (report, rejects) = read(&db, &lines, &options);
            let rejected: Vec<u64> = rejects.iter().map(|reject| reject.line).collect();
            if good == first {
                assert_eq!((report.new, rejected), (0, vec![1, 2, 3, 4]), "{table}: {rejects:?}");
                continue;
            }
            // Two rows without values count as one, like two rows with equal values.
            assert_eq!((report.new, rejected), (2, vec![4]), "{table}: {rejects:?}");
            let (report, _) = read(&db, &lines, &options);
            assert_eq!((report.new, report.updated, report.unchanged), (0, 0, 2), "{table} twice");
        }
        let jobs = db.read(|c| Job::list(c, &JobFilter::default(), &Page::first(10))).unwrap();
        let themes: Vec<Option<&str>> = jobs.iter().map(|job| job.theme.as_deref()).collect();
        assert_eq!(themes.len(), 2, "{themes:?}");
        assert!(themes.contains(&Some("x")) && themes.contains(&None), "{themes:?}");
        assert!(jobs.iter().all(|job| job.status == JobStatus::Pending));

        // A row with values does not count as a row without values.
        db.write(|c| Ok(c.batch_execute("DELETE FROM jobs WHERE theme IS NULL")?)).unwrap();
        let jobs = Options { format: Some(Format::Jsonl), table: Some("jobs"), ..Default::default() };
        assert_eq!(counts(&read(&db, "{}", &jobs).0), (1, 1, 0, 0));

        // The other formats, and rows that a program inserts directly.
        let empty = ",".repeat(HEADER.matches(',').count()) + "\n";
        let (report, rejects) = read(&db, format!("{HEADER}{empty}{}", row("a", 12, "1")), &Options::default());
        assert_eq!((report.new, rejects.iter().map(|r| r.line).collect::<Vec<_>>()), (1, vec![2]));
        for format in [Format::YoutubeApi, Format::YtDlp] {
            let (report, rejects) = read(&db, "{}\n{}\n", &Options { format: Some(format), ..Default::default() });
            assert_eq!((report.new, rejects.iter().map(|r| r.line).collect::<Vec<_>>()), (0, vec![1, 2]));
        }
        let rows = [NewJob::default(), NewJob { theme: Some("y".into()), ..Default::default() }, NewJob::default()];
        assert_eq!(db.write(|c| NewJob::insert_many(c, &rows)).unwrap(), 3);
    }

    /// A column that a later migration adds must be listed where ingest looks for rows without values.
    fn every_nullable_column_distinguishes_a_row_from_an_empty_one(t) {
        let db = t.db();
        db.write(|c| Ok(c.batch_execute("INSERT INTO jobs (theme) VALUES ('x'); INSERT INTO job_scripts (video_prompt, scenes) VALUES ('x', '[]')")?)).unwrap();
        for (table, row) in [("jobs", serde_json::to_value(NewJob::default())), ("job_videos", serde_json::to_value(NewJobVideo::default()))] {
            for name in row.unwrap().as_object().unwrap().keys() {
                let value = match &**name {
                    "id" | "status" | "created_at" | "updated_at" => continue,
                    "job_id" | "script_id" | "duration_seconds" | "cost_usd" => "1",
                    "metadata" => "'{}'",
                    name if name.ends_with("_at") => "'2026-01-01 00:00:00'",
                    _ => "'x'",
                };
                db.write(|c| Ok(c.batch_execute(&format!("INSERT INTO {table} ({name}) VALUES ({value})"))?)).unwrap();
            }
            let options = Options { format: Some(Format::Jsonl), table: Some(table), ..Default::default() };
            assert_eq!(counts(&read(&db, "{}", &options).0), (1, 1, 0, 0), "{table}");
        }
    }

    fn json_lines_of_trends_never_lower_counts(t) {
        let db = t.db();
        let options = Options { format: Some(Format::Jsonl), table: Some("trends"), ..Default::default() };
        let line = |day, views: i64, more: &str| format!(r#"{{"platform":"tiktok","external_id":"e","views":{views},"collected_at":"2026-01-0{day}"{more}}}"#);
        let upserted = |lines: &str| {
            let (report, rejects) = read(&db, lines, &options);
            assert_eq!(rejects, []);
            (report.new, report.updated, report.unchanged)
        };
        let find = || db.read(|c| Trend::find_by_external_id(c, "e")).unwrap();
        assert_eq!(upserted(&format!("{}\n{}", line(4, 40, ""), line(2, 20, ""))), (1, 0, 0));
        assert_eq!((find().views, find().collected_at), (Some(40), "2026-01-04".parse().unwrap()));
        assert_eq!(upserted(&line(3, 30, "")), (0, 0, 1), "older than the stored row");
        assert_eq!(upserted(&line(3, 30, r#","likes":3"#)), (0, 1, 0));
        assert_eq!((find().views, find().likes), (Some(40), Some(3)));
        assert_eq!(upserted(&line(5, 50, "")), (0, 1, 0));
        // A printed row can be ingested again. A row with an id is written exactly as given.
        let printed = serde_json::to_string(&find()).unwrap();
        assert_eq!(upserted(&printed), (0, 0, 1));
        assert_eq!(upserted(&printed.replace("\"views\":50", "\"views\":1")), (0, 1, 0));
        assert_eq!(find().views, Some(1));
    }

    fn ingests_of_the_same_lines_in_opposite_order_do_not_deadlock(t) {
        drop(t.db());
        let lines: Vec<String> = (0..2_000).map(|n| format!(r#"{{"key":"k{n}","value":"VALUE"}}"#)).collect();
        std::thread::scope(|scope| {
            for who in 0..2 {
                let mut lines = lines.clone();
                if who == 1 {
                    lines.reverse();
                }
                scope.spawn(move || {
                    let db = Database::open(&t.url).unwrap();
                    for round in 0..10 {
                        let input = lines.join("\n").replace("VALUE", &format!("{who} {round}"));
                        let options = Options { format: Some(Format::Jsonl), table: Some("config_overrides"), ..Default::default() };
                        assert_eq!(read(&db, input, &options).0.rejected, 0);
                    }
                });
            }
        });
    }

    fn given_ids_never_set_a_sequence_back(t) {
        let db = t.db();
        if t.is_postgres {
            db.write(|c| Ok(c.batch_execute("ALTER SEQUENCE jobs_id_seq RESTART WITH 1000")?)).unwrap();
        } else {
            db.write(|c| Ok(c.batch_execute("INSERT INTO sqlite_sequence VALUES ('jobs', 999)")?)).unwrap();
        }
        let options = Options { table: Some("jobs"), ..Default::default() };
        let next = |line: &str| {
            assert_eq!(read(&db, line, &options).0.new, 1);
            db.write(|c| viraldb::generation::NewJob::default().insert(c)).unwrap().id.0
        };
        assert_eq!(next(r#"{"id":7,"theme":"a"}"#), 1000);
        assert_eq!(next(r#"{"id":1001,"theme":"b"}"#), 1002);
        assert_eq!(next(r#"{"id":2000,"theme":"c"}"#), 2001);
    }

    fn invalid_inputs_are_refused(t) {
        let db = t.db();
        let refused = |input: &str, options: &Options<'_>| {
            ingest(&db, "in", input.as_bytes(), options, &mut |_| Ok(())).unwrap_err().to_string()
        };
        assert!(refused("", &Options::default()).starts_with("in is empty"));
        assert!(refused("a,b\n1,2\n", &Options::default()).contains("cannot recognize the format of in: its first columns are"));
        assert!(refused("a,b\n1,2\n", &Options { format: Some(Format::YoutubeTrending), ..Default::default() }).contains("has no column video_id"));
        assert!(refused("{}", &Options { table: Some("nope"), ..Default::default() }).contains("unknown table \"nope\"; expected discovered_videos, "));
        assert!(refused(HEADER, &Options { table: Some("clips"), ..Default::default() }).contains("works only with jsonl"));
        assert!(refused("{}", &Options { niche: Some(" "), ..Default::default() }).contains("niche is empty"));
    }

    fn failing_source_keeps_the_rows_stored_so_far(t) {
        struct Failing<'a>(&'a [u8]);
        impl Read for Failing<'_> {
            fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
                match self.0.read(out)? {
                    0 => Err(std::io::Error::other("unplugged")),
                    n => Ok(n),
                }
            }
        }
        let db = t.db();
        let mut input = HEADER.to_owned();
        (0..6_000).for_each(|n| input += &row(&format!("v{n}"), 12, "1"));
        let error = ingest(&db, "in", Failing(input.as_bytes()), &Options::default(), &mut |_| Ok(())).unwrap_err();
        assert!(error.to_string().contains("unplugged"), "{error}");
        let stored = db.read(|c| DiscoveredVideo::list(c, &DiscoveredVideoFilter::default(), &Page::first(10_000))).unwrap();
        assert_eq!(stored.len(), 6_000);
    }
}
