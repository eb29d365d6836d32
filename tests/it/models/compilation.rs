//! Tests of the models of the compilation domain.

use serde_json::json;
use viraldb::compilation::*;
use viraldb::{CorrelationId, DbConnection, Error, Json, Page, Result};

use super::{Model, check_all_operations, conflict, each_change, invalid, model, not_found, orphan};
use crate::make::{self, at};
use crate::support::both;

model!("discovered_videos", DiscoveredVideo, NewDiscoveredVideo<'static>, DiscoveredVideoFilter<'static>,
    number DiscoveredVideoId, DiscoveredVideoChanges { title: "x".into() });
model!("pipeline_runs", PipelineRun, NewPipelineRun<'static>, PipelineRunFilter<'static>,
    number PipelineRunId, PipelineRunChanges { retry_count: 1 });
model!("clips", Clip, NewClip<'static>, ClipFilter, number ClipId, ClipChanges { rank_position: 1 });
model!("scripts", Script, NewScript<'static>, ScriptFilter, number ScriptId,
    ScriptChanges { opening_text: None });
model!("tts_audio", TtsAudio, NewTtsAudio<'static>, TtsAudioFilter, number TtsAudioId,
    TtsAudioChanges { duration_seconds: None });
model!("shorts", Short, NewShort<'static>, ShortFilter, number ShortId, ShortChanges { title: None });
model!("analytics", Analytics, NewAnalytics<'static>, AnalyticsFilter<'static>, number AnalyticsId,
    AnalyticsChanges { view_count: None });
model!("review_log", ReviewLog, NewReviewLog<'static>, ReviewLogFilter, number ReviewLogId,
    ReviewLogChanges { auto_held: true });
model!(
    "config_overrides",
    ConfigOverride,
    NewConfigOverride<'static>,
    ConfigOverrideFilter<'static>,
    ConfigOverrideChanges { value: "x".into() }
);
model!("error_log", ErrorLog, NewErrorLog<'static>, ErrorLogFilter<'static>, number ErrorLogId,
    ErrorLogChanges { resolved: true });

fn run(c: &mut DbConnection) -> Result<PipelineRunId> {
    Ok(make::run_id(c))
}

both! {
    fn discovered_videos_support_all_operations(t) {
        let db = t.db();
        let filter = DiscoveredVideoFilter { niche: Some("gaming"), processed: Some(Processed::Skipped) };
        let fits = || NewDiscoveredVideo { processed: Some(Processed::Skipped), ..make::discovered_video() };
        check_all_operations::<DiscoveredVideo>(&db, DiscoveredVideoId(404), &filter, |_, _| fits(), |_| make::discovered_video());
        let elsewhere = NewDiscoveredVideo { niche: "music".into(), ..fits() };
        let elsewhere = db.write(|c| elsewhere.insert(c)).unwrap();
        assert!(!db.read(|c| DiscoveredVideo::list(c, &filter, &Page::first(100))).unwrap().contains(&elsewhere));

        let seen = make::discovered_video();
        let row = db.write(|c| seen.insert(c)).unwrap();
        assert_eq!(db.read(|c| DiscoveredVideo::find_by_video_id(c, &seen.video_id)).unwrap(), row);
        not_found(db.read(|c| DiscoveredVideo::find_by_video_id(c, "no")), "discovered_videos", "no");
        conflict(db.write(|c| seen.insert(c)), "discovered_videos", "discovered_videos_video_id_key");
        let renamed = DiscoveredVideoChanges { video_id: Some(elsewhere.video_id.into()), ..Default::default() };
        conflict(db.write(|c| renamed.update(c, row.id)), "discovered_videos", "discovered_videos_video_id_key");
        let nothing = DiscoveredVideoChanges::default();
        invalid(db.write(|c| nothing.update(c, row.id)), &format!("discovered_videos {}", row.id), "There are no changes");
    }

    fn discovered_video_changes_update_one_column_each(t) {
        each_change!(t.db(),
            full |_| NewDiscoveredVideo {
                id: Some(DiscoveredVideoId(1000)), video_id: "v".into(), title: "t".into(), channel_name: "n".into(),
                channel_id: "c".into(), url: "u".into(), category_id: Some(20), duration_seconds: Some(60),
                view_count: Some(3_000_000_000), like_count: Some(5_000_000_000), comment_count: Some(4_000_000_000),
                view_velocity: Some(1.5), viral_score: Some(0.25), niche: "gaming".into(),
                discovery_source: Some("reddit".into()), discovered_at: Some(at(1)),
                processed: Some(Processed::Used), content_id_risk: Some(ContentIdRisk::High),
            },
            DiscoveredVideo by |row| row.id, DiscoveredVideoChanges,
            set {
                video_id: "w", title: "Ünï 🎬", channel_name: "", channel_id: "d", url: "'; --", niche: "music",
                discovered_at: at(2), processed: Processed::Rejected, content_id_risk: ContentIdRisk::Low,
            }
            null {
                category_id: 10, duration_seconds: i32::MAX, view_count: i64::MAX, like_count: 0, comment_count: 1,
                view_velocity: -0.5, viral_score: 1e300, discovery_source: "yt_dlp",
            }
        );
    }

    fn pending_videos_come_best_first(t) {
        let db = t.db();
        let video = |id, score, velocity, views| NewDiscoveredVideo {
            video_id: id, viral_score: score, view_velocity: velocity, view_count: views, ..make::discovered_video()
        };
        let rows = [
            video("nothing known".into(), None, None, None),
            video("views only".into(), None, None, Some(9)),
            video("velocity only".into(), None, Some(9.0), None),
            video("tie, first".into(), Some(0.5), Some(2.0), None),
            video("tie, second".into(), Some(0.5), Some(2.0), None),
            video("tie, views".into(), Some(0.5), Some(2.0), Some(1)),
            video("slower".into(), Some(0.5), Some(1.0), Some(99)),
            video("speed unknown".into(), Some(0.5), None, Some(99)),
            video("best".into(), Some(0.9), None, None),
            video("negative".into(), Some(-1.0), Some(9.0), Some(9)),
            NewDiscoveredVideo { niche: "music".into(), ..video("elsewhere".into(), Some(1.0), None, None) },
            NewDiscoveredVideo { processed: Some(Processed::Used), ..video("used".into(), Some(1.0), None, None) },
        ];
        db.write(|c| NewDiscoveredVideo::insert_many(c, &rows)).unwrap();
        let best = [
            "best", "tie, views", "tie, first", "tie, second", "slower", "speed unknown", "negative",
            "velocity only", "views only", "nothing known",
        ];
        let pending = |limit| {
            let rows = db.read(|c| DiscoveredVideo::pending(c, "gaming", limit)).unwrap();
            rows.into_iter().map(|row| row.video_id).collect::<Vec<_>>()
        };
        assert_eq!(pending(100), best);
        assert_eq!(pending(3), best[..3]);
        invalid(db.read(|c| DiscoveredVideo::pending(c, "", 1)), "niche", "is empty");
        let counts = db.read(DiscoveredVideo::count_pending).unwrap();
        assert_eq!(counts, [("gaming".to_owned(), 10), ("music".to_owned(), 1)]);
        for status in Processed::ALL {
            let marked = db.write(|c| DiscoveredVideo::mark(c, "best", *status)).unwrap();
            assert_eq!((marked.processed, &*marked.video_id), (*status, "best"));
        }
        assert_eq!(pending(1), ["tie, views"]);
        not_found(db.write(|c| DiscoveredVideo::mark(c, "no", Processed::Used)), "discovered_videos", "no");
    }

    fn insert_or_update_changes_only_the_counts_of_a_known_video(t) {
        let db = t.db();
        let seen = NewDiscoveredVideo { view_count: Some(1), viral_score: Some(0.5), ..make::discovered_video() };
        let before = db.write(|c| seen.insert_or_update(c)).unwrap();
        db.write(|c| make::discovered_video().insert_or_update(c)).unwrap();
        let again = NewDiscoveredVideo { view_count: Some(2), viral_score: None, title: "new".into(), ..seen };
        let after = db.write(|c| again.insert_or_update(c)).unwrap();
        assert_eq!(after, make::changed(&before, |row| row.view_count = Some(2)));
    }

    fn pipeline_runs_support_all_operations(t) {
        let db = t.db();
        let filter = PipelineRunFilter { niche: Some("gaming"), status: Some(RunStatus::Review) };
        let fits = || NewPipelineRun { status: Some(RunStatus::Review), ..make::pipeline_run() };
        check_all_operations::<PipelineRun>(&db, PipelineRunId(404), &filter, |_, _| fits(), |_| make::pipeline_run());
        let elsewhere = NewPipelineRun { niche: "music".into(), ..fits() };
        let elsewhere = db.write(|c| elsewhere.insert(c)).unwrap();
        assert!(!db.read(|c| PipelineRun::list(c, &filter, &Page::first(100))).unwrap().contains(&elsewhere));

        let found = db.read(|c| PipelineRun::with_status(c, RunStatus::Review, &Page::first(2))).unwrap();
        assert_eq!((found.len(), &found[0]), (2, &elsewhere));
        let next = db.read(|c| PipelineRun::with_status(c, RunStatus::Review, &Page::after(found[1].id, 100))).unwrap();
        assert!(next.iter().all(|run| run.status == RunStatus::Review && run.id < found[1].id));
        assert_eq!(next.len(), 6);

        let backwards = NewPipelineRun { cycle_start: at(2), cycle_end: at(1), ..make::pipeline_run() };
        invalid(db.write(|c| backwards.insert(c)), "pipeline_runs", "is invalid");
        let instant = NewPipelineRun { cycle_start: at(2), cycle_end: at(2), ..make::pipeline_run() };
        db.write(|c| instant.insert(c)).unwrap();
        let backwards = PipelineRunChanges { cycle_end: Some(at(-1)), ..Default::default() };
        invalid(db.write(|c| backwards.update(c, elsewhere.id)), "pipeline_runs", "is invalid");
    }

    fn pipeline_run_changes_update_one_column_each(t) {
        each_change!(t.db(),
            full |_| NewPipelineRun {
                id: Some(PipelineRunId(1000)), niche: "gaming".into(), cycle_start: at(1), cycle_end: at(2),
                status: Some(RunStatus::Running), started_at: Some(at(3)), completed_at: Some(at(4)),
                video_file_path: Some("a.mp4".into()), video_duration_seconds: Some(600.5),
                video_file_size_bytes: Some(3_000_000_000), youtube_video_id: Some("y".into()),
                youtube_url: Some("u".into()), error_message: Some("e".into()), retry_count: Some(2),
            },
            PipelineRun by |row| row.id, PipelineRunChanges,
            set { niche: "music", cycle_end: at(3), cycle_start: at(3), status: RunStatus::Failed, retry_count: 3 }
            null {
                started_at: at(9), completed_at: at(9), video_file_path: "b", video_duration_seconds: 1.0,
                video_file_size_bytes: 4, youtube_video_id: "z", youtube_url: "v", error_message: "f",
            }
        );
    }

    fn clips_support_all_operations(t) {
        let db = t.db();
        let filter = ClipFilter {
            pipeline_run_id: Some(db.write(run).unwrap()),
            discovered_video_id: Some(db.write(|c| Ok(make::discovered_video_id(c))).unwrap()),
        };
        let fits = |c: &mut DbConnection, rank_position: i64| NewClip {
            pipeline_run_id: filter.pipeline_run_id.unwrap(),
            discovered_video_id: filter.discovered_video_id.unwrap(),
            rank_position: rank_position.try_into().unwrap(),
            ..make::clip(c)
        };
        check_all_operations::<Clip>(&db, ClipId(404), &filter, fits, make::clip);
        let half = [
            db.write(|c| NewClip { pipeline_run_id: make::run_id(c), ..fits(c, 1) }.insert(c)).unwrap(),
            db.write(|c| NewClip { discovered_video_id: make::discovered_video_id(c), ..fits(c, 1) }.insert(c)).unwrap(),
        ];
        let listed = db.read(|c| Clip::list(c, &filter, &Page::first(100))).unwrap();
        assert!(listed.len() == 7 && half.iter().all(|clip| !listed.contains(clip)));

        let of_run = db.read(|c| Clip::of_run(c, filter.pipeline_run_id.unwrap())).unwrap();
        let places: Vec<_> = of_run.iter().map(|clip| (clip.rank_position, clip.id)).collect();
        assert!(places.is_sorted() && places.len() == 8, "{places:?}");
        assert!(db.read(|c| Clip::of_run(c, PipelineRunId(404))).unwrap().is_empty());

        orphan::<Clip>(&db, |c| NewClip { pipeline_run_id: PipelineRunId(404), ..make::clip(c) });
        orphan::<Clip>(&db, |c| NewClip { discovered_video_id: DiscoveredVideoId(404), ..make::clip(c) });
        let lost = ClipChanges { pipeline_run_id: Some(PipelineRunId(404)), ..Default::default() };
        let at = format!("clips {}", of_run[0].id);
        invalid(db.write(|c| lost.update(c, of_run[0].id)), &at, "refers to a row that does not exist");
    }

    fn clip_changes_update_one_column_each(t) {
        let db = t.db();
        let other_run = db.write(run).unwrap();
        let other_video = db.write(|c| Ok(make::discovered_video_id(c))).unwrap();
        each_change!(db,
            full |c| NewClip {
                id: Some(ClipId(1000)), extraction_method: Some("transcript".into()),
                clip_file_path: Some("a.mp4".into()), content_id_risk: Some(ContentIdRisk::Medium), ..make::clip(c)
            },
            Clip by |row| row.id, ClipChanges,
            set {
                pipeline_run_id: other_run, discovered_video_id: other_video, rank_position: 7,
                start_time_seconds: 0.125, end_time_seconds: 9.5, clip_duration_seconds: 9.375,
                content_id_risk: ContentIdRisk::Unknown,
            }
            null { extraction_method: "audio_energy", clip_file_path: "b.mp4" }
        );
    }

    fn scripts_support_all_operations(t) {
        let db = t.db();
        let run = db.write(run).unwrap();
        let filter = ScriptFilter { pipeline_run_id: Some(run) };
        let fits = |c: &mut DbConnection, _| NewScript { pipeline_run_id: run, ..make::script(c) };
        check_all_operations::<Script>(&db, ScriptId(404), &filter, fits, make::script);
        let ids: Vec<_> = db.read(|c| Script::of_run(c, run)).unwrap().iter().map(|script| script.id).collect();
        assert!(ids.is_sorted() && ids.len() == 7, "{ids:?}");
        orphan::<Script>(&db, |c| NewScript { pipeline_run_id: PipelineRunId(404), ..make::script(c) });
    }

    fn script_changes_update_one_column_each(t) {
        let db = t.db();
        let other_run = db.write(run).unwrap();
        each_change!(db,
            full |c| NewScript {
                id: Some(ScriptId(1000)), opening_text: Some("o".into()), closing_text: Some("c".into()),
                full_script_json: Some(Json(json!({"clips": [1, 2]}))), total_char_count: Some(400),
                estimated_duration_seconds: Some(31.5), llm_model_used: Some("m".into()), generated_at: Some(at(1)),
                ..make::script(c)
            },
            Script by |row| row.id, ScriptChanges,
            set { pipeline_run_id: other_run, generated_at: at(2) }
            null {
                opening_text: "p", closing_text: "d", full_script_json: Json(json!(["ü", {"a": null}])),
                total_char_count: 1, estimated_duration_seconds: 1.0, llm_model_used: "n",
            }
        );
    }

    fn tts_audio_supports_all_operations(t) {
        let db = t.db();
        let run = db.write(run).unwrap();
        let filter = TtsAudioFilter { pipeline_run_id: Some(run) };
        let fits = |c: &mut DbConnection, _| NewTtsAudio { pipeline_run_id: run, ..make::tts_audio(c) };
        check_all_operations::<TtsAudio>(&db, TtsAudioId(404), &filter, fits, make::tts_audio);
        let ids: Vec<_> = db.read(|c| TtsAudio::of_run(c, run)).unwrap().iter().map(|audio| audio.id).collect();
        assert!(ids.is_sorted() && ids.len() == 7, "{ids:?}");
        orphan::<TtsAudio>(&db, |c| NewTtsAudio { pipeline_run_id: PipelineRunId(404), ..make::tts_audio(c) });
    }

    fn tts_audio_changes_update_one_column_each(t) {
        let db = t.db();
        let other_run = db.write(run).unwrap();
        each_change!(db,
            full |c| NewTtsAudio {
                id: Some(TtsAudioId(1000)), voice_profile: Some("v".into()), audio_file_path: Some("a.mp3".into()),
                duration_seconds: Some(30.25), generated_at: Some(at(1)), ..make::tts_audio(c)
            },
            TtsAudio by |row| row.id, TtsAudioChanges,
            set { pipeline_run_id: other_run, engine_used: "other", generated_at: at(2) }
            null { voice_profile: "w", audio_file_path: "b.mp3", duration_seconds: 1.0 }
        );
    }

    fn shorts_support_all_operations(t) {
        let db = t.db();
        let run = db.write(run).unwrap();
        let filter = ShortFilter { pipeline_run_id: Some(run), status: Some(ShortStatus::Review) };
        let fits = |c: &mut DbConnection, _| NewShort {
            pipeline_run_id: run, status: Some(ShortStatus::Review), ..make::short(c)
        };
        check_all_operations::<Short>(&db, ShortId(404), &filter, fits, make::short);
        let half = [
            db.write(|c| NewShort { status: None, ..fits(c, 0) }.insert(c)).unwrap(),
            db.write(|c| NewShort { pipeline_run_id: make::run_id(c), ..fits(c, 0) }.insert(c)).unwrap(),
        ];
        let listed = db.read(|c| Short::list(c, &filter, &Page::first(100))).unwrap();
        assert!(listed.len() == 7 && half.iter().all(|short| !listed.contains(short)));
        let ids: Vec<_> = db.read(|c| Short::of_run(c, run)).unwrap().iter().map(|short| short.id).collect();
        assert!(ids.is_sorted() && ids.len() == 8, "{ids:?}");
        orphan::<Short>(&db, |c| NewShort { pipeline_run_id: PipelineRunId(404), ..make::short(c) });
        orphan::<Short>(&db, |c| NewShort { clip_id: Some(ClipId(404)), ..make::short(c) });
    }

    fn short_changes_update_one_column_each(t) {
        let db = t.db();
        let other_run = db.write(run).unwrap();
        let other_clip = db.write(|c| Ok(make::clip_id(c))).unwrap();
        each_change!(db,
            full |c| NewShort {
                id: Some(ShortId(1000)), clip_id: Some(make::clip_id(c)), file_path: Some("a.mp4".into()),
                duration_seconds: Some(59.5), title: Some("t".into()), description: Some("d".into()),
                youtube_video_id: Some("y".into()), youtube_url: Some("u".into()),
                status: Some(ShortStatus::Review), uploaded_at: Some(at(1)), ..make::short(c)
            },
            Short by |row| row.id, ShortChanges,
            set { pipeline_run_id: other_run, status: ShortStatus::Uploaded }
            null {
                clip_id: other_clip, file_path: "b.mp4", duration_seconds: 1.0, title: "s", description: "e",
                youtube_video_id: "z", youtube_url: "v", uploaded_at: at(2),
            }
        );
    }

    fn analytics_support_all_operations(t) {
        let db = t.db();
        let filter = AnalyticsFilter { youtube_video_id: Some("yt1") };
        let other = |_: &mut DbConnection| NewAnalytics { youtube_video_id: "yt2".into(), ..make::analytics() };
        check_all_operations::<Analytics>(&db, AnalyticsId(404), &filter, |_, _| make::analytics(), other);

        // Measured out of order; the last two have the same time.
        let of = |n, views| NewAnalytics {
            youtube_video_id: "yt3".into(), measured_at: Some(at(n)), view_count: Some(views), ..make::analytics()
        };
        let rows = [of(30, 3), of(10, 1), of(20, 2), of(40, 4), of(40, 5)];
        db.write(|c| NewAnalytics::insert_many(c, &rows)).unwrap();
        let series = |from, to| {
            let rows = db.read(|c| Analytics::series(c, "yt3", at(from), at(to))).unwrap();
            rows.into_iter().map(|row| row.view_count.unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(series(0, 100), [1, 2, 3, 4, 5]);
        assert_eq!(series(10, 30), [1, 2], "from is inclusive, to is exclusive");
        assert!(series(41, 100).is_empty());
        assert_eq!(db.read(|c| Analytics::latest(c, "yt3")).unwrap().unwrap().view_count, Some(5));
        assert_eq!(db.read(|c| Analytics::latest(c, "yt4")).unwrap(), None);
    }

    fn analytics_changes_update_one_column_each(t) {
        each_change!(t.db(),
            full |_| NewAnalytics {
                id: Some(AnalyticsId(1000)), youtube_video_id: "y".into(), measured_at: Some(at(1)),
                view_count: Some(3_000_000_000), like_count: Some(3), comment_count: Some(4),
                average_view_duration_seconds: Some(12.5), click_through_rate: Some(0.05),
                subscriber_gain: Some(-7), estimated_revenue_usd: Some(1.25),
            },
            Analytics by |row| row.id, AnalyticsChanges,
            set { youtube_video_id: "z", measured_at: at(2) }
            null {
                view_count: 4_000_000_000_i64, like_count: 4, comment_count: 5, average_view_duration_seconds: 1.0,
                click_through_rate: 0.5, subscriber_gain: i32::MIN, estimated_revenue_usd: 2.0,
            }
        );
    }

    fn snapshots_of_the_same_time_are_inserted_once(t) {
        let db = t.db();
        let of = |n, views| NewAnalytics { measured_at: Some(at(n)), view_count: Some(views), ..make::analytics() };
        let first = [of(1, 10), of(2, 20), of(2, 21)];
        assert_eq!(db.write(|c| NewAnalytics::insert_new_many(c, &first)).unwrap(), 2);
        let second = [of(2, 22), of(3, 30), NewAnalytics { youtube_video_id: "yt2".into(), ..of(3, 31) }];
        assert_eq!(db.write(|c| NewAnalytics::insert_new_many(c, &second)).unwrap(), 2);
        assert_eq!(db.write(|c| NewAnalytics::insert_new_many(c, &second)).unwrap(), 0);
        assert_eq!(db.write(|c| NewAnalytics::insert_new_many(c, &[])).unwrap(), 0);
        let rows = db.read(|c| Analytics::series(c, "yt1", at(0), at(9))).unwrap();
        assert_eq!(rows.iter().map(|row| row.view_count.unwrap()).collect::<Vec<_>>(), [10, 20, 30]);
    }

    fn review_log_supports_all_operations(t) {
        let db = t.db();
        let run = db.write(run).unwrap();
        let filter = ReviewLogFilter { pipeline_run_id: Some(run) };
        let fits = |c: &mut DbConnection, place| NewReviewLog {
            pipeline_run_id: run, sent_at: Some(at(place)), ..make::review(c)
        };
        check_all_operations::<ReviewLog>(&db, ReviewLogId(404), &filter, fits, make::review);
        let answered = NewReviewLog { pipeline_run_id: run, sent_at: Some(at(-9)), responded_at: Some(at(1)), ..Default::default() };
        db.write(|c| answered.insert(c)).unwrap();
        orphan::<ReviewLog>(&db, |c| NewReviewLog { pipeline_run_id: PipelineRunId(404), ..make::review(c) });
    }

    fn review_log_changes_update_one_column_each(t) {
        let db = t.db();
        let other_run = db.write(run).unwrap();
        each_change!(db,
            full |c| NewReviewLog {
                id: Some(ReviewLogId(1000)), sent_at: Some(at(1)), responded_at: Some(at(2)),
                action: Some(ReviewAction::Skip), response_detail: Some("4,7".into()), auto_held: Some(true),
                ..make::review(c)
            },
            ReviewLog by |row| row.id, ReviewLogChanges,
            set { pipeline_run_id: other_run, sent_at: at(3), auto_held: false }
            null { responded_at: at(4), action: ReviewAction::RedoScript, response_detail: "again" }
        );
    }

    fn config_overrides_support_all_operations(t) {
        let db = t.db();
        let make = |_: &mut DbConnection, place| NewConfigOverride {
            key: format!("key {place}").into(), ..make::config_override()
        };
        let filter = ConfigOverrideFilter { updated_by: Some("system") };
        check_all_operations::<ConfigOverride>(&db, "no".into(), &filter, make, |c| NewConfigOverride { updated_by: Some("me".into()), ..make(c, 9) });
    }

    fn config_override_changes_update_one_column_each(t) {
        each_change!(t.db(),
            full |_| NewConfigOverride {
                key: "k".into(), value: "v".into(), updated_at: Some(at(1)), updated_by: Some("me".into()),
            },
            ConfigOverride by |row| &row.key, ConfigOverrideChanges, moves updated_at,
            set { value: "", updated_by: "you" }
            null {}
        );
    }

    fn config_overrides_are_inserted_or_updated(t) {
        let db = t.db();
        let new = NewConfigOverride { updated_by: Some("me".into()), ..make::config_override() };
        let before = db.write(|c| new.insert_or_update(c)).unwrap();
        assert_eq!((&*before.value, &*before.updated_by), ("on", "me"));
        let again = NewConfigOverride { value: "off".into(), updated_by: None, ..new.clone() };
        let after = db.write(|c| again.insert_or_update(c)).unwrap();
        assert!(after.updated_at > before.updated_at);
        let changed = make::changed(&before, |row| { row.value = "off".into(); row.updated_at = after.updated_at; });
        assert_eq!(after, changed);
        let dated = NewConfigOverride { updated_at: Some(at(5)), ..again };
        assert_eq!(db.write(|c| dated.insert_or_update(c)).unwrap().updated_at, at(5));
        assert_eq!(db.read(|c| ConfigOverride::list(c, &Default::default(), &Page::first(9))).unwrap().len(), 1);
    }

    fn error_log_supports_all_operations(t) {
        let db = t.db();
        let run = db.write(run).unwrap();
        let filter = ErrorLogFilter { module: Some("cut"), resolved: Some(false), pipeline_run_id: Some(run), ..Default::default() };
        let fits = || NewErrorLog { pipeline_run_id: Some(run), ..make::error() };
        check_all_operations::<ErrorLog>(&db, ErrorLogId(404), &filter, |_, _| fits(), |_| make::error());
        let half = [NewErrorLog { module: "upload".into(), ..fits() }, NewErrorLog { resolved: Some(true), ..fits() }];
        db.write(|c| NewErrorLog::insert_many(c, &half)).unwrap();
        assert_eq!(db.read(|c| ErrorLog::list(c, &filter, &Page::first(100))).unwrap().len(), 7);
        orphan::<ErrorLog>(&db, |_| NewErrorLog { pipeline_run_id: Some(PipelineRunId(404)), ..make::error() });

        let unresolved = |module| db.read(|c| ErrorLog::unresolved(c, module, &Page::first(100))).unwrap();
        assert_eq!((unresolved(None).len(), unresolved(Some("cut")).len()), (8, 7));
        assert_eq!(unresolved(Some("upload")).len(), 1);
        assert!(unresolved(None).iter().map(|error| error.id).rev().is_sorted());
        let next = db.read(|c| ErrorLog::unresolved(c, Some("cut"), &Page::after(unresolved(Some("cut"))[4].id, 9)));
        assert_eq!(next.unwrap(), unresolved(Some("cut"))[5..]);

        let newest = unresolved(Some("cut")).remove(0);
        assert_eq!(db.write(|c| ErrorLog::resolve(c, newest.id)).unwrap(), make::changed(&newest, |row| row.resolved = true));
        not_found(db.write(|c| ErrorLog::resolve(c, ErrorLogId(404))), "error_log", "404");
        assert_eq!(db.read(ErrorLog::count_unresolved).unwrap(), 7);
        assert_eq!(db.write(|c| ErrorLog::resolve_module(c, "cut")).unwrap(), 6);
        assert_eq!(db.write(|c| ErrorLog::resolve_module(c, "cut")).unwrap(), 0);
        assert_eq!(db.read(ErrorLog::count_unresolved).unwrap(), 1);
        assert!(matches!(db.write(|c| ErrorLog::resolve_module(c, " ")), Err(Error::Invalid { .. })));
    }

    fn id_lists_can_exceed_the_bind_limit_of_sqlite(t) {
        let db = t.db();
        let id = db.write(|c| make::error().insert(c)).unwrap().id;
        let mut ids: Vec<ErrorLogId> = (1_000_000..1_040_000).map(ErrorLogId).collect();
        not_found(db.write(|c| ErrorLog::resolve_many(c, &ids)), "error_log", "1000000");
        ids.fill(id);
        assert_eq!(db.write(|c| ErrorLog::resolve_many(c, &ids)).unwrap(), 1);
        let names: Vec<String> = (0..40_000).map(|n| format!("v{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(db.read(|c| DiscoveredVideo::discovered(c, &names)).unwrap(), []);
        assert_eq!(db.read(|c| Analytics::newest(c, &names)).unwrap(), []);
    }

    fn error_log_changes_update_one_column_each(t) {
        let db = t.db();
        let other_run = db.write(run).unwrap();
        let other_unit = CorrelationId::default();
        each_change!(db,
            full |c| NewErrorLog {
                id: Some(ErrorLogId(1000)), pipeline_run_id: Some(make::run_id(c)), stack_trace: Some("at x".into()),
                occurred_at: Some(at(1)), resolved: Some(true), correlation_id: Some(CorrelationId::default()),
                ..make::error()
            },
            ErrorLog by |row| row.id, ErrorLogChanges,
            set { module: "upload", error_type: "E", error_message: "m", occurred_at: at(2), resolved: false }
            null { pipeline_run_id: other_run, stack_trace: "at y", correlation_id: other_unit }
        );
    }
}
