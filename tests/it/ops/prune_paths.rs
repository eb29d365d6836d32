//! Prune writes each path exactly once and intact, before it deletes the row.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::process::Stdio;

use serde_json::Value;
use viraldb::Database;
use viraldb::compilation::*;

use super::prune::run;
use super::{days_ago, number};
use crate::support::{Ran, Scratch, both};

/// Names that a careless list would split, quote or truncate.
const NAMES: [&str; 8] =
    ["plain", "a.mp4\n", "b\r\n", "\"c\"", "d,e", "f\u{1b}[31m", "g\\n", "h\u{2028}\u{85}i'"];

const KINDS: [&str; 4] = ["video.mp4", "clip.mp4", "voice.mp3", "short.mp4"];

const RUNS: &str = "SELECT CAST(count(*) AS text) AS v FROM pipeline_runs";

fn fill(db: &Database) -> BTreeSet<String> {
    db.write(|c| {
        for name in NAMES {
            run(c, RunStatus::Failed, Some(days_ago(90)), name);
        }
        Ok(())
    })
    .unwrap();
    NAMES.iter().flat_map(|name| KINDS.map(|kind| format!("/files/{name}/{kind}"))).collect()
}

/// Reads a list of one path per line.
fn lines(text: &str) -> BTreeSet<String> {
    let path = |line: &str| match line.strip_prefix('"') {
        Some(_) => serde_json::from_str(line).unwrap(),
        None => line.to_owned(),
    };
    text.split_terminator('\n').map(path).collect()
}

fn nulls(text: &str) -> BTreeSet<String> {
    text.split_terminator('\0').map(str::to_owned).collect()
}

fn require_error(t: &Scratch, args: &[&str], reason: &str) {
    let ran = t.run(args);
    assert_eq!(ran.code, 1, "{args:?}");
    assert!(ran.err.contains(reason), "{args:?}: {}", ran.err);
}

both! {
    fn paths_with_newlines_stay_intact_in_a_file(t) {
        let db = t.db();
        let paths = fill(&db);
        t.ok(&["prune", "--files", "lines.txt", "--dry-run"]);
        t.ok(&["prune", "--files", "nulls.txt", "--null", "--dry-run"]);
        let read = |name: &str| std::fs::read_to_string(t.path(name)).unwrap();
        assert_eq!(lines(&read("lines.txt")), paths);
        assert!(read("lines.txt").starts_with("/files/plain/video.mp4\n"), "{}", read("lines.txt"));
        assert_eq!(nulls(&read("nulls.txt")), paths);
        assert!(!read("lines.txt").lines().any(|line| line.starts_with("/video")), "{}", read("lines.txt"));
        // A file cannot mix the two formats.
        require_error(t, &["prune", "--files", "lines.txt", "-0"], "holds one path per line");
        require_error(t, &["prune", "--files", "nulls.txt"], "holds paths with NULs between them");
        require_error(t, &["prune", "--files", "-"], "is not a file");
        assert_eq!(number(&db, RUNS), 8);
        // If an existing list ends within a path, prune terminates it before the next path.
        t.file("cut.txt", "a\0b");
        t.ok(&["prune", "--files", "cut.txt", "-0"]);
        let expected = paths.iter().map(String::as_str).chain(["a", "b"]).map(str::to_owned).collect();
        assert_eq!(nulls(&read("cut.txt")), expected);
    }

    fn paths_with_newlines_stay_intact_on_stdout(t) {
        let db = t.db();
        let paths = fill(&db);
        let table = t.ok(&["prune", "--dry-run", "-q"]);
        assert_eq!(lines(&table), paths);
        let ran = t.run(&["prune", "--dry-run", "-0"]);
        assert_eq!(nulls(&ran.out), paths);
        assert!(ran.err.contains(" 8 of pipeline_runs,"), "{}", ran.err);
        let json: Value = serde_json::from_str(&t.ok(&["prune", "--dry-run", "--format", "json"])).unwrap();
        assert_eq!((&json["file_count"], &json["dry_run"]), (&32.into(), &true.into()));
        let text = |path: &Value| path.as_str().unwrap().to_owned();
        assert_eq!(json["files"].as_array().unwrap().iter().map(text).collect::<BTreeSet<_>>(), paths);
        let jsonl = t.ok(&["prune", "--dry-run", "--format", "jsonl"]);
        let rows: Vec<Value> = jsonl.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(rows.iter().filter_map(|row| row.get("file")).map(text).collect::<BTreeSet<_>>(), paths);
        assert!(rows.iter().any(|row| row["table"] == "clips" && row["rows"] == 8), "{jsonl}");
        let csv = t.ok(&["prune", "--format", "csv"]);
        assert!(csv.starts_with("table,rows,file\n,,/files/plain/video.mp4\n"), "{csv}");
        assert!(csv.contains("\n,,\"/files/a.mp4\n/clip.mp4\"\n") && csv.contains("\nclips,8,\n"), "{csv}");
        assert_eq!(number(&db, RUNS), 0);
        // Without paths, the output is still a complete document.
        let json: Value = serde_json::from_str(&t.ok(&["prune", "--format", "json"])).unwrap();
        assert_eq!((&json["files"], &json["file_count"]), (&Value::Array(Vec::new()), &0.into()));
        assert!(t.ok(&["prune", "--format", "csv"]).starts_with("table,rows,file\nerror_log,0,\n"));
        for format in ["json", "jsonl", "csv"] {
            require_error(t, &["prune", "-0", "--format", format], "--null needs --files FILE");
        }
    }

    fn rows_with_unwritten_paths_are_kept(t) {
        let db = t.db();
        fill(&db);
        let closed = || -> Stdio {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            writer.into()
        };
        let full = || -> Stdio { OpenOptions::new().write(true).open("/dev/full").unwrap().into() };
        for format in ["table", "json", "jsonl", "csv"] {
            for stdout in [closed(), full()] {
                let args = ["prune", "--only", "runs", "--format", format];
                let ran: Ran = t.command(&args).stdout(stdout).output().unwrap().into();
                assert_eq!(ran.code, 1, "{format}: {}", ran.err);
                assert!(ran.err.contains("rows whose paths were not written were not deleted"), "{}", ran.err);
                assert_eq!(number(&db, RUNS), 8, "{format}");
            }
        }
        for redirected in [">&-", "1</dev/null"] {
            let command = t.command(&["prune", "--only", "runs"]);
            let mut shell = std::process::Command::new("sh");
            shell.arg("-c").arg(format!("exec \"$0\" \"$@\" {redirected}"));
            shell.arg(command.get_program()).args(command.get_args());
            let ran: Ran = shell.env("DATABASE_URL", &t.url).output().unwrap().into();
            assert_eq!(ran.code, 1, "{redirected}: {}", ran.err);
            assert!(ran.err.contains("rows whose paths were not written were not deleted"), "{}", ran.err);
            assert_eq!(number(&db, RUNS), 8, "{redirected}");
        }
        require_error(t, &["prune", "--files", "/dev/full"], "rows whose paths were not written were not deleted");
        assert_eq!(number(&db, RUNS), 8);
        // A dry run deletes nothing, so unread output is not an error.
        let ran: Ran = t.command(&["prune", "--dry-run"]).stdout(closed()).output().unwrap().into();
        assert_eq!((ran.code, &*ran.err), (0, ""));
        // Without paths, unread output loses nothing.
        let ran: Ran = t.command(&["prune", "--only", "errors"]).stdout(closed()).output().unwrap().into();
        assert_eq!((ran.code, &*ran.err), (0, ""));
    }
}
