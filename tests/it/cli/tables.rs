//! `viraldb channels`, `presets`, `music` and `trends`: rows that people edit.

use viraldb::queue;
use viraldb::republishing::{ChannelId, JobType, NewVideo, NewVideoProcessingJob, NewVideoStatistics};

use super::*;
use crate::make;

/// Runs the command with `--format json` and returns the document.
fn run_json(t: &Scratch, args: &[&str]) -> Value {
    json(&t.ok(&[args, &["--format", "json"]].concat()))
}

/// Requires that the command fails with this exit code and one error line that contains `expected`.
fn refused(t: &Scratch, code: i32, args: &[&str], expected: &str) {
    let ran = t.run(args);
    assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{args:?}: {}", ran.err);
    assert!(ran.err.starts_with("error: ") && ran.err.contains(expected), "{args:?}: {}", ran.err);
    assert!(code == 2 || ran.err.lines().count() == 1, "{}", ran.err);
}

/// Requires these values in a row. Columns that `expected` does not name are not compared.
fn require_columns(row: &Value, expected: &Value) {
    for (column, value) in expected.as_object().unwrap() {
        assert_eq!(&row[column], value, "{column} of {row}");
    }
}

/// Lists in pages of one row and returns the ids, newest first.
fn ids_page_by_page(t: &Scratch, list: &[&str]) -> Vec<Value> {
    let mut ids: Vec<Value> = Vec::new();
    loop {
        let after = ids.last().map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
        let mut args = [list, &["--limit", "1"]].concat();
        if let Some(after) = &after {
            args.extend(["--after", after]);
        }
        match run_json(t, &args).as_array().unwrap().as_slice() {
            [] => return ids,
            [row] => ids.push(row["id"].clone()),
            rows => panic!("{rows:?}"),
        }
    }
}

both! {
    fn channels_are_added_listed_and_edited(t) {
        t.db();
        let id = t.ok(&["channels", "add", "Clips", "UC1"]);
        let id = id.trim_end();
        let first = run_json(t, &["channels", "show", id]);
        require_columns(&first, &serde_json::json!({
            "id": id, "name": "Clips", "youtube_channel_id": "UC1",
            "youtube_channel_url": "https://www.youtube.com/channel/UC1", "is_active": false,
            "api_credentials_encrypted": "",
            "posting_schedule": {"frequency": "daily", "times": ["18:00"], "timezone": "UTC"},
            "content_filters": {"min_resolution": "720p", "min_duration": 5, "max_duration": 180, "min_views": 0, "languages": [], "exclude_keywords": []},
            "metadata_template": {"title": "{title}", "description": "Credits: {creator}\n{source_url}", "tags": []}, "settings": {}, "effect_preset_id": null, "github_repo_url": null,
            "github_secret_key_encrypted": null, "phase2_enabled": false,
        }));
        let preset = t.ok(&["presets", "add", "Zoom"]);
        let filters = t.file("filters.json", r#"{"views": {"least": 1000}}"#);
        let all = [
            "channels", "add", "Dance", "UC2", "--youtube-url", "https://youtube.com/@dance", "--active", "--phase2=true",
            "--posting-schedule", r#"{"hours": [8, 20]}"#, "--content-filters", &format!("@{}", filters.display()),
            "--metadata-template", r#"{"title": "{t}"}"#, "--settings", r#"{"a": 1}"#, "--preset", preset.trim_end(),
            "--github-repo", "https://github.com/x/y",
        ];
        let second = run_json(t, &all);
        require_columns(&second, &serde_json::json!({
            "name": "Dance", "youtube_channel_url": "https://youtube.com/@dance", "is_active": true,
            "posting_schedule": {"hours": [8, 20]}, "content_filters": {"views": {"least": 1000}},
            "metadata_template": {"title": "{t}"}, "settings": {"a": 1}, "effect_preset_id": preset.trim_end(),
            "github_repo_url": "https://github.com/x/y", "phase2_enabled": true,
        }));
        assert_eq!(run_json(t, &["channels", "show", "UC2"]), second);
        assert_eq!(ids_page_by_page(t, &["channels", "list"]), [second["id"].clone(), id.into()]);
        assert_eq!(ids_page_by_page(t, &["channels", "list", "--active"]), [second["id"].clone()]);
        assert_eq!(ids_page_by_page(t, &["channels", "list", "--active=false"]), [id]);

        // An edit changes only the columns that it names.
        assert_eq!(t.ok(&["channels", "edit", "UC2", "--name", "Dances"]), format!("changed {}\n", second["id"].as_str().unwrap()));
        let mut expected = second.clone();
        let edited = run_json(t, &["channels", "show", "UC2"]);
        (expected["name"], expected["updated_at"]) = ("Dances".into(), edited["updated_at"].clone());
        assert_eq!(edited, expected);
        let edited = run_json(t, &["channels", "edit", id, "--github-repo", "", "--preset", "", "--active", "--youtube-id", "UC3", "--settings", "{}"]);
        require_columns(&edited, &serde_json::json!({"github_repo_url": null, "effect_preset_id": null, "is_active": true, "youtube_channel_id": "UC3", "name": "Clips"}));
        let edited = run_json(t, &["channels", "edit", "UC2", "--github-repo", "", "--preset", "", "--phase2=false"]);
        require_columns(&edited, &serde_json::json!({"github_repo_url": null, "effect_preset_id": null, "phase2_enabled": false, "settings": {"a": 1}}));

        let mut child = t.command(&["channels", "edit", "UC2", "--settings", "@-"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"{\"b\": [1]}").unwrap();
        assert!(child.wait().unwrap().success());
        require_columns(&run_json(t, &["channels", "show", "UC2"]), &serde_json::json!({"settings": {"b": [1]}}));

        refused(t, 1, &["channels", "add", "Again", "UC2"], "channels_youtube_channel_id_key");
        refused(t, 1, &["channels", "show", "UC9"], "row UC9 not found in channels");
        refused(t, 1, &["channels", "edit", "UC9", "--active"], "row UC9 not found in channels");
        refused(t, 1, &["channels", "edit", "UC2", "--posting-schedule", "{hours}"], "\"{hours}\" is not valid JSON: ");
        refused(t, 1, &["channels", "edit", "UC2", "--posting-schedule", ""], "\"\" is not valid JSON: ");
        refused(t, 1, &["channels", "edit", "UC2", "--settings", "@nowhere.json"], "nowhere.json: no such file");
        refused(t, 1, &["channels", "edit", "UC2", "--preset", &ChannelId::default().to_string()], "refers to a row that does not exist");
        refused(t, 2, &["channels", "edit", "UC2"], "required");
        refused(t, 2, &["channels", "edit", "UC2", "--name", ""], "--name");
        refused(t, 2, &["channels", "add", "", "UC4"], "NAME");
    }

    fn encrypted_columns_are_never_printed(t) {
        let db = t.db();
        let sealed = viraldb::republishing::NewChannel {
            api_credentials_encrypted: "gAAAAcredentials".into(),
            github_secret_key_encrypted: Some("gAAAAsecret".into()),
            ..viraldb::republishing::NewChannel::new("Clips", "UC1")
        };
        db.write(|c| sealed.insert(c)).unwrap();
        for command in [&["channels", "show", "UC1"][..], &["channels", "list"], &["channels", "edit", "UC1", "--active"], &["channels", "remove", "UC1"]] {
            assert!(!t.ok(command).contains("gAAAA"), "{command:?}");
            let _ = db.write(|c| sealed.insert(c)); // The last command removed it.
        }
        let shown = t.ok(&["channels", "show", "UC1"]);
        assert!(shown.lines().any(|line| line == "youtube_channel_id           UC1"), "{shown}");
        assert!(shown.contains("github_secret_key_encrypted  not encrypted"), "{shown}");
        for format in ["json", "jsonl", "csv"] {
            let shown = t.ok(&["channels", "show", "UC1", "--format", format]);
            assert!(shown.contains("not encrypted") && !shown.contains("gAAAA"), "{shown}");
        }
    }

    fn channel_with_rows_is_removed_only_with_yes(t) {
        let db = t.db();
        let (channel, other) = db
            .write(|c| {
                let statistics = make::channel_statistics(c).insert(c)?;
                let (id, other) = (statistics.channel_id, make::channel_id(c));
                let video = NewVideo { channel_id: id, ..make::video(c) }.insert(c)?;
                NewVideoStatistics { video_id: video.id, ..make::video_statistics(c) }.insert(c)?;
                let elsewhere = NewVideo { channel_id: other, ..make::video(c) }.insert(c)?;
                for (video, channel) in [(video.id, id), (video.id, other), (elsewhere.id, id), (elsewhere.id, other)] {
                    queue::enqueue(c, &NewVideoProcessingJob::new(video, channel, JobType::Download))?;
                }
                Ok((id.to_string(), other.to_string()))
            })
            .unwrap();
        refused(t, 1, &["channels", "remove", &channel], &format!("channel {channel} still has 1 video, 3 jobs, 2 samples of statistics; delete them first, or delete everything with `viraldb channels remove --yes`"));
        t.ok(&["channels", "show", &channel]);
        let removed = run_json(t, &["channels", "remove", &channel, "--yes"]);
        assert_eq!(removed["with"], serde_json::json!({"videos": 1, "video_processing_jobs": 3, "video_statistics": 1, "channel_statistics": 1}));
        assert_eq!(run_json(t, &["jobs", "list"]).as_array().unwrap().len(), 1);
        refused(t, 1, &["channels", "remove", &channel], &format!("row {channel} not found in channels"));
        t.ok(&["channels", "show", &other]);
        t.ok(&["channels", "add", "Empty", "UCempty"]);
        assert_eq!(t.ok(&["channels", "remove", "UCempty"]), "removed Empty, with 0 videos, 0 jobs, 0 samples of statistics\n");
    }

    fn presets_are_added_edited_and_removed(t) {
        let db = t.db();
        let id = t.ok(&["presets", "add", "Zoom", "--description", "closer", "--parameters", r#"{"zoom": 1.2}"#, "--default"]);
        let id = id.trim_end();
        let plain = run_json(t, &["presets", "add", "Plain"]);
        require_columns(&plain, &serde_json::json!({"description": null, "parameters": {}, "is_default": false, "is_active": true}));
        require_columns(&run_json(t, &["presets", "show", id]), &serde_json::json!({"name": "Zoom", "description": "closer", "parameters": {"zoom": 1.2}, "is_default": true, "is_active": true}));
        let newest = run_json(t, &["presets", "add", "Newest", "--default", "--active=false"]);
        require_columns(&newest, &serde_json::json!({"is_default": true, "is_active": false}));
        require_columns(&run_json(t, &["presets", "show", id]), &serde_json::json!({"is_default": false}));
        let edited = run_json(t, &["presets", "edit", id, "--default", "--description", ""]);
        require_columns(&edited, &serde_json::json!({"name": "Zoom", "description": null, "parameters": {"zoom": 1.2}, "is_default": true}));
        let default = || db.read(viraldb::republishing::TransformationPreset::default_preset).unwrap().map(|preset| preset.name);
        assert_eq!(default().as_deref(), Some("Zoom"));
        require_columns(&run_json(t, &["presets", "edit", id, "--name", "Zooms"]), &serde_json::json!({"name": "Zooms", "is_default": true}));
        t.ok(&["presets", "edit", id, "--default=false"]);
        assert_eq!(default(), None);
        assert_eq!(ids_page_by_page(t, &["presets", "list"]), [&newest["id"], &plain["id"], &Value::from(id)].map(Clone::clone));
        assert_eq!(ids_page_by_page(t, &["presets", "list", "--active=false"]), [newest["id"].clone()]);

        t.ok(&["channels", "add", "Clips", "UC1", "--preset", id]);
        assert_eq!(t.ok(&["presets", "remove", id]), "removed Zooms; 1 channel and 0 videos used it\n");
        require_columns(&run_json(t, &["channels", "show", "UC1"]), &serde_json::json!({"effect_preset_id": null}));
        let missing = format!("row {id} not found in transformation_presets");
        refused(t, 1, &["presets", "show", id], &missing);
        refused(t, 1, &["presets", "remove", id], &missing);
        refused(t, 1, &["presets", "edit", id, "--default"], &missing);
        refused(t, 1, &["presets", "add", "Bad", "--parameters", "zoom"], "\"zoom\" is not valid JSON");
        refused(t, 2, &["presets", "edit", id], "required");
    }

    fn music_is_added_edited_and_removed(t) {
        let db = t.db();
        let all = run_json(t, &["music", "add", "Track", "--artist", "A", "--spotify-id", "s1", "--spotify-url", "https://s/1", "--file", "/m/1.mp3", "--file-size", "4000000000", "--duration", "200", "--metadata", "[1]", "--active=false"]);
        let expected = serde_json::json!({"name": "Track", "artist": "A", "spotify_track_id": "s1", "spotify_track_url": "https://s/1", "file_path": "/m/1.mp3", "file_size": 4_000_000_000_i64, "duration": 200, "metadata": [1], "usage_count": 0, "is_active": false});
        require_columns(&all, &expected);
        let id = all["id"].as_str().unwrap();
        let plain = t.ok(&["music", "add", "Plain", "--artist", ""]);
        require_columns(&run_json(t, &["music", "show", plain.trim_end()]), &serde_json::json!({"artist": null, "duration": null, "metadata": null, "is_active": true}));
        assert_eq!(ids_page_by_page(t, &["music", "list"]), [plain.trim_end(), id]);
        assert_eq!(ids_page_by_page(t, &["music", "list", "--active"]), [plain.trim_end()]);
        let edited = run_json(t, &["music", "edit", id, "--duration", "", "--metadata", "", "--name", "Song", "--active"]);
        let mut expected = all.clone();
        (expected["duration"], expected["metadata"], expected["name"], expected["is_active"]) = (Value::Null, Value::Null, "Song".into(), true.into());
        expected["updated_at"] = edited["updated_at"].clone();
        assert_eq!(edited, expected);
        refused(t, 1, &["music", "add", "Other", "--spotify-id", "s1"], "music_spotify_track_id_key");
        refused(t, 2, &["music", "edit", id, "--duration", "long"], "--duration");
        db.write(|c| NewVideo { music_track_id: Some(id.parse().unwrap()), ..make::video(c) }.insert(c)).unwrap();
        assert_eq!(t.ok(&["music", "remove", id]), "removed Song; 1 video used it\n");
        refused(t, 1, &["music", "remove", id], &format!("row {id} not found in music"));
    }

    fn trends_are_added_edited_and_removed(t) {
        t.db();
        let all = run_json(t, &["trends", "add", "tiktok", "-x1", "--title", "T", "--creator", "C", "--hashtags", r#"["a"]"#, "--views", "5000000000", "--likes", "4", "--comments", "3", "--shares", "2", "--video-url", "https://v", "--thumbnail-url", "https://t", "--metadata", "{}"]);
        require_columns(&all, &serde_json::json!({"platform": "tiktok", "external_id": "-x1", "title": "T", "creator": "C", "hashtags": ["a"], "views": 5_000_000_000_i64, "likes": 4, "comments": 3, "shares": 2, "video_url": "https://v", "thumbnail_url": "https://t", "metadata": {}}));
        let id = all["id"].to_string();
        let plain = t.ok(&["trends", "add", "youtube", "y1"]);
        require_columns(&run_json(t, &["trends", "show", plain.trim_end()]), &serde_json::json!({"platform": "youtube", "hashtags": null, "views": null}));
        assert_eq!(ids_page_by_page(t, &["trends", "list"]), [json(&plain), all["id"].clone()]);
        assert_eq!(ids_page_by_page(t, &["trends", "list", "--platform", "youtube"]), [json(&plain)]);
        let edited = run_json(t, &["trends", "edit", &id, "--views", "", "--hashtags", "", "--title", "U"]);
        let mut expected = all.clone();
        (expected["views"], expected["hashtags"], expected["title"]) = (Value::Null, Value::Null, "U".into());
        assert_eq!(edited, expected);
        refused(t, 2, &["trends", "add", "vimeo", "v"], "invalid value 'vimeo' for '<PLATFORM>'\n  [possible values: tiktok, youtube]\n");
        refused(t, 1, &["trends", "add", "youtube", "y1"], "trends_external_id_key");
        refused(t, 1, &["trends", "add", "youtube", "y2", "--hashtags", "#a"], "\"#a\" is not valid JSON: ");
        refused(t, 2, &["trends", "edit", &id], "required");
        assert_eq!(t.ok(&["trends", "remove", &id]), "removed -x1 of tiktok\n");
        let missing = format!("row {id} not found in trends");
        refused(t, 1, &["trends", "show", &id], &missing);
        refused(t, 1, &["trends", "remove", &id], &missing);
    }
}
