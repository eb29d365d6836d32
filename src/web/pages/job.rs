//! The page of a job of the queue.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::cells::{facts, number_of, path, text_of, time, time_of};
use super::row::link;
use crate::browse::{self, Job};
use crate::web::chart::Unit;
use crate::web::components::{
    Column, Reached, Step, Tone, ago, badge, empty, facts as named, section, status, steps, table, wide_panel,
};
use crate::web::sections::short;

/// Returns the page of a job. `now` is when it was read.
pub fn job(view: &Job, now: DateTime<Utc>, actions: Option<&Markup>) -> Markup {
    let Ok(of) = browse::table("video_processing_jobs") else { return html! {} };
    let shown = [
        "id",
        "status",
        "error_message",
        "lease_token",
        "leased_by",
        "lease_expires_at",
        "progress",
        "progress_note",
    ];
    html! {
        @if let Some(actions) = actions { div class="actions" { (actions) } }
        (wide_panel("", &diagram(view)))
        @if let Some(error) = text_of(&view.job, "error_message") {
            (section("error", "Last error", "", &wide_panel("", &html! {
                div class="long" { pre tabindex="0" { (super::cells::whole(&error.into())) } }
            })))
        }
        (section("job", "Job", "", &wide_panel("", &html! {
            (named(&[
                ("video", view.video.as_ref().map_or_else(|| html! { "–" }, |video| link("videos", video, "source_title"))),
                ("channel", view.channel.as_ref().map_or_else(|| html! { "–" }, |channel| link("channels", channel, "name"))),
            ]))
            (facts(of, &view.job, &[&shown[..], &["video_id", "channel_id"]].concat()))
        })))
        (section("lease", "Lease", "", &wide_panel("", &lease(view, now))))
        @if !view.waits_for.is_empty() {
            (section("waits", "Waits for", "", &wide_panel("", &html! {
                ul class="hits" { @for id in &view.waits_for {
                    li { a href=(path("video_processing_jobs", &id.to_string())) { code { (id) } } }
                } }
            })))
        }
        (section("attempts", "Attempts that did not complete it", "", &wide_panel("", &attempts(view))))
    }
}

/// Returns the way of the job so far.
fn diagram(view: &Job) -> Markup {
    let current = text_of(&view.job, "status").unwrap_or("unknown");
    let [queued, started, completed] =
        ["queued_at", "started_at", "completed_at"].map(|column| time_of(&view.job, column));
    let word = short(current, 40);
    let step = |word, at, reached| Step { word, at, reached };
    let way: Vec<Step> = match current {
        "queued" | "retrying" => vec![
            step(
                &word,
                if current == "queued" { queued } else { time_of(&view.job, "run_at") },
                Reached::Now,
            ),
            step("processing", None, Reached::Ahead),
            step("completed", None, Reached::Ahead),
        ],
        "processing" => vec![
            step("queued", queued, Reached::Done),
            step("processing", started, Reached::Now),
            step("completed", None, Reached::Ahead),
        ],
        _ => {
            let mut way = vec![step("queued", queued, Reached::Done)];
            if started.is_some() {
                way.push(step("processing", started, Reached::Done));
            }
            way.push(step(&word, completed, Reached::Now));
            way
        }
    };
    steps(&way)
}

fn lease(view: &Job, now: DateTime<Utc>) -> Markup {
    let Some(worker) = text_of(&view.job, "leased_by") else {
        return empty("No worker holds the job.", &html! {});
    };
    let expires = time_of(&view.job, "lease_expires_at");
    let progress = match (number_of(&view.job, "progress"), text_of(&view.job, "progress_note")) {
        (None, None) => "not reported".to_owned(),
        (part, note) => {
            let part = part.map(|part| Unit::Percent.short(100.0 * part)).unwrap_or_default();
            format!("{part} {}", short(note.unwrap_or_default(), 200)).trim().to_owned()
        }
    };
    named(&[
        ("worker", html! { (short(worker, 100)) }),
        (
            "expires",
            match expires {
                Some(at) if at < now => html! { (badge(Tone::Bad, "expired")) " " (ago(at, now)) },
                Some(at) => ago(at, now),
                None => html! { "–" },
            },
        ),
        ("progress", html! { (progress) }),
    ])
}

fn attempts(view: &Job) -> Markup {
    let rows: Vec<Vec<Markup>> = view
        .attempts
        .iter()
        .map(|attempt| {
            vec![
                html! { (attempt.attempt) },
                status(attempt.outcome.as_str()),
                html! { (attempt.worker.as_deref().map_or_else(|| "–".to_owned(), |worker| short(worker, 60))) },
                attempt.started_at.map_or_else(|| html! { "–" }, |at| time(at.to_utc())),
                time(attempt.ended_at.to_utc()),
                html! { (attempt.error.as_deref().map_or_else(|| "–".to_owned(), |error| short(error, 300))) },
            ]
        })
        .collect();
    let columns = [
        Column::number("Attempt"),
        Column::text("Outcome"),
        Column::text("Worker"),
        Column::text("Started"),
        Column::text("Ended"),
        Column::text("Error"),
    ];
    html! {
        (table("Attempts", &columns, &rows, &empty("No attempt failed.", &html! {})))
        @if view.more_attempts { p class="note" { "Only the last " (view.attempts.len()) " attempts are shown." } }
    }
}
