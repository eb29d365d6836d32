//! `viraldb jobs work`, with shell scripts as commands.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use viraldb::queue::{self, AttemptOutcome, JobAttempt};
use viraldb::republishing::{
    JobStatus, JobType, NewVideoProcessingJob, VideoProcessingJob, VideoProcessingJobId,
};
use viraldb::{Database, Json};

use super::*;
use crate::support::{Ran, wait_until};
use viraldb::diesel::RunQueryDsl;

/// Enqueues a job with each of these payloads.
fn put(db: &Database, payloads: &[Value]) -> Vec<VideoProcessingJobId> {
    db.write(|c| {
        let video = make::video(c).insert(c)?;
        let jobs: Vec<_> = payloads
            .iter()
            .map(|payload| NewVideoProcessingJob {
                payload: (!payload.is_null()).then(|| Json(payload.clone())),
                ..NewVideoProcessingJob::new(video.id, video.channel_id, JobType::Download)
            })
            .collect();
        queue::enqueue_many(c, &jobs)?;
        Ok(jobs.iter().map(|job| job.id).collect())
    })
    .unwrap()
}

fn find(db: &Database, id: VideoProcessingJobId) -> VideoProcessingJob {
    db.read(|c| VideoProcessingJob::find(c, id)).unwrap()
}

/// Writes a shell script and returns the words that run it.
fn script(t: &Scratch, text: &str) -> [String; 2] {
    ["sh".to_owned(), t.file("work.sh", text).display().to_string()]
}

/// Runs `viraldb jobs work` with a script.
fn work(t: &Scratch, args: &[&str], text: &str) -> Ran {
    started(t, args, text).wait_with_output().unwrap().into()
}

/// Starts `viraldb jobs work` with a script.
fn started(t: &Scratch, args: &[&str], text: &str) -> Child {
    let [sh, path] = script(t, text);
    let args: Vec<&str> =
        ["jobs", "work", "--worker", "w"].iter().chain(args).copied().chain(["--", &sh, &path]).collect();
    t.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Sends a signal to a worker.
fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Returns the process id that a script has written to a file, once it is complete.
fn pid(t: &Scratch, name: &str) -> i32 {
    let mut pid = None;
    wait_until("the script writes its process id", || {
        let text = std::fs::read_to_string(t.path(name)).unwrap_or_default();
        pid = text.strip_suffix('\n').and_then(|text| text.parse().ok());
        pid.is_some()
    });
    pid.unwrap()
}

/// Returns true unless the process has ended.
fn is_running(pid: i32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

both! {
    fn exit_code_decides_how_the_job_ends(t) {
        let db = t.db();
        let ids = put(&db, &[json!(0), json!(75), json!(65), json!(3), json!("kill")]);
        let text = "read code; echo \"not good: $code \u{fc}\" >&2; [ \"$code\" = '\"kill\"' ] && kill -9 $$; exit $code\n";
        let ran = work(t, &["--until-empty", "--snooze", "1h", "--discard-code", "65", "--concurrency", "3"], text);
        assert_eq!(ran.code, 3, "{}", ran.err);
        let [done, snoozed, discarded, failed, killed] = ids.iter().map(|id| find(&db, *id)).collect::<Vec<_>>().try_into().unwrap();
        assert_eq!((done.status, done.attempts), (JobStatus::Completed, 1));
        assert_eq!((snoozed.status, snoozed.attempts), (JobStatus::Queued, 0));
        assert!(snoozed.run_at > viraldb::Timestamp::now() + Duration::from_secs(3_500));
        assert_eq!((discarded.status, discarded.attempts), (JobStatus::Failed, 1));
        assert_eq!(discarded.error_message.as_deref(), Some("exit code 65: not good: 65 \u{fc}"));
        assert_eq!((failed.status, failed.error_message.as_deref()), (JobStatus::Retrying, Some("exit code 3: not good: 3 \u{fc}")));
        assert_eq!((killed.status, killed.error_message.as_deref()), (JobStatus::Retrying, Some("killed by SIGKILL: not good: \"kill\" \u{fc}")));
        assert!(ran.out.ends_with("1 completed, 3 failed, 1 snoozed\n"), "{}", ran.out);
        assert!(ran.err.contains(&format!("{}: not good: 0 \u{fc}\n", done.id)), "{}", ran.err);
        let history = db.read(|c| JobAttempt::of_job(c, failed.id)).unwrap();
        assert_eq!((history.len(), history[0].outcome), (1, AttemptOutcome::Failed));
    }

    fn error_is_the_end_of_stderr(t) {
        let db = t.db();
        let [id] = put(&db, &[Value::Null]).try_into().unwrap();
        work(t, &["--once", "--quiet"], "i=0; while [ $i -lt 900 ]; do echo \"line $i \u{20ac}\" >&2; i=$((i + 1)); done; printf '\\377end' >&2; exit 1");
        let error = find(&db, id).error_message.unwrap();
        assert!(error.starts_with("exit code 1: \u{2026}") && error.ends_with("line 899 \u{20ac}\n\u{fffd}end"), "{error}");
        assert!((1_900..2_200).contains(&error.len()), "{}", error.len());
    }

    fn command_gets_the_job_on_stdin_and_in_its_environment(t) {
        let db = t.db();
        let [with, without] = put(&db, &[json!({"quality": "1080p"}), Value::Null]).try_into().unwrap();
        let text = "cat > in.$VIRALDB_JOB_ID; env | sort > env.$VIRALDB_JOB_ID; echo on stdout";
        let key = t.ok(&["secrets", "keygen"]);
        for more in [&[][..], &["--with-keys"]] {
            if !more.is_empty() {
                db.write(|c| Ok(viraldb::diesel::sql_query("UPDATE video_processing_jobs SET status = 'queued', attempts = 0").execute(c)?)).unwrap();
            }
            let [sh, path] = script(t, text);
            let args = [&["jobs", "work", "--until-empty", "--worker", "w 1"], more, &["--", &sh, &path]].concat();
            let ran: Ran = t.command(&args).env("VIRALDB_KEY", key.trim()).env("OTHER", "kept").output().unwrap().into();
            assert_eq!(ran.code, 0, "{}", ran.err);
            assert!(!ran.out.contains("on stdout") && ran.err.contains(": on stdout\n"), "{}{}", ran.out, ran.err);
            let job = find(&db, with);
            let read = |name: &str, id| std::fs::read_to_string(t.path(&format!("{name}.{id}"))).unwrap();
            assert_eq!((&*read("in", with), &*read("in", without)), (r#"{"quality":"1080p"}"#, "null"));
            let env = read("env", with);
            std::fs::remove_file(t.path(&format!("env.{with}"))).unwrap();
            for (name, value) in [
                ("VIRALDB_JOB_ID", with.to_string()),
                ("VIRALDB_JOB_TYPE", "download".to_owned()),
                ("VIRALDB_JOB_VIDEO_ID", job.video_id.to_string()),
                ("VIRALDB_JOB_CHANNEL_ID", job.channel_id.to_string()),
                ("VIRALDB_JOB_ATTEMPT", "1".to_owned()),
                ("VIRALDB_JOB_MAX_ATTEMPTS", "3".to_owned()),
                ("VIRALDB_JOB_PAYLOAD", r#"{"quality":"1080p"}"#.to_owned()),
                ("VIRALDB_JOB_WORKER", "w 1".to_owned()),
                ("DATABASE_URL", t.url.clone()),
                ("OTHER", "kept".to_owned()),
            ] {
                assert!(env.lines().any(|line| line == format!("{name}={value}")), "{name}");
            }
            assert!(env.lines().any(|line| line.starts_with("VIRALDB_JOB_LEASE_TOKEN=") && line.len() == 24 + 36));
            assert_eq!(env.contains("VIRALDB_KEY="), !more.is_empty());
            assert!(!read("env", without).contains("VIRALDB_JOB_PAYLOAD"));
        }
    }

    fn large_payload_may_be_read_or_ignored(t) {
        let db = t.db();
        let payload = json!("x".repeat(1 << 20));
        let [read, ignored] = put(&db, &[payload.clone(), payload]).try_into().unwrap();
        let text = format!("[ -z \"$VIRALDB_JOB_PAYLOAD\" ] || exit 1; [ $VIRALDB_JOB_ID = {read} ] && cat > in; exit 0");
        let ran = work(t, &["--until-empty", "--concurrency", "1"], &text);
        assert_eq!((ran.code, find(&db, ignored).status), (0, JobStatus::Completed), "{}", ran.err);
        assert_eq!(std::fs::metadata(t.path("in")).unwrap().len(), (1 << 20) + 2);
    }

    fn once_tells_by_its_exit_code_what_happened(t) {
        let db = t.db();
        assert_eq!(work(t, &["--once"], "exit 0").code, 4);
        let [first, second, third] = put(&db, &[json!(0), json!(1), json!(0)]).try_into().unwrap();
        let text = "read code; exit $code";
        let ran = work(t, &["--once", "--json"], text);
        let line: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!((ran.code, &line["id"], &line["outcome"], &line["attempt"]), (0, &json!(first.to_string()), &json!("completed"), &json!(1)));
        let ran = work(t, &["--once", "--json"], text);
        let line: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!((ran.code, &line["id"], &line["outcome"], &line["error"]), (3, &json!(second.to_string()), &json!("failed"), &json!("exit code 1")));
        assert_eq!((&line["is_due_again"], find(&db, third).status), (&json!(true), JobStatus::Queued));
        assert_eq!(work(t, &["--once", "--type", "publish"], text).code, 4);
        assert_eq!(work(t, &["--until-empty"], text).code, 0);
        assert_eq!(work(t, &["--until-empty"], text).code, 0, "an empty queue");
    }

    fn missing_program_fails_before_a_job_is_claimed(t) {
        let db = t.db();
        let [id] = put(&db, &[Value::Null]).try_into().unwrap();
        let file = t.file("plain", "").display().to_string();
        for (program, said) in [("no-such-program", "no folder of PATH has"), ("./none", "does not exist"), (&file, "is not executable")] {
            let ran = t.run(&["jobs", "work", "--", program]);
            assert!(ran.code == 1 && ran.err.contains(said), "{}", ran.err);
        }
        assert_eq!((find(&db, id).status, find(&db, id).attempts), (JobStatus::Queued, 0));
        assert_eq!(t.run(&["jobs", "work"]).code, 2);
    }

    fn timeout_ends_the_whole_group(t) {
        let db = t.db();
        let [id] = put(&db, &[Value::Null]).try_into().unwrap();
        let begin = Instant::now();
        let ran = work(t, &["--once", "--timeout", "300ms"], "sleep 1000 & echo $! > pid; echo waiting >&2; wait");
        assert_eq!(ran.code, 3, "{}", ran.err);
        assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
        assert_eq!(find(&db, id).error_message.as_deref(), Some("the command took longer than 300ms: waiting"));
        assert!(!is_running(pid(t, "pid")));
    }

    fn background_process_that_holds_stderr_does_not_delay_the_worker(t) {
        let db = t.db();
        let [id] = put(&db, &[Value::Null]).try_into().unwrap();
        let begin = Instant::now();
        let ran = work(t, &["--once"], "sleep 30 & echo $! > pid; echo done >&2");
        assert_eq!((ran.code, find(&db, id).status), (0, JobStatus::Completed), "{}", ran.err);
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
        let left = pid(t, "pid");
        assert!(is_running(left) && ran.err.contains("done"), "{}", ran.err);
        kill_process(Pid::from_raw(left).unwrap(), Signal::KILL).unwrap();
    }

    fn stopped_worker_lets_its_command_finish(t) {
        let db = t.db();
        let [first, second] = put(&db, &[Value::Null, Value::Null]).try_into().unwrap();
        let child = started(t, &["--concurrency", "1"], "echo $$ > pid; trap 'echo got TERM >&2' TERM; sleep 1; rm pid");
        pid(t, "pid");
        signal(&child, Signal::TERM);
        let ran: Ran = child.wait_with_output().unwrap().into();
        assert_eq!((ran.code, ran.out.lines().last()), (0, Some("1 completed")), "{}", ran.err);
        assert!(!ran.err.contains("got TERM"), "{}", ran.err);
        assert_eq!((find(&db, first).status, find(&db, second).status), (JobStatus::Completed, JobStatus::Queued));
    }

    fn command_that_ignores_sigterm_is_killed_and_its_job_released(t) {
        let db = t.db();
        let [id] = put(&db, &[Value::Null]).try_into().unwrap();
        let child = started(t, &["--grace", "200ms"], "trap '' TERM; echo $$ > pid; sleep 1000; sleep 1000");
        let left = pid(t, "pid");
        let begin = Instant::now();
        signal(&child, Signal::TERM);
        wait_until("the command is killed", || !is_running(left));
        assert!(begin.elapsed() > Duration::from_secs(4), "{:?}", begin.elapsed());
        let ran: Ran = child.wait_with_output().unwrap().into();
        assert_eq!((ran.code, ran.out.lines().last()), (0, Some("0 completed, 1 released")), "{}", ran.err);
        let job = find(&db, id);
        assert_eq!((job.status, job.attempts, job.lease_token), (JobStatus::Queued, 0, None));
    }

    fn second_signal_kills_the_command_at_once(t) {
        let db = t.db();
        let [id] = put(&db, &[Value::Null]).try_into().unwrap();
        let child = started(t, &[], "trap '' TERM; echo $$ > pid; sleep 1000; sleep 1000");
        let left = pid(t, "pid");
        signal(&child, Signal::INT);
        std::thread::sleep(Duration::from_millis(700));
        assert!(is_running(left));
        let begin = Instant::now();
        signal(&child, Signal::INT);
        let ran: Ran = child.wait_with_output().unwrap().into();
        assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
        assert_eq!((ran.code, is_running(left), find(&db, id).status), (0, false, JobStatus::Queued), "{}", ran.err);
    }

    fn lost_lease_ends_the_command(t) {
        let db = t.db();
        let [id] = put(&db, &[Value::Null]).try_into().unwrap();
        let child = started(t, &["--lease", "900ms", "--once"], "echo $$ > pid; sleep 1000");
        let left = pid(t, "pid");
        std::thread::sleep(Duration::from_millis(1_500));
        assert!(is_running(left), "heartbeats must extend the lease");
        t.ok(&["jobs", "cancel", &id.to_string()]);
        wait_until("the command is ended", || !is_running(left));
        let ran: Ran = child.wait_with_output().unwrap().into();
        assert_eq!((ran.code, find(&db, id).error_message.as_deref()), (3, Some("cancelled")), "{}", ran.err);
    }

    fn twenty_jobs_on_four_hands_run_once_each(t) {
        let db = t.db();
        let ids = put(&db, &vec![Value::Null; 20]);
        let ran = work(t, &["--until-empty", "--concurrency", "4", "--json"], "echo $VIRALDB_JOB_ID >> ran; sleep 0.05");
        assert_eq!((ran.code, ran.out.lines().count()), (0, 20), "{}", ran.err);
        let mut seen: Vec<String> = std::fs::read_to_string(t.path("ran")).unwrap().lines().map(str::to_owned).collect();
        let mut expected: Vec<String> = ids.iter().map(ToString::to_string).collect();
        seen.sort();
        expected.sort();
        assert_eq!(seen, expected);
    }
}
