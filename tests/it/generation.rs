//! Tests of generated videos: jobs, the scripts and videos they produce, and the trends they start from.

use std::sync::Barrier;

use serde_json::json;
use viraldb::generation::*;
use viraldb::{Database, DbConnection, Error, Json, Page, Result, Timestamp};

use crate::make::{self, at};
use crate::support::{Scratch, both};

/// Asserts that a move was refused with a reason that names both the current status and the target.
fn refused<T: std::fmt::Debug>(result: Result<T>, words: [&str; 2]) {
    match result {
        Err(Error::Invalid { reason, .. }) => {
            assert!(words.iter().all(|word| reason.contains(word)), "{reason:?} does not name {words:?}");
        }
        other => panic!("{other:?}"),
    }
}

/// Runs a move by eight concurrent callers and returns how many of them succeeded. Half of the callers share
/// one database, the others open their own.
fn winners_of_eight<T: Send>(t: &Scratch, act: impl Fn(&mut DbConnection) -> Result<T> + Sync) -> usize {
    let shared = t.db();
    let barrier = Barrier::new(8);
    let won: Vec<bool> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..8)
            .map(|n| {
                let (shared, barrier, act) = (&shared, &barrier, &act);
                scope.spawn(move || {
                    let own = (n % 2 == 0).then(|| Database::open(&t.url).unwrap());
                    let db = own.as_ref().unwrap_or(shared);
                    barrier.wait();
                    match db.write(act) {
                        Ok(_) => true,
                        Err(Error::Invalid { .. }) => false,
                        Err(other) => panic!("{other}"),
                    }
                })
            })
            .collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    won.into_iter().filter(|won| *won).count()
}

/// Inserts a job with this status and returns its id.
fn job_in(db: &Database, status: JobStatus) -> JobId {
    let job = NewJob { status: Some(status), stage: Some("script".into()), ..make::job() };
    db.write(|c| job.insert(c)).unwrap().id
}

type Move<Row> = (&'static str, fn(&mut DbConnection, i64) -> Result<Row>);

both! {
    fn job_moves_through_its_stages(t) {
        let db = t.db();
        let made = db.write(|c| make::job().insert(c)).unwrap();
        let started = db.write(|c| Job::start(c, made.id)).unwrap();
        assert_eq!(started, make::changed(&made, |row| { row.status = JobStatus::Running; row.updated_at = started.updated_at; }));
        assert!(started.updated_at > made.updated_at);
        let advanced = db.write(|c| Job::advance(c, made.id, "render")).unwrap();
        assert_eq!((advanced.status, advanced.stage.as_deref()), (JobStatus::Running, Some("render")));
        assert!(advanced.updated_at > started.updated_at);
        let failed = db.write(|c| Job::fail(c, made.id, "no credits")).unwrap();
        assert_eq!((failed.status, failed.error_message.as_deref(), failed.stage.as_deref()), (JobStatus::Failed, Some("no credits"), Some("render")));
        let again = db.write(|c| Job::retry(c, made.id)).unwrap();
        assert_eq!((again.status, again.error_message.as_deref(), again.stage.as_deref()), (JobStatus::Pending, None, Some("render")));
        db.write(|c| Job::start(c, made.id)).unwrap();
        let done = db.write(|c| Job::complete(c, made.id)).unwrap();
        assert_eq!((done.status, done.stage.as_deref()), (JobStatus::Completed, Some("render")));
        assert_eq!(db.read(|c| Job::find(c, made.id)).unwrap(), done);
        for empty in ["", " "] {
            refused(db.write(|c| Job::advance(c, made.id, empty)), ["empty", ""]);
            refused(db.write(|c| Job::fail(c, made.id, empty)), ["empty", ""]);
        }
    }

    fn jobs_reject_all_other_moves(t) {
        let db = t.db();
        let moves: [(Move<Job>, &[JobStatus]); 5] = [
            (("running", |c, id| Job::start(c, JobId(id))), &[JobStatus::Pending]),
            (("stage", |c, id| Job::advance(c, JobId(id), "render")), &[JobStatus::Running]),
            (("completed", |c, id| Job::complete(c, JobId(id))), &[JobStatus::Running]),
            (("failed", |c, id| Job::fail(c, JobId(id), "why")), &[JobStatus::Pending, JobStatus::Running]),
            (("pending", |c, id| Job::retry(c, JobId(id))), &[JobStatus::Failed]),
        ];
        for ((to, make), legal) in moves {
            for from in JobStatus::ALL {
                let id = job_in(&db, *from);
                let before = db.read(|c| Job::find(c, id)).unwrap();
                let result = db.write(|c| make(c, id.0));
                if legal.contains(from) {
                    result.unwrap_or_else(|error| panic!("{from} to {to}: {error}"));
                } else {
                    refused(result, [from.as_str(), to]);
                    assert_eq!(db.read(|c| Job::find(c, id)).unwrap(), before, "a refused move changes nothing");
                }
            }
            assert!(matches!(db.write(|c| make(c, 404)), Err(Error::NotFound { table: "jobs", .. })));
        }
    }

    fn concurrent_job_moves_let_exactly_one_win(t) {
        let db = t.db();
        let id = job_in(&db, JobStatus::Pending);
        assert_eq!(winners_of_eight(t, |c| Job::start(c, id)), 1);
        assert_eq!(winners_of_eight(t, |c| Job::complete(c, id).or_else(|_| Job::fail(c, id, "late"))), 1);
        let id = job_in(&db, JobStatus::Failed);
        assert_eq!(winners_of_eight(t, |c| Job::retry(c, id)), 1);
    }

    fn videos_are_approved_or_rejected_and_then_published(t) {
        let db = t.db();
        let [yes, no] = [make::job_video(), make::job_video()].map(|new| db.write(|c| new.insert(c)).unwrap());
        let before = Timestamp::now();
        let is_now = |at: Option<Timestamp>| at.unwrap().hours_since(before).abs() * 3600.0 < 5.0;
        let approved = db.write(|c| JobVideo::approve(c, yes.id)).unwrap();
        assert!(is_now(approved.approved_at));
        assert_eq!(approved, make::changed(&yes, |row| { row.status = JobVideoStatus::Approved; row.approved_at = approved.approved_at; }));
        let rejected = db.write(|c| JobVideo::reject(c, no.id)).unwrap();
        assert!(is_now(rejected.approved_at), "the time of the answer");
        assert_eq!(rejected, make::changed(&no, |row| { row.status = JobVideoStatus::Rejected; row.approved_at = rejected.approved_at; }));
        refused(db.write(|c| JobVideo::publish(c, yes.id, " ")), ["empty", ""]);
        let published = db.write(|c| JobVideo::publish(c, yes.id, "https://youtu.be/x")).unwrap();
        assert!(is_now(published.published_at));
        assert_eq!(published, make::changed(&approved, |row| { row.status = JobVideoStatus::Published; row.published_at = published.published_at; row.published_url = Some("https://youtu.be/x".into()); }));
        assert_eq!(db.read(|c| JobVideo::find(c, yes.id)).unwrap(), published);
    }

    fn videos_reject_all_other_moves(t) {
        let db = t.db();
        let moves: [(Move<JobVideo>, JobVideoStatus); 3] = [
            (("approved", |c, id| JobVideo::approve(c, JobVideoId(id))), JobVideoStatus::Generated),
            (("rejected", |c, id| JobVideo::reject(c, JobVideoId(id))), JobVideoStatus::Generated),
            (("published", |c, id| JobVideo::publish(c, JobVideoId(id), "u")), JobVideoStatus::Approved),
        ];
        for ((to, make), legal) in moves {
            for from in JobVideoStatus::ALL {
                let new = NewJobVideo { status: Some(*from), ..make::job_video() };
                let before = db.write(|c| new.insert(c)).unwrap();
                let result = db.write(|c| make(c, before.id.0));
                if *from == legal {
                    result.unwrap_or_else(|error| panic!("{from} to {to}: {error}"));
                } else {
                    refused(result, [from.as_str(), to]);
                    assert_eq!(db.read(|c| JobVideo::find(c, before.id)).unwrap(), before);
                }
            }
            assert!(matches!(db.write(|c| make(c, 404)), Err(Error::NotFound { table: "job_videos", .. })));
        }
    }

    fn concurrent_answers_let_exactly_one_win(t) {
        let db = t.db();
        let video = db.write(|c| make::job_video().insert(c)).unwrap();
        assert_eq!(winners_of_eight(t, |c| if fastrand::bool() { JobVideo::approve(c, video.id) } else { JobVideo::reject(c, video.id) }), 1);
        let approved = NewJobVideo { status: Some(JobVideoStatus::Approved), ..make::job_video() };
        let approved = db.write(|c| approved.insert(c)).unwrap();
        assert_eq!(winners_of_eight(t, |c| JobVideo::publish(c, approved.id, "u")), 1);
    }

    fn job_view_contains_its_scripts_and_videos(t) {
        let db = t.db();
        let [a, b] = [JobStatus::Running, JobStatus::Completed].map(|status| job_in(&db, status));
        let script = |job| NewJobScript { job_id: job, ..make::job_script() };
        let video = |job| NewJobVideo { job_id: job, ..make::job_video() };
        let scripts = [Some(a), Some(b), Some(a), None].map(|job| db.write(|c| script(job).insert(c)).unwrap());
        let videos = [Some(b), Some(b), None].map(|job| db.write(|c| video(job).insert(c)).unwrap());
        let view = |id| db.read(|c| JobView::find(c, id)).unwrap();
        assert_eq!(view(a).job, db.read(|c| Job::find(c, a)).unwrap());
        assert_eq!((view(a).scripts, view(a).videos), (vec![scripts[0].clone(), scripts[2].clone()], vec![]));
        assert_eq!((view(b).scripts, view(b).videos), (vec![scripts[1].clone()], videos[..2].to_vec()));
        assert!(matches!(db.read(|c| JobView::find(c, JobId(404))), Err(Error::NotFound { .. })));
        let list = |status, page| db.read(|c| JobView::list(c, &JobFilter { status }, &page)).unwrap();
        assert_eq!(list(None, Page::first(9)), [view(b), view(a)]);
        assert_eq!(list(Some(JobStatus::Running), Page::first(9)), [view(a)]);
        assert_eq!(list(None, Page::after(a, 9)), []);
        assert_eq!(serde_json::to_value(view(a)).unwrap()["scripts"][1]["id"], scripts[2].id.0);

        let mut session = db.session().unwrap();
        let asked = crate::support::statements(&mut session, |c| JobView::list(c, &JobFilter::default(), &Page::first(9)));
        assert_eq!(asked.iter().filter(|sql| sql.starts_with("SELECT")).count(), 3, "{asked:?}");
    }

    fn job_pages_can_exceed_the_bind_limit_of_sqlite(t) {
        let db = t.db();
        db.write(|c| NewJob::insert_many(c, &vec![NewJob::default(); 33_000])).unwrap(); // SQLite binds 32,766 values
        let [first, last] = [1, 33_000].map(JobId);
        let script = |job| NewJobScript { job_id: Some(job), ..make::job_script() };
        db.write(|c| NewJobScript::insert_many(c, &[script(first), script(last)])).unwrap();
        let all = db.read(|c| JobView::list(c, &JobFilter::default(), &Page::first(40_000))).unwrap();
        assert_eq!((all.len(), all[0].job.id, all[0].scripts.len()), (33_000, last, 1));
        assert_eq!((all[32_999].job.id, all[32_999].scripts.len()), (first, 1));
    }

    fn trends_are_merged_by_their_collection_time(t) {
        let db = t.db();
        let collect = |rows: &[NewTrend<'static>]| {
            let upserted = db.write(|c| NewTrend::insert_or_update_many(c, rows)).unwrap();
            (upserted.new, upserted.updated, upserted.unchanged)
        };
        let find = |id| db.read(|c| Trend::find_by_external_id(c, id)).unwrap();
        let row = |id: &'static str, day, views| NewTrend { views, collected_at: Some(at(day)), ..NewTrend::new(Platform::Tiktok, id) };
        let full = NewTrend {
            title: Some("T".into()), creator: Some("C".into()), hashtags: Some(Json(json!(["#a"]))), likes: Some(3),
            comments: Some(3_000_000_000), shares: Some(5), video_url: Some("u".into()), thumbnail_url: Some("v".into()),
            metadata: Some(Json(json!({"a": 1}))), ..row("full", 5, Some(100))
        };
        assert_eq!(collect(&[]), (0, 0, 0));
        assert_eq!(collect(&[full.clone(), row("new", 5, None)]), (2, 0, 0));
        let first = find("full");
        assert_eq!((first.collected_at, first.comments, &first.metadata), (at(5), Some(3_000_000_000), &full.metadata));
        assert_eq!(collect(&[full.clone(), row("new", 5, None), row("newer", 5, None)]), (1, 0, 2));

        // Missing fields keep their stored values. A JSON null also counts as missing.
        let untold = NewTrend { hashtags: Some(Json(json!(null))), ..row("full", 6, None) };
        assert_eq!(collect(&[untold]), (0, 0, 1));
        assert_eq!(find("full"), first);
        let later = NewTrend { platform: Platform::Youtube, hashtags: Some(Json(json!([]))), shares: Some(0), ..row("full", 7, Some(90)) };
        assert_eq!(collect(&[later]), (0, 1, 0));
        let second = make::changed(&first, |row| { row.platform = Platform::Youtube; row.hashtags = Some(Json(json!([]))); row.shares = Some(0); row.views = Some(90); row.collected_at = at(7); });
        assert_eq!(find("full"), second, "counts may fall");
        // A collection time between the first and the last one changes nothing.
        assert_eq!(collect(&[NewTrend { title: Some("between".into()), likes: Some(2), ..row("full", 6, Some(95)) }]), (0, 0, 1));
        assert_eq!(find("full"), second);

        // Data older than the row changes no known value and only fills in missing ones.
        assert_eq!(collect(&[NewTrend { title: Some("old".into()), ..row("full", 4, Some(1)) }]), (0, 0, 1));
        assert_eq!(find("full"), second);
        assert_eq!(collect(&[row("new", 4, Some(1))]), (0, 1, 0));
        assert_eq!((find("new").views, find("new").collected_at), (Some(1), at(5)));
        // Without a collection time, the current time applies.
        assert_eq!(collect(&[NewTrend { collected_at: None, ..row("new", 0, Some(2)) }]), (0, 1, 0));
        assert!(find("new").views == Some(2) && find("new").collected_at > at(9));

        // Several rows of one trend, not in order of time.
        let likes = |row| NewTrend { likes: Some(7), ..row };
        assert_eq!(collect(&[row("many", 9, Some(9)), likes(row("many", 7, Some(7))), row("many", 8, None), row("new", 9, Some(2))]), (1, 0, 1));
        assert_eq!((find("many").views, find("many").likes, find("many").collected_at), (Some(9), Some(7), at(9)));
        assert_eq!(collect(&[row("many", 8, Some(8))]), (0, 0, 1));
        assert_eq!(collect(&[likes(row("many", 10, Some(10))), row("many", 3, Some(3))]), (0, 1, 0), "the older of the two rows is ignored");
        assert_eq!((find("many").views, find("many").likes, find("many").collected_at), (Some(10), Some(7), at(10)));
        let one = db.write(|c| row("one", 1, Some(1)).insert_or_update(c)).unwrap();
        assert_eq!(one, find("one"));
    }

    fn bulk_trend_upserts_use_few_statements(t) {
        let db = t.db();
        let rows = |views: i64| -> Vec<NewTrend<'static>> {
            let row = |n: i64| NewTrend {
                external_id: format!("x{n}").into(),
                views: Some(views + n),
                title: (n % 2 == 0).then(|| "even".into()),
                hashtags: (n % 3 == 0).then(|| Json(json!(["#third"]))),
                ..make::trend()
            };
            (0..2_000).map(row).collect()
        };
        let mut session = db.session().unwrap();
        let mut upserted = Vec::new();
        let mut count = |views| crate::support::statements(&mut session, |c| {
            upserted.push(NewTrend::insert_or_update_many(c, &rows(views))?);
            Ok(())
        }).len();
        let counts = [count(0), count(0), count(1)];
        let all = |new, updated, unchanged| viraldb::Upserted { new, updated, unchanged };
        assert_eq!(upserted, [all(2_000, 0, 0), all(0, 0, 2_000), all(0, 2_000, 0)]);
        if t.is_postgres {
            assert!(counts.iter().all(|count| *count <= 5), "{counts:?}");
        } else {
            // BEGIN and COMMIT, and for each row one prepared statement, or two if the trend is known.
            assert_eq!(counts, [2_002, 4_002, 4_002]);
        }
        let best = db.read(|c| Trend::most_viewed(c, Platform::Tiktok, 1)).unwrap();
        assert_eq!((&*best[0].external_id, best[0].views), ("x1999", Some(2_000)));
    }

    fn concurrent_trend_collectors_lose_nothing(t) {
        let db = t.db();
        let (each, rows) = (20, 50);
        std::thread::scope(|scope| {
            for who in 0..4_i64 {
                let shared = &db;
                scope.spawn(move || {
                    let own = (who % 2 == 0).then(|| Database::open(&t.url).unwrap());
                    let db = own.as_ref().unwrap_or(shared);
                    for round in 0..each {
                        let mut found: Vec<_> = (0..rows)
                            .map(|n| NewTrend { external_id: format!("x{n}").into(), views: Some(round), ..make::trend() })
                            .collect();
                        fastrand::shuffle(&mut found);
                        found.push(NewTrend { external_id: format!("own{who}-{round}").into(), ..make::trend() });
                        db.write(|c| NewTrend::insert_or_update_many(c, &found)).unwrap();
                    }
                });
            }
        });
        let all = db.read(|c| Trend::list(c, &TrendFilter::default(), &Page::first(1_000))).unwrap();
        assert_eq!(all.len(), usize::try_from(rows + 4 * each).unwrap());
        let shared: Vec<_> = all.iter().filter(|trend| trend.external_id.starts_with('x')).collect();
        assert!(shared.iter().all(|trend| trend.views == Some(each - 1)), "{shared:#?}");
    }
}
