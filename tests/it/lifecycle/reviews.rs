//! Tests of reviews and the effects of their answers.

use std::time::Duration;

use super::*;
use crate::support::both;

/// Creates a run under review with three clips, a pending short of the second clip and an uploaded short of
/// the third. Returns the run, its review and its clips.
fn under_review(db: &Database) -> (PipelineRunId, ReviewLog, Vec<Clip>) {
    discover(db, 3);
    let run = run_in(db, RunStatus::Running);
    db.write(|c| {
        let clips = Clip::choose_best(c, run, 3)?;
        for (clip, status) in [(1, ShortStatus::Pending), (2, ShortStatus::Uploaded)] {
            NewShort {
                pipeline_run_id: run,
                clip_id: Some(clips[clip].id),
                status: Some(status),
                ..make::short(c)
            }
            .insert(c)?;
        }
        Ok((run, ReviewLog::send(c, run)?, clips))
    })
    .unwrap()
}

fn answer(
    db: &Database,
    review: &ReviewLog,
    action: ReviewAction,
    detail: Option<&str>,
) -> viraldb::Result<ReviewLog> {
    db.write(|c| ReviewLog::answer(c, review.id, action, detail))
}

both! {
    fn a_review_is_sent_once(t) {
        let db = t.db();
        let (run, review, _) = under_review(&db);
        assert_eq!((status(&db, run), review.action, review.responded_at), (RunStatus::Review, None, None));
        assert_eq!(db.write(|c| ReviewLog::send(c, run)).unwrap(), review, "an open review is not sent again");
        assert_eq!(db.read(|c| ReviewLog::open(c, 9)).unwrap(), [review]);
        let pending = run_in(&db, RunStatus::Pending);
        assert_invalid(db.write(|c| ReviewLog::send(c, pending)), &["pending", "review"]);
        assert!(matches!(db.write(|c| ReviewLog::send(c, PipelineRunId(999))), Err(Error::NotFound { .. })));
    }

    fn an_answer_moves_the_run(t) {
        let db = t.db();
        for (action, detail, moved) in [
            (ReviewAction::Approve, None, RunStatus::Approved),
            (ReviewAction::Reject, Some("too loud"), RunStatus::Failed),
            (ReviewAction::RedoScript, Some("shorter"), RunStatus::Running),
        ] {
            let (run, review, _) = under_review(&db);
            let answered = answer(&db, &review, action, detail).unwrap();
            assert_eq!((answered.action, answered.response_detail.as_deref(), answered.auto_held), (Some(action), detail, false));
            assert!(answered.responded_at >= Some(answered.sent_at));
            assert_eq!(status(&db, run), moved);
            assert_eq!(db.read(|c| ReviewLog::open(c, 9)).unwrap(), []);
            assert_invalid(answer(&db, &review, ReviewAction::Approve, None), &["already answered", action.as_str()]);
            assert_eq!(status(&db, run), moved);
            if action == ReviewAction::Reject {
                let run = db.read(|c| PipelineRun::find(c, run)).unwrap();
                assert_eq!(run.error_message.as_deref(), Some("rejected in review: too loud"));
            }
        }
        assert!(matches!(db.write(|c| ReviewLog::answer(c, ReviewLogId(999), ReviewAction::Hold, None)), Err(Error::NotFound { .. })));
    }

    fn held_review_waits_and_can_be_answered_later(t) {
        let db = t.db();
        let (run, review, _) = under_review(&db);
        assert_eq!(db.write(|c| ReviewLog::hold_overdue(c, Duration::from_secs(3600))).unwrap(), [], "not overdue yet");
        let held = db.write(|c| ReviewLog::hold_overdue(c, Duration::ZERO)).unwrap();
        assert_eq!((held.len(), held[0].id, held[0].action, held[0].auto_held, held[0].responded_at), (1, review.id, Some(ReviewAction::Hold), true, None));
        assert_eq!(db.write(|c| ReviewLog::hold_overdue(c, Duration::ZERO)).unwrap(), [], "a review is held only once");
        assert_eq!((status(&db, run), db.read(|c| ReviewLog::open(c, 9)).unwrap()), (RunStatus::Review, vec![]));
        let by_hand = answer(&db, &review, ReviewAction::Hold, Some("tomorrow")).unwrap();
        assert!(by_hand.responded_at.is_some() && by_hand.auto_held);
        answer(&db, &review, ReviewAction::Approve, None).unwrap();
        assert_eq!(status(&db, run), RunStatus::Approved);
    }

    fn open_lists_only_reviews_that_can_be_answered(t) {
        let db = t.db();
        let open = |limit| db.read(|c| ReviewLog::open(c, limit)).unwrap();
        let [(_, late, _), (_, early, _), (failed, gone, _)] = [(); 3].map(|()| under_review(&db));
        let sent = ReviewLogChanges { sent_at: Some(at(0)), ..Default::default() };
        let early = db.write(|c| sent.update(c, early.id)).unwrap();
        assert_eq!((open(9), open(1)), (vec![early.clone(), late.clone(), gone.clone()], vec![early.clone()]));
        // Fail the run by hand, so that its review can no longer be answered.
        db.write(|c| PipelineRun::move_to(c, failed, RunStatus::Failed)).unwrap();
        assert_eq!(open(9), [early.clone(), late.clone()]);
        db.write(|c| {
            PipelineRun::retry(c, failed)?;
            PipelineRun::move_to(c, failed, RunStatus::Running)
        }).unwrap();
        assert_eq!(open(9), [early.clone(), late.clone()]);
        let again = db.write(|c| ReviewLog::send(c, failed)).unwrap();
        assert_eq!(open(9), [early.clone(), late.clone(), again.clone()], "only the newest review of a run is open");
        for review in [early, late, again] {
            answer(&db, &review, ReviewAction::Approve, None).unwrap();
        }
        assert_invalid(answer(&db, &gone, ReviewAction::Approve, None), &["not the newest review"]);
        assert_eq!(open(9), []);
    }

    fn open_reviews_are_found_through_indexes(t) {
        let db = t.db();
        db.write(|c| {
            let runs = vec![NewPipelineRun { status: Some(RunStatus::Uploaded), ..make::pipeline_run() }; 2_000];
            NewPipelineRun::insert_many(c, &runs)?;
            let reviews: Vec<_> = (1..=2_000).map(|run| NewReviewLog { pipeline_run_id: PipelineRunId(run), ..Default::default() }).collect();
            NewReviewLog::insert_many(c, &reviews)
        }).unwrap();
        let (_, review, _) = under_review(&db);
        assert_eq!(db.read(|c| ReviewLog::open(c, 50)).unwrap(), [review]);
        // PostgreSQL analyzes tables by itself. SQLite has to do without statistics.
        if t.is_postgres {
            db.write(|c| make::execute(c, "ANALYZE")).unwrap();
        }
        let mut session = db.session().unwrap();
        let asked = crate::support::statements(&mut session, |c| ReviewLog::open(c, 50));
        // PostgreSQL makes a custom plan for a value as rare as this one, so put it into the statement.
        let asked = asked[0].replace("$1", "'review'").replace("$2", "$1");
        let plan = crate::support::plan(t, &mut session, &asked).join("\n");
        assert!(["idx_pipeline_runs_status", "idx_review_log_pipeline"].iter().all(|index| plan.contains(index)), "{plan}");
        assert!(!["Seq Scan", "SCAN review_log", "SCAN pipeline_runs"].iter().any(|slow| plan.contains(slow)), "{plan}");
    }

    fn only_the_newest_review_of_a_run_can_be_answered(t) {
        let db = t.db();
        let (run, old, _) = under_review(&db);
        answer(&db, &old, ReviewAction::Hold, None).unwrap();
        let again = db.write(|c| ReviewLog::send(c, run)).unwrap();
        assert_ne!(again.id, old.id, "a held review is followed by a new one");
        assert_invalid(answer(&db, &old, ReviewAction::Approve, None), &["not the newest review", &format!("review {}", again.id)]);
        answer(&db, &again, ReviewAction::RedoScript, None).unwrap();
        let reworked = db.write(|c| ReviewLog::send(c, run)).unwrap();
        assert_ne!(reworked.id, again.id);
        assert_invalid(answer(&db, &old, ReviewAction::Approve, None), &["not the newest review"]);
        assert_eq!(status(&db, run), RunStatus::Review, "the reworked run has not been reviewed yet");

        // A run that is retried gets a new review, even if an old one was open.
        db.write(|c| {
            PipelineRun::fail(c, run, "disk full")?;
            PipelineRun::retry(c, run)?;
            PipelineRun::move_to(c, run, RunStatus::Running)
        }).unwrap();
        assert_invalid(answer(&db, &reworked, ReviewAction::Reject, None), &["running", "failed"]);
        assert_eq!(db.read(|c| ReviewLog::find(c, reworked.id)).unwrap(), reworked, "the review is unchanged");
        let fresh = db.write(|c| ReviewLog::send(c, run)).unwrap();
        assert_ne!(fresh.id, reworked.id);
        answer(&db, &fresh, ReviewAction::Skip, Some(" 1 ,\n2\n")).unwrap();
        assert_eq!(db.read(|c| Clip::of_run(c, run)).unwrap().len(), 1);
    }

    fn skipping_clips_removes_them_and_fails_their_pending_shorts(t) {
        let db = t.db();
        let (run, review, clips) = under_review(&db);
        for (detail, expected) in [(None, "not a list of"), (Some("two"), "not a list of"), (Some("0"), "not a list of"), (Some("2,7"), "clip rank 7 does not exist")] {
            assert_invalid(answer(&db, &review, ReviewAction::Skip, detail), &[expected]);
        }
        assert_eq!((status(&db, run), db.read(|c| Clip::of_run(c, run)).unwrap().len()), (RunStatus::Review, 3));
        let answered = answer(&db, &review, ReviewAction::Skip, Some("skip 3, 2")).unwrap();
        assert_eq!(answered.response_detail.as_deref(), Some("skip 2,3"));
        assert_eq!((status(&db, run), db.read(|c| Clip::of_run(c, run)).unwrap()), (RunStatus::Running, clips[..1].to_vec()));
        let processed: Vec<_> = clips.iter().map(|clip| db.read(|c| DiscoveredVideo::find(c, clip.discovered_video_id)).unwrap().processed).collect();
        assert_eq!(processed, [Processed::Used, Processed::Skipped, Processed::Skipped]);
        let shorts: Vec<_> = db.read(|c| Short::of_run(c, run)).unwrap().iter().map(|short| (short.status, short.clip_id)).collect();
        assert_eq!(shorts, [(ShortStatus::Failed, None), (ShortStatus::Uploaded, None)]);
        let started = db.read(|c| PipelineRun::find(c, run)).unwrap().started_at;
        assert!(started.is_some_and(|at| at < answered.responded_at.unwrap()), "the run started before the answer");
    }

    fn concurrent_answers_let_exactly_one_win(t) {
        let (one, other) = (t.db(), t.db());
        for _ in 0..5 {
            let (run, review, _) = under_review(&one);
            let results = std::thread::scope(|s| {
                let approve = s.spawn(|| answer(&one, &review, ReviewAction::Approve, None).is_ok());
                let reject = s.spawn(|| answer(&other, &review, ReviewAction::Reject, None).is_ok());
                (approve.join().unwrap(), reject.join().unwrap())
            });
            match results {
                (true, false) => assert_eq!(status(&one, run), RunStatus::Approved),
                (false, true) => assert_eq!(status(&one, run), RunStatus::Failed),
                both => panic!("{both:?}"),
            }
        }
    }

    fn reviews_can_be_answered_on_the_command_line(t) {
        let db = t.db();
        let (run, review, _) = under_review(&db);
        assert_eq!(t.ok(&["reviews", "list", "--open", "--format", "jsonl"]).lines().count(), 1);
        assert_eq!(t.ok(&["reviews", "hold", "--after", "1h", "--format", "json"]).trim(), "[]");
        let id = review.id.to_string();
        // A held review may be answered later.
        let held: serde_json::Value = serde_json::from_str(&t.ok(&["reviews", "answer", &id, "hold", "--json"])).unwrap();
        assert_eq!((&held["action"], &held["run_status"]), (&"hold".into(), &"review".into()));
        let said = t.ok(&["reviews", "answer", &id, "skip", "2,3"]);
        assert_eq!(said, format!("review {id} of run {run} is answered: skip; the run is running\n"));
        let listed: serde_json::Value = serde_json::from_str(&t.ok(&["reviews", "list", "--run", &run.to_string(), "--format", "json"])).unwrap();
        assert_eq!(listed[0]["response_detail"], "skip 2,3");
        let ran = t.run(&["reviews", "answer", &id, "approve"]);
        assert_eq!((ran.code, ran.err), (1, format!("error: review {id} was already answered: skip\n")));
        let ran = t.run(&["reviews", "answer", &id, "maybe"]);
        assert_eq!((ran.code, &*ran.out), (2, ""), "{}", ran.err);
        assert!(ran.err.starts_with("error: invalid value 'maybe' for '<ACTION>'\n"), "{}", ran.err);
    }
}
