//! What people see after typical mistakes, for a reviewer to read in one file.

use std::sync::LazyLock;

use crate::support::{Ran, Scratch, viraldb};

/// Typical mistakes, in the order of the commands. Each line is a command line in a folder with the database of
/// `viraldb init --sample`, one run and one channel.
const MISTAKES: &str = include_str!("mistakes.txt");

/// Replaces what differs from run to run: ids, times, the folder and sizes.
fn steady(text: &str, folder: &str) -> String {
    static CHANGES: LazyLock<Vec<(regex::Regex, &str)>> = LazyLock::new(|| {
        [
            (r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
            (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
            (r"\d{8}T\d{6}\.\d{3}Z", "TIME"),
        ]
        .map(|(pattern, with)| (regex::Regex::new(pattern).unwrap(), with))
        .into()
    });
    let text = text.replace(folder, "FOLDER");
    CHANGES.iter().fold(text, |text, (pattern, with)| pattern.replace_all(&text, *with).into_owned())
}

/// Splits a line into words as a shell does; single quotes keep blanks.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for (n, part) in line.split('\'').enumerate() {
        match n % 2 {
            1 => words.push(part.to_owned()),
            _ => words.extend(part.split_whitespace().map(str::to_owned)),
        }
    }
    words
}

#[test]
fn typical_mistakes() {
    let t = Scratch::sqlite();
    let folder = t.dir.path();
    let run = |args: &[&str]| Ran::revealed(viraldb(folder, args).output().unwrap());
    for args in [
        &["init", "--sample"] as &[&str],
        &["runs", "start", "music"],
        &["channels", "add", "Clips", "UC1"],
        &["config", "set", "max_clips", "3"],
    ] {
        let ran = run(args);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}");
    }
    t.file("bad.csv", "video_id,title\nx\n");
    t.file("broken.json", "{\"kind\": ");
    t.file("other.txt", "hello\n");
    t.file("settings.toml", "max_clips = \"many\"\n");
    t.file("rows.jsonl", "{\"video_id\": \"x\"}\n");
    let mut text = String::new();
    for line in MISTAKES.lines().filter(|line| !line.is_empty()) {
        let words = words(line);
        let args: Vec<&str> = words.iter().map(String::as_str).collect();
        let ran = run(&args);
        assert!(ran.code != 0 || !ran.err.is_empty(), "not a mistake: {line}: {}", ran.out);
        text += &format!("$ viraldb {line}\n{}{}exit code {}\n\n", ran.out, ran.err, ran.code);
    }
    assert!(MISTAKES.lines().filter(|line| !line.is_empty()).count() >= 100);
    insta::assert_snapshot!("mistakes", steady(&text, &folder.display().to_string()));
}
