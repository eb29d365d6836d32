//! The page of a discovered video or a source video.

use maud::{Markup, html};

use super::cells::{children, facts, text_of};
use super::channel::chart;
use super::row::link;
use crate::browse::{self, VideoView};
use crate::web::components::{facts as named, grid, panel, section, status, wide_panel};
use crate::web::sections::short;

/// Returns the page of a video.
pub fn video(view: &VideoView, actions: Option<&Markup>) -> Markup {
    let Ok(of) = browse::table(view.table) else { return html! {} };
    let key = &view.video.key;
    let word = |column: &str| status(&short(text_of(&view.video, column).unwrap_or("unknown"), 40));
    html! {
        @if let Some(actions) = actions { div class="actions" { (actions) } }
        @if view.table == "videos" {
            (wide_panel("", &named(&[
                ("download", word("download_status")),
                ("transformation", word("transformation_status")),
                ("publication", word("publication_status")),
                ("channel", view.channel.as_ref().map_or_else(|| html! { "–" }, |channel| link("channels", channel, "name"))),
            ])))
        }
        (section("statistics", "Statistics", "", &grid(&[
            panel("", &chart("Views", &view.series, &[("views", |point| point.views)])),
            panel("", &chart("Likes and comments", &view.series, &[
                ("likes", |point| point.likes),
                ("comments", |point| point.comments),
            ])),
        ])))
        (section("video", "Video", "", &wide_panel("", &facts(of, &view.video, &[]))))
        @if let Some(clips) = &view.clips {
            (section("clips", "Clips", "", &wide_panel("", &children(
                "Clips", clips, key,
                &["id", "pipeline_run_id", "rank_position", "start_time_seconds", "end_time_seconds", "extraction_method"],
                ("No clip was cut from the video.", ""),
            ))))
            @if !view.runs.is_empty() {
                (section("runs", "Runs", "The runs of these clips.", &wide_panel("", &html! {
                    ul class="hits" {
                        @for run in view.runs.iter().rev() {
                            li {
                                a href={ "/runs/" (run.key) } { "run " (run.key) } " "
                                (status(&short(text_of(run, "status").unwrap_or("unknown"), 40))) " "
                                span { (short(text_of(run, "niche").unwrap_or_default(), 60)) }
                            }
                        }
                    }
                })))
            }
        }
        @if let Some(jobs) = &view.jobs {
            (section("jobs", "Jobs", "", &wide_panel("", &children(
                "Jobs", jobs, key,
                &["id", "job_type", "status", "attempts", "queued_at", "completed_at", "error_message"],
                ("The video has no jobs.", &format!("viraldb jobs enqueue download --video {key}")),
            ))))
        }
    }
}
