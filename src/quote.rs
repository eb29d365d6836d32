//! Formatting of values in messages: shortened to a readable length, with terminal control characters escaped; and counts
//! with their nouns.

use std::borrow::Cow;
use std::fmt::Display;

use serde_json::Value;

/// Maximum number of characters of a value that a message quotes.
const MOST: usize = 80;

/// Quotes a value, such as `"a\nb"`. A long value is cut off and ends with "…".
pub fn quoted(text: &str) -> String {
    match cut(text) {
        Some(beginning) => {
            let mut quoted = format!("{beginning:?}");
            quoted.insert(quoted.len() - 1, '…');
            quoted
        }
        None => format!("{text:?}"),
    }
}

/// Returns a count with its noun: `1 video`, `2 videos`.
pub fn counted<N: Copy + Display + PartialEq + From<u8>>(count: N, noun: &str) -> String {
    format!("{count} {noun}{}", if count == N::from(1) { "" } else { "s" })
}

/// Joins the lines of a message into one.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Quotes a JSON value, like [`quoted`]; only strings get quotation marks.
pub(crate) fn quoted_json(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        other => short(&other.to_string()),
    }
}

/// Shortens a name or a value without quoting it. A long one is cut off and ends with "…".
pub fn short(text: &str) -> String {
    cut(text).map_or_else(|| text.to_owned(), |beginning| format!("{beginning}…"))
}

/// Shortens the values that a message of another library quotes.
///
/// A value may itself contain quotation marks. The quoted value is therefore everything between the first and the last
/// quotation mark of a kind.
pub(crate) fn cut_quotes(message: &str) -> String {
    // The text that serde and PostgreSQL write around a value, but not around a name of the schema.
    const MARKS: [(&str, &[&str]); 5] = [
        ("`", &["`, expected", "`, there are no fields", "`"]),
        ("string \"", &["\", expected", "\""]),
        (")=(", &[")"]),
        (": \"", &["\""]),
        ("value \"", &["\""]),
    ];
    let mut message = message.to_owned();
    for (open, ends) in MARKS {
        let Some(start) = message.find(open).map(|at| at + open.len()) else { continue };
        let rest = message.get(start..).unwrap_or_default();
        let end = ends.iter().find_map(|end| rest.rfind(end)).map_or(message.len(), |at| start + at);
        if let Some(beginning) = message.get(start..end).and_then(cut) {
            let shortened = format!("{beginning}…");
            message.replace_range(start..end, &shortened);
        }
    }
    message
}

/// Returns the first [`MOST`] characters of a longer text, or `None` if the text fits.
fn cut(text: &str) -> Option<&str> {
    let (end, _) = text.char_indices().nth(MOST)?;
    text.get(..end)
}

/// Makes text safe to print on a terminal.
///
/// Control characters and characters that change the text direction are written as escapes, such as `\u{1b}` or `\n`.
pub fn visible(text: &str) -> String {
    escaped(text, |_| false)
}

/// Makes text of several lines safe to print, like [`visible`], but keeps line breaks and tabs.
pub fn visible_lines(text: &str) -> String {
    escaped(text, |c| matches!(c, '\n' | '\t'))
}

/// Makes a log line safe to print, like [`visible_lines`].
///
/// With `has_colors`, ESC characters stay: they belong to the colors, and the log writer has already escaped those in data.
pub fn visible_log(text: &str, has_colors: bool) -> String {
    escaped(text, |c| matches!(c, '\n' | '\t') || (has_colors && c == '\u{1b}'))
}

/// Makes JSON safe to print on a terminal.
///
/// The characters that [`visible`] escapes become JSON escapes, except line breaks. A program reads the same document.
pub fn visible_json(json: &str) -> Cow<'_, str> {
    let is_escaped = |c| acts(c) && c != '\n';
    if !json.contains(is_escaped) {
        return json.into();
    }
    let escape = |c: char| if is_escaped(c) { format!("\\u{:04x}", u32::from(c)) } else { c.into() };
    json.chars().map(escape).collect()
}

fn escaped(text: &str, is_kept: impl Fn(char) -> bool) -> String {
    let mut visible = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) && !is_kept(c) { visible.extend(c.escape_default()) } else { visible.push(c) }
    }
    visible
}

/// Returns true for C0 and C1 control characters, DEL, Unicode line separators, direction marks, and the byte-order mark.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_cut_at_a_character_boundary() {
        let exact = "é".repeat(80);
        assert_eq!(quoted(&exact), format!("\"{exact}\""));
        assert_eq!(quoted(&format!("{exact}x")), format!("\"{exact}…\""));
        assert_eq!(short(&format!("{exact}x")), format!("{exact}…"));
        assert_eq!(quoted("a\"\u{1b}\u{202e}"), "\"a\\\"\\u{1b}\\u{202e}\"");
        assert_eq!(quoted_json(&serde_json::json!([1])), "[1]");
        assert_eq!(quoted_json(&"x".into()), "\"x\"");
    }

    #[test]
    fn long_values_in_messages_of_other_libraries_are_cut() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Row {
            #[allow(dead_code)]
            count: u32,
        }
        let long = "`\"x, expected".repeat(10_000);
        let said = |value: Value| {
            let error = serde_json::from_value::<Row>(value).unwrap_err().to_string();
            let cut = cut_quotes(&error);
            assert!(cut.chars().count() < 200 && cut.contains('…'), "{cut}");
            cut
        };
        let unknown = said(serde_json::json!({ long.as_str(): 1 }));
        assert!(
            unknown.starts_with("unknown field `") && unknown.ends_with("…`, expected `count`"),
            "{unknown}"
        );
        let text = said(serde_json::json!({ "count": long }));
        assert!(text.starts_with("invalid type: string \"") && text.ends_with("…\", expected u32"), "{text}");
        for message in [
            format!("invalid input syntax for type uuid: \"{long}\""),
            format!(
                "duplicate key value violates unique constraint \"k\": Key (title)=({long}) already exists."
            ),
        ] {
            assert!(cut_quotes(&message).chars().count() < 250, "{}", cut_quotes(&message));
        }
        let short = "unknown field `b`, expected one of `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa`, `cccccccccccccccccccccccccccccccccccccccccccccccc`";
        assert_eq!(cut_quotes(short), short);
    }

    #[test]
    fn terminal_control_characters_are_escaped() {
        let text = "a\u{1b}[31m\u{7f}\u{9b}2J\u{202e}\u{2028}\r\n\tß🎬";
        assert_eq!(visible(text), "a\\u{1b}[31m\\u{7f}\\u{9b}2J\\u{202e}\\u{2028}\\r\\n\\tß🎬");
        assert_eq!(visible_lines("a\n\tb\r"), "a\n\tb\\r");
        assert_eq!(visible(&visible(text)), visible(text));
        let json = serde_json::to_string_pretty(&[text]).unwrap();
        assert!(!visible_json(&json).contains(|c| acts(c) && c != '\n'));
        assert_eq!(serde_json::from_str::<[String; 1]>(&visible_json(&json)).unwrap(), [text]);
    }
}
