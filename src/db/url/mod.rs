//! The URLs of databases.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::engine::Engine;
use crate::environment::{self, DotEnv};
use crate::quote::{quoted, short};
use crate::{Error, Result};

#[cfg(feature = "postgres")]
pub(crate) mod conninfo;
mod hidden;
mod parts;
pub(crate) mod schema;

pub use hidden::Hidden;
use parts::{Parts, has_password};

/// The URL of a database. It is printed with the password masked.
///
/// | form | database |
/// |---|---|
/// | `sqlite://viral.db`, `sqlite:///var/lib/viral.db` | a file, relative or absolute |
/// | `viral.db`, `viral.sqlite`, `viral.sqlite3` | a file, by its ending |
/// | `sqlite::memory:` | SQLite in memory, deleted with the last [`Database`](crate::Database) |
/// | `postgres://user@host/name`, `postgresql://…` | PostgreSQL |
/// | `postgres://user@host/name?schema=viral` | PostgreSQL, with viraldb's tables in that schema instead of `public` |
/// | `postgres://user@host:6432/name?pgbouncer=true` | PostgreSQL, through PgBouncer in transaction mode |
///
/// ```
/// use viraldb::DatabaseUrl;
///
/// # fn main() -> viraldb::Result<()> {
/// let url: DatabaseUrl = "postgres://ada:secret@db.example.org/viral".parse()?;
/// assert_eq!(url.to_string(), "postgres://ada:***@db.example.org/viral");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A SQLite file.
    File(PathBuf),
    /// SQLite in memory.
    Memory,
    /// PostgreSQL; a URL for libpq that may also contain viraldb's parameters `pgbouncer=true` and `schema=NAME`.
    Postgres(String),
}

const FORMS: &str = "use sqlite://PATH, a PATH that ends in .db, .sqlite or .sqlite3, sqlite::memory:, \
                     or postgres://USER@HOST/NAME";

const NO_FILE: &str = "looks like the URL of a server, with a password; write postgres://USER:PASSWORD@HOST/NAME, or \
                       ./NAME or sqlite:///FOLDER/NAME for a file of this name";

impl DatabaseUrl {
    /// Returns the engine of the database.
    pub const fn engine(&self) -> Engine {
        match self {
            Self::File(_) | Self::Memory => Engine::Sqlite,
            Self::Postgres(_) => Engine::Postgres,
        }
    }

    /// Returns the schema named by `?schema=NAME`, if any. viraldb creates it if it does not exist.
    pub(crate) fn schema(&self) -> Option<String> {
        match self {
            Self::Postgres(url) => schema::given(url),
            _ => None,
        }
    }

    /// Rejects a pooler, for an operation `what` that needs a direct connection to the server.
    pub(crate) fn require_session(&self, what: &str) -> Result<()> {
        match self {
            Self::Postgres(url) if is_pooled(url) => Err(Error::Unusable {
                database: self.to_string(),
                reason: format!(
                    "goes through a pooler (pgbouncer=true), but {what} needs a direct connection; name the server \
                     itself with --database-url"
                ),
            }),
            _ => Ok(()),
        }
    }
}

/// Returns the URL to use, from the first of these sources:
///
/// 1. the URL `given`
/// 2. `DATABASE_URL` in the environment
/// 3. `DATABASE_URL` in a `.env` file in the current folder or a parent folder
/// 4. the default, `sqlite://viral.db`
///
/// # Errors
/// `Io` if the `.env` file cannot be read. `Invalid` if it belongs to another user, or has no `DATABASE_URL` but a line that
/// cannot be parsed.
pub fn database_url(given: Option<&str>) -> Result<String> {
    if let Some(url) = given {
        return Ok(url.to_owned());
    }
    if let Some(url) = environment::variable("DATABASE_URL")? {
        return Ok(url);
    }
    let dotenv = DotEnv::read()?;
    match dotenv.values.get("DATABASE_URL") {
        // A relative SQLite path in a .env file is relative to the folder of that file.
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

    /// Parses a URL. Surrounding whitespace and the case of the scheme are ignored.
    ///
    /// # Errors
    /// [`Error::UnsupportedUrl`] with the reason and the form to write instead.
    fn from_str(text: &str) -> Result<Self> {
        let text = &*with_lower_scheme(text.trim());
        let unsupported = |reason: String| Error::UnsupportedUrl { url: short(&masked(text)), reason };
        if matches!(text, "sqlite::memory:" | "sqlite://:memory:" | ":memory:") {
            return Ok(Self::Memory);
        }
        if let Some(path) = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:")) {
            if path.is_empty() || path.contains('\0') {
                return Err(unsupported("does not name a file; write sqlite://viral.db".to_owned()));
            }
            if let Some((path, _)) = path.split_once('?') {
                return Err(unsupported(format!(
                    "viraldb supports no URL parameters for SQLite; write sqlite://{}",
                    short(path)
                )));
            }
            // SQLAlchemy writes an absolute path with one more slash.
            let absolute = path.strip_prefix('/').filter(|path| path.starts_with('/'));
            if absolute.map_or_else(|| may_be_server(path), has_password) {
                return Err(unsupported(NO_FILE.to_owned()));
            }
            if let Some(absolute) = absolute {
                return Ok(Self::File(absolute.into()));
            }
            if let Some(relative) = path.strip_prefix('/').filter(|path| is_relative(path)) {
                return Err(unsupported(format!(
                    "is ambiguous: {} is in the root folder for viraldb, but in this folder for SQLAlchemy; write \
                     sqlite://{} for this folder, or sqlite:////{} for the root folder",
                    short(path),
                    short(relative),
                    short(relative)
                )));
            }
            return Ok(Self::File(path.into()));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            // Do not use a generic URL parser: libpq also accepts several hosts and the folder of a socket.
            return if own_values(text).any(|value| !matches!(value, Some("true" | "false"))) {
                Err(unsupported(format!("{POOLED} must be true or false; write {POOLED}=true")))
            } else if let Err(reason) = Parts::split(after_scheme(text)).check() {
                Err(unsupported(reason.to_owned()))
            } else if let Err(reason) = schema::check(text, is_pooled(text)) {
                Err(unsupported(reason))
            } else {
                #[cfg(feature = "postgres")]
                conninfo::check(text)?;
                Ok(Self::Postgres(text.to_owned()))
            };
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            if !is_scheme(scheme) {
                return Err(unsupported(format!("is not the URL of a database; {FORMS}")));
            }
            return Err(unsupported(match scheme.split_once('+') {
                Some((engine @ ("postgresql" | "postgres"), driver)) => {
                    format!(
                        "names SQLAlchemy's driver {}; write {}",
                        short(driver),
                        short(&masked(&format!("{engine}://{rest}")))
                    )
                }
                Some(("sqlite", driver)) if may_be_server(rest.trim_start_matches('/')) => format!(
                    "names SQLAlchemy's driver {}, but viraldb cannot open encrypted files; write sqlite://PATH",
                    short(driver)
                ),
                Some(("sqlite", driver)) => format!(
                    "names SQLAlchemy's driver {}; write sqlite://{}",
                    short(driver),
                    short(rest.strip_prefix('/').unwrap_or(rest))
                ),
                _ => format!("unknown scheme {}; {FORMS}", quoted(scheme)),
            }));
        }
        let is_path =
            !text.contains('\0') && !text.starts_with("postgres:") && !text.starts_with("postgresql:");
        if is_path && [".db", ".sqlite", ".sqlite3"].iter().any(|ending| text.ends_with(ending)) {
            if may_be_server(text) {
                return Err(unsupported(NO_FILE.to_owned()));
            }
            return Ok(Self::File(text.into()));
        }
        Err(unsupported(format!("is not the URL of a database; {FORMS}")))
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

/// Returns true if a PostgreSQL URL leads through a pooler, which runs each transaction in any free session.
pub(crate) fn is_pooled(url: &str) -> bool {
    own_values(url).any(|value| value == Some("true"))
}

/// The parameter that declares a pooler. libpq does not know it.
const POOLED: &str = "pgbouncer";

/// Returns the values of the `pgbouncer` parameter of a URL; `None` is the parameter without a value.
fn own_values(url: &str) -> impl Iterator<Item = Option<&str>> {
    query_of(url).into_iter().flat_map(|query| query.split('&')).filter_map(own_value)
}

fn own_value(pair: &str) -> Option<Option<&str>> {
    match pair.split_once('=') {
        Some((POOLED, value)) => Some(Some(value)),
        _ => (pair == POOLED).then_some(None),
    }
}

/// Returns a PostgreSQL URL without viraldb's own parameters, which libpq would reject. The schema becomes a `search_path`.
#[cfg(feature = "postgres")]
pub(crate) fn for_libpq(url: &str) -> String {
    let Some(query) = query_of(url) else { return url.to_owned() };
    let place = url.strip_suffix(query).unwrap_or(url).trim_end_matches('?');
    let is_libpqs =
        |pair: &&str| own_value(pair).is_none() && pair.split('=').next() != Some(schema::PARAMETER);
    let mut pairs: Vec<&str> = query.split('&').filter(is_libpqs).collect();
    let options = schema::given(url).map(|name| schema::options(url, &name));
    if let Some(options) = &options {
        pairs.retain(|pair| pair.split('=').next() != Some("options"));
        pairs.push(options);
    }
    if pairs.is_empty() { place.to_owned() } else { format!("{place}?{}", pairs.join("&")) }
}

/// Returns the query part of a URL. A question mark in the password does not start the query.
pub(crate) fn query_of(url: &str) -> Option<&str> {
    Parts::split(after_scheme(url)).query
}

fn after_scheme(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest)
}

/// Replaces every password of the URL in the text by `***`, because libpq and the server may quote any part of the URL.
#[cfg(feature = "postgres")]
pub(crate) fn without_secrets(url: &str, text: &str) -> String {
    let secrets = Parts::split(after_scheme(url)).secrets();
    secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, MASK))
}

/// Returns the decoded keys of the parameters of a URL, up to the first password.
#[cfg(feature = "postgres")]
pub(crate) fn keys_of(url: &str) -> Vec<String> {
    Parts::split(after_scheme(url)).keys().collect()
}

const MASK: &str = "***";

/// Returns the URL with `***` for every password, and for every part that may contain one.
fn masked(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        // The user may have meant a URL, or a connection string such as `host=h password=…`.
        let may_be_secret = text.contains(['@', ':', '=', '|'])
            || ["pass", "%3a", "%40", "%25"].iter().any(|part| text.to_lowercase().contains(part));
        return if may_be_secret { MASK.to_owned() } else { text.to_owned() };
    };
    if !is_scheme(scheme) {
        return MASK.to_owned();
    }
    if scheme.starts_with("sqlite") {
        if may_be_server(rest.trim_start_matches('/')) {
            return format!("{scheme}://{MASK}");
        }
        let path = rest.split_once('?').map_or(rest.to_owned(), |(path, _)| format!("{path}?{MASK}"));
        return format!("{scheme}://{path}");
    }
    let parts = Parts::split(rest);
    match parts.check() {
        Ok(()) => format!("{scheme}://{}", parts.shown()),
        Err(_) => format!("{scheme}://{}", masked_password(rest).unwrap_or_else(|| MASK.to_owned())),
    }
}

/// Returns true for a path that may start with a user name and a password, or that contains a password parameter.
fn may_be_server(path: &str) -> bool {
    let has_user = path.split_once('@').is_some_and(|(user, _)| user.contains(':'));
    (has_user && !is_path(path)) || has_password(path)
}

/// Returns true for a path after `sqlite:///` that SQLAlchemy takes as relative, and that is hardly ever meant as absolute.
fn is_relative(path: &str) -> bool {
    !path.contains('/') || path.starts_with("./") || path.starts_with("../")
}

/// Returns the text with the scheme in lower case, if viraldb knows the scheme.
fn with_lower_scheme(text: &str) -> Cow<'_, str> {
    let scheme = text.split(':').next().unwrap_or_default();
    let is_known =
        ["sqlite", "postgres", "postgresql"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    match text.get(scheme.len()..) {
        Some(rest) if is_known => format!("{}{rest}", scheme.to_ascii_lowercase()).into(),
        _ => text.into(),
    }
}

/// Returns true for a text that can only be a path. Two slashes at the beginning may be the rest of a URL.
fn is_path(text: &str) -> bool {
    text.starts_with("./") || text.starts_with("../") || (text.starts_with('/') && !text.starts_with("//"))
}

/// Returns true for a scheme, with or without Java's `jdbc:` prefix, and false for a text that may be a user name and a
/// password.
fn is_scheme(text: &str) -> bool {
    let scheme = text.strip_prefix("jdbc:").unwrap_or(text);
    !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// Returns `user:***@place` if only the password of a URL is malformed, so that the other parts can be shown.
fn masked_password(rest: &str) -> Option<String> {
    let (user, _) = rest.split_once(':')?;
    let (before, place) = rest.rsplit_once('@')?;
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let is_place = |c: char| is_word(c) || matches!(c, ':' | '/' | ',');
    let is_clear = user.len() < before.len()
        && !has_password(rest)
        && user.chars().all(is_word)
        && place.chars().all(is_place);
    (is_clear && Parts::split(place).check().is_ok()).then(|| format!("{user}:{MASK}@{place}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_urls_are_truncated_in_messages() {
        let long = "x".repeat(60_000);
        for url in [
            long.clone(),
            format!("mysql://{long}"),
            format!("sqlite://{long}?{long}"),
            format!("sqlite+aiosqlite:///{long}"),
            format!("sqlite+{long}:///a"),
            format!("postgresql+asyncpg://{long}@h/d"),
            format!("postgres://me@h/{long}?pgbouncer=yes"),
        ] {
            let message = url.parse::<DatabaseUrl>().unwrap_err().to_string();
            assert!(message.len() < 500, "{} bytes: {message:.200}", message.len());
        }
    }

    #[test]
    fn all_url_forms_are_parsed() {
        let file = |path: &str| DatabaseUrl::File(path.into());
        assert_eq!("sqlite://viral.db".parse::<DatabaseUrl>().unwrap(), file("viral.db"));
        assert_eq!("sqlite:///var/viral".parse::<DatabaseUrl>().unwrap(), file("/var/viral"));
        assert_eq!("./a b.sqlite3".parse::<DatabaseUrl>().unwrap(), file("./a b.sqlite3"));
        assert_eq!("sqlite::memory:".parse::<DatabaseUrl>().unwrap(), DatabaseUrl::Memory);
        assert!(matches!("postgresql://u@h/d".parse(), Ok(DatabaseUrl::Postgres(_))));
        for (text, path) in [
            (" sqlite://viral.db\r\n", "viral.db"),
            ("viral.db\n", "viral.db"),
            ("SQLite://Viral.db", "Viral.db"),
            ("sqlite:////var/viral", "/var/viral"),
            ("sqlite:////viral.db", "/viral.db"),
            ("/viral.db", "/viral.db"),
        ] {
            assert_eq!(text.parse::<DatabaseUrl>().unwrap(), file(path), "{text:?}");
        }
        let shown = " PostgreSQL://U@h/D ".parse::<DatabaseUrl>().unwrap().to_string();
        assert_eq!(shown, "postgresql://U@h/D");
        assert_eq!("SQLITE::memory:".parse::<DatabaseUrl>().unwrap(), DatabaseUrl::Memory);
    }

    #[test]
    fn errors_show_the_right_form() {
        let said = |url: &str| url.parse::<DatabaseUrl>().unwrap_err().to_string();
        assert_eq!(
            said("postgresql+asyncpg://u:secret@h/d"),
            "postgresql+asyncpg://u:***@h/d: names SQLAlchemy's driver asyncpg; write postgresql://u:***@h/d"
        );
        assert!(said("sqlite+aiosqlite:///x.db").ends_with("write sqlite://x.db"));
        assert!(said("mysql://u:secret@h/d").contains("unknown scheme \"mysql\"; use "));
        assert!(!said("mysql://u:secret@h/d").contains("secret"));
        assert!(said("viral").contains("is not the URL of a database"));
        for (url, relative) in [
            ("sqlite:///viral.db", "viral.db"),
            ("sqlite:///./viral.db", "./viral.db"),
            ("sqlite:///../a/viral.db", "../a/viral.db"),
        ] {
            let hint = format!(
                "write sqlite://{relative} for this folder, or sqlite:////{relative} for the root folder"
            );
            assert!(said(url).ends_with(&hint), "{}", said(url));
        }
        assert!(said("sqlite://").contains("does not name a file"));
        assert!(
            said("sqlite://x.db?mode=ro")
                .contains("viraldb supports no URL parameters for SQLite; write sqlite://x.db")
        );
    }

    #[test]
    fn a_pooler_is_declared_by_a_url_parameter() {
        for (url, pooled) in [
            ("postgres://u:p@h:6432/d?pgbouncer=true", true),
            ("postgres:///d?host=/tmp&pgbouncer=true&user=a@b", true),
            ("postgres://u:p?pgbouncer=true@h/d", false),
            ("postgres://h/d?pgbouncer=false", false),
            ("postgres://h/d?application_name=pgbouncer", false),
        ] {
            let parsed: DatabaseUrl = url.parse().unwrap();
            assert_eq!((is_pooled(url), parsed.require_session("it").is_err()), (pooled, pooled), "{url}");
        }
        for url in ["postgres://h/d?pgbouncer", "postgres://h/d?pgbouncer=yes", "postgres://h/d?pgbouncer="] {
            let said = url.parse::<DatabaseUrl>().unwrap_err().to_string();
            assert!(said.ends_with("pgbouncer must be true or false; write pgbouncer=true"), "{said}");
        }
        let shown = "postgres://u:secret@h/d?pgbouncer=true".parse::<DatabaseUrl>().unwrap().to_string();
        assert_eq!(shown, "postgres://u:***@h/d?pgbouncer=true");
        let shown = "postgres://u:secret@h/d?schema=A%20b".parse::<DatabaseUrl>().unwrap().to_string();
        assert_eq!(shown, "postgres://u:***@h/d?schema=A%20b");
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn own_parameters_are_not_passed_to_libpq() {
        for (url, told) in [
            ("postgres://h/d?pgbouncer=true", "postgres://h/d"),
            ("postgres://h/d?pgbouncer=false&user=u", "postgres://h/d?user=u"),
            ("postgres://u:p?q@h/d?a=1&pgbouncer=true&b=2", "postgres://u:p?q@h/d?a=1&b=2"),
            ("postgres://u:p?pgbouncer=true@h/d", "postgres://u:p?pgbouncer=true@h/d"),
            ("postgres://h/d?schema=s&user=u", "postgres://h/d?user=u&options=%2Dcsearch%5Fpath%3D%22s%22"),
            (
                "postgres://h/d?options=-cx%3D1&schema=s",
                "postgres://h/d?options=%2Dcx%3D1%20%2Dcsearch%5Fpath%3D%22s%22",
            ),
            ("postgres://h/d", "postgres://h/d"),
        ] {
            assert_eq!(for_libpq(url), told);
        }
    }

    #[test]
    fn passwords_in_invalid_urls_are_masked() {
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
    fn passwords_in_valid_urls_are_masked() {
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
