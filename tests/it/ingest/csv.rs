//! Tests of every CSV layout and of compressed files.

use std::io::{Cursor, Write};

use viraldb::compilation::{Analytics, DiscoveredVideo};
use viraldb::generation::Trend;
use viraldb::ingest::{Format, Options, Reject, Report, ingest, inputs, preview};
use viraldb::republishing::Music;
use viraldb::{Database, Page};
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::support::both;

const KAGGLE_2017: &str = include_str!("../../data/ingest/kaggle2017.csv");
const STUDIO: &str = include_str!("../../data/ingest/studio_table.csv");
const SEMICOLON: &str = include_str!("../../data/ingest/semicolon.csv");
const UPPER: &str = include_str!("../../data/ingest/upper.csv");
const CHART: &str = "Date,Content,Video title,Video publish time,Duration,Views\n\
                     2026-05-01,AbC123_-xyz,T,\"May 1, 2026\",58,7\n2026-05-02,AbC123_-xyz,T,\"May 1, 2026\",58,9\n";

fn read(db: &Database, input: impl AsRef<[u8]>, options: &Options<'_>) -> (Report, Vec<Reject>) {
    let mut rejects = Vec::new();
    let report = ingest(db, "input", input.as_ref(), options, &mut |reject| {
        rejects.push(reject);
        Ok(())
    });
    (report.unwrap(), rejects)
}

fn refused(db: &Database, input: &[u8], options: &Options<'_>) -> String {
    ingest(db, "in", input, options, &mut |_| Ok(())).unwrap_err().to_string()
}

fn counts(report: &Report) -> (u64, u64, u64, u64, u64) {
    (report.rows, report.new, report.updated, report.unchanged, report.rejected)
}

/// Returns the videos by id, and their snapshots by video and time.
fn everything(db: &Database) -> (Vec<DiscoveredVideo>, Vec<Analytics>) {
    let (mut videos, mut snapshots) = db
        .read(|c| {
            let videos = DiscoveredVideo::list(c, &Default::default(), &Page::first(1_000))?;
            Ok((videos, Analytics::list(c, &Default::default(), &Page::first(1_000))?))
        })
        .unwrap();
    videos.sort_by(|a, b| a.video_id.cmp(&b.video_id));
    snapshots.sort_by(|a, b| (&a.youtube_video_id, a.measured_at).cmp(&(&b.youtube_video_id, b.measured_at)));
    (videos, snapshots)
}

fn gzip(text: &str) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn map(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(ours, csv)| ((*ours).to_owned(), (*csv).to_owned())).collect()
}

both! {
    fn trending_layout_of_2017_yields_videos_and_snapshots(t) {
        let db = t.db();
        let (report, _) = read(&db, KAGGLE_2017, &Options::default());
        assert_eq!((report.format, counts(&report), report.snapshots), (Some(Format::YoutubeTrending), (3, 2, 0, 0, 0), 3));
        let (videos, snapshots) = everything(&db);
        let song = &videos[0];
        assert_eq!((&*song.video_id, song.view_count, &*song.niche), ("AbC123_-xyz", Some(18_158_579), "music"));
        assert_eq!((&*song.channel_name, &*song.channel_id), ("ChannelA", ""));
        let gone = &videos[1];
        assert_eq!((&*gone.video_id, &*gone.niche, &*gone.channel_name), ("gone1234567", "people", ""));
        let times: Vec<String> = snapshots.iter().map(|s| s.measured_at.to_string()).collect();
        assert_eq!(times, ["2017-11-14T00:00:00Z", "2017-11-15T00:00:00Z", "2017-11-14T00:00:00Z"]);
        let (report, _) = read(&db, KAGGLE_2017, &Options::default());
        assert_eq!((counts(&report), report.snapshots), ((3, 0, 0, 2, 0), 0));
    }

    fn trending_files_from_spreadsheets_are_ingested(t) {
        for (input, title) in [(SEMICOLON, "First; with a semicolon"), (UPPER, "First; with a semicolon")] {
            let there = t.another();
            let db = there.db();
            let (report, rejects) = read(&db, input, &Options::default());
            assert_eq!((report.format, counts(&report), report.snapshots), (Some(Format::YoutubeTrending), (2, 2, 0, 0, 0), 2), "{rejects:?}");
            let (videos, _) = everything(&db);
            assert_eq!((&*videos[0].title, videos[0].view_count), (title, Some(1_514_614)));
            assert_eq!((&*videos[1].niche, &*videos[1].channel_id), ("gaming", "UCbbbbbbbbbbbbbbbbbbbbbb"));
        }
        // Bad rows and stray quotes affect only their row, whatever the delimiter.
        let db = t.db();
        let line = "AbC123_-xyz;T;2020-08-11T19:20:14Z;UC1;C;22;2020-08-12T00:00:00Z;a;1;2;3;4;x;False;False;y\n";
        let header = SEMICOLON.lines().next().unwrap();
        let stray = line.replacen(";T;", ";\"T;", 1);
        let quoted = line.replacen(";T;", ";\"He said \"\"a;b\"\"\";", 1).replacen("AbC", "Xyz", 1);
        let (report, rejects) = read(&db, format!("{header}\n{stray}{quoted}{}", line.replacen(";1;", ";many;", 1)), &Options::default());
        let said: Vec<_> = rejects.iter().map(|r| (r.line, &*r.reason)).collect();
        assert_eq!(said, [(2, "a quoted field runs past the end of its row"), (4, "view_count is not a count: \"many\"")]);
        assert_eq!((report.new, &*everything(&db).0[0].title), (1, "He said \"a;b\""));
    }

    fn studio_exports_yield_analytics(t) {
        let db = t.db();
        let at = |text: &str| Some(text.parse().unwrap());
        let options = Options { measured_at: at("2026-05-10T08:00:00Z"), modified: at("2026-05-11"), ..Default::default() };
        let (report, _) = read(&db, STUDIO, &options);
        assert_eq!((report.format, &*report.table, counts(&report)), (Some(Format::YoutubeStudio), "analytics", (2, 2, 0, 0, 0)));
        let (videos, snapshots) = everything(&db);
        assert!(videos.is_empty());
        let first = &snapshots[0];
        assert_eq!((&*first.youtube_video_id, first.view_count), ("AbC123_-xyz", Some(8200)));
        assert_eq!(first.measured_at.to_string(), "2026-05-10T08:00:00Z");
        assert_eq!((first.average_view_duration_seconds, first.click_through_rate), (Some(31.0), Some(0.052)));
        assert_eq!((first.subscriber_gain, first.estimated_revenue_usd, first.like_count), (Some(80), Some(21.3), None));

        // Rows that are already stored stay unchanged. Without `measured_at`, the time of the file makes them
        // new snapshots.
        let (report, _) = read(&db, STUDIO, &options);
        assert_eq!(counts(&report), (2, 0, 0, 2, 0));
        let (report, _) = read(&db, STUDIO, &Options { measured_at: None, ..options.clone() });
        assert_eq!(counts(&report), (2, 2, 0, 0, 0));
        assert_eq!(everything(&db).1[1].measured_at.to_string(), "2026-05-11T00:00:00Z");
        let (report, _) = read(&db, CHART, &Options::default());
        assert_eq!(counts(&report), (2, 2, 0, 0, 0));

        assert!(refused(&db, b"Date,Views\n2026-05-01,7\n", &Options::default()).contains("channel totals"));
        let niche = Options { niche: Some("x"), ..Default::default() };
        assert!(refused(&db, STUDIO.as_bytes(), &niche).contains("applies only to videos, but the rows are for analytics"));
    }

    fn compressed_and_utf16_files_are_ingested(t) {
        let db = t.db();
        let utf16 = |bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            format!("\u{feff}{}", SEMICOLON.replace(';', "\t")).encode_utf16().flat_map(bytes).collect()
        };
        let inputs = [
            gzip(SEMICOLON),
            zstd::encode_all(SEMICOLON.as_bytes(), 3).unwrap(),
            utf16(u16::to_le_bytes),
            utf16(u16::to_be_bytes),
            format!("\u{feff}{SEMICOLON}").into_bytes(),
            gzip("{\"video_id\":\"AbC123_-xyz\",\"title\":\"First; with a semicolon\",\"channel_name\":\"C\",\"channel_id\":\"UC1\",\"url\":\"https://x\",\"niche\":\"n\"}\n"),
        ];
        for (number, input) in inputs.iter().enumerate() {
            let (report, rejects) = read(&db, input, &Options::default());
            assert_eq!((report.rejected, report.new), (0, if number == 0 { 2 } else { 0 }), "{number} {rejects:?}");
        }
    }

    fn truncated_compressed_files_report_how_many_rows_are_kept(t) {
        let db = t.db();
        let line = |n: usize| format!("v{n};T{};2020-08-11T19:20:14Z;UC1;C;22;2020-08-12T00:00:00Z;a;{n};2;3;4;x;False;False;y\n", n.wrapping_mul(2_654_435_761));
        let header = SEMICOLON.lines().next().unwrap();
        let text = format!("{header}\n{}", (0..12_000).map(line).collect::<String>());
        let packed = gzip(&text);
        let said = refused(&db, &packed[..packed.len() - 5], &Options::default());
        assert!(said.contains("the gzip data is cut off: the file is incomplete; get a complete copy"), "{said}");
        assert!(said.contains("12000 rows of in are already stored and are kept"), "{said}");
        let said = refused(&db, &packed[..packed.len() / 4], &Options::default());
        assert!(said.contains(" rows of in are already stored and are kept"), "{said}");
        let said = refused(&db, &packed[..12], &Options::default());
        assert!(said.contains("the gzip data is cut off"), "{said}");
        let bad = format!("{header}\n{}", (0..12_000).map(|n| line(n).replace(&format!(";a;{n};"), ";a;many;")).collect::<String>());
        let packed = gzip(&bad);
        let said = refused(&db, &packed[..packed.len() - 5], &Options::default());
        assert!(said.contains("no rows of in were stored"), "{said}");
        assert!(refused(&db, &zip(&[]), &Options::default()).contains("is a ZIP archive"));
    }

    fn any_csv_is_ingested_by_its_columns(t) {
        let db = t.db();
        let text = "Video-ID;Titel;Aufrufe;Kanal;Bewertung\nAbC123_-xyz;Über uns;9.700;K;1,5\ndEf456_-xyz;Zwei;viele;K;\n";
        let columns = map(&[("video_id", "Video-ID"), ("title", "Titel"), ("view_count", "Aufrufe"), ("channel_name", "Kanal"), ("viral_score", "Bewertung")]);
        let options = Options { map: &columns, niche: Some("mine"), ..Default::default() };
        let (report, rejects) = read(&db, text, &options);
        assert_eq!((report.format, counts(&report)), (Some(Format::Csv), (2, 1, 0, 0, 1)));
        assert_eq!((rejects[0].line, &*rejects[0].reason), (3, "Aufrufe is not a whole number: \"viele\""));
        let video = &everything(&db).0[0];
        assert_eq!((&*video.title, video.view_count, video.viral_score, &*video.niche), ("Über uns", Some(9700), Some(1.5), "mine"));
        assert_eq!((&*video.url, &*video.channel_id), ("https://www.youtube.com/watch?v=AbC123_-xyz", ""));

        // CSV with the column names of a table works for any table, as in the output of viraldb.
        let text = "Name,ARTIST,duration,metadata,unknown\nOne,A,12,\"{\"\"a\"\":1}\",x\nTwo,,,,\n";
        let options = Options { format: Some(Format::Csv), table: Some("music"), ..Default::default() };
        assert_eq!(counts(&read(&db, text, &options).0), (2, 2, 0, 0, 0));
        let mut music = db.read(|c| Music::list(c, &Default::default(), &Page::first(10))).unwrap();
        music.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!((music[0].artist.as_deref(), music[0].duration, &music[1].artist), (Some("A"), Some(12), &None));
        assert_eq!(music[0].metadata.as_ref().unwrap().0["a"], 1);
        let text = "platform,external_id,title,views,collected_at\ntiktok,73,T,5,2026-05-01\n";
        assert_eq!(read(&db, text, &Options { table: Some("trends"), ..Default::default() }).0.new, 1);
        assert_eq!(db.read(|c| Trend::find_by_external_id(c, "73")).unwrap().views, Some(5));
    }

    fn mapped_columns_take_precedence(t) {
        let db = t.db();
        let columns = map(&[("view_count", "likes")]);
        read(&db, UPPER, &Options { map: &columns, ..Default::default() });
        assert_eq!(everything(&db).0[0].view_count, Some(156_908));
        let columns = map(&[("view_count", "Impressions")]);
        read(&db, STUDIO, &Options { map: &columns, measured_at: Some("2026-05-10".parse().unwrap()), ..Default::default() });
        assert_eq!(everything(&db).1[1].view_count, Some(40_000));
        for (columns, said) in [
            (map(&[("view_count", "Klicks")]), "has no column \"Klicks\", which --map refers to; its columns are \"Content\", \"Video title\""),
            (map(&[("views", "Views")]), "--map \"views\" is not a column of youtube-studio; its columns are youtube_video_id, measured_at"),
        ] {
            let error = refused(&db, STUDIO.as_bytes(), &Options { map: &columns, ..Default::default() });
            assert!(error.contains(said), "{error}");
        }
        assert!(refused(&db, b"{}", &Options { map: &columns, ..Default::default() }).contains("--map works only with CSV"));
    }

    fn unknown_csv_layout_error_names_the_missing_columns(t) {
        let db = t.db();
        let said = refused(&db, b"video_id;title;views;likes\n", &Options::default());
        assert!(said.contains("its first columns are \"video_id\", \"title\", \"views\", \"likes\""), "{said}");
        assert!(said.contains("the closest format is youtube-trending, which also needs publishedAt, channelTitle, trending_date, comment_count"), "{said}");
        assert!(said.contains("--map COLUMN=CSV_COLUMN") && said.contains("--as csv --table TABLE"), "{said}");
        let said = refused(&db, "Inhalte;Aufrufe;x\n".as_bytes(), &Options::default());
        assert!(said.contains("the closest format is youtube-studio, which also needs Video title"), "{said}");
        assert!(!refused(&db, b"a,b\n", &Options::default()).contains("closest"));
    }

    fn dry_run_shows_everything_and_writes_nothing(t) {
        let db = t.db();
        read(&db, UPPER, &Options::default());
        let before = everything(&db);
        let options = Options { dry_run: true, ..Default::default() };
        let changed = UPPER.replacen("AbC123_-xyz", "new45678901", 1).replace("2381688", "2381689").replace("2020-08-12", "2020-08-13");
        let (shown, input) = preview("in", changed.as_bytes(), &options).unwrap();
        assert_eq!((shown.format, &*shown.table), (Format::YoutubeTrending, "discovered_videos"));
        assert!(shown.mapping.contains(&("view_count".to_owned(), "View_Count".to_owned())), "{shown:?}");
        assert_eq!(shown.rows.len(), 2);
        assert_eq!(shown.rows[1]["discovered_videos"]["view_count"], 2_381_689);
        assert_eq!(shown.rows[1]["analytics"]["measured_at"], "2020-08-13T00:00:00Z");
        let report = ingest(&db, "in", input, &options, &mut |_| Ok(())).unwrap();
        assert_eq!((counts(&report), report.snapshots), ((2, 1, 1, 0, 0), 2));
        assert_eq!(everything(&db), before);
    }

    fn command_reads_archives_and_reports_skipped_files(t) {
        drop(t.db());
        let bytes = zip(&[("Table data.csv", STUDIO), ("Chart data.csv", CHART), ("Totals.csv", "Date,Views\n2026-05-01,7\n"), ("a.png", "")]);
        let archive = t.file("export.zip", &bytes);
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_778_400_000);
        std::fs::File::options().write(true).open(&archive).unwrap().set_modified(time).unwrap();
        let ran = t.run(&["ingest", "export.zip", "--dry-run"]);
        assert!(ran.out.contains("export.zip/Table data.csv  dry run, nothing is written: youtube-studio for analytics"), "{ran:?}");
        assert!(ran.out.contains("  click_through_rate is \"Impressions click-through rate (%)\""), "{ran:?}");
        assert!(ran.out.contains("  row 1 of analytics: {\"youtube_video_id\":\"AbC123_-xyz\""), "{ran:?}");
        let ran = t.run(&["ingest", "export.zip"]);
        assert_eq!(
            ran.out,
            "export.zip/Table data.csv  2 rows: 2 new in analytics, 0 updated, 0 rejected\n\
             export.zip/Chart data.csv  2 rows: 2 new in analytics, 0 updated, 0 rejected\n"
        );
        assert!(ran.err.contains("export.zip/Totals.csv: skipped, because it contains channel totals"), "{ran:?}");
        assert!(ran.err.contains("export.zip/a.png: skipped, because it is not a CSV or JSON file"), "{ran:?}");
        let snapshots = everything(&t.db()).1;
        let times: Vec<_> = snapshots.iter().map(|s| s.measured_at.to_string()).collect();
        assert_eq!(times, ["2026-05-01T00:00:00Z", "2026-05-02T00:00:00Z", "2026-05-10T08:00:00Z", "2026-05-10T08:00:00Z"]);

        // The same archive through a pipe, with an explicit measuring time.
        let mut command = t.command(&["ingest", "-", "--measured-at", "2026-05-10T08:00:00Z", "--format", "json"]);
        let mut child = command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&bytes).unwrap();
        let out = child.wait_with_output().unwrap();
        let reports: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        let seen: Vec<_> = reports.as_array().unwrap().iter().map(|r| (r["file"].as_str().unwrap(), r["unchanged"].as_u64())).collect();
        assert_eq!(seen, [("-/Table data.csv", Some(2)), ("-/Chart data.csv", Some(2))]);

        let dry = t.ok(&["ingest", "export.zip", "--dry-run", "--format", "json"]);
        let dry: serde_json::Value = serde_json::from_str(&dry).unwrap();
        assert_eq!((&dry[0]["mapping"]["view_count"], &dry[0]["first_rows"][0]["analytics"]["view_count"]), (&"Views".into(), &8200.into()));
        t.file("list.csv", "Titel,Nr\nT,AbC123_-xyz\n");
        assert!(t.ok(&["ingest", "list.csv", "--map", "title=Titel,video_id=Nr"]).contains("1 row: 1 video new"));
        assert!(t.run(&["ingest", "list.csv", "--map", "Titel"]).err.contains("is not COLUMN=CSV_COLUMN"));
    }

    fn files_of_an_archive_are_available_as_inputs(t) {
        let db = t.db();
        let path = t.file("a.zip", zip(&[("trending.csv", UPPER), ("x/studio.csv", STUDIO)]));
        let found = inputs("a.zip", std::fs::File::open(path).unwrap()).unwrap();
        let reports = found.inputs.into_iter().map(|input| ingest(&db, &input.name, input.read, &Options::default(), &mut |_| Ok(())).unwrap());
        let seen: Vec<_> = reports.map(|report| (report.file, report.format, report.new)).collect();
        assert_eq!(seen, [
            ("a.zip/trending.csv".to_owned(), Some(Format::YoutubeTrending), 2),
            ("a.zip/x/studio.csv".to_owned(), Some(Format::YoutubeStudio), 2),
        ]);
    }
}
