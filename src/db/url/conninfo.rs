//! A URL of PostgreSQL's, taken apart as libpq does it.

use std::ffi::{CStr, CString, c_char};
use std::ptr;

use super::{DatabaseUrl, for_libpq, keys_of, query_of};
use crate::{Error, Result};

/// What libpq's own programs read from their environment to connect as the URL says: `PGHOST`, `PGPASSWORD`, ….
pub(crate) fn environment(url: &str) -> Result<Vec<(String, String)>> {
    let options = parse(url)?;
    if options.iter().any(|option| option.keyword == "sslpassword") {
        let url = DatabaseUrl::Postgres(url.to_owned()).to_string();
        let reason =
            "sslpassword cannot be handed to PostgreSQL's programs; use a key without one".to_owned();
        return Err(Error::UnsupportedUrl { url, reason });
    }
    Ok(options.into_iter().filter_map(|option| Some((option.variable?, option.value))).collect())
}

/// The name of the database: that of the URL or, as libpq has it, that of the service it names, of `PGDATABASE`, or the
/// user's.
pub(crate) fn database_name(url: &str) -> String {
    let options = parse(url).unwrap_or_default();
    match options.into_iter().find(|option| option.keyword == "dbname") {
        Some(option) => option.value,
        None => name_for_libpq(url).unwrap_or_default(),
    }
}

/// The name that libpq would connect to. Only a connection that is under way tells it, so one is begun and given up.
#[allow(unsafe_code)]
fn name_for_libpq(url: &str) -> Option<String> {
    let text = CString::new(for_libpq(url)).ok()?;
    // SAFETY: the text ends in NUL and lives through the calls; the connection, which may be NULL, is ended once.
    unsafe {
        let conn = pq_sys::PQconnectStart(text.as_ptr());
        let name = read(pq_sys::PQdb(conn));
        pq_sys::PQfinish(conn);
        name
    }
}

/// The URL of another database of the same server; `name` is a word of ours.
pub(crate) fn in_database(url: &str, name: &str) -> String {
    let mark = if query_of(url).is_some() { '&' } else { '?' };
    format!("{url}{mark}dbname={name}")
}

/// Refuses what libpq cannot parse. Its own message would quote the URL, and the password with it.
pub(crate) fn check(url: &str) -> Result<()> {
    parse(url).map(drop)
}

/// Returns the first parameter that libpq does not know.
#[allow(unsafe_code)]
fn unknown_key(url: &str) -> Option<String> {
    // SAFETY: NULL, or an array that is freed once, after its last use in `settings`.
    let known = unsafe { settings(pq_sys::PQconndefaults()) };
    let is_word = |key: &String| key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    keys_of(&for_libpq(url))
        .into_iter()
        .find(|key| key != "ssl" && !known.iter().any(|set| set.keyword == *key))
        .filter(is_word)
}

struct Set {
    keyword: String,
    /// The variable that stands for it, if there is one.
    variable: Option<String>,
    value: String,
    is_set: bool,
}

/// What a URL sets.
#[allow(unsafe_code)]
fn parse(url: &str) -> Result<Vec<Set>> {
    let refused = |reason: String| Error::UnsupportedUrl {
        url: crate::quote::short(&DatabaseUrl::Postgres(url.to_owned()).to_string()),
        reason,
    };
    let text = CString::new(for_libpq(url)).map_err(|error| refused(error.to_string()))?;
    let mut message: *mut c_char = ptr::null_mut();
    // SAFETY: the text ends in NUL and lives through the call; `message` is NULL or freed here, once.
    let options = unsafe {
        let options = pq_sys::PQconninfoParse(text.as_ptr(), &mut message);
        pq_sys::PQfreemem(message.cast());
        options
    };
    if options.is_null() {
        return Err(refused(match unknown_key(url) {
            Some(key) => format!(
                "libpq has no parameter {key:?}; separate parameters with &, and percent-encode values"
            ),
            None => "libpq cannot parse it; write postgres://USER:PASSWORD@HOST:PORT/NAME".to_owned(),
        }));
    }
    // SAFETY: libpq made the array for us.
    Ok(unsafe { settings(options) }.into_iter().filter(|set| set.is_set).collect())
}

/// Copies an array of libpq's, and frees it.
///
/// # Safety
/// `options` is NULL, or an array of libpq's that ends with a NULL keyword and is not used again.
#[allow(unsafe_code)]
unsafe fn settings(options: *mut pq_sys::_PQconninfoOption) -> Vec<Set> {
    let mut set = Vec::new();
    if options.is_null() {
        return set;
    }
    // SAFETY: the texts of the array live until it is freed, after their last use.
    unsafe {
        let mut option = options;
        while let Some(keyword) = read((*option).keyword) {
            let value = read((*option).val);
            let is_set = value.is_some();
            set.push(Set {
                keyword,
                variable: read((*option).envvar),
                value: value.unwrap_or_default(),
                is_set,
            });
            option = option.add(1);
        }
        pq_sys::PQconninfoFree(options);
    }
    set
}

/// A text of C's.
///
/// # Safety
/// `text` is NULL, or ends in NUL and is readable.
#[allow(unsafe_code)]
unsafe fn read(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: as the caller says.
    Some(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_url_sets_becomes_variables() {
        let url = "postgres://me:p%40ss@h:5433/name?connect_timeout=3";
        let mut set = environment(url).unwrap();
        set.sort();
        let set: Vec<(&str, &str)> = set.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(
            set,
            [
                ("PGCONNECT_TIMEOUT", "3"),
                ("PGDATABASE", "name"),
                ("PGHOST", "h"),
                ("PGPASSWORD", "p@ss"),
                ("PGPORT", "5433"),
                ("PGUSER", "me")
            ]
        );
        assert_eq!(database_name(url), "name");
        assert_eq!(database_name(&in_database(url, "other")), "other");
        assert_eq!(database_name(&in_database("postgres://me@h/name", "other")), "other");
        assert_eq!(database_name("postgres://%2Ftmp%2Fs/x"), "x");
        assert_eq!(database_name("postgres://h/name?pgbouncer=true"), "name");
        assert!(environment("postgres://h/d?nothing=1").unwrap_err().to_string().contains("nothing"));
    }
}
