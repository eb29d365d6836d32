//! Tests of many input files: folders, patterns, and files with several names.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use viraldb::ingest::files;

use crate::make::query;
use crate::support::{Ran, Scratch, both};

const INTO_JOBS: [&str; 5] = ["ingest", "--as", "jsonl", "--table", "jobs"];

/// Writes a file and creates its folder.
fn put(t: &Scratch, name: &str, content: impl AsRef<[u8]>) {
    fs::create_dir_all(t.path(name).parent().unwrap()).unwrap();
    t.file(name, content);
}

fn job(theme: &str) -> String {
    format!("{{\"theme\":\"{theme}\"}}\n")
}

fn themes(t: &Scratch) -> Vec<String> {
    t.db().read(|c| Ok(query(c, "SELECT theme AS v FROM jobs ORDER BY theme"))).unwrap()
}

fn ingest(t: &Scratch, more: &[&str]) -> Ran {
    t.run(&[&INTO_JOBS[..], more].concat())
}

/// Returns the files that the report of a run names, in order.
fn read(ran: &Ran) -> Vec<&str> {
    ran.out.lines().map(|line| line.split("  ").next().unwrap()).collect()
}

/// Runs a command with at most 256 open file descriptors.
fn with_few_descriptors(t: &Scratch, args: &[&str]) -> Ran {
    let command = t.command(args);
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 256; exec \"$0\" \"$@\""]);
    shell.arg(command.get_program()).args(command.get_args());
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(t.dir.path()).stdin(Stdio::null()).output().unwrap().into()
}

both! {
    fn folders_are_read_recursively_in_name_order(t) {
        t.db();
        put(t, "in/b.jsonl", job("b"));
        put(t, "in/a/2.jsonl.zst", zstd::encode_all(job("a2").as_bytes(), 1).unwrap());
        put(t, "in/a/1.NDJSON", job("a1"));
        put(t, "in/.hidden.jsonl", job("hidden"));
        put(t, "in/.git/x.jsonl", job("hidden"));
        put(t, "in/~$b.csv", job("hidden"));
        put(t, "in/c.jsonl.part", job("unfinished"));
        put(t, "in/c.jsonl.crdownload", job("unfinished"));
        put(t, "in/picture.png", "no rows");
        let ran = ingest(t, &["in"]);
        assert_eq!((ran.code, read(&ran)), (0, vec!["in/a/1.NDJSON", "in/a/2.jsonl.zst", "in/b.jsonl"]), "{ran:?}");
        assert_eq!(ran.err, "skipped 3 files whose names do not end in a known format; name a file to read it anyway\n");
        assert_eq!(themes(t), ["a1", "a2", "b"]);
        assert_eq!(ingest(t, &["in", "-q"]).err, "");
        // Files that are skipped in a folder are read when they are named.
        assert_eq!(read(&ingest(t, &["in/c.jsonl.part", "in/.hidden.jsonl"])), ["in/c.jsonl.part", "in/.hidden.jsonl"]);
        let reports: serde_json::Value = serde_json::from_str(&ingest(t, &["in/", "--format", "json"]).out).unwrap();
        assert_eq!((reports.as_array().unwrap().len(), &reports[0]["file"]), (3, &"in/a/1.NDJSON".into()));
    }

    fn quoted_patterns_are_expanded(t) {
        t.db();
        for name in ["in/b.jsonl", "in/a.json", "in/x/c.jsonl", "in/x/y/d.jsonl", "in/.e.jsonl", "in/f.jsonl.tmp", "in/g.data", "v[1].jsonl"] {
            put(t, name, job(name));
        }
        for (pattern, expected) in [
            ("in/*.jsonl", &["in/b.jsonl"][..]),
            ("in/*", &["in/a.json", "in/b.jsonl", "in/g.data", "in/x/c.jsonl", "in/x/y/d.jsonl"]),
            ("in/?.json*", &["in/a.json", "in/b.jsonl"]),
            ("in/{a,b}.*", &["in/a.json", "in/b.jsonl"]),
            ("*/x/[c-d].jsonl", &["in/x/c.jsonl"]),
            ("in/**/*.jsonl", &["in/b.jsonl", "in/x/c.jsonl", "in/x/y/d.jsonl"]),
            ("**/*.jsonl", &["in/b.jsonl", "in/x/c.jsonl", "in/x/y/d.jsonl", "v[1].jsonl"]),
            ("in/.*.jsonl", &["in/.e.jsonl"]),
            ("./in/x*", &["./in/x/c.jsonl", "./in/x/y/d.jsonl"]),
            // A file with exactly this name is read; the name is not taken as a pattern.
            ("v[1].jsonl", &["v[1].jsonl"]),
        ] {
            let ran = ingest(t, &[pattern]);
            assert_eq!((ran.code, read(&ran)), (0, expected.to_vec()), "{pattern}: {}", ran.err);
        }
        for (pattern, said) in [
            ("in/*.csv", "error: \"in/*.csv\" is not a file, and as a pattern it matches no files; check the folder and the file extension\n"),
            ("nowhere/**/*.csv", "error: \"nowhere/**/*.csv\" is not a file, and as a pattern it matches no files; check the folder and the file extension\n"),
            ("in/[.jsonl", "error: \"in/[.jsonl\" is neither a file nor a valid pattern: unclosed character class; missing ']'\n"),
        ] {
            let ran = ingest(t, &["in/b.jsonl", pattern]);
            assert_eq!((ran.code, &*ran.out, &*ran.err), (1, "", said), "{pattern}");
        }
        fs::create_dir(t.path("empty")).unwrap();
        put(t, "pictures/a.png", "");
        for folder in ["empty", "pictures"] {
            let ran = ingest(t, &[folder]);
            assert!(ran.code == 1 && ran.err.starts_with(&format!("error: {folder} contains no files to ingest; viraldb searches folders for .csv")), "{ran:?}");
        }
    }

    fn file_with_several_names_is_read_once(t) {
        t.db();
        put(t, "in/a.jsonl", job("a"));
        put(t, "in/sub/b.jsonl", job("b"));
        fs::hard_link(t.path("in/a.jsonl"), t.path("in/c.jsonl")).unwrap();
        symlink("a.jsonl", t.path("in/d.jsonl")).unwrap();
        // Loops, and a link to a folder that is read anyway.
        symlink(".", t.path("in/loop")).unwrap();
        symlink("..", t.path("in/sub/up")).unwrap();
        symlink(t.path("in"), t.path("in/sub/again")).unwrap();
        symlink("sub", t.path("in/zzz")).unwrap();
        let ran = ingest(t, &["in", "in/sub", "./in/a.jsonl", "in/*.jsonl", "in/**/*.jsonl", "in/sub/b.jsonl"]);
        assert_eq!((ran.code, read(&ran)), (0, vec!["in/a.jsonl", "in/sub/b.jsonl"]), "{ran:?}");
        // Links out of the folder are followed.
        put(t, "elsewhere/e.jsonl", job("e"));
        symlink("../elsewhere", t.path("in/out")).unwrap();
        assert!(read(&ingest(t, &["in"])).contains(&"in/out/e.jsonl"));
        let found = files(&[t.path("in"), t.path("in/a.jsonl")]).unwrap().files;
        let seen: Vec<_> = found.iter().map(|file| (file.path.strip_prefix(t.dir.path()).unwrap(), file.is_named, file.size)).collect();
        let expected = [("in/a.jsonl", true, Some(14)), ("in/out/e.jsonl", false, Some(14)), ("in/sub/b.jsonl", false, Some(14))];
        assert_eq!(seen, expected.map(|(path, is_named, size)| (Path::new(path), is_named, size)));
    }

    fn bad_file_in_a_folder_does_not_stop_the_others(t) {
        t.db();
        put(t, "in/a.jsonl", job("a"));
        put(t, "in/b.json.gz", [0x1f, 0x8b, 8, 0, 0]);
        put(t, "in/c.zip", "PK\x03\x04 cut off");
        symlink("nowhere", t.path("in/d.csv")).unwrap();
        symlink("nowhere", t.path("in/d.png")).unwrap();
        put(t, "in/e.jsonl", job("e"));
        put(t, "in/f.jsonl", "{\"theme\":7}\n");
        for args in [&["in"][..], &["in/*.*"]] {
            let ran = ingest(t, args);
            assert_eq!((ran.code, read(&ran)), (1, vec!["in/a.jsonl", "in/e.jsonl", "in/f.jsonl"]), "{ran:?}");
            for said in [
                "error: in/b.json.gz: the gzip data is cut off",
                "error: in/c.zip is a damaged or incomplete ZIP archive",
                "error: in/d.csv: no such file or directory",
            ] {
                assert_eq!(ran.err.matches(said).count(), 1, "{said}: {}", ran.err);
            }
        }
        let ran = ingest(t, &["in", "--format", "json"]);
        assert!(ran.err.ends_with("error: 3 of 6 files could not be read or stored: in/d.csv, in/b.json.gz, in/c.zip\n"), "{}", ran.err);
        let reports: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!((reports.as_array().unwrap().len(), &reports[2]["rejected"]), (3, &1.into()));
        assert_eq!(themes(t), ["a", "e"]);

        // With --strict, a file with a bad row counts as a file that failed. If no file failed, rejected rows
        // lead to exit code 3.
        fs::remove_file(t.path("in/b.json.gz")).unwrap();
        fs::remove_file(t.path("in/c.zip")).unwrap();
        fs::remove_file(t.path("in/d.csv")).unwrap();
        put(t, "in/g.jsonl", job("g"));
        let ran = ingest(t, &["in", "--strict"]);
        assert!(ran.code == 1 && ran.err.contains("1 of 4 files could not be read or stored: in/f.jsonl"), "{ran:?}");
        assert_eq!(themes(t), ["a", "e", "g"]);
        assert_eq!(ingest(t, &["in"]).code, 3);

        // A bad file that is named itself ends the command, even if its folder is named too.
        put(t, "in/h.jsonl", job("h"));
        for args in [&["in/f.jsonl", "in/h.jsonl", "--strict"][..], &["in", "in/f.jsonl", "--strict"]] {
            let ran = ingest(t, args);
            assert!(ran.code == 1 && ran.err.contains("1 bad row, nothing was written"), "{ran:?}");
            assert_eq!(themes(t), ["a", "e", "g"]);
        }
    }

    fn database_and_option_errors_stop_at_once(t) {
        t.db();
        for n in 0..3 {
            put(t, &format!("in/{n}.jsonl"), job("x"));
        }
        let ran = t.run(&["ingest", "in", "--table", "nonsense"]);
        assert!(ran.code == 1 && ran.err.lines().count() == 1 && ran.err.contains("unknown table \"nonsense\"; expected discovered_videos, "), "{ran:?}");
        let ran = t.run(&["ingest", "in", "--niche", " "]);
        assert_eq!((ran.code, &*ran.err), (1, "error: niche is empty\n"));
        t.db().write(|c| crate::make::execute(c, "ALTER TABLE jobs RENAME TO away")).unwrap();
        let ran = ingest(t, &["in"]);
        assert!(ran.code == 1 && ran.err.lines().count() == 1, "{ran:?}");
    }

    fn many_files_need_few_file_descriptors(t) {
        let db = t.db();
        let names: Vec<String> = (0..2_000).map(|n| format!("in/{n:04}.jsonl")).collect();
        for name in &names {
            put(t, name, job(name));
        }
        let ran = with_few_descriptors(t, &[&INTO_JOBS[..], &["in"]].concat());
        assert_eq!((ran.code, &*ran.err, read(&ran)), (0, "", names.iter().map(String::as_str).collect()));
        let count = db.read(|c| Ok(query(c, "SELECT CAST(count(*) AS text) AS v FROM jobs"))).unwrap();
        assert_eq!(count, ["2000"]);
        // The names as arguments, as a shell passes them after it has expanded a pattern.
        let named: Vec<&str> = INTO_JOBS.iter().copied().chain(names.iter().take(400).map(String::as_str)).chain(["-q"]).collect();
        let ran = with_few_descriptors(t, &named);
        assert_eq!((ran.code, &*ran.err), (0, ""));
    }

    fn totals_of_an_unpacked_studio_export_are_skipped(t) {
        t.db();
        put(t, "in/Table data.csv", "Content,Video title,Views\nAbC123_-xyz,Title,8200\n");
        put(t, "in/Gesamtwerte.csv", "Datum,Aufrufe\n2026-05-01,7\n");
        let ran = t.run(&["ingest", "in"]);
        assert_eq!((ran.code, read(&ran)), (0, vec!["in/Table data.csv"]), "{ran:?}");
        assert!(ran.err.contains("in/Gesamtwerte.csv: skipped, because it contains channel totals"), "{}", ran.err);
        assert_eq!(t.run(&["ingest", "in/Gesamtwerte.csv"]).code, 1);
    }

    fn rejects_file_in_an_input_folder_is_refused(t) {
        t.db();
        put(t, "in/a.jsonl", "{\"theme\":7}\n");
        for rejects in ["in/rejects.jsonl", "./in/rejects.csv"] {
            let ran = ingest(t, &["in", "--rejects", rejects]);
            assert!(ran.code == 1 && ran.err.contains("is in a folder that is read, so its rows would be read as well"), "{ran:?}");
        }
        let ran = ingest(t, &["in", "--rejects", "in/a.jsonl"]);
        assert!(ran.code == 1 && ran.err.contains("is an input or a file of the database; name another file"), "{ran:?}");
        for rejects in ["in/rejects.bad", "in/.rejects.jsonl", "rejects.jsonl"] {
            assert_eq!(ingest(t, &["in", "--rejects", rejects]).code, 3, "{rejects}");
            assert_eq!(ingest(t, &["in", "--rejects", rejects]).code, 3, "{rejects}");
        }
    }

    fn pipe_is_opened_once_when_it_is_read(t) {
        t.db();
        put(t, "a.jsonl", job("a"));
        assert!(Command::new("mkfifo").arg(t.path("fifo")).status().unwrap().success());
        let fifo = t.path("fifo");
        let writer = std::thread::spawn(move || fs::write(fifo, job("piped")).unwrap());
        let ran = ingest(t, &["a.jsonl", "fifo"]);
        writer.join().unwrap();
        assert_eq!((ran.code, read(&ran)), (0, vec!["a.jsonl", "fifo"]), "{ran:?}");
        // A folder scan never waits for a pipe.
        put(t, "in/a.jsonl", job("b"));
        assert!(Command::new("mkfifo").arg(t.path("in/fifo.jsonl")).status().unwrap().success());
        assert_eq!(read(&ingest(t, &["in"])), ["in/a.jsonl"]);
        assert_eq!(themes(t), ["a", "b", "piped"]);
    }
}

#[cfg(feature = "sqlite")]
#[test]
fn folder_scan_skips_the_database_files() {
    let t = Scratch::sqlite();
    let db = t.db();
    put(&t, "in/a.jsonl", job("a"));
    fs::hard_link(t.path("viral.db"), t.path("in/b.csv")).unwrap();
    symlink(t.path("viral.db-wal"), t.path("in/c.csv")).unwrap();
    symlink(t.path("viral.db-shm"), t.path("in/d.json")).unwrap();
    let ran = ingest(&t, &["in"]);
    assert_eq!((ran.code, read(&ran), &*ran.err), (0, vec!["in/a.jsonl"], ""));
    for name in ["in/b.csv", "in/d.json"] {
        let ran = ingest(&t, &["in", name]);
        assert_eq!((ran.code, &*ran.err), (1, &*format!("error: {name} is a file of the database itself\n")));
    }
    drop(db);
    assert_eq!(themes(&t), ["a"]);
}
