//! Tests of pipeline runs and their clips.

use std::collections::HashSet;
use std::time::Duration;

use viraldb::diesel::connection::{Connection, InstrumentationEvent};

use super::*;
use crate::support::both;

both! {
    fn concurrent_schedulers_get_the_same_run(t) {
        let (one, other) = (t.db(), t.db());
        for cycle in 0..10 {
            let (start, end) = (at(cycle * 3600), at(cycle * 3600 + 3600));
            let ids: HashSet<PipelineRunId> = std::thread::scope(|s| {
                let threads: Vec<_> = [&one, &other, &one, &other]
                    .map(|db| s.spawn(move || db.write(|c| PipelineRun::start_cycle(c, "gaming", start, end)).unwrap().id))
                    .into_iter()
                    .collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(ids.len(), 1);
        }
        let music = one.write(|c| PipelineRun::start_cycle(c, "music", at(0), at(3600))).unwrap();
        assert_eq!((music.status, music.started_at, music.retry_count), (RunStatus::Pending, None, 0));
        let all = one.read(|c| PipelineRun::list(c, &Default::default(), &viraldb::Page::first(99))).unwrap();
        assert_eq!(all.len(), 11);
        assert_invalid(one.write(|c| PipelineRun::start_cycle(c, " ", at(0), at(1))), &["niche"]);
        assert_invalid(one.write(|c| PipelineRun::start_cycle(c, "gaming", at(1), at(0))), &["before cycle_start"]);
    }

    fn start_cycle_returns_the_run_that_another_program_created(t) {
        let db = t.db();
        db.write(|c| {
            use viraldb::diesel::connection::SimpleConnection;
            Ok(c.batch_execute("INSERT INTO pipeline_runs (niche, cycle_start, cycle_end) VALUES \
                ('gaming', '2026-11-21 05:59:59.5', '2026-11-21 12:00:00'), ('gaming', '2026-11-21 06:00:00', '2026-11-21 12:00:00')")?)
        }).unwrap();
        let start: Timestamp = "2026-11-21T06:00:00Z".parse().unwrap();
        let run = db.write(|c| PipelineRun::start_cycle(c, "gaming", start, start + Duration::from_secs(21_600))).unwrap();
        assert_eq!((run.id, run.cycle_start), (PipelineRunId(2), start));
    }

    fn runs_follow_the_allowed_status_transitions(t) {
        let db = t.db();
        for from in RunStatus::ALL {
            for to in RunStatus::ALL {
                let run = run_in(&db, *from);
                let before = db.read(|c| PipelineRun::find(c, run)).unwrap();
                let result = db.write(|c| PipelineRun::move_to(c, run, *to));
                let legal = matches!(
                    (from.as_str(), to.as_str()),
                    ("pending", "running") | ("running", "review") | ("review", "approved") | ("approved", "uploaded") | ("failed", "pending")
                ) || (to.as_str() == "failed" && from.as_str() != "failed");
                match result {
                    Ok(after) => {
                        assert!(legal, "{from} to {to}");
                        assert_eq!((after.status, after.retry_count), (*to, i32::from(*from == RunStatus::Failed)));
                    }
                    error => {
                        assert!(!legal, "{from} to {to}");
                        assert_invalid(error, &[from.as_str(), to.as_str()]);
                        assert_eq!(db.read(|c| PipelineRun::find(c, run)).unwrap(), before);
                    }
                }
            }
        }
        let nothing = db.write(|c| PipelineRun::move_to(c, PipelineRunId(9_999), RunStatus::Running));
        assert!(matches!(nothing, Err(Error::NotFound { .. })));
    }

    fn moves_record_times_and_the_reason_of_a_failure(t) {
        let db = t.db();
        let run = run_in(&db, RunStatus::Running);
        let running = db.read(|c| PipelineRun::find(c, run)).unwrap();
        assert!(running.started_at.is_some() && running.completed_at.is_none());
        let review = db.write(|c| PipelineRun::move_to(c, run, RunStatus::Review)).unwrap();
        assert_eq!(review.started_at, running.started_at);
        let failed = db.write(|c| PipelineRun::fail(c, run, "no upload quota")).unwrap();
        assert!(failed.completed_at >= running.started_at);
        assert_eq!(failed.error_message.as_deref(), Some("no upload quota"));
        assert_invalid(db.write(|c| PipelineRun::fail(c, run, "again")), &["failed"]);
        let again = db.write(|c| PipelineRun::retry(c, run)).unwrap();
        assert_eq!((again.status, again.retry_count, again.started_at, again.completed_at, again.error_message), (RunStatus::Pending, 1, None, None, None));
        db.write(|c| PipelineRun::fail(c, run, "x").and_then(|_| PipelineRun::retry(c, run))).unwrap();
        assert_eq!(db.read(|c| PipelineRun::find(c, run)).unwrap().retry_count, 2);
        assert_invalid(db.write(|c| PipelineRun::fail(c, run, "")), &["error is empty"]);
        let uploaded = run_in(&db, RunStatus::Uploaded);
        assert!(db.read(|c| PipelineRun::find(c, uploaded)).unwrap().completed_at.is_some());
    }

    fn concurrent_moves_let_exactly_one_win(t) {
        let (one, other) = (t.db(), t.db());
        let run = run_in(&one, RunStatus::Pending);
        let won = std::thread::scope(|s| {
            let threads: Vec<_> = [&one, &other, &one, &other]
                .map(|db| s.spawn(move || db.write(|c| PipelineRun::move_to(c, run, RunStatus::Running)).is_ok()))
                .into_iter()
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).filter(|won| *won).count()
        });
        assert_eq!(won, 1);
    }

    fn resume_returns_running_runs_oldest_first(t) {
        let db = t.db();
        let runs = [RunStatus::Running, RunStatus::Review, RunStatus::Running, RunStatus::Failed].map(|status| run_in(&db, status));
        let resumed: Vec<_> = db.read(|c| PipelineRun::resume(c, 9)).unwrap().iter().map(|run| run.id).collect();
        assert_eq!(resumed, [runs[0], runs[2]]);
    }

    fn view_contains_everything_of_its_run_and_nothing_else(t) {
        let db = t.db();
        let best = discover(&db, 3);
        let (run, other) = (run_in(&db, RunStatus::Running), run_in(&db, RunStatus::Running));
        db.write(|c| {
            let clips = Clip::choose(c, run, &best[..2])?;
            Clip::choose(c, other, &best[2..])?;
            NewScript { pipeline_run_id: run, ..make::script(c) }.insert(c)?;
            NewScript { pipeline_run_id: run, opening_text: Some("second".into()), ..make::script(c) }.insert(c)?;
            NewTtsAudio { pipeline_run_id: run, ..make::tts_audio(c) }.insert(c)?;
            NewShort { pipeline_run_id: run, clip_id: Some(clips[0].id), ..make::short(c) }.insert(c)?;
            NewErrorLog { pipeline_run_id: Some(run), ..make::error() }.insert(c)?;
            make::error().insert(c)?;
            ReviewLog::send(c, run)
        })
        .unwrap();
        let view = db.read(|c| PipelineRun::view(c, run)).unwrap();
        let asked = db.read(|c| Ok(crate::support::statements(c, |c| PipelineRun::view(c, run)))).unwrap();
        assert_eq!(asked.iter().filter(|sql| sql.starts_with("SELECT")).count(), 7, "{asked:?}");
        assert_eq!(view.run.status, RunStatus::Review);
        assert_eq!(view.clips.iter().map(|clip| clip.rank_position).collect::<Vec<_>>(), [1, 2]);
        assert_eq!((view.scripts.len(), view.scripts[1].opening_text.as_deref()), (2, Some("second")));
        assert_eq!((view.tts_audio.len(), view.shorts.len(), view.reviews.len(), view.errors.len()), (1, 1, 1, 1));
        assert!(matches!(db.read(|c| PipelineRun::view(c, PipelineRunId(9_999))), Err(Error::NotFound { .. })));
    }

    fn view_is_a_consistent_snapshot(t) {
        let db = t.db();
        let view_while_it_is_sent = |c: &mut viraldb::DbConnection| {
            let run = run_in(&db, RunStatus::Running);
            let (other, is_sent) = (db.clone(), std::sync::Once::new());
            c.set_instrumentation(move |event: InstrumentationEvent<'_>| {
                // Send the review after the first statement, which reads the run.
                if matches!(&event, InstrumentationEvent::StartQuery { query, .. } if query.to_string().contains("clips")) {
                    is_sent.call_once(|| drop(other.write(|c| ReviewLog::send(c, run)).unwrap()));
                }
            });
            let view = PipelineRun::view(c, run);
            c.set_instrumentation(|_: InstrumentationEvent<'_>| {});
            assert_eq!(db.read(|c| PipelineRun::find(c, run))?.status, RunStatus::Review);
            let view = view?;
            assert_eq!((view.run.status, view.reviews.len()), (RunStatus::Running, 0));
            PipelineRun::view(c, run)
        };
        // On PostgreSQL, `read` keeps its snapshot for the second view. A session takes a new snapshot.
        let again = db.read(view_while_it_is_sent).unwrap();
        assert_eq!(again.run.status == RunStatus::Running, t.is_postgres);
        let again = view_while_it_is_sent(&mut db.session().unwrap()).unwrap();
        assert_eq!((again.run.status, again.reviews.len()), (RunStatus::Review, 1));
    }

    fn chosen_videos_become_ranked_clips_and_are_marked_used(t) {
        let db = t.db();
        let best = discover(&db, 5);
        let run = run_in(&db, RunStatus::Running);
        let clips = db.write(|c| Clip::choose(c, run, &best[..2])).unwrap();
        assert_eq!(clips.iter().map(|clip| (clip.rank_position, clip.discovered_video_id, clip.clip_duration_seconds)).collect::<Vec<_>>(), [(1, best[0].id, 60.0), (2, best[1].id, 60.0)]);
        let more = db.write(|c| Clip::choose_best(c, run, 2)).unwrap();
        assert_eq!(more.iter().map(|clip| (clip.rank_position, clip.discovered_video_id)).collect::<Vec<_>>(), [(3, best[2].id), (4, best[3].id)]);
        assert_eq!(db.read(|c| DiscoveredVideo::pending(c, "gaming", 9)).unwrap(), best[4..]);
        assert_eq!(db.read(|c| DiscoveredVideo::find(c, best[0].id)).unwrap().processed, Processed::Used);

        let other = run_in(&db, RunStatus::Running);
        assert_invalid(db.write(|c| Clip::choose(c, other, &best[3..])), &[&best[3].video_id, "no longer pending"]);
        assert_eq!(db.read(|c| Clip::of_run(c, other)).unwrap(), []);
        assert_eq!(db.read(|c| DiscoveredVideo::pending(c, "gaming", 9)).unwrap(), best[4..], "nothing is chosen");
        assert_eq!(db.write(|c| Clip::choose_best(c, other, 9)).unwrap().len(), 1, "fewer than asked if no more are pending");
        assert_invalid(db.write(|c| { DiscoveredVideo::mark(c, &best[0].video_id, Processed::Pending)?; Clip::choose(c, other, &best[..2]) }), &[&best[1].video_id]);
        assert_eq!(db.read(|c| DiscoveredVideo::find(c, best[0].id)).unwrap().processed, Processed::Used);
        assert!(matches!(db.write(|c| Clip::choose_best(c, PipelineRunId(9_999), 1)), Err(Error::NotFound { .. })));
        let twice = discover(&db, 1);
        assert_invalid(db.write(|c| Clip::choose(c, other, &[twice[0].clone(), twice[0].clone()])), &["given twice"]);
        let failed = run_in(&db, RunStatus::Failed);
        assert_invalid(db.write(|c| Clip::choose_best(c, failed, 1)), &["is failed; only a pending or running run can choose videos"]);
        assert_invalid(db.write(|c| Clip::choose_best(c, other, 40_000)), &["must be from 0 to 1,000, got 40000"]);
        assert_eq!(db.read(|c| DiscoveredVideo::pending(c, "gaming", 9)).unwrap().len(), 1);
    }

    fn concurrent_choices_for_one_run_never_repeat_a_rank(t) {
        let (one, other) = (t.db(), t.db());
        discover(&one, 40);
        let run = run_in(&one, RunStatus::Running);
        std::thread::scope(|s| {
            for db in [&one, &other, &one, &other] {
                s.spawn(move || assert_eq!(db.write(|c| Clip::choose_best(c, run, 5)).unwrap().len(), 5));
            }
        });
        let ranks: Vec<_> = one.read(|c| Clip::of_run(c, run)).unwrap().iter().map(|clip| clip.rank_position).collect();
        assert_eq!(ranks, (1..=20).collect::<Vec<_>>());
    }

    fn concurrent_runs_never_share_a_video(t) {
        let (one, other) = (t.db(), t.db());
        let best = discover(&one, 60);
        let runs: Vec<_> = (0..8).map(|_| run_in(&one, RunStatus::Running)).collect();
        std::thread::scope(|s| {
            for (n, run) in runs.iter().enumerate() {
                let db = if n % 2 == 0 { &one } else { &other };
                let best = &best;
                s.spawn(move || {
                    db.write(|c| Clip::choose_best(c, *run, 5)).unwrap();
                    // The list may be outdated by now, so some of these choices are rejected.
                    drop(db.write(|c| Clip::choose(c, *run, &best[n * 5..n * 5 + 3])));
                });
            }
        });
        let clips = one.read(|c| Clip::list(c, &Default::default(), &viraldb::Page::first(999))).unwrap();
        let videos: HashSet<_> = clips.iter().map(|clip| clip.discovered_video_id).collect();
        assert_eq!(videos.len(), clips.len(), "two runs never share a video");
        assert!(clips.len() >= 40, "{}", clips.len());
        let used = one.read(|c| DiscoveredVideo::list(c, &DiscoveredVideoFilter { processed: Some(Processed::Used), ..Default::default() }, &viraldb::Page::first(999))).unwrap();
        assert_eq!(used.iter().map(|video| video.id).collect::<HashSet<_>>(), videos);
    }

    fn runs_can_be_started_shown_and_moved_on_the_command_line(t) {
        let db = t.db();
        discover(&db, 3);
        let text = t.ok(&["runs", "start", "gaming", "--start", "2026-11-21T06:00:00Z", "--end", "2026-11-21T12:00:00Z"]);
        assert_eq!(text, "run 1 of gaming (2026-11-21T06:00:00Z to 2026-11-21T12:00:00Z) is pending\n");
        assert_eq!(t.ok(&["runs", "start", "gaming", "--start", "2026-11-21T06:00:00Z", "--end", "2026-11-21T12:00:00Z"]), text);
        assert!(t.ok(&["runs", "start", "music", "--cycle", "1d"]).contains("T00:00:00Z to 20"));
        assert_eq!(t.ok(&["runs", "choose", "1", "--limit", "2", "--format", "jsonl"]).lines().count(), 2);
        assert!(t.ok(&["runs", "move", "1", "running"]).ends_with("is running\n"));
        assert!(t.ok(&["reviews", "send", "1"]).starts_with("review 1 of run 1 is open"));
        let view: serde_json::Value = serde_json::from_str(&t.ok(&["runs", "show", "1", "--format", "json"])).unwrap();
        assert_eq!((&view["run"]["status"], view["clips"].as_array().unwrap().len(), view["reviews"].as_array().unwrap().len()), (&"review".into(), 2, 1));
        let shown = t.ok(&["runs", "show", "1"]);
        assert!(shown.contains("\nclips\n") && shown.contains("\nreviews\n") && !shown.contains("\nerrors\n"), "{shown}");
        assert!(t.ok(&["runs", "move", "1", "failed", "--error", "quota"]).ends_with("is failed\n"));
        assert!(t.ok(&["runs", "list", "--status", "failed"]).contains("quota"));
        t.ok(&["runs", "retry", "1"]);
        for (args, expected) in [
            (&["runs", "move", "1", "uploaded"][..], "error: run 1 is pending and cannot become uploaded; only a run that is approved can\n"),
            (&["runs", "retry", "1"], "error: run 1 is pending and cannot become pending; only a run that is failed can\n"),
            (&["runs", "move", "1", "running", "--error", "x"], "error: --error is only for the status failed, not for running\n"),
            (&["runs", "show", "99"], "error: row 99 not found in pipeline_runs; list the runs with `viraldb runs list`\n"),
            (&["runs", "start", "gaming", "--cycle", "0"], "error: cycle must be at least 1 second long\n"),
        ] {
            let ran = t.run(args);
            assert_eq!((ran.code, ran.err.as_str()), (1, expected), "{args:?}");
        }
    }
}

#[test]
fn cycles_begin_at_midnight() {
    let time: Timestamp = "2026-11-21T11:59:59Z".parse().unwrap();
    let (start, end) = PipelineRun::cycle_at(time, Duration::from_secs(6 * 3600)).unwrap();
    assert_eq!(
        (start.to_string(), end.to_string()),
        ("2026-11-21T06:00:00Z".into(), "2026-11-21T12:00:00Z".into())
    );
    assert_eq!(PipelineRun::cycle_at(end, Duration::from_secs(6 * 3600)).unwrap().0, end);
    let long_ago: Timestamp = "1969-12-31T23:00:00Z".parse().unwrap();
    assert_eq!(
        PipelineRun::cycle_at(long_ago, Duration::from_secs(86_400)).unwrap().0.to_string(),
        "1969-12-31T00:00:00Z"
    );
}
