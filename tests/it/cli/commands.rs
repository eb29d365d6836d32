//! The commands for source videos, clips, scripts, shorts, statistics and the schema, and the options for output.

use serde_json::Value;
use viraldb::Json;
use viraldb::compilation::{DiscoveredVideo, NewAnalytics, NewClip, NewDiscoveredVideo, PipelineRunId};
use viraldb::republishing::{
    DownloadStatus, NewChannelStatistics, NewVideoStatistics, TransformationStatus, Video, VideoId,
};

use super::json;
use crate::make::{self, at};
use crate::support::{Scratch, both};

/// Returns the rows that a command prints as JSON.
fn rows(t: &Scratch, args: &[&str]) -> Vec<Value> {
    rows_of(&json(&t.ok(&[args, &["--json"]].concat())))
}

fn rows_of(list: &Value) -> Vec<Value> {
    list.as_array().unwrap_or_else(|| panic!("not a list: {list}")).clone()
}

fn names<'a>(rows: &'a [Value], column: &str) -> Vec<&'a str> {
    rows.iter().map(|row| row[column].as_str().unwrap()).collect()
}

both! {
    fn source_videos_are_added_moved_scheduled_and_due(t) {
        let db = t.db();
        t.ok(&["channels", "add", "Clips", "UC1"]);
        let added = t.ok(&[
            "source-videos", "add", "https://youtu.be/x", "A <title>", "--channel", "UC1", "--source-creator", "Ann",
            "--metadata", "{\"license\": \"cc\"}",
        ]);
        let id = added.trim();
        let shown = json(&t.ok(&["source-videos", "show", id, "--json"]));
        assert_eq!((&shown["source_title"], &shown["source_platform"], &shown["source_creator"]), (&"A <title>".into(), &"youtube".into(), &"Ann".into()));
        assert_eq!((&shown["metadata"]["license"], &shown["status"]), (&"cc".into(), &"pending".into()));
        // The row is what `jobs enqueue` needs.
        assert!(t.ok(&["jobs", "enqueue", "download", "--video", id]).starts_with("queued "));

        assert_eq!(t.ok(&["source-videos", "move", id, "--download", "downloaded"]), format!("video {id} is downloaded\n"));
        t.ok(&["source-videos", "move", id, "--transformation", "transformed"]);
        let refused = t.run(&["source-videos", "move", id, "--publication", "scheduled"]);
        assert!(refused.code == 1 && refused.err.contains("has no publication time"), "{}", refused.err);
        assert_eq!(t.run(&["source-videos", "due"]).err, "no source videos are due\n");
        t.ok(&["source-videos", "schedule", id, "2026-01-01T00:00:00Z"]);
        let due = rows(t, &["source-videos", "due"]);
        assert_eq!((due.len(), &due[0]["scheduled_publication_at"]), (1, &"2026-01-01T00:00:00Z".into()));
        assert_eq!(rows(t, &["source-videos", "list", "--status", "scheduled"]).len(), 1);
        assert_eq!(rows(t, &["source-videos", "list", "--download-status", "failed"]).len(), 0);
        assert_eq!(rows(t, &["source-videos", "list", "--channel", "UC1", "--publication-status", "scheduled"]).len(), 1);

        t.ok(&["source-videos", "move", id, "--publication", "failed"]);
        assert_eq!(t.ok(&["source-videos", "retry", id]), format!("video {id} is transformed\n"));
        let video: VideoId = id.parse().unwrap();
        let video = db.read(|c| Video::find(c, video)).unwrap();
        assert_eq!((video.download_status, video.transformation_status), (DownloadStatus::Downloaded, TransformationStatus::Transformed));

        // Exactly one status moves.
        assert_eq!(t.run(&["source-videos", "move", id]).code, 2);
        assert_eq!(t.run(&["source-videos", "move", id, "--download", "failed", "--publication", "failed"]).code, 2);
        let unknown = t.run(&["source-videos", "add", "https://youtu.be/y", "B", "--channel", "UC2"]);
        assert!(unknown.code == 1 && unknown.err.contains("UC2 not found in channels"), "{}", unknown.err);
    }

    fn clips_scripts_and_shorts_are_listed_by_run_and_shown(t) {
        let db = t.db();
        let (run, clip, script, short) = db.write(|c| {
            let clip = make::clip(c).insert(c)?;
            let run = clip.pipeline_run_id;
            let mut script = make::script(c);
            (script.pipeline_run_id, script.full_script_json) = (run, Some(Json(serde_json::json!({ "a": 1 }))));
            let mut short = make::short(c);
            (short.pipeline_run_id, short.clip_id) = (run, Some(clip.id));
            make::clip(c).insert(c)?;
            Ok((run, clip.id, script.insert(c)?.id, short.insert(c)?.id))
        }).unwrap();
        let PipelineRunId(number) = run;
        let run = number.to_string();
        for (table, id) in [("clips", clip.to_string()), ("scripts", script.to_string()), ("shorts", short.to_string())] {
            let listed = rows(t, &[table, "list", "--run", &run]);
            assert_eq!((listed.len(), listed[0]["id"].to_string()), (1, id.clone()), "{table}");
            assert_eq!(json(&t.ok(&[table, "show", &id, "--json"])), listed[0], "{table}");
            let missing = t.run(&[table, "show", "999"]);
            assert!(missing.code == 1 && missing.err.contains(&format!("row 999 not found in {table}")), "{}", missing.err);
        }
        assert_eq!(rows(t, &["clips", "list"]).len(), 2);
        assert_eq!(rows(t, &["shorts", "list", "--status", "uploaded"]).len(), 0);
    }

    fn discovered_video_is_shown_with_its_newest_counts_and_its_runs(t) {
        let db = t.db();
        let (video, runs) = db.write(|c| {
            let video = NewDiscoveredVideo { video_id: "-x1".into(), ..make::discovered_video() }.insert(c)?;
            for (day, views) in [(0, 100), (2, 300), (1, 200)] {
                let measured_at = Some(at(day * 86_400));
                NewAnalytics { measured_at, view_count: Some(views), ..NewAnalytics::new("-x1") }.insert(c)?;
            }
            let mut runs = Vec::new();
            for rank in [1, 2] {
                let clip = NewClip { discovered_video_id: video.id, rank_position: rank, ..make::clip(c) }.insert(c)?;
                runs.push(clip.pipeline_run_id);
                // A second clip of the same video does not list the run twice.
                NewClip { pipeline_run_id: clip.pipeline_run_id, rank_position: 3, ..make::clip(c) }.insert(c)?;
                NewClip { pipeline_run_id: clip.pipeline_run_id, discovered_video_id: video.id, rank_position: 4, ..make::clip(c) }.insert(c)?;
            }
            NewDiscoveredVideo { video_id: "new".into(), ..make::discovered_video() }.insert(c)?;
            Ok((video, runs))
        }).unwrap();
        let view = db.read(|c| DiscoveredVideo::view(c, "-x1")).unwrap();
        assert_eq!(view.latest.as_ref().unwrap().view_count, Some(300));
        assert_eq!(view.runs.iter().map(|run| run.id).collect::<Vec<_>>(), [runs[1], runs[0]]);
        let shown = json(&t.ok(&["videos", "show", "-x1", "--json"]));
        assert_eq!(shown, serde_json::to_value(&view).unwrap());
        assert_eq!((&shown["title"], &shown["id"]), (&video.title.clone().into(), &video.id.to_string().parse::<i64>().unwrap().into()));
        let text = t.ok(&["videos", "show", "-x1"]);
        assert!(text.lines().any(|line| line.split_whitespace().eq(["video_id", "-x1"])) && text.contains("\nnewest counts\n") && text.contains("\nruns\n"), "{text}");
        assert!(text.contains("  300\n") && !text.contains("  200\n"), "{text}");
        assert_eq!(t.ok(&["videos", "show", "-x1", "--columns", "video_id"]), "video_id  -x1\n");
        let text = t.ok(&["videos", "show", "new"]);
        assert!(!text.contains("newest counts") && !text.contains("\nruns\n"), "{text}");
        assert_eq!(json(&t.ok(&["videos", "show", "new", "--json"]))["runs"], serde_json::json!([]));
        let missing = t.run(&["videos", "show", "none"]);
        assert_eq!((missing.code, &*missing.err), (1, "error: row none not found in discovered_videos; list the videos with `viraldb videos list`\n"));
    }

    fn statistics_are_shown_as_series_growth_and_top(t) {
        let db = t.db();
        let (video, channel) = db.write(|c| {
            // 3,000 videos, so that the top is found over several pages; video n grew by n views in a day.
            let of = |n: i64, day: i64, views: i64| NewAnalytics {
                youtube_video_id: format!("v{n:04}").into(),
                measured_at: Some(at(day * 86_400)),
                view_count: Some(views),
                ..Default::default()
            };
            let samples: Vec<_> = (0..3_000).flat_map(|n| [of(n, 0, 10), of(n, 1, 10 + n)]).collect();
            NewAnalytics::insert_many(c, &samples)?;
            let video = make::video_id(c);
            let channel = make::channel_id(c);
            for (day, views) in [(0, 100), (1, 150)] {
                let time = Some(at(day * 86_400));
                NewVideoStatistics { view_count: Some(views), timestamp: time, ..NewVideoStatistics::new(video) }.insert(c)?;
                NewChannelStatistics { subscriber_count: Some(views), timestamp: time, ..NewChannelStatistics::new(channel) }.insert(c)?;
            }
            Ok((video.to_string(), channel.to_string()))
        }).unwrap();
        let span = ["--since", "2026-01-01", "--until", "2026-01-03"];
        let with_span = |args: &[&str]| rows(t, &[args, &span].concat());

        let series = with_span(&["stats", "video", "v2999"]);
        assert_eq!(series.iter().map(|row| row["view_count"].as_i64().unwrap()).collect::<Vec<_>>(), [10, 3_009]);
        assert_eq!(with_span(&["stats", "video", "v2999", "--every", "week"]).len(), 1);
        assert_eq!(with_span(&["stats", "video", &video]).len(), 2);
        assert_eq!(with_span(&["stats", "channel", &channel]).len(), 2);
        assert_eq!(rows(t, &["stats", "video", "v2999", "--until", "2026-01-03", "--since", "2026-01-02"]).len(), 1);

        let growth = with_span(&["stats", "growth", "v0010", "v0003", "unknown"]);
        assert_eq!(names(&growth, "id"), ["v0010", "v0003"]);
        assert_eq!((&growth[0]["view_growth"], &growth[0]["like_growth"]), (&10.into(), &Value::Null));
        assert!((growth[0]["views_per_hour"].as_f64().unwrap() - 10.0 / 24.0).abs() < 1e-9);
        let dashed = rows(t, &["stats", "growth", "--since", "2026-01-01", "--until", "2026-01-03", "v0010"]);
        assert_eq!(dashed, growth[..1]);
        assert_eq!(with_span(&["stats", "growth", "--of", "source-videos", &video])[0]["view_growth"], 50);
        assert_eq!(with_span(&["stats", "growth", "--of", "channels", &channel])[0]["subscriber_growth"], 50);

        let top = with_span(&["stats", "top", "--limit", "3"]);
        assert_eq!(names(&top, "id"), ["v2999", "v2998", "v2997"]);
        assert_eq!(with_span(&["stats", "top", "--of", "source-videos"])[0]["id"], video.as_str());
        assert_eq!(with_span(&["stats", "top", "--of", "channels"])[0]["id"], channel.as_str());
        let none = t.run(&["stats", "top", "--since", "2020-01-01", "--until", "2020-01-02"]);
        assert_eq!((none.code, none.err.as_str()), (0, "no statistics in this period; widen it with --since\n"));
        let reversed = t.run(&["stats", "video", "v1", "--since", "2026-02-01", "--until", "2026-01-01"]);
        assert_eq!((reversed.code, reversed.out.as_str()), (1, ""), "{}", reversed.err);
    }

    fn relative_times_count_back_from_now(t) {
        let db = t.db();
        db.write(|c| make::analytics().insert(c)).unwrap(); // measured now
        assert_eq!(rows(t, &["stats", "video", "yt1", "--since", "1h"]).len(), 1);
        assert_eq!(rows(t, &["stats", "video", "yt1", "--since", "3d", "--until", "2d"]).len(), 0);
        let exported = |since: &str| t.ok(&["export", "analytics", "--since", since]).lines().count();
        assert_eq!((exported("1h"), exported("2999-01-01")), (1, 0));
        assert_eq!(t.ok(&["export", "analytics", "--until", "1h"]).lines().count(), 0);
        db.write(|c| make::video_job(c).insert(c)).unwrap(); // queued now
        assert_eq!(rows(t, &["jobs", "list", "--since", "2h"]).len(), 1);
        assert_eq!(rows(t, &["jobs", "list", "--since", "3d", "--until", "2d"]).len(), 0);
        assert_eq!(rows(t, &["jobs", "list", "--until", "2999-01-01"]).len(), 1);
        db.write(|c| make::error().insert(c)).unwrap(); // occurred now
        assert_eq!(rows(t, &["errors", "list", "--since", "2h"]).len(), 1);
        assert_eq!(rows(t, &["errors", "list", "--since", "3d", "--until", "2d"]).len(), 0);
        assert_eq!(rows(t, &["errors", "list", "--until", "2999-01-01"]).len(), 1);
    }

    fn paused_queue_is_reported_by_status_and_doctor(t) {
        t.db();
        let status = || (t.ok(&["status"]), json(&t.ok(&["status", "--json"]))["queue_paused"].clone());
        let notes = || rows_of(&json(&t.ok(&["doctor", "--only", "jobs", "--json"]))["findings"]);
        let (text, is_paused) = status();
        assert!(!text.contains("paused") && is_paused == false && notes().is_empty(), "{text}");
        for (pause, resume) in [
            (["config", "set", "queue_paused", "true"].as_slice(), "viraldb config set queue_paused false"),
            (&["config", "set", "queue_paused", "true", "--override"], "viraldb config set queue_paused false --override"),
        ] {
            t.ok(pause);
            let (text, is_paused) = status();
            let expected = format!("queue            paused: workers claim no new jobs; resume it with `{resume}`\n");
            assert!(text.contains(&expected) && is_paused == true, "{text}");
            let found = notes();
            assert_eq!((found.len(), &found[0]["severity"], &found[0]["what"]), (1, &"info".into(), &"the queue is paused".into()));
            assert_eq!(found[0]["mend"], format!("to resume it: {resume}"));
        }
        // The command resumes the queue although both layers paused it.
        t.ok(&["config", "set", "queue_paused", "false", "--override"]);
        assert!(status().1 == false && notes().is_empty());
    }

    fn schema_describes_the_live_database_in_every_format(t) {
        let db = t.db();
        make::execute(&mut t.plain(), "CREATE TABLE notes (id integer PRIMARY KEY, clip_id bigint REFERENCES clips (id) ON DELETE CASCADE, text text NOT NULL DEFAULT 'x|y')").unwrap();
        let all = rows(t, &["schema"]);
        assert_eq!(all.len(), 22);
        let clips = all.iter().find(|table| table["name"] == "clips").unwrap();
        assert_eq!((&clips["domain"], &clips["columns"][0]["name"], &clips["columns"][0]["primary_key"]), (&"compilation".into(), &"id".into(), &true.into()));
        assert!(all.iter().all(|table| table["comment"].is_string()), "every table has a comment");
        assert!(all.iter().flat_map(|table| table["columns"].as_array().unwrap()).all(|column| column["comment"].is_string()));
        let keys = clips["foreign_keys"].as_array().unwrap();
        assert_eq!((keys.len(), &keys[0]["on_delete"]), (2, &"NO ACTION".into()));
        let videos = all.iter().find(|table| table["name"] == "videos").unwrap();
        let status = videos["columns"].as_array().unwrap().iter().find(|column| column["name"] == "status").unwrap();
        assert_eq!(status["generated"], true);

        // Tables of other programs are described when they are named.
        let notes = rows(t, &["schema", "notes"]);
        assert_eq!((&notes[0]["domain"], &notes[0]["foreign_keys"][0]["references"]), (&"other".into(), &"clips".into()));
        assert_eq!(notes[0]["foreign_keys"][0]["on_delete"], "CASCADE");
        assert_eq!(rows(t, &["schema", "--domain", "generation"]).len(), 4);
        assert_eq!(rows(t, &["schema", "--domain", "internal"]).len(), 9);

        let diagram = t.ok(&["schema", "--domain", "compilation", "--format", "mermaid"]);
        assert!(diagram.starts_with("erDiagram\n") && diagram.contains("\"discovered_videos\" ||--o{ \"clips\" : \"discovered_video_id\"\n"), "{diagram}");
        let graph = t.ok(&["schema", "clips", "pipeline_runs", "--format", "dot"]);
        assert!(graph.contains("\"clips\":\"pipeline_run_id\" -> \"pipeline_runs\";\n"), "{graph}");
        let page = t.ok(&["schema", "notes", "--format", "markdown"]);
        assert!(page.starts_with("## Other\n\n### notes\n") && page.contains("x\\|y"), "{page}");
        let csv = t.ok(&["schema", "clips", "--format", "csv"]);
        assert!(csv.starts_with("table,column,type,nullable,default,generated,primary_key,references,comment\nclips,id,"), "{csv}");
        let unknown = t.run(&["schema", "clip"]);
        assert!(unknown.code == 1 && unknown.err.contains("unknown table \"clip\"; the database has "), "{}", unknown.err);
        let other = t.run(&["status", "--format", "dot"]);
        assert_eq!((other.code, other.err.as_str()), (1, "error: cannot print status as dot; only `viraldb schema` has this format; use table, json, jsonl or csv\n"));
        drop(db);
    }

    fn columns_are_chosen_in_every_format(t) {
        t.ok(&["init", "--sample"]);
        let list = |format: &str| t.ok(&["videos", "list", "--limit", "1", "--columns", "title,id", "--format", format]);
        let row = json(list("jsonl").trim());
        assert_eq!(row.as_object().unwrap().keys().collect::<Vec<_>>(), ["title", "id"]);
        assert_eq!(json(&list("json"))[0], row);
        assert_eq!(list("csv").lines().next(), Some("title,id"));
        assert!(list("table").trim_start().starts_with("title"), "{}", list("table"));
        let id = row["id"].to_string();
        t.ok(&["runs", "start", "music"]);
        assert_eq!(t.ok(&["runs", "list", "--columns", "niche", "--format", "csv"]), "niche\nmusic\n");
        t.ok(&["channels", "add", "Clips", "UC1"]);
        assert_eq!(t.ok(&["channels", "show", "UC1", "--columns", "name"]), "name  Clips\n");
        assert_eq!(t.ok(&["channels", "show", "UC1", "--columns", "name", "--format", "jsonl"]), "{\"name\":\"Clips\"}\n");
        let twice = json(&t.ok(&["videos", "list", "--limit", "1", "--columns", "title, title", "--json"]));
        assert_eq!(twice[0], serde_json::json!({ "title": row["title"] }));
        t.ok(&["export", "discovered_videos", "--format", "csv", "--output", "videos.csv", "--quiet"]);
        assert!(std::fs::read_to_string(t.path("videos.csv")).unwrap().starts_with("id,video_id,"));
        let export = t.run(&["export", "clips", "--columns", "id"]);
        assert!(export.code == 1 && export.err.contains("--columns does not apply to export"), "{}", export.err);
        let unknown = t.run(&["videos", "list", "--columns", "id,titel"]);
        assert!(unknown.code == 1 && unknown.err.contains("unknown column \"titel\"; expected id, video_id, title, "), "{}", unknown.err);
        assert!(!id.is_empty());
    }

    fn columns_choose_the_fields_of_one_object(t) {
        t.ok(&["init", "--sample"]);
        let status = json(&t.ok(&["status", "--json"]));
        let args = ["status", "--columns", "schema,unresolved_errors"];
        let schema = status["schema"].as_str().unwrap();
        assert_eq!(t.ok(&args), format!("schema             {schema}\nunresolved_errors  0\n"));
        assert_eq!(t.ok(&[&args[..], &["--format", "csv"]].concat()), format!("schema,unresolved_errors\n{schema},0\n"));
        assert_eq!(json(&t.ok(&[&args[..], &["--json"]].concat())), serde_json::json!({ "schema": schema, "unresolved_errors": 0 }));
        let unknown = t.run(&["status", "--columns", "schemas"]);
        assert!(unknown.code == 1 && unknown.out.is_empty() && unknown.err.contains("unknown column \"schemas\"; expected database, engine, "), "{}", unknown.err);

        // Changed rows.
        assert_eq!(t.ok(&["runs", "start", "music", "--columns", "id,niche"]), "id     1\nniche  music\n");
        assert_eq!(t.ok(&["runs", "show", "1", "--columns", "clips"]), "clips  []\n");
        let unknown = t.run(&["runs", "move", "1", "running", "--columns", "x"]);
        assert!(unknown.code == 1 && unknown.err.ends_with("; the command itself succeeded\n"), "{}", unknown.err);
        assert_eq!(json(&t.ok(&["runs", "list", "--json"]))[0]["status"], "running");
        assert_eq!(t.ok(&["config", "explain", "max_clips", "--columns", "key,value"]), "key    max_clips\nvalue  10\n");

        // A report prints only its rows, in every format.
        t.ok(&["config", "set", "queue_paused", "true"]);
        let args = ["doctor", "--only", "jobs", "--columns", "check,what"];
        let row = serde_json::json!({ "check": "jobs", "what": "the queue is paused" });
        assert_eq!(json(&t.ok(&[&args[..], &["--json"]].concat())), serde_json::json!([row]));
        assert_eq!(json(&t.ok(&[&args[..], &["--format", "jsonl"]].concat())), row);
        let table = t.ok(&args);
        assert_eq!(table.split_whitespace().collect::<Vec<_>>().join(" "), "check what jobs the queue is paused", "{table}");
        t.file("one.jsonl", "{\"theme\":\"a\"}\n");
        assert_eq!(t.ok(&["ingest", "one.jsonl", "--table", "jobs", "--columns", "new", "--format", "csv"]), "new\n1\n");
        for refused in [&["prune", "--columns", "rows"][..], &["config", "get", "max_clips", "--columns", "value"]] {
            let ran = t.run(refused);
            assert!(ran.code == 1 && ran.out.is_empty() && ran.err.starts_with("error: --columns does not apply to "), "{}", ran.err);
        }
    }

    fn json_that_viraldb_printed_is_ingested_again(t) {
        t.ok(&["init", "--sample"]);
        let rows = t.file("rows.json", t.ok(&["videos", "list", "--json", "--limit", "3"]));
        let again = t.ok(&["ingest", rows.to_str().unwrap()]);
        assert!(again.contains("3 rows: 0 videos new, 0 updated, 0 rejected"), "{again}");
        t.ok(&["channels", "add", "Clips", "UC1"]);
        let row = t.file("row.json", t.ok(&["channels", "show", "UC1", "--json"]));
        let again = t.ok(&["ingest", "--table", "channels", row.to_str().unwrap()]);
        assert!(again.contains("1 row: 0 new in channels, 0 updated, 0 rejected"), "{again}");
        // A bad row of an array costs only itself.
        let mixed = t.file("mixed.json", "[\n  {\"name\": \"A\"},\n  {\"name\": 7},\n  3\n]\n");
        let ran = t.run(&["ingest", "--table", "music", mixed.to_str().unwrap()]);
        assert_eq!(ran.code, 3, "{}", ran.err);
        assert!(ran.out.contains("1 new in music, 0 updated, 2 rejected") && ran.err.contains("line 3: "), "{}{}", ran.out, ran.err);
    }

    fn color_follows_the_option_and_the_environment(t) {
        t.ok(&["init", "--sample"]);
        t.ok(&["runs", "start", "music"]);
        t.ok(&["runs", "move", "1", "running"]);
        let printed = |args: &[&str], variables: &[(&str, &str)]| {
            let mut command = t.command(args);
            command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").envs(variables.iter().copied());
            String::from_utf8(command.output().unwrap().stdout).unwrap()
        };
        let list: &[&str] = &["runs", "list"];
        assert!(!printed(list, &[]).contains('\u{1b}'), "a pipe gets no color");
        assert!(printed(list, &[("CLICOLOR_FORCE", "1")]).contains('\u{1b}'));
        assert!(!printed(list, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]).contains('\u{1b}'));
        assert!(printed(&["runs", "list", "--color", "always"], &[("NO_COLOR", "1")]).contains('\u{1b}'));
        assert!(!printed(&["runs", "list", "--color", "never"], &[("CLICOLOR_FORCE", "1")]).contains('\u{1b}'));
        // Programs never get color.
        assert!(!printed(&["runs", "list", "--color", "always", "--json"], &[]).contains('\u{1b}'));
        let help = printed(&["runs", "--help", "--color", "always"], &[]);
        assert!(help.contains("\u{1b}[") && !printed(&["runs", "--help", "--color=never"], &[("CLICOLOR_FORCE", "1")]).contains('\u{1b}'));
    }
}
