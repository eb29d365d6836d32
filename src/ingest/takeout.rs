//! Recognizes and refuses watch histories from Google Takeout. A history lists what one account watched, without counts, so
//! it does not show what is popular.

use crate::Error;

/// Returns the error for a watch history.
pub(super) fn refuse(name: &str) -> Error {
    Error::invalid(
        name,
        "is a Google Takeout history: it lists what one account watched, without views, likes or comments, so viraldb \
         does not store it; fetch these videos with yt-dlp or videos.list, and ingest what those return",
    )
}

/// Returns true if an HTML page is a YouTube history. The check uses CSS classes, because the titles are in the language of
/// the account.
pub(super) fn is_html(text: &str) -> bool {
    let start: String = text.chars().take(64).collect::<String>().to_ascii_lowercase();
    let is_html =
        start.starts_with("<!doctype html") || start.starts_with("<html") || start.starts_with("<head");
    let has_cells = text.contains("outer-cell") || text.contains("content-cell");
    is_html && ((has_cells && text.contains("mdl-")) || text.contains("<title>Watch History"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histories_are_distinguished_from_other_pages() {
        let page = r#"<html><head><title>Wiedergabeverlauf</title></head><body><div class="mdl-grid"><div class="outer-cell mdl-cell mdl-cell--12-col"><div class="content-cell mdl-cell">Watched <a href="https://www.youtube.com/watch?v=x">"#;
        assert!(is_html(page));
        assert!(is_html("<!DOCTYPE html>\n<html><head><title>Watch History</title>"));
        assert!(!is_html("<html><body>Hello</body></html>"));
        assert!(!is_html("title,outer-cell mdl-cell\n"));
        assert!(refuse("x.html").to_string().starts_with("x.html is a Google Takeout history"));
    }
}
