//! How long commands wait for a lock that another program holds.

use std::process::Stdio;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use viraldb::diesel::connection::SimpleConnection;

use crate::support::{Ran, both};

/// Longer than commands wait by default.
const HELD: Duration = Duration::from_millis(6_500);

const LOG: [&str; 7] = ["errors", "log", "--module", "m", "--type", "t", "message"];

both! {
    fn ingests_wait_for_a_lock_longer_than_other_commands(t) {
        let db = t.db();
        let (held, is_held) = channel();
        std::thread::scope(|scope| {
            scope.spawn(|| db.write(|c| {
                if t.is_postgres {
                    c.batch_execute("LOCK TABLE jobs, error_log")?;
                }
                held.send(()).unwrap();
                std::thread::sleep(HELD);
                Ok(())
            }).unwrap());
            is_held.recv().unwrap();
            let spawn = |args: &[&str]| t.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let mut patient: Vec<_> = (0..16).map(|n| {
                let rows: String = (0..50).map(|row| format!("{{\"theme\":\"{n} {row}\"}}\n")).collect();
                let file = t.file(&format!("{n}.jsonl"), rows);
                spawn(&["ingest", "--as", "jsonl", "--table", "jobs", file.to_str().unwrap()])
            }).collect();
            patient.push(spawn(&[&["--wait", "1m"][..], &LOG].concat()));
            let begin = Instant::now();
            for args in [&[&LOG[..], &["--wait", "300ms"]].concat()[..], &["ingest", "--wait=300ms", "--as", "jsonl", "--table", "jobs", "0.jsonl"]] {
                let ran = t.run(args);
                assert_eq!(ran.code, 1, "{args:?}");
                assert!(ran.err.contains("is locked"), "{args:?}: {}", ran.err);
                assert!(t.is_postgres || ran.err.contains("for 300ms"), "{args:?}: {}", ran.err);
            }
            assert!(begin.elapsed() < HELD - Duration::from_secs(1), "{:?}", begin.elapsed());
            for child in patient {
                let ran: Ran = child.wait_with_output().unwrap().into();
                assert_eq!(ran.code, 0, "{}", ran.err);
            }
        });
        let count = |table: &str| db.read(|c| Ok(crate::make::query(c, &format!("SELECT CAST(count(*) AS text) AS v FROM {table}")))).unwrap();
        assert_eq!((count("jobs"), count("error_log")), (vec!["800".to_owned()], vec!["1".to_owned()]));
        let ran = t.run(&["status", "--wait", "soon"]);
        assert!(ran.code == 2 && ran.err.contains("is not a length of time"), "{}", ran.err);
    }
}
