//! Fields of filter forms.

use maud::{Markup, html};

/// Returns a field that chooses one of several words. Without a word, the form sends nothing for it.
pub fn choice(name: &str, label: &str, none: &str, words: &[(&str, &str)], chosen: &str) -> Markup {
    html! {
        label {
            span { (label) }
            select name=(name) {
                option value="" selected[chosen.is_empty()] { (none) }
                @for (word, shown) in words { option value=(word) selected[*word == chosen] { (shown) } }
            }
        }
    }
}

/// Returns a field for a text.
pub fn text(name: &str, label: &str, value: &str) -> Markup {
    html! { label { span { (label) } input type="search" name=(name) value=(value); } }
}
