//! What a database is named by.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::environment::{self, DotEnv};
use crate::quote::quoted;
use crate::{Error, Result};

/// The URL of a database. It prints with the password masked.
///
/// | form | database |
/// |---|---|
/// | `sqlite://viral.db`, `sqlite:///var/lib/viral.db` | a file, relative or absolute |
/// | `viral.db`, `viral.sqlite`, `viral.sqlite3` | a file, by its ending |
/// | `sqlite::memory:` | SQLite in memory, gone with the last [`Database`](crate::Database) |
/// | `postgres://user@host/name`, `postgresql://…` | PostgreSQL |
/// | `postgres://user@host:6432/name?pgbouncer=true` | PostgreSQL, through PgBouncer in transaction mode |
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A SQLite file.
    File(PathBuf),
    /// SQLite in memory.
    Memory,
    /// PostgreSQL, as libpq takes it, but for `pgbouncer=true`.
    Postgres(String),
}

const FORMS: &str = "use sqlite://PATH, a PATH that ends in .db, .sqlite or .sqlite3, sqlite::memory:, \
                     or postgres://USER@HOST/NAME";

impl DatabaseUrl {
    /// The name of the engine, as people write it.
    pub const fn engine(&self) -> &'static str {
        match self {
            Self::File(_) | Self::Memory => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
        }
    }

    /// Refuses a pooler, for what needs a session of its own.
    pub(crate) fn require_session(&self, what: &str) -> Result<()> {
        match self {
            Self::Postgres(url) if is_pooled(url) => Err(Error::Unusable {
                database: self.to_string(),
                reason: format!(
                    "goes through a pooler, as pgbouncer=true says, and {what} needs a session of its own; \
                     name the server itself with --database-url"
                ),
            }),
            _ => Ok(()),
        }
    }
}

/// The URL to use: the one given, else `DATABASE_URL` of the environment, else that of a `.env` file here
/// or above, else `sqlite://viral.db`.
///
/// # Errors
/// `Invalid` for a `.env` that cannot be read.
pub fn database_url(given: Option<&str>) -> Result<String> {
    if let Some(url) = given {
        return Ok(url.to_owned());
    }
    if let Some(url) = environment::variable("DATABASE_URL")? {
        return Ok(url);
    }
    let dotenv = DotEnv::read()?;
    match dotenv.values.get("DATABASE_URL") {
        // A relative path of SQLite's counts from the folder of the file.
        Some(url) => Ok(match url.parse() {
            Ok(DatabaseUrl::File(path)) if path.is_relative() => {
                format!("sqlite://{}", dotenv.resolve(&path).display())
            }
            _ => url.clone(),
        }),
        None if dotenv.has_bad_line => Err(dotenv.lacks(&["DATABASE_URL"])),
        None => Ok(DEFAULT_URL.to_owned()),
    }
}

const DEFAULT_URL: &str = "sqlite://viral.db";

impl FromStr for DatabaseUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unsupported = |reason: String| Error::UnsupportedUrl { url: masked(text), reason };
        if matches!(text, "sqlite::memory:" | "sqlite://:memory:" | ":memory:") {
            return Ok(Self::Memory);
        }
        if let Some(path) = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:")) {
            if path.is_empty() || path.contains('\0') {
                return Err(unsupported("names no file; write sqlite://viral.db".to_owned()));
            }
            if let Some((path, query)) = path.split_once('?') {
                return Err(unsupported(format!(
                    "viraldb knows no parameters of SQLite's, such as {}; write sqlite://{path}",
                    quoted(query)
                )));
            }
            return Ok(Self::File(path.into()));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            // libpq takes more forms than the standard of URLs: several hosts, a socket's folder.
            return if text.contains('\0') || text.contains(char::is_whitespace) {
                Err(unsupported("is no URL; write postgres://USER@HOST/NAME".to_owned()))
            } else if is_unencoded(text) {
                Err(unsupported(
                    "percent-encode the user name and the password: %40 is @, %2F is /, %25 is %".to_owned(),
                ))
            } else if own_values(text).any(|value| !matches!(value, Some("true" | "false"))) {
                Err(unsupported(format!("{POOLED} is true or false; write {POOLED}=true")))
            } else {
                Ok(Self::Postgres(text.to_owned()))
            };
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            return Err(unsupported(match scheme.split_once('+') {
                Some((engine @ ("postgresql" | "postgres"), driver)) => {
                    format!(
                        "names SQLAlchemy's driver {driver}; write {}",
                        masked(&format!("{engine}://{rest}"))
                    )
                }
                Some(("sqlite", driver)) => format!(
                    "names SQLAlchemy's driver {driver}; write sqlite://{}",
                    rest.strip_prefix('/').unwrap_or(rest)
                ),
                _ => format!("the scheme {} is unknown; {FORMS}", quoted(scheme)),
            }));
        }
        if [".db", ".sqlite", ".sqlite3"].iter().any(|ending| text.ends_with(ending)) && !text.contains('\0')
        {
            return Ok(Self::File(text.into()));
        }
        Err(unsupported(format!("names no database; {FORMS}")))
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Memory => f.write_str("SQLite in memory"),
            Self::Postgres(url) => f.write_str(&masked(url)),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The user name and password of what stands behind a URL's `://`, and the rest. They end at the last `@`
/// before the query, which begins at the first `?` behind them; what they hold may have to be
/// percent-encoded, see [`is_unencoded`].
fn split_user(rest: &str) -> (Option<&str>, &str) {
    let authority = rest.split('/').next().unwrap_or_default();
    // Where the host ends at the latest: in the query, an @ is part of a value.
    let end = match authority.find('@') {
        Some(at) => rest.get(at..).and_then(|rest| rest.find('?')).map_or(rest.len(), |end| at + end),
        None if authority.split(',').all(has_port) => rest.find('?').unwrap_or(rest.len()),
        None => rest.len(),
    };
    match rest.get(..end).and_then(|text| text.rfind('@')) {
        Some(at) => (rest.get(..at), rest.get(at + 1..).unwrap_or_default()),
        None => (None, rest),
    }
}

/// Whether what stands behind a host is a port, or nothing; else it must be the beginning of a password.
fn has_port(host: &str) -> bool {
    let behind = host.rsplit_once(']').map_or(host, |(_, behind)| behind);
    behind.split_once(':').is_none_or(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether libpq would take a URL apart elsewhere than it was meant, and then say parts of the password as a
/// host or a port, or all of it as a wrong encoding.
fn is_unencoded(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let is_code = |code: &str| {
        code.get(..2).is_some_and(|code| code != "00" && code.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    split_user(rest).0.is_some_and(|user| user.contains(['@', '/'])) || !rest.split('%').skip(1).all(is_code)
}

/// Whether a URL of PostgreSQL's leads through a pooler, which gives each transaction whatever session is free.
pub(crate) fn is_pooled(url: &str) -> bool {
    own_values(url).any(|value| value == Some("true"))
}

/// The one parameter that is not libpq's.
const POOLED: &str = "pgbouncer";

/// What a URL says of our own parameter, and `None` if it names it without a value.
fn own_values(url: &str) -> impl Iterator<Item = Option<&str>> {
    query_of(url).into_iter().flat_map(|query| query.split('&')).filter_map(own_value)
}

fn own_value(pair: &str) -> Option<Option<&str>> {
    match pair.split_once('=') {
        Some((POOLED, value)) => Some(Some(value)),
        _ => (pair == POOLED).then_some(None),
    }
}

/// A URL of PostgreSQL's without our own parameter, which libpq would refuse.
#[cfg(feature = "postgres")]
pub(crate) fn for_libpq(url: &str) -> String {
    let Some(query) = query_of(url) else { return url.to_owned() };
    let place = url.strip_suffix(query).unwrap_or(url).trim_end_matches('?');
    let pairs: Vec<&str> = query.split('&').filter(|pair| own_value(pair).is_none()).collect();
    if pairs.is_empty() { place.to_owned() } else { format!("{place}?{}", pairs.join("&")) }
}

/// The query of a URL, which a question mark in the password does not begin.
pub(crate) fn query_of(url: &str) -> Option<&str> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    split_user(rest).1.split_once('?').map(|(_, query)| query)
}

/// The URL with `***` for every password in it.
fn masked(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return masked_words(text);
    };
    let (user, behind) = split_user(rest);
    let (place, query) = match behind.split_once('?') {
        Some((place, query)) => (place, Some(query)),
        None => (behind, None),
    };
    let place = match user.map(|user| user.split_once(':').ok_or(user)) {
        Some(Ok((user, _))) => format!("{user}:***@{place}"),
        Some(Err(user)) => format!("{user}@{place}"),
        None => place.to_owned(),
    };
    let query = query.map(|query| {
        let pairs: Vec<String> = query
            .split('&')
            .map(|pair| match pair.split_once('=') {
                Some((key, _)) if key.to_lowercase().contains("pass") => format!("{key}=***"),
                _ => pair.to_owned(),
            })
            .collect();
        format!("?{}", pairs.join("&"))
    });
    format!("{scheme}://{place}{}", query.unwrap_or_default())
}

/// What is no URL, but may have been meant as one: `host=h password=…`, `user:…@host`.
fn masked_words(text: &str) -> String {
    let words = text.split(' ').map(|word| match (word.split_once('='), word.rsplit_once('@')) {
        (Some((key, _)), _) if key.to_lowercase().contains("pass") => format!("{key}=***"),
        (_, Some((user, host))) if user.contains(':') => format!("***@{host}"),
        _ => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let file = |path: &str| DatabaseUrl::File(path.into());
        assert_eq!("sqlite://viral.db".parse::<DatabaseUrl>().unwrap(), file("viral.db"));
        assert_eq!("sqlite:///var/viral".parse::<DatabaseUrl>().unwrap(), file("/var/viral"));
        assert_eq!("./a b.sqlite3".parse::<DatabaseUrl>().unwrap(), file("./a b.sqlite3"));
        assert_eq!("sqlite::memory:".parse::<DatabaseUrl>().unwrap(), DatabaseUrl::Memory);
        assert!(matches!("postgresql://u@h/d".parse(), Ok(DatabaseUrl::Postgres(_))));
    }

    #[test]
    fn what_is_wrong_is_said_with_the_right_form() {
        let said = |url: &str| url.parse::<DatabaseUrl>().unwrap_err().to_string();
        assert_eq!(
            said("postgresql+asyncpg://u:secret@h/d"),
            "postgresql+asyncpg://u:***@h/d: names SQLAlchemy's driver asyncpg; write postgresql://u:***@h/d"
        );
        assert!(said("sqlite+aiosqlite:///x.db").ends_with("write sqlite://x.db"));
        assert!(said("mysql://u:secret@h/d").contains("\"mysql\" is unknown"));
        assert!(!said("mysql://u:secret@h/d").contains("secret"));
        assert!(said("viral").contains("names no database"));
        assert!(said("sqlite://").contains("names no file"));
        assert!(
            said("sqlite://x.db?mode=ro")
                .contains("no parameters of SQLite's, such as \"mode=ro\"; write sqlite://x.db")
        );
    }

    #[test]
    fn a_pooler_is_said_by_a_parameter_of_our_own() {
        for (url, pooled) in [
            ("postgres://u:p@h:6432/d?pgbouncer=true", true),
            ("postgres:///d?host=/tmp&pgbouncer=true&user=a@b", true),
            ("postgres://u:p?pgbouncer=true@h/d", false),
            ("postgres://h/d?pgbouncer=false", false),
            ("postgres://h/pgbouncer=true", false),
            ("postgres://h/d?application_name=pgbouncer", false),
        ] {
            let parsed: DatabaseUrl = url.parse().unwrap();
            assert_eq!((is_pooled(url), parsed.require_session("it").is_err()), (pooled, pooled), "{url}");
        }
        for url in ["postgres://h/d?pgbouncer", "postgres://h/d?pgbouncer=yes", "postgres://h/d?pgbouncer="] {
            let said = url.parse::<DatabaseUrl>().unwrap_err().to_string();
            assert!(said.ends_with("pgbouncer is true or false; write pgbouncer=true"), "{said}");
        }
        let shown = "postgres://u:secret@h/d?pgbouncer=true".parse::<DatabaseUrl>().unwrap().to_string();
        assert_eq!(shown, "postgres://u:***@h/d?pgbouncer=true");
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn libpq_is_not_told_our_own_parameter() {
        for (url, told) in [
            ("postgres://h/d?pgbouncer=true", "postgres://h/d"),
            ("postgres://h/d?pgbouncer=false&user=u", "postgres://h/d?user=u"),
            ("postgres://u:p?q@h/d?a=1&pgbouncer=true&b=2", "postgres://u:p?q@h/d?a=1&b=2"),
            ("postgres://u:p?pgbouncer=true@h/d", "postgres://u:p?pgbouncer=true@h/d"),
            ("postgres://h/d", "postgres://h/d"),
        ] {
            assert_eq!(for_libpq(url), told);
        }
    }

    #[test]
    fn passwords_of_what_is_no_url_are_masked() {
        for text in [
            "host=localhost password=secret dbname=x",
            "postgres:u:secret@h/d",
            "postgresql+asyncpg://u:sec?secret@h/db",
            "mysql://u:sec?ret=secret@h/db",
        ] {
            let said = text.parse::<DatabaseUrl>().unwrap_err().to_string();
            assert!(!said.contains("sec") && said.contains("***"), "{said}");
        }
        let shown = "postgres://u:sec?ret@h/db".parse::<DatabaseUrl>().unwrap().to_string();
        assert_eq!(shown, "postgres://u:***@h/db");
    }

    #[test]
    fn passwords_are_masked() {
        for url in [
            "postgres://me:secret@host:5433/name",
            "postgres://me:se@secret@host/name",
            "postgres://host/name?user=me&password=secret",
            "postgres://host/name?sslpassword=secret",
        ] {
            let shown = format!("{0} {0:?}", DatabaseUrl::Postgres(url.to_owned()));
            assert!(!shown.contains("secret") && shown.contains("***"), "{shown}");
        }
    }
}
