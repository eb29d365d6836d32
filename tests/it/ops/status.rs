//! `status`: exact counts of small tables, estimates of large ones.

use serde_json::{Value, json};
use viraldb::Database;
use viraldb::ops::{Status, status, status_exact};
use viraldb::report::Count;
use viraldb::republishing::JobStatus;

use super::sql;
use crate::make;
use crate::support::{Scratch, both};

/// Returns a subquery with the numbers from 1 to `count` as `n`.
fn numbers(t: &Scratch, count: u32) -> String {
    if t.is_postgres {
        return format!("generate_series(1, {count}) AS numbers (n)");
    }
    format!(
        "(WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count}) SELECT n FROM numbers) AS numbers"
    )
}

fn fill_analytics(t: &Scratch, db: &Database, count: u32) {
    sql(
        db,
        &format!(
            "INSERT INTO analytics (youtube_video_id, view_count) SELECT 'yt', n FROM {}",
            numbers(t, count)
        ),
    );
}

/// Inserts pending videos: one of 1,000 in the niche `rare`, and of the others one of four in `music`. One of ten is used.
fn fill_videos(t: &Scratch, db: &Database, count: u32) {
    sql(
        db,
        &format!(
            "INSERT INTO discovered_videos (video_id, title, channel_name, channel_id, url, niche, processed) \
             SELECT 'v' || n, 't', 'c', 'UC1', 'https://youtu.be/v' || n, \
             CASE WHEN n % 1000 = 0 THEN 'rare' WHEN n % 4 = 0 THEN 'music' ELSE 'gaming' END, \
             CASE WHEN n % 10 = 1 THEN 1 ELSE 0 END FROM {}",
            numbers(t, count)
        ),
    );
}

fn count_of(status: &Status, table: &str) -> Count {
    status.tables.iter().find(|count| count.table == table).unwrap().count
}

/// Requires an estimate that differs by at most 5 % from the exact number.
fn assert_near(count: Count, exact: i64) {
    assert!(count.is_estimate && (count.rows - exact).abs() * 20 <= exact, "{count:?} is not near {exact}");
}

both! {
    fn small_database_is_counted(t) {
        let db = t.db();
        db.write(|c| { make::seed(c)?; make::link(c) }).unwrap();
        let quick = status(&db).unwrap();
        assert_eq!(quick, status_exact(&db).unwrap());
        assert!(!quick.has_estimates());
        assert_eq!(count_of(&quick, "clips"), Count::exact(1));
        let text = t.ok(&["status"]);
        assert!(!text.contains('~'), "{text}");
        let json: Value = serde_json::from_str(&t.ok(&["status", "--json"])).unwrap();
        assert_eq!(json["estimates"], json!([]));
        assert_eq!(json["tables"][0], json!({ "table": "discovered_videos", "rows": 1, "is_estimate": false }));
    }

    fn large_table_is_estimated_after_deletes_too(t) {
        let db = t.db();
        fill_analytics(t, &db, 260_000);
        let rows = || count_of(&status(&db).unwrap(), "analytics");
        assert_near(rows(), 260_000);
        sql(&db, "DELETE FROM analytics WHERE id % 2 = 0");
        assert_near(rows(), 130_000);
        sql(&db, "DELETE FROM analytics WHERE id <= 130000");
        assert_near(rows(), 65_000);
        assert_eq!(count_of(&status_exact(&db).unwrap(), "analytics"), Count::exact(65_000));
        // Only three rows are left, far apart.
        sql(&db, "DELETE FROM analytics WHERE id NOT IN (130001, 200001, 259999)");
        assert_eq!(rows(), Count::exact(3));
        sql(&db, "DELETE FROM analytics");
        assert_eq!(rows(), Count::exact(0));
    }

    fn bound_is_counted_exactly(t) {
        let db = t.db();
        fill_analytics(t, &db, 50_000);
        assert_eq!(count_of(&status(&db).unwrap(), "analytics"), Count::exact(50_000));
        fill_analytics(t, &db, 1);
        assert_near(count_of(&status(&db).unwrap(), "analytics"), 50_001);
    }

    fn planner_statistics_do_not_matter(t) {
        let db = t.db();
        fill_analytics(t, &db, 1_000);
        sql(&db, "ANALYZE");
        fill_analytics(t, &db, 100_000);
        assert_near(count_of(&status(&db).unwrap(), "analytics"), 101_000);
    }

    fn large_categories_are_estimated_and_small_ones_counted(t) {
        let db = t.db();
        fill_videos(t, &db, 200_000);
        db.write(make::seed).unwrap();
        let exact = status_exact(&db).unwrap();
        let quick = status(&db).unwrap();
        let pending = |status: &Status, niche: &str| {
            status.pending_videos.iter().find(|pending| pending.niche == niche).unwrap().pending
        };
        assert_eq!(quick.estimates, ["pending_videos.gaming"]);
        for niche in ["music", "rare"] {
            assert_eq!(pending(&quick, niche), pending(&exact, niche));
        }
        assert_near(Count { rows: pending(&quick, "gaming"), is_estimate: true }, pending(&exact, "gaming"));
        assert_eq!(quick.pending_videos.len(), exact.pending_videos.len());
        assert!(!exact.has_estimates());
    }

    fn jobs_and_errors_of_large_tables_are_estimated(t) {
        let db = t.db();
        db.write(|c| { make::seed(c)?; make::link(c) }).unwrap();
        sql(&db, &format!(
            "INSERT INTO video_processing_jobs (id, video_id, channel_id, job_type, status) SELECT {}, video_id, channel_id, 'publish', \
             CASE WHEN n <= 180000 THEN 'completed' WHEN n % 2 = 0 THEN 'failed' ELSE 'queued' END \
             FROM video_processing_jobs CROSS JOIN {}",
            if t.is_postgres { "gen_random_uuid()" } else { "printf('00000000-0000-4000-8000-%012x', n)" },
            numbers(t, 190_000)
        ));
        sql(&db, &format!(
            "INSERT INTO error_log (module, error_type, error_message, resolved) SELECT 'm', 'T', 'e', n % 5 <> 0 FROM {}",
            numbers(t, 100_000)
        ));
        let (quick, exact) = (status(&db).unwrap(), status_exact(&db).unwrap());
        assert_eq!(quick.estimates, ["jobs.completed"]);
        assert_eq!(quick.unresolved_errors, exact.unresolved_errors, "an index finds them");
        for status in [JobStatus::Queued, JobStatus::Failed] {
            assert_eq!(quick.jobs[&status], exact.jobs[&status]);
        }
        assert_near(Count { rows: quick.jobs[&JobStatus::Completed], is_estimate: true }, 180_000);
    }

    fn command_marks_estimates_and_counts_with_exact(t) {
        let db = t.db();
        fill_videos(t, &db, 200_000);
        let text = t.ok(&["status"]);
        assert!(text.ends_with("\n~ marks estimates; run `viraldb status --exact` to count\n"), "{text}");
        assert!(text.contains("gaming ~13") && text.contains("   rare 200") && text.contains("discovered_videos ~200000"), "{text}");
        let text = t.ok(&["status", "--exact"]);
        assert!(!text.contains('~') && text.contains("discovered_videos 200000"), "{text}");
        let json: Value = serde_json::from_str(&t.ok(&["status", "--json"])).unwrap();
        assert_eq!(json["estimates"], json!(["pending_videos.gaming"]));
        assert_eq!(json["tables"][0]["is_estimate"], true);
        let json: Value = serde_json::from_str(&t.ok(&["status", "--exact", "--json"])).unwrap();
        assert_eq!(json["estimates"], json!([]));
        assert_eq!(json["tables"][0], json!({ "table": "discovered_videos", "rows": 200_000, "is_estimate": false }));
    }
}

/// An id near the end of the range makes the span of the rowids larger than any number of rows.
#[cfg(feature = "sqlite")]
#[test]
fn rowids_at_the_ends_of_the_range_are_counted() {
    let t = Scratch::sqlite();
    let db = t.db();
    sql(
        &db,
        "INSERT INTO analytics (id, youtube_video_id) VALUES (-9223372036854775807, 'a'), (1, 'b'), (9223372036854775807, 'c')",
    );
    assert_eq!(count_of(&status(&db).unwrap(), "analytics"), Count::exact(3));
}
