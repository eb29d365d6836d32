//! Paging.

use maud::{Markup, html};

/// Returns the links to the pages before and after. `shown` says what is on this page: `50 rows`.
pub fn pager(shown: &str, first: Option<&str>, previous: Option<&str>, next: Option<&str>) -> Markup {
    html! {
        nav class="pager" aria-label="Paging" {
            p { (shown) }
            @if let Some(href) = first { a class="button" href=(href) { "First" } }
            @match previous {
                Some(href) => a class="button" href=(href) rel="prev" { "← Previous" },
                None => span class="button off" { "← Previous" },
            }
            @match next {
                Some(href) => a class="button" href=(href) rel="next" { "Next →" },
                None => span class="button off" { "Next →" },
            }
        }
    }
}
