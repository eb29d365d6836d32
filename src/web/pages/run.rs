//! The page of a run.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::Value;

use super::cells::{children, decimal, facts, row_path, text_of, time_of};
use crate::browse::{self, Row, Run};
use crate::web::components::{Column, Reached, Step, empty, section, status, steps, table, wide_panel};
use crate::web::sections::short;

/// The statuses of a run that goes well.
const WAY: [&str; 5] = ["pending", "running", "review", "approved", "uploaded"];

/// Returns the page of a run.
pub fn run(view: &Run, actions: Option<&Markup>) -> Markup {
    let key = &view.run.key;
    let Ok(of) = browse::table("pipeline_runs") else { return html! {} };
    html! {
        @if let Some(actions) = actions { div class="actions" { (actions) } }
        (wide_panel("", &diagram(view)))
        @if let Some(error) = text_of(&view.run, "error_message") {
            p class="lead" { (status("failed")) " " (short(error, 500)) }
        }
        (section("run", "Run", "", &wide_panel("", &facts(of, &view.run, &["id", "status"]))))
        (section("clips", "Clips", "", &wide_panel("", &clips(view))))
        (section("scripts", "Scripts", "The first one is current.", &wide_panel("", &children(
            "Scripts", &view.scripts, key,
            &["id", "generated_at", "llm_model_used", "total_char_count", "estimated_duration_seconds", "opening_text"],
            ("The run has no script yet.", "viraldb scripts add"),
        ))))
        (section("audio", "Voice recordings", "The first one is current.", &wide_panel("", &children(
            "Voice recordings", &view.tts_audio, key,
            &["id", "generated_at", "engine_used", "voice_profile", "duration_seconds", "audio_file_path"],
            ("The run has no voice recording yet.", ""),
        ))))
        (section("shorts", "Shorts", "", &wide_panel("", &children(
            "Shorts", &view.shorts, key,
            &["id", "title", "status", "clip_id", "duration_seconds", "youtube_video_id", "uploaded_at"],
            ("The run has no shorts yet.", ""),
        ))))
        (section("reviews", "Reviews", "", &wide_panel("", &children(
            "Reviews", &view.reviews, key,
            &["id", "sent_at", "responded_at", "action", "response_detail", "auto_held"],
            ("No review was requested yet.", ""),
        ))))
        (section("errors", "Errors", "", &wide_panel("", &children(
            "Errors", &view.errors, key,
            &["id", "occurred_at", "module", "error_type", "error_message", "resolved"],
            ("The run has no errors.", ""),
        ))))
    }
}

/// Returns the way of the run so far.
fn diagram(view: &Run) -> Markup {
    let current = text_of(&view.run, "status").unwrap_or("unknown");
    let reviews = &view.reviews.rows;
    let sent = reviews.iter().filter_map(|review| time_of(review, "sent_at")).min();
    let answered = reviews.iter().filter_map(|review| time_of(review, "responded_at")).max();
    let times = [
        ("pending", time_of(&view.run, "cycle_start")),
        ("running", time_of(&view.run, "started_at")),
        ("review", sent),
        ("approved", answered.filter(|_| matches!(current, "approved" | "uploaded"))),
        ("uploaded", time_of(&view.run, "completed_at")),
    ];
    let place = WAY.iter().position(|word| *word == current);
    let mut way: Vec<Step> = Vec::new();
    for (index, (word, at)) in times.into_iter().enumerate() {
        let reached = match place {
            Some(place) if index < place => Reached::Done,
            Some(place) if index == place => Reached::Now,
            Some(_) => Reached::Ahead,
            // A failed run got as far as it has times.
            None if at.is_some() && word != "uploaded" => Reached::Done,
            None => continue,
        };
        let at = if reached == Reached::Ahead { None } else { at };
        way.push(Step { word, at, reached });
    }
    let word = short(current, 40);
    if place.is_none() {
        way.push(Step { word: &word, at: time_of(&view.run, "completed_at"), reached: Reached::Now });
    }
    steps(&way)
}

/// Returns the clips by rank, with the titles of their videos.
fn clips(view: &Run) -> Markup {
    let videos: BTreeMap<&str, &Row> = view.videos.iter().map(|video| (video.key.as_str(), video)).collect();
    let mut clips: Vec<&Row> = view.clips.rows.iter().collect();
    clips.sort_by_key(|clip| clip.values.get("rank_position").and_then(Value::as_i64));
    let number = |clip: &Row, column: &str| match clip.values.get(column) {
        Some(Value::Number(number)) => decimal(number),
        _ => "–".to_owned(),
    };
    let rows: Vec<Vec<Markup>> = clips
        .into_iter()
        .map(|clip| {
            let video = clip.values.get("discovered_video_id").map(Value::to_string).unwrap_or_default();
            vec![
                html! { a href={ "/tables/clips/" (clip.key) } { (number(clip, "rank_position")) } },
                match videos.get(video.as_str()) {
                    Some(row) => html! {
                        a href=(row_path("discovered_videos", row)) { (short(text_of(row, "title").unwrap_or("no title"), 80)) }
                    },
                    None => html! { a href={ "/tables/discovered_videos/" (video) } { (video) } },
                },
                html! { (number(clip, "start_time_seconds")) " to " (number(clip, "end_time_seconds")) " s" },
                html! { (text_of(clip, "extraction_method").map_or_else(|| "–".to_owned(), |text| short(text, 40))) },
                html! { (short(text_of(clip, "content_id_risk").unwrap_or("–"), 20)) },
            ]
        })
        .collect();
    let columns = [
        Column::number("Rank"),
        Column::text("Video"),
        Column::text("Piece"),
        Column::text("Chosen by"),
        Column::text("Content ID risk"),
    ];
    html! {
        (table("Clips", &columns, &rows, &empty("The run has no clips yet.", &html! {
            "Choose them with " (crate::web::components::command(&format!("viraldb runs choose {}", view.run.key)))
        })))
        @if view.clips.more {
            p class="note" {
                "Only " (view.clips.rows.len()) " clips are shown. "
                a href=(super::list::filtered("clips", "pipeline_run_id", &view.run.key)) { "Show all as a list" }
            }
        }
    }
}
