//! Interrupted transfers.

use super::*;
use crate::support::both;

/// Starts a transfer that fails at `jobs`. Returns the source and the target.
fn start_and_interrupt(t: &Scratch, there: &Scratch) -> (Database, Database) {
    let (db, target) = (t.db(), there.db());
    insert_many(t, &db, 40);
    execute(&db, "INSERT INTO jobs (status) VALUES ('pending'), ('pending')");
    block(&target);
    let error = run(t, there, Existing::Refuse).unwrap_err().to_string();
    assert!(error.contains("jobs") && error.contains("--resume"), "{error}");
    unblock(&target);
    (db, target)
}

both! {
    fn interrupted_transfer_continues_where_it_stopped(t) {
        let there = other_engine(t);
        let (db, target) = start_and_interrupt(t, &there);
        let error = run(t, &there, Existing::Refuse).unwrap_err().to_string();
        assert!(error.contains("contains an interrupted transfer: continue it with --resume or start over with --replace"), "{error}");
        // Rows that were added in between are copied as well.
        execute(&db, "INSERT INTO analytics (youtube_video_id) VALUES ('new')");
        let mut begun = Vec::new();
        let options = Options { existing: Existing::Resume, batch: 7 };
        let report = transfer(&t.url, &there.url, &options, &mut |at| begun.push((at.table, at.done, at.of))).unwrap();
        assert_eq!((report.resumed, report.rows), (80, 83));
        assert!(begun.contains(&("analytics", 41, 41)), "{begun:?}");
        assert_eq!(tables(&there, &mut target.session().unwrap()).len(), 31);
        let whole = run(t, &other_engine(t), Existing::Refuse).unwrap();
        assert_eq!(digests(&whole), digests(&report));
        // There is nothing left to resume.
        let again = run(t, &there, Existing::Resume).unwrap();
        assert_eq!((again.was_complete, report.was_complete, digests(&again)), (true, false, digests(&whole)));
    }

    fn resume_of_a_complete_copy_changes_nothing(t) {
        let (db, there) = (t.db(), other_engine(t));
        seed(&db);
        insert_many(t, &db, 40);
        let target = there.db();
        let resume = || t.run(&["transfer", "--from", &t.url, "--to", &there.url, "--resume"]);
        // A transfer that is killed after its last commit printed no report, so `--resume` must check the copy.
        run(t, &there, Existing::Refuse).unwrap();
        let before = tables(&there, &mut target.session().unwrap());
        let ran = resume();
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(ran.out.contains("is a complete copy of") && ran.out.contains("nothing was written"), "{}", ran.out);
        let plan = t.ok(&["transfer", "--from", &t.url, "--to", &there.url, "--resume", "--dry-run", "--format", "json"]);
        let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
        let analytics = plan["tables"].as_array().unwrap().iter().find(|row| row["table"] == "analytics").unwrap();
        assert_eq!((&analytics["rows"], &analytics["copied"]), (&0.into(), &41.into()));
        let refused = run(t, &there, Existing::Refuse).unwrap_err().to_string();
        assert!(refused.contains("--resume checks whether it is a complete copy"), "{refused}");
        assert_eq!(tables(&there, &mut target.session().unwrap()), before);
        // Different values and different numbers of rows are found.
        for (change, said) in [
            ("UPDATE analytics SET view_count = 8 WHERE id = 5", "analytics (41 rows, 41 in the source)"),
            ("INSERT INTO jobs (status) VALUES ('pending')", "jobs (2 rows, 1 in the source)"),
        ] {
            execute(&target, change);
            let ran = resume();
            assert_eq!(ran.code, 1, "{change}");
            assert!(ran.err.contains("it is not a complete copy") && ran.err.contains(said), "{change}: {}", ran.err);
        }
        // For an empty target, `--resume` starts a new transfer.
        assert_eq!(run(t, &other_engine(t), Existing::Resume).unwrap().resumed, 0);
    }

    fn replace_starts_an_interrupted_transfer_over(t) {
        let there = other_engine(t);
        let (db, _) = start_and_interrupt(t, &there);
        execute(&db, "DELETE FROM analytics");
        let report = run(t, &there, Existing::Replace).unwrap();
        assert_eq!((report.resumed, report.rows), (0, 42));
    }

    fn resume_rejects_a_changed_source(t) {
        for change in [
            "UPDATE discovered_videos SET view_count = 1 WHERE id = 3",
            "DELETE FROM analytics WHERE id = 40",
            "DELETE FROM analytics",
            "INSERT INTO discovered_videos (id, video_id, title, channel_name, channel_id, url, niche) VALUES (-1, 'x', 'x', 'x', 'x', 'x', 'x')",
        ] {
            let (from, there) = (t.another(), other_engine(t));
            let (db, _) = start_and_interrupt(&from, &there);
            execute(&db, change);
            let error = run(&from, &there, Existing::Resume).unwrap_err().to_string();
            assert!(error.contains("of the source has changed") && error.contains("--replace"), "{change}: {error}");
        }
        // Another database counts as a changed source.
        let (from, there, other) = (t.another(), other_engine(t), t.another());
        start_and_interrupt(&from, &there);
        insert_many(&other, &other.db(), 40);
        let error = run(&other, &there, Existing::Resume).unwrap_err().to_string();
        assert!(error.contains("has changed"), "{error}");
    }

    fn resume_finds_changes_by_others_in_the_target(t) {
        let there = other_engine(t);
        let (_, target) = start_and_interrupt(t, &there);
        execute(&target, "UPDATE analytics SET view_count = 0 WHERE id = 5");
        let error = run(t, &there, Existing::Resume).unwrap_err().to_string();
        assert!(error.contains("differs from the source in analytics (40 rows, 40 in the source)"), "{error}");
        // The target still counts as interrupted.
        assert!(run(t, &there, Existing::Refuse).unwrap_err().to_string().contains("interrupted"));
    }

    fn concurrent_resumes_let_exactly_one_win(t) {
        let there = other_engine(t);
        let (db, _) = start_and_interrupt(t, &there);
        many_more(&db);
        let mut other = None;
        let options = Options { existing: Existing::Resume, batch: 7 };
        let first = transfer(&t.url, &there.url, &options, &mut |at| {
            if at.table == "analytics" && at.done == 0 && other.is_none() {
                other = Some(run(t, &there, Existing::Resume));
            }
        });
        let other = other.unwrap();
        assert_eq!(usize::from(first.is_ok()) + usize::from(other.is_ok()), 1, "{first:?} {other:?}");
        let error = first.err().or(other.err()).unwrap().to_string();
        assert!(error.contains("another transfer is writing to it"), "{error}");
        assert_eq!(run(t, &there, Existing::Replace).unwrap().rows, 142);
    }
}

fn many_more(db: &Database) {
    for n in 0..60 {
        execute(db, &format!("INSERT INTO analytics (youtube_video_id) VALUES ('more{n}')"));
    }
}
