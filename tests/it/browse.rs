//! Tests of lists, detail pages and search over all tables.

use std::collections::BTreeSet;
use std::time::Duration;

use viraldb::browse::{self, Is, Order, Query};
use viraldb::compilation::*;
use viraldb::queue::{self, Claim, Failure};
use viraldb::republishing::*;
use viraldb::secrets::{self, Key, Keyring, Place, Secret};
use viraldb::types::Sealed;
use viraldb::{Database, DbConnection, Json, ops};

use crate::make::{self, at};
use crate::support::{both, statements};

/// Inserts rows into every table, with ties and NULLs in the columns that lists are sorted by.
fn fill(db: &Database) {
    db.write(|c| {
        make::seed(c)?;
        let channel = make::channel_id(c);
        for n in 0..7_i32 {
            let time = at(i64::from(n / 3) * 60);
            let video = NewVideo {
                channel_id: channel,
                created_at: Some(time),
                published_at: (n % 2 == 0).then_some(time),
                ..make::video(c)
            }
            .insert(c)?;
            NewVideoProcessingJob {
                queued_at: Some(time),
                completed_at: (n % 3 != 0).then_some(at(n.into())),
                status: Some(if n % 3 == 0 { JobStatus::Queued } else { JobStatus::Failed }),
                ..NewVideoProcessingJob::new(video.id, channel, JobType::Download)
            }
            .insert(c)?;
            NewErrorLog { occurred_at: Some(time), ..make::error() }.insert(c)?;
            NewChannelStatistics { timestamp: Some(time), ..NewChannelStatistics::new(channel) }.insert(c)?;
            let views = (n % 2 == 0).then_some(i64::from(n / 4));
            viraldb::generation::NewTrend { views, ..make::trend() }.insert(c)?;
            NewDiscoveredVideo {
                niche: "gaming".into(),
                discovered_at: Some(time),
                ..make::discovered_video()
            }
            .insert(c)?;
        }
        Ok(())
    })
    .unwrap();
}

/// Returns the keys of a list page by page, forward and then back.
fn walk(c: &mut DbConnection, query: &Query) -> [Vec<String>; 2] {
    let mut query = Query { limit: 3, ..query.clone() };
    let (mut forward, mut back) = (Vec::new(), Vec::new());
    let keys = |page: &browse::Page| page.rows.iter().map(|row| row.key.clone()).collect::<Vec<_>>();
    let mut page = browse::page(c, &query).unwrap();
    assert!(page.previous.is_none());
    loop {
        forward.extend(keys(&page));
        let Some(next) = page.next.clone() else { break };
        query.cursor = Some(next);
        page = browse::page(c, &query).unwrap();
    }
    loop {
        back.splice(0..0, keys(&page));
        let Some(previous) = page.previous.clone() else { break };
        query.cursor = Some(previous);
        page = browse::page(c, &query).unwrap();
    }
    [forward, back]
}

both! {
    fn every_list_shows_each_row_once_in_both_directions_and_orders(t) {
        let db = t.db();
        fill(&db);
        db.read(|c| {
            for table in browse::tables() {
                let rows: usize = make::query(c, &format!("SELECT CAST(count(*) AS text) AS v FROM {}", table.name))[0].parse().unwrap();
                assert!(rows > 0, "{}", table.name);
                for column in table.columns.iter().filter(|column| column.sort) {
                    for order in [Order::Asc, Order::Desc] {
                        let mut query = Query::new(table.name).by(column.name, order);
                        let mut expected = rows;
                        if let Some(with) = column.sort_with {
                            // The value that most rows have.
                            let sql = format!("SELECT CAST({with} AS text) AS v FROM {} GROUP BY {with} ORDER BY count(*) DESC, {with} LIMIT 1", table.name);
                            let value = make::query(c, &sql).remove(0);
                            expected = make::query(c, &format!("SELECT CAST(count(*) AS text) AS v FROM {} WHERE CAST({with} AS text) = '{value}'", table.name))[0].parse().unwrap();
                            query = query.with(with, Is::Eq, value);
                        }
                        let [forward, back] = walk(c, &query);
                        let name = format!("{} by {} {order:?}", table.name, column.name);
                        assert_eq!(forward, back, "{name}");
                        assert_eq!(forward.iter().collect::<BTreeSet<_>>().len(), expected, "{name}");
                        assert_eq!(forward.len(), expected, "{name}");
                    }
                }
            }
            Ok(())
        }).unwrap();
    }

    fn rows_without_a_value_come_last_in_both_orders(t) {
        let db = t.db();
        fill(&db);
        let completed = |order| {
            let query = Query { limit: 100, ..Query::new("video_processing_jobs") }.by("completed_at", order);
            let page = db.read(|c| browse::page(c, &query)).unwrap();
            page.rows.iter().map(|row| row.values["completed_at"].as_str().map(str::to_owned)).collect::<Vec<_>>()
        };
        let (asc, desc) = (completed(Order::Asc), completed(Order::Desc));
        let known = asc.iter().flatten().count();
        assert!(known > 1 && asc[..known].is_sorted() && asc[known..].iter().all(Option::is_none), "{asc:?}");
        assert!(desc[..known].iter().rev().is_sorted() && desc[known..].iter().all(Option::is_none), "{desc:?}");
    }

    fn filters_find_the_rows_that_meet_all_of_them(t) {
        let db = t.db();
        let run = db.write(|c| {
            let run = make::run_id(c);
            for (message, seconds, run) in [("100% of a_b", 0, Some(run)), ("100 of aXb", 1, None), ("back\\slash", 2, None), ("ÄPFEL", 3, Some(run))] {
                NewErrorLog { pipeline_run_id: run, occurred_at: Some(at(seconds)), resolved: Some(seconds % 2 == 0), ..NewErrorLog::new("upload", "T", message) }.insert(c)?;
            }
            NewAnalytics { view_count: Some(5), click_through_rate: Some(0.5), ..make::analytics() }.insert(c)?;
            Ok(run)
        }).unwrap();
        let found = |table: &str, filters: &[(&str, Is, &str)]| {
            let query = filters.iter().fold(Query::new(table), |query, (column, is, value)| query.with(*column, *is, *value));
            db.read(|c| browse::page(c, &query)).unwrap().rows.len()
        };
        let run = run.to_string();
        for (is, value, rows) in [
            (Is::Contains, "%", 1), (Is::Contains, "a_b", 1), (Is::Contains, "A", 3), (Is::Contains, "\\", 1), (Is::Contains, "'", 0),
            (Is::Starts, "100", 2), (Is::Starts, "BACK", 1), (Is::Starts, "of", 0), (Is::Eq, "ÄPFEL", 1), (Is::Eq, "äpfel", 0), (Is::Contains, "äpfel", 0),
        ] {
            assert_eq!(found("error_log", &[("error_message", is, value)]), rows, "{is:?} {value}");
        }
        for (is, value, rows) in [
            (Is::Ge, "2026-01-01T00:00:01Z", 3), (Is::Gt, "2026-01-01 00:00:01", 2), (Is::Le, "2026-01-01T00:00:01Z", 2),
            (Is::Lt, "2026-01-01T00:00:01Z", 1), (Is::Eq, "2026-01-01T00:00:01Z", 1), (Is::Ge, "2026-01-02", 0),
        ] {
            assert_eq!(found("error_log", &[("occurred_at", is, value)]), rows, "{is:?} {value}");
        }
        assert_eq!(found("error_log", &[("pipeline_run_id", Is::Eq, &run)]), 2);
        assert_eq!(found("error_log", &[("pipeline_run_id", Is::Null, "true")]), 2);
        assert_eq!(found("error_log", &[("pipeline_run_id", Is::Null, "false"), ("resolved", Is::Eq, "true")]), 1);
        assert_eq!(found("error_log", &[("module", Is::Eq, "upload"), ("resolved", Is::Eq, "false"), ("occurred_at", Is::Gt, "2026-01-01")]), 2);
        assert_eq!(found("analytics", &[("view_count", Is::Ge, "5"), ("click_through_rate", Is::Lt, "0.6")]), 1);
        assert_eq!(found("analytics", &[("view_count", Is::Gt, "5")]), 0);
    }

    fn times_of_other_programs_are_compared_as_times(t) {
        let db = t.db();
        db.write(|c| {
            for time in ["2026-01-01 00:00:00", "2026-01-01 00:00:00.000", "2026-01-01 00:00:00.000001"] {
                let zone = if t.is_postgres { "+00" } else { "" };
                make::execute(c, &format!("INSERT INTO error_log (module, error_type, error_message, occurred_at) VALUES ('m', 't', 'x', '{time}{zone}')"))?;
            }
            Ok(())
        }).unwrap();
        let found = |is, value: &str| {
            let query = Query::new("error_log").with("occurred_at", is, value);
            db.read(|c| browse::page(c, &query)).unwrap().rows.len()
        };
        assert_eq!([Is::Eq, Is::Ge, Is::Gt, Is::Le, Is::Lt].map(|is| found(is, "2026-01-01")), [2, 3, 1, 2, 0]);
    }

    fn an_address_carries_a_whole_query(t) {
        let _ = t;
        let pairs = [("status", "failed"), ("queued_at.ge", "2026-01-01"), ("error_message.contains", "50%"), ("sort", "queued_at"), ("order", "asc"),
            ("limit", "20"), ("job_type", ""), ("where", "attempts"), ("is", "ge"), ("value", "2")];
        let query = Query::from_pairs("video_processing_jobs", pairs).unwrap();
        assert_eq!((query.filters.len(), query.sort.as_deref(), query.limit), (4, Some("queued_at"), 20));
        assert_eq!(Query::from_pairs("video_processing_jobs", query.to_pairs()).unwrap(), query);
    }

    fn mistakes_in_a_query_say_what_is_offered(t) {
        let db = t.db();
        let said = |query: &Query| db.read(|c| browse::page(c, query)).unwrap_err().to_string();
        let jobs = || Query::new("video_processing_jobs");
        for (query, words) in [
            (Query::new("sqlite_master"), "unknown table \"sqlite_master\"; expected"),
            (jobs().with("nothing", Is::Eq, "1"), "unknown column \"nothing\"; expected id, "),
            (jobs().with("id\" OR 1=1 --", Is::Eq, "1"), "unknown column"),
            (jobs().with("attempts", Is::Eq, "many"), "attempts must be a whole number, got \"many\""),
            (jobs().with("status", Is::Eq, "done"), "status must be queued, processing"),
            (jobs().with("queued_at", Is::Ge, "soon"), "queued_at must be a time"),
            (jobs().with("video_id", Is::Eq, "7"), "video_id must be a UUID"),
            (jobs().with("attempts", Is::Contains, "1"), "cannot be filtered by contains; use eq"),
            (jobs().with("payload", Is::Eq, "{}"), "cannot be filtered by eq; use null"),
            (jobs().with("lease_token", Is::Eq, "1"), "may contain secrets"),
            (jobs().by("priority", Order::Asc), "cannot be sorted by priority, because no index has this order; sort by id"),
            (Query::new("trends").by("views", Order::Desc), "cannot be sorted by views unless platform is filtered"),
            (jobs().at(Some("x".to_owned())), "cursor is damaged"),
            (jobs().with("error_message", Is::Contains, "x".repeat(20_000)), "more than 10000 bytes"),
        ] {
            let said = said(&query);
            assert!(said.contains(words), "{said}");
        }
        db.write(|c| { for _ in 0..3 { make::video_job(c).insert(c)?; } Ok(()) }).unwrap();
        let next = db.read(|c| browse::page(c, &Query { limit: 1, ..jobs() })).unwrap().next;
        let other = said(&Query::new("clips").at(next.clone()));
        assert!(other.contains("belongs to another table or order"), "{other}");
        let other = said(&jobs().by("queued_at", Order::Desc).at(next));
        assert!(other.contains("belongs to another table or order"), "{other}");
        for (pair, words) in [(("order", "up"), "unknown order"), (("limit", "101"), "from 1 to 100"), (("status.near", "x"), "unknown comparison")] {
            let said = Query::from_pairs("video_processing_jobs", [pair]).unwrap_err().to_string();
            assert!(said.contains(words), "{said}");
        }
        let missing = db.read(|c| browse::row(c, "clips", "7")).unwrap_err();
        assert!(missing.is_not_found());
        assert!(db.read(|c| browse::row(c, "clips", "x")).unwrap_err().to_string().contains("id must be a whole number"));
        assert!(db.read(|c| browse::video(c, "missing")).unwrap_err().is_not_found());
        assert!(db.read(|c| browse::run(c, 7.into())).unwrap_err().is_not_found());
    }

    fn a_query_that_takes_too_long_is_stopped(t) {
        let db = t.db();
        db.write(|c| make::execute(c, "INSERT INTO error_log (module, error_type, error_message) \
            WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT 'm', 't', 'message' FROM n")).unwrap();
        let slow = Query { time_limit: Duration::from_millis(1), ..Query::new("error_log").with("error_message", Is::Contains, "no such text") };
        let said = db.read(|c| browse::page(c, &slow)).unwrap_err().to_string();
        assert!(said.contains("the list of error_log took longer than 0.001 s; filter by a column that has an index"), "{said}");
        // The limit is gone, and the connection still works.
        let query = Query { time_limit: Duration::from_secs(60), ..slow };
        assert!(db.read(|c| browse::page(c, &query)).unwrap().rows.is_empty());
        if t.is_postgres {
            let limit = db.read(|c| { browse::page(c, &query)?; Ok(make::query(c, "SELECT current_setting('statement_timeout') AS v")) }).unwrap();
            assert_eq!(limit, ["0"]);
        }
    }

    fn secrets_are_never_part_of_a_result(t) {
        let db = t.db();
        let keyring = Keyring::new([Key::generate().unwrap()]);
        let (channel, job) = db.write(|c| {
            let channel = NewChannel { api_credentials_encrypted: Sealed::from("plain-secret".to_owned()), ..make::channel() }.insert(c)?;
            secrets::set(c, &keyring, &Place::ChannelGithubKey(channel.id), &Secret::from("github-secret".to_owned()))?;
            secrets::set(c, &keyring, &Place::Setting("own_api_key".to_owned()), &Secret::from("setting-secret".to_owned()))?;
            NewSystemConfiguration { encrypted: Some(true), value: Json(serde_json::json!("forgotten-secret")).0.into(), ..make::setting() }.insert(c)?;
            for key in ["youtube_api_key", "telegram_bot_token"] {
                NewConfigOverride::new(key, "override-secret").insert(c)?;
            }
            NewConfigOverride::new("queue_paused", "false").insert(c)?;
            let video = NewVideo { channel_id: channel.id, ..make::video(c) }.insert(c)?;
            NewVideoProcessingJob::new(video.id, channel.id, JobType::Download).insert(c)?;
            let job = queue::claim(c, &Claim::new("w"))?.remove(0);
            Ok((channel.id, job))
        }).unwrap();
        let token = job.lease_token.unwrap().to_string();
        db.read(|c| {
            let mut all = String::new();
            for table in browse::tables() {
                let page = browse::page(c, &Query::new(table.name))?;
                all += &serde_json::to_string(&page).unwrap();
                for row in &page.rows {
                    all += &serde_json::to_string(&browse::row(c, table.name, &row.key)?).unwrap();
                }
            }
            all += &serde_json::to_string(&browse::channel(c, channel)?).unwrap();
            all += &serde_json::to_string(&browse::job(c, job.id)?).unwrap();
            for secret in ["plain-secret", "github-secret", "setting-secret", "forgotten-secret", "override-secret", &token] {
                assert!(!all.contains(secret), "{secret}");
            }
            assert!(!all.contains("viraldb:1:"), "not even encrypted");
            assert!(all.contains("encrypted with key ") && all.contains("not encrypted") && all.contains("***"));
            // A setting that only the configuration file knows may be secret.
            for key in ["youtube_api_key", "telegram_bot_token"] {
                assert_eq!(browse::row(c, "config_overrides", key)?.values["value"], "***");
            }
            assert_ne!(browse::row(c, "config_overrides", "queue_paused")?.values["value"], "***");
            Ok(())
        }).unwrap();
    }

    fn texts_are_cut_in_lists_and_whole_in_rows(t) {
        let db = t.db();
        let text = format!("<script>'\"{}\u{202e}\u{1F525}{}", "%_\\", "é".repeat(10_000));
        let id = db.write(|c| Ok(NewErrorLog { stack_trace: Some(text.clone().into()), ..NewErrorLog::new("m", "t", text.clone()) }.insert(c)?.id)).unwrap();
        let page = db.read(|c| browse::page(c, &Query::new("error_log"))).unwrap();
        let row = &page.rows[0];
        let shown = row.values["error_message"].as_str().unwrap();
        assert_eq!((shown.chars().count(), row.cut.as_slice()), (201, ["error_message", "stack_trace"].as_slice()));
        assert!(shown.ends_with('…') && text.starts_with(shown.trim_end_matches('…')));
        let row = db.read(|c| browse::row(c, "error_log", &id.to_string())).unwrap();
        assert_eq!((row.values["error_message"].as_str(), row.cut.is_empty()), (Some(&*text), true));
        let job = db.write(|c| {
            let payload = serde_json::json!({"texts": vec!["abc"; 1_000], "number": 1.5});
            NewVideoProcessingJob { payload: Some(Json(payload)), ..make::video_job(c) }.insert(c)
        }).unwrap();
        let page = db.read(|c| browse::page(c, &Query::new("video_processing_jobs"))).unwrap();
        assert!(page.rows[0].cut == ["payload"] && page.rows[0].values["payload"].is_string());
        let row = db.read(|c| browse::row(c, "video_processing_jobs", &job.id.to_string())).unwrap();
        assert_eq!(row.values["payload"]["number"], 1.5);
    }

    fn details_show_everything_that_belongs_to_a_row(t) {
        let db = t.db();
        let (clip, job, source) = db.write(|c| {
            let clip = make::clip(c).insert(c)?;
            NewErrorLog { pipeline_run_id: Some(clip.pipeline_run_id), ..make::error() }.insert(c)?;
            NewReviewLog::new(clip.pipeline_run_id).insert(c)?;
            let video = DiscoveredVideo::find(c, clip.discovered_video_id)?;
            NewAnalytics { view_count: Some(7), ..NewAnalytics::new(video.video_id) }.insert(c)?;
            let job = make::video_job(c).insert(c)?;
            let claimed = queue::claim(c, &Claim::new("w"))?.remove(0);
            queue::fail(c, queue::Lease::from(&claimed), &Failure::new("HTTP 503"))?;
            NewChannelStatistics { subscriber_count: Some(3), ..NewChannelStatistics::new(job.channel_id) }.insert(c)?;
            NewVideoStatistics { view_count: Some(4), ..NewVideoStatistics::new(job.video_id) }.insert(c)?;
            let source = Video::find(c, job.video_id)?;
            Ok((clip, job, source))
        }).unwrap();
        db.read(|c| {
            let run = browse::run(c, clip.pipeline_run_id)?;
            assert_eq!([run.clips.rows.len(), run.videos.len(), run.reviews.rows.len(), run.errors.rows.len(), run.shorts.rows.len()], [1, 1, 1, 1, 0]);
            let video = run.videos[0].values["video_id"].as_str().unwrap().to_owned();
            let view = browse::video(c, &video)?;
            assert_eq!((view.table, view.runs.len(), view.series.days.len(), view.series.hours[0].views), ("discovered_videos", 1, 1, Some(7)));
            let found = browse::job(c, job.id)?;
            assert_eq!((found.attempts.len(), found.attempts[0].error.as_deref()), (1, Some("HTTP 503")));
            assert_eq!(found.video.unwrap().values["source_title"], source.source_title.as_str());
            let channel = browse::channel(c, job.channel_id)?;
            assert_eq!((channel.jobs.rows.len(), channel.series.days[0].subscribers), (1, Some(3)));
            let view = browse::video(c, &job.video_id.to_string())?;
            assert_eq!((view.table, view.jobs.unwrap().rows.len(), view.series.days[0].views), ("videos", 1, Some(4)));
            Ok(())
        }).unwrap();
    }

    fn lists_and_details_take_a_fixed_number_of_statements(t) {
        let db = t.db();
        let (run, job) = db.write(|c| Ok((make::clip(c).insert(c)?.pipeline_run_id, make::video_job(c).insert(c)?))).unwrap();
        let mut session = db.session().unwrap();
        let count = |c: &mut DbConnection, work: &dyn Fn(&mut DbConnection) -> viraldb::Result<()>| {
            let all = statements(c, |c| work(c));
            all.iter().filter(|sql| sql.starts_with("SELECT") && !sql.contains("set_config")).count()
        };
        let all = |c: &mut DbConnection| {
            [
                count(c, &|c| browse::page(c, &Query::new("clips")).map(drop)),
                count(c, &|c| browse::page(c, &Query::new("videos").by("published_at", Order::Asc)).map(drop)),
                count(c, &|c| browse::row(c, "videos", &job.video_id.to_string()).map(drop)),
                count(c, &|c| browse::run(c, run).map(drop)),
                count(c, &|c| browse::job(c, job.id).map(drop)),
                count(c, &|c| browse::video(c, &job.video_id.to_string()).map(drop)),
            ]
        };
        let few = all(&mut session);
        assert_eq!(few[..5], [1, 2, 1, 8, 5]);
        fill(&db);
        db.write(|c| {
            for rank in 1..60 {
                let clip = make::clip(c);
                NewClip { pipeline_run_id: run, rank_position: rank, ..clip }.insert(c)?;
                NewVideoProcessingJob::new(job.video_id, job.channel_id, JobType::Publish).insert(c)?;
            }
            Ok(())
        }).unwrap();
        assert_eq!(all(&mut session)[3..], few[3..]);
        let view = browse::run(&mut session, run).unwrap();
        assert_eq!((view.clips.rows.len(), view.clips.more), (50, true));
    }

    fn search_finds_ids_titles_names_and_errors(t) {
        let db = t.db();
        let (channel, video, error) = db.write(|c| {
            let channel = NewChannel { name: "Cats 100%".into(), ..make::channel() }.insert(c)?;
            let video = NewDiscoveredVideo { video_id: "Abc_def-123".into(), title: "<b>Cats</b> & Dogs".into(), niche: "cat_facts".into(), ..make::discovered_video() }.insert(c)?;
            NewDiscoveredVideo { video_id: "abc_def-123".into(), ..make::discovered_video() }.insert(c)?;
            let error = NewErrorLog::new("upload", "TimeoutError", "no answer: CATS").insert(c)?;
            Ok((channel, video, error))
        }).unwrap();
        let search = |text: &str| {
            let found = db.read(|c| browse::search(c, text)).unwrap();
            found.groups.into_iter().flat_map(|group| group.hits).map(|hit| (hit.table, hit.key)).collect::<Vec<_>>()
        };
        let cats = search("cats");
        for hit in [("channels", channel.id.to_string()), ("discovered_videos", "Abc_def-123".to_owned()), ("error_log", error.id.to_string())] {
            assert!(cats.contains(&hit), "{hit:?}: {cats:?}");
        }
        assert_eq!(search("100%"), [("channels", channel.id.to_string())]);
        assert_eq!(search("Abc_d"), [("discovered_videos", "Abc_def-123".to_owned())]);
        assert_eq!(search("CAT_F"), [("discovered_videos", "cat_facts".to_owned())]);
        assert!(search(&video.id.to_string()).contains(&("discovered_videos", "Abc_def-123".to_owned())));
        let id = channel.id.to_string();
        assert_eq!(search(&id), [("channels", id.clone())]);
        assert!(search(&id[..13].to_uppercase()).contains(&("channels", id)));
        assert!(search("nothing has this").is_empty() && search("' OR '1'='1").is_empty());
        for text in ["a", " ", &"x".repeat(201)] {
            let said = db.read(|c| browse::search(c, text)).unwrap_err().to_string();
            assert!(said.contains("must have 2 to 200 characters"), "{said}");
        }
    }

    fn the_indexes_of_lists_are_in_the_database(t) {
        let db = t.db();
        let described = ops::describe(&db, &[]).unwrap();
        for table in browse::tables() {
            let of = described.iter().find(|of| of.name == table.name).unwrap();
            let columns: Vec<&str> = of.columns.iter().map(|column| column.name.as_str()).collect();
            let known: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
            assert_eq!(columns.iter().collect::<BTreeSet<_>>(), known.iter().collect::<BTreeSet<_>>());
            for column in &table.columns {
                if column.name == table.key {
                    continue;
                }
                let key = of.foreign_keys.iter().find(|key| key.columns == [column.name]);
                assert_eq!(key.map(|key| key.references.as_str()), column.references, "{}.{}", table.name, column.name);
                if column.sort {
                    let begins: Vec<&str> = column.sort_with.into_iter().chain([column.name]).collect();
                    let has_order = of.indexes.iter().any(|index| {
                        index.columns.iter().zip(&begins).filter(|(has, wants)| has.split(' ').next().map(|name| name.trim_matches('"')) == Some(**wants)).count() == begins.len()
                    });
                    assert!(has_order, "{}.{}", table.name, column.name);
                }
            }
        }
    }
}
