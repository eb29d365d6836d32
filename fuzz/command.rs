//! Fuzzes the messages of the command about bad input. They must be safe to print: without control characters, and short.

use std::process::{Command, Stdio};

use proptest::prelude::*;

use crate::mutate::{mutated, mutated_text, words};
use crate::runner::{Outcome, expect, fuzz};

/// Maximum length of a line on stderr, in bytes.
const LONGEST: usize = 1_000;

/// Runs the command with the given standard input, and checks its exit code and every line that it prints on stderr.
fn said(folder: &std::path::Path, args: &[&str], input: &[u8]) -> Outcome {
    let file = folder.join("input");
    std::fs::write(&file, input).unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_viraldb"))
        .args(args)
        .current_dir(folder)
        .stdin(std::fs::File::open(file).unwrap())
        .stdout(Stdio::null())
        .env("XDG_CONFIG_HOME", folder)
        .env("DATABASE_URL", "sqlite://x.db")
        .env_remove("VIRALDB_CONFIG")
        .env_remove("VIRALDB_KEY")
        .env_remove("VIRALDB_KEY_FILE")
        .env_remove("RUST_LOG")
        .output()
        .unwrap();
    let code = done.status.code();
    let text = String::from_utf8_lossy(&done.stderr);
    expect(code.is_some_and(|code| code <= 5), || format!("{args:?} ended with {}: {text}", done.status))?;
    expect(code != Some(1) || text.contains("error: "), || {
        format!("{args:?} ended with 1 and printed {text:?}")
    })?;
    text.lines().try_for_each(|line| {
        expect(!line.contains(char::is_control), || format!("a line has control characters: {line:?}"))?;
        expect(line.len() <= LONGEST, || {
            format!("a line has {} bytes: {}", line.len(), line.chars().take(300).collect::<String>())
        })
    })
}

/// Turns a text into an argument that is not empty, is not a flag and contains no NUL.
fn argument(text: &str) -> String {
    format!("x{}", text.replace('\0', ""))
}

#[test]
fn messages() {
    let folder = tempfile::tempdir().unwrap();
    let init = Command::new(env!("CARGO_BIN_EXE_viraldb"))
        .args(["--database-url", "sqlite://x.db", "init"])
        .current_dir(folder.path())
        .output();
    assert!(init.unwrap().status.success());
    let run = |args: &[&str], input: &[u8]| said(folder.path(), args, input);

    let long = "[a-z]{3}".prop_map(|word| word.repeat(20_000));
    let text = || prop_oneof![3 => words(), 1 => long.clone()];
    let row = (text(), text(), text()).prop_map(|(column, title, niche)| {
        let row = serde_json::json!({ "video_id": "a", "title": title, "niche": niche, "view_count": niche, column: 1 });
        format!("{row}\n").into_bytes()
    });
    fuzz("messages about rows", mutated(row), |input| {
        run(&["ingest", "-", "--as", "jsonl"], &input)?;
        run(&["ingest", "-", "--as", "jsonl", "--strict"], &input)?;
        run(&["ingest", "-"], &input)
    });
    fuzz("messages about arguments", (mutated_text(text()), 0..7_u8), |(text, command)| {
        let text = argument(&text);
        let args: &[&str] = match command {
            0 => &["videos", "mark", &text, "used"],
            1 => &["videos", "mark", "a", &text],
            2 => &["status", "--database-url", &text],
            3 => &["export", &text],
            4 => &["config", "set", &text, "1"],
            5 => &["config", "set", "cycle_hours", &text],
            _ => &["channels", "show", &text],
        };
        run(args, b"")
    });
    let toml = (text(), text())
        .prop_map(|(key, value)| format!("cycle_hours = {value:?}\n{key} = {value:?}\n").into_bytes());
    fuzz("messages about settings", mutated(toml), |input| run(&["config", "import", "-"], &input));
}
