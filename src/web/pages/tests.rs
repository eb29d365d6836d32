//! Tests of the pages with hostile rows, on SQLite; the integration tests read the same rows on both engines.

use chrono::Utc;
use maud::Markup;

use super::{channel, job, list, row, run, search, video};
use crate::browse::{self, Is, Order, Query};
use crate::compilation::{
    NewAnalytics, NewClip, NewDiscoveredVideo, NewErrorLog, NewPipelineRun, NewReviewLog, NewScript, NewShort,
};
use crate::republishing::{JobType, NewChannel, NewVideo, NewVideoProcessingJob};
use crate::{Database, DbConnection, Json, Timestamp};

/// Text that would run, break the layout or break the document if it were not escaped.
const HOSTILE: [&str; 5] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(2)>",
    "'; }</style><script>alert(3)</script>",
    "\u{202e}desrever \u{1F525} &amp; &lt;",
    "\u{1b}[31m\u{7}\u{1}\0",
];

/// Inserts rows whose texts are all hostile, and returns each page.
fn pages(c: &mut DbConnection, text: &str, n: i32) -> crate::Result<Vec<(String, Markup)>> {
    let long = || format!("{text}{}", "x".repeat(10_000));
    let now = Timestamp::now();
    let platform_id = format!("{text}{n}");
    let found = NewDiscoveredVideo {
        video_id: platform_id.clone().into(),
        title: long().into(),
        channel_name: text.to_owned().into(),
        niche: text.to_owned().into(),
        view_count: Some(i64::MAX),
        view_velocity: Some(f64::MAX),
        ..Default::default()
    }
    .insert(c)?;
    NewAnalytics { view_count: Some(7), ..NewAnalytics::new(platform_id.clone()) }.insert(c)?;
    let of = NewPipelineRun {
        error_message: Some(long().into()),
        ..NewPipelineRun::new(text.to_owned(), now, now)
    }
    .insert(c)?;
    NewClip {
        extraction_method: Some(text.to_owned().into()),
        ..NewClip::new(of.id, found.id, 1, 0.0, f64::MAX)
    }
    .insert(c)?;
    NewScript {
        opening_text: Some(long().into()),
        full_script_json: Some(Json(text.into())),
        ..NewScript::new(of.id)
    }
    .insert(c)?;
    NewShort { title: Some(long().into()), ..NewShort::new(of.id) }.insert(c)?;
    NewReviewLog { response_detail: Some(text.to_owned().into()), ..NewReviewLog::new(of.id) }.insert(c)?;
    let error = NewErrorLog {
        pipeline_run_id: Some(of.id),
        stack_trace: Some(long().into()),
        ..NewErrorLog::new(text.to_owned(), text.to_owned(), long())
    }
    .insert(c)?;
    let on = NewChannel::new(long(), format!("UC{n}")).insert(c)?;
    let source = NewVideo { ..NewVideo::new(on.id, long(), long(), text.to_owned()) }.insert(c)?;
    let work = NewVideoProcessingJob {
        error_message: Some(long().into()),
        leased_by: Some(text.to_owned().into()),
        payload: Some(Json(serde_json::json!({ text: [text, long()] }))),
        ..NewVideoProcessingJob::new(source.id, on.id, JobType::Download)
    }
    .insert(c)?;
    let mut pages = Vec::new();
    for table in browse::tables() {
        let column = table.columns.iter().find(|column| column.filters.contains(&Is::Contains));
        let mut query = Query { limit: 1, ..Query::new(table.name) }.by(table.key, Order::Desc);
        pages.push((format!("list-{}", table.name), list::list(&browse::page(c, &query)?, &query)));
        if let Some(column) = column.filter(|_| !text.contains('\0')) {
            query = query.with(column.name, Is::Contains, text);
            pages.push((format!("filtered-{}", table.name), list::list(&browse::page(c, &query)?, &query)));
        }
    }
    let table = browse::table("error_log")?;
    pages.push((
        "row".to_owned(),
        row::row(table, &browse::row(c, "error_log", &error.id.to_string())?, None),
    ));
    pages.push(("run".to_owned(), run::run(&browse::run(c, of.id)?, None)));
    pages.push(("job".to_owned(), job::job(&browse::job(c, work.id)?, Utc::now(), None)));
    pages.push(("channel".to_owned(), channel::channel(&browse::channel(c, on.id)?, None)));
    pages.push(("source-video".to_owned(), video::video(&browse::video(c, &source.id.to_string())?, None)));
    pages.push(("discovered-video".to_owned(), video::video(&browse::video(c, &platform_id)?, None)));
    pages.push(("search".to_owned(), search::search(text, Some(&browse::search(c, text)?))));
    pages.push(("tables".to_owned(), list::tables()));
    Ok(pages)
}

#[test]
fn hostile_text_shows_as_text_on_every_page() {
    let db = Database::open("sqlite::memory:").unwrap();
    for (n, text) in HOSTILE.into_iter().enumerate() {
        for (name, page) in db.write(|c| pages(c, text, n as i32)).unwrap() {
            let html = page.into_string();
            for forbidden in ["<script", "<img", "<style", "style=", "\u{1b}", "\u{7}", "\u{1}", "\0"] {
                assert!(!html.contains(forbidden), "{name}: {forbidden:?}");
            }
            assert!(html.len() < 200_000, "{name}: {} bytes", html.len());
            // Each address is within the dashboard.
            for (at, _) in html.match_indices(" href=\"").chain(html.match_indices(" action=\"")) {
                let address = &html[at + 1..];
                let address = &address[address.find('"').unwrap() + 1..];
                assert!(address.starts_with('/') && !address.starts_with("//"), "{name}: {:.80}", address);
            }
        }
    }
}

#[test]
fn a_list_keeps_its_filters_when_it_is_sorted_or_paged() {
    let db = Database::open("sqlite::memory:").unwrap();
    for message in ["a & b", "a & c"] {
        db.write(|c| NewErrorLog::new("m", "t", message).insert(c)).unwrap();
    }
    let query = Query { limit: 1, ..Query::new("error_log") }
        .with("error_message", Is::Contains, "a & ")
        .with("resolved", Is::Eq, "false");
    let page = db.read(|c| browse::page(c, &query)).unwrap();
    let html = list::list(&page, &query).into_string();
    let kept = "/tables/error_log?error_message.contains=a%20%26%20&amp;resolved=false&amp;";
    assert!(html.contains(&format!("{kept}sort=occurred_at&amp;order=desc&amp;limit=1\"")), "{html}");
    assert!(html.contains(&format!("{kept}limit=1&amp;cursor=")), "{html}");
    assert!(html.contains("<option value=\"false\" selected>no</option>"));
    assert!(html.contains("error_message contains a &amp; "));
    assert!(html.contains("name=\"error_message.contains\" value=\"a &amp; \""));
}
