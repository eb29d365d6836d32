//! Tests of `viraldb ingest --watch`.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use viraldb::ingest::{Options, Watch, ingest};

use crate::make::query;
use crate::support::{Scratch, both, wait_until};

/// Longer than any expected event takes.
const LONG: Duration = Duration::from_secs(60);

/// Longer than the watch needs to notice a file and to read it.
const A_WHILE: Duration = Duration::from_secs(5);

/// A running watch process.
struct Watching {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Watching {
    /// Starts a watch of the folder `in` for rows of `jobs`.
    fn start(t: &Scratch, more: &[&str]) -> Self {
        fs::create_dir_all(t.path("in")).unwrap();
        let args = ["ingest", "--watch", "in", "--as", "jsonl", "--table", "jobs"];
        let mut command = t.command(&[&args[..], more].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, err) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        let watching = Self { child, out, err };
        if !more.contains(&"-q") {
            watching.says("watching in; stop it with Ctrl-C or SIGTERM");
        }
        watching
    }

    /// Returns the next line of its standard output.
    fn printed(&self) -> String {
        self.out.recv_timeout(LONG).unwrap_or_else(|_| panic!("{:?}", self.said()))
    }

    /// Returns the next report on standard output: file, rows and new rows.
    fn report(&self) -> (String, u64, u64) {
        let line = self.printed();
        let report: Value = serde_json::from_str(&line).unwrap();
        let count = |name: &str| report[name].as_u64().unwrap();
        (report["file"].as_str().unwrap().to_owned(), count("rows"), count("new"))
    }

    fn is_silent_for(&self, time: Duration) -> bool {
        self.out.recv_timeout(time) == Err(RecvTimeoutError::Timeout)
    }

    /// Waits until the watch writes a line that contains `part` to stderr.
    fn says(&self, part: &str) {
        let deadline = Instant::now() + LONG;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.err.recv_timeout(left).unwrap_or_else(|_| panic!("never said: {part}"));
            if line.contains(part) {
                return;
            }
        }
    }

    /// Returns the stderr lines since the last call.
    fn said(&self) -> Vec<String> {
        self.err.try_iter().collect()
    }

    /// Sends a signal. Returns the exit code, and the stderr output since the last call.
    fn stop(mut self, signal: rustix::process::Signal) -> (Option<i32>, String) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
        let code = self.child.wait().unwrap().code();
        (code, self.err.iter().collect::<Vec<_>>().join("\n"))
    }

    fn term(self) {
        let begin = Instant::now();
        assert_eq!(self.stop(rustix::process::Signal::TERM).0, Some(0));
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // A failed test must not leave a process. Killing a process that has ended fails, which is fine.
        let _ = self.child.kill();
    }
}

fn lines(from: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines() {
            if sender.send(line.unwrap()).is_err() {
                return;
            }
        }
    });
    receiver
}

fn job(theme: &str) -> String {
    format!("{{\"theme\":\"{theme}\"}}\n")
}

/// Writes a file elsewhere and renames it into the watched folder.
fn put(t: &Scratch, name: &str, content: impl AsRef<[u8]>) {
    let path = t.path("in").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::rename(t.file("finished", content), path).unwrap();
}

fn themes(t: &Scratch) -> Vec<String> {
    t.db().read(|c| Ok(query(c, "SELECT theme AS v FROM jobs ORDER BY theme"))).unwrap()
}

/// Returns the sorted names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn row(file: &str, rows: u64, new: u64) -> (String, u64, u64) {
    (file.to_owned(), rows, new)
}

both! {
    fn files_are_read_as_they_arrive_and_only_once(t) {
        t.db();
        put(t, "b.jsonl", job("b"));
        put(t, "a/a.jsonl", job("a"));
        put(t, "left.out", job("x"));
        let watching = Watching::start(t, &["--format", "json"]);
        assert_eq!(watching.report(), row("in/a/a.jsonl", 1, 1));
        assert_eq!(watching.report(), row("in/b.jsonl", 1, 1));
        put(t, "c.jsonl", job("c"));
        assert_eq!(watching.report(), row("in/c.jsonl", 1, 1));
        assert!(watching.is_silent_for(A_WHILE));
        // A file that changes is read again.
        File::options().append(true).open(t.path("in/b.jsonl")).unwrap().write_all(job("b2").as_bytes()).unwrap();
        assert_eq!(watching.report(), row("in/b.jsonl", 2, 1));
        assert!(watching.said().is_empty());
        watching.term();
        assert_eq!(themes(t), ["a", "b", "b2", "c"]);
    }

    fn growing_file_is_read_once_it_is_complete(t) {
        t.db();
        let watching = Watching::start(t, &["--format", "jsonl"]);
        let mut file = File::create(t.path("in/slow.jsonl")).unwrap();
        for part in 0..12 {
            file.write_all(format!("{}{{\"theme\":", job(&part.to_string())).as_bytes()).unwrap();
            assert!(watching.is_silent_for(Duration::from_millis(700)), "{part}");
            file.write_all(format!("\"half {part}\"}}\n").as_bytes()).unwrap();
        }
        assert_eq!(watching.report(), row("in/slow.jsonl", 24, 24));
        // An empty file has not been written yet.
        File::create(t.path("in/empty.jsonl")).unwrap();
        assert!(watching.is_silent_for(A_WHILE) && watching.said().is_empty());
        fs::write(t.path("in/empty.jsonl"), job("not empty")).unwrap();
        assert_eq!(watching.report(), row("in/empty.jsonl", 1, 1));
        watching.term();
    }

    fn a_bad_file_is_reported_once_until_it_changes(t) {
        t.db();
        let watching = Watching::start(t, &["--format", "json", "--rejects", "rejects.bad", "--strict"]);
        put(t, "a.jsonl.gz", [0x1f, 0x8b, 8, 0, 0]);
        put(t, "b.jsonl", "{\"theme\":7}\n");
        put(t, "c.jsonl", job("c"));
        assert_eq!(watching.report(), row("in/c.jsonl", 1, 1));
        assert!(watching.is_silent_for(A_WHILE));
        let said = watching.said().join("\n");
        assert_eq!(said.matches("error: in/a.jsonl.gz: the gzip data is cut off").count(), 1, "{said}");
        assert_eq!(said.matches("error: 1 bad row, nothing was written; the first: in/b.jsonl line 1").count(), 1, "{said}");
        put(t, "b.jsonl", job("b"));
        assert_eq!(watching.report(), row("in/b.jsonl", 1, 1));
        watching.term();
        assert_eq!(themes(t), ["b", "c"]);
        assert_eq!(fs::read_to_string(t.path("rejects.bad")).unwrap().lines().count(), 1);
    }

    fn done_files_are_moved_without_replacing_others(t) {
        t.db();
        put(t, "a.jsonl", job("a"));
        put(t, "sub/a.jsonl.zst", zstd::encode_all(job("sub").as_bytes(), 1).unwrap());
        put(t, "bad.jsonl.gz", [0x1f, 0x8b, 8, 0, 0]);
        // The target folder may be inside the watched folder.
        let watching = Watching::start(t, &["--format", "json", "--done", "in/done"]);
        assert_eq!(watching.report(), row("in/a.jsonl", 1, 1));
        assert_eq!(watching.report(), row("in/sub/a.jsonl.zst", 1, 1));
        // The file is moved after the report, and stays if it has changed by then.
        wait_until("the file is moved", || t.path("in/done/sub/a.jsonl.zst").exists());
        put(t, "a.jsonl", job("a2"));
        put(t, "sub/a.jsonl.zst", zstd::encode_all(job("sub2").as_bytes(), 1).unwrap());
        assert_eq!(watching.report(), row("in/a.jsonl", 1, 1));
        assert_eq!(watching.report(), row("in/sub/a.jsonl.zst", 1, 1));
        assert!(watching.is_silent_for(A_WHILE));
        watching.term();
        assert_eq!(names(&t.path("in")), ["bad.jsonl.gz", "done", "sub"]);
        assert_eq!(names(&t.path("in/done")), ["a-1.jsonl", "a.jsonl", "sub"]);
        assert_eq!(names(&t.path("in/done/sub")), ["a-1.jsonl.zst", "a.jsonl.zst"]);
        assert_eq!(fs::read_to_string(t.path("in/done/a.jsonl")).unwrap(), job("a"));
        assert_eq!(fs::read_to_string(t.path("in/done/a-1.jsonl")).unwrap(), job("a2"));

        // A restart reads only the file that failed.
        let watching = Watching::start(t, &["--format", "json", "--done", "in/done"]);
        watching.says("error: in/bad.jsonl.gz: the gzip data is cut off");
        assert!(watching.is_silent_for(A_WHILE));
        watching.term();
        assert_eq!(themes(t), ["a", "a2", "sub", "sub2"]);
    }

    fn signal_stops_a_watch_in_the_middle_of_a_file(t) {
        t.db();
        put(t, "long.jsonl", (0..1_000_000).map(|n| job(&n.to_string())).collect::<String>());
        for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
            let watching = Watching::start(t, &["-v", "--done", "done"]);
            watching.says("stored so far");
            let begin = Instant::now();
            let (code, said) = watching.stop(signal);
            let took = begin.elapsed();
            assert!(said.contains("in/long.jsonl: stopped before its end; the next watch reads it again"), "{said}");
            assert_eq!(code, Some(0));
            assert!(took < Duration::from_secs(10), "{took:?}");
            assert!(t.path("in/long.jsonl").exists() && names(&t.path("done")).is_empty());
            let stored = t.db().read(|c| Ok(query(c, "SELECT CAST(count(*) AS text) AS v FROM jobs"))).unwrap();
            assert!((1..1_000_000).contains(&stored[0].parse::<u64>().unwrap()), "{stored:?}");
        }
    }

    fn locked_database_does_not_lose_a_file(t) {
        let db = t.db();
        let watching = Watching::start(t, &["--format", "json", "--wait", "500ms", "--done", "done"]);
        db.write(|c| {
            if t.is_postgres {
                crate::make::execute(c, "LOCK TABLE jobs")?;
            }
            put(t, "a.jsonl", job("a"));
            put(t, "b.jsonl", job("b"));
            watching.says("is locked");
            watching.says("in/a.jsonl: trying again in 1 s");
            watching.says("in/a.jsonl: trying again in 2 s");
            Ok(())
        })
        .unwrap();
        assert_eq!((watching.report(), watching.report()), (row("in/a.jsonl", 1, 1), row("in/b.jsonl", 1, 1)));
        watching.term();
        assert_eq!(names(&t.path("done")), ["a.jsonl", "b.jsonl"]);
    }

    fn reports_are_printed_as_csv_and_text(t) {
        t.db();
        put(t, "a.jsonl", job("a"));
        put(t, "b.jsonl", job("b"));
        let watching = Watching::start(t, &["--format", "csv"]);
        let lines = [watching.printed(), watching.printed(), watching.printed()];
        assert!(lines[0].starts_with("file,format,rows") && lines[1].starts_with("in/a.jsonl,jsonl,1"), "{lines:?}");
        assert!(lines[2].starts_with("in/b.jsonl,jsonl,1"), "{lines:?}");
        watching.term();
        let watching = Watching::start(t, &[]);
        assert_eq!(watching.printed(), "in/a.jsonl  1 row: 0 new in jobs, 0 updated, 0 rejected");
        watching.term();
        let watching = Watching::start(t, &["-q", "--done", "done"]);
        let deadline = Instant::now() + LONG;
        while !t.path("done/b.jsonl").exists() {
            assert!(Instant::now() < deadline);
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(watching.is_silent_for(Duration::ZERO) && watching.said().is_empty());
        watching.term();
    }

    fn invalid_arguments_are_refused(t) {
        t.db();
        fs::create_dir(t.path("in")).unwrap();
        for args in [&["--watch", "in", "x.jsonl"][..], &["--done", "done", "x.jsonl"], &["--watch", "in", "--dry-run"], &[]] {
            assert_eq!(t.run(&[&["ingest"], args].concat()).code, 2, "{args:?}");
        }
        t.file("file", "");
        for (args, said) in [
            (&["--watch", "nowhere"][..], "error: nowhere: no such file or directory; check the path\n"),
            (&["--watch", "file"], "error: file: not a directory\n"),
            (&["--watch", "in", "--done", "in/../in"], "error: in/../in is the watched folder, so its files would be read again; choose another folder\n"),
            (&["--watch", "in", "--rejects", "in/r.jsonl"], "error: --rejects in/r.jsonl is in a folder that is read, so its rows would be read as well; name a file elsewhere\n"),
        ] {
            let ran = t.run(&[&["ingest"], args].concat());
            assert_eq!((ran.code, &*ran.err), (1, said), "{args:?}");
        }
    }

    fn program_can_watch_a_folder_through_the_library(t) {
        let db = t.db();
        put(t, "a.jsonl", job("a"));
        put(t, "b.jsonl", job("b"));
        let mut watch = Watch::new(&db, t.path("in")).unwrap().settle(Duration::from_millis(100)).done(t.path("done")).unwrap();
        let options = Options { table: Some("jobs"), ..Default::default() };
        for name in ["a.jsonl", "b.jsonl"] {
            let file = watch.next().unwrap().unwrap();
            assert_eq!(file.path, t.path("in").join(name));
            for input in file.open().unwrap().inputs {
                assert_eq!(ingest(&db, &input.name, watch.reader(input.read), &options, &mut |_| Ok(())).unwrap().new, 1);
            }
            if name == "a.jsonl" {
                assert_eq!(watch.finished(&file).unwrap(), Some(t.path("done/a.jsonl")));
            } else {
                // A file that changed while it was read stays and is returned again.
                fs::write(&file.path, job("b") + &job("b2")).unwrap();
                assert_eq!(watch.finished(&file).unwrap(), None);
            }
        }
        let file = watch.next().unwrap().unwrap();
        assert_eq!((file.path, file.size), (t.path("in/b.jsonl"), Some(29)));
        // A folder that cannot be listed is reported once.
        fs::rename(t.path("in"), t.path("away")).unwrap();
        assert!(watch.next().unwrap().unwrap_err().to_string().contains("no such file or directory"));
        let stop = watch.stop();
        let stopper = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(3));
            stop.stop();
        });
        assert!(watch.next().is_none());
        stopper.join().unwrap();
        assert!(ingest(&db, "x", watch.reader(&b"{}"[..]), &options, &mut |_| Ok(())).is_err() && watch.was_cut_short());
    }
}

#[cfg(feature = "postgres")]
#[test]
fn server_restart_does_not_lose_a_file() {
    use crate::support::server::Server;

    let server = Server::own(&["fsync=off"]);
    let mut t = Scratch::postgres();
    let own = std::mem::replace(&mut t.url, server.create_database("watched", "template0"));
    t.ok(&["init", "-q"]);
    let watching = Watching::start(&t, &["--format", "json", "--done", "done"]);
    put(&t, "a.jsonl", job("a"));
    assert_eq!(watching.report(), row("in/a.jsonl", 1, 1));
    server.stop();
    put(&t, "b.jsonl", job("b"));
    put(&t, "c.jsonl", job("c"));
    watching.says("in/b.jsonl: trying again in 1 s");
    watching.says("in/b.jsonl: trying again in 2 s");
    server.restart();
    assert_eq!((watching.report(), watching.report()), (row("in/b.jsonl", 1, 1), row("in/c.jsonl", 1, 1)));
    watching.term();
    assert_eq!((themes(&t), names(&t.path("in")).len()), (["a", "b", "c"].map(str::to_owned).to_vec(), 0));
    t.url = own;
}
