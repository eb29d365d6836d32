//! Values in messages: cut to a readable length, and without characters that a terminal would act on.

use std::borrow::Cow;

use serde_json::Value;

/// Most characters of a value that a message quotes.
const MOST: usize = 80;

/// Quotes a value, such as `"a\nb"`; of a long one, the beginning and "…".
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

/// Joins the lines of a message.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// [`quoted`] for a value of JSON.
pub(crate) fn quoted_json(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        other => short(&other.to_string()),
    }
}

/// A name or a value without quotes; of a long one, the beginning and "…".
pub fn short(text: &str) -> String {
    cut(text).map_or_else(|| text.to_owned(), |beginning| format!("{beginning}…"))
}

/// A message of another library, with the values that it quotes cut. Between the first and the last of each kind of
/// quotation marks stands what it quotes: a value may hold quotation marks of its own.
pub(crate) fn cut_quotes(message: &str) -> String {
    // What serde and PostgreSQL write around a value, and not around a name of the schema.
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

/// The first characters of a text that is longer.
fn cut(text: &str) -> Option<&str> {
    let (end, _) = text.char_indices().nth(MOST)?;
    text.get(..end)
}

/// Text for a terminal: a character that could tell it to do something, or change the order of the others, is written as
/// its escape, such as `\u{1b}` or `\n`.
pub fn visible(text: &str) -> String {
    escaped(text, |_| false)
}

/// [`visible`] for text of several lines, which keeps the ends of lines and tabs.
pub fn visible_lines(text: &str) -> String {
    escaped(text, |c| matches!(c, '\n' | '\t'))
}

/// [`visible_lines`] for a line of the log, which may have colors of its own: what writes them has escaped the ESC of data.
pub fn visible_log(text: &str, has_colors: bool) -> String {
    escaped(text, |c| matches!(c, '\n' | '\t') || (has_colors && c == '\u{1b}'))
}

/// JSON in which these characters are escaped in JSON's own way, so that a program reads the same.
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

/// Returns true for the control characters C0, DEL and C1, separators of lines, marks of direction, and the byte-order
/// mark.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_cut_at_a_character() {
        let exact = "é".repeat(80);
        assert_eq!(quoted(&exact), format!("\"{exact}\""));
        assert_eq!(quoted(&format!("{exact}x")), format!("\"{exact}…\""));
        assert_eq!(short(&format!("{exact}x")), format!("{exact}…"));
        assert_eq!(quoted("a\"\u{1b}\u{202e}"), "\"a\\\"\\u{1b}\\u{202e}\"");
        assert_eq!(quoted_json(&serde_json::json!([1])), "[1]");
        assert_eq!(quoted_json(&"x".into()), "\"x\"");
    }

    #[test]
    fn values_in_messages_of_others_are_cut() {
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
    fn nothing_that_acts_on_a_terminal_is_left() {
        let text = "a\u{1b}[31m\u{7f}\u{9b}2J\u{202e}\u{2028}\r\n\tß🎬";
        assert_eq!(visible(text), "a\\u{1b}[31m\\u{7f}\\u{9b}2J\\u{202e}\\u{2028}\\r\\n\\tß🎬");
        assert_eq!(visible_lines("a\n\tb\r"), "a\n\tb\\r");
        assert_eq!(visible(&visible(text)), visible(text));
        let json = serde_json::to_string_pretty(&[text]).unwrap();
        assert!(!visible_json(&json).contains(|c| acts(c) && c != '\n'));
        assert_eq!(serde_json::from_str::<[String; 1]>(&visible_json(&json)).unwrap(), [text]);
    }
}
