//! The page of the search.

use maud::{Markup, html};

use super::cells::{path, video_path};
use super::list::filtered;
use crate::browse::{Found, Hit};
use crate::web::components::{empty, section, text, wide_panel};
use crate::web::sections::{clean, short};

/// Returns the page of a search: the form, and what was found if something was searched for.
pub fn search(asked: &str, found: Option<&Found>) -> Markup {
    html! {
        form class="filters" action="/search" role="search" {
            (text("q", "Id, title, name or error", &clean(asked)))
            button type="submit" { "Search" }
        }
        @if let Some(found) = found {
            @if found.groups.is_empty() {
                (empty("Nothing was found.", &html! {
                    "Of large tables, only the newest rows are searched for words. A "
                    a href="/tables" { "list" } " with a filter searches all rows."
                }))
            }
            @for (place, group) in found.groups.iter().enumerate() {
                @let id = format!("group-{place}");
                @let lead = format!("In {}.", group.scope);
                (section(&id, group.name, &lead, &wide_panel("", &html! {
                    ul class="hits" {
                        @for hit in &group.hits {
                            li {
                                a href=(address(hit)) { (title(hit)) } " "
                                span { (hit.table) @if !hit.detail.is_empty() { " · " (short(&hit.detail, 80)) } }
                            }
                        }
                    }
                    @if group.more { p class="note" { "There are more; only " (group.hits.len()) " are shown." } }
                })))
            }
        }
    }
}

fn title(hit: &Hit) -> String {
    let title = short(&hit.title, 160);
    if title.trim().is_empty() { short(&hit.key, 80) } else { title }
}

fn address(hit: &Hit) -> String {
    match hit.column {
        "video_id" => video_path(&hit.key).unwrap_or_else(|| filtered(hit.table, hit.column, &hit.key)),
        "niche" => filtered(hit.table, hit.column, &hit.key),
        _ => path(hit.table, &hit.key),
    }
}
