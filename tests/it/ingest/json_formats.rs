//! Tests of YouTube Analytics API reports, TikTok data, watch histories and channel statistics.

use std::io::Read;

use viraldb::compilation::{Analytics, AnalyticsFilter, NewAnalytics};
use viraldb::generation::{Platform, Trend};
use viraldb::ingest::{Format, Options, ingest};
use viraldb::republishing::{ChannelStatistics, ChannelStatisticsFilter, NewChannel};
use viraldb::{Page, Timestamp};

use super::{Broken, counts, everything, find, read};
use crate::support::both;

const ANALYTICS: &str = include_str!("../../data/ingest/analytics_api.json");
const TIKTOK: &str = include_str!("../../data/ingest/tiktok_api.json");
const TAKEOUT: &str = include_str!("../../data/ingest/takeout_watch_history.json");

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

/// Returns options with this measuring time.
fn measured(time: &str) -> Options<'static> {
    Options { measured_at: Some(at(time)), ..Default::default() }
}

/// Returns options for a file that was last modified at this time.
fn modified(time: &str) -> Options<'static> {
    Options { modified: Some(at(time)), ..Default::default() }
}

both! {
    fn api_errors_without_details_give_no_reason_once(t) {
        let db = t.db();
        let reason = |error: &str| {
            let (_, rejects) = read(&db, format!("{{\"kind\": \"youtube#x\", \"error\": {error}}}"), &Options { format: Some(Format::YoutubeApi), ..Default::default() });
            rejects[0].reason.clone()
        };
        assert_eq!(reason("{}"), "is an API error: no reason given");
        assert_eq!(reason(r#"{"message": "slow\n down"}"#), "is an API error: slow down");
        assert_eq!(reason(r#"{"errors": [{"reason": "quotaExceeded"}]}"#), "is an API error: quotaExceeded");
        assert_eq!(reason(r#"{"message": "slow down", "errors": [{"reason": "quotaExceeded"}]}"#), "is an API error: slow down (quotaExceeded)");
    }

    fn unreadable_json_is_named_in_the_error(t) {
        let db = t.db();
        let lines = "{\"theme\":\"a\"}\n".repeat(100_000);
        let document = format!("[\n{}", "{\"theme\":\"a\"},\n".repeat(100_000));
        let long = format!("{{\"theme\":\"{}", "a".repeat(20 << 20));
        for text in [lines, document, long] {
            let options = Options { table: Some("jobs"), ..Default::default() };
            let error = ingest(&db, "answers.json", text.as_bytes().chain(Broken), &options, &mut |_| Ok(())).unwrap_err().to_string();
            assert!(error.starts_with("answers.json: connection lost"), "{error}");
        }
        let answer = format!("{{\"kind\": \"youtube#videoListResponse\", \"items\": [{}", "{\"id\":\"a\"},".repeat(100_000));
        let error = ingest(&db, "answers.json", answer.as_bytes().chain(Broken), &Options::default(), &mut |_| Ok(())).unwrap_err().to_string();
        assert!(error.starts_with("answers.json: connection lost"), "{error}");
    }

    fn analytics_api_report_becomes_analytics_rows(t) {
        let db = t.db();
        let (report, rejects) = read(&db, ANALYTICS, &measured("2024-05-01"));
        assert_eq!(rejects, []);
        assert_eq!((report.format, &*report.table), (Some(Format::YoutubeAnalytics), "analytics"));
        assert_eq!((counts(&report), report.snapshots), ((2, 2, 0, 0), 2));
        let before = everything(&db);
        let row = before.1.iter().find(|row| row.youtube_video_id == "AbC123_-xyz").unwrap();
        assert_eq!((row.view_count, row.like_count, row.average_view_duration_seconds), (Some(8200), Some(300), Some(31.0)));
        assert_eq!(row.measured_at, at("2024-05-01"));
        let other = db.read(|c| Analytics::latest(c, "dEf456_-xyz")).unwrap().unwrap();
        assert_eq!(other.average_view_duration_seconds, Some(12.0));
        assert_eq!(before.0.len(), 0, "a report contains no titles or channels");

        let (report, _) = read(&db, ANALYTICS, &measured("2024-05-01"));
        assert_eq!((report.new, report.updated, report.unchanged, report.snapshots), (0, 0, 2, 0));
        assert_eq!(everything(&db), before);
        // Different numbers for the same time change nothing; another time adds new rows.
        let (report, _) = read(&db, ANALYTICS.replace("8200", "1"), &modified("2024-05-01"));
        assert_eq!((report.new, report.unchanged), (0, 2));
        assert_eq!(everything(&db), before);
        assert_eq!(read(&db, ANALYTICS, &modified("2024-05-02")).0.new, 2);
        // An explicit format gives the same result.
        let options = Options { format: Some(Format::YoutubeAnalytics), ..measured("2024-05-01") };
        assert_eq!(read(&db, ANALYTICS, &options).0.unchanged, 2);
    }

    fn report_fills_in_missing_values_of_a_snapshot_of_the_same_time(t) {
        let db = t.db();
        let day = at("2024-05-01");
        let snapshot = NewAnalytics { youtube_video_id: "AbC123_-xyz".into(), measured_at: Some(day), view_count: Some(5), ..Default::default() };
        db.write(|c| NewAnalytics::insert_many(c, &[snapshot])).unwrap();
        let (report, _) = read(&db, ANALYTICS, &measured("2024-05-01"));
        assert_eq!((report.new, report.updated, report.unchanged, report.snapshots), (1, 1, 0, 1));
        let row = db.read(|c| Analytics::latest(c, "AbC123_-xyz")).unwrap().unwrap();
        assert_eq!((row.view_count, row.like_count, row.average_view_duration_seconds), (Some(5), Some(300), Some(31.0)));
        assert_eq!(read(&db, ANALYTICS, &measured("2024-05-01")).0.unchanged, 2);
    }

    fn reports_by_day_have_a_row_for_each_day(t) {
        let db = t.db();
        let report = |rows: &str| format!(r#"{{"columnHeaders":[{{"name":"video","columnType":"DIMENSION"}},{{"name":"day","columnType":"DIMENSION"}},{{"name":"views","columnType":"METRIC"}},{{"name":"subscribersGained","columnType":"METRIC"}},{{"name":"subscribersLost","columnType":"METRIC"}}],"rows":[{rows}]}}"#);
        let (one, two) = (report(r#"["a","2024-05-01",10,5,8],["a","2024-05-02",20,0,0],["a","soon",1,1,1]"#), report(r#"["b","2024-05-01",7,1,0],["a","2024-05-02",20,0,0]"#));
        for (input, lines) in [(format!("[{one},{two}]"), [1, 1]), (format!("{two}\n{one}\n"), [2, 2]), (format!("[\n{one},\n{two}]"), [2, 2])] {
            let (report, rejects) = read(&db, &input, &Options::default());
            assert_eq!((report.format, report.rows, report.new + report.unchanged, report.rejected), (Some(Format::YoutubeAnalytics), 5, 3, 1));
            assert!(rejects[0].reason.contains("day is not a date: \"soon\""), "{rejects:?}");
            assert_eq!(rejects[0].line, lines[0]);
        }
        let rows = db.read(|c| Analytics::list(c, &AnalyticsFilter { youtube_video_id: Some("a") }, &Page::first(10))).unwrap();
        let mut rows: Vec<_> = rows.iter().map(|row| (row.measured_at, row.view_count, row.subscriber_gain)).collect();
        rows.sort();
        assert_eq!(rows, [(at("2024-05-01"), Some(10), Some(-3)), (at("2024-05-02"), Some(20), Some(0))]);
    }

    fn report_without_videos_is_rejected_with_the_reason(t) {
        let db = t.db();
        let by_day = r#"{"kind":"youtubeAnalytics#resultTable","columnHeaders":[{"name":"day"},{"name":"views"}],"rows":[["2024-05-01",1],["2024-05-02",2]]}"#;
        let (report, rejects) = read(&db, by_day, &Options::default());
        assert_eq!(counts(&report), (1, 0, 0, 1));
        assert!(rejects[0].reason.contains("no video dimension"), "{}", rejects[0].reason);
        // It does not affect another report.
        let (report, _) = read(&db, format!("[{by_day},{ANALYTICS}]"), &measured("2024-05-01"));
        assert_eq!(counts(&report), (3, 2, 0, 1));
        let error = ingest(&db, "in", ANALYTICS.as_bytes(), &Options { niche: Some("gaming"), ..Default::default() }, &mut |_| Ok(())).unwrap_err();
        assert_eq!(error.to_string(), "--niche applies only to videos, but the rows are for analytics");
    }

    fn tiktok_dump_becomes_trends_and_videos(t) {
        let db = t.db();
        let (report, rejects) = read(&db, TIKTOK, &measured("2024-05-02"));
        assert_eq!(rejects, []);
        assert_eq!((report.format, counts(&report), report.trends), (Some(Format::Tiktok), (1, 1, 0, 0), 1));
        let trend = db.read(|c| Trend::find_by_external_id(c, "7300000000000000001")).unwrap();
        assert_eq!((trend.platform, trend.views, trend.likes, trend.comments, trend.shares), (Platform::Tiktok, Some(1000), Some(10), Some(3), Some(2)));
        assert_eq!((trend.creator.as_deref(), trend.hashtags.unwrap().0), (Some("u1"), serde_json::json!(["fyp"])));
        assert_eq!((trend.title.as_deref(), trend.collected_at), (Some("dance #fyp"), at("2024-05-02")));
        let video = find(&db, "7300000000000000001");
        assert_eq!((video.view_count, video.duration_seconds, &*video.url), (Some(1000), Some(15), "https://www.tiktok.com/@u1/video/7300000000000000001"));
        let before = everything(&db);
        let (report, _) = read(&db, TIKTOK, &measured("2024-05-02"));
        assert_eq!((report.new, report.updated, report.unchanged, report.trends), (0, 0, 1, 0));
        assert_eq!(everything(&db), before);
        // An older file changes nothing; a newer file updates the counts.
        read(&db, TIKTOK.replace("1000", "7"), &modified("2024-05-01"));
        assert_eq!(everything(&db), before);
        read(&db, TIKTOK.replace("1000", "2000"), &modified("2024-05-04"));
        read(&db, TIKTOK.replace("1000", "1500"), &modified("2024-05-03"));
        assert_eq!(find(&db, "7300000000000000001").view_count, Some(2000));
        assert_eq!(db.read(|c| Trend::find_by_external_id(c, "7300000000000000001")).unwrap().views, Some(2000));
    }

    fn apify_rows_and_yt_dlp_pages_are_read_as_tiktok_data(t) {
        let db = t.db();
        let row = |id: &str| format!(r#"{{"id":"{id}","text":"a #b","createTimeISO":"2024-01-02T03:04:05.000Z","authorMeta":{{"name":"n"}},"webVideoUrl":"https://www.tiktok.com/@n/video/{id}","playCount":9,"diggCount":8,"shareCount":7,"commentCount":6,"hashtags":[{{"name":"b"}}],"videoMeta":{{"duration":12}}}}"#);
        for (input, id) in [(format!("[{},{{\"error\":\"gone\"}}]", row("71")), "71"), (format!("{}\n{{\"url\":\"x\",\"error\":\"gone\"}}\n", row("72")), "72")] {
            let (report, rejects) = read(&db, &input, &Options { niche: Some("dance"), ..Default::default() });
            assert_eq!((report.format, counts(&report), report.trends), (Some(Format::Tiktok), (2, 1, 0, 1), 1));
            assert!(rejects[0].reason.contains("the scraper reports an error: gone"), "{rejects:?}");
            assert_eq!(&*find(&db, id).niche, "dance");
        }
        let page = r#"{"id":"MS4w","title":"n","_type":"playlist","extractor":"tiktok:user","extractor_key":"TikTokUser","entries":[{"_type":"url","ie_key":"TikTok","id":"73","url":"https://www.tiktok.com/@n/video/73","title":"x","uploader":"n","view_count":5,"like_count":4,"repost_count":3,"comment_count":2}],"epoch":1700000000}"#;
        let (report, _) = read(&db, page, &modified("2024-05-01"));
        assert_eq!((report.format, counts(&report), report.trends), (Some(Format::YtDlp), (1, 1, 0, 0), 1));
        let trend = db.read(|c| Trend::find_by_external_id(c, "73")).unwrap();
        assert_eq!((trend.views, trend.shares, trend.collected_at), (Some(5), Some(3), at("2024-05-01")));
    }

    fn watch_history_is_refused_by_name(t) {
        let db = t.db();
        let page = r#"<html><head><title>YouTube Watch History</title></head><body><div class="mdl-grid"><div class="outer-cell mdl-cell"><div class="content-cell mdl-cell">Watched <a href="https://www.youtube.com/watch?v=AbC123_-xyz">x</a>"#;
        for input in [TAKEOUT, page] {
            let error = ingest(&db, "history", input.as_bytes(), &Options::default(), &mut |_| Ok(())).unwrap_err();
            assert!(error.to_string().starts_with("history is a Google Takeout history: it lists what one account watched"), "{error}");
        }
        let options = Options { format: Some(Format::Takeout), ..Default::default() };
        assert!(ingest(&db, "x", &b"[]"[..], &options, &mut |_| Ok(())).is_err());
    }

    fn channels_list_responses_become_statistics_of_known_channels(t) {
        let db = t.db();
        let known = db.write(|c| NewChannel::new("One", "UC1").insert(c)).unwrap();
        let hidden = db.write(|c| NewChannel::new("Two", "UC2").insert(c)).unwrap();
        let answer = r#"{ "kind": "youtube#channelListResponse", "items": [
            {"kind":"youtube#channel","id":"UC1","snippet":{"title":"One"},"statistics":{"viewCount":"5000000000","subscriberCount":"12","hiddenSubscriberCount":false,"videoCount":"3"}},
            {"kind":"youtube#channel","id":"UC9","snippet":{"title":"Nine"},"statistics":{"viewCount":"5"}},
            {"kind":"youtube#channel","id":"UC2","statistics":{"viewCount":"5","subscriberCount":"77","hiddenSubscriberCount":true,"videoCount":"3"}},
            {"kind":"youtube#channel","id":"UC1"} ] }"#;
        let (report, rejects) = read(&db, answer, &measured("2024-05-01"));
        assert_eq!((report.format, &*report.table, counts(&report)), (Some(Format::YoutubeChannels), "channel_statistics", (4, 2, 0, 2)));
        let said: Vec<(u64, &str)> = rejects.iter().map(|reject| (reject.line, &*reject.reason)).collect();
        assert_eq!(said, [
            (3, "channel UC9 (Nine) is not in channels; add it with `viraldb channels add`"),
            (5, "has no statistics; request part=statistics from channels.list"),
        ]);
        let row = db.read(|c| ChannelStatistics::latest(c, known.id)).unwrap().unwrap();
        assert_eq!((row.view_count, row.subscriber_count, row.video_count, row.timestamp), (5_000_000_000, 12, 3, at("2024-05-01")));
        let row = db.read(|c| ChannelStatistics::latest(c, hidden.id)).unwrap().unwrap();
        assert_eq!((row.view_count, row.subscriber_count), (5, 0));
        let all = || db.read(|c| ChannelStatistics::list(c, &ChannelStatisticsFilter::default(), &Page::first(10))).unwrap();
        let before = all();
        let (report, _) = read(&db, answer, &modified("2024-05-01"));
        assert_eq!((report.new, report.unchanged, report.rejected), (0, 2, 2));
        assert_eq!(all(), before);
        // One item per line.
        let lines = r#"{"id":"UC1","statistics":{"viewCount":"6","subscriberCount":"13","videoCount":"4"}}"#;
        assert_eq!(counts(&read(&db, format!("{lines}\n{lines}\n"), &measured("2024-05-02")).0), (2, 1, 0, 0));
        assert_eq!(all().len(), 3);
    }

    fn yt_dlp_files_in_any_order_never_lower_counts(t) {
        let info = |site: &str, epoch: u32, views: u32| format!(r#"{{"id":"v_{site}","title":"T","uploader":"u","webpage_url":"https://x/{site}","view_count":{views},"like_count":{views},"extractor_key":"{site}","epoch":{epoch}}}"#);
        let sites = ["Youtube", "TikTok", "Vimeo"];
        let orders = [[1, 2, 3, 4], [4, 3, 2, 1], [1, 4, 2, 3], [2, 1, 4, 3], [3, 4, 1, 2]];
        let db = t.db();
        for order in orders {
            // Each file separately, and then all files as one.
            let files: Vec<String> = order.iter().map(|n| sites.map(|site| info(site, 1_600_000_000 + n, 100 * n)).join("\n")).collect();
            let together = [files.join("\n")];
            for files in [&files[..], &together] {
                for file in files {
                    assert_eq!(read(&db, file, &Options::default()).0.rejected, 0);
                }
                for site in sites {
                    let video = find(&db, &format!("v_{site}"));
                    assert_eq!((video.view_count, video.like_count), (Some(400), Some(400)), "{site} {order:?}");
                }
                assert_eq!(db.read(|c| Trend::find_by_external_id(c, "v_TikTok")).unwrap().views, Some(400));
                let snapshots = db.read(|c| Analytics::list(c, &AnalyticsFilter::default(), &Page::first(100))).unwrap();
                assert!(snapshots.iter().all(|row| row.youtube_video_id == "v_Youtube"), "{snapshots:?}");
                assert_eq!(snapshots.len(), 4, "each file adds exactly one snapshot");
                let before = everything(&db);
                for file in files {
                    read(&db, file, &Options::default());
                }
                assert_eq!(everything(&db), before);
                db.write(|c| {
                    use viraldb::diesel::connection::SimpleConnection;
                    Ok(c.batch_execute("DELETE FROM discovered_videos; DELETE FROM analytics; DELETE FROM trends")?)
                }).unwrap();
            }
        }
    }

    fn api_responses_are_newer_than_files_with_an_older_time(t) {
        let db = t.db();
        let api = |views: u32| format!(r#"{{"kind":"youtube#video","id":"v","snippet":{{"title":"T"}},"statistics":{{"viewCount":"{views}"}}}}"#);
        let info = |epoch: u32, views: u32| format!(r#"{{"id":"v","title":"T","webpage_url":"u","view_count":{views},"extractor_key":"Youtube","epoch":{epoch}}}"#);
        let views = || find(&db, "v").view_count;
        read(&db, info(1_600_000_000, 100), &Options::default());
        assert_eq!(read(&db, api(300), &Options::default()).0.updated, 1);
        read(&db, info(1_700_000_000, 200), &Options::default());
        assert_eq!(views(), Some(300), "the API response was measured after the file");
        // The same response again, or an older file of responses, changes nothing.
        let before = everything(&db);
        read(&db, api(300), &Options::default());
        read(&db, api(250), &modified("2024-05-01"));
        assert_eq!(everything(&db), before);
        // A new video needs no snapshot,
        read(&db, api(1).replace("\"v\"", "\"w\""), &Options::default());
        assert_eq!(everything(&db).1, before.1);
        // unless a measuring time is given.
        assert_eq!(read(&db, api(1).replace("\"v\"", "\"x\""), &measured("2024-05-01")).0.snapshots, 1);
        // A time in the future is ignored.
        read(&db, info(4_000_000_000, 400), &Options::default());
        read(&db, api(500), &Options::default());
        assert_eq!(views(), Some(500));
    }

    fn json_of_an_unknown_format_is_refused_with_its_keys(t) {
        let db = t.db();
        let error = ingest(&db, "in.json", &br#"[{"postId":1,"caption":"x","likesCount":2}]"#[..], &Options::default(), &mut |_| Ok(())).unwrap_err();
        let error = error.to_string();
        assert!(error.contains(r#"its first keys are "postId", "caption", "likesCount""#) && error.contains("--as youtube-trending|"), "{error}");
    }

    fn playlist_items_yield_their_videos_and_other_kinds_are_rejected(t) {
        let db = t.db();
        let answer = r#"{"kind":"youtube#playlistItemListResponse","items":[{"kind":"youtube#playlistItem","id":"UExhYmM","snippet":{"title":"T","channelTitle":"C","channelId":"U","resourceId":{"kind":"youtube#video","videoId":"vid1"}}},{"kind":"youtube#commentThread","id":"c1","snippet":{}}]}"#;
        let (report, rejects) = read(&db, answer, &Options::default());
        assert_eq!(counts(&report), (2, 1, 0, 1));
        assert_eq!(rejects[0].reason, "is a youtube#commentThread, not a video");
        assert_eq!(find(&db, "vid1").title, "T");
    }

    fn command_uses_the_given_time_or_the_modification_time_of_the_file(t) {
        t.ok(&["init"]);
        let path = t.file("report.json", ANALYTICS);
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000)).unwrap();
        assert_eq!(t.ok(&["ingest", "report.json"]), "report.json  2 rows: 2 new in analytics, 0 updated, 0 rejected\n");
        assert_eq!(t.ok(&["ingest", "report.json"]), "report.json  2 rows: 0 new in analytics, 0 updated, 0 rejected\n");
        t.ok(&["ingest", "report.json", "--measured-at", "2024-05-01T10:00:00+02:00"]);
        let rows = t.db().read(|c| Analytics::list(c, &AnalyticsFilter { youtube_video_id: Some("AbC123_-xyz") }, &Page::first(10))).unwrap();
        let times: Vec<Timestamp> = rows.iter().map(|row| row.measured_at).collect();
        assert_eq!(times, [at("2024-05-01T08:00:00Z"), at("2023-11-14T22:13:20Z")]);
        assert_eq!(t.run(&["ingest", "report.json", "--measured-at", "soon"]).code, 2);
        let ran = t.run(&["ingest", t.file("history.json", TAKEOUT).to_str().unwrap()]);
        assert!(ran.code == 1 && ran.err.contains("is a Google Takeout history"), "{}", ran.err);
    }
}
