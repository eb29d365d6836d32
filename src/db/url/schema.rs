//! The PostgreSQL schema in a URL: set by viraldb's parameter `?schema=NAME`, or by `search_path` in `options`.

use percent_encoding::percent_decode_str;
#[cfg(feature = "postgres")]
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::query_of;

/// The URL parameter for the schema. libpq does not know it.
pub(super) const PARAMETER: &str = "schema";

/// The maximum length of a schema name in bytes. PostgreSQL allows 63 bytes, and the schema of ViralForge's views adds the
/// prefix `viralforge_`.
const LONGEST: usize = 63 - "viralforge_".len();

/// Returns the reason why a schema of this name cannot contain viraldb's tables, or `None` if the name is valid.
pub(crate) fn refusal(name: &str) -> Option<String> {
    let shown = crate::quote::quoted(name);
    if name.is_empty() {
        return Some("the schema name is empty; write schema=NAME".to_owned());
    }
    if name.chars().any(char::is_control) {
        return Some(format!("the schema name {shown} contains a control character; choose another name"));
    }
    if name == "$user" {
        let reason = "PostgreSQL replaces $user by the name of the role; write the name of the schema itself";
        return Some(reason.to_owned());
    }
    if name.starts_with("pg_") || name == "information_schema" {
        return Some(format!("the schema {shown} belongs to PostgreSQL; choose another name"));
    }
    (name.len() > LONGEST)
        .then(|| format!("the schema name {shown} has {} bytes; the maximum is {LONGEST}", name.len()))
}

/// Returns the decoded values of a parameter; `None` is the parameter without a value.
fn values(url: &str, parameter: &'static str) -> impl Iterator<Item = Option<String>> {
    let pairs = query_of(url).into_iter().flat_map(|query| query.split('&'));
    pairs.filter_map(move |pair| match pair.split_once('=') {
        Some((key, value)) if key == parameter => Some(Some(decoded(value))),
        _ => (pair == parameter).then_some(None),
    })
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Returns the schema named by `?schema=NAME`, if any.
pub(super) fn given(url: &str) -> Option<String> {
    values(url, PARAMETER).flatten().next()
}

/// Checks the schema parameters of a URL.
///
/// # Errors
/// The reason why they are invalid, for a message.
pub(super) fn check(url: &str, is_pooled: bool) -> Result<(), String> {
    let given: Vec<Option<String>> = values(url, PARAMETER).collect();
    let name = match given.as_slice() {
        [] => return Ok(()),
        [Some(name)] => name,
        [None] => return Err("schema has no value; write schema=NAME".to_owned()),
        _ => return Err("sets schema more than once; name one schema".to_owned()),
    };
    if let Some(reason) = refusal(name) {
        return Err(reason);
    }
    if is_pooled {
        return Err("schema=NAME needs search_path, which PgBouncer does not pass on; remove schema from the URL and set \
                    the schema of the role: ALTER ROLE … SET search_path = NAME"
            .to_owned());
    }
    if values(url, "options").flatten().any(|options| search_path(&options).is_some()) {
        return Err("sets both schema and, in options, search_path; keep one of them".to_owned());
    }
    Ok(())
}

/// Returns the first schema that the URL names, by `schema` or `search_path`. Settings of the role on the server are unknown
/// here.
#[cfg(feature = "postgres")]
pub(crate) fn named(url: &str) -> Option<String> {
    given(url).or_else(|| {
        let path = values(url, "options").flatten().find_map(|options| search_path(&options))?;
        first(&path)
    })
}

/// Returns the first schema of a `search_path`, except `$user`.
#[cfg(feature = "postgres")]
pub(crate) fn first(path: &str) -> Option<String> {
    names(path).into_iter().find(|name| name != "$user")
}

/// Splits a `search_path` into names. Unquoted names are converted to lower case; quoted names stay as they are.
#[cfg(feature = "postgres")]
pub(crate) fn names(path: &str) -> Vec<String> {
    let (mut names, mut name) = (Vec::new(), String::new());
    let (mut in_quotes, mut was_quoted) = (false, false);
    let mut chars = path.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if in_quotes && chars.peek() == Some(&'"') => name.extend(chars.next()),
            '"' => {
                was_quoted = true;
                in_quotes = !in_quotes;
            }
            ',' if !in_quotes => {
                names.push(std::mem::take(&mut name));
                was_quoted = false;
            }
            c if in_quotes => name.push(c),
            c if c.is_whitespace() => {}
            c if was_quoted => name.push(c),
            c => name.push(c.to_ascii_lowercase()),
        }
    }
    names.push(name);
    names.retain(|name| !name.is_empty());
    names
}

/// Returns the last `search_path` that `options` sets: `-c search_path=…` or `--search_path=…`.
fn search_path(options: &str) -> Option<String> {
    let mut found = None;
    let mut words = words(options).into_iter();
    while let Some(word) = words.next() {
        let setting = match word.as_str() {
            "-c" => words.next(),
            word => word.strip_prefix("--").or_else(|| word.strip_prefix("-c")).map(str::to_owned),
        };
        if let Some((key, value)) = setting.as_deref().and_then(|setting| setting.split_once('='))
            && key.replace('-', "_").eq_ignore_ascii_case("search_path")
        {
            found = Some(value.to_owned());
        }
    }
    found
}

/// Splits `options` as the server does: at whitespace that no backslash precedes.
fn words(options: &str) -> Vec<String> {
    let (mut words, mut word, mut chars) = (Vec::new(), String::new(), options.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => word.extend(chars.next()),
            c if c.is_ascii_whitespace() => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// Returns the parameter `options` that sets `search_path` to one schema. It keeps the other options of the URL, or those of
/// `PGOPTIONS` if the URL has none.
#[cfg(feature = "postgres")]
pub(super) fn options(url: &str, schema: &str) -> String {
    let there = values(url, "options").flatten().next().or_else(|| std::env::var("PGOPTIONS").ok());
    let mut options = there.map(|there| format!("{there} ")).unwrap_or_default();
    options.push_str("-csearch_path=");
    for c in crate::db::identifier::quoted(schema).chars() {
        if c == '\\' || c.is_ascii_whitespace() {
            options.push('\\');
        }
        options.push(c);
    }
    format!("options={}", utf8_percent_encode(&options, NON_ALPHANUMERIC))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "postgres")]
    #[test]
    fn search_path_is_split_as_on_the_server() {
        assert_eq!(names("viral, \"A b\" ,PUBLIC"), ["viral", "A b", "public"]);
        assert_eq!(names("\"a\"\"b,c\""), ["a\"b,c"]);
        assert_eq!(names(""), [""; 0]);
        assert_eq!(first("\"$user\", public").as_deref(), Some("public"));
        assert_eq!(first("\"$user\""), None);
    }

    #[test]
    fn search_path_is_found_in_options() {
        for (options, path) in [
            ("-csearch_path=viral", Some("viral")),
            ("-c geqo=off -c search_path=a", Some("a")),
            ("--search-path=a,b", Some("a,b")),
            ("-c search_path=a -c search_path=\"b\\ c\"", Some("\"b c\"")),
            ("-c geqo=off", None),
            ("-c", None),
        ] {
            assert_eq!(search_path(options).as_deref(), path, "{options}");
        }
    }

    #[test]
    fn invalid_schema_names_are_rejected() {
        for name in ["", "$user", "pg_catalog", "pg_x", "information_schema", "a\nb", &"x".repeat(53)] {
            assert!(refusal(name).is_some(), "{name:?}");
        }
        for name in ["viral", "Viral", "a b", "a\"b", "a'b", "PG_x", "ü", &"x".repeat(52)] {
            assert_eq!(refusal(name), None);
        }
    }

    #[test]
    fn a_url_may_set_the_schema_only_once() {
        for (url, says) in [
            ("postgres://h/d?schema", "no value"),
            ("postgres://h/d?schema=", "is empty"),
            ("postgres://h/d?schema=a&schema=b", "more than once"),
            ("postgres://h/d?schema=a&options=-csearch_path%3Db", "sets both schema and"),
            ("postgres://h/d?schema=pg_toast", "belongs to PostgreSQL"),
            ("postgres://h/d?schema=%24user", "name of the role"),
        ] {
            let said = check(url, false).unwrap_err();
            assert!(said.contains(says), "{url}: {said}");
        }
        assert!(check("postgres://h/d?schema=a", true).unwrap_err().contains("ALTER ROLE"));
        for url in ["postgres://h/d", "postgres://h/d?schema=A%20b&options=-cgeqo%3Doff"] {
            assert_eq!(check(url, false), Ok(()));
        }
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn the_schema_is_passed_as_search_path() {
        let set = |url: &str, schema: &str| decoded(&options(url, schema));
        assert_eq!(set("postgres://h/d?schema=viral", "viral"), "options=-csearch_path=\"viral\"");
        assert_eq!(set("postgres://h/d", "A \"b\\"), "options=-csearch_path=\"A\\ \"\"b\\\\\"");
        let both = "postgres://h/d?options=-c%20geqo%3Doff&schema=s";
        assert_eq!(set(both, "s"), "options=-c geqo=off -csearch_path=\"s\"");
        assert_eq!(named("postgres://h/d?options=-csearch_path%3D%22A%22").as_deref(), Some("A"));
        assert_eq!(named("postgres://h/d?schema=A%20b").as_deref(), Some("A b"));
        assert_eq!(named("postgres://h/d"), None);
    }
}
