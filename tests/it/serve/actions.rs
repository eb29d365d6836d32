//! Tests of what visitors may change.

use viraldb::compilation::*;
use viraldb::config::NewConfigOverride;
use viraldb::queue::{self, Claim};
use viraldb::republishing::{JobStatus, VideoProcessingJob};
use viraldb::types::VideoProcessingJobId;
use viraldb::web::ServeOptions;
use viraldb::{Database, Timestamp};

use super::client::{Served, options, serve};
use crate::make;
use crate::support::{Scratch, both};

fn with_actions(t: &Scratch) -> Served {
    serve(t, &ServeOptions { allow_actions: true, ..options() })
}

fn job(db: &Database) -> VideoProcessingJobId {
    db.write(|c| make::video_job(c).insert(c)).unwrap().id
}

fn status(db: &Database, id: VideoProcessingJobId) -> JobStatus {
    db.read(|c| VideoProcessingJob::find(c, id)).unwrap().status
}

both! {
    fn jobs_are_canceled_retried_and_released(t) {
        let db = t.db();
        let id = job(&db);
        let served = with_actions(t);
        let page = format!("/jobs/{id}");
        let done = served.press(&page, &format!("{page}/cancel"));
        assert_eq!((done.status, done.header("location")), (303, Some(&*page)), "{}", done.body);
        assert_eq!(status(&db, id), JobStatus::Failed);
        assert!(served.get(&page).body.contains("is canceled."), "the next page says so");
        assert!(!served.get(&page).body.contains("is canceled."), "once");
        assert_eq!(served.press(&page, &format!("{page}/retry")).status, 303);
        assert_eq!(status(&db, id), JobStatus::Queued);
        db.write(|c| queue::claim(c, &Claim::new("w"))).unwrap();
        assert_eq!(served.press(&page, &format!("{page}/release")).status, 303);
        assert_eq!(status(&db, id), JobStatus::Queued);
        // The page of a queued job offers neither.
        for action in ["retry", "release"] {
            assert_eq!(served.token(&page, &format!("{page}/{action}")), None);
        }
        let token = served.token(&page, &format!("{page}/cancel")).unwrap();
        let refused = served.post(&format!("{page}/retry"), &format!("token={token}"));
        assert!(refused.status == 422 && refused.body.contains("only failed jobs can be retried"), "{}", refused.body);
        assert_eq!(served.post(&format!("{page}/explode"), &format!("token={token}")).status, 404);
        assert_eq!(served.post("/jobs/x/cancel", &format!("token={token}")).status, 404);
    }

    fn reviews_are_answered(t) {
        let db = t.db();
        let served = with_actions(t);
        let review = |niche: &'static str| {
            db.write(|c| {
                let now = Timestamp::now();
                let run = NewPipelineRun {
                    status: Some(RunStatus::Running),
                    started_at: Some(now),
                    ..NewPipelineRun::new(niche, now, now)
                };
                let run = run.insert(c)?.id;
                ReviewLog::send(c, run)
            })
            .unwrap()
        };
        for (niche, action, after) in
            [("a", "approve", RunStatus::Approved), ("b", "reject", RunStatus::Failed), ("c", "hold", RunStatus::Review)]
        {
            let review = review(niche);
            let page = format!("/runs/{}", review.pipeline_run_id);
            let answer = served.press(&page, &format!("/reviews/{}/{action}", review.id));
            assert_eq!((answer.status, answer.header("location")), (303, Some(&*page)), "{}", answer.body);
            let run = db.read(|c| PipelineRun::find(c, review.pipeline_run_id)).unwrap();
            assert_eq!(run.status, after, "{action}");
            // A review is answered once, except that a held one can still be approved or rejected.
            let again = served.token(&page, &format!("/reviews/{}/approve", review.id));
            assert_eq!(again.is_some(), action == "hold");
        }
    }

    fn errors_are_resolved(t) {
        let db = t.db();
        let error = db.write(|c| make::error().insert(c)).unwrap().id;
        let served = with_actions(t);
        let page = format!("/tables/error_log/{error}");
        assert_eq!(served.press(&page, &format!("/errors/{error}/resolve")).status, 303);
        assert!(db.read(|c| ErrorLog::find(c, error)).unwrap().resolved);
        assert_eq!(served.token(&page, &format!("/errors/{error}/resolve")), None);
    }

    fn the_queue_is_paused_and_resumed(t) {
        let db = t.db();
        let served = with_actions(t);
        assert_eq!(served.press("/queue", "/queue/pause").status, 303);
        assert!(db.read(queue::is_paused).unwrap());
        assert_eq!(served.token("/queue", "/queue/pause"), None);
        assert_eq!(served.press("/queue", "/queue/resume").status, 303);
        assert!(!db.read(queue::is_paused).unwrap());
        // Where an override pauses the queue, it must be the override that changes.
        db.write(|c| NewConfigOverride::new("queue_paused", "true").insert(c)).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(2100));
        assert_eq!(served.press("/queue", "/queue/resume").status, 303);
        assert!(!db.read(queue::is_paused).unwrap());
    }

    fn actions_need_the_token_of_the_visitor(t) {
        let db = t.db();
        let id = job(&db);
        let served = with_actions(t);
        let (page, action) = (format!("/jobs/{id}"), format!("/jobs/{id}/cancel"));
        let token = served.token(&page, &action).unwrap();
        for body in ["", "token=", "token=x", &format!("token={}", token.replace(&token[..1], "x"))] {
            assert_eq!(served.post(&action, body).status, 403, "{body}");
        }
        let body = format!("token={token}");
        for line in ["Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"] {
            assert_eq!(served.send("POST", &action, &[line], &body).status, 403, "{line}");
        }
        // The token of another visitor is worth nothing, and so is one without a cookie.
        let own = served.cookie.replace(None);
        assert_eq!(served.post(&action, &body).status, 403);
        served.cookie.replace(None);
        served.get(&page);
        assert_ne!(*served.cookie.borrow(), own);
        assert_eq!(served.post(&action, &body).status, 403);
        assert_eq!(served.send("GET", &action, &[], "").status, 405);
        assert_eq!(status(&db, id), JobStatus::Queued, "nothing was changed");
    }

    fn without_the_flag_nothing_can_be_changed(t) {
        let db = t.db();
        let id = job(&db);
        let error = db.write(|c| make::error().insert(c)).unwrap().id;
        let served = serve(t, &options());
        for action in
            [format!("/jobs/{id}/cancel"), format!("/errors/{error}/resolve"), "/queue/pause".to_owned()]
        {
            let refused = served.post(&action, "token=x");
            assert!(refused.status == 403 && refused.body.contains("--allow-actions"), "{action}: {}", refused.body);
        }
        for page in [format!("/jobs/{id}"), format!("/tables/error_log/{error}"), "/queue".to_owned()] {
            assert!(!served.get(&page).body.contains("method=\"post\""), "{page}");
        }
        assert_eq!(status(&db, id), JobStatus::Queued);
    }

    fn the_log_says_who_did_what(t) {
        use std::io::{BufRead, BufReader, Read};
        use std::process::Stdio;

        let db = t.db();
        let id = job(&db);
        let mut child = t
            .command(&["serve", "--listen", "127.0.0.1:0", "--allow-actions"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_start_matches("listening on http://").split('/').next().unwrap().parse().unwrap();
        let served = Served::at(address);
        assert_eq!(served.press(&format!("/jobs/{id}"), &format!("/jobs/{id}/cancel")).status, 303);
        assert_eq!(served.post(&format!("/jobs/{id}/retry"), "token=x").status, 403);
        child.kill().unwrap();
        child.wait().unwrap();
        let mut log = String::new();
        child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(&id.to_string())).collect();
        assert_eq!(lines.len(), 2, "{log}");
        for (line, words) in lines.iter().zip([["done", "cancel", "127.0.0.1"], ["refused", "retry", "127.0.0.1"]]) {
            assert!(words.iter().all(|word| line.contains(word)), "{line}");
        }
    }
}
