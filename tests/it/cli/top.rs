//! `viraldb jobs top`

use std::time::Duration;

use viraldb::queue::{self, Claim};
use viraldb::republishing::{JobType, NewVideoProcessingJob};

use serde_json::json as value;

use super::*;
use crate::support::{plan, statements};
use viraldb::diesel::RunQueryDsl;

both! {
    fn top_shows_what_each_worker_runs(t) {
        let db = t.db();
        db.write(|c| {
            let video = make::video(c).insert(c)?;
            let job = |job_type| NewVideoProcessingJob::new(video.id, video.channel_id, job_type);
            let later = NewVideoProcessingJob { run_at: Some("2099-01-01T00:00:00Z".parse()?), ..job(JobType::Publish) };
            queue::enqueue_many(c, &[job(JobType::Download), job(JobType::Download), job(JobType::Scrape), job(JobType::Scrape), job(JobType::Publish), later])?;
            for done in queue::claim(c, &Claim::new("w").types([JobType::Scrape]).at_most(2))? {
                queue::complete(c, &done)?;
            }
            queue::claim(c, &Claim::new("host-2").types([JobType::Download]))?;
            queue::claim(c, &Claim::new("host-1").types([JobType::Download]))?;
            Ok(viraldb::diesel::sql_query("UPDATE video_processing_jobs SET progress = 0.5, progress_note = 'half done' WHERE leased_by = 'host-1'").execute(c)?)
        })
        .unwrap();
        let out = t.ok(&["jobs", "top"]);
        for said in ["2 busy workers, 2 jobs running, 1 due; last minute: 2 completed, 0 failed", " host-1 ", " host-2 ", " 50% ", "half done", " 1/3 "] {
            assert!(out.contains(said), "{said}: {out}");
        }
        let top = json(&t.ok(&["jobs", "top", "--json"]));
        let [first, second] = [&top["running"][0], &top["running"][1]];
        assert_eq!((&first["leased_by"], &first["progress"], &first["progress_note"]), (&"host-1".into(), &0.5.into(), &"half done".into()));
        assert_eq!((&second["leased_by"], &second["attempts"], &second["progress"]), (&"host-2".into(), &1.into(), &Value::Null));
        let counts: Vec<Value> = top["types"].as_array().unwrap().clone();
        let of = |n: usize| -> Value { ["job_type", "due", "scheduled", "running", "completed", "failed"].map(|name| counts[n][name].clone()).to_vec().into() };
        assert_eq!(counts.len(), 3);
        assert_eq!(of(0), value!(["scrape", 0, 0, 0, 2, 0]));
        assert_eq!(of(1), value!(["download", 0, 0, 2, 0, 0]));
        assert_eq!(of(2), value!(["publish", 1, 1, 0, 0, 0]));
        // With an interval there is one object for each refresh.
        let many = t.ok(&["jobs", "top", "--json", "--count", "3", "--interval", "50ms"]);
        assert_eq!(many.lines().filter(|line| json(line)["running"].as_array().unwrap().len() == 2).count(), 3);
        assert_eq!(t.ok(&["jobs", "top", "--columns", "leased_by", "--format", "csv"]), "leased_by\nhost-1\nhost-2\n");
        t.ok(&["config", "set", "queue_paused", "true", "--override"]);
        assert!(t.ok(&["jobs", "top"]).contains("THE QUEUE IS PAUSED"));
    }

    fn top_reads_no_old_finished_jobs(t) {
        let db = t.db();
        db.write(|c| {
            let ran = statements(c, |c| queue::activity(c, Duration::from_secs(60)));
            assert_eq!(ran.len(), 5, "{ran:?}");
            for statement in ran.iter().filter(|statement| statement.contains("FROM video_processing_jobs") || statement.contains("FROM \"video_processing_jobs\"") || statement.contains("FROM `video_processing_jobs`")) {
                if !t.is_postgres {
                    let plan = plan(t, c, statement).join("\n");
                    assert!(plan.contains("USING") && plan.contains("INDEX idx_jobs_"), "{statement}: {plan}");
                }
            }
            Ok(())
        })
        .unwrap();
    }
}
