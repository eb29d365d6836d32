//! The help, the man pages and the completion scripts, for a reviewer to read in one file.

use std::path::Path;
use std::process::Command;

use crate::support::{Ran, viraldb};

pub fn printed(folder: &Path, args: &[&str]) -> String {
    let ran = Ran::revealed(viraldb(folder, args).output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}");
    ran.out
}

/// Returns the commands that a help lists, each as its words.
pub fn commands(folder: &Path, under: &[String]) -> Vec<Vec<String>> {
    let args: Vec<&str> = under.iter().map(String::as_str).chain(["-h"]).collect();
    let help = printed(folder, &args);
    let mut found = Vec::new();
    let mut is_list = false;
    for line in help.lines() {
        if !line.starts_with(' ') {
            is_list = line.ends_with(':') && !line.ends_with("ptions:") && line != "Arguments:";
        }
        let name = line.strip_prefix("  ").and_then(|line| line.split_whitespace().next());
        if let Some(name) = name.filter(|name| is_list && !line.starts_with("   ") && *name != "help") {
            let words: Vec<String> = under.iter().cloned().chain([name.to_owned()]).collect();
            let below = if under.is_empty() { commands(folder, &words) } else { Vec::new() };
            found.push(words);
            found.extend(below);
        }
    }
    found
}

#[test]
fn help_of_every_command() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = format!("$ viraldb --help\n{}", printed(dir.path(), &["--help"]));
    let all = commands(dir.path(), &[]);
    assert!(all.len() > 100, "{all:?}");
    for words in all {
        let args: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
        let help = printed(dir.path(), &args);
        // The global options are the same for every command.
        let (own, global) = help.split_once("Global options:\n").unwrap();
        let examples = global.find("Examples:\n").map(|at| &global[at..]).unwrap();
        text += &format!("\n$ viraldb {}\n{own}{examples}", args.join(" "));
        let short: Vec<&str> = words.iter().map(String::as_str).chain(["-h"]).collect();
        let short = printed(dir.path(), &short);
        assert!(short.lines().count() < help.lines().count() && !short.contains("Examples:"), "{words:?}");
    }
    insta::assert_snapshot!("help", text);
}

#[test]
fn man_pages_are_written_for_every_command() {
    let dir = tempfile::tempdir().unwrap();
    printed(dir.path(), &["man", "--output", "man1", "--quiet"]);
    let pages: Vec<String> = std::fs::read_dir(dir.path().join("man1"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for words in commands(dir.path(), &[]) {
        let page = format!("viraldb-{}.1", words.join("-"));
        assert!(pages.contains(&page), "{page} is missing in {pages:?}");
    }
    assert!(!pages.iter().any(|page| page.contains("-help")), "{pages:?}");
    let page = printed(dir.path(), &["man"]);
    assert!(page.contains(".TH viraldb 1") && page.contains("source\\-videos"), "{page}");
}

/// Asks the shell's script for completions, as a shell does.
fn completed(folder: &Path, words: &[&str]) -> Vec<String> {
    let mut command = viraldb(folder, &["--"]);
    command.args(words).env("_VIRALDB_COMPLETE", "bash");
    let index = (words.len() - 1).to_string();
    command.env("_CLAP_COMPLETE_INDEX", index).env("_CLAP_IFS", "\n").env("_CLAP_COMPLETE_COMP_TYPE", "9");
    let ran = Ran::revealed(command.output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{words:?}");
    // After an empty word, options complete as well.
    ran.out.lines().filter(|line| !line.starts_with("--")).map(str::to_owned).collect()
}

#[test]
fn shells_complete_commands_words_ids_and_niches() {
    let dir = tempfile::tempdir().unwrap();
    // Without a database, only what viraldb itself knows is completed.
    assert_eq!(completed(dir.path(), &["viraldb", "videos", "pending", "mu"]), [""; 0]);
    assert!(!dir.path().join("viral.db").exists(), "a completion must not create a database");
    assert_eq!(completed(dir.path(), &["viraldb", "sta"]), ["status", "stats"]);
    assert_eq!(completed(dir.path(), &["viraldb", "jobs", "list", "--status", "re"]), ["retrying"]);
    assert_eq!(completed(dir.path(), &["viraldb", "config", "get", "max_cl"]), ["max_clips"]);
    assert_eq!(completed(dir.path(), &["viraldb", "export", "cli"]), ["clips"]);
    assert!(completed(dir.path(), &["viraldb", "doctor", "--only", "w"]).contains(&"wal".to_owned()));
    assert_eq!(completed(dir.path(), &["viraldb", "videos", "list", "--columns", "video"]), ["video_id"]);
    assert_eq!(
        completed(dir.path(), &["viraldb", "--json", "jobs", "list", "--columns", "id,run"]),
        ["id,run_at"]
    );
    assert_eq!(
        completed(dir.path(), &["viraldb", "doctor", "--columns", "check,w"]),
        ["check,what", "check,why"]
    );
    assert_eq!(
        completed(dir.path(), &["viraldb", "stats", "top", "--columns", "subscriber_g"]),
        ["subscriber_growth"]
    );
    assert_eq!(completed(dir.path(), &["viraldb", "status", "--columns", "x"]), [""; 0]);

    if cfg!(feature = "sqlite") {
        printed(dir.path(), &["init", "--sample", "--quiet"]);
        assert_eq!(completed(dir.path(), &["viraldb", "videos", "pending", "mus"]), ["music"]);
        assert_eq!(completed(dir.path(), &["viraldb", "stats", "video", "SsWHMA"]), ["SsWHMAhshPQ"]);
        assert_eq!(completed(dir.path(), &["viraldb", "videos", "show", "SsWHMA"]), ["SsWHMAhshPQ"]);
        printed(dir.path(), &["runs", "start", "music"]);
        assert_eq!(completed(dir.path(), &["viraldb", "runs", "show", ""]), ["1"]);
        let other = ["viraldb", "--database-url", "viral.db", "runs", "show", ""];
        std::fs::rename(dir.path().join("viral.db"), dir.path().join("moved.db")).unwrap();
        assert_eq!(completed(dir.path(), &other), [""; 0]);
        let other = ["viraldb", "--database-url", "moved.db", "runs", "show", ""];
        assert_eq!(completed(dir.path(), &other), ["1"]);
    }
}

#[test]
fn completion_scripts_are_valid_for_their_shells() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = printed(dir.path(), &["completions", shell]);
        assert!(script.contains("_VIRALDB_COMPLETE"), "{shell}: {script}");
    }
    let script = dir.path().join("viraldb.bash");
    std::fs::write(&script, printed(dir.path(), &["completions", "bash"])).unwrap();
    let checked = Command::new("bash").arg("-n").arg(&script).status().unwrap();
    assert!(checked.success());
}
