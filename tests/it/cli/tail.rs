//! `viraldb jobs tail`

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use viraldb::Database;
use viraldb::queue::{self, Claim, Failure};
use viraldb::republishing::{JobType, NewVideoProcessingJob, VideoProcessingJobId};

use super::*;
use crate::support::Ran;

fn put(db: &Database, job_type: JobType, count: usize) -> Vec<VideoProcessingJobId> {
    db.write(|c| {
        let video = make::video(c).insert(c)?;
        let jobs: Vec<_> =
            (0..count).map(|_| NewVideoProcessingJob::new(video.id, video.channel_id, job_type)).collect();
        queue::enqueue_many(c, &jobs)?;
        Ok(jobs.iter().map(|job| job.id).collect())
    })
    .unwrap()
}

/// Claims a job and completes it, or fails it for good.
fn run_one(db: &Database, error: Option<&str>) {
    db.write(|c| {
        let [job] = queue::claim(c, &Claim::new("w"))?.try_into().unwrap();
        match error {
            None => queue::complete(c, &job),
            Some(error) => queue::fail(c, &job, &Failure { is_final: true, ..Failure::new(error) }),
        }
    })
    .unwrap();
}

/// Starts to follow, and returns the events as they are printed.
fn follow(t: &Scratch, args: &[&str]) -> (Child, Receiver<Value>) {
    let args: Vec<&str> = ["jobs", "tail", "--json"].iter().chain(args).copied().collect();
    let mut child = t.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let (sender, events) = channel();
    std::thread::spawn(move || out.lines().try_for_each(|line| sender.send(json(&line.unwrap()))));
    (child, events)
}

fn next(events: &Receiver<Value>) -> (String, String) {
    let event = events.recv_timeout(Duration::from_secs(30)).unwrap();
    (event["event"].as_str().unwrap().to_owned(), event["job_id"].as_str().unwrap().to_owned())
}

/// Ends the command as Ctrl-C does, and returns what it printed on stderr.
fn interrupt(child: Child) -> String {
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let ran: Ran = child.wait_with_output().unwrap().into();
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.err
}

both! {
    fn tail_prints_what_has_happened(t) {
        let db = t.db();
        assert_eq!(t.ok(&["jobs", "tail", "--no-follow"]), "");
        let [first] = put(&db, JobType::Download, 1).try_into().unwrap();
        run_one(&db, None);
        // SQLite's default for `queued_at` has milliseconds only, so an older event of the same millisecond would come later.
        std::thread::sleep(Duration::from_millis(5));
        let [second] = put(&db, JobType::Publish, 1).try_into().unwrap();
        run_one(&db, Some("403 Forbidden"));
        let lines = t.ok(&["jobs", "tail", "--no-follow", "--json"]);
        let events: Vec<Value> = lines.lines().map(json).collect();
        let seen: Vec<(&str, &str)> = events.iter().map(|event| (event["event"].as_str().unwrap(), event["job_id"].as_str().unwrap())).collect();
        let [one, two] = [first.to_string(), second.to_string()];
        assert_eq!(seen, [
            ("queued", &*one), ("started", &*one), ("completed", &*one),
            ("queued", &*two), ("started", &*two), ("attempt_failed", &*two), ("failed", &*two),
        ]);
        assert_eq!((&events[6]["error"], &events[5]["worker"], &events[4]["worker"]), (&"403 Forbidden".into(), &"w".into(), &"w".into()));
        let text = t.ok(&["jobs", "tail", "--no-follow", "--type", "publish"]);
        assert_eq!(text.lines().count(), 4);
        assert!(text.lines().last().unwrap().ends_with(&format!("failed            publish        {second}  attempt 1 of 3: 403 Forbidden")), "{text}");
        assert!(t.ok(&["jobs", "tail", "--no-follow", "--color", "always"]).contains("\u{1b}[32mcompleted\u{1b}[0m"));
        assert_eq!(t.run(&["jobs", "tail", "--no-follow", "--since", "2099-01-01"]).err, "no events\n");
        let channel = t.ok(&["channels", "add", "Other", "UCother"]);
        assert!(!channel.is_empty());
        assert_eq!(t.ok(&["jobs", "tail", "--no-follow", "--channel", "UCother", "--quiet"]), "");
    }

    fn tail_follows_and_prints_each_event_once(t) {
        let db = t.db();
        put(&db, JobType::Download, 1);
        let (child, events) = follow(t, &["--since", "1m"]);
        assert_eq!(next(&events).0, "queued");
        for n in 0..8 {
            if n > 0 {
                put(&db, JobType::Download, 1);
                assert_eq!(next(&events).0, "queued");
            }
            // Shorter than the time between two reads.
            run_one(&db, None);
            assert_eq!([next(&events).0, next(&events).0], ["started", "completed"]);
        }
        std::thread::sleep(Duration::from_millis(700));
        assert_eq!(interrupt(child), "");
        assert!(events.recv().is_err(), "an event was printed twice");
    }

    fn many_jobs_of_one_moment_are_all_printed(t) {
        let db = t.db();
        let ids = put(&db, JobType::Download, 3_500);
        let lines = t.ok(&["jobs", "tail", "--no-follow", "--json"]);
        let mut seen: Vec<String> = lines.lines().map(|line| json(line)["job_id"].as_str().unwrap().to_owned()).collect();
        let mut expected: Vec<String> = ids.iter().map(ToString::to_string).collect();
        seen.sort();
        expected.sort();
        assert_eq!(seen, expected);
    }

    fn late_commit_is_not_missed(t) {
        let db = t.db();
        put(&db, JobType::Download, 1);
        let (child, events) = follow(t, &["--since", "1m"]);
        assert_eq!(next(&events).0, "queued");
        // As if the transaction had begun three seconds ago.
        let late = db.write(|c| {
            let job = NewVideoProcessingJob { queued_at: Some(viraldb::Timestamp::now() - Duration::from_secs(3)), ..make::video_job(c) };
            queue::enqueue(c, &job)
        });
        assert_eq!(next(&events), ("queued".to_owned(), late.unwrap().unwrap().id.to_string()));
        interrupt(child);
    }

    fn closed_pipe_ends_tail_quietly(t) {
        t.db();
        let mut child = t.command(&["jobs", "tail"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ran: Ran = child.wait_with_output().unwrap().into();
        assert_eq!((ran.code, &*ran.err), (0, ""));
    }
}
