//! `viraldb jobs` offers everything that a worker in another language needs.

use super::*;
use crate::support::both;

both! {
    fn worker_can_run_entirely_on_the_command_line(t) {
        let db = t.db();
        let video = db.write(|c| make::video(c).insert(c)).unwrap();
        let video = video.id.to_string();
        let text = t.ok(&["jobs", "enqueue", "download", "--video", &video, "--priority", "5", "--unique-key", "k"]);
        assert!(text.starts_with("queued "), "{text}");
        assert_eq!(t.ok(&["jobs", "enqueue", "download", "--video", &video, "--unique-key", "k"]), "not queued: an unfinished job has the key k\n");
        t.ok(&["jobs", "enqueue", "publish", "--video", &video, "--run-at", "2099-01-01T00:00:00Z", "--max-attempts", "1"]);

        let claimed = |args: &[&str]| -> Vec<serde_json::Value> {
            let all: Vec<&str> = ["jobs", "claim", "--worker", "w1", "--format", "json"].iter().chain(args).copied().collect();
            serde_json::from_str(&t.ok(&all)).unwrap()
        };
        let jobs = claimed(&["--limit", "10", "--lease", "10m", "--type", "download", "--type", "publish"]);
        assert_eq!(jobs.len(), 1);
        let (id, token) = (jobs[0]["id"].as_str().unwrap(), jobs[0]["lease_token"].as_str().unwrap());
        assert_eq!(jobs[0]["priority"], 5);
        assert!(claimed(&[]).is_empty());
        assert!(t.ok(&["jobs", "heartbeat", id, "--token", token, "--lease", "1h"]).starts_with("lease extended until 20"));
        assert!(t.ok(&["jobs", "fail", id, "--token", token, "--error", "403", "--details", "{\"a\":1}"]).starts_with("attempt 1 of 3 failed; the next one is due at 20"));
        let stale = t.run(&["jobs", "complete", id, "--token", token]);
        assert_eq!(stale.code, 1);
        assert!(stale.err.starts_with(&format!("error: lease lost for job {id}: ")), "{}", stale.err);

        t.ok(&["jobs", "cancel", id]);
        t.ok(&["jobs", "retry", id]);
        let jobs = claimed(&[]);
        let token = jobs[0]["lease_token"].as_str().unwrap();
        assert_eq!(t.ok(&["jobs", "release", id, "--token", token]), "released\n");
        let jobs = claimed(&["--lease", "1s"]);
        assert_eq!(jobs[0]["attempts"], 1);
        std::thread::sleep(Duration::from_millis(1_100));
        assert_eq!(t.ok(&["jobs", "rescue"]), "1 enqueued again, 0 failed\n");
        let jobs = claimed(&[]);
        let token = jobs[0]["lease_token"].as_str().unwrap();
        let done: serde_json::Value = serde_json::from_str(&t.ok(&["jobs", "complete", id, "--token", token, "--format", "json"])).unwrap();
        assert_eq!((&done["status"], &done["lease_token"]), (&"completed".into(), &serde_json::Value::Null));

        let stats: serde_json::Value = serde_json::from_str(&t.ok(&["jobs", "stats", "--format", "json"])).unwrap();
        assert_eq!((&stats[0]["job_type"], &stats[0]["completed"], &stats[1]["queued"]), (&"download".into(), &1.into(), &1.into()));
        let listed: serde_json::Value = serde_json::from_str(&t.ok(&["jobs", "list", "--status", "queued", "--format", "json"])).unwrap();
        assert_eq!(listed.as_array().unwrap().len(), 1);
        assert_eq!(t.ok(&["jobs", "prune", "--older-than", "30d"]), "deleted 0 jobs\n");
        assert_eq!(t.ok(&["jobs", "prune", "--older-than", "0s"]), "deleted 1 job\n");
    }

    fn a_job_carries_data_is_shown_snoozed_and_failed_for_good(t) {
        let db = t.db();
        let video = db.write(|c| make::video(c).insert(c)).unwrap().id.to_string();
        std::fs::write(t.path("payload.json"), r#"{"quality":"1080p"}"#).unwrap();
        let from_file = format!("@{}", t.path("payload.json").display());
        for payload in [r#"{"quality":"1080p"}"#, &from_file] {
            t.ok(&["jobs", "enqueue", "download", "--video", &video, "--payload", payload]);
            let claimed = t.ok(&["jobs", "claim", "--worker", "w1", "--json"]);
            let claimed: serde_json::Value = serde_json::from_str(&claimed).unwrap();
            let (id, token) = (claimed[0]["id"].as_str().unwrap(), claimed[0]["lease_token"].as_str().unwrap());
            assert_eq!(claimed[0]["payload"], serde_json::json!({ "quality": "1080p" }));
            assert!(t.ok(&["jobs", "snooze", id, "--token", token, "--for", "1h"]).starts_with("due again at 20"));
            let shown: serde_json::Value = serde_json::from_str(&t.ok(&["jobs", "show", id, "--json"])).unwrap();
            assert_eq!((&shown["status"], &shown["attempts"], &shown["payload"]["quality"]), (&"queued".into(), &0.into(), &"1080p".into()));
            db.write(|c| Ok(viraldb::diesel::update(jobs::table).set(jobs::run_at.eq(Timestamp::now())).execute(c)?)).unwrap();
            let claimed: serde_json::Value = serde_json::from_str(&t.ok(&["jobs", "claim", "--worker", "w1", "--json"])).unwrap();
            let token = claimed[0]["lease_token"].as_str().unwrap();
            assert_eq!(t.ok(&["jobs", "fail", id, "--token", token, "--error", "deleted", "--no-retry"]), "failed after 1 attempt\n");
        }
        let refused = t.run(&["jobs", "enqueue", "download", "--video", &video, "--payload", "{"]);
        assert_eq!((refused.code, refused.err.contains("is not valid JSON")), (1, true), "{}", refused.err);
    }

    fn channel_can_be_named_by_its_id_or_its_youtube_id(t) {
        let db = t.db();
        let video = db.write(|c| make::video(c).insert(c)).unwrap();
        let other = t.ok(&["channels", "add", "Other", "UCother", "--format", "json"]);
        let other: serde_json::Value = serde_json::from_str(&other).unwrap();
        let of = |named: &str| {
            let jobs = t.ok(&["jobs", "list", "--channel", named, "--format", "json"]);
            serde_json::from_str::<serde_json::Value>(&jobs).unwrap().as_array().unwrap().len()
        };
        t.ok(&["jobs", "enqueue", "download", "--video", &video.id.to_string(), "--channel", "UCother"]);
        assert_eq!((of("UCother"), of(other["id"].as_str().unwrap()), of(&video.channel_id.to_string())), (1, 1, 0));
        let ran = t.run(&["jobs", "enqueue", "download", "--video", &video.id.to_string(), "--channel", "UCnone"]);
        assert!(ran.code == 1 && ran.err.contains("UCnone"), "{}", ran.err);
        for args in [&["jobs", "enqueue", "download", "--video", "M9Pmf9AB4Mo"][..], &["music", "show", "x"], &["runs", "show", "x"]] {
            let ran = t.run(args);
            assert!(ran.code == 2 && ran.err.contains("is not a valid id; expected a "), "{}", ran.err);
        }
    }

    fn errors_fit_on_one_line(t) {
        t.db();
        let nothing = VideoProcessingJobId::default().to_string();
        for (args, expected) in [
            (&["jobs", "claim", "--worker", ""][..], "worker is empty"),
            (&["jobs", "enqueue", "download", "--video", &nothing], &format!("row {nothing} not found in videos")),
            (&["jobs", "retry", &nothing], &format!("row {nothing} not found in video_processing_jobs")),
        ] {
            let ran = t.run(args);
            assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{args:?}");
            assert!(ran.err.starts_with("error: ") && ran.err.contains(expected) && ran.err.lines().count() == 1, "{args:?}: {}", ran.err);
        }
        assert_eq!(t.run(&["jobs", "claim", "--worker", "w", "--lease", "soon"]).code, 2);
    }

    fn unknown_words_are_rejected_with_the_known_ones(t) {
        t.db();
        for (args, expected) in [
            (&["jobs", "claim", "--worker", "w", "--type", "upload"][..], "invalid value 'upload' for '--type <TYPE>'\n  [possible values: scrape, download, transform, publish, music_replace]\n"),
            (&["jobs", "list", "--status", "done"], "invalid value 'done' for '--status <STATUS>'\n  [possible values: queued, processing, completed, failed, retrying]\n"),
        ] {
            let ran = t.run(args);
            assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{args:?}");
            assert!(ran.err.starts_with(&format!("error: {expected}")), "{args:?}: {}", ran.err);
        }
    }
}
