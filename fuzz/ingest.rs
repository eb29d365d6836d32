//! Fuzzes the formats that `ingest` reads: CSV, JSON Lines and API responses.

use std::io::Read;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use viraldb::Database;
use viraldb::diesel::connection::SimpleConnection;
use viraldb::ingest::{Format, Options, Report, ingest};
use viraldb::ops::{Destination, Export, export};

use crate::mutate::{mutated, words};
use crate::runner::{Outcome, check_message, expect, fuzz};

/// Opens two in-memory databases whose contents can be compared.
fn databases() -> [Database; 2] {
    [0, 1].map(|_| Database::open("sqlite::memory:").unwrap())
}

fn empty(db: &Database) {
    let sql =
        "DELETE FROM discovered_videos; DELETE FROM analytics; DELETE FROM trends; DELETE FROM error_log";
    db.write(|c| Ok(c.batch_execute(sql)?)).unwrap();
}

/// An input that arrives in pieces of the given lengths, as from a pipe.
struct Pieces<'a> {
    input: &'a [u8],
    lengths: std::iter::Cycle<std::vec::IntoIter<usize>>,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.lengths.next().unwrap_or(1).min(buffer.len()).min(self.input.len());
        let (piece, rest) = self.input.split_at(length);
        buffer[..length].copy_from_slice(piece);
        self.input = rest;
        Ok(length)
    }
}

type Ingested = Result<(Report, Vec<(u64, String, Value)>), String>;

fn read(db: &Database, input: impl Read + Send, options: &Options<'_>) -> Ingested {
    let mut rejects = Vec::new();
    let report = ingest(db, "input", input, options, &mut |row| {
        rejects.push((row.line, row.reason, row.row));
        Ok(())
    });
    report.map(|report| (report, rejects)).map_err(|error| error.to_string())
}

/// Returns all rows as JSON, without the columns that differ from run to run.
fn rows(db: &Database) -> Vec<Value> {
    let mut rows = Vec::new();
    for table in ["discovered_videos", "analytics", "trends", "error_log"] {
        let mut text = Vec::new();
        let asked = Export { tables: vec![table.to_owned()], ..Default::default() };
        export(db, &asked, Destination::Stream(&mut text), &mut |_, _| ()).unwrap();
        for line in String::from_utf8(text).unwrap().lines() {
            let mut row: Value = serde_json::from_str(line).unwrap();
            // These columns contain generated ids, the time of the ingest, or values that depend on that time.
            for column in [
                "id",
                "discovered_at",
                "collected_at",
                "occurred_at",
                "viral_score",
                "view_velocity",
                "measured_at",
            ] {
                row.as_object_mut().unwrap().remove(column);
            }
            rows.push(row);
        }
    }
    rows
}

/// Checks that an input gives the same result whole and in pieces, that all rejected rows are counted, and that the reasons
/// are short.
fn same_in_pieces(
    [one, two]: &[Database; 2],
    options: &Options<'_>,
    input: &[u8],
    lengths: Vec<usize>,
) -> Outcome {
    let whole = read(one, input, options);
    let pieces = read(two, Pieces { input, lengths: lengths.into_iter().cycle() }, options);
    expect(whole == pieces, || format!("whole: {whole:?}, in pieces: {pieces:?}"))?;
    let stored = [rows(one), rows(two)];
    empty(one);
    empty(two);
    expect(stored[0] == stored[1], || format!("whole: {:?}, in pieces: {:?}", stored[0], stored[1]))?;
    match whole {
        Err(message) => check_message(&message, ""),
        Ok((report, rejects)) => {
            expect(report.rejected == rejects.len() as u64, || {
                format!("{report:?}, but {} rows were rejected", rejects.len())
            })?;
            expect(report.rejected <= report.rows, || format!("{report:?}"))?;
            rejects.iter().try_for_each(|(_, reason, _)| check_message(reason, ""))
        }
    }
}

fn lengths() -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![1..4_usize, 1..200_usize, Just(5_000)], 1..6)
}

const HEADER: &str = "video_id,title,publishedAt,channelId,channelTitle,categoryId,trending_date,tags,view_count,\
    likes,dislikes,comment_count,thumbnail_link,comments_disabled,ratings_disabled,description";

/// Generates rows of the trending dataset: id, title, channel and views.
fn trending() -> impl Strategy<Value = Vec<(String, String, String, u32)>> {
    vec(("[a-zA-Z0-9_-]{11}", words(), words(), any::<u32>()), 0..8)
}

fn csv_of(rows: &[(String, String, String, u32)]) -> Vec<u8> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(HEADER.split(',')).unwrap();
    for (id, title, channel, views) in rows {
        let views = views.to_string();
        csv.write_record([
            id,
            title,
            "2020-08-11T19:20:14Z",
            "UC1",
            channel,
            "20",
            "2020-08-12T00:00:00Z",
            "a|b",
            &*views,
            "1",
            "0",
            "2",
            "http://x",
            "False",
            "False",
            title,
        ])
        .unwrap();
    }
    csv.into_inner().unwrap()
}

#[test]
fn csv() {
    let databases = databases();
    let options = Options { format: Some(Format::YoutubeTrending), ..Options::default() };
    fuzz("csv", (mutated(trending().prop_map(|rows| csv_of(&rows))), lengths()), |(input, lengths)| {
        same_in_pieces(&databases, &options, &input, lengths)
    });
    fuzz("csv, printed and read", trending(), |mut given| {
        given.sort();
        given.dedup_by(|a, b| a.0 == b.0);
        let read = read(&databases[0], &*csv_of(&given), &options);
        let stored = rows(&databases[0]);
        empty(&databases[0]);
        let report = read.map_err(TestCaseError::fail)?;
        let titles = |row: &Value| row["title"].as_str().map(str::to_owned);
        let there: Vec<_> = stored.iter().filter_map(titles).collect();
        let kept = given.iter().filter(|row| there.contains(&row.1.trim().to_owned())).count() as u64;
        expect(kept + report.0.rejected >= given.len() as u64, || {
            format!("{given:?} became {there:?} and {report:?}")
        })
    });
}

#[test]
fn studio_and_any_csv() {
    let databases = databases();
    let number = || prop_oneof![Just(String::new()), "[0-9]{1,4}", "[0-9]{1,3}[.,' ][0-9]{3}", words()];
    let delimiter = proptest::sample::select(vec![",", ";", "\t", "|"]);
    let rows = vec(("[a-zA-Z0-9_-]{11}", words(), number(), "[0-9]{0,2}:[0-9]{2}", number()), 0..8);
    let text = (delimiter, rows).prop_map(|(delimiter, rows)| {
        let mut csv = csv::WriterBuilder::new().delimiter(delimiter.as_bytes()[0]).from_writer(Vec::new());
        csv.write_record([
            "Content",
            "Video title",
            "Views",
            "Average view duration",
            "Estimated revenue (USD)",
        ])
        .unwrap();
        for (id, title, views, duration, revenue) in rows {
            csv.write_record([id, title, views, duration, revenue]).unwrap();
        }
        csv.into_inner().unwrap()
    });
    let map =
        ["video_id=Content", "title=Video title", "view_count=Views", "viral_score=Estimated revenue (USD)"]
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(ours, csv)| (ours.to_owned(), csv.to_owned()));
    let measured_at = Some("2026-05-01".parse().unwrap());
    let studio = Options { format: Some(Format::YoutubeStudio), measured_at, ..Options::default() };
    let table = Options { format: Some(Format::Csv), map: &map, ..Options::default() };
    fuzz("csv of Studio or any", (mutated(text), lengths(), any::<bool>()), |(input, lengths, is_studio)| {
        same_in_pieces(&databases, if is_studio { &studio } else { &table }, &input, lengths)
    });
}

/// Tests inputs that are compressed or in UTF-16, and may be damaged.
#[test]
fn packed() {
    use std::io::Write;

    let databases = databases();
    let gzip = |text: &[u8]| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(text).unwrap();
        packed.finish().unwrap()
    };
    let utf16 = |text: &[u8]| -> Vec<u8> {
        let text = format!("\u{feff}{}", String::from_utf8_lossy(text));
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    };
    let text = (trending().prop_map(|rows| csv_of(&rows)), 0..4_u8).prop_map(move |(text, way)| match way {
        0 => gzip(&text),
        1 => zstd::encode_all(&*text, 1).unwrap(),
        2 => utf16(&text),
        _ => gzip(&utf16(&text)),
    });
    let options = Options { format: Some(Format::YoutubeTrending), ..Options::default() };
    fuzz("packed", (mutated(text), lengths()), |(input, lengths)| {
        same_in_pieces(&databases, &options, &input, lengths)
    });
}

fn video() -> impl Strategy<Value = Value> {
    ("[a-zA-Z0-9_-]{11}", words(), words(), words(), any::<Option<u32>>(), any::<Option<u16>>(), any::<f64>()).prop_map(
        |(id, title, channel, niche, views, seconds, score)| {
            json!({
                "video_id": id, "title": title, "channel_name": channel, "channel_id": "UC1", "url": "https://youtu.be/x",
                "niche": niche, "view_count": views, "duration_seconds": seconds, "viral_score": score,
            })
        },
    )
}

fn lines(documents: &[Value]) -> Vec<u8> {
    documents.iter().flat_map(|document| format!("{document}\n").into_bytes()).collect()
}

#[test]
fn json() {
    let databases = databases();
    let jsonl = Options { format: Some(Format::Jsonl), ..Options::default() };
    let base = vec(video(), 0..8).prop_map(|documents| lines(&documents));
    fuzz("json lines", (mutated(base), lengths()), |(input, lengths)| {
        same_in_pieces(&databases, &jsonl, &input, lengths)
    });
    let errors = vec((words(), words(), words(), any::<bool>()), 0..6).prop_map(|rows| {
        let documents: Vec<Value> = rows
            .into_iter()
            .map(|(module, kind, message, resolved)| {
                json!({ "module": module, "error_type": kind, "error_message": message, "resolved": resolved })
            })
            .collect();
        lines(&documents)
    });
    let errors_table = Options { table: Some("error_log"), ..jsonl.clone() };
    fuzz("json lines of errors", (mutated(errors), lengths()), |(input, lengths)| {
        same_in_pieces(&databases, &errors_table, &input, lengths)
    });
    // `ingest` must read back what `export` prints.
    fuzz("json lines, printed and read", vec(video(), 0..8), |documents| {
        let [one, two] = &databases;
        let print = |db: &Database| {
            let mut text = Vec::new();
            let asked = Export { tables: vec!["discovered_videos".to_owned()], ..Default::default() };
            export(db, &asked, Destination::Stream(&mut text), &mut |_, _| ()).map(|_| text)
        };
        let run = || {
            read(one, &*lines(&documents), &jsonl)?;
            let first = print(one).map_err(|error| error.to_string())?;
            read(two, &*first, &jsonl)?;
            Ok((first, print(two).map_err(|error| error.to_string())?))
        };
        let done: Result<_, String> = run();
        empty(one);
        empty(two);
        let (first, second) = done.map_err(TestCaseError::fail)?;
        expect(first == second, || {
            format!("{} became {}", String::from_utf8_lossy(&first), String::from_utf8_lossy(&second))
        })
    });
}

fn answer() -> impl Strategy<Value = Vec<u8>> {
    vec(("[a-zA-Z0-9_-]{11}", words(), "PT[0-9]{1,3}M[0-9]{1,2}S", any::<u32>()), 0..5).prop_map(|videos| {
        let items: Vec<Value> = videos
            .into_iter()
            .map(|(id, title, duration, views)| {
                json!({
                    "kind": "youtube#video", "id": id,
                    "snippet": { "publishedAt": "2020-08-11T19:20:14Z", "channelId": "UC1", "title": title, "channelTitle": title, "categoryId": "20" },
                    "contentDetails": { "duration": duration },
                    "statistics": { "viewCount": views.to_string(), "likeCount": "1", "commentCount": "2" },
                })
            })
            .collect();
        json!({ "kind": "youtube#videoListResponse", "items": items }).to_string().into_bytes()
    })
}

fn info() -> impl Strategy<Value = Vec<u8>> {
    vec(("[0-9]{6,19}", words(), any::<u32>(), any::<f32>(), any::<bool>()), 0..5).prop_map(|videos| {
        let documents: Vec<Value> = videos
            .into_iter()
            .map(|(id, title, views, duration, is_tiktok)| {
                json!({
                    "id": id, "title": title, "channel": title, "channel_id": "UC1", "webpage_url": "https://x/y",
                    "duration": duration, "view_count": views, "timestamp": views, "tags": [title],
                    "extractor_key": if is_tiktok { "TikTok" } else { "Youtube" },
                })
            })
            .collect();
        lines(&documents)
    })
}

fn analytics_report() -> impl Strategy<Value = Vec<u8>> {
    (vec(("[a-zA-Z0-9_-]{11}", any::<u32>(), any::<f32>()), 0..5), any::<bool>()).prop_map(
        |(videos, is_late)| {
            let rows: Vec<Value> =
                videos.into_iter().map(|(id, views, rate)| json!([id, "2026-01-02", views, rate])).collect();
            let headers =
                ["video", "day", "views", "averageViewDuration"].map(|name| json!({ "name": name }));
            let report = match is_late {
                true => json!({ "rows": rows, "columnHeaders": headers }),
                false => json!({ "columnHeaders": headers, "rows": rows }),
            };
            report.to_string().into_bytes()
        },
    )
}

fn channels_answer() -> impl Strategy<Value = Vec<u8>> {
    vec(("UC[a-zA-Z0-9_-]{22}", words(), any::<u32>()), 0..5).prop_map(|channels| {
        let items = channels.into_iter().map(|(id, title, views)| {
            json!({
                "kind": "youtube#channel", "id": id, "snippet": { "title": title },
                "statistics": { "viewCount": views.to_string(), "hiddenSubscriberCount": false },
            })
        });
        json!({ "kind": "youtube#channelListResponse", "items": items.collect::<Vec<_>>() })
            .to_string()
            .into_bytes()
    })
}

fn tiktok_dump() -> impl Strategy<Value = Vec<u8>> {
    vec(("[0-9]{19}", words(), any::<u32>(), any::<bool>()), 0..5).prop_map(|videos| {
        let videos = videos.into_iter().map(|(id, text, views, is_apify)| match is_apify {
            true => json!({
                "id": id, "text": text, "createTimeISO": "2024-01-02T03:04:05Z", "playCount": views,
                "hashtags": [{ "name": text }], "authorMeta": { "name": "n" }, "videoMeta": { "duration": 1.5 },
            }),
            false => json!({
                "id": id, "desc": text, "createTime": views.to_string(), "author": { "uniqueId": text },
                "stats": { "playCount": views }, "video": { "duration": 3 },
            }),
        });
        Value::Array(videos.collect()).to_string().into_bytes()
    })
}

#[test]
fn api_answers() {
    let databases = databases();
    let api = Options { format: Some(Format::YoutubeApi), ..Options::default() };
    fuzz("answers of videos.list", (mutated(answer()), lengths()), |(input, lengths)| {
        same_in_pieces(&databases, &api, &input, lengths)
    });
    let yt_dlp = Options { format: Some(Format::YtDlp), ..Options::default() };
    fuzz("info of yt-dlp", (mutated(info()), lengths()), |(input, lengths)| {
        same_in_pieces(&databases, &yt_dlp, &input, lengths)
    });
    let analytics = Options { format: Some(Format::YoutubeAnalytics), ..Options::default() };
    fuzz("reports of the Analytics API", (mutated(analytics_report()), lengths()), |(input, lengths)| {
        same_in_pieces(&databases, &analytics, &input, lengths)
    });
    let channels = Options { format: Some(Format::YoutubeChannels), ..Options::default() };
    fuzz("answers of channels.list", (mutated(channels_answer()), lengths()), |(input, lengths)| {
        same_in_pieces(&databases, &channels, &input, lengths)
    });
    let tiktok = Options { format: Some(Format::Tiktok), ..Options::default() };
    fuzz("videos of TikTok", (mutated(tiktok_dump()), lengths()), |(input, lengths)| {
        same_in_pieces(&databases, &tiktok, &input, lengths)
    });
    // Without a format, `ingest` recognizes it.
    let all = prop_oneof![
        answer(),
        info(),
        analytics_report(),
        channels_answer(),
        tiktok_dump(),
        trending().prop_map(|rows| csv_of(&rows))
    ];
    fuzz("an unknown format", (mutated(all), lengths()), |(input, lengths)| {
        same_in_pieces(&databases, &Options::default(), &input, lengths)
    });
}
