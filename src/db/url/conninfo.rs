//! Parses PostgreSQL URLs with libpq.

use std::ffi::{CStr, CString, c_char};
use std::ptr;

use super::{DatabaseUrl, for_libpq, keys_of, query_of};
use crate::{Error, Result};

/// Returns the environment variables with which PostgreSQL's programs connect as the URL says: `PGHOST`, `PGPASSWORD`, ….
///
/// # Errors
/// [`Error::UnsupportedUrl`] if libpq cannot parse the URL, or if it sets `sslpassword`, which has no variable.
pub(crate) fn environment(url: &str) -> Result<Vec<(String, String)>> {
    let options = parse(url)?;
    if options.iter().any(|option| option.keyword == "sslpassword") {
        let url = DatabaseUrl::Postgres(url.to_owned()).to_string();
        let reason =
            "sslpassword cannot be passed to pg_dump and pg_restore; use a key without a password".to_owned();
        return Err(Error::UnsupportedUrl { url, reason });
    }
    Ok(options.into_iter().filter_map(|option| Some((option.variable?, option.value))).collect())
}

/// Returns the name of the database. If the URL does not name one, this follows libpq: the database of the service that the URL
/// names, `PGDATABASE`, or the name of the user.
pub(crate) fn database_name(url: &str) -> String {
    let options = parse(url).unwrap_or_default();
    match options.into_iter().find(|option| option.keyword == "dbname") {
        Some(option) => option.value,
        None => name_for_libpq(url).unwrap_or_default(),
    }
}

/// Returns the name of the database that libpq would connect to. libpq determines it only when it connects, so this starts a
/// connection and abandons it.
#[allow(unsafe_code)]
fn name_for_libpq(url: &str) -> Option<String> {
    let text = CString::new(for_libpq(url)).ok()?;
    // SAFETY: the text ends in NUL and outlives the calls; the connection, which may be NULL, is closed once.
    unsafe {
        let conn = pq_sys::PQconnectStart(text.as_ptr());
        let name = read(pq_sys::PQdb(conn));
        pq_sys::PQfinish(conn);
        name
    }
}

/// Returns the URL of another database on the same server. `name` must not need percent-encoding.
pub(crate) fn in_database(url: &str, name: &str) -> String {
    let mark = if query_of(url).is_some() { '&' } else { '?' };
    format!("{url}{mark}dbname={name}")
}

/// Rejects a URL that libpq cannot parse. libpq's own message is not used, because it quotes the URL with its password.
pub(crate) fn check(url: &str) -> Result<()> {
    parse(url).map(drop)
}

/// Returns the first parameter that libpq does not know, if any.
#[allow(unsafe_code)]
fn unknown_key(url: &str) -> Option<String> {
    // SAFETY: libpq returns NULL, or an array that is freed once, after its last use in `settings`.
    let known = unsafe { settings(pq_sys::PQconndefaults()) };
    let is_word = |key: &String| key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    keys_of(&for_libpq(url))
        .into_iter()
        .find(|key| key != "ssl" && !known.iter().any(|set| set.keyword == *key))
        .filter(is_word)
}

struct Set {
    keyword: String,
    /// The environment variable for the parameter, if there is one.
    variable: Option<String>,
    value: String,
    is_set: bool,
}

/// Returns the parameters that a URL sets.
#[allow(unsafe_code)]
fn parse(url: &str) -> Result<Vec<Set>> {
    let refused = |reason: String| Error::UnsupportedUrl {
        url: crate::quote::short(&DatabaseUrl::Postgres(url.to_owned()).to_string()),
        reason,
    };
    let text = CString::new(for_libpq(url)).map_err(|error| refused(error.to_string()))?;
    let mut message: *mut c_char = ptr::null_mut();
    // SAFETY: the text ends in NUL and outlives the call; `message` is NULL or is freed once, here.
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
    // SAFETY: libpq allocated the array for this call, and it is not used again.
    Ok(unsafe { settings(options) }.into_iter().filter(|set| set.is_set).collect())
}

/// Copies an array of libpq options and frees it.
///
/// # Safety
/// `options` must be NULL, or an array from libpq that ends with a NULL keyword and is not used again.
#[allow(unsafe_code)]
unsafe fn settings(options: *mut pq_sys::_PQconninfoOption) -> Vec<Set> {
    let mut set = Vec::new();
    if options.is_null() {
        return set;
    }
    // SAFETY: the texts of the array are valid until the array is freed, after their last use.
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

/// Copies a C string.
///
/// # Safety
/// `text` must be NULL, or point to a readable text that ends in NUL.
#[allow(unsafe_code)]
unsafe fn read(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller guarantees a readable text that ends in NUL.
    Some(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_parameters_become_environment_variables() {
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
