//! Output that is not read or cannot be written.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::process::{Command, Stdio};

use super::json;
use crate::make;
use crate::support::{Ran, Scratch, both};

/// Returns the write end of a pipe whose read end is closed.
fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// Returns a device that accepts no bytes, like a full disk.
fn full() -> Stdio {
    OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

fn run(command: &mut Command) -> Ran {
    command.output().unwrap().into()
}

/// Runs `viraldb` in a shell with a redirected stdout.
fn with_stdout(t: &Scratch, redirected: &str, args: &[&str]) -> Ran {
    let command = t.command(args);
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("exec \"$0\" \"$@\" {redirected}"));
    shell.arg(command.get_program()).args(command.get_args());
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(t.dir.path());
    run(&mut shell)
}

/// Writes four files of 50 jobs each and returns their paths.
fn files(t: &Scratch) -> Vec<String> {
    (0..4).map(|file| t.file(&format!("g{file}.jsonl"), jobs(file, 50)).display().to_string()).collect()
}

fn jobs(file: u32, count: u32) -> String {
    (0..count).map(|row| format!("{{\"theme\":\"{file} {row}\"}}\n")).collect()
}

fn ingest<'a>(files: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["ingest", "--as", "jsonl", "--table", "jobs"];
    args.extend(more);
    args.extend(files.iter().map(String::as_str));
    args
}

fn stored_jobs(t: &Scratch) -> u64 {
    let status = json(&t.ok(&["status", "--format", "json"]));
    let tables = status["tables"].as_array().unwrap();
    tables.iter().find(|row| row["table"] == "jobs").unwrap()["rows"].as_u64().unwrap()
}

/// Creates a FIFO and a thread that reads its first byte and then closes it.
fn fifo_with_dying_reader(path: &Path) -> std::thread::JoinHandle<()> {
    use std::io::Read;
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    let path = path.to_owned();
    std::thread::spawn(move || {
        let mut byte = [0];
        File::open(path).unwrap().read_exact(&mut byte).unwrap();
    })
}

both! {
    fn ingest_continues_after_a_closed_pipe(t) {
        t.ok(&["init"]);
        let files = files(t);
        for format in ["table", "jsonl"] {
            let ran = run(t.command(&ingest(&files, &["--format", format])).stdout(closed_pipe()));
            assert_eq!((ran.code, &*ran.err), (0, ""), "{format}");
        }
        assert_eq!(stored_jobs(t), 200);
    }

    fn ingest_continues_with_a_full_stdout_and_reports_it(t) {
        t.ok(&["init"]);
        let ran = run(t.command(&ingest(&files(t), &[])).stdout(full()));
        assert_eq!(ran.code, 1);
        assert!(ran.err.starts_with("error: standard output: no space left on device"), "{}", ran.err);
        assert!(ran.err.contains("the command succeeded, but its output is incomplete"), "{}", ran.err);
        assert_eq!(stored_jobs(t), 200);
    }

    /// Rust opens /dev/null if stdout is closed, and ignores errors if it is open for reading only.
    fn closed_stdout_is_reported(t) {
        t.ok(&["init"]);
        for redirected in [">&-", "1</dev/null"] {
            let files = files(t);
            for args in [&["status"][..], &["secrets", "keygen"], &["config", "get", "min_clips"], &ingest(&files, &[])] {
                let ran = with_stdout(t, redirected, args);
                assert_eq!(ran.code, 1, "{redirected} {args:?}: {}", ran.err);
                assert!(ran.err.starts_with("error: standard output: bad file descriptor"), "{}", ran.err);
            }
            assert_eq!(stored_jobs(t), 200);
            let quiet = with_stdout(t, redirected, &ingest(&files, &["--quiet"]));
            assert_eq!((quiet.code, &*quiet.err), (0, ""));
        }
        assert_eq!(with_stdout(t, ">/dev/null", &["videos", "list"]).code, 0);
    }

    fn unread_rejects_are_an_error(t) {
        t.ok(&["init"]);
        let fifo = t.path("rejects");
        let reader = fifo_with_dying_reader(&fifo);
        let bad = t.file("bad.jsonl", "{\"theme\":7}\n".repeat(20_000));
        let ran = t.run(&ingest(&[bad.display().to_string()], &["--rejects", &fifo.display().to_string()]));
        reader.join().unwrap();
        assert_eq!(ran.code, 1, "{}", ran.err);
        assert!(ran.err.contains("broken pipe"), "{}", ran.err);
    }

    fn changes_are_made_even_if_the_output_is_not_read(t) {
        t.ok(&["init", "--sample"]);
        let pending = json(&t.ok(&["videos", "list", "--status", "pending", "--format", "json"]));
        let id = pending[0]["video_id"].as_str().unwrap();
        assert_eq!(run(t.command(&["videos", "mark", id, "used"]).stdout(closed_pipe())).code, 0);
        assert_eq!(run(t.command(&["runs", "start", "gaming"]).stdout(closed_pipe())).code, 0);
        assert_eq!(run(t.command(&["errors", "log", "--module", "m", "--type", "t", "message"]).stdout(closed_pipe())).code, 0);
        let count = |args: &[&str]| json(&t.ok(args)).as_array().unwrap().len();
        assert_eq!(count(&["videos", "list", "--status", "used", "--format", "json"]), 1);
        assert_eq!(count(&["runs", "list", "--format", "json"]), 1);
        assert_eq!(count(&["errors", "list", "--format", "json"]), 1);
    }

    fn claim_without_reader_is_an_error(t) {
        let db = t.db();
        db.write(|c| make::video_job(c).insert(c).and(make::video_job(c).insert(c))).unwrap();
        for stdout in [closed_pipe(), full()] {
            let ran = run(t.command(&["jobs", "claim", "--worker", "w"]).stdout(stdout));
            assert_eq!(ran.code, 1);
            let said = "the claimed jobs become due again when their leases expire";
            assert!(ran.err.contains(said), "{}", ran.err);
        }
    }

    fn list_with_closed_pipe_ends_quietly(t) {
        t.ok(&["init", "--sample"]);
        for args in [&["videos", "list"] as &[&str], &["export", "analytics"], &["status"], &["completions", "bash"]] {
            let ran = run(t.command(args).stdout(closed_pipe()));
            assert_eq!((ran.code, &*ran.err), (0, ""), "{args:?}");
            let ran = run(t.command(args).stdout(full()));
            assert_eq!(ran.code, 1, "{args:?}: {}", ran.err);
        }
    }

    fn exit_codes_do_not_depend_on_readers(t) {
        // There is no database, so the first command is a failed check and the second an error.
        for (args, code) in [(&["migrate", "check"] as &[&str], t.run(&["migrate", "check"]).code), (&["videos", "list"], 1)] {
            assert_ne!(code, 0);
            assert_eq!(run(t.command(args).stdout(closed_pipe())).code, code, "{args:?}");
            assert_eq!(run(t.command(args).stderr(closed_pipe())).code, code, "{args:?}");
            assert_eq!(run(t.command(args).stderr(full())).code, code, "{args:?}");
        }
    }

    fn unwritable_stderr_changes_nothing(t) {
        t.ok(&["init"]);
        let good = t.file("good.jsonl", jobs(0, 7));
        let bad = t.file("bad.jsonl", "{\"theme\":7}\n".repeat(9));
        let files = [bad.display().to_string(), good.display().to_string()];
        for (stderr, log) in [(full(), "text"), (closed_pipe(), "json")] {
            let args = ingest(&files, &["-vvv", "--log-format", log]);
            let ran = run(t.command(&args).stderr(stderr));
            assert_eq!(ran.code, 3);
            assert!(ran.out.contains("9 rejected") && ran.out.contains("7 rows: "), "{}", ran.out);
            assert_eq!(run(t.command(&["videos", "mark", "nope", "used"]).stderr(full())).code, 1);
            assert_eq!(run(t.command(&["videos", "mark", "nope", "used", "-vvv"]).stderr(closed_pipe())).code, 1);
            assert_eq!(run(t.command(&["videos", "mark"]).stderr(full())).code, 2);
        }
        assert_eq!(stored_jobs(t), 7);
    }

    fn keygen_without_reader_is_an_error(t) {
        let ran = run(t.command(&["secrets", "keygen"]).stdout(closed_pipe()));
        assert_eq!(ran.code, 1);
        assert!(ran.err.contains("the key is lost; run the command again"), "{}", ran.err);
    }
}

#[test]
fn only_the_output_module_prints() {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.ends_with("src/cli/output.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            // The module of colors asks whether the streams are terminals, in one line each.
            let asks = |line: &str| {
                path.ends_with("src/cli/color.rs")
                    && ["stdout", "stderr"].iter().any(|stream| {
                        line.trim()
                            == format!("anstream::AutoStream::choice(&io::{stream}()) != ColorChoice::Never")
                    })
            };
            let is_code = |line: &&str| {
                !line.trim_start().starts_with("//") && !line.contains("rustix::stdio::") && !asks(line)
            };
            let code = text.lines().filter(is_code);
            let prints = ["println!", "print!(", "io::stdout()", "dbg!("];
            found.extend(
                code.filter(|line| prints.iter().any(|word| line.contains(word)))
                    .map(|line| format!("{}: {line}", path.display())),
            );
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[cfg(target_os = "linux")]
both! {
    fn endless_input_is_rejected_at_the_size_limit(t) {
        t.db();
        let zeros = || std::fs::File::open("/dev/zero").unwrap();
        let key = t.ok(&["secrets", "keygen"]).trim().to_owned();
        std::fs::write(t.path("half.jsonl"), "{").unwrap();
        for args in [
            &["secrets", "set", "--setting", "youtube_api_key"][..],
            &["presets", "add", "p", "--parameters", "@-"],
            &["presets", "add", "p", "--parameters", "@/dev/zero"],
            &["config", "import", "-"],
            &["backup", "verify", "half.jsonl", "--identity", "/dev/zero"],
            &["backup", "verify", "half.jsonl", "--passphrase-file", "/dev/zero"],
            &["--config", "/dev/zero", "config", "list"],
        ] {
            let ran = t.command(args).env("VIRALDB_KEY", &key).stdin(zeros()).output().unwrap();
            let said = String::from_utf8_lossy(&ran.stderr);
            assert!(ran.status.code() == Some(1) && said.contains("MiB, the maximum size for this input"), "{args:?}: {said}");
        }
        let ran = t.command(&["secrets", "status"]).env("VIRALDB_KEY_FILE", "/dev/zero").output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(1), "{said}");
    }
}
