//! Every command of the operator's guide runs as it stands there.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;
use viraldb::queue;
use viraldb::republishing::{JobType, NewChannel, NewVideo, NewVideoProcessingJob, Video};

use crate::support::{Ran, Scratch, both};

const GUIDE: &str = include_str!("../../docs/DATABASE.md");

/// The commands of the guide, with the section that each stands in. Those of other programs' are not ours.
fn commands() -> Vec<(&'static str, &'static str)> {
    let mut found = Vec::new();
    for section in GUIDE.split("\n## ").skip(1) {
        let (title, text) = section.split_once('\n').unwrap();
        for block in text.split("```").skip(1).step_by(2) {
            let lines = block.strip_prefix("sh\n").unwrap_or_default().lines();
            found.extend(lines.filter(|line| line.starts_with("viraldb ")).map(|line| (title, line)));
        }
    }
    found
}

/// Runs a line in a shell that finds our command.
fn run(t: &Scratch, line: &str, key_file: bool) -> Ran {
    let ours = t.command(&[]);
    let folder = std::path::Path::new(ours.get_program()).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash");
    shell.args(["-c", line]).current_dir(t.dir.path()).env("PATH", path);
    for (name, value) in ours.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    if key_file {
        shell.env("VIRALDB_KEY_FILE", "keys");
    }
    let mut child =
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Most read nothing.
    let _ = child.stdin.take().unwrap().write_all(b"planted at a prompt\n");
    let output = child.wait_with_output().unwrap();
    if line.contains("--reveal") { Ran::revealed(output) } else { output.into() }
}

both! {
    fn every_command_of_the_guide_runs(t) {
        t.ok(&["init", "--sample"]);
        let db = t.db();
        db.write(|c| {
            let channel = NewChannel::new("Clips", "UC1").insert(c)?;
            let video = NewVideo { channel_id: channel.id, ..Default::default() }.insert(c)?;
            let Video { id, channel_id, .. } = video;
            queue::enqueue(c, &NewVideoProcessingJob::new(id, channel_id, JobType::Download))?;
            queue::enqueue(c, &NewVideoProcessingJob::new(id, channel_id, JobType::Download))
        })
        .unwrap();
        drop(db);
        t.file("schedule.json", r#"{"videos_per_day": 2}"#);
        t.file("token.json", r#"{"refresh_token": "planted"}"#);
        for folder in ["exports", "downloads"] {
            std::fs::create_dir(t.path(folder)).unwrap();
        }
        t.file("exports/video.json", r#"{"id":"a","title":"t","snippet":{"title":"t"}}"#);
        t.file("downloads/studio.csv", "Content,Video title,Views\nAbC123_-xyz,Title,8200\n");
        let old = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/takeover/viral_channel.db");
        std::fs::copy(old, t.path("viral_channel.db")).unwrap();
        let from = if t.is_postgres { "sqlite://viral.db" } else { &*t.url };
        if t.is_postgres {
            t.ok(&["init", "--quiet", "--database-url", "sqlite://viral.db"]);
        }
        #[cfg(feature = "postgres")]
        let other = Scratch::postgres();
        #[cfg(feature = "postgres")]
        let to = &*other.url;
        #[cfg(not(feature = "postgres"))]
        let to = "sqlite://other.db";

        let (mut id, mut token, mut has_key) = (String::new(), String::new(), false);
        let mut sections = std::collections::BTreeSet::new();
        for (section, line) in commands() {
            let backup = std::fs::read_dir(t.path("backups")).into_iter().flatten()
                .map(|entry| entry.unwrap().path().display().to_string())
                .find(|name| name.ends_with(".zst"));
            let line = line
                .replace("--database-url postgres://localhost/viral", "")
                .replace("sqlite://viral.db", from)
                .replace("postgres://localhost/viral", to)
                .replace("/etc/viraldb/keys", "keys")
                .replace("restore backups/viral-20261121T083000.123Z.db.zst", &format!("restore --yes {}", backup.unwrap_or_default()))
                .replace("--preset ID", &format!("--preset {id}"))
                .replace(" ID --token TOKEN", &format!(" {id} --token {token}"));
            let ran = run(t, &line, has_key);
            assert_eq!(ran.code, 0, "{section}: {line}: {}{}", ran.out, ran.err);
            has_key |= line.contains("secrets keygen");
            if line.contains("presets add") {
                id = ran.out.split_whitespace().find(|word| word.len() == 36).unwrap().to_owned();
            } else if line.contains("jobs claim") || line.contains("jobs complete") {
                // The next one is for the line that lets a job fail.
                let claimed = if line.contains("jobs claim") { ran } else { run(t, "viraldb jobs claim --worker w1 --format json", false) };
                let claimed: Value = serde_json::from_str(&claimed.out).unwrap();
                id = claimed[0]["id"].as_str().unwrap().to_owned();
                token = claimed[0]["lease_token"].as_str().unwrap().to_owned();
            }
            sections.insert(section);
        }
        assert!(sections.len() >= 10, "{sections:?}");
        for name in ["analytics.jsonl", "rows/shorts.jsonl", "rows/videos.jsonl", "trends.csv", "files.txt", "settings.toml", "keys", "new.db", "rejects.jsonl"] {
            assert!(t.path(name).exists(), "{name}");
        }
    }
}
