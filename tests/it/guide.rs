//! Every command of the book (docs/src) and of README.md runs exactly as written, and every Rust program in it is tested.
//!
//! tests/clients/test_guide.py runs the tutorial in Python and the other Python programs.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use viraldb::queue;
use viraldb::republishing::{JobType, NewChannel, NewVideo, NewVideoProcessingJob};

use crate::support::{Ran, Scratch, both};

#[path = "../../examples/pipeline.rs"]
#[allow(dead_code)] // its `main`
mod pipeline;

/// Returns the text of a file of the repository.
fn text(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// Returns the pages of the book, as paths from docs/src, and README.md.
fn pages() -> Vec<(String, String)> {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/src");
    let files = walkdir::WalkDir::new(&book).sort_by_file_name().into_iter().map(Result::unwrap);
    let files = files.filter(|file| file.path().extension().is_some_and(|ending| ending == "md"));
    let names = files.map(|file| file.path().strip_prefix(&book).unwrap().display().to_string());
    let mut pages: Vec<(String, String)> =
        names.map(|name| (name.clone(), text(&format!("docs/src/{name}")))).collect();
    pages.push(("README.md".to_owned(), text("README.md")));
    pages
}

/// Returns the code blocks of a page, each with the word after its opening fence.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    page.split("```").skip(1).step_by(2).filter_map(|block| block.split_once('\n')).collect()
}

/// Returns the commands of a page: lines of `sh` blocks, and lines of `console` blocks after `$ `. Skips commands of other
/// programs.
fn commands(page: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (language, block) in blocks(page) {
        let lines = block.lines().filter_map(|line| match language {
            "sh" => Some(line),
            "console" => line.strip_prefix("$ "),
            _ => None,
        });
        found.extend(lines.filter(|line| line.starts_with("viraldb ") || line.starts_with("cargo run")));
    }
    found
}

/// Held while a dashboard of the book uses its port.
static PORT: Mutex<()> = Mutex::new(());

/// Runs a line in a shell whose PATH begins with the folder of the tested `viraldb`. A dashboard is stopped as by Ctrl-C after a
/// few seconds.
fn run(t: &Scratch, line: &str, key_file: bool) -> Ran {
    let serves = line.starts_with("viraldb serve") && !line.contains("--hash-password");
    let _alone = serves.then(|| PORT.lock().unwrap_or_else(PoisonError::into_inner));
    let line =
        &if serves { format!("timeout --preserve-status --signal=INT 3 {line}") } else { line.to_owned() };
    let ours = t.command(&[]);
    let folder = Path::new(ours.get_program()).parent().unwrap();
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
    // Most commands do not read their input, so the pipe may already be closed.
    let _ = child.stdin.take().unwrap().write_all(b"planted at a prompt\n");
    let output = child.wait_with_output().unwrap();
    if line.contains("--reveal") { Ran::revealed(output) } else { output.into() }
}

/// Creates a database and the files that the commands of how-to guides and the reference assume.
fn prepare(t: &Scratch, commands: &[&str]) {
    t.ok(&["init", "--sample"]);
    // The page on channels adds this one itself.
    let adds_channel = commands.iter().any(|line| line.contains("channels add"));
    let youtube_id = if adds_channel { "UC1" } else { "UC0ZV6M2THA81QT9hrVWJG3A" };
    let db = t.db();
    db.write(|c| {
        let channel = NewChannel::new("Clips", youtube_id).insert(c)?;
        let video = NewVideo { channel_id: channel.id, ..Default::default() }.insert(c)?;
        let job = || NewVideoProcessingJob::new(video.id, channel.id, JobType::Download);
        queue::enqueue_many(c, &[job(), job(), job()])
    })
    .unwrap();
    drop(db);
    t.file("schedule.json", r#"{"videos_per_day": 2}"#);
    t.file("token.json", r#"{"refresh_token": "planted"}"#);
    // The book makes them with `umask 077`, which does not last from one line to the next here.
    for (name, text) in [("users", ""), ("token", "0123456789abcdef0123456789abcdef")] {
        t.file(name, text);
        std::fs::set_permissions(t.path(name), PermissionsExt::from_mode(0o600)).unwrap();
    }
    t.file("list.csv", "Titel,Band\nSong,Group\n");
    for folder in ["exports", "downloads"] {
        std::fs::create_dir(t.path(folder)).unwrap();
    }
    t.file("exports/video.json", r#"{"id":"a","title":"t","snippet":{"title":"t"}}"#);
    t.file("downloads/studio.csv", "Content,Video title,Views\nAbC123_-xyz,Title,8200\n");
    let old = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/takeover/viral_channel.db");
    std::fs::copy(old, t.path("viral_channel.db")).unwrap();
    if t.is_postgres && commands.iter().any(|line| line.contains("sqlite://viral.db")) {
        t.ok(&["init", "--quiet", "--database-url", "sqlite://viral.db"]);
    }
}

/// Runs the commands of a page in a folder of its own.
fn run_page(t: &Scratch, page: &str, commands: &[&str]) {
    let begins_with_nothing = page.starts_with("tutorial/") || page == "README.md";
    if !begins_with_nothing {
        prepare(t, commands);
    }
    let from = if t.is_postgres { "sqlite://viral.db" } else { &*t.url };
    #[cfg(feature = "postgres")]
    let other = Scratch::postgres();
    #[cfg(feature = "postgres")]
    let to = &*other.url;
    #[cfg(not(feature = "postgres"))]
    let to = "sqlite://other.db";

    let (mut id, mut token, mut has_key) = (String::new(), String::new(), false);
    for line in commands {
        match (page, *line) {
            ("tutorial/rust.md", "cargo run") => {
                pipeline::make(&t.db()).unwrap();
                continue;
            }
            ("tutorial/rust.md", "cargo run -- publish") => {
                pipeline::publish(&t.db()).unwrap();
                continue;
            }
            _ => {}
        }
        let backup = std::fs::read_dir(t.path("backups"))
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path().display().to_string())
            .find(|name| name.ends_with(".zst"));
        let line = line
            .replace("cargo run -- ", "viraldb ")
            .replace("--database-url postgres://localhost/viral", "")
            .replace("sqlite://viral.db", from)
            .replace("postgres://localhost/viral", to)
            .replace("/etc/viraldb/keys", "keys")
            .replace(
                "restore backups/viral-20261121T083000.123Z.db.zst",
                &format!("restore --yes {}", backup.unwrap_or_default()),
            )
            .replace("--preset ID", &format!("--preset {id}"))
            .replace("--video ID", &format!("--video {id}"))
            .replace(" ID --token TOKEN", &format!(" {id} --token {token}"));
        let line = match line.contains("source-videos ") {
            true => line.replace(" ID", &format!(" {id}")),
            false => line,
        };
        let ran = run(t, &line, has_key);
        assert_eq!(ran.code, 0, "{page}: {line}: {}{}", ran.out, ran.err);
        has_key |= line.contains("secrets keygen");
        if line.contains("presets add") || line.contains("source-videos add") {
            id = ran.out.split_whitespace().find(|word| word.len() == 36).unwrap().to_owned();
        } else if line.contains("jobs claim") || line.contains("jobs complete") {
            // After `jobs complete`, claim the next job for the line that marks a job as failed.
            let claimed = if line.contains("jobs claim") {
                ran
            } else {
                run(t, "viraldb jobs claim --worker w1 --format json", false)
            };
            let claimed: Value = serde_json::from_str(&claimed.out).unwrap();
            id = claimed[0]["id"].as_str().unwrap().to_owned();
            token = claimed[0]["lease_token"].as_str().unwrap().to_owned();
        }
    }
    let written: &[&str] = match page {
        "how-to/configuration.md" => &["settings.toml"],
        "how-to/export.md" => &["analytics.jsonl", "rows/shorts.jsonl", "rows/videos.jsonl", "trends.csv"],
        "how-to/growth.md" => &["files.txt"],
        "how-to/secrets.md" => &["keys"],
        "how-to/takeover.md" => &["new.db", "rejects.jsonl"],
        _ => &[],
    };
    for name in written {
        assert!(t.path(name).exists(), "{page}: {name}");
    }
}

both! {
    fn every_command_of_the_book_runs(t) {
        let mut with_commands = 0;
        for (page, text) in pages() {
            let commands = commands(&text);
            if !commands.is_empty() && page != "tutorial/python.md" {
                with_commands += 1;
                run_page(&t.another(), &page, &commands);
            }
        }
        assert!(with_commands >= 15, "{with_commands}");
    }
}

#[test]
fn tutorial_in_rust_is_the_example() {
    let (page, example) = (text("docs/src/tutorial/rust.md"), text("examples/pipeline.rs"));
    let pieces: Vec<&str> = blocks(&page)
        .into_iter()
        .filter(|(language, _)| language.starts_with("rust"))
        .map(|(_, code)| code)
        .collect();
    let program = &example[example.find("use std").unwrap()..];
    assert_eq!(pieces.join("\n"), program);
}

/// The doc tests of src/lib.rs compile and run the Rust blocks of the pages that it includes.
#[test]
fn doc_tests_include_every_page_with_rust() {
    let library = text("src/lib.rs");
    for (page, text) in pages() {
        if blocks(&text).iter().any(|(language, _)| *language == "rust") && page != "README.md" {
            assert!(library.contains(&format!(r#"include_str!("../docs/src/{page}")"#)), "{page}");
        }
        // rustdoc takes a block without a language for Rust.
        assert!(blocks(&text).iter().all(|(language, _)| !language.is_empty()), "{page}");
    }
}
