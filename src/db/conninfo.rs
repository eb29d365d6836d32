//! A URL of PostgreSQL's, taken apart as libpq does it.

use std::ffi::{CStr, CString, c_char};
use std::ptr;

use super::DatabaseUrl;
use super::url::{for_libpq, query_of};
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

/// The name of the database: that of the URL, else the user's, as libpq has it where no service is named.
pub(crate) fn database_name(url: &str) -> String {
    let options = parse(url).unwrap_or_default();
    let of = |keyword: &str| {
        options.iter().find(|option| option.keyword == keyword).map(|option| option.value.clone())
    };
    of("dbname")
        .or_else(|| std::env::var("PGDATABASE").ok())
        .or_else(|| of("user"))
        .or_else(|| ["PGUSER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok()))
        .unwrap_or_default()
}

/// The URL of another database of the same server; `name` is a word of ours.
pub(crate) fn in_database(url: &str, name: &str) -> String {
    let mark = if query_of(url).is_some() { '&' } else { '?' };
    format!("{url}{mark}dbname={name}")
}

struct Set {
    keyword: String,
    /// The variable that stands for it, if there is one.
    variable: Option<String>,
    value: String,
}

/// What a URL sets.
#[allow(unsafe_code)]
fn parse(url: &str) -> Result<Vec<Set>> {
    let refused = |reason: String| Error::UnsupportedUrl {
        url: DatabaseUrl::Postgres(url.to_owned()).to_string(),
        reason,
    };
    let text = CString::new(for_libpq(url)).map_err(|error| refused(error.to_string()))?;
    let mut message: *mut c_char = ptr::null_mut();
    // SAFETY: the text ends in NUL and lives through the call; `message` is freed below, once.
    let options = unsafe { pq_sys::PQconninfoParse(text.as_ptr(), &mut message) };
    if options.is_null() {
        // SAFETY: NULL, or a text that libpq made for us, which is freed after its last use.
        let reason = unsafe {
            let reason = read(message).unwrap_or_else(|| "memory is short".to_owned());
            pq_sys::PQfreemem(message.cast());
            reason
        };
        return Err(refused(crate::error::one_line(&reason)));
    }
    let mut set = Vec::new();
    // SAFETY: an array that ends with a NULL keyword; its texts live until it is freed, once, after its last use.
    unsafe {
        let mut option = options;
        while let Some(keyword) = read((*option).keyword) {
            if let Some(value) = read((*option).val) {
                set.push(Set { keyword, variable: read((*option).envvar), value });
            }
            option = option.add(1);
        }
        pq_sys::PQconninfoFree(options);
    }
    Ok(set)
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
